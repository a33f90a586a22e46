"""Attention over modalities at every frame, then a bidirectional recurrence over the fused frames.

There is no Python loop over frames: the recurrences are calls of `nn.LSTM`.

Axes: B batch, T frames, D feature of one modality, M modalities, H hidden. In the symbols of the utterance model
(`affekt.fusion.AttentionFusion`), for a frame t:

    encoders                h_m^t, of an LSTM that gives all its states, dropout, a linear layer
    weigher, weights        α^t = W MLP([h_1^t; …; h_M^t])
    reader                  an LSTM in each direction over z^t = Σ_m α_m^t h_m^t
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion import Losses, PerceptronEncoder
from affekt.nn import Dropout, NameMap
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape, published_reader
from affekt.sequence_models.recurrence import Recurrence, TwoWayRecurrence


class AttentionSequence(SequenceModel):
    """`attention_sequence`: a weighted sum of the modalities' codes at every frame, then a bidirectional LSTM.

    The published weights are raw outputs of a linear layer, and its text slot contains the video feature again. The
    corrected form takes a softmax over the modalities that are present at the frame; the code of a masked modality is
    held from its last kept frame.

    Source: the entry of Wen et al. to the sixth ABAW competition, 2024, after Lian et al. 2023, arXiv:2304.08981.
    """

    def __init__(self, shape: SequenceShape) -> None:
        super().__init__(shape, width=2 * shape.hidden)
        self.encoders = nn.ModuleDict(
            {name: _FrameEncoder(size, shape.hidden, shape.dropout) for name, size in shape.sizes.items()}
        )
        self.weigher = PerceptronEncoder(len(shape.sizes) * shape.hidden, shape.hidden, shape.dropout)
        self.weights = nn.Linear(shape.hidden, len(shape.sizes))
        self.reader = TwoWayRecurrence(shape.hidden, shape.hidden)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, 2H) states of both directions; no auxiliary loss."""
        masked = self.shape.corrected and not kept.whole
        codes = [encoder(features[name], kept.of[name] if masked else None) for name, encoder in self.encoders.items()]
        weights = self.weights(self.weigher(torch.cat(codes, dim=2)))  # (B, T, M), from (B, T, M·H)
        if masked:
            present = torch.stack(list(kept.of.values()), dim=2)  # (B, T, M)
            weights = weights.masked_fill(~present, torch.finfo(weights.dtype).min)
        if self.shape.corrected:
            weights = torch.softmax(weights, dim=2)
        fused = (weights.unsqueeze(3) * torch.stack(codes, dim=2)).sum(dim=2)  # (B, T, M, 1) times (B, T, M, H)
        return self.reader(fused, kept.frames if masked else None), {}

    def published_names(self) -> NameMap:
        """Published state names to ours; its three slots are audio, text and video."""
        names = published_reader('lstm') | {
            'fc_att': 'weights',
            'fc_out_1': 'expression_head',
            'fc_out_2': 'value_head',
        }
        for name in self.shape.sizes:
            names[f'{name}_encoder.rnn'] = f'encoders.{name}.recurrence.onward'
            names[f'{name}_encoder.linear_1'] = f'encoders.{name}.linear'
        return names | {f'attention_mlp.linear_{i + 1}': f'weigher.layers.{i}' for i in range(3)}


class _FrameEncoder(nn.Module):
    """(B, T, D) to (B, T, H): all states of an LSTM, dropout, one linear layer."""

    def __init__(self, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.recurrence = Recurrence(size, hidden)
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, sequence: Tensor, keep: Tensor | None) -> Tensor:
        codes: Tensor = self.linear(self.dropout(self.recurrence(sequence, keep)))
        return codes
