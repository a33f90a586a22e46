"""Parquet, within ceilings that its own figures are held to before anything is read.

A column of one long text in a million rows takes a few bytes of the file. Texts are therefore read as their dictionary
holds them, each once, and the cells share them; rows and columns together are bounded against the size of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.tables.table import Table, refuse_doubled, refuse_too_many

FREE_CELLS, CELLS_PER_BYTE = 2_000_000, 16
FREE_BYTES, BYTES_PER_BYTE = 1 << 26, 256


def read_parquet(path: Path) -> Table:
    """The columns of a Parquet file.

    Raises:
        TableError: it is damaged, a column stands twice, or it unfolds to more than its size allows.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            texts = _checked(file.metadata, path)
            refuse_doubled(file.schema_arrow.names, path)
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read()
        columns = {name.strip(): _cells(table.column(place)) for place, name in enumerate(table.column_names)}
    except TableError:
        raise
    except (pyarrow.ArrowException, OSError, NotImplementedError, ValueError, OverflowError) as error:
        came = str(error).split('\n', 1)[0][:160]
        raise TableError(expected='a Parquet file', came=f'{path}: {came}', todo='write it again') from error
    return Table(columns, path, range(1, table.num_rows + 1))


def _checked(metadata: Any, path: Path) -> list[str]:
    """The paths of the columns of texts."""
    rows, columns = metadata.num_rows, metadata.num_columns
    refuse_too_many(rows, columns, path)
    size = path.stat().st_size
    parts = [metadata.row_group(group).column(at) for group in range(metadata.num_row_groups) for at in range(columns)]
    cells = max(rows * columns, sum(part.num_values for part in parts))
    unfolded = sum(part.total_uncompressed_size for part in parts)
    if cells > FREE_CELLS + CELLS_PER_BYTE * size or unfolded > FREE_BYTES + BYTES_PER_BYTE * size:
        raise TableError(
            expected='a file that holds about what it says',
            came=f'{path}: {size:,} bytes that stand for {cells:,} cells of {unfolded:,} bytes',
            todo='write it again with the rows that are needed',
        )
    return sorted({part.path_in_schema for part in parts if part.physical_type == 'BYTE_ARRAY'})


def _cells(column: Any) -> list[Any]:
    """The cells; those of one text share it."""
    import pyarrow

    cells: list[Any] = []
    for chunk in column.chunks:
        if isinstance(chunk, pyarrow.DictionaryArray):
            texts = chunk.dictionary.to_pylist()
            cells += [None if place is None else texts[place] for place in chunk.indices.to_pylist()]
        else:
            cells += chunk.to_pylist()
    return cells
