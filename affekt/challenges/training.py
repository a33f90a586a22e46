"""Training for a challenge's track: from labelled and unlabelled clips to an answer for every unlabelled clip.

The labelled clips are split as published (train and val), or into folds, by speaker if speakers are known.
Configuration, epoch and threshold are chosen on held-out labelled clips; answers are the mean of all models. Labels
that the manifest of unlabelled clips may have are not read. torch is imported where it is used.

N unlabelled clips, C categories.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.challenges.inputs import TrackSettings, track_task
from affekt.challenges.tracks import Track, track_named
from affekt.corpora import Manifest
from affekt.errors import CorpusError, listed, require_torch
from affekt.experiments import Answers, FinishedRuns, Task, Trial, drawn, fair_run
from affekt.features import Store
from affekt.metrics import mean_of_folds
from affekt.progress import Progress
from affekt.runs import versions, write_atomically
from affekt.tables import csv_bytes
from affekt.typed_json import json_file


@dataclass(frozen=True)
class TrackAnswers:
    """Answers to the unlabelled clips, with the validation scores behind them."""

    track: Track
    settings: TrackSettings
    names: tuple[str, ...] = field(repr=False)
    """(N,) names of the unlabelled clips."""
    probabilities: npt.NDArray[np.float64] = field(repr=False)
    """(N, C) probabilities."""
    valence: npt.NDArray[np.float64] | None = field(repr=False)
    """(N,) valence within the track's range; None where the track has none."""
    labelled_alone: tuple[float, ...]
    """The track's score on each model's held-out clips, by fold, without unlabelled clips."""
    with_unlabelled: tuple[float, ...]
    """The same with unlabelled clips; () without. Both also chose epoch and settings, so both are slightly too high."""
    chosen: Mapping[str, Any]
    """Chosen configuration of the model."""
    semi: Mapping[str, Any] | None
    """Chosen settings for unlabelled clips; None without them."""
    statuses: Mapping[str, int]
    """Status of a training run to the number of runs."""
    missing: Mapping[str, int]
    """Modality to the number of clips without it."""
    unread: int
    """Number of unlabelled clips without any modality, which are assigned the most frequent category."""
    notes: tuple[str, ...] = ()
    """Sentences on gaps in the labelled clips."""

    def answers(self) -> dict[str, tuple[str, ...]]:
        """Name of a clip to the cells of its row in a submission."""
        closed = self.track.closed
        assert closed is not None
        cells_of: list[tuple[str, ...]] = [(closed.categories[index],) for index in self.probabilities.argmax(axis=1)]
        if self.valence is not None:
            cells_of = [(*cells, f'{value:.4f}') for cells, value in zip(cells_of, self.valence.tolist(), strict=True)]
        return dict(zip(self.names, cells_of, strict=True))


