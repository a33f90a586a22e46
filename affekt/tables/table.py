"""A table: columns read from a file, with row numbers as an editor shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import TableError, listed

MOST_ROWS = 20_000_000
MOST_COLUMNS = 1 << 16
MOST_CELLS = 1 << 26
"""Maximum numbers of rows, of columns, and of both multiplied."""
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)|nan', re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA = re.compile(r'[+-]?\d*,\d+([eE][+-]?\d+)?', re.ASCII)


@dataclass(frozen=True)
class Source:
    """The origin of rows, for messages."""

    name: str
    """Name of the file, or of other data."""
    rows: npt.NDArray[np.int64] | None = None
    """(N,) number of each row as an editor shows it; None for 1, 2, 3, …"""

    def __str__(self) -> str:
        return self.name

    def row(self, position: int) -> str:
        """Description of a row for messages."""
        return f'row {position + 1 if self.rows is None else self.rows[position]} of {self.name}'


@dataclass(frozen=True, eq=False)
class Table(Mapping[str, Sequence[Any]]):
    """A mapping from column name to cells."""

    columns: Mapping[str, Sequence[Any]]
    path: Path
    """Path of the file."""
    rows: Sequence[int]
    """Number of each row: the first line of the row in a text file, the row of a sheet, otherwise 1, 2, 3, …"""
    separator: str = ''
    """Separator of the cells in a text file; '' for other files."""
    partial: Mapping[str, int] = field(default_factory=dict)
    """Columns that are missing in some rows of a JSON file, with the first such row; the cells there are None."""
    notes: tuple[str, ...] = ()
    """Sentences on what was left out or assumed."""

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def records(self) -> Iterator[dict[str, Any]]:
        """Each row as a mapping from column to cell."""
        for cells in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, cells, strict=True))

    @cached_property
    def source(self) -> Source:
        """The file and its row numbers, without the cells."""
        return Source(self.path.name, np.asarray(self.rows, np.int64))

    def row(self, position: int) -> str:
        """Description of a row, by the position of its cells, for messages."""
        return self.source.row(position)

    def seen(self) -> str:
        """The number of columns and their names, for messages."""
        return seen(self.columns)


def seen(columns: Iterable[str]) -> str:
    """The number of columns and their names, for messages.

    >>> seen(['name;openset'])
    "1 column 'name;openset'"
    """
    names = list(columns)
    return f'{len(names)} column{"s" * (len(names) != 1)} {listed([name[:60] for name in names], 8)}'.strip()


def number(cell: object) -> float:
    """A cell as a number; a comma before the last digits is read as a decimal comma.

    Raises:
        ValueError: the cell is not a number, or has thousands separators.

    >>> number('0,5'), number(' -1.5 '), number(2)
    (0.5, -1.5, 2.0)
    """
    if isinstance(cell, str):
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        if _DECIMAL_COMMA.fullmatch(text):
            return float(text.replace(',', '.'))
        raise ValueError(f'{cell[:40]!r} is no number')
    if isinstance(cell, bool) or not hasattr(cell, '__float__'):
        raise ValueError(f'{str(cell)[:40]!r} is no number')
    return float(cell)


def of_rows(
    header: Sequence[object], cells: Sequence[Sequence[Any]], numbers: Sequence[int], path: Path, **fields: Any
) -> Table:
    """A table from a row of names and rows of cells, all of one length.

    An unnamed column is left out if all its cells are empty, as spreadsheets leave them, or if it is the first one and
    counts the rows, like an index.

    Args:
        header: names of the columns.
        cells: rows of cells.
        numbers: number of each row, as an editor shows it.
        path: path of the file.
        fields: further fields of `Table`.

    Raises:
        TableError: a name occurs twice, or a column with cells has no name.
    """
    names = ['' if name is None else str(name).strip() for name in header]
    columns: list[Sequence[Any]] = list(zip(*cells, strict=True)) if cells else [()] * len(names)
    notes = list(fields.pop('notes', ()))
    kept: dict[str, Sequence[Any]] = {}
    for position, (name, column) in enumerate(zip(names, columns, strict=True), 1):
        if name:
            kept[name] = column
        elif any(not blank(cell) for cell in column):
            if position > 1 or not _counts(column):
                row = next(row for row, cell in zip(numbers, column, strict=True) if not blank(cell))
                raise TableError(
                    expected='a first row of different column names',
                    came=f'{path}: row {row} has a cell in column {position}, which has no name',
                    todo='give each column a name of its own',
                )
            notes.append(f'the first column of {path.name}, which counts the rows and has no name, is left out')
    refuse_doubled([name for name in names if name], path)
    return Table(kept, path, numbers, notes=tuple(notes), **fields)


def refuse_doubled(names: Sequence[str], path: Path) -> None:
    """Check that all column names are different.

    Raises:
        TableError: two names are equal, or differ only in spaces or case.
    """
    positions: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        normalized = name.strip().casefold()
        if normalized in positions:
            first = positions[normalized]
            raise TableError(
                expected='a first row of different column names',
                came=f'{path} with {seen(names)}: columns {first} and {position} are both {name.strip()!r}',
                todo='rename or remove one of them',
            )
        positions[normalized] = position


def refuse_too_many(rows: int, columns: int, path: Path) -> None:
    """Check the size of a table against the limits.

    Raises:
        TableError: the table is larger.
    """
    if rows > MOST_ROWS or columns > MOST_COLUMNS or rows * columns > MOST_CELLS:
        raise TableError(
            expected=f'at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells',
            came=f'more in {path}',
            todo='leave columns out, count equal rows as weights, or give several files',
        )


def blank(cell: object) -> bool:
    """Whether a cell is empty or white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _counts(column: Sequence[Any]) -> bool:
    """Whether the cells are 0, 1, 2, … or 1, 2, 3, …"""
    return any(
        [str(cell) for cell in column] == [str(index + first) for index in range(len(column))] for first in (0, 1)
    )
