"""The labels of each frame of a video, and those of all videos of a corpus as one table.

Row t of every array is frame t + 1 of the video: annotation files count frames from 1. A frame without a label keeps
its row, with nan or -1, so that predictions, features and labels of one video have equal lengths. A table is one
Parquet file with a row per frame, in which missing labels are null.

T frames, U action units.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats32
from affekt.errors import ShapeError, TableError, UnknownNameError, ValueRangeError, listed
from affekt.files import file_atomically

Int8 = npt.NDArray[np.int8]

PARTITIONS = ('train', 'val', 'test')
"""In order of increasing protection."""
TASKS = ('expression', 'affect', 'units')
"""The tasks: each is a field of `FrameLabels`."""
TASK_NAMES = {'expression': 'expressions', 'affect': 'valence and arousal', 'units': 'action units'}
"""Their names in sentences."""
AFFECT = ('valence', 'arousal')
EXPRESSIONS = ('Neutral', 'Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise', 'Other')
"""The classes of ABAW3 and later, in numerical order; ABAW1 and 2 have the first seven."""
ACTION_UNITS = ('AU1', 'AU2', 'AU4', 'AU6', 'AU7', 'AU10', 'AU12', 'AU15', 'AU23', 'AU24', 'AU25', 'AU26')
"""Action units of ABAW3 and later."""
SIDES = ('left', 'right')
FORMAT = 1
"""Format version of the file; newer ones are refused."""
ROWS_OF_A_GROUP = 1 << 18
"""Rows per row group of the Parquet file."""


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """The labels of one video, or predictions; a task without this video is None.

    Raises:
        ShapeError: the shapes or numbers of frames of arrays differ.
        ValueRangeError: a value is outside its range.
        UnknownNameError: unknown partition.
    """

    video: str
    """Its name in the corpus, with `_left` or `_right` if two people are annotated separately."""
    partition: str
    """`train`, `val` or `test`."""
    expression: Int8 | None = None
    """(T,) class number; -1 for none."""
    affect: Floats32 | None = None
    """(T, 2) valence and arousal in [-1, 1]; nan for none."""
    units: Int8 | None = None
    """(T, U) 1 if the action unit is active, 0 if not, -1 if unknown."""
    by_task: Mapping[str, str] = field(default_factory=dict)
    """Task to its partition, if it differs from `partition` or the task's labels are hidden: each task of a challenge
    has its own split."""
    frames: int = -1
    """T; without labels, the number from a list or from the video file; 0 if that is unknown."""

    def __post_init__(self) -> None:
        if unknown := {self.partition, *self.by_task.values()} - {*PARTITIONS}:
            raise UnknownNameError(
                expected=f'one of {", ".join(PARTITIONS)}', came=f'{listed(sorted(unknown))} for {self.video!r}',
                todo='use one of these',
            )  # fmt: skip
        for task, dtype in zip(TASKS, (np.int8, np.float32, np.int8), strict=True):
            if (values := getattr(self, task)) is not None:
                object.__setattr__(self, task, self._checked(task, values, dtype))
        sizes = {task: len(getattr(self, task)) for task in self.tasks}
        frames = next(iter(sizes.values()), 0) if self.frames < 0 else self.frames
        if any(size != frames for size in sizes.values()):
            raise ShapeError(
                expected=f'{frames} frames in every task of {self.video!r}',
                came=', '.join(f'{size} of {task}' for task, size in sizes.items()),
                todo='give every frame a row, with nan or -1 where it has no label',
            )
        object.__setattr__(self, 'frames', frames)

    def _checked(self, task: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        array = np.asarray(values)
        shape = {'expression': '(T,)', 'affect': '(T, 2)', 'units': '(T, U)'}[task]
        if array.ndim != (1 if task == 'expression' else 2) or (task == 'affect' and array.shape[1] != 2):
            raise ShapeError(
                expected=f'{task} {shape} for {self.video!r}', came=f'{array.shape}', todo='give one row per frame'
            )
        with np.errstate(invalid='ignore'):
            if task == 'affect':
                is_invalid = ~(np.isnan(array) | (np.abs(array) <= 1.0))
            else:
                is_invalid = (array < -1) | (array > (1 if task == 'units' else np.iinfo(np.int8).max))
                if array.dtype.kind not in 'biu':  # rounding integers would take most of the time
                    is_invalid |= array != np.rint(array)
        if is_invalid.any():
            row = int(np.argwhere(is_invalid)[0, 0])
            raise ValueRangeError(
                expected={
                    'expression': 'the number of a class, or -1',
                    'affect': 'values in [-1, 1], or nan',
                    'units': '0 or 1, or -1',
                }[task],
                came=f'{array[is_invalid][0]!s} in frame {row + 1} of {self.video!r}',
                todo='correct the value',
            )
        return np.ascontiguousarray(array, dtype=dtype)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the video."""
        return tuple(task for task in TASKS if getattr(self, task) is not None)

    @property
    def recording(self) -> str:
        """The name of the video file: the video's name without the side."""
        return recording_and_side(self.video)[0]

    @property
    def side(self) -> str:
        """`left` or `right` if the name says so, else ''."""
        return recording_and_side(self.video)[1]

    def partition_of(self, task: str) -> str:
        """The video's partition for this task alone."""
        return self.by_task.get(task, self.partition)

    def belongs_to(self, task: str) -> bool:
        """Whether the video is in a task, with labels known or hidden; a video without known tasks is in all."""
        return getattr(self, task) is not None or task in self.by_task or not (self.tasks or self.by_task)

    def labelled(self, task: str) -> Bools:
        """(T,) True where the frame has a complete label: both dimensions, all action units."""
        values = getattr(self, task)
        if values is None:
            return np.zeros(self.frames, dtype=np.bool_)
        if task == 'expression':
            return np.asarray(values >= 0)
        return ~np.isnan(values).any(axis=1) if task == 'affect' else np.asarray((values >= 0).all(axis=1))

    def only(self, task: str) -> FrameLabels:
        """One task's labels, in that task's own partition.

        Raises:
            UnknownNameError: unknown task.
        """
        _require_task(task)
        labels = {task: getattr(self, task)}
        return FrameLabels(self.video, self.partition_of(task), frames=self.frames, **labels)


