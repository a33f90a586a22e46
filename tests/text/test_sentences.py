from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affekt.text import characters_read, sentences
from affekt.text.protocol_buffers import bytes_field, fields, number_field
from affekt.text.sentences import BATCH, DIMENSIONS, LAYERS, MAX_PIECES

TEXTS = ['A man is eating food.', 'Someone eats a meal.', 'The stock market fell sharply today.', 'Hi!', '']


def test_likeness_follows_meaning(encoder):
    vectors = encoder.encode(TEXTS[:3])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6
    assert vectors[0] @ vectors[2] < 0.2


def test_the_sentence_vector_is_the_mean_of_the_last_layer_over_its_pieces(encoder):
    import onnxruntime

    from affekt.weights import model_path

    # the file as published, without our further outputs, padded and masked by hand
    session = onnxruntime.InferenceSession(str(model_path(sentences.MODEL)), providers=['CPUExecutionProvider'])
    encoded = [encoder.pieces(text) for text in TEXTS]
    numbers = np.zeros((len(TEXTS), 16), np.int64)
    keep_mask = np.zeros_like(numbers)
    for row, pieces in enumerate(encoded):
        numbers[row, : len(pieces)], keep_mask[row, : len(pieces)] = pieces, 1
    states = session.run(
        None, {'input_ids': numbers, 'attention_mask': keep_mask, 'token_type_ids': np.zeros_like(numbers)}
    )[0]
    means = (states * keep_mask[..., None]).sum(axis=1) / keep_mask.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(TEXTS, normalized=False), means, atol=1e-5)


def test_layers_hold_seven_means_of_which_the_last_is_the_embedding(encoder):
    layers = encoder.layers(TEXTS)
    assert layers.shape == (len(TEXTS), LAYERS, DIMENSIONS)
    np.testing.assert_array_equal(layers[:, -1], encoder.encode(TEXTS, normalized=False))
    assert np.abs(np.diff(layers, axis=1)).max(axis=(0, 2)).min() > 0.1  # no layer repeats another


def test_a_text_has_one_vector_whatever_stands_beside_it(encoder):
    crowd = ['Many words make a longer sentence than this one, or so they say.'] * (BATCH + 1) + TEXTS
    np.testing.assert_allclose(encoder.encode(crowd)[-len(TEXTS) :], encoder.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], encoder.encode(TEXTS), atol=1e-6)


def test_frugal_vectors_are_the_same(encoder):
    texts = ['I do not know what you want from me.', 'Yeah.', 'Thank you so much!']
    assert np.abs(sentences.SentenceEncoder(is_frugal=True).encode(texts) - encoder.encode(texts)).max() < 1e-6


def test_texts_are_cut_at_256_pieces(encoder):
    long = 'word ' * 300
    assert len(encoder.pieces(long)) == MAX_PIECES
    np.testing.assert_array_equal(encoder.encode([long]), encoder.encode(['word ' * (MAX_PIECES - 2)]))


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, DIMENSIONS)
    assert encoder.layers([]).shape == (0, LAYERS, DIMENSIONS)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_a_finite_vector(encoder, texts):
    assert np.isfinite(encoder.encode(texts)).all()


def test_added_outputs_are_a_protocol_buffer_that_names_them():
    # field 7 (length 7): field 12 (length 5): field 1 (length 3) 'abc'
    assert sentences._with_outputs(['abc']) == bytes([7 << 3 | 2, 7, 12 << 3 | 2, 5, 1 << 3 | 2, 3]) + b'abc'


def test_fields_of_a_protocol_buffer_are_found_as_they_were_written():
    # 200 = 0b1_1001000: seven low bits with the continuation bit, then 1
    assert bytes_field(1, b'x' * 200)[:3] == bytes([10, 0b11001000, 1])
    assert number_field(20, 2) == bytes([0b10100000, 1, 2])  # 20 << 3 = 160 = 0b1_0100000
    message = number_field(3, 300) + bytes_field(7, b'graph') + bytes_field(900, b'')
    assert [(part.number, bytes(part.content)) for part in fields(message)] == [(7, b'graph'), (900, b'')]
    assert b''.join(message[part.begin : part.end] for part in fields(message)) == message[3:]


def test_words_looked_up_before_they_are_unpacked_have_the_same_vectors(encoder):
    import onnxruntime

    texts = ['I am happy', 'zebra quux', '']
    whole = onnxruntime.InferenceSession(
        sentences.model_path(sentences.MODEL).read_bytes() + sentences._with_outputs(sentences._OUTPUTS[:-1]),
        providers=['CPUExecutionProvider'],
    )
    for text, layers in zip(texts, encoder.layers(texts), strict=True):
        numbers = np.array([encoder.pieces(text)])
        feed = {'input_ids': numbers, 'attention_mask': np.ones_like(numbers), 'token_type_ids': np.zeros_like(numbers)}
        states = np.concatenate(whole.run(list(sentences._OUTPUTS), feed), axis=2)[0]
        np.testing.assert_array_equal(states.mean(axis=0).reshape(LAYERS, DIMENSIONS), layers)


def test_a_missing_model_says_what_to_do(monkeypatch, tmp_path):
    from affekt.errors import WeightsError

    def absent(name: str) -> None:
        raise WeightsError(expected=name, came='nothing', todo='get it')

    monkeypatch.setattr(sentences, 'model_path', absent)
    with pytest.raises(WeightsError, match='get it'):
        sentences.SentenceEncoder()


def test_of_a_long_text_as_many_characters_are_read_as_256_pieces_have(encoder):
    text = 'I am so happy that you came. ' * 200
    count = characters_read(text)
    np.testing.assert_array_equal(encoder.encode([text]), encoder.encode([text[:count]]))
    # 254 pieces beside the two special ones, of which a sentence has 8 (its full stop is one)
    assert text[:count].count('.') == 254 // 8
    assert characters_read(text[:count]) == count
    assert characters_read('') == 0


@pytest.mark.parametrize(
    'text',
    ['I am so happy that you came. ' * 2000, 'x' * 200_000, ' ' * 50_000 + 'so sad',
     'Ünïcode, “quoted” 日本語\tand\nmore\x1c ' * 900, 'yes ' + 'z' * 9000 + ' sad' * 5000],
)  # fmt: skip
def test_pieces_of_the_beginning_are_those_of_the_whole(encoder, text):
    whole = sentences._tokenizer().encode(text)
    assert encoder.pieces(text) == whole.ids
    assert characters_read(text) == (whole.offsets[-2][1] if whole.overflowing else len(text))


def test_a_very_long_text_costs_no_more_than_what_is_read_of_it(encoder, monkeypatch):
    tokenized = []
    tokenizer = sentences._tokenizer()

    class Counting:
        def encode(self, text):
            tokenized.append(len(text))
            return tokenizer.encode(text)

    monkeypatch.setattr(sentences, '_tokenizer', Counting)
    characters_read('word ' * 300_000)
    assert max(tokenized) < 10_000
