"""Degrees of freedom over groups of unequal sizes: by hand, by matrices, and by drawing groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.metrics.group_sizes import added_by, are_equal, freedom
from affekt.metrics.intervals import bootstrap_interval
from affekt.metrics.resampling import intervals


def by_matrices(sizes, correlation):
    """The same with the matrices of the formula written out."""
    b, d = matrices(sizes, correlation)
    trace = np.trace(b @ d)
    return trace**2 / np.trace(b @ d @ b @ d), np.trace(d) / trace


def matrices(sizes, correlation):
    m = np.asarray(sizes, float)
    residual = np.eye(len(m)) - np.outer(m / m.sum(), np.ones(len(m)))
    return residual.T @ residual, np.diag(m * (1 - correlation + correlation * m))


def effect_of(sizes, correlation):
    """Expected variance over groups, divided by that of as many samples that are independent."""
    b, d = matrices(sizes, correlation)
    return np.trace(b @ d) / np.sum(sizes)


def test_equal_groups_leave_one_less_than_their_number():
    for effect in (0.5, 1.0, 4.0, 1000.0):
        known = freedom([7] * 12, effect)
        assert (known.degrees, known.factor) == (pytest.approx(11), pytest.approx(12 / 11))


def test_two_groups_have_one_degree_whatever_their_sizes():
    # shares 3/4 and 1/4, no correlation: E V / tr D = 1 - (9/16 + 1/16) = 3/8
    known = freedom([3, 1], effect_of([3, 1], 0.0))
    assert (known.degrees, known.factor) == (pytest.approx(1), pytest.approx(8 / 3))


@given(st.lists(st.integers(1, 500), min_size=2, max_size=20), st.sampled_from([0.0, 0.05, 0.4, 1.0]))
def test_sums_are_those_of_the_matrices(sizes, correlation):
    known = freedom(sizes, effect_of(sizes, correlation))
    if max(sizes) == 1:
        correlation = 0.0
    degrees, factor = by_matrices(sizes, correlation)
    assert (known.degrees, known.factor) == (pytest.approx(degrees, rel=1e-6), pytest.approx(factor, rel=1e-6))
    assert 1.0 <= known.degrees <= len(sizes) - 1 + 1e-9


def test_one_large_group_among_many_leaves_few_degrees():
    assert freedom([200] + [5] * 40, effect_of([200] + [5] * 40, 0.2)).degrees < 3
    assert are_equal([5, 5])
    assert not are_equal([5, 6])


def test_groups_that_differ_less_than_by_chance_count_as_independent_samples():
    # w = 1/14, 9/14, 4/14: tr(B D) = 1 - w'w = 1 - 98/196 = 1/2 of the variance that samples have
    assert effect_of([1, 9, 4], 0.0) == pytest.approx(0.5)
    assert freedom([1, 9, 4], 0.2) == freedom([1, 9, 4], 0.5)


def test_what_a_group_adds_lies_between_the_derivative_and_what_leaving_it_out_takes():
    # the mean of 1, 1 and 4 in groups of 2 and 1: value 2, without the second 1, without the first 4
    u = np.array([-2 / 3, 2 / 3])  # w (mean of the group - mean of all)
    assert added_by(u, [2 - 4, 2 - 1], [2 / 3, 1 / 3]) == pytest.approx(u)
    # a score that a group moves by 3 to first order, and by 6 where half of the samples go: sqrt((9 + 9) / 2)
    assert added_by([3.0], [6.0], [0.5]) == pytest.approx([3.0])
    assert added_by([-1.0], [14.0], [0.5]) == pytest.approx([-5.0])  # sqrt((1 + 49) / 2)
    assert added_by([2.0], [float('nan')], [0.5]) == pytest.approx([2.0])


def test_a_score_without_spread_among_samples_is_borne():
    assert freedom([1, 9, 4], float('inf')).degrees == pytest.approx(by_matrices([1, 9, 4], 1.0)[0])


@pytest.mark.parametrize('way', ['sums', 'samples'])
def test_an_interval_over_unequal_groups_holds_the_truth(way, rng):
    # 24 groups, lognormal sizes: units - 1 degrees hold it in about 91 of 100 cases, effective degrees in about 95
    held = 0
    for _ in range(150):
        sizes = np.maximum(1, np.rint(15 * np.exp(rng.normal(size=24)))).astype(int)
        speaker = np.repeat(np.arange(24), sizes)
        values = 0.7 * rng.normal(size=24)[speaker] + rng.normal(size=len(speaker))
        if way == 'sums':
            columns = np.stack([np.ones(len(values)), values], axis=1)
            found = intervals(
                columns, lambda sums: {'mean': sums[:, 1] / sums[:, 0]}, rng=rng, resamples=200, groups=speaker
            )['mean']
        else:
            found = bootstrap_interval(
                lambda values: float(np.mean(values)), values, groups=speaker, rng=rng, resamples=200
            )
        held += found.low <= 0.0 <= found.high
    assert held / 150 > 0.92
