"""Planning of further comparisons: how many would tell two items apart, and which pair is most informative.

One more comparison of a pair adds p (1 - p) to the information about its difference, whoever wins.

Axes: K items, P pairs of items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from affekt.arrays import Floats, Ints
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.ranking.bradley_terry import Fit
from affekt.ranking.uncertainty import Spread

SHORTLIST, WEIGHED = 200, 500_000
"""Number of pairs weighed exactly, and the limit of pairs times pairs, which lowers that number for many items."""
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
"""Gauss–Hermite quadrature of a standard normal variable."""


@dataclass(frozen=True)
class Pair:
    """A pair of items to compare next."""

    left: str
    right: str
    gain: float
    """Expected gain of one more comparison, in the unit of the aim."""


def more_needed(fit: Fit, spread: Spread, left: str, right: str, *, level: float = 0.95, power: float = 0.8) -> float:
    """Number of further comparisons that would tell two items apart, if the difference is as estimated.

    The smallest m for which gap / sqrt(v / (1 + m w v)) reaches z(level) + z(power), where v is the variance of the
    gap, and w = p (1 - p) over the inflation of v by clusters and ties.

    Args:
        fit: fit of the comparisons.
        spread: covariance of the fit.
        left, right: names of two items.
        level: two-sided confidence.
        power: probability of telling them apart.

    Returns:
        A whole number, at least 0; infinity where the estimates are equal, nan where the uncertainty of their
        difference is unknown.

    Raises:
        UnknownNameError: unknown item.
        ValueRangeError: both names are the same.
    """
    first, second = (_index(fit, name) for name in (left, right))
    if first == second:
        raise ValueRangeError(expected='two different items', came=f'{left!r} twice', todo='name two')
    gap = abs(float(fit.strengths[first] - fit.strengths[second]))
    if gap < 1e-12:
        return math.inf
    contrast = np.zeros((1, fit.likelihood.size))
    contrast[0, first], contrast[0, second] = 1.0, -1.0
    if spread.silent(contrast)[0]:
        return math.nan
    variance, inflation = float(spread.errors(contrast)[0] ** 2), float(spread.inflation(contrast)[0])
    odds = math.exp(-gap)
    information = odds / (1.0 + odds) ** 2  # p (1 - p), above 0 where p rounds to 1
    target = (gap / (ndtri(0.5 + 0.5 * level) + ndtri(power))) ** 2
    lacking = (1.0 / target - 1.0 / variance) * inflation
    if lacking <= 0.0:
        return 0.0
    return float(math.ceil(lacking / information)) if information else math.inf


def pair_gains(fit: Fit, *, aim: str = 'order') -> dict[tuple[str, str], float]:
    """Names of each pair to the expected gain of one more comparison of it, in the unit of the aim.

    Args:
        fit: fit of the comparisons so far; early on, with a prior.
        aim: see `next_pairs`.

    Raises:
        UnknownNameError: unknown aim.
    """
    covariance, first, second, weight = _candidates(fit, aim)
    gains = AIMS[aim](fit.strengths, covariance, first, second, weight)
    pairs = zip(first.tolist(), second.tolist(), gains.tolist(), strict=True)
    return {(fit.items[i], fit.items[j]): gain for i, j, gain in pairs}


def next_pairs(fit: Fit, *, aim: str = 'order', number: int = 1) -> list[Pair]:
    """The pairs with the largest expected gain of one more comparison.

    Each pair is chosen as if the earlier ones had already been compared, so that a batch is not redundant.

    Args:
        fit: fit of the comparisons so far; early on, with a prior.
        aim: 'order' minimises the expected number of pairs in the wrong order; 'strengths' maximises the information
            about all strengths (D-optimal).
        number: number of pairs; a pair may repeat.

    Returns:
        `number` pairs, best first; equal gains by name.

    Raises:
        UnknownNameError: unknown aim.
    """
    covariance, first, second, weight = _candidates(fit, aim)
    chosen = []
    for _ in range(number):
        gains = AIMS[aim](fit.strengths, covariance, first, second, weight)
        best = int(np.argmax(np.round(gains, 12)))
        i, j = first[best], second[best]
        chosen.append(Pair(fit.items[i], fit.items[j], float(gains[best])))
        column = covariance[i] - covariance[j]
        # Rank-one update of the inverse (Sherman & Morrison) for the information w of this comparison.
        covariance = covariance - weight[best] / (1.0 + weight[best] * (column[i] - column[j])) * np.outer(
            column, column
        )
    return chosen


def _candidates(fit: Fit, aim: str) -> tuple[Floats, Ints, Ints, Floats]:
    """(K, K) covariance of the strengths, (P,) indices of all pairs, and the information that a comparison adds."""
    if aim not in AIMS:
        raise UnknownNameError(expected=f'an aim among {", ".join(AIMS)}', came=repr(aim), todo='choose one of these')
    size = len(fit.items)
    first, second = np.triu_indices(size, 1)
    probability = fit.chances()[first, second]
    return fit.plain_covariance()[:size, :size], first, second, probability * (1.0 - probability)


def _index(fit: Fit, name: str) -> int:
    if name not in fit.items:
        raise UnknownNameError(
            expected='the name of an item', came=repr(name), todo='choose among ' + ', '.join(fit.items[:20])
        )
    return fit.items.index(name)


def _strength_gains(strengths: Floats, covariance: Floats, first: Ints, second: Ints, weight: Floats) -> Floats:
    """(P,) log det of the information after one comparison minus before: log(1 + w v)."""
    return np.asarray(np.log1p(weight * _variances(covariance, first, second)))


def _order_gains(strengths: Floats, covariance: Floats, first: Ints, second: Ints, weight: Floats) -> Floats:
    """(P,) expected decrease of the number of pairs in the wrong order.

    Comparing (i, j) reduces the variance v of every difference d by u = w cov(d, d_ij)**2 / (1 + w v_ij). Its estimate
    moves by a normal amount of variance u, after which the sign is wrong with probability ndtr(-|d| / sqrt(v - u)).
    This is computed for the pairs with the largest gain for their own order; others have a gain of 0.
    """
    gap = np.abs(strengths[first] - strengths[second])
    variance = np.maximum(_variances(covariance, first, second), 1e-300)
    wrong = ndtr(-gap / np.sqrt(variance))
    count = max(10, min(SHORTLIST, WEIGHED // len(first)))
    shortlist = np.sort(np.argsort(-np.round(wrong * weight * variance, 12), kind='stable')[:count])
    gains = np.zeros(len(first))
    for pair in shortlist:
        column = covariance[first[pair]] - covariance[second[pair]]
        covariances = column[first] - column[second]
        decrease = weight[pair] * covariances**2 / (1.0 + weight[pair] * variance[pair])
        remaining = np.sqrt(np.maximum(variance - decrease, 1e-12 * variance))
        shifted = np.abs(gap[:, None] + np.sqrt(decrease)[:, None] * NODES)
        gains[pair] = wrong.sum() - (ndtr(-shifted / remaining[:, None]) @ NODE_WEIGHTS).sum()
    return gains


def _variances(covariance: Floats, first: Ints, second: Ints) -> Floats:
    """(P,) variances of the differences of pairs."""
    variances = np.diag(covariance)
    return np.asarray(variances[first] + variances[second] - 2.0 * covariance[first, second])


AIMS = {'order': _order_gains, 'strengths': _strength_gains}
"""Aim to the function that gives the expected gain of each pair."""
