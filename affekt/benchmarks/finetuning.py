"""Fine-tuning rows of MERBench: an encoder trained end to end on a corpus, compared with its own frozen vectors.

The input is a manifest and the folder of an encoder. The output is a constant answer, a linear layer and a perceptron
on the frozen vectors, and the same perceptron trained together with the encoder, as rows with intervals and paired
tests between them. The protocol is MERBench's fair one: settings and epoch are chosen on validation alone. Read
`run_finetuning` first; `finetuning_tables.py` renders the outcome.

N samples, S seeds, C classes, V values (0 or 1), D size of a vector. torch is imported where it is used.

Source: MERBench, Lian et al. 2024, arXiv:2401.03429; the head of MER2024, arXiv:2404.17113.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from affekt.arrays import Ints
from affekt.benchmarks.finetuning_inputs import prepared
from affekt.benchmarks.finetuning_settings import FinetuningSettings
from affekt.corpora import Manifest
from affekt.encoders import deciding_files
from affekt.errors import require_torch
from affekt.experiments import (
    Answers,
    FinishedRuns,
    Row,
    System,
    Task,
    Trial,
    drawn,
    fair_run,
    open_task,
    outputs_of,
    over_seeds,
    run_facts,
    scored_rows,
    task_samples,
)
from affekt.features import Features, Provenance, Store, write_features
from affekt.progress import Progress
from affekt.runs import remove_run

if TYPE_CHECKING:
    from affekt.encoders import Backbone
    from affekt.fusion import BackboneHead
    from affekt.training import Predicted, Samples, Sequences, Trained, TrainingSettings

LINEAR, FROZEN, TUNED = 'linear', 'frozen', 'fine-tuned'
"""Names of the models."""
BESIDE = {TUNED: (FROZEN, LINEAR), FROZEN: (LINEAR,), LINEAR: ()}
"""Model to the models to test it against."""
VECTORS = 'frozen.features.arrow'
"""File of the frozen vectors in a run's folder."""
RUNNING = 'running'
"""Folder of checkpoints of the current run."""


@dataclass(frozen=True)
class Finetuning:
    """Result of a fine-tuning benchmark."""

    task: Task = field(repr=False)
    settings: FinetuningSettings
    encoder: Mapping[str, Any]
    """Name, kind, modality, parameters, and the sha256 of its weights and of its preprocessing."""
    rows: tuple[Row, ...]
    """Scored rows, with gains of kinds `frozen` and `linear`."""


@dataclass(frozen=True)
class Inputs:
    """Inputs that all runs share."""

    task: Task
    backbone: Backbone
    rows: Sequences
    """(N,) inputs of the encoder, in the order of the task's samples."""
    settings: FinetuningSettings

    def samples(self, index: Ints) -> Samples:
        """Inputs of the encoder for these samples, with their labels."""
        import torch

        return task_samples(self.task, index, {self.backbone.modality: self.rows[torch.from_numpy(index)]})

    def vectors(self, index: Ints) -> Samples:
        """Frozen vectors of these samples, with their labels."""
        import torch

        modality = self.backbone.modality
        return task_samples(self.task, index, {modality: torch.from_numpy(self.task.features[modality][index])})


