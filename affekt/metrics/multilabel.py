"""Several labels per sample: F1 of decided labels, average precision of scores.

Task: truth is (N, K), True where a sample has a label; prediction (N, K) likewise, or scores (N, K) on any scale. Each
label (column) is scored separately, then averaged. A label without positives has no average precision (nan); one
without positives and without predictions has no F1 (nan); means over labels skip those, and the `per_label_`
functions show which.

Axes: N samples, K labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools
from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.categorical import mean_defined


def per_label_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """F1 of each label, 2 TP / (2 TP + FP + FN).

    Args:
        truth: (N, K) of bool.
        prediction: (N, K) of bool.

    Returns:
        (K,) values in [0, 1]; nan for a label that neither side has.

    Raises:
        ShapeError: the arrays are not both (N, K).
        ValueRangeError: a cell is neither true nor false.

    >>> per_label_f1([[1, 0], [1, 0]], [[1, 0], [0, 0]])
    array([0.66666667,        nan])
    """
    true, predicted = _decided(truth, prediction)
    hits = (true & predicted).sum(axis=0)
    total = true.sum(axis=0) + predicted.sum(axis=0)
    result = np.full(true.shape[1], np.nan)
    np.divide(2 * hits, total, out=result, where=total > 0)
    return result


def multilabel_macro_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """The mean of F1 over labels.

    Args:
        truth: (N, K) of bool.
        prediction: (N, K) of bool.

    Returns:
        A float in [0, 1]; nan where no label has an F1.

    Raises:
        ShapeError: the arrays are not both (N, K).
        ValueRangeError: a cell is neither true nor false.
    """
    return mean_defined(per_label_f1(truth, prediction))


def multilabel_micro_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """F1 over all cells of the table together, so that frequent labels count most.

    Args:
        truth: (N, K) of bool.
        prediction: (N, K) of bool.

    Returns:
        A float in [0, 1]; nan where neither side has any label.

    Raises:
        ShapeError: the arrays are not both (N, K).
        ValueRangeError: a cell is neither true nor false.

    >>> multilabel_micro_f1([[1, 0], [1, 0]], [[1, 1], [0, 0]])
    0.5
    """
    true, predicted = _decided(truth, prediction)
    total = int(true.sum() + predicted.sum())
    return float(2 * (true & predicted).sum() / total) if total else float('nan')


def average_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the steps of precision over recall as the threshold decreases.

        sum over distinct scores of (recall_n - recall_(n-1)) precision_n

    Samples with equal scores enter together, so their order does not matter; nothing is interpolated. Scores without
    information give the share of positives.

    Args:
        truth: (N,) of bool.
        scores: (N,) higher for likelier; may be infinite, not nan.

    Returns:
        A float in [0, 1]; nan without positives.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a score is nan, or a cell of the truth is neither true nor false.

    >>> round(average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]), 6)  # (1 + 2/3) / 2
    0.833333
    """
    true, score = decided(truth, 'truth'), np.asarray(scores, dtype=np.float64)
    if true.ndim != 1 or true.shape != score.shape:
        raise ShapeError(
            expected='truth and scores of one shape (N,)',
            came=f'{true.shape} and {score.shape}',
            todo='give one score per sample',
        )
    if np.isnan(score).any():
        raise ValueRangeError(expected='scores without nan', came='nan', todo='leave those samples out')
    if not true.any():
        return float('nan')
    order = np.argsort(-score, kind='stable')
    sorted_scores, hits = score[order], np.cumsum(true[order])
    # Scores 9 7 7 1 end their runs of ties at 0, 2, 3. Differences would not do: inf - inf is nan.
    ends = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]), len(sorted_scores) - 1)
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def per_label_average_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Average precision of each label.

    Args:
        truth: (N, K) of bool.
        scores: (N, K) higher for likelier; no nan.

    Returns:
        (K,) values in [0, 1]; nan for a label without positives.

    Raises:
        ShapeError: the arrays are not both (N, K).
        ValueRangeError: a score is nan, or a cell of the truth is neither true nor false.
    """
    true, score = decided(truth, 'truth'), np.asarray(scores, dtype=np.float64)
    _check_table(true.shape, score.shape)
    return np.array([average_precision(true[:, label], score[:, label]) for label in range(true.shape[1])])


def mean_average_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The mean of average precision over labels.

    Args:
        truth: (N, K) of bool.
        scores: (N, K) higher for likelier; no nan.

    Returns:
        A float in [0, 1]; nan where no label has positives.

    Raises:
        ShapeError: the arrays are not both (N, K).
        ValueRangeError: a score is nan, or a cell of the truth is neither true nor false.
    """
    return mean_defined(per_label_average_precision(truth, scores))


def decided(values: npt.ArrayLike, side: str) -> Bools:
    """Truth values as bool, of the shape of the input.

    Args:
        values: booleans or numbers 0 and 1, of any shape.
        side: name of the array, for the message.

    Raises:
        ValueRangeError: a value is nan, or neither 0 nor 1: as bool it would count as true.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind == 'O':
        numbers = np.array([_as_number(cell) for cell in array.ravel()]).reshape(array.shape)
    else:
        numbers = array.astype(np.float64) if array.dtype.kind in 'iuf' else np.full(array.shape, np.nan)
    is_invalid = ~((numbers == 0.0) | (numbers == 1.0))
    if is_invalid.any():
        raise ValueRangeError(
            expected=f'true or false, or 1 or 0, in the {side}',
            came=f'{array[is_invalid].ravel()[0]!s} and {int(is_invalid.sum()) - 1} other such values',
            todo='leave out samples without a label; decide scores by a threshold first',
        )
    is_true: Bools = numbers == 1.0
    return is_true


def _as_number(cell: object) -> float:
    """A cell of a mixed array as a number; nan where it is missing or not a number."""
    return float(cell) if isinstance(cell, bool | int | float | np.bool_ | np.number) else float('nan')


def _decided(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Bools, Bools]:
    true, predicted = decided(truth, 'truth'), decided(prediction, 'prediction')
    _check_table(true.shape, predicted.shape)
    return true, predicted


def _check_table(truth: tuple[int, ...], other: tuple[int, ...]) -> None:
    if len(truth) != 2 or truth != other:
        raise ShapeError(
            expected='two tables of one shape (N, K)',
            came=f'{truth} and {other}',
            todo='give one row per sample and one column per label',
        )
