"""Columns of your own table as columns of a manifest: one category per sample, in one spelling, and named splits.

Differences in spaces, case or Unicode form alone are one category, with a note. A column of measured numbers, or
several labels in one cell, are not categories and are refused: a model would learn ninety classes with one sample each.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from affekt.errors import TableError, listed
from affekt.tables import number
from affekt.wording import counted

NO_LABEL = ('', 'nan', '<na>', 'null', '#n/a', 'n/a', 'nat')
"""Texts that programs write for an empty cell, case-insensitive."""
MOST_NUMBERS = 12
"""Maximum number of distinct whole numbers that are taken as codes of categories; longer scales are measurements."""
MOST_CATEGORIES = 20
"""Number of categories above which they must have `FEWEST` samples on average; else the cells are no categories."""
FEWEST = 4
"""Minimum mean number of samples per category where there are more than `MOST_CATEGORIES`."""
SPLITS = {
    'training': 'train', 'tr': 'train', 'dev': 'val', 'valid': 'val', 'validation': 'val', 'development': 'val',
    'testing': 'test', 'eval': 'test', 'evaluation': 'test', 'te': 'test',
}  # fmt: skip
"""Other name of a split to the name that benchmarks use."""
GROUP_COLUMNS = ('speaker', 'dialogue', 'session', 'recording')
"""Columns that link samples."""


def tidied(column: str, cells: Sequence[Any], file: str, notes: list[str]) -> list[Any]:
    """A column's cells, with None for empty ones.

    Args:
        column: name of the column in a manifest.
        cells: cells of the table.
        file: name of the table, for messages.
        notes: list that gets notes on merged and reinterpreted values.

    Raises:
        TableError: categories are numbers on a scale, several in one cell, or nearly as many as samples; a fold is not
            a whole number.
    """
    if column == 'category':
        return list(_categories(cells, file, notes))
    if column == 'fold':
        return list(_folds(cells, file, notes))
    if column == 'split':
        return list(_splits(cells, notes))
    if column == 'sample' or column in GROUP_COLUMNS:
        names = [_stripped(cell) if isinstance(cell, str) else cell for cell in cells]
        _note_spaces(column, cells, names, notes)
        if column in GROUP_COLUMNS:
            _note_case(column, names, notes)
        return names
    return list(cells)


def _categories(cells: Sequence[Any], file: str, notes: list[str]) -> list[str | None]:
    texts = [_text(cell, file) for cell in cells]
    names = [None if text is None or text.strip().casefold() in NO_LABEL else _stripped(text) for text in texts]
    unlabelled = Counter(text for text, name in zip(texts, names, strict=True) if name is None and text)
    if unlabelled:
        notes.append(
            f'category: {listed(unlabelled)} taken for no label ({counted(sum(unlabelled.values()), "sample")})'
        )
    _note_spaces('category', texts, names, notes)
    counts = Counter(name for name in names if name is not None)
    _require_one_label(counts, file)
    if counts and all(_number(name) is not None for name in counts):
        return _codes(names, counts, file, notes)
    spellings: dict[str, list[str]] = {}
    for name, _ in counts.most_common():
        spellings.setdefault(name.casefold(), []).append(name)
    for first, *others in spellings.values():
        if others:
            notes.append(f'category: {listed(others)} taken for {first!r}, which differs in case alone')
    if len(spellings) > MOST_CATEGORIES and sum(counts.values()) < FEWEST * len(spellings):
        raise TableError(
            expected='categories, each of several samples',
            came=f'{len(spellings)} of them for {sum(counts.values())} samples in {file} ({listed(counts, 3)})',
            todo='name the column of categories `category`, and this one otherwise',
        )
    return [None if name is None else spellings[name.casefold()][0] for name in names]


def _text(cell: Any, file: str) -> str | None:
    """A cell of categories as text; a list of one as its element."""
    if isinstance(cell, list | tuple):
        if len(cell) > 1:
            raise _several(str(list(cell)), file)
        return None if not cell else _text(cell[0], file)
    return None if cell is None else str(cell)


def _require_one_label(counts: Counter[str], file: str) -> None:
    single = {name.casefold() for name in counts if not re.search(r'[;|]', name)}
    for name in counts:
        parts = [part.strip().casefold() for part in re.split(r'[,/&+]', name)]
        if re.search(r'[;|]', name) or (len(parts) > 1 and all(part in single for part in parts)):
            raise _several(repr(name), file)


def _several(came: str, file: str) -> TableError:
    return TableError(
        expected='one category for each sample', came=f'{came} in {file}',
        todo='keep the one that is meant; where several are true at once, score them as free words with '
        '`affekt score openvocab`, whose tables have a column `openset`',
    )  # fmt: skip


def _codes(names: Sequence[str | None], counts: Counter[str], file: str, notes: list[str]) -> list[str | None]:
    """Whole numbers as names of classes.

    Raises:
        TableError: the numbers are measurements: fractional, or more than a handful of values.
    """
    values = sorted({value for name in counts if (value := _number(name)) is not None})
    if any(value != round(value) for value in values) or len(values) > MOST_NUMBERS:
        raise TableError(
            expected='names of categories',
            came=f'{len(values)} numbers from {values[0]:g} to {values[-1]:g} in {file}',
            todo='name the column valence, arousal, dominance or sentiment, which are read as numbers, or write names',
        )  # fmt: skip
    numbers = ', '.join(f'{value:.0f}' for value in values)
    notes.append(
        f'category: the numbers {numbers} are taken for {len(values)} classes without an order; where they are '
        'a scale, name the column valence, arousal, dominance or sentiment'
    )
    return [None if name is None else f'{_number(name):.0f}' for name in names]


def _number(text: str) -> float | None:
    """The finite number that a text denotes; None if it denotes none."""
    try:
        value = number(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _folds(cells: Sequence[Any], file: str, notes: list[str]) -> list[int | None]:
    """Folds from 1, as in manifests."""
    folds: list[int | None] = []
    for row, cell in enumerate(cells, 1):
        if cell is None or str(cell).strip().casefold() in NO_LABEL:
            folds.append(None)
            continue
        fold = _number(str(cell).strip())
        if fold is None or fold != round(fold) or fold < 0:
            raise TableError(
                expected='folds that are whole numbers from 1', came=f'{cell!r} in row {row} of {file}',
                todo='correct the table',
            )  # fmt: skip
        folds.append(int(fold))
    if 0 in folds:
        notes.append('fold: counted from 0 in the table, from 1 here')
        return [None if fold is None else fold + 1 for fold in folds]
    return folds


def _splits(cells: Sequence[Any], notes: list[str]) -> list[str | None]:
    names = [None if cell is None else _stripped(str(cell)) for cell in cells]
    names = [None if name is None or name.casefold() in NO_LABEL else name for name in names]
    canonical = {name: SPLITS.get(name.casefold(), name.casefold()) for name in names if name is not None}
    for name, split in canonical.items():
        if name != split:
            notes.append(f'split: {name!r} is called {split!r} here')
    return [None if name is None else canonical[name] for name in names]


def _stripped(text: str) -> str:
    """Text without surrounding spaces, in one Unicode form."""
    return unicodedata.normalize('NFC', text).strip()


def _note_spaces(column: str, cells: Sequence[Any], tidy: Sequence[Any], notes: list[str]) -> None:
    changed = [
        cell
        for cell, tidy_cell in zip(cells, tidy, strict=True)
        if tidy_cell is not None and str(cell) != str(tidy_cell)
    ]
    if changed:
        notes.append(
            f'{column}: spaces or Unicode forms evened out in {counted(len(changed), "cell")}, such as {changed[0]!r}'
        )


def _note_case(column: str, names: Sequence[Any], notes: list[str]) -> None:
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(str(name).casefold(), set()).add(str(name))
    if variants := next((texts for texts in spellings.values() if len(texts) > 1), None):
        notes.append(f'{column}: {listed(sorted(variants))} differ in case alone and are kept apart')
