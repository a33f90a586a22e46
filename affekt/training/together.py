"""Folds and draws of hyper-parameters trained as one batched model: measured to be faster for small models on a CPU.

The steps are those of `train`, in one pass through the program for all models. It is faster if a step is very short:
eight linear models on 384 features take less than half the CPU time, four of H = 64 on 384 features a fifth less, ten
of H = 64 on three features of 512 the same. It is slower if their weights together outgrow the cache: at H = 128 on
features of 512 and more, one by one is faster on a CPU.

Models of one shape have their weights stacked, (K, …), and every step runs each on its own batch. Axes: K models, B
batch.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from affekt.errors import ShapeError, TrainingError, ValueRangeError
from affekt.nn import read_tensors, save_tensors, seeded
from affekt.runs import Run
from affekt.training.checkpoints import below, fitting, moments_of, restore_moments
from affekt.training.optimiser import Adam, Uncompiled
from affekt.training.precision import PRECISIONS, usable_precision
from affekt.training.samples import UNKNOWN, Batch, Samples, epoch_batches, epoch_seed
from affekt.training.scoring import known_truth, score_of, task_sums
from affekt.training.settings import RENAMED, TrainingSettings
from affekt.training.standing import CHECKPOINT, Row, Standing, Trained, ended, judge, state_of
from affekt.training.supervised import predict, require_clock, standardise


@dataclass(frozen=True)
class Split:
    """The training and validation samples of one model: (M,) indices each."""

    training: Tensor
    validation: Tensor


def train_together(
    models: Sequence[nn.Module],
    samples: Samples,
    splits: Sequence[Split],
    settings: Sequence[TrainingSettings],
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[list[Row]], None] | None = None,
) -> list[Trained]:
    """The results of `train` for each model alone, except for the draws of dropout.

    Args:
        models: models of one class and shape; changed in place.
        samples: samples of all splits.
        splits: one per model.
        settings: one per model; they may differ in seed, learning rate, weight decay and clipping.
        folder: folder for a checkpoint of each epoch.
        resume: continue in the folder of a killed run; results equal those of an uninterrupted run.
        report: called with the rows of each epoch, one per model.

    Raises:
        RunError: the folder holds another run.
        ShapeError: the numbers of models, splits and settings differ, the models differ in shape, or need a common
            clock that the samples lack.
        ValueRangeError: settings differ in what must be the same for all.
        TrainingError: the checkpoint in the folder is of other models; or the models have a layer that torch cannot
            batch over models: an LSTM.
    """
    common = _checked(models, splits, settings)
    score = score_of(common.score)
    require_clock(models[0], samples)
    # 1. Estimate the scale of each model's own training samples.
    parts = [(samples.subset(split.training), samples.subset(split.validation)) for split in splits]
    for model, (training, _) in zip(models, parts, strict=True):
        standardise(model, training)
    # 2. Stack the weights; move everything to the device.
    samples = samples.to(common.device)
    weights, buffers = stack_module_state([model.to(common.device) for model in models])
    base = copy.deepcopy(models[0]).to('meta').train()
    optimiser = _optimiser(list(weights.values()), splits, settings)
    lengths = samples.lengths()
    standing = [Standing(best=state_of(model)) for model in models]
    saved = {'models': [asdict(model_settings) for model_settings in settings]}
    with contextlib.nullcontext() if folder is None else Run(folder, saved, resume=resume, renamed=RENAMED) as run:
        if run and resume:
            _restore(run.folder / CHECKPOINT, models, weights, optimiser, standing)
        for epoch in range(max(len(state.rows()) for state in standing) + 1, common.epochs + 1):
            if all(ended(state, epoch, common) for state in standing):
                break
            # 3. Train all models for one epoch.
            rows = _epoch(base, weights, buffers, optimiser, samples, splits, settings, lengths, epoch)
            # 4. Evaluate each on its own validation.
            for k, (model, (_, validation)) in enumerate(zip(models, parts, strict=True)):
                if ended(standing[k], epoch, common):
                    continue
                _unstack(model, weights, k)
                predicted = predict(model, validation.to(common.device))
                rows[k] |= {'epoch': float(epoch), 'score': score(predicted, validation)}
                judge(standing[k], model, rows[k], predicted, validation)
            # 5. Save before the next epoch.
            if run:
                _save(run.folder / CHECKPOINT, weights, optimiser, standing)
            if report:
                report(rows)
    return [state.trained(model) for state, model in zip(standing, models, strict=True)]


def _save(path: Path, weights: dict[str, Tensor], optimiser: torch.optim.Optimizer, standing: list[Standing]) -> None:
    tensors = {f'model.{name}': value for name, value in weights.items()} | moments_of(optimiser)
    for k, state in enumerate(standing):
        tensors |= {f'best{k}.{name}': value for name, value in state.best.items()}
    save_tensors(path, tensors, {'progress': json.dumps([state.notes() for state in standing])})


def _restore(
    path: Path,
    models: Sequence[nn.Module],
    weights: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    standing: list[Standing],
) -> None:
    """Continue from a checkpoint, or from the start if the run was killed before the first one."""
    if not path.exists():
        return
    tensors, notes = read_tensors(path)
    saved = below(tensors, 'model.')
    with fitting('run'):
        if len(saved) != len(weights):
            raise ValueError(f'{len(saved)} stacked tensors for a model of {len(weights)}')
        for k, model in enumerate(models):  # the model itself renames keys of older versions
            model.load_state_dict(model.state_dict() | {name: value[k] for name, value in saved.items()})
        states = [model.state_dict() for model in models]
        with torch.no_grad():
            for name, value in weights.items():
                value.copy_(torch.stack([state[name] for state in states]))
        for k, (standing_of_model, progress) in enumerate(zip(standing, json.loads(notes['progress']), strict=True)):
            standing_of_model.restore(progress, below(tensors, f'best{k}.'))
        restore_moments(optimiser, tensors)


def _epoch(
    base: nn.Module,
    weights: dict[str, Tensor],
    buffers: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    splits: Sequence[Split],
    settings: Sequence[TrainingSettings],
    lengths: Tensor,
    epoch: int,
) -> list[Row]:
    """One pass of every model over its training samples; returns each one's mean losses, nan without known truth."""

    def losses_of(weights: Any, buffers: Any, features: Any, keep: Any, truths: Any) -> dict[str, Tensor]:
        answer = functional_call(base, (weights, buffers), (features, keep))
        return task_sums(answer, Batch(features, keep, truths.get('labels'), truths.get('values')))

    batched_losses = torch.vmap(losses_of, randomness='different')
    common, totals = settings[0], dict[str, tuple[Tensor, Tensor]]()
    plans = []
    for split, model_settings in zip(splits, settings, strict=True):
        order = torch.Generator().manual_seed(epoch_seed(model_settings.seed, epoch, 0))
        plans.append(
            epoch_batches(split.training, lengths, model_settings.batch_size, order, shuffle=model_settings.shuffle)
        )
    device_type, precision = torch.device(common.device).type, usable_precision(common.device, common.precision)
    with seeded(epoch_seed(common.seed, epoch, 1), torch.device(common.device)):
        for step in range(max(map(len, plans))):
            part, is_real = _stacked_batch(samples, plans, step)
            with torch.autocast(device_type, PRECISIONS['bfloat16'], enabled=precision == 'bfloat16'):
                truths = {'labels': part.labels, 'values': part.values}
                truths = {name: truth for name, truth in truths.items() if truth is not None}
                losses = _batched(batched_losses, weights, buffers, part.features, part.keep_mask, truths)
            if len(losses) > 2 and not is_real.all() and not hasattr(base, 'scales'):
                raise ShapeError(
                    expected='batches of one size for losses over whole batches',
                    came=f'{is_real.sum(dim=1).tolist()} samples',
                    todo='choose a batch size that divides all folds, or train one by one',
                )
            loss = torch.stack([value.float() for value in losses.values()]).sum(dim=0)  # (K,)
            optimiser.zero_grad()
            loss.sum().backward()
            _clip(weights, settings)
            if isinstance(optimiser, _SeparateAdam):
                optimiser.is_active = torch.tensor([step < len(plan) for plan in plans])
            optimiser.step()
            counts = is_real.sum(dim=1)
            has_truth = {name: mask.flatten(1).any(dim=1) for name, mask in known_truth(part).items()}  # (K,)
            for name, value in {**losses, 'training_loss': loss}.items():
                weights_of_step = counts * has_truth[name] if name in has_truth else counts
                total, weight = totals.get(name, (torch.zeros(len(splits), device=loss.device),) * 2)
                totals[name] = total + value.detach() * weights_of_step, weight + weights_of_step
    table = {name: (total / weight).tolist() for name, (total, weight) in totals.items()}  # 0 / 0 = nan
    return [{name: column[k] for name, column in table.items()} for k in range(len(splits))]


