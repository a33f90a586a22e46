"""Triangles to pixels: which face each pixel shows, where on it, and how deep, without an approximation.

A pixel belongs to a triangle where its centre lies inside or on an edge; of several triangles the nearest wins, and of
equally near ones the lowest in the list. Points are first moved to the nearest 1/256 of a pixel, as graphics processors
do, so that which pixels a triangle covers is decided in whole numbers and neighbours leave no gap. Depths are compared
in steps of 2**-30 of the mesh's depth range.

Pictures have x to the right, y down; pixel (0, 0) covers [0, 1) x [0, 1). Depth grows away from the viewer. V points, F
faces, H and W the picture, C channels of an attribute.

Source: the edge functions are those of Pineda 1988, doi:10.1145/54852.378457.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats, Floats32, Ints
from affekt.errors import ShapeError, ValueRangeError

STEPS = 256
"""Places of a point within a pixel."""
FARTHEST = 1 << 15
"""Largest coordinate of a point, pixels: beyond it the whole numbers would not fit."""
DEPTH_STEPS = 1 << 30


@dataclass(frozen=True)
class Raster:
    """What each pixel of an (H, W) picture shows.

    Attributes:
        face: (H, W) which triangle, -1 where none.
        barycentric: (H, W, 3) weights of its three corners, which sum to 1; 0 where there is no face.
        depth: (H, W) depth there; inf where there is no face.
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
    """The nearest triangle at every pixel's centre.

    Args:
        points: (V, 3) x and y in pixels, depth in any unit.
        triangles: (F, 3) whole numbers in [0, V).
        size: height and width of the picture.
        front_only: leave out triangles whose corners turn clockwise as seen in the picture, those at the back of a
            closed surface whose corners turn anticlockwise seen from outside.

    Returns:
        The raster; a triangle without area covers nothing.

    Raises:
        ShapeError: other shapes.
        ValueRangeError: a point is not finite or farther than 32,768 pixels from the corner of the picture, or a
            triangle names a point that does not exist.
    """
    # 1. Corners in whole numbers, (F, 3) of x and of y; the sign of the area says which way a triangle turns.
    located, corners = _checked(points, triangles)
    height, width = size
    fixed = np.rint(located[:, :2] * STEPS)
    low, span = float(located[:, 2].min(initial=np.inf)), float(np.ptp(located[:, 2])) if len(located) else 0.0
    near = (located[:, 2] - low) / (span or 1.0)
    x, y = fixed[corners, 0], fixed[corners, 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    faces = np.flatnonzero(area < 0 if front_only else area != 0)

    # 2. One row of pixels of one triangle at a time: R of them, each a span of columns.
    face, row = _rows(faces, y, height)
    first, last = _spans(face, row, x, y, area, width)
    seen = last >= first
    face, row, first, last = face[seen], row[seen], first[seen], last[seen]

    # 3. Every pixel of every span, and the least of (depth, face) at each.
    begin_x, along_x, along_y = _depth_planes(near[corners], x, y, area)
    at_first = begin_x[face] + along_x[face] * (first + 0.5) + along_y[face] * (row + 0.5)
    length = (last - first + 1).astype(np.int64)
    ends = np.cumsum(length)
    offset = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - length, length)
    of_face = np.repeat(face, length)
    depth = np.repeat(at_first, length) + np.repeat(along_x[face], length) * offset
    key = (np.rint(np.clip(depth, 0, 1) * DEPTH_STEPS).astype(np.int64) << 32) | of_face
    nearest = np.full(height * width, np.iinfo(np.int64).max)
    np.minimum.at(nearest, np.repeat((row * width + first).astype(np.int64), length) + offset, key)

    # 4. Where the winner was hit.
    return _raster(nearest, corners, x / STEPS, y / STEPS, area / STEPS**2, located[:, 2], size)


def interpolate(raster: Raster, triangles: npt.ArrayLike, attribute: npt.ArrayLike, empty: float = 0.0) -> Floats32:
    """An attribute of the points at every pixel.

    Args:
        raster: what each pixel shows.
        triangles: (F, 3) those that were rasterized.
        attribute: (V,) or (V, C) a value at each point.
        empty: value where there is no face.

    Returns:
        (H, W) or (H, W, C).
    """
    values = np.asarray(attribute, dtype=np.float32)
    flat = values.reshape(len(values), -1)
    places = np.flatnonzero(raster.face.ravel() >= 0)
    corners = np.asarray(triangles).astype(np.int32)[raster.face.ravel()[places]].T.copy()  # (3, P)
    weights = raster.barycentric.reshape(-1, 3)[places].T.copy()
    picture = np.full((raster.face.size, flat.shape[1]), empty, dtype=np.float32)
    for channel, column in enumerate(flat.T.copy()):  # one at a time, as rows of three are slow to gather
        inside = column[corners[0]] * weights[0]
        inside += column[corners[1]] * weights[1]
        inside += column[corners[2]] * weights[2]
        picture[places, channel] = inside
    return picture.reshape(raster.face.shape + values.shape[1:])


