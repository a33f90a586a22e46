"""Recurrences that give a state for every frame, without a loop over frames, and hold their state at masked frames.

The kept frames are packed together, read by one call of `nn.LSTM`, and their states are spread over all frames again: a
masked frame has the state of the last kept frame before it. Of five frames, three of which are kept:

    frame     0 1 2 3 4        moved together    a c d 0 0        states    A C D . .
    feature   a - c d -        onward            A A C D D        backward  from the next kept one: A C C D 0

An LSTM's cells, which `nn.LSTM` returns only for the last frame, follow from its states by one product and a linear
recurrence. A memory whose gates depend on itself is estimated for all frames at once and corrected by sweeps: with
the gates of the last estimate it is linear. Each sweep makes at least one more frame exact, and if gates depend little
on the memory, as in all cases tested, three or four make all frames exact to rounding. Gradients are computed alike.

Axes: B batch, T frames, D feature, H hidden, W memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from affekt.nn import kept_first
from affekt.sequence_models.steps import CACHED, CellWeights, _previous, _slices_from_the_end, gated_memory

SWEEPS = 30
"""Maximum number of sweeps; a memory that has not converged by then is computed step by step."""
ROUNDING = 16
"""Convergence threshold, in units in the last place of the largest value."""


class Recurrence(nn.Module):
    """(B, T, D) to the (B, T, H) states of an LSTM; zeros before the first kept frame.

    Args:
        size: D.
        hidden: H.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(size, hidden, batch_first=True)

    def forward(self, sequence: Tensor, keep: Tensor | None = None) -> Tensor:
        """The states; a `keep` of None keeps all."""
        return read_onward(self.onward, sequence, keep)


