"""Corrections for many tests, and paired tests by sample and by group."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import categorical_measure, compare, dimensional_measure, measure_intervals
from affekt.metrics.resampling import holm, paired_test


def _mean(sums):
    return {'mean': sums[:, 1] / sums[:, 0]}


def _columns(values):
    return np.stack([np.ones(len(values)), values], axis=1)


def test_holm_of_four_p_values_by_hand():
    # Sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04; each at least the one before: .02 .03 .06 .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stays_at_most_one_and_keeps_the_order():
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_advantage_that_one_speaker_makes_is_certain_by_sample_and_not_by_speaker(rng):
    # 40 samples of one speaker gain 1, four other speakers gain nothing: by speaker an exchange of that one alone
    # reverses the sign, so p is about 1.
    gain = np.concatenate([np.ones(40), np.zeros(40)])
    speakers = np.repeat(np.arange(5), [40, 10, 10, 10, 10])
    left, right = _columns(gain), _columns(np.zeros(80))
    _, by_sample = paired_test(left, right, _mean, rng=rng)['mean']
    interval, by_speaker = paired_test(left, right, _mean, rng=rng, groups=speakers)['mean']
    assert by_sample < 0.001
    assert by_speaker == 1.0
    assert interval.value == 0.5
    assert interval.low < 0.0


def test_exchanges_are_rarely_extreme_where_systems_are_alike(rng):
    # Under the null hypothesis p is uniform: of 60 tests about 6 are below 0.1.
    low = 0
    for _ in range(60):
        noise = rng.normal(size=(2, 40))
        low += paired_test(_columns(noise[0]), _columns(noise[1]), _mean, rng=rng, resamples=200)['mean'][1] < 0.1
    assert 1 <= low <= 14


def test_groups_of_another_length_are_refused(rng):
    both = _columns(np.zeros(3))
    with pytest.raises(ShapeError):
        paired_test(both, both, _mean, rng=rng, groups=['a', 'b'])


def test_an_undefined_difference_has_no_p_value_and_does_not_count_in_the_correction(rng):
    truth = rng.normal(size=60)
    varied, constant = (dimensional_measure(truth, side) for side in (truth + rng.normal(size=60), np.zeros(60)))
    tested = compare(varied, constant, rng=rng, resamples=100)
    assert np.isnan([tested['pearson'].difference.value, tested['pearson'].p, tested['pearson'].p_holm]).all()
    assert tested['mae'].p_holm <= 3 * tested['mae'].p  # three tests, not four
    assert holm([0.01, float('nan'), 0.04]) == [0.02, pytest.approx(float('nan'), nan_ok=True), 0.04]


def test_without_resamples_there_is_a_difference_alone(rng):
    left, right = rng.normal(size=(2, 20))
    interval, p = paired_test(_columns(left), _columns(right), _mean, rng=rng, resamples=0)['mean']
    assert interval.value == pytest.approx(left.mean() - right.mean())
    assert np.isnan([interval.low, interval.high, p]).all()


@pytest.mark.parametrize('wrong', [{'level': 95}, {'level': 0.0}, {'resamples': -1}])
def test_a_level_in_percent_and_a_negative_number_of_resamples_are_refused(rng, wrong):
    measure = categorical_measure([0, 1, 1], [0, 1, 0])
    for make in (measure_intervals, lambda measure, **chosen: compare(measure, measure, **chosen)):
        with pytest.raises(ValueRangeError):
            make(measure, rng=rng, **wrong)
