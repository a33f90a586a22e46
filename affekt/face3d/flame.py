"""FLAME, a head model under its authors' own licence: read from the user's file as data, never executed.

    model = read_flame('generic_model.pkl')                # FLAME 2020 or 2023
    points = model.vertices(identity={'shape1': 2}, expression={'expression1': 1}, jaw_deg=(12, 0))

    shaped = template + sum_i identity_i shape_i + sum_j expression_j direction_j
    joints = regressor shaped
    posed = shaped + sum_k pose_k (R(joint angles) - I)_k
    points = sum_joints weight T_joint posed,    T_joint = T_parent [R, joint - R joint]

| here | in the paper |
|---|---|
| identity, expression | beta, psi |
| neck, jaw, eyes | theta |
| regressor, weights | J, W |

V points, F triangles, S shapes, E expressions; five joints: root, neck, jaw, left eye, right eye. Lengths are
centimetres (the file has metres), axes those of `affekt.face3d`: x to the person's left, y up, z to the front. The
middle between the eyeballs lies where `head_model()` has it, so that one pose and one camera serve both.

Source: Li et al. 2017, doi:10.1145/3130800.3130813; contour landmarks as in the code of RingNet and smplx.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from affekt.arrays import Floats, Ints
from affekt.errors import ArchiveError, ShapeError, WeightsError
from affekt.face3d.camera import turn
from affekt.face3d.models import Amounts, amounts_of, posed
from affekt.files import only_regular
from affekt.npz import read_npz
from affekt.pickles import StoredObject, read_pickle

SHAPES = 300
"""Directions of identity, first in the file; expressions follow."""
CM = 100.0
"""Centimetres per metre."""
EYES_CM = (0.0, 2.82, 2.25)
"""Midpoint between the eyeballs of `head_model()`."""
PARENTS = (-1, 0, 1, 1, 1)
"""Parent of each joint; -1 for the root."""
JOINTS = ('root', 'neck', 'jaw', 'left eye', 'right eye')
CONTOUR_DEG = 39
"""Contour landmarks are listed for head yaw up to this many degrees to each side."""


@dataclass(frozen=True, eq=False)
class FlameModel:
    """A head of FLAME; `read_flame` returns one.

    Attributes:
        mean: (V, 3) points at rest, centimetres.
        triangles: (F, 3) corners anticlockwise seen from outside.
        shapes: names of identity shapes: 'shape1', …
        directions: names of expressions: 'expression1', …; FLAME gives no others.
        embedding: positions of landmarks; None if the user gave no file of them.
    """

    mean: Floats
    triangles: Ints
    shapes: tuple[str, ...]
    directions: tuple[str, ...]
    embedding: FlameLandmarks | None
    _shapes: Floats
    """(V, 3, S + E) displacements at an amount of 1, centimetres."""
    _pose: Floats
    """(V, 3, 36) pose correctives, centimetres."""
    _regressor: Floats
    """(5, V) joint regressor."""
    _weights: Floats
    """(V, 5) skinning weights."""
    _origin: Floats
    """(3,) position of the file's origin, centimetres."""

    def __repr__(self) -> str:
        return f'FlameModel({len(self.mean):,} points, {len(self.directions)} expressions, {len(self.shapes)} shapes)'

    def vertices(
        self,
        identity: Amounts | None = None,
        expression: Amounts | None = None,
        pose: npt.ArrayLike | None = None,
        *,
        jaw_deg: tuple[float, float] = (0.0, 0.0),
        gaze_deg: tuple[float, float] = (0.0, 0.0),
        neck: npt.ArrayLike | None = None,
    ) -> Floats:
        """The points of a person with an expression.

        Args:
            identity: amounts of `shapes`, by name or all in order; None for the mean person.
            expression: amounts of `directions`; None for rest.
            pose: (4, 4) to the camera; None for no movement.
            jaw_deg: degrees by which the jaw is opened, and turned to the person's left.
            gaze_deg: degrees by which both eyes look to the person's left, and up.
            neck: (3,) axis of the neck's rotation times its angle in radians; None for straight.

        Returns:
            (V, 3) centimetres.

        Raises:
            UnknownNameError, ShapeError, ValueRangeError: see `affekt.face3d.FaceModel.vertices`.
        """
        amounts = np.concatenate([
            np.zeros(len(names)) if values is None else amounts_of(values, names, subject)
            for values, names, subject in (
                (identity, self.shapes, 'shapes of identity'), (expression, self.directions, 'expressions')
            )
        ])  # fmt: skip
        shaped = self.mean + self._shapes @ amounts
        opening, sideways = np.radians(jaw_deg)
        left, up = np.radians(gaze_deg)
        eyes = turn(np.array([0, left, 0])) @ turn(np.array([-up, 0, 0]))
        neck_vector = np.zeros(3) if neck is None else np.asarray(neck, dtype=np.float64)
        if neck_vector.shape != (3,):
            raise ShapeError(expected='a neck (3,)', came=f'{neck_vector.shape}', todo='give axis times angle')
        jaw = turn(np.array([opening, sideways, 0]))
        points = self._skinned(shaped, np.stack([np.eye(3), turn(neck_vector), jaw, eyes, eyes]))
        return points if pose is None else posed(points, pose)

    def projected(self, points: npt.ArrayLike, rotation: npt.ArrayLike, camera: npt.ArrayLike) -> Floats:
        """(V, 3) points that `vertices` gave, rotated about the root joint and projected by weak perspective.

            x = s (X + a), y = -s (Y + b), depth = -s Z, with X, Y and Z in the file's own frame, in metres

        Args:
            points: (V, 3) without a pose.
            rotation: (3,) axis of the head's rotation times its angle in radians.
            camera: (3,) s, a, b, as SMIRK and DECA estimate them.

        Returns:
            x to the right and y down, -1 to 1 over the encoder's square crop; less depth is nearer.

        Source: Feng et al. 2021, doi:10.1145/3450626.3459936, section 3, and its code.
        """
        positions = np.asarray(points, dtype=np.float64)
        root = self._regressor[0] @ positions
        rotated = (positions - root) @ turn(rotation).T + root - self._origin
        scale, right, up = np.asarray(camera, dtype=np.float64)
        return np.asarray((rotated / CM + [right, up, 0]) * scale * [1, -1, -1])

    def _skinned(self, shaped: Floats, rotations: Floats) -> Floats:
        """(V, 3) shaped points under rotations (5, 3, 3) of the joints: pose correctives, then blend skinning."""
        joints = self._regressor @ shaped
        corrected = shaped + self._pose @ (rotations[1:] - np.eye(3)).ravel()
        chains: list[Floats] = []
        for joint, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = rotations[joint]
            local[:3, 3] = joints[joint] - rotations[joint] @ joints[joint]
            chains.append(local if parent < 0 else chains[parent] @ local)
        blended = np.einsum('vj,jab->vab', self._weights, np.stack(chains))  # (V, 4, 4)
        return np.asarray(np.einsum('vab,vb->va', blended[:, :3, :3], corrected) + blended[:, :3, 3])

    def landmarks(self, points: npt.ArrayLike, yaw_deg: float = 0.0) -> Floats:
        """(L, 3) the landmarks of points that `vertices` gave: the contour, if the file has one, then the others.

        Args:
            points: (V, 3).
            yaw_deg: degrees by which the head is turned to the person's left; the contour follows.

        Raises:
            WeightsError: no file of landmarks was given.
        """
        if self.embedding is None:
            raise WeightsError(
                expected='positions of landmarks on FLAME', came='none given',
                todo='give read_flame the embedding too',
            )  # fmt: skip
        return self.embedding.of(points, self.triangles, yaw_deg)


