from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import (
    accuracy,
    balanced_accuracy,
    categorical_measure,
    confusion,
    macro_f1,
    per_class_f1,
    per_class_recall,
    weighted_f1,
)

# truth 0,0,0,1,1,2 and prediction 0,0,1,1,2,2:
# recall 2/3, 1/2, 1/1; F1 of 0: 4/(4+0+1) = 4/5, of 1: 2/(2+1+1) = 1/2, of 2: 2/(2+1+0) = 2/3
TRUTH, PREDICTION = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def test_confusion_has_truth_in_rows_and_prediction_in_columns():
    np.testing.assert_array_equal(confusion(TRUTH, PREDICTION), [[2, 1, 0], [0, 1, 1], [0, 0, 1]])


def test_scores_of_six_samples_are_those_derived_by_hand():
    assert accuracy(TRUTH, PREDICTION) == pytest.approx(4 / 6, abs=1e-15)
    assert balanced_accuracy(TRUTH, PREDICTION) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3, abs=1e-15)
    assert macro_f1(TRUTH, PREDICTION) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3, abs=1e-15)
    assert weighted_f1(TRUTH, PREDICTION) == pytest.approx((3 * 4 / 5 + 2 / 2 + 2 / 3) / 6, abs=1e-15)


def test_a_class_nobody_mentions_is_nan_and_left_out_of_the_means():
    np.testing.assert_array_equal(per_class_recall([0, 1], [0, 1], classes=3), [1, 1, np.nan])
    assert macro_f1([0, 1], [0, 1], classes=3) == 1.0


def test_a_class_only_predicted_counts_as_zero_f1_and_no_recall():
    # class 2 never occurs in the truth: F1 0 enters the mean of three, recall has a mean of two
    assert macro_f1([0, 1, 1], [0, 1, 2]) == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-15)
    assert balanced_accuracy([0, 1, 1], [0, 1, 2]) == pytest.approx((1 + 1 / 2) / 2, abs=1e-15)


def test_strings_keep_the_order_of_the_given_classes():
    np.testing.assert_array_equal(confusion(['b', 'a'], ['a', 'a'], ['b', 'a']), [[0, 1], [0, 1]])


@pytest.mark.parametrize('metric', [accuracy, balanced_accuracy, macro_f1, weighted_f1])
def test_without_samples_a_score_is_nan(metric):
    assert np.isnan(metric([], []))


def test_unknown_labels_and_unequal_lengths_and_repeated_classes_raise():
    with pytest.raises(UnknownNameError, match=r"\['9'\] in the prediction"):
        confusion([0, 1], [0, 9], classes=2)
    with pytest.raises(ShapeError, match=r'\(2,\) and \(1,\)'):
        accuracy([0, 1], [0])
    with pytest.raises(ValueRangeError, match='once'):
        confusion([0], [0], classes=[0, 0])
    with pytest.raises(ShapeError, match='one kind'):
        accuracy([0, 1], ['0', '1'])


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_scores_equal_those_of_scikit_learn(pairs):
    sklearn = pytest.importorskip('sklearn.metrics')
    truth, prediction = (list(side) for side in zip(*pairs, strict=True))
    assert macro_f1(truth, prediction) == pytest.approx(
        sklearn.f1_score(truth, prediction, average='macro', zero_division=0), abs=1e-12
    )
    assert weighted_f1(truth, prediction) == pytest.approx(
        sklearn.f1_score(truth, prediction, average='weighted', zero_division=0), abs=1e-12
    )
    present = sorted(set(truth))
    assert balanced_accuracy(truth, prediction) == pytest.approx(
        sklearn.recall_score(truth, prediction, labels=present, average='macro', zero_division=0), abs=1e-12
    )


@given(LABELS, st.permutations(range(5)))
@settings(max_examples=60, deadline=None)
def test_renaming_the_classes_changes_no_score(pairs, names):
    truth, prediction = (np.array(side) for side in zip(*pairs, strict=True))
    renamed = np.array(names)
    for metric in (accuracy, balanced_accuracy, macro_f1, weighted_f1):
        assert metric(renamed[truth], renamed[prediction]) == pytest.approx(metric(truth, prediction), abs=1e-12)


@given(LABELS)
@settings(max_examples=40, deadline=None)
def test_per_class_f1_is_symmetric_in_truth_and_prediction(pairs):
    truth, prediction = (list(side) for side in zip(*pairs, strict=True))
    np.testing.assert_allclose(per_class_f1(truth, prediction, 5), per_class_f1(prediction, truth, 5), atol=1e-15)


class NeitherEqualNorUnequal:
    """As pandas.NA answers."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError('boolean value of NA is ambiguous')


@pytest.mark.parametrize(
    'truth',
    [
        [0.0, float('nan'), 1.0],
        ['joy', float('nan'), 'fear'],  # NumPy would make the label 'nan' of it
        ['joy', None, 'fear'],
        np.array(['joy', None, 'fear'], dtype=object),
        np.array(['joy', NeitherEqualNorUnequal(), 'fear'], dtype=object),
        np.array([0.0, np.nan, 1.0]),
    ],
)
@pytest.mark.parametrize('score', [accuracy, macro_f1, categorical_measure])
def test_a_missing_label_is_no_category(truth, score):
    known = np.array([0.0, 1.0, 1.0]) if isinstance(truth[0], float) else ['joy', 'joy', 'fear']
    for pair in ((truth, known), (known, truth)):
        with pytest.raises(ValueRangeError, match='1 of 3 missing'):
            score(*pair)


def test_arrays_of_objects_count_as_what_they_hold():
    texts, numbers = np.array(['a', 'b'], object), np.array([0, 1], object)
    assert accuracy(texts, ['a', 'a']) == accuracy(['a', 'a'], texts) == accuracy(numbers, [0, 0]) == 0.5
    pairs = np.empty(2, object)
    pairs[:] = [('a',), ('b', 'c')]
    assert accuracy(pairs, pairs) == 1.0
    with pytest.raises(ShapeError, match='both'):
        weighted_f1(np.array(['a', 1], object), texts)
