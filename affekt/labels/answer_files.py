"""Answers of a system, or the truth, from a file: sample to text or list of words.

csv (`name,openset`), tsv, jsonl (`{"name": …, "openset": …}`), parquet with the same columns, and the npz files of the
official code (`filenames` and `fileitems`, or one object that maps names to answers), read without unpickling anything
but plain values. Every sample must stand once.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.npz import read_npz

NAME_COLUMNS = ('name', 'names', 'sample', 'filename', 'filenames', 'file', 'video', 'id')
ANSWER_COLUMNS = (
    'openset', 'labels', 'label', 'emotions', 'emotion', 'prediction', 'answer', 'openset_labels', 'fileitems', 'emo',
    'reason', 'description', 'english', 'text',
)  # fmt: skip
"""Columns that are taken for names and for answers, the first that a file has."""
LARGEST_BYTES = 1 << 30


def read_answers(path: Path, *, column: str | None = None) -> dict[str, object]:
    """Each sample's answer, in the order of the file.

    Args:
        path: .csv, .tsv, .jsonl, .parquet or .npz.
        column: the column of the answers; None for the first known one.

    Returns:
        Sample to a text, or to a list where the file holds lists.

    Raises:
        TableError: the file is missing, empty, damaged or of another kind, lacks a column, or names a sample twice.
        ArchiveError: an npz is damaged or asks for more than plain values.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise TableError(
            expected=f'a file that ends in {", ".join(_READERS)}',
            came=str(path),
            todo='save it as csv with the columns name and openset',
        )
    if not path.is_file():
        raise TableError(expected='a file', came=f'{path}, which is not there', todo='check the path')
    if path.stat().st_size > LARGEST_BYTES:
        raise TableError(
            expected=f'at most {LARGEST_BYTES} bytes',
            came=f'{path}: {path.stat().st_size}',
            todo='leave out other columns',
        )
    pairs = _READERS[kind](path, column)
    if not pairs:
        raise TableError(expected='at least one row', came=f'none in {path}', todo='check the file')
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise TableError(
            expected='every sample once',
            came=f'{len(twice)} samples more than once in {path}: {", ".join(map(repr, twice[:5]))}',
            todo='keep one row of each',
        )
    return dict(pairs)


def _delimited(path: Path, column: str | None) -> list[tuple[str, object]]:
    try:
        text = path.read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise _damaged(path, f'text that is not UTF-8 ({error.reason} at byte {error.start})', 'UTF-8 text') from error
    if '\0' in text:
        raise _damaged(path, 'zero bytes', 'UTF-8 text')
    reader = csv.reader(io.StringIO(text, newline=''), delimiter='\t' if path.suffix.lower() == '.tsv' else ',')
    pairs: list[tuple[str, object]] = []
    try:
        head = next(reader, [])
        name_at, answer_at = _columns(path, head, column)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(head):
                raise _damaged(path, f'{len(row)} cells in line {reader.line_num}', f'{len(head)} cells in every row')
            pairs.append((row[name_at].strip(), row[answer_at]))
    except csv.Error as error:
        raise _damaged(path, f'line {reader.line_num}: {error}', 'comma-separated values') from error
    return pairs


def _json_lines(path: Path, column: str | None) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    try:
        lines = path.read_bytes().decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise _damaged(path, f'text that is not UTF-8 ({error.reason})', 'UTF-8 text') from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f'line {number}: {error}', 'one JSON object a line') from error
        if not isinstance(row, dict):
            raise _damaged(path, f'a {type(row).__name__} in line {number}', 'one JSON object a line')
        keys = list(row)
        name_at, answer_at = _columns(path, keys, column, f'line {number} of ')
        pairs.append((str(row[keys[name_at]]), _answer(row[keys[answer_at]], path, f'line {number}')))
    return pairs


def _parquet(path: Path, column: str | None) -> list[tuple[str, object]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, str(error), 'a Parquet file') from error
    name_at, answer_at = _columns(path, table.column_names, column)
    rows = zip(table.column(name_at).to_pylist(), table.column(answer_at).to_pylist(), strict=True)
    return [(str(name), _answer(answer, path, f'row {row}')) for row, (name, answer) in enumerate(rows, 1)]


def _npz(path: Path, column: str | None) -> list[tuple[str, object]]:
    held = read_npz(path)
    if 'filenames' in held and 'fileitems' in held:
        names, items = list(held['filenames']), list(held['fileitems'])
        if len(names) != len(items):
            raise _damaged(path, f'{len(names)} names and {len(items)} answers', 'as many answers as names')
        return [(str(name), _answer(item, path, str(name))) for name, item in zip(names, items, strict=True)]
    maps = [value for key, value in held.items() if isinstance(value, Mapping) and key in (column, *_MAPS)] or [
        value for value in held.values() if isinstance(value, Mapping)
    ]
    if not maps:
        raise _damaged(path, f'the arrays {", ".join(held) or "none"}', 'filenames and fileitems, or one map of names')
    return [(str(name), _answer(answer, path, str(name))) for name, answer in maps[0].items()]


_MAPS = ('name2openset', 'name2reason', 'name2label')
_READERS = {'.csv': _delimited, '.tsv': _delimited, '.jsonl': _json_lines, '.parquet': _parquet, '.npz': _npz}


def _answer(value: Any, path: Path, place: str) -> object:
    """A text or a list of texts; a list of a NumPy array's texts too; missing values are empty text."""
    if value is None or (isinstance(value, float) and value != value):
        return ''
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)):
        return str(value)
    if hasattr(value, 'tolist'):
        value = value.tolist()
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return [str(part) for part in value]
    raise _damaged(path, f'a {type(value).__name__} as the answer of {place}', 'a text or a list of words')


def _columns(path: Path, head: Sequence[str], column: str | None, place: str = '') -> tuple[int, int]:
    plain = [str(name).strip().lower() for name in head]
    name_at = _first(plain, NAME_COLUMNS)
    answer_at = _first(plain, (column.lower(),) if column else ANSWER_COLUMNS)
    if name_at is None or answer_at is None or name_at == answer_at:
        wanted = column or ' or '.join(ANSWER_COLUMNS[:3])
        raise TableError(
            expected=f'a column name and a column {wanted}',
            came=f'{place}{path} with the columns {", ".join(map(repr, head[:8])) or "none"}',
            todo='rename the columns, or name the one with the answers by --column',
        )
    return name_at, answer_at


def _first(plain: Sequence[str], wanted: Iterable[str]) -> int | None:
    return next((plain.index(name) for name in wanted if name in plain), None)


def _damaged(path: Path, came: str, expected: str) -> TableError:
    return TableError(expected=expected, came=f'{path}: {came}', todo='save the file again, or export it as csv')
