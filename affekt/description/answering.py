"""Generation for a whole batch: left-padded, with explicit positions, and stop strings tested on the whole text.

What all prompts begin with is read once, and keys and values are written in place. A finished clip leaves the batch, so
that the others go faster; an answer does not depend on the other clips of the batch. Greedy, or sampled with a separate
generator for each clip.

Axes: B clips still answering, L positions, H width of the trunk, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from affekt.description.trunk import Vocabulary
from affekt.errors import ValueRangeError

Finish = Literal['end', 'stop', 'length']


@dataclass(frozen=True)
class Limits:
    """When an answer ends, and how its tokens are chosen.

    Args:
        tokens: maximum tokens of an answer.
        temperature: 0 for the most probable token each time.
        top_p: with a temperature, sample from the most probable tokens that together have this share of the
            probability.
        seed: seed of sampling with a temperature; independent of the other clips in the batch.
        stops: strings that end the answer; None for those of the family.
    """

    tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stops: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.tokens < 1 or not self.temperature >= 0.0 or not 0.0 < self.top_p <= 1.0:
            raise ValueRangeError(
                expected='at least 1 token, a temperature from 0 and top_p in (0, 1]',
                came=f'{self.tokens}, {self.temperature}, {self.top_p}', todo='choose others',
            )  # fmt: skip


@dataclass(frozen=True)
class Generated:
    """An answer.

    Args:
        text: the answer without the string that ended it.
        tokens: ids of all tokens that were generated, the end token included.
        finish: `end` if a token ended the answer, `stop` if a string did, `length` if it was cut at the limit.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Finish


