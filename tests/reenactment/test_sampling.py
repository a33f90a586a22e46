"""Every way to sample reads the same picture."""

import importlib.util

import numpy as np
import pytest

from affekt.reenactment import sampling
from affekt.reenactment.sampling import SAMPLERS, by_numpy, fastest_sampler, sample

MODULES = {'opencv': 'cv2', 'torch': 'torch', 'onnxruntime': 'onnxruntime', 'numpy': 'numpy'}


def available(name):
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f'{MODULES[name]} is not installed')
    return SAMPLERS[name]


def smooth_picture():
    y, x = np.mgrid[:40, :60]
    return np.stack([2 * x + y, 200 - 3 * y, 120 + 60 * np.sin(x / 6)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize('name', SAMPLERS)
def test_a_picture_sampled_at_the_middles_of_its_pixels_is_itself(name):
    picture = smooth_picture()
    y, x = np.mgrid[:40, :60].astype(np.float32) + np.float32(0.5)
    assert np.array_equal(available(name)(picture, x, y), picture)


@pytest.mark.parametrize('name', SAMPLERS)
def test_all_samplers_agree_within_a_level_between_pixels_and_repeat_the_border(name):
    picture = smooth_picture()
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-5, 65, (30, 50)).astype(np.float32), rng.uniform(-5, 45, (30, 50)).astype(np.float32)
    made = available(name)(picture, x, y)
    assert made.shape == (30, 50, 3)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - by_numpy(picture, x, y)).max() <= 1  # OpenCV rounds places to 1/32 of a pixel


@pytest.mark.parametrize('name', SAMPLERS)
def test_halfway_between_two_pixels_is_their_mean(name):
    picture = np.array([[[0, 10, 20], [100, 30, 60]]], np.uint8)
    made = available(name)(picture, np.array([[1.0]], np.float32), np.array([[0.5]], np.float32))
    assert made.tolist() == [[[50, 20, 40]]]


def test_sample_takes_a_sampler_that_is_there():
    assert fastest_sampler() in SAMPLERS
    picture = smooth_picture()
    assert np.array_equal(sample(picture, np.full((1, 1), 3.5, np.float32), np.full((1, 1), 4.5, np.float32))[0, 0],
                          picture[4, 3])  # fmt: skip


@pytest.mark.parametrize('name', ['opencv', 'numpy'])
def test_a_plane_made_larger_is_linear_between_its_middles_and_repeats_its_border(name, monkeypatch):
    available(name)
    monkeypatch.setattr(sampling, 'fastest_sampler', lambda: name)
    # middles of the two cells lie at 1 and 3 of the four, whose own lie at 0.5, 1.5, 2.5 and 3.5
    made = sampling.enlarged(np.array([[0, 4], [8, 12]], np.float32), 2)
    assert made.tolist() == [[0, 1, 3, 4], [2, 3, 5, 6], [6, 7, 9, 10], [8, 9, 11, 12]]
