"""Scores of a system in ABAW: official scores of every part, gains over single frames, recovery of known curves.

Read `scored` first. The official score is over all labelled frames of a part together; intervals resample whole
recordings. Gains use the same resamples for both systems.

T frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import UnknownNameError, ValueRangeError, listed
from affekt.frames import AFFECT, FrameLabels, FrameTable, Smoothing, TrueCurves
from affekt.metrics import (
    UNBOUNDED,
    FrameMeasure,
    Interval,
    affect_measure,
    curve_measure,
    difference_interval,
    expression_measure,
    frame_intervals,
    multitask_measure,
    unit_measure,
)
from affekt.metrics.group_sizes import freedom
from affekt.metrics.resampling import influences_of, resampled_sums, summed_by

if TYPE_CHECKING:
    from affekt.sequence_models import FrameClock, FramePrediction, FrameVideos

ABAW_TASKS: Mapping[str, tuple[str, ...]] = {
    'expr': ('expression',), 'va': ('affect',), 'au': ('units',), 'mtl': ('expression', 'affect', 'units'),
}  # fmt: skip
"""Task of the challenge to the predicted fields of `FrameLabels`."""
HEADLINES = {'expr': 'expression_f1', 'va': 'affect_ccc', 'au': 'unit_f1', 'mtl': 'multitask'}
"""Task to its official score."""
CONSTANT, MEAN, READING, PER_FRAME = 'constant', 'mean', 'reading', 'per_frame'
"""Names of the baselines."""
BASELINES: Mapping[str, str] = {
    CONSTANT: 'the most frequent class; valence and arousal 0; every action unit active',
    MEAN: 'the mean of training: the share of each class and unit, mean valence and arousal',
    READING: "what affekt reads of each face as it is: its expression head, blendshapes' action units; nothing learnt",
    PER_FRAME: 'a head of two layers on the features of one frame, without any model of time',
}
"""Baseline to a description of it, for the notes of the tables."""
PARTS = ('val', 'test')
"""Scored parts; the last one with truth decides gains."""
PART_NAMES = {'val': 'validation', 'test': 'test'}
"""Part to its name in tables."""


@dataclass(frozen=True)
class AbawSettings:
    """Settings of a run.

    Args:
        tasks: names from ABAW_TASKS.
        models: names from `affekt.sequence_models.SEQUENCE_MODELS`; `per_frame` is trained in any case.
        window: frames per window; stride: frames between window starts, in training and prediction.
        epochs: maximum number; patience: epochs without improvement on validation before training stops.
        batch_size: windows per step.
        hidden: width of the models.
        learning_rate: learning rate of AdamW.
        resamples: number of resamples for intervals.
        seed: seed of weights, order and intervals.
        device: torch device.
        clock: how features are resampled to the frames, one of `affekt.sequence_models.FRAME_CLOCKS`, or modality to
            one; instead of a learned clock, `per_frame` and readings use a linear one.
        folds: K folds of the training part with one model each, whose predictions are averaged; 0 for a single model.
        pseudo_labels: also train on pseudo-labels of videos without annotations.
        labelled: share of the training recordings whose annotations are used; the others count as unlabelled.
        seeds: number of seeds per model, from `seed` on; scores and intervals are of the first, and the spread is
            shown.
        losses: losses other than the defaults, by name from `affekt.sequence_models.LOSS_SETTINGS`; the defaults are
            those of `FrameTrainingSettings`, but with `unit_balance`.
        leave_out_shared: leave training videos out whose recording is also in validation or test.
    """

    tasks: tuple[str, ...] = ('expr', 'va', 'au', 'mtl')
    models: tuple[str, ...] = ('convolution', 'transformer', 'attention_sequence')
    window: int = 300
    stride: int = 150
    epochs: int = 40
    patience: int = 10
    batch_size: int = 4
    hidden: int = 64
    learning_rate: float = 2e-3
    resamples: int = 1000
    seed: int = 0
    device: str = 'cpu'
    clock: FrameClock | Mapping[str, FrameClock] = 'linear'
    folds: int = 0
    pseudo_labels: bool = False
    labelled: float = 1.0
    seeds: int = 1
    losses: Mapping[str, Any] = field(default_factory=dict)
    leave_out_shared: bool = False

    def __post_init__(self) -> None:
        if not self.tasks or (unknown := [task for task in self.tasks if task not in ABAW_TASKS]):
            raise UnknownNameError(
                expected=f'tasks among {", ".join(ABAW_TASKS)}', came=listed(unknown if self.tasks else ['none']),
                todo='name one or more',
            )  # fmt: skip
        if len(set(self.models)) < len(self.models) or len(set(self.tasks)) < len(self.tasks):
            raise ValueRangeError(
                expected='every task and model once', came=listed([*self.tasks, *self.models]), todo='leave one out'
            )
        if self.seed < 0 or self.resamples < 0:
            raise ValueRangeError(
                expected='a seed and resamples of 0 or more', came=f'{self.seed}, {self.resamples}',
                todo='give another number',
            )  # fmt: skip
        if self.folds < 0 or self.folds == 1 or not 0 < self.labelled <= 1 or self.seeds < 1:
            raise ValueRangeError(
                expected='2 folds or more, or 0 for none, a labelled share above 0 and up to 1, and a seed or more',
                came=f'{self.folds} folds, labelled {self.labelled:g}, {self.seeds} seeds', todo='give another number',
            )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values; options added later are included only if used."""
        added_later = {
            'clock': 'linear', 'folds': 0, 'pseudo_labels': False, 'labelled': 1.0, 'seeds': 1, 'losses': {},
            'leave_out_shared': False,
        }  # fmt: skip
        return {
            name: value for name, value in asdict(self).items() if name not in added_later or value != added_later[name]
        }


