"""All settings that results of a pre-training run depend on besides form and clips; the defaults are as published."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import nn

from affekt.clips import process_count
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.pretraining.forms import Form, HicmaeForm
from affekt.pretraining.hicmae import CONTRAST_WEIGHT
from affekt.pretraining.masking import masked_count
from affekt.training import Schedule

Precision = Literal['auto', 'float32', 'bfloat16', 'float16']
RATE_BATCH = 256
"""Clips per step for which the learning rate is stated."""
WARM_UP_EPOCHS, WARM_UP_SHARE = 5, 0.1
BETAS = (0.9, 0.95)
PLACES = ('workers', 'device', 'snapshot_every', 'log_every', 'save_every', 'keep', 'precision', 'compiled')
"""Settings that do not affect a run's order of clips, masks and learning rates."""


@dataclass(frozen=True)
class PretrainingSettings:
    """Settings of pre-training a model; saved with the run.

    Args:
        seed: seed of the initial weights, the order of clips, windows, augmentation and masks.
        epochs: passes over all clips.
        steps: number of steps, instead of epochs; None to use epochs.
        batch_size: clips per step, over all processes and accumulated batches; published runs had 160 (HiCMAE)
            and 256 (SVFAP).
        accumulation: batches per step, for devices without memory for all of its clips. Reconstruction is that of one
            batch of all of them; the contrast compares the clips of each batch only.
        learning_rate: peak learning rate of AdamW for 256 clips per step; the rate used is proportional to
            `batch_size`.
        least_share: share of the peak learning rate at the last step.
        warm_up_epochs: epochs over which the learning rate rises from 0; None for 5, or a tenth of runs shorter than
            50 epochs.
        weight_decay: weight decay of all weights except vectors and mask tokens.
        decays_audio_mask_token: decay the audio mask token too, as the published program does by an oversight.
        contrast_weight: weight of the contrast of both modalities among the losses.
        gathers_contrast: contrast each clip with those of all processes; False for those of its own process, as
            published.
        is_difference: reconstruct the second frame of each pair as its difference from the first (HiCMAE).
        video_mask: share of video tokens hidden.
        audio_mask: share of audio tokens hidden.
        augments: whether frames are cropped to a random box, and audio is shifted and scaled.
        shifts_sound: False for no shift of audio, which the published program contains but, by a mistake, never
            applies.
        stride: distance between frames of a window, in frames of the clip.
        clip_norm: largest norm of the gradient; None for no limit, as published.
        precision: precision of matrix products; `auto` is bfloat16 if the device supports it natively, otherwise
            float32.
        compiled: compile the blocks of the model with torch.
        log_every: steps per row of the log.
        save_every: steps between checkpoints, a multiple of `log_every`.
        keep: number of most recent checkpoints to keep.
        snapshot_every: epochs between permanent copies of the weights, for a curve of the effect of pre-training; None
            for the last only.
        workers: threads that prepare batches in advance; 0 to prepare each when needed. Results are the same.
        device: device of the training.

    Raises:
        ValueRangeError: a setting is out of range.
        UnknownNameError: unknown precision.
    """

    seed: int = 0
    epochs: int = 100
    steps: int | None = None
    batch_size: int = 160
    accumulation: int = 1
    learning_rate: float = 3e-4
    least_share: float = 1 / 30
    warm_up_epochs: float | None = None
    weight_decay: float = 0.05
    decays_audio_mask_token: bool = False
    contrast_weight: float = CONTRAST_WEIGHT
    gathers_contrast: bool = False
    is_difference: bool = True
    video_mask: float = 0.9
    audio_mask: float = 0.8
    augments: bool = True
    shifts_sound: bool = True
    stride: int = 4
    clip_norm: float | None = None
    precision: Precision = 'float32'
    compiled: bool = False
    log_every: int = 10
    save_every: int = 100
    keep: int = 2
    snapshot_every: int | None = None
    workers: int = 2
    device: str = 'cpu'

    def __post_init__(self) -> None:
        minima: dict[str, float] = {
            'epochs': 1, 'batch_size': 1, 'accumulation': 1, 'stride': 1, 'log_every': 1, 'save_every': 1, 'keep': 1,
            'workers': 0, 'weight_decay': 0, 'contrast_weight': 0,
        }  # fmt: skip
        numbers: dict[str, float] = {name: getattr(self, name) for name in minima}
        for name in ('steps', 'snapshot_every'):
            if getattr(self, name) is not None:
                numbers[name], minima[name] = getattr(self, name), 1
        wrong = {name: number for name, number in numbers.items() if not minima[name] <= number < math.inf}
        shares = {name: getattr(self, name) for name in ('least_share', 'video_mask', 'audio_mask')}
        wrong |= {name: share for name, share in shares.items() if not 0 <= share <= 1}
        if not 0 < self.learning_rate < math.inf:
            wrong['learning_rate'] = self.learning_rate
        if self.warm_up_epochs is not None and not 0 <= self.warm_up_epochs < math.inf:
            wrong['warm_up_epochs'] = self.warm_up_epochs
        if not wrong and self.save_every % self.log_every:
            wrong['save_every'] = self.save_every
        if wrong:
            raise ValueRangeError(
                expected='counts of 1 or more, workers and weights of 0 or more, a positive learning rate, shares in '
                '[0, 1] and save_every a multiple of log_every',
                came=', '.join(f'{name} {value}' for name, value in wrong.items()), todo='correct them',
            )  # fmt: skip
        if self.precision not in ('auto', 'float32', 'bfloat16', 'float16'):
            raise UnknownNameError(
                expected='precision auto, float32, bfloat16 or float16', came=repr(self.precision), todo='choose one'
            )

    @property
    def scaled_rate(self) -> float:
        """The learning rate of this batch size."""
        return self.learning_rate * self.batch_size / RATE_BATCH

    def per_process(self, processes: int) -> int:
        """Clips of one batch of one process.

        Raises:
            ValueRangeError: a step's clips cannot be divided evenly.
        """
        parts = processes * self.accumulation
        if self.batch_size % parts:
            raise ValueRangeError(
                expected=f'a batch_size that processes x accumulation, {processes} x {self.accumulation}, share evenly',
                came=f'{self.batch_size}', todo=f'take a multiple of {parts}',
            )  # fmt: skip
        return self.batch_size // parts

    def steps_of(self, clips: int) -> tuple[int, float]:
        """The number of steps of a run on this many clips, and the steps per epoch."""
        per_epoch = clips // (self.batch_size // self.accumulation) / self.accumulation
        return self.steps or max(int(self.epochs * per_epoch), 1), per_epoch

    def require_form(self, form: Form) -> None:
        """Check that the masks hide some tokens of every modality and leave some, before any clip is decoded.

        Raises:
            ValueRangeError: they do not, as with frames of one patch.
        """
        if 'video' in form.modalities:
            masked_count(math.prod(form.video_grid[1:]), self.video_mask)
        if isinstance(form, HicmaeForm) and 'audio' in form.modalities:
            masked_count(math.prod(form.audio_grid), self.audio_mask)

    def require_clips(self, clips: int) -> None:
        """Check that a run on this many clips is possible, before any of them is decoded.

        Raises:
            ValueRangeError: there are too few for a batch, the launched processes cannot share it evenly, or the
                warm-up is longer than the run.
        """
        self.per_process(process_count())
        needed = self.batch_size // self.accumulation
        if clips < needed:
            raise ValueRangeError(
                expected=f'as many clips as a batch has, {needed}', came=f'{clips}',
                todo='add clips, or lower --batch-size',
            )  # fmt: skip
        self.schedule(*self.steps_of(clips))

    def schedule(self, steps: int, steps_per_epoch: float) -> Schedule:
        """Schedule of the learning rate: a rise from 0, then half a cosine down to `least_share`."""
        if self.warm_up_epochs is None:
            warm_up = min(WARM_UP_EPOCHS * steps_per_epoch, WARM_UP_SHARE * steps)
        else:
            warm_up = self.warm_up_epochs * steps_per_epoch
        if not warm_up < steps:
            raise ValueRangeError(
                expected=f'a warm-up shorter than the run of {steps:,} steps',
                came=f'{self.warm_up_epochs:g} epochs of {steps_per_epoch:g} steps', todo='lower warm_up_epochs',
            )  # fmt: skip
        return Schedule('cosine', round(warm_up), steps, self.least_share)

    def numbers(self) -> dict[str, Any]:
        """The settings that must stay the same when a run resumes; the engine checks the rest."""
        return {name: value for name, value in asdict(self).items() if name not in PLACES}


def decay_groups(model: nn.Module, settings: PretrainingSettings) -> list[dict[str, Any]]:
    """Two parameter groups for an optimiser: those with weight decay, and vectors and mask tokens without."""
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_token = name.startswith('mask_token') and not (
            settings.decays_audio_mask_token and name == 'mask_token_audio'
        )
        (undecayed if parameter.ndim <= 1 or is_token else decayed).append(parameter)
    rate = settings.scaled_rate
    groups = [
        {'params': decayed, 'lr': rate, 'weight_decay': settings.weight_decay},
        {'params': undecayed, 'lr': rate, 'weight_decay': 0.0},
    ]
    return [group for group in groups if group['params']]
