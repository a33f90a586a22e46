"""Label columns of anyone's own table: what is one category, what is none, and what is said of it."""

from __future__ import annotations

import pytest

from affekt.corpora import import_corpus
from affekt.corpora.label_columns import tidied
from affekt.errors import TableError


def tidy(column, *cells):
    notes = []
    return tidied(column, cells, 'samples.csv', notes), notes


def test_spaces_case_and_unicode_forms_are_one_category_and_said():
    cells, notes = tidy('category', *['froh'] * 3, 'FROH', 'froh ', 'mu\u0308de', 'm\u00fcde')
    assert set(cells) == {'froh', 'm\u00fcde'}
    assert any("'FROH' taken for 'froh'" in note for note in notes)
    assert any('spaces or Unicode forms evened out in 2 cells' in note for note in notes)
    assert tidy('category', 'froh', 'traurig') == (['froh', 'traurig'], [])


def test_measured_numbers_are_no_categories():
    for cells in (['0.841', '-0.757', '0.5'], ['0,5', '0,25', '1'], [str(number) for number in range(100)]):
        with pytest.raises(TableError, match='valence, arousal, dominance or sentiment'):
            tidy('category', *cells)


def test_a_few_whole_numbers_are_classes_without_an_order_and_said():
    cells, notes = tidy('category', '0', '1.0', 2, '1')
    assert cells == ['0', '1', '2', '1']
    assert 'taken for 3 classes without an order' in notes[0]
    assert tidy('category', '1000001', '1000002')[0] == ['1000001', '1000002']


@pytest.mark.parametrize(
    'cells',
    [['a;b', 'a'], ['froh;froh', 'traurig;traurig'], ['a|b'], ['a', 'b', 'a, b'], ['a', 'b', 'a/b'], [['a', 'b']]],
)
def test_several_labels_in_a_cell_are_refused(cells):
    with pytest.raises(TableError, match='one category for each sample'):
        tidy('category', *cells)


def test_a_category_whose_name_has_a_mark_is_one():
    assert tidy('category', 'fear/surprise', 'calm', 'R&B')[0] == ['fear/surprise', 'calm', 'R&B']


def test_what_programs_write_for_nothing_is_no_category():
    cells, notes = tidy('category', 'happy', 'nan', '', None, 'NULL')
    assert cells == ['happy', None, None, None, None]
    assert 'taken for no label (2 samples)' in notes[0]


def test_texts_are_no_categories():
    with pytest.raises(TableError, match='each of several samples'):
        tidy('category', *(f'sentence {number}' for number in range(40)))


def test_parts_are_called_as_benchmarks_know_them_and_folds_count_from_one():
    assert tidy('split', 'Train', 'dev', 'test ')[0] == ['train', 'val', 'test']
    cells, notes = tidy('fold', 0, '1', '', 4.0)
    assert cells == [1, 2, None, 5]
    assert notes == ['fold: counted from 0 in the table, from 1 here']
    with pytest.raises(TableError, match='row 2'):
        tidy('fold', 1, 1.5)


def test_speakers_are_one_by_spaces_and_told_by_case():
    cells, notes = tidy('speaker', 'Anna', 'Anna ', 'anna')
    assert cells == ['Anna', 'Anna', 'anna']
    assert any("'Anna', 'anna' differ in case alone" in note for note in notes)


def test_notes_of_a_table_are_notes_of_its_manifest(tmp_path):
    (tmp_path / 'samples.csv').write_text('name,label,speaker\na,froh,x\nb,FROH,x \nc,froh,y\nd,traurig,y\n')
    manifest = import_corpus('folder', tmp_path)
    assert manifest.facts.categories == ('froh', 'traurig')
    assert set(manifest.column('speaker')) == {'x', 'y'}
    assert any("'FROH' taken for 'froh'" in note for note in manifest.facts.notes)
