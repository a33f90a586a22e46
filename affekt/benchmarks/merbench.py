"""MERBench: fusion models on your features of a corpus, by a fair protocol and as published.

The input is a manifest and one store of features per modality; the output has every modality alone and all together,
each with a constant answer, our simple models and the requested model, as rows with intervals, paired tests and
predictions. The `fair` protocol chooses hyper-parameters and epoch on validation alone and reads the test once per
seed. The `reference` protocol chooses as published and is marked as leaking. This file defines what is trained, in
which order; the parts are in `affekt.experiments`. Read `run_merbench` first; `merbench_tables.py` renders the outcome.

N samples, S seeds, C classes, V values (0 or 1).

Source: MERBench, Lian et al. 2024, arXiv:2401.03429.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np

from affekt.arrays import Floats32
from affekt.corpora import Manifest
from affekt.errors import UnknownNameError, listed, require_torch
from affekt.experiments import (
    ORACLE,
    SIMPLE,
    Answers,
    ExperimentSettings,
    FinishedRuns,
    Outcome,
    Outputs,
    Part,
    System,
    Task,
    Trial,
    drawn,
    fair_run,
    open_task,
    over_seeds,
    reference_run,
    run_facts,
    scored_rows,
    slot_of,
)
from affekt.features import Store
from affekt.moved_names import with_old_names
from affekt.progress import Progress

PROTOCOLS = ('fair', 'reference', 'both')
"""Allowed protocols."""


@with_old_names(batch='batch_size')
@dataclass(frozen=True)
class MerbenchSettings(ExperimentSettings):
    """Settings of a run, saved with its results.

    Args:
        protocol: `fair` chooses hyper-parameters and epoch on validation alone; `reference` chooses as published;
            `both` shows the difference. The published protocol runs all epochs, whatever `patience`.
        pairs: also train every pair of modalities, in addition to each alone and all together.
        missing: also test the models of all modalities with every proper subset, and with random gaps.
    """

    protocol: str = 'fair'
    pairs: bool = False
    missing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.protocol not in PROTOCOLS:
            raise UnknownNameError(
                expected=f'a protocol among {", ".join(PROTOCOLS)}', came=repr(self.protocol), todo='choose one'
            )


def run_merbench(
    manifest: Manifest,
    stores: Mapping[str, Store],
    settings: MerbenchSettings,
    others: Sequence[Part] = (),
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Train and score models on every set of modalities, with baselines for each.

    Args:
        manifest: manifest of the corpus.
        stores: modality to its features, or names such as `text1:recipe` if there are several of one modality: each
            is then trained alone, and each choice of one per modality together.
        settings: model, protocol and budgets.
        others: further corpora to test the models on.
        folder: folder for every finished run; None to keep nothing.
        resume: continue in the folder of an interrupted run.
        progress: called with the stage, units done and total units.

    Raises:
        MissingExtraError: torch is not installed.
        CorpusError, TableError, ValueRangeError, UnknownNameError: the inputs cannot be trained on; raised before any
            training.
        RunError: the folder has another run.
    """
    require_torch()
    # 1. Check everything.
    if settings.missing and len(set(map(slot_of, stores))) < len(stores):
        raise UnknownNameError(
            expected='one set of features a modality, for --missing ask', came=listed(stores, 4), todo='leave it out'
        )
    task = open_task(manifest, stores, settings, others)
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in stores.items()}
    plan = _plan(tuple(stores), settings)
    # 2. Train; each finished run is saved at once.
    depends_on = {'settings': dataclasses.asdict(settings), 'features': recipes, 'samples': _digest(task)}
    systems = []
    with FinishedRuns(folder, depends_on, resume=resume) as runs:
        runs.expect(sum(_runs(task, name, protocol, settings) for _, name, protocol in plan), progress)
        for modalities, name, protocol in plan:
            systems += _trained(task, modalities, name, protocol, settings, runs)
    # 3. Score, test, correct.
    rows = scored_rows(task, systems, settings, progress)
    return Outcome(task, settings, recipes, rows, task.notes)


