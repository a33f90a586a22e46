"""Speech plus noise: the ratio is the one that was asked for, seeds give bytes, and nothing clips in silence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from affekt.corruption import active_power, babble, coloured_noise, mix_at_snr, rng_of, seed_of, snr_db_of
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

RATE_HZ = 16_000


def _speech(rng, seconds=1.0):
    """A voice with pauses: noise that is loud in every other tenth of a second."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return 0.1 * rng.normal(size=len(time)) * ((time * 10).astype(int) % 2)


@pytest.mark.parametrize('power', ['whole', 'active'])
@pytest.mark.parametrize('colour', ['white', 'pink', 'brown'])
@pytest.mark.parametrize('snr_db', [-5.0, 0.0, 5.0, 10.0, 37.25])
def test_the_measured_ratio_is_the_one_that_was_asked_for(snr_db, colour, power, rng):
    speech = _speech(rng)
    made = mix_at_snr(speech, coloured_noise(colour, len(speech), rng), snr_db, RATE_HZ, power)
    # What is left of the mixture without the speech is the noise as it is heard.
    left = made.samples / made.level - speech
    loud = active_power(speech, RATE_HZ) if power == 'active' else np.mean(speech**2)
    assert 10 * np.log10(loud / np.mean(left**2)) == pytest.approx(snr_db, abs=1e-6)
    assert snr_db_of(speech, left, RATE_HZ, power) == pytest.approx(snr_db, abs=1e-6)


def test_a_mixture_worked_out_by_hand():
    # P(speech) = 0.04, P(noise) = 1. At 20 dB the noise's power is 0.0004: its gain is 0.02.
    made = mix_at_snr([0.2, -0.2, 0.2, -0.2], [1.0, 1.0, -1.0, -1.0], 20.0, RATE_HZ)
    assert made.noise_gain == pytest.approx(0.02, abs=1e-15)
    assert made.samples == pytest.approx([0.22, -0.18, 0.18, -0.22], abs=1e-15)
    assert (made.level, made.clipped) == (1.0, 0)


def test_a_sum_beyond_full_scale_is_made_quieter_as_a_whole_and_told():
    # At 0 dB the gain is 0.9: the sum is 1.8, 0, 0, -1.8; two samples would have clipped.
    made = mix_at_snr([0.9, -0.9, 0.9, -0.9], [1.0, 1.0, -1.0, -1.0], 0.0, RATE_HZ)
    assert made.peak == pytest.approx(1.8)
    assert made.level == pytest.approx(1 / 1.8)
    assert made.clipped == 2
    assert made.samples == pytest.approx([1.0, 0.0, 0.0, -1.0], abs=1e-15)


def test_pauses_do_not_count_as_speech_where_active_power_is_asked_for():
    # 20 ms of a square wave of 0.5 and 60 ms of 0.01: frames of power 0.25 and 0.0001. The mean, 0.062575, less 15.9 dB
    # is 0.0016, above the quiet frames; of the loud frame alone the level is 0.25.
    size = RATE_HZ // 50
    sound = np.concatenate([np.full(size, 0.5), np.full(3 * size, 0.01)])
    assert active_power(sound, RATE_HZ) == pytest.approx(0.25, abs=1e-15)
    # With 0.1 in the pauses, 0.01 against a level of 0.07 less 15.9 dB, 0.0018: they count.
    sound = np.concatenate([np.full(size, 0.5), np.full(3 * size, 0.1)])
    assert active_power(sound, RATE_HZ) == pytest.approx((0.25 + 3 * 0.01) / 4, abs=1e-15)


def test_a_last_frame_that_is_not_full_counts_by_its_length():
    sound = np.concatenate([np.full(320, 0.5), np.full(160, 0.25)])
    assert active_power(sound, RATE_HZ) == pytest.approx((320 * 0.25 + 160 * 0.0625) / 480, abs=1e-15)


def test_active_power_is_never_less_than_that_of_the_whole_and_0_for_silence(rng):
    for _ in range(20):
        sound = rng.normal(size=5000) * np.repeat(rng.random(50) ** 4, 100)
        assert active_power(sound, RATE_HZ) >= np.mean(sound**2) - 1e-15
    assert active_power(np.zeros(1000), RATE_HZ) == 0.0


@pytest.mark.parametrize(('colour', 'slope'), [('white', 0.0), ('pink', -1.0), ('brown', -2.0)])
def test_the_power_of_coloured_noise_falls_with_frequency_as_its_name_says(colour, slope, rng):
    power = np.abs(np.fft.rfft(coloured_noise(colour, 1 << 17, rng))) ** 2
    edges = 2 ** np.arange(4, 17)
    bands = [power[low:high].mean() for low, high in pairwise(edges)]
    found = np.polyfit(np.log2(edges[:-1]), np.log2(bands), 1)[0]
    assert found == pytest.approx(slope, abs=0.1)


def test_coloured_noise_has_a_mean_square_of_1_at_odd_and_even_lengths(rng):
    for size in (2, 3, 999, 1000):
        assert np.mean(coloured_noise('pink', size, rng) ** 2) == pytest.approx(1.0)


def test_voices_of_a_babble_are_equally_loud_whatever_they_were(rng):
    # Two constant voices, of which one is 100 times louder: each counts 1 everywhere.
    made = babble([np.full(500, 0.001), np.full(700, 0.1), np.zeros(10)], 2000, RATE_HZ, rng)
    assert made == pytest.approx(np.full(2000, 2.0))


def test_one_seed_gives_one_noise_and_other_samples_other_noises():
    first, again, other = (coloured_noise('pink', 100, rng_of(7, name, 'sound')).tobytes() for name in ('a', 'a', 'b'))
    assert first == again != other
    assert coloured_noise('pink', 100, np.random.default_rng(seed_of(7, 'a', 'sound'))).tobytes() == first


@pytest.mark.parametrize(
    ('speech', 'noise', 'error', 'said'),
    [
        ([0.0, 0.0], [1.0, 1.0], ValueRangeError, 'speech that is silent'),
        ([1.0, 0.0], [0.0, 0.0], ValueRangeError, 'noise that is silent'),
        ([np.nan, 0.0], [0.0, 1.0], ValueRangeError, 'speech with nan'),
        ([1.0, 0.0], [0.0], ShapeError, 'one length'),
        ([], [], ShapeError, 'one length'),
    ],
)
def test_what_has_no_ratio_is_refused(speech, noise, error, said):
    with pytest.raises(error, match=said):
        mix_at_snr(speech, noise, 5.0, RATE_HZ)


def test_values_and_names_out_of_range_are_refused(rng):
    with pytest.raises(ValueRangeError, match='dB'):
        mix_at_snr([1.0], [1.0], float('nan'), RATE_HZ)
    with pytest.raises(UnknownNameError, match='whole, active'):
        mix_at_snr([1.0], [1.0], 5.0, RATE_HZ, 'loud')
    with pytest.raises(UnknownNameError, match='white, pink, brown'):
        coloured_noise('blue', 10, rng)
    with pytest.raises(ValueRangeError, match='2 samples'):
        coloured_noise('white', 1, rng)
    with pytest.raises(ShapeError, match='1 silent'):
        babble([np.zeros(5)], 10, RATE_HZ, rng)
