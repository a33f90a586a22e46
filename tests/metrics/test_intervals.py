from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import accuracy, bootstrap_interval, pearson


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
    assert bootstrap_interval(mean, values, rng=np.random.default_rng(1)) == bootstrap_interval(
        mean, values, groups=names, rng=np.random.default_rng(1)
    )


def test_resamples_where_the_metric_is_undefined_are_counted_and_left_out(rng):
    # with three samples a draw is constant in 3 of 27 cases: about 111 of 1000
    interval = bootstrap_interval(pearson, np.arange(3.0), np.array([1.0, 2.0, 4.0]), rng=rng)
    assert 60 < interval.undefined < 170
    assert not np.isnan(interval.low)


def test_no_samples_give_a_nan_interval(rng):
    interval = bootstrap_interval(accuracy, np.zeros(0), np.zeros(0), rng=rng, resamples=10)
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert interval.undefined == 10


def test_it_prints_value_and_interval():
    assert str(bootstrap_interval(mean, np.ones(3), rng=np.random.default_rng(0))) == '1.000 [1.000, 1.000]'


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
