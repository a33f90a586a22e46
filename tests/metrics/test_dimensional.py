from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import concordance, dimensional_measure, pearson

PAIRS = st.lists(st.tuples(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32)), min_size=3, max_size=30)


def test_concordance_of_a_shift_by_one_is_five_sevenths():
    # var = cov = 5/4, shift**2 = 1, so 2(5/4) / (5/4 + 5/4 + 1) = 5/7
    assert concordance(np.arange(4.0), np.arange(4.0) + 1) == pytest.approx(5 / 7, abs=1e-15)


def test_concordance_of_a_doubling_and_shift_is_eight_thirteenths_where_pearson_is_one():
    # t = -1, 0, 1: var 2/3; p = 2t + 1: var 8/3, cov 4/3, shift**2 = 1, so (8/3) / (10/3 + 1) = 8/13
    truth = np.array([-1.0, 0.0, 1.0])
    assert concordance(truth, 2 * truth + 1) == pytest.approx(8 / 13, abs=1e-15)
    assert pearson(truth, 2 * truth + 1) == pytest.approx(1.0, abs=1e-15)


def test_a_constant_prediction_has_concordance_zero_and_no_pearson():
    assert concordance([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == 0.0
    assert np.isnan(pearson([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]))


def test_both_are_nan_for_one_sample_or_two_equal_constants():
    assert np.isnan(concordance([1.0], [1.0]))
    assert np.isnan(pearson([], []))
    assert np.isnan(concordance([2.0, 2.0], [2.0, 2.0]))


def test_shapes_and_missing_values_raise():
    with pytest.raises(ShapeError, match='one shape'):
        concordance([1.0, 2.0], [1.0])
    with pytest.raises(ValueRangeError, match='finite'):
        pearson([1.0, np.nan], [1.0, 2.0])


@given(PAIRS)
@settings(max_examples=80, deadline=None)
def test_concordance_is_symmetric_bounded_and_no_larger_than_pearson(pairs):
    truth, prediction = np.array(pairs).T
    value = concordance(truth, prediction)
    if np.isnan(value):
        return
    assert value == pytest.approx(concordance(prediction, truth), abs=1e-12)
    assert -1.0 - 1e-12 <= value <= 1.0 + 1e-12
    correlation = pearson(truth, prediction)
    if not np.isnan(correlation):
        assert abs(value) <= abs(correlation) + 1e-6


def test_pearson_equals_numpy_and_concordance_a_plain_loop(rng):
    truth, prediction = rng.normal(size=200), rng.normal(size=200)
    assert pearson(truth, prediction) == pytest.approx(np.corrcoef(truth, prediction)[0, 1], abs=1e-12)
    covariance = sum((t - truth.mean()) * (p - prediction.mean()) for t, p in zip(truth, prediction, strict=True)) / 200
    plain = 2 * covariance / (truth.var() + prediction.var() + (truth.mean() - prediction.mean()) ** 2)
    assert concordance(truth, prediction) == pytest.approx(plain, abs=1e-12)


def test_pearson_survives_values_near_the_limits_of_floats():
    truth = np.array([1.0, 2.0, 4.0])
    assert pearson(truth * 1e-200, truth * 1e200) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize('value', [-1.4, 0.1, 3.0])
def test_concordance_of_one_constant_is_undefined_whatever_rounding_makes_of_its_mean(value):
    assert np.isnan(concordance([value] * 3, [value] * 3))
    assert concordance([value] * 3, [value + 1] * 3) == pytest.approx(0.0, abs=1e-15)


def test_a_constant_but_for_rounding_has_no_correlation():
    # 0.1 + 0.2 is 0.30000000000000004: by exact arithmetic both sides are constants
    rounded = np.array([0.1 + 0.2, 0.3, 0.3])
    assert np.ptp(rounded) > 0.0
    assert np.isnan(pearson(rounded, [1.0, 2.0, 4.0]))
    assert np.isnan(pearson([1.0, 2.0, 4.0], rounded))
    assert np.isnan(concordance(rounded, np.full(3, 0.3)))
    assert np.isnan(dimensional_measure([1.0, 2.0, 4.0], rounded).scores()['pearson'])
    single = np.nextafter(np.float32(0.7), np.float32(1.0), dtype=np.float32)
    assert np.isnan(pearson(np.array([0.7, single, 0.7], dtype=np.float32), [1.0, 2.0, 4.0]))


def test_small_but_real_differences_keep_their_correlation():
    assert pearson([1.0, 1.0 + 1e-12, 1.0 + 2e-12], [1.0, 2.0, 3.0]) == pytest.approx(1.0, abs=1e-3)
    assert pearson([1e-200, 2e-200, 3e-200], [1.0, 2.0, 3.0]) == pytest.approx(1.0, abs=1e-12)
