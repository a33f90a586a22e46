"""ABAW: expression, valence and arousal, and action units of every frame, by models that read features over time.

Labels of all frames, features of any clock and a list of models come in. Out go, for each task, a constant, the mean of
training, the readings of faces as they are, a head that sees one frame alone, and every model of time: by the official
score on whole videos, before and after smoothing, with intervals over videos. The official validation part chooses
epoch and smoothing; a test part is scored where its truth is known. Where curves were commanded, recovery of them is
scored too. Read `run_abaw` first; `abaw_scores.py` scores, `abaw_inputs.py` opens files, `abaw_tables.py` shows.

torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from affekt.benchmarks.abaw_scores import (
    ABAW_TASKS,
    CONSTANT,
    MEAN,
    PARTS,
    PER_FRAME,
    READING,
    AbawRow,
    AbawRun,
    AbawSettings,
    Answered,
    scored,
    with_gains,
)
from affekt.corpora import TrueCurves
from affekt.errors import TableError, UnknownNameError, listed, require_torch
from affekt.features import Store
from affekt.frames import FrameTable
from affekt.metrics import FrameMeasure
from affekt.progress import Progress
from affekt.runs import Run
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.sequence_models import FrameTask, FrameTrainingSettings, FrameVideos, TrainedFrames

IN_MEMORY = 2**32
"""Bytes: features of all frames that take more are kept in files, where there is a folder."""


@dataclass(frozen=True)
class Abaw:
    """The outcome."""

    corpus: str
    settings: AbawSettings
    recipes: Mapping[str, str]
    """Modality to its recipe."""
    counts: Mapping[str, int]
    """Videos and labelled frames of each part."""
    rows: tuple[AbawRow, ...]
    answers: Mapping[tuple[str, str], FrameTable] = field(repr=False)
    """Task and system to what would be handed in for the test videos."""
    notes: tuple[str, ...]


def run_abaw(
    table: FrameTable,
    features: Mapping[str, Store],
    clock: Mapping[str, float],
    settings: AbawSettings,
    *,
    corpus: str = 'Aff-Wild2',
    truth: FrameTable | None = None,
    curves: Mapping[str, TrueCurves] | None = None,
    shared: Sequence[str] = (),
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Abaw:
    """Train every model on every task and score it beside answers that know no time.

    Args:
        table: labels of all videos, those of the test without.
        features: modality to a store whose samples are named as the videos.
        clock: video to its frame rate.
        settings: tasks, models and budgets.
        corpus: its name in tables.
        truth: labels of the test videos, where they are known; nothing is chosen by them.
        curves: what was commanded, by video, where a corpus is made up.
        shared: modalities that two people of one recording share, such as sound.
        folder: keeps models and logs, and beside it features of all frames that are too large for memory; None keeps
            nothing.
        resume: go on in a folder that a killed run left.
        progress: called with the stage, what is done and the total.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: no such model.
        ValueRangeError: a setting is out of range, this torch has no such device, or a model cannot be built for these
            features.
        TableError: no training or validation video has labels of a task.
        RunError: the folder holds another run.
        LeakError, ShapeError, TrainingError: as `train_frames`.
    """
    require_trainable(settings)
    from affekt.sequence_models import frame_videos

    # 1. Labels and features on the clock of the frames.
    labels = [each for each in table if each.frames]
    rows_in = _rows_in(folder, sum(each.frames for each in labels), features)
    videos = frame_videos(labels, features, clock, of_recording=shared, keep_in=rows_in)
    columns = {name: store.provenance.columns for name, store in features.items()}
    inputs = AbawRun(table, videos, columns, truth, curves or {}, settings)
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in features.items()}
    for task in settings.tasks:
        _require_labels(inputs, task)
    _require_models(inputs)
    # 2. Every system on every task; each model in a folder of its own, from which a killed run goes on.
    depends_on = {'settings': dataclasses.asdict(settings), 'features': recipes, 'videos': list(videos.names)}
    systems = [(task, name) for task in settings.tasks for name in _systems(inputs)]
    rows: list[AbawRow] = []
    answers: dict[tuple[str, str], FrameTable] = {}
    with _noted(folder, depends_on, resume) as run:
        for task in settings.tasks:
            of_task: list[tuple[AbawRow, FrameMeasure]] = []
            for name in _systems(inputs):
                answered = _answered(inputs, task, name, folder, _within(progress, len(answers), len(systems)))
                of_task.append(scored(inputs, task, name, answered))
                answers[task, name] = _handed_in(inputs, task, answered)
                if run is not None and answered.epoch and run.finished(f'{task}/{name}') is None:
                    run.note(f'{task}/{name}', f'models/{task}/{name}')
                if progress is not None:
                    progress('train', len(answers), len(systems))
            rows += with_gains(inputs, task, of_task)
    return Abaw(
        corpus, settings, recipes, dict(_counts(inputs)), tuple(rows), answers, tuple(_notes(inputs))
    )  # fmt: skip


def _rows_in(folder: Path | None, frames: int, features: Mapping[str, Store]) -> Path | None:
    """Beside the run's folder, where the features of all frames take more room than IN_MEMORY; None for memory."""
    size = 4 * frames * sum(store.provenance.dimension for store in features.values())  # bytes of float32
    return None if folder is None or size <= IN_MEMORY else folder.with_name(f'{folder.name}-rows')


