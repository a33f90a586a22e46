"""Features in a table or an archive: one or several rows per sample, or one array per sample.

One column names the sample, one of several others may give the time, all other numeric columns are features. Columns of
manifests (labels, splits, folds, speakers) are never taken as features, which would leak the truth.

Axes: T time steps, D features, R rows.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.corpora.manifest import COLUMNS as OF_MANIFESTS
from affekt.errors import ArchiveError, ShapeError, TableError, ValueRangeError, listed
from affekt.features.sources import OTHERS, Arrays, Times, stacked_rows
from affekt.npz import read_npz
from affekt.tables import number, read_columns

NAMES = ('sample', 'name', 'id', 'file', 'filename', 'path', 'clip', 'clip_id', 'video', 'segment', 'segment_id', 'key')
"""Headers of the column that names the sample, case-insensitive; the first one present is used."""
UNNAMED = ('', 'unnamed: 0', 'index')
"""Headers of pandas' index, which names the sample if its cells are text."""
TIMES = ('time', 'time_s', 'times', 'timestamp', 'frametime', 'seconds')
BEGINS, ENDS = ('start', 'start_s', 'begin', 'onset'), ('end', 'end_s', 'stop', 'offset')
FRAMES = ('frame', 'frame_id', 'frame_number')
COUNTERS = (*FRAMES, 'row', 'index', 'unnamed: 0', '')
NO_FEATURES = {
    *OF_MANIFESTS, 'label', 'labels', 'emotion', 'discrete', 'target', 'class', 'y', 'truth', 'gold', 'subject',
    'actor', 'utterance', 'transcript', 'partition', 'set', 'cv', 'group', 'annotator', 'rating', 'polarity',
    'positive', 'negative',
} - {'sample'}  # fmt: skip
"""Headers of labels and metadata of a sample."""
_CODES = frozenset({
    'id', 'ids', 'idx', 'index', 'indices', 'no', 'nr', 'num', 'number', 'numbers', 'code', 'codes', 'coded', 'name',
    'names', 'true', 'encoded', 'onehot', 'int',
})  # fmt: skip
"""Words of headers such as `label_ids` and `yTrue`, which also mark labels."""
_COUNTS = frozenset({'id', 'ids', 'idx', 'index', 'indices', 'code', 'codes'})
"""Last words of headers whose whole numbers are identifiers, not quantities."""
_WORDS = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+')
Cells = Sequence[Any]
_CLOCK = re.compile(r'\s*(?:(\d+) days?,? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)\s*')


def table_of_samples(path: Path) -> Arrays:
    """Features of the samples that a table or an archive names.

    Args:
        path: a .csv, .tsv, .jsonl, .parquet or .npz file, or another format that `affekt.tables` reads.

    Raises:
        TableError, ArchiveError: the file cannot be read, names no samples, or has no numbers.
        ValueRangeError: a cell is empty or not a number; the message names row and column.
    """
    if path.suffix.lower() in ('.npz', '.npy'):
        return _archive(path)
    table = read_columns(path)
    names, key = _names(table, path)
    columns = {header: cells for header, cells in table.items() if header != key}
    samples = samples_of_columns([name.strip() for name in names], columns, (path,), row_of=table.row)
    return dataclasses.replace(samples, notes=[*table.notes, *samples.notes])


def table_of_one_sample(path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...], Times | None, list[str]]:
    """(T, D) values, D column names, (T,) times and notes of a table whose rows all belong to one sample.

    Raises:
        TableError, ArchiveError, ValueRangeError: see `table_of_samples`.
    """
    table = read_columns(path)
    sample = samples_of_columns(['one'] * len(table.rows), table, (path,), several=True, row_of=table.row)
    return sample.arrays['one'], sample.columns, sample.times.get('one'), [*table.notes, *sample.notes]


