"""Eyes: lids that close over the eyeball, irises that keep their round shape, and the line where lids meet.

The lids belong to the skin, the eyeball is a layer behind it: what is seen between the lids is the portrait's own eye,
not pressed together as the lids come down. Where they open wider than in the portrait, the eyeball's edge goes along.

Canonical frame: centimetres, x right, y up. Left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter
from scipy.spatial import Delaunay

from affekt.arrays import Floats, Floats32, Ints
from affekt.reenactment.motion import MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.warp import OVERSAMPLING, Box, laid_over, polygon_mask, shifted, way_in_box

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EyePoints:
    """Which landmarks belong to an eye."""

    outer: int
    inner: int
    lower: tuple[int, ...]
    """From the outer corner to the inner one."""
    upper: tuple[int, ...]
    """Each over its partner in `lower`."""
    iris: tuple[int, ...]
    """The middle, then four on the rim."""

    @property
    def ring(self) -> tuple[int, ...]:
        """All around the opening."""
        return (self.outer, *self.lower, self.inner, *reversed(self.upper))


EYES = (
    EyePoints(
        263, 362, (249, 390, 373, 374, 380, 381, 382), (466, 388, 387, 386, 385, 384, 398), (473, 474, 475, 476, 477)
    ),
    EyePoints(
        33, 133, (7, 163, 144, 145, 153, 154, 155), (246, 161, 160, 159, 158, 157, 173), (468, 469, 470, 471, 472)
    ),
)  # fmt: skip
"""The left eye, then the right one."""
MOST_GAZE = (0.25, 0.16)
"""How far an iris may move from where it is in the portrait, widths of the eye."""
IRIS_MARGIN = 1.15
"""Radii of the iris within which an eyeball is not taken to be white."""
LEAST_WHITE_PX = 16
LIT_SHARES = (0.75, 0.97)
"""Quantiles of brightness between which an eyeball is lit: below lies the shadow of the lid, above the reflection."""
LASHES_FROM = 0.55
"""Share of the calm opening below which the meeting lids begin to show as a line."""
LASHES_DARK = 0.5
LASHES_WIDE = 0.05
"""Width of the line, in widths of the eye."""


def move_eyes(face: Floats, portrait: Portrait, frame: MotionFrame) -> None:
    """Set lids and irises of a moved face (478, 3), canonical frame, in place."""
    for eye, share, gaze in zip(EYES, frame.opening, frame.gaze, strict=True):
        upper, lower, iris = list(eye.upper), list(eye.lower), list(eye.iris)
        gap = np.maximum(portrait.face[upper, 1] - portrait.face[lower, 1], 0)
        face[upper, 1] = face[lower, 1] + float(share) * gap
        wide = float(np.linalg.norm(portrait.face[eye.outer] - portrait.face[eye.inner]))
        way = np.clip(gaze.astype(np.float64), np.negative(MOST_GAZE), MOST_GAZE) * [wide, -wide]
        face[iris] = portrait.face[iris] + _corner_shift(eye, face, portrait)
        face[iris, :2] += way


def white_of_eyes(portrait: Portrait) -> Floats | None:
    """(3,) mean colour of the eyeballs beside the irises where they are lit, 0 to 255; None where too little shows."""
    pixels = []
    for eye in EYES:
        lids, iris = portrait.landmarks[list(eye.ring), :2], portrait.landmarks[list(eye.iris), :2]
        box = Box.around(lids, portrait.size)
        if box.is_empty:
            continue
        x, y = np.arange(box.left, box.right) + 0.5, np.arange(box.top, box.bottom)[:, None] + 0.5
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        is_white = np.hypot(x - iris[0, 0], y - iris[0, 1]) > IRIS_MARGIN * radius
        is_white &= polygon_mask(lids, box) == 1
        pixels.append(portrait.image[box.top : box.bottom, box.left : box.right][is_white])
    seen = np.concatenate(pixels or [np.zeros((0, 3))]).astype(np.float64)
    if len(seen) < LEAST_WHITE_PX:
        return None
    brightness = seen.mean(axis=1)
    low, high = np.quantile(brightness, LIT_SHARES)
    return np.asarray(seen[(brightness >= low) & (brightness <= high)].mean(axis=0))


class Eyes:
    """Draws the eyes of one portrait between its moved lids."""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait = portrait
        self._rest = portrait.place(portrait.face, np.eye(3), np.zeros(2), 1.0)
        self._triangles = [_triangles(eye, portrait) for eye in EYES]

    def draw(self, picture: Image, face: Floats, target: Floats, frame: MotionFrame) -> None:
        """Lay both eyes over a picture, in place.

        Args:
            picture: (H, W, 3) with the lids moved.
            face: (478, 3) moved, canonical frame.
            target: (478, 3) the same in the picture, pixels.
            frame: what moves.
        """
        for eye, triangles, ball in zip(EYES, self._triangles, self._balls(face, frame), strict=True):
            lids = target[list(eye.ring), :2]
            box = Box.around(lids, self._portrait.size, 3)
            if box.is_empty:
                continue
            mask = polygon_mask(lids, box)
            if mask.any():
                chosen = list(eye.ring + eye.iris)
                way = (self._rest[chosen] - ball)[:, :2]
                shift = way_in_box(ball, triangles, way, box)
                laid_over(picture, shifted(self._portrait.image, shift, box), mask, box)

    def draw_lashes(self, picture: Image, target: Floats, frame: MotionFrame) -> None:
        """Darken the line where the lids meet, the more the further they have come down, in place."""
        for eye, share in zip(EYES, frame.opening, strict=True):
            closed = float(np.clip((LASHES_FROM - share) / LASHES_FROM, 0, 1))
            gap = self._portrait.face[list(eye.upper), 1] - self._portrait.face[list(eye.lower), 1]
            wide = float(np.linalg.norm(target[eye.outer, :2] - target[eye.inner, :2]))
            if closed == 0 or gap.mean() <= 0 or wide < 1:
                continue
            edge = [eye.outer, *eye.upper, eye.inner]
            line = target[edge, :2]
            box = Box.around(line, self._portrait.size, 3 + round(LASHES_WIDE * wide))
            if not box.is_empty:
                mask = _line_mask(line, LASHES_WIDE * wide, box) * np.float32(LASHES_DARK * closed)
                laid_over(picture, np.zeros((box.height, box.width, 3), np.float32), mask, box)

    def _balls(self, face: Floats, frame: MotionFrame) -> Iterator[Floats]:
        """(21, 3) of each eyeball: the ring and the iris in the picture, at rest but for gaze and what opens wider."""
        rest = self._portrait.face
        for eye in EYES:
            ball = rest + _corner_shift(eye, face, self._portrait)
            upper, lower = list(eye.upper), list(eye.lower)
            ball[upper, 1] = np.maximum(ball[upper, 1], face[upper, 1])
            ball[lower, 1] = np.minimum(ball[lower, 1], face[lower, 1])
            ball[list(eye.iris)] = face[list(eye.iris)]
            yield self._portrait.place(ball[list(eye.ring + eye.iris)], frame.rotation, frame.translation, frame.scale)


def _corner_shift(eye: EyePoints, face: Floats, portrait: Portrait) -> Floats:
    """(3,) how far the corners of an eye have moved, on average."""
    corners = [eye.outer, eye.inner]
    return np.asarray((face[corners] - portrait.face[corners]).mean(axis=0))


def _triangles(eye: EyePoints, portrait: Portrait) -> Ints:
    """(F, 3) between the ring and the iris, numbers of `ring + iris`."""
    return np.asarray(Delaunay(portrait.landmarks[list(eye.ring + eye.iris), :2]).simplices, dtype=np.int64)


def _line_mask(line: Floats, width: float, box: Box) -> Floats32:
    """(h, w) a soft line through points (N, 2)."""
    canvas = PillowImage.new('L', (box.width * OVERSAMPLING, box.height * OVERSAMPLING))
    places = [tuple(place) for place in ((line - [box.left, box.top]) * OVERSAMPLING - 0.5).tolist()]
    ImageDraw.Draw(canvas).line(places, fill=255, width=max(1, round(width * OVERSAMPLING)), joint='curve')
    soft = canvas.filter(ImageFilter.GaussianBlur(0.5 * width * OVERSAMPLING))
    return np.asarray(soft.reduce(OVERSAMPLING), dtype=np.float32) / np.float32(255)
