"""Strengths: derived by hand, by brute force over rows, by other packages, and by what must not matter."""

from __future__ import annotations

import warnings

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from affekt.errors import LimitError, UnknownNameError, UnrankableError, ValueRangeError
from affekt.ranking import Comparisons, count, fit, simulate, win_rates
from affekt.ranking.newton import Likelihood
from affekt.ranking.ties import TIE_MODELS

TIES = sorted(TIE_MODELS)


def _votes(size: int = 200, items: int = 5, seed: int = 1, *, ties: str = 'davidson', tau: float = -0.5):
    """Random pairs of a few items, with ties and in either order."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, items, size)
    right = (left + rng.integers(1, items, size)) % items
    return simulate(np.linspace(-1, 1, items), left, right, rng, ties=ties, tau=tau)


def test_three_wins_of_four_are_half_of_log_three_each_way():
    # p = 3/4, so the log-odds are log 3, shared evenly about 0
    votes = Comparisons.of(['a', 'a', 'a', 'b'], ['b', 'b', 'b', 'a'], ['left'] * 4)
    assert fit(count(votes)).strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-14)


def test_a_tie_as_half_is_half_a_win_for_each():
    # 1 win + 2 ties = 2 of 3 for a, so log-odds log 2
    votes = Comparisons.of(['a', 'a', 'a'], ['b', 'b', 'b'], ['left', 'tie', 'tie'])
    assert np.diff(fit(count(votes)).strengths)[0] == pytest.approx(-np.log(2), abs=1e-14)


def test_davidson_with_two_items_reproduces_the_shares():
    # 4 : 1 : 2 left, right, tie. exp(d) = 4 / 1, and nu = 2 / sqrt(4 * 1) = 1, so tau = 0
    votes = Comparisons.of(['a'] * 7, ['b'] * 7, ['left'] * 4 + ['right'] + ['tie'] * 2)
    found = fit(count(votes), ties='davidson')
    assert -np.diff(found.strengths)[0] == pytest.approx(np.log(4), abs=1e-12)
    assert found.tau == pytest.approx(0.0, abs=1e-12)


def test_rao_kupper_with_two_items_reproduces_the_shares():
    # logit(4/7) = d - tau and logit(1/7) = -d - tau, so d = (log(4/3) + log 6) / 2 and tau = (log 6 - log(4/3)) / 2
    votes = Comparisons.of(['a'] * 7, ['b'] * 7, ['left'] * 4 + ['right'] + ['tie'] * 2)
    found = fit(count(votes), ties='rao-kupper')
    assert -np.diff(found.strengths)[0] == pytest.approx((np.log(4 / 3) + np.log(6)) / 2, abs=1e-12)
    assert found.tau == pytest.approx((np.log(6) - np.log(4 / 3)) / 2, abs=1e-12)


def test_a_round_robin_won_by_cycles_has_equal_strengths():
    votes = Comparisons.of(['a', 'b', 'c'], ['b', 'c', 'a'], ['left'] * 3)
    assert fit(count(votes)).strengths == pytest.approx([0, 0, 0], abs=1e-15)


def test_the_order_effect_of_two_items_is_the_mean_of_both_log_odds():
    # shown first, a wins 3 of 4; shown second, 2 of 4: d + first = log 3, d - first = 0
    left, right = ['a'] * 4 + ['b'] * 4, ['b'] * 4 + ['a'] * 4
    votes = Comparisons.of(left, right, ['left'] * 3 + ['right'] + ['left'] * 2 + ['right'] * 2)
    found = fit(count(votes, order=True))
    assert found.effects['shown first'] == pytest.approx(np.log(3) / 2, abs=1e-12)
    assert -np.diff(found.strengths)[0] == pytest.approx(np.log(3) / 2, abs=1e-12)


def test_a_prior_on_two_items_solves_the_penalised_score():
    # s = half the gap: 3 - 4 p(2 s) = s / sd**2 for either item
    votes = Comparisons.of(['a', 'a', 'a', 'b'], ['b', 'b', 'b', 'a'], ['left'] * 4)
    expected = optimize.brentq(lambda s: 3 - 4 / (1 + np.exp(-2 * s)) - s / 0.5**2, 0, 2, xtol=1e-15)
    assert fit(count(votes), prior=0.5).strengths[0] == pytest.approx(expected, abs=1e-13)


def _chance(outcome: int, eta: complex, tau: complex, ties: str) -> complex:
    """The probability of one verdict, written down once more from the papers."""
    if ties == 'half':
        p = 1 / (1 + np.exp(-eta))
        return {1: p, -1: 1 - p, 0: np.sqrt(p * (1 - p))}[outcome]
    left, right = np.exp(eta), 1.0
    if ties == 'davidson':
        nu = np.exp(tau)
        whole = left + right + nu * np.sqrt(left * right)
        return {1: left / whole, -1: right / whole, 0: nu * np.sqrt(left * right) / whole}[outcome]
    theta = np.exp(tau)
    win, loss = left / (left + theta * right), right / (right + theta * left)
    return {1: win, -1: loss, 0: 1 - win - loss}[outcome]


def _row_by_row(votes: Comparisons, ties: str, parameters: np.ndarray) -> complex:
    """The log-likelihood as a sum over rows; the strengths, the order effect, the length effect, tau."""
    items = len(votes.items)
    strengths, (first, length, tau) = parameters[:items], parameters[items:]
    total = 0j
    for row in range(len(votes)):
        eta = strengths[votes.left[row]] - strengths[votes.right[row]]
        eta = eta + first * votes.first[row] + length * votes.covariates['length'][row]
        total += votes.weight[row] * np.log(_chance(int(votes.outcome[row]), eta, tau, ties))
    return total


@pytest.mark.parametrize('ties', TIES)
def test_brute_force_over_rows_finds_the_same_maximum(ties):
    rng = np.random.default_rng(3)
    plain = _votes(60, items=4)
    names = [plain.items[item] for item in plain.left], [plain.items[item] for item in plain.right]
    votes = Comparisons.of(
        *names,
        plain.outcome.tolist(),
        weight=rng.integers(1, 4, 60) / 2,
        first=rng.choice([-1, 1], 60),
        covariates={'length': rng.normal(size=60)},
    )
    found = fit(count(votes, control=['length'], order=True), ties=ties)
    tau = [] if ties == 'half' else [found.tau]

    def full(free: np.ndarray) -> np.ndarray:
        """The first strength makes the sum 0; 'half' has no tau."""
        strengths = np.concatenate([[-free[:3].sum()], free[:3]])
        return np.concatenate([strengths, free[3:], [0] if ties == 'half' else []])

    def score(free: np.ndarray) -> np.ndarray:
        """Derivatives by complex steps, exact to rounding."""
        steps = 1e-30j * np.eye(len(free))
        return np.asarray([_row_by_row(votes, ties, full(free + step)).imag / 1e-30 for step in steps])

    mine = np.concatenate([found.strengths[1:], list(found.effects.values()), tau])
    start = mine + 0.01
    brute = optimize.root(score, start, tol=1e-14)
    assert mine == pytest.approx(brute.x, abs=1e-10)
    assert found.log_likelihood == pytest.approx(_row_by_row(votes, ties, full(brute.x)).real, abs=1e-10)


@pytest.mark.parametrize('ties', TIES)
def test_gradients_and_curvatures_are_those_of_the_value(ties):
    rng = np.random.default_rng(4)
    model, counts = TIE_MODELS[ties], rng.random((3, 1, 1))
    eta, tau, step = np.full((1, 1), 0.7), np.full((1, 1), 0.9), 1e-5
    for turn, (slope, bend) in enumerate((('by_eta', 'eta_eta'), ('by_tau', 'tau_tau'))):
        shift = (step, 0.0) if turn == 0 else (0.0, step)
        up = model.curve(eta + shift[0], tau + shift[1], counts)
        down = model.curve(eta - shift[0], tau - shift[1], counts)
        here = model.curve(eta, tau, counts)
        assert getattr(here, slope).item() == pytest.approx((up.value - down.value).item() / 2 / step, abs=1e-9)
        measured = -(getattr(up, slope) - getattr(down, slope)).item() / 2 / step
        assert getattr(here, bend).item() == pytest.approx(measured, abs=1e-9)
        if turn == 0:
            assert here.eta_tau.item() == pytest.approx(-(up.by_tau - down.by_tau).item() / 2 / step, abs=1e-9)
    assert model.slopes(counts)(eta, tau)[0] == pytest.approx(here.by_eta, abs=1e-14)
    assert model.slopes(counts)(eta, tau)[1] == pytest.approx(here.by_tau, abs=1e-14)


@pytest.mark.parametrize('ties', TIES)
def test_chances_add_up_to_one_and_mirror_each_other(ties):
    eta, tau = np.linspace(-8, 8, 41)[None], np.full((1, 1), 0.4)
    here, mirrored = TIE_MODELS[ties].chances(eta, tau), TIE_MODELS[ties].chances(-eta, tau)
    assert here.sum(axis=0) == pytest.approx(np.ones_like(eta), abs=1e-14)
    assert here == pytest.approx(mirrored[[1, 0, 2]], abs=1e-14)


def test_evalica_agrees_to_a_millionth():
    import evalica  # takes a second, in each process that collects tests

    votes = _votes(3000, items=12)
    words = {1: evalica.Winner.X, -1: evalica.Winner.Y, 0: evalica.Winner.Draw}
    left, right = ([votes.items[item] for item in side] for side in (votes.left, votes.right))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        peer = evalica.bradley_terry(
            left, right, [words[one] for one in votes.outcome.tolist()], tolerance=1e-12, limit=10_000
        )
    logs = np.log(peer.scores[list(votes.items)].to_numpy())
    assert fit(count(votes)).strengths == pytest.approx(logs - logs.mean(), abs=1e-6)


def test_choix_agrees_to_a_millionth_with_and_without_a_penalty():
    votes = _votes(1500, items=9, ties='half')
    winner, loser = (
        np.where(votes.outcome > 0, votes.left, votes.right),
        np.where(votes.outcome > 0, votes.right, votes.left),
    )
    pairs = np.stack([winner, loser], axis=1).tolist()
    assert fit(count(votes)).strengths == pytest.approx(choix.ilsr_pairwise(9, pairs, tol=1e-12), abs=1e-6)
    # choix's penalty is alpha times the sum of squares: a Gaussian of variance 1 / (2 alpha)
    penalised = choix.opt_pairwise(9, pairs, alpha=0.5, method='Newton-CG', tol=1e-12)
    assert fit(count(votes), prior=1.0).strengths == pytest.approx(penalised - penalised.mean(), abs=1e-6)


def _edges(items: int):
    pairs = st.tuples(st.integers(0, items - 1), st.integers(0, items - 1)).filter(lambda pair: pair[0] != pair[1])
    return st.lists(st.tuples(pairs, st.sampled_from([1, 0, -1])), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(rows=_edges(4), ties=st.sampled_from(TIES), seed=st.integers(0, 100))
def test_the_order_of_rows_the_sides_and_the_names_change_nothing(rows, ties, seed):
    names = 'abcd'
    left, right = [names[a] for (a, _), _ in rows], [names[b] for (_, b), _ in rows]
    outcome = [value for _, value in rows]
    try:
        found = fit(count(Comparisons.of(left, right, outcome, items=list(names))), ties=ties, prior=1.5)
    except UnrankableError:
        assert ties != 'half'  # nothing but ties
        return
    rng = np.random.default_rng(seed)
    order, swap, renamed = rng.permutation(len(rows)), rng.random(len(rows)) < 0.5, rng.permutation(4)
    rename = dict(zip(names, (names[place] for place in renamed), strict=True))
    other = Comparisons.of(
        [rename[(right if swap[row] else left)[row]] for row in order],
        [rename[(left if swap[row] else right)[row]] for row in order],
        [-outcome[row] if swap[row] else outcome[row] for row in order],
        items=list(names),
    )
    again = fit(count(other), ties=ties, prior=1.5)
    assert again.strengths[renamed] == pytest.approx(found.strengths, abs=1e-9)
    assert again.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(rows=_edges(4), ties=st.sampled_from(TIES))
def test_thin_data_gives_a_maximum_or_an_error_never_anything_else(rows, ties):
    left, right = [f'{a}' for (a, _), _ in rows], [f'{b}' for (_, b), _ in rows]
    cells = count(Comparisons.of(left, right, [value for _, value in rows]))
    try:
        found = fit(cells, ties=ties)
    except UnrankableError:
        return
    gradient = found.likelihood.gradient(found.curve().by_eta, found.curve().by_tau, found.parameters[None])
    assert np.abs(gradient).max() < 1e-7
    assert np.linalg.eigvalsh(found.information()).min() > 1e-9


def test_weights_are_counts():
    votes = _votes(50, items=3)
    twice = Comparisons.of(
        *[[votes.items[item] for item in side] for side in (votes.left, votes.right)],
        votes.outcome.tolist(),
        weight=np.full(50, 2.0),
    )
    assert fit(count(twice)).strengths == pytest.approx(fit(count(votes)).strengths, abs=1e-12)
    assert fit(count(twice)).log_likelihood == pytest.approx(2 * fit(count(votes)).log_likelihood, abs=1e-9)


def test_a_ladder_of_narrow_wins_is_not_taken_for_a_runaway():
    # ten items, each 2,000 to 1 over the next: strengths span 9 log 2000 = 68 log-odds, and are finite
    left, right, weight = [], [], []
    for step in range(9):
        left += [f'{step}', f'{step + 1}']
        right += [f'{step + 1}', f'{step}']
        weight += [2000.0, 1.0]
    found = fit(count(Comparisons.of(left, right, ['left'] * 18, weight=weight)))
    assert -np.diff(found.strengths) == pytest.approx(np.full(9, np.log(2000)), abs=1e-8)


def test_tie_models_without_ties_are_the_plain_model():
    votes = _votes(300, items=4, ties='half')
    for ties in ('davidson', 'rao-kupper'):
        found = fit(count(votes), ties=ties)
        assert found.tau is None
        assert found.strengths == pytest.approx(fit(count(votes)).strengths, abs=1e-12)


def test_wins_and_ties_alone_run_away_under_davidson_and_are_named():
    # a never loses: p(tie) stays and the gap grows with nu
    votes = Comparisons.of(['a'] * 5, ['b'] * 5, ['left'] * 3 + ['tie'] * 2)
    assert fit(count(votes)).strengths[0] == pytest.approx(np.log(4) / 2, abs=1e-12)
    with pytest.raises(UnrankableError, match='growing without bound'):
        fit(count(votes), ties='davidson')
    assert np.isfinite(fit(count(votes), ties='davidson', prior=1.0).strengths).all()


def test_nothing_but_ties_is_no_matter_for_a_tie_model():
    votes = Comparisons.of(['a', 'b'], ['b', 'c'], ['tie', 'tie'])
    assert fit(count(votes)).strengths == pytest.approx([0, 0, 0], abs=1e-15)
    with pytest.raises(UnrankableError, match='ties only'):
        fit(count(votes), ties='davidson')


def test_an_effect_that_the_items_explain_is_refused_by_name():
    votes = _votes(100, items=3)
    names = [[votes.items[item] for item in side] for side in (votes.left, votes.right)]
    by_item = {'chatty': (votes.left == 0).astype(float) - (votes.right == 0), 'constant': np.zeros(100)}
    doubled = Comparisons.of(*names, votes.outcome.tolist(), covariates=by_item)
    with pytest.raises(UnrankableError, match="'chatty' that only repeats which items"):
        fit(count(doubled, control=['chatty']))
    with pytest.raises(UnrankableError, match="'constant' that is the same on both sides"):
        fit(count(doubled, control=['constant']))


def test_the_side_shown_first_winning_always_runs_away_and_a_prior_holds_it():
    votes = Comparisons.of(['a', 'b', 'c', 'b', 'c', 'a'], ['b', 'c', 'a', 'a', 'b', 'c'], ['left'] * 6)
    with pytest.raises(UnrankableError, match='shown first growing without bound'):
        fit(count(votes, order=True))
    assert 0.5 < fit(count(votes, order=True), prior=1.0).effects['shown first'] < 5


@pytest.mark.parametrize('prior', [0.0, -1.0, float('nan'), float('inf')])
def test_a_prior_must_be_a_positive_number(prior):
    with pytest.raises(ValueRangeError, match='above 0'):
        fit(count(_votes()), prior=prior)


def test_an_unknown_tie_model_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match='davidson'):
        fit(count(_votes()), ties='thirds')


def test_too_many_items_are_refused_before_memory_is():
    names = [f'{number}' for number in range(5001)]
    with pytest.raises(LimitError, match='5000'):
        fit(count(Comparisons.of(names, [*names[1:], names[0]], ['left'] * 5001)))


def test_win_rates_count_a_tie_as_half():
    votes = Comparisons.of(['a', 'a', 'b'], ['b', 'b', 'c'], ['left', 'tie', 'right'], items=['a', 'b', 'c', 'd'])
    assert win_rates(count(votes)) == pytest.approx([0.75, 0.5 / 3, 1.0, np.nan], nan_ok=True)


def test_many_sets_of_counts_are_maximised_as_one_by_one():
    from affekt.ranking.newton import maximise

    cells = count(_votes(80, items=4))
    likelihood = Likelihood(cells, TIE_MODELS['davidson'], None)
    counts = np.random.default_rng(5).poisson(cells.counts[:, None, :] + 0.5, (3, 6, len(cells.left))).astype(float)
    together = maximise(likelihood, counts, likelihood.start(6))
    assert together.reached.all()
    for row in range(6):
        alone = maximise(likelihood, counts[:, row : row + 1], likelihood.start())
        assert together.parameters[row] == pytest.approx(alone.parameters[0], abs=1e-9)
