"""Frame-level scores of videos, as the ABAW challenges define them.

Task: one array per video on each side, truth and prediction, with one row per frame. A frame without a label (-1 for
expressions and action units, nan for affect) is left out; one that has a label needs a prediction. Every official score
is taken over all labelled frames of all videos together:

| task | truth | official score |
|---|---|---|
| expression | (T,) class number | mean of F1 over all classes |
| affect | (T, 2) valence and arousal | mean of the two concordance correlations, with population moments |
| units | (T, U) 0 or 1 | mean of F1 over action units |
| all three | | their sum |

Conventions of F1: the sum is divided by the number of classes, or of action units, whether they occur or not. A class
in neither truth nor prediction counts as 0, as in scikit-learn's `f1_score(labels=range(8))`; `macro_f1` and
`multilabel_macro_f1` leave it out. A frame is labelled for affect where both dimensions are, and for each action unit
separately. The organizers' evaluation code is not public; definitions are those of the challenge's papers.

Means of scores over videos or windows are different measures, and not comparable: on the same predictions a mean over
windows may be a third of the official score. They have separate names, `mean_over_videos` and `mean_over_windows`.

Frames of one video resemble each other, so `frame_intervals` resamples whole videos.

Axes: V videos, T frames of a video, U action units, C classes, R draws.

Source: Kollias et al. 2024, The 6th Affective Behavior Analysis in-the-wild Competition, arXiv:2402.19344.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.frame_sums import Videos, affect_sums, expression_sums, paired_videos, unit_sums
from affekt.metrics.group_sizes import freedom
from affekt.metrics.intervals import CORRELATION, SHARE, Interval, student_interval
from affekt.metrics.measures import Measure
from affekt.metrics.resampling import Statistic, influences_of, resampled_sums, summed_by

MULTITASK = (-1.0, 3.0)
"""Range of the sum of the three scores."""


@dataclass(frozen=True)
class FrameMeasure(Measure):
    """Sums of one system's predictions on V videos; videos without a label are left out."""

    sizes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    """(V,) number of labelled frames of each video."""
    places: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    """(V,) index of each video among all videos that were given."""
    given: int = 0
    """Number of videos that were given, including those without a label."""


def expression_f1(truth: Videos, prediction: Videos, classes: int = 8) -> float:
    """Official score of expressions: the mean of F1 over all classes.

    Args:
        truth: (T,) class numbers of each video; -1 for no label.
        prediction: (T,) class numbers of each video.
        classes: number of classes; 7 in ABAW1 and 2.

    Returns:
        A float in [0, 1]; nan without labelled frames.

    Raises:
        ShapeError: the two sides differ in videos or frames.
        ValueRangeError: a labelled frame has no prediction, or a number is not that of a class.

    >>> expression_f1(np.array([0, 0, 1, 1, -1]), np.array([0, 1, 1, 1, 5]), 2)  # (2/3 + 4/5) / 2
    0.7333333333333334
    """
    return expression_measure(truth, prediction, classes).scores()['expression_f1']


def affect_ccc(truth: Videos, prediction: Videos) -> float:
    """Official score of valence and arousal: the mean of their concordance correlations.

    Args:
        truth: (T, 2) valence and arousal of each video; nan for no label.
        prediction: (T, 2) valence and arousal of each video.

    Returns:
        A float in [-1, 1]; nan without labelled frames, or where a dimension is the same constant on both sides.

    Raises:
        ShapeError: the two sides differ in videos or frames.
        ValueRangeError: a labelled frame has no prediction.
    """
    return affect_measure(truth, prediction).scores()['affect_ccc']


def unit_f1(truth: Videos, prediction: Videos) -> float:
    """Official score of action units: the mean of F1 over units.

    Args:
        truth: (T, U) of each video, 0 or 1; -1 for no label.
        prediction: (T, U) of each video, 0 or 1.

    Returns:
        A float in [0, 1]; nan without labelled frames.

    Raises:
        ShapeError: the two sides differ in videos, frames or units.
        ValueRangeError: a labelled frame has no prediction, or a value is neither 0 nor 1.
    """
    return unit_measure(truth, prediction).scores()['unit_f1']


