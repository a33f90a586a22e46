"""Backward warping: from each pixel of the new image through the moved mesh to the portrait.

For each pixel the map gives the position in the portrait that it shows. The nearest triangle decides, exactly,
at full resolution within the face; around it at a quarter of the resolution, which is not visible and costs a
sixteenth. The map stores displacements: without motion they are 0, and the portrait is returned unchanged.

V points of the mesh, F triangles, H and W of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter

from affekt.arrays import Bools, Floats, Floats32, Ints
from affekt.face3d import drawn_attribute, point_normals
from affekt.reenactment.head import OUTLINE
from affekt.reenactment.motion import POINTS
from affekt.reenactment.portrait import CHEEKS, Portrait, cheek_color
from affekt.reenactment.sampling import enlarged, sample

Image = npt.NDArray[np.uint8]
COARSE = 4
"""Pixels of the image per pixel of the coarse map around the face."""
MARGIN = 4
"""Pixels around the face that are drawn at full resolution."""
EDGE_ON, FULL_TURN = (0.5, 0.05), 0.15
"""Cosines at the rim of the face: skin begins to be edge-on below the first, and is below the second; where it
turns towards the viewer by FULL_TURN, its pixels come from within the face."""
INSET = 0.07
"""Distance from the rim, as a share of that to the middle of the face, from which these pixels come."""
RIM_STEPS = 3
"""Landmarks that are at most so many triangles from the outline can be edge-on where the head is turned."""
MIDDLE = 4
"""Landmark at the tip of the nose."""
SPREAD = (0.5, 0.25)
"""Portrait pixels per drawn pixel: below the first, skin begins
to be stretched so far that its grain becomes streaks; below the second, it is fully smoothed."""
SMOOTHED_CM = 0.12
"""Standard deviation of the blur of stretched skin, and of the edge of the blurred area."""
BLUR_MARGIN = 4
"""Pixels that Pillow's blur reaches at most beyond three standard deviations."""
GRAIN_CM, GRAIN_SHARES = 0.8, (0.03, 0.97)
"""Half the side of the cheek square that provides grain, and quantiles that exclude moles."""
GRAIN_SIDE = 256
"""Side of the tile of grain, in pixels."""
OUTLINED = ((2, 4), (4, 8))
"""Local contrast of an image from which it is no longer skin, and from which it is hair or a line: factor on that of
the cheeks, and levels to add."""
STEP_PX = 1.5
"""Neighbouring pixels whose sources are further apart than this have an edge between them."""
OVERSAMPLING = 4
"""Resolution of the masks of eyes and mouth relative to the image, for soft edges."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top to bottom - 1, columns left to right - 1."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: Floats, size: tuple[int, int], margin: int = 0) -> Box:
        """The box of points (N, 2) with a margin, clipped to an image of height and width `size`."""
        low, high = np.floor(points[:, :2].min(axis=0)) - margin, np.ceil(points[:, :2].max(axis=0)) + margin
        return cls(
            int(np.clip(low[0], 0, size[1])), int(np.clip(low[1], 0, size[0])),
            int(np.clip(high[0], 0, size[1])), int(np.clip(high[1], 0, size[0])),
        )  # fmt: skip

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def is_empty(self) -> bool:
        """Whether the box has no pixel."""
        return self.height <= 0 or self.width <= 0

    def cut_to(self, other: Box) -> Box:
        """The intersection of both boxes."""
        return Box(
            max(self.left, other.left), max(self.top, other.top),
            min(self.right, other.right), min(self.bottom, other.bottom),
        )  # fmt: skip

    def grown(self, margin: int) -> Box:
        """This box with a margin on all sides."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    @property
    def cut(self) -> tuple[slice, slice]:
        """Rows and columns as an index of an image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Box) -> Box:
        """This box relative to the corner of another."""
        return Box(self.left - outer.left, self.top - outer.top, self.right - outer.left, self.bottom - outer.top)


class Warp:
    """Draws one portrait with its mesh moved."""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait, self._rest = portrait, portrait.rest
        self._triangles = portrait.triangles
        self._box = _moving_box(portrait, self._rest)
        near = portrait.around.first_ring
        self._exact = np.r_[:POINTS, len(portrait.face) : len(portrait.face) + near]
        self._is_face = (self._triangles < POINTS).all(axis=1)
        skin = self._triangles[self._is_face]
        self._rim = _rim(skin)
        self._faced = _facing(self._rest[:POINTS], skin)[self._rim]
        self._edge_on = np.clip((EDGE_ON[0] - self._faced) / (EDGE_ON[0] - EDGE_ON[1]), 0, 1)
        self._orientations = _orientations(self._rest, self._triangles)
        blur = ImageFilter.GaussianBlur(SMOOTHED_CM * portrait.pixels_per_cm)
        smooth = np.asarray(PillowImage.fromarray(portrait.image).filter(blur))
        self._grain = _grain(portrait, smooth)
        self._smooth = _with_outlines(portrait, smooth, blur)

    def picture(self, target: Floats) -> Image:
        """(H, W, 3) the portrait with its mesh at `target` (V, 3)."""
        portrait, box = self._portrait, self._box
        uncovered = self._uncovered(target)
        shift, uneven = self._shift(target, uncovered)
        _hold_border(shift, box, portrait.size)
        result = portrait.image.copy()
        drawn = shifted(portrait.image, shift, box)
        self._smooth_spread(drawn, shift, target, uncovered)
        _soften_edges(drawn[uneven.cut], shift[:, *uneven.cut])
        result[box.cut] = drawn
        return result

    def _source(self, uncovered: Floats) -> Floats:
        """(V, 3) positions in the portrait from which the points take their pixels.

        A part of the outline that the portrait shows edge-on has hardly any pixels, next to
        background. Where it turns into view, pixels from further within the face replace it.
        """
        rim = self._rim
        source = self._rest.copy()
        source[rim] += (INSET * uncovered)[:, None] * (self._rest[MIDDLE] - self._rest[rim])
        return source

    def _uncovered(self, target: Floats) -> Floats:
        """(R,) how far each point of the rim, as far as it is edge-on in the portrait, turns to the viewer, 0 to 1."""
        facing = _facing(target[:POINTS], self._triangles[self._is_face])[self._rim]
        return np.asarray(np.clip((facing - self._faced) / FULL_TURN, 0, 1) * self._edge_on)

    def _smooth_spread(self, picture: Image, shift: Floats32, target: Floats, uncovered: Floats) -> None:
        """Give skin that a turn of the head spreads over many pixels the grain of the near cheek, in place."""
        turned = self._rim[uncovered > 0]
        if not len(turned):
            return
        near = Box.around(target[turned], self._portrait.size).cut_to(self._box)
        if near.height < 2 or near.width < 2:
            return
        spread = _spread(shift[:, *near.within(self._box).cut])
        stretched = _box_of(spread, near)
        if stretched is None:
            return
        width = SMOOTHED_CM * self._portrait.pixels_per_cm
        near, outer = stretched.grown(3 * math.ceil(width) + BLUR_MARGIN).cut_to(near), near
        spread = softened(spread[near.within(outer).cut], width) * polygon_mask(target[list(OUTLINE), :2], near)
        area = _box_of(spread, near)
        if area is None:
            return
        layer = shifted(self._smooth, shift[:, *area.within(self._box).cut], area)
        left, top = np.rint(target[MIDDLE, :2]).astype(int)  # the grain moves with the face
        rows, columns = np.ogrid[area.top - top : area.bottom - top, area.left - left : area.right - left]
        grain = self._grain[rows % len(self._grain), columns % len(self._grain)]
        laid_over(picture, np.clip(layer + grain, 0, 255), spread[area.within(near).cut], area.within(self._box))

    def _shift(self, target: Floats, uncovered: Floats) -> tuple[Floats32, Box]:
        """(2, h, w) displacement from each pixel of the moving box to its source in the portrait, x then y; and a box
        outside of which no step between neighbours is larger than STEP_PX."""
        box = self._box
        displacement = (self._source(uncovered) - target)[:, :2]
        # Around the face, a flipped triangle shows its back; one that is not flipped covers its position.
        keep_mask = (_orientations(target, self._triangles) == self._orientations) | self._is_face
        triangles = self._triangles[keep_mask]

        # 1. The surroundings of the face at a quarter of the resolution.
        near = Box.around(target[self._exact], self._portrait.size, MARGIN).cut_to(box)
        cells = -(-box.height // COARSE), -(-box.width // COARSE)
        coarse_target = target.copy()
        coarse_target[:, :2] = (target[:, :2] - [box.left, box.top]) / COARSE
        around = triangles[~_within(target, near, 2 * COARSE)[triangles].all(axis=1)]
        coarse = _continued(drawn_attribute(coarse_target, around, displacement, cells))
        shift = _enlarged(coarse, (box.height, box.width))

        # 2. The face at full resolution.
        if not near.is_empty:
            shift[:, *near.within(box).cut] = way_in_box(target, triangles, displacement, near)
        whole_box, inner = Box(0, 0, box.width, box.height), near.within(box)
        return shift, whole_box if near.is_empty or not _is_even(coarse, inner) else inner.grown(2).cut_to(whole_box)


def way_in_box(target: Floats, triangles: Ints, way: Floats, box: Box) -> Floats32:
    """(2, h, w) the displacement of each point interpolated at the pixels of a box, with the mesh at `target`; 0
    outside the mesh."""
    moved = target.copy()
    moved[:, :2] -= [box.left, box.top]
    return drawn_attribute(moved, triangles, way, (box.height, box.width))


def shifted(image: Image, shift: Floats32, box: Box) -> Image:
    """(h, w, 3) the pixels of a box, each from the position `shift` (2, h, w) away."""
    x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5) + shift[0]
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + np.float32(0.5))[:, None] + shift[1]
    return sample(image, x, y)


def polygon_mask(corners: Floats, box: Box) -> Floats32:
    """(h, w) share of each pixel of a box within a polygon (K, 2), 0 to 1."""
    canvas = PillowImage.new('L', (box.width * OVERSAMPLING, box.height * OVERSAMPLING))
    scaled_corners = (corners - [box.left, box.top]) * OVERSAMPLING - 0.5
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in scaled_corners.tolist()], fill=255)
    return np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32) / np.float32(255)


def laid_over(picture: Image, layer: Image | Floats32, mask: Floats32, box: Box) -> None:
    """Blend a layer (h, w, 3) into a box of an image, in place."""
    background = picture[box.cut]
    share = mask[..., None]
    background[:] = np.rint(background + (layer - background.astype(np.float32)) * share).astype(np.uint8)


def _facing(points: Floats, triangles: Ints) -> Floats:
    """(468,) how far the skin at each landmark faces the viewer: 1 straight, 0 edge-on, below 0 away."""
    return np.asarray(point_normals(points * [1, -1, -1], triangles)[:, 2])


def _rim(triangles: Ints) -> Ints:
    """Landmarks at most RIM_STEPS triangles from the outline of the face."""
    rim = np.asarray(OUTLINE)
    for _ in range(RIM_STEPS):
        rim = np.unique(triangles[np.isin(triangles, rim).any(axis=1)])
    return rim


def _orientations(points: Floats, triangles: Ints) -> Floats:
    """(F,) orientation of each triangle: 1 clockwise in the image, -1 counter-clockwise, 0 without area."""
    first, second, third = (points[triangles[:, corner], :2] for corner in range(3))
    first_side, second_side = second - first, third - first
    return np.asarray(np.sign(first_side[:, 0] * second_side[:, 1] - first_side[:, 1] * second_side[:, 0]))


def _grain(portrait: Portrait, smooth: Image) -> Floats32:
    """(S, S, 1) grain like that of the cheek that shows more of itself, by noise of the same spectrum; it repeats."""
    cheeks = portrait.landmarks[list(CHEEKS), :2]
    cheek = cheeks[int(np.argmax(np.linalg.norm(cheeks - portrait.landmarks[MIDDLE, :2], axis=1)))]
    box = Box.around(cheek + np.outer([-1, 1], [GRAIN_CM * portrait.pixels_per_cm] * 2), portrait.size)
    if box.is_empty:
        return np.zeros((1, 1, 1), np.float32)
    detail = (portrait.image[box.cut].astype(np.float64) - smooth[box.cut]).mean(axis=2)
    detail = np.clip(detail, *np.quantile(detail, GRAIN_SHARES))
    size = GRAIN_SIDE, GRAIN_SIDE
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal(size))
    texture = np.fft.irfft2(np.abs(np.fft.rfft2(detail - detail.mean(), size)) * noise, size)
    return np.asarray(detail.std() / max(float(texture.std()), 1e-9) * texture, dtype=np.float32)[..., None]


def _with_outlines(portrait: Portrait, smooth: Image, blur: ImageFilter.GaussianBlur) -> Image:
    """(H, W, 3) smoothed skin; hair and lines, which would become stains, as they are."""
    difference = portrait.image.astype(np.float32) - smooth
    contrast = np.asarray(PillowImage.fromarray(np.abs(difference).astype(np.uint8)).filter(blur))
    usual = float(cheek_color(contrast, portrait.landmarks).mean())
    least, most = (factor * usual + levels for factor, levels in OUTLINED)
    kept = np.clip((contrast.mean(axis=2, dtype=np.float32) - least) / (most - least), 0, 1)
    return np.asarray(np.rint(smooth + difference * kept[..., None]).astype(np.uint8))


def softened(mask: Floats32, width: float) -> Floats32:
    """(h, w) a mask, 0 to 1, blurred by a standard deviation in pixels."""
    image = PillowImage.fromarray(np.rint(mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(max(0.6, width))), dtype=np.float32) / np.float32(255)


def _spread(shift: Floats32) -> Floats32:
    """(h, w) 1 where neighbouring pixels come from almost one position of the portrait, 0 from a pixel apart."""
    least, most = SPREAD
    by_column, by_row = np.gradient(shift, axis=2), np.gradient(shift, axis=1)
    by_column[0] += 1
    by_row[1] += 1
    step = np.sqrt(np.minimum(*(np.square(plane, out=plane).sum(axis=0) for plane in (by_column, by_row))))
    return np.asarray(np.clip((least - step) / (least - most), 0, 1), dtype=np.float32)


def _soften_edges(picture: Image, shift: Floats32) -> None:
    """Blend across edges where one part of the mesh lies over another, which would be stairs, in place."""
    edges = np.zeros(shift.shape[1:], dtype=bool)
    for plane in shift:
        for before, after, near, far in (
            (plane[:-1], plane[1:], edges[:-1], edges[1:]), (plane[:, :-1], plane[:, 1:], edges[:, :-1], edges[:, 1:]),
        ):  # fmt: skip
            step = after - before
            steep = np.abs(step, out=step) > STEP_PX
            near |= steep
            far |= steep
    edges[[0, -1]] = edges[:, [0, -1]] = False
    rows, columns = np.nonzero(edges)
    if not len(rows):
        return
    total = 2 * picture[rows, columns].astype(np.float32)
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        total += picture[rows + down, columns + across]
    picture[rows, columns] = np.rint(total / 6).astype(np.uint8)


def _moving_box(portrait: Portrait, rest: Floats) -> Box:
    """The box of all triangles with a corner that moves."""
    moves = np.ones(len(rest), dtype=bool)
    first = len(portrait.face)
    moves[first : first + len(portrait.around.following)] = portrait.around.following > 0
    moves[first + len(portrait.around.following) :] = False
    touched = np.unique(portrait.triangles[moves[portrait.triangles].any(axis=1)])
    return Box.around(rest[touched], portrait.size)


def _within(points: Floats, box: Box, margin: float) -> Bools:
    """(N,) whether points lie within a box, and farther than the margin from its edge."""
    low, high = np.array([box.left, box.top]) + margin, np.array([box.right, box.bottom]) - margin
    return np.asarray(((points[:, :2] > low) & (points[:, :2] < high)).all(axis=1))


def _box_of(values: Floats32, box: Box) -> Box | None:
    """The smallest part of a box with all nonzero values (h, w); None if all are 0."""
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    if not len(rows):
        return None
    return Box(
        box.left + int(columns[0]), box.top + int(rows[0]), box.left + int(columns[-1]) + 1, box.top + int(rows[-1]) + 1
    )


def _continued(planes: Floats32) -> Floats32:
    """(C, H + 2, W + 2) planes padded by their edge values with the opposite sign, so that the edge itself is 0."""
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode='edge')
    padded[:, [0, -1]] *= -1
    padded[:, :, [0, -1]] *= -1
    return padded


def _is_even(continued: Floats32, inner: Box) -> bool:
    """Whether planes, once enlarged, have no step above STEP_PX outside a box of the enlarged ones.

    A step there is a quarter of one here. Where the border is held at 0, it is three eighths: both sides of the edge
    have the same value with opposite signs.
    """
    top, left = (-(-side // COARSE) + 2 for side in (inner.top, inner.left))
    bottom, right = (side // COARSE for side in (inner.bottom, inner.right))
    for axis in (1, 2):
        steps = np.abs(np.diff(continued, axis=axis))
        steps[:, top:bottom, left:right] = 0
        if steps.max() > STEP_PX * 8 / 3:
            return False
    return True


def _enlarged(continued: Floats32, size: tuple[int, int]) -> Floats32:
    """(C, H, W) planes at COARSE times their size, without the margin that `_continued` added."""
    height, width = size
    result = np.empty((len(continued), height, width), dtype=np.float32)
    for plane, padded in zip(result, continued, strict=True):
        plane[:] = enlarged(padded, COARSE)[COARSE : COARSE + height, COARSE : COARSE + width]
    return result


def _hold_border(shift: Floats32, box: Box, size: tuple[int, int]) -> None:
    """Set the displacement of the outermost pixels of the image to 0, in place."""
    if box.top == 0:
        shift[:, 0] = 0
    if box.left == 0:
        shift[:, :, 0] = 0
    if box.bottom == size[0]:
        shift[:, -1] = 0
    if box.right == size[1]:
        shift[:, :, -1] = 0
