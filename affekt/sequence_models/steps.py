"""The recurrences that need one step after another, at minimal cost per step, and the attention between them.

Everything that does not depend on the previous step is one product over all steps; the rest of a step is a product and
some elementwise calls into existing memory, without a graph. The gradients are written out, so that the backward pass
is as cheap. Both passes go through time in pieces that fit a cache: a batch of windows of 1,000 frames fills hundreds
of megabytes, and on a CPU reading and writing them would cost more than the products.

Axes: T frames, M modalities, B batch, D feature of one modality, H hidden, W memory, C = M·H cells of all modalities,
O outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CACHED = 2**18
"""Elements of one tensor processed at once: a megabyte of float32 fits the nearest large cache."""
KEPT_NEAR = 2**21
"""Elements of one tensor between elementwise operations and the products that read it: eight megabytes."""


class CellWeights(NamedTuple):
    """The weights of the LSTM cell of one modality, as in `nn.LSTMCell`."""

    inward: Tensor
    """(4H, D) input weights, in the order i, f, g, o."""
    recurrent: Tensor
    """(4H, H) recurrent weights."""
    biases: Tensor
    """(4H,) biases, the sum of both."""


def recurrent_states(features: Sequence[Tensor], weights: Sequence[CellWeights]) -> tuple[Tensor, Tensor]:
    """The states and cells of M LSTMs that step together.

        [i; f; g; o]^t = W x^t + b + R h^(t-1);  c^t = σ(f) c^(t-1) + σ(i) tanh(g);  h^t = σ(o) tanh(c^t)

    Args:
        features: (B, T, D) x of each modality.
        weights: W, R and b of each.

    Returns:
        (T, B, M, H) h and c.
    """
    flat_weights = [tensor.float() for weight in weights for tensor in weight]
    with torch.autocast(features[0].device.type, enabled=False):
        states: tuple[Tensor, Tensor] = _RecurrentStates.apply(  # type: ignore[no-untyped-call]
            len(features), *(sequence.float() for sequence in features), *flat_weights
        )
    return states


class _RecurrentStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, modalities: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        features, weights = tensors[:modalities], tensors[modalities:]
        rows, frames = features[0].shape[:2]
        hidden = weights[1].shape[1]
        # i, f, o, g: the gates with σ are adjacent
        gates = features[0].new_empty((frames, modalities, rows, 4 * hidden))
        for modality, each in enumerate(features):
            inward, biases = _sigmoids_first(weights[3 * modality]), _sigmoids_first(weights[3 * modality + 2])
            for sample, window in enumerate(each):
                gates[:, modality, sample] = torch.addmm(biases, window, inward.t())
        recurrent = torch.stack([_sigmoids_first(each).t() for each in weights[1::3]])  # (M, H, 4H)
        states, cells = (features[0].new_empty((frames, rows, modalities, hidden)) for _ in range(2))
        tanh_cell = features[0].new_empty((modalities, rows, hidden))
        state = last_cell = features[0].new_zeros((modalities, rows, hidden))
        steps = (gates, *_split(gates, hidden), states.transpose(1, 2), cells.transpose(1, 2))
        for gate, sigmoid_gates, input_gate, forget_gate, output_gate, candidate, next_state, cell in zip(
            *(each.unbind(0) for each in steps), strict=True
        ):
            gate.baddbmm_(state, recurrent)
            sigmoid_gates.sigmoid_()
            candidate.tanh_()
            torch.mul(forget_gate, last_cell, out=cell).addcmul_(input_gate, candidate)
            state, last_cell = torch.mul(output_gate, torch.tanh(cell, out=tanh_cell), out=next_state), cell
        ctx.save_for_backward(*features, *weights[::3], recurrent, gates, cells, states)
        ctx.modalities = modalities
        return states, cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        modalities = ctx.modalities
        features, inward = ctx.saved_tensors[:modalities], ctx.saved_tensors[modalities : 2 * modalities]
        recurrent, gates, cells, states = ctx.saved_tensors[2 * modalities :]
        grad_state, grad_cell = (each.transpose(1, 2) for each in gradients)  # (T, M, B, H)
        hidden = recurrent.shape[1]
        recurrent_back = recurrent.transpose(1, 2).contiguous()  # (M, 4H, H)
        grad_inward = [torch.zeros_like(each) for each in inward]
        grad_recurrent = [recurrent.new_zeros((4 * hidden, hidden)) for _ in inward]
        grad_biases = [recurrent.new_zeros(4 * hidden) for _ in inward]
        needs_grad = ctx.needs_input_grad[1 : modalities + 1]
        grad_features = [
            torch.empty_like(each) if needs else None for each, needs in zip(features, needs_grad, strict=True)
        ]
        grad_last = grad_last_cell = torch.zeros_like(cells[0].transpose(0, 1))  # (M, B, H)
        for part in _slices_from_the_end(len(gates), gates[0].numel(), KEPT_NEAR):
            grad_gates, grad_last, grad_last_cell = _gates_backward(
                gates[part],
                cells,
                grad_state[part],
                grad_cell[part],
                part.start,
                recurrent_back,
                grad_last,
                grad_last_cell,
            )
            previous_states = _previous(states, part)  # (t, B, M, H)
            for modality, each in enumerate(features):
                grad_gate_rows = _sigmoids_last(grad_gates[:, modality].transpose(0, 1).flatten(0, 1))  # (B·t, 4H)
                grad_inward[modality].addmm_(grad_gate_rows.t(), each[:, part].flatten(0, 1))  # (B·t, D)
                grad_recurrent[modality].addmm_(  # by (B·t, H)
                    grad_gate_rows.t(), previous_states[:, :, modality].transpose(0, 1).flatten(0, 1)
                )
                grad_biases[modality] += grad_gate_rows.sum(dim=0)
                if (target := grad_features[modality]) is not None:
                    target[:, part] = (grad_gate_rows @ inward[modality]).unflatten(0, (len(each), -1))  # (B, t, D)
        by_weight = zip(grad_inward, grad_recurrent, grad_biases, strict=True)
        return None, *grad_features, *itertools.chain.from_iterable(by_weight)


def _gates_backward(
    gates: Tensor,
    cells: Tensor,
    grad_state: Tensor,
    grad_cell: Tensor,
    begin: int,
    recurrent_back: Tensor,
    grad_last: Tensor,
    grad_last_cell: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the gates of some steps, and those of the state and cell of the previous step.

    Args:
        gates: (t, M, B, 4H), in the order i, f, o, g.
        cells: (T, B, M, H) of all steps.
        grad_state: (t, M, B, H) gradients of states; grad_cell: of cells.
        begin: the first of these steps.
        recurrent_back: (M, 4H, H) recurrent weights, transposed.
        grad_last: (M, B, H) gradient from the next step to the last state; grad_last_cell: to the last cell.
    """
    hidden = grad_state.shape[3]
    grad_gates = torch.empty_like(gates)
    for part in _slices_from_the_end(len(gates), gates[0].numel(), CACHED):
        _, i, f, o, g = _split(gates[part], hidden)
        steps_in_all = slice(begin + part.start, begin + part.stop)
        tanh_cells = torch.tanh(cells[steps_in_all]).transpose(1, 2)  # (t, M, B, H)
        previous_cells = _previous(cells, steps_in_all).transpose(1, 2)  # (t, M, B, H)
        # from the state's gradient to the cell's; from the cell's (i, f, g) or the state's (o) to a gate's
        state_to_cell = o * (1 - tanh_cells.square())
        _, to_input, to_forget, to_output, to_candidate = _split(grad_gates[part], hidden)
        torch.mul(g * i, 1 - i, out=to_input)
        torch.mul(previous_cells * f, 1 - f, out=to_forget)
        torch.mul(tanh_cells * o, 1 - o, out=to_output)
        torch.mul(i, 1 - g.square(), out=to_candidate)
        to_input_and_forget = grad_gates[part].unflatten(3, (4, hidden))[..., :2, :]  # (t, M, B, 2, H)
        steps = (
            grad_state[part],
            grad_cell[part],
            state_to_cell,
            f,
            grad_gates[part],
            to_input_and_forget,
            to_output,
            to_candidate,
        )
        for (
            grad_state_now,
            grad_cell_now,
            to_cell,
            forget,
            grad_gate,
            grad_input_and_forget,
            grad_output,
            grad_candidate,
        ) in zip(*(reversed(each.unbind(0)) for each in steps), strict=True):
            grad_last = grad_last + grad_state_now
            grad_last_cell = torch.addcmul(grad_last_cell + grad_cell_now, grad_last, to_cell)
            grad_input_and_forget.mul_(grad_last_cell.unsqueeze(2))  # (M, B, 1, H)
            grad_candidate.mul_(grad_last_cell)
            grad_output.mul_(grad_last)
            grad_last = torch.bmm(grad_gate, recurrent_back)
            grad_last_cell = grad_last_cell * forget
    return grad_gates, grad_last, grad_last_cell


