"""The objective of a training step: a loss for each task, over visible frames with known truth.

Pseudo-labels have a lower weight. Their loss is computed separately from that of real truths, and the two are averaged
by the total weight of their frames:

    (n L(real) + w m L(guessed)) / (n + w m),  n and m: frames with a truth, w: weight of a pseudo-label

B windows, T frames.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from affekt.sequence_models.form import FrameAnswers
from affekt.sequence_models.inputs import FrameVideos, WindowBatch
from affekt.sequence_models.losses import (
    ExpressionLoss,
    balanced_units,
    class_weights,
    concordance_loss,
    squared_loss,
    unit_loss,
)
from affekt.sequence_models.settings import FrameTrainingSettings


class FrameLosses:
    """Losses of the tasks from a model and a batch.

    Args:
        settings: settings that name the tasks and their losses.
        training: videos whose classes and units are counted, if the settings balance them; pseudo-labels do not count.
        classes: number of expressions.
    """

    def __init__(self, settings: FrameTrainingSettings, training: FrameVideos, classes: int) -> None:
        self._settings = settings
        real = training.weights >= 1
        weights: tuple[float, ...] = ()
        if 'expression' in settings.tasks and settings.class_balance:
            known = training.expression[real & (training.expression >= 0)]
            weights = class_weights(torch.bincount(known, minlength=classes), settings.class_balance)
        self._expression = ExpressionLoss(
            settings.smoothing, gamma=settings.focal, divergence=settings.divergence, weights=weights
        )
        is_balanced = 'units' in settings.tasks and settings.unit_balance
        self._unit_weights = balanced_units(training.units[real]) if is_balanced else None

    def __call__(self, model: nn.Module, batch: WindowBatch) -> dict[str, Tensor | None]:
        """The weighted loss of each task by name, None without known truth, and the model's own, prefixed by `model_`.

        The prefix avoids clashes: a model may name its losses by modality, and a modality may share a task's name.
        """
        predictions = model(batch.features, batch.keep_mask)
        is_visible = torch.stack(list(batch.keep_mask.values())).any(dim=0)  # (B, T)
        losses: dict[str, Tensor | None] = {}
        for task in self._settings.tasks:
            loss, is_known = self._loss_of(task, predictions, batch)
            counted, weight = is_visible & is_known, getattr(self._settings, f'{task}_weight')
            losses[task] = weight * _weighted(loss, counted, batch.weights) if counted.any() else None
        return losses | {f'model_{name}': loss for name, loss in predictions.losses.items()}

    def _loss_of(
        self, task: str, predictions: FrameAnswers, batch: WindowBatch
    ) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """The loss of a task over the frames of a mask, and (B, T) where its truth is known."""
        if task == 'expression':
            return lambda keep: self._expression(predictions.logits, batch.expression, keep), batch.expression >= 0
        if task == 'units':
            return (
                lambda keep: unit_loss(predictions.units, batch.units, keep, positive_weights=self._unit_weights),
                (batch.units >= 0).any(dim=2),
            )
        return lambda keep: self._affect(predictions.values, batch.affect, keep), ~batch.affect.isnan().all(dim=2)

    def _affect(self, values: Tensor, truth: Tensor, keep: Tensor) -> Tensor:
        loss = values.new_zeros(())
        if self._settings.affect_loss in ('ccc', 'both'):
            loss = loss + concordance_loss(
                values, truth, keep, moments=self._settings.affect_moments, across=self._settings.affect_across
            )
        if self._settings.affect_loss in ('mse', 'both'):
            loss = loss + squared_loss(values, truth, keep)
        return loss


def _weighted(loss: Callable[[Tensor], Tensor], counted: Tensor, weights: Tensor) -> Tensor:
    """The loss over the counted frames, that of pseudo-labels (weights below 1) computed separately."""
    is_guess = counted & (weights < 1)
    if not is_guess.any():
        return loss(counted)
    real = counted & ~is_guess
    count, share = real.sum(), weights[is_guess].sum()
    return (count * loss(real) + share * loss(is_guess)) / (count + share).clamp(min=1e-12)
