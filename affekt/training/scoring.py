"""Training losses and validation scores.

Axes: N samples, C classes, V values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from affekt.errors import TrainingError, UnknownNameError, listed
from affekt.metrics import balanced_accuracy, combined_score, concordance, weighted_f1
from affekt.training.engine import STEADIER
from affekt.training.samples import UNKNOWN, Batch, Samples


class Answer(Protocol):
    """Output of a model trained here."""

    @property
    def logits(self) -> Tensor:
        """(B, C) logits of the categories."""

    @property
    def values(self) -> Tensor:
        """(B, V) values."""

    @property
    def losses(self) -> dict[str, Tensor]:
        """Auxiliary losses by name."""


@dataclass(frozen=True)
class Predicted:
    """A model's predictions for N samples, on the CPU.

    Args:
        logits: (N, C) logits.
        values: (N, V) values.
    """

    logits: Tensor
    values: Tensor

    @property
    def is_finite(self) -> bool:
        """Whether all are finite; otherwise the largest logit is a category too, which must not be scored."""
        return bool(self.logits.isfinite().all() and self.values.isfinite().all())

    def __repr__(self) -> str:
        return f'Predicted(logits {tuple(self.logits.shape)}, values {tuple(self.values.shape)})'


def task_losses(answer: Answer, batch: Batch) -> dict[str, Tensor | None]:
    """The model's own losses and those of `truth_losses`.

    The weights behind a loss that is None have a gradient of 0, as in `task_sums`, if another loss is there: an
    optimiser skips weights without a gradient, also their decay.
    """
    sums = task_sums(answer, batch)
    unknown = _unknown(sums, batch)
    zero = sum(sums[name] for name in unknown)
    return {name: None if name in unknown else loss + zero if unknown else loss for name, loss in sums.items()}


def task_sums(answer: Answer, batch: Batch) -> dict[str, Tensor]:
    """`task_losses` with 0 in place of None: terms of a sum, also under `torch.vmap`, which cannot branch on values."""
    return dict(answer.losses) | _known_means(answer.logits, answer.values, batch)


def known_truth(batch: Batch) -> dict[str, Tensor]:
    """For each loss of `truth_losses`, the truths that it is a mean over: (B,) or (B, V) bools."""
    masks = {}
    if batch.labels is not None:
        masks['category'] = batch.labels != UNKNOWN
    if batch.values is not None:
        masks['value'] = ~batch.values.isnan()
    return masks


def truth_losses(logits: Tensor, values: Tensor, batch: Batch) -> dict[str, Tensor | None]:
    """Cross-entropy `category` and squared error `value` over the samples with known truth.

    Each is a mean over known truths, None without any.
    """
    means = _known_means(logits, values, batch)
    return {**means, **dict.fromkeys(_unknown(means, batch))}


def _unknown(losses: Mapping[str, Tensor], batch: Batch) -> list[str]:
    """Names of the losses whose truth is known for no sample of the batch."""
    masks = {} if batch.is_known else known_truth(batch)
    return [name for name in losses if name in masks and not bool(masks[name].any())]


def _known_means(logits: Tensor, values: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The means of `truth_losses`, 0 without known truth."""
    means = {}
    if batch.labels is not None and logits.shape[1]:
        means['category'] = _cross_entropy(logits.float(), batch.labels, all_known=batch.is_known)
    if batch.values is not None and values.shape[1]:
        means['value'] = _squared_distance(values.float(), batch.values, all_known=batch.is_known)
    return means


def _cross_entropy(logits: Tensor, labels: Tensor, *, all_known: bool) -> Tensor:
    if all_known:
        return functional.cross_entropy(logits, labels)
    known = labels != UNKNOWN
    losses = functional.cross_entropy(logits, labels.clamp(min=0), reduction='none')
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


def _squared_distance(values: Tensor, truth: Tensor, *, all_known: bool) -> Tensor:
    if all_known:
        return functional.mse_loss(values, truth)
    known = ~truth.isnan()
    return torch.where(known, values - truth.nan_to_num(), 0.0).square().sum() / known.sum().clamp(min=1)


def _loss(predicted: Predicted, truth: Samples) -> float:
    batch = Batch({}, {}, truth.labels, truth.values)
    losses = truth_losses(predicted.logits, predicted.values, batch).values()
    measured = [loss.item() for loss in losses if loss is not None]
    return -sum(measured) if measured else math.nan