def multitask_score(
    expression: tuple[Videos, Videos], affect: tuple[Videos, Videos], units: tuple[Videos, Videos], classes: int = 8
) -> float:
    """Official score of all three tasks: `expression_f1` + `affect_ccc` + `unit_f1`.

    Args:
        expression, affect, units: truth and prediction, each as in the task's own score.
        classes: number of expression classes.

    Returns:
        A float in [-1, 3]; nan where one of the three is.

    Raises:
        ShapeError, ValueRangeError: see the three scores.
    """
    return multitask_measure(expression, affect, units, classes).scores()['multitask']


def expression_measure(
    truth: Videos, prediction: Videos, classes: int = 8, names: Sequence[str] | None = None
) -> FrameMeasure:
    """Measure of `expression_f1`, `accuracy`, and of the F1 of each class, as `expression_f1 NAME`.

    Args:
        truth, prediction, classes: see `expression_f1`.
        names: names of the classes; None for their numbers.

    Raises:
        ShapeError, ValueRangeError: see `expression_f1`.
    """
    return _measure(*expression_sums(truth, prediction, classes, names))


def affect_measure(truth: Videos, prediction: Videos) -> FrameMeasure:
    """Measure of `affect_ccc`, `valence_ccc`, `arousal_ccc`, and of Pearson's correlation of both.

    Args:
        truth, prediction: see `affect_ccc`.

    Raises:
        ShapeError, ValueRangeError: see `affect_ccc`.
    """
    return _measure(*affect_sums(truth, prediction))


def unit_measure(truth: Videos, prediction: Videos, names: Sequence[str] | None = None) -> FrameMeasure:
    """Measure of `unit_f1`, and of the F1 of each action unit, as `unit_f1 NAME`.

    Args:
        truth, prediction: see `unit_f1`.
        names: names of the units; None for their numbers.

    Raises:
        ShapeError, ValueRangeError: see `unit_f1`.
    """
    return _measure(*unit_sums(truth, prediction, names))


