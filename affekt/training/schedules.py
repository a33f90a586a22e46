"""Learning rates: how they rise and fall over the steps, and how they fall from the last layer to the first."""

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
    """The learning rate at each step, as a share of the one that is set.

    In the warm-up, at step s of W counted from 1, it is s / W. After it, where p runs from 0 to 1 at the last step and
    m is `least`:

        constant    1
        linear      m + (1 - m) (1 - p)
        cosine      m + (1 - m) (1 + cos(pi p)) / 2

    Args:
        shape: how it falls after the warm-up.
        warm_up: steps W, 0 or more.
        steps: in all, more than `warm_up`; after them the share stays that of the last one. Any number for `constant`.
        least: share at the last step, [0, 1].

    Raises:
        UnknownNameError: no such shape.
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
        """Of the learning rate at this step, counted from 1."""
        if step <= self.warm_up:
            return step / self.warm_up
        if self.shape == 'constant':
            return 1.0
        progress = min((step - self.warm_up) / (self.steps - self.warm_up), 1.0)
        falling = 1 - progress if self.shape == 'linear' else (1 + math.cos(math.pi * progress)) / 2
        return self.least + (1 - self.least) * falling


def layered_groups(
    model: nn.Module,
    layers: Sequence[nn.Module],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups of parameters for an optimiser: each layer slower than the next, vectors without weight decay.

        learning rate of layer l of L = learning_rate * layer_decay ** (L - l), l from 0

    What lies in no layer, such as a head, has the whole learning rate. Biases and scales (tensors of one axis or none)
    have no weight decay.

    Args:
        model: whose trained parameters are grouped.
        layers: modules of it from input to output: the embedding, then each block.
        learning_rate: of what lies in no layer.
        weight_decay: of tensors with two axes or more.
        layer_decay: (0, 1]; 1 for one learning rate.

    Returns:
        Groups with `params`, `lr` and `weight_decay`, in the order of the parameters' first appearance.

    Raises:
        ValueRangeError: layer_decay is out of range.

    Source: Clark et al. 2020 (ELECTRA), arXiv:2003.10555; as in Bao et al. 2022 (BEiT), arXiv:2106.08254.
    """
    if not 0 < layer_decay <= 1:
        raise ValueRangeError(expected='layer_decay in (0, 1]', came=f'{layer_decay}', todo='correct it')
    depth = {id(p): at for at, layer in enumerate(layers) for p in layer.parameters()}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        rate = learning_rate * layer_decay ** (len(layers) - depth.get(id(parameter), len(layers)))
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {'params': [], 'lr': rate, 'weight_decay': decay})
        group['params'].append(parameter)
    return list(groups.values())
