"""Predictions for every frame of whole videos: windows are predicted, and averaged where they overlap.

Probabilities are averaged, not logits; valence and arousal are clipped to [-1, 1] at the end. A frame that is masked in
every modality is predicted too, from its neighbours, with a `keep_mask` of False.

N videos, B windows, T frames, C classes, U action units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from affekt.arrays import Bools, Floats32
from affekt.frames import FrameLabels, OverlapAverage, OverlapWeights, Smoothing, windows_over
from affekt.metrics import affect_ccc, expression_f1, unit_f1
from affekt.sequence_models.inputs import FrameVideos
from affekt.sequence_models.settings import FrameTrainingSettings

OFFICIAL_SCORES = {'expression': 'expression_f1', 'affect': 'affect_ccc', 'units': 'unit_f1'}
"""Field of `FrameLabels` to the name of its official score."""
SCORES = {'expression': expression_f1, 'affect': affect_ccc, 'units': unit_f1}


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """The predictions for the frames of one video; the last axis is empty if a task is absent."""

    video: str
    expression: Floats32
    """(T, C) probabilities of the expressions."""
    affect: Floats32
    """(T, 2) valence and arousal in [-1, 1]."""
    units: Floats32
    """(T, U) probabilities of the action units."""
    keep_mask: Bools
    """(T,) bool, False where all modalities are masked, so that the prediction comes from other frames."""
    spread: Floats32
    """(T,) mean of the standard deviations of valence and arousal among the predicting models; nan for a single one."""

    def __len__(self) -> int:
        return len(self.keep_mask)

    def __repr__(self) -> str:
        tasks = [task for task in OFFICIAL_SCORES if getattr(self, task).shape[1]]
        return f'FramePrediction({self.video!r}, {len(self):,} frames, {", ".join(tasks)})'

    def smoothed(self, smoothing: Mapping[str, Smoothing]) -> FramePrediction:
        """The prediction smoothed over time, each task by its own smoothing."""
        curves = {task: smooth(getattr(self, task)) for task, smooth in smoothing.items()}
        return self.with_curves(curves)

    def with_curves(self, curves: Mapping[str, npt.NDArray[Any]]) -> FramePrediction:
        """The prediction with other curves of the same shape for some tasks."""
        arrays: dict[str, Any] = {task: curve.astype(np.float32) for task, curve in curves.items()}
        return replace(self, **arrays)

    def labels(self, partition: str = 'test', *, threshold: float = 0.5) -> FrameLabels:
        """Decisions as labels: the most probable class, the values, and units at or above the threshold."""
        return FrameLabels(
            self.video, partition, frames=len(self),
            expression=self.expression.argmax(axis=1).astype(np.int8) if self.expression.shape[1] else None,
            affect=self.affect if self.affect.shape[1] else None,
            units=(self.units >= threshold).astype(np.int8) if self.units.shape[1] else None,
        )  # fmt: skip


Predictions = Mapping[str, FramePrediction]
"""Video to its prediction."""


def predict_frames(
    model: nn.Module,
    videos: FrameVideos,
    *,
    window: int,
    stride: int,
    overlap: OverlapWeights = 'tapered',
    batch_size: int = 16,
    dropout: bool = False,
) -> dict[str, FramePrediction]:
    """A model's predictions for every frame of every video; empty for a video without frames.

    Args:
        model: model of frames in either mode; its mode and device stay the same.
        videos: videos to predict; any labels are not read.
        window: length of a window in frames, see `affekt.frames.windows_over`.
        stride: frames between window starts.
        overlap: weighting of a window's frames where windows overlap.
        batch_size: windows per batch.
        dropout: use dropout as in training, with torch's global generator.
    """
    windows = sorted(windows_over(videos.lengths, window, stride), key=len)  # similar lengths need little padding
    device = next((parameter.device for parameter in model.parameters()), torch.device('cpu'))
    sums: dict[str, _WindowSum] = {}
    sizes = [0, 0, 0]
    with _in_mode(model, dropout), torch.no_grad():
        for start in range(0, len(windows), batch_size):
            chunk = windows[start : start + batch_size]
            batch = videos.batch(chunk)
            features = {name: value.to(device) for name, value in batch.features.items()}
            predicted = model(features, {name: mask.to(device) for name, mask in batch.keep_mask.items()})
            outputs = (predicted.logits.softmax(dim=2), predicted.values, predicted.units.sigmoid())
            arrays = [output.float().cpu().numpy() for output in outputs]
            sizes = [output.shape[2] for output in arrays]
            for index, each in enumerate(chunk):
                if each.video not in sums:
                    sums[each.video] = _WindowSum(videos.lengths[each.video], sizes, overlap)
                sums[each.video].add(each.begin, [output[index, : len(each)] for output in arrays])
    video_sums = {name: sums.get(name) or _WindowSum(0, sizes, overlap) for name in videos.names}
    return {name: each.prediction(name, _kept_in_any(videos, name)) for name, each in video_sums.items()}


def predict_as_trained(
    model: nn.Module, videos: FrameVideos, settings: FrameTrainingSettings, *, dropout: bool = False
) -> dict[str, FramePrediction]:
    """`predict_frames` with the windows of a model's training settings."""
    return predict_frames(
        model, videos, window=settings.window, stride=settings.stride, overlap=settings.overlap,
        batch_size=settings.batch_size, dropout=dropout,
    )  # fmt: skip


