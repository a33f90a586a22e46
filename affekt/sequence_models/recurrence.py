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
from affekt.sequence_models.steps import CACHED, CellWeights, _before, _parts_from_the_end, gated_memory

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
        ahead = read_onward(self.onward, sequence, keep)
        turned = read_onward(self.backward, sequence.flip(1), None if keep is None else keep.flip(1))
        return torch.cat([ahead, turned.flip(1)], dim=2)  # (B, T, 2H)


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
    before = keep.cumsum(dim=1).unsqueeze(2)  # (B, T, 1): kept frames up to each
    spread = torch.take_along_dim(states, (before - 1).clamp(min=0), dim=1)
    return torch.where(before > 0, spread, 0.0)


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
        for each, (inward, recurrent, biases) in zip(features, weights, strict=True):
            frames, own_inward, own_biases = each.float().transpose(0, 1).contiguous(), inward, biases  # (T, B, D)
            start = frames.new_zeros((1, frames.shape[1], recurrent.shape[1]))
            if frames.shape[2] > len(inward):  # input wider than the gates is projected once, not twice
                frames = functional.linear(frames, inward, biases)  # (T, B, 4H)
                own_inward, own_biases = torch.eye(len(inward), device=frames.device), torch.zeros_like(biases)
            parameters = [own_inward, recurrent, own_biases, torch.zeros_like(biases)]
            own = torch.lstm(frames, (start, start), parameters, True, 1, 0.0, True, False, False)[0]  # (T, B, H)
            states.append(own)
            cells.append(_CellsOfStates.apply(frames, own, own_inward, recurrent, own_biases))  # type: ignore[no-untyped-call]
    return torch.stack(states, dim=2), torch.stack(cells, dim=2)


class _CellsOfStates(torch.autograd.Function):
    """(T, B, H) cells of an LSTM whose (T, B, H) states are known: its gates are one product.

    With tanh(x) = 1 - 2 σ(-2x) one sigmoid call computes all gates, in a third of tanh's time.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, states: Tensor, inward: Tensor, recurrent: Tensor, biases: Tensor) -> Tensor:
        hidden, rows = states.shape[2], states.shape[1]
        inward, recurrent, biases = (_doubled(each[: 3 * hidden]) for each in (inward, recurrent, biases))
        flat = torch.addmm(biases, frames.flatten(0, 1), inward.t())  # (T·B, 3H): i, f and σ(-2g)
        flat[rows:].addmm_(states[:-1].flatten(0, 1), recurrent.t())
        gates = flat.sigmoid_().view(*states.shape[:2], 3 * hidden)
        enter, forget, half = gates.chunk(3, dim=2)
        cells = _in_blocks(forget, torch.addcmul(enter, enter, half, value=-2))
        ctx.save_for_backward(frames, states, inward, recurrent, gates, cells)
        return cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        frames, states, inward, recurrent, gates, cells = ctx.saved_tensors
        totals = _from_the_end(gates.chunk(3, dim=2)[1], gradients[0])
        of_states = torch.zeros_like(states)
        of_frames = torch.empty_like(frames) if ctx.needs_input_grad[0] else None
        of_weights = (torch.zeros_like(inward), torch.zeros_like(recurrent), inward.new_zeros(len(inward)))
        for part in _parts_from_the_end(len(gates), gates[0].numel(), CACHED):
            opened, total = gates[part], totals[part]
            enter, _, half = opened.chunk(3, dim=2)
            falls = torch.addcmul(opened, opened, opened, value=-1)  # σ's derivative, times what the gate lets through
            of_enter, of_forget, of_half = falls.chunk(3, dim=2)
            of_enter.mul_(torch.addcmul(total, total, half, value=-2))
            of_forget.mul_(total).mul_(_before(cells, part))
            of_half.mul_(total).mul_(enter).mul_(-2)
            flat = falls.flatten(0, 1)
            of_weights[0].addmm_(flat.t(), frames[part].flatten(0, 1))
            of_weights[1].addmm_(flat.t(), _before(states, part).flatten(0, 1))
            of_weights[2].add_(flat.sum(dim=0))
            begin = max(part.start, 1)
            back = of_states[begin - 1 : part.stop - 1].flatten(0, 1)
            torch.mm(falls[begin - part.start :].flatten(0, 1), recurrent, out=back)
            if of_frames is not None:
                torch.mm(flat, inward, out=of_frames[part].flatten(0, 1))
        lacking = len(inward) // 3
        padded = (torch.cat([_doubled(each), each.new_zeros((lacking, *each.shape[1:]))]) for each in of_weights)
        return of_frames, of_states, *padded


def _doubled(rows: Tensor) -> Tensor:
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
        of_given = _from_the_end(decay, gradients[0])
        return of_given * _earlier(states), of_given


def _in_blocks(decay: Tensor, given: Tensor, *, is_backward: bool = False) -> Tensor:
    """`linear_recurrence` without gradients: all blocks of √T frames from 0 on, then what each passes to the next.

    Of six frames in two blocks, the second takes u^2 of the first times the product of its decays so far:

        block 1     u^0            u^1            u^2
        block 2     u^3 + d3 u^2   u^4 + d4 d3 u^2    u^5 + d5 d4 d3 u^2        u^3 to u^5 as if u^2 were 0

    Args:
        decay: (T, …); padding frames at the end have a decay of 0.
        given: (T, …).
        is_backward: u^t follows from u^(t+1).
    """
    length = len(given)
    size = math.isqrt(max(length - 1, 0)) + 1
    blocks = -(-length // size)
    decays, given = (
        functional.pad(each, (0, 0) * (each.ndim - 1) + (0, blocks * size - len(each))).unflatten(0, (blocks, size))
        for each in (decay, given)
    )
    states, passed = torch.empty_like(given), torch.empty_like(decays)
    order = range(size)[:: -1 if is_backward else 1]
    states[:, order[0]], passed[:, order[0]] = given[:, order[0]], decays[:, order[0]]
    for before, at in itertools.pairwise(order):
        torch.addcmul(given[:, at], decays[:, at], states[:, before], out=states[:, at])
        torch.mul(passed[:, before], decays[:, at], out=passed[:, at])
    for before, block in itertools.pairwise(range(blocks)[:: -1 if is_backward else 1]):
        states[block].addcmul_(passed[block], states[before, order[-1]])
    return states.flatten(0, 1)[:length]


def _from_the_end(decay: Tensor, given: Tensor) -> Tensor:
    """(T, …) u of u^t = decay^(t+1) u^(t+1) + given^t."""
    return _in_blocks(decay[1:], given, is_backward=True)


def _earlier(values: Tensor) -> Tensor:
    """(T, …) values one frame earlier, zeros first."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def memory_at_once(
    inputs: Tensor, proposed: Tensor, entry: Tensor, exits: Tensor, biases: Tensor, passing: Tensor | None = None
) -> Tensor:
    """The memories of `gated_memory`, with the same arguments, by sweeps over all frames."""
    parts = (inputs.float(), proposed.float(), entry.float(), exits.float(), biases.float())
    kept: list[tuple[Tensor, Tensor]] = []

    def swept(memories: Tensor | None) -> Tensor:
        kept[:] = [_opened(memories, *parts, passing)]
        return _in_blocks(kept[0][1][..., 0, :], kept[0][1][..., 1, :] * parts[1])

    with torch.autocast(inputs.device.type, enabled=False):
        with torch.no_grad():
            memories = _at_rest(swept)
        if memories is None:
            return gated_memory(*parts, passing)
        result: Tensor = _MemoryAtOnce.apply(memories, *kept[0], *parts, passing)  # type: ignore[no-untyped-call]
    return result


