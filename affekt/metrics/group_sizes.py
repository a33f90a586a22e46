"""Degrees of freedom of a standard error over groups, from the sizes of the groups.

Where one speaker has half of all samples, ten speakers carry less information than ten of equal size: the score is
mostly that speaker's, so the groups differ too little from it. `freedom` gives the factor by which the variance over
resamples of groups is too small, and its degrees of freedom. For groups of equal size these are n / (n - 1) and n - 1.
Axes: n groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats


@dataclass(frozen=True)
class Freedom:
    """Corrections of a standard error from resamples of groups."""

    degrees: float
    """Degrees of freedom of Student's t, from 1 to n - 1."""
    factor: float
    """Factor by which the variance over resamples, or of `error`, is too small."""
    error: float | None = None
    """Linearised standard error, uncorrected; None if that of the resamples is used."""

    def with_influences(self, influences: Floats | None) -> Freedom:
        """A copy with the linearised error of (n,) influences; None if they are unknown, or all 0."""
        square = float('nan') if influences is None else float(influences @ influences)
        return replace(self, error=float(np.sqrt(square)) if square > 0.0 else None)


def degrees_of(correction: Freedom | None, units: int) -> float:
    """Degrees of freedom of a standard error over units: those of the correction, without one the units less 1."""
    return units - 1.0 if correction is None else correction.degrees


def added_by(derivatives: npt.ArrayLike, left_out: npt.ArrayLike, shares: npt.ArrayLike) -> Floats:
    """(n,) influence of each group on a score, so that the sum of squares is the score's variance over groups.

    Two first-order estimates are the derivative by the group's weight, u, and v, which is (1 - w) times the change from
    leaving the group out, with w its share of the samples. For a mean they are equal. For a curved function of sums,
    such as a correlation, the first has too small a variance where groups are few (infinitesimal jackknife) and the
    second too large a one (jackknife), so their root mean square is taken; u alone where a score without the group is
    undefined.

    Args:
        derivatives: (n,) derivatives by the groups' weights.
        left_out: (n,) score minus the score without the group; nan where that is undefined.
        shares: (n,) share of the samples that each group has.

    Source: Efron & Stein 1981, doi:10.1214/aos/1176345462, and Efron 1982, The jackknife, the bootstrap and other
    resampling plans, chapters 4 and 6, for both and the signs of their errors.
    """
    u = np.asarray(derivatives, np.float64)
    v = (1.0 - np.asarray(shares, np.float64)) * np.asarray(left_out, np.float64)
    influences: Floats = np.copysign(np.sqrt((u**2 + np.where(np.isnan(v), u, v) ** 2) / 2), u)
    return influences


def are_equal(sizes: npt.ArrayLike) -> bool:
    """Whether all groups have the same number of samples."""
    counts = np.asarray(sizes)
    return bool((counts == counts[:1]).all())


def freedom(sizes: npt.ArrayLike, effect: float) -> Freedom:
    """Degrees of freedom and correction of the variance of a score over resamples of whole groups.

    A score that is a function of sums moves with its groups by u = (I - w 1') e, to first order: e is each group's
    influence, w its share of the samples. Resamples of groups have the variance V = u'u. With D, the variances of e,

        E V = tr(B D)    and    degrees = tr(B D)^2 / tr(B D B D),    B = (I - 1 w')(I - w 1')

    and V should be tr(D). Samples of one group resemble each other, so that a group of m samples has a variance of
    m (1 - r + r m). The correlation r, from 0 to 1, is the one whose E V, divided by the variance of the sum of all
    samples at r = 0, is the observed design effect.

    Args:
        sizes: (n,) number of samples of each group, n at least 2, each at least 1.
        effect: design effect: variance of the score over resamples of groups, or its linearised variance u'u, divided
            by that over resamples of samples.

    Source: Bell & McCaffrey 2002, Survey Methodology 28, 169-181, for the degrees of freedom (Satterthwaite's); Imbens
    & Kolesár 2016, doi:10.1162/REST_a_00552, for an estimated correlation.

    >>> freedom([20, 20, 20, 20], 3.0)
    Freedom(degrees=3.0, factor=1.3333333333333333, error=None)
    """
    m = np.asarray(sizes, dtype=np.float64)
    w = m / m.sum()
    largest_effect = float(m @ m / m.sum())  # design effect where r = 1
    independent_effect, dependent_effect = _trace(m / m.sum(), w), largest_effect * _trace(m * m / (m @ m), w)
    correlation = (
        min(max((effect - independent_effect) / (dependent_effect - independent_effect), 0.0), 1.0)
        if dependent_effect > independent_effect
        else 0.0
    )
    d = m * (1.0 - correlation + correlation * m)
    d = d / d.sum()
    squares, mean, square = float(w @ w), float(d @ w), float(d @ w**2)
    trace = _trace(d, w)
    # B has 1 + squares - 2 w on its diagonal and squares - w - w' elsewhere.
    crossed = squares**2 + 2.0 * square + 2.0 * mean**2 - 4.0 * squares * mean
    crossed += float(d**2 @ (1.0 + 2.0 * (squares - 2.0 * w)))
    return Freedom(max(1.0, trace**2 / crossed), 1.0 / trace)


def _trace(d: Floats, w: Floats) -> float:
    """tr(B D) for D = diag(d) of trace 1."""
    return float(d @ (1.0 - 2.0 * w + w @ w))
