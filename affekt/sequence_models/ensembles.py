"""Folds of the training part with one model each, and their mean as one predictor.

Recordings are assigned to folds; a model is trained on all but its own fold. The official validation part is never
replaced: by default a fold chooses its model's epoch, and validation, which none of them has seen, evaluates models and
ensemble alike. Every training video is predicted once by a model that was not trained on it.

N videos, K folds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.frames import ACTION_UNITS, EXPRESSIONS, Smoothing, SmoothingChoice, recording_of, require_disjoint
from affekt.progress import Progress, part_of
from affekt.runs import read_regular_file, write_atomically
from affekt.sequence_models.inputs import FrameVideos
from affekt.sequence_models.predicting import FramePrediction, mean_prediction, official_scores
from affekt.sequence_models.predictor import SETTINGS, FramePredictor
from affekt.sequence_models.settings import FrameTrainingSettings
from affekt.sequence_models.training import Row, TrainedFrames, require_fit, train_frames, tuned_frame_smoothing
from affekt.typed_json import json_file, typed

Chooses = Literal['fold', 'validation']
"""Part that chooses the epoch of a fold's model."""
FORMAT = 1
"""Format version of the folder; a newer one is refused."""


@dataclass(frozen=True, eq=False)
class FrameEnsemble:
    """Several models that predict together.

    Args:
        members: predictors of the same tasks and names, at least one.
        smoothing: task to the smoothing of their mean curves; that of the members is not used.
        notes: notes on its origin.

    Raises:
        ShapeError: members predict different outputs.
    """

    members: tuple[FramePredictor, ...] = field(repr=False)
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len({(member.settings.task, member.expressions, member.action_units) for member in self.members}) != 1:
            raise ShapeError(
                expected='one or more models of one task, with the same names of classes and units',
                came=f'{len(self.members)}: {[member.settings.task for member in self.members]}',
                todo='put together models that were trained alike',
            )

    def predict(self, videos: FrameVideos, *, smooth: bool = True, draws: int = 0) -> dict[str, FramePrediction]:
        """The mean of the members' predictions; `spread` is their standard deviation.

        Args:
            videos: with the features that all members were trained on.
            smooth: False for curves without smoothing.
            draws: predictions with dropout, as for one predictor, if there is a single member; unused with several.

        Raises:
            ShapeError: the features differ.
        """
        draws = draws if len(self.members) == 1 else 0
        all_predictions = [each.predict(videos, smooth=False, draws=draws) for each in self.members]
        means = {
            name: mean_prediction([predictions[name] for predictions in all_predictions]) for name in all_predictions[0]
        }
        return {name: each.smoothed(self.smoothing) if smooth else each for name, each in means.items()}

    def save(self, folder: Path) -> None:
        """Write `settings.json`, and each member into its own folder.

        Raises:
            StorageError: the folder cannot be written, as on a full disk.
        """
        for number, member in enumerate(self.members, 1):
            member.save(folder / f'member{number}')
        contents = {
            'format': FORMAT, 'members': len(self.members), 'notes': dict(self.notes),
            'smoothing': {task: asdict(each) for task, each in self.smoothing.items()},
        }  # fmt: skip
        write_atomically(folder / SETTINGS, json_file(contents))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> FrameEnsemble:
        """Read a saved folder.

        Raises:
            WeightsError: the folder is not an ensemble, or a member is missing or damaged.
        """
        path = Path(folder)
        try:
            contents = json.loads(read_regular_file(path / SETTINGS))
            if contents['format'] > FORMAT:
                raise ValueError(f'format {contents["format"]}, which only a newer affekt reads')
            members = tuple(
                FramePredictor.load(path / f'member{number}') for number in range(1, contents['members'] + 1)
            )
            smoothing = {str(task): typed(Smoothing, each) for task, each in contents['smoothing'].items()}
            return cls(members, smoothing, dict(contents['notes']))
        except WeightsError:
            raise
        except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(
                expected=f'an ensemble of models of frames in {path}', came=' '.join(str(error).split())[:300],
                todo='give the folder `ensemble` of a run of folds',
            ) from error  # fmt: skip


@dataclass(frozen=True)
class TrainedFolds:
    """K finished runs and their ensemble.

    Args:
        members: a run for each fold.
        folds: training video to its fold, from 1.
        ensemble: mean of the models, with its own smoothing.
        member_scores: official scores of each model on the official validation part.
        scores: official scores of the ensemble on the same part, without smoothing.
        held_out: official scores over all training videos, each predicted by the model of its fold.
        smoothing: task to the results of smoothing on validation.
    """

    members: tuple[TrainedFrames, ...] = field(repr=False)
    folds: Mapping[str, int] = field(repr=False)
    ensemble: FrameEnsemble = field(repr=False)
    member_scores: tuple[Mapping[str, float], ...]
    scores: Mapping[str, float]
    held_out: Mapping[str, float]
    smoothing: Mapping[str, SmoothingChoice] = field(repr=False)

    @property
    def predictor(self) -> FrameEnsemble:
        """The mean of the models."""
        return self.ensemble

    @property
    def score(self) -> float:
        """The sum of the ensemble's official scores on validation, without smoothing."""
        return self.scores['score']


