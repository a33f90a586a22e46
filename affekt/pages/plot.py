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
LETTER = 9
"""Width of a tick's letter on a narrow screen, at most."""
CELL, MOST_CELLS = 34, 30
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
    """A scale that contains 0 and every finite value."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([*finite, -0.1]), max([*finite, 0.1])
    rough = (high - low) / 5
    step = next(size for size in _steps(rough) if size >= rough)
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
    """Centre of a text, at `x` or as close to it as keeps the whole text inside."""
    half = LETTER * len(text) / 2
    return min(max(x, half), WIDTH - half)


def interval_svg(scale: Scale, low: float, value: float, high: float, label: str) -> str:
    """An estimate with its interval; with nan ends, the dot alone."""
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
    """A square per pair of items: the probability that the row's item is better; '' for more items than fit."""
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
            chance = float(better[row, column])
            opacity = round(abs(chance - 0.5) * 2 * DARKEST, 3)
            title = f'{name} better than {other}: {chance:.1%}'
            x = gutter + column * CELL
            parts.append(
                f'<g><title>{html.escape(title)}</title><rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" '
                f'height="{CELL - 2}" rx="4" class="{"up" if chance >= 0.5 else "down"}" fill-opacity="{opacity}"/>'
                f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle" class="on">'
                f'{percent_never_sure(chance)}</text></g>'
            )
    return (
        f'<svg class="better" viewBox="0 0 {side} {28 + size * CELL}" width="{side}" height="{28 + size * CELL}" '
        f'role="img" aria-label="How sure it is that each item is better than each other">{"".join(parts)}</svg>'
    )


def shortened(name: str, most: int = 22) -> str:
    """A name shortened to fit beside a plot."""
    return name if len(name) <= most else name[: most - 1] + '…'


def _steps(rough: float) -> Sequence[float]:
    power: float = 10.0 ** math.floor(math.log10(rough))
    return tuple(power * factor for factor in (1, 2, 5, 10, 20))
