"""Recurrences that give a state for every frame, without a loop over frames, and wait where a frame is not kept.

The kept frames are moved together, read by one call of `nn.LSTM`, and their states are spread over all frames again: a
frame that is not kept has the state of the last kept one before it. Of five frames, three of which are kept:

    frame     0 1 2 3 4        moved together    a c d 0 0        states    A C D . .
    feature   a - c d -        onward            A A C D D        backward  from the next kept one: A C C D 0

An LSTM's cells of all frames, which no call gives out, follow from its states in one product and a linear recurrence.
A memory with gates that depend on itself is guessed for all frames at once and put right by sweeps: with the gates of
the last guess it is linear. Each sweep makes at least one more frame exact, and where gates depend little on the
memory, as those that were met here do, four make all frames exact to rounding. Gradients are found alike.

Axes: B batch, T frames, D feature, H hidden, W memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from affekt.nn import kept_first
from affekt.sequence_models.steps import CellWeights, gated_memory

SWEEPS = 30
"""Most sweeps; where a memory has not come to rest after so many, it is computed step by step."""
ROUNDING = 16
"""Units of the last place, of the largest value, to which a memory comes to rest."""


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
    """(B, T, H) states over the kept frames of (B, T, D), each lasts until the next."""
    if keep is None:
        states: Tensor = cells(sequence)[0]
        return states
    return spread_over(cells(kept_first(sequence, keep)[0])[0], keep)


def spread_over(states: Tensor, keep: Tensor) -> Tensor:
    """States of the kept frames, which stand first, spread over all frames: each lasts until the next.

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
    """The states and cells of M LSTMs, as `recurrent_states` gives them.

    Args:
        features: (B, T, D) of each.
        weights: weights of each LSTM.

    Returns:
        (T, B, M, H) h and c.
    """
    states, cells = [], []
    with torch.autocast(features[0].device.type, enabled=False):
        for each, (inward, recurrent, biases) in zip(features, weights, strict=True):
            frames, hidden = each.float(), recurrent.shape[1]
            start = frames.new_zeros((1, len(frames), hidden))
            given = functional.linear(frames, inward, biases)  # (B, T, 4H)
            parameters = [inward, recurrent, biases, torch.zeros_like(biases)]
            if frames.shape[2] > len(inward):  # what is wider than the gates is projected once, not twice
                frames, parameters[0] = given, torch.eye(len(inward), device=given.device)
                parameters[2] = parameters[3]
            own = torch.lstm(frames, (start, start), parameters, True, 1, 0.0, True, False, True)[0]  # (B, T, H)
            before = functional.pad(own, (0, 0, 1, 0))[:, :-1]
            gates = given[..., : 3 * hidden] + functional.linear(before, recurrent[: 3 * hidden])
            enter, forget, new = gates.transpose(0, 1).chunk(3, dim=2)  # (T, B, H) each
            states.append(own.transpose(0, 1))
            cells.append(linear_recurrence(torch.sigmoid(forget), torch.sigmoid(enter) * torch.tanh(new)))
    return torch.stack(states, dim=2), torch.stack(cells, dim=2)


def linear_recurrence(decay: Tensor, given: Tensor) -> Tensor:
    """(T, …) u of u^t = decay^t u^(t-1) + given^t, u^(-1) being 0, in about 2 √T steps.

    Args:
        decay: (T, …).
        given: (T, …).
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


def _in_blocks(decay: Tensor, given: Tensor) -> Tensor:
    """`linear_recurrence` without gradients: all blocks of √T frames from 0 on, then what each hands to the next.

    Of six frames in two blocks, the second takes u^2 of the first times the product of its decays so far:

        block 1     u^0            u^1            u^2
        block 2     u^3 + d3 u^2   u^4 + d4 d3 u^2    u^5 + d5 d4 d3 u^2        u^3 to u^5 as if u^2 were 0
    """
    length = len(given)
    size = math.isqrt(max(length - 1, 0)) + 1
    blocks = -(-length // size)
    lacking = (0, 0) * (given.ndim - 1) + (0, blocks * size - length)
    decays, given = (functional.pad(each, lacking).unflatten(0, (blocks, size)) for each in (decay, given))
    states, passed = torch.empty_like(given), torch.empty_like(decays)
    states[:, 0], passed[:, 0] = given[:, 0], decays[:, 0]
    for at in range(1, size):
        states[:, at] = torch.addcmul(given[:, at], decays[:, at], states[:, at - 1])
        torch.mul(passed[:, at - 1], decays[:, at], out=passed[:, at])
    for block in range(1, blocks):
        states[block].addcmul_(passed[block], states[block - 1, -1])
    return states.flatten(0, 1)[:length]


def _from_the_end(decay: Tensor, given: Tensor) -> Tensor:
    """(T, …) u of u^t = decay^(t+1) u^(t+1) + given^t."""
    following = torch.cat([decay[1:], torch.zeros_like(decay[:1])])
    return _in_blocks(following.flip(0), given.flip(0)).flip(0)


def _earlier(values: Tensor) -> Tensor:
    """(T, …) values one frame earlier, zeros first."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def memory_at_once(
    inputs: Tensor, proposed: Tensor, entry: Tensor, exits: Tensor, biases: Tensor, passing: Tensor | None = None
) -> Tensor:
    """The memories of `gated_memory`, with the same arguments, by sweeps over all frames."""
    parts = (inputs.float(), proposed.float(), entry.float(), exits.float(), biases.float())

    def swept(memories: Tensor) -> Tensor:
        return _swept(_earlier(memories), *parts, passing)[2]

    with torch.autocast(inputs.device.type, enabled=False):
        with torch.no_grad():
            memories = _at_rest(swept, parts[1])
        if memories is None:
            return gated_memory(*parts, passing)
        result: Tensor = _MemoryAtOnce.apply(memories, *parts, passing)  # type: ignore[no-untyped-call]
    return result


