"""Appearance of a face, to distinguish people within one recording: its texture, colour and shading.

This is not face recognition: it holds for a short time under one light and one camera, which is enough to track people
through a video, and it is discarded after the analysis.

Source: Ahonen, Hadid & Pietikäinen 2006, doi:10.1109/TPAMI.2006.244 (local binary patterns over a grid).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.arrays import Floats32
from affekt.faces.align import align_face, five_points
from affekt.faces.landmarker import cut
from affekt.faces.mesh import Mesh, Region

SAME = 3.0
"""Difference below which two looks may be one person; 99 % of the pairs of one person are below it, of 8 people."""
SURELY_SAME = 1.8
"""Difference below which there was no pair of different people among those 8."""
_SIDE = 64
_GRID = 4
_CODES = 59
_TEXTURE_SCALE, _COLOUR_SCALE, _SHADE_SCALE = 0.03, 0.03, 0.2
"""Usual distance of two looks of one person in each part, over those pairs."""


@dataclass(frozen=True)
class Look:
    """Appearance of a face in a frame: unit vectors of texture (944,) and shade (256,), colour (6, 6, 3) in [0, 1]."""

    texture: Floats32
    colour: Floats32
    shade: Floats32


def look(image: npt.NDArray[np.uint8], face: Mesh) -> Look:
    """The look of a face in an (H, W, 3) uint8 image."""
    grey = align_face(image, five_points(face.landmarks), _SIDE)
    colour = cut(image, Region.from_landmarks(face.landmarks), 32)[4:30, 5:27]
    cells = np.asarray(Image.fromarray(colour).resize((6, 6), Image.Resampling.BOX)).astype(np.float32)
    # (64, 64) to blocks of 4 x 4, then (256,)
    shade = grey.reshape(16, 4, 16, 4).mean(axis=(1, 3), dtype=np.float32).ravel()
    shade = (shade - shade.mean()).astype(np.float32)
    length = np.float32(max(float(np.linalg.norm(shade)), 1e-6))
    return Look(_texture(grey), (cells / 255).astype(np.float32), np.asarray(shade / length, dtype=np.float32))


def difference(first: Look, second: Look) -> float:
    """Difference of two looks, >= 0: the mean of three distances, each divided by its usual spread.

    Texture by Hellinger affinity, colour by mean absolute difference, shading by correlation. Over 35
    images of 8 people the nearest other image of the same person was at 0.3 to 2.7, of another person at
    2.9 to 8.
    """
    texture = 1 - float(first.texture @ second.texture)
    colour = float(np.abs(first.colour - second.colour).mean())
    shade = 1 - float(first.shade @ second.shade)
    return (texture / _TEXTURE_SCALE + colour / _COLOUR_SCALE + shade / _SHADE_SCALE) / 3


@dataclass
class Gallery:
    """Looks of one person: up to `size` that differ by at least `novelty`, and the latest."""

    looks: list[Look] = field(default_factory=list)
    latest: Look | None = None
    size: int = 8
    novelty: float = 1.0

    def add(self, sight: Look) -> None:
        """Make a look the latest, and keep it if no kept one is similar; in a full gallery the second oldest goes."""
        self.latest = sight
        if self.looks and self.difference(sight) < self.novelty:
            return
        if len(self.looks) == self.size:
            del self.looks[1]
        self.looks.append(sight)

    def difference(self, sight: Look) -> float:
        """Difference from the most similar kept look; infinity if there is none."""
        return min((difference(sight, kept) for kept in self.looks), default=float('inf'))


def _uniform_codes() -> npt.NDArray[np.int64]:
    """(256,) index of each of the 58 patterns with at most two changes around the circle; 58 for all others."""
    index = np.full(256, _CODES - 1, dtype=np.int64)
    regular = [code for code in range(256) if (code ^ (code >> 1 | (code & 1) << 7)).bit_count() <= 2]
    index[regular] = np.arange(len(regular))
    return index


_UNIFORM = _uniform_codes()
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _texture(grey: npt.NDArray[np.uint8]) -> Floats32:
    """(944,) square roots of the shares of 59 binary patterns in 4 x 4 cells, as one unit vector."""
    levels = grey.astype(np.int16)
    center = levels[1:-1, 1:-1] + 2  # a neighbour is brighter only from two levels on, above the noise
    codes = np.zeros(center.shape, dtype=np.int64)
    for bit, (down, right) in enumerate(_NEIGHBOURS):
        codes |= (levels[1 + down : _SIDE - 1 + down, 1 + right : _SIDE - 1 + right] >= center).astype(np.int64) << bit
    cell = np.minimum(np.arange(_SIDE - 2) * _GRID // (_SIDE - 2), _GRID - 1)
    bins = (cell[:, None] * _GRID + cell) * _CODES + _UNIFORM[codes]  # (62, 62)
    counts = np.bincount(bins.ravel(), minlength=_GRID * _GRID * _CODES).astype(np.float32)
    return np.asarray(np.sqrt(counts / codes.size), dtype=np.float32)
