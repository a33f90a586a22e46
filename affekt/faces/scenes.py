"""Scene cuts, detected by changes of colour histograms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

CUT_DISTANCE = 0.35
"""Change of the colour histogram, in [0, 1], from which two frames count as different scenes."""
SUSPICIOUS = 0.1
"""Change from which a cut is possible: shots of different speakers before one studio wall differ by 0.11 to
0.5."""
UNUSUAL = 3.0
"""Minimum ratio of such a change to recent ones: a hand-held camera changes much at every frame."""
_LEVELS, _SHIFT = 4, 6
"""Levels per colour channel, and the number of bits dropped."""


class SceneCuts:
    """Compares each frame with the previous one by the distance of their colour histograms."""

    def __init__(self, distance: float = CUT_DISTANCE) -> None:
        self._distance = distance
        self._previous: npt.NDArray[np.float64] | None = None
        self._usual = 0.0
        self.suspected = 0
        """Number of possible cuts so far, including certain ones."""

    def is_cut(self, image: npt.NDArray[np.uint8]) -> bool:
        """Whether a new scene begins with this (H, W, 3) frame; False for the first frame."""
        return self.is_cut_to(colour_histogram(image))

    def is_cut_to(self, now: npt.NDArray[np.float64]) -> bool:
        """Whether a new scene begins with a frame of this `colour_histogram`; False for the first frame."""
        previous, self._previous = self._previous, now
        if previous is None:
            return False
        change = histogram_distance(previous, now)
        is_sure = change > self._distance
        self.suspected += is_sure or change > max(SUSPICIOUS, UNUSUAL * self._usual)
        self._usual = 0.8 * self._usual + 0.2 * min(change, SUSPICIOUS)
        return is_sure


def colour_histogram(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(4, 64) shares of 4 x 4 x 4 colours in the quarters of an image; each row sums to 1.

    About 4,000 pixels on a grid are read.
    """
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 4096)))
    coarse = image[::step, ::step] >> _SHIFT
    colour = (coarse[..., 0] * _LEVELS + coarse[..., 1]) * _LEVELS + coarse[..., 2]  # below 64, which fits into a byte
    bins = _quarters(*colour.shape) + colour
    # (256,) to (4, 64)
    counts = np.bincount(bins.ravel(), minlength=4 * _LEVELS**3).reshape(4, -1).astype(np.float64)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), dtype=np.float64)


@lru_cache(maxsize=4)
def _quarters(height: int, width: int) -> npt.NDArray[np.int64]:
    """(height, width) the first bin of the quarter of the image in which each pixel lies: 0, 64, 128 or 192."""
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    return np.asarray((rows[:, None] * 2 + columns) * _LEVELS**3, dtype=np.int64)


def histogram_distance(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Half the summed absolute difference, averaged over quarters: 0 if equal, 1 without a common colour."""
    return float(np.abs(first - second).sum(axis=1).mean() / 2)
