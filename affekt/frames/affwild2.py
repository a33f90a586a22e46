"""The annotations of Aff-Wild2, of every year's challenge, as one table of frames.

    6th ABAW Annotations/VA_Estimation_Challenge/{Train_Set,Validation_Set}/VIDEO.txt

| challenge | folders |
|---|---|
| ABAW4, 6 and later | `VA_Estimation_Challenge`, `EXPR_Recognition_Challenge`, `AU_Detection_Challenge` |
| ABAW3, 5 | the same except `EXPR_Classification_Challenge` |
| ABAW1, 2 | `VA_Set`, `EXPR_Set`, `AU_Set`; seven classes, eight action units |
| multi-task | `MTL_Challenge`, one file per partition that names its frames |

A folder is recognised by the start of its name and by its partitions, at any level below the given one; of several,
the nearest is read. Partitions are kept: the validation part is never trained on. Each task of
a challenge has its own split, so a video may be in training for one task and in validation for another;
`FrameTable.only` gives a task its own split, and the table of all tasks assigns such a video to the most protected
partition. Names of test videos, which have no labels, are read from the lists `…_test_set_release.txt`.

T frames.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import CorpusError, listed
from affekt.frames.annotations import Annotation, divided, lines_of, read_annotation
from affekt.frames.faults import Faults, content_of
from affekt.frames.labels import ACTION_UNITS, EXPRESSIONS, PARTITIONS, TASK_NAMES, TASKS, FrameLabels, FrameTable
from affekt.frames.listed_frames import ROW_FORMS, read_frame_list, read_rows
from affekt.wording import counted

DEEPEST = 5
"""Maximum depth below the given folder at which annotations are searched."""
MOST_FOLDERS = 3000
"""Maximum number of folders searched."""
TASK_FOLDERS = {
    'va': 'affect', 'valence': 'affect', 'expr': 'expression', 'expression': 'expression', 'au': 'units',
    'aus': 'units', 'action': 'units', 'mtl': 'multitask', 'multi': 'multitask', 'multitask': 'multitask',
}  # fmt: skip
"""First word of a folder's or list's name to its task."""
TODO = 'take the files of the release as they are, or correct these lines'


@dataclass(frozen=True)
class AnnotationFiles:
    """The annotation files of a release."""

    root: Path
    parts: Mapping[tuple[str, str], tuple[Path, ...]]
    """Task and partition to its files, sorted by name; `multitask` is a task here."""
    lists: tuple[tuple[str, Path], ...] = ()
    """Task and file of each list of test videos."""
    deeper: tuple[Path, ...] = ()
    """Folders with annotations that are not read because others are nearer."""

    def name(self, path: Path) -> str:
        """A file's name in messages: relative to the given folder."""
        return path.relative_to(self.root).as_posix()

    def of_task(self, task: str) -> dict[str, tuple[Path, ...]]:
        """Partition to the files of a task."""
        return {part: paths for (name, part), paths in self.parts.items() if name == task}


def find_annotations(folder: Path) -> AnnotationFiles:
    """The annotation files below a folder.

    Raises:
        CorpusError: the folder is missing, or two folders of one task are equally deep.
    """
    if not folder.is_dir():
        raise CorpusError(expected='a folder', came=f'{folder}', todo='name the folder of the release')
    parts: dict[tuple[str, str], tuple[Path, ...]] = {}
    nearest: dict[str, tuple[int, Path]] = {}
    lists: list[tuple[str, Path]] = []
    deeper: list[Path] = []
    for depth, found, names in _folders(folder):
        task = TASK_FOLDERS.get(_words(found.name)[0], '')
        partition_files = _parts_in(found, task, names) if task else {}
        if task and partition_files:
            if task not in nearest:
                nearest[task] = (depth, found)
                parts |= {(task, part): paths for part, paths in partition_files.items()}
            elif nearest[task][0] == depth:
                rivals = [path.relative_to(folder).as_posix() for path in (nearest[task][1], found)]
                raise CorpusError(
                    expected=f'one folder of {task} annotations in {folder}', came=listed(rivals),
                    todo='name the folder of one year',
                )  # fmt: skip
            else:
                deeper.append(found)
        lists += [
            (TASK_FOLDERS[_words(name)[0]], found / name)
            for name in names
            if _is_test_list(name) and _words(name)[0] in TASK_FOLDERS
        ]
    return AnnotationFiles(folder, parts, tuple(lists), tuple(deeper))


def _folders(folder: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """Depth, folder and the names of its text files, nearest first; folders of cropped images are not entered."""
    level, count = [folder], 0
    for depth in range(DEEPEST + 1):
        subfolders: list[Path] = []
        for path in level[: MOST_FOLDERS - count]:
            count += 1
            names = []
            with contextlib.suppress(OSError), os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda item: item.name):
                    if entry.name.startswith('.'):  # including the files `._NAME` that macOS adds
                        continue
                    if entry.is_dir():
                        subfolders += (
                            [] if entry.name.lower().startswith(('cropped', 'aligned')) else [path / entry.name]
                        )
                    elif entry.name.lower().endswith('.txt'):
                        names.append(entry.name)
            yield depth, path, names
        level = subfolders


