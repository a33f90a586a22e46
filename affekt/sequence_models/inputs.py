"""Videos with labels and features on one clock, as tensors, and windows of them as batches.

`FrameVideos`, made by `frame_videos`, has all frames of all videos concatenated, so that a window is a range of rows.
Each modality has its own mask: frames before, after or between its rows, and whole videos that lack it, are masked.

N videos, F frames of all, B windows of a batch, T frames of the longest of them, D columns, U action units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.frames import CLOCK_METHODS, ClockMethod, FrameLabels, Window
from affekt.sequence_models.rows import FrameRows, NeighbourRows
from affekt.training import IndexBatches

FrameClock = Literal[ClockMethod, 'learned']
FRAME_CLOCKS: dict[str, str] = {
    **CLOCK_METHODS,
    'learned': 'what a convolution that is learnt with the model makes of it',
}
"""Name of a clock to its rule for the features of a frame."""


@dataclass(frozen=True)
class Alignment:
    """Settings of resampling features to the frames; a model needs videos aligned as in its training.

    Args:
        methods: modality to one of `FRAME_CLOCKS`; linear if not named.
        longest_gap_s: see `affekt.frames.on_clock`.
        of_recording: modalities that two people of one recording share.
        neighbours: K, rows around a frame that a learned clock reads.
    """

    methods: Mapping[str, FrameClock] = field(default_factory=dict)
    longest_gap_s: float | None = None
    of_recording: tuple[str, ...] = field(default=(), compare=False)
    neighbours: int = 8

    @property
    def learned(self) -> dict[str, int]:
        """Modality to K, for those with a learned clock."""
        return {name: self.neighbours for name, method in self.methods.items() if method == 'learned'}


class WindowBatch(NamedTuple):
    """Input of a training step; frames after the end of a short window are masked and have no truth."""

    features: dict[str, Tensor]
    """(B, T, D) of each modality; (B, T, K, D + 1) of those with a learned clock."""
    keep_mask: dict[str, Tensor]
    """(B, T) bool of each modality, True where kept."""
    expression: Tensor
    """(B, T) index of the class, -1 where unknown."""
    affect: Tensor
    """(B, T, 2) valence and arousal, nan where unknown."""
    units: Tensor
    """(B, T, U) 1 where the unit is active, else 0; -1 where unknown."""
    weights: Tensor
    """(B, T) weight of each frame's truth: 1, less for a pseudo-label."""


