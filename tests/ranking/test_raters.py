"""Rater skill: found where it was put, and never at the price of a runaway."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit

from affekt.errors import ComparisonError, ValueRangeError
from affekt.metrics import kendall
from affekt.ranking import Comparisons, count, crowd_fit, elo, fit, rater_vote_share, simulate, tallies


def _crowd(skills: list[float], votes_each: int = 300, seed: int = 0) -> tuple[Comparisons, np.ndarray]:
    rng = np.random.default_rng(seed)
    true, size = np.linspace(-1.5, 1.5, 6), votes_each * len(skills)
    left = rng.integers(0, 6, size)
    rater = np.repeat(np.arange(len(skills)), votes_each)
    votes = simulate(true, left, (left + rng.integers(1, 6, size)) % 6, rng, rater=rater)
    flips = rng.random(size) > np.asarray(skills)[rater]
    return replace(votes, outcome=np.where(flips, -votes.outcome, votes.outcome)), true


def test_skills_are_found_within_their_intervals_and_strengths_are_better_for_it():
    skills = [1.0, 0.95, 0.9, 0.5, 0.1]
    votes, true = _crowd(skills)
    found = crowd_fit(votes)
    assert found.skill == pytest.approx(skills, abs=0.12)
    assert ((found.skill_low < found.skill + 1e-9) & (found.skill - 1e-9 < found.skill_high)).all()
    plain = fit(count(votes)).strengths
    assert np.abs(found.strengths - true).mean() < np.abs(plain - true).mean()


def test_the_maximum_is_that_of_the_posterior():
    votes, _ = _crowd([0.9, 0.6], votes_each=60)
    found = crowd_fit(votes, prior=1.0, skill_prior=(4.0, 2.0))

    def loss(free: np.ndarray) -> float:
        strengths, skill = free[:6], expit(free[6:])[votes.rater]
        p = expit(strengths[votes.left] - strengths[votes.right])
        p = np.where(votes.outcome > 0, p, 1 - p)
        q = expit(free[6:])
        return -(
            np.log(skill * p + (1 - skill) * (1 - p)).sum()
            - (strengths**2).sum() / 2
            + (3 * np.log(q) + np.log(1 - q)).sum()
        )

    start = np.concatenate([found.strengths, np.log(found.skill / (1 - found.skill))])
    best = optimize.minimize(loss, start + 0.05, method='BFGS', options={'gtol': 1e-7})
    assert best.x == pytest.approx(start, abs=1e-4)


def test_rows_and_sides_do_not_matter():
    votes, _ = _crowd([0.9, 0.7], votes_each=50)
    one, two = crowd_fit(votes), crowd_fit(votes.swapped().take(np.arange(len(votes))[::-1]))
    assert two.strengths == pytest.approx(one.strengths, abs=1e-8)
    assert two.skill == pytest.approx(one.skill, abs=1e-8)


def test_an_undefeated_item_stays_finite_and_is_told():
    votes = Comparisons.of(['a', 'a', 'b', 'c'], ['b', 'c', 'c', 'b'], [1, 1, 1, 1], rater=['r', 's', 'r', 's'])
    found = crowd_fit(votes)
    assert np.abs(found.strengths).max() < 5
    assert found.diagnosis.undefeated == ('a',)


def test_a_rater_who_left_has_no_skill():
    votes, _ = _crowd([0.9, 0.7], votes_each=50)
    found = crowd_fit(votes.take(votes.rater == 0))
    assert np.isnan(found.skill).tolist() == [False, True]


def test_how_often_the_others_agree_tells_the_tosser_of_coins():
    votes, _ = _crowd([1.0, 1.0, 1.0, 0.5])
    share = rater_vote_share(votes)
    assert share[3] == pytest.approx(0.5, abs=0.08)
    assert (share[:3] > 0.7).all()
    assert np.isnan(rater_vote_share(votes.take(votes.rater == 0))).all()


def test_what_is_missing_or_out_of_range_is_refused():
    plain = Comparisons.of(['a'], ['b'], [1])
    for function in (crowd_fit, rater_vote_share):
        with pytest.raises(ComparisonError, match='a rater for each'):
            function(plain)
    votes, _ = _crowd([0.9], votes_each=10)
    for wrong in ({'prior': 0.0}, {'skill_prior': (1.0, 2.0)}, {'skill_prior': (2.0, 0.5)}):
        with pytest.raises(ValueRangeError, match='prior'):
            crowd_fit(votes, **wrong)


def test_elo_by_hand():
    # first 1000 each: a gains 4 / 2 = 2. Then 1002 against 998: expected 1 / (1 + 10**(-0.01)) = 0.505756, a tie
    votes = Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'tie'])
    expected = 1002 - 4 * (1 / (1 + 10**-0.01) - 0.5)
    assert elo(votes) == pytest.approx([expected, 2000 - expected], abs=1e-9)
    with pytest.raises(ValueRangeError, match='above 0'):
        elo(votes, step=0)


def test_elo_ranks_like_the_strengths_on_much_data():
    votes, true = _crowd([1.0], votes_each=20_000)
    assert kendall(elo(votes, step=1.0), true) == pytest.approx(1.0, abs=1e-12)


def test_tallies_are_wins_losses_and_ties():
    votes = Comparisons.of(['a', 'b', 'c'], ['b', 'c', 'a'], ['left', 'tie', 'left'], weight=[1, 2, 3])
    assert tallies(count(votes)).tolist() == [[1, 0, 3], [3, 1, 0], [0, 2, 2]]
