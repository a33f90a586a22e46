"""A file of rows to columns, whatever its format, within limits and with one clear error for what is damaged.

Rows are numbered as an editor shows them: the first line of a csv is row 1 and names the columns, the first line or
object of the other kinds is row 1.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from affekt.errors import AffektError, ComparisonError
from affekt.ranking.comparisons import Source, refuse_rows, short
from affekt.runs import only_regular, read_regular_file, require_regular_file

LARGEST_FILE = 2 * 2**30
LARGEST_JSON = 512 * 2**20
LONGEST_LINE = 16 * 2**20
MOST_ROWS = 20_000_000


@dataclass(frozen=True)
class Table:
    """Columns as they were read."""

    columns: Mapping[str, Sequence[object]]
    source: Source


def read_table(path: Path) -> Table:
    """The columns of a .csv, .tsv, .jsonl, .json or .parquet file.

    Raises:
        ComparisonError: the file is missing, empty, damaged, too large or of another kind.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        raise ComparisonError(
            expected=f'a file ending in {", ".join(READERS)}', came=path.name, todo='convert it to one of these'
        )
    try:
        size = require_regular_file(path).st_size
        limit = LARGEST_JSON if kind == '.json' else LARGEST_FILE
        if size == 0 or size > limit:
            raise ComparisonError(
                expected=f'a file of 1 byte to {limit // 2**20} MB',
                came=f'{path.name} with {size} bytes',
                todo='give rows of who beat whom, in several files or as Parquet where they are many',
            )
        return READERS[kind](path)
    except AffektError:
        raise
    except OSError as error:
        raise ComparisonError(
            expected='a file of comparisons that can be read', came=f'{path}: {error.strerror}', todo='check the path'
        ) from error
    except UnicodeDecodeError as error:
        raise ComparisonError(
            expected='text in UTF-8',
            came=f'{path.name} with another byte at {error.start}',
            todo='save it as UTF-8; if it is no text, check the path',
        ) from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise ComparisonError(
            expected=f'{kind[1:]} that is whole', came=f'{path.name}: {short(str(error), 120)}', todo='write it again'
        ) from error


def _read_csv(path: Path, delimiter: str = ',') -> Table:
    with open(path, newline='', encoding='utf-8-sig', opener=only_regular) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        head = [name.strip() for name in next(reader, [])]
        if len(set(head)) < len(head) or not all(head):
            raise ComparisonError(
                expected='a first row of different column names',
                came=f'{path.name} starting with {short(", ".join(head), 80) or "nothing"}',
                todo='give each column a name of its own',
            )
        rows, lines = [], []
        begins = reader.line_num + 1
        for row in itertools.islice(reader, MOST_ROWS + 1):
            if row:
                if len(row) != len(head):
                    raise ComparisonError(
                        expected=f'{len(head)} fields, as in the first row',
                        came=f'{len(row)} in row {begins} of {path.name}',
                        todo='correct that row; quote fields that hold a comma',
                    )
                rows.append(row)
                lines.append(begins)
            begins = reader.line_num + 1
    _refuse_too_many(len(rows), path)
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True)) if rows else [()] * len(head)
    return Table(dict(zip(head, columns, strict=True)), Source(path.name, np.asarray(lines, np.int64)))


def _read_tsv(path: Path) -> Table:
    return _read_csv(path, '\t')


def _read_jsonl(path: Path) -> Table:
    rows, lines = [], []
    with open(path, encoding='utf-8-sig', opener=only_regular) as file:
        for number, line in enumerate(_lines(file, path), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise ComparisonError(
                        expected='one JSON object a line',
                        came=f'{short(str(error), 80)} in row {number} of {path.name}',
                        todo='correct or remove that row',
                    ) from error
                lines.append(number)
                _refuse_too_many(len(rows), path)
    return _of_objects(rows, Source(path.name, np.asarray(lines, np.int64)))


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ComparisonError(
                expected=f'lines shorter than {LONGEST_LINE} characters',
                came=f'a longer one in {path.name}',
                todo='write one object a line; a JSON list ends in .json',
            )
        yield line


def _read_json(path: Path) -> Table:
    rows = json.loads(read_regular_file(path).decode('utf-8-sig'))
    if not isinstance(rows, list):
        raise ComparisonError(
            expected='a JSON list of objects', came=f'{type(rows).__name__} in {path.name}', todo='write a list'
        )
    _refuse_too_many(len(rows), path)
    return _of_objects(rows, Source(path.name))


def _of_objects(rows: Sequence[object], source: Source) -> Table:
    refuse_rows(
        np.asarray([not isinstance(row, dict) for row in rows], bool),
        source,
        'an object',
        lambda row: repr(short(str(rows[row]))),
    )
    names = list(dict.fromkeys(name for row in rows for name in row))  # type: ignore[attr-defined]
    return Table({name: [row.get(name) for row in rows] for name in names}, source)  # type: ignore[attr-defined]


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _refuse_too_many(file.metadata.num_rows, path)
            table = file.read()
    except pa.ArrowException as error:
        raise ComparisonError(
            expected='Parquet that is whole', came=f'{path.name}: {short(str(error), 120)}', todo='write it again'
        ) from error
    return Table(table.to_pydict(), Source(path.name))


def _refuse_too_many(rows: int, path: Path) -> None:
    if rows > MOST_ROWS:
        raise ComparisonError(
            expected=f'at most {MOST_ROWS:,} rows', came=f'more in {path.name}', todo='count equal rows as weights'
        )


READERS: dict[str, Callable[[Path], Table]] = {
    '.csv': _read_csv,
    '.tsv': _read_tsv,
    '.jsonl': _read_jsonl,
    '.json': _read_json,
    '.parquet': _read_parquet,
}
