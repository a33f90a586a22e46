"""Adam in one call is torch's Adam, also where a parameter is left without a gradient for a while."""

from __future__ import annotations

import copy

import pytest
import torch

from affekt.training.optimiser import Adam, one_call


def _model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))


def _steps(model, optimiser, first, last) -> None:
    for step in range(first, last):
        draws = torch.Generator().manual_seed(step)
        optimiser.zero_grad()
        rows = torch.randn(8, 6, generator=draws)
        code = model[0](rows) if step % 5 == 3 else model(rows)  # the last layer has no gradient at steps 3, 8, …
        code.square().sum().backward()
        optimiser.step()


def test_it_takes_the_steps_of_torch():
    ours, theirs = _model(), _model()
    _steps(ours, Adam(ours.parameters(), 1e-2, 1e-3), 0, 20)
    _steps(theirs, torch.optim.Adam(theirs.parameters(), 1e-2, weight_decay=1e-3, fused=True), 0, 20)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_it_goes_on_from_a_saved_state():
    whole, half = _model(), _model()
    _steps(whole, Adam(whole.parameters(), 1e-2, 0.0), 0, 12)
    before = Adam(half.parameters(), 1e-2, 0.0)
    _steps(half, before, 0, 6)
    after = Adam(half.parameters(), 1e-2, 0.0)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    _steps(half, after, 6, 12)
    for one, other in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize('fault', ['missing', 'other parameters'])
def test_without_torchs_private_function_the_public_one_takes_the_same_steps(fault, monkeypatch):
    if fault == 'missing':
        monkeypatch.setattr('affekt.training.optimiser.FUNCTION', '_fused_adam_of_another_torch_')
    else:
        monkeypatch.setattr('affekt.training.optimiser.PARAMETERS', ('self', 'grads'))
    assert one_call() is None
    ours, theirs = _model(), _model()
    _steps(ours, Adam(ours.parameters(), 1e-2, 1e-3), 0, 20)
    _steps(theirs, torch.optim.Adam(theirs.parameters(), 1e-2, weight_decay=1e-3, fused=True), 0, 20)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_this_torch_takes_a_step_in_one_call():
    assert one_call() is not None
