"""Resampling of features to the frames by a convolution that is learned with the model, instead of a fixed rule.

Each frame gets its K nearest rows in time and their distances. A kernel over the distance gives the weight of each row;
it starts as a Gaussian with a standard deviation of half a step, which is close to interpolation, and can learn to
lead, lag or smooth. Weights sum to 1, so that missing rows do not change the scale. K neighbours, D columns, H kernels,
G entries of a kernel's table; ... any leading axes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affekt.sequence_models.form import Features, FrameAnswers, KeepMask, SequenceModel

KERNELS = 8
"""Maximum number of kernels, one per group of columns; the largest number up to it that divides D is used."""
PER_STEP = 4
"""Entries of a kernel's table per step."""


class LearnedClock(nn.Module):
    """A learned weighting of the rows around each frame.

        y = Σ_k w_k x_k,  w = softmax over k of kernel(d_k),  d: distances in steps

    Args:
        columns: D.
        neighbours: K. Rows further away than K / 2 + 1 steps have weight 0.
    """

    def __init__(self, columns: int, neighbours: int) -> None:
        super().__init__()
        self.kernels = max(count for count in range(1, KERNELS + 1) if columns % count == 0)
        self.reach = neighbours // 2 + 1.0
        distances = torch.linspace(-self.reach, self.reach, int(2 * self.reach * PER_STEP) + 1)  # (G,)
        self.table = nn.Parameter((-2 * distances.square()).unsqueeze(1).repeat(1, self.kernels))  # (G, H)

    def forward(self, around: Tensor) -> Tensor:
        """(..., D) from the (..., K, D + 1) of `NeighbourRows`; 0 for a frame without a row in reach."""
        rows, distances = around[..., :-1], around[..., -1]
        is_in_reach = distances.abs() <= self.reach  # False for nan
        position = (torch.where(is_in_reach, distances, 0.0) + self.reach) * PER_STEP
        left = position.floor().clamp(max=len(self.table) - 2)
        share = (position - left).unsqueeze(-1)
        logits = self.table[left.long()] * (1 - share) + self.table[left.long() + 1] * share  # (..., K, H)
        logits = logits.masked_fill(~is_in_reach.unsqueeze(-1), torch.finfo(logits.dtype).min)
        weights = logits.softmax(dim=-2) * is_in_reach.unsqueeze(-1)
        groups = rows.unflatten(-1, (self.kernels, -1))  # (..., K, H, D / H)
        return torch.einsum('...kh,...khd->...hd', weights, groups).flatten(-2)  # (..., D)


class OnLearnedClocks(nn.Module):
    """A frame-level model with learned clocks for some modalities.

    Args:
        model: the frame-level model.
        neighbours: modality to its K.
    """

    def __init__(self, model: SequenceModel, neighbours: Mapping[str, int]) -> None:
        super().__init__()
        self.model = model
        self.shape = model.shape
        self.clocks = nn.ModuleDict(
            {name: LearnedClock(model.shape.sizes[name], count) for name, count in neighbours.items()}
        )

    def forward(self, features: Features, keep_mask: KeepMask = None) -> FrameAnswers:
        """The model's predictions; features with learned clocks are (B, T, K, D + 1)."""
        output: FrameAnswers = self.model(self._on_frames(features), keep_mask)
        return output

    def standardise_on(self, features: Features, keep_mask: KeepMask = None) -> None:
        """As the model's `standardise_on`, with the initial clocks."""
        with torch.no_grad():
            self.model.standardise_on(self._on_frames(features), keep_mask)

    def _on_frames(self, features: Features) -> dict[str, Tensor]:
        """(..., D) features of each modality on the frames."""
        return {
            name: self.clocks[name](value) if name in self.clocks else value for name, value in features.items()
        }  # fmt: skip


def with_learned_clocks(model: SequenceModel, neighbours: Mapping[str, int]) -> SequenceModel | OnLearnedClocks:
    """The model with its learned clocks; the model itself if no modality has one.

    Args:
        model: the frame-level model.
        neighbours: modality to K, for those with a learned clock.
    """
    return OnLearnedClocks(model, neighbours) if neighbours else model
