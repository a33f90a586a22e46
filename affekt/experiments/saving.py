"""An experiment's outcome on disk: plain values for JSON, its pages, and Parquet with every prediction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.experiments.scored import Row
from affekt.experiments.task import Task
from affekt.pages.figures import bounds
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file, plain


def outcome_facts(
    benchmark: str,
    task: Task,
    settings: Any,
    features: Mapping[str, Any],
    rows: Sequence[Row],
    notes: Sequence[str],
) -> dict[str, Any]:
    """An outcome as plain values; None if a score is undefined.

    Args:
        benchmark: name of the benchmark.
        task: corpus, target and parts.
        settings: settings of the run, a dataclass.
        features: description of the features that the models read.
        rows: systems on the test parts.
        notes: sentences for readers of the tables.
    """
    return plain(
        {
            'benchmark': benchmark,
            'corpus': task.manifest.facts.corpus,
            'target': task.target,
            'samples': task.part_sizes,
            'divisions': len(task.fair),
            'groups': task.part_groups,
            'features': dict(features),
            'settings': dataclasses.asdict(settings),
            'rows': [row_facts(row) for row in rows],
            'notes': list(notes),
        }
    )


def save_outcome(
    folder: Path,
    stem: str,
    task: Task,
    rows: Sequence[Row],
    facts: Mapping[str, Any],
    pages: Mapping[str, str],
    *,
    with_rows: bool = False,
) -> None:
    """Write an outcome into the folder of a run: `<stem>.json`, pages, and `predictions.parquet`.

    Args:
        folder: folder of the run.
        stem: stem of the file names.
        task: the task that the systems were tested on.
        rows: systems on the test parts.
        facts: the outcome as plain values, see `outcome_facts`.
        pages: file extension (`html`, `md`) to the text of the page.
        with_rows: also write `rows.parquet`, one row per score.

    Raises:
        StorageError: the folder cannot be written.
    """
    saved = {**facts, 'versions': versions()}
    write_atomically(folder / f'{stem}.json', json_file(saved))
    for ending, text in pages.items():
        write_atomically(folder / f'{stem}.{ending}', text.encode())
    if with_rows:
        write_atomically(folder / 'rows.parquet', as_parquet(_flat_rows(rows), saved))
    write_atomically(folder / 'predictions.parquet', as_parquet(predictions_of(task, rows), saved))


def row_facts(row: Row) -> dict[str, Any]:
    """A scored row as plain values."""
    system = row.system
    content: dict[str, Any] = {
        'modalities': list(system.modalities),
        'model': system.name,
        'protocol': system.protocol,
        **({'given': system.given} if system.given else {}),
        'test': row.test,
        'headline': row.headline,
        'mean': row.scores[row.headline].value,
        'interval': bounds(row.scores[row.headline]),
        'by_seed': list(row.by_seed),
        'scores': {name: score.value for name, score in row.scores.items()},
        'validation': system.validation,
        'chosen': [dict(configuration) for configuration in system.chosen],
        'runs': dict(system.statuses),
        'parameters': system.parameters,
        'seconds': system.seconds,
    }
    for gain in row.gains:
        content[f'gain_over_{gain.kind}'] = {
            'over': {'modalities': list(gain.over.modalities), 'model': gain.over.name},
            'value': gain.value.value,
            'interval': bounds(gain.value),
            'p': gain.p,
            'p_holm': gain.p_holm,
        }
    return content


def _flat_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One dict per system, test part and score."""
    return [
        {
            'modalities': '+'.join(row.system.modalities), 'model': row.system.name, 'protocol': row.system.protocol,
            'given': row.system.given, 'test': row.test, 'score': name, 'value': score.value, 'low': score.low,
            'high': score.high, 'counts': name == row.headline,
        }
        for row in rows
        for name, score in row.scores.items()
    ]  # fmt: skip


def predictions_of(task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One dict per system, seed and tested sample, with category and value where the task has them."""
    predictions, names = [], task.manifest.names
    for row in rows:
        for seed, (logits, values) in enumerate(zip(row.system.logits, row.system.values, strict=True)):
            for i in task.tests[row.test].tolist():
                predictions.append(
                    {
                        'modalities': '+'.join(row.system.modalities), 'model': row.system.name,
                        'protocol': row.system.protocol, 'given': row.system.given, 'test': row.test, 'seed': seed,
                        'sample': names[i],
                        'category': task.manifest.facts.categories[int(logits[i].argmax())] if task.classes else None,
                        'outputs': logits[i].tolist(), 'value': float(values[i, 0]) if values.shape[1] == 1 else None,
                        **({'values': values[i].tolist()} if values.shape[1] > 1 else {}),
                    }
                )  # fmt: skip
    return predictions


def as_parquet(rows: list[dict[str, Any]], about: Mapping[str, Any]) -> bytes:
    """Rows as a Parquet file whose metadata holds settings, versions, features and corpus."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(rows)
    header = {'affekt': json.dumps({name: about[name] for name in ('settings', 'versions', 'features', 'corpus')})}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(header), sink, compression='zstd')
    return bytes(sink.getvalue().to_pybytes())
