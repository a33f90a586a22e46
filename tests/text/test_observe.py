from __future__ import annotations

import math

import pytest

from affekt.labels import EKMAN, GOEMOTIONS
from affekt.text import Utterance, Word, observe_text
from affekt.text.observe import COLUMNS

UTTERANCES = (
    Utterance(0.5, 2.0, 'Anna', "I'm so glad you came!", (Word(0.5, 0.7, "I'm"),)),
    Utterance(2.0, 2.5, '', '...'),
    Utterance(math.nan, math.nan, 'Ben', 'I am afraid of the dark.'),
)


def test_each_utterance_is_one_row_with_documented_columns(reader):
    table = observe_text(UTTERANCES, reader)
    assert table.column_names == list(COLUMNS)
    assert table.num_rows == 3
    first = table.slice(0, 1).to_pylist()[0]
    assert (first['start_s'], first['end_s'], first['speaker'], first['text']) == (
        0.5,
        2.0,
        'Anna',
        "I'm so glad you came!",
    )
    assert sum(first[f'p_{category}'] for category in EKMAN) == pytest.approx(1.0, abs=1e-5)
    assert first['p_happiness'] == pytest.approx(first['confidence'], abs=1e-6)
    assert 'joy' in first['labels'].split(';')
    assert not first['abstained']


def test_what_is_missing_is_null(reader):
    rows = observe_text(UTTERANCES, reader).to_pylist()
    silent = rows[1]
    assert silent['abstained']
    assert silent['reason'] == 'no words'
    measured = [*(f'p_{name}' for name in EKMAN), *(f'label_{name}' for name in GOEMOTIONS), 'valence', 'confidence']
    assert all(silent[name] is None for name in measured)
    assert rows[2]['start_s'] is None
    assert rows[2]['label_fear'] > 0.5


def test_no_utterances_give_an_empty_table_without_loading_a_model():
    table = observe_text([])
    assert table.num_rows == 0
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field('labels').type) == 'string'
    assert str(table.schema.field('abstained').type) == 'bool'


def test_the_table_survives_parquet_and_csv(reader, tmp_path):
    import pyarrow.csv
    import pyarrow.parquet

    table = observe_text(UTTERANCES, reader)
    pyarrow.parquet.write_table(table, tmp_path / 'a.parquet')
    assert pyarrow.parquet.read_table(tmp_path / 'a.parquet').equals(table)
    pyarrow.csv.write_csv(table, tmp_path / 'a.csv')
    assert pyarrow.csv.read_csv(tmp_path / 'a.csv').num_rows == 3
