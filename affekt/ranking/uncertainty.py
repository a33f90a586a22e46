"""Uncertainty of strengths and their differences.

Three kinds of intervals:

- `profile`: where the profile likelihood falls by t**2 / 2 below its maximum. Not symmetric, right on thin data; the
  default. Ties counted as half, and comparisons that share a sample or a rater, widen or narrow the fall by the ratio
  of the robust to the plain variance.
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
    high: Floats


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

    Raises:
        UnknownNameError: unknown cluster.
        ComparisonError: the comparisons have no samples or raters, or only one.

    Ties alone carry no information on the spread: it is 0 without a prior, and the prior's own with one.

    Source: with clusters, Bell & McCaffrey 2002 (leverage, as a jackknife) and Cameron, Gelbach & Miller 2011,
    doi:10.1198/jbes.2010.07136 (two ways).
    """
    plain = fit.plain_covariance()
    if fit.prior is not None and fit.is_tied_throughout:
        own = np.eye(fit.likelihood.size) * fit.prior**2
        return Spread(own, own, math.inf, is_prior=True)
    if not cluster:
        if fit.prior is not None:
            return Spread(plain * _dispersion(fit, float(fit.cells.totals.sum())), plain, math.inf)
        votes = float(fit.cells.totals.sum())
        freedom = max(votes - fit.likelihood.size + 1.0, 1.0)
        correction = max(votes / freedom, 1.0) ** 0.5
        return Spread(plain * _dispersion(fit, freedom), plain, freedom, correction)
    ids = [cluster_numbers(comparisons, name) for name in cluster]
    clusters = {name: len(np.unique(each)) for name, each in zip(cluster, ids, strict=True)}
    covariance = np.sum([_clustered(fit, comparisons, one, plain) for one in ids], axis=0)
    if len(ids) == 2:
        both = np.unique(np.stack(ids), axis=1, return_inverse=True)[1].ravel()
        covariance = _positive(covariance - _clustered(fit, comparisons, both, plain))
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
    speaks = ~spread.silent(contrasts)
    if speaks.any():
        reach = _wald if spread.is_prior else METHODS[method]
        low[speaks], high[speaks] = reach(fit, spread, contrasts[speaks], spread.quantile(level))
    return Bounds(value, value - low, value + high)


def _wald(fit: Fit, spread: Spread, contrasts: Floats, quantile: float) -> tuple[Floats, Floats]:
    reach = quantile * spread.errors(contrasts)
    return reach, reach


