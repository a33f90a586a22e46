"""CSV and related text tables: cells separated by comma, semicolon, tab or bar, quoted where they contain one."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from affekt.errors import TableError
from affekt.tables import table as limits
from affekt.tables.recognition import text_lines
from affekt.tables.table import Table, of_rows, refuse_too_many
from affekt.tables.writing import as_written
from affekt.wording import counted

SEPARATORS = {',': 'commas', ';': 'semicolons', '\t': 'tabs', '|': 'bars'}
"""Separator to its name in messages."""
_SAMPLE = 1 << 16
"""Number of characters from which the separator is determined."""
_STATED = re.compile(r'\s*"?sep=(.)"?\s*')
"""A first line in which Excel states the separator."""


def read_delimited(path: Path) -> Table:
    """The columns of a text file, whose first row has their names.

    Raises:
        TableError: the file is not text, a row has another length, a quote is not closed, there is a zero byte, or a
            column name occurs twice; the message gives the row.
    """
    lines, notes = text_lines(path)
    table = table_of_lines(lines, path)
    return replace(table, notes=(*table.notes, *notes))


def table_of_lines(lines: Iterable[str], path: Path) -> Table:
    """The columns of a text that is given as lines.

    Args:
        lines: lines with their ends.
        path: path for messages; its extension determines the default separator.

    Raises:
        TableError: as for `read_delimited`.
    """
    lines = iter(lines)
    first = _first_lines(lines)
    stated = _STATED.fullmatch(first[0]) if first else None
    separator = stated[1] if stated else _separator(first, path)
    all_lines = itertools.chain(first[1:] if stated else first, lines)
    return replace(_rows(all_lines, path, separator, skipped=int(bool(stated))), separator=separator)


def required_rows(text: str, columns: Sequence[str], problems: list[str]) -> list[tuple[int, list[str]]]:
    """The rows of a file of a prescribed form, read as by the official scorer of a challenge.

    Args:
        text: text with commas between cells; nothing is inferred or repaired.
        columns: the required header.
        problems: list to which a sentence on each fault is appended.

    Returns:
        Row number and cells of each row, also of rows of a wrong length; [] if the header is wrong.
    """
    try:
        header, *rows = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
    except csv.Error as error:
        problems.append(f'not a csv: {error}')
        return []
    if header != list(columns):
        problems.append(f'columns {", ".join(header) or "(none)"} where {", ".join(columns)} belong')
        return []
    problems += [f'row {row}: {len(cells)} cells' for row, cells in enumerate(rows, 2) if len(cells) != len(columns)]
    return list(enumerate(rows, 2))


def _first_lines(lines: Iterator[str]) -> list[str]:
    """Enough lines to determine the separator."""
    first, size = [], 0
    for line in lines:
        first.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return first


def _rows(lines: Iterable[str], path: Path, separator: str, *, skipped: int) -> Table:
    """The table of the lines, of which `skipped` more precede in the file."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    numbers: list[int] = []
    row_start = 1 + skipped
    try:
        for written_cells in reader:
            if any(map(str.strip, written_cells)):
                cells = [as_written(cell) if cell[:1] == "'" else cell for cell in written_cells]
                if header is None:
                    header = cells
                else:
                    if len(cells) != len(header):
                        raise _ragged(path, row_start, cells, header, separator)
                    rows.append(cells)
                    numbers.append(row_start)
                    if len(rows) > limits.MOST_ROWS or not len(rows) % 4096:
                        refuse_too_many(len(rows), len(header), path)
            row_start = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise TableError(
            expected=f'{SEPARATORS.get(separator, "signs")} between cells of at most {csv.field_size_limit():,} '
            'characters, and quotes that are closed',
            came=f'{path}: {error}, in row {row_start}',
            todo='correct that row',
        ) from error
    refuse_too_many(len(rows), len(header or ()), path)
    return of_rows(header or (), rows, numbers, path)


def _ragged(path: Path, row: int, cells: list[str], header: list[str], separator: str) -> TableError:
    separator_name = SEPARATORS.get(separator, repr(separator))
    return TableError(
        expected=f'{counted(len(header), "cell")} in every row, as the first row has '
        f'({limits.seen(header)}, between {separator_name})',
        came=f'{counted(len(cells), "cell")} in row {row} of {path.name}',
        todo=f'correct that row; quote cells that hold {separator_name}',
    )


def _separator(first: Sequence[str], path: Path) -> str:
    """The separator that gives two or more cells in the first row and as many in the others; the usual one first."""
    usual = '\t' if path.suffix.lower() in ('.tsv', '.tab') else ','
    best, separator = (0.0, 0, False), usual
    for candidate in SEPARATORS:
        widths = _widths(first, candidate)
        if widths and widths[0] > 1:
            equal_share = sum(width == widths[0] for width in widths) / len(widths)
            rank = (equal_share, widths[0], candidate == usual)
            if rank > best:
                best, separator = rank, candidate
    return separator


def _widths(first: Sequence[str], separator: str) -> list[int]:
    """Number of cells of the first rows; the last of several may be incomplete."""
    widths: list[int] = []
    with contextlib.suppress(csv.Error):  # faults are reported when the rows are read
        for row in csv.reader(first, delimiter=separator):
            if any(map(str.strip, row)):
                widths.append(len(row))
    return widths[:-1] if len(widths) > 2 else widths
