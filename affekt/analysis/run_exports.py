"""What is made of a whole run afterwards: its results in other formats, and its pages again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.analysis.analysis import Analysis
from affekt.analysis.export import EXPORTS, SUFFIXES, export
from affekt.analysis.folders import parts_of
from affekt.analysis.results import ResultNote, Results, results_that_count
from affekt.analysis.stored import MAIN_FILE
from affekt.errors import RunError, UnknownNameError, did_you_mean
from affekt.tables import storable

REPORT_FILE = 'report.html'


@dataclass(frozen=True)
class Written(Sequence[Path]):
    """The files written, one per recording whose results count."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()
    """Sentences on what was left out, and why."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> Path:  # type: ignore[override]
        return self.paths[at]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)


def export_run(run: Path, to: str, out: Path | None = None, *, raw_csv: bool = False) -> Written:
    """Every finished file of a run in another format.

    Args:
        run: a run folder, or the folder of one of its files.
        to: a format of EXPORTS.
        out: folder for the files, with the subfolders of the recordings; where the results lie without it.
        raw_csv: write texts that a spreadsheet would take for formulas without an apostrophe in front.

    Returns:
        The files, and what was left out.

    Raises:
        UnknownNameError: no such format.
        RunError: no run in the folder, nothing in it is finished, it leads outside, or a result is damaged.
    """
    if to not in EXPORTS:
        todo = did_you_mean(to, EXPORTS)
        raise UnknownNameError(expected=f'a format among {sorted(EXPORTS)}', came=f'{to!r}', todo=todo)
    suffix = SUFFIXES[to].removeprefix('.')
    if (run / MAIN_FILE).exists():
        target = (out or run) / f'{run.name if out else "exported"}.{suffix}'
        return Written((export(run, to, target, raw_csv=raw_csv),))
    results = _results(run)
    depth = max(len(parts_of(note.file)) for note in results.notes)
    written = []
    for note in results.notes:
        target = _below(out, note, suffix) if out else run / note.folder / f'exported.{suffix}'
        written.append(export(_named(run, note), to, target, raw_csv=raw_csv, least_parts=depth))
    return Written(tuple(written), results.remarks)


def report_run(run: Path) -> Written:
    """The page of every finished file of a run, made again; with the recording where it still is and is the same.

    Args:
        run: a run folder, or the folder of one of its files.

    Raises:
        RunError: no run in the folder, nothing in it is finished, it leads outside, or a result is damaged.
    """
    if (run / MAIN_FILE).exists():
        analysis = Analysis.load(run)
        return Written((analysis.report(run / REPORT_FILE),), _unshown(analysis))
    results = _results(run)
    written, remarks = [], list(results.remarks)
    for note in results.notes:
        analysis = _named(run, note)
        written.append(analysis.report(run / note.folder / REPORT_FILE))
        remarks += _unshown(analysis)
    return Written(tuple(written), tuple(remarks))


def _results(run: Path) -> Results:
    results = results_that_count(run)
    if not results.notes:
        raise RunError(
            expected='a run with a finished file',
            came=f'none in {run}' + (f': {results.remarks[0]}' if results.remarks else ''),
            todo='go on with it by `affekt analyze --resume`',
        )
    return results


def _named(run: Path, note: ResultNote) -> Analysis:
    """The analysis, with the path that the journal gives it."""
    analysis = Analysis.load(run / note.folder)
    source = dataclasses.replace(analysis.source, file=storable(note.file))
    return dataclasses.replace(analysis, source=source, recording=note.input)


def _below(out: Path, note: ResultNote, suffix: str) -> Path:
    """The file's place below a folder: the recording's subfolders, then its name and key."""
    parts = [re.sub(r'[\0/\\]', '_', storable(part)) for part in parts_of(note.file)]
    if any(part in ('', '.', '..') or ':' in part for part in parts):
        raise RunError(
            expected='paths below the folder that was analyzed',
            came=f'{note.file!r} in the journal',
            todo='export only runs that you made or trust',
        )
    return out.joinpath(*parts) / f'{note.folder}.{suffix}'


def _unshown(analysis: Analysis) -> tuple[str, ...]:
    """Why a page shows no recording, as a sentence; empty where it does, or may not."""
    _, why = analysis.shown()
    return (f'{analysis.source.file or analysis.source.name}: the page is without the recording. {why}',) if why else ()
