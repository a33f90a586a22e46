"""Conversion of a decoded frame to an upright RGB array with square pixels.

Three steps, in this order: colour (matrix and range of the stream to full-range RGB), shape (pixel aspect and size
limit, in one scaling pass), orientation (display matrix: quarter turns and mirroring).

H, W: rows and columns of the upright frame. Alpha is dropped.
"""

from __future__ import annotations

import gc
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType

UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED: the stream does not state its YUV matrix."""
HD_HEIGHT = 720
"""Rows from which a stream without a stated matrix is read as BT.709."""


@dataclass(frozen=True)
class Orientation:
    """Operation that makes coded rows and columns upright: swap the axes first, then mirror."""

    swaps_axes: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False

    @property
    def rotation_deg(self) -> int:
        """Counter-clockwise rotation: 0, 90, 180 or 270; for a mirrored frame, after mirroring left and right."""
        if self.swaps_axes:
            return 270 if self.mirrors_x else 90
        return 180 if self.mirrors_y else 0

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(h, w, 3) as coded to (H, W, 3) upright; the same array where nothing changes."""
        if self == UPRIGHT:
            return image
        upright = image.swapaxes(0, 1) if self.swaps_axes else image
        upright = upright[:: -1 if self.mirrors_y else 1, :: -1 if self.mirrors_x else 1]
        return np.ascontiguousarray(upright)

    def as_coded(self, upright: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A view of the upright (H, W, 3) array as (h, w, 3) coded, so that coded data can be written into it."""
        mirrored = upright[:: -1 if self.mirrors_y else 1, :: -1 if self.mirrors_x else 1]
        return mirrored.swapaxes(0, 1) if self.swaps_axes else mirrored


UPRIGHT = Orientation()


def orientation_of_frame(frame: Any) -> Orientation:
    """The display matrix of a decoded frame, rounded to quarter turns and mirrors.

        x' = a x + c y,    y' = b x + d y    (rows a b u / c d v / x y w, 16.16 fixed point, y downwards)

    Source: ISO/IEC 14496-12 8.3.2 (track header box); FFmpeg libavutil/display.h.
    """
    for entry in frame.side_data:
        if entry.type.name == 'DISPLAYMATRIX' and entry.buffer_size >= 36:
            a, b, _, c, d, *_ = struct.unpack('=9i', bytes(entry)[:36])
            return orientation_of_matrix(a, b, c, d)
    return UPRIGHT


def collect_listed() -> None:
    """Free frames whose side data were listed: list and frame refer to each other until a garbage collection.

    They are new, so that collecting the young generations suffices, in less than a millisecond.
    """
    gc.collect(1)


class Orientations:
    """The orientation of each frame of one pass; the matrix is read once for each orientation that occurs.

    When PyAV lists the side data of a frame, list and frame refer to each other (`collect_listed`), and hundreds of
    frames would stay in memory. The rotation alone is read without a list.
    """

    def __init__(self) -> None:
        self._by_rotation: dict[int, Orientation] = {}

    def of(self, frame: Any) -> Orientation:
        """The orientation of a decoded frame."""
        rotation = int(frame.rotation)
        if rotation not in self._by_rotation:
            self._by_rotation[rotation] = orientation_of_frame(frame)
        return self._by_rotation[rotation]


def _unnamed_side_data(cls: type[SideDataType], number: object) -> Any:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f'UNNAMED_{number}', number
    return member


# FFmpeg has more kinds of side data than PyAV has names for (Exif is 31), and PyAV refuses the whole list of a frame
# with one of these, including its display matrix
SideDataType._missing_ = classmethod(_unnamed_side_data)  # type: ignore[assignment,method-assign]


def orientation_of_matrix(a: int, b: int, c: int, d: int) -> Orientation:
    """The quarter turn or mirroring nearest to the matrix above; a matrix of zeros is upright."""
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(swaps_axes=True, mirrors_x=c < 0, mirrors_y=b < 0)
    return Orientation(mirrors_x=a < 0, mirrors_y=d < 0)


def upright_size(
    width: int, height: int, aspect: Fraction, orientation: Orientation, max_side: int | None = None
) -> tuple[int, int]:
    """(W, H) of the upright frame that `to_rgb` makes from a coded frame of this size."""
    scaled_width, scaled_height = _scaled_size(width, height, aspect, max_side)
    return (scaled_height, scaled_width) if orientation.swaps_axes else (scaled_width, scaled_height)


def to_rgb(
    frame: Any, orientation: Orientation, aspect: Fraction, max_side: int | None = None
) -> npt.NDArray[np.uint8]:
    """The frame as (H, W, 3) uint8 RGB, upright, with a longer side of at most `max_side`.

    A stream without a stated YUV matrix is read as BT.709 from 720 rows on and as BT.601 below, as in players.
    """
    width, height = _scaled_size(frame.width, frame.height, aspect, max_side)
    shrinks = width * height * 2 < frame.width * frame.height
    matrix = None
    if frame.colorspace == UNSPECIFIED:
        matrix = 'ITU709' if frame.height >= HD_HEIGHT else 'ITU601'
    converted = frame.reformat(
        width=width,
        height=height,
        format='rgb24',
        src_colorspace=matrix,
        src_color_range=int(frame.color_range),
        dst_color_range='JPEG',
        interpolation='AREA' if shrinks else 'BILINEAR',
        threads=1,
    )
    plane = converted.planes[0]
    if converted is frame or plane.line_size != 3 * width:
        image: npt.NDArray[np.uint8] = converted.to_ndarray()
    else:  # no second copy of a large frame
        image = np.frombuffer(plane, np.uint8, 3 * width * height).reshape(height, width, 3)
    return orientation.apply(image)


def _scaled_size(width: int, height: int, aspect: Fraction, max_side: int | None) -> tuple[int, int]:
    """(width, height) with square pixels, before rotation; the frame is widened or heightened, never squeezed."""
    scaled_width, scaled_height = max(1, round(width * aspect)), height
    if aspect < 1:
        scaled_width, scaled_height = width, max(1, round(height / aspect))
    if max_side is not None and max(scaled_width, scaled_height) > max_side:
        scale = Fraction(max_side, max(scaled_width, scaled_height))
        scaled_width, scaled_height = max(1, round(scaled_width * scale)), max(1, round(scaled_height * scale))
    return scaled_width, scaled_height
