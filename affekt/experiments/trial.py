"""A trial: one configuration of one model on one fold with one seed, and what it answers.

`fitting.py` runs it, `finished_runs.py` keeps its answers, `scored.py` makes a system of the trials of all folds and
seeds.

T tested samples, C classes, V values (0, 1 or several dimensions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from affekt.arrays import Floats32
from affekt.experiments.folds import Fold
from affekt.experiments.settings import ExperimentSettings
from affekt.experiments.task import Task

if TYPE_CHECKING:
    from affekt.training import SemiSettings


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and what it is asked afterwards.

    Args:
        task: features, truth and test parts.
        fold: what is learnt from, what chooses, what is tested.
        modalities: that the model is given; others that it has slots for are masked.
        model: a key of `affekt.fusion.FUSION_MODELS`, or a benchmark's own name.
        configuration: hyper-parameters, one draw from the model's space.
        settings: epochs, patience and batch size are read.
        seed: of weights, order and dropout.
        reads_test: the test is answered at the end.
        withholds: it is answered also with modalities missing.
        semi: how the samples of the test are learnt from besides, without their truth; for a challenge's unlabelled
            clips alone.
    """

    task: Task = field(repr=False)
    fold: Fold = field(repr=False)
    modalities: tuple[str, ...]
    model: str
    configuration: Mapping[str, Any]
    settings: ExperimentSettings = field(repr=False)
    seed: int
    reads_test: bool = True
    withholds: bool = False
    semi: SemiSettings | None = None


class Outputs(NamedTuple):
    """A model's answers to the tested samples of a fold."""

    logits: Floats32
    """(T, C)"""
    values: Floats32
    """(T, V)"""


@dataclass(frozen=True)
class Answers:
    """What a trial came to."""

    score: float
    """On what chose the epoch; higher is better."""
    epoch: int
    status: str
    """`healthy`, `constant` or `not_finite`."""
    parameters: int
    test: Outputs | None = field(default=None, repr=False)
    """None where the test was not read."""
    oracle: Outputs | None = field(default=None, repr=False)
    """Of the epoch that is best on the test itself; the published loop alone knows it."""
    given: Mapping[str, Outputs] = field(default_factory=dict, repr=False)
    """What was left of the modalities, a name of `given_names`, to the answers to the test; empty where not asked."""


def given_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """What a trial that withholds is given: every smaller set of modalities, then the rates of gaps at random."""
    from affekt.training.absent import RATES

    sets = ['+'.join(chosen) for size in range(1, len(modalities)) for chosen in combinations(modalities, size)]
    return (*sets, *(f'any:{rate:g}' for rate in RATES))


def constant_outputs(task: Task, fold: Fold) -> Outputs:
    """The most frequent category and the mean values of train, for every tested sample."""
    size = len(fold.test)
    logits = np.zeros((size, task.classes), dtype=np.float32)
    if task.labels is not None:
        logits[:, np.bincount(task.labels[fold.train]).argmax()] = 1.0
    if task.values is None:
        return Outputs(logits, np.zeros((size, 0), dtype=np.float32))
    means = np.atleast_1d(task.values[fold.train].mean(axis=0)).astype(np.float32)
    return Outputs(logits, np.tile(means, (size, 1)))