def recording_and_side(video: str) -> tuple[str, str]:
    """The name of a video's file, and the person's side or ''.

    >>> recording_and_side('10-60-1280x720_left')
    ('10-60-1280x720', 'left')
    >>> recording_and_side('video59')
    ('video59', '')
    """
    name, _, side = video.rpartition('_')
    return (name, side) if name and side in SIDES else (video, '')


def _require_task(task: str) -> None:
    if task not in TASKS:
        raise UnknownNameError(expected=f'one of {", ".join(TASKS)}', came=repr(task), todo='name one of these')


@dataclass(frozen=True, eq=False)
class FrameTable:
    """All videos of a corpus with the labels of their frames.

    Raises:
        TableError: a video occurs twice.
        ShapeError: a video's number of action units differs from the table's.
        ValueRangeError: a class has no name.
    """

    labels: tuple[FrameLabels, ...] = field(repr=False)
    expressions: tuple[str, ...] = EXPRESSIONS
    """Names of the classes, in numerical order."""
    action_units: tuple[str, ...] = ACTION_UNITS
    """Names of the columns of `units`."""
    notes: tuple[str, ...] = ()
    """Irregularities found while reading."""

    def __post_init__(self) -> None:
        object.__setattr__(self, 'labels', tuple(self.labels))
        if repeated := [name for name, times in Counter(self.names).items() if times > 1]:
            raise TableError(expected='every video once', came=f'{listed(repeated)} twice', todo='leave one out')
        for labels in self.labels:
            if labels.units is not None and labels.units.shape[1] != len(self.action_units):
                raise ShapeError(
                    expected=f'{len(self.action_units)} action units', todo='name the action units of the table',
                    came=f'{labels.units.shape[1]} in {labels.video!r}',
                )  # fmt: skip
            if labels.expression is not None and int(labels.expression.max(initial=-1)) >= len(self.expressions):
                raise ValueRangeError(
                    expected=f'classes from 0 to {len(self.expressions) - 1}', todo='name the classes of the table',
                    came=f'{labels.expression.max()} in {labels.video!r}',
                )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[FrameLabels]:
        return iter(self.labels)

    def __contains__(self, video: object) -> bool:
        return video in self._indices

    def __getitem__(self, video: str) -> FrameLabels:
        """The labels of one video.

        Raises:
            UnknownNameError: unknown video.
        """
        if video not in self._indices:
            raise UnknownNameError(
                expected='a video of the table', came=f'{video!r}, not among {listed(self.names)}', todo='name one'
            )
        return self.labels[self._indices[video]]

    @cached_property
    def _indices(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @property
    def names(self) -> tuple[str, ...]:
        """The videos in order."""
        return tuple(labels.video for labels in self.labels)

    @property
    def frames(self) -> int:
        """Total number of frames."""
        return sum(labels.frames for labels in self.labels)

    def part(self, *partitions: str) -> FrameTable:
        """The videos of these partitions, in order.

        Raises:
            UnknownNameError: unknown partition.
        """
        if unknown := {*partitions} - {*PARTITIONS}:
            raise UnknownNameError(
                expected=f'one of {", ".join(PARTITIONS)}', came=listed(sorted(unknown)), todo='name one of these'
            )
        return self._of(labels for labels in self.labels if labels.partition in partitions)

    def only(self, task: str) -> FrameTable:
        """The videos of a task, each in that task's own partition and with only its labels.

        Raises:
            UnknownNameError: unknown task.
        """
        _require_task(task)
        return self._of(labels.only(task) for labels in self.labels if getattr(labels, task) is not None)

    def take(self, videos: Iterable[str]) -> FrameTable:
        """These videos, in the given order.

        Raises:
            UnknownNameError: unknown video.
            TableError: a video is given twice.
        """
        return self._of(self[video] for video in videos)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of frames of each class, rated in each dimension, and with each action unit active, by partition.

        Returns:
            Name to partition to frames; each task in its own partition.
        """
        rows = {name: dict.fromkeys(PARTITIONS, 0) for name in (*self.expressions, *AFFECT, *self.action_units)}

        def add(task: str, names: Sequence[str], counts: Iterable[int]) -> None:
            for name, count in zip(names, counts, strict=True):
                rows[name][labels.partition_of(task)] += int(count)

        for labels in self.labels:
            if labels.expression is not None:
                classes = labels.expression[labels.expression >= 0]
                add('expression', self.expressions, np.bincount(classes, minlength=len(self.expressions)))
            if labels.affect is not None:
                add('affect', AFFECT, (~np.isnan(labels.affect)).sum(axis=0))
            if labels.units is not None:
                add('units', self.action_units, (labels.units == 1).sum(axis=0))
        return rows

    def _of(self, labels: Iterable[FrameLabels]) -> FrameTable:
        return dataclasses.replace(self, labels=tuple(labels))

    def save(self, path: str | Path) -> None:
        """Writes the table as Parquet with a row per frame, atomically."""
        import pyarrow as pa
        from pyarrow import parquet

        header = {
            'format': FORMAT, 'expressions': self.expressions, 'action_units': self.action_units, 'notes': self.notes,
            'videos': [
                [labels.video, labels.partition, labels.frames, labels.tasks, dict(labels.by_task)]
                for labels in self.labels
            ],
        }  # fmt: skip
        table = pa.table(dict(self._columns()))
        with (
            file_atomically(path) as file,
            parquet.ParquetWriter(file, table.schema, compression='zstd', store_schema=False) as writer,
        ):
            writer.write_table(table, ROWS_OF_A_GROUP)
            writer.add_key_value_metadata({'affekt': json.dumps(header, ensure_ascii=False)})

    def _columns(self) -> Iterator[tuple[str, Any]]:
        """Name and Arrow array of each column of the file."""
        import pyarrow as pa

        counts = np.array([labels.frames for labels in self.labels], dtype=np.int64)
        codes = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        yield 'video', pa.DictionaryArray.from_arrays(codes, pa.array(self.names, pa.string()))
        partitions = np.array([PARTITIONS.index(labels.partition) for labels in self.labels], dtype=np.int8)
        yield 'partition', pa.DictionaryArray.from_arrays(np.repeat(partitions, counts), pa.array(PARTITIONS))
        starts = np.cumsum(counts) - counts
        yield 'frame', (np.arange(len(codes)) - np.repeat(starts, counts) + 1).astype(np.int32)
        expression = self._joined('expression', ())
        yield 'expression', pa.array(expression, mask=expression < 0)
        affect = self._joined('affect', (2,))
        for column, name in enumerate(AFFECT):
            values = np.ascontiguousarray(affect[:, column])
            yield name, pa.array(values, mask=np.isnan(values))
        units = self._joined('units', (len(self.action_units),))
        for column, name in enumerate(self.action_units):
            values = np.ascontiguousarray(units[:, column])
            yield name, pa.array(values, mask=values < 0)

    def _joined(self, task: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """(frames, ...) a task's labels of all videos, one after the other."""
        dtype, absent = (np.float32, np.nan) if task == 'affect' else (np.int8, -1)
        parts = [
            np.full((labels.frames, *shape), absent, dtype) if getattr(labels, task) is None else getattr(labels, task)
            for labels in self.labels
        ]
        return np.concatenate([np.zeros((0, *shape), dtype), *parts])

    @classmethod
    def load(cls, path: str | Path) -> FrameTable:
        """The table that `save` wrote.

        Raises:
            TableError: the file is missing, damaged, not a table of frames, or of a newer format.
        """
        import pyarrow as pa

        from affekt.tables import require_bounded

        path = Path(path)
        try:
            require_bounded(path)
            header, columns = _read(path)
            if header.get('format', 0) > FORMAT:
                raise TableError(expected=f'frames of format {FORMAT}', came=f'{path}, newer', todo='update affekt')
            return _table(header, columns)
        except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            if isinstance(error, TableError) and error.todo == 'update affekt':
                raise
            came = f'{path}, which does not exist' if not path.exists() else f'{path}: {getattr(error, "came", error)}'
            todo = 'write one with `affekt corpus import affwild2`'
            raise TableError(expected='a table of labels by frame (.parquet)', came=came, todo=todo) from error


def _read(path: Path) -> tuple[dict[str, Any], Any]:
    """The header of a file and its columns of labels."""
    from pyarrow import parquet

    from affekt.tables import own_header

    with parquet.ParquetFile(path) as file:
        header = own_header(file.schema_arrow.metadata)
        if 'videos' not in header:
            raise ValueError('it holds no labels of frames')
        return header, file.read(['expression', *AFFECT, *header['action_units']], use_threads=False)


def _table(header: Mapping[str, Any], table: Any) -> FrameTable:
    """The table that a header and the columns of labels describe."""
    units, expressions = tuple(header['action_units']), tuple(header['expressions'])
    columns = {
        'expression': table['expression'].fill_null(-1).to_numpy(),
        'affect': _stacked([table[name].to_numpy() for name in AFFECT], np.float32, table.num_rows),
        'units': _stacked([table[name].fill_null(-1).to_numpy() for name in units], np.int8, table.num_rows),
    }
    videos, start = [], 0
    for video, partition, frames, tasks, by_task in header['videos']:
        rows = slice(start, start := start + frames)
        labels = {task: columns[task][rows] for task in tasks}
        videos.append(FrameLabels(video, partition, by_task=by_task, frames=frames, **labels))
    if start != table.num_rows:
        raise TableError(expected=f'{start} frames', came=f'{table.num_rows} rows', todo='write the table again')
    return FrameTable(tuple(videos), expressions, units, tuple(header['notes']))


def _stacked(columns: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike, rows: int) -> npt.NDArray[Any]:
    """(rows, columns) array of a table's columns; (rows, 0) for none."""
    return np.stack(columns, axis=1).astype(dtype, copy=False) if columns else np.zeros((rows, 0), dtype)
