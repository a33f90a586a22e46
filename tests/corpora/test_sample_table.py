"""Samples as Arrow columns: rows only when asked for, the same values as rows would hold, old files."""

from __future__ import annotations

import dataclasses
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from affekt.corpora import Facts, Manifest, Sample, SampleTable, made_up_corpus
from affekt.corpora.sample import COLUMNS
from affekt.errors import ShapeError, TableError, UnknownNameError, ValueRangeError

FACTS = Facts('toy', categories=('sad', 'happy'))
DATA = Path(__file__).parent / 'data'
MANY = 50_000
FACTS_IN_FILE = {'affekt': json.dumps({'format': 1, **dataclasses.asdict(FACTS)})}


@pytest.fixture
def rows():
    return made_up_corpus(seed=1).samples[:40]


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp('many') / 'm.parquet'
    texts = [f'this is what was said in number {at}' for at in range(MANY)]
    columns = {
        'sample': [f'sample{at:06d}' for at in range(MANY)], 'video': [f'v/{at}.mp4' for at in range(MANY)],
        'text': texts, 'english': texts, 'split': ['train', 'test'] * (MANY // 2),
        'speaker': [f'a speaker of a rather long name, number {at % 100}' for at in range(MANY)],
        'category': ['sad', 'happy'] * (MANY // 2), 'valence': list(np.linspace(-1, 1, MANY)),
    }  # fmt: skip
    table = {name: pyarrow.array(columns.get(name, [None] * MANY), type) for name, type in _types().items()}
    parquet.write_table(pyarrow.table(table).replace_schema_metadata(FACTS_IN_FILE), path)
    return path


def _types():
    return {field.name: field.type for field in SampleTable.of([]).plain().schema}


def test_a_manifest_that_is_loaded_and_divided_makes_no_row(many, monkeypatch):
    def refuse(*cells):
        raise AssertionError('a row was made')

    monkeypatch.setattr('affekt.corpora.sample_table.Sample', refuse)
    manifest = Manifest.load(many)
    train = manifest.where(split='train', category='sad')
    assert (len(train), len(set(manifest.groups())), manifest.present()['text']) == (MANY // 2, 100, MANY)
    with pytest.raises(AssertionError, match='a row was made'):
        manifest.samples[0]


def test_loading_takes_less_than_a_hundred_bytes_a_row_from_python(many):
    Manifest.load(many)  # what is imported on the way is not counted
    tracemalloc.start()
    manifest = Manifest.load(many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # tuples of 22 cells alone are 216 bytes a row, before any text
    assert peak < 100 * MANY
    texts = sum(len(f'sample{0:06d}') + len(f'v/{at}.mp4') + 2 * 40 for at in range(MANY))
    # 10 plain texts and 5 codes of 4 bytes, 6 numbers of 8, and a bit of each for null
    assert manifest.samples.table.nbytes < texts + MANY * (10 * 4 + 8 * 4 + 6 * 8 + 3)


def test_rows_slices_and_strides_are_those_of_a_tuple(rows):
    plain = tuple(rows)
    assert len(rows) == len(plain) == 40
    assert rows == plain
    assert plain == rows
    assert (rows[0], rows[-1]) == (plain[0], plain[-1])
    for part in (slice(3, 9), slice(None, None, 7), slice(None, None, -1), slice(5, 5), slice(-4, None)):
        assert rows[part] == plain[part]
        assert tuple(rows[part]) == plain[part]
    with pytest.raises(IndexError):
        rows[40]
    assert plain[7] in rows
    assert rows.index(plain[7]) == 7
    assert rows != plain[:-1]
    more = (Sample('z'),)
    assert rows + more == (*plain, *more)
    assert more + rows == (*more, *plain)


def test_null_stays_null_and_empty_text_stays_empty(tmp_path):
    given = (Sample('a', text='', speaker=''), Sample('b'), Sample('c', text='said', speaker='x', fold=0, valence=0.0))
    Manifest(FACTS, given).save(tmp_path / 'm.parquet')
    samples = Manifest.load(tmp_path / 'm.parquet').samples
    assert samples == given
    assert samples.filled('speaker').tolist() == [False, False, True]
    assert samples.known('speaker').tolist() == [True, False, True]
    assert samples.column('text').tolist() == ['', None, 'said']


def test_a_coded_column_lists_values_as_they_appear_in_every_part():
    samples = SampleTable.of([Sample(str(at), speaker=name) for at, name in enumerate(['b', None, 'a', 'b', 'c'])])
    speakers = samples.coded('speaker')
    assert speakers.values == ('b', 'a', 'c')
    assert speakers.codes.tolist() == [0, -1, 1, 0, 2]
    assert speakers.counts() == {'b': 2, 'a': 1, 'c': 1, None: 1}
    assert speakers.where(('a', None)).tolist() == [False, True, True, False, False]
    assert samples[2:].coded('speaker').values == ('a', 'b', 'c')
    assert samples[4:].coded('speaker').counts() == {'c': 1}
    assert SampleTable.of([]).coded('speaker').values == ()


def test_other_values_in_a_column_leave_the_others(rows):
    other = rows.replaced(split=['test'] * 40, fold=np.arange(40) % 3, valence=np.full(40, np.nan))
    assert [row.fold for row in other] == [at % 3 for at in range(40)]
    assert other == tuple(
        dataclasses.replace(row, split='test', fold=at % 3, valence=None) for at, row in enumerate(rows)
    )
    with pytest.raises(ShapeError):
        rows.replaced(split=['test'])
    with pytest.raises(UnknownNameError):
        rows.replaced(colour=['red'] * 40)


def test_a_pickled_slice_carries_itself_alone(many):
    samples = Manifest.load(many).samples
    part = samples[100:110]
    packed = pickle.dumps(part)
    assert pickle.loads(packed) == part
    assert len(packed) < 20_000


@pytest.mark.parametrize(
    ('row', 'said'),
    [
        (Sample('a', text=3), 'text in UTF-8 in the column text'),
        (Sample('a', valence='high'), "a number in the column valence; got 'high' for sample 'a'"),
        (Sample('a', fold=1.5), 'a whole number of 32 bits in the column fold'),
        (Sample('a', fold=1 << 40), 'a whole number of 32 bits in the column fold'),
        (Sample('a', valence=float('inf')), "a finite valence; got inf for sample 'a'"),
        (Sample('a\udcff'), 'text in UTF-8 in the column sample'),
    ],
)
def test_a_value_of_another_type_is_refused_by_column_and_sample(row, said):
    with pytest.raises(TableError) as raised:
        Manifest(FACTS, (Sample('b'), row))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ('column', 'values', 'said'),
    [
        ('speaker', ['x', 1], 'text in UTF-8 in the column speaker; got 1 for sample'),
        ('valence', ['high', 0.1], "a number in the column valence; got 'high' for sample"),
        ('fold', [1.0, 2.0], 'a whole number of 32 bits in the column fold; got 1.0 for sample'),
    ],
)
def test_another_column_takes_values_of_its_type_alone(rows, column, values, said):
    with pytest.raises(TableError) as raised:
        rows[:2].replaced(**{column: values})
    assert said in str(raised.value)
    assert rows[int(column == 'speaker')].sample in str(raised.value)


def test_a_mask_of_another_length_and_numbers_of_no_sample_are_refused(rows):
    for length in (39, 41):
        with pytest.raises(ShapeError, match='a mask of 40 samples'):
            rows.take(np.ones(length, dtype=np.bool_))
    for number in (-1, 40):
        with pytest.raises(ValueRangeError, match=f'got {number}'):
            rows.take(np.array([0, number]))
    assert rows.take(np.zeros(0, dtype=np.int64)) == ()


@pytest.mark.parametrize(
    ('column', 'values', 'said'),
    [
        ('valence', ['0.5'], 'string in the column valence instead of double'),
        ('fold', ['1'], 'string in the column fold instead of int32'),
        ('speaker', [7], 'int64 in the column speaker instead of string'),
        ('sample', [7], 'int64 in the column sample instead of string'),
    ],
)
def test_a_file_with_text_for_numbers_or_numbers_for_text_is_no_manifest(tmp_path, column, values, said):
    table = SampleTable.of([Sample('a')]).plain()
    table = table.set_column(COLUMNS.index(column), column, pyarrow.array(values))
    parquet.write_table(table.replace_schema_metadata(FACTS_IN_FILE), tmp_path / 'm.parquet')
    with pytest.raises(TableError) as raised:
        Manifest.load(tmp_path / 'm.parquet')
    assert said in str(raised.value)


def test_a_file_that_was_written_from_rows_is_read_and_written_alike(tmp_path):
    before = DATA / 'manifest_of_records.parquet'
    expected = [Sample(**row) for row in json.loads((DATA / 'manifest_of_records.json').read_text())]
    manifest = Manifest.load(before)
    assert manifest.samples == expected
    assert (manifest.facts.ranges, manifest.facts.notes) == ({'valence': (-1.0, 1.0)}, ('a note',))
    manifest.save(tmp_path / 'm.parquet')
    # an earlier release reads columns of plain text, those that it knows, and what the header says
    written, read = parquet.read_table(tmp_path / 'm.parquet'), parquet.read_table(before)
    assert written.select(read.column_names).equals(read, check_metadata=True)


def test_columns_of_neighbouring_types_are_taken(tmp_path):
    table = SampleTable.of([Sample('a', speaker='x', fold=1, text='said'), Sample('b')]).plain()
    wide = table.set_column(COLUMNS.index('fold'), 'fold', table.column('fold').cast(pyarrow.int64()))
    wide = wide.set_column(COLUMNS.index('text'), 'text', table.column('text').dictionary_encode())
    wide = wide.set_column(COLUMNS.index('speaker'), 'speaker', table.column('speaker').cast(pyarrow.large_string()))
    parquet.write_table(wide.replace_schema_metadata(FACTS_IN_FILE), tmp_path / 'm.parquet')
    assert Manifest.load(tmp_path / 'm.parquet').samples == (Sample('a', speaker='x', fold=1, text='said'), Sample('b'))


def test_bytes_that_are_no_text_are_refused_when_the_file_is_opened(tmp_path):
    table = SampleTable.of([Sample('a', text='said')]).plain()
    broken = pyarrow.StringArray.from_buffers(
        1, pyarrow.py_buffer(np.array([0, 2], np.int32)), pyarrow.py_buffer(b'\xff\xfe')
    )
    table = table.set_column(COLUMNS.index('text'), 'text', broken)
    parquet.write_table(table.replace_schema_metadata(FACTS_IN_FILE), tmp_path / 'm.parquet')
    with pytest.raises(TableError, match='manifest'):
        Manifest.load(tmp_path / 'm.parquet')
