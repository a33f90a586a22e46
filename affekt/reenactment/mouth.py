"""The inside of an open mouth: the portrait's own, the driver's, or a synthetic one.

An image of a mouth is placed between the lips by the affine map that best fits their inner edge to the
image's; where the shapes differ so much that lips of the image would show, they are moved out of sight. The colours of
a driver's mouth are shifted by the difference of both skins; a synthetic one is lit like the white of the portrait's
eyes. A portrait whose mouth is already open keeps its own upper teeth, which move with the head; what opens below them
is filled from the other mouth.

Canonical frame: centimetres, x right, y up.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageFilter
from scipy.spatial import Delaunay

from affekt.arrays import Floats, Floats32
from affekt.face3d import Camera, Light, Studio, face_model, head_model, made_up_person, pose_matrix, posed
from affekt.reenactment.eyes import white_of_eyes
from affekt.reenactment.motion import INNER_LIPS, MotionFrame, MouthPicture
from affekt.reenactment.portrait import Portrait, cheek_color
from affekt.reenactment.sampling import sample
from affekt.reenactment.warp import Box, laid_over, polygon_mask, shifted, softened, way_in_box

Image = npt.NDArray[np.uint8]
LIPS = list(INNER_LIPS)
CORNERS = (0, 10)
"""Indices of the mouth corners in INNER_LIPS; the upper lip is between them, the lower one after."""
UPPER, LOWER = slice(1, 10), slice(11, 20)
FAN = np.array([[0, 1 + place, 1 + (place + 1) % len(LIPS)] for place in range(len(LIPS))])
"""Triangles between the middle of a mouth, which comes first, and the edge of its lips."""
OPEN_GAP = 0.06
"""Gap of the lips, as a share of the distance between the eyes, above which the portrait's mouth is open."""
SHOWN_FROM, SHOWN_WHOLE = 0.008, 0.03
"""Widening of the lips' gap beyond the portrait's, in eye distances, at which the inside of the
mouth begins to appear, and at which it appears fully."""
FEATHER = 0.006
"""Softness of the edge, as a share of the distance between the eyes."""
GAINS = (0.5, 1.6)
"""Smallest and largest factor on the colours of a driver's mouth."""
LIGHT_GAINS = (0.35, 1.9)
"""Smallest and largest factor on the colours of a synthetic mouth, whose own light is known."""
TEETH_OVER_WHITE = (1.08, 1.0, 0.86)
"""Colour of teeth relative to the white of the eyes in the same light: as bright, but yellower."""
WHITE_OVER_SKIN = 1.15
"""Minimum brightness of the white of an eye relative to the cheeks; darker values are in the lids' shadow."""
WHITE_TINT = 0.7
"""Share of the tint of the eyes' white that is due to the light."""
TEETH_CHROMA = (0.42, 0.3)
"""Chroma relative to brightness above which a pixel of a synthetic mouth is tongue, and below which it is tooth."""
TEETH_CONTRAST = 0.4
"""Exponent of the light on synthetic teeth: the head model's lips shade them too darkly."""
DARK_BEHIND = np.float32(0.65)
"""Share of the head model's light kept on tongue and throat: unlike in photographs, it shines into the mouth."""
TEETH_SHARE = 0.97
"""Quantile of brightness above which pixels between synthetic lips are lit teeth."""
GREY, COLOURED = 0.04, 0.16
"""Chroma of the cheeks relative to brightness: of a grey image, and of one in full colour."""
TINT = 0.35
"""Share of the difference in skin colour that is due to the light, which falls on teeth too."""
JAWS = (0.06, 0.15, 0.3, 0.5, 0.75, 1.0)
"""Jaw openings for which there is an image of the synthetic mouth."""
RAISED_LIP = 0.7
"""Amount by which the upper lip of the synthetic mouth is raised, so that its upper teeth show."""
SHADE_WIDE, SHADE_LEAST = 0.07, 0.75
"""Width of the lips' shadow in a synthetic mouth, as a share of its width, and share of the light left at their
edge."""
INSET = 0.05
"""Width of the lower edge of its own mouth, in mouth widths, that a portrait loses where the jaw opens further: the rim
of the lip, which would float otherwise."""
MADE_UP_SIDE, MADE_UP_VIEW_DEG = 320, 13.0
"""Side in pixels and field of view of the images of the synthetic mouth, which fills most of them."""
MADE_UP_SEED = 7
RENDERING = threading.Lock()
ROUND = (0.4, 0.7)
"""Height over width of an opening whose landmarks begin to lie on its lips, and of one where they do."""
ON_LIPS, WITHIN = np.array([1.15, 1.1, 1.05]), np.arange(1.0, 0.6, -0.05)
"""Distances from the middle of a mouth, relative to its landmarks', of pixels of lip, and at which the lip may end."""
UNLIKE_LIP = 0.3
"""Least difference of teeth or a dark mouth from the colour of the lip beside them, relative to its brightness."""
LIPS_SHOWN = 0.03
"""Width of the strip of the image's own lips that may remain visible, in widths of its mouth: the accuracy of
landmarks."""
BEYOND_EDGE = 1.25
"""Distance from the middle of the mouth, relative to that of the lips, up to which the image is moved, since the mask
of the mouth has soft edges."""
SMOOTHED_STEP, LEAST_SMOOTHED = 0.5, 0.3
"""Standard deviation of the blur before an image is made smaller, over the step between the pixels that are read, and
the least one that makes a difference."""


