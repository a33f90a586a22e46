"""The features of all modalities of a frame as one vector, and the model that reads this vector only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion import Losses
from affekt.nn import Dropout
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape


class FrameProjection(nn.Module):
    """(B, T, D) features of each modality to one (B, T, H): the mean of their linear projections.

    A masked modality is replaced by a learned vector.
    """

    def __init__(self, shape: SequenceShape) -> None:
        super().__init__()
        self.dropout = Dropout(shape.dropout)
        self.layers = nn.ModuleDict({name: nn.Linear(size, shape.hidden) for name, size in shape.sizes.items()})
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(shape.hidden)) for name in shape.sizes})

    def forward(self, features: dict[str, Tensor], kept: Kept) -> Tensor:
        """The (B, T, H) tokens."""
        codes = [layer(self.dropout(features[name])) for name, layer in self.layers.items()]
        if not kept.whole:
            codes = [
                torch.where(kept.of[name].unsqueeze(2), code, self.absent[name])  # the mask as (B, T, 1)
                for name, code in zip(self.layers, codes, strict=True)
            ]
        return torch.stack(codes).mean(dim=0)  # (M, B, T, H) of M modalities, then (B, T, H)


class PerFrame(SequenceModel):
    """`per_frame`: each frame separately, without any model of time; a baseline for the other models."""

    forms = ('corrected',)

    def __init__(self, shape: SequenceShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.projection = FrameProjection(shape)
        self.inner = nn.Linear(shape.hidden, shape.hidden)
        self.dropout = Dropout(shape.dropout)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, H) representation; no auxiliary loss."""
        tokens = torch.relu(self.projection(features, kept))
        return torch.relu(self.inner(self.dropout(tokens))), {}
