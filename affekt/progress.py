"""How far long work is, told to whoever asked: a bar, a line each half minute, a page, or nobody."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Is told the stage, what of it is done, and how much there is in all, in one unit; done never falls within a stage."""


def part_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one of several equal parts, told as that of all of them.

    Args:
        progress: is told of all; None for nobody.
        number: of the part, from 0.
        count: of the parts.
    """
    if progress is None:
        return None
    return lambda stage, done, total: progress(stage, number * total + min(done, total), count * total)
