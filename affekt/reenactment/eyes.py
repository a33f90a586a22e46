"""Eyes: lids that close over the eyeball, irises that keep their round shape, and the line where lids meet.

The lids belong to the skin, the eyeball is a layer behind it: the portrait's own eye is seen between the lids,
not compressed as the lids close. Where they open wider than in the portrait, the eyeball's edge moves along,
and the iris stays round: the part that a lid hides in the portrait gets the colours visible at the same radius.

Canonical frame: centimetres, x right, y up. Left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter
from scipy.spatial import Delaunay

from affekt.arrays import Floats, Floats32, Ints
from affekt.reenactment.canonical import EYES, EyePoints
from affekt.reenactment.motion import MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.sampling import sample
from affekt.reenactment.warp import OVERSAMPLING, Box, laid_over, polygon_mask, shifted, way_in_box

Image = npt.NDArray[np.uint8]

OUTER, INNER, MIDDLE, RIM = 0, 8, 16, slice(17, 21)
UPPER_LID, LOWER_LID = [0, *range(9, 16), 8], list(range(9))
"""Indices into ring and iris (21, …) of an eye: corners, middle and rim of the iris, lids with both corners."""
MOST_GAZE = (0.25, 0.16)
"""Largest movement of an iris from its position in the portrait, horizontal and vertical, in eye widths."""
LARGE_GAZE, LARGE_OPENING = (0.05, 0.04), 1.2
"""The same of irises larger than human ones, and the largest opening of their lids: pixels beyond the landmarks do not
move with them, and would tear."""
IRIS_MARGIN = 1.15
"""Distance from the iris centre, in iris radii, within which the eyeball does not count as white."""
LEAST_WHITE_PX = 16
"""Least number of pixels of the white of the eyes from which its colour is measured."""
LIT_SHARES = (0.75, 0.97)
"""Quantiles of brightness between which an eyeball is lit: below is the lid's shadow, above a reflection."""
BEYOND_RING = 1.3
"""Size of the outer ring relative to the lids' own."""
ROUND_FROM, ROUND_TO = 1.08, 0.96
"""Radii, relative to the iris, from which the eyeball is only white, and up to which it is only iris."""
MOVED_WIDTHS = 0.03
"""Movement of lid or iris, in eye widths, from which the iris is drawn entirely as a separate disc; not at rest."""
RING_WIDTH = 0.15
"""Width, in iris radii, of the rings of equal colour that fill the hidden part of an iris."""
DULL = 0.25
"""Quantile of a ring's colours that counts as its own: brighter pixels are a reflection, or white outside the
lid's shadow."""
LASHES_WIDTHS = 0.04
"""Reach of the lashes' shadow into the portrait's eye, in eye widths."""
LASHES_FROM = 0.55
"""Share of the calm opening below which the line where lids meet appears."""
LASHES_DARK = 0.5
"""Opacity of the line where closed lids meet."""
LASHES_WIDE = 0.05
"""Width of the line, in widths of the eye."""


def move_eyes(face: Floats, portrait: Portrait, frame: MotionFrame) -> None:
    """Set lids and irises of a moved face (478, 3), canonical frame, in place."""
    limits = LARGE_GAZE if portrait.large_irises else MOST_GAZE
    for eye, share, gaze in zip(EYES, frame.opening, frame.gaze, strict=True):
        upper, lower, iris = list(eye.upper), list(eye.lower), list(eye.iris)
        gap = np.maximum(portrait.face[upper, 1] - portrait.face[lower, 1], 0)
        share = min(float(share), LARGE_OPENING) if portrait.large_irises else float(share)
        face[upper, 1] = face[lower, 1] + share * gap
        eye_width = float(np.linalg.norm(portrait.face[eye.outer] - portrait.face[eye.inner]))
        displacement = np.clip(gaze.astype(np.float64), np.negative(limits), limits) * [eye_width, -eye_width]
        face[iris] = portrait.face[iris] + _corner_shift(eye, face, portrait)
        face[iris, :2] += displacement


def white_of_eyes(portrait: Portrait) -> Floats | None:
    """(3,) mean colour of the eyeballs beside the irises where they are lit, 0 to 255; None if too little is
    visible."""
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
        pixels.append(portrait.image[box.cut][is_white])
    white_pixels = np.concatenate(pixels or [np.zeros((0, 3))]).astype(np.float64)
    if len(white_pixels) < LEAST_WHITE_PX:
        return None
    brightness = white_pixels.mean(axis=1)
    low, high = np.quantile(brightness, LIT_SHARES)
    return np.asarray(white_pixels[(brightness >= low) & (brightness <= high)].mean(axis=0))


