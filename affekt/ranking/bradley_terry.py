"""Strengths of items from wins, losses and ties, by maximum likelihood.

The Bradley–Terry model: item i beats item j with probability 1 / (1 + exp(s_j - s_i)). Strengths are in log-odds and
sum to 0. `ties.py` and `counts.py` define ties, the side shown first and covariates. Data without a finite maximum
raise an error that names the items; with a Gaussian prior they get finite strengths, and the fit reports it.

Source: Bradley & Terry 1952, doi:10.2307/2334029; Hunter 2004, doi:10.1214/aos/1079120141.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit

from affekt.arrays import Floats
from affekt.errors import LimitError, UnrankableError, ValueRangeError
from affekt.ranking.counts import LEFT, RIGHT, TIE, Cells
from affekt.ranking.diagnosis import Diagnosis, diagnose, listed, refuse_unrankable
from affekt.ranking.newton import Likelihood, Maximum, item_design, maximise
from affekt.ranking.ties import Curve, Half, TieModel, tie_model

MOST_ITEMS = 5000
"""Maximum number of items: the information matrix is dense, 200 MB at this size."""
LEAST_PRIOR, MOST_PRIOR = 1e-4, 1e4
"""Range of the prior's standard deviation, in log-odds."""
FLAT = 1e-12
"""Smallest eigenvalue of the information, scaled to a unit diagonal, that counts as curvature."""
ALIASED = 1e-9
"""Share of an effect's variance that the items must leave unexplained."""


@dataclass(frozen=True)
class Fit:
    """Strengths, effects and the tie parameter at the maximum of the likelihood.

    C cells, K items, D parameters.
    """

    cells: Cells
    """Counts of the comparisons."""
    likelihood: Likelihood
    parameters: Floats
    """(D,) strengths, effects and tau, in log-odds."""
    log_likelihood: float
    """Log-likelihood at the maximum; with a prior, minus the penalty."""
    ties: str
    """Tie model that was requested."""
    prior: float | None
    """Standard deviation of the Gaussian prior, in log-odds; None without one."""
    diagnosis: Diagnosis
    """Reasons why some strengths are bounded by the prior alone; empty without such strengths."""

    @property
    def items(self) -> tuple[str, ...]:
        """Names in the order of `strengths`."""
        return self.cells.items

    @property
    def strengths(self) -> Floats:
        """(K,) strengths in log-odds; they sum to 0."""
        return np.asarray(self.parameters[: len(self.items)])

    @property
    def effects(self) -> dict[str, float]:
        """Log-odds added for the side shown first, or per unit of a covariate, by name."""
        values = self.parameters[len(self.items) :]
        return {name: float(value) for name, value in zip(self.cells.extra_names, values, strict=False)}

    @property
    def is_tied_throughout(self) -> bool:
        """Whether every comparison tied, so that the uncertainty of strengths is unknown."""
        return not (self.cells.counts[LEFT].any() or self.cells.counts[RIGHT].any())

    @property
    def tau(self) -> float | None:
        """The tie parameter; None if the model has none or nothing tied."""
        return float(self.parameters[-1]) if self.likelihood.model.has_tau else None

    @property
    def counts(self) -> Floats:
        """(3, 1, C) counts of the cells."""
        return self.cells.counts[:, None, :]

    def curve(self) -> Curve:
        """Log-likelihood and derivatives of each cell at the maximum."""
        return self.likelihood.curve(self.parameters[None], self.counts)

    def information(self) -> Floats:
        """(D, D) information, made invertible; with a prior, of the posterior."""
        return np.asarray(self.likelihood.anchored(self.likelihood.information(self.curve()))[0])

    def plain_covariance(self) -> Floats:
        """(D, D) inverse of the information."""
        return np.asarray(np.linalg.inv(self.information()), np.float64)

    def chances(self) -> Floats:
        """(K, K) probability that the row item beats the column item, ties and effects aside."""
        return np.asarray(expit(self.strengths[:, None] - self.strengths[None, :]))


