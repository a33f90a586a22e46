"""Losses on unlabelled samples: on pseudo-labels, or on predictions for a weakly perturbed copy of each sample.

A predicted category counts if its probability reaches a threshold; predicted values have no confidence, so that all
of them count.

Axes: B batch, T time, D feature, C classes, V values.

Source: Sohn et al. 2020 (FixMatch), arXiv:2001.07685; Tarvainen & Valpola 2017 (mean teacher), arXiv:1703.01780.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from affekt.errors import ValueRangeError
from affekt.training.averages import WeightAverage
from affekt.training.checkpoints import below
from affekt.training.parallel import Ranks
from affekt.training.samples import UNKNOWN, Batch, Samples, Sequences, epoch_batches, epoch_seed
from affekt.training.scoring import Answer, truth_losses
from affekt.training.settings import SemiSettings, TrainingSettings

ORDER, VIEWS = 400, 500
"""Streams of an epoch's seed, different from those of the labelled samples."""


class Unlabelled:
    """Unlabelled samples for `train`, with the teacher that predicts their labels.

    Args:
        samples: samples; for `pseudo` with predictions as labels and values, otherwise without any.
        settings: settings of semi-supervised training.
    """

    def __init__(self, samples: Samples, settings: SemiSettings) -> None:
        self.samples, self.settings = samples, settings
        self._teacher: nn.Module | None = None
        self._average: WeightAverage | None = None

    def facts(self) -> dict[str, Any]:
        """Record of what a run depends on: settings, and a digest of the samples."""
        digest = hashlib.sha256()
        for name, value in sorted(self.samples.features.items()):
            rows = value.rows if isinstance(value, Sequences) else value
            digest.update(f'{name} {tuple(rows.shape)} {float(rows.nan_to_num(0.0).sum(dtype=torch.float64))}'.encode())
        for truth in (self.samples.labels, self.samples.values):
            digest.update(b'' if truth is None else truth.cpu().numpy().tobytes())
        return {'semi': asdict(self.settings), 'unlabelled': {'count': len(self.samples), 'digest': digest.hexdigest()}}

    def begin(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Move everything to the device; returns the model to evaluate: the teacher, if there is one."""
        self.samples = self.samples.to(device)
        if self.settings.kind == 'consistency':
            self._scales = _scales(self.samples)
        if self.settings.teacher_decay is None or self.settings.kind == 'pseudo':
            return model
        # It is never trained, but its parameters are marked as the model's are: these marks say what an epoch keeps.
        self._teacher = copy.deepcopy(model).eval()
        self._average = WeightAverage(model, self.settings.teacher_decay, into=_tensors_of(self._teacher))
        return self._teacher

    def follow(self, model: nn.Module) -> None:
        """Update the teacher after a step."""
        if self._average:
            self._average.follow(model)

    def state(self) -> dict[str, Tensor]:
        """Tensors to store in a checkpoint."""
        if self._teacher is None or self._average is None:
            return {}
        teacher = {f'teacher.{name}': value for name, value in self._teacher.state_dict().items()}
        return {**teacher, 'steps': torch.tensor(self._average.steps)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from a stored `state`."""
        if self._teacher is not None and self._average is not None:
            self._average.steps = int(state['steps'])
            self._teacher.load_state_dict(below(state, 'teacher.'))

    def lesson(self, settings: TrainingSettings, epoch: int, ranks: Ranks) -> Lesson:
        """The batches of one epoch; their order and perturbations depend on seed, epoch and rank alone."""
        return Lesson(self, settings, epoch, ranks)

    def guesses(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch with predictions of the teacher, or of the model without dropout, as truth.

        Categories below the threshold are `UNKNOWN`.
        """
        predictor, was_training = self._teacher or model, model.training
        with torch.no_grad():
            answer: Answer = predictor.eval()(batch.features, batch.keep_mask)
        model.train(was_training)
        labels = None
        if answer.logits.shape[1]:
            confidence, labels = torch.softmax(answer.logits.float(), dim=1).max(dim=1)
            labels = torch.where(confidence >= self.settings.threshold, labels, UNKNOWN)
        values = answer.values.float() if answer.values.shape[1] else None
        return replace(batch, labels=labels, values=values, is_known=False)

    def disturbed(self, batch: Batch, noise: float, rng: torch.Generator) -> Batch:
        """A copy with Gaussian noise, whose standard deviation is `noise` times that of each feature."""
        noisy = {}
        for name, value in batch.features.items():
            draws = torch.randn(value.shape, generator=rng, device=value.device)
            noisy[name] = value + noise * self._scales[name][1] * draws
        return replace(batch, features=noisy)

    def thinned(self, batch: Batch, rng: torch.Generator) -> Batch:
        """A copy with random features set to their mean and random modalities removed, as in the settings."""
        thinned, keep = {}, dict(batch.keep_mask)
        for name, value in batch.features.items():
            # One draw per sample: a feature is removed at all its time steps.
            draws = torch.rand(len(value), *[1] * (value.ndim - 2), value.shape[-1], generator=rng, device=value.device)
            thinned[name] = torch.where(draws < self.settings.feature_dropout, self._scales[name][0], value)
        if len(thinned) > 1 and self.settings.modality_dropout > 0:
            for name, is_kept in _kept_modalities(thinned, keep, self.settings.modality_dropout, rng).items():
                mask = keep.get(name, torch.ones(thinned[name].shape[:-1], dtype=torch.bool, device=is_kept.device))
                keep[name] = mask & is_kept.view(-1, *[1] * (mask.ndim - 1))  # (B,) or (B, T)
        return replace(batch, features=thinned, keep_mask=keep)


class Lesson:
    """One epoch of batches of unlabelled samples.

    Raises:
        ValueRangeError: there are fewer samples in a batch than processes.
    """

    def __init__(self, unlabelled: Unlabelled, settings: TrainingSettings, epoch: int, ranks: Ranks) -> None:
        self._unlabelled, self._ranks = unlabelled, ranks
        order, size = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch, ORDER)), settings.batch_size
        size *= unlabelled.settings.ratio
        if min(size, len(unlabelled.samples)) < ranks.count:
            raise ValueRangeError(
                expected='an unlabelled sample for every process in each batch',
                came=f'{len(unlabelled.samples)} samples in batches of {size} for {ranks.count} processes',
                todo='start fewer processes',
            )
        self._batches = _without_end(unlabelled.samples, size, order)
        device = torch.device(settings.device)
        self._rng = torch.Generator(device).manual_seed(epoch_seed(settings.seed, epoch, VIEWS + ranks.rank))
        ramp = unlabelled.settings.ramp if unlabelled.settings.kind == 'consistency' else 0
        self._weight = unlabelled.settings.weight * min(1.0, epoch / ramp if ramp else 1.0)
        self._processed = 0
        self._sure = torch.zeros((), device=device)

    def losses(self, model: nn.Module) -> dict[str, Tensor | None]:
        """Weighted losses of one step: `unlabelled_category` and `unlabelled_value`, None where nothing is predicted.

        Samples below the threshold add 0 to the first.
        """
        unlabelled, settings = self._unlabelled, self._unlabelled.settings
        chunk = next(index for index in self._batches if len(index) >= self._ranks.count)
        batch = unlabelled.samples.batch(self._ranks.share(chunk)[0])
        if settings.kind == 'consistency':
            guessed = unlabelled.guesses(model, unlabelled.disturbed(batch, settings.weak_noise, self._rng))
            strong = unlabelled.thinned(unlabelled.disturbed(batch, settings.strong_noise, self._rng), self._rng)
            batch = replace(strong, labels=guessed.labels, values=guessed.values, is_known=False)
        answer: Answer = model(batch.features, batch.keep_mask)
        losses = truth_losses(answer.logits, answer.values, batch)  # without its own losses, which may read truth
        self._processed += len(batch)
        if batch.labels is not None and 'category' in losses:
            confident = (batch.labels != UNKNOWN).sum()
            self._sure += confident
            mean = losses['category']
            losses['category'] = answer.logits.sum() * 0.0 if mean is None else mean * (confident / len(batch))
        return {f'unlabelled_{name}': None if loss is None else self._weight * loss for name, loss in losses.items()}

    def facts(self) -> dict[str, float]:
        """The share of processed samples whose predicted category was confident enough."""
        return {'sure': self._sure.item() / max(self._processed, 1)}


def _tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _without_end(samples: Samples, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Batches of all samples in a new order each time, without end."""
    index, lengths = torch.arange(len(samples)), samples.lengths()
    while True:
        yield from epoch_batches(index, lengths, size, rng)


def _scales(samples: Samples) -> dict[str, tuple[Tensor, Tensor]]:
    """Modality to mean (D,) and standard deviation (D,) of its features where they are present."""
    features, keep = samples.steps()
    scales = {}
    for name, value in features.items():
        rows = value.flatten(0, -2) if keep[name].all() else value[keep[name]]  # (present rows, D)
        rows = rows if len(rows) else value.new_zeros((1, value.shape[-1]))
        mean = rows.mean(dim=0, dtype=torch.float64)
        pieces = rows.split(max(2**18 // rows.shape[1], 1))  # in double precision, piece by piece
        squares = torch.stack([(piece - mean).square().sum(dim=0) for piece in pieces]).sum(dim=0)
        scales[name] = (mean.float(), (squares / len(rows)).sqrt().float())
    return scales


def _kept_modalities(
    features: dict[str, Tensor], keep: dict[str, Tensor], rate: float, rng: torch.Generator
) -> dict[str, Tensor]:
    """Modality to (B,) bool, whether it stays; of the modalities of a sample, a random one always stays."""
    first = next(iter(features.values()))
    all_present = torch.ones(len(first), dtype=torch.bool, device=first.device)
    masks = [keep[name].view(len(first), -1).any(dim=1) if name in keep else all_present for name in features]
    present = torch.stack(masks, dim=1)  # (B, M)
    chances = torch.rand(present.shape, generator=rng, device=first.device)
    survivor = torch.where(present, torch.rand(present.shape, generator=rng, device=first.device), -1.0).argmax(dim=1)
    is_kept = (chances >= rate) | nn.functional.one_hot(survivor, present.shape[1]).bool()
    return {name: is_kept[:, column] for column, name in enumerate(features)}
