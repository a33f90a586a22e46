"""Faces and voices in clips: pre-trained encoders fine-tuned fold by fold, compared with trivial and linear baselines.

The input is a manifest, its clips and models to fine-tune. The output compares the most frequent category, categories
drawn by their frequency in training, a linear layer on features, and every model, as rows with intervals and paired
tests, on all folds together. The fair protocol chooses the epoch on people of the training part; the published one
chooses on the tested fold itself and is marked so. Read `run_dfer` first; `dfer_task.py` splits and scores,
`dfer_tables.py` renders.

N clips, S seeds, C categories, V dimensions. torch is imported where it is used.

Sources: Sun et al. 2024, arXiv:2401.05698 (HiCMAE) and arXiv:2401.00416 (SVFAP).
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from affekt.arrays import Floats32, Ints
from affekt.benchmarks.candidates import CONSTANT, LINEAR, PRIOR, Candidate, ClipSource
from affekt.benchmarks.dfer_task import DferSettings, DferTask, open_dfer
from affekt.benchmarks.published import PublishedTable, published_dfer
from affekt.clips import Clip
from affekt.corpora import Manifest
from affekt.errors import TableError, ValueRangeError, listed, require_torch
from affekt.experiments import (
    ORACLE,
    Answers,
    FinishedRuns,
    Fold,
    Outputs,
    Row,
    System,
    Trial,
    constant_outputs,
    drawn,
    fair_run,
    over_seeds,
    run_facts,
    scored_rows,
)
from affekt.features import Store
from affekt.files import remove_folder
from affekt.progress import Progress
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.pretraining import LabelledClip, Tuned, TuningSettings, Views

RUNNING = 'running'
"""Folder of checkpoints of the current run."""


@dataclass(frozen=True)
class Dfer:
    """Result of the benchmark."""

    task: DferTask = field(repr=False)
    settings: DferSettings
    tuning: Mapping[str, Any]
    """Settings of fine-tuning."""
    models: Mapping[str, Mapping[str, Any]]
    """Candidate to its facts."""
    recipes: Mapping[str, str]
    """Modality to the recipe of the features of the linear baseline."""
    rows: tuple[Row, ...]
    """Scored rows, with gains of kind `linear`, and `scratch` or another candidate's name."""
    published: PublishedTable | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Inputs:
    """Inputs that all runs share."""

    task: DferTask
    clips: Mapping[str, ClipSource]
    settings: DferSettings
    tuning: TuningSettings
    views: dict[str, Views] = field(default_factory=dict, repr=False)
    """Features for linear probes, which depend on encoder and protocol, not on the fold."""

    def readable(self, candidate: Candidate, index: Ints) -> Ints:
        """Indices of the clips with at least one modality that the model reads."""
        names = self.task.manifest.names
        is_readable = [bool(self.clips[names[clip]].has & set(candidate.reads)) for clip in index.tolist()]
        return index[np.array(is_readable, dtype=np.bool_)]

    def labelled(self, index: Ints) -> list[LabelledClip]:
        """These clips with their targets: a category, or (V,) values."""
        from affekt.pretraining import LabelledClip

        task, names = self.task, self.task.manifest.names
        if task.labels is not None:
            return [LabelledClip(self.clips[names[clip]].load, int(task.labels[clip])) for clip in index.tolist()]
        assert task.values is not None
        return [
            LabelledClip(self.clips[names[clip]].load, task.values[clip].astype(np.float32)) for clip in index.tolist()
        ]


