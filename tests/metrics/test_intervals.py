from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import (
    accuracy,
    bootstrap_interval,
    categorical_measure,
    compare,
    dimensional_measure,
    measure_intervals,
    pearson,
)
from affekt.metrics.intervals import CORRELATION, ERROR, SHARE, UNBOUNDED, student_interval
from affekt.metrics.resampling import intervals


def share(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.mean(truth == prediction))


def mean(values: np.ndarray) -> float:
    return float(values.mean())


def test_the_interval_of_a_mean_is_near_the_normal_one(rng):
    # 400 samples of unit variance: standard error 1/20, so the 95 % interval is about +-0.098
    values = rng.normal(size=400)
    interval = bootstrap_interval(mean, values, rng=rng, resamples=2000)
    half = 1.96 * values.std() / 20
    assert interval.value == pytest.approx(values.mean(), abs=1e-15)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.012)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.012)


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(30.0)
    first = bootstrap_interval(mean, values, rng=np.random.default_rng(5))
    assert first == bootstrap_interval(mean, values, rng=np.random.default_rng(5))
    assert first != bootstrap_interval(mean, values, rng=np.random.default_rng(6))


def test_samples_that_come_in_identical_groups_widen_the_interval_by_the_root_of_the_group_size(rng):
    # each value is repeated 25 times: the data hold 40 facts, not 1000, so the width grows about sqrt(25) = 5 times
    facts = rng.normal(size=40)
    values, groups = np.repeat(facts, 25), np.repeat(np.arange(40), 25)
    alone = bootstrap_interval(mean, values, rng=rng)
    grouped = bootstrap_interval(mean, values, groups=groups, rng=rng)
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert 4.0 < ratio < 6.0


def test_groups_of_one_are_samples_whatever_they_are_called():
    values = np.arange(20.0)
    names = np.array([f'speaker {number:02d}' for number in range(20)])
    alone = bootstrap_interval(mean, values, rng=np.random.default_rng(1), resamples=4000)
    grouped = bootstrap_interval(mean, values, groups=names, rng=np.random.default_rng(1))
    # the error of samples is that of resamples, known to 1 / sqrt(2 x 4000) = 1.1 % of a reach of 2.8
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=0.1)


@pytest.mark.parametrize('seed', [0, 1])
def test_the_interval_of_a_mean_over_equal_groups_is_students_of_their_means(seed):
    values = np.array([1.0, 3.0, 4.0, 8.0, 9.0, 11.0])
    # means 2, 6, 10: standard deviation 4, so 6 -+ 4.3027 x 4 / sqrt(3)
    reach = 4.302653 * 4 / np.sqrt(3)
    interval = bootstrap_interval(mean, values, groups=[0, 0, 1, 1, 2, 2], rng=np.random.default_rng(seed))
    assert (interval.low, interval.high) == pytest.approx((6 - reach, 6 + reach), abs=1e-5)


@pytest.mark.parametrize('unequal', [False, True])
def test_scores_of_sums_and_metrics_of_arrays_have_the_same_intervals_over_groups(rng, unequal):
    groups = np.repeat(np.arange(8), np.arange(10, 26, 2) if unequal else 16)
    truth = rng.normal(size=len(groups)) + 0.5 * rng.normal(size=8)[groups]
    prediction = truth + rng.normal(size=len(groups)) + 0.3 * rng.normal(size=8)[groups]
    of_sums = measure_intervals(dimensional_measure(truth, prediction), groups=groups, rng=rng)['pearson']
    of_arrays = bootstrap_interval(pearson, truth, prediction, groups=groups, rng=rng, bounds=CORRELATION)
    # equal but for third-order terms and, where sizes differ, for the draws that their degrees of freedom come from
    assert (of_arrays.low, of_arrays.high) == pytest.approx((of_sums.low, of_sums.high), abs=0.02)


def test_resamples_where_the_metric_is_undefined_are_counted_and_left_out(rng):
    # with three samples a draw is constant in 3 of 27 cases: about 111 of 1000
    interval = bootstrap_interval(pearson, np.arange(3.0), np.array([1.0, 2.0, 4.0]), rng=rng)
    assert 60 < interval.undefined < 170
    assert not np.isnan(interval.low)


