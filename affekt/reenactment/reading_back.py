"""Affekt's own readings of a reenactment: expression, affect, identity and light, frame by frame and at its apex.

The apex is the part of a clip in which the emotion is strongest; a still is its own apex. Rises are
relative to the portrait, read in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from affekt.arrays import Bools, Floats, Floats32
from affekt.errors import MediaError
from affekt.faces import (
    BLENDSHAPES,
    ExpressionLike,
    Face,
    FaceIdentity,
    FaceLandmarker,
    Region,
    affect,
    align_face,
    expression_model,
    face_crop,
    five_points,
)
from affekt.labels import EKMAN
from affekt.media import Recording
from affekt.reenactment.emotions import RECIPES, UNIT_DIRECTIONS
from affekt.reenactment.head import OUTLINE

SILENT = ('noseSneer', 'cheekSquint', 'mouthFrown', 'jawForward')
"""Stems of the scores that the network hardly ever gives."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, eq=False)
class FaceRead:
    """Readings of one face.

    Attributes:
        scores: (52,) BLENDSHAPES.
        shares: (7,) shares of the categories EKMAN.
        valence, arousal: derived from the shares.
        identity: (128,) vector of the recognition network; None where it was not computed.
        luminance: mean of the face's skin in linear light, 0 to 1.
    """

    scores: Floats32
    shares: Floats
    valence: float
    arousal: float
    identity: Floats32 | None
    luminance: float


@dataclass(frozen=True, eq=False)
class ReadBack:
    """The readings of a clip.

    Attributes:
        portrait: readings of the portrait.
        frames: readings of each frame that was examined; those without a face are left out.
        looked_at: number of frames that were examined.
        emotion: the requested emotion.
        is_apex: (T,) which frames belong to the apex.
    """

    portrait: FaceRead
    frames: tuple[FaceRead, ...]
    looked_at: int
    emotion: str
    is_apex: Bools

    @cached_property
    def rises(self) -> Floats:
        """(T,) rise of the emotion's named scores, summed, over those of the portrait."""
        columns = [BLENDSHAPES.index(name) for name in named_scores(self.emotion)]
        return np.array([float((frame.scores - self.portrait.scores)[columns].sum()) for frame in self.frames])

    def as_row(self) -> dict[str, float | str]:
        """The measured columns of a table of stimuli; means over the apex.

        measured_rise: rise of the named scores; measured_share: share of the emotion's category;
        measured_luminance, measured_identity_distance: mean and maximum over all frames.
        """
        always: dict[str, float | str] = {
            'measured_luminance': float(np.mean([frame.luminance for frame in self.frames])) if self.frames else np.nan,
            'measured_identity_distance': max(identity_distances(self.portrait, self.frames), default=np.nan),
            'frames_without_face': float(self.looked_at - len(self.frames)),
        }
        if not self.is_apex.any():
            return dict.fromkeys(MEASURED, np.nan) | {'measured_category': ''} | always
        apex = [frame for frame, is_in_apex in zip(self.frames, self.is_apex, strict=True) if is_in_apex]
        shares = np.mean([frame.shares for frame in apex], axis=0)
        category = self.emotion if self.emotion in EKMAN else 'neutral'
        return {
            'measured_rise': float(np.mean(self.rises[self.is_apex])),
            'measured_category': EKMAN[int(np.argmax(shares))],
            'measured_share': float(shares[EKMAN.index(category)]) if self.emotion in EKMAN else float('nan'),
            'measured_valence': float(np.mean([frame.valence for frame in apex])),
            'measured_arousal': float(np.mean([frame.arousal for frame in apex])),
            **always,
        }


MEASURED = (
    'measured_rise', 'measured_category', 'measured_share', 'measured_valence', 'measured_arousal',
    'measured_luminance', 'measured_identity_distance', 'frames_without_face',
)  # fmt: skip


def named_scores(emotion: str) -> tuple[str, ...]:
    """The scores in an emotion's recipe, except those that the network hardly ever gives."""
    units = RECIPES[emotion].units if emotion in RECIPES else {}
    names = {name for unit in units for name in UNIT_DIRECTIONS[unit] if not name.startswith(SILENT)}
    return tuple(name for name in BLENDSHAPES if name in names)