class TwoWayRecurrence(nn.Module):
    """(B, T, D) to the (B, T, 2H) states of an LSTM that reads onward, and of one that reads backward.

    The weights are those of a bidirectional `nn.LSTM`.

    Args:
        size: D.
        hidden: H.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(size, hidden, batch_first=True)
        self.backward = nn.LSTM(size, hidden, batch_first=True)

    def forward(self, sequence: Tensor, keep: Tensor | None = None) -> Tensor:
        """The states; a `keep` of None keeps all."""
        onward_states = read_onward(self.onward, sequence, keep)
        backward_states = read_onward(self.backward, sequence.flip(1), None if keep is None else keep.flip(1))
        return torch.cat([onward_states, backward_states.flip(1)], dim=2)  # (B, T, 2H)


def read_onward(cells: nn.LSTM, sequence: Tensor, keep: Tensor | None) -> Tensor:
    """(B, T, H) states over the kept frames of (B, T, D), each held until the next."""
    if keep is None:
        states: Tensor = cells(sequence)[0]
        return states
    return spread_over(cells(kept_first(sequence, keep)[0])[0], keep)


def spread_over(states: Tensor, keep: Tensor) -> Tensor:
    """States of the kept frames, which come first, spread over all frames: each is held until the next.

    Args:
        states: (B, T, H).
        keep: (B, T) bool.

    Returns:
        (B, T, H); zeros before the first kept frame.
    """
    kept_so_far = keep.cumsum(dim=1).unsqueeze(2)  # (B, T, 1): kept frames up to each
    spread = torch.take_along_dim(states, (kept_so_far - 1).clamp(min=0), dim=1)
    return torch.where(kept_so_far > 0, spread, 0.0)


def states_at_once(features: Sequence[Tensor], weights: Sequence[CellWeights]) -> tuple[Tensor, Tensor]:
    """The states and cells of M LSTMs, as returned by `recurrent_states`.

    Args:
        features: (B, T, D) features of each.
        weights: weights of each LSTM.

    Returns:
        (T, B, M, H) h and c.
    """
    states, cells = [], []
    with torch.autocast(features[0].device.type, enabled=False):
        for sequence, (inward, recurrent, biases) in zip(features, weights, strict=True):
            frames = sequence.float().transpose(0, 1).contiguous()  # (T, B, D)
            lstm_inward, lstm_biases = inward, biases
            start = frames.new_zeros((1, frames.shape[1], recurrent.shape[1]))
            if frames.shape[2] > len(inward):  # input wider than the gates is projected once, not twice
                frames = functional.linear(frames, inward, biases)  # (T, B, 4H)
                lstm_inward, lstm_biases = torch.eye(len(inward), device=frames.device), torch.zeros_like(biases)
            parameters = [lstm_inward, recurrent, lstm_biases, torch.zeros_like(biases)]
            initial = (start, start)
            lstm_states, *_ = torch.lstm(frames, initial, parameters, True, 1, 0.0, True, False, False)  # (T, B, H)
            states.append(lstm_states)
            cells.append(_CellsOfStates.apply(frames, lstm_states, lstm_inward, recurrent, lstm_biases))  # type: ignore[no-untyped-call]
    return torch.stack(states, dim=2), torch.stack(cells, dim=2)


class _CellsOfStates(torch.autograd.Function):
    """(T, B, H) cells of an LSTM whose (T, B, H) states are known: its gates are one product.

    With tanh(x) = 1 - 2 σ(-2x) one sigmoid call computes all gates, in a third of tanh's time.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, states: Tensor, inward: Tensor, recurrent: Tensor, biases: Tensor) -> Tensor:
        hidden, rows = states.shape[2], states.shape[1]
        inward, recurrent, biases = (_tanh_scaled(weight[: 3 * hidden]) for weight in (inward, recurrent, biases))
        flat = torch.addmm(biases, frames.flatten(0, 1), inward.t())  # (T·B, 3H): i, f and σ(-2g)
        flat[rows:].addmm_(states[:-1].flatten(0, 1), recurrent.t())
        gates = flat.sigmoid_().view(*states.shape[:2], 3 * hidden)  # (T, B, 3H)
        input_gate, forget_gate, half_candidate = gates.chunk(3, dim=2)
        cells = _in_blocks(forget_gate, torch.addcmul(input_gate, input_gate, half_candidate, value=-2))
        ctx.save_for_backward(frames, states, inward, recurrent, gates, cells)
        return cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        frames, states, inward, recurrent, gates, cells = ctx.saved_tensors
        totals = _reversed_recurrence(gates.chunk(3, dim=2)[1], gradients[0])
        grad_states = torch.zeros_like(states)
        grad_frames = torch.empty_like(frames) if ctx.needs_input_grad[0] else None
        grad_weights = (torch.zeros_like(inward), torch.zeros_like(recurrent), inward.new_zeros(len(inward)))
        for part in _slices_from_the_end(len(gates), gates[0].numel(), CACHED):
            part_gates, part_totals = gates[part], totals[part]
            input_gate, _, half_candidate = part_gates.chunk(3, dim=2)
            # σ's derivative, times what the gate lets through
            grad_gates = torch.addcmul(part_gates, part_gates, part_gates, value=-1)
            grad_input, grad_forget, grad_half = grad_gates.chunk(3, dim=2)
            grad_input.mul_(torch.addcmul(part_totals, part_totals, half_candidate, value=-2))
            grad_forget.mul_(part_totals).mul_(_previous(cells, part))
            grad_half.mul_(part_totals).mul_(input_gate).mul_(-2)
            flat = grad_gates.flatten(0, 1)  # (t·B, 3H)
            grad_weights[0].addmm_(flat.t(), frames[part].flatten(0, 1))
            grad_weights[1].addmm_(flat.t(), _previous(states, part).flatten(0, 1))
            grad_weights[2].add_(flat.sum(dim=0))
            first = max(part.start, 1)
            grad_previous = grad_states[first - 1 : part.stop - 1].flatten(0, 1)  # (t·B, H), a view
            torch.mm(grad_gates[first - part.start :].flatten(0, 1), recurrent, out=grad_previous)
            if grad_frames is not None:
                torch.mm(flat, inward, out=grad_frames[part].flatten(0, 1))  # (t·B, D), a view
        output_rows = len(inward) // 3
        padded = (
            torch.cat([_tanh_scaled(weight), weight.new_zeros((output_rows, *weight.shape[1:]))])
            for weight in grad_weights
        )
        return grad_frames, grad_states, *padded


