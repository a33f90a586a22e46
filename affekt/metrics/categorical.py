"""One category per sample: accuracy, recall and F1 from a confusion matrix.

Task: truth and prediction are (N,) labels, integers or strings. Conventions, the same in every function:

- The classes are those given in `classes` (an integer K means 0..K-1), otherwise all that occur in truth or
  prediction.
- Recall of a class absent from truth is undefined (nan); F1 of a class absent from truth and prediction is
  undefined. F1 of a class that occurs on one side only is 0.
- Means over classes skip undefined ones: `per_class_recall` and `per_class_f1` show which. Balanced accuracy
  is therefore the mean over the classes of the truth (unweighted average recall, UAR), and macro F1 the mean
  over the classes that occur in truth or prediction.
- Without samples every score is nan.

Axes: N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

Classes = int | Sequence[int] | Sequence[str] | None
"""Number of classes, their labels in order, or None for all labels that occur."""


def confusion(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> npt.NDArray[np.int64]:
    """Confusion matrix: rows are the truth, columns the prediction.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: order of the classes; None for the sorted labels that occur.

    Returns:
        (K, K) counts, all 0 where N is 0.

    Raises:
        ShapeError: the arrays are not both (N,).
        UnknownNameError: a label is not among `classes`.
        ValueRangeError: a label is missing, or `classes` names one label twice.

    >>> confusion(['joy', 'joy', 'fear'], ['joy', 'fear', 'fear'], ['joy', 'fear'])
    array([[1, 1],
           [0, 1]])
    """
    rows, columns, size = label_positions(truth, prediction, classes)
    return np.bincount(rows * size + columns, minlength=size * size).reshape(size, size).astype(np.int64)


def label_positions(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """(N,) positions of the true and of the predicted labels among the classes, and the number of classes.

    Raises:
        ShapeError, UnknownNameError, ValueRangeError: as `confusion`.
    """
    true, predicted = _pair(truth, prediction)
    order = _order(true, predicted, classes)
    return _positions(true, order, 'truth'), _positions(predicted, order, 'prediction'), len(order)


def accuracy(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Share of samples whose prediction equals the truth (also called WAR); nan without samples.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.

    Returns:
        A float in [0, 1].

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    true, predicted = _pair(truth, prediction)
    return float(np.mean(true == predicted)) if len(true) else float('nan')


def balanced_accuracy(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> float:
    """Unweighted average recall (UAR): the mean recall over the classes that occur in the truth.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: see the module; they only check the labels, since absent classes do not enter the mean.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.
        UnknownNameError: a label is not among `classes`.

    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    return mean_defined(per_class_recall(truth, prediction, classes))


def macro_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> float:
    """The mean F1 over the classes that occur in truth or prediction.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: see the module.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.
        UnknownNameError: a label is not among `classes`.
    """
    return mean_defined(per_class_f1(truth, prediction, classes))


def weighted_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> float:
    """The mean F1 weighted by how often each class occurs in the truth.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: see the module.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.
        UnknownNameError: a label is not among `classes`.
    """
    counts = confusion(truth, prediction, classes)
    support = counts.sum(axis=1)
    if not support.sum():
        return float('nan')
    return float(np.nansum(_f1(counts) * support) / support.sum())


def per_class_recall(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None
) -> npt.NDArray[np.float64]:
    """Share of each class's samples that were predicted as that class.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: order of the classes; None for the sorted labels that occur.

    Returns:
        (K,) values in [0, 1]; nan for a class absent from the truth.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.
        UnknownNameError: a label is not among `classes`.

    >>> per_class_recall([0, 0, 1], [0, 1, 1], classes=3)
    array([0.5, 1. , nan])
    """
    counts = confusion(truth, prediction, classes)
    return _ratio(np.diag(counts), counts.sum(axis=1))


