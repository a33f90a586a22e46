"""Importers of Aff-Wild2: a row a video, labels frame by frame in a table beside the manifest.

The frames of a video that two people are in are labelled apart, as `VIDEO_left` and `VIDEO_right`: each is a row, both
name the one file. `frames_path` is where the table lies; `check_frames` holds it against videos and face pictures.
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
from affekt.frames import FrameLabels, FrameTable, read_affwild2, read_multitask
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.media import VideoStream

VIDEOS = ('videos', 'batch1', 'batch2', 'batch_1_2', 'new_vids', '.')
"""Folders of video files; all that are there are read."""
CROPS = ('cropped_aligned', 'cropped_aligned_new_50_vids', 'cropped_aligned_new_vids', 'cropped', 'cropped_faces')
"""Folders of face pictures, a folder a video."""
SLACK_S = 0.1
"""Seconds by which a length may be off where a file does not say how many pictures it holds."""
_NUMBERED = re.compile(r'(\d+)\.(?:jpe?g|png)', re.IGNORECASE)


def frames_path(manifest: Path) -> Path:
    """Where the frame table of a manifest lies.

    >>> frames_path(Path('affwild2.parquet')).name
    'affwild2.frames.parquet'
    """
    return manifest.with_suffix('.frames.parquet')


def copy_frames(manifest: Path, out: Path) -> Path | None:
    """Put the frame table of a manifest beside another that was made from it; None where it has none.

    Raises:
        TableError: the table is damaged.
    """
    beside, wanted = frames_path(manifest), frames_path(out)
    if not beside.exists():
        return None
    if beside != wanted:
        FrameTable.load(beside).save(wanted)
    return wanted


def _rows(read: Callable[[Path, Callable[[Path], object]], FrameTable]) -> Callable[[Release], Iterator[Sample]]:
    """An importer: the frame table goes to the release, a row for each of its videos comes out."""

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
    """Name to path of each video, and of each folder of face pictures."""
    media: dict[str, str] = {}
    for place in reversed(VIDEOS):
        media |= release.media(place)
    crops: dict[str, str] = {}
    for place in reversed(CROPS):
        crops |= release.folders(place)
    return media, crops


def _with_frames_counted(table: FrameTable, rows: Iterable[Sample], release: Release) -> FrameTable:
    """The table with the frames of videos of which only the name is known: as many as the file, or its crops, have."""
    each, counted_here = [], 0
    for labels, row in zip(table, rows, strict=True):
        frames = 0
        if not labels.tasks and not labels.frames:
            frames = (row.video and _declared(release.folder / row.video)) or 0
            frames = frames or (max(crop_numbers(release.folder / row.frames), default=0) if row.frames else 0)
        counted_here += bool(frames)
        each.append(dataclasses.replace(labels, frames=frames) if frames else labels)
    if counted_here:
        what = counted(counted_here, 'test video')
        release.notes.append(
            f'the frames of {what} without labels are those that the video, or its face pictures, have'
        )
    if uncounted := [labels.video for labels in each if not labels.tasks and not labels.frames]:
        release.notes.append(
            f'{counted(len(uncounted), "test video")} without labels, a video or face pictures, whose number of frames '
            f'is not known: {listed(uncounted, 3)}'
        )
    return dataclasses.replace(table, labels=tuple(each))


@dataclass(frozen=True)
class FrameCheck:
    """What labels by frame and what they are of do not agree in."""

    videos: int
    frames: int
    labelled: Mapping[str, int]
    """Task to frames that have its label."""
    unlabelled: tuple[str, ...]
    """Videos of train and val without one labelled frame."""
    longer: tuple[str, ...]
    """Videos with more lines of labels than the file has pictures; each says how many."""
    shorter: tuple[str, ...]
    """Those with fewer; their last pictures have no label."""
    uncropped: int
    """Labelled frames without a face picture, where a video has any: no face was seen, or the picture is lost."""
    unlabelled_crops: tuple[str, ...]
    """Videos with face pictures of frames that no line is of; each says how many."""
    unknown: tuple[str, ...]
    """Rows of the manifest that the table does not have, and the other way round."""

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each thing that does not agree."""
        sentences = {
            'has more lines of labels than pictures': self.longer,
            'has fewer lines of labels than pictures; the last pictures have no label': self.shorter,
            'has face pictures of frames without a line': self.unlabelled_crops,
            'is in the manifest or in the frame table, and not in the other': self.unknown,
            'has no labelled frame': self.unlabelled,
        }
        return tuple(f'{what}: {name}' for what, names in sentences.items() for name in names)