def require_trainable(settings: AbawSettings) -> None:
    """Nothing, where all can be trained that the settings name, whatever the features; to know before they are made.

    Raises:
        MissingExtraError, UnknownNameError, ValueRangeError: as `run_abaw`.
    """
    require_torch()
    from affekt.nn import require_device
    from affekt.sequence_models import SEQUENCE_MODELS

    if strange := [name for name in settings.models if name not in SEQUENCE_MODELS]:
        raise UnknownNameError(
            expected=f'models among {", ".join(SEQUENCE_MODELS)}', came=listed(strange), todo='choose others'
        )
    require_device(settings.device)
    for task in settings.tasks:
        _training_settings(settings, cast('FrameTask', task), PER_FRAME)


def _require_models(inputs: AbawRun) -> None:
    """Nothing, where every model can be built for the features: the last is trained hours after the first."""
    import torch

    from affekt.sequence_models import SequenceShape, build_sequence_model

    shape = SequenceShape(inputs.videos.sizes, values=2, hidden=inputs.settings.hidden)
    with torch.device('meta'):
        for name in inputs.settings.models:
            build_sequence_model(name, shape)


def _within(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Progress of one system as a part of all."""
    if progress is None:
        return None
    return lambda _, steps, of: progress('train', done + min(steps / max(of, 1), 1.0), total)


def _noted(folder: Path | None, depends_on: Mapping[str, Any], resume: bool) -> Any:
    if folder is None:
        return nullcontext()
    return Run(folder, depends_on, resume=resume and folder.exists())


def _require_labels(inputs: AbawRun, task: str) -> None:
    for part in ('train', 'val'):
        if not inputs.names(task, part):
            raise TableError(
                expected=f'videos of the part {part} with labels of {", ".join(ABAW_TASKS[task])}',
                came='none', todo='choose another task, or check the folder of annotations',
            )  # fmt: skip


def _systems(inputs: AbawRun) -> tuple[str, ...]:
    """Baselines, then models; `per_frame` first among these."""
    from affekt.sequence_models import reading_modality

    first = [CONSTANT, MEAN, *([READING] if reading_modality(inputs.columns) else []), PER_FRAME]
    return (*first, *(name for name in inputs.settings.models if name != PER_FRAME))


def _answered(
    inputs: AbawRun, task: str, name: str, folder: Path | None, progress: Progress | None
) -> Answered:  # fmt: skip
    from affekt.sequence_models import (
        constant_predictions,
        mean_predictions,
        read_predictions,
        tuned_frame_smoothing,
    )

    fields, table, begun = ABAW_TASKS[task], inputs.table, time.monotonic()
    train, val, test = (inputs.names(task, part) for part in ('train', *PARTS))
    asked = inputs.videos.take((*val, *test))
    classes = len(table.expressions)
    known = [inputs.table[video] for video in train]
    if name == CONSTANT:
        return Answered(constant_predictions(known, asked, fields, classes), {})
    if name == MEAN:
        return Answered(mean_predictions(known, asked, fields, classes), {})
    settings = _training_settings(inputs.settings, cast('FrameTask', task), name if name != READING else PER_FRAME)
    epoch = parameters = 0
    if name == READING:
        raw = read_predictions(asked, inputs.columns, fields, table.action_units, classes)
        choices = tuned_frame_smoothing(inputs.videos.take(val), raw, settings, classes)
    else:
        trained = _trained(inputs, task, name, settings, folder, progress)
        raw, choices, epoch = trained.predictor.predict(asked, smooth=False), dict(trained.smoothing), trained.epoch
        parameters = sum(parameter.numel() for parameter in trained.predictor.model.parameters())
    smoothing = {of: choice.chosen for of, choice in choices.items()}
    smoothed = {video: each.smoothed(smoothing) for video, each in raw.items()}
    return Answered(raw, smoothed, smoothing, epoch, parameters, time.monotonic() - begun)


def _training_settings(settings: AbawSettings, task: FrameTask, model: str) -> FrameTrainingSettings:
    from affekt.sequence_models import FrameTrainingSettings

    return FrameTrainingSettings(
        task=task, model=model, hidden=settings.hidden, window=settings.window, stride=settings.stride,
        epochs=settings.epochs, patience=settings.patience, batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, device=settings.device, seed=settings.seed,
        unit_balance=True,
    )  # fmt: skip


def _trained(
    inputs: AbawRun,
    task: str,
    name: str,
    settings: FrameTrainingSettings,
    folder: Path | None,
    progress: Progress | None,
) -> TrainedFrames:
    from affekt.sequence_models import train_frames

    where = None if folder is None else folder / 'models' / task / name
    train, val = (inputs.videos.take(inputs.names(task, part)) for part in ('train', 'val'))
    return train_frames(
        train, val, settings, folder=where, resume=where is not None,
        progress=progress, expressions=inputs.table.expressions, action_units=inputs.table.action_units,
    )  # fmt: skip


def _handed_in(inputs: AbawRun, task: str, answered: Answered) -> FrameTable:
    decided = [answered.final[video].labels() for video in inputs.names(task, 'test')]
    return dataclasses.replace(inputs.table, labels=tuple(decided), notes=())


def _counts(inputs: AbawRun) -> Iterator[tuple[str, int]]:
    for part in ('train', 'val', 'test'):
        names = {name for task in inputs.settings.tasks for name in inputs.names(task, part)}
        yield f'{part} videos', len(names)
        yield f'{part} frames', sum(inputs.table[name].frames for name in names)


def _notes(inputs: AbawRun) -> Iterator[str]:
    settings = inputs.settings
    if not any(inputs.known(task, 'test') for task in settings.tasks):
        yield 'the truth of the test videos is not known: scores are of the validation videos, which chose the epoch'
    if uncounted := [each.video for each in inputs.table if not each.frames]:
        yield f'not answered, for nobody knows their number of frames: {counted(len(uncounted), "video")}'
    without = {
        name: sum(not bool(mask[begin : begin + count].any()) for begin, count in _spans(inputs.videos))
        for name, mask in inputs.videos.keep_mask.items()
    }
    if lost := {name: count for name, count in without.items() if count}:
        yield f'videos without features: {", ".join(f"{count} of {name}" for name, count in lost.items())}'
    yield f'one seed ({settings.seed}): how much another one would change is not measured'


def _spans(videos: FrameVideos) -> list[tuple[int, int]]:
    return [(videos.starts[name], videos.lengths[name]) for name in videos.names]


def save_answers(folder: Path, outcome: Abaw) -> None:
    """Write what each system answers for the test videos, a table of frames each, into `answers`."""
    for (task, system), answered in outcome.answers.items():
        if len(answered):
            answered.save(folder / 'answers' / f'{task}-{system}.parquet')
