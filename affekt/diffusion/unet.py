"""The two U-Nets: one reads the portrait once, the other denoises windows of frames.

Both have the architecture of Stable Diffusion 1.5. The reference network lacks the last layers: only the inputs of its
attention layers matter, which those of the denoising network read in addition to their own tokens.

Axes: B videos, F frames, C channels, H height and W width of latents, M tokens of a text.

Source: Hu et al. 2023, arXiv:2311.17117 (reference attention); Zhu et al. 2024, Champ, arXiv:2403.14781 (guidance).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.diffusion.layers import (
    Doubling,
    Halving,
    Reading,
    Reference,
    ResidualBlock,
    SpatialTransformer,
    TimeEmbedding,
)
from affekt.diffusion.motion import MOST_FRAMES, MotionModule
from affekt.errors import ShapeError


@dataclass(frozen=True)
class UNetSizes:
    """The sizes of a U-Net.

    Args:
        widths: channels at each resolution; the last has no attention.
        layers: residual blocks at each resolution on the way down; one more on the way up.
        text_width: width of the text's tokens.
        groups: number of groups of channels in group normalisation.
        latent_width: channels of a latent image.
        has_motion: whether it has temporal layers.
        is_reference: whether the layers after the last attention are left out.
        most_frames: length of the longest window, in frames.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    text_width: int = 768
    groups: int = 32
    latent_width: int = 4
    has_motion: bool = False
    is_reference: bool = False
    most_frames: int = MOST_FRAMES

    @property
    def time_width(self) -> int:
        """Width of the embedding of the noise level."""
        return 4 * self.widths[0]


def reference_unet() -> UNet:
    """The network that reads the portrait, as published: 859.5 million parameters."""
    return UNet(UNetSizes(is_reference=True))


def denoising_unet() -> UNet:
    """The denoising network, as published: 1,312.7 million parameters."""
    return UNet(UNetSizes(has_motion=True))


class _Layers(nn.Module):
    """Residual blocks, each with attention and motion layers where the resolution has them."""

    def __init__(self, inputs: list[int], width: int, sizes: UNetSizes, *, has_attention: bool) -> None:
        super().__init__()
        if has_attention:
            self.attentions = nn.ModuleList([SpatialTransformer(width, sizes.text_width, sizes.groups) for _ in inputs])
        self.resnets = nn.ModuleList(
            [ResidualBlock(channels, width, sizes.time_width, sizes.groups) for channels in inputs]
        )
        if sizes.has_motion:
            self.motion_modules = nn.ModuleList([MotionModule(width, sizes.most_frames) for _ in inputs])

    def layer(self, number: int, features: Tensor, step: _Step) -> Tensor:
        """(B F, C, H, W) features after one layer."""
        features = self.resnets[number](features, step.time)
        if hasattr(self, 'attentions'):
            features = self.attentions[number](features, step.text, step.reading)
        if hasattr(self, 'motion_modules'):
            features = self.motion_modules[number](features, step.frames)
        return features


class _DownBlock(_Layers):
    def __init__(self, inputs: int, width: int, sizes: UNetSizes, *, has_attention: bool, is_last: bool) -> None:
        super().__init__([inputs, *[width] * (sizes.layers - 1)], width, sizes, has_attention=has_attention)
        if not is_last:
            self.downsamplers = nn.ModuleList([Halving(width, pads_before=True)])

    def forward(self, features: Tensor, skips: list[Tensor], step: _Step) -> Tensor:
        for number in range(len(self.resnets)):
            features = self.layer(number, features, step)
            skips.append(features)
        if hasattr(self, 'downsamplers'):
            features = self.downsamplers[0](features)
            skips.append(features)
        return features


class _UpBlock(_Layers):
    def __init__(self, inputs: list[int], width: int, sizes: UNetSizes, *, has_attention: bool, is_last: bool) -> None:
        super().__init__(inputs, width, sizes, has_attention=has_attention)
        if not is_last:
            self.upsamplers = nn.ModuleList([Doubling(width)])

    def forward(self, features: Tensor, skips: list[Tensor], step: _Step) -> Tensor:
        for number in range(len(self.resnets)):
            features = self.layer(number, torch.cat([features, skips.pop()], dim=1), step)
        if hasattr(self, 'upsamplers'):
            size = (skips[-1].shape[2], skips[-1].shape[3])  # odd sizes were rounded up on the way down
            features = self.upsamplers[0](features, size)
        return features


