"""Agreement of one value per sample, such as valence or arousal, with its rating.

Task: truth and prediction are (N,) finite floats in one unit. No measure depends on the order of the samples or on a
common shift; Pearson's correlation does not depend on the scale of either side, the concordance correlation does.
Errors are in the unit, or its square.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, ValueRangeError


def concordance(truth: npt.ArrayLike, prediction: npt.ArrayLike, *, ddof: int = 0) -> float:
    """Lin's concordance correlation: 1 where every prediction equals its truth.

        2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))**2)

    Moments divide by N, as Lin did, not by N - 1: other libraries differ, by 0.05 on four samples.

    Args:
        truth: (N,) ratings, any unit.
        prediction: (N,) in the same unit.
        ddof: variances and covariance divide by N - ddof; 1 for unbiased ones, as HiCMAE and SVFAP report.

    Returns:
        A float in [-1, 1]; nan where N < 2 or both arrays are the same constant, up to rounding.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.

    Source: Lin 1989, doi:10.2307/2532051.

    >>> round(concordance([0, 1, 2, 3], [1, 2, 3, 4]), 6)
    0.714286
    >>> round(concordance([0, 1, 2, 3], [1, 2, 3, 4], ddof=1), 6)  # 2 (5/3) / (5/3 + 5/3 + 1)
    0.769231
    """
    true, predicted = paired(truth, prediction)
    if len(true) < 2 or is_constant(np.append(true, predicted), truth, prediction):
        return float('nan')
    true_offsets, predicted_offsets = true - true.mean(), predicted - predicted.mean()
    divisor = len(true) - ddof
    variances = (np.sum(true_offsets**2) + np.sum(predicted_offsets**2)) / divisor
    spread = variances + (true.mean() - predicted.mean()) ** 2
    return float(2.0 * np.sum(true_offsets * predicted_offsets) / divisor / spread)


def pearson(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Pearson's correlation: 1 where the prediction is an increasing linear function of the truth.

        cov(t, p) / sqrt(var(t) var(p))

    Args:
        truth: (N,) ratings, any unit.
        prediction: (N,) any unit.

    Returns:
        A float in [-1, 1]; nan where N < 2 or either array is constant, up to rounding.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.

    >>> round(pearson([0, 1, 2, 3], [10, 8, 6, 4]), 6)
    -1.0
    """
    true, predicted = paired(truth, prediction)
    if len(true) < 2 or is_constant(true, truth) or is_constant(predicted, prediction):
        return float('nan')
    # Scaling by the largest offset keeps squares of very small or large values from vanishing or overflowing.
    true_offsets, predicted_offsets = true - true.mean(), predicted - predicted.mean()
    true_offsets = true_offsets / np.abs(true_offsets).max()
    predicted_offsets = predicted_offsets / np.abs(predicted_offsets).max()
    norm = np.sqrt(np.sum(true_offsets**2) * np.sum(predicted_offsets**2))
    return float(np.clip(np.sum(true_offsets * predicted_offsets) / norm, -1.0, 1.0))


def mean_absolute_error(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean absolute difference between predictions and ratings, in their unit; nan without samples.

    Args:
        truth: (N,) ratings, any unit.
        prediction: (N,) in the same unit.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.

    >>> mean_absolute_error([0, 1], [2, 1])
    1.0
    """
    true, predicted = paired(truth, prediction)
    return float(np.abs(true - predicted).mean()) if len(true) else float('nan')


def mean_squared_error(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean squared difference between predictions and ratings; nan without samples.

    Args:
        truth: (N,) ratings, any unit.
        prediction: (N,) in the same unit.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.

    >>> mean_squared_error([0, 1], [2, 1])
    2.0
    """
    true, predicted = paired(truth, prediction)
    return float(np.square(true - predicted).mean()) if len(true) else float('nan')


def is_constant(values: npt.NDArray[np.float64], *originals: npt.ArrayLike) -> bool:
    """Whether values are constant up to rounding: 16 units in the last place of the original type.

    Args:
        values: (N,) with N >= 1.
        originals: the arrays of which the values were made; float32 rounds much more coarsely than float64.
    """
    types = [np.asarray(array).dtype for array in originals]
    last_place = max((float(np.finfo(dtype).eps) for dtype in types if dtype.kind == 'f'), default=0.0)
    return bool(np.ptp(values) <= 16 * max(last_place, float(np.finfo(np.float64).eps)) * np.abs(values).max())


def paired(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Truth and prediction as float64 (N,), checked.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.
    """
    true, predicted = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ShapeError(
            expected='truth and prediction of one shape (N,)',
            came=f'{true.shape} and {predicted.shape}',
            todo='give one number per sample on both sides',
        )
    if not (np.isfinite(true).all() and np.isfinite(predicted).all()):
        raise ValueRangeError(
            expected='finite numbers', came='nan or infinity', todo='leave out samples without a rating or a prediction'
        )
    return true, predicted
