"""Frame-level predictions without a model of time: a constant, the mean of training, and readings of the face.

All are `FramePrediction`s, so that they are scored, smoothed and shown like those of trained models. T frames, C
classes, U action units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from affekt.arrays import Bools, Floats, Floats32
from affekt.errors import UnknownNameError, listed
from affekt.frames import ACTION_UNITS, EXPRESSIONS, UNIT_SHAPES, FrameLabels, unit_amounts
from affekt.labels import EKMAN
from affekt.sequence_models.inputs import FrameVideos
from affekt.sequence_models.predicting import FramePrediction


def constant_predictions(
    training: Sequence[FrameLabels], videos: FrameVideos, tasks: Sequence[str], classes: int = len(EXPRESSIONS)
) -> dict[str, FramePrediction]:
    """The most frequent class, valence and arousal of 0, and every unit active, which gives the best F1 of a constant.

    Args:
        training: labels whose classes are counted.
        videos: videos to predict.
        tasks: fields of `FrameLabels`.
        classes: number of expressions.
    """
    means = _means(training, classes)
    most_frequent = np.eye(classes)[int(means['expression'].argmax())]
    return _same(
        videos, tasks, {'expression': most_frequent, 'affect': np.zeros(2), 'units': np.ones_like(means['units'])}
    )


def mean_predictions(
    training: Sequence[FrameLabels], videos: FrameVideos, tasks: Sequence[str], classes: int = len(EXPRESSIONS)
) -> dict[str, FramePrediction]:
    """The share of each class, the mean valence and arousal, and the share of each unit.

    Args:
        training: labels from which the means are computed.
        videos: videos to predict.
        tasks: fields of `FrameLabels`.
        classes: number of expressions.
    """
    return _same(videos, tasks, _means(training, classes))


def read_predictions(
    videos: FrameVideos,
    columns: Mapping[str, Sequence[str]],
    tasks: Sequence[str],
    action_units: Sequence[str] = ACTION_UNITS,
    classes: int = len(EXPRESSIONS),
) -> dict[str, FramePrediction]:
    """The readings of `affekt.faces` for each frame, without any training.

    Expressions are those of the expression head, which has no other classes; valence and arousal are derived from them
    (`affekt.faces.affect`); units follow from blendshapes (`affekt.frames.unit_amounts`), a probability of one half
    where the amount reaches that at which they are active. A frame without a face gets the reading of the nearest frame
    with one; a video without any face is neutral.

    Args:
        videos: videos to predict.
        columns: modality to names of its columns; one modality must have those of `faces-all-frm` or `faces-frm`.
        tasks: fields of `FrameLabels`.
        action_units: names of the requested units.
        classes: number of expressions.

    Raises:
        UnknownNameError: no modality has the columns, or a unit is none of ACTION_UNITS.
    """
    from affekt.faces import affect

    modality = reading_modality(columns)
    if modality is None or not set(action_units) <= set(ACTION_UNITS):
        raise UnknownNameError(
            expected=f'columns of faces-all-frm and action units among {listed(ACTION_UNITS)}',
            came=f'{listed(columns)}, {listed(action_units)}', todo='extract that recipe, or leave readings out',
        )  # fmt: skip
    names = list(columns[modality])
    expression_columns = [names.index(name) for name in EKMAN]
    shapes = {name: names.index(name) for name in UNIT_SHAPES}
    units = [ACTION_UNITS.index(name) for name in action_units]
    predictions = {}
    for video in videos.names:
        rows, keep = _rows(videos, modality, video)
        values = _filled(rows, keep)
        shares = values[:, expression_columns] / np.maximum(
            values[:, expression_columns].sum(axis=1, keepdims=True), 1e-9
        )
        if not keep.any():
            shares = np.tile(np.eye(len(EKMAN))[EKMAN.index('neutral')], (len(values), 1))
        expression = np.zeros((len(values), classes))
        for index, name in enumerate(EKMAN):
            expression[:, EXPRESSIONS.index(name.capitalize())] = shares[:, index]
        parts = {
            'expression': expression,
            'affect': np.stack(affect(shares), axis=1),
            'units': np.clip(unit_amounts({name: values[:, column] for name, column in shapes.items()}) / 2, 0, 1)[
                :, units
            ],
        }
        predictions[video] = _prediction(video, parts, tasks, keep)
    return predictions


def reading_modality(columns: Mapping[str, Sequence[str]]) -> str | None:
    """The modality whose columns include the readings of a face."""
    return next((name for name, names in columns.items() if {*EKMAN, *UNIT_SHAPES} <= set(names)), None)


def _means(training: Sequence[FrameLabels], classes: int) -> dict[str, Floats]:
    """The mean of each task over all labelled frames; a uniform distribution, or 0, without any."""
    counts = np.zeros(classes)
    affect: list[npt.NDArray[Any]] = [np.zeros((0, 2))]
    units: list[npt.NDArray[Any]] = []
    for labels in training:
        if labels.expression is not None:
            counts += np.bincount(labels.expression[labels.expression >= 0], minlength=classes)
        if labels.affect is not None:
            affect.append(labels.affect[labels.labelled('affect')])
        if labels.units is not None:
            units.append(labels.units[labels.labelled('units')])
    values, active = np.concatenate(affect), np.concatenate(units) if units else np.zeros((0, 0))
    return {
        'expression': counts / counts.sum() if counts.any() else np.full(classes, 1 / classes),
        'affect': values.mean(axis=0) if len(values) else np.zeros(2),
        'units': active.mean(axis=0) if len(active) else np.zeros(active.shape[1]),
    }


def _same(videos: FrameVideos, tasks: Sequence[str], means: Mapping[str, Floats]) -> dict[str, FramePrediction]:
    predictions = {}
    for labels in videos.labels:
        parts = {task: np.tile(row, (labels.frames, 1)) for task, row in means.items()}
        predictions[labels.video] = _prediction(labels.video, parts, tasks, np.ones(labels.frames, dtype=bool))
    return predictions


def _prediction(video: str, parts: Mapping[str, Floats], tasks: Sequence[str], keep: Bools) -> FramePrediction:
    count = len(keep)
    arrays = {
        task: parts[task].astype(np.float32) if task in tasks else np.zeros((count, 0), np.float32)
        for task in ('expression', 'affect', 'units')
    }
    return FramePrediction(video, **arrays, keep_mask=keep, spread=np.full(count, np.nan, np.float32))


def _rows(videos: FrameVideos, modality: str, video: str) -> tuple[Floats32, Bools]:
    start = videos.starts[video]
    rows = slice(start, start + videos.lengths[video])
    with torch.no_grad():
        return videos.features[modality][rows].numpy(), videos.keep_mask[modality][rows].numpy()


def _filled(rows: Floats32, keep: Bools) -> Floats:
    """(T, D) with masked rows replaced by the nearest kept row."""
    kept = np.flatnonzero(keep)
    if not len(kept):
        return np.zeros(rows.shape)
    frames = np.arange(len(rows))
    after = np.clip(np.searchsorted(kept, frames), 0, len(kept) - 1)
    before = np.clip(after - 1, 0, None)
    is_nearer = np.abs(kept[before] - frames) <= np.abs(kept[after] - frames)
    return np.asarray(rows[np.where(is_nearer, kept[before], kept[after])], dtype=np.float64)
