"""ABAW: expression, valence and arousal, and action units of every frame, by models that read features over time.

Labels of all frames, features of any clock and a list of models come in. Out go, for each task, a constant, the mean of
training, the readings of faces as they are, a head that sees one frame alone, and every model of time: by the official
score on whole videos, before and after smoothing, with intervals over videos. The official validation part chooses
epoch and smoothing; a test part is scored where its truth is known. Where curves were commanded, recovery of them is
scored too. Read `run_abaw` first; `abaw_tables.py` shows.

T frames. torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from affekt.arrays import Floats
from affekt.corpora import TrueCurves
from affekt.errors import TableError, UnknownNameError, ValueRangeError, listed, require_torch
from affekt.features import Store
from affekt.frames import AFFECT, FrameLabels, FrameTable, Smoothing
from affekt.metrics import (
    FrameMeasure,
    Interval,
    affect_measure,
    curve_measure,
    expression_measure,
    frame_intervals,
    multitask_measure,
    student_interval,
    unit_measure,
)
from affekt.metrics.intervals import UNBOUNDED
from affekt.metrics.resampling import resampled_sums, summed_by
from affekt.progress import Progress
from affekt.runs import Run

if TYPE_CHECKING:
    from affekt.sequence_models import FramePrediction, FrameVideos, TrainedFrames

AbawTask = Literal['expr', 'va', 'au', 'mtl']
ABAW_TASKS: Mapping[str, tuple[str, ...]] = {
    'expr': ('expression',), 'va': ('affect',), 'au': ('units',), 'mtl': ('expression', 'affect', 'units'),
}  # fmt: skip
"""Task of the challenge to the fields of `FrameLabels` that are answered."""
HEADLINES = {'expr': 'expression_f1', 'va': 'affect_ccc', 'au': 'unit_f1', 'mtl': 'multitask'}
"""Task to its official score."""
CONSTANT, MEAN, READING, PER_FRAME = 'constant', 'mean', 'reading', 'per_frame'
BASELINES: Mapping[str, str] = {
    CONSTANT: 'the most frequent class; valence and arousal 0; every action unit active',
    MEAN: 'the mean of training: the share of each class and unit, mean valence and arousal',
    READING: "what affekt reads of each face as it is: its expression head, blendshapes' action units; nothing learnt",
    PER_FRAME: 'a head of two layers on the features of one frame, without any model of time',
}
PARTS = ('val', 'test')


@dataclass(frozen=True)
class AbawSettings:
    """What a run depends on besides labels and features.

    Args:
        tasks: of ABAW_TASKS.
        models: of `affekt.sequence_models.SEQUENCE_MODELS`; `per_frame` is trained in any case.
        window: frames of a window; stride: from one to the next, in training and predicting.
        epochs: at most; patience: epochs without a better one on validation.
        batch_size: windows a step.
        hidden: width of the models.
        learning_rate: of AdamW.
        resamples: of intervals.
        seed: of weights, order and intervals.
        device: of torch.
    """

    tasks: tuple[str, ...] = ('expr', 'va', 'au', 'mtl')
    models: tuple[str, ...] = ('convolution', 'transformer', 'attention_sequence')
    window: int = 300
    stride: int = 150
    epochs: int = 40
    patience: int = 8
    batch_size: int = 16
    hidden: int = 64
    learning_rate: float = 1e-3
    resamples: int = 1000
    seed: int = 0
    device: str = 'cpu'

    def __post_init__(self) -> None:
        if not self.tasks or (strange := [task for task in self.tasks if task not in ABAW_TASKS]):
            raise UnknownNameError(
                expected=f'tasks among {", ".join(ABAW_TASKS)}', came=listed(strange if self.tasks else ['none']),
                todo='name one or more',
            )  # fmt: skip
        if len(set(self.models)) < len(self.models) or len(set(self.tasks)) < len(self.tasks):
            raise ValueRangeError(
                expected='every task and model once', came=listed([*self.tasks, *self.models]), todo='leave one out'
            )


@dataclass(frozen=True)
class AbawRow:
    """One system on one task."""

    task: str
    system: str
    scores: Mapping[str, Mapping[str, Interval]]
    """Part (`val`, `test`) to its scores as they come; parts without truth are absent."""
    smoothed: Mapping[str, Mapping[str, Interval]]
    """The same after the smoothing that validation chose; empty for constants."""
    gain: Interval | None = None
    """Official score on the last part, less that of `per_frame`, both smoothed; None for `per_frame` itself."""
    recovery: Mapping[str, Interval] = field(default_factory=dict)
    """Concordance with commanded curves of the test videos, smoothed; `ccc` is the mean."""
    unseen: Mapping[str, Interval] = field(default_factory=dict)
    """The same on frames in which the face is not to be seen."""
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    epoch: int = 0
    parameters: int = 0
    seconds: float = 0.0

    @property
    def headline(self) -> str:
        """The official score's name."""
        return HEADLINES[self.task]

    @property
    def final(self) -> Mapping[str, Mapping[str, Interval]]:
        """Scores of what would be handed in."""
        return self.smoothed or self.scores


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


