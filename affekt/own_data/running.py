"""Analysis of every clip once, by one or several processes, in a run folder that can be resumed.

A file is analyzed as a whole, even where several clips are windows of it; only its readings are stored, a few numbers
per clip. An error in one file is the result of its clips, and a resumed run tries that file again.
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
"""Name of the subfolder of the run with each file's readings."""
Window = tuple[float, float] | None


@dataclass(frozen=True)
class ReadClips:
    """Readings of all clips."""

    readings: tuple[ClipReading | None, ...]
    """Readings of each clip, in order; None if its file is missing or cannot be analyzed."""
    failed: Mapping[str, AffektError] = field(default_factory=dict)
    """Name of a clip to the error of its file."""
    missing: tuple[str, ...] = ()
    """Names of clips whose file does not exist."""
    resumed: int = 0
    """Number of files that an earlier run had analyzed."""


@dataclass(frozen=True)
class _Job:
    """One file, and the windows of it that are clips."""

    path: Path
    windows: tuple[Window, ...]

    @property
    def key(self) -> str:
        """Key that is equal for equal contents and windows."""
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
    """The readings of every clip.

    1. Group the clips by file. 2. Load the results of an earlier run. 3. Analyze the others, each content once, and
    record each.

    Args:
        clips: clips of a manifest.
        out: run folder.
        settings: settings of the analysis, for all files.
        vocal_head: folder of a model of the voice to use instead of the packaged one.
        processes: number of concurrent analyses.
        resume: whether to continue the run in `out`.
        progress: called with the number of finished files.

    Raises:
        RunError: the run folder cannot be used, or a process died.
        StorageError: there is no space left for it.
    """
    # 1.
    jobs = _jobs(clips)
    recorded = settings.recorded() | {'models': _models_in(PACKAGED)}
    recorded |= {'vocal_head': _models_in(vocal_head)} if vocal_head else {}
    results: dict[Path, list[ClipReading] | AffektError] = {}
    with Run(out, recorded, resume=resume) as run:
        # 2.
        keys: dict[Path, str] = {}
        unfinished: dict[str, list[_Job]] = {}
        """Files of equal content and windows, by their key."""
        for job in jobs:
            try:
                key = keys[job.path] = job.key
            except OSError as error:
                results[job.path] = _file_error(error, job.path)
                continue
            earlier = run.finished(key)
            stored = None if earlier is None else _stored(out / earlier.folder, len(job.windows))
            if stored is None:
                unfinished.setdefault(key, []).append(job)
            else:
                results[job.path] = stored
        resumed = sum(isinstance(result, list) for result in results.values())
        # 3.
        report = progress or (lambda stage, done, total: None)
        report('clips', len(results), len(jobs))
        for job, result in _analyzed([twins[0] for twins in unfinished.values()], settings, vocal_head, processes):
            if isinstance(result, StorageError):
                raise result
            key = keys[job.path]
            results |= {twins.path: result for twins in unfinished[key]}
            if isinstance(result, list):
                _store(run, job, key, result)
            report('clips', len(results), len(jobs))
    return _by_clip(clips, jobs, results, resumed)


def _jobs(clips: Sequence[LabelledClip]) -> list[_Job]:
    windows: dict[Path, dict[Window, None]] = {}
    for clip in clips:
        if clip.path is not None:
            windows.setdefault(clip.path, {})[clip.window_s] = None
    return [_Job(path, tuple(file_windows)) for path, file_windows in windows.items()]


def _by_clip(
    clips: Sequence[LabelledClip],
    jobs: Sequence[_Job],
    results: Mapping[Path, list[ClipReading] | AffektError],
    resumed: int,
) -> ReadClips:
    """The readings of each clip, from the results of each file."""
    positions = {job.path: {window: index for index, window in enumerate(job.windows)} for job in jobs}
    readings: list[ClipReading | None] = []
    failed, missing = {}, []
    for clip in clips:
        result = results.get(clip.path) if clip.path is not None else None
        if isinstance(result, list) and clip.path is not None:
            readings.append(result[positions[clip.path][clip.window_s]])
            continue
        readings.append(None)
        if isinstance(result, AffektError):
            failed[clip.name] = result
        else:
            missing.append(clip.name)
    return ReadClips(tuple(readings), failed, tuple(missing), resumed)


def _store(run: Run, job: _Job, key: str, readings: Sequence[ClipReading]) -> None:
    """Writes a file's readings into the run, and records them in its journal."""
    name = f'{READINGS}/{hashlib.sha256(key.encode()).hexdigest()[:24]}.json'
    (run.folder / READINGS).mkdir(exist_ok=True)
    write_atomically(run.folder / name, json_file({'file': storable(str(job.path)), 'readings': list(readings)}))
    run.note(key, name, input=storable(str(job.path)))


def _stored(path: Path, size: int) -> list[ClipReading] | None:
    """Readings that an earlier run wrote; None if they are incomplete."""
    try:
        content = json.loads(read_regular_file(path))
        readings = [typed(ClipReading, stored) for stored in content['readings']]
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return readings if len(readings) == size else None


class _Reader:
    """Analysis of files with models that are loaded once."""

    def __init__(self, settings: AnalysisSettings, vocal_head: Path | None) -> None:
        self._analyzer = Analyzer(settings, vocal_head=vocal_head)

    def read(self, job: _Job) -> list[ClipReading] | AffektError:
        """Readings of a file's clips, or the error."""
        try:
            analysis = self._analyzer.analyze(job.path)
            return [readings_of(analysis, window) for window in job.windows]
        except Exception as error:
            return _file_error(error, job.path)


def _file_error(error: Exception, path: Path) -> AffektError:
    """The error as one about the file, which can be sent between processes."""
    if isinstance(error, AffektError):
        return error
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return storage_error(error, path)
    return UnexpectedError(
        expected='a file that can be analyzed',
        came=f'{path}: {type(error).__name__} {" ".join(str(error)[:400].split())[:200]}'.rstrip(),
        todo='run `affekt analyze` on this file for details; the other files go on',
    )


def _analyzed(
    jobs: Sequence[_Job], settings: AnalysisSettings, vocal_head: Path | None, processes: int
) -> Iterator[tuple[_Job, list[ClipReading] | AffektError]]:
    """Each file with its readings or error, in the order of completion, by this process or a pool."""
    if not jobs:
        return
    if processes == 1 or len(jobs) < 2:
        reader = _Reader(settings, vocal_head)
        for job in jobs:
            yield job, reader.read(job)
        return
    todo = 'go on with --resume: finished clips are kept; fewer --processes need less memory'
    for name in models_wanted(settings):
        wanted_path(name)  # worker processes download nothing
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
    """Name of each model file in a folder to its hash, which a resumed run must find unchanged."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.suffix in ('.npz', '.onnx')}
