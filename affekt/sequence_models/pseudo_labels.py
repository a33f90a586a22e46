"""Pseudo-labels: confident predictions on videos without annotations become truths of lower weight for a new model.

Round 0 trains on annotated videos alone. In each further round the best model so far predicts the other videos; its
confident predictions train a new model from the same initial weights. Validation alone chooses the round. A video of
a validation part, or another person of its recording, never has pseudo-labels. Their origin is stored with the model.

Confidence: an expression by its probability, an action unit by that of being active or inactive, valence and arousal by
their standard deviation among predictions with dropout, or among the models of an ensemble.

N videos, F frames.

Source: Lee 2013 (pseudo-labels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from affekt.errors import LeakError, UnknownNameError, ValueRangeError, listed
from affekt.frames import ACTION_UNITS, EXPRESSIONS, TASKS, FrameLabels, require_disjoint
from affekt.progress import Progress, part_of
from affekt.runs import write_atomically
from affekt.sequence_models.ensembles import TrainedFolds, train_folds
from affekt.sequence_models.inputs import FrameVideos, require_same_features
from affekt.sequence_models.predicting import FramePrediction, Predictions
from affekt.sequence_models.settings import FrameTrainingSettings
from affekt.sequence_models.training import Row, TrainedFrames, train_frames
from affekt.typed_json import json_file

CARD = 'pseudo_labels.json'
"""File of a round's `PseudoLabelCard`."""


@dataclass(frozen=True)
class PseudoLabelSettings:
    """Selection and weight of pseudo-labels.

    Args:
        least_probability: minimum probability of an expression, and of a unit being active or inactive, (0.5, 1].
        most_spread: maximum standard deviation of valence and arousal, > 0.
        draws: predictions with dropout for the deviation, >= 2.
        weight: weight of a pseudo-labelled frame, in (0, 1); annotated ones have 1.
        rounds: number of rounds after the first.

    Raises:
        ValueRangeError: a setting is out of range.
    """

    least_probability: float = 0.8
    most_spread: float = 0.1
    draws: int = 8
    weight: float = 0.5
    rounds: int = 1

    def __post_init__(self) -> None:
        shares_fit = 0.5 < self.least_probability <= 1 and 0 < self.weight < 1
        if not shares_fit or not self.most_spread > 0 or self.rounds < 1 or self.draws < 2:
            raise ValueRangeError(
                expected='least_probability in (0.5, 1], most_spread above 0, weight in (0, 1), 2 draws, 1 round',
                came=str(asdict(self)), todo='correct them',
            )  # fmt: skip


@dataclass(frozen=True)
class PseudoLabelCard:
    """The record of the origin of pseudo-labels.

    Args:
        source: notes on the predicting model: its round, epoch, and validation scores.
        settings: settings of the pseudo-labels.
        videos: video to its partition, and its number of pseudo-labelled frames per task.
        counts: pseudo-labelled frames of each expression, and of each active action unit.
    """

    source: Mapping[str, Any]
    settings: PseudoLabelSettings
    videos: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, int]

    @property
    def frames(self) -> dict[str, int]:
        """Task to its number of pseudo-labelled frames in all videos."""
        return {task: sum(int(video[task]) for video in self.videos.values()) for task in TASKS}


@dataclass(frozen=True)
class TrainedWithPseudoLabels:
    """All rounds.

    Args:
        rounds: all rounds; the first used annotated videos alone.
        cards: records of the pseudo-labels of each round after the first.
    """

    rounds: tuple[TrainedFrames | TrainedFolds, ...] = field(repr=False)
    cards: tuple[PseudoLabelCard, ...]

    @property
    def best(self) -> TrainedFrames | TrainedFolds:
        """The round with the best validation score; of equals the earlier."""
        return max(self.rounds, key=lambda trained: trained.score)


