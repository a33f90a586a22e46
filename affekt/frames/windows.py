"""Windows that cover every frame, merging of their predictions, and checks that no recording is in two splits.

Windows of `length` frames begin every `stride` frames; the last one ends with the video, and a shorter video is
one window. No frame is left out. Published code leaves out videos shorter than a window, and the tails
of the others.

T frames, L of a window, D columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import LeakError, ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.frames.labels import recording_and_side

OverlapWeights = Literal['flat', 'tapered']
OVERLAP_WEIGHTS: dict[str, str] = {
    'flat': 'all frames of a window count alike',
    'tapered': 'frames count less towards the ends of a window, where a model sees one side only',
}
"""Name to its description."""


@dataclass(frozen=True)
class Window:
    """Frames `begin` to `end` (exclusive) of a video, counted from 0.

    Args:
        video: its name, with the suffix of a person if there is one.
        begin: its first frame, 0 or more.
        end: the frame after its last one.
    """

    video: str
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def frames(self) -> slice:
        """Slice of the video's rows."""
        return slice(self.begin, self.end)


def recording_of(video: str) -> str:
    """The recording to which a video of one person belongs.

    >>> recording_of('video59_left'), recording_of('10-60-1280x720_right'), recording_of('left_1')
    ('video59', '10-60-1280x720', 'left_1')
    """
    return recording_and_side(video)[0]


def windows_over(lengths: Mapping[str, int], length: int, stride: int) -> tuple[Window, ...]:
    """Windows over all frames of all videos, in their order.

        begins = 0, stride, 2 stride, ... and T - length, where T > length

    Args:
        lengths: video to T; one without frames has no window.
        length: L, frames.
        stride: frames from one window to the next, at most `length`, so that no frame is skipped.

    Raises:
        ValueRangeError: a length or the stride is out of range.

    >>> [(window.begin, window.end) for window in windows_over({'a': 25, 'b': 3}, 10, 10)]
    [(0, 10), (10, 20), (15, 25), (0, 3)]
    """
    if not 1 <= stride <= length or any(count < 0 for count in lengths.values()):
        raise ValueRangeError(
            expected='windows of 1 frame or more, and a stride from 1 to their length',
            came=f'length {length}, stride {stride}', todo='correct them',
        )  # fmt: skip
    windows: list[Window] = []
    for video, count in lengths.items():
        begins = [*range(0, count - length, stride), count - length] if count > length else [0] * (count > 0)
        windows += [Window(video, begin, min(begin + length, count)) for begin in begins]
    return tuple(windows)


def overlap_weights(length: int, weights: OverlapWeights = 'flat') -> Floats:
    """(L,) weights of a window's frames where windows overlap.

    Flat is 1 everywhere. Tapered is a triangle, min(i + 1, L - i) / ceil(L / 2) at frame i: never 0, 1 in the middle.

    >>> overlap_weights(4, 'tapered').tolist(), overlap_weights(3, 'tapered').tolist()
    ([0.5, 1.0, 1.0, 0.5], [0.5, 1.0, 0.5])

    Raises:
        UnknownNameError: unknown weights.
    """
    if weights not in OVERLAP_WEIGHTS:
        raise UnknownNameError(
            expected=f'weights among {", ".join(OVERLAP_WEIGHTS)}', came=repr(weights), todo='choose one'
        )
    if weights == 'flat':
        return np.ones(length)
    frames = np.arange(length)
    return np.minimum(frames + 1, length - frames) / max(1, (length + 1) // 2)


class OverlapAverage:
    """The weighted mean of window predictions for each frame of one video, accumulated window by window.

    Args:
        length: T.
        columns: D.
        weights: weights of a window's frames, one of `OVERLAP_WEIGHTS`.
    """

    def __init__(self, length: int, columns: int, weights: OverlapWeights = 'flat') -> None:
        self._sums = np.zeros((length, columns))
        self._shares = np.zeros(length)
        self._weights: OverlapWeights = weights

    def add(self, begin: int, answers: npt.NDArray[Any]) -> None:
        """Adds the (L, D) predictions of a window that begins at this frame.

        Raises:
            ShapeError: they reach beyond the video, or have other columns.
        """
        end = begin + len(answers)
        if begin < 0 or end > len(self._sums) or answers.shape[1:] != self._sums.shape[1:]:
            raise ShapeError(
                expected=f'predictions within {len(self._sums):,} frames, {self._sums.shape[1]} columns each',
                came=f'{answers.shape} from frame {begin}', todo='give windows of this video',
            )  # fmt: skip
        weights = overlap_weights(len(answers), self._weights)
        self._sums[begin:end] += answers * weights[:, None]
        self._shares[begin:end] += weights

    def result(self) -> Floats32:
        """(T, D) float32; nan where there was no window."""
        shares = np.where(self._shares > 0, self._shares, np.nan)
        return (self._sums / shares[:, None]).astype(np.float32)


def overlap_average(
    length: int, answers: Iterable[tuple[int, npt.NDArray[Any]]], weights: OverlapWeights = 'flat'
) -> Floats32:
    """(T, D) the weighted mean of the windows at each frame; nan without a window.

        sum over windows of w(frame) answer(frame) / sum over windows of w(frame)

    With flat weights this is the plain mean.

    Args:
        length: T, frames of the video.
        answers: the first frame of each window and its (L, D) predictions, at least one.
        weights: one of `OVERLAP_WEIGHTS`, see `overlap_weights`.

    Raises:
        ShapeError: predictions extend beyond the video, differ in columns, or there are none.
    """
    average: OverlapAverage | None = None
    for begin, part in answers:
        average = average or OverlapAverage(length, part.shape[1] if part.ndim > 1 else 1, weights)
        average.add(begin, part)
    if average is None:
        raise ShapeError(expected='the predictions of at least one window', came='none', todo='give some')
    return average.result()


def require_disjoint(sides: Mapping[str, Iterable[str | Window]]) -> None:
    """Checks that no recording is in two parts of a split.

    Two people of one recording (`video59_left`, `video59`) count as one: their frames share audio, light and events.

    Args:
        sides: name of a part to its videos or windows.

    Raises:
        LeakError: a recording is in two parts.

    >>> require_disjoint({'train': ['video1', 'video2_left'], 'val': ['video3']})
    """
    first_by_recording: dict[str, tuple[str, str]] = {}
    leaks: dict[str, None] = {}
    for side, members in sides.items():
        for member in members:
            video = member.video if isinstance(member, Window) else member
            first_side, first_video = first_by_recording.setdefault(recording_of(video), (side, video))
            if first_side != side:
                both = video if first_video == video else f'{first_video} / {video}'
                leaks[f'{both} in {first_side} and {side}'] = None
    if leaks:
        raise LeakError(
            expected='each recording, with all people in it, on one side of the split',
            came=f'{len(leaks)} on two: {listed(leaks)}',
            todo='divide by recording, before windows are cut',
        )
