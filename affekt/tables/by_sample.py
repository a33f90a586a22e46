"""Tables with one row per sample, whose columns of names and values are identified by their headers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import TableError, listed
from affekt.tables.reading import read_table
from affekt.tables.table import Table, seen

Columns = Mapping[str, Sequence[Any]]
"""Name of a column to its cells."""


def read_columns(path: Path) -> Table:
    """All columns of a table file that has rows; see `affekt.tables.read_table`.

    Raises:
        TableError: the file cannot be read as a table, or has no rows.
        ArchiveError: an archive is damaged or holds more than arrays and plain values.
    """
    table = read_table(path)
    if not table.rows:
        raise TableError(
            expected='a table with rows',
            came=f'{path} without any, with {table.seen()}',
            todo='check the file, or write it again',
        )
    return table


def by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """Name of a sample to its value; for both columns the first known header is used. None without a column of values.

    Args:
        columns: columns of a file.
        path: path of the file, for messages.
        names: accepted headers for sample names, in any case.
        values: accepted headers for the values, in any case.

    Raises:
        TableError: there is no column of names, a name is empty, or a name occurs twice.
    """
    key, value = _header(columns, names), _header(columns, values)
    if key is None:
        raise TableError(
            expected=f'a column {" or ".join(names[:3])}',
            came=f'{path} with {seen(columns)}',
            todo='name the columns so',
        )
    if value is None:
        return None
    _require_whole(columns, path, (key, value))
    samples = ['' if _is_empty(name) else str(name).strip() for name in columns[key]]
    repeated = [name for name, count in Counter(samples).items() if count > 1 or not name]
    if repeated:
        raise TableError(
            expected='every sample once, by name',
            came=f'{path} with {listed(repeated)} more than once'
            if all(repeated)
            else f'{path} with a row without a name',
            todo='keep one row for each sample',
        )
    return dict(zip(samples, columns[value], strict=True))


def answers_by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """As `by_name`, for values that are answers: a text, a list of texts, or empty, which gives ''.

    Args:
        columns, path, names, values: see `by_name`.

    Raises:
        TableError: as for `by_name`, or a value is of another type.
    """
    cells = by_name(columns, path, names, values)
    return None if cells is None else {name: _answer(value, path, name) for name, value in cells.items()}


def _require_whole(columns: Columns, path: Path, names: Sequence[str]) -> None:
    """Check that no line of a JSON file lacks one of these columns."""
    partial = columns.partial if isinstance(columns, Table) else {}
    if affected := [name for name in names if name in partial]:
        raise TableError(
            expected='the same keys in every line',
            came=f'{path}: {listed(affected)} in some lines only, first in line {partial[affected[0]]}',
            todo='write null where a line has nothing',
        )


def _header(columns: Columns, accepted: Sequence[str]) -> str | None:
    by_lower_case = {header.lower(): header for header in columns}
    return next((by_lower_case[name.lower()] for name in accepted if name.lower() in by_lower_case), None)


def _is_empty(cell: object) -> bool:
    """Whether a cell is empty, in any form that parquet, JSON and npz files have for it."""
    return cell is None or (isinstance(cell, float | np.floating) and math.isnan(cell))


def _answer(value: Any, path: Path, name: str) -> object:
    cell = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if _is_empty(cell):
        return ''
    if isinstance(cell, str) or (isinstance(cell, list) and all(isinstance(part, str) for part in cell)):
        return cell
    raise TableError(
        expected='a text or a list of texts for every sample',
        came=f'{path}, sample {name!r}: a {type(cell).__name__} as the answer',
        todo='write labels as "[happy, sad]"',
    )
