"""Targets and losses of masked pre-training: reconstruction of hidden patches, and contrast of two modalities.

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
from affekt.nn import DEVIATION_FLOOR, in_single_precision, planes, product, standardised_patches, to_patches
from affekt.pretraining.forms import TILE, TUBE

TEMPERATURE = 0.07
"""Divisor of the similarities in the contrast, as published."""
PIECE = 2**18
"""Number of values reconstructed at once on a CPU: a megabyte of float32."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviations of red, green and blue in [0, 1]."""


def split_tokens(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of visible and of masked tokens, each in ascending order.

    Args:
        mask: (B, N) bool, True where masked, equally many in each clip.

    Returns:
        (B, V) and (B, M) indices.

    Raises:
        ShapeError: the mask is not a (B, N) bool, hides nothing or everything, or different numbers of tokens per clip.
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
    """The (B, K, …) tokens at (B, K) indices of (B, N, …); patches keep their memory layout."""
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
        is_difference: replace the second of the two frames of a patch by its difference from the first, so that
            motion is reconstructed (HiCMAE); otherwise both are reconstructed as they are (SVFAP).

    Returns:
        (B, M, P * 3), the colours of a cell adjacent.
    """
    return planes(video_truth(patches, is_difference=is_difference)).flatten(2)  # (B, M, P, 3), then (B, M, P * 3)


def video_truth(patches: Tensor, *, is_difference: bool) -> Tensor:
    """`video_targets` by colour, (B, M, 3, P), for the loss, which does not depend on the order of values."""
    # equal to standardising colours in [0, 1], as the floor is scaled like the colours
    floor = DEVIATION_FLOOR / patches.new_tensor(IMAGENET_DEVIATION)
    standard = planes(standardised_patches(patches, floor))  # (B, M, 3, P)
    if is_difference:
        first, second = standard.chunk(2, dim=3)  # the cells of a frame are adjacent
        second -= first
    return standard


def audio_targets(patches: Tensor) -> Tensor:
    """The targets of an audio decoder: (B, M, P, 1) patches of a spectrogram, each standardised, as (B, M, P)."""
    return audio_truth(patches).flatten(2)  # (B, M, P)


def audio_truth(patches: Tensor) -> Tensor:
    """`audio_targets` as (B, M, 1, P)."""
    return planes(standardised_patches(patches))


def rebuilding_error(
    head: nn.Linear, tokens: Tensor, patches: Tensor, hidden: Tensor, truth: Callable[[Tensor], Tensor]
) -> Tensor:
    """The mean squared error of patches reconstructed by a head from tokens, a scalar.

    On a CPU it is computed in pieces, each with its gradient while cached: reconstructed patches and their truth are
    by far the largest tensors of a step, and are never stored whole.

    Args:
        head: linear map from D to the P * C values of a patch, the channels of a cell adjacent.
        tokens: (B, M, D), a decoder's output at the hidden patches.
        patches: (B, N, P, C) all patches.
        hidden: (B, M) indices of the hidden patches.
        truth: function from (B, M, P, C) patches to their (B, M, C, P) targets.
    """
    weight, bias = (_by_channel(part, patches.shape[3]) for part in (head.weight, head.bias))
    is_plain = tokens.device.type != 'cpu' or torch.is_autocast_enabled('cpu') or weight.dtype != patches.dtype
    if is_plain:
        rebuilt = product(tokens, weight, bias)
        with torch.no_grad():
            targets = truth(taken(patches, hidden)).flatten(2)
        return functional.mse_loss(rebuilt.to(targets.dtype), targets)
    offsets = torch.arange(len(hidden), device=hidden.device).unsqueeze(1) * patches.shape[1]  # (B, 1)
    index = (hidden + offsets).flatten()  # (B * M,) among the patches of all clips
    rows = planes(patches).flatten(0, 1)  # (B * N, C, P)
    loss: Tensor = _RebuildingError.apply(tokens.flatten(0, 1), weight, bias, rows, index, truth)  # type: ignore[no-untyped-call]
    return loss


def _by_channel(rows: Tensor, channels: int) -> Tensor:
    """(P * C, …) rows of a head, the channels of a cell adjacent, as (C * P, …): cheaper than reordering its
    outputs."""
    ordered: Tensor = rows.unflatten(0, (-1, channels)).transpose(0, 1).flatten(0, 1)  # (P, C, …), then (C, P, …)
    return ordered


class _RebuildingError(torch.autograd.Function):
    """R = B * M tokens, O = C * P values of a patch. Gradients are computed with the loss, up to one factor."""

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor, rows: Tensor, index: Tensor,
        truth: Callable[[Tensor], Tensor],
    ) -> Tensor:  # fmt: skip
        tokens_gradient, weight_gradient, bias_gradient = (
            torch.zeros_like(tensor) for tensor in (tokens, weight, bias)
        )
        squares = torch.zeros((), dtype=torch.float64)
        size = max(PIECE // len(weight), 1)
        for start in range(0, len(tokens), size):
            piece = slice(start, start + size)
            errors = truth(planes(rows.index_select(0, index[piece]).unsqueeze(0))).flatten(2)[0]  # (R, O)
            errors.addmm_(tokens[piece], weight.t(), beta=-1).add_(bias)
            squares += torch.linalg.vector_norm(errors, dim=1).square().sum()
            if any(ctx.needs_input_grad):
                torch.mm(errors, weight, out=tokens_gradient[piece])
                weight_gradient.addmm_(errors.t(), tokens[piece])
                bias_gradient += errors.sum(dim=0)
        count = len(tokens) * len(weight)
        ctx.save_for_backward(tokens_gradient, weight_gradient, bias_gradient)
        ctx.factor = 2 / count
        return (squares / count).to(tokens.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        factor = gradient * ctx.factor
        return *(saved * factor for saved in ctx.saved_tensors), None, None, None


@in_single_precision
def contrast(
    video: Tensor, audio: Tensor, *, every: Callable[[Tensor], Tensor] | None = None, temperature: float = TEMPERATURE
) -> Tensor:
    """Contrastive loss of matching the two modalities of clips; near 0 if each matches its own.

        cross-entropy of (v · aᵀ / temperature) against the diagonal, the mean of both directions

    Args:
        video: (B, D) features of the clips' video; scaled to unit length here.
        audio: (B, D) features of the same clips' audio; scaled to unit length here.
        every: function that gathers the clips of all processes, in order, with gradients; None to compare within this
            batch, as published.
        temperature: divisor of the similarities.

    Returns:
        A scalar; log B if all similarities are equal.
    """
    video, audio = (functional.normalize(rows, dim=1) for rows in (video, audio))
    if every is not None:
        video, audio = every(video), every(audio)
    logits = video @ audio.t() / temperature  # (B, B), a row a video
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.t(), own)) / 2
