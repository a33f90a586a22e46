"""The frames and the audio segment of a clip that a model reads, by the published rules, drawn from a generator.

A window is T frames (16, about every fourth) and the samples of their audio. For a clip of 70 frames, with the
fine-tuning rule and an end drawn as 66:

    16 points from 2 to 66:  2.0, 6.27, 10.5, …, 61.7, 66.0    as frames  2, 6, 10, …, 61, 65
    their audio: from frame 2 to 66; of 69,000 samples, from 2,000 to 66,000 if no times are known

If frames have times, audio is cut by them; the published fine-tuning code has none and spreads the frames evenly over
the whole audio, the last at its end, which `reference=True` repeats. A segment of at most 1,024 samples counts as
wrong: the whole audio is used if it is shorter than 2.56 s; otherwise published code stops, and here the audio is
missing, a masked sample. A clip without frames is cut to segments of 2.56 s, the duration of 64 frames.

Axes: n frames of a clip, T of a window, S samples.

Source: github.com/sunlicai/HiCMAE, kinetics_av.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from affekt.arrays import Ints
from affekt.clips import SOUND_RATE_HZ, Clip
from affekt.errors import ValueRangeError
from affekt.pretraining.draws import whole

SHORTEST_SOUND = 1024
"""Number of samples; a segment that is not longer counts as missing audio."""
SOUND_SAMPLES = 40_960
"""2.56 s: 256 rows of a spectrogram."""
SLICE_SAMPLES = 2560
"""0.16 s: one of the 16 time steps of an audio encoder's tokens."""


@dataclass(frozen=True)
class Sampling:
    """Number of frames of a window, and their distance.

    Raises:
        ValueRangeError: either is below 1.
    """

    frames: int = 16
    stride: int = 4
    """4 except for Werewolf-XL (3) and FERV39k (1)."""

    def __post_init__(self) -> None:
        if self.frames < 1 or self.stride < 1:
            raise ValueRangeError(
                expected='one frame and a stride of one at least', came=f'{self.frames} and {self.stride}',
                todo='give larger numbers',
            )  # fmt: skip

    @property
    def span(self) -> int:
        """Frames of the clip from the first of a window to the first after it."""
        return self.frames * self.stride


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a clip that is read; a modality that is None is masked by the model."""

    frames: Ints | None
    """(T,) indices into the clip's frames; short clips repeat their last frame."""
    sound: slice | None
    """Slice of the clip's samples."""


def pretraining_window(clip: Clip, rng: torch.Generator, sampling: Sampling | None = None) -> Window:
    """T frames at the stride from a start drawn uniformly, and the audio from the first to the end of one stride more.

    Args:
        clip: any clip; if shorter than the span, frames are taken from its start and the last is repeated.
        rng: generator of the start.
        sampling: number and distance of the frames; None for 16 frames, every fourth.
    """
    sampling = sampling or Sampling()
    if clip.frames is None:
        return _sound_window(clip, rng)
    last = len(clip.frames) - 1
    start = whole(max(len(clip.frames) - sampling.span, 0) + 1, rng)
    frames = np.minimum(start + sampling.stride * np.arange(sampling.frames), last)
    return Window(frames, _stretch(clip, start, min(int(frames[-1]) + sampling.stride, last), through=True))


