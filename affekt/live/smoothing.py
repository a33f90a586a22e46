"""Causal smoothing of displayed readings."""

from __future__ import annotations

import math

import numpy as np

from affekt.arrays import Floats
from affekt.frames import OneEuro

LEAST_HZ = 1.0
"""Cutoff frequency for constant values."""
SLOPE = 1.5
"""Increase of the cutoff, in Hz per unit change per second."""
SPEED_HZ = 1.0
"""Cutoff frequency of the speed estimate."""
FORGOTTEN_S = 1.0
"""Seconds of absence after which a person's filter restarts."""


def steady_filter() -> OneEuro:
    """The filter of one person's values, with time steps in seconds."""
    return OneEuro(1 / (2 * math.pi * LEAST_HZ), SLOPE / LEAST_HZ, 1 / (2 * math.pi * SPEED_HZ))


class SteadyFaces:
    """Smooths the expression, valence and arousal of each person; restarts after an absence.

    Args:
        smoothing: 'one-euro', or 'none' for unchanged values.
    """

    def __init__(self, smoothing: str = 'one-euro') -> None:
        self._is_on = smoothing != 'none'
        self._filters: dict[str, OneEuro] = {}
        self._last_s: dict[str, float] = {}

    def steadied(self, time_s: float, person: str, shares: Floats, valence: float, arousal: float) -> Floats:
        """(9,) seven probabilities that sum to 1, valence, arousal; unchanged if any is nan.

        Args:
            time_s: time of the frame in seconds, later than the previous one.
            person: name of the person.
            shares: (7,) probabilities.
            valence, arousal: in [-1, 1].
        """
        values = np.array([*shares, valence, arousal], dtype=np.float64)
        if not self._is_on or np.isnan(values).any():
            return values
        for absent in [name for name, last_s in self._last_s.items() if time_s - last_s > FORGOTTEN_S]:
            del self._last_s[absent], self._filters[absent]
        step_s = time_s - self._last_s.get(person, -math.inf)
        self._last_s[person] = time_s
        smoothed = self._filters.setdefault(person, steady_filter())(values, step_s)
        smoothed[:-2] /= max(float(smoothed[:-2].sum()), 1e-9)
        return smoothed
