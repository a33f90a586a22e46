"""Tie models: three likelihoods of left wins, right wins and ties, given the difference of two strengths.

With eta the left item's strength minus the right one's, plus all other advantages of the left, in log-odds:

- `half`: a tie is half a win for each side; p(left) = 1 / (1 + exp(-eta)). No model of how often ties happen.
- `davidson`: p(left) : p(right) : p(tie) = exp(eta / 2) : exp(-eta / 2) : exp(tau). Davidson's nu is exp(tau).
- `rao-kupper`: p(left) = 1 / (1 + exp(tau - eta)), p(right) = 1 / (1 + exp(tau + eta)), a tie otherwise; their theta is
  exp(tau) >= 1.

All three log-likelihoods are concave in (eta, tau), and they, their gradients and their Hessians are linear in the
counts, so counts may be fractions (weights) or resampled (bootstrap).

Axes: R resamples or other repetitions, C cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit

from affekt.arrays import Floats
from affekt.errors import UnknownNameError


class Curve(NamedTuple):
    """Log-likelihood of each cell with its derivatives; second derivatives with reversed sign."""

    value: Floats
    """(R, C) log-likelihood."""
    by_eta: Floats
    """(R, C) derivative by eta."""
    by_tau: Floats
    """(R, C) derivative by tau; it and both second derivatives by tau are zeros (1, 1) in a model without tau."""
    eta_eta: Floats
    """(R, C) negative second derivative by eta."""
    eta_tau: Floats
    """(R, C) negative mixed derivative."""
    tau_tau: Floats
    """(R, C) negative second derivative by tau."""


Slopes = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Function from eta (R, C) and tau (R, 1) to the derivatives of the log-likelihood by both."""


class TieModel(Protocol):
    """A likelihood of the three outcomes."""

    has_tau: bool
    """Whether the model has a parameter for how often ties happen."""

    def curve(self, eta: Floats, tau: Floats, counts: Floats) -> Curve:
        """Log-likelihood of counts, with derivatives.

        Args:
            eta: (R, C) advantage of the left item in log-odds.
            tau: (R, 1) tie parameter, ignored by models without one.
            counts: (3, R, C) left wins, right wins, ties.
        """

    def slopes(self, counts: Floats) -> Slopes:
        """The first derivatives alone, as a function of eta and tau, for fixed counts."""

    def chances(self, eta: Floats, tau: Floats) -> Floats:
        """(3, R, C) probabilities of left wins, right wins, ties."""

    def first_tau(self, tie_share: float) -> float:
        """The tie parameter at which equal items tie with this probability."""


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x)


class Half:
    """Ties as half a win for each side."""

    has_tau = False

    def curve(self, eta: Floats, tau: Floats, counts: Floats) -> Curve:
        """Logistic regression on wins plus half the ties."""
        total = counts[0] + counts[1] + counts[2]
        won = counts[0] + 0.5 * counts[2]
        p = expit(eta)
        zero = np.zeros((1, 1))
        return Curve(won * eta - total * softplus(eta), won - total * p, zero, total * p * (1.0 - p), zero, zero)

    def slopes(self, counts: Floats) -> Slopes:
        """Wins minus expected wins."""
        total = counts[0] + counts[1] + counts[2]
        won = counts[0] + 0.5 * counts[2]
        zero = np.zeros((1, 1))
        return lambda eta, tau: (won - total * expit(eta), zero)

    def chances(self, eta: Floats, tau: Floats) -> Floats:
        """Probabilities without ties, which the model does not have."""
        p = expit(eta)
        return np.stack([p, 1.0 - p, np.zeros_like(p)])

    def first_tau(self, tie_share: float) -> float:
        """0, which this model ignores."""
        return 0.0


