"""ABAW: expression, valence and arousal, and action units of every frame, by models that read features over time.

The input is labels of all frames, features on any clock, and a list of models. For each task the output compares a
constant, the training mean, the readings of faces as they are, a head that sees single frames, and every temporal
model: by the official score on whole videos, before and after smoothing, with intervals over videos. The official
validation part chooses epoch and smoothing; a test part is scored if its truth is known. If curves were commanded,
their recovery is scored too. Models may be folds whose predictions are averaged, train on pseudo-labels of videos
without annotations, and resample their features by learned clocks. Read `run_abaw` first; `frame_models.py` trains,
`abaw_scores.py` scores, `abaw_inputs.py` opens files, `abaw_tables.py` renders.

torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from affekt.benchmarks.abaw_scores import (
    ABAW_TASKS,
    CONSTANT,
    MEAN,
    PART_NAMES,
    PARTS,
    PER_FRAME,
    READING,
    AbawRow,
    AbawRun,
    AbawSettings,
    Answered,
    Training,
    last_measure,
    official_score,
    scored,
    with_gains,
)
from affekt.benchmarks.frame_models import (
    carried_answers,
    carried_models,
    members_of,
    read_by,
    require_models,
    trained_model,
    training_settings,
)
from affekt.errors import LeakError, TableError, UnknownNameError, ValueRangeError, listed, require_torch
from affekt.features import Store
from affekt.frames import FrameLabels, FrameTable, TrueCurves, recording_of, require_disjoint, shared_with_judged
from affekt.metrics import FrameMeasure
from affekt.progress import Progress, part_of
from affekt.runs import Run
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.sequence_models import FrameClock, FrameTask, FrameVideos

IN_MEMORY = 2**32
"""Bytes; larger features of all frames are stored in files, if there is a folder."""


@dataclass(frozen=True)
class Unlabelled:
    """Videos from other sources without annotations, for pseudo-labels.

    Args:
        labels: names and numbers of frames; any labels are not read.
        features: modality to features, for the modalities of the corpus, by the same recipes.
        clock: video to its frame rate.
    """

    labels: tuple[FrameLabels, ...]
    features: Mapping[str, Store]
    clock: Mapping[str, float]


@dataclass(frozen=True)
class Abaw:
    """Result of the benchmark."""

    corpus: str
    settings: AbawSettings
    recipes: Mapping[str, str]
    """Modality to its recipe."""
    counts: Mapping[str, int]
    """Numbers of videos and labelled frames of each part."""
    rows: tuple[AbawRow, ...]
    answers: Mapping[tuple[str, str], FrameTable] = field(repr=False)
    """Task and system to the submission for the test videos."""
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
    unlabelled: Unlabelled | None = None,
    carried_over: Path | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Abaw:
    """Train every model on every task and compare it with predictions that do not use time.

    Args:
        table: labels of all videos; test videos have none.
        features: modality to a store whose sample names are the videos'.
        clock: video to its frame rate.
        settings: tasks, models and budgets.
        corpus: name of the corpus in tables.
        truth: labels of the test videos, if known; nothing is chosen by them.
        curves: commanded curves by video, for a synthetic corpus.
        shared: modalities that two people of one recording share, such as audio.
        unlabelled: additional videos for pseudo-labels.
        carried_over: folder of another run, whose models are also scored, unchanged.
        folder: folder for models and logs; features too large for memory go into `<folder>-rows`; None for none.
        resume: continue in the folder of a killed run.
        progress: called with the stage, units done and total units.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: unknown model.
        ValueRangeError: a setting is out of range, the device is not available in this torch, or a model cannot be
            built for these features.
        TableError: no training or validation video has labels of a task.
        RunError: the folder holds another run.
        LeakError: a recording of a training video is in validation or test too, and `leave_out_shared` is off.
        LeakError, ShapeError, TrainingError: see `train_frames`.
    """
    require_trainable(settings, features, carried_over)
    left_out = _left_out(table, settings)

    # 1. Labels and features on the clock of the frames.
    inputs = _aligned(table, features, clock, settings, truth, curves or {}, shared, unlabelled, folder)
    inputs = dataclasses.replace(inputs, left_out=left_out)
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in features.items()}
    for task in settings.tasks:
        _require_labels(inputs, task)
    _require_models(inputs)
    carried = {} if carried_over is None else carried_models(inputs, carried_over)
    # 2. Every system on every task; each model in its own folder, from which a killed run resumes.
    depends_on = {'settings': settings.as_json(), 'features': recipes, 'videos': list(inputs.videos.names)}
    if unlabelled is not None:
        depends_on['unlabelled'] = [video.video for video in unlabelled.labels]
    systems = _systems(inputs)
    total = len(settings.tasks) * len(systems)
    rows: list[AbawRow] = []
    answers: dict[tuple[str, str], FrameTable] = {}
    with _run_of(folder, depends_on, resume) as run:
        for task in settings.tasks:
            task_rows: list[tuple[AbawRow, FrameMeasure]] = []
            for done, name in enumerate(systems, settings.tasks.index(task) * len(systems)):
                row, measure, predictions = _scored_system(inputs, task, name, folder, _within(progress, done, total))
                task_rows.append((row, measure))
                answers[task, name] = _submission(inputs, task, predictions)
                if run is not None and predictions.epoch and run.finished(f'{task}/{name}') is None:
                    run.note(f'{task}/{name}', f'models/{task}/{name}')
                if progress is not None:
                    progress('train', done + 1, total)
            # 3. Unchanged models of another run, then each system compared with the single-frame head.
            for name, predictor in carried.get(task, {}).items():
                predictions = carried_answers(inputs, task, predictor)
                task_rows.append(scored(inputs, task, name, predictions))
                answers[task, name] = _submission(inputs, task, predictions)
            rows += with_gains(inputs, task, task_rows)
    counts, notes = dict(_counts(inputs)), tuple(_notes(inputs))
    return Abaw(corpus, settings, recipes, counts, tuple(rows), answers, notes)


def _aligned(
    table: FrameTable,
    features: Mapping[str, Store],
    clock: Mapping[str, float],
    settings: AbawSettings,
    truth: FrameTable | None,
    curves: Mapping[str, TrueCurves],
    shared: Sequence[str],
    unlabelled: Unlabelled | None,
    folder: Path | None,
) -> AbawRun:
    """Labels and features of all videos, on the clock of the frames, for all systems of a run."""
    from affekt.sequence_models import require_same_features

    labels = [video for video in table if video.frames]
    methods = _by_modality(settings.clock, features)
    rows_folder = _rows_folder(folder, sum(video.frames for video in labels), features)
    videos, on_clock = _on_both_clocks(labels, features, clock, methods, shared, rows_folder)
    columns = {name: store.provenance.columns for name, store in features.items()}
    withheld = frozenset(_withheld(table, settings))
    inputs = AbawRun(table, videos, columns, truth, curves, settings, on_clock, withheld)
    if unlabelled is None:
        return inputs
    _require_elsewhere(table, unlabelled, methods)
    without_labels = [
        FrameLabels(video.video, video.partition, frames=video.frames) for video in unlabelled.labels if video.frames
    ]
    sources = {name: unlabelled.features[name] for name in methods}
    elsewhere = _on_both_clocks(without_labels, sources, unlabelled.clock, methods, shared, None)
    require_same_features(videos.sizes, videos.alignment, elsewhere[0])
    return dataclasses.replace(inputs, elsewhere=elsewhere)


def _on_both_clocks(
    labels: Sequence[FrameLabels],
    features: Mapping[str, Store],
    clock: Mapping[str, float],
    methods: Mapping[str, FrameClock],
    shared: Sequence[str],
    rows_folder: Path | None,
) -> tuple[FrameVideos, FrameVideos]:
    """Videos on fixed clocks, where linear stands for learned, and on the clocks of the settings."""
    from affekt.sequence_models import frame_videos

    fixed: dict[str, FrameClock] = {
        name: 'linear' if method == 'learned' else method for name, method in methods.items()
    }  # fmt: skip
    videos = frame_videos(labels, features, clock, methods=fixed, of_recording=shared, keep_in=rows_folder)
    if fixed == methods:
        return videos, videos
    learned_folder = None if rows_folder is None else rows_folder / 'learned'
    return videos, frame_videos(labels, features, clock, methods=methods, of_recording=shared, keep_in=learned_folder)


def _by_modality(
    clock: FrameClock | Mapping[str, FrameClock], features: Collection[str]
) -> dict[str, FrameClock]:  # fmt: skip
    """Each modality to its clock; `linear` where the settings name none."""
    if isinstance(clock, str):
        return dict.fromkeys(features, clock)
    if unknown := sorted(set(clock) - set(features)):
        raise UnknownNameError(
            expected=f'clocks of features among {", ".join(features)}', came=listed(unknown), todo='correct the names'
        )
    return {name: clock.get(name, 'linear') for name in features}


def _withheld(table: FrameTable, settings: AbawSettings) -> Iterator[str]:
    """Training videos whose annotations are not learnt from: whole recordings, chosen at random by the seed."""
    training = [video for video in table if 'train' in {video.partition, *video.by_task.values()}]
    recordings = sorted({video.recording for video in training})
    order = np.random.default_rng((settings.seed, 0x6C61626C)).permutation(len(recordings))
    kept = {recordings[index] for index in order[: max(1, round(settings.labelled * len(recordings)))]}
    return (video.video for video in training if video.recording not in kept)


def _left_out(table: FrameTable, settings: AbawSettings) -> dict[str, Mapping[str, str]]:
    """Task to the training videos whose recording is in validation or test too, each to the names of those.

    Raises:
        LeakError: there are some, and the settings do not say to leave them out.
    """
    shared = {task: shared_with_judged(table, ABAW_TASKS[task]) for task in settings.tasks}
    videos = {video: others for task_videos in shared.values() for video, others in task_videos.items()}
    if videos and not settings.leave_out_shared:
        pairs = [f'{video} (train) and {others}' for video, others in videos.items()]
        raise LeakError(
            expected='each recording, with all people in it, on one side of the split',
            came=f'{counted(len(videos), "training video")} whose recording is judged too: {listed(pairs)}',
            todo='leave them out of training with --leave-out-shared, or move their annotations to one partition and '
            'import the corpus again',
        )
    return {task: task_videos for task, task_videos in shared.items() if task_videos}


def _require_elsewhere(table: FrameTable, unlabelled: Unlabelled, methods: Mapping[str, FrameClock]) -> None:
    """Check that unlabelled videos are not among the corpus's, and have the same features.

    Raises:
        LeakError: a recording is one of the corpus's own.
        UnknownNameError: the features differ.
    """
    if set(unlabelled.features) != set(methods):
        raise UnknownNameError(
            expected=f'features {listed(methods)} of the unlabelled videos', came=listed(unlabelled.features) or 'none',
            todo='extract the same recipes of both, and name the stores alike',
        )  # fmt: skip
    sides = {'the corpus': table.names, 'unlabelled videos': [video.video for video in unlabelled.labels]}
    require_disjoint(sides)


def _rows_folder(folder: Path | None, frames: int, features: Mapping[str, Store]) -> Path | None:
    """Folder next to the run's for features of all frames larger than IN_MEMORY bytes; None if they fit."""
    size = 4 * frames * sum(store.provenance.dimension for store in features.values())  # bytes of float32
    return None if folder is None or size <= IN_MEMORY else folder.with_name(f'{folder.name}-rows')


