"""Answers of the tracks with a closed set of categories: reading, checking cell by cell, scoring.

| track | score | columns |
|---|---|---|
| MER2023 MULTI and NOISE | weighted F1 - 0.25 mean squared error of valence | name, discrete, valence |
| MER2023 SEMI; MER2024 SEMI and NOISE; MER2025 and MER2026 track 1 | weighted F1 | name, discrete |

N samples, C categories, R draws.

Source: arXiv:2304.08981, arXiv:2404.17113; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.benchmarks import NAMES
from affekt.errors import TableError
from affekt.metrics import combined_score, require_names
from affekt.tables import by_name, number, read_columns
from affekt.wording import counted

HEADERS: Mapping[str, tuple[str, ...]] = {
    'discrete': ('discrete', 'emo', 'emotion', 'category'),
    'valence': ('valence', 'val'),
}
"""Column to the accepted headers in your own tables."""

Cells = tuple[str, ...]
"""Answer as texts, one per column."""


@dataclass(frozen=True)
class ClosedSet:
    """The answers that a track accepts."""

    categories: tuple[str, ...]
    """Categories of the track, in order."""
    valence: tuple[float, float] | None = None
    """Lowest and highest valence; None if the track has no valence."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a submission, besides the name."""
        return ('discrete',) if self.valence is None else ('discrete', 'valence')

    def cells(self, answer: Any) -> Cells:
        """An answer as texts, one per column: from a category, a mapping of columns, or a tuple in their order."""
        if isinstance(answer, str):
            return (answer,)
        if isinstance(answer, Mapping):
            return tuple(str(answer.get(column, '')) for column in self.columns)
        return tuple(map(str, answer or ()))

    def problem(self, cells: Cells) -> str:
        """The fault of an answer; '' for a valid one."""
        if len(cells) != len(self.columns):
            return f'{counted(len(cells), "value")} where {" and ".join(self.columns)} belong'
        category = cells[0]
        if not category.strip():
            return 'no category'
        if category not in self.categories:
            return f'{category!r} is none of {", ".join(self.categories)}'
        if self.valence is None:
            return ''
        low, high = self.valence
        value = _number(cells[1])
        if value is None:
            return f'valence {cells[1]!r} is no number'
        return '' if low <= value <= high else f'valence {value:g} is not from {low:g} to {high:g}'

    def read(self, path: Path) -> dict[str, Cells]:
        """Name of a sample to its cells, from a table with names and the columns; other columns are ignored.

        A valence may have a decimal comma, as spreadsheets write it; its cell has a point.

        Raises:
            TableError: a column is missing, or a sample is duplicated.
        """
        table = read_columns(path)
        by_column = [by_name(table, path, NAMES, HEADERS[column]) for column in self.columns]
        for column, answers in zip(self.columns, by_column, strict=True):
            if answers is None:
                raise TableError(
                    expected=f'the columns name, {", ".join(self.columns)}',
                    came=f'{path} with {table.seen()}',
                    todo=f'add {column}',
                )
        columns = [answers for answers in by_column if answers is not None]
        return {
            name: tuple(
                _with_point(answers[name]) if column == 'valence' else _text(answers[name])
                for column, answers in zip(self.columns, columns, strict=True)
            )
            for name in columns[0]
        }

    def sums(self, truth: Mapping[str, Any], prediction: Mapping[str, Any]) -> Floats:
        """Columns whose sums give the score.

        Args:
            truth: name of a sample to its answer.
            prediction: name of a sample to its answer; samples outside the truth are ignored.

        Returns:
            (N, 3C + 2): hits, true and predicted labels by category; squared error of valence (0 without); 1.

        Raises:
            TableError: samples are missing, or an answer is invalid; the message names all of them.
        """
        if not truth:
            raise TableError(expected='samples to score', came='a truth without any', todo='check --truth')
        require_names(truth, prediction, 'the prediction')
        sides = [{name: self.cells(answers[name]) for name in truth} for answers in (truth, prediction)]
        problems = [
            f'{side} of {name}: {problem}'
            for side, answers in zip(('truth', 'prediction'), sides, strict=True)
            for name, cells in answers.items()
            if (problem := self.problem(cells))
        ]
        if problems:
            raise TableError(
                expected=f'{" and ".join(self.columns)} for every sample',
                came=f'{len(problems)} problem{"s" * (len(problems) > 1)}: {"; ".join(problems[:5])}',
                todo='correct the tables',
            )
        index_of = {category: index for index, category in enumerate(self.categories)}
        one_hot = np.eye(len(self.categories))
        true, predicted = (one_hot[[index_of[cells[0]] for cells in answers.values()]] for answers in sides)
        error = np.zeros(len(truth))
        if self.valence is not None:
            true_values, predicted_values = (
                np.array([float(cells[1]) for cells in answers.values()]) for answers in sides
            )
            error = np.square(predicted_values - true_values)
        return np.column_stack([true * predicted, true, predicted, error, np.ones(len(truth))])

    def statistic(self, sums: Floats) -> dict[str, Floats]:
        """Scores (R,) from sums (R, 3C + 2): score, weighted F1, accuracy, F1 by category, mean squared error.

        The weighted F1 weights each category's F1 by its share of the truth; a category that is neither true nor
        predicted counts 0, with weight 0.
        """
        size = len(self.categories)
        hits, true, predicted = (sums[:, start : start + size] for start in (0, size, 2 * size))
        total_counts, count = true + predicted, sums[:, -1]
        f1 = np.divide(2 * hits, total_counts, out=np.zeros_like(hits), where=total_counts > 0)
        scores = {'weighted F1': (true * f1).sum(axis=1) / count, 'accuracy': hits.sum(axis=1) / count}
        score = scores['weighted F1']
        if self.valence is not None:
            scores['mean squared error'] = sums[:, -2] / count
            score = combined_score(score, scores['mean squared error'])
        scores |= {f'F1 {name}': f1[:, index] for index, name in enumerate(self.categories)}
        return {**scores, 'score': score}


def _number(text: str) -> float | None:
    """A finite number with a decimal point, as the challenge's scorer reads it; None where the text is not one."""
    try:
        value = number(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and ',' not in text else None


def _with_point(value: Any) -> str:
    """A cell as text; the decimal comma of a number becomes a point."""
    text = _text(value)
    try:
        number(text)
    except ValueError:
        return text
    return text.replace(',', '.')


def _text(value: Any) -> str:
    return '' if value is None else str(value)
