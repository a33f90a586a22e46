"""Readings made steady by what came before alone: the one-euro filter, a low-pass that opens where a value moves fast.

    cutoff = least + slope |speed|,    speed itself low-passed at 1 Hz
    value = a new + (1 - a) before,    a = 1 / (1 + 1 / (2 pi cutoff step))

Source: Casiez, Roussel & Vogel 2012, doi:10.1145/2207676.2208639, algorithm 1.
"""

from __future__ import annotations

import math

import numpy as np

from affekt.arrays import Floats

LEAST_HZ = 1.0
"""Cutoff for values that stand still."""
SLOPE = 1.5
"""How much the cutoff opens, Hz per unit and second of change."""
SPEED_HZ = 1.0
FORGOTTEN_S = 1.0
"""After a longer absence a value begins anew."""


class OneEuro:
    """Smooths a vector that comes at irregular times; nan is passed on and forgets what was before.

    Args:
        least_hz, slope: see LEAST_HZ and SLOPE.
    """

    def __init__(self, least_hz: float = LEAST_HZ, slope: float = SLOPE) -> None:
        self._least_hz, self._slope = least_hz, slope
        self._value: Floats | None = None
        self._speed: Floats = np.zeros(0)
        self._time_s = 0.0

    def __call__(self, time_s: float, values: Floats) -> Floats:
        """The smoothed (N,) values at a time after the one before."""
        values = np.asarray(values, dtype=np.float64)
        step_s = time_s - self._time_s
        self._time_s = time_s
        if self._value is None or not 0 < step_s <= FORGOTTEN_S or np.isnan(self._value).any():
            self._value, self._speed = values, np.zeros_like(values)
            return values
        speed = (values - self._value) / step_s
        self._speed = self._speed + _weight(np.asarray(SPEED_HZ), step_s) * (speed - self._speed)
        cutoff_hz = self._least_hz + self._slope * np.abs(self._speed)
        self._value = self._value + _weight(cutoff_hz, step_s) * (values - self._value)
        return self._value


def _weight(cutoff_hz: Floats, step_s: float) -> Floats:
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff_hz * step_s)))


class SteadyFaces:
    """Smooths the expression, valence and arousal of each person, and forgets who has been away.

    Args:
        smoothing: 'one-euro', or 'none' for values as they are.
    """

    def __init__(self, smoothing: str = 'one-euro') -> None:
        self._is_on = smoothing != 'none'
        self._filters: dict[str, OneEuro] = {}
        self._seen_s: dict[str, float] = {}

    def steadied(self, time_s: float, person: str, shares: Floats, valence: float, arousal: float) -> Floats:
        """(9,) seven shares that sum to 1, valence, arousal."""
        values = np.array([*shares, valence, arousal], dtype=np.float64)
        if not self._is_on:
            return values
        self._seen_s[person] = time_s
        for gone in [name for name, last_s in self._seen_s.items() if time_s - last_s > FORGOTTEN_S]:
            del self._seen_s[gone], self._filters[gone]
        smooth = self._filters.setdefault(person, OneEuro())(time_s, values).copy()
        smooth[:-2] /= max(float(smooth[:-2].sum()), 1e-9) if np.isfinite(smooth[:-2]).all() else 1.0
        return smooth
