"""Many files into one run folder: each analyzed once, whatever kills the process in between.

A finished file is a folder that appears whole and is then noted in the run's journal; `resume` goes on with the files
that have no such note. A file that fails is reported, the others go on, and a resumed run tries it again.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.analysis.analysis import Analysis
from affekt.analysis.analyzer import Analyzer
from affekt.analysis.export import EXPORTS, SUFFIXES, export
from affekt.analysis.settings import AnalysisSettings
from affekt.errors import AffektError, MediaError, RunError, StorageError, UnknownNameError
from affekt.media import is_media_name
from affekt.runs import Run, file_sha256, read_journal, read_settings

Progress = Callable[[str, float, float], None]
FileProgress = Callable[['Outcome | None', int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one input: a folder of results, or an error."""

    path: Path
    folder: Path | None
    error: AffektError | None = None
    resumed: bool = False
    """It was already finished when this run began."""

    def load(self) -> Analysis:
        """Read the results back.

        Raises:
            MediaError: the input failed; the error is the one that it failed with.
        """
        if self.folder is None:
            raise self.error or MediaError(expected='results', came='none', todo='analyze the file again')
        return Analysis.load(self.folder)


def gather(paths: Sequence[Path]) -> list[Path]:
    """The media files that the paths name: files as they are, folders searched downwards, sorted, none twice.

    Raises:
        MediaError: a path does not exist, or a folder holds no media file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [Path(top) / name for top, folders, names in _walk(path) for name in names]
            media = sorted(p for p in inside if is_media_name(p) and not p.name.startswith('.'))
            if not media:
                raise MediaError(
                    expected=f'media files in {path}', came='none', todo='name a folder with video, sound or pictures'
                )
            found.update(dict.fromkeys(media))
        elif path.exists():
            found[path] = None
        else:
            raise MediaError(expected='an existing file or folder', came=f'{path}', todo='check the path')
    return list(found)


def _walk(folder: Path) -> list[tuple[str, list[str], list[str]]]:
    """os.walk without the run folders that earlier analyses left below `folder`."""
    kept = []
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not (Path(top) / f / 'journal.jsonl').exists())
        kept.append((top, folders, names))
    return kept


def analyze_many(
    paths: Sequence[Path],
    out: Path,
    settings: AnalysisSettings,
    *,
    resume: bool = False,
    notes: tuple[str, ...] = (),
    progress: Progress | None = None,
    advanced: FileProgress | None = None,
) -> list[Outcome]:
    """Analyze every file into `out`, one folder each, with its report.

    Args:
        paths: files and folders.
        out: the run folder.
        settings: for all files.
        resume: go on with the run that `out` holds.
        notes: sentences on where the files come from, put in front of each analysis' own notes.
        progress: told about the stages of the file at hand.
        advanced: told after each file: its outcome, how many are done, how many there are; first with None and 0.

    Returns:
        One outcome per file, in order.

    Raises:
        MediaError: a path is missing; nothing was analyzed.
        RunError: the run folder cannot be used.
        PurposeError: the purpose is refused.
    """
    files = gather(paths)
    outcomes: list[Outcome] = []
    with Run(out, settings.recorded(), resume=resume) as run:
        analyzer = Analyzer(settings)
        if advanced:
            advanced(None, 0, len(files))
        for file in files:
            outcomes.append(_one(analyzer, run, file, notes, progress))
            if advanced:
                advanced(outcomes[-1], len(outcomes), len(files))
    return outcomes


def _one(analyzer: Analyzer, run: Run, file: Path, notes: tuple[str, ...], progress: Progress | None) -> Outcome:
    try:
        digest = file_sha256(file)
        key = f'{digest}:{file.name}'
        if done := run.finished(key, main='analysis.json'):
            return Outcome(file, run.folder / done.folder, resumed=True)
        folder = run.folder / f'{_slug(file.stem)}-{digest[:8]}'
        with run.building(folder.name) as staging:
            analysis = analyzer.analyze(file, progress=progress, spill=staging)
            source = dataclasses.replace(analysis.source, notes=(*notes, *analysis.source.notes))
            analysis = dataclasses.replace(analysis, source=source)
            analysis.save(staging)
            analysis.report(staging / 'report.html', media=file)
        run.note(key, folder.name, input=str(file), sha256=digest, notes=list(analysis.source.notes))
        return Outcome(file, folder)
    except StorageError:
        raise  # the next file would meet the same
    except AffektError as error:
        return Outcome(file, None, error)
    except OSError as error:
        wrapped = MediaError(
            expected='a readable file and room to write', came=f'{file}: {error.strerror or error}', todo='check both'
        )
        return Outcome(file, None, wrapped)


def _slug(stem: str) -> str:
    return re.sub(r'[^\w.-]+', '_', stem).strip('._')[:60] or 'file'


def export_run(run: Path, to: str, out: Path | None = None) -> list[Path]:
    """Every finished file of a run in another format.

    Args:
        run: a run folder, or the folder of one of its files.
        to: a format of EXPORTS.
        out: folder for the files; where the results lie without it.

    Returns:
        The files written, one per analyzed recording.

    Raises:
        UnknownNameError: no such format.
        RunError: no run in the folder, or nothing in it is finished.
    """
    if to not in EXPORTS:
        raise UnknownNameError(expected=f'a format among {sorted(EXPORTS)}', came=f'{to!r}', todo='choose one of them')
    if (run / 'analysis.json').exists():
        results = [run]
    else:
        read_settings(run)
        results = [run / entry.folder for entry in read_journal(run) if (run / entry.folder).exists()]
    if not results:
        raise RunError(
            expected='a run with a finished file',
            came=f'none in {run}',
            todo='go on with it by `affekt analyze --resume`',
        )
    suffix = SUFFIXES[to].removeprefix('.')
    return [
        export(folder, to, (out or folder) / f'{folder.name if out else "exported"}.{suffix}') for folder in results
    ]
