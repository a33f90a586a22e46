"""How far a score could move with other samples: percentile bootstrap, by sample or by group.

Task: any metric of this room and the arrays that it takes, in the same order, each with the samples on its
first axis. Where samples share a speaker, a dialogue or a document they are not independent: give `groups`,
and whole groups are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, ValueRangeError


@dataclass(frozen=True)
class Interval:
    """A score and the interval that holds it."""

    value: float
    """The metric on all samples as given."""
    low: float
    high: float
    undefined: int = 0
    """Resamples on which the metric was nan; they are left out of low and high."""

    def __str__(self) -> str:
        return f'{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]'


def bootstrap_interval(
    metric: Callable[..., float],
    *arrays: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The metric's value with its percentile interval over samples, or groups of samples, drawn with
    replacement.

    Args:
        metric: takes the arrays, returns a float.
        arrays: one or more, (N, ...) each.
        groups: (N,) group of each sample; then as many groups are drawn as there are, with all their samples.
        rng: draws the resamples.
        resamples: how many, at least 1.
        level: coverage in (0, 1).

    Returns:
        An Interval; low and high are nan where every resample was undefined or N is 0.

    Raises:
        ShapeError: the arrays or the groups differ in length, or none was given.
        ValueRangeError: resamples or level is out of range.

    Source: Efron & Tibshirani 1993, chapter 13; for groups, Field & Welsh 2007,
    doi:10.1111/j.1467-9868.2007.00593.x.

    >>> truth = np.array([1, 1, 0, 0]); prediction = np.array([1, 1, 0, 0])
    >>> share = lambda t, p: float(np.mean(t == p))
    >>> print(bootstrap_interval(share, truth, prediction, rng=np.random.default_rng(0)))
    1.000 [1.000, 1.000]
    """
    columns = [np.asarray(array) for array in arrays]
    _check(columns, resamples, level)
    size = len(columns[0])
    value = float(metric(*columns))
    if size == 0:
        return Interval(value, float('nan'), float('nan'), resamples)
    draw = _sample_drawer(size, rng) if groups is None else _group_drawer(np.asarray(groups), size, rng)
    scores = np.empty(resamples)
    for turn in range(resamples):
        chosen = draw()
        scores[turn] = metric(*(column[chosen] for column in columns))
    defined = scores[~np.isnan(scores)]
    if not len(defined):
        return Interval(value, float('nan'), float('nan'), resamples)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high), resamples - len(defined))


def _check(columns: list[npt.NDArray[np.generic]], resamples: int, level: float) -> None:
    lengths = [len(column) if column.ndim else -1 for column in columns]
    if not lengths or len(set(lengths)) != 1 or lengths[0] < 0:
        raise ShapeError(
            expected='one or more arrays with the same number of samples',
            came=f'lengths {lengths}',
            todo='give arrays of shape (N, ...)',
        )
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueRangeError(
            expected='resamples >= 1 and a level between 0 and 1',
            came=f'resamples {resamples}, level {level}',
            todo='use for example 1000 and 0.95',
        )


def _sample_drawer(size: int, rng: np.random.Generator) -> Callable[[], npt.NDArray[np.int64]]:
    return lambda: rng.integers(0, size, size)


def _group_drawer(
    groups: npt.NDArray[np.generic], size: int, rng: np.random.Generator
) -> Callable[[], npt.NDArray[np.int64]]:
    if groups.shape != (size,):
        raise ShapeError(
            expected=f'one group for each of {size} samples',
            came=f'shape {groups.shape}',
            todo='give groups of shape (N,)',
        )
    _, group_of = np.unique(groups, return_inverse=True)
    order = np.argsort(group_of, kind='stable')
    members = np.split(order, np.cumsum(np.bincount(group_of))[:-1])

    def draw() -> npt.NDArray[np.int64]:
        return np.concatenate([members[group] for group in rng.integers(0, len(members), len(members))])

    return draw
