"""A training step on windows of 1,000 frames and five modalities, beside plain renderings of the published code.

    python sequence_speed.py [--repeats 2] [--windows 4 16]      # about five minutes of one core

The published code has one loop over frames, that of the memory fusion network: cells, attention and memory a frame at a
time, then the output layers a frame at a time, and at last one call that reads all frames in both directions.
`plain` renders it so. Of `attention_sequence` the published code calls an LSTM for all frames (`plain`), and goes
through windows alone, for the loss; what a loop over its frames would cost stands beside it (`frame_by_frame`). The
loss is of a window and a value at a time, everywhere but in ours.

All have the same weights. Answers and gradients are compared without dropout, and steps are timed with the published
one. A step is forward, loss, backward and Adam's update, in CPU seconds of one process with one thread; all take turns,
and the fastest of each counts. `products_s` is the time of the products of weights and features or states alone, over
all frames at once, which is the least that any form of the method takes on this core: what is over it, a better
program could save; `most_possible` is what a program without any other cost would gain. `operator_calls` counts what
is asked of the device in one step: on an accelerator each costs several microseconds, whatever it works on.

`translation` is a step of `mctn_sequence` in its corrected form, whose decoders read the truth or, in a second pass,
their answers of the first, all frames at once; beside it decoders that read their own answers in a loop over frames.

Feature sizes: `embedded` is of the size of what the package's own models say of a frame (blendshapes, expressions, head
and gaze, voice, acoustics), `encoders` that of the five encoders of the published entry. Windows a step: 4 is what
`affekt bench abaw` takes, 32 the published batch, which was spread over several accelerators.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from affekt.runs import versions, write_atomically
from affekt.sequence_models import SequenceShape, build_sequence_model, concordance_loss
from affekt.typed_json import json_file

FRAMES = 1000
SIZES = {
    'embedded': {'blendshapes': 52, 'expressions': 8, 'pose': 14, 'voice': 32, 'acoustics': 25},
    'encoders': {'clip': 768, 'eva': 1024, 'ferplus': 512, 'dino': 768, 'wavlm': 1024},
}
PUBLISHED = {'mfn_sequence': (128, 0.5), 'attention_sequence': (64, 0.4), 'mctn_sequence': (256, 0.2)}
"""Model to its published width and dropout."""
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


class LoopedReader(nn.Module):
    """States of both directions, a cell and a frame at a time."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.cells = nn.ModuleList([cell_of(reader.onward), cell_of(reader.backward)])

    def forward(self, codes: Tensor) -> Tensor:
        """(B, T, 2H) of (B, T, H)."""
        each = list(codes.unbind(1))
        both = []
        for cell, frames in zip(self.cells, (each, each[::-1]), strict=True):
            state = (codes.new_zeros(len(codes), cell.hidden_size),) * 2
            states = []
            for frame in frames:
                state = cell(frame, state)
                states.append(state[0])
            both.append(states)
        return torch.cat([torch.stack(both[0], dim=1), torch.stack(both[1][::-1], dim=1)], dim=2)


def cell_of(lstm: nn.LSTM) -> nn.LSTMCell:
    """A cell with the weights of an LSTM."""
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    cell.load_state_dict({name.removesuffix('_l0'): value for name, value in lstm.state_dict().items()})
    return cell


def reader_of(reader: nn.Module) -> nn.LSTM:
    """A bidirectional LSTM with the weights of ours."""
    onward, backward = reader.onward.state_dict(), reader.backward.state_dict()
    lstm = nn.LSTM(reader.onward.input_size, reader.onward.hidden_size, batch_first=True, bidirectional=True)
    lstm.load_state_dict(onward | {f'{name}_reverse': value for name, value in backward.items()})
    return lstm


class PlainAttention(nn.Module):
    """`attention_sequence` as published: an LSTM a modality and one that reads both ways, each called for all frames.

    Args:
        ours: whose weights it has.
        dropout: share of units set to 0.
    """

    def __init__(self, ours: Any, dropout: float) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: each.recurrence.onward for name, each in ours.encoders.items()})
        self.layers = nn.ModuleDict({name: each.linear for name, each in ours.encoders.items()})
        self.weigher, self.weights = nn.ModuleList(ours.weigher.layers), ours.weights
        self.dropout, self.head = nn.Dropout(dropout), ours.value_head
        self.reader = reader_of(ours.reader)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """(B, T, 2) values."""
        codes = [self.layers[name](self.dropout(encoder(features[name])[0])) for name, encoder in self.encoders.items()]
        fused = torch.stack(codes, dim=3) @ self._weights(torch.cat(codes, dim=2)).unsqueeze(3)
        return self.head(self.reader(fused.squeeze(3))[0])

    def _weights(self, codes: Tensor) -> Tensor:
        inner = self.dropout(codes)
        for layer in self.weigher:
            inner = torch.relu(layer(inner))
        return self.weights(inner)


