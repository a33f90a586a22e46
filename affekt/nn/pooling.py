"""Pooling of a clip's time steps to one vector: a mean, or a sum weighted by a score per step.

| name | weight of step t |
|---|---|
| `mean` | 1 / T |
| `softmax` | softmax over t of s(x_t) |
| `gated` | σ(s(x_t)), divided by their sum |
| `published` | s(x_t) itself: any value, also negative, without normalisation |

`published` is what AffectGPT does: the score is the weight, without a softmax, so that the pooled vector grows with the
number of steps. The others are normalised. A step may have several vectors (patches of a frame), which are averaged
first.

Axes: B batch, T steps, Q vectors per step, D width.

Source: Lian et al. 2025, arXiv:2501.16566, section 3.3; github.com/zeroQiaoba/AffectGPT.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, UnknownNameError, did_you_mean


class Pooling(nn.Module):
    """(B, T, D) or (B, T, Q, D) to (B, D); steps that `keep_mask` (B, T) excludes have weight 0."""

    def forward(self, steps: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The pooled vectors; zeros for a sample without any kept step.

        Raises:
            ShapeError: there are neither three nor four axes, or the mask is not a boolean (B, T).
        """
        steps = one_vector_per_step(steps)
        weights = self.weights(steps, checked_mask(keep_mask, steps))  # (B, T)
        return (weights.unsqueeze(1) @ steps).squeeze(1)  # (B, 1, T) @ (B, T, D), then (B, D)

    def weights(self, steps: Tensor, keep_mask: Tensor) -> Tensor:
        """(B, T) weights of (B, T, D) steps; 0 where not kept."""
        raise NotImplementedError


class MeanPooling(Pooling):
    """The mean of the kept steps."""

    def weights(self, steps: Tensor, keep_mask: Tensor) -> Tensor:
        """Equal weights, which sum to 1 over the kept steps."""
        return _normalised(keep_mask.to(steps.dtype))


class ScoredPooling(Pooling):
    """A sum weighted by s(x) = w x + b, where `weigh` turns (B, T) scores and the mask into weights.

    Args:
        width: D.
        weigh: one of `WEIGHTS`.
    """

    def __init__(self, width: int, weigh: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        self._weigh = weigh

    def weights(self, steps: Tensor, keep_mask: Tensor) -> Tensor:
        """Weights as in the module's table."""
        return self._weigh(self.score(steps).squeeze(2), keep_mask)


def one_vector_per_step(steps: Tensor) -> Tensor:
    """(B, T, D) steps, averaged over Q where there are four axes."""
    if steps.ndim not in (3, 4):
        raise ShapeError(
            expected='steps of shape (batch, time, width) or (batch, time, vectors, width)',
            came=f'{tuple(steps.shape)}', todo='give a batch',
        )  # fmt: skip
    return steps.mean(dim=2) if steps.ndim == 4 else steps


def checked_mask(keep_mask: Tensor | None, steps: Tensor) -> Tensor:
    """The mask after a check of type and shape; all True where None."""
    if keep_mask is None:
        return torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
    if keep_mask.dtype != torch.bool or keep_mask.shape != steps.shape[:2]:
        raise ShapeError(
            expected=f'a boolean keep_mask of shape {tuple(steps.shape[:2])}',
            came=f'{keep_mask.dtype} {tuple(keep_mask.shape)}', todo='give True where a step is kept',
        )  # fmt: skip
    return keep_mask


def softmax_weights(scores: Tensor, keep_mask: Tensor) -> Tensor:
    """Softmax over kept steps; zeros where none is kept."""
    scores = scores.masked_fill(~keep_mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=1).masked_fill(~keep_mask, 0.0)


def gated_weights(scores: Tensor, keep_mask: Tensor) -> Tensor:
    """Sigmoid of each score, divided by their sum over kept steps."""
    return _normalised(torch.sigmoid(scores).masked_fill(~keep_mask, 0.0))


def published_weights(scores: Tensor, keep_mask: Tensor) -> Tensor:
    """The scores themselves, 0 where not kept."""
    return scores.masked_fill(~keep_mask, 0.0)


def _normalised(weights: Tensor) -> Tensor:
    """(B, T) weights divided by their sum over time; zeros stay zeros."""
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


WEIGHTS = {'softmax': softmax_weights, 'gated': gated_weights, 'published': published_weights}
"""Name to the function from (B, T) scores and mask to weights."""
POOLINGS = ('softmax', 'gated', 'mean', 'published')
"""Names that `pooling_of` accepts."""


def pooling_of(name: str, width: int) -> Pooling:
    """The pooling of a name, over steps of width D.

    Raises:
        UnknownNameError: unknown pooling.
    """
    if name == 'mean':
        return MeanPooling()
    if name not in WEIGHTS:
        raise UnknownNameError(
            expected=f'a pooling among {", ".join(POOLINGS)}', came=repr(name), todo=did_you_mean(name, POOLINGS)
        )
    return ScoredPooling(width, WEIGHTS[name])
