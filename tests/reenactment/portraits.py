"""A made-up person's portrait whose landmarks are known, so that no network has to read it."""

from __future__ import annotations

from functools import cache

import numpy as np

from affekt.face3d import Camera, Light, Studio, face_model, head_model, made_up_person, pose_matrix, posed
from affekt.faces import CanonicalFace, Face
from affekt.reenactment.motion import MotionFrame
from affekt.reenactment.portrait import Portrait

SIZE = 192
FIELD_OF_VIEW_DEG = 25.0
IRIS_CM = 0.55
RINGS = ((33, 133), (362, 263))
"""Corners of the right and the left eye."""


def canonical():
    """The mean face; every landmark tells the pose."""
    model = face_model()
    return CanonicalFace(model.mean, model.triangles, np.arange(468), np.ones(468))


@cache
def made_up_face(yaw_deg=0.0, shift=(0.0, 0.5, -62.0), jaw=0.0, size=SIZE):
    """The picture and the face of a made-up person."""
    white = np.ones(3)
    light = Light(direction=np.array([0.2, 0.3, 0.93]), key=0.7 * white, above=0.4 * white, below=0.3 * white)
    rng = np.random.default_rng(3)
    person = made_up_person(np.random.default_rng(11))
    background = rng.integers(60, 190, (size, size, 3)).astype(np.uint8)
    pose = pose_matrix(yaw_deg=yaw_deg, shift_cm=shift)
    expression = {'jawOpen': jaw}
    amounts = [expression.get(name, 0.0) for name in face_model().directions]
    image = Studio(person, light, background).picture(amounts, pose)
    model = head_model()
    points = model.landmarks(posed(model.vertices(person.identity, expression), pose))
    irises = []
    for corners in RINGS:
        middle = points[list(corners)].mean(axis=0)
        irises.append(middle)
        irises += list(middle + IRIS_CM * np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]))
    placed = Camera(size, size, FIELD_OF_VIEW_DEG).project(np.concatenate([points, irises]))
    pixels_per_cm = np.ptp(placed[:468, 0]) / np.ptp(points[:, 0])
    placed[:, 2] = (placed[:, 2] - placed[:, 2].mean()) * pixels_per_cm
    landmarks = placed.astype(np.float32)
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    face = Face(
        box=np.concatenate([low, high - low]), landmarks=landmarks, blendshapes=np.zeros(52, np.float32),
        pose=pose.astype(np.float32), presence=1.0,
    )  # fmt: skip
    return image, face


@cache
def made_up_portrait(yaw_deg=0.0, shift=(0.0, 0.5, -62.0), jaw=0.0, size=SIZE):
    """The portrait of a made-up person."""
    image, face = made_up_face(yaw_deg, shift, jaw, size)
    return Portrait.from_face(image, face, canonical())


def moved(
    opening=(1, 1), gaze=((0, 0), (0, 0)), angles=(0, 0, 0), translation=(0, 0), scale=1.0, time_s=0.0, mouth=None,
    **expression,
):  # fmt: skip
    """A frame of motion by hand: angles are yaw, pitch and roll in degrees; the rest are expressions by name."""
    offsets = face_model().moved_by_expression(expression) if expression else np.zeros((468, 3))
    return MotionFrame(time_s, offsets, opening, gaze, pose_matrix(*angles)[:3, :3], translation, scale, mouth)


class MadeUpLandmarker:
    """Gives the known face of the made-up person, whatever the picture."""

    def __init__(self):
        self.canonical = canonical()
        self._face = made_up_face()[1]

    def faces(self, image, max_faces=4):
        return [self._face]

    def read(self, image, region):
        return self._face

    def blendshapes(self, *_):
        return np.zeros(52, np.float32)