def multitask_measure(
    expression: tuple[Videos, Videos], affect: tuple[Videos, Videos], units: tuple[Videos, Videos], classes: int = 8
) -> FrameMeasure:
    """Measure of `multitask`, and of the scores of the three tasks.

    Args:
        expression, affect, units, classes: see `multitask_score`; the same videos in the same order.

    Raises:
        ShapeError, ValueRangeError: see the three scores; ShapeError also where the tasks differ in videos.
    """
    parts = (expression_sums(*expression, classes, None), affect_sums(*affect), unit_sums(*units, None))
    if len({len(columns) for columns, _, _ in parts}) > 1:
        raise ShapeError(
            expected='the same videos in every task', came=f'{", ".join(str(len(part[0])) for part in parts)} videos',
            todo='give None for a video that has no part in a task',
        )  # fmt: skip
    boundaries = np.cumsum([columns.shape[1] for columns, _, _ in parts])[:-1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        scores: dict[str, Floats] = {}
        for task_sums, (_, scores_of, _) in zip(np.split(sums, boundaries, axis=1), parts, strict=True):
            scores |= scores_of(task_sums)
        total = scores['expression_f1'] + scores['affect_ccc'] + scores['unit_f1']
        return {'multitask': total, **{name: values for name, values in scores.items() if ' ' not in name}}

    sizes = np.max([part[2] for part in parts], axis=0)
    return _measure(np.concatenate([part[0] for part in parts], axis=1), statistic, sizes)


def frame_intervals(
    measure: FrameMeasure,
    *,
    rng: np.random.Generator,
    recordings: Sequence[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Every score with its interval over resamples of whole videos.

    The frames of one video are taken to be fully dependent, which is nearly so at 30 frames per second; where videos
    differ in length, the degrees of freedom follow from that (`freedom`).

    Args:
        measure: measure of one system.
        rng: generator of the resamples.
        recordings: recording of each video that was given to the measure, also of those left out; videos of one
            recording, such as two people side by side, are drawn together. None if each video is its own recording.
        resamples: number of resamples.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: there is not one recording per video.
        ValueRangeError: resamples or level is out of range.
    """
    columns, sizes = measure.columns, measure.sizes.astype(np.float64)
    if recordings is not None:
        if len(recordings) != measure.given:
            raise ShapeError(
                expected=f'a recording for each of {measure.given} videos', came=f'{len(recordings)}',
                todo='give one for every video, also for those without a label',
            )  # fmt: skip
        groups = np.asarray(recordings)[measure.places]
        columns, sizes = summed_by(columns, groups), summed_by(sizes[:, None], groups)[:, 0]
    values, drawn = measure.scores(), measure.statistic(resampled_sums(columns, rng=rng, resamples=resamples))
    correction, influences = None, {}
    if len(sizes) > 1:
        correction, influences = freedom(sizes, float('inf')), influences_of(measure.statistic, columns, sizes)
    return {
        name: student_interval(
            value,
            drawn[name],
            units=len(columns),
            level=level,
            bounds=measure.bounds.get(name),
            known=None if correction is None else correction.with_influences(influences[name]),
        )
        for name, value in values.items()
    }


@dataclass(frozen=True)
class MeanOfParts:
    """Mean of a score over parts of the frames; challenges rank by the score of all frames together."""

    mean: float
    """Mean over the parts where the score is defined; nan where there are none."""
    scores: tuple[float, ...]
    """Score of each part."""

    @property
    def undefined(self) -> int:
        """Number of parts whose score is nan, left out of the mean."""
        return sum(score != score for score in self.scores)


Score = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


def mean_over_videos(score: Score, truth: Videos, prediction: Videos) -> MeanOfParts:
    """Mean of a score over videos; the official score, over all frames together, is a different measure.

    Args:
        score: a score, such as `affect_ccc`.
        truth, prediction: as the score takes them.

    Raises:
        ShapeError, ValueRangeError: see the score.
    """
    return _mean(
        tuple(score(true, predicted) for true, predicted in paired_videos(truth, prediction) if true is not None)
    )


def mean_over_windows(
    score: Score, truth: Videos, prediction: Videos, length: int, stride: int | None = None
) -> MeanOfParts:
    """Mean of a score over windows of each video, as some publications report; not the official score.

    Args:
        score: a score, such as `affect_ccc`.
        truth, prediction: as the score takes them.
        length: frames per window; the last window of a video, and a short video, may be shorter.
        stride: frames between starts of windows; None for `length`.

    Raises:
        ShapeError, ValueRangeError: see the score; ValueRangeError also where length or stride is below 1.
    """
    used_stride = length if stride is None else stride
    if length < 1 or used_stride < 1:
        raise ValueRangeError(
            expected='a length and a stride of 1 or more', came=f'{length}, {used_stride}', todo='give them'
        )
    scores = []
    for true, predicted in paired_videos(truth, prediction):
        if true is not None:
            starts = range(0, max(min(len(true) - length + used_stride, len(true)), 1), used_stride)
            scores += [score(true[start : start + length], predicted[start : start + length]) for start in starts]
    return _mean(tuple(scores))


def _mean(scores: tuple[float, ...]) -> MeanOfParts:
    defined = [score for score in scores if score == score]
    return MeanOfParts(float(np.mean(defined)) if defined else float('nan'), scores)


def _measure(columns: Floats, statistic: Statistic, sizes: Ints) -> FrameMeasure:
    """The measure of the videos that have at least one labelled frame."""
    labelled = np.flatnonzero(sizes)
    names = statistic(columns.sum(axis=0, keepdims=True))
    bounds = {name: CORRELATION if name.endswith(('ccc', 'pearson')) else SHARE for name in names}
    bounds |= {'multitask': MULTITASK} if 'multitask' in names else {}
    return FrameMeasure(columns[labelled], statistic, bounds, sizes[labelled], labelled, len(sizes))
