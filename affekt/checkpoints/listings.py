"""Names and shapes of complete published states of HiCMAE and SVFAP, derived from a few sizes.

C width, D width of a decoder. Source: github.com/sunlicai/HiCMAE and /SVFAP, both MIT; the names are interfaces.
"""

from __future__ import annotations

from collections.abc import Mapping

Shapes = dict[str, tuple[int, ...]]
TUBE, TILE = (2, 16, 16), (16, 16)
"""Frames, rows and columns of a video token; steps and mel bands of an audio token."""


def below(prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    """The same names with a prefix."""
    return {f'{prefix}{name}': shape for name, shape in shapes.items()}


def norm(width: int) -> Shapes:
    """Names and shapes of a LayerNorm."""
    return {'weight': (width,), 'bias': (width,)}


def linear(inputs: int, outputs: int) -> Shapes:
    """Names and shapes of a linear layer."""
    return {'weight': (outputs, inputs), 'bias': (outputs,)}


def block(width: int) -> Shapes:
    """Names and shapes of a transformer block with separate biases of queries and values."""
    return {
        **below('norm1.', norm(width)),
        'attn.q_bias': (width,),
        'attn.v_bias': (width,),
        'attn.qkv.weight': (3 * width, width),
        **below('attn.proj.', linear(width, width)),
        **below('norm2.', norm(width)),
        **below('mlp.fc1.', linear(width, 4 * width)),
        **below('mlp.fc2.', linear(4 * width, width)),
    }


def cross_block(width: int) -> Shapes:
    """Names and shapes of a block that first attends to a context of the same width."""
    return {
        'cross_attn.q_bias': (width,),
        'cross_attn.v_bias': (width,),
        'cross_attn.q.weight': (width, width),
        'cross_attn.kv.weight': (2 * width, width),
        **below('cross_attn.proj.', linear(width, width)),
        **below('cross_norm1.', norm(width)),
        **below('cross_norm2.', norm(width)),
        **block(width),
    }


def blocks(plain: int, cross: int, width: int) -> Shapes:
    """Names and shapes of a list of blocks, the plain ones first."""
    shapes: Shapes = {}
    for index in range(plain + cross):
        shapes |= below(f'blocks.{index}.', block(width) if index < plain else cross_block(width))
    return shapes


def decoder(depth: int, cross: int, width: int, outputs: int) -> Shapes:
    """Names and shapes of a decoder: `depth` blocks, the last `cross` with cross-attention, norm and output layer."""
    return {
        **blocks(depth - cross, cross, width),
        **below('norm.', norm(width)),
        **below('head.', linear(width, outputs)),
    }
