"""Detection of faces that have not moved since their last reading, so that it can be reused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32

LONGEST_S = 0.25
"""Maximum time in seconds for which one reading is reused."""
_POINTS = 32


class Stillness:
    """Compares the pixels of each face with those at its last reading.

    Args:
        levels: mean absolute change, in levels of 255, below which a face counts as still; 0 for never.
    """

    def __init__(self, levels: float = 0.0) -> None:
        self._levels = levels
        self._readings: dict[int, tuple[float, Floats32, Floats32]] = {}

    def remember(self, person: int, time_s: float, image: npt.NDArray[np.uint8], box: Floats32) -> None:
        """Store the pixels inside a person's box (x, y, w, h)."""
        if self._levels > 0:
            self._readings[person] = (time_s, box, _sample(image, box))

    def is_still(self, person: int, time_s: float, image: npt.NDArray[np.uint8]) -> bool:
        """Whether the person's pixels are unchanged since a recent reading."""
        if person not in self._readings:
            return False
        read_s, box, previous = self._readings[person]
        if time_s - read_s > LONGEST_S:
            return False
        current = _sample(image, box)
        return current.shape == previous.shape and float(np.abs(current - previous).mean()) < self._levels


def _sample(image: npt.NDArray[np.uint8], box: Floats32) -> Floats32:
    """(32, 32) values of green on a grid inside a box, as float32."""
    height, width = image.shape[:2]
    x, y, across, down = (float(value) for value in box)
    columns = np.clip(np.linspace(x, x + across, _POINTS), 0, width - 1).astype(np.int64)
    rows = np.clip(np.linspace(y, y + down, _POINTS), 0, height - 1).astype(np.int64)
    return np.asarray(image[rows[:, None], columns, 1], dtype=np.float32)