class Eyes:
    """Draws the eyes of one portrait between its moved lids."""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait = portrait
        self._rest = portrait.place(portrait.face, np.eye(3), np.zeros(2), 1.0)
        self._triangles = [_triangles(eye, portrait) for eye in EYES]
        self._whole = _with_whole_irises(portrait.image, [self._rest[list(eye.ring + eye.iris), :2] for eye in EYES])

    def draw(self, picture: Image, face: Floats, target: Floats, frame: MotionFrame) -> None:
        """Draw both eyes into an image, in place.

        Args:
            picture: (H, W, 3) with the lids moved.
            face: (478, 3) moved, canonical frame.
            target: (478, 3) the same in image pixels.
            frame: frame of the motion.
        """
        for eye, triangles, ball in zip(EYES, self._triangles, self._balls(face, frame), strict=True):
            lids = target[list(eye.ring), :2]
            box = Box.around(lids, self._portrait.size, 3)
            if box.is_empty:
                continue
            mask = polygon_mask(lids, box)
            if mask.any():
                rest = self._rest[list(eye.ring + eye.iris)]
                around = _around(rest, rest)
                shift = way_in_box(_around(rest, ball), triangles, (around - _around(rest, ball))[:, :2], box)
                layer = shifted(self._portrait.image, shift, box)
                (across, down), share = _disc(ball[:, :2], rest[:, :2], box)
                if share.any():
                    laid_over(layer, sample(self._whole, across, down), share, Box(0, 0, box.width, box.height))
                laid_over(picture, layer, mask, box)

    def draw_lashes(self, picture: Image, target: Floats, frame: MotionFrame) -> None:
        """Darken the line where the lids meet, more as they close, in place."""
        for eye, share in zip(EYES, frame.opening, strict=True):
            closed = float(np.clip((LASHES_FROM - share) / LASHES_FROM, 0, 1))
            gap = self._portrait.face[list(eye.upper), 1] - self._portrait.face[list(eye.lower), 1]
            eye_width = float(np.linalg.norm(target[eye.outer, :2] - target[eye.inner, :2]))
            if closed == 0 or gap.mean() <= 0 or eye_width < 1:
                continue
            edge = [eye.outer, *eye.upper, eye.inner]
            line = target[edge, :2]
            box = Box.around(line, self._portrait.size, 3 + round(LASHES_WIDE * eye_width))
            if not box.is_empty:
                mask = _line_mask(line, LASHES_WIDE * eye_width, box) * np.float32(LASHES_DARK * closed)
                laid_over(picture, np.zeros((box.height, box.width, 3), np.float32), mask, box)

    def _balls(self, face: Floats, frame: MotionFrame) -> Iterator[Floats]:
        """(21, 3) ring and iris of each eyeball in the image, at rest except for gaze and lids that open wider."""
        rest = self._portrait.face
        for eye in EYES:
            ball = rest + _corner_shift(eye, face, self._portrait)
            upper, lower = list(eye.upper), list(eye.lower)
            ball[upper, 1] = np.maximum(ball[upper, 1], face[upper, 1])
            ball[lower, 1] = np.minimum(ball[lower, 1], face[lower, 1])
            ball[list(eye.iris)] = face[list(eye.iris)]
            yield self._portrait.place(ball[list(eye.ring + eye.iris)], frame.rotation, frame.translation, frame.scale)


def _disc(ball: Floats, rest: Floats, box: Box) -> tuple[Floats32, Floats32]:
    """(2, h, w) positions in the portrait's eye with its complete iris, and (h, w) their weights, 0 to 1.

    Args:
        ball: (21, 2) ring and iris in the picture; the iris with its middle first.
        rest: (21, 2) the same in the portrait.
        box: box of the pixels.
    """
    eye_width = float(np.linalg.norm(rest[OUTER] - rest[INNER]))
    displacement = ball - rest
    displacement -= displacement[[OUTER, INNER]].mean(axis=0)
    strength = float(np.clip(np.linalg.norm(displacement, axis=1).max() / max(MOVED_WIDTHS * eye_width, 1e-6), 0, 1))
    radius, rest_radius = _radius(ball), _radius(rest)
    if strength == 0 or min(radius, rest_radius) < 1:
        return np.zeros((2, box.height, box.width), np.float32), np.zeros((box.height, box.width), np.float32)
    columns, rows = _pixels(box)
    x, y = columns - ball[MIDDLE, 0], rows - ball[MIDDLE, 1]
    is_iris = np.clip((ROUND_FROM - np.hypot(x, y) / radius) / (ROUND_FROM - ROUND_TO), 0, 1)
    # near the lids the eyeball's edge moves with them, including lashes
    above, below = (_lid_height(ball[lid], columns) for lid in (UPPER_LID, LOWER_LID))
    within_lids = np.clip(np.minimum(rows - above, below - rows) / max(LASHES_WIDTHS * eye_width, 1e-6), 0, 1)
    positions = np.broadcast_arrays(
        rest[MIDDLE, 0] + x * rest_radius / radius, rest[MIDDLE, 1] + y * rest_radius / radius
    )
    return np.stack(positions).astype(np.float32), (strength * is_iris * within_lids).astype(np.float32)


