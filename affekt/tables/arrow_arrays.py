"""Python's and NumPy's values as Arrow arrays and back, without pandas.

Where pandas is installed, `pyarrow.array`, `pyarrow.scalar` and `to_numpy` load it: half a second for nothing. These go
by buffers.

N values; None and a nan that stands for it are null in Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def number_array(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> Any:
    """Numbers as an Arrow array, not copied.

    Args:
        values: (N,) of any width.
        valid: (N,) False where the value is null; None where none is.
    """
    import pyarrow as pa

    plain = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(plain.dtype), len(plain), [_bitmap(valid), pa.py_buffer(plain)])


def text_array(values: Sequence[str | None]) -> Any:
    """Texts as an Arrow array of strings.

    Raises:
        UnicodeEncodeError: a text holds what Unicode has no bytes for.
        OverflowError: all together have more than two gigabytes.
    """
    import pyarrow as pa

    encoded = [b'' if value is None else value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in encoded], out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f'{ends[-1]:,} bytes of text')
    valid = None if None not in values else np.array([value is not None for value in values], dtype=np.bool_)
    content = pa.py_buffer(b''.join(encoded))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends.astype(np.int32)), content, _bitmap(valid))


def view(array: Any, dtype: type[np.generic]) -> Any:
    """(N,) the numbers of an Arrow array, not copied.

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
    """(N,) the numbers of an Arrow column of any number of chunks.

    Args:
        column: numbers of this width.
        dtype: their width.
        null: stands for what is null.
    """
    filled = column.fill_null(number_array(np.array([null], dtype))[0]) if column.null_count else column
    views = [view(chunk, dtype) for chunk in filled.chunks]
    return views[0] if len(views) == 1 else np.concatenate([np.zeros(0, dtype), *views])


def _bitmap(valid: npt.NDArray[np.bool_] | None) -> Any:
    import pyarrow as pa

    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder='little'))
