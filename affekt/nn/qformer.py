"""The Q-Former of BLIP-2 without its text branch: learned queries that read a sequence, one output vector per query.

    queries ← LN(queries)
    queries ← LN(queries + W attend(queries, queries))          in each layer
    queries ← LN(queries + W attend(queries, context))
    queries ← LN(queries + W₂ gelu(W₁ queries))

A learned vector per step is added to the context first. Post-norm, as in BERT, with its epsilon of 1e-12.

| here | published name |
|---|---|
| `queries` | `*_query_tokens` |
| `positions` | `*_position_embedding` |
| `norm` | `*_Qformer.bert.embeddings.LayerNorm` |
| `layers.N.own`, `layers.N.context` | `encoder.layer.N.attention`, `crossattention` |
| `layers.N.fc1`, `fc2`, `norm` | `intermediate_query.dense`, `output_query.dense`, `output_query.LayerNorm` |

Axes: B batch, T steps, Q vectors per step, C width of the context, K queries, D their width.

Source: Li et al. 2023, arXiv:2301.12597; as Video-LLaMA and AffectGPT use it, two layers over time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ShapeError, ValueRangeError
from affekt.nn.attention import attend, join_heads, split_heads
from affekt.nn.dropout import Dropout
from affekt.nn.pooling import checked_mask

EPSILON, DEVIATION = 1e-12, 0.02
"""Epsilon of the layer normalisations; standard deviation of the initial weights, as in BERT."""


class QueryFormer(nn.Module):
    """(B, T, C) or (B, T, Q, C) to (B, K, D).

    Args:
        queries: K.
        width: D.
        context_width: C.
        heads: number of heads, a divisor of D.
        between: hidden width of the feed-forward layers.
        layers: number of layers.
        positions: largest T; 0 for a context without position embeddings.
        dropout: dropout probability.

    Raises:
        ValueRangeError: D is not a multiple of `heads`.
    """

    def __init__(
        self,
        queries: int,
        width: int,
        context_width: int,
        *,
        heads: int,
        between: int,
        layers: int = 2,
        positions: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueRangeError(
                expected='a width that is a multiple of heads', came=f'width {width}, {heads} heads',
                todo='choose others',
            )  # fmt: skip
        self.queries = nn.Parameter(torch.empty(1, queries, width))
        self.positions = nn.Embedding(positions, context_width) if positions else None
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(width, context_width, heads, between, dropout) for _ in range(layers))
        self.apply(_initialise)
        nn.init.normal_(self.queries, std=DEVIATION)

    def forward(self, context: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The (B, K, D) output vectors, one per query.

        Args:
            context: (B, T, C) or (B, T, Q, C) sequence; the vectors of one step share its position.
            keep_mask: bool (B, T), True where a step may be read.

        Raises:
            ShapeError: there are more steps than positions.
        """
        keep_mask = checked_mask(keep_mask, context)
        if self.positions is not None:
            if context.shape[1] > self.positions.num_embeddings:
                raise ShapeError(
                    expected=f'at most {self.positions.num_embeddings} steps, one a learned position',
                    came=f'{context.shape[1]}', todo='take fewer frames or shorter clips',
                )  # fmt: skip
            embeddings = self.positions.weight[: context.shape[1]]  # (T, C)
            context = context + (embeddings if context.ndim == 3 else embeddings.unsqueeze(1))
        if context.ndim == 4:
            keep_mask = keep_mask.repeat_interleave(context.shape[2], dim=1)  # (B, T Q)
            context = context.flatten(1, 2)  # (B, T Q, C)
        queries: Tensor = self.dropout(self.norm(self.queries)).expand(len(context), -1, -1)  # (B, K, D)
        for layer in self.layers:
            queries = layer(queries, context, keep_mask)
        return queries


class _Reading(nn.Module):
    """Attention of the queries to a (B, S, C) context, then a layer normalisation; H heads of width E = D / H."""

    def __init__(self, width: int, context_width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(context_width, width)
        self.value, self.output = nn.Linear(context_width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, context: Tensor, keep_mask: Tensor | None) -> Tensor:
        """The updated (B, K, D) queries."""
        projections = (self.query(queries), self.key(context), self.value(context))
        # (B, H, K, E) and twice (B, H, S, E)
        query_heads, keys, values = (split_heads(projected, self.heads) for projected in projections)
        attended = join_heads(attend(query_heads, keys, values, keep_mask))  # (B, K, D)
        updated: Tensor = self.norm(queries + self.dropout(self.output(attended)))
        return updated


class _Layer(nn.Module):
    """Self-attention of the queries, attention to the context, then a feed-forward network."""

    def __init__(self, width: int, context_width: int, heads: int, between: int, dropout: float) -> None:
        super().__init__()
        self.own = _Reading(width, width, heads, dropout)
        self.context = _Reading(width, context_width, heads, dropout)
        self.fc1, self.fc2 = nn.Linear(width, between), nn.Linear(between, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, context: Tensor, keep_mask: Tensor) -> Tensor:
        """The updated (B, K, D) queries."""
        queries = self.context(self.own(queries, queries, None), context, keep_mask)
        updated: Tensor = self.norm(queries + self.dropout(self.fc2(functional.gelu(self.fc1(queries)))))
        return updated


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def qformer_names(published: str, ours: str, layers: int) -> dict[str, str | None]:
    """Prefixes of a published Q-Former to those of a `QueryFormer`, for `load_published`.

    Args:
        published: published prefix, such as `video_Qformer.bert`.
        ours: prefix of our module.
        layers: number of layers.
    """
    names: dict[str, str | None] = {
        f'{published}.embeddings.LayerNorm': f'{ours}.norm',
        f'{published}.embeddings.position_ids': None,
    }
    for layer in range(layers):
        published_in_layer, ours_in_layer = f'{published}.encoder.layer.{layer}', f'{ours}.layers.{layer}'
        for block, name in (('attention', 'own'), ('crossattention', 'context')):
            names |= {
                f'{published_in_layer}.{block}.self': f'{ours_in_layer}.{name}',
                f'{published_in_layer}.{block}.output.dense': f'{ours_in_layer}.{name}.output',
            }
            names[f'{published_in_layer}.{block}.output.LayerNorm'] = f'{ours_in_layer}.{name}.norm'
        names[f'{published_in_layer}.intermediate_query.dense'] = f'{ours_in_layer}.fc1'
        names |= {
            f'{published_in_layer}.output_query.dense': f'{ours_in_layer}.fc2',
            f'{published_in_layer}.output_query.LayerNorm': f'{ours_in_layer}.norm',
        }
    return names
