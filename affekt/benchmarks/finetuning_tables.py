"""The outcome of fine-tuning as a table for a terminal, as Markdown, as plain facts for JSON, and as Parquet."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from affekt.benchmarks.finetuning import FROZEN, LINEAR, TUNED, Finetuning
from affekt.experiments.saving import as_parquet, predictions_of, row_facts
from affekt.experiments.scored import Row
from affekt.experiments.tables import Section, chance, section_markdown, section_table, with_ends
from affekt.pages.figures import as_plain, spread
from affekt.runs import versions, write_atomically

HOW = {
    'constant': 'the most frequent category, or the mean value, of train',
    LINEAR: 'one layer on the frozen vectors',
    FROZEN: "the fine-tuned model's head on the frozen vectors",
    TUNED: 'the same head, trained together with the encoder',
}


def finetuning_tables(outcome: Finetuning) -> Group:
    """All of it for a terminal."""
    parts: list[Any] = [Text(_title(outcome))]
    for section in _sections(outcome):
        parts += [Text(), Text(section.title), section_table(section)]
    return Group(*parts, Text(), *(Text(line, style='dim') for line in _lines(outcome)))


def finetuning_markdown(outcome: Finetuning) -> str:
    """The same as Markdown."""
    parts = [f'# {_title(outcome)}']
    for section in _sections(outcome):
        parts += [f'## {section.title}', section_markdown(section)]
    return '\n\n'.join([*parts, '\n'.join(f'- {line}' for line in _lines(outcome))]) + '\n'


def finetuning_facts(outcome: Finetuning) -> dict[str, Any]:
    """All of the outcome as plain values; None where undefined."""
    task = outcome.task
    return as_plain(
        {
            'benchmark': 'MERBench, fine-tuning',
            'corpus': task.manifest.facts.corpus,
            'target': task.target,
            'samples': {'train': len(task.fair[0].train), **{name: len(index) for name, index in task.tests.items()}},
            'divisions': len(task.fair),
            'groups': {name: len(set(task.manifest.groups()[index])) for name, index in task.tests.items()},
            'features': dict(outcome.encoder),
            'settings': dataclasses.asdict(outcome.settings),
            'rows': [row_facts(row) for row in outcome.rows],
            'notes': list(task.notes),
        }
    )


def save_finetuning(folder: Path, outcome: Finetuning, facts: dict[str, Any]) -> None:
    """Write `finetuning.json`, `finetuning.md` and `predictions.parquet` into a run's folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    told = {**facts, 'versions': versions()}
    write_atomically(folder / 'finetuning.json', (json.dumps(told, indent=1, allow_nan=False) + '\n').encode())
    write_atomically(folder / 'finetuning.md', finetuning_markdown(outcome).encode())
    write_atomically(folder / 'predictions.parquet', as_parquet(predictions_of(outcome.task, outcome.rows), told))


def _title(outcome: Finetuning) -> str:
    encoder = outcome.encoder
    size = f'{encoder["parameters"] / 1e6:.1f} million parameters'
    return f'{outcome.task.manifest.facts.corpus}: {encoder["name"]} ({encoder["kind"]}, {size}) fine-tuned'


def _sections(outcome: Finetuning) -> list[Section]:
    """One a test part."""
    several, heads = len(outcome.task.tests) > 1, ('model', 'mean [95 %]', 'sd', 'over frozen', 'p', 'over linear', 'p')
    found = []
    for test in outcome.task.tests:
        rows = tuple(row for row in outcome.rows if row.test == test)
        title = f'{test}: {rows[0].headline}' if several else rows[0].headline
        found.append(Section(title, heads, tuple(_cells(row) for row in rows), 1, rows))
    return found


def _cells(row: Row) -> tuple[str, ...]:
    interval, told = row.scores[row.headline], []
    sd = f'{100 * float(np.std(row.by_seed, ddof=1)):.2f}' if len(row.by_seed) > 1 and row.system.modalities else ''
    for kind in (FROZEN, LINEAR):
        gain = row.gain(kind)
        told += [with_ends(gain), chance(gain.p_holm)] if gain else ['', '']
    return (row.system.name, spread(interval.value, interval), sd, *told)


def _lines(outcome: Finetuning) -> list[str]:
    settings = outcome.settings
    rates = ', '.join(f'{rate:g}' for rate in settings.learning_rates)
    broken = [
        f'{row.system.name}: {count} of {sum(row.system.statuses.values())} runs {status.replace("_", " ")}'
        for row in outcome.rows
        for status, count in row.system.statuses.items()
        if status != 'healthy'
    ]
    return [
        *(f'{name}: {how}' for name, how in HOW.items()),
        f'in per cent; settings and epoch chosen on validation alone; seeds: {settings.seeds}',
        f'fine-tuned: rates {rates}, the encoder at {settings.backbone_share:g} of them; draws: {settings.trials}; '
        f'{settings.epochs} epochs at most, patience {settings.patience}, {settings.precision}',
        f'on frozen vectors: draws of each model: {settings.frozen_trials}; {settings.frozen_epochs} epochs at most, '
        f'patience {settings.frozen_patience}',
        'intervals and tests draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples; p after Holm over {sum(len(row.gains) for row in outcome.rows)} tests',
        *broken, *outcome.task.notes,
    ]  # fmt: skip
