"""Finished runs on disk, each saved once it is complete, so that an interrupted experiment resumes where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.experiments.settings import RENAMED
from affekt.experiments.trial import Answers, Outputs, Trial, given_names
from affekt.files import LOG
from affekt.progress import Progress
from affekt.runs import SETTINGS, Run, write_atomically
from affekt.tables import require_bounded

RunTrial = Callable[[Trial], Answers]


class FinishedRuns:
    """A folder of finished runs; without a folder, nothing is saved and everything is computed.

    Args:
        folder: folder of the runs; None for none.
        depends_on: everything that the results depend on; a resumed folder must have the same.
        resume: continue in a folder that already has a run.

    Raises:
        RunError: as `affekt.runs.Run`.
    """

    def __init__(self, folder: Path | None, depends_on: Mapping[str, Any], *, resume: bool) -> None:
        self._run = None if folder is None else Run(folder, depends_on, resume=resume, renamed=RENAMED)
        self._done, self._total = 0, 1
        self._progress: Progress | None = None

    def expect(self, total: int, progress: Progress | None) -> None:
        """Set the total number of runs, and the callback after each."""
        self._total, self._progress = max(total, 1), progress

    def score(self, key: str, trial: Trial, run: RunTrial) -> float:
        """The validation score of a trial, which is run unless it was finished before."""
        entry = self._run.finished(key) if self._run else None
        value = float(entry.facts['score']) if entry else run(trial).score
        if self._run and not entry:
            self._run.note(key, SETTINGS, score=value)
        self._advance()
        return value

    def answers(self, key: str, trial: Trial, run: RunTrial) -> Answers:
        """The predictions of a trial, which is run unless it was finished before."""
        entry = self._run.finished(key) if self._run else None
        answers = _loaded(self._run.folder / entry.folder, entry.facts, trial) if self._run and entry else None
        if answers is None:
            answers = run(trial)
            if self._run:
                name = f'answers/{key.replace("/", ".")}.parquet'
                write_atomically(self._run.folder / name, _packed(answers))
                facts = {part: getattr(answers, part) for part in ('score', 'epoch', 'status', 'parameters')}
                self._run.note(key, name, **facts)
        self._advance()
        return answers

    def _advance(self) -> None:
        self._done += 1
        if self._progress:
            self._progress('train', self._done, self._total)

    def __enter__(self) -> FinishedRuns:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._run:
            self._run.__exit__(error_type, error, traceback)


def _packed(answers: Answers) -> bytes:
    """Predictions as Parquet: two columns (logits, values) each for the test, the oracle and every reduced input."""
    import pyarrow
    from pyarrow import parquet

    parts = {'': answers.test, 'oracle_': answers.oracle}
    parts |= {f'given {name} ': outputs for name, outputs in answers.given.items()}
    columns: dict[str, Floats32] = {}
    for prefix, outputs in parts.items():
        if outputs is not None:
            columns |= {f'{prefix}logits': outputs.logits, f'{prefix}values': outputs.values}
    sink = pyarrow.BufferOutputStream()
    row_type = pyarrow.list_(pyarrow.float32())
    table = pyarrow.table({name: pyarrow.array(list(rows), type=row_type) for name, rows in columns.items()})
    parquet.write_table(table, sink, compression='zstd')
    return bytes(sink.getvalue().to_pybytes())


def _loaded(path: Path, facts: Mapping[str, Any], trial: Trial) -> Answers | None:
    """A trial's predictions from a file; None, with a warning, where the file does not contain them."""
    try:
        return _read(path, facts, trial)
    except (KeyError, ValueError, OSError) as error:
        LOG.warning('%s is done again: it does not hold the answers of this run (%s)', path, error)
        return None


def _read(path: Path, facts: Mapping[str, Any], trial: Trial) -> Answers:
    from pyarrow import parquet

    require_bounded(path)
    table = parquet.read_table(path, partitioning=None)

    def outputs(prefix: str) -> Outputs | None:
        if f'{prefix}logits' not in table.column_names:
            return None
        columns = [table.column(f'{prefix}{name}').to_pylist() for name in ('logits', 'values')]
        # (T, C) and (T, V)
        return Outputs(*(np.array(rows, dtype=np.float32).reshape(len(trial.fold.test), -1) for rows in columns))

    names = given_names(trial.modalities) if trial.withholds else ()
    given = {name: reduced_outputs for name in names if (reduced_outputs := outputs(f'given {name} ')) is not None}
    if names and (side_by_side := outputs('gap_')) is not None:
        given = _separated(side_by_side, names)
    test, oracle = outputs(''), outputs('oracle_')
    if trial.reads_test and set(given) != set(names):
        raise ValueError(f'answers to {len(given)} of {len(names)} ways of withholding')
    for predictions in (test, oracle, *given.values()):
        if predictions is not None and predictions.logits.shape[1] != trial.task.classes:
            raise ValueError(f'{predictions.logits.shape[1]} columns of categories, not {trial.task.classes}')
    return Answers(facts['score'], facts['epoch'], facts['status'], facts['parameters'], test, oracle, given)


def _separated(side_by_side: Outputs, names: tuple[str, ...]) -> dict[str, Outputs]:
    """Predictions of an older file, whose reduced inputs are concatenated without names: (T, G C) and (T, G V)."""
    per_input = zip(*(np.split(columns, len(names), axis=1) for columns in side_by_side), strict=True)
    return {name: Outputs(*parts) for name, parts in zip(names, per_input, strict=True)}
