"""The attentive heads as a torch module, and their training. Read by `textual_emotion.py`.

Axes: B texts, T word pieces, W = layers times dimensions, K = 28 labels and 7 categories.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from textual_emotion_data import States
from torch import Tensor, nn
from torch.nn import functional

LABELS, CATEGORIES = 28, 7


@dataclass(frozen=True)
class Settings:
    """How the heads are trained; chosen on the dev split of GoEmotions."""

    epochs: int = 6
    batch: int = 128
    rate: float = 1e-3
    weight_decay: float = 1e-2
    state_dropout: float = 0.1
    attentive: bool = True
    layers: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    seed: int = 0


class AttentiveHeads(nn.Module):
    """K outputs from the mean state and from one attention per output.

    Args:
        mean: (W,) mean of each state value.
        spread: (W,) its standard deviation; weights act on standardised states.
        prior: (K,) the outputs before anything is known.
        layer_mask: (W,) 1 where a layer is used, else 0.
    """

    def __init__(self, mean: Tensor, spread: Tensor, prior: Tensor, layer_mask: Tensor, *, attentive: bool) -> None:
        super().__init__()
        width, outputs = len(mean), len(prior)
        self.register_buffer('mean', mean)
        self.register_buffer('scale', layer_mask / spread)
        bound = 0.1 / math.sqrt(width)
        self.whole = nn.Parameter(torch.empty(outputs, width).uniform_(-bound, bound))
        self.query = nn.Parameter(torch.zeros(outputs, width))
        self.value = nn.Parameter(torch.empty(outputs, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(prior.clone())
        self.attentive = attentive

    def forward(self, states: Tensor, keep_mask: Tensor) -> Tensor:
        """(B, T, W) states and (B, T) keep_mask to (B, K) outputs."""
        lengths = keep_mask.sum(dim=1, keepdim=True)
        centred = self.mean * self.scale
        out = (states.sum(dim=1) / lengths) @ (self.whole * self.scale).T - self.whole @ centred + self.bias
        if not self.attentive:
            return out
        scores = states @ (self.query * self.scale).T
        weights = scores.masked_fill(~keep_mask[..., None], -1e9).softmax(dim=1)
        values = states @ (self.value * self.scale).T
        return out + (weights * values).sum(dim=1) - self.value @ centred

    def folded(self) -> dict[str, npt.NDArray[np.float32]]:
        """Plain arrays for states as they come, the standardisation folded in; see `affekt.text.emotion`."""
        with torch.no_grad():
            centred = self.mean * self.scale
            shift = self.whole @ centred + (self.value @ centred if self.attentive else 0.0)
            value = self.value if self.attentive else torch.zeros_like(self.value)
            parts = {
                'whole': self.whole * self.scale, 'query': self.query * self.scale, 'value': value * self.scale,
                'bias': self.bias - shift,
            }  # fmt: skip
            return {name: part.numpy().astype(np.float32) for name, part in parts.items()}


def batches(states: States, size: int, rng: np.random.Generator | None) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of texts of similar length; shuffled where `rng` is given."""
    lengths = np.diff(states.starts)
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    pools = np.array_split(order, max(1, len(order) // (size * 50)))
    groups = [pool[np.argsort(lengths[pool], kind='stable')] for pool in pools]
    rows = [group[at : at + size] for group in groups for at in range(0, len(group), size)]
    if rng is not None:
        rng.shuffle(rows)  # type: ignore[arg-type]
    yield from rows


def loss_of(outputs: Tensor, labels: Tensor, categories: Tensor) -> Tensor:
    """Cross-entropy of each label on its own, plus that of the categories' distribution."""
    apart = functional.binary_cross_entropy_with_logits(outputs[:, :LABELS], labels)
    return apart + functional.cross_entropy(outputs[:, LABELS:], categories)


def train_heads(
    states: States,
    labels: npt.NDArray[np.float32],
    categories: npt.NDArray[np.float32],
    settings: Settings,
    report: object = print,
) -> AttentiveHeads:
    """Heads trained on (N, 28) labels and (N, 7) distributions of categories."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    sample = states.values[:: max(1, len(states.values) // 40_000)].astype(np.float32)
    rate = labels.mean(axis=0)
    prior = np.concatenate([np.log(rate / (1 - rate)), np.log(categories.mean(axis=0))]).astype(np.float32)
    layer_mask = np.isin(np.arange(sample.shape[1]) // (sample.shape[1] // 7), settings.layers).astype(np.float32)
    heads = AttentiveHeads(
        torch.from_numpy(sample.mean(axis=0)),
        torch.from_numpy(sample.std(axis=0) + 1e-6),
        torch.from_numpy(prior),
        torch.from_numpy(layer_mask),
        attentive=settings.attentive,
    )
    optimizer = torch.optim.AdamW(heads.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    per_epoch = sum(1 for _ in batches(states, settings.batch, None)) + 50
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=settings.epochs * per_epoch)
    started = time.monotonic()
    for epoch in range(settings.epochs):
        heads.train()
        total, count = 0.0, 0
        for rows in batches(states, settings.batch, rng):
            values, keep_mask = states.padded(rows)
            inputs = torch.from_numpy(values)
            if settings.state_dropout:
                kept = (torch.rand(len(rows), 1, values.shape[2]) >= settings.state_dropout).float()
                inputs = inputs * (kept / (1 - settings.state_dropout))
            loss = loss_of(
                heads(inputs, torch.from_numpy(keep_mask)),
                torch.from_numpy(labels[rows]),
                torch.from_numpy(categories[rows]),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total, count = total + float(loss.detach()) * len(rows), count + len(rows)
        if callable(report):
            report(f'epoch {epoch + 1}/{settings.epochs}: loss {total / count:.4f}, {time.monotonic() - started:.0f} s')
    return heads.eval()


def outputs_of(heads: AttentiveHeads, states: States) -> npt.NDArray[np.float32]:
    """(N, K) outputs for every text of a corpus."""
    result = np.zeros((len(states.starts) - 1, LABELS + CATEGORIES), np.float32)
    with torch.inference_mode():
        for rows in batches(states, 128, None):
            values, keep_mask = states.padded(rows)
            result[rows] = heads(torch.from_numpy(values), torch.from_numpy(keep_mask)).numpy()
    return result
