"""Recovery of known curves: concordance over all frames together, and its interval over videos."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import concordance, curve_measure, frame_intervals


def test_a_curve_that_is_shifted_by_one_has_five_sevenths():
    # var = cov = 5/4, shift**2 = 1: 2(5/4) / (5/4 + 5/4 + 1) = 5/7
    truth = np.arange(4.0)[:, None]
    scores = curve_measure([truth], [truth + 1], ['a']).scores()
    assert scores == pytest.approx({'ccc': 5 / 7, 'ccc a': 5 / 7})


def test_frames_of_all_videos_count_together():
    rng = np.random.default_rng(0)
    truth = [rng.normal(size=(count, 2)) for count in (5, 30, 1)]
    predicted = [each * [1, 0.5] + rng.normal(size=each.shape) * 0.3 for each in truth]
    scores = curve_measure(truth, predicted, ['a', 'b']).scores()
    both = np.concatenate(truth), np.concatenate(predicted)
    expected = [concordance(both[0][:, k], both[1][:, k]) for k in range(2)]
    assert [scores['ccc a'], scores['ccc b'], scores['ccc']] == pytest.approx([*expected, np.mean(expected)])


def test_a_curve_without_concordance_is_left_out_of_the_mean():
    truth = np.stack([np.arange(4.0), np.zeros(4)], axis=1)
    scores = curve_measure([truth], [truth], ['a', 'b']).scores()
    assert scores['ccc'] == 1
    assert np.isnan(scores['ccc b'])


def test_the_interval_holds_the_score_and_lies_within_its_bounds():
    rng = np.random.default_rng(1)
    truth = [rng.normal(size=(20, 1)) for _ in range(6)]
    measure = curve_measure(truth, [each + rng.normal(size=each.shape) for each in truth], ['a'])
    interval = frame_intervals(measure, rng=rng, resamples=200)['ccc']
    assert -1 <= interval.low < interval.value < interval.high <= 1


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError):
        curve_measure([np.zeros((2, 1))], [np.zeros((3, 1))], ['a'])
    with pytest.raises(ShapeError):
        curve_measure([np.zeros((2, 1))], [np.zeros((2, 1))], ['a', 'b'])
    with pytest.raises(ValueRangeError):
        curve_measure([np.full((2, 1), np.nan)], [np.zeros((2, 1))], ['a'])
