"""A pretrained encoder trained together with what stands on it: states, their mean, a perceptron, logits and values.

The shape of MER2024's end-to-end model, for one modality. It is trained by `affekt.training.train` as every other
model; `backbone_share` there gives the encoder a lower rate, or freezes it. `BackboneHead` alone on an encoder's
vectors is the same model with the encoder frozen, at a hundredth of the cost.

Axes: B batch, T rows, D size of the encoder's states, H hidden. Source: MER2024, Lian et al. 2024, arXiv:2404.17113.
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
    """Standardised vectors, dropout, three layers, each linear and rectified, and the two heads.

    A column's deviation counts as a tenth of the mean one at least. Encoders have dead columns (MiniLM-L6 has three,
    below 1e-9), which training wakes: divided by their own deviation they would drown all others.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.encoder = PerceptronEncoder(sum(shape.sizes.values()), shape.hidden, shape.dropout)

    def standardise_on(self, features: Features, keep_mask: Features | None = None) -> None:
        """Take mean and deviation of each column from training data."""
        super().standardise_on(features, keep_mask)
        for scale in self.scales.values():
            assert isinstance(scale, InputScale)
            scale.deviation.clamp_(min=float(scale.deviation.mean()) / 10)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) representation; no auxiliary loss."""
        vectors = self._vectors(features, keep)
        return self.encoder(torch.cat([vectors[name] for name in self.shape.sizes], dim=1)), {}


class EndToEnd(torch.nn.Module):
    """An encoder, the mean over its states, and a head that reads it.

    Args:
        backbone: from `open_backbone`; its parameters are trained as they are.
        head: of one modality of the backbone's size, at utterance level. It keeps the scale that its `standardise_on`
            was given before: that of the encoder's first vectors, say.
    """

    reads_at_once = 32
    """Samples at once where nothing is learnt."""

    def __init__(self, backbone: Backbone, head: FusionModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, features: Features, keep_mask: Features) -> Fused:
        """Answer for one batch.

        Args:
            features: the backbone's modality to its (B, T, R) rows.
            keep_mask: the same to (B, T) bool.
        """
        name = self.backbone.modality
        vectors = pooled(self.backbone, features[name], keep_mask[name])
        answer: Fused = self.head({name: vectors}, {name: keep_mask[name].any(dim=1)})
        return answer

    def train(self, mode: bool = True) -> Any:
        """Training mode; an encoder that is frozen stays in evaluation, without dropout."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self


def pooled(backbone: Backbone, rows: Tensor, keep: Tensor) -> Tensor:
    """(B, D) float32: the mean of an encoder's states over those that count."""
    states, counted = backbone(rows, keep)
    return mean_kept(states.float(), counted)


def vectors(
    backbone: Backbone,
    samples: Samples,
    *,
    batch: int = EndToEnd.reads_at_once,
    progress: Callable[[str, float, float], None] | None = None,
) -> Tensor:
    """(N, D) float32 on the CPU: what an encoder says of samples as it is, in their order.

    Args:
        backbone: on the device of the samples; put into evaluation mode.
        samples: with the backbone's modality.
        batch: samples at once; those of like length are read together.
        progress: told 'encode', samples done, samples in all.
    """
    backbone.eval()
    order = torch.argsort(samples.lengths(), stable=True)
    parts = []
    with torch.no_grad():
        for index in order.split(batch):
            part = samples.batch(index)
            rows, keep = part.features[backbone.modality], part.keep_mask[backbone.modality]
            parts.append(pooled(backbone, rows, keep).cpu())
            if progress:
                progress('encode', sum(map(len, parts)), len(samples))
    return torch.cat(parts)[torch.argsort(order)]
