"""Importers of Aff-Wild2: one row per video, with frame labels in a table beside the manifest.

Two people in a video are labelled separately, as `VIDEO_left` and `VIDEO_right`: each is a row, both refer to the same
file. `frames_path` is the path of the table; `check_frames` compares it with videos and face images.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affekt.corpora.manifest import Manifest, Sample
from affekt.corpora.release import Corpus, Layout, Release
from affekt.errors import AffektError, listed
from affekt.frames import FrameLabels, FrameTable, read_affwild2, read_multitask, shared_by_task
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.media import VideoStream

VIDEOS = ('videos', 'batch1', 'batch2', 'batch_1_2', 'new_vids', '.')
"""Folders of video files; all that exist are read."""
CROPS = ('cropped_aligned', 'cropped_aligned_new_50_vids', 'cropped_aligned_new_vids', 'cropped', 'cropped_faces')
"""Folders of face images, with one folder per video."""
SLACK_S = 0.1
"""Tolerance in seconds of a video's length where its file does not state the number of frames."""
_NUMBERED = re.compile(r'(\d+)\.(?:jpe?g|png)', re.IGNORECASE)


def frames_path(manifest: Path) -> Path:
    """Path of the frame table of a manifest.

    >>> frames_path(Path('affwild2.parquet')).name
    'affwild2.frames.parquet'
    """
    return manifest.with_suffix('.frames.parquet')


def copy_frames(manifest: Path, out: Path) -> Path | None:
    """Copy the frame table of a manifest to the path that belongs to a derived manifest.

    Returns:
        Path of the copy; None if the manifest has no frame table.

    Raises:
        TableError: the table is damaged.
    """
    source, target = frames_path(manifest), frames_path(out)
    if not source.exists():
        return None
    if source != target:
        FrameTable.load(source).save(target)
    return target


def _rows(read: Callable[[Path, Callable[[Path], object]], FrameTable]) -> Callable[[Release], Iterator[Sample]]:
    """An importer that stores the frame table in the release and yields a row for each of its videos."""

    def samples(release: Release) -> Iterator[Sample]:
        table = read(release.folder, release.source)
        release.notes += table.notes
        media, crops = _files(release)
        rows = [
            Sample(
                labels.video,
                video=media.get(labels.video) or media.get(labels.recording),
                frames=crops.get(labels.video),
                recording=labels.recording,
                split=labels.partition,
            )
            for labels in table
        ]
        release.frames = _with_frames_counted(table, rows, release)
        yield from rows

    return samples


def _files(release: Release) -> tuple[dict[str, str], dict[str, str]]:
    """Name to path of each video, and of each folder of face images."""
    media: dict[str, str] = {}
    for folder in reversed(VIDEOS):
        media |= release.media(folder)
    crops: dict[str, str] = {}
    for folder in reversed(CROPS):
        crops |= release.folders(folder)
    return media, crops


def _with_frames_counted(table: FrameTable, rows: Iterable[Sample], release: Release) -> FrameTable:
    """The table with numbers of frames for unlabelled videos: those of the file, else the highest number of a crop."""
    counted_labels, estimated = [], 0
    for labels, row in zip(table, rows, strict=True):
        frames = 0
        if not labels.tasks and not labels.frames:
            frames = (row.video and _declared_frames(release.folder / row.video)) or 0
            frames = frames or (max(crop_numbers(release.folder / row.frames), default=0) if row.frames else 0)
        estimated += bool(frames)
        counted_labels.append(dataclasses.replace(labels, frames=frames) if frames else labels)
    if estimated:
        release.notes.append(
            f'{counted(estimated, "test video")} without labels: the number of frames is that of the video file, or '
            'the highest number of a face image'
        )
    if uncounted := [labels.video for labels in counted_labels if not labels.tasks and not labels.frames]:
        release.notes.append(
            f'{counted(len(uncounted), "test video")} without labels, a video or face images, whose number of frames '
            f'is not known: {listed(uncounted, 3)}'
        )
    return dataclasses.replace(table, labels=tuple(counted_labels))


@dataclass(frozen=True)
class FrameCheck:
    """Disagreements between frame labels, videos and face images."""

    videos: int
    """Number of videos in the frame table; two people in one video count twice."""
    frames: int
    """Number of frames over all videos: lines of labels, or for unlabelled videos the counted frames."""
    labelled: Mapping[str, int]
    """Task to the number of frames with its label."""
    unlabelled: tuple[str, ...]
    """Videos of train and val without any labelled frame."""
    longer: tuple[str, ...]
    """Videos with more lines of labels than frames, each with both numbers."""
    shorter: tuple[str, ...]
    """Videos with fewer lines of labels than frames, whose last frames have no label."""
    uncropped: int
    """Labelled frames without a face image, in videos that have any: no face was detected, or the image is missing."""
    unlabelled_crops: tuple[str, ...]
    """Videos with face images of frames without a line, each with the number."""
    unknown: tuple[str, ...]
    """Rows of the manifest that the table lacks, and vice versa."""
    shared: tuple[str, ...]
    """Training videos whose recording is in validation or test of a task too, each with the others and the tasks."""

    @property
    def faults(self) -> tuple[str, ...]:
        """One sentence per disagreement."""
        sentences = {
            'has more lines of labels than frames': self.longer,
            'has fewer lines of labels than frames; the last frames have no label': self.shorter,
            'has face images of frames without a line': self.unlabelled_crops,
            'is in the manifest or in the frame table, and not in the other': self.unknown,
            'has no labelled frame': self.unlabelled,
            'one recording on both sides of the split': self.shared,
        }
        return tuple(f'{fault}: {name}' for fault, names in sentences.items() for name in names)