def _plan(modalities: tuple[str, ...], settings: MerbenchSettings) -> list[tuple[tuple[str, ...], str, str]]:
    """(features, model, protocol) of all runs: features alone, pairs if requested, then one of each modality."""
    slots = list(dict.fromkeys(map(slot_of, modalities)))
    sizes = {1, *((2,) if settings.pairs else ()), len(slots)}
    by_slot = {slot: [name for name in modalities if slot_of(name) == slot] for slot in slots}
    sets = [
        feature_set
        for size in sorted(sizes)
        for subset in combinations(slots, size)
        for feature_set in product(*(by_slot[slot] for slot in subset))
    ]
    protocols = ('fair', 'reference') if settings.protocol == 'both' else (settings.protocol,)
    plan = []
    for feature_set in sets:
        plan += [(feature_set, name, 'fair') for name in SIMPLE]
        published = protocols if settings.model not in SIMPLE else ()
        plan += [(feature_set, settings.model, protocol) for protocol in published]
    return plan


def _runs(task: Task, name: str, protocol: str, settings: MerbenchSettings) -> int:
    folds = task.fair if protocol == 'fair' else task.reference
    return len(folds) * (len(drawn(name, settings.trials, settings.seed)) + settings.seeds)


def _digest(task: Task) -> str:
    digest = hashlib.sha256()
    for cells in task.manifest.samples.cells(('sample', 'split', 'fold', 'category', 'sentiment', 'valence')):
        digest.update(('\t'.join(map(str, cells)) + '\n').encode())
    return digest.hexdigest()


def _trained(
    task: Task,
    modalities: tuple[str, ...],
    name: str,
    protocol: str,
    settings: MerbenchSettings,
    runs: FinishedRuns,
) -> list[System]:
    """A model after its search and its seeds; for the published loop also with its best test epoch."""
    start = time.monotonic()
    key_prefix = f'{"+".join(modality.partition(":")[0] for modality in modalities)}/{name}/{protocol}'
    draws = drawn(name, settings.trials, settings.seed)
    is_fair = protocol == 'fair'
    run, folds = (fair_run, task.fair) if is_fair else (reference_run, task.reference)
    trial = Trial(
        task, folds[0], modalities, name, draws[0], settings, settings.seed, reads_test=False,
        withholds=settings.missing and is_fair and len(modalities) == len(task.features) > 1,
    )  # fmt: skip
    # 1. Search: (folds, draws) validation scores.
    scores = np.empty((len(folds), len(draws)))
    for t, d in np.ndindex(scores.shape):
        searched = replace(trial, fold=folds[t], configuration=draws[d])
        scores[t, d] = runs.score(f'{key_prefix}/turn{t}/draw{d}', searched, run)
    # 2. Fair: the best draw of each fold by its own validation. Published: one draw for all folds.
    best = scores.argmax(axis=1) if is_fair else np.full(len(folds), scores.mean(axis=0).argmax())
    # 3. Seeds.
    answers = []
    for seed in range(settings.seed + 1, settings.seed + 1 + settings.seeds):
        chosen = replace(trial, seed=seed, reads_test=True)
        answers.append([
            runs.answers(
                f'{key_prefix}/turn{t}/seed{seed}', replace(chosen, fold=fold, configuration=draws[best[t]]), run
            )
            for t, fold in enumerate(folds)
        ])  # fmt: skip
    # 4. Predictions for each form of the test, as separate systems.
    run_fields = run_facts(answers, start)
    run_fields['chosen'] = tuple(draws[draw] for draw in (best if is_fair else best[:1]))
    mean = 'probabilities' if is_fair else 'logits'

    def outputs(select: Callable[[Answers], Outputs | None]) -> tuple[Floats32, Floats32]:
        return over_seeds(task, folds, [[select(answer) for answer in by_fold] for by_fold in answers], mean)

    systems = [System(modalities, name, protocol, *outputs(lambda answer: answer.test), **run_fields)]
    if not is_fair:
        systems.append(System(modalities, name, ORACLE, *outputs(lambda answer: answer.oracle), **run_fields))
    for given in answers[0][0].given:
        systems.append(System(modalities, name, protocol, *outputs(lambda answer: answer.given[given]), given=given))  # noqa: B023
    return systems
