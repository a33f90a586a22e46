"""Generation for a whole batch: left-padded, with explicit positions, and stop strings tested on the whole text.

A finished clip leaves the batch, so that the others go faster; an answer does not depend on the other clips of the
batch. Greedy, or sampled with a separate generator for each clip.

Axes: B clips still answering, L positions, H width of the trunk, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
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
    active, mask, cache, cache_argument = list(rows), keep_mask.long(), *_empty_cache(network)
    inputs: dict[str, Tensor] = {'inputs_embeds': embeddings}
    for _ in range(limits.tokens):
        output: Any = network(
            **inputs, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1,
            **{cache_argument: cache},
        )  # fmt: skip
        # (B, 1, V) to (B, V), then (B,)
        chosen = _chosen(output.logits[:, -1].float(), active, limits)
        for row, token in zip(active, chosen.tolist(), strict=True):
            row.add(token)
        unfinished = [at for at, row in enumerate(active) if row.finish is None]
        if not unfinished:
            break
        if len(unfinished) < len(active):
            kept = torch.tensor(unfinished, device=chosen.device)
            cache.batch_select_indices(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
            active = [active[at] for at in unfinished]
        inputs = {'input_ids': chosen.unsqueeze(1)}
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return [row.result() for row in rows]


def _empty_cache(network: nn.Module) -> tuple[Any, str]:
    """An empty key-value cache, and the name of the argument by which this version of transformers takes it."""
    from transformers import DynamicCache

    base = network.get_base_model() if hasattr(network, 'get_base_model') else network  # type: ignore[operator]
    parameters, config = inspect.signature(base.forward).parameters, cast(Any, network.config)
    return DynamicCache(config=config), 'cache' if 'cache' in parameters else 'past_key_values'


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
