"""Examples as batches: of like length, within a number of tokens, with the words that count marked.

Which examples stand together depends on seed and epoch alone, so that a killed run goes on to the same numbers.
Words for emotions weigh more in the loss than the sentence around them: of an answer of forty tokens the label is one.

    'The person seems angry.'    label 'angry', weight 3
     1   1      1     3    1
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from affekt.description.questions import Family, Pieces, Vocabulary, harmless
from affekt.errors import ValueRangeError
from affekt.training import epoch_seed

SPREAD = 16
"""Batches among which examples are sorted by length: more waste less, fewer mix better."""


def with_label_weights(
    pieces: Pieces, answer: str, labels: Sequence[str], weight: float, vocabulary: Vocabulary, family: Family
) -> Pieces:
    """A prompt and answer whose tokens of label words weigh so much in the loss, all others 1.

    Args:
        pieces: as `tokenized` made them with this answer.
        answer: its text.
        labels: words in it; each counts wherever it stands by itself, in either case.
        weight: above 0.
        vocabulary: of the trunk.
        family: of its prompts.

    Raises:
        ValueRangeError: the weight is not above 0, or the answer is another one.
    """
    if not 0.0 < weight < float('inf'):
        raise ValueRangeError(expected='a weight of label words above 0', came=f'{weight}', todo='give another')
    text = harmless(answer, family)
    written = text if family.end in family.marks else text + family.end
    vocabulary.tokenizer.encode_special_tokens = True
    encoded = vocabulary.tokenizer.encode(written, add_special_tokens=False)
    if tuple(encoded.ids) != pieces.answer[: len(encoded.ids)]:
        raise ValueRangeError(expected='the answer of these pieces', came=repr(answer), todo='make the pieces with it')
    spans = [
        match.span()
        for label in labels
        for match in re.finditer(rf'(?<!\w){re.escape(label)}(?!\w)', text, re.IGNORECASE)
    ]
    weights = [
        weight if any(start < last and first < end for first, last in spans) else 1.0 for start, end in encoded.offsets
    ]
    return replace(pieces, weights=(*weights, *[1.0] * (len(pieces.answer) - len(weights))))


def length_of(pieces: Pieces, tokens: Mapping[str, int]) -> int:
    """Positions of a prompt and its answer.

    Args:
        pieces: tokenized.
        tokens: how many soft tokens each source has.
    """
    prompt = sum(tokens[piece] if isinstance(piece, str) else len(piece) for piece in pieces.prompt)
    return prompt + len(pieces.answer)


@dataclass(frozen=True)
class LengthBatches:
    """Batches of examples of like length, by number and each with its epoch, in a new order each epoch, without end.

    A batch is as many examples as fit: at most `batch_size`, and padded to the longest of them at most `tokens`. Where
    several processes share an epoch, batches that do not go round are left out of that epoch.

    Args:
        lengths: of every example.
        batch_size: examples a batch, at most.
        tokens: of a padded batch, at most; None for any number.
        seed: of the order.
        rank: this process, from 0.
        ranks: processes, each of which reads its own batches.

    Raises:
        ValueRangeError: there are too few examples, or one does not fit by itself.
    """

    lengths: tuple[int, ...]
    batch_size: int
    tokens: int | None = None
    seed: int = 0
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        longest = max(self.lengths, default=0)
        if self.batch_size < 1 or not 0 <= self.rank < self.ranks:
            raise ValueRangeError(
                expected='a batch of 1 or more examples, and a rank among the processes',
                came=f'{self.batch_size}, rank {self.rank} of {self.ranks}', todo='correct them',
            )  # fmt: skip
        if self.tokens is not None and longest > self.tokens:
            raise ValueRangeError(
                expected=f'examples of at most {self.tokens:,} tokens', came=f'one of {longest:,}',
                todo='raise the tokens of a batch, or shorten prompts with longest_prompt',
            )  # fmt: skip
        if len(self.epoch(0)) < self.ranks:
            raise ValueRangeError(
                expected='at least one batch of examples in every process',
                came=f'{len(self.lengths):,} examples for {self.ranks}', todo='lower batch_size',
            )  # fmt: skip

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, of all processes; each example is in one of them.

        Args:
            number: of the epoch, from 0.
        """
        rng = np.random.default_rng(epoch_seed(self.seed, number + 1, 3))
        lengths = np.asarray(self.lengths)
        order = rng.permutation(len(lengths))
        batches: list[list[int]] = []
        for begin in range(0, len(order), self.batch_size * SPREAD):
            near = order[begin : begin + self.batch_size * SPREAD]
            batches += self._cut(near[np.argsort(lengths[near], kind='stable')].tolist())
        return [batches[at] for at in rng.permutation(len(batches))]

    def _cut(self, ordered: Sequence[int]) -> list[list[int]]:
        """Examples sorted by length as batches that fit."""
        batches: list[list[int]] = []
        for number in ordered:
            size = len(batches[-1]) + 1 if batches else 0
            fits = self.tokens is None or size * self.lengths[number] <= self.tokens
            if batches and size <= self.batch_size and fits:
                batches[-1].append(number)
            else:
                batches.append([number])
        return batches

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[tuple[int, list[int]]]:
        """The batches of this process after so many, each with the number of its epoch."""
        epoch = 0
        while True:
            every = self.epoch(epoch)
            own = every[self.rank : len(every) - len(every) % self.ranks : self.ranks]
            for numbers in own[batches:]:
                yield epoch, numbers
            batches, epoch = max(0, batches - len(own)), epoch + 1
