"""Comparison of many systems on the same samples: a ranking with intervals, and groups that cannot be told apart.

Axes: N samples, K columns, S systems, R draws.

Every system is resampled and exchanged by the same draws, so that all S (S - 1) / 2 paired tests cost two matrix
products. p-values are those of `affekt.metrics.resampling.paired_test`, corrected over all pairs by Holm.
"""

from __future__ import annotations

import math
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
from affekt.metrics.resampling import Spread, exchange_p, influences_of, linearised_variances, sizes_of, spread

Score = Callable[[Floats], Floats]
"""Function from column sums (R, K) to (R,) scores."""
_Spreads = dict[str, Spread]
"""System to the spread of its score."""
_GapSpreads = dict[tuple[str, str], Spread]
"""Pair of systems to the spread of their difference."""
_CHUNK_CELLS = 4_000_000
"""Random numbers held at once by `_exchanged`; 32 MB as float64."""


@dataclass(frozen=True)
class Gap:
    """One system's score minus another's on the same samples."""

    difference: Interval
    p: float
    """Two-sided p-value of approximate randomization; nan if the difference is undefined, or without exchanges."""
    p_holm: float
    """p-value after Holm's correction over all pairs of the ranking."""


@dataclass(frozen=True)
class Ranking:
    """Systems by score, best first; an undefined score counts as the lowest."""

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
    column_slices = {name: slice(width * index, width * (index + 1)) for index, name in enumerate(names)}
    by_sample = np.concatenate([columns[name] for name in names], axis=1)  # (N, S K)
    joined = by_sample if groups is None else summed_by(by_sample, np.asarray(groups))
    # 1. Scores, and their spread over resamples.
    values = {name: float(score[name](joined[:, column_slices[name]].sum(axis=0, keepdims=True))[0]) for name in names}
    order = tuple(sorted(names, key=lambda name: (math.inf if math.isnan(values[name]) else -values[name], name)))
    resampled_scores = _scored(score, column_slices, resampled_sums(joined, rng=rng, resamples=resamples))
    if groups is None or len(joined) < 2:
        spreads, gap_spreads = _plain_spreads(resampled_scores, order)
    else:
        spreads, gap_spreads = _group_spreads(
            resampled_scores, order, by_sample, joined, partial(_scored, score, column_slices), groups, rng
        )
        resampled_scores = {name: spread_of.draws for name, spread_of in spreads.items()}
    # 2. Differences of all pairs, and ranks.
    gaps = _gaps(joined, column_slices, order, values, resampled_scores, gap_spreads, score, rng, resamples, level)
    ranks = _ranks(resampled_scores, order, level, has_spread=len(joined) > 1)
    intervals = {
        name: student_interval(
            values[name],
            resampled_scores[name],
            units=len(joined),
            samples=len(by_sample),
            level=level,
            known=spreads[name].known,
        )
        for name in order
    }
    return Ranking(order, intervals, ranks, gaps, _groups(order, gaps, 1 - level))


def _plain_spreads(resampled_scores: Mapping[str, Floats], order: Sequence[str]) -> tuple[_Spreads, _GapSpreads]:
    """Spreads of scores and of their differences, of samples that were drawn independently."""
    spreads = {name: Spread(draws) for name, draws in resampled_scores.items()}
    gap_spreads = {
        (left, right): Spread(resampled_scores[left] - resampled_scores[right])
        for left, right in combinations(order, 2)
    }
    return spreads, gap_spreads


def _group_spreads(
    resampled_scores: Mapping[str, Floats],
    order: Sequence[str],
    by_sample: Floats,
    by_group: Floats,
    score_all: Callable[[Floats], dict[str, Floats]],
    groups: npt.ArrayLike,
    rng: np.random.Generator,
) -> tuple[_Spreads, _GapSpreads]:
    """Spreads of scores and of their differences, of samples that were drawn by whole groups; see `spread`.

    Args:
        resampled_scores: system to its (R,) scores over resamples of groups.
        order: the systems, best first.
        by_sample: (N, S K) columns of all systems.
        by_group: (G, S K) sums of these columns over each group.
        score_all: function from (R, S K) column sums to the (R,) scores of each system.
        groups: (N,) group of each sample.
        rng: generator from which that of the samples is spawned.
    """
    sample_rng, sizes = rng.spawn(1)[0], sizes_of(groups)
    scores_of_samples = cache(lambda count: score_all(resampled_sums(by_sample, rng=sample_rng, resamples=count)))
    spreads = spread(
        resampled_scores,
        sizes,
        scores_of_samples,
        lambda: linearised_variances(score_all, by_sample),
        influences_of(score_all, by_group, sizes),
    )

    def differences(scores: Mapping[str, Floats]) -> dict[tuple[str, str], Floats]:
        return {(left, right): scores[left] - scores[right] for left, right in combinations(order, 2)}

    def differences_of(sums: Floats) -> dict[tuple[str, str], Floats]:
        return differences(score_all(sums))

    gap_spreads = spread(
        differences(resampled_scores),
        sizes,
        lambda count: differences(scores_of_samples(count)),
        lambda: linearised_variances(differences_of, by_sample),
        influences_of(differences_of, by_group, sizes),
    )
    return spreads, gap_spreads


