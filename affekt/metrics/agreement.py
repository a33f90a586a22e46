"""Agreement of two rankings, and agreement of several judges.

Rankings are scores of the same items, higher is better: Spearman's rho, Kendall's tau-b, rank-biased overlap. Judges'
verdicts are categories per unit: Krippendorff's alpha for any number of judges with gaps, Cohen's kappa for two.
`metrics.bootstrap_interval` turns rho, tau, overlap and kappa into values with intervals over items or units;
`alpha_interval` does so for alpha, from counts.

Axes: K items, U judged units, J judges, V values, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics.categorical import confusion
from affekt.metrics.intervals import CORRELATION, Interval, require_draws, require_level, student_interval

_CHUNK_CELLS = 4_000_000
"""Maximum number of coincidences in memory at a time."""


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation; tied scores share the mean of their ranks.

    Args:
        first, second: (K,) scores of the same items.

    Returns:
        A float in [-1, 1]; nan where either is constant or fewer than 2 items are given.

    Raises:
        ShapeError: the arrays are not both (K,).
        ValueRangeError: a score is nan.
    """
    left, right = _scores(first, second)
    if _is_constant(left) or _is_constant(right):
        return float('nan')
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])


def kendall(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Kendall's tau-b: concordant minus discordant pairs of items, corrected for ties.

    Args:
        first, second: (K,) scores of the same items.

    Returns:
        A float in [-1, 1]; nan where either is constant or fewer than 2 items are given.

    Raises:
        ShapeError: the arrays are not both (K,).
        ValueRangeError: a score is nan.

    Source: Kendall 1945, doi:10.2307/2332303.

    >>> round(kendall([1, 2, 3, 4], [1, 2, 4, 3]), 4)  # 5 pairs agree, 1 does not
    0.6667
    """
    left, right = _scores(first, second)
    if _is_constant(left) or _is_constant(right):
        return float('nan')
    from scipy.stats import kendalltau  # imported here, since it takes a second

    return float(kendalltau(left, right).statistic)


def rank_biased_overlap(first: npt.ArrayLike, second: npt.ArrayLike, *, persistence: float = 0.9) -> float:
    """Rank-biased overlap, extrapolated: overlap of the tops of two rankings.

        A_K p**K + (1 - p) / p  sum over d = 1..K of A_d p**d,  A_d = 2 |S_d & T_d| / (|S_d| + |T_d|)

    S_d and T_d are the items of rank d or better; tied items share the best of their ranks.

    Args:
        first, second: (K,) scores of the same items.
        persistence: p in (0, 1), probability of reading on to the next rank; at 0.9 the first ten have 86 % of the
            weight.

    Returns:
        A float in [0, 1]; 1 for equal rankings, nan without items.

    Raises:
        ShapeError: the arrays are not both (K,).
        ValueRangeError: a score is nan, or persistence is out of range.

    Source: Webber, Moffat & Zobel 2010, doi:10.1145/1852102.1852106.
    """
    left, right = _scores(first, second)
    if not 0.0 < persistence < 1.0:
        raise ValueRangeError(
            expected='a persistence between 0 and 1', came=f'{persistence}', todo='give for example 0.9'
        )
    if not len(left):
        return float('nan')
    from scipy.stats import rankdata

    ranks = [rankdata(-scores, method='min') for scores in (left, right)]
    depth = np.arange(1, len(left) + 1)
    is_within = [rank[None, :] <= depth[:, None] for rank in ranks]
    overlap = (is_within[0] & is_within[1]).sum(axis=1)
    agreement = 2.0 * overlap / (is_within[0].sum(axis=1) + is_within[1].sum(axis=1))
    weight = (1.0 - persistence) * persistence ** (depth - 1.0)
    return float(agreement[-1] * persistence ** len(left) + (weight * agreement).sum())


def cohen_kappa(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Cohen's kappa: agreement of two judges beyond that expected from their marginal distributions.

    Args:
        first, second: (U,) verdicts of the same units.

    Returns:
        A float, at most 1; nan where both always give one same verdict, or without units.

    Raises:
        ShapeError: the arrays are not both (U,).

    Source: Cohen 1960, doi:10.1177/001316446002000104.

    >>> round(cohen_kappa(['l', 'l', 'r', 'r'], ['l', 'l', 'r', 'l']), 3)  # (3/4 - 1/2) / (1 - 1/2)
    0.5
    """
    table = confusion(first, second).astype(np.float64)
    total = table.sum()
    if total == 0.0:
        return float('nan')
    observed = np.trace(table) / total
    chance = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return float((observed - chance) / (1.0 - chance)) if chance < 1.0 else float('nan')


def krippendorff_alpha(ratings: npt.ArrayLike, *, level: str = 'nominal') -> float:
    """Krippendorff's alpha: 1 minus the disagreement within units over that expected by chance.

    Args:
        ratings: (J, U) numbers, nan where a judge gave none; units with fewer than 2 ratings are ignored.
        level: level of measurement, nominal, ordinal or interval; it defines the distance between two values.

    Returns:
        A float, at most 1; nan where no unit has 2 ratings or all ratings are equal.

    Raises:
        ShapeError: ratings are not (J, U).
        UnknownNameError: unknown level.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability".
    """
    values, counts = _value_counts(np.asarray(ratings, np.float64))
    return float(_alphas(counts, values, np.ones((1, len(counts))), level)[0])


def alpha_interval(
    ratings: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    level: str = 'nominal',
    resamples: int = 1000,
    coverage: float = 0.95,
) -> Interval:
    """Krippendorff's alpha with its interval over units drawn with replacement.

    Args:
        ratings: (J, U) numbers, nan where a judge gave none.
        rng: generator of the resamples.
        level: level of measurement: nominal, ordinal or interval.
        resamples: number of resamples, at least 1.
        coverage: coverage of the interval, in (0, 1).

    Returns:
        An Interval; low and high are nan where fewer than two units have 2 ratings.

    Raises:
        ShapeError: ratings are not (J, U).
        UnknownNameError: unknown level.
        ValueRangeError: resamples or coverage is out of range.
    """
    require_draws(resamples)
    require_level(coverage, 'coverage')
    values, counts = _value_counts(np.asarray(ratings, np.float64))
    value = float(_alphas(counts, values, np.ones((1, len(counts))), level)[0])
    if not len(counts):
        return Interval(value, float('nan'), float('nan'), resamples)
    multiplicities = rng.multinomial(len(counts), np.full(len(counts), 1.0 / len(counts)), size=resamples)
    drawn = _alphas(counts, values, multiplicities.astype(np.float64), level)
    return student_interval(value, drawn, units=len(counts), level=coverage, bounds=CORRELATION)


def _scores(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Floats, Floats]:
    left, right = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if left.ndim != 1 or left.shape != right.shape:
        raise ShapeError(
            expected='two arrays of shape (K,)',
            came=f'shapes {left.shape} and {right.shape}',
            todo='give the scores of the same items in the same order',
        )
    if np.isnan(left).any() or np.isnan(right).any():
        raise ValueRangeError(expected='scores that are numbers', came='nan', todo='leave those items out')
    return left, right


def _is_constant(scores: Floats) -> bool:
    return len(scores) < 2 or bool((scores == scores[0]).all())


def _value_counts(ratings: Floats) -> tuple[Floats, Floats]:
    """(V,) distinct values, and (U', V) counts of each value in the U' units with at least 2 ratings."""
    if ratings.ndim != 2:
        raise ShapeError(expected='ratings of shape (J, U)', came=f'shape {ratings.shape}', todo='one row per judge')
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = np.stack([(ratings == value).sum(axis=0) for value in values], axis=1) if len(values) else np.zeros((0, 0))
    return values, counts[counts.sum(axis=1) >= 2].astype(np.float64)


def _alphas(counts: Floats, values: Floats, multiplicities: Floats, level: str) -> Floats:
    """(R,) alpha for each row of (R, U') multiplicities of the units."""
    if level not in LEVELS:
        raise UnknownNameError(
            expected=f'a level among {", ".join(LEVELS)}', came=repr(level), todo='choose one of these'
        )
    if not len(counts):
        return np.full(len(multiplicities), np.nan)
    draws = max(1, _CHUNK_CELLS // max(counts.size, len(values) ** 2))
    parts = [multiplicities[start : start + draws] for start in range(0, len(multiplicities), draws)]
    return np.concatenate([_alphas_at_once(counts, values, part, LEVELS[level]) for part in parts])


def _alphas_at_once(
    counts: Floats, values: Floats, multiplicities: Floats, distance_of: Callable[[Floats, Floats], Floats]
) -> Floats:
    """(R,) alpha, with arrays of (R, U', V) and (R, V, V) in memory."""
    weights = counts / (counts.sum(axis=1, keepdims=True) - 1.0)
    # Coincidences of values a and b in a unit of m ratings: n_a (n_b - [a = b]) / (m - 1), summed over units.
    summed = (multiplicities[:, :, None] * counts).transpose(0, 2, 1) @ weights  # (R, V, V)
    summed -= np.eye(len(values)) * (multiplicities @ weights)[:, None, :]
    marginal = summed.sum(axis=2)  # (R, V)
    distance = distance_of(values, marginal)  # (R or 1, V, V)
    total = marginal.sum(axis=1)
    observed = (summed * distance).sum(axis=(1, 2))
    expected = (marginal[:, :, None] * marginal[:, None, :] * distance).sum(axis=(1, 2)) / (total - 1.0)
    return np.where(expected > 0.0, 1.0 - observed / np.where(expected > 0.0, expected, 1.0), np.nan)


def _nominal(values: Floats, marginal: Floats) -> Floats:
    """(1, V, V) 1 where two values differ, else 0."""
    return np.asarray((values[:, None] != values[None, :])[None].astype(np.float64))


def _interval(values: Floats, marginal: Floats) -> Floats:
    """(1, V, V) squared differences of values."""
    return np.asarray(((values[:, None] - values[None, :]) ** 2)[None])


def _ordinal(values: Floats, marginal: Floats) -> Floats:
    """(R, V, V) squared number of ratings from one value to the other, with half of those at the two values."""
    middle = np.cumsum(marginal, axis=1) - 0.5 * marginal
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)


LEVELS: dict[str, Callable[[Floats, Floats], Floats]] = {
    'nominal': _nominal,
    'ordinal': _ordinal,
    'interval': _interval,
}
"""Level of measurement to the function from values and (R, V) marginal counts to squared distances."""
