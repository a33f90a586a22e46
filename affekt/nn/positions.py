"""Positions of tokens as sines and cosines of their index.

Axes: N positions, D width.

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor


def sinusoids(count: int, width: int) -> Tensor:
    """The fixed (N, D) table of VideoMAE, HiCMAE and SVFAP; tokens of a volume are indexed in flattened order.

        angle(p, j) = p / 10000**(2⌊j/2⌋ / D);  sine in even columns, cosine in odd ones

    Args:
        count: N.
        width: D.

    Returns:
        float32, rounded from double precision.
    """
    columns = torch.arange(width, dtype=torch.float64)
    rates = 10_000.0 ** (2 * torch.div(columns, 2, rounding_mode='floor') / width)  # (D,)
    angles = torch.arange(count, dtype=torch.float64).unsqueeze(1) / rates  # (N, D)
    angles[:, 0::2] = angles[:, 0::2].sin()
    angles[:, 1::2] = angles[:, 1::2].cos()
    return angles.float()


def position_table(count: int, width: int, like: Tensor) -> Tensor:
    """The (N, D) table of `sinusoids` on the device and in the precision of a tensor; cached."""
    if width in _sliced:
        return _sliced[width][:count].to(like.dtype)
    if type(like) is not Tensor:  # a tracing tensor of `torch.export` must not be cached
        return sinusoids(count, width).to(like.device, like.dtype)
    return _table(count, width, like.device, like.dtype)


@contextmanager
def sliced_positions(longest: int, width: int) -> Iterator[None]:
    """Context in which tables of width D are slices of one (longest, D) table.

    Their length may then be symbolic, as the export of networks needs it.

    Args:
        longest: largest number of positions.
        width: D.
    """
    _sliced[width] = sinusoids(longest, width)
    try:
        yield
    finally:
        del _sliced[width]


_sliced: dict[int, Tensor] = {}


@lru_cache(maxsize=16)
def _table(count: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return sinusoids(count, width).to(device, dtype)


def sinusoids_in_halves(tokens: Tensor) -> Tensor:
    """The (T, D) table for (B, T, D) tokens with all sines first, then all cosines, in the order of fairseq and MulT.

        angle(p, j) = p / 10000**(j / h),  h = ⌈D/2⌉; fairseq divides j by h - 1

    On the device and in the precision of the tokens; for odd D the last cosine is left out.
    """
    count, width = tokens.shape[1:]
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half, device=tokens.device) * (-math.log(10_000.0) / half))  # (h,)
    angles = torch.arange(count, device=tokens.device).unsqueeze(1) * rates  # (T, h)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width].to(tokens.dtype)  # (T, D)
