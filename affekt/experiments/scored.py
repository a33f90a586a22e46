"""Systems on the test parts of a task: every score with its interval, tested against what stands beside it.

N samples, S seeds, C classes, V values (0 or 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.experiments.fitting import constant_answers
from affekt.experiments.folds import Turn
from affekt.experiments.settings import SIMPLE, MerbenchSettings
from affekt.experiments.task import Task
from affekt.metrics import Interval, Measure, holm, mean_of_folds, measure_intervals
from affekt.metrics.resampling import Floats as Doubles
from affekt.metrics.resampling import paired_test

Floats = npt.NDArray[np.float32]
Progress = Callable[[str, float, float], None]
ORACLE = 'best test'
"""Not a protocol: what the published loop would report had the test chosen the epoch, as where no other part did."""


@dataclass(frozen=True)
class System:
    """One model by one protocol on one set of modalities."""

    modalities: tuple[str, ...]
    name: str
    protocol: str
    """`fair`, `reference`, `best test`, or '' for a constant answer."""
    logits: Floats = field(repr=False)
    """(S, N, C), nan where a sample is in no test."""
    values: Floats = field(repr=False)
    """(S, N, V)"""
    validation: float = float('nan')
    """Mean score over seeds and divisions on what chose."""
    chosen: tuple[Mapping[str, Any], ...] = ()
    """Hyper-parameters, one a division (or one for all)."""
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
class Merbench:
    """The benchmark's outcome."""

    task: Task = field(repr=False)
    settings: MerbenchSettings
    recipes: Mapping[str, str]
    """Modality to the recipe of its store and its hash."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def joined(
    task: Task, turns: Sequence[Turn], answers: Sequence[tuple[Floats | None, Floats | None]], mean: str
) -> tuple[Floats, Floats]:
    """(N, C) and (N, V): a sample that several divisions tested gets the mean of what they say."""
    size, width = len(task.manifest), 0 if task.values is None else 1
    logits = np.full((size, task.classes), np.nan, dtype=np.float32)
    values = np.full((size, width), np.nan, dtype=np.float32)
    shared = len(turns) > 1 and np.array_equal(turns[0].test, turns[1].test)
    if shared:
        held = [np.stack([np.asarray(each[side]) for each in answers]) for side in (0, 1)]
        if task.classes:
            logits[turns[0].test] = mean_of_folds(held[0], mean)
        values[turns[0].test] = held[1].mean(axis=0)
        return logits, values
    for turn, (said, rated) in zip(turns, answers, strict=True):
        if said is not None and rated is not None:
            logits[turn.test], values[turn.test] = said, rated
    return logits, values


def stacked(answers: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """(S, N, C) and (S, N, V) of S seeds."""
    return np.stack([said for said, _ in answers]), np.stack([rated for _, rated in answers])


def _constant(task: Task, seeds: int) -> System:
    held = joined(task, task.fair, [constant_answers(task, turn) for turn in task.fair], 'logits')
    return System((), 'constant', '', *stacked([held] * seeds))


def scored_rows(
    task: Task,
    systems: Sequence[System],
    settings: MerbenchSettings,
    progress: Progress | None = None,
    beside: Beside | None = None,
) -> tuple[Row, ...]:
    """Every system on every test part, a constant answer first, tested against what stands beside it.

    Args:
        task: truth and test parts.
        systems: their answers.
        settings: seed, seeds and resamples are read.
        progress: told 'score', systems done, systems in all.
        beside: kinds of gain of a system and what each is over; None for the simple model, and one modality alone.
    """
    rng = np.random.default_rng(settings.seed)
    rows: list[Row] = []
    for test in task.tests:
        headline, index = task.headline(test), task.tests[test]
        groups = task.manifest.groups()[index]
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
    systems = [one for one in systems if not one.given]
    found = []
    if system.name not in SIMPLE:
        found.append(('simple', [one for one in systems if one.name in SIMPLE and one.modalities == system.modalities]))
    if len(system.modalities) > 1:
        alone = [one for one in systems if len(one.modalities) == 1 and one.modalities[0] in system.modalities]
        found.append(('alone', [one for one in alone if (one.name, one.protocol) == (system.name, system.protocol)]))
    return [(kind, max(held, key=lambda one: one.validation)) for kind, held in found]


def _each_seed(task: Task, test: str, system: System) -> list[Measure]:
    index = task.tests[test]
    pairs = zip(system.logits, system.values, strict=True)
    return [task.measure(test, logits[index], values[index]) for logits, values in pairs]


def _by_seed(task: Task, test: str, system: System, headline: str) -> tuple[float, ...]:
    return tuple(each.scores()[headline] for each in _each_seed(task, test, system))


def _measure(task: Task, test: str, system: System) -> Measure:
    """The mean over seeds of every score, as one measure: the seeds' columns side by side."""
    each = _each_seed(task, test, system)
    width = each[0].columns.shape[1]

    def statistic(sums: Doubles) -> dict[str, Doubles]:
        parts = [held.statistic(sums[:, at * width : (at + 1) * width]) for at, held in enumerate(each)]
        return {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}

    return Measure(np.concatenate([held.columns for held in each], axis=1), statistic)
