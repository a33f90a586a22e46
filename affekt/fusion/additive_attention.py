"""Additive attention of many states over many codes, at a product and a division for each pair.

    score of state s and code l:  v · tanh(W_s s + W_c l)
    context of s:                 softmax over l of the scores, times the codes

A thousand states that read a thousand codes of 256 cells need 256 million values of tanh. As

    tanh(q + p) = 1 - 2 / (1 + exp(2q) exp(2p))

needs one exponential of each state and each code, a pair is left with a product and a division; the 1 is the same for
all codes and cancels in the softmax. Pairs are computed in blocks that fit in a cache, and recomputed in the backward
pass: storing them would fill the memory.

Axes: N rows, Q states, L codes, H cells; n rows and q states of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

BLOCK = 2**20
"""Elements of a block: four megabytes of float32."""
LARGEST = 43.0
"""Bound of |q| and |p| in float32, within which exp(2q) exp(2p) is never 0 times infinity."""


class AdditiveAttention(nn.Module):
    """(N, Q, H) contexts of states over codes; its weights have their published names.

    Args:
        hidden: H.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.attn = nn.Linear(2 * hidden, hidden, bias=False)
        self.v = nn.Linear(hidden, 1, bias=False)

    def project(self, codes: Tensor) -> Tensor:
        """W_c of the (N, L, H) codes, once for all states that read them."""
        return functional.linear(codes, self.code_weight)

    @property
    def code_weight(self) -> Tensor:
        """(H, H) W_c."""
        return self.attn.weight[:, self.attn.out_features :]

    @property
    def state_weight(self) -> Tensor:
        """(H, H) W_s."""
        return self.attn.weight[:, : self.attn.out_features]

    def forward(self, states: Tensor, codes: Tensor, projected: Tensor, keep: Tensor | None = None) -> Tensor:
        """The (N, Q, H) contexts.

        Args:
            states: (N, Q, H).
            codes: (N, L, H).
            projected: (N, L, H), the result of `project`.
            keep: (N, L) bool, codes that may be read; None for all.
        """
        query = functional.linear(states, self.state_weight)
        operands = (query, projected, codes, self.v.weight[0])
        with torch.autocast(codes.device.type, enabled=False):
            contexts: Tensor = _Contexts.apply(*(operand.float() for operand in operands), keep)  # type: ignore[no-untyped-call]
        return contexts


class Pairs:
    """1 / (1 + exp(2q) exp(2p)) of all pairs, a block at a time.

    Args:
        query: (N, Q, H) q.
        projected: (N, L, H) p.
    """

    def __init__(self, query: Tensor, projected: Tensor) -> None:
        self._shape = (*query.shape[:2], projected.shape[1], query.shape[2])
        self._fits_exp = query.shape[1] > 1 and bool(max(query.abs().amax(), projected.abs().amax()) <= LARGEST)
        self._query = torch.exp(2 * query) if self._fits_exp else query
        self._projected = torch.exp(2 * projected) if self._fits_exp else projected
        self._one = query.new_ones(())

    def blocks(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, states and the (n, q, L, H) values of each block, in one buffer for all of them."""
        rows, states, codes, cells = self._shape
        pairs_per_block = max(BLOCK // (codes * cells), 1)
        q = min(pairs_per_block, states)
        n = min(pairs_per_block // q, rows)
        buffer = self._query.new_empty((n, q, codes, cells))
        for row in range(0, rows, n):
            for state in range(0, states, q):
                row_range, state_range = slice(row, min(row + n, rows)), slice(state, min(state + q, states))
                yield (
                    row_range,
                    state_range,
                    self._block(
                        row_range,
                        state_range,
                        buffer[: row_range.stop - row_range.start, : state_range.stop - state_range.start],
                    ),
                )

    def _block(self, row_range: slice, state_range: slice, buffer: Tensor) -> Tensor:
        query, projected = self._query[row_range, state_range].unsqueeze(2), self._projected[row_range].unsqueeze(1)
        # (n, q, 1, H) and (n, 1, L, H)
        if self._fits_exp:
            return torch.addcmul(self._one, query, projected, out=buffer).reciprocal_()
        return torch.add(query, projected, out=buffer).mul_(-2).sigmoid_()

    def weights(self, direction: Tensor, keep: Tensor | None) -> Tensor:
        """The (N, Q, L) softmax over codes."""
        weights = self._query.new_empty(self._shape[:3])
        for row_range, state_range, pairs in self.blocks():
            scores = -2 * (pairs @ direction)  # (n, q, L)
            if keep is not None:
                scores.masked_fill_(~keep[row_range].unsqueeze(1), torch.finfo(scores.dtype).min)
            weights[row_range, state_range] = torch.softmax(scores, dim=2)
        return weights


class _Contexts(torch.autograd.Function):
    """(N, Q, H) contexts from (N, Q, H) q, (N, L, H) p and codes, and (H,) v; backward computes the pairs again."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, projected: Tensor, codes: Tensor, direction: Tensor, keep: Tensor | None
    ) -> Tensor:
        weights = Pairs(query, projected).weights(direction, keep)
        ctx.save_for_backward(query, projected, codes, direction, weights)
        return weights @ codes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, projected, codes, direction, weights = ctx.saved_tensors
        (grad_contexts,) = gradients
        grad_weights = grad_contexts @ codes.transpose(1, 2)  # (N, Q, L)
        grad_scores = weights * (grad_weights - (weights * grad_weights).sum(dim=2, keepdim=True))
        grad_query, grad_projected = torch.empty_like(query), torch.zeros_like(projected)
        grad_direction = torch.zeros_like(direction)
        for row_range, state_range, pairs in Pairs(query, projected).blocks():
            grad_block = grad_scores[row_range, state_range]
            # without the 1, as scores sum to 0
            grad_direction -= 2 * (grad_block.reshape(1, -1) @ pairs.flatten(0, 2))[0]
            # a quarter of the slope of tanh
            grad_pairs = pairs.addcmul_(pairs, pairs, value=-1).mul_(grad_block.unsqueeze(3))
            grad_query[row_range, state_range] = grad_pairs.sum(dim=2)
            grad_projected[row_range] += grad_pairs.sum(dim=1)
        slope = 4 * direction
        return grad_query * slope, grad_projected * slope, weights.transpose(1, 2) @ grad_contexts, grad_direction, None
