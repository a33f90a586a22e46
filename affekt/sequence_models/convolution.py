"""Temporal convolution: blocks with doubling dilation over the features of all modalities.

Axes: B batch, T frames, H hidden, K kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.fusion import Losses
from affekt.nn import Dropout
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape
from affekt.sequence_models.projection import FrameProjection


class TemporalConvolution(SequenceModel):
    """`convolution`: residual blocks of a dilated convolution, over windows of any length.

        x ← x + W gelu(conv_d(norm x)),  d = 1, 2, 4, …

    A masked frame is zero for every convolution, like frames outside the window. So masked frames around a window
    change nothing, and windows may have any length.

    Args:
        layers: number of blocks.
        kernel: K, odd. A frame reads ⌊K / 2⌋ (2**layers − 1) frames to each side: 126 by default, 4 s at 30 per second.
        causal: read no later frame, and twice as far back.

    Source: Bai et al. 2018, arXiv:1803.01271, section 3, with the norm first and by default not causal.
    """

    forms = ('corrected',)

    def __init__(self, shape: SequenceShape, *, layers: int = 6, kernel: int = 5, causal: bool = False) -> None:
        if layers < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueRangeError(
                expected='at least one layer and an odd kernel', came=f'{layers}, {kernel}', todo='choose others'
            )
        super().__init__(shape, width=shape.hidden)
        self.projection = FrameProjection(shape)
        self.blocks = nn.ModuleList(
            _Block(shape.hidden, kernel, 2**i, shape.dropout, causal=causal) for i in range(layers)
        )
        self.norm = nn.LayerNorm(shape.hidden)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, H) representation; no auxiliary loss."""
        tokens = self.projection(features, kept)
        keep = None if kept.whole else kept.frames.unsqueeze(2)  # (B, T, 1)
        for block in self.blocks:
            tokens = block(tokens, keep)
        return self.norm(tokens), {}


class _Block(nn.Module):
    """One residual block; masked frames are zero for its convolution."""

    def __init__(self, hidden: int, kernel: int, dilation: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        self.margins = (reach, 0) if causal else (reach // 2, reach // 2)
        self.norm = nn.LayerNorm(hidden)
        self.convolution = nn.Conv1d(hidden, hidden, kernel, dilation=dilation)
        self.linear = nn.Linear(hidden, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, keep: Tensor | None) -> Tensor:
        normalised = self.norm(tokens)
        if keep is not None:
            normalised = torch.where(keep, normalised, 0.0)
        padded = functional.pad(normalised.transpose(1, 2), self.margins)  # (B, H, T and margins)
        convolved = functional.gelu(self.convolution(padded)).transpose(1, 2)  # (B, H, T), then (B, T, H)
        result: Tensor = tokens + self.linear(self.dropout(convolved))
        return result