class _MidBlock(nn.Module):
    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__()
        width = sizes.widths[-1]
        self.attentions = nn.ModuleList([SpatialTransformer(width, sizes.text_width, sizes.groups)])
        self.resnets = nn.ModuleList([ResidualBlock(width, width, sizes.time_width, sizes.groups) for _ in range(2)])
        if sizes.has_motion:
            self.motion_modules = nn.ModuleList([MotionModule(width, sizes.most_frames)])

    def forward(self, features: Tensor, step: _Step) -> Tensor:
        features = self.resnets[0](features, step.time)
        features = self.attentions[0](features, step.text, step.reading)
        if hasattr(self, 'motion_modules'):
            features = self.motion_modules[0](features, step.frames)
        out: Tensor = self.resnets[1](features, step.time)
        return out


@dataclass
class _Step:
    """Inputs of every layer in one pass."""

    time: Tensor
    text: Tensor
    frames: int
    reading: Reading | None


class UNet(nn.Module):
    """A U-Net of the given sizes."""

    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__()
        self.sizes = sizes
        widths, last = sizes.widths, len(sizes.widths) - 1
        self.conv_in = nn.Conv2d(sizes.latent_width, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], sizes.time_width)
        self.down_blocks = nn.ModuleList(
            [
                _DownBlock(widths[max(level - 1, 0)], width, sizes, has_attention=level < last, is_last=level == last)
                for level, width in enumerate(widths)
            ]
        )
        self.mid_block = _MidBlock(sizes)
        self.up_blocks = nn.ModuleList()
        # skip connections in order: conv_in, then `layers` maps and the halved one of each resolution
        skip_widths = [
            widths[0],
            *(
                channels
                for level, channels in enumerate(widths)
                for channels in [channels] * (sizes.layers + (level < last))
            ),
        ]
        width_below = widths[-1]
        for level, width in enumerate(reversed(widths)):
            inputs = [(width_below if layer == 0 else width) + skip_widths.pop() for layer in range(sizes.layers + 1)]
            self.up_blocks.append(_UpBlock(inputs, width, sizes, has_attention=level > 0, is_last=level == last))
            width_below = width
        if not sizes.is_reference:
            self.conv_norm_out = nn.GroupNorm(sizes.groups, widths[0], eps=1e-5)
            self.conv_out = nn.Conv2d(widths[0], sizes.latent_width, 3, padding=1)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor | int,
        text: Tensor,
        reading: Reading | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """(B, C, F, H, W) velocity predicted for latents of that shape.

        Args:
            latents: (B, C, F, H, W).
            timestep: noise level, 0 to 999; one, or (B,).
            text: (B, M, text width) tokens of the text.
            reading: whether self-attention reads the portrait or its tokens are recorded; None for neither.
            guidance: (B, width, F, H, W), added after the first layer.

        Raises:
            ShapeError: the latents do not have five axes.
        """
        if latents.ndim != 5:
            raise ShapeError(
                expected='latents (B, C, F, H, W)', came=str(tuple(latents.shape)), todo='add axes of length 1'
            )
        batch, _, frames = latents.shape[:3]
        steps = torch.as_tensor(timestep, device=latents.device).reshape(-1).expand(batch)
        time = self.time_embedding(steps).repeat_interleave(frames, dim=0)  # (B F, T)
        step = _Step(time, text.repeat_interleave(frames, dim=0), frames, reading)
        features = self.conv_in(_frames_as_batch(latents))  # (B F, C, H, W)
        if guidance is not None:
            features = features + _frames_as_batch(guidance)
        skips = [features]
        for block in self.down_blocks:
            features = block(features, skips, step)
        features = self.mid_block(features, step)
        for block in self.up_blocks:
            features = block(features, skips, step)
        if not self.sizes.is_reference:
            features = self.conv_out(functional.silu(self.conv_norm_out(features)))
        velocity: Tensor = features.unflatten(0, (batch, frames)).transpose(1, 2)
        return velocity  # (B, F, C, H, W), then (B, C, F, H, W)


def read_portrait(net: UNet, latents: Tensor, text: Tensor) -> Reference:
    """The tokens of a portrait in the attention layers of the reference network, without noise.

    Args:
        net: the reference network.
        latents: (B, C, H, W) of the portrait.
        text: (B, M, text width) tokens of the text.
    """
    reading = Reading(None)
    net(latents[:, :, None], 0, text, reading)
    return reading.reference


def _frames_as_batch(videos: Tensor) -> Tensor:
    """(B, C, F, H, W) as (B F, C, H, W)."""
    return videos.transpose(1, 2).flatten(0, 1)
