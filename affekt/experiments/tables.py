"""The tables of an experiment as plain text: cells, Markdown and notes.

A `Sheet` is independent of its output: `page.py` renders it as HTML, the command line as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.experiments.scored import Gain, Row, System
from affekt.experiments.settings import slot_of
from affekt.pages.figures import spread
from affekt.wording import signed


@dataclass(frozen=True)
class Section:
    """One table whose cells are text."""

    title: str
    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    left: int
    """Number of leading columns that are left-aligned."""
    rows: tuple[Row, ...] = ()
    """Scored rows of the table, one per line; () if lines are not scored rows."""


@dataclass(frozen=True)
class Sheet:
    """All tables of an outcome."""

    title: str
    sections: tuple[Section, ...]
    lines: tuple[str, ...]
    """Sentences on how to read the tables."""


def sheet_markdown(sheet: Sheet) -> str:
    """Title, tables and sentences as Markdown."""
    parts = [f'# {sheet.title}']
    for section in sheet.sections:
        parts += [f'## {section.title}', section_markdown(section)]
    return '\n\n'.join([*parts, '\n'.join(f'- {line}' for line in sheet.lines)]) + '\n'


def section_markdown(section: Section) -> str:
    """One table as Markdown."""
    rule = ['---' if column < section.left else '---:' for column in range(len(section.heads))]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (section.heads, rule, *section.cells))


def score_cells(row: Row) -> tuple[str, str]:
    """The headline with its interval, and the standard deviation over seeds where there are several."""
    interval = row.scores[row.headline]
    sd = f'{100 * float(np.std(row.by_seed, ddof=1)):.2f}' if len(row.by_seed) > 1 and row.system.modalities else ''
    return spread(interval.value, interval), sd


def gain_cells(gain: Gain | None) -> tuple[str, str]:
    """A gain with its interval, and its p-value; empty where there is none."""
    return (with_ends(gain), chance(gain.p_holm)) if gain else ('', '')


def with_ends(gain: Gain) -> str:
    """A gain with its interval, where there is one, in points of per cent."""
    if math.isnan(gain.value.low):
        return signed_percent(gain.value.value)
    return f'{signed_percent(gain.value.value)} [{signed(100 * gain.value.low, 1)} {signed(100 * gain.value.high, 1)}]'


def signed_percent(value: float) -> str:
    """A difference of shares in points of per cent, with its sign."""
    return signed(100 * value)


def chance(p: float) -> str:
    """A p-value in at most five characters."""
    return '–' if math.isnan(p) else '<.001' if p < 0.001 else f'{p:.3f}'.removeprefix('0')


def initials(modalities: Sequence[str]) -> str:
    """Initial (A, T or V) of each modality, joined by a plus; T2 for the second set of text features."""
    return '+'.join(name[0].upper() + name.partition(':')[0].removeprefix(slot_of(name)) for name in modalities)


def named(system: System) -> tuple[str, str, str]:
    """Modalities, model and protocol, which together identify a system."""
    return initials(system.modalities), system.name, system.protocol


def broken_runs(rows: Sequence[Row]) -> Iterator[str]:
    """Sentences on runs that gave every sample the same answer, or broke down."""
    for system in {id(row.system): row.system for row in rows}.values():
        for status, count in system.statuses.items():
            if status != 'healthy':
                total = sum(system.statuses.values())
                system_name = ' '.join(part for part in named(system) if part)
                yield f'{system_name}: {count} of {total} runs {status.replace("_", " ")}'
