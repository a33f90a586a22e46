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
"""Allowed decompressed size of any file in bytes, further bytes per byte of the file, and the limit of their sum."""
FREE_CELLS, CELLS_PER_CELL = 2_000_000, 16
"""Cells of the rows of a sheet: this many are allowed, plus this many for each cell with content."""
FREE_ELEMENTS, ELEMENTS_PER_BYTE = 1_000_000, 4
"""Allowed number of XML elements of any file, and further elements per byte of the file."""
DEEPEST = 64
"""Maximum depth of nested elements."""
CHUNK, LONGEST_TAG = 1 << 16, 1 << 22
"""Number of bytes that are parsed at a time, and the largest size of a tag."""
LAST_ROW, LAST_COLUMN = 1 << 20, 1 << 14
"""Size of the largest sheet in Excel."""
_REFERENCE = re.compile(r'([A-Z]{1,3})([1-9]\d{0,6})')
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
    (_, header), *body = rows.items()
    return of_rows(header, [cells for _, cells in body], [number for number, _ in body], path)


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
        self._largest_size = min(FREE_BYTES + BYTES_PER_BYTE * size, MOST_BYTES)
        members = archive.infolist()
        if sum(info.file_size for info in members) > self._largest_size:
            raise self._too_much()
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise _damaged(path, 'compressed in another way than Excel does')
        self._names = {info.filename for info in members}
        self._elements = 0
        self._sheet_links = [
            (sheet.get('name', ''), _attribute(sheet, 'id')) for sheet in self._children('xl/workbook.xml', 'sheet')
        ]
        properties = self._children('xl/workbook.xml', 'workbookPr')
        self._from_1904 = any(element.get('date1904') in ('1', 'true') for element in properties)
        self._texts = [_text(element) for element in self._children('xl/sharedStrings.xml', 'si')]
        self._dates = self._date_styles()

    def sheets(self) -> Iterator[tuple[str, str]]:
        """Name and part of each sheet, in order."""
        links = {
            link.get('Id'): link.get('Target', '')
            for link in self._children('xl/_rels/workbook.xml.rels', 'Relationship')
        }
        for name, link in self._sheet_links:
            target = links[link]
            part = target.lstrip('/') if target.startswith('/') else posixpath.normpath(posixpath.join('xl', target))
            if 'worksheets' in part:
                yield name, part

    def rows(self, part: str) -> dict[int, list[Any]]:
        """The non-empty rows of a sheet."""
        cells: dict[int, dict[int, Any]] = {}
        number = size = last_column = 0
        for row in self._children(part, 'row'):
            number = _next_row(row.get('r'), number)
            column = 0
            for cell in _all(row, 'c'):
                reference = _REFERENCE.fullmatch(cell.get('r') or '')
                column = _column(reference[1]) if reference else column + 1
                value = self._value(cell)
                if not blank(value):
                    if number > LAST_ROW or column > LAST_COLUMN:
                        raise ValueError(f'a cell in row {number}, column {column}')
                    cells.setdefault(number, {})[column] = value
                    last_column, size = max(last_column, column), size + (len(value) if isinstance(value, str) else 8)
        refuse_too_many(len(cells), last_column, self._path)
        filled = sum(map(len, cells.values()))
        if len(cells) * last_column > FREE_CELLS + CELLS_PER_CELL * filled or size > 4 * self._largest_size:
            raise self._too_much()
        return {row: [cells[row].get(column, '') for column in range(1, last_column + 1)] for row in sorted(cells)}

    def _value(self, cell: ElementTree.Element) -> Any:
        """The value of a cell: text, number, True or False."""
        cell_type = cell.get('t', 'n')
        if cell_type == 'inlineStr':
            return ''.join(_text(part) for part in _all(cell, 'is'))
        text = ''.join(part.text or '' for part in _all(cell, 'v'))
        if cell_type == 's':
            return self._texts[_index(text)] if text else ''
        if cell_type == 'b':
            return text.strip() == '1'
        if cell_type != 'n':
            return _unescaped(text)
        if not text.strip():
            return ''
        number = float(text)
        if _index(cell.get('s', '0')) in self._dates:
            return _date(number, self._from_1904)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number

    def _date_styles(self) -> set[int]:
        """Cell styles that show a date or a time."""
        if 'xl/styles.xml' not in self._names:
            return set()
        date_formats = {
            _index(element.get('numFmtId', '0'))
            for element in self._children('xl/styles.xml', 'numFmt')
            if re.search('[ymdhs]', _QUOTED.sub('', element.get('formatCode', '')).lower())
        }
        formats = [
            style.get('numFmtId', '0')
            for group in self._children('xl/styles.xml', 'cellXfs')
            for style in _all(group, 'xf')
        ]
        return {
            style_index
            for style_index, number_format in enumerate(formats)
            if _index(number_format) in _DATES | date_formats
        }

    def _children(self, part: str, name: str) -> Iterator[ElementTree.Element]:
        """The elements with a name in a part, one after the other; only the current one is kept in memory."""
        if part not in self._names:
            if part != 'xl/sharedStrings.xml':
                raise LookupError(f'no {part} in it')
            return
        parser: Any = ElementTree.XMLPullParser(('start', 'end'))
        ancestors: list[ElementTree.Element] = []
        open_matches = 0
        for chunk in self._chunks(part):
            parser.feed(chunk)
            for event, element in parser.read_events():
                is_match = _local_name(element.tag) == name
                if event == 'start':
                    self._count(len(ancestors))
                    ancestors.append(element)
                    open_matches += is_match
                    continue
                ancestors.pop()
                open_matches -= is_match
                if is_match:
                    yield element
                if ancestors and not open_matches:
                    ancestors[-1].remove(element)
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
        previous_end = b''
        tag_length = 0
        with self._archive.open(part) as stream:
            while chunk := stream.read(CHUNK):
                joined = previous_end + chunk
                if b'<!DOCTYPE' in joined or b'<!ENTITY' in joined or (not previous_end and b'\0' in chunk[:64]):
                    raise ValueError(f'{part} declares what no workbook does')
                tag_length = 0 if b'>' in chunk else tag_length + len(chunk)
                if tag_length > LONGEST_TAG:
                    raise ValueError(f'{part} has a tag without end')
                previous_end = chunk[-16:]
                yield chunk

    def _too_much(self) -> TableError:
        return TableError(
            expected='a workbook that holds about what it says',
            came=f'{self._path}: {self._path.stat().st_size:,} bytes that unfold to far more',
            todo='save the sheet as csv',
        )