def require_trainable(
    settings: AbawSettings, features: Collection[str] | None = None, carried_over: Path | None = None
) -> None:
    """Check that everything in the settings can be trained, before features are extracted.

    Args:
        settings: settings of the run.
        features: names of the features; None if not known yet.
        carried_over: see `run_abaw`.

    Raises:
        MissingExtraError, UnknownNameError, ValueRangeError, RunError: as for `run_abaw`.
    """
    require_torch()
    from affekt.nn import require_device
    from affekt.sequence_models import FRAME_CLOCKS, SEQUENCE_MODELS

    if unknown_models := [name for name in settings.models if name not in SEQUENCE_MODELS]:
        raise UnknownNameError(
            expected=f'models among {", ".join(SEQUENCE_MODELS)}', came=listed(unknown_models), todo='choose others'
        )
    require_device(settings.device)
    for task in settings.tasks:
        training_settings(settings, cast('FrameTask', task), PER_FRAME, settings.seed)
    methods = [settings.clock] if isinstance(settings.clock, str) else settings.clock.values()
    if unknown_clocks := [method for method in methods if method not in FRAME_CLOCKS]:
        raise UnknownNameError(
            expected=f'clocks among {", ".join(FRAME_CLOCKS)}', came=listed(unknown_clocks), todo='choose others'
        )
    if features is not None:
        _by_modality(settings.clock, features)
    if carried_over is not None:
        require_models(settings, carried_over)


