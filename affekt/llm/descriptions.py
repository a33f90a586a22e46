"""Label extraction for a whole table of descriptions.

The input is any table that `affekt.tables` reads, with a column of names and one of descriptions; the output is a .csv,
.jsonl or .parquet with one row per name: `name`, `openset` (the labels as a list), `how`, and in .jsonl and .parquet
also `labels` and the model's `raw` answer. `<out>.settings.json` beside it records all that the labels depend on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.files import require_own_output, require_writable
from affekt.llm.extraction import REFUSED, Extraction, LabelExtractor
from affekt.llm.workers import in_order
from affekt.progress import Progress
from affekt.runs import file_sha256, versions, write_atomically
from affekt.tables import answers_by_name, read_columns, require_written, table_bytes

NAME_COLUMNS = ('name', 'names')
DESCRIPTION_COLUMNS = ('description', 'reason', 'reasons', 'english', 'text')
COLUMNS = ('name', 'openset', 'labels', 'how', 'raw')
IN_CSV = ('name', 'openset', 'how')


@dataclass(frozen=True)
class Extracted:
    """The labels of a table of descriptions."""

    rows: Mapping[str, Extraction]
    extractor: str

    @property
    def refused(self) -> dict[str, str]:
        """Name of each refused description to the server's reason."""
        return {name: str(row.raw) for name, row in self.rows.items() if row.how == REFUSED}

    def summary(self) -> dict[str, Any]:
        """Numbers of descriptions, of labels, of descriptions without labels or with thinking, and of each form."""
        hows = [row.how for row in self.rows.values()]
        return {
            'descriptions': len(self.rows),
            'labels': sum(len(row.labels) for row in self.rows.values()),
            'without_label': sum(not row.labels for row in self.rows.values()),
            'with_thinking': sum(row.has_thinking for row in self.rows.values()),
            'read_as': {how: hows.count(how) for how in sorted(set(hows))},
            'extractor': self.extractor,
        }


def extract(
    descriptions: Path,
    out: Path,
    extractor: LabelExtractor,
    *,
    column: str | None = None,
    at_once: int = 1,
    progress: Progress | None = None,
    raw_csv: bool = False,
) -> Extracted:
    """Write the labels of all descriptions in a table.

    Args:
        descriptions: a table with a column `name` and one of `DESCRIPTION_COLUMNS`.
        out: path of the .csv, .jsonl or .parquet; replaced as a whole at the end.
        extractor: extracts the labels of one description.
        column: name of the column of descriptions, if it is another one.
        at_once: number of descriptions processed concurrently; more than 1 helps with language models.
        progress: called with 'extract', the descriptions done, and their number.
        raw_csv: do not put an apostrophe before texts that a spreadsheet would take for formulas.

    Raises:
        TableError: the table is of another kind, lacks these columns, or has a name twice.
        FileError: the output is the table itself.
        LLMError: a language model gave no answer. Answers to a `RememberingChat` are kept; run the same command again.
    """
    require_written(out.suffix.lower(), out.name)
    require_own_output(out, (descriptions,))
    require_writable(out)
    texts = read_descriptions(descriptions, column)
    rows: dict[str, Extraction] = {}
    for name, extraction in zip(texts, in_order(extractor.extract, texts.values(), at_once, 'extract'), strict=True):
        rows[name] = extraction
        if progress:
            progress('extract', len(rows), len(texts))
    extracted = Extracted(rows, extractor.name)
    full = [
        {'name': name, 'openset': row.openset, 'labels': list(row.labels), 'how': row.how, 'raw': row.raw}
        for name, row in rows.items()
    ]
    content = table_bytes(out.suffix.lower(), COLUMNS, full, lists=('labels',), in_csv=IN_CSV, raw=raw_csv)
    write_atomically(out, content)
    settings = {
        'extractor': extractor.name,
        'input': descriptions.name,
        'input_sha256': file_sha256(descriptions),
        'column': column,
        'versions': versions(),
    }
    write_atomically(out.with_name(f'{out.name}.settings.json'), json.dumps(settings, indent=2).encode())
    return extracted


def read_descriptions(path: Path, column: str | None = None) -> dict[str, str]:
    """Name to description, in the order of the table; a missing description is ''.

    Args:
        path: a table file.
        column: name of the column of descriptions, if it is not in `DESCRIPTION_COLUMNS`.

    Raises:
        TableError: the table cannot be read, lacks a column, or has a name twice.
    """
    columns = read_columns(path)
    texts = answers_by_name(columns, path, NAME_COLUMNS, (column,) if column else DESCRIPTION_COLUMNS)
    if texts is None or any(isinstance(text, list) for text in texts.values()):
        raise TableError(
            expected=f'a column of descriptions ({column or ", ".join(DESCRIPTION_COLUMNS)})',
            came=f'{path} with {columns.seen()}',
            todo='rename the columns, or name the one of descriptions with --column',
        )
    return texts
