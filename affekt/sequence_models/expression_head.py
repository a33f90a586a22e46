"""The head of a published entry for expressions: a frame's feature, its attention output and a transformer's output.

Axes: B batch, T frames, D features of all modalities together, G heads, E width of a head. Of frame t, before the last
linear layer:

    [x^t; attention(x)^t; transformer(x)^t]        (3D,), with dropout
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.errors import ValueRangeError
from affekt.fusion import Losses, two_layers
from affekt.nn import Dropout, NameMap, attend
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape


class ExpressionHead(SequenceModel):
    """`expression_head`: pooled, attention-pooled and transformer features of every frame together.

    Its width is that of the features, so `hidden` has no effect; the published dropout is 0.5, the published windows
    have 64 frames. Several modalities are concatenated into one feature. The published module also has an unused
    perceptron, which is left out here.

    Args:
        heads: G, the number of attention heads.
        head_width: E, the width of a head.
        inner: hidden width of the transformer's feed-forward layers.

    Source: Huynh et al.'s entry to the third ABAW competition, as the entry of Wen et al. to the sixth has it.
    """

    def __init__(self, shape: SequenceShape, *, heads: int = 2, head_width: int = 64, inner: int = 512) -> None:
        if min(heads, head_width, inner) < 1:
            raise ValueRangeError(
                expected='positive widths and heads', came=f'{heads}, {head_width}, {inner}', todo='choose others'
            )
        width = sum(shape.sizes.values())
        super().__init__(shape, width=3 * width)
        self.attention = _NarrowAttention(width, heads, head_width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.block_attention = _NarrowAttention(width, heads, head_width)
        self.perceptron = two_layers(width, inner, width, 0.0, activation=nn.GELU)
        self.dropout = Dropout(shape.dropout)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, 3D) representation; no auxiliary loss."""
        frames = torch.cat(list(features.values()), dim=2)  # (B, T, D)
        keep = kept.frames if self.shape.corrected and not kept.whole else None
        tokens = frames + self.block_attention(self.norm1(frames), keep)
        tokens = tokens + self.perceptron(self.norm2(tokens))
        return self.dropout(torch.cat([frames, self.attention(frames, keep), tokens], dim=2)), {}

    def published_names(self) -> NameMap:
        """Published state names to ours; those of the unused perceptron and of the image encoder map to None."""
        block = 'trans.layers.0'
        return {
            'fc': 'expression_head',
            'att.to_qkv': 'attention.qkv',
            'att.to_out.0': 'attention.out',
            f'{block}.0.norm': 'norm1',
            f'{block}.0.fn.to_qkv': 'block_attention.qkv',
            f'{block}.0.fn.to_out.0': 'block_attention.out',
            f'{block}.1.norm': 'norm2',
            f'{block}.1.fn.net.0': 'perceptron.0',
            f'{block}.1.fn.net.3': 'perceptron.3',
            'feed': None,
            'backbone': None,
            'cls_weights': None,
        }


class _NarrowAttention(nn.Module):
    """Self-attention over (B, T, D) frames with G heads whose width is not D / G."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)

    def forward(self, frames: Tensor, keep: Tensor | None) -> Tensor:
        projected = self.qkv(frames).unflatten(2, (3, self.heads, -1))  # (B, T, 3, G, E)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)  # (B, G, T, E) each, of (3, B, G, T, E)
        joined = attend(queries, keys, values, keep).transpose(1, 2).flatten(2)  # (B, T, G, E), then (B, T, G·E)
        result: Tensor = self.out(joined)
        return result