def per_class_f1(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> npt.NDArray[np.float64]:
    """The harmonic mean of precision and recall of each class.

        2 TP / (2 TP + FP + FN)

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: order of the classes; None for the sorted labels that occur.

    Returns:
        (K,) values in [0, 1]; nan for a class absent from truth and prediction.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a label is missing.
        UnknownNameError: a label is not among `classes`.
    """
    return _f1(confusion(truth, prediction, classes))


def _f1(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return _ratio(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def _ratio(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(K,) quotients; nan where the denominator is 0."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def mean_defined(values: npt.NDArray[np.float64]) -> float:
    """Mean of the values that are not nan; nan without any."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float('nan')


def _pair(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    true, predicted = _labels(truth, 'truth'), _labels(prediction, 'prediction')
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ShapeError(
            expected='truth and prediction of one shape (N,)',
            came=f'{true.shape} and {predicted.shape}',
            todo='give one label per sample on both sides',
        )
    if len(true) and (true.dtype.kind in 'US') != (predicted.dtype.kind in 'US'):
        raise ShapeError(
            expected='labels of one kind, all numbers or all strings',
            came=f'{true.dtype} and {predicted.dtype}',
            todo='map one side to the labels of the other',
        )
    return true, predicted


def _labels(labels: npt.ArrayLike, side: str) -> npt.NDArray[np.generic]:
    """Labels as an array; an error where one is missing, since NumPy would turn a gap among strings into 'nan'."""
    array = np.asarray(labels)
    is_number = isinstance(labels, np.ndarray) and array.dtype.kind != 'O'
    cells = array if is_number else np.asarray(labels, dtype=object)
    missing = cells != cells if is_number else np.array([_is_missing(cell) for cell in cells.ravel()], dtype=bool)
    if missing.any():
        raise ValueRangeError(
            expected=f'a label for every sample in the {side}',
            came=f'{int(missing.sum())} of {missing.size} missing (nan or None)',
            todo='leave out samples without a label; name a category for a missing answer, such as "none"',
        )
    if array.dtype.kind == 'O':  # as tables of pandas have it
        is_text = {isinstance(cell, str) for cell in array.ravel()}
        if len(is_text) > 1:
            raise ShapeError(
                expected=f'labels of one kind in the {side}, all numbers or all strings', came='both',
                todo='write all of them as strings, or all as numbers',
            )  # fmt: skip
        if is_text == {True}:
            array = array.astype(str)
    return array


def _is_missing(label: object) -> bool:
    """Whether a label is None, nan or pandas' NA, whose comparison with itself raises."""
    if label is None:
        return True
    try:
        return bool(label != label)
    except TypeError:
        return True


def _order(
    truth: npt.NDArray[np.generic], prediction: npt.NDArray[np.generic], classes: Classes
) -> npt.NDArray[np.generic]:
    if classes is None:
        return np.unique(np.concatenate([truth, prediction]))
    order = np.arange(classes) if isinstance(classes, int) else np.asarray(classes)
    if len(np.unique(order)) != len(order):
        raise ValueRangeError(expected='each class once', came=f'{list(order)}', todo='remove the repeated classes')
    return order


def _positions(labels: npt.NDArray[np.generic], order: npt.NDArray[np.generic], side: str) -> npt.NDArray[np.int64]:
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    sorting = np.argsort(order, kind='stable')
    positions = np.searchsorted(order[sorting], labels) if len(order) else np.zeros(len(labels), dtype=np.int64)
    is_inside = positions < len(order)
    is_known = np.zeros(len(labels), dtype=bool)
    is_known[is_inside] = order[sorting[positions[is_inside]]] == labels[is_inside]
    if not is_known.all():
        raise UnknownNameError(
            expected=f'labels among {[str(name) for name in order]}',
            came=f'{sorted({str(name) for name in labels[~is_known]})[:5]} in the {side}',
            todo='add them to classes, or map them first',
        )
    return sorting[positions].astype(np.int64)
