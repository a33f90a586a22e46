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
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest
from affekt.errors import MissingExtraError, UnknownNameError, listed
from affekt.experiments.cross_corpus import Part
from affekt.experiments.finished_runs import Units
from affekt.experiments.fitting import Answers, fair_run, gap_names, reference_run
from affekt.experiments.scored import ORACLE, Floats, Merbench, Progress, System, joined, scored_rows, stacked
from affekt.experiments.settings import SIMPLE, MerbenchSettings, drawn, slot_of
from affekt.experiments.task import Task, open_task
from affekt.features import Store


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
