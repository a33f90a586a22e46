"""Exact rasterisation of triangles: the triangle at each pixel, the position on it, and its depth.

A pixel belongs to a triangle if its centre lies inside or on an edge; of several triangles the nearest wins, and of
equally near ones the first in the list. Points are first snapped to the nearest 1/256 of a pixel, as graphics
processors do, so that coverage is decided in integers and neighbours leave no gap. Depths are compared in steps of
2**-30 of the mesh's depth range.

In images x points right and y down; pixel (0, 0) covers [0, 1) x [0, 1). Depth grows away from the viewer. V points, F
triangles, H and W the image, C channels of an attribute.

Source: the edge functions are those of Pineda 1988, doi:10.1145/54852.378457.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats, Floats32, Ints
from affekt.errors import ShapeError, ValueRangeError

STEPS = 256
"""Positions of a point within a pixel, per axis."""
FARTHEST = 1 << 15
"""Largest coordinate of a point, pixels: beyond it the integers would overflow."""
DEPTH_STEPS = 1 << 30
"""Number of distinguishable depths."""


@dataclass(frozen=True)
class Raster:
    """The triangle at each pixel of an (H, W) image.

    Attributes:
        face: (H, W) index of the triangle, -1 where there is none.
        barycentric: (H, W, 3) weights of its three corners, which sum to 1; 0 where there is no face.
        depth: (H, W) depth; inf where there is no face.
    """

    face: npt.NDArray[np.int32]
    barycentric: Floats32
    depth: Floats32

    @property
    def covered(self) -> Bools:
        """(H, W) where there is a face."""
        return np.asarray(self.face >= 0)

    def __repr__(self) -> str:
        height, width = self.face.shape
        return f'Raster({height} x {width}, {self.covered.mean():.0%} covered)'


def rasterize(
    points: npt.ArrayLike, triangles: npt.ArrayLike, size: tuple[int, int], *, front_only: bool = False
) -> Raster:
    """The nearest triangle at every pixel centre.

    Args:
        points: (V, 3) x and y in pixels, depth in any unit.
        triangles: (F, 3) indices of points in [0, V).
        size: height and width of the image.
        front_only: omit triangles whose corners turn clockwise in the image: those at the back of a closed surface
            whose corners turn anticlockwise seen from outside.

    Returns:
        The raster; a triangle without area covers nothing.

    Raises:
        ShapeError: a shape differs from the above.
        ValueRangeError: a point is not finite or farther than 32,768 pixels from the corner of the image, or a
            triangle names a point that does not exist.
    """
    positions, corners = _checked(points, triangles)
    coverage = _coverage(positions, corners, size, front_only)
    face = np.full(size[0] * size[1], -1, dtype=np.int32)
    face_of_pixel = np.repeat(coverage.face.astype(np.int32), coverage.length)
    face[coverage.pixel] = face_of_pixel
    face[coverage.pixel[coverage.nearest]] = face_of_pixel[coverage.nearest]
    return _raster(face, corners, coverage, positions[:, 2], size)


def drawn_attribute(
    points: npt.ArrayLike, triangles: npt.ArrayLike, attribute: npt.ArrayLike, size: tuple[int, int]
) -> Floats32:
    """`interpolate(rasterize(points, triangles, size), triangles, attribute)`, channels first and faster.

    A triangle's values are linear along each row of pixels, so neither weights nor depths are computed for
    pixels that only one triangle covers.

    Args:
        points: (V, 3) x and y in pixels, depth in any unit.
        triangles: (F, 3) indices of points in [0, V).
        attribute: (V, C) values at each point.
        size: height and width of the image.

    Returns:
        (C, H, W) values of the nearest triangle at every pixel centre; 0 where there is none.

    Raises:
        ShapeError: a shape differs from `rasterize`'s.
        ValueRangeError: see `rasterize`.
    """
    positions, corners = _checked(points, triangles)
    values = np.asarray(attribute, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(positions):
        raise ShapeError(
            expected=f'values ({len(positions)}, C)', came=f'{values.shape}', todo='give a row for each point'
        )
    coverage = _coverage(positions, corners, size, front_only=False)
    planes = np.zeros((values.shape[1], size[0] * size[1]), dtype=np.float32)
    within = coverage.within.astype(np.float32)
    nearest, shared_pixels = coverage.nearest, coverage.pixel[coverage.nearest]
    for plane, channel in zip(planes, values.T, strict=True):
        at_first, along = coverage.lines(channel[corners])
        values_in_rows = np.repeat(along.astype(np.float32), coverage.length)
        values_in_rows *= within
        values_in_rows += np.repeat(at_first.astype(np.float32), coverage.length)
        plane[coverage.pixel] = values_in_rows
        plane[shared_pixels] = values_in_rows[nearest]
    return planes.reshape(-1, *size)


def interpolate(raster: Raster, triangles: npt.ArrayLike, attribute: npt.ArrayLike, empty: float = 0.0) -> Floats32:
    """An attribute of the points at every pixel.

    Args:
        raster: the triangle at each pixel.
        triangles: (F, 3) the triangles that were rasterized.
        attribute: (V,) or (V, C) values at each point.
        empty: value where there is no face.

    Returns:
        (H, W) or (H, W, C).
    """
    values = np.asarray(attribute, dtype=np.float32)
    flat = values.reshape(len(values), -1)
    pixels = np.flatnonzero(raster.face.ravel() >= 0)
    corners = np.asarray(triangles).astype(np.int32)[raster.face.ravel()[pixels]].T.copy()  # (3, P)
    weights = raster.barycentric.reshape(-1, 3)[pixels].T.copy()
    image = np.full((raster.face.size, flat.shape[1]), empty, dtype=np.float32)
    for channel, column in enumerate(flat.T.copy()):  # one at a time, as rows of three are slow to gather
        interpolated = column[corners[0]] * weights[0]
        interpolated += column[corners[1]] * weights[1]
        interpolated += column[corners[2]] * weights[2]
        image[pixels, channel] = interpolated
    return image.reshape(raster.face.shape + values.shape[1:])


def _checked(points: npt.ArrayLike, triangles: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Points and triangles as arrays, after a check of shapes and ranges."""
    positions, corners = np.asarray(points, dtype=np.float64), np.asarray(triangles)
    if positions.ndim != 2 or positions.shape[1] != 3 or corners.ndim != 2 or corners.shape[1] != 3:
        raise ShapeError(
            expected='points (V, 3) and triangles (F, 3)', came=f'{positions.shape} and {corners.shape}',
            todo='give x, y and depth of each point and three point numbers of each triangle',
        )  # fmt: skip
    if not (np.isfinite(positions).all() and (np.abs(positions[:, :2]) <= FARTHEST).all()):
        raise ValueRangeError(
            expected=f'finite points within {FARTHEST:,} pixels', came='a point that is not',
            todo='leave out points behind the camera or far outside the image',
        )  # fmt: skip
    if corners.size and (corners.min() < 0 or corners.max() >= len(positions)):
        raise ValueRangeError(
            expected=f'point numbers from 0 to {len(positions) - 1}', came=f'{corners.min()} to {corners.max()}',
            todo='give the triangles of this mesh',
        )  # fmt: skip
    return positions, corners.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Coverage:
    """The pixels that each triangle covers, hidden ones included: R rows of one triangle each, N pixels in total.

    Attributes:
        x: (F, 3) corners in whole steps; y likewise.
        area: (F,) twice the area in steps squared; its sign is the orientation of the triangle.
        face: (R,) triangle of each row.
        row, first: (R,) row in the image, and the first column.
        length: (R,) pixels.
        pixel: (N,) indices of the pixels, counted row by row through the image.
        within: (N,) position of each in its row of the triangle.
        nearest: (K,) indices of the N that win where a pixel is covered by more than one triangle.
    """

    x: Floats
    y: Floats
    area: Floats
    face: Ints
    row: Floats
    first: Floats
    length: Ints
    pixel: Ints
    within: Ints
    nearest: Ints

    def lines(self, values: Floats) -> tuple[Floats, Floats]:
        """(R,) value at the first pixel of each row and its growth along it, of values (F, 3) at corners."""
        return _lines(values, self.x, self.y, self.area, self.face, self.row, self.first)


