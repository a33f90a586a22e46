"""MERBench: fusion models on anyone's features of a corpus, fairly, and as published beside it.

A manifest and a store of features a modality come in; every modality alone and all together, each with a constant
answer, our own simple models and the model asked for, go out as rows with intervals, paired tests and predictions. The
`fair` protocol chooses hyper-parameters and epoch on validation alone and reads the test once a seed. The `reference`
protocol chooses as published and is said to leak. Read `run_merbench` first; `merbench_inputs.py` checks what comes in,
`merbench_training.py` trains (and needs torch), `merbench_tables.py` shows.

N samples, S seeds, C classes, V values (0 or 1).

Source: MERBench, Lian et al. 2024, arXiv:2401.03429.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.benchmarks.merbench_cross import Part
from affekt.benchmarks.merbench_divisions import Turn
from affekt.benchmarks.merbench_inputs import Task, open_task
from affekt.benchmarks.merbench_settings import SIMPLE, MerbenchSettings, drawn, slot_of
from affekt.benchmarks.merbench_training import Answers, constant_answers, fair_run, gap_names, reference_run
from affekt.benchmarks.merbench_units import Units
from affekt.corpora import Manifest
from affekt.errors import MissingExtraError, UnknownNameError, listed
from affekt.features import Store
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


def run_merbench(
    manifest: Manifest,
    stores: Mapping[str, Store],
    settings: MerbenchSettings,
    others: Sequence[Part] = (),
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Merbench:
    """Train and score every set of modalities, with baselines beside each.

    Args:
        manifest: of the corpus.
        stores: modality to its features, or names such as `text1:recipe` where there are several of one modality:
            each is then trained alone, and each choice of one a modality together.
        settings: model, protocol and budgets.
        others: corpora that the models are tested on besides.
        folder: keeps every finished run; None keeps nothing.
        resume: go on in a folder that a killed run left.
        progress: told the stage, what is done and the total.

    Raises:
        MissingExtraError: torch is not installed.
        CorpusError, TableError, ValueRangeError, UnknownNameError: what came cannot be trained on; before any training.
        RunError: the folder holds another run.
    """
    if importlib.util.find_spec('torch') is None:
        raise MissingExtraError(
            expected='torch, which trains', came='none installed', todo='pip install "affekt[torch]"'
        )
    # 1. Check everything.
    if settings.missing and len(set(map(slot_of, stores))) < len(stores):
        raise UnknownNameError(
            expected='one set of features a modality, for --missing ask', came=listed(stores, 4), todo='leave it out'
        )
    task = open_task(manifest, stores, settings, others)
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in stores.items()}
    plan = _plan(tuple(stores), settings)
    # 2. Train, each finished run on disk at once.
    facts = {'settings': dataclasses.asdict(settings), 'features': recipes, 'samples': _digest(task)}
    systems = []
    with Units(folder, facts, resume=resume) as units:
        units.expect(sum(_runs(task, name, protocol, settings) for _, name, protocol in plan), progress)
        for modalities, name, protocol in plan:
            systems += _trained(task, modalities, name, protocol, settings, units)
    # 3. Score, test, correct.
    rows = scored_rows(task, systems, settings, progress)
    return Merbench(task, settings, recipes, rows, task.notes)


def _plan(modalities: tuple[str, ...], settings: MerbenchSettings) -> list[tuple[tuple[str, ...], str, str]]:
    """What is trained: each set of features alone, pairs where asked for, then one of each modality together."""
    slots = list(dict.fromkeys(map(slot_of, modalities)))
    sizes = {1, *((2,) if settings.pairs else ()), len(slots)}
    by_slot = {slot: [name for name in modalities if slot_of(name) == slot] for slot in slots}
    sets = [
        each
        for size in sorted(sizes)
        for chosen in combinations(slots, size)
        for each in product(*(by_slot[slot] for slot in chosen))
    ]
    protocols = ('fair', 'reference') if settings.protocol == 'both' else (settings.protocol,)
    found = []
    for each in sets:
        found += [(each, name, 'fair') for name in SIMPLE]
        published = protocols if settings.model not in SIMPLE else ()
        found += [(each, settings.model, protocol) for protocol in published]
    return found


def _runs(task: Task, name: str, protocol: str, settings: MerbenchSettings) -> int:
    turns = task.fair if protocol == 'fair' else task.reference
    return len(turns) * (len(drawn(name, settings.trials, settings.seed)) + settings.seeds)


def _digest(task: Task) -> str:
    import hashlib

    held = hashlib.sha256()
    for row in task.manifest.samples:
        held.update(f'{row.sample}\t{row.split}\t{row.fold}\t{row.category}\t{row.sentiment}\t{row.valence}\n'.encode())
    return held.hexdigest()


def _trained(
    task: Task,
    modalities: tuple[str, ...],
    name: str,
    protocol: str,
    settings: MerbenchSettings,
    units: Units,
) -> list[System]:
    """A model after its search and its seeds; the published loop gives also what its best test epoch would."""
    begun = time.monotonic()
    where = f'{"+".join(each.partition(":")[0] for each in modalities)}/{name}/{protocol}'
    draws = drawn(name, settings.trials, settings.seed)
    seeds = [settings.seed + 1 + number for number in range(settings.seeds)]
    is_fair = protocol == 'fair'
    gaps = settings.missing and is_fair and len(modalities) == len(task.features) > 1
    turns = task.fair if is_fair else task.reference

    def run(t: int, draw: Mapping[str, Any], seed: int, reads_test: bool) -> Answers:
        if is_fair:
            return fair_run(
                task, turns[t], modalities, name, draw, settings, seed=seed, reads_test=reads_test, gaps=gaps
            )
        return reference_run(task, turns[t], modalities, name, draw, settings, seed=seed)

    # 1. Search: (turns, draws) scores on what chooses.
    found = np.empty((len(turns), len(draws)))
    for t, d in np.ndindex(found.shape):
        found[t, d] = units.score(f'{where}/turn{t}/draw{d}', partial(run, t, draws[d], settings.seed, False))
    # 2. Fair: each division by its own validation, so that no tested fold chooses. Published: one for all.
    best = found.argmax(axis=1) if is_fair else np.full(len(turns), found.mean(axis=0).argmax())
    # 3. Seeds.
    answers = [
        [
            units.answers(f'{where}/turn{t}/seed{seed}', partial(run, t, draws[best[t]], seed, True))
            for t in range(len(turns))
        ]
        for seed in seeds
    ]
    flat = [each for turn in answers for each in turn]
    told: dict[str, Any] = {
        'validation': float(np.mean([each.score for each in flat])),
        'chosen': tuple(draws[number] for number in (best if is_fair else best[:1])),
        'statuses': {status: sum(each.status == status for each in flat) for status in {each.status for each in flat}},
        'parameters': flat[0].parameters,
        'seconds': round(time.monotonic() - begun, 1),
    }
    mean = 'probabilities' if is_fair else 'logits'
    held = [joined(task, turns, [(one.logits, one.values) for one in each], mean) for each in answers]
    systems = [System(modalities, name, protocol, *stacked(held), **told)]
    if not is_fair:
        held = [joined(task, turns, [(one.oracle_logits, one.oracle_values) for one in each], mean) for each in answers]
        systems.append(System(modalities, name, ORACLE, *stacked(held), **told))
    if gaps:
        for at, given in enumerate(gap_names(modalities)):
            held = [joined(task, turns, [_gap(task, one, at) for one in each], mean) for each in answers]
            systems.append(System(modalities, name, protocol, *stacked(held), given=given))
    return systems


def _gap(task: Task, answers: Answers, at: int) -> tuple[Floats, Floats]:
    """What a run says with the modalities missing that stand at a place of `gap_names`."""
    assert answers.gap_logits is not None
    width = 0 if task.values is None else 1
    logits = answers.gap_logits[:, at * task.classes : (at + 1) * task.classes]
    values = answers.gap_values[:, at * width : (at + 1) * width] if answers.gap_values is not None else logits[:, :0]
    return logits, values


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