def _at_rest(sweep: Callable[[Tensor | None], Tensor]) -> Tensor | None:
    """The fixed point of a sweep, to rounding, starting from 0, given as None; None if it does not converge.

    If each change is below a tenth of the previous one, the next is predicted instead of computed.
    """
    values, change = sweep(None), math.inf
    least = ROUNDING * torch.finfo(values.dtype).eps
    for _ in range(SWEEPS):
        before, last, values = values, change, sweep(values)
        change = float((values - before).abs().amax() / values.abs().amax().clamp(min=torch.finfo(values.dtype).tiny))
        if change <= least or (change <= last / 10 < math.inf and change * change / last <= least):
            return values
    return None


def _opened(
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
    units = inputs.reshape(frames * rows, 2 * hidden).clone()
    if memories is not None:
        units[rows:].addmm_(memories[:-1].flatten(0, 1), entry.flatten(1))
    units.clamp_(min=0)
    if passing is not None:
        units.mul_(passing.reshape(units.shape))
    gates = torch.cat([torch.addmm(biases[k], units[:, k * hidden : (k + 1) * hidden], exits[k]) for k in range(2)], 1)
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
        earlier = memories[:-1].flatten(0, 1)
        # contribution of the memory's gradient to each gate's, before σ
        through = torch.stack([_earlier(memories), proposed], dim=2).mul_(torch.addcmul(gates, gates, gates, value=-1))
        slopes = (units > 0).to(units.dtype) if passing is None else (units > 0) * passing
        of_units = torch.empty_like(units).flatten(0, 1).flatten(1)  # (T·B, 2H)

        def falls(totals: Tensor) -> Tensor:
            """The (T·B, 2, W) gradients of both gates; those of the units before them go to `of_units`."""
            of_gates = (totals.unsqueeze(2) * through).flatten(0, 1)
            for k in range(2):
                torch.mm(of_gates[:, k], exits[k].t(), out=of_units[:, k * hidden : (k + 1) * hidden])
            of_units.mul_(slopes.view(of_units.shape))
            return of_gates

        def swept(totals: Tensor | None) -> Tensor:
            if totals is None:
                return _from_the_end(retain, gradients[0])
            falls(totals)
            given = gradients[0].clone()
            back = of_units[rows:] @ entry.flatten(1).t()  # to the previous frame
            given[:-1].add_(back.view(frames - 1, *memories.shape[1:]))
            return _from_the_end(retain, given)

        totals = _at_rest(swept)
        if totals is None:
            totals = torch.zeros_like(memories)
            for _ in range(frames):  # as many sweeps as frames are exact
                totals = swept(totals)
        of_gates = falls(totals)
        of_entry = earlier.t() @ of_units[rows:]  # (W, T·B) times (T·B, 2H)
        flat = units.flatten(0, 1)
        of_exits = torch.stack([flat[:, k].t() @ of_gates[:, k] for k in range(2)])
        of_biases = of_gates.sum(dim=0).unsqueeze(1)
        return (
            None, None, None, of_units.view(units.shape), totals * update, of_entry.view_as(entry), of_exits, of_biases,
            None,
        )  # fmt: skip