def _local_name(tag: object) -> str:
    """The name of an element or attribute without its namespace."""
    return str(tag).rsplit('}', 1)[-1]


def _all(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """All elements with a name within an element, including itself."""
    return [child for child in element.iter() if _local_name(child.tag) == name]


def _attribute(element: ElementTree.Element, name: str) -> str:
    """An attribute with a namespace, by its plain name."""
    values = [value for key, value in element.items() if '}' in key and _local_name(key) == name]
    if not values:
        raise LookupError(f'a sheet without {name}')
    return values[0]


def _text(element: ElementTree.Element) -> str:
    """The text of a string item with all its runs, without phonetic hints."""
    phonetic = {id(part) for hint in _all(element, 'rPh') for part in hint.iter()}
    return _unescaped(''.join(part.text or '' for part in _all(element, 't') if id(part) not in phonetic))


def _unescaped(text: str) -> str:
    """The text with escapes such as _x000D_, by which Excel writes characters that XML cannot hold, decoded."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _index(text: str) -> int:
    index = int(text)
    if index < 0:
        raise ValueError(f'an index of {index}')
    return index


def _next_row(text: str | None, previous: int) -> int:
    """Number of a row as stated, or else the next one; it must be greater than the previous one."""
    number = previous + 1 if text is None else _index(text)
    if number <= previous:
        raise ValueError(f'row {number} after row {previous}')
    return number


def _column(letters: str) -> int:
    """Number of a column: A is 1, Z is 26, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def _date(number: float, from_1904: bool) -> str:
    """The date, time, or both, for a number of days."""
    start = datetime.datetime(1904, 1, 1) if from_1904 else datetime.datetime(1899, 12, 30)
    moment = start + datetime.timedelta(seconds=round(number * 86400, 3))
    if number < 1.0:
        return moment.time().isoformat()
    return moment.date().isoformat() if moment.time() == datetime.time() else moment.isoformat(sep=' ')


def _damaged(path: Path, came: str) -> TableError:
    return TableError(expected='a workbook (.xlsx) that is whole', came=f'{path}: {came[:160]}', todo='save it again')
