"""Encoders in ONNX files: the published preparation of faces and sound, and networks that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.encoders import EXPORTED, Pictures, open_encoder
from affekt.encoders.onnx_pictures import prepared
from affekt.encoders.onnx_sounds import examples, log_mel, mel_bands
from affekt.errors import UnknownNameError, ValueRangeError, WeightsError
from affekt.features import Store, extract, recipe_named
from affekt.features.onnx_recipes import exported_names

onnx = pytest.importorskip('onnx', reason='onnx is absent (pip install affekt[torch])')


def save_network(path, given, nodes, weights, result, *, second=None):
    """A network of one input `x` and one output `y`; sizes that are names are free."""
    from onnx import TensorProto, helper, numpy_helper

    inputs = [helper.make_tensor_value_info('x', TensorProto.FLOAT, given)]
    if second:
        inputs.append(helper.make_tensor_value_info('z', TensorProto.FLOAT, second))
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **node[3]) for node in nodes], 'tiny', inputs,
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, path)
    return path


def pooled_network(path, side, size, *, batch='n', channels=3):
    """Means of the colours of each picture, copied into `size` columns."""
    weights = np.zeros((channels, size), np.float32)
    weights[np.arange(size) % channels, np.arange(size)] = 1
    nodes = [('ReduceMean', ['x'], ['m'], {'axes': [2, 3], 'keepdims': 0}), ('MatMul', ['m', 'w'], ['y'], {})]
    return save_network(path, [batch, channels, side, side], nodes, {'w': weights}, [batch, size])


@pytest.fixture
def faces(tmp_path):
    """One sample of five stored faces, blue before red."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    (tmp_path / 'a').mkdir()
    np.save(tmp_path / 'a' / 'a.npy', images)
    return Manifest(Facts('toy', root=str(tmp_path)), (Sample('a', frames='a'), Sample('b', text='nothing'))), images


def test_faces_for_manet_are_only_scaled_and_for_fer_plus_cut_and_shifted(tmp_path, faces):
    manifest, images = faces
    manet = recipe_named('manet-frm', model=str(pooled_network(tmp_path / 'manet.onnx', 224, 1024)))
    extract(manifest, manet, tmp_path)
    store = Store(tmp_path / 'manet-frm')
    colours = images[..., ::-1].mean(axis=(1, 2)) / 255  # RGB; to 224 pixels the mean stays
    np.testing.assert_allclose(store.values('a')[:, :3], colours, atol=0.002)
    assert store.missing == {'b': 'no images: it has neither a video nor frames'}

    senet = recipe_named('senet50face-utt', model=str(pooled_network(tmp_path / 'senet.onnx', 224, 512)))
    extract(manifest, senet, tmp_path)
    resized = np.array(Image.fromarray(images[0, ..., ::-1].copy()).resize((256, 256), Image.Resampling.BILINEAR))
    middle = resized[16:240, 16:240].reshape(-1, 3).mean(axis=0) - [131.0912, 103.8827, 91.4953]
    one = prepared(images[0, ..., ::-1], senet.facts)
    np.testing.assert_allclose(one.mean(axis=(1, 2)), middle, atol=0.02)
    assert one.shape == (3, 224, 224)
    held = Store(tmp_path / 'senet50face-utt').values('a')
    expected = np.mean([prepared(image[..., ::-1], senet.facts).mean(axis=(1, 2)) for image in images], axis=0)
    np.testing.assert_allclose(held[0, :3], expected, atol=0.02)


