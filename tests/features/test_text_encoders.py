"""Networks that read: published and corrected forms against plain computations, over a tiny network of each kind."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch
import transformers

from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import WeightsError
from affekt.features import Store, extract, recipe_named

SAID = {
    'glad': 'i am so glad that you came back',
    'chinese': '今天天气真好',
    'one': 'rain',
    'silent': '',
    'unknown': None,
}
MANIFEST = Manifest(Facts('toy'), tuple(Sample(name, text=text) for name, text in SAID.items()))
SPOKEN = ('glad', 'chinese', 'one')
ADDED = {
    'words': (1, -1),
    'between': (1, -1),
    'begun': (1, None),
    'bare': (0, None),
    'behind': (0, -2),
    'ended': (0, -1),
}
"""Marks of a tokenizer to where the words begin and end."""


@pytest.fixture(scope='module', params=[*tiny_models.TEXT, 't5'])
def kind(request):
    return request.param


@pytest.fixture(scope='module')
def folder(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp('text') / kind
    return tiny_models.t5(path) if kind == 't5' else tiny_models.text(path, kind)


def _extracted(name, folder, out, manifest=MANIFEST, **how):
    return Store(extract(manifest, recipe_named(name, model=str(folder)), out, **how).path.parent)


def _opened(folder, kind):
    with tiny_models.quiet():
        network = transformers.T5EncoderModel if kind == 't5' else transformers.AutoModel
        return network.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)


def _plain(network, tokens):
    """(T, D): what the last layers gave before the final one, plus what the network gives out."""
    given = []

    def keep(module, inputs, output):
        given.append(output[0] if isinstance(output, tuple) else output)

    layers = [one for one in network.modules() if type(one).__name__ in LAYERS]
    hooks = [one.register_forward_hook(keep) for one in layers]
    with torch.inference_mode():
        last = network(input_ids=torch.tensor([tokens])).last_hidden_state[0]
    for hook in hooks:
        hook.remove()
    assert len(given) == 5
    if network.config.model_type == 'xlnet':
        given = [held.permute(1, 0, 2) for held in given]
    return (sum(held.reshape(last.shape) for held in given[-4:-1]) + last).numpy()


LAYERS = {
    'BertLayer', 'ElectraLayer', 'AlbertLayer', 'DebertaLayer', 'DebertaV2Layer', 'RobertaLayer', 'XLMRobertaLayer',
    'MPNetLayer', 'XLNetLayer', 'GPT2Block', 'LlamaDecoderLayer', 'BloomBlock', 'FalconDecoderLayer', 'OPTDecoderLayer',
    'T5Block',
}  # fmt: skip


def _words(folder, kind, text):
    network, tokenizer = _opened(folder, kind)
    begin, end = ADDED['ended' if kind == 't5' else tiny_models.TEXT[kind][3]]
    return _plain(network, tokenizer(text)['input_ids'])[begin:end]


def test_rows_are_the_last_four_layers_of_what_is_a_word(folder, kind, tmp_path):
    stores = {'own-text-frm': _extracted('own-text-frm', folder, tmp_path)}
    if kind != 't5':
        stores['merbench-own-text-frm'] = _extracted('merbench-own-text-frm', folder, tmp_path)
    for name in SPOKEN:
        expected = _words(folder, kind, SAID[name])
        for store in stores.values():
            np.testing.assert_allclose(store.values(name), expected, rtol=2e-4, atol=2e-4)


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    return tiny_models.text(tmp_path_factory.mktemp('bert') / 'tiny', 'bert')


def test_nothing_said_is_a_row_of_zeros_as_published_and_missing_when_corrected(bert, tmp_path):
    published = _extracted('merbench-own-text-utt', bert, tmp_path)
    corrected = _extracted('own-text-utt', bert, tmp_path)
    assert published.values('silent').tolist() == [[0.0] * tiny_models.WIDTH]
    assert published.missing == {'unknown': 'no transcript'}
    assert corrected.missing == {'silent': 'nothing was said', 'unknown': 'no transcript'}
    for name in SPOKEN:
        mean = _words(bert, 'bert', SAID[name]).mean(axis=0)
        np.testing.assert_allclose(published.values(name)[0], mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(corrected.values(name)[0], mean, rtol=1e-4, atol=1e-4)


def test_a_text_above_the_positions_stops_the_published_program_and_is_read_in_windows_here(bert, tmp_path):
    manifest = Manifest(Facts('toy'), (Sample('long', text='you came back today and the rain has gone ' * 5),))
    published = extract(manifest, recipe_named('merbench-own-text-frm', model=str(bert)), tmp_path)
    assert dict(published.missing) == {'long': '47 tokens, above the 32 of the model: the published program stops'}
    network, tokenizer = _opened(bert, 'bert')
    words = tokenizer(manifest.samples[0].text)['input_ids'][1:-1]
    assert len(words) == 45
    parts = [_plain(network, [2, *words[begin : begin + 30], 3])[1:-1] for begin in (0, 30)]
    store = _extracted('own-text-frm', bert, tmp_path, manifest)
    np.testing.assert_allclose(store.values('long'), np.concatenate(parts), rtol=2e-4, atol=2e-4)


def test_company_in_a_batch_changes_nothing(bert, tmp_path):
    manifest = Manifest(Facts('toy'), tuple(Sample(f's{n}', text='you came back ' * (n % 4 + 1)) for n in range(12)))
    alone = _extracted('own-text-frm', bert, tmp_path / 'alone', manifest, batch=1)
    together = _extracted('own-text-frm', bert, tmp_path / 'together', manifest, batch=12)
    for name in manifest.names:
        np.testing.assert_allclose(together.values(name), alone.values(name), rtol=1e-5, atol=1e-5)


def test_processes_and_shards_open_the_network_by_themselves(bert, tmp_path):
    one = _extracted('own-text-utt', bert, tmp_path / 'one')
    two = _extracted('own-text-utt', bert, tmp_path / 'two', processes=2)  # one batch, one worker
    for number in (2, 1):
        extract(MANIFEST, recipe_named('own-text-utt', model=str(bert)), tmp_path / 'shards', shard=(number, 2))
    shards = Store(tmp_path / 'shards' / 'own-text-utt')
    for other in (two, shards):
        assert other.provenance.hash == one.provenance.hash
        np.testing.assert_allclose(other.matrix(SPOKEN), one.matrix(SPOKEN), rtol=1e-5, atol=1e-5)


def test_a_tokenizer_without_chinese_fails_the_published_probe_and_not_ours(tmp_path):
    folder = tiny_models.text(tmp_path / 'english', 'bert')
    words = (folder / 'vocab.txt').read_text(encoding='utf-8').split('\n')
    english = [word if word.isascii() else f'word{at}' for at, word in enumerate(words)]
    (folder / 'vocab.txt').write_text('\n'.join(english), encoding='utf-8')
    with pytest.raises(WeightsError, match='without merbench-'):
        _extracted('merbench-own-text-utt', folder, tmp_path)
    assert 'glad' in _extracted('own-text-utt', folder, tmp_path)


def test_half_precision_is_another_recipe_with_nearly_the_same_numbers(bert, tmp_path):
    recipe = recipe_named('own-text-utt', model=str(bert), precision='bfloat16')
    whole = _extracted('own-text-utt', bert, tmp_path / 'whole')
    half = Store(extract(MANIFEST, recipe, tmp_path / 'half').path.parent)
    assert half.provenance.hash != whole.provenance.hash
    np.testing.assert_allclose(half.matrix(SPOKEN), whole.matrix(SPOKEN), atol=0.1)


def test_another_column_is_another_recipe(bert, tmp_path):
    manifest = Manifest(Facts('toy'), (Sample('a', text='rain', english='rain', chinese='今天'),))
    recipe = recipe_named('merbench-own-text', 'chinese', model=str(bert))
    assert recipe.name == 'merbench-own-text-utt-chinese'
    store = Store(extract(manifest, recipe, tmp_path).path.parent)
    np.testing.assert_allclose(store.values('a')[0], _words(bert, 'bert', '今天').mean(axis=0), rtol=1e-4, atol=1e-4)


def test_words_alone_are_enough_where_the_published_program_names_the_tokenizer(bert, tmp_path):
    # as clue/albert_chinese_tiny: vocab.txt, and nothing that says whose
    folder = tiny_models.text(tmp_path / 'albert', 'albert')
    (folder / 'tokenizer_config.json').unlink()
    recipe = recipe_named('merbench-own-text-frm', model=str(folder))
    spelled = dataclasses.replace(recipe, facts={**recipe.facts, 'tokenizer': 'BertTokenizer'})
    store = Store(extract(MANIFEST, spelled, tmp_path).path.parent)
    assert store.values('chinese').shape == (6, tiny_models.WIDTH)


@pytest.mark.parametrize(('kind', 'file', 'tokenizer'), [
    ('xlnet', 'spiece.model', 'XLNetTokenizer'), ('llama', 'tokenizer.model', 'LlamaTokenizer'),
])  # fmt: skip
def test_folders_with_a_sentencepiece_model_alone_are_read(kind, file, tokenizer, tmp_path):
    spm = pytest.importorskip('sentencepiece', reason='sentencepiece is not installed')
    network, config, sizes, _ = tiny_models.TEXT[kind]
    folder = tiny_models.save(tmp_path / kind, network, config, **(sizes | {'vocab_size': 120}))
    lines = iter([' '.join(tiny_models.WORDS[9:]), '今天天气真好', *tiny_models.WORDS[9:]] * 4)
    with (folder / file).open('wb') as model:
        spm.SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=model, vocab_size=90, hard_vocab_limit=False, minloglevel=2
        )
    (folder / 'tokenizer_config.json').write_text(json.dumps({'tokenizer_class': tokenizer}))
    tiny_models.fitted(folder, network, config, sizes)
    published = _extracted('merbench-own-text-frm', folder, tmp_path / 'out')
    corrected = _extracted('own-text-frm', folder, tmp_path / 'out')
    np.testing.assert_allclose(published.values('glad'), corrected.values('glad'), rtol=1e-5, atol=1e-5)
