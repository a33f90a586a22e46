"""A file of rows as this room reads it: columns, and a `Source` that names rows for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affekt import tables
from affekt.errors import ArchiveError, ComparisonError, TableError
from affekt.ranking.comparisons import Source


@dataclass(frozen=True)
class Table:
    """Columns as they were read."""

    columns: Mapping[str, Sequence[object]]
    source: Source
    separator: str = ''
    """What stands between the cells of a text file."""
    notes: tuple[str, ...] = ()
    """What reading took for granted, in sentences."""


def read_table(path: Path) -> Table:
    """The columns of any table that `affekt.tables.read_table` reads.

    Raises:
        ComparisonError: the file cannot be read as a table.
    """
    try:
        table = tables.read_table(path)
    except (TableError, ArchiveError) as error:
        raise ComparisonError(expected=error.expected, came=error.came, todo=error.todo) from error
    return Table(table.columns, Source(path.name, np.asarray(table.rows, np.int64)), table.separator, table.notes)
