"""Images to latents of an eighth of their height and width, and back.

Axes: B images, C channels, H height, W width of an image.

Source: Rombach et al. 2022, arXiv:2112.10752; the names are those of diffusers (Apache-2.0), against whose
AutoencoderKL the outputs were compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.diffusion.layers import Attention, Doubling, Halving, ResidualBlock
from affekt.errors import ShapeError

SCALE = 0.18215
"""Factor of the latents, so that their variance is near 1."""
EPS = 1e-6
"""Added to the variance in group normalisation."""
OLD_NAMES = {
    f'{side}.mid_block.attentions.0.{old}': f'{side}.mid_block.attentions.0.{new}'
    for side in ('encoder', 'decoder')
    for old, new in {'query': 'to_q', 'key': 'to_k', 'value': 'to_v', 'proj_attn': 'to_out.0'}.items()
}
"""Tensor names before 2023 to later ones."""


@dataclass(frozen=True)
class AutoencoderSizes:
    """The sizes of an autoencoder; by default those of Stable Diffusion 1.5.

    Args:
        widths: channels at each resolution; each but the last halves height and width.
        layers: residual blocks at each resolution of the encoder; one more of the decoder.
        groups: number of groups of channels in group normalisation.
        latent_width: channels of latents.
    """

    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    groups: int = 32
    latent_width: int = 4

    @property
    def shrinking(self) -> int:
        """Factor by which latents are smaller than images, in height and width."""
        return int(2 ** (len(self.widths) - 1))


class _MidAttention(Attention):
    """Self-attention with one head and biases after group normalisation; adds to its input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__(width, heads=1)
        self.group_norm = nn.GroupNorm(groups, width, eps=EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, features: Tensor, *_: object) -> Tensor:
        """(B, C, H, W) features of the same shape."""
        tokens = self.group_norm(features).flatten(2).transpose(1, 2)  # (B, H W, C)
        return features + super().forward(tokens).transpose(1, 2).reshape(features.shape)  # (B, C, H, W)


class _Middle(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_MidAttention(width, groups)])
        self.resnets = nn.ModuleList([ResidualBlock(width, width, None, groups, EPS) for _ in range(2)])

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](features)))
        return out


class _Resolution(nn.Module):
    """Residual blocks, then optionally half or twice the height and width."""

    def __init__(self, inputs: int, width: int, layers: int, groups: int, resize: str) -> None:
        super().__init__()
        widths = [inputs, *[width] * (layers - 1)]
        self.resnets = nn.ModuleList([ResidualBlock(block_inputs, width, None, groups, EPS) for block_inputs in widths])
        if resize == 'half':
            self.downsamplers = nn.ModuleList([Halving(width, pads_before=False)])
        if resize == 'double':
            self.upsamplers = nn.ModuleList([Doubling(width)])

    def forward(self, features: Tensor) -> Tensor:
        for block in self.resnets:
            features = block(features)
        for name in ('downsamplers', 'upsamplers'):
            if hasattr(self, name):
                features = getattr(self, name)[0](features)
        return features


