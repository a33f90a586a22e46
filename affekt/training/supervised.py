"""The one training loop: seeded, stopped by validation alone, resumed to the same numbers after a kill.

Read `train` first. It never sees a test set.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError
from affekt.nn import read_tensors, save_tensors
from affekt.runs import Run
from affekt.training.optimiser import Adam
from affekt.training.parallel import Ranks, join_launched
from affekt.training.progress import (
    CHECKPOINT,
    Progress,
    Row,
    Trained,
    below,
    changing,
    ended,
    judge,
    moments_of,
    restore_moments,
    state_of,
)
from affekt.training.samples import Samples, epoch_batches, epoch_seed
from affekt.training.scoring import Predicted, score_of, task_losses
from affekt.training.settings import RENAMED, TrainingSettings
from affekt.training.unlabelled import Unlabelled

STEPS_AT_ONCE = 16_384
"""Of all samples together when a model answers; the padding is counted."""


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
    """Train a model and return it as it was at its best epoch on validation.

    Args:
        model: what maps features and a keep mask to logits, values and losses; changed in place. A module of it named
            `backbone` may have a rate of its own, or none.
        training: what it learns from.
        validation: what decides when to stop and which epoch is best.
        settings: all that the numbers depend on.
        folder: keeps a checkpoint of each epoch, without the parameters that are not trained.
        resume: go on in a folder that a killed run left; the numbers are those of a run that was not killed.
        report: called with each epoch's row.
        unlabelled: what each step learns from besides; see `train_semi`.

    Raises:
        RunError: the folder holds another run.
        UnknownNameError: no such score.
        ShapeError: the model needs modalities on one clock, and their lengths differ.
        TrainingError: another process that trains along (see `parallel.py`) is gone, or does not answer.
    """
    # 1. place everything on the device, once
    score = score_of(settings.score)
    require_clock(model, training, validation, *([unlabelled.samples] if unlabelled else []))
    device = join_launched(settings.device)
    training, there = training.to(device), validation.to(device)
    model.to(device)
    # 2. take the scale of the inputs from training data
    standardise(model, training)
    optimiser = Adam(_groups(model, settings), settings.learning_rate, settings.weight_decay)
    ranks = Ranks()
    ranks.same(model)
    judged = unlabelled.begin(model, torch.device(device)) if unlabelled else model
    progress = Progress(best=state_of(model))
    held, there, taking_those = scaled_once(model, training, there, unlabelled)
    facts = asdict(settings) | (unlabelled.facts() if unlabelled else {})
    with _run(folder, facts, resume, ranks) as run:
        if run and resume:
            _restore(run.folder / CHECKPOINT, model, optimiser, progress, unlabelled)
        for epoch in range(len(progress.rows()) + 1, settings.epochs + 1):
            if ended(progress, epoch, settings):
                break
            with taking_those():
                # 3. one pass over the training samples
                row = _pass(model, optimiser, held, replace(settings, device=device), epoch, ranks, unlabelled)
                # 4. what validation says
                predicted = predict(judged, there)
            row |= {'epoch': float(epoch), 'score': ranks.agreed(score(predicted, validation), device)}
            judge(progress, judged, row, predicted, validation)
            # 5. on disk before the next epoch
            if run and ranks.first:
                _save(run.folder / CHECKPOINT, model, optimiser, progress, unlabelled)
            if report and ranks.first:
                report(row)
    return progress.trained(model)


def predict(model: nn.Module, samples: Samples, *, batch: int | None = None) -> Predicted:
    """A model's answers, in the order of the samples; sequences of like length are read together.

    Args:
        model: in whatever mode; it is left in that.
        samples: of its modalities, on its device.
        batch: samples at once, at most; None for what the model says in `reads_at_once`, or 512.
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
    back = torch.argsort(order)
    return Predicted(torch.cat(logits)[back], torch.cat(values)[back])


def _pieces(order: Tensor, lengths: Tensor, most: int) -> Iterator[Tensor]:
    """Samples in order of length, at most so many at once, and so few that long sequences fit in memory."""
    begin = 0
    while begin < len(order):
        part = order[begin : begin + most]
        fits = lengths[part] * torch.arange(1, len(part) + 1) <= STEPS_AT_ONCE
        part = part[: max(int(fits.sum()), 1)]
        begin += len(part)
        yield part


def require_clock(model: nn.Module, *parts: Samples) -> None:
    """Nothing where the model needs no common clock, or the samples have one.

    Raises:
        ShapeError: they have not.
    """
    if getattr(model, 'aligned', False) and not all(part.aligned for part in parts):
        raise ShapeError(
            expected=f'equally many steps in every modality of a sample for {type(model).__name__}',
            came='sequences of unequal lengths',
            todo='resample the modalities to one clock (`frm_align`), or choose a model that needs none',
        )


