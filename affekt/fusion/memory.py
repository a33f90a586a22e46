"""Memory fusion networks: one LSTM per modality, and a memory that reads all of them at each step.

The inputs of all steps and modalities are projected before the loop, and the three recurrences are one batched product,
so a step needs few calls.

Axes: B batch, T time, H hidden, M memory, or modalities in `ParallelRecurrences`; modalities always in the order text,
audio, video, 3 of them where an axis has that length. In the paper's symbols, n being a modality and t a step:

    state, carried          h_n^t and c_n^t of all modalities
    change                  c^[t-1,t], all cells before and after the step
    attend, attended        D_a, and ĉ^[t-1,t] = softmax(D_a(c^[t-1,t])) ∘ c^[t-1,t]
    propose, proposed       D_u, and tanh(û^t) with û^t = D_u(ĉ)
    retain, update          D_γ1 and D_γ2, here of ĉ and the memory, as published code has it
    memory                  u^t = γ1^t ∘ u^(t-1) + γ2^t ∘ tanh(û^t)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.fusion.model import FusionModel, FusionShape, Losses, published_heads
from affekt.nn import Dropout, NameMap

ORDER = ('text', 'audio', 'video')
LETTERS = {'text': 'l', 'audio': 'a', 'video': 'v'}
"""Modality to its letter in published names; l is for language."""


class ParallelRecurrences(nn.Module):
    """LSTM cells of M modalities that step in parallel; their weights are those of M `nn.LSTMCell`.

    Args:
        sizes: modality to feature size; its order is the order of the modalities everywhere.
        hidden: H.
    """

    def __init__(self, sizes: Mapping[str, int], hidden: int) -> None:
        super().__init__()
        self.cells = nn.ModuleDict({name: nn.LSTMCell(size, hidden) for name, size in sizes.items()})

    def project(self, features: dict[str, Tensor]) -> Tensor:
        """(T, M, B, 4H) contribution of the inputs to the gates, for all steps at once."""
        gates = [  # from (T, B, D), each (T, B, 4H)
            functional.linear(features[name].transpose(0, 1), cell.weight_ih, cell.bias_ih + cell.bias_hh)
            for name, cell in self._cells()
        ]
        return torch.stack(gates, dim=1)  # (T, M, B, 4H)

    def recurrent_weights(self) -> Tensor:
        """(M, H, 4H) recurrent weights, to be computed once per pass."""
        weights = torch.stack([cell.weight_hh for _, cell in self._cells()])  # (M, 4H, H)
        return weights.transpose(1, 2).contiguous()  # (M, H, 4H)

    def _cells(self) -> list[tuple[str, nn.LSTMCell]]:
        return [(name, cell) for name, cell in self.cells.items() if isinstance(cell, nn.LSTMCell)]

    @staticmethod
    def step(inputs: Tensor, state: Tensor, carried: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """One step of all cells.

        Args:
            inputs: (M, B, 4H), one step of `project`.
            state: (M, B, H) h.
            carried: (M, B, H) c.
            weights: (M, H, 4H), from `recurrent_weights`.

        Returns:
            The next (M, B, H) h and c.
        """
        gates = torch.baddbmm(inputs, state, weights)  # (M, B, 4H)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=2)  # (M, B, H) each
        carried = torch.sigmoid(forget_gate) * carried + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output_gate) * torch.tanh(carried), carried


class MemoryLoop(nn.Module):
    """All steps of the three recurrences and the memory: features to (B, 3H + M), the last states and the memory.

    Args:
        shape: sizes and form.
        memory: memory width M.
    """

    reads_cells: ClassVar[bool] = True
    """Whether the memory reads the recurrences' cells, not their states."""

    def __init__(self, shape: FusionShape, memory: int) -> None:
        super().__init__()
        self.shape, self.memory_width = shape, memory
        self.recurrences = ParallelRecurrences({name: shape.sizes[name] for name in ORDER}, shape.hidden)
        width = self._build_reading()
        self.propose = two_layers(width, shape.hidden, memory, shape.dropout)
        self.retain = two_layers(width + memory, shape.hidden, memory, shape.dropout)
        self.update = two_layers(width + memory, shape.hidden, memory, shape.dropout)

    def _build_reading(self) -> int:
        """Build the layers that read the cells; returns the width of their output."""
        width = 6 * self.shape.hidden
        self.attend = two_layers(width, self.shape.hidden, width, self.shape.dropout)
        return width

    def _read(self, before: Tensor, after: Tensor) -> Tensor:
        """Input of the memory from the (3, B, H) cells or states before and after a step."""
        change = torch.cat([*before, *after], dim=1)  # (B, 6H)
        return torch.softmax(self.attend(change), dim=1) * change

    def forward(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> Tensor:
        """The (B, 3H + M) last state."""
        inputs, weights = self.recurrences.project(features), self.recurrences.recurrent_weights()
        state = inputs.new_zeros((3, inputs.shape[2], self.shape.hidden))
        carried, memory = state, inputs.new_zeros((inputs.shape[2], self.memory_width))
        kept = torch.stack([keep[name] for name in ORDER]).permute(2, 0, 1)  # (3, B, T), then (T, 3, B)
        kept = kept.unsqueeze(-1)  # (T, 3, B, 1)
        for step_inputs, is_kept in zip(inputs, kept, strict=True):
            new_state, new_carried = self.recurrences.step(step_inputs, state, carried, weights)
            if self.shape.corrected:
                new_state = torch.where(is_kept, new_state, state)
                new_carried = torch.where(is_kept, new_carried, carried)
            attended = self._read(carried, new_carried) if self.reads_cells else self._read(state, new_state)
            proposed = torch.tanh(self.propose(attended))
            joined = torch.cat([attended, memory], dim=1)  # (B, 6H + M); (B, H + M) where a graph reads
            new_memory = torch.sigmoid(self.retain(joined)) * memory + torch.sigmoid(self.update(joined)) * proposed
            memory = torch.where(is_kept.any(dim=0), new_memory, memory) if self.shape.corrected else new_memory
            state, carried = new_state, new_carried
        return torch.cat([*state, memory], dim=1)  # (B, 3H + M)


class MemoryFusion(FusionModel):
    """`mfn`: attention over the change of all cells writes to a gated memory.

    The corrected form standardises its inputs; the state of a modality is frozen at steps that are not kept, and the
    memory where no modality is kept.

    Args:
        memory: memory width M.

    Source: Zadeh et al. 2018, arXiv:1802.00927, section 3.
    """

    levels = ('frame',)
    aligned = True
    loop_class: ClassVar[type[MemoryLoop]] = MemoryLoop

    def __init__(self, shape: FusionShape, *, memory: int = 128) -> None:
        super().__init__(shape, width=shape.hidden // 2)
        self.loop = self.loop_class(shape, memory)
        self.output = two_layers(3 * shape.hidden + memory, shape.hidden, shape.hidden // 2, shape.dropout)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H / 2) representation; no auxiliary loss."""
        return self.output(self.loop(features, keep)), {}

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        return published_heads() | published_loop() | {'out_fc1': 'output.0', 'out_fc2': 'output.3'}


def published_loop(prefix: str = '') -> dict[str, str | None]:
    """Map of the loop's published names, optionally below a prefix."""
    names: dict[str, str | None] = {f'{prefix}lstm_{LETTERS[name]}': f'loop.recurrences.cells.{name}' for name in ORDER}
    for theirs, ours in (('att1', 'attend'), ('att2', 'propose'), ('gamma1', 'retain'), ('gamma2', 'update')):
        names |= {f'{prefix}{theirs}_fc1': f'loop.{ours}.0', f'{prefix}{theirs}_fc2': f'loop.{ours}.3'}
    return names


def two_layers(
    size: int, inner: int, out: int, dropout: float, *, activation: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """(…, size) to (…, out): linear, activation, dropout, linear.

    Args:
        size: width of the input.
        inner: hidden width.
        out: width of the output.
        dropout: dropout probability of the hidden units.
        activation: activation between the two linear layers.
    """
    return nn.Sequential(nn.Linear(size, inner), activation(), Dropout(dropout), nn.Linear(inner, out))
