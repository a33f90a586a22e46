"""Reading of any table file as columns.

The kind of a file is determined by its content; the extension decides between CSV and TSV where a text could be both,
and is refused where it contradicts the content. Rows are numbered as an editor shows them.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import TableError
from affekt.npz import read_npz
from affekt.tables.delimited import read_delimited
from affekt.tables.json_rows import read_json_rows
from affekt.tables.parquet_files import read_parquet
from affekt.tables.reading_notes import note
from affekt.tables.recognition import form_of
from affekt.tables.table import Table, refuse_doubled
from affekt.tables.workbooks import read_workbook
from affekt.tables.writing import storable

ENDINGS = ('.csv', '.tsv', '.jsonl', '.json', '.parquet', '.npz', '.xlsx')
"""Extensions of tables; `.txt` and `.tab`, which Excel writes, are read as well."""
_TEXTS = ('.csv', '.tsv', '.txt', '.tab')
LARGEST_FILE = 2 * 2**30
"""Largest size of a file in bytes."""


def read_table(path: str | Path) -> Table:
    """The columns of a table file of any supported kind.

    Headers keep their case but not surrounding spaces; cells are unchanged: text in a text file, numbers and lists
    where the file has them. Empty rows are left out.

    Raises:
        TableError: the file is missing, empty, damaged, too large, decompresses to more than its size allows, or is not
            a table; rows differ in length, or two columns have one name. The message gives the row where possible.
        ArchiveError: an archive is damaged or holds more than arrays and plain values.
    """
    path = Path(path)
    _require_file(path)
    ending = path.suffix.lower()
    try:
        form = form_of(path)
        if ending not in (*ENDINGS, *_TEXTS) and form in ('text', 'json'):
            raise TableError(
                expected=f'a file that ends in {", ".join(ENDINGS)}',
                came=str(path),
                todo='save it as csv with a line of column names',
            )
        if form == 'text' and ending not in _TEXTS:
            if ending in _NAMES:
                raise TableError(
                    expected=f'{_NAMES[ending]}, as its ending says',
                    came=f'{path}: something else',
                    todo='save it again, or give it the ending of its content',
                )
            form = 'npz' if ending == '.npz' else 'json'
        table = READERS[form](path)
        table = table if form in ('text', 'parquet') else _storable(table)
        note(table.notes)
        return table
    except OSError as error:
        raise TableError(
            expected='a table that can be read', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error


def _require_file(path: Path) -> None:
    """Check that the path is a regular file of an allowed size; reading a pipe could wait forever."""
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = 'which is not there' if missing else getattr(error, 'strerror', None) or str(error)
        raise TableError(expected='a table', came=f'{path}, {reason}', todo='check the path') from error
    if not stat.S_ISREG(state.st_mode):
        description = 'a folder' if stat.S_ISDIR(state.st_mode) else 'no regular file'
        raise TableError(expected='a table', came=f'{path}, {description}', todo='name the file itself')
    if state.st_size > LARGEST_FILE:
        raise TableError(
            expected=f'a file of at most {LARGEST_FILE:,} bytes',
            came=f'{path} with {state.st_size:,} bytes',
            todo='leave columns out, or give several files',
        )


def _storable(table: Table) -> Table:
    """The table with texts that UTF-8 can encode: JSON, arrays and sheets may contain lone surrogates."""
    changed = 0

    def without_surrogates(cell: Any) -> Any:
        nonlocal changed
        if isinstance(cell, str) and not cell.isascii() and (text := storable(cell)) != cell:
            changed += 1
            return text
        return [without_surrogates(part) for part in cell] if isinstance(cell, list) else cell

    columns = {storable(name): [without_surrogates(cell) for cell in column] for name, column in table.items()}
    if not changed:
        return table
    texts = f'{changed:,} texts of {table.path.name} hold' if changed > 1 else f'a text of {table.path.name} holds'
    return replace(table, columns=columns, notes=(*table.notes, f'{texts} halves of characters, which are replaced'))


def _read_archive(path: Path) -> Table:
    """One-dimensional arrays as columns; an object that maps names to answers as `name` and a column of its name."""
    named: list[tuple[str, object]] = []
    mappings = []
    for name, array in read_npz(path).items():
        if isinstance(array, dict):
            mappings.append(name)
            named += [('name', list(array)), (name.strip(), list(array.values()))]
        elif isinstance(array, np.ndarray) and array.ndim == 1:
            named.append((name.strip(), array.tolist()))
    if len(mappings) > 1:
        raise TableError(
            expected='one map of names to answers, or columns',
            came=f'{path} with {len(mappings)}: {", ".join(map(repr, mappings))}',
            todo='save the one that is meant in a file of its own',
        )
    refuse_doubled([name for name, _ in named], path)
    columns = dict(named)
    lengths = {name: len(column) for name, column in columns.items()}  # type: ignore[arg-type]
    if len(set(lengths.values())) > 1:
        raise TableError(
            expected='columns of equal length',
            came=f'{path}: ' + ', '.join(f'{length} in {name!r}' for name, length in lengths.items()),
            todo='save the file again, or export it as csv',
        )
    return Table(columns, path, range(1, max(lengths.values(), default=0) + 1))  # type: ignore[arg-type]


_NAMES = {'.parquet': 'a Parquet file', '.xlsx': 'a workbook'}
READERS: Mapping[str, Callable[[Path], Table]] = {
    'text': read_delimited,
    'json': read_json_rows,
    'parquet': read_parquet,
    'npz': _read_archive,
    'xlsx': read_workbook,
}
"""Kind of file, as given by `form_of`, to its reader."""
