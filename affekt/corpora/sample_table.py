"""Samples as Arrow columns: some hundred bytes per sample, with rows made on access.

N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from affekt.corpora.sample import COLUMNS, NUMBERS, REPEATING, WHOLE, Sample
from affekt.errors import ShapeError, TableError, UnknownNameError, ValueRangeError
from affekt.tables import joined_view, number_array, text_array

ROWS_AT_ONCE = 1 << 14
"""Rows that are converted together; larger numbers are no faster."""


class Coded(NamedTuple):
    """A column with few distinct values."""

    values: tuple[Any, ...]
    """Distinct values, in order of first occurrence."""
    codes: npt.NDArray[np.int64]
    """(N,) index of each sample's value; -1 where missing."""

    def counts(self) -> dict[Any, int]:
        """Value to its number of samples; None last, where values are missing."""
        sizes = np.bincount(self.codes + 1, minlength=len(self.values) + 1).tolist()
        return dict(zip(self.values, sizes[1:], strict=True)) | ({None: sizes[0]} if sizes[0] else {})

    def where(self, wanted: Iterable[Any]) -> npt.NDArray[np.bool_]:
        """(N,) True where the value, or None, is among these."""
        accepted = frozenset(wanted)
        return np.array([value in accepted for value in (*self.values, None)], dtype=np.bool_)[self.codes]

    def objects(self) -> npt.NDArray[Any]:
        """(N,) values themselves, None where missing."""
        with_missing = np.empty(len(self.values) + 1, dtype=object)
        with_missing[:-1] = self.values
        return with_missing[self.codes]