@dataclass(frozen=True)
class Training:
    """Results of folds and pseudo-labels, by the official score without smoothing; empty without them."""

    members: tuple[float, ...] = ()
    """Score of each fold's model on validation."""
    mean: float | None = None
    """Score of their averaged predictions on validation."""
    held_out: float | None = None
    """Score on all training videos, each predicted by the model that was not trained on it."""
    rounds: tuple[float, ...] = ()
    """Score of each round of pseudo-labels on validation; the first has none."""
    guessed: Mapping[str, int] = field(default_factory=dict)
    """Numbers of videos, and of frames per task, with pseudo-labels in the last round."""


@dataclass(frozen=True)
class AbawRow:
    """One system on one task."""

    task: str
    system: str
    scores: Mapping[str, Mapping[str, Interval]]
    """Part (`val`, `test`) to its scores without smoothing; parts without truth are absent."""
    smoothed: Mapping[str, Mapping[str, Interval]]
    """The same after the smoothing chosen on validation; empty for constants."""
    gain: Interval | None = None
    """Official score on the last part minus that of `per_frame`, both smoothed; None for `per_frame` itself."""
    recovery: Mapping[str, Interval] = field(default_factory=dict)
    """Concordance with commanded curves of the test videos, smoothed; `ccc` is the mean."""
    unseen: Mapping[str, Interval] = field(default_factory=dict)
    """The same on frames without a visible face."""
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    epoch: int = 0
    parameters: int = 0
    seconds: float = 0.0
    training: Training = field(default_factory=Training)
    over_seeds: tuple[float, ...] = ()
    """Official score on the last part, smoothed, of each seed, if there are several."""

    @property
    def headline(self) -> str:
        """Name of the official score."""
        return HEADLINES[self.task]

    @property
    def final(self) -> Mapping[str, Mapping[str, Interval]]:
        """Scores of the submission."""
        return self.smoothed or self.scores


