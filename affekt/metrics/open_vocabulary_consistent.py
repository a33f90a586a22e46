"""Open-vocabulary scores that drop no word and that a constant answer cannot win.

Y are the groups of a sample's truth, H those of its prediction:

    P = |Y ∩ H| / |H|,  R = |Y ∩ H| / |Y|,  F1 = 2 |Y ∩ H| / (|Y| + |H|)

- **Every word counts.** A word that the table lacks is its own group: it is a hit where both sides have it, and costs
  precision or recall elsewhere. *neutral* is a class like any other. Only samples whose truth is empty are left out.
- **Three averages.** Per sample (the headline; equal weight for samples), micro (equal weight for group occurrences),
  macro (equal weight for those groups of the truth that are in the table).
- **Partial credit for near misses.** Two words are d rings apart on a wheel: 0 same base word, 1 same middle group,
  2 same inner sector, 3 sectors that the table calls neighbours, 4 otherwise; credit is 1 - d / 4, averaged over the
  table's own wheel, or over the five where it has none. Words are matched one to one for the largest total credit M;
  then P = M / |H|, R = M / |Y|, F1 = 2M / (|Y| + |H|): five synonyms of one true word earn credit once.
- **Intensity.** The same with each credit times 1 - |difference of intensity|, for words whose intensity the table
  knows.
- **Ceilings of constants.** `trivial_answers.py` gives for every score the largest value of any constant answer.

Axes: N samples, V labels, B base words and words outside the table, K columns, R draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.labels import NEUTRAL, WordTable, read_labels
from affekt.metrics.answers import LabelledAnswers
from affekt.metrics.label_sets import DROPPED, LabelSets, count, is_known, members
from affekt.metrics.measures import quotient, row_means

RING_STEP = 0.25
"""Credit lost per ring between two words."""
AVERAGES = ('precision', 'recall', 'f1', 'micro f1', 'macro f1')
"""Scores of each folding."""
NEAR_PARTS = ('precision', 'recall', 'f1')
"""Scores with partial credit."""


def consistent_parse(table: WordTable) -> Callable[[object], tuple[str, ...]]:
    """The parser of answers in consistent mode, which reads any form of list, and the table's words from prose."""
    return lambda answer: read_labels(answer, table.bases).labels


class Closeness:
    """Credit between base words of one vocabulary, in [0, 1]; symmetric, 1 only for equal words.

    Args:
        table: word table with the wheels.
        labels: (V,) labels.
    """

    def __init__(self, table: WordTable, labels: list[str]) -> None:
        fold = table.fold('M1', 'consistent')
        names: dict[str, int] = {}
        self.bases = np.array(
            [names.setdefault(fold.get(label, f'?{label}'), len(names)) for label in labels], np.int64
        )
        """(V,) base word of each label; a word outside the table is its own."""
        self.names = list(names)
        """B base words; those of words outside the table begin with '?'."""
        own_wheels = [index for index, wheel in enumerate(table.wheels) if index not in table.published]
        self._wheels = own_wheels or list(table.published)
        self._table = table
        self._rings = [self._ring_groups(wheel) for wheel in self._wheels]

    def _ring_groups(self, wheel: int) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
        """Middle group and inner sector of each base word (-1 where it has none), and which sectors are neighbours."""
        table, definition = self._table, self._table.wheels[wheel]
        middle, inner = (table.fold(f'{definition.short}-L{ring}', 'consistent') for ring in (2, 1))
        group_numbers, sector_numbers = (
            {name: index for index, name in enumerate(sorted({NEUTRAL, *ring.values()}))}
            for ring in (definition.middle, definition.inner)
        )
        neighbours = np.zeros((len(sector_numbers) + 1, len(sector_numbers) + 1), dtype=bool)
        for left, right in definition.neighbours:
            if left in sector_numbers and right in sector_numbers:
                neighbours[sector_numbers[left], sector_numbers[right]] = neighbours[
                    sector_numbers[right], sector_numbers[left]
                ] = True
        return (
            np.array([group_numbers.get(middle.get(name, ''), -1) for name in self.names], np.int64),
            np.array([sector_numbers.get(inner.get(name, ''), -1) for name in self.names], np.int64),
            neighbours,
        )

    def between(self, left: Ints, right: Ints) -> Floats:
        """(len(left), len(right)) credit of each pair of base words."""
        credit = np.zeros((len(left), len(right)))
        for middle, inner, neighbours in self._rings:
            same_group = _same(middle[left], middle[right])
            same_sector = _same(inner[left], inner[right])
            is_neighbour = neighbours[inner[left][:, None], inner[right][None, :]]
            rings = np.where(same_group, 1, np.where(same_sector, 2, np.where(is_neighbour, 3, 4)))
            credit += (1.0 - RING_STEP * rings) / len(self._rings)
        credit[left[:, None] == right[None, :]] = 1.0
        return credit

    @cached_property
    def intensity(self) -> Floats:
        """(B,) intensity of each base word in [0, 1]; nan where the table has none."""
        senses = self._table.senses
        return np.array([senses[name].intensity if name in senses else np.nan for name in self.names])

    def alike(self, left: Ints, right: Ints) -> Floats:
        """(len(left), len(right)) 1 - |difference of intensity|; 1 where an intensity is unknown."""
        difference = np.abs(self.intensity[left][:, None] - self.intensity[right][None, :])
        return 1.0 - np.nan_to_num(difference, nan=0.0)


def _same(left: Ints, right: Ints) -> npt.NDArray[np.bool_]:
    """(len(left), len(right)) True where two numbers are equal and not -1."""
    return np.asarray((left[:, None] == right[None, :]) & (left >= 0)[:, None], dtype=bool)