def _weighted_f1(predicted: Predicted, truth: Samples) -> float:
    labels = _needed(truth.labels, 'labels')
    known = labels != UNKNOWN
    return weighted_f1(labels[known].numpy(), predicted.logits[known].argmax(dim=1).numpy())


def _balanced_accuracy(predicted: Predicted, truth: Samples) -> float:
    labels = _needed(truth.labels, 'labels')
    known = labels != UNKNOWN
    return balanced_accuracy(labels[known].numpy(), predicted.logits[known].argmax(dim=1).numpy())


def _concordance(predicted: Predicted, truth: Samples) -> float:
    """The mean over values; 0 where truth and predictions are the same constant."""
    values = _needed(truth.values, 'values')
    scores = []
    for known, truths, predictions in zip((~values.isnan()).T, values.T, predicted.values.T, strict=True):
        score = concordance(truths[known].numpy(), predictions[known].numpy())
        scores.append(0.0 if score != score else score)
    return sum(scores) / len(scores)


def _squared_error(predicted: Predicted, truth: Samples) -> float:
    values = _needed(truth.values, 'values')
    known = ~values.isnan()
    return -float((predicted.values[known] - values[known]).square().mean())


def _sign_weighted_f1(predicted: Predicted, truth: Samples) -> float:
    values = _needed(truth.values, 'values')[:, 0]
    counted = ~values.isnan() & (values != 0)
    return weighted_f1((values[counted] > 0).int().numpy(), (predicted.values[counted, 0] > 0).int().numpy())


def _combined(predicted: Predicted, truth: Samples) -> float:
    return combined_score(_weighted_f1(predicted, truth), -_squared_error(predicted, truth))


def _needed(truth: Tensor | None, name: str) -> Tensor:
    if truth is None:
        raise UnknownNameError(
            expected=f'samples with {name}', came='none', todo='choose a score that needs what the samples have'
        )
    return truth


SCORES: dict[str, Callable[[Predicted, Samples], float]] = {
    'loss': _loss,
    'weighted_f1': _weighted_f1,
    'balanced_accuracy': _balanced_accuracy,
    'concordance': _concordance,
    'squared_error': _squared_error,
    'sign_weighted_f1': _sign_weighted_f1,
    'weighted_f1_less_quarter_squared_error': _combined,
}
"""Name to score of validation predictions; higher is better, so losses and errors are negative.

`sign_weighted_f1` skips truths of exactly 0, as usual for sets like MOSI; the last is MER2023's.
"""


def score_of(name: str) -> Callable[[Predicted, Samples], float]:
    """The score with a name; nan where a prediction is not finite.

    Raises:
        UnknownNameError: unknown score.
    """
    if name not in SCORES:
        raise UnknownNameError(expected=f'a score among {listed(SCORES)}', came=repr(name), todo='choose one')
    return lambda predicted, truth: SCORES[name](predicted, truth) if predicted.is_finite else math.nan


def require_finite(predictions: Iterable[npt.NDArray[Any]]) -> None:
    """Check predictions for validation: those of weights that have grown too large are not finite.

    Args:
        predictions: arrays of any shape.

    Raises:
        TrainingError: a value is not finite.
    """
    if not all(bool(np.isfinite(values).all()) for values in predictions):
        raise TrainingError(expected='finite predictions on validation', came='nan or infinity', todo=STEADIER)


def is_constant(predicted: Predicted, truth: Samples) -> bool:
    """Whether all samples get the same prediction; with categories and values, both of them.

    Values are the same if they vary by less than 0.01 standard deviations of the truth.
    """
    spreads = []
    if predicted.logits.shape[1]:
        spreads.append(float(len(predicted.logits.argmax(dim=1).unique()) > 1))
    if predicted.values.shape[1] and truth.values is not None:
        deviations = truth.values - truth.values.nanmean(dim=0)
        scale = deviations.square().nanmean(dim=0).sqrt().nan_to_num(1.0).clamp(min=1e-12)  # 1 without any truth
        spreads.append((predicted.values.std(dim=0, correction=0) / scale).max().item())
    return len(truth) > 1 and max(spreads, default=1.0) < 0.01
