"""Where weights come from: folders and the hub, what is refused, and how recipes of different weights stay apart."""

from __future__ import annotations

import json
import pickle
import shutil
import sys

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch
from safetensors.torch import load_file, save_file

from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.encoders.folders import model_folder, open_network
from affekt.encoders.published import PUBLISHED
from affekt.encoders.tokens import open_tokenizer
from affekt.errors import MissingExtraError, RunError, UnknownNameError, ValueRangeError, WeightsError
from affekt.features import RECIPES, Store, encoder_names, extract, listed_encoders, recipe_named
from affekt.runs import file_sha256

MANIFEST = Manifest(Facts('toy'), (Sample('a', text='so glad you came'), Sample('b', text='rain')))


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    return tiny_models.text(tmp_path_factory.mktemp('bert') / 'tiny', 'bert')


@pytest.fixture
def copied(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / 'copied')


def test_a_recipe_names_every_file_that_its_values_depend_on(bert):
    recipe = recipe_named('own-text-utt', model=str(bert))
    assert set(recipe.facts['files']) == {'config.json', 'model.safetensors', 'tokenizer_config.json', 'vocab.txt'}
    assert recipe.facts['files']['model.safetensors'] == file_sha256(bert / 'model.safetensors')
    assert (recipe.dimension, recipe.facts['layers'], recipe.facts['architecture']) == (tiny_models.WIDTH, 5, 'bert')


@pytest.mark.parametrize('file', ['model.safetensors', 'vocab.txt'])
def test_other_weights_or_words_are_another_recipe_and_never_share_a_store(bert, copied, tmp_path, file):
    held = (copied / file).read_bytes()
    (copied / file).write_bytes(held[:-8] + bytes(8) if file == 'model.safetensors' else held + b'new\n')
    first, second = (recipe_named('own-text-utt', model=str(folder)) for folder in (bert, copied))
    assert first.hash != second.hash
    extract(MANIFEST, first, tmp_path / 'out')
    with pytest.raises(RunError, match='others'):
        extract(MANIFEST, second, tmp_path / 'out')


def test_where_a_folder_lies_does_not_matter(bert, copied):
    assert recipe_named('own-text-utt', model=str(copied)).hash == recipe_named('own-text-utt', model=str(bert)).hash


def test_plain_tensors_of_torch_are_read_as_safetensors_are(bert, copied, tmp_path):
    torch.save(load_file(copied / 'model.safetensors'), copied / 'pytorch_model.bin')
    (copied / 'model.safetensors').unlink()
    stores = [
        Store(extract(MANIFEST, recipe_named('own-text-utt', model=str(folder)), tmp_path / folder.name).path.parent)
        for folder in (bert, copied)
    ]
    np.testing.assert_array_equal(stores[0].matrix(['a', 'b']), stores[1].matrix(['a', 'b']))


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, 'w'))


def _bare_pickle(held, path):
    path.write_bytes(pickle.dumps(held, protocol=2))


@pytest.mark.parametrize('save', [_bare_pickle, torch.save])
def test_a_pickle_that_would_run_something_is_refused(copied, tmp_path, save):
    (copied / 'model.safetensors').unlink()
    save({'embeddings.word_embeddings.weight': _Trap(str(tmp_path / 'sprung'))}, copied / 'pytorch_model.bin')
    with pytest.raises(WeightsError, match='without running a program'):
        extract(MANIFEST, recipe_named('own-text-utt', model=str(copied)), tmp_path / 'out')
    assert not (tmp_path / 'sprung').exists()


def test_a_program_beside_the_weights_is_not_run(copied, tmp_path):
    config = json.loads((copied / 'config.json').read_text())
    config |= {'model_type': 'baichuan', 'auto_map': {'AutoConfig': 'own.Config', 'AutoModel': 'own.Model'}}
    (copied / 'config.json').write_text(json.dumps(config))
    (copied / 'own.py').write_text(f'open({str(tmp_path / "sprung")!r}, "w")')
    with pytest.raises(UnknownNameError, match='features import'):
        recipe_named('own-text-utt', model=str(copied))
    with pytest.raises(UnknownNameError, match='its own program'):
        recipe_named('merbench-Baichuan-13B-Base-utt')
    assert not (tmp_path / 'sprung').exists()


