"""Features of a whole corpus in a few files that are read by memory map: nothing is loaded before it is asked for.

One folder a recipe, in it one Arrow file a shard. A file holds the samples' names, their values one after the other and
the times of rows; its header holds the recipe, where the samples came from, and which samples have none and why.

B samples, T rows in time, D columns.
"""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, TableError, UnknownNameError, ValueRangeError, listed
from affekt.features.pooling import padded
from affekt.features.recipes import Features, Floats
from affekt.runs import file_atomically, versions

FORMAT = 1
SUFFIX = '.features.arrow'
ROWS_AT_ONCE = 1 << 16
"""Rows of values in one piece of a file, at most, where a sample is not longer itself."""


@dataclass(frozen=True)
class Provenance:
    """What a file of features says of itself."""

    recipe: str
    """Its name."""
    hash: str
    dimension: int
    facts: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    corpus: str = ''
    shard: tuple[int, int] = (1, 1)
    """Which of how many."""
    missing: tuple[tuple[str, str], ...] = ()
    """Samples without features, and why."""
    versions: Mapping[str, str] | None = None


def write_features(path: Path, features: Iterable[Features], provenance: Provenance) -> int:
    """Write one file, whole or not at all.

    Args:
        path: ends in `.features.arrow`.
        features: of one recipe, each sample once; taken one by one, so that they need not fit in memory together.
        provenance: goes into the header.

    Returns:
        The number of samples.

    Raises:
        ShapeError: values have another D than the provenance says.
        ValueRangeError: a value is not finite; names the sample.
        TableError: a sample stands twice.
    """
    import pyarrow as pa

    told = {'format': FORMAT, **dataclasses.asdict(provenance), 'versions': versions()}
    schema = _schema(provenance.dimension, {'affekt': json.dumps(told, ensure_ascii=False)})
    seen: set[str] = set()
    with file_atomically(path) as raw, pa.ipc.new_file(raw, schema) as writer:
        for piece in _pieces(features):
            for one in piece:
                _check(one, provenance, seen)
            writer.write_batch(_as_batch(piece, schema))
    return len(seen)


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


def _pieces(features: Iterable[Features]) -> Iterator[list[Features]]:
    piece: list[Features] = []
    rows = 0
    for one in features:
        if piece and rows + len(one.values) > ROWS_AT_ONCE:
            yield piece
            piece, rows = [], 0
        piece.append(one)
        rows += len(one.values)
    if piece:
        yield piece


def _check(one: Features, provenance: Provenance, seen: set[str]) -> None:
    if one.values.shape[1] != provenance.dimension:
        raise ShapeError(
            expected=f'{provenance.dimension} columns of {provenance.recipe}',
            came=f'{one.values.shape} for sample {one.sample!r}',
            todo='extract it again',
        )
    if not np.isfinite(one.values).all():
        row, column = np.argwhere(~np.isfinite(one.values))[0]
        name = one.columns[column] if one.columns else f'column {column}'
        raise ValueRangeError(
            expected='finite features',
            came=f'{one.values[row, column]} in {name}, row {row} of sample {one.sample!r}',
            todo='leave that sample out, or correct the encoder',
        )
    if one.sample in seen:
        raise TableError(expected='every sample once', came=f'{one.sample!r} twice', todo='correct the manifest')
    seen.add(one.sample)


def _as_batch(piece: Sequence[Features], schema: Any) -> Any:
    import pyarrow as pa

    lengths = np.array([len(one.values) for one in piece], dtype=np.int64)
    timed = np.array([0 if one.times is None else len(one.times) for one in piece], dtype=np.int64)
    flat = np.ascontiguousarray(np.concatenate([one.values for one in piece]), dtype=np.float32).ravel()
    rows = pa.FixedSizeListArray.from_arrays(pa.array(flat), schema.field('values').type.value_type.list_size)
    times = [one.times for one in piece if one.times is not None]
    values = pa.LargeListArray.from_arrays(pa.array(_offsets(lengths)), rows)
    stamps = pa.array(np.concatenate(times) if times else np.zeros(0))
    times_of = pa.LargeListArray.from_arrays(pa.array(_offsets(timed)), stamps)
    return pa.record_batch([pa.array([one.sample for one in piece]), values, times_of], schema=schema)


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)])


