"""Sheets of Excel workbooks (.xlsx), whose XML is read cell by cell within limits.

A cell in the last row and column of a sheet, or one long text in a million cells, takes a few bytes of the file. Rows
are therefore built only after the positions of all cells are known, and shared texts stay shared.

Source: ECMA-376, part 1, chapter 18.
"""

from __future__ import annotations

import datetime
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from affekt.errors import TableError
from affekt.tables.table import Table, blank, of_rows, refuse_too_many

FREE_BYTES, BYTES_PER_BYTE, MOST_BYTES = 1 << 26, 64, 1 << 29
FREE_CELLS, CELLS_PER_CELL = 2_000_000, 16
"""Cells of the rows of a sheet: this many are allowed, plus this many for each cell with content."""
FREE_ELEMENTS, ELEMENTS_PER_BYTE = 1_000_000, 4
DEEPEST = 64
CHUNK, LONGEST_TAG = 1 << 16, 1 << 22
LAST_ROW, LAST_COLUMN = 1 << 20, 1 << 14
_PLACE = re.compile(r'([A-Z]{1,3})([1-9]\d{0,6})')
_ESCAPE = re.compile(r'_x([0-9A-Fa-f]{4})_')
_DATES = {*range(14, 23), *range(45, 48)}
"""Built-in number formats that show a date or a time."""
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')


def read_workbook(path: Path) -> Table:
    """The columns of the only sheet with cells, whose first row has their names.

    Numbers become numbers, dates become texts like 2024-05-01.

    Raises:
        TableError: the file is damaged, has cells in several sheets, is larger than its size allows, or a column name
            occurs twice.
    """
    filled = {name: rows for name, rows in _sheets(path) if rows}
    if len(filled) > 1:
        raise TableError(
            expected='a workbook with one sheet of rows',
            came=f'{path} with {len(filled)}: {", ".join(map(repr, filled))}',
            todo='save the one that is meant as csv or as a workbook of its own',
        )
    rows = next(iter(filled.values()), {})
    if not rows:
        return Table({}, path, ())
    (_, head), *body = rows.items()
    return of_rows(head, [cells for _, cells in body], [number for number, _ in body], path)


def first_sheet(path: Path) -> list[list[Any]]:
    """The non-empty rows of the first sheet, all of one length; '' for an empty cell.

    Raises:
        TableError: the file is damaged, or larger than its size allows.
    """
    _, rows = next(_sheets(path), ('', {}))
    return list(rows.values())


def _sheets(path: Path) -> Iterator[tuple[str, dict[int, list[Any]]]]:
    """Name and rows of each sheet: row number to cells, all rows of one length, without empty rows."""
    try:
        with zipfile.ZipFile(path) as archive:
            workbook = _Workbook(archive, path)
            for name, part in workbook.sheets():
                yield name, workbook.rows(part)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except TableError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ElementTree.ParseError, ValueError, LookupError,
        TypeError, OverflowError,
    ) as error:  # fmt: skip
        raise _damaged(path, str(error)) from error


