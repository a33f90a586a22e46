"""What a run's journal says of each clip: which results count, and why others no longer do.

A note has a state: 'done'; 'superseded', where the clip was cut anew; 'vanished', where it was removed; 'duplicate',
where another clip has the same content; 'failed'. Only what is done, and whose clip is still what was analyzed, is
exported. A run folder may come from anybody, so nothing outside it is opened or written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from affekt.analysis.stored import MAIN_FILE
from affekt.errors import RunError
from affekt.runs import JOURNAL, Run, file_sha256, read_journal, read_settings
from affekt.tables import storable

DONE, SUPERSEDED, VANISHED, DUPLICATE, FAILED = 'done', 'superseded', 'vanished', 'duplicate', 'failed'


@dataclass(frozen=True)
class ResultNote:
    """The journal's last word on one clip with one content."""

    key: str
    folder: str
    """Name of the folder of results in the run; '' where there is none."""
    file: str
    """The clip's path below the named folder."""
    state: str
    sha256: str
    input: Path
    """Where the clip lay."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """The results of a run that count."""

    notes: tuple[ResultNote, ...]
    remarks: tuple[str, ...] = ()
    """Sentences on what is left out, and why."""
    duplicates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A clip to the others that have its content."""


def note_of(key: str, folder: str, facts: Mapping[str, Any]) -> ResultNote:
    """One line of the journal; in older runs it names the input alone.

    Raises:
        RunError: the line holds what no run writes.
    """
    path = facts.get('input', '')
    file = facts.get('file') or (PurePosixPath(path).name if isinstance(path, str) else '')
    texts = (key, folder, file, path, facts.get('state', DONE), facts.get('sha256', ''))
    if not all(isinstance(text, str) for text in texts):
        raise RunError(
            expected='a journal that affekt wrote', came=f'a line on {str(key)[:60]!r}', todo='analyze the files again'
        )
    return ResultNote(key, folder, file, texts[4], texts[5], Path(path), facts)


def noted(run: Path) -> dict[str, ResultNote]:
    """The last note under each key, in the order in which keys came up."""
    return {entry.key: note_of(entry.key, entry.folder, entry.facts) for entry in read_journal(run)}


def retire_absent(
    run: Run, known: Mapping[str, ResultNote], present: Collection[str], named: Sequence[Path]
) -> list[str]:
    """Note clips that are gone from the named folders as vanished; returns a sentence for each that had results."""
    folders = [Path(os.path.abspath(path)) for path in named if os.path.isdir(path)]
    remarks = []
    for note in known.values():
        searched = any(note.input.absolute().is_relative_to(folder) for folder in folders)
        if note.state in (DONE, FAILED) and note.file not in present and searched and not note.input.exists():
            run.amend(note.key, state=VANISHED)
            if note.state == FAILED:
                continue
            remarks.append(f'{storable(note.file)} is gone; its results are kept, and no longer exported')
    return remarks


def results_that_count(run: Path) -> Results:
    """The finished results of a run whose clips are still what was analyzed.

    A clip whose folder is not there at all counts: the run was copied to another place.

    Args:
        run: a run folder.

    Raises:
        RunError: no run in the folder, a damaged journal, or an entry that leads outside.
    """
    read_settings(run)
    kept: list[ResultNote] = []
    remarks: list[str] = []
    duplicates: dict[str, tuple[str, ...]] = {}
    failed: dict[str, str] = {}
    for note in noted(run).values():
        if note.state == FAILED:
            failed[note.file] = storable(note.file)
        elif note.state == DUPLICATE:
            first = str(note.facts.get('same_as', ''))
            duplicates[first] = (*duplicates.get(first, ()), note.file)
            failed.pop(note.file, None)
        elif note.state in (SUPERSEDED, VANISHED):
            if not note.folder:
                continue
            why = 'has changed since' if note.state == SUPERSEDED else 'is gone'
            remarks.append(f'{storable(note.file)} {why}: its earlier results are left out')
        else:
            failed.pop(note.file, None)
            if not is_inside(run, note.folder):
                raise RunError(
                    expected='results inside the run folder',
                    came=f'{note.folder!r} in {run / JOURNAL}',
                    todo='export only runs that you made or trust',
                )
            if why := no_longer(note):
                remarks.append(f'{storable(note.file)} {why}: its results are left out; go on with --resume')
            elif (run / note.folder / MAIN_FILE).exists():
                kept.append(note)
            else:
                remarks.append(f'{storable(note.file)} has no whole results; go on with --resume')
    remarks += [f'{file} could not be analyzed; --resume tries again' for file in failed.values()]
    remarks += [
        f'{storable(copy)} has the same content as {storable(first)}: it counts once'
        for first, copies in duplicates.items()
        for copy in copies
    ]
    return Results(tuple(kept), tuple(remarks), duplicates)


def is_inside(run: Path, folder: str) -> bool:
    """Whether a journal's folder is one right inside the run, and no link."""
    plain = bool(folder) and folder not in ('.', '..') and not set(folder) & {'/', '\\', '\0'}
    return plain and not (run / folder).is_symlink()


def no_longer(note: ResultNote) -> str:
    """Why a result no longer counts; '' where it does, or where the clip's folder is out of reach."""
    path = note.input
    try:
        if not note.input.name or not path.is_absolute() or not path.parent.is_dir():
            return ''
        if not path.exists():
            return 'is gone'
        status = path.stat()
        if [status.st_size, status.st_mtime_ns] == [note.facts.get('size'), note.facts.get('changed_ns')]:
            return ''
        return '' if file_sha256(path) == note.sha256 else 'has changed since'
    except (OSError, ValueError):
        return ''


def recording_of(results: Path) -> Path | None:
    """Where the recording lay whose results a folder holds, as the journal beside it says; None where none does."""
    try:
        notes = noted(results.parent) if (results.parent / JOURNAL).is_file() else {}
    except (RunError, OSError, json.JSONDecodeError):
        return None
    return next((n.input for n in notes.values() if n.folder == results.name and n.state != DUPLICATE), None)
