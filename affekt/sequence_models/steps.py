"""The recurrences that need one step after another, at minimal cost per step, and the attention between them.

Everything that does not depend on the previous step is one product over all steps; the rest of a step is a product and
some elementwise calls into existing memory, without a graph. The gradients are written out, so that the backward pass
is as cheap. Both passes go through time in pieces that fit a cache: a batch of windows of 1,000 frames fills hundreds
of megabytes, and on a CPU reading and writing them would cost more than the products.

Blocks of frames may step together, so that a recurrence over T frames takes 6 √T steps or more, up to T if it forgets
little. First each block starts from zeros, then from the end of the block before it. Recurrences forget: after some
frames a block's states are those of the pass before, and so are the rest. Of six frames in two blocks:

    block 1     h^0               h^1    h^2
    block 2     h^3 from zeros    h^4    h^5     then h^3 from h^2, h^4 …, until they do not change

If a block forgets less, another pass follows; what its last state retains is passed on in advance, by the product of
its decays. Each pass makes at least one more block exact. Gradients are computed alike, from the last block on.

Axes: T frames in K blocks of L frames, M modalities, B batch, R = K·B rows, H hidden, W memory, C = M·H cells of all
modalities, O outputs, S kinds of states, F features of a state, t steps of a part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CACHED = 2**19
"""Elements of one tensor processed at once: two megabytes of float32, a small part of the last cache."""


COMPARED = 16
"""Steps between comparisons with the pass before."""
ROUNDING = 16
"""Convergence threshold, in units in the last place of the largest value."""


def seen_changes(
    cells: Tensor, attend: Sequence[Tensor], outward: Tensor, biases: Tensor, passing: Tensor | None = None
) -> Tensor:
    """Linear layers of the change of all cells at each frame, after attention over it.

        z^t = [c^(t-1); c^t];  y^t = V (softmax(W₂ (max(0, W₁ z^t + b₁) passing^t) + b₂) ∘ z^t) + b

    Args:
        cells: (T, B, C).
        attend: W₁ (H, 2C), b₁ (H,), W₂ (2C, H) and b₂ (2C,).
        outward: (O, 2C) V.
        biases: (O,) b.
        passing: (T, B, H), 0 where dropout sets a unit to 0 and its factor elsewhere; None for no dropout.

    Returns:
        (T, B, O) y.
    """
    if cells.device.type == 'cpu':
        with torch.autocast('cpu', enabled=False):
            inputs = [tensor.float() for tensor in (cells, *attend, outward, biases)]
            outputs: Tensor = _SeenChanges.apply(*inputs, passing)  # type: ignore[no-untyped-call]
        return outputs
    change = torch.cat([functional.pad(cells, (0, 0, 0, 0, 1, 0))[:-1], cells], dim=2)  # (T, B, 2C)
    hidden = torch.relu(functional.linear(change, *attend[:2]))
    weights = torch.softmax(functional.linear(hidden if passing is None else hidden * passing, *attend[2:]), dim=2)
    return functional.linear(weights * change, outward, biases)


class _SeenChanges(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        cells: Tensor,
        inner_weights: Tensor,
        inner_biases: Tensor,
        outer_weights: Tensor,
        outer_biases: Tensor,
        outward: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        frames, rows, width = cells.shape
        inner = cells.new_empty((frames, rows, inner_weights.shape[0]))
        outputs = cells.new_empty((frames, rows, outward.shape[0]))
        weights = cells.new_empty((frames, rows, 2 * width))
        for part in _slices_from_the_end(slice(0, frames), rows * 2 * width, CACHED):
            change = _change(cells, part)  # (t·B, 2C)
            units = torch.addmm(inner_biases, change, inner_weights.t()).clamp_(min=0)  # (t·B, H)
            if passing is not None:
                units.mul_(passing[part].flatten(0, 1))
            inner[part] = units.view_as(inner[part])
            attention = weights[part].flatten(0, 1)  # (t·B, 2C), a view
            torch.softmax(torch.addmm(outer_biases, units, outer_weights.t()), dim=1, out=attention)
            torch.addmm(biases, change.mul_(attention), outward.t(), out=outputs[part].flatten(0, 1))
        ctx.save_for_backward(cells, inner_weights, outer_weights, outward, passing, inner, weights)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (grad_outputs,) = gradients
        cells, inner_weights, outer_weights, outward, passing, inner, weights = ctx.saved_tensors
        frames, rows, width = cells.shape
        grad_cells = torch.zeros_like(cells)
        grad_inner_weights, grad_outer_weights, grad_outward = (
            torch.zeros_like(each) for each in (inner_weights, outer_weights, outward)
        )
        grad_inner_biases, grad_outer_biases = (
            inner_weights.new_zeros(len(inner_weights)),
            outer_weights.new_zeros(len(outer_weights)),
        )
        for part in _slices_from_the_end(slice(0, frames), rows * 2 * width, CACHED):
            grad_part, change = grad_outputs[part].flatten(0, 1), _change(cells, part)  # (t·B, O), (t·B, 2C)
            attention, units = weights[part].flatten(0, 1), inner[part].flatten(0, 1)  # (t·B, 2C), (t·B, H)
            attended = attention * change
            grad_outward.addmm_(grad_part.t(), attended)
            grad_attended = grad_part @ outward  # (t·B, 2C)
            # of a softmax s: s (g - Σ s g); s g is the gradient of the attended input, times that input
            weighted = attended.mul_(grad_attended)
            grad_logits = weighted.addcmul_(attention, weighted.sum(dim=1, keepdim=True), value=-1)
            grad_outer_weights.addmm_(grad_logits.t(), units)
            grad_outer_biases += grad_logits.sum(dim=0)
            slopes = (units > 0).to(units.dtype) if passing is None else (units > 0) * passing[part].flatten(0, 1)
            grad_units = (grad_logits @ outer_weights).mul_(slopes)  # (t·B, H)
            grad_inner_weights.addmm_(grad_units.t(), change)
            grad_inner_biases += grad_units.sum(dim=0)
            grad_change = (
                grad_attended.mul_(attention).addmm_(grad_units, inner_weights).unflatten(0, (-1, rows))
            )  # (t, B, 2C)
            first = 1 if part.start == 0 else 0  # before the first frame all cells are 0
            grad_cells[part.start - 1 + first : part.stop - 1] += grad_change[first:, :, :width]
            grad_cells[part] += grad_change[:, :, width:]
        by_weight = (
            grad_inner_weights,
            grad_inner_biases,
            grad_outer_weights,
            grad_outer_biases,
            grad_outward,
            grad_outputs.sum(dim=(0, 1)),
        )
        return grad_cells, *by_weight, None


def _change(cells: Tensor, part: slice) -> Tensor:
    """(T, B, C) cells to the (t·B, 2C) before and after each frame of a part."""
    return torch.cat([_previous(cells, part), cells[part]], dim=2).flatten(0, 1)


def gated_memory(
    inputs: Tensor,
    proposed: Tensor,
    entry: Tensor,
    exits: Tensor,
    biases: Tensor,
    passing: Tensor | None = None,
    blocks: int = 1,
) -> Tensor:
    """A memory that two gates, each of two layers, retain and update at each step.

        r_k^t = max(0, inputs_k^t + u^(t-1) entry_k) passing_k^t;  γ_k^t = σ(r_k^t exits_k + biases_k)
        u^t = γ_0^t u^(t-1) + γ_1^t proposed^t

    Args:
        inputs: (T, B, 2, H) the part of both gates that does not depend on the memory.
        proposed: (T, B, W).
        entry: (W, 2, H).
        exits: (2, H, W).
        biases: (2, 1, W).
        passing: (T, B, 2, H), 0 where dropout sets a unit to 0 and its factor elsewhere; None for no dropout.
        blocks: number K of blocks of frames that step together; 1 for one frame after another.

    Returns:
        (T, B, W) memories u.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        by_frame = [None if each is None else to_blocks(each.float(), blocks) for each in (inputs, proposed, passing)]
        memories: Tensor = _GatedMemory.apply(  # type: ignore[no-untyped-call]
            blocks, *by_frame[:2], entry.float(), exits.float(), biases.float(), by_frame[2]
        )
    return from_blocks(memories, blocks, len(inputs))


