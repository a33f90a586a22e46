"""The network that tells faces apart: golden values, and what it says of real people."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from affekt.errors import ShapeError, WeightsError
from affekt.faces import FaceLandmarker
from affekt.faces.identity import MODEL, SIDE, FaceIdentity, _largest_of_three, _mean_of_two, face_crop
from affekt.weights import MODELS, location, state


@pytest.fixture(scope='module')
def network():
    if state(MODELS[MODEL]) != 'verified':
        pytest.skip(f'model files are absent: affekt weights get {MODEL}')
    return FaceIdentity()


def test_a_picture_of_noise_gives_the_numbers_of_another_rendering(network):
    # the same files in a rendering of the network in torch (conv2d, max_pool2d, avg_pool2d), to 2e-7
    crop = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    vector = network.vector(crop)
    assert vector.shape == (128,)
    np.testing.assert_allclose(vector[:4], [-0.06519333, 0.11371075, 0.05357254, -0.02093441], atol=1e-6)


def test_pooling_by_hand():
    layer = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
    # 3 x 3 windows at rows and columns 0 and 2: their last element is largest
    np.testing.assert_array_equal(_largest_of_three(layer)[..., 0], [[12, 14], [22, 24]])
    # blocks of 0 1 5 6, 2 3 7 8, 10 11 15 16, 12 13 17 18; the fifth row and column are left out
    np.testing.assert_array_equal(_mean_of_two(layer)[..., 0], [[3, 5], [13, 15]])


def test_five_people_of_one_photograph_are_further_apart_than_one_person_turned_about(network, shared_data):
    landmarker = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    image = np.asarray(Image.open(shared_data / 'test_media' / 'multi_face.jpg').convert('RGB'))
    faces = landmarker.faces(image, 5)
    vectors = np.stack([network.vector(face_crop(image, face.landmarks)) for face in faces])
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)[np.triu_indices(len(faces), 1)]
    mirrored = [network.vector(face_crop(image, face.landmarks)[:, ::-1]) for face in faces]
    assert np.linalg.norm(vectors - mirrored, axis=1).max() < 0.35 < 0.5 < apart.min()


def test_another_shape_is_refused(network):
    with pytest.raises(ShapeError, match='face_crop'):
        network.vector(np.zeros((48, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize('damage', ['absent', 'short', 'no json', 'other layers', 'not a list'])
def test_damaged_files_are_one_clear_error(network, tmp_path, damage):
    source = location(MODELS[MODEL])
    weights, manifest = (part.filename for part in MODELS[MODEL].parts)
    content, layers = (source / weights).read_bytes(), json.loads((source / manifest).read_bytes())
    if damage == 'other layers':
        layers[0]['weights'][5]['name'] = 'something'
    text = {'no json': '{', 'not a list': '3'}.get(damage, json.dumps(layers))
    (tmp_path / manifest).write_text(text)
    if damage != 'absent':
        (tmp_path / weights).write_bytes(content[:-8] if damage == 'short' else content)
    with pytest.raises(WeightsError, match='affekt weights get'):
        FaceIdentity(tmp_path)