def _require_models(inputs: AbawRun) -> None:
    """Check that every model can be built for the features; the last may be trained hours after the first."""
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
    return lambda _, steps, total_steps: progress('train', done + min(steps / max(total_steps, 1), 1.0), total)


def _run_of(folder: Path | None, depends_on: Mapping[str, Any], resume: bool) -> Any:
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
    recordings = {recording_of(name) for name in inputs.names(task, 'train')}
    if inputs.settings.folds > len(recordings):
        raise ValueRangeError(
            expected=f'at most as many folds as there are training recordings of {task}, {len(recordings)}',
            came=str(inputs.settings.folds), todo='ask for fewer',
        )  # fmt: skip
    if inputs.settings.pseudo_labels and inputs.elsewhere is None and not inputs.without_labels(task):
        raise TableError(
            expected=f'videos without annotations of {task} to guess for', came='none that is of no validation or test '
            'part', todo='give --unlabelled, or learn from a share of the annotations with --labelled 0.3',
        )  # fmt: skip


def _systems(inputs: AbawRun) -> tuple[str, ...]:
    """Baselines, then models; `per_frame` first among these."""
    from affekt.sequence_models import reading_modality

    first = [CONSTANT, MEAN, *([READING] if reading_modality(inputs.columns) else []), PER_FRAME]
    return (*first, *(name for name in inputs.settings.models if name != PER_FRAME))