class Store:
    """The features of one recipe, from all its files.

    Args:
        path: a folder of files, or one file.
        partial: open it though shards are missing.

    Raises:
        TableError: there are none, one is damaged, they are of different recipes, a sample stands in two, or a shard of
            several is missing.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        files = sorted(path.glob(f'*{SUFFIX}')) if path.is_dir() else [path]
        if not files:
            raise TableError(
                expected=f'files that end in {SUFFIX}', came=f'{path} without any', todo='run `affekt features extract`'
            )
        self.path = path
        self._files = [_File(file) for file in files]
        self.parts = tuple(file.provenance for file in self._files)
        self._require_one_recipe()
        self._pieces = [piece for file in self._files for piece in file.pieces]
        self._starts = [0, *accumulate(len(piece.offsets) - 1 for piece in self._pieces)]
        if len(self._files) > 1 and len(self._row) != len(self.names):  # one file alone holds none twice
            twice = [name for name, times in Counter(self.names).items() if times > 1]
            raise TableError(
                expected=f'every sample in one file of {path}',
                came=f'{listed(twice)} in two',
                todo='remove the older file',
            )
        if not partial:
            self._require_all_shards()

    @property
    def provenance(self) -> Provenance:
        """Of the first file; recipe, hash and columns are those of all."""
        return self.parts[0]

    @property
    def dimension(self) -> int:
        """D"""
        return self.provenance.dimension

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The samples that have features, in the order of the files."""
        return tuple(name for held in self._samples() for name in held.to_pylist())

    @property
    def missing(self) -> dict[str, str]:
        """The samples that have none, and why."""
        lost = [one for part in self.parts for one in part.missing]
        return {name: reason for name, reason in lost if name not in self._row}

    def __len__(self) -> int:
        return self._starts[-1]

    def __contains__(self, name: object) -> bool:
        return name in self._row

    def __repr__(self) -> str:
        files, missing = len(self._files), len(self.missing)
        return f'Store({self.provenance.recipe}, {len(self)} x {self.dimension}, {files} files, {missing} missing)'

    def values(self, name: str) -> Floats:
        """(T, D) of one sample, a view of the file.

        Raises:
            UnknownNameError: the sample has no features; says why where the file knows.
        """
        piece, row = self._place(name)
        return piece.values(row)

    def __getitem__(self, name: str) -> Features:
        """One sample's features, views of the file.

        Raises:
            UnknownNameError: the sample has none.
        """
        piece, row = self._place(name)
        return Features(name, piece.values(row), self.provenance.columns, piece.times_of(row), self.provenance.hash)

    def lengths(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """(B,) how many rows each sample has."""
        return np.array([len(self.values(name)) for name in names], dtype=np.int64)

    def matrix(self, names: Sequence[str]) -> Floats:
        """(B, D): the one row of each sample, the mean over rows where there are several.

        Samples in the order of the file give a view of it, which costs nothing and cannot be written; others a copy.

        Raises:
            UnknownNameError: a sample has no features.
        """
        return self.rows(self.numbers(names))

    def numbers(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """(B,) the place of each sample in `names`, for `rows`: looked up once, read in every epoch.

        Raises:
            UnknownNameError: a sample has no features.
        """
        if '_row' in self.__dict__ or len(names) < len(self) // 4:
            try:
                return np.fromiter(map(self._row.__getitem__, names), dtype=np.int64, count=len(names))
            except KeyError as error:
                raise self._lacks(error.args[0]) from None
        return self._found(names)

    def rows(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """As `matrix`, for samples by number.

        Args:
            numbers: (B,) each from 0 to `len(self)` - 1, in any order.

        Raises:
            ValueRangeError: a number is none of these.
        """
        if len(numbers) and not (int(numbers.min()) >= 0 and int(numbers.max()) < len(self)):
            raise ValueRangeError(
                expected=f'numbers of samples from 0 to {len(self) - 1}',
                came=f'{int(numbers.min())} to {int(numbers.max())}', todo='take them from `numbers`',
            )  # fmt: skip
        pieces = np.searchsorted(self._starts, numbers, side='right') - 1
        used = np.unique(pieces)
        if len(used) == 1:
            return self._pieces[int(used[0])].means(numbers - self._starts[int(used[0])])
        found = np.empty((len(numbers), self.dimension), dtype=np.float32)
        for piece in used:
            at = np.flatnonzero(pieces == piece)
            found[at] = self._pieces[piece].means(numbers[at] - self._starts[piece])
        return found

    def batch(self, names: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(B, max T, D) and (B, max T) `keep_mask`, True where a row is real.

        Raises:
            UnknownNameError: a sample has no features.
            ShapeError: no names.
        """
        return padded([self.values(name) for name in names])

    def _place(self, name: str) -> tuple[_Piece, int]:
        number = self._row.get(name)
        if number is None:
            raise self._lacks(name)
        piece = bisect_right(self._starts, number) - 1
        return self._pieces[piece], number - self._starts[piece]

    @cached_property
    def _row(self) -> dict[str, int]:
        """Sample to its number, counted through all pieces; made when a sample is first asked for alone."""
        return dict(zip(self.names, range(len(self)), strict=True))

    def _samples(self) -> list[Any]:
        """Piece by piece, the names as Arrow holds them."""
        return [held for file in self._files for held in file.samples]

    def _found(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """The numbers of many samples at once, without an object for each that the store holds."""
        import pyarrow as pa
        from pyarrow import compute

        wanted = pa.array(names, pa.string())
        found = compute.index_in(wanted, value_set=pa.chunked_array(self._samples(), pa.string()))
        if found.null_count:
            raise self._lacks(names[found.is_null().index(True).as_py()])
        places: npt.NDArray[np.int64] = _view(found, np.int32).astype(np.int64)
        return places

    def _lacks(self, name: str) -> UnknownNameError:
        return UnknownNameError(
            expected=f'a sample with features of {self.provenance.recipe}',
            came=f'{name!r}: {self.missing.get(name, "it was not extracted")}',
            todo='leave it out, or mask it',
        )

    def _require_one_recipe(self) -> None:
        if len({part.hash for part in self.parts}) != 1:
            held = sorted({f'{part.recipe} {part.hash[:8]}' for part in self.parts})
            raise TableError(
                expected=f'one recipe in {self.path}', came=', '.join(held), todo='keep each recipe in its own folder'
            )

    def _require_all_shards(self) -> None:
        count = self.parts[0].shard[1]
        held = {part.shard[0] for part in self.parts}
        absent = [f'{number}/{count}' for number in range(1, count + 1) if number not in held]
        if absent or len({part.shard[1] for part in self.parts}) != 1:
            counts = sorted({part.shard[1] for part in self.parts})
            came = (
                f'shards of {" and of ".join(map(str, counts))}' if len(counts) > 1 else f'none of {listed(absent, 3)}'
            )
            raise TableError(
                expected=f'all {count} shards in {self.path}',
                came=came,
                todo='extract the missing ones, or open it as partial',
            )


class _File:
    """One memory-mapped file."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            told = json.loads(self._reader.schema.metadata[b'affekt'])
            if told.pop('format') > FORMAT:
                raise TableError(expected=f'features of format {FORMAT}', came=f'{path}, newer', todo='update affekt')
            told |= {'columns': tuple(told['columns']), 'shard': tuple(told['shard'])}
            told['missing'] = tuple((name, reason) for name, reason in told['missing'])
            self.provenance = Provenance(**told)
            self._batches = [self._reader.get_batch(index) for index in range(self._reader.num_record_batches)]
            if self._reader.schema.remove_metadata() != _schema(self.provenance.dimension, {}).remove_metadata():
                raise ValueError(f'columns {self._reader.schema.names} of other types')
            for held in self._batches:
                held.validate(full=True)  # offsets that point outside would end the process
            self.pieces = [_Piece.of(held, self.provenance.dimension) for held in self._batches]
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, TableError):
                raise
            came = f'{path}, which is not there' if not path.exists() else f'{path}: {error}'
            raise TableError(expected='a file of features', came=came, todo='extract it again') from error
        self.samples = [held.column('sample') for held in self._batches]


@dataclass(frozen=True)
class _Piece:
    """Views of one record batch."""

    flat: Floats
    """(rows, D)"""
    offsets: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    time_offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, held: Any, dimension: int) -> _Piece:
        """The views, without a copy."""
        values, times = held.column('values'), held.column('times')
        flat = _view(values.values.values, np.float32).reshape(-1, dimension)
        offsets, time_offsets = _view(values.offsets, np.int64), _view(times.offsets, np.int64)
        return cls(flat, offsets, _view(times.values, np.float64), time_offsets)

    def values(self, row: int) -> Floats:
        """(T, D) of a sample."""
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    def times_of(self, row: int) -> npt.NDArray[np.float64] | None:
        """(T,) of a sample; None where its rows have no times."""
        found = self.times[self.time_offsets[row] : self.time_offsets[row + 1]]
        return found if len(found) else None

    def means(self, rows: npt.NDArray[np.int64]) -> Floats:
        """(B, D) means over the rows of each sample; a view where each has one and they follow each other."""
        begins, ends = self.offsets[rows], self.offsets[rows + 1]
        if not (ends - begins == 1).all():
            return np.stack([self.flat[begin:end].mean(axis=0) for begin, end in zip(begins, ends, strict=True)])
        if (np.diff(begins) == 1).all():
            return self.flat[begins[0] : ends[-1]]
        found: Floats = np.take(self.flat, begins, axis=0)
        return found


def _view(held: Any, kind: type[np.generic]) -> Any:
    """The numbers of an Arrow array, not copied; its own `to_numpy` would load pandas, if that is installed.

    Raises:
        ValueError: some are null.
    """
    if held.null_count:
        raise ValueError(f'{held.null_count} values that are null')
    content = held.buffers()[1]
    if content is None or not len(held):
        return np.zeros(0, kind)
    return np.frombuffer(content, kind, len(held), held.offset * np.dtype(kind).itemsize)
