"""Systems on the test parts of a task: every score with its interval, tested against what stands beside it.

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
"""Not a protocol: what the published loop would report had the test chosen the epoch, as where no other part did."""


@dataclass(frozen=True)
class System:
    """One model by one protocol on one set of modalities."""

    modalities: tuple[str, ...]
    name: str
    protocol: str
    """`fair`, `reference`, `best test`, or '' for a constant answer."""
    logits: Floats32 = field(repr=False)
    """(S, N, C), nan where a sample is in no test."""
    values: Floats32 = field(repr=False)
    """(S, N, V)"""
    validation: float = float('nan')
    """Mean score over seeds and folds on what chose."""
    chosen: tuple[Mapping[str, Any], ...] = ()
    """Hyper-parameters, one a fold (or one for all)."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """How many runs were healthy, constant, not finite."""
    parameters: int = 0
    seconds: float = 0.0
    given: str = ''
    """What it was given of its modalities: a smaller set, or `any:RATE` for gaps at random; '' for all."""


Beside = Callable[[Sequence[System], System], Sequence[tuple[str, System]]]


@dataclass(frozen=True)
class Gain:
    """The headline of one system less that of another, on the same samples."""

    kind: str
    """`simple`: our simple model on the same modalities. `alone`: the same protocol on one modality. Of several the one
    that did best on validation. `linear` and `frozen`: of an encoder that was fine-tuned, what its own vectors give."""
    over: System = field(repr=False)
    value: Interval
    p: float
    p_holm: float = float('nan')
    """Corrected over all tests of the run."""


@dataclass(frozen=True)
class Row:
    """One system on one test part; scores are means over seeds."""

    system: System = field(repr=False)
    test: str
    headline: str
    scores: Mapping[str, Interval]
    """Every score with its interval over groups of samples."""
    by_seed: tuple[float, ...]
    """(S,) the headline."""
    gains: tuple[Gain, ...] = ()
    """Over the simple model on the same modalities, and over one modality alone; empty for rows that are not tested."""

    def gain(self, kind: str) -> Gain | None:
        """The gain over a `simple` model or over a modality `alone`."""
        return next((each for each in self.gains if each.kind == kind), None)


@dataclass(frozen=True)
class Outcome:
    """What an experiment came to."""

    task: Task = field(repr=False)
    settings: ExperimentSettings
    recipes: Mapping[str, str]
    """Modality to the recipe of its store and its hash."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def joined(task: Task, folds: Sequence[Fold], outputs: Sequence[Outputs | None], mean: str) -> Outputs:
    """(N, C) and (N, V): a sample that several folds tested gets the mean of what they say.

    Args:
        task: of N samples.
        folds: that were tested.
        outputs: of each fold; None where nothing was answered.
        mean: of `affekt.metrics.mean_of_folds`, of answers to one test.
    """
    size, width = len(task.manifest), task.width
    logits = np.full((size, task.classes), np.nan, dtype=np.float32)
    values = np.full((size, width), np.nan, dtype=np.float32)
    if len(folds) > 1 and np.array_equal(folds[0].test, folds[1].test):
        answered = [each for each in outputs if each is not None]
        if answered and task.classes:
            logits[folds[0].test] = mean_of_folds(np.stack([each.logits for each in answered]), mean)
        if answered:
            values[folds[0].test] = np.stack([each.values for each in answered]).mean(axis=0)
        return Outputs(logits, values)
    for fold, each in zip(folds, outputs, strict=True):
        if each is not None:
            logits[fold.test], values[fold.test] = each
    return Outputs(logits, values)


def over_seeds(
    task: Task, folds: Sequence[Fold], outputs: Sequence[Sequence[Outputs | None]], mean: str
) -> tuple[Floats32, Floats32]:
    """(S, N, C) and (S, N, V): for each seed the answers of all folds.

    Args:
        task: of N samples.
        folds: that were tested.
        outputs: seed by seed, those of each fold.
        mean: as for `joined`.
    """
    by_seed = [joined(task, folds, each, mean) for each in outputs]
    return np.stack([each.logits for each in by_seed]), np.stack([each.values for each in by_seed])


def run_facts(answers: Sequence[Sequence[Answers]], begun: float) -> dict[str, Any]:
    """What a `System` says of its runs: validation, statuses, parameters and seconds.

    Args:
        answers: seed by seed, those of each fold.
        begun: when the first began, as `time.monotonic` has it.
    """
    flat = [each for by_fold in answers for each in by_fold]
    return {
        'validation': float(np.mean([each.score for each in flat])),
        'statuses': dict(Counter(each.status for each in flat)),
        'parameters': flat[0].parameters,
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
    """Every system on every test part, a constant answer first, tested against what stands beside it.

    Args:
        task: truth and test parts.
        systems: their answers.
        settings: seed, seeds and resamples are read.
        progress: called with 'score', systems done, systems in all.
        beside: kinds of gain of a system and what each is over; None for the simple model, and one modality alone.
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
            for kind, other in (beside or _beside)(systems, system):
                value, p = paired_test(
                    measure.columns, measures[id(other)].columns, measure.statistic,
                    rng=rng, groups=groups, resamples=settings.resamples,
                )[headline]  # fmt: skip
                gains.append(Gain(kind, other, value, p))
            rows.append(dataclasses.replace(row, gains=tuple(gains)))
            if progress:
                progress('score', done + 1, len(systems) + 1)
    adjusted = iter(holm([each.p for row in rows for each in row.gains]))
    return tuple(
        dataclasses.replace(row, gains=tuple(dataclasses.replace(each, p_holm=next(adjusted)) for each in row.gains))
        for row in rows
    )


def _beside(systems: Sequence[System], system: System) -> list[tuple[str, System]]:
    """What a system is tested against; nothing for a constant, and for what the test itself chose."""
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


def _each_seed(task: Task, test: str, system: System) -> list[Measure]:
    index = task.tests[test]
    pairs = zip(system.logits, system.values, strict=True)
    return [task.measure(test, logits[index], values[index]) for logits, values in pairs]


def _by_seed(task: Task, test: str, system: System, headline: str) -> tuple[float, ...]:
    return tuple(each.scores()[headline] for each in _each_seed(task, test, system))


def _measure(task: Task, test: str, system: System) -> Measure:
    return mean_over_seeds(_each_seed(task, test, system))


def mean_over_seeds(measures: Sequence[Measure]) -> Measure:
    """The mean of every score, as one measure: the columns of all side by side.

    Args:
        measures: one a seed, each (N, K), of the same samples and scores.
    """
    width = measures[0].columns.shape[1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        parts = [measure.statistic(sums[:, at * width : (at + 1) * width]) for at, measure in enumerate(measures)]
        return {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}

    return Measure(np.concatenate([measure.columns for measure in measures], axis=1), statistic)
