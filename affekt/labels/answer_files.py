"""Answers of a system, or the truth, from a file: name of a sample to text or list of words.

Accepted is any table with a column of names and one of answers (`name,openset`), and the npz files of the official code
(`filenames` and `fileitems`, or one object that maps names to answers). Every sample must occur once.
"""

from __future__ import annotations

from pathlib import Path

from affekt.errors import TableError
from affekt.tables import answers_by_name, read_columns

NAME_COLUMNS = ('name', 'names', 'sample', 'filename', 'filenames', 'file', 'video', 'id')
"""Accepted headers of the names; the first one that a file has is used."""
ANSWER_COLUMNS = (
    'openset', 'labels', 'label', 'emotions', 'emotion', 'prediction', 'answer', 'openset_labels', 'fileitems', 'emo',
    'name2openset', 'name2reason', 'reason', 'description', 'english', 'text',
)  # fmt: skip
"""Accepted headers of the answers; the first one that a file has is used."""


def read_answers(path: Path, *, column: str | None = None) -> dict[str, object]:
    """Each sample's answer, in the order of the file.

    Args:
        path: any file that `affekt.tables.read_table` reads.
        column: column of the answers; None for the first known one.

    Returns:
        Name of a sample to its text, or to its list where the file has lists.

    Raises:
        TableError: the file is missing, empty, damaged or of another type, lacks a column, or has a duplicated sample.
        ArchiveError: an npz is damaged or contains other objects than plain values.
    """
    columns = read_columns(path)
    answers = answers_by_name(columns, path, NAME_COLUMNS, (column,) if column else ANSWER_COLUMNS)
    if answers is None:
        raise TableError(
            expected=f'a column {column or " or ".join(ANSWER_COLUMNS[:3])}',
            came=f'{path} with {columns.seen()}',
            todo='rename the columns, or name the one with the answers by --column',
        )
    return answers
