"""Uncertainty of strengths and their differences.

Three kinds of intervals:

- `profile`: up to where the profile log-likelihood falls by t**2 / 2 below its maximum. Not symmetric, right on thin
  data; the default. Ties counted as half, and comparisons that share a sample or a rater, widen or narrow the fall by
  the ratio of the robust to the plain variance.
- `sandwich`: estimate plus and minus t standard errors, with the robust covariance.
- `bootstrap` (in `bootstrap.py`): percentiles of strengths fitted to resampled counts.

Comparisons of one sample or by one rater are dependent: name the cluster to resample or sum over whole clusters.

Axes: N comparisons, C cells, D parameters, M contrasts (linear combinations of parameters), G clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import stdtrit

from affekt.arrays import Floats, Ints
from affekt.errors import ComparisonError, UnknownNameError, ValueRangeError
from affekt.ranking.bradley_terry import Fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.newton import maximise

PROFILED_ENTRIES = 400_000
"""Profiles, or clusters, times squared parameters per batch."""
CLUSTERS = ('sample', 'rater')
"""Names of the clusterings."""
LEVERAGE_CAP = 0.9
"""Largest leverage of a cluster that the correction uses, so that residuals stay finite."""
SILENT = 1e-6
"""Ratio of robust to model-based standard error below which the robust one is rounding error."""
EXACT_WORK = 5e8
"""Clusters times cubed parameters beyond which the correction for leverage, then negligible, is left out."""


@dataclass(frozen=True)
class Spread:
    """Covariance of a fit's parameters, and the distribution that goes with it."""

    covariance: Floats
    """(D, D), valid for contrasts that sum to 0 over the strengths."""
    plain: Floats
    """(D, D) inverse information."""
    freedom: float
    """Degrees of freedom of the t distribution; infinity (normal distribution) with a prior."""
    correction: float = 1.0
    """Divisor of the likelihood ratio for n comparisons and p parameters, similar to Bartlett's factor:
    sqrt(n / (n - p)). Chosen by simulation: at 8 items and 60 comparisons coverage is 0.6 points lower without it."""
    clusters: dict[str, int] = field(default_factory=dict)
    """Name of a clustering to its number of clusters."""
    is_prior: bool = False
    """Whether this is the prior's covariance because the comparisons carry no information on it."""

    def silent(self, contrasts: Floats) -> npt.NDArray[np.bool_]:
        """(M,) True where the comparisons leave no variance at all, so that the error of a contrast is unknown."""
        return np.asarray(self.errors(contrasts) <= SILENT * _errors(self.plain, contrasts))

    def errors(self, contrasts: Floats) -> Floats:
        """(M,) standard errors of (M, D) contrasts."""
        return _errors(self.covariance, contrasts)

    def inflation(self, contrasts: Floats) -> Floats:
        """(M,) ratio of robust to plain variance; 1 where the model's own variance is used."""
        return np.asarray((self.errors(contrasts) / _errors(self.plain, contrasts)) ** 2)

    def quantile(self, level: float) -> float:
        """Two-sided quantile of the t distribution."""
        return float(stdtrit(self.freedom, 0.5 + 0.5 * level))


@dataclass(frozen=True)
class Bounds:
    """Estimates with lower and upper bounds, all (M,)."""

    value: Floats
    low: Floats
    """Lower bounds; nan where the uncertainty is unknown."""
    high: Floats
    """Upper bounds; nan where the uncertainty is unknown."""


def strength_contrasts(fit: Fit) -> Floats:
    """(K, D) contrasts: each strength, relative to the mean of all."""
    size = len(fit.items)
    contrasts = np.zeros((size, fit.likelihood.size))
    contrasts[:, :size] = np.eye(size) - 1.0 / size
    return contrasts


def pair_contrasts(fit: Fit, first: Ints, second: Ints) -> Floats:
    """(M, D) contrasts: the first item's strength minus the second one's."""
    contrasts = np.zeros((len(first), fit.likelihood.size))
    rows = np.arange(len(first))
    contrasts[rows, first], contrasts[rows, second] = 1.0, -1.0
    return contrasts


def effect_contrasts(fit: Fit) -> Floats:
    """(E, D) contrasts: each effect."""
    return np.eye(fit.likelihood.size)[len(fit.items) : fit.likelihood.slopes]


