"""Linear maps by the matrix product that is fastest on the processor; results agree to rounding.

For many rows, `product` and the layer `Linear` choose the library by the processor. Torch multiplies by MKL, whose
large products were slower than those of oneDNN by 7 to 9 % on AMD processors with AVX-512; on those without it oneDNN
was slower, by 5 to 38 %.

For few rows with thousands of inputs (`linear`), a layer has far more weights than a batch has values. With the weights
as the left factor, the library need not repack them first.

Axes: B rows, D inputs, O outputs.
"""

from __future__ import annotations

import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MOST_ROWS = 128
FEWEST_INPUTS = 512
"""The product is transposed from this number of inputs on, and up to this number of rows."""
LEAST_WORK = 2**27
"""Multiplications in a product; below this number, repacking the weights costs oneDNN as much time as it saves."""


class Linear(nn.Linear):
    """A linear layer for many rows, see `product`.

    Args:
        inputs: D.
        outputs: O.
        bias: whether a bias is added.
        fused: False for torch's own product, which `torch.vmap` needs.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, *, fused: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.fused = fused

    def forward(self, rows: Tensor) -> Tensor:
        """(…, D) to (…, O)."""
        multiply = product if self.fused else functional.linear
        output: Tensor = multiply(rows, self.weight, self.bias)
        return output


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(…, O) outputs of a linear map, rows weightᵀ + bias.

    Args:
        rows: (…, D).
        weight: (O, D), in any memory layout.
        bias: (O,); None for none.
    """
    if not _uses_onednn(rows, weight):
        return functional.linear(rows, weight, bias)
    flat = _Product.apply(rows.reshape(-1, rows.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    output: Tensor = flat.unflatten(0, rows.shape[:-1])  # (B, O), then (…, O)
    return output


class _Product(torch.autograd.Function):
    """(B, D) rows times an (O, D) weight; the output and the gradient of the rows by oneDNN."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, 'none', [], '')
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.t()) if needs_rows else None,  # (B, D)
            gradient.t() @ rows if needs_weight else None,  # (O, D); MKL is not slower here
            gradient.sum(dim=0) if needs_bias else None,
        )


def _uses_onednn(rows: Tensor, weight: Tensor) -> bool:
    return bool(
        rows.numel() * weight.shape[0] >= LEAST_WORK
        and rows.device.type == 'cpu'
        and rows.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.enabled
        and prefers_onednn()
    )


@cache
def prefers_onednn() -> bool:
    """Whether the processor is by AMD and has AVX-512, and torch has the operator."""
    has_operator = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')
    if not has_operator or torch.backends.cpu.get_cpu_capability() != 'AVX512':
        return False
    vendor = platform.processor()
    with suppress(OSError), Path('/proc/cpuinfo').open(encoding='ascii', errors='replace') as file:
        vendor += file.read(4096)
    return 'AuthenticAMD' in vendor


def linear(rows: Tensor, layer: nn.Module) -> Tensor:
    """(B, O) output of `layer` for (B, D) rows, equal up to rounding."""
    is_small = len(rows) <= MOST_ROWS and rows.shape[-1] >= FEWEST_INPUTS and rows.ndim == 2
    leaves_choice_to_torch = rows.device.type != 'cpu' or torch.is_autocast_enabled('cpu')
    if not is_small or leaves_choice_to_torch or not isinstance(layer, nn.Linear) or layer.bias is None:
        output: Tensor = layer(rows)
        return output
    return torch.addmm(layer.bias.unsqueeze(1), layer.weight, rows.t()).t()  # (O, D) times (D, B), then transposed