def samples_of_columns(
    names: Sequence[str],
    columns: Mapping[str, Cells],
    files: tuple[Path, ...],
    *,
    several: bool = False,
    row_of: Callable[[int], str] | None = None,
) -> Arrays:
    """The rows of a table as one array per sample.

    Args:
        names: (R,) sample of each row.
        columns: header to (R,) cells.
        files: files of the rows, for messages.
        several: several rows of one name are time steps, whatever they contain.
        row_of: function from the index of a row, from 0, to its description in messages.

    Raises:
        TableError: a row has no name, there are no numbers, or a sample's rows are duplicated.
        ValueRangeError: a cell is empty or not a number.
    """
    where = str(files[0] if len(files) == 1 else files[0].parent)
    row_of = row_of or (lambda index: f'row {index + 1} of {where}')
    if '' in names:
        raise TableError(
            expected='a name in every row', came=f'none in {row_of(names.index(""))}', todo='name the sample'
        )
    times, notes, others = _times(columns, row_of)
    lists = [header for header, cells in others.items() if any(_is_list(cell) for cell in cells[:100])]
    if lists:
        return _of_lists(names, others, lists, files, where, notes)
    numbers, left_out = _numbers(others, row_of)
    if left_out:
        notes.append(f'columns that are no features, left out: {listed(left_out, 8)}')
    if not numbers:
        raise TableError(
            expected='columns of numbers beside the names', came=f'{where} with {listed(columns, 8)}',
            todo='write one row for each sample: its name, then its features',
        )  # fmt: skip
    matrix = np.stack(list(numbers.values()), axis=1)
    rows: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        rows.setdefault(name, []).append(index)
    is_timed = times is not None or any(header.strip().lower() in COUNTERS for header in columns)
    if not several:
        _require_rows(rows, matrix, where, is_timed=is_timed)
    positions, order = (_frame_numbers(columns), 'frames') if times is None else (times, 'time')
    for name, indices in rows.items():
        if positions is not None and (np.diff(positions[indices]) < 0).any():
            raise TableError(
                expected=f'rows of a sample in the order of {order}', came=f'others for {name!r} in {where}',
                todo=f'sort the table by sample and {order.removesuffix("s")}',
            )  # fmt: skip
    by_time = {} if times is None else {name: times[index] for name, index in rows.items()}
    return Arrays(files, {name: matrix[index] for name, index in rows.items()}, tuple(numbers), by_time, notes)


def _names(columns: Mapping[str, Cells], path: Path) -> tuple[list[str], str]:
    header_of = {header.strip().lower(): header for header in reversed(list(columns))}
    key = next((header_of[name] for name in NAMES if name in header_of), None)
    if key is None:
        key = next(
            (header_of[name] for name in UNNAMED if name in header_of and _is_text(columns[header_of[name]])), None
        )
    if key is None:
        raise TableError(
            expected=f'a column with the names of the samples ({", ".join(NAMES[:4])})',
            came=f'{path} with {listed(columns, 6)}', todo='add one: features belong to samples by name, not by order',
        )  # fmt: skip
    return ['' if cell is None else str(cell) for cell in columns[key]], key


def _frame_numbers(columns: Mapping[str, Cells]) -> Times | None:
    """(R,) number of the frame of each row; None without such a column."""
    cells = next((cells for header, cells in columns.items() if header.strip().lower() in FRAMES), ())
    numbers = [_seconds(cell) for cell in cells]
    return None if not numbers or None in numbers else np.array(numbers, dtype=np.float64)


def _times(
    columns: Mapping[str, Cells], row_of: Callable[[int], str]
) -> tuple[Times | None, list[str], dict[str, Cells]]:
    """(R,) centre of each row in seconds (None without such columns), notes, and the other columns.

    Raises:
        ValueRangeError: some cells of a column of times are not times.
    """
    header_of = {header.strip().lower(): header for header in columns}
    others = {header: cells for header, cells in columns.items() if header.strip().lower() not in COUNTERS}
    notes = [
        f'a column that counts rows, left out: {header!r}' for header in columns if header not in others and header
    ]
    single = next((header_of[name] for name in TIMES if name in header_of), None)
    begin = next((header_of[name] for name in BEGINS if name in header_of), None)
    end = next((header_of[name] for name in ENDS if name in header_of), None)
    used = [single] if single else [header for header in (begin, end) if header]
    seconds = {header: [_seconds(cell) for cell in others[header]] for header in used}
    without_any = [header for header, values in seconds.items() if not any(value is not None for value in values)]
    if without_any:
        notes.append(f'columns of times without a number of seconds, left out: {listed(without_any)}')
    for header, values in seconds.items():
        if header not in without_any and None in values:
            row, cell = values.index(None), others[header][values.index(None)]
            raise ValueRangeError(
                expected=f'a time in seconds in every cell of column {header!r}',
                came=f'{"nothing" if cell in (None, "") else repr(cell)} in {row_of(row)}',
                todo='correct the table, or leave that column out',
            )
    others = {header: cells for header, cells in others.items() if header not in (single, begin, end)}
    if not seconds or without_any:
        return None, notes, others
    return np.array(list(seconds.values()), dtype=np.float64).mean(axis=0), notes, others


