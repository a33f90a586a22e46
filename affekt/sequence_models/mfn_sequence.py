"""Memory fusion networks with an answer for every frame: an LSTM a modality, and a memory that reads them all.

The published code takes all of a frame's steps in one loop. Here the loop over frames is left with what one frame needs
of the one before it, the products of the recurrences and of the memory's two gates (`steps.py`): the recurrences do not
read the memory, so that they run first, and attention, what is proposed and the gates' other inputs are then batched
over all frames. A thousand frames are still a thousand steps, as the method is defined.

Axes: B batch, T frames, M modalities, H hidden, W memory. In the symbols of the paper, n being a modality:

    states, cells           h_n^t and c_n^t of all frames
    change                  c^[t-1,t], all cells before and after a frame
    attend, seen            D_a, and ĉ = softmax(D_a(c^[t-1,t])) ∘ c^[t-1,t]
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
from affekt.sequence_models.recurrence import TwoWayRecurrence, spread_over
from affekt.sequence_models.steps import gated_memory, recurrent_states


class MemorySequence(SequenceModel):
    """`mfn_sequence`: states and memory of every frame, then a recurrence that reads them in both directions.

    In the corrected form a modality's state waits where its frame is not kept, and the memory where no modality's is.
    The published settings are H 128, W 128 and dropout 0.5.

    Args:
        memory: width W.

    Source: Zadeh et al. 2018, arXiv:1802.00927, section 3, as the entry of Wen et al. to the sixth ABAW competition
    has it.
    """

    def __init__(self, shape: SequenceShape, *, memory: int = 128) -> None:
        if memory < 1:
            raise ValueRangeError(expected='a memory of width 1 or more', came=f'{memory}', todo='choose another')
        inner = max(shape.hidden // 2, 1)
        super().__init__(shape, width=2 * inner)
        first = {name: shape.sizes[name] for name in ORDER if name in shape.sizes}
        sizes = first | dict(shape.sizes)
        self.recurrences = ParallelRecurrences(sizes, shape.hidden)
        self.seen_width = 2 * len(sizes) * shape.hidden
        self.attend = self._layers(self.seen_width, self.seen_width)
        self.propose = self._layers(self.seen_width, memory)
        self.retain = self._layers(self.seen_width + memory, memory)
        self.update = self._layers(self.seen_width + memory, memory)
        self.output = self._layers(self.seen_width // 2 + memory, inner)
        self.dropout = Dropout(shape.dropout)
        self.reader = TwoWayRecurrence(inner, inner)

    def _layers(self, size: int, out: int) -> nn.Sequential:
        return two_layers(size, self.shape.hidden, out, self.shape.dropout)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, F) states of both directions, F being twice ⌊H / 2⌋; no loss of its own."""
        masked = self.shape.corrected and not kept.whole
        # 1. all recurrences; their kept frames stand first where some are not kept
        if masked:
            features = {name: kept_first(value, kept.of[name])[0] for name, value in features.items()}
        states, cells = recurrent_states(self.recurrences.project(features), self.recurrences.recurrent_weights())
        if masked:
            masks = [kept.of[name] for name in self.recurrences.cells]
            states, cells = _spread(states, masks), _spread(cells, masks)
        # 2. what the memory sees of the cells before and after each frame
        after = cells.permute(2, 0, 1, 3).flatten(2)  # (B, T, M, H), then (B, T, M·H)
        change = torch.cat([functional.pad(after, (0, 0, 1, 0))[:, :-1], after], dim=2)  # (B, T, 2M·H)
        seen = torch.softmax(self.attend(change), dim=2) * change
        # 3. the memory, then each frame's code
        memory = self._memory(seen, kept.frames if masked else None)
        codes = self.output(torch.cat([states.permute(2, 0, 1, 3).flatten(2), memory], dim=2))  # from (B, T, M·H + W)
        return self.reader(codes, kept.frames if masked else None), {}

    def _memory(self, seen: Tensor, keep: Tensor | None) -> Tensor:
        """(B, T, W) memories of what is (B, T, 2M·H) seen."""
        proposing, propose = _linear_layers(self.propose)
        firsts, seconds = zip(*(_linear_layers(gate) for gate in (self.retain, self.update)), strict=True)
        of_seen, of_memory = zip(
            *(first.weight.split([self.seen_width, first.in_features - self.seen_width], dim=1) for first in firsts),
            strict=True,
        )
        # what reads the seen, in one product: (B, T, 3H), the first layer of what is proposed and of both gates
        weights, biases = torch.cat([proposing.weight, *of_seen]), [proposing.bias, *(first.bias for first in firsts)]
        inner, inputs = functional.linear(seen, weights, torch.cat(biases)).tensor_split([self.shape.hidden], dim=2)
        proposed = torch.tanh(propose(self.dropout(torch.relu(inner))))  # (B, T, W)
        if keep is not None:
            inputs, proposed = kept_first(inputs, keep)[0], kept_first(proposed, keep)[0]
        by_gate = inputs.unflatten(2, (2, -1)).permute(1, 2, 0, 3).contiguous()  # (B, T, 2, H), then (T, 2, B, H)
        memories = gated_memory(
            by_gate,
            proposed.transpose(0, 1).contiguous(),  # (T, B, W)
            torch.stack([weight.t() for weight in of_memory]),  # (2, W, H)
            torch.stack([second.weight.t() for second in seconds]),  # (2, H, W)
            torch.stack([second.bias.unsqueeze(0) for second in seconds]),  # (2, 1, W)
            self.dropout(torch.ones_like(by_gate)) if self.training and self.shape.dropout else None,
        ).transpose(0, 1)  # (T, B, W), then (B, T, W)
        return memories if keep is None else spread_over(memories, keep)

    def published_names(self) -> NameMap:
        """Published state names to ours; its three modalities are text, audio and video."""
        names = published_reader('fc_out_0') | {'fc_out_2': 'value_head', 'out_fc1': 'output.0', 'out_fc2': 'output.3'}
        names |= {f'lstm_{LETTERS[name]}': f'recurrences.cells.{name}' for name in self.shape.sizes if name in LETTERS}
        for theirs, ours in (('att1', 'attend'), ('att2', 'propose'), ('gamma1', 'retain'), ('gamma2', 'update')):
            names |= {f'{theirs}_fc1': f'{ours}.0', f'{theirs}_fc2': f'{ours}.3'}
        return names


def _linear_layers(gate: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """The first and the second of two."""
    first, second = (layer for layer in gate if isinstance(layer, nn.Linear))
    return first, second


def _spread(states: Tensor, masks: list[Tensor]) -> Tensor:
    """(T, M, B, H) states of kept frames, which stand first, over all frames."""
    each = [spread_over(state.transpose(0, 1), mask) for state, mask in zip(states.unbind(1), masks, strict=True)]
    return torch.stack(each).permute(2, 0, 1, 3)  # (M, B, T, H), then (T, M, B, H)
