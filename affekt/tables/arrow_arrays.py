"""Python's and NumPy's values as Arrow arrays and back, without pandas.

Where pandas is installed, `pyarrow.array`, `pyarrow.scalar`, `Schema.empty_table` and `to_numpy` import it, and so do
comparisons with a Python value and `numpy.asarray` of a column, at a cost of half a second and 40 MB. The functions
here work on buffers instead.

N values; None, and nan where it stands for None, are null in Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import ValueRangeError


def arrow_array(values: Sequence[Any] | npt.NDArray[Any], dtype: Any) -> Any:
    """Values as an Arrow array of a type.

    Args:
        values: (N,) texts, flags or numbers; None is null, nan is not.
        dtype: `pyarrow.string()`, `pyarrow.bool_()`, or a type of numbers.

    Raises:
        ValueRangeError: a value is of another type, such as a text among numbers.
        UnicodeEncodeError, OverflowError: see `text_array`.
        pyarrow.ArrowInvalid: a whole number does not fit the type.
    """
    import pyarrow as pa

    if pa.types.is_string(dtype):
        texts = values.tolist() if isinstance(values, np.ndarray) else values
        _require_type(texts, 'texts', str)
        return text_array(texts)
    if not isinstance(values, np.ndarray):
        noun, types = ('flags', (bool, np.bool_)) if pa.types.is_boolean(dtype) else ('numbers', (Real,))
        _require_type(values, noun, *types)
    valid = None
    if not (isinstance(values, np.ndarray) and values.dtype != object) and any(value is None for value in values):
        valid = np.array([value is not None for value in values], dtype=np.bool_)
        values = [0 if value is None else value for value in values]
    if pa.types.is_boolean(dtype):
        return flag_array(np.asarray(values, dtype=np.bool_), valid)
    numbers = np.asarray(values) if len(values) else np.zeros(0, dtype.to_pandas_dtype())
    if numbers.dtype == object:
        numbers = numbers.astype(dtype.to_pandas_dtype())
    return number_array(numbers, valid).cast(dtype)


def flag_array(values: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_] | None = None) -> Any:
    """Flags (N,) as an Arrow array; `valid` as for `number_array`."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(values), [_bitmap(valid), _bitmap(np.asarray(values, dtype=np.bool_))])


def empty_table(schema: Any) -> Any:
    """A table without rows."""
    import pyarrow as pa

    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def text_scalar(text: str) -> Any:
    """A text as an Arrow scalar, for comparison with columns."""
    return text_array([text])[0]


def number_array(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> Any:
    """Numbers as an Arrow array, not copied.

    Args:
        values: (N,) of any width.
        valid: (N,) False where the value is null; None if no value is null.
    """
    import pyarrow as pa

    contiguous = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(contiguous.dtype), len(contiguous), [_bitmap(valid), pa.py_buffer(contiguous)]
    )


def text_array(values: Sequence[str | None]) -> Any:
    """Texts as an Arrow array of strings.

    Raises:
        UnicodeEncodeError: a text has characters that UTF-8 cannot encode.
        OverflowError: the texts together have more than two gigabytes.
    """
    import pyarrow as pa

    encoded = [b'' if value is None else value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f'{ends[-1]:,} bytes of text')
    valid = None if None not in values else np.array([value is not None for value in values], dtype=np.bool_)
    content = pa.py_buffer(b''.join(encoded))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends.astype(np.int32)), content, _bitmap(valid))


def view(array: Any, dtype: type[np.generic]) -> Any:
    """(N,) numbers of an Arrow array, not copied.

    Args:
        array: numbers without null.
        dtype: NumPy type of the same width.

    Raises:
        ValueError: some are null.
    """
    if array.null_count:
        raise ValueError(f'{array.null_count} values that are null')
    content = array.buffers()[1]
    if content is None or not len(array):
        return np.zeros(0, dtype)
    return np.frombuffer(content, dtype, len(array), array.offset * np.dtype(dtype).itemsize)


def joined_view(column: Any, dtype: type[np.generic], null: float) -> Any:
    """(N,) numbers of an Arrow column of any number of chunks.

    Args:
        column: numbers of this width; an array is a column of one chunk.
        dtype: NumPy type of that width.
        null: value for null entries.
    """
    filled = column.fill_null(number_array(np.array([null], dtype))[0]) if column.null_count else column
    views = [view(chunk, dtype) for chunk in getattr(filled, 'chunks', [filled])]
    return views[0] if len(views) == 1 else np.concatenate([np.zeros(0, dtype), *views])


def floats(column: Any) -> npt.NDArray[np.float64]:
    """(N,) numbers of an Arrow array or column of any type and number of chunks; nan for null."""
    import pyarrow as pa

    numbers: npt.NDArray[np.float64] = joined_view(column.cast(pa.float64()), np.float64, np.nan)
    return numbers


def flags(column: Any) -> npt.NDArray[np.bool_]:
    """(N,) flags of an Arrow array or column; False for null."""
    import pyarrow as pa

    return np.asarray(joined_view(column.cast(pa.int8()), np.int8, 0) > 0)


def _require_type(values: Sequence[Any], noun: str, *types: type) -> None:
    """Check that all values but None are of these types; a buffer would turn others into wrong numbers."""
    for value_type in {*map(type, values)} - {type(None)}:
        if not issubclass(value_type, types) or (value_type is bool and bool not in types):
            invalid = next(value for value in values if type(value) is value_type)
            raise ValueRangeError(expected=f'{noun}, or None', came=repr(invalid)[:60], todo='convert it first')


def _bitmap(valid: npt.NDArray[np.bool_] | None) -> Any:
    """Flags as a buffer of bits; None for None."""
    import pyarrow as pa

    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder='little'))
