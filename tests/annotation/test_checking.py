"""Captions checked by people: every mark on disk before it is acknowledged, and what several checkers come to."""

from __future__ import annotations

import csv
import json

import pytest

from affekt.annotation import CheckStudy, CheckTask, export_checks, open_checks
from affekt.annotation.checking import CHECKED, JOURNAL, outcome_of, plain_label, sentences_of
from affekt.errors import RunError, ValueRangeError, VoteError

TASKS = (
    CheckTask('one', ('She smiles.', 'It rains.'), ('happy', 'calm'), 'So it is.', {'name': 'one', 'status': 'merged'}),
    CheckTask('two', ('He shouts.',), ('angry',), '', {'name': 'two', 'status': 'merged'}),
)


@pytest.fixture
def study(tmp_path, clock):
    made = CheckStudy(tmp_path / 'checks', TASKS, clock=clock)
    yield made
    made.close()


def _id(number):
    return f'0000-{number:04d}'


def test_each_mark_is_in_the_journal_when_it_is_acknowledged_and_shown_after_a_restart(study, tmp_path, clock):
    study.join('Ann')
    study.mark(_id(1), 'Ann', 0, mark='strike', label='calm')
    study.mark(_id(2), 'Ann', 0, mark='add', label='  Proud ')
    study.mark(_id(3), 'Ann', 0, mark='strike', sentence=1)
    assert len((study.folder / JOURNAL).read_text().splitlines()) == 4
    study.close()

    again = CheckStudy(tmp_path / 'checks', TASKS, resume=True, clock=clock)
    screen = again.join('Ann')
    again.close()
    assert screen['labels'] == [
        {'label': 'happy', 'mark': ''}, {'label': 'calm', 'mark': 'strike'}, {'label': 'proud', 'mark': 'add'},
    ]  # fmt: skip
    assert [line['struck'] for line in screen['sentences']] == [False, True]


def test_a_verdict_brings_the_next_clip_and_a_done_one_can_be_opened_and_changed_again(study):
    assert study.join('Ann')['at'] == 0
    assert study.check(_id(1), 'Ann', 0, 'kept', 3.0)['at'] == 1
    assert study.check(_id(2), 'Ann', 1, 'skipped') == {'at': -1, 'done': 2, 'of': 2}
    assert study.open('Ann', 0)['verdict'] == 'kept'
    study.mark(_id(3), 'Ann', 0, mark='strike', label='happy')
    assert outcome_of(TASKS[0], study.state).labels == ('calm',)
    assert study.join('Ben')['at'] == 1  # fewest have judged it


def test_the_same_mark_sent_twice_is_stored_once_and_another_under_its_id_is_refused(study):
    study.join('Ann')
    for _ in range(2):
        study.mark(_id(1), 'Ann', 0, mark='accept', label='happy')
    assert len((study.folder / JOURNAL).read_text().splitlines()) == 2
    with pytest.raises(VoteError, match='id of its own'):
        study.mark(_id(1), 'Ann', 0, mark='strike', label='happy')


@pytest.mark.parametrize(
    ('mark', 'wrong'),
    [
        ({'mark': 'strike', 'label': 'furious'}, VoteError),
        ({'mark': 'love', 'label': 'happy'}, VoteError),
        ({'mark': 'strike', 'sentence': 2}, VoteError),
        ({'mark': 'accept', 'sentence': 0}, VoteError),
        ({'mark': 'add', 'label': 'a "quoted" word'}, ValueRangeError),
        ({'mark': 'add', 'label': 'x' * 41}, ValueRangeError),
    ],
)
def test_what_cannot_be_marked_is_refused_and_nothing_is_written(study, mark, wrong):
    study.join('Ann')
    with pytest.raises(wrong):
        study.mark(_id(1), 'Ann', 0, **mark)
    with pytest.raises(VoteError, match='clip of this study'):
        study.mark(_id(1), 'Ann', 2, mark='strike', sentence=0)
    with pytest.raises(VoteError, match='joined'):
        study.mark(_id(1), 'Zoe', 0, mark='strike', sentence=0)
    assert len((study.folder / JOURNAL).read_text().splitlines()) == 1


def test_the_majority_decides_a_tie_changes_nothing_and_skips_do_not_count(study):
    for number, (name, mark) in enumerate([('Ann', 'strike'), ('Ben', 'strike'), ('Cy', 'accept'), ('Di', 'strike')]):
        study.join(name)
        study.mark(_id(10 + number), name, 0, mark=mark, label='happy')
        study.mark(_id(20 + number), name, 0, mark='add', label='proud' if number < 2 else 'shy')
        study.check(_id(30 + number), name, 0, 'skipped' if name == 'Di' else 'kept')
    made = outcome_of(TASKS[0], study.state)
    assert made.checkers == ('Ann', 'Ben', 'Cy')
    assert made.labels == ('calm', 'proud')  # happy: 2 of 3 struck it; proud: 2 of 3 added it; shy: 1 of 3
    study.join('Eva')
    study.check(_id(40), 'Eva', 0, 'kept')  # 2 of 4 now
    assert outcome_of(TASKS[0], study.state).labels == ('happy', 'calm')


def test_what_was_checked_is_written_as_captions_that_other_verbs_read(study):
    study.join('Ann')
    study.mark(_id(1), 'Ann', 0, mark='strike', sentence=1)
    study.mark(_id(2), 'Ann', 0, mark='add', label='proud')
    study.check(_id(3), 'Ann', 0, 'kept', 4.0)
    study.close()
    export_checks(study.folder)
    with (study.folder / CHECKED).open(newline='') as file:
        first, second = csv.DictReader(file)
    assert (first['description'], json.loads(first['openset'])) == ('She smiles.', ['happy', 'calm', 'proud'])
    assert (first['checkers'], first['verdict'], first['status']) == ('1', 'kept', 'merged')
    assert second['description'] == 'He shouts.'
    assert (second['checkers'], second['verdict'], json.loads(second['openset'])) == ('0', '', ['angry'])


def test_a_description_of_which_nothing_is_struck_stays_as_it_was_written(tmp_path, clock):
    text = '他很高兴。他在笑。'
    tasks = (CheckTask('a', sentences_of(text), (), '', {'name': 'a', 'description': text}),)
    study = CheckStudy(tmp_path / 'checks', tasks, clock=clock)
    study.join('Ann')
    study.check(_id(1), 'Ann', 0, 'kept')
    study.close()
    assert outcome_of(tasks[0], study.state).description == text


def test_a_line_cut_by_a_kill_is_taken_away_and_damage_elsewhere_is_named(study, tmp_path, clock):
    study.join('Ann')
    study.mark(_id(1), 'Ann', 0, mark='accept', label='happy')
    study.close()
    journal = study.folder / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind": "label", "id"')
    again = CheckStudy(study.folder, TASKS, resume=True, clock=clock)
    again.close()
    assert 'cut short' in again.notes[0]
    assert journal.read_bytes() == whole
    journal.write_bytes(b'{"kind": "vote"}\n' + whole)
    with pytest.raises(RunError, match='line 1'):
        open_checks(study.folder)


def test_sentences_and_labels_as_they_are_kept():
    assert sentences_of('She smiles. “Oh!” he says.  Then nothing') == ('She smiles.', '“Oh!” he says.', 'Then nothing')
    assert sentences_of('他很高兴。她笑了。') == ('他很高兴。', '她笑了。')
    assert plain_label('  A Bit   worried') == 'a bit worried'
