"""Files that name each frame by its image: submissions, and annotations of multi-task learning.

    image_location,valence,arousal
    video2/00001.jpg,-0.6497,0.5477

| form | header | after the image name |
|---|---|---|
| affect | `image_location,valence,arousal` | two numbers in [-1, 1] |
| expression | `image_location`, the names of the classes | the number of one class |
| units | `image_location`, the names of the action units | 0 or 1 for each |
| multitask | `image,valence,arousal,expression,aus` | all of them: 2 + 1 + 12 |

Images are named VIDEO/00001.jpg, counted from 1, on lines in any order. As with other annotations, a file is parsed as
columns at once, and line by line only to locate errors.

N lines, T frames of one video.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.errors import TableError, listed
from affekt.frames.annotations import (
    ARROW_TYPES,
    NO_LABEL,
    are_labels,
    divided,
    fault_of_cell,
    has_last_line_end,
    header_cells,
    joined_cells,
    joined_faults,
    lines_of,
    misplaced,
    parsed_table,
    with_nan,
    written_columns,
)
from affekt.frames.faults import Faults, content_of, quoted
from affekt.frames.labels import ACTION_UNITS, AFFECT, EXPRESSIONS, FrameLabels

_IMAGE_NAME = re.compile(r'([^/\\]+)/([0-9]{5,7})\.jpg')
MOST_FRAMES = 50_000_000
"""Maximum number of frames over all videos; a line with a late frame implies all before it."""
_SUFFIX_LENGTH = 10
"""Characters of `/00001.jpg`."""


@dataclass(frozen=True)
class RowForm:
    """The cells of a line after the image name."""

    first: str
    """Name of the image column; both `image` and `image_location` are read."""
    header: tuple[str, ...]
    tasks: tuple[str, ...]

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """Task and label of each cell after the name."""
        labels = {'affect': AFFECT, 'expression': ('class',), 'units': ACTION_UNITS}
        return tuple((task, label) for task in self.tasks for label in labels[task])

    @property
    def line(self) -> str:
        """The header as written."""
        return ','.join((self.first, *self.header))

    def fits(self, line: str) -> bool:
        """Whether a line is the header, ignoring case and a trailing comma."""
        first, *names = [cell.casefold() for cell in header_cells(line)] or ['']
        forms = [self.header, (*self.header[:3], *ACTION_UNITS)] if len(self.tasks) > 1 else [self.header]
        return first in ('image', 'image_location') and names in [[name.casefold() for name in form] for form in forms]


ROW_FORMS: Mapping[str, RowForm] = {
    'affect': RowForm('image_location', AFFECT, ('affect',)),
    'expression': RowForm('image_location', EXPRESSIONS, ('expression',)),
    'units': RowForm('image_location', ACTION_UNITS, ('units',)),
    'multitask': RowForm('image', (*AFFECT, 'expression', 'aus'), ('affect', 'expression', 'units')),
}
"""Name to its form."""


@dataclass(frozen=True, eq=False)
class FrameList:
    """N frames by their names, in the listed order."""

    videos: tuple[str, ...]
    codes: Ints
    """(N,) index of each frame's video in `videos`."""
    frames: Ints
    """(N,) number of each frame in its video, from 1."""
    lines: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(N,) line of each in its file; empty without a file."""

    def __len__(self) -> int:
        return len(self.codes)

    def by_video(self) -> dict[str, Ints]:
        """Video to the indices of its frames in the list, in order."""
        order = np.argsort(self.codes, kind='stable')
        ends = np.cumsum(np.bincount(self.codes, minlength=len(self.videos)))
        return dict(zip(self.videos, np.split(order, ends[:-1]), strict=True)) if self.videos else {}

    def last_frames(self) -> dict[str, int]:
        """Video to the number of its last listed frame.

        Raises:
            TableError: the videos would have more than `MOST_FRAMES` frames in total.
        """
        last = {video: int(self.frames[indices].max(initial=0)) for video, indices in self.by_video().items()}
        if (total := sum(last.values())) > MOST_FRAMES:
            raise TableError(
                expected=f'at most {MOST_FRAMES:,} frames', came=f'{total:,} in {listed(last)}',
                todo='correct the names of the last frames',
            )  # fmt: skip
        return last

    def name(self, index: int) -> str:
        """The image name of a frame."""
        return picture(self.videos[self.codes[index]], int(self.frames[index]))

    def is_as(self, other: FrameList) -> bool:
        """Whether both list the same frames in the same order."""
        if len(self) != len(other) or not np.array_equal(self.frames, other.frames):
            return False
        codes = {video: code for code, video in enumerate(other.videos)}
        other_codes = np.array([codes.get(video, -1) for video in self.videos], dtype=np.int64)
        return bool(np.array_equal(other_codes[self.codes], other.codes))

    def repeated(self) -> Iterator[tuple[int, int]]:
        """The indices of repeated frames, each with that of the first occurrence."""
        keys = self.codes.astype(np.int64) << 32 | self.frames
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        for index in np.flatnonzero(first[inverse] != np.arange(len(keys))):
            yield int(index), int(first[inverse[index]])

    @classmethod
    def of(cls, frames: Mapping[str, npt.ArrayLike]) -> FrameList:
        """Video to the numbers of its frames, as one list."""
        arrays = [np.asarray(numbers, dtype=np.int64) for numbers in frames.values()]
        codes = np.repeat(np.arange(len(arrays)), [len(numbers) for numbers in arrays])
        return cls(tuple(frames), codes, np.concatenate([np.zeros(0, dtype=np.int64), *arrays]))


@dataclass(frozen=True, eq=False)
class ListedLabels:
    """The labels of N listed frames."""

    listed: FrameList
    values: Mapping[str, npt.NDArray[Any]]
    """Task to (N, …) labels, as in its field of `FrameLabels`."""
    has_last_line_end: bool = True
    """False if the last line has no line end and may be truncated."""

    def by_video(self, partition: str) -> Iterator[FrameLabels]:
        """The labels of each video; T is its last listed frame; unlisted frames have no label.

        Raises:
            TableError: the videos would have more than `MOST_FRAMES` frames in total.
        """
        last = self.listed.last_frames()
        for video, indices in self.listed.by_video().items():
            frames = self.listed.frames[indices]
            labels: dict[str, Any] = {}
            for task, values in self.values.items():
                absent = np.nan if task == 'affect' else -1
                labels[task] = np.full((last[video], *values.shape[1:]), absent, values.dtype)
                labels[task][frames - 1] = values[indices]
            yield FrameLabels(video, partition, **labels)


def picture(video: str, frame: int) -> str:
    """The image name of a frame.

    >>> picture('video2', 7)
    'video2/00007.jpg'
    """
    return f'{video}/{frame:05d}.jpg'


def is_listable(video: str) -> bool:
    """Whether a video's name can be used in such files.

    >>> is_listable('video2'), is_listable('a, b'), is_listable('batch1/video2')
    (True, False, False)
    """
    return bool(video) and video == video.strip() and not {*'/\\,\n\r'} & {*video}


def read_rows(
    path: Path, form: RowForm, faults: Faults, *, name: str = '', may_lack: bool = False
) -> ListedLabels | None:
    """The labels of a file that names its frames; None if it does not have this form.

    Args:
        path: the file.
        form: the required form.
        faults: collects errors, with the line; lines with a readable name are kept, without label.
        name: the file's name in messages; '' for its path.
        may_lack: whether a line may mark a missing label, as in annotations.
    """
    file = name or str(path)
    content = content_of(path, file, faults)
    if content is None:
        return None
    first, body = divided(content)
    if not form.fits(first):
        line, fault = (1, f'{quoted(first)} where the header {form.line} belongs') if first else (0, 'is empty')
        faults.add(file, line, fault)
        return None
    rows = _parsed(form, body, may_lack) or _labels_by_line(form, body, file, faults, may_lack)
    for index, first_index in rows.listed.repeated():
        fault_text = f'{quoted(rows.listed.name(index))} stands in line {rows.listed.lines[first_index]:,} already'
        faults.add(file, int(rows.listed.lines[index]), fault_text)
    return replace(rows, has_last_line_end=has_last_line_end(content))


def read_frame_list(path: Path, faults: Faults, *, name: str = '') -> FrameList:
    """The frames that a file names in the first cell of each line, with or without a header.

    Args:
        path: such as the example of a submission, or the list of a test set.
        faults: collects lines without an image name, repeated images, and an unreadable file.
        name: the file's name in messages; '' for its path.
    """
    file = name or str(path)
    first, body = divided(content_of(path, file, faults) or b'')
    has_header = '/' not in first
    body = body if has_header else (first.encode() + b'\n' + body).rstrip()
    cells = body.split(b'\n', 1)[0].count(b',') + 1
    table = parsed_table(body, dict.fromkeys(map(str, range(cells)), 'string'))
    listed = None if table is None else _split_names(table.column(0), 1 + has_header)
    if listed is None:
        builder = _FrameListBuilder()
        for number, line in enumerate(lines_of(body), 1 + has_header):
            cell = line.split(',', 1)[0].strip()
            if not builder.add(cell, number):
                faults.add(file, number, f'{quoted(cell)} names no frame, as VIDEO/00001.jpg does')
        listed = builder.listed()
    for index, first_index in listed.repeated():
        fault = f'{quoted(listed.name(index))} stands in line {listed.lines[first_index]:,} already'
        faults.add(file, int(listed.lines[index]), fault)
    return listed


class _FrameListBuilder:
    """Collects frames line by line."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows: list[tuple[int, int, int]] = []

    def add(self, cell: str, line: int) -> bool:
        """Adds the frame that a cell names; returns False if it names none."""
        match = _IMAGE_NAME.fullmatch(cell)
        if match is None or not int(match[2]) or picture(match[1], int(match[2])) != cell:
            return False
        self._rows.append((self._codes.setdefault(match[1], len(self._codes)), int(match[2]), line))
        return True

    def listed(self) -> FrameList:
        columns = np.array(self._rows, dtype=np.int64).reshape(-1, 3).T
        return FrameList(tuple(self._codes), columns[0], columns[1], columns[2])


