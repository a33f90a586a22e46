"""Pitch of sounds whose pitch is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.voice import find_pitch


def tone(frequency_hz: float, seconds: float = 0.5, harmonics: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * 16000)) / 16000
    return sum(np.sin(2 * np.pi * k * frequency_hz * time) / k for k in range(1, harmonics + 1)).astype(np.float32) / 4


def test_a_sine_of_220_hz_is_voiced_at_220_hz_throughout():
    pitch = find_pitch(tone(220))
    assert pitch.voiced.all()
    np.testing.assert_allclose(pitch.f0_hz, 220, atol=0.1)


@settings(deadline=None, max_examples=25)
@given(st.floats(70, 480), st.integers(1, 8))
def test_a_voice_like_sound_is_found_at_its_fundamental(frequency_hz, harmonics):
    pitch = find_pitch(tone(frequency_hz, harmonics=harmonics))
    assert np.nanmedian(pitch.f0_hz) == pytest.approx(frequency_hz, rel=0.005)


@given(st.floats(-60, 0))
@settings(deadline=None, max_examples=10)
def test_level_does_not_matter(gain_db):
    loud, quiet = find_pitch(tone(150)), find_pitch(tone(150) * np.float32(10 ** (gain_db / 20)))
    np.testing.assert_allclose(quiet.f0_hz, loud.f0_hz, rtol=1e-4)


def test_white_noise_and_silence_are_unvoiced(rng):
    assert not find_pitch(rng.standard_normal(16000).astype(np.float32)).voiced.any()
    assert not find_pitch(np.zeros(16000, np.float32)).voiced.any()


def test_an_octave_is_not_dropped_where_the_sound_glides():
    # from 120 to 240 Hz in one second: a chirp whose phase is the integral of its frequency
    time = np.arange(16000) / 16000
    phase = 2 * np.pi * (120 * time + 60 * time**2)
    pitch = find_pitch((np.sin(phase) + 0.5 * np.sin(2 * phase)).astype(np.float32))
    middle = (np.arange(100) + 0.5) / 100
    np.testing.assert_allclose(pitch.f0_hz[5:-5], (120 + 120 * middle)[5:-5], rtol=0.02)


def test_harmonicity_is_the_ratio_of_the_energies(rng):
    # a sine of power 1/2 and white noise of power 1/20 have a ratio of 10, that is 10 dB
    time = np.arange(32000) / 16000
    noisy = np.sin(2 * np.pi * 200 * time) + np.sqrt(1 / 20) * rng.standard_normal(32000)
    assert np.nanmean(find_pitch(noisy.astype(np.float32)).hnr_db) == pytest.approx(10, abs=0.7)


def test_too_little_sound_has_no_frames():
    assert find_pitch(np.zeros(159, np.float32)).f0_hz.shape == (0,)
