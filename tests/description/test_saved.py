from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tiny_describers import KIND, SOURCES

from affekt.description import (
    Adapters,
    Describer,
    DescriberSettings,
    Limits,
    Source,
    open_describer,
    save_describer,
    saved_notes,
    tiny_trunk,
    with_adapters,
)
from affekt.errors import LLMError, UnknownNameError, WeightsError
from affekt.nn import read_tensors, save_tensors


@pytest.fixture(scope='module')
def trained():
    settings = DescriberSettings(longest_prompt=700, keep_empty_words=True)
    sources = (*SOURCES, Source('pulse', 2, standardised=True))
    describer = Describer(with_adapters(tiny_trunk(), Adapters(rank=2, alpha=5)), sources, settings, seed=3)
    with torch.no_grad():
        for name, value in describer.learnt().items():
            value.add_(0.2 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))))
    return describer.eval()


@pytest.fixture
def folder(trained, tmp_path):
    save_describer(trained, tmp_path / 'describer', notes={'score': 0.5})
    return tmp_path / 'describer'


def test_an_opened_describer_says_what_the_saved_one_said(trained, folder):
    opened = open_describer(folder, trunk=tiny_trunk())
    assert (opened.table, opened.settings, opened.adapters) == (trained.table, trained.settings, trained.adapters)
    features = {'voice': torch.ones(3, 6), 'face': torch.ones(2, 4), 'pulse': torch.ones(1, 2)}
    asked = trained.prompt(features, KIND, 'What?', words='Hm.')
    assert opened.generate([asked], Limits(tokens=6)) == trained.generate([asked], Limits(tokens=6))
    for name, value in trained.learnt().items():
        torch.testing.assert_close(opened.learnt()[name], value, rtol=0, atol=0)
    assert saved_notes(folder)['notes'] == {'score': 0.5}


def test_only_what_was_learnt_is_written_in_half_the_size_where_wanted(trained, folder, tmp_path):
    stored, _ = read_tensors(folder / 'describer.safetensors')
    assert not any('base_layer' in name or 'embed_tokens' in name or 'lm_head' in name for name in stored)
    save_describer(trained, tmp_path / 'half', dtype='float16')
    half, _ = read_tensors(tmp_path / 'half' / 'describer.safetensors')
    assert {value.dtype for value in half.values()} == {torch.float16}
    opened = open_describer(tmp_path / 'half', trunk=tiny_trunk())
    for name, value in trained.learnt().items():
        torch.testing.assert_close(opened.learnt()[name], value, rtol=1e-3, atol=1e-3)


def test_another_trunk_is_refused(folder):
    with pytest.raises(WeightsError, match='width 32'):
        open_describer(folder, trunk=tiny_trunk(hidden_size=64))
    with pytest.raises(LLMError, match='tiny llama'):
        open_describer(folder)  # its noted trunk is no name that can be opened


@pytest.mark.parametrize(
    'change',
    [
        lambda folder: (folder / 'describer.json').unlink(),
        lambda folder: (folder / 'describer.json').write_text('[1'),
        lambda folder: (folder / 'describer.json').write_text('{}'),
        lambda folder: (folder / 'describer.json').write_text('3'),
        lambda folder: _changed(folder, lambda content: content['settings'].update(colour=1)),
        lambda folder: _changed(folder, lambda content: content['sources'][0].pop('joins')),
        lambda folder: (folder / 'describer.safetensors').unlink(),
        lambda folder: (folder / 'describer.safetensors').write_bytes(b'no'),
    ],
)
def test_a_folder_that_holds_no_describer_is_refused(folder, change):
    change(folder)
    with pytest.raises(WeightsError):
        open_describer(folder, trunk=tiny_trunk())


def _changed(folder, change):
    content = json.loads((folder / 'describer.json').read_text())
    change(content)
    (folder / 'describer.json').write_text(json.dumps(content))


def test_a_renamed_or_absent_tensor_is_refused_by_name(folder):
    tensors, _ = read_tensors(folder / 'describer.safetensors')
    tensors['readers.speech.project.bias'] = tensors.pop('readers.voice.project.bias')
    save_tensors(folder / 'describer.safetensors', tensors)
    with pytest.raises(WeightsError, match=r'readers\.speech\.project\.bias.*readers\.voice\.project\.bias'):
        open_describer(folder, trunk=tiny_trunk())


def test_weights_that_are_no_numbers_or_do_not_fit_are_not_saved(trained, tmp_path):
    with pytest.raises(UnknownNameError, match='float8'):
        save_describer(trained, tmp_path / 'out', dtype='float8')
    broken = Describer(tiny_trunk(), [replace(SOURCES[0])])
    with torch.no_grad():
        broken.reader('voice').project.bias[0] = 1e6
    with pytest.raises(WeightsError, match='finite weights in float16'):
        save_describer(broken, tmp_path / 'out', dtype='float16')
    assert not (tmp_path / 'out').exists()


def test_a_renamed_tensor_is_named_with_its_file_and_what_to_do_with_the_folder(folder):
    path = folder / 'describer.safetensors'
    tensors, _ = read_tensors(path)
    name = next(iter(tensors))
    save_tensors(path, {f'other.{key}' if key == name else key: value for key, value in tensors.items()}, {})
    with pytest.raises(WeightsError, match=r'describer\.safetensors: .*; get the folder again') as raised:
        open_describer(folder, trunk=tiny_trunk())
    assert f"'other.{name}'" in str(raised.value)
    assert f"'{name}'" in str(raised.value)
