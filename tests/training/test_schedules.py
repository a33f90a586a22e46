"""Learning rates over steps and over layers; order of samples; means of weights; precision that is really there."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.training.averages import WeightAverage
from affekt.training.order import IndexBatches
from affekt.training.precision import has_precision, usable_precision
from affekt.training.schedules import Schedule, layered_groups


def test_shares_rise_in_the_warm_up_and_fall_by_their_formulas():
    shares = {shape: [Schedule(shape, 2, 6, 0.2).share(s) for s in range(1, 8)] for shape in ('linear', 'cosine')}
    # behind the warm-up p = 1/4, 2/4, 3/4, 1, 1; linear: 0.2 + 0.8 (1 - p)
    assert shares['linear'] == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    # cosine: 0.2 + 0.4 (1 + cos(pi p)), cos(pi / 4) = 1 / sqrt(2)
    quarter = 0.4 / math.sqrt(2)
    assert shares['cosine'] == pytest.approx([0.5, 1.0, 0.6 + quarter, 0.6, 0.6 - quarter, 0.2, 0.2])
    assert [Schedule(warm_up=2).share(s) for s in (1, 2, 3, 999)] == [0.5, 1.0, 1.0, 1.0]


def test_shares_are_those_of_torchs_own_schedule():
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], 1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10, eta_min=0.1)
    ours = Schedule('cosine', 0, 10, 0.1)
    for step in range(1, 11):
        optimiser.step()
        theirs.step()
        assert ours.share(step) == pytest.approx(optimiser.param_groups[0]['lr'], abs=1e-12)


def test_wrong_schedules_are_named():
    with pytest.raises(UnknownNameError, match='constant, cosine or linear'):
        Schedule('square')
    for wrong in ({'warm_up': -1}, {'shape': 'cosine', 'warm_up': 5, 'steps': 5}, {'least': 1.5}):
        with pytest.raises(ValueRangeError, match='warm_up of 0 or more'):
            Schedule(**wrong)


def test_each_layer_is_slower_than_the_one_behind_it_and_vectors_do_not_decay():
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ('embed', 'block', 'head')})
    model['frozen'] = nn.Linear(2, 2).requires_grad_(False)
    groups = layered_groups(
        model, [model['embed'], model['block']], learning_rate=1.0, weight_decay=0.3, layer_decay=0.5
    )
    table = {id(p): (group['lr'], group['weight_decay']) for group in groups for p in group['params']}
    assert len(table) == 6
    for name, rate in (('embed', 0.25), ('block', 0.5), ('head', 1.0)):
        assert table[id(model[name].weight)] == (rate, 0.3)
        assert table[id(model[name].bias)] == (rate, 0.0)
    with pytest.raises(ValueRangeError, match='layer_decay'):
        layered_groups(model, [], learning_rate=1.0, layer_decay=0.0)


def test_the_mean_of_weights_is_plain_at_first_and_a_running_one_then():
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.5)
    for weight in (1.0, 3.0, 7.0):
        nn.init.constant_(model.weight, weight)
        average.follow(model)
    # d = 0, 1/2, 1/2 (2/3 is above the decay): 1, then (1 + 3) / 2 = 2, then (2 + 7) / 2 = 4.5
    assert average.tensors['weight'].item() == 4.5
    with average.applied(model):
        assert model.weight.item() == 4.5
    assert model.weight.item() == 7.0


def test_a_tied_weight_has_one_mean():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average = WeightAverage(model, 0.9)
    nn.init.constant_(model[0].weight, 5.0)
    average.follow(model)
    nn.init.constant_(model[0].weight, 7.0)
    with average.applied(model):
        assert model[1].weight.eq(5.0).all()
    assert model[1].weight.eq(7.0).all()


def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own():
    order = IndexBatches(12, 3, seed=1, epochs=2)
    batches = list(order)
    assert len(batches) == len(order) == 8
    epochs = [torch.cat(batches[at : at + 4]) for at in (0, 4)]
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)
    assert [b.tolist() for b in IndexBatches(5, 2, shuffle=False, epochs=1)] == [[0, 1], [2, 3]]


def test_any_place_is_reached_at_once():
    order = IndexBatches(1_000_000, 250, seed=1)
    ahead = order.starting_at(10**9 * order.per_epoch + 3)
    assert next(ahead).shape == (250,)
    some = IndexBatches(12, 3, seed=1, epochs=2)
    for place in range(9):
        rest = [b.tolist() for b in some.starting_at(place)]
        assert rest == [b.tolist() for b in some][place:]


def test_processes_share_the_samples_of_each_batch():
    whole = IndexBatches(20, 4, seed=2, epochs=1)
    parts = [IndexBatches(20, 2, seed=2, epochs=1, rank=rank, ranks=2) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert torch.equal(batch, torch.cat(shares))
    with pytest.raises(ValueRangeError, match='20 samples, 2 x 11 a batch'):
        IndexBatches(20, 11, ranks=2)


def test_half_precision_is_taken_only_where_the_processor_has_it(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx512_f': True, 'avx512_bf16': False})
    assert usable_precision('cpu', 'bfloat16') == 'float32'
    assert 'cpu does not support bfloat16 natively' in caplog.text
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'amx_bf16': True})
    assert usable_precision('cpu', 'bfloat16') == 'bfloat16'
    assert not has_precision('cpu', 'float16')
    monkeypatch.delattr(torch.cpu, 'get_capabilities')
    assert not has_precision('cpu', 'bfloat16')
    assert has_precision('cpu', 'float32')
