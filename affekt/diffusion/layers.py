"""Layers of Stable Diffusion 1.5: residual convolutions, and attention of tokens to each other, a text and a reference.

Weights have the names of the published files, so that their states load unchanged.

Axes: B images of a batch, C channels, H height, W width, N = H W tokens of an image, D width, M tokens of a text.

Source: Rombach et al. 2022, arXiv:2112.10752; the names are those of diffusers (Apache-2.0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.nn import attend, join_heads, split_heads

HEADS = 8
"""Heads of each attention, as in Stable Diffusion 1.5."""


@dataclass
class Reference:
    """The portrait's tokens that the denoising network attends to: the normalised tokens of each attention layer.

    Attributes:
        tokens: (B, N, D) per layer, in the order in which a network runs through its layers.
        keys: the same through the reading network's own projections; they are equal at every step and in every window,
            so they are computed once.
    """

    tokens: list[Tensor] = field(default_factory=list)
    keys: list[tuple[Tensor, Tensor]] = field(default_factory=list)


class Reading:
    """One pass through a network in which its self-attention tokens are recorded, or attend to a reference as well.

    Args:
        reference: the reference to attend to; None records the tokens in a new one.
        frames: frames of a video, for each of which the reference is the same.
        share: share of the batch, at its end, that attends to the reference; the rest attends only to itself.
    """

    def __init__(self, reference: Reference | None, frames: int = 1, share: float = 1.0) -> None:
        self.writes = reference is None
        self.reference = reference if reference is not None else Reference()
        self.frames, self.share = frames, share
        self._layer = 0

    def write(self, tokens: Tensor) -> None:
        """Keep the tokens of the next layer."""
        self.reference.tokens.append(tokens)

    def next_keys(self, attention: Attention) -> tuple[Tensor, Tensor]:
        """(B, N, D) keys and values of the reference for the next layer."""
        if self._layer == len(self.reference.keys):
            tokens = self.reference.tokens[self._layer].to(attention.to_k.weight.dtype)
            self.reference.keys.append((attention.to_k(tokens), attention.to_v(tokens)))
        self._layer += 1
        return self.reference.keys[self._layer - 1]


class Attention(nn.Module):
    """Attention of (B, N, D) tokens to themselves, or to a text of another width.

    Args:
        width: D, the width of a token.
        context_width: width of the text's tokens; D where None.
        heads: number of heads, a divisor of D.
    """

    def __init__(self, width: int, context_width: int | None = None, heads: int = HEADS) -> None:
        super().__init__()
        context_width = width if context_width is None else context_width
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(
        self, tokens: Tensor, context: Tensor | None = None, extra: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """(B, N, D): attention of the tokens to themselves or to the context, and to `extra` keys and values."""
        context = tokens if context is None else context
        keys, values = self.to_k(context), self.to_v(context)
        if extra is not None:
            keys, values = torch.cat([keys, extra[0]], dim=1), torch.cat([values, extra[1]], dim=1)  # (B, 2N, D)
        attended = attend(*(split_heads(projected, self.heads) for projected in (self.to_q(tokens), keys, values)))
        out: Tensor = self.to_out[0](join_heads(attended))
        return out


class GatedLinear(nn.Module):
    """D to twice `width` units, one half gated by the other through a GELU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width) units from (B, N, D) tokens."""
        values, gate = self.proj(tokens).chunk(2, dim=-1)
        gated: Tensor = values * functional.gelu(gate)
        return gated


class FeedForward(nn.Module):
    """A gated layer of four times the width, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # a published list has dropout between the two, which is number 1
        self.net = nn.ModuleList([GatedLinear(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) tokens of the same shape."""
        out: Tensor = self.net[2](self.net[0](tokens))
        return out


class TransformerBlock(nn.Module):
    """Self-attention, text where there is one, feed-forward; each adds to the tokens.

    Args:
        width: D, the width of a token.
        text_width: width of the text's tokens; None for a block without text.
    """

    def __init__(self, width: int, text_width: int | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width)
        self.attn2, self.norm2 = None, None
        if text_width is not None:
            self.norm2 = nn.LayerNorm(width)
            self.attn2 = Attention(width, text_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, tokens: Tensor, text: Tensor | None = None, reading: Reading | None = None) -> Tensor:
        """(B, N, D) tokens of the same shape."""
        tokens = tokens + self._read(self.norm1(tokens), reading)
        if self.attn2 is not None and self.norm2 is not None and text is not None:
            tokens = tokens + self.attn2(self.norm2(tokens), text)
        out: Tensor = tokens + self.ff(self.norm3(tokens))
        return out

    def _read(self, tokens: Tensor, reading: Reading | None) -> Tensor:
        """The output of self-attention, to be added to the tokens."""
        if reading is None or reading.writes:
            if reading is not None:
                reading.write(tokens)
            attended: Tensor = self.attn1(tokens)
            return attended
        keys, values = reading.next_keys(self.attn1)
        count = round(len(tokens) * reading.share)
        outputs = []
        if count < len(tokens):
            outputs.append(self.attn1(tokens[: len(tokens) - count]))
        if count:
            repeated = tuple(_for_frames(projected, count, reading.frames) for projected in (keys, values))
            outputs.append(self.attn1(tokens[len(tokens) - count :], extra=(repeated[0], repeated[1])))
        return torch.cat(outputs)


def _for_frames(tokens: Tensor, count: int, frames: int) -> Tensor:
    """(B, N, D) of portraits, repeated to (B F, N, D) for the frames of each."""
    portraits = tokens[-(count // frames) :]
    return portraits[:, None].expand(-1, frames, -1, -1).flatten(0, 1)  # (B, F, N, D), then (B F, N, D)


class SpatialTransformer(nn.Module):
    """Attention of the positions of (B, C, H, W) features to each other, and to a text; adds to its input."""

    def __init__(self, width: int, text_width: int | None, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, text_width)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, text: Tensor | None = None, reading: Reading | None = None) -> Tensor:
        """(B, C, H, W) features of the same shape."""
        tokens = self.proj_in(self.norm(features)).flatten(2).transpose(1, 2)  # (B, C, N), then (B, N, C)
        for block in self.transformer_blocks:
            tokens = block(tokens, text, reading)
        out: Tensor = features + self.proj_out(tokens.transpose(1, 2).reshape(features.shape))  # (B, C, H, W)
        return out


class ResidualBlock(nn.Module):
    """Two convolutions added to their input, with an optional time shift in between.

    Args:
        inputs: channels in.
        outputs: channels out.
        time_width: width of the time embedding; None for a network without time.
        groups: number of groups of channels in group normalisation.
        eps: added to the variance in the normalisation.
    """

    def __init__(self, inputs: int, outputs: int, time_width: int | None, groups: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = None if time_width is None else nn.Linear(time_width, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor, time: Tensor | None = None) -> Tensor:
        """(B, outputs, H, W) features from (B, inputs, H, W), with time (B, T)."""
        hidden = self.conv1(functional.silu(self.norm1(features)))
        if self.time_emb_proj is not None and time is not None:
            hidden = hidden + self.time_emb_proj(functional.silu(time))[:, :, None, None]  # (B, C, 1, 1)
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        shortcut = features if self.conv_shortcut is None else self.conv_shortcut(features)
        out: Tensor = shortcut + hidden
        return out


class Halving(nn.Module):
    """A convolution of stride 2.

    Args:
        width: channels.
        pads_before: also pad before the first row and column, as in a U-Net; an autoencoder pads only after the last.
    """

    def __init__(self, width: int, *, pads_before: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1 if pads_before else 0)
        self.pads_before = pads_before

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H / 2, W / 2) features."""
        out: Tensor = self.conv(features if self.pads_before else functional.pad(features, (0, 1, 0, 1)))
        return out


class Doubling(nn.Module):
    """Nearest-neighbour upsampling by 2, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(B, C, 2H, 2W), or of the given size."""
        size = size or (2 * features.shape[2], 2 * features.shape[3])
        out: Tensor = self.conv(functional.interpolate(features, size=size, mode='nearest'))
        return out


class TimeEmbedding(nn.Module):
    """The noise level of a step as a vector, (B,) to (B, T)."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear(width, time_width)
        self.linear_2 = nn.Linear(time_width, time_width)

    def forward(self, steps: Tensor) -> Tensor:
        """cos and sin of t / 10000**(i / half), through two layers."""
        half = self.width // 2
        rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=steps.device, dtype=torch.float32))
        angles = steps[:, None].float() * rates  # (B, half)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear_1.weight.dtype)
        out: Tensor = self.linear_2(functional.silu(self.linear_1(waves)))
        return out