def _parsed(form: RowForm, body: bytes, may_lack: bool) -> ListedLabels | None:
    """The labels of all lines, parsed as columns; None if a line is invalid."""
    cells = form.cells
    types = {f'{column_number}': ARROW_TYPES[task] for column_number, (task, _) in enumerate(cells)}
    table = parsed_table(body, {'image': 'string', **types})
    listed = None if table is None else _split_names(table.column(0))
    if table is None or listed is None:
        return None
    columns = [column.to_numpy() for column in table.columns[1:]]
    for (task, _), column in zip(cells, columns, strict=True):
        if not are_labels(task, column, _most(task), may_lack=may_lack):
            return None
    return ListedLabels(listed, _by_task(form, columns))


def _split_names(names: Any, line: int = 2) -> FrameList | None:
    """The frames that a column of image names lists; None if one is not of the form VIDEO/00001.jpg.

    Args:
        names: Arrow column of text.
        line: line of the first name in its file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    joined = pc.cast(names, pa.binary()).combine_chunks()
    joined = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    if not len(joined):
        return FrameList((), *(np.zeros(0, dtype=np.int64) for _ in range(3)))
    if pc.min(pc.binary_length(joined)).as_py() <= _SUFFIX_LENGTH:
        return None
    suffixes = pc.binary_slice(joined, -_SUFFIX_LENGTH)
    letters = np.frombuffer(suffixes.buffers()[2], np.uint8, _SUFFIX_LENGTH * len(suffixes)).reshape(-1, _SUFFIX_LENGTH)
    digits = letters[:, 1:6].astype(np.int64) - ord('0')
    numbers = digits @ 10 ** np.arange(4, -1, -1)
    is_plain = (letters[:, 0] == ord('/')) & (letters[:, 6:] == np.frombuffer(b'.jpg', np.uint8)).all(axis=1)
    if not (is_plain & (digits >= 0).all(axis=1) & (digits <= 9).all(axis=1) & (numbers > 0)).all():
        return None
    coded = pc.binary_slice(joined, 0, -_SUFFIX_LENGTH).dictionary_encode()
    videos = tuple(video.decode('utf-8', 'backslashreplace') for video in coded.dictionary.to_pylist())
    if not all(map(is_listable, videos)):
        return None
    return FrameList(videos, coded.indices.to_numpy().astype(np.int64), numbers, np.arange(line, len(numbers) + line))


def _labels_by_line(form: RowForm, body: bytes, file: str, faults: Faults, may_lack: bool) -> ListedLabels:
    """The labels read line by line, with a fault for each invalid line."""
    cells, builder, rows = form.cells, _FrameListBuilder(), []
    absent = [float(NO_LABEL[task]) for task, _ in cells]
    for number, line in enumerate(lines_of(body), 2):
        name, *values = [cell.strip() for cell in line.split(',')]
        values = values[:-1] if len(values) == len(cells) + 1 and not values[-1] else values
        if not name and not any(values):
            faults.add(file, number, 'is blank')
            continue
        is_named, fault = builder.add(name, number), ''
        if not is_named:
            fault = f'{quoted(name)} names no frame, as VIDEO/00001.jpg does'
        elif len(values) != len(cells):
            fault = misplaced(len(values), [label for _, label in cells])
        else:
            fault = joined_faults(
                (label, value, fault_of_cell(task, label, value, _most(task), may_lack=may_lack))
                for (task, label), value in zip(cells, values, strict=True)
            )
        if fault:
            faults.add(file, number, fault)
        if is_named:
            rows.append(absent if fault else [float(value) for value in values])
    columns = np.array(rows, dtype=np.float64).reshape(-1, len(cells)).T
    return ListedLabels(builder.listed(), _by_task(form, columns))


def _by_task(form: RowForm, columns: Iterable[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Task to its labels, from the columns of all cells."""
    by_task: dict[str, list[npt.NDArray[Any]]] = {task: [] for task in form.tasks}
    for (task, _), column in zip(form.cells, columns, strict=True):
        by_task[task].append(column)
    values: dict[str, npt.NDArray[Any]] = {}
    for task, task_columns in by_task.items():
        if task == 'affect':
            values[task] = with_nan(np.stack(task_columns, axis=1))
        else:
            values[task] = (task_columns[0] if task == 'expression' else np.stack(task_columns, axis=1)).astype(np.int8)
    return values


def _most(task: str) -> int:
    return len(EXPRESSIONS) - 1 if task == 'expression' else 1


def written_rows(form: RowForm, videos: Iterable[tuple[FrameLabels, Ints]]) -> bytes:
    """The text of a file of this form, with a line for each of these frames.

    Args:
        form: the file's form.
        videos: labels of a video, and (K,) numbers of the frames to write, in order.
    """
    lines = [form.line]
    for labels, frames in videos:
        columns = [column for task in form.tasks for column in written_columns(task, getattr(labels, task)[frames - 1])]
        lines += joined_cells([_image_names(labels.video, frames), *columns])
    return '\n'.join([*lines, '']).encode()


def _image_names(video: str, frames: Sequence[int] | Ints) -> Any:
    import pyarrow as pa

    return pa.array([picture(video, frame) for frame in np.asarray(frames).tolist()], pa.string())
