"""Transformer blocks over the frames of a window, with positions encoded by a convolution.

A table of positions does not generalise to positions that do not occur in training; here a convolution of each unit
over the nearest frames encodes what is before and after a frame, at any position in a window of any length.

Axes: B batch, T frames, H hidden, K reach of the positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.fusion import Losses
from affekt.nn import Block, BlockForm
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape
from affekt.sequence_models.projection import FrameProjection


class FrameTransformer(SequenceModel):
    """`transformer`: every kept frame attends to every other.

    Args:
        layers: number of blocks.
        heads: heads of each attention, a divisor of the hidden width.
        reach: K, odd: number of frames around each one that encode its position.
        causal: attend to no later frame.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3, with the norm first; positions by a convolution after Chu
    et al. 2021, arXiv:2102.10882, section 3.2.
    """

    forms = ('corrected',)

    def __init__(
        self, shape: SequenceShape, *, layers: int = 2, heads: int = 4, reach: int = 31, causal: bool = False
    ) -> None:
        if layers < 1 or reach < 1 or reach % 2 == 0:
            raise ValueRangeError(
                expected='at least one layer and an odd reach', came=f'{layers}, {reach}', todo='choose others'
            )
        super().__init__(shape, width=shape.hidden)
        form = BlockForm(shape.hidden, heads, dropout=shape.dropout)
        self.projection = FrameProjection(shape)
        self.positions = nn.Conv1d(shape.hidden, shape.hidden, reach, groups=shape.hidden)
        self.margins = (reach - 1, 0) if causal else (reach // 2, reach // 2)
        self.causal = causal
        self.blocks = nn.ModuleList(Block(form) for _ in range(layers))
        self.norm = form.norm()

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, H) representation; no auxiliary loss."""
        tokens = self.projection(features, kept)
        # the mask as (B, T, 1)
        kept_tokens = tokens if kept.whole else torch.where(kept.frames.unsqueeze(2), tokens, 0.0)
        padded = functional.pad(kept_tokens.transpose(1, 2), self.margins)  # (B, H, T and margins)
        tokens = tokens + self.positions(padded).transpose(1, 2)  # (B, H, T), then (B, T, H)
        keep_mask = None if kept.whole and not self.causal else kept.frames  # (B, T)
        if self.causal:
            frames = tokens.shape[1]
            past = torch.ones(frames, frames, dtype=torch.bool, device=tokens.device).tril()  # (T, T)
            keep_mask = past & kept.frames[:, None, None, :]  # (B, 1, T, T)
        for block in self.blocks:
            tokens = block(tokens, keep_mask=keep_mask)
        return self.norm(tokens), {}
