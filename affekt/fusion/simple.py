"""Our simple models as baselines of fusion models: one linear layer, and gated perceptrons.

Axes: B batch, T time, M modalities, D feature of one modality, ΣD of all, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.errors import UnknownNameError
from affekt.fusion.model import FusionModel, FusionShape, Losses, presence
from affekt.nn import Dropout, mean_kept


class SimpleFusion(FusionModel):
    """Base of unpublished models: any modalities, corrected form only.

    Args:
        shape: sizes and options.
        width: size of the output of `fuse`.
    """

    needs_modalities = None

    def __init__(self, shape: FusionShape, width: int) -> None:
        super().__init__(shape, width)
        if not shape.corrected:
            raise UnknownNameError(
                expected=f'form corrected for {type(self).__name__}',
                came='reference',
                todo='leave form out: nobody published this model',
            )

    def _vectors(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> dict[str, Tensor]:
        """Modality to (B, D): sequences by their mean over kept steps."""
        if self.shape.level == 'utterance':
            return features
        return {name: mean_kept(value, keep[name]) for name, value in features.items()}


class LinearFusion(SimpleFusion):
    """`linear`: concatenated standardised features, dropout, and the two heads; weight decay regularises it."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=sum(shape.sizes.values()))
        self.dropout = Dropout(shape.dropout)
        for head in (self.emotion_head, self.value_head):
            if head is not None:  # a convex problem needs no random initialisation
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, ΣD) standardised features, the mean for a missing modality; no auxiliary loss."""
        vectors = self._vectors(features, keep)
        return self.dropout(torch.cat([vectors[name] for name in self.shape.sizes], dim=1)), {}  # (B, ΣD)


class GatedFusion(SimpleFusion):
    """`gated`: each modality's perceptron times a gate computed from all, summed over present modalities and
    normalised.

        h_m = GELU(LN(W_m x_m));  g = σ(V [h_1; …; h_M]);  z = LN(Σ g_m h_m)

    Source: similar to the gated multimodal unit, Arevalo et al. 2017, arXiv:1702.01992.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        hidden = shape.hidden
        self.codes = nn.ModuleDict(
            {
                name: nn.Sequential(Dropout(shape.dropout), nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.GELU())
                for name, size in shape.sizes.items()
            }
        )
        self.gates = nn.Linear(len(shape.sizes) * hidden, len(shape.sizes) * hidden)
        self.dropout = Dropout(shape.dropout)
        self.norm = nn.LayerNorm(hidden)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) representation; no auxiliary loss."""
        vectors, present = self._vectors(features, keep), presence(keep)
        # each (B, H), presence as (B, 1)
        codes = [code(vectors[name]) * present[name].unsqueeze(-1) for name, code in self.codes.items()]
        gates = torch.sigmoid(self.gates(torch.cat(codes, dim=1))).chunk(len(codes), dim=1)  # M of (B, H)
        fused = torch.stack([gate * code for gate, code in zip(gates, codes, strict=True)]).sum(dim=0)  # (B, H)
        return self.dropout(self.norm(fused)), {}
