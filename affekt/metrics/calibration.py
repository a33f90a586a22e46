"""Calibration of probabilities: expected calibration error, and temperature scaling.

Task: probabilities or logits of N samples over K classes with the true class index (N,), or the probability (N,) of an
event with its outcome. Bins are of equal width over [0, 1]; bin b of B contains b/B < p <= (b+1)/B, and the first one
also p = 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.multilabel import decided

TEMPERATURE_RANGE = (0.01, 100.0)
"""Range of a fitted temperature; where the most probable class is always right, the likelihood is largest at 0."""


def expected_calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 15) -> float:
    """Mean gap between the confidence in the most probable class and its accuracy, over bins of confidence.

        sum over bins of (n_b / N) |mean(correct in b) - mean(confidence in b)|

    Where two classes tie, the first one counts.

    Args:
        probabilities: (N, K) in [0, 1], each row summing to 1.
        truth: (N,) class indices in [0, K).
        bins: number of bins of equal width.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the shapes do not fit.
        ValueRangeError: a row is not a distribution, an index is out of range, or there are no bins.

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.

    >>> round(expected_calibration_error([[0.75, 0.25]] * 4, [0, 0, 0, 1]), 6)
    0.0
    """
    values, classes = _rows(probabilities, truth)
    if len(values) and (values.min() < 0.0 or np.abs(values.sum(axis=1) - 1.0).max() > 1e-3):
        raise ValueRangeError(
            expected='rows of probabilities that sum to 1',
            came=f'a smallest value of {values.min():.3g} and sums from {values.sum(axis=1).min():.4g}',
            todo='pass probabilities, not logits',
        )
    if not len(values):
        return float('nan')
    return event_calibration_error(np.minimum(values.max(axis=1), 1.0), values.argmax(axis=1) == classes, bins)


def event_calibration_error(probabilities: npt.ArrayLike, came: npt.ArrayLike, bins: int = 15) -> float:
    """Mean gap between the stated probability of an event and its frequency, over bins of probability.

        sum over bins of (n_b / N) |mean(came in b) - mean(probability in b)|

    Args:
        probabilities: (N,) in [0, 1].
        came: (N,) bool, True where the event occurred.
        bins: number of bins of equal width.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a probability is outside [0, 1] or nan, an outcome is neither 0 nor 1, or there are no bins.

    >>> round(event_calibration_error([0.9, 0.9], [True, False]), 6)
    0.4
    """
    stated, event = np.asarray(probabilities, dtype=np.float64), decided(came, 'outcomes').astype(np.float64)
    if stated.ndim != 1 or stated.shape != event.shape:
        raise ShapeError(
            expected='probabilities and outcomes of one shape (N,)',
            came=f'{stated.shape} and {event.shape}',
            todo='give one outcome per probability',
        )
    if bins < 1 or not np.all((stated >= 0.0) & (stated <= 1.0)):
        raise ValueRangeError(
            expected='probabilities in [0, 1] and at least one bin',
            came=f'{bins} bins' if bins < 1 else 'values outside, or nan',
            todo='use for example 15 bins' if bins < 1 else 'pass probabilities, not logits',
        )
    if not len(stated):
        return float('nan')
    bin_of = np.clip(np.ceil(stated * bins).astype(np.int64) - 1, 0, bins - 1)
    gap_sums = np.bincount(bin_of, event - stated, bins)
    return float(np.abs(gap_sums).sum() / len(stated))


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature T at which softmax(logits / T) has the highest likelihood.

    The negative log-likelihood is convex in 1/T, so its slope mean(E[z] - z_true) rises with 1/T; the zero of the slope
    is found by bisection. T above 1 means overconfidence, below 1 underconfidence; the most probable class never
    changes.

    Args:
        logits: (N, K) finite logits of data that the model was not trained on.
        truth: (N,) class indices in [0, K).

    Returns:
        T within TEMPERATURE_RANGE; 1.0 where N is 0 or every row is constant, so that the data do not determine T.

    Raises:
        ShapeError: the shapes do not fit.
        ValueRangeError: a logit is not finite, or an index is out of range.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.

    >>> round(fit_temperature([[np.log(9.0), 0.0]] * 4, [0, 0, 0, 1]), 6)  # 9:1 stated, 3:1 true: ln 9 / ln 3
    2.0
    """
    values, classes = _rows(logits, truth)
    if not len(values) or not np.ptp(values, axis=1).any():
        return 1.0
    true_logits = values[np.arange(len(values)), classes]

    def slope(sharpness: float) -> float:
        weights = calibrated(values, 1.0 / sharpness)
        return float(np.mean((weights * values).sum(axis=1) - true_logits))

    low, high = 1.0 / TEMPERATURE_RANGE[1], 1.0 / TEMPERATURE_RANGE[0]
    if slope(low) >= 0.0:
        return TEMPERATURE_RANGE[1]
    if slope(high) <= 0.0:
        return TEMPERATURE_RANGE[0]
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0.0 else (low, middle)
    return float(1.0 / np.sqrt(low * high))


def calibrated(logits: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """softmax(logits / temperature) over the last axis.

    Args:
        logits: (..., K) finite.
        temperature: above 0.

    Returns:
        (..., K) probabilities that sum to 1.

    Raises:
        ValueRangeError: the temperature is not above 0.
    """
    if not temperature > 0.0:
        raise ValueRangeError(expected='a temperature above 0', came=f'{temperature}', todo='use fit_temperature')
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def _rows(values: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(N, K) finite values and (N,) class indices, checked."""
    table, classes = np.asarray(values, dtype=np.float64), np.asarray(truth)
    if table.ndim != 2 or classes.shape != table.shape[:1] or table.shape[1] < 1:
        raise ShapeError(
            expected='(N, K) values and (N,) class indices',
            came=f'{table.shape} and {classes.shape}',
            todo='give one row and one index per sample',
        )
    if not (np.isfinite(table).all() and np.isfinite(classes.astype(np.float64)).all()):
        raise ValueRangeError(expected='finite values', came='nan or infinity', todo='leave those samples out')
    indices = classes.astype(np.int64)
    if len(indices) and (not np.array_equal(indices, classes) or indices.min() < 0 or indices.max() >= table.shape[1]):
        raise ValueRangeError(
            expected=f'class indices from 0 to {table.shape[1] - 1}',
            came=f'{classes.min()} to {classes.max()}',
            todo='give the position of the true class',
        )
    return table, indices