def _seconds(cell: object) -> float | None:
    """Seconds from a finite number or pandas' notation `0 days 00:00:01.5`; None for another cell."""
    if isinstance(cell, str) and (clock := _CLOCK.fullmatch(cell)):
        days, hours, minutes, seconds = clock.groups()
        return 86400 * int(days or 0) + 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    try:
        seconds = number(cell)
    except ValueError:
        return None
    return seconds if np.isfinite(seconds) else None


def _numbers(
    columns: Mapping[str, Cells], row_of: Callable[[int], str]
) -> tuple[dict[str, npt.NDArray[np.float64]], list[str]]:
    """The numeric columns, and the names of those left out as text, labels or metadata."""
    numbers: dict[str, npt.NDArray[np.float64]] = {}
    left_out = []
    for header, cells in columns.items():
        if is_known_beforehand(header):
            left_out.append(header)
            continue
        values = np.full(len(cells), np.nan)
        wrong = []
        for at, cell in enumerate(cells):
            try:
                values[at] = number(cell)
            except ValueError:
                wrong.append(at)
        if len(wrong) == len(cells):
            left_out.append(header)
        elif wrong:
            cell = cells[wrong[0]]
            raise ValueRangeError(
                expected=f'a number in every cell of column {header!r}',
                came=f'{"nothing" if cell in (None, "") else repr(cell)} in {row_of(wrong[0])}'
                + (f', and {len(wrong) - 1:,} more' if len(wrong) > 1 else ''),
                todo='correct the table, or leave that sample out',
            )
        elif tells_which(header, values):
            left_out.append(header)
        else:
            numbers[header] = values
    return numbers, left_out


def is_known_beforehand(header: str) -> bool:
    """Whether a header names labels or metadata: directly, in the plural, or as a code."""
    if header.strip().lower() in NO_FEATURES:
        return True
    words = [word.lower() for word in _WORDS.findall(header)]
    label_words = [word for word in words if {word, word.removesuffix('s'), word.removesuffix('es')} & NO_FEATURES]
    return bool(label_words) and all(word in label_words or word in _CODES for word in words)


def tells_which(header: str, values: npt.NDArray[Any]) -> bool:
    """Whether whole numbers under a header such as `ids` or `face_index` are identifiers."""
    words = [word.lower() for word in _WORDS.findall(header)]
    if not words or words[-1] not in _COUNTS or values.dtype.kind not in 'iuf' or values.ndim != 1:
        return False
    return bool((values == np.round(values)).all())


def _of_lists(
    names: Sequence[str],
    columns: Mapping[str, Cells],
    lists: Sequence[str],
    files: tuple[Path, ...],
    where: str,
    notes: list[str],
) -> Arrays:
    """Features from one column of lists, of numbers or of rows of numbers."""
    if len(lists) > 1:
        raise TableError(
            expected='one column of lists of numbers', came=f'{where} with {listed(lists)}', todo='leave the others out'
        )
    if others := [header for header in columns if header not in lists]:
        notes.append(f'columns beside {lists[0]!r}, left out: {listed(others, 8)}')
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise TableError(
            expected='every sample once', came=f'{listed(repeated)} more than once in {where}', todo='keep one row each'
        )
    arrays = {}
    for name, cell in zip(names, columns[lists[0]], strict=True):
        arrays[name] = array_of(cell, f'{lists[0]!r} of {name!r} in {where}')
    return Arrays(files, arrays, (), {}, notes)


def array_of(cell: Any, where: str) -> npt.NDArray[Any]:
    """Nested lists as one array.

    Raises:
        TableError: rows differ in length, or a value is not a number.
    """
    if isinstance(cell, list) and cell and all(isinstance(row, list | np.ndarray) for row in cell):
        return stacked_rows([array_of(row, where) for row in cell], where)
    if isinstance(cell, list) and any(isinstance(value, str) for value in cell):  # numpy would convert all to text
        raise TableError(expected='a list of numbers', came=f'texts in {where}', todo=OTHERS['U'])
    try:
        array = np.asarray([] if cell is None else cell)
    except ValueError as error:
        raise TableError(expected='a list of numbers', came=f'{error} in {where}', todo='correct it') from error
    if array.dtype.kind == 'O' or (isinstance(cell, list) and None in cell):
        raise TableError(expected='a list of numbers', came=f'something else in {where}', todo='correct it')
    return array