@dataclass(frozen=True)
class _Inputs:
    table: FrameTable
    videos: FrameVideos
    columns: Mapping[str, tuple[str, ...]]
    truth: FrameTable | None
    curves: Mapping[str, TrueCurves]
    settings: AbawSettings

    def names(self, task: str, part: str) -> tuple[str, ...]:
        """Videos of a part of a task: labelled ones, or of the test all."""
        fields = ABAW_TASKS[task]
        chosen = []
        for each in self.table:
            own = each.partition_of(fields[0]) if len(fields) == 1 else each.partition
            if own == part and each.frames and (part == 'test' or any(each.labelled(name).any() for name in fields)):
                chosen.append(each.video)
        return tuple(chosen)

    def known(self, task: str, part: str) -> dict[str, FrameLabels]:
        """Truth of a part by video; empty where there is none."""
        source = self.truth if part == 'test' else self.table
        names = [name for name in self.names(task, part) if source is not None and name in source]
        labels = {name: source[name] for name in names} if source is not None else {}
        return {name: each for name, each in labels.items() if any(each.labelled(of).any() for of in ABAW_TASKS[task])}


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
        folder: keeps models and logs; None keeps nothing.
        resume: go on in a folder that a killed run left.
        progress: called with the stage, what is done and the total.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: no such model.
        TableError: no training or validation video has labels of a task.
        RunError: the folder holds another run.
        FrameError and the like: as `train_frames`.
    """
    require_torch()
    from affekt.sequence_models import SEQUENCE_MODELS, frame_videos

    if strange := [name for name in settings.models if name not in SEQUENCE_MODELS]:
        raise UnknownNameError(
            expected=f'models among {", ".join(SEQUENCE_MODELS)}', came=listed(strange), todo='choose others'
        )
    # 1. Labels and features on the clock of the frames.
    labels = [each for each in table if each.frames]
    videos = frame_videos(labels, features, clock, of_recording=shared)
    columns = {name: store.provenance.columns for name, store in features.items()}
    inputs = _Inputs(table, videos, columns, truth, curves or {}, settings)
    recipes = {name: f'{store.provenance.recipe} {store.provenance.hash[:12]}' for name, store in features.items()}
    for task in settings.tasks:
        _require_labels(inputs, task)
    # 2. Every system on every task; each model in a folder of its own, from which a killed run goes on.
    depends_on = {'settings': dataclasses.asdict(settings), 'features': recipes, 'videos': list(videos.names)}
    systems = [(task, name) for task in settings.tasks for name in _systems(inputs)]
    rows: list[AbawRow] = []
    answers: dict[tuple[str, str], FrameTable] = {}
    with _noted(folder, depends_on, resume) as run:
        for task in settings.tasks:
            per_frame: FrameMeasure | None = None
            for name in _systems(inputs):
                answered = _answered(inputs, task, name, folder, progress)
                row, measure = _scored(inputs, task, name, answered, per_frame)
                per_frame = measure if name == PER_FRAME else per_frame
                rows.append(row)
                answers[task, name] = _handed_in(inputs, task, answered)
                if run is not None and run.finished(f'{task}/{name}') is None:
                    run.note(f'{task}/{name}', f'models/{task}/{name}')
                if progress is not None:
                    progress('systems', len(rows), len(systems))
    return Abaw(
        corpus, settings, recipes, dict(_counts(inputs)), tuple(rows), answers, tuple(_notes(inputs))
    )  # fmt: skip


def _noted(folder: Path | None, depends_on: Mapping[str, Any], resume: bool) -> Any:
    from contextlib import nullcontext

    if folder is None:
        return nullcontext()
    return Run(folder, depends_on, resume=resume and folder.exists())


def _require_labels(inputs: _Inputs, task: str) -> None:
    for part in ('train', 'val'):
        if not inputs.names(task, part):
            raise TableError(
                expected=f'videos of the part {part} with labels of {", ".join(ABAW_TASKS[task])}',
                came='none', todo='choose another task, or check the folder of annotations',
            )  # fmt: skip


def _systems(inputs: _Inputs) -> tuple[str, ...]:
    """Baselines, then models; `per_frame` first among these."""
    from affekt.sequence_models import reading_modality

    first = [CONSTANT, MEAN, *([READING] if reading_modality(inputs.columns) else []), PER_FRAME]
    return (*first, *(name for name in inputs.settings.models if name != PER_FRAME))


@dataclass(frozen=True)
class _Answered:
    """A system's answers to validation and test videos, and how it came to them."""

    raw: Mapping[str, FramePrediction]
    smoothed: Mapping[str, FramePrediction]
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    epoch: int = 0
    parameters: int = 0
    seconds: float = 0.0

    @property
    def final(self) -> Mapping[str, FramePrediction]:
        return self.smoothed or self.raw


