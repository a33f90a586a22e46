"""What a describer on disk is: published files and folders of affekt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from clip_describers import QUESTION, saved_describer
from published_arrays import parameter
from published_files import published_shapes, save_published

from affekt.cli import main
from affekt.description import inspected_describer
from affekt.errors import WeightsError
from affekt.nn import read_tensors, save_tensors


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return saved_describer(tmp_path_factory.mktemp('inspected'), kind=['voice', 'face'])


def _inspect(*words):
    return CliRunner().invoke(main, ['describe', 'inspect', *map(str, words)])


def _published(path, shared_data, tag='qwen2_attention', *, renamed=None, without=()):
    shapes = published_shapes(shared_data, f'affectgpt_tiny_{tag}')
    state = {
        name: torch.arange(shape[1]).expand(shape) if name.endswith('position_ids') else parameter(name, shape)
        for name, shape in shapes.items()
        if not name.startswith(tuple(without) or 'nothing')
    }
    if renamed:
        state[renamed[1]] = state.pop(renamed[0])
    return save_published(path, state, config={'model': {}})


def test_a_folder_says_its_sources_adapters_recipes_and_sizes(folder):
    inspected = inspected_describer(folder)
    assert (inspected.form, inspected.trunk_width, inspected.trunk_layers) == ('affekt', 32, 2)
    assert [(source.name, source.fusion) for source in inspected.sources] == [('voice', 'softmax'), ('face', 'gated')]
    assert (inspected.question, inspected.kind) == (QUESTION, 'voice, face')
    assert inspected.recipes == {'voice': 'acoustics-utt'}
    stored, _ = read_tensors(folder / 'describer.safetensors')
    numbers = {
        part: sum(value.numel() for name, value in stored.items() if name.startswith(f'readers.{part}.'))
        for part in ('voice', 'face')
    }
    numbers['adapters'] = sum(value.numel() for name, value in stored.items() if '.lora_' in name)
    assert inspected.numbers == numbers
    assert inspected_describer(folder.parent).to_dict() == inspected.to_dict()  # the run that trained it


@pytest.mark.parametrize(
    ('name', 'other', 'match'),
    [
        ('readers.voice.project.bias', 'readers.voice.projection.bias', r'absent.*project\.bias.*unknown.*projection'),
        ('lora_A', 'lora_C', 'other half'),
        ('readers.face.project.weight', None, r'absent.*face\.project\.weight'),
    ],
)
def test_a_folder_with_a_renamed_or_lost_tensor_is_refused_by_name(folder, tmp_path, name, other, match):
    tensors, _ = read_tensors(folder / 'describer.safetensors')
    full = next(each for each in sorted(tensors) if name in each)
    value = tensors.pop(full)
    if other:
        tensors[full.replace(name, other)] = value
    save_tensors(tmp_path / 'describer.safetensors', tensors)
    (tmp_path / 'describer.json').write_bytes((folder / 'describer.json').read_bytes())
    with pytest.raises(WeightsError, match=match):
        inspected_describer(tmp_path)
    result = _inspect(tmp_path)
    assert result.exit_code == 2
    assert 'Traceback' not in result.output


def test_a_tensor_of_another_shape_and_a_folder_without_a_describer_are_refused(folder, tmp_path):
    tensors, _ = read_tensors(folder / 'describer.safetensors')
    tensors['readers.voice.project.bias'] = torch.zeros(7)
    save_tensors(tmp_path / 'describer.safetensors', tensors)
    (tmp_path / 'describer.json').write_bytes((folder / 'describer.json').read_bytes())
    with pytest.raises(WeightsError, match='another shape'):
        inspected_describer(tmp_path)
    (tmp_path / 'describer.json').write_text('{"trunk": 1}')
    with pytest.raises(WeightsError, match='without'):
        inspected_describer(tmp_path)
    with pytest.raises(WeightsError):
        inspected_describer(tmp_path / 'nowhere')


@pytest.mark.parametrize(('tag', 'fusion'), [('qwen2_attention', 'published'), ('qwen2_qformer', 'qformer')])
def test_a_published_file_says_which_fusion_it_has(shared_data, tmp_path, same_process, tag, fusion):
    path = _published(tmp_path / 'checkpoint_000030_loss_0.5.pth', shared_data, tag)
    inspected = inspected_describer(path)
    fusions = {source.name: source.fusion for source in inspected.sources}
    assert (fusions['face'], fusions['voice']) == (fusion, fusion)
    assert inspected.adapters.rank == 4
    shapes = published_shapes(shared_data, f'affectgpt_tiny_{tag}')
    trained = {name: int(np.prod(shape)) for name, shape in shapes.items() if not name.endswith('position_ids')}
    assert sum(inspected.numbers.values()) == sum(trained.values())
    assert inspected.numbers['adapters'] == sum(size for name, size in trained.items() if '.lora_' in name)
    assert inspected.tensors == len(shapes)
    result = _inspect(path)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    assert {'published': 'attention without softmax', 'qformer': 'Q-Former'}[fusion] in result.output


@pytest.mark.parametrize(
    'name',
    ['affectgpt_proj.bias', 'affectgpt_proj.weight', 'multi_llama_proj.weight', 'fc_att.weight',
     'audio_attention_mlp.weight', 'multi_audio_embs.weight'],
)  # fmt: skip
def test_a_published_file_with_a_renamed_tensor_is_refused_by_name(shared_data, tmp_path, same_process, name):
    other = name.replace('.', 'x.')
    result = _inspect(_published(tmp_path / 'a.pth', shared_data, renamed=(name, other)), '--json')
    assert result.exit_code == 2
    shown = ' '.join(result.stderr.split())
    assert name in shown
    assert other in shown


def test_json_has_everything_of_both_forms(folder, shared_data, tmp_path, same_process):
    ours = json.loads(_inspect(folder, '--json').stdout)
    assert ours['sources'][0]['name'] == 'voice'
    assert ours['adapters']['rank'] == 2
    theirs = json.loads(_inspect(_published(tmp_path / 'a.pth', shared_data), '--json').stdout)
    assert theirs['form'] == 'published'
    assert theirs['numbers']['adapters'] > 0


def test_the_small_describer_is_called_by_its_name_with_all_its_questions():
    shown = _inspect('small').stdout
    assert shown.startswith('the small describer of affekt: ')
    assert 'Feeling (labels), Sentiment (sentiment)' in shown
