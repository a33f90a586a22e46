"""Fit of a face's amounts of the named directions, which explain how its landmarks moved.

    minimise over a   |W P (moved - sum_k a_k direction_k)|^2 + (RIDGE size)^2 |a|^2  with lowest <= a <= highest

P removes what a small rotation, translation or scaling of the whole face would explain. W weights depth less than the
image plane, since landmarks measure it less well. `size` is the mean length of the directions after both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d.models import face_model

DEPTH_WEIGHT = 0.3
"""Weight of a depth relative to x and y."""
RIDGE = 0.08
"""Strength of the ridge penalty, relative to the mean length of the directions."""
HIGHEST = 1.2
"""Upper bound of amounts; people exceed 1 a little."""
MOST_STEPS = 60
"""Maximum number of Newton steps."""
_CONVERGED = 1e-9
"""Largest slope of an amount at no bound at which the fit has converged."""


class ExpressionFit:
    """Fits one person's amounts; precomputes what does not change between frames.

    Args:
        rest: (468, 3) the person's own points at rest, about which the head turns; None takes those of the mean face.
        directions: (51, 468, 3) displacements at 1, centimetres; None takes those of the face model.

    Raises:
        ShapeError: a shape differs from the above.
    """

    def __init__(self, rest: npt.ArrayLike | None = None, directions: Floats | None = None) -> None:
        model = face_model()
        points = model.mean if rest is None else np.asarray(rest, dtype=np.float64)
        if points.shape != model.mean.shape:
            raise ShapeError(expected=f'points {model.mean.shape}', came=f'{points.shape}', todo='give 468 of them')
        moves = [model.direction(name) for name in model.directions] if directions is None else list(directions)
        self.directions = np.stack([move.ravel() for move in moves], axis=1)  # (1404, 51)
        axes = np.eye(3)
        rigid = [np.cross(axis, points).ravel() for axis in axes]
        rigid += [np.tile(axis, (len(points), 1)).ravel() for axis in axes]
        self._rigid, _ = np.linalg.qr(np.stack([*rigid, points.ravel()], axis=1))  # (1404, 7)
        self._weights = np.tile([1.0, 1.0, DEPTH_WEIGHT], len(points))
        weighted = self._weights[:, None] * self._without_rigid(self.directions)
        ridge = RIDGE * float(np.linalg.norm(weighted, axis=0).mean())
        self._weighted = weighted
        self._hessian = weighted.T @ weighted + ridge**2 * np.eye(weighted.shape[1])

    def _without_rigid(self, moved: Floats) -> Floats:
        """(1404,) or (1404, N) displacements without rotation, translation and scaling of the head."""
        return np.asarray(moved - self._rigid @ (self._rigid.T @ moved))

    def amounts(
        self,
        moved: npt.ArrayLike,
        lowest: npt.ArrayLike = 0.0,
        highest: npt.ArrayLike = HIGHEST,
        start: npt.ArrayLike | None = None,
    ) -> Floats:
        """(51,) the amounts that best explain a movement.

        Args:
            moved: (468, 3) centimetres from rest.
            lowest: lower bound, one or (51,); below 0 if the face at rest already shows an expression that may
                decrease.
            highest: upper bound, one or (51,).
            start: amounts of the previous frame, for fewer steps.

        Raises:
            ShapeError: a shape differs from the above.
            ValueRangeError: a movement is not finite, or a lower bound is above its upper one.
        """
        displacement = np.asarray(moved, dtype=np.float64)
        if displacement.shape != (len(self.directions) // 3, 3):
            raise ShapeError(expected='movements (468, 3)', came=f'{displacement.shape}', todo='give those of one face')
        low, high = (np.broadcast_to(np.asarray(bound, dtype=np.float64), (51,)) for bound in (lowest, highest))
        if not (np.isfinite(displacement).all() and (low <= high).all()):
            raise ValueRangeError(
                expected='finite movements, and lower bounds below upper ones',
                came='others',
                todo='leave out frames without a face',
            )
        target = self._weighted.T @ (self._weights * self._without_rigid(displacement.ravel()))
        return _bounded_minimum(self._hessian, target, low, high, start)

    def left_mm(self, moved: npt.ArrayLike, amounts: npt.ArrayLike | None = None) -> float:
        """Root mean square of the residual in the image plane, millimetres.

        Args:
            moved: (468, 3) centimetres from rest.
            amounts: (51,); None for the residual after movement of the whole head alone.
        """
        residual = np.asarray(moved, dtype=np.float64).ravel()
        if amounts is not None:
            residual = residual - self.directions @ np.asarray(amounts, dtype=np.float64)
        plane = self._without_rigid(residual).reshape(-1, 3)[:, :2]
        return float(10 * np.sqrt((plane**2).sum(axis=1).mean()))


def _bounded_minimum(hessian: Floats, target: Floats, low: Floats, high: Floats, start: npt.ArrayLike | None) -> Floats:
    """argmin of a'Ha/2 - t'a within bounds, by projected Newton steps on the amounts at no bound.

    Source: Bertsekas 1982, doi:10.1137/0320018.
    """
    amounts = np.clip(np.zeros(len(target)) if start is None else np.asarray(start, dtype=np.float64), low, high)
    slope = hessian @ amounts - target
    for _ in range(MOST_STEPS):
        is_bound = ((amounts <= low) & (slope > 0)) | ((amounts >= high) & (slope < 0))
        free = np.flatnonzero(~is_bound)
        if not len(free) or np.abs(slope[free]).max() < _CONVERGED:
            break
        step = np.zeros_like(amounts)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], -slope[free])
        # the longest halved step that improves it; a full one if it meets no new bound
        best = amounts @ (hessian @ amounts / 2 - target)
        length = 1.0
        while length > 1e-6:
            candidate = np.clip(amounts + length * step, low, high)
            if candidate @ (hessian @ candidate / 2 - target) <= best - 1e-12 * length:
                break
            length /= 2
        else:
            break
        amounts, slope = candidate, hessian @ candidate - target
    return np.asarray(amounts)