def _answered(
    inputs: _Inputs, task: str, name: str, folder: Path | None, progress: Progress | None
) -> _Answered:  # fmt: skip
    from affekt.sequence_models import (
        FrameTrainingSettings,
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
        return _Answered(constant_predictions(known, asked, fields, classes), {})
    if name == MEAN:
        return _Answered(mean_predictions(known, asked, fields, classes), {})
    settings = _training_settings(inputs.settings, task, name if name != READING else PER_FRAME)
    if name == READING:
        raw = read_predictions(asked, inputs.columns, fields, table.action_units, classes)
        choices = tuned_frame_smoothing(inputs.videos.take(val), raw, settings, classes)
        smoothing = {of: choice.chosen for of, choice in choices.items()}
        smoothed = {video: each.smoothed(smoothing) for video, each in raw.items()}
        return _Answered(raw, smoothed, smoothing, seconds=time.monotonic() - begun)
    assert isinstance(settings, FrameTrainingSettings)
    trained = _trained(inputs, task, name, settings, folder, progress)
    predictor = trained.predictor
    return _Answered(
        predictor.predict(asked, smooth=False), predictor.predict(asked), dict(predictor.smoothing), trained.epoch,
        sum(parameter.numel() for parameter in predictor.model.parameters()), time.monotonic() - begun,
    )  # fmt: skip


def _training_settings(settings: AbawSettings, task: str, model: str) -> Any:
    from affekt.sequence_models import FrameTrainingSettings

    return FrameTrainingSettings(
        task=task, model=model, hidden=settings.hidden, window=settings.window, stride=settings.stride,
        epochs=settings.epochs, patience=settings.patience, batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, device=settings.device, seed=settings.seed, class_balance=0.5,
        unit_balance=True,
    )  # type: ignore[arg-type]  # fmt: skip


def _trained(
    inputs: _Inputs, task: str, name: str, settings: Any, folder: Path | None, progress: Progress | None
) -> TrainedFrames:
    from affekt.sequence_models import train_frames

    where = None if folder is None else folder / 'models' / task / name
    train, val = (inputs.videos.take(inputs.names(task, part)) for part in ('train', 'val'))
    return train_frames(
        train, val, settings, folder=where, resume=where is not None,
        progress=None if progress is None else lambda _, done, total: progress(f'{task} {name}', done, total),
        expressions=inputs.table.expressions, action_units=inputs.table.action_units,
    )  # fmt: skip


def _measure(inputs: _Inputs, task: str, truth: Sequence[FrameLabels], answers: Sequence[FrameLabels]) -> FrameMeasure:
    """All scores of a task on some videos."""
    table = inputs.table
    sides = {
        of: ([getattr(each, of) for each in truth], [getattr(each, of) for each in answers]) for of in ABAW_TASKS[task]
    }
    if task == 'expr':
        return expression_measure(*sides['expression'], len(table.expressions), table.expressions)
    if task == 'va':
        return affect_measure(*sides['affect'])
    if task == 'au':
        return unit_measure(*sides['units'], table.action_units)
    return multitask_measure(sides['expression'], sides['affect'], sides['units'], len(table.expressions))


def _scored(
    inputs: _Inputs, task: str, name: str, answered: _Answered, per_frame: FrameMeasure | None
) -> tuple[AbawRow, FrameMeasure | None]:
    """A system's row, and what its final answers on the last part with truth sum to."""
    scores: dict[str, dict[str, dict[str, Interval]]] = {'raw': {}, 'smoothed': {}}
    last: tuple[FrameMeasure, list[str]] | None = None
    for part in PARTS:
        truth = inputs.known(task, part)
        if not truth:
            continue
        recordings = [each.recording for each in truth.values()]
        for form, predictions in (('raw', answered.raw), ('smoothed', answered.smoothed)):
            if not predictions:
                continue
            decided = [predictions[video].labels() for video in truth]
            measure = _measure(inputs, task, list(truth.values()), decided)
            scores[form][part] = frame_intervals(
                measure, rng=_rng(inputs), recordings=recordings, resamples=inputs.settings.resamples
            )
            last = measure, recordings
    assert last is not None
    gain = None if per_frame is None else _gain(inputs, task, last[0], per_frame, last[1])
    seen = _recovery(inputs, task, answered.final, is_seen=True), _recovery(inputs, task, answered.final, is_seen=False)
    row = AbawRow(
        task, name, scores['raw'], scores['smoothed'], gain, *seen, answered.smoothing, answered.epoch,
        answered.parameters, answered.seconds,
    )  # fmt: skip
    return row, last[0]


def _rng(inputs: _Inputs) -> np.random.Generator:
    return np.random.default_rng((inputs.settings.seed, 0x61626177))


def _gain(
    inputs: _Inputs, task: str, ours: FrameMeasure, theirs: FrameMeasure, recordings: Sequence[str]
) -> Interval:  # fmt: skip
    """The official score less another system's, on the same draws of recordings."""
    headline = HEADLINES[task]
    groups = np.asarray(recordings)[ours.places]
    sides = []
    for measure in (ours, theirs):
        columns = summed_by(measure.columns, groups)
        drawn = resampled_sums(columns, rng=_rng(inputs), resamples=inputs.settings.resamples)
        sides.append((measure.scores()[headline], measure.statistic(drawn)[headline], len(columns)))
    (value, draws, units), (other, others, _) = sides
    return student_interval(value - other, draws - others, units=units, bounds=UNBOUNDED)


def _recovery(
    inputs: _Inputs, task: str, predictions: Mapping[str, FramePrediction], *, is_seen: bool
) -> dict[str, Interval]:
    """Concordance with what was commanded: of all frames of the test, or of those without a face to see."""
    known = [video for video in inputs.names(task, 'test') if video in inputs.curves]
    if not known or task == 'mtl':
        return {}
    names: Sequence[str] = {
        'expr': inputs.table.expressions[1:], 'va': AFFECT, 'au': inputs.table.action_units,
    }[task]  # fmt: skip
    truth, answers = [], []
    for video in known:
        curves, prediction = inputs.curves[video], predictions[video]
        rows = slice(None) if is_seen else ~curves.is_seen[: len(prediction)]
        of: dict[str, tuple[Floats, Floats]] = {
            'expr': (curves.expression, prediction.expression[:, 1:]), 'va': (curves.affect, prediction.affect),
            'au': (curves.units, prediction.units),
        }  # fmt: skip
        true, answer = of[task]
        truth.append(np.asarray(true[: len(prediction)][rows]))
        answers.append(np.asarray(answer[rows]))
    if truth[0].shape[1] != len(names) or not sum(map(len, truth)):
        return {}
    measure = curve_measure(truth, answers, names)
    recordings = [inputs.table[video].recording for video in known]
    return frame_intervals(measure, rng=_rng(inputs), recordings=recordings, resamples=inputs.settings.resamples)


def _handed_in(inputs: _Inputs, task: str, answered: _Answered) -> FrameTable:
    decided = [answered.final[video].labels() for video in inputs.names(task, 'test')]
    return dataclasses.replace(inputs.table, labels=tuple(decided), notes=())


def _counts(inputs: _Inputs) -> Iterator[tuple[str, int]]:
    for part in ('train', 'val', 'test'):
        names = {name for task in inputs.settings.tasks for name in inputs.names(task, part)}
        yield f'{part} videos', len(names)
        yield f'{part} frames', sum(inputs.table[name].frames for name in names)


def _notes(inputs: _Inputs) -> Iterator[str]:
    settings = inputs.settings
    if not any(inputs.known(task, 'test') for task in settings.tasks):
        yield 'the truth of the test videos is not known: scores are of the validation videos, which chose the epoch'
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
            (folder / 'answers').mkdir(parents=True, exist_ok=True)
            answered.save(folder / 'answers' / f'{task}-{system}.parquet')
