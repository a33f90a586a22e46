"""Transformer blocks: attention, then a two-layer perceptron, each with a norm and a residual connection.

`Block` and `CrossSelfBlock` name their weights as VideoMAE, HiCMAE and SVFAP publish theirs. A `BlockForm` has the
hyper-parameters that all blocks of a network share; only the rate of stochastic depth differs between blocks.

Axes: B batch, T tokens, S tokens of a context, D width, C width of a context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.nn.attention import Attention, Bias, CrossAttention
from affekt.nn.dropout import Dropout
from affekt.nn.linear import Linear


@dataclass(frozen=True)
class BlockForm:
    """Hyper-parameters that all blocks of a network share; the defaults are those of HiCMAE and SVFAP.

    Args:
        width: D.
        heads: number of heads of each attention, a divisor of D.
        bias: bias of the attention's projections, see `Attention`.
        expansion: hidden width of the perceptron, as a multiple of D.
        activation: activation of the perceptron.
        norm_first: normalise before attention and perceptron (pre-norm), or after the sum (post-norm).
        epsilon: epsilon of the layer normalisations.
        layer_scale: initial value of a learned (D,) factor on each branch; None for no factor.
        dropout: dropout probability, within the perceptron and at the end of each branch.
        fused: see `affekt.nn.attend` and `affekt.nn.product`.
    """

    width: int
    heads: int
    bias: Bias = 'qv'
    expansion: int = 4
    activation: Callable[[Tensor], Tensor] = functional.gelu
    norm_first: bool = True
    epsilon: float = 1e-6
    layer_scale: float | None = None
    dropout: float = 0.0
    fused: bool = True

    def norm(self, width: int | None = None) -> nn.LayerNorm:
        """A layer normalisation over D, or over another width."""
        return nn.LayerNorm(self.width if width is None else width, eps=self.epsilon)


class DropPath(nn.Module):
    """Stochastic depth: drops a sample's whole branch with a probability, and scales the others up to keep the mean.

    Args:
        share: probability, in [0, 1).

    Source: Huang et al. 2016, arXiv:1603.09382, section 3.
    """

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= share < 1.0:
            raise ValueRangeError(expected='a share in [0, 1)', came=f'{share}', todo='choose another')
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """The branch in the same (B, T, D) shape; unchanged in evaluation."""
        if not self.training or self.share == 0.0:
            return branch
        is_kept = torch.empty_like(branch[:, :1, :1]).bernoulli_(1 - self.share)  # (B, 1, 1)
        return branch * is_kept / (1 - self.share)

    def extra_repr(self) -> str:
        """Probability, for `print`."""
        return f'share={self.share}'


def rising(last: float, count: int) -> list[float]:
    """Rates of stochastic depth of `count` blocks, rising evenly from 0 to `last`."""
    return [last * index / max(1, count - 1) for index in range(count)]


class Perceptron(nn.Module):
    """(B, T, D) to (B, T, D): linear, activation, dropout, linear."""

    def __init__(self, form: BlockForm) -> None:
        super().__init__()
        self.fc1 = Linear(form.width, form.expansion * form.width, fused=form.fused)
        self.fc2 = Linear(form.expansion * form.width, form.width, fused=form.fused)
        self.activation = form.activation
        self.dropout = Dropout(form.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """The perceptron applied to each token separately."""
        output: Tensor = self.fc2(self.dropout(self.activation(self.fc1(tokens))))
        return output


class Block(nn.Module):
    """Self-attention, or attention to a context of the same width, then a perceptron.

        x ← x + A(norm1 x, norm1 context);  x ← x + P(norm2 x)             pre-norm
        x ← norm1(x + A(x, context));       x ← norm2(x + P x)             post-norm

    A context goes through the same projection and norm as the tokens, as in MulT for another modality. For a context
    with separate weights see `CrossSelfBlock`.

    Args:
        form: hyper-parameters that all blocks of the network share.
        drop_path: stochastic depth rate of this block.
    """

    def __init__(self, form: BlockForm, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm_first = form.norm_first
        self.attn = Attention(form.width, form.heads, bias=form.bias, fused=form.fused)
        self.mlp = Perceptron(form)
        self.norm1, self.norm2 = form.norm(), form.norm()
        self.dropout, self.drop_path = Dropout(form.dropout), DropPath(drop_path)
        self.gamma_1, self.gamma_2 = _layer_scale(form), _layer_scale(form)

    def forward(self, tokens: Tensor, context: Tensor | None = None, keep_mask: Tensor | None = None) -> Tensor:
        """The updated (B, T, D) tokens.

        Args:
            tokens: (B, T, D).
            context: (B, S, D) to attend to; None for self-attention.
            keep_mask: mask of the keys, see `affekt.nn.attend`.
        """
        if not self.norm_first:
            tokens = self.norm1(tokens + self._branch(self.attn(tokens, context, keep_mask), self.gamma_1))
            result: Tensor = self.norm2(tokens + self._branch(self.mlp(tokens), self.gamma_2))
            return result
        normalised = self.norm1(tokens)
        normalised_context = None if context is None else self.norm1(context)
        tokens = tokens + self._branch(self.attn(normalised, normalised_context, keep_mask), self.gamma_1)
        return tokens + self._branch(self.mlp(self.norm2(tokens)), self.gamma_2)

    def _branch(self, branch: Tensor, factor: Tensor | None) -> Tensor:
        """The branch after dropout, layer scale and stochastic depth, as added to the tokens."""
        branch = self.dropout(branch)
        scaled: Tensor = self.drop_path(branch if factor is None else factor * branch)
        return scaled


class CrossSelfBlock(Block):
    """Attention to a context, then a `Block` of self-attention and perceptron; always pre-norm.

        x ← x + CA(cross_norm1 x, cross_norm2 context), then as `Block`

    Tokens without a context, or with a fully masked one, skip the first step.

    Args:
        form: hyper-parameters that all blocks of the network share.
        context_width: C; None for D.
        drop_path: stochastic depth rate of this block.

    Raises:
        ValueRangeError: the form is post-norm, or has bias 'qkv'.

    Source: Sun et al. 2024, arXiv:2401.05698 (HiCMAE), the cross-modal fusion encoder.
    """

    def __init__(self, form: BlockForm, context_width: int | None = None, drop_path: float = 0.0) -> None:
        if not form.norm_first or form.bias == 'qkv':
            raise ValueRangeError(
                expected='a pre-norm form with bias qv or none',
                came=f'norm_first {form.norm_first}, bias {form.bias}',
                todo='choose another form: no published cross block has this one',
            )
        super().__init__(form, drop_path)
        self.cross_attn = CrossAttention(form.width, form.heads, context_width, bias=form.bias, fused=form.fused)
        self.cross_norm1, self.cross_norm2 = form.norm(), form.norm(context_width)
        self.gamma_0 = _layer_scale(form)

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        keep_mask: Tensor | None = None,
        *,
        last: int | None = None,
    ) -> Tensor:
        """The updated (B, T, D) tokens.

        Args:
            tokens: (B, T, D).
            context: (B, S, C); None where no sample has one.
            keep_mask: mask of the context, see `affekt.nn.attend`; self-attention is unmasked.
            last: update only the last `last` tokens, which is cheaper; they attend to all tokens. None updates all.
        """
        if context is None:
            return self._self_attend(tokens, last)
        attended = self.cross_attn(self.cross_norm1(tokens), self.cross_norm2(context), keep_mask)
        if keep_mask is not None and keep_mask.ndim == 2:
            attended = attended.masked_fill(~keep_mask.any(dim=1)[:, None, None], 0.0)  # else the projection's bias
        return self._self_attend(tokens + self._branch(attended, self.gamma_0), last)

    def _self_attend(self, tokens: Tensor, last: int | None) -> Tensor:
        """The self-attention block, applied to the last tokens or to all."""
        if last is None:
            return super().forward(tokens)
        return super().forward(tokens[:, tokens.shape[1] - last :], tokens)


def _layer_scale(form: BlockForm) -> nn.Parameter | None:
    """The (D,) factor of one branch; None without layer scale."""
    return None if form.layer_scale is None else nn.Parameter(torch.full((form.width,), form.layer_scale))
