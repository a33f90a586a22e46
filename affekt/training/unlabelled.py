"""What a step learns from samples without truth: guesses made before, or a guess on a barely disturbed copy of each.

With categories a guess counts where its probability reaches a threshold; values have no certainty, so all guesses of
them count.

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

from affekt.training.averages import WeightAverage
from affekt.training.checkpoints import below
from affekt.training.parallel import Ranks
from affekt.training.samples import UNKNOWN, Batch, Samples, Sequences, epoch_batches, epoch_seed
from affekt.training.scoring import Answer, truth_losses
from affekt.training.settings import SemiSettings, TrainingSettings

ORDER, VIEWS = 400, 500
"""Uses of an epoch's seed, beside those of the labelled samples."""


class Unlabelled:
    """Samples that `train` learns from besides the labelled ones, and the teacher that answers for them.

    Args:
        samples: for `pseudo` with guesses as labels and values, else without any.
        settings: how.
    """

    def __init__(self, samples: Samples, settings: SemiSettings) -> None:
        self.samples, self.settings = samples, settings
        self._teacher: nn.Module | None = None
        self._average: WeightAverage | None = None

    def facts(self) -> dict[str, Any]:
        """What a run depends on: settings, and a digest of the samples."""
        digest = hashlib.sha256()
        for name, value in sorted(self.samples.features.items()):
            rows = value.rows if isinstance(value, Sequences) else value
            digest.update(f'{name} {tuple(rows.shape)} {float(rows.sum(dtype=torch.float64))}'.encode())
        for truth in (self.samples.labels, self.samples.values):
            digest.update(b'' if truth is None else truth.cpu().numpy().tobytes())
        return {'semi': asdict(self.settings), 'unlabelled': {'count': len(self.samples), 'digest': digest.hexdigest()}}

    def begin(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Place everything on the device; returns the model whose answers count, the teacher where there is one."""
        self.samples = self.samples.to(device)
        if self.settings.kind == 'consistency':
            self._scales = _scales(self.samples)
        if self.settings.teacher_decay is None or self.settings.kind == 'pseudo':
            return model
        self._teacher = copy.deepcopy(model).requires_grad_(False).eval()
        self._average = WeightAverage(model, self.settings.teacher_decay, into=_tensors_of(self._teacher))
        return self._teacher

    def follow(self, model: nn.Module) -> None:
        """Move the teacher after a step: the mean of all weights so far, then a running one."""
        if self._average:
            self._average.follow(model)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        if self._teacher is None or self._average is None:
            return {}
        teacher = {f'teacher.{name}': value for name, value in self._teacher.state_dict().items()}
        return {**teacher, 'steps': torch.tensor(self._average.steps)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        if self._teacher is not None and self._average is not None:
            self._average.steps = int(state['steps'])
            self._teacher.load_state_dict(below(state, 'teacher.'))

    def lesson(self, settings: TrainingSettings, epoch: int, ranks: Ranks) -> Lesson:
        """One epoch's batches; their order and disturbances depend on seed, epoch and rank alone."""
        return Lesson(self, settings, epoch, ranks)

    def guesses(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch with what the teacher, or the model without dropout, answers; unsure categories are `UNKNOWN`."""
        judge, was_training = self._teacher or model, model.training
        with torch.no_grad():
            answer: Answer = judge.eval()(batch.features, batch.keep_mask)
        model.train(was_training)
        labels = None
        if answer.logits.shape[1]:
            sure, labels = torch.softmax(answer.logits.float(), dim=1).max(dim=1)
            labels = torch.where(sure >= self.settings.threshold, labels, UNKNOWN)
        values = answer.values.float() if answer.values.shape[1] else None
        return replace(batch, labels=labels, values=values, is_known=False)

    def disturbed(self, batch: Batch, noise: float, rng: torch.Generator) -> Batch:
        """A copy with Gaussian noise of `noise` deviations of each feature."""
        noisy = {}
        for name, value in batch.features.items():
            drawn = torch.randn(value.shape, generator=rng, device=value.device)
            noisy[name] = value + noise * self._scales[name][1] * drawn
        return replace(batch, features=noisy)

    def thinned(self, batch: Batch, rng: torch.Generator) -> Batch:
        """A copy in which features stand at their mean and modalities are missing, by the settings' shares."""
        thin, keep = {}, dict(batch.keep_mask)
        for name, value in batch.features.items():
            # One draw a sample: a feature is gone for all its steps.
            drawn = torch.rand(len(value), *[1] * (value.ndim - 2), value.shape[-1], generator=rng, device=value.device)
            thin[name] = torch.where(drawn < self.settings.feature_dropout, self._scales[name][0], value)
        if len(thin) > 1 and self.settings.modality_dropout > 0:
            for name, stays in _staying(thin, keep, self.settings.modality_dropout, rng).items():
                mask = keep.get(name, torch.ones(thin[name].shape[:-1], dtype=torch.bool, device=stays.device))
                keep[name] = mask & stays.view(-1, *[1] * (mask.ndim - 1))  # (B,) or (B, T)
        return replace(batch, features=thin, keep_mask=keep)


class Lesson:
    """One epoch of unlabelled samples."""

    def __init__(self, unlabelled: Unlabelled, settings: TrainingSettings, epoch: int, ranks: Ranks) -> None:
        self._of, self._ranks = unlabelled, ranks
        order = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch, ORDER))
        self._batches = _without_end(unlabelled.samples, settings.batch_size * unlabelled.settings.ratio, order)
        device = torch.device(settings.device)
        self._rng = torch.Generator(device).manual_seed(epoch_seed(settings.seed, epoch, VIEWS + ranks.rank))
        ramp = unlabelled.settings.ramp if unlabelled.settings.kind == 'consistency' else 0
        self._weight = unlabelled.settings.weight * min(1.0, epoch / ramp if ramp else 1.0)
        self._seen = 0
        self._sure = torch.zeros((), device=device)

    def losses(self, model: nn.Module) -> dict[str, Tensor]:
        """The weighted losses of one step: `unlabelled_category`, to which unsure samples add 0, `unlabelled_value`."""
        of, settings = self._of, self._of.settings
        chosen = next(index for index in self._batches if len(index) >= self._ranks.count)
        batch = of.samples.batch(self._ranks.share(chosen)[0])
        if settings.kind == 'consistency':
            guessed = of.guesses(model, of.disturbed(batch, settings.weak_noise, self._rng))
            strong = of.thinned(of.disturbed(batch, settings.strong_noise, self._rng), self._rng)
            batch = replace(strong, labels=guessed.labels, values=guessed.values, is_known=False)
        answer: Answer = model(batch.features, batch.keep_mask)
        losses = truth_losses(answer.logits, answer.values, batch)  # a model's own losses may read truth: left out
        self._seen += len(batch)
        if batch.labels is not None and 'category' in losses:
            sure = (batch.labels != UNKNOWN).sum()
            self._sure += sure
            losses['category'] = losses['category'] * (sure / len(batch))
        return {f'unlabelled_{name}': self._weight * loss for name, loss in losses.items()}

    def facts(self) -> dict[str, float]:
        """The share of the samples seen whose category was sure enough."""
        return {'sure': self._sure.item() / max(self._seen, 1)}


