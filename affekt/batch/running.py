"""Analysis of many files into one run folder: each is analyzed once, even if the process is killed in between.

A finished file is a folder that appears when complete and is then recorded in the journal; `resume` continues with the
files that are not recorded. An error in one file is the outcome of that file: it is reported and recorded, the others
continue, and a resumed run tries it again. A clip is identified by its path below the named folder and by its content;
equal content is analyzed once.
"""

from __future__ import annotations

import dataclasses
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from affekt.analysis import Analysis, AnalysisSettings, Analyzer, Source
from affekt.analysis.results import (
    DONE,
    DUPLICATE,
    FAILED,
    RENAMED,
    SUPERSEDED,
    VANISHED,
    ResultNote,
    entry_of,
    is_gone,
    note_of,
    noted,
    on_namesakes,
    results_name,
    retire_absent,
    stale_reason,
    stamp_of,
)
from affekt.analysis.storage import MAIN_FILE, decoded, read_json
from affekt.batch.folders import Clip, Gathered, gather
from affekt.errors import AffektError, MediaError, StorageError, UnexpectedError
from affekt.files import NO_ROOM, storage_error
from affekt.progress import Progress
from affekt.report import REPORT_FILE, render_report
from affekt.runs import Run, file_sha256
from affekt.tables import storable

LOG = 'errors.log'
"""File for the tracebacks of unexpected errors."""

FileProgress = Callable[['Outcome | None', int, int], None]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input: a folder of results, an error, or the same content as another."""

    path: Path
    folder: Path | None
    error: AffektError | None = None
    resumed: bool = False
    """Whether it was finished before this run began."""
    file: str = ''
    """Path relative to the named folder."""
    sha256: str = ''
    same_as: str = ''
    """The file with the same content, whose results count for both; '' if there is none."""
    source: Source | None = field(default=None, repr=False)
    """The file as it was just analyzed; None if it was not."""
    analysis: Analysis | None = field(default=None, repr=False, compare=False)
    """The analysis just computed; only during the call of `advanced`, so that memory does not grow with the files."""

    @property
    def report_page(self) -> Path | None:
        """The page of the file; None without results."""
        return None if self.folder is None else self.folder / REPORT_FILE

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on parts of the file that were not read, from its results."""
        return () if (source := self._analyzed_source()) is None else source.losses

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on damage, missing streams, and what was not analyzed, from its results."""
        return () if (source := self._analyzed_source()) is None else source.notes

    def _analyzed_source(self) -> Source | None:
        """The file as recorded in its results; None without results."""
        if self.source is not None or self.folder is None:
            return self.source
        source: Source = decoded(Source, read_json(self.folder / MAIN_FILE).get('source'))
        return source

    def load(self) -> Analysis:
        """The results, read from disk unless they are in memory.

        Raises:
            MediaError: the input failed; the error is the original one.
        """
        if self.analysis is not None:
            return self.analysis
        if self.folder is None:
            raise self.error or MediaError(expected='results', came='none', todo='analyze the file again')
        return dataclasses.replace(Analysis.load(self.folder), recording=self.path)


@dataclass(frozen=True)
class Batch(Sequence[Outcome]):
    """One outcome per input, in order, and what was left out."""

    outcomes: tuple[Outcome, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Extension to the number of files in the named folders that are not media by their name."""
    remarks: tuple[str, ...] = ()
    """Sentences on the folders, and on results that are no longer valid."""

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, at: int | slice) -> Outcome | Sequence[Outcome]:
        return self.outcomes[at]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Inputs that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)

    @property
    def analyzed(self) -> tuple[Outcome, ...]:
        """Inputs with results of their own."""
        return tuple(outcome for outcome in self.outcomes if outcome.folder is not None and not outcome.same_as)

    @property
    def copies(self) -> tuple[Outcome, ...]:
        """Inputs with the same content as another one."""
        return tuple(outcome for outcome in self.outcomes if outcome.same_as)


def analyze_many(
    paths: Sequence[str | Path],
    out: Path,
    settings: AnalysisSettings,
    *,
    resume: bool = False,
    notes: tuple[str, ...] = (),
    progress: Progress | None = None,
    advanced: FileProgress | None = None,
) -> Batch:
    """Analyzes every file into its own folder in `out`, with its report.

    1. Search the folders. 2. Mark earlier results that are no longer valid. 3. Analyze file by file.

    Args:
        paths: files and folders.
        out: folder of the run.
        settings: settings for all files.
        resume: whether to continue the run in `out`.
        notes: sentences on the origin of the files, put before each analysis' own notes.
        progress: called with the stage of the current file, the amount done, and the total.
        advanced: called after each file with its outcome, the number done and the number of all; first with None and 0.

    Returns:
        One outcome per file and per entry that cannot be read.

    Raises:
        MediaError: there is nothing to analyze.
        RunError: the run folder cannot be used, or the disk is full.
        PurposeError: the purpose is refused.
    """
    # 1.
    gathered = gather(paths)
    total = len(gathered.clips) + len(gathered.problems)
    outcomes: list[Outcome] = []
    with Run(out, settings.recorded(), resume=resume) as run:
        # 2.
        present = {clip.file for clip in (*gathered.clips, *(clip for clip, _ in gathered.problems))}
        remarks = retire_absent(run, noted(out), present, [Path(path) for path in paths])
        # 3.
        work = _Work(Analyzer(settings, keep_models=len(gathered.clips) > 1), run, gathered.clips, notes, progress)
        if advanced:
            advanced(None, 0, total)
        for outcome in _outcomes(work, gathered):
            outcomes.append(dataclasses.replace(outcome, analysis=None))
            if advanced:
                advanced(outcome, len(outcomes), total)
        remarks += [*work.remarks, *on_namesakes(noted(out).values())]
    return Batch(tuple(outcomes), gathered.left_out, (*gathered.remarks, *remarks))


