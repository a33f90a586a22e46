"""Alignment of labels and features with any timestamps to the frames of each video.

N videos, F frames of all, T of one, D columns, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Floats
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.features import Features
from affekt.files import storage_error
from affekt.frames import FrameLabels, frame_clock, neighbours, on_clock, recording_of
from affekt.sequence_models.inputs import FRAME_CLOCKS, Alignment, FrameClock, FrameVideos
from affekt.sequence_models.rows import FrameRows, NeighbourRows

Clock = float | Mapping[str, float | Floats]
"""Frames per second of all videos, or of each video by name; or the times of a video's frames in seconds."""


class FeatureSource(Protocol):
    """Features by name of a video: an `affekt.features.Store`, or a mapping to `Features`."""

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
    around: int = 8,
    keep_in: Path | None = None,
    sizes: Mapping[str, int] | None = None,
) -> FrameVideos:
    """Align labels and features to the frames of each video.

    Args:
        labels: labels of each video, such as a `FrameTable`; they may all be None if nothing is known.
        features: modality to a source. A video that a source lacks is masked in that modality.
        clock: the times of frames, see `Clock`; frame t is at (t - 1) / rate. Labels after the last of given times
            stay, with features masked there; frames after the last label are left out.
        methods: method by which each modality is resampled to the frames, one of `FRAME_CLOCKS`.
        longest_gap_s: see `affekt.frames.on_clock`.
        of_recording: modalities, such as audio, that two people of one recording share: if `video59_left` has no
            features, those of `video59` are used.
        around: K, even: number of rows around a frame that a learned clock reads; about four times the rows per frame.
        keep_in: folder for aligned features that do not fit in memory, which are then memory-mapped from it; files of
            an earlier call are replaced.
        sizes: modality to D, where known: a modality without any of the videos is then masked everywhere.

    Raises:
        ValueRangeError: a feature is not finite (the message names it, the video and the row), or a modality of unknown
            size lacks all videos.
        ShapeError: the number of rows without times differs from that of frames, or features of a modality differ in
            size.
        StorageError: the folder cannot be written, as on a full disk.
        UnknownNameError: the clock lacks a video, or a method is given for an unknown modality.
    """
    all_labels = tuple(labels)
    _require_known(features, methods, of_recording, around)
    by_name = {name: methods if isinstance(methods, str) else methods.get(name, 'linear') for name in features}
    alignment = Alignment(
        by_name, longest_gap_s, tuple(name for name in features if name in of_recording), around
    )  # fmt: skip
    times = {video_labels.video: _frame_times(video_labels, clock) for video_labels in all_labels}
    frames = torch.arange(sum(video_labels.frames for video_labels in all_labels))
    rows: dict[str, FrameRows | NeighbourRows] = {}
    masks: dict[str, Tensor] = {}
    for number, (name, source) in enumerate(features.items(), 1):
        feature_rows = _FeatureRows(
            name, frames, alignment, None if keep_in is None else keep_in / f'feature{number}.npy'
        )
        for start, video_labels in zip(_starts(all_labels), all_labels, strict=True):
            key = _key(video_labels.video, source, name in alignment.of_recording)
            if key is not None and video_labels.frames:
                feature_rows.put(start, times[video_labels.video], source[key], getattr(source, 'path', None))
        if feature_rows.columns == 0 and sizes and name in sizes:
            feature_rows.require_columns(sizes[name])
        if feature_rows.columns == 0:
            raise ValueRangeError(
                expected=f'{name} of at least one of the videos {listed(times)}', came='none',
                todo='check that samples are named as the videos are, or leave that modality out',
            )  # fmt: skip
        rows[name], masks[name] = feature_rows.rows(), feature_rows.keep_mask
    return FrameVideos(all_labels, rows, masks, torch.ones(len(frames)), alignment=alignment)


