"""Projection of points to an image, and the pose of a head in front of the camera.

The camera is that of `affekt.faces`: at the origin, looking along -z, x to the right, y up, centimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ValueRangeError

NEAREST_CM = 1.0
"""Minimum distance of a projected point from the camera."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; its image has `height` by `width` pixels."""

    height: int
    width: int
    field_of_view_deg: float = 63.0
    """Vertical field of view in degrees; `affekt.faces` assumes this one for every camera."""

    @property
    def focal_pixels(self) -> float:
        """Focal length in pixels."""
        return self.height / (2 * float(np.tan(np.radians(self.field_of_view_deg) / 2)))

    def project(self, points: npt.ArrayLike) -> Floats:
        """Project points to the image.

        Args:
            points: (..., 3) in the camera's frame, centimetres.

        Returns:
            (..., 3) x and y in pixels, y down, and the distance along the optical axis, centimetres.

        Raises:
            ValueRangeError: a point is nearer than one centimetre, or behind the camera.
        """
        positions = np.asarray(points, dtype=np.float64)
        distance = -positions[..., 2]
        if not (distance >= NEAREST_CM).all():
            raise ValueRangeError(
                expected=f'points at least {NEAREST_CM:g} cm before the camera', came=f'{distance.min():.1f} cm',
                todo='move the head away, as by `pose_matrix`',
            )  # fmt: skip
        scale = self.focal_pixels / distance
        return np.stack(
            [self.width / 2 + positions[..., 0] * scale, self.height / 2 - positions[..., 1] * scale, distance], axis=-1
        )


def pose_matrix(
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    shift_cm: tuple[float, float, float] = (0, 0, -50),
) -> Floats:
    """The (4, 4) pose whose angles `affekt.faces.euler_angles_deg` reads back, R = Ry(yaw) Rx(-pitch) Rz(roll).

    Args:
        yaw_deg: > 0 turns the face to the right of the image.
        pitch_deg: > 0 lifts the chin.
        roll_deg: > 0 tilts the head anticlockwise in the image.
        shift_cm: position of the centre of the canonical face, centimetres.
    """
    yaw, pitch, roll = np.radians([yaw_deg, -pitch_deg, roll_deg])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    pose = np.eye(4)
    pose[:3, :3] = np.array(about_y) @ np.array(about_x) @ np.array(about_z)
    pose[:3, 3] = shift_cm
    return pose


def turn(vector: npt.ArrayLike) -> Floats:
    """(3, 3) rotation about a vector by its length in radians (Rodrigues)."""
    axis = np.asarray(vector, dtype=np.float64)
    angle = float(np.linalg.norm(axis))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = axis / angle
    cross_matrix = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross_matrix + (1 - np.cos(angle)) * cross_matrix @ cross_matrix)
