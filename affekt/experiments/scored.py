"""Systems on the test parts of a task: every score with its interval, and paired tests against rival systems.

N samples, S seeds, C classes, V values (0, 1 or several dimensions).
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.experiments.folds import Fold
from affekt.experiments.settings import SIMPLE, ExperimentSettings
from affekt.experiments.task import Task
from affekt.experiments.trial import Answers, Outputs, constant_outputs
from affekt.metrics import Interval, Measure, holm, mean_of_folds, measure_intervals, paired_test
from affekt.progress import Progress

ORACLE = 'best test'
"""Not a protocol: scores of the published loop with the epoch chosen on the test part, for lack of another."""


@dataclass(frozen=True)
class System:
    """One model by one protocol on one set of modalities, with its predictions."""

    modalities: tuple[str, ...]
    name: str
    protocol: str
    """`fair`, `reference`, `best test`, or '' for a constant prediction."""
    logits: Floats32 = field(repr=False)
    """(S, N, C) class logits, nan where a sample is not tested."""
    values: Floats32 = field(repr=False)
    """(S, N, V) predicted values."""
    validation: float = float('nan')
    """Validation score, mean over seeds and folds."""
    chosen: tuple[Mapping[str, Any], ...] = ()
    """Hyper-parameters, one set per fold, or one for all folds."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Status (`healthy`, `constant`, `not_finite`) to the number of runs."""
    parameters: int = 0
    seconds: float = 0.0
    given: str = ''
    """Reduced input: a subset of the modalities, or `any:RATE` for gaps at random; '' for all modalities."""


Beside = Callable[[Sequence[System], System], Sequence[tuple[str, System]]]
"""Function from all systems and one of them to its rivals, each with the kind of its gain."""


@dataclass(frozen=True)
class Gain:
    """Headline score of one system minus that of another on the same samples."""

    kind: str
    """`simple`: over our simple model on the same modalities. `alone`: over the same protocol on one modality. Of
    several rivals, the one with the best validation score counts. `linear`, `frozen`: of fine-tuning over models on the
    encoder's own vectors."""
    over: System = field(repr=False)
    value: Interval
    p: float
    p_holm: float = float('nan')
    """p-value after Holm's correction over all tests of the run."""


@dataclass(frozen=True)
class Row:
    """One system on one test part; scores are means over seeds."""

    system: System = field(repr=False)
    test: str
    headline: str
    scores: Mapping[str, Interval]
    """Name of a score to its value, with an interval over groups of samples."""
    by_seed: tuple[float, ...]
    """(S,) headline score of each seed."""
    gains: tuple[Gain, ...] = ()
    """Gains over the simple model on the same modalities and over single modalities; () for rows without tests."""

    def gain(self, kind: str) -> Gain | None:
        """The gain of one kind (`simple`, `alone`, …); None if there is none."""
        return next((each for each in self.gains if each.kind == kind), None)


