"""Every clip analyzed once, by one process or several, into a run folder that survives a kill.

A file is analyzed whole, however many clips are stretches of it; what is kept is its readings, a few numbers a clip.
Whatever happens in one file is the outcome of its clips, and is tried again by a resumed run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affekt.analysis import AnalysisSettings, Analyzer, models_wanted
from affekt.errors import AffektError, StorageError, UnexpectedError
from affekt.files import NO_ROOM, storage_error
from affekt.own_data.labelled import LabelledClip
from affekt.own_data.readings import ClipReading, readings_of
from affekt.progress import Progress
from affekt.runs import Run, file_sha256, read_regular_file, write_atomically
from affekt.tables import storable
from affekt.typed_json import json_file, typed
from affekt.weights import PACKAGED, wanted_path
from affekt.workers import as_finished, workers

READINGS = 'readings'
"""The folder of the run in which each file's readings lie."""
Window = tuple[float, float] | None


@dataclass(frozen=True)
class ReadClips:
    """What affekt says of the clips."""

    readings: tuple[ClipReading | None, ...]
    """One for each clip, in order; None where its file is missing or cannot be analyzed."""
    failed: Mapping[str, AffektError] = field(default_factory=dict)
    """Clip to why its file could not be analyzed."""
    missing: tuple[str, ...] = ()
    """Clips whose file is not there."""
    resumed: int = 0
    """Files that an earlier run had analyzed."""


@dataclass(frozen=True)
class _Job:
    """One file, and the stretches of it that are clips."""

    path: Path
    windows: tuple[Window, ...]

    @property
    def key(self) -> str:
        """The same for the same content and stretches."""
        stretches = json.dumps(self.windows)
        return f'{file_sha256(self.path)}:{hashlib.sha256(stretches.encode()).hexdigest()[:16]}'