def test_a_layer_with_height_and_width_is_averaged_and_cut_off_below_zero(tmp_path, faces):
    nodes = [
        ('AveragePool', ['x'], ['m'], {'kernel_shape': [32, 32], 'strides': [32, 32]}),
        ('Conv', ['m', 'w'], ['y'], {}),
    ]
    weights = np.zeros((512, 3, 1, 1), np.float32)
    weights[0, 0], weights[1, 0] = 1, -1
    path = save_network(tmp_path / 'r.onnx', [1, 3, 224, 224], nodes, {'w': weights}, [1, 512, 7, 7])
    recipe = recipe_named('resnet50face-frm', model=str(path))  # one picture at once
    extract(faces[0], recipe, tmp_path)
    held = Store(tmp_path / 'resnet50face-frm').values('a')
    reds = [prepared(image[..., ::-1], recipe.facts)[0].mean() for image in faces[1]]
    np.testing.assert_allclose(held[:, 0], np.maximum(reds, 0), atol=1e-3)
    np.testing.assert_allclose(held[:, 1], np.maximum(np.negative(reds), 0), atol=1e-3)
    assert not held[:, 2:].any()


def test_films_of_mer2024_see_sixteen_pictures_blue_first(tmp_path, faces):
    nodes = [
        ('ReduceMean', ['x'], ['m'], {'axes': [3, 4], 'keepdims': 0}),
        ('Flatten', ['m'], ['f'], {}),
        ('MatMul', ['f', 'w'], ['y'], {}),
    ]
    weights = np.zeros((48, 768), np.float32)
    weights[np.arange(48), np.arange(48)] = 1
    path = save_network(tmp_path / 'v.onnx', ['n', 3, 16, 160, 160], nodes, {'w': weights}, ['n', 768])
    extract(faces[0], recipe_named('videomae-voxceleb2-utt', model=str(path)), tmp_path)
    seen = Store(tmp_path / 'videomae-voxceleb2-utt').values('a')[0, :48].reshape(3, 16)
    blue = (faces[1][..., 0].mean(axis=(1, 2)) / 255 - 0.485) / 0.229
    np.testing.assert_allclose(seen[0], blue[[0, *[4] * 15]], atol=0.01)  # pictures 0 and 4, the last one repeated
    extract(faces[0], recipe_named('videomae-voxceleb2-frm', model=str(path)), tmp_path)
    assert Store(tmp_path / 'videomae-voxceleb2-frm').values('a').shape == (5, 768)


def test_the_log_mel_of_a_tone_lies_in_its_band():
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    held = log_mel(tone)
    assert held.shape == (98, 64)
    # 1,000 Hz is 1000.0 on the mel scale of 1127; edges go from 185.2 to 2773.7 in 65 steps of 39.8, so that the
    # nearest centre is that of band 19: (1000.0 - 185.2) / 39.8 = 20.5 edges up, between centres 19 and 20
    assert held[10].argmax() in (19, 20)
    silent = log_mel(np.zeros(400, np.float32))
    np.testing.assert_allclose(silent, np.log(0.01))
    assert mel_bands().shape == (257, 64)
    assert not mel_bands()[0].any()
    assert mel_bands()[:, 0].nonzero()[0][0] == 5  # 125 Hz is bin 4 of 31.25 Hz, where the first triangle begins


def test_pictures_of_sound_overlap_and_a_short_sound_is_repeated():
    sound = np.random.default_rng(0).normal(size=32_000).astype(np.float32)
    held, times = examples(sound, 0.5)
    np.testing.assert_array_equal(held[1], log_mel(sound)[50:146].astype(np.float32))
    assert (held.shape, times.tolist()) == ((3, 96, 64), pytest.approx([0.48, 0.98, 1.48]))
    assert len(examples(sound, 0.05)[0]) == 21  # 198 windows, 96 at once, every fifth
    np.testing.assert_array_equal(examples(sound[:6_000], 0.5)[0], examples(np.tile(sound[:6_000], 3), 0.5)[0])


