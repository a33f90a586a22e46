"""How late readings come, in memory that does not grow: delays counted by half milliseconds."""

from __future__ import annotations

import numpy as np

STEP_S = 0.0005
LONGEST_S = 30.0
"""What is later counts as this late."""


class Delays:
    """Counts delays, and says below which of them a share of all lies."""

    def __init__(self) -> None:
        self._counts = np.zeros(round(LONGEST_S / STEP_S) + 1, np.int64)

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def add(self, delay_s: float) -> None:
        """Counts one delay, >= 0."""
        self._counts[min(len(self._counts) - 1, max(0, round(delay_s / STEP_S)))] += 1

    def quantile(self, share: float) -> float:
        """The smallest counted delay that at least this share of all does not exceed, in seconds; nan without any."""
        total = self.count
        if not total:
            return float('nan')
        return float(np.searchsorted(np.cumsum(self._counts), max(1.0, share * total)) * STEP_S)
