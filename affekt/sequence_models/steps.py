"""The recurrences that need one step after another, as cheap as a step can be.

All that does not depend on the step before is batched over time by the caller; what is left of a step is a few products
and elementwise calls into memory that is there, without a graph. The gradients are written out, so that the way back is
as cheap, and the weights' gradients are one product over all steps.

Axes: T frames, M modalities, B batch, H hidden, W memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHED = 2**18
"""Numbers of one tensor that the way back goes through at once: a megabyte of float32 stays in the cache."""


def recurrent_states(inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The states and cells of M LSTMs that step together.

        [i; f; g; o]^t = inputs^t + h^(t-1) weights;  c^t = σ(f) c^(t-1) + σ(i) tanh(g);  h^t = σ(o) tanh(c^t)

    Args:
        inputs: (T, M, B, 4H), what features and biases add to the gates, which stand in the order i, f, g, o.
        weights: (M, H, 4H), in the same order.

    Returns:
        (T, M, B, H) h and c.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        states: tuple[Tensor, Tensor] = _RecurrentStates.apply(inputs.float(), weights.float())  # type: ignore[no-untyped-call]
    return states


class _RecurrentStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        hidden = weights.shape[1]
        gates = torch.empty_like(inputs)
        cells, bounded, states = (inputs.new_empty((*inputs.shape[:3], hidden)) for _ in range(3))
        state = carried = inputs.new_zeros((*inputs.shape[1:3], hidden))
        enter, forget, new, out = gates.split(hidden, dim=3)
        steps = (inputs, gates, gates[..., : 2 * hidden], enter, forget, new, out, cells, bounded, states)
        for given, gate, opened, entering, forgetting, candidate, leaving, cell, bound, to in zip(
            *(each.unbind(0) for each in steps), strict=True
        ):
            torch.baddbmm(given, state, weights, out=gate)
            opened.sigmoid_()
            candidate.tanh_()
            leaving.sigmoid_()
            torch.mul(forgetting, carried, out=cell).addcmul_(entering, candidate)
            state, carried = torch.mul(leaving, torch.tanh(cell, out=bound), out=to), cell
        ctx.save_for_backward(weights, gates, cells, bounded, states)
        return states, cells

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        weights, gates, cells, bounded, states = ctx.saved_tensors
        of_state, of_cell = gradients
        hidden = weights.shape[1]
        enter, forget, new, out = gates.split(hidden, dim=3)
        fall, earlier = torch.empty_like(gates), _before(cells)
        turned = weights.transpose(1, 2).contiguous()  # (M, 4H, H)
        back = back_cell = torch.zeros_like(states[0])
        for part in _parts_from_the_end(gates):
            i, f, g, o, tanh = enter[part], forget[part], new[part], out[part], bounded[part]
            # what a gradient of the state adds to the cell's; what one of cell (i, f, g) or state (o) adds to a gate's
            through = o * (1 - tanh.square())
            falls = fall[part]
            by_enter, by_forget, by_new, by_out = falls.split(hidden, dim=3)
            torch.mul(g * i, 1 - i, out=by_enter)
            torch.mul(earlier[part] * f, 1 - f, out=by_forget)
            torch.mul(i, 1 - g.square(), out=by_new)
            torch.mul(tanh * o, 1 - o, out=by_out)
            three = falls.unflatten(3, (4, hidden))[..., :3, :]  # (T, M, B, 3, H)
            steps = (of_state[part], of_cell[part], through, f, falls, three, by_out)
            for given, given_cell, passes, forgetting, to, of_three, of_out in zip(
                *(reversed(each.unbind(0)) for each in steps), strict=True
            ):
                back = back + given
                back_cell = torch.addcmul(back_cell + given_cell, back, passes)
                of_three.mul_(back_cell.unsqueeze(2))  # (M, B, 1, H)
                of_out.mul_(back)
                back = torch.bmm(to, turned)
                back_cell = back_cell * forgetting
        rows = _by_modality(_before(states))
        return fall, rows.transpose(1, 2) @ _by_modality(fall)  # (M, H, T·B) times (M, T·B, 4H)


def gated_memory(
    inputs: Tensor, proposed: Tensor, entry: Tensor, exits: Tensor, biases: Tensor, passing: Tensor | None = None
) -> Tensor:
    """A memory that two gates, each of two layers, retain and update at each step.

        r_k^t = max(0, inputs_k^t + u^(t-1) entry_k) passing_k^t;  γ_k^t = σ(r_k^t exits_k + biases_k)
        u^t = γ_0^t u^(t-1) + γ_1^t proposed^t

    Args:
        inputs: (T, 2, B, H), what does not depend on the memory, of both gates.
        proposed: (T, B, W).
        entry: (2, W, H).
        exits: (2, H, W).
        biases: (2, 1, W).
        passing: (T, 2, B, H), 0 where dropout sets a unit to 0 and its factor elsewhere; None for no dropout.

    Returns:
        (T, B, W) memories u.
    """
    given = (inputs, proposed, entry, exits, biases)
    with torch.autocast(inputs.device.type, enabled=False):
        memories: Tensor = _GatedMemory.apply(*(each.float() for each in given), passing)  # type: ignore[no-untyped-call]
    return memories


class _GatedMemory(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        proposed: Tensor,
        entry: Tensor,
        exits: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        inner = torch.empty_like(inputs)
        gates = inputs.new_empty((*inputs.shape[:3], exits.shape[2]))  # (T, 2, B, W)
        memories = torch.empty_like(proposed)
        memory = torch.zeros_like(proposed[0])
        biases = biases.expand(gates.shape[1:])  # (2, B, W)
        through = itertools.repeat(None) if passing is None else passing.unbind(0)
        steps = (inputs, proposed, inner, gates, *gates.unbind(1), memories)
        for (given, new, units, gate, retain, update, to), passes in zip(
            zip(*(each.unbind(0) for each in steps), strict=True), through, strict=False
        ):
            torch.baddbmm(given, memory.expand(2, -1, -1), entry, out=units).clamp_(min=0)
            if passes is not None:
                units.mul_(passes)
            torch.baddbmm(biases, units, exits, out=gate).sigmoid_()
            memory = torch.mul(retain, memory, out=to).addcmul_(update, new)
        ctx.save_for_backward(proposed, entry, exits, inner, gates, memories, passing)
        return memories

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        proposed, entry, exits, inner, gates, memories, passing = ctx.saved_tensors
        (of_memory,) = gradients
        earlier = _before(memories)
        slopes = (inner > 0).to(inner.dtype) if passing is None else (inner > 0) * passing
        fall, fall_inner = torch.empty_like(gates), torch.empty_like(inner)
        totals = torch.empty_like(memories)
        back = torch.zeros_like(proposed[0])
        out, into = exits.transpose(1, 2).contiguous(), entry.transpose(1, 2).contiguous()  # (2, W, H), (2, H, W)
        for part in _parts_from_the_end(inner):
            opened, falls = gates[part], fall[part]
            # what a gradient of the memory adds to each gate's: the derivative of σ, times what the gate lets through
            torch.stack([earlier[part], proposed[part]], dim=1, out=falls)  # (T, 2, B, W)
            falls.mul_(opened).mul_(1 - opened)
            steps = (of_memory[part], totals[part], falls, slopes[part], fall_inner[part], opened[:, 0])
            for given, total, to, slope, to_inner, retain in zip(
                *(reversed(each.unbind(0)) for each in steps), strict=True
            ):
                torch.add(given, back, out=total)
                to.mul_(total)
                torch.bmm(to, out, out=to_inner).mul_(slope)
                both = torch.bmm(to_inner, into)  # (2, B, W)
                back = torch.addcmul(both[0], total, retain).add_(both[1])
        rows, ends = _by_modality(fall_inner), _by_modality(fall)  # (2, T·B, H), (2, T·B, W)
        of_entry = earlier.flatten(0, 1).t() @ rows  # (W, T·B) times each (T·B, H)
        of_exits = _by_modality(inner).transpose(1, 2) @ ends
        return fall_inner, totals * gates[:, 1], of_entry, of_exits, ends.sum(dim=1, keepdim=True), None


def _parts_from_the_end(steps: Tensor) -> Iterator[slice]:
    """Slices of the first axis, the last ones first, of as many steps as a cache holds."""
    length = max(CACHED // steps[0].numel(), 1)
    for end in range(len(steps), 0, -length):
        yield slice(max(end - length, 0), end)


def _before(values: Tensor) -> Tensor:
    """(T, …) values one step earlier, zeros first."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def _by_modality(values: Tensor) -> Tensor:
    """(T, M, B, H) to (M, T·B, H)."""
    return values.transpose(0, 1).flatten(1, 2)  # (M, T, B, H), then (M, T·B, H)
