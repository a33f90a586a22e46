"""Scores with modalities missing: what is withheld is what the name says, and cannot be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import training_cases as cases

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.training import (
    Samples,
    missing_modality_answers,
    missing_modality_scores,
    predict,
    train,
    with_gaps,
)


class Watching(torch.nn.Module):
    """Says which modalities it was given."""

    def forward(self, features, keep_mask):
        from affekt.fusion import Fused

        said = torch.stack([keep_mask[name].float() for name in features], dim=1)
        return Fused(said, said, said[:, :0])


def masks(samples, **given):
    found = {each.name: each for each in missing_modality_answers(Watching(), samples, **given)}
    return {name: (each.index, each.predicted.logits.bool()) for name, each in found.items()}


def test_every_set_of_modalities_and_every_rate_is_what_its_name_says():
    samples = cases.samples(300)
    found = masks(samples)
    fixed = {'audio', 'text', 'video', 'audio+text', 'audio+video', 'text+video'}
    assert set(found) == {'complete', *fixed, *(f'any:0.{at}' for at in range(1, 8))}
    assert found['complete'][1].all()
    for name in fixed:
        wanted = torch.tensor([modality in name.split('+') for modality in samples.features])
        assert (found[name][1] == wanted).all(), name
    for at in range(1, 7):
        kept = found[f'any:0.{at}'][1]
        assert (~kept).double().mean().item() == pytest.approx(at / 10, abs=1e-9)  # 900 cells: tenths are exact
        assert kept.any(dim=1).all()
    # 0.7 of three modalities: two thirds, one stays.
    assert (found['any:0.7'][1].sum(dim=1) == 1).all()


def test_what_a_sample_lacks_is_not_given_back_and_samples_without_anything_kept_are_left_out():
    samples = replace(cases.samples(100), present={'audio': torch.arange(100) % 4 > 0})
    found = masks(samples, rates=(0.5,))
    index, _ = found['audio']
    assert index.tolist() == [at for at in range(100) if at % 4]
    kept = torch.zeros(100, 3, dtype=torch.bool)
    kept[found['any:0.5'][0]] = found['any:0.5'][1]
    assert not kept[::4, 0].any()
    assert kept.any(dim=1).all()
    assert int(kept.sum()) == 275 - round(0.5 * 275)
    assert missing_modality_scores(Watching(), samples, 'weighted_f1').answered['audio'] == 75


def test_gaps_depend_on_names_and_seed_but_not_on_order():
    samples = cases.samples(60)
    back = torch.arange(59, -1, -1)
    one, two, other = (masks(*given, **named)['any:0.4'][1] for given, named in (
        ((samples,), {}), ((samples.subset(back),), {}), ((samples,), {'seed': 1})))  # fmt: skip
    assert torch.equal(one, two[back])
    assert not torch.equal(one, other)


def test_samples_with_gaps_are_those_that_a_rate_is_scored_on_and_copies_differ():
    samples = cases.samples(60)
    gapped = with_gaps(samples, 0.4)
    kept = torch.stack([gapped.presence(name) for name in samples.features], dim=1)
    assert torch.equal(kept, masks(samples)['any:0.4'][1])
    twice = with_gaps(samples.subset(torch.arange(60).repeat(2)), 0.4)
    there = torch.stack([twice.presence(name) for name in samples.features], dim=1)
    assert not torch.equal(there[:60], there[60:])
    with pytest.raises(ValueRangeError, match='a rate above 0'):
        with_gaps(samples, 1.0)


def test_a_trained_model_loses_with_what_is_withheld_and_reads_none_of_it():
    test = cases.samples(150, 2)
    model = train(
        cases.model('gated'), cases.samples(300), cases.samples(60, 1), replace(cases.SETTINGS, epochs=20)
    ).model
    found = missing_modality_scores(model, test, 'weighted_f1')
    assert found.complete > max(found.fixed.values()) > 0
    assert found.complete > found.random['any:0.1'] > found.random['any:0.7']
    assert found.fixed_mean == pytest.approx(np.mean(list(found.fixed.values())))
    features = dict(test.features)
    features['text'] = torch.full_like(features['text'], 1e6)
    spoilt = missing_modality_scores(model, replace(test, features=features), 'weighted_f1')
    assert spoilt.fixed['audio+video'] == found.fixed['audio+video']
    assert spoilt.fixed['text'] != found.fixed['text']


@pytest.mark.parametrize('name', ['attention', 'mult'])
def test_sequences_do_without_too(name):
    options = {'layers': 1} if name == 'mult' else {}
    samples = cases.samples(20, level='frame')
    model = cases.model(name, level='frame', options=options).eval()
    found = {each.name: each.predicted for each in missing_modality_answers(model, samples, rates=(0.5,))}
    assert torch.equal(found['complete'].logits, predict(model, samples).logits)
    assert all(bool(each.logits.isfinite().all()) for each in found.values())
    assert not torch.equal(found['text'].logits, found['audio'].logits)


def test_one_modality_has_nothing_to_miss_and_wrong_rates_are_named():
    samples = cases.samples(10)
    alone = Samples({'text': samples.features['text']}, samples.labels)
    found = missing_modality_scores(Watching(), alone, 'weighted_f1')
    assert (found.fixed, found.random) == ({}, {})
    assert np.isnan([found.fixed_mean, found.random_mean]).all()
    with pytest.raises(ValueRangeError, match='rates above 0'):
        missing_modality_scores(Watching(), samples, 'weighted_f1', rates=(0.0,))
    with pytest.raises(UnknownNameError, match='a score among'):
        missing_modality_scores(Watching(), samples, 'luck')


def test_a_modality_that_every_sample_lacks_has_no_answers_and_no_score():
    samples = replace(cases.samples(30), present={'audio': torch.zeros(30, dtype=torch.bool)})
    index, answers = masks(samples, rates=())['audio']
    assert (len(index), answers.shape) == (0, (0, 3))
    scores = missing_modality_scores(cases.model(), samples, 'weighted_f1', rates=())
    assert np.isnan(scores.fixed['audio'])
    assert scores.answered['audio'] == 0
    defined = [score for name, score in scores.fixed.items() if name != 'audio']
    assert scores.fixed_mean == pytest.approx(np.mean(defined))