class Predictor(Protocol):
    """A `FramePredictor` or a `FrameEnsemble`."""

    @property
    def notes(self) -> Mapping[str, Any]: ...

    def predict(self, videos: FrameVideos, *, smooth: bool = True, draws: int = 0) -> Predictions: ...


def pseudo_labelled(
    predictor: Predictor,
    videos: FrameVideos,
    settings: PseudoLabelSettings,
    *,
    tasks: Sequence[str],
    never: Sequence[str],
    expressions: Sequence[str] = EXPRESSIONS,
    action_units: Sequence[str] = ACTION_UNITS,
    source: Mapping[str, Any] | None = None,
) -> tuple[FrameVideos, PseudoLabelCard]:
    """Videos with a model's confident predictions as labels; videos without any are skipped.

    Args:
        predictor: the predicting model.
        videos: videos; any labels are not read.
        settings: thresholds and weight of pseudo-labels.
        tasks: fields of `FrameLabels` to predict.
        never: validation videos; neither they nor other people of their recordings are predicted.
        expressions: names of the classes.
        action_units: names of the units.
        source: notes on the model for the card, in addition to its own.

    Raises:
        LeakError: a video is of a validation part.
    """
    _require_no_validation(videos, tasks, never)
    predictions = predictor.predict(videos, draws=settings.draws if 'affect' in tasks else 0)
    guesses = {each.video: _guess(predictions[each.video], each, tasks, settings) for each in videos.labels}
    frames = {name: {task: _guessed_frames(guess, task) for task in TASKS} for name, guess in guesses.items()}
    labelled_names = [name for name in guesses if any(frames[name].values())]
    counts = dict.fromkeys((*expressions, *action_units), 0)
    for name in labelled_names:
        expression, units = guesses[name].expression, guesses[name].units
        if expression is not None:
            class_counts = np.bincount(expression[expression >= 0], minlength=len(expressions))
            counts |= {label: counts[label] + int(class_counts[index]) for index, label in enumerate(expressions)}
        if units is not None:
            counts |= {
                label: counts[label] + int((units[:, index] == 1).sum()) for index, label in enumerate(action_units)
            }  # fmt: skip
    card = PseudoLabelCard(
        {**predictor.notes, **(source or {})},
        settings,
        {name: {'partition': guesses[name].partition, **frames[name]} for name in labelled_names},
        {name: count for name, count in counts.items() if count},
    )
    selected = videos.take(labelled_names)
    weights = torch.full((len(selected.weights),), settings.weight)
    return selected.relabelled([guesses[name] for name in labelled_names], weights), card


