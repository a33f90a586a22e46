"""Influences on verdicts besides the items themselves: the side shown first, length, style, source.

Each influence has two measures. The share is raw: how often the favoured side won where one side was favoured and there
was a winner, the score of a rule that always chooses that side. The effect is the remainder between equally strong
items, with its interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from affekt.errors import UnrankableError
from affekt.ranking.bradley_terry import Fit, fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import ORDER, count
from affekt.ranking.covariates import controlled
from affekt.ranking.uncertainty import effect_contrasts, intervals, spread


@dataclass(frozen=True)
class Bias:
    """One influence on verdicts; effects are in log-odds, nan where the comparisons do not determine them."""

    name: str
    """`shown first`, or the name of a covariate: the side with more of it is the favoured one."""
    share: float
    """Share of the `decided` comparisons that the favoured side won; nan where there are none."""
    decided: float
    """Weighted comparisons with a winner in which one side was favoured."""
    effect: float
    """Log-odds per unit: shown first, twice the length, one more of a number, or having the level of a category."""
    low: float
    """Lower end of the effect's interval."""
    high: float
    """Upper end of the effect's interval."""
    is_controlled: bool
    """Whether the effect is already removed from the strengths."""
    note: str = ''
    """Reason why there is no effect; '' if there is one."""

    @property
    def chance(self) -> float:
        """Probability that the favoured one of two equally strong items wins, one unit apart, ties aside."""
        return float(expit(self.effect))


def biases(
    comparisons: Comparisons, main: Fit, *, cluster: Sequence[str] = (), level: float = 0.95
) -> tuple[Bias, ...]:
    """All influences that the comparisons can show; effects that the fit does not control are added to it one by one.

    Args:
        comparisons: N comparisons.
        main: fit of these comparisons.
        cluster: (), 'sample', 'rater' or both, see `spread`.
        level: coverage of the intervals, in (0, 1).

    Returns:
        The order first, where it is known, then all covariates; () without any.
    """
    names = [ORDER] if comparisons.first.any() else []
    names += list(comparisons.covariates)
    return tuple(_bias(comparisons, main, name, cluster, level) for name in names)


def _bias(comparisons: Comparisons, main: Fit, name: str, cluster: Sequence[str], level: float) -> Bias:
    share, decided = _raw_share(comparisons, name)
    is_controlled = name in main.cells.extra_names
    try:
        fitted = main if is_controlled else _with(comparisons, main, name)
    except UnrankableError as error:
        return Bias(name, share, decided, np.nan, np.nan, np.nan, False, error.came)
    index = fitted.cells.extra_names.index(name)
    bounds = intervals(
        fitted,
        spread(fitted, comparisons, cluster),
        effect_contrasts(fitted)[index : index + 1],
        level=level,
    )
    value, low, high = (float(bound[0]) for bound in (bounds.value, bounds.low, bounds.high))
    note = 'ties alone do not say' if np.isnan(low) else ''
    return Bias(name, share, decided, value, low, high, is_controlled, note)


def _with(comparisons: Comparisons, main: Fit, name: str) -> Fit:
    """The fit with one additional effect."""
    control = [covariate for covariate in main.cells.extra_names if covariate != ORDER] + (
        [] if name == ORDER else [name]
    )
    cells = count(
        comparisons,
        control=controlled(comparisons, control),
        order=name == ORDER or ORDER in main.cells.extra_names,
    )
    return fit(cells, ties=main.ties, prior=main.prior)


def _raw_share(comparisons: Comparisons, name: str) -> tuple[float, float]:
    """Share of the decided comparisons that the favoured side won, and their weighted number."""
    favoured = np.sign(comparisons.first if name == ORDER else comparisons.covariates[name])
    weights = comparisons.weight * ((favoured != 0) & (comparisons.outcome != 0))
    decided = float(weights.sum())
    won = float(weights[favoured == comparisons.outcome].sum())
    return (won / decided if decided else float('nan')), decided
