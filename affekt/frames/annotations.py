"""One annotation file of Aff-Wild2: a header, then a line for every frame of one video.

| task | header | line | no label |
|---|---|---|---|
| affect | `valence,arousal` | two numbers in [-1, 1] | -5 |
| expression | the names of the classes | the number of one class | -1 |
| units | the names of the action units | 0 or 1 for each | -1 |

A header may end in a comma or in blanks, as in older releases; a byte-order mark and Windows line ends are accepted.
Line n + 1 is frame n, so a blank line between others is an error: skipping it would shift every later label. Files
are parsed as columns at once; only a file that fails is parsed line by line, to locate the errors.

T frames, U action units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.files import write_atomically
from affekt.frames.faults import Faults, content_of, quoted
from affekt.frames.labels import AFFECT, EXPRESSIONS
from affekt.wording import counted

if TYPE_CHECKING:
    import pyarrow

NO_LABEL = {'affect': -5, 'expression': -1, 'units': -1}
"""The value for a frame without a label."""
ARROW_TYPES = {'affect': 'float', 'expression': 'int8', 'units': 'int8'}
BYTE_ORDER_MARK = b'\xef\xbb\xbf'
_HEADERS = {'affect': ','.join(AFFECT), 'expression': ','.join(EXPRESSIONS), 'units': 'AU1,AU2,…'}
_HEXADECIMAL = re.compile(rb'(?:^|[,\n])\s*[+-]?0[xX]')
MOST_CELLS = 3
"""Maximum number of further wrong values of a line that an error names after the first."""
_UNIT = re.compile(r'au0*([1-9]\d*)', re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Annotation:
    """The content of one file."""

    task: str
    values: npt.NDArray[Any]
    """As the task's field of `FrameLabels`: nan or -1 where a frame has no label."""
    names: tuple[str, ...]
    """The dimensions, the classes by their numbers, or the action units of the columns."""
    has_last_line_end: bool = True
    """False if the last line has no line end and may be truncated."""


def read_annotation(path: Path, faults: Faults, *, task: str = '', name: str = '') -> Annotation | None:
    """The labels of one file; None, with a fault recorded, if it is invalid.

    Args:
        path: the file.
        faults: collects errors, with the line.
        task: required task of the header; '' accepts any.
        name: the file's name in messages; '' for its path.
    """
    file = name or str(path)
    content = content_of(path, file, faults)
    if content is None:
        return None
    first, body = divided(content)
    if not first and not body:
        faults.add(file, 0, 'is empty, without even a header')
        return None
    header = task_of(first)
    if header is None or (task and header[0] != task):
        expected_header = _HEADERS[task] if task else ' or '.join(_HEADERS.values())
        faults.add(file, 1, f'{quoted(first)} where the header {expected_header} belongs')
        return None
    task, names = header
    values = _values(task, names, body, file, faults)
    if values is None:
        return None
    return Annotation(task, *_ordered(task, values, names), has_last_line_end=has_last_line_end(content))


def divided(content: bytes) -> tuple[str, bytes]:
    """A file's first line, and the rest without trailing blanks."""
    line_end = b'\r\n' if b'\n' in content else b'\r'  # macOS before 2001
    first, _, body = content.removeprefix(BYTE_ORDER_MARK).replace(line_end, b'\n').partition(b'\n')
    return first.decode('utf-8', 'backslashreplace').strip(), body.rstrip()


def has_last_line_end(content: bytes) -> bool:
    """Whether the last line of a file has a line end: a truncated number is still a number."""
    return content.endswith((b'\n', b'\r'))


def header_cells(line: str) -> list[str]:
    """The names in a header, without trailing empty ones."""
    cells = [cell.strip() for cell in line.split(',')]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def task_of(header: str) -> tuple[str, tuple[str, ...]] | None:
    """A header's task and the names in it; None if it belongs to no task."""
    cells = [cell.casefold() for cell in header_cells(header)]
    if sorted(cells) == sorted(AFFECT):
        return 'affect', tuple(cells)
    for size in (len(EXPRESSIONS), len(EXPRESSIONS) - 1):
        if cells == [name.casefold() for name in EXPRESSIONS[:size]]:
            return 'expression', EXPRESSIONS[:size]
    units = [_UNIT.fullmatch(cell) for cell in cells]
    names = tuple(f'AU{unit[1]}' for unit in units if unit)
    return ('units', names) if names and len(names) == len(cells) == len({*names}) else None


