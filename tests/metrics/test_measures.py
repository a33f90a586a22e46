"""Measures of sums equal the plain metrics; intervals and paired tests of them behave."""

from __future__ import annotations

import json
import zlib

import audmetric
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, UnknownNameError
from affekt.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    categorical_measure,
    challenge_measure,
    compare,
    compare_with,
    concordance,
    dimensional_measure,
    emotion_valence_score,
    macro_f1,
    mean_absolute_error,
    mean_squared_error,
    measure_intervals,
    pearson,
    sentiment_measure,
    sentiment_report,
    weighted_f1,
)

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
RATINGS = st.lists(st.tuples(*[st.sampled_from([-3.0, -1.4, -0.5, 0.0, 0.3, 1.5, 3.0])] * 2), min_size=2, max_size=60)


@given(LABELS)
@settings(deadline=None)
def test_categorical_scores_equal_the_plain_ones(pairs):
    truth, prediction = np.array(pairs).T
    scores = categorical_measure(truth, prediction, 5).scores()
    for name, plain in (
        ('accuracy', accuracy),
        ('weighted_f1', weighted_f1),
        ('macro_f1', macro_f1),
        ('balanced_accuracy', balanced_accuracy),
    ):
        assert scores[name] == pytest.approx(plain(truth, prediction), abs=1e-12)


@given(RATINGS)
@settings(deadline=None)
def test_dimensional_and_sentiment_scores_equal_the_plain_ones(pairs):
    truth, prediction = np.array(pairs).T
    scores = sentiment_measure(truth, prediction).scores()
    report = sentiment_report(truth, prediction)
    for name in ('mae', 'pearson', 'concordance', 'accuracy_5', 'accuracy_7', 'f1_negative_positive'):
        assert scores[name] == pytest.approx(getattr(report, name), abs=1e-9, nan_ok=True)
    for name in ('accuracy_negative_positive', 'accuracy_negative_nonnegative', 'f1_negative_nonnegative'):
        assert scores[name] == pytest.approx(getattr(report, name), abs=1e-12, nan_ok=True)
    assert scores['mse'] == pytest.approx(mean_squared_error(truth, prediction), abs=1e-12)


def test_scores_equal_audmetric(rng):
    truth, prediction = rng.normal(3, 1, 500), rng.normal(3, 2, 500)
    scores = dimensional_measure(truth, prediction).scores()
    assert scores['mae'] == pytest.approx(audmetric.mean_absolute_error(truth, prediction))
    assert scores['mse'] == pytest.approx(audmetric.mean_squared_error(truth, prediction))
    assert scores['pearson'] == pytest.approx(audmetric.pearson_cc(truth, prediction))
    ours = concordance(truth, prediction)
    assert scores['concordance'] == pytest.approx(ours)
    # moments there divide by N - 1: with 500 samples a difference of some per mille
    assert ours == pytest.approx(audmetric.concordance_cc(truth, prediction), rel=3e-3)
    labels, guesses = rng.integers(0, 4, 500).tolist(), rng.integers(0, 4, 500).tolist()
    scores = categorical_measure(labels, guesses, 4).scores()
    assert scores['balanced_accuracy'] == pytest.approx(audmetric.unweighted_average_recall(labels, guesses))
    assert scores['accuracy'] == pytest.approx(audmetric.accuracy(labels, guesses))
    assert scores['macro_f1'] == pytest.approx(audmetric.unweighted_average_fscore(labels, guesses))


def test_the_combined_score_equals_the_plain_one(rng):
    truth, prediction = rng.integers(0, 6, 100), rng.integers(0, 6, 100)
    valence, predicted = rng.normal(size=100), rng.normal(size=100)
    measure = challenge_measure(truth, prediction, valence, predicted, 6)
    assert measure.scores()['combined'] == pytest.approx(emotion_valence_score(truth, prediction, valence, predicted))
    with pytest.raises(ShapeError):
        challenge_measure(truth, prediction, valence[:3], predicted[:3])


def test_far_from_zero_the_correlation_stays_exact(rng):
    truth = rng.normal(size=300)
    shifted = dimensional_measure(truth + 1e6, truth * 2 + 1e6).scores()
    assert shifted['pearson'] == pytest.approx(1.0, abs=1e-9)
    assert np.isnan(dimensional_measure([1.0, 1.0], [2.0, 3.0]).scores()['pearson'])


def test_intervals_of_sums_agree_with_intervals_of_the_plain_metric(rng):
    truth = rng.integers(0, 3, 400)
    prediction = np.where(rng.random(400) < 0.6, truth, rng.integers(0, 3, 400))
    speakers = np.repeat(np.arange(20), 20)
    for groups in (None, speakers):
        fast = measure_intervals(categorical_measure(truth, prediction, 3), rng=rng, groups=groups)['weighted_f1']
        plain = bootstrap_interval(weighted_f1, truth, prediction, groups=groups, rng=rng)
        assert fast.value == pytest.approx(plain.value, abs=1e-12)
        assert fast.low == pytest.approx(plain.low, abs=0.015)
        assert fast.high == pytest.approx(plain.high, abs=0.015)


