"""Sums over the frames of each video, from which the frame-level scores follow; `frames.py` has the scores.

A video without labelled frames has a row of zeros, so that the sums of several tasks can be joined as columns.

Axes: V videos, T frames of a video, U action units, C classes, K sums, R draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats, Ints
from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.measures import correlations, middle_of, offsets_from, quotient
from affekt.metrics.resampling import Statistic

Videos = npt.NDArray[Any] | Sequence[npt.NDArray[Any] | None]
"""One array per video, None if a video is not part of the task; a single array is one video."""
VideoSums = tuple[Floats, Statistic, Ints]
"""(V, K) sums of each video, the function from sums to scores, and (V,) numbers of labelled frames."""


def expression_sums(truth: Videos, prediction: Videos, classes: int, names: Sequence[str] | None) -> VideoSums:
    """Sums of expressions, three per class: correct predictions, true labels, predicted labels."""
    labels = _names(names, classes, 'classes')
    rows = []
    for true, predicted in paired_videos(truth, prediction, 1):
        labelled = (np.zeros(0), np.zeros(0)) if true is None else (true[true >= 0], predicted[true >= 0])
        true_classes, predicted_classes = (_numbers(side, classes) for side in labelled)
        pairs = np.bincount(true_classes * classes + predicted_classes, minlength=classes * classes).reshape(
            classes, classes
        )
        rows.append(np.concatenate([np.diag(pairs), pairs.sum(axis=1), pairs.sum(axis=0)]))
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3 * classes)

    def statistic(sums: Floats) -> dict[str, Floats]:
        hits, true, predicted = np.moveaxis(sums.reshape(-1, 3, classes), 1, 0)  # (R, C) each
        f1, frames = _f1(hits, true, predicted), true.sum(axis=1)
        return {
            'expression_f1': _mean_of_all(f1, frames),
            'accuracy': quotient(hits.sum(axis=1), frames),
            **{f'expression_f1 {label}': f1[:, index] for index, label in enumerate(labels)},
        }

    return columns, statistic, columns[:, classes : 2 * classes].sum(axis=1).astype(np.int64)


def unit_sums(truth: Videos, prediction: Videos, names: Sequence[str] | None) -> VideoSums:
    """Sums of action units, four per unit: correct predictions, true labels, predicted labels, labelled frames."""
    rows, sizes = [], []
    pairs = list(paired_videos(truth, prediction, 2))
    width = next((true.shape[1] for true, _ in pairs if true is not None), len(names or ()))
    for true, predicted in pairs:
        if true is None:
            rows.append(np.zeros((4, width)))
            sizes.append(0)
            continue
        if true.shape[1] != width:
            raise ShapeError(expected=f'{width} action units in every video', came=f'{true.shape}', todo='give all')
        is_labelled = true >= 0
        active, predicted_active = _active(true, is_labelled), _active(predicted, is_labelled)
        rows.append(
            np.stack([side.sum(axis=0) for side in (active & predicted_active, active, predicted_active, is_labelled)])
        )
        sizes.append(int(is_labelled.any(axis=1).sum()))
    labels = _names(names, width, 'action units')

    def statistic(sums: Floats) -> dict[str, Floats]:
        hits, true, predicted, frames = np.moveaxis(sums.reshape(len(sums), 4, width), 1, 0)  # (R, U) each
        f1 = _f1(hits, true, predicted)
        return {
            'unit_f1': _mean_of_all(f1, frames.sum(axis=1)),
            **{f'unit_f1 {label}': f1[:, index] for index, label in enumerate(labels)},
        }

    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 4 * width)
    return columns, statistic, np.array(sizes, dtype=np.int64)


def affect_sums(truth: Videos, prediction: Videos) -> VideoSums:
    """Sums of valence and arousal: number of labelled frames, then five moments of either, see `correlations`."""
    sides: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])
    for true, predicted in paired_videos(truth, prediction, 2):
        ratings = np.zeros((0, 2), dtype=np.float32) if true is None else true
        if ratings.shape[1] != 2:
            raise ShapeError(expected='(T, 2) for each video', came=f'{ratings.shape}', todo='give valence and arousal')
        is_labelled = ~np.isnan(ratings).any(axis=1)
        sides[0].append(ratings[is_labelled])
        sides[1].append(ratings[is_labelled] if true is None else predicted[is_labelled])
    sizes = [len(side) for side in sides[0]]
    originals = [np.concatenate(side) if side else np.zeros((0, 2)) for side in sides]
    true, predicted = (side.astype(np.float64) for side in originals)
    if missing := int((~np.isfinite(predicted)).any(axis=1).sum()):
        raise _missing_error(missing)
    boundaries = np.cumsum([0, *sizes])
    columns = [np.array(sizes, dtype=np.float64)]
    middles = [middle_of(true[:, dimension]) for dimension in range(2)]
    for dimension, middle in enumerate(middles):
        t = offsets_from(middle, true[:, dimension], originals[0])
        p = offsets_from(middle, predicted[:, dimension], originals[1])
        for moment in (t, p, t * t, p * p, t * p):
            columns.append(np.array([moment[begin:end].sum() for begin, end in pairwise(boundaries)]))

    def statistic(sums: Floats) -> dict[str, Floats]:
        n, *moments = sums.T
        valence, arousal = (
            correlations(n, moments[5 * dimension : 5 * dimension + 5], middles[dimension]) for dimension in range(2)
        )
        return {
            'affect_ccc': (valence['concordance'] + arousal['concordance']) / 2,
            'valence_ccc': valence['concordance'],
            'arousal_ccc': arousal['concordance'],
            'valence_pearson': valence['pearson'],
            'arousal_pearson': arousal['pearson'],
        }

    return np.stack(columns, axis=1), statistic, np.array(sizes, dtype=np.int64)


def _names(names: Sequence[str] | None, count: int, what: str) -> list[str]:
    """The names, or the numbers where there are none, checked to be as many as there are."""
    if names and len(names) != count:
        raise ShapeError(expected=f'names of {count} {what}', came=f'{len(names)}', todo='name each once')
    return [str(label) for label in names or range(count)]


def _listed(videos: Videos) -> list[Any]:
    """The videos as a list; a single array is one video."""
    return [videos] if isinstance(videos, np.ndarray) and videos.dtype != object else list(videos)


def paired_videos(
    truth: Videos, prediction: Videos, axes: int | None = None
) -> Iterator[tuple[npt.NDArray[Any] | None, npt.NDArray[Any]]]:
    """Truth and prediction of each video, checked to be of one shape; the truth is None where a video has none.

    Raises:
        ShapeError: the two sides differ in videos or frames, or an array has another number of axes than `axes`.
    """
    true_videos, predicted_videos = _listed(truth), _listed(prediction)
    if len(true_videos) != len(predicted_videos):
        raise ShapeError(
            expected='as many videos in truth and prediction', came=f'{len(true_videos)} and {len(predicted_videos)}',
            todo='give one array per video on both sides',
        )  # fmt: skip
    for number, (true, predicted) in enumerate(zip(true_videos, predicted_videos, strict=True), 1):
        left, right = (None if side is None else np.asarray(side) for side in (true, predicted))
        if left is None:
            yield None, np.zeros(0)
        elif right is None or left.shape != right.shape or (axes and left.ndim != axes):
            raise ShapeError(
                expected=f'truth and prediction of one shape for each video, {axes or "one or two"} axes',
                came=f'{left.shape} and {"none" if right is None else right.shape} for video {number}',
                todo='give a row for every frame on both sides',
            )
        else:
            yield left, right


def _numbers(labels: npt.NDArray[Any], classes: int) -> Ints:
    """Class numbers, checked; -1 in a prediction means no answer."""
    if len(labels) and (missing := int((~(labels >= 0)).sum())):
        raise _missing_error(missing)
    numbers = labels.astype(np.int64)
    invalid = labels[(numbers != labels) | (numbers >= classes)]
    if len(invalid):
        raise ValueRangeError(
            expected=f'whole numbers from 0 to {classes - 1}', came=f'{invalid[0]}', todo='correct the class'
        )
    return numbers


def _active(units: npt.NDArray[Any], is_labelled: Bools) -> Bools:
    """True where an action unit is active, among the cells that have a label; checked."""
    if missing := int(np.count_nonzero(is_labelled & ~(units >= 0))):
        raise _missing_error(missing)
    is_invalid = is_labelled & (units != 0) & (units != 1)
    if is_invalid.any():
        raise ValueRangeError(
            expected='0 or 1 for each action unit', came=f'{units[is_invalid][0]}',
            todo='decide scores by a threshold first',
        )  # fmt: skip
    return np.asarray(is_labelled & (units == 1))


def _missing_error(count: int) -> ValueRangeError:
    return ValueRangeError(
        expected='a prediction for every frame that has a label', came=f'none for {count:,} of them',
        todo='predict all frames of every video',
    )  # fmt: skip


def _f1(hits: Floats, true: Floats, predicted: Floats) -> Floats:
    """2 hits / (true + predicted); 0 where neither side has any, as in the official score."""
    total = true + predicted
    return np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)


def _mean_of_all(f1: Floats, frames: Floats) -> Floats:
    """(R,) mean over all classes; nan without labelled frames."""
    return np.where(frames > 0, f1.mean(axis=1) if f1.shape[1] else np.nan, np.nan)
