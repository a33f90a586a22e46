"""Who speaks in each clip of a folder of captions: `speaking.csv`, computed by several processes, resumable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.captioning.captions import AUDIO_WINDOW, CLIPS, WINDOW
from affekt.captioning.speaking import SpeakingScore, clip_speaking, from_row
from affekt.errors import TableError
from affekt.progress import Progress, with_progress
from affekt.runs import Run, write_atomically
from affekt.tables import csv_bytes, read_table
from affekt.workers import as_finished, workers

SPEAKING, WORK = 'speaking.csv', 'speaking'
VERSION = 'speaking-1'
"""Version of the score; change it whenever the computation changes."""
HEADS = ('name', 'score', 'rhythm', 'lead', 'motion', 'faces', 'voiced_s', 'why')


def score_speaking(captions: Path, *, processes: int = 1, progress: Progress | None = None) -> list[SpeakingScore]:
    """Score every clip that the folder's `clips.csv` names, and write `speaking.csv`.

    Args:
        captions: a folder of captions.
        processes: number of processes.
        progress: called with 'speaking', clips done, total clips.

    Raises:
        TableError: the folder has no `clips.csv`.
        RunError: another process is using the folder, or a worker died; finished scores are kept.
    """
    clips = clip_places(captions)
    folder = captions / WORK
    with Run(folder, {'version': VERSION}, resume=folder.exists()) as run:
        done: dict[str, SpeakingScore] = {}
        for row in clips:
            entry = run.finished(_key(row))
            if entry is not None:
                done[str(row['name'])] = from_row(entry.facts['score'])
        todo = [row for row in clips if str(row['name']) not in done]
        for row, score in with_progress(_scored(todo, processes), progress, 'speaking', len(clips), done=len(done)):
            run.note(_key(row), '', files=(), score=score.to_dict())
            done[score.name] = score
    scores = [done[str(row['name'])] for row in clips]
    rows = [[_cell(getattr(score, head)) for head in HEADS] for score in scores]
    write_atomically(captions / SPEAKING, csv_bytes(HEADS, rows))
    return scores


def _cell(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) and math.isfinite(value) else value


def _key(row: Mapping[str, Any]) -> str:
    """Key of a clip by its name, files and segment, so that a clip with another segment is scored again."""
    return repr([str(row.get(name) or '') for name in ('name', 'video', 'audio', *WINDOW, *AUDIO_WINDOW)])


def _scored(todo: Sequence[Mapping[str, Any]], processes: int) -> Any:
    if processes == 1 or len(todo) < 2:
        for row in todo:
            yield row, _score(row)
        return
    advice = 'run the same command again: scores so far are kept; fewer --processes need less memory'
    with workers(min(processes, len(todo)), _nothing, (), todo=advice) as pool:
        yield from as_finished(pool, _score, todo, processes)


def _nothing() -> None:
    pass


def _score(row: Mapping[str, Any]) -> SpeakingScore:
    video, audio = (Path(str(row[column])) if row.get(column) else None for column in ('video', 'audio'))
    return clip_speaking(str(row['name']), video, audio, _window(row, WINDOW), _window(row, AUDIO_WINDOW))


def _window(row: Mapping[str, Any], columns: tuple[str, str]) -> tuple[float, float] | None:
    start_s, end_s = (row.get(column) for column in columns)
    return None if end_s in (None, '') else (float(start_s or 0.0), float(end_s))


def clip_places(captions: Path) -> list[dict[str, Any]]:
    """The path and segment of each clip, from `clips.csv` in a folder of captions.

    Raises:
        TableError: the table is missing.
    """
    if not (captions / CLIPS).is_file():
        raise TableError(
            expected=f'a folder of captions with {CLIPS}',
            came=str(captions),
            todo='finish its run with `affekt caption`',
        )
    return [dict(row) for row in read_table(captions / CLIPS).records()]


def read_speaking(captions: Path) -> dict[str, SpeakingScore]:
    """Clip to its score, from a folder of captions with `speaking.csv`, or from such a table.

    Raises:
        TableError: the table is missing.
    """
    file = captions / SPEAKING if captions.is_dir() else captions
    if not file.is_file():
        raise TableError(
            expected=f'scores of who speaks, {SPEAKING}', came=f'{captions} without them',
            todo=f'make them: affekt caption speaking {captions}',
        )  # fmt: skip
    return {score.name: score for score in map(from_row, read_table(file).records())}