def _with_whole_irises(image: Image, eyes: Iterable[Floats]) -> Image:
    """The portrait with complete irises: hidden parts get the colour visible at each radius.

    Args:
        image: (H, W, 3) the portrait.
        eyes: (21, 2) ring and iris of each eye in it.
    """
    result = image.copy()
    for rest in eyes:
        radius, lid_margin = _radius(rest), LASHES_WIDTHS * float(np.linalg.norm(rest[OUTER] - rest[INNER]))
        box = Box.around(rest[MIDDLE] + np.outer([-1, 1], [ROUND_FROM * radius] * 2), image.shape[:2], 1)
        if box.is_empty or radius < 1:
            continue
        columns, rows = _pixels(box)
        top, bottom = (_lid_height(rest[lid], columns) for lid in (UPPER_LID, LOWER_LID))
        visible = np.clip(np.minimum(rows - top, bottom - rows) / max(lid_margin, 1e-6) - 0.5, 0, 1)  # (h, w)
        width = max(RING_WIDTH * radius, 1)
        rings = np.hypot(columns - rest[MIDDLE, 0], rows - rest[MIDDLE, 1]) / width
        # no ring beyond the edge: the white of an eye would be a bright arc before shadow or lashes
        members = [(np.rint(rings) == number) & (visible > 0.5) for number in range(int(radius / width) + 1)]
        ring_numbers = [number for number, ring in enumerate(members) if ring.any()]
        if not ring_numbers:
            continue
        part = result[box.cut]
        colors = np.array([np.quantile(part[members[number]], DULL, axis=0) for number in ring_numbers])
        filled = np.stack([np.interp(rings, ring_numbers, channel) for channel in colors.T], axis=-1)
        laid_over(result, filled.astype(np.float32), (1 - visible).astype(np.float32), box)
    return result


def _pixels(box: Box) -> tuple[Floats, Floats]:
    """(w,) columns and (h, 1) rows of the middles of a box's pixels."""
    columns = np.arange(box.left, box.right, dtype=np.float64) + 0.5
    return columns, (np.arange(box.top, box.bottom, dtype=np.float64) + 0.5)[:, None]


def _radius(points: Floats) -> float:
    """Radius of the iris of (21, 2) ring and iris."""
    return float(np.linalg.norm(points[RIM] - points[MIDDLE], axis=1).mean())


def _lid_height(lid: Floats, x: Floats) -> Floats:
    """Height in the image of a lid through points (N, 2), at columns along it."""
    ordered = lid[np.argsort(lid[:, 0])]
    return np.asarray(np.interp(x, ordered[:, 0], ordered[:, 1]))


def _corner_shift(eye: EyePoints, face: Floats, portrait: Portrait) -> Floats:
    """(3,) mean displacement of both corners of an eye, in centimetres."""
    corners = [eye.outer, eye.inner]
    return np.asarray((face[corners] - portrait.face[corners]).mean(axis=0))


def _triangles(eye: EyePoints, portrait: Portrait) -> Ints:
    """(F, 3) between the points of `_around`."""
    rest = portrait.landmarks[list(eye.ring + eye.iris)]
    return np.asarray(Delaunay(_around(rest, rest)[:, :2]).simplices, dtype=np.int64)


def _around(rest: Floats, ball: Floats) -> Floats:
    """(37, 3) ring and iris (21, 3), and an outer ring that moves with the ring and shows through soft edges.

    Args:
        rest: (21, 3) in the portrait.
        ball: (21, 3) in the picture.
    """
    ring = slice(0, -5)
    outward = (BEYOND_RING - 1) * (rest[ring] - rest[ring].mean(axis=0))
    return np.concatenate([ball, ball[ring] + outward])


def _line_mask(line: Floats, width: float, box: Box) -> Floats32:
    """(h, w) a soft line through points (N, 2)."""
    canvas = PillowImage.new('L', (box.width * OVERSAMPLING, box.height * OVERSAMPLING))
    corners = [tuple(corner) for corner in ((line - [box.left, box.top]) * OVERSAMPLING - 0.5).tolist()]
    ImageDraw.Draw(canvas).line(corners, fill=255, width=max(1, round(width * OVERSAMPLING)), joint='curve')
    soft = canvas.filter(ImageFilter.GaussianBlur(0.5 * width * OVERSAMPLING))
    return np.asarray(soft.reduce(OVERSAMPLING), dtype=np.float32) / np.float32(255)