def _require_rows(rows: Mapping[str, list[int]], matrix: npt.NDArray[Any], where: str, *, is_timed: bool) -> None:
    """Check that several rows of a sample are time steps, and that none is duplicated.

    Raises:
        TableError: rows are identical, not adjacent, or only a few samples have several.
    """
    several = {name: at for name, at in rows.items() if len(at) > 1}
    if not several or is_timed:
        return
    scattered = [name for name, at in several.items() if at[-1] - at[0] != len(at) - 1]
    constant = [name for name, at in several.items() if len(np.unique(matrix[at], axis=0)) == 1]
    if scattered or constant or 2 * len(several) < len(rows):
        faulty = scattered or constant or list(several)
        raise TableError(
            expected='one row for each sample, or a column of times beside several',
            came=f'{listed(faulty, 3)} more than once in {where}'
            + (', each row the same' if constant and not scattered else ''),
            todo='remove duplicate rows, or add a column `time` in seconds',
        )


def _archive(path: Path) -> Arrays:
    """Features of an archive with one array per sample, or with a matrix and an array of names."""
    arrays: dict[str, Any] = read_npz(path)
    if len(arrays) == 1 and isinstance(next(iter(arrays.values())), dict):
        arrays = {str(name): np.asarray(value) for name, value in next(iter(arrays.values())).items()}
    key, labels = _names_and_labels(arrays)
    numbers = {
        name: value for name, value in arrays.items()
        if isinstance(value, np.ndarray) and value.dtype.kind not in 'USO' and name not in (key, *labels)
    }  # fmt: skip
    texts = [name for name in arrays if name not in (key, *labels, *numbers)]
    if key is not None and len(numbers) == 1 and not texts:
        names = [_decoded(name) for name in arrays[key].ravel().tolist()]
        matrix = next(iter(numbers.values()))
        if matrix.ndim == 0 or len(names) != len(matrix) or len(set(names)) != len(names):
            raise ShapeError(
                expected='one name for each row, each once', came=f'{len(set(names))} names for {len(names)} and '
                f'{matrix.shape} values in {path}', todo='save one array for each sample, by its name',
            )  # fmt: skip
        notes = [f'arrays that are no features, left out: {listed(labels)}'] if labels else []
        return Arrays((path,), dict(zip(names, matrix, strict=True)), notes=notes)
    if labels or all(name in _NO_NAME or re.fullmatch(r'arr_\d+', name) for name in numbers):
        raise ArchiveError(
            expected='one array for each sample by its name, or an array of names beside the features',
            came=f'{path} with {listed(arrays)}', todo='add the names: features belong to samples by name, not by '
            'order: numpy.savez(path, names=names, features=features)',
        )  # fmt: skip
    if key is not None or len(numbers) < len(arrays) or not numbers:
        others = [name for name in arrays if name not in numbers]
        raise ArchiveError(
            expected='an array of numbers for each sample', came=f'{path} with {listed(others or arrays)}',
            todo='leave out the others, or save names and features: numpy.savez(path, names=…, features=…)',
        )  # fmt: skip
    return Arrays((path,), numbers)


def _names_and_labels(arrays: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The array that names the samples, None if there is none, and those with labels, metadata or counts.

    Names are text, or whole numbers under a header such as `ids`; an `index` counts rows and names nothing.
    """
    given_arrays = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
    texts = [name for name, value in given_arrays.items() if value.dtype.kind in 'USO' and value.size]
    numbered = [name for name, value in given_arrays.items() if value.dtype.kind in 'iu' and value.ndim == 1]
    candidates = [name for header in NAMES for name in (*texts, *numbered) if name.lower() in (header, f'{header}s')]
    key = next(iter(candidates), None) or next((name for name in texts if not is_known_beforehand(name)), None)
    labels = [
        name for name, value in arrays.items()
        if name != key and (is_known_beforehand(name) or (isinstance(value, np.ndarray) and tells_which(name, value)))
    ]  # fmt: skip
    return key, labels


def _decoded(name: object) -> str:
    return name.decode('utf-8', 'replace') if isinstance(name, bytes) else str(name)


_NO_NAME = ('', 'arr_0', 'features', 'feature', 'data', 'x', 'X', 'values', 'embeddings', 'embedding')


def _is_list(cell: object) -> bool:
    return isinstance(cell, list | np.ndarray)


def _is_text(cells: Cells) -> bool:
    return any(isinstance(cell, str) and not re.fullmatch(r'\s*-?[\d.]*\s*', cell) for cell in cells)