def part_lips(face: Floats, portrait: Portrait) -> None:
    """Keep the lips of a moved face (478, 3) from passing through each other, canonical frame, in place."""
    upper, lower = LIPS[UPPER], LIPS[LOWER][::-1]
    rest = portrait.face[upper, 1] - portrait.face[lower, 1]
    overlap = np.maximum(np.minimum(rest, 0) - (face[upper, 1] - face[lower, 1]), 0)
    face[upper, 1] += overlap / 2
    face[lower, 1] -= overlap / 2


class Mouth:
    """Draws the inside of the mouth of one portrait between its moved lips."""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait = portrait
        self._rest = portrait.place(portrait.face, np.eye(3), np.zeros(2), 1.0)[LIPS]
        self._eyes_px = portrait.eye_distance_px
        self._gap = _gap(self._rest)
        self._is_open = self._gap > OPEN_GAP * self._eyes_px
        self._triangles = np.asarray(Delaunay(self._rest[:, :2]).simplices, dtype=np.int64)
        self._cheek = portrait.cheek
        self._paleness = float(np.clip((COLOURED - _chroma(self._cheek)) / (COLOURED - GREY), 0, 1))

    @cached_property
    def _light_gain(self) -> Floats:
        """(3,) see `light_gain`; computed when a synthetic mouth is first drawn, since that takes a second."""
        return light_gain(self._portrait)

    def draw(self, picture: Image, face: Floats, target: Floats, frame: MotionFrame) -> None:
        """Draw the inside of the mouth into an image, in place.

        Args:
            picture: (H, W, 3) with the lips moved.
            face: (478, 3) moved, canonical frame.
            target: (478, 3) the same in image pixels.
            frame: frame of the motion, with the driver's mouth, if any.
        """
        lips = target[LIPS]
        box = Box.around(lips, self._portrait.size, 4)
        size = self._eyes_px * frame.scale
        widening = (_gap(lips) - self._gap * frame.scale) / size
        visible_share = float(np.clip((widening - SHOWN_FROM) / (SHOWN_WHOLE - SHOWN_FROM), 0, 1))
        if box.is_empty or not (visible_share or self._is_open):
            return
        mask = polygon_mask(lips[:, :2], box)
        if not mask.any():
            return
        if visible_share:
            if frame.mouth is not None:
                inner_mouth = self._drivers_mouth(frame.mouth, lips, box)
            else:
                inner_mouth = self._made_up(lips, box) * _shade(mask, lips)[..., None]
            laid_over(picture, inner_mouth, softened(mask, FEATHER * size) * np.float32(visible_share), box)
        if self._is_open:
            self._draw_own(picture, face, mask, frame, box, visible_share)

    def _draw_own(
        self, picture: Image, face: Floats, mask: Floats32, frame: MotionFrame, box: Box, shown: float
    ) -> None:
        """Draw what the portrait shows between its own lips: it stays with the head, and lips close over it."""
        rest_lips = self._portrait.face[LIPS]
        moved_lips = face[LIPS]
        own_lips = rest_lips.copy()
        own_lips[:, 0] += moved_lips[list(CORNERS), 0].mean() - rest_lips[list(CORNERS), 0].mean()
        own_lips[UPPER, 1] = np.maximum(own_lips[UPPER, 1], moved_lips[UPPER, 1])
        for corner in CORNERS:
            own_lips[corner] = moved_lips[corner]
        placed = self._portrait.place(own_lips, frame.rotation, frame.translation, frame.scale)
        displacement = np.column_stack([(self._rest - placed)[:, :2], np.ones(len(placed))])
        *shift, is_covered = way_in_box(placed, self._triangles, displacement, box)
        mask = mask * is_covered  # pixels beyond its edge would show what the portrait has there, lips or skin
        if shown:
            mouth_width = float(np.linalg.norm(rest_lips[CORNERS[0]] - rest_lips[CORNERS[1]]))
            own_lips[LOWER, 1] += INSET * mouth_width * shown
            placed = self._portrait.place(own_lips, frame.rotation, frame.translation, frame.scale)
            kept_area = softened(
                polygon_mask(placed[:, :2], box), 0.4 * INSET * mouth_width * self._portrait.pixels_per_cm
            )
            mask = mask * (1 + (kept_area - 1) * np.float32(shown))
        laid_over(picture, shifted(self._portrait.image, np.stack(shift), box), mask, box)

    def _drivers_mouth(self, mouth: MouthPicture, lips: Floats, box: Box) -> Floats32:
        """(h, w, 3) the driver's mouth between these lips."""
        colors = _placed_between(mouth, lips, box).astype(np.float32)
        return recolored(colors, mouth.cheek, self._cheek)

    def _made_up(self, lips: Floats, box: Box) -> Floats32:
        """(h, w, 3) the synthetic mouth with the same height over width, interpolated between two rendered ones."""
        shapes, mouths = made_up_mouths()
        position = float(np.interp(_slenderness(lips), shapes, np.arange(len(shapes))))
        first = min(int(position), len(mouths) - 2)
        share = np.float32(np.clip(position - first, 0, 1))
        image, next_image = (
            _placed_between(mouths[number], lips, box).astype(np.float32) for number in (first, first + 1)
        )
        colors = image + (next_image - image) * share
        return in_light(colors, self._light_gain, self._paleness, self._cheek)