def _ranks(
    resampled_scores: Mapping[str, Floats], order: Sequence[str], level: float, *, has_spread: bool
) -> dict[str, tuple[int, int, int]]:
    """System to its rank and the bounds of its rank over resamples; all ranks if a single group has no spread."""
    if not has_spread:
        return {name: (rank, 1, len(order)) for rank, name in enumerate(order, 1)}
    from scipy.stats import rankdata  # importing it takes half a second, which all scoring would wait for

    scores = np.array([resampled_scores[name] for name in order])  # (S, R)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    resampled_ranks = rankdata(-scores, axis=0, method='min') if scores.shape[1] else scores
    return {name: (rank, *_rank_bounds(resampled_ranks[rank - 1], rank, level)) for rank, name in enumerate(order, 1)}


def _scored(score: Mapping[str, Score], column_slices: Mapping[str, slice], sums: Floats) -> dict[str, Floats]:
    """(R,) score of each system."""
    return {name: score[name](sums[:, columns]) for name, columns in column_slices.items()}


def _gaps(
    joined: Floats,
    column_slices: Mapping[str, slice],
    order: Sequence[str],
    values: Mapping[str, float],
    resampled_scores: Mapping[str, Floats],
    pair_spreads: Mapping[tuple[str, str], Spread],
    score: Mapping[str, Score],
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[tuple[str, str], Gap]:
    """Difference of every pair with interval and p-value, in the order of the ranking."""
    half_sums = _exchanged(joined, rng, resamples)
    totals = joined.sum(axis=0)
    differences: dict[tuple[str, str], tuple[Interval, float]] = {}
    for left, right in combinations(order, 2):
        exchanged = half_sums[:, column_slices[right]] - half_sums[:, column_slices[left]]
        exchanged_differences = score[left](totals[column_slices[left]] + exchanged) - score[right](
            totals[column_slices[right]] - exchanged
        )
        observed = values[left] - values[right]
        draws, known = pair_spreads[left, right]
        scores = np.concatenate([[values[right]], resampled_scores[left], resampled_scores[right]])
        bounds = inferred_bounds(values[left], scores[~np.isnan(scores)])
        difference = difference_interval(observed, draws, units=len(joined), level=level, bounds=bounds, known=known)
        differences[left, right] = (difference, exchange_p(observed, exchanged_differences))
    corrected = holm([p for _, p in differences.values()])
    return {
        pair: Gap(*difference, adjusted)
        for (pair, difference), adjusted in zip(differences.items(), corrected, strict=True)
    }


def _exchanged(joined: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """(R, S K) column sums over the samples whose coin fell on exchange, each with probability 1/2."""
    step = max(1, _CHUNK_CELLS // max(len(joined), 1))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    chunks = [rng.integers(0, 2, (size, len(joined))).astype(np.float64) @ joined for size in sizes]
    return np.concatenate(chunks) if chunks else np.zeros((0, joined.shape[1]))


def _groups(order: Sequence[str], gaps: Mapping[tuple[str, str], Gap], level: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs without a significant difference."""
    groups: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(gaps[order[i], order[end]].p_holm < level for i in range(start, end)):
            end += 1
        if not groups or end > groups[-1][1]:
            groups.append((start, end))
    return tuple(tuple(order[start:end]) for start, end in groups)


def _rank_bounds(resampled_ranks: Floats, rank: int, level: float) -> tuple[int, int]:
    if not len(resampled_ranks):
        return rank, rank
    tail = (1 - level) / 2
    low, high = np.quantile(resampled_ranks, [tail, 1 - tail], method='nearest')
    return int(low), int(high)