def _scored_system(
    inputs: AbawRun, task: str, name: str, folder: Path | None, progress: Progress | None
) -> tuple[AbawRow, FrameMeasure, Answered]:
    """A system's row with the scores of all seeds, and the first seed's column sums and predictions."""
    seeds = inputs.settings.seeds
    predictions = _predictions(inputs, task, name, inputs.settings.seed, folder, part_of(progress, 0, seeds))
    row, measure = scored(inputs, task, name, predictions)
    over_seeds = tuple(_over_seeds(inputs, row, measure, folder, progress))
    return dataclasses.replace(row, over_seeds=over_seeds), measure, predictions


def _predictions(
    inputs: AbawRun, task: str, name: str, seed: int, folder: Path | None, progress: Progress | None
) -> Answered:  # fmt: skip
    from affekt.sequence_models import (
        constant_predictions,
        mean_predictions,
        read_predictions,
        tuned_frame_smoothing,
    )

    fields, table, started = ABAW_TASKS[task], inputs.table, time.monotonic()
    train, val, test = (inputs.names(task, part) for part in ('train', *PARTS))
    predicted_videos = inputs.videos.take((*val, *test))
    classes = len(table.expressions)
    training_labels = [inputs.table[video] for video in train]
    if name == CONSTANT:
        return Answered(constant_predictions(training_labels, predicted_videos, fields, classes), {})
    if name == MEAN:
        return Answered(mean_predictions(training_labels, predicted_videos, fields, classes), {})
    settings = training_settings(inputs.settings, cast('FrameTask', task), name if name != READING else PER_FRAME, seed)
    epoch = parameters = 0
    training = Training()
    if name == READING:
        raw = read_predictions(predicted_videos, inputs.columns, fields, table.action_units, classes)
        choices = tuned_frame_smoothing(inputs.videos.take(val), raw, settings, classes)
    else:
        trained, training = trained_model(inputs, task, name, settings, folder, progress)
        raw = trained.predictor.predict(read_by(inputs, name).take((*val, *test)), smooth=False)
        choices, members = dict(trained.smoothing), members_of(trained)
        epoch = round(sum(member.epoch for member in members) / len(members))
        parameters = sum(weight.numel() for member in members for weight in member.predictor.model.parameters())
    smoothing = {field: choice.chosen for field, choice in choices.items()}
    smoothed = {video: prediction.smoothed(smoothing) for video, prediction in raw.items()}
    return Answered(raw, smoothed, smoothing, epoch, parameters, time.monotonic() - started, training)