def _sigmoids_first(weights: Tensor) -> Tensor:
    """(4H, …) in the order i, f, g, o to i, f, o, g."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, o, g])


def _sigmoids_last(gates: Tensor) -> Tensor:
    """(…, 4H) in the order i, f, o, g to i, f, g, o."""
    i, f, o, g = gates.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


def _split(gates: Tensor, hidden: int) -> tuple[Tensor, ...]:
    """(…, 3H) i, f and o together, and (…, H) i, f, o and g."""
    return (gates[..., : 3 * hidden], *gates.split(hidden, dim=-1))


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
        for part in _slices_from_the_end(frames, rows * 2 * width, CACHED):
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
        for part in _slices_from_the_end(frames, rows * 2 * width, CACHED):
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
    inputs: Tensor, proposed: Tensor, entry: Tensor, exits: Tensor, biases: Tensor, passing: Tensor | None = None
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

    Returns:
        (T, B, W) memories u.
    """
    tensors = (inputs, proposed, entry, exits, biases)
    with torch.autocast(inputs.device.type, enabled=False):
        memories: Tensor = _GatedMemory.apply(*(tensor.float() for tensor in tensors), passing)  # type: ignore[no-untyped-call]
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
        inner = torch.empty_like(inputs, memory_format=torch.contiguous_format)  # (T, B, 2, H)
        gates = inputs.new_empty((len(inputs), 2, *proposed.shape[1:]))  # (T, 2, B, W)
        memories = torch.empty_like(proposed, memory_format=torch.contiguous_format)
        memory = torch.zeros_like(proposed[0])
        biases, entry_rows = biases.expand(gates.shape[1:]), entry.flatten(1)  # (2, B, W), (W, 2H)
        dropout_steps = itertools.repeat(None) if passing is None else passing.unbind(0)
        # two views of the same units: by gate, and by row
        by_row, by_gate = inner.flatten(2), inner.transpose(1, 2)  # (T, B, 2H), (T, 2, B, H)
        steps = (inputs.flatten(2), proposed, by_row, by_gate, inner, gates, *gates.unbind(1), memories)
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
        ), factors in zip(zip(*(each.unbind(0) for each in steps), strict=True), dropout_steps, strict=False):
            torch.addmm(frame_inputs, memory, entry_rows, out=units_by_row).clamp_(min=0)
            if factors is not None:
                units.mul_(factors)
            torch.baddbmm(biases, units_by_gate, exits, out=gate).sigmoid_()
            memory = torch.mul(retain, memory, out=next_memory).addcmul_(update, proposal)
        ctx.save_for_backward(proposed, entry, exits, inner, gates, memories, passing)
        return memories

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        proposed, entry, exits, inner, gates, memories, passing = ctx.saved_tensors
        (grad_memory,) = gradients
        previous = _previous(memories, slice(0, len(memories)))
        slopes = (inner > 0).to(inner.dtype) if passing is None else (inner > 0) * passing
        grad_gates, grad_inner = torch.empty_like(gates), torch.empty_like(inner)
        totals = torch.empty_like(memories)
        grad_last = torch.zeros_like(proposed[0])
        exits_back = exits.transpose(1, 2).contiguous()  # (2, W, H)
        entry_back = entry.flatten(1).t().contiguous()  # (2H, W)
        for part in _slices_from_the_end(len(inner), inner[0].numel(), CACHED):
            part_gates, part_grad_gates, part_grad_inner = gates[part], grad_gates[part], grad_inner[part]
            # from the memory's gradient to each gate's: the derivative of σ, times the gated input
            torch.stack([previous[part], proposed[part]], dim=1, out=part_grad_gates)  # (t, 2, B, W)
            part_grad_gates.mul_(part_gates).mul_(1 - part_gates)
            flat, by_gate = part_grad_inner.flatten(2), part_grad_inner.transpose(1, 2)  # (t, B, 2H), (t, 2, B, H)
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
        grad_entry = previous.flatten(0, 1).t() @ grad_inner.flatten(2).flatten(0, 1)  # (W, T·B) times (T·B, 2H)
        grad_by_gate = grad_gates.transpose(0, 1).flatten(1, 2)  # (2, T·B, W)
        grad_exits = inner.flatten(0, 1).permute(1, 2, 0) @ grad_by_gate  # (2, H, T·B) times (2, T·B, W)
        grad_biases = grad_by_gate.sum(dim=1, keepdim=True)
        return grad_inner, totals * gates[:, 1], grad_entry.view_as(entry), grad_exits, grad_biases, None


def _slices_from_the_end(length: int, numbers: int, most: int) -> Iterator[slice]:
    """Slices of several steps, the last ones first, each of at most `most` elements or one step.

    Args:
        length: number of steps.
        numbers: elements of one step.
        most: maximum elements per slice.
    """
    steps = max(most // numbers, 1)
    for end in range(length, 0, -steps):
        yield slice(max(end - steps, 0), end)


def _previous(values: Tensor, part: slice) -> Tensor:
    """(T, …) values one step earlier than those of a part; zeros before the first."""
    if part.start:
        return values[part.start - 1 : part.stop - 1]
    return torch.cat([torch.zeros_like(values[:1]), values[: part.stop - 1]])
