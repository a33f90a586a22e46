"""Submissions of the ABAW challenges: written in their four forms, and checked, with the line of each fault.

    image_location,valence,arousal
    video2/00001.jpg,-0.6497,0.5477

The forms are `ROW_FORMS` of `affekt.frames`. The frames to be answered come from a list, a table of frames, or the
folder of face images; a missing answer is never filled in from its neighbours.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Ints
from affekt.corpora import crop_numbers, frames_path
from affekt.errors import TableError, UnknownNameError, did_you_mean, listed
from affekt.frames import (
    ACTION_UNITS,
    EXPRESSIONS,
    ROW_FORMS,
    Faults,
    FrameLabels,
    FrameList,
    FrameTable,
    ListedLabels,
    RowForm,
    is_listable,
    read_frame_list,
    read_rows,
    written_rows,
)
from affekt.runs import write_atomically
from affekt.wording import counted

ADVICE = 'correct them, or write the file with `affekt track write`'
SHOWN_FRAMES = 5
"""Number of frames that a message lists."""


@dataclass(frozen=True)
class FrameTrack:
    """One task of an ABAW challenge."""

    name: str
    form: str
    """Form of its submission, a key of `ROW_FORMS`."""
    score: str
    """Name in `affekt.metrics` of the score that ranks."""
    metric: str
    """The score in words."""

    @property
    def rows(self) -> RowForm:
        """The form of its submission."""
        return ROW_FORMS[self.form]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks predicted for each frame."""
        return self.rows.tasks

    def takes(self, table: FrameTable) -> bool:
        """Whether a table has the track's classes and action units; those of ABAW1 and 2 were different."""
        return ('expression' not in self.tasks or table.expressions == EXPRESSIONS) and (
            'units' not in self.tasks or table.action_units == ACTION_UNITS
        )

    def part(self, table: FrameTable, partition: str) -> FrameTable:
        """The track's videos of a partition, with labels known or hidden.

        A track of one task uses that task's own split and only its labels.

        Raises:
            UnknownNameError: unknown partition.
        """
        videos = [labels for labels in table if any(labels.belongs_to(task) for task in self.tasks)]
        if len(self.tasks) == 1:
            videos = [labels.only(self.tasks[0]) for labels in videos]
        return dataclasses.replace(table, labels=tuple(videos)).part(partition)


FRAME_TRACKS: Mapping[str, FrameTrack] = {
    track.name: track
    for track in (
        FrameTrack('abaw6-expr', 'expression', 'expression_f1', 'macro F1 of 8 expressions'),
        FrameTrack('abaw6-va', 'affect', 'affect_ccc', 'mean CCC of valence and arousal'),
        FrameTrack('abaw6-au', 'units', 'unit_f1', 'macro F1 of 12 action units'),
        FrameTrack('abaw6-mtl', 'multitask', 'multitask', 'sum of the scores of three tasks'),
    )
}
"""Name to track; the forms and scores are those of ABAW3 and later."""


@dataclass(frozen=True)
class FrameSubmission:
    """A valid submission."""

    track: str
    """Name of the track."""
    path: Path
    rows: int
    """Number of answered frames."""
    videos: int
    """Number of answered videos."""
    follows_frames: bool | None
    """Whether the rows are in the order of the requested frames, which scorers do not require; None if unknown."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Class, or active action unit, to its number of frames."""
    has_last_line_end: bool = True
    """False if the last line may be cut off."""


def frame_track_named(name: str) -> FrameTrack:
    """The track with a name.

    Raises:
        UnknownNameError: unknown track.
    """
    if name not in FRAME_TRACKS:
        todo = did_you_mean(name, FRAME_TRACKS, 'name one of these')
        raise UnknownNameError(expected=f'one of {", ".join(FRAME_TRACKS)}', came=repr(name), todo=todo)
    return FRAME_TRACKS[name]


