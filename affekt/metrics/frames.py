"""Scores of predictions for every frame of videos, as the ABAW challenges define them.

Task: one array a video on each side, truth and prediction, with a row a frame. A frame whose truth is nan or -1 has no
label and is left out; one that has a label needs a prediction. Every official score is of all labelled frames of all
videos taken together:

| task | truth | official score |
|---|---|---|
| expression | (T,) number of a class | mean over all classes of F1 |
| affect | (T, 2) valence and arousal | mean of the two concordance correlations, with population moments |
| units | (T, U) 0 or 1 | mean over action units of F1 |
| all three | | their sum |

Conventions of F1: the official sum is divided by the number of classes, or of action units, whatever occurs. A class
that neither truth nor prediction has counts as 0, as scikit-learn's `f1_score(labels=range(8))` has it; `macro_f1` and
`multilabel_macro_f1` leave it out. A frame has a label in affect where both dimensions have one, and for each action
unit by itself. The evaluation code of the organizers is not public; definitions are those of the challenge's papers.

Means of scores by video or by window are other numbers, and not comparable: on the same predictions a mean over windows
may be a third of the official score. They have names of their own, `mean_over_videos` and `mean_over_windows`.

Frames of one video resemble each other, so `frame_intervals` draws whole videos.

Axes: V videos, T frames of one, U action units, C classes, R draws.

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
"""The lowest and the highest sum of the three scores."""


@dataclass(frozen=True)
class FrameMeasure(Measure):
    """One system's answers on V videos, summed by video; videos without a label are left out."""

    sizes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    """(V,) labelled frames of each video."""
    places: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    """(V,) its place among the videos that were given."""


def expression_f1(truth: Videos, prediction: Videos, classes: int = 8) -> float:
    """The official score of expressions: the mean F1 over all classes.

    Args:
        truth: (T,) of each video, number of the class; -1 for no label.
        prediction: (T,) of each video.
        classes: how many there are; 7 in ABAW1 and 2.

    Returns:
        A float in [0, 1]; nan without labelled frames.

    Raises:
        ShapeError: the two sides differ in videos or frames.
        ValueRangeError: a labelled frame has no prediction, or a number is that of no class.

    >>> expression_f1(np.array([0, 0, 1, 1, -1]), np.array([0, 1, 1, 1, 5]), 2)  # (2/3 + 4/5) / 2
    0.7333333333333334
    """
    return expression_measure(truth, prediction, classes).scores()['expression_f1']


def affect_ccc(truth: Videos, prediction: Videos) -> float:
    """The official score of valence and arousal: the mean of their concordance correlations.

    Args:
        truth: (T, 2) of each video; nan for no label.
        prediction: (T, 2) of each video.

    Returns:
        A float in [-1, 1]; nan without labelled frames, or where a dimension is one same constant on both sides.

    Raises:
        ShapeError: the two sides differ in videos or frames.
        ValueRangeError: a labelled frame has no prediction.
    """
    return affect_measure(truth, prediction).scores()['affect_ccc']


