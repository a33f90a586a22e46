"""Sources of a describer: a table of features of a clip, each turned into a few soft tokens.

A source is a row: the width of its features, its number of soft tokens, and their fusion. Two forms are special: one
that *joins* others (face and voice merged before the language model), and one that *shares* the weights of another
(frames use those of faces). A source that a clip lacks is not in its prompt; nothing replaces it.

| fusion | what it does to T steps |
|---|---|
| `softmax`, `gated`, `mean`, `published` | one vector (`affekt.nn.pooling`), the token repeated if there are more |
| `qformer` | learned queries attend to the steps, to at most as many as have a learned position; one token each |
| `steps` | each step, or each vector of it, is a token of its own; a single vector is repeated |

Axes: N clips that have the source, T steps, Q vectors of a step, D width of the features, K tokens, H of the trunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, did_you_mean
from affekt.nn import POOLINGS, Dropout, Prefusion, QueryFormer, QueryPrefusion, pooling_of
from affekt.wording import counted

FUSIONS = (*POOLINGS, 'qformer', 'steps')


@dataclass(frozen=True)
class Queries:
    """Sizes of a Q-Former.

    Args:
        width: width of a query.
        heads: number of attention heads, a divisor of the width.
        between: hidden width of the feed-forward layers.
        layers: number of layers.
        positions: maximum number of steps; of a longer clip as many are read, evenly spaced.
    """

    width: int = 768
    heads: int = 12
    between: int = 3072
    layers: int = 2
    positions: int = 32


@dataclass(frozen=True)
class Source:
    """One row of the table of sources.

    Args:
        name: name in kinds of input, prompts and features; letters, digits and _.
        width: D of a step; for a source that joins others, the width to which each is projected first.
        tokens: K, its number of soft tokens in the prompt.
        fusion: how steps become tokens, one of `FUSIONS`.
        joins: names of the sources that it merges, in order; it then has no features of its own.
        shares: the source whose weights it uses; all other fields except `joins` equal those of that source.
        recipe: recipe of `affekt.features` for its features; '' if they come from elsewhere.
        queries: sizes of the Q-Former, if the fusion is `qformer`.
        dropout: share of the feature values that are set to 0 in training.
        standardised: standardise features to mean 0 and standard deviation 1, as measured on training clips.
        scaled: scale each token to the root mean square of the trunk's own embeddings.

    Raises:
        UnknownNameError: unknown fusion.
        ValueRangeError: a number is out of range, or the fusion lacks something or does not fit a source that joins.
    """

    name: str
    width: int
    tokens: int = 1
    fusion: str = 'softmax'
    joins: tuple[str, ...] = ()
    shares: str = ''
    recipe: str = ''
    queries: Queries | None = None
    dropout: float = 0.0
    standardised: bool = False
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise UnknownNameError(
                expected=f'a fusion of {self.name} among {", ".join(FUSIONS)}', came=repr(self.fusion),
                todo=did_you_mean(self.fusion, FUSIONS),
            )  # fmt: skip
        allowed = {
            'tokens': ('1 soft token or more', self.tokens >= 1),
            'width': ('a width of 1 or more', self.width >= 1),
            'dropout': ('a dropout in [0, 1)', 0.0 <= self.dropout < 1.0),
            'queries': ('the sizes of a Q-Former (Queries)', self.fusion != 'qformer' or self.queries is not None),
            'fusion': ('a fusion that pools', not self.joins or self.fusion != 'steps'),
        }
        for part, (expected, is_allowed) in allowed.items():
            if not is_allowed:
                raise ValueRangeError(
                    expected=f'{expected} for the source {self.name}', came=repr(getattr(self, part)),
                    todo=f'change {part}',
                )  # fmt: skip


def source_table(sources: Iterable[Source]) -> dict[str, Source]:
    """Name to source, checked.

    Raises:
        ValueRangeError: two have the same name.
        UnknownNameError: unknown source in `joins` or `shares`.
    """
    table: dict[str, Source] = {}
    for source in sources:
        if source.name in table or not source.name.isidentifier():
            raise ValueRangeError(
                expected='names of sources that differ, of letters, digits and _', came=repr(source.name),
                todo='rename one',
            )  # fmt: skip
        table[source.name] = source
    for source in table.values():
        for other in (*source.joins, *([source.shares] if source.shares else [])):
            if other not in table or other == source.name:
                raise UnknownNameError(
                    expected=f'another source of the table in joins or shares of {source.name}',
                    came=repr(other),
                    todo=did_you_mean(other, table),
                )
    return table


def present(table: Mapping[str, Source], features: Iterable[str]) -> set[str]:
    """The sources that a clip with these features has: its own, and those that join them."""
    given = set(features)
    return {
        name for name, source in table.items() if (given.issuperset(source.joins) if source.joins else name in given)
    }


class SourceReader(nn.Module):
    """The weights of one source: features of clips to their soft tokens.

    Args:
        source: row of the source.
        widths: D of the source, or of each that it joins.
        trunk_width: H.
    """

    mean: Tensor
    deviation: Tensor
    size: Tensor

    def __init__(self, source: Source, widths: Sequence[int], trunk_width: int) -> None:
        super().__init__()
        self.source = source
        width = source.width
        self.fuse: nn.Module | None = None
        if source.fusion == 'qformer' and source.queries is not None:
            sizes = source.queries
            reader = QueryFormer(
                source.tokens, sizes.width, width, heads=sizes.heads, between=sizes.between, layers=sizes.layers,
                positions=sizes.positions,
            )  # fmt: skip
            self.fuse = QueryPrefusion(widths, width, reader) if source.joins else reader
            width = sizes.width
        elif source.joins:
            self.fuse = Prefusion(widths, width, source.fusion)
        elif source.fusion != 'steps':
            self.fuse = pooling_of(source.fusion, width)
        self.project = nn.Linear(width, trunk_width)
        self.dropout = Dropout(source.dropout)
        if source.standardised and not source.joins:
            self.register_buffer('mean', torch.zeros(source.width))
            self.register_buffer('deviation', torch.ones(source.width))
        if source.scaled:
            self.register_buffer('size', torch.ones(()))

    def fused(self, features: Sequence[Tensor], keep_masks: Sequence[Tensor | None]) -> Tensor:
        """The input of the projection: (N, D), or (N, K, D) of queries or steps.

        Args:
            features: (N, T, D) or (N, T, Q, D) of the source, or of each that it joins.
            keep_masks: bool (N, T) of each; None if all steps are kept.
        """
        if self.source.joins:
            joined: Tensor = self.fuse(features, keep_masks)  # type: ignore[misc]  # a source that joins has a fusion
            return joined
        values: Tensor = features[0]
        if self.source.standardised:
            values = (values - self.mean) / self.deviation
        values = self.dropout(values)
        if self.fuse is None:  # each vector is a token
            return values.flatten(1, 2) if values.ndim == 4 else values  # (N, K, D)
        fused: Tensor = self.fuse(values, keep_masks[0])
        return fused

    def distance(self, features: Tensor) -> float:
        """Distance of a clip from the training clips: the root mean square of its standardised columns.

            sqrt(mean over columns of ((x - mean) / deviation)**2)

        Args:
            features: (D,), or (T, D) or (T, Q, D), which are averaged over steps.

        Returns:
            About 1 for the training clips themselves, more for others; nan for a source that is not standardised.
        """
        if not self.source.standardised or self.source.joins:
            return float('nan')
        columns = features.reshape(-1, features.shape[-1]).mean(dim=0).to(self.mean)  # to (T Q, D), then (D,)
        return float(((columns - self.mean) / self.deviation).square().mean().sqrt())

    def forward(self, features: Sequence[Tensor], keep_masks: Sequence[Tensor | None]) -> Tensor:
        """The (N, K, H) soft tokens; see `fused`."""
        tokens: Tensor = self.project(self.fused(features, keep_masks))
        if tokens.ndim == 2:
            tokens = tokens.unsqueeze(1)  # (N, 1, H)
        if self.source.scaled:
            tokens = nn.functional.layer_norm(tokens, tokens.shape[-1:]) * self.size
        return tokens.expand(-1, self.source.tokens, -1)  # (N, K, H)


def together(source: Source, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of several clips as one (N, T, D) or (N, T, Q, D), with a bool (N, T) keep mask.

    Args:
        source: the source of the features.
        features: (D,), (T, D) or (T, Q, D) features of each clip.

    Raises:
        ShapeError: features are empty, of another width, or of incompatible shapes.
        ValueRangeError: they hold nan or infinity.
    """
    all_steps = [steps_of(source, clip_features) for clip_features in features]
    longest = max(len(steps) for steps in all_steps)
    if len({steps.shape[1:] for steps in all_steps}) > 1:
        raise ShapeError(
            expected=f'features of {source.name} of one form in all clips',
            came=' and '.join(sorted({str(tuple(steps.shape)) for steps in all_steps})[:3]),
            todo='make them by one recipe',
        )  # fmt: skip
    padded = all_steps[0].new_zeros((len(all_steps), longest, *all_steps[0].shape[1:]))
    keep_mask = torch.zeros(len(all_steps), longest, dtype=torch.bool, device=padded.device)
    for row, steps in enumerate(all_steps):
        padded[row, : len(steps)] = steps
        keep_mask[row, : len(steps)] = True
    return padded, keep_mask