class LoopedAttention(PlainAttention):
    """The same, a cell and a frame at a time."""

    def __init__(self, ours: Any, dropout: float) -> None:
        super().__init__(ours, dropout)
        self.encoders = nn.ModuleDict({name: cell_of(each.recurrence.onward) for name, each in ours.encoders.items()})
        self.reader = LoopedReader(ours.reader)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """(B, T, 2) values."""
        rows, frames = features[next(iter(features))].shape[:2]
        hidden = self.weights.in_features
        states = {name: (torch.zeros(rows, hidden), torch.zeros(rows, hidden)) for name in self.encoders}
        fused = []
        for t in range(frames):
            codes = []
            for name, cell in self.encoders.items():
                states[name] = cell(features[name][:, t], states[name])
                codes.append(self.layers[name](self.dropout(states[name][0])))
            weights = self._weights(torch.cat(codes, dim=1))
            fused.append((torch.stack(codes, dim=2) @ weights.unsqueeze(2)).squeeze(2))
        both = self.reader(torch.stack(fused, dim=1))
        return torch.stack([self.head(state) for state in both.unbind(1)], dim=1)


class PlainMemory(nn.Module):
    """`mfn_sequence` as published: two loops over frames, and a call that reads what they made.

    Args:
        ours: whose weights it has.
        dropout: share of units set to 0.
    """

    def __init__(self, ours: Any, dropout: float) -> None:
        super().__init__()
        self.cells = nn.ModuleDict(dict(ours.recurrences.cells.items()))
        parts = (ours.attend, ours.propose, ours.retain, ours.update, ours.output)
        self.attend, self.propose, self.retain, self.update, self.output = (
            nn.Sequential(each[0], nn.ReLU(), nn.Dropout(dropout), each[3]) for each in parts
        )
        self.reader, self.head = reader_of(ours.reader), ours.value_head

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """(B, T, 2) values."""
        rows, frames = features[next(iter(features))].shape[:2]
        zeros = torch.zeros(rows, self.attend[0].out_features)
        states = dict.fromkeys(self.cells, (zeros, zeros))
        memory = torch.zeros(rows, self.retain[3].out_features)
        read = []
        for t in range(frames):
            new = {name: cell(features[name][:, t], states[name]) for name, cell in self.cells.items()}
            change = torch.cat([states[name][1] for name in new] + [new[name][1] for name in new], dim=1)
            seen = torch.softmax(self.attend(change), dim=1) * change
            proposed = torch.tanh(self.propose(seen))
            both = torch.cat([seen, memory], dim=1)
            memory = torch.sigmoid(self.retain(both)) * memory + torch.sigmoid(self.update(both)) * proposed
            states = new
            read.append([*(states[name][0] for name in states), memory])
        codes = torch.stack([self.output(torch.cat(each, dim=1)) for each in read], dim=1)
        return self.head(self.reader(codes)[0])


PLAIN = {'mfn_sequence': PlainMemory, 'attention_sequence': PlainAttention}


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


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


class Calls(TorchDispatchMode):
    """Counts operators that compute or move something; views are free."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def steps_of(name: str, source: str, windows: int, *, dropout: float) -> dict[str, Callable[[], tuple[Tensor, float]]]:
    """A training step of ours and of each plain rendering, with the same weights."""
    features, truth = drawn(source, windows)
    torch.manual_seed(0)
    hidden = PUBLISHED[name][0]
    shape = SequenceShape(SIZES[source], values=2, hidden=hidden, dropout=dropout, form='reference')
    ours = build_sequence_model(name, shape)
    renderings = {'plain': PLAIN[name](ours, dropout)}
    if name == 'attention_sequence':
        renderings['frame_by_frame'] = LoopedAttention(ours, dropout)
    steps = {
        form: step_of(model, lambda model=model: model(features), lambda values: plain_loss(values, truth))
        for form, model in renderings.items()
    }
    return steps | {
        'ours': step_of(
            ours, lambda: ours(features).values, lambda values: concordance_loss(values, truth, moments='published')
        )
    }


def compared(name: str) -> dict[str, Any]:
    """How far answers and gradients of ours lie from each plain rendering without dropout, and calls of a step."""
    outcomes = {form: step() for form, step in steps_of(name, 'embedded', 2, dropout=0.0).items()}
    values, norm = outcomes.pop('ours')
    calls = {}
    for form, step in steps_of(name, 'embedded', 1, dropout=PUBLISHED[name][1]).items():
        with Calls() as counted:
            step()
        calls[form] = counted.count
    return {
        'model': name,
        'largest_answer_difference': {form: (each[0] - values).abs().max().item() for form, each in outcomes.items()},
        'gradient_norm_ratio': {form: norm / each[1] for form, each in outcomes.items()},
        'operator_calls': calls,
    }


def products_of(weight: Tensor, rows: int, *, is_first: bool) -> float:
    """CPU seconds of the products of one weight with so many rows, forward and for the gradients.

    Args:
        weight: (O, I).
        rows: frames of all windows.
        is_first: it reads features, which have no gradient.
    """
    given, gradient = torch.randn(rows, weight.shape[1]), torch.randn(rows, weight.shape[0])
    into, back = torch.empty_like(gradient), torch.empty_like(given)
    begun = time.process_time()
    torch.mm(given, weight.t(), out=into)
    torch.mm(gradient.t(), given)
    if not is_first:
        torch.mm(gradient, weight, out=back)
    return time.process_time() - begun


def products_s(name: str, source: str, windows: int, repeats: int) -> float:
    """CPU seconds of the products of a step alone: each weight with all frames, forward and for both gradients.

    Features have no gradient.
    """
    shape = SequenceShape(SIZES[source], values=2, hidden=PUBLISHED[name][0], form='reference')
    rows, total = windows * FRAMES, 0.0
    sizes = set(SIZES[source].values())
    for label, weight in build_sequence_model(name, shape).named_parameters():
        if weight.dim() != 2:
            continue
        reads_features = label.endswith(('weight_ih', 'weight_ih_l0')) and weight.shape[1] in sizes
        total += min(products_of(weight.detach(), rows, is_first=reads_features) for _ in range(repeats))
    return total


def beside_the_loop(name: str, source: str, windows: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of a step of ours, of each plain rendering, and of the products alone."""
    steps, seconds = steps_of(name, source, windows, dropout=PUBLISHED[name][1]), dict[str, list[float]]()
    for repeat in range(repeats):
        for form, step in steps.items():
            if form != 'frame_by_frame' or not repeat:  # nobody publishes it so: once is enough
                seconds.setdefault(form, []).append(cpu_seconds(step))
    fastest = {form: min(times) for form, times in seconds.items()}
    least = products_s(name, source, windows, repeats)
    return {
        'model': name,
        'features': source,
        'windows': windows,
        'step_s': fastest,
        'products_s': least,
        'times_faster': {form: time_s / fastest['ours'] for form, time_s in fastest.items() if form != 'ours'},
        'most_possible': {form: time_s / least for form, time_s in fastest.items() if form != 'ours'},
    }


