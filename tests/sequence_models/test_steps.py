import pytest
import torch
from torch import nn

from affekt.sequence_models import recurrence, steps
from affekt.sequence_models.recurrence import (
    TwoWayRecurrence,
    linear_recurrence,
    memory_at_once,
    spread_over,
    states_at_once,
)
from affekt.sequence_models.steps import CellWeights, gated_memory, recurrent_states, seen_changes


@pytest.fixture(params=[False, True], ids=['whole', 'in parts'])
def _in_parts(request, monkeypatch):
    """Time is worked through at once, or frame by frame and two frames a product."""
    if request.param:
        for room in (steps, recurrence):
            monkeypatch.setattr(room, 'CACHED', 1)
        monkeypatch.setattr(steps, 'KEPT_NEAR', 100)


def draw(*shape: int, seed: int = 0, **options) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def weights_of(cells: nn.LSTM) -> CellWeights:
    return CellWeights(cells.weight_ih_l0, cells.weight_hh_l0, cells.bias_ih_l0 + cells.bias_hh_l0)


@pytest.mark.usefixtures('_in_parts')
def test_states_cells_and_gradients_are_those_of_an_lstm():
    torch.manual_seed(0)
    several, features = [nn.LSTM(size, 4, batch_first=True) for size in (5, 2)], [draw(3, 6, 5), draw(3, 6, 2, seed=1)]
    expected, lasts = zip(*(cells(each) for cells, each in zip(several, features, strict=True)), strict=True)
    states, cells = recurrent_states(features, [weights_of(each) for each in several])
    torch.testing.assert_close(states.permute(2, 1, 0, 3), torch.stack(expected))
    torch.testing.assert_close(cells[-1].transpose(0, 1), torch.stack([last[1][0] for last in lasts]))
    parameters = [parameter for each in several for parameter in each.parameters()]
    wanted = torch.autograd.grad(torch.stack(expected).square().sum(), parameters)
    torch.testing.assert_close(torch.autograd.grad(states.square().sum(), parameters), wanted)


@pytest.mark.usefixtures('_in_parts')
def test_the_written_gradients_are_those_of_differences():
    sizes = ((3, 4, 5), (3, 4, 2), (8, 5), (8, 2), (8,), (8, 2), (8, 2), (8,))  # two features, then W, R and b of each
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(sizes))
    assert torch.autograd.gradcheck(lambda *each: steps._RecurrentStates.apply(2, *each), given)


@pytest.mark.usefixtures('_in_parts')
@pytest.mark.parametrize('dropout', [False, True])
def test_the_gradients_of_the_gated_memory_are_those_of_differences(dropout):
    sizes = ((4, 3, 2, 5), (4, 3, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2))
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(sizes))
    passing = 1.4 * (draw(4, 3, 2, 5, seed=9, dtype=torch.double) > -0.5) if dropout else None
    assert torch.autograd.gradcheck(lambda *each: steps._GatedMemory.apply(*each, passing), given)


def test_the_gated_memory_is_its_formula():
    inputs, proposed, entry, exits, biases = (
        draw(*size, seed=i) for i, size in enumerate(((3, 1, 2, 5), (3, 1, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2)))
    )
    passing = 2.0 * (draw(3, 1, 2, 5, seed=7) > 0)
    memory = torch.zeros(2)
    for t in range(3):
        gates = [
            torch.sigmoid(
                (torch.relu(inputs[t, 0, k] + memory @ entry[:, k]) * passing[t, 0, k]) @ exits[k] + biases[k, 0]
            )
            for k in range(2)
        ]
        memory = gates[0] * memory + gates[1] * proposed[t, 0]
    torch.testing.assert_close(gated_memory(inputs, proposed, entry, exits, biases, passing)[2, 0], memory)


SEEN_SIZES = ((4, 3, 2), (5, 4), (5,), (4, 5), (4,), (6, 4), (6,))
"""Of 4 frames of 3 windows, 2 cells, 5 units and 6 outputs: c, then W₁, b₁, W₂, b₂, V and b."""


@pytest.mark.usefixtures('_in_parts')
@pytest.mark.parametrize('dropout', [False, True])
def test_the_gradients_of_what_is_seen_are_those_of_differences(dropout):
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(SEEN_SIZES))
    passing = 1.4 * (draw(4, 3, 5, seed=9, dtype=torch.double) > -0.5) if dropout else None
    assert torch.autograd.gradcheck(lambda *each: steps._SeenChanges.apply(*each, passing), given)


