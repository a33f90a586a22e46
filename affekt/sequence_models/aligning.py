"""Labels and features of any clock, brought together at the frames of each video.

N videos, F frames of all, T of one, D columns, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Bools, Floats, Floats32
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.features import Features
from affekt.frames import FrameLabels, frame_clock, neighbours, on_clock, recording_of
from affekt.sequence_models.clock import NeighbourRows
from affekt.sequence_models.inputs import FRAME_CLOCKS, Alignment, FrameClock, FrameVideos

Clock = float | Mapping[str, float | Floats]
"""Frames per second of all videos; or of each by name, or the times of its frames in seconds."""


class FeatureSource(Protocol):
    """Features by the name of a video, as `affekt.features.Store` has them, or a mapping to `Features`."""

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Features: ...


def frame_videos(
    labels: Iterable[FrameLabels],
    features: Mapping[str, FeatureSource],
    clock: Clock,
    *,
    methods: FrameClock | Mapping[str, FrameClock] = 'linear',
    longest_gap_s: float | None = None,
    of_recording: Sequence[str] = (),
    neighbours: int = 8,
) -> FrameVideos:
    """Labels and features brought to the frames of each video.

    Args:
        labels: one for each video; a `FrameTable` will do. Labels may all be None where nothing is known.
        features: modality to a source. A video that a source lacks is not kept there.
        clock: the times of frames, see `Clock`; frame t is at (t - 1) / rate.
        methods: how each modality is brought to the frames, one of `FRAME_CLOCKS`.
        longest_gap_s: see `affekt.frames.on_clock`.
        of_recording: modalities, such as sound, that two people of one recording share: where `video59_left` has no
            features, those of `video59` are taken.
        neighbours: K, even: rows around a frame that a learned clock reads; about four for each frame's own.

    Raises:
        ValueRangeError: a feature is not finite (the message names it, the video and the row), or a modality has none
            of the videos.
        ShapeError: rows without times are not as many as frames, or a feature changes its size.
        UnknownNameError: the clock lacks a video, or a method is named for no modality.
    """
    every = tuple(labels)
    _require_known(features, methods, of_recording, neighbours)
    by_name = {name: methods if isinstance(methods, str) else methods.get(name, 'linear') for name in features}
    alignment = Alignment(
        by_name, longest_gap_s, tuple(name for name in features if name in of_recording), neighbours
    )  # fmt: skip
    times = {each.video: _frame_times(each, clock) for each in every}
    frames = sum(each.frames for each in every)
    rows: dict[str, Tensor | NeighbourRows] = {}
    masks: dict[str, Tensor] = {}
    for name, source in features.items():
        parts = [_Part.of(each, name, source, times[each.video], alignment) for each in every]
        rows[name] = _in_one_line(name, every, parts, frames)
        masks[name] = torch.zeros(frames, dtype=torch.bool)
        for begin, part in zip(_begins(every), parts, strict=True):
            if part is not None:
                masks[name][begin : begin + len(part.keep_mask)] = torch.from_numpy(part.keep_mask)
    return FrameVideos(every, rows, masks, torch.ones(frames), alignment=alignment)


@dataclass(frozen=True)
class _Part:
    """A feature of one video."""

    values: Floats32
    """(T, D) on the frames; of a learned clock (R, D) as it came."""
    keep_mask: Bools
    """(T,)"""
    around: NeighbourRows | None = None

    @classmethod
    def of(
        cls, labels: FrameLabels, name: str, source: FeatureSource, times: Floats, alignment: Alignment
    ) -> _Part | None:
        """None where the source lacks the video, or it has no frame."""
        key = _key(labels.video, source, name in alignment.of_recording)
        if key is None or not labels.frames:
            return None
        feature, method = source[key], alignment.methods[name]
        aligned = on_clock(
            feature.values, feature.times, times, 'nearest' if method == 'learned' else method,
            longest_gap_s=alignment.longest_gap_s, source=f'{name} of {key}',
        )  # fmt: skip
        if method != 'learned':
            return cls(aligned.values, aligned.keep_mask)
        own = times if feature.times is None else np.asarray(feature.times, dtype=np.float64)
        index, distances = neighbours(own, times, alignment.neighbours)
        rows = torch.from_numpy(np.array(feature.values, dtype=np.float32))
        around = NeighbourRows(rows, torch.from_numpy(index), torch.from_numpy(distances))
        return cls(aligned.values, aligned.keep_mask, around)


def _in_one_line(
    name: str, every: Sequence[FrameLabels], parts: Sequence[_Part | None], frames: int
) -> Tensor | NeighbourRows:
    """The frames of all videos, 0 or without rows where one has none."""
    columns = {part.values.shape[1]: labels.video for labels, part in zip(every, parts, strict=True) if part}
    if not columns:
        raise ValueRangeError(
            expected=f'{name} of at least one of the videos {listed(each.video for each in every)}', came='none',
            todo='check that samples are named as the videos are, or leave that modality out',
        )  # fmt: skip
    if len(columns) > 1:
        raise ShapeError(
            expected=f'as many columns of {name} in every video',
            came=', '.join(f'{count} in {video}' for count, video in columns.items()), todo='extract it by one recipe',
        )  # fmt: skip
    wide = next(iter(columns))
    neighbours = {part.around.index.shape[1] for part in parts if part and part.around is not None}
    if neighbours:
        size = neighbours.pop()
        return NeighbourRows.joined(
            [
                part.around if part and part.around is not None else NeighbourRows.absent(each.frames, size, wide)
                for each, part in zip(every, parts, strict=True)
            ]
        )
    rows = torch.zeros(frames, wide)
    for begin, part in zip(_begins(every), parts, strict=True):
        if part is not None:
            rows[begin : begin + len(part.values)] = torch.from_numpy(part.values)
    return rows


def _begins(every: Sequence[FrameLabels]) -> list[int]:
    """The first row of each video."""
    return [0, *accumulate(each.frames for each in every)][: len(every)]


def _key(video: str, source: FeatureSource, is_shared: bool) -> str | None:
    """The name that a source has for a video; None where it lacks it."""
    if video in source:
        return video
    recording = recording_of(video)
    return recording if is_shared and recording in source else None


def _frame_times(labels: FrameLabels, clock: Clock) -> Floats:
    if not isinstance(clock, Mapping):
        return frame_clock(labels.frames, clock)
    times = clock.get(labels.video, clock.get(recording_of(labels.video)))
    if times is None:
        raise UnknownNameError(
            expected=f'the rate or the times of frames of {labels.video!r}', came=f'those of {listed(clock)}',
            todo='add it to the clock',
        )  # fmt: skip
    if not isinstance(times, np.ndarray):
        return frame_clock(labels.frames, float(times))
    if len(times) < labels.frames:
        raise ShapeError(
            expected=f'times of {labels.frames:,} frames of {labels.video!r}, as it has labels', came=f'{len(times):,}',
            todo='cut the labels to the video, or give the times of all',
        )  # fmt: skip
    return times[: labels.frames]


def _require_known(
    features: Mapping[str, FeatureSource],
    methods: FrameClock | Mapping[str, FrameClock],
    of_recording: Sequence[str],
    neighbours: int,
) -> None:
    named = {*of_recording, *(methods if not isinstance(methods, str) else ())}
    if not features or (strange := sorted(named - set(features))):
        raise UnknownNameError(
            expected=f'modalities among {listed(features) or "one or more"}',
            came=listed(strange) if features else 'none', todo='name those that have features',
        )  # fmt: skip
    for method in [methods] if isinstance(methods, str) else methods.values():
        if method not in FRAME_CLOCKS:
            raise UnknownNameError(
                expected=f'a method among {", ".join(FRAME_CLOCKS)}', came=repr(method), todo='choose one'
            )
    if neighbours < 2 or neighbours % 2:
        raise ValueRangeError(
            expected='an even number of neighbours, 2 or more', came=f'{neighbours}', todo='choose another'
        )
