"""The two geometries that come with affekt: a mesh of 468 landmarks, and a whole head.

Both are in the frame of the canonical face: centimetres, x to the right of the image (the person's left), y up, z to
the viewer, so that one pose serves both. Both move the same way: mean points + shapes of identity + expressions, each a
sum of named directions.

    points = mean + sum_i identity_i shape_i + sum_j expression_j direction_j

`FaceGeometry` is what these and FLAME (`flame.py`) have in common. V points, F triangles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse

from affekt.arrays import Floats, Floats32, Ints
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.npz import read_npz

MODELS = Path(__file__).parents[1] / 'models'
"""Folder of the model files that come with affekt."""

Amounts = Mapping[str, float] | npt.ArrayLike
"""Amounts of directions: by name (others 0), or all in order."""
JAW_DEG = {'jawOpen': 15.7, 'jawLeft': 3.34, 'jawRight': 3.34}
"""Direction to the rotation of the chin (landmark 152) about the midpoint of the ears (234, 454) at amount 1,
degrees."""
LOOK_DEG = {'Out': 21.6, 'In': 21.7, 'Up': 10.4, 'Down': 18.0}
"""Gaze direction to the rotation of an eyeball of `head_model()` at amount 1, degrees."""


class FaceGeometry(Protocol):
    """The interface of every model of a face: `FaceModel` of this file, `FlameModel` of `flame.py`.

    Points are in centimetres in the frame of the canonical face, so that one pose and one `Camera` serve all:
    `camera.project(model.vertices(..., pose=pose))`.
    """

    @property
    def mean(self) -> Floats:
        """(V, 3) points at rest."""

    @property
    def triangles(self) -> Ints:
        """(F, 3) corners anticlockwise seen from outside."""

    @property
    def shapes(self) -> tuple[str, ...]:
        """Names of the shapes of identity."""

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the expressions."""

    def vertices(
        self,
        identity: Amounts | None = None,
        expression: Amounts | None = None,
        pose: npt.ArrayLike | None = None,
        *,
        jaw_deg: tuple[float, float] = (0.0, 0.0),
        gaze_deg: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """(V, 3) the points of a person with an expression, an opened jaw and a gaze, under a pose."""

    def landmarks(self, points: npt.ArrayLike) -> Floats:
        """(L, 3) the landmarks of such points."""


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A surface with named shapes of identity and named expressions; `face_model()` and `head_model()` return one.

    Attributes:
        mean: (V, 3) points at rest.
        triangles: (F, 3) indices of points; corners turn anticlockwise seen from outside.
        directions: names of the expressions, as in ARKit.
        shapes: names of the shapes of identity.
        parts: (F,) part of each triangle, an index into `part_names`.
        part_names: such as 'skin', 'left eye', 'teeth'.
        regions: region of the skin to the (V,) membership of each point, 0 to 1; empty for the mesh of landmarks.
        landmark_triangles: (468, 3) indices of the points around each landmark.
        landmark_weights: (468, 3) weights of these points, which sum to 1.
    """

    mean: Floats
    triangles: Ints
    directions: tuple[str, ...]
    shapes: tuple[str, ...]
    parts: Ints
    part_names: tuple[str, ...]
    regions: Mapping[str, Floats]
    landmark_triangles: Ints
    landmark_weights: Floats
    _directions: scipy.sparse.csr_matrix
    _shapes: scipy.sparse.csr_matrix

    def __repr__(self) -> str:
        return (
            f'FaceModel({len(self.mean):,} points, {len(self.triangles):,} triangles, {len(self.directions)} '
            f'expressions, {len(self.shapes)} shapes)'
        )

    def vertices(
        self,
        identity: Amounts | None = None,
        expression: Amounts | None = None,
        pose: npt.ArrayLike | None = None,
        *,
        jaw_deg: tuple[float, float] = (0.0, 0.0),
        gaze_deg: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """The points of a person with an expression.

        Args:
            identity: amounts of `shapes`; None for the mean person.
            expression: amounts of `directions`, usually in [0, 1]; None for rest.
            pose: (4, 4) canonical face to camera, as `affekt.faces` reads it; None for no movement.
            jaw_deg: degrees by which the jaw is opened, and turned to the person's left, using the directions of the
                jaw, which open it by 15.7 degrees at 1.
            gaze_deg: degrees by which both eyes look to the person's left, and up; on the landmark mesh only lids move.

        Returns:
            (V, 3) centimetres.

        Raises:
            UnknownNameError: an unknown shape or direction.
            ShapeError: a wrong number of amounts, or a pose that is not (4, 4).
            ValueRangeError: an amount or the pose is not finite.
        """
        points = self.mean
        if identity is not None:
            points = points + self.moved_by_identity(identity)
        if expression is not None:
            points = points + self.moved_by_expression(expression)
        if any(jaw_deg) or any(gaze_deg):
            points = points + self.moved_by_expression(jaw_amounts(*jaw_deg) | look_amounts(*gaze_deg))
        return points.copy() if pose is None else posed(points, pose)

    def moved_by_identity(self, identity: Amounts) -> Floats:
        """(V, 3) displacements of a person's points from the mean's."""
        return self._sum(self._shapes, self.shapes, identity, 'shapes of identity')

    def moved_by_expression(self, expression: Amounts) -> Floats:
        """(V, 3) displacements by an expression."""
        return self._sum(self._directions, self.directions, expression, 'expressions')

    def direction(self, name: str) -> Floats:
        """(V, 3) movement of one expression at 1."""
        return self.moved_by_expression({name: 1.0})

    def landmarks(self, points: npt.ArrayLike) -> Floats:
        """(468, 3) the landmarks of points that `vertices` gave."""
        corners = np.asarray(points, dtype=np.float64)[self.landmark_triangles]  # (468, 3, 3)
        return np.asarray(np.einsum('lk,lkd->ld', self.landmark_weights, corners))

    def _sum(self, table: scipy.sparse.csr_matrix, names: Sequence[str], amounts: Amounts, subject: str) -> Floats:
        return np.asarray(table @ amounts_of(amounts, names, subject)).reshape(-1, 3)


def jaw_amounts(opened_deg: float, left_deg: float = 0.0) -> dict[str, float]:
    """Direction to its amount, for a jaw opened and turned to the person's left by the given degrees."""
    return {
        'jawOpen': opened_deg / JAW_DEG['jawOpen'],
        'jawLeft': max(left_deg, 0.0) / JAW_DEG['jawLeft'],
        'jawRight': max(-left_deg, 0.0) / JAW_DEG['jawRight'],
    }


def look_amounts(left_deg: float, up_deg: float) -> dict[str, float]:
    """Direction to its amount, for both eyes looking to the person's left and up by the given degrees."""
    left, right, up, down = max(left_deg, 0.0), max(-left_deg, 0.0), max(up_deg, 0.0), max(-up_deg, 0.0)
    return {
        'eyeLookOutLeft': left / LOOK_DEG['Out'], 'eyeLookInRight': left / LOOK_DEG['In'],
        'eyeLookOutRight': right / LOOK_DEG['Out'], 'eyeLookInLeft': right / LOOK_DEG['In'],
        **{f'eyeLookUp{side}': up / LOOK_DEG['Up'] for side in ('Left', 'Right')},
        **{f'eyeLookDown{side}': down / LOOK_DEG['Down'] for side in ('Left', 'Right')},
    }  # fmt: skip


def amounts_of(amounts: Amounts, names: Sequence[str], subject: str) -> Floats:
    """(N,) amounts in the order of the names.

    Raises:
        UnknownNameError: an unknown name.
        ShapeError: a wrong number of amounts.
        ValueRangeError: an amount is not finite.
    """
    if isinstance(amounts, Mapping):
        if unknown := sorted(set(amounts) - set(names)):
            raise UnknownNameError(
                expected=f'{subject} among {", ".join(names)}', came=', '.join(map(repr, unknown)), todo='name others'
            )
        amounts = [float(amounts.get(name, 0.0)) for name in names]
    values = np.asarray(amounts, dtype=np.float64)
    if values.shape != (len(names),):
        raise ShapeError(expected=f'({len(names)},) {subject}', came=f'{values.shape}', todo='give one amount for each')
    if not np.isfinite(values).all():
        raise ValueRangeError(expected=f'finite amounts of {subject}', came='nan or inf', todo='leave missing ones 0')
    return values


def posed(points: npt.ArrayLike, pose: npt.ArrayLike) -> Floats:
    """(V, 3) points under a pose (4, 4), whose last column is the shift.

    Raises:
        ShapeError: the pose is not (4, 4).
        ValueRangeError: the pose is not finite, as when no face was detected.
    """
    matrix = np.asarray(pose, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ShapeError(expected='a pose (4, 4)', came=f'{matrix.shape}', todo='give one pose at a time')
    if not np.isfinite(matrix).all():
        raise ValueRangeError(expected='a finite pose', came='nan or inf', todo='leave out frames without a face')
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3])


