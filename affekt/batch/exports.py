"""Exports of a whole run: its results in other formats, and its pages rewritten."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from affekt.analysis import EXPORTS, SUFFIXES, Analysis, export, parts_of
from affekt.analysis.results import ResultNote, Results, note_on, results_that_count
from affekt.analysis.storage import MAIN_FILE
from affekt.errors import AffektError, RunError, StorageError, UnknownNameError, did_you_mean
from affekt.people import CHANGES_FILE
from affekt.report import REPORT_FILE
from affekt.runs import Run, read_settings
from affekt.tables import storable
from affekt.wording import listed, subject

MOST_NAMED = 3
"""Maximum number of files of earlier exports that a remark names."""


@dataclass(frozen=True)
class Written(Sequence[Path]):
    """The written files, one per recording with valid results."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()
    """Sentences on what was left out, and why."""
    errors: tuple[AffektError, ...] = ()
    """Errors of damaged results; the others were written."""
    lacking: tuple[str, ...] = ()
    """Paths of clips without valid results: they failed, changed or vanished, and --resume has not been run since."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Path:  # type: ignore[override]
        return self.paths[index]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)


def export_run(run: Path, to: str, out: Path | None = None, *, raw_csv: bool = False) -> Written:
    """Writes every finished file of a run in another format.

    Args:
        run: folder of a run, or of one of its files.
        to: a format in EXPORTS.
        out: folder for the files, with the subfolders of the recordings; by default where the results are.
        raw_csv: whether a CSV keeps texts that a spreadsheet would run as formulas; False puts an apostrophe in front.

    Returns:
        The files, what was left out, and which results are damaged.

    Raises:
        UnknownNameError: the format is unknown.
        RunError: the folder holds no run, nothing in it can be exported, or it refers to paths outside.
    """
    if to not in EXPORTS:
        todo = did_you_mean(to, EXPORTS)
        raise UnknownNameError(expected=f'a format among {sorted(EXPORTS)}', came=f'{to!r}', todo=todo)
    suffix = SUFFIXES.get(to, to).removeprefix('.')
    if (run / MAIN_FILE).exists():
        target = (out or run) / f'{run.resolve().name if out else "exported"}.{suffix}'
        return Written((export(run, to, target, raw_csv=raw_csv),))
    results = _results(run)
    depth = max(len(parts_of(note.file)) for note in results.notes)

    def target_of(note: ResultNote) -> Path:
        return _below(out, note, suffix) if out else run / note.folder / f'exported.{suffix}'

    targets = [target_of(note) for note in results.notes]
    earlier = {target_of(note): None for note in results.set_aside}

    def write(note: ResultNote, target: Path) -> Path:
        return export(_load_named(run, note), to, target, raw_csv=raw_csv, least_parts=depth)

    written = _write_all(results, [partial(write, *pair) for pair in zip(results.notes, targets, strict=True)])
    stale = [storable(str(path)) for path in earlier if path not in targets and path.exists()]
    return dataclasses.replace(written, remarks=(*written.remarks, *_on_stale(stale)))


def report_run(run: Path) -> Written:
    """Rewrites the page of every finished file of a run, with its recording if that exists unchanged.

    Args:
        run: folder of a run, or of one of its files.

    Returns:
        The pages, which of them lack their recording, and which results are damaged.

    Raises:
        RunError: the folder holds no run, nothing in it is finished, it refers to paths outside, or it is in use.
    """
    if (run / MAIN_FILE).exists():
        with noted_results(run) as (journal, own_note):
            page, unshown = page_of(run, journal, own_note)
        return Written((page,), unshown)
    results = _results(run)
    remarks: list[str] = []
    with _opened(run) as journal:

        def write(note: ResultNote) -> Path:
            page, unshown = page_of(run / note.folder, journal, note)
            remarks.extend(unshown)
            return page

        written = _write_all(results, [partial(write, note) for note in results.notes])
    return dataclasses.replace(written, remarks=(*written.remarks, *remarks))


@contextlib.contextmanager
def noted_results(folder: Path) -> Iterator[tuple[Run | None, ResultNote | None]]:
    """The run of a folder of results, locked for this process, and the journal's note on them; None without a run.

    Raises:
        RunError: another process is writing the run.
    """
    note = note_on(folder.resolve())
    with _opened(folder.resolve().parent) if note else contextlib.nullcontext() as journal:
        yield journal, note


def _opened(run: Path) -> Run:
    settings = read_settings(run).get('settings')
    return Run(run, settings if isinstance(settings, dict) else {}, resume=True)


def page_of(folder: Path, journal: Run | None, note: ResultNote | None) -> tuple[Path, tuple[str, ...]]:
    """Rewrites the page of a folder of results; returns its path, and a sentence if it lacks its recording.

    The note on the results is renewed, so that it lists the new page; other files beside them (exports, a list of
    changes) are not part of them, and may change or be removed.
    """
    if journal is None or note is None:
        analysis = Analysis.load(folder)
        return analysis.report(folder / REPORT_FILE), _unshown(analysis)
    analysis = _load_named(journal.folder, note)
    entry = journal.finished(note.key, MAIN_FILE, without=(f'{note.folder}/{REPORT_FILE}',))
    page = analysis.report(journal.folder / note.folder / REPORT_FILE)
    if entry is not None:
        noted_files = entry.files or [
            f'{note.folder}/{path.name}' for path in folder.iterdir() if path.name != CHANGES_FILE
        ]
        files = sorted({*noted_files, f'{note.folder}/{REPORT_FILE}'})
        journal.note(note.key, note.folder, files=files, **note.facts)
    return page, _unshown(analysis)


def _on_stale(paths: Sequence[str]) -> tuple[str, ...]:
    """A sentence on files of earlier exports that would be read together with the new ones; () for none."""
    if not paths:
        return ()
    rest = [f'{len(paths) - MOST_NAMED} more'] if len(paths) > MOST_NAMED else []
    remove = 'remove them, or export into a new folder' if len(paths) > 1 else 'remove it'
    amount = subject(len(paths), 'file', 'remains', 'remain')
    names = listed([*paths[:MOST_NAMED], *rest])
    return (f'{amount} from earlier exports whose results are not valid: {names}; {remove}',)


def _write_all(results: Results, writers: Sequence[Callable[[], Path]]) -> Written:
    """Calls the writers; a damaged result does not prevent the others.

    Raises:
        RunError: nothing could be written.
    """
    paths, errors = [], []
    for write in writers:
        try:
            paths.append(write())
        except StorageError:  # no other file could be written either
            raise
        except RunError as error:
            errors.append(error)
    if errors and not paths:
        raise errors[0]
    return Written(tuple(paths), results.remarks, tuple(errors), results.lacking)


def _results(run: Path) -> Results:
    results = results_that_count(run)
    if not results.notes:
        raise RunError(
            expected='a run with a finished file',
            came=f'none in {run}' + (f': {results.remarks[0]}' if results.remarks else ''),
            todo='continue it with `affekt analyze --resume`',
        )
    return results


def _load_named(run: Path, note: ResultNote) -> Analysis:
    """The analysis of a note, with the path in the journal as its file."""
    analysis = Analysis.load(run / note.folder)
    source = dataclasses.replace(analysis.source, file=storable(note.file))
    return dataclasses.replace(analysis, source=source, recording=note.recording)


def _below(out: Path, note: ResultNote, suffix: str) -> Path:
    """Path of the export of a file in a folder: subfolders of the recording, then its name and key."""
    parts = [re.sub(r'[\0/\\:]', '_', storable(part)) for part in parts_of(note.file)]
    if any(part in ('', '.', '..') for part in parts):
        raise RunError(
            expected='paths below the folder that was analyzed',
            came=f'{note.file!r} in the journal',
            todo='export only runs that you made or trust',
        )
    return out.joinpath(*parts) / f'{note.folder}.{suffix}'


def _unshown(analysis: Analysis) -> tuple[str, ...]:
    """A sentence on why a page shows no recording; () if it shows one, or none was wanted."""
    _, reason = analysis.shown()
    return (
        (f'{analysis.source.file or analysis.source.name}: the page is without the recording. {reason}',)
        if reason
        else ()
    )
