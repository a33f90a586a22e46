"""What the cells of tables may hold."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import affekt
from affekt.errors import TableError
from affekt.tables import (
    as_written,
    csv_bytes,
    read_table,
    require_written,
    spreadsheet_safe,
    storable,
    table_bytes,
)


@pytest.mark.parametrize('start', ['=', '+', '-', '@', '\t', '\r', '\n', '＝'])
def test_a_text_that_starts_like_a_formula_gets_an_apostrophe(start):
    assert spreadsheet_safe(f'{start}cmd|calc') == f"'{start}cmd|calc"


@pytest.mark.parametrize('number', ['-0.5', '+3', '-1e-05', '-.5', '-0,5', '12'])
def test_numbers_stay_numbers(number):
    assert spreadsheet_safe(number) == number


@given(st.text(max_size=12) | st.text(alphabet="'=-+@1a", max_size=6))
def test_what_is_written_safely_is_read_back(text):
    assert as_written(spreadsheet_safe(text)) == text


def test_a_table_quotes_texts_and_leaves_numbers_none_and_names_alone():
    content = csv_bytes(('name', 'value'), [('=1', -0.5), {'value': None, 'name': '-3g5yACwYnA', 'other': 1}])
    assert content == b"name,value\n'=1,-0.5\n'-3g5yACwYnA,\n"
    assert csv_bytes(('name', 'value'), [('=1', -0.5)], raw=True) == b'name,value\n=1,-0.5\n'


def test_a_number_that_is_absent_is_an_empty_cell():
    assert (
        csv_bytes(('name', 'value'), [('a', float('nan')), ('b', None), ('nan', 0.0)])
        == b'name,value\na,\nb,\nnan,0.0\n'
    )


def test_cells_with_commas_quotes_and_line_ends_are_read_back():
    cells = ['a,b', 'say "no"', 'two\nlines', '']
    assert list(csv.reader(io.StringIO(csv_bytes(list('wxyz'), [cells]).decode(), newline='')))[1] == cells


def test_bytes_of_names_that_are_no_utf8_stay_apart():
    assert storable(b'caf\xe9.wav'.decode('utf-8', 'surrogateescape')) == r'caf\xe9.wav'
    assert storable('half \ud800 of a pair') == 'half \N{REPLACEMENT CHARACTER} of a pair'
    assert storable('whole 🙂') == 'whole 🙂'


@pytest.mark.parametrize('ending', ['.csv', '.jsonl', '.parquet'])
def test_a_table_is_read_back_from_every_ending_that_is_written(tmp_path, ending):
    rows = [{'name': 'a', 'labels': ['sad', 'calm'], 'other': 1}, {'name': '\ud800b', 'labels': []}]
    content = table_bytes(ending, ('name', 'labels'), rows, lists=('labels',), in_csv=('name',))
    path = tmp_path / f'x{ending}'
    path.write_bytes(content)
    table = read_table(path)
    assert list(table['name']) == ['a', '\ufffdb']
    if ending != '.csv':
        assert [list(cell) for cell in table['labels']] == [['sad', 'calm'], []]


def test_another_ending_is_refused_by_its_name():
    with pytest.raises(TableError, match=r'\.csv, \.jsonl, \.parquet; got x\.xlsx'):
        require_written('.xlsx', 'x.xlsx')


def test_no_other_file_of_the_package_writes_csv_by_itself():
    package = Path(affekt.__file__).parent
    writers = [
        path.relative_to(package).as_posix()
        for path in package.rglob('*.py')
        if re.search(r'csv\.(Dict)?[wW]riter\(|\.to_csv\(', path.read_text(encoding='utf-8'))
    ]
    assert writers == ['tables/writing.py']


def test_names_of_columns_that_start_like_a_formula_are_read_back(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_bytes(csv_bytes(['-brow', 'name'], [['=1', 'a']]))
    assert dict(read_table(path)) == {'-brow': ('=1',), 'name': ('a',)}


def test_nan_of_any_precision_is_an_empty_cell():
    assert csv_bytes(['a', 'b'], [[np.float32('nan'), np.float32(0.5)]]) == b'a,b\n,0.5\n'
