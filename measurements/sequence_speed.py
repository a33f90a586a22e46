"""A training step on windows of 1,000 frames and five modalities, beside a plain rendering of the published loop.

    python sequence_speed.py [--repeats 3]

The plain loop is written here from its description: a cell a modality and a frame, the weights of the modalities and
the memory frame by frame, the reading in both directions frame by frame, and the loss a window and a value at a time.
Ours has the same weights; answers and gradients of both are compared. A step is forward, loss, backward and Adam's
update, in CPU seconds of one process with one thread; both take turns, and the fastest of each counts.

Feature sizes: `embedded` is of the size of what the package's own models say of a frame (blendshapes, expressions, head
and gaze, voice, acoustics), `encoders` that of the five encoders of the published entry. Windows a step: 4, and 16 (the
published batch is 32 over several accelerators), where on one core the products themselves, the same either way, are
most of the cost. Models without a published loop are timed on 4 windows, beside the plain attention loop of the same
sizes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affekt.runs import versions, write_atomically
from affekt.sequence_models import SequenceShape, build_sequence_model, concordance_loss

FRAMES = 1000
SIZES = {
    'embedded': {'blendshapes': 52, 'expressions': 8, 'pose': 14, 'voice': 32, 'acoustics': 25},
    'encoders': {'clip': 768, 'eva': 1024, 'ferplus': 512, 'dino': 768, 'wavlm': 1024},
}
HIDDEN = {'attention_sequence': 64, 'mfn_sequence': 128}
"""The published widths."""
WINDOWS = (4, 16)
RESULT = Path(__file__).resolve().parent / 'results' / 'sequence_speed.json'


def plain_loss(values: Tensor, truth: Tensor) -> Tensor:
    """1 - CCC with the published moments, a window and a value at a time."""
    losses = []
    for window, true in zip(values, truth, strict=True):
        for i in range(values.shape[2]):
            v, t = window[:, i], true[:, i]
            product = v.std() * t.std()
            r = ((v - v.mean()) * (t - t.mean())).mean() / (product + 1e-10)
            losses.append(1 - 2 * r * product / (v.var() + t.var() + (v.mean() - t.mean()) ** 2 + 1e-10))
    return torch.stack(losses).mean()


class PlainReader(nn.Module):
    """States of both directions, a cell and a frame at a time."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.cells = nn.ModuleList([cell_of(reader.onward), cell_of(reader.backward)])

    def forward(self, codes: list[Tensor]) -> list[Tensor]:
        both = []
        for cell, frames in zip(self.cells, (codes, codes[::-1]), strict=True):
            state = (codes[0].new_zeros(len(codes[0]), cell.hidden_size),) * 2
            states = []
            for frame in frames:
                state = cell(frame, state)
                states.append(state[0])
            both.append(states)
        return [torch.cat(pair, dim=1) for pair in zip(both[0], both[1][::-1], strict=True)]


def cell_of(lstm: nn.LSTM) -> nn.LSTMCell:
    """A cell with the weights of an LSTM."""
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    cell.load_state_dict({name.removesuffix('_l0'): value for name, value in lstm.state_dict().items()})
    return cell


class PlainAttention(nn.Module):
    """`attention_sequence`, frame by frame."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.cells = nn.ModuleDict({name: cell_of(each.recurrence.onward) for name, each in ours.encoders.items()})
        self.layers = nn.ModuleDict({name: each.linear for name, each in ours.encoders.items()})
        self.weigher = nn.ModuleList(ours.weigher.layers)
        self.weights, self.head = ours.weights, ours.value_head
        self.reader = PlainReader(ours.reader)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        rows, frames = features[next(iter(features))].shape[:2]
        hidden = self.weights.in_features
        states = {name: (torch.zeros(rows, hidden), torch.zeros(rows, hidden)) for name in self.cells}
        fused = []
        for t in range(frames):
            codes = []
            for name, cell in self.cells.items():
                states[name] = cell(features[name][:, t], states[name])
                codes.append(self.layers[name](states[name][0]))
            inner = torch.cat(codes, dim=1)
            for layer in self.weigher:
                inner = torch.relu(layer(inner))
            weights = self.weights(inner)
            fused.append((torch.stack(codes, dim=2) @ weights.unsqueeze(2)).squeeze(2))
        return torch.stack([self.head(state) for state in self.reader(fused)], dim=1)


class PlainMemory(nn.Module):
    """`mfn_sequence`, frame by frame."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.cells = nn.ModuleDict(dict(ours.recurrences.cells.items()))
        self.attend, self.propose, self.retain, self.update = ours.attend, ours.propose, ours.retain, ours.update
        self.output, self.head = ours.output, ours.value_head
        self.memory = ours.retain[3].out_features
        self.reader = PlainReader(ours.reader)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        rows, frames = features[next(iter(features))].shape[:2]
        zeros = torch.zeros(rows, self.attend[0].out_features)
        states = dict.fromkeys(self.cells, (zeros, zeros))
        memory = torch.zeros(rows, self.memory)
        codes = []
        for t in range(frames):
            new = {name: cell(features[name][:, t], states[name]) for name, cell in self.cells.items()}
            change = torch.cat([states[name][1] for name in new] + [new[name][1] for name in new], dim=1)
            seen = torch.softmax(self.attend(change), dim=1) * change
            proposed = torch.tanh(self.propose(seen))
            both = torch.cat([seen, memory], dim=1)
            memory = torch.sigmoid(self.retain(both)) * memory + torch.sigmoid(self.update(both)) * proposed
            states = new
            codes.append(self.output(torch.cat([*(states[name][0] for name in states), memory], dim=1)))
        return torch.stack([self.head(state) for state in self.reader(codes)], dim=1)


