"""Initial weights of the networks here: linear maps drawn as in the published programs, biases 0."""

from __future__ import annotations

from torch import nn


def draw_normal(module: nn.Module) -> None:
    """Weights of a linear map in fine-tuned encoders: normal with standard deviation 0.02."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        _without_bias(module)


def draw_xavier(module: nn.Module) -> None:
    """Weights of a linear map in pre-training and the fusion encoder: uniform by its fan-in and fan-out."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        _without_bias(module)


def _without_bias(module: nn.Linear) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)