def _ordered(task: str, values: npt.NDArray[Any], names: tuple[str, ...]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Valence before arousal, whichever comes first in the file."""
    if task == 'affect' and names != AFFECT:
        return np.ascontiguousarray(values[:, ::-1]), AFFECT
    return values, names


def _values(task: str, names: Sequence[str], body: bytes, file: str, faults: Faults) -> npt.NDArray[Any] | None:
    """The labels of a file's body; None, with faults recorded, if one is invalid."""
    labels = names if task != 'expression' else ('class',)
    most = len(names) - 1 if task == 'expression' else 1
    digits = None if task == 'affect' else digit_table(body, len(labels))
    if digits is not None and are_labels(task, digits, most):
        return digits if task == 'units' else digits[:, 0]
    table = parsed_table(body, dict.fromkeys(labels, ARROW_TYPES[task]))
    columns = None if table is None else [column.to_numpy() for column in table.columns]
    if columns is None or not all(are_labels(task, column, most) for column in columns):
        columns = _values_by_line(task, labels, most, body, file, faults)
        if columns is None:
            return None
    values = np.stack(columns, axis=1) if task != 'expression' else columns[0]
    return with_nan(values) if task == 'affect' else values


def digit_table(body: bytes, cells: int) -> npt.NDArray[np.int8] | None:
    """Lines of cells that are all one digit or -1, as integers, several times as fast as `parsed_table`.

    >>> digit_table(b'0,1,-1\\n-1,1,0', 3).tolist()
    [[0, 1, -1], [-1, 1, 0]]

    Args:
        body: lines without a header.
        cells: number of cells of each line.

    Returns:
        (N, cells) integers; None if a line or a cell has another form, or there is no line.
    """
    if b'/' in body:
        return None
    text = np.frombuffer(body + b'\n', np.int8).copy()
    minus_signs = np.flatnonzero(text == ord('-'))
    if len(minus_signs):
        if not (text[minus_signs + 1] == ord('1')).all():
            return None
        text[minus_signs + 1] = ord('/')  # the character before 0: every cell is one character after this
        text = np.frombuffer(text.tobytes().translate(None, b'-'), np.int8)
    if len(text) % (2 * cells):
        return None
    lines = text.reshape(-1, 2 * cells)  # each cell and the comma or line end after it
    digits = lines[:, ::2] - np.int8(ord('0'))
    are_separated = (lines[:, 1:-1:2] == ord(',')).all() and (lines[:, -1] == ord('\n')).all()
    return digits if are_separated and digits.min() >= -1 and digits.max() <= 9 else None


def with_nan(affect: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Valence and arousal with nan in place of -5."""
    return np.where(affect == NO_LABEL['affect'], np.float32(np.nan), affect.astype(np.float32))


def parsed_table(body: bytes, columns: Mapping[str, str]) -> pyarrow.Table | None:
    """Lines of comma-separated cells as columns; None if a line or a cell is not of its type.

    Args:
        body: lines without a header.
        columns: name to Arrow type, such as `int8`.
    """
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.type_for_alias(alias) for name, alias in columns.items()}
    if not body:
        return pa.table({name: pa.array([], alias) for name, alias in types.items()})
    if (b'0x' in body or b'0X' in body) and _HEXADECIMAL.search(body):
        return None  # Arrow would read 0x1 as a number, which other readers refuse
    try:
        return csv.read_csv(
            pa.py_buffer(body),
            read_options=csv.ReadOptions(use_threads=False, column_names=list(columns), block_size=1 << 24),
            parse_options=csv.ParseOptions(quote_char=False, escape_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError):
        return None


def are_labels(task: str, column: npt.NDArray[Any], most: int, *, may_lack: bool = True) -> bool:
    """Whether all values of a column are labels of the task, or mark a missing label if allowed."""
    if task == 'affect':
        return bool(((np.abs(column) <= 1.0) | (may_lack & (column == NO_LABEL[task]))).all())
    least = NO_LABEL[task] if may_lack else 0
    return not len(column) or bool(column.min() >= least and column.max() <= most)


def _values_by_line(
    task: str, labels: Sequence[str], most: int, body: bytes, file: str, faults: Faults
) -> list[npt.NDArray[Any]] | None:
    """The columns of a body, read line by line; None, with a fault for each invalid line, if there are any."""
    count_before = faults.count
    rows = []
    for number, line in enumerate(lines_of(body), 2):
        cells = [cell.strip() for cell in line.split(',')]
        cells = cells[:-1] if len(cells) == len(labels) + 1 and not cells[-1] else cells
        if fault := _fault_of(task, labels, cells, most):
            faults.add(file, number, fault)
        else:
            rows.append([float(cell) for cell in cells])
    if faults.count > count_before:
        return None
    dtype = np.float32 if task == 'affect' else np.int8
    return list(np.array(rows, dtype=dtype).reshape(-1, len(labels)).T.copy())


def lines_of(body: bytes) -> list[str]:
    """A body's lines; bytes that are not UTF-8 are shown as escapes."""
    return [line.decode('utf-8', 'backslashreplace') for line in body.splitlines()]


def _fault_of(task: str, labels: Sequence[str], cells: Sequence[str], most: int) -> str:
    """The fault of a line; '' if it is valid."""
    if not any(cells):
        return 'is blank, and every line is a frame'
    if len(cells) != len(labels):
        return misplaced(len(cells), labels)
    return joined_faults(
        (label, cell, fault_of_cell(task, label, cell, most)) for label, cell in zip(labels, cells, strict=True)
    )


def misplaced(count: int, labels: Sequence[str]) -> str:
    """The error for a line with too many or too few values."""
    if len(labels) > 1:
        return f'{counted(count, "value")} where {len(labels)} belong'
    label = 'the number of the class' if labels[0] == 'class' else labels[0]
    return f'{counted(count, "value")} where {label} belongs'


def joined_faults(cells: Iterable[tuple[str, str, str]]) -> str:
    """The errors of a line's values, the first in full; '' if there is none.

    >>> joined_faults([('AU1', '2', "AU1 '2' is not 0 or 1"), ('AU2', '0', ''), ('AU4', 'x', "AU4 'x' is not 0 or 1")])
    "AU1 '2' is not 0 or 1; also wrong: AU4 'x'"

    Args:
        cells: label, value and error of each.
    """
    wrong = [(label, cell, fault) for label, cell, fault in cells if fault]
    if not wrong:
        return ''
    others = [f'{label} {quoted(cell)}' for label, cell, _ in wrong[1:]]
    more = f' and {len(others) - MOST_CELLS} more' if len(others) > MOST_CELLS else ''
    return wrong[0][2] + (f'; also wrong: {", ".join(others[:MOST_CELLS])}{more}' if others else '')


def fault_of_cell(task: str, label: str, cell: str, most: int, *, may_lack: bool = True) -> str:
    """The error for a value; '' for none.

    Args:
        task: the task of the value.
        label: the dimension or action unit; `class` for expressions.
        cell: the text in the file.
        most: the highest class number, 1 for action units.
        may_lack: whether it may mark a missing label.
    """
    try:
        number = float(cell) if cell.isascii() and '_' not in cell else float('nan')
    except ValueError:
        number = float('nan')
    if may_lack and number == NO_LABEL[task]:
        return ''
    if abs(number) <= 1.0 if task == 'affect' else number in range(most + 1):
        return ''
    units, classes = '0 or 1', f'a whole number from 0 to {most}'
    expected = {'affect': 'a number in [-1, 1]', 'expression': classes, 'units': units}[task]
    return f'{label} {quoted(cell)} is not {expected}' + f', nor {NO_LABEL[task]} (no label)' * may_lack


def write_annotation(path: Path, task: str, values: npt.NDArray[Any], names: Iterable[str] = ()) -> None:
    """Writes one annotation file in the challenge's format, atomically.

    Args:
        path: such as `VA_Estimation_Challenge/Train_Set/VIDEO.txt`; its folder must exist.
        task: one of `TASKS`.
        values: labels, as the task's field of `FrameLabels`.
        names: names of the classes or action units.
    """
    header = ','.join(AFFECT if task == 'affect' else names)
    lines = joined_cells(written_columns(task, values))
    write_atomically(path, '\n'.join([header, *lines, '']).encode())


def written_columns(task: str, values: npt.NDArray[Any]) -> list[Any]:
    """A task's values as columns of text, numbers in their shortest form, with -1 or -5 for no label."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = values[:, None] if values.ndim == 1 else values
    if task == 'affect':
        columns = np.where(np.isnan(columns), np.float32(NO_LABEL[task]), columns.astype(np.float32))
    return [pc.cast(pa.array(np.ascontiguousarray(column)), pa.string()) for column in columns.T]


def joined_cells(columns: Sequence[Any]) -> list[str]:
    """Lines of columns of text, with commas between the cells."""
    import pyarrow.compute as pc

    lines: list[str] = pc.binary_join_element_wise(*columns, ',').to_pylist()
    return lines
