"""What a user says of people: merged and renamed in order, wrong ones refused, and read back as written."""

from __future__ import annotations

import json

import pytest

from affekt.errors import RunError, UnknownNameError, ValueRangeError
from affekt.people import (
    CHANGES_FILE,
    Merge,
    Rename,
    exact_changes,
    names_after,
    read_changes,
    told_changes,
    write_changes,
)

PEOPLE = ['person 1', 'person 2', 'person 3', 'voice']


def test_changes_hold_one_after_the_other():
    changes = [Merge('1', '3'), Rename('person 1', 'A.'), Merge('a.', '2'), Rename('A.', 'Anna')]
    assert names_after(PEOPLE, changes) == {
        'person 1': 'Anna',
        'person 2': 'Anna',
        'person 3': 'Anna',
        'voice': 'voice',
    }


def test_a_person_is_meant_by_number_or_name_also_after_renaming_and_merging():
    for who in ('3', 'person 3', ' Person  3 ', 'B'):
        assert names_after(PEOPLE, [Rename('3', 'B'), Rename(who, 'C')])['person 3'] == 'C'
    assert names_after(PEOPLE, [Merge('1', '3'), Rename('3', 'C')])['person 1'] == 'C'


def test_a_present_name_goes_before_a_name_as_analyzed():
    # person 2 is called 'person 1' now, after the first was given a name
    changes = [Rename('1', 'A'), Rename('2', 'person 1'), Rename('1', 'B')]
    assert names_after(PEOPLE[:2], changes) == {'person 1': 'A', 'person 2': 'B'}


def test_two_who_change_names_need_a_third():
    changes = [Rename('1', 'x'), Rename('2', 'person 1'), Rename('x', 'person 2')]
    assert names_after(PEOPLE[:2], changes) == {'person 1': 'person 2', 'person 2': 'person 1'}


def test_a_person_may_keep_a_name_in_other_capitals():
    assert names_after(PEOPLE, [Rename('1', 'a'), Rename('1', 'A')])['person 1'] == 'A'


def test_a_name_may_hold_the_joiners_of_its_script():
    assert names_after(PEOPLE, [Rename('1', 'علی\u200cرضا')])['person 1'] == 'علی\u200cرضا'


def test_changes_are_kept_by_the_names_of_their_time_and_none_for_a_name_that_stays():
    changes = [Merge('1', '3'), Rename('3', 'A.'), Rename('1', 'A.')]
    assert exact_changes(PEOPLE, changes) == (Merge('person 1', 'person 3'), Rename('person 1', 'A.'))


@pytest.mark.parametrize(
    'changes', [[Rename('9', 'A')], [Merge('1', 'nobody')], [Merge('person', '1')], [Rename('', 'A')]]
)
def test_nobody_of_that_name_is_one_clear_error(changes):
    with pytest.raises(UnknownNameError, match='person 2'):
        names_after(PEOPLE, changes)


@pytest.mark.parametrize(
    'changes',
    [[Merge('1', 'person 1')], [Merge('1', '2'), Merge('2', '1')], [Rename('1', 'B'), Rename('2', ' b ')],
     [Rename('1', 'person 2')], [Rename('1', '')], [Rename('1', ' \t')], [Rename('1', 'x' * 81)],
     [Rename('1', 'a\x1b[2J')], [Rename('1', '\ud800')], [Rename('1', 'Voice')],
     [Rename('1', '\u202eA')], [Rename('1', '\u200d')], [Rename('1', 'a\u2066b')]],
)  # fmt: skip
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(ValueRangeError):
        names_after(PEOPLE, changes, reserved=('voice',))


def test_changes_are_read_as_they_were_written(tmp_path):
    changes = (Merge('person 1', 'person 3'), Rename('person 1', 'Zoë "Z." =SUM(1)'))
    write_changes(tmp_path, changes)
    assert read_changes(tmp_path) == changes
    write_changes(tmp_path, ())
    assert read_changes(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{"format": 2, "changes": []}', '{"format": true, "changes": []}', '{"format": 1}',
     '{"format": 1, "changes": [{"merge": ["a"]}]}', '{"format": 1, "changes": [{"split": ["a", "b"]}]}',
     '{"format": 1, "changes": [{"name": ["a", 3]}]}', '{"format": 1, "changes": 3}', '[' * 100_000],
)  # fmt: skip
def test_a_damaged_list_is_one_clear_error(tmp_path, content):
    (tmp_path / CHANGES_FILE).write_text(content)
    with pytest.raises(RunError, match=CHANGES_FILE):
        read_changes(tmp_path)


def test_a_list_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / 'other').write_text(json.dumps({'format': 1, 'changes': []}))
    (tmp_path / CHANGES_FILE).symlink_to(tmp_path / 'other')
    with pytest.raises(RunError, match='link'):
        read_changes(tmp_path)


def test_each_change_is_told():
    assert told_changes([Merge('A.', 'voice')]) == ('Voice is counted as A., as edited by hand.',)