def steps_of(source: Source, features: Tensor) -> Tensor:
    """The features of one clip as its reader takes them: float32 (T, D) or (T, Q, D); (K, D) if each vector is a token.

    Args:
        source: the source of the features; for one that joins others, each of those.
        features: (D,), (T, D) or (T, Q, D).

    Raises:
        ShapeError: they are empty, of another width, or not as many as the source has tokens.
        ValueRangeError: they hold nan or infinity.
    """
    steps = features.unsqueeze(0) if features.ndim == 1 else features
    if steps.ndim not in (2, 3) or 0 in steps.shape or steps.shape[-1] != source.width:
        raise ShapeError(
            expected=f'features of {source.name} of width {source.width}, a step a row',
            came=f'{tuple(features.shape)}',
            todo=f'make them by its recipe {source.recipe}'.rstrip() + ', and leave out a source that a clip lacks',
        )  # fmt: skip
    if not bool(torch.isfinite(steps).all()):
        raise ValueRangeError(
            expected=f'features of {source.name} that are numbers', came='nan or infinity', todo='extract them again'
        )
    if source.fusion == 'steps':
        vectors = steps.flatten(0, -2)  # (T, D), or (T Q, D)
        if len(vectors) not in (1, source.tokens):
            raise ShapeError(
                expected=f'{counted(source.tokens, "vector")} of {source.name} in each clip, one a token, or a single '
                'one that all tokens repeat',
                came=f'{len(vectors)}', todo='give as many, change the tokens of the source, or choose a fusion that '
                'pools them',
            )  # fmt: skip
        steps = vectors.expand(source.tokens, -1)
    elif source.queries is not None and source.fusion == 'qformer' and len(steps) > source.queries.positions > 0:
        positions = torch.linspace(0, len(steps) - 1, source.queries.positions, device=steps.device)
        steps = steps[positions.round().long()]
    return steps.float()
