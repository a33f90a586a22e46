"""How well a linear map reads emotions from fixed features of people it was not fitted on.

Multinomial logistic regression on standardised features or their first principal components, each label of the same
weight; the penalty is chosen on speakers of the training part (the fold that follows the tested one), then the map is
fitted on all of it.
Axes: N clips, P features, K labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import eigh
from torch.nn import functional

from affekt.arrays import Floats32
from affekt.metrics import balanced_accuracy

Labels = npt.NDArray[np.int64]
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
COMPONENTS = 300
"""Principal components of the training part that are kept of longer features."""


def fitted(
    features: npt.NDArray[np.float64], truth: Labels, classes: int, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(P, K) weights and (K,) biases of the smallest loss: mean cross-entropy + penalty / 2 * |weights|**2."""
    rows, labels = torch.tensor(features, dtype=torch.float64), torch.tensor(truth)
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    weight = (len(labels) / (classes * counts)).double()
    weights = torch.zeros(rows.shape[1], classes, dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, biases], max_iter=200, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(rows @ weights + biases, labels, weight=weight)
        value = value + penalty / 2 * weights.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach(), biases.detach()


def cross_read(features: Floats32, truth: Labels, fold: Labels, classes: int) -> Labels:
    """(N,) labels of each clip as read by a map that was fitted without its fold."""
    predicted = np.full(truth.shape, -1)
    folds = np.unique(fold)
    for at, number in enumerate(folds):
        test, validation = fold == number, fold == folds[(at + 1) % len(folds)]
        rows = normal(features, ~test)
        inner = ~test & ~validation
        scores = [
            balanced_accuracy(truth[validation], read(rows, truth, inner, validation, classes, penalty))
            for penalty in PENALTIES
        ]
        best = PENALTIES[int(np.argmax(scores))]
        predicted[test] = read(rows, truth, ~test, test, classes, best)
    return predicted


def normal(features: Floats32, train: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N, P) features in units of the training part's deviations; of many, the training part's first components."""
    mean, deviation = features[train].mean(axis=0), features[train].std(axis=0) + 1e-6
    rows = ((features - mean) / deviation).astype(np.float64)
    size = rows.shape[1]
    if size <= COMPONENTS:
        return rows
    _, axes = eigh(rows[train].T @ rows[train], subset_by_index=[size - COMPONENTS, size - 1])
    return np.asarray(rows @ axes)


def read(
    rows: npt.NDArray[np.float64],
    truth: Labels,
    train: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    classes: int,
    penalty: float,
) -> Labels:
    """Labels of the tested clips from a map fitted on the others."""
    weights, biases = fitted(rows[train], truth[train], classes, penalty)
    return np.asarray((torch.tensor(rows[test]) @ weights + biases).argmax(dim=1))
