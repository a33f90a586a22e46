"""Sequences of unequal length in one tensor: moving, selecting and averaging their kept steps.

Convention: `keep_mask` is True where a step is real; a row without any kept step is a missing sequence. No function
branches on values, so all run under `torch.vmap`.

Axes: B batch, T time, D feature.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kept_first(sequence: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The kept steps moved to the front in their order, the rest filled with zeros.

        - a - b c    becomes    a b c 0 0    with the mask    1 1 1 0 0

    Args:
        sequence: (B, T, D).
        keep_mask: (B, T) bool.

    Returns:
        The (B, T, D) sequence and its (B, T) mask.
    """
    order = torch.sort((~keep_mask).to(torch.int8), dim=1, stable=True).indices  # (B, T)
    moved = torch.take_along_dim(sequence, order.unsqueeze(-1), dim=1)  # (B, T, D), the order as (B, T, 1)
    moved_mask = torch.take_along_dim(keep_mask, order, dim=1)
    return moved * moved_mask.unsqueeze(-1), moved_mask  # the mask as (B, T, 1)


def last_kept(sequence: Tensor, keep_mask: Tensor) -> Tensor:
    """The last kept step of each row whose kept steps come first; the first step where none is kept.

    Args:
        sequence: (B, T, D).
        keep_mask: (B, T) bool, True first.

    Returns:
        (B, D).
    """
    last = (keep_mask.sum(dim=1) - 1).clamp(min=0)  # (B,)
    return torch.take_along_dim(sequence, last[:, None, None], dim=1).squeeze(1)  # (B, 1, D), then (B, D)


def mean_kept(sequence: Tensor, keep_mask: Tensor) -> Tensor:
    """The mean over kept steps; 0 where none is kept.

    Args:
        sequence: (B, T, D).
        keep_mask: (B, T) bool.

    Returns:
        (B, D).
    """
    weights = keep_mask.to(sequence.dtype).unsqueeze(-1)  # (B, T, 1)
    return (sequence * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
