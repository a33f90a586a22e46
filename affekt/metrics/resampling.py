"""Intervals and paired tests for scores that are functions of sums over samples.

A score such as F = 2PR / (P + R) of mean precision and mean recall depends on its samples only through the sums of a
few columns. A resample is then a row of weights, all resamples are one matrix product, and the function that gives the
score also gives its distribution.

Axes: N samples, n groups, K columns, R draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError
from affekt.metrics.group_sizes import Freedom, added_by
from affekt.metrics.intervals import (
    UNBOUNDED,
    Bounds,
    Interval,
    difference_interval,
    require_draws,
    require_groups,
    spread_of,
    student_interval,
)

Statistic = Callable[[Floats], Mapping[str, Floats]]
"""Function from column sums (R, K) to (R,) values of each named score."""
_CHUNK_CELLS = 4_000_000
"""Maximum number of weights in memory at a time."""
WEIGHT_STEP = 2.0**-10
"""Step of a unit's weight in the numerical derivative of a score."""
_Name = TypeVar('_Name', bound=Hashable)


def intervals(
    columns: Floats,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
    groups: npt.ArrayLike | None = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> dict[str, Interval]:
    """Every score with its interval by `student_interval`, over samples or groups of samples.

    Args:
        columns: (N, K) columns whose sums give the scores.
        statistic: function from sums to scores.
        rng: generator of the resamples.
        resamples: number of resamples; 0 gives intervals of nan.
        level: coverage of the interval, in (0, 1).
        groups: (N,) group of each sample; whole groups are resampled then.
        bounds: name of a score to its lowest and highest possible value; for others see `student_interval`.

    Raises:
        ShapeError: groups are not (N,).
        ValueRangeError: resamples or level is out of range, or a sample has no group.
    """
    values = statistic(columns.sum(axis=0, keepdims=True))
    drawn, units = _drawn(columns, statistic, rng, resamples, groups)
    limits = bounds or {}
    return {
        name: student_interval(
            float(value[0]), drawn[name].draws, units=units, samples=len(columns), level=level,
            bounds=limits.get(name), known=drawn[name].known,
        )
        for name, value in values.items()
    }  # fmt: skip


def _drawn(
    columns: Floats, statistic: Statistic, rng: np.random.Generator, resamples: int, groups: npt.ArrayLike | None
) -> tuple[dict[str, Spread], int]:
    """Each score on resamples, and the number of units."""
    units = columns if groups is None else summed_by(columns, np.asarray(groups))
    drawn = statistic(resampled_sums(units, rng=rng, resamples=resamples))
    if groups is None or len(units) < 2:
        return {name: Spread(draws) for name, draws in drawn.items()}, len(units)
    sample_rng = rng.spawn(1)[0]
    return spread(
        drawn,
        sizes_of(groups),
        lambda count: statistic(resampled_sums(columns, rng=sample_rng, resamples=count)),
        lambda: linearised_variances(statistic, columns),
        influences_of(statistic, units, sizes_of(groups)),
    ), len(units)


class Spread(NamedTuple):
    """Distribution of a score over resamples, as its interval needs it."""

    draws: Floats
    """(R,) score of each resample."""
    known: Freedom | None = None
    """Corrections of the standard error; None for those of equal units."""


def spread(
    by_group: Mapping[_Name, Floats],
    sizes: Sequence[int],
    of_samples: Callable[[int], Mapping[_Name, Floats]],
    among_samples: Callable[[], Mapping[_Name, float]],
    influences: Mapping[_Name, Floats],
) -> dict[_Name, Spread]:
    """Draws of each score over groups, with the corrections of their standard errors; see `spread_of`.

    Args:
        by_group: name of a score to its (R,) values on resamples of at least two groups.
        sizes: number of samples of each of the n groups.
        of_samples: function from a number to the scores on that many resamples of samples; called where needed.
        among_samples: function that returns each score's variance as if samples were independent, see
            `linearised_variances`; called where needed.
        influences: name of a score to the (n,) influence of each group, see `influences_of`.
    """
    cached_draws, cached_variances = cache(of_samples), cache(among_samples)

    def draws_of(name: _Name, count: int) -> Floats:
        return cached_draws(count)[name]

    def variance_of(name: _Name) -> float:
        return cached_variances()[name]

    return {
        name: Spread(*spread_of(draws, sizes, partial(draws_of, name), partial(variance_of, name), influences[name]))
        for name, draws in by_group.items()
    }


def influences_of(
    statistic: Callable[[Floats], Mapping[_Name, Floats]], units: Floats, sizes: npt.ArrayLike
) -> dict[_Name, Floats]:
    """(n,) influence of each group on each score: the root mean square of the two estimates of `added_by`.

    Args:
        statistic: function from sums to scores.
        units: (n, K) column sums of each group.
        sizes: (n,) number of samples of each group.
    """
    total = units.sum(axis=0, keepdims=True)
    value, without = statistic(total), statistic(total - units)
    shares = np.asarray(sizes, np.float64) / np.sum(sizes)
    return {
        name: added_by(derivative, value[name] - without[name], shares)
        for name, derivative in _influences(statistic, total, units).items()
    }


def linearised_variances(statistic: Callable[[Floats], Mapping[_Name, Floats]], columns: Floats) -> dict[_Name, float]:
    """Each score's variance as if samples were independent: the sum of squared influences; nan where undefined.

    Args:
        statistic: function from sums to scores.
        columns: (N, K) columns whose sums give the scores.
    """
    total = columns.sum(axis=0, keepdims=True)
    variances: dict[_Name, float] = {}
    step = max(1, _CHUNK_CELLS // max(columns.shape[1], len(statistic(total)), 1))
    for start in range(0, len(columns), step):
        for name, influences in _influences(statistic, total, columns[start : start + step]).items():
            variances[name] = variances.get(name, 0.0) + float(influences @ influences)
    return variances


def _influences(
    statistic: Callable[[Floats], Mapping[_Name, Floats]], total: Floats, units: Floats
) -> dict[_Name, Floats]:
    """(n,) derivative of each score by each unit's weight, by central differences."""
    raised, lowered = statistic(total + WEIGHT_STEP * units), statistic(total - WEIGHT_STEP * units)
    return {name: (raised[name] - lowered[name]) / (2 * WEIGHT_STEP) for name in raised}


def sizes_of(groups: npt.ArrayLike) -> list[int]:
    """Number of samples of each group, in ascending order of the groups."""
    return [int(count) for count in np.unique(np.asarray(groups), return_counts=True)[1]]


def resampled_sums(
    columns: Floats, *, rng: np.random.Generator, resamples: int, groups: npt.ArrayLike | None = None
) -> Floats:
    """(R, K) column sums of resamples, drawn with replacement.

    Args:
        columns: (N, K) columns to be summed.
        rng: generator of the resamples.
        resamples: R.
        groups: (N,) group of each sample; whole groups are drawn then.

    Returns:
        Sums; all 0 without samples.

    Raises:
        ShapeError: groups are not (N,).
        ValueRangeError: resamples is below 0, or a sample has no group.
    """
    require_draws(resamples, fewest=0)
    table = columns if groups is None else summed_by(columns, np.asarray(groups))
    size = len(table)
    if not size or not resamples:
        return np.zeros((resamples, columns.shape[1]))
    return np.concatenate([_weights(size, rows, rng) @ table for rows in _chunks(resamples, size)])


def paired_test(
    left: Floats,
    right: Floats,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
    groups: npt.ArrayLike | None = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> dict[str, tuple[Interval, float]]:
    """Every score's difference, left minus right, with its interval and its two-sided p-value.

    The interval is `difference_interval` on paired resamples. The p-value comes from exchanging the two systems'
    answers sample by sample (approximate randomization): the share of exchanges, including the observed assignment,
    whose difference is at least as large, or undefined. It is nan where the observed difference is undefined, or
    without exchanges.

    Args:
        left: (N, K) columns of one system.
        right: (N, K) columns of the other system on the same samples.
        statistic: function from sums to scores.
        rng: generator of resamples and exchanges.
        resamples: number of resamples, and of exchanges; 0 for the differences alone.
        level: coverage of the interval, in (0, 1).
        groups: (N,) group of each sample; whole groups are resampled and exchanged then.
        bounds: name of a score to its lowest and highest possible value; others have none.

    Raises:
        ShapeError: the two tables differ in shape, or groups are not (N,).
        ValueRangeError: resamples or level is out of range, or a sample has no group.

    Source: Noreen 1989, Computer-intensive methods for testing hypotheses, chapter 2.
    """
    if left.shape != right.shape:
        raise ShapeError(
            expected='columns of the same samples',
            came=f'{left.shape} and {right.shape}',
            todo='score both systems on one truth',
        )
    width = left.shape[1]
    joined = np.concatenate([left, right], axis=1)
    observed = _differences(statistic, joined.sum(axis=0, keepdims=True), width)
    drawn, units = _drawn(joined, lambda sums: _differences(statistic, sums, width), rng, resamples, groups)
    if groups is not None:
        left, right = (summed_by(side, np.asarray(groups)) for side in (left, right))
    exchanged = _differences(statistic, _exchanged_sums(left, right, rng, resamples), width)
    tests = {}
    for name, value in observed.items():
        tests[name] = (
            difference_interval(
                float(value[0]), drawn[name].draws, units=units, level=level,
                bounds=(bounds or {}).get(name, UNBOUNDED), known=drawn[name].known,
            ),
            exchange_p(float(value[0]), exchanged[name]),
        )  # fmt: skip
    return tests


def exchange_p(observed: float, exchanged: Floats) -> float:
    """Two-sided p-value of approximate randomization; see `paired_test`.

    Args:
        observed: the observed difference.
        exchanged: (R,) differences after exchanges.
    """
    if math.isnan(observed) or not len(exchanged):
        return math.nan
    is_smaller = np.abs(exchanged) < abs(observed) - 1e-12
    return float((1 + (~is_smaller).sum()) / (1 + len(exchanged)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's step-down procedure, which controls the family-wise error rate.

    A p-value of nan, of a test that could not be made, stays nan and does not count.

            p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), for p in ascending order

    Args:
        p_values: m p-values.

    Returns:
        m corrected p-values, in the order of the input.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [float('nan')] * len(p_values)
    made = [index for index, p in enumerate(p_values) if p == p]
    largest = 0.0
    for rank, index in enumerate(sorted(made, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(made) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _differences(statistic: Statistic, sums: Floats, width: int) -> dict[str, Floats]:
    left, right = statistic(sums[:, :width]), statistic(sums[:, width:])
    return {name: left[name] - right[name] for name in left}


def _exchanged_sums(left: Floats, right: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """(R, 2K) sums after exchanging each sample's two rows with probability 1/2."""
    difference = right - left
    shifts = [
        rng.integers(0, 2, (rows, len(left))).astype(np.float64) @ difference for rows in _chunks(draws, len(left))
    ]
    shift = np.concatenate(shifts) if shifts else np.zeros((0, left.shape[1]))
    return np.concatenate([left.sum(axis=0) + shift, right.sum(axis=0) - shift], axis=1)


def _chunks(draws: int, size: int) -> Iterator[int]:
    """Numbers of draws per chunk, so that the weights of a chunk fit _CHUNK_CELLS."""
    chunk = max(1, _CHUNK_CELLS // max(size, 1))
    for start in range(0, draws, chunk):
        yield min(chunk, draws - start)


def _weights(size: int, draws: int, rng: np.random.Generator) -> Floats:
    """(draws, size) number of times that each sample was drawn."""
    cells = rng.integers(0, size, (draws, size)) + np.arange(draws)[:, None] * size
    return np.bincount(cells.ravel(), minlength=draws * size).reshape(draws, size).astype(np.float64)


def summed_by(columns: Floats, groups: npt.NDArray[np.generic]) -> Floats:
    """(n, K) column sums of each group, in ascending order of the groups.

    Args:
        columns: (N, K) columns to be summed.
        groups: (N,) group of each sample.

    Raises:
        ShapeError: groups are not (N,).
        ValueRangeError: a sample has no group.
    """
    if groups.shape != (len(columns),):
        raise ShapeError(
            expected=f'{len(columns)} groups, one per sample',
            came=f'shape {groups.shape}',
            todo='give groups of shape (N,)',
        )
    require_groups(groups)
    names, group_of = np.unique(groups, return_inverse=True)
    summed = np.zeros((len(names), columns.shape[1]))
    np.add.at(summed, group_of, columns)
    return summed
