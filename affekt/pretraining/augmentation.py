"""Random augmentation of clips in training: the published transforms of frames and audio, on whole clips.

`pretraining_augmentation`, `tuning_augmentation` and `evaluation_augmentation` return the published ones for `collate`.
All frames of a clip are transformed alike, and all random draws are from one generator.

| | frames | audio |
|---|---|---|
| pre-training | a box of 1, .875, .75 or .66 of the short side at one of 13 positions | shift, gain |
| fine-tuning | RandAugment, a box of 8 to 100 % of the area, random mirroring, a block erased | shift, gain |
| evaluation | unchanged | unchanged; published code changes the gain here too |

The shift intended by the published code rotates the samples by any number; by mistake it draws from the number of
channels and never shifts, which `reference=True` reproduces.

Axes: T frames, H, W pixels, S samples, R rows and M bands of a spectrogram.

Source: github.com/sunlicai/HiCMAE, transforms.py and kinetics_av.py; Zhong et al. 2017 (erasing), arXiv:1708.04896;
Park et al. 2019 (SpecAugment), arXiv:1904.08779.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from affekt.errors import ValueRangeError
from affekt.pretraining.batches import normalised_frames, resized
from affekt.pretraining.draws import beta, happens, uniform, whole
from affekt.pretraining.randaugment import RandAugment
from affekt.pretraining.spectrograms import FILLED

Box = tuple[int, int, int, int]
"""Box: top, left, height, width in pixels."""
SCALES = (1.0, 0.875, 0.75, 0.66)
"""Sides of a box in pre-training, as shares of the short side of the frame."""
PLACES = (
    *((row, column) for row in (0, 2, 4) for column in (0, 2, 4)),
    *((row, column) for row in (1, 3) for column in (1, 3)),
)
"""Rows and columns of boxes in quarters of the free range: corners, midpoints of sides, the centre, and between."""
CROP_AREAS, CROP_RATIOS = (0.08, 1.0), (3 / 4, 4 / 3)
"""Area as a share of the frame, and ratio of width to height, of a box in fine-tuning; a comment in the published code
says .8, its value is .08."""
ERASED_AREAS, ERASED_RATIOS = (0.02, 1 / 3), (0.3, 1 / 0.3)
GAIN = 10.0
"""Value of both parameters of the beta distribution of the gain, which is centred at 1."""


def pretraining_augmentation(*, reference: bool = False) -> Augmentation:
    """Boxes of several scales, shift and gain."""
    return Augmentation(pictures=ScaledCrop(), sounds=SoundChanges(shifts=not reference))


def tuning_augmentation(name: str = 'rand-m7-n4-mstd0.5-inc1', *, reference: bool = False) -> Augmentation:
    """RandAugment of the given name, boxes, mirroring, erasing, shift and gain."""
    pictures = TuningPictures(RandAugment.named(name))
    return Augmentation(pictures=pictures, sounds=SoundChanges(shifts=not reference))


def evaluation_augmentation(*, reference: bool = False) -> Augmentation | None:
    """None, so that evaluation is reproducible; published code draws a gain for each view."""
    return Augmentation(sounds=SoundChanges(shifts=False)) if reference else None


@dataclass(frozen=True)
class Augmentation:
    """The transforms that `collate` applies to each clip: of frames and of audio; either may be None."""

    pictures: ScaledCrop | TuningPictures | None = None
    sounds: SoundChanges | None = None

    def video(self, frames: Tensor, size: int, rng: torch.Generator) -> Tensor:
        """(T, 3, H, W) uint8 to (3, T, size, size) float32, normalised."""
        if self.pictures is None:
            return normalised_frames(resized(frames, size))
        return self.pictures(frames, size, rng)

    def sound(self, sound: Tensor, rng: torch.Generator) -> Tensor:
        """(S,) samples, shifted and scaled."""
        return sound if self.sounds is None else self.sounds(sound, rng)

    def spectrogram(self, spectrogram: Tensor, rng: torch.Generator) -> Tensor:
        """(R, M) spectrogram with ranges of time and bands masked."""
        return spectrogram if self.sounds is None else self.sounds.hidden(spectrogram, rng)


@dataclass(frozen=True)
class ScaledCrop:
    """Boxes of a few sizes at a few positions, for pre-training."""

    scales: tuple[float, ...] = SCALES
    distortion: int = 1
    """Maximum distance between the scales of height and width in `scales`."""

    def __call__(self, frames: Tensor, size: int, rng: torch.Generator) -> Tensor:
        """(T, 3, H, W) uint8 to (3, T, size, size) float32, normalised."""
        top, left, height, width = self.box(frames.shape[-2], frames.shape[-1], size, rng)
        cropped = frames[..., top : top + height, left : left + width]
        return normalised_frames(resized(cropped.contiguous(), size))

    def box(self, height: int, width: int, size: int, rng: torch.Generator) -> Box:
        """A box with uniformly drawn pair of allowed scales and position; nearly `size` pixels become `size`."""
        short = min(height, width)
        sides = [max(int(short * scale), 1) for scale in self.scales]
        sides = [size if abs(side - size) < 3 and size <= short else side for side in sides]
        pairs = [(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= self.distortion]
        box_height, box_width = pairs[whole(len(pairs), rng)]
        down, across = (height - box_height) // 4, (width - box_width) // 4
        row, column = PLACES[whole(len(PLACES), rng)]
        return row * down, column * across, box_height, box_width


@dataclass(frozen=True)
class TuningPictures:
    """RandAugment, a box of any size, mirroring and erasing, for fine-tuning."""

    changes: RandAugment | None = field(default_factory=RandAugment)
    areas: tuple[float, float] = CROP_AREAS
    ratios: tuple[float, float] = CROP_RATIOS
    mirrored: float = 0.5
    """Probability of mirroring."""
    erased: float = 0.25
    """Probability of erasing."""

    def __call__(self, frames: Tensor, size: int, rng: torch.Generator) -> Tensor:
        """(T, 3, H, W) uint8 to (3, T, size, size) float32, normalised."""
        frames = resized(frames, size)
        if self.changes is not None:
            frames = self.changes(frames, rng)
        top, left, height, width = cropped_box(size, size, self.areas, self.ratios, rng)
        part = frames[..., top : top + height, left : left + width].float()
        part = torch.nn.functional.interpolate(part, (size, size), mode='bilinear', align_corners=False)
        if happens(self.mirrored, rng):
            part = part.flip(-1)
        video = normalised_frames(part)  # (3, T, size, size)
        return with_noise(video, rng) if happens(self.erased, rng) else video


def cropped_box(
    height: int, width: int, areas: tuple[float, float], ratios: tuple[float, float], rng: torch.Generator
) -> Box:
    """A box with uniform area and log-uniform ratio of width to height.

    After ten draws that do not fit, the largest central box with an allowed ratio.
    """
    logarithms = math.log(ratios[0]), math.log(ratios[1])
    for _ in range(10):
        area = height * width * uniform(*areas, rng)
        ratio = math.exp(uniform(*logarithms, rng))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            return whole(height - box_height + 1, rng), whole(width - box_width + 1, rng), box_height, box_width
    box_height = min(height, round(width / ratios[0]))
    box_width = min(width, round(height * ratios[1]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def with_noise(video: Tensor, rng: torch.Generator) -> Tensor:
    """A (3, T, H, W) video, changed in place: a block of pixels, through all frames, becomes standard normal noise.

    The block has 2 to 33 % of the area, drawn uniformly, and a ratio of height to width from .3 to 3.3.
    """
    height, width = video.shape[-2:]
    logarithms = math.log(ERASED_RATIOS[0]), math.log(ERASED_RATIOS[1])
    for _ in range(100):
        area = height * width * uniform(*ERASED_AREAS, rng)
        ratio = math.exp(uniform(*logarithms, rng))
        box_height, box_width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if box_height < height and box_width < width:
            top, left = whole(height - box_height + 1, rng), whole(width - box_width + 1, rng)
            block = video[..., top : top + box_height, left : left + box_width]
            block.copy_(torch.randn(block.shape, generator=rng))
            break
    return video


@dataclass(frozen=True)
class SoundChanges:
    """A shift in time, a gain, and masked ranges.

    Raises:
        ValueRangeError: a width below 0.
    """

    shifts: bool = True
    """Rotate the samples by any number."""
    gain: bool = True
    """Multiply by .5 plus a draw from Beta(10, 10): .5 to 1.5, mostly .9 to 1.1."""
    hidden_rows: int = 0
    """Maximum number of masked rows of a spectrogram; 0 as published."""
    hidden_bands: int = 0
    """Maximum number of masked bands of a spectrogram; 0 as published."""

    def __post_init__(self) -> None:
        if self.hidden_rows < 0 or self.hidden_bands < 0:
            raise ValueRangeError(expected='widths of 0 or more', came=f'{self}', todo='give others')

    def __call__(self, sound: Tensor, rng: torch.Generator) -> Tensor:
        """(S,) samples after shift and gain."""
        if self.shifts:
            sound = torch.roll(sound, whole(len(sound), rng))
        return sound * (0.5 + beta(GAIN, GAIN, rng)) if self.gain else sound

    def hidden(self, spectrogram: Tensor, rng: torch.Generator) -> Tensor:
        """A (R, M) spectrogram with ranges set to the value used beyond the end of the audio."""
        if not self.hidden_rows and not self.hidden_bands:
            return spectrogram
        spectrogram = spectrogram.clone()
        for axis, maximum in enumerate((self.hidden_rows, self.hidden_bands)):
            length = spectrogram.shape[axis]
            width = min(int(uniform(0, maximum, rng)), length)
            start = int(uniform(0, length - width, rng))
            spectrogram.narrow(axis, start, width).fill_(FILLED)
        return spectrogram