def _batched(batched_losses: Callable[..., dict[str, Tensor]], *inputs: Any) -> dict[str, Tensor]:
    """The losses of all models; a clear error where torch has no batched form of a layer, as for its LSTMs."""
    try:
        return batched_losses(*inputs)
    except RuntimeError as error:
        if 'Batching rule' not in str(error):
            raise
        raise TrainingError(
            expected='a model whose layers torch can batch over models',
            came=str(error).split('. ')[0],
            todo='train one by one with `train`: torch has no batched LSTM',
        ) from error


def _stacked_batch(samples: Samples, plans: list[list[Tensor]], step: int) -> tuple[Batch, Tensor]:
    """The step's batches as (K, B, …), and (K, B) True for real rows; padding rows are masked and have no truth."""
    indices = [plan[step] if step < len(plan) else plan[0][:0] for plan in plans]
    size = max(map(len, indices))
    is_real = torch.stack([torch.arange(size) < len(index) for index in indices])  # (K, B)
    index = torch.stack(
        [torch.cat([model_index, plans[0][0][:1].expand(size - len(model_index))]) for model_index in indices]
    )
    flat = samples.batch(index.flatten())  # of K B samples
    is_real = is_real.to(next(iter(flat.features.values())).device)
    is_whole = bool(is_real.all())

    def stacked(tensor: Tensor) -> Tensor:
        return tensor.view(len(plans), size, *tensor.shape[1:])  # (K, B, …)

    features = {name: stacked(value) for name, value in flat.features.items()}
    keep = {name: stacked(value) for name, value in flat.keep_mask.items()}
    if not is_whole:
        for name, value in features.items():
            mask = keep.get(name, torch.ones(value.shape[:-1], dtype=torch.bool, device=value.device))
            keep[name] = mask & is_real.view(*is_real.shape, *[1] * (mask.ndim - 2))  # (K, B) or (K, B, T)
    labels = None if flat.labels is None else torch.where(is_real, stacked(flat.labels), UNKNOWN)
    values = None if flat.values is None else torch.where(is_real.unsqueeze(2), stacked(flat.values), torch.nan)
    return Batch(features, keep, labels, values), is_real


