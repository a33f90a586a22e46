"""Blendshapes beside the network: a small calibrated combination, fitted and chosen on the validation
split only.

    logits = net / T + bias + found (W blendshapes + found_bias)

W sees the mean of left and right, so that a mirrored face gets the same answer. Where blendshapes are
missing `found` is 0 and only the net speaks. The strength of the penalty on W, or leaving W out, is chosen
by repeated cross-validation. N faces, P symmetric blendshapes, 7 categories in EKMAN order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from affekt.faces.blendshapes import BLENDSHAPES

CATEGORIES = 7
PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Candidate penalties on W per face; None (no blendshapes) competes with them."""


def sides() -> list[list[int]]:
    """The blendshape columns of each symmetric pair; '_neutral' is left out."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(BLENDSHAPES):
        if name != '_neutral':
            groups.setdefault(name.removesuffix('Left').removesuffix('Right'), []).append(column)
    return list(groups.values())


def symmetric(blendshapes: np.ndarray) -> np.ndarray:
    """(N, 52) to (N, P): means of left and right; nan becomes 0."""
    values = np.nan_to_num(blendshapes.astype(np.float64))
    return np.stack([values[:, columns].mean(axis=1) for columns in sides()], axis=1)


@dataclass(frozen=True)
class Combination:
    """Fitted constants: `temperature` > 0, `bias` (7,), `weights` (P, 7), `found_bias` (7,)."""

    temperature: float
    bias: np.ndarray
    weights: np.ndarray
    found_bias: np.ndarray

    def weights52(self) -> np.ndarray:
        """(52, 7) weights on the single blendshapes."""
        full = np.zeros((len(BLENDSHAPES), CATEGORIES))
        for row, columns in enumerate(sides()):
            full[columns] = self.weights[row] / len(columns)
        return full

    def softened(self, temperature: float) -> Combination:
        """The same combination with all its logits divided by `temperature`."""
        return Combination(
            self.temperature * temperature,
            self.bias / temperature,
            self.weights / temperature,
            self.found_bias / temperature,
        )

    def logits(self, net: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
        """(N, 7) combined, calibrated logits."""
        found = ~np.isnan(blendshapes).all(axis=1)
        evidence = symmetric(blendshapes) @ self.weights + self.found_bias
        return net / self.temperature + self.bias + found[:, None] * evidence


def plain(temperature: float = 1.0) -> Combination:
    """The net alone."""
    nothing = np.zeros(CATEGORIES)
    return Combination(temperature, nothing, np.zeros((len(sides()), CATEGORIES)), nothing)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def fit(net: np.ndarray, blendshapes: np.ndarray, labels: np.ndarray, penalty: float | None) -> Combination:
    """The penalised maximum-likelihood combination; with `penalty` None only the temperature is fitted."""
    found = (~np.isnan(blendshapes).all(axis=1)).astype(float)[:, None]
    features = np.hstack([symmetric(blendshapes), np.ones((len(net), 1))]) * found
    truth = np.eye(CATEGORIES)[labels]
    size = features.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        sharpness, weights = np.exp(flat[0]), flat[1:].reshape(size, CATEGORIES)
        logs = log_softmax(net * sharpness + features @ weights)
        wrong = (np.exp(logs) - truth) / len(net)
        value = -(logs * truth).sum() / len(net)
        slope = np.empty_like(flat)
        slope[0] = (wrong * net).sum() * sharpness
        if penalty is None:
            slope[1:] = 0
        else:
            value += 0.5 * penalty * (weights**2).sum()
            slope[1:] = (features.T @ wrong + penalty * weights).ravel()
        return value, slope

    flat = minimize(loss, np.zeros(1 + size * CATEGORIES), jac=True, method='L-BFGS-B').x
    weights = flat[1:].reshape(size, CATEGORIES)
    return Combination(float(np.exp(-flat[0])), np.zeros(CATEGORIES), weights[:-1], weights[-1])


def cross_validate(
    net: np.ndarray, blendshapes: np.ndarray, labels: np.ndarray, penalty: float | None, repeats: int = 3
) -> dict[str, float]:
    """Held-out accuracy, mean recall and log loss over `repeats` times five folds of the validation split."""
    rows = []
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(len(labels)) % 5
        logits = np.empty_like(net)
        for held in range(5):
            inside, outside = fold != held, fold == held
            fitted = fit(net[inside], blendshapes[inside], labels[inside], penalty)
            logits[outside] = fitted.logits(net[outside], blendshapes[outside])
        hit = logits.argmax(axis=1) == labels
        recall = np.mean([hit[labels == c].mean() for c in range(CATEGORIES)])
        rows.append((hit.mean(), recall, log_loss(logits, labels)))
    accuracy, balanced, loss = np.mean(rows, axis=0)
    return {'accuracy': float(accuracy), 'balanced_accuracy': float(balanced), 'log_loss': float(loss)}


def choose(
    net: np.ndarray, blendshapes: np.ndarray, labels: np.ndarray
) -> tuple[Combination, float | None, list[dict[str, object]]]:
    """The combination with the least cross-validated log loss, its penalty, and the score of every
    candidate."""
    table: list[dict[str, object]] = []
    for penalty in (None, *PENALTIES):
        table.append({'penalty': penalty, **cross_validate(net, blendshapes, labels, penalty)})
    good = [row for row in table if row['accuracy'] >= table[0]['accuracy']]  # type: ignore[operator]
    best = min(good, key=lambda row: row['log_loss'])  # type: ignore[arg-type,return-value]
    penalty = best['penalty']
    return fit(net, blendshapes, labels, penalty), penalty, table  # type: ignore[arg-type,return-value]
