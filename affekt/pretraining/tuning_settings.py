"""All settings that the results of fine-tuning depend on besides model and clips.

A setting of None has the method's default: full tuning has the published values; adapters use ten times the learning
rate, the same for all layers; a linear probe has none. `reference=True` also repeats the published program: audio is
not mixed with the frames and is cut as if frames were spread evenly over it, classes have equal weights, and the last
epoch counts, since its validation lists are its test lists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.pretraining.mixing import Mixing
from affekt.training import EngineSettings, Schedule

Method = Literal['full', 'lora', 'linear']
METHODS: tuple[Method, ...] = ('full', 'lora', 'linear')
"""All weights; low-rank adapters of those of the blocks; or the head alone, on features that are computed once."""
Objective = Literal['cross_entropy', 'mse', 'ccc', 'pcc']
OBJECTIVES: tuple[Objective, ...] = ('cross_entropy', 'mse', 'ccc', 'pcc')
"""For classes, cross-entropy; for values, mean squared error, 1 - Lin's concordance, 1 - Pearson's correlation."""
SCORES: dict[str, tuple[str, ...]] = {
    'classes': ('uar', 'war', 'weighted_f1'),
    'numbers': ('ccc', 'pcc', 'negative_mse'),
}
"""Scores that choose on validation; the first of each kind is the default."""
WHOLE_BATCH = 256
"""Samples per step for which learning rates are stated."""
ROWS_PER_EPOCH = 50
"""Maximum rows of the log per epoch."""


@dataclass(frozen=True)
class TuningSettings:
    """Settings of fine-tuning a model; saved with it.

    Raises:
        UnknownNameError: unknown method, objective or score.
        ValueRangeError: a setting is out of range.
    """

    method: Method = 'full'
    """Which weights are trained, one of `METHODS`."""
    objective: Objective | Literal[''] = ''
    """Loss, one of `OBJECTIVES`; '' for cross-entropy of classes and the squared error of values."""
    score: str = ''
    """Validation score that chooses, one of `SCORES`; '' for unweighted recall of classes, concordance of values.
    """
    chooses: Literal['best', 'last'] | None = None
    """The chosen epoch: the best on validation, or the last; None for the best, or with `reference` the last."""
    patience: int | None = 15
    """Epochs without improvement on validation before stopping, if the best is chosen; None for no early stopping."""
    epochs: int = 50
    warm_up: float = 5.0
    """Epochs over which the learning rate rises from 0, at most a fifth of all; then it falls as a cosine."""
    batch_size: int = 16
    """Clips per batch of one process; fewer if there are fewer clips."""
    accumulation: int = 1
    """Batches per step. The loss is that of all their clips, but `ccc` and `pcc` compare the clips of each batch only,
    which are also mixed with each other and augmented separately."""
    learning_rate: float | None = None
    """Peak learning rate for 256 clips per step; it shrinks with fewer. None for 1e-3, or 1e-2 with adapters."""
    least_rate: float = 1e-6
    """Learning rate at the last step, for 256 clips per step."""
    weight_decay: float = 0.05
    """Weight decay of tensors with two axes or more."""
    layer_decay: float | None = None
    """Ratio of each layer's learning rate to the next layer's; None for 0.75, or 1 with adapters."""
    clip_norm: float | None = None
    """Largest norm of the gradient; None for no limit, as published."""
    smoothing: float = 0.1
    """Label smoothing: share of a target spread over all classes."""
    mixing: Mixing | None = field(default_factory=Mixing)
    """Mixing of clips with classes; None for none. Values are never mixed, as published."""
    augments: bool = True
    """Whether to augment frames and loudness."""
    balanced: bool = False
    """Whether classes have equal total weight."""
    rank: int = 8
    """Rank of the adapters."""
    segments: int = 2
    """Number of views of a clip, spread evenly over its time, whose predictions are averaged."""
    stride: int = 4
    """Distance between frames of a window: 4 except for Werewolf-XL (3) and FERV39k (1)."""
    reference: bool = False
    """Whether to train as the published program; see above."""
    precision: Literal['float32', 'bfloat16', 'float16'] = 'float32'
    """Precision of matrix products."""
    device: str = 'cpu'
    """Device of the training."""
    readers: int = 0
    """Threads that prepare batches ahead; 0 prepares each when it is needed."""
    seed: int = 0
    """Seed of batches, windows, augmentation, mixing and adapters."""

    def __post_init__(self) -> None:
        scores = tuple(name for names in SCORES.values() for name in names)
        choices: tuple[tuple[str, str | None, tuple[str | None, ...]], ...] = (
            ('method', self.method, METHODS), ('objective', self.objective, ('', *OBJECTIVES)),
            ('score', self.score, ('', *scores)), ('chooses', self.chooses, (None, 'best', 'last')),
        )  # fmt: skip
        for name, value, allowed in choices:
            if value not in allowed:
                raise UnknownNameError(
                    expected=f'{name} among {", ".join(choice for choice in allowed if choice)}', came=repr(value),
                    todo='choose one',
                )  # fmt: skip
        counts = ('epochs', 'batch_size', 'accumulation', 'rank', 'segments', 'stride')
        invalid = {name: getattr(self, name) for name in counts if getattr(self, name) < 1}
        invalid |= {} if self.patience is None or self.patience >= 1 else {'patience': self.patience}
        positive = {'learning_rate': self.learning_rate, 'clip_norm': self.clip_norm, 'layer_decay': self.layer_decay}
        invalid |= {name: value for name, value in positive.items() if value is not None and not value > 0}
        not_negative = {name: getattr(self, name) for name in ('warm_up', 'least_rate', 'weight_decay', 'readers')}
        invalid |= {name: value for name, value in not_negative.items() if not value >= 0}
        if not 0 <= self.smoothing < 1:
            invalid['smoothing'] = self.smoothing
        if not (self.layer_decay or 1.0) <= 1:
            invalid['layer_decay'] = self.layer_decay
        if not self.least_rate <= self.rate:
            invalid['least_rate'] = self.least_rate
        if invalid:
            raise ValueRangeError(
                expected='counts of 1 or more, a positive learning rate of at least least_rate, layer_decay in (0, 1], '
                'smoothing in [0, 1)',
                came=', '.join(f'{name} {value}' for name, value in invalid.items()),
                todo='correct them',
            )

    @property
    def rate(self) -> float:
        """The learning rate for 256 clips per step."""
        return self.learning_rate or (1e-2 if self.method == 'lora' else 1e-3)

    @property
    def decay(self) -> float:
        """Ratio of each layer's learning rate to the next layer's."""
        return self.layer_decay or (1.0 if self.method == 'lora' else 0.75)

    @property
    def takes_last(self) -> bool:
        """Whether the last epoch is taken, regardless of validation."""
        return (self.chooses or ('last' if self.reference else 'best')) == 'last'

    @property
    def used_mixing(self) -> Mixing | None:
        """Settings of mixing clips; audio is mixed with the frames unless `reference`."""
        if self.mixing is None or not self.reference:
            return self.mixing
        return Mixing(
            self.mixing.mixup, self.mixing.cutmix, self.mixing.cutmix_share, self.mixing.probability, mixes_audio=False
        )

    def step_rate(self, clips: int) -> float:
        """The learning rate of a step with the given number of clips."""
        return self.rate * clips / WHOLE_BATCH

    def engine(self, per_epoch: int, accumulation: int) -> EngineSettings:
        """Settings of the training engine: a checkpoint and an evaluation at the end of each epoch.

        Args:
            per_epoch: steps per epoch.
            accumulation: batches per step, at most those of an epoch.
        """
        rows = max(rows for rows in range(1, min(per_epoch, ROWS_PER_EPOCH) + 1) if per_epoch % rows == 0)
        steps = self.epochs * per_epoch
        warm_up = min(round(self.warm_up * per_epoch), steps // 5)
        schedule = Schedule('cosine', warm_up, steps, self.least_rate / self.rate)
        return EngineSettings(
            seed=self.seed, accumulation=accumulation, precision=self.precision, clip_norm=self.clip_norm,
            schedule=schedule, log_every=per_epoch // rows, evaluate_every=per_epoch, save_every=per_epoch,
            device=self.device,
        )  # fmt: skip