@dataclass(frozen=True, eq=False)
class FrameVideos:
    """N concatenated videos.

    Args:
        labels: labels of each video, in the order of the rows.
        features: modality to a row for each frame, 0 where masked, or to the rows around it.
        keep_mask: modality to (F,) bool.
        weights: (F,) weight of each frame's truth.
        guessed: videos with pseudo-labels.
        alignment: settings of the resampling of features to the frames.

    Raises:
        ShapeError: features and labels differ in their number of frames.
        UnknownNameError: a video occurs twice.
    """

    labels: tuple[FrameLabels, ...]
    features: Mapping[str, FrameRows | NeighbourRows] = field(repr=False)
    keep_mask: Mapping[str, Tensor] = field(repr=False)
    weights: Tensor = field(repr=False)
    guessed: frozenset[str] = frozenset()
    alignment: Alignment = field(default_factory=Alignment)

    def __post_init__(self) -> None:
        frames = sum(video_labels.frames for video_labels in self.labels)
        rows = {name: len(value) for name, value in self.features.items()} | {'weights': len(self.weights)}
        if set(rows.values()) != {frames} or set(self.keep_mask) != set(self.features):
            raise ShapeError(
                expected=f'{frames:,} rows of every modality, a mask for each', came=str(rows),
                todo='build them with `frame_videos`',
            )  # fmt: skip
        if len(set(self.names)) < len(self.labels):
            raise UnknownNameError(
                expected='each video once', came=listed(self.names), todo='leave out those that stand twice'
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        sizes = ', '.join(f'{name} {size}' for name, size in self.sizes.items())
        return f'FrameVideos({len(self):,} videos, {len(self.weights):,} frames, {sizes})'

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos."""
        return tuple(video_labels.video for video_labels in self.labels)

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Video to its number of frames."""
        return {video_labels.video: video_labels.frames for video_labels in self.labels}

    @property
    def sizes(self) -> dict[str, int]:
        """Modality to D."""
        return {name: value.shape[1] for name, value in self.features.items()}

    @cached_property
    def starts(self) -> dict[str, int]:
        """Video to its first row."""
        ends = np.cumsum([video_labels.frames for video_labels in self.labels]).tolist()
        return dict(zip(self.names, [0, *ends[:-1]], strict=True)) if ends else {}

    @cached_property
    def expression(self) -> Tensor:
        """(F,) int64 class, -1 where unknown."""
        return torch.from_numpy(_joined(self.labels, 'expression', (), -1).astype(np.int64))

    @cached_property
    def affect(self) -> Tensor:
        """(F, 2) float32 valence and arousal, nan where unknown."""
        return torch.from_numpy(_joined(self.labels, 'affect', (2,), np.nan).astype(np.float32))

    @cached_property
    def units(self) -> Tensor:
        """(F, U) int8 action units, -1 where unknown; U of the first video that has some."""
        widths = {video_labels.units.shape[1] for video_labels in self.labels if video_labels.units is not None}
        if len(widths) > 1:
            raise ShapeError(
                expected='as many action units in every video', came=f'{sorted(widths)}', todo='choose one list of them'
            )
        return torch.from_numpy(_joined(self.labels, 'units', (widths.pop() if widths else 0,), -1).astype(np.int8))

    def batch(self, windows: Sequence[Window]) -> WindowBatch:
        """Windows as one batch, the shorter ones padded at their ends.

        Raises:
            ValueRangeError: there is no window, or one exceeds its video or is empty.
            UnknownNameError: a window is of another video.
        """
        self._require_windows(windows)
        lengths = torch.tensor([len(window) for window in windows])
        starts = torch.tensor([self.starts[window.video] + window.begin for window in windows])
        steps = torch.arange(int(lengths.max()))
        is_inside = steps < lengths.unsqueeze(1)  # (B, T)
        rows = (starts.unsqueeze(1) + steps).clamp(max=len(self.weights) - 1)
        is_outside = ~is_inside
        return WindowBatch(
            {name: _rows_of(value, rows, is_outside) for name, value in self.features.items()},
            {name: mask[rows] & is_inside for name, mask in self.keep_mask.items()},
            self.expression[rows].masked_fill_(is_outside, -1),
            self.affect[rows].masked_fill_(is_outside.unsqueeze(2), torch.nan),
            self.units[rows].masked_fill_(is_outside.unsqueeze(2), -1),
            self.weights[rows].masked_fill_(is_outside, 0),
        )

    def _require_windows(self, windows: Sequence[Window]) -> None:
        if strange := [window.video for window in windows if window.video not in self.starts]:
            raise UnknownNameError(
                expected=f'windows of {listed(self.names)}', came=f'of {listed(strange)}', todo='cut them of these'
            )
        wrong = [window for window in windows if not 0 <= window.begin < window.end <= self.lengths[window.video]]
        if wrong or not windows:
            raise ValueRangeError(
                expected='windows within their videos, of one frame or more', came=str(wrong[0]) if wrong else 'none',
                todo='cut them with `windows_over`',
            )  # fmt: skip

    def take(self, names: Iterable[str]) -> FrameVideos:
        """A selection of videos, in this order; features are shared, not copied.

        Raises:
            UnknownNameError: unknown video.
        """
        names = tuple(names)
        by_name = {video_labels.video: video_labels for video_labels in self.labels}
        if unknown := [name for name in names if name not in by_name]:
            raise UnknownNameError(
                expected=f'videos among {listed(self.names)}', came=listed(unknown), todo='name those that are there'
            )
        spans = [torch.arange(self.starts[name], self.starts[name] + by_name[name].frames) for name in names]
        rows = torch.cat(spans) if spans else torch.arange(0)
        return FrameVideos(
            tuple(by_name[name] for name in names),
            {name: value.take(rows) for name, value in self.features.items()},
            {name: mask[rows] for name, mask in self.keep_mask.items()},
            self.weights[rows],
            self.guessed & set(names),
            self.alignment,
        )

    def joined(self, other: FrameVideos) -> FrameVideos:
        """The videos joined with others that have the same features.

        Raises:
            ShapeError: modalities, their sizes or their alignment differ.
        """
        require_same_features(self.sizes, self.alignment, other)
        return FrameVideos(
            self.labels + other.labels,
            {name: _concatenated(value, other.features[name]) for name, value in self.features.items()},
            {name: torch.cat([mask, other.keep_mask[name]]) for name, mask in self.keep_mask.items()},
            torch.cat([self.weights, other.weights]),
            self.guessed | other.guessed,
            self.alignment,
        )

    def relabelled(self, labels: Sequence[FrameLabels], weights: Tensor) -> FrameVideos:
        """The same videos with pseudo-labels.

        Args:
            labels: labels of the same videos in the same order.
            weights: (F,) weight of each pseudo-label.
        """
        return replace(self, labels=tuple(labels), weights=weights, guessed=frozenset(self.names))


def require_same_features(sizes: Mapping[str, int], alignment: Alignment, videos: FrameVideos) -> None:
    """Require that the videos have features of these sizes and this alignment.

    Raises:
        ShapeError: sizes or alignment differ.
    """
    if videos.sizes != dict(sizes):
        raise ShapeError(
            expected=f'features {dict(sizes)}', came=f'{videos.sizes}',
            todo='extract the same features of all videos',
        )  # fmt: skip
    if videos.alignment != alignment:
        raise ShapeError(
            expected=f'features aligned by {alignment}', came=f'{videos.alignment}',
            todo='give `frame_videos` the same methods for all videos',
        )  # fmt: skip


class WindowBatches:
    """Batches of windows without end, in a new order each epoch that depends on the seed alone.

    Args:
        videos: the videos.
        windows: windows of these; those without a kept frame or without truth may be omitted.
        batch_size: windows per batch of one process; fewer if there are fewer windows.
        seed: seed of the order.
        rank: index of this process, from 0.
        ranks: number of processes.
    """

    def __init__(
        self, videos: FrameVideos, windows: Sequence[Window], batch_size: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        size = min(batch_size, max(1, len(windows) // ranks))
        self._videos, self._windows = videos, tuple(windows)
        self._order = IndexBatches(len(windows), size, seed, rank=rank, ranks=ranks)
        self.per_epoch = self._order.per_epoch
        """Batches per epoch; the rest that fills none is left out, another one each epoch."""

    def __iter__(self) -> Iterator[WindowBatch]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[WindowBatch]:
        """The batches after the first `batches`, which are not loaded."""
        for index in self._order.starting_at(batches):
            yield self._videos.batch([self._windows[number] for number in index.tolist()])


def _joined(labels: Sequence[FrameLabels], task: str, shape: tuple[int, ...], absent: float) -> npt.NDArray[Any]:
    """(F, ...) labels of one task, `absent` for a video without any."""
    parts = [
        np.full((video.frames, *shape), absent) if getattr(video, task) is None else getattr(video, task)
        for video in labels
    ]  # fmt: skip
    return np.concatenate([np.zeros((0, *shape)), *parts])


def _rows_of(value: FrameRows | NeighbourRows, rows: Tensor, outside: Tensor) -> Tensor:
    """(B, T, ...) values of frames by index, 0 outside the video."""
    values = value[rows].float()
    return values.masked_fill_(outside.reshape(*outside.shape, *[1] * (values.ndim - 2)), 0)


def _concatenated(first: FrameRows | NeighbourRows, second: FrameRows | NeighbourRows) -> FrameRows | NeighbourRows:
    """The frames of both, which have the same alignment."""
    if isinstance(first, NeighbourRows):
        assert isinstance(second, NeighbourRows)
        return first.joined(second)
    assert isinstance(second, FrameRows)
    return first.joined(second)