@dataclass(frozen=True)
class AbawRun:
    """The inputs shared by all systems of a run."""

    table: FrameTable
    videos: FrameVideos
    columns: Mapping[str, tuple[str, ...]]
    truth: FrameTable | None
    curves: Mapping[str, TrueCurves]
    settings: AbawSettings
    on_clock: FrameVideos
    """The same videos for models of time, which may have learned clocks."""
    withheld: frozenset[str] = frozenset()
    """Training videos treated as unlabelled."""
    elsewhere: tuple[FrameVideos, FrameVideos] | None = None
    """Videos outside the corpus for pseudo-labels: with fixed clocks, and as in `on_clock`."""
    left_out: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Task to training videos that are not used, because their recording is in validation or test too."""

    def names(self, task: str, part: str) -> tuple[str, ...]:
        """Videos of a part (`train`, `val`, `test`) of a task: the labelled ones, or all of the test part."""
        fields = ABAW_TASKS[task]
        videos = []
        for labels in self.table:
            if not any(labels.belongs_to(field) for field in fields):
                continue
            partition = labels.partition_of(fields[0]) if len(fields) == 1 else labels.partition
            if labels.video in self.withheld or labels.video in self.left_out.get(task, ()):
                continue
            if (
                partition == part
                and labels.frames
                and (part == 'test' or any(labels.labelled(name).any() for name in fields))
            ):
                videos.append(labels.video)
        return tuple(videos)

    def without_labels(self, task: str) -> tuple[str, ...]:
        """Videos of this corpus allowed for pseudo-labels: not trained on, and of no validation or test recording.

        With folds, other people of training recordings are excluded too.
        """
        fields, training = ABAW_TASKS[task], set(self.names(task, 'train'))
        excluded = {
            labels.recording
            for labels in self.table
            if {labels.partition, *labels.by_task.values()} & set(PARTS)
        }  # fmt: skip
        if self.settings.folds:
            excluded |= {self.table[name].recording for name in training}
        return tuple(
            labels.video
            for labels in self.table
            if labels.frames and labels.recording not in excluded and labels.video not in training
            and (labels.video in self.withheld or not any(labels.labelled(field).any() for field in fields))
        )  # fmt: skip

    def known(self, task: str, part: str) -> dict[str, FrameLabels]:
        """Truth of a part by video; empty if there is none."""
        source = self.truth if part == 'test' else self.table
        names = [name for name in self.names(task, part) if source is not None and name in source]
        labels_of = {name: source[name] for name in names} if source is not None else {}
        return {
            name: labels
            for name, labels in labels_of.items()
            if any(labels.labelled(field).any() for field in ABAW_TASKS[task])
        }


@dataclass(frozen=True)
class Answered:
    """A system's predictions for validation and test videos, and how they were made."""

    raw: Mapping[str, FramePrediction]
    smoothed: Mapping[str, FramePrediction]
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    epoch: int = 0
    parameters: int = 0
    seconds: float = 0.0
    training: Training = field(default_factory=Training)

    @property
    def final(self) -> Mapping[str, FramePrediction]:
        """The submission."""
        return self.smoothed or self.raw


def _measure(
    inputs: AbawRun, task: str, truth: Mapping[str, FrameLabels], predictions: Mapping[str, FramePrediction]
) -> FrameMeasure:
    """All scores of a task on the videos of a truth."""
    table = inputs.table
    answers = [_on_frames_of(labels, predictions[video].labels()) for video, labels in truth.items()]
    pairs = {
        field: ([getattr(labels, field) for labels in truth.values()], [getattr(labels, field) for labels in answers])
        for field in ABAW_TASKS[task]
    }
    if task == 'expr':
        return expression_measure(*pairs['expression'], len(table.expressions), table.expressions)
    if task == 'va':
        return affect_measure(*pairs['affect'])
    if task == 'au':
        return unit_measure(*pairs['units'], table.action_units)
    return multitask_measure(pairs['expression'], pairs['affect'], pairs['units'], len(table.expressions))


def last_measure(inputs: AbawRun, task: str, answered: Answered) -> FrameMeasure:
    """Column sums of a system's final predictions on the last part with truth."""
    part = next(part for part in reversed(PARTS) if inputs.known(task, part))
    return _measure(inputs, task, inputs.known(task, part), answered.final)


def scored(inputs: AbawRun, task: str, name: str, answered: Answered) -> tuple[AbawRow, FrameMeasure]:
    """A system's row, and the column sums of its final predictions on the last part with truth."""
    scores: dict[str, dict[str, dict[str, Interval]]] = {'raw': {}, 'smoothed': {}}
    for part in PARTS:
        if not (truth := inputs.known(task, part)):
            continue
        recordings = [labels.recording for labels in truth.values()]
        for version, predictions in (('raw', answered.raw), ('smoothed', answered.smoothed)):
            if predictions:
                scores[version][part] = frame_intervals(
                    _measure(inputs, task, truth, predictions), rng=_rng(inputs), recordings=recordings,
                    resamples=inputs.settings.resamples,
                )  # fmt: skip
    recovery, unseen = (_recovery(inputs, task, answered.final, only_unseen=only) for only in (False, True))
    row = AbawRow(
        task, name, scores['raw'], scores['smoothed'], None, recovery, unseen, answered.smoothing, answered.epoch,
        answered.parameters, answered.seconds, answered.training,
    )  # fmt: skip
    return row, last_measure(inputs, task, answered)


