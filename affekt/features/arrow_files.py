"""Arrow files of features: written completely or not at all, read by memory map.

A file is Arrow IPC: columns `sample` (text), `values` (lists of rows of D float32), `times` (lists of float64, empty
where rows have none). The header records the provenance.

Axes: T time steps, D features, B samples.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import FileError, ShapeError, TableError, ValueRangeError
from affekt.features.recipes import Features, not_finite
from affekt.runs import file_atomically, require_regular_file, versions
from affekt.tables import number_array, own_header, require_bounded_messages, text_array
from affekt.tables.arrow_arrays import view

FORMAT = 1
SUFFIX = '.features.arrow'
MADE_AGAIN = 'extract it again'
"""Advice for a damaged file, which cannot be distinguished from one that was never complete."""
ROWS_AT_ONCE = 1 << 16
"""Maximum number of rows of values per record batch, unless a single sample is longer."""


@dataclass(frozen=True)
class Provenance:
    """What a file of features was made from, as stored in its header."""

    recipe: str
    """Name of the recipe."""
    hash: str
    dimension: int
    facts: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    corpus: str = ''
    shard: tuple[int, int] = (1, 1)
    """Number of this shard, from 1, and number of shards."""
    missing: tuple[tuple[str, str], ...] = ()
    """Samples without features, or with a part missing, each with the reason."""
    versions: Mapping[str, str] | None = None
    samples: str = ''
    """Digest of the manifest's entries for the samples: texts, files, windows; '' if unknown."""
    modality: str | None = None
    """Modality of the features: audio, text or video; None if unknown. Files store it among the facts."""

    def header(self) -> dict[str, Any]:
        """The fields as stored in a file."""
        header = {'format': FORMAT, **dataclasses.asdict(self), 'versions': versions()}
        if modality := header.pop('modality'):
            header['facts'] = {**header['facts'], 'modality': modality}
        return header

    @classmethod
    def of_header(cls, header: dict[str, Any]) -> Provenance:
        """The provenance in the header of a file, without the format.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or of another type.
        """
        facts = dict(header['facts'])
        missing = tuple((name, reason) for name, reason in header['missing'])
        columns, shard = tuple(header['columns']), tuple(header['shard'])
        modality = facts.pop('modality', None)
        read = {'facts': facts, 'columns': columns, 'shard': shard, 'missing': missing, 'modality': modality}
        return cls(**header | read)


def write_features(path: Path, features: Iterable[Features], provenance: Provenance) -> int:
    """Write one file, completely or not at all.

    Args:
        path: path that ends in `.features.arrow`.
        features: features of one recipe, each sample once; consumed one by one, so that they need not fit in memory.
        provenance: provenance for the header.

    Returns:
        The number of samples.

    Raises:
        ShapeError: D of the values differs from the provenance.
        ValueRangeError: a value is not finite; the message names the sample.
        TableError: a sample occurs twice.
    """
    import pyarrow as pa

    schema = _schema(provenance.dimension, {'affekt': json.dumps(provenance.header(), ensure_ascii=False)})
    names: set[str] = set()
    with file_atomically(path) as raw, pa.ipc.new_file(raw, schema) as writer:
        for batch in _batches_of(features):
            for sample_features in batch:
                _require_valid(sample_features, provenance, names)
            writer.write_batch(_as_batch(batch, schema))
    return len(names)


def _schema(dimension: int, header: Mapping[str, str]) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ('sample', pa.string()),
            ('values', pa.large_list(pa.list_(pa.float32(), dimension))),
            ('times', pa.large_list(pa.float64())),
        ],
        metadata=dict(header),
    )


def _batches_of(features: Iterable[Features]) -> Iterator[list[Features]]:
    batch: list[Features] = []
    rows = 0
    for sample_features in features:
        if batch and rows + len(sample_features.values) > ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
        batch.append(sample_features)
        rows += len(sample_features.values)
    if batch:
        yield batch


