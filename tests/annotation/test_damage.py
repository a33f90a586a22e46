"""Folders of votes that were damaged, cut or edited by hand: nothing is lost, or taken for a vote, in silence."""

from __future__ import annotations

import csv
import errno
import hashlib
import itertools
import json
import os

import pytest
from click.testing import CliRunner

from affekt.annotation import export_votes
from affekt.annotation.board import Board
from affekt.annotation.journal import Journal, read_events
from affekt.annotation.study import TASKS_FILE, open_votes
from affekt.cli import main
from affekt.errors import AffektError, RunError
from affekt.serve.server import write_private

IDS = itertools.count()


def _vote(study, name, choice='left'):
    screen = study.join(name)
    return study.vote(f'vote-{next(IDS):06}', name, screen.shown.id, choice)


@pytest.fixture
def voted(open_study):
    """Two raters with three votes each; closed."""
    study = open_study()
    for name, _ in itertools.product(('Ann', 'Ben'), range(3)):
        _vote(study, name)
    study.close()
    return study


def _lines(study) -> list[dict]:
    return [json.loads(line) for line in (study.folder / 'votes.jsonl').read_text().splitlines()]


def _rewrite(study, events) -> None:
    (study.folder / 'votes.jsonl').write_text(''.join(json.dumps(event) + '\n' for event in events))


def test_votes_whose_showing_is_missing_are_named_everywhere(voted, open_study):
    events = _lines(voted)
    answered = [event['shown'] for event in events if event['kind'] == 'vote' and event['rater'] == 'Ann'][:2]
    _rewrite(voted, [event for event in events if event['id'] not in answered])
    lost = [event['id'] for event in events if event['kind'] == 'vote' and event['shown'] in answered]
    *_, table = export_votes(voted.folder)
    with table.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['id'], row['rater'], row['why']) for row in rows] == [
        (id, 'Ann', 'the journal lacks the display of its question') for id in lost]  # fmt: skip
    message = (
        f'2 entries of the journal not counted, because the journal lacks the display of its question: {lost[0]} of Ann'
    )
    result = CliRunner().invoke(main, ['annotate', '--out', str(voted.folder), '--export-only'])
    assert message in result.stderr
    assert 'damage' not in result.output
    study = open_study(resume=True)
    assert message in study.notes[0]
    assert len(study.state.votes()) == 4
    assert message in Board(study).show()['html']


def test_a_vote_that_comes_twice_counts_once_and_one_that_contradicts_is_named(voted):
    events = _lines(voted)
    vote = next(event for event in events if event['kind'] == 'vote')
    other = {**vote, 'id': 'another-vote', 'choice': 'right'}
    stranger = {**vote, 'id': 'strange-vote', 'rater': 'Eve'}
    undo = {'kind': 'undo', 'id': 'undo-of-nothing', 'rater': 'Ann', 'vote': 'no-vote', 'time': 1.0}
    _rewrite(voted, [*events, vote, other, stranger, undo, undo])
    state, _ = open_votes(voted.folder)
    assert len(state.votes()) == 6
    assert [(one.id, one.why) for one in state.left_out] == [
        ('another-vote', 'its question was answered before'),
        ('strange-vote', 'its question was shown to another rater'),
        ('undo-of-nothing', 'it takes back a vote that does not exist'),
    ]


def test_an_imported_vote_on_a_pair_that_is_not_asked_is_named(voted):
    imported = {'kind': 'import', 'id': 'foreign', 'rater': 'Eve', 'task': '0' * 16, 'outcome': 'left', 'first': '',
                'seconds': 1.0, 'time': 1.0}  # fmt: skip
    _rewrite(voted, [*_lines(voted), imported])
    state, _ = open_votes(voted.folder)
    assert [one.why for one in state.left_out] == ['its pair is not a task of this study']


@pytest.mark.parametrize(
    'change',
    [
        {'kind': 'veto'},
        {'kind': 7},
        {'kind': None},
        {'id': ''},
        {'id': 7},
        {'choice': 'up'},
        {'choice': ['left']},
        {'seconds': 'long'},
        {'seconds': None},
        {'seconds': -1.0},
        {'seconds': float('nan')},
        {'watched': True},
        {'time': '2026'},
        {'shown': {}},
        {'rater': None},
        {'seen': 'all'},
    ],
)
def test_an_event_edited_by_hand_is_refused_with_its_line(voted, change):
    events = _lines(voted)
    at = next(number for number, event in enumerate(events) if event['kind'] == 'vote')
    events[at].update(change)
    _rewrite(voted, events)
    with pytest.raises(RunError, match=f'damage in line {at + 1} of .*votes.jsonl'):
        export_votes(voted.folder)


