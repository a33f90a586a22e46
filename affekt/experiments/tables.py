"""The outcome of MERBench as tables: for a terminal of eighty columns, and as Markdown.

Read `sections` first: what is shown, wherever it is shown. `merbench_page.py` makes a page of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.experiments.scored import ORACLE, Gain, Outcome, Row, System
from affekt.experiments.settings import SIMPLE, slot_of
from affekt.pages.figures import percent, spread
from affekt.wording import signed

HOW = {
    'fair': 'settings and epoch chosen on validation, the test read once a seed',
    'reference': 'as published: the test read every epoch, settings shared by all folds, inputs as they come',
    ORACLE: 'the published loop had the test itself chosen the epoch: no result, it shows what reading it can add',
}
FEAT_TYPES = {
    'utt': 'the mean over time of each modality',
    'frm_align': 'sequences, a sixth as long, at the times of the text',
    'frm_unalign': 'sequences, a twelfth as long, each at its own times',
}


@dataclass(frozen=True)
class Section:
    """One table of cells that are text."""

    title: str
    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    left: int
    """How many columns, from the first, are words."""
    rows: tuple[Row, ...] = ()
    """What the lines show, where each is one row."""


def sections(outcome: Outcome) -> list[Section]:
    """Scores of every test part, what fusing adds, and what the published protocol adds."""
    several = len(outcome.task.tests) > 1
    found = []
    for test in outcome.task.tests:
        rows = tuple(row for row in outcome.rows if row.test == test and not row.system.given)
        heads = ('on', 'model', 'protocol', 'mean [95 %]', 'sd', 'over simple', 'p')
        title = f'{test}: {rows[0].headline}' if several else rows[0].headline
        found.append(Section(title, heads, tuple(_scores(row) for row in rows), 3, rows))
    fused = [(row, gain) for row in outcome.rows if (gain := row.gain('alone')) is not None]
    if fused:
        heads = (*(('test',) if several else ()), 'on', 'model', 'protocol', 'alone', 'gain [95 %]', 'p')
        cells = tuple(((row.test,) if several else ()) + _fused(row, gain) for row, gain in fused)
        found.append(Section('What more than one modality adds', heads, cells, len(heads) - 2))
    found += _missing(outcome, several)
    if buys := tuple(_buys(outcome.rows, several)):
        heads = (*(('test',) if several else ()), 'on', 'fair', 'reference', 'difference', ORACLE, 'it would add')
        found.append(Section('What the published protocol adds', heads, buys, 2 if several else 1))
    return found


def lines(outcome: Outcome) -> list[str]:
    """What to know of the tables."""
    settings, shown = outcome.settings, {row.system.protocol for row in outcome.rows}
    told = ['on: ' + ', '.join(f'{initials((name,))} {_spelled(name)}' for name in outcome.recipes)]
    told += [f'{protocol}: {how}' for protocol, how in HOW.items() if protocol in shown]
    tests = sum(len(row.gains) for row in outcome.rows)
    told += [
        f'figures in per cent; {settings.model} reads {FEAT_TYPES[outcome.task.feat_type]}; budget of each model: '
        f'{settings.trials} draws at most, {settings.seeds} seeds, {settings.epochs} epochs at most, patience '
        f'{settings.patience}',
        'over simple: the gain over the one of our simple models that is better on validation; intervals and tests '
        'draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples, p after Holm over {tests} tests',
    ]
    return [*told, *_broken(outcome.rows), *outcome.notes]


def title(outcome: Outcome) -> str:
    """Corpus, model and features."""
    recipes = ', '.join(f'{slot_of(name)} {recipe.split()[0]}' for name, recipe in outcome.recipes.items())
    return f'{outcome.task.manifest.facts.corpus}: {outcome.settings.model} on {recipes}'


def merbench_tables(outcome: Outcome) -> Group:
    """All of it for a terminal."""
    parts: list[Any] = [Text(title(outcome))]
    for section in sections(outcome):
        parts += [Text(), Text(section.title), section_table(section)]
    return Group(*parts, Text(), *(Text(line, style='dim') for line in lines(outcome)))


def merbench_markdown(outcome: Outcome) -> str:
    """The same as Markdown."""
    parts = [f'# {title(outcome)}']
    for section in sections(outcome):
        parts += [f'## {section.title}', section_markdown(section)]
    return '\n\n'.join([*parts, '\n'.join(f'- {line}' for line in lines(outcome))]) + '\n'


def initials(modalities: Sequence[str]) -> str:
    """A, T or V of each, with a plus between; T2 for the second set of features of text."""
    return '+'.join(name[0].upper() + name.partition(':')[0].removeprefix(slot_of(name)) for name in modalities)


def _spelled(name: str) -> str:
    """`text`, or `text minilm-utt` where there are several sets of text."""
    return f'{slot_of(name)} {name.partition(":")[2]}'.strip()


def _scores(row: Row) -> tuple[str, ...]:
    gain = row.gain('simple')
    told = (with_ends(gain), chance(gain.p_holm)) if gain else ('', '')
    sd = f'{100 * float(np.std(row.by_seed, ddof=1)):.2f}' if len(row.by_seed) > 1 and row.system.modalities else ''
    interval = row.scores[row.headline]
    return (*_named(row.system), spread(interval.value, interval), sd, *told)


def _fused(row: Row, gain: Gain) -> tuple[str, ...]:
    return (*_named(row.system), initials(gain.over.modalities), with_ends(gain), chance(gain.p_holm))


def _missing(outcome: Outcome, several: bool) -> Iterator[Section]:
    """For each test part: what the models of all modalities say when some are missing, a column a model."""
    for test in outcome.task.tests:
        rows = [row for row in outcome.rows if row.test == test]
        gone = [row for row in rows if row.system.given]
        if not gone:
            continue
        names = list(dict.fromkeys(row.system.name for row in gone))
        full = gone[0].system.modalities
        held = {(row.system.given, row.system.name): row.scores[row.headline] for row in gone}
        held |= {
            ('all', row.system.name): row.scores[row.headline]
            for row in rows
            if row.system.modalities == full and row.system.protocol == 'fair' and not row.system.given
        }
        kinds = ['all', *dict.fromkeys(row.system.given for row in gone)]
        cells = tuple(
            (_given(kind), *(spread(held[kind, name].value, held[kind, name]) for name in names)) for kind in kinds
        )
        yield Section(f'{test + ": " if several else ""}With modalities missing', ('given', *names), cells, 1)


def _given(kind: str) -> str:
    if kind.startswith('any:'):
        return f'{100 * float(kind.removeprefix("any:")):g} % missing'
    return kind if kind == 'all' else initials(kind.split('+'))


def _named(system: System) -> tuple[str, str, str]:
    return initials(system.modalities), system.name, system.protocol


def _buys(rows: Sequence[Row], several: bool) -> Iterator[tuple[str, ...]]:
    asked = [row for row in rows if row.system.name not in ('constant', *SIMPLE) and not row.system.given]
    found = {(row.system.modalities, row.test, row.system.protocol): row for row in asked}
    for modalities, test in dict.fromkeys((key[0], key[1]) for key in found):
        held = [found.get((modalities, test, protocol)) for protocol in HOW]
        if not all(held):
            continue
        fair, reference, oracle = (row.scores[row.headline].value for row in held if row)
        told = (
            percent(fair),
            percent(reference),
            _signed(reference - fair),
            percent(oracle),
            _signed(oracle - reference),
        )
        yield (*((test,) if several else ()), initials(modalities), *told)


def _broken(rows: Sequence[Row]) -> Iterator[str]:
    """The runs that gave every sample one answer, or broke down."""
    for system in {id(row.system): row.system for row in rows}.values():
        for status, count in system.statuses.items():
            if status != 'healthy':
                of = sum(system.statuses.values())
                where = ' '.join(part for part in _named(system) if part)
                yield f'{where}: {count} of {of} runs {status.replace("_", " ")}'


def with_ends(gain: Gain) -> str:
    """A gain with its interval, where there is one, in points of per cent."""
    if math.isnan(gain.value.low):
        return _signed(gain.value.value)
    return f'{_signed(gain.value.value)} [{signed(100 * gain.value.low, 1)} {signed(100 * gain.value.high, 1)}]'


def _signed(value: float) -> str:
    return signed(100 * value)


def chance(p: float) -> str:
    """A p-value in five characters at most."""
    return '–' if math.isnan(p) else '<.001' if p < 0.001 else f'{p:.3f}'.removeprefix('0')


def section_markdown(section: Section) -> str:
    """The cells as a Markdown table."""
    rule = ['---' if at < section.left else '---:' for at in range(len(section.heads))]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (section.heads, rule, *section.cells))


def section_table(section: Section) -> Table:
    """The cells as a table for a terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for at, head in enumerate(section.heads):
        table.add_column(head, justify='left' if at < section.left else 'right', no_wrap=True)
    for cells in section.cells:
        table.add_row(*cells)
    return table