def tuning_window(
    clip: Clip, rng: torch.Generator, sampling: Sampling | None = None, *, reference: bool = False
) -> Window:
    """T evenly spaced frames of a window drawn uniformly, and its audio: how published fine-tuning reads a clip.

    Where n <= span, n // stride points lie evenly on [0, n], and the last frame fills the rest; longer clips have T
    points on [end - span, end], the end drawn from span to n - 1. Points are cut to whole frames.

    Args:
        clip: any clip.
        rng: generator of the end.
        sampling: number and distance of the frames; None for 16 frames, every fourth.
        reference: cut audio as if frames were spread evenly over it, whatever their times.
    """
    sampling = sampling or Sampling()
    if clip.frames is None:
        return _sound_window(clip, rng)
    n, span = len(clip.frames), sampling.span
    if n <= span:
        points = np.linspace(0, n, n // sampling.stride)
        filled = np.append(points, np.full(sampling.frames - len(points), n))
        frames = np.clip(filled, 0, n - 1).astype(np.int64)
    else:
        end = span + whole(n - span, rng)
        frames = np.clip(np.linspace(end - span, end, sampling.frames), end - span, end - 1).astype(np.int64)
    first = int(frames[0])
    return Window(frames, _stretch(clip, first, min(first + span, n - 1), is_even=reference))


def evaluation_windows(
    clip: Clip, sampling: Sampling | None = None, *, segments: int = 2, reference: bool = False
) -> list[Window]:
    """The windows whose predictions are averaged: every fourth frame, T from the first on and T up to the last.

    Args:
        clip: any clip; of one of at most T such frames there is one window, its last frame repeated.
        sampling: number and distance of the frames; None for 16 frames, every fourth.
        segments: maximum number of windows, evenly spread.
        reference: every segment, though several may be the same, and each twice, since published code cuts two crops
            that are the same for square frames; audio as if frames lay evenly over it. The average of predictions does
            not change with repetition.

    Raises:
        ValueRangeError: `segments` is below 1.
    """
    if segments < 1:
        raise ValueRangeError(expected='one segment at least', came=f'{segments}', todo='give more')
    sampling = sampling or Sampling()
    if clip.frames is None:
        starts = _starts(_samples(clip) - SOUND_SAMPLES, segments, reference)
        return [Window(None, _longer(clip, slice(start, start + SOUND_SAMPLES))) for start in starts]
    read = np.arange(0, len(clip.frames), sampling.stride)
    filled = np.append(read, np.full(max(sampling.frames - len(read), 0), read[-1]))
    windows = []
    for start in _starts(len(filled) - sampling.frames, segments, reference):
        frames = filled[start : start + sampling.frames]
        last = min(int(frames[-1]) + sampling.stride, len(clip.frames) - 1)
        windows.append(Window(frames, _stretch(clip, int(frames[0]), last, is_even=reference)))
    return windows


def consecutive_windows(
    clip: Clip, sampling: Sampling | None = None, *, slice_frames: int = 2
) -> list[tuple[Window, range]]:
    """Windows one after another over a whole clip, each with the slices of it that no window before has shown.

    The last window ends with the clip and overlaps the previous one; a clip shorter than a window repeats its last
    frame, in slices that do not count. For 40 frames, every fourth read, 4 per window and 2 per slice:

        frames  0 4 8 12 | 16 20 24 28 | 24 28 32 36        slices  0, 1 | 0, 1 | 1

    A clip without frames is cut to segments of 2.56 s, with 16 slices of 0.16 s each; slices count if they begin within
    the audio.

    Args:
        clip: any clip.
        sampling: number and distance of the frames; None for 16 frames, every fourth.
        slice_frames: frames of a slice, a divisor of a window's.

    Returns:
        Window and slices, counted from 0 in the window.
    """
    sampling = sampling or Sampling()
    if clip.frames is None:
        begins = range(0, max(_samples(clip) - SHORTEST_SOUND, 1), SOUND_SAMPLES)
        slices_of_audio = [slice(begin, min(begin + SOUND_SAMPLES, _samples(clip))) for begin in begins]
        return [(Window(None, part), range(-(-(part.stop - part.start) // SLICE_SAMPLES))) for part in slices_of_audio]
    read = np.arange(0, len(clip.frames), sampling.stride)
    padded_count = max(-(-len(read) // slice_frames) * slice_frames, sampling.frames)
    padded = np.append(read, np.full(padded_count - len(read), read[-1]))
    windows = []
    for first_new in range(0, len(read), sampling.frames):
        start = min(first_new, padded_count - sampling.frames)
        frames = padded[start : start + sampling.frames]
        last = min(int(frames[-1]) + sampling.stride, len(clip.frames) - 1)
        end = min(start + sampling.frames, len(read))
        slices = range((first_new - start) // slice_frames, -(-(end - start) // slice_frames))
        windows.append((Window(frames, _stretch(clip, int(frames[0]), last)), slices))
    return windows


def cut(clip: Clip, window: Window) -> Clip:
    """A clip of a window's frames and audio, which `collate` takes; of a memory-mapped clip only these are read."""
    return Clip(
        clip.name,
        None if clip.frames is None or window.frames is None else np.asarray(clip.frames[window.frames]),
        None if clip.times_s is None or window.frames is None else clip.times_s[window.frames],
        None if clip.sound is None or window.sound is None else clip.sound[window.sound],
    )


def _starts(room: int, segments: int, reference: bool) -> list[int]:
    """Starts of segments, evenly spaced from 0 to `room` and rounded down; with duplicates if `reference`."""
    step = max(room, 0) / max(segments - 1, 1)
    starts = [int(i * step) for i in range(segments)]
    return [start for start in starts for _ in range(2)] if reference else list(dict.fromkeys(starts))


def _last(clip: Clip) -> int:
    return 0 if clip.frames is None else len(clip.frames) - 1


def _samples(clip: Clip) -> int:
    return 0 if clip.sound is None else len(clip.sound)


def _sound_window(clip: Clip, rng: torch.Generator) -> Window:
    """2.56 s of audio at a random position of a clip without frames."""
    start = whole(max(_samples(clip) - SOUND_SAMPLES, 0) + 1, rng)
    return Window(None, _longer(clip, slice(start, start + SOUND_SAMPLES)))


def _stretch(clip: Clip, first: int, last: int, *, through: bool = False, is_even: bool = False) -> slice | None:
    """The samples from the start of one frame to the start of another, to its end if it is the clip's last.

    Args:
        clip: a clip with frames.
        first: index of the first frame.
        last: index of the last frame.
        through: whether to always include the last frame to its end.
        is_even: whether frames are spread evenly over the audio, the last at its end.
    """
    samples = _samples(clip)
    if _last(clip) == 0:  # a single image, which has the duration of the audio
        return _longer(clip, slice(0, samples))
    if clip.times_s is None or is_even:
        final = _last(clip)
        return _longer(clip, slice(int(first / final * samples), int(last / final * samples)))
    start_s, stop_s = float(clip.times_s[first]), float(clip.times_s[last])
    if through or last == _last(clip):
        stop_s = _end_s(clip.times_s, last)
    return _longer(clip, slice(max(round(start_s * SOUND_RATE_HZ), 0), max(round(stop_s * SOUND_RATE_HZ), 0)))


def _end_s(times_s: np.ndarray, frame: int) -> float:
    """End of a frame in seconds: the start of the next; the last frame has the median duration."""
    if frame + 1 < len(times_s):
        return float(times_s[frame + 1])
    return float(times_s[frame] + (np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0))


def _longer(clip: Clip, segment: slice) -> slice | None:
    """The slice within the audio; all of short audio where the slice is too short, None if nothing can be read."""
    samples = _samples(clip)
    start, stop = min(segment.start, samples), min(segment.stop, samples)
    if samples <= SHORTEST_SOUND:
        return None
    if stop - start > SHORTEST_SOUND:
        return slice(start, stop)
    return slice(0, samples) if samples < SOUND_SAMPLES else None
