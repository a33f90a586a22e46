"""Attention over modalities: one code per modality, and one weight per modality computed from all codes.

The published weights are raw outputs of a linear layer: they may be negative and do not sum to 1. The corrected form
applies a softmax over the present modalities.

Axes: B batch, M modalities, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion.model import (
    FusionModel,
    FusionShape,
    Kept,
    Losses,
    ModalityEncoders,
    PerceptronEncoder,
    presence,
    published_encoders,
    published_heads,
)
from affekt.nn import NameMap


class AttentionFusion(FusionModel):
    """`attention`: a weighted sum of the modalities' codes; for any modalities.

        h_m = MLP_m(x_m);  α = W MLP([h_1; …; h_M]);  z = Σ α_m h_m

    `encoders` gives h_m, `weigher` and `weights` give α, a softmax of it in the corrected form.

    Source: Lian et al. 2023, arXiv:2304.08981, section 4.
    """

    needs_modalities = None

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.encoders = ModalityEncoders(shape)
        self.weigher = PerceptronEncoder(len(shape.sizes) * shape.hidden, shape.hidden, shape.dropout)
        self.weights = nn.Linear(shape.hidden, len(shape.sizes))

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) weighted sum; no auxiliary loss."""
        codes = list(self.encoders(features, keep).values())
        weights = self.weights(self.weigher(torch.cat(codes, dim=1)))  # (B, M), from (B, M·H)
        if self.shape.corrected:
            if not (isinstance(keep, Kept) and len(keep.whole) == len(keep)):
                masks = presence({name: keep[name] for name in self.shape.sizes})
                present = torch.stack(list(masks.values()), dim=1)  # (B, M)
                weights = weights.masked_fill(~present, torch.finfo(weights.dtype).min)
            weights = torch.softmax(weights, dim=1)
        return (weights.unsqueeze(2) * torch.stack(codes, dim=1)).sum(dim=1), {}  # (B, M, 1) times (B, M, H)

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        return {**super().published_names(), 'fc_att': 'weights', **_weigher_names()}


class TopAttentionFusion(AttentionFusion):
    """`attention_topn`: any number of features of any modality, named `feat0`, `feat1`, … in the published files."""

    levels = ('utterance',)

    def published_names(self) -> NameMap:
        """Published state names to ours: the i-th encoder belongs to the i-th feature given."""
        names = {**published_heads(), 'fc_att': 'weights', **_weigher_names()}
        for i, name in enumerate(self.shape.sizes):
            names |= published_encoders(f'encoder{i}', f'encoders.encoders.{name}')
        return names


def _weigher_names() -> dict[str, str | None]:
    return {f'attention_mlp.linear_{i + 1}': f'weigher.layers.{i}' for i in range(3)}
