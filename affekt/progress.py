"""How far long work is, told to whoever asked: a bar, a line each half minute, a page, or nobody."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Is told the stage, what of it is done, and how much there is in all, in one unit; done never falls within a stage."""
