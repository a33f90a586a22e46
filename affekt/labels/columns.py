"""A table in a file, by column: csv, tsv, jsonl, parquet, or npz read without running anything in it.

Columns are lists of equal length; cells are text where the file holds text. The released archives of the field hold
`filenames` and `fileitems`, or one object that maps names to answers: the columns `name` and that of the object's name.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import TableError, listed
from affekt.npz import read_npz
from affekt.runs import read_regular_file, require_regular_file
from affekt.text_encoding import decode_text

Columns = Mapping[str, Sequence[Any]]
LARGEST_BYTES = 1 << 30


def read_columns(path: Path) -> Columns:
    """Every column of a table file; a header's case is kept, the spaces around it are not.

    Raises:
        TableError: the file is missing, empty, damaged, too large, or of no known kind; names the line where it can.
        ArchiveError: an archive is damaged or asks for more than arrays and plain values.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(
            expected=f'a file that ends in {", ".join(READERS)}',
            came=str(path),
            todo='save it as csv with a line of column names',
        )
    if not path.is_file():
        raise TableError(expected='a file', came=f'{path}, which is not there', todo='check the path')
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise TableError(expected=f'at most {LARGEST_BYTES} bytes', came=f'{path}: {size}', todo='leave out columns')
    columns = reader(path)
    if not columns or not any(len(column) for column in columns.values()):
        raise TableError(
            expected='a table with rows', came=f'{path} without any', todo='check the file, or write it again'
        )
    if len(lengths := {len(column) for column in columns.values()}) != 1:
        raise _damaged(path, f'columns of {sorted(lengths)} rows', 'columns of equal length')
    return columns


def by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """One column of values by the column of names, the first known header of each; None where no value column is.

    Args:
        columns: of a file.
        path: that file, for messages.
        names: headers of the samples' names, in any case.
        values: headers of the values, in any case.

    Raises:
        TableError: no column of names, an empty name, or a name that stands twice.
    """
    key, value = _header(columns, names), _header(columns, values)
    if key is None:
        raise TableError(
            expected=f'a column {" or ".join(names[:3])}',
            came=f'{path} with the columns {listed(columns, 8)}',
            todo='name the columns so',
        )
    if value is None:
        return None
    samples = [str(name).strip() for name in columns[key]]
    twice = [name for name, times in Counter(samples).items() if times > 1 or not name]
    if twice:
        raise TableError(
            expected='every sample once, by name',
            came=f'{path} with {listed(twice)} more than once' if all(twice) else f'{path} with a row without a name',
            todo='keep one row for each sample',
        )
    return dict(zip(samples, columns[value], strict=True))


def answers_by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """As `by_name`, where every value must be an answer: a text, a list of texts, or nothing.

    Raises:
        TableError: as `by_name`, or a value is something else.
    """
    held = by_name(columns, path, names, values)
    return None if held is None else {name: _answer(value, path, name) for name, value in held.items()}


def _header(columns: Columns, wanted: Sequence[str]) -> str | None:
    plain = {header.lower(): header for header in columns}
    return next((plain[name.lower()] for name in wanted if name.lower() in plain), None)


def _answer(value: Any, path: Path, name: str) -> object:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if plain is None or (isinstance(plain, float) and math.isnan(plain)):
        return ''
    if isinstance(plain, str) or (isinstance(plain, list) and all(isinstance(part, str) for part in plain)):
        return plain
    raise TableError(
        expected='a text or a list of texts for every sample',
        came=f'{path}, sample {name!r}: a {type(plain).__name__} as the answer',
        todo='write labels as "[happy, sad]"',
    )


def _text(path: Path) -> str:
    try:
        raw = read_regular_file(path)
    except OSError as error:
        raise _damaged(path, str(error.strerror or error), 'a file that can be read') from error
    return decode_text(raw, str(path)).text


def _delimited(path: Path) -> Columns:
    gap = '\t' if path.suffix.lower() == '.tsv' else ','
    reader = csv.reader(io.StringIO(_text(path), newline=''), delimiter=gap, strict=True)
    rows: list[list[str]] = []
    try:
        head = [header.strip() for header in next(reader, [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) != len(head):
                    where = f'{len(row)} cells in line {reader.line_num}'
                    raise _damaged(path, where, f'{len(head)} cells in every row')
                rows.append(row)
    except csv.Error as error:
        raise _damaged(path, f'line {reader.line_num}: {error}', 'comma-separated values') from error
    return {header: [row[index] for row in rows] for index, header in enumerate(head)}


def _json_lines(path: Path) -> Columns:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f'line {number}: {error}', 'one JSON object a line') from error
        if not isinstance(row, dict):
            raise _damaged(path, f'a {type(row).__name__} in line {number}', 'one JSON object a line')
        if rows and row.keys() != rows[0].keys():
            odd = listed(row.keys() ^ rows[0].keys())
            raise _damaged(path, f'{odd} in some lines only, first in line {number}', 'the same keys in every line')
        rows.append(row)
    return {header.strip(): [row[header] for row in rows] for header in (rows[0] if rows else ())}


def _parquet(path: Path) -> Columns:
    import pyarrow
    from pyarrow import parquet

    try:
        if not path.is_dir():
            require_regular_file(path)
        held: Columns = parquet.read_table(path).to_pydict()
    except (pyarrow.ArrowException, OSError, NotImplementedError) as error:
        raise _damaged(path, str(error), 'a Parquet file') from error
    return held


def _npz(path: Path) -> Columns:
    found: dict[str, Sequence[Any]] = {}
    for name, array in read_npz(path).items():
        if isinstance(array, dict):
            found |= {'name': list(array), name: list(array.values())}
        elif isinstance(array, np.ndarray) and array.ndim == 1:
            found[name] = array.tolist()
    return found


READERS: Mapping[str, Callable[[Path], Columns]] = {
    '.csv': _delimited, '.tsv': _delimited, '.jsonl': _json_lines, '.npz': _npz, '.parquet': _parquet,
}  # fmt: skip


def _damaged(path: Path, came: str, expected: str) -> TableError:
    return TableError(expected=expected, came=f'{path}: {came}', todo='save the file again, or export it as csv')
