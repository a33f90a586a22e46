"""One person over time, and the file of landmarks, blendshapes and poses, which are too large for memory.

Axis letters: T observations sorted by time. Frames without the face have no row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import RunError, ShapeError, UnknownNameError, ValueRangeError
from affekt.faces.completion import FaceObservation
from affekt.files import part_of
from affekt.runs import require_regular_file
from affekt.tables import joined_view, number_array, require_bounded, text_array

_WIDTHS = {'box': 4, 'landmarks': 478 * 3, 'blendshapes': 52, 'pose': 16}
_ROWS_PER_GROUP = 256


@dataclass(frozen=True)
class Track:
    """The observations of one person.

    Attributes:
        person: the person's name.
        times_s: (T,) float64 seconds, ascending.
        boxes: (T, 4) x, y, width, height in pixels.
        landmarks: (T, 478, 3) pixels.
        blendshapes: (T, 52) scores in [0, 1], named by BLENDSHAPES.
        poses: (T, 4, 4) canonical face to camera, centimetres.
        presence: (T,) in [0, 1].

    Raises:
        ShapeError: an array does not have this shape.
        ValueRangeError: times do not ascend.
    """

    person: str
    times_s: npt.NDArray[np.float64]
    boxes: Floats32
    landmarks: Floats32
    blendshapes: Floats32
    poses: Floats32
    presence: Floats32

    def __post_init__(self) -> None:
        count = len(self.times_s)
        shapes = {
            'times_s': (count,),
            'boxes': (count, 4),
            'landmarks': (count, 478, 3),
            'blendshapes': (count, 52),
            'poses': (count, 4, 4),
            'presence': (count,),
        }
        for name, shape in shapes.items():
            actual = getattr(self, name).shape
            if actual != shape:
                raise ShapeError(expected=f'{name} of shape {shape}', came=f'{actual}', todo='give one row per time')
        if not (np.diff(self.times_s) > 0).all():
            raise ValueRangeError(
                expected='ascending times', came='times that repeat or go back', todo='sort the rows by time'
            )

    def __len__(self) -> int:
        return len(self.times_s)

    def __repr__(self) -> str:
        if not len(self):
            return f'Track({self.person!r}, empty)'
        span = f'{self.times_s[0]:.2f}-{self.times_s[-1]:.2f} s'
        return f'Track({self.person!r}, {span}, landmarks {self.landmarks.shape}, blendshapes {self.blendshapes.shape})'

    @classmethod
    def read(cls, path: Path, person: str) -> Track:
        """The track of one person from a file that `LandmarkFile` wrote.

        Raises:
            RunError: the file is missing or is not such a file.
            UnknownNameError: the file does not have the person.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            require_regular_file(path)
            require_bounded(path)
            table = pq.read_table(path, filters=[('person', '==', person)])
            people = set(pq.read_table(path, columns=['person'])['person'].to_pylist())
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RunError(
                expected='a Parquet file of landmarks', came=f'{path}: {error}', todo='analyze again with `spill`'
            ) from error
        if person not in people:
            raise UnknownNameError(expected=f'one of {sorted(people)}', came=repr(person), todo='choose one of these')
        count = table.num_rows

        def array(name: str, *shape: int) -> Floats32:
            flat = joined_view(table[name].combine_chunks().flatten(), np.float32, np.nan)
            return np.asarray(flat.reshape(count, *shape))

        return cls(
            person,
            joined_view(table['time_s'], np.float64, np.nan),
            array('box', 4),
            array('landmarks', 478, 3),
            array('blendshapes', 52),
            array('pose', 4, 4),
            joined_view(table['presence'], np.float32, np.nan),
        )


class LandmarkFile:
    """Writes observations to a Parquet file, 256 rows at a time, so that memory stays flat.

    Columns: time_s, person, presence, and lists of fixed length box (4), landmarks (478 x 3), blendshapes (52), pose
    (4 x 4), all float32. The file gets its name when it is closed.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self._partial_path = part_of(path)
        lists = [(name, pa.list_(pa.float32(), width)) for name, width in _WIDTHS.items()]
        self._schema = pa.schema(
            [('time_s', pa.float64()), ('person', pa.string()), ('presence', pa.float32()), *lists]
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: Any = pq.ParquetWriter(self._partial_path, self._schema, compression='zstd')
        self._rows: list[tuple[str, FaceObservation]] = []

    def append(self, person: str, observation: FaceObservation) -> None:
        """Add one row; it is written when its group of 256 is full, or on closing."""
        self._rows.append((person, observation))
        if len(self._rows) == _ROWS_PER_GROUP:
            self._flush()

    def close(self, names: Mapping[str, str] | None = None) -> None:
        """Write the remaining rows and give the file its name; with `names`, people are renamed first."""
        self._flush()
        self._writer.close()
        if names is not None and any(old != new for old, new in names.items()):
            self._rename(names)
        with open(self._partial_path, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(self._partial_path, self.path)

    def _rename(self, names: Mapping[str, str]) -> None:
        """Rewrite the file with other names, one group of rows at a time."""
        import pyarrow.parquet as pq

        renamed_path = self._partial_path.with_name(f'{self._partial_path.name}.renamed')
        try:
            with (
                pq.ParquetFile(self._partial_path) as file,
                pq.ParquetWriter(renamed_path, self._schema, compression='zstd') as writer,
            ):
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group)
                    writer.write_table(rows.set_column(1, 'person', renamed(rows['person'], names)))
            os.replace(renamed_path, self._partial_path)
        finally:
            renamed_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Close and remove the unfinished file."""
        self._writer.close()
        self._partial_path.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        observations = [observation for _, observation in self._rows]
        columns = [
            number_array(np.array([face.time_s for face in observations])),
            text_array([person for person, _ in self._rows]),
            number_array(np.array([face.presence for face in observations], dtype=np.float32)),
            *[_lists([getattr(face, name) for face in observations], width) for name, width in _WIDTHS.items()],
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()


def renamed(people: Any, names: Mapping[str, str]) -> Any:
    """A column of people's names, with those in `names` replaced."""
    if not len(people):
        return people
    coded = people.combine_chunks().dictionary_encode()
    new_names = text_array([names.get(name, name) for name in coded.dictionary.to_pylist()])
    return new_names.take(coded.indices)


def _lists(values: Sequence[Floats32], width: int) -> Any:
    """A column of float32 lists of one length."""
    import pyarrow as pa

    flat = np.concatenate([value.reshape(-1) for value in values]).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(number_array(flat), width)
