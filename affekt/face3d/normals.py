"""Normals of a surface."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats


def point_normals(points: npt.ArrayLike, triangles: npt.ArrayLike) -> Floats:
    """The unit normal at each point: the mean of its triangles' normals, weighted by their areas.

    Args:
        points: (V, 3) points.
        triangles: (F, 3) indices of points; seen from outside, corners turn anticlockwise.

    Returns:
        (V, 3) pointing outwards; 0 at a point of no triangle.
    """
    located, corners = np.asarray(points, dtype=np.float64), np.asarray(triangles)
    first, second, third = (located[corners[:, k]] for k in range(3))
    across, along = second - first, third - first
    weighted = np.empty((len(corners), 3))  # np.cross takes four times as long
    weighted[:, 0] = across[:, 1] * along[:, 2] - across[:, 2] * along[:, 1]
    weighted[:, 1] = across[:, 2] * along[:, 0] - across[:, 0] * along[:, 2]
    weighted[:, 2] = across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]
    of_point = corners.ravel()
    total = np.stack(
        [np.bincount(of_point, np.repeat(weighted[:, axis], 3), len(located)) for axis in range(3)], axis=1
    )
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
