"""Clips as the tensors of one step: normalised frames, spectrograms, and the modalities of each clip.

A missing modality is a masked sample: its position in the tensor is filled, and `has_video` or `has_audio` makes a
model ignore it. If no clip of a batch has a modality, its tensor is None.

Axes: B batch, T frames (16), H, W pixels, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from affekt.clips import Clip
from affekt.errors import ShapeError, ValueRangeError
from affekt.pretraining.rebuilding import IMAGENET_DEVIATION, IMAGENET_MEAN
from affekt.pretraining.spectrograms import BANDS, ROWS, WINDOW, filterbanks

SIZE = 160
"""Height and width of a frame, in pixels, at every published size."""


class ClipBatch(NamedTuple):
    """B clips: the input of a model of frames and audio at one step."""

    video: Tensor | None
    """(B, 3, T, H, W) float32, normalised by ImageNet's mean and standard deviation."""
    audio: Tensor | None
    """(B, 1, R, 128) float32 spectrograms, R = 256 unless `collate` is given another number of rows."""
    has_video: Tensor
    """(B,) bool, False where the clip has no frames."""
    has_audio: Tensor
    """(B,) bool, False where the clip has no audio."""

    @property
    def size(self) -> int:
        """B, the number of clips."""
        return len(self.has_video)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ClipBatch:
        """The batch on another device; without waiting if the memory is pinned and `non_blocking` is set."""
        return self._each(lambda part: part.to(device, non_blocking=non_blocking))

    def pin(self) -> ClipBatch:
        """The batch in pinned memory, from which an accelerator copies while it computes; itself without one."""
        return self._each(Tensor.pin_memory) if torch.accelerator.is_available() else self

    def _each(self, change: Callable[[Tensor], Tensor]) -> ClipBatch:
        video, audio = (part if part is None else change(part) for part in (self.video, self.audio))
        return ClipBatch(video, audio, change(self.has_video), change(self.has_audio))


class Changes(Protocol):
    """Random transforms of clips before batching; `augmentation.py` has the published ones."""

    def video(self, frames: Tensor, size: int, rng: torch.Generator) -> Tensor:
        """(T, 3, H, W) uint8 to (3, T, size, size) float32, normalised."""

    def sound(self, sound: Tensor, rng: torch.Generator) -> Tensor:
        """(S,) samples to (S,) samples."""

    def spectrogram(self, spectrogram: Tensor, rng: torch.Generator) -> Tensor:
        """(256, 128) spectrogram to (256, 128), normalised."""


def collate(
    clips: Sequence[Clip],
    augmentation: Changes | None = None,
    rng: torch.Generator | None = None,
    *,
    size: int = SIZE,
    rows: int = ROWS,
) -> ClipBatch:
    """One batch of clips already cut to their windows (`windows.py`).

    Args:
        clips: B clips, each with T frames or none, and its segment of audio or none. Audio of fewer than 400 samples,
            or with constant values, counts as none.
        augmentation: None for no augmentation.
        rng: generator, required with an augmentation.
        size: H and W; frames of another size are resized.
        rows: rows of a spectrogram.

    Raises:
        ValueRangeError: there is no clip, a clip with neither frames nor audio, audio that is not finite, or an
            augmentation without a generator.
        ShapeError: clips have unequal numbers of frames.
    """
    if not clips or (augmentation is not None and rng is None):
        raise ValueRangeError(
            expected='one clip at least, and a generator where clips are augmented',
            came=f'{len(clips)} clips', todo='give both',
        )  # fmt: skip
    videos = [_video(clip, augmentation, rng, size) for clip in clips]
    sounds = [_sound(clip, augmentation, rng) for clip in clips]
    for clip, video, sound in zip(clips, videos, sounds, strict=True):
        if video is None and sound is None:
            raise ValueRangeError(expected='frames or audio', came=f'neither in {clip.name}', todo='leave the clip out')
    has_video = torch.tensor([video is not None for video in videos])
    has_audio = torch.tensor([sound is not None for sound in sounds])
    return ClipBatch(
        _stacked_videos(clips, videos), _stacked_sounds(sounds, augmentation, rng, rows), has_video, has_audio
    )


def normalised_frames(frames: Tensor) -> Tensor:
    """(T, 3, H, W) frames of 0 to 255 as (3, T, H, W) float32, normalised by ImageNet's mean and standard deviation."""
    mean, deviation = (
        torch.tensor(numbers, device=frames.device).view(3, 1, 1, 1) for numbers in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    planes = frames.transpose(0, 1).to(torch.float32, memory_format=torch.contiguous_format)  # (3, T, H, W)
    return planes.mul(1 / (255 * deviation)).sub_(mean / deviation)


def resized(frames: Tensor, size: int) -> Tensor:
    """(T, 3, H, W) uint8 frames at another size, bilinear as in Pillow; the same tensor if they already have it."""
    if tuple(frames.shape[2:]) == (size, size):
        return frames
    return torch.nn.functional.interpolate(frames, (size, size), mode='bilinear', antialias=True)


def _video(clip: Clip, augmentation: Changes | None, rng: torch.Generator | None, size: int) -> Tensor | None:
    """(3, T, size, size) frames of one clip; None where it has none."""
    if clip.frames is None:
        return None
    frames = torch.from_numpy(np.ascontiguousarray(clip.frames.transpose(0, 3, 1, 2)))  # (T, 3, H, W)
    if augmentation is None or rng is None:
        return normalised_frames(resized(frames, size))
    return augmentation.video(frames, size, rng)


def _sound(clip: Clip, augmentation: Changes | None, rng: torch.Generator | None) -> Tensor | None:
    """(S,) samples of one clip; None if it has no usable audio."""
    if clip.sound is None or len(clip.sound) < WINDOW:
        return None
    sound = torch.from_numpy(np.ascontiguousarray(clip.sound, dtype=np.float32))
    low, high = torch.aminmax(sound)
    if not bool(torch.isfinite(high - low)):
        raise ValueRangeError(expected='finite samples', came=f'others in {clip.name}', todo='decode the audio again')
    if low == high:
        return None
    return sound if augmentation is None or rng is None else augmentation.sound(sound, rng)


def _stacked_videos(clips: Sequence[Clip], videos: Sequence[Tensor | None]) -> Tensor | None:
    """(B, 3, T, H, W); zero for clips without frames."""
    shapes = {tuple(video.shape): clip.name for clip, video in zip(clips, videos, strict=True) if video is not None}
    if not shapes:
        return None
    if len(shapes) > 1:
        raise ShapeError(
            expected='clips of one shape',
            came=', '.join(f'{shape} in {name}' for shape, name in shapes.items()),
            todo='cut each to a window first',
        )
    stacked = torch.zeros(len(videos), *next(iter(shapes)))
    for row, video in zip(stacked, videos, strict=True):
        if video is not None:
            row.copy_(video)
    return stacked


def _stacked_sounds(
    sounds: Sequence[Tensor | None], augmentation: Changes | None, rng: torch.Generator | None, rows: int
) -> Tensor | None:
    """(B, 1, rows, 128); zero for clips without audio."""
    with_audio = [i for i, sound in enumerate(sounds) if sound is not None]
    if not with_audio:
        return None
    spectrograms = filterbanks([sound for sound in sounds if sound is not None], rows)
    if augmentation is not None and rng is not None:
        spectrograms = torch.stack([augmentation.spectrogram(spectrogram, rng) for spectrogram in spectrograms])
    stacked = torch.zeros(len(sounds), 1, rows, BANDS)
    stacked[with_audio] = spectrograms.unsqueeze(1)  # (B', 1, rows, 128)
    return stacked
