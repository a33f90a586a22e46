from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import (
    average_precision,
    mean_average_precision,
    multilabel_macro_f1,
    multilabel_micro_f1,
    per_label_average_precision,
    per_label_f1,
)

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
PREDICTION = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)


def test_f1_by_hand():
    # label 0: TP 1, FP 1, FN 1 -> 2/4; label 1: TP 2, FP 1, FN 0 -> 4/5; label 2: nobody -> nan
    np.testing.assert_allclose(per_label_f1(TRUTH, PREDICTION), [1 / 2, 4 / 5, np.nan], atol=1e-15)
    assert multilabel_macro_f1(TRUTH, PREDICTION) == pytest.approx((1 / 2 + 4 / 5) / 2, abs=1e-15)
    # together: TP 3, FP 2, FN 1 -> 6/9
    assert multilabel_micro_f1(TRUTH, PREDICTION) == pytest.approx(6 / 9, abs=1e-15)


def test_average_precision_by_hand():
    # ranks of positives 1 and 3: (1/1 + 2/3) / 2
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx(5 / 6, abs=1e-15)


def test_equal_scores_enter_together():
    # nothing distinguishes the four: one step, precision = share of positives
    assert average_precision([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(1 / 4, abs=1e-15)


def test_equal_infinite_scores_enter_together():
    # log-odds of certain answers: two at +inf (one positive) are one step, as two at 2.0 would be
    assert average_precision([1, 0, 1], [np.inf, np.inf, -np.inf]) == average_precision([1, 0, 1], [2.0, 2.0, 1.0])


def test_a_label_without_positives_is_nan_and_left_out_of_the_mean():
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.9, 0.5], [0.2, 0.8, 0.5], [0.1, 0.2, 0.5]])
    np.testing.assert_allclose(per_label_average_precision(TRUTH, scores), [1, 1, np.nan], atol=1e-15)
    assert mean_average_precision(TRUTH, scores) == 1.0


def test_empty_tables_give_nan_and_wrong_shapes_raise():
    assert np.isnan(multilabel_micro_f1(np.zeros((0, 3)), np.zeros((0, 3))))
    assert np.isnan(average_precision([], []))
    with pytest.raises(ShapeError, match='two tables'):
        per_label_f1(TRUTH, PREDICTION[:, :2])
    with pytest.raises(ShapeError, match='one shape'):
        average_precision([1, 0], [0.5])
    with pytest.raises(ValueRangeError, match='nan'):
        average_precision([1, 0], [0.5, np.nan])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_average_precision_equals_scikit_learn_with_ties(samples):
    sklearn = pytest.importorskip('sklearn.metrics')
    truth, scores = np.array([s[0] for s in samples]), np.array([s[1] for s in samples]) / 5
    if not truth.any():
        assert np.isnan(average_precision(truth, scores))
        return
    assert average_precision(truth, scores) == pytest.approx(sklearn.average_precision_score(truth, scores), abs=1e-12)


@given(st.integers(0, 10000))
@settings(max_examples=40, deadline=None)
def test_any_rising_rescaling_of_scores_keeps_the_average_precision(seed):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(30) < 0.4, rng.normal(size=30)
    if truth.any():
        assert average_precision(truth, np.exp(scores)) == pytest.approx(average_precision(truth, scores), abs=1e-15)


@pytest.mark.parametrize('odd', [float('nan'), 0.5, 2.0, -1.0, None, 'yes'])
def test_a_cell_that_is_neither_true_nor_false_is_refused(odd):
    table, clean = [[1.0, odd], [0.0, 1.0]], [[1, 0], [0, 1]]
    for pair in ((table, clean), (clean, table)):
        with pytest.raises(ValueRangeError, match='true or false'):
            multilabel_macro_f1(*pair)
    with pytest.raises(ValueRangeError, match='in the truth'):
        average_precision([1.0, odd], [0.5, 0.2])
    with pytest.raises(ValueRangeError, match='in the truth'):
        mean_average_precision(table, [[0.5, 0.1], [0.2, 0.3]])
