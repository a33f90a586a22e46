"""The published models of frames, each written a second time from its description: one window, one frame at a time.

Their parameters have the published names. Nothing is batched, and nothing is shared with the package.
"""

from __future__ import annotations

import torch
from torch import nn

SLOTS = ('audio', 'text', 'video')
NONE = torch.zeros(0)


def cell_step(lstm: nn.LSTM, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, end: str = 'l0'):
    """One step of an LSTM for one vector."""
    weights = (getattr(lstm, f'{part}_{end}') for part in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'))
    into, recur, bias, other = weights
    i, f, g, o = (into @ x + bias + recur @ h + other).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def both_ways(lstm: nn.LSTM, frames: list[torch.Tensor]) -> list[torch.Tensor]:
    """States of both directions, side by side, of each frame of one window."""
    size = lstm.hidden_size
    onward, backward = [], []
    for states, order, end in ((onward, frames, 'l0'), (backward, frames[::-1], 'l0_reverse')):
        h = c = torch.zeros(size)
        for x in order:
            h, c = cell_step(lstm, x, h, c, end)
            states.append(h)
    return [torch.cat(pair) for pair in zip(onward, backward[::-1], strict=True)]


class Encoder(nn.Module):
    """A recurrence that gives all its states, then a linear layer."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(size, hidden, batch_first=True)
        self.linear_1 = nn.Linear(hidden, hidden)


class Perceptron(nn.Module):
    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(size, hidden)
        self.linear_2, self.linear_3 = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.linear_1, self.linear_2, self.linear_3):
            x = torch.relu(layer(x))
        return x


class PlainAttention(nn.Module):
    def __init__(self, sizes: dict[str, int], hidden: int, values: int, *, softmax: bool = False) -> None:
        super().__init__()
        for name in SLOTS:
            setattr(self, f'{name}_encoder', Encoder(sizes[name], hidden))
        self.attention_mlp = Perceptron(3 * hidden, hidden)
        self.lstm = nn.LSTM(hidden, hidden, 1, batch_first=True, bidirectional=True)
        self.fc_att, self.fc_out_2 = nn.Linear(hidden, 3), nn.Linear(2 * hidden, values)
        self.hidden, self.softmax = hidden, softmax

    def window(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        states = {name: (torch.zeros(self.hidden), torch.zeros(self.hidden)) for name in SLOTS}
        fused = []
        for t in range(len(features['audio'])):
            codes = []
            for name in SLOTS:
                encoder = getattr(self, f'{name}_encoder')
                states[name] = cell_step(encoder.rnn, features[name][t], *states[name])
                codes.append(encoder.linear_1(states[name][0]))
            weights = self.fc_att(self.attention_mlp(torch.cat(codes)))
            if self.softmax:
                weights = weights.exp() / weights.exp().sum()
            fused.append(sum(weight * code for weight, code in zip(weights, codes, strict=True)))
        return torch.stack([self.fc_out_2(state) for state in both_ways(self.lstm, fused)])


class PlainMemory(nn.Module):
    def __init__(self, sizes: dict[str, int], hidden: int, memory: int, values: int) -> None:
        super().__init__()
        self.lstm_l, self.lstm_a, self.lstm_v = (nn.LSTMCell(sizes[n], hidden) for n in ('text', 'audio', 'video'))
        seen, half = 6 * hidden, hidden // 2
        self.att1_fc1, self.att1_fc2 = nn.Linear(seen, hidden), nn.Linear(hidden, seen)
        self.att2_fc1, self.att2_fc2 = nn.Linear(seen, hidden), nn.Linear(hidden, memory)
        self.gamma1_fc1, self.gamma1_fc2 = nn.Linear(seen + memory, hidden), nn.Linear(hidden, memory)
        self.gamma2_fc1, self.gamma2_fc2 = nn.Linear(seen + memory, hidden), nn.Linear(hidden, memory)
        self.out_fc1, self.out_fc2 = nn.Linear(3 * hidden + memory, hidden), nn.Linear(hidden, half)
        self.fc_out_0 = nn.LSTM(half, half, 1, batch_first=True, bidirectional=True)
        self.fc_out_2 = nn.Linear(2 * half, values)
        self.hidden, self.memory = hidden, memory

    def window(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        cells = {'text': self.lstm_l, 'audio': self.lstm_a, 'video': self.lstm_v}
        h = {name: torch.zeros(1, self.hidden) for name in cells}
        c = {name: torch.zeros(1, self.hidden) for name in cells}
        u = torch.zeros(self.memory)
        codes = []
        for t in range(len(features['audio'])):
            before = list(c.values())
            for name, cell in cells.items():
                h[name], c[name] = cell(features[name][t : t + 1], (h[name], c[name]))
            change = torch.cat([*before, *c.values()], dim=1)[0]
            seen = torch.softmax(self.att1_fc2(torch.relu(self.att1_fc1(change))), dim=0) * change
            proposed = torch.tanh(self.att2_fc2(torch.relu(self.att2_fc1(seen))))
            both = torch.cat([seen, u])
            retain = torch.sigmoid(self.gamma1_fc2(torch.relu(self.gamma1_fc1(both))))
            update = torch.sigmoid(self.gamma2_fc2(torch.relu(self.gamma2_fc1(both))))
            u = retain * u + update * proposed
            codes.append(self.out_fc2(torch.relu(self.out_fc1(torch.cat([*(each[0] for each in h.values()), u])))))
        return torch.stack([self.fc_out_2(state) for state in both_ways(self.fc_out_0, codes)])


class _Attend(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.attn, self.v = nn.Linear(2 * hidden, hidden, bias=False), nn.Linear(hidden, 1, bias=False)

    def forward(self, state: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        scores = torch.cat([self.v(torch.tanh(self.attn(torch.cat([state, code])))) for code in codes])
        return torch.softmax(scores, dim=0) @ codes


class _Part(nn.Module):
    """A recurrence of both directions and a linear layer."""

    def __init__(self, size: int, hidden: int, layer: str, linear: nn.Linear, attention: _Attend | None = None) -> None:
        super().__init__()
        self.rnn = nn.LSTM(size, hidden, bidirectional=True)
        setattr(self, layer, linear)
        if attention is not None:
            self.attention = attention


class _Pair(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class PlainTranslation(nn.Module):
    """With its fault: the windows of a batch are what the recurrences take for time."""

    def __init__(self, sizes: dict[str, int], hidden: int, values: int) -> None:
        super().__init__()
        self.size, self.hidden = max(sizes.values()), hidden
        for number, source in ((1, self.size), (2, hidden)):
            attention = _Attend(hidden)
            encoder = _Part(source, hidden, 'fc', nn.Linear(hidden, hidden, bias=False))
            decoder = _Part(self.size + hidden, hidden, 'fc_out', nn.Linear(2 * hidden, self.size), attention)
            parts = {'attn': attention, 'encoder': encoder, 'decoder': decoder, 'seq2seq': _Pair(encoder, decoder)}
            for name, part in parts.items():
                setattr(self, f'{name}{number}', part)
        self.fc_out_0 = nn.LSTM(hidden, hidden, 1, batch_first=True, bidirectional=True)
        self.fc_out_2 = nn.Linear(2 * hidden, values)

    def batch(self, features: dict[str, torch.Tensor], weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        pad = {
            name: torch.cat([value, torch.zeros(*value.shape[:2], self.size - value.shape[2])], dim=2)
            for name, value in features.items()
        }
        joint, video = self._translate(self.seq2seq1, pad['text'], pad['video'])
        _, text = self._translate(self.seq2seq1, video, pad['text'])
        joint, audio = self._translate(self.seq2seq2, joint, pad['audio'])
        made = {'video': video, 'text': text, 'audio': audio}
        loss = weight * sum((made[name] - pad[name]).square().mean() for name in made)
        answers = [[self.fc_out_2(state) for state in both_ways(self.fc_out_0, list(window))] for window in joint]
        return torch.stack([torch.stack(window) for window in answers]), loss

    def _translate(self, pair: _Pair, source: torch.Tensor, target: torch.Tensor):
        size = self.hidden
        joint, translated = torch.zeros(*source.shape[:2], size), torch.zeros_like(target)
        for t in range(source.shape[1]):  # each frame's batch is read as a sequence
            states = both_ways(pair.encoder.rnn, list(source[:, t]))
            joint[:, t] = torch.stack([state[:size] + state[size:] for state in states])
            state = torch.tanh(pair.encoder.fc(states[-1][:size] + states[0][size:]))
            for row in range(1, len(source)):
                context = pair.decoder.attention(state, joint[:, t])
                (out,) = both_ways(pair.decoder.rnn, [torch.cat([target[row - 1, t], context])])
                state = out[:size] + out[size:]
                translated[row, t] = pair.decoder.fc_out(torch.cat([state, context]))
        return joint, translated


def plain_attention(qkv: torch.Tensor, out: nn.Linear, frames: torch.Tensor, heads: int) -> torch.Tensor:
    """(T, D) readings, one head and one frame at a time."""
    query, key, value = ((frames @ part.t()).chunk(heads, dim=1) for part in qkv.chunk(3))
    rows = []
    for t in range(len(frames)):
        read = []
        for q, k, v in zip(query, key, value, strict=True):
            scores = torch.stack([q[t] @ row for row in k]) / q.shape[1] ** 0.5
            read.append(torch.softmax(scores, dim=0) @ v)
        rows.append(out(torch.cat(read)))
    return torch.stack(rows)