def answered(
    network: nn.Module,
    embeddings: Tensor,
    keep_mask: Tensor,
    positions: Tensor,
    vocabulary: Vocabulary,
    limits: Limits,
    stops: Sequence[str],
    seeds: Sequence[int] | None = None,
) -> list[Generated]:
    """The B answers to a batch of prompts, in order.

    Args:
        network: the trunk's network.
        embeddings: (B, L, H) of the prompts, padded left.
        keep_mask: bool (B, L), False where there is padding.
        positions: (B, L) position of each token in its prompt.
        vocabulary: the trunk's tokens.
        limits: when an answer ends, and how tokens are chosen.
        stops: strings that end an answer.
        seeds: seed of the draws for each clip; None for the limits' seed.

    Raises:
        ValueRangeError: a prompt and its answer together are longer than the trunk allows.
    """
    _require_fitting(network, embeddings.shape[1], limits)
    stop_ids = (vocabulary.tokenizer.token_to_id(stop) for stop in stops)
    end_ids = {vocabulary.end, *(stop_id for stop_id in stop_ids if stop_id is not None)}
    rows = [_Row(vocabulary, end_ids, stops, seed) for seed in seeds or [limits.seed] * len(embeddings)]
    active, cache = list(rows), _Cache(network, *keep_mask.shape)
    logits, mask = _prompts_read(cache, embeddings, keep_mask, positions)
    for count in range(1, limits.tokens + 1):
        chosen = _chosen(logits.float(), active, limits)  # (B, V) to (B,)
        for row, token in zip(active, chosen.tolist(), strict=True):
            row.add(token)
        unfinished = [index for index, row in enumerate(active) if row.finish is None]
        if not unfinished or count == limits.tokens:
            break
        if len(unfinished) < len(active):
            kept = torch.tensor(unfinished, device=chosen.device)
            cache.keep(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
            active = [active[index] for index in unfinished]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
        logits = cache.logits(mask, positions, input_ids=chosen.unsqueeze(1))
    return [row.result() for row in rows]


MOST_POSITIONS = 192
"""Positions of prompts that a CPU reads at once: larger intermediate results are returned to the system each time."""


def _prompts_read(cache: _Cache, embeddings: Tensor, keep_mask: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Read prompts into an empty cache; returns the (B, V) logits after them and the bool (B, L) mask of the cache.

    What all prompts begin with is read once. Padding then follows it, so that it is in the same columns in all rows:

        T T A B C        T T A B C
        . T T D E   to   T T . D E        T shared, . padding
    """
    count, length = keep_mask.shape
    first = keep_mask.int().argmax(dim=1)  # (B,) index of the first token
    shared = _shared_beginning(embeddings, first) if count > 1 and cache.has_room else 0
    at_once = MOST_POSITIONS if cache.has_room and embeddings.device.type == 'cpu' else count * length
    if shared:
        start = int(first[0])
        part = slice(start, start + shared)
        cache.choose(slice(0, 1), 0)
        cache.logits(keep_mask[:1, part], positions[:1, part], inputs_embeds=embeddings[:1, part], ends=False)
        cache.share()
        indices = torch.arange(length, device=first.device)
        beginning = keep_mask.new_ones(count, shared)
        keep_mask = torch.cat([beginning, (indices >= first.unsqueeze(1) + shared)[:, shared:]], dim=1)  # (B, L)
    logits = []
    for rows, begin in _groups(first.tolist(), length - shared, at_once):
        cache.choose(rows, shared + begin)  # columns before it stay 0, and are masked
        part = slice(shared + begin, None)
        logits.append(cache.logits(keep_mask[rows], positions[rows, part], inputs_embeds=embeddings[rows, part]))
    cache.choose(slice(0, count), length)
    return torch.cat(logits), keep_mask


def _groups(first: Sequence[int], length: int, at_once: int) -> Iterator[tuple[slice, int]]:
    """Rows that are read together, and their first column: one row, or as many as have `at_once` positions."""
    begin = 0
    while begin < len(first):
        end = begin + 1
        while end < len(first) and (end + 1 - begin) * (length - min(first[begin : end + 1])) <= at_once:
            end += 1
        yield slice(begin, end), min(first[begin:end])
        begin = end


def _shared_beginning(embeddings: Tensor, first: Tensor) -> int:
    """Number of positions with which all prompts begin alike; at least one position of each is not among them."""
    length = embeddings.shape[1]
    shared = length - int(first.max()) - 1
    begins = torch.stack([row[start : start + shared] for row, start in zip(embeddings, first.tolist(), strict=True)])
    is_alike = (begins == begins[:1]).all(dim=2).all(dim=0)  # (shared,)
    return int(is_alike.int().cumprod(dim=0).sum())


class _Cache:
    """Keys and values of a batch, with the network that fills them.

    Layers that attend to all positions have room for tokens to come, and a call reads and fills the chosen rows alone.
    A network with others, such as sliding windows, has the cache of transformers, for all rows at once.

    Args:
        network: the trunk's network.
        count: B.
        length: positions of the prompts.
    """

    def __init__(self, network: nn.Module, count: int, length: int) -> None:
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        base = network.get_base_model() if hasattr(network, 'get_base_model') else network  # type: ignore[operator]
        parameters = inspect.signature(base.forward).parameters
        self._network, self._argument = network, 'cache' if 'cache' in parameters else 'past_key_values'
        self._cache = DynamicCache(config=cast(Any, network.config))
        self._layers: list[Any] = []
        self.has_room = bool(self._cache.layers) and all(type(layer) is DynamicLayer for layer in self._cache.layers)
        if self.has_room:
            self._layers = self._cache.layers = [_roomy_layer()(count, length + ROOM) for _ in self._cache.layers]

    def choose(self, rows: slice, length: int) -> None:
        """From now on, read and fill these rows, of which the first `length` positions are filled."""
        for layer in self._layers:
            layer.rows, layer.length = rows, length

    def share(self) -> None:
        """Give all rows what the first has."""
        for layer in self._layers:
            for store in (layer.all_keys, layer.all_values):
                store[1:, :, : layer.length] = store[:1, :, : layer.length]

    def keep(self, indices: Tensor) -> None:
        """Drop all rows but these, in ascending order."""
        if not self.has_room:
            self._cache.batch_select_indices(indices)
        for layer in self._layers:
            for store in (layer.all_keys, layer.all_values):
                for row, index in enumerate(indices.tolist()):
                    if row != index:
                        store[row, :, : layer.length] = store[index, :, : layer.length]
            layer.rows, layer.count = slice(0, len(indices)), len(indices)

    def logits(self, mask: Tensor, positions: Tensor, *, ends: bool = True, **inputs: Tensor) -> Tensor:
        """The (N, V) logits after L new positions of the N chosen rows; (N, 0) without `ends`.

        Args:
            mask: bool (N, P + L), False where there is padding, with the P positions in the cache.
            positions: (N, L) of the new ones.
            ends: whether logits are needed.
            inputs: `inputs_embeds` (N, L, H), or `input_ids` (N, L).
        """
        count = positions.shape[1]
        last = torch.arange(count - 1, count if ends else count - 1, device=positions.device)
        output: Any = self._network(
            **inputs, attention_mask=mask.long(), position_ids=positions, use_cache=True, logits_to_keep=last,
            **{self._argument: self._cache},
        )  # fmt: skip
        for layer in self._layers:
            layer.length += count
        logits: Tensor = output.logits.flatten(1)  # (N, 1, V) to (N, V)
        return logits


ROOM = 64
"""Tokens for which a layer makes room at once."""


@cache
def _roomy_layer() -> type[Any]:
    """A layer of a cache of transformers with room, which is written in place instead of copied for each token."""
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):  # type: ignore[misc]
        def __init__(self, count: int, room: int) -> None:
            super().__init__()
            self.rows, self.length, self.count, self.room = slice(0, count), 0, count, room
            self.all_keys = self.all_values = torch.empty(0)  # (B, heads, positions, width of a head)

        def update(
            self, key_states: Tensor, value_states: Tensor, *positional: Any, **named: Any
        ) -> tuple[Tensor, Tensor]:
            end = self.length + key_states.shape[2]
            if self.all_keys.ndim < 4 or self.room < end:
                self.is_initialized = True
                self.room = self.room if end <= self.room else end + ROOM
                self.all_keys = self._with_room(self.all_keys, key_states)
                self.all_values = self._with_room(self.all_values, value_states)
            self.all_keys[self.rows, :, self.length : end] = key_states
            self.all_values[self.rows, :, self.length : end] = value_states
            return self.all_keys[self.rows, :, :end], self.all_values[self.rows, :, :end]

        def _with_room(self, store: Tensor, states: Tensor) -> Tensor:
            roomy = states.new_zeros(self.count, states.shape[1], self.room, states.shape[3])
            if store.ndim == states.ndim:
                roomy[:, :, : self.length] = store[: self.count, :, : self.length]
            return roomy

        def get_seq_length(self) -> int:
            return self.length

    return RoomyLayer


def _require_fitting(network: nn.Module, length: int, limits: Limits) -> None:
    longest = int(getattr(getattr(network, 'config', None), 'max_position_embeddings', 0) or 1 << 30)
    if length + limits.tokens > longest:
        raise ValueRangeError(
            expected=f'a prompt and an answer of at most {longest:,} tokens together, which the trunk was made for',
            came=f'{length:,} and {limits.tokens:,}', todo='lower the limit of one of them',
        )  # fmt: skip


def _chosen(logits: Tensor, rows: Sequence[_Row], limits: Limits) -> Tensor:
    """(B,) ids of the chosen tokens, from (B, V) logits."""
    if limits.temperature == 0.0:
        return logits.argmax(dim=1)
    probabilities, tokens = (logits / limits.temperature).softmax(dim=1).sort(dim=1, descending=True, stable=True)
    more_probable = probabilities.cumsum(dim=1) - probabilities  # (B, V) probability of all tokens before each
    probabilities = probabilities.masked_fill(more_probable >= limits.top_p, 0.0).cpu()
    ranks = [
        torch.multinomial(shares, 1, generator=row.generator) for shares, row in zip(probabilities, rows, strict=True)
    ]
    # B of (1,) to (B, 1), then (B,)
    return tokens.gather(1, torch.stack(ranks).to(tokens.device)).squeeze(1)


class _Row:
    """The answer to one clip, as generated so far."""

    def __init__(self, vocabulary: Vocabulary, ends: set[int], stops: Sequence[str], seed: int) -> None:
        self.tokens: list[int] = []
        self.finish: Finish | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self._vocabulary, self._ends, self._stops = vocabulary, ends, stops
        # a stop of n bytes began at most n tokens before its end
        self._reach = 1 + max((len(stop.encode()) for stop in stops), default=0)

    def add(self, token: int) -> None:
        """Append one token, and end the answer where the token or a string ends it."""
        self.tokens.append(token)
        if token in self._ends:
            self.finish = 'end'
        elif self._stops:
            recent = self._vocabulary.text(self.tokens[-self._reach :])
            if any(stop in recent for stop in self._stops):
                self.finish = 'stop'

    def result(self) -> Generated:
        """The answer without the string that ended it."""
        text = self._vocabulary.text(self.tokens)
        end = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=len(text))
        return Generated(text[:end].strip(), tuple(self.tokens), self.finish or 'length')