def test_no_samples_give_a_nan_interval(rng):
    interval = bootstrap_interval(accuracy, np.zeros(0), np.zeros(0), rng=rng, resamples=10)
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert interval.undefined == 10


def test_a_perfect_score_reaches_down_as_far_as_wilson_says():
    # Wilson at k = n: n / (n + z**2), with t of 99 degrees of freedom for z: 100 / (100 + 1.984**2) = 0.962
    interval = bootstrap_interval(share, np.ones(100), np.ones(100), rng=np.random.default_rng(0))
    assert interval.value == interval.high == 1.0
    assert interval.low == pytest.approx(0.962, abs=0.003)
    nothing_right = bootstrap_interval(share, np.ones(100), np.zeros(100), rng=np.random.default_rng(0))
    assert (nothing_right.low, nothing_right.high) == pytest.approx((0.0, 1 - interval.low))


def test_of_one_group_or_one_sample_nothing_is_said_of_another(rng):
    alone = bootstrap_interval(share, np.ones(40), np.ones(40), groups=['A'] * 40, rng=rng)
    assert alone.value == 1.0
    assert np.isnan([alone.low, alone.high]).all()
    assert str(alone) == '1.000 (no interval)'
    assert np.isnan(bootstrap_interval(mean, np.ones(1), rng=rng).low)


def test_few_groups_are_widened_by_students_t():
    # the mean of 5 groups: t(4) = 2.776 times the standard error with division by 4, whatever the bootstrap drew
    groups = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    interval = bootstrap_interval(mean, groups, rng=np.random.default_rng(3), resamples=20_000)
    half = 2.776 * groups.std(ddof=1) / np.sqrt(5)
    assert (interval.low, interval.high) == pytest.approx((-half, half), rel=0.02)


def test_a_bounded_score_stays_within_its_bounds_and_an_error_above_zero():
    draws = np.array([0.90, 0.99, 0.999])
    share_like = student_interval(0.98, draws, units=5, bounds=SHARE)
    assert 0.0 < share_like.low < 0.98 < share_like.high < 1.0
    assert student_interval(0.98, draws, units=5, bounds=UNBOUNDED).high > 1.0
    error = student_interval(0.02, np.array([0.005, 0.02, 0.08]), units=5, bounds=ERROR)
    assert 0.0 < error.low < 0.02 < error.high


def test_a_correlation_gets_the_interval_of_fishers_z():
    # z = artanh r has the error of r over 1 - r**2
    draws = np.array([0.72, 0.8, 0.88])
    half = 2.262157 * draws.std() * np.sqrt(10 / 9) / (1 - 0.8**2)
    interval = student_interval(0.8, draws, units=10, bounds=CORRELATION)
    expected = np.tanh(np.arctanh(0.8) + np.array([-half, half]))
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-6)


@pytest.mark.parametrize('groups', [5, 10, 24])
def test_intervals_over_few_groups_hold_the_truth_about_as_often_as_they_say(groups):
    # 600 draws of groups whose accuracy varies about 0.7: 95 % are 570, with a standard deviation of 5.3
    rng = np.random.default_rng(groups)
    kept = 0
    for _ in range(600):
        right = rng.binomial(40, rng.beta(7 * 2, 3 * 2, groups)).astype(float)
        columns = np.stack([right, np.full(groups, 40.0)], axis=1)
        found = intervals(columns, lambda sums: {'share': sums[:, 0] / sums[:, 1]}, rng=rng, resamples=300)['share']
        kept += found.low <= 0.7 <= found.high
    assert 550 <= kept <= 588


def test_wrong_lengths_levels_and_groups_raise(rng):
    with pytest.raises(ShapeError, match='same number'):
        bootstrap_interval(accuracy, np.zeros(3), np.zeros(2), rng=rng)
    with pytest.raises(ShapeError, match='one or more'):
        bootstrap_interval(accuracy, rng=rng)
    with pytest.raises(ShapeError, match='one group'):
        bootstrap_interval(mean, np.zeros(3), groups=[0, 1], rng=rng)
    with pytest.raises(ValueRangeError, match='level'):
        bootstrap_interval(mean, np.zeros(3), rng=rng, level=95)
    with pytest.raises(ValueRangeError, match='resamples'):
        bootstrap_interval(mean, np.zeros(3), rng=rng, resamples=0)