def spread(fit: Fit, comparisons: Comparisons, cluster: Sequence[str] = ()) -> Spread:
    """Covariance of strengths and effects.

    Args:
        fit: fit of these comparisons.
        comparisons: N comparisons.
        cluster: (), 'sample', 'rater' or both (two-way). For (), the inverse information (with a prior, of the
            posterior); where ties count as half, times the dispersion of outcomes about their expectation.

    Returns:
        A Spread. Ties alone carry no information on it: the covariance is 0 without a prior, and the prior's with one.

    Raises:
        UnknownNameError: unknown cluster.
        ComparisonError: the comparisons have no samples or raters, or only one.

    Source: with clusters, Bell & McCaffrey 2002 (leverage, as a jackknife) and Cameron, Gelbach & Miller 2011,
    doi:10.1198/jbes.2010.07136 (two ways).
    """
    plain = fit.plain_covariance()
    if fit.prior is not None and fit.is_tied_throughout:
        prior_covariance = np.eye(fit.likelihood.size) * fit.prior**2
        return Spread(prior_covariance, prior_covariance, math.inf, is_prior=True)
    if not cluster:
        if fit.prior is not None:
            return Spread(plain * _dispersion(fit, float(fit.cells.totals.sum())), plain, math.inf)
        votes = float(fit.cells.totals.sum())
        freedom = max(votes - fit.likelihood.size + 1.0, 1.0)
        correction = max(votes / freedom, 1.0) ** 0.5
        return Spread(plain * _dispersion(fit, freedom), plain, freedom, correction)
    ids = [cluster_numbers(comparisons, name) for name in cluster]
    clusters = {name: len(np.unique(numbers)) for name, numbers in zip(cluster, ids, strict=True)}
    covariance = np.sum([_clustered(fit, comparisons, numbers, plain) for numbers in ids], axis=0)
    if len(ids) == 2:
        intersection = np.unique(np.stack(ids), axis=1, return_inverse=True)[1].ravel()
        covariance = _positive(covariance - _clustered(fit, comparisons, intersection, plain))
    return Spread(np.asarray(covariance), plain, float(min(clusters.values()) - 1), clusters=clusters)


def intervals(fit: Fit, spread: Spread, contrasts: Floats, *, level: float = 0.95, method: str = 'profile') -> Bounds:
    """Estimates of contrasts with their intervals.

    Args:
        fit: fit of the comparisons.
        spread: covariance of the fit, clustered or not.
        contrasts: (M, D).
        level: coverage in (0, 1).
        method: 'profile' or 'sandwich'.

    Returns:
        Bounds; nan where the comparisons carry no information on a contrast, as with ties alone.

    Raises:
        ValueRangeError: the level is out of range.
        UnknownNameError: unknown method.
    """
    if not 0.0 < level < 1.0:
        raise ValueRangeError(expected='a level between 0 and 1', came=f'{level}', todo='give for example 0.95')
    if method not in METHODS:
        raise UnknownNameError(
            expected=f'a kind of interval among {", ".join(METHODS)}', came=repr(method), todo='choose one of these'
        )
    value = contrasts @ fit.parameters
    low, high = np.full((2, len(value)), np.nan)
    is_known = ~spread.silent(contrasts)
    if is_known.any():
        distances = _wald if spread.is_prior else METHODS[method]
        low[is_known], high[is_known] = distances(fit, spread, contrasts[is_known], spread.quantile(level))
    return Bounds(value, value - low, value + high)


def _wald(fit: Fit, spread: Spread, contrasts: Floats, quantile: float) -> tuple[Floats, Floats]:
    """(M,) distances from the estimate to both bounds: the quantile times the standard error."""
    half_width = quantile * spread.errors(contrasts)
    return half_width, half_width