def unit_f1(truth: Videos, prediction: Videos) -> float:
    """The official score of action units: the mean over units of F1.

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
    """The official score of all three tasks: `expression_f1` + `affect_ccc` + `unit_f1`.

    Args:
        expression, affect, units: truth and prediction, each as the task's own score takes them.
        classes: of expressions.

    Returns:
        A float in [-1, 3]; nan where one of the three is.

    Raises:
        ShapeError, ValueRangeError: as the three scores.
    """
    return multitask_measure(expression, affect, units, classes).scores()['multitask']


def expression_measure(
    truth: Videos, prediction: Videos, classes: int = 8, names: Sequence[str] | None = None
) -> FrameMeasure:
    """`expression_f1`, `accuracy`, and F1 of each class under its name.

    Args:
        truth, prediction, classes: as `expression_f1`.
        names: of the classes; their numbers where None.

    Raises:
        ShapeError, ValueRangeError: as `expression_f1`.
    """
    return _measure(*expression_sums(truth, prediction, classes, names))


def affect_measure(truth: Videos, prediction: Videos) -> FrameMeasure:
    """`affect_ccc`, `valence_ccc`, `arousal_ccc`, and Pearson's correlation of both.

    Args:
        truth, prediction: as `affect_ccc`.

    Raises:
        ShapeError, ValueRangeError: as `affect_ccc`.
    """
    return _measure(*affect_sums(truth, prediction))


def unit_measure(truth: Videos, prediction: Videos, names: Sequence[str] | None = None) -> FrameMeasure:
    """`unit_f1`, and F1 of each action unit under its name.

    Args:
        truth, prediction: as `unit_f1`.
        names: of the units; their numbers where None.

    Raises:
        ShapeError, ValueRangeError: as `unit_f1`.
    """
    return _measure(*unit_sums(truth, prediction, names))


def multitask_measure(
    expression: tuple[Videos, Videos], affect: tuple[Videos, Videos], units: tuple[Videos, Videos], classes: int = 8
) -> FrameMeasure:
    """`multitask`, and the scores of the three tasks.

    Args:
        expression, affect, units, classes: as `multitask_score`, of the same videos in the same order.

    Raises:
        ShapeError, ValueRangeError: as the three scores; ShapeError too where the tasks differ in videos.
    """
    parts = (expression_sums(*expression, classes, None), affect_sums(*affect), unit_sums(*units, None))
    if len({len(columns) for columns, _, _ in parts}) > 1:
        raise ShapeError(
            expected='the same videos in every task', came=f'{", ".join(str(len(part[0])) for part in parts)} videos',
            todo='give None for a video that has no part in a task',
        )  # fmt: skip
    ends = np.cumsum([columns.shape[1] for columns, _, _ in parts])[:-1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        scores: dict[str, Floats] = {}
        for of_task, (_, scores_of, _) in zip(np.split(sums, ends, axis=1), parts, strict=True):
            scores |= scores_of(of_task)
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
    """Every score with its interval over videos, drawn whole.

    The frames of one video are taken to tell no more than one of them would, which at 30 frames a second is nearly so:
    where videos differ in length, degrees of freedom are those that leaves (`freedom`).

    Args:
        measure: of one system.
        rng: draws the resamples.
        recordings: (V,) what each of the videos that were given is of, where two people of one recording are videos of
            their own and are to be drawn together.
        resamples: how many.
        level: coverage in (0, 1).

    Raises:
        ShapeError: recordings are not those of the videos.
    """
    columns, sizes = measure.columns, measure.sizes.astype(np.float64)
    if recordings is not None:
        groups = np.asarray(recordings)[measure.places]
        columns, sizes = summed_by(columns, groups), summed_by(sizes[:, None], groups)[:, 0]
    values, drawn = measure.scores(), measure.statistic(resampled_sums(columns, rng=rng, resamples=resamples))
    known, added = None, {}
    if len(sizes) > 1:
        known, added = freedom(sizes, float('inf')), influences_of(measure.statistic, columns, sizes)
    return {
        name: student_interval(
            value,
            drawn[name],
            units=len(columns),
            level=level,
            bounds=measure.bounds.get(name),
            known=None if known is None else known.with_influences(added[name]),
        )
        for name, value in values.items()
    }


@dataclass(frozen=True)
class MeanOfParts:
    """The mean of a score over parts of the frames: not what a challenge ranks by."""

    mean: float
    """Over the parts where the score is defined; nan where it is on none."""
    scores: tuple[float, ...]
    """Of each part."""

    @property
    def undefined(self) -> int:
        """Parts on which the score is nan, left out of the mean."""
        return sum(score != score for score in self.scores)


Score = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


def mean_over_videos(score: Score, truth: Videos, prediction: Videos) -> MeanOfParts:
    """The mean of a score over videos; the official score is of all frames together, and another number.

    Args:
        score: such as `affect_ccc`.
        truth, prediction: as the score takes them.

    Raises:
        ShapeError, ValueRangeError: as the score.
    """
    return _mean(
        tuple(score(true, predicted) for true, predicted in paired_videos(truth, prediction) if true is not None)
    )


def mean_over_windows(
    score: Score, truth: Videos, prediction: Videos, length: int, stride: int | None = None
) -> MeanOfParts:
    """The mean of a score over windows of each video; a number that published entries report, and not the official one.

    Args:
        score: such as `affect_ccc`.
        truth, prediction: as the score takes them.
        length: frames of a window; the last one of a video, and a short video, are whatever is left.
        stride: frames from one window to the next; the length where None.

    Raises:
        ShapeError, ValueRangeError: as the score; ValueRangeError too where length or stride is below 1.
    """
    step = length if stride is None else stride
    if length < 1 or step < 1:
        raise ValueRangeError(expected='a length and a stride of 1 or more', came=f'{length}, {step}', todo='give them')
    scores = []
    for true, predicted in paired_videos(truth, prediction):
        if true is not None:
            begins = range(0, max(len(true) - length + step, 1), step)
            scores += [score(true[at : at + length], predicted[at : at + length]) for at in begins]
    return _mean(tuple(scores))


def _mean(scores: tuple[float, ...]) -> MeanOfParts:
    defined = [score for score in scores if score == score]
    return MeanOfParts(float(np.mean(defined)) if defined else float('nan'), scores)


def _measure(columns: Floats, statistic: Statistic, sizes: Ints) -> FrameMeasure:
    """The measure of the videos that have a labelled frame."""
    places = np.flatnonzero(sizes)
    names = statistic(columns.sum(axis=0, keepdims=True))
    bounds = {name: CORRELATION if name.endswith(('ccc', 'pearson')) else SHARE for name in names}
    bounds |= {'multitask': MULTITASK} if 'multitask' in names else {}
    return FrameMeasure(columns[places], statistic, bounds, sizes[places], places)