def test_groups_that_score_alike_leave_the_error_among_samples():
    # eight of ten right in each of five groups: logit(0.8) -+ t(4) sqrt(0.8 * 0.2 / 50 * 5 / 4) / 0.16, so 0.57 to 0.92
    truth, prediction = np.zeros(50), np.tile([0] * 8 + [1] * 2, 5)
    groups = np.repeat(np.arange(5), 10)
    interval = bootstrap_interval(
        lambda t, p: float(np.mean(t == p)), truth, prediction, groups=groups, rng=np.random.default_rng(0)
    )
    measured = measure_intervals(
        categorical_measure(truth.astype(int), prediction, 2), groups=groups, rng=np.random.default_rng(0)
    )['accuracy']
    for each in (interval, measured):
        assert 0.53 < each.low < 0.62
        assert 0.9 < each.high < 0.95


def test_a_gain_that_is_the_same_in_every_group_is_not_certain():
    truth, groups = np.zeros(50, int), np.repeat(np.arange(5), 10)
    better, worse = np.tile([0] * 8 + [1] * 2, 5), np.tile([0] * 6 + [1] * 4, 5)
    sides = [categorical_measure(truth, side, 2) for side in (better, worse)]
    gains = compare(*sides, groups=groups, rng=np.random.default_rng(0))
    gain = gains['accuracy'].difference
    # two of ten samples differ: 2.78 sqrt(0.2 * 0.8 / 50 * 5 / 4) = 0.18
    assert (gain.value - gain.low, gain.high - gain.value) == pytest.approx((0.18, 0.18), abs=0.03)


@pytest.mark.parametrize('groups', [np.array([None, 'a', 'b', 'b'], object), [float('nan'), 1.0, 2.0, 2.0]])
def test_a_sample_without_a_group_is_refused_and_not_put_with_others(groups):
    with pytest.raises(ValueRangeError, match='1 of 4 missing'):
        bootstrap_interval(lambda truth: float(truth.mean()), np.arange(4), groups=groups, rng=np.random.default_rng(0))


@pytest.mark.parametrize('bounds', [UNBOUNDED, ERROR])
def test_where_all_draws_are_alike_and_no_scale_is_known_nothing_is_said(bounds):
    found = student_interval(1.0, np.ones(50), units=20, bounds=bounds)
    assert str(found) == '1.000 (no interval)'


def test_two_systems_that_answer_alike_are_not_certain_to_be_equal_elsewhere():
    truth, said = np.tile([0, 1], 10), np.tile([0, 0], 10)
    sides = [categorical_measure(truth, side, 2) for side in (said, said)]
    gain = compare(*sides, groups=np.arange(20) // 4, rng=np.random.default_rng(0))['accuracy'].difference
    assert (gain.value, np.isnan(gain.low), np.isnan(gain.high)) == (0.0, True, True)


def test_what_is_said_of_coverage_is_what_was_measured():
    path = Path(__file__).resolve().parents[2] / 'measurements' / 'results' / 'interval_coverage.json'
    result = json.loads(path.read_text())
    every = [row for row in (*result['scenarios'], *result['held_back']) if row['interval'] == 'student']
    assert (round(min(row['coverage'] for row in every), 3), max(row['coverage'] for row in every) < 0.98) == (
        0.937,
        True,
    )
    rows = [row for row in result['held_back'] if row['interval'] == 'student']
    assert {row['draws'] for row in rows} == {4000}
    assert {row['groups'] for row in rows} >= {5, 10}
    # each coverage has an interval of its own, which meets 94 to 96 %, but where groups are very unequal
    low, high = ([row['coverage_interval'][end] for row in rows if not row['is_met']] for end in (0, 1))
    assert min(low, default=1.0) > 0.96, high
    assert {row['scenario'] for row in rows if not row['is_met']} <= {'eight categories, unequal speakers'}
    assert round(min(row['coverage'] for row in rows), 3) >= 0.94
    assert max(row['coverage'] for row in rows) < 0.975
    few = [row['coverage'] for row in result['held_back'] if row['interval'] == 'percentile' and row['groups'] <= 10]
    assert (min(few) > 0.785, max(few) < 0.915) == (True, True)