def frames_to_answer(name: str, path: Path, partition: str = '') -> FrameList:
    """The frames that a submission must answer.

    Args:
        name: name of the track.
        path: a text file that lists each frame, such as the organizers' example; a table of frames (.parquet),
            or the manifest next to it; or a folder of face images, numbered from 1, with one folder per video.
        partition: partition of a table; '' for `test` if it has the frames of test videos, otherwise `val`.

    Raises:
        UnknownNameError: unknown track or partition.
        TableError: the list is empty, or has duplicates, given with their lines; or a table has none of that
            partition, or has the frames of only some of its test videos; or images are numbered from 0.
    """
    track = frame_track_named(name)
    if path.is_dir():
        folders = sorted(child for child in path.iterdir() if child.is_dir())
        numbers = {folder.name: sorted(crop_numbers(folder)) for folder in folders}
        for video, own in numbers.items():
            if own and own[0] < 1:
                raise TableError(
                    expected='images numbered from 1', came=f'image {own[0]} in {path / video}',
                    todo='number them as the frames of the videos, from 1',
                )  # fmt: skip
        frames = FrameList.of(numbers)
    elif path.suffix == '.parquet':
        videos = part_of(track, frame_table(path), partition)
        _require_counted(track, videos)
        frames = FrameList.of({labels.video: np.arange(1, labels.frames + 1) for labels in videos})
    else:
        faults = Faults()
        frames = read_frame_list(path, faults, name=path.name)
        faults.refuse(
            'a list of frames', 'name a frame such as video2/00001.jpg in each line; names of videos are not enough'
        )
    if not len(frames):
        raise TableError(
            expected='frames to answer', came=f'{path} without any', todo='give a list with one frame per line'
        )
    return frames


def frame_table(path: Path) -> FrameTable:
    """A table of frames, or the one next to a manifest.

    Raises:
        TableError: as for `FrameTable.load`.
    """
    neighbour = frames_path(path)
    return FrameTable.load(neighbour if neighbour.exists() else path)


def part_of(track: FrameTrack, table: FrameTable, partition: str = '') -> FrameTable:
    """The videos of a partition for a track.

    Args:
        track: track whose tasks count.
        table: table of all videos.
        partition: '' for `test` if frames of test videos are known, otherwise `val`.

    Raises:
        UnknownNameError: unknown partition.
    """
    if partition:
        return track.part(table, partition)
    test = track.part(table, 'test')
    return test if test.frames else track.part(table, 'val')


def _require_counted(track: FrameTrack, videos: FrameTable) -> None:
    """Refuse hidden videos of unknown length: without them, an incomplete submission would pass."""
    if uncounted := [labels.video for labels in videos if not labels.frames and not labels.tasks]:
        raise TableError(
            expected=f'the number of frames of every video of {track.name}', came=f'none for {listed(uncounted)}',
            todo="give the organizers' list of frames, or import again with the videos or their face images",
        )  # fmt: skip


def write_frame_submission(
    name: str, prediction: FrameTable, path: Path, wanted: FrameList | None = None
) -> FrameSubmission:
    """Write a submission in the challenge's form.

    Args:
        name: name of the track.
        prediction: prediction of every frame of every video to answer; partitions are ignored.
        path: path of the file, usually .txt.
        wanted: the frames to answer, in order; None for all of the prediction.

    Raises:
        UnknownNameError: unknown track.
        TableError: a wanted frame has no prediction, or the name of a video has a comma, a slash or a line end;
            all of them in one message, and nothing is written.
    """
    track = frame_track_named(name)
    require_names(track, prediction, EXPRESSIONS, ACTION_UNITS)
    if wanted is None:
        wanted = FrameList.of({video.video: np.arange(1, video.frames + 1) for video in prediction})
    faults = Faults()
    answered = list(_answered(track, prediction, wanted, faults))
    if not answered and not faults.count:
        faults.add(path.name, 0, 'would hold no frame')
    faults.refuse(f'predictions that make a submission to {name}', 'predict every frame of every video')
    write_atomically(path, written_rows(track.rows, answered))
    return FrameSubmission(name, path, len(wanted), len(answered), True, _counts(track, answered))


def _answered(
    track: FrameTrack, prediction: FrameTable, requested: FrameList, faults: Faults
) -> Iterator[tuple[FrameLabels, Ints]]:
    """The prediction of each video with the frames to write; frames without a prediction become faults."""
    for video, rows in requested.by_video().items():
        frames = requested.frames[rows]
        if not len(frames):
            continue
        if not is_listable(video):
            faults.add(repr(video), 0, 'is no name that a submission can hold')
        labels = prediction[video] if video in prediction else FrameLabels(video, 'test')
        is_predicted = np.zeros(int(frames.max(initial=0)), dtype=np.bool_)
        is_labelled = np.all([labels.labelled(task) for task in track.tasks], axis=0)
        is_predicted[: len(is_labelled)] = is_labelled[: len(is_predicted)]
        if (missing := frames[~is_predicted[frames - 1]]).size:
            faults.add(video, 0, _frames_in_words(missing, len(frames), 'without a prediction'))
        yield labels, frames


def require_names(
    track: FrameTrack, prediction: FrameTable, expressions: Sequence[str], action_units: Sequence[str]
) -> None:
    """Check that predictions have these classes and action units, in this order.

    Raises:
        TableError: classes or action units differ.
    """
    for task, names, expected in (
        ('expression', prediction.expressions, expressions),
        ('units', prediction.action_units, action_units),
    ):
        if task in track.tasks and tuple(names) != tuple(expected):
            raise TableError(
                expected=f'predictions of {", ".join(expected)}', came=', '.join(names),
                todo='predict these classes and action units, in this order',
            )  # fmt: skip


