"""A clip as the windows that a network reads, and their features as rows in time.

Axes: T time slices of video, A time slices of audio, D columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Floats
from affekt.clips import SOUND_RATE_HZ, Clip
from affekt.pretraining import Sampling, SvfapForm, Window, consecutive_windows, cut, evaluation_windows
from affekt.representations.readings import Form, groups

STRIDE = 4
"""Step between frames that are read, in frames, as published for all corpora but two."""
SEGMENTS = 2
"""Number of windows whose features are averaged."""
AUDIO_STEP_S = 0.16
"""Length of a time slice of audio in seconds: 16 spectrogram rows of 10 ms."""
SHORTEST_SAMPLES = 400
"""Samples of one spectrogram frame; shorter audio cannot be read."""


class View(NamedTuple):
    """A window of a clip."""

    clip: Clip
    """Frames and audio of the window."""
    sound_s: float
    """Start of the window's audio within the clip, in seconds."""
    slices: range
    """Time slices that no earlier window has covered."""


@dataclass(frozen=True)
class Rows:
    """Features over time."""

    values: Tensor
    """(T, D) features."""
    times: Floats | None
    """(T,) centre of each row in seconds; None where the clip has no frame times."""


def slice_frames(form: Form) -> int:
    """Number of frames per time slice of a network's output: 2 in HiCMAE; 8 in SVFAP, which halves time twice."""
    halvings = len(form.depths) - 1 if isinstance(form, SvfapForm) else 0
    return form.frames // (form.video_grid[0] >> halvings)


def views_of(clip: Clip, form: Form, *, is_whole: bool) -> list[View]:
    """The windows of a clip that have a modality of the form; [] if the clip has none of them.

    Args:
        clip: clip to read.
        form: form of the network.
        is_whole: the windows of the published evaluation; False for consecutive windows.
    """
    reduced = clip
    if 'video' not in form.modalities:
        reduced = replace(reduced, frames=None, times_s=None)
    if 'audio' not in form.modalities:
        reduced = replace(reduced, sound=None)
    if reduced.frames is None and reduced.sound is None:
        return []
    sampling = Sampling(form.frames, STRIDE)
    windows: list[tuple[Window, range]]
    if is_whole:
        windows = [(window, range(0)) for window in evaluation_windows(reduced, sampling, segments=SEGMENTS)]
    else:
        windows = consecutive_windows(reduced, sampling, slice_frames=slice_frames(form))
    views = [
        View(cut(reduced, window), (window.sound.start if window.sound else 0) / SOUND_RATE_HZ, slices)
        for window, slices in windows
    ]
    return [view for view in views if view.clip.frames is not None or is_heard(view.clip)]


def is_heard(clip: Clip) -> bool:
    """Whether the clip has audio that is long enough and not constant."""
    return clip.sound is not None and len(clip.sound) >= SHORTEST_SAMPLES and bool(np.ptp(clip.sound))


def lacking(clip: Clip, modalities: Sequence[str]) -> str:
    """The modalities that a clip lacks, and why, in words.

    >>> lacking(Clip('a', None, None, np.ones(9, np.float32), {'video': 'no face in 12 frames'}), ['video'])
    'no video (no face in 12 frames)'
    """
    parts = {'video': clip.frames, 'audio': clip.sound}
    reasons = {
        name: clip.missing.get(name, '') or ('' if parts[name] is None else 'silent where it is read')
        for name in modalities
    }
    return '; '.join(f'no {name}' + (f' ({reason})' if reason else '') for name, reason in reasons.items())


def rows_of(view: View, parts: Sequence[Tensor | None], form: Form) -> Rows:
    """Features of a window as rows in time, for those time slices that no earlier window has covered.

    One row per time slice of video, with the mean of the audio in that slice; for a window without frames, one row per
    time slice of audio.

    Args:
        view: the window.
        parts: groups of columns, (T, C) or (A, C); None for zeros.
        form: form of the network.
    """
    by_name = list(zip(groups(form), parts, strict=True))
    indices = torch.arange(view.slices.start, view.slices.stop)
    if view.clip.frames is None:
        times: Floats | None = view.sound_s + AUDIO_STEP_S * (indices.numpy() + 0.5)
        columns = [part if name == 'audio' else None for name, part in by_name]
    else:
        times = _times(view, slice_frames(form))
        audio = next((part for name, part in by_name if name == 'audio' and part is not None), None)
        weights = None if audio is None else _audio_weights(view, slice_frames(form), len(audio)).to(audio.dtype)
        columns = [
            part if name == 'video' or part is None or weights is None else weights @ part  # (T, A) x (A, C)
            for name, part in by_name
        ]
    rows = [torch.zeros(len(indices), form.width) if part is None else part[indices] for part in columns]
    return Rows(torch.cat(rows, dim=1), times)


def _times(view: View, frames: int) -> Floats | None:
    """(T,) centre of each slice in `view.slices`, in seconds."""
    if view.clip.times_s is None:
        return None
    means: Floats = view.clip.times_s.reshape(-1, frames).mean(axis=1)  # (frames,) to (T, frames / T) to (T,)
    return means[view.slices.start : view.slices.stop]


def _audio_weights(view: View, frames: int, steps: int) -> Tensor:
    """(T, A) weight of each audio slice in each video slice, by overlap in time; rows sum to 1.

    A video slice without audio gets the nearest audio slice.
    """
    assert view.clip.sound is not None
    assert view.clip.frames is not None
    length_s = len(view.clip.sound) / SOUND_RATE_HZ
    slices = min(max(-(-len(view.clip.sound) // round(AUDIO_STEP_S * SOUND_RATE_HZ)), 1), steps)
    begins = view.sound_s + AUDIO_STEP_S * np.arange(slices)
    count = len(view.clip.frames) // frames
    if view.clip.times_s is None:
        edges = view.sound_s + np.linspace(0.0, length_s, count + 1)
    else:
        firsts = view.clip.times_s[::frames]
        edges = np.append(firsts, view.clip.times_s[-1] + np.median(np.diff(view.clip.times_s)))
    lows = np.maximum(edges[:-1, None], begins)  # (T, A)
    shares = np.maximum(np.minimum(edges[1:, None], begins + AUDIO_STEP_S) - lows, 0.0)
    middles = (edges[:-1] + edges[1:]) / 2
    nearest = np.abs(middles[:, None] - (begins + AUDIO_STEP_S / 2)).argmin(axis=1)
    silent = shares.sum(axis=1) <= 1e-9
    shares[silent, nearest[silent]] = 1.0
    weights = np.zeros((count, steps))
    weights[:, :slices] = shares / shares.sum(axis=1, keepdims=True)
    return torch.from_numpy(weights)
