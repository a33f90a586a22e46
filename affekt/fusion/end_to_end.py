"""A pre-trained encoder fine-tuned together with a head: states, their mean, a perceptron, logits and values.

The architecture of MER2024's end-to-end model, for one modality. `affekt.training.train` trains it like every other
model; `backbone_share` there gives the encoder a lower learning rate, or freezes it. `BackboneHead` alone on an
encoder's vectors is the same model with a frozen encoder, at a hundredth of the cost.

Axes: B batch, T rows of size R, D size of the encoder's states, H hidden.

Source: MER2024, Lian et al. 2024, arXiv:2404.17113.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from affekt.encoders import Backbone
from affekt.fusion.model import Features, Fused, FusionModel, FusionShape, InputScale, Losses, PerceptronEncoder
from affekt.fusion.simple import SimpleFusion
from affekt.nn import mean_kept
from affekt.training import Samples


class BackboneHead(SimpleFusion):
    """Standardised vectors, dropout, three linear layers with ReLU, and the two heads.

    A column's standard deviation counts as at least a tenth of the mean one. Encoders have dead columns (MiniLM-L6 has
    three, below 1e-9), which training activates: divided by their own deviation they would dominate all others.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.encoder = PerceptronEncoder(sum(shape.sizes.values()), shape.hidden, shape.dropout)

    def standardise_on(self, features: Features, keep_mask: Features | None = None) -> None:
        """Compute mean and standard deviation of each column from training data."""
        super().standardise_on(features, keep_mask)
        for scale in self.scales.values():
            assert isinstance(scale, InputScale)
            scale.deviation.clamp_(min=float(scale.deviation.mean()) / 10)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) representation; no auxiliary loss."""
        vectors = self._vectors(features, keep)
        return self.encoder(torch.cat([vectors[name] for name in self.shape.sizes], dim=1)), {}


class EndToEnd(torch.nn.Module):
    """An encoder, the mean over its states, and a head.

    Args:
        backbone: encoder from `open_backbone`; its parameters are trained unless frozen.
        head: head for the backbone's modality and size, at utterance level. It keeps the scale that its
            `standardise_on` computed before, for example from the encoder's initial vectors.
    """

    reads_at_once = 32
    """Samples per batch in inference."""

    def __init__(self, backbone: Backbone, head: FusionModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, features: Features, keep_mask: Features) -> Fused:
        """Fuse one batch.

        Args:
            features: the backbone's modality to its (B, T, R) rows.
            keep_mask: the same modality to a (B, T) bool mask.
        """
        name = self.backbone.modality
        vectors = pooled(self.backbone, features[name], keep_mask[name])
        output: Fused = self.head({name: vectors}, {name: keep_mask[name].any(dim=1)})
        return output

    def train(self, mode: bool = True) -> Any:
        """Training mode; a frozen encoder stays in evaluation mode, without dropout."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self


def pooled(backbone: Backbone, rows: Tensor, keep: Tensor) -> Tensor:
    """(B, D) float32: the mean over an encoder's kept states."""
    states, state_mask = backbone(rows, keep)
    return mean_kept(states.float(), state_mask)


def vectors(
    backbone: Backbone,
    samples: Samples,
    *,
    batch: int = EndToEnd.reads_at_once,
    progress: Callable[[str, float, float], None] | None = None,
) -> Tensor:
    """(N, D) float32 on the CPU: vectors of samples from the encoder, in their order.

    Args:
        backbone: encoder on the device of the samples; put into evaluation mode.
        samples: samples with the backbone's modality.
        batch: samples per batch; those of similar length are batched together.
        progress: called with 'encode', samples done and total samples.
    """
    backbone.eval()
    order = torch.argsort(samples.lengths(), stable=True)
    pooled_chunks = []
    with torch.no_grad():
        for index in order.split(batch):
            chunk = samples.batch(index)
            rows, keep = chunk.features[backbone.modality], chunk.keep_mask[backbone.modality]
            pooled_chunks.append(pooled(backbone, rows, keep).cpu())
            if progress:
                progress('encode', sum(map(len, pooled_chunks)), len(samples))
    return torch.cat(pooled_chunks)[torch.argsort(order)]
