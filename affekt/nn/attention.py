"""Multi-head scaled dot-product attention: self-attention, and attention to a context.

Weights are named as VideoMAE, HiCMAE and SVFAP publish theirs (`qkv`, `q_bias`, `v_bias`, `proj`), so that their states
load unchanged. `keep_mask` is True where a token may be attended to; the output of a query without any such token is
zero.

Axes: B batch, T queries, S keys and values, D width, H heads, E = D / H width of a head.

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.nn.linear import Linear, product

Bias = Literal['qv', 'qkv', 'none']
"""Projections with a bias. A bias of the keys adds a constant to all scores of a query, which the softmax cancels."""
_BIASES = ('qv', 'qkv', 'none')


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, keep_mask: Tensor | None = None, *, fused: bool = True
) -> Tensor:
    """The mean of the values for each query, weighted by the match of their keys with the query.

        softmax(Q Kᵀ / √E) V

    Args:
        queries: (B, H, T, E).
        keys: (B, H, S, E).
        values: (B, H, S, E).
        keep_mask: bool, (B, S) for all tokens alike, or four axes that broadcast to (B, H, T, S); None keeps all.
        fused: use torch's fused kernel, which never stores the (T, S) scores; False for `torch.vmap`, which does not
            support that kernel on a CPU, and for bit-identical results.

    Returns:
        (B, H, T, E); zeros for a query without any kept key.

    Raises:
        ShapeError: the mask is not boolean, or has neither two nor four axes.
    """
    if keep_mask is not None:
        if keep_mask.dtype != torch.bool or keep_mask.ndim not in (2, 4):
            raise ShapeError(
                expected='a boolean keep_mask of shape (B, S) or (B, H, T, S)',
                came=f'{keep_mask.dtype} {tuple(keep_mask.shape)}',
                todo='give True where a token may be read',
            )
        if keep_mask.ndim == 2:
            keep_mask = keep_mask[:, None, None, :]  # (B, 1, 1, S)
    if fused:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=keep_mask)
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])  # (B, H, T, S)
    if keep_mask is None:
        return torch.softmax(scores, dim=3) @ values
    scores = scores.masked_fill(~keep_mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=3).masked_fill(~keep_mask, 0.0)  # without any kept key the row would be uniform
    return weights @ values


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, D) to (B, H, T, E): each head sees E neighbouring units."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)  # (B, T, H, E), then (B, H, T, E)


def join_heads(tokens: Tensor) -> Tensor:
    """(B, H, T, E) to (B, T, D), the inverse of `split_heads`."""
    return tokens.transpose(1, 2).flatten(2)  # (B, T, H, E), then (B, T, D)


class _Projection(Linear):
    """A linear layer whose owner initialises its weights and may pass a bias.

    Other modules call it and never read its weights, so that a wrapper such as a low-rank adapter takes effect.
    """

    def reset_parameters(self) -> None:
        """Does nothing: the owner initialises the weights."""

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, T, D) to (B, T, outputs), with the layer's own bias where none is passed."""
        multiply = product if self.fused else functional.linear
        return multiply(tokens, self.weight, self.bias if bias is None else bias)