class _SeparateAdam(Uncompiled):
    """Adam with a separate learning rate, weight decay and number of steps for each of K stacked models."""

    def __init__(self, weights: list[Tensor], rates: Tensor, decays: Tensor) -> None:
        super().__init__(weights, {})
        self.rates, self.decays = rates, decays
        self.is_active = torch.ones(len(rates), dtype=torch.bool)
        """(K,) models that have a batch in this step; the others stay as they are."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        with torch.no_grad():
            for weight in self.param_groups[0]['params']:
                if weight.grad is None:
                    continue
                shape = [len(self.rates), *[1] * (weight.ndim - 1)]
                state = self.state[weight]
                if not state:
                    state |= {'mean': torch.zeros_like(weight), 'square': torch.zeros_like(weight)}
                    state['step'] = torch.zeros(())
                elif 'exp_avg' in state:  # of an older version, which had one optimiser for all models here
                    state |= {'mean': state.pop('exp_avg'), 'square': state.pop('exp_avg_sq')}
                steps = (state['step'].cpu() + 1).expand(len(self.rates))  # (K,)
                gradient = weight.grad + weight * self.decays.view(shape)
                mean = state['mean'].lerp(gradient, 0.1)
                square = (state['square'] * 0.999).addcmul_(gradient, gradient, value=0.001)
                mean_scale, square_scale = (1 - decay ** steps.double() for decay in (0.9, 0.999))
                root = (square / square_scale.to(square).view(shape)).sqrt_().add_(1e-8)
                update = mean / root * (self.rates / mean_scale.to(self.rates)).view(shape)
                is_active = self.is_active.to(weight.device).view(shape)
                weight.sub_(torch.where(is_active, update, 0.0))
                state['mean'] = torch.where(is_active, mean, state['mean'])
                state['square'] = torch.where(is_active, square, state['square'])
                state['step'] = torch.where(self.is_active, steps, steps - 1)


def _optimiser(
    weights: list[Tensor], splits: Sequence[Split], settings: Sequence[TrainingSettings]
) -> torch.optim.Optimizer:
    rates, decays, batches = (
        {model_settings.learning_rate for model_settings in settings},
        {model_settings.weight_decay for model_settings in settings},
        {math.ceil(len(split.training) / settings[0].batch_size) for split in splits},
    )
    if len(rates) == len(decays) == len(batches) == 1:
        return Adam(weights, rates.pop(), decays.pop())
    device = weights[0].device
    return _SeparateAdam(
        weights,
        torch.tensor([model_settings.learning_rate for model_settings in settings], device=device),
        torch.tensor([model_settings.weight_decay for model_settings in settings], device=device),
    )


def _clip(weights: dict[str, Tensor], settings: Sequence[TrainingSettings]) -> None:
    """Clip each model's gradient to its own maximum norm, then to its own maximum entry."""
    gradients = [weight.grad for weight in weights.values() if weight.grad is not None]
    if any(model_settings.clip_norm is not None for model_settings in settings):
        # (K, …) gradients to (K,) norms each, then (tensors, K)
        norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        longest = torch.tensor(
            [model_settings.clip_norm or torch.inf for model_settings in settings], device=norms.device
        )
        scales = (longest / (norms.square().sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        if not bool((scales == 1).all()):
            for gradient in gradients:
                gradient.mul_(scales.view(-1, *[1] * (gradient.ndim - 1)))
    if any(model_settings.clip_value is not None for model_settings in settings):
        largest = torch.tensor([model_settings.clip_value or torch.inf for model_settings in settings])
        for gradient in gradients:
            limit = largest.to(gradient).view(-1, *[1] * (gradient.ndim - 1))
            gradient.copy_(torch.minimum(torch.maximum(gradient, -limit), limit))


def _unstack(model: nn.Module, weights: dict[str, Tensor], k: int) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name][k])


def _checked(
    models: Sequence[nn.Module], splits: Sequence[Split], settings: Sequence[TrainingSettings]
) -> TrainingSettings:
    """The settings that all models share."""
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in models]
    if not len(models) == len(splits) == len(settings) >= 1 or any(shape != shapes[0] for shape in shapes):
        raise ShapeError(
            expected='as many models as splits and settings, all models of one shape',
            came=f'{len(models)} models, {len(splits)} splits, {len(settings)} settings',
            todo='train models of another shape in another call',
        )
    shared = {
        replace(model_settings, seed=0, learning_rate=1.0, weight_decay=0.0, clip_norm=None, clip_value=None)
        for model_settings in settings
    }
    if len(shared) != 1:
        raise ValueRangeError(
            expected='settings that differ in seed, rate, decay and clipping alone',
            came='others that differ',
            todo='group the draws by the rest',
        )
    return settings[0]
