"""What the sizes of groups leave of their number: degrees of freedom of a standard error over groups.

Where one speaker has half of all samples, ten speakers do not tell as much as ten of equal size: the score is mostly
that speaker's, so that the groups differ less from it than they should, and their differences are few. `freedom` says
how much too small the variance over resamples of groups is, and how many degrees of freedom it has. For groups of
equal size these are n / (n - 1) and n - 1.

Axes: n groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Freedom:
    """What is known of a standard error that was taken over resamples of groups."""

    degrees: float
    """Of freedom, for Student's t; from 1 to n - 1."""
    factor: float
    """By which the variance over resamples is too small."""


def degrees_of(known: Freedom | None, units: int) -> float:
    """Degrees of freedom of a standard error over units; n - 1 where they are equal."""
    return units - 1.0 if known is None else known.degrees


def are_equal(sizes: npt.ArrayLike) -> bool:
    """Whether all groups have as many samples."""
    counts = np.asarray(sizes)
    return bool((counts == counts[:1]).all())


def freedom(sizes: npt.ArrayLike, effect: float) -> Freedom:
    """Degrees of freedom and correction of the variance of a score over resamples of whole groups.

    A score that is a function of sums moves with its groups by u = (I - w 1') e, to first order: e is what each group
    adds, w its share of the samples. Resamples of groups have the variance V = u'u. With D, the variances of e,

        E V = tr(B D)    and    degrees = tr(B D)^2 / tr(B D B D),    B = (I - 1 w')(I - w 1')

    and V should be tr(D). Samples of one group resemble each other, so that a group of m samples has a variance of
    m (1 - r + r m); the correlation r is the one that gives the effect of the design that was observed.

    Args:
        sizes: (n,) samples of each group, n at least 2, each at least 1.
        effect: variance of the score over resamples of groups, divided by that over resamples of samples.

    Source: Bell & McCaffrey 2002, Survey Methodology 28, 169-181, for the degrees of freedom (Satterthwaite's); Imbens
    & Kolesár 2016, doi:10.1162/REST_a_00552, for a correlation that is estimated.

    >>> freedom([20, 20, 20, 20], 3.0)
    Freedom(degrees=3.0, factor=1.3333333333333333)
    """
    m = np.asarray(sizes, dtype=np.float64)
    w = m / m.sum()
    most = float(m @ m / m.sum())  # the effect where all samples of a group are the same
    correlation = min(max((effect - 1.0) / (most - 1.0), 0.0), 1.0) if most > 1.0 else 0.0
    d = m * (1.0 - correlation + correlation * m)
    d = d / d.sum()
    squares, mean, square = float(w @ w), float(d @ w), float(d @ w**2)
    trace = float(d @ (1.0 - 2.0 * w + squares))
    # B has 1 + squares - 2 w on its diagonal and squares - w - w' elsewhere.
    crossed = squares**2 + 2.0 * square + 2.0 * mean**2 - 4.0 * squares * mean
    crossed += float(d**2 @ (1.0 + 2.0 * (squares - 2.0 * w)))
    return Freedom(max(1.0, trace**2 / crossed), 1.0 / trace)
