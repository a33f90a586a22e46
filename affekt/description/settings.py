"""Settings of a training run of a describer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from affekt.errors import UnknownNameError, ValueRangeError, listed
from affekt.training import EngineSettings, Schedule, has_precision

STAGES = ('single', 'coarse', 'fine', 'prefer', 'reward')
SCORES = ('uar', 'f')
SPREAD = 16
"""Batches within which examples are sorted by length: a larger number pads less, a smaller one mixes better."""
KINDS_OF_PRECISION = ('auto', 'float32', 'bfloat16', 'float16')


@dataclass(frozen=True)
class DescribeSettings:
    """Everything that the results of a run depend on besides describer and examples.

    Args:
        stage: `coarse` and `single` first measure statistics of training features for standardised sources; `fine`
            continues with a trained describer and keeps its statistics. `prefer` and `reward` are those
            of `train_preferred` and `train_rewarded`.
        seed: seed of the order of examples, of dropout, and of withheld sources.
        steps: maximum optimisation steps.
        batch_size: maximum examples per batch.
        batch_tokens: maximum positions of a padded batch; None for no limit.
        sorted_batches: batches within which examples are sorted by length. More need less padding; 1 mixes all, which
            short answers need: sorted, a batch would have only answers with one label, or only with two.
        accumulation: batches per step.
        learning_rate: peak learning rate of the source readers.
        adapter_rate: peak learning rate of the adapters.
        weight_decay: weight decay of AdamW, for matrices.
        clip_norm: largest norm of the gradient; None for no clipping.
        warm_up: share of the steps in which the learning rate rises, [0, 1).
        least: learning rate at the end, as a share of its peak, [0, 1]; it falls as a cosine.
        label_weight: weight of a token of a label word in the loss; other tokens have 1.
        withheld: probability that a source, or the transcript, is withheld from an example; one always stays, and so
            do those that the answer cites.
        answer_tokens: maximum tokens of an answer generated on validation.
        score: score that chooses the best validation step: `uar`, mean recall over labels, or `f`, mean F over clips.
        evaluate_every: steps between evaluations; each also writes a checkpoint.
        log_every: steps between rows of the log, a divisor of evaluate_every.
        patience: evaluations without improvement before the run ends; None for all steps.
        precision: `auto` for bfloat16 on an accelerator that supports it, otherwise float32.
        device: device of the training.

    Raises:
        UnknownNameError: unknown stage, score or precision.
        ValueRangeError: a setting is out of range.
    """

    stage: Literal['single', 'coarse', 'fine', 'prefer', 'reward'] = 'single'
    seed: int = 0
    steps: int = 1000
    batch_size: int = 16
    batch_tokens: int | None = None
    sorted_batches: int = SPREAD
    accumulation: int = 1
    learning_rate: float = 1e-3
    adapter_rate: float = 2e-4
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    warm_up: float = 0.05
    least: float = 0.1
    label_weight: float = 3.0
    withheld: float = 0.0
    answer_tokens: int = 64
    score: Literal['uar', 'f'] = 'uar'
    evaluate_every: int = 100
    log_every: int = 10
    patience: int | None = None
    precision: Literal['auto', 'float32', 'bfloat16', 'float16'] = 'auto'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        for name, allowed in (('stage', STAGES), ('score', SCORES), ('precision', KINDS_OF_PRECISION)):
            if getattr(self, name) not in allowed:
                raise UnknownNameError(
                    expected=f'{name} among {listed(allowed)}', came=repr(getattr(self, name)), todo='choose one'
                )
        positive = (
            'steps',
            'batch_size',
            'sorted_batches',
            'accumulation',
            'learning_rate',
            'label_weight',
            'answer_tokens',
            'log_every',
        )
        wrong = {name: getattr(self, name) for name in positive if not 0 < getattr(self, name) < math.inf}
        wrong |= {
            name: getattr(self, name) for name in ('adapter_rate', 'weight_decay') if not getattr(self, name) >= 0
        }
        wrong |= {name: getattr(self, name) for name in ('warm_up', 'withheld') if not 0 <= getattr(self, name) < 1}
        wrong |= {
            name: getattr(self, name)
            for name in ('patience', 'batch_tokens', 'clip_norm')
            if getattr(self, name) is not None and not getattr(self, name) > 0
        }
        if not 0 <= self.least <= 1:
            wrong['least'] = self.least
        if not wrong and (self.evaluate_every < 1 or self.evaluate_every % self.log_every):
            wrong['evaluate_every'] = self.evaluate_every
        if wrong:
            raise ValueRangeError(
                expected='positive settings, shares in [0, 1), evaluate_every a multiple of log_every',
                came=str(wrong), todo='correct them',
            )  # fmt: skip

    def engine(self) -> EngineSettings:
        """Settings of the training engine."""
        warm_up = min(int(self.warm_up * self.steps), self.steps - 1)
        schedule = Schedule('cosine', warm_up, self.steps, self.least)
        precision = self.precision
        if precision == 'auto':
            is_half = torch.device(self.device).type != 'cpu' and has_precision(self.device, 'bfloat16')
            precision = 'bfloat16' if is_half else 'float32'
        return EngineSettings(
            self.seed, self.accumulation, precision, self.clip_norm, None, schedule, log_every=self.log_every,
            evaluate_every=self.evaluate_every, save_every=self.evaluate_every, device=self.device,
        )  # fmt: skip