@dataclass(frozen=True)
class Outcome:
    """Result of an experiment."""

    task: Task = field(repr=False)
    settings: ExperimentSettings
    recipes: Mapping[str, str]
    """Modality to the recipe of its store and its hash."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def joined(task: Task, folds: Sequence[Fold], outputs: Sequence[Outputs | None], mean: str) -> Outputs:
    """(N, C) and (N, V) predictions: a sample that several folds test gets the mean of theirs.

    Args:
        task: task with N samples.
        folds: the folds that were tested.
        outputs: predictions of each fold; None for a fold without any.
        mean: kind of mean, see `affekt.metrics.mean_of_folds`.
    """
    size, width = len(task.manifest), task.width
    logits = np.full((size, task.classes), np.nan, dtype=np.float32)
    values = np.full((size, width), np.nan, dtype=np.float32)
    if len(folds) > 1 and np.array_equal(folds[0].test, folds[1].test):
        given_outputs = [fold_outputs for fold_outputs in outputs if fold_outputs is not None]
        if given_outputs and task.classes:
            logits[folds[0].test] = mean_of_folds(
                np.stack([fold_outputs.logits for fold_outputs in given_outputs]), mean
            )
        if given_outputs:
            values[folds[0].test] = np.stack([fold_outputs.values for fold_outputs in given_outputs]).mean(axis=0)
        return Outputs(logits, values)
    for fold, fold_outputs in zip(folds, outputs, strict=True):
        if fold_outputs is not None:
            logits[fold.test], values[fold.test] = fold_outputs
    return Outputs(logits, values)


def over_seeds(
    task: Task, folds: Sequence[Fold], outputs: Sequence[Sequence[Outputs | None]], mean: str
) -> tuple[Floats32, Floats32]:
    """(S, N, C) and (S, N, V) predictions: the folds of each seed joined.

    Args:
        task: task with N samples.
        folds: the folds that were tested.
        outputs: for each seed, the predictions of each fold.
        mean: as for `joined`.
    """
    by_seed = [joined(task, folds, each, mean) for each in outputs]
    return np.stack([each.logits for each in by_seed]), np.stack([each.values for each in by_seed])


def run_facts(answers: Sequence[Sequence[Answers]], begun: float) -> dict[str, Any]:
    """Fields of a `System` that describe its runs: validation, statuses, parameters and seconds.

    Args:
        answers: for each seed, the predictions of each fold.
        begun: start of the first run, as returned by `time.monotonic`, in seconds.
    """
    all_answers = [answer for by_fold in answers for answer in by_fold]
    return {
        'validation': float(np.mean([answer.score for answer in all_answers])),
        'statuses': dict(Counter(answer.status for answer in all_answers)),
        'parameters': all_answers[0].parameters,
        'seconds': round(time.monotonic() - begun, 1),
    }


def _constant(task: Task, seeds: int) -> System:
    outputs = [constant_outputs(task, fold) for fold in task.fair]
    return System((), 'constant', '', *over_seeds(task, task.fair, [outputs] * seeds, 'logits'))


def scored_rows(
    task: Task,
    systems: Sequence[System],
    settings: ExperimentSettings,
    progress: Progress | None = None,
    beside: Beside | None = None,
) -> tuple[Row, ...]:
    """Score every system on every test part, a constant prediction first, with paired tests against its rivals.

    Args:
        task: task with labels and test parts.
        systems: systems with their predictions.
        settings: seed, seeds and resamples are read.
        progress: called with 'score', systems done, total systems.
        beside: function from a system to its rivals and the kind of each gain; None for the simple model and single
            modalities.
    """
    rng = np.random.default_rng(settings.seed)
    rows: list[Row] = []
    for test in task.tests:
        headline, index = task.headline(test), task.tests[test]
        groups = task.groups[index]
        measures = {id(system): _measure(task, test, system) for system in systems}
        constant = _constant(task, settings.seeds)
        for done, system in enumerate([constant, *systems]):
            measure = measures.get(id(system)) or _measure(task, test, system)
            scores = measure_intervals(measure, rng=rng, groups=groups, resamples=settings.resamples)
            row = Row(system, test, headline, scores, _by_seed(task, test, system, headline))
            gains = []
            for kind, rival in (beside or _rivals)(systems, system):
                value, p = paired_test(
                    measure.columns, measures[id(rival)].columns, measure.statistic,
                    rng=rng, groups=groups, resamples=settings.resamples, bounds=measure.bounds,
                )[headline]  # fmt: skip
                gains.append(Gain(kind, rival, value, p))
            rows.append(dataclasses.replace(row, gains=tuple(gains)))
            if progress:
                progress('score', done + 1, len(systems) + 1)
    adjusted = iter(holm([gain.p for row in rows for gain in row.gains]))
    return tuple(
        dataclasses.replace(row, gains=tuple(dataclasses.replace(gain, p_holm=next(adjusted)) for gain in row.gains))
        for row in rows
    )


def _rivals(systems: Sequence[System], system: System) -> list[tuple[str, System]]:
    """Rivals that a system is tested against; [] for a constant prediction or an epoch chosen on the test part."""
    if system.protocol not in ('fair', 'reference') or system.given:
        return []
    complete = [other for other in systems if not other.given]
    rivals = []
    if system.name not in SIMPLE:
        simple = [other for other in complete if other.name in SIMPLE and other.modalities == system.modalities]
        rivals.append(('simple', simple))
    if len(system.modalities) > 1:
        alone = [
            other
            for other in complete
            if len(other.modalities) == 1
            and other.modalities[0] in system.modalities
            and (other.name, other.protocol) == (system.name, system.protocol)
        ]
        rivals.append(('alone', alone))
    return [(name, max(others, key=lambda other: other.validation)) for name, others in rivals]


def _seed_measures(task: Task, test: str, system: System) -> list[Measure]:
    index = task.tests[test]
    pairs = zip(system.logits, system.values, strict=True)
    return [task.measure(test, logits[index], values[index]) for logits, values in pairs]


def _by_seed(task: Task, test: str, system: System, headline: str) -> tuple[float, ...]:
    return tuple(measure.scores()[headline] for measure in _seed_measures(task, test, system))


def _measure(task: Task, test: str, system: System) -> Measure:
    return mean_over_seeds(_seed_measures(task, test, system))


def mean_over_seeds(measures: Sequence[Measure]) -> Measure:
    """The mean of every score over seeds, as one measure whose columns are those of all seeds, concatenated.

    A mean has the bounds of the score.

    Args:
        measures: one measure per seed, each (N, K), on the same samples with the same scores.
    """
    width = measures[0].columns.shape[1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        seed_scores = [
            measure.statistic(sums[:, seed * width : (seed + 1) * width]) for seed, measure in enumerate(measures)
        ]
        return {name: np.mean([scores[name] for scores in seed_scores], axis=0) for name in seed_scores[0]}

    return Measure(np.concatenate([measure.columns for measure in measures], axis=1), statistic, measures[0].bounds)
