"""Fusion of two modalities before a language model reads them: AffectGPT's pre-fusion, and normalised variants.

    e_i = W_i mean_t x_i                         each modality to the same width E
    s = W₂ W₁ [e_1, e_2, …]                      a score for each modality, from all together
    fused = Σ_i w_i e_i                          (B, E)

where w is s itself (`published`: any values), its softmax (`softmax`), its sigmoid divided by their sum (`gated`), or
1 / n without scores (`mean`). With queries (`QueryPrefusion`) the steps of all modalities, each projected to E, are
concatenated in time and read by a Q-Former.

Axes: B batch, T_i steps, Q vectors per step, D_i input widths, E common width, K queries, D their width.

Source: Lian et al. 2025, arXiv:2501.16566, section 3.3; github.com/zeroQiaoba/AffectGPT.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, UnknownNameError, did_you_mean
from affekt.nn.pooling import POOLINGS, WEIGHTS, MeanPooling, checked_mask
from affekt.nn.qformer import QueryFormer


class Prefusion(nn.Module):
    """A (B, T_i, D_i) or (B, T_i, Q, D_i) sequence of each modality to (B, E).

    Args:
        widths: D_i, in the order of the modalities.
        width: E.
        weighing: one of `POOLINGS`.

    Raises:
        UnknownNameError: unknown weighing.
    """

    def __init__(self, widths: Sequence[int], width: int, weighing: str = 'softmax') -> None:
        super().__init__()
        if weighing not in POOLINGS:
            raise UnknownNameError(
                expected=f'a weighing among {", ".join(POOLINGS)}', came=repr(weighing),
                todo=did_you_mean(weighing, POOLINGS),
            )  # fmt: skip
        self.weighing = weighing
        self.mean = MeanPooling()
        self.embed = nn.ModuleList(nn.Linear(input_width, width) for input_width in widths)
        self.mix: nn.Linear | None = None
        self.score: nn.Linear | None = None
        if weighing != 'mean':
            self.mix = nn.Linear(len(widths) * width, width)
            self.score = nn.Linear(width, len(widths))

    def forward(self, modalities: Sequence[Tensor], keep_masks: Sequence[Tensor | None] | None = None) -> Tensor:
        """The fused (B, E) vectors.

        Args:
            modalities: sequences in the order of `widths`; every sample has all of them.
            keep_masks: bool (B, T_i) for each modality, True where a step is kept; None keeps all.

        Raises:
            ShapeError: the number of modalities differs from that of `widths`.
        """
        masks = _masks(modalities, keep_masks, len(self.embed))
        vectors = [
            embed(self.mean(steps, mask)) for embed, steps, mask in zip(self.embed, modalities, masks, strict=True)
        ]
        stacked = torch.stack(vectors, dim=1)  # (B, n, E)
        if self.mix is None or self.score is None:
            return stacked.mean(dim=1)
        scores = self.score(self.mix(stacked.flatten(1)))  # (B, n E), then (B, n)
        weights = WEIGHTS[self.weighing](scores, torch.ones_like(scores, dtype=torch.bool))
        return (weights.unsqueeze(1) @ stacked).squeeze(1)  # (B, 1, n) @ (B, n, E), then (B, E)


class QueryPrefusion(nn.Module):
    """A (B, T_i, D_i) or (B, T_i, Q, D_i) sequence of each modality to (B, K, D).

    Args:
        widths: D_i, in the order in which the modalities are concatenated.
        width: E.
        reader: Q-Former whose context has width E.
    """

    def __init__(self, widths: Sequence[int], width: int, reader: QueryFormer) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Linear(input_width, width) for input_width in widths)
        self.reader = reader

    def forward(self, modalities: Sequence[Tensor], keep_masks: Sequence[Tensor | None] | None = None) -> Tensor:
        """The (B, K, D) vectors; see `Prefusion.forward`."""
        masks = _masks(modalities, keep_masks, len(self.embed))
        sequences, step_masks = [], []
        for embed, steps, mask in zip(self.embed, modalities, masks, strict=True):
            step_masks.append(mask.repeat_interleave(steps.shape[2], dim=1) if steps.ndim == 4 else mask)
            sequences.append(embed(steps.flatten(1, 2) if steps.ndim == 4 else steps))  # (B, T Q, E)
        sequence, keep_mask = torch.cat(sequences, dim=1), torch.cat(step_masks, dim=1)  # (B, S, E), (B, S): all steps
        # kept steps go first, so that no step's position depends on the padding of an earlier modality
        order = (~keep_mask).int().argsort(dim=1, stable=True)  # (B, S)
        sequence = sequence.gather(1, order.unsqueeze(2).expand_as(sequence))  # (B, S, E)
        fused: Tensor = self.reader(sequence, keep_mask.gather(1, order))
        return fused


def _masks(modalities: Sequence[Tensor], keep_masks: Sequence[Tensor | None] | None, count: int) -> list[Tensor]:
    if len(modalities) != count or (keep_masks is not None and len(keep_masks) != count):
        raise ShapeError(
            expected=f'{count} modalities', came=f'{len(modalities)}', todo='give each of them, and a mask for each'
        )
    return [checked_mask(mask, steps) for steps, mask in zip(modalities, keep_masks or [None] * count, strict=True)]
