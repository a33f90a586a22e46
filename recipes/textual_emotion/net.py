"""The attentive heads as a torch module, and their training. Read by `train.py`.

Axes: B texts, T word pieces, W = layers times dimensions, K = 28 labels and 7 categories.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from data import States
from torch import Tensor, nn
from torch.nn import functional

from affekt.text.sentences import DIMENSIONS

LABELS, CATEGORIES = 28, 7


@dataclass(frozen=True)
class Settings:
    """How the heads are trained; chosen on the dev split of GoEmotions."""

    epochs: int = 6
    batch: int = 128
    rate: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    attended: tuple[int, ...] = (2, 4, 6)
    """Layers that the attention sees; () for none. The means are of all layers."""
    seed: int = 0


class AttentiveHeads(nn.Module):
    """K outputs from the mean state of all layers and from one attention per output over some layers.

    Args:
        mean: (W,) mean of each state value.
        spread: (W,) its standard deviation; weights act on standardised states.
        prior: (K,) the outputs before anything is known.
        attended: (A,) which of the W values the attention sees.
    """

    def __init__(self, mean: Tensor, spread: Tensor, prior: Tensor, attended: Tensor) -> None:
        super().__init__()
        self.register_buffer('mean', mean)
        self.register_buffer('scale', 1.0 / spread)
        self.register_buffer('attended', attended)
        width, seen, outputs = len(mean), len(attended), len(prior)
        bound = 0.1 / math.sqrt(width)
        self.whole = nn.Parameter(torch.empty(outputs, width).uniform_(-bound, bound))
        self.query = nn.Parameter(torch.zeros(outputs, seen))
        self.value = nn.Parameter(torch.empty(outputs, seen).uniform_(-bound, bound))
        self.bias = nn.Parameter(prior.clone())

    def forward(self, means: Tensor, states: Tensor, keep_mask: Tensor) -> Tensor:
        """(B, W) means, (B, T, A) attended states, (B, T) keep_mask to (B, K) outputs."""
        out = ((means - self.mean) * self.scale) @ self.whole.T + self.bias
        if not len(self.attended):
            return out
        scale = self.scale[self.attended]
        scores = states @ (self.query * scale).T
        weights = scores.masked_fill(~keep_mask[..., None], -1e9).softmax(dim=1)
        values = states @ (self.value * scale).T
        return out + (weights * values).sum(dim=1) - self.value @ (self.mean[self.attended] * scale)

    def folded(self) -> dict[str, npt.NDArray[np.float32]]:
        """Plain arrays for states as they come, the standardisation folded in; see `affekt.text.emotion`."""
        with torch.no_grad():
            query, value = torch.zeros_like(self.whole), torch.zeros_like(self.whole)
            query[:, self.attended] = self.query * self.scale[self.attended]
            value[:, self.attended] = self.value * self.scale[self.attended]
            whole = self.whole * self.scale
            parts = {
                'whole': whole, 'query': query, 'value': value, 'bias': self.bias - (whole + value) @ self.mean,
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
    means: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    categories: npt.NDArray[np.float32],
    settings: Settings,
    report: Callable[[str], None],
) -> AttentiveHeads:
    """Heads trained on (N, 28) labels and (N, 7) distributions of categories."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    heads = fresh_heads(states, labels, categories, settings)
    attended = heads.attended.numpy()
    optimizer = torch.optim.AdamW(heads.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * (sum(1 for _ in batches(states, settings.batch, None)) + 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=steps)
    started = time.monotonic()
    for epoch in range(settings.epochs):
        losses = []
        for rows in batches(states, settings.batch, rng):
            values, keep_mask = states.padded(rows, attended)
            inputs = dropped(torch.from_numpy(values), settings.dropout)
            whole = dropped(torch.from_numpy(means[rows]), settings.dropout)
            outputs = heads(whole, inputs, torch.from_numpy(keep_mask))
            loss = loss_of(outputs, torch.from_numpy(labels[rows]), torch.from_numpy(categories[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        report(
            f'epoch {epoch + 1} of {settings.epochs}: loss {np.mean(losses):.4f}, {time.monotonic() - started:.0f} s'
        )
    return heads.eval()


def fresh_heads(
    states: States, labels: npt.NDArray[np.float32], categories: npt.NDArray[np.float32], settings: Settings
) -> AttentiveHeads:
    """Heads before training, with the statistics of the states and the frequencies of the labels."""
    sample = states.values[:: max(1, len(states.values) // 20_000)].astype(np.float32)
    layer = np.arange(sample.shape[1]) // DIMENSIONS
    rate = labels.mean(axis=0)
    prior = np.concatenate([np.log(rate / (1 - rate)), np.log(categories.mean(axis=0))]).astype(np.float32)
    return AttentiveHeads(
        torch.from_numpy(sample.mean(axis=0)),
        torch.from_numpy(sample.std(axis=0) + 1e-6),
        torch.from_numpy(prior),
        torch.from_numpy(np.flatnonzero(np.isin(layer, settings.attended))),
    )


def dropped(values: Tensor, share: float) -> Tensor:
    """Values with some columns set to 0 for each text, the same for all of its word pieces."""
    shape = (len(values), *([1] * (values.ndim - 2)), values.shape[-1])
    return values * ((torch.rand(shape) >= share).float() / (1.0 - share))
