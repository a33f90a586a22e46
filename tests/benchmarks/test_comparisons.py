"""Rankings of many systems: hand-derived corrections, agreement with the plain paired test, and groups."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.benchmarks import rank_systems
from affekt.errors import ShapeError
from affekt.metrics import categorical_measure, weighted_f1
from affekt.metrics.resampling import paired_test


def mean_of(sums):
    return sums[:, 1] / sums[:, 0]


def columns_of(values):
    return np.stack([np.ones(len(values)), values], axis=1)


def ranked(values, rng, **chosen):
    columns = {name: columns_of(held) for name, held in values.items()}
    return rank_systems(columns, dict.fromkeys(columns, mean_of), rng=rng, **chosen)


def test_systems_are_ordered_by_score_and_a_clear_gap_is_told_apart(rng):
    base = rng.normal(size=200)
    ranking = ranked({'worse': base - 1, 'good': base, 'twin': base + rng.normal(0, 1e-3, 200)}, rng, resamples=500)
    assert ranking.order[-1] == 'worse'
    assert set(ranking.order[:2]) == {'good', 'twin'}
    assert ranking.groups == (ranking.order[:2], ('worse',))
    assert [ranking.letters(name) for name in ranking.order] == ['a', 'a', 'b']
    assert ranking.ranks['worse'] == (3, 3, 3)
    # Nothing exchanged is as far apart as one whole unit: p is 1 / (R + 1), times three pairs.
    assert ranking.gaps[ranking.order[0], 'worse'].p == pytest.approx(1 / 501)
    assert ranking.gaps[ranking.order[0], 'worse'].p_holm == pytest.approx(3 / 501)


def test_equal_systems_are_never_told_apart(rng):
    values = rng.normal(size=50)
    ranking = ranked({'b': values, 'a': values}, rng, resamples=200)
    assert ranking.order == ('a', 'b')
    assert ranking.gaps['a', 'b'].p == 1.0
    assert ranking.groups == (('a', 'b'),)


def test_p_values_and_intervals_agree_with_the_plain_paired_test(rng):
    left, right = rng.normal(0.15, 1, 300), rng.normal(0, 1, 300)
    gap = ranked({'left': left, 'right': right}, rng, resamples=4000).gaps['left', 'right']
    tested = paired_test(
        columns_of(left), columns_of(right), lambda sums: {'mean': mean_of(sums)}, rng=rng, resamples=4000
    )
    interval, p = tested['mean']
    assert gap.difference.value == pytest.approx(interval.value, abs=1e-12)
    # Two draws of 4,000: three standard errors of a p near .1 are .02.
    assert gap.p == pytest.approx(p, abs=0.02)
    assert gap.difference.low == pytest.approx(interval.low, abs=0.02)


def test_a_difference_of_shares_ends_at_all_of_them_and_one_of_other_scores_does_not(rng):
    right, wrong = np.ones(12), np.zeros(12)
    wrong[0] = 1.0
    gap = ranked({'right': right, 'wrong': wrong}, rng, resamples=4000).gaps['right', 'wrong'].difference
    assert gap.value == pytest.approx(11 / 12)
    # t of 11 degrees, standard error of a share of 1 in 12
    assert gap.low == pytest.approx(11 / 12 - 2.201 * np.sqrt(11 / 144 / 11), abs=0.02)
    assert gap.high == 1.0
    assert ranked({'right': 9 * right, 'wrong': wrong}, rng, resamples=500).gaps['right', 'wrong'].difference.high > 9.0


def test_one_system_has_a_rank_and_no_gap(rng):
    ranking = ranked({'alone': np.arange(4.0)}, rng, resamples=10)
    assert ranking.ranks['alone'] == (1, 1, 1)
    assert ranking.gaps == {}
    assert ranking.groups == (('alone',),)


def test_systems_on_other_samples_are_refused(rng):
    with pytest.raises(ShapeError):
        ranked({'a': np.zeros(3), 'b': np.zeros(4)}, rng)


def test_systems_that_one_speaker_tells_apart_are_not_told_apart_by_speaker(rng):
    gain = np.concatenate([np.ones(40), np.zeros(40)])
    speakers = np.repeat(np.arange(5), [40, 10, 10, 10, 10])
    values = {'left': gain, 'right': np.zeros(80)}
    assert ranked(values, rng, resamples=300).groups == (('left',), ('right',))
    assert ranked(values, rng, resamples=300, groups=speakers).groups == (('left', 'right'),)
    with pytest.raises(ShapeError):
        ranked(values, rng, groups=speakers[:3])


def test_measures_of_categories_can_be_ranked(rng):
    truth = rng.integers(0, 3, 200)
    answers = {'good': np.where(rng.random(200) < 0.9, truth, 0), 'poor': rng.integers(0, 3, 200)}
    measures = {name: categorical_measure(truth, held, 3) for name, held in answers.items()}
    scores = {name: held.only('weighted_f1') for name, held in measures.items()}
    ranking = rank_systems({name: held.columns for name, held in measures.items()}, scores, rng=rng, resamples=300)
    assert ranking.order == ('good', 'poor')
    assert ranking.scores['good'].value == pytest.approx(weighted_f1(truth, answers['good']))


def test_groups_that_score_alike_leave_the_error_among_samples_as_in_the_paired_test(rng):
    groups = np.repeat(np.arange(10), 10)
    left, right = np.tile([0.0] + [1.0] * 9, 10), np.tile([0.0] * 3 + [1.0] * 7, 10)  # 0.9 and 0.7 in every group
    ranking = ranked({'left': left, 'right': right}, rng, resamples=2000, groups=groups)
    tested, _ = paired_test(
        columns_of(left), columns_of(right), lambda sums: {'mean': mean_of(sums)}, rng=rng, resamples=2000,
        groups=groups,
    )['mean']  # fmt: skip
    gap = ranking.gaps['left', 'right'].difference
    assert gap.low == pytest.approx(tested.low, abs=0.01)
    assert gap.high - gap.low == pytest.approx(2 * 2.262 * 0.04 * (10 / 9) ** 0.5, rel=0.1)
    assert ranking.scores['left'].low < 0.85 < 0.9 < ranking.scores['left'].high < 1.0


def test_a_score_that_is_undefined_is_last_and_differs_from_none(rng):
    values = rng.normal(size=60)
    columns = {'none': columns_of(values) * [0.0, 1.0], 'good': columns_of(values + 9), 'poor': columns_of(values)}
    for names in (('none', 'good', 'poor'), ('poor', 'good', 'none')):
        with np.errstate(invalid='ignore', divide='ignore'):
            ranking = rank_systems(
                {name: columns[name] for name in names},
                {name: (lambda sums: np.where(sums[:, 0] > 0, sums[:, 1] / sums[:, 0], np.nan)) for name in names},
                rng=rng, resamples=200,
            )  # fmt: skip
        assert ranking.order == ('good', 'poor', 'none')
        gap = ranking.gaps['poor', 'none']
        assert np.isnan([gap.difference.value, gap.p, gap.p_holm]).all()
        assert ranking.gaps['good', 'poor'].p_holm == pytest.approx(1 / 201)  # one test, not three
        assert ranking.groups == (('good',), ('poor', 'none'))


def test_a_score_that_some_resamples_leave_undefined_has_a_rank(rng):
    is_known = np.zeros(12)
    is_known[0] = 1.0  # in 0.36 of the resamples it is not drawn
    rare = np.stack([is_known, is_known], axis=1)
    columns = {'rare': rare, 'plain': columns_of(np.full(12, 0.5))}
    with np.errstate(invalid='ignore', divide='ignore'):
        ranking = rank_systems(columns, dict.fromkeys(columns, mean_of), rng=rng, resamples=300)
    assert ranking.ranks == {'rare': (1, 1, 2), 'plain': (2, 1, 2)}


def test_an_exchange_that_leaves_a_score_undefined_counts_as_extreme(rng):
    left, right = np.zeros((12, 2)), np.zeros((12, 2))
    left[0], right[1] = (1.0, 1.0), (1.0, 0.5)  # exchanging one of these two samples leaves a system without any
    columns = {'left': left, 'right': right}
    with np.errstate(invalid='ignore', divide='ignore'):
        ranking = rank_systems(columns, dict.fromkeys(columns, mean_of), rng=rng, resamples=300)
        tested = paired_test(left, right, lambda sums: {'mean': mean_of(sums)}, rng=rng, resamples=300)
    assert ranking.gaps['left', 'right'].p == tested['mean'][1] == 1.0
