"""Input of the published describer's encoders, and the handling of unreadable clips.

The published code standardises the audio of all clips of a batch together to mean 0 and standard deviation 1, so that a
clip's input depends on its neighbours; here each clip is standardised alone, as the published code does for a single
clip. It also silently replaces an unreadable clip by another one at random.

Axes: B clips of a batch, K segments, S samples.

Source: github.com/zeroQiaoba/MERTools, MER2025_Track23, ImageBind/data.py and base_dataset.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Floats32
from affekt.errors import AffektError, CorpusError, ShapeError, ValueRangeError, listed, without_error_numbers

STRETCHES, STRETCH_S = 8, 2.0
FRAMES = 8
TRIES = 10
"""Attempts of the published code to find a readable clip."""
_SMALL = 1e-7
T = TypeVar('T')


def stretches(sound: Floats32, rate_hz: int, *, count: int = STRETCHES, seconds: float = STRETCH_S) -> Floats32:
    """Segments of audio, their starts spread evenly from the first to the last possible one.

    Args:
        sound: (samples,) or (channels, samples); channels are averaged.
        rate_hz: sampling rate of the audio.
        count: K, the number of segments.
        seconds: duration of a segment in seconds; shorter audio is padded with zeros at its end.

    Returns:
        (K, S) float32.

    Raises:
        ShapeError: the audio is empty or has more than two axes.
    """
    sound = np.asarray(sound, np.float32)
    sound = sound.mean(axis=0) if sound.ndim == 2 else sound
    if sound.ndim != 1 or not len(sound):
        raise ShapeError(
            expected='audio of shape (samples,) or (channels, samples)', came=f'{sound.shape}',
            todo='leave out the audio of a clip that has none',
        )  # fmt: skip
    size = round(seconds * rate_hz)
    sound = np.pad(sound, (0, max(0, size - len(sound))))
    starts = np.linspace(0, len(sound) - size, count).astype(int)
    return np.stack([sound[start : start + size] for start in starts])


def normalised_sound(batch: Tensor, over: Literal['clip', 'batch'] = 'clip') -> Tensor:
    """Audio (B, K, S) standardised to mean 0 and standard deviation 1: (x - mean) / sqrt(variance + 1e-7).

    Args:
        batch: (B, K, S) audio.
        over: `clip` takes both over all segments of a clip, `batch` over all clips, as published in training.

    Raises:
        ShapeError: not three axes.
        ValueRangeError: `over` is neither `clip` nor `batch`.
    """
    if batch.ndim != 3:
        raise ShapeError(
            expected='audio of shape (clips, segments, samples)', came=f'{tuple(batch.shape)}', todo='give a batch'
        )
    if over not in ('clip', 'batch'):
        raise ValueRangeError(expected='over clip or over batch', came=repr(over), todo='choose one')
    axes = (1, 2) if over == 'clip' else (0, 1, 2)
    variance, mean = torch.var_mean(batch, dim=axes, correction=0, keepdim=True)
    return (batch - mean) / torch.sqrt(variance + _SMALL)


def spread(total: int, count: int = FRAMES) -> list[int]:
    """Indices of `count` frames spread evenly over `total`: each floor(k total / count).

    If there are fewer than `count`, some are taken more than once.

    Raises:
        ValueRangeError: either number is below 1.

    >>> spread(20, 8), spread(3, 8)
    ([0, 2, 5, 7, 10, 12, 15, 17], [0, 0, 0, 1, 1, 1, 2, 2])
    """
    if total < 1 or count < 1:
        raise ValueRangeError(
            expected='at least one frame to choose, and one to choose from',
            came=f'{count} of {total}',
            todo='leave out the face of a clip without frames',
        )
    return [index * total // count for index in range(count)]


@dataclass(frozen=True)
class ReadClips(Generic[T]):
    """The clips that could be read, and why others could not.

    Args:
        clips: name to clip, in order; with replacement, one may have the name of another.
        failures: name to the reason why it could not be read.
    """

    clips: Mapping[str, T]
    failures: Mapping[str, str]


def read_clips(
    names: Sequence[str],
    read: Callable[[str], T],
    *,
    unreadable: Literal['leave out', 'refuse', 'replace'] = 'leave out',
    rng: np.random.Generator | None = None,
) -> ReadClips[T]:
    """Read clips by name, and record failures.

    Args:
        names: names of the clips.
        read: reads a clip by name; raises `AffektError` or `OSError` if it cannot be read.
        unreadable: skip such clips, refuse them, or replace them by random others, as published.
        rng: draws the replacements; None for a generator of seed 0.

    Raises:
        CorpusError: none could be read, or one could not and that is refused.
    """
    clips: dict[str, T] = {}
    failures: dict[str, str] = {}
    rng = rng or np.random.default_rng(0)
    for name in names:
        clip = _tried(name, read, failures)
        if clip is None and unreadable == 'replace':
            others = (names[int(rng.integers(len(names)))] for _ in range(TRIES - 1))
            clip = next(
                (other_clip for other in others if (other_clip := _tried(other, read, failures)) is not None), None
            )
        if clip is not None:
            clips[name] = clip
    if failures and (unreadable == 'refuse' or not clips):
        name, why = next(iter(failures.items()))
        raise CorpusError(
            expected='clips that can be read',
            came=f'{len(failures):,} that cannot ({listed(failures, 3)}); {name}: {why}',
            todo='repair them, or leave them out',
        )  # fmt: skip
    return ReadClips(clips, failures)


def _tried(name: str, read: Callable[[str], T], failures: dict[str, str]) -> T | None:
    """A clip, or None with the reason in `failures`."""
    try:
        return read(name)
    except (AffektError, OSError) as error:
        failures[name] = without_error_numbers(str(error))
        return None