def recolored(colors: Floats32, cheek: npt.ArrayLike, wanted: npt.ArrayLike) -> Floats32:
    """Colours (..., 3) as they would look on other skin: brightness and tint follow, and grey stays grey.

    Args:
        colors: colours of a mouth, 0 to 255.
        cheek: (3,) colour of the skin beside it.
        wanted: (3,) colour of the other skin.
    """
    source_skin, target_skin = (
        np.maximum(np.asarray(cheek, np.float64), 8),
        np.maximum(np.asarray(wanted, np.float64), 8),
    )
    brightness_ratio = float(target_skin.mean() / source_skin.mean())
    gain = np.clip(brightness_ratio * (target_skin / source_skin / brightness_ratio) ** TINT, *GAINS)
    paleness = 1 - min(1.0, _chroma(target_skin) / max(_chroma(source_skin), 1e-6))  # 1 where the portrait is grey
    return in_light(colors, gain, paleness, target_skin)


def in_light(colors: Floats32, gain: Floats, paleness: float, tint: npt.ArrayLike) -> Floats32:
    """Colours (..., 3), 0 to 255, times a gain (3,), and moved towards shades of one tint (3,) by the paleness."""
    lit = colors * gain.astype(np.float32)
    grey = lit.mean(axis=-1, keepdims=True)
    tint_color = np.maximum(np.asarray(tint, np.float64), 8)
    shades = grey * (tint_color / tint_color.mean()).astype(np.float32)
    return np.asarray(np.clip(lit + (shades - lit) * np.float32(paleness), 0, 255))


def light_gain(portrait: Portrait) -> Floats:
    """(3,) factor on synthetic teeth that lights them like the white of the eyes.

    Skin would not work: its brightness varies between people, while teeth are equally white.
    """
    least = max(WHITE_OVER_SKIN * float(portrait.cheek.mean()), 8.0)
    white = white_of_eyes(portrait)
    if white is None or white.mean() < least:
        white = np.full(3, least)
    light = white.mean() * (np.maximum(white, 8) / white.mean()) ** WHITE_TINT
    return np.asarray(np.clip(light * TEETH_OVER_WHITE / lit_teeth(), *LIGHT_GAINS))


