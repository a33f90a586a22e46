"""Files of verdicts: every shape and format, and every way in which they can be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import AffektError, ComparisonError, UnknownNameError
from affekt.ranking import OWN, Shape, read_comparisons
from affekt.tables import reading, recognition, table

ROWS = [
    {'left': 'a', 'right': 'b', 'outcome': 'left', 'sample': 's1', 'rater': 'r1', 'order': 'right', 'weight': 2},
    {'left': 'b', 'right': 'c', 'outcome': 'tie', 'sample': 's2', 'rater': 'r2', 'order': 'left', 'weight': 1},
    {'left': 'c', 'right': 'a', 'outcome': 'Right', 'sample': 's2', 'rater': 'r1', 'order': '', 'weight': 0.5},
]


def _csv(rows: list[dict[str, object]], separator: str = ',') -> str:
    head = list(rows[0])
    return '\n'.join([separator.join(head), *(separator.join(str(row[name]) for name in head) for row in rows)]) + '\n'


def _written(folder, kind: str):
    path = folder / f'votes.{kind}'
    if kind in ('csv', 'tsv'):
        path.write_text(_csv(ROWS, ',' if kind == 'csv' else '\t'))
    elif kind == 'jsonl':
        path.write_text('\n'.join(json.dumps(row) for row in ROWS))
    elif kind == 'json':
        path.write_text(json.dumps(ROWS))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize('kind', ['csv', 'tsv', 'jsonl', 'json', 'parquet'])
def test_every_format_gives_the_same_comparisons(tmp_path, kind):
    votes = read_comparisons(_written(tmp_path, kind))
    assert votes.items == ('a', 'b', 'c')
    assert votes.outcome.tolist() == [1, 0, -1]
    assert votes.sample.tolist() == [0, 1, 1]
    assert (votes.rater.tolist(), votes.raters) == ([0, 1, 0], ('r1', 'r2'))
    assert votes.first.tolist() == [-1, 1, 0]
    assert votes.weight.tolist() == [2, 1, 0.5]


def _read(tmp_path, text: str, name: str = 'votes.csv', **more):
    (tmp_path / name).write_text(text)
    return read_comparisons(tmp_path / name, **more)


def test_emoprefer_ranks_the_models_and_measures_the_texts(tmp_path):
    votes = _read(
        tmp_path,
        'name,a1,a2,preference,model1,model2\nclip1,sevench,"sad, so sad,yes",a1,x,y\nclip2,t,t,same,y,x\n',
    )
    assert votes.items == ('x', 'y')
    assert votes.outcome.tolist() == [1, 0]
    assert votes.covariates['length'] == pytest.approx([-1.0, 0.0])
    assert len(set(votes.sample.tolist())) == 2


def test_emoprefer_without_models_takes_the_texts_for_items(tmp_path):
    assert _read(tmp_path, 'name,a1,a2,preference\nc,sad,glad,a2\nc,glad,mad,a1\n').items == ('glad', 'mad', 'sad')


def test_arena_s_kinds_of_ties_are_ties_and_counted(tmp_path):
    votes = _read(
        tmp_path,
        'model_a,model_b,winner,judge\nx,y,model_a,j\nx,y,tie,j\ny,x,tie (bothbad),k\nx,y,both_bad,k\ny,x,model_b,k\n',
    )
    assert votes.outcome.tolist() == [1, 0, 0, 0, -1]
    assert votes.facts == {'tie both bad': 2}
    assert votes.raters == ('j', 'k')


def test_skipped_rows_are_left_out_and_counted(tmp_path):
    votes = _read(tmp_path, 'left,right,outcome,weight\na,b,left,1\na,b,skip,2\nb,a,left,3\n')
    assert votes.facts == {'skipped': 1}
    assert votes.weight.tolist() == [1, 3]


def test_llmfao_as_it_comes(shared_data):
    votes = read_comparisons(shared_data / 'preferences' / 'llmfao.csv')
    assert (len(votes), len(votes.items), len(votes.raters)) == (8931, 59, 124)
    # counted with cut and uniq: 2911 left, 2549 right, 3471 tie
    assert [(votes.outcome == value).sum() for value in (1, -1, 0)] == [2911, 2549, 3471]


def test_pandalm_as_it_comes(shared_data):
    votes = read_comparisons(shared_data / 'preferences' / 'pandalm_testset-v1.json')
    assert (len(votes), len(votes.items)) == (999 * 3, 5)
    assert votes.raters == ('annotator1', 'annotator2', 'annotator3')
    assert list(votes.covariates) == ['length']


def test_pairs_of_columns_become_covariates(tmp_path):
    votes = _read(
        tmp_path,
        'left,right,outcome,left_tokens,right_tokens,left_style,right_style,left_length,right_length\n'
        'a,b,left,5,3,x,y,7,3\nb,a,right,1,2,x,x,0,0\n',
    )
    assert votes.covariates['tokens'].tolist() == [2, -1]
    assert votes.covariates['style=y'].tolist() == [-1, 0]
    assert votes.covariates['length'].tolist() == [1, 0]


def test_a_shape_of_one_s_own_is_one_argument(tmp_path):
    shape = Shape('winner', 'loser', ('verdict',), {'yes': 'left'})
    votes = _read(tmp_path, 'winner,loser,verdict\na,b,yes\n', shape=shape)
    assert votes.outcome.tolist() == [1]


def test_raters_with_a_column_each_may_have_an_own_model_too(tmp_path):
    shape = Shape('left', 'right', ('a', 'people'), {'1': 'left', '2': 'right', '-': 'skip'})
    votes = _read(tmp_path, 'left,right,a,people\na,b,1,2\nb,a,-,1\nc,a,2,1\n', shape=shape)
    # the second verdict of `a` is skipped
    assert votes.covariates['own_model'].tolist() == [1, -1, 0, 0, 0]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('left,right,outcome\n', 'without any'),
        ('left,right,outcome\na,b,left\na,b\n', '2 cells in row 3 of votes.csv'),
        ('left,right,outcome\na,b,left\n\na,b,won\n', "'won' in row 4 of votes.csv"),
        ('left,right,outcome\na,b,left\na,b,lef', "'lef' in row 3"),
        ('left,right,outcome\na,"b,left\na,b,left\n', 'votes.csv: unexpected end of data'),
        ('left,right,outcome\na,a,left\n', "'a' against itself in row 2"),
        ('left,right,outcome\na,,left\n', 'empty name.*row 2'),
        ('left,right,outcome,weight\na,b,left,nan\n', "'nan' in row 2"),
        ('left,right,outcome,weight\na,b,left,heavy\n', "'heavy' in row 2"),
        ('left,right,outcome,weight\na,b,left,1\na,b,left,-1\n', "'-1' in row 3"),
        ('left,right,outcome,order\na,b,left,sideways\n', "'sideways' in row 2"),
        ('left,right,outcome,left_length,right_length\na,b,left,3,\n', 'nan in row 2'),
        ('left,right,outcome,left_length,right_length\na,b,left,-3,2\n', '-3.0 in row 2'),
        ('left,right,outcome,left_style,right_style\na,b,left,x,\n', 'empty one in row 2'),
        ('left,left,outcome\na,b,left\n', 'different column names'),
        ('one,two\na,b\n', "2 columns 'one', 'two'"),
        ('\n\n', 'without any'),
        ('left,right,outcome\na,b,left\0\n', 'row 2|votes.csv'),
    ],
)
def test_a_bad_csv_is_one_error_that_names_the_row(tmp_path, text, said):
    with pytest.raises(ComparisonError, match=said):
        _read(tmp_path, text)


@pytest.mark.parametrize(
    ('name', 'text', 'said'),
    [
        ('votes.jsonl', '{"left": "a"', 'row 1 of votes.jsonl'),
        ('votes.jsonl', '{"left": "a", "right": "b", "outcome": "left"}\n[1]\n', 'an object.*row 2'),
        ('votes.jsonl', '{"left": "a", "right": "b", "outcome": "left"}\n{"left": "a", "right": "b"}\n', 'None.*row 2'),
        ('votes.jsonl', '{"left": null, "right": "b", "outcome": "left"}', 'row 1'),
        ('votes.jsonl', '{"left": {}, "right": "b", "outcome": "left"}', 'row 1'),
        ('votes.jsonl', '{"left": "a", "right": "b", "outcome": ["left"]}', 'row 1'),
        ('votes.json', '{}', 'a JSON list'),
        ('votes.json', '[]', 'without any'),
        ('votes.json', '[' * 100_000, 'votes.json'),
        ('votes.json', '[{"left": "a", "right": "b", "outcome": NaN}]', "'nan'|nan in row 1"),
        ('votes.parquet', 'PAR1 but not really', 'votes.parquet'),
        ('votes.xlsx', 'x', 'a workbook'),
        ('votes.doc', 'x', '.csv, .tsv'),
        ('votes.csv', '', '0 bytes'),
        ('pandalm.json', '[{"cmp_key": "a", "annotator1": 1, "annotator2": 1, "annotator3": 1}]', "'a' in row 1"),
    ],
)
def test_a_bad_file_of_another_kind_is_one_error_too(tmp_path, name, text, said):
    with pytest.raises(ComparisonError, match=said):
        _read(tmp_path, text, name)


def test_binary_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    (tmp_path / 'noise.csv').write_bytes(np.random.default_rng(0).bytes(5000))
    for name, said in (('noise.csv', 'UTF-8|noise.csv'), ('nowhere.csv', 'nowhere.csv'), ('folder.csv', 'folder.csv')):
        if name == 'folder.csv':
            (tmp_path / name).mkdir()
        with pytest.raises(ComparisonError, match=said):
            read_comparisons(tmp_path / name)


def test_files_rows_and_lines_beyond_the_limits_are_refused(tmp_path, monkeypatch):
    text = 'left,right,outcome\n' + 'a,b,left\n' * 20
    monkeypatch.setattr(table, 'MOST_ROWS', 10)
    with pytest.raises(ComparisonError, match='at most 10 rows'):
        _read(tmp_path, text)
    monkeypatch.setattr(reading, 'LARGEST_FILE', 50)
    with pytest.raises(ComparisonError, match='bytes'):
        _read(tmp_path, text)
    monkeypatch.setattr(recognition, 'LONGEST_LINE', 30)
    with pytest.raises(ComparisonError, match='longer one'):
        _read(tmp_path, '{"left": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}', 'votes.jsonl')
    with pytest.raises(ComparisonError, match='field larger'):
        monkeypatch.setattr(reading, 'LARGEST_FILE', 2**30)
        monkeypatch.setattr(recognition, 'LONGEST_LINE', 2**20)
        _read(tmp_path, 'left,right,outcome\n"' + 'a' * 200_000 + '",b,left\n')


def test_an_unknown_shape_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match='emoprefer'):
        _read(tmp_path, 'left,right,outcome\na,b,left\n', shape='other')
    with pytest.raises(ComparisonError, match='without model_a, model_b, winner'):
        _read(tmp_path, 'left,right,outcome\na,b,left\n', shape='arena')


def test_a_judge_is_an_items_model_by_its_name_and_strategy_and_people_never_by_a_longer_name(tmp_path):
    raters = ('Ann', 'Ann s1', 'Ann+Bo s3', 'Ann Lee', 'Ann s1 Lee', 'Annie', 'Ann+Bo')
    rows = [{'left': 'Bo', 'right': 'Ann', 'outcome': 'left', 'rater': rater} for rater in raters]
    # Ann and Ann s1 are on the right; Ann+Bo s3 is on both sides, so neither is its own more than the other
    assert _read(tmp_path, _csv(rows)).covariates[OWN].tolist() == [-1, -1, 0, 0, 0, 0, 0]
    assert OWN not in _read(tmp_path, _csv(rows[3:])).covariates


@settings(max_examples=150, deadline=None)
@given(damage=st.binary(max_size=40), at=st.integers(0, 200), kind=st.sampled_from(['csv', 'jsonl', 'json', 'parquet']))
def test_damage_anywhere_gives_comparisons_or_one_error(tmp_path_factory, damage, at, kind):
    path = _written(tmp_path_factory.mktemp('damaged'), kind)
    content = path.read_bytes()
    path.write_bytes(content[:at] + damage + content[at + len(damage) // 2 :])
    try:
        votes = read_comparisons(path)
    except AffektError as error:
        said = str(error)
    else:
        said = repr(votes)
    assert 0 < len(said) < 1000