def test_a_better_system_is_told_apart_and_the_same_one_is_not(rng):
    truth = rng.integers(0, 3, 300)
    good = np.where(rng.random(300) < 0.8, truth, 0)
    poor = np.where(rng.random(300) < 0.4, truth, 0)
    left, right = (categorical_measure(truth, side, 3) for side in (good, poor))
    found = compare(left, right, rng=rng, resamples=500)
    assert found['weighted_f1'].difference.value == pytest.approx(weighted_f1(truth, good) - weighted_f1(truth, poor))
    assert found['weighted_f1'].p == pytest.approx(1 / 501)
    assert found['weighted_f1'].p_holm == pytest.approx(4 / 501)  # four scores, all equally extreme
    assert compare(left, left, rng=rng, resamples=100)['accuracy'].p == 1.0


def test_many_systems_against_one_baseline_are_corrected_for_their_number(rng):
    truth = rng.normal(size=200)
    systems = {name: dimensional_measure(truth, truth + rng.normal(0, 0.1, 200)) for name in 'abc'}
    baseline = dimensional_measure(truth, rng.normal(size=200))
    found = compare_with(baseline, systems, 'mae', rng=rng, resamples=400)
    assert [held.p_holm for held in found.values()] == pytest.approx([3 / 401] * 3)
    assert all(held.difference.high < 0 for held in found.values())
    with pytest.raises(UnknownNameError, match='pearson'):
        compare_with(baseline, systems, 'kappa', rng=rng)


def test_reference_values_of_valence_regression(shared_data):
    expected = json.loads((shared_data / 'vectors' / 'regression_metrics.json').read_text())['metrics']
    truth, prediction = _reference_pair()
    each = [dimensional_measure(truth[:, column], prediction[:, column]).scores() for column in range(3)]
    for ours, theirs in (('mae', 'mae'), ('mse', 'mse'), ('pearson', 'pcc')):
        assert [scores[ours] for scores in each] == pytest.approx(expected[theirs][1], abs=1e-12)
    assert mean_absolute_error(truth.ravel(), prediction.ravel()) == pytest.approx(expected['mae'][0], abs=1e-12)
    assert pearson(truth.ravel(), prediction.ravel()) == pytest.approx(expected['pcc'][0], abs=1e-2)
    # That code divides moments by N - 1: with S the sum of both, 2 cov / (S + d**2) becomes 2 cov / (S + d**2 99/100).
    for column, scores in enumerate(each):
        t, p = truth[:, column], prediction[:, column]
        apart, spread = (t.mean() - p.mean()) ** 2, t.var() + p.var()
        theirs = scores['concordance'] * (spread + apart) / (spread + apart * 99 / 100)
        assert theirs == pytest.approx(expected['ccc'][1][column], abs=1e-12)
        unbiased = dimensional_measure(t, p, ddof=1).scores()['concordance']
        assert unbiased == pytest.approx(expected['ccc'][1][column], abs=1e-12)
        assert concordance(t, p, ddof=1) == pytest.approx(expected['ccc'][1][column], abs=1e-12)


def _reference_pair():
    """y is u('y', 300) as (100, 3), p is 0.6 y + 0.4 u('p', 300) + 0.1; u as the README of the vectors says."""
    mask = np.uint64(0xFFFFFFFF)

    def uniform(name, size):
        h = (np.arange(size, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))) & mask
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & mask
        return h / 2**31 - 1

    truth = uniform('y', 300).reshape(100, 3)
    return truth, 0.6 * truth + 0.4 * uniform('p', 300).reshape(100, 3) + 0.1


def test_paired_differences_are_those_of_the_plain_scores_also_for_a_shifted_system(rng):
    truth = rng.normal(size=200)
    sides = truth + rng.normal(0, 0.5, 200), truth + rng.normal(0, 0.5, 200) + 2
    left, right = (dimensional_measure(truth, side) for side in sides)
    plain = concordance(truth, sides[0]) - concordance(truth, sides[1])
    tested = compare(left, right, rng=rng, resamples=200)['concordance']
    assert tested.difference.value == pytest.approx(plain, abs=1e-12)
    assert tested.difference.low <= plain <= tested.difference.high
    assert tested.p == pytest.approx(1 / 201)
    against = compare_with(right, {'left': left}, 'concordance', rng=rng, resamples=200)['left']
    assert against.difference.value == pytest.approx(plain, abs=1e-12)


def test_a_constant_prediction_has_the_concordance_of_its_plain_form(rng):
    truth = rng.normal(3, 1, 50)
    constant = np.full(50, 0.1, np.float32)
    scores = dimensional_measure(truth, constant).scores()
    assert scores['concordance'] == concordance(truth, constant) == 0
    assert np.isnan(scores['pearson'])


def test_without_samples_every_score_is_undefined(rng):
    scores = measure_intervals(categorical_measure([], []), rng=rng, groups=[])
    assert all(np.isnan(score.value) for score in scores.values())
