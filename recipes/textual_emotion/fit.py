"""What is fitted after the heads: calibration, thresholds, ridge regression. Read by `train.py`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.labels import GOEMOTIONS, GOEMOTIONS_TO_EKMAN, fold

TINY = 1e-12
PENALTIES = (300.0, 1000.0, 3000.0, 10000.0, 30000.0)


def sigmoid(logits: npt.ArrayLike) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -30.0, 30.0)))


def categories_of(truth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, 28) labels to (N, 7) equal shares of the categories that they fall into."""
    present = (fold(truth, GOEMOTIONS, GOEMOTIONS_TO_EKMAN) > 0).astype(np.float32)
    return present / present.sum(axis=1, keepdims=True)


def folded_categories(chances: Floats) -> Floats:
    """(N, 28) probabilities of labels summed into the categories and scaled to sum to 1."""
    sums = fold(chances, GOEMOTIONS, GOEMOTIONS_TO_EKMAN)
    return sums / sums.sum(axis=1, keepdims=True)


def single(truth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(N,) true where all labels of a comment fall into one category."""
    return categories_of(truth).max(axis=1) == 1.0


def any_of(chances: Floats) -> Floats:
    """(N, 28) probabilities of labels to (N, 7) logits of 'one of them at least', as if they came apart."""
    none = fold(np.log1p(-np.minimum(chances, 1.0 - 1e-9)), GOEMOTIONS, GOEMOTIONS_TO_EKMAN)
    return np.log(-np.expm1(none) + TINY) - none


def fit_platt(logits: Floats, truth: npt.NDArray[np.float32], strength: float = 20.0) -> tuple[Floats, Floats]:
    """Slope and offset of each label that make sigmoid(slope z + offset) likeliest.

    Newton's method on a convex loss; `strength` draws the slope to 1 and the offset to 0, which matters for
    labels of a dozen examples only (Platt 1999, with a prior in place of his smoothed targets).
    """
    slopes, offsets = np.ones(logits.shape[1]), np.zeros(logits.shape[1])
    for label in range(logits.shape[1]):
        inputs = np.column_stack([logits[:, label], np.ones(len(logits))])
        start = np.array([1.0, 0.0])
        found = start.copy()
        for _ in range(50):
            chance = sigmoid(inputs @ found)
            gradient = inputs.T @ (chance - truth[:, label]) + strength * (found - start)
            curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + strength * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            found -= step
            if np.abs(step).max() < 1e-10:
                break
        slopes[label], offsets[label] = found
    return slopes, offsets


def best_thresholds(chances: Floats) -> Floats:
    """(K,) the probability from which each label is given, for the largest F1 that calibrated probabilities expect.

    Given to the n likeliest texts, a label scores 2 sum(p of those) / (n + sum(p of all)) in expectation; at
    its largest, F, the best threshold is F / 2 (Lipton et al. 2014, arXiv:1402.1892). The truth enters
    through the calibration only, so a dozen positives do not decide: macro-F1 on halves of dev is 0.517,
    against 0.508 for the thresholds that were best on the other half.
    """
    ranked = -np.sort(-chances, axis=0)
    given = np.arange(1, len(ranked) + 1)[:, None]
    return np.asarray((2 * ranked.cumsum(axis=0) / (given + ranked.sum(axis=0))).max(axis=0) / 2)


def ridge_path(
    inputs: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], importance: npt.NDArray[np.float64]
) -> Iterator[tuple[float, Floats, Floats]]:
    """For each penalty: weights (3, W) and biases (3,) of ridge regression, in raw units.

    Inputs are standardised, then multiplied by their (W,) `importance`: the larger, the less the penalty
    weighs on them.
    """
    mean, spread = inputs.mean(axis=0, dtype=np.float64), inputs.std(axis=0, dtype=np.float64) + 1e-6
    standard = (inputs - mean) / spread * importance
    centre = truth.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(standard.T @ standard)
    projected = vectors.T @ (standard.T @ (truth - centre))
    for penalty in PENALTIES:
        weights = (vectors @ (projected / (values + penalty)[:, None])).T * importance / spread
        yield penalty, weights, centre - weights @ mean
