"""The log-likelihood of counts and its maximum, for one set of counts or many at once.

Parameters are strengths (sum 0), then one effect per extra column, then tau where the tie model has one. Newton's
method with halved steps: the log-likelihood is concave, so a point where the step vanishes and the information is
positive definite is the maximum.

Axes: R repetitions (resamples, or profiles of several parameters), C cells, K items, E extra columns, D parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from affekt.arrays import Bools, Floats
from affekt.ranking.counts import Cells
from affekt.ranking.ties import Curve, TieModel

STEP_TOLERANCE = 1e-10
"""Largest last step of a converged iteration, in log-odds."""
MOST_STEPS = 60
"""Maximum number of Newton steps."""
FAR = 30.0
"""Log-odds of a compared pair plus tau beyond which the maximum is taken to be at infinity: it takes more than 1e13
comparisons to show such a strength."""


class Likelihood:
    """The (penalised) log-likelihood of a table of cells under a tie model.

    Args:
        cells: pairs, counts and extra columns.
        model: the tie model.
        prior: standard deviation of a Gaussian prior on strengths and effects; None for no prior.
    """

    def __init__(self, cells: Cells, model: TieModel, prior: float | None) -> None:
        items, extras = len(cells.items), cells.extra.shape[1]
        self.cells, self.model, self.items, self.slopes = cells, model, items, items + extras
        self.size = self.slopes + (1 if model.has_tau else 0)
        self.design = sparse.csr_matrix(sparse.hstack([item_design(cells), sparse.csr_matrix(cells.extra)]))
        self._outer = _outer_products(cells, items)
        self._precision = 0.0 if prior is None else prior**-2
        self._anchor = np.zeros((self.size, self.size))
        self._anchor[:items, :items] = 1.0 / items

    def eta(self, parameters: Floats) -> Floats:
        """(R, C) advantage of the left item, in log-odds."""
        cells = self.cells
        eta = parameters[:, cells.left] - parameters[:, cells.right]
        if cells.extra.shape[1]:
            eta += parameters[:, self.items : self.slopes] @ cells.extra.T
        return np.asarray(eta)

    def tau(self, parameters: Floats) -> Floats:
        """(R, 1) tie parameter, 0 where the model has none."""
        return parameters[:, self.slopes :] if self.model.has_tau else np.zeros((len(parameters), 1))

    def curve(self, parameters: Floats, counts: Floats) -> Curve:
        """Log-likelihood and derivatives of each cell, for counts (3, R, C) or (3, 1, C)."""
        return self.model.curve(self.eta(parameters), self.tau(parameters), counts)

    def value(self, curve: Curve, parameters: Floats) -> Floats:
        """(R,) log-likelihood, minus the penalty."""
        penalty = 0.5 * self._precision * (parameters[:, : self.slopes] ** 2).sum(axis=1)
        return np.asarray(curve.value.sum(axis=1) - penalty)

    def gradient(self, by_eta: Floats, by_tau: Floats, parameters: Floats) -> Floats:
        """(R, D) gradient from the (R, C) slopes of the cells."""
        slopes = (self.design.T @ by_eta.T).T - self._precision * parameters[:, : self.slopes]
        if not self.model.has_tau:
            return np.asarray(slopes)
        return np.hstack([slopes, by_tau.sum(axis=1, keepdims=True)])

    def information(self, curve: Curve) -> Floats:
        """(R, D, D) negative Hessian; singular along equal shifts of all strengths."""
        information = self.data_information(curve)
        diagonal = np.arange(self.slopes)
        information[:, diagonal, diagonal] += self._precision
        return information

    def data_information(self, curve: Curve) -> Floats:
        """(R, D, D) negative Hessian without the prior."""
        repetitions, slopes = len(curve.eta_eta), self.slopes
        square = np.asarray((self._outer.T @ curve.eta_eta.T).T).reshape(repetitions, slopes, slopes)
        if not self.model.has_tau:
            return square
        information = np.empty((repetitions, self.size, self.size))
        information[:, :slopes, :slopes] = square
        information[:, slopes, :slopes] = information[:, :slopes, slopes] = (self.design.T @ curve.eta_tau.T).T
        information[:, slopes, slopes] = curve.tau_tau.sum(axis=1)
        return information

    def sparse_information(
        self, eta_eta: sparse.csr_matrix, eta_tau: sparse.csr_matrix, tau_tau: sparse.csr_matrix
    ) -> Floats:
        """(R, D, D) `data_information` from sparse (R, C) curvatures."""
        repetitions, slopes = eta_eta.shape[0], self.slopes
        information = np.zeros((repetitions, self.size, self.size))
        information[:, :slopes, :slopes] = (eta_eta @ self._outer).toarray().reshape(repetitions, slopes, slopes)
        if self.model.has_tau:
            information[:, slopes, :slopes] = information[:, :slopes, slopes] = (eta_tau @ self.design).toarray()
            information[:, slopes, slopes] = np.asarray(tau_tau.sum(axis=1)).ravel()
        return information

    def anchored(self, information: Floats) -> Floats:
        """The information made invertible by fixing the sum of strengths to 0."""
        return information + self._anchor

    def start(self, repetitions: int = 1) -> Floats:
        """(R, D) start of the iteration: equal strengths, no effects, the overall share of ties."""
        parameters = np.zeros((repetitions, self.size))
        if self.model.has_tau:
            share = float(self.cells.counts[2].sum() / self.cells.counts.sum())
            parameters[:, self.slopes] = self.model.first_tau(min(max(share, 1e-3), 0.999))
        return parameters


@dataclass(frozen=True)
class Maximum:
    """Maximum of the log-likelihood for each repetition."""

    parameters: Floats
    """(R, D) parameters at the maximum."""
    value: Floats
    """(R,) log-likelihood at the maximum."""
    reached: Bools
    """(R,) False where the steps did not converge or a parameter diverged: there is no finite maximum."""


def maximise(
    likelihood: Likelihood,
    counts: Floats,
    start: Floats,
    *,
    contrast: Floats | None = None,
    tolerance: float = STEP_TOLERANCE,
) -> Maximum:
    """The maximum for each repetition, by Newton's method.

    Args:
        likelihood: likelihood over C cells.
        counts: (3, R, C), or (3, 1, C) for the same counts in every repetition.
        start: (R, D); strengths sum to 0.
        contrast: (R, D) linear combination of the parameters whose value is kept at that of the start.
        tolerance: largest last step, in log-odds.

    Returns:
        A Maximum; where it was not reached, the last point of the iteration.
    """
    parameters = start.copy()
    is_shared = counts.shape[1] == 1
    curve = likelihood.curve(parameters, counts)
    value = likelihood.value(curve, parameters)
    reached = np.zeros(len(parameters), bool)
    active = np.arange(len(parameters))
    for _ in range(MOST_STEPS):
        points = parameters[active]
        step = _step(likelihood, curve, points, None if contrast is None else contrast[active])
        point_counts = counts if is_shared else counts[:, active]
        moved, curve, new_value = _shortened_step(likelihood, point_counts, points, step, value[active], curve)
        parameters[active], value[active] = moved, new_value
        size = np.abs(step).max(axis=1)
        is_done = size < tolerance
        is_lost = ~np.isfinite(size) | _is_far(likelihood, moved)
        reached[active[is_done & ~is_lost]] = True
        remains = ~(is_done | is_lost)
        if not remains.any():
            break
        active = active[remains]
        curve = Curve(*(part[remains] if len(part) == len(remains) and len(remains) > 1 else part for part in curve))
    return Maximum(parameters, value, reached)


def item_design(cells: Cells) -> sparse.csr_matrix:
    """(C, K) with 1 for the left and -1 for the right item."""
    size = len(cells.left)
    values = np.repeat([1.0, -1.0], size)
    positions = (np.tile(np.arange(size), 2), np.concatenate([cells.left, cells.right]))
    return sparse.csr_matrix((values, positions), shape=(size, len(cells.items)))


def _is_far(likelihood: Likelihood, parameters: Floats) -> Bools:
    return np.asarray(np.abs(likelihood.eta(parameters)).max(axis=1) + np.abs(likelihood.tau(parameters))[:, 0] > FAR)


def _step(likelihood: Likelihood, curve: Curve, parameters: Floats, contrast: Floats | None) -> Floats:
    """(R, D) Newton step; with a contrast c, the one that leaves c'x unchanged.

    d = H^-1 g - H^-1 c (c' H^-1 g) / (c' H^-1 c)
    """
    information = likelihood.anchored(likelihood.information(curve))
    gradient = likelihood.gradient(curve.by_eta, curve.by_tau, parameters)
    if contrast is None:
        return solved(information, gradient[:, :, None])[:, :, 0]
    solutions = solved(information, np.stack([gradient, contrast], axis=2))
    free, restoring = solutions[:, :, 0], solutions[:, :, 1]
    share = (contrast * free).sum(axis=1) / (contrast * restoring).sum(axis=1)
    return np.asarray(free - share[:, None] * restoring)


def solved(matrices: Floats, right: Floats) -> Floats:
    """(R, D, M) solutions of R linear systems (D, D) with M right sides; nan where a matrix is singular."""
    try:
        return np.asarray(np.linalg.solve(matrices, right), np.float64)
    except np.linalg.LinAlgError:
        solution = np.full(np.broadcast_shapes(matrices.shape[:1], right.shape[:1]) + right.shape[1:], np.nan)
        for row, matrix in enumerate(matrices):
            try:
                solution[row] = np.linalg.solve(matrix, right[row])
            except np.linalg.LinAlgError:
                continue
        return solution


def _shortened_step(
    likelihood: Likelihood, counts: Floats, parameters: Floats, step: Floats, value: Floats, curve: Curve
) -> tuple[Floats, Curve, Floats]:
    """The step, halved for each repetition until the log-likelihood does not fall."""
    length = np.ones((len(parameters), 1))
    slack = 1e-12 * (1.0 + np.abs(value))
    for _ in range(40):
        moved = parameters + np.where(np.isfinite(step), length * step, 0.0)
        curve = likelihood.curve(moved, counts)
        new_value = likelihood.value(curve, moved)
        is_worse = ~(new_value >= value - slack)
        if not is_worse.any():
            break
        length[is_worse] *= 0.5
    return moved, curve, new_value


def _outer_products(cells: Cells, items: int) -> sparse.csr_matrix:
    """(C, (K + E)**2) each cell's design row times itself, flattened."""
    size, extras = cells.extra.shape
    width = items + extras
    column = np.hstack([np.stack([cells.left, cells.right], axis=1), np.tile(np.arange(items, width), (size, 1))])
    entry = np.hstack([np.tile([1.0, -1.0], (size, 1)), cells.extra])
    flat_index = (column[:, :, None] * width + column[:, None, :]).reshape(size, -1)  # (C, (2 + E)**2)
    values = (entry[:, :, None] * entry[:, None, :]).reshape(size, -1)  # (C, (2 + E)**2)
    rows = np.repeat(np.arange(size), flat_index.shape[1])
    return sparse.csr_matrix((values.ravel(), (rows, flat_index.ravel())), shape=(size, width * width))
