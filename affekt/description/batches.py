"""Examples as a describer reads them: prompts with answers, label words weighed, sources withheld by seeded draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch

from affekt.description.examples import Example
from affekt.description.model import Asked, Describer
from affekt.description.packing import LengthBatches, length_of, with_label_weights
from affekt.description.questions import WORDS, Kind, Pieces
from affekt.description.settings import DescribeSettings
from affekt.training import epoch_seed


class ExampleBatches:
    """Examples as a describer reads them, batch after batch without end; any place is reached at once.

    Args:
        describer: makes the prompts.
        examples: to be learnt from.
        kind: which sources the prompts have.
        settings: sizes of batches, weights of labels, and what is withheld.
        rank, ranks: this process, and how many there are.
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
        """Which examples stand together."""
        tokens = {name: source.tokens for name, source in self._describer.table.items()}
        lengths = [length_of(self.asked(number).pieces, tokens) for number in range(len(self._examples))]
        settings = self._settings
        return LengthBatches(
            tuple(lengths), settings.batch_size, settings.batch_tokens, settings.seed, self._rank, self._ranks
        )

    def __iter__(self) -> Iterator[list[Asked]]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[list[Asked]]:
        """The batches after so many."""
        for epoch, numbers in self.order.starting_at(batches):
            yield [self.asked(number, self._withheld(epoch, number)) for number in numbers]

    def asked(self, number: int, withheld: frozenset[str] = frozenset()) -> Asked:
        """An example with its answer, without some of its sources."""
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

    def _withheld(self, epoch: int, number: int) -> frozenset[str]:
        """What an epoch withholds of an example: drawn by both numbers, so that any place is reached."""
        if not self._settings.withheld:
            return frozenset()
        example = self._examples[number]
        parts = [*example.sources, *([WORDS] if example.transcript.strip() else [])]
        rng = np.random.default_rng([epoch_seed(self._settings.seed, epoch + 1, 4), number])
        draws = rng.random(len(parts))
        gone = {
            part
            for part, draw in zip(parts, draws, strict=True)
            if draw < self._settings.withheld and part not in example.cites
        }
        if len(gone) == len(parts):
            gone.discard(parts[int(draws.argmax())])
        return frozenset(gone)


def tensors_of(example: Example, withheld: frozenset[str] = frozenset()) -> dict[str, torch.Tensor]:
    """The features of an example, without what is withheld."""
    return {
        name: torch.tensor(np.asarray(values), dtype=torch.float32)
        for name, values in example.sources.items()
        if name not in withheld
    }
