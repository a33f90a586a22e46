"""Acoustic measures of sounds whose measures follow from arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks, lfilter

from affekt.errors import ShapeError, ValueRangeError
from affekt.voice import COLUMNS, READINGS, acoustic_frames, acoustic_summary, integrated_loudness
from affekt.voice.acoustics import prominent_peaks, syllable_nuclei


def column(row: np.ndarray, name: str) -> float:
    return float(row[..., COLUMNS.index(name)])


def sine(frequency_hz: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * 16000)) / 16000
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def babble(rng: np.random.Generator, seconds: float = 1.0) -> np.ndarray:
    """A buzzing voice whose level rises and falls four times a second."""
    time = np.arange(round(seconds * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 12))
    return (0.1 * buzz * (1 - np.cos(2 * np.pi * 4 * time)) + 1e-4 * rng.standard_normal(time.shape)).astype(np.float32)


def test_a_full_scale_sine_of_997_hz_is_minus_3_lufs():
    # BS.1770: 0 dBFS at 997 Hz in one channel reads -3.01
    assert integrated_loudness(sine(997, 5, 1.0)) == pytest.approx(-3.01, abs=0.005)


@pytest.mark.parametrize('frequency_hz', [60, 150, 440, 1500, 3000, 5000, 7500])
def test_loudness_is_that_of_the_standards_own_filters_at_48_khz(frequency_hz):
    time = np.arange(2 * 48000) / 48000
    weighted = 0.5 * np.sin(2 * np.pi * frequency_hz * time)
    for front, back in (
        ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]),
        ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    ):
        weighted = lfilter(front, back, weighted)
    expected = -0.691 + 10 * np.log10(np.mean(weighted**2))
    assert integrated_loudness(sine(frequency_hz, 2.0)) == pytest.approx(expected, abs=0.01)


def test_a_turn_of_ten_samples_has_a_loudness():
    assert -40 < integrated_loudness(np.full(10, 0.5, np.float32)) < 0


@pytest.mark.parametrize('silence_s', [0.0, 0.2, 1.5])
def test_silence_around_the_speech_slows_nobody_down(rng, silence_s):
    silence = np.zeros(round(silence_s * 16000), np.float32)
    row = acoustic_summary(np.concatenate([silence, babble(rng, 3.0), silence]), words=6)
    assert column(row, 'syllables_per_s') == pytest.approx(4.0, rel=0.02)
    assert column(row, 'words_per_s') == pytest.approx(2.0, rel=0.02)
    assert column(row, 'voiced_share') > 0.9


@given(st.floats(-40, 0))
@settings(deadline=None, max_examples=20)
def test_a_gain_of_g_decibels_adds_exactly_g(gain_db):
    voice = babble(np.random.default_rng(3))
    turned = voice * np.float32(10 ** (gain_db / 20))
    assert integrated_loudness(turned) - integrated_loudness(voice) == pytest.approx(gain_db, abs=1e-3)
    before, after = acoustic_summary(voice), acoustic_summary(turned)
    for name in ('f0_mean_hz', 'alpha_ratio_db', 'hammarberg_db', 'loudness_sd_db', 'voiced_share', 'syllables_per_s'):
        assert column(after, name) == pytest.approx(column(before, name), rel=1e-3, abs=0.02)


def test_the_level_of_a_sine_is_its_amplitude_less_3_decibels():
    # 0.5 sin has the power 1/8, that is -9.03 dB
    assert np.median(acoustic_frames(sine(250)).loudness_db) == pytest.approx(-9.03, abs=0.1)


def test_a_steady_sine_has_a_steady_pitch():
    row = acoustic_summary(sine(220))
    assert column(row, 'f0_mean_hz') == pytest.approx(220, abs=0.2)
    assert column(row, 'f0_sd_st') == pytest.approx(0, abs=0.02)
    assert column(row, 'voiced_share') == 1.0
    assert column(row, 'voiced_stretch_s') == pytest.approx(1.0)


def test_energy_above_one_kilohertz_raises_the_alpha_ratio():
    # two sines of equal amplitude on either side of 1 kHz balance; twice the upper one is 6.02 dB
    low, high = sine(300, amplitude=0.2), sine(2400, amplitude=0.2)
    balanced = np.nanmean(acoustic_frames(low + high).alpha_ratio_db)
    raised = np.nanmean(acoustic_frames(low + 2 * high).alpha_ratio_db)
    assert balanced == pytest.approx(0, abs=0.2)
    assert raised - balanced == pytest.approx(6.02, abs=0.05)


def test_four_swellings_a_second_are_four_syllables_a_second(rng):
    voice = babble(rng, 3.0)
    assert syllable_nuclei(voice, acoustic_frames(voice).voiced) == 12
    assert column(acoustic_summary(voice), 'syllables_per_s') == pytest.approx(4.0)


def test_words_per_second_are_words_over_seconds():
    assert column(acoustic_summary(sine(220, 2.0), words=5), 'words_per_s') == 2.5
    assert np.isnan(column(acoustic_summary(sine(220, 2.0)), 'words_per_s'))


@pytest.mark.parametrize('samples', [np.zeros(16000, np.float32), np.zeros(0, np.float32), np.zeros(100, np.float32)])
def test_silence_and_emptiness_have_no_pitch_and_no_error(samples):
    row = acoustic_summary(samples)
    assert np.isnan(column(row, 'f0_mean_hz'))
    assert column(row, 'loudness_lufs') == pytest.approx(-120.691, abs=1e-3)


def test_every_column_stays_in_its_range_even_for_clipped_noise(rng):
    for samples in (np.sign(rng.standard_normal(16000)), rng.standard_normal(8000), babble(rng) * 20):
        row = acoustic_summary(np.clip(samples, -1, 1).astype(np.float32))
        for reading, value in zip(READINGS, row, strict=True):
            assert np.isnan(value) or reading.low <= value <= reading.high, reading.name


def test_what_is_not_mono_or_not_finite_is_refused():
    with pytest.raises(ShapeError):
        acoustic_frames(np.zeros((2, 16000), np.float32))
    with pytest.raises(ValueRangeError):
        acoustic_frames(np.full(16000, np.inf, np.float32))


@pytest.mark.parametrize('steps', [0, 3])
def test_peaks_are_those_of_scipy(steps):
    rng = np.random.default_rng(3)
    for length in (0, 1, 2, 3, 50, 400):
        values = np.cumsum(rng.normal(size=length))
        values = np.round(values * steps) / steps if steps else values  # flat peaks
        for height, prominence in ((-100.0, 0.0), (0.0, 1.0), (1.0, 2.0)):
            expected, _ = find_peaks(values, height=height, prominence=prominence)
            np.testing.assert_array_equal(prominent_peaks(values, height, prominence), expected)