class _GatedMemory(torch.autograd.Function):
    """Of (L, R, …) inputs: what is B outside is R here."""

    @staticmethod
    def forward(
        ctx: Any,
        blocks: int,
        inputs: Tensor,
        proposed: Tensor,
        entry: Tensor,
        exits: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        length, rows, width = proposed.shape
        inner = torch.empty_like(inputs, memory_format=torch.contiguous_format)  # (L, R, 2, H)
        gates = inputs.new_empty((length, 2, rows, width))
        memories = inputs.new_empty((length + 1, rows, width))  # before the first step, and after each
        biases, entry_rows = biases.expand(gates.shape[1:]), entry.flatten(1)  # (2, R, W), (W, 2H)
        # two views of the same units: by gate, and by row
        by_row, by_gate = inner.flatten(2), inner.transpose(1, 2)  # (L, R, 2H), (L, 2, R, H)
        steps = (inputs.flatten(2), proposed, by_row, by_gate, inner, gates, *gates.unbind(1), memories[1:])

        def run(starts: Tensor, part: slice) -> Tensor:
            memory = memories[part.start].copy_(starts[0])
            dropout_steps = itertools.repeat(None) if passing is None else passing[part].unbind(0)
            for (
                frame_inputs,
                proposal,
                units_by_row,
                units_by_gate,
                units,
                gate,
                retain,
                update,
                next_memory,
            ), factors in zip(zip(*(each[part].unbind(0) for each in steps), strict=True), dropout_steps, strict=False):
                torch.addmm(frame_inputs, memory, entry_rows, out=units_by_row).clamp_(min=0)
                if factors is not None:
                    units.mul_(factors)
                torch.baddbmm(biases, units_by_gate, exits, out=gate).sigmoid_()
                memory = torch.mul(retain, memory, out=next_memory).addcmul_(update, proposal)
            return memories[part.stop : part.stop + 1].clone()

        starts = memories.new_zeros((1, blocks, rows // blocks, width))
        run_until_settled(run, lambda: gates[:, 0].prod(dim=0), starts, length)
        ctx.save_for_backward(proposed, entry, exits, inner, gates, memories, passing)
        ctx.blocks = blocks
        return memories[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        proposed, entry, exits, inner, gates, memories, passing = ctx.saved_tensors
        (grad_memory,) = gradients
        length, rows, width = proposed.shape
        previous = memories[:-1]
        slopes = (inner > 0).to(inner.dtype) if passing is None else (inner > 0) * passing
        grad_gates, grad_inner = torch.empty_like(gates), torch.empty_like(inner)
        totals = torch.empty_like(previous)
        exits_back = exits.transpose(1, 2).contiguous()  # (2, W, H)
        entry_back = entry.flatten(1).t().contiguous()  # (2H, W)

        def run(ends: Tensor, steps_of_run: slice) -> Tensor:
            grad_last = ends[0]
            for part in _slices_from_the_end(steps_of_run, inner[0].numel(), CACHED):
                part_gates, part_grad_gates, part_grad_inner = gates[part], grad_gates[part], grad_inner[part]
                # from the memory's gradient to each gate's: the derivative of σ, times the gated input
                torch.stack([previous[part], proposed[part]], dim=1, out=part_grad_gates)  # (t, 2, R, W)
                part_grad_gates.mul_(part_gates).mul_(1 - part_gates)
                flat, by_gate = part_grad_inner.flatten(2), part_grad_inner.transpose(1, 2)  # (t, R, 2H), (t, 2, R, H)
                steps = (
                    grad_memory[part],
                    totals[part],
                    part_grad_gates,
                    slopes[part].flatten(2),
                    flat,
                    by_gate,
                    part_gates[:, 0],
                )
                for grad_now, total, grad_gate, slope, grad_unit, grad_unit_by_gate, retain in zip(
                    *(reversed(each.unbind(0)) for each in steps), strict=True
                ):
                    torch.add(grad_now, grad_last, out=total)
                    grad_gate.mul_(total)
                    torch.bmm(grad_gate, exits_back, out=grad_unit_by_gate)
                    grad_last = torch.addmm(total * retain, grad_unit.mul_(slope), entry_back)
            return grad_last.unsqueeze(0)

        ends = memories.new_zeros((1, ctx.blocks, rows // ctx.blocks, width))
        run_until_settled(run, lambda: gates[:, 0].prod(dim=0), ends, length, is_backward=True)
        grad_entry = previous.flatten(0, 1).t() @ grad_inner.flatten(2).flatten(0, 1)  # (W, L·R) times (L·R, 2H)
        grad_by_gate = grad_gates.transpose(0, 1).flatten(1, 2)  # (2, L·R, W)
        grad_exits = inner.flatten(0, 1).permute(1, 2, 0) @ grad_by_gate  # (2, H, L·R) times (2, L·R, W)
        grad_biases = grad_by_gate.sum(dim=1, keepdim=True)
        return None, grad_inner, totals * gates[:, 1], grad_entry.view_as(entry), grad_exits, grad_biases, None


def _slices_from_the_end(part: slice, numbers: int, most: int) -> Iterator[slice]:
    """Slices of several steps, the last ones first, each of at most `most` elements or one step.

    Args:
        part: all steps.
        numbers: elements of one step.
        most: maximum elements per slice.
    """
    steps = max(most // numbers, 1)
    for end in range(part.stop, part.start, -steps):
        yield slice(max(end - steps, part.start), end)


def _previous(values: Tensor, part: slice) -> Tensor:
    """The (t, …) of (T, …) values one step earlier than those of a part; zeros before the first."""
    if part.start:
        return values[part.start - 1 : part.stop - 1]
    return torch.cat([torch.zeros_like(values[:1]), values[: part.stop - 1]])


def blocks_of(frames: int) -> int:
    """Number K of blocks of about 6 √T frames; 1 of 35 frames or fewer."""
    return math.isqrt(frames) // 6 + 1


def to_blocks(values: Tensor, blocks: int) -> Tensor:
    """(T, B, …) to (L, R, …), with zeros after the last frame."""
    missing = -len(values) % blocks
    if missing:
        values = functional.pad(values, (0, 0) * (values.ndim - 1) + (0, missing))
    in_blocks: Tensor = values.unflatten(0, (blocks, -1)).transpose(0, 1)  # (K, L, B, …), then (L, K, B, …)
    return in_blocks.flatten(1, 2)


def from_blocks(values: Tensor, blocks: int, frames: int) -> Tensor:
    """(L, R, …) to (T, B, …)."""
    by_block: Tensor = values.unflatten(1, (blocks, -1)).transpose(0, 1)  # (L, K, B, …), then (K, L, B, …)
    return by_block.flatten(0, 1)[:frames]


def run_until_settled(
    run: Callable[[Tensor, slice], Tensor],
    decay: Callable[[], Tensor],
    starts: Tensor,
    length: int,
    *,
    is_backward: bool = False,
) -> None:
    """Run blocks of frames until each starts from what the one before it ends with, at most K times.

    Args:
        run: gives the (S, …, R, F) states after some steps of all blocks, from those before.
        decay: gives the (…, R, F) factors by which the starts of the last state are in its ends.
        starts: (S, …, K, B, F) zeros, of several states.
        length: L, steps of a block.
        is_backward: each block follows from the next one.
    """
    blocks = starts.shape[-3:-1]
    neighbours = list(itertools.pairwise(range(blocks[0])[:: -1 if is_backward else 1]))  # each follows from the first
    parts = [slice(begin, min(begin + COMPARED, length)) for begin in range(0, length, COMPARED)]
    latest: dict[int, Tensor] = {}  # the states after each part, by its first step
    for _ in range(blocks[0]):
        states = starts.flatten(-3, -2)  # (S, …, R, F)
        for part in reversed(parts) if is_backward else parts:
            states, before = run(states, part), latest.get(part.start)
            if before is not None and _are_equal(states, before, blocks):
                return
            latest[part.start] = states
        if not neighbours:
            return
        corrections = torch.zeros_like(starts)
        ends, remembered = states.unflatten(-2, blocks), corrections[-1]  # (S, …, K, B, F), (…, K, B, F)
        for previous, block in neighbours:
            corrections[..., block, :, :] = ends[..., previous, :, :] - starts[..., block, :, :]
        factors = decay().unflatten(-2, blocks)  # (…, K, B, F)
        for previous, block in neighbours:
            remembered[..., block, :, :].addcmul_(factors[..., previous, :, :], remembered[..., previous, :, :])
        starts = starts + corrections


def _are_equal(states: Tensor, others: Tensor, blocks: torch.Size) -> bool:
    """Whether states are equal to rounding, each kind and window by itself."""
    changes, sizes = ((each.abs().unflatten(-2, blocks).amax((-3, -1))) for each in (states - others, states))
    return bool((changes <= ROUNDING * torch.finfo(states.dtype).eps * sizes).all())