def _checked(points: npt.ArrayLike, triangles: npt.ArrayLike) -> tuple[Floats, Ints]:
    located, corners = np.asarray(points, dtype=np.float64), np.asarray(triangles)
    if located.ndim != 2 or located.shape[1] != 3 or corners.ndim != 2 or corners.shape[1] != 3:
        raise ShapeError(
            expected='points (V, 3) and triangles (F, 3)', came=f'{located.shape} and {corners.shape}',
            todo='give x, y and depth of each point and three point numbers of each triangle',
        )  # fmt: skip
    if not (np.isfinite(located).all() and (np.abs(located[:, :2]) <= FARTHEST).all()):
        raise ValueRangeError(
            expected=f'finite points within {FARTHEST:,} pixels', came='a point that is not',
            todo='leave out what lies behind the camera or far outside the picture',
        )  # fmt: skip
    if corners.size and (corners.min() < 0 or corners.max() >= len(located)):
        raise ValueRangeError(
            expected=f'point numbers from 0 to {len(located) - 1}', came=f'{corners.min()} to {corners.max()}',
            todo='give the triangles of this mesh',
        )  # fmt: skip
    return located, corners.astype(np.int64)


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

    An edge from a to b lets through centres where sign(area) ((b - a) x (p - a)) >= 0: linear in p's column, so each
    edge cuts the row once. All numbers are whole and below 2**52, and so exact, and so are the rounded quotients.
    """
    sign = np.sign(area)
    first, last = np.zeros(len(face)), np.full(len(face), width - 1.0)
    center_y = row * STEPS + STEPS / 2
    for a, b in ((0, 1), (1, 2), (2, 0)):
        slope = (-(y[:, b] - y[:, a]) * sign)[face]
        # value of the edge function where column * STEPS = 0, that is at x = 0
        start = ((x[:, b] - x[:, a]) * sign)[face] * (center_y - y[face, a]) - slope * x[face, a]
        quotient = -start / np.where(slope == 0, 1, slope)  # x of the cut
        with_rise = np.ceil((quotient - STEPS / 2) / STEPS)
        with_fall = np.floor((quotient - STEPS / 2) / STEPS)
        first = np.where(slope > 0, np.maximum(first, with_rise), first)
        last = np.where(slope < 0, np.minimum(last, with_fall), last)
        last = np.where((slope == 0) & (start < 0), -1.0, last)
    return first, last


def _depth_planes(near: Floats, x: Floats, y: Floats, area: Floats) -> tuple[Floats, Floats, Floats]:
    """(F,) depth at the picture's corner, and its growth along a column and a row."""
    doubled = np.where(area == 0, 1, area)
    to_second, to_third = near[:, 1] - near[:, 0], near[:, 2] - near[:, 0]
    along_x = (to_second * (y[:, 2] - y[:, 0]) - to_third * (y[:, 1] - y[:, 0])) / doubled * STEPS
    along_y = (to_third * (x[:, 1] - x[:, 0]) - to_second * (x[:, 2] - x[:, 0])) / doubled * STEPS
    return near[:, 0] - along_x * x[:, 0] / STEPS - along_y * y[:, 0] / STEPS, along_x, along_y


def _raster(
    nearest: Ints, corners: Ints, x: Floats, y: Floats, area: Floats, depth: Floats, size: tuple[int, int]
) -> Raster:
    """The raster of the winners, by the barycentric weights of each pixel's centre."""
    height, width = size
    face = np.where(nearest == np.iinfo(np.int64).max, -1, nearest & 0xFFFFFFFF).astype(np.int32)
    places = np.flatnonzero(face >= 0)
    hit = face[places]
    # both weights are linear in the pixel: of x, of y, and at the first corner; which pixels follow is known already
    doubled = np.where(area == 0, 1, area)
    ax, ay = x[:, 0], y[:, 0]
    second_x, second_y = (y[:, 2] - y[:, 0]) / doubled, (x[:, 0] - x[:, 2]) / doubled
    third_x, third_y = (y[:, 0] - y[:, 1]) / doubled, (x[:, 1] - x[:, 0]) / doubled
    across, down = places % width + 0.5 - ax[hit], places // width + 0.5 - ay[hit]
    second = second_x[hit] * across + second_y[hit] * down
    third = third_x[hit] * across + third_y[hit] * down
    weights = np.zeros((height * width, 3), dtype=np.float32)
    weights[places, 0], weights[places, 1], weights[places, 2] = 1 - second - third, second, third
    at = depth[corners]
    depths = np.full(height * width, np.inf, dtype=np.float32)
    depths[places] = at[hit, 0] + second * (at[:, 1] - at[:, 0])[hit] + third * (at[:, 2] - at[:, 0])[hit]
    return Raster(face.reshape(size), weights.reshape(height, width, 3), depths.reshape(size))