def check_frames(manifest: Manifest, table: FrameTable) -> FrameCheck:
    """Hold labels against the manifest's videos and face pictures; nothing is decoded.

    Args:
        manifest: of the videos.
        table: of their frames.
    """
    longer: list[str] = []
    shorter: list[str] = []
    beyond: list[str] = []
    uncropped = 0
    rows = {row.sample: row for row in manifest.samples}
    for labels in table:
        row = rows.get(labels.video)
        video, crops = (manifest.media(row, medium) if row else None for medium in ('video', 'frames'))
        if video is not None and labels.tasks and (pictures := _pictures_of(video, labels.frames)) is not None:
            uneven = f'{labels.video} ({labels.frames:,} lines, {pictures:,} pictures)'
            (longer if labels.frames > pictures else shorter).append(uneven)
        if crops is not None and labels.tasks:
            numbers = crop_numbers(crops)
            if after := sum(number > labels.frames for number in numbers):
                beyond.append(f'{labels.video} ({after:,} after frame {labels.frames:,})')
            uncropped += _labelled_without(labels, numbers)
    return FrameCheck(
        videos=len(table),
        frames=table.frames,
        labelled={task: sum(int(each.labelled(task).sum()) for each in table) for task in _tasks(table)},
        unlabelled=tuple(
            each.video
            for each in table.part('train', 'val')
            if not any(each.labelled(task).any() for task in each.tasks)
        ),
        longer=tuple(longer),
        shorter=tuple(shorter),
        uncropped=uncropped,
        unlabelled_crops=tuple(beyond),
        unknown=tuple(sorted(set(rows) ^ set(table.names))),
    )


def _tasks(table: FrameTable) -> Iterable[str]:
    return dict.fromkeys(task for labels in table for task in labels.tasks)


def _labelled_without(labels: FrameLabels, numbers: set[int]) -> int:
    """Labelled frames whose number is none of these; 0 where there are no pictures at all."""
    if not numbers:
        return 0
    is_labelled = np.any([labels.labelled(task) for task in labels.tasks], axis=0)
    return sum(int(place) + 1 not in numbers for place in np.flatnonzero(is_labelled))


def crop_numbers(folder: Path) -> set[int]:
    """The numbers of the frames that a folder has face pictures of, such as `00001.jpg`; none where it is not there."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = (_NUMBERED.fullmatch(entry.name) for entry in entries)
        return {int(match[1]) for match in names if match}
    return set()


def _pictures_of(path: Path, lines: int) -> int | None:
    """How many pictures a video declares, where that is not the number of lines; None where it is, or is not known."""
    pictures = _declared(path)
    if pictures is not None:
        return pictures if pictures != lines else None
    estimate, slack = _estimated(path)
    return estimate if estimate and abs(estimate - lines) > slack else None


def _declared(path: Path) -> int | None:
    """How many pictures a video says that it holds; None where it does not, or cannot be opened."""
    video = _opened(path)[0]
    return video.pictures if video else None


def _estimated(path: Path) -> tuple[int, float]:
    """Pictures by length and rate, 0 where they are not known, and by how many that may be off."""
    video, duration_s = _opened(path)
    rate_hz = video.rate_hz if video else None
    return (round(duration_s * rate_hz), 1 + SLACK_S * rate_hz) if rate_hz and duration_s else (0, 0.0)


def _opened(path: Path) -> tuple[VideoStream | None, float]:
    """The pictures and the length of a file; missing and damaged ones are told by `check_corpus`."""
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
