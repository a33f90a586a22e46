"""Supervised training: seeded, with early stopping by validation alone, resumable after a kill with the same results.

Read `train` first; its steps are those of `engine.py`. It never sees a test set.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, TrainingError
from affekt.nn import read_tensors, save_tensors, seeded
from affekt.training.checkpoints import below, fitting
from affekt.training.engine import Engine, run_folder
from affekt.training.optimiser import Adam
from affekt.training.parallel import Ranks
from affekt.training.samples import Batch, Samples, epoch_batches, epoch_seed
from affekt.training.scoring import Predicted, known_truth, score_of, task_losses
from affekt.training.settings import RENAMED, EngineSettings, TrainingSettings
from affekt.training.standing import CHECKPOINT, Row, Standing, Trained, ended, judge, state_of
from affekt.training.unlabelled import Lesson, Unlabelled

STEPS_AT_ONCE = 16_384
"""Maximum steps of all samples in a prediction batch, padding included."""


def train(
    model: nn.Module,
    training: Samples,
    validation: Samples,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    unlabelled: Unlabelled | None = None,
) -> Trained:
    """Train a model; returns it at its best epoch on validation.

    Args:
        model: maps features and a keep mask to logits, values and losses; changed in place. A submodule named
            `backbone` may have a learning rate of its own, or be frozen.
        training: samples to train on.
        validation: samples for early stopping and the choice of the epoch.
        settings: all settings that results depend on.
        folder: folder for a checkpoint of each epoch, without frozen parameters.
        resume: continue in the folder of a killed run; results equal those of an uninterrupted run.
        report: called with the row of each epoch.
        unlabelled: unlabelled samples for each step; see `train_semi`.

    Raises:
        RunError: the folder holds another run.
        UnknownNameError: unknown score.
        ShapeError: the model needs modalities on one clock, and their lengths differ.
        TrainingError: the checkpoint in the folder is of another model, or another process of the run (see
            `parallel.py`) died or does not answer.
    """
    # 1. Move everything to the device.
    score = score_of(settings.score)
    require_clock(model, training, validation, *([unlabelled.samples] if unlabelled else []))
    ranks = _ranks(settings.device)
    training, validating = training.to(ranks.device), validation.to(ranks.device)
    model.to(ranks.device)
    # 2. Estimate the scale of the inputs from the training data.
    standardise(model, training)
    lessons = _Lessons(unlabelled)
    optimiser = Adam(_parameter_groups(model, settings), settings.learning_rate, settings.weight_decay)
    engine = Engine(
        model, optimiser, lessons.losses, _engine_settings(settings), weigh=_size_of,
        weigh_losses={} if training.is_known else KNOWN_COUNTS, ranks=ranks,
    )  # fmt: skip
    evaluated = unlabelled.begin(model, engine.device) if unlabelled else model
    standing = Standing(best=state_of(model))
    scaled, validating, without_scaling = scaled_once(model, training, validating, unlabelled)
    saved = asdict(settings) | (unlabelled.facts() if unlabelled else {})
    with run_folder(folder, saved, resume, ranks, RENAMED) as run_path:
        if run_path and resume:
            _restore(run_path / CHECKPOINT, engine, standing, unlabelled)
        for epoch in range(len(standing.rows()) + 1, settings.epochs + 1):
            if ended(standing, epoch, settings):
                break
            with without_scaling():
                # 3. Train for one epoch.
                row = _pass(engine, lessons, scaled, settings, epoch)
                # 4. Evaluate on validation.
                predicted = predict(evaluated, validating)
            row |= {'epoch': float(epoch), 'score': ranks.agreed(score(predicted, validation))}
            judge(standing, evaluated, row, predicted, validation)
            # 5. Save before the next epoch.
            if run_path and ranks.first:
                _save(run_path / CHECKPOINT, engine, standing, unlabelled)
            if report and ranks.first:
                report(row)
    return standing.trained(model)


def predict(model: nn.Module, samples: Samples, *, batch: int | None = None) -> Predicted:
    """A model's predictions, in the order of the samples; sequences of similar length are batched together.

    Args:
        model: the model; its mode (training or evaluation) is restored.
        samples: samples with its modalities, on its device.
        batch: maximum samples at once; None for the model's `reads_at_once`, or 512.
    """
    require_clock(model, samples)
    batch = batch or int(getattr(model, 'reads_at_once', 512))
    lengths = samples.lengths()
    one_length = bool((lengths == lengths[0]).all())
    order = torch.arange(len(samples)) if one_length else torch.argsort(lengths, stable=True)
    trained = model.training
    model.eval()
    logits, values = [], []
    with torch.no_grad():
        for index in _pieces(order, lengths, batch):
            part = samples.batch(slice(int(index[0]), int(index[-1]) + 1) if one_length else index)
            answer = model(part.features, part.keep_mask)
            logits.append(answer.logits.float().cpu())
            values.append(answer.values.float().cpu())
    model.train(trained)
    original_order = torch.argsort(order)
    return Predicted(torch.cat(logits)[original_order], torch.cat(values)[original_order])


def _pieces(order: Tensor, lengths: Tensor, limit: int) -> Iterator[Tensor]:
    """Samples in order of length, in batches that are limited in samples, and in steps so that they fit in memory."""
    start = 0
    while start < len(order):
        part = order[start : start + limit]
        fits = lengths[part] * torch.arange(1, len(part) + 1) <= STEPS_AT_ONCE
        part = part[: max(int(fits.sum()), 1)]
        start += len(part)
        yield part


def require_clock(model: nn.Module, *parts: Samples) -> None:
    """Check that the samples have a common clock if the model needs one.

    Raises:
        ShapeError: the lengths of the modalities differ, and the model needs a common clock.
    """
    if getattr(model, 'aligned', False) and not all(part.aligned for part in parts):
        raise ShapeError(
            expected=f'equally many steps in every modality of a sample for {type(model).__name__}',
            came='sequences of unequal lengths',
            todo='resample the modalities to one clock (`frm_align`), or choose a model that needs none',
        )


def standardise(model: nn.Module, training: Samples) -> None:
    """Let the model estimate the scale of its inputs from training data, if it can."""
    fit = getattr(model, 'standardise_on', None)
    if callable(fit):
        fit(*training.steps())


@runtime_checkable
class _Scaling(Protocol):
    def standardised(self, features: Mapping[str, Any]) -> Any: ...
    def without_scaling(self) -> contextlib.AbstractContextManager[None]: ...


def scaled_once(
    model: nn.Module, training: Samples, validation: Samples, unlabelled: Unlabelled | None
) -> tuple[Samples, Samples, Callable[[], contextlib.AbstractContextManager[None]]]:
    """Both parts, with vectors scaled once if the model scales its inputs; and the context for calling it on them."""
    if unlabelled or not isinstance(model, _Scaling) or not (training.has_vectors and validation.has_vectors):
        return training, validation, contextlib.nullcontext
    parts = [replace(part, features=model.standardised(part.features)) for part in (training, validation)]
    return parts[0], parts[1], model.without_scaling


def _ranks(device: str) -> Ranks:
    ranks = Ranks(device)
    if ranks.spreads:
        raise TrainingError(
            expected='one whole model in each process',
            came='a launch with FSDP',
            todo='launch without it: such models are small; or train with `Engine`',
        )
    return ranks


def _parameter_groups(model: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameter groups with their learning rates: the backbone separate from the rest."""
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, nn.Module):
        return [{'params': list(model.parameters())}]
    if settings.backbone_share == 0.0:
        backbone.requires_grad_(False)
    backbone_ids = {id(parameter) for parameter in backbone.parameters()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in backbone_ids]
    backbone_group = {'params': list(backbone.parameters()), 'lr': settings.learning_rate * settings.backbone_share}
    return [{'params': others}, *([backbone_group] if settings.backbone_share else [])]


