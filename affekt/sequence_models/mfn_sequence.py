"""Memory fusion networks with a prediction for every frame: an LSTM per modality, and a memory that reads them all.

The published code computes all of a frame's steps in one loop. Here the recurrences, which do not depend on the memory,
run first, and attention, the proposals and the gates' other inputs are then batched over all frames. What depends on
the previous frame is computed in one of two ways, with the same results to rounding:

- blocks of frames together (`steps.py`), the default: no loop over all frames, and gradients alike;
- one frame after another, on request: fewer products and more operators.

Axes: B batch, T frames, M modalities, H hidden, W memory. In the symbols of the paper, n being a modality:

    states, cells           h_n^t and c_n^t of all frames
    change                  c^[t-1,t], all cells before and after a frame
    attend                  D_a, and ĉ = softmax(D_a(c^[t-1,t])) ∘ c^[t-1,t]
    propose                 D_u
    retain, update          D_γ1 and D_γ2, here of ĉ and the memory, as published code has it
    memory                  u^t
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.fusion import LETTERS, ORDER, Losses, ParallelRecurrences, two_layers
from affekt.nn import Dropout, NameMap, kept_first
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape, published_reader
from affekt.sequence_models.recurrence import CellWeights, TwoWayRecurrence, recurrent_states, spread_over
from affekt.sequence_models.steps import blocks_of, gated_memory, seen_changes


class MemorySequence(SequenceModel):
    """`mfn_sequence`: states and memory of every frame, then a bidirectional recurrence over them.

    In the corrected form a modality's state is held where its frame is masked, and the memory where all are.
    The published settings are H 128, W 128 and dropout 0.5.

    Args:
        memory: width W.
        at_once: False for one frame after another on a CPU, True for blocks of frames.

    Source: Zadeh et al. 2018, arXiv:1802.00927, section 3, as the entry of Wen et al. to the sixth ABAW competition
    has it.
    """

    def __init__(self, shape: SequenceShape, *, memory: int = 128, at_once: bool = True) -> None:
        if memory < 1:
            raise ValueRangeError(expected='a memory of width 1 or more', came=f'{memory}', todo='choose another')
        code_width = max(shape.hidden // 2, 1)
        super().__init__(shape, width=2 * code_width)
        self.at_once = at_once
        ordered = {name: shape.sizes[name] for name in ORDER if name in shape.sizes}
        sizes = ordered | dict(shape.sizes)
        self.recurrences = ParallelRecurrences(sizes, shape.hidden)
        self.seen_width = 2 * len(sizes) * shape.hidden
        self.attend = self._layers(self.seen_width, self.seen_width)
        self.propose = self._layers(self.seen_width, memory)
        self.retain = self._layers(self.seen_width + memory, memory)
        self.update = self._layers(self.seen_width + memory, memory)
        self.output = self._layers(self.seen_width // 2 + memory, code_width)
        self.dropout = Dropout(shape.dropout)
        self.reader = TwoWayRecurrence(code_width, code_width)

    def _layers(self, size: int, out: int) -> nn.Sequential:
        return two_layers(size, self.shape.hidden, out, self.shape.dropout)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, F) states of both directions, F being twice ⌊H / 2⌋; no auxiliary loss."""
        masked = self.shape.corrected and not kept.whole
        keep = kept.frames if masked else None
        # 1. All recurrences; kept frames are packed first if some are masked.
        if masked:
            features = {name: kept_first(value, kept.of[name])[0] for name, value in features.items()}
        lstm_cells = self.recurrences.cells
        frames = [features[name] for name in lstm_cells]  # (B, T, D) each
        blocks = blocks_of(frames[0].shape[1]) if self.at_once or frames[0].device.type != 'cpu' else 1
        states, cells = recurrent_states(frames, [CellWeights.of(cell) for cell in lstm_cells.values()], blocks)
        if masked:
            masks = [kept.of[name] for name in lstm_cells]
            states, cells = _spread(states, masks), _spread(cells, masks)
        # 2. Attention over the cells before and after each frame, then the memory.
        memory = self._memory(cells.flatten(2), keep, blocks)  # (T, B, W), from (T, B, M·H)
        # 3. The code of each frame, and the recurrence over all codes.
        first, second = _linear_layers(self.output)
        state_weight, memory_weight = first.weight.split([self.seen_width // 2, memory.shape[2]], dim=1)
        hidden = functional.linear(states.flatten(2), state_weight, first.bias) + functional.linear(
            memory, memory_weight
        )
        codes = second(self.dropout(torch.relu(hidden))).transpose(0, 1)  # (T, B, F), then (B, T, F)
        return self.reader(codes, keep, blocks if blocks > 1 else None), {}

    def _memory(self, cells: Tensor, keep: Tensor | None, blocks: int) -> Tensor:
        """(T, B, W) memories of the attended (T, B, M·H) cells."""
        proposing, propose = _linear_layers(self.propose)
        firsts, seconds = zip(*(_linear_layers(gate) for gate in (self.retain, self.update)), strict=True)
        attended_weights, memory_weights = zip(
            *(first.weight.split([self.seen_width, first.in_features - self.seen_width], dim=1) for first in firsts),
            strict=True,
        )
        # first layers of the proposal and of both gates, which read the attended cells, in one product: (T, B, 3H)
        weights, biases = (
            torch.cat([proposing.weight, *attended_weights]),
            [proposing.bias, *(first.bias for first in firsts)],
        )
        attend = [parameter for layer in _linear_layers(self.attend) for parameter in (layer.weight, layer.bias)]
        first_layers = seen_changes(cells, attend, weights, torch.cat(biases), self._passing(cells, self.shape.hidden))
        hidden, inputs = first_layers.tensor_split([self.shape.hidden], dim=2)
        proposed = torch.tanh(propose(self.dropout(torch.relu(hidden))))  # (T, B, W)
        if keep is not None:
            inputs, proposed = (
                kept_first(values.transpose(0, 1), keep)[0].transpose(0, 1) for values in (inputs, proposed)
            )
        dropout_factors = self._passing(cells, 2 * self.shape.hidden)
        memories = gated_memory(
            inputs.unflatten(2, (2, -1)),  # (T, B, 2, H)
            proposed,
            torch.stack([weight.t() for weight in memory_weights], dim=1),  # (W, 2, H)
            torch.stack([second.weight.t() for second in seconds]),  # (2, H, W)
            torch.stack([second.bias.unsqueeze(0) for second in seconds]),  # (2, 1, W)
            None if dropout_factors is None else dropout_factors.unflatten(2, (2, -1)),
            blocks,
        )
        return memories if keep is None else spread_over(memories.transpose(0, 1), keep).transpose(0, 1)

    def _passing(self, cells: Tensor, units: int) -> Tensor | None:
        """(T, B, units) dropout factors of each frame; None without dropout."""
        if not self.training or not self.shape.dropout:
            return None
        factors: Tensor = self.dropout(cells.new_ones((*cells.shape[:2], units)))
        return factors

    def published_names(self) -> NameMap:
        """Published state names to ours; its three modalities are text, audio and video."""
        names = published_reader('fc_out_0') | {'fc_out_2': 'value_head', 'out_fc1': 'output.0', 'out_fc2': 'output.3'}
        names |= {f'lstm_{LETTERS[name]}': f'recurrences.cells.{name}' for name in self.shape.sizes if name in LETTERS}
        for theirs, ours in (('att1', 'attend'), ('att2', 'propose'), ('gamma1', 'retain'), ('gamma2', 'update')):
            names |= {f'{theirs}_fc1': f'{ours}.0', f'{theirs}_fc2': f'{ours}.3'}
        return names


def _linear_layers(gate: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """The two linear layers of a gate, in order."""
    first, second = (layer for layer in gate if isinstance(layer, nn.Linear))
    return first, second


def _spread(states: Tensor, masks: list[Tensor]) -> Tensor:
    """(T, B, M, H) states over all frames, from those of the kept frames, which come first."""
    spread_states = [
        spread_over(state.transpose(0, 1), mask) for state, mask in zip(states.unbind(2), masks, strict=True)
    ]
    return torch.stack(spread_states).permute(2, 1, 0, 3)  # (M, B, T, H), then (T, B, M, H)