def _tanh_scaled(rows: Tensor) -> Tensor:
    """(3H, …) rows of i, f and g, those of g times -2."""
    return torch.cat([rows[: len(rows) // 3 * 2], rows[len(rows) // 3 * 2 :] * -2])


def linear_recurrence(decay: Tensor, given: Tensor) -> Tensor:
    """(T, …) u of u^t = decay^t u^(t-1) + given^t, u^(-1) being 0, in about 2 √T steps.

    Args:
        decay: (T, …) factors.
        given: (T, …) inputs.
    """
    states: Tensor = _LinearRecurrence.apply(decay, given)  # type: ignore[no-untyped-call]
    return states


class _LinearRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, given: Tensor) -> Tensor:
        states = _in_blocks(decay, given)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        grad_given = _reversed_recurrence(decay, gradients[0])
        return grad_given * _shifted(states), grad_given


def _in_blocks(decay: Tensor, inputs: Tensor, *, is_backward: bool = False) -> Tensor:
    """`linear_recurrence` without gradients: blocks of √T frames from 0, then what each adds to the next.

    Of six frames in two blocks, the second takes u^2 of the first times the product of its decays so far:

        block 1     u^0            u^1            u^2
        block 2     u^3 + d3 u^2   u^4 + d4 d3 u^2    u^5 + d5 d4 d3 u^2        u^3 to u^5 as if u^2 were 0

    Args:
        decay: (T, …); padding frames at the end have a decay of 0.
        inputs: (T, …).
        is_backward: u^t follows from u^(t+1).
    """
    length = len(inputs)
    size = math.isqrt(max(length - 1, 0)) + 1
    blocks = -(-length // size)
    decays, inputs = (  # (blocks, size, …) each
        functional.pad(values, (0, 0) * (values.ndim - 1) + (0, blocks * size - len(values))).unflatten(
            0, (blocks, size)
        )
        for values in (decay, inputs)
    )
    states, passed = torch.empty_like(inputs), torch.empty_like(decays)
    order = range(size)[:: -1 if is_backward else 1]
    states[:, order[0]], passed[:, order[0]] = inputs[:, order[0]], decays[:, order[0]]
    for previous, step in itertools.pairwise(order):
        torch.addcmul(inputs[:, step], decays[:, step], states[:, previous], out=states[:, step])
        torch.mul(passed[:, previous], decays[:, step], out=passed[:, step])
    for previous, block in itertools.pairwise(range(blocks)[:: -1 if is_backward else 1]):
        states[block].addcmul_(passed[block], states[previous, order[-1]])
    return states.flatten(0, 1)[:length]


def _reversed_recurrence(decay: Tensor, inputs: Tensor) -> Tensor:
    """(T, …) u of u^t = decay^(t+1) u^(t+1) + inputs^t."""
    return _in_blocks(decay[1:], inputs, is_backward=True)


def _shifted(values: Tensor) -> Tensor:
    """(T, …) values one frame earlier, zeros first."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def memory_at_once(
    inputs: Tensor, proposed: Tensor, entry: Tensor, exits: Tensor, biases: Tensor, passing: Tensor | None = None
) -> Tensor:
    """The memories of `gated_memory`, with the same arguments, by sweeps over all frames."""
    parts = (inputs.float(), proposed.float(), entry.float(), exits.float(), biases.float())
    latest: list[tuple[Tensor, Tensor]] = []

    def swept(memories: Tensor | None) -> Tensor:
        latest[:] = [_units_and_gates(memories, *parts, passing)]
        return _in_blocks(latest[0][1][..., 0, :], latest[0][1][..., 1, :] * parts[1])

    with torch.autocast(inputs.device.type, enabled=False):
        with torch.no_grad():
            memories = _fixed_point(swept)
        if memories is None:
            return gated_memory(*parts, passing)
        result: Tensor = _MemoryAtOnce.apply(memories, *latest[0], *parts, passing)  # type: ignore[no-untyped-call]
    return result


def _fixed_point(sweep: Callable[[Tensor | None], Tensor]) -> Tensor | None:
    """The fixed point of a sweep, to rounding; None if it does not converge.

    The first sweep is called with None, which stands for zeros. If each change is below a tenth of the previous
    one, the next is predicted instead of computed.
    """
    values, change = sweep(None), math.inf
    threshold = ROUNDING * torch.finfo(values.dtype).eps
    for _ in range(SWEEPS):
        previous, previous_change, values = values, change, sweep(values)
        change = float((values - previous).abs().amax() / values.abs().amax().clamp(min=torch.finfo(values.dtype).tiny))
        if change <= threshold or (
            change <= previous_change / 10 < math.inf and change * change / previous_change <= threshold
        ):
            return values
    return None


def _units_and_gates(
    memories: Tensor | None,
    inputs: Tensor,
    proposed: Tensor,
    entry: Tensor,
    exits: Tensor,
    biases: Tensor,
    passing: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The (T, B, 2, H) units and the (T, B, 2, W) gates of all frames.

    Args:
        memories: (T, B, W) estimates; None if all are 0.
    """
    frames, rows, _, hidden = inputs.shape
    units = inputs.reshape(frames * rows, 2 * hidden).clone()  # (T·B, 2H)
    if memories is not None:
        units[rows:].addmm_(memories[:-1].flatten(0, 1), entry.flatten(1))  # ((T-1)·B, W) times (W, 2H)
    units.clamp_(min=0)
    if passing is not None:
        units.mul_(passing.reshape(units.shape))
    gates = torch.cat(  # (T·B, 2W)
        [torch.addmm(biases[gate], units[:, gate * hidden : (gate + 1) * hidden], exits[gate]) for gate in range(2)], 1
    )
    return units.view(inputs.shape), gates.sigmoid_().view(frames, rows, 2, -1)


class _MemoryAtOnce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        memories: Tensor,
        units: Tensor,
        gates: Tensor,
        inputs: Tensor,
        proposed: Tensor,
        entry: Tensor,
        exits: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        ctx.save_for_backward(memories, units, gates, proposed, entry, exits, passing)
        return memories.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        memories, units, gates, proposed, entry, exits, passing = ctx.saved_tensors
        retain, update = gates.unbind(2)
        frames, rows, _, hidden = units.shape
        earlier = memories[:-1].flatten(0, 1)  # ((T-1)·B, W)
        # contribution of the memory's gradient to each gate's, before σ
        gate_slopes = torch.stack([_shifted(memories), proposed], dim=2).mul_(
            torch.addcmul(gates, gates, gates, value=-1)
        )
        slopes = (units > 0).to(units.dtype) if passing is None else (units > 0) * passing
        grad_rows = torch.empty_like(units).flatten(0, 1).flatten(1)  # (T·B, 2H)

        def gate_gradients(totals: Tensor) -> Tensor:
            """The (T·B, 2, W) gradients of both gates; those of the units before them go to `grad_rows`."""
            grad_gates = (totals.unsqueeze(2) * gate_slopes).flatten(0, 1)  # (T·B, 2, W)
            for gate in range(2):
                torch.mm(grad_gates[:, gate], exits[gate].t(), out=grad_rows[:, gate * hidden : (gate + 1) * hidden])
            grad_rows.mul_(slopes.view(grad_rows.shape))
            return grad_gates

        def swept(totals: Tensor | None) -> Tensor:
            if totals is None:
                return _reversed_recurrence(retain, gradients[0])
            gate_gradients(totals)
            inputs = gradients[0].clone()
            grad_previous = grad_rows[rows:] @ entry.flatten(1).t()  # to the previous frame, ((T-1)·B, W)
            inputs[:-1].add_(grad_previous.view(frames - 1, *memories.shape[1:]))
            return _reversed_recurrence(retain, inputs)

        totals = _fixed_point(swept)
        if totals is None:
            totals = torch.zeros_like(memories)
            for _ in range(frames):  # as many sweeps as frames are exact
                totals = swept(totals)
        grad_gates = gate_gradients(totals)
        grad_entry = earlier.t() @ grad_rows[rows:]  # (W, (T-1)·B) times ((T-1)·B, 2H)
        flat = units.flatten(0, 1)  # (T·B, 2, H)
        grad_exits = torch.stack([flat[:, gate].t() @ grad_gates[:, gate] for gate in range(2)])
        grad_biases = grad_gates.sum(dim=0).unsqueeze(1)
        return (
            None, None, None, grad_rows.view(units.shape), totals * update, grad_entry.view_as(entry), grad_exits,
            grad_biases, None,
        )  # fmt: skip