def run_dfer(
    manifest: Manifest,
    clips: Mapping[str, ClipSource],
    candidates: Sequence[Candidate],
    settings: DferSettings,
    tuning: TuningSettings,
    *,
    stores: Mapping[str, Store] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Dfer:
    """Fine-tune and score every model on every fold, with baselines.

    Args:
        manifest: manifest of the corpus, with folds or splits.
        clips: sample to the source of its clip; a sample without one counts as a clip without modalities.
        candidates: models to fine-tune; none for the baselines alone.
        settings: protocol and budgets.
        tuning: settings of fine-tuning.
        stores: modality to features of a linear baseline; each alone, and all together.
        folder: folder for every finished run, and a checkpoint of the current one; None to store nothing.
        resume: continue in the folder of a killed run.
        progress: called with the stage, units done and total units.

    Raises:
        MissingExtraError: torch is not installed.
        CorpusError, TableError, UnknownNameError: the manifest cannot be trained on.
        ValueRangeError: two candidates have the same name, or one has a baseline's.
        RunError: the folder holds another run.
    """
    require_torch()
    _require_names(candidates)
    # 1. The corpus, its folds, and the modalities of each clip.
    stores = stores or {}
    task = open_dfer(manifest, settings.simple, share=settings.validation_share, stores=stores, target=settings.target)
    missing_clip = ClipSource(_nothing, frozenset())
    inputs = _Inputs(task, {name: clips.get(name, missing_clip) for name in task.manifest.names}, settings, tuning)
    notes = [*task.notes, *_clip_notes(inputs, candidates)]
    # 2. Linear layers, then each model by each protocol; every finished run is saved at once.
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in stores.items()}
    models = {candidate.name: {'reads': list(candidate.reads), **candidate.facts} for candidate in candidates}
    depends_on = {
        'settings': dataclasses.asdict(settings), 'tuning': dataclasses.asdict(tuning), 'models': models,
        'features': recipes, 'clips': _digest(inputs),
    }  # fmt: skip
    systems = [_prior(inputs)]
    bar = _Bar(progress)
    with FinishedRuns(folder, depends_on, resume=resume) as runs:
        sets = [(name,) for name in stores] + ([tuple(stores)] if len(stores) > 1 else [])
        draws = drawn(LINEAR, settings.trials, settings.seed)
        linear_runs = len(sets) * len(task.fair) * (len(draws) + settings.seeds - 1)
        runs.expect(linear_runs + sum(1 for _ in _plan(inputs, candidates)), bar)
        systems += [_linear(inputs, modalities, draws, runs) for modalities in sets]
        for candidate in candidates:
            for protocol in settings.protocols:
                systems += _tuned(inputs, candidate, protocol, runs, folder, bar)
    if folder is not None:
        shutil.rmtree(folder / RUNNING, ignore_errors=True)
    # 3. Scores, intervals, tests.
    rows = scored_rows(task, systems, settings.simple, progress, partial(_rivals, candidates))
    published = published_dfer(task.manifest.facts.corpus, task.classes)
    return Dfer(task, settings, dataclasses.asdict(tuning), models, recipes, rows, published, tuple(notes))


def _require_names(candidates: Sequence[Candidate]) -> None:
    """Check that names are unique, since a name identifies rows and finished runs."""
    counts = Counter([*(candidate.name for candidate in candidates), CONSTANT, PRIOR, LINEAR])
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise ValueRangeError(
            expected=f'models of different names, none of them {CONSTANT}, {PRIOR} or {LINEAR}', came=listed(repeated),
            todo='give each a name of its own',
        )  # fmt: skip