def signed_roots(fit: Fit, spread: Spread, contrasts: Floats) -> Floats:
    """(M,) signed roots of the profile likelihood ratio of each contrast against 0, comparable to estimate / error."""
    plain, value = _errors(spread.plain, contrasts), contrasts @ fit.parameters
    roots = np.empty(len(contrasts))
    batch = max(1, PROFILED_ENTRIES // fit.likelihood.size**2)
    for start in range(0, len(contrasts), batch):
        rows = slice(start, start + batch)
        shift = (value[rows] / plain[rows] ** 2)[:, None] * (contrasts[rows] @ spread.plain)
        maximum = maximise(fit.likelihood, fit.counts, fit.parameters - shift, contrast=contrasts[rows], tolerance=1e-6)
        roots[rows] = np.sqrt(2.0 * np.maximum(fit.log_likelihood - maximum.value, 0.0))
    return np.asarray(np.sign(value) * roots / np.sqrt(spread.inflation(contrasts) * spread.correction))


def _profile(fit: Fit, spread: Spread, contrasts: Floats, quantile: float) -> tuple[Floats, Floats]:
    """(M,) distances from the estimate, down and up, at which the root of the likelihood ratio meets its target."""
    target = quantile * np.sqrt(spread.inflation(contrasts) * spread.correction)
    plain = _errors(spread.plain, contrasts)
    ray = contrasts @ spread.plain / (plain**2)[:, None]
    distances = np.empty((2, len(contrasts)))
    batch = max(1, PROFILED_ENTRIES // fit.likelihood.size**2)
    for side, sign in enumerate((-1.0, 1.0)):
        for start in range(0, len(contrasts), batch):
            rows = slice(start, start + batch)
            distances[side, rows] = _crossings(fit, contrasts[rows], sign * ray[rows], target[rows], plain[rows])
    return distances[0], distances[1]


def _crossings(fit: Fit, contrasts: Floats, ray: Floats, target: Floats, plain: Floats) -> Floats:
    """(M,) distances along each ray at which the root of the likelihood ratio meets its target; infinity for never.

    A secant method with safeguards: the root is nearly linear and increasing along a ray. Beyond a plausible range of
    log-odds the target counts as not met.
    """
    lower, upper = np.zeros(len(target)), np.full(len(target), np.inf)
    previous, previous_root = np.zeros(len(target)), np.zeros(len(target))
    distance, is_unbounded = target * plain, np.zeros(len(target), bool)
    for _ in range(40):
        start = fit.parameters + distance[:, None] * ray
        maximum = maximise(fit.likelihood, fit.counts, start, contrast=contrasts, tolerance=1e-7)
        root = np.sqrt(2.0 * np.maximum(fit.log_likelihood - maximum.value, 0.0))
        is_unbounded |= ~maximum.reached & (root < target)
        lower, upper = np.where(root < target, distance, lower), np.where(root < target, upper, distance)
        is_done = is_unbounded | (np.abs(root - target) < 1e-7 * target)
        if is_done.all():
            break
        run, rise = distance - previous, root - previous_root
        is_increasing = (rise > 0.0) & (run > 0.0) | (rise < 0.0) & (run < 0.0)
        guess = distance + (target - root) * np.where(is_increasing, run, 0.0) / np.where(is_increasing, rise, 1.0)
        middle = np.where(np.isfinite(upper), 0.5 * (lower + np.minimum(upper, 1e6)), 2.0 * distance)
        is_inside = is_increasing & (guess > lower) & (guess < upper)
        previous, previous_root = distance, root
        distance = np.where(is_done, distance, np.where(is_inside, np.minimum(guess, 4.0 * distance), middle))
    return np.where(is_unbounded, np.inf, distance)


def _errors(covariance: Floats, contrasts: Floats) -> Floats:
    """(M,) standard errors of (M, D) contrasts under a (D, D) covariance."""
    return np.asarray(np.sqrt(np.maximum(((contrasts @ covariance) * contrasts).sum(axis=1), 0.0)))


def _dispersion(fit: Fit, freedom: float) -> float:
    """Variance of outcomes (1, 1/2, 0) relative to that without ties; 1 where a tie model is used."""
    if fit.likelihood.model.has_tau or not fit.cells.counts[2].any():
        return 1.0
    probability = fit.likelihood.model.chances(fit.likelihood.eta(fit.parameters[None]), np.zeros((1, 1)))[0, 0]
    left, right, tie = fit.cells.counts
    observed = left * (1.0 - probability) ** 2 + right * probability**2 + tie * (0.5 - probability) ** 2
    expected = fit.cells.totals * probability * (1.0 - probability)
    return float(observed.sum() / expected.sum() * fit.cells.totals.sum() / freedom)


def cluster_numbers(comparisons: Comparisons, name: str) -> Ints:
    """(N,) index of each comparison's sample or rater.

    Raises:
        UnknownNameError: unknown cluster.
        ComparisonError: the comparisons do not have it, or only one value.
    """
    if name not in CLUSTERS:
        raise UnknownNameError(
            expected=f'clusters among {", ".join(CLUSTERS)}', came=repr(name), todo='choose one or both of these'
        )
    numbers = comparisons.sample if name == 'sample' else comparisons.rater
    if numbers is None:
        raise ComparisonError(
            expected=f'a {name} for each comparison', came='none', todo=f'give a column {name}, or do not cluster by it'
        )
    if len(np.unique(numbers)) < 2:
        raise ComparisonError(
            expected=f'two {name}s or more', came='one', todo=f'do not cluster by {name}: it does not vary'
        )
    return numbers


def _clustered(fit: Fit, comparisons: Comparisons, cluster: Ints, plain: Floats) -> Floats:
    """(D, D) robust covariance from each cluster's one-step influence, as in a jackknife."""
    likelihood = fit.likelihood
    _, counts = fit.cells.by_cluster(cluster, comparisons.weight)
    groups, width = counts.shape[0], len(fit.cells.left)
    slope, tau_slope, curvatures = _per_outcome(fit)
    by_outcome = [counts[:, outcome * width : (outcome + 1) * width] for outcome in range(3)]
    by_eta = sum(outcome_counts.multiply(slope[outcome]) for outcome, outcome_counts in enumerate(by_outcome)).tocsr()
    score = np.asarray((by_eta @ likelihood.design).todense())
    if likelihood.model.has_tau:
        tau_score = sum(
            np.asarray(outcome_counts @ tau_slope[outcome]) for outcome, outcome_counts in enumerate(by_outcome)
        )
        score = np.hstack([score, np.asarray(tau_score)[:, None]])
    if groups * likelihood.size**3 > EXACT_WORK:
        influence = score @ plain * np.sqrt(groups / (groups - 1.0))
        return np.asarray(influence.T @ influence)
    if np.ptp(score, axis=0).max() <= SILENT * np.abs(score).max():
        return np.zeros_like(plain)  # all clusters agree; only the pull of the prior is left
    root = np.linalg.cholesky(plain)
    influence = np.empty_like(score)
    batch = max(1, PROFILED_ENTRIES // likelihood.size**2)
    for start in range(0, groups, batch):
        rows = slice(start, start + batch)
        information = _cluster_information(fit, [outcome_counts[rows] for outcome_counts in by_outcome], curvatures)
        leverage, axes = np.linalg.eigh(root.T @ information @ root)
        scale = 1.0 / (1.0 - np.clip(leverage, 0.0, LEVERAGE_CAP))
        rotated = np.einsum('gij,gi->gj', axes, score[rows] @ root)  # (g, D)
        influence[rows] = np.einsum('gij,gj->gi', axes, scale * rotated) @ root.T  # (g, D)
    return np.asarray(influence.T @ influence * ((groups - 1.0) / groups))


def _per_outcome(fit: Fit) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats]]:
    """(3, C) slopes along eta and tau of one outcome per cell, and the three (3, C) curvatures."""
    width = len(fit.cells.left)
    one_each = np.eye(3)[:, :, None] * np.ones((1, 1, width))  # (3 outcomes, 3 repetitions, C)
    parameters = np.repeat(fit.parameters[None], 3, axis=0)
    curve = fit.likelihood.curve(parameters, one_each)
    derivatives = [np.broadcast_to(derivative, (3, width)) for derivative in curve[1:]]
    return derivatives[0], derivatives[1], (derivatives[2], derivatives[3], derivatives[4])


def _cluster_information(
    fit: Fit, by_outcome: list[sparse.csr_matrix], curvatures: tuple[Floats, Floats, Floats]
) -> Floats:
    """(g, D, D) information from each of g clusters, whose (g, C) counts are sparse: a cluster is in few cells."""
    parts = [
        sum(counts.multiply(curvature[outcome]) for outcome, counts in enumerate(by_outcome)).tocsr()
        for curvature in curvatures
    ]
    return fit.likelihood.sparse_information(*parts)


def _positive(matrix: Floats) -> Floats:
    """The nearest positive semidefinite matrix: negative eigenvalues become 0."""
    values, axes = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray((axes * np.maximum(values, 0.0)) @ axes.T)


METHODS = {'profile': _profile, 'sandwich': _wald}
"""Kind of interval to the function that gives the distances from estimates to their bounds."""
