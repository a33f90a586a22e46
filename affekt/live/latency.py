"""Latency of readings: its quantiles in constant memory, and a budget for it."""

from __future__ import annotations

import math

import numpy as np

STEP_S = 0.0005
"""Width of a bin of the histogram in seconds."""
LONGEST_S = 30.0
"""Longer delays count as this long."""
SMOOTHING = 0.1
"""Weight of the newest frame in the mean cost of a frame, and in its mean deviation."""
DEVIATIONS = 2.0
"""How many mean deviations above the mean a frame's cost may lie and still meet the budget."""


class LatencyBudget:
    """Decides which frames are too old to read.

    On a machine that takes longer for a frame than frames lie apart, the next frame has waited when the last is done,
    for up to a frame's interval, and its reading is late by as much. The frame after it may meet the budget.

    Args:
        budget_s: target of the latency in seconds; 0 reads every frame.
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._cost_s = self._deviation_s = 0.0
        self._read_s, self._replaced = -math.inf, 0
        self._has_dropped = False

    def drops(self, read_s: float, now_s: float, replaced: int) -> bool:
        """Whether to wait for the next frame instead of reading this one.

        Never twice in a row, nor where the mean cost of a frame, or the time to the next frame, exceeds the budget.

        Args:
            read_s: time at which the frame came from its source, in seconds.
            now_s: time now, in seconds.
            replaced: number of frames so far that newer ones replaced before they were taken.
        """
        interval_s = (read_s - self._read_s) / (replaced - self._replaced + 1)
        self._read_s, self._replaced = read_s, replaced
        slowest_s = self._cost_s + DEVIATIONS * self._deviation_s
        is_late = now_s - read_s + slowest_s > self._budget_s >= max(self._cost_s, interval_s)
        self._has_dropped = is_late and self._cost_s > 0 and not self._has_dropped
        return self._has_dropped

    def add(self, cost_s: float) -> None:
        """Count the time from taking a frame to its reading, in seconds."""
        self._cost_s += (SMOOTHING if self._cost_s else 1.0) * (cost_s - self._cost_s)
        self._deviation_s += SMOOTHING * (abs(cost_s - self._cost_s) - self._deviation_s)


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
