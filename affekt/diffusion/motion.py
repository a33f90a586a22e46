"""Attention of each position of an image to the same position in the other frames of a window.

Axes: B videos, F frames, C channels, H height, W width.

Source: Guo et al. 2023, AnimateDiff, arXiv:2307.04725; the names are those of its files (Apache-2.0).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from affekt.diffusion.layers import Attention, FeedForward
from affekt.errors import ShapeError

MOST_FRAMES = 32
"""Length of the published position table."""
GROUPS = 32
"""Groups of channels in group normalisation, as published."""


class FramePositions(nn.Module):
    """The position of a frame in its window, as sines and cosines; a table that published files contain."""

    pe: Tensor

    def __init__(self, width: int, frames: int = MOST_FRAMES) -> None:
        super().__init__()
        rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
        angles = torch.arange(frames)[:, None] * rates  # (F, C / 2)
        self.register_buffer('pe', torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[None])  # (1, F, C)


class FrameAttention(Attention):
    """Attention of frames to one another, with a position encoding."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__(width)
        self.pos_encoder = FramePositions(width, frames)

    def forward(self, tokens: Tensor, *_: object) -> Tensor:
        """(B H W, F, C) tokens of the same shape."""
        if tokens.shape[1] > self.pos_encoder.pe.shape[1]:
            raise ShapeError(
                expected=f'windows of at most {self.pos_encoder.pe.shape[1]} frames', came=f'{tokens.shape[1]}',
                todo='choose shorter windows',
            )  # fmt: skip
        return super().forward(tokens + self.pos_encoder.pe[:, : tokens.shape[1]].to(tokens.dtype))


class FrameBlock(nn.Module):
    """Two attentions over frames and a feed-forward, each added."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([FrameAttention(width, frames) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.ff = FeedForward(width)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B H W, F, C) tokens of the same shape."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))
        out: Tensor = tokens + self.ff(self.ff_norm(tokens))
        return out


class FrameTransformer(nn.Module):
    """The block between two projections."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([FrameBlock(width, frames)])
        self.proj_out = nn.Linear(width, width)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """(B F, C, H, W) features of the same shape."""
        count, channels, height, width = features.shape
        tokens = self.norm(features).reshape(count // frames, frames, channels, height * width)  # (B, F, C, H W)
        tokens = self.proj_in(tokens.permute(0, 3, 1, 2).flatten(0, 1))  # (B, H W, F, C), then (B H W, F, C)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        tokens = self.proj_out(tokens).reshape(count // frames, height * width, frames, channels)  # (B, H W, F, C)
        updated: Tensor = features + tokens.permute(0, 2, 3, 1).reshape(features.shape)
        return updated  # (B, F, C, H W), then (B F, C, H, W)


class MotionModule(nn.Module):
    """Temporal attention in (B F, C, H, W) features of windows of F frames; at first it changes nothing."""

    def __init__(self, width: int, frames: int = MOST_FRAMES) -> None:
        super().__init__()
        self.temporal_transformer = FrameTransformer(width, frames)

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """(B F, C, H, W) features of the same shape."""
        out: Tensor = self.temporal_transformer(features, frames)
        return out
