"""MFM: one factor for the label, and one per modality that rebuilds the modality together with it.

Axes: B batch, T time, D feature, H hidden, M memory. In the paper's symbols, m being a modality and y the label:

    codes                   Z_am and Z_y
    label_factor, factors   G_y and G_am: Z_y to F_y, Z_am to F_am
    decoders                F_m(F_am, F_y), which gives X̂_m
    output, then a head     D, which gives ŷ
    prior                   λ of the distance of the codes from their prior, here MMD(Q(Z), P(Z))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion.memory import LETTERS, ORDER, MemoryLoop, published_loop, two_layers
from affekt.fusion.model import FusionModel, FusionShape, Losses, published_heads
from affekt.nn import Dropout, NameMap, in_single_precision, kept_first, last_kept


class FactorFusion(FusionModel):
    """`mfm`: MFN's last state gives the label's factor; LSTMs give the modalities', LSTMs rebuild the modalities.

    The published code gives its inner MFN an output that is not used; the corrected form has none. It also compares
    only kept steps, and divides the kernel's squared distance by H once, as in the paper.

    Args:
        memory: width of the memory.
        text: weight of the error of the rebuilt text; `audio` and `video` likewise.
        prior: weight of the distance of the four codes from a standard normal, drawn anew at each pass.

    Source: Tsai et al. 2019, arXiv:1806.06176, section 2.
    """

    levels = ('frame',)
    aligned = True

    def __init__(
        self,
        shape: FusionShape,
        *,
        memory: int = 128,
        text: float = 0.1,
        audio: float = 0.1,
        video: float = 0.1,
        prior: float = 10.0,
    ) -> None:
        hidden, half = shape.hidden, shape.hidden // 2
        super().__init__(shape, width=half)
        self.weights = {'text': text, 'audio': audio, 'video': video, 'prior': prior}
        self.encoders = nn.ModuleDict({name: _Encoder(shape.sizes[name], hidden) for name in ORDER})
        self.decoders = nn.ModuleDict({name: _Decoder(hidden, shape.sizes[name]) for name in ORDER})
        self.loop = MemoryLoop(shape, memory)
        self.label_code = nn.Linear(3 * hidden + memory, hidden)
        self.label_factor = _factor(hidden, half, shape.dropout)
        self.factors = nn.ModuleDict({name: _factor(hidden, half, shape.dropout) for name in ORDER})
        self.output = two_layers(half, half, half, shape.dropout)
        if not shape.corrected:
            self.unread = nn.ModuleDict({'output': two_layers(3 * hidden + memory, hidden, half, shape.dropout)})
            heads = {'emotion_head': shape.classes, 'value_head': shape.values}
            self.unread.update({name: nn.Linear(half, size) for name, size in heads.items() if size})

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H / 2) representation; losses text, audio, video, and prior where its weight is not 0."""
        corrected = self.shape.corrected
        if corrected:
            features, keep = _together_first(features, keep)
        codes = {name: self.encoders[name](features[name], keep[name] if corrected else None) for name in ORDER}
        codes['label'] = self.label_code(self.loop(features, keep))
        label = self.label_factor(codes['label'])
        losses = {}
        for name in ORDER:
            factor = torch.cat([label, self.factors[name](codes[name])], dim=1)  # (B, H), of two halves
            rebuilt = self.decoders[name](factor, features[name].shape[1])
            error = (rebuilt - features[name]).square().mean(dim=2)  # (B, T)
            losses[name] = self.weights[name] * (error * keep[name]).sum() / keep[name].sum().clamp(min=1)
        if self.weights['prior']:
            power = 1 if corrected else 2
            distances = [distance_from_normal(code, power) for code in codes.values()]
            losses['prior'] = self.weights['prior'] * torch.stack(distances).sum()
        return self.output(label), losses

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        inner = 'mfn_encoder.'
        names = published_heads() | published_loop(inner)
        names |= {f'{inner}fc_out_1': 'unread.emotion_head', f'{inner}fc_out_2': 'unread.value_head'}
        names |= {f'{inner}out_fc1': 'unread.output.0', f'{inner}out_fc2': 'unread.output.3'}
        for name, letter in LETTERS.items():
            names |= {f'encoder_{letter}': f'encoders.{name}', f'decoder_{letter}': f'decoders.{name}'}
            names |= {f'z{letter}_to_f{letter}_fc{i}': f'factors.{name}.{j}' for i, j in ((1, 0), (2, 3))}
        names |= {'last_to_zy_fc1': 'label_code', 'zy_to_fy_fc1': 'label_factor.0', 'zy_to_fy_fc2': 'label_factor.3'}
        return names | {'fy_to_y_fc1': 'output.0', 'fy_to_y_fc2': 'output.3'}


