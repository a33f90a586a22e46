"""Optimisers take the steps of torch's, Adam in one call too, and import no compiler."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from inspect import unwrap

import pytest
import torch
import training_cases as cases
from torch.optim import Optimizer

from affekt.training import LBFGS, AdamW, PlainAdam, train, train_together
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


@pytest.mark.parametrize(('ours', 'theirs'), [(AdamW, torch.optim.AdamW), (PlainAdam, torch.optim.Adam)])
@pytest.mark.parametrize('is_fused', [False, True])
def test_optimisers_without_a_compiler_take_the_steps_of_torch(ours, theirs, is_fused):
    models = _model(), _model()
    for model, kind in zip(models, (ours, theirs), strict=True):
        _steps(model, kind(model.parameters(), 1e-2, weight_decay=1e-3, fused=is_fused), 0, 20)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)


def _without_compiler(monkeypatch) -> None:
    """To import torch's compiler fails, and what it has told torch's methods is forgotten."""
    monkeypatch.setitem(sys.modules, 'torch._dynamo', None)
    for method in (Optimizer.add_param_group, Optimizer.load_state_dict, Optimizer.state_dict, Optimizer.zero_grad):
        monkeypatch.delattr(unwrap(method), '__dynamo_disable', raising=False)


def test_torchs_own_optimisers_import_its_compiler(monkeypatch):
    _without_compiler(monkeypatch)
    with pytest.raises(ImportError, match='_dynamo'):
        torch.optim.AdamW(_model().parameters())


@pytest.mark.parametrize('kind', [Adam, AdamW, LBFGS, PlainAdam])
def test_no_optimiser_imports_the_compiler(kind, monkeypatch):
    _without_compiler(monkeypatch)
    model = _model()
    optimiser = Adam(model.parameters(), 1e-2, 0.0) if kind is Adam else kind(model.parameters(), 1e-2)
    optimiser.load_state_dict(optimiser.state_dict())

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = model(torch.ones(3, 6)).square().sum()
        value.backward()
        return value

    before = loss().item()
    for _ in range(3):
        optimiser.step(loss)
    assert loss().item() < before


def test_training_imports_no_compiler(tmp_path, monkeypatch):
    _without_compiler(monkeypatch)
    train(cases.model(), cases.samples(24), cases.samples(12, 1), replace(cases.SETTINGS, epochs=1), folder=tmp_path)
    several = cases.several()
    train_together([cases.model(seed=i) for i in range(3)], **several)
