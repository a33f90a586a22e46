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
from affekt.metrics.measures import correlations, middle_of, offsets_from
from affekt.metrics.resampling import Statistic

Videos = npt.NDArray[Any] | Sequence[npt.NDArray[Any] | None]
"""One array per video, None if a video is not part of the task; a single array is one video."""
VideoSums = tuple[Floats, Statistic, Ints]
"""(V, K) sums of each video, the function from sums to scores, and (V,) numbers of labelled frames."""


def expression_sums(truth: Videos, prediction: Videos, classes: int, names: Sequence[str] | None) -> VideoSums:
    """Counts per class: correct predictions, true labels, predicted labels."""
    labels = [str(label) for label in names or range(classes)]
    rows = []
    for true, predicted in paired_videos(truth, prediction, 1):
        labelled = (np.zeros(0), np.zeros(0)) if true is None else (true[true >= 0], predicted[true >= 0])
        right, answers = (_numbers(side, classes) for side in labelled)
        pairs = np.bincount(right * classes + answers, minlength=classes * classes).reshape(classes, classes)
        rows.append(np.concatenate([np.diag(pairs), pairs.sum(axis=1), pairs.sum(axis=0)]))
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3 * classes)

    def statistic(sums: Floats) -> dict[str, Floats]:
        hits, true, predicted = np.moveaxis(sums.reshape(-1, 3, classes), 1, 0)
        f1, frames = _f1(hits, true, predicted), true.sum(axis=1)
        return {
            'expression_f1': _mean_of_all(f1, frames),
            'accuracy': _over(hits.sum(axis=1), frames),
            **{f'expression_f1 {label}': f1[:, place] for place, label in enumerate(labels)},
        }

    return columns, statistic, columns[:, classes : 2 * classes].sum(axis=1).astype(np.int64)


def unit_sums(truth: Videos, prediction: Videos, names: Sequence[str] | None) -> VideoSums:
    """Counts per action unit: correct predictions, true labels, predicted labels, labelled frames."""
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
        known = true >= 0
        yes, answered = _shown(true, known), _shown(predicted, known)
        rows.append(np.stack([side.sum(axis=0) for side in (yes & answered, yes, answered, known)]))
        sizes.append(int(known.any(axis=1).sum()))
    labels = [str(label) for label in names or range(width)]

    def statistic(sums: Floats) -> dict[str, Floats]:
        hits, true, predicted, frames = np.moveaxis(sums.reshape(len(sums), 4, width), 1, 0)
        f1 = _f1(hits, true, predicted)
        return {
            'unit_f1': _mean_of_all(f1, frames.sum(axis=1)),
            **{f'unit_f1 {label}': f1[:, place] for place, label in enumerate(labels)},
        }

    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 4 * width)
    return columns, statistic, np.array(sizes, dtype=np.int64)


def affect_sums(truth: Videos, prediction: Videos) -> VideoSums:
    """Number of labelled frames, and moments of both dimensions."""
    sides: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])
    for true, predicted in paired_videos(truth, prediction, 2):
        whole = np.zeros((0, 2), dtype=np.float32) if true is None else true
        if whole.shape[1] != 2:
            raise ShapeError(expected='(T, 2) for each video', came=f'{whole.shape}', todo='give valence and arousal')
        known = ~np.isnan(whole).any(axis=1)
        sides[0].append(whole[known])
        sides[1].append(whole[known] if true is None else predicted[known])
    sizes = [len(side) for side in sides[0]]
    given = [np.concatenate(side) if side else np.zeros((0, 2)) for side in sides]
    true, predicted = (side.astype(np.float64) for side in given)
    if unanswered := int((~np.isfinite(predicted)).any(axis=1).sum()):
        raise _unanswered(unanswered)
    ends, middles = np.cumsum([0, *sizes]), []
    parts = [np.array(sizes, dtype=np.float64)]
    for place in range(2):
        at_t, at_p = middle_of(true[:, place]), middle_of(predicted[:, place])
        t = offsets_from(at_t, true[:, place], given[0])
        p = offsets_from(at_p, predicted[:, place], given[1])
        middles.append((at_t, at_p))
        for column in (t, p, t * t, p * p, t * p):
            parts.append(np.array([column[begin:end].sum() for begin, end in pairwise(ends)]))

    def statistic(sums: Floats) -> dict[str, Floats]:
        n, *moments = sums.T
        valence, arousal = (correlations(n, moments[5 * at : 5 * at + 5], middles[at]) for at in range(2))
        return {
            'affect_ccc': (valence['concordance'] + arousal['concordance']) / 2,
            'valence_ccc': valence['concordance'],
            'arousal_ccc': arousal['concordance'],
            'valence_pearson': valence['pearson'],
            'arousal_pearson': arousal['pearson'],
        }

    return np.stack(parts, axis=1), statistic, np.array(sizes, dtype=np.int64)


def _listed(videos: Videos) -> list[Any]:
    return [videos] if isinstance(videos, np.ndarray) and videos.dtype != object else list(videos)


def paired_videos(
    truth: Videos, prediction: Videos, axes: int | None = None
) -> Iterator[tuple[npt.NDArray[Any] | None, npt.NDArray[Any]]]:
    """Truth and prediction of each video, checked to be of one shape; the truth is None where a video has none.

    Raises:
        ShapeError: the two sides differ in videos or frames, or an array has another number of axes than `axes`.
    """
    trues, answers = _listed(truth), _listed(prediction)
    if len(trues) != len(answers):
        raise ShapeError(
            expected='as many videos in truth and prediction', came=f'{len(trues)} and {len(answers)}',
            todo='give one array a video on both sides',
        )  # fmt: skip
    for place, (true, answer) in enumerate(zip(trues, answers, strict=True), 1):
        left, right = (None if side is None else np.asarray(side) for side in (true, answer))
        if left is None:
            yield None, np.zeros(0)
        elif right is None or left.shape != right.shape or (axes and left.ndim != axes):
            raise ShapeError(
                expected=f'truth and prediction of one shape for each video, {axes or "one or two"} axes',
                came=f'{left.shape} and {"none" if right is None else right.shape} for video {place}',
                todo='give a row for every frame on both sides',
            )
        else:
            yield left, right


def _numbers(labels: npt.NDArray[Any], classes: int) -> Ints:
    """Class numbers, checked; -1 in a prediction means no answer."""
    if len(labels) and (missing := int((~(labels >= 0)).sum())):
        raise _unanswered(missing)
    numbers = labels.astype(np.int64)
    strange = labels[(numbers != labels) | (numbers >= classes)]
    if len(strange):
        raise ValueRangeError(
            expected=f'whole numbers from 0 to {classes - 1}', came=f'{strange[0]}', todo='correct the class'
        )
    return numbers


def _shown(units: npt.NDArray[Any], known: Bools) -> Bools:
    """True where an action unit is active, among the cells that have a label; checked."""
    if missing := int(np.count_nonzero(known & ~(units >= 0))):
        raise _unanswered(missing)
    strange = known & (units != 0) & (units != 1)
    if strange.any():
        raise ValueRangeError(
            expected='0 or 1 for each action unit', came=f'{units[strange][0]}',
            todo='decide scores by a threshold first',
        )  # fmt: skip
    return np.asarray(known & (units == 1))


def _unanswered(count: int) -> ValueRangeError:
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


def _over(top: Floats, bottom: Floats) -> Floats:
    quotient: Floats = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return quotient