def _tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _without_end(samples: Samples, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Batches of all samples in a new order, again and again."""
    index, lengths = torch.arange(len(samples)), samples.lengths()
    while True:
        yield from epoch_batches(index, lengths, size, rng)


def _scales(samples: Samples) -> dict[str, tuple[Tensor, Tensor]]:
    """Modality to mean (D,) and deviation (D,) of its features over all that is there."""
    features, keep = samples.steps()
    scales = {}
    for name, value in features.items():
        rows = value.flatten(0, -2) if keep[name].all() else value[keep[name]]  # (rows there are, D)
        rows = rows if len(rows) else value.new_zeros((1, value.shape[-1]))
        mean = rows.mean(dim=0, dtype=torch.float64)
        pieces = rows.split(max(2**18 // rows.shape[1], 1))  # in double precision, a piece at a time
        squares = torch.stack([(piece - mean).square().sum(dim=0) for piece in pieces]).sum(dim=0)
        scales[name] = (mean.float(), (squares / len(rows)).sqrt().float())
    return scales


def _staying(
    features: dict[str, Tensor], keep: dict[str, Tensor], rate: float, rng: torch.Generator
) -> dict[str, Tensor]:
    """Modality to (B,) bool: it stays. Of the modalities that a sample has, one drawn at random always does."""
    first = next(iter(features.values()))
    everyone = torch.ones(len(first), dtype=torch.bool, device=first.device)
    there = [keep[name].view(len(first), -1).any(dim=1) if name in keep else everyone for name in features]
    present = torch.stack(there, dim=1)  # (B, M)
    chances = torch.rand(present.shape, generator=rng, device=first.device)
    survivor = torch.where(present, torch.rand(present.shape, generator=rng, device=first.device), -1.0).argmax(dim=1)
    stays = (chances >= rate) | nn.functional.one_hot(survivor, present.shape[1]).bool()
    return {name: stays[:, at] for at, name in enumerate(features)}