class Davidson:
    """Ties with a probability in proportion to the geometric mean of both sides' chances.

    Source: Davidson 1970, doi:10.1080/01621459.1970.10481082.
    """

    has_tau = True

    def curve(self, eta: Floats, tau: Floats, counts: Floats) -> Curve:
        """A log-linear model of three outcomes."""
        total = counts[0] + counts[1] + counts[2]
        left, right, tie = self.chances(eta, tau)
        lead, decided = left - right, left + right
        scale = np.logaddexp(np.logaddexp(0.5 * eta, -0.5 * eta), tau)
        return Curve(
            0.5 * (counts[0] - counts[1]) * eta + counts[2] * tau - total * scale,
            0.5 * (counts[0] - counts[1] - total * lead),
            counts[2] - total * tie,
            0.25 * total * (decided - lead**2),
            -0.5 * total * lead * tie,
            total * tie * (1.0 - tie),
        )

    def slopes(self, counts: Floats) -> Slopes:
        """Observed minus expected leads and ties; exp(eta / 2) does not overflow below 1,400 log-odds."""
        total = counts[0] + counts[1] + counts[2]
        lead = 0.5 * (counts[0] - counts[1])

        def derivatives(eta: Floats, tau: Floats) -> tuple[Floats, Floats]:
            up = np.exp(0.5 * eta)
            down = 1.0 / up
            share = total / (up + down + np.exp(tau))
            return lead - 0.5 * share * (up - down), counts[2] - share * np.exp(tau)

        return derivatives

    def chances(self, eta: Floats, tau: Floats) -> Floats:
        """Softmax of eta / 2, -eta / 2 and tau."""
        scale = np.logaddexp(np.logaddexp(0.5 * eta, -0.5 * eta), tau)
        return np.stack([np.exp(0.5 * eta - scale), np.exp(-0.5 * eta - scale), np.exp(tau - scale)])

    def first_tau(self, tie_share: float) -> float:
        """log(2 share / (1 - share))."""
        return float(np.log(2.0 * tie_share / (1.0 - tie_share)))


class RaoKupper:
    """Ties where the perceived difference is below a threshold of tau, in log-odds.

    Source: Rao & Kupper 1967, doi:10.1080/01621459.1967.10482901.
    """

    has_tau = True

    def curve(self, eta: Floats, tau: Floats, counts: Floats) -> Curve:
        """p(tie) = p(left) p(right) (exp(2 tau) - 1), so every tie counts once for each side."""
        for_left, for_right, ties = counts[0] + counts[2], counts[1] + counts[2], counts[2]
        is_valid = tau > 0.0
        valid_tau = np.where(is_valid, tau, 1.0)
        not_left, not_right = expit(valid_tau - eta), expit(valid_tau + eta)
        left, right = for_left * not_left * (1.0 - not_left), for_right * not_right * (1.0 - not_right)
        shrink = -np.expm1(-2.0 * valid_tau)
        value = (
            -for_left * softplus(valid_tau - eta)
            - for_right * softplus(valid_tau + eta)
            + ties * (2.0 * valid_tau + np.log(shrink))
        )
        return Curve(
            np.where(is_valid, value, -np.inf),
            for_left * not_left - for_right * not_right,
            2.0 * ties / shrink - for_left * not_left - for_right * not_right,
            left + right,
            right - left,
            left + right + ties * 4.0 * np.exp(-2.0 * valid_tau) / shrink**2,
        )

    def slopes(self, counts: Floats) -> Slopes:
        """As in `curve`, for tau above 0."""
        for_left, for_right, ties = counts[0] + counts[2], counts[1] + counts[2], counts[2]

        def derivatives(eta: Floats, tau: Floats) -> tuple[Floats, Floats]:
            left, right = for_left * expit(tau - eta), for_right * expit(tau + eta)
            return left - right, ties * (2.0 / -np.expm1(-2.0 * tau)) - left - right

        return derivatives

    def chances(self, eta: Floats, tau: Floats) -> Floats:
        """Left and right wins from their logits, ties as the remainder."""
        left, right = expit(eta - tau), expit(-eta - tau)
        return np.stack([left, right, left * right * np.expm1(2.0 * tau)])

    def first_tau(self, tie_share: float) -> float:
        """log((1 + share) / (1 - share))."""
        return float(np.log((1.0 + tie_share) / (1.0 - tie_share)))


def tie_model(name: str) -> TieModel:
    """The tie model with a name, such as 'davidson'.

    Raises:
        UnknownNameError: unknown tie model.
    """
    if name not in TIE_MODELS:
        raise UnknownNameError(
            expected=f'a tie model among {", ".join(TIE_MODELS)}', came=repr(name), todo='choose one of these'
        )
    return TIE_MODELS[name]


TIE_MODELS: dict[str, TieModel] = {'half': Half(), 'davidson': Davidson(), 'rao-kupper': RaoKupper()}