class Attention(nn.Module):
    """(B, T, D) tokens attend to one another, or to a (B, S, D) context through the same projection.

    Args:
        width: D.
        heads: number of heads, a divisor of D.
        bias: bias of the projection: 'qv' as in VideoMAE, 'qkv' as in `nn.MultiheadAttention`, or 'none'.
        fused: see `attend`.

    Raises:
        ValueRangeError: D is not a multiple of `heads`.
        UnknownNameError: unknown bias.
    """

    def __init__(self, width: int, heads: int, *, bias: Bias = 'qv', fused: bool = True) -> None:
        super().__init__()
        _check(width, heads, bias)
        self.heads, self.fused = heads, fused
        self.qkv = _Projection(width, 3 * width, bias == 'qkv', fused=fused)
        self.proj = Linear(width, width, fused=fused)
        self.q_bias, self.v_bias = _bias_parameters(width, bias)
        nn.init.xavier_uniform_(self.qkv.weight)
        if bias == 'qkv':
            nn.init.zeros_(self.qkv.bias)

    def forward(self, tokens: Tensor, context: Tensor | None = None, keep_mask: Tensor | None = None) -> Tensor:
        """The (B, T, D) output; `keep_mask` (see `attend`) applies to the keys."""
        bias = self._bias()
        if context is None:
            queries, keys, values = self.qkv(tokens, bias).chunk(3, dim=2)  # (B, T, D) each
        elif isinstance(self.qkv, _Projection):
            width = tokens.shape[2]
            sizes = [width, 2 * width]
            query_weight, context_weight = self.qkv.weight.split(sizes)  # (D, D), (2D, D)
            query_bias, context_bias = (None, None) if bias is None else bias.split(sizes)
            multiply = product if self.fused else functional.linear
            queries = multiply(tokens, query_weight, query_bias)  # (B, T, D)
            keys, values = multiply(context, context_weight, context_bias).chunk(2, dim=2)  # (B, S, D) each
        else:  # a wrapped projection can only be called as a whole
            queries = self.qkv(tokens, bias).chunk(3, dim=2)[0]
            _, keys, values = self.qkv(context, bias).chunk(3, dim=2)
        return _attended(queries, keys, values, keep_mask, self)

    def _bias(self) -> Tensor | None:
        """(3D,) bias of queries, keys and values."""
        if self.q_bias is None or self.v_bias is None:
            bias: Tensor | None = self.qkv.bias
            return bias
        return torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])


class CrossAttention(nn.Module):
    """(B, T, D) tokens attend to a (B, S, C) context through separate projections.

    Args:
        width: D.
        heads: number of heads, a divisor of D.
        context_width: C; None for D.
        bias: 'qv' as in HiCMAE and SVFAP, or 'none'.
        fused: see `attend`.

    Raises:
        ValueRangeError: D is not a multiple of `heads`.
        UnknownNameError: unknown bias.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        context_width: int | None = None,
        *,
        bias: Literal['qv', 'none'] = 'qv',
        fused: bool = True,
    ) -> None:
        super().__init__()
        _check(width, heads, bias)
        self.heads, self.fused = heads, fused
        self.q = _Projection(width, width, False, fused=fused)
        self.kv = _Projection(width if context_width is None else context_width, 2 * width, False, fused=fused)
        self.proj = Linear(width, width, fused=fused)
        self.q_bias, self.v_bias = _bias_parameters(width, bias)
        nn.init.xavier_uniform_(self.q.weight)
        nn.init.xavier_uniform_(self.kv.weight)

    def forward(self, tokens: Tensor, context: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The (B, T, D) output; `keep_mask` (see `attend`) applies to the context."""
        queries = self.q(tokens, self.q_bias)  # (B, T, D)
        keys, values = self.kv(context, _with_no_key_bias(self.v_bias)).chunk(2, dim=2)  # (B, S, D) each
        return _attended(queries, keys, values, keep_mask, self)


def _attended(
    queries: Tensor, keys: Tensor, values: Tensor, keep_mask: Tensor | None, layer: Attention | CrossAttention
) -> Tensor:
    """Attention and the output projection: queries (B, T, D), keys and values (B, S, D) to (B, T, D)."""
    # (B, H, T, E) and twice (B, H, S, E)
    queries, keys, values = (split_heads(projected, layer.heads) for projected in (queries, keys, values))
    output: Tensor = layer.proj(join_heads(attend(queries, keys, values, keep_mask, fused=layer.fused)))
    return output


def _bias_parameters(width: int, bias: Bias) -> tuple[nn.Parameter | None, nn.Parameter | None]:
    if bias != 'qv':
        return None, None
    return nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))


def _with_no_key_bias(value_bias: Tensor | None) -> Tensor | None:
    """(2D,) bias of keys and values: zeros for the keys, then the bias of the values."""
    return None if value_bias is None else torch.cat([torch.zeros_like(value_bias), value_bias])


def _check(width: int, heads: int, bias: str) -> None:
    if heads < 1 or width % heads:
        raise ValueRangeError(
            expected='a width that is a multiple of heads', came=f'width {width}, {heads} heads', todo='choose others'
        )
    if bias not in _BIASES:
        raise UnknownNameError(expected='bias qv, qkv or none', came=repr(bias), todo='choose one')