def train_track(
    name: str,
    labelled: Manifest,
    unlabelled: Manifest,
    stores: Mapping[str, Store],
    settings: TrackSettings,
    *,
    unlabelled_stores: Mapping[str, Store] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrackAnswers:
    """Train for a track, with or without the unlabelled clips, and answer all of them.

    Args:
        name: name of a track with categories.
        labelled: manifest with the track's categories, and valence where the track has it; only splits train and val
            are used.
        unlabelled: manifest of the clips to answer.
        stores: modality to its features.
        settings: model, use of unlabelled clips, and budgets.
        unlabelled_stores: features of the unlabelled clips, if they are in other stores; None for `stores`.
        folder: folder for every finished run; None to keep nothing.
        resume: continue in the folder of an interrupted run.
        progress: called with the stage, units done and total units.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: the track is unknown, or has open-vocabulary labels.
        CorpusError: a clip lacks features or its label, or is both labelled and unlabelled.
        RunError: the folder has another run.
    """
    require_torch()
    # 1. Check everything.
    track = track_named(name)
    unlabelled_stores = unlabelled_stores or stores
    task = track_task(track, labelled, unlabelled, stores, unlabelled_stores, settings)
    folds, draws, semi_settings = task.fair, drawn(settings.model, settings.trials, settings.seed), settings.tried()
    trial = Trial(
        task, folds[0], tuple(stores), settings.model, draws[0], settings.bench(task.target), settings.seed,
        reads_test=False,
    )  # fmt: skip
    with FinishedRuns(folder, _inputs(name, task, stores, unlabelled_stores, settings), resume=resume) as runs:
        runs.expect(len(folds) * (len(draws) + len(semi_settings) + settings.seeds), progress)

        def scores(name: str, trials: Sequence[Trial]) -> npt.NDArray[np.float64]:
            """(trials, folds) validation scores."""
            return np.array([
                [
                    runs.score(f'{name}{number}/turn{fold_number}', replace(candidate, fold=fold), fair_run)
                    for fold_number, fold in enumerate(folds)
                ]
                for number, candidate in enumerate(trials)
            ])  # fmt: skip

        # 2. Configuration of the model, then settings for unlabelled clips, by the mean score over folds.
        without_unlabelled = scores('draw', [replace(trial, configuration=draw) for draw in draws])
        best = int(without_unlabelled.mean(axis=1).argmax())
        trial = replace(trial, configuration=draws[best])
        with_unlabelled: list[float] = []
        if semi_settings:
            with_semi = scores('semi', [replace(trial, semi=semi) for semi in semi_settings])
            best_semi = int(with_semi.mean(axis=1).argmax())
            trial, with_unlabelled = replace(trial, semi=semi_settings[best_semi]), with_semi[best_semi].tolist()
        # 3. Answers of the chosen configuration, with further seeds.
        answers = [
            runs.answers(
                f'turn{fold_number}/seed{seed}', replace(trial, fold=fold, seed=seed, reads_test=True), fair_run
            )
            for seed in range(settings.seed + 1, settings.seed + 1 + settings.seeds)
            for fold_number, fold in enumerate(folds)
        ]
    probabilities, valence = _mean_answers(track, answers)
    return TrackAnswers(
        track, settings, unlabelled.names, probabilities, valence, tuple(without_unlabelled[best].tolist()),
        tuple(with_unlabelled), draws[best], None if trial.semi is None else dataclasses.asdict(trial.semi),
        Counter(answer.status for answer in answers),
        {modality: int((~present).sum()) for modality, present in task.present.items() if not present.all()},
        int((~np.any([present[folds[0].test] for present in task.present.values()], axis=0)).sum()),
        task.notes,
    )  # fmt: skip


def _mean_answers(
    track: Track, answers: Sequence[Answers]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """(N, C) mean probabilities of all models, and (N,) mean valence within the track's range, where it has one."""
    closed = track.closed
    assert closed is not None
    outputs = [answer.test for answer in answers if answer.test is not None]
    probabilities = mean_of_folds(np.stack([answer.logits for answer in outputs]))
    if closed.valence is None:
        return probabilities, None
    valence = np.mean([answer.values.astype(np.float64)[:, 0] for answer in outputs], axis=0)
    return probabilities, np.clip(valence, *closed.valence)


def save_track(folder: Path, trained: TrackAnswers, candidates: Sequence[str] | None = None) -> Path:
    """Write `predictions.csv`, which `write_submission` reads, and `training.json` into the folder of a run.

    Args:
        folder: folder of the run.
        trained: answers to write.
        candidates: names of the clips that the challenge requests, in order; None for all clips.

    Raises:
        CorpusError: a candidate has no answer.
        StorageError: the folder cannot be written.
    """
    closed, answers = trained.track.closed, trained.answers()
    assert closed is not None
    missing = [name for name in candidates or () if name not in answers]
    if missing:
        raise CorpusError(
            expected='every candidate among the unlabelled clips', came=f'{len(missing)} that are not: '
            f'{listed(missing)}', todo='give a manifest that holds them',
        )  # fmt: skip
    probabilities = dict(zip(trained.names, trained.probabilities.tolist(), strict=True))
    columns = ['name', *closed.columns, *(f'p_{category}' for category in closed.categories)]
    names = trained.names if candidates is None else candidates
    rows = [[name, *answers[name], *(f'{probability:.6f}' for probability in probabilities[name])] for name in names]
    write_atomically(folder / 'predictions.csv', csv_bytes(columns, rows))
    write_atomically(folder / 'training.json', json_file(track_facts(trained) | {'versions': versions()}))
    return folder / 'predictions.csv'


def track_facts(trained: TrackAnswers) -> dict[str, Any]:
    """All fields but the answers, as plain values."""
    counts = np.bincount(trained.probabilities.argmax(axis=1), minlength=trained.probabilities.shape[1])
    assert trained.track.closed is not None
    return {
        'track': trained.track.name, 'score': trained.track.score, 'settings': dataclasses.asdict(trained.settings),
        'validation': {
            'labelled_alone': list(trained.labelled_alone), 'with_unlabelled': list(trained.with_unlabelled),
        },
        'chosen': dict(trained.chosen), 'semi': trained.semi, 'statuses': dict(trained.statuses),
        'missing': dict(trained.missing), 'unread': trained.unread, 'notes': list(trained.notes),
        'answers': len(trained.names),
        'by_category': dict(zip(trained.track.closed.categories, counts.tolist(), strict=True)),
    }  # fmt: skip


def _inputs(
    name: str, task: Task, stores: Mapping[str, Store], unlabelled_stores: Mapping[str, Store], settings: TrackSettings
) -> dict[str, Any]:
    """All that the runs of a track depend on, as JSON values."""
    features = {}
    for modality, store in stores.items():
        hashes = [each[modality].provenance.hash[:12] for each in (stores, unlabelled_stores)]
        features[modality] = ' '.join([store.provenance.recipe, *dict.fromkeys(hashes)])
    return {
        'track': name, 'settings': dataclasses.asdict(settings), 'features': features, 'samples': _digest(task)
    }  # fmt: skip


def _digest(task: Task) -> str:
    """Hash of the labelled and unlabelled samples."""
    digest = hashlib.sha256()
    for index, cells in enumerate(task.manifest.samples.cells(('sample', 'split', 'category', 'valence'))):
        modalities = ','.join(name for name, present in task.present.items() if present[index])
        digest.update('\t'.join((*map(str, cells), f'{modalities}\n')).encode())
    return digest.hexdigest()