def test_vggish_with_and_without_the_eight_bit_form(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    nodes = [('ReduceMean', ['x'], ['m'], {'axes': [1], 'keepdims': 0}), ('MatMul', ['m', 'w'], ['y'], {})]
    weights = np.eye(64, 128, dtype=np.float32)
    path = save_network(tmp_path / 'vggish.onnx', ['n', 96, 64], nodes, {'w': weights}, ['n', 128])
    with pytest.raises(WeightsError, match='vggish_pca_params'):
        recipe_named('vggish-pca-utt', model=str(path))
    np.savez(
        tmp_path / 'vggish_pca_params.npz',
        pca_eigen_vectors=np.eye(128, dtype=np.float32), pca_means=np.zeros(128, np.float32),
    )  # fmt: skip
    recipes = [recipe_named(name, model=str(path)) for name in ('vggish-utt', 'vggish-frm', 'vggish-pca-frm')]
    for recipe in recipes:
        extract(manifest, recipe, tmp_path)
    row, rows, whole = (Store(tmp_path / recipe.name)['pair01_d1_t0'] for recipe in recipes)
    np.testing.assert_allclose(rows.times, [0.48])  # 1 s of sound
    np.testing.assert_allclose(row.values[0], rows.values.mean(axis=0), rtol=1e-5)
    expected = np.floor((np.clip(rows.values, -2, 2) + 2) * 63.75)
    np.testing.assert_array_equal(whole.values, expected)


def test_networks_of_samples_give_a_row_every_ten_or_twenty_milliseconds(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    kernel = np.zeros((512, 1, 465), np.float32)
    kernel[:, 0, 0] = np.arange(512)
    nodes = [('Unsqueeze', ['x', 'one'], ['u'], {}), ('Conv', ['u', 'k'], ['y'], {'strides': [160]})]
    weights = {'one': np.array([1]), 'k': kernel}
    path = save_network(tmp_path / 'w.onnx', [1, 's'], nodes, weights, [1, 512, 't'])
    extract(manifest, recipe_named('wav2vec-large-z-frm', model=str(path)), tmp_path)
    one = Store(tmp_path / 'wav2vec-large-z-frm')['pair01_d1_t0']
    assert one.values.shape == (98, 512)  # (16000 - 465) / 160 + 1
    assert one.times[:2] == pytest.approx([0.01453125, 0.02453125])
    np.testing.assert_allclose(one.values[:, 2], 2 * one.values[:, 1], rtol=1e-5)

    nodes = [
        ('Unsqueeze', ['x', 'one'], ['u'], {}),
        ('Conv', ['u', 'k'], ['c'], {'strides': [320]}),
        ('Transpose', ['c'], ['y'], {'perm': [0, 2, 1]}),
    ]
    weights = {'one': np.array([1]), 'k': np.ones((768, 1, 400), np.float32)}
    path = save_network(tmp_path / 'e.onnx', ['n', 's'], nodes, weights, ['n', 't', 768])
    extract(manifest, recipe_named('emotion2vec-frm', model=str(path)), tmp_path)
    assert Store(tmp_path / 'emotion2vec-frm').values('pair01_d1_t0').shape == (49, 768)


def test_an_exported_network_is_an_encoder_whose_states_in_a_batch_are_those_of_whole_samples(tmp_path, faces):
    path = pooled_network(tmp_path / 'manet.onnx', 224, 1024)
    encoder = open_encoder(path, name='manet')
    pictures = Pictures(list(faces[1]), None)
    rows = np.zeros((2, 5, 3, 224, 224), np.float32)  # a sample of five pictures, one of three
    rows[0], rows[1, :3] = encoder.prepare(pictures.images), encoder.prepare(pictures.images[:3])
    keep_mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    states, counted = encoder.forward(rows, keep_mask)
    (encoded,) = encoder.encode([pictures])
    np.testing.assert_allclose(states[0], encoded.rows, atol=1e-6)
    np.testing.assert_allclose(states[1, :3], encoded.rows[:3], atol=1e-6)
    assert (encoder.size, counted.tolist(), states[1, 3:].any()) == (1024, keep_mask.tolist(), False)


def test_exported_sound_of_several_lengths_is_run_at_its_own(tmp_path):
    kernel = np.ones((512, 1, 465), np.float32)
    nodes = [('Unsqueeze', ['x', 'one'], ['u'], {}), ('Conv', ['u', 'k'], ['y'], {'strides': [160]})]
    weights = {'one': np.array([1]), 'k': kernel}
    path = save_network(tmp_path / 'w.onnx', [1, 's'], nodes, weights, [1, 512, 't'])
    encoder = open_encoder(path, name='wav2vec-large-z')
    sounds = [np.random.default_rng(1).normal(size=size).astype(np.float32) for size in (4000, 1600)]
    rows = np.zeros((2, 4000), np.float32)
    rows[0], rows[1, :1600] = (encoder.prepare(sound) for sound in sounds)
    states, counted = encoder.forward(rows, np.arange(4000)[None] < np.array([[4000], [1600]]))
    assert counted.sum(axis=1).tolist() == [23, 8]  # (4000 - 465) / 160 + 1 and (1600 - 465) / 160 + 1, rounded down
    for row, mask, encoded in zip(states, counted, encoder.encode(sounds), strict=True):
        np.testing.assert_allclose(row[mask], encoded.rows, atol=1e-4)
    assert encoder.rate_hz == 100


def test_networks_that_do_not_fit_say_what_is_wanted(tmp_path):
    with pytest.raises(WeightsError, match=r'--model FILE.onnx for manet-utt: .*both branches'):
        recipe_named('manet')
    with pytest.raises(WeightsError, match='does not exist'):
        recipe_named('manet-utt', model=str(tmp_path / 'none.onnx'))
    (tmp_path / 'bad.onnx').write_bytes(b'no network')
    with pytest.raises(WeightsError, match='an ONNX file'):
        recipe_named('manet-utt', model=str(tmp_path / 'bad.onnx'))
    with pytest.raises(WeightsError, match=r'\(\?, 3, 224, 224\), for manet; got \(\?, 3, 112, 112\)'):
        recipe_named('manet-utt', model=str(pooled_network(tmp_path / 'small.onnx', 112, 1024)))
    with pytest.raises(WeightsError, match=r'an output of 1024 columns, for manet; got y \(\?, 7\)'):
        recipe_named('manet-utt', model=str(pooled_network(tmp_path / 'classes.onnx', 224, 7)))
    with pytest.raises(WeightsError, match='free first axis'):
        recipe_named('manet-utt', model=str(pooled_network(tmp_path / 'eight.onnx', 224, 1024, batch=8)))
    nodes = [('ReduceMean', ['x'], ['y'], {'axes': [2, 3], 'keepdims': 0})]
    two = save_network(tmp_path / 'two.onnx', ['n', 3, 224, 224], nodes, {}, ['n', 3], second=['n', 1])
    with pytest.raises(WeightsError, match=r'one input, for manet; got x, z'):
        recipe_named('manet-utt', model=str(two))
    fitting = str(pooled_network(tmp_path / 'fits.onnx', 224, 1024))
    with pytest.raises(ValueRangeError, match='onnxruntime-gpu'):
        recipe_named('manet-utt', model=fitting, device='cuda:7')
    with pytest.raises(UnknownNameError, match='whose file decides'):
        recipe_named('manet-utt', model=fitting, precision='float16')
    with pytest.raises(UnknownNameError, match='manet'):
        recipe_named('manett-utt')


def test_another_file_is_another_recipe_and_every_name_can_be_asked_for(tmp_path):
    one = pooled_network(tmp_path / 'one.onnx', 224, 512)
    two = pooled_network(tmp_path / 'two.onnx', 224, 512, batch=1)
    first, second = (recipe_named('imagenet-utt', model=str(path)) for path in (one, two))
    assert first.hash != second.hash
    assert first.hash == recipe_named('imagenet', model=str(one)).hash
    assert len(exported_names()) == 2 * len(EXPORTED) == 28