def fit(cells: Cells, *, ties: str = 'half', prior: float | None = None) -> Fit:
    """Maximum-likelihood strengths of the items.

    Args:
        cells: counts by pair and extra columns.
        ties: half, davidson or rao-kupper.
        prior: standard deviation, in log-odds, of a Gaussian prior on strengths and effects; without it, plain maximum
            likelihood.

    Returns:
        A Fit. Without a finite maximum but with a prior, its diagnosis says which strengths only the prior bounds.
        Where nothing tied, a tie model becomes the model without ties, which is its limit.

    Raises:
        UnrankableError: there is no finite maximum and no prior, or the items determine an effect completely.
        UnknownNameError: unknown tie model.
        ValueRangeError: the prior is not a positive number.
        LimitError: there are more than 5,000 items.

    >>> from affekt.ranking import Comparisons, count
    >>> votes = Comparisons.of(['a', 'a', 'a', 'b'], ['b', 'b', 'b', 'a'], ['left'] * 4)
    >>> fit(count(votes)).strengths.round(4)  # a won 3 of 4: half of log 3 each way
    array([ 0.5493, -0.5493])
    """
    model = tie_model(ties)
    _check(cells, prior)
    diagnosis = diagnose(cells)
    if prior is None:
        refuse_unrankable(diagnosis)
    _refuse_aliases(cells)
    model = _model_for(cells, model)
    likelihood = Likelihood(cells, model, prior)
    maximum = maximise(likelihood, cells.counts[:, None, :], likelihood.start())
    fitted = Fit(cells, likelihood, maximum.parameters[0], float(maximum.value[0]), ties, prior, diagnosis)
    if not (maximum.reached[0] and _is_definite(fitted.information())):
        raise _divergence_error(likelihood, maximum)
    return fitted


def _check(cells: Cells, prior: float | None) -> None:
    if prior is not None and not LEAST_PRIOR <= prior <= MOST_PRIOR:
        raise ValueRangeError(
            expected=f'a prior standard deviation above 0, from {LEAST_PRIOR:g} to {MOST_PRIOR:g} log-odds',
            came=f'{prior}',
            todo='give for example 1.0',
        )
    if len(cells.items) > MOST_ITEMS:
        raise LimitError(
            expected=f'at most {MOST_ITEMS} items', came=f'{len(cells.items)}', todo='rank the items in parts'
        )


def _model_for(cells: Cells, model: TieModel) -> TieModel:
    """The model without ties where nothing tied; an error where a tie model has ties only."""
    if not model.has_tau:
        return model
    if not cells.counts[TIE].any():
        return Half()
    if not (cells.counts[LEFT].any() or cells.counts[RIGHT].any()):
        raise UnrankableError(
            expected='some comparisons that are no ties', came='ties only', todo='count ties as half (--ties half)'
        )
    return model


def _refuse_aliases(cells: Cells) -> None:
    """Raise where the order or a covariate is a linear combination of item differences and earlier effects."""
    if not cells.extra_names:
        return
    weight = sparse.diags_array(np.sqrt(cells.totals))
    basis = sparse.csr_matrix(weight @ item_design(cells))
    for name, column in zip(cells.extra_names, cells.extra.T, strict=True):
        effect = weight @ column
        power = float((effect**2).sum())
        gram = (basis.T @ basis).toarray()
        explained = basis @ (np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ (basis.T @ effect))
        residual = effect - explained
        if power == 0.0 or float((residual**2).sum()) <= ALIASED * power:
            reason = (
                'is the same on both sides everywhere' if power == 0.0 else 'only repeats which items were compared'
            )
            raise UnrankableError(
                expected=f'comparisons that tell the effect of {name!r} from the items',
                came=f'a {name!r} that {reason}',
                todo='leave it out, or compare items on which it differs',
            )
        basis = sparse.csr_matrix(sparse.hstack([basis, effect[:, None]]))


def _is_definite(information: Floats) -> bool:
    """Whether the likelihood is strictly concave, whatever the units; on a ridge the maximum is not unique."""
    unit = np.sqrt(np.diag(information))
    return bool(np.linalg.eigvalsh(information / unit[:, None] / unit[None, :])[0] > FLAT)


def _divergence_error(likelihood: Likelihood, maximum: Maximum) -> UnrankableError:
    """The error that names the parameters that grow without bound."""
    names = [*likelihood.cells.items, *likelihood.cells.extra_names, 'the share of ties'][: likelihood.size]
    magnitudes = np.abs(maximum.parameters[0])
    largest = magnitudes.max() if np.isfinite(magnitudes).all() else 0.0
    unbounded = [name for name, value in zip(names, magnitudes, strict=True) if not value <= 0.5 * largest] or names
    return UnrankableError(
        expected='comparisons with a finite maximum of the likelihood',
        came=f'{listed(unbounded)} growing without bound: with these effects and ties the outcomes are explained '
        'perfectly',
        todo='drop an effect, count ties as half, collect more comparisons, or give a prior (--prior 1.0)',
    )