class SampleTable(Sequence[Sample]):
    """N samples that behave as a tuple of `Sample` and are stored as columns.

    Args:
        table: Arrow table with exactly the `COLUMNS`, of the types that `fitted` gives.
    """

    def __init__(self, table: Any) -> None:
        self.table = table

    @classmethod
    def of(cls, rows: Iterable[Sample]) -> SampleTable:
        """Columns from rows, which are consumed one by one.

        Raises:
            TableError: a value is not of its column's type, or is text that UTF-8 cannot encode; the message names the
                sample.
        """
        if isinstance(rows, SampleTable):
            return rows
        import pyarrow as pa

        iterator = iter(rows)
        tables: list[Any] = []
        while (block := list(islice(iterator, ROWS_AT_ONCE))) or not tables:
            tables.append(pa.Table.from_arrays([_array_of_rows(name, block) for name in COLUMNS], schema=schema()))
        return cls.fitted(pa.concat_tables(tables).combine_chunks())

    @classmethod
    def fitted(cls, table: Any) -> SampleTable:
        """Arrow columns converted to the exact types.

        Raises:
            ArrowInvalid: a value does not fit its column.
        """
        import pyarrow as pa

        columns = [_fitted(name, table.column(name)) for name in COLUMNS]
        return cls(pa.Table.from_arrays(columns, names=list(COLUMNS)))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(*cells) for cells in self.cells())

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> SampleTable: ...
    def __getitem__(self, at: int | slice) -> Sample | SampleTable:
        if isinstance(at, slice):
            rows = range(len(self))[at]
            if rows.step == 1:
                return SampleTable(self.table.slice(rows.start, len(rows)))
            return self.take(np.arange(rows.start, rows.stop, rows.step, dtype=np.int64))
        row = range(len(self))[at]
        return Sample(*(column[row].as_py() for column in self.table.columns))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SampleTable):
            return bool(self.plain().equals(other.plain()))
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(ours == theirs for ours, theirs in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Iterable[Sample]) -> SampleTable:
        import pyarrow as pa

        joined = pa.concat_tables([self.table, SampleTable.of(other).table])
        return SampleTable(joined.unify_dictionaries())

    def __radd__(self, other: Iterable[Sample]) -> SampleTable:
        return SampleTable.of(other) + self

    def __repr__(self) -> str:
        return f'SampleTable({len(self)} samples)'

    def __reduce__(self) -> tuple[Any, ...]:
        import pyarrow as pa

        sink = pa.BufferOutputStream()  # pickling a slice of an Arrow table would include the whole table
        with pa.ipc.new_stream(sink, schema()) as writer:
            writer.write_table(self.plain())
        return _unpacked, (sink.getvalue().to_pybytes(),)

    def plain(self) -> Any:
        """The Arrow table without dictionary encoding, as files have it."""
        return self.table.cast(schema())

    def cells(self, names: Sequence[str] = COLUMNS) -> Iterator[tuple[Any, ...]]:
        """Values of these columns, row by row, with None for missing ones."""
        columns = self.table.select(list(names))
        for start in range(0, len(self), ROWS_AT_ONCE):
            block = columns.slice(start, ROWS_AT_ONCE).columns
            yield from zip(*map(_values, block), strict=True)

    def take(self, which: npt.NDArray[Any]) -> SampleTable:
        """A selection of samples.

        Args:
            which: (N,) True for selected samples, or (K,) row numbers in any order.

        Raises:
            ShapeError: a mask is not (N,).
            ValueRangeError: a row number is out of range.
        """
        if which.dtype == np.bool_ and which.shape != (len(self),):
            raise ShapeError(
                expected=f'a mask of {len(self)} samples', came=f'{which.shape}', todo='give one value for each sample'
            )
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which.astype(np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            invalid = rows[(rows < 0) | (rows >= len(self))][0]
            raise ValueRangeError(
                expected=f'numbers of {len(self)} samples, from 0',
                came=f'{invalid}',
                todo='count from the first sample',
            )
        return SampleTable(self.table.take(number_array(rows)))

    def replaced(self, **columns: Sequence[Any] | npt.NDArray[Any]) -> SampleTable:
        """The same samples with other values in some columns.

        Args:
            columns: name of a column to its (N,) values; None, and nan among floats, for missing.

        Raises:
            UnknownNameError: unknown column.
            ShapeError: values are not (N,).
            TableError: a value is not of its column's type; the message names the sample.
        """
        table, names = self.table, self.table.column('sample')
        for name, values in columns.items():
            self._arrow(name)
            if len(values) != len(self):
                raise ShapeError(expected=f'{len(self)} values', came=f'{len(values)}', todo='give one for each sample')
            array = _array(
                name, [None if value != value else value for value in values], lambda row: names[row].as_py()
            )
            table = table.set_column(COLUMNS.index(name), name, _fitted(name, array))
        return SampleTable(table)

    def column(self, name: str) -> npt.NDArray[Any]:
        """(N,) one column: floats with nan where missing, else text or whole numbers with None.

        Raises:
            UnknownNameError: unknown column.
        """
        column = self._arrow(name)
        if name in NUMBERS:
            return self.floats(name).copy()
        if name in REPEATING:
            return self.coded(name).objects()
        values = np.empty(len(self), dtype=object)
        values[:] = _values(column)
        return values

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) one of `NUMBERS`, nan where missing; a read-only view where every sample has a value.

        Raises:
            UnknownNameError: unknown column.
        """
        values: npt.NDArray[np.float64] = joined_view(self._arrow(name), np.float64, np.nan)
        return values

    def coded(self, name: str) -> Coded:
        """One column as its distinct values, and the index of each sample's value.

        Raises:
            UnknownNameError: unknown column.
        """
        import pyarrow as pa

        column = self._arrow(name)
        if name not in REPEATING:
            column = column.dictionary_encode()
        if column.num_chunks > 1:
            column = column.unify_dictionaries()
        if not len(self):
            return Coded((), np.zeros(0, dtype=np.int64))
        values = column.chunk(0).dictionary.to_pylist()
        indices = pa.chunked_array([chunk.indices for chunk in column.chunks], type=pa.int32())
        raw_codes = joined_view(indices, np.int32, -1).astype(np.int64)
        first = np.full(len(values) + 1, len(self))
        first[raw_codes[::-1]] = np.arange(len(self))[::-1]  # of several writes the last one counts: the first sample
        order = np.argsort(first[:-1], kind='stable')[: int((first[:-1] < len(self)).sum())]
        rank = np.full(len(values) + 1, -1)
        rank[order] = np.arange(len(order))
        return Coded(tuple(values[raw_code] for raw_code in order.tolist()), rank[raw_codes])

    def known(self, name: str) -> npt.NDArray[np.bool_]:
        """(N,) True where the column has a value.

        Raises:
            UnknownNameError: unknown column.
        """
        column = self._arrow(name)
        if not column.null_count:
            return np.ones(len(self), dtype=np.bool_)
        if column.null_count == len(self):
            return np.zeros(len(self), dtype=np.bool_)
        import pyarrow as pa

        return np.array(joined_view(column.is_valid().cast(pa.int8()), np.int8, 0) > 0)

    def filled(self, name: str) -> npt.NDArray[np.bool_]:
        """(N,) True where a column of text has a text other than ''.

        Raises:
            UnknownNameError: unknown column.
        """
        if name in REPEATING:
            texts = self.coded(name)
            return np.array([*map(bool, texts.values), False], dtype=np.bool_)[texts.codes]
        from pyarrow import compute

        return np.array(joined_view(compute.binary_length(self._arrow(name)), np.int32, 0) > 0)

    def _arrow(self, name: str) -> Any:
        if name not in COLUMNS:
            raise UnknownNameError(expected=f'one of {", ".join(COLUMNS)}', came=repr(name), todo='name one of these')
        return self.table.column(name)


def schema() -> Any:
    """Types of the columns in a file."""
    import pyarrow as pa

    types = dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(WHOLE, pa.int32())
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _unpacked(content: bytes) -> SampleTable:
    import pyarrow as pa

    with pa.ipc.open_stream(content) as reader:
        return SampleTable.fitted(reader.read_all())


def _fitted(name: str, column: Any) -> Any:
    """A column converted to the type that its name requires, from another width of it.

    Raises:
        ArrowInvalid: numbers in place of text, or text in place of numbers; or a number is too large.
    """
    import pyarrow as pa

    is_coded = pa.types.is_dictionary(column.type)
    values, required = column.type.value_type if is_coded else column.type, schema().field(name).type
    is_text = pa.types.is_string(values) or pa.types.is_large_string(values)
    if is_text != pa.types.is_string(required) and not pa.types.is_null(values):
        raise pa.ArrowInvalid(f'{values} in the column {name} instead of {required}')
    if name in REPEATING:
        return column if is_coded and values == required else column.cast(required).dictionary_encode()
    return column.cast(required)


def _array_of_rows(name: str, rows: Sequence[Sample]) -> Any:
    return _array(name, list(map(attrgetter(name), rows)), lambda row: rows[row].sample)


def _array(name: str, values: Sequence[Any], sample_at: Callable[[int], str]) -> Any:
    """Values as one Arrow array.

    Args:
        name: name of their column.
        values: (N,) values, None where missing.
        sample_at: function from a row number to the sample's name, for the message.

    Raises:
        TableError: a value is not of the column's type; the message names the sample.
    """
    try:
        return _array_of(name, values)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        row = next((row for row, value in enumerate(values) if not _fits(name, value)), 0)
        expected = 'a number' if name in NUMBERS else 'a whole number of 32 bits' if name in WHOLE else 'text in UTF-8'
        raise TableError(
            expected=f'{expected} in the column {name}', came=f'{values[row]!r} for sample {sample_at(row)!r}',
            todo='correct the label file',
        ) from error  # fmt: skip


def _fits(name: str, value: object) -> bool:
    try:
        _array_of(name, [value])
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


def _array_of(name: str, values: Sequence[Any]) -> Any:
    """Values as one Arrow array, without dictionary encoding."""
    if name not in (*NUMBERS, *WHOLE):
        return text_array(values)
    valid = np.array([value is not None for value in values], dtype=np.bool_)
    numbers = np.array([0 if value is None else value for value in values])
    if len(values) and numbers.dtype.kind not in ('biuf' if name in NUMBERS else 'iu'):
        raise TypeError(f'{numbers.dtype} in the column {name}')
    dtype = np.dtype(np.float64 if name in NUMBERS else np.int32)
    converted = numbers.astype(dtype)
    if name in WHOLE and not np.array_equal(converted, numbers):
        raise OverflowError(f'a number in the column {name} that is too large')
    return number_array(converted, None if valid.all() else valid)


def _values(column: Any) -> list[Any]:
    """A column's values as Python objects."""
    import pyarrow as pa

    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    return values