@pytest.mark.parametrize('line', ['', '{}', '[]', 'null', '7', '"text"', '{"kind": "vote"}', '[' * 50_000, '\0' * 9])
def test_a_line_that_is_no_event_is_refused_with_its_number(voted, line):
    lines = (voted.folder / 'votes.jsonl').read_text().splitlines()
    (voted.folder / 'votes.jsonl').write_text('\n'.join([lines[0], line, *lines[1:], '']))
    result = CliRunner().invoke(main, ['annotate', '--out', str(voted.folder), '--export-only'])
    assert (result.exit_code, 'line 2 of' in result.output) == (2, True)


def test_a_last_vote_whose_line_lost_only_its_end_stays(voted, open_study):
    path = voted.folder / 'votes.jsonl'
    whole = path.read_bytes()
    vote = next(line for line in reversed(whole.splitlines()) if b'"kind": "vote"' in line)
    path.write_bytes(whole + vote.replace(b'vote-', b'wote-'))  # as an editor leaves it, without a newline
    assert len(read_events(path)) == len(whole.splitlines()) + 1
    journal = Journal(path)
    journal.close()
    assert (journal.cut, path.read_bytes()[-1:]) == (0, b'\n')


def test_a_last_line_that_a_kill_cut_is_taken_away_and_said(voted, open_study):
    path = voted.folder / 'votes.jsonl'
    before = path.read_bytes()
    path.write_bytes(before + b'{"kind": "vote", "id": "half')
    study = open_study(resume=True)
    assert 'cut short by a kill and is removed: 28 bytes' in study.notes[0]
    assert path.read_bytes() == before


