"""Comparison of many systems on the same samples: a ranking with intervals, and groups that cannot be told apart.

Axes: N samples, K columns, S systems, R draws.

Every system is resampled and exchanged by the same draws, so that all S (S - 1) / 2 paired tests cost two matrix
products. p-values are those of `affekt.metrics.resampling.paired_test`, corrected over all pairs by Holm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError
from affekt.metrics import (
    Interval,
    difference_interval,
    holm,
    inferred_bounds,
    resampled_sums,
    student_interval,
    summed_by,
)
from affekt.metrics.resampling import Spread, influences_of, linearised_variances, sizes_of, spread

Score = Callable[[Floats], Floats]
"""Function from column sums (R, K) to (R,) scores."""
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True)
class Gap:
    """One system's score minus another's on the same samples."""

    difference: Interval
    p: float
    """Two-sided p-value of approximate randomization."""
    p_holm: float
    """p-value after Holm's correction over all pairs of the ranking."""


@dataclass(frozen=True)
class Ranking:
    """Systems by score, best first."""

    order: tuple[str, ...]
    scores: Mapping[str, Interval]
    ranks: Mapping[str, tuple[int, int, int]]
    """System to its rank, and the 2.5 and 97.5 % quantiles of its rank over resamples."""
    gaps: Mapping[tuple[str, str], Gap] = field(repr=False)
    """Differences of all pairs, the better system first."""
    groups: tuple[tuple[str, ...], ...]
    """Maximal runs of the order without a significant difference; a system alone differs from all others."""

    def letters(self, system: str) -> str:
        """The groups of a system, as letters: systems without a common letter differ significantly."""
        return ''.join(chr(ord('a') + index) for index, group in enumerate(self.groups) if system in group)


def rank_systems(
    columns: Mapping[str, Floats],
    score: Mapping[str, Score],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
    groups: npt.ArrayLike | None = None,
) -> Ranking:
    """Rank systems by a score, with intervals, paired tests of all pairs, and groups.

    Args:
        columns: name of a system to its (N, K) columns on the same samples.
        score: name of a system to the function from its column sums to its score.
        rng: generator of resamples and exchanges.
        resamples: number of resamples, and of exchanges.
        level: coverage of the intervals; pairs differ significantly below a p-value of 1 - level.
        groups: (N,) group of each sample, such as its speaker; whole groups are drawn and exchanged then.

    Raises:
        ShapeError: the systems were not scored on the same samples, there are none, or groups are not (N,).
    """
    if len({table.shape for table in columns.values()}) != 1:
        shapes = {name: table.shape for name, table in columns.items()}
        raise ShapeError(expected='columns of the same samples', came=f'{shapes}', todo='score all on one truth')
    names = list(columns)
    width = next(iter(columns.values())).shape[1]
    at = {name: slice(width * index, width * (index + 1)) for index, name in enumerate(names)}
    every = np.concatenate([columns[name] for name in names], axis=1)
    samples = len(every)
    by_sample = every
    if groups is not None:
        every = summed_by(every, np.asarray(groups))
    values = {name: float(score[name](every[:, at[name]].sum(axis=0, keepdims=True))[0]) for name in names}
    sums = resampled_sums(every, rng=rng, resamples=resamples)
    drawn = _scored(score, at, sums)
    order = tuple(sorted(names, key=lambda name: (-values[name], name)))
    pairs = list(combinations(order, 2))
    apart = {pair: drawn[pair[0]] - drawn[pair[1]] for pair in pairs}
    spreads = {name: Spread(draws) for name, draws in drawn.items()}
    gap_spreads = {pair: Spread(draws) for pair, draws in apart.items()}
    if groups is not None and len(every) > 1:
        aside, sizes = rng.spawn(1)[0], sizes_of(groups)
        each = cache(lambda count: _scored(score, at, resampled_sums(by_sample, rng=aside, resamples=count)))
        systems = partial(_scored, score, at)
        spreads = spread(
            drawn, sizes, each, lambda: linearised_variances(systems, by_sample), influences_of(systems, every, sizes)
        )

        def gaps_of(sums: Floats) -> dict[tuple[str, str], Floats]:
            scored = systems(sums)
            return {(left, right): scored[left] - scored[right] for left, right in pairs}

        gap_spreads = spread(
            apart,
            sizes,
            lambda count: {(left, right): each(count)[left] - each(count)[right] for left, right in pairs},
            lambda: linearised_variances(gaps_of, by_sample),
            influences_of(gaps_of, every, sizes),
        )
        drawn = {name: spread_of.draws for name, spread_of in spreads.items()}
    gaps = _gaps(every, at, order, values, drawn, gap_spreads, score, rng, resamples, level)
    from scipy.stats import rankdata  # importing it takes half a second, which all scoring would wait for

    placed = (
        rankdata(-np.array([drawn[name] for name in order]), axis=0, method='min')
        if resamples
        else np.ones((len(order), 0))
    )
    if len(every) < 2:  # a single group has no spread
        ranks = {name: (index + 1, 1, len(order)) for index, name in enumerate(order)}
    else:
        ranks = {name: (index + 1, *_rank_bounds(placed[index], index + 1, level)) for index, name in enumerate(order)}
    intervals = {
        name: student_interval(
            values[name], drawn[name], units=len(every), samples=samples, level=level, known=spreads[name].known
        )
        for name in order
    }
    return Ranking(order, intervals, ranks, gaps, _runs(order, gaps, 1 - level))


