"""A linear layer of many inputs for few rows, in the order of products that costs a CPU half.

A layer of thousands of inputs has far more weights than a batch of a few dozen rows has numbers. With the weights on
the left of the product, the library need not rearrange them first. B rows, D inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_ROWS = 128
FEWEST_INPUTS = 512
"""Between these the product is turned."""


def linear(rows: Tensor, layer: nn.Module) -> Tensor:
    """What `layer` says of (B, D) rows, to rounding: (B, O)."""
    few = len(rows) <= MOST_ROWS and rows.shape[-1] >= FEWEST_INPUTS and rows.ndim == 2
    plain = rows.device.type != 'cpu' or torch.is_autocast_enabled('cpu')
    if not few or plain or not isinstance(layer, nn.Linear) or layer.bias is None:
        answer: Tensor = layer(rows)
        return answer
    return torch.addmm(layer.bias.unsqueeze(1), layer.weight, rows.t()).t()  # (O, D) times (D, B), turned