@in_single_precision
def distance_from_normal(code: Tensor, power: int = 1) -> Tensor:
    """Squared maximum mean discrepancy between (B, H) codes and as many draws of a standard normal distribution.

        mean k(x, x') + mean k(n, n') - 2 mean k(x, n),  k(x, y) = exp(-|x - y|² / H**power)

    The paper uses power 1, the published code 2.

    Source: Gretton et al. 2012, JMLR 13, equation 5.
    """
    draws = torch.randn_like(code)

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        squared_distances = (first.unsqueeze(1) - second.unsqueeze(0)).square().sum(dim=2)  # (B, B, H), then (B, B)
        return torch.exp(-squared_distances / code.shape[1] ** power).mean()

    return kernel(code, code) + kernel(draws, draws) - 2 * kernel(code, draws)


class _Encoder(nn.Module):
    """(B, T, D) to (B, H): the last state of an LSTM cell, and a linear layer."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(size, hidden)
        self.fc1 = nn.Linear(hidden, hidden)

    def forward(self, sequence: Tensor, keep: Tensor | None) -> Tensor:
        if keep is not None:
            sequence, keep = kept_first(sequence, keep)
        zeros = sequence.new_zeros((len(sequence), self.lstm.hidden_size))
        state, states = (zeros, zeros), []
        for step in sequence.unbind(dim=1):  # T of (B, D)
            state = self.lstm(step, state)
            states.append(state[0])
        last = state[0] if keep is None else last_kept(torch.stack(states, dim=1), keep)  # (B, T, H), then (B, H)
        if keep is not None:
            last = last * keep.any(dim=1, keepdim=True)
        code: Tensor = self.fc1(last)
        return code


class _Decoder(nn.Module):
    """(B, H) to (B, T, D): an LSTM cell whose first input is the factor, then its own state."""

    def __init__(self, hidden: int, size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(hidden, hidden)
        self.fc1 = nn.Linear(hidden, size)

    def forward(self, factor: Tensor, steps: int) -> Tensor:
        zeros = torch.zeros_like(factor)
        state = self.lstm(factor, (zeros, zeros))
        states = [state[0]]
        for _ in range(steps - 1):
            state = self.lstm(state[0], state)
            states.append(state[0])
        rebuilt: Tensor = self.fc1(torch.stack(states, dim=1))  # (B, T, H), then (B, T, D)
        return rebuilt


def _factor(size: int, half: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, half), nn.ReLU(), Dropout(dropout), nn.Linear(half, half), nn.ReLU())


def _together_first(
    features: dict[str, Tensor], keep: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Steps with any kept modality moved to the front, in the same order for all, so that they stay aligned."""
    is_kept = torch.stack(list(keep.values())).any(dim=0)  # (3, B, T), then (B, T)
    order = torch.sort((~is_kept).to(torch.int8), dim=1, stable=True).indices  # (B, T)
    # each (B, T, D), the order as (B, T, 1)
    moved = {name: torch.take_along_dim(value, order.unsqueeze(-1), dim=1) for name, value in features.items()}
    return moved, {name: torch.take_along_dim(mask, order, dim=1) for name, mask in keep.items()}
