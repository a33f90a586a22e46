"""Maps of a 3-D face as guidance of the denoising network: one encoder each for depth, normals and shade, summed.

Axes: B videos, F frames, H height, W width.

Source: Zhu et al. 2024, Champ, arXiv:2403.14781, section 3.2; the names are those of its files (MIT).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from affekt.diffusion.layers import SpatialTransformer

MAPS = ('depth', 'normal', 'render')
"""Names of the maps, in the order in which they are summed."""
WIDTHS = (16, 32, 96, 256)
"""Channels of the encoder's layers, as published."""
GROUPS = 32
"""Groups of channels in group normalisation, as published."""
UNUSED = {**{f'attentions.{number}': None for number in range(5)}, 'guidance_attention': None}
"""Layers in published files that no published code reads."""


class GuidanceEncoder(nn.Module):
    """A map, (B, 3, F, H, W) from 0 to 1, as (B, width, F, H / 8, W / 8), which is zero at first.

    Args:
        width: channels of the denoising network's first layer.
        widths: channels of the encoder's own layers.
        groups: number of groups of channels in group normalisation.
    """

    def __init__(self, width: int = 320, widths: tuple[int, ...] = WIDTHS, groups: int = GROUPS) -> None:
        super().__init__()
        self.groups, self.shrinking = groups, 2 ** (len(widths) - 1)
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for inputs, outputs in pairwise(widths):
            self.blocks.append(nn.Conv2d(inputs, inputs, 3, padding=1))
            self.blocks.append(nn.Conv2d(inputs, outputs, 3, padding=1, stride=2))
        # of six published attention layers only the last is used; it keeps its number
        self.attentions = nn.ModuleDict({'5': SpatialTransformer(widths[-1], None, groups)})
        self.conv_out = nn.Conv2d(widths[-1], width, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        assert self.conv_out.bias is not None
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, F, H / 8, W / 8) guidance of (B, 3, F, H, W) maps."""
        features = maps.transpose(1, 2).flatten(0, 1)  # (B F, 3, H, W)
        features = functional.silu(self.conv_in(features))
        for block in self.blocks:
            features = functional.silu(block(features))
        features = self.conv_out(self.attentions['5'](features))
        guidance: Tensor = features.unflatten(0, (maps.shape[0], maps.shape[2])).transpose(1, 2)
        return guidance  # (B, width, F, H / 8, W / 8)