@pytest.mark.usefixtures('_in_parts')
def test_what_is_seen_of_the_cells_is_its_formula():
    cells, *attend, outward, biases = (draw(*size, seed=i) for i, size in enumerate(SEEN_SIZES))
    passing = 2.0 * (draw(4, 3, 5, seed=7) > 0)
    read = seen_changes(cells, attend, outward, biases, passing)
    for t in range(4):
        for row in range(3):
            change = torch.cat([cells[t - 1, row] if t else torch.zeros(2), cells[t, row]])
            units = torch.relu(attend[0] @ change + attend[1]) * passing[t, row]
            shares = (attend[2] @ units + attend[3]).exp()
            torch.testing.assert_close(read[t, row], outward @ (shares / shares.sum() * change) + biases)


@pytest.mark.parametrize('frames', [1, 2, 9, 10, 11])
def test_a_linear_recurrence_is_its_formula_and_its_gradients_are_those_of_differences(frames):
    decay, given = (draw(frames, 2, seed=i, dtype=torch.double).requires_grad_() for i in range(2))
    state, expected = torch.zeros(2, dtype=torch.double), []
    for t in range(frames):
        state = decay[t] * state + given[t]
        expected.append(state)
    torch.testing.assert_close(linear_recurrence(decay, given), torch.stack(expected))
    assert torch.autograd.gradcheck(linear_recurrence, (decay, given))


@pytest.mark.usefixtures('_in_parts')
def test_states_and_cells_of_all_frames_at_once_are_those_of_one_after_another():
    torch.manual_seed(0)
    sizes = (5, 2, 17)  # the last is wider than the gates
    weights = [weights_of(nn.LSTM(size, 4)) for size in sizes]
    features = [draw(3, 20, size, seed=size) for size in sizes]
    parameters = [tensor for each in weights for tensor in each]
    results = []
    for function in (recurrent_states, states_at_once):
        states, cells = function(features, weights)
        of_weights = torch.autograd.grad((states + cells.square()).sum(), parameters, retain_graph=True)
        results.append((states, cells, *of_weights))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize('dropout', [False, True])
@pytest.mark.parametrize('strength', [1.0, 6.0], ids=['gates that depend little on it', 'gates that depend much on it'])
def test_a_memory_of_all_frames_at_once_is_that_of_one_after_another(dropout, strength):
    sizes = ((30, 3, 2, 5), (30, 3, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2))
    given = [draw(*size, seed=i).requires_grad_() for i, size in enumerate(sizes)]
    passing = 1.4 * (draw(30, 3, 2, 5, seed=9) > -0.5) if dropout else None
    results = []
    for function in (gated_memory, memory_at_once):
        memories = function(given[0], given[1], strength * given[2], *given[3:], passing)
        results.append((memories, *torch.autograd.grad(memories.square().sum(), given)))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_a_memory_that_does_not_come_to_rest_is_made_step_by_step(monkeypatch):
    monkeypatch.setattr(recurrence, 'SWEEPS', 1)
    given = [draw(*size, seed=i) for i, size in enumerate(((9, 3, 2, 5), (9, 3, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2)))]
    proposed = given[1].requires_grad_()
    torch.testing.assert_close(memory_at_once(*given), gated_memory(*given))
    wanted = torch.autograd.grad(gated_memory(*given).sum(), proposed)
    torch.testing.assert_close(torch.autograd.grad(memory_at_once(*given).sum(), proposed), wanted)
    monkeypatch.undo()
    memories = memory_at_once(*given)
    monkeypatch.setattr(recurrence, 'SWEEPS', 1)  # on the way back alone
    torch.testing.assert_close(torch.autograd.grad(memories.sum(), proposed), wanted)


def test_half_precision_around_the_steps_leaves_them_in_single_precision():
    weights = [draw(*size, seed=i).requires_grad_() for i, size in enumerate(((8, 3), (8, 2), (8,)))]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        states, _ = recurrent_states([draw(2, 4, 3).bfloat16()], [CellWeights(*weights)])
    states.sum().backward()
    assert states.dtype == torch.float32
    assert all(each.grad.isfinite().all() for each in weights)


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
