"""Writing of text tables, and the rules for cells that every reader and writer of CSV files uses.

`table_bytes` writes a table in the form given by a file's ending, `csv_bytes` as CSV. A text that a spreadsheet would
run as a formula gets a leading apostrophe, which `as_written` removes when the table is read; numbers stay numbers.
`storable` makes any text valid in UTF-8, Parquet and HTML.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from affekt.errors import TableError

FORMULA_STARTS = '=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}'
FORMULA_STARTS += '\N{FULLWIDTH COMMERCIAL AT}'
"""Leading characters that make spreadsheets read a text as a formula.

Source: OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection.
"""
_FORMULA = re.compile(f"'*[{re.escape(FORMULA_STARTS)}]")
_QUOTED_FORMULA = re.compile(f"'+[{re.escape(FORMULA_STARTS)}]")
_NUMBER = re.compile(r'[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?')
_SURROGATE = re.compile('[\ud800-\udfff]')
_ESCAPED_BYTES = range(0xDC80, 0xDD00)
"""Surrogates by which Python represents bytes of a file name that are not UTF-8."""


def spreadsheet_safe(text: str) -> str:
    """The text with a leading apostrophe if a spreadsheet would run it; numbers unchanged.

    >>> spreadsheet_safe('=1+1'), spreadsheet_safe('-0.5'), spreadsheet_safe('fine')
    ("'=1+1", '-0.5', 'fine')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def as_written(cell: str) -> str:
    """The original text of a cell from `spreadsheet_safe`.

    >>> as_written("'=1+1"), as_written("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell


def storable(text: str) -> str:
    r"""The text without lone surrogates, which UTF-8 cannot encode.

    A byte of a file name that is not UTF-8 becomes `\xNN`, so that names stay distinct; other lone surrogates become
    U+FFFD.
    """
    return _SURROGATE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f'\\x{code - 0xDC00:02x}' if code in _ESCAPED_BYTES else '\N{REPLACEMENT CHARACTER}'


def csv_bytes(
    columns: Sequence[str], rows: Iterable[Sequence[object] | Mapping[str, object]], *, raw: bool = False
) -> bytes:
    """A table as CSV in UTF-8, with a header.

    Args:
        columns: the header.
        rows: cells in the order of the columns, or by their names; unknown names are ignored, None and nan are empty
            cells.
        raw: write texts that start like a formula unchanged.
    """
    lines = [csv_line(columns, raw=raw)]
    for row in rows:
        lines.append(csv_line([row.get(name) for name in columns] if isinstance(row, Mapping) else row, raw=raw))
    return b''.join(lines)


def csv_line(cells: Sequence[object], *, raw: bool = False) -> bytes:
    """One line of a table in the form of `csv_bytes`, with its line end; for tables that are written row by row."""
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerow([_cell(cell, raw) for cell in cells])
    return text.getvalue().encode()


WRITTEN = ('.csv', '.jsonl', '.parquet')
"""Endings of tables that can be written."""


def require_written(ending: str, name: str) -> None:
    """Check that a table can be written with this ending.

    Raises:
        TableError: tables cannot be written with this ending.
    """
    if ending not in WRITTEN:
        raise TableError(expected=f'a table: {", ".join(WRITTEN)}', came=name, todo='use one of these endings')


def table_bytes(
    ending: str,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    *,
    lists: Sequence[str] = (),
    in_csv: Sequence[str] | None = None,
    raw: bool = False,
) -> bytes:
    """A table of texts and lists of texts, in the form of a file with this ending.

    Args:
        ending: one of `WRITTEN`.
        columns: columns of .jsonl and .parquet; unknown names are ignored.
        rows: cells by name; lone surrogates are replaced.
        lists: columns whose cells are lists of texts.
        in_csv: the columns of a .csv, if it has fewer.
        raw: write texts that start like a formula unchanged; only CSV escapes them.

    Raises:
        TableError: unknown ending.
    """
    require_written(ending, ending)
    if ending == '.csv':
        return csv_bytes(in_csv or columns, rows, raw=raw)
    records = [_storable({name: row.get(name) for name in columns}) for row in rows]
    if ending == '.jsonl':
        return ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in records).encode()
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema([(name, pa.list_(pa.string()) if name in lists else pa.string()) for name in columns])
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_pylist(records, schema=schema), sink)
    return bytes(sink.getvalue())


def _storable(content: Any) -> Any:
    """The same value with lone surrogates replaced, which JSON may contain and UTF-8 may not."""
    if isinstance(content, dict):
        return {key: _storable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_storable(value) for value in content]
    return storable(content) if isinstance(content, str) else content


def _cell(cell: object, raw: bool) -> object:
    if not isinstance(cell, str):
        return '' if isinstance(cell, float | np.floating) and math.isnan(cell) else cell
    return storable(cell) if raw else spreadsheet_safe(storable(cell))
