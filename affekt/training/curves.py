"""The log of a run, one JSON object per line, and its curves as one self-contained page.

A last line that was cut short by a kill is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from affekt.files import explained_where_full, read_regular_file, write_atomically
from affekt.pages import escaped, whole_page
from affekt.typed_json import plain

LOG_FILE = 'log.jsonl'
"""File of the log in a run's folder."""
Row = dict[str, float]

WIDTH, HEIGHT, LEFT, BELOW, EDGE = 640, 224, 104, 30, 14
"""Size and margins of a curve in pixels."""
MEASURES = {'uar', 'war', 'f1', 'ccc', 'pcc', 'mae', 'mse', 'rmse'}
"""Names of measures that are written in capitals."""
MOST_POINTS = 1000
"""Maximum number of points of a curve; with more rows, each point is a mean of equally many rows."""


class ScalarLog:
    """Rows of named numbers, each on disk as soon as it is added.

    Args:
        path: file of the log, read if it exists; None to keep rows in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.rows: list[Row] = read_log(path) if path and path.exists() else []

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            StorageError: the file cannot be written, as on a full disk.
        """
        self.rows.append(row)
        if self._path:
            with explained_where_full(self._path), self._path.open('ab') as file:
                file.write(_line(row))

    def cut(self, step: int) -> None:
        """Remove the rows after a step, which a killed run wrote after its last checkpoint."""
        self.rows = [row for row in self.rows if row['step'] <= step]
        if self._path and self._path.exists():
            write_atomically(self._path, b''.join(map(_line, self.rows)))


def read_log(path: Path) -> list[Row]:
    """Read the rows of a log; null is read as nan."""
    rows = []
    for line in read_regular_file(path).splitlines():
        try:
            row = json.loads(line)
            rows.append({name: math.nan if value is None else float(value) for name, value in row.items()})
        except (ValueError, AttributeError, TypeError):
            continue
    return [row for row in rows if 'step' in row]


def _line(row: Mapping[str, float]) -> bytes:
    return json.dumps(plain(row), allow_nan=False).encode() + b'\n'


def write_curves(rows: Sequence[Row], path: Path, *, title: str) -> None:
    """Write a page with one curve for every number in a log, and sentences on those always 0 and those always nan.

    A sum of losses or a chosen score that equals another curve is not drawn again, nor is the epoch's number drawn.

    Args:
        rows: rows of a log, each with `step`.
        path: path of the page; an existing file is replaced.
        title: title as plain text.

    Raises:
        StorageError: the page cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if name != 'step'))
    curves = {name: [(row['step'], row[name]) for row in rows if name in row] for name in names}
    zero_names = [name for name in names if all(value == 0 for _, value in curves[name])]
    unmeasured = [name for name in names if all(math.isnan(value) for _, value in curves[name])]
    undrawn = {*zero_names, *unmeasured}
    for summary in ('loss', 'score'):
        if any(points == curves.get(summary) for name, points in curves.items() if name != summary):
            del curves[summary]
    curves.pop('epoch', None)
    parts = [f'<h1>{escaped(title)}</h1>', f'<dl class="facts">{_last_row(rows, undrawn)}</dl>']
    for start, listed_names in (('Always 0', zero_names), ('Never measured', unmeasured)):
        if listed_names:
            parts.append(f'<p class="soft">{start}: {escaped(", ".join(map(_words, listed_names)))}.</p>')
    parts.append('<div class="two">')
    for name, points in curves.items():
        if name not in undrawn:
            figure = f'<div class="scroll">{curve_svg(points, _words(name))}</div>'
            parts.append(f'<section class="part"><h2>{escaped(_words(name))}</h2>{figure}</section>')
    parts.append('</div>')
    write_atomically(path, whole_page(f'{title}: training', title, '\n'.join(parts)).encode())


def _words(name: str) -> str:
    return ' '.join(word.upper() if word in MEASURES else word for word in name.split('_'))


def _last_row(rows: Sequence[Row], undrawn: Set[str]) -> str:
    if not rows:
        return '<div><dt>steps</dt><dd>0</dd></div>'
    last = rows[-1]
    shown = [name for name in last if name != 'step' and name not in undrawn]
    values = {_words(name): 'not measured' if math.isnan(last[name]) else f'{last[name]:.6g}' for name in shown}
    facts = {'steps': f'{last["step"]:,.0f}'} | values
    return ''.join(f'<div><dt>{escaped(name)}</dt><dd>{escaped(text)}</dd></div>' for name, text in facts.items())


def curve_svg(points: Sequence[tuple[float, float]], label: str) -> str:
    """An SVG curve of values over steps; non-finite values leave gaps.

    Args:
        points: pairs of step and value.
        label: description for screen readers.
    """
    thinned = _thinned(points)
    values = [value for _, value in thinned if math.isfinite(value)]
    if not values:
        return '<p class="empty">No finite number.</p>'
    low, high = min(values), max(values)
    if low == high:
        half = max(0.5, abs(low) * 1e-9)  # more than rounding, also of a loss that explodes
        low, high = low - half, high + half
    first, last = thinned[0][0], max(thinned[-1][0], thinned[0][0] + 1)

    def x(step: float) -> float:
        return round(LEFT + (step - first) / (last - first) * (WIDTH - LEFT - EDGE), 1)

    def y(value: float) -> float:
        return round(EDGE + (high - value) / (high - low) * (HEIGHT - BELOW - EDGE), 1)

    lines = []
    for tick in (low, (low + high) / 2, high):
        lines.append(f'<line x1="{LEFT}" y1="{y(tick)}" x2="{WIDTH - EDGE}" y2="{y(tick)}" class="grid"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end" class="tick">{tick:.4g}</text>')
    ends = [(first, 'start', f'step {first:,.0f}'), (last, 'end', f'{last:,.0f}')]
    for step, anchor, text in ends if thinned[-1][0] > first else ends[:1]:
        lines.append(f'<text x="{x(step)}" y="{HEIGHT - 10}" text-anchor="{anchor}" class="tick">{text}</text>')
    for piece in _pieces(thinned):
        coordinates = ' '.join(f'{x(step)},{y(value)}' for step, value in piece)
        lines.append(f'<polyline points="{coordinates}" fill="none" stroke="var(--low)" stroke-width="2"/>')
        if len(piece) == 1:
            lines.append(f'<circle cx="{x(piece[0][0])}" cy="{y(piece[0][1])}" r="3" class="dot"/>')
    summary = f'{label}: {values[0]:.4g} at first, {values[-1]:.4g} at last'
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" '
        f'aria-label="{escaped(summary)}">{"".join(lines)}</svg>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` points, each the mean of the finite ones of equally many, nan if none is."""
    size = -(-len(points) // MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)] if size > 1 else []
    if not groups:
        return list(points)
    finite = [[value for _, value in group if math.isfinite(value)] for group in groups]
    means = [sum(values) / len(values) if values else math.nan for values in finite]
    return [(group[-1][0], mean) for group, mean in zip(groups, means, strict=True)]


def _pieces(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Runs of consecutive finite values."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for step, value in points:
        if math.isfinite(value):
            pieces[-1].append((step, value))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