class _Bar:
    """One progress bar for all runs, in which an epoch is a fraction of a run."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done, self._total = progress, 0.0, 1.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        self._done, self._total = done, total
        if self._progress:
            self._progress(stage, done, total)

    def part(self, share: float) -> None:
        """Report the finished share of the current run."""
        if self._progress:
            self._progress('train', self._done + min(share, 1.0), self._total)


def _nothing() -> Clip:
    raise TableError(expected='a clip', came='none', todo='check what the manifest names')


def _clip_notes(inputs: _Inputs, candidates: Sequence[Candidate]) -> list[str]:
    """Notes on models that were fine-tuned before, and on clips without some or all modalities of a model."""
    notes = []
    for candidate in candidates:
        if candidate.facts.get('stage') == 'finetune':
            notes.append(
                f'{candidate.name} was fine-tuned before; its head is new here, but if it learnt the labels of these '
                'clips, its scores are too high'
            )
        present = [source.has & set(candidate.reads) for source in inputs.clips.values()]
        for modality in candidate.reads:
            masked = sum(bool(modalities) and modality not in modalities for modalities in present)
            if masked:
                notes.append(f'{candidate.name}: {counted(masked, "clip")} without {modality}, masked')
        unreadable = sum(not modalities for modalities in present)
        if unreadable:
            notes.append(
                f'{candidate.name}: {counted(unreadable, "clip")} without {" and ".join(candidate.reads)}, not learnt '
                'from and answered as the most frequent one'
            )
    return notes


def _plan(inputs: _Inputs, candidates: Sequence[Candidate]) -> list[tuple[str, str, int, int]]:
    """Every run of a candidate: its name, protocol, fold and seed."""
    task, settings = inputs.task, inputs.settings
    return [
        (candidate.name, protocol, fold, seed)
        for candidate in candidates
        for protocol in settings.protocols
        for fold in range(len(task.fair if protocol == 'fair' else task.reference))
        for seed in _seeds(settings)
    ]


def _seeds(settings: DferSettings) -> range:
    return range(settings.seed + 1, settings.seed + 1 + settings.seeds)


def _digest(inputs: _Inputs) -> str:
    """SHA-256 of labels, divisions, and the modalities and settings of each clip."""
    digest = hashlib.sha256()
    cells = ('sample', 'split', 'fold', 'category', 'arousal', 'valence', 'dominance', 'audio', 'video', 'frames')
    for row in inputs.task.manifest.samples.cells(cells):
        source = inputs.clips[row[0]]
        digest.update(repr((row, sorted(source.has), source.made)).encode())
    return digest.hexdigest()


def _prior(inputs: _Inputs) -> System:
    """The baseline that predicts the truth of a random training clip."""
    task, settings = inputs.task, inputs.settings
    outputs = []
    for seed in _seeds(settings):
        rng = np.random.default_rng([seed, *b'prior'])
        by_fold = []
        for fold in task.fair:
            sampled = rng.choice(fold.train, len(fold.test))
            logits = np.zeros((len(fold.test), task.classes), dtype=np.float32)
            if task.labels is not None:
                logits[np.arange(len(fold.test)), task.labels[sampled]] = 1.0
            values = np.zeros((len(fold.test), 0)) if task.values is None else task.values[sampled]
            by_fold.append(Outputs(logits, values.astype(np.float32)))
        outputs.append(by_fold)
    return System((), PRIOR, '', *over_seeds(task, task.fair, outputs, 'probabilities'))


def _linear(
    inputs: _Inputs, modalities: tuple[str, ...], draws: Sequence[dict[str, Any]], runs: FinishedRuns
) -> System:
    """A linear layer on features, its settings and epoch chosen on validation; the first seed's runs are the search."""
    task, settings, start = inputs.task, inputs.settings, time.monotonic()
    seeds = list(_seeds(settings))

    def answers(fold: int, draw: int, seed: int) -> Answers:
        trial = Trial(task, task.fair[fold], modalities, LINEAR, draws[draw], settings.simple, seed)
        return runs.answers(f'{LINEAR}/{"+".join(modalities)}/turn{fold}/draw{draw}/seed{seed}', trial, fair_run)

    search = [[answers(fold, draw, seeds[0]) for draw in range(len(draws))] for fold in range(len(task.fair))]
    best = [int(np.argmax([run.score for run in by_draw])) for by_draw in search]
    by_seed = [[search[fold][draw] for fold, draw in enumerate(best)]]
    by_seed += [[answers(fold, draw, seed) for fold, draw in enumerate(best)] for seed in seeds[1:]]
    outputs = [[run.test for run in by_fold] for by_fold in by_seed]
    return System(
        modalities, LINEAR, 'fair', *over_seeds(task, task.fair, outputs, 'probabilities'), **run_facts(by_seed, start),
        chosen=tuple(draws[draw] for draw in best),
    )  # fmt: skip


def _tuned(
    inputs: _Inputs, candidate: Candidate, protocol: str, runs: FinishedRuns, folder: Path | None, bar: _Bar
) -> list[System]:
    """A model by one protocol; the published one also with the epoch that is best on the tested fold."""
    task, settings, start = inputs.task, inputs.settings, time.monotonic()
    folds = task.fair if protocol == 'fair' else task.reference

    def answers(fold: int, seed: int) -> Answers:
        key = f'{candidate.name}/{protocol}/turn{fold}/seed{seed}'
        trial = Trial(task, folds[fold], candidate.reads, candidate.name, {}, settings.simple, seed)
        return runs.answers(key, trial, lambda trial: _run(inputs, candidate, protocol, folder, bar, trial, key))

    by_seed = [[answers(fold, seed) for fold in range(len(folds))] for seed in _seeds(settings)]

    def outputs(select: Callable[[Answers], Outputs | None]) -> tuple[Floats32, Floats32]:
        return over_seeds(task, folds, [[select(run) for run in by_fold] for by_fold in by_seed], 'probabilities')

    chosen = tuple({'epochs': [by_fold[fold].epoch for by_fold in by_seed]} for fold in range(len(folds)))
    run_fields = {**run_facts(by_seed, start), 'chosen': chosen}
    systems = [System(candidate.reads, candidate.name, protocol, *outputs(lambda run: run.test), **run_fields)]
    if protocol == 'reference':
        systems.append(System(candidate.reads, candidate.name, ORACLE, *outputs(lambda run: run.oracle), **run_fields))
    return systems