class _FeatureRows:
    """One feature of all videos, concatenated.

    Args:
        name: name of the feature.
        frames: (F,) indices of the frames.
        alignment: settings of the resampling to the frames.
        path: path of a file for its rows; None for memory.
    """

    def __init__(self, name: str, frames: Tensor, alignment: Alignment, path: Path | None) -> None:
        self._name, self._frames, self._alignment, self._path = name, frames, alignment, path
        self.keep_mask = torch.zeros(len(frames), dtype=torch.bool)
        self.columns = 0
        self._stored = torch.zeros(0, 0)
        self._neighbour_rows: list[Tensor] = []
        self._index = torch.zeros(0, 0, dtype=torch.int64)
        self._distances = torch.zeros(0, 0)

    def put(self, start: int, times: Floats, feature: Features, path: Path | None) -> None:
        """Add the feature of one video, whose first frame is `start`; `path` is that of its store, if any."""
        method, origin = self._alignment.methods[self._name], f' in {path}' if path else ''
        aligned = on_clock(
            feature.values, feature.times, times, 'nearest' if method == 'learned' else method,
            longest_gap_s=self._alignment.longest_gap_s, source=f'{self._name} of {feature.sample}{origin}',
        )  # fmt: skip
        self.require_columns(aligned.values.shape[1], feature.sample)
        frames = slice(start, start + len(times))
        self.keep_mask[frames] = torch.from_numpy(aligned.keep_mask)
        if method != 'learned':
            self._stored[frames] = torch.from_numpy(aligned.values)
            return
        row_times = times if feature.times is None else np.asarray(feature.times, dtype=np.float64)
        index, distances = neighbours(row_times, times, self._alignment.neighbours)
        self._index[frames] = torch.from_numpy(index) + sum(map(len, self._neighbour_rows))
        self._distances[frames] = torch.from_numpy(distances)
        self._neighbour_rows.append(torch.from_numpy(np.array(feature.values, dtype=np.float32)))

    def rows(self) -> FrameRows | NeighbourRows:
        """The rows of all frames; zeros, or no neighbours, for a video without the feature."""
        if self._alignment.methods[self._name] != 'learned':
            return FrameRows(self._stored, self._frames)
        index = self._index.masked_fill(self._distances.isnan(), 0)
        # frames need a row to index, even if no video has any
        stored = self._neighbour_rows or [torch.zeros(1, self.columns)]
        return NeighbourRows(torch.cat(stored), index, self._distances)

    def require_columns(self, columns: int, video: str = '') -> None:
        """Allocate memory for this number of columns, or raise if it differs from that of earlier videos."""
        if self.columns == 0:
            self.columns = columns
            if self._alignment.methods[self._name] == 'learned':
                shape = (len(self._frames), self._alignment.neighbours)
                self._index, self._distances = torch.zeros(shape, dtype=torch.int64), torch.full(shape, torch.nan)
            else:
                self._stored = _zeros(len(self._frames), columns, self._path)
        if columns != self.columns:
            raise ShapeError(
                expected=f'{self.columns} columns of {self._name} in every video', came=f'{columns} in {video}',
                todo='extract it by one recipe',
            )  # fmt: skip


def _zeros(frames: int, columns: int, path: Path | None) -> Tensor:
    """(frames, columns) zeros, in memory or mapped from a new file."""
    if path is None:
        return torch.zeros(frames, columns)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a process that still maps the old file keeps it
        return torch.from_numpy(np.lib.format.open_memmap(path, 'w+', np.float32, (frames, columns)))
    except OSError as error:
        raise storage_error(error, path) from error


def _starts(labels: Sequence[FrameLabels]) -> list[int]:
    """The first row of each video."""
    return [0, *accumulate(video_labels.frames for video_labels in labels)][: len(labels)]


def _key(video: str, source: FeatureSource, is_shared: bool) -> str | None:
    """Name of a video in a source; None if the source lacks it."""
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
    times = np.asarray(times, dtype=np.float64)
    if not times.ndim:
        return frame_clock(labels.frames, float(times))
    missing = labels.frames - len(times)
    if missing > 0:  # labels continue after the video: masked there
        step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        times = np.concatenate([times, (times[-1] if len(times) else 0.0) + step * np.arange(1, missing + 1)])
    return times[: labels.frames]


def _require_known(
    features: Mapping[str, FeatureSource],
    methods: FrameClock | Mapping[str, FrameClock],
    of_recording: Sequence[str],
    neighbours: int,
) -> None:
    named_modalities = {*of_recording, *(methods if not isinstance(methods, str) else ())}
    if not features or (unknown := sorted(named_modalities - set(features))):
        raise UnknownNameError(
            expected=f'modalities among {listed(features) or "one or more"}',
            came=listed(unknown) if features else 'none', todo='name those that have features',
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
