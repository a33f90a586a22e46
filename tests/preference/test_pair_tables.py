"""One table of pairs, whoever reads it: what is learned from, judged and shown to raters is the same pair."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from affekt.annotation import Task, read_gold, read_tasks
from affekt.annotation.pairs import as_json, from_json
from affekt.errors import ComparisonError, TableError
from affekt.judging import read_described
from affekt.preference import DescribedPair, read_pair_table, read_pairs
from affekt.ranking import SHAPES, read_comparisons

EMOPREFER = 'name,a1,a2,preference,model1,model2\nc,She smiles.,He frowns.,a2,ash,birch\n'
SAME_PAIR = {
    'emoprefer': EMOPREFER,
    'plain': 'name,left,right,left_text,right_text,outcome\nc,ash,birch,She smiles.,He frowns.,right\n',
    'plain with sources': 'sample,left_source,right_source,left_text,right_text,outcome\n'
    'c,ash,birch,She smiles.,He frowns.,-1\n',
    'numbered': 'name,text1,text2,name1,name2,preference\nc,She smiles.,He frowns.,ash,birch,2\n',
    'answers': 'name,answer1,answer2,left,right,preference\nc,She smiles.,He frowns.,ash,birch,right\n',
    'a thought before': EMOPREFER.replace('She smiles.', '<think>Sad?</think>She smiles.'),
}


@pytest.mark.parametrize('text', SAME_PAIR.values(), ids=SAME_PAIR)
def test_a_pair_is_one_pair_for_models_raters_and_learners_in_every_shape(tmp_path, text):
    path = tmp_path / 'pairs.csv'
    path.write_text(text)
    pair = DescribedPair('c', 'ash', 'birch', 'She smiles.', 'He frowns.', outcome='right')
    assert read_described([path]).pairs == (pair,)
    assert read_described([path]).preferences == ('right',)
    assert read_gold(path) == (pair,)
    assert read_tasks([path]) == (replace(pair, outcome=''),)
    columns = read_pairs(path, judged=True)
    assert (columns.names, columns.left, columns.right) == (('c',), ('She smiles.',), ('He frowns.',))
    assert (columns.left_source, columns.right_source, columns.truth.tolist()) == (('ash',), ('birch',), [-1])


@pytest.mark.parametrize('name', ['emoprefer', 'plain', 'numbered', 'answers'])
def test_rank_reads_who_won_from_the_same_table(tmp_path, name):
    (tmp_path / 'pairs.csv').write_text(SAME_PAIR[name])
    comparisons = read_comparisons(tmp_path / 'pairs.csv')
    assert comparisons.items == ('ash', 'birch')
    assert comparisons.outcome.tolist() == [-1]


def test_pandalm_has_a_verdict_of_each_rater_and_names_in_one_column(tmp_path):
    row = {'idx': 7, 'cmp_key': 'ash_birch', 'instruction': 'Describe', 'input': '', 'response1': 'x', 'response2': 'y'}
    row |= {'annotator1': 1, 'annotator2': 2, 'annotator3': 1}
    (tmp_path / 'p.json').write_text(json.dumps([row]))
    table = read_pair_table(tmp_path / 'p.json')
    assert table.pairs == (DescribedPair('7', 'ash', 'birch', 'x', 'y'),)
    assert (table.votes, table.prompts) == ((('left', 'right', 'left'),), ('Describe',))
    pairs = read_pairs(tmp_path / 'p.json')
    assert (pairs.truth.tolist(), pairs.votes.tolist(), pairs.prompt) == ([1], [[1, -1, 1]], ('Describe',))


def test_who_judged_and_what_was_shown_first_belong_to_the_pair(tmp_path):
    path = tmp_path / 'p.csv'
    path.write_text('name,left_text,right_text,rater,order\nc,x,y,ann,right\nd,x,y,ben,\ne,x,y,ben,lr\n')
    table = read_pair_table(path)
    assert [(pair.rater, pair.first) for pair in table.pairs] == [('ann', 'right'), ('ben', ''), ('ben', 'left')]
    assert [(pair.left, pair.right) for pair in table.pairs] == [('left', 'right')] * 3
    assert not table.names_describers


def test_where_verdicts_are_not_needed_it_does_not_matter_what_stands_there(tmp_path):
    path = tmp_path / 'p.csv'
    path.write_text('name,a1,a2,preference\nc,x,y,\n')
    assert read_tasks([path])[0].outcome == ''
    for read in (read_gold, read_pairs, lambda path: read_described([path])):
        with pytest.raises(ComparisonError, match=r"a preference among a1, a2, same, left.*'' in row 2 of p\.csv"):
            read(path)


def test_pairs_whose_samples_have_no_names_are_learned_from_but_not_shown_or_judged(tmp_path):
    path = tmp_path / 'p.csv'
    path.write_text('left_text,right_text,outcome\nx,y,left\n')
    assert read_pairs(path).names == ('1',)
    with pytest.raises(TableError, match='column name'):
        read_tasks([path])
    with pytest.raises(ComparisonError, match='names the sample'):
        read_described([path])


def test_the_old_names_of_a_pair_still_work():
    task = Task('c', 'b', 'a', 'x', 'y', gold='left')
    assert (task.gold, task.pair, task.outcome, task.describers) == ('left', ('a', 'b'), 'left', ('a', 'b'))
    assert task.key == DescribedPair('c', 'b', 'a', 'x', 'y').key
    assert as_json([task]) == (
        '{"sample": "c", "left": "b", "right": "a", "left_text": "x", "right_text": "y", "gold": "left"}\n'
    )


def test_a_study_that_showed_what_was_thought_aloud_keeps_its_pairs_and_their_votes():
    line = {
        'sample': 'c',
        'left': 'b',
        'right': 'a',
        'left_text': '<think>Sad?</think>x',
        'right_text': 'y',
        'gold': '',
    }
    (pair,) = from_json(json.dumps(line) + '\n')
    assert pair.left_text == line['left_text']
    assert as_json([pair]) == json.dumps(line) + '\n'


def test_every_shape_has_columns_of_its_own_for_names_or_for_texts():
    assert len({(shape.left, shape.right, *shape.outcome, *shape.texts) for shape in SHAPES.values()}) == len(SHAPES)


@pytest.mark.parametrize('name', [None, ['c'], float('nan')], ids=['nothing', 'a list', 'nan'])
def test_a_sample_without_a_name_is_refused_by_its_row(tmp_path, name):
    path = tmp_path / 'pairs.json'
    rows = [{'name': each, 'a1': 'She smiles.', 'a2': 'He frowns.', 'preference': 'a1'} for each in ('b', name)]
    path.write_text(json.dumps(rows))
    for read in (lambda: read_pairs(path), lambda: read_described([path]), lambda: read_tasks([path])):
        with pytest.raises((ComparisonError, TableError), match=r'a text in name.*row 2'):
            read()


def test_one_table_of_descriptions_is_said_to_need_another_beside_it(tmp_path):
    path = tmp_path / 'ash.csv'
    path.write_text('name,text\nc,She smiles.\n')
    for read in (lambda: read_pairs(path), lambda: read_described([path]), lambda: read_tasks([path])):
        with pytest.raises(ComparisonError, match='beside another one'):
            read()
