"""Data that cannot be ranked: what is found, how it is named, and that a prior flags it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import UnrankableError
from affekt.ranking import Comparisons, RankSettings, count, diagnose, fit, rank


def _wins(text: str, items: str | None = None) -> Comparisons:
    """'a>b b=c': who beat or tied with whom."""
    rows = text.split()
    outcome = ['left' if row[1] == '>' else 'tie' for row in rows]
    return Comparisons.of(
        [row[0] for row in rows], [row[2] for row in rows], outcome, items=None if items is None else list(items)
    )


def test_a_cycle_is_sound():
    found = diagnose(count(_wins('a>b b>c c>a')))
    assert found.is_rankable
    assert found.sentences == ()


def test_undefeated_and_winless_items_are_named():
    found = diagnose(count(_wins('a>b a>c b>c c>b b>d c>d')))
    assert (found.undefeated, found.winless) == (('a',), ('d',))
    assert (found.above, found.below) == ((), ())


def test_a_tie_counts_as_a_win_for_both():
    assert diagnose(count(_wins('a>b a=b'))).is_rankable


def test_groups_without_a_comparison_between_them_are_named():
    found = diagnose(count(_wins('a>b b>a c>d d>c')))
    assert found.groups == (('a', 'b'), ('c', 'd'))
    assert 'no comparison joins these groups: a, b | c, d' in found.sentences


def test_a_set_that_never_lost_to_the_rest_is_named():
    found = diagnose(count(_wins('a>b b>a a>c b>d c>d d>c')))
    assert found.above == (('a', 'b'),)
    assert found.below == (('c', 'd'),)


def test_items_never_compared_are_named_also_where_all_their_weights_are_0():
    found = diagnose(count(_wins('a>b b>a', items='abz')))
    assert found.never_compared == ('z',)
    weighted = Comparisons.of(['a', 'b', 'a'], ['b', 'a', 'c'], ['left'] * 3, weight=[1.0, 1.0, 0.0])
    assert diagnose(count(weighted)).never_compared == ('c',)


def test_a_middle_layer_is_found_too():
    # a over {b, c} over d: the middle set is neither undefeated nor winless
    found = diagnose(count(_wins('a>b b>c c>b c>d')))
    assert not found.is_rankable
    assert (found.undefeated, found.winless) == (('a',), ('d',))


def test_the_error_names_the_items_and_says_what_to_do():
    with pytest.raises(UnrankableError, match=r'a is undefeated.*--prior') as raised:
        fit(count(_wins('a>b b>c c>b')))
    assert 'a is undefeated' in raised.value.came


def test_twenty_nil_over_twenty_nil_is_not_three_equal_strengths():
    # a 20-0 b, b 20-0 c: another package's solver says converged, and equal
    votes = Comparisons.of(['a'] * 20 + ['b'] * 20, ['b'] * 20 + ['c'] * 20, ['left'] * 40)
    with pytest.raises(UnrankableError, match='c is without a win'):
        fit(count(votes))


def test_with_a_prior_the_undefeated_item_is_first_finite_and_flagged():
    rng = np.random.default_rng(2)
    left = rng.integers(0, 8, 1200)
    right = (left + rng.integers(1, 8, 1200)) % 8
    outcome = np.where(left == 0, 1, np.where(right == 0, -1, rng.choice([-1, 1], 1200)))
    votes = Comparisons.of([f'{one}' for one in left], [f'{one}' for one in right], outcome.tolist())
    found = rank(votes, RankSettings(prior=1.0))
    assert found.standings[0].item == '0'
    assert found.standings[0].strength > 2
    assert 0.2 < found.standings[0].high - found.standings[0].low < 5
    assert found.diagnosis.undefeated == ('0',)
    assert 'only the prior holds them: 0 is undefeated' in found.notes


def test_an_item_never_compared_stands_at_the_prior_s_mean_and_is_flagged():
    found = rank(_wins('a>b b>a a>b', items='abz'), RankSettings(prior=1.0))
    (place,) = (one for one in found.standings if one.item == 'z')
    assert place.strength == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(place.win_rate)
    assert any('z is never compared' in note for note in found.notes)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from('>=')).filter(lambda row: row[0] != row[1]),
        min_size=1,
        max_size=14,
    )
)
def test_rankable_means_reachable_by_walking_the_arrows(rows):
    votes = _wins(' '.join(f'{a}{kind}{b}' for a, b, kind in rows))
    size = len(votes.items)
    reach = np.eye(size, dtype=bool)
    for left, right, outcome in zip(votes.left, votes.right, votes.outcome, strict=True):
        reach[left, right] |= outcome >= 0
        reach[right, left] |= outcome <= 0
    for middle in range(size):
        reach |= reach[:, middle : middle + 1] & reach[middle : middle + 1]
    found = diagnose(count(votes))
    assert found.is_rankable == reach.all()
    assert found.is_rankable or found.sentences


def test_long_lists_of_names_are_cut():
    votes = Comparisons.of([f'winner {one:02d}' for one in range(30)], ['loser'] * 30, ['left'] * 30)
    assert 'and 22 more' in diagnose(count(votes)).sentences[0]
