"""Answers from files of every kind, and one clear error for a bad one."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from affekt.errors import AffektError, ArchiveError, TableError
from affekt.labels import read_answers

ANSWERS = {'a': '[happy, sad]', 'b': '', 'c': "['left out']"}


def _written(tmp_path, kind):
    path = tmp_path / f'answers.{kind}'
    if kind in ('csv', 'tsv'):
        gap = ',' if kind == 'csv' else '\t'
        path.write_text(f'name{gap}openset\n' + ''.join(f'{name}{gap}"{answer}"\n' for name, answer in ANSWERS.items()))
    elif kind == 'jsonl':
        path.write_text(''.join(json.dumps({'name': n, 'openset': a}) + '\n' for n, a in ANSWERS.items()))
    elif kind == 'parquet':
        parquet.write_table(pa.table({'name': list(ANSWERS), 'openset': list(ANSWERS.values())}), path)
    else:
        np.savez(path, filenames=np.array(list(ANSWERS)), fileitems=np.array(list(ANSWERS.values())))
    return path


@pytest.mark.parametrize('kind', ['csv', 'tsv', 'jsonl', 'parquet', 'npz'])
def test_every_kind_of_file_gives_the_same_answers(tmp_path, kind):
    assert read_answers(_written(tmp_path, kind)) == ANSWERS


def test_lists_stay_lists(tmp_path):
    path = tmp_path / 'x.jsonl'
    path.write_text('{"name": "a", "labels": ["happy"]}\n{"name": "b", "labels": null}\n')
    assert read_answers(path) == {'a': ['happy'], 'b': ''}
    parquet.write_table(pa.table({'name': ['a'], 'labels': [['happy', 'sad']]}), tmp_path / 'x.parquet')
    assert read_answers(tmp_path / 'x.parquet') == {'a': ['happy', 'sad']}


def test_a_map_in_an_npz_is_read(tmp_path):
    np.savez(tmp_path / 'x.npz', name2reason=np.array({'a': 'he smiles', 'b': ''}, dtype=object))
    assert read_answers(tmp_path / 'x.npz') == {'a': 'he smiles', 'b': ''}


def test_a_byte_order_mark_and_blank_lines_do_not_matter(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_bytes('\ufeffName,OpenSet\r\na,happy\r\n\r\nb,sad\r\n'.encode())
    assert read_answers(path) == {'a': 'happy', 'b': 'sad'}


def test_the_column_can_be_chosen(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('name,openset,mine\na,happy,sad\n')
    assert read_answers(path, column='mine') == {'a': 'sad'}
    with pytest.raises(TableError, match='a column theirs'):
        read_answers(path, column='theirs')


@pytest.mark.parametrize(
    ('name', 'content', 'match'),
    [
        ('x.csv', b'', 'a table with rows'),
        ('x.csv', b'name,openset\n', 'a table with rows'),
        ('x.csv', b'clip,words\na,b\n', "columns 'clip', 'words'"),
        ('x.csv', b'name,openset\na,happy\na,sad\n', "'a' more than once"),
        ('x.csv', b'name,openset\na,happy,sad\n', '3 cells in row 2 of x.csv'),
        ('x.csv', b'name,openset\na,\xff\xfe\n', 'not UTF-8'),
        ('x.csv', b'name,openset\na,\0\n', 'zero bytes'),
        ('x.jsonl', b'{"name": "a"', 'row 1'),
        ('x.jsonl', b'[1]\n', 'int in row 1 of x.jsonl'),
        ('x.jsonl', b'{"name": "a", "openset": {"x": 1}}\n', 'a dict as the answer'),
        ('x.jsonl', b'{"name": "a"}\n', 'a column openset'),
        ('x.jsonl', b'{"name": "a", "openset": ""}\n{"name": "b"}\n', "'openset' in some lines only, first in line 2"),
        ('x.parquet', b'PAR1garbage', 'a Parquet file'),
        ('x.npz', b'garbage', 'damaged archive'),
        ('x.xlsx', b'', '0 bytes'),
        ('x.doc', b'name,openset\na,b\n', 'a file that ends in'),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AffektError, match=match):
        read_answers(tmp_path / name)


def test_a_missing_file_and_a_foreign_npz_say_so(tmp_path):
    with pytest.raises(TableError, match='not there'):
        read_answers(tmp_path / 'none.csv')
    np.savez(tmp_path / 'x.npz', values=np.arange(3))
    with pytest.raises(TableError, match="1 column 'values'"):
        read_answers(tmp_path / 'x.npz')
    with pytest.raises(ArchiveError):
        (tmp_path / 'y.npz').write_bytes(b'PK')
        read_answers(tmp_path / 'y.npz')


@pytest.mark.parametrize('nothing', ['null', 'NaN'])
def test_a_row_whose_name_is_nothing_is_refused_not_called_none(tmp_path, nothing):
    path = tmp_path / 'a.jsonl'
    path.write_text(f'{{"name": "a", "openset": "happy"}}\n{{"name": {nothing}, "openset": "sad"}}\n')
    with pytest.raises(TableError, match='a row without a name'):
        read_answers(path)
