"""Transforms of frames equal SciPy's to the last bit, with its kernel alone and with the package around it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from affekt.voice import fourier


@pytest.fixture(params=['kernel', 'package'])
def way(request, monkeypatch):
    if request.param == 'package':
        monkeypatch.setattr(fourier, '_kernel', lambda: None)
    return request.param


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_transforms_are_those_of_scipy(way, dtype, rng):
    frames = rng.standard_normal((7, 400)).astype(dtype)
    every_other = np.lib.stride_tricks.sliding_window_view(frames[0], 100)[::3]
    for given, length in ((frames, 400), (frames, 512), (every_other, 100), (frames[0], 405)):
        spectrum = fourier.rfft(given, length)
        expected = scipy.fft.rfft(given, length, axis=-1)
        assert spectrum.dtype == expected.dtype
        assert np.array_equal(spectrum, expected)
    power = np.abs(fourier.rfft(frames)) ** 2
    inverse, expected = fourier.irfft_of_power(power, 1600), scipy.fft.irfft(power, 1600, axis=-1)
    assert inverse.dtype == expected.dtype == dtype
    assert np.array_equal(inverse, expected)


def test_the_length_that_is_quick_is_that_of_scipy(way):
    assert [fourier.quick_length(n) for n in (1, 7, 8, 1021, 16_001)] == [
        scipy.fft.next_fast_len(n, real=True) for n in (1, 7, 8, 1021, 16_001)
    ]


def test_the_kernel_of_the_installed_scipy_is_known():
    assert fourier._kernel() is not None
