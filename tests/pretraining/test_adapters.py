"""Adapters and linear probes: few weights learn, and what comes out is a plain model."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from small_clips import FACES, SMALL, labelled, rated

from affekt.nn import Attention, Block, BlockForm
from affekt.pretraining import HicmaeClassifier, SvfapClassifier, TuningSettings, predict_proba, tune
from affekt.pretraining.adapters import MIDDLE, STRENGTHS, adapt, merged, probe
from affekt.pretraining.objectives import Goal

if find_spec('peft') is None:  # to import it takes seconds, in each process that collects tests
    pytest.skip('peft is absent (pip install affekt[torch])', allow_module_level=True)
QUICK = TuningSettings(epochs=4, batch_size=6, learning_rate=0.3, warm_up=1, stride=1, mixing=None, augments=False)


def network(form=SMALL, outputs: int = 3):
    torch.manual_seed(0)
    return (SvfapClassifier if form is FACES else HicmaeClassifier)(form, outputs, 0.0).eval()


def lively(form):
    """A network whose every weight counts."""
    model = network(form)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def inputs(form=SMALL):
    rng = torch.Generator().manual_seed(1)
    video = torch.randn(2, 3, form.frames, form.size, form.size, generator=rng)
    return video, torch.randn(2, 1, 64, 128, generator=rng)


@pytest.mark.parametrize('form', [SMALL, FACES])
def test_every_projection_that_is_adapted_changes_the_answer_and_merges_into_plain_weights(form):
    model, plain = lively(form), lively(form)
    adapt(model, rank=2, seed=0)
    with torch.no_grad():
        before = plain(*inputs(form))
        untouched = model(*inputs(form))
        torch.testing.assert_close(untouched, before)
        added = {name: value for name, value in model.named_parameters() if '.lora_B.' in name}
        for parts in ('qkv', '.q.', '.kv.', 'attn.proj', 'fc1', 'fc2'):
            names = [name for name in added if parts in name]
            assert names, parts
            for name in names:  # each by itself, for one that is read past changes nothing
                added[name].normal_(0, 0.5)
                assert not torch.equal(model(*inputs(form)), untouched), name
                added[name].zero_()
        for value in added.values():
            value.normal_(0, 0.05)
        answers = model(*inputs(form))
        merged(model)
        torch.testing.assert_close(model(*inputs(form)), answers, atol=1e-4, rtol=1e-4)
        plain.load_state_dict(model.state_dict(), strict=True)
        torch.testing.assert_close(plain(*inputs(form)), answers, atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_only_additions_and_what_stands_before_the_answer_are_learnt():
    model = network()
    adapt(model, rank=2, seed=0)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    whole = [name for name in names if '.lora_' not in name]
    assert sorted(whole) == [
        'audio_layer_weights', 'fc_norm.bias', 'fc_norm.weight', 'head.bias', 'head.weight', 'video_layer_weights',
    ]  # fmt: skip
    assert 'encoder.patch_embed.proj.weight' not in names
    # of each (O, I) map, rank (O + I): qkv and q, kv, proj, fc1, fc2 in 4 blocks of the encoders and 2 of the fusion
    of_block = (96 + 32) + (32 + 32) + 2 * (128 + 32)
    of_cross = (32 + 32) + (64 + 32) + (32 + 32)
    count = sum(value.numel() for name, value in model.named_parameters() if '.lora_' in name)
    assert count == 2 * (6 * of_block + 2 * of_cross)


def test_a_projection_with_something_around_it_is_called_for_a_context_too():
    torch.manual_seed(0)
    layer, block = Attention(8, 2), Block(BlockForm(8, 2))
    tokens, context = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    plain = layer(tokens, context), block(tokens, context)

    class Around(torch.nn.Module):
        def __init__(self, inside):
            super().__init__()
            self.inside = inside

        def forward(self, tokens, bias=None):
            return 2 * self.inside(tokens, bias)

    layer.qkv, block.attn.qkv = Around(layer.qkv), Around(block.attn.qkv)
    assert not torch.allclose(layer(tokens, context), plain[0])
    assert not torch.allclose(block(tokens, context), plain[1])


def test_adapters_learn_and_leave_a_plain_model():
    tuned = tune(network(), labelled(18), labelled(9, seed=1), replace(QUICK, method='lora', epochs=8, rank=4))
    assert tuned.best_score > 0.8
    network().load_state_dict(tuned.model.state_dict(), strict=True)
    assert tuned.model.encoder.blocks[0].attn.qkv.weight.shape == (96, 32)


def test_a_linear_probe_changes_the_head_alone_and_validation_chooses_its_strength():
    before = network().state_dict()
    tuned = tune(network(), labelled(18), labelled(9, seed=1), replace(QUICK, method='linear'))
    after = tuned.model.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ['head.weight', 'head.bias']
    assert tuned.best_score == max(row['score'] for row in tuned.history) == 1.0
    clips = [each.clip for each in labelled(9, seed=1)]
    answers = predict_proba(tuned.model, clips, stride=1)
    assert answers.argmax(axis=1).tolist() == [0, 1, 2] * 3


def test_features_of_a_probe_are_computed_once(tmp_path):
    settings = replace(QUICK, method='linear')
    tune(network(), labelled(6), labelled(3, seed=1), settings, folder=tmp_path)

    def never():
        raise AssertionError('opened again')

    again = [replace(each, clip=never) for each in labelled(6)]
    kept = [path.name for path in tmp_path.glob('features-*')]
    assert sorted(kept) == ['features-0-0000000.safetensors', 'features-1-0000000.safetensors']
    model = network()
    goal = Goal.of(again, 3, settings)
    saved = {'data': 0}
    probe(model, labelled(6), [], goal, settings, folder=tmp_path / 'other', depends_on=saved)
    probe(model, again, [], goal, settings, folder=tmp_path / 'other', resume=True, depends_on=saved)


def test_a_probe_of_numbers_answers_in_their_unit():
    clips, held_out = rated(16), rated(8, seed=1)
    for objective in ('mse', 'ccc', 'pcc'):
        settings = replace(QUICK, method='linear', objective=objective)
        tuned = tune(network(outputs=2), clips, held_out, settings)
        said = predict_proba(tuned.model, [each.clip for each in held_out], stride=1, numbers=True)
        truth = np.stack([each.target for each in held_out])
        assert np.corrcoef(said[:, 0], truth[:, 0])[0, 1] > 0.9, objective
        if objective != 'pcc':
            assert np.abs(said - truth).mean(axis=0)[0] < 0.5 * truth.std(axis=0)[0]


def test_validation_chooses_no_strength_by_the_published_protocol():
    # published validation lists are the test lists
    clips, held_out = labelled(18), labelled(9, seed=1)
    tuned = tune(network(), clips, held_out, replace(QUICK, method='linear', reference=True))
    assert tuned.epoch == STRENGTHS.index(MIDDLE) + 1
    assert tuned.best_score == tuned.history[tuned.epoch - 1]['score']
