"""Dropout with a quarter of the random numbers: one 64-bit draw decides four units.

On a CPU, drawing them is most of the cost of `nn.Dropout` where there are thousands of units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets each unit to 0 with a probability and scales the others up to keep the mean; identity in evaluation.

    Args:
        share: dropout probability, rounded to 1/65536.
    """

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = share

    def forward(self, units: Tensor) -> Tensor:
        """Units after dropout, in the same shape."""
        if not self.training or self.share == 0.0:
            return units
        if units.device.type != 'cpu':
            return nn.functional.dropout(units, self.share)
        flat = units.reshape(-1)  # (N,) of all units, four per draw
        draws = torch.empty_like(flat[: (len(flat) + 3) // 4], dtype=torch.int64).random_(-(2**63), None)  # (⌈N / 4⌉,)
        limit = round(self.share * 65536) - 32768
        # 1 at or above the limit, 0 below: in place, and cheaper than a comparison and a conversion of its result
        kept = draws.view(torch.int16)[: len(flat)].to(torch.float32).sub_(limit - 1)
        kept = nn.functional.hardtanh_(kept, 0.0, 1.0).mul_(1 / (1 - self.share))
        return units * kept.to(units.dtype).view(units.shape)  # (N,) in the shape of the units

    def extra_repr(self) -> str:
        """Dropout probability, for `print`."""
        return f'share={self.share}'
