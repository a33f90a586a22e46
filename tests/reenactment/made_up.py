"""Landmarks of faces whose expression, pose and gaze are known, as the landmarker would give them."""

from __future__ import annotations

import numpy as np

from affekt.face3d import face_model, pose_matrix
from affekt.faces import BLENDSHAPES, CanonicalFace
from affekt.reenactment.canonical import EYE_CORNERS
from affekt.reenactment.driver import Sighting

STABLE = (
    4,
    6,
    10,
    33,
    54,
    67,
    117,
    119,
    121,
    127,
    129,
    132,
    133,
    168,
    263,
    284,
    297,
    346,
    348,
    350,
    356,
    358,
    361,
    362,
)
PIXELS_PER_CM = 12.0


def canonical():
    """The mean face; the head is placed by points that no expression of these tests moves much."""
    model = face_model()
    return CanonicalFace(model.mean, model.triangles, np.array(STABLE), np.ones(len(STABLE)))


def face_points(expression=None, gaze=((0, 0), (0, 0)), identity=None):
    """(478, 3) canonical points; gaze is that of the left and the right eye, in eye widths, y down."""
    points = face_model().vertices(identity=identity, expression=expression)
    rings = []
    for (outer, inner), (x, y) in reversed(list(zip(EYE_CORNERS, gaze, strict=True))):  # landmarks: right eye first
        middle, width = (points[outer] + points[inner]) / 2, np.linalg.norm(points[outer] - points[inner])
        center = middle + np.array([x * width, -y * width, 0.1])
        rings += [center, *(center + 0.55 * np.array([np.cos(a), np.sin(a), 0]) for a in np.arange(4) * np.pi / 2)]
    return np.concatenate([points, rings])


def landmarks(points, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, at=(256.0, 256.0), scale=1.0):
    """(478, 3) pixels of canonical points, as `laid_face` undoes them; `at` is where the head's middle falls."""
    rotation = pose_matrix(yaw_deg, pitch_deg, roll_deg)[:3, :3]
    moved = (points - [0, 0, -4]) @ rotation.T * PIXELS_PER_CM * scale
    return (moved * [1, -1, -1] + [*at, 0]).astype(np.float32)


def sighting(time_s, expression=None, scores=None, gaze=((0, 0), (0, 0)), **pose):
    """A frame in which a face shows an expression; scores are the expression's amounts unless others are given."""
    given = np.zeros(52, np.float32)
    for name, score in ((expression if scores is None else scores) or {}).items():
        given[BLENDSHAPES.index(name)] = score
    return Sighting(time_s, landmarks(face_points(expression, gaze), **pose), given)
