"""An experiment's outcome as one self-contained HTML file: every table, with intervals drawn beside their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from affekt.experiments.scored import Row
from affekt.experiments.tables import Section, Sheet
from affekt.experiments.task import Task
from affekt.pages import Scale, axis_svg, escaped, interval_svg, scale_of, whole_page
from affekt.wording import signed


def sheet_page(benchmark: str, task: Task, sheet: Sheet, notes: Sequence[str]) -> str:
    """The page of an experiment; scores in per cent, intervals in points above the constant answer.

    Args:
        benchmark: name of the benchmark, shown before the title.
        task: task whose part sizes are shown at the top.
        sheet: tables and sentences.
        notes: those of the sentences that are shown at the top.
    """
    counts = {f'samples in {name}': count for name, count in task.part_sizes.items()}
    counts |= {f'groups in {name}': count for name, count in task.part_groups.items()}
    return plain_sheet_page(benchmark, task.manifest.facts.corpus, sheet, notes, counts)


def plain_sheet_page(benchmark: str, corpus: str, sheet: Sheet, notes: Sequence[str], counts: Mapping[str, int]) -> str:
    """The page of any sheet of tables.

    Args:
        benchmark: name of the benchmark, shown before the title.
        corpus: name of the corpus.
        sheet: tables and sentences.
        notes: those of the sentences that are shown at the top.
        counts: name of a count (samples and the like) to its value, shown at the top.
    """
    count_items = ''.join(f'<div><dt>{escaped(name)}</dt><dd>{count:,}</dd></div>' for name, count in counts.items())
    note_items = ''.join(f'<li>{escaped(note)}</li>' for note in notes)
    header = f'<section class="head"><h1>{escaped(sheet.title)}</h1><dl class="facts">{count_items}</dl>'
    header += (
        f'<ul class="notes" aria-label="What a reader must know">{note_items}</ul></section>' if notes else '</section>'
    )
    line_items = ''.join(f'<li>{escaped(line)}</li>' for line in sheet.lines if line not in notes)
    footer = f'<section class="part"><h2>How to read it</h2><ul class="soft">{line_items}</ul></section>'
    body = '\n'.join([header, *(_section(section) for section in sheet.sections), footer])
    return whole_page(f'{benchmark}: {sheet.title}', corpus, body)


def _section(section: Section) -> str:
    plot = _plot(section)
    heads = ''.join(_head(name, column < section.left) for column, name in enumerate(section.heads))
    if plot:
        heads += f'<th scope="col" class="plot">{axis_svg(plot[0])}</th>'
    rows = []
    for index, cells in enumerate(section.cells):
        row_cells = ''.join(_cell(cell, column < section.left) for column, cell in enumerate(cells))
        rows.append(f'<tr>{row_cells}{plot[1][index] if plot else ""}</tr>')
    soft = '<p class="soft">Drawn: points over the constant answer, with 95 % intervals.</p>' if plot else ''
    return (
        f'<section class="part"><h2>{escaped(section.title)}</h2>{soft}'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(section.title)}"><table>'
        f'<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _plot(section: Section) -> tuple[Scale, list[str]] | None:
    """A scale and one drawn interval per row; None for a table without rows of scores."""
    constant = next((row for row in section.rows if row.system.name == 'constant'), None)
    if constant is None:
        return None
    baseline = constant.scores[constant.headline].value
    all_bounds = [tuple(100 * (value - baseline) for value in _bounds(row)) for row in section.rows]
    scale = scale_of([value for row_bounds in all_bounds for value in row_bounds])
    cells = []
    for row, (low, value, high) in zip(section.rows, all_bounds, strict=True):
        label = f'{row.system.name}: {signed(value, 1)} points over the constant answer'
        cells.append(f'<td class="plot">{interval_svg(scale, low, value, high, label)}</td>')
    return scale, cells


def _bounds(row: Row) -> tuple[float, float, float]:
    score = row.scores[row.headline]
    if row.system.name == 'constant':
        return math.nan, score.value, math.nan
    return score.low, score.value, score.high


def _head(name: str, is_word: bool) -> str:
    return f'<th scope="col"{"" if is_word else " class=number"}>{escaped(name)}</th>'


def _cell(text: str, is_word: bool) -> str:
    return f'<td{"" if is_word else " class=number"}>{escaped(text)}</td>'