def _words(name: str) -> list[str]:
    return re.split(r'[^a-z]+', name.casefold())


def _is_test_list(name: str) -> bool:
    return re.search(r'test_?set', name.casefold()) is not None


def _partition(name: str) -> str:
    """The partition in the name of a folder or file; '' if it has none."""
    match = re.search(r'(?<![a-z])(train|val(?=id|set|[^a-z]|$)|test)', name.casefold())
    return match[1] if match else ''


def _parts_in(folder: Path, task: str, names: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Partition to the annotation files of a task's folder."""
    parts: dict[str, tuple[Path, ...]] = {}
    if task == 'multitask':
        for name in names:
            if (part := _partition(name)) and not _is_test_list(name):
                parts[part] = (*parts.get(part, ()), folder / name)
        return parts
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if entry.is_dir() and not entry.name.startswith('.') and (part := _partition(entry.name)):
                files = sorted(path for path in Path(entry.path).iterdir() if path.suffix.lower() == '.txt')
                annotation_files = tuple(
                    file for file in files if not file.name.startswith('.') and not _is_test_list(file.name)
                )
                parts[part] = (*parts.get(part, ()), *annotation_files)
    return parts


@dataclass
class _Gathered:
    """Content of a release's files by video, while they are read."""

    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Video to task to its values."""
    partitions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Video to task to its partition."""
    names: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    """Task to the names in its files, and the first of the files."""
    notes: list[str] = field(default_factory=list)
    may_be_cut: list[str] = field(default_factory=list)
    """Files whose last line has no end."""
    files: int = 0

    def cut_notes(self) -> list[str]:
        """A note on files that may be truncated; [] for none, or if all files lack a last line end."""
        if not self.may_be_cut or (len(self.may_be_cut) == self.files > 1):
            return []
        count = counted(len(self.may_be_cut), 'file')
        return [f'the last line of {count} has no line end and may be cut off: {_some(self.may_be_cut)}']


def read_affwild2(folder: Path, source: Callable[[Path], object] | None = None) -> FrameTable:
    """The labels of every frame in a release of the three tasks.

    1. Each file is read into the partition of its folder.
    2. The tasks of a video are aligned. If one has fewer lines than another, its last frames have no label,
       and a note says so.
    3. Videos of the test lists are added without labels.

    Args:
        folder: folder of the annotations, or a parent.
        source: called with the path of each file read.

    Raises:
        CorpusError: the folder has no annotations, or those of two years.
        TableError: a line is invalid, or a video is in two partitions of one task; the error names files and lines.
    """
    files = find_annotations(folder)
    gathered, faults = _Gathered(), Faults()
    for task in TASKS:
        for part, paths in files.of_task(task).items():
            for path in paths:
                annotation = read_annotation(path, faults, task=task, name=files.name(path))
                if source is not None and annotation is not None:
                    source(path)
                _add(gathered, path.stem, task, part, annotation, files.name(path), faults)
    if not gathered.partitions and not faults.count:
        raise CorpusError(
            expected=f'annotations such as VA_Estimation_Challenge/Train_Set/VIDEO.txt in {folder}',
            came=listed(sorted(path.name for path in folder.iterdir())[:5]) or 'an empty folder',
            todo='name the folder of the release; for one file of all tasks import affwild2-mtl',
        )
    _add_test_videos(gathered, files, faults, source)
    faults.refuse('annotations of Aff-Wild2', TODO)
    notes = [*gathered.notes, *gathered.cut_notes(), *_missing_notes(files), *_ignored_notes(files)]
    return _table(gathered, notes)


def read_multitask(folder: Path, source: Callable[[Path], object] | None = None) -> FrameTable:
    """The labels of the multi-task challenge: frames without a line have none.

    Args:
        folder: folder of the annotations, or a parent.
        source: called with each file read.

    Raises:
        CorpusError: the folder has no annotations.
        TableError: a line is invalid, or a video is in two partitions; the error names files and lines.
    """
    files = find_annotations(folder)
    parts = files.of_task('multitask')
    if not parts:
        raise CorpusError(
            expected=f'MTL_Challenge/train_set.txt or the like in {folder}',
            came=listed(sorted(path.name for path in folder.iterdir())[:5]) or 'an empty folder',
            todo='name the folder of the release; for a file a video import affwild2',
        )
    gathered, faults = _Gathered(), Faults()
    for part, paths in parts.items():
        for path in paths:
            rows = read_rows(path, ROW_FORMS['multitask'], faults, name=files.name(path), may_lack=True)
            if source is not None and rows is not None:
                source(path)
            for labels in rows.by_video(part) if rows and not faults.count else ():
                for task in TASKS:
                    names = {'expression': EXPRESSIONS, 'units': ACTION_UNITS}.get(task, ())
                    annotation = Annotation(task, getattr(labels, task), names)
                    _add(gathered, labels.video, task, part, annotation, files.name(path), faults)
    for task, path in files.lists:
        if task == 'multitask':
            frames = read_frame_list(path, faults, name=files.name(path))
            if source is not None and len(frames):
                source(path)
            for video, last in frames.last_frames().items():
                _add_test_video(gathered, video, TASKS, last, files.name(path), faults)
    faults.refuse('annotations of Aff-Wild2', TODO)
    return _table(gathered, gathered.notes)


def _add(
    gathered: _Gathered, video: str, task: str, part: str, annotation: Annotation | None, file: str, faults: Faults
) -> None:
    """Records the labels and partition that a file gives a video."""
    partitions = gathered.partitions.setdefault(video, {})
    if task in partitions:
        reason = f'in {partitions[task]} already' if partitions[task] != part else f'twice in {part}'
        faults.add(file, 0, f'{video!r} is {reason}, and no video may be in two partitions of a task')
        return
    partitions[task] = part
    if annotation is None:
        return
    gathered.files += 1
    if not annotation.has_last_line_end:
        gathered.may_be_cut.append(file)
    names, first = gathered.names.setdefault(task, (annotation.names, file))
    if names != annotation.names:
        faults.add(file, 1, f'names {", ".join(annotation.names)}, where {first} names {", ".join(names)}')
    if not len(annotation.values):
        gathered.notes.append(f'{file} has a header and no frame')
    gathered.labels.setdefault(video, {})[task] = annotation.values


def _add_test_videos(
    gathered: _Gathered, files: AnnotationFiles, faults: Faults, source: Callable[[Path], object] | None
) -> None:
    """Records the videos in lists of test sets, one per line."""
    for task, path in files.lists:
        if task == 'multitask':
            continue
        content = content_of(path, files.name(path), faults)
        if content is None:
            continue
        if source is not None:
            source(path)
        first, body = divided(content)
        for line in [first, *lines_of(body)]:
            if (video := line.strip().removesuffix('.txt')) and ',' not in video and '/' not in video:
                _add_test_video(gathered, video, (task,), 0, files.name(path), faults)


def _add_test_video(
    gathered: _Gathered, video: str, tasks: Sequence[str], frames: int, file: str, faults: Faults
) -> None:
    partitions = gathered.partitions.setdefault(video, {})
    for task in tasks:
        if partitions.setdefault(task, 'test') != 'test':
            faults.add(file, 0, f'{video!r} is in {partitions[task]} already, and no video may be in two partitions')
    if frames:
        gathered.labels.setdefault(video, {}).setdefault('', np.zeros(frames))


def _missing_notes(files: AnnotationFiles) -> list[str]:
    """Notes on tasks and partitions without a file."""
    notes = []
    for task in TASKS:
        parts = files.of_task(task)
        if not parts:
            notes.append(f'no annotations of {TASK_NAMES[task]} were found')
        notes += [
            f'no {part} annotations of {TASK_NAMES[task]} were found'
            for part in ('train', 'val')
            if parts and not parts.get(part)
        ]
    return notes


def _ignored_notes(files: AnnotationFiles) -> list[str]:
    """Notes on annotations that were found but not read."""
    deeper = [files.name(path) for path in files.deeper]
    notes = [f'annotations that lie deeper than others were not read: {_some(deeper)}'] if deeper else []
    if files.of_task('multitask'):
        notes.append('annotations of all tasks in one file were found too: import affwild2-mtl')
    return notes


def _table(gathered: _Gathered, notes: Sequence[str]) -> FrameTable:
    """The table of all videos, sorted by name."""
    labels, uneven, divided = [], [], []
    for video in sorted(gathered.partitions):
        partitions, values = gathered.partitions[video], dict(gathered.labels.get(video, {}))
        sizes = {task: len(task_values) for task, task_values in values.items()}
        frames = max(sizes.values(), default=0)
        values.pop('', None)
        if len({size for task, size in sizes.items() if task}) > 1:
            uneven.append(f'{video} ({", ".join(f"{task} {size:,}" for task, size in sizes.items() if task)})')
        partition = max(partitions.values(), key=PARTITIONS.index)
        other_partitions = {task: part for task, part in partitions.items() if part != partition or task not in values}
        if {*partitions.values()} != {partition}:
            divided.append(video)
        padded = {task: _padded(task, task_values, frames) for task, task_values in values.items()}
        labels.append(FrameLabels(video, partition, by_task=other_partitions, frames=frames, **padded))
    remarks = list(notes)
    if uneven:
        remarks.append(
            f'{counted(len(uneven), "video")} with another number of lines in one task than in another; the last '
            f'frames of the shorter have no label: {_some(uneven)}'
        )
    if divided:
        remarks.append(
            f'{counted(len(divided), "video")} in one partition for one task and in another for the next; all '
            f'tasks together, they count as val or test: {_some(divided)}'
        )
    return FrameTable(
        tuple(labels),
        gathered.names.get('expression', (EXPRESSIONS, ''))[0],
        gathered.names.get('units', (ACTION_UNITS, ''))[0],
        tuple(remarks),
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')


def _padded(task: str, values: Any, frames: int) -> Any:
    """A task's values, padded at the end to `frames` rows without label."""
    absent = np.nan if task == 'affect' else -1
    padding = np.full((frames - len(values), *values.shape[1:]), absent, values.dtype)
    return np.concatenate([values, padding]) if len(padding) else values
