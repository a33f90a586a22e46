"""Recurrences that give a state for every frame and wait where a frame is not kept.

The kept frames are moved together, read by one call of `nn.LSTM`, and their states are spread over all frames again: a
frame that is not kept has the state of the last kept one before it. Of five frames, three of which are kept:

    frame     0 1 2 3 4        moved together    a c d 0 0        states    A C D . .
    feature   a - c d -        onward            A A C D D        backward  from the next kept one: A C C D 0

Axes: B batch, T frames, D feature, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.nn import kept_first


class Recurrence(nn.Module):
    """(B, T, D) to the (B, T, H) states of an LSTM; zeros before the first kept frame.

    Args:
        size: D.
        hidden: H.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(size, hidden, batch_first=True)

    def forward(self, sequence: Tensor, keep: Tensor | None = None) -> Tensor:
        """The states; a `keep` of None keeps all."""
        return read_onward(self.onward, sequence, keep)


class TwoWayRecurrence(nn.Module):
    """(B, T, D) to the (B, T, 2H) states of an LSTM that reads onward, and of one that reads backward.

    The weights are those of a bidirectional `nn.LSTM`.

    Args:
        size: D.
        hidden: H.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(size, hidden, batch_first=True)
        self.backward = nn.LSTM(size, hidden, batch_first=True)

    def forward(self, sequence: Tensor, keep: Tensor | None = None) -> Tensor:
        """The states; a `keep` of None keeps all."""
        ahead = read_onward(self.onward, sequence, keep)
        turned = read_onward(self.backward, sequence.flip(1), None if keep is None else keep.flip(1))
        return torch.cat([ahead, turned.flip(1)], dim=2)  # (B, T, 2H)


def read_onward(cells: nn.LSTM, sequence: Tensor, keep: Tensor | None) -> Tensor:
    """(B, T, H) states over the kept frames of (B, T, D), each lasts until the next."""
    if keep is None:
        states: Tensor = cells(sequence)[0]
        return states
    return spread_over(cells(kept_first(sequence, keep)[0])[0], keep)


def spread_over(states: Tensor, keep: Tensor) -> Tensor:
    """States of the kept frames, which stand first, spread over all frames: each lasts until the next.

    Args:
        states: (B, T, H).
        keep: (B, T) bool.

    Returns:
        (B, T, H); zeros before the first kept frame.
    """
    before = keep.cumsum(dim=1).unsqueeze(2)  # (B, T, 1): kept frames up to each
    spread = torch.take_along_dim(states, (before - 1).clamp(min=0), dim=1)
    return torch.where(before > 0, spread, 0.0)
