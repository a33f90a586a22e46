"""Rankings and judges compared: published examples, other packages, properties."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from affekt.errors import ComparisonError, ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import (
    alpha_interval,
    bootstrap_interval,
    cohen_kappa,
    kendall,
    krippendorff_alpha,
    rank_biased_overlap,
    spearman,
)
from affekt.ranking import Comparisons, ratings_of, read_comparisons

NAN = float('nan')
# Krippendorff 2011, example C: four observers, twelve units
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


@pytest.mark.parametrize(('level', 'value'), [('nominal', 0.743), ('ordinal', 0.815), ('interval', 0.849)])
def test_alpha_of_krippendorff_s_own_example(level, value):
    assert krippendorff_alpha(PUBLISHED, level=level) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize('level', ['nominal', 'ordinal', 'interval'])
def test_alpha_is_that_of_evalica(level):
    import evalica  # takes a second, in each process that collects tests
    import pandas as pd

    ratings = np.random.default_rng(0).integers(-1, 2, (5, 40)).astype(float)
    ratings[:, ::7] = ratings[0, ::7]
    ratings[2, 5:20] = np.nan
    peer = evalica.alpha(pd.DataFrame(ratings), distance=level).alpha
    assert krippendorff_alpha(ratings, level=level) == pytest.approx(peer, abs=1e-9)


def test_alpha_is_1_for_equal_judges_nan_without_variation_and_about_0_for_chance(rng):
    same = np.tile(rng.integers(0, 3, 50), (3, 1))
    assert krippendorff_alpha(same) == 1.0
    assert np.isnan(krippendorff_alpha(np.ones((3, 5))))
    assert np.isnan(krippendorff_alpha(np.full((3, 5), NAN)))
    assert np.isnan(krippendorff_alpha([[1, 2, 3]]))
    assert krippendorff_alpha(rng.integers(0, 3, (3, 3000))) == pytest.approx(0.0, abs=0.03)


def test_the_interval_of_alpha_is_that_of_resampled_units(rng):
    units = np.random.default_rng(1).integers(0, 2, 80)
    ratings = np.stack([np.where(rng.random(80) < 0.85, units, 1 - units) for _ in range(3)]).astype(float)
    found = alpha_interval(ratings, rng=np.random.default_rng(0), resamples=2000)
    plain = bootstrap_interval(
        lambda chosen: krippendorff_alpha(chosen.T), ratings.T, rng=np.random.default_rng(0), resamples=500
    )
    assert found.value == plain.value
    assert (found.low, found.high) == (pytest.approx(plain.low, abs=0.04), pytest.approx(plain.high, abs=0.04))


def test_alpha_refuses_what_is_no_table():
    with pytest.raises(ShapeError, match='J, U'):
        krippendorff_alpha([1, 2])
    with pytest.raises(UnknownNameError, match='nominal, ordinal'):
        krippendorff_alpha(PUBLISHED, level='ratio')
    with pytest.raises(ValueRangeError, match='resamples'):
        alpha_interval(PUBLISHED, rng=np.random.default_rng(0), resamples=0)
    assert np.isnan(alpha_interval([[1.0, NAN]], rng=np.random.default_rng(0)).low)


def test_kappa_is_that_of_scikit_learn_and_nan_for_one_constant_verdict(rng, peer):
    one, two = rng.integers(0, 3, (2, 200))
    assert cohen_kappa(one, two) == pytest.approx(peer.cohen_kappa_score(one, two), abs=1e-12)
    assert np.isnan(cohen_kappa([1, 1], [1, 1]))
    assert np.isnan(cohen_kappa([], []))


def test_spearman_and_kendall_are_those_of_scipy(rng):
    one, two = rng.integers(0, 6, (2, 30))
    assert spearman(one, two) == pytest.approx(stats.spearmanr(one, two).statistic, abs=1e-12)
    assert kendall(one, two) == pytest.approx(stats.kendalltau(one, two).statistic, abs=1e-12)


def test_constant_or_single_scores_have_no_correlation():
    for metric in (spearman, kendall):
        assert np.isnan(metric([1, 1], [1, 2]))
        assert np.isnan(metric([1], [2]))


def test_overlap_by_hand():
    # tops {a}, {b}: 0; then {a, b} both: 1; p = 1/2: A_2 p**2 + (1 - p)(A_1 + p A_2) = 1/4 + 1/2 (0 + 1/2) = 1/2
    assert rank_biased_overlap([2, 1], [1, 2], persistence=0.5) == pytest.approx(0.5, abs=1e-15)


@given(
    scores=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    other=st.lists(st.integers(0, 5), min_size=12, max_size=12),
)
def test_overlap_is_symmetric_bounded_and_1_for_equal_rankings(scores, other):
    other = other[: len(scores)]
    assert rank_biased_overlap(scores, scores) == pytest.approx(1.0, abs=1e-12)
    found = rank_biased_overlap(scores, other)
    assert -1e-12 <= found <= 1 + 1e-12
    assert found == pytest.approx(rank_biased_overlap(other, scores), abs=1e-12)


def test_overlap_weighs_the_top():
    true = np.arange(10, 0, -1)
    top, bottom = true.copy(), true.copy()
    top[[0, 1]], bottom[[8, 9]] = top[[1, 0]], bottom[[9, 8]]
    assert rank_biased_overlap(true, top) < rank_biased_overlap(true, bottom)
    assert kendall(true, top) == kendall(true, bottom)


def test_scores_that_do_not_match_are_refused():
    for metric in (spearman, kendall, rank_biased_overlap):
        with pytest.raises(ShapeError, match='shapes'):
            metric([1, 2], [1, 2, 3])
        with pytest.raises(ValueRangeError, match='nan'):
            metric([1, NAN], [1, 2])
    with pytest.raises(ValueRangeError, match='persistence'):
        rank_biased_overlap([1], [1], persistence=1.0)
    assert np.isnan(rank_biased_overlap([], []))


def test_verdicts_become_a_table_of_raters_and_units_seen_from_one_side():
    votes = Comparisons.of(
        ['a', 'b', 'a'], ['b', 'a', 'b'], ['left', 'left', 'tie'], sample=['s', 's', 't'], rater=['r', 'q', 'r']
    )
    assert np.array_equal(ratings_of(votes), [[-1, NAN], [1, 0]], equal_nan=True)
    with pytest.raises(ComparisonError, match='judged one twice'):
        ratings_of(votes.take([0, 0]))
    with pytest.raises(ComparisonError, match='a rater for each'):
        ratings_of(Comparisons.of(['a'], ['b'], [1]))


def test_the_annotators_of_pandalm_agree_pair_by_pair_as_they_do_all_together(shared_data, peer):
    ratings = ratings_of(read_comparisons(shared_data / 'preferences' / 'pandalm_testset-v1.json'))
    pairs = ((0, 1), (0, 2), (1, 2))
    found = [cohen_kappa(ratings[one], ratings[two]) for one, two in pairs]
    theirs = [peer.cohen_kappa_score(ratings[one].astype(int), ratings[two].astype(int)) for one, two in pairs]
    assert found == pytest.approx(theirs, abs=1e-12)
    assert krippendorff_alpha(ratings) == pytest.approx(np.mean(found), abs=0.01)


def test_alpha_has_no_interval_beyond_one(rng):
    # 4 units, one disagreement: alpha is 1 - 2 / (2 * 15 / 7) = 8/15, and a symmetric interval would reach beyond 1
    interval = alpha_interval([[1, 1, 2, 2], [1, 1, 2, 1]], rng=rng)
    assert -1.0 <= interval.low < interval.value < interval.high <= 1.0


def test_alpha_of_continuous_ratings_takes_little_memory(rng):
    ratings = rng.normal(size=(1, 150)) + rng.normal(0, 0.5, (2, 150))  # 300 distinct values
    tracemalloc.start()
    alpha = krippendorff_alpha(ratings, level='interval')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # a table of coincidences per unit would take 108 MB
    within = ((ratings[0] - ratings[1]) ** 2).sum() * 2
    total = ((ratings.ravel()[:, None] - ratings.ravel()[None, :]) ** 2).sum() / (ratings.size - 1)
    assert alpha == pytest.approx(1 - within / total, abs=1e-12)


def test_a_coverage_in_percent_is_refused_also_where_no_unit_has_two_ratings(rng):
    for ratings in ([[1, 2], [1, 1]], [[np.nan, 1], [1, np.nan]]):
        with pytest.raises(ValueRangeError, match='coverage 95'):
            alpha_interval(ratings, rng=rng, coverage=95)
