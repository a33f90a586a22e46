"""Rankings of what people bring: only ties, counted tables, names that look alike, texts where names belong."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from scipy import stats

from affekt.annotation.pairs import checked
from affekt.cli import main
from affekt.errors import ComparisonError, ValueRangeError
from affekt.judging.described import read_described
from affekt.preference import DescribedPair
from affekt.preference.files import evaluate_file, read_verdicts
from affekt.preference.pairs import read_pairs
from affekt.ranking import Comparisons, RankSettings, elo, rank, read_comparisons
from affekt.ranking.names import shown
from affekt.ranking.page import render_ranking

LOOP = (['a', 'b', 'c'], ['b', 'c', 'a'])


def _ties(times: int = 5, **more) -> Comparisons:
    return Comparisons.of(*(side * times for side in LOOP), ['tie'] * 3 * times, **more)


@pytest.mark.parametrize('votes', [Comparisons.of(['a'], ['b'], ['tie']), _ties()], ids=['one tie', 'fifteen'])
@pytest.mark.parametrize('intervals', ['profile', 'sandwich', 'bootstrap'])
def test_ties_alone_give_no_interval_and_say_why(votes, intervals):
    found = rank(votes, RankSettings(intervals=intervals, resamples=50))
    for standing in found.standings:
        assert (standing.strength, standing.rank) == (0.0, 1)
        assert math.isnan(standing.low)
        assert math.isnan(standing.high)
        assert (standing.best_rank, standing.worst_rank) == (1, len(votes.items))
    assert 'all comparisons are ties' in found.notes[0]
    assert 'no intervals' in found.notes[0]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))['standings'][0]['low'] is None


@pytest.mark.parametrize('clusters', [{}, {'sample': np.arange(60) % 20, 'rater': np.arange(60) % 12}])
def test_with_ties_alone_a_prior_keeps_its_own_width(clusters):
    # the strength less the mean of 3 has a variance of 1 - 1/3 times the prior's
    found = rank(_ties(20, **clusters), RankSettings(prior=0.5))
    reach = stats.norm.ppf(0.975) * 0.5 * math.sqrt(2 / 3)
    for standing in found.standings:
        assert (standing.low, standing.high) == pytest.approx((-reach, reach), abs=1e-9)
    assert any('those of the prior' in note for note in found.notes)


def test_a_bias_among_ties_alone_is_not_told():
    votes = _ties(first=[1, -1, 1, -1, 1] * 3)
    assert rank(votes, RankSettings(order=False)).biases[0].note


def test_raters_who_all_say_the_same_do_not_make_intervals_of_no_width():
    # a and b always tie and b always beats c: every rater is every other rater's copy
    sides = (side * 20 for side in LOOP)
    votes = Comparisons.of(*sides, ['tie', 'left', 'tie'] * 20, rater=np.repeat(np.arange(20), 3))
    found, plain = rank(votes), rank(votes, RankSettings(cluster=()))
    assert [(one.low, one.high) for one in found.standings] == [(one.low, one.high) for one in plain.standings]
    assert all(one.high - one.low > 0.1 for one in found.standings)
    assert 'not clustered by rater' in ' '.join(found.notes)


def test_a_counted_table_is_ranked_without_elo():
    votes = Comparisons.of(['a', 'b', 'a'], ['b', 'a', 'b'], ['left', 'left', 'tie'], weight=[40_000, 30_000, 500])
    found = rank(votes)
    # a won 40,250 of 70,500 with half of the ties
    assert found.standings[0].strength == pytest.approx(0.5 * math.log(40_250 / 30_250), abs=1e-9)
    assert all(math.isnan(one.elo) for one in found.standings)
    assert 'Elo is left out' in found.notes[-1]
    assert elo(Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'left'], weight=[1e9, 1e9])).shape == (2,)


@pytest.mark.parametrize('weight', ['1e300', 'inf', '-inf', 'nan', '-1', '1e-300', '2e9', 'many'])
def test_a_weight_out_of_range_names_row_column_and_items(tmp_path, weight):
    (tmp_path / 'votes.csv').write_text(f'left,right,outcome,weight\na,b,left,1\ngpt,llama,right,{weight}\n')
    with pytest.raises(ComparisonError, match=r"weight.*'gpt' against 'llama' with weight .* in row 3 of votes.csv"):
        read_comparisons(tmp_path / 'votes.csv')


def test_weights_with_decimal_commas_are_numbers(tmp_path):
    (tmp_path / 'votes.csv').write_text('left;right;outcome;weight\na;b;left;0,5\nb;a;left;1,234\n')
    assert read_comparisons(tmp_path / 'votes.csv').weight.tolist() == [0.5, 1.234]


@pytest.mark.parametrize('name', [' beta', 'beta ', 'beta\u00a0', 'be\u200bta', '\ufeffbeta'])
def test_names_that_look_alike_are_one_item_with_a_note(name):
    votes = Comparisons.of([name, 'beta', 'gamma'], ['gamma', 'gamma', 'beta'], ['left', 'left', 'left'])
    assert votes.items == ('beta', 'gamma')
    assert f'{name!r} is ' in votes.notes[0]
    assert votes.notes[0] in rank(votes).notes


def test_the_other_unicode_form_of_a_letter_is_the_same_name():
    assert shown('Zoe\u0308') == shown('Zo\u00eb') == 'Zo\u00eb'
    votes = Comparisons.of(['Zoe\u0308', 'Zo\u00eb'], ['b', 'b'], ['left', 'tie'])
    assert votes.items == ('Zo\u00eb', 'b')


def test_an_item_against_itself_but_for_a_space_is_refused():
    with pytest.raises(ComparisonError, match='against itself in row 2'):
        Comparisons.of(['a', 'b '], ['b', 'b'], ['left', 'left'])


def test_items_and_raters_that_differ_in_capitals_only_are_refused_with_their_rows(tmp_path):
    (tmp_path / 'votes.csv').write_text('left,right,outcome\nBeta,a,left\na,beta,left\n')
    with pytest.raises(ComparisonError, match=r"'Beta' in row 2 of votes.csv and 'beta' in row 3 of votes.csv"):
        read_comparisons(tmp_path / 'votes.csv')
    with pytest.raises(ComparisonError, match='raters whose names'):
        Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'left'], rater=['Ann', 'ann'])


def test_raters_and_samples_are_named_as_they_are_shown():
    votes = Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'left'], rater=['r1', 'r1 '], sample=['xY', 'xy'])
    assert (votes.raters, votes.samples) == (('r1',), ('xY', 'xy'))
    assert any('rater names' in note for note in votes.notes)
    assert any('capitals only' in note for note in votes.notes)


def test_rows_that_are_copies_are_counted_in_a_note(tmp_path):
    row = 'a,b,left,clip1,ann\n'
    (tmp_path / 'votes.csv').write_text('left,right,outcome,sample,rater\n' + row + row + 'b,a,right,clip1,ann\n')
    notes = read_comparisons(tmp_path / 'votes.csv').notes
    assert notes == ('2 rows repeat what the same rater said of the same pair and sample, and count again',)


def test_a_weight_with_a_comma_that_may_mean_two_things_names_row_and_column(tmp_path):
    (tmp_path / 'votes.csv').write_text('left,right,outcome,weight\na,b,left,1\ngpt,llama,right,"1,234"\n')
    with pytest.raises(ComparisonError, match=r"column weight; got '1,234'.* in row 3 of votes\.csv"):
        read_comparisons(tmp_path / 'votes.csv')


def test_texts_where_names_belong_are_refused_with_the_verb_that_is_meant(tmp_path):
    rows = ''.join(f'c{n},"He smiles, take {n}.","She frowns, take {n}.",a1\n' for n in range(20))
    (tmp_path / 'pairs.csv').write_text('name,a1,a2,preference\n' + rows)
    with pytest.raises(ComparisonError, match=r'40 different texts.*model1 and model2.*affekt prefer train'):
        read_comparisons(tmp_path / 'pairs.csv')
    rows = ''.join(f'"He smiles, take {n}.","She frowns, take {n}.",left\n' for n in range(20))
    (tmp_path / 'sides.csv').write_text('left,right,outcome\n' + rows)
    with pytest.raises(ComparisonError, match=r'40 different texts.*left and right.*affekt prefer train'):
        read_comparisons(tmp_path / 'sides.csv')
    long = 'x' * 300
    (tmp_path / 'two.csv').write_text(f'name,a1,a2,preference\nc,{long},b,a1\n')
    with pytest.raises(ComparisonError, match='affekt prefer train'):
        read_comparisons(tmp_path / 'two.csv')


def test_verdicts_without_pairs_say_which_file_is_meant(tmp_path):
    (tmp_path / 'verdicts.csv').write_text('name,preference\nc,a1\n')
    with pytest.raises(ComparisonError, match='affekt prefer score'):
        read_comparisons(tmp_path / 'verdicts.csv')
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\nc,x,y\n')
    with pytest.raises(ComparisonError, match='add the column preference'):
        read_comparisons(tmp_path / 'pairs.csv')


def test_verdicts_that_were_all_skipped_are_nothing_to_rank(tmp_path):
    (tmp_path / 'votes.csv').write_text('left,right,outcome\na,b,skip\nb,a,skip\n')
    with pytest.raises(ComparisonError, match='without any: all 2 verdicts are skip'):
        read_comparisons(tmp_path / 'votes.csv')


@pytest.mark.parametrize('prior', [1e-300, 1e300, 0.0, -1.0, math.nan, math.inf])
def test_a_prior_beyond_reason_is_refused(prior):
    with pytest.raises(ValueRangeError, match='prior'):
        rank(_ties(), RankSettings(prior=prior))


def test_terminal_json_and_page_show_what_cannot_be_said(tmp_path):
    (tmp_path / 'votes.csv').write_text('left;right;outcome\na;b;tie\nb ;c;tie\nc;a;tie\n')
    plain = CliRunner().invoke(main, ['rank', str(tmp_path / 'votes.csv')])
    assert plain.exit_code == 0
    assert 'all comparisons are ties' in ' '.join(plain.output.split())
    assert 'nan' not in plain.output
    stated = CliRunner().invoke(main, ['rank', str(tmp_path / 'votes.csv'), '--json'])
    assert json.loads(stated.stdout)['standings'][0]['low'] is None
    render_ranking(rank(read_comparisons(tmp_path / 'votes.csv')), tmp_path / 'page.html', {'input': 'votes.csv'})
    assert '>nan' not in (tmp_path / 'page.html').read_text()


def test_the_trailing_space_of_a_shared_file_makes_no_second_model(shared_data):
    votes = read_comparisons(shared_data / 'faults' / 'tables' / 'rank_trailing_space_makes_two_models.csv')
    assert 'beta' in votes.items
    assert not [item for item in votes.items if item != item.strip()]
    assert "'beta ' is 'beta'" in votes.notes[0]


def test_describers_that_look_alike_are_refused_where_pairs_are_judged_learned_or_shown(tmp_path):
    path = tmp_path / 'pairs.csv'
    path.write_text('name,a1,a2,preference,model1,model2\nc,x,y,a1,m,n\nd,x,y,a1,n,m \n')
    for read in (read_pairs, lambda path: read_described([path]), lambda path: read_described([path, path])):
        with pytest.raises(ComparisonError, match=r"'m' and 'm ' in pairs.csv|twice"):
            read(path)
    with pytest.raises(ComparisonError, match='look alike'):
        checked([DescribedPair('c', 'm', 'n', 'x', 'y'), DescribedPair('d', 'M', 'n', 'x', 'y')], 'pairs.csv')


def test_what_reading_took_for_granted_stands_below_the_board(tmp_path):
    rows = 'a,Zoë,left\nZoë,a,left\n' * 3 + 'a,Müller,left\nMüller,a,left\nMüller,Zoë,tie\n'
    (tmp_path / 'votes.csv').write_bytes(f'left,right,outcome\n{rows}'.encode('cp1252'))
    ranking = rank(read_comparisons(tmp_path / 'votes.csv'))
    assert {standing.item for standing in ranking.standings} == {'a', 'Zoë', 'Müller'}
    assert any('votes.csv is not UTF-8' in note for note in ranking.notes)


@pytest.mark.parametrize('ending', ['jsonl', 'json', 'tsv', 'parquet'])
def test_verdicts_are_read_from_every_kind_of_table(tmp_path, ending):
    (tmp_path / 'pairs.csv').write_text('name,a1,a2,preference\nc,x,y,a1\nd,x,y,a2\n')
    rows = [{'name': 'd', 'preference': 'a2'}, {'name': 'c', 'preference': 'same'}]
    path = tmp_path / f'verdicts.{ending}'
    if ending == 'parquet':
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif ending == 'tsv':
        path.write_text('name\tpreference\nd\ta2\nc\tsame\n')
    else:
        path.write_text(json.dumps(rows) if ending == 'json' else '\n'.join(map(json.dumps, rows)))
    assert read_verdicts(path, read_pairs(tmp_path / 'pairs.csv')).tolist() == [0, -1]
    assert evaluate_file(path, tmp_path / 'pairs.csv', resamples=0).pairs == 2
