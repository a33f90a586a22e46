"""What the face landmarker reads from FER2013's small pictures: blendshapes, five points, and how often it
finds a face.

Pictures are enlarged from 48 to 192 pixels. Where no face is read where the detector points, one that fills the picture
is tried. N images.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from data import Faces
from PIL import Image

from affekt.faces.align import align_face, five_points
from affekt.faces.landmarker import FaceLandmarker
from affekt.faces.mesh import Region

ENLARGED = 192


@dataclass(frozen=True)
class Readings:
    """``blendshapes`` (N, 52) and ``points`` (N, 5, 2) in pixels of the 48 x 48 picture, nan where no face was
    read; ``detected`` (N,) True where the detector found the face by itself."""

    blendshapes: np.ndarray
    points: np.ndarray
    detected: np.ndarray

    @property
    def found(self) -> np.ndarray:
        return ~np.isnan(self.blendshapes).all(axis=1)


def read_one(landmarker: FaceLandmarker, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Blendshapes (52,), five points (5, 2) and whether the detector saw the face; None where no face
    could be read."""
    grey = np.asarray(Image.fromarray(image).resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC))
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    seen = landmarker.detect(picture, scales=1)
    face = landmarker.read(picture, Region.from_detection(seen[0])) if seen else None
    detected = face is not None
    if face is None:
        face = landmarker.read_filling(picture)
    if face is None:
        return None
    return face.blendshapes, five_points(face.landmarks) * (len(image) / ENLARGED), detected


def read_faces(images: np.ndarray) -> Readings:
    """Readings of (N, 48, 48) uint8 images."""
    blendshapes = np.full((len(images), 52), np.nan, np.float32)
    points = np.full((len(images), 5, 2), np.nan, np.float32)
    detected = np.zeros(len(images), bool)
    landmarker = FaceLandmarker()
    for place, image in enumerate(images):
        reading = read_one(landmarker, image)
        if reading is not None:
            blendshapes[place], points[place], detected[place] = reading
    return Readings(blendshapes, points, detected)


def read_split(images: np.ndarray, cache: Path) -> Readings:
    """Readings of every image of a split, kept in `cache` (.npz)."""
    if not cache.exists():
        readings = read_faces(images)
        temporary = cache.with_suffix('.part.npz')
        np.savez(temporary, **vars(readings))
        os.replace(temporary, cache)
    with np.load(cache) as stored:
        return Readings(*(stored[name] for name in ('blendshapes', 'points', 'detected')))


def mean_layout(readings: Readings) -> np.ndarray:
    """(5, 2) mean points of the detected faces, made symmetric about the picture's middle column.

    A face and its mirror image count alike, so left and right are averaged.
    """
    mean = readings.points[readings.detected & readings.found].mean(axis=0)
    mirrored = mean[[1, 0, 2, 4, 3]] * [-1, 1] + [48, 0]
    return (mean + mirrored) / 2


def framed(faces: Faces, readings: Readings, template: np.ndarray) -> Faces:
    """The split as the runtime sees it: aligned to the template where a face was read, as it came elsewhere."""
    result = faces.images.copy()
    for place in np.flatnonzero(readings.found):
        result[place] = align_face(faces.images[place], readings.points[place], template=template)
    return replace(faces, framed=result)