def check_frame_submission(name: str, path: Path, wanted: FrameList | None) -> FrameSubmission:
    """Read a submission strictly, and report all faults.

    Args:
        name: name of the track.
        path: the submission.
        wanted: the frames that must be answered, each once; None to check only the lines, so that a file with missing
            frames passes.

    Raises:
        UnknownNameError: unknown track.
        TableError: the submission is invalid; all faults are in one message, with their lines.
    """
    track = frame_track_named(name)
    rows = _read(track, path, wanted)
    videos = [(labels, np.arange(1, labels.frames + 1)) for labels in rows.by_video('test')]
    follows_frames = None if wanted is None else rows.listed.is_as(wanted)
    sizes = len(rows.listed), len(rows.listed.videos)
    return FrameSubmission(name, path, *sizes, follows_frames, _counts(track, videos), rows.has_last_line_end)


def read_frame_submission(name: str, path: Path) -> FrameTable:
    """The predictions in a submission, as a table of test videos.

    Raises:
        UnknownNameError: unknown track.
        TableError: a line is malformed, or a frame occurs twice; all faults in one message.
    """
    return FrameTable(tuple(_read(frame_track_named(name), path, None).by_video('test')))


def _read(track: FrameTrack, path: Path, requested: FrameList | None) -> ListedLabels:
    """The rows of a submission; an error with all of its faults."""
    faults = Faults()
    rows = read_rows(path, track.rows, faults, name=path.name)
    if rows is not None and requested is not None:
        _compare(rows.listed, requested, path.name, faults)
    faults.refuse(f'a submission to {track.name}', ADVICE)
    if rows is None or not len(rows.listed):
        raise TableError(expected=f'a submission to {track.name}', came=f'{path.name} without an answer', todo=ADVICE)
    return rows


def _compare(answered: FrameList, requested: FrameList, file: str, faults: Faults) -> None:
    """Add faults for frames that are not requested, by line, and for missing ones, by video.

    A video of which no frame is requested is reported once, since its lines would hide all other faults.
    """
    answered_rows, requested_rows = answered.by_video(), requested.by_video()
    unrequested: dict[int, str] = {}
    for video, rows in answered_rows.items():
        if video not in requested_rows:
            others = f' and {counted(len(rows) - 1, "more line")} of {video!r}' if len(rows) > 1 else ''
            unrequested[int(rows[0])] = f'{answered.name(rows[0])!r}{others} {"are" if others else "is"} none of'
            continue
        for row in rows[~np.isin(answered.frames[rows], requested.frames[requested_rows[video]])].tolist():
            unrequested[row] = f'{answered.name(row)!r} is none of'
    for row in sorted(unrequested):
        faults.add(file, int(answered.lines[row]), f'{unrequested[row]} the frames to answer')
    for video, rows in requested_rows.items():
        frames = requested.frames[rows]
        answered_frames = (
            answered.frames[answered_rows[video]] if video in answered_rows else np.zeros(0, dtype=np.int64)
        )
        if (missing := frames[~np.isin(frames, answered_frames)]).size:
            faults.add(file, 0, f'{video}: {_frames_in_words(missing, len(frames), "without an answer")}')


def _frames_in_words(missing: Ints, count: int, state: str) -> str:
    """Description of a video's frames: all, or their number and the first of them."""
    if len(missing) == count:
        return f'all {count:,} frames are {state}'
    numbers = ', '.join(f'{frame}' for frame in np.sort(missing)[:SHOWN_FRAMES].tolist())
    more = ' …' if len(missing) > SHOWN_FRAMES else ''
    return f'{len(missing):,} of {count:,} frames {"is" if len(missing) == 1 else "are"} {state}: {numbers}{more}'


def _counts(track: FrameTrack, videos: Sequence[tuple[FrameLabels, Ints]]) -> dict[str, int]:
    """Number of frames predicted as each class, and with each action unit active."""
    counts: Counter[str] = Counter()
    for labels, frames in videos:
        if 'expression' in track.tasks and labels.expression is not None:
            classes: Any = labels.expression[frames - 1]
            for index, count in enumerate(np.bincount(classes[classes >= 0], minlength=len(EXPRESSIONS)).tolist()):
                counts[EXPRESSIONS[index]] += count
        if 'units' in track.tasks and labels.units is not None:
            for index, count in enumerate((labels.units[frames - 1] == 1).sum(axis=0).tolist()):
                counts[ACTION_UNITS[index]] += count
    return dict(counts)
