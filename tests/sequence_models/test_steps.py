import pytest
import torch
from torch import nn

from affekt.sequence_models import recurrence, steps
from affekt.sequence_models.recurrence import CellWeights, TwoWayRecurrence, recurrent_states, spread_over
from affekt.sequence_models.steps import blocks_of, from_blocks, gated_memory, seen_changes, to_blocks


@pytest.fixture(params=[False, True], ids=['whole', 'in parts'])
def _in_parts(request, monkeypatch):
    """Time is worked through at once, or frame by frame."""
    if request.param:
        for room in (steps, recurrence):
            monkeypatch.setattr(room, 'CACHED', 1)


def draw(*shape: int, seed: int = 0, **options) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def weights_of(cells: nn.LSTM) -> CellWeights:
    return CellWeights(cells.weight_ih_l0, cells.weight_hh_l0, cells.bias_ih_l0 + cells.bias_hh_l0)


@pytest.mark.usefixtures('_in_parts')
@pytest.mark.parametrize('number', [1, 2, 4])
@pytest.mark.parametrize('forget_bias', [0.0, 6.0], ids=['a memory of a few frames', 'a memory of all frames'])
def test_states_cells_and_gradients_are_those_of_an_lstm(number, forget_bias):
    torch.manual_seed(0)
    several = [nn.LSTM(size, 4, batch_first=True) for size in (5, 2, 17)]  # the last reads more than it has gates
    for each in several:
        each.bias_ih_l0.data[4:8] += forget_bias
    features = [draw(3, 130, 5), draw(3, 130, 2, seed=1), draw(3, 130, 17, seed=2)]
    expected, lasts = zip(*(cells(each) for cells, each in zip(several, features, strict=True)), strict=True)
    states, cells = recurrent_states(features, [weights_of(each) for each in several], number)
    torch.testing.assert_close(states.permute(2, 1, 0, 3), torch.stack(expected))
    torch.testing.assert_close(cells[-1].transpose(0, 1), torch.stack([last[1][0] for last in lasts]))
    parameters = [parameter for each in several for parameter in each.parameters()]
    wanted = torch.autograd.grad(torch.stack(expected).square().mean(), parameters)
    torch.testing.assert_close(torch.autograd.grad(states.square().mean(), parameters), wanted)


@pytest.mark.usefixtures('_in_parts')
@pytest.mark.parametrize('number', [1, 2, 3])
def test_the_written_gradients_are_those_of_differences(number):
    sizes = ((3, 4, 5), (3, 4, 2), (8, 5), (8, 2), (8,), (8, 2), (8, 2), (8,))  # two features, then W, R and b of each
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(sizes))
    assert torch.autograd.gradcheck(lambda *each: recurrence._RecurrentStates.apply(2, number, *each), given)


@pytest.mark.usefixtures('_in_parts')
@pytest.mark.parametrize('dropout', [False, True])
@pytest.mark.parametrize('number', [1, 2])
def test_the_gradients_of_the_gated_memory_are_those_of_differences(dropout, number):
    sizes = ((4, 6, 2, 5), (4, 6, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2))  # 4 steps of 6 windows, or of 2 blocks of 3
    given = tuple(draw(*size, seed=i, dtype=torch.double).requires_grad_() for i, size in enumerate(sizes))
    passing = 1.4 * (draw(4, 6, 2, 5, seed=9, dtype=torch.double) > -0.5) if dropout else None
    assert torch.autograd.gradcheck(lambda *each: steps._GatedMemory.apply(number, *each, passing), given)


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


@pytest.mark.parametrize('dropout', [False, True])
@pytest.mark.parametrize('strength', [1.0, 6.0], ids=['gates that depend little on it', 'gates that depend much on it'])
@pytest.mark.parametrize('retained', [0.0, 8.0], ids=['a memory of a few frames', 'a memory of all frames'])
def test_a_memory_in_blocks_is_that_of_one_frame_after_another(dropout, strength, retained):
    sizes = ((130, 3, 2, 5), (130, 3, 2), (2, 2, 5), (2, 5, 2), (2, 1, 2))
    inputs, proposed, entry, exits, biases = given = [
        draw(*size, seed=i).requires_grad_() for i, size in enumerate(sizes)
    ]
    passing = 1.4 * (draw(130, 3, 2, 5, seed=9) > -0.5) if dropout else None
    shift = torch.tensor([retained, -retained]).view(2, 1, 1)  # of the gate that retains, and of that which updates
    results = []
    for number in (1, 2, 4):
        memories = gated_memory(inputs, proposed, strength * entry, exits, biases + shift, passing, number)
        results.append((memories, *torch.autograd.grad(memories.square().sum(), given)))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[2], results[0], rtol=1e-4, atol=1e-4)


def test_five_frames_in_two_blocks_and_back():
    # blocks a b c and d e 0 step together: a with d, b with e, c with 0
    frames = torch.arange(1.0, 6).view(5, 1)
    assert to_blocks(frames, 2).tolist() == [[1, 4], [2, 5], [3, 0]]
    assert from_blocks(to_blocks(frames, 2), 2, 5).tolist() == frames.tolist()


@pytest.mark.parametrize(('decay', 'expected'), [(0.5, [60, 32]), (0.999, [60, 60, 16])])
def test_blocks_run_until_they_forget_how_they_started(decay, expected):
    # u^t = decay u^(t-1) + 1 in 3 blocks of 60 frames. 16 halvings of a start of 2 leave 3e-5, 32 leave 5e-10; a memory
    # of all frames is passed on in advance, so that the third pass changes nothing
    passes = []

    def run(states: torch.Tensor, part: slice) -> torch.Tensor:
        if part.start == 0:
            passes.append(0)
        passes[-1] += part.stop - part.start
        for _ in range(part.stop - part.start):
            states = decay * states + 1
        return states

    steps.run_until_settled(run, lambda: torch.full((3, 1), decay**60), torch.zeros(1, 3, 1, 1), 60)
    assert passes == expected


def test_1000_frames_are_read_in_six_blocks():
    assert [blocks_of(frames) for frames in (1, 35, 36, 1000)] == [1, 1, 2, 6]


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


@pytest.mark.parametrize('number', [None, 1, 2])
def test_both_directions_are_those_of_a_bidirectional_lstm(number):
    torch.manual_seed(0)
    ours, theirs = TwoWayRecurrence(5, 4), nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for name, value in theirs.state_dict().items():
        half = ours.backward if name.endswith('_reverse') else ours.onward
        half.get_parameter(name.removesuffix('_reverse')).data.copy_(value)
    frames = draw(2, 7, 5)
    torch.testing.assert_close(ours(frames, blocks=number), theirs(frames)[0])
