"""The outcome of fine-tuning as tables for a terminal, as Markdown, as plain facts for JSON, and as Parquet."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from affekt.benchmarks.finetuning import FROZEN, LINEAR, TUNED, Finetuning
from affekt.benchmarks.merbench_tables import _markdown, _parquet, _row_facts, _signed, _table
from affekt.benchmarks.showing import as_plain, bounds, spread
from affekt.errors import RunError
from affekt.runs import versions, write_atomically

HOW = {
    'constant': 'the most frequent category, or the mean value, of train',
    LINEAR: 'one layer on the frozen vectors',
    FROZEN: "the fine-tuned model's head on the frozen vectors",
    TUNED: 'the same head, trained together with the encoder',
}
HEADS = ('model', 'test', 'mean [95 %]', 'sd', 'each seed', 'trained', 'runs')
PAIR_HEADS = ('model', 'over', 'test', 'gain [95 %]', 'p', 'p, Holm')


def finetuning_tables(outcome: Finetuning) -> Group:
    """All rows, what each model adds to another, and what to know of them."""
    return Group(
        Text(_title(outcome)), Text(), _table(HEADS, _cells(outcome), 2), Text(),
        _table(PAIR_HEADS, _pairs(outcome), 3), Text(), *(Text(line, style='dim') for line in _lines(outcome)),
    )  # fmt: skip


def finetuning_markdown(outcome: Finetuning) -> str:
    """The same as Markdown."""
    parts = [f'# {_title(outcome)}', _markdown(HEADS, _cells(outcome), 2), _markdown(PAIR_HEADS, _pairs(outcome), 3)]
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
            'rows': [_row_facts(row) for row in outcome.rows],
            'gains': [
                {
                    'model': gain.model, 'over': gain.over, 'test': gain.test, 'value': gain.value.value,
                    'interval': bounds(gain.value), 'p': gain.p, 'p_holm': gain.p_holm,
                }
                for gain in outcome.gains
            ],
            'notes': list(task.notes),
        }
    )  # fmt: skip


def save_finetuning(folder: Path, outcome: Finetuning, facts: dict[str, Any]) -> None:
    """Write `finetuning.json`, `finetuning.md` and `predictions.parquet` into a run's folder.

    Raises:
        RunError: the folder cannot be written.
    """
    told = {**facts, 'versions': versions()}
    try:
        write_atomically(folder / 'finetuning.json', (json.dumps(told, indent=1, allow_nan=False) + '\n').encode())
        write_atomically(folder / 'finetuning.md', finetuning_markdown(outcome).encode())
        write_atomically(folder / 'predictions.parquet', _parquet(_predictions(outcome), told))
    except OSError as error:
        raise RunError(
            expected='a folder that can be written', came=f'{folder}: {error.strerror}', todo='choose another --out'
        ) from error


def _title(outcome: Finetuning) -> str:
    encoder = outcome.encoder
    size = f'{encoder["parameters"] / 1e6:.1f} million parameters'
    return f'{outcome.task.manifest.facts.corpus}: {encoder["name"]} ({encoder["kind"]}, {size}) fine-tuned'


def _lines(outcome: Finetuning) -> list[str]:
    settings = outcome.settings
    names = sorted({row.headline for row in outcome.rows})
    rates = ', '.join(f'{rate:g}' for rate in settings.rates)
    return [
        *(f'{name}: {how}' for name, how in HOW.items()),
        f'{" and ".join(names)} in per cent; settings and epoch chosen on validation alone; {settings.seeds} seeds',
        f'fine-tuned: {settings.trials} draws with rates {rates}, the encoder at {settings.backbone_share:g} of them, '
        f'{settings.epochs} epochs at most, patience {settings.patience}; on frozen vectors: {settings.frozen_trials} '
        f'draws of each model, {settings.frozen_epochs} epochs at most, patience {settings.frozen_patience}',
        'intervals and tests draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples; Holm over {len(outcome.gains)} tests',
        *outcome.task.notes,
    ]


def _cells(outcome: Finetuning) -> Iterator[tuple[str, ...]]:
    for row in outcome.rows:
        system = row.system
        sd = f'{100 * float(np.std(row.by_seed, ddof=1)):.2f}' if len(row.by_seed) > 1 else ''
        broken = ', '.join(f'{count} {name}' for name, count in system.statuses.items() if name != 'healthy')
        yield (
            system.name, row.test, spread(row.scores[row.headline].value, row.scores[row.headline]), sd,
            ' '.join(f'{100 * value:.2f}' for value in row.by_seed), f'{system.parameters:,}', broken,
        )  # fmt: skip


def _pairs(outcome: Finetuning) -> Iterator[tuple[str, ...]]:
    for gain in outcome.gains:
        yield (
            gain.model, gain.over, gain.test, _signed(gain.value.value, gain.value), f'{gain.p:.4f}',
            f'{gain.p_holm:.4f}',
        )  # fmt: skip


def _predictions(outcome: Finetuning) -> list[dict[str, Any]]:
    """One line a model, seed and tested sample."""
    task, found = outcome.task, []
    for row in outcome.rows:
        for seed, (logits, values) in enumerate(zip(row.system.logits, row.system.values, strict=True)):
            for at in task.tests[row.test].tolist():
                category = task.manifest.facts.categories[int(logits[at].argmax())] if task.classes else None
                value = float(values[at, 0]) if values.shape[1] else None
                found.append(
                    {
                        'model': row.system.name, 'test': row.test, 'seed': seed, 'sample': task.manifest.names[at],
                        'category': category, 'outputs': logits[at].tolist(), 'value': value,
                    }
                )  # fmt: skip
    return found
