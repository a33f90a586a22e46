"""Training on windows; the epoch with the best official score on whole validation videos is chosen.

    trained = train_frames(videos.take(train), videos.take(val), FrameTrainingSettings('va'), folder=Path('runs/va'))
    trained.predictor.predict(test)

No recording is in both parts, no official validation or test video is trained on, and the test is never used. A run in
a folder resumes after a kill with the same results. Read `train_frames` first.

N videos, F frames.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from affekt.arrays import Floats
from affekt.errors import LeakError, ShapeError, TrainingError, ValueRangeError, listed
from affekt.frames import (
    ACTION_UNITS,
    EXPRESSIONS,
    FrameLabels,
    SmoothingChoice,
    Window,
    require_disjoint,
    smoothing_candidates,
    tuned_smoothing,
    windows_over,
)
from affekt.nn import seeded
from affekt.progress import Progress
from affekt.sequence_models.choices import build_sequence_model
from affekt.sequence_models.clock import with_learned_clocks
from affekt.sequence_models.form import SequenceModel, SequenceShape
from affekt.sequence_models.inputs import FrameVideos, WindowBatches, require_same_features
from affekt.sequence_models.objectives import FrameLosses
from affekt.sequence_models.predicting import (
    OFFICIAL_SCORES,
    Predictions,
    official_scores,
    predict_as_trained,
)
from affekt.sequence_models.predictor import FramePredictor
from affekt.sequence_models.settings import FrameTrainingSettings
from affekt.training import AdamW, BestEpoch, Engine, Ranks, require_finite

Row = dict[str, float]
SCALE_FRAMES = 200_000
"""Maximum number of frames, evenly over all, for the scale of inputs; of rows, if each frame has several."""


@dataclass(frozen=True)
class TrainedFrames:
    """A finished run.

    Args:
        predictor: the model at the chosen epoch, with the chosen smoothing.
        epoch: the chosen epoch, from 1.
        scores: official scores on validation by name, and `score`, their sum; without smoothing.
        smoothing: task to the smoothing tried on validation, with scores before and after. The score after is the best
            of all tried, and so slightly optimistic.
        history: one row per epoch.
    """

    predictor: FramePredictor
    epoch: int
    scores: Mapping[str, float]
    smoothing: Mapping[str, SmoothingChoice] = field(repr=False)
    history: tuple[Row, ...] = field(repr=False)

    @property
    def score(self) -> float:
        """The sum of the official scores on validation, without smoothing."""
        return self.scores['score']

    @property
    def smoothed_score(self) -> float:
        """The sum of the official scores on validation, with the chosen smoothing."""
        return sum(choice.after for choice in self.smoothing.values()) if self.smoothing else self.score


def train_frames(
    training: FrameVideos,
    validation: FrameVideos,
    settings: FrameTrainingSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    expressions: Sequence[str] = EXPRESSIONS,
    action_units: Sequence[str] = ACTION_UNITS,
    notes: Mapping[str, Any] | None = None,
    build: Callable[[SequenceShape], SequenceModel] | None = None,
) -> TrainedFrames:
    """Train a model on frame labels of videos.

    Args:
        training: training videos, including any pseudo-labelled ones.
        validation: whole videos that choose the epoch and the smoothing.
        settings: all other settings that results depend on.
        folder: folder for checkpoints, the log and its page, and the finished model in `model`; None to write nothing.
        resume: continue in the folder of a killed run, or start if there is none; results equal those of an
            uninterrupted run.
        report: called with the row of each epoch.
        progress: called with 'train', steps done, total steps.
        expressions: names of the classes.
        action_units: names of the units.
        notes: data saved with the model, such as the source of its videos.
        build: makes the model instead of `build_sequence_model`; such a model cannot be loaded again on its own.

    Raises:
        LeakError: a recording is in both parts, a video of an official validation or test part is trained on, or
            one of a test part is used for validation.
        ValueRangeError: a part has no truth for a task, or a class has no name.
        ShapeError: the parts differ in their features.
        RunError: the folder holds another run.
        TrainingError: a loss, a weight or a prediction is not finite, or every epoch's score is undefined.
    """
    # 1. Check the inputs before anything is computed.
    require_fit(training, validation, settings)
    shape = _shape(training, settings, expressions, action_units)
    model = with_learned_clocks(_built(shape, settings, build), training.alignment.learned)
    _standardise(model, training)
    windows = _learnable(training, settings)
    # 2. Batches, losses and the engine.
    ranks = _ranks(settings.device)
    batches = WindowBatches(training, windows, settings.batch_size, settings.seed, ranks.rank, ranks.count)
    losses = FrameLosses(settings, training, shape.classes)
    optimiser = AdamW(_parameter_groups(model), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    engine = Engine(model, optimiser, losses, settings.engine(batches.per_epoch), ranks=ranks)
    best = BestEpoch(folder, resume=resume, patience=settings.patience, writes=ranks.first)

    def evaluate(network: nn.Module) -> Row:
        predictions = predict_as_trained(network, validation, settings)
        require_finite(getattr(each, task) for each in predictions.values() for task in settings.tasks)
        scores = official_scores(validation.labels, predictions, settings.tasks, max(shape.classes, 1))
        best.offer(network, scores['score'])
        return {'epoch': float(engine.number // batches.per_epoch), **scores}

    # 3. Train; evaluate each epoch on whole validation videos.
    rows = engine.run(
        batches, steps=settings.epochs * batches.per_epoch, folder=folder, resume=resume,
        depends_on={'frames': asdict(settings), 'data': _digest(training, validation), 'notes': dict(notes or {})},
        report=None if report is None else lambda row: report(row) if 'epoch' in row else None,
        progress=progress, evaluate=evaluate, is_over=best.is_over,
    )  # fmt: skip
    # 4. Take the best weights, and tune the smoothing.
    history = tuple(row for row in rows if 'epoch' in row)
    epoch, _ = best.put_into(model, history, ' + '.join(OFFICIAL_SCORES[task] for task in settings.tasks))
    predictions = predict_as_trained(model, validation, settings)
    scores, choices = _scores_and_smoothing(validation, predictions, settings, max(shape.classes, 1))
    predictor = FramePredictor(
        model.to('cpu').eval(), settings, training.alignment, tuple(expressions) if shape.classes else (),
        tuple(action_units) if shape.units else (), {task: choice.chosen for task, choice in choices.items()},
        {**(notes or {}), 'epoch': epoch, 'validation': scores, 'learnt_from': _provenance(training)},
    )  # fmt: skip
    if folder and ranks.first and build is None:
        predictor.save(folder / 'model')
    return TrainedFrames(predictor, epoch, scores, choices, history)


def _scores_and_smoothing(
    validation: FrameVideos, predictions: Predictions, settings: FrameTrainingSettings, classes: int
) -> tuple[dict[str, float], dict[str, SmoothingChoice]]:
    """Official scores of validation videos before smoothing, and task to its best smoothing."""
    choices = tuned_frame_smoothing(validation, predictions, settings, classes)
    return official_scores(validation.labels, predictions, settings.tasks, classes), choices


def tuned_frame_smoothing(
    validation: FrameVideos, predictions: Predictions, settings: FrameTrainingSettings, classes: int = 8
) -> dict[str, SmoothingChoice]:
    """Task to the best smoothing on validation videos, and its effect.

    Args:
        validation: videos with truth; never of a test.
        predictions: predictions for these videos, without smoothing.
        settings: settings with the tasks, and the widths to try; () for none.
        classes: number of expressions.
    """
    if not settings.curve_widths:
        return {}
    candidates = smoothing_candidates(settings.curve_widths, causal=settings.causal)

    def choice_of(task: str) -> SmoothingChoice:
        labelled = [labels for labels in validation.labels if getattr(labels, task) is not None]

        def score(curves: Mapping[str, Any]) -> float:
            smoothed = {name: predictions[name].with_curves({task: curve}) for name, curve in curves.items()}
            return official_scores(labelled, smoothed, (task,), classes)['score']

        curves = {labels.video: getattr(predictions[labels.video], task) for labels in labelled}
        return tuned_smoothing(curves, score, candidates)

    return {task: choice_of(task) for task in settings.tasks}


def require_fit(training: FrameVideos, validation: FrameVideos, settings: FrameTrainingSettings) -> None:
    """Check that one part may be used for training and the other for validation.

    Raises:
        LeakError, ShapeError, ValueRangeError: as for `train_frames`.
    """
    require_disjoint({'training': training.names, 'validation': validation.names})

    def others(videos: FrameVideos, allowed: set[str]) -> list[str]:
        """Annotated videos of no allowed partition, and their partitions."""
        partitions = {
            labels.video: _partition(labels, settings) for labels in videos.labels if labels.video not in videos.guessed
        }
        return [f'{name} ({partition})' for name, partition in partitions.items() if partition not in allowed]

    if official := others(training, {'train'}):
        raise LeakError(
            expected='training videos of the official training part, or guesses for others',
            came=f'{len(official)} of other parts: {listed(official)}',
            todo='learn from the part train, and let the official validation part choose',
        )
    if tests := others(validation, {'train', 'val'}):
        raise LeakError(
            expected='validation videos of no test part', came=f'{len(tests)} of one: {listed(tests)}',
            todo='let the official validation part choose; a test is answered once, at the end',
        )  # fmt: skip
    if validation.guessed:
        raise LeakError(
            expected='annotated validation videos', came=f'guesses for {listed(sorted(validation.guessed))}',
            todo='validate on what people annotated',
        )  # fmt: skip
    require_same_features(training.sizes, training.alignment, validation)
    for part, videos in (('training', training), ('validation', validation)):
        for task in settings.tasks:
            if not any(labels.labelled(task).any() for labels in videos.labels):
                raise ValueRangeError(
                    expected=f'a frame with a truth of {task} in the {part} videos', came='none',
                    todo='choose another task, or videos that are annotated',
                )  # fmt: skip


def _partition(labels: FrameLabels, settings: FrameTrainingSettings) -> str:
    """The partition of a video for the task; the strictest if several tasks are trained."""
    return labels.partition_of(settings.tasks[0]) if len(settings.tasks) == 1 else labels.partition


def _shape(
    training: FrameVideos, settings: FrameTrainingSettings, expressions: Sequence[str], action_units: Sequence[str]
) -> SequenceShape:
    units = training.units.shape[1]
    if 'units' in settings.tasks and units != len(action_units):
        raise ShapeError(
            expected=f'names of {units} action units', came=f'{len(action_units)}', todo='name those of the labels'
        )
    if 'expression' in settings.tasks and int(training.expression.max()) >= len(expressions):
        raise ValueRangeError(
            expected=f'classes from 0 to {len(expressions) - 1}, which have names', todo='name those of the labels',
            came=f'{int(training.expression.max())} among the labels',
        )  # fmt: skip
    return SequenceShape(
        training.sizes, hidden=settings.hidden, dropout=settings.dropout, form=settings.form,
        classes=len(expressions) if 'expression' in settings.tasks else 0,
        values=2 if 'affect' in settings.tasks else 0, units=units if 'units' in settings.tasks else 0,
    )  # fmt: skip


def _built(
    shape: SequenceShape, settings: FrameTrainingSettings, build: Callable[[SequenceShape], SequenceModel] | None
) -> SequenceModel:
    """A model whose initial weights depend on the seed alone; the states of random generators are restored."""
    with seeded(settings.seed):
        return build(shape) if build else build_sequence_model(settings.model, shape, **settings.options)


def _standardise(model: nn.Module, training: FrameVideos) -> None:
    """Let the model estimate the scale of its inputs from training frames, if it can."""
    fit = getattr(model, 'standardise_on', None)
    if not callable(fit):
        return
    rows = max(training.alignment.learned.values(), default=1)  # rows per frame
    frames = slice(None, None, max(1, math.ceil(len(training.weights) * rows / SCALE_FRAMES)))
    fit(
        {name: value[frames].float() for name, value in training.features.items()},
        {name: mask[frames] for name, mask in training.keep_mask.items()},
    )


def _learnable(training: FrameVideos, settings: FrameTrainingSettings) -> list[Window]:
    """Windows with at least one labelled frame that is kept in some modality."""
    known = torch.zeros(len(training.weights), dtype=torch.bool)
    if 'expression' in settings.tasks:
        known |= training.expression >= 0
    if 'affect' in settings.tasks:
        known |= ~training.affect.isnan().all(dim=1)
    if 'units' in settings.tasks:
        known |= (training.units >= 0).any(dim=1)
    known &= torch.stack(list(training.keep_mask.values())).any(dim=0)
    known_before = torch.cat([torch.zeros(1, dtype=torch.int64), known.cumsum(0)]).tolist()
    windows = [
        window
        for window in windows_over(training.lengths, settings.window, settings.stride)
        if known_before[(start := training.starts[window.video]) + window.end] > known_before[start + window.begin]
    ]
    if not windows:
        raise ValueRangeError(
            expected='training frames that have a truth and of which something is seen', came='none',
            todo='check that features and labels are of the same videos, and their times',
        )  # fmt: skip
    return windows


def _parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups: matrices, and without weight decay vectors such as biases and norms."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    return [{'params': matrices}, *([{'params': vectors, 'weight_decay': 0.0}] if vectors else [])]


def _ranks(device: str) -> Ranks:
    ranks = Ranks(device)
    if ranks.spreads:
        raise TrainingError(
            expected='one whole model in each process', came='a launch with FSDP',
            todo='launch without it: such models are small',
        )  # fmt: skip
    return ranks


def _digest(*sides: FrameVideos) -> str:
    """A digest that changes with any label, and with features where their sums change."""
    digest = hashlib.sha256()
    for videos in sides:
        digest.update(repr((videos.lengths, videos.sizes, sorted(videos.guessed))).encode())
        for tensor in (videos.expression, videos.affect, videos.units, videos.weights, *videos.keep_mask.values()):
            digest.update(tensor.contiguous().numpy().tobytes())
        for value in videos.features.values():
            for part in value.parts():
                digest.update(_sums(part).tobytes())
    return digest.hexdigest()


def _sums(part: Tensor) -> Floats:
    """(2 D,) sums of rows, plain and weighted by their positions, so that an exchange of rows shows."""
    values = part.double().nan_to_num(-1.0)
    positions = torch.linspace(0.5, 1.5, len(values), dtype=torch.float64).unsqueeze(1)
    return np.asarray(torch.cat([values.sum(dim=0), (values * positions).sum(dim=0)]).numpy())


def _provenance(training: FrameVideos) -> dict[str, Any]:
    real = [name for name in training.names if name not in training.guessed]
    return {'annotated': real, 'guessed': sorted(training.guessed)}
