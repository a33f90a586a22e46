"""Progress of long work, reported by callbacks: to a bar, a log line every half minute, a page, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Progress = Callable[[str, float, float], None]
"""Called with the stage, the amount done and the total, in one unit; the amount never decreases within a stage."""


Unit = TypeVar('Unit')


def with_progress(
    units: Iterable[Unit], progress: Progress | None, stage: str, total: int, *, done: int = 0
) -> Iterator[Unit]:
    """Yields units of work and reports how many are done: `done` before the first, one more after each.

    Args:
        units: the remaining units.
        progress: callback; may be None.
        stage: name of the stage.
        total: number of units, those done before included.
        done: units done before, as by a run that is resumed.
    """
    if progress is None:
        yield from units
        return
    progress(stage, done, total)
    for count, unit in enumerate(units, done + 1):
        yield unit
        progress(stage, count, total)


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
