"""A model for a challenge's track: labelled and unlabelled clips in, an answer for every unlabelled clip out.

The labelled clips are divided as published (train and val), or into folds, by speaker where speakers are known.
Settings, epoch and threshold are chosen on what each model did not learn from; the answers are the mean over models.
The truth of unlabelled clips, where a manifest holds it, is not read. torch is imported where it is used.

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
    """What a run says of the unlabelled clips, and how it came to that."""

    track: Track
    settings: TrackSettings
    names: tuple[str, ...] = field(repr=False)
    """(N,)"""
    probabilities: npt.NDArray[np.float64] = field(repr=False)
    """(N, C)"""
    valence: npt.NDArray[np.float64] | None = field(repr=False)
    """(N,) within the track's range; None where it asks for none."""
    labelled_alone: tuple[float, ...]
    """The track's score on what each model did not learn from, by division, without unlabelled clips."""
    with_unlabelled: tuple[float, ...]
    """The same with them; () without. Both chose epoch and settings there, so both are somewhat too high."""
    chosen: Mapping[str, Any]
    semi: Mapping[str, Any] | None
    statuses: Mapping[str, int]
    missing: Mapping[str, int]
    """Modality to clips that do without it."""
    unread: int
    """Unlabelled clips without any modality; their answer is the most frequent category."""
    notes: tuple[str, ...] = ()
    """What the labelled clips do not tell."""

    def answers(self) -> dict[str, tuple[str, ...]]:
        """Clip to the cells of a submission."""
        closed = self.track.closed
        assert closed is not None
        cells_of: list[tuple[str, ...]] = [(closed.categories[at],) for at in self.probabilities.argmax(axis=1)]
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
    """Train for a track, with the unlabelled clips or without, and answer all of them.

    Args:
        name: of a track with categories.
        labelled: with the track's categories, and valence where it asks for it; samples of other splits than train and
            val are left aside.
        unlabelled: the clips to answer.
        stores: modality to features.
        settings: model, kind and budgets.
        unlabelled_stores: features of the unlabelled clips, where they are in other stores.
        folder: keeps every finished run; None keeps nothing.
        resume: go on in a folder that a killed run left.
        progress: called with the stage, what is done and the total.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: no such track, or one of free words.
        CorpusError: a clip lacks features or its label, or a clip is on both sides.
        RunError: the folder holds another run.
    """
    require_torch()
    # 1. Check everything.
    track = track_named(name)
    task = track_task(track, labelled, unlabelled, stores, unlabelled_stores or stores, settings)
    folds, draws, tried = task.fair, drawn(settings.model, settings.trials, settings.seed), settings.tried()
    depends_on = {
        'track': name, 'settings': dataclasses.asdict(settings),
        'features': {m: f'{s.provenance.recipe} {s.provenance.hash[:12]}' for m, s in stores.items()},
        'samples': _digest(task),
    }  # fmt: skip
    trial = Trial(
        task, folds[0], tuple(stores), settings.model, draws[0], settings.bench(task.target), settings.seed,
        reads_test=False,
    )  # fmt: skip
    with FinishedRuns(folder, depends_on, resume=resume) as runs:
        runs.expect(len(folds) * (len(draws) + len(tried) + settings.seeds), progress)

        def scores(name: str, trials: Sequence[Trial]) -> npt.NDArray[np.float64]:
            """(trials, folds)"""
            return np.array([
                [runs.score(f'{name}{d}/turn{t}', replace(each, fold=fold), fair_run) for t, fold in enumerate(folds)]
                for d, each in enumerate(trials)
            ])  # fmt: skip

        # 2. Settings of the model, then of what is learnt from unlabelled clips: by the mean over folds.
        alone = scores('draw', [replace(trial, configuration=draw) for draw in draws])
        best = int(alone.mean(axis=1).argmax())
        trial = replace(trial, configuration=draws[best])
        both: list[float] = []
        if tried:
            with_semi = scores('semi', [replace(trial, semi=semi) for semi in tried])
            best_semi = int(with_semi.mean(axis=1).argmax())
            trial, both = replace(trial, semi=tried[best_semi]), with_semi[best_semi].tolist()
        # 3. What was chosen, with other seeds, answers.
        answers = [
            runs.answers(f'turn{t}/seed{seed}', replace(trial, fold=fold, seed=seed, reads_test=True), fair_run)
            for seed in range(settings.seed + 1, settings.seed + 1 + settings.seeds)
            for t, fold in enumerate(folds)
        ]
    probabilities, valence = _mean_answers(track, answers)
    return TrackAnswers(
        track, settings, unlabelled.names, probabilities, valence, tuple(alone[best].tolist()),
        tuple(both), draws[best], None if trial.semi is None else dataclasses.asdict(trial.semi),
        Counter(each.status for each in answers),
        {m: int((~present).sum()) for m, present in task.present.items() if not present.all()},
        int((~np.any([present[folds[0].test] for present in task.present.values()], axis=0)).sum()),
        task.notes,
    )  # fmt: skip


def _mean_answers(
    track: Track, answers: Sequence[Answers]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """(N, C) mean probabilities of all models, and (N,) mean valence within the track's range, where it has one."""
    closed = track.closed
    assert closed is not None
    outputs = [each.test for each in answers if each.test is not None]
    probabilities = mean_of_folds(np.stack([each.logits for each in outputs]))
    if closed.valence is None:
        return probabilities, None
    valence = np.mean([each.values.astype(np.float64)[:, 0] for each in outputs], axis=0)
    return probabilities, np.clip(valence, *closed.valence)


def save_track(folder: Path, trained: TrackAnswers, candidates: Sequence[str] | None = None) -> Path:
    """Write `predictions.csv`, which `write_submission` reads, and `training.json` into a run's folder.

    Args:
        folder: of the run.
        trained: what to write.
        candidates: the clips that the challenge asks for, in its order; all of them without it.

    Raises:
        CorpusError: a candidate has no answer.
        StorageError: the folder cannot be written.
    """
    closed, answers = trained.track.closed, trained.answers()
    assert closed is not None
    lacking = [name for name in candidates or () if name not in answers]
    if lacking:
        raise CorpusError(
            expected='every candidate among the unlabelled clips', came=f'{len(lacking)} that are not: '
            f'{listed(lacking)}', todo='give a manifest that holds them',
        )  # fmt: skip
    at = dict(zip(trained.names, trained.probabilities.tolist(), strict=True))
    columns = ['name', *closed.columns, *(f'p_{category}' for category in closed.categories)]
    asked = trained.names if candidates is None else candidates
    rows = [[name, *answers[name], *(f'{share:.6f}' for share in at[name])] for name in asked]
    write_atomically(folder / 'predictions.csv', csv_bytes(columns, rows))
    write_atomically(folder / 'training.json', json_file(track_facts(trained) | {'versions': versions()}))
    return folder / 'predictions.csv'


def track_facts(trained: TrackAnswers) -> dict[str, Any]:
    """Everything but the answers, as plain values."""
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


def _digest(task: Task) -> str:
    """Of what is learnt from and what is answered."""
    digest = hashlib.sha256()
    for at, cells in enumerate(task.manifest.samples.cells(('sample', 'split', 'category', 'valence'))):
        there = ','.join(name for name, present in task.present.items() if present[at])
        digest.update('\t'.join((*map(str, cells), f'{there}\n')).encode())
    return digest.hexdigest()
