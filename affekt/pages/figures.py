"""How figures look: shares as per cent, and their intervals."""

from __future__ import annotations

import math

from affekt.metrics import Interval


def percent(share: float) -> str:
    """A share as per cent in five characters, or a dash where it is undefined."""
    if math.isnan(share):
        return '–'
    return f'{100 * share:.2f}' if share < 0.99995 else f'{100 * share:.1f}'


def spread(value: float, interval: Interval | None) -> str:
    """A share with its interval, in per cent."""
    if interval is None or math.isnan(interval.low):
        return percent(value)
    return f'{percent(value)} [{100 * interval.low:.1f} {100 * interval.high:.1f}]'


def bounds(interval: Interval) -> list[float]:
    """Low and high."""
    return [interval.low, interval.high]
