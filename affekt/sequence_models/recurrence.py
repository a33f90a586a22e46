"""Recurrences that give a state for every frame, and hold their state at masked frames.

The kept frames are packed together, read by an LSTM, and their states are spread over all frames again: a
masked frame has the state of the last kept frame before it. Of five frames, three of which are kept:

    frame     0 1 2 3 4        moved together    a c d 0 0        states    A C D . .
    feature   a - c d -        onward            A A C D D        backward  from the next kept one: A C C D 0

The states and cells of several LSTMs are computed at minimal cost per step. What does not depend on the previous step
is one product over all steps; the rest of a step is a product and some elementwise calls into existing memory, without
a graph. The gradients are written out, so that the backward pass is as cheap.

Axes: B batch, T frames in K blocks of L frames (`steps.py`), R = K·B rows, M LSTMs, D feature of one, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from affekt.nn import kept_first
from affekt.sequence_models.steps import CACHED, _slices_from_the_end, from_blocks, run_until_settled, to_blocks

REUSED = 2**22
"""Elements of the gates of LSTMs that step together on a CPU, 16 MB: memory above 32 MB is not reused, and its pages
cost more than their use."""


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

    def forward(self, sequence: Tensor, keep: Tensor | None = None, blocks: int | None = None) -> Tensor:
        """The states; a `keep` of None keeps all.

        Args:
            sequence: (B, T, D).
            keep: (B, T) bool.
            blocks: number of blocks of frames that step together, of both directions; None for calls of `nn.LSTM`.
        """
        lstms, sequences = (self.onward, self.backward), (sequence, sequence.flip(1))
        keeps = (None, None) if keep is None else (keep, keep.flip(1))
        packed = [
            each if mask is None else kept_first(each, mask)[0] for each, mask in zip(sequences, keeps, strict=True)
        ]
        read: Sequence[Tensor]
        if blocks is None:
            read = [lstm(each)[0] for lstm, each in zip(lstms, packed, strict=True)]
        else:
            states, _ = recurrent_states(packed, [CellWeights.of(lstm) for lstm in lstms], blocks)  # (T, B, 2, H)
            read = states.transpose(0, 1).unbind(2)
        onward, backward = (
            each if mask is None else spread_over(each, mask) for each, mask in zip(read, keeps, strict=True)
        )
        return torch.cat([onward, backward.flip(1)], dim=2)  # (B, T, 2H)


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


class CellWeights(NamedTuple):
    """The weights of the LSTM cell of one modality, as in `nn.LSTMCell`."""

    inward: Tensor
    """(4H, D) input weights, in the order i, f, g, o."""
    recurrent: Tensor
    """(4H, H) recurrent weights."""
    biases: Tensor
    """(4H,) biases, the sum of both."""

    @classmethod
    def of(cls, lstm: nn.Module) -> CellWeights:
        """Those of an `nn.LSTMCell`, or of an `nn.LSTM` of one layer."""
        weights = {name.removesuffix('_l0'): weight for name, weight in lstm.named_parameters()}
        return cls(weights['weight_ih'], weights['weight_hh'], weights['bias_ih'] + weights['bias_hh'])


def recurrent_states(
    features: Sequence[Tensor], weights: Sequence[CellWeights], blocks: int = 1
) -> tuple[Tensor, Tensor]:
    """The states and cells of M LSTMs that step together.

        [i; f; g; o]^t = W x^t + b + R h^(t-1);  c^t = σ(f) c^(t-1) + σ(i) tanh(g);  h^t = σ(o) tanh(c^t)

    Args:
        features: (B, T, D) x of each modality.
        weights: W, R and b of each.
        blocks: number K of blocks of frames that step together; 1 for one frame after another.

    Returns:
        (T, B, M, H) h and c.
    """
    rows, frames = features[0].shape[:2]
    together = len(features)
    if blocks > 1 and features[0].device.type == 'cpu':
        together = max(REUSED // (rows * frames * len(weights[0].biases)), 1)
    parts = []
    with torch.autocast(features[0].device.type, enabled=False):
        for first in range(0, len(features), together):
            group = slice(first, first + together)
            parts.append(
                _RecurrentStates.apply(  # type: ignore[no-untyped-call]
                    len(features[group]),
                    blocks,
                    *(sequence.float() for sequence in features[group]),
                    *(tensor.float() for weight in weights[group] for tensor in weight),
                )
            )
    states, cells = (each[0] if len(each) == 1 else torch.cat(each, dim=2) for each in zip(*parts, strict=True))
    return states, cells


class _RecurrentStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, modalities: int, blocks: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        features, weights = tensors[:modalities], tensors[modalities:]
        rows, frames = features[0].shape[:2]
        inputs = _gate_inputs(features, weights, blocks)  # (M, L, R, 4H)
        length, hidden = inputs.shape[1], weights[1].shape[1]
        recurrent = torch.stack([_of_sigmoids(each).t() for each in weights[1::3]])  # (M, H, 4H)
        gates = torch.empty_like(inputs)  # i, f, o, g: those with σ are adjacent
        # before the first frame of each block, and after each of its frames
        states, cells = (inputs.new_empty((modalities, length + 1, blocks * rows, hidden)) for _ in range(2))

        def run(starts: Tensor, part: slice) -> Tensor:
            states[:, part.start], cells[:, part.start] = starts
            around = slice(part.start, part.stop + 1)
            _step_all(inputs[:, part], gates[:, part], states[:, around], cells[:, around], recurrent)
            return torch.stack([states[:, part.stop], cells[:, part.stop]])

        starts = inputs.new_zeros((2, modalities, blocks, rows, hidden))
        run_until_settled(run, lambda: _split(gates, hidden)[2].prod(dim=1), starts, length)
        ctx.save_for_backward(*features, *weights[::3], *weights[1::3], gates, cells, states)
        ctx.modalities, ctx.blocks = modalities, blocks
        states_of_frames, cells_of_frames = (  # from (L, R, M, H) to (T, B, M, H)
            from_blocks(each[:, 1:].permute(1, 2, 0, 3), blocks, frames) for each in (states, cells)
        )
        return states_of_frames, cells_of_frames

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        modalities, blocks = ctx.modalities, ctx.blocks
        features, inward, recurrent = (ctx.saved_tensors[modalities * i : modalities * (i + 1)] for i in range(3))
        gates, cells, states = ctx.saved_tensors[3 * modalities :]
        rows, frames = features[0].shape[:2]
        hidden = states.shape[3]
        grad_state, grad_cell = (to_blocks(each, blocks).permute(2, 0, 1, 3) for each in gradients)  # (M, L, R, H)
        recurrent_back = torch.stack([_sigmoids_first(each) for each in recurrent])  # (M, 4H, H)
        grad_gates = torch.empty_like(gates)

        def run(ends: Tensor, part: slice) -> Tensor:
            around = slice(part.start, part.stop + 1)
            return _gates_backward(
                gates[:, part],
                grad_gates[:, part],
                grad_state[:, part],
                grad_cell[:, part],
                cells[:, around],
                recurrent_back,
                ends,
            )

        ends = gates.new_zeros((2, modalities, blocks, rows, hidden))
        run_until_settled(run, lambda: _split(gates, hidden)[2].prod(dim=1), ends, gates.shape[1], is_backward=True)
        grad_features: list[Tensor | None] = []
        grad_weights: list[Tensor] = []
        for modality, each in enumerate(features):
            grad_inward = torch.zeros_like(inward[modality])
            grad_each = torch.empty_like(each) if ctx.needs_input_grad[2 + modality] else None
            inward_back = _sigmoids_first(inward[modality])
            by_sample = grad_gates[modality].unflatten(1, (blocks, rows)).permute(2, 1, 0, 3)  # (B, K, L, 4H)
            for sample, window in enumerate(each):
                grad_rows = by_sample[sample].flatten(0, 1)[:frames]  # (T, 4H)
                grad_inward.addmm_(grad_rows.t(), window)
                if grad_each is not None:
                    torch.mm(grad_rows, inward_back, out=grad_each[sample])
            flat = grad_gates[modality].flatten(0, 1)  # (L·R, 4H)
            grad_recurrent = flat.t() @ states[modality, :-1].flatten(0, 1)
            grad_features.append(grad_each)
            grad_weights += (_sigmoids_last(part) for part in (grad_inward, grad_recurrent, flat.sum(dim=0)))
        return None, None, *grad_features, *grad_weights


def _gate_inputs(features: Sequence[Tensor], weights: Sequence[Tensor], blocks: int) -> Tensor:
    """(M, L, R, 4H) part of i, f, o and 2 g that does not depend on the state; zeros after the last frame."""
    rows, frames = features[0].shape[:2]
    length, width = -(-frames // blocks), len(weights[0])
    inputs = features[0].new_empty((len(features), length, blocks, rows, width))
    projected = features[0].new_zeros((blocks * length, width))
    for modality, each in enumerate(features):
        inward, biases = _of_sigmoids(weights[3 * modality]), _of_sigmoids(weights[3 * modality + 2])
        for sample, window in enumerate(each):
            torch.addmm(biases, window, inward.t(), out=projected[:frames])
            inputs[modality, :, :, sample] = projected.unflatten(0, (blocks, length)).transpose(0, 1)  # (L, K, 4H)
    return inputs.flatten(2, 3)


def _step_all(inputs: Tensor, gates: Tensor, states: Tensor, cells: Tensor, recurrent: Tensor) -> None:
    """Compute the gates, states and cells of all steps, from the first state and cell.

    tanh(x) = 2 σ(2x) - 1, which takes half of its time.

    Args:
        inputs: (M, L, R, 4H).
        gates: (M, L, R, 4H), to be filled.
        states: (M, L + 1, R, H), whose first is given; cells: likewise.
        recurrent: (M, H, 4H), of sigmoids alone.
    """
    state, last_cell = states[:, 0], cells[:, 0]
    tanh_cell, two, minus_one = torch.empty_like(state), state.new_tensor(2), state.new_tensor(-1)
    steps = (inputs, gates, *gates.split(states.shape[3], dim=3), states[:, 1:], cells[:, 1:])
    for frame, gate, input_gate, forget_gate, output_gate, candidate, next_state, cell in zip(
        *(each.unbind(1) for each in steps), strict=True
    ):
        torch.baddbmm(frame, state, recurrent, out=gate).sigmoid_()
        torch.add(minus_one, candidate, alpha=2, out=candidate)
        torch.mul(forget_gate, last_cell, out=cell).addcmul_(input_gate, candidate)
        torch.add(minus_one, torch.mul(cell, two, out=tanh_cell).sigmoid_(), alpha=2, out=tanh_cell)
        state, last_cell = torch.mul(output_gate, tanh_cell, out=next_state), cell


def _gates_backward(
    gates: Tensor,
    grad_gates: Tensor,
    grad_state: Tensor,
    grad_cell: Tensor,
    cells: Tensor,
    recurrent_back: Tensor,
    grad_last: Tensor,
) -> Tensor:
    """The (2, M, R, H) gradients of the state and cell before some steps.

    Args:
        gates: (M, L, R, 4H), in the order i, f, o, g.
        grad_gates: (M, L, R, 4H), to be filled.
        grad_state: (M, L, R, H) gradients of states; grad_cell: of cells.
        cells: (M, L + 1, R, H) before and after all steps.
        recurrent_back: (M, 4H, H) recurrent weights, in the order i, f, o, g.
        grad_last: (2, M, R, H) gradients from the next step to the last state and cell.
    """
    hidden = grad_state.shape[3]
    grad_last_state, grad_last_cell = grad_last
    for part in _slices_from_the_end(slice(0, gates.shape[1]), gates[:, 0].numel(), CACHED):
        sigmoids, i, f, o, g = _split(gates[:, part], hidden)
        tanh_cells = (2 * cells[:, part.start + 1 : part.stop + 1]).sigmoid_().mul_(2).sub_(1)  # (M, t, R, H)
        # from the state's gradient to the cell's; from the cell's (i, f, g) or the state's (o) to a gate's
        state_to_cell = torch.addcmul(o, o * tanh_cells, tanh_cells, value=-1)
        to_sigmoids, to_input, to_forget, to_output, to_candidate = _split(grad_gates[:, part], hidden)
        torch.addcmul(sigmoids, sigmoids, sigmoids, value=-1, out=to_sigmoids)
        to_input.mul_(g)
        to_forget.mul_(cells[:, part])
        to_output.mul_(tanh_cells)
        torch.addcmul(i, i * g, g, value=-1, out=to_candidate)
        to_input_and_forget = grad_gates[:, part].unflatten(3, (4, hidden))[..., :2, :]  # (M, t, R, 2, H)
        steps = (
            grad_state[:, part],
            grad_cell[:, part],
            state_to_cell,
            f,
            grad_gates[:, part],
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
        ) in zip(*(reversed(each.unbind(1)) for each in steps), strict=True):
            grad_last_state = grad_last_state + grad_state_now
            grad_last_cell = torch.addcmul(grad_last_cell + grad_cell_now, grad_last_state, to_cell)
            grad_input_and_forget.mul_(grad_last_cell.unsqueeze(2))  # (M, R, 1, H)
            grad_candidate.mul_(grad_last_cell)
            grad_output.mul_(grad_last_state)
            grad_last_state = torch.bmm(grad_gate, recurrent_back)
            grad_last_cell = grad_last_cell * forget
    return torch.stack([grad_last_state, grad_last_cell])


def _sigmoids_first(weights: Tensor) -> Tensor:
    """(4H, …) in the order i, f, g, o to i, f, o, g."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, o, g])


def _of_sigmoids(weights: Tensor) -> Tensor:
    """(4H, …) in the order i, f, g, o to i, f, o, 2 g."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, o, 2 * g])


def _sigmoids_last(weights: Tensor) -> Tensor:
    """(4H, …) in the order i, f, o, g to i, f, g, o."""
    i, f, o, g = weights.chunk(4)
    return torch.cat([i, f, g, o])


def _split(gates: Tensor, hidden: int) -> tuple[Tensor, ...]:
    """(…, 3H) i, f and o together, and (…, H) i, f, o and g."""
    return (gates[..., : 3 * hidden], *gates.split(hidden, dim=-1))