@pytest.mark.parametrize('name', ['tasks.jsonl', 'gold.jsonl'])
def test_tasks_that_were_changed_are_refused_and_written_anew_by_a_resumed_study(voted, open_study, name):
    path = voted.folder / name
    before = path.read_bytes()
    for content in (before[: len(before) // 2] + b'x', b'{"sample": 1}\n', b'\xff\xfe'):
        path.write_bytes(content)
        with pytest.raises(RunError, match=f'{name}, which has been changed or damaged'):
            export_votes(voted.folder)
    path.unlink()
    with pytest.raises(AffektError, match=name):
        export_votes(voted.folder)
    open_study(resume=True).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{"settings": []}', '{"settings": {"seed": "x"}}', '{"settings": {"test_share": 7}}', '[' * 9999],
)
def test_settings_edited_by_hand_are_an_error_with_the_path(voted, content):
    (voted.folder / 'settings.json').write_text(content)
    with pytest.raises(AffektError):
        export_votes(voted.folder)


@pytest.mark.parametrize('name', ['places.json', 'predictions.json'])
@pytest.mark.parametrize('content', ['', '[]', '{"a"', '[' * 50_000, '7'])
def test_what_an_import_left_is_an_error_with_the_path_where_it_is_damaged(voted, name, content):
    (voted.folder / name).write_text(content)
    with pytest.raises(RunError, match=name):
        export_votes(voted.folder)


def test_a_full_disk_refuses_the_vote_and_keeps_what_was_there(open_study, monkeypatch):
    study = open_study()
    _vote(study, 'Ann')
    screen = study.join('Ann')
    before = (study.folder / 'votes.jsonl').read_bytes()
    write = os.write

    def full(file, content):
        if len(content) > 20:
            return write(file, content[:20])  # room for a part
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr(os, 'write', full)
        with pytest.raises(RunError, match='No space left on device'):
            study.vote('vote-full', 'Ann', screen.shown.id, 'left')
        assert 'Votes cannot be written: votes.jsonl: No space left' in Board(study).show()['html']
    assert (study.folder / 'votes.jsonl').read_bytes() == before
    # The page sends the same vote again, and the disk has room.
    assert study.vote('vote-full', 'Ann', screen.shown.id, 'left').answered == 2
    assert 'cannot be written' not in Board(study).show()['html']


def test_two_windows_of_one_rater_answer_one_question_once(open_study):
    study = open_study()
    first, second = study.join('Ann'), study.join('Ann')
    assert first.shown == second.shown
    study.vote('vote-first', 'Ann', first.shown.id, 'left')
    with pytest.raises(AffektError, match='another window'):
        study.vote('vote-second', 'Ann', second.shown.id, 'right')
    assert study.vote('vote-first', 'Ann', first.shown.id, 'left').answered == 1
    assert [vote.outcome for vote in study.state.votes()] != []
    assert len(study.state.votes()) == 1


def test_export_only_says_what_an_import_left_out_and_that_a_study_is_not_read_again(tmp_path):
    task = {'id': 1, 'data': {'video': 'x.mp4', 'text1': 'a', 'text2': 'b'}, 'annotations': [{'id': 1, 'result': []}]}
    (tmp_path / 'ls.json').write_text(json.dumps([task]))
    words = ['annotate', str(tmp_path / 'ls.json'), '--out', str(tmp_path / 'votes'), '--export-only']
    first, second, third = (CliRunner().invoke(main, [*words, *more]) for more in ([], [], ['--resume']))
    message = 'annotations left out with no verdict left, right or tie: 1 (task 1)'
    assert [message in result.stderr for result in (first, second, third)] == [True, False, True]
    assert 'PAIRS are not read; --resume reads them' in second.stderr


@pytest.mark.parametrize('content', [b'{"kind": "join"}', b'two\nlines', b'one\n{"kind'])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, content):
    path = tmp_path / 'votes.jsonl'
    path.write_bytes(b'notes\n' + content)
    with pytest.raises(RunError, match='damage in line 1'):
        Journal(path)
    assert path.read_bytes() == b'notes\n' + content


def test_links_in_a_folder_from_a_stranger_are_not_followed(voted, tmp_path, open_study):
    outside = tmp_path / 'outside'
    journal = voted.folder / 'votes.jsonl'
    journal.rename(outside)
    journal.symlink_to(outside)
    before = outside.read_bytes()
    with pytest.raises(RunError, match='a link'):
        open_study(resume=True)
    assert outside.read_bytes() == before
    secret = voted.folder / '.serve.json'
    secret.symlink_to(outside)
    write_private(secret, '{}')
    assert (secret.is_symlink(), secret.read_text(), secret.stat().st_mode & 0o777) == (False, '{}', 0o600)
    assert outside.read_bytes() == before


def test_what_a_failed_write_left_is_taken_away_before_the_next_one(tmp_path, monkeypatch):
    journal = Journal(tmp_path / 'votes.jsonl')
    join = {'kind': 'join', 'id': 'join-0001', 'rater': 'Ann', 'time': 1.0}
    write = os.write

    def cut(handle, content):
        write(handle, content[:9])
        raise OSError(errno.EIO, 'no disk')

    def refuse(handle, size):
        raise OSError(errno.EIO, 'no disk')

    with monkeypatch.context() as broken:
        broken.setattr(os, 'write', cut)
        broken.setattr(os, 'ftruncate', refuse)
        with pytest.raises(RunError, match='no disk'):
            journal.append(join)
    journal.append(join)
    journal.close()
    assert read_events(journal.path) == (join,)


TASK = {'sample': 'a', 'left': 'b', 'right': 'c', 'left_text': 'd', 'right_text': 'e', 'gold': ''}


@pytest.mark.parametrize('line', [b'7', b'{}', json.dumps({**TASK, 'sample': 1}).encode(), b'\xff', b'[' * 100_000])
def test_tasks_from_a_stranger_that_are_none_are_refused_by_their_line(voted, line):
    content = line + b'\n'
    (voted.folder / 'tasks.jsonl').write_bytes(content)
    settings = json.loads((voted.folder / 'settings.json').read_text())
    settings['settings']['tasks'] = hashlib.sha256(content).hexdigest()
    (voted.folder / 'settings.json').write_text(json.dumps(settings))
    result = CliRunner().invoke(main, ['annotate', '--out', str(voted.folder), '--export-only'])
    assert (result.exit_code, 'tasks of a study' in result.stderr) == (2, True)


@pytest.mark.parametrize('time', [0.0, 1.7e12, 1e300])
def test_a_time_that_no_calendar_has_is_left_out_of_the_export(voted, time):
    events = _lines(voted)
    votes = [event for event in events if event['kind'] == 'vote']
    votes[0]['time'] = time
    _rewrite(voted, events)
    *_, path = export_votes(voted.folder)
    annotations = [annotation for task in json.loads(path.read_text()) for annotation in task['annotations']]
    assert [annotation['unique_id'] for annotation in annotations if 'created_at' not in annotation] == [votes[0]['id']]


@pytest.mark.parametrize('content', ['{"KEY": [3]}', '{"KEY": 7}', '{"KEY": [[]]}'])
def test_what_an_import_left_and_somebody_edited_is_passed_on_where_it_is_a_prediction(voted, content):
    key = next(event['task'] for event in _lines(voted) if event['kind'] == 'show')
    (voted.folder / 'predictions.json').write_text(content.replace('KEY', key))
    (voted.folder / 'places.json').write_text('{"clip1": 5}')
    *_, path = export_votes(voted.folder)
    tasks = json.loads(path.read_text())
    assert all(task['predictions'] == [] for task in tasks)
    assert all(task['data']['video'].startswith('/data/') for task in tasks)


def test_a_pipe_in_the_place_of_a_file_is_named_at_once(voted):
    os.mkfifo(voted.folder / 'predictions.json')
    with pytest.raises(AffektError, match='pipe'):
        export_votes(voted.folder)


def test_a_study_without_its_tasks_is_told_in_words(voted):
    tasks = voted.folder / TASKS_FILE
    tasks.unlink()
    with pytest.raises(RunError) as raised:
        open_votes(voted.folder)
    assert raised.value.came == f'{tasks}: No such file or directory'