def _run(
    inputs: _Inputs, candidate: Candidate, protocol: str, folder: Path | None, bar: _Bar, trial: Trial, key: str
) -> Answers:
    """Predictions of one model, tuned on one fold, for its test part; each epoch is saved before the next."""
    from affekt.pretraining import tune

    if inputs.tuning.method == 'linear':
        return _probed(inputs, candidate, protocol, folder, bar, trial)
    task, fold = inputs.task, trial.fold
    train, validation = (inputs.labelled(inputs.readable(candidate, index)) for index in (fold.train, fold.validation))
    run_folder = None if folder is None else folder / RUNNING / key.replace('/', '.')

    def tune_once(chooses: Literal['best', 'last'], checkpoint_folder: Path | None) -> Tuned:
        settings = dataclasses.replace(
            inputs.tuning, seed=trial.seed, chooses=chooses, reference=protocol == 'reference',
            patience=inputs.tuning.patience if protocol == 'fair' else None,
        )  # fmt: skip

        def report(row: Mapping[str, float]) -> None:
            bar.part(row.get('epoch', 0.0) / (settings.epochs + 1))

        return tune(
            candidate.open(task.outputs, trial.seed), train, validation, settings, folder=checkpoint_folder,
            resume=checkpoint_folder is not None and checkpoint_folder.exists(), report=report,
        )  # fmt: skip

    with TemporaryDirectory() as scrap:
        # 1. Open the model; fine-tune it, from the last saved epoch after a kill.
        checkpoint_folder = run_folder or (Path(scrap) / 'run' if protocol == 'reference' else None)
        best = tune_once('best', checkpoint_folder)
        outputs = _outputs(inputs, candidate, protocol, fold, best.model)
        answers = Answers(best.best_score, best.epoch, _status(outputs), _size(best.model), outputs)
        # 2. The published program reports the last epoch, whose weights the run has stored.
        if protocol == 'reference':
            last_model = (
                _last_model(best, checkpoint_folder)
                or tune_once(
                    'last', checkpoint_folder and checkpoint_folder.with_name(f'{checkpoint_folder.name}.last')
                ).model
            )
            last_outputs = _outputs(inputs, candidate, protocol, fold, last_model)
            answers = dataclasses.replace(
                answers, epoch=inputs.tuning.epochs, status=_status(last_outputs), test=last_outputs, oracle=outputs
            )
    for finished in () if run_folder is None else (run_folder, run_folder.with_name(f'{run_folder.name}.last')):
        remove_folder(finished)
    return answers


def _probed(
    inputs: _Inputs, candidate: Candidate, protocol: str, folder: Path | None, bar: _Bar, trial: Trial
) -> Answers:
    """Predictions of a linear probe, fitted on one fold, for its test part; the features are those of all folds."""
    from affekt.pretraining import probed_answers, tune

    task, fold = inputs.task, trial.fold
    model = candidate.open(task.outputs, trial.seed)
    settings = dataclasses.replace(inputs.tuning, seed=trial.seed, reference=protocol == 'reference')
    clips, views = _views(inputs, candidate, model, settings, folder, bar)
    train, validation, tested = (
        inputs.readable(candidate, index) for index in (fold.train, fold.validation, fold.test)
    )
    train_views, validation_views, test_views = (
        views.take(np.searchsorted(clips, index).tolist()) for index in (train, validation, tested)
    )
    clips_of = inputs.labelled(train), inputs.labelled(validation)

    def probed(chooses: Literal['best', 'last']) -> tuple[Tuned, Outputs]:
        chosen = dataclasses.replace(settings, chooses=chooses)
        probe = tune(copy.deepcopy(model), *clips_of, chosen, views=(train_views, validation_views))
        outputs = constant_outputs(task, fold)
        if len(tested):
            rows = outputs.values if task.dimensions else outputs.logits
            rows[np.isin(fold.test, tested)] = probed_answers(probe.model, test_views, numbers=bool(task.dimensions))
        return probe, outputs

    probe, outputs = probed('best')
    oracle = None
    if protocol == 'reference':  # validation is the tested fold: what it chooses is the oracle
        oracle = outputs
        probe, outputs = probed('last')
    return Answers(probe.best_score, probe.epoch, _status(outputs), _size(probe.model), outputs, oracle)


