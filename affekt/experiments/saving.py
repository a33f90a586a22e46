"""The outcome of MERBench on disk: plain facts for JSON, Markdown, a page, and Parquet with every prediction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affekt.experiments.page import merbench_page
from affekt.experiments.scored import Outcome, Row
from affekt.experiments.tables import merbench_markdown
from affekt.experiments.task import Task
from affekt.pages.figures import as_plain, bounds
from affekt.runs import versions, write_atomically


def merbench_facts(outcome: Outcome) -> dict[str, Any]:
    """All of the outcome as plain values; None where undefined."""
    task = outcome.task
    return as_plain(
        {
            'benchmark': 'MERBench',
            'corpus': task.manifest.facts.corpus,
            'target': task.target,
            'feat_type': task.feat_type,
            'samples': {'train': len(task.fair[0].train), **{name: len(index) for name, index in task.tests.items()}},
            'divisions': len(task.fair),
            'groups': {name: len(set(task.manifest.groups()[index])) for name, index in task.tests.items()},
            'features': dict(outcome.recipes),
            'settings': dataclasses.asdict(outcome.settings),
            'rows': [row_facts(row) for row in outcome.rows],
            'notes': list(outcome.notes),
        }
    )


def save_merbench(folder: Path, outcome: Outcome, facts: dict[str, Any]) -> None:
    """Write `merbench.json`, `.md` and `.html`, `rows.parquet` and `predictions.parquet` into a run's folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    told = {**facts, 'versions': versions()}
    write_atomically(folder / 'merbench.json', (json.dumps(told, indent=1, allow_nan=False) + '\n').encode())
    write_atomically(folder / 'merbench.md', merbench_markdown(outcome).encode())
    write_atomically(folder / 'merbench.html', merbench_page(outcome).encode())
    write_atomically(folder / 'rows.parquet', as_parquet(_flat_rows(outcome), told))
    write_atomically(folder / 'predictions.parquet', as_parquet(predictions_of(outcome.task, outcome.rows), told))


def row_facts(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    system = row.system
    facts: dict[str, Any] = {
        'modalities': list(system.modalities),
        'model': system.name,
        'protocol': system.protocol,
        **({'given': system.given} if system.given else {}),
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
    for gain in row.gains:
        facts[f'gain_over_{gain.kind}'] = {
            'over': {'modalities': list(gain.over.modalities), 'model': gain.over.name},
            'value': gain.value.value,
            'interval': bounds(gain.value),
            'p': gain.p,
            'p_holm': gain.p_holm,
        }
    return facts


def _flat_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """One line a system, test part and score."""
    return [
        {
            'modalities': '+'.join(row.system.modalities), 'model': row.system.name, 'protocol': row.system.protocol,
            'given': row.system.given, 'test': row.test, 'score': name, 'value': held.value, 'low': held.low,
            'high': held.high, 'counts': name == row.headline,
        }
        for row in outcome.rows
        for name, held in row.scores.items()
    ]  # fmt: skip


def predictions_of(task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a system, seed and tested sample, with its category and value where the task has them."""
    found, names = [], task.manifest.names
    for row in rows:
        for seed, (logits, values) in enumerate(zip(row.system.logits, row.system.values, strict=True)):
            for at in task.tests[row.test].tolist():
                found.append(
                    {
                        'modalities': '+'.join(row.system.modalities), 'model': row.system.name,
                        'protocol': row.system.protocol, 'given': row.system.given, 'test': row.test, 'seed': seed,
                        'sample': names[at],
                        'category': task.manifest.facts.categories[int(logits[at].argmax())] if task.classes else None,
                        'outputs': logits[at].tolist(), 'value': float(values[at, 0]) if values.shape[1] else None,
                    }
                )  # fmt: skip
    return found


def as_parquet(rows: list[dict[str, Any]], facts: dict[str, Any]) -> bytes:
    """Rows as a Parquet file whose header says settings, versions, features and corpus."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(rows)
    told = {'affekt': json.dumps({name: facts[name] for name in ('settings', 'versions', 'features', 'corpus')})}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(told), sink, compression='zstd')
    return bytes(sink.getvalue().to_pybytes())
