"""Fusion by concatenation: late, of codes, and early, of the features at each step.

Axes: B batch, T time, M modalities, D feature of one modality, ΣD of all, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion.model import FusionModel, FusionShape, Losses, ModalityEncoders, published_heads
from affekt.nn import Dropout, NameMap, kept_first, last_kept


class LateFusion(FusionModel):
    """`lf_dnn`: concatenated codes of all modalities, dropout, two layers with ReLU; for any modalities."""

    needs_modalities = None

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.encoders = ModalityEncoders(shape)
        self.dropout = Dropout(shape.dropout)
        self.first = nn.Linear(len(shape.sizes) * shape.hidden, shape.hidden)
        self.second = nn.Linear(shape.hidden, shape.hidden)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) code; no auxiliary loss."""
        codes = self.encoders(features, keep)
        joined = torch.cat([codes[name] for name in _published_order(codes)], dim=1)  # (B, M·H)
        return torch.relu(self.second(torch.relu(self.first(self.dropout(joined))))), {}

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        layers = {'post_fusion_layer_1': 'first', 'post_fusion_layer_2': 'second'}
        return {**super().published_names(), **layers}


class EarlyFusion(FusionModel):
    """`ef_lstm`: concatenated features at each step, an LSTM of several layers, its last state.

    The published code fails on a batch of one sample; this one works.
    """

    levels = ('frame',)
    aligned = True

    def __init__(self, shape: FusionShape, *, layers: int = 2) -> None:
        super().__init__(shape, width=shape.hidden)
        size = sum(shape.sizes.values())
        inner_dropout = shape.dropout if layers > 1 else 0.0
        self.recurrence = nn.LSTM(size, shape.hidden, num_layers=layers, dropout=inner_dropout, batch_first=True)
        self.dropout = Dropout(shape.dropout)
        self.linear = nn.Linear(shape.hidden, shape.hidden)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) code; no auxiliary loss."""
        joined = torch.cat([features['text'], features['audio'], features['video']], dim=2)  # (B, T, ΣD)
        if self.shape.corrected:
            is_kept = torch.stack(list(keep.values())).any(dim=0)  # (M, B, T), then (B, T)
            joined, is_kept = kept_first(joined, is_kept)
            last = last_kept(self.recurrence(joined)[0], is_kept)  # (B, T, H), then (B, H)
        else:
            last = self.recurrence(joined)[1][0][-1]  # (B, H): the last of (layers, B, H) states
        return self.dropout(torch.relu(self.linear(self.dropout(last)))), {}

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        return {**published_heads(), 'lstm': 'recurrence'}


def _published_order(codes: dict[str, Tensor]) -> list[str]:
    """Audio, video, text where these are the modalities; else in the given order."""
    return ['audio', 'video', 'text'] if set(codes) == {'audio', 'video', 'text'} else list(codes)
