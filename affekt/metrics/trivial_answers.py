"""Scores of answers that ignore the sample: trivial answers, and the ceiling of all constant answers.

A constant answer H is one fixed list of words for every sample. Write f_g for the number of samples whose truth has
group g, Y_i for the true groups of sample i, n for the number of samples. Over all H, in `consistent` mode:

    precision   max_g f_g / n                                   a single group is best
    recall      1                                               all groups are best
    F1          max_k  top_k over g of  (1/n) sum_i [g in Y_i] 2 / (|Y_i| + k)
    micro F1    max_k  2 (top_k of f_g) / (n k + sum_i |Y_i|)
    macro F1    mean_g 2 f_g / (n + f_g)                        all groups are best

For a fixed size k each sum over H splits into a sum over its groups, so the best k groups are the k largest and the
ceiling is exact. Near misses match words one to one, which does not split; there, as for means over wheels, the ceiling
is an upper bound (`_matched_ceiling`). Words that only the truth contains count too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.metrics.answers import LabelledAnswers
from affekt.metrics.label_sets import LabelSets, is_known, members
from affekt.metrics.open_vocabulary_consistent import Closeness, ConsistentMeasure, base_runs

BASIC_ANSWERS: Mapping[str, tuple[str, ...]] = {
    'six basic words': ('happy', 'angry', 'sad', 'worried', 'surprised', 'neutral'),
    'four basic words': ('angry', 'sad', 'worried', 'happy'),
}
"""Name of a constant answer to its words, after common label sets of the field."""
MOST_FREQUENT = (1, 2, 3, 5, 8)
"""Numbers of the truth's most frequent labels that form constant answers."""
_CELLS_AT_ONCE = 8_000_000
"""Maximum number of credits in memory at a time."""
_DESCENTS = 40
"""Number of subgradient steps per size of a constant; every step gives a valid bound."""


@dataclass(frozen=True)
class Ceiling:
    """Largest scores of any constant answer."""

    values: Mapping[str, float]
    """Name of a score to its ceiling in [0, 1]."""
    words: Mapping[str, tuple[str, ...]]
    """Name of an F1 to the constant answer that comes nearest to its ceiling."""