class _Workbook:
    """The parts of a workbook."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path, size = archive, path, path.stat().st_size
        self._most = min(FREE_BYTES + BYTES_PER_BYTE * size, MOST_BYTES)
        members = archive.infolist()
        if sum(info.file_size for info in members) > self._most:
            raise self._too_much()
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise _damaged(path, 'compressed in another way than Excel does')
        self._names = {info.filename for info in members}
        self._elements = 0
        self._listed = [
            (sheet.get('name', ''), _attribute(sheet, 'id')) for sheet in self._children('xl/workbook.xml', 'sheet')
        ]
        properties = self._children('xl/workbook.xml', 'workbookPr')
        self._from_1904 = any(each.get('date1904') in ('1', 'true') for each in properties)
        self._texts = [_text(each) for each in self._children('xl/sharedStrings.xml', 'si')]
        self._dates = self._date_styles()

    def sheets(self) -> Iterator[tuple[str, str]]:
        """Name and part of each sheet, in order."""
        links = {
            link.get('Id'): link.get('Target', '')
            for link in self._children('xl/_rels/workbook.xml.rels', 'Relationship')
        }
        for name, link in self._listed:
            target = links[link]
            part = target.lstrip('/') if target.startswith('/') else posixpath.normpath(posixpath.join('xl', target))
            if 'worksheets' in part:
                yield name, part

    def rows(self, part: str) -> dict[int, list[Any]]:
        """The non-empty rows of a sheet."""
        cells: dict[int, dict[int, Any]] = {}
        number = written = last = 0
        for row in self._children(part, 'row'):
            number = _counted(row.get('r'), number)
            column = 0
            for cell in _all(row, 'c'):
                place = _PLACE.fullmatch(cell.get('r') or '')
                column = _column(place[1]) if place else column + 1
                value = self._value(cell)
                if not blank(value):
                    if number > LAST_ROW or column > LAST_COLUMN:
                        raise ValueError(f'a cell in row {number}, column {column}')
                    cells.setdefault(number, {})[column] = value
                    last, written = max(last, column), written + (len(value) if isinstance(value, str) else 8)
        refuse_too_many(len(cells), last, self._path)
        filled = sum(map(len, cells.values()))
        if len(cells) * last > FREE_CELLS + CELLS_PER_CELL * filled or written > 4 * self._most:
            raise self._too_much()
        return {row: [cells[row].get(column, '') for column in range(1, last + 1)] for row in sorted(cells)}

    def _value(self, cell: ElementTree.Element) -> Any:
        """The value of a cell: text, number, True or False."""
        form = cell.get('t', 'n')
        if form == 'inlineStr':
            return ''.join(_text(part) for part in _all(cell, 'is'))
        stated = ''.join(part.text or '' for part in _all(cell, 'v'))
        if form == 's':
            return self._texts[_index(stated)] if stated else ''
        if form == 'b':
            return stated.strip() == '1'
        if form != 'n':
            return _unescaped(stated)
        if not stated.strip():
            return ''
        number = float(stated)
        if _index(cell.get('s', '0')) in self._dates:
            return _date(number, self._from_1904)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number

    def _date_styles(self) -> set[int]:
        """Cell styles that show a date or a time."""
        if 'xl/styles.xml' not in self._names:
            return set()
        shown = {
            _index(each.get('numFmtId', '0'))
            for each in self._children('xl/styles.xml', 'numFmt')
            if re.search('[ymdhs]', _QUOTED.sub('', each.get('formatCode', '')).lower())
        }
        formats = [
            style.get('numFmtId', '0')
            for group in self._children('xl/styles.xml', 'cellXfs')
            for style in _all(group, 'xf')
        ]
        return {at for at, stated in enumerate(formats) if _index(stated) in _DATES | shown}

    def _children(self, part: str, name: str) -> Iterator[ElementTree.Element]:
        """The elements of a name in a part, one after the other; only the current one is kept in memory."""
        if part not in self._names:
            if part != 'xl/sharedStrings.xml':
                raise LookupError(f'no {part} in it')
            return
        parser: Any = ElementTree.XMLPullParser(('start', 'end'))
        around: list[ElementTree.Element] = []
        wanted = 0
        for chunk in self._chunks(part):
            parser.feed(chunk)
            for event, element in parser.read_events():
                is_wanted = _plain(element.tag) == name
                if event == 'start':
                    self._count(len(around))
                    around.append(element)
                    wanted += is_wanted
                    continue
                around.pop()
                wanted -= is_wanted
                if is_wanted:
                    yield element
                if around and not wanted:
                    around[-1].remove(element)
        parser.close()

    def _count(self, depth: int) -> None:
        """Refuse a workbook with more elements than its size allows: each takes a hundred times its size in memory."""
        self._elements += 1
        if self._elements > FREE_ELEMENTS + ELEMENTS_PER_BYTE * self._path.stat().st_size:
            raise self._too_much()
        if depth > DEEPEST:
            raise ValueError('elements nested too deeply')

    def _chunks(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, which must be XML as Excel writes it: no type declarations, no endless tags."""
        before = b''
        since = 0
        with self._archive.open(part) as stream:
            while chunk := stream.read(CHUNK):
                seam = before + chunk
                if b'<!DOCTYPE' in seam or b'<!ENTITY' in seam or (not before and b'\0' in chunk[:64]):
                    raise ValueError(f'{part} declares what no workbook does')
                since = 0 if b'>' in chunk else since + len(chunk)
                if since > LONGEST_TAG:
                    raise ValueError(f'{part} has a tag without end')
                before = chunk[-16:]
                yield chunk

    def _too_much(self) -> TableError:
        return TableError(
            expected='a workbook that holds about what it says',
            came=f'{self._path}: {self._path.stat().st_size:,} bytes that unfold to far more',
            todo='save the sheet as csv',
        )


def _plain(tag: object) -> str:
    """The name of an element or attribute without its namespace."""
    return str(tag).rsplit('}', 1)[-1]


def _all(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in element.iter() if _plain(each.tag) == name]


def _attribute(element: ElementTree.Element, name: str) -> str:
    """An attribute with a namespace, by its plain name."""
    values = [value for key, value in element.items() if '}' in key and _plain(key) == name]
    if not values:
        raise LookupError(f'a sheet without {name}')
    return values[0]


def _text(element: ElementTree.Element) -> str:
    """The text of a string item with all its runs, without phonetic hints."""
    spoken = {id(part) for aloud in _all(element, 'rPh') for part in aloud.iter()}
    return _unescaped(''.join(part.text or '' for part in _all(element, 't') if id(part) not in spoken))


def _unescaped(text: str) -> str:
    """The text with escapes such as _x000D_, by which Excel writes characters that XML cannot hold, decoded."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _index(stated: str) -> int:
    index = int(stated)
    if index < 0:
        raise ValueError(f'an index of {index}')
    return index


def _counted(stated: str | None, before: int) -> int:
    number = before + 1 if stated is None else _index(stated)
    if number <= before:
        raise ValueError(f'row {number} after row {before}')
    return number


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def _date(number: float, from_1904: bool) -> str:
    """The date, time, or both, for a number of days."""
    start = datetime.datetime(1904, 1, 1) if from_1904 else datetime.datetime(1899, 12, 30)
    at = start + datetime.timedelta(seconds=round(number * 86400, 3))
    if number < 1.0:
        return at.time().isoformat()
    return at.date().isoformat() if at.time() == datetime.time() else at.isoformat(sep=' ')


def _damaged(path: Path, came: str) -> TableError:
    return TableError(expected='a workbook (.xlsx) that is whole', came=f'{path}: {came[:160]}', todo='save it again')