def standardise(model: nn.Module, training: Samples) -> None:
    """Let a model that can take the scale of its inputs from training data."""
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
    """Both parts, their vectors scaled once and not at each step where the model scales; and how it takes those."""
    if unlabelled or not isinstance(model, _Scaling) or not (training.has_vectors and validation.has_vectors):
        return training, validation, contextlib.nullcontext
    parts = [replace(part, features=model.standardised(part.features)) for part in (training, validation)]
    return parts[0], parts[1], model.without_scaling


def _groups(model: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """What is trained at which rate: a backbone apart from the rest."""
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, nn.Module):
        return [{'params': list(model.parameters())}]
    if settings.backbone_share == 0.0:
        backbone.requires_grad_(False)
    held = {id(parameter) for parameter in backbone.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in held]
    own = {'params': list(backbone.parameters()), 'lr': settings.learning_rate * settings.backbone_share}
    return [{'params': rest}, *([own] if settings.backbone_share else [])]


def _pass(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    training: Samples,
    settings: TrainingSettings,
    epoch: int,
    ranks: Ranks,
    unlabelled: Unlabelled | None,
) -> Row:
    """One epoch; returns the mean of each loss. Order and dropout depend on seed and epoch alone."""
    model.train()
    order = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch, 0))
    names: list[str] = []
    told, counts = [], []
    parameters = list(model.parameters())
    device_type = torch.device(settings.device).type
    devices = [torch.device(settings.device)] if device_type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(epoch_seed(settings.seed, epoch, 1 + ranks.rank))
        index = torch.arange(len(training))
        lesson = unlabelled.lesson(settings, epoch, ranks) if unlabelled else None
        for chosen in epoch_batches(index, training.lengths(), settings.batch_size, order, shuffle=settings.shuffle):
            mine, weight = ranks.share(chosen)
            for parameter in parameters:
                parameter.grad = None
            with torch.autocast(device_type, torch.bfloat16, enabled=settings.precision == 'bfloat16'):
                part = training.batch(mine)
                losses = task_losses(model(part.features, part.keep_mask), part)
                if lesson:
                    losses |= lesson.losses(model)
            names = list(losses)
            each = torch.stack([value.float() for value in losses.values()])
            each.sum().backward()
            each = ranks.averaged(model, each.detach(), weight)
            _clip(parameters, settings)
            optimiser.step()
            if unlabelled:
                unlabelled.follow(model)
            told.append(each)
            counts.append(len(chosen))
    weights = torch.tensor(counts, dtype=torch.float64) / len(training)
    means = (torch.stack(told).double().cpu() * weights.unsqueeze(1)).sum(dim=0)
    row = dict(zip([*names, 'training_loss'], [*means.tolist(), means.sum().item()], strict=True))
    return row | lesson.facts() if lesson else row


def _clip(parameters: Sequence[nn.Parameter], settings: TrainingSettings) -> None:
    held = [p for p in parameters if p.grad is not None]
    if settings.clip_norm is not None and held:
        longest = nn.utils.get_total_norm([p.grad for p in held if p.grad is not None])
        if longest.device.type != 'cpu' or not longest + 1e-6 <= settings.clip_norm:
            nn.utils.clip_grads_with_norm_(held, settings.clip_norm, longest)
    if settings.clip_value is not None:
        nn.utils.clip_grad_value_(held, settings.clip_value)


@contextlib.contextmanager
def _run(folder: Path | None, facts: dict[str, Any], resume: bool, ranks: Ranks) -> Iterator[Run | None]:
    """The run's folder, which the first rank alone writes; the others read its checkpoint."""
    if folder is None:
        yield None
        return
    if not ranks.first:
        ranks.wait()
        yield _Reader(folder)  # type: ignore[misc]
        return
    with Run(folder, facts, resume=resume, renamed=RENAMED) as run:
        ranks.wait()
        yield run


@dataclass(frozen=True)
class _Reader:
    folder: Path


def _save(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    unlabelled: Unlabelled | None,
) -> None:
    tensors = {f'model.{name}': value for name, value in changing(model).items()}
    tensors |= {f'best.{name}': value for name, value in progress.best.items()} | moments_of(optimiser)
    if unlabelled:
        tensors |= {f'unlabelled.{name}': value for name, value in unlabelled.state().items()}
    save_tensors(path, tensors, {'progress': json.dumps(progress.facts())})


def _restore(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    unlabelled: Unlabelled | None,
) -> None:
    """Go on from a checkpoint; from the start where the run was killed before its first."""
    if not path.exists():
        return
    tensors, notes = read_tensors(path)
    model.load_state_dict(model.state_dict() | below(tensors, 'model.'))
    progress.restore(json.loads(notes['progress']), below(tensors, 'best.'))
    restore_moments(optimiser, tensors)
    if unlabelled:
        unlabelled.restore(below(tensors, 'unlabelled.'))
