"""MulT: each modality attends to each other one, at its own pace.

Axes: B batch, T time of the reading modality, S of the one read, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.fusion.memory import LETTERS, ORDER
from affekt.fusion.model import FusionModel, FusionShape, Losses, presence, published_heads
from affekt.nn import Dropout, kept_first, mean_kept
from affekt.nn.states import NameMap

PAIRS = tuple((reader, read) for reader in ORDER for read in ORDER if reader != read)


class CrossmodalFusion(FusionModel):
    """`mult`: six crossmodal transformers, three over their results, the last step of each.

    The published form attends to padding, hides later steps by their number in two sequences of different pace, and
    has no positions. The corrected form reads kept steps only, knows their positions, hides none, and takes the mean
    of the kept steps; a missing modality is one learned step.

    Args:
        layers: blocks of each crossmodal transformer; the other three have at least 3.
        heads: of each attention; a divisor of H.
        kernel: odd width of the convolution that brings each modality to H.

    Source: Tsai et al. 2019, arXiv:1906.00295, section 3.
    """

    levels = ('frame',)

    def __init__(self, shape: FusionShape, *, layers: int = 4, heads: int = 8, kernel: int = 3) -> None:
        hidden = shape.hidden
        if hidden % heads or kernel % 2 == 0:
            raise ValueRangeError(
                expected='hidden a multiple of heads, and an odd kernel',
                came=f'hidden {hidden}, {heads} heads, kernel {kernel}',
                todo='choose others',
            )
        super().__init__(shape, width=hidden // 2)
        padding = kernel // 2 if shape.corrected else 0
        self.inputs = nn.ModuleDict(
            {name: nn.Conv1d(shape.sizes[name], hidden, kernel, padding=padding, bias=False) for name in ORDER}
        )
        self.cross = nn.ModuleDict(
            {f'{reader}_{read}': _Transformer(shape, hidden, heads, layers) for reader, read in PAIRS}
        )
        self.within = nn.ModuleDict({name: _Transformer(shape, 2 * hidden, heads, max(layers, 3)) for name in ORDER})
        self.first = nn.Linear(6 * hidden, 6 * hidden)
        self.dropout = Dropout(shape.dropout)
        self.second = nn.Linear(6 * hidden, 6 * hidden)
        self.output = nn.Linear(6 * hidden, hidden // 2)
        if shape.corrected:
            self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(hidden)) for name in ORDER})

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H / 2) representation; no auxiliary loss."""
        steps, keep = self._steps(features, keep)
        ends = []
        for reader in ORDER:
            others = [read for read in ORDER if read != reader]
            seen = [self.cross[f'{reader}_{read}'](steps[reader], steps[read], keep[read]) for read in others]
            joined = torch.cat(seen, dim=2)
            mixed = self.within[reader](joined, joined, keep[reader])
            ends.append(mean_kept(mixed, keep[reader]) if self.shape.corrected else mixed[:, -1])
        end = torch.cat(ends, dim=1)
        return self.output(end + self.second(self.dropout(torch.relu(self.first(end))))), {}

    def _steps(
        self, features: dict[str, Tensor], keep: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Each modality as (B, T, H), and its mask; in the corrected form kept steps first, with their positions."""
        if not self.shape.corrected:
            steps = {name: self._convolved(name, features[name]) for name in ORDER}
            return steps, keep
        steps, masks, present = {}, {}, presence(keep)
        for name in ORDER:
            sequence, mask = kept_first(features[name], keep[name])
            step = self._convolved(name, sequence)
            first = torch.arange(step.shape[1], device=step.device) == 0
            instead = ~present[name].unsqueeze(1) & first
            step = torch.where(instead.unsqueeze(-1), self.absent[name], step)
            steps[name], masks[name] = step + positions(step), mask | instead
        return steps, masks

    def _convolved(self, name: str, sequence: Tensor) -> Tensor:
        convolved: Tensor = self.inputs[name](sequence.transpose(1, 2)).transpose(1, 2)
        return convolved

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        names = published_heads() | {f'proj_{LETTERS[name]}': f'inputs.{name}' for name in ORDER}
        for reader, read in PAIRS:
            names |= _published_transformer(f'trans_{LETTERS[reader]}_with_{LETTERS[read]}', f'cross.{reader}_{read}')
        for name in ORDER:
            names |= _published_transformer(f'trans_{LETTERS[name]}_mem', f'within.{name}')
        return names | {'proj1': 'first', 'proj2': 'second', 'out_layer': 'output'}


def positions(steps: Tensor) -> Tensor:
    """(T, H) sines and cosines of the step's number, for (B, T, H) steps.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    count, width = steps.shape[1:]
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half, device=steps.device) * (-math.log(10_000.0) / half))
    angles = torch.arange(count, device=steps.device).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width].to(steps.dtype)


class _Transformer(nn.Module):
    """Blocks in which one sequence, (B, T, W), reads another, (B, S, W)."""

    def __init__(self, shape: FusionShape, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.masked = shape.corrected
        self.scale = math.sqrt(width)
        self.layers = nn.ModuleList([_Block(width, heads, shape.dropout) for _ in range(layers)])
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = Dropout(shape.dropout if shape.corrected else 0.0)

    def forward(self, reader: Tensor, read: Tensor, keep: Tensor) -> Tensor:
        if self.masked:
            visible = keep[:, None, None, :]
        else:
            ahead = torch.ones((reader.shape[1], read.shape[1]), dtype=torch.bool, device=reader.device)
            visible = ~torch.triu(ahead, 1 + abs(read.shape[1] - reader.shape[1]))
        own = reader is read
        state = self.dropout(self.scale * reader)
        source = self.scale * read
        for layer in self.layers:
            state = layer(state, state if own else source, visible)
        normed: Tensor = self.layer_norm(state)
        return normed


class _Block(nn.Module):
    """Attention, then two linear layers; each normalised before and added after."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = _Attention(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.layer_norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = Dropout(dropout)

    def forward(self, reader: Tensor, read: Tensor, visible: Tensor) -> Tensor:
        query = self.layer_norms[0](reader)
        source = query if reader is read else self.layer_norms[0](read)
        state = reader + self.dropout(self.self_attn(query, source, visible, self.heads))
        inner = self.dropout(torch.relu(self.fc1(self.layer_norms[1](state))))
        result: Tensor = state + self.dropout(self.fc2(inner))
        return result


class _Attention(nn.Module):
    """Scaled dot product attention of several heads; weights as in `nn.MultiheadAttention`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, source: Tensor, visible: Tensor, heads: int) -> Tensor:
        width = query.shape[2]
        queries = functional.linear(query, self.in_proj_weight[:width], self.in_proj_bias[:width])
        keys, values = functional.linear(source, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, 2)
        queries, keys, values = (
            part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in (queries, keys, values)
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(width / heads)
        shares = torch.softmax(scores.masked_fill(~visible, torch.finfo(scores.dtype).min), dim=3)
        attended = shares @ values
        result: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return result


def _published_transformer(theirs: str, ours: str) -> dict[str, str | None]:
    return {theirs: ours, f'{theirs}.version': None}
