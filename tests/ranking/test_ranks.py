"""Places, who is truly better, and what to ask next."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from scipy import stats

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.ranking import (
    Comparisons,
    better,
    count,
    fit,
    intervals,
    more_needed,
    next_pairs,
    pair_contrasts,
    places,
    simulate,
    simultaneous_intervals,
    spread,
    strength_contrasts,
)


def _votes(size: int, items: int = 4, seed: int = 0, reach: float = 1.0) -> Comparisons:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, items, size)
    right = (left + rng.integers(1, items, size)) % items
    return simulate(np.linspace(reach, -reach, items), left, right, rng)


def _fitted(votes: Comparisons):
    fitted = fit(count(votes))
    return fitted, spread(fitted, votes)


def test_much_data_gives_each_item_its_place(rng):
    found = places(*_fitted(_votes(5000)), rng=rng)
    assert found.best.tolist() == found.worst.tolist() == [1, 2, 3, 4]
    assert all(len(found.not_told_apart(item)) == 0 for item in range(4))


def test_little_data_leaves_places_open(rng):
    found = places(*_fitted(_votes(40)), rng=rng)
    assert (found.best <= [1, 2, 3, 4]).all()
    assert (found.worst >= [1, 2, 3, 4]).all()
    assert found.worst[1] > found.best[1]
    assert 2 in found.not_told_apart(1)


def test_equal_items_share_all_places(rng):
    votes = Comparisons.of(list('abc') * 10, list('bca') * 10, ['left'] * 30)
    found = places(*_fitted(votes), rng=rng)
    assert (found.best.tolist(), found.worst.tolist()) == ([1, 1, 1], [3, 3, 3])


def test_two_items_are_told_apart_exactly_where_their_profile_interval_leaves_out_0(rng):
    told = []
    for wins in range(10, 20):
        votes = Comparisons.of(['a'] * 20, ['b'] * 20, [1] * wins + [-1] * (20 - wins))
        fitted, around = _fitted(votes)
        found = intervals(fitted, around, pair_contrasts(fitted, np.array([0]), np.array([1])))
        told.append((bool(places(fitted, around, rng=rng).beats[0, 1]), bool(found.low[0] > 0)))
    assert [one for one, _ in told] == [two for _, two in told]
    assert told[0] == (False, False)
    assert told[-1] == (True, True)


def test_places_do_not_depend_on_names():
    votes = _votes(150, items=6)
    found = []
    for names in ('abcdef', 'fdbeca'):
        renamed = Comparisons.of(
            [names[item] for item in votes.left], [names[item] for item in votes.right], votes.outcome.tolist()
        )
        one = places(*_fitted(renamed), rng=np.random.default_rng(1))
        order = [renamed.items.index(name) for name in names]
        found.append((one.best[order].tolist(), one.worst[order].tolist()))
    assert found[0] == found[1]


def test_simultaneous_intervals_are_wider_than_single_and_narrower_than_bonferroni(rng):
    fitted, around = _fitted(_votes(2000, items=6))
    contrasts = strength_contrasts(fitted)
    single = intervals(fitted, around, contrasts, method='sandwich')
    strict = intervals(fitted, around, contrasts, method='sandwich', level=1 - 0.05 / 6)
    found = simultaneous_intervals(fitted, around, rng=rng)
    assert (found.high > single.high).all()
    assert (found.high < strict.high + 1e-3).all()


def test_the_probability_of_being_better_is_that_of_the_t_distribution_and_adds_up():
    # 30 to 10: gap log 3, error sqrt(1/30 + 1/10), 39 degrees of freedom
    votes = Comparisons.of(['a'] * 40, ['b'] * 40, [1] * 30 + [-1] * 10)
    found = better(*_fitted(votes))
    assert found[0, 1] == pytest.approx(stats.t.cdf(np.log(3) / np.sqrt(1 / 30 + 1 / 10), 39), abs=1e-12)
    assert found + found.T == pytest.approx(np.ones((2, 2)), abs=1e-12)


def test_more_comparisons_needed_by_hand():
    # 12 to 8: gap log 1.5 = 0.405, variance 1/12 + 1/8 = 0.2083, w = 0.24; (0.405 / (1.960 + 0.842))**2 = 0.02094;
    # (1 / 0.02094 - 1 / 0.2083) / 0.24 = 178.9
    votes = Comparisons.of(['a'] * 20, ['b'] * 20, [1] * 12 + [-1] * 8)
    assert more_needed(*_fitted(votes), 'a', 'b') == 179
    assert more_needed(*_fitted(votes), 'b', 'a') == 179


def test_as_many_more_as_said_tell_two_items_apart_as_often_as_said():
    fitted, around = _fitted(_votes(400, items=3, reach=0.35))
    extra = int(more_needed(fitted, around, 'item 0', 'item 1'))
    assert extra > 0
    rng, told, turns = np.random.default_rng(5), 0, 300
    gap = fitted.strengths[0] - fitted.strengths[1]
    contrast = pair_contrasts(fitted, np.array([0]), np.array([1]))
    before = around.errors(contrast)[0]
    for _ in range(turns):
        # the future data's own estimate of the gap joins the present one, its mean at the estimate
        wins = rng.binomial(extra, 1 / (1 + np.exp(-gap)))
        drawn = np.log(max(wins, 0.5) / max(extra - wins, 0.5))
        weight = extra * np.exp(gap) / (1 + np.exp(gap)) ** 2
        first = gap + before * rng.standard_normal()
        joined = (first / before**2 + drawn * weight) / (1 / before**2 + weight)
        told += joined > 1.96 / np.sqrt(1 / before**2 + weight)
    assert told / turns == pytest.approx(0.8, abs=0.08)


def test_more_needed_is_0_for_the_plain_and_infinite_for_the_equal():
    sure = Comparisons.of(['a'] * 200, ['b'] * 200, [1] * 150 + [-1] * 50)
    assert more_needed(*_fitted(sure), 'a', 'b') == 0
    equal = Comparisons.of(['a', 'b'], ['b', 'a'], [1, 1])
    assert more_needed(*_fitted(equal), 'a', 'b') == inf
    with pytest.raises(UnknownNameError, match="'z'"):
        more_needed(*_fitted(equal), 'a', 'z')
    with pytest.raises(ValueRangeError, match='twice'):
        more_needed(*_fitted(equal), 'a', 'a')


def test_the_next_pair_is_the_least_known_one():
    # a-b is well known; c was hardly compared
    votes = Comparisons.of(
        ['a'] * 40 + ['c', 'a', 'b', 'c'], ['b'] * 40 + ['a', 'c', 'c', 'b'], [1] * 20 + [-1] * 20 + [1] * 4
    )
    fitted = fit(count(votes))
    for aim in ('order', 'strengths'):
        best = next_pairs(fitted, aim=aim, number=3)
        assert 'c' in (best[0].left, best[0].right)
        assert best[0].gain >= best[1].gain > 0
    with pytest.raises(UnknownNameError, match='order, strengths'):
        next_pairs(fitted, aim='fame')


def test_the_gain_in_information_is_that_of_one_more_comparison():
    votes = _votes(60)
    fitted = fit(count(votes))
    best = next_pairs(fitted, aim='strengths')[0]
    i, j = (fitted.items.index(name) for name in (best.left, best.right))
    p = fitted.chances()[i, j]
    unit = np.zeros(4)
    unit[i], unit[j] = 1, -1
    more = fitted.information() + p * (1 - p) * np.outer(unit, unit)
    expected = np.linalg.slogdet(more)[1] - np.linalg.slogdet(fitted.information())[1]
    assert best.gain == pytest.approx(expected, abs=1e-10)