def trivial_answers(truth: LabelSets, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Name to words of constant answers: basic words, and the truth's most frequent labels.

    Args:
        truth: label sets of the truth.
        words: (V,) label of each number.
    """
    frequent = [words[label] for label, _ in Counter(truth.ids.tolist()).most_common(max(MOST_FREQUENT))]
    ranked = {f'{k} most frequent': tuple(frequent[:k]) for k in MOST_FREQUENT if k <= len(frequent)}
    return {**BASIC_ANSWERS, **ranked}


def constant_ceiling(measure: ConsistentMeasure) -> Ceiling:
    """The ceiling of each consistent score; see the module."""
    answers = measure.answers
    values: dict[str, float] = {}
    words: dict[str, tuple[str, ...]] = {}
    _near_ceilings(measure, answers, values, words)
    for folding in measure.foldings:
        fold = measure.table.fold(folding, 'consistent')
        groups, names = answers.vocabulary.groups(fold, strangers_stand_alone=True)
        membership = members(answers.truth, groups, len(names))
        chosen = _folding_ceilings(folding, membership, names, values)
        words[f'{folding} f1'] = tuple(names[group].removeprefix('?') for group in chosen)
    for name, rows in measure.means.items():
        for part in ('precision', 'recall', 'f1', 'micro f1', 'macro f1'):
            values[f'{name} {part}'] = float(np.mean([values[f'{row} {part}'] for row in rows]))
    return Ceiling(values, words)


def _folding_ceilings(
    folding: str, membership: npt.NDArray[np.bool_], names: Sequence[str], values: dict[str, float]
) -> list[int]:
    """Add the ceilings of one folding, from (N, G) membership; returns the groups of the constant with the best F1."""
    frequency = membership.sum(axis=0)
    count, set_sizes = len(membership), membership.sum(axis=1)
    cumulated = np.sort(frequency)[::-1].cumsum()
    is_counted = np.array([is_known(name) for name in names], dtype=bool) & (frequency > 0)
    lengths = np.arange(1, len(frequency) + 1)
    best, chosen = _best_of_size(membership.T.astype(np.float64), np.ones(count), set_sizes)
    values |= {
        f'{folding} precision': float(frequency.max() / count),
        f'{folding} recall': 1.0,
        f'{folding} f1': best,
        f'{folding} micro f1': float((2 * cumulated / (count * lengths + set_sizes.sum())).max()),
        f'{folding} macro f1': _mean(2 * frequency[is_counted] / (count + frequency[is_counted])),
    }
    return chosen


def _best_of_size(earned: Floats, weights: Floats, sizes: Ints) -> tuple[float, list[int]]:
    """The largest mean of 2 earned / (|Y| + k) over constants of any size k, and the members of that constant.

    C candidates, S truth sets.

    Args:
        earned: (C, S) credit of each candidate on each set.
        weights: (S,) frequency of each set.
        sizes: (S,) |Y| of each set.
    """
    total = weights.sum()
    best, chosen = 0.0, []
    for k in range(1, len(earned) + 1):
        share = weights / (sizes + k)
        if 2 * float(np.minimum(sizes, k) @ share) / total <= best:
            if k > sizes.max():
                break  # min(|Y|, k) / (|Y| + k) decreases from here on
            continue
        gains = earned @ share
        top = np.argpartition(gains, -k)[-k:]
        value = 2 * float(gains[top].sum()) / float(total)
        if value > best:
            best, chosen = float(value), [int(index) for index in top[np.argsort(-gains[top])]]
    return best, chosen


def _near_ceilings(
    measure: ConsistentMeasure, answers: LabelledAnswers, values: dict[str, float], words: dict[str, tuple[str, ...]]
) -> None:
    """Add the bounds of the scores with partial credit, and the constants that come nearest."""
    labels = [*answers.vocabulary.words, *measure.table.words]
    closeness = Closeness(measure.table, labels)
    set_counts = Counter(tuple(run.tolist()) for run in base_runs(answers.truth, closeness.bases))
    distinct = np.array(sorted({base for run in set_counts for base in run}), dtype=np.int64)
    index_of = {int(base): position for position, base in enumerate(distinct)}
    truth = _TruthSets(
        np.array([index_of[base] for run in set_counts for base in run], dtype=np.int64),
        np.array([len(run) for run in set_counts], dtype=np.int64),
        np.array(list(set_counts.values()), dtype=np.float64) / sum(set_counts.values()),
    )
    candidates = np.arange(len(closeness.names))
    for row in measure.near:
        credit = closeness.between(candidates, distinct)
        if row != measure.near[0]:  # near+intensity
            credit *= closeness.alike(candidates, distinct)
        best, chosen = _matched_ceiling(credit, truth)
        values |= {
            f'{row} precision': float((truth.most(credit) @ truth.weights).max()),
            f'{row} recall': 1.0,
            f'{row} f1': best,
        }
        words[f'{row} f1'] = tuple(closeness.names[position].removeprefix('?') for position in chosen)


@dataclass(frozen=True)
class _TruthSets:
    """The distinct sets of true words as runs: L entries in S sets, D distinct words."""

    flat: Ints
    """(L,) index of each entry among the distinct true words."""
    sizes: Ints
    """(S,) number of words of each set."""
    weights: Floats
    """(S,) share of the samples with this set."""

    @property
    def starts(self) -> Ints:
        """(S,) first entry of each set."""
        return np.cumsum([0, *self.sizes[:-1]])

    def most(self, credit: Floats) -> Floats:
        """(C, S) best credit of each candidate in each set, from (C, D) credit; in parts that fit memory."""
        parts = np.array_split(credit, max(1, credit.shape[0] * len(self.flat) // _CELLS_AT_ONCE))
        return np.concatenate([np.maximum.reduceat(part[:, self.flat], self.starts, axis=1) for part in parts])


def _matched_ceiling(credit: Floats, truth: _TruthSets) -> tuple[float, list[int]]:
    """A bound on mean 2 M / (|Y| + k) over constants of every size k, where M matches words one to one.

    By duality M <= sum_y u_y + sum_h max_y (credit - u)+ for any prices u >= 0 of the true words; the right side splits
    into a sum over H, so its best k members are the k largest. Prices descend along subgradients; every step gives a
    bound.

    Args:
        credit: (C, D) credit of candidates with distinct true words.
        truth: the sets of true words.

    Returns:
        The bound, and the constant that gives it (the bound is not always attained).
    """
    distinct_rows, row_of = np.unique(credit, axis=0, return_inverse=True)
    copies_of = (
        [np.flatnonzero(row_of.ravel() == row) for row in range(len(distinct_rows))] if len(distinct_rows) else []
    )
    multiplicity = np.array([len(equal_rows) for equal_rows in copies_of], dtype=np.int64)
    prices = np.zeros(credit.shape[1])
    best, chosen = 0.0, np.zeros(0, dtype=np.int64)
    for k in range(1, len(credit) + 1):
        share = 2 * truth.weights / (truth.sizes + k)
        if float(np.minimum(truth.sizes, k) @ share) <= best:
            if k > truth.sizes.max():
                break
            continue
        bound, prices, top = _descend(distinct_rows, multiplicity, prices, truth, share, k, best)
        if bound > best:
            best, chosen = bound, top
    used: Counter[int] = Counter()
    constant = []
    for row in chosen.tolist():
        constant.append(int(copies_of[row][used[row]]))
        used[row] += 1
    return best, constant


def _descend(
    rows: Floats, multiplicity: Ints, prices: Floats, truth: _TruthSets, share: Floats, k: int, threshold: float
) -> tuple[float, Floats, Ints]:
    """The lowest bound for constants of k words; stops early once it is not above `threshold`."""
    best, best_prices, best_top = np.inf, prices, np.zeros(0, dtype=np.int64)
    entry_share = np.repeat(share, truth.sizes)
    worth = np.bincount(truth.flat, entry_share, minlength=len(prices))
    step = 0.2
    for _ in range(_DESCENTS):
        gains = truth.most(np.maximum(rows - prices, 0.0)) @ share
        order = np.argsort(-gains, kind='stable')
        top = np.repeat(order[:k], np.minimum(multiplicity[order[:k]], k))[:k]
        bound = float(worth @ prices + gains[top].sum())
        if bound < best:
            best, best_prices, best_top = bound, prices, top
        if best <= threshold:
            break
        matched = np.zeros(len(prices))
        for candidate, count in Counter(top.tolist()).items():
            margin = (rows[candidate] - prices)[truth.flat]
            first = _first_best(margin, truth)
            np.add.at(matched, truth.flat[first], count * entry_share[first])
        slope = 1.0 - np.divide(matched, worth, out=np.zeros(len(prices)), where=worth > 0)
        prices = np.clip(prices - step * slope, 0.0, 1.0)
        step *= 0.9
    return best, best_prices, best_top


def _first_best(margin: Floats, truth: _TruthSets) -> Ints:
    """Entry of the largest positive margin in each set that has one."""
    largest = np.repeat(np.maximum.reduceat(margin, truth.starts), truth.sizes)
    entries = np.flatnonzero((margin == largest) & (margin > 0))
    owners = np.repeat(np.arange(len(truth.sizes)), truth.sizes)[entries]
    return entries[np.unique(owners, return_index=True)[1]]


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float('nan')
