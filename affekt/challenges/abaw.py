"""Scores of the ABAW challenges over all frames of all videos, with intervals over videos.

`abaw_files.py` has the tracks and the forms of their submissions. T frames of a video, U action units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.challenges.abaw_files import (
    FrameSubmission,
    FrameTrack,
    check_frame_submission,
    frame_table,
    frame_track_named,
    part_of,
    read_frame_submission,
    require_names,
    write_frame_submission,
)
from affekt.challenges.tracks import TrackScore
from affekt.errors import TableError, listed
from affekt.frames import (
    TASK_NAMES,
    FrameLabels,
    FrameList,
    FrameTable,
    find_annotations,
    read_affwild2,
    read_multitask,
)
from affekt.metrics import (
    FrameMeasure,
    affect_measure,
    expression_measure,
    frame_intervals,
    multitask_measure,
    unit_measure,
)
from affekt.wording import counted


def score_frames(
    name: str,
    truth: FrameTable,
    prediction: FrameTable,
    *,
    rng: np.random.Generator,
    partition: str = '',
    resamples: int = 1000,
) -> TrackScore:
    """A track's official score, with intervals over recordings.

    Args:
        name: name of the track.
        truth: labels of every frame.
        prediction: predictions for every labelled frame; other videos, and frames after the last one of the truth,
            are ignored.
        rng: generator of the resamples.
        partition: partition to score; '' for `test` where it has labels, otherwise `val`.
        resamples: number of bootstrap resamples for the intervals.

    Raises:
        UnknownNameError: the track or partition does not exist.
        TableError: a labelled frame has no prediction, the truth has no labelled frame, or classes or action units are
            others than those of the truth.
        ValueRangeError: a class that the truth does not have is predicted for a labelled frame.
    """
    track = frame_track_named(name)
    shared = min(len(truth.expressions), len(prediction.expressions))  # the eighth class came after seven
    classes = truth.expressions[:shared] + prediction.expressions[shared:]
    require_names(track, prediction, classes, truth.action_units)
    videos: list[FrameLabels] = []
    for part in (partition,) if partition else ('test', 'val'):
        videos = videos or [labels for labels in part_of(track, truth, part) if _is_labelled(labels, track)]
    if not videos:
        raise TableError(
            expected=f'labelled frames of {partition or "test or val"} for {name}', came='none',
            todo='score another partition, or give the annotations',
        )  # fmt: skip
    if missing := [labels.video for labels in videos if labels.video not in prediction]:
        raise TableError(
            expected='a prediction for every video', came=f'none for {listed(missing)}', todo='predict every video'
        )
    measure = frame_measure(
        track, videos, [_fitted(prediction[labels.video], labels, track) for labels in videos], truth
    )
    parts = frame_intervals(measure, rng=rng, recordings=[labels.recording for labels in videos], resamples=resamples)
    score = parts.pop(track.score)
    return TrackScore(name, track.metric, score, parts, int(measure.sizes.sum()), '', True)


def frame_measure(
    track: FrameTrack, truth: Sequence[FrameLabels], prediction: Sequence[FrameLabels], names: FrameTable
) -> FrameMeasure:
    """The measure from which a track's scores follow, for intervals and comparisons of two systems.

    Args:
        track: the track.
        truth: labels of each video.
        prediction: predictions for the same videos, in the same order and of the same lengths.
        names: a table with the names of classes and action units.

    Raises:
        ShapeError, ValueRangeError: as for the scores of `affekt.metrics`.
    """
    classes = len(names.expressions)
    sides = {task: _sides(task, truth, prediction) for task in track.tasks}
    if len(sides) > 1:
        return multitask_measure(sides['expression'], sides['affect'], sides['units'], classes)
    if 'expression' in sides:
        return expression_measure(*sides['expression'], classes, names.expressions)
    return affect_measure(*sides['affect']) if 'affect' in sides else unit_measure(*sides['units'], names.action_units)


def _sides(task: str, truth: Sequence[FrameLabels], prediction: Sequence[FrameLabels]) -> tuple[list[Any], list[Any]]:
    """The values of one task in each video, of truth and prediction."""
    return [getattr(labels, task) for labels in truth], [getattr(labels, task) for labels in prediction]


def _is_labelled(labels: FrameLabels, track: FrameTrack) -> bool:
    """Whether a video has a labelled frame for the track."""
    return any(labels.labelled(task).any() for task in track.tasks)


def _fitted(prediction: FrameLabels, truth: FrameLabels, track: FrameTrack) -> FrameLabels:
    """A prediction for the frames of the truth: further frames are cut, missing ones stay without labels.

    Raises:
        TableError: the prediction lacks a labelled frame.
    """
    values_by_task: dict[str, Any] = {}
    for task in track.tasks:
        if getattr(truth, task) is None:
            continue
        predicted = getattr(prediction, task)
        unlabelled = np.nan if task == 'affect' else -1
        fitted = np.full(getattr(truth, task).shape, unlabelled, dtype=np.float32 if task == 'affect' else np.int8)
        if predicted is not None:
            fitted[: len(predicted)] = predicted[: len(fitted)]
        values_by_task[task] = fitted
    answered = FrameLabels(truth.video, truth.partition, **values_by_task)
    for task in values_by_task:
        missing = np.flatnonzero(truth.labelled(task) & ~answered.labelled(task))
        if len(missing):
            raise TableError(
                expected='a prediction for every labelled frame',
                came=f'no {TASK_NAMES[task]} for {counted(len(missing), "frame")} of {truth.video!r}, '
                f'first frame {missing[0] + 1}',
                todo='predict every frame of every video',
            )
    return answered


def read_frame_truth(name: str, path: Path) -> FrameTable:
    """The truth of a track, from a table of frames, the manifest beside it, or the folder of a release.

    A folder without a file of all tasks gives those of the multi-task track side by side.

    Raises:
        UnknownNameError: the track does not exist.
        TableError, CorpusError: as for `FrameTable.load` and `read_affwild2`.
    """
    if path.is_dir():
        is_multitask = frame_track_named(name).form == 'multitask'
        has_one_file = is_multitask and bool(find_annotations(path).of_task('multitask'))
        return read_multitask(path) if has_one_file else read_affwild2(path)
    return frame_table(path)


def read_frame_answers(name: str, path: Path) -> FrameTable:
    """Predictions, from a table of frames (.parquet) or a submission.

    Raises:
        UnknownNameError: the track does not exist.
        TableError: the file is damaged; the message gives its lines.
    """
    return FrameTable.load(path) if path.suffix == '.parquet' else read_frame_submission(name, path)


def write_answers(answers: Mapping[tuple[str, str], FrameTable], folder: Path) -> tuple[FrameSubmission, ...]:
    """Write predictions of `affekt.benchmarks.run_abaw` for the test videos as submissions, and check the files.

    Args:
        answers: task (`expr`, `va`, `au`, `mtl`) and system to predictions; those without videos, and those with other
            classes or action units than the track has, are left out.
        folder: folder for the files TASK-SYSTEM.txt.

    Raises:
        TableError: a frame has no answer.
    """
    written = []
    for (task, system), table in answers.items():
        if len(table) and frame_track_named(f'abaw6-{task}').takes(table):
            path = folder / f'{task}-{system}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_frame_submission(f'abaw6-{task}', table, path)
            frames = FrameList.of({labels.video: np.arange(1, labels.frames + 1) for labels in table})
            written.append(check_frame_submission(f'abaw6-{task}', path, frames))
    return tuple(written)