def _require_valid(features: Features, provenance: Provenance, names: set[str]) -> None:
    if features.values.shape[1] != provenance.dimension:
        raise ShapeError(
            expected=f'{provenance.dimension} columns of {provenance.recipe}',
            came=f'{features.values.shape} for sample {features.sample!r}',
            todo='extract it again',
        )
    if fault := not_finite(features):
        raise ValueRangeError(
            expected='finite features', came=f'{fault} of sample {features.sample!r}',
            todo='leave that sample out, or correct the encoder',
        )  # fmt: skip
    if features.sample in names:
        raise TableError(expected='every sample once', came=f'{features.sample!r} twice', todo='correct the manifest')
    names.add(features.sample)


def _as_batch(samples: Sequence[Features], schema: Any) -> Any:
    import pyarrow as pa

    lengths = np.array([len(sample.values) for sample in samples], dtype=np.int64)
    time_lengths = np.array([0 if sample.times is None else len(sample.times) for sample in samples], dtype=np.int64)
    flat = np.ascontiguousarray(np.concatenate([sample.values for sample in samples]), dtype=np.float32).ravel()
    rows = pa.FixedSizeListArray.from_arrays(number_array(flat), schema.field('values').type.value_type.list_size)
    times = [sample.times for sample in samples if sample.times is not None]
    values = pa.LargeListArray.from_arrays(number_array(_offsets(lengths)), rows)
    stamps = number_array(np.concatenate(times) if times else np.zeros(0))
    times_of = pa.LargeListArray.from_arrays(number_array(_offsets(time_lengths)), stamps)
    return pa.record_batch([text_array([sample.sample for sample in samples]), values, times_of], schema=schema)


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)])


class FeatureFile:
    """A memory-mapped file of features.

    Args:
        path: a file that `write_features` wrote.

    Raises:
        TableError: the file is missing, damaged, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            require_regular_file(path)
            require_bounded_messages(path)
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            header = own_header(self._reader.schema.metadata)
            if header.pop('format') > FORMAT:
                raise TableError(expected=f'features of format {FORMAT}', came=f'{path}, newer', todo='update affekt')
            self.provenance = Provenance.of_header(header)
            self._batches = [self._reader.get_batch(index) for index in range(self._reader.num_record_batches)]
            if self._reader.schema.remove_metadata() != _schema(self.provenance.dimension, {}).remove_metadata():
                raise ValueError(f'columns {self._reader.schema.names} of other types')
            for batch in self._batches:
                batch.validate(full=True)  # offsets outside the file would crash the process
            self.pieces = [Piece.of(batch, self.provenance.dimension) for batch in self._batches]
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, TableError | FileError):
                raise
            came = f'{path}, which does not exist' if not path.exists() else f'{path}: {error}'
            todo = 'allow it to be read' if isinstance(error, PermissionError) else MADE_AGAIN
            raise TableError(expected='a file of features', came=came, todo=todo) from error
        self.samples = [batch.column('sample') for batch in self._batches]


@dataclass(frozen=True)
class Piece:
    """Views of one record batch."""

    flat: Floats32
    """(rows, D) values of all samples."""
    offsets: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    time_offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, batch: Any, dimension: int) -> Piece:
        """The views, without a copy."""
        values, times = batch.column('values'), batch.column('times')
        flat = view(values.values.values, np.float32).reshape(-1, dimension)
        offsets, time_offsets = view(values.offsets, np.int64), view(times.offsets, np.int64)
        return cls(flat, offsets, view(times.values, np.float64), time_offsets)

    def values(self, row: int) -> Floats32:
        """(T, D) values of a sample."""
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    def times_of(self, row: int) -> npt.NDArray[np.float64] | None:
        """(T,) times of a sample in seconds; None if its rows have no times."""
        times = self.times[self.time_offsets[row] : self.time_offsets[row + 1]]
        return times if len(times) else None

    def means(self, rows: npt.NDArray[np.int64]) -> Floats32:
        """(B, D) means over the rows of each sample; a view if each has one row and these are adjacent."""
        begins, ends = self.offsets[rows], self.offsets[rows + 1]
        if not (ends - begins == 1).all():
            return np.stack([self.flat[begin:end].mean(axis=0) for begin, end in zip(begins, ends, strict=True)])
        if (np.diff(begins) == 1).all():
            return self.flat[begins[0] : ends[-1]]
        means: Floats32 = np.take(self.flat, begins, axis=0)
        return means
