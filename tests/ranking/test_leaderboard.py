"""The leaderboard as a whole, its biases, its simulation, and the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import ComparisonError, ShapeError, UnknownNameError, UnrankableError, ValueRangeError
from affekt.metrics import kendall
from affekt.ranking import Comparisons, RankSettings, biases, count, fit, rank, recover, simulate

VOTES = 'left,right,outcome\n' + 'a,b,left\na,b,left\nb,a,left\nb,c,left\nc,b,tie\nc,a,left\na,c,left\n' * 5


def _votes(size: int = 400, seed: int = 0, **more) -> Comparisons:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 5, size)
    right = (left + rng.integers(1, 5, size)) % 5
    return simulate([1.0, 0.5, 0.0, -0.5, -1.0], left, right, rng, ties='davidson', tau=-1.0, **more)


def _biased(size: int = 3000) -> Comparisons:
    """Longer texts win more often, and item 4 writes long ones."""
    rng = np.random.default_rng(0)
    left = rng.integers(0, 5, size)
    right = (left + rng.integers(1, 5, size)) % 5
    longer = rng.normal(size=size) + 1.5 * ((left == 4).astype(float) - (right == 4))
    votes = simulate([1.0, 0.5, 0.0, -0.5, -1.0], left, right, rng, advantage=0.8 * longer + 0.3)
    return replace(votes, covariates={'length': longer})


def test_the_board_is_in_order_and_complete():
    found = rank(_votes())
    assert [one.item for one in found.standings] == [f'item {place}' for place in range(5)]
    assert [one.rank for one in found.standings] == [1, 2, 3, 4, 5]
    assert all(one.low < one.strength < one.high for one in found.standings)
    assert all(one.best_rank <= one.rank <= one.worst_rank for one in found.standings)
    assert sum(one.strength for one in found.standings) == pytest.approx(0, abs=1e-12)
    assert np.isnan(found.standings[-1].more_to_next)
    assert found.facts == {'items': 5, 'comparisons': 400, 'ties': int((_votes().outcome == 0).sum())}
    assert len(found.next_pairs) == 3


def test_equal_items_share_a_rank():
    found = rank(Comparisons.of(list('abc'), list('bca'), ['left'] * 3))
    assert [one.rank for one in found.standings] == [1, 1, 1]
    assert found.to_dict()['standings'][0]['more_to_next'] is None


@pytest.mark.parametrize('intervals', ['profile', 'sandwich', 'bootstrap'])
@pytest.mark.parametrize('ties', ['half', 'davidson', 'rao-kupper'])
def test_every_model_with_every_interval_ranks_and_is_ready_for_json(intervals, ties):
    found = rank(_votes(), RankSettings(ties=ties, intervals=intervals, order=True, resamples=100))
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again['standings'][0]['item'] == 'item 0'
    assert again['settings']['ties'] == ties
    assert (found.tie_parameter is None) == (ties == 'half')


def test_nothing_but_elo_depends_on_rows_or_sides():
    votes = _votes(sample=np.arange(400) % 40, rater=np.arange(400) % 11)
    turned = votes.swapped().take(np.random.default_rng(1).permutation(400))
    one, two = (rank(these, RankSettings(order=True)).to_dict() for these in (votes, turned))

    def compared(here: object, there: object) -> None:
        if isinstance(here, dict):
            for key in here:
                if key != 'elo':
                    compared(here[key], there[key])
        elif isinstance(here, list):
            for a, b in zip(here, there, strict=True):
                compared(a, b)
        else:
            assert here == pytest.approx(there, abs=1e-6)

    compared(one, two)


def test_controlling_length_gives_back_the_strengths_that_length_hid():
    votes, true = _biased(), np.array([1.0, 0.5, 0.0, -0.5, -1.0])
    plain, controlled = fit(count(votes)), fit(count(votes, control=['length'], order=True))
    assert np.abs(plain.strengths - true).max() > 0.5
    assert controlled.strengths == pytest.approx(true, abs=0.2)
    assert controlled.effects == pytest.approx({'shown first': 0.3, 'length': 0.8}, abs=0.12)


def test_the_table_of_biases_has_shares_and_effects_controlled_or_not():
    votes = _biased()
    favours = votes.covariates['length'] * votes.outcome
    for control in ((), ('length',)):
        rows = {one.name: one for one in rank(votes, RankSettings(control=control)).biases}
        assert rows['length'].share == pytest.approx((favours > 0).mean())
        assert rows['length'].low < 0.8 < rows['length'].high
        assert rows['length'].is_controlled == bool(control)
        assert rows['shown first'].share == pytest.approx((votes.outcome > 0).mean())
        assert not rows['shown first'].is_controlled


def test_a_bias_that_cannot_be_told_from_the_items_says_so():
    votes = Comparisons.of(
        ['a', 'a', 'b'], ['b', 'b', 'a'], [1, 1, 1], first=[0, 0, 0], covariates={'source=a': [1.0, 1.0, -1.0]}
    )
    (row,) = biases(votes, fit(count(votes)))
    assert (row.share, row.decided) == (pytest.approx(2 / 3), 3)
    assert np.isnan(row.effect)
    assert 'only repeats which items' in row.note


def test_clusters_are_taken_where_there_are_enough_and_named_where_not():
    votes = _votes(sample=np.arange(400) % 40, rater=np.arange(400) % 3)
    found = rank(votes)
    assert found.clusters == {'sample': 40}
    assert found.notes == ('intervals say nothing about other raters: there are 3',)
    assert rank(votes, RankSettings(cluster=())).clusters == {}
    assert rank(votes, RankSettings(cluster=('rater',))).clusters == {'rater': 3}
    assert rank(_votes(sample=np.arange(400))).clusters == {}


def test_settings_are_checked_once_and_early():
    with pytest.raises(UnknownNameError, match='davidson'):
        RankSettings(ties='thirds')
    with pytest.raises(UnknownNameError, match='bootstrap'):
        RankSettings(intervals='bca')
    with pytest.raises(ValueRangeError, match='level'):
        RankSettings(level=95)
    with pytest.raises(ValueRangeError, match='one kind of cluster'):
        RankSettings(intervals='bootstrap', cluster=('sample', 'rater'))
    with pytest.raises(ValueRangeError, match='with a prior'):
        RankSettings(intervals='bootstrap', prior=1.0)
    with pytest.raises(UnknownNameError, match='covariates'):
        rank(_votes(), RankSettings(control=('length',)))
    with pytest.raises(ComparisonError, match='a sample for each'):
        rank(_votes(), RankSettings(cluster=('sample',)))


def test_the_real_leaderboard_of_llmfao(shared_data):
    from affekt.ranking import read_comparisons

    found = rank(read_comparisons(shared_data / 'preferences' / 'llmfao.csv'))
    assert found.standings[0].item == 'GPT 4'
    assert found.clusters == {'sample': 13, 'rater': 124}
    alone = rank(read_comparisons(shared_data / 'preferences' / 'llmfao.csv'), RankSettings(cluster=()))
    widths = [np.mean([one.high - one.low for one in board.standings]) for board in (found, alone)]
    assert widths[0] > 1.5 * widths[1]


def test_active_pairs_reach_the_true_ranking_sooner_than_random_ones():
    tau = {}
    for strategy in ('random', 'order'):
        runs = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            found = recover(rng.normal(size=10), rng, strategy=strategy, budget=150, batch=10)
            runs.append(found.tau[found.comparisons >= 50].mean())
        tau[strategy] = np.mean(runs)
    assert tau['order'] > tau['random'] + 0.02


def test_recovery_counts_its_cost_and_refuses_nonsense():
    rng = np.random.default_rng(0)
    found = recover([3.0, 0.0, -3.0], rng, strategy='random', budget=60, batch=5)
    assert found.comparisons[0] == 3
    assert found.comparisons[-1] >= 60
    assert found.cost(1.0) <= 60
    assert found.cost(1.1) == float('inf')
    with pytest.raises(UnknownNameError, match='random, order'):
        recover([1.0, 0.0], rng, strategy='best')
    with pytest.raises(ValueRangeError, match='batch'):
        recover([1.0, 0.0], rng, batch=0)
    with pytest.raises(ShapeError, match='strengths'):
        simulate([[1.0]], np.array([0]), np.array([0]), rng)


def test_simulated_verdicts_have_the_model_s_shares():
    rng = np.random.default_rng(0)
    votes = simulate([0.5, -0.5], np.zeros(40_000, int), np.ones(40_000, int), rng, ties='davidson', tau=0.0)
    whole = np.exp(0.5) + np.exp(-0.5) + 1
    assert [(votes.outcome == one).mean() for one in (1, -1, 0)] == pytest.approx(
        [np.exp(0.5) / whole, np.exp(-0.5) / whole, 1 / whole], abs=0.01
    )
    assert kendall([1, 0], fit(count(votes)).strengths) == 1.0


def _run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words], env={'COLUMNS': '80'})


def test_the_command_prints_a_board_within_80_columns(tmp_path):
    (tmp_path / 'votes.csv').write_text(VOTES)
    result = _run('rank', tmp_path / 'votes.csv', '--ties', 'davidson', '--order', '--prior', '1.0')
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    assert 'shown first' in result.output
    assert 'ask next' in result.output
    assert 'a prior of 1 log-odds' in result.output


def test_long_and_odd_names_keep_the_board_within_80_columns(tmp_path):
    named = VOTES.replace('a,', 'an item with a very long name [bold] indeed,').replace('b,', '[red]x,')
    (tmp_path / 'votes.csv').write_text(named)
    result = _run('rank', tmp_path / 'votes.csv', '--prior', '1')
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    assert '[red]x' in result.output


def test_the_command_prints_one_json_object_with_the_file_s_hash(tmp_path):
    (tmp_path / 'votes.csv').write_text(VOTES)
    held = json.loads(_run('rank', tmp_path / 'votes.csv', '--json', '--cluster', 'none').stdout)
    assert held['input'] == 'votes.csv'
    assert len(held['sha256']) == 64
    assert {one['item'] for one in held['standings']} == {'a', 'b', 'c'}


@pytest.mark.parametrize(
    ('text', 'options', 'said'),
    [
        (VOTES.replace('tie', 'draw?', 1), [], 'row 6'),
        ('left,right,outcome\na,b,left\n', [], 'a is undefeated'),
        (VOTES, ['--ties', 'thirds'], 'davidson'),
        (VOTES, ['--control', 'length'], 'length'),
        (VOTES, ['--prior', '-1'], 'above 0'),
        (VOTES, ['--cluster', 'clip'], 'both'),
        (VOTES, ['--cluster', 'rater'], 'rater'),
        (VOTES, ['--intervals', 'bca'], 'profile'),
        (VOTES, ['--level', '95'], 'level'),
        ('', [], '0 bytes'),
    ],
)
def test_bad_input_is_two_lines_and_exit_code_2(tmp_path, text, options, said):
    (tmp_path / 'votes.csv').write_text(text)
    result = _run('rank', tmp_path / 'votes.csv', *options)
    assert result.exit_code == 2
    assert result.stdout == ''
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_undefeated_data_is_an_error_and_with_a_prior_a_flagged_board(tmp_path):
    (tmp_path / 'votes.csv').write_text('left,right,outcome\na,b,left\nb,c,left\nc,b,left\n')
    with pytest.raises(UnrankableError):
        rank(Comparisons.of(['a', 'b', 'c'], ['b', 'c', 'b'], [1, 1, 1]))
    result = _run('rank', tmp_path / 'votes.csv', '--prior', '1.0')
    assert result.exit_code == 0
    assert 'only the prior holds them: a is undefeated' in result.output


@pytest.mark.parametrize('intervals', ['profile', 'bootstrap'])
def test_one_kind_of_cluster_may_be_given_as_its_name(intervals):
    votes = _votes(sample=np.arange(400) // 4)
    named, listed = (rank(votes, RankSettings(cluster=each, intervals=intervals)) for each in ('sample', ('sample',)))
    assert named.clusters == listed.clusters == {'sample': 100}
    assert named.standings == listed.standings
