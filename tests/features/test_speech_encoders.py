"""Networks that hear: published and corrected forms against plain computations, over a tiny network of each kind."""

from __future__ import annotations

import wave

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch
import transformers

from affekt.corpora import Facts, Manifest, Sample
from affekt.features import Store, extract, recipe_named

SECONDS = {'short': 1.0, 'ten': 10.0, 'odd': 10.5, 'long': 25.0}


@pytest.fixture(scope='module')
def sounds(tmp_path_factory):
    """Noise with a slow swell, of several lengths, and the manifest of the files."""
    folder = tmp_path_factory.mktemp('sounds')
    rng = np.random.default_rng(5)
    for name, length in SECONDS.items():
        size = round(16_000 * length)
        held = 3000 * rng.standard_normal(size) * (1.2 + np.sin(np.arange(size) / 9000))
        with wave.open(str(folder / f'{name}.wav'), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(held.clip(-32768, 32767).astype('<i2').tobytes())
    return Manifest(Facts('toy', root=str(folder)), tuple(Sample(name, audio=f'{name}.wav') for name in SECONDS))


def _samples(manifest, name):
    with wave.open(f'{manifest.facts.root}/{name}.wav') as file:
        return np.frombuffer(file.readframes(file.getnframes()), '<i2') / 32768


@pytest.fixture(scope='module', params=tiny_models.SPEECH)
def folder(request, tmp_path_factory):
    return tiny_models.speech(tmp_path_factory.mktemp('speech') / request.param, request.param)


def _extracted(manifest, name, folder, out):
    return Store(extract(manifest, recipe_named(name, model=str(folder)), out).path.parent)


@pytest.fixture(scope='module')
def published(folder, sounds, tmp_path_factory):
    return _extracted(sounds, 'merbench-own-audio-frm', folder, tmp_path_factory.mktemp('published'))


@pytest.fixture(scope='module')
def corrected(folder, sounds, tmp_path_factory):
    return _extracted(sounds, 'own-audio-frm', folder, tmp_path_factory.mktemp('corrected'))


def _plain(folder, waves):
    """(B, T, D): what each of the last four layers gave, the last one after the final norm if there is one, summed."""
    with tiny_models.quiet():
        network = transformers.AutoModel.from_pretrained(folder).eval()
    given = []
    for layer in network.encoder.layers:
        layer.register_forward_hook(lambda module, inputs, output: given.append(output))
    with torch.inference_mode():
        network(torch.tensor(np.asarray(waves, np.float32)))
        states = [held[0] if isinstance(held, tuple) else held for held in given]
        assert len(states) == 5
        if network.config.model_type != 'data2vec-audio' and network.config.do_stable_layer_norm:
            states[-1] = network.encoder.layer_norm(states[-1])
    return sum(states[-4:]).numpy()


def _normal(sound):
    return (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_published_speech_is_ten_seconds_at_once_with_a_padded_tail(published, folder, sounds):
    padded = np.concatenate([_normal(_samples(sounds, 'long')), np.zeros(5 * 16_000)])
    assert published.values('long').shape == (3 * 499, tiny_models.WIDTH)
    _close(published.values('long'), _plain(folder, padded.reshape(3, 160_000)).reshape(-1, tiny_models.WIDTH))
    assert published['long'].times[[0, 499, -1]] == pytest.approx([0.0125, 10.0125, 20.0125 + 498 * 0.02])


def test_corrected_speech_runs_the_tail_at_its_own_length(corrected, folder, sounds):
    heard = _normal(_samples(sounds, 'long'))
    whole = _plain(folder, heard[:320_000].reshape(2, -1)).reshape(-1, tiny_models.WIDTH)
    _close(corrected.values('long'), np.concatenate([whole, _plain(folder, heard[None, 320_000:])[0]]))
    # half a second is too little to be alone: 10.5 s are one piece
    _close(corrected.values('odd'), _plain(folder, _normal(_samples(sounds, 'odd'))[None])[0])
    assert all(corrected[name].times[-1] < length for name, length in SECONDS.items())


def test_only_a_padded_tail_tells_the_forms_apart(published, corrected):
    for name, is_padded in (('short', False), ('ten', False), ('odd', True), ('long', True)):
        difference = np.abs(published.values(name).mean(axis=0) - corrected.values(name).mean(axis=0)).max()
        assert (difference > 1e-3) == is_padded, name
    assert published.provenance.hash != corrected.provenance.hash


def test_large_networks_keep_the_final_norm_and_one_row_is_the_mean_of_all(sounds, tmp_path):
    sounds = sounds.where(sample='short')
    # transformers 5 lists the last layer before that norm, the release of the published features listed it after
    folder = tiny_models.speech(tmp_path / 'hubert', 'hubert')
    with tiny_models.quiet():
        network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        wave = torch.tensor(_normal(_samples(sounds, 'short')), dtype=torch.float32)[None]
        found = network(wave, output_hidden_states=True)
        listed = sum(found.hidden_states[-4:])[0].numpy()
    rows = _extracted(sounds, 'merbench-own-audio-frm', folder, tmp_path).values('short')
    assert np.abs(rows - listed).max() > 0.1
    mean = _extracted(sounds, 'merbench-own-audio-utt', folder, tmp_path).values('short')
    np.testing.assert_allclose(mean, rows.mean(axis=0, keepdims=True), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope='module')
def whisper(tmp_path_factory):
    return tiny_models.whisper(tmp_path_factory.mktemp('whisper') / 'tiny')


def _whisper_parts(whisper, sound):
    with tiny_models.quiet():
        network = transformers.WhisperModel.from_pretrained(whisper).eval()
        reader = transformers.WhisperFeatureExtractor.from_pretrained(whisper)
    return network, torch.tensor(reader(sound, sampling_rate=16_000, return_tensors='np')['input_features'])


def test_published_whisper_is_two_states_of_the_decoder(whisper, sounds, tmp_path):
    store = _extracted(sounds, 'merbench-own-audio-frm', whisper, tmp_path)
    network, mel = _whisper_parts(whisper, _samples(sounds, 'long').astype(np.float32))
    with torch.inference_mode():
        heard = network.encoder(mel).last_hidden_state
        told = network.decoder(input_ids=torch.tensor([[5, 5]]), encoder_hidden_states=heard).last_hidden_state[0]
    assert store.values('long').shape == (2, tiny_models.WIDTH)
    assert store['long'].times is None
    np.testing.assert_allclose(store.values('long'), told.numpy(), rtol=1e-4, atol=1e-4)


def test_corrected_whisper_is_the_encoder_where_there_is_sound(whisper, sounds, tmp_path):
    store = _extracted(sounds, 'own-audio-frm', whisper, tmp_path)
    network, mel = _whisper_parts(whisper, _samples(sounds, 'short').astype(np.float32))
    with torch.inference_mode():
        heard = network.encoder(mel).last_hidden_state[0, :50].numpy()
    np.testing.assert_allclose(store.values('short'), heard, rtol=1e-4, atol=1e-4)
    assert {name: len(store.values(name)) for name in SECONDS} == {'short': 50, 'ten': 500, 'odd': 525, 'long': 1250}
    np.testing.assert_allclose(store['short'].times, np.arange(50) * 0.02 + 0.01)


def test_sounds_above_the_window_of_whisper_are_heard_to_the_end(whisper, tmp_path, sounds):
    samples = np.tile(_samples(sounds, 'long'), 2)[: 32 * 16_000]
    with wave.open(str(tmp_path / 'two.wav'), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32768).astype('<i2').tobytes())
    manifest = Manifest(Facts('toy', root=str(tmp_path)), (Sample('two', audio='two.wav'),))
    assert len(_extracted(manifest, 'own-audio-frm', whisper, tmp_path / 'out').values('two')) == 1600
