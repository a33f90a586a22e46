"""Scores of rated sentiment: by hand, against scikit-learn, and at the edges where published code goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import SIMS_EDGES, edged_accuracy, rounded_accuracy, sentiment_report, signs

TRUTH = [1.2, -0.4, 0.0, 2.0, -3.0, 0.0, 0.6]
PREDICTION = [0.5, 0.1, 9.0, 0.0, -1.0, -9.0, 0.2]


def test_the_toy_case_of_the_published_code():
    # Zeros dropped: truth + - + - +, prediction + + - - +. Right: 1st, 4th, 5th of five.
    # F1 of + is 2*2/(3+3) = 2/3 with weight 3/5, of - 2*1/(2+2) = 1/2 with weight 2/5: 0.4 + 0.2.
    report = sentiment_report(TRUTH, PREDICTION)
    assert (report.n, report.n_nonzero) == (7, 5)
    assert report.f1_negative_positive == pytest.approx(0.6, abs=1e-15)
    assert report.accuracy_negative_positive == pytest.approx(0.6, abs=1e-15)


def test_the_two_ways_differ_where_truth_or_prediction_is_zero():
    # With zeros kept and non-negative: truth + - + + - + +, prediction + + + + - - +: five of seven.
    assert sentiment_report(TRUTH, PREDICTION).accuracy_negative_nonnegative == pytest.approx(5 / 7)
    assert [side.tolist() for side in signs([0.5, 0.0], [0.0, 0.0], 'negative_nonnegative')] == [[1, 1], [1, 1]]
    assert [side.tolist() for side in signs([0.5, 0.0], [0.0, 0.0])] == [[1], [0]]


def test_without_a_rating_beside_zero_the_score_is_undefined_and_raises_nothing():
    report = sentiment_report([0.0, 0.0], [1.0, -1.0])
    assert np.isnan(report.f1_negative_positive)
    assert np.isnan(report.accuracy_negative_positive)
    assert report.accuracy_negative_nonnegative == 0.5
    assert np.isnan(sentiment_report([], []).mae)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_prediction_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueRangeError):
        sentiment_report([1.0, 2.0], [bad, 1.0])


def test_a_column_of_predictions_is_refused():
    with pytest.raises(ShapeError):
        sentiment_report(np.zeros(3), np.zeros((3, 1)))


def test_rounding_halves_goes_to_the_even_number_and_ends_are_cut():
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -3.2 -> -3; with a reach of 2: -2
    assert rounded_accuracy([0.5, 1.5, 2.5, -3.2], [0.0, 2.0, 2.0, -9.0], 3) == 1.0
    assert rounded_accuracy([2.5, -3.2], [9.0, -2.0], 2) == 1.0
    assert rounded_accuracy([2.5, -3.2], [9.0, -2.0], 3) == 0.0
    with pytest.raises(ValueRangeError):
        rounded_accuracy([1.0], [1.0], 0)


def test_classes_of_ch_sims_put_an_edge_below_it():
    # two classes: 0 is negative; five: -0.7 is the lowest, 0.8 the highest
    assert edged_accuracy([0.0, 0.1], [-1.0, 1.0], SIMS_EDGES[2]) == 1.0
    assert edged_accuracy([-0.7, 0.8], [-1.0, 0.9], SIMS_EDGES[5]) == 1.0
    assert edged_accuracy([-0.7], [-0.6], SIMS_EDGES[5]) == 0.0
    with pytest.raises(ShapeError):
        edged_accuracy([0.0], [0.0], (0.1, 0.1))


def test_an_unknown_way_lists_both():
    with pytest.raises(UnknownNameError, match='negative_nonnegative'):
        signs([1.0], [1.0], 'binary')


RATINGS = arrays.arrays(
    np.float64, st.integers(1, 40), elements=st.sampled_from([-3.0, -1.4, -0.5, 0.0, 0.2, 1.5, 3.0])
)


@given(RATINGS, st.integers(0, 99))
def test_both_ways_equal_scikit_learn(peer, truth, seed):
    prediction = np.random.default_rng(seed).permutation(truth)
    report = sentiment_report(truth, prediction)
    kept = truth != 0
    if kept.any():
        true, predicted = truth[kept] > 0, prediction[kept] > 0
        assert report.accuracy_negative_positive == pytest.approx(peer.accuracy_score(true, predicted))
        assert report.f1_negative_positive == pytest.approx(
            peer.f1_score(true, predicted, average='weighted', zero_division=0)
        )
    true, predicted = truth >= 0, prediction >= 0
    assert report.f1_negative_nonnegative == pytest.approx(
        peer.f1_score(true, predicted, average='weighted', zero_division=0)
    )
    rounded = [np.round(np.clip(side, -3, 3)) for side in (truth, prediction)]
    assert report.accuracy_7 == pytest.approx(float(np.mean(rounded[0] == rounded[1])))
