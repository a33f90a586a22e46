"""Training of frame-level models for ABAW: single or in folds, with or without pseudo-labels, or from another run.

Read `trained_model` first. Models are selected on validation data, the test set is never used, and pseudo-labels are
made for videos that are in neither. torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affekt.benchmarks.abaw_scores import PARTS, PER_FRAME, AbawRun, AbawSettings, Answered, Training
from affekt.errors import RunError, ShapeError, UnknownNameError, listed
from affekt.progress import Progress

if TYPE_CHECKING:
    from affekt.sequence_models import (
        Alignment,
        FrameEnsemble,
        FramePredictor,
        FrameTask,
        FrameTrainingSettings,
        FrameVideos,
        TrainedFolds,
        TrainedFrames,
    )

CARRIED = 'carried_'
"""Prefix of the name of a model that another run trained."""


def training_settings(settings: AbawSettings, task: FrameTask, model: str, seed: int) -> FrameTrainingSettings:
    """Training settings of one model on one task.

    Raises:
        UnknownNameError: a loss setting that does not exist.
        ValueRangeError: a setting is out of range.
    """
    from affekt.sequence_models import LOSS_SETTINGS, FrameTrainingSettings

    if unknown := [name for name in settings.losses if name not in LOSS_SETTINGS]:
        raise UnknownNameError(
            expected=f'losses among {", ".join(LOSS_SETTINGS)}', came=listed(unknown), todo='correct the names'
        )
    return FrameTrainingSettings(
        task=task, model=model, hidden=settings.hidden, window=settings.window, stride=settings.stride,
        epochs=settings.epochs, patience=settings.patience, batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, device=settings.device, seed=seed,
        **{'unit_balance': True, **settings.losses},
    )  # fmt: skip


def trained_model(
    inputs: AbawRun,
    task: str,
    name: str,
    settings: FrameTrainingSettings,
    folder: Path | None,
    progress: Progress | None,
) -> tuple[TrainedFrames | TrainedFolds, Training]:
    """Train a model, or folds of it; returns also the scores of folds and of rounds of pseudo-labels."""
    from affekt.sequence_models import PseudoLabelSettings, train_folds, train_frames, train_with_pseudo_labels

    seed = '' if settings.seed == inputs.settings.seed else f'-seed{settings.seed}'
    model_folder = None if folder is None else folder / 'models' / task / f'{name}{seed}'
    videos, folds = read_by(inputs, name), inputs.settings.folds
    train, val = (videos.take(inputs.names(task, part)) for part in ('train', 'val'))
    options: dict[str, Any] = {
        'folder': model_folder, 'resume': model_folder is not None, 'progress': progress,
        'expressions': inputs.table.expressions, 'action_units': inputs.table.action_units,
    }  # fmt: skip
    if not inputs.settings.pseudo_labels:
        trained = (
            train_folds(train, val, settings, folds, **options)
            if folds
            else train_frames(train, val, settings, **options)
        )
        return trained, _training(trained)
    rounds = train_with_pseudo_labels(
        train, _unlabelled(inputs, task, name), val, settings, PseudoLabelSettings(), folds=folds, **options
    )
    if model_folder is not None:
        rounds.best.predictor.save(model_folder / ('ensemble' if folds else 'model'))
    guessed = {}
    if rounds.cards:
        card = rounds.cards[-1]
        guessed = {'videos': len(card.videos), **{field: count for field, count in card.frames.items() if count}}
    return rounds.best, dataclasses.replace(
        _training(rounds.best), rounds=tuple(result.score for result in rounds.rounds), guessed=guessed
    )


def _training(trained: TrainedFrames | TrainedFolds) -> Training:
    from affekt.sequence_models import TrainedFrames

    if isinstance(trained, TrainedFrames):
        return Training()
    members = tuple(scores['score'] for scores in trained.member_scores)
    return Training(members, trained.score, trained.held_out['score'])


def _unlabelled(inputs: AbawRun, task: str, name: str) -> FrameVideos:
    """Videos without annotations, as inputs of a model."""
    videos = read_by(inputs, name).take(inputs.without_labels(task))
    return videos if inputs.elsewhere is None else videos.joined(inputs.elsewhere[name != PER_FRAME])


def read_by(inputs: AbawRun, name: str) -> FrameVideos:
    """The inputs of a model: fixed clocks for `per_frame`, those of the settings for all others."""
    return inputs.videos if name == PER_FRAME else inputs.on_clock


def members_of(trained: TrainedFrames | TrainedFolds) -> tuple[TrainedFrames, ...]:
    """The single models of a training result."""
    from affekt.sequence_models import TrainedFrames

    return (trained,) if isinstance(trained, TrainedFrames) else trained.members


def carried_models(inputs: AbawRun, run: Path) -> dict[str, dict[str, FramePredictor | FrameEnsemble]]:
    """Task to the models of another run by name, with the prefix CARRIED.

    Raises:
        RunError: the run has no model for these tasks.
        WeightsError: a model file is damaged.
        ShapeError: a model needs other features, or has other classes or action units.
    """
    from affekt.sequence_models import FrameEnsemble, FramePredictor, require_same_features

    require_models(inputs.settings, run)
    carried: dict[str, dict[str, FramePredictor | FrameEnsemble]] = {}
    for task in inputs.settings.tasks:
        folder = run / 'training' / 'models' / task
        for name in _model_names(inputs.settings):
            predictor: FramePredictor | FrameEnsemble
            if (folder / name / 'ensemble').is_dir():
                predictor = FrameEnsemble.load(folder / name / 'ensemble')
            elif (folder / name / 'model').is_dir():
                predictor = FramePredictor.load(folder / name / 'model')
            else:
                continue
            first = predictor.members[0] if isinstance(predictor, FrameEnsemble) else predictor
            require_same_features(first.model.shape.sizes, first.alignment, _for_clock(inputs, first.alignment))
            names = first.expressions or inputs.table.expressions, first.action_units or inputs.table.action_units
            if names != (tuple(inputs.table.expressions), tuple(inputs.table.action_units)):
                raise ShapeError(
                    expected='models of the classes and action units of this corpus', came=f'others in {folder / name}',
                    todo='carry over a run on the same labels',
                )  # fmt: skip
            carried.setdefault(task, {})[f'{CARRIED}{name}'] = predictor
    return carried


def require_models(settings: AbawSettings, run: Path) -> None:
    """Check that a run has a model that these settings can carry over.

    Raises:
        RunError: it has none.
    """
    folders = [run / 'training' / 'models' / task / name for task in settings.tasks for name in _model_names(settings)]
    if not any((folder / part).is_dir() for folder in folders for part in ('ensemble', 'model')):
        raise RunError(
            expected=f'a run with models of {", ".join(settings.tasks)}', came=f'none in {run}',
            todo='give the --out of an earlier bench abaw',
        )  # fmt: skip


def _model_names(settings: AbawSettings) -> tuple[str, ...]:
    return tuple(dict.fromkeys((PER_FRAME, *settings.models)))


def _for_clock(inputs: AbawRun, alignment: Alignment) -> FrameVideos:
    return inputs.on_clock if alignment.learned else inputs.videos


def carried_answers(inputs: AbawRun, task: str, predictor: FramePredictor | FrameEnsemble) -> Answered:
    """Predictions of a model of another run, smoothed as in that run: nothing is selected again."""
    from affekt.sequence_models import FrameEnsemble

    first = predictor.members[0] if isinstance(predictor, FrameEnsemble) else predictor
    names = [video for part in PARTS for video in inputs.names(task, part)]
    raw = predictor.predict(_for_clock(inputs, first.alignment).take(names), smooth=False)
    smoothed = {video: prediction.smoothed(predictor.smoothing) for video, prediction in raw.items()}
    return Answered(raw, smoothed, predictor.smoothing)
