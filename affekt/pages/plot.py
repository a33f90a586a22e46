"""Plots of intervals and of pairwise probabilities as SVG, without external styles or scripts.

Colours are CSS variables of the page, so one drawing serves light, dark and print. Numbers are pixels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from affekt.arrays import Floats
from affekt.wording import percent_never_sure, signed_briefly

WIDTH, ROW, EDGE = 320, 30, 12
"""Width and height of an interval's drawing, and its margin on either side."""
LETTER = 9
"""Maximum width of a character of a tick's label, reached on narrow screens."""
CELL, MOST_CELLS = 34, 30
"""Side of a square of the matrix, and the maximum number of items."""
DARKEST = 0.55
"""Opacity of a cell of certainty 1: text stays readable on it in either theme."""


@dataclass(frozen=True)
class Scale:
    """Mapping from log-odds to pixels, with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Pixels from the left; values outside are clipped to the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 2)


def scale_of(values: Sequence[float]) -> Scale:
    """A scale that contains 0 and every finite value, with about five steps of 1, 2 or 5 times a power of ten."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([*finite, -0.1]), max([*finite, 0.1])
    rough = (high - low) / 5
    step = next(step_size for step_size in _steps(rough) if step_size >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return Scale(first * step, last * step, tuple(round(step * number, 10) for number in range(first, last + 1)))


def axis_svg(scale: Scale) -> str:
    """The ticks, for the header of a column of intervals."""
    marks = ''.join(
        f'<text x="{_inside(scale.x(tick), text)}" y="14" text-anchor="middle" class="tick">{text}</text>'
        for tick in scale.ticks
        for text in [signed_briefly(tick)]
    )
    return f'<svg viewBox="0 0 {WIDTH} 18" width="{WIDTH}" height="18" aria-hidden="true">{marks}</svg>'


def _inside(x: float, text: str) -> float:
    """Centre of a text: `x`, or the nearest position at which the whole text is inside the drawing."""
    half = LETTER * len(text) / 2
    return min(max(x, half), WIDTH - half)


def interval_svg(scale: Scale, low: float, value: float, high: float, label: str) -> str:
    """An estimate as a dot with its interval; nan ends leave out the interval, a nan value the dot."""
    grid = ''.join(
        f'<line x1="{scale.x(tick)}" y1="0" x2="{scale.x(tick)}" y2="{ROW}" class="{"zero" if tick == 0 else "grid"}"/>'
        for tick in scale.ticks
    )
    middle = ROW / 2
    reach = ''
    if math.isfinite(low) and math.isfinite(high):
        reach = f'<line x1="{scale.x(low)}" y1="{middle}" x2="{scale.x(high)}" y2="{middle}" class="reach"/>'
    dot = f'<circle cx="{scale.x(value)}" cy="{middle}" r="5.5" class="dot"/>' if math.isfinite(value) else ''
    return (
        f'<svg viewBox="0 0 {WIDTH} {ROW}" width="{WIDTH}" height="{ROW}" role="img" aria-label="{html.escape(label)}">'
        f'{grid}{reach}{dot}</svg>'
    )


def better_svg(names: Sequence[str], better: Floats) -> str:
    """A matrix of the probabilities that the row's item is better than the column's.

    Args:
        names: M names of items, in the order of rows and columns.
        better: (M, M) probabilities; the diagonal is not used.

    Returns:
        SVG; '' for fewer than 2 or more than MOST_CELLS items.
    """
    size = len(names)
    if not 2 <= size <= MOST_CELLS:
        return ''
    gutter = 168
    side = gutter + size * CELL
    parts = []
    for row, name in enumerate(names):
        y = 28 + row * CELL
        parts.append(
            f'<text x="{gutter - 10}" y="{y + CELL / 2 + 4.5}" text-anchor="end" class="name">'
            f'{html.escape(shortened(name))}<title>{html.escape(name)}</title></text>'
            f'<text x="{gutter + (row + 0.5) * CELL}" y="18" text-anchor="middle" class="tick">{row + 1}</text>'
        )
        for column, other in enumerate(names):
            if row == column:
                continue
            probability = float(better[row, column])
            direction = 'up' if probability >= 0.5 else 'down'
            opacity = round(abs(probability - 0.5) * 2 * DARKEST, 3)
            title = f'{name} better than {other}: {probability:.1%}'
            x = gutter + column * CELL
            parts.append(
                f'<g><title>{html.escape(title)}</title><rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" '
                f'height="{CELL - 2}" rx="4" class="{direction}" fill-opacity="{opacity}"/>'
                f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle" class="on">'
                f'{percent_never_sure(probability)}</text></g>'
            )
    return (
        f'<svg class="better" viewBox="0 0 {side} {28 + size * CELL}" width="{side}" height="{28 + size * CELL}" '
        f'role="img" aria-label="How sure it is that each item is better than each other">{"".join(parts)}</svg>'
    )


def shortened(name: str, max_length: int = 22) -> str:
    """A name shortened to fit beside a plot."""
    return name if len(name) <= max_length else name[: max_length - 1] + '…'


def _steps(rough: float) -> Sequence[float]:
    """Round step sizes around a rough one, in rising order."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return tuple(power * factor for factor in (1, 2, 5, 10, 20))
