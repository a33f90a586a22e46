"""Progress of long work, reported by callbacks: to a bar, a log line every half minute, a page, or nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Called with the stage, the amount done and the total, in one unit; the amount never decreases within a stage."""


def part_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one of several equal parts, reported as progress of the whole.

    Args:
        progress: callback for the whole; may be None.
        number: index of the part, from 0.
        count: number of parts.
    """
    if progress is None:
        return None
    return lambda stage, done, total: progress(stage, number * total + min(done, total), count * total)
