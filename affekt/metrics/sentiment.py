"""Sentiment scores as reported on CMU-MOSI, CMU-MOSEI, CH-SIMS and similar corpora, from one value per sample.

Task: truth and prediction are (N,) finite ratings from negative to positive. Two conventions of binary accuracy are in
use, and papers mix them:

| name | samples | positive is |
|---|---|---|
| `negative_positive` | truth not 0 | above 0: a prediction of exactly 0 is negative. MERBench's only score |
| `negative_nonnegative` | all | 0 and above |

F1 is the mean over both classes weighted by their frequency in the truth. Several classes: ratings are clipped to the
scale and rounded (half to even) to whole numbers (`rounded_accuracy`), or binned by the edges of CH-SIMS
(`edged_accuracy`). Every score is nan where no sample counts (the published code raises an IndexError there), and nan
is refused on either side (the published code counts a prediction of nan as negative).

Source: MERBench arXiv:2401.03429; Acc-5, Acc-7 and both conventions of Acc-2 as in MMSA, arXiv:2203.12441.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics.categorical import accuracy, weighted_f1
from affekt.metrics.dimensional import concordance, mean_absolute_error, paired, pearson

WAYS = ('negative_positive', 'negative_nonnegative')
"""Conventions of binary accuracy, see the table above."""
SIMS_EDGES = {2: (0.0,), 3: (-0.1, 0.1), 5: (-0.7, -0.1, 0.1, 0.7)}
"""Number of classes of CH-SIMS to the edges between them; a value on an edge belongs to the class below it."""


@dataclass(frozen=True)
class SentimentReport:
    """Scores of rated sentiment; accuracies and F1 are in [0, 1], correlations in [-1, 1]."""

    n: int
    """Number of samples."""
    n_nonzero: int
    """Number of samples whose truth is not 0."""
    mae: float
    """Mean absolute error, in the unit of the ratings."""
    pearson: float
    concordance: float
    accuracy_negative_positive: float
    f1_negative_positive: float
    accuracy_negative_nonnegative: float
    f1_negative_nonnegative: float
    accuracy_5: float
    accuracy_7: float


def sentiment_report(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> SentimentReport:
    """All scores of a corpus rated from -3 to 3.

    Args:
        truth: (N,) ratings in [-3, 3].
        prediction: (N,) in the same unit, any range.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.

    >>> report = sentiment_report([1.2, -0.4, 0, 2, -3, 0, 0.6], [0.5, 0.1, 9, 0, -1, -9, 0.2])
    >>> round(report.f1_negative_positive, 4), round(report.accuracy_negative_positive, 4)
    (0.6, 0.6)
    """
    true, predicted = paired(truth, prediction)
    binary = {way: signs(true, predicted, way) for way in WAYS}
    return SentimentReport(
        n=len(true),
        n_nonzero=int((true != 0).sum()),
        mae=mean_absolute_error(true, predicted),
        pearson=pearson(true, predicted),
        concordance=concordance(true, predicted),
        **{f'accuracy_{way}': accuracy(*pair) for way, pair in binary.items()},
        **{f'f1_{way}': weighted_f1(*pair) for way, pair in binary.items()},
        accuracy_5=rounded_accuracy(true, predicted, 2),
        accuracy_7=rounded_accuracy(true, predicted, 3),
    )


def signs(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, way: str = 'negative_positive'
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Both sides as 1 (positive) and 0, for the samples that count.

    Args:
        truth: (N,) ratings.
        prediction: (N,) ratings.
        way: one of `WAYS`.

    Returns:
        Two arrays (M,), M the number of samples that count, for `accuracy` and `weighted_f1`.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite.
        UnknownNameError: unknown convention.

    >>> signs([0.5, 0, -1], [0, 0, -2])
    (array([1, 0]), array([0, 0]))
    """
    true, predicted = paired(truth, prediction)
    if way not in WAYS:
        raise UnknownNameError(expected=f'one of {", ".join(WAYS)}', came=repr(way), todo='name one of these')
    if way == 'negative_nonnegative':
        return (true >= 0).astype(np.int64), (predicted >= 0).astype(np.int64)
    is_counted = true != 0
    return (true[is_counted] > 0).astype(np.int64), (predicted[is_counted] > 0).astype(np.int64)


def rounded_accuracy(truth: npt.ArrayLike, prediction: npt.ArrayLike, reach: int) -> float:
    """Share of samples whose ratings round to the same whole number, after clipping both to [-reach, reach].

    Acc-7 has a reach of 3, Acc-5 a reach of 2. Halves round to even, as in NumPy.

    Args:
        truth: (N,) ratings.
        prediction: (N,) ratings.
        reach: largest absolute rating after clipping, at least 1.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,).
        ValueRangeError: a value is nan or infinite, or the reach is below 1.

    >>> rounded_accuracy([3.0, -1.4, 0.5, 2.5], [9.0, -0.6, 0.4, 2.4], 3)  # 3 3, -1 -1, 0 0, 2 2
    1.0
    """
    true, predicted = paired(truth, prediction)
    if reach < 1:
        raise ValueRangeError(expected='a reach of at least 1', came=f'{reach}', todo='use 3 for seven classes')
    return accuracy(*(np.round(np.clip(side, -reach, reach)) for side in (true, predicted)))


def edged_accuracy(truth: npt.ArrayLike, prediction: npt.ArrayLike, edges: Sequence[float]) -> float:
    """Share of samples whose ratings are in the same bin; a rating on an edge belongs to the bin below it.

    Args:
        truth: (N,) ratings.
        prediction: (N,) ratings.
        edges: increasing edges, such as `SIMS_EDGES[5]`.

    Returns:
        A float in [0, 1]; nan without samples.

    Raises:
        ShapeError: the arrays are not both (N,), or the edges do not increase.
        ValueRangeError: a value is nan or infinite.

    >>> edged_accuracy([0.0, 0.1, 0.2], [0.05, 0.0, 0.9], SIMS_EDGES[3])
    1.0
    """
    true, predicted = paired(truth, prediction)
    if len(edges) < 1 or np.any(np.diff(edges) <= 0):
        raise ShapeError(expected='rising edges', came=f'{list(edges)}', todo='use for example SIMS_EDGES[5]')
    return accuracy(np.searchsorted(edges, true), np.searchsorted(edges, predicted))
