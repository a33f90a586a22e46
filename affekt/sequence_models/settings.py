"""All settings that the results of a frame model depend on besides its videos; saved with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean
from affekt.frames import OVERLAP_WEIGHTS, OverlapWeights
from affekt.training import EngineSettings, Schedule

FrameTask = Literal['expr', 'va', 'au', 'mtl']
FRAME_TASKS: dict[FrameTask, tuple[str, ...]] = {
    'expr': ('expression',),
    'va': ('affect',),
    'au': ('units',),
    'mtl': ('expression', 'affect', 'units'),
}
"""Task of a challenge to the predicted fields of `affekt.frames.FrameLabels`."""
AffectLoss = Literal['ccc', 'mse', 'both']
LOSS_SETTINGS = (
    'affect_loss', 'affect_across', 'affect_moments', 'smoothing', 'focal', 'divergence', 'class_balance',
    'unit_balance', 'expression_weight', 'affect_weight', 'units_weight',
)  # fmt: skip
"""Fields of `FrameTrainingSettings` that define the loss."""


def loss_settings(given: Mapping[str, str]) -> dict[str, Any]:
    """Loss settings from text, each of the type of its default.

    >>> loss_settings({'focal': '2', 'affect_loss': 'both', 'unit_balance': 'no'})
    {'focal': 2.0, 'affect_loss': 'both', 'unit_balance': False}

    Raises:
        UnknownNameError: unknown setting, or unknown name as its value.
        ValueRangeError: a value is not a number, or not yes or no, or out of range.
    """
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in LOSS_SETTINGS:
            raise UnknownNameError(
                expected=f'one of {", ".join(LOSS_SETTINGS)}', came=repr(name), todo=did_you_mean(name, LOSS_SETTINGS)
            )
        default = getattr(FrameTrainingSettings(), name)
        try:
            values[name] = text if isinstance(default, str) else _number_or_switch(text, default)
        except (ValueError, LookupError) as error:
            expected = 'yes or no' if isinstance(default, bool) else 'a number'
            raise ValueRangeError(expected=f'{expected} for {name}', came=repr(text), todo='correct it') from error
    FrameTrainingSettings(**values)
    return values


def _number_or_switch(text: str, default: float | bool) -> float | bool:
    return {'yes': True, 'no': False}[text.casefold()] if isinstance(default, bool) else float(text)


@dataclass(frozen=True)
class FrameTrainingSettings:
    """Settings of building and training a frame model.

    Raises:
        UnknownNameError: unknown task, loss or weights.
        ValueRangeError: a setting is out of range.
    """

    task: FrameTask = 'va'
    """Task of a challenge, one of `FRAME_TASKS`."""
    model: str = 'convolution'
    """Name of the model, one of `SEQUENCE_MODELS`."""
    options: Mapping[str, float | int | bool | str] = field(default_factory=dict)
    """Options of that model, besides its sizes."""
    hidden: int = 64
    dropout: float = 0.3
    form: Literal['corrected', 'reference'] = 'corrected'
    """Form of the model: corrected, or as published."""
    window: int = 300
    """Frames per window; the published 1,000 are half a minute, so that a batch has few different videos."""
    stride: int = 150
    """Frames between window starts, in training and prediction."""
    overlap: OverlapWeights = 'tapered'
    """Weighting of a window's frames where windows overlap: one of `affekt.frames.OVERLAP_WEIGHTS`."""
    epochs: int = 40
    patience: int | None = 8
    """Epochs without improvement on validation before stopping; None for no early stopping."""
    batch_size: int = 16
    """Windows per batch of one process; fewer if there are fewer windows."""
    learning_rate: float = 1e-3
    least_share: float = 0.05
    """Share of the learning rate at the last step; it falls as a cosine after the warm-up."""
    warm_up: float = 1.0
    """Epochs over which the learning rate rises from 0, at most a fifth of all."""
    weight_decay: float = 1e-3
    clip_norm: float | None = 1.0
    """Largest norm of the gradient; None for no limit."""
    affect_loss: AffectLoss = 'ccc'
    """Loss of valence and arousal: 1 - concordance, the squared error, or their sum."""
    affect_across: Literal['window', 'batch'] = 'batch'
    """Concordance per window, as published, or over all frames of a batch, as in the official score."""
    affect_moments: Literal['population', 'published'] = 'population'
    """Divisor of the moments in the concordance, see `concordance_loss`."""
    smoothing: float = 0.0
    """Label smoothing: share of an expression's truth spread over all classes."""
    focal: float = 0.0
    """Focal exponent, which reduces the weight of frames whose true expression is already probable; 0 for none."""
    divergence: float = 0.0
    """Share of the Kullback-Leibler divergence in the loss of expressions."""
    class_balance: float = 0.0
    """Beta of `class_weights`: 0 for none, 1 for equal total weight of all classes. Values between distinguish class
    sizes up to about 1 / (1 - beta) frames: thousands need 0.999 and more."""
    unit_balance: bool = False
    """Whether frames with an active action unit have the same total weight as those without."""
    expression_weight: float = 1.0
    """Weight of the loss of expressions among those of `mtl`."""
    affect_weight: float = 1.0
    units_weight: float = 1.0
    curve_widths: tuple[int, ...] = (3, 5, 9, 15, 25, 45)
    """Widths of smoothing in frames to try; the best on validation is taken. () for no smoothing."""
    causal: bool = False
    """Whether smoothing reads no later frame."""
    precision: Literal['float32', 'bfloat16', 'float16'] = 'float32'
    device: str = 'cpu'
    seed: int = 0

    def __post_init__(self) -> None:
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ('task', self.task, tuple(FRAME_TASKS)), ('overlap', self.overlap, tuple(OVERLAP_WEIGHTS)),
            ('affect_loss', self.affect_loss, ('ccc', 'mse', 'both')),
            ('affect_across', self.affect_across, ('window', 'batch')),
            ('affect_moments', self.affect_moments, ('population', 'published')),
        )  # fmt: skip
        for name, value, allowed in choices:
            if value not in allowed:
                raise UnknownNameError(
                    expected=f'{name} among {", ".join(allowed)}', came=repr(value), todo='choose one'
                )  # fmt: skip
        counts = ('window', 'stride', 'epochs', 'batch_size', 'hidden')
        invalid = {name: getattr(self, name) for name in counts if getattr(self, name) < 1}
        if self.stride > self.window:
            invalid['stride'] = self.stride
        positive = {'learning_rate': self.learning_rate, 'clip_norm': self.clip_norm, 'patience': self.patience}
        invalid |= {name: value for name, value in positive.items() if value is not None and not 0 < value < math.inf}
        weights = ('expression_weight', 'affect_weight', 'units_weight')
        non_negative = ('warm_up', 'weight_decay', 'focal', *weights)
        invalid |= {name: getattr(self, name) for name in non_negative if not 0 <= getattr(self, name) < math.inf}
        shares = ('least_share', 'divergence', 'class_balance')
        invalid |= {name: getattr(self, name) for name in shares if not 0 <= getattr(self, name) <= 1}
        if not 0 <= self.smoothing < 1:
            invalid['smoothing'] = self.smoothing
        if any(width < 1 for width in self.curve_widths):
            invalid['curve_widths'] = self.curve_widths
        if invalid:
            raise ValueRangeError(
                expected='counts of 1 or more, a stride of no more than the window, a positive rate, weights and '
                'exponents of 0 or more, shares in [0, 1], and smoothing below 1',
                came=', '.join(f'{name} {value}' for name, value in invalid.items()),
                todo='correct them',
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The predicted tasks: fields of `FrameLabels`."""
        return FRAME_TASKS[self.task]

    def engine(self, per_epoch: int) -> EngineSettings:
        """Settings of the training engine: a row, a checkpoint and an evaluation at the end of each epoch.

        Args:
            per_epoch: steps per epoch.
        """
        steps = self.epochs * per_epoch
        schedule = Schedule('cosine', min(round(self.warm_up * per_epoch), steps // 5), steps, self.least_share)
        return EngineSettings(
            seed=self.seed, precision=self.precision, clip_norm=self.clip_norm, schedule=schedule,
            log_every=per_epoch, evaluate_every=per_epoch, save_every=per_epoch, device=self.device,
        )  # fmt: skip
