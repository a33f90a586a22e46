import pytest
import torch
from torch import nn
from torch.nn import functional

from affekt.sequence_models.recurrence import TwoWayRecurrence, spread_over
from affekt.sequence_models.steps import _GatedMemory, _RecurrentStates, gated_memory, recurrent_states


def draw(*shape: int, seed: int = 0, **options) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def test_states_and_cells_are_those_of_an_lstm():
    torch.manual_seed(0)
    cells, frames = nn.LSTM(5, 4), draw(6, 3, 5)
    inputs = functional.linear(frames, cells.weight_ih_l0, cells.bias_ih_l0 + cells.bias_hh_l0)
    states, carried = recurrent_states(inputs.unsqueeze(1), cells.weight_hh_l0.t().unsqueeze(0))
    expected, (_, last) = cells(frames)
    torch.testing.assert_close(states[:, 0], expected)
    torch.testing.assert_close(carried[-1], last)


def test_the_written_gradients_are_those_of_differences():
    inputs, weights = draw(4, 2, 3, 8, dtype=torch.double), draw(2, 2, 8, seed=1, dtype=torch.double)
    assert torch.autograd.gradcheck(_RecurrentStates.apply, (inputs.requires_grad_(), weights.requires_grad_()))


@pytest.mark.parametrize('dropout', [False, True])
def test_the_gradients_of_the_gated_memory_are_those_of_differences(dropout):
    sizes = ((4, 2, 3, 5), (4, 3, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2))
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(sizes))
    passing = 1.4 * (draw(4, 2, 3, 5, seed=9, dtype=torch.double) > -0.5) if dropout else None
    assert torch.autograd.gradcheck(lambda *each: _GatedMemory.apply(*each, passing), given)


def test_the_gated_memory_is_its_formula():
    inputs, proposed, entry, exits, biases = (
        draw(*size, seed=i) for i, size in enumerate(((3, 2, 1, 5), (3, 1, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2)))
    )
    passing = 2.0 * (draw(3, 2, 1, 5, seed=7) > 0)
    memory = torch.zeros(2)
    for t in range(3):
        gates = [
            torch.sigmoid(
                (torch.relu(inputs[t, k, 0] + memory @ entry[k]) * passing[t, k, 0]) @ exits[k] + biases[k, 0]
            )
            for k in range(2)
        ]
        memory = gates[0] * memory + gates[1] * proposed[t, 0]
    torch.testing.assert_close(gated_memory(inputs, proposed, entry, exits, biases, passing)[2, 0], memory)


def test_half_precision_around_the_steps_leaves_them_in_single_precision():
    inputs, weights = draw(4, 1, 2, 8).requires_grad_(), draw(1, 2, 8, seed=1).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        states, _ = recurrent_states(inputs.bfloat16(), weights)
    states.sum().backward()
    assert states.dtype == torch.float32
    assert weights.grad.isfinite().all()


def test_states_of_kept_frames_last_until_the_next():
    # frames 0 1 2 3 4 of which 1, 3 are kept: nothing yet, A, A, B, B
    states = torch.tensor([[[1.0], [2.0], [9.0], [9.0], [9.0]]])
    keep = torch.tensor([[False, True, False, True, False]])
    assert spread_over(states, keep).flatten().tolist() == [0, 1, 1, 2, 2]


def test_both_directions_are_those_of_a_bidirectional_lstm():
    torch.manual_seed(0)
    ours, theirs = TwoWayRecurrence(5, 4), nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for name, value in theirs.state_dict().items():
        half = ours.backward if name.endswith('_reverse') else ours.onward
        half.get_parameter(name.removesuffix('_reverse')).data.copy_(value)
    frames = draw(2, 7, 5)
    torch.testing.assert_close(ours(frames), theirs(frames)[0])