def at_once(source: str, windows: int, repeats: int) -> dict[str, Any]:
    """A step of `mfn_sequence` that reads blocks of frames together, beside one frame after another."""
    features, truth = drawn(source, windows)
    torch.manual_seed(0)
    hidden, dropout = PUBLISHED['mfn_sequence']
    shape = SequenceShape(SIZES[source], values=2, hidden=hidden, dropout=dropout, form='reference')
    model = build_sequence_model('mfn_sequence', shape)
    step = step_of(
        model, lambda: model(features).values, lambda values: concordance_loss(values, truth, moments='published')
    )
    seconds = dict[bool, list[float]]()
    for _ in range(repeats):
        for is_at_once in (False, True):
            model.at_once = is_at_once
            seconds.setdefault(is_at_once, []).append(cpu_seconds(step))
    return {
        'features': source,
        'windows': windows,
        'one_after_another_s': min(seconds[False]),
        'at_once_s': min(seconds[True]),
    }


def translation(source: str, windows: int, repeats: int) -> dict[str, Any]:
    """A step of `mctn_sequence` with decoders that have no loop over frames, and with such that have."""
    features, truth = drawn(source, windows)
    seconds = dict[str, list[float]]()
    for form in ('at_once', 'in_turn') * repeats:
        torch.manual_seed(0)
        hidden, dropout = PUBLISHED['mctn_sequence']
        model = build_sequence_model(
            'mctn_sequence', SequenceShape(SIZES[source], values=2, hidden=hidden, dropout=dropout)
        )
        for translator in model.translators:
            translator.at_once = form == 'at_once'

        def step(model: Any = model) -> None:
            answers = model(features)
            (concordance_loss(answers.values, truth) + sum(answers.losses.values())).backward()

        seconds.setdefault(form, []).append(cpu_seconds(step))
    fastest = {form: min(times) for form, times in seconds.items()}
    return {
        'features': source, 'windows': windows, 'step_s': fastest,
        'times_faster': fastest['in_turn'] / fastest['at_once'],
    }  # fmt: skip


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
        rows.append({
            'model': name, 'features': source, 'windows': windows,
            'step_s': min(cpu_seconds(step) for _ in range(repeats)),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument('--windows', type=int, nargs='+', default=[4, 16])
    parser.add_argument('--company', default='', help='a sentence on what else ran on the machine')
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loops: list[dict[str, Any]] = []
    once: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    result = {
        'frames': FRAMES,
        'sizes': SIZES,
        'published_width_and_dropout': PUBLISHED,
        'same': [compared(name) for name in PLAIN],
        'beside_the_loop': loops,
        'at_once': once,
        'without_a_loop': others,
        'translation': translation('embedded', 1, options.repeats),
        'company': options.company,
        'versions': versions() | {'torch': torch.__version__},
    }
    for source in SIZES:
        for windows in options.windows:
            for name in PLAIN:
                loops.append(beside_the_loop(name, source, windows, options.repeats))
                print(loops[-1], flush=True)
                write_atomically(options.out, json_file(result))
        once += [at_once(source, windows, options.repeats) for windows in options.windows]
        others += without_a_loop(source, options.windows[0], options.repeats)
    write_atomically(options.out, json_file(result))


if __name__ == '__main__':
    main()
