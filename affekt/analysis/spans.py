"""Sets of time as disjoint spans (start_s, end_s), seconds, half open."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[float, float]


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same times as disjoint spans in order; touching spans become one, empty ones vanish."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def measure(spans: Iterable[Span]) -> float:
    """Seconds in disjoint spans."""
    return float(sum(end - start for start, end in spans))


def complement(spans: Iterable[Span], start_s: float, end_s: float) -> tuple[Span, ...]:
    """What [start_s, end_s) holds outside the spans."""
    gaps, cursor = [], start_s
    for start, end in union(spans):
        if start > cursor:
            gaps.append((cursor, min(start, end_s)))
        cursor = max(cursor, end)
        if cursor >= end_s:
            break
    if cursor < end_s:
        gaps.append((cursor, end_s))
    return tuple((start, end) for start, end in gaps if end > start)


def overlap(left: Span, right: Span) -> float:
    """Seconds that two spans share, at least 0."""
    return max(0.0, min(left[1], right[1]) - max(left[0], right[0]))