def _over_seeds(
    inputs: AbawRun, row: AbawRow, measure: FrameMeasure, folder: Path | None, progress: Progress | None
) -> Iterator[float]:
    """The official score of a trained system with each seed; nothing where there is one seed."""
    settings = inputs.settings
    if settings.seeds == 1 or not row.epoch:
        return
    yield official_score(row.task, measure)
    for number in range(1, settings.seeds):
        seed_progress = part_of(progress, number, settings.seeds)
        predictions = _predictions(inputs, row.task, row.system, settings.seed + number, folder, seed_progress)
        yield official_score(row.task, last_measure(inputs, row.task, predictions))


def _submission(inputs: AbawRun, task: str, predictions: Answered) -> FrameTable:
    labels = [predictions.final[video].labels() for video in inputs.names(task, 'test')]
    return dataclasses.replace(inputs.table, labels=tuple(labels), notes=())


def _counts(inputs: AbawRun) -> Iterator[tuple[str, int]]:
    for part in ('train', 'val', 'test'):
        names = {name for task in inputs.settings.tasks for name in inputs.names(task, part)}
        yield f'{part} videos', len(names)
        yield f'{part} frames', sum(inputs.table[name].frames for name in names)


def _notes(inputs: AbawRun) -> Iterator[str]:
    settings = inputs.settings
    if not any(inputs.known(task, 'test') for task in settings.tasks):
        choice = 'the smoothing' if settings.folds else 'the epoch'
        yield f'the truth of the test videos is not known: scores are of the validation videos, which chose {choice}'
    if dropped := {video for videos in inputs.left_out.values() for video in videos}:
        yield (
            f'left out of training, since their recording is in validation or test too: '
            f'{counted(len(dropped), "video")} ({listed(sorted(dropped))})'
        )
    if without_count := [labels.video for labels in inputs.table if not labels.frames]:
        yield f'not answered, for nobody knows their number of frames: {counted(len(without_count), "video")}'
    missing = {
        name: sum(not bool(mask[begin : begin + count].any()) for begin, count in _spans(inputs.videos))
        for name, mask in inputs.videos.keep_mask.items()
    }
    if lacking := {name: count for name, count in missing.items() if count}:
        yield f'videos without features: {", ".join(f"{count} of {name}" for name, count in lacking.items())}'
    for part, name in PART_NAMES.items():
        single = [task for task in settings.tasks if len(_recordings(inputs, task, part)) == 1]
        if single:
            yield f'one recording in the {name} part of {", ".join(single)}: no interval, which needs two'
    if settings.seeds == 1:
        yield f'one seed ({settings.seed}): how much another one would change is not measured'


def _recordings(inputs: AbawRun, task: str, part: str) -> set[str]:
    return {labels.recording for labels in inputs.known(task, part).values()}


def _spans(videos: FrameVideos) -> list[tuple[int, int]]:
    return [(videos.starts[name], videos.lengths[name]) for name in videos.names]


def save_answers(folder: Path, outcome: Abaw) -> None:
    """Write each system's predictions for the test videos, one table of frames each, into `answers`."""
    for (task, system), table in outcome.answers.items():
        if len(table):
            table.save(folder / 'answers' / f'{task}-{system}.parquet')
