"""Bootstrap of strengths: a thousand refits at a cost that hardly depends on the number of votes.

Drawing N comparisons with replacement is drawing the counts of all cells from one multinomial distribution; drawing
whole samples or raters is adding up the counts of the clusters drawn. Every resample is then fitted to its maximum, all
of a batch at once, with Newton steps that share the curvature of the original fit, and with full steps where that does
not settle.

Axes: R resamples, C cells, K items, D parameters, G clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from affekt.arrays import Floats, Ints
from affekt.errors import ValueRangeError
from affekt.ranking.bradley_terry import Fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.newton import Likelihood, maximise
from affekt.ranking.uncertainty import Bounds, cluster_numbers

BATCH_ENTRIES = 400_000
"""Resamples times cells, or times squared parameters, per batch: a few arrays of 3 MB."""
SHARED_STEPS = 12
"""Maximum number of steps with the shared curvature."""
SETTLED = 1e-7
"""Largest last step, in log-odds, of a converged refit; the next would be at most a tenth of it."""


@dataclass(frozen=True)
class Draws:
    """Parameters fitted to resamples."""

    parameters: Floats
    """(R', D) parameters of the resamples that have a finite maximum."""
    unbounded: int
    """Number of resamples without a finite maximum: an item undefeated or winless, or groups never compared."""

    @property
    def unbounded_share(self) -> float:
        """Share of the resamples without a finite maximum."""
        return self.unbounded / (self.unbounded + len(self.parameters))


def bootstrap(
    fit: Fit,
    comparisons: Comparisons,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    cluster: str | None = None,
) -> Draws:
    """Strengths and effects refitted to resampled comparisons.

    Args:
        fit: fit of these comparisons.
        comparisons: N comparisons.
        rng: generator of the resamples. Cells are drawn in the order of their items' strengths: names do not matter.
        resamples: number of resamples, at least 1.
        cluster: None draws comparisons; 'sample' or 'rater' draws whole samples or raters.

    Returns:
        Draws. Where weights are not counts, resamples keep their sum and treat a weight as a number of votes.

    Raises:
        ValueRangeError: resamples is below 1.
        UnknownNameError: unknown cluster.
        ComparisonError: the comparisons have no samples or raters.

    Source: Efron & Tibshirani 1993; for clusters, Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x.
    """
    if resamples < 1:
        raise ValueRangeError(expected='one resample or more', came=f'{resamples}', todo='give for example 1000')
    parameters_kept, unbounded = [], 0
    for counts in _drawn(fit, comparisons, rng, resamples, cluster):
        parameters, converged = _refit(fit, counts)
        parameters_kept.append(parameters[converged])
        unbounded += int((~converged).sum())
    return Draws(np.concatenate(parameters_kept), unbounded)


def percentile_intervals(fit: Fit, draws: Draws, contrasts: Floats, *, level: float = 0.95) -> Bounds:
    """Estimates of (M, D) contrasts with percentiles of their draws as bounds.

    With fewer than 20 clusters the intervals are too narrow (90 % coverage instead of 95), and with a prior they are
    wrong (79 %): the draws scatter about an estimate that the prior has shrunk.

    Args:
        fit: fit of the comparisons.
        draws: parameters fitted to resamples of them.
        contrasts: (M, D) linear combinations of the parameters.
        level: coverage of the intervals, in (0, 1).

    Returns:
        Bounds; low and high are nan where the share of unbounded resamples exceeds a tail, since a bound is then not
        finite, and where all draws are equal, as with ties alone.
    """
    tail = 0.5 - 0.5 * level
    value = contrasts @ fit.parameters
    if not len(draws.parameters) or draws.unbounded_share > tail:
        return Bounds(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    drawn = draws.parameters @ contrasts.T
    low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    is_constant = np.ptp(drawn, axis=0) < SETTLED
    return Bounds(value, np.where(is_constant, np.nan, low), np.where(is_constant, np.nan, high))


def _drawn(
    fit: Fit, comparisons: Comparisons, rng: np.random.Generator, resamples: int, cluster: str | None
) -> Iterator[Floats]:
    """Batches of (3, R, C) counts."""
    cells = fit.cells
    width = len(cells.left)
    batch = max(1, min(resamples, BATCH_ENTRIES // max(width, fit.likelihood.size)))
    order = _order_by_strength(fit)
    if cluster is None:
        flat = cells.counts.ravel()[order]
        occupied = np.flatnonzero(flat > 0.0)
        probabilities, votes = flat[occupied] / flat[occupied].sum(), max(round(float(flat.sum())), 1)
    else:
        _, table = cells.by_cluster(cluster_numbers(comparisons, cluster), comparisons.weight)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        counts = np.zeros((size, 3 * width))
        if cluster is None:
            counts[:, order[occupied]] = multinomial(rng, votes, probabilities, size)
        else:
            clusters = table.shape[0]
            multiplicities = rng.multinomial(clusters, np.full(clusters, 1.0 / clusters), size=size).astype(np.float64)
            counts = np.asarray((table.T @ multiplicities.T).T)
        yield np.ascontiguousarray(counts.reshape(size, 3, width).transpose(1, 0, 2))  # (3, R, C)


def _order_by_strength(fit: Fit) -> Ints:
    """(3 C,) flat indices of the counts, sorted by the strengths of both items, then by extras and outcome.

    The outcome is 0 where the stronger item won, 1 where the weaker one did, 2 for a tie.
    """
    rank = np.empty(len(fit.items), np.int64)
    rank[np.argsort(-fit.strengths, kind='stable')] = np.arange(len(fit.items))
    left, right = rank[fit.cells.left], rank[fit.cells.right]
    extras = [np.round(column * np.where(left < right, 1.0, -1.0), 9) for column in fit.cells.extra.T]
    low, high, is_turned = np.minimum(left, right), np.maximum(left, right), left > right
    outcome = np.stack([is_turned.astype(int), 1 - is_turned.astype(int), np.full(len(left), 2)])
    columns = [np.tile(column, 3) for column in (*extras, high, low)]
    return np.lexsort((outcome.ravel(), *columns))


def multinomial(rng: np.random.Generator, votes: int, chance: Floats, size: int) -> Floats:
    """(size, L) multinomial counts, made from Poisson counts, which are drawn at half the cost.

    Independent Poisson counts, given their sum M, are multinomial with M trials; N - M further trials drawn one by one
    make it N. The mean is set a little below N, and sums above N are drawn again.

    Args:
        rng: generator of the counts.
        votes: number of trials N.
        chance: (L,) probabilities that sum to 1.
        size: number of draws.
    """
    mean = votes - 2.0 * np.sqrt(votes)
    if mean < 20.0 * len(chance):
        return rng.multinomial(votes, chance, size=size).astype(np.float64)
    counts = rng.poisson(mean * chance, size=(size, len(chance)))
    while (too_large := np.flatnonzero(counts.sum(axis=1) > votes)).size:
        counts[too_large] = rng.poisson(mean * chance, size=(len(too_large), len(chance)))
    missing = votes - counts.sum(axis=1)
    edges = np.cumsum(chance)
    columns = np.minimum(
        np.searchsorted(edges, rng.random(int(missing.sum())) * edges[-1], side='right'), len(chance) - 1
    )
    rows = np.repeat(np.arange(size), missing)
    added = np.bincount(rows * len(chance) + columns, minlength=counts.size)
    return (counts.ravel() + added).reshape(counts.shape).astype(np.float64)


def _refit(fit: Fit, counts: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(R, D) parameters at the maxima of (3, R, C) counts, and (R,) True where a maximum exists."""
    likelihood = fit.likelihood
    parameters = np.repeat(fit.parameters[None], counts.shape[1], axis=0)
    converged = _shared_steps(likelihood, fit, counts, parameters)
    if converged.all():
        return parameters, converged
    unsettled = np.flatnonzero(~converged)
    batch = max(1, BATCH_ENTRIES // likelihood.size**2)
    for start in range(0, len(unsettled), batch):
        chosen = unsettled[start : start + batch]
        maximum = maximise(
            likelihood, counts[:, chosen], np.repeat(fit.parameters[None], len(chosen), axis=0), tolerance=1e-8
        )
        parameters[chosen], converged[chosen] = maximum.parameters, maximum.reached
    return parameters, converged


def _shared_steps(likelihood: Likelihood, fit: Fit, counts: Floats, parameters: Floats) -> npt.NDArray[np.bool_]:
    """Move `parameters` in place by steps with the original fit's curvature; (R,) True where they converged."""
    factor = cho_factor(fit.information())
    is_shrinking = np.ones(len(parameters), bool)
    previous = np.full(len(parameters), np.inf)
    slopes = likelihood.model.slopes(counts)
    for number in range(SHARED_STEPS):
        by_eta, by_tau = slopes(likelihood.eta(parameters), likelihood.tau(parameters))
        step = cho_solve(factor, likelihood.gradient(by_eta, by_tau, parameters).T).T
        largest = np.abs(step).max(axis=1)
        is_shrinking &= np.isfinite(largest) & (largest < (0.3 * previous if number else 1.0))
        if not is_shrinking.any():
            break
        parameters += step
        previous = largest
        if largest[is_shrinking].max() < SETTLED:
            break
    return is_shrinking & (previous < SETTLED)
