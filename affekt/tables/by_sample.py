"""Tables with one row per sample: finds the columns of names and values by their headers."""

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
    """One column of values by the column of names; of each, the first known header is used. None without values.

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
    samples = ['' if _is_nothing(name) else str(name).strip() for name in columns[key]]
    twice = [name for name, times in Counter(samples).items() if times > 1 or not name]
    if twice:
        raise TableError(
            expected='every sample once, by name',
            came=f'{path} with {listed(twice)} more than once' if all(twice) else f'{path} with a row without a name',
            todo='keep one row for each sample',
        )
    return dict(zip(samples, columns[value], strict=True))


def answers_by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """As `by_name`, with values that must be answers: a text, a list of texts, or nothing.

    Raises:
        TableError: as for `by_name`, or a value is of another type.
    """
    cells = by_name(columns, path, names, values)
    return None if cells is None else {name: _answer(value, path, name) for name, value in cells.items()}


def _require_whole(columns: Columns, path: Path, names: Sequence[str]) -> None:
    partial = columns.partial if isinstance(columns, Table) else {}
    if absent := [name for name in names if name in partial]:
        raise TableError(
            expected='the same keys in every line',
            came=f'{path}: {listed(absent)} in some lines only, first in line {partial[absent[0]]}',
            todo='write null where a line has nothing',
        )


def _header(columns: Columns, wanted: Sequence[str]) -> str | None:
    plain = {header.lower(): header for header in columns}
    return next((plain[name.lower()] for name in wanted if name.lower() in plain), None)


def _is_nothing(cell: object) -> bool:
    """Whether a cell is empty, in any form that parquet, JSON and npz files have for it."""
    return cell is None or (isinstance(cell, float | np.floating) and math.isnan(cell))


def _answer(value: Any, path: Path, name: str) -> object:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if _is_nothing(plain):
        return ''
    if isinstance(plain, str) or (isinstance(plain, list) and all(isinstance(part, str) for part in plain)):
        return plain
    raise TableError(
        expected='a text or a list of texts for every sample',
        came=f'{path}, sample {name!r}: a {type(plain).__name__} as the answer',
        todo='write labels as "[happy, sad]"',
    )
