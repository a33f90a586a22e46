"""Movements of the head to movements of the 468-point mesh, by deformation gradients.

Each triangle of the mesh is stretched and turned as the marked triangle of the head is; the mesh that comes nearest to
all these, weakly held to the marks' own movements, is one linear system for all expressions. Copying the movements of
the marks instead would carry the head's own proportions over: lids would overshoot by twice as much.

Source: Sumner and Popovic 2004, doi:10.1145/1015706.1015736.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

ANCHOR = 0.03
"""How strongly points are held to the marks, beside triangles of mean area."""
LIDS = {'Left': ((386, 374), (385, 380), (387, 373)), 'Right': ((159, 145), (158, 153), (160, 144))}
"""Upper and lower lid: the middle first, then to both sides."""


class Transfer:
    """From the marks on the head (source) to the canonical mesh (target)."""

    def __init__(self, source: np.ndarray, target: np.ndarray, triangles: np.ndarray) -> None:
        self.source, self.target, self.triangles = source, target, triangles
        self._undo = np.linalg.pinv(_frames(source, triangles), rcond=1e-3)
        self._gradients = _gradient_rows(np.linalg.pinv(_frames(target, triangles), rcond=1e-4), triangles)
        across = np.cross(
            target[triangles[:, 1]] - target[triangles[:, 0]], target[triangles[:, 2]] - target[triangles[:, 0]]
        )
        area = np.linalg.norm(across, axis=1)
        self._weight = scipy.sparse.diags(np.repeat(area / area.mean(), 3))
        points, faces = len(target), len(triangles)
        self._pick = scipy.sparse.hstack([scipy.sparse.identity(points), scipy.sparse.csr_matrix((points, faces))])
        system = (
            self._gradients.T @ self._weight @ self._gradients
            + ANCHOR**2 * self._pick.T @ self._pick
            + 1e-9 * scipy.sparse.identity(points + faces)
        )
        self._solve = scipy.sparse.linalg.splu(system.tocsc()).solve

    def of(self, movement: np.ndarray) -> np.ndarray:
        """(468, 3) movement of the target's points for (468, 3) movements of the marks."""
        gradients = _frames(self.source + movement, self.triangles) @ self._undo  # (F, 3, 3)
        wanted = gradients.transpose(0, 2, 1).reshape(-1, 3)
        right = self._gradients.T @ (self._weight @ wanted) + ANCHOR**2 * self._pick.T @ (self.target + movement)
        return self._solve(np.ascontiguousarray(right))[: len(self.target)] - self.target


def mirror_pairs(movements: dict[str, np.ndarray], mirror: np.ndarray) -> dict[str, np.ndarray]:
    """The same movements, each side the mirror image of the other: means of both."""
    flip = np.array([-1, 1, 1])
    return {
        name: (moved + movements[other_side(name)][mirror] * flip) / 2
        if other_side(name) in movements
        else (moved + moved[mirror] * flip) / 2
        for name, moved in movements.items()
    }


def other_side(name: str) -> str:
    """The name of the same movement of the other side."""
    return name.replace('Left', '@').replace('Right', 'Left').replace('@', 'Right')


def closing(blink: np.ndarray, canonical: np.ndarray, side: str) -> float:
    """By what a blink must be multiplied so that the lids meet, in the middle of the eye."""
    upper, lower = LIDS[side][0]
    gap = canonical[upper, 1] - canonical[lower, 1]
    return float(gap / (blink[lower, 1] - blink[upper, 1]))


def _frames(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3, 3) two edges and the unit normal of each triangle, as columns."""
    first_edge, second_edge = (
        points[triangles[:, 1]] - points[triangles[:, 0]],
        points[triangles[:, 2]] - points[triangles[:, 0]],
    )
    normal = np.cross(first_edge, second_edge)
    normal /= np.sqrt(np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))
    return np.stack([first_edge, second_edge, normal], axis=2)


def _gradient_rows(inverse: np.ndarray, triangles: np.ndarray) -> scipy.sparse.csr_matrix:
    """(3 F, V + F) rows that turn points, and a normal a triangle, into gradients (transposed, one below the other)."""
    faces, points = len(triangles), int(triangles.max()) + 1
    rows, columns, values = [], [], []
    for axis in range(3):
        row = np.arange(faces) * 3 + axis
        for edge in (0, 1):
            rows += [row, row]
            columns += [triangles[:, edge + 1], triangles[:, 0]]
            values += [inverse[:, edge, axis], -inverse[:, edge, axis]]
        rows.append(row)
        columns.append(points + np.arange(faces))
        values.append(inverse[:, 2, axis])
    placed = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(placed, shape=(3 * faces, points + faces))