PLAIN = {'attention_sequence': PlainAttention, 'mfn_sequence': PlainMemory}


def step_of(
    model: nn.Module, answer: Callable[[], Tensor], loss: Callable[[Tensor], Tensor]
) -> Callable[[], tuple[Tensor, float]]:
    """One training step; gives the answers and the norm of the gradient."""
    optimiser = torch.optim.Adam(model.parameters(), 0.0)  # a rate of 0: the weights of both stay the same

    def step() -> tuple[Tensor, float]:
        optimiser.zero_grad()
        values = answer()
        loss(values).backward()
        optimiser.step()
        squares = [each.grad.square().sum() for each in model.parameters() if each.grad is not None]
        return values.detach(), float(torch.stack(squares).sum().sqrt())

    return step


def drawn(source: str, windows: int) -> tuple[dict[str, Tensor], Tensor]:
    """Features and truth of a batch."""
    draws = torch.Generator().manual_seed(0)
    features = {name: torch.randn(windows, FRAMES, size, generator=draws) for name, size in SIZES[source].items()}
    return features, torch.randn(windows, FRAMES, 2, generator=draws)


def beside_the_loop(name: str, source: str, windows: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of a step of ours and of the plain loop, and how far their answers and gradients lie apart."""
    features, truth = drawn(source, windows)
    torch.manual_seed(0)
    shape = SequenceShape(SIZES[source], values=2, hidden=HIDDEN[name], dropout=0.0, form='reference')
    ours = build_sequence_model(name, shape)
    plain = PLAIN[name](ours)
    steps = {
        'plain': step_of(plain, lambda: plain(features), lambda values: plain_loss(values, truth)),
        'ours': step_of(
            ours, lambda: ours(features).values, lambda values: concordance_loss(values, truth, moments='published')
        ),
    }
    outcome, seconds = {}, dict[str, list[float]]()
    for turn in range(repeats):
        for of, step in steps.items():
            if turn > 1 and of == 'plain' and seconds['plain'][0] > 60:
                continue  # noise is small beside a minute
            begun = time.process_time()
            outcome[of] = step()
            seconds.setdefault(of, []).append(time.process_time() - begun)
    fastest = {of: min(times) for of, times in seconds.items()}
    return {
        'model': name,
        'features': source,
        'windows': windows,
        'plain_step_s': fastest['plain'],
        'ours_step_s': fastest['ours'],
        'times_faster': fastest['plain'] / fastest['ours'],
        'largest_answer_difference': (outcome['plain'][0] - outcome['ours'][0]).abs().max().item(),
        'gradient_norm_ratio': outcome['ours'][1] / outcome['plain'][1],
    }


def without_a_loop(source: str, windows: int, repeats: int) -> list[dict[str, Any]]:
    """CPU seconds of a step of the models that have no published loop, with their usual settings."""
    features, truth = drawn(source, windows)
    rows = []
    for name in ('per_frame', 'convolution', 'transformer', 'expression_head'):
        torch.manual_seed(0)
        model = build_sequence_model(name, SequenceShape(SIZES[source], values=2))
        step = step_of(
            model, lambda model=model: model(features).values, lambda values: concordance_loss(values, truth)
        )
        seconds = []
        for _ in range(repeats):
            begun = time.process_time()
            step()
            seconds.append(time.process_time() - begun)
        rows.append({'model': name, 'features': source, 'windows': windows, 'ours_step_s': min(seconds)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loops, others = [], []
    for source in SIZES:
        for windows in WINDOWS:
            for name in PLAIN:
                loops.append(beside_the_loop(name, source, windows, options.repeats))
                print(loops[-1], flush=True)
            if windows == WINDOWS[0]:
                plain = loops[-len(PLAIN)]['plain_step_s']
                others += [
                    row | {'times_faster': plain / row['ours_step_s']}
                    for row in without_a_loop(source, windows, options.repeats)
                ]
    result = {
        'frames': FRAMES,
        'sizes': SIZES,
        'hidden': HIDDEN,
        'beside_the_loop': loops,
        'without_a_loop': others,
        'versions': versions() | {'torch': torch.__version__},
    }
    write_atomically(options.out, json.dumps(result, indent=1).encode())


if __name__ == '__main__':
    main()