def identity_distances(portrait: FaceRead, frames: Sequence[FaceRead]) -> list[float]:
    """Distance of each frame's face from the portrait's; below 0.5 it is one person. Empty if identity was not read."""
    if portrait.identity is None:
        return []
    return [float(np.linalg.norm(frame.identity - portrait.identity)) for frame in frames if frame.identity is not None]


class Reader:
    """Reads faces back with affekt's own networks, loaded once.

    Args:
        landmarker: finds landmarks; None for one with the published model.
        expression: expression model; None for the trained one, which is for research only.
        identity: recognition network; None leaves identity out.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker | None = None,
        expression: ExpressionLike | None = None,
        identity: FaceIdentity | None = None,
    ) -> None:
        self._landmarker = landmarker or FaceLandmarker()
        self._expression, self._identity = expression or expression_model(), identity

    def face(self, image: npt.NDArray[np.uint8], around: Face | None = None) -> Face | None:
        """The face in an image, near another one if given; None if there is none."""
        tracked = None if around is None else self._landmarker.read(image, Region.from_landmarks(around.landmarks))
        if tracked is not None:
            return tracked
        faces = self._landmarker.faces(image, max_faces=1)
        return faces[0] if faces else None

    def read(self, image: npt.NDArray[np.uint8], face: Face) -> FaceRead:
        """Readings of a face in an (H, W, 3) image."""
        crop = align_face(image, five_points(face.landmarks))
        shares = np.asarray(self._expression.probabilities(crop[None], face.blendshapes[None])[0], dtype=np.float64)
        valence, arousal, *_ = (float(np.asarray(value).ravel()[0]) for value in affect(shares[None]))
        identity = None if self._identity is None else self._identity.vector(face_crop(image, face.landmarks))
        return FaceRead(face.blendshapes, shares, valence, arousal, identity, face_luminance(image, face.landmarks))

    def read_back(
        self,
        portrait: npt.NDArray[np.uint8],
        pictures: Iterable[tuple[npt.NDArray[np.uint8], bool]],
        emotion: str,
    ) -> ReadBack:
        """Readings of frames and of the portrait they are compared with.

        Args:
            portrait: (H, W, 3) RGB.
            pictures: each with True if it belongs to the apex.
            emotion: the requested emotion.

        Raises:
            MediaError: the portrait shows no face.
        """
        portrait_face = self.face(portrait)
        if portrait_face is None:
            raise MediaError(expected='a portrait with a face', came='none', todo='choose another portrait')
        frames, in_apex, looked_at, previous = [], [], 0, portrait_face
        for image, is_apex in pictures:
            looked_at += 1
            face = self.face(image, previous)
            if face is not None:
                frames.append(self.read(image, face))
                in_apex.append(is_apex)
                previous = face
        return ReadBack(
            self.read(portrait, portrait_face), tuple(frames), looked_at, emotion, np.array(in_apex, dtype=bool)
        )

    def read_file(
        self, portrait: npt.NDArray[np.uint8], path: Path, emotion: str, apex_s: tuple[float, float], rate_hz: float
    ) -> ReadBack:
        """`read_back` of a file at a frame rate, with the apex between two times."""
        frames = Recording.open(path).frames(rate_hz)
        return self.read_back(
            portrait, ((frame.image, apex_s[0] <= frame.time_s <= apex_s[1]) for frame in frames), emotion
        )


def face_luminance(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> float:
    """Mean of the face within its outline in linear light, 0 to 1; nan if it is outside the image."""
    inside = face_mask(image.shape[:2], landmarks)
    return float((linear(image[inside]) @ LUMINANCE).mean()) if inside.any() else float('nan')


def face_mask(size: tuple[int, ...], landmarks: npt.ArrayLike) -> Bools:
    """(H, W) pixels within the outline of a face."""
    canvas = PillowImage.new('1', (size[1], size[0]))
    outline = np.asarray(landmarks, dtype=np.float64)[list(OUTLINE), :2]
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in outline], fill=1)
    return np.asarray(canvas, dtype=bool)


def linear(values: npt.NDArray[np.uint8]) -> Floats:
    """sRGB bytes as linear light, 0 to 1 (IEC 61966-2-1)."""
    shares = np.arange(256) / 255
    table = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return np.asarray(table[values])


def encoded(light: Floats) -> npt.NDArray[np.uint8]:
    """Linear light as sRGB bytes; clipped at white."""
    clipped = np.clip(light, 0, 1)
    shares = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * shares), dtype=np.uint8)
