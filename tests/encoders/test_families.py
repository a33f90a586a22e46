"""The one table of encoders: what is opened frozen and what is trained agree, and a family is added in one place."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch

from affekt.encoders import (
    FAMILIES,
    Encoded,
    EncoderSettings,
    Family,
    Pictures,
    family_of,
    open_backbone,
    open_encoder,
    register_family,
)
from affekt.errors import UnknownNameError, WeightsError
from affekt.features import encoder_recipe

WHOLE = EncoderSettings(layers='last_four', longest=None, longest_s=None, pictures=None)
SIGHT = {
    'vit': lambda folder: tiny_models.pictures_of(folder, 'ViTModel', 'ViTConfig'),
    'deit': lambda folder: tiny_models.pictures_of(folder, 'DeiTModel', 'DeiTConfig'),
    **tiny_models.SIGHT,
}


def sound(seconds):
    return np.random.default_rng(4).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


def faces(count):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
    return Pictures(list(images), np.arange(count) / 25)


def states_of(encoder, sample):
    """(S, D) by the way that training takes, without company in the batch."""
    rows = torch.from_numpy(encoder.prepare(sample))[None]
    with torch.inference_mode():
        states, counted = encoder(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
    return states[0][counted[0]].numpy()


def test_no_architecture_is_of_two_families_and_every_family_has_its_class():
    names = [name for family in FAMILIES.values() for name in family.architectures]
    assert len(names) == len(set(names))
    for family in FAMILIES.values():
        assert family.runner().modality == family.modality, family.name
    assert family_of('roberta').name == 'text'


@pytest.mark.filterwarnings('ignore:Support for mismatched key_padding_mask')  # of transformers' WavLM
@pytest.mark.parametrize('kind', tiny_models.SPEECH)
def test_a_sound_has_the_same_states_frozen_and_trained(kind, tmp_path):
    encoder = open_encoder(tiny_models.speech(tmp_path, kind), WHOLE)
    (encoded,) = encoder.encode([sound(1.5)])
    assert encoder.rate_hz == 50
    assert encoded.times[1] - encoded.times[0] == pytest.approx(1 / encoder.rate_hz)
    np.testing.assert_allclose(states_of(encoder, sound(1.5)), encoded.rows, atol=1e-4)
    assert encoded.rows.shape == (74, encoder.size)


@pytest.mark.parametrize('kind', ['bert', 'roberta', 'gpt2', 'llama'])
def test_a_text_has_the_same_states_frozen_and_trained(kind, tmp_path):
    encoder = open_encoder(tiny_models.text(tmp_path, kind), WHOLE)
    (encoded,) = encoder.encode(['i am so glad'])
    np.testing.assert_allclose(states_of(encoder, 'i am so glad'), encoded.rows, atol=1e-4)
    assert encoder.rate_hz is None


@pytest.mark.parametrize('kind', ['bert', 'roberta', 'gpt2'])
def test_a_text_is_cut_to_what_the_network_takes_whatever_is_asked_for(kind, tmp_path):
    backbone = open_backbone(tiny_models.text(tmp_path, kind), longest=600)
    assert backbone._tokenizer.model_max_length > 600
    rows = backbone.prepare('i am so glad ' * 200)
    assert len(rows) == backbone._limit < 600
    assert states_of(backbone, 'i am so glad ' * 200).shape[1] == backbone.size


def test_the_reading_half_of_t5_is_an_encoder_but_not_one_to_train(tmp_path):
    encoder = open_encoder(tiny_models.t5(tmp_path), WHOLE)
    (encoded,) = encoder.encode(['i am so glad'])
    np.testing.assert_allclose(states_of(encoder, 'i am so glad'), encoded.rows, atol=1e-4)
    with pytest.raises(WeightsError, match=r'with a decoder \(t5\)'):
        open_backbone(tmp_path)


def test_whisper_has_a_state_for_two_rows_of_its_spectrogram(tmp_path):
    encoder = open_encoder(tiny_models.whisper(tmp_path))
    (encoded,) = encoder.encode([sound(1.0)])
    states = states_of(encoder, sound(1.0))
    assert (len(encoded.rows), len(states), encoder.rate_hz) == (50, 1500, 50)
    np.testing.assert_allclose(states[:50], encoded.rows, atol=1e-5)
    with pytest.raises(WeightsError, match='with a decoder'):
        open_backbone(tmp_path)


@pytest.mark.parametrize('kind', SIGHT)
def test_pictures_have_times_and_as_many_columns_as_the_encoder_says(kind, tmp_path):
    encoder = open_encoder(SIGHT[kind](tmp_path), WHOLE)
    (encoded,) = encoder.encode([faces(16)])
    assert isinstance(encoded, Encoded)
    assert encoded.rows.shape == (8 if kind == 'videomae' else 16, encoder.size)
    assert encoded.times[0] == pytest.approx(0.02 if kind == 'videomae' else 0.0)
    assert states_of(encoder, faces(16).images).shape[1] == encoder.size


@pytest.mark.parametrize(('make', 'nothing'), [
    (lambda folder: tiny_models.speech(folder, 'hubert'), np.zeros(0, np.float32)),
    (tiny_models.whisper, np.zeros(0, np.float32)),
    (SIGHT['vit'], Pictures([], None)), (SIGHT['videomae'], Pictures([], None)),
])  # fmt: skip
def test_of_no_sound_and_no_pictures_there_are_no_features(make, nothing, tmp_path):
    encoder = open_encoder(make(tmp_path), WHOLE)
    whole = sound(0.5) if encoder.modality == 'audio' else faces(2)
    for is_published in (False, True):
        first, second = encoder.encode([nothing, whole], is_published=is_published)
        assert first == 'nothing to read'
        assert isinstance(second, Encoded)


def test_the_token_that_deit_distils_into_is_no_patch(tmp_path):
    folder = SIGHT['deit'](tmp_path)
    encoder = open_encoder(folder, WHOLE)
    pixels = encoder.as_input(np.asarray(encoder._processor(faces(2).images, return_tensors='np')['pixel_values']))
    with torch.inference_mode():
        tokens = encoder.network(pixels).last_hidden_state.numpy()
    assert tokens.shape[1] == 2 + 16  # 32 / 8 patches a side
    np.testing.assert_allclose(encoder.encode([faces(2)])[0].rows, tokens[:, 2:].mean(axis=1), atol=1e-5)


def test_clip_is_projected_to_its_own_size_whatever_its_tower_says(tmp_path):
    folder = tiny_models.clip(tmp_path)
    config = json.loads((folder / 'config.json').read_text())
    assert (config['projection_dim'], config['vision_config']['projection_dim']) == (10, 512)  # the library's default
    assert (open_backbone(folder).size, encoder_recipe('own-video-utt', str(folder)).dimension) == (10, 10)


@pytest.mark.parametrize(('network', 'config'), [
    ('Wav2Vec2ConformerModel', 'Wav2Vec2ConformerConfig'), ('UniSpeechSatModel', 'UniSpeechSatConfig'),
])  # fmt: skip
def test_what_could_be_trained_alone_is_now_also_read_frozen(network, config, tmp_path):
    folder = tiny_models.waveforms_of(tmp_path, network, config)
    recipe = encoder_recipe('own-audio-frm', str(folder))
    (encoded,) = open_encoder(folder, WHOLE).encode([sound(0.5)])
    assert encoded.rows.shape == (24, recipe.dimension)
    assert open_backbone(folder).modality == 'audio'


def test_an_unknown_layer_and_a_file_without_a_name_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match='last_four'):
        EncoderSettings(layers='first')
    (tmp_path / 'net.onnx').write_bytes(b'')
    with pytest.raises(UnknownNameError, match='manet'):
        open_encoder(tmp_path / 'net.onnx')


@pytest.mark.parametrize(('make', 'sample'), [
    (lambda folder: tiny_models.text(folder, 'bert'), 'i am so glad'),
    (lambda folder: tiny_models.speech(folder, 'hubert'), sound(0.5)),
    (SIGHT['vit'], faces(2).images), (SIGHT['clip'], faces(2).images), (SIGHT['videomae'], faces(2).images),
    (tiny_models.whisper, sound(0.5)),
])  # fmt: skip
def test_half_precision_takes_the_same_rows(make, sample, tmp_path):
    encoder = open_encoder(make(tmp_path), EncoderSettings(precision='bfloat16'))
    rows = torch.from_numpy(encoder.prepare(sample))[None]
    with torch.inference_mode():
        states, _ = encoder(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
    assert states.dtype == torch.bfloat16
    assert states.isfinite().all()


class Loudness:
    """An encoder of another program: the mean power of each tenth of a second."""

    modality, size, rate_hz = 'audio', 1, 10.0

    @classmethod
    def open(cls, path, settings, family):
        return cls()

    def prepare(self, sample):
        return (sample[: len(sample) // 1600 * 1600] ** 2).reshape(-1, 1600).mean(axis=1, keepdims=True)

    def forward(self, rows, keep_mask):
        return rows, keep_mask

    def encode(self, samples, *, is_published=False):
        return [Encoded(self.prepare(sample).astype(np.float32)) for sample in samples]


def test_a_family_of_another_program_is_added_in_one_place(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match='speech, which is known'):
        register_family(Family('speech', 'audio', 'x:Y', ('loudness',)))
    with pytest.raises(UnknownNameError, match='hubert again'):
        register_family(Family('loudness', 'audio', 'x:Y', ('hubert',)))
    family = Family('loudness', 'audio', f'{__name__}:Loudness', ('loudness',), 'power', loader='')
    monkeypatch.setitem(FAMILIES, 'loudness', family)  # taken out again
    del FAMILIES['loudness']
    register_family(family)
    config = {'model_type': 'loudness', 'hidden_size': 1, 'num_hidden_layers': 1}
    (tmp_path / 'config.json').write_text(json.dumps(config))
    (tmp_path / 'model.safetensors').write_bytes(b'anything')
    recipe = encoder_recipe('own-audio-frm', str(tmp_path))
    assert (recipe.dimension, recipe.facts['family']) == (1, 'loudness')
    assert recipe.facts['pooling'] == 'power; all rows'
    (encoded,) = open_encoder(tmp_path).encode([np.full(3200, 2.0)])
    assert encoded.rows.tolist() == [[4.0], [4.0]]
    with pytest.raises(WeightsError, match='that the published program runs'):
        encoder_recipe('merbench-own-audio-frm', str(tmp_path))