def recording_folds(lengths: Mapping[str, int], count: int, seed: int) -> dict[str, int]:
    """Folds of whole recordings with about equally many frames.

    Recordings are shuffled by the seed and assigned, the longest first, to the fold with the fewest frames.

    Args:
        lengths: video to its number of frames; `video59` and `video59_left` are of one recording.
        count: K, at least 2.
        seed: seed of the order of equally long recordings.

    Returns:
        Video to its fold, from 1.

    Raises:
        ValueRangeError: fewer than 2 folds, or fewer recordings than folds.

    >>> recording_folds({'a': 9, 'b_left': 4, 'b': 4, 'c': 2}, 2, seed=0)
    {'a': 1, 'b_left': 2, 'b': 2, 'c': 2}
    """
    frames: dict[str, int] = {}
    for video, length in lengths.items():
        frames[recording_of(video)] = frames.get(recording_of(video), 0) + length
    if not 2 <= count <= len(frames):
        raise ValueRangeError(
            expected=f'from 2 folds to as many as there are recordings, {len(frames)}', came=f'{count}',
            todo='ask for fewer folds, or give more recordings',
        )  # fmt: skip
    names = list(frames)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    filled, fold_of = [(0, 0)] * count, {}
    for name in sorted(shuffled, key=lambda name: -frames[name]):
        fold = min(range(count), key=lambda index: filled[index])  # an empty one before a short one
        filled[fold] = (filled[fold][0] + frames[name], filled[fold][1] + 1)
        fold_of[name] = fold + 1
    return {video: fold_of[recording_of(video)] for video in lengths}


def train_folds(
    training: FrameVideos,
    validation: FrameVideos,
    settings: FrameTrainingSettings,
    count: int = 5,
    *,
    chooses: Chooses = 'fold',
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    expressions: Sequence[str] = EXPRESSIONS,
    action_units: Sequence[str] = ACTION_UNITS,
    notes: Mapping[str, Any] | None = None,
) -> TrainedFolds:
    """A model for each fold of the training part, and their mean.

    Args:
        training: training videos, split by recording. Pseudo-labelled ones are in no fold; all models are trained on
            them.
        validation: the official part, on which no model is trained.
        settings: settings of every model; the seed also determines the folds.
        count: K, the number of folds.
        chooses: part that chooses a model's epoch: its own `fold`, so that validation is free of any choice but
            smoothing; or `validation`.
        folder: folder with a subfolder for each run, and the ensemble in `ensemble`.
        resume: continue in the folder of a killed run; finished folds are not trained again.
        report: called with the row of each epoch, which includes its `fold`.
        progress, expressions, action_units, notes: as for `train_frames`.

    Raises:
        LeakError, ShapeError, RunError, TrainingError: see `train_frames`.
        ValueRangeError: too few recordings for the folds, or a fold has no truth for a task.
        UnknownNameError: `chooses` is neither.
    """
    if chooses not in ('fold', 'validation'):
        raise UnknownNameError(expected='fold or validation to choose', came=repr(chooses), todo='choose one')
    require_disjoint({'training': training.names, 'validation': validation.names})
    # 1. Assign whole recordings to folds.
    annotated = {name: length for name, length in training.lengths.items() if name not in training.guessed}
    folds = recording_folds(annotated, count, settings.seed)
    fold_parts = [training.take(name for name in folds if folds[name] == fold) for fold in range(1, count + 1)]
    other_parts = [
        training.take(name for name in training.names if folds.get(name) != fold) for fold in range(1, count + 1)
    ]  # fmt: skip
    # errors of later folds are raised before the first is trained
    for fold_videos, other_videos in zip(fold_parts, other_parts, strict=True):
        require_fit(other_videos, fold_videos if chooses == 'fold' else validation, settings)
    runs: list[TrainedFrames] = []
    held_out: dict[str, FramePrediction] = {}
    for fold, (fold_videos, other_videos) in enumerate(zip(fold_parts, other_parts, strict=True), 1):
        # 2. Train a model for each fold on the others.
        fold_report = None if report is None else _with_fold(report, fold)
        run = train_frames(
            other_videos, fold_videos if chooses == 'fold' else validation, settings,
            folder=None if folder is None else folder / f'fold{fold}', resume=resume, report=fold_report,
            progress=part_of(progress, fold - 1, count), expressions=expressions, action_units=action_units,
            notes={**(notes or {}), 'fold': fold, 'folds': count, 'chooses': chooses},
        )  # fmt: skip
        runs.append(run)
        held_out |= run.predictor.predict(fold_videos, smooth=False)
    # 3. Evaluate their mean on the official validation part.
    ensemble = FrameEnsemble(tuple(run.predictor for run in runs))
    classes = max(len(runs[0].predictor.expressions), 1)
    member_scores = tuple(
        official_scores(validation.labels, each.predict(validation, smooth=False), settings.tasks, classes)
        for each in ensemble.members
    )
    ensemble_predictions = ensemble.predict(validation, smooth=False)
    scores = official_scores(validation.labels, ensemble_predictions, settings.tasks, classes)
    choices = tuned_frame_smoothing(validation, ensemble_predictions, settings, classes)
    ensemble_notes = {**(notes or {}), 'folds': folds, 'chooses': chooses, 'validation': scores}
    ensemble = FrameEnsemble(ensemble.members, {task: each.chosen for task, each in choices.items()}, ensemble_notes)
    if folder:
        ensemble.save(folder / 'ensemble')
    truth = [each for each in training.labels if each.video in folds]
    return TrainedFolds(
        tuple(runs), folds, ensemble, member_scores, scores,
        official_scores(truth, held_out, settings.tasks, classes), choices,
    )  # fmt: skip


def _with_fold(report: Callable[[Row], None], fold: int) -> Callable[[Row], None]:
    return lambda row: report(row | {'fold': float(fold)})
