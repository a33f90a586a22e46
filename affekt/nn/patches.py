"""Images, spectrograms and videos cut into patches: tokens of a transformer, and its targets of reconstruction.

Two sizes cut a plane (an image, or a spectrogram with time down and mel bands across), three cut a volume into tubes.
Tokens and cells are in the order of the axes, the last one fastest; the channels of a cell are adjacent. One channel,
2 x 4, cut into 2 x 2:

    a b c d
    e f g h    becomes the tokens (a b e f) and (c d g h)

In memory the channels of a patch are stored one after another, as in the input: cutting then copies whole rows, and an
operation per channel reads contiguous memory. `planes` gives patches in that order.

Axes: B batch, C channels, then n pixel axes; N tokens, P cells of a patch, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, ValueRangeError
from affekt.nn.linear import product

DEVIATION_FLOOR = 1e-6
"""Added to the standard deviation of a patch, which is 0 for a uniform patch."""
CACHED = 2**17
"""Elements standardised at once on a CPU: half a megabyte of float32, which its cache holds."""


class PatchEmbedding(nn.Module):
    """(B, C, pixel axes) to (B, N, D): each patch through one linear map.

    The map is a convolution whose stride is its kernel, named `proj`, as VideoMAE, HiCMAE and SVFAP save it.

    Args:
        channels: C.
        width: D.
        size: size of a patch: (16, 16) for planes, (2, 16, 16) for volumes.

    Raises:
        ValueRangeError: there are neither two nor three sizes.
    """

    def __init__(self, channels: int, width: int, size: Sequence[int]) -> None:
        super().__init__()
        if len(size) not in (2, 3):
            raise ValueRangeError(expected='a patch of two or three sizes', came=f'{tuple(size)}', todo='give others')
        self.channels, self.size = channels, tuple(size)
        convolution: Any = nn.Conv2d if len(size) == 2 else nn.Conv3d
        self.proj: Any = convolution(channels, width, kernel_size=self.size, stride=self.size)

    def forward(self, pixels: Tensor) -> Tensor:
        """The (B, N, D) tokens.

        Raises:
            ShapeError: the number of channels is wrong, or an axis is not a multiple of the patch.
        """
        _grid(pixels, self.size)
        if pixels.shape[1] != self.channels:
            raise ShapeError(
                expected=f'{self.channels} channels', came=f'{tuple(pixels.shape)}', todo='put channels second'
            )
        tokens: Tensor = self.proj(pixels).flatten(2).transpose(1, 2)  # (B, D, N), then (B, N, D)
        return tokens

    def of_patches(self, patches: Tensor) -> Tensor:
        """The (B, N, D) tokens of (B, N, P, C) patches as cut by `to_patches`; any subset, in any order."""
        return product(planes(patches).flatten(2), self.proj.weight.flatten(1), self.proj.bias)  # by (D, C * P)


def to_patches(pixels: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, pixel axes) cut into (B, N, P, C) patches.

    Args:
        pixels: (B, C, Y, X) for two sizes, (B, C, T, Y, X) for three.
        size: size of a patch along each pixel axis.

    Raises:
        ShapeError: an axis is not a multiple of the patch.
    """
    grid, n = _grid(pixels, size), len(size)
    pairs = [length for cells in zip(grid, size, strict=True) for length in cells]
    cut = pixels.reshape(*pixels.shape[:2], *pairs)  # (B, C, t, p, y, q, x, r): patches and cells of T, Y, X
    tokens, cells = range(2, 2 + 2 * n, 2), range(3, 3 + 2 * n, 2)
    ordered = cut.permute(0, *tokens, 1, *cells)  # (B, t, y, x, C, p, q, r)
    return ordered.flatten(1, n).flatten(3).transpose(2, 3)  # (B, N, C, p, q, r), (B, N, C, P), then (B, N, P, C)


def planes(patches: Tensor) -> Tensor:
    """(B, N, P, C) patches as (B, N, C, P), channel by channel; a view, not a copy, of the output of `to_patches`."""
    return patches.transpose(2, 3)  # (B, N, C, P)


