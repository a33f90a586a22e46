"""Finished runs on disk, each noted once it is whole, so that a killed benchmark goes on where it stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from affekt.experiments.fitting import Answers
from affekt.runs import SETTINGS, Run, write_atomically
from affekt.tables import require_bounded

Progress = Callable[[str, float, float], None]
ARRAYS = tuple(part.name for part in dataclasses.fields(Answers) if part.default is None)


class Units:
    """A folder of finished runs; without a folder everything is computed.

    Args:
        folder: where; None for nowhere.
        facts: what the runs depend on; a resumed folder must have the same.
        resume: go on in a folder that holds a run.

    Raises:
        RunError: as `affekt.runs.Run`.
    """

    def __init__(self, folder: Path | None, facts: Mapping[str, Any], *, resume: bool) -> None:
        self._run = None if folder is None else Run(folder, facts, resume=resume)
        self._done, self._total = 0, 1
        self._progress: Progress | None = None

    def expect(self, total: int, progress: Progress | None) -> None:
        """How many runs there are, and who is told of each."""
        self._total, self._progress = max(total, 1), progress

    def score(self, key: str, compute: Callable[[], Answers]) -> float:
        """The score on what chooses, of a run that is done now or was done before."""
        entry = self._run.finished(key) if self._run else None
        value = float(entry.facts['score']) if entry else compute().score
        if self._run and not entry:
            self._run.note(key, SETTINGS, score=value)
        self._advance()
        return value

    def answers(self, key: str, compute: Callable[[], Answers]) -> Answers:
        """The answers of a run that is done now or was done before."""
        entry = self._run.finished(key) if self._run else None
        if self._run and entry:
            found = _loaded(self._run.folder / entry.folder, entry.facts)
        else:
            found = compute()
            if self._run:
                name = f'answers/{key.replace("/", ".")}.parquet'
                write_atomically(self._run.folder / name, _packed(found))
                facts = {part: getattr(found, part) for part in ('score', 'epoch', 'status', 'parameters')}
                self._run.note(key, name, **facts)
        self._advance()
        return found

    def _advance(self) -> None:
        self._done += 1
        if self._progress:
            self._progress('train', self._done, self._total)

    def __enter__(self) -> Units:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._run:
            self._run.__exit__(kind, error, at)


def _packed(answers: Answers) -> bytes:
    import pyarrow
    from pyarrow import parquet

    held = {name: getattr(answers, name) for name in ARRAYS}
    columns = {name: list(array) for name, array in held.items() if array is not None}
    sink = pyarrow.BufferOutputStream()
    kind = pyarrow.list_(pyarrow.float32())
    table = pyarrow.table({name: pyarrow.array(rows, type=kind) for name, rows in columns.items()})
    parquet.write_table(table, sink, compression='zstd')
    return bytes(sink.getvalue().to_pybytes())


def _loaded(path: Path, facts: Mapping[str, Any]) -> Answers:
    from pyarrow import parquet

    require_bounded(path)
    table = parquet.read_table(path, partitioning=None)
    arrays = {
        name: np.array(table.column(name).to_pylist(), dtype=np.float32).reshape(table.num_rows, -1)
        for name in table.column_names
    }
    return Answers(facts['score'], facts['epoch'], facts['status'], facts['parameters'], **arrays)
