"""The curves of `read_faces.py`: what made-up and real faces gain with the epochs of pre-training.

python recipes/hicmae/draw_faces.py recipes/hicmae/results/faces.json
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, GAP = 210, 170, 60
COLOURS = {'by place': '#1f5fa8', 'pooled': '#c05a1a', '': '#1f5fa8'}
Score = dict[str, float]


def svg_of(results: dict[str, Any]) -> str:
    """Four panels side by side."""
    made_up, real = results['made-up faces']['arms'], results['real faces']['arms']
    errors = results['rebuilding']['real faces']['error']
    panels: list[tuple[str, dict[str, Any], Callable[[Any], Score]]] = [
        ('made-up faces: emotion, UAR', made_up, lambda arm: arm['emotion']['UAR']),
        ('made-up faces: valence, CCC', made_up, lambda arm: arm['valence']['CCC']),
        ('real faces: jawOpen, mean correlation', real, lambda arm: arm['jawOpen']['mean correlation of a clip']),
        ('real faces: error of hidden patches', errors, lambda arm: arm),
    ]
    parts = [_panel(at, title, arms, score) for at, (title, arms, score) in enumerate(panels)]
    width, height = len(panels) * (WIDTH + GAP) + 20, HEIGHT + 90
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="11">\n<title>Pre-training on made-up faces</title>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + '\n'.join(parts) + '\n</svg>\n'
    )


def _panel(at: int, title: str, arms: dict[str, Any], score: Callable[[Any], Score]) -> str:
    """Networks over epochs with their intervals; what does not learn as a dashed line."""
    scores = {name: score(arm) for name, arm in arms.items()}
    low = min(row['low'] for row in scores.values())
    high = max(row['high'] for row in scores.values())
    last = max(_epoch(name) or 0 for name in scores)
    left, top = 45 + at * (WIDTH + GAP), 30

    def x(epoch: float) -> float:
        return left + WIDTH * epoch / last

    def y(value: float) -> float:
        return top + HEIGHT * (1 - (value - low) / (high - low))

    parts = [f'<text x="{left}" y="18">{title}</text>', _frame(left, top, low, high, last)]
    for name, row in scores.items():
        epoch, reading = _epoch(name), name.partition(', ')[2]
        if epoch is None:
            height = y(row['value'])
            parts.append(f'<path d="M{left} {height:.1f}h{WIDTH}" stroke="#777" stroke-dasharray="4 3"/>')
            parts.append(f'<text x="{left + WIDTH}" y="{height - 3:.1f}" fill="#555" text-anchor="end">{name}</text>')
            continue
        across, colour = x(epoch) + (2 if reading == 'pooled' else 0), COLOURS[reading]
        parts.append(f'<path d="M{across:.1f} {y(row["low"]):.1f}V{y(row["high"]):.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{across:.1f}" cy="{y(row["value"]):.1f}" r="3" fill="{colour}"/>')
    readings = sorted({name.partition(', ')[2] for name in scores if ', ' in name})
    for place, reading in enumerate(readings):
        height = top + HEIGHT + 34
        parts.append(f'<circle cx="{left + 4 + 80 * place}" cy="{height - 4}" r="3" fill="{COLOURS[reading]}"/>')
        parts.append(f'<text x="{left + 12 + 80 * place}" y="{height}">{reading}</text>')
    return '\n'.join(parts)


def _frame(left: float, top: float, low: float, high: float, last: int) -> str:
    bottom = top + HEIGHT
    labels = [(left - 5, bottom, f'{low:.2f}', 'end'), (left - 5, top + 8, f'{high:.2f}', 'end'),
              (left, bottom + 14, 'as drawn', 'start'),
              (left + WIDTH, bottom + 14, f'{last} epochs', 'end')]  # fmt: skip
    box = f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
    return box + ''.join(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>' for x, y, text, anchor in labels)


def _epoch(name: str) -> int | None:
    """Of a network; None of what is none."""
    if name.startswith('as drawn'):
        return 0
    number = re.match(r'epoch (\d+)', name)
    return int(number[1]) if number else None


def main() -> None:
    """Writes the picture beside the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', type=Path, help='results.json of `read_faces.py`')
    path = parser.parse_args().results
    path.with_suffix('.svg').write_text(svg_of(json.loads(path.read_text())))


if __name__ == '__main__':
    main()
