"""Pitch of sounds whose pitch is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.voice import find_pitch
from affekt.voice.pitch import second_ceiling


def tone(frequency_hz: float, seconds: float = 0.5, harmonics: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * 16000)) / 16000
    return sum(np.sin(2 * np.pi * k * frequency_hz * time) / k for k in range(1, harmonics + 1)).astype(np.float32) / 4


def pulses(frequency_hz: float, harmonics: int) -> np.ndarray:
    time = np.arange(8000) / 16000
    return (np.sin(2 * np.pi * frequency_hz * np.outer(time, np.arange(1, harmonics + 1))).sum(1) / 20).astype(
        np.float32
    )


def test_a_sine_of_220_hz_is_voiced_at_220_hz_throughout():
    pitch = find_pitch(tone(220))
    assert pitch.voiced.all()
    np.testing.assert_allclose(pitch.f0_hz, 220, atol=0.1)


@settings(deadline=None, max_examples=25)
@given(st.floats(70, 1000), st.integers(1, 7))
def test_a_voice_like_sound_is_found_at_its_fundamental(frequency_hz, harmonics):
    pitch = find_pitch(tone(frequency_hz, harmonics=harmonics))
    assert np.nanmedian(pitch.f0_hz) == pytest.approx(frequency_hz, rel=0.001)


@settings(deadline=None, max_examples=25)
@given(st.floats(120, 1000))
def test_a_source_as_bright_as_can_be_keeps_its_octave_and_its_harmonicity(frequency_hz):
    # every harmonic below 7.8 kHz, all as strong: peaks of the autocorrelation are one sample wide. The window holds
    # six pulses of 120 Hz, and one more or less changes its energy; from 250 Hz on that is negligible
    harmonics = int(7800 // frequency_hz)
    pitch = find_pitch(pulses(frequency_hz, harmonics))
    assert pitch.voiced.all()
    np.testing.assert_allclose(pitch.f0_hz, frequency_hz, rtol=0.002)
    assert np.median(pitch.hnr_db) > (35 if frequency_hz > 250 else 25)


def test_a_shout_at_800_hz_is_not_read_an_octave_low_and_a_low_voice_never_an_octave_high():
    assert np.nanpercentile(find_pitch(tone(800, harmonics=6)).f0_hz, [1, 99]) == pytest.approx([800, 800], rel=0.01)
    # a strong second harmonic at 240 Hz, as of an open vowel: still 120 Hz
    low = tone(120, harmonics=6) + tone(240, harmonics=1)
    assert np.nanpercentile(find_pitch(low).f0_hz, [1, 99]) == pytest.approx([120, 120], rel=0.01)


def test_the_second_pass_reaches_500_hz_for_a_man_and_further_for_a_shout():
    nothing = np.full(4, np.nan, np.float32)
    # upper quartiles of 110, 400 and 900 Hz: 165, 600 and 1350 Hz, kept within 500 and 1050
    assert second_ceiling(nothing) == second_ceiling(np.full(4, 110, np.float32)) == 500
    assert second_ceiling(np.array([300, 400, 400, 400, np.nan], np.float32)) == pytest.approx(600)
    assert second_ceiling(np.full(4, 900, np.float32)) == 1050


def test_a_mans_reading_is_what_a_single_pass_up_to_500_hz_gives(reading, monkeypatch):
    both = find_pitch(reading[: 8 * 16000])
    monkeypatch.setattr('affekt.voice.pitch.HIGHEST_HZ', 500.0)
    single = find_pitch(reading[: 8 * 16000])
    assert np.mean(both.voiced == single.voiced) > 0.995
    voiced = both.voiced & single.voiced
    assert np.mean(np.abs(both.f0_hz[voiced] / single.f0_hz[voiced] - 1) < 0.001) > 0.995


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