def check_frames(manifest: Manifest, table: FrameTable) -> FrameCheck:
    """Compare labels with the manifest's videos and face images, without decoding.

    A video whose file does not state its number of frames is compared by duration and rate, with a tolerance of
    `SLACK_S` and one frame; a missing or damaged video is not compared.

    Args:
        manifest: manifest of the videos.
        table: labels of their frames.
    """
    longer: list[str] = []
    shorter: list[str] = []
    unlabelled_crops: list[str] = []
    uncropped = 0
    rows = {row.sample: row for row in manifest.samples}
    for labels in table:
        row = rows.get(labels.video)
        video, crops = (manifest.media(row, medium) if row else None for medium in ('video', 'frames'))
        frame_count = _differing_frame_count(video, labels.frames) if video is not None and labels.tasks else None
        if frame_count is not None:
            difference = f'{labels.video} ({labels.frames:,} lines, {frame_count:,} frames)'
            (longer if labels.frames > frame_count else shorter).append(difference)
        if crops is not None and labels.tasks:
            numbers = crop_numbers(crops)
            if extra := sum(number > labels.frames for number in numbers):
                unlabelled_crops.append(f'{labels.video} ({extra:,} after frame {labels.frames:,})')
            uncropped += _uncropped_count(labels, numbers)
    return FrameCheck(
        videos=len(table),
        frames=table.frames,
        labelled={task: sum(int(labels.labelled(task).sum()) for labels in table) for task in _tasks(table)},
        unlabelled=tuple(
            labels.video
            for labels in table.part('train', 'val')
            if not any(labels.labelled(task).any() for task in labels.tasks)
        ),
        longer=tuple(longer),
        shorter=tuple(shorter),
        uncropped=uncropped,
        unlabelled_crops=tuple(unlabelled_crops),
        unknown=tuple(sorted(set(rows) ^ set(table.names))),
        shared=shared_by_task(table),
    )


def _tasks(table: FrameTable) -> Iterable[str]:
    return dict.fromkeys(task for labels in table for task in labels.tasks)


def _uncropped_count(labels: FrameLabels, numbers: set[int]) -> int:
    """Number of labelled frames whose frame number is not among these; 0 if there are no images."""
    if not numbers:
        return 0
    is_labelled = np.any([labels.labelled(task) for task in labels.tasks], axis=0)
    return sum(int(index) + 1 not in numbers for index in np.flatnonzero(is_labelled))


def crop_numbers(folder: Path) -> set[int]:
    """Numbers of the frames with an image in a folder, such as `00001.jpg`; empty where the folder does not exist."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = (_NUMBERED.fullmatch(entry.name) for entry in entries)
        return {int(match[1]) for match in names if match}
    return set()


def _differing_frame_count(path: Path, lines: int) -> int | None:
    """Number of frames of a video, where it differs from the number of lines; None if it is equal or unknown."""
    declared = _declared_frames(path)
    if declared is not None:
        return declared if declared != lines else None
    estimate, slack = _estimated_frames(path)
    return estimate if estimate and abs(estimate - lines) > slack else None


def _declared_frames(path: Path) -> int | None:
    """Number of frames that a video file states; None if it does not, or cannot be opened."""
    video = _video_of(path)[0]
    return video.pictures if video else None


def _estimated_frames(path: Path) -> tuple[int, float]:
    """Number of frames by duration and rate, 0 where unknown, and its tolerance."""
    video, duration_s = _video_of(path)
    rate_hz = video.rate_hz if video else None
    return (round(duration_s * rate_hz), 1 + SLACK_S * rate_hz) if rate_hz and duration_s else (0, 0.0)


def _video_of(path: Path) -> tuple[VideoStream | None, float]:
    """Video stream and duration of a file; missing and damaged files are reported by `check_corpus`."""
    from affekt.media import Recording

    try:
        recording = Recording.open(path)
    except (AffektError, OSError):
        return None, 0.0
    return recording.video, recording.duration_s or 0.0


_SOURCE = 'ibug.doc.ic.ac.uk/resources/aff-wild2 (agreement)'
_affwild2 = _rows(read_affwild2)

CORPORA = (
    Corpus(
        'affwild2', 'Aff-Wild2', '',
        layouts=(
            Layout(('EXPR_Classification_Challenge',), _affwild2, 'annotations of ABAW3 or 5', says_missing=True),
            Layout(
                (
                    'VA_Estimation_Challenge', 'EXPR_Recognition_Challenge', 'AU_Detection_Challenge',
                    'Valence_Arousal_Estimation_Challenge', 'Expression_Recognition_Challenge',
                    'Action_Unit_Detection_Challenge',
                ),
                _affwild2, 'annotations of ABAW4, 6 or later', says_missing=True,
            ),
            Layout(('VA_Set', 'EXPR_Set', 'AU_Set'), _affwild2, 'annotations of ABAW1 or 2', says_missing=True),
        ),
        source=_SOURCE, cite='arXiv:1811.07770', by_frame=True,
    ),
    Corpus(
        'affwild2-mtl', 'Aff-Wild2, all tasks in one file', '',
        layouts=(
            Layout(
                ('MTL_Challenge', 'MTL Challenge', 'MTL_Annotations', 'MTL', 'train_set.txt', 'training_set.txt'),
                _rows(read_multitask), 'multi-task annotations', says_missing=True,
            ),
        ),
        source=_SOURCE, cite='arXiv:1811.07770', by_frame=True,
    ),
)  # fmt: skip
