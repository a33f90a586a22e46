"""Masks of hidden tokens in pre-training: a fixed number, so that all batches have the same shapes.

Masks are (B, N) bool, True where a token is hidden and must be reconstructed; `split_tokens` in `rebuilding.py`
converts them to indices of visible and hidden tokens. In a video the same cells are hidden in all time slices (tube
masking), so that none can be copied from the previous slice. Two slices of 2 x 2 cells, three of four hidden:

    noise .8 .1 .5 .9   hides   1 0 1 1 | 1 0 1 1   since the smallest noise stays visible

Axes: B batch, N tokens (slices, then rows, then columns).

Source: Tong et al. 2022 (VideoMAE), arXiv:2203.12602, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from affekt.errors import ValueRangeError

VIDEO_GRID, VIDEO_RATIO = (8, 10, 10), 0.9
"""Slices, rows, columns of tokens of 16 frames at 160 pixels; 90 of 100 cells are hidden, 80 tokens stay visible."""
AUDIO_GRID, AUDIO_RATIO = (16, 8), 0.8
"""Steps and bands of tokens of 256 x 128; 102 of 128 are hidden, 26 stay visible."""


def masked_count(cells: int, ratio: float) -> int:
    """Number of hidden cells: `ratio` times `cells`, rounded down as published.

    Raises:
        ValueRangeError: no cell would be hidden, or none visible.
    """
    count = int(ratio * cells) if math.isfinite(ratio) else 0
    if not 0 < count < cells:
        raise ValueRangeError(
            expected=f'a share of {cells} tokens that hides one at least and leaves one',
            came=f'{ratio}', todo='give a share between 0 and 1, or larger frames',
        )  # fmt: skip
    return count


def mask_of_noise(noise: Tensor, masked: int) -> Tensor:
    """(B, cells) bool: cells of the smallest noise are visible, the first of equals; the other `masked` cells are
    hidden.

    Args:
        noise: (B, cells) of any values.
        masked: number of cells to hide in each row.
    """
    order = torch.argsort(noise, dim=1, stable=True)
    mask = torch.ones_like(noise, dtype=torch.bool)
    return mask.scatter_(1, order[:, : noise.shape[1] - masked], False)


def cell_mask(
    count: int, grid: Sequence[int] = AUDIO_GRID, ratio: float = AUDIO_RATIO, *, rng: torch.Generator
) -> Tensor:
    """(B, N) masks that hide tokens at any position, for audio.

    Args:
        count: B.
        grid: tokens on each axis; N is their product.
        ratio: share hidden.
        rng: decides which; on the CPU.

    Raises:
        ValueRangeError: the share hides none or all.
    """
    cells = math.prod(grid)
    return mask_of_noise(torch.rand(count, cells, generator=rng), masked_count(cells, ratio))


def tube_mask(
    count: int, grid: Sequence[int] = VIDEO_GRID, ratio: float = VIDEO_RATIO, *, rng: torch.Generator
) -> Tensor:
    """(B, N) masks that hide the same cells in every time slice, for video.

    Args:
        count: B.
        grid: slices first, then rows and columns.
        ratio: share of a slice hidden.
        rng: decides which; on the CPU.

    Raises:
        ValueRangeError: the share hides none or all.
    """
    return in_all_slices(cell_mask(count, grid[1:], ratio, rng=rng), grid[0])


def in_all_slices(mask: Tensor, slices: int) -> Tensor:
    """A (B, cells) mask of one time slice as the (B, slices · cells) mask of all."""
    return mask.repeat(1, slices)
