"""Latency of readings in constant memory: a histogram with bins of half a millisecond."""

from __future__ import annotations

import numpy as np

STEP_S = 0.0005
"""Width of a bin of the histogram in seconds."""
LONGEST_S = 30.0
"""Longer delays count as this long."""


class Delays:
    """A histogram of delays, with quantiles."""

    def __init__(self) -> None:
        self._counts = np.zeros(round(LONGEST_S / STEP_S) + 1, np.int64)

    @property
    def count(self) -> int:
        """Number of delays."""
        return int(self._counts.sum())

    def add(self, delay_s: float) -> None:
        """Counts one delay, >= 0."""
        self._counts[min(len(self._counts) - 1, max(0, round(delay_s / STEP_S)))] += 1

    def quantile(self, share: float) -> float:
        """The smallest delay, in seconds, that at least this share of all does not exceed; nan without any."""
        total = self.count
        if not total:
            return float('nan')
        return float(np.searchsorted(np.cumsum(self._counts), max(1.0, share * total)) * STEP_S)
