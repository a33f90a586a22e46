"""A portrait ready to be animated: one clear face, its pose, and a mesh over the whole image.

    portrait = Portrait.from_picture('portrait.jpg')

Landmarks are in the canonical frame, with the portrait's own identity and expression; `place` maps them, moved, into
the image. Without motion, every point stays where it was.

Canonical frame: centimetres, x to the right of the image, y up, z to the viewer; image: pixels, y down, depth away
from the viewer. V = 468 landmarks, then 10 of the irises, then rings of the head, then the border.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats, Floats32, Ints
from affekt.errors import PortraitError
from affekt.faces import (
    CanonicalFace,
    Face,
    FaceLandmarker,
    Region,
    align_face,
    conditions,
    euler_angles_deg,
    five_points,
    readings,
)
from affekt.media import Recording
from affekt.reenactment.canonical import has_large_irises, laid_face
from affekt.reenactment.head import OUTLINE, Surroundings, head_rings, surroundings
from affekt.reenactment.motion import HEAD_CENTER_CM, POINTS

Image = npt.NDArray[np.uint8]

MOST_SIDE = 1024
MOST_YAW_DEG, MOST_PITCH_DEG, MOST_ROLL_DEG = 30.0, 30.0, 60.0
EASY_YAW_DEG = 18.0
"""Largest yaw in degrees; beyond it the far cheek shows so few pixels that turning back looks coarse."""
LEAST_EYES_PX = 24.0
"""Least distance between the outer corners of the eyes, in pixels."""
OTHERS_SHARE = 0.2
"""A face with a smaller side than this share of the largest is part of the background."""
CHEEKS = (205, 425)
EYE_CORNERS = (33, 263)
LARGE_IRISES = 'The irises of the portrait are larger than human ones: gaze and widened eyes are limited.'
FROM_BELOW = np.array([1.0, -1.0, -1.0])
"""Signs of the axes of the image relative to those of the canonical frame."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """One face in one image; made by `from_picture`.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) pixels.
        face: (478, 3) the same in the canonical frame.
        rotation: (3, 3) of the head, canonical frame to image axes (x right, y up, z to the viewer).
        pixels_per_cm: size of the head in the image.
        center: (3,) position of HEAD_CENTER_CM in pixels, y up.
        around: rings and border.
        triangles: (F, 3) of the whole mesh: the face with filled eyes and mouth, then its surroundings.
        blendshapes: (52,) scores of `affekt.faces.BLENDSHAPES`.
        notes: sentences for the user about limits of the result.
        large_irises: whether the irises are larger than human ones, as in drawn figures.
    """

    image: Image
    landmarks: Floats
    face: Floats
    rotation: Floats
    pixels_per_cm: float
    center: Floats
    around: Surroundings
    triangles: Ints
    blendshapes: Floats32
    notes: tuple[str, ...] = ()
    large_irises: bool = False

    @classmethod
    def from_picture(
        cls, picture: str | os.PathLike[str] | Image, landmarker: FaceLandmarker | None = None,
        *, max_side: int = MOST_SIDE,
    ) -> Portrait:  # fmt: skip
        """The portrait in a photograph, a drawing or an array.

        Args:
            picture: a file, or (H, W, 3) uint8 RGB.
            landmarker: finds landmarks; None for one with the published model.
            max_side: longest side in pixels; a larger image is scaled down.

        Raises:
            PortraitError: there is no face or several, or it is too small, or turned, tilted or lowered too far.
            MediaError: the file is not an image.
        """
        image = _image(picture, max_side)
        networks = landmarker or FaceLandmarker()
        seen = _the_face(networks, image)
        _require_pose(seen)
        return cls.from_face(image, seen, networks.canonical)

    @classmethod
    def from_face(cls, image: Image, seen: Face, canonical: CanonicalFace) -> Portrait:
        """The portrait of an already detected face.

        Args:
            image: (H, W, 3) uint8 RGB.
            seen: the face, in pixels of the image.
            canonical: the mean face, and the points that determine head pose.
        """
        size = image.shape[0], image.shape[1]
        laid = laid_face(seen.landmarks, canonical)
        face, large = laid.points, has_large_irises(image, seen.landmarks)
        rings = head_rings(face)
        around = surroundings(
            rings, seen.landmarks[:POINTS, :2].astype(np.float64), laid.in_picture(rings)[:, :2], size
        )
        shifted = np.where(around.triangles >= POINTS, around.triangles + len(face) - POINTS, around.triangles)
        return cls(
            image=image,
            landmarks=seen.landmarks.astype(np.float64),
            face=face,
            rotation=laid.rotation,
            pixels_per_cm=laid.pixels_per_cm,
            center=laid.center,
            around=around,
            triangles=np.concatenate([canonical.triangles, shifted]),
            blendshapes=seen.blendshapes,
            notes=(*_notes(image, seen, around), *([LARGE_IRISES] if large else [])),
            large_irises=large,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def eye_distance_px(self) -> float:
        """Distance between the outer corners of the eyes, in pixels."""
        first, second = self.landmarks[list(EYE_CORNERS), :2]
        return float(np.linalg.norm(first - second))

    @property
    def cheek(self) -> Floats:
        """(3,) mean colour of both cheeks, 0 to 255."""
        return cheek_color(self.image, self.landmarks)

    @property
    def rest(self) -> Floats:
        """(V, 3) the whole mesh at rest, pixels and depth."""
        return self.mesh(self.face, np.eye(3), np.zeros(2), 1.0)

    def place(self, points: Floats, rotation: Floats, translation: Floats, scale: float) -> Floats:
        """(N, 3) canonical points in image pixels and depth, for a given head motion."""
        turned = (points - HEAD_CENTER_CM) @ (rotation @ self.rotation).T * (self.pixels_per_cm * scale)
        turned += self.center
        turned[:, :2] += translation * self.pixels_per_cm
        return np.asarray(turned * FROM_BELOW)

    def mesh(self, face: Floats, rotation: Floats, translation: Floats, scale: float) -> Floats:
        """(V, 3) the whole mesh for a given head motion and a canonical face (478, 3)."""
        around = self.around
        still = self.place(around.rings, np.eye(3), np.zeros(2), 1.0)
        displaced = around.rings + (face - self.face)[around.beside] * around.sharing[:, None]
        moved = self.place(displaced, rotation, translation, scale)
        rings = still + (moved - still) * around.following[:, None]
        border = np.column_stack([around.border, np.full(len(around.border), BORDER_DEPTH_PX)])
        return np.concatenate([self.place(face, rotation, translation, scale), rings, border])

    def __repr__(self) -> str:
        height, width = self.size
        return f'Portrait({width} x {height}, {self.eye_distance_px:.0f} pixels between the eyes)'


BORDER_DEPTH_PX = 1e4


def cheek_color(image: Image, landmarks: npt.ArrayLike) -> Floats:
    """(3,) mean colour around the middle of both cheeks, 0 to 255."""
    points = np.asarray(landmarks, dtype=np.float64)
    reach = max(1, round(0.04 * float(np.ptp(points[list(OUTLINE), 0]))))
    patches = []
    for x, y in points[list(CHEEKS), :2]:
        column, row = int(np.clip(x, 0, image.shape[1] - 1)), int(np.clip(y, 0, image.shape[0] - 1))
        patch = image[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        patches.append(patch.reshape(-1, 3).mean(axis=0, dtype=np.float64))
    return np.asarray(np.mean(patches, axis=0))


def _image(picture: str | os.PathLike[str] | Image, max_side: int) -> Image:
    if isinstance(picture, np.ndarray):
        longest = max(picture.shape[:2])
        if longest <= max_side:
            return np.ascontiguousarray(picture)
        width, height = (max(1, round(side * max_side / longest)) for side in (picture.shape[1], picture.shape[0]))
        smaller = PillowImage.fromarray(picture).resize((width, height), PillowImage.Resampling.LANCZOS)
        return np.asarray(smaller)
    recording = Recording.open(picture)
    if recording.kind != 'image':
        raise PortraitError(
            expected='an image as the portrait', came=f'{Path(picture).name}, {_kind_in_words(recording.kind)}',
            todo='save one frame of it as an image, and name that',
        )  # fmt: skip
    frame = next(recording.frames(max_side=max_side))
    return np.ascontiguousarray(frame.image)


def _kind_in_words(kind: str) -> str:
    return {'audio': 'an audio recording', 'video': 'a video'}.get(kind, kind)


def _the_face(networks: FaceLandmarker, image: Image) -> Face:
    """The only face of an image, read a second time around its own landmarks."""
    faces = networks.faces(image) if min(image.shape[:2]) >= 16 else []
    faces = [face for face in faces if face.box[2:].max() >= OTHERS_SHARE * faces[0].box[2:].max()]
    if len(faces) != 1:
        raise PortraitError(
            expected='an image with one clear face', came='no face' if not faces else f'{len(faces)} faces',
            todo='choose another image' if not faces else 'cut out the one that is to move',
        )  # fmt: skip
    refined = networks.read(image, Region.from_landmarks(faces[0].landmarks))
    face = faces[0] if refined is None else refined
    first, second = face.landmarks[list(EYE_CORNERS), :2]
    if (distance_px := float(np.linalg.norm(first - second))) < LEAST_EYES_PX:
        raise PortraitError(
            expected=f'a face with at least {LEAST_EYES_PX:.0f} pixels between the outer corners of the eyes',
            came=f'{distance_px:.0f} pixels', todo='choose a larger image or output, or cut out the head',
        )  # fmt: skip
    return face


def _require_pose(face: Face) -> None:
    """Require that the head is turned so little that both cheeks have enough pixels."""
    yaw, pitch, roll = (float(angle) for angle in euler_angles_deg(face.pose))
    for movement, angle, limit_deg, todo in (
        ('tilted', roll, MOST_ROLL_DEG, 'rotate the image upright'),
        ('turned to the side', yaw, MOST_YAW_DEG, 'choose an image taken more from the front'),
        ('raised or lowered', pitch, MOST_PITCH_DEG, 'choose an image taken more from the front'),
    ):
        if not abs(angle) <= limit_deg:
            raise PortraitError(
                expected=f'a head {movement} by at most {limit_deg:.0f} degrees',
                came=f'{abs(angle):.0f} degrees',
                todo=todo,
            )


def _notes(image: Image, face: Face, around: Surroundings) -> list[str]:
    notes = []
    yaw = abs(float(euler_angles_deg(face.pose)[0]))
    if yaw > EASY_YAW_DEG:
        notes.append(
            f'The head of the portrait is turned by {yaw:.0f} degrees: the far cheek has few pixels, and looks coarse '
            'where it turns into view.'
        )
    height, width = image.shape[:2]
    points = face.landmarks[:POINTS, :2]
    if (points < 0).any() or (points > [width, height]).any():
        notes.append('The border of the image cuts the face: what is beyond it is missing in the output too.')
    elif around.reaches_border:
        notes.append('Hair or neck reach the border of the image, which stays still: near it they move less.')
    crop = align_face(image, five_points(face.landmarks))
    state = conditions(crop, readings(face, crop))
    if state.is_covered:
        notes.append('Part of the face looks covered: what covers it moves as if it were painted on the face.')
    if state.are_eyes_closed:
        notes.append('The eyes of the portrait are closed, and stay so.')
    return notes
