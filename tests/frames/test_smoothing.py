"""Smoothing by hand-worked values and plain second forms; causal forms that read nothing later; how it is chosen."""

import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.frames import SMOOTHING_METHODS, Smoothing, one_euro, smoothing_candidates, tuned_smoothing
from affekt.live.smoothing import LEAST_HZ, SLOPE, SPEED_HZ, steady_filter

CURVE = np.array([[1.0], [5.0], [3.0], [7.0], [2.0]])
EVERY = [(method, causal) for method in SMOOTHING_METHODS for causal in (False, True)]


def smooth(values, *settings):
    return Smoothing(*settings)(np.asarray(values, float))[:, 0].tolist()


def test_means_and_medians_by_hand():
    assert smooth(CURVE, 'mean', 3) == pytest.approx([3, 3, 5, 4, 4.5])  # at the ends, of two
    assert smooth(CURVE, 'mean', 3, True) == pytest.approx([1, 3, 3, 5, 4])
    assert smooth(CURVE, 'median', 3) == pytest.approx([3, 3, 5, 3, 4.5])
    assert smooth(CURVE, 'median', 3, True) == pytest.approx([1, 3, 3, 5, 3])


def test_the_bell_has_the_variance_of_its_box():
    # a box of 5 has variance (25 - 1) / 12 = 2
    impulse = np.zeros((101, 1))
    impulse[50] = 1
    weights = Smoothing('gaussian', 5)(impulse)[:, 0]
    places = np.arange(101) - 50
    assert weights.sum() == pytest.approx(1)
    assert (weights * places**2).sum() == pytest.approx(2, rel=0.03)
    assert weights[51] / weights[50] == pytest.approx(np.exp(-1 / 4))


def test_one_euro_at_rest_is_an_exponential_mean_by_hand():
    # width 3: a = 2 / 4; 1, 1 + (5 - 1) / 2 = 3, 3, 5, 3.5
    assert smooth(CURVE, 'one_euro', 3) == pytest.approx([1, 3, 3, 5, 3.5])


def test_one_euro_follows_a_jump_sooner_with_speed():
    jump = np.repeat([[0.0], [1.0]], 10, axis=0)
    slow, fast = Smoothing('one_euro', 15)(jump), Smoothing('one_euro', 15, True, 50.0)(jump)
    assert slow[10, 0] == pytest.approx(2 / 16)
    assert fast[10, 0] > 2 * slow[10, 0]
    # dx = 2 / 11 after one frame of it, so a = 1 / (1 + 7 / (1 + 50 * 2 / 11))
    assert fast[10, 0] == pytest.approx(1 / (1 + 7 / (1 + 100 / 11)))


def test_one_euro_of_several_videos_at_once_is_that_of_each():
    values = np.random.default_rng(0).normal(size=(3, 20, 2))
    np.testing.assert_array_equal(one_euro(values, 5, 2.0)[1], one_euro(values[1], 5, 2.0))


def test_one_euro_is_the_filter_of_a_live_stream_where_frames_come_regularly():
    # a live stream counts in seconds: W = 1 + 1 / (pi cutoff step), and its slope is speed times cutoff and step
    step_s = 0.04
    curve = np.cumsum(np.random.default_rng(0).normal(size=(80, 2)), axis=0) * 0.05
    live = steady_filter()
    streamed = [live(row, step_s) for row in curve]
    width, speed_width = (1 + 1 / (np.pi * hz * step_s) for hz in (LEAST_HZ, SPEED_HZ))
    np.testing.assert_allclose(one_euro(curve, width, SLOPE / (LEAST_HZ * step_s), speed_width), streamed, atol=1e-12)


@pytest.mark.parametrize(('method', 'causal'), EVERY)
def test_a_constant_stays_and_columns_do_not_mix(method, causal):
    smoothing = Smoothing(method, 7, causal, 1.0)
    np.testing.assert_allclose(smoothing(np.full((30, 2), 0.25)), 0.25)
    values = np.random.default_rng(0).normal(size=(30, 2))
    if method != 'one_euro':
        np.testing.assert_allclose(smoothing(values)[:, :1], smoothing(values[:, :1]), atol=1e-12)
    assert smoothing(values[:0]).shape == (0, 2)


@pytest.mark.parametrize('method', SMOOTHING_METHODS)
def test_causal_forms_read_nothing_that_comes_later(method):
    values = np.random.default_rng(0).normal(size=(60, 2))
    changed = values.copy()
    changed[40:] += 3
    smoothing = Smoothing(method, 9, True)
    np.testing.assert_array_equal(smoothing(values)[:40], smoothing(changed)[:40])
    np.testing.assert_allclose(smoothing(values[:40]), smoothing(values)[:40], atol=1e-12)


@pytest.mark.parametrize(('method', 'causal'), EVERY)
def test_what_is_not_known_stays_so_and_counts_for_nothing(method, causal):
    values = np.random.default_rng(0).normal(size=(30, 1))
    values[10:13] = np.nan
    result = Smoothing(method, 3, causal)(values)
    assert np.flatnonzero(np.isnan(result[:, 0])).tolist() == [10, 11, 12]
    if method in ('mean', 'median'):
        assert result[13, 0] == pytest.approx(values[13:14, 0].mean() if causal else values[13:15, 0].mean())


@pytest.mark.parametrize('method', ['mean', 'median'])
@pytest.mark.parametrize('width', [2, 3, 8, 41])
def test_means_and_medians_equal_a_plain_loop(method, width):
    values = np.random.default_rng(width).normal(size=(25, 2))
    plain = getattr(np, method)
    half = width // 2
    centred = [plain(values[max(0, t - half) : t + half + 1], axis=0) for t in range(25)]
    causal = [plain(values[max(0, t - width + 1) : t + 1], axis=0) for t in range(25)]
    np.testing.assert_allclose(Smoothing(method, width)(values), centred, atol=1e-12)
    np.testing.assert_allclose(Smoothing(method, width, True)(values), causal, atol=1e-12)


def test_the_width_with_the_best_score_is_chosen_and_both_scores_are_said():
    rng = np.random.default_rng(0)
    truth = {name: np.sin(np.arange(300) / 30)[:, None] for name in 'ab'}
    noisy = {name: curve + rng.normal(size=curve.shape) * 0.5 for name, curve in truth.items()}

    def score(predictions):
        return -np.mean([np.square(predictions[name] - truth[name]).mean() for name in truth])

    choice = tuned_smoothing(noisy, score)
    assert choice.chosen.width in (25, 45)
    assert choice.after > choice.before == score(noisy)
    assert dict(choice.scores)[choice.chosen] == choice.after == max(value for _, value in choice.scores)
    steady = tuned_smoothing(truth, lambda predictions: 1.0)
    assert steady.chosen == Smoothing()
    assert steady.before == steady.after == 1.0


def test_undefined_scores_are_never_chosen():
    choice = tuned_smoothing({'a': CURVE}, lambda predictions: float('nan'))
    assert choice.chosen == Smoothing()
    assert np.isnan(choice.after)


def test_causal_candidates_are_causal():
    assert all(each.causal for each in smoothing_candidates(causal=True)[1:])
    assert not any(each.causal for each in smoothing_candidates())


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownNameError, match='mean, median'):
        Smoothing('mode')
    with pytest.raises(ValueRangeError, match='width 0'):
        Smoothing('mean', 0)
    with pytest.raises(ShapeError, match='a column for each curve'):
        Smoothing('mean', 3)(np.zeros(4))