def _scored(score: Mapping[str, Score], at: Mapping[str, slice], sums: Floats) -> dict[str, Floats]:
    """(R,) score of each system."""
    return {name: score[name](sums[:, place]) for name, place in at.items()}


def _gaps(
    every: Floats,
    at: Mapping[str, slice],
    order: Sequence[str],
    values: Mapping[str, float],
    drawn: Mapping[str, Floats],
    apart: Mapping[tuple[str, str], Spread],
    score: Mapping[str, Score],
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[tuple[str, str], Gap]:
    """Difference of every pair with interval and p-value, in the order of the ranking."""
    coins = _exchanged(every, rng, resamples)
    totals = every.sum(axis=0)
    differences: dict[tuple[str, str], tuple[Interval, float]] = {}
    for left, right in combinations(order, 2):
        moved = coins[:, at[right]] - coins[:, at[left]]
        swapped = score[left](totals[at[left]] + moved) - score[right](totals[at[right]] - moved)
        observed = values[left] - values[right]
        extreme = int((np.abs(swapped) >= abs(observed) - 1e-12).sum())
        draws, known = apart[left, right]
        scores = np.concatenate([[values[right]], drawn[left], drawn[right]])
        bounds = inferred_bounds(values[left], scores[~np.isnan(scores)])
        difference = difference_interval(observed, draws, units=len(every), level=level, bounds=bounds, known=known)
        differences[left, right] = (difference, (1 + extreme) / (1 + resamples))
    corrected = holm([p for _, p in differences.values()])
    return {
        pair: Gap(*difference, adjusted)
        for (pair, difference), adjusted in zip(differences.items(), corrected, strict=True)
    }


def _exchanged(every: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """(R, columns) sums over a random half of the samples, in which two systems are exchanged."""
    step = max(1, _CHUNK_CELLS // max(len(every), 1))
    sizes = [min(step, draws - begin) for begin in range(0, draws, step)]
    parts = [rng.integers(0, 2, (size, len(every))).astype(np.float64) @ every for size in sizes]
    return np.concatenate(parts) if parts else np.zeros((0, every.shape[1]))


def _runs(order: Sequence[str], gaps: Mapping[tuple[str, str], Gap], level: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs without a significant difference."""
    runs: list[tuple[int, int]] = []
    for begin in range(len(order)):
        end = begin + 1
        while end < len(order) and all(gaps[order[i], order[end]].p_holm >= level for i in range(begin, end)):
            end += 1
        if not runs or end > runs[-1][1]:
            runs.append((begin, end))
    return tuple(tuple(order[begin:end]) for begin, end in runs)


def _rank_bounds(placed: Floats, rank: int, level: float) -> tuple[int, int]:
    if not len(placed):
        return rank, rank
    tail = (1 - level) / 2
    low, high = np.quantile(placed, [tail, 1 - tail], method='nearest')
    return int(low), int(high)
