"""Face alignment: crops with eyes, nose and mouth where a network expects them.

The input is an image and five points of a face, the output a small crop, grey or in colour. Coordinates are continuous
pixels: pixel (0, 0) covers [0, 1) x [0, 1).

Source: Umeyama 1991, doi:10.1109/34.88573 (the closed form); ITU-R BT.601 (grey from RGB).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError

FACE_SIDE = 48
"""Width and height of the crops that the expression network reads, pixels."""

LARGEST_SPAN = 16384
"""Maximum width and height, in image pixels, of the area that one crop shows."""

FER_TEMPLATE = np.array(
    [[15.7, 18.8], [32.3, 18.8], [24.0, 29.2], [17.1, 36.4], [30.9, 36.4]],
    dtype=np.float32,
)
"""(5, 2) positions of the points of `five_points` in a crop of 48 x 48 (x, y; pixels): means over the FER2013 training
faces that the landmarker detected, left and right averaged (recipes/face_expression/train.py)."""


def five_points(landmarks: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Left and right eye centre, nose tip, left and right mouth corner; left and right as in the image.

    An eye's centre is the midpoint of its corners, so that gaze and blinks do not move it.

    Args:
        landmarks: (478, 2 or 3) in pixels.

    Returns:
        (5, 2) x, y in the same pixels.

    Raises:
        ShapeError: not 478 landmarks.
    """
    points = np.asarray(landmarks, dtype=np.float32)
    if points.ndim != 2 or points.shape[0] != 478 or points.shape[1] not in (2, 3):
        raise ShapeError(expected='landmarks of shape (478, 3)', came=f'{points.shape}', todo='pass one face at a time')
    corners = points[[33, 133, 362, 263], :2]
    eyes = [(corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2]
    return np.stack([*eyes, points[1, :2], points[61, :2], points[291, :2]]).astype(np.float32)


def similarity_2d(source: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """The (2, 3) matrix of rotation, scale and translation that maps `source` closest to `target`.

        minimises sum_i |s R x_i + t - y_i|^2 over s > 0, det R = 1

    Args:
        source: (N, 2) points, N >= 2, not all the same.
        target: (N, 2) points.

    Raises:
        ShapeError: not two (N, 2) arrays with N >= 2.
        ValueRangeError: the source points coincide, or a number is not finite.

    Source: Umeyama 1991, equations 40-42; in the plane the rotation follows from one angle.
    """
    sources, targets = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if sources.ndim != 2 or sources.shape[1:] != (2,) or sources.shape != targets.shape or len(sources) < 2:
        raise ShapeError(
            expected='two arrays (N, 2) with N >= 2',
            came=f'{sources.shape} and {targets.shape}',
            todo='give one target per point',
        )
    source_mean, target_mean = np.add.reduce(sources) / len(sources), np.add.reduce(targets) / len(targets)
    centred_source, centred_target = sources - source_mean, targets - target_mean
    spread = float(np.add.reduce(centred_source**2, axis=None))
    if not (spread > 0 and np.isfinite(spread) and np.isfinite(centred_target).all()):
        raise ValueRangeError(
            expected='finite points that do not coincide', came=f'{sources.tolist()}', todo='drop this face'
        )
    # s cos and s sin of the best rotation, from the parallel and the perpendicular moments
    along = float(np.add.reduce(centred_source * centred_target, axis=None)) / spread
    across = (
        float(np.add.reduce(centred_source[:, 0] * centred_target[:, 1] - centred_source[:, 1] * centred_target[:, 0]))
        / spread
    )
    result = np.array([[along, -across, 0.0], [across, along, 0.0]])
    result[:, 2] = target_mean - result[:, :2] @ source_mean
    return result


def align_face(
    image: npt.NDArray[np.uint8],
    points: npt.ArrayLike,
    size: int = FACE_SIDE,
    template: npt.ArrayLike = FER_TEMPLATE,
    *,
    in_colour: bool = False,
) -> npt.NDArray[np.uint8]:
    """A crop of the face aligned to the template, area-averaged when shrinking.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, uint8.
        points: (5, 2) in pixels of `image`, ordered as `five_points` gives them.
        size: side of the crop, pixels, >= 1.
        template: (5, 2) in pixels of a 48 x 48 crop; scaled to `size`.
        in_colour: whether the crop is RGB, for an RGB image; grey otherwise.

    Returns:
        (size, size) uint8, or (size, size, 3) in colour; the edge of the image is repeated beyond it.

    Raises:
        ShapeError: the image is neither (H, W, 3) nor (H, W) uint8, or points and template are not (5, 2).
        ValueRangeError: the points coincide, are not finite, or span more than LARGEST_SPAN.
    """
    # 1. The map from the image to the crop, and back.
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ShapeError(
            expected='a uint8 image (H, W, 3) or (H, W)',
            came=f'{image.dtype} {image.shape}',
            todo='convert the image first',
        )
    target = np.asarray(template, dtype=np.float64) * (size / FACE_SIDE)
    forward = similarity_2d(points, target)
    inverse = np.linalg.inv(forward[:, :2])
    offset = -inverse @ forward[:, 2]

    # 2. The part of the image that the crop covers.
    corners = _corners(size) @ inverse.T + offset
    lowest, highest = np.minimum.reduce(corners) - 2, np.maximum.reduce(corners) + 3
    patch, origin = _patch(image, lowest, highest, 'RGB' if in_colour else 'L')

    # 3. Shrink by an integer factor, then sample at double density and average 2 x 2.
    spacing = float(np.hypot(inverse[0, 0], inverse[1, 0]))
    dense = 2 if spacing > 1 else 1
    shrink = max(1, int(spacing / dense))
    shrunk = patch.reduce(shrink) if shrink > 1 else patch
    rotation = inverse / (dense * shrink)
    translation = (offset - origin) / shrink
    matrix = (rotation[0, 0], rotation[0, 1], translation[0], rotation[1, 0], rotation[1, 1], translation[1])
    side = (size * dense, size * dense)
    crop = shrunk.transform(side, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(crop.reduce(dense) if dense > 1 else crop)


@lru_cache(maxsize=8)
def _corners(size: int) -> Floats:
    """(4, 2) corners of a crop."""
    return np.array([[0, 0], [size, 0], [0, size], [size, size]], dtype=np.float64)


def _patch(image: npt.NDArray[np.uint8], lowest: Floats, highest: Floats, mode: str) -> tuple[Image.Image, Floats]:
    """The rectangle of an image between two corners (x, y), with the image's edge repeated, and its origin."""
    edges = [*lowest.tolist(), *highest.tolist()]
    if max(edges[2] - edges[0], edges[3] - edges[1]) > LARGEST_SPAN or max(map(abs, edges)) > 1e6:
        raise ValueRangeError(
            expected=f'a face in or near the image, with a crop of at most {LARGEST_SPAN} pixels',
            came=f'a crop from {lowest.round().tolist()} to {highest.round().tolist()}',
            todo='drop this face',
        )
    left, top = math.floor(edges[0]), math.floor(edges[1])
    right, bottom = math.ceil(edges[2]), math.ceil(edges[3])
    part = rectangle(image, left, top, right, bottom)
    return Image.fromarray(part).convert(mode), np.array([left, top], dtype=np.float64)


def rectangle(image: npt.NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> npt.NDArray[np.uint8]:
    """The pixels [top, bottom) x [left, right) of an image; its edge is repeated beyond it."""
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    inside = image[min(max(top, 0), height - 1) : max(bottom, 1), min(max(left, 0), width - 1) : max(right, 1)]
    result = np.empty((bottom - top, right - left, *image.shape[2:]), dtype=np.uint8)
    # the part inside the image, then its outermost columns and rows repeated outward:
    #   . . . .      . . . .      a a b b
    #   . a b .  ->  a a b b  ->  a a b b
    #   . c d .      c c d d      c c d d
    rows_above, columns_before = min(max(-top, 0), bottom - top - 1), min(max(-left, 0), right - left - 1)
    rows_end, columns_end = rows_above + inside.shape[0], columns_before + inside.shape[1]
    result[rows_above:rows_end, columns_before:columns_end] = inside[
        : bottom - top - rows_above, : right - left - columns_before
    ]
    result[rows_above:rows_end, :columns_before] = result[rows_above:rows_end, columns_before : columns_before + 1]
    result[rows_above:rows_end, columns_end:] = result[rows_above:rows_end, columns_end - 1 : columns_end]
    result[:rows_above] = result[rows_above]
    result[rows_end:] = result[rows_end - 1]
    return result
