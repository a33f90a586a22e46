"""Everything that a training run's numbers depend on besides model and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from affekt.errors import UnknownNameError, ValueRangeError

Precision = Literal['float32', 'bfloat16']


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run, saved beside its results.

    Args:
        seed: of the order of samples and of dropout.
        epochs: at most.
        batch: samples a step.
        shuffle: a new order each epoch; False for the order of the samples, as some published loaders have it.
        rate: of Adam.
        backbone_share: the rate of a model's `backbone`, as a share of `rate`; 0 leaves the backbone as it is.
        decay: weight decay (L2).
        clip_norm: longest gradient of all parameters together; None for any.
        clip_value: largest entry of a gradient, the published way; None for any.
        patience: epochs without a better score on validation before stopping; None to go through all.
        score: what is best on validation: a key of `SCORES`.
        precision: bfloat16 computes products in half the bits where the device is faster so; weights stay float32.
        device: where to train.
    """

    seed: int = 0
    epochs: int = 100
    batch: int = 32
    shuffle: bool = True
    rate: float = 1e-3
    backbone_share: float = 1.0
    decay: float = 1e-5
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    patience: int | None = 15
    score: str = 'loss'
    precision: Precision = 'float32'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        positive: dict[str, float] = {'epochs': self.epochs, 'batch': self.batch, 'rate': self.rate}
        positive |= {
            'clip_norm': self.clip_norm or 1,
            'clip_value': self.clip_value or 1,
            'patience': self.patience or 1,
        }
        wrong = {name: value for name, value in positive.items() if not value > 0}
        wrong |= {name: getattr(self, name) for name in ('decay', 'backbone_share') if not getattr(self, name) >= 0}
        if wrong:
            raise ValueRangeError(
                expected='positive settings, and decay and backbone_share of 0 or more',
                came=str(wrong),
                todo='correct them',
            )
        if self.precision not in ('float32', 'bfloat16'):
            raise UnknownNameError(
                expected='precision float32 or bfloat16', came=repr(self.precision), todo='choose one'
            )
