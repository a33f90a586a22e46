from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import calibrated, event_calibration_error, expected_calibration_error, fit_temperature
from affekt.metrics.calibration import TEMPERATURE_RANGE


def test_two_bins_by_hand():
    # 10 bins: 0.95 (right, right) and 0.55 (right, wrong): 2/4 |1 - 0.95| + 2/4 |0.5 - 0.55| = 0.05
    rows = [[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]]
    assert expected_calibration_error(rows, [0, 0, 0, 1], bins=10) == pytest.approx(0.05, abs=1e-12)


def test_one_bin_lets_opposite_errors_cancel():
    # one bin: mean confidence 0.75, accuracy 0.75
    rows = [[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]]
    assert expected_calibration_error(rows, [0, 0, 0, 1], bins=1) == pytest.approx(0.0, abs=1e-12)


def test_bins_are_open_below_and_closed_above():
    # 0.5 falls with 0.3 into (0, 0.5]: |(1 + 0) - 0.8| / 2 = 0.1; were it alone, the sum would be (0.5 + 0.3) / 2
    assert event_calibration_error([0.5, 0.3], [True, False], bins=2) == pytest.approx(0.1, abs=1e-12)


def test_probabilities_zero_and_one_are_in_the_outer_bins():
    assert event_calibration_error([0.0, 1.0], [False, True], bins=15) == 0.0


def test_without_samples_the_error_is_nan():
    assert np.isnan(expected_calibration_error(np.zeros((0, 3)), []))
    assert np.isnan(event_calibration_error([], []))


def test_the_temperature_of_sharpened_logits_is_found_again(rng):
    # draw truths from softmax(z), then hand over 2.5 z: the likeliest temperature is near 2.5
    logits = rng.normal(size=(20000, 5))
    truth = (calibrated(logits, 1.0).cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    assert fit_temperature(2.5 * logits, truth) == pytest.approx(2.5, rel=0.05)


@given(st.integers(0, 1000), st.floats(0.2, 5.0))
@settings(max_examples=25, deadline=None)
def test_the_temperature_scales_with_the_logits_and_none_nearby_is_likelier(seed, scale):
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=(60, 3)) + np.eye(3)[rng.integers(0, 3, 60)], rng.integers(0, 3, 60)
    logits[np.arange(60), truth] += 0.7
    best = fit_temperature(logits, truth)
    if not TEMPERATURE_RANGE[0] * 10 < best < TEMPERATURE_RANGE[1] / 10:
        return
    assert fit_temperature(scale * logits, truth) == pytest.approx(scale * best, rel=1e-6)

    def surprise(temperature: float) -> float:
        return -float(np.log(calibrated(logits, temperature)[np.arange(60), truth]).mean())

    assert surprise(best) <= min(surprise(best * 1.01), surprise(best / 1.01)) + 1e-12


def test_perfect_and_hopeless_logits_stay_within_the_range():
    assert fit_temperature([[5.0, 0.0]], [0]) == TEMPERATURE_RANGE[0]
    assert fit_temperature([[5.0, 0.0]], [1]) == TEMPERATURE_RANGE[1]
    assert fit_temperature([[1.0, 1.0]], [0]) == 1.0
    assert fit_temperature(np.zeros((0, 2)), []) == 1.0


def test_calibrated_rows_sum_to_one_even_for_huge_logits():
    np.testing.assert_allclose(calibrated([[1e300, 0.0], [3.0, 3.0]], 1.0), [[1, 0], [0.5, 0.5]], atol=1e-15)


def test_wrong_values_raise():
    with pytest.raises(ValueRangeError, match='sum to 1'):
        expected_calibration_error([[2.0, -1.0]], [0])
    with pytest.raises(ValueRangeError, match='class indices'):
        fit_temperature([[0.0, 1.0]], [2])
    with pytest.raises(ShapeError, match='one row'):
        fit_temperature([[0.0, 1.0]], [0, 1])
    with pytest.raises(ValueRangeError, match='at least one bin; got 0 bins; use for example 15'):
        event_calibration_error([0.5], [True], bins=0)
    with pytest.raises(ValueRangeError, match='at least one bin; got values outside, or nan'):
        event_calibration_error([np.nan], [True])
    with pytest.raises(ValueRangeError, match='temperature'):
        calibrated([[0.0, 1.0]], 0.0)


def test_a_missing_outcome_is_refused():
    with pytest.raises(ValueRangeError, match='outcomes'):
        event_calibration_error([0.5, 0.5], [1.0, float('nan')])
    with pytest.raises(ValueRangeError, match='finite'):
        expected_calibration_error([[0.5, 0.5]], [float('nan')])