def train_with_pseudo_labels(
    training: FrameVideos,
    unlabelled: FrameVideos,
    validation: FrameVideos,
    settings: FrameTrainingSettings,
    pseudo: PseudoLabelSettings,
    *,
    folds: int = 0,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    expressions: Sequence[str] = EXPRESSIONS,
    action_units: Sequence[str] = ACTION_UNITS,
    notes: Mapping[str, Any] | None = None,
) -> TrainedWithPseudoLabels:
    """Rounds of training, each after the first with pseudo-labels of the best before.

    Args:
        training: annotated videos.
        unlabelled: other videos; any labels are not read. They may include an official test part, which the card then
            states.
        validation: videos that choose epoch, smoothing and round.
        settings: settings of every round.
        pseudo: settings of the pseudo-labels.
        folds: number of folds of each round, see `train_folds`; their mean makes the pseudo-labels. 0 for a single
            model.
        folder: folder with a subfolder for each round and the card of its pseudo-labels.
        resume: continue in the folder of a killed run, with the same results.
        report: called with the row of each epoch, which includes its `round`.
        progress, expressions, action_units, notes: as for `train_frames`.

    Raises:
        LeakError: an unlabelled video is of a validation part, or see `train_frames`.
        UnknownNameError: an unlabelled video is also a training video.
        ShapeError: the unlabelled videos have other features, or see `train_frames`.
        RunError, ValueRangeError, TrainingError: see `train_frames`.
    """
    # errors of later rounds are raised before the first
    _require_no_validation(unlabelled, settings.tasks, validation.names)
    require_same_features(training.sizes, training.alignment, unlabelled)
    if shared := sorted(set(training.names) & set(unlabelled.names)):
        raise UnknownNameError(
            expected='unlabelled videos that are none of the training',
            came=listed(shared),
            todo='leave them out of one',
        )
    rounds: list[TrainedFrames | TrainedFolds] = []
    cards: list[PseudoLabelCard] = []
    for number in range(pseudo.rounds + 1):
        videos, round_notes = training, {**(notes or {}), 'round': number}
        if number:
            best = TrainedWithPseudoLabels(tuple(rounds), ()).best
            guessed, card = pseudo_labelled(
                best.predictor, unlabelled, pseudo, tasks=settings.tasks, never=validation.names,
                expressions=expressions, action_units=action_units, source={'round': rounds.index(best)},
            )  # fmt: skip
            if not len(guessed):
                break
            cards.append(card)
            videos, round_notes = training.joined(guessed), round_notes | {'guesses': asdict(card)}
        round_folder = None if folder is None else folder / f'round{number}'
        train = train_frames if not folds else partial(train_folds, count=folds)
        rounds.append(
            train(
                videos, validation, settings, folder=round_folder, resume=resume, report=_with_round(report, number),
                progress=part_of(progress, number, pseudo.rounds + 1), expressions=expressions,
                action_units=action_units, notes=round_notes,
            )
        )  # fmt: skip
        if round_folder and number:
            write_atomically(round_folder / CARD, json_file(asdict(cards[-1])))
    return TrainedWithPseudoLabels(tuple(rounds), tuple(cards))


def _guess(
    prediction: FramePrediction, labels: FrameLabels, tasks: Sequence[str], settings: PseudoLabelSettings
) -> FrameLabels:
    """The confident predictions for one video, as labels."""
    is_kept, threshold = prediction.keep_mask, settings.least_probability
    fields: dict[str, Any] = dict.fromkeys(TASKS)
    if 'expression' in tasks:
        is_sure = is_kept & (prediction.expression.max(axis=1, initial=0.0) >= threshold)
        fields['expression'] = np.where(is_sure, prediction.expression.argmax(axis=1), -1).astype(np.int8)
    if 'units' in tasks:
        is_active, is_inactive = prediction.units >= threshold, prediction.units <= 1 - threshold
        is_sure_unit = is_kept[:, None] & (is_active | is_inactive)
        fields['units'] = np.where(is_sure_unit, is_active, -1).astype(np.int8)
    if 'affect' in tasks:
        # never for nan, the spread of a single prediction
        is_steady = is_kept & (prediction.spread <= settings.most_spread)
        fields['affect'] = np.where(is_steady[:, None], prediction.affect, np.float32(np.nan))
    return replace(labels, **fields)


def _guessed_frames(guess: FrameLabels, task: str) -> int:
    """Frames with a pseudo-label; of action units, with at least one."""
    if task == 'units' and guess.units is not None:
        return int((guess.units >= 0).any(axis=1).sum())
    return int(guess.labelled(task).sum())


def _require_no_validation(videos: FrameVideos, tasks: Sequence[str], never: Sequence[str]) -> None:
    require_disjoint({'validation': never, 'videos to guess': videos.names})
    official = [
        each.video
        for each in videos.labels
        if 'val' in {each.partition, *(each.partition_of(task) for task in tasks)}
    ]  # fmt: skip
    if official:
        raise LeakError(
            expected='videos of no validation part', came=f'{len(official)} of one: {listed(official)}',
            todo='guess for training and test videos, or for others, alone',
        )  # fmt: skip


def _with_round(report: Callable[[Row], None] | None, number: int) -> Callable[[Row], None] | None:
    return None if report is None else lambda row: report(row | {'round': float(number)})
