"""The outcome of MERBench as tables for a terminal, as Markdown, as plain facts for JSON, and as Parquet."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.benchmarks.merbench import ORACLE, Merbench, Row
from affekt.benchmarks.merbench_settings import SIMPLE
from affekt.benchmarks.showing import as_plain, bounds, percent, plain_table, spread
from affekt.errors import RunError
from affekt.runs import versions, write_atomically

HOW = {
    'fair': 'settings and epoch chosen on validation, the test read once a seed',
    'reference': 'as published: the test read every epoch, settings shared by all folds, inputs as they come',
    ORACLE: 'the published loop had the test itself chosen the epoch: no result, it shows what reading it can add',
}
HEADS = ('features', 'model', 'protocol', 'test', 'mean [95 %]', 'sd', 'gain [95 %]', 'over', 'p', 'runs')
BUYS = ('features', 'test', 'fair', 'reference', 'difference', 'best test epoch', 'it would add')
LEFT = 4


def merbench_tables(outcome: Merbench) -> Group:
    """All rows, what the published protocol adds, and what to know of them."""
    parts: list[Any] = [Text(_title(outcome)), Text(), _table(HEADS, _cells(outcome), LEFT)]
    if buys := list(_buys(outcome)):
        parts += [Text(), Text('What the published protocol adds'), _table(BUYS, buys, 2)]
    return Group(*parts, Text(), *(Text(line, style='dim') for line in _lines(outcome)))


def merbench_markdown(outcome: Merbench) -> str:
    """The same as Markdown."""
    parts = [f'# {_title(outcome)}', _markdown(HEADS, _cells(outcome), LEFT)]
    if buys := list(_buys(outcome)):
        parts += ['## What the published protocol adds', _markdown(BUYS, buys, 2)]
    return '\n\n'.join([*parts, '\n'.join(f'- {line}' for line in _lines(outcome))]) + '\n'


def merbench_facts(outcome: Merbench) -> dict[str, Any]:
    """All of the outcome as plain values; None where undefined."""
    task = outcome.task
    return as_plain(
        {
            'benchmark': 'MERBench',
            'corpus': task.manifest.facts.corpus,
            'target': task.target,
            'samples': {'train': len(task.fair[0].train), **{name: len(index) for name, index in task.tests.items()}},
            'divisions': len(task.fair),
            'groups': {name: len(set(task.manifest.groups()[index])) for name, index in task.tests.items()},
            'features': dict(outcome.recipes),
            'settings': dataclasses.asdict(outcome.settings),
            'rows': [_row_facts(row) for row in outcome.rows],
            'notes': list(outcome.notes),
        }
    )


def save_merbench(folder: Path, outcome: Merbench, facts: dict[str, Any]) -> None:
    """Write `merbench.json`, `merbench.md`, `rows.parquet` and `predictions.parquet` into a run's folder.

    Raises:
        RunError: the folder cannot be written.
    """
    told = {**facts, 'versions': versions()}
    try:
        write_atomically(folder / 'merbench.json', (json.dumps(told, indent=1, allow_nan=False) + '\n').encode())
        write_atomically(folder / 'merbench.md', merbench_markdown(outcome).encode())
        write_atomically(folder / 'rows.parquet', _parquet(_flat_rows(outcome), told))
        write_atomically(folder / 'predictions.parquet', _parquet(_predictions(outcome), told))
    except OSError as error:
        raise RunError(
            expected='a folder that can be written', came=f'{folder}: {error.strerror}', todo='choose another --out'
        ) from error


def _title(outcome: Merbench) -> str:
    recipes = ', '.join(f'{name} {recipe.split()[0]}' for name, recipe in outcome.recipes.items())
    return f'{outcome.task.manifest.facts.corpus}: {outcome.settings.model} on {recipes}'


def _lines(outcome: Merbench) -> list[str]:
    settings, shown = outcome.settings, {row.system.protocol for row in outcome.rows}
    names = sorted({row.headline for row in outcome.rows})
    lines = [f'{protocol}: {how}' for protocol, how in HOW.items() if protocol in shown]
    lines += [
        f'{" and ".join(names)} in per cent; budget of each model: {settings.trials} draws at most, {settings.seeds} '
        f'seeds, {settings.epochs} epochs at most, patience {settings.patience}',
        'intervals and tests draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples; gain over the simple model that is better on validation, p after Holm over '
        f'{sum(row.gain is not None for row in outcome.rows)} tests',
    ]
    return [*lines, *outcome.notes]


def _cells(outcome: Merbench) -> Iterator[tuple[str, ...]]:
    for row in outcome.rows:
        gain = ('', '', '')
        if row.gain is not None:
            gain = (_signed(row.gain.value, row.gain), row.beside, f'{row.p_holm:.3f}')
        broken = {name: count for name, count in row.system.statuses.items() if name != 'healthy'}
        sd = f'{100 * float(np.std(row.by_seed, ddof=1)):.2f}' if len(row.by_seed) > 1 else ''
        yield (
            '+'.join(row.system.modalities), row.system.name, row.system.protocol, row.test,
            spread(row.scores[row.headline].value, row.scores[row.headline]), sd, *gain,
            ', '.join(f'{count} {name}' for name, count in broken.items()),
        )  # fmt: skip


def _buys(outcome: Merbench) -> Iterator[tuple[str, ...]]:
    found = {(row.system.modalities, row.test, row.system.protocol): row for row in outcome.rows if _asked(row)}
    for modalities, test in dict.fromkeys((key[0], key[1]) for key in found):
        rows = [found.get((modalities, test, protocol)) for protocol in HOW]
        if not all(rows):
            continue
        fair, reference, oracle = (row.scores[row.headline].value for row in rows if row)
        yield (
            '+'.join(modalities), test, percent(fair), percent(reference), _signed(reference - fair), percent(oracle),
            _signed(oracle - reference),
        )  # fmt: skip


def _asked(row: Row) -> bool:
    return row.system.name not in ('constant', *SIMPLE)


def _signed(value: float, interval: Any = None) -> str:
    told = f'{100 * value:+.2f}'
    return told if interval is None else f'{told} [{100 * interval.low:+.1f} {100 * interval.high:+.1f}]'


def _table(heads: Sequence[str], rows: Any, left: int) -> Table:
    table = plain_table(*heads, left=left)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(heads: Sequence[str], rows: Any, left: int) -> str:
    lines = [heads, ['---' if at < left else '---:' for at in range(len(heads))], *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _row_facts(row: Row) -> dict[str, Any]:
    system = row.system
    facts: dict[str, Any] = {
        'modalities': list(system.modalities),
        'model': system.name,
        'protocol': system.protocol,
        'test': row.test,
        'headline': row.headline,
        'mean': row.scores[row.headline].value,
        'interval': bounds(row.scores[row.headline]),
        'by_seed': list(row.by_seed),
        'scores': {name: held.value for name, held in row.scores.items()},
        'validation': system.validation,
        'chosen': [dict(each) for each in system.chosen],
        'runs': dict(system.statuses),
        'parameters': system.parameters,
        'seconds': system.seconds,
    }
    if row.gain is not None:
        facts['gain'] = {
            'over': row.beside,
            'value': row.gain.value,
            'interval': bounds(row.gain),
            'p': row.p,
            'p_holm': row.p_holm,
        }
    return facts


def _flat_rows(outcome: Merbench) -> list[dict[str, Any]]:
    """One line a system, test part and score."""
    return [
        {
            'modalities': '+'.join(row.system.modalities), 'model': row.system.name, 'protocol': row.system.protocol,
            'test': row.test, 'score': name, 'value': held.value, 'low': held.low, 'high': held.high,
            'counts': name == row.headline,
        }
        for row in outcome.rows
        for name, held in row.scores.items()
    ]  # fmt: skip


def _predictions(outcome: Merbench) -> list[dict[str, Any]]:
    """One line a system, seed and tested sample, with its category and value where the task has them."""
    task, found, names = outcome.task, [], outcome.task.manifest.names
    for row in outcome.rows:
        for seed, (logits, values) in enumerate(zip(row.system.logits, row.system.values, strict=True)):
            for at in task.tests[row.test].tolist():
                found.append(
                    {
                        'modalities': '+'.join(row.system.modalities), 'model': row.system.name,
                        'protocol': row.system.protocol, 'test': row.test, 'seed': seed, 'sample': names[at],
                        'category': task.manifest.facts.categories[int(logits[at].argmax())] if task.classes else None,
                        'outputs': logits[at].tolist(), 'value': float(values[at, 0]) if values.shape[1] else None,
                    }
                )  # fmt: skip
    return found


def _parquet(rows: list[dict[str, Any]], facts: dict[str, Any]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(rows)
    told = {'affekt': json.dumps({name: facts[name] for name in ('settings', 'versions', 'features', 'corpus')})}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(told), sink, compression='zstd')
    return bytes(sink.getvalue().to_pybytes())
