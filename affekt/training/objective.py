"""A model and its losses as one module, as the engine trains it.

L losses of a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affekt.errors import TrainingError, listed
from affekt.training.precision import PRECISIONS, Precision

Losses = Callable[[nn.Module, Any], Mapping[str, Tensor | None]]


class Objective(nn.Module):
    """A model and its losses as one module, since wrappers for several processes need a single `forward`."""

    def __init__(self, model: nn.Module, losses: Losses, precision: Precision, device: torch.device) -> None:
        super().__init__()
        self.model, self.precision, self.names = model, precision, tuple[str, ...]()
        self.presence = torch.zeros(2, 0)
        self._losses, self._device_type = losses, device.type

    def forward(self, batch: Any) -> Tensor:
        """(L,) losses of a batch, in the order of `names`, 0 where it has none; sets `presence`, see `Step.shares`."""
        half = self.precision != 'float32'
        with torch.autocast(self._device_type, PRECISIONS[self.precision]) if half else contextlib.nullcontext():
            losses = self._losses(self.model, batch)
        self.names = self.names or tuple(losses)
        shapes = {name: tuple(value.shape) for name, value in losses.items() if value is not None and value.ndim}
        if shapes or not losses or set(losses) != set(self.names):
            raise TrainingError(
                expected=f'a number for each of {listed(self.names) or "the losses"}, at every step',
                came=f'shapes {shapes}' if shapes else listed(losses) or 'no loss',
                todo='take the mean of each loss over the batch; where there is nothing to learn from, give None',
            )
        is_present = torch.tensor([losses[name] is not None for name in self.names])
        self.presence = torch.stack([is_present, ~is_present]).float()  # (2, L)
        present = [value for value in losses.values() if value is not None]
        zero = present[0].new_zeros(()) if present else self._zero()
        values = [losses[name] for name in self.names]
        return torch.stack([(zero if value is None else value).float() for value in values])  # (L,)

    def _zero(self) -> Tensor:
        """0, with a gradient of 0 for every trained weight."""
        trained = trained_parameters(self.model)
        shards = [own.to_local() if hasattr(own, 'to_local') else own for own in trained]  # FSDP keeps only a part
        return torch.stack([shard.sum() for shard in shards]).sum() * 0.0


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the model that are trained.

    Raises:
        TrainingError: there are none.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise TrainingError(
            expected=f'weights of {type(model).__name__} to train', came='a model whose weights are all frozen',
            todo='call `requires_grad_()` on those to train',
        )  # fmt: skip
    return trained