@dataclass(frozen=True, eq=False)
class FlameLandmarks:
    """Landmarks as points on triangles.

    Attributes:
        faces: (L,) triangle of each landmark; weights: (L, 3) of its corners.
        contour_faces: (79, C) triangles of the contour at yaw 0, 1, … 39 degrees to one side, then -1,
            … -39 to the other; (0, 0) where there is none. contour_weights: (79, C, 3).
        numbers: (L,) index of each among the 468 points of `face_model()`; empty if the file does not list them.
    """

    faces: Ints
    weights: Floats
    contour_faces: Ints
    contour_weights: Floats
    numbers: Ints

    def of(self, points: npt.ArrayLike, triangles: Ints, yaw_deg: float = 0.0) -> Floats:
        """(C + L, 3) the landmarks of points (V, 3)."""
        positions = np.asarray(points, dtype=np.float64)
        faces, weights = self.faces, self.weights
        if self.contour_faces.size:
            row = contour_row(yaw_deg)
            faces = np.concatenate([self.contour_faces[row], faces])
            weights = np.concatenate([self.contour_weights[row], weights])
        return np.asarray(np.einsum('lk,lkd->ld', weights, positions[triangles[faces]]))


def contour_row(yaw_deg: float) -> int:
    """Row of the contour for a head yaw: 0 to 39 to the person's right, 40 to 78 to the left.

    The published code takes the angle -yaw, clips it at 39, and stores -1 … -39 after 39.
    """
    angle = int(np.clip(round(-yaw_deg), -CONTOUR_DEG, CONTOUR_DEG))
    return angle if angle >= 0 else CONTOUR_DEG - angle


