"""Tokenizers that do not belong to the network beside them: no word is read as an unknown one in silence."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_models

from affekt.corpora import Facts, Manifest, Sample
from affekt.encoders.model_files import deciding_files
from affekt.errors import WeightsError
from affekt.features import Store, encoder_recipe, extract

pytest.importorskip('transformers')


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    return tiny_models.text(tmp_path_factory.mktemp('bert'), 'bert')


@pytest.fixture
def copied(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / 'copy')


def opened(folder):
    recipe = encoder_recipe('own-text-utt', str(folder))
    return recipe, recipe.open(recipe)


def test_a_folder_without_a_tokenizer_is_refused_with_the_way_to_write_one(copied):
    for name in ('vocab.txt', 'tokenizer_config.json'):
        (copied / name).unlink()
    with pytest.raises(WeightsError, match=r'tokenizer with words.*save_pretrained'):
        opened(copied)


def test_a_tokenizer_with_more_or_far_fewer_tokens_belongs_to_another_model(copied):
    words = (copied / 'vocab.txt').read_text(encoding='utf-8').split()
    known = len(words)
    for size in (known + 1, known // 2):
        many = [*words, 'more'][:size]
        (copied / 'vocab.txt').write_text('\n'.join(many), encoding='utf-8')
        with pytest.raises(WeightsError, match=rf'which has {known} tokens; got one of {size} tokens'):
            opened(copied)


def test_a_text_of_unknown_words_alone_has_no_features_and_is_named(bert, tmp_path):
    rows = (Sample('a', text='i am glad'), Sample('b', text='ΔΩ ΨΦ'), Sample('c', text='glad ΔΩ'))
    recipe, _ = opened(bert)
    made = extract(Manifest(Facts('toy'), rows), recipe, tmp_path)
    assert dict(made.missing) == {'b': 'no word that the tokenizer knows'}
    assert Store(made.path).names == ('a', 'c')


def test_parts_that_an_index_names_are_beside_it_and_hashed(copied):
    whole = deciding_files(copied)
    (copied / 'model.safetensors').rename(copied / 'model-00001-of-00001.safetensors')
    index = copied / 'model.safetensors.index.json'
    index.write_text(json.dumps({'weight_map': {'x': 'model-00001-of-00001.safetensors'}}))
    parts = deciding_files(copied)
    assert parts['model-00001-of-00001.safetensors'] == whole['model.safetensors']
    assert index.name in parts
    for name, said in (('../w.safetensors', 'elsewhere'), ('gone.safetensors', 'no .gone')):
        index.write_text(json.dumps({'weight_map': {'x': name}}))
        with pytest.raises(WeightsError, match=said):
            deciding_files(copied)


def test_an_adapter_is_refused_with_the_way_to_join_it(copied):
    (copied / 'adapter_config.json').write_text('{}')
    with pytest.raises(WeightsError, match='merge_and_unload'):
        deciding_files(copied)


@pytest.mark.parametrize(
    ('recipe', 'make'),
    [('own-audio-utt', lambda path: tiny_models.speech(path, 'hubert')), ('own-video-utt', tiny_models.dinov2)],
)  # fmt: skip
def test_a_network_without_what_prepares_its_input_is_refused_by_the_name_of_the_file(recipe, make, tmp_path):
    folder = make(tmp_path / 'network')
    (folder / 'preprocessor_config.json').unlink()
    held = encoder_recipe(recipe, str(folder))
    with pytest.raises(WeightsError, match=r'expected preprocessor_config\.json in'):
        held.open(held)
