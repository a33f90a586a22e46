"""Everything that a run's numbers depend on besides model and samples: of the engine, of training, without truth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.moved_names import with_old_names
from affekt.training.precision import PRECISIONS, Precision
from affekt.training.schedules import Schedule

SemiKind = Literal['pseudo', 'consistency']


@dataclass(frozen=True)
class EngineSettings:
    """How steps are taken; saved beside a run.

    Args:
        seed: random seed of what is drawn in the steps, such as dropout and masks, from the generators of torch, NumPy
            and Python.
        accumulation: batches per step, whose gradients are averaged.
        precision: of matrix products; half precision only where the device computes it itself, else float32 is taken
            and a warning says so. Weights stay as they are.
        clip_norm: longest gradient of all parameters together; None for no limit.
        clip_value: largest entry of a gradient; None for no limit.
        schedule: of the learning rate; None for a constant one.
        average_decay: decay of a running mean of the weights, in (0, 1); None for no such mean.
        log_every: steps per row of the log, which holds their mean losses.
        evaluate_every: steps between evaluations, a multiple of `log_every`; None to evaluate at every row.
        save_every: steps between checkpoints, a multiple of `log_every`; None to save at the end alone.
        keep: how many of the last checkpoints stay.
        device: where to train.

    Raises:
        ValueRangeError: a number is out of range.
        UnknownNameError: no such precision.
    """

    seed: int = 0
    accumulation: int = 1
    precision: Precision = 'float32'
    clip_norm: float | None = None
    clip_value: float | None = None
    schedule: Schedule | None = None
    average_decay: float | None = None
    log_every: int = 10
    evaluate_every: int | None = None
    save_every: int | None = 1000
    keep: int = 2
    device: str = 'cpu'

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownNameError(
                expected=f'a precision among {", ".join(PRECISIONS)}', came=repr(self.precision), todo='choose one'
            )
        counts: dict[str, float] = {name: getattr(self, name) for name in ('accumulation', 'log_every', 'keep')}
        every = {name: getattr(self, name) for name in ('evaluate_every', 'save_every')}
        counts |= {name: number for name, number in every.items() if number is not None}
        norms = {name: getattr(self, name) for name in ('clip_norm', 'clip_value')}
        wrong = {name: number for name, number in counts.items() if number < 1}
        wrong |= {name: number for name, number in norms.items() if number is not None and not number > 0}
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            wrong['average_decay'] = self.average_decay
        if not wrong:
            wrong |= {name: number for name, number in every.items() if number and number % self.log_every}
        if wrong:
            raise ValueRangeError(
                expected='counts of 1 or more, save_every and evaluate_every multiples of log_every, positive limits '
                'of gradients, and average_decay in (0, 1)',
                came=str(wrong),
                todo='correct them',
            )


RENAMED = {'rate': 'learning_rate', 'decay': 'weight_decay', 'batch': 'batch_size'}
"""Names that older runs saved, to those of today."""


@with_old_names(**RENAMED)
@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run, saved beside its results.

    Args:
        seed: of the order of samples and of dropout.
        epochs: at most.
        batch_size: samples a step.
        shuffle: a new order each epoch; False for the order of the samples, as some published loaders have it.
        learning_rate: step size of Adam.
        backbone_share: learning rate of a model's `backbone` over `learning_rate`; 0 leaves the backbone as it is.
        weight_decay: L2 penalty of Adam.
        clip_norm: longest gradient of all parameters together; None for no limit.
        clip_value: largest entry of a gradient, the published way; None for no limit.
        patience: epochs without a better score on validation before stopping; None to go through all.
        score: what is best on validation: a key of `SCORES`.
        precision: bfloat16 computes products in half the bits where the device has it, else a warning says so and
            float32 is taken; weights stay float32.
        device: where to train.
    """

    seed: int = 0
    epochs: int = 100
    batch_size: int = 32
    shuffle: bool = True
    learning_rate: float = 1e-3
    backbone_share: float = 1.0
    weight_decay: float = 1e-5
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    patience: int | None = 15
    score: str = 'loss'
    precision: Literal['float32', 'bfloat16'] = 'float32'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        positive: dict[str, float] = {name: getattr(self, name) for name in ('epochs', 'batch_size', 'learning_rate')}
        positive |= {
            'clip_norm': self.clip_norm or 1,
            'clip_value': self.clip_value or 1,
            'patience': self.patience or 1,
        }
        wrong = {name: value for name, value in positive.items() if not value > 0}
        wrong |= {
            name: getattr(self, name) for name in ('weight_decay', 'backbone_share') if not getattr(self, name) >= 0
        }
        if wrong:
            raise ValueRangeError(
                expected='positive settings, and weight_decay and backbone_share of 0 or more',
                came=str(wrong),
                todo='correct them',
            )
        if self.precision not in ('float32', 'bfloat16'):
            raise UnknownNameError(
                expected='precision float32 or bfloat16', came=repr(self.precision), todo='choose one'
            )


