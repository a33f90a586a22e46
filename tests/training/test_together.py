"""Folds and draws trained as one batched model end where they end alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import training_cases as cases

from affekt.errors import RunError, ShapeError, TrainingError, ValueRangeError
from affekt.training import Split, train, train_together
from affekt.training.checkpoints import moments_of, restore_moments
from affekt.training.optimiser import Adam
from affekt.training.together import _SeparateAdam

NAMES = [
    ('attention', 'utterance', {}),
    ('lmf', 'utterance', {}),
    ('mmim', 'utterance', {}),
    ('gated', 'utterance', {}),
    ('mfn', 'frame', {'memory': 8}),
    ('mult', 'frame', {'layers': 1, 'heads': 2}),
]
DRAWS = [
    replace(cases.SETTINGS, epochs=3, seed=1),
    replace(cases.SETTINGS, epochs=3, seed=2, learning_rate=1e-3, weight_decay=1e-3, clip_norm=0.1),
    replace(cases.SETTINGS, epochs=3, seed=3, clip_norm=None, clip_value=0.01),
]


CASES = [(*named, DRAWS) for named in NAMES] + [(*NAMES[0], [replace(cases.SETTINGS, epochs=3)] * 3)]


def _splits(count: int) -> list[Split]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(4))
    # 60, 55 and 61 training samples: the last batches differ in size
    return [Split(order[30:], order[:30]), Split(order[:55], order[55:]), Split(order[:61], order[61:])]


@pytest.mark.parametrize(('name', 'level', 'options', 'settings'), CASES)
def test_models_trained_together_end_where_they_end_alone(name, level, options, settings):
    held, splits = cases.samples(90, level=level), _splits(90)
    changes = {'level': level, 'dropout': 0.0, 'options': options}
    together = train_together([cases.model(name, i, **changes) for i in range(3)], held, splits, settings)
    for i, (split, own) in enumerate(zip(splits, settings, strict=True)):
        model = cases.model(name, i, **changes)
        alone = train(model, held.subset(split.training), held.subset(split.validation), own)
        assert together[i].best_epoch == alone.best_epoch
        for ours, theirs in zip(together[i].history, alone.history, strict=True):
            assert ours == pytest.approx(theirs, abs=2e-4)


@pytest.mark.parametrize('decay', [0.0, 1e-2])
def test_a_model_without_a_batch_at_a_step_stays_as_it_is(decay):
    samples = cases.samples(90)
    order = torch.arange(90)
    splits = [Split(order[:80], order[80:]), Split(order[:17], order[80:])]  # 5 batches and 2
    settings = replace(cases.SETTINGS, epochs=4, weight_decay=decay)
    together = train_together([cases.model(seed=i, dropout=0.0) for i in range(2)], samples, splits, [settings] * 2)
    alone = train(
        cases.model(seed=1, dropout=0.0), samples.subset(splits[1].training), samples.subset(splits[1].validation),
        settings,
    )  # fmt: skip
    for ours, theirs in zip(together[1].history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)


def test_moments_that_an_older_version_saved_are_continued():
    gradients = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(5))
    weight = torch.ones(2, 3, requires_grad=True)
    older = Adam([weight], 0.1, 0.0)
    weight.grad = gradients[0]
    older.step()
    continued = weight.detach().clone().requires_grad_()
    newer = _SeparateAdam([continued], torch.full((2,), 0.1), torch.zeros(2))
    restore_moments(newer, {name: value.clone() for name, value in moments_of(older).items()})
    weight.grad = continued.grad = gradients[1]
    older.step()
    newer.step()
    torch.testing.assert_close(continued, weight)


@pytest.mark.parametrize('known', [0, 12])
def test_losses_without_known_truth_are_not_measured_whether_alone_or_together(known):
    # batches of 4: where 12 of 60 categories are known, some batches have none
    held, splits = cases.samples(90), _splits(90)[:1] * 2
    labels = held.labels.clone()
    labels[splits[0].training[known:]] = -1
    held, settings = replace(held, labels=labels), replace(cases.SETTINGS, epochs=2, batch_size=4)
    together = train_together([cases.model(dropout=0.0) for _ in range(2)], held, splits, [settings] * 2)
    split, model = splits[0], cases.model(dropout=0.0)
    alone = train(model, held.subset(split.training), held.subset(split.validation), settings)
    for ours, theirs in zip(together[1].history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4, nan_ok=True)
        assert math.isnan(theirs['category']) == (known == 0)
        if known:  # with 0 for most batches it would be far below the entropy of a uniform guess, log 3 = 1.10
            assert 0.7 < theirs['category'] < 1.7
        assert theirs['training_loss'] >= theirs['value']


def test_each_model_stops_by_its_own_validation():
    held, splits = cases.samples(90), _splits(90)
    settings = replace(cases.SETTINGS, epochs=60, learning_rate=2e-2, patience=3)
    trained = train_together([cases.model(seed=i) for i in range(3)], held, splits, [settings] * 3)
    assert all(len(run.history) in (run.best_epoch + 3, 60) for run in trained)


def test_dropout_differs_between_models():
    held, split = cases.samples(90), _splits(90)[0]
    twice = train_together([cases.model(seed=0), cases.model(seed=0)], held, [split] * 2, [cases.SETTINGS] * 2)
    assert twice[0].history != twice[1].history


def test_models_killed_together_go_on_to_the_same_numbers(tmp_path, killed_process):
    whole = train_together([cases.model(seed=i) for i in range(3)], **cases.several())
    killed_process(cases.together_killed_after, str(tmp_path / 'run'), 3)
    others = [cases.model(seed=70 + i) for i in range(3)]  # their weights must come from the checkpoint
    resumed = train_together(others, **cases.several(), folder=tmp_path / 'run', resume=True)
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours.history == theirs.history
        assert ours.best_epoch == theirs.best_epoch
        for name, value in theirs.model.state_dict().items():
            assert torch.equal(ours.model.state_dict()[name], value), name
    again = cases.several()
    again['settings'] = [replace(own, learning_rate=0.5) for own in again['settings']]
    wider = [cases.model(seed=i, hidden=24) for i in range(3)]
    with pytest.raises(TrainingError, match=r'expected a checkpoint of this run; got .*size mismatch'):
        train_together(wider, **cases.several(), folder=tmp_path / 'run', resume=True)
    with pytest.raises(RunError, match='other values for models'):
        train_together(others, **again, folder=tmp_path / 'run', resume=True)


def test_what_cannot_be_trained_together_is_refused():
    held, splits = cases.samples(90), _splits(90)
    with pytest.raises(ShapeError, match='all models of one shape'):
        train_together([cases.model(), cases.model(hidden=8)], held, splits[:2], [cases.SETTINGS] * 2)
    with pytest.raises(ValueRangeError, match='settings that differ in seed'):
        settings = [cases.SETTINGS, replace(cases.SETTINGS, batch_size=8)]
        train_together([cases.model(), cases.model()], held, splits[:2], settings)
    frames = cases.samples(90, level='frame')
    with pytest.raises(TrainingError, match='torch has no batched LSTM'):
        train_together([cases.model(level='frame')], frames, splits[:1], [cases.SETTINGS])


def test_padding_of_the_last_batch_is_refused_where_a_published_loss_would_see_it():
    held, splits = cases.samples(90), _splits(90)
    with pytest.raises(ShapeError, match='batches of one size'):
        models = [cases.model('mmim', form='reference') for _ in splits]
        train_together(models, held, splits, [cases.SETTINGS] * 3)
