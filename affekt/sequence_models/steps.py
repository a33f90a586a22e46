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
    flat = [tensor.float() for each in weights for tensor in each]
    with torch.autocast(features[0].device.type, enabled=False):
        states: tuple[Tensor, Tensor] = _RecurrentStates.apply(  # type: ignore[no-untyped-call]
            len(features), *(each.float() for each in features), *flat
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
        for place, each in enumerate(features):
            inward, biases = _sigmoids_first(weights[3 * place]), _sigmoids_first(weights[3 * place + 2])
            for row, window in enumerate(each):
                gates[:, place, row] = torch.addmm(biases, window, inward.t())
        recurrent = torch.stack([_sigmoids_first(each).t() for each in weights[1::3]])  # (M, H, 4H)
        states, cells = (features[0].new_empty((frames, rows, modalities, hidden)) for _ in range(2))
        bounded = features[0].new_empty((modalities, rows, hidden))
        state = carried = features[0].new_zeros((modalities, rows, hidden))
        steps = (gates, *_split(gates, hidden), states.transpose(1, 2), cells.transpose(1, 2))
        for gate, opened, entering, forgetting, leaving, candidate, next_state, cell in zip(
            *(each.unbind(0) for each in steps), strict=True
        ):
            gate.baddbmm_(state, recurrent)
            opened.sigmoid_()
            candidate.tanh_()
            torch.mul(forgetting, carried, out=cell).addcmul_(entering, candidate)
            state, carried = torch.mul(leaving, torch.tanh(cell, out=bounded), out=next_state), cell
        ctx.save_for_backward(*features, *weights[::3], recurrent, gates, cells, states)
        ctx.modalities = modalities
        return states, cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        modalities = ctx.modalities
        features, inward = ctx.saved_tensors[:modalities], ctx.saved_tensors[modalities : 2 * modalities]
        recurrent, gates, cells, states = ctx.saved_tensors[2 * modalities :]
        of_state, of_cell = (each.transpose(1, 2) for each in gradients)  # (T, M, B, H)
        hidden = recurrent.shape[1]
        turned = recurrent.transpose(1, 2).contiguous()  # (M, 4H, H)
        of_inward = [torch.zeros_like(each) for each in inward]
        of_recurrent = [recurrent.new_zeros((4 * hidden, hidden)) for _ in inward]
        of_biases = [recurrent.new_zeros(4 * hidden) for _ in inward]
        asked = ctx.needs_input_grad[1 : modalities + 1]
        of_features = [
            torch.empty_like(each) if is_asked else None for each, is_asked in zip(features, asked, strict=True)
        ]
        back = back_cell = torch.zeros_like(cells[0].transpose(0, 1))
        for part in _parts_from_the_end(len(gates), gates[0].numel(), KEPT_NEAR):
            falls, back, back_cell = _gates_backward(
                gates[part], cells, of_state[part], of_cell[part], part.start, turned, back, back_cell
            )
            earlier = _before(states, part)  # (t, B, M, H)
            for place, each in enumerate(features):
                fall = _sigmoids_last(falls[:, place].transpose(0, 1).flatten(0, 1))  # (B·t, 4H)
                of_inward[place].addmm_(fall.t(), each[:, part].flatten(0, 1))
                of_recurrent[place].addmm_(fall.t(), earlier[:, :, place].transpose(0, 1).flatten(0, 1))
                of_biases[place] += fall.sum(dim=0)
                if (target := of_features[place]) is not None:
                    target[:, part] = (fall @ inward[place]).unflatten(0, (len(each), -1))
        by_weight = zip(of_inward, of_recurrent, of_biases, strict=True)
        return None, *of_features, *itertools.chain.from_iterable(by_weight)


def _gates_backward(
    gates: Tensor,
    cells: Tensor,
    of_state: Tensor,
    of_cell: Tensor,
    begin: int,
    turned: Tensor,
    back: Tensor,
    back_cell: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the gates of some steps, and those of the state and cell of the previous step.

    Args:
        gates: (t, M, B, 4H), in the order i, f, o, g.
        cells: (T, B, M, H) of all steps.
        of_state: (t, M, B, H) gradients of states; of_cell: of cells.
        begin: the first of these steps.
        turned: (M, 4H, H).
        back: (M, B, H) gradient from the next step to the last state; back_cell: to the last cell.
    """
    hidden = of_state.shape[3]
    falls = torch.empty_like(gates)
    for part in _parts_from_the_end(len(gates), gates[0].numel(), CACHED):
        _, i, f, o, g = _split(gates[part], hidden)
        at = slice(begin + part.start, begin + part.stop)
        bounded = torch.tanh(cells[at]).transpose(1, 2)  # (t, M, B, H)
        earlier = _before(cells, at).transpose(1, 2)
        # from the state's gradient to the cell's; from the cell's (i, f, g) or the state's (o) to a gate's
        through = o * (1 - bounded.square())
        _, by_enter, by_forget, by_out, by_new = _split(falls[part], hidden)
        torch.mul(g * i, 1 - i, out=by_enter)
        torch.mul(earlier * f, 1 - f, out=by_forget)
        torch.mul(bounded * o, 1 - o, out=by_out)
        torch.mul(i, 1 - g.square(), out=by_new)
        two = falls[part].unflatten(3, (4, hidden))[..., :2, :]  # (t, M, B, 2, H)
        steps = (of_state[part], of_cell[part], through, f, falls[part], two, by_out, by_new)
        for given, given_cell, passes, forgetting, fall, of_two, of_out, of_new in zip(
            *(reversed(each.unbind(0)) for each in steps), strict=True
        ):
            back = back + given
            back_cell = torch.addcmul(back_cell + given_cell, back, passes)
            of_two.mul_(back_cell.unsqueeze(2))  # (M, B, 1, H)
            of_new.mul_(back_cell)
            of_out.mul_(back)
            back = torch.bmm(fall, turned)
            back_cell = back_cell * forgetting
    return falls, back, back_cell


def _sigmoids_first(weights: Tensor) -> Tensor:
    """(4H, …) in the order i, f, g, o to i, f, o, g."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, o, g])


def _sigmoids_last(fall: Tensor) -> Tensor:
    """(…, 4H) in the order i, f, o, g to i, f, g, o."""
    i, f, o, g = fall.chunk(4, dim=-1)
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
            given = [each.float() for each in (cells, *attend, outward, biases)]
            read: Tensor = _SeenChanges.apply(*given, passing)  # type: ignore[no-untyped-call]
        return read
    change = torch.cat([functional.pad(cells, (0, 0, 0, 0, 1, 0))[:-1], cells], dim=2)  # (T, B, 2C)
    inner = torch.relu(functional.linear(change, *attend[:2]))
    weights = torch.softmax(functional.linear(inner if passing is None else inner * passing, *attend[2:]), dim=2)
    return functional.linear(weights * change, outward, biases)


class _SeenChanges(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        cells: Tensor,
        into: Tensor,
        into_biases: Tensor,
        over: Tensor,
        over_biases: Tensor,
        outward: Tensor,
        biases: Tensor,
        passing: Tensor | None = None,
    ) -> Tensor:
        frames, rows, width = cells.shape
        inner = cells.new_empty((frames, rows, into.shape[0]))
        read = cells.new_empty((frames, rows, outward.shape[0]))
        weights = cells.new_empty((frames, rows, 2 * width))
        for part in _parts_from_the_end(frames, rows * 2 * width, CACHED):
            change = _change(cells, part)  # (t·B, 2C)
            units = torch.addmm(into_biases, change, into.t()).clamp_(min=0)  # (t·B, H)
            if passing is not None:
                units.mul_(passing[part].flatten(0, 1))
            inner[part] = units.view_as(inner[part])
            shares = weights[part].flatten(0, 1)
            torch.softmax(torch.addmm(over_biases, units, over.t()), dim=1, out=shares)
            torch.addmm(biases, change.mul_(shares), outward.t(), out=read[part].flatten(0, 1))
        ctx.save_for_backward(cells, into, over, outward, passing, inner, weights)
        return read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (of_read,) = gradients
        cells, into, over, outward, passing, inner, weights = ctx.saved_tensors
        frames, rows, width = cells.shape
        of_cells = torch.zeros_like(cells)
        of_into, of_over, of_outward = (torch.zeros_like(each) for each in (into, over, outward))
        of_into_biases, of_over_biases = into.new_zeros(len(into)), over.new_zeros(len(over))
        for part in _parts_from_the_end(frames, rows * 2 * width, CACHED):
            given, change = of_read[part].flatten(0, 1), _change(cells, part)  # (t·B, O), (t·B, 2C)
            shares, units = weights[part].flatten(0, 1), inner[part].flatten(0, 1)
            seen = shares * change
            of_outward.addmm_(given.t(), seen)
            of_seen = given @ outward  # (t·B, 2C)
            # of a softmax s: s (g - Σ s g); s g is the gradient of the attended input, times that input
            through = seen.mul_(of_seen)
            of_logits = through.addcmul_(shares, through.sum(dim=1, keepdim=True), value=-1)
            of_over.addmm_(of_logits.t(), units)
            of_over_biases += of_logits.sum(dim=0)
            slopes = (units > 0).to(units.dtype) if passing is None else (units > 0) * passing[part].flatten(0, 1)
            of_units = (of_logits @ over).mul_(slopes)  # (t·B, H)
            of_into.addmm_(of_units.t(), change)
            of_into_biases += of_units.sum(dim=0)
            of_change = of_seen.mul_(shares).addmm_(of_units, into).unflatten(0, (-1, rows))  # (t, B, 2C)
            first = 1 if part.start == 0 else 0  # before the first frame all cells are 0
            of_cells[part.start - 1 + first : part.stop - 1] += of_change[first:, :, :width]
            of_cells[part] += of_change[:, :, width:]
        by_weight = (of_into, of_into_biases, of_over, of_over_biases, of_outward, of_read.sum(dim=(0, 1)))
        return of_cells, *by_weight, None


def _change(cells: Tensor, part: slice) -> Tensor:
    """(T, B, C) cells to the (t·B, 2C) before and after each frame of a part."""
    return torch.cat([_before(cells, part), cells[part]], dim=2).flatten(0, 1)


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
        inner = torch.empty_like(inputs, memory_format=torch.contiguous_format)  # (T, B, 2, H)
        gates = inputs.new_empty((len(inputs), 2, *proposed.shape[1:]))  # (T, 2, B, W)
        memories = torch.empty_like(proposed, memory_format=torch.contiguous_format)
        memory = torch.zeros_like(proposed[0])
        biases, into = biases.expand(gates.shape[1:]), entry.flatten(1)  # (2, B, W), (W, 2H)
        through = itertools.repeat(None) if passing is None else passing.unbind(0)
        # two views of the same units: by gate, and by row
        by_row, by_gate = inner.flatten(2), inner.transpose(1, 2)  # (T, B, 2H), (T, 2, B, H)
        steps = (inputs.flatten(2), proposed, by_row, by_gate, inner, gates, *gates.unbind(1), memories)
        for (given, new, flat, both, units, gate, retain, update, to), passes in zip(
            zip(*(each.unbind(0) for each in steps), strict=True), through, strict=False
        ):
            torch.addmm(given, memory, into, out=flat).clamp_(min=0)
            if passes is not None:
                units.mul_(passes)
            torch.baddbmm(biases, both, exits, out=gate).sigmoid_()
            memory = torch.mul(retain, memory, out=to).addcmul_(update, new)
        ctx.save_for_backward(proposed, entry, exits, inner, gates, memories, passing)
        return memories

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        proposed, entry, exits, inner, gates, memories, passing = ctx.saved_tensors
        (of_memory,) = gradients
        earlier = _before(memories, slice(0, len(memories)))
        slopes = (inner > 0).to(inner.dtype) if passing is None else (inner > 0) * passing
        fall, fall_inner = torch.empty_like(gates), torch.empty_like(inner)
        totals = torch.empty_like(memories)
        back = torch.zeros_like(proposed[0])
        out, into = exits.transpose(1, 2).contiguous(), entry.flatten(1).t().contiguous()  # (2, W, H), (2H, W)
        for part in _parts_from_the_end(len(inner), inner[0].numel(), CACHED):
            opened, falls, inners = gates[part], fall[part], fall_inner[part]
            # from the memory's gradient to each gate's: the derivative of σ, times the gated input
            torch.stack([earlier[part], proposed[part]], dim=1, out=falls)  # (t, 2, B, W)
            falls.mul_(opened).mul_(1 - opened)
            flat, by_gate = inners.flatten(2), inners.transpose(1, 2)  # (t, B, 2H), (t, 2, B, H)
            steps = (of_memory[part], totals[part], falls, slopes[part].flatten(2), flat, by_gate, opened[:, 0])
            for given, total, to, slope, to_inner, to_both, retain in zip(
                *(reversed(each.unbind(0)) for each in steps), strict=True
            ):
                torch.add(given, back, out=total)
                to.mul_(total)
                torch.bmm(to, out, out=to_both)
                back = torch.addmm(total * retain, to_inner.mul_(slope), into)
        of_entry = earlier.flatten(0, 1).t() @ fall_inner.flatten(2).flatten(0, 1)  # (W, T·B) times (T·B, 2H)
        ends = fall.transpose(0, 1).flatten(1, 2)  # (2, T·B, W)
        of_exits = inner.flatten(0, 1).permute(1, 2, 0) @ ends  # (2, H, T·B) times (2, T·B, W)
        of_biases = ends.sum(dim=1, keepdim=True)
        return fall_inner, totals * gates[:, 1], of_entry.view_as(entry), of_exits, of_biases, None


def _parts_from_the_end(length: int, numbers: int, most: int) -> Iterator[slice]:
    """Slices of several steps, the last ones first, each of at most `most` elements or one step.

    Args:
        length: number of steps.
        numbers: elements of one step.
        most: maximum elements per slice.
    """
    steps = max(most // numbers, 1)
    for end in range(length, 0, -steps):
        yield slice(max(end - steps, 0), end)


def _before(values: Tensor, part: slice) -> Tensor:
    """(T, …) values one step earlier than those of a part; zeros before the first."""
    if part.start:
        return values[part.start - 1 : part.stop - 1]
    return torch.cat([torch.zeros_like(values[:1]), values[: part.stop - 1]])
