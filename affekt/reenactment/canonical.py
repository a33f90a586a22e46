"""A face in an image in canonical coordinates: its shape in centimetres, and rotation and position of the head.

The camera is assumed to be far away (weak perspective), so pixels become centimetres by one rotation, one
scale and one shift: those that map 33 points that hardly move in expressions onto the mean face, or onto the same
face at rest. Image axes here are x right, y up, z to the viewer, all in pixels.

Source of the points and their weights: MediaPipe's geometry_pipeline_metadata (Apache-2.0), as in `affekt.faces`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.faces import CanonicalFace, similarity
from affekt.reenactment.motion import HEAD_CENTER_CM

EYE_CORNERS = ((263, 362), (33, 133))
"""Outer and inner corner of the left and of the right eye."""
IRIS_CENTERS = (473, 468)
LID_PAIRS = (((386, 374), (385, 380), (387, 373)), ((159, 145), (158, 153), (160, 144)))
"""Upper and lower lid of the left and of the right eye, the middle first."""


@dataclass(frozen=True, eq=False)
class LaidFace:
    """One face of one image in canonical coordinates.

    Attributes:
        points: (478, 3) centimetres: identity and expression, without head pose and size.
        rotation: (3, 3) of the head, in image axes; the identity matrix looks straight ahead.
        pixels_per_cm: size of the head in the image.
        center: (3,) position of the head centre, HEAD_CENTER_CM, in the image; y up, pixels.
    """

    points: Floats
    rotation: Floats
    pixels_per_cm: float
    center: Floats

    def in_picture(self, points: npt.ArrayLike) -> Floats:
        """(..., 3) pixels of canonical points: x, y down, and depth away from the viewer, as for landmarks."""
        moved = (np.asarray(points, dtype=np.float64) - HEAD_CENTER_CM) @ self.rotation.T * self.pixels_per_cm
        return np.asarray((moved + self.center) * [1.0, -1.0, -1.0])

    @property
    def eye_widths(self) -> Floats:
        """(2,) distance of the corners of the left and the right eye, centimetres."""
        return np.array([np.linalg.norm(self.points[a] - self.points[b]) for a, b in EYE_CORNERS])

    @property
    def eye_openings(self) -> Floats:
        """(2,) distance of the lids over the width of the left and the right eye, mean of three pairs of lid points.

        Source: Soukupová & Čech 2016, Real-time eye blink detection using facial landmarks, equation 1.
        """
        gaps = [np.mean([np.linalg.norm(self.points[a] - self.points[b]) for a, b in pairs]) for pairs in LID_PAIRS]
        return np.asarray(np.array(gaps) / self.eye_widths)

    @property
    def gaze(self) -> Floats:
        """(2, 2) offset of the left and the right iris from the middle of its eye's corners, in eye widths; x right, y
        down."""
        middles = [(self.points[a] + self.points[b]) / 2 for a, b in EYE_CORNERS]
        away = self.points[list(IRIS_CENTERS), :2] - np.array(middles)[:, :2]
        return np.asarray(away / self.eye_widths[:, None] * [1.0, -1.0])


def laid_face(landmarks: npt.ArrayLike, canonical: CanonicalFace, own: Floats | None = None) -> LaidFace:
    """A face in canonical coordinates from its landmarks.

    Args:
        landmarks: (478, 3) x, y down and depth in pixels, as `affekt.faces` reads them.
        canonical: the mean face, and the points that determine head pose.
        own: (478, 3) the same person's points at rest, from this function; pose is fitted to them, which
            separates pose from identity better. None fits to the mean face.

    Raises:
        ShapeError: not (478, 3).
        ValueRangeError: the landmarks are not finite, or all one point.
    """
    located = np.asarray(landmarks, dtype=np.float64)
    if located.shape != (478, 3):
        raise ShapeError(expected='landmarks (478, 3)', came=f'{located.shape}', todo='give those of one face')
    located = located * [1.0, -1.0, -1.0]
    target = (canonical.vertices if own is None else own)[canonical.basis]
    to_canonical = similarity(located[canonical.basis], target, canonical.weights)
    if not np.isfinite(to_canonical).all():
        raise ValueRangeError(
            expected='landmarks of a face', came='points that are not finite, or all one', todo='leave the frame out'
        )
    cm_per_pixel = float(np.linalg.norm(to_canonical[:3, 0]))
    rotation = (to_canonical[:3, :3] / cm_per_pixel).T
    center = rotation @ (np.array(HEAD_CENTER_CM) - to_canonical[:3, 3]) / cm_per_pixel
    return LaidFace(
        located @ to_canonical[:3, :3].T + to_canonical[:3, 3], rotation, 1 / cm_per_pixel, center
    )  # fmt: skip
