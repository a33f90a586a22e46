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
    counts = task.part_sizes | {f'groups in {name}': count for name, count in task.part_groups.items()}
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
    listed = ''.join(f'<div><dt>{escaped(name)}</dt><dd>{count:,}</dd></div>' for name, count in counts.items())
    warned = ''.join(f'<li>{escaped(note)}</li>' for note in notes)
    head = f'<section class="head"><h1>{escaped(sheet.title)}</h1><dl class="facts">{listed}</dl>'
    head += f'<ul class="notes" aria-label="What a reader must know">{warned}</ul></section>' if notes else '</section>'
    below = ''.join(f'<li>{escaped(line)}</li>' for line in sheet.lines if line not in notes)
    end = f'<section class="part"><h2>How to read it</h2><ul class="soft">{below}</ul></section>'
    body = '\n'.join([head, *(_section(section) for section in sheet.sections), end])
    return whole_page(f'{benchmark}: {sheet.title}', corpus, body)


def _section(section: Section) -> str:
    drawn = _drawn(section)
    heads = ''.join(_head(name, at < section.left) for at, name in enumerate(section.heads))
    if drawn:
        heads += f'<th scope="col" class="plot">{axis_svg(drawn[0])}</th>'
    rows = []
    for number, cells in enumerate(section.cells):
        line = ''.join(_cell(cell, at < section.left) for at, cell in enumerate(cells))
        rows.append(f'<tr>{line}{drawn[1][number] if drawn else ""}</tr>')
    soft = '<p class="soft">Drawn: points over the constant answer, with 95 % intervals.</p>' if drawn else ''
    return (
        f'<section class="part"><h2>{escaped(section.title)}</h2>{soft}'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(section.title)}"><table>'
        f'<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _drawn(section: Section) -> tuple[Scale, list[str]] | None:
    """A scale and one drawn interval per row; None for a table without rows of scores."""
    constant = next((row for row in section.rows if row.system.name == 'constant'), None)
    if constant is None:
        return None
    least = constant.scores[constant.headline].value
    ends = [tuple(100 * (value - least) for value in _ends(row)) for row in section.rows]
    scale = scale_of([value for each in ends for value in each])
    cells = []
    for row, (low, value, high) in zip(section.rows, ends, strict=True):
        label = f'{row.system.name}: {signed(value, 1)} points over the constant answer'
        cells.append(f'<td class="plot">{interval_svg(scale, low, value, high, label)}</td>')
    return scale, cells


def _ends(row: Row) -> tuple[float, float, float]:
    score = row.scores[row.headline]
    if row.system.name == 'constant':
        return math.nan, score.value, math.nan
    return score.low, score.value, score.high


def _head(name: str, is_word: bool) -> str:
    return f'<th scope="col"{"" if is_word else " class=number"}>{escaped(name)}</th>'


def _cell(text: str, is_word: bool) -> str:
    return f'<td{"" if is_word else " class=number"}>{escaped(text)}</td>'