def run_finetuning(
    manifest: Manifest,
    encoder: Path,
    settings: FinetuningSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Finetuning:
    """Train an encoder on a corpus, and compare it with models on its frozen vectors.

    Args:
        manifest: manifest of the corpus.
        encoder: folder of the encoder, as written by transformers' `save_pretrained`.
        settings: budgets and protocol.
        folder: folder for the frozen vectors, every finished run, and a checkpoint of the current one; None to keep
            nothing.
        resume: continue in the folder of an interrupted run, from its last epoch.
        progress: called with the stage, units done and total units.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: the folder has no readable encoder.
        CorpusError, TableError, ValueRangeError, UnknownNameError: the manifest cannot be trained on.
        RunError: the folder has another run.
    """
    require_torch()
    from affekt.encoders import open_backbone

    # 1. The encoder and its inputs.
    backbone = open_backbone(
        encoder, layers=settings.layers, longest=settings.longest, longest_s=settings.longest_s,
        pictures=settings.pictures,
    )  # fmt: skip
    encoder_facts = _encoder_facts(encoder, backbone)
    rows = prepared(manifest, backbone, settings.column, progress)
    depends_on = {
        'settings': dataclasses.asdict(settings),
        'encoder': encoder_facts,
        'samples': _digest_of(manifest, settings),
    }
    bar, systems = _Bar(progress), []
    with TemporaryDirectory() as scratch, FinishedRuns(folder, depends_on, resume=resume) as runs:
        # 2. Frozen vectors, and the task with all its checks.
        store = _frozen_vectors(manifest, backbone, rows, depends_on, folder or Path(scratch), settings, progress)
        task = open_task(manifest, {backbone.modality: store}, settings.simple)
        inputs = Inputs(task, backbone, _in_order(rows, manifest, task), settings)
        # 3. Simple models and the perceptron on the vectors, then the encoder itself.
        plan = _plan(inputs, folder, bar)
        total = sum(len(task.fair) * (len(draws) + settings.seeds - 1) for draws, _ in plan.values())
        runs.expect(total, bar)
        for name, (draws, run) in plan.items():
            systems.append(_trained(inputs, name, draws, run, runs))
    # 4. Scores, intervals, tests.
    return Finetuning(task, settings, encoder_facts, scored_rows(task, systems, settings.simple, progress, _rivals))


RunNamed = Callable[[Trial, str], Answers]
"""Function that runs a trial which is saved under a key."""


class _Bar:
    """One progress bar for all runs, in which an epoch is a fraction of a run."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done, self._total = progress, 0.0, 1.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        self._done, self._total = done, total
        if self._progress:
            self._progress(stage, done, total)

    def epoch(self, share: float) -> None:
        """Set the finished share of the current run."""
        if self._progress:
            self._progress('train', self._done + share, self._total)


def _plan(inputs: Inputs, folder: Path | None, bar: _Bar) -> dict[str, tuple[list[dict[str, Any]], RunNamed]]:
    """Model to its configurations and the function that runs one of them."""
    settings = inputs.settings
    return {
        LINEAR: (drawn('linear', settings.frozen_trials, settings.seed), lambda trial, key: fair_run(trial)),
        FROZEN: (settings.draws(settings.frozen_learning_rates, settings.frozen_trials), partial(_frozen_run, inputs)),
        TUNED: (settings.draws(settings.learning_rates, settings.trials), partial(_tuned_run, inputs, folder, bar)),
    }


def _trained(inputs: Inputs, name: str, draws: Sequence[dict[str, Any]], run: RunNamed, runs: FinishedRuns) -> System:
    """A model after its search, which is the first seed's runs, and the other seeds of the chosen configurations."""
    task, settings, modalities = inputs.task, inputs.settings, (inputs.backbone.modality,)
    start = time.monotonic()
    seeds = [settings.seed + 1 + number for number in range(settings.seeds)]

    def answers(fold: int, draw: int, seed: int) -> Answers:
        key = f'{name}/turn{fold}/draw{draw}/seed{seed}'
        trial = Trial(task, task.fair[fold], modalities, name, draws[draw], settings.simple, seed)
        return runs.answers(key, trial, lambda trial: run(trial, key))

    search = [[answers(fold, draw, seeds[0]) for draw in range(len(draws))] for fold in range(len(task.fair))]
    chosen = [int(np.argmax([answer.score for answer in by_draw])) for by_draw in search]
    by_seed = [[search[fold][draw] for fold, draw in enumerate(chosen)]]
    by_seed += [[answers(fold, draw, seed) for fold, draw in enumerate(chosen)] for seed in seeds[1:]]
    outputs = [[answer.test for answer in by_fold] for by_fold in by_seed]
    return System(
        modalities, name, 'fair', *over_seeds(task, task.fair, outputs, 'probabilities'), **run_facts(by_seed, start),
        chosen=tuple(
            {**draws[draw], 'epochs': [by_fold[fold].epoch for by_fold in by_seed]}
            for fold, draw in enumerate(chosen)
        ),
    )  # fmt: skip


def _frozen_run(inputs: Inputs, trial: Trial, key: str) -> Answers:
    """The head alone, on frozen vectors."""
    from affekt.training import predict, train

    settings, fold, head = inputs.settings, trial.fold, _head(inputs, trial)
    training_settings = dataclasses.replace(
        _training_settings(inputs, trial), epochs=settings.frozen_epochs, patience=settings.frozen_patience,
        precision='float32', device='cpu',
    )  # fmt: skip
    trained = train(head, inputs.vectors(fold.train), inputs.vectors(fold.validation), training_settings)
    return _answers(trained, predict(trained.model, inputs.vectors(fold.test)))


def _tuned_run(inputs: Inputs, folder: Path | None, bar: _Bar, trial: Trial, key: str) -> Answers:
    """The same head, trained together with the encoder; each epoch is saved before the next."""
    from affekt.fusion import EndToEnd
    from affekt.training import predict, train
    from affekt.training.standing import CHECKPOINT

    settings, fold = inputs.settings, trial.fold
    # 1. the pre-trained encoder, and a head standardised on its initial vectors
    head = _head(inputs, trial)
    head.standardise_on(*inputs.vectors(fold.train).steps())
    model = EndToEnd(copy.deepcopy(inputs.backbone), head)
    # 2. training, from the last saved epoch
    run_folder = None if folder is None else folder / RUNNING / key.replace('/', '.')
    trained = train(
        model, inputs.samples(fold.train), inputs.samples(fold.validation), _training_settings(inputs, trial),
        folder=run_folder, resume=run_folder is not None and run_folder.exists(),
        report=lambda row: bar.epoch(row['epoch'] / (settings.epochs + 1)),
    )  # fmt: skip
    # 3. the test
    best = trained.model.to(settings.device)
    answers = _answers(trained, predict(best, inputs.samples(fold.test).to(settings.device)))
    if run_folder is not None:
        remove_run(run_folder, [CHECKPOINT])
    return answers


def _head(inputs: Inputs, trial: Trial) -> BackboneHead:
    from affekt.fusion import BackboneHead, FusionShape
    from affekt.nn import seeded

    task, backbone, configuration = inputs.task, inputs.backbone, trial.configuration
    shape = FusionShape(
        {backbone.modality: backbone.size}, task.classes, values=0 if task.values is None else 1,
        hidden=configuration['hidden'], dropout=configuration['dropout'],
    )  # fmt: skip
    with seeded(trial.seed):
        return BackboneHead(shape)


def _training_settings(inputs: Inputs, trial: Trial) -> TrainingSettings:
    from affekt.training import TrainingSettings

    settings = inputs.settings
    return TrainingSettings(
        seed=trial.seed, epochs=settings.epochs, batch_size=settings.batch_size,
        learning_rate=trial.configuration['learning_rate'],
        backbone_share=settings.backbone_share, patience=settings.patience, score=inputs.task.score,
        precision=settings.precision, device=settings.device,
    )  # fmt: skip


def _answers(trained: Trained, predicted: Predicted) -> Answers:
    size = sum(parameter.numel() for parameter in trained.model.parameters())
    return Answers(trained.best_score, trained.best_epoch, trained.status, size, outputs_of(predicted))


def _frozen_vectors(
    manifest: Manifest,
    backbone: Backbone,
    rows: Sequences,
    depends_on: Mapping[str, Any],
    folder: Path,
    settings: FinetuningSettings,
    progress: Progress | None,
) -> Store:
    """Store of the encoder's vectors of all samples, computed once."""
    from affekt.fusion import vectors
    from affekt.training import Samples

    path = folder / VECTORS
    if not path.exists():
        samples = Samples({backbone.modality: rows}, names=manifest.names)
        encoded = vectors(copy.deepcopy(backbone).to(settings.device), samples.to(settings.device), progress=progress)
        name, digest = f'{depends_on["encoder"]["name"]}-{settings.layers}', depends_on['encoder']['sha256']
        features = (Features(sample, row[None]) for sample, row in zip(manifest.names, encoded.numpy(), strict=True))
        provenance = Provenance(
            name, digest, backbone.size, dict(depends_on), corpus=manifest.facts.corpus, modality=backbone.modality
        )
        write_features(path, features, provenance)
    return Store(path)


def _in_order(rows: Sequences, manifest: Manifest, task: Task) -> Sequences:
    """The inputs of the task's samples, which are a subset of the manifest's."""
    import torch

    row_of = {name: index for index, name in enumerate(manifest.names)}
    return rows[torch.tensor([row_of[name] for name in task.manifest.names])]


def _encoder_facts(encoder: Path, backbone: Backbone) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, file_digest in sorted(deciding_files(encoder).items()):
        digest.update(f'{name} {file_digest}\n'.encode())
    return {
        'name': encoder.resolve().name, 'kind': backbone.architecture, 'modality': backbone.modality,
        'parameters': sum(parameter.numel() for parameter in backbone.parameters()), 'sha256': digest.hexdigest(),
    }  # fmt: skip


def _digest_of(manifest: Manifest, settings: FinetuningSettings) -> str:
    """Hash of the labels, the divisions, and the names of the encoder's inputs."""
    digest = hashlib.sha256()
    columns = ('split', 'fold', 'category', 'sentiment', 'valence', 'audio', 'video', 'frames', settings.column)
    for cells in manifest.samples.cells(('sample', *columns)):
        digest.update(repr(cells).encode())
    return digest.hexdigest()


def _rivals(systems: Sequence[System], system: System) -> list[tuple[str, System]]:
    by_name = {other.name: other for other in systems}
    return [(name, by_name[name]) for name in BESIDE.get(system.name, ())]