def test_weights_that_do_not_fill_the_network_are_refused(copied, tmp_path):
    held = load_file(copied / 'model.safetensors')
    kept = {name: value for name, value in held.items() if 'pooler' not in name}
    save_file(kept, copied / 'model.safetensors', {'format': 'pt'})  # nothing passes through the pooler
    extract(MANIFEST, recipe_named('own-text-utt', model=str(copied)), tmp_path / 'whole')
    save_file({name: value for name, value in kept.items() if 'layer.4.' not in name}, copied / 'model.safetensors',
              {'format': 'pt'})  # fmt: skip
    with pytest.raises(WeightsError, match=r'16 missing \(encoder.layer.4'):
        extract(MANIFEST, recipe_named('own-text-utt', model=str(copied)), tmp_path / 'part')


@pytest.mark.parametrize(('network', 'kind', 'loader'), [
    ('BertForMaskedLM', 'bert', 'AutoModel'), ('GPT2LMHeadModel', 'gpt2', 'AutoModel'),
    ('HubertForCTC', 'hubert', 'AutoModel'), ('T5ForConditionalGeneration', 't5', 'T5EncoderModel'),
])  # fmt: skip
def test_heads_and_old_names_of_published_files_do_not_matter(network, kind, loader, tmp_path):
    # files of 2019 say gamma and beta; those before torch 2.1 split a normed weight into _g and _v
    folder = tiny_models.with_head(tmp_path / kind, network, kind)
    _, modern = open_network(folder, loader, 'cpu', 'float32')
    held = load_file(folder / 'model.safetensors')
    renames = {'parametrizations.weight.original0': 'weight_g', 'parametrizations.weight.original1': 'weight_v',
               'LayerNorm.weight': 'LayerNorm.gamma', 'LayerNorm.bias': 'LayerNorm.beta'}  # fmt: skip
    for new, old in renames.items():
        held = {name.replace(new, old): value for name, value in held.items()}
    (folder / 'model.safetensors').unlink()
    torch.save(held, folder / 'pytorch_model.bin')
    _, old = open_network(folder, loader, 'cpu', 'float32')
    assert len(list(modern.parameters())) > 40
    for (name, value), (_, other) in zip(modern.named_parameters(), old.named_parameters(), strict=True):
        assert 'pooler' in name or torch.equal(value, other), name


def test_folders_that_hold_no_model_say_what_is_missing(bert, copied, tmp_path):
    for wrong, match in (
        (tmp_path / 'nowhere', 'not there'),
        (bert / 'config.json', 'a file'),
        (tmp_path, 'config.json'),
    ):
        with pytest.raises(WeightsError, match=match):
            recipe_named('own-text-utt', model=str(wrong))
    (copied / 'model.safetensors').rename(copied / 'tf_model.h5')
    with pytest.raises(WeightsError, match='TensorFlow'):
        model_folder(str(copied))
    (copied / 'config.json').write_text('{"model_type": "nobody-knows"}')
    (copied / 'tf_model.h5').rename(copied / 'model.safetensors')
    with pytest.raises(WeightsError, match='nobody-knows'):
        recipe_named('own-text-utt', model=str(copied))


@pytest.mark.parametrize('name', ['own-text-utt', 'manet-utt', 'hicmae-utt'])
def test_a_model_below_an_unknown_home_is_one_clear_error(name):
    with pytest.raises(WeightsError, match='--model'):
        recipe_named(name, model='~nobody-of-that-name/model')


def test_settings_of_a_tokenizer_that_are_no_text_do_not_stop_the_search_in_them(tmp_path):
    (tmp_path / 'tokenizer.model').write_bytes(b'words')
    (tmp_path / 'tokenizer_config.json').write_bytes(b'\xff')
    with pytest.raises(WeightsError):
        open_tokenizer(tmp_path, 'llama', 'AutoTokenizer')


def test_a_model_of_another_size_or_kind_is_not_taken_for_the_published_one(bert, tmp_path):
    with pytest.raises(WeightsError, match=r'1024 columns from 24 layers; got 16 columns from 5 layers.*own-text-frm'):
        recipe_named('merbench-chinese-macbert-large-frm', model=str(bert))
    with pytest.raises(WeightsError, match=r'hubert.*got bert'):
        recipe_named('chinese-hubert-large-utt', model=str(bert))
    with pytest.raises(ValueRangeError, match='--model'):
        recipe_named('own-text-utt')
    with pytest.raises(ValueRangeError, match='cuda:9'):
        extract(MANIFEST, recipe_named('own-text-utt', model=str(bert), device='cuda:9'), tmp_path)


