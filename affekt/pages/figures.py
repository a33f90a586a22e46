"""How figures look: shares as per cent, intervals, and facts that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from affekt.metrics.intervals import Interval


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


def as_plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with every nan as None, which JSON can hold."""
    return {key: _plain(held) for key, held in facts.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return as_plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(held) for held in value]
    return value
