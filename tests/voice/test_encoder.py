"""Whisper's encoder against the one inside CTranslate2, and its spectrogram against faster-whisper's."""

from __future__ import annotations

import struct

import ctranslate2
import numpy as np
import pytest
from scipy.special import erf
from sounds import needs

from affekt.errors import LimitError, ShapeError, UnknownNameError, WeightsError
from affekt.voice import WhisperEncoder
from affekt.voice.encoder import _array, _dequantised, gelu, levelled, read_ctranslate2
from affekt.voice.mel import hz_from_mel, log_mel, mel_filters


def test_the_layers_end_in_what_ctranslate2_computes(encoder, sentence):
    encoded = encoder(sentence)
    model = ctranslate2.models.Whisper(str(encoder.directory), compute_type='float32')
    mel = ctranslate2.StorageView.from_array(np.ascontiguousarray(encoded.mel.T)[None])
    assert np.abs(np.array(model.encode(mel))[0] - encoded.output).max() < 1e-3
    assert encoded.layers.shape == (5, encoded.mel.shape[0] // 2, 384)


def test_the_base_model_agrees_as_well(sentence):
    needs('whisper-base')
    encoder = WhisperEncoder('base')
    encoded = encoder(sentence[:32000])
    model = ctranslate2.models.Whisper(str(encoder.directory), compute_type='float32')
    mel = ctranslate2.StorageView.from_array(np.ascontiguousarray(encoded.mel.T)[None])
    assert np.abs(np.array(model.encode(mel))[0] - encoded.output).max() < 1e-3
    assert encoded.layers.shape[0] == 7


def test_the_spectrogram_is_faster_whispers(sentence):
    from faster_whisper.feature_extractor import FeatureExtractor

    samples = sentence[: 160 * 200]
    theirs = FeatureExtractor()(samples, padding=0)
    np.testing.assert_allclose(log_mel(samples), theirs.T[:200], atol=2e-5)


def test_mel_filters_have_unit_area():
    # a triangle between neighbours in Hz integrates to one; bins are 40 Hz apart, so wide filters sum to 1/40
    sums = mel_filters().sum(axis=1) * 40
    np.testing.assert_allclose(sums[20:], 1.0, atol=0.1)
    assert hz_from_mel(np.array([15.0]))[0] == pytest.approx(1000.0)


def test_gelu_is_the_exact_one():
    values = np.linspace(-8, 8, 4001, dtype=np.float32)
    np.testing.assert_allclose(gelu(values), 0.5 * values * (1 + erf(values / np.sqrt(2))), atol=1e-6)


def test_level_does_not_change_the_layers(encoder, sentence):
    loud, quiet = encoder(sentence[16000:32000]), encoder(sentence[16000:32000] * np.float32(0.1))
    np.testing.assert_allclose(quiet.layers, loud.layers, atol=2e-2)
    assert np.sqrt(np.mean(levelled(sentence) ** 2)) == pytest.approx(10 ** (-26 / 20), rel=1e-4)


def test_frames_last_twenty_milliseconds_and_the_silence_is_told_apart(encoder):
    # 1 s is 50 frames, the appended half second 25
    encoded = encoder(np.zeros(16000, np.float32))
    assert (encoded.speech_frames, encoded.layers.shape[1]) == (50, 75)
    assert np.isfinite(encoded.layers).all()


@pytest.mark.parametrize('count', [0, 1, 159, 321])
def test_very_short_sounds_are_encoded(encoder, count):
    encoded = encoder(np.full(count, 0.1, np.float32), trailing_silence_s=0.0)
    assert 1 <= encoded.speech_frames <= encoded.layers.shape[1]


def test_what_the_encoder_cannot_take_is_refused(encoder):
    with pytest.raises(LimitError, match=r'28 s'):
        encoder(np.zeros(16000 * 29, np.float32))
    with pytest.raises(ShapeError):
        encoder(np.zeros((2, 16000), np.float32))
    with pytest.raises(ShapeError):
        encoder.encode(np.zeros((81, 80), np.float32))
    with pytest.raises(UnknownNameError):
        WhisperEncoder('tiny.de')


def test_a_damaged_weight_file_is_refused(tmp_path):
    path = tmp_path / 'model.bin'
    for content in (
        b'',
        struct.pack('<I', 99),
        struct.pack('<IH', 6, 12) + b'WhisperSpec\0' + struct.pack('<II', 3, 5),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError):
            read_ctranslate2(path)
        with pytest.raises(WeightsError):
            WhisperEncoder(tmp_path)


def test_a_weight_file_is_read_as_documented(tmp_path):
    def name(text: str) -> bytes:
        return struct.pack('<H', len(text) + 1) + text.encode() + b'\0'

    values = np.array([[1.5, -2.0]], np.float16)
    content = struct.pack('<I', 6) + name('AnySpec') + struct.pack('<II', 1, 2)
    content += name('encoder/a') + struct.pack('<BIIBI', 2, 1, 2, 4, 4) + values.tobytes()
    content += name('decoder/b') + struct.pack('<BBI', 0, 1, 1) + b'\x07'
    (tmp_path / 'model.bin').write_bytes(content)
    weights = read_ctranslate2(tmp_path / 'model.bin', 'encoder/')
    assert list(weights) == ['a']
    np.testing.assert_array_equal(weights['a'], [[1.5, -2.0]])


def test_eight_bit_weights_are_divided_by_the_scale_of_their_row():
    # a row is stored as round(w * 127 / max |w|): 127 and -64 with the scale 254 are 0.5 and -0.252
    weights = {'a/weight': np.array([[127.0, -64.0]], np.float32), 'a/weight_scale': np.array([254.0], np.float32)}
    plain = _dequantised(weights)
    assert list(plain) == ['a/weight']
    np.testing.assert_allclose(plain['a/weight'], [[0.5, -64 / 254]])


def test_bfloat16_is_the_upper_half_of_a_float():
    # 1.5 is 0x3fc00000, -2 is 0xc0000000
    np.testing.assert_array_equal(_array(struct.pack('<HH', 0x3FC0, 0xC000), 5, (2,)), [1.5, -2.0])