class _Encoder(nn.Module):
    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        widths, last = sizes.widths, len(sizes.widths) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            [
                _Resolution(
                    widths[max(level - 1, 0)], width, sizes.layers, sizes.groups, 'half' if level < last else ''
                )
                for level, width in enumerate(widths)
            ]
        )
        self.mid_block = _Middle(widths[-1], sizes.groups)
        self.conv_norm_out = nn.GroupNorm(sizes.groups, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * sizes.latent_width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        features = self.conv_in(features)
        for block in self.down_blocks:
            features = block(features)
        features = self.mid_block(features)
        out: Tensor = self.conv_out(functional.silu(self.conv_norm_out(features)))
        return out


class _Decoder(nn.Module):
    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        widths, last = sizes.widths[::-1], len(sizes.widths) - 1
        self.conv_in = nn.Conv2d(sizes.latent_width, widths[0], 3, padding=1)
        self.up_blocks = nn.ModuleList(
            [
                _Resolution(
                    widths[max(level - 1, 0)], width, sizes.layers + 1, sizes.groups, 'double' if level < last else ''
                )
                for level, width in enumerate(widths)
            ]
        )
        self.mid_block = _Middle(widths[0], sizes.groups)
        self.conv_norm_out = nn.GroupNorm(sizes.groups, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.mid_block(self.conv_in(latents))
        for block in self.up_blocks:
            features = block(features)
        out: Tensor = self.conv_out(functional.silu(self.conv_norm_out(features)))
        return out


class Autoencoder(nn.Module):
    """Images (B, 3, H, W) from -1 to 1 to latents (B, 4, H / 8, W / 8) of unit variance, and back."""

    def __init__(self, sizes: AutoencoderSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or AutoencoderSizes()
        width = self.sizes.latent_width
        self.encoder, self.decoder = _Encoder(self.sizes), _Decoder(self.sizes)
        self.quant_conv = nn.Conv2d(2 * width, 2 * width, 1)
        self.post_quant_conv = nn.Conv2d(width, width, 1)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 4, H / 8, W / 8): the mean of the encoder's distribution.

        Raises:
            ShapeError: height or width is no multiple of 8.
        """
        if images.ndim != 4 or any(side % self.sizes.shrinking for side in images.shape[2:]):
            raise ShapeError(
                expected=f'pictures (B, 3, H, W) with sides that are multiples of {self.sizes.shrinking}',
                came=str(tuple(images.shape)), todo='enlarge or cut them',
            )  # fmt: skip
        mean, _ = self.quant_conv(self.encoder(images)).chunk(2, dim=1)  # the other half is the log of a variance
        latents: Tensor = SCALE * mean
        return latents

    def decode(self, latents: Tensor, tile: int = 96) -> Tensor:
        """(B, 3, H, W) from -1 to 1, up to small overshoots.

        Args:
            latents: (B, 4, H / 8, W / 8).
            tile: largest side, in latents, that is decoded at once. Larger images are decoded in tiles that overlap by
                a quarter and are blended; memory then does not grow with the image, and the result differs slightly,
                since normalisation is per tile.
        """
        latents = self.post_quant_conv(latents / SCALE)
        if max(latents.shape[2:]) <= tile:
            whole: Tensor = self.decoder(latents)
            return whole
        return self._tiled(latents, tile)

    def _tiled(self, latents: Tensor, tile: int) -> Tensor:
        scale = self.sizes.shrinking
        batch, _, height, width = latents.shape
        weighted_sum = latents.new_zeros(batch, 3, height * scale, width * scale)
        weights = latents.new_zeros(1, 1, height * scale, width * scale)
        for top in _starts(height, tile):
            for left in _starts(width, tile):
                decoded = self.decoder(latents[:, :, top : top + tile, left : left + tile])
                fade = _fade(decoded.shape[2], tile * scale // 4)[:, None] * _fade(decoded.shape[3], tile * scale // 4)
                fade = fade.to(decoded)
                rows = slice(top * scale, top * scale + decoded.shape[2])
                columns = slice(left * scale, left * scale + decoded.shape[3])
                weighted_sum[:, :, rows, columns] += decoded * fade
                weights[:, :, rows, columns] += fade
        return weighted_sum / weights


def _starts(length: int, tile: int) -> list[int]:
    """Starts of tiles that overlap by a quarter or more and cover a side."""
    if length <= tile:
        return [0]
    step = max(1, tile - tile // 4)
    return [*range(0, length - tile, step), length - tile]


def _fade(length: int, edge: int) -> Tensor:
    """(length,) 1 in the middle, falling towards both ends, nowhere 0."""
    steps = torch.arange(length, dtype=torch.float32) + 0.5
    return (torch.minimum(steps, length - steps) / max(edge, 1)).clamp(max=1.0)
