"""A table in a file, by column: csv, jsonl, parquet, or npz read without running anything in it.

Columns are lists of equal length; cells are text where the file holds text. The released archives of the field hold
`filenames` and `fileitems`; they come out under these names.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import ArchiveError, TableError
from affekt.metrics.answers import listed
from affekt.npz import read_npz

Columns = Mapping[str, Sequence[Any]]


def read_columns(path: Path) -> Columns:
    """Every column of a table file.

    Raises:
        TableError: the file is missing, empty, damaged, or of no known kind.
        ArchiveError: an archive is damaged or asks for more than arrays and plain values.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(expected=f'a {", ".join(READERS)} file', came=str(path), todo='convert it to one of these')
    try:
        columns = reader(path)
    except ArchiveError:
        raise
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, RecursionError, csv.Error) as error:
        raise TableError(
            expected=f'a whole {path.suffix} table', came=f'{path}: {error}', todo='check the file, or write it again'
        ) from error
    lengths = {len(column) for column in columns.values()}
    if not columns or lengths == {0}:
        raise TableError(expected='a table with rows', came=f'{path} without any', todo='check the file')
    if len(lengths) != 1:
        raise TableError(
            expected='columns of equal length',
            came=f'{path} with {sorted(lengths)} rows',
            todo='write the file again',
        )
    return columns


def by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """One column of values by the column of names, the first known header of each; None where no value column is.

    Raises:
        TableError: no column of names, an empty name, or a name that stands twice.
    """
    key = next((header for header in names if header in columns), None)
    value = next((header for header in values if header in columns), None)
    if key is None:
        raise TableError(
            expected=f'a column {" or ".join(names)}',
            came=f'{path} with {", ".join(columns)}',
            todo='name the columns so',
        )
    if value is None:
        return None
    samples = [str(name).strip() for name in columns[key]]
    twice = [name for name, times in Counter(samples).items() if times > 1 or not name]
    if twice:
        raise TableError(
            expected='each sample once, by name',
            came=f'{path} with {listed(twice)} more than once' if all(twice) else f'{path} with a row without a name',
            todo='keep one row for each sample',
        )
    return dict(zip(samples, columns[value], strict=True))


def answers_by_name(columns: Columns, path: Path, names: Sequence[str], values: Sequence[str]) -> dict[str, Any] | None:
    """As `by_name`, where every value must be an answer: a text, a list of texts, or nothing.

    Raises:
        TableError: as `by_name`, or a value is something else.
    """
    held = by_name(columns, path, names, values)
    if held is None:
        return None
    found: dict[str, Any] = {}
    for name, answer in held.items():
        plain = answer.tolist() if isinstance(answer, np.ndarray) else answer
        if plain is None or (isinstance(plain, float) and math.isnan(plain)):
            found[name] = ''
        elif isinstance(plain, str) or (isinstance(plain, list) and all(isinstance(part, str) for part in plain)):
            found[name] = plain
        else:
            raise TableError(
                expected='a text or a list of texts for every sample',
                came=f'{path}, sample {name!r}: {type(plain).__name__}',
                todo='write labels as "[happy, sad]"',
            )
    return found


def _csv(path: Path) -> Columns:
    with path.open(encoding='utf-8-sig', newline='') as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f'row {number} has another number of cells than the header')
    return {header.strip(): [row[header] for row in rows] for header in reader.fieldnames or ()}


def _jsonl(path: Path) -> Columns:
    rows = []
    for number, line in enumerate(path.read_text(encoding='utf-8-sig').splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f'row {number} is not JSON ({error})') from error
            if not isinstance(row, dict):
                raise ValueError(f'row {number} is not an object')
            rows.append(row)
    headers = dict.fromkeys(header for row in rows for header in row)
    return {header: [row.get(header) for row in rows] for header in headers}


def _parquet(path: Path) -> Columns:
    import pyarrow.parquet as parquet

    held: Columns = parquet.read_table(path).to_pydict()
    return held


def _npz(path: Path) -> Columns:
    held = read_npz(path)
    found: dict[str, Sequence[Any]] = {}
    for name, array in held.items():
        if isinstance(array, dict):
            found |= {'name': list(array), name: list(array.values())}
        elif isinstance(array, np.ndarray) and array.ndim == 1:
            found[name] = array.tolist()
    return found


READERS: Mapping[str, Callable[[Path], Columns]] = {'.csv': _csv, '.jsonl': _jsonl, '.npz': _npz, '.parquet': _parquet}
