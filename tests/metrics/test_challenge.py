"""What the MER challenges rank by, and how folds are joined."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import best_epoch, emotion_valence_score, mean_of_folds, weighted_f1


def test_a_weighted_f1_of_eight_tenths_and_an_error_of_six_tenths_give_sixty_five_hundredths():
    # Five of each class, one of each taken for the other: F1 of both is 0.8. Squared errors 0.6.
    truth, prediction = [0] * 5 + [1] * 5, [0] * 4 + [1] + [1] * 4 + [0]
    valence = np.zeros(10)
    assert weighted_f1(truth, prediction) == pytest.approx(0.8)
    assert emotion_valence_score(truth, prediction, valence, valence + np.sqrt(0.6)) == pytest.approx(0.65, abs=1e-15)


def test_the_combined_score_equals_scikit_learn(rng, peer):
    truth, prediction = rng.integers(0, 6, 200), rng.integers(0, 6, 200)
    true_valence, predicted = rng.normal(size=200), rng.normal(size=200)
    error = peer.mean_squared_error(true_valence, predicted)
    expected = peer.f1_score(truth, prediction, average='weighted') - 0.25 * error
    assert emotion_valence_score(truth, prediction, true_valence, predicted) == pytest.approx(expected, abs=1e-14)


def test_a_predicted_class_that_is_not_in_the_truth_costs_recall_alone():
    # F1 of 0: 2*1/(2+1) = 2/3; class 2 has no weight
    assert weighted_f1([0, 0], [0, 2]) == pytest.approx(2 / 3)


def test_samples_without_valence_and_of_another_number_are_refused():
    with pytest.raises(ValueRangeError):
        emotion_valence_score([0], [0], [np.nan], [0.0])
    with pytest.raises(ShapeError):
        emotion_valence_score([0, 1], [0, 1], [0.0], [0.0])


def test_one_fold_that_is_too_sure_outvotes_by_logits_and_not_by_probabilities():
    # fold 1 says class 1 by 12; folds 2 and 3 say class 0 by 2: logits 4/3 against 12/3, probabilities 2 * .88 of 3
    logits = np.array([[[0.0, 12.0]], [[2.0, 0.0]], [[2.0, 0.0]]])
    assert mean_of_folds(logits, 'logits').argmax() == 1
    assert mean_of_folds(logits).argmax() == 0
    np.testing.assert_allclose(mean_of_folds(logits, 'logits'), [[4 / 3, 4.0]])
    np.testing.assert_allclose(mean_of_folds(logits).sum(axis=1), 1.0)


def test_folds_that_diverged_are_named():
    logits = np.zeros((2, 3, 4))
    logits[1, 2, 0] = np.nan
    with pytest.raises(ValueRangeError, match='fold 1, sample 2'):
        mean_of_folds(logits)
    with pytest.raises(ShapeError):
        mean_of_folds(np.zeros((3, 4)))
    with pytest.raises(UnknownNameError):
        mean_of_folds(np.zeros((2, 3, 4)), 'votes')


def test_the_best_epoch_is_the_first_of_equals_and_never_one_of_nan():
    assert best_epoch([0.1, 0.3, 0.3]) == 1
    with pytest.raises(ValueRangeError, match='epoch 1'):
        best_epoch([0.1, np.nan, 0.3])
    with pytest.raises(ShapeError):
        best_epoch([])
