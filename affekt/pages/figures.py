"""Shares with their intervals, as text in per cent."""

from __future__ import annotations

from affekt.metrics import Interval
from affekt.wording import percent_in_five, within


def spread(value: float, interval: Interval | None) -> str:
    """A share with its interval, in per cent."""
    text = percent_in_five(value)
    return text if interval is None else within(text, interval.low, interval.high)


def bounds(interval: Interval) -> list[float]:
    """Lower and upper end of an interval."""
    return [interval.low, interval.high]
