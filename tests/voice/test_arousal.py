"""Arousal of turns whose acoustic summaries are written down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError
from affekt.voice import COLUMNS, acoustic_arousal, acoustic_summary, arousal_sd, liveliness
from affekt.voice.arousal import CALM_SPEECH, CORRELATES, WITHIN_A_PERSON


def summary(**values: float) -> np.ndarray:
    """A turn as calm as the norms, at -25 LUFS, with some values changed by so much; pitch in semitones."""
    row = np.zeros(len(COLUMNS), np.float32)
    usual = {name: mean for name, (mean, _) in CALM_SPEECH.items()} | {'loudness_lufs': -25.0}
    for name, mean in usual.items():
        value = mean + values.get(name, 0.0)
        row[COLUMNS.index(name)] = 2 ** (value / 12) if name == 'f0_mean_hz' else value
    return row


def test_calm_speech_is_zero_and_two_deviations_above_in_everything_is_tanh_of_one():
    aroused = summary(**{name: 2 * sd for name, (_, sd) in CALM_SPEECH.items()})
    subdued = summary(**{name: -2 * sd for name, (_, sd) in CALM_SPEECH.items()})
    readings = acoustic_arousal(np.stack([summary(), aroused, subdued]))
    np.testing.assert_allclose(readings, [0, np.tanh(1), -np.tanh(1)], atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_turn_reads_the_same_alone_and_among_any_others(others, seed):
    rng = np.random.default_rng(seed)
    turn = summary(f0_mean_hz=4, alpha_ratio_db=3)
    crowd = [summary(**{name: rng.normal(0, 4 * sd) for name, (_, sd) in CALM_SPEECH.items()}) for _ in range(others)]
    together = acoustic_arousal(np.stack([turn, *crowd]))
    assert together[0] == acoustic_arousal(turn[None])[0]
    assert acoustic_arousal(np.stack([turn] * 8)).tolist() == [together[0]] * 8


def test_nobody_knows_how_far_the_microphone_was():
    near, far = summary(loudness_lufs=10), summary(loudness_lufs=-20)
    assert np.ptp(acoustic_arousal(np.stack([near, far]))) == 0
    assert 'loudness_lufs' not in CALM_SPEECH
    assert 'loudness_lufs' in CORRELATES


def test_each_correlate_raises_it():
    changed = [summary(**{name: sd}) for name, (_, sd) in CALM_SPEECH.items()]
    assert (acoustic_arousal(np.stack(changed)) > 0.1).all()


def test_an_unvoiced_turn_has_no_arousal_and_is_not_lively():
    unvoiced = acoustic_summary(np.zeros(16000, np.float32))
    assert np.isnan(acoustic_arousal(unvoiced[None])).all()
    assert acoustic_arousal(np.zeros((0, len(COLUMNS)), np.float32)).shape == (0,)
    assert np.isnan(liveliness(np.stack([unvoiced, summary(), summary()]), 'aaa')).tolist() == [True, False, False]


def test_the_error_of_a_long_clean_turn_is_that_of_a_person_never_met_and_grows_with_noise_and_shortness():
    # 0.3**2 + 0.18**2 / 1 + 0 = 0.1224, whose root is 0.34986; with noise of 0 dB another 0.09
    assert arousal_sd(1.0, 1e3) == pytest.approx(0.34986, abs=1e-5)
    assert arousal_sd(1.0, 0.0) == pytest.approx(np.sqrt(0.1224 + 0.09))
    assert arousal_sd(1.0, np.nan) == arousal_sd(1.0, 0.0)
    assert arousal_sd(1e6, 1e3) == pytest.approx(0.3, abs=1e-4)
    assert arousal_sd([0.3, 3.0], [20, 20])[0] > arousal_sd([0.3, 3.0], [20, 20])[1]


def test_one_turn_alone_has_no_usual_to_stand_against():
    rows = np.stack([summary(), summary(), summary()])
    assert np.isnan(liveliness(rows, ['a', 'b', ''])).all()
    assert liveliness(rows[:0], []).shape == (0,)


def test_liveliness_is_shrunk_by_the_number_of_other_turns():
    # one correlate five deviations above n equal others, clipped at 3, and four at 0: n / (n + 3) tanh(3 / 5 / 2)
    for others in (1, 3, 9):
        step = 5 * WITHIN_A_PERSON['alpha_ratio_db']
        rows = np.stack([*[summary()] * others, summary(alpha_ratio_db=step)])
        expected = others / (others + 3) * np.tanh(3 / 5 / 2)
        assert liveliness(rows, ['a'] * (others + 1))[-1] == pytest.approx(expected, rel=1e-3)


def test_liveliness_is_that_of_a_plain_loop():
    rng = np.random.default_rng(3)
    rows = [summary(**{name: rng.normal(0, 3 * sd) for name, sd in WITHIN_A_PERSON.items()}) for _ in range(7)]
    expected = []
    for place, row in enumerate(rows):
        scores = []
        for name, usual in WITHIN_A_PERSON.items():
            values = [float(other[COLUMNS.index(name)]) for other in rows]
            values = [12 * np.log2(value) for value in values] if name == 'f0_mean_hz' else values
            others = np.array(values[:place] + values[place + 1 :])
            squares = np.square(others - others.mean()).sum()
            spread = np.sqrt((3 * usual**2 + squares) / (3 + len(others)))
            scores.append(np.clip((values[place] - others.mean()) / spread, -3, 3))
        expected.append(6 / 9 * np.tanh(np.mean(scores) / 2))
        assert row.shape == (len(COLUMNS),)
    np.testing.assert_allclose(liveliness(np.stack(rows), ['a'] * 7), expected, atol=1e-4)


def test_another_persons_turns_change_nothing_and_louder_is_livelier():
    own = [summary(), summary(), summary(loudness_lufs=12)]
    alone = liveliness(np.stack(own), ['a'] * 3)
    among = liveliness(np.stack([*own, summary(f0_mean_hz=12), summary(f0_mean_hz=12)]), ['a', 'a', 'a', 'b', 'b'])
    np.testing.assert_array_equal(alone, among[:3])
    assert alone[2] > 0.1 > alone[0] == alone[1]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError):
        acoustic_arousal(np.zeros(len(COLUMNS), np.float32))
    with pytest.raises(ShapeError):
        liveliness(np.zeros((2, len(COLUMNS)), np.float32), ['a'])
