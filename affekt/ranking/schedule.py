"""What to ask next: how many more comparisons would tell two items apart, and which pair teaches most.

One more comparison of a pair adds p (1 - p) to the information about its difference, whoever wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import ndtr

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.ranking.bradley_terry import Fit
from affekt.ranking.ranks import difference_errors
from affekt.ranking.uncertainty import Spread

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """A pair of items worth asking about."""

    left: str
    right: str
    gain: float
    """What one more comparison of it is expected to teach, in the unit of the aim."""


def more_needed(fit: Fit, spread: Spread, left: str, right: str, *, level: float = 0.95, power: float = 0.8) -> float:
    """How many further comparisons of two items would tell them apart, if the difference is as estimated.

    The smallest m for which gap / sqrt(v / (1 + m w v)) reaches z(level) + z(power), where v is the variance of the
    gap, and w = p (1 - p) over the inflation of v by clusters and ties.

    Args:
        fit: of the comparisons.
        spread: its covariance.
        left, right: names of two items.
        level: two-sided confidence.
        power: probability of telling them apart.

    Returns:
        A whole number from 0 on; infinity where the estimates are equal.

    Raises:
        UnknownNameError: no such item.
        ValueRangeError: both are the same.
    """
    first, second = (_place(fit, name) for name in (left, right))
    if first == second:
        raise ValueRangeError(expected='two different items', came=f'{left!r} twice', todo='name two')
    gap = abs(float(fit.strengths[first] - fit.strengths[second]))
    if gap < 1e-12:
        return math.inf
    contrast = np.zeros((1, fit.likelihood.size))
    contrast[0, first], contrast[0, second] = 1.0, -1.0
    variance, inflation = float(spread.errors(contrast)[0] ** 2), float(spread.inflation(contrast)[0])
    chance = 1.0 / (1.0 + math.exp(-gap))
    target = (gap / (stats.norm.ppf(0.5 + 0.5 * level) + stats.norm.ppf(power))) ** 2
    return float(max(0, math.ceil((1.0 / target - 1.0 / variance) * inflation / (chance * (1.0 - chance)))))


def next_pairs(fit: Fit, *, aim: str = 'order', number: int = 1) -> list[Pair]:
    """The pairs whose next comparison is expected to teach most.

    Args:
        fit: of the comparisons so far; early on, with a prior.
        aim: 'order' lowers the expected number of pairs whose order is wrong; 'strengths' raises the information about
            all strengths (D-optimal).
        number: how many.

    Returns:
        Up to `number` pairs, best first; equal ones by name.

    Raises:
        UnknownNameError: no such aim.
    """
    if aim not in AIMS:
        raise UnknownNameError(expected=f'an aim among {", ".join(AIMS)}', came=repr(aim), todo='choose one of these')
    size = len(fit.items)
    gains = AIMS[aim](fit)
    first, second = np.triu_indices(size, 1)
    values = gains[first, second]
    best = np.argsort(-np.round(values, 12), kind='stable')[:number]
    return [Pair(fit.items[first[one]], fit.items[second[one]], float(values[one])) for one in best]


def _place(fit: Fit, name: str) -> int:
    if name not in fit.items:
        raise UnknownNameError(
            expected='the name of an item', came=repr(name), todo='choose among ' + ', '.join(fit.items[:20])
        )
    return fit.items.index(name)


def _model_spread(fit: Fit) -> Spread:
    plain = fit.plain_covariance()
    return Spread(plain, plain, math.inf)


def _strength_gains(fit: Fit) -> Floats:
    """(K, K) log det of the information after, less before: log(1 + w v)."""
    chance = fit.chances()
    return np.asarray(np.log1p(chance * (1.0 - chance) * difference_errors(fit, _model_spread(fit)) ** 2))


def _order_gains(fit: Fit) -> Floats:
    """(K, K) fall of the summed chances of a wrong order, to first order in the information w of one comparison.

    Comparing (i, j) lowers the variance of every difference d by w cov(d, d_ij)**2 / (1 + w v_ij), and the chance that
    d is on the wrong side, ndtr(-|d| / s), falls with it.
    """
    size = len(fit.items)
    covariance = _model_spread(fit).covariance[:size, :size]
    errors = difference_errors(fit, _model_spread(fit))
    first, second = np.triu_indices(size, 1)
    gap, error = np.abs(fit.strengths[first] - fit.strengths[second]), errors[first, second]
    chance = fit.chances()[first, second]
    weight = chance * (1.0 - chance)
    rows = covariance[first] - covariance[second]
    found = np.zeros((size, size))
    for number, (i, j) in enumerate(zip(first, second, strict=True)):
        shared = rows[:, i] - rows[:, j]
        after = np.maximum(error**2 - weight[number] * shared**2 / (1.0 + weight[number] * error[number] ** 2), 1e-300)
        found[i, j] = (ndtr(-gap / error) - ndtr(-gap / np.sqrt(after))).sum()
    return found


AIMS = {'order': _order_gains, 'strengths': _strength_gains}
