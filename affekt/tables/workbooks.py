"""Sheets of Excel (.xlsx): what a workbook would unfold to is counted in its XML before its reader sees it.

A cell in the last row and column of a sheet makes the reader lay out 17,000,000,000 of them, and a text may stand in a
million cells. The reader is given a copy of the members that were counted, so that both see the same.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.tables.table import Table, blank, of_rows, refuse_too_many

FREE_BYTES, BYTES_PER_BYTE, MOST_BYTES = 1 << 26, 64, 1 << 29
FREE_CELLS = 2_000_000
_TAG = re.compile(rb'<(?:\w+:)?(row|c)\b([^>]*)>')
_PLACE = re.compile(rb'\br\s*=\s*["\']([A-Za-z]*)(\d+)["\']')
_SHARED = re.compile(rb'<(?:\w+:)?c\b[^>]*\bt\s*=\s*["\']s["\'][^>]*>\s*<(?:\w+:)?v\b[^>]*>\s*(\d+)')
_TEXT = re.compile(rb'<(?:\w+:)?si\b.*?</(?:\w+:)?si>', re.DOTALL)


def read_workbook(path: Path) -> Table:
    """The columns of the one sheet that has cells; its first row names them.

    Raises:
        TableError: damaged, with cells in several sheets, larger than its size allows, or a name stands twice.
    """
    workbook = _opened(path)
    sheets = {name: _sheet(workbook, name, path) for name in workbook.sheet_names}
    filled = {name: rows for name, rows in sheets.items() if any(not blank(cell) for row in rows for cell in row)}
    if len(filled) > 1:
        raise TableError(
            expected='a workbook with one sheet of rows',
            came=f'{path} with {len(filled)}: {", ".join(map(repr, filled))}',
            todo='save the one that is meant as csv or as a workbook of its own',
        )
    rows = next(iter(filled.values()), [])
    numbered = [(number, row) for number, row in enumerate(rows, 1) if any(not blank(cell) for cell in row)]
    if not numbered:
        return Table({}, path, ())
    (_, head), *body = numbered
    return of_rows(head, [row for _, row in body], [number for number, _ in body], path)


def first_sheet(path: Path) -> list[list[Any]]:
    """The cells of the first sheet, row by row, each row of one length.

    Raises:
        TableError: damaged, or larger than its size allows.
    """
    workbook = _opened(path)
    return _sheet(workbook, workbook.sheet_names[0], path)


def _opened(path: Path) -> Any:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(_counted(path)))
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except (CalamineError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        if isinstance(error, TableError):
            raise
        raise _damaged(path, str(error)) from error


def _sheet(workbook: Any, name: str, path: Path) -> list[list[Any]]:
    from python_calamine import CalamineError

    try:
        rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (CalamineError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    return [[_cell(cell) for cell in row] for row in rows]


def _cell(cell: Any) -> Any:
    """A whole number without the fraction that a sheet stores."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _counted(path: Path) -> bytes:
    """A workbook's members, stored anew, none of which is more than it may be."""
    size = path.stat().st_size
    most = min(FREE_BYTES + BYTES_PER_BYTE * size, MOST_BYTES)
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, 'w') as verified:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in members) > most or len({info.filename for info in members}) < len(members):
            raise _too_much(path, size)
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise _damaged(path, 'compressed in another way than Excel does')
        content = {info.filename: archive.read(info) for info in members}
        texts = [len(text) for name, part in content.items() if name.endswith('sharedStrings.xml')
                 for text in _TEXT.findall(part)]  # fmt: skip
        for name, part in content.items():
            if name.startswith('xl/worksheets/'):
                _count(part, texts, most, path)
            verified.writestr(name, part)
    return copy.getvalue()


def _count(sheet: bytes, texts: list[int], most: int, path: Path) -> None:
    """Refuse a sheet whose cells lie too far apart, or repeat long texts too often."""
    row = column = last_row = last_column = 0
    for tag in _TAG.finditer(sheet):
        place = _PLACE.search(tag[2])
        if tag[1] == b'row':
            row, column = int(place[2]) if place and len(place[2]) < 10 else row + 1, 0
        else:
            column = _column(place[1]) if place and place[1] else column + 1
            row = int(place[2]) if place and len(place[2]) < 10 else max(row, 1)
            last_row, last_column = max(last_row, row), max(last_column, column)
    refuse_too_many(last_row, last_column, path)
    written = sum(texts[index] for match in _SHARED.finditer(sheet) if (index := int(match[1][:10])) < len(texts))
    if last_row * last_column > FREE_CELLS + len(sheet) or written > most:
        raise _too_much(path, path.stat().st_size)


def _column(letters: bytes) -> int:
    number = 0
    for letter in itertools.islice(letters.upper(), 6):
        number = 26 * number + letter - 64
    return number


def _too_much(path: Path, size: int) -> TableError:
    return TableError(
        expected='a workbook that holds about what it says',
        came=f'{path}: {size:,} bytes that unfold to far more',
        todo='save the sheet as csv',
    )


def _damaged(path: Path, came: str) -> TableError:
    return TableError(expected='a workbook (.xlsx) that is whole', came=f'{path}: {came[:160]}', todo='save it again')
