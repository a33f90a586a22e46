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
    level: float
    """Confidence with which all sets hold simultaneously."""
    beats: npt.NDArray[np.bool_]
    """(K, K) True where the row item is surely above the column item."""

    def not_told_apart(self, item: int) -> Ints:
        """The other items that are neither surely above nor surely below."""
        return np.flatnonzero(~(self.beats[item] | self.beats[:, item]) & (np.arange(len(self.best)) != item))


def difference_errors(fit: Fit, spread: Spread) -> Floats:
    """(K, K) standard errors of the differences between strengths; 0 on the diagonal."""
    return _difference_errors(spread.covariance[: len(fit.items), : len(fit.items)])


def _difference_errors(covariance: Floats) -> Floats:
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
    speaks = ~silent_pairs(fit, spread)[first, second]
    gap = fit.strengths[first] - fit.strengths[second]
    distance = np.where(speaks, gap / np.where(speaks, errors[first, second], 1.0), 0.0)
    limit = _largest_difference(fit, spread, errors, rng, level)
    if len(fit.items) <= MOST_PROFILED:
        near = np.abs(distance) > 0.5 * limit
        distance[near] = signed_roots(fit, spread, pair_contrasts(fit, first[near], second[near]))
    beats = np.zeros_like(errors, bool)
    beats[first, second], beats[second, first] = distance > limit, distance < -limit
    return Places(1 + beats.sum(axis=0), len(fit.items) - beats.sum(axis=1), level, beats)


def simultaneous_intervals(fit: Fit, spread: Spread, *, rng: np.random.Generator, level: float = 0.95) -> Bounds:
    """Simultaneous intervals of all strengths, wider than intervals one by one.

    Source: Hothorn, Bretz & Westfall 2008, doi:10.1002/bimj.200810425.
    """
    contrasts = strength_contrasts(fit)
    value, errors = contrasts @ fit.parameters, spread.errors(contrasts)
    drawn = _draws(fit, spread, rng)
    drawn -= drawn.mean(axis=1, keepdims=True)
    order = np.argsort(-fit.strengths, kind='stable')
    speaks = ~spread.silent(contrasts)
    if not speaks.any():
        return Bounds(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    largest = np.abs(drawn[:, speaks[order]] / errors[order[speaks[order]]]).max(axis=1)
    reach = np.where(speaks, float(np.quantile(largest, level)) * errors, np.nan)
    return Bounds(value, value - reach, value + reach)


def better(fit: Fit, spread: Spread) -> Floats:
    """(K, K) probability that the row item is truly stronger than the column item, given the comparisons.

    The difference is taken as t-distributed about its estimate. This is not the chance that the row item wins one more
    comparison: see `Fit.chances`.

    Returns:
        Values in [0, 1]; 1/2 on the diagonal, and the two of a pair sum to 1.
    """
    errors = difference_errors(fit, spread)
    gap = fit.strengths[:, None] - fit.strengths[None, :]
    return np.asarray(stdtr(spread.freedom, gap / np.where(errors > 0.0, errors, 1.0)))


def _largest_difference(fit: Fit, spread: Spread, errors: Floats, rng: np.random.Generator, level: float) -> float:
    """The quantile of the largest standardised difference under the covariance."""
    order = np.argsort(-fit.strengths, kind='stable')
    first, second = np.triu_indices(len(order), 1)
    scale = errors[np.ix_(order, order)][first, second]
    speaks = ~silent_pairs(fit, spread)[np.ix_(order, order)][first, second]
    if not speaks.any():
        return np.inf
    first, second, scale = first[speaks], second[speaks], scale[speaks]
    drawn = _draws(fit, spread, rng)
    largest = np.empty(len(drawn))
    batch = max(1, ENTRIES // len(first))
    for begin in range(0, len(drawn), batch):
        part = drawn[begin : begin + batch]
        largest[begin : begin + batch] = (np.abs(part[:, first] - part[:, second]) / scale).max(axis=1)
    return float(np.quantile(largest, level))


def _draws(fit: Fit, spread: Spread, rng: np.random.Generator) -> Floats:
    """(S, K) errors of the strengths, t-distributed, in the order of the strengths."""
    size = len(fit.items)
    order = np.argsort(-fit.strengths, kind='stable')
    covariance = spread.covariance[np.ix_(order, order)] + 1.0 / size
    values, axes = np.linalg.eigh(covariance)
    root = np.linalg.cholesky((axes * np.maximum(values, 1e-12 * values.max())) @ axes.T)
    count = min(DRAWS, max(2000, 40 * ENTRIES // size**2))
    drawn = rng.standard_normal((count, size)) @ root.T
    if np.isinf(spread.freedom):
        return np.asarray(drawn)
    return np.asarray(drawn / np.sqrt(rng.chisquare(spread.freedom, (count, 1)) / spread.freedom))