def best_matching(credit: Floats) -> float:
    """The largest total credit of a one-to-one matching of rows and columns.

    Args:
        credit: credit of each pair, with at least one row and one column.

    >>> best_matching(np.array([[1.0, 0.5], [0.75, 0.0]]))
    1.25
    """
    if 1 in credit.shape:
        return float(credit.max())
    from scipy.optimize import linear_sum_assignment  # imported here, since it takes half a second

    rows, columns = linear_sum_assignment(credit, maximize=True)
    return float(credit[rows, columns].sum())


class ConsistentMeasure:
    """The consistent scores of one system as functions of sums over samples.

    Args:
        table: word table that folds the words.
        answers: answers parsed by `consistent_parse`, without samples whose truth is empty.
    """

    def __init__(self, table: WordTable, answers: LabelledAnswers) -> None:
        self.table, self.answers = table, answers
        wheels = [wheel.short for wheel in table.wheels]
        self.foldings = ('M1', *(f'{wheel}-L{ring}' for wheel in wheels for ring in (2, 1)))
        published = [table.wheels[index].short for index in table.published]
        self.means = {f'EW-L{ring}': [f'{wheel}-L{ring}' for wheel in published] for ring in (1, 2)}
        self.near = ('near', 'near+intensity') if table.senses else ('near',)
        self.rows = (*self.near, *self.foldings, *self.means)

        self._macro_sizes: dict[str, int] = {}
        self.columns = self._columns()
        """(N, K) columns: 1, the near misses, then five sums and two rows of groups per folding."""

    def _columns(self) -> Floats:
        truth, prediction = self.answers.truth, self.answers.prediction
        blocks: list[npt.NDArray[Any]] = [np.ones((len(truth), 1)), self._near_columns()]
        for folding in self.foldings:
            fold = self.table.fold(folding, 'consistent')
            groups, names = self.answers.vocabulary.groups(fold, strangers_stand_alone=True)
            counts = count(truth, prediction, groups)
            sets = [counts.precision(), counts.recall(), counts.f1(), counts.shared, counts.truth + counts.prediction]
            is_in_table = np.array([is_known(name) for name in names], dtype=bool)
            kept_groups = np.where(is_in_table[groups], groups, DROPPED) if len(groups) else groups
            true, predicted = members(truth, kept_groups, len(names)), members(prediction, kept_groups, len(names))
            true_groups = np.flatnonzero(true.any(axis=0))
            self._macro_sizes[folding] = len(true_groups)
            true, predicted = true[:, true_groups], predicted[:, true_groups]
            blocks += [np.stack(sets, axis=1), true & predicted, true.astype(np.int64) + predicted]
        return np.concatenate([part.astype(np.float64) for part in blocks], axis=1)

    def _near_columns(self) -> Floats:
        """(N, 3 × rows of `near`) precision, recall and F1 of the best matching of each sample."""
        answers = self.answers
        closeness = Closeness(self.table, answers.vocabulary.words)
        scores = np.zeros((len(answers.names), len(self.near), 3))
        sides = [base_runs(side, closeness.bases) for side in (answers.truth, answers.prediction)]
        computed: dict[tuple[bytes, bytes], Floats] = {}
        for sample, (true, predicted) in enumerate(zip(*sides, strict=True)):
            if not len(true) or not len(predicted):
                continue
            key = (true.tobytes(), predicted.tobytes())
            if key not in computed:
                computed[key] = self._matched(closeness, true, predicted)
            scores[sample] = computed[key]
        return scores.reshape(len(answers.names), -1)

    def _matched(self, closeness: Closeness, true: Ints, predicted: Ints) -> Floats:
        """(rows of `near`, 3) precision, recall and F1 of the best matching of two sets of base words."""
        credit = closeness.between(predicted, true)
        credits = [credit, credit * closeness.alike(predicted, true)][: len(self.near)]
        totals = np.array([best_matching(matrix) for matrix in credits])
        return np.stack(
            [totals / len(predicted), totals / len(true), 2 * totals / (len(true) + len(predicted))], axis=1
        )

    def statistic(self, sums: Floats) -> dict[str, Floats]:
        """Scores from (R, K) sums, named 'affekt-L1 f1', 'near precision', 'M1 micro f1' …"""
        values: dict[str, Floats] = {}
        column = 1
        n = sums[:, 0]
        for row in self.near:
            for part in NEAR_PARTS:
                values[f'{row} {part}'] = quotient(sums[:, column], n)
                column += 1
        for folding in self.foldings:
            for part in ('precision', 'recall', 'f1'):
                values[f'{folding} {part}'] = quotient(sums[:, column], n)
                column += 1
            values[f'{folding} micro f1'] = quotient(2 * sums[:, column], sums[:, column + 1])
            column += 2
            size = self._macro_sizes[folding]
            hits, sizes = sums[:, column : column + size], sums[:, column + size : column + 2 * size]
            column += 2 * size
            per_group = np.divide(2 * hits, sizes, out=np.full(hits.shape, np.nan), where=sizes > 0)
            values[f'{folding} macro f1'] = row_means(per_group)
        for name, rows in self.means.items():
            for part in AVERAGES:
                values[f'{name} {part}'] = np.mean([values[f'{row} {part}'] for row in rows], axis=0)
        return values


def base_runs(sets: LabelSets, bases: Ints) -> list[Ints]:
    """Distinct base words of each sample, sorted."""
    base_ids = bases[sets.ids]
    return [np.unique(base_ids[begin:end]) for begin, end in zip(sets.starts[:-1], sets.starts[1:], strict=True)]