def signed_roots(fit: Fit, spread: Spread, contrasts: Floats) -> Floats:
    """(M,) signed roots of the profile likelihood ratio of each contrast against 0, comparable to estimate / error."""
    plain, value = _errors(spread.plain, contrasts), contrasts @ fit.parameters
    roots = np.empty(len(contrasts))
    per = max(1, PROFILED_ENTRIES // fit.likelihood.size**2)
    for begin in range(0, len(contrasts), per):
        part = slice(begin, begin + per)
        away = (value[part] / plain[part] ** 2)[:, None] * (contrasts[part] @ spread.plain)
        maximum = maximise(fit.likelihood, fit.counts, fit.parameters - away, contrast=contrasts[part], tolerance=1e-6)
        roots[part] = np.sqrt(2.0 * np.maximum(fit.log_likelihood - maximum.value, 0.0))
    return np.asarray(np.sign(value) * roots / np.sqrt(spread.inflation(contrasts) * spread.correction))


def _profile(fit: Fit, spread: Spread, contrasts: Floats, quantile: float) -> tuple[Floats, Floats]:
    """Distances from the estimate down and up to where the signed root of the likelihood ratio meets its target."""
    target = quantile * np.sqrt(spread.inflation(contrasts) * spread.correction)
    plain = _errors(spread.plain, contrasts)
    ray = contrasts @ spread.plain / (plain**2)[:, None]
    reach = np.empty((2, len(contrasts)))
    per = max(1, PROFILED_ENTRIES // fit.likelihood.size**2)
    for side, sign in enumerate((-1.0, 1.0)):
        for begin in range(0, len(contrasts), per):
            part = slice(begin, begin + per)
            reach[side, part] = _meet(fit, contrasts[part], sign * ray[part], target[part], plain[part])
    return reach[0], reach[1]


def _meet(fit: Fit, contrasts: Floats, ray: Floats, target: Floats, plain: Floats) -> Floats:
    """Safeguarded secant method on the root of the likelihood ratio, which is nearly linear and increasing along each
    ray; infinity where the target is not met within a plausible range of log-odds."""
    near, far = np.zeros(len(target)), np.full(len(target), np.inf)
    last, last_root = np.zeros(len(target)), np.zeros(len(target))
    reach, open_end = target * plain, np.zeros(len(target), bool)
    for _ in range(40):
        start = fit.parameters + reach[:, None] * ray
        maximum = maximise(fit.likelihood, fit.counts, start, contrast=contrasts, tolerance=1e-7)
        root = np.sqrt(2.0 * np.maximum(fit.log_likelihood - maximum.value, 0.0))
        open_end |= ~maximum.reached & (root < target)
        near, far = np.where(root < target, reach, near), np.where(root < target, far, reach)
        done = open_end | (np.abs(root - target) < 1e-7 * target)
        if done.all():
            break
        run, rise = reach - last, root - last_root
        rises = (rise > 0.0) & (run > 0.0) | (rise < 0.0) & (run < 0.0)
        guess = reach + (target - root) * np.where(rises, run, 0.0) / np.where(rises, rise, 1.0)
        middle = np.where(np.isfinite(far), 0.5 * (near + np.minimum(far, 1e6)), 2.0 * reach)
        inside = rises & (guess > near) & (guess < far)
        last, last_root = reach, root
        reach = np.where(done, reach, np.where(inside, np.minimum(guess, 4.0 * reach), middle))
    return np.where(open_end, np.inf, reach)


def _errors(covariance: Floats, contrasts: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(((contrasts @ covariance) * contrasts).sum(axis=1), 0.0)))


def _dispersion(fit: Fit, freedom: float) -> float:
    """Variance of outcomes (1, 1/2, 0) relative to that without ties; 1 where a tie model is used."""
    if fit.likelihood.model.has_tau or not fit.cells.counts[2].any():
        return 1.0
    chance = fit.likelihood.model.chances(fit.likelihood.eta(fit.parameters[None]), np.zeros((1, 1)))[0, 0]
    left, right, tie = fit.cells.counts
    seen = left * (1.0 - chance) ** 2 + right * chance**2 + tie * (0.5 - chance) ** 2
    expected = fit.cells.totals * chance * (1.0 - chance)
    return float(seen.sum() / expected.sum() * fit.cells.totals.sum() / freedom)


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
    slope, across, bend = _per_outcome(fit)
    spans = [counts[:, outcome * width : (outcome + 1) * width] for outcome in range(3)]
    by_eta = sum(span.multiply(slope[outcome]) for outcome, span in enumerate(spans)).tocsr()
    score = np.asarray((by_eta @ likelihood.design).todense())
    if likelihood.model.has_tau:
        tau = sum(np.asarray(span @ across[outcome]) for outcome, span in enumerate(spans))
        score = np.hstack([score, np.asarray(tau)[:, None]])
    if groups * likelihood.size**3 > EXACT_WORK:
        influence = score @ plain * np.sqrt(groups / (groups - 1.0))
        return np.asarray(influence.T @ influence)
    if np.ptp(score, axis=0).max() <= SILENT * np.abs(score).max():
        return np.zeros_like(plain)  # all clusters agree; only the pull of the prior is left
    root = np.linalg.cholesky(plain)
    influence = np.empty_like(score)
    per = max(1, PROFILED_ENTRIES // likelihood.size**2)
    for begin in range(0, groups, per):
        part = slice(begin, begin + per)
        own = _own_information(fit, [span[part] for span in spans], bend)
        share, axes = np.linalg.eigh(root.T @ own @ root)
        share = 1.0 / (1.0 - np.clip(share, 0.0, LEVERAGE_CAP))
        inner = np.einsum('gij,gi->gj', axes, score[part] @ root)
        influence[part] = np.einsum('gij,gj->gi', axes, share * inner) @ root.T
    return np.asarray(influence.T @ influence * ((groups - 1.0) / groups))


def _per_outcome(fit: Fit) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats]]:
    """(3, C) slopes along eta and tau of one outcome per cell, and the three (3, C) curvatures."""
    width = len(fit.cells.left)
    unit = np.eye(3)[:, :, None] * np.ones((1, 1, width))
    parameters = np.repeat(fit.parameters[None], 3, axis=0)
    curve = fit.likelihood.curve(parameters, unit)
    full = [np.broadcast_to(part, (3, width)) for part in curve[1:]]
    return full[0], full[1], (full[2], full[3], full[4])


def _own_information(fit: Fit, spans: list[sparse.csr_matrix], bend: tuple[Floats, Floats, Floats]) -> Floats:
    """(g, D, D) information from each cluster; the (g, C) spans are sparse, as a cluster is in few cells."""
    parts = [sum(span.multiply(one[outcome]) for outcome, span in enumerate(spans)).tocsr() for one in bend]
    return fit.likelihood.sparse_information(*parts)


def _positive(matrix: Floats) -> Floats:
    """The nearest positive semidefinite matrix: negative eigenvalues become 0."""
    values, axes = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray((axes * np.maximum(values, 0.0)) @ axes.T)


METHODS = {'profile': _profile, 'sandwich': _wald}