@cache
def lit_teeth() -> Floats:
    """(3,) mean colour of lit teeth in the synthetic mouths, 0 to 255."""
    pixels = []
    for mouth in _rendered_mouths():
        box = Box.around(mouth.inner_lips.astype(np.float64), mouth.image.shape[:2])
        inside = polygon_mask(mouth.inner_lips.astype(np.float64), box) == 1
        pixels.append(mouth.image[box.cut][inside].astype(np.float64))
    brightness = np.concatenate(pixels).mean(axis=1)
    return np.asarray(np.concatenate(pixels)[brightness >= np.quantile(brightness, TEETH_SHARE)].mean(axis=0))


@cache
def made_up_mouths() -> tuple[Floats, tuple[MouthPicture, ...]]:
    """Height over width of the lips of synthetic mouths with teeth and tongue, ascending, and their images."""
    mouths = tuple(replace(mouth, image=_with_lit_teeth(mouth)) for mouth in _rendered_mouths())
    return np.array([_slenderness(mouth.inner_lips.astype(np.float64)) for mouth in mouths]), mouths


def _with_lit_teeth(mouth: MouthPicture) -> Image:
    """(H, W, 3) the image with evenly lit teeth, which the head model's lips shade, and darker tongue and throat."""
    box = Box.around(mouth.inner_lips.astype(np.float64), mouth.image.shape[:2])
    colors = mouth.image[box.cut].astype(np.float32)
    brightness = np.maximum(colors.mean(axis=2), 1)
    upper_chroma, lower_chroma = TEETH_CHROMA
    is_tooth = np.clip((upper_chroma - np.ptp(colors, axis=2) / brightness) / (upper_chroma - lower_chroma), 0, 1)
    lit = lit_teeth().astype(np.float32)
    light = np.minimum(brightness / lit.mean(), 1) ** TEETH_CONTRAST
    behind = DARK_BEHIND * colors
    mouth_colors = behind + (lit * light[..., None] - behind) * is_tooth[..., None].astype(np.float32)
    result = mouth.image.copy()
    laid_over(result, mouth_colors, polygon_mask(mouth.inner_lips.astype(np.float64), box), box)
    return result


def _rendered_mouths() -> tuple[MouthPicture, ...]:
    """Mouths of a synthetic person, one for each of JAWS; rendered once, also if several threads draw."""
    with RENDERING:
        return _newly_rendered_mouths()


@cache
def _newly_rendered_mouths() -> tuple[MouthPicture, ...]:
    model, size = head_model(), MADE_UP_SIDE
    camera = Camera(size, size, MADE_UP_VIEW_DEG)
    pose = pose_matrix(shift_cm=(0, 5.0, -38))
    white = np.ones(3)
    light = Light(direction=np.array([0.0, 0.25, 0.97]), key=0.75 * white, above=0.35 * white, below=0.3 * white)
    person = made_up_person(np.random.default_rng(MADE_UP_SEED))
    studio = Studio(person, light, np.zeros((size, size, 3), np.uint8), field_of_view_deg=MADE_UP_VIEW_DEG)
    names = face_model().directions
    mouths = []
    for jaw in JAWS:
        amounts = {'jawOpen': jaw, 'mouthUpperUpLeft': RAISED_LIP, 'mouthUpperUpRight': RAISED_LIP}
        expression = [amounts.get(name, 0.0) for name in names]
        image = studio.picture(expression, pose)
        points = model.landmarks(posed(model.vertices(person.identity, amounts), pose))
        placed = camera.project(points)
        lips = placed[LIPS, :2]
        mouths.append(MouthPicture(image, lips.astype(np.float32), cheek_color(image, placed).astype(np.float32)))
    return tuple(mouths)