def _outcomes(work: _Work, gathered: Gathered) -> Iterator[Outcome]:
    for clip, error in gathered.problems:
        work.note_failure(clip, error)
        yield Outcome(clip.path, None, error, file=storable(clip.file))
    for clip in gathered.clips:
        yield work.outcome(clip)


class _Work:
    """A run in progress: its models, its folder, and the contents analyzed so far."""

    def __init__(
        self, analyzer: Analyzer, run: Run, clips: Sequence[Clip], notes: tuple[str, ...], progress: Progress | None
    ) -> None:
        self._analyzer, self._run, self._notes, self._progress = analyzer, run, notes, progress
        self._notes_by_key = _with_paths(noted(run.folder), clips)
        self._keys_of_paths = {
            (note.sha256, str(note.input)): note.key for note in self._notes_by_key.values() if note.folder
        }
        self._keys_of_files: dict[str, set[str]] = {}
        for note in self._notes_by_key.values():
            self._keys_of_files.setdefault(note.file, set()).add(note.key)
        present = {clip.file for clip in clips}
        # Content to the file whose results count for it: the one that was analyzed, if it is still unchanged.
        self._first = {
            note.sha256: (note.file, note.folder)
            for note in self._notes_by_key.values()
            if note.state == DONE
            and note.file in present
            and not stale_reason(note)
            and run.finished(note.key, MAIN_FILE)
        }
        self.remarks: list[str] = []

    def outcome(self, clip: Clip) -> Outcome:
        """The outcome of one file; only errors that concern the whole run are raised."""
        try:
            return self._outcome(clip)
        except BaseException as error:
            file_error = self._file_error(clip, error)
            if file_error is None:
                raise
            self.note_failure(clip, file_error)
            return Outcome(clip.path, None, file_error, file=storable(clip.file))

    def _outcome(self, clip: Clip) -> Outcome:
        digest = file_sha256(clip.path)
        if digest in self._first and self._first[digest][0] != clip.file:
            return self._copy(clip, digest, *self._first[digest])
        key = f'{digest}:{clip.file}'
        if (earlier := self._finished(clip, digest)) is not None:
            outcome = Outcome(clip.path, self._run.folder / earlier.folder, None, True, storable(clip.file), digest)
            if earlier.key != key or earlier.state != DONE or str(earlier.input) != os.path.abspath(clip.path):
                self._done(clip, digest, earlier.folder, earlier.facts.get('notes', ()))
            else:
                self._retire_earlier(clip, digest)
        else:
            folder = self._run.folder / results_name(clip.path.stem, key)
            analysis = self._analyzed(clip, digest, folder)
            self._done(clip, digest, folder.name, analysis.source.notes)
            outcome = Outcome(
                clip.path, folder, file=storable(clip.file), sha256=digest, source=analysis.source, analysis=analysis
            )
        self._first[digest] = (clip.file, outcome.folder.name if outcome.folder else '')
        return outcome

    def _analyzed(self, clip: Clip, digest: str, folder: Path) -> Analysis:
        """Writes the results and the report of one file into its folder; returns the results."""
        with self._run.building(folder.name) as staging:
            stamp_before = stamp_of(clip.path)
            analysis = self._analyzer.analyze(clip.path, progress=self._progress, spill=staging)
            if analysis.source.sha256 != digest or stamp_of(clip.path) != stamp_before:
                raise MediaError(
                    expected='a file that stays as it is while it is read',
                    came=f'{clip.path} with other content at the end',
                    todo='wait until it is written, then add --resume',
                )
            source = dataclasses.replace(
                analysis.source, file=storable(clip.file), notes=(*self._notes, *analysis.source.notes)
            )
            analysis = dataclasses.replace(analysis, source=source, recording=clip.path)
            analysis.save(staging)
            render_report(analysis, staging / REPORT_FILE, clip.path)
        return analysis

    def _finished(self, clip: Clip, digest: str) -> ResultNote | None:
        """The note on complete results of this content.

        Older runs recorded the name alone; a run started at another folder has another path for the clip.
        """
        key_of_path = self._keys_of_paths.get((digest, os.path.abspath(clip.path)), '')
        for key in (f'{digest}:{clip.file}', f'{digest}:{clip.path.name}', key_of_path):
            note = self._notes_by_key.get(key)
            if note is not None and note.file == clip.file and note.state in (DONE, SUPERSEDED, VANISHED, RENAMED):
                return note if self._run.finished(key, MAIN_FILE) else None
        return None

    def _done(self, clip: Clip, digest: str, folder: str, sentences: Sequence[str]) -> None:
        """Records a finished file in the journal."""
        self._retire_earlier(clip, digest)
        entry = entry_of(clip.path, clip.file, digest)
        self._note(f'{digest}:{clip.file}', folder, **entry, notes=list(sentences), state=DONE)

    def _copy(self, clip: Clip, digest: str, first: str, folder: str) -> Outcome:
        """The outcome of a file with the content of `first`, which was analyzed into `folder`."""
        key = f'{digest}:{clip.file}'
        note = self._notes_by_key.get(key)
        is_noted = note is not None and note.state == DUPLICATE and note.facts.get('same_as') == first
        self._retire_earlier(clip, digest)
        if not is_noted:
            self._note(key, folder, **entry_of(clip.path, clip.file, digest), state=DUPLICATE, same_as=first)
        path = self._run.folder / folder
        return Outcome(clip.path, path, None, is_noted, storable(clip.file), digest, storable(first))

    def _retire_earlier(self, clip: Clip, digest: str) -> None:
        """Marks journal entries of this clip under another path, with other content, or of failures as not valid.

        A clip of the same path below another folder is another clip, as long as it exists.
        """
        path = Path(os.path.abspath(clip.path))
        for key in sorted(self._keys_of_files.get(clip.file, set()) - {f'{digest}:{clip.file}'}):
            note = self._notes_by_key[key]
            if note.state not in (DONE, DUPLICATE, FAILED) or (note.input != path and not is_gone(note.input)):
                continue
            state = RENAMED if note.sha256 == digest else SUPERSEDED
            self._run.amend(note.key, state=state)
            self._notes_by_key[note.key] = dataclasses.replace(note, state=state)
            if note.state == DONE and state == SUPERSEDED:
                self.remarks.append(f'{storable(clip.file)} has changed; its earlier results are not valid any more')

    def _note(self, key: str, folder: str, **entry: Any) -> None:
        """Adds an entry to the journal and to the notes in memory."""
        self._run.note(key, folder, **entry)
        self._notes_by_key[key] = note_of(key, folder, entry)
        self._keys_of_files.setdefault(self._notes_by_key[key].file, set()).add(key)

    def note_failure(self, clip: Clip, error: AffektError) -> None:
        """Records a failed file in the journal, so that all readers of the run see it."""
        sentence = storable(str(error))
        entry = {'input': os.path.abspath(clip.path), 'file': clip.file}
        self._note(f'failed:{clip.file}', '', **entry, state=FAILED, error=sentence)

    def _file_error(self, clip: Clip, error: BaseException) -> AffektError | None:
        """The error as one about the file; None if it concerns the whole run.

        Raises:
            StorageError: the disk is full.
        """
        if not isinstance(error, Exception) and type(error).__name__ != 'PanicException':  # of libraries in Rust
            return None
        if isinstance(error, StorageError):  # no other file can be written either
            return None
        for cause in (error, error.__cause__):
            if isinstance(cause, OSError) and cause.errno in NO_ROOM:
                raise storage_error(cause, self._run.folder) from error
        if isinstance(error, AffektError):
            return error
        if isinstance(error, OSError):
            return MediaError(
                expected='a readable file and room to write',
                came=f'{clip.path}: {error.strerror or error}',
                todo='check both',
            )
        self._log(clip, error)
        return UnexpectedError(
            expected='a file that can be analyzed',
            came=f'{clip.path}: {type(error).__name__} {" ".join(str(error)[:400].split())[:200]}'.rstrip(),
            todo=f'see {self._run.folder / LOG}; the other files go on, and --resume tries this one again',
        )

    def _log(self, clip: Clip, error: BaseException) -> None:
        """Stores the last 30 frames of the traceback, since a recursion has thousands."""
        lines = traceback.format_exception(error, limit=-30)
        stamp = time.strftime('%Y-%m-%d %H:%M:%S')
        with (self._run.folder / LOG).open('a', encoding='utf-8', errors='backslashreplace') as log:
            log.write(f'{stamp} {clip.path}\n{"".join(lines)}\n')


def _with_paths(notes: Mapping[str, ResultNote], clips: Sequence[Clip]) -> dict[str, ResultNote]:
    """The notes by key, with the current relative paths of the clips."""
    files = {os.path.abspath(clip.path): clip.file for clip in clips}
    return {
        key: dataclasses.replace(note, file=files.get(os.path.abspath(note.input), note.file))
        for key, note in notes.items()
    }
