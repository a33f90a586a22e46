"""The valid results of a run by its journal, and the reasons why others are not.

A note has a state: 'done'; 'superseded', if the clip's content changed; 'vanished', if it was removed; 'renamed',
if it is noted under another path; 'duplicate', if another clip has the same content; 'failed'. Only results that are
'done' and whose clip is unchanged are exported. A run folder may come from anybody, so nothing outside it is
opened or written.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from affekt.analysis.storage import MAIN_FILE
from affekt.errors import RunError
from affekt.runs import JOURNAL, Run, file_sha256, read_journal, read_settings
from affekt.tables import storable
from affekt.wording import counted, listed

DONE, SUPERSEDED, VANISHED, RENAMED = 'done', 'superseded', 'vanished', 'renamed'
DUPLICATE, FAILED = 'duplicate', 'failed'


@dataclass(frozen=True)
class ResultNote:
    """The journal's last note on one clip with one content."""

    key: str
    folder: str
    """Name of the folder of results in the run; '' if there is none."""
    file: str
    """The clip's path relative to the given folder."""
    state: str
    sha256: str
    input: Path
    """Path of the clip."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recording(self) -> Path | None:
        """The clip; None where there never was a file, as for a camera's stream."""
        return self.input if self.input.parts else None


@dataclass(frozen=True)
class Results:
    """The valid results of a run."""

    notes: tuple[ResultNote, ...]
    remarks: tuple[str, ...] = ()
    """Sentences on what is left out and why."""
    set_aside: tuple[ResultNote, ...] = ()
    """Results in the run that are no longer valid."""
    lacking: tuple[str, ...] = ()
    """Paths of clips without valid results, which --resume would analyze or note as gone."""


def note_of(key: str, folder: str, facts: Mapping[str, Any]) -> ResultNote:
    """One note of the journal; in older runs it has only the input.

    Raises:
        RunError: the line is not one that a run writes.
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
    """The last note under each key, in the order of first appearance."""
    return {entry.key: note_of(entry.key, entry.folder, entry.facts) for entry in read_journal(run)}


def retire_absent(
    run: Run, notes: Mapping[str, ResultNote], present: Collection[str], given_paths: Sequence[Path]
) -> list[str]:
    """Notes clips that are gone from the given folders as vanished; returns a sentence for each that had results."""
    folders = [Path(os.path.abspath(path)) for path in given_paths if os.path.isdir(path)]
    remarks = []
    for note in notes.values():
        if note.state not in (DONE, DUPLICATE, FAILED) or note.file in present:
            continue
        was_searched = any(note.input.absolute().is_relative_to(folder) for folder in folders)
        if was_searched and is_gone(note.input):
            run.amend(note.key, state=VANISHED)
            if note.state == DONE:
                remarks.append(f'{storable(note.file)} is gone; its results are kept, but not exported')
    return remarks


def is_gone(path: Path) -> bool:
    """Whether nothing exists at a path; an inaccessible path is not gone."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def results_that_count(run: Path) -> Results:
    """The finished results of a run whose clips are unchanged since.

    If the analyzed folder does not exist at all, its clips count: the run was copied to another place.

    Args:
        run: a run folder.

    Raises:
        RunError: no run in the folder, a damaged journal, or an entry that leads outside.
    """
    read_settings(run)
    notes = list(noted(run).values())
    kept: list[ResultNote] = []
    set_aside: list[ResultNote] = []
    remarks: list[str] = []
    lacking: list[str] = []
    for note in notes:
        had_results = note.folder and 'same_as' not in note.facts
        if note.state != DONE and not had_results:
            continue
        if not is_inside(run, note.folder):
            raise RunError(
                expected='results inside the run folder',
                came=f'{note.folder!r} in {run / JOURNAL}',
                todo='export only runs that you made or trust',
            )
        reason = _exclusion_reason(run, note)
        (set_aside if reason or note.state == RENAMED else kept).append(note)
        remarks += [f'{storable(note.file)} {reason}'] if reason else []
        lacking += [note.file] if reason and note.state == DONE else []
    counted_files = {note.file for note in kept}
    failed = [note.file for note in notes if note.state == FAILED and note.file not in counted_files]
    remarks += [f'{storable(file)} could not be analyzed; --resume tries again' for file in failed]
    copies = [note for note in notes if note.state == DUPLICATE]
    remarks += [_on_copy(note, counted_files) for note in copies]
    lacking += failed + [note.file for note in copies if _is_lacking(note, counted_files)]
    remarks += on_namesakes(kept)
    return Results(
        tuple(sorted(kept, key=lambda note: note.file)),
        tuple(filter(None, dict.fromkeys(remarks))),
        tuple(set_aside),
        tuple(dict.fromkeys(lacking)),
    )


