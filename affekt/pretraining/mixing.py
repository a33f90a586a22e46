"""Mixing of clips in pairs during fine-tuning: mixup and CutMix, one draw for the whole batch, with mixed targets.

Clip i is mixed with clip B - 1 - i and has the share λ:

    mixup    x_i ← λ x_i + (1 - λ) x_{B-1-i}
    CutMix   a box, the same in all frames, comes from the other clip; λ becomes 1 - its area
    target   y_i ← λ y_i + (1 - λ) y_{B-1-i}

Published code mixes frames and targets but not the audio, so that the audio contradicts a part of the target;
`mixes_audio=False` reproduces that. By default spectrograms are mixed too: by λ in mixup; in CutMix a segment in time,
with the same share as the box, comes from the other clip. Two clips of which only one has frames, or only one has
audio, are not mixed, nor is the middle clip of a batch of odd size; published code accepts even batches only.

Axes: B batch, T frames, H, W pixels, R rows of a spectrogram, K classes or values.

Source: Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from affekt.errors import ShapeError, ValueRangeError
from affekt.pretraining.batches import ClipBatch
from affekt.pretraining.draws import beta, happens, whole

Box = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Mixing:
    """Settings of mixing clips.

    Raises:
        ValueRangeError: a setting is out of range, or both kinds of mixing are off.
    """

    mixup: float = 0.8
    """Value of both parameters of the beta distribution of λ in mixup; 0 for no mixup."""
    cutmix: float = 1.0
    """Value of both parameters of the beta distribution of λ in CutMix; 0 for no CutMix."""
    cutmix_share: float = 0.5
    """Share of the mixed batches that use CutMix, if both kinds are on."""
    probability: float = 1.0
    """Probability that a batch is mixed at all."""
    mixes_audio: bool = True
    """Mix spectrograms as well; False as published."""

    def __post_init__(self) -> None:
        strengths = (self.mixup, self.cutmix)
        shares = (self.cutmix_share, self.probability)
        if not all(0 <= s < math.inf for s in strengths) or not any(strengths) or not all(0 <= s <= 1 for s in shares):
            raise ValueRangeError(
                expected='strengths of 0 or more, not both 0, and shares between 0 and 1',
                came=f'{self}', todo='give others, or do not mix',
            )  # fmt: skip


def soft_targets(labels: Tensor, classes: int, smoothing: float = 0.1) -> Tensor:
    """(B, K) float32 rows that sum to 1: `smoothing` spread over all classes, the rest on the label.

    Args:
        labels: (B,) int64 in [0, K).
        classes: K.
        smoothing: share of a target that is spread over all classes, in [0, 1).

    Raises:
        ValueRangeError: a label is not a class, or smoothing is out of range.
    """
    low, high = (int(bound) for bound in torch.aminmax(labels)) if len(labels) else (0, 0)
    if low < 0 or high >= classes or not 0 <= smoothing < 1:
        raise ValueRangeError(
            expected=f'labels from 0 to {classes - 1} and smoothing from 0 up to 1',
            came=f'labels from {low} to {high}, smoothing {smoothing}', todo='leave out samples without a label',
        )  # fmt: skip
    targets = torch.full((len(labels), classes), smoothing / classes, device=labels.device)
    return targets.scatter_(1, labels.unsqueeze(1), 1 - smoothing + smoothing / classes)


def mixed(batch: ClipBatch, targets: Tensor, mixing: Mixing, rng: torch.Generator) -> tuple[ClipBatch, Tensor]:
    """A batch whose clips are mixed in pairs, and its targets; the given tensors are not changed.

    Args:
        batch: B clips, on any device.
        targets: (B, K) soft targets of classes, or values.
        mixing: settings of mixing.
        rng: generator on the CPU of all draws: whether and how to mix, λ and positions.

    Raises:
        ShapeError: targets are not (B, K).
    """
    if targets.ndim != 2 or len(targets) != batch.size:
        raise ShapeError(
            expected=f'targets ({batch.size}, K)', came=f'{tuple(targets.shape)}', todo='make labels soft targets'
        )
    if not happens(mixing.probability, rng):
        return batch, targets
    is_cut = mixing.cutmix > 0 and (mixing.mixup == 0 or happens(mixing.cutmix_share, rng))
    strength = mixing.cutmix if is_cut else mixing.mixup
    share = beta(strength, strength, rng)
    pairs = _pairs(batch, mixing)
    video, audio = batch.video, batch.audio
    if is_cut:
        if video is not None:
            box, share = cut_box(video.shape[-2], video.shape[-1], share, rng)
            video = _boxed(video, pairs, box)
        if audio is not None and mixing.mixes_audio:
            stretch = _stretch(audio.shape[-2], share, rng)
            share = share if video is not None else 1 - (stretch.stop - stretch.start) / audio.shape[-2]
            audio = _boxed(audio, pairs, (stretch, slice(None)))
    else:
        video = video if video is None else _blended(video, pairs, share)
        audio = audio if audio is None or not mixing.mixes_audio else _blended(audio, pairs, share)
    return batch._replace(video=video, audio=audio), _blended(targets, pairs, share)


def cut_box(height: int, width: int, share: float, rng: torch.Generator) -> tuple[Box, float]:
    """A box of about 1 - share of the area around a random pixel, clipped at the edges, and the exact share."""
    ratio = math.sqrt(1 - share)
    sides = []
    for length in (height, width):
        half = int(length * ratio) // 2
        centre = whole(length, rng)
        sides.append(slice(max(centre - half, 0), min(centre + half, length)))
    rows, columns = sides
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (rows, columns), 1 - area / (height * width)


def _pairs(batch: ClipBatch, mixing: Mixing) -> Tensor:
    """(B,) bool: the clip and its partner differ, have the same modalities, and have one that is mixed."""
    same_modalities = (batch.has_video == batch.has_video.flip(0)) & (batch.has_audio == batch.has_audio.flip(0))
    if batch.size % 2:
        same_modalities[batch.size // 2] = False
    return same_modalities if mixing.mixes_audio else same_modalities & batch.has_video


def _stretch(rows: int, share: float, rng: torch.Generator) -> slice:
    """Rows of a segment with 1 - share of all rows, at a random position."""
    length = round((1 - share) * rows)
    start = whole(rows - length + 1, rng)
    return slice(start, start + length)


def _boxed(pixels: Tensor, pairs: Tensor, box: Box) -> Tensor:
    """(B, …, H, W) with the box of each clip's partner."""
    result = pixels.clone()
    index = torch.nonzero(pairs).flatten()  # (M, 1), then (M,) clips to mix
    rows, columns = box
    result[index, ..., rows, columns] = pixels[len(pixels) - 1 - index, ..., rows, columns]
    return result


def _blended(values: Tensor, pairs: Tensor, share: float) -> Tensor:
    """(B, …) of which every clip in a pair keeps a share and takes the rest from its partner."""
    shares = torch.where(pairs, share, 1.0).to(values.dtype)
    return values.flip(0).lerp(values, shares.view(-1, *[1] * (values.ndim - 1)))  # (B, 1, …)
