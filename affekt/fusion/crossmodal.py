"""MulT: each modality attends to each other one, without alignment in time.

Axes: B batch, T time of the queries, S of the keys, D feature, H hidden, W width of a transformer: H, or 2H where it
reads two results.

In the paper α is the query modality and β the key modality, each one of L, A, V:

    features                X_α
    inputs                  Conv1D(X_α, k_α), which gives X̂_α
    steps                   Z_α[0], with positions PE(T, d) in the corrected form alone
    cross['reader_read']    the crossmodal transformer β→α, its result Z_{β→α}[D]
    joined                  Z_α = [Z_{β→α}; Z_{γ→α}]
    within                  the self-attention transformer over Z_α, whose last step predicts
    hidden, heads, layers   d, the heads of CM^mul, D
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affekt.errors import ValueRangeError
from affekt.fusion.memory import LETTERS, ORDER
from affekt.fusion.model import FusionModel, FusionShape, Losses, presence, published_heads
from affekt.nn import Block, BlockForm, Dropout, NameMap, kept_first, mean_kept, renamed, sinusoids_in_halves

PAIRS = tuple((reader, read) for reader in ORDER for read in ORDER if reader != read)
BLOCK_NAMES = {
    'self_attn.in_proj_weight': 'attn.qkv.weight',
    'self_attn.in_proj_bias': 'attn.qkv.bias',
    'self_attn.out_proj': 'attn.proj',
    'fc1': 'mlp.fc1',
    'fc2': 'mlp.fc2',
    'layer_norms.0': 'norm1',
    'layer_norms.1': 'norm2',
}
"""Published names inside a block, under which affekt saved its own runs too, to those of `affekt.nn.Block`."""


class CrossmodalFusion(FusionModel):
    """`mult`: six crossmodal transformers, three transformers over their results, the last step of each.

    The published form attends to padding, masks later steps by their index although the sequences differ in rate, and
    has no positions. The corrected form reads only kept steps, with their positions, masks none of them, and takes the
    mean of the kept steps; a missing modality is one learned step.

    Args:
        layers: number of blocks of each crossmodal transformer; the other three have at least 3.
        heads: number of heads of each attention, a divisor of H.
        kernel: odd kernel width of the convolution that projects each modality to H.

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
        self.depth = layers
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
        summaries = []
        for reader in ORDER:
            others = [read for read in ORDER if read != reader]
            results = [self.cross[f'{reader}_{read}'](steps[reader], steps[read], keep[read]) for read in others]
            joined = torch.cat(results, dim=2)  # (B, T, 2H)
            mixed = self.within[reader](joined, None, keep[reader])
            summaries.append(mean_kept(mixed, keep[reader]) if self.shape.corrected else mixed[:, -1])
        summary = torch.cat(summaries, dim=1)  # (B, 6H)
        return self.output(summary + self.second(self.dropout(torch.relu(self.first(summary))))), {}

    def _steps(
        self, features: dict[str, Tensor], keep: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Each modality as (B, T, H), and its mask; in the corrected form with kept steps first and positions."""
        if not self.shape.corrected:
            steps = {name: self._convolved(name, features[name]) for name in ORDER}
            return steps, keep
        steps, masks, present = {}, {}, presence(keep)
        for name in ORDER:
            sequence, mask = kept_first(features[name], keep[name])
            projected = self._convolved(name, sequence)
            is_first = torch.arange(projected.shape[1], device=projected.device) == 0
            is_placeholder = ~present[name].unsqueeze(1) & is_first  # (B, T): the first step of a missing modality
            # (B, T, 1), (H,) and (B, T, H) to (B, T, H)
            projected = torch.where(is_placeholder.unsqueeze(-1), self.absent[name], projected)
            steps[name], masks[name] = projected + sinusoids_in_halves(projected), mask | is_placeholder
        return steps, masks

    def _convolved(self, name: str, sequence: Tensor) -> Tensor:
        """(B, T, D) to (B, T, H); in the reference form T shrinks by the kernel's overhang."""
        convolved: Tensor = self.inputs[name](sequence.transpose(1, 2)).transpose(1, 2)  # by way of (B, H, T)
        return convolved

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As `nn.Module`; also loads runs saved when the blocks had their published names."""
        names: dict[str, str | None] = {}
        for path, module in self.named_modules():
            if isinstance(module, _Transformer):
                names |= _block_names(path, path, len(module.layers))
        current = {renamed(name, names) or name: value for name, value in state_dict.items()}
        return super().load_state_dict(current, strict=strict, assign=assign)

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        names = published_heads() | {f'proj_{LETTERS[name]}': f'inputs.{name}' for name in ORDER}
        for reader, read in PAIRS:
            names |= _published_transformer(
                f'trans_{LETTERS[reader]}_with_{LETTERS[read]}', f'cross.{reader}_{read}', self.depth
            )
        for name in ORDER:
            names |= _published_transformer(f'trans_{LETTERS[name]}_mem', f'within.{name}', max(self.depth, 3))
        return names | {'proj1': 'first', 'proj2': 'second', 'out_layer': 'output'}


class _Transformer(nn.Module):
    """Blocks in which a sequence (B, T, W) attends to another one (B, S, W), or to itself."""

    def __init__(self, shape: FusionShape, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.masked = shape.corrected
        self.scale = math.sqrt(width)
        # not fused: folds are trained in parallel under torch.vmap
        form = BlockForm(
            width, heads, bias='qkv', activation=torch.relu, epsilon=1e-5, dropout=shape.dropout, fused=False
        )
        self.layers = nn.ModuleList([Block(form) for _ in range(layers)])
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = Dropout(shape.dropout if shape.corrected else 0.0)

    def forward(self, reader: Tensor, read: Tensor | None, keep: Tensor) -> Tensor:
        """The (B, T, W) tokens after all blocks.

        Args:
            reader: (B, T, W) queries.
            read: (B, S, W) keys and values; None for self-attention in every block.
            keep: (B, S) mask of the keys.
        """
        steps = reader.shape[1]
        visible = keep if self.masked else _published_mask(steps, steps if read is None else read.shape[1], reader)
        state = self.dropout(self.scale * reader)
        source = None if read is None else self.scale * read
        for layer in self.layers:
            state = layer(state, source, visible)
        normed: Tensor = self.layer_norm(state)
        return normed


def _published_mask(queries: int, keys: int, like: Tensor) -> Tensor:
    """(1, 1, T, S): step t attends to the steps up to t + |S - T|, by index alone."""
    all_pairs = torch.ones((queries, keys), dtype=torch.bool, device=like.device)
    return ~torch.triu(all_pairs, 1 + abs(keys - queries))[None, None]


def _published_transformer(theirs: str, ours: str, layers: int) -> dict[str, str | None]:
    """Names of one transformer: those of its blocks differ, the rest is the same under another prefix."""
    return {theirs: ours, f'{theirs}.version': None} | _block_names(theirs, ours, layers)


def _block_names(theirs: str, ours: str, layers: int) -> dict[str, str | None]:
    return {
        f'{theirs}.layers.{i}.{published}': f'{ours}.layers.{i}.{name}'
        for i in range(layers)
        for published, name in BLOCK_NAMES.items()
    }
