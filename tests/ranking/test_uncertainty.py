"""Intervals: each definition by itself; how often they hold the truth is in `measurements/ranking_coverage.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from affekt.errors import ComparisonError, UnknownNameError, ValueRangeError
from affekt.ranking import (
    Comparisons,
    bootstrap,
    count,
    fit,
    intervals,
    pair_contrasts,
    percentile_intervals,
    simulate,
    spread,
    strength_contrasts,
)
from affekt.ranking.bootstrap import multinomial
from affekt.ranking.ties import TIE_MODELS


def _votes(size: int = 150, items: int = 4, seed: int = 3, ties: str = 'davidson', **more) -> Comparisons:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, items, size)
    right = (left + rng.integers(1, items, size)) % items
    return simulate(np.linspace(-1, 1, items), left, right, rng, ties=ties, tau=-0.5, **more)


def _two(wins: int, losses: int) -> Comparisons:
    return Comparisons.of(['a'] * (wins + losses), ['b'] * (wins + losses), [1] * wins + [-1] * losses)


def test_the_plain_error_of_two_items_is_that_of_a_log_odds():
    # var of log-odds = 1 / (n p (1 - p)) = 1/30 + 1/10
    votes = _two(30, 10)
    fitted = fit(count(votes))
    contrast = pair_contrasts(fitted, np.array([0]), np.array([1]))
    assert spread(fitted, votes).errors(contrast)[0] == pytest.approx(np.sqrt(1 / 30 + 1 / 10), abs=1e-12)


def test_the_profile_interval_of_two_items_is_where_the_binomial_likelihood_falls_enough():
    votes = _two(30, 10)
    fitted = fit(count(votes))
    around = spread(fitted, votes)
    found = intervals(fitted, around, pair_contrasts(fitted, np.array([0]), np.array([1])))

    def fall(gap: float) -> float:
        p = 1 / (1 + np.exp(-gap))
        return 2 * (30 * np.log(0.75 / p) + 10 * np.log(0.25 / (1 - p)))

    # t with 40 - 1 degrees of freedom, and the small-sample factor sqrt(40 / 39)
    target = stats.t.ppf(0.975, 39) ** 2 * np.sqrt(40 / 39)
    low = optimize.brentq(lambda gap: fall(gap) - target, -2, np.log(3), xtol=1e-12)
    high = optimize.brentq(lambda gap: fall(gap) - target, np.log(3), 4, xtol=1e-12)
    assert (found.low[0], found.high[0]) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_ties_as_half_narrow_the_plain_error_by_their_dispersion():
    # 10 wins, 10 losses, 20 ties: each outcome's squared deviation from 1/2 is 1/4, 1/4, 0, so half of p (1 - p) = 1/4
    votes = Comparisons.of(['a'] * 40, ['b'] * 40, [1] * 10 + [-1] * 10 + [0] * 20)
    fitted = fit(count(votes))
    inflation = spread(fitted, votes).inflation(pair_contrasts(fitted, np.array([0]), np.array([1])))
    assert inflation[0] == pytest.approx(0.5 * 40 / 39, abs=1e-12)


@pytest.mark.parametrize('ties', sorted(TIE_MODELS))
def test_influences_are_those_of_leaving_a_cluster_out(ties):
    # one Newton step from the full fit, without the cluster: what the robust covariance sums up
    votes = _votes(sample=np.arange(150) % 15)
    fitted = fit(count(votes), ties=ties)
    found = spread(fitted, votes, ('sample',))
    steps = []
    for sample in range(15):
        rest = count(votes.take(votes.sample != sample))
        own = type(fitted.likelihood)(rest, fitted.likelihood.model, None)
        curve = own.curve(fitted.parameters[None], rest.counts[:, None, :])
        gradient = own.gradient(curve.by_eta, curve.by_tau, fitted.parameters[None])[0]
        steps.append(np.linalg.solve(own.anchored(own.information(curve))[0], gradient))
    expected = 14 / 15 * np.stack(steps).T @ np.stack(steps)
    contrasts = strength_contrasts(fitted)
    assert found.errors(contrasts) ** 2 == pytest.approx(
        np.einsum('md,de,me->m', contrasts, expected, contrasts), rel=1e-8
    )
    assert found.freedom == 14
    assert found.clusters == {'sample': 15}


def test_doubling_every_vote_within_its_sample_does_not_narrow_clustered_intervals():
    votes = _votes(sample=np.arange(150))
    once = fit(count(votes))
    twice = votes.take(np.repeat(np.arange(150), 2))
    both = fit(count(twice))
    contrasts = strength_contrasts(once)
    clustered = spread(both, twice, ('sample',)).errors(contrasts)
    assert clustered == pytest.approx(spread(once, votes, ('sample',)).errors(contrasts), rel=1e-6)
    naive = spread(both, twice).errors(contrasts) / spread(once, votes).errors(contrasts)
    assert naive == pytest.approx(np.full(4, np.sqrt(0.5)), rel=0.02)


def test_two_ways_of_clusters_add_up_less_what_they_share():
    rng = np.random.default_rng(0)
    votes = _votes(sample=rng.integers(0, 20, 150), rater=rng.integers(0, 12, 150))
    fitted = fit(count(votes))
    both = np.unique(np.stack([votes.sample, votes.rater]), axis=1, return_inverse=True)[1].ravel()
    shared = replace(votes, sample=both)
    parts = [
        spread(fitted, votes, ('sample',)).covariance,
        spread(fitted, votes, ('rater',)).covariance,
        -spread(fitted, shared, ('sample',)).covariance,
    ]
    found = spread(fitted, votes, ('sample', 'rater'))
    contrasts = strength_contrasts(fitted)
    assert found.errors(contrasts) ** 2 == pytest.approx(
        np.einsum('md,de,me->m', contrasts, sum(parts), contrasts), rel=1e-6
    )
    assert found.freedom == 11


@pytest.mark.parametrize('method', ['profile', 'sandwich'])
@pytest.mark.parametrize('cluster', [(), ('sample',)])
def test_intervals_do_not_depend_on_rows_sides_or_names(method, cluster):
    votes = _votes(sample=np.arange(150) % 30)
    fitted = fit(count(votes), ties='davidson')
    one = intervals(fitted, spread(fitted, votes, cluster), strength_contrasts(fitted), method=method)
    names = [f'{letter}' for letter in 'zxwy']
    again = Comparisons.of(
        [names[item] for item in votes.right[::-1]],
        [names[item] for item in votes.left[::-1]],
        (-votes.outcome[::-1]).tolist(),
        sample=(7 * votes.sample[::-1] % 31).tolist(),
    )
    other = fit(count(again), ties='davidson')
    two = intervals(other, spread(other, again, cluster), strength_contrasts(other), method=method)
    place = [again.items.index(name) for name in names]
    assert two.low[place] == pytest.approx(one.low, abs=1e-7)
    assert two.high[place] == pytest.approx(one.high, abs=1e-7)


def test_all_kinds_of_intervals_agree_on_much_data():
    votes = _votes(20_000)
    fitted = fit(count(votes), ties='davidson')
    contrasts, around = strength_contrasts(fitted), spread(fitted, votes)
    profile, sandwich = (intervals(fitted, around, contrasts, method=method) for method in ('profile', 'sandwich'))
    drawn = bootstrap(fitted, votes, rng=np.random.default_rng(1), resamples=4000)
    percentile = percentile_intervals(fitted, drawn, contrasts)
    assert drawn.unbounded == 0
    assert profile.low == pytest.approx(sandwich.low, abs=2e-4)
    assert percentile.high - percentile.low == pytest.approx(sandwich.high - sandwich.low, rel=0.05)


def test_clustered_bootstrap_and_sandwich_agree_on_many_clusters():
    rng = np.random.default_rng(2)
    sample = np.repeat(np.arange(400), 10)
    votes = _votes(4000, ties='half', sample=sample, advantage=rng.normal(0, 1.5, 400)[sample])
    fitted = fit(count(votes, order=True))
    contrasts = np.eye(fitted.likelihood.size)[4:]
    drawn = bootstrap(fitted, votes, rng=rng, resamples=2000, cluster='sample')
    clustered, naive = (spread(fitted, votes, cluster).errors(contrasts)[0] for cluster in (('sample',), ()))
    assert drawn.parameters[:, 4].std() == pytest.approx(clustered, rel=0.08)
    assert clustered > 1.5 * naive


def test_resamples_are_fitted_to_their_own_maximum():
    from affekt.ranking.bootstrap import _drawn

    votes = _votes(400)
    for ties in TIE_MODELS:
        fitted = fit(count(votes), ties=ties)
        counts = next(_drawn(fitted, votes, np.random.default_rng(7), 5, None))
        drawn = bootstrap(fitted, votes, rng=np.random.default_rng(7), resamples=5)
        for row in range(5):
            alone = fit(replace(fitted.cells, counts=counts[:, row]), ties=ties)
            assert drawn.parameters[row] == pytest.approx(alone.parameters, abs=1e-6)
            assert counts[:, row].sum() == 400


def test_the_bootstrap_does_not_depend_on_names():
    votes = _votes(300)
    drawn = []
    for names in ('abcd', 'dbca'):
        renamed = Comparisons.of(
            [names[item] for item in votes.left], [names[item] for item in votes.right], votes.outcome.tolist()
        )
        fitted = fit(count(renamed))
        draws = bootstrap(fitted, renamed, rng=np.random.default_rng(3), resamples=20)
        drawn.append(draws.parameters[:, [renamed.items.index(name) for name in names]])
    assert drawn[0] == pytest.approx(drawn[1], abs=1e-6)


def test_resamples_without_finite_strengths_are_counted_and_make_bounds_nan():
    votes = _two(19, 1)  # a resample without the loss has probability 0.95**20 = 0.358
    fitted = fit(count(votes))
    drawn = bootstrap(fitted, votes, rng=np.random.default_rng(0), resamples=2000)
    assert drawn.unbounded_share == pytest.approx(0.95**20 + 0.05**20, abs=0.04)
    assert np.isnan(percentile_intervals(fitted, drawn, strength_contrasts(fitted)).low).all()


def test_multinomial_counts_have_the_right_sum_mean_and_covariance():
    rng = np.random.default_rng(0)
    chance = np.array([0.5, 0.2, 0.2, 0.1])
    drawn = multinomial(rng, 2000, chance, 20_000)
    assert (drawn.sum(axis=1) == 2000).all()
    assert drawn.mean(axis=0) == pytest.approx(2000 * chance, abs=1.0)
    expected = 2000 * (np.diag(chance) - np.outer(chance, chance))
    assert np.cov(drawn.T) == pytest.approx(expected, abs=12)


def test_a_small_simulation_covers():
    held = []
    for seed in range(60):
        votes = _votes(90, seed=seed, ties='half')
        fitted = fit(count(votes), prior=None) if count(votes) else None
        found = intervals(fitted, spread(fitted, votes), strength_contrasts(fitted))
        held.append((found.low <= np.linspace(-1, 1, 4)) & (np.linspace(-1, 1, 4) <= found.high))
    assert 0.90 <= np.mean(held) <= 0.99


def test_wrong_requests_are_refused():
    votes = _votes()
    fitted = fit(count(votes))
    around, contrasts = spread(fitted, votes), strength_contrasts(fitted)
    with pytest.raises(ComparisonError, match='a rater for each comparison'):
        spread(fitted, votes, ('rater',))
    with pytest.raises(UnknownNameError, match='sample, rater'):
        spread(fitted, votes, ('clip',))
    with pytest.raises(ComparisonError, match='two samples or more'):
        spread(fitted, replace(votes, sample=np.zeros(len(votes), np.int64)), ('sample',))
    with pytest.raises(ValueRangeError, match='level'):
        intervals(fitted, around, contrasts, level=1.0)
    with pytest.raises(UnknownNameError, match='profile, sandwich'):
        intervals(fitted, around, contrasts, method='bca')
    with pytest.raises(ValueRangeError, match='one resample'):
        bootstrap(fitted, votes, rng=np.random.default_rng(0), resamples=0)
