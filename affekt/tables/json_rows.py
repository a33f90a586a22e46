"""JSON and JSON Lines: a list of objects, or one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.runs import read_regular_file
from affekt.tables.recognition import text_lines
from affekt.tables.table import Table, refuse_doubled, refuse_too_many
from affekt.text_encoding import decode_text

LARGEST_JSON = 256 * 2**20
"""Largest size in bytes of a file that is one JSON list."""


def read_json_rows(path: Path) -> Table:
    """The columns of a list of objects, or of one object per line.

    Raises:
        TableError: the file is not JSON, is nested too deeply, has a key twice in an object, or holds values other than
            objects; the message gives the row.
    """
    lines, notes = text_lines(path)
    first = next((line for line in lines if line.strip()), '')
    if first.lstrip().startswith('['):
        return _list_table(path, notes)
    lines, _ = text_lines(path)
    objects, numbers = [], []
    for number, row in _line_objects(lines, path):
        objects.append(row)
        numbers.append(number)
        refuse_too_many(len(objects), 1, path)
    if len(objects) == 1 and isinstance(objects[0], dict) and path.suffix.lower() == '.json':
        raise _no_list(path, 'dict')
    return _object_table(objects, numbers, path, notes)


def _list_table(path: Path, notes: Sequence[str]) -> Table:
    if path.stat().st_size > LARGEST_JSON:
        raise TableError(
            expected=f'JSON of at most {LARGEST_JSON // 2**20} MB', came=f'a larger {path}', todo='write JSON Lines'
        )
    try:
        rows = _parsed(decode_text(read_regular_file(path), str(path)).text)
    except (ValueError, RecursionError) as error:
        raise TableError(
            expected='json that is whole', came=f'{path}: {_reason(error)}', todo='write it again'
        ) from error
    return _object_table(rows, range(1, len(rows) + 1), path, notes)


def _line_objects(lines: Iterable[str], path: Path) -> Iterator[tuple[int, Any]]:
    """Line number and object of each line; a single object that spans several lines is refused."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, _parsed(line)
            except (ValueError, RecursionError) as error:
                if line.strip() == '{':
                    raise _no_list(path, 'one object over many lines') from error
                raise TableError(
                    expected='one JSON object per line',
                    came=f'{_reason(error)} in row {number} of {path.name}',
                    todo='correct or remove that row',
                ) from error


def _no_list(path: Path, came: str) -> TableError:
    return TableError(
        expected='a JSON list of objects', came=f'{came} in {path.name}', todo='write a list, or one object per line'
    )


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one with a key twice is refused."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'the key {repeated[:60]!r} stands twice in an object')
    return row


def _reason(error: Exception) -> str:
    return 'nested too deeply' if isinstance(error, RecursionError) else str(error)[:120]


def _object_table(rows: Sequence[Any], numbers: Sequence[int], path: Path, notes: Sequence[str]) -> Table:
    for number, row in zip(numbers, rows, strict=True):
        if not isinstance(row, dict):
            raise TableError(
                expected='an object in every row',
                came=f'{type(row).__name__} in row {number} of {path.name}',
                todo='correct or remove that row',
            )
    keys = list(dict.fromkeys(name for row in rows for name in row))
    refuse_too_many(len(rows), len(keys), path)
    refuse_doubled(keys, path)
    partial = {
        name.strip(): next(
            number for number, row in zip(numbers, rows, strict=True) if (name in row) != (name in rows[0])
        )
        for name in keys
        if not all(name in row for row in rows)
    }
    columns = {name.strip(): [row.get(name) for row in rows] for name in keys}
    return Table(columns, path, numbers, partial=partial, notes=tuple(notes))