def _at_rest(sweep: Callable[[Tensor], Tensor], first: Tensor) -> Tensor | None:
    """The fixed point of a sweep, to rounding; None where it does not come to rest in SWEEPS."""
    values = torch.zeros_like(first)
    least = ROUNDING * torch.finfo(first.dtype).eps
    for _ in range(SWEEPS):
        before, values = values, sweep(values)
        if bool((values - before).abs().amax() <= least * values.abs().amax()):
            return values
    return None


def _swept(
    earlier: Tensor,
    inputs: Tensor,
    proposed: Tensor,
    entry: Tensor,
    exits: Tensor,
    biases: Tensor,
    passing: Tensor | None,
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The (T, B, 2, H) units and the two (T, B, W) gates of all frames, and the memories that follow.

    Args:
        earlier: (T, B, W) the memory before each frame, as it was guessed.
    """
    units = torch.relu(inputs + (earlier @ entry.flatten(1)).unflatten(2, (2, -1)))  # the product is (T, B, 2H)
    units = units if passing is None else units * passing
    gates = [torch.sigmoid(units[:, :, k] @ exits[k] + biases[k]) for k in range(2)]
    return units, gates, _in_blocks(gates[0], gates[1] * proposed)


class _MemoryAtOnce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        memories: Tensor,
        inputs: Tensor,
        proposed: Tensor,
        entry: Tensor,
        exits: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        ctx.save_for_backward(memories, inputs, proposed, entry, exits, biases, passing)
        return memories.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        memories, inputs, proposed, entry, exits, biases, passing = ctx.saved_tensors
        earlier = _earlier(memories)
        units, (retain, update), _ = _swept(earlier, inputs, proposed, entry, exits, biases, passing)
        # what a gradient of the memory adds to each gate's, before σ
        through = (earlier * retain * (1 - retain), proposed * update * (1 - update))
        slopes = (units > 0).to(units.dtype) if passing is None else (units > 0) * passing

        def falls(totals: Tensor) -> tuple[list[Tensor], Tensor]:
            """The gradients of both gates, and the (T, B, 2, H) gradients of the units before them."""
            of_gates = [totals * each for each in through]
            of_units = torch.stack([of_gates[k] @ exits[k].t() for k in range(2)], dim=2) * slopes
            return of_gates, of_units

        def swept(totals: Tensor) -> Tensor:
            back = falls(totals)[1].flatten(2) @ entry.flatten(1).t()  # (T, B, W), what the frame before gets
            later = torch.cat([back[1:], torch.zeros_like(back[:1])])
            return _from_the_end(retain, gradients[0] + later)

        totals = _at_rest(swept, memories)
        if totals is None:
            totals = torch.zeros_like(memories)
            for _ in range(len(memories)):  # as many sweeps as frames are exact
                totals = swept(totals)
        of_gates, of_units = falls(totals)
        of_entry = earlier.flatten(0, 1).t() @ of_units.flatten(2).flatten(0, 1)  # (W, T·B) times (T·B, 2H)
        of_exits = torch.stack([units[:, :, k].flatten(0, 1).t() @ of_gates[k].flatten(0, 1) for k in range(2)])
        of_biases = torch.stack([each.sum(dim=(0, 1)) for each in of_gates]).unsqueeze(1)
        return None, of_units, totals * update, of_entry.view_as(entry), of_exits, of_biases, None