@dataclass(frozen=True)
class SemiSettings:
    """How a run learns from samples without truth.

    Args:
        kind: `pseudo` guesses categories with a model of labelled samples and learns from the sure ones; `consistency`
            wants one answer for a sample and for a disturbed copy of it.
        threshold: least probability of the guessed category, [0, 1); 0 takes all.
        share: `pseudo`: instead of the threshold, this share (0, 1] of what is guessed of each category, the surest
            first; None for the threshold.
        balanced: `pseudo`: no category gets more of the guesses than its share of the labelled samples.
        rounds: `pseudo`: how often a new model learns from the guesses of the best before.
        weight: of the losses of unlabelled samples beside those of labelled ones.
        ratio: unlabelled samples a step for each labelled one.
        ramp: `consistency`: epochs over which the weight rises from 0; 0 for none.
        weak_noise: Gaussian noise on the copy that is guessed from, in deviations of each feature.
        strong_noise: the same on the copy that is learnt from.
        feature_dropout: share of the features of the copy that is learnt from set to their mean, [0, 1).
        modality_dropout: probability with which that copy does without a modality, [0, 1); one always stays.
        teacher_decay: `consistency`: guesses and the answers at the end are those of a running mean of the weights with
            this decay a step, (0, 1); None for the weights themselves.
    """

    kind: SemiKind = 'consistency'
    threshold: float = 0.7
    share: float | None = None
    balanced: bool = False
    rounds: int = 2
    weight: float = 1.0
    ratio: int = 4
    ramp: int = 5
    weak_noise: float = 0.05
    strong_noise: float = 0.3
    feature_dropout: float = 0.2
    modality_dropout: float = 0.2
    teacher_decay: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ('pseudo', 'consistency'):
            raise UnknownNameError(expected='kind pseudo or consistency', came=repr(self.kind), todo='choose one')
        shares = (self.threshold, self.feature_dropout, self.modality_dropout)
        decay = 0.5 if self.teacher_decay is None else self.teacher_decay
        share = 1.0 if self.share is None else self.share
        is_fine = all(0 <= value < 1 for value in shares) and 0 < decay < 1 and 0 < share <= 1
        if not is_fine or min(self.rounds, self.ratio) < 1 or min(self.weak_noise, self.strong_noise, self.ramp) < 0:
            raise ValueRangeError(
                expected='threshold and dropouts in [0, 1), share in (0, 1], teacher_decay in (0, 1), noise, ramp '
                'of 0 or more, rounds and ratio of 1 or more',
                came=str({name: value for name, value in asdict(self).items() if name != 'kind'}),
                todo='correct them',
            )
        if not 0 < self.weight < math.inf:
            raise ValueRangeError(expected='a weight above 0', came=f'{self.weight}', todo='correct it')
