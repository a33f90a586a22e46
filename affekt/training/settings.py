"""Settings that determine the result of a training run: engine, supervised and semi-supervised training."""

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
    """How optimisation steps are taken, evaluated and saved; stored with a run.

    Args:
        seed: seed of all random draws in steps, such as dropout and masks, of torch, NumPy and Python.
        accumulation: batches per step. A loss that is a mean over samples becomes that over all of theirs; one that
            compares the samples of a batch, such as a contrast or a concordance, becomes the mean of the batches' own.
        precision: precision of matrix products; half precision only if the device supports it natively, otherwise
            float32 with a warning. Weights keep their precision.
        clip_norm: largest norm of the gradient of all parameters; None for no limit.
        clip_value: largest absolute value of an element of the gradient; None for no limit.
        schedule: learning rate schedule; None for a constant rate.
        average_decay: decay of a running mean of the weights, in (0, 1); None for no mean.
        log_every: steps per row of the log, which holds mean losses over them.
        evaluate_every: steps between evaluations, a multiple of `log_every`; None to evaluate at every row.
        save_every: steps between checkpoints, a multiple of `log_every`; None to save only at the end.
        keep: number of most recent checkpoints to keep.
        device: device of the training.

    Raises:
        ValueRangeError: a number is out of range.
        UnknownNameError: the precision is unknown.
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
        intervals = {name: getattr(self, name) for name in ('evaluate_every', 'save_every')}
        counts |= {name: number for name, number in intervals.items() if number is not None}
        norms = {name: getattr(self, name) for name in ('clip_norm', 'clip_value')}
        invalid = {name: number for name, number in counts.items() if number < 1}
        invalid |= {name: number for name, number in norms.items() if number is not None and not number > 0}
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            invalid['average_decay'] = self.average_decay
        if not invalid:
            invalid |= {name: number for name, number in intervals.items() if number and number % self.log_every}
        if invalid:
            raise ValueRangeError(
                expected='counts of 1 or more, save_every and evaluate_every multiples of log_every, positive limits '
                'of gradients, and average_decay in (0, 1)',
                came=str(invalid),
                todo='correct them',
            )


RENAMED = {'rate': 'learning_rate', 'decay': 'weight_decay', 'batch': 'batch_size'}
"""Names in settings of older runs to the present names."""


@with_old_names(**RENAMED)
@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training run, stored beside its results.

    Args:
        seed: seed of the order of samples and of dropout.
        epochs: maximum number of epochs.
        batch_size: samples per step.
        shuffle: draw a new order each epoch; False keeps the order of the samples, as in some published loaders.
        learning_rate: learning rate of Adam.
        backbone_share: learning rate of the model's `backbone` as a share of `learning_rate`; 0 freezes the backbone.
        weight_decay: L2 penalty of Adam.
        clip_norm: largest norm of the gradient of all parameters; None for no limit.
        clip_value: largest absolute value of an element of the gradient, as in published code; None for no limit.
        patience: epochs without a better validation score before training stops; None to train for all epochs.
        score: validation score by which the epoch is selected: a key of `SCORES`.
        precision: precision of matrix products; bfloat16 if the device supports it natively, otherwise float32 with
            a warning. Weights are float32.
        device: device of the training.
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
        optional = {name: getattr(self, name) for name in ('clip_norm', 'clip_value', 'patience')}
        positive |= {name: value for name, value in optional.items() if value is not None}
        invalid = {name: value for name, value in positive.items() if not value > 0}
        invalid |= {
            name: getattr(self, name) for name in ('weight_decay', 'backbone_share') if not getattr(self, name) >= 0
        }
        if invalid:
            raise ValueRangeError(
                expected='settings above 0 (None for no limit), and weight_decay and backbone_share of 0 or more',
                came=str(invalid),
                todo='correct them',
            )
        if self.precision not in ('float32', 'bfloat16'):
            raise UnknownNameError(
                expected='precision float32 or bfloat16', came=repr(self.precision), todo='choose one'
            )


@dataclass(frozen=True)
class SemiSettings:
    """Settings of semi-supervised training.

    Args:
        kind: `pseudo` trains on confident predictions of a model trained on labelled samples; `consistency` requires
            equal predictions for a sample and a perturbed copy of it.
        threshold: minimum probability of a pseudo-label, in [0, 1); 0 accepts all.
        share: for `pseudo`: instead of the threshold, the share in (0, 1] of the most confident pseudo-labels to use
            per category; None to use the threshold.
        balanced: for `pseudo`: limit each category's share of the pseudo-labels to its share of the labelled samples.
        rounds: for `pseudo`: number of rounds in which a new model is trained on pseudo-labels of the best one so far.
        weight: weight of the losses of unlabelled samples relative to labelled ones.
        ratio: unlabelled samples per labelled sample in each step.
        ramp: for `consistency`: epochs over which the weight rises from 0; 0 for none.
        weak_noise: standard deviation of Gaussian noise on the copy used for pseudo-labels, relative to that of each
            feature.
        strong_noise: the same for the copy used for training.
        feature_dropout: share of features of the training copy that are set to their mean, in [0, 1).
        modality_dropout: probability of removing each modality of the training copy, in [0, 1); one always stays.
        teacher_decay: for `consistency`: decay per step, in (0, 1), of a running mean of the weights, which predicts
            the pseudo-labels and is the resulting model; None to use the weights themselves.
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
        is_valid = all(0 <= value < 1 for value in shares) and 0 < decay < 1 and 0 < share <= 1
        if not is_valid or min(self.rounds, self.ratio) < 1 or min(self.weak_noise, self.strong_noise, self.ramp) < 0:
            raise ValueRangeError(
                expected='threshold and dropouts in [0, 1), share in (0, 1], teacher_decay in (0, 1), noise, ramp '
                'of 0 or more, rounds and ratio of 1 or more',
                came=str({name: value for name, value in asdict(self).items() if name != 'kind'}),
                todo='correct them',
            )
        if not 0 < self.weight < math.inf:
            raise ValueRangeError(expected='a weight above 0', came=f'{self.weight}', todo='correct it')