@cache
def face_model() -> FaceModel:
    """The mesh of 468 landmarks with 51 expressions, one surface from chin to forehead; eyes and mouth are filled."""
    arrays = read_npz(MODELS / 'face_units_468.npz')
    triangles = arrays['triangles'].astype(np.int64)
    count = len(arrays['vertices'])
    return FaceModel(
        mean=arrays['vertices'].astype(np.float64),
        triangles=triangles,
        directions=tuple(arrays['names'].tolist()),
        shapes=tuple(arrays['shape_names'].tolist()),
        parts=np.zeros(len(triangles), dtype=np.int64),
        part_names=('skin',),
        regions={},
        landmark_triangles=np.repeat(np.arange(count)[:, None], 3, axis=1),
        landmark_weights=np.tile([1.0, 0.0, 0.0], (count, 1)),
        _directions=_dense(arrays['directions']),
        _shapes=_dense(arrays['shapes']),
    )


@cache
def head_model() -> FaceModel:
    """A head with neck, eyes, teeth, tongue and lashes, with 52 expressions ('tongueOut' is one) and regions."""
    arrays = read_npz(MODELS / 'makehuman_head.npz')
    count, quantum = len(arrays['points']), float(arrays['quantum_cm'])
    regions = arrays['regions'].astype(np.float64) / 255
    return FaceModel(
        mean=arrays['points'].astype(np.float64),
        triangles=arrays['triangles'].astype(np.int64),
        directions=tuple(arrays['unit_names'].tolist()),
        shapes=tuple(arrays['shape_names'].tolist()),
        parts=arrays['parts'].astype(np.int64),
        part_names=tuple(arrays['part_names'].tolist()),
        regions=dict(zip(arrays['region_names'].tolist(), regions, strict=True)),
        landmark_triangles=arrays['mark_triangles'].astype(np.int64),
        landmark_weights=arrays['mark_weights'].astype(np.float64),
        _directions=_sparse(arrays, 'unit', count, quantum),
        _shapes=_sparse(arrays, 'shape', count, quantum),
    )


def _dense(movements: Floats32) -> scipy.sparse.csr_matrix:
    """(3 V, N) sparse matrix of displacements (N, V, 3)."""
    return scipy.sparse.csr_matrix(movements.astype(np.float64).reshape(len(movements), -1).T)


def _sparse(
    arrays: Mapping[str, npt.NDArray[np.generic]], title: str, count: int, quantum: float
) -> scipy.sparse.csr_matrix:
    """(3 V, N) sparse matrix of displacements, of which a file stores only those that are not 0."""
    ends = arrays[f'{title}_ends'].astype(np.int64)
    column = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    row = 3 * arrays[f'{title}_points'].astype(np.int64)
    moves = arrays[f'{title}_moves'].astype(np.float64) * quantum  # (3, M)
    rows = np.concatenate([row + axis for axis in range(3)])
    return scipy.sparse.csr_matrix((moves.ravel(), (rows, np.tile(column, 3))), shape=(3 * count, len(ends)))