def from_patches(patches: Tensor, size: Sequence[int], grid: Sequence[int]) -> Tensor:
    """The inverse of `to_patches`: (B, N, P, C) put together as (B, C, pixel axes).

    Args:
        patches: (B, N, P, C); (B, N, P·C) must be reshaped by `unflatten(2, (-1, C))` first.
        size: size of a patch along each pixel axis.
        grid: number of patches on each pixel axis.

    Raises:
        ShapeError: sizes and grid do not match N and P.
    """
    n = len(size)
    if (
        patches.ndim != 4
        or math.prod(grid) != patches.shape[1]
        or math.prod(size) != patches.shape[2]
        or len(grid) != n
    ):
        raise ShapeError(
            expected=f'(B, {math.prod(grid)}, {math.prod(size)}, C) for grid {tuple(grid)} and size {tuple(size)}',
            came=f'{tuple(patches.shape)}',
            todo='check the grid, and put channels last',
        )
    ordered: Tensor = patches.unflatten(2, tuple(size)).unflatten(1, tuple(grid))  # (B, t, y, x, p, q, r, C)
    pairs = [axis for i in range(n) for axis in (1 + i, 1 + n + i)]
    cut = ordered.permute(0, 1 + 2 * n, *pairs)  # (B, C, t, p, y, q, x, r)
    lengths = (count * cells for count, cells in zip(grid, size, strict=True))
    return cut.reshape(*cut.shape[:2], *lengths)  # (B, C, T, Y, X)


def standardised_patches(patches: Tensor, floor: float | Tensor = DEVIATION_FLOOR) -> Tensor:
    """(B, N, P, C) patches, each channel of each patch standardised separately: the target of masked pre-training.

        (x - mean) / (standard deviation + floor), the variance divided by P - 1

    Args:
        patches: (B, N, P, C).
        floor: constant added to the standard deviation, in the unit of the patches; a number, or (C,).

    Returns:
        (B, N, P, C); nan where a patch has one cell.

    Source: He et al. 2022, arXiv:2111.06377, section 3; per channel as in VideoMAE, arXiv:2203.12602.
    """
    rows = planes(patches).flatten(0, 1)  # (B N, C, P)
    rows_per_piece = max(CACHED // max(rows[:1].numel(), 1), 1) if patches.device.type == 'cpu' else len(rows)
    standardised = torch.empty(rows.shape, dtype=rows.dtype, device=rows.device)
    floor_per_channel = floor.unsqueeze(1) if isinstance(floor, Tensor) else floor  # (C, 1)
    for piece, out in zip(rows.split(rows_per_piece), standardised.split(rows_per_piece), strict=True):
        _standardise(piece, floor_per_channel, out)
    return planes(standardised.unflatten(0, patches.shape[:2]))  # (B, N, C, P), then (B, N, P, C)


def _standardise(rows: Tensor, floor: float | Tensor, out: Tensor) -> None:
    """Write (R, C, P) planes into `out`, each standardised by its own mean and standard deviation."""
    torch.sub(rows, rows.mean(dim=2, keepdim=True), out=out)
    deviation = (out.square().sum(dim=2, keepdim=True) / (rows.shape[2] - 1)).sqrt()  # (R, C, 1)
    out *= 1 / (deviation + floor)


def _grid(pixels: Tensor, size: Sequence[int]) -> tuple[int, ...]:
    """Number of patches along each pixel axis."""
    lengths = pixels.shape[2:]
    if pixels.ndim != 2 + len(size) or any(length % cells for length, cells in zip(lengths, size, strict=True)):
        raise ShapeError(
            expected=f'(B, C, pixel axes), {len(size)} of them, each a multiple of its patch {tuple(size)}',
            came=f'{tuple(pixels.shape)}',
            todo='crop or resize first',
        )
    return tuple(length // cells for length, cells in zip(lengths, size, strict=True))
