"""Ranking scores of the MER challenges, and the combination of the predictions of several folds.

Task: categories (N,) and valence (N,) of the same samples, or logits (K, N, C) of K folds.

| challenge | score |
|---|---|
| MER2023 MULTI and NOISE | weighted F1 - 0.25 mean squared error of valence |
| MER2023 SEMI; MER2024 SEMI and NOISE; MER2025 and MER2026 track 1 | weighted F1 |

Source: arXiv:2304.08981, arXiv:2404.17113; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics.calibration import calibrated
from affekt.metrics.categorical import weighted_f1
from affekt.metrics.dimensional import mean_squared_error

VALENCE_WEIGHT = 0.25
"""Penalty per unit of mean squared error of valence."""
FOLD_MEANS = ('probabilities', 'logits')
"""Ways to combine folds, see `mean_of_folds`."""

Score = TypeVar('Score', float, npt.NDArray[np.float64])


def combined_score(weighted_f1: Score, squared_error: Score) -> Score:
    """Ranking score of MER2023 MULTI and NOISE: weighted F1 - 0.25 mean squared error of valence.

    Args:
        weighted_f1: weighted F1 of the categories.
        squared_error: mean squared error of valence, at least 0.

    Returns:
        At most 1, without a lower bound.

    >>> combined_score(1.0, 1.0)
    0.75
    """
    return weighted_f1 - VALENCE_WEIGHT * squared_error


def emotion_valence_score(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, true_valence: npt.ArrayLike, predicted_valence: npt.ArrayLike
) -> float:
    """`combined_score` from labels and values: weighted F1 - 0.25 mean squared error.

    Args:
        truth: (N,) categories.
        prediction: (N,) categories.
        true_valence: (N,) ratings.
        predicted_valence: (N,) in the same unit.

    Returns:
        At most 1, without a lower bound; nan without samples.

    Raises:
        ShapeError: the arrays are not all (N,).
        ValueRangeError: a valence is nan or infinite. (The third test set has no valence and is ranked by F1 alone; the
            published loader takes -10 for its truth, which gives errors of 80 to 90.)

    >>> emotion_valence_score(['sad', 'sad'], ['sad', 'sad'], [-2.0, 0.0], [-1.0, 1.0])
    0.75
    """
    error = mean_squared_error(true_valence, predicted_valence)
    if np.shape(truth) != np.shape(true_valence):
        raise ShapeError(
            expected='categories and valence of the same samples',
            came=f'{np.shape(truth)} and {np.shape(true_valence)}',
            todo='give one of each per sample',
        )
    return combined_score(weighted_f1(truth, prediction), error)


def mean_of_folds(logits: npt.ArrayLike, mean: str = 'probabilities') -> npt.NDArray[np.float64]:
    """Combined predictions of K folds: the mean of their probabilities or of their logits.

    `probabilities` is the mean of the folds' softmax outputs. `logits` is the mean of the logits, as in the published
    code, where one overconfident fold outvotes the others (with the logits of one fold times six, 18 % of decisions
    differed).

    Args:
        logits: (K, N, C) finite.
        mean: one of `FOLD_MEANS`.

    Returns:
        (N, C); the largest of each row is the decision.

    Raises:
        ShapeError: logits are not (K, N, C) with at least one fold.
        ValueRangeError: a logit is nan or infinite. (The published code then decides for class 0.)
        UnknownNameError: unknown mean.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 3 or not len(values):
        raise ShapeError(expected='logits (folds, samples, classes)', came=f'{values.shape}', todo='stack the folds')
    if not np.isfinite(values).all():
        fold, sample, _ = np.argwhere(~np.isfinite(values))[0]
        raise ValueRangeError(
            expected='finite logits',
            came=f'nan or infinity in fold {fold}, sample {sample}',
            todo='train that fold again',
        )
    if mean not in FOLD_MEANS:
        raise UnknownNameError(expected=f'one of {", ".join(FOLD_MEANS)}', came=repr(mean), todo='name one of these')
    mean_values: npt.NDArray[np.float64] = (values if mean == 'logits' else calibrated(values, 1.0)).mean(axis=0)
    return mean_values


def best_epoch(scores: Sequence[float]) -> int:
    """Index of the first epoch with the highest score.

    Args:
        scores: score of each epoch, higher is better.

    Raises:
        ShapeError: there is no epoch.
        ValueRangeError: a score is nan. (The published code takes that epoch as the best.)

    >>> best_epoch([0.4, 0.6, 0.6])
    1
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ShapeError(expected='one score per epoch', came=f'{values.shape}', todo='train at least one epoch')
    if np.isnan(values).any():
        came = f'nan in epoch {int(np.argmax(np.isnan(values)))}'
        raise ValueRangeError(expected='scores without nan', came=came, todo='stop training where it diverges')
    return int(values.argmax())