def _exclusion_reason(run: Path, note: ResultNote) -> str:
    """Why a result does not count, for a sentence that begins with the clip; '' if it does."""
    if note.state == RENAMED:
        return ''
    if note.state in (SUPERSEDED, VANISHED):
        reason = 'has changed since' if note.state == SUPERSEDED else 'is gone'
        return f'{reason}: its earlier results are left out'
    if reason := stale_reason(note):
        return f'{reason}: its results are left out; go on with --resume'
    return '' if (run / note.folder / MAIN_FILE).exists() else 'has no whole results; go on with --resume'


def _is_lacking(copy: ResultNote, counted_files: Collection[str]) -> bool:
    """Whether a clip with the content of another has no valid results through it, and is still there."""
    first = str(copy.facts.get('same_as', ''))
    return not is_gone(copy.input) if stale_reason(copy) else first not in counted_files


def _on_copy(note: ResultNote, counted_files: Collection[str]) -> str:
    """A sentence on a clip with the content of another, the first; '' if the clip is gone."""
    copy, first = storable(note.file), str(note.facts.get('same_as', ''))
    if reason := stale_reason(note):
        return f'{copy} {reason}; go on with --resume' if not is_gone(note.input) else ''
    if first not in counted_files:
        return f'{copy} has the same content as {storable(first)}, which is left out; go on with --resume'
    return f'{copy} has the same content as {storable(first)}: it counts once'


def on_namesakes(notes: Iterable[ResultNote]) -> list[str]:
    """A sentence if valid results of different clips have equal paths; [] if all paths differ."""
    inputs_by_file: dict[str, set[Path]] = {}
    for note in notes:
        if note.state == DONE:
            inputs_by_file.setdefault(note.file, set()).add(note.input)
    shared = {file: sorted(inputs) for file, inputs in inputs_by_file.items() if len(inputs) > 1}
    if not shared:
        return []
    file, inputs = next(iter(sorted(shared.items())))
    return [
        f'{counted(len(shared), "path")} in this run: several clips each, such as {storable(file)} for '
        f'{listed([storable(str(path)) for path in inputs])}; to tell them apart, analyze the folder above them into '
        'this run, with --resume'
    ]


def is_inside(run: Path, folder: str) -> bool:
    """Whether a journal's folder is directly inside the run, and not a link."""
    is_plain_name = bool(folder) and folder not in ('.', '..') and not set(folder) & {'/', '\\', '\0'}
    return is_plain_name and not (run / folder).is_symlink()


def stale_reason(note: ResultNote) -> str:
    """Why a result is not valid: its clip is gone or has changed; '' if it is valid, or if the analyzed folder cannot
    be reached."""
    path = note.input
    try:
        if not path.name or not path.is_absolute() or not _given_folder(note).is_dir():
            return ''
        if is_gone(path):
            return 'is gone'
        status = path.stat()
        if [status.st_size, status.st_mtime_ns] == [note.facts.get('size'), note.facts.get('changed_ns')]:
            return ''
        return '' if file_sha256(path) == note.sha256 else 'has changed since'
    except (OSError, ValueError):
        return ''


def entry_of(path: Path, file: str, digest: str) -> dict[str, Any]:
    """The journal's fields for every clip: its path, its path relative to the given folder, its content hash."""
    size, changed_ns = stamp_of(path)
    return {'input': os.path.abspath(path), 'file': file, 'sha256': digest, 'size': size, 'changed_ns': changed_ns}


def stamp_of(path: Path) -> tuple[int, int]:
    """(bytes, time of the last change in ns): a file counts as unchanged if both are equal."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def results_name(stem: str, key: str) -> str:
    """The name of the folder of a clip's results: readable, and unique by its key."""
    plain = re.sub(r'[^\w.-]+', '_', stem).strip('._')[:60]
    slug = plain.encode()[:120].decode(errors='ignore') or 'file'
    return f'{slug}-{hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]}'


def _given_folder(note: ResultNote) -> Path:
    """The folder that the clip's path starts from: above its subfolders, so that a removed subfolder is noticed."""
    parts = PurePosixPath(note.file).parts
    above = note.input.parents[len(parts) - 1] if parts and note.input.parts[-len(parts) :] == parts else None
    return note.input.parent if above is None or above == above.parent else above


def note_on(results: Path) -> ResultNote | None:
    """The journal's note on a folder of results; None if there is none."""
    try:
        notes = noted(results.parent) if (results.parent / JOURNAL).is_file() else {}
    except (RunError, OSError):
        return None
    own = [note for note in notes.values() if note.folder == results.name and note.state != DUPLICATE]
    return next((note for note in own if note.state != RENAMED), own[0] if own else None)


def recording_of(results: Path) -> Path | None:
    """The recording of a folder of results, according to the journal beside it; None if there is none."""
    note = note_on(results)
    return None if note is None else note.recording
