"""Word tables: folding by both rules, the official files, the canonical file and its hash."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest

from affekt.errors import TableError, UnknownNameError, WeightsError
from affekt.labels import load_table, read_table
from affekt.labels.official_tables import KNOWN_HASHES, read_official


def test_the_official_rule_takes_the_alphabetically_first_candidate(small_table):
    # fear has the bases fearless and scared; of brave and scared, brave comes first and lies in happy
    assert small_table.bases['fear'] == ('fearless', 'scared')
    assert small_table.fold('W1-L1')['fear'] == 'happy'
    assert small_table.fold('M1')['fear'] == 'fearless'


def test_by_the_consistent_rule_a_wheel_word_keeps_its_own_sector(small_table):
    # scared stands on the wheel itself, as a base of fear; brave is only what fearless was listed for
    assert small_table.fold('W1-L1', 'consistent')['fear'] == 'scared'
    assert small_table.fold('W1-L1', 'consistent')['scared'] == 'scared'
    assert small_table.fold('W1-L2', 'consistent')['annoyed'] == 'furious'


def test_neutral_is_a_class_of_its_own_by_the_consistent_rule_only(small_table):
    assert small_table.fold('W1-L1', 'consistent')['neutral'] == 'neutral'
    assert 'neutral' not in small_table.fold('W1-L1')


def test_an_inner_word_lies_in_the_middle_group_that_the_wheel_says(small_table):
    assert small_table.fold('W1-L2')['glad'] == 'brave'
    assert small_table.fold('own-L2')['fury'] == 'rage'


def test_steps_show_bases_candidates_and_folds(small_table):
    steps = small_table.steps('annoying')
    assert steps['bases'] == ['annoyed']
    assert steps['candidates'] == ['annoyance', 'mad']
    assert steps['folds']['W1-L1'] == 'mad'
    assert small_table.steps('unheard of') == {'bases': [], 'candidates': [], 'folds': {}}


def test_an_unknown_folding_lists_the_known_ones(small_table):
    with pytest.raises(UnknownNameError, match='M1, M2, own-L1, own-L2, W1-L1, W1-L2'):
        small_table.fold('W9-L1')


def test_a_table_survives_its_file_and_keeps_its_hash(small_table, tmp_path):
    small_table.save(tmp_path / 'table.json')
    again = read_table(tmp_path / 'table.json')
    assert again.sha256 == small_table.sha256
    assert again.words == small_table.words
    assert again.wheels == small_table.wheels
    assert load_table(tmp_path / 'table.json').label == small_table.label


def test_the_hash_changes_with_any_word(small_table):
    fewer = {base: word for base, word in small_table.words.items() if base != 'glad'}
    assert replace(small_table, words=fewer).sha256 != small_table.sha256


@pytest.mark.parametrize('content', [b'', b'{}', b'[]', b'\xff\xfe', b'{"name": "x"}', b'null'])
def test_a_damaged_table_is_one_clear_error(tmp_path, content):
    (tmp_path / 'table.json').write_bytes(content)
    with pytest.raises(TableError, match='a word table'):
        read_table(tmp_path / 'table.json')


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='affekt, 2025, 2026'):
        load_table('2024')


def test_the_official_files_give_the_stored_mappings(official, shared_data):
    stored = json.loads((shared_data / 'vectors' / 'ov' / f'mapping_{official.name}.json').read_text())
    assert {form: sorted(set(bases)) for form, bases in stored['format_to_base'].items()} == {
        form: list(bases) for form, bases in official.bases.items()
    }
    assert {base: sorted(words) for base, words in stored['base_to_wheelwords'].items()} == {
        base: list(word.placed[0]) for base, word in official.words.items()
    }
    for wheel in official.wheels:
        assert stored['wheels'][wheel.name] == {'level1': wheel.inner, 'level2': wheel.middle}
    assert len(official.bases) == {'2025': 7386, '2026': 7356}[official.name]


def test_the_npz_of_2026_is_the_same_table_as_its_sheets(shared_data, tmp_path):
    shutil.copy(shared_data / 'wheels' / '2026' / 'wheel_mapping.npz', tmp_path)
    assert read_official(tmp_path).sha256 == KNOWN_HASHES['2026']


def test_fear_is_happy_in_2025_and_scared_in_2026(shared_data):
    # 2025 lists fear as a form of fearless; 17 such rows were put right in 2026
    old, new = (load_table(shared_data / 'wheels' / year) for year in ('2025', '2026'))
    assert old.fold('W2-L1')['fear'] == 'happy'
    assert old.fold('W3-L1')['fear'] == 'joyful'
    assert new.fold('W1-L1')['fear'] == 'scared'
    assert old.fold('W1-L1', 'consistent')['fear'] == new.fold('W1-L1', 'consistent')['fear'] == 'scared'


def test_official_wheel_words_stray_unless_the_rule_is_consistent(shared_data):
    table = load_table(shared_data / 'wheels' / '2025')
    for rule, strays in (('official', 52), ('consistent', 0)):
        found = [
            (wheel.name, word)
            for wheel in table.wheels
            for word, sector in wheel.inner.items()
            if table.fold(f'{wheel.short}-L1', rule).get(word) != sector
        ]
        assert len(found) == strays


def test_a_folder_without_the_official_files_says_which(tmp_path):
    with pytest.raises(TableError, match=r'format\.csv'):
        load_table(tmp_path)


def test_damaged_official_files_are_one_clear_error(shared_data, tmp_path):
    for name in ('synonym.xlsx', 'wheel3.xlsx', 'format.csv'):
        folder = tmp_path / name
        shutil.copytree(shared_data / 'wheels' / '2025', folder)
        (folder / name).chmod(0o644)
        (folder / name).write_bytes((folder / name).read_bytes()[:500] if name != 'format.csv' else b'\xff\x00')
        with pytest.raises(TableError, match=name):
            read_official(folder)


def test_the_users_copy_is_found_by_name(shared_data, tmp_path, monkeypatch):
    from affekt.labels import official_tables

    shutil.copytree(shared_data / 'wheels' / '2025', tmp_path / 'mine' / 'word-table-2025')
    monkeypatch.setenv('AFFEKT_MODELS', str(tmp_path / 'mine'))
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / 'cache'))
    official_tables.official_table.cache_clear()
    try:
        assert load_table('2025').sha256 == KNOWN_HASHES['2025']
    finally:
        official_tables.official_table.cache_clear()


def test_official_files_that_are_nowhere_say_where_to_put_them(tmp_path, monkeypatch):
    from affekt.labels import official_tables

    monkeypatch.delenv('AFFEKT_MODELS', raising=False)
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path))
    monkeypatch.setattr('affekt.weights._sources', lambda model, part, progress: iter(()))
    official_tables.official_table.cache_clear()
    with pytest.raises(WeightsError, match='word-table-2026'):
        load_table('2026')


@pytest.mark.parametrize(
    ('rows', 'damaged'),
    [
        ([['word_run1', 'other'], ['glad', 'happy']], 'synonym.xlsx: no synonym_run1'),
        ([['word', 'synonym'], ['glad', 'happy']], 'synonym.xlsx: no word_run1'),
    ],
)
def test_official_sheets_without_a_column_are_one_clear_error(shared_data, monkeypatch, rows, damaged):
    from affekt.labels import official_tables

    real = official_tables.first_sheet
    monkeypatch.setattr(
        official_tables, 'first_sheet', lambda path: rows if path.name == 'synonym.xlsx' else real(path)
    )
    with pytest.raises(TableError, match=re.escape(damaged)):
        read_official(shared_data / 'wheels' / '2025')


def test_an_official_wheel_of_two_rings_is_one_clear_error(shared_data, monkeypatch):
    from affekt.labels import official_tables

    real = official_tables.first_sheet
    two = [['a', 'b'], ['joy', 'glad']]
    monkeypatch.setattr(official_tables, 'first_sheet', lambda path: two if path.name == 'wheel1.xlsx' else real(path))
    with pytest.raises(TableError, match='three columns, one per ring'):
        read_official(shared_data / 'wheels' / '2025')


def test_forms_that_are_a_text_are_not_taken_for_a_list_of_letters(small_table, tmp_path):
    content = json.loads(small_table.to_json())
    content['words']['glad']['forms'] = 'gladly'
    (tmp_path / 'table.json').write_text(json.dumps(content))
    with pytest.raises(TableError, match='a text where a list of words belongs'):
        read_table(tmp_path / 'table.json')
