"""Sets of labels, one per sample, compared after folding.

Every answer is parsed once into a run of label numbers; a folding is an array from label number to group number; shared
groups are then counted with one bit per group, so that 20,000 samples take milliseconds.

Axes: N samples, L labels of all samples together, V distinct labels (the vocabulary), G groups to which labels fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints

DROPPED = -1
"""Group number of a label that a folding drops."""


@dataclass(frozen=True)
class LabelSets:
    """Label sets of N samples as runs of label numbers; each label once per sample."""

    ids: Ints
    """(L,) label numbers, sample after sample."""
    starts: Ints
    """(N + 1,) start of each sample's run; the last entry is L."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def where(self, keep_mask: npt.NDArray[np.bool_]) -> LabelSets:
        """The runs of the samples where the mask is True."""
        sizes = self.sizes[keep_mask]
        return LabelSets(self.ids[np.repeat(keep_mask, self.sizes)], np.cumsum([0, *sizes], dtype=np.int64))

    @property
    def sizes(self) -> Ints:
        """(N,) number of labels of each sample."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """(L,) sample of each entry of `ids`."""
        return np.repeat(np.arange(len(self)), self.sizes)


class Vocabulary:
    """Numbering of labels, in order of their first occurrence."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.words)

    def number(self, label: str) -> int:
        """The number of a label; a new label gets the next number."""
        number = self._numbers.get(label)
        if number is None:
            number = self._numbers[label] = len(self.words)
            self.words.append(label)
        return number

    def sets(self, answers: Iterable[object], parse: Callable[[object], Iterable[str]]) -> LabelSets:
        """Label sets of answers; equal texts are parsed once.

        Args:
            answers: answers of the samples, of any type that the parser takes.
            parse: function from an answer to its labels; a label counts once per answer.
        """
        parsed: dict[str, tuple[int, ...]] = {}
        ids: list[int] = []
        sizes: list[int] = [0]
        for answer in answers:
            run = parsed.get(answer) if isinstance(answer, str) else None
            if run is None:
                run = tuple(dict.fromkeys(map(self.number, parse(answer))))
                if isinstance(answer, str):
                    parsed[answer] = run
            ids.extend(run)
            sizes.append(len(run))
        return LabelSets(np.array(ids, dtype=np.int64), np.cumsum(sizes, dtype=np.int64))

    def groups(self, fold: Mapping[str, str], *, strangers_stand_alone: bool) -> tuple[Ints, list[str]]:
        """Group number of each label, and names of the groups.

        Args:
            fold: label to group.
            strangers_stand_alone: a label without a group becomes its own group; otherwise it is DROPPED.

        Returns:
            (V,) group numbers, and G names; the name of a label's own group is `'?' + label`, which no table contains.
        """
        names: dict[str, int] = {}
        numbers = np.full(len(self.words), DROPPED, dtype=np.int64)
        for index, word in enumerate(self.words):
            group = fold.get(word)
            if group is None and strangers_stand_alone:
                group = f'?{word}'
            if group is not None:
                numbers[index] = names.setdefault(group, len(names))
        return numbers, list(names)


def is_known(group: str) -> bool:
    """Whether a group comes from the word table, in contrast to the own group of a label outside it."""
    return not group.startswith('?')


@dataclass(frozen=True)
class Counts:
    """Number of groups in each sample's truth and prediction, and in both."""

    truth: Ints
    """(N,) groups of the truth."""
    prediction: Ints
    """(N,) groups of the prediction."""
    shared: Ints
    """(N,) groups in both."""

    def precision(self) -> npt.NDArray[np.float64]:
        """(N,) shared over predicted; 0 where nothing was predicted."""
        return _share(self.shared, self.prediction)

    def recall(self) -> npt.NDArray[np.float64]:
        """(N,) shared over true; 0 where there is no truth."""
        return _share(self.shared, self.truth)

    def f1(self) -> npt.NDArray[np.float64]:
        """(N,) 2 shared / (true + predicted); 0 where both are empty."""
        return _share(2 * self.shared, self.truth + self.prediction)

    def where(self, keep_mask: npt.NDArray[np.bool_]) -> Counts:
        """The counts of the samples where the mask is True."""
        return Counts(self.truth[keep_mask], self.prediction[keep_mask], self.shared[keep_mask])


def count(truth: LabelSets, prediction: LabelSets, groups: Ints) -> Counts:
    """Number of groups in truth, prediction and both, by sample.

    Args:
        truth: label sets of N samples.
        prediction: label sets of the same N samples.
        groups: (V,) group of each label, DROPPED where it has none.
    """
    left, right = bits(truth, groups), bits(prediction, groups)
    return Counts(_ones(left), _ones(right), _ones(left & right))


def bits(sets: LabelSets, groups: Ints) -> npt.NDArray[np.uint64]:
    """(N, W) bit sets of the groups of each sample: group g is bit g % 64 of word g // 64."""
    width = (int(groups.max(initial=DROPPED)) + 64) // 64 or 1  # W
    masks = np.zeros((len(groups) + 1, width), dtype=np.uint64)
    grouped = np.flatnonzero(groups >= 0)
    masks[grouped, groups[grouped] // 64] = np.uint64(1) << (groups[grouped] % 64).astype(np.uint64)
    words = np.zeros((len(sets), width), dtype=np.uint64)
    filled = sets.sizes > 0
    if filled.any():
        words[filled] = np.bitwise_or.reduceat(masks[sets.ids], sets.starts[:-1][filled], axis=0)
    return words


def members(sets: LabelSets, groups: Ints, size: int) -> npt.NDArray[np.bool_]:
    """(N, G) True where a sample has a group.

    Args:
        sets: label sets of N samples.
        groups: (V,) group of each label, DROPPED where it has none.
        size: G.
    """
    table = np.zeros((len(sets), size), dtype=bool)
    columns = groups[sets.ids]
    table[sets.owners[columns >= 0], columns[columns >= 0]] = True
    return table


def _ones(table: npt.NDArray[np.uint64]) -> Ints:
    """(N,) number of bits set in each row."""
    counts: Ints = np.bitwise_count(table).sum(axis=1, dtype=np.int64)
    return counts


def _share(numerator: Ints, denominator: Ints) -> npt.NDArray[np.float64]:
    """(N,) quotients; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