@contextmanager
def _in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """The model in training or evaluation mode; afterwards in the one before."""
    previous = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(previous)


class _WindowSum:
    """The sum of the predictions of one video's windows."""

    def __init__(self, length: int, sizes: Sequence[int], overlap: OverlapWeights) -> None:
        self._sizes = sizes
        self._average = OverlapAverage(length, sum(sizes), overlap)

    def add(self, begin: int, outputs: Sequence[Floats32]) -> None:
        """Add the predictions of one window: three arrays of (T, size)."""
        self._average.add(begin, np.concatenate(outputs, axis=1))

    def prediction(self, video: str, keep_mask: Bools) -> FramePrediction:
        """The average of the windows as a prediction."""
        expression, affect, units = np.split(self._average.result(), np.cumsum(self._sizes)[:-1], axis=1)
        affect = np.clip(affect, np.float32(-1), np.float32(1))
        no_spread = np.full(len(affect), np.nan, dtype=np.float32)
        return FramePrediction(video, expression, affect, units, keep_mask, no_spread)


def mean_prediction(members: Sequence[FramePrediction]) -> FramePrediction:
    """The mean of several models' predictions for one video; `spread` is their standard deviation.

    Args:
        members: predictions for one video, of the same length and tasks; at least one.
    """
    first = members[0]
    if len(members) == 1:
        return first
    means = {
        task: np.asarray(np.mean([getattr(member, task) for member in members], axis=0, dtype=np.float64))
        for task in OFFICIAL_SCORES
    }
    deviations = np.std([member.affect for member in members], axis=0, dtype=np.float64)  # (T, 2)
    spread = deviations.mean(axis=1) if first.affect.shape[1] else np.zeros(len(first))
    keep = np.any([member.keep_mask for member in members], axis=0)
    return replace(first.with_curves(means), keep_mask=keep, spread=spread.astype(np.float32))


def official_scores(
    labels: Sequence[FrameLabels], predictions: Predictions, tasks: Sequence[str], classes: int = 8
) -> dict[str, float]:
    """The official score of each task on all labelled frames together, and `score`, their sum.

    Args:
        labels: labels of the videos to score.
        predictions: predictions for at least these videos.
        tasks: fields of `FrameLabels`.
        classes: number of expressions.

    Returns:
        Scores by name; nan if no frame has a label, or the score is undefined.
    """
    scores: dict[str, float] = {}
    for task in tasks:
        labelled = [video_labels for video_labels in labels if getattr(video_labels, task) is not None]
        predicted = [getattr(predictions[video_labels.video].labels(), task) for video_labels in labelled]
        truth = [getattr(video_labels, task) for video_labels in labelled]
        options = {'classes': classes} if task == 'expression' else {}
        scores[OFFICIAL_SCORES[task]] = float(SCORES[task](truth, predicted, **options)) if labelled else float('nan')
    return scores | {'score': sum(scores.values())}


def _kept_in_any(videos: FrameVideos, name: str) -> Bools:
    """(T,) frames of a video that are kept in at least one modality."""
    start = videos.starts[name]
    rows = slice(start, start + videos.lengths[name])
    masks: Bools = torch.stack([mask[rows] for mask in videos.keep_mask.values()]).any(dim=0).numpy()
    return masks
