"""Head pose: a 4 x 4 transform in centimetres, from 468 image landmarks.

The camera is assumed: vertical field of view 63 degrees, looking along -z, x to the right of the image, y up, origin at
the lens. The transform maps the canonical face (centimetres, x to the image's right, y up, z out of the face) to that
camera, so that a frontal head at half a metre is the identity with translation (0, 0, -50). For a lens of another field
of view, distances are off by one factor, and rotations by little.

Axes: N points.

Source: MediaPipe, tasks/cc/vision/face_geometry/libs/geometry_pipeline.cc (Apache-2.0); Akca 2003,
doi:10.3929/ethz-a-004656648, section 2.4 (weighted Procrustes).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import WeightsError

FIELD_OF_VIEW_DEG = 63.0
NEAR_CM = 1.0
MESH_POINTS = 468
_VERTEX_SIZE = 5  # x, y, z, u, v
_FLIPPED = np.array([1.0, 1.0, -1.0])


@dataclass(frozen=True)
class CanonicalFace:
    """The mean face mesh and the points that determine the pose.

    Attributes:
        vertices: (468, 3) centimetres.
        triangles: (898, 3) indices of vertices.
        basis: (33,) indices of the points that determine the pose.
        weights: (33,) their weights, > 0.
    """

    vertices: Floats
    triangles: npt.NDArray[np.int64]
    basis: npt.NDArray[np.int64]
    weights: Floats

    @cached_property
    def fixed(self) -> WeightedPoints:
        """The points that determine the pose, with their weights."""
        return WeightedPoints.of(self.vertices[self.basis], self.weights)

    @classmethod
    def parse(cls, packed: bytes) -> CanonicalFace:
        """The canonical face in the bytes of `geometry_pipeline_metadata_landmarks.binarypb`.

        Args:
            packed: the file's bytes, a protocol buffer of type GeometryPipelineMetadata.

        Raises:
            WeightsError: the bytes lack 468 vertices or a weighted basis.
        """
        fields = list(_fields(packed))
        mesh = list(_fields(next((value for number, value in fields if number == 1), b'')))
        coordinates = b''.join(value for number, value in mesh if number == 3 and isinstance(value, bytes))
        indices = [value for number, value in mesh if number == 4 and isinstance(value, int)]
        pairs = [dict(_fields(value)) for number, value in fields if number == 2]
        if len(coordinates) != 4 * _VERTEX_SIZE * MESH_POINTS or len(indices) % 3 or not pairs:
            raise WeightsError(
                expected='geometry metadata with 468 vertices of five numbers',
                came=f'{len(coordinates) // 4} numbers and {len(pairs)} basis points',
                todo='use the official face_landmarker.task',
            )
        vertices = np.frombuffer(coordinates, dtype='<f4').reshape(MESH_POINTS, _VERTEX_SIZE)[:, :3]
        return cls(
            vertices.astype(np.float64),
            np.array(indices, dtype=np.int64).reshape(-1, 3),
            np.array([pair.get(1, 0) for pair in pairs], dtype=np.int64),
            np.array([struct.unpack('<f', _bytes(pair.get(2)))[0] for pair in pairs], dtype=np.float64),
        )


def head_pose(landmarks: npt.ArrayLike, width: int, height: int, canonical: CanonicalFace) -> Floats:
    """The (4, 4) transform from the canonical face to the camera, in centimetres.

    Args:
        landmarks: (468 or 478, 3) x, y and relative depth z in pixels, z growing away from the camera.
        width: width of the image, pixels.
        height: height of the image, pixels.
        canonical: the mean face.

    Returns:
        Rotation times a scale near 1 in the upper left 3 x 3, translation in the last column; nan if all landmarks
        are one point.
    """
    # 1. Pixels to the plane one centimetre in front of the lens; depth in the same unit.
    points = np.asarray(landmarks, dtype=np.float64)[:MESH_POINTS]
    per_pixel = 2 * NEAR_CM * np.tan(np.radians(FIELD_OF_VIEW_DEG) / 2) / height
    depths = points[:, 2] * per_pixel
    basis_points, fixed = points[canonical.basis] * per_pixel, canonical.fixed
    basis_points[:, 0] -= per_pixel * width / 2
    basis_points[:, 1] = per_pixel * height / 2 - basis_points[:, 1]
    depth = basis_points[:, 2] - depths.mean() + NEAR_CM

    # 2. A first scale from the flat projection, a second from points pushed back to that distance.
    flat = basis_points * _FLIPPED
    first = _scale(_similarity(fixed, flat))
    second = _scale(_similarity(fixed, _unproject(basis_points, depth / first)))
    return _similarity(fixed, _unproject(basis_points, depth / (first * second)))


def similarity(source: Floats, target: Floats, weights: Floats) -> Floats:
    """The (4, 4) matrix of rotation, uniform scale and translation that maps `source` closest to `target`.

    Args:
        source: (N, 3) points.
        target: (N, 3) points.
        weights: (N,) non-negative.

    Returns:
        The minimiser of sum_i w_i |s R x_i + t - y_i|^2 with det R = 1; nan if all source points coincide.

    Source: Akca 2003 section 2.4; Umeyama 1991, doi:10.1109/34.88573.
    """
    return _similarity(WeightedPoints.of(source, weights), target)


@dataclass(frozen=True)
class WeightedPoints:
    """Source points of `similarity`, with precomputed moments.

    Attributes:
        share: (N,) weights that sum to 1.
        mean: (3,) weighted mean of the points.
        moved: (N, 3) points minus their mean.
        spread: their weighted mean square distance from the mean.
    """

    share: Floats
    mean: Floats
    moved: Floats
    spread: float

    @classmethod
    def of(cls, points: Floats, weights: Floats) -> WeightedPoints:
        """The moments of (N, 3) points with (N,) weights."""
        share = weights / weights.sum()
        mean = share @ points
        moved = points - mean
        return cls(share, mean, moved, float(share @ (moved**2).sum(axis=1)))


def _similarity(source: WeightedPoints, target: Floats) -> Floats:
    target_mean = source.share @ target
    centred_target = target - target_mean
    if not source.spread > 0 or not np.isfinite(centred_target).all():
        return np.full((4, 4), np.nan)
    left, singular, right = np.linalg.svd((centred_target * source.share[:, None]).T @ source.moved)
    sign = np.array([1.0, 1.0, -1.0 if _mirrors(left) != _mirrors(right) else 1.0])
    transform = np.zeros((4, 4))
    transform[3, 3] = 1.0
    transform[:3, :3] = (float(singular @ sign) / source.spread) * ((left * sign) @ right)
    transform[:3, 3] = target_mean - transform[:3, :3] @ source.mean
    return transform


def _mirrors(turn: Floats) -> bool:
    """Whether an orthogonal (3, 3) matrix has a determinant of -1."""
    (a, b, c), (d, e, f), (g, h, i) = turn.tolist()
    return bool(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) < 0)


def euler_angles_deg(pose: npt.ArrayLike) -> Floats:
    """Yaw, pitch and roll of a head pose in degrees.

    The rotation is R = Ry(yaw) Rx(-pitch) Rz(roll). Yaw > 0 turns the face to the image's right (the
    person's left), pitch > 0 lifts the chin, roll > 0 tilts the head anticlockwise in the image; all are 0
    for a face that looks straight along the camera's axis.

    Args:
        pose: (..., 4, 4) transforms.

    Returns:
        (..., 3) degrees: yaw in [-180, 180], pitch in [-90, 90], roll in [-180, 180]; nan where the pose is
        nan.
    """
    matrix = np.asarray(pose, dtype=np.float64)[..., :3, :3]
    first = matrix[..., :, :1]
    rotation = matrix / np.sqrt(np.add.reduce(first * first, axis=-2, keepdims=True))
    yaw = np.arctan2(rotation[..., 0, 2], rotation[..., 2, 2])
    pitch = np.arcsin(np.minimum(np.maximum(-rotation[..., 1, 2], -1.0), 1.0))
    roll = np.arctan2(rotation[..., 1, 0], rotation[..., 1, 1])
    return np.asarray(np.degrees(np.stack([yaw, -pitch, roll], axis=-1)), dtype=np.float64)


def _unproject(near: Floats, depth: Floats) -> Floats:
    """Points (N, 3) at distance `depth` (N,) along the rays through `near` on the near plane; z towards the viewer."""
    points = near * depth[:, None]
    points /= NEAR_CM
    np.negative(depth, out=points[:, 2])
    return points


def _scale(transform: Floats) -> float:
    column = transform[:3, 0].copy()
    return math.sqrt(column @ column)


def _fields(packed: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Yield field numbers and values of a protocol-buffer message: varint, 4-byte and length-delimited fields."""
    if isinstance(packed, int):
        return
    at = 0
    while at < len(packed):
        tag, at = _varint(packed, at)
        wire_type = tag & 7
        if wire_type == 0:
            value, at = _varint(packed, at)
            yield tag >> 3, value
            continue
        length, at = (4, at) if wire_type == 5 else _varint(packed, at)
        yield tag >> 3, packed[at : at + length]
        at += length


def _bytes(value: bytes | int | None) -> bytes:
    return value if isinstance(value, bytes) else bytes(4)


def _varint(packed: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(packed):
        byte = packed[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return value, at
