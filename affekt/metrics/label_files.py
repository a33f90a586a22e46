"""Labels of truth and predictions from two tables, matched by sample.

N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import TableError, UnknownNameError
from affekt.metrics.answers import require_same_names
from affekt.metrics.named import READS, metric_named
from affekt.tables import by_name, number, read_columns

NAMES = ('sample', 'name', 'names', 'filename', 'file', 'id')
CATEGORIES = ('category', 'emotion', 'label', 'discrete', 'prediction', 'answer')
VALUES = ('valence', 'sentiment', 'arousal', 'dominance', 'value', 'rating', 'prediction', 'answer')
"""Names of the columns of samples, of categories and of values, in order of preference."""
LABELS = {None: (*CATEGORIES, *VALUES), 'categories': CATEGORIES, 'values': VALUES}
"""Type of the labels to the names of their columns; the first one that a file has is read."""


@dataclass(frozen=True)
class LabelPair:
    """Truth and prediction of the same N samples."""

    names: tuple[str, ...] = field(repr=False)
    truth: npt.NDArray[Any] = field(repr=False)
    """(N,) categories as text, or values as floats."""
    prediction: npt.NDArray[Any] = field(repr=False)
    groups: npt.NDArray[Any] | None = field(default=None, repr=False)
    """(N,) group of each sample, such as the speaker; None without a grouping column."""


def read_label_pair(
    truth: Path, prediction: Path, *, column: str | None = None, by: str | None = None, reads: str | None = None
) -> LabelPair:
    """Labels of the same samples from two tables, in the order of the truth.

    Args:
        truth: any file that `affekt.tables.read_table` reads; a manifest too.
        prediction: such a file with the same samples.
        column: column of the labels; None for the first one of `LABELS` in each file.
        by: column of the truth with the groups; None for no groups.
        reads: `categories` or `values`; None for values where every cell of both is a number.

    Raises:
        TableError: a file cannot be read, a column is missing, or a sample has no label or no group, has text where a
            value is required, or is on one side only.
    """
    sides = [_labels(path, (column,) if column else LABELS[reads]) for path in (truth, prediction)]
    require_same_names(*sides)
    names = tuple(sides[0])
    columns = [[side[name] for name in names] for side in sides]
    if reads is None:
        reads = READS[all(_is_number(cell) for cells in columns for cell in cells)]
        if reads == 'categories':
            _refuse_words_among_numbers(columns, names, (truth, prediction))
    if reads == 'values':
        arrays = [_values(cells, names, path) for cells, path in zip(columns, (truth, prediction), strict=True)]
    else:
        arrays = [np.array(cells) for cells in _categories(columns)]
    return LabelPair(names, arrays[0], arrays[1], None if by is None else _groups(truth, by))


def reads_of(metrics: tuple[str, ...]) -> str | None:
    """Type of labels that metrics read (`categories` or `values`); None without metrics.

    Raises:
        UnknownNameError: unknown metric, or they read different types.
    """
    reads = {metric_named(name).reads for name in metrics}
    if len(reads) > 1:
        raise UnknownNameError(
            expected='metrics of categories, or metrics of values', came=', '.join(metrics), todo='ask for them in turn'
        )
    return next(iter(reads), None)


def _labels(path: Path, columns: Sequence[str]) -> dict[str, Any]:
    """Sample to label, from the first of the columns that the file has."""
    labels = _column(path, *columns)
    unlabelled = [name for name, cell in labels.items() if _is_empty(cell)]
    if unlabelled:
        raise TableError(
            expected='a label for every sample', came=f'{path} without one for {", ".join(unlabelled[:3])}',
            todo='leave these samples out on both sides, or name another column by --column',
        )  # fmt: skip
    return labels


def _column(path: Path, *names: str) -> dict[str, Any]:
    """Sample to cell of the first of these columns that the file has."""
    columns = read_columns(path)
    cells = by_name(columns, path, NAMES, names)
    if cells is None:
        raise TableError(
            expected=f'a column {" or ".join(names[:3])}', came=f'{path} with {columns.seen()}',
            todo='rename the columns, or name the one with the labels by --column',
        )  # fmt: skip
    return cells


def _groups(path: Path, column: str) -> npt.NDArray[Any]:
    """(N,) group of each sample; empty cells are refused, since they would count as one group."""
    groups = _column(path, column)
    if missing := [name for name, cell in groups.items() if _is_empty(cell)]:
        raise TableError(
            expected='a group for every sample', came=f'{path} without a {column} for {", ".join(missing[:3])}',
            todo='fill them in, or leave these samples out on both sides',
        )  # fmt: skip
    return np.array([str(cell).strip() for cell in groups.values()])


def _categories(columns: Sequence[list[Any]]) -> list[list[str]]:
    """Categories of both sides as text; where all are numbers, 1, 1.0 and '1' are one category."""
    if all(_is_number(cell) for cells in columns for cell in cells):
        return [[np.format_float_positional(number(cell), trim='-') for cell in cells] for cells in columns]
    return [[str(cell).strip() for cell in cells] for cells in columns]


def _is_empty(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in ('', 'nan')
    return cell is None or cell != cell


def _refuse_words_among_numbers(columns: Sequence[list[Any]], names: tuple[str, ...], paths: Sequence[Path]) -> None:
    """Refuse columns of fractional numbers with a few words, which would be read as categories.

    Whole numbers are admitted, since they may number classes.
    """
    sides = zip(columns, paths, strict=True)
    cells = [(cell, name, path) for side, path in sides for cell, name in zip(side, names, strict=True)]
    if any(_is_number(cell) and number(cell) % 1 for cell, _, _ in cells):
        word, name, path = next(entry for entry in cells if not _is_number(entry[0]))
        raise TableError(
            expected='a number for every sample, as for others', came=f'{path} with {str(word)[:40]!r} for {name}',
            todo='correct it, or name another column by --column',
        )  # fmt: skip


def _is_number(cell: object) -> bool:
    try:
        return bool(np.isfinite(number(cell)))
    except ValueError:
        return False


def _values(cells: list[Any], names: tuple[str, ...], path: Path) -> npt.NDArray[np.float64]:
    invalid = [(name, cell) for name, cell in zip(names, cells, strict=True) if not _is_number(cell)]
    if invalid:
        raise TableError(
            expected='a number for every sample', came=f'{path} with {invalid[0][1]!r} for {invalid[0][0]}',
            todo='name a column of numbers by --column, or ask for metrics of categories',
        )  # fmt: skip
    return np.array([number(cell) for cell in cells])
