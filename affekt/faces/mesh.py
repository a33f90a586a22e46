"""A face in an image: the square in which it is read, its position, and its readings.

Coordinates are pixels, continuous: pixel (0, 0) covers [0, 1) x [0, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.errors import ShapeError
from affekt.faces.detector import Detection, overlap

MARGIN = 1.5
"""Side of the crop relative to the longer side of the face's box."""
DUPLICATE_OVERLAP = 0.5
"""Intersection over union of landmark boxes above which two meshes count as one face."""
PART_INSIDE, PART_LEAST = 0.9, 0.2
"""Share of a box inside another's, and its least area as a share of the other's, that make it a part of that face."""


@dataclass(frozen=True)
class Region:
    """A rotated square of an image: centre and side in pixels, `angle_rad` from the x towards the y axis."""

    center_x: float
    center_y: float
    side: float
    angle_rad: float

    @classmethod
    def from_detection(cls, detection: Detection) -> Region:
        """The square around a detected face, level with its eyes."""
        x, y, width, height = (float(value) for value in detection.box)
        across = detection.keypoints[1] - detection.keypoints[0]
        angle = float(np.arctan2(across[1], across[0]))
        return cls(x + width / 2, y + height / 2, MARGIN * max(width, height), angle)

    def placed_in(self, outer: Region, pixels: int) -> Region:
        """This square, given in pixels of a crop of `outer` with side `pixels`, in pixels of the whole image."""
        scale = outer.side / pixels
        cos, sin = float(np.cos(outer.angle_rad)) * scale, float(np.sin(outer.angle_rad)) * scale
        x, y = self.center_x - pixels / 2, self.center_y - pixels / 2
        return Region(
            x * cos - y * sin + outer.center_x,
            x * sin + y * cos + outer.center_y,
            self.side * scale,
            self.angle_rad + outer.angle_rad,
        )

    @classmethod
    def from_landmarks(cls, landmarks: Floats32) -> Region:
        """The square around landmarks (478, 3), level with the outer eye corners."""
        low, high = np.minimum.reduce(landmarks[:, :2]), np.maximum.reduce(landmarks[:, :2])
        across = landmarks[263] - landmarks[33]
        angle = float(np.arctan2(across[1], across[0]))
        x, y = ((low + high) / 2).tolist()
        return cls(x, y, MARGIN * max((high - low).tolist()), angle)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The position of one face in one image, which is all that tracking needs.

    Attributes:
        box: (4,) x, y, width, height around the landmarks, pixels; may reach past the image.
        landmarks: (478, 3) x, y, z in pixels.
        presence: the mesh network's confidence that this is a face, in [0, 1].
    """

    box: Floats32
    landmarks: Floats32
    presence: float

    def __post_init__(self) -> None:
        for name, shape in self._shapes().items():
            value = getattr(self, name)
            if value.shape != shape:
                raise ShapeError(
                    expected=f'{name} of shape {shape}', came=f'{value.shape}', todo='pass one face at a time'
                )

    @cached_property
    def center(self) -> Floats:
        """(2,) centre of the box, pixels."""
        return np.asarray(self.box[:2] + self.box[2:] / 2, dtype=np.float64)

    @cached_property
    def size(self) -> float:
        """Geometric mean of the box's sides, pixels."""
        return float(np.sqrt(max(float(self.box[2] * self.box[3]), 1.0)))

    def __repr__(self) -> str:
        x, y, width, height = (round(float(value)) for value in self.box)
        return f'{type(self).__name__}(box=({x}, {y}, {width}, {height}), presence={self.presence:.2f})'

    @staticmethod
    def _shapes() -> dict[str, tuple[int, ...]]:
        return {'box': (4,), 'landmarks': (478, 3)}


@dataclass(frozen=True, kw_only=True, repr=False)
class Face(Mesh):
    """One face in one image.

    Attributes:
        box: (4,) x, y, width, height around the landmarks, pixels; may reach past the image.
        landmarks: (478, 3) x, y, z in pixels.
        blendshapes: (52,) scores in [0, 1], named by BLENDSHAPES.
        pose: (4, 4) canonical face to camera, centimetres (see `headpose`).
        presence: the mesh network's confidence that this is a face, in [0, 1].
    """

    blendshapes: Floats32
    pose: Floats32

    @staticmethod
    def _shapes() -> dict[str, tuple[int, ...]]:
        return {'box': (4,), 'landmarks': (478, 3), 'blendshapes': (52,), 'pose': (4, 4)}


def box_overlap(face: Mesh, other: Mesh) -> float:
    """Intersection over union of two faces' boxes, in [0, 1]."""
    return float(overlap(_corners(face), _corners(other)[None])[0])


def is_duplicate(face: Mesh, others: Sequence[Mesh]) -> bool:
    """Whether the intersection over union of the face's box and another's exceeds DUPLICATE_OVERLAP."""
    return any(box_overlap(face, other) > DUPLICATE_OVERLAP for other in others)


def is_part(face: Mesh, others: Sequence[Mesh]) -> bool:
    """Whether a face is read from a part of another, such as its open mouth.

    At least PART_INSIDE of its box lies in the other's, and it has at least PART_LEAST of that box's area: a smaller
    face, such as one in a picture, is a face of its own.
    """
    area = float(face.box[2] * face.box[3])
    for other in others:
        low = np.maximum(face.box[:2], other.box[:2])
        high = np.minimum(face.box[:2] + face.box[2:], other.box[:2] + other.box[2:])
        shared = float(np.maximum(high - low, 0.0).prod())
        if shared >= PART_INSIDE * area and area >= PART_LEAST * float(other.box[2] * other.box[3]):
            return True
    return False


def _corners(face: Mesh) -> Floats32:
    return np.concatenate([face.box[:2], face.box[:2] + face.box[2:]])
