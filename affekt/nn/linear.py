"""A linear layer with many inputs for few rows, in the order of factors that halves the time on a CPU.

A layer with thousands of inputs has far more weights than a batch of a few dozen rows has values. With the weights as
the left factor, the library need not repack them first. B rows, D inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_ROWS = 128
FEWEST_INPUTS = 512
"""The product is transposed from this number of inputs on, and up to this number of rows."""


def linear(rows: Tensor, layer: nn.Module) -> Tensor:
    """(B, O) output of `layer` for (B, D) rows, equal up to rounding."""
    few = len(rows) <= MOST_ROWS and rows.shape[-1] >= FEWEST_INPUTS and rows.ndim == 2
    plain = rows.device.type != 'cpu' or torch.is_autocast_enabled('cpu')
    if not few or plain or not isinstance(layer, nn.Linear) or layer.bias is None:
        answer: Tensor = layer(rows)
        return answer
    return torch.addmm(layer.bias.unsqueeze(1), layer.weight, rows.t()).t()  # (O, D) times (D, B), then transposed
