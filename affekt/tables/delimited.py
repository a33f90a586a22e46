"""CSV and its relatives: comma, semicolon, tab or bar between the cells, quotes around those that hold one."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from affekt.errors import TableError
from affekt.tables import table as limits
from affekt.tables.recognition import encoding_of
from affekt.tables.table import Table, of_rows, refuse_too_many
from affekt.tables.writing import as_written

LONGEST_LINE = 16 * 2**20
SEPARATORS = {',': 'commas', ';': 'semicolons', '\t': 'tabs', '|': 'bars'}
_SAMPLE = 1 << 16
_STATED = re.compile(r'\s*"?sep=(.)"?\r?\n')
"""The first line by which Excel tells itself the separator."""


def read_delimited(path: Path) -> Table:
    """The columns of a text file; its first row names them.

    Raises:
        TableError: no text, a row of another length, a broken quote, a zero byte, or a name that stands twice; it names
            the row.
    """
    encoding, note = encoding_of(path)
    with path.open(newline='', encoding=encoding) as file:
        sample = file.read(_SAMPLE)
        file.seek(0)
        stated = _STATED.match(sample)
        separator = stated[1] if stated else _separator(sample, path)
        table = _rows(file, path, separator, skip=bool(stated))
    notes = [*table.notes, *([note] if note else [])]
    return Table(table.columns, path, table.rows, separator, notes=tuple(notes))


def _rows(file: IO[str], path: Path, separator: str, *, skip: bool) -> Table:
    reader = csv.reader(_lines(file, path, skip), delimiter=separator, strict=True)
    shift = int(skip)
    head: list[str] | None = None
    rows: list[list[str]] = []
    numbers: list[int] = []
    begins = 1 + shift
    try:
        for cells in itertools.chain(reader, ()):
            if any(map(str.strip, cells)):
                if head is None:
                    head = cells
                else:
                    if len(cells) != len(head):
                        raise _ragged(path, begins, cells, head, separator)
                    rows.append([as_written(cell) if cell[:1] == "'" else cell for cell in cells])
                    numbers.append(begins)
                    if len(rows) > limits.MOST_ROWS or not len(rows) % 4096:
                        refuse_too_many(len(rows), len(head), path)
            begins = reader.line_num + 1 + shift
    except csv.Error as error:
        raise TableError(
            expected=f'{SEPARATORS.get(separator, "signs")} between cells, and quotes that are closed',
            came=f'{path}: {error}, in row {begins}',
            todo='correct that row',
        ) from error
    refuse_too_many(len(rows), len(head or ()), path)
    return of_rows(head or (), rows, numbers, path)


def _ragged(path: Path, row: int, cells: list[str], head: list[str], separator: str) -> TableError:
    sign = SEPARATORS.get(separator, repr(separator))
    return TableError(
        expected=f'{len(head)} cells in every row, as the first row has ({limits.seen(head)}, between {sign})',
        came=f'{len(cells)} cells in row {row} of {path.name}',
        todo=f'correct that row; quote cells that hold {sign}',
    )


def _lines(file: IO[str], path: Path, skip: bool) -> Iterator[str]:
    if skip:
        file.readline(LONGEST_LINE)
    number = int(skip)
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) >= LONGEST_LINE:
            raise TableError(
                expected=f'lines shorter than {LONGEST_LINE:,} characters',
                came=f'a longer one, line {number} of {path.name}',
                todo='write one row a line; a JSON list ends in .json',
            )
        if '\0' in line:
            raise TableError(
                expected='text', came=f'{path}: zero bytes in row {number}', todo='save the file again as text'
            )
        yield line


def _separator(sample: str, path: Path) -> str:
    """The sign that makes two or more columns of the first row and as many of the others, the usual one first."""
    usual = '\t' if path.suffix.lower() in ('.tsv', '.tab') else ','
    best, found = (0.0, 0, False), usual
    for sign in SEPARATORS:
        widths = _widths(sample, sign)
        if widths and widths[0] > 1:
            alike = sum(width == widths[0] for width in widths) / len(widths)
            worth = (alike, widths[0], sign == usual)
            if worth > best:
                best, found = worth, sign
    return found


def _widths(sample: str, sign: str) -> list[int]:
    """How many cells the first rows have."""
    try:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=''), delimiter=sign) if any(map(str.strip, row))]
    except csv.Error:
        head = sample.lstrip().split('\n', 1)[0]
        return [len(row) for row in csv.reader([head.replace('\0', '')[:10_000]], delimiter=sign)]
    whole = rows[:-1] if len(sample) == _SAMPLE and len(rows) > 1 else rows
    return [len(row) for row in whole]