def read_flame(path: str | os.PathLike[str], embedding: str | os.PathLike[str] | None = None) -> FlameModel:
    """FLAME from the user's file.

    Args:
        path: generic_model.pkl, flame2020.pkl, flame2023.pkl or an .npz of the same arrays.
        embedding: landmark_embedding.npy, flame_static_embedding.pkl, mediapipe_landmark_embedding.npz or similar;
            None for none.

    Raises:
        WeightsError: a file is missing, damaged, asks for anything but arrays, or does not hold FLAME's arrays.
    """
    source = Path(path)
    arrays = _arrays_of(source)
    try:
        template, triangles = _floats(arrays['v_template']), _ints(arrays['f'])
        shapes, pose = _floats(arrays['shapedirs']), _floats(arrays['posedirs'])
        regressor, weights = _floats(arrays['J_regressor']), _floats(arrays['weights'])
        parents = _ints(arrays['kintree_table'])[0]
        count = len(template)
        expected_shapes = {
            'v_template': (template, (count, 3)), 'f': (triangles, (len(triangles), 3)),
            'shapedirs': (shapes, (count, 3, shapes.shape[-1])), 'posedirs': (pose, (count, 3, 36)),
            'J_regressor': (regressor, (5, count)), 'weights': (weights, (count, 5)),
        }  # fmt: skip
        for name, (array, shape) in expected_shapes.items():
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f'{name} of {array.shape} where {shape} belongs, or with numbers that are not finite')
        if tuple(parents[1:].tolist()) != PARENTS[1:]:
            raise ValueError(f'joints with parents {parents.tolist()}')
        if triangles.size and not (triangles.min() >= 0 and triangles.max() < count):
            raise ValueError('triangles of points that do not exist')
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        missing = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            expected='the arrays of FLAME',
            came=f'{source}: {missing}',
            todo='give the file as its authors distribute it',
        ) from error
    mean = CM * template
    eyes = regressor[3:5] @ mean
    origin = np.array(EYES_CM) - eyes.mean(axis=0)
    identities = min(SHAPES, shapes.shape[-1] * 3 // 4)
    return FlameModel(
        mean=mean + origin,
        triangles=triangles,
        shapes=tuple(f'shape{number + 1}' for number in range(identities)),
        directions=tuple(f'expression{number + 1}' for number in range(shapes.shape[-1] - identities)),
        embedding=None if embedding is None else read_flame_landmarks(embedding, len(triangles)),
        _shapes=CM * shapes,
        _pose=CM * pose,
        _regressor=regressor,
        _weights=weights,
        _origin=origin,
    )


def read_flame_landmarks(path: str | os.PathLike[str], triangles: int) -> FlameLandmarks:
    """The positions of landmarks on FLAME, from any of the published files.

    Args:
        path: see `read_flame`.
        triangles: number of the model's triangles.

    Raises:
        WeightsError: the file is missing, damaged, or holds no landmarks for this model.
    """
    source = Path(path)
    arrays = _arrays_of(source)

    def first(*names: str) -> Any:
        return next((arrays[name] for name in names if name in arrays), None)

    try:
        faces = first('static_lmk_faces_idx', 'lmk_face_idx')
        weights = first('static_lmk_bary_coords', 'lmk_b_coords')
        contour, contour_weights = first('dynamic_lmk_faces_idx'), first('dynamic_lmk_bary_coords')
        numbers = first('landmark_indices')
        landmarks = FlameLandmarks(
            _ints(faces).ravel(),
            _floats(weights).reshape(-1, 3),
            np.zeros((0, 0), np.int64) if contour is None else _ints(contour),
            np.zeros((0, 0, 3)) if contour is None else _floats(contour_weights),
            np.zeros(0, np.int64) if numbers is None else _ints(numbers).ravel(),
        )
        if len(landmarks.faces) != len(landmarks.weights) or landmarks.contour_weights.shape != (
            *landmarks.contour_faces.shape,
            3,
        ):
            raise ValueError('triangles and weights of different numbers')
        if landmarks.contour_faces.size and len(landmarks.contour_faces) != 2 * CONTOUR_DEG + 1:
            raise ValueError(f'a contour of {len(landmarks.contour_faces)} turns')
        all_faces = np.concatenate([landmarks.faces, landmarks.contour_faces.ravel()])
        if all_faces.size and not (all_faces.min() >= 0 and all_faces.max() < triangles):
            raise ValueError('triangles that do not exist')
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise WeightsError(
            expected='landmarks on the triangles of FLAME', came=f'{source}: {error}',
            todo='give the embedding as its authors distribute it',
        ) from error  # fmt: skip
    return landmarks


def _arrays_of(path: Path) -> Mapping[str, Any]:
    """The named arrays of a file.

    Raises:
        WeightsError: it cannot be read safely.
    """
    try:
        with open(path, 'rb', opener=only_regular) as file:
            magic = file.read(6)
        if magic[:2] == b'PK' or magic == b'\x93NUMPY':
            arrays = read_npz(path)
            return arrays[''] if isinstance(arrays.get(''), dict) else arrays
        return read_pickle(path)
    except (ArchiveError, OSError) as error:
        raise WeightsError(
            expected='a file of FLAME that holds arrays alone', came=str(getattr(error, 'came', error)),
            todo='give the file as its authors distribute it; nothing in it was run',
        ) from error  # fmt: skip


def _floats(value: Any) -> Floats:
    """An array of a file: dense, sparse or of chumpy."""
    if isinstance(value, StoredObject):
        if value.type_name.startswith('scipy'):
            return _dense(value)
        if 'x' not in value:
            raise ValueError(f'{value.type_name}, which is computed from others')
        value = value['x']
    return np.asarray(value, dtype=np.float64)


def _ints(value: Any) -> Ints:
    array = np.asarray(value)
    # the root has no parent, which the file writes as 2**32 - 1
    return np.where(array > 2**31, -1, array).astype(np.int64) if array.dtype.kind == 'u' else array.astype(np.int64)


def _dense(value: StoredObject) -> Floats:
    """A stored sparse matrix as an array, after a check of its indices."""
    shape = tuple(int(length) for length in value.get('_shape', value.get('shape', ())))
    if len(shape) != 2 or shape[0] * shape[1] > 1 << 24 or min(shape) < 0:
        raise ValueError(f'a sparse matrix of {shape}')
    if 'coo' in value.type_name:
        matrix = scipy.sparse.coo_matrix((value['data'], (value['row'], value['col'])), shape=shape)
    else:
        layout = scipy.sparse.csr_matrix if 'csr' in value.type_name else scipy.sparse.csc_matrix
        matrix = layout((value['data'], value['indices'], value['indptr']), shape=shape)
        matrix.check_format(full_check=True)
    return np.asarray(matrix.toarray(), dtype=np.float64)