def official_score(task: str, measure: FrameMeasure) -> float:
    """The official score of a measure from `scored`."""
    return float(measure.scores()[HEADLINES[task]])


def _on_frames_of(truth: FrameLabels, answer: FrameLabels) -> FrameLabels:
    """The answer cut to the length of the annotation, or continued with its last frame, as the two may differ."""
    if answer.frames == truth.frames:
        return answer
    rows = np.minimum(np.arange(truth.frames), answer.frames - 1)
    return replace(answer, frames=truth.frames, **{task: getattr(answer, task)[rows] for task in answer.tasks})


def _rng(inputs: AbawRun) -> np.random.Generator:
    return np.random.default_rng((inputs.settings.seed, 0x61626177))


def with_gains(inputs: AbawRun, task: str, rows: Sequence[tuple[AbawRow, FrameMeasure]]) -> list[AbawRow]:
    """The rows of a task, each with its official score minus that of `per_frame`, on the same resampled recordings."""
    truth = inputs.known(task, 'test') or inputs.known(task, 'val')
    recordings = np.array([labels.recording for labels in truth.values()])
    baseline = next((measure for row, measure in rows if row.system == PER_FRAME), None)
    if baseline is None:
        return [row for row, _ in rows]
    return [
        row
        if measure is baseline
        else replace(row, gain=_gain(inputs, task, measure, baseline, recordings[baseline.places]))
        for row, measure in rows
    ]


def _gain(
    inputs: AbawRun, task: str, system: FrameMeasure, baseline: FrameMeasure, groups: npt.NDArray[Any]
) -> Interval:  # fmt: skip
    """The official score minus the baseline's.

    Args:
        groups: (N,) recording of each row of both.
    """
    headline, scores = HEADLINES[task], []
    tables = [summed_by(measure.columns, groups) for measure in (system, baseline)]
    for measure, columns in zip((system, baseline), tables, strict=True):
        resampled = resampled_sums(columns, rng=_rng(inputs), resamples=inputs.settings.resamples)
        scores.append((measure.scores()[headline], measure.statistic(resampled)[headline]))
    (system_value, system_draws), (baseline_value, baseline_draws) = scores
    sizes = summed_by(system.sizes[:, None].astype(np.float64), groups)[:, 0]
    width = tables[0].shape[1]

    def gain(sums: Floats) -> dict[str, Floats]:
        return {headline: system.statistic(sums[:, :width])[headline] - baseline.statistic(sums[:, width:])[headline]}

    spread = None
    if len(sizes) > 1:
        influences = influences_of(gain, np.concatenate(tables, axis=1), sizes)[headline]
        spread = freedom(sizes, float('inf')).with_influences(influences)
    bounds = system.bounds.get(headline, UNBOUNDED)
    return difference_interval(
        system_value - baseline_value, system_draws - baseline_draws, units=len(sizes), bounds=bounds, known=spread
    )


def _recovery(
    inputs: AbawRun, task: str, predictions: Mapping[str, FramePrediction], *, only_unseen: bool
) -> dict[str, Interval]:
    """Concordance with the commanded curves on the test videos: of all frames, or of those without a visible face."""
    videos = [video for video in inputs.names(task, 'test') if video in inputs.curves]
    if not videos or task == 'mtl':
        return {}
    names: Sequence[str] = {
        'expr': inputs.table.expressions[1:], 'va': AFFECT, 'au': inputs.table.action_units,
    }[task]  # fmt: skip
    commanded_rows, predicted_rows = [], []
    for video in videos:
        curves, prediction = inputs.curves[video], predictions[video]
        count = min(len(prediction), len(curves.is_seen))
        rows = np.flatnonzero(~curves.is_seen[:count]) if only_unseen else np.arange(count)
        pairs: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
            'expr': (curves.expression, prediction.expression[:, 1:]), 'va': (curves.affect, prediction.affect),
            'au': (curves.units, prediction.units),
        }  # fmt: skip
        commanded, predicted = pairs[task]
        commanded_rows.append(np.asarray(commanded[rows]))
        predicted_rows.append(np.asarray(predicted[rows]))
    if commanded_rows[0].shape[1] != len(names) or not sum(map(len, commanded_rows)):
        return {}
    measure = curve_measure(commanded_rows, predicted_rows, names)
    recordings = [inputs.table[video].recording for video in videos]
    return frame_intervals(measure, rng=_rng(inputs), recordings=recordings, resamples=inputs.settings.resamples)
