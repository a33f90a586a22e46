"""A running mean of a model's weights (weight averaging), often more accurate than the last weights.

Source: Tarvainen & Valpola 2017 (mean teacher), arXiv:1703.01780.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """The mean of all weights so far, then an exponential moving average; buffers are those of the last step.

        after step s, counted from 0:  mean = d mean + (1 - d) weights,  d = min(decay, s / (s + 1))

    Args:
        model: model whose current weights initialize the mean.
        decay: decay in (0, 1); a larger one averages over more steps.
        into: tensors to hold the mean, by the model's names, such as those of a copy of it; by default new ones.
    """

    def __init__(self, model: nn.Module, decay: float, into: Mapping[str, Tensor] | None = None) -> None:
        self._decay = decay
        self.steps = 0
        self.tensors = (
            into if into is not None else {name: value.detach().clone() for name, value in weights_of(model).items()}
        )

    def follow(self, model: nn.Module) -> None:
        """Update the mean after a training step."""
        decay = min(self._decay, self.steps / (self.steps + 1))
        self.steps += 1
        with torch.no_grad():
            for name, value in weights_of(model).items():
                if isinstance(value, nn.Parameter):
                    self.tensors[name].lerp_(value, 1 - decay)
                else:
                    self.tensors[name].copy_(value)

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Replace the model's weights by the mean within the block, and restore them after it."""
        state = model.state_dict()
        mean = {name: value for name, value in self.tensors.items() if name in state}
        previous = {name: state[name].clone() for name in mean}
        model.load_state_dict(state | mean)
        try:
            yield
        finally:
            model.load_state_dict(model.state_dict() | previous)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Trained parameters, each under one name, and buffers."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {**trained, **dict(model.named_buffers())}
