"""AffectGPT against arrays of the authors' own module: MERTools 89120b7, my_affectgpt/models/affectgpt.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from published_arrays import TAGS, drawn, inputs, parameter, prompts, tiny_affectgpt, tiny_language_model
from published_files import published_shapes, save_published

from affekt.checkpoints import opened
from affekt.description import (
    KINDS,
    PUBLISHED,
    Adapters,
    Describer,
    Trunk,
    affectgpt_2023,
    affectgpt_2025,
    affectgpt_two_stage,
    inspect_official,
    load_official,
    merged,
    published_sources,
    source_table,
    tiny_trunk,
    with_adapters,
)
from affekt.errors import WeightsError


@pytest.fixture(scope='module')
def arrays(shared_data):
    return np.load(shared_data / 'vectors' / 'affectgpt_tiny.npz')


@pytest.mark.parametrize('tag', TAGS)
def test_embeddings_logits_and_losses_are_those_of_the_authors(shared_data, arrays, tag):
    describer = tiny_affectgpt(tag)
    batches = prompts(shared_data / 'vectors', tag)
    assert len(batches) == (15 if tag in ('qwen2_attention', 'llama_attention') else 4)
    for kind, batch in batches.items():
        with torch.no_grad():
            answered = describer(batch)
        atol = 1e-4 if 'qformer' in tag else 1e-5
        np.testing.assert_allclose(answered.embedded.embeddings, arrays[f'{tag}/{kind}/inputs_embeds'], atol=atol)
        np.testing.assert_allclose(answered.logits, arrays[f'{tag}/{kind}/logits'], atol=1e-4)
        np.testing.assert_allclose(answered.loss, arrays[f'{tag}/{kind}/loss'], atol=1e-5)


@pytest.mark.parametrize('tag', TAGS)
def test_tokens_of_each_source_and_what_goes_before_them_are_those_of_the_authors(arrays, tag):
    describer, features = tiny_affectgpt(tag), inputs(tag)
    for name, published in (('face', 'face'), ('voice', 'audio'), ('multi', 'multi'), ('image', 'image')):
        reader = describer.reader(name)
        own = [features[each] for each in reader.source.joins or (name,)]
        with torch.no_grad():
            tokens, fused = reader(own, [None] * len(own)), reader.fused(own, [None] * len(own))
        np.testing.assert_allclose(tokens, arrays[f'{tag}/{published}_tokens'], atol=1e-5)
        if name == 'multi':
            np.testing.assert_allclose(fused, arrays[f'{tag}/multi_hidden'], atol=1e-5)
        elif name != 'image':
            steps = own[0].flatten(1, -2)
            np.testing.assert_allclose(steps, arrays[f'{tag}/{published}_hidden'], atol=1e-7)


@pytest.mark.parametrize('tag', ['qwen2_attention', 'llama_attention'])
def test_merged_adapters_say_what_the_unmerged_ones_said(arrays, tag):
    state = tiny_affectgpt(tag).state_dict()
    trunk = with_adapters(tiny_language_model(tag), Adapters(rank=4, alpha=32))
    trunk.network.load_state_dict({n.removeprefix('trunk.'): v for n, v in state.items() if n.startswith('trunk.')})
    embeddings = torch.tensor(drawn('embeds', (2, 9, 64)), dtype=torch.float32)
    with torch.no_grad():
        unmerged = trunk.network.eval()(inputs_embeds=embeddings).logits
        layer = trunk.network.base_model.model.model.layers[0].self_attn.q_proj
        np.testing.assert_allclose(layer.get_delta_weight('default'), arrays[f'{tag}/lora/q_proj_delta'], atol=1e-5)
        plain: Trunk = merged(trunk)
        logits = plain.network(inputs_embeds=embeddings).logits
    np.testing.assert_allclose(unmerged, arrays[f'{tag}/lora/unmerged_logits'], atol=1e-5)
    np.testing.assert_allclose(logits, arrays[f'{tag}/lora/merged_logits'], atol=1e-5)
    np.testing.assert_allclose(logits, unmerged, atol=1e-5)
    weight = plain.network.model.layers[0].self_attn.q_proj.weight.detach()
    np.testing.assert_allclose(weight, arrays[f'{tag}/lora/merged_q_proj'], atol=1e-6)
    assert not plain.has_adapters


@pytest.fixture(scope='module')
def qwen_7b():
    """Qwen2.5-7B without numbers."""
    sizes = {
        'hidden_size': 3584, 'intermediate_size': 18944, 'num_hidden_layers': 28, 'num_attention_heads': 28,
        'num_key_value_heads': 4,
    }  # fmt: skip
    with torch.device('meta'):
        trunk = tiny_trunk('qwen2', vocabulary=152064, **sizes)
        return with_adapters(trunk, affectgpt_2025().adapters)


def _numbers(describer: Describer, prefix: str) -> int:
    return sum(p.numel() for n, p in describer.named_parameters() if p.requires_grad and n.startswith(prefix))


@pytest.mark.parametrize(
    ('how', 'heads', 'together'),
    [
        ({}, 16_798_468, 57_168_644),
        ({'multi_fusion': 'qformer'}, 33_743_362, 74_113_538),
        (
            {
                'video_fusion': 'qformer', 'audio_fusion': 'qformer', 'multi_fusion': 'qformer',
                'tokens': {'video': 32, 'audio': 8, 'multi': 16},
            },
            71_495_680, 111_865_856,
        ),
    ],
)  # fmt: skip
def test_the_published_sizes_have_as_many_numbers_as_published(qwen_7b, how, heads, together):
    with torch.device('meta'):
        describer = Describer(qwen_7b, published_sources(768, 1024, **how))
    assert _numbers(describer, 'trunk.') == 40_370_176
    assert _numbers(describer, 'readers.') == heads
    assert _numbers(describer, '') == together


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_published_model_has_settings_that_can_be_built(name):
    published = PUBLISHED[name]()
    names = {'voice', 'face', 'frame'} | ({'multi', 'multi_frame', 'image'} if name == 'affectgpt-2025' else set())
    assert set(source_table(published.sources)) == names
    assert set(KINDS[published.kind].sources) <= names


def test_stages_are_those_of_the_papers():
    assert [stage.samples for stage in affectgpt_two_stage().stages] == [115_595, 332]
    assert [stage.name for stage in affectgpt_2025().stages] == ['single']
    assert affectgpt_2023().adapters is None
    assert affectgpt_2025().sources == published_sources(768, 1024)


def _official(path, shared_data, tag, changed=None, **config):
    """A checkpoint as the authors save it."""
    shapes = published_shapes(shared_data, f'affectgpt_tiny_{tag}')
    state = {
        name: torch.arange(shape[1]).expand(shape) if name.endswith('position_ids') else parameter(name, shape)
        for name, shape in shapes.items()
    }
    if changed:
        state[changed[1]] = state.pop(changed[0])
    return save_published(path, state, config={'model': config})


@pytest.mark.parametrize('tag', ['qwen2_attention', 'llama_attention', 'qwen2_qformer'])
def test_an_official_checkpoint_loads_with_a_row_for_each_of_its_tensors(shared_data, tmp_path, same_process, tag):
    path = _official(tmp_path / 'checkpoint_000030_loss_0.5.pth', shared_data, tag, image_fusion_type='token')
    describer, coverage = load_official(path, tiny_language_model(tag), heads=4)
    assert describer.table['image'].fusion == 'steps'  # as the file notes
    wanted = tiny_affectgpt(tag).learnt()
    assert describer.learnt().keys() == wanted.keys()
    for name, value in describer.learnt().items():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=0)
    assert len(coverage.rows) == len(opened(path).tensors)
    unused = {row.published for row in coverage.rows if row.ours is None}
    assert unused == {row.published for row in coverage.rows if row.published.endswith('position_ids')}


def test_a_published_model_on_qwen_begins_and_ends_with_the_marks_of_its_turns(shared_data, tmp_path, same_process):
    path = _official(tmp_path / 'plain.pth', shared_data, 'qwen2_attention')
    trunk = tiny_language_model('qwen2_attention')
    marks = trunk.vocabulary
    describer, _ = load_official(path, replace(trunk, vocabulary=replace(marks, first=None, end=5)))
    assert (describer.vocabulary.first, describer.vocabulary.end) == (marks.first, marks.end)


def test_a_checkpoint_with_a_renamed_tensor_is_refused_by_name(shared_data, tmp_path, same_process):
    renamed = ('affectgpt_proj.bias', 'affectgpt_projection.bias')
    path = _official(tmp_path / 'renamed.pth', shared_data, 'qwen2_attention', renamed)
    with pytest.raises(WeightsError, match=r'affectgpt_proj\.bias.*affectgpt_projection\.bias'):
        load_official(path, tiny_language_model('qwen2_attention'))


def test_a_checkpoint_of_another_trunk_is_refused(shared_data, tmp_path, same_process):
    path = _official(tmp_path / 'other.pth', shared_data, 'qwen2_attention')
    with pytest.raises(WeightsError, match='width 64'):
        load_official(path, tiny_trunk('qwen2'))


def test_a_checkpoint_of_another_system_is_refused(shared_data, tmp_path, same_process):
    path = save_published(tmp_path / 'other.pth', {'weight': torch.ones(2, 3)})
    with pytest.raises(WeightsError, match='checkpoint of AffectGPT'):
        load_official(path, tiny_trunk('qwen2'))


def test_a_picture_and_frames_of_the_form_of_2023_become_as_many_tokens_as_it_has_queries():
    describer = Describer(tiny_trunk(), affectgpt_2023().sources)
    features = {'frame': torch.randn(8, 32, 768), 'voice': torch.randn(8, 1024)}
    tokens = describer.soft_tokens([describer.prompt(features, 'frame', 'What?')])[0]
    assert {name: tuple(made.shape) for name, made in tokens.items()} == {'voice': (8, 32), 'frame': (32, 32)}
    picture = describer.prompt({'frame': torch.randn(1, 32, 768)}, 'frameonly', 'What?')
    assert describer.soft_tokens([picture])[0]['frame'].shape == (32, 32)


def test_a_checkpoint_without_what_merges_loads_without_it(shared_data, tmp_path, same_process):
    shapes = published_shapes(shared_data, 'affectgpt_tiny_qwen2_attention')
    merging = ('multi_', 'attention_mlp.', 'fc_att.')
    state = {name: parameter(name, shape) for name, shape in shapes.items() if not name.startswith(merging)}
    path = save_published(tmp_path / 'plain.pth', state, config={'datasets': {'x': {'face_or_frame': 'face'}}})
    official = inspect_official(path)
    assert [source.name for source in official.sources] == ['voice', 'face', 'frame', 'image']
    assert (official.kind, official.adapters.rank, official.adapters.alpha) == ('face', 4, 32)
    assert (official.trunk_width, official.trunk_layers) == (64, 2)
    describer, _ = load_official(path, tiny_language_model('qwen2_attention'))
    assert 'multi' not in describer.table


def test_a_trunk_with_another_number_of_layers_is_refused(shared_data, tmp_path, same_process):
    path = _official(tmp_path / 'layers.pth', shared_data, 'qwen2_attention')
    with pytest.raises(WeightsError, match='with 2 layers'):
        load_official(path, tiny_trunk('qwen2', hidden_size=64, num_hidden_layers=3))
