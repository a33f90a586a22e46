"""The objective of a fine-tuned model: its targets as tensors, the losses, and the scores on validation.

A target is a class (an integer) or D values. Values are standardised over the training clips, so that a rating from
1 to 9 takes no longer to learn than one from -1 to 1; `reference` does not standardise them.

Axes: N clips, B batch, K classes, D values.

Source of the regression losses: github.com/sunlicai/HiCMAE; their moments divide by N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.arrays import Floats, Floats32
from affekt.clips import Clip
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.metrics import accuracy, balanced_accuracy, concordance, mean_squared_error, pearson, weighted_f1
from affekt.pretraining.mixing import soft_targets
from affekt.pretraining.tuning_settings import SCORES, TuningSettings
from affekt.wording import counted


@dataclass(frozen=True)
class LabelledClip:
    """A clip, or a function that opens it, with its truth."""

    clip: Clip | Callable[[], Clip]
    target: int | float | Floats
    """A class from 0, or (D,) values."""

    def opened(self) -> Clip:
        """The clip, opened."""
        return self.clip() if callable(self.clip) else self.clip


@dataclass(frozen=True)
class Goal:
    """The target of training: classes or values, their scale, and the weight of each class."""

    outputs: int
    """K classes or D values."""
    is_classes: bool
    objective: str
    score: str
    smoothing: float = 0.0
    weights: Tensor | None = field(default=None, repr=False)
    """(K,) weights of the classes in the loss; None for equal weights."""
    mean: Tensor | None = field(default=None, repr=False)
    """(D,) means of the training clips; None without standardisation."""
    deviation: Tensor | None = field(default=None, repr=False)
    """(D,) standard deviations of the training clips, dividing by N; None without standardisation."""

    @classmethod
    def of(cls, clips: Sequence[LabelledClip], outputs: int, settings: TuningSettings) -> Goal:
        """The goal derived from the training clips.

        Args:
            clips: N training clips.
            outputs: number of the model's outputs.
            settings: settings of fine-tuning; objective, score, smoothing, balance and reference are used.

        Raises:
            ShapeError: targets are of several types, or their number of values differs from the model's outputs.
            ValueRangeError: there is no clip; a target is missing or not finite; fewer than two classes; a class of the
                model without a clip; values that are all equal.
            UnknownNameError: the objective or the score is for the other type of targets.
        """
        truth, is_classes = targets_of(clips, outputs, 'training')
        objective, score = chosen_objective(settings, is_classes)
        if is_classes:
            counts = torch.bincount(torch.from_numpy(truth), minlength=outputs)
            _require_classes(counts)
            weights = len(truth) / (outputs * counts.float()) if settings.balanced and not settings.reference else None
            return cls(outputs, True, objective, score, settings.smoothing, weights)
        numbers = torch.from_numpy(truth)  # (N, D)
        deviation, mean = torch.std_mean(numbers, dim=0, correction=0)
        _require_variety(truth)
        if settings.reference:
            return cls(outputs, False, objective, score)
        return cls(outputs, False, objective, score, mean=mean.float(), deviation=deviation.float())

    def targets(self, truth: Tensor) -> Tensor:
        """(B, K) soft targets of (B,) classes, or (B, D) standardised values."""
        if self.is_classes:
            return soft_targets(truth, self.outputs, self.smoothing)
        values = truth.float()
        return values if self.mean is None or self.deviation is None else (values - self.mean) / self.deviation

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: (B, K or D) outputs of the model.
            targets: (B, K or D) targets from `targets`, mixed or not.
        """
        outputs = outputs.float()
        if self.objective == 'cross_entropy':
            return soft_cross_entropy(outputs, targets, self.weights)
        if self.objective == 'mse':
            return functional.mse_loss(outputs, targets)
        return (concordance_loss if self.objective == 'ccc' else correlation_loss)(outputs, targets)

    def answers(self, means: Floats32) -> Floats32:
        """(N, D) values in the unit of the truth; probabilities unchanged."""
        if self.mean is None or self.deviation is None:
            return means
        answers: Floats32 = means * self.deviation.numpy() + self.mean.numpy()
        return answers

    def scores(self, truth: Any, answers: Floats32) -> dict[str, float]:
        """Every score by name, and `score`, the one that chooses the epoch; nan if undefined.

        Args:
            truth: (N,) classes or (N, D) values.
            answers: (N, K) probabilities or (N, D) values.
        """
        if self.is_classes:
            classes, chosen = self.outputs, answers.argmax(axis=1)
            of_truth = np.clip(answers[np.arange(len(truth)), truth].astype(np.float64), 1e-12, None)
            scores = {
                'uar': balanced_accuracy(truth, chosen, classes), 'war': accuracy(truth, chosen),
                'weighted_f1': weighted_f1(truth, chosen, classes),
                'validation_loss': float(-np.log(of_truth).mean()),
            }  # fmt: skip
        else:
            pairs = list(zip(truth.T, answers.T.astype(np.float64), strict=True))
            squares = [mean_squared_error(expected, predicted) for expected, predicted in pairs]
            scores = {
                'ccc': _mean([concordance(expected, predicted, ddof=1) for expected, predicted in pairs]),
                'pcc': _mean([pearson(expected, predicted) for expected, predicted in pairs]),
                'negative_mse': -_mean(squares), 'validation_loss': _mean(squares),
            }  # fmt: skip
        return {**scores, 'score': scores[self.score]}

    def restored(self, head: nn.Linear) -> None:
        """Rescale the head of standardised values in place, so that its outputs are in the unit of the truth."""
        if self.mean is None or self.deviation is None:
            return
        with torch.no_grad():
            mean, deviation = self.mean.to(head.weight.device), self.deviation.to(head.weight.device)
            head.weight.mul_(deviation.unsqueeze(1))
            head.bias.mul_(deviation).add_(mean)


