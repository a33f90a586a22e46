"""Targets and losses of masked pre-training: hidden patches to rebuild, and two modalities of one clip to match.

Axes: B clips, N tokens of a clip (V visible, M masked), P cells of a patch, C channels, D width.

Source: Sun et al. 2024, arXiv:2401.05698, sections 3.2 to 3.4; Sun et al. 2024, arXiv:2401.00416, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ShapeError, listed
from affekt.nn import DEVIATION_FLOOR, planes, product, standardised_patches, to_patches
from affekt.pretraining.forms import TILE, TUBE

TEMPERATURE = 0.07
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviations of red, green and blue in [0, 1]."""


def split_tokens(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of visible and of masked tokens, each in ascending order.

    Args:
        mask: (B, N) bool, True where masked, as many in each clip.

    Returns:
        (B, V) and (B, M) indices.

    Raises:
        ShapeError: the mask has another form, hides nothing or everything, or not as many tokens in each clip.
    """
    counts = mask.sum(dim=1) if mask.ndim == 2 else torch.zeros(0)
    if (
        mask.dtype != torch.bool
        or mask.ndim != 2
        or len(set(counts.tolist())) != 1
        or not 0 < counts[0] < mask.shape[1]
    ):
        raise ShapeError(
            expected='a boolean (B, N) mask that hides as many tokens in each clip, not none and not all',
            came=f'{mask.dtype} {tuple(mask.shape)}, of which {listed(str(int(c)) for c in counts[:4])} are hidden',
            todo='draw masks of fixed counts',
        )
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)  # visible tokens first
    visible, masked = order.tensor_split([mask.shape[1] - int(counts[0])], dim=1)  # (B, V), (B, M)
    return visible, masked


def taken(tokens: Tensor, index: Tensor) -> Tensor:
    """The (B, K, …) tokens at (B, K) indices of (B, N, …); patches as they lie in memory."""
    rows = torch.arange(len(index), device=index.device).unsqueeze(1)  # (B, 1)
    return planes(planes(tokens)[rows, index]) if tokens.ndim == 4 else tokens[rows, index]


def tubes(video: Tensor) -> Tensor:
    """(B, 3, T, Y, X) frames as (B, N, P, 3) patches of two frames each."""
    return to_patches(video, TUBE)


def tiles(audio: Tensor) -> Tensor:
    """(B, 1, steps, bands) spectrograms as (B, N, P, 1) patches."""
    return to_patches(audio, TILE)


def video_targets(patches: Tensor, *, is_difference: bool) -> Tensor:
    """The targets of a video decoder: each colour of each patch in [0, 1], standardised.

    Args:
        patches: (B, M, P, 3) of frames normalised by the statistics of ImageNet.
        is_difference: of the two frames of a patch, the second is replaced by what it has more than the first, so that
            motion is rebuilt (HiCMAE); else both are rebuilt as they are (SVFAP).

    Returns:
        (B, M, P * 3), the colours of a cell together.
    """
    return planes(video_truth(patches, is_difference=is_difference)).flatten(2)  # (B, M, P, 3), then (B, M, P * 3)


def video_truth(patches: Tensor, *, is_difference: bool) -> Tensor:
    """`video_targets` by colour, (B, M, 3, P), as a loss compares them: it is the same in any order."""
    # in [0, 1] a patch has the same standard form, for a floor that is as much larger here as its colours are
    floor = DEVIATION_FLOOR / patches.new_tensor(IMAGENET_DEVIATION)
    standard = planes(standardised_patches(patches, floor))  # (B, M, 3, P)
    if is_difference:
        first, second = standard.chunk(2, dim=3)  # the cells of a frame stand together
        second -= first
    return standard


def audio_targets(patches: Tensor) -> Tensor:
    """The targets of an audio decoder: (B, M, P, 1) patches of a spectrogram, each standardised, as (B, M, P)."""
    return standardised_patches(patches).flatten(2)  # (B, M, P)


def in_colours(head: nn.Linear, tokens: Tensor) -> Tensor:
    """The output of a head for (B, M, D) tokens, as (B, M, 3, P): its rows are put in order, not the many answers."""
    weight, bias = (_by_colour(part) for part in (head.weight, head.bias))
    rebuilt: Tensor = product(tokens, weight, bias).unflatten(2, (3, -1))
    return rebuilt


def _by_colour(rows: Tensor) -> Tensor:
    """(P * 3, …) rows, the colours of a cell together, as (3 * P, …)."""
    ordered: Tensor = rows.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)  # (P, 3, …), (3, P, …), (3 * P, …)
    return ordered


def squared_error(rebuilt: Tensor, truth: Tensor) -> Tensor:
    """The mean squared error of rebuilt patches, a scalar; `truth`, of the same shape, is overwritten by the errors.

    Patches are the largest tensors of a step: the errors take the room of the truth, and the gradient takes theirs.
    """
    loss: Tensor = _SquaredError.apply(rebuilt, truth)  # type: ignore[no-untyped-call]
    return loss


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rebuilt: Tensor, truth: Tensor) -> Tensor:
        errors = torch.sub(rebuilt.to(truth.dtype), truth, out=truth)
        ctx.save_for_backward(truth)
        ctx.dtype = rebuilt.dtype
        # a sum over each patch first: one over all of them loses the fourth digit in float32
        squares: Tensor = torch.linalg.vector_norm(errors, dim=-1).square()
        return squares.mean() / errors.shape[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (errors,) = ctx.saved_tensors
        return (errors * (2 / errors.numel() * gradient)).to(ctx.dtype), None


def contrast(
    video: Tensor, audio: Tensor, *, every: Callable[[Tensor], Tensor] | None = None, temperature: float = TEMPERATURE
) -> Tensor:
    """Loss of telling clips apart by their other modality: 0 where each finds its own.

        cross-entropy of (v · aᵀ / temperature) against the diagonal, the mean of both directions

    Args:
        video: (B, D) clips as the video encoder sees them; scaled to length 1 here.
        audio: (B, D) the same clips as heard.
        every: gives all processes' clips, in the order of the processes, from this one's, with gradients; None
            compares within this batch, as published.
        temperature: divisor of the similarities.

    Returns:
        A scalar; log B where all similarities are equal.
    """
    video, audio = functional.normalize(video, dim=1), functional.normalize(audio, dim=1)
    if every is not None:
        video, audio = every(video), every(audio)
    logits = video @ audio.t() / temperature  # (B, B), a row a video
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.t(), own)) / 2
