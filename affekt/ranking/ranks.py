"""Inference on ranks: which items cannot be told apart, confidence sets of ranks, probabilities of pairwise order.

All pairwise differences get simultaneous intervals at the given level; an item ranks surely above those to which its
difference is wholly positive, and surely below those to which it is wholly negative.

Source: Mogstad, Romano, Shaikh & Wilhelm 2024, doi:10.1093/restud/rdad006.

Axes: K items, S draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from affekt.arrays import Floats, Ints
from affekt.ranking.bradley_terry import Fit
from affekt.ranking.uncertainty import SILENT, Bounds, Spread, pair_contrasts, signed_roots, strength_contrasts

DRAWS = 20_000
"""Maximum number of draws S."""
MOST_PROFILED = 60
"""Number of items up to which differences are judged by the profile likelihood, which separates more on thin data."""
ENTRIES = 2_000_000
"""Draws times pairs per batch."""


@dataclass(frozen=True)
class Places:
    """Simultaneous confidence sets of ranks."""

    best: Ints
    """(K,) best rank of each item, from 1."""
    worst: Ints
    """(K,) worst rank of each item."""
    level: float
    """Confidence with which all sets hold simultaneously."""
    beats: npt.NDArray[np.bool_]
    """(K, K) True where the row item is surely above the column item."""

    def not_told_apart(self, item: int) -> Ints:
        """Indices of the other items that are neither surely above nor surely below an item."""
        return np.flatnonzero(~(self.beats[item] | self.beats[:, item]) & (np.arange(len(self.best)) != item))


def difference_errors(fit: Fit, spread: Spread) -> Floats:
    """(K, K) standard errors of the differences between strengths; 0 on the diagonal."""
    return _difference_errors(spread.covariance[: len(fit.items), : len(fit.items)])


def _difference_errors(covariance: Floats) -> Floats:
    """(K, K) standard errors of differences, from a (K, K) covariance."""
    variance = np.diag(covariance)
    return np.asarray(np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2.0 * covariance, 0.0)))


def silent_pairs(fit: Fit, spread: Spread) -> npt.NDArray[np.bool_]:
    """(K, K) True where the uncertainty of a difference is unknown, which includes the diagonal."""
    plain = _difference_errors(spread.plain[: len(fit.items), : len(fit.items)])
    return np.asarray(difference_errors(fit, spread) <= SILENT * plain)


def places(fit: Fit, spread: Spread, *, rng: np.random.Generator, level: float = 0.95) -> Places:
    """Confidence sets of ranks, which hold simultaneously with probability `level`.

    Args:
        fit: fit of the comparisons.
        spread: covariance of the fit, clustered or not.
        rng: generator for the distribution of the largest standardised difference. Items are taken in the order of
            their strengths, so that names do not matter.
        level: confidence, in (0, 1).

    Returns:
        Places; two items are not told apart where the uncertainty of their difference is unknown.
    """
    errors = difference_errors(fit, spread)
    first, second = np.triu_indices(len(fit.items), 1)
    is_known = ~silent_pairs(fit, spread)[first, second]
    differences = fit.strengths[first] - fit.strengths[second]
    distance = np.where(is_known, differences / np.where(is_known, errors[first, second], 1.0), 0.0)
    limit = _largest_difference(fit, spread, errors, rng, level)
    if len(fit.items) <= MOST_PROFILED:
        is_relevant = np.abs(distance) > 0.5 * limit  # profiles are costly, and the others stay below the limit
        distance[is_relevant] = signed_roots(fit, spread, pair_contrasts(fit, first[is_relevant], second[is_relevant]))
    beats = np.zeros_like(errors, bool)
    beats[first, second], beats[second, first] = distance > limit, distance < -limit
    return Places(1 + beats.sum(axis=0), len(fit.items) - beats.sum(axis=1), level, beats)


def simultaneous_intervals(fit: Fit, spread: Spread, *, rng: np.random.Generator, level: float = 0.95) -> Bounds:
    """Simultaneous intervals of all strengths, wider than intervals one by one.

    Args:
        fit: fit of the comparisons.
        spread: covariance of the fit, clustered or not.
        rng: generator for the distribution of the largest standardised strength.
        level: probability that all intervals hold, in (0, 1).

    Returns:
        Bounds (K,); low and high are nan where the uncertainty of a strength is unknown.

    Source: Hothorn, Bretz & Westfall 2008, doi:10.1002/bimj.200810425.
    """
    contrasts = strength_contrasts(fit)
    value, errors = contrasts @ fit.parameters, spread.errors(contrasts)
    draws = _draws(fit, spread, rng)
    draws -= draws.mean(axis=1, keepdims=True)
    order = np.argsort(-fit.strengths, kind='stable')
    is_known = ~spread.silent(contrasts)
    if not is_known.any():
        return Bounds(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    largest = np.abs(draws[:, is_known[order]] / errors[order[is_known[order]]]).max(axis=1)
    half_width = np.where(is_known, float(np.quantile(largest, level)) * errors, np.nan)
    return Bounds(value, value - half_width, value + half_width)


def better(fit: Fit, spread: Spread) -> Floats:
    """(K, K) probability that the row item is truly stronger than the column item, given the comparisons.

    The difference is taken as t-distributed about its estimate. This is not the chance that the row item wins one more
    comparison: see `Fit.chances`.

    Args:
        fit: fit of the comparisons.
        spread: covariance of the fit, clustered or not.

    Returns:
        Values in [0, 1]; 1/2 on the diagonal, and the two of a pair sum to 1.
    """
    errors = difference_errors(fit, spread)
    differences = fit.strengths[:, None] - fit.strengths[None, :]
    return np.asarray(stdtr(spread.freedom, differences / np.where(errors > 0.0, errors, 1.0)))


def _largest_difference(fit: Fit, spread: Spread, errors: Floats, rng: np.random.Generator, level: float) -> float:
    """The quantile of the largest standardised difference under the covariance."""
    order = np.argsort(-fit.strengths, kind='stable')
    first, second = np.triu_indices(len(order), 1)
    scale = errors[np.ix_(order, order)][first, second]
    is_known = ~silent_pairs(fit, spread)[np.ix_(order, order)][first, second]
    if not is_known.any():
        return np.inf
    first, second, scale = first[is_known], second[is_known], scale[is_known]
    draws = _draws(fit, spread, rng)
    largest = np.empty(len(draws))
    batch = max(1, ENTRIES // len(first))
    for start in range(0, len(draws), batch):
        batch_draws = draws[start : start + batch]
        largest[start : start + batch] = (np.abs(batch_draws[:, first] - batch_draws[:, second]) / scale).max(axis=1)
    return float(np.quantile(largest, level))


def _draws(fit: Fit, spread: Spread, rng: np.random.Generator) -> Floats:
    """(S, K) draws of the errors of strengths, t-distributed, strongest item first."""
    size = len(fit.items)
    order = np.argsort(-fit.strengths, kind='stable')
    covariance = spread.covariance[np.ix_(order, order)] + 1.0 / size
    values, axes = np.linalg.eigh(covariance)
    root = np.linalg.cholesky((axes * np.maximum(values, 1e-12 * values.max())) @ axes.T)
    count = min(DRAWS, max(2000, 40 * ENTRIES // size**2))
    normal = rng.standard_normal((count, size)) @ root.T
    if np.isinf(spread.freedom):
        return np.asarray(normal)
    return np.asarray(normal / np.sqrt(rng.chisquare(spread.freedom, (count, 1)) / spread.freedom))