def test_networks_that_write_or_have_too_few_layers_are_refused(tmp_path):
    sizes = {'vocab_size': 40, 'd_model': 16, 'encoder_layers': 3, 'decoder_layers': 3, 'encoder_ffn_dim': 24,
             'decoder_ffn_dim': 24, 'encoder_attention_heads': 2, 'decoder_attention_heads': 2}  # fmt: skip
    writes = tiny_models.save(tmp_path / 'bart', 'BartModel', 'BartConfig', **sizes)
    with pytest.raises(WeightsError, match='reads and writes'):
        extract(MANIFEST, recipe_named('own-text-utt', model=str(writes)), tmp_path / 'out')
    two = {**tiny_models.TEXT['bert'][2], 'num_hidden_layers': 2}
    with pytest.raises(WeightsError, match='three layers'):
        recipe_named('own-text-utt', model=str(tiny_models.save(tmp_path / 'bert', 'BertModel', 'BertConfig', **two)))


def test_a_hub_that_cannot_be_reached_is_one_error(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(WeightsError, match=r'TencentGameMate/chinese-hubert-large from huggingface.co.*--model'):
        recipe_named('merbench-chinese-hubert-large')


def test_a_snapshot_of_the_hub_is_settings_and_one_kind_of_weights(bert, copied, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(copied)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot)
    assert recipe_named('own-text-utt', model='someone/tiny').hash == recipe_named('own-text-utt', model=str(bert)).hash
    (copied / 'model.safetensors').rename(copied / 'pytorch_model.bin')
    recipe_named('own-text-utt', model='someone/tiny')
    assert [name for name, _ in asked] == ['someone/tiny'] * 3
    assert ['*.safetensors' in patterns for _, patterns in asked] == [True, True, False]
    assert {'pytorch_model*.bin', 'pytorch_model*.bin.index.json', 'vocab.txt'} <= set(asked[-1][1])
    endings = ('.json', '.txt', '.model', '.safetensors', '.bin', '.codes', '.bpe')
    assert all(pattern.endswith(endings) for _, patterns in asked for pattern in patterns)


def test_without_transformers_the_error_names_the_extra(bert, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(MissingExtraError, match=r'affekt\[encoders\]'):
        recipe_named('own-text-utt', model=str(bert))


def test_every_published_model_has_its_recipes():
    names = encoder_names()
    assert len(names) == 4 * (len(PUBLISHED) + 3) - 2 * 2  # the published program stops at both T5
    assert {'merbench-chinese-hubert-large-utt', 'chinese-hubert-large-frm', 't5-base-utt'} <= set(names)
    assert 'merbench-t5-base-utt' not in names
    assert {row.modality for row in listed_encoders()} == {'audio', 'text', 'video'}
    assert not set(names) & set(RECIPES)


def test_an_unknown_name_is_answered_with_near_ones(bert):
    with pytest.raises(UnknownNameError, match='chinese-hubert-large-utt'):
        recipe_named('chinese-huber-large-utt')
    with pytest.raises(UnknownNameError, match='has its own model'):
        recipe_named('hash512', model=str(bert))
    with pytest.raises(UnknownNameError, match='bfloat16'):
        recipe_named('own-text-utt', model=str(bert), precision='int4')


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_line_extracts_lists_and_says_what_is_wrong(bert, tmp_path):
    MANIFEST.save(tmp_path / 'm.parquet')
    command = ('features', 'extract', tmp_path / 'm.parquet', '--out', tmp_path / 'out')
    made = _run(*command, '--recipe', 'merbench-own-text', '--model', bert, '--json')
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)['samples'] == 2
    assert len(Store(tmp_path / 'out' / 'merbench-own-text-utt')) == 2
    listed = json.loads(_run('features', 'list', '--json').stdout)
    assert listed['merbench-chinese-hubert-large-frm']['dimension'] == 1024
    assert listed['hash512']['hash'] == RECIPES['hash512'].hash
    assert 'TencentGameMate/chinese-hubert-base' in _run('features', 'list').stdout
    for words, said in (
        (('--recipe', 'own-text', '--model', tmp_path / 'nowhere'), 'not there'),
        (('--recipe', 'merbench-chinese-hubert-larg', '--model', bert), 'merbench-chinese-hubert-large'),
        (('--recipe', 'own-audio', '--model', bert), 'hubert'),
        (('--recipe', 'chatglm2-6b'), 'features import'),
    ):
        failed = _run(*command, *words)
        assert failed.exit_code == 2
        assert said in failed.stderr
        assert 'Traceback' not in failed.output