def targets_of(clips: Sequence[LabelledClip], outputs: int, part: str) -> tuple[Any, bool]:
    """(N,) int64 classes or (N, D) float64 values, and whether they are classes.

    Args:
        clips: N clips.
        outputs: number of the model's outputs: K classes or D values.
        part: name of the part that the clips belong to, for messages.

    Raises:
        ShapeError, ValueRangeError: see `Goal.of`.
    """
    if not clips:
        raise ValueRangeError(expected=f'{part} clips', came='none', todo='give some')
    is_class = [
        isinstance(labelled.target, int | np.integer) and not isinstance(labelled.target, bool) for labelled in clips
    ]
    if all(is_class):
        classes = np.array([labelled.target for labelled in clips], dtype=np.int64)
        wrong = np.flatnonzero((classes < 0) | (classes >= outputs))
        if len(wrong):
            raise ValueRangeError(
                expected=f'classes from 0 to {outputs - 1}, as the model has',
                came=f'{classes[wrong[0]]} for {part} clip {wrong[0]}, and {len(wrong) - 1} more such',
                todo='leave out clips without a label, or build the model with more outputs',
            )
        return classes, True
    if any(is_class):
        raise ShapeError(
            expected='either classes or numbers',
            came=f'{sum(is_class)} classes and {len(is_class) - sum(is_class)} others among {part} clips',
            todo='give targets of one type',
        )  # fmt: skip
    try:
        numbers = np.stack([np.atleast_1d(np.asarray(labelled.target, dtype=np.float64)) for labelled in clips])
    except (TypeError, ValueError) as error:
        raise ShapeError(
            expected=f'{outputs} numbers for each of the {part} clips', came=str(error),
            todo='leave out clips without a rating',
        ) from error  # fmt: skip
    if numbers.shape[1:] != (outputs,):
        raise ShapeError(
            expected=f'{outputs} numbers a clip, as the model has outputs', came=f'{numbers.shape[1:]}',
            todo='build the model with as many outputs as there are numbers',
        )  # fmt: skip
    undefined = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(undefined):
        raise ValueRangeError(
            expected=f'finite targets of all {part} clips',
            came=f'nan or infinity for {len(undefined)} of {len(clips)} ({listed(list(map(str, undefined)), 3)})',
            todo='leave out clips without a rating',
        )
    return numbers, False


def chosen_objective(settings: TuningSettings, is_classes: bool) -> tuple[str, str]:
    """The objective and the score of settings, defaults filled in.

    Raises:
        UnknownNameError: the objective or the score is for the other type of targets.
    """
    target_type, names = ('classes', ('cross_entropy',)) if is_classes else ('numbers', ('mse', 'ccc', 'pcc'))
    objective, score = settings.objective or names[0], settings.score or SCORES[target_type][0]
    for name, value, names_of_type in (('objective', objective, names), ('score', score, SCORES[target_type])):
        if value not in names_of_type:
            raise UnknownNameError(
                expected=f'{name} of {target_type}: {" or ".join(names_of_type)}', came=value,
                todo='choose another, or give targets of the other type',
            )  # fmt: skip
    return objective, score


def soft_cross_entropy(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean over a batch of - sum_k w_k y_k log softmax(x)_k.

    Args:
        outputs: (B, K) logits.
        targets: (B, K) rows that sum to 1.
        weights: (K,); None for 1.
    """
    weighted = targets if weights is None else targets * weights.to(targets.device)
    return -(weighted * functional.log_softmax(outputs, dim=1)).sum(dim=1).mean()


def concordance_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 - Lin's concordance, the mean over D values of (B, D); moments divide by B."""
    means = outputs.mean(dim=0) - targets.mean(dim=0)
    spread = outputs.var(dim=0, correction=0) + targets.var(dim=0, correction=0) + means.square()
    return 1 - (2 * _covariance(outputs, targets) / spread.clamp(min=1e-8)).mean()


def correlation_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 - Pearson's correlation, the mean over D values of (B, D); 1e-6 is added to the product of deviations."""
    product = outputs.var(dim=0, correction=0) * targets.var(dim=0, correction=0)
    return 1 - (_covariance(outputs, targets) / (product.clamp(min=1e-16).sqrt() + 1e-6)).mean()


def _covariance(outputs: Tensor, targets: Tensor) -> Tensor:
    """(D,) covariances over the batch."""
    return ((outputs - outputs.mean(dim=0)) * (targets - targets.mean(dim=0))).mean(dim=0)


def _mean(values: Sequence[float]) -> float:
    """The mean; nan where a value is nan."""
    return math.fsum(values) / len(values)


def _require_classes(counts: Tensor) -> None:
    absent = [str(index) for index in torch.nonzero(counts == 0)[:, 0].tolist()]
    if (counts > 0).sum() < 2 or absent:
        raise ValueRangeError(
            expected=f'training clips of two classes at least, and of each of the {len(counts)} that the model has',
            came=f'none of {counted(len(absent), "class", "classes")}: {", ".join(absent[:5])}'
            if absent
            else 'one class',
            todo='add clips of these classes, or build the model without them',
        )


def _require_variety(truth: Floats) -> None:
    constant = [str(index) for index in np.flatnonzero(np.ptp(truth, axis=0) == 0)]
    if constant:
        raise ValueRangeError(
            expected='numbers that differ among the training clips',
            came=f'one value for all clips at index {", ".join(constant[:5])} of the targets',
            todo='leave it out, or add clips',
        )  # fmt: skip