def _coverage(positions: Floats, corners: Ints, size: tuple[int, int], front_only: bool) -> _Coverage:
    """The pixels of every triangle, and the nearest where several meet."""
    # 1. Corners as integers, (F, 3) of x and of y; the sign of the area is a triangle's orientation.
    height, width = size
    snapped = np.rint(positions[:, :2] * STEPS)
    x, y = snapped[corners, 0], snapped[corners, 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    faces = np.flatnonzero(area < 0 if front_only else area != 0)

    # 2. The R rows of all triangles, each a span of columns.
    face, row = _rows(faces, y, height)
    first, last = _spans(face, row, x, y, area, width)
    is_span = last >= first
    face, row, first, last = face[is_span], row[is_span], first[is_span], last[is_span]

    # 3. Every pixel of every span.
    length = (last - first + 1).astype(np.int64)
    ends = np.cumsum(length)
    within = np.arange(ends[-1] if len(ends) else 0)
    within -= np.repeat(ends - length, length)
    pixel = np.repeat((row * width + first).astype(np.int64), length)
    pixel += within

    # 4. The smallest (depth, face) at each pixel that more than one triangle covers.
    shared = np.flatnonzero((np.bincount(pixel, minlength=height * width) > 1)[pixel])
    if len(shared):
        low, depth_range = float(positions[:, 2].min()), float(np.ptp(positions[:, 2]))
        near = (positions[:, 2] - low) / (depth_range or 1.0)
        at_first, along = _lines(near[corners], x, y, area, face, row, first)
        span = np.searchsorted(ends, shared, side='right')
        depth = at_first[span] + along[span] * within[shared]
        key = (np.rint(np.clip(depth, 0, 1) * DEPTH_STEPS).astype(np.int64) << 32) | face[span]
        smallest = np.full(height * width, np.iinfo(np.int64).max)
        np.minimum.at(smallest, pixel[shared], key)
        shared = shared[key == smallest[pixel[shared]]]
    return _Coverage(x, y, area, face, row, first, length, pixel, within, shared)


def _rows(faces: Ints, y: Floats, height: int) -> tuple[Ints, Floats]:
    """(R,) face and row of every row of pixel centres that a triangle touches."""
    top = np.maximum(np.ceil(y[faces].min(axis=1) / STEPS - 0.5), 0)
    bottom = np.minimum(np.floor(y[faces].max(axis=1) / STEPS - 0.5), height - 1)
    count = np.maximum(bottom - top + 1, 0).astype(np.int64)
    ends = np.cumsum(count)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
    return np.repeat(faces, count), np.repeat(top, count) + within


def _spans(face: Ints, row: Floats, x: Floats, y: Floats, area: Floats, width: int) -> tuple[Floats, Floats]:
    """(R,) first and last column whose centre lies in the triangle; last < first where there is none.

    An edge from a to b admits centres where sign(area) ((b - a) x (p - a)) >= 0: linear in p's column, so each
    edge cuts the row once, and bounds it to the left or to the right; a level edge bounds no row of its triangle.
    All values are integers below 2**52, and so exact, and so are the rounded quotients.
    """
    sign = np.sign(area)
    low, high = np.zeros(len(face)), np.full(len(face), width - 1.0)
    center_y = row * STEPS + STEPS / 2
    for begin, end in ((0, 1), (1, 2), (2, 0)):
        slope = (y[:, begin] - y[:, end]) * sign
        growth = (x[:, end] - x[:, begin]) * sign
        at_origin = -growth * y[:, begin] - slope * x[:, begin]
        # the column at which the edge function is 0, from pixel centre to pixel centre
        cut = growth[face] * center_y
        cut += at_origin[face]
        cut /= np.where(slope == 0, 1, -slope)[face] * STEPS
        cut -= 0.5
        np.maximum(low, cut, out=low, where=(slope > 0)[face])
        np.minimum(high, cut, out=high, where=(slope < 0)[face])
    return np.ceil(low), np.floor(high)


def _lines(
    values: Floats, x: Floats, y: Floats, area: Floats, face: Ints, row: Floats, first: Floats
) -> tuple[Floats, Floats]:
    """(R,) a value at the centre of the first pixel of each row of a triangle, and its growth along the row."""
    divisor = np.where(area == 0, 1, area)
    to_second, to_third = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    along_x = (to_second * (y[:, 2] - y[:, 0]) - to_third * (y[:, 1] - y[:, 0])) / divisor * STEPS
    along_y = (to_third * (x[:, 1] - x[:, 0]) - to_second * (x[:, 2] - x[:, 0])) / divisor * STEPS
    at_corner = values[:, 0] - along_x * x[:, 0] / STEPS - along_y * y[:, 0] / STEPS
    growth = along_x[face]
    return at_corner[face] + growth * (first + 0.5) + along_y[face] * (row + 0.5), growth


def _raster(
    face: npt.NDArray[np.int32], corners: Ints, coverage: _Coverage, depth: Floats, size: tuple[int, int]
) -> Raster:
    """The raster of the winners, by the barycentric weights of each pixel's centre."""
    height, width = size
    x, y, area = coverage.x / STEPS, coverage.y / STEPS, coverage.area / STEPS**2
    pixels = np.flatnonzero(face >= 0)
    hit = face[pixels]
    # both weights are linear in the pixel: of x, of y, and at the first corner; the pixels are known already
    divisor = np.where(area == 0, 1, area)
    ax, ay = x[:, 0], y[:, 0]
    second_x, second_y = (y[:, 2] - y[:, 0]) / divisor, (x[:, 0] - x[:, 2]) / divisor
    third_x, third_y = (y[:, 0] - y[:, 1]) / divisor, (x[:, 1] - x[:, 0]) / divisor
    offset_x, offset_y = pixels % width + 0.5 - ax[hit], pixels // width + 0.5 - ay[hit]
    second = second_x[hit] * offset_x + second_y[hit] * offset_y
    third = third_x[hit] * offset_x + third_y[hit] * offset_y
    weights = np.zeros((height * width, 3), dtype=np.float32)
    weights[pixels, 0], weights[pixels, 1], weights[pixels, 2] = 1 - second - third, second, third
    corner_depth = depth[corners]
    depths = np.full(height * width, np.inf, dtype=np.float32)
    depths[pixels] = (
        corner_depth[hit, 0]
        + second * (corner_depth[:, 1] - corner_depth[:, 0])[hit]
        + third * (corner_depth[:, 2] - corner_depth[:, 0])[hit]
    )
    return Raster(face.reshape(size), weights.reshape(height, width, 3), depths.reshape(size))
