"""A trial: one configuration of one model on one fold with one seed, and its predictions.

`fitting.py` runs it, `finished_runs.py` saves its predictions, `scored.py` makes a system from the trials of all folds
and seeds.

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
    """Definition of one training run and of its test.

    Args:
        task: features, labels and test parts.
        fold: rows of training, validation and test.
        modalities: modalities given to the model; its other slots are masked.
        model: a key of `affekt.fusion.FUSION_MODELS`, or a benchmark's own name.
        configuration: hyper-parameters, one draw from the model's search space.
        settings: epochs, patience and batch size are read.
        seed: seed of initial weights, order of samples and dropout.
        reads_test: predict the test part at the end.
        withholds: also predict the test part with modalities missing.
        semi: semi-supervised use of the test samples, without their labels; only for a challenge's unlabelled clips.
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
    """A model's predictions of the tested samples of a fold."""

    logits: Floats32
    """(T, C) class logits."""
    values: Floats32
    """(T, V) predicted values."""


@dataclass(frozen=True)
class Answers:
    """Result of a trial."""

    score: float
    """Validation score of the chosen epoch; higher is better."""
    epoch: int
    status: str
    """`healthy`, `constant` or `not_finite`."""
    parameters: int
    test: Outputs | None = field(default=None, repr=False)
    """Predictions of the test part; None if it was not read."""
    oracle: Outputs | None = field(default=None, repr=False)
    """Predictions of the epoch that is best on the test part itself; None except for the published loop."""
    given: Mapping[str, Outputs] = field(default_factory=dict, repr=False)
    """Reduced input (a name of `given_names`) to the predictions of the test part; empty if `withholds` is False."""


def given_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the reduced inputs: every proper subset of the modalities, then rates of random gaps."""
    from affekt.training.absent import RATES

    sets = ['+'.join(subset) for size in range(1, len(modalities)) for subset in combinations(modalities, size)]
    return (*sets, *(f'any:{rate:g}' for rate in RATES))


def constant_outputs(task: Task, fold: Fold) -> Outputs:
    """Constant prediction for every tested sample: the most frequent category and the mean values of training."""
    size = len(fold.test)
    logits = np.zeros((size, task.classes), dtype=np.float32)
    if task.labels is not None:
        logits[:, np.bincount(task.labels[fold.train]).argmax()] = 1.0
    if task.values is None:
        return Outputs(logits, np.zeros((size, 0), dtype=np.float32))
    means = np.atleast_1d(task.values[fold.train].mean(axis=0)).astype(np.float32)
    return Outputs(logits, np.tile(means, (size, 1)))
