"""Batches of examples: of similar length, within a token limit, with weighted label words and withheld sources.

The composition of batches, and the sources withheld, depend on seed and epoch alone, so that a killed run resumes with
the same values. Words for emotions weigh more in the loss than the sentence around them: in an answer of forty tokens
the label is one.

    'The person seems angry.'    label 'angry', weight 3
     1   1      1     3    1
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from affekt.description.examples import Example
from affekt.description.model import Asked, Describer
from affekt.description.questions import KINDS, WORDS, Family, Kind, Pieces, harmless
from affekt.description.settings import SPREAD, DescribeSettings
from affekt.description.sources import present
from affekt.description.trunk import Vocabulary
from affekt.errors import ValueRangeError
from affekt.training import epoch_seed


def with_label_weights(
    pieces: Pieces, answer: str, labels: Sequence[str], weight: float, vocabulary: Vocabulary, family: Family
) -> Pieces:
    """A prompt and answer whose label words have the given weight in the loss; all other tokens have weight 1.

    Args:
        pieces: prompt and answer, as `tokenized` made them.
        answer: text of the answer.
        labels: words in it; each counts wherever it occurs as a whole word, ignoring case.
        weight: weight of their tokens, > 0.
        vocabulary: the trunk's tokens.
        family: prompt form of the trunk.

    Raises:
        ValueRangeError: the weight is not finite and above 0, or the answer is not that of `pieces`.
    """
    if not 0.0 < weight < float('inf'):
        raise ValueRangeError(
            expected='a finite weight of label words above 0', came=f'{weight}', todo='use for example 3'
        )
    text = harmless(answer, family)
    closed_answer = text if family.end in family.marks else text + family.end
    vocabulary.tokenizer.encode_special_tokens = True
    encoded = vocabulary.tokenizer.encode(closed_answer, add_special_tokens=False)
    if tuple(encoded.ids) != pieces.answer[: len(encoded.ids)]:
        raise ValueRangeError(
            expected='the answer of these pieces', came=repr(answer), todo='give the answer of the prompt'
        )
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
    """Number of positions of a prompt and its answer together.

    Args:
        pieces: tokenized prompt and answer.
        tokens: source to its number of soft tokens.
    """
    prompt = sum(tokens[piece] if isinstance(piece, str) else len(piece) for piece in pieces.prompt)
    return prompt + len(pieces.answer)


@dataclass(frozen=True)
class LengthBatches:
    """Endless batches of example indices of similar length, each with its epoch, in a new order each epoch.

    A batch has as many examples as fit: at most `batch_size`, and at most `tokens` positions when padded. If
    several processes share an epoch, leftover batches are dropped from that epoch.

    Args:
        lengths: number of positions of every example.
        batch_size: maximum examples per batch.
        tokens: maximum positions of a padded batch; None for no limit.
        seed: seed of the order.
        rank: index of this process, from 0.
        ranks: number of processes, each with its own batches.
        spread: batches among which examples are sorted by length; 1 mixes all.

    Raises:
        ValueRangeError: there are too few examples, or one does not fit alone.
    """

    lengths: tuple[int, ...]
    batch_size: int
    tokens: int | None = None
    seed: int = 0
    rank: int = 0
    ranks: int = 1
    spread: int = SPREAD

    def __post_init__(self) -> None:
        longest = max(self.lengths, default=0)
        if min(self.batch_size, self.spread) < 1 or not 0 <= self.rank < self.ranks:
            raise ValueRangeError(
                expected='1 or more examples a batch, sorted among 1 or more batches, and a rank among the processes',
                came=f'{self.batch_size}, {self.spread}, rank {self.rank} of {self.ranks}', todo='correct them',
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
        """The batches of an epoch for all processes; each example is in one of them.

        Args:
            number: number of the epoch, from 0.
        """
        rng = np.random.default_rng(epoch_seed(self.seed, number + 1, 3))
        lengths = np.asarray(self.lengths)
        order = rng.permutation(len(lengths))
        batches: list[list[int]] = []
        for begin in range(0, len(order), self.batch_size * self.spread):
            block = order[begin : begin + self.batch_size * self.spread]
            batches += self._cut(block[np.argsort(lengths[block], kind='stable')].tolist())
        return [batches[at] for at in rng.permutation(len(batches))]

    def _cut(self, ordered: Sequence[int]) -> list[list[int]]:
        """Examples sorted by length as batches that fit."""
        batches: list[list[int]] = []
        for index in ordered:
            size = len(batches[-1]) + 1 if batches else 0
            fits = self.tokens is None or size * self.lengths[index] <= self.tokens
            if batches and size <= self.batch_size and fits:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[tuple[int, list[int]]]:
        """The batches of this process after the first `batches`, each with the number of its epoch."""
        epoch = 0
        while True:
            all_batches = self.epoch(epoch)
            own_batches = all_batches[self.rank : len(all_batches) - len(all_batches) % self.ranks : self.ranks]
            for indices in own_batches[batches:]:
                yield epoch, indices
            batches, epoch = max(0, batches - len(own_batches)), epoch + 1


class ExampleBatches:
    """Endless batches of examples for a describer, with random access.

    Args:
        describer: describer that makes the prompts.
        examples: the training examples.
        kind: sources of the prompts, and whether they contain the words.
        settings: sizes of batches, weights of labels, and what is withheld.
        rank, ranks: index of this process, and number of processes.
    """

    def __init__(
        self,
        describer: Describer,
        examples: Sequence[Example],
        kind: Kind | str,
        settings: DescribeSettings,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._describer, self._examples, self._kind, self._settings = describer, examples, kind, settings
        self._pieces: dict[tuple[int, frozenset[str]], Pieces] = {}
        self._rank, self._ranks = rank, ranks

    @cached_property
    def order(self) -> LengthBatches:
        """The assignment of examples to batches by length."""
        settings, tokens = self._settings, {name: source.tokens for name, source in self._describer.table.items()}
        lengths = [self._longest(self.asked(index).pieces, tokens) for index in range(len(self._examples))]
        return LengthBatches(
            tuple(lengths), settings.batch_size, settings.batch_tokens, settings.seed, self._rank, self._ranks,
            settings.sorted_batches,
        )  # fmt: skip

    def _longest(self, pieces: Pieces, tokens: Mapping[str, int]) -> int:
        """Maximum positions of an example: where a source is withheld, words that were cut take its positions."""
        longest = self._describer.settings.longest_prompt
        return longest + len(pieces.answer) if pieces.cut and self._settings.withheld else length_of(pieces, tokens)

    def __iter__(self) -> Iterator[list[Asked]]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[list[Asked]]:
        """The batches of this process after the first `batches`."""
        for epoch, indices in self.order.starting_at(batches):
            yield [self.asked(index, self._withheld(epoch, index)) for index in indices]

    def asked(self, number: int, withheld: frozenset[str] = frozenset()) -> Asked:
        """An example with its answer, without its withheld sources.

        Args:
            number: index of the example.
            withheld: names of sources to leave out, or `words` for the transcript.
        """
        example = self._examples[number]
        features = tensors_of(example, withheld)
        key = (number, withheld)
        if key not in self._pieces:
            words = '' if WORDS in withheld else example.transcript
            asked = self._describer.prompt(features, self._kind, example.question, words=words, answer=example.answer)
            self._pieces[key] = with_label_weights(
                asked.pieces, example.answer, example.labels, self._settings.label_weight, self._describer.vocabulary,
                self._describer.family,
            )  # fmt: skip
        return Asked(self._pieces[key], features)

    def _withheld(self, epoch: int, index: int) -> frozenset[str]:
        """The sources withheld from an example in an epoch; the draw depends on epoch and index alone."""
        if not self._settings.withheld:
            return frozenset()
        example = self._examples[index]
        parts = self._parts_of(example)
        rng = np.random.default_rng([epoch_seed(self._settings.seed, epoch + 1, 4), index])
        draws = rng.random(len(parts))
        withheld = {
            part
            for part, draw in zip(parts, draws, strict=True)
            if draw < self._settings.withheld and part not in example.cites
        }
        if len(withheld) == len(parts):
            withheld.discard(parts[int(draws.argmax())])
        return frozenset(withheld) if self._leaves_something({*parts} - withheld) else frozenset()

    def _parts_of(self, example: Example) -> list[str]:
        """What can be withheld from an example: its sources in the prompt, joined ones too, and the words."""
        table, kind = self._describer.table, self._prompt_kind
        perceivable = {source for name in kind.sources if name in table for source in table[name].joins or (name,)}
        has_words = kind.words and bool(example.transcript.strip())
        return [*(name for name in example.sources if name in perceivable), *([WORDS] if has_words else [])]

    def _leaves_something(self, parts: set[str]) -> bool:
        """Whether a prompt can be made of these parts; a source that joins others needs all of them."""
        return WORDS in parts or bool(present(self._describer.table, parts) & {*self._prompt_kind.sources})

    @property
    def _prompt_kind(self) -> Kind:
        return KINDS[self._kind] if isinstance(self._kind, str) else self._kind


def tensors_of(example: Example, withheld: frozenset[str] = frozenset()) -> dict[str, torch.Tensor]:
    """Source to the float32 features of an example, without withheld sources."""
    return {
        name: torch.tensor(np.asarray(values), dtype=torch.float32)
        for name, values in example.sources.items()
        if name not in withheld
    }