def _placed_between(mouth: MouthPicture, lips: Floats, box: Box) -> Image:
    """(h, w, 3) an image of a mouth, its lips as close as possible to these (20, 2 or 3), and none within them."""
    targets = np.column_stack([lips[:, :2], np.ones(len(lips))])
    matrix = np.linalg.lstsq(targets, mouth.inner_lips.astype(np.float64), rcond=None)[0].T.astype(np.float32)  # (2, 3)
    image = _for_scale(mouth.image, float(np.linalg.norm(matrix[:, 0])))
    x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5)
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + np.float32(0.5))[:, None]
    columns, rows = (row[0] * x + row[1] * y + row[2] for row in matrix)
    inwards = _inwards(_opening(mouth), targets @ matrix.T)
    if inwards.any():
        fan = np.zeros((1 + len(lips), 3))
        fan[:, :2] = middle = lips[:, :2].mean(axis=0)
        fan[1:, :2] += BEYOND_EDGE * (lips[:, :2] - middle)
        right, down = way_in_box(fan, FAN, np.concatenate([np.zeros((1, 2)), BEYOND_EDGE * inwards]), box)
        columns, rows = columns + right, rows + down
    return sample(image, columns, rows)


def _opening(mouth: MouthPicture) -> Floats:
    """(20, 2) edge of the opening in an image; the landmarks of a round mouth lie on its lips, outside of it."""
    edge = mouth.inner_lips.astype(np.float64)
    roundness = float(np.clip((_slenderness(edge) - ROUND[0]) / (ROUND[1] - ROUND[0]), 0, 1))
    if not roundness:
        return edge
    middle = edge.mean(axis=0)
    along = middle + np.concatenate([ON_LIPS, WITHIN])[:, None, None] * (edge - middle)  # (S, 20, 2)
    column, row = np.clip(np.floor(along).astype(int), 0, np.array(mouth.image.shape[1::-1]) - 1).transpose(2, 0, 1)
    colors = mouth.image[row, column].astype(np.float64)
    lip = colors[: len(ON_LIPS)].mean(axis=0)  # (20, 3)
    is_other = np.abs(colors[len(ON_LIPS) :] - lip).mean(axis=2) > UNLIKE_LIP * np.maximum(lip.mean(axis=1), 1)
    share = np.where(is_other.any(axis=0), WITHIN[is_other.argmax(axis=0)], 1)
    share = np.median([np.roll(share, by) for by in (-2, -1, 0, 1, 2)], axis=0)  # the ring has no end
    return np.asarray(middle + (1 + (share - 1) * roundness)[:, None] * (edge - middle))


def _inwards(edge: Floats, placed: Floats) -> Floats:
    """(20, 2) displacement of each placed point of the lips' edge into the opening of an image of a mouth; 0 within it.

    The opening may have another shape, and beyond its edge the image shows lips.

    Args:
        edge: (20, 2) edge of the opening.
        placed: (20, 2) where an affine map places the edge of the lips.
    """
    middle = edge.mean(axis=0)
    outwards = edge - middle
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
    beyond = ((placed - edge) * outwards).sum(axis=1) - LIPS_SHOWN * float(np.ptp(edge, axis=0).max())
    return np.asarray(-np.maximum(beyond, 0)[:, None] * outwards)


def _for_scale(image: Image, scale: float) -> Image:
    """(H, W, 3) the image blurred so that reading every `scale`-th pixel does not alias."""
    width = SMOOTHED_STEP * float(np.sqrt(max(scale, 1.0) ** 2 - 1))
    if width < LEAST_SMOOTHED:
        return image
    return np.asarray(PillowImage.fromarray(image).filter(ImageFilter.GaussianBlur(width)))


def _shade(mask: Floats32, lips: Floats) -> Floats32:
    """(h, w) light that reaches into a mouth between lips: less at their edge."""
    mouth_width = float(np.linalg.norm(lips[CORNERS[0], :2] - lips[CORNERS[1], :2]))
    inner = np.clip(2 * softened(mask, SHADE_WIDE * mouth_width) - 0.6, 0, 1)
    return np.asarray(SHADE_LEAST + (1 - SHADE_LEAST) * inner, dtype=np.float32)


def _gap(lips: Floats) -> float:
    """Distance between the middles of the inner lips, in pixels."""
    return float(np.linalg.norm(lips[5, :2] - lips[15, :2]))


def _slenderness(lips: Floats) -> float:
    """Height over width of the opening."""
    return _gap(lips) / max(float(np.linalg.norm(lips[CORNERS[0], :2] - lips[CORNERS[1], :2])), 1e-6)


def _chroma(color: Floats) -> float:
    """Distance of a colour from grey, over its brightness."""
    return float(np.ptp(color) / max(color.mean(), 1e-6))