def _engine_settings(settings: TrainingSettings) -> EngineSettings:
    return EngineSettings(
        seed=settings.seed, precision=settings.precision, clip_norm=settings.clip_norm, clip_value=settings.clip_value,
        device=settings.device,
    )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """This process's share of a batch, and the number of its samples that count."""

    batch: Batch
    size: int


def _size_of(part: _Part) -> float:
    return part.size


def _known_count(name: str, part: _Part) -> float:
    """Number of the share's truths that a loss is a mean over."""
    masks = known_truth(part.batch)
    return float(masks[name].sum()) if part.size and name in masks else 0.0


KNOWN_COUNTS = {name: partial(_known_count, name) for name in ('category', 'value')}


class _Lessons:
    """The losses of a step: of labelled samples, and of unlabelled ones if there are any."""

    def __init__(self, unlabelled: Unlabelled | None) -> None:
        self.unlabelled = unlabelled
        self.lesson: Lesson | None = None

    def losses(self, model: nn.Module, part: _Part) -> dict[str, Tensor | None]:
        """Losses of a step by name, None without known truth."""
        losses = task_losses(model(part.batch.features, part.batch.keep_mask), part.batch)
        return losses | self.lesson.losses(model) if self.lesson else losses


def _pass(engine: Engine, lessons: _Lessons, training: Samples, settings: TrainingSettings, epoch: int) -> Row:
    """One epoch; returns the mean of each loss. Order and dropout depend on seed and epoch alone."""
    ranks, unlabelled = engine.ranks, lessons.unlabelled
    order = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch, 0))
    steps = []
    with seeded(epoch_seed(settings.seed, epoch, 1 + ranks.rank), engine.device):
        if unlabelled:
            lessons.lesson = unlabelled.lesson(settings, epoch, ranks)
        index = torch.arange(len(training))
        batches = epoch_batches(index, training.lengths(), settings.batch_size, order, shuffle=settings.shuffle)
        for step in engine.steps(_parts(training, batches, ranks)):
            if unlabelled:
                unlabelled.follow(engine.model)
            steps.append(step)
    row = engine.mean_losses(steps)
    row['training_loss'] = row.pop('loss')
    return row | lessons.lesson.facts() if lessons.lesson else row


def _parts(training: Samples, batches: Iterable[Tensor], ranks: Ranks) -> Iterator[_Part]:
    for index in batches:
        own_index, weight = ranks.share(index)
        yield _Part(training.batch(own_index), len(own_index) if weight else 0)


def _save(path: Path, engine: Engine, standing: Standing, unlabelled: Unlabelled | None) -> None:
    tensors, notes = engine.state()
    tensors |= {f'best.{name}': value for name, value in standing.best.items()}
    if unlabelled:
        tensors |= {f'unlabelled.{name}': value for name, value in unlabelled.state().items()}
    save_tensors(path, tensors, {'progress': json.dumps(standing.notes()), 'engine': json.dumps(notes)})


def _restore(path: Path, engine: Engine, standing: Standing, unlabelled: Unlabelled | None) -> None:
    """Continue from a checkpoint, or from the start if the run was killed before the first one."""
    if not path.exists():
        return
    tensors, notes = read_tensors(path)
    with fitting('run'):
        engine.restore(tensors, json.loads(notes.get('engine', '{}')))  # older versions did not write it
        standing.restore(json.loads(notes['progress']), below(tensors, 'best.'))
        if unlabelled:
            unlabelled.restore(below(tensors, 'unlabelled.'))
