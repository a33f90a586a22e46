"""Parquet files, read within limits that are checked against their metadata first.

A column with one long text in a million rows takes a few bytes of the file. Texts are therefore read as a dictionary
and shared by the cells, and rows and columns together are limited relative to the size of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.tables.parquet_footers import Chunk, footer_of
from affekt.tables.parquet_pages import unfolded_at_most
from affekt.tables.table import Table, refuse_doubled, refuse_too_many

FREE_CELLS, CELLS_PER_BYTE = 2_000_000, 16
"""Allowed number of cells of any file, and further cells per byte of the file."""
FREE_BYTES, BYTES_PER_BYTE = 1 << 26, 256
"""Allowed decompressed size of any file in bytes, and further bytes per byte of the file."""


def read_parquet(path: Path) -> Table:
    """The columns of a Parquet file.

    Raises:
        TableError: the file is damaged, a column occurs twice, or it decompresses to more than its size allows.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        texts = sorted({chunk.path for chunk in _checked(path) if chunk.is_text})
        with parquet.ParquetFile(path) as file:
            refuse_doubled(file.schema_arrow.names, path)
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read()
        table.validate(full=True)
        nested = [chunk for column in table.columns for chunk in column.chunks
                  if not isinstance(chunk, pyarrow.DictionaryArray)]  # fmt: skip
        if (unfolded := sum(map(_unfolded_size, nested))) > _largest_size(path):
            raise _too_much(path, f'texts of {unfolded:,} bytes')
        columns = {name.strip(): _cells(table.column(index)) for index, name in enumerate(table.column_names)}
    except TableError:
        raise
    except (pyarrow.ArrowException, OSError, NotImplementedError, ValueError, LookupError, OverflowError) as error:
        raise _damaged(path, error) from error
    return Table(columns, path, range(1, table.num_rows + 1))


def require_bounded(path: Path) -> None:
    """Refuse a Parquet file that decompresses to far more than its size allows; for callers that read it as Arrow.

    Raises:
        TableError: the file decompresses to too much, is damaged, or has a column twice.
        OSError: the file cannot be opened.
    """
    import pyarrow
    from pyarrow import parquet

    chunks = _checked(path)
    try:
        with parquet.ParquetFile(path) as file:
            refuse_doubled(file.schema_arrow.names, path)
        largest = _largest_size(path)
        texts = [chunk for chunk in chunks if chunk.is_text]
        if sum(chunk.values * chunk.unfolded for chunk in texts) <= largest or unfolded_at_most(path, texts) <= largest:
            return
        with parquet.ParquetFile(path, read_dictionary=sorted({chunk.path for chunk in texts})) as file:
            unfolded = sum(_unfolded_size(chunk) for column in file.read().columns for chunk in column.chunks)
    except TableError:
        raise
    except (pyarrow.ArrowException, NotImplementedError, ValueError, LookupError, OverflowError) as error:
        raise _damaged(path, error) from error
    if unfolded > largest:
        raise _too_much(path, f'texts of {unfolded:,} bytes')


def _largest_size(path: Path) -> int:
    """Largest decompressed size that is allowed for a file, in bytes."""
    return FREE_BYTES + BYTES_PER_BYTE * path.stat().st_size


def _damaged(path: Path, error: Exception) -> TableError:
    came = str(error).split('\n', 1)[0][:160]
    return TableError(expected='a Parquet file', came=f'{path}: {came}', todo='write it again')


def _unfolded_size(array: Any) -> int:
    """Size of an array in bytes with every text written out."""
    import pyarrow
    from pyarrow import compute

    if isinstance(array, pyarrow.DictionaryArray):
        lengths = compute.binary_length(array.dictionary)
        return int(compute.sum(lengths.take(array.indices)).as_py() or 0)
    if isinstance(array, pyarrow.MapArray):
        return _unfolded_size(array.keys) + _unfolded_size(array.items)
    if isinstance(array, pyarrow.StructArray):
        return sum(map(_unfolded_size, array.flatten()))
    if isinstance(array, pyarrow.ListArray | pyarrow.LargeListArray | pyarrow.FixedSizeListArray):
        return _unfolded_size(array.flatten())
    return int(array.nbytes)


def _checked(path: Path) -> list[Chunk]:
    """The column chunks of a file, after checking their size against that of the file."""
    rows, chunks = footer_of(path)
    columns = {chunk.path for chunk in chunks}
    refuse_too_many(rows, len(columns), path)
    size = path.stat().st_size
    cells = max(rows * len(columns), sum(chunk.values for chunk in chunks))
    unfolded = sum(chunk.unfolded for chunk in chunks)
    if cells > FREE_CELLS + CELLS_PER_BYTE * size or unfolded > _largest_size(path):
        raise _too_much(path, f'{cells:,} cells of {unfolded:,} bytes')
    return chunks


def _too_much(path: Path, content: str) -> TableError:
    return TableError(
        expected='a file that holds about what it says',
        came=f'{path}: {path.stat().st_size:,} bytes that stand for {content}',
        todo='write it again with the rows that are needed',
    )


def _cells(column: Any) -> list[Any]:
    """The cells of a column; equal texts from a dictionary are one object."""
    import pyarrow

    cells: list[Any] = []
    for chunk in column.chunks:
        if isinstance(chunk, pyarrow.DictionaryArray):
            texts = chunk.dictionary.to_pylist()
            cells += [None if index is None else texts[index] for index in chunk.indices.to_pylist()]
        else:
            cells += chunk.to_pylist()
    return cells
