"""Learning rates over steps (warm-up and decay) and over layers (layer-wise decay)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from affekt.errors import UnknownNameError, ValueRangeError

Shape = Literal['constant', 'cosine', 'linear']


@dataclass(frozen=True)
class Schedule:
    """The learning rate at each step, as a share of the base learning rate.

    During warm-up, at step s of W counted from 1, it is s / W. After it, with p rising from 0 to 1 at the last step and
    m for `least`:

        constant    1
        linear      m + (1 - m) (1 - p)
        cosine      m + (1 - m) (1 + cos(pi p)) / 2

    Args:
        shape: shape of the decay after the warm-up.
        warm_up: number of warm-up steps W, >= 0.
        steps: number of all steps, > `warm_up`; later steps have the share of the last one. Unused for `constant`.
        least: share at the last step, in [0, 1].

    Raises:
        UnknownNameError: the shape is unknown.
        ValueRangeError: a number is out of range.
    """

    shape: Shape = 'constant'
    warm_up: int = 0
    steps: int = 0
    least: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in ('constant', 'cosine', 'linear'):
            raise UnknownNameError(
                expected='shape constant, cosine or linear', came=repr(self.shape), todo='choose one'
            )
        is_long_enough = self.shape == 'constant' or self.steps > self.warm_up
        if self.warm_up < 0 or not 0 <= self.least <= 1 or not is_long_enough:
            raise ValueRangeError(
                expected='warm_up of 0 or more, more steps than that, and least in [0, 1]',
                came=f'warm_up {self.warm_up}, steps {self.steps}, least {self.least}',
                todo='correct them',
            )

    def share(self, step: int) -> float:
        """Share of the base learning rate at a step, counted from 1."""
        if step <= self.warm_up:
            return step / self.warm_up
        if self.shape == 'constant':
            return 1.0
        progress = min((step - self.warm_up) / (self.steps - self.warm_up), 1.0)
        decay = 1 - progress if self.shape == 'linear' else (1 + math.cos(math.pi * progress)) / 2
        return self.least + (1 - self.least) * decay


def layered_groups(
    model: nn.Module,
    layers: Sequence[nn.Module],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Parameter groups for layer-wise learning rate decay; vectors have no weight decay.

        learning rate of layer l of L = learning_rate * layer_decay ** (L - l), l from 0

    Parameters outside all layers, such as a head, have the full learning rate. Biases and scales (tensors of at most
    one axis) have no weight decay.

    Args:
        model: model whose trainable parameters are grouped.
        layers: its modules from input to output: the embedding, then each block.
        learning_rate: learning rate of parameters outside all layers.
        weight_decay: weight decay of tensors with two or more axes.
        layer_decay: factor per layer in (0, 1]; 1 for one learning rate.

    Returns:
        Groups with `params`, `lr` and `weight_decay`, in the order of the parameters' first appearance.

    Raises:
        ValueRangeError: layer_decay is out of range.

    Source: Clark et al. 2020 (ELECTRA), arXiv:2003.10555; as in Bao et al. 2022 (BEiT), arXiv:2106.08254.
    """
    if not 0 < layer_decay <= 1:
        raise ValueRangeError(expected='layer_decay in (0, 1]', came=f'{layer_decay}', todo='correct it')
    depth = {id(parameter): index for index, layer in enumerate(layers) for parameter in layer.parameters()}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        rate = learning_rate * layer_decay ** (len(layers) - depth.get(id(parameter), len(layers)))
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {'params': [], 'lr': rate, 'weight_decay': decay})
        group['params'].append(parameter)
    return list(groups.values())