def read_clips(
    clips: Sequence[LabelledClip],
    out: Path,
    settings: AnalysisSettings,
    *,
    vocal_head: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> ReadClips:
    """What affekt says of every clip.

    1. Gather the clips of each file. 2. Take what an earlier run has. 3. Analyze the others, and note each.

    Args:
        clips: of a manifest.
        out: the run folder.
        settings: for all files.
        vocal_head: folder of the voice's model in place of the packaged one.
        processes: how many work at once.
        resume: go on with the run that `out` holds.
        progress: told how many files are done.

    Raises:
        RunError: the run folder cannot be used, or a process died.
        StorageError: there is no more room in it.
    """
    # 1.
    jobs = _jobs(clips)
    recorded = settings.recorded() | {'models': _models_in(PACKAGED)}
    recorded |= {'vocal_head': _models_in(vocal_head)} if vocal_head else {}
    results: dict[Path, list[ClipReading] | AffektError] = {}
    with Run(out, recorded, resume=resume) as run:
        # 2.
        keys: dict[Path, str] = {}
        left = []
        for job in jobs:
            try:
                keys[job.path] = job.key
            except OSError as error:
                results[job.path] = _as_refusal(error, job.path)
                continue
            earlier = run.finished(keys[job.path])
            stored = None if earlier is None else _stored(out / earlier.folder, len(job.windows))
            if stored is None:
                left.append(job)
            else:
                results[job.path] = stored
        resumed = sum(isinstance(result, list) for result in results.values())
        # 3.
        tell = progress or (lambda stage, done, total: None)
        tell('clips', len(results), len(jobs))
        for job, result in _each(left, settings, vocal_head, processes):
            if isinstance(result, StorageError):
                raise result
            results[job.path] = result
            if isinstance(result, list):
                _note(run, job, keys[job.path], result)
            tell('clips', len(results), len(jobs))
    return _by_clip(clips, jobs, results, resumed)


def _jobs(clips: Sequence[LabelledClip]) -> list[_Job]:
    windows: dict[Path, dict[Window, None]] = {}
    for clip in clips:
        if clip.path is not None:
            windows.setdefault(clip.path, {})[clip.window_s] = None
    return [_Job(path, tuple(each)) for path, each in windows.items()]


def _by_clip(
    clips: Sequence[LabelledClip],
    jobs: Sequence[_Job],
    results: Mapping[Path, list[ClipReading] | AffektError],
    resumed: int,
) -> ReadClips:
    """The results of files as those of clips."""
    places = {job.path: {window: at for at, window in enumerate(job.windows)} for job in jobs}
    readings: list[ClipReading | None] = []
    failed, missing = {}, []
    for clip in clips:
        result = results.get(clip.path) if clip.path is not None else None
        if isinstance(result, list) and clip.path is not None:
            readings.append(result[places[clip.path][clip.window_s]])
            continue
        readings.append(None)
        if isinstance(result, AffektError):
            failed[clip.name] = result
        else:
            missing.append(clip.name)
    return ReadClips(tuple(readings), failed, tuple(missing), resumed)


def _note(run: Run, job: _Job, key: str, readings: Sequence[ClipReading]) -> None:
    """Write a file's readings into the run, and say so in its journal."""
    place = f'{READINGS}/{hashlib.sha256(key.encode()).hexdigest()[:24]}.json'
    (run.folder / READINGS).mkdir(exist_ok=True)
    write_atomically(run.folder / place, json_file({'file': storable(str(job.path)), 'readings': list(readings)}))
    run.note(key, place, input=storable(str(job.path)))


def _stored(path: Path, size: int) -> list[ClipReading] | None:
    """The readings that an earlier run wrote; None where they are not whole."""
    try:
        content = json.loads(read_regular_file(path))
        readings = [typed(ClipReading, each) for each in content['readings']]
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return readings if len(readings) == size else None


class _Reader:
    """The models, loaded once, and what they say of a file."""

    def __init__(self, settings: AnalysisSettings, vocal_head: Path | None) -> None:
        self._analyzer = Analyzer(settings, vocal_head=vocal_head)

    def read(self, job: _Job) -> list[ClipReading] | AffektError:
        """The readings of a file's clips, or why there are none."""
        try:
            analysis = self._analyzer.analyze(job.path)
            return [readings_of(analysis, window) for window in job.windows]
        except Exception as error:
            return _as_refusal(error, job.path)


def _as_refusal(error: Exception, path: Path) -> AffektError:
    """The error as one sentence about the file, which can be sent from a process to another."""
    if isinstance(error, AffektError):
        return error
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return storage_error(error, path)
    return UnexpectedError(
        expected='a file that can be analyzed',
        came=f'{path}: {type(error).__name__} {" ".join(str(error)[:400].split())[:200]}'.rstrip(),
        todo='the other files go on; `affekt analyze` on this one tells more',
    )


def _each(
    jobs: Sequence[_Job], settings: AnalysisSettings, vocal_head: Path | None, processes: int
) -> Iterator[tuple[_Job, list[ClipReading] | AffektError]]:
    """Files as they are read, here or by a pool of processes."""
    if not jobs:
        return
    if processes == 1 or len(jobs) < 2:
        reader = _Reader(settings, vocal_head)
        for job in jobs:
            yield job, reader.read(job)
        return
    todo = 'go on with --resume: finished clips are kept; fewer --processes need less memory'
    for name in models_wanted(settings):
        wanted_path(name)  # processes that work for another fetch nothing
    with workers(min(processes, len(jobs)), _open_in_worker, (settings, vocal_head), todo=todo) as pool:
        yield from as_finished(pool, _read_in_worker, jobs, processes)


_worker: _Reader | None = None


def _open_in_worker(settings: AnalysisSettings, vocal_head: Path | None) -> None:
    global _worker
    _worker = _Reader(settings, vocal_head)


def _read_in_worker(job: _Job) -> list[ClipReading] | AffektError:
    if _worker is None:
        raise RuntimeError('the worker was not opened')
    return _worker.read(job)


def _models_in(folder: Path) -> dict[str, str]:
    """The models of a folder and what they hold: a resumed run must have the same."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.suffix in ('.npz', '.onnx')}