def _views(
    inputs: _Inputs, candidate: Candidate, model: Any, settings: TuningSettings, folder: Path | None, bar: _Bar
) -> tuple[Ints, Views]:
    """Indices of the clips in folds that the model can read, rising, and their features, computed once."""
    from affekt.pretraining import state_digest, view_features

    folds = inputs.task.reference if settings.reference else inputs.task.fair
    index = np.unique(np.concatenate([part for fold in folds for part in (fold.train, fold.validation, fold.test)]))
    clips = inputs.readable(candidate, index)
    depends_on = {
        'encoder': state_digest(model, without='head.'), 'facts': candidate.facts, 'reads': list(candidate.reads),
        'reference': settings.reference, 'stride': settings.stride, 'segments': settings.segments,
        'device': settings.device, 'clips': _digest(inputs),
    }  # fmt: skip
    key = hashlib.sha256(repr(depends_on).encode()).hexdigest()
    if key not in inputs.views:
        inputs.views[key] = view_features(
            model, inputs.labelled(clips), settings, depends_on=depends_on,
            folder=None if folder is None else folder / RUNNING / f'{candidate.name}.{key[:12]}',
            progress=lambda _, done, total: bar.part(done / total),
        )  # fmt: skip
    return clips, inputs.views[key]


def _last_model(best: Tuned, folder: Path | None) -> Any:
    """The model at the last epoch of a run of all weights, by its last checkpoint; None of other runs."""
    from affekt.training import last_weights

    state, _ = (folder is not None and last_weights(folder)) or ({}, 0)
    names = {name for name, _ in best.model.named_parameters()}
    if not names or state.keys() != names:
        return None
    model = copy.deepcopy(best.model)
    model.load_state_dict({**model.state_dict(), **state})
    return model


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _outputs(inputs: _Inputs, candidate: Candidate, protocol: str, fold: Fold, model: Any) -> Outputs:
    """(T, C) probabilities, or (T, V) values; the constant prediction for clips without modalities of the model."""
    from affekt.pretraining import predict_proba

    outputs = constant_outputs(inputs.task, fold)
    readable = inputs.readable(candidate, fold.test)
    if len(readable):
        names = inputs.task.manifest.names
        predicted = predict_proba(
            model, [inputs.clips[names[clip]].load for clip in readable.tolist()],
            views='published' if protocol == 'reference' else 'distinct', batch_size=inputs.tuning.batch_size,
            segments=inputs.tuning.segments, stride=inputs.tuning.stride, numbers=bool(inputs.task.dimensions),
        )  # fmt: skip
        rows = outputs.values if inputs.task.dimensions else outputs.logits
        rows[np.isin(fold.test, readable)] = predicted
    return outputs


def _status(outputs: Outputs) -> str:
    """`healthy`, `constant` or `not_finite`."""
    values = outputs.logits if outputs.logits.shape[1] else outputs.values
    if not np.isfinite(values).all():
        return 'not_finite'
    variety = len(np.unique(outputs.logits.argmax(axis=1))) if outputs.logits.shape[1] else np.ptp(values, axis=0).max()
    return 'constant' if len(values) > 1 and variety <= (1 if outputs.logits.shape[1] else 1e-6) else 'healthy'


def _rivals(candidates: Sequence[Candidate], systems: Sequence[System], system: System) -> list[tuple[str, System]]:
    """Systems to test a system against: the linear layer best on validation, and those that its candidate names."""
    if system.protocol not in ('fair', 'reference') or system.name == LINEAR:
        return []
    linear = [other for other in systems if other.name == LINEAR]
    rivals = [('linear', max(linear, key=lambda other: other.validation))] if linear else []
    named = next((candidate.beside for candidate in candidates if candidate.name == system.name), ())
    rivals += [(other.name, other) for other in systems if other.name in named and other.protocol == system.protocol]
    return rivals
