"""Votes: on disk before they are acknowledged, once, undone by one more line, there again after a restart."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest

from affekt.annotation import Study
from affekt.annotation.journal import Journal, read_events
from affekt.annotation.study import open_votes
from affekt.errors import RunError, ValueRangeError, VoteError

CHOICES = ('left', 'right', 'tie', 'skip')


def _vote_through(study: Study, name: str, choose=lambda screen, number: 'left', limit: int = 1000) -> int:
    """Vote until there is nothing left; returns how often."""
    screen = study.join(name)
    number = 0
    while screen.shown and number < limit:
        screen = study.vote(f'{name}-vote-{number}', name, screen.shown.id, choose(screen, number))
        number += 1
    return number


def test_a_vote_is_in_the_journal_when_it_is_acknowledged(open_study):
    study = open_study()
    screen = study.join('ann')
    study.vote('vote-0001', 'ann', screen.shown.id, 'left', seconds=2.5, watched=1.0)
    events = read_events(study.folder / 'votes.jsonl')
    (vote,) = [event for event in events if event['kind'] == 'vote']
    assert (vote['id'], vote['choice'], vote['seconds'], vote['watched']) == ('vote-0001', 'left', 2.5, 1.0)


def test_a_vote_that_cannot_be_written_changes_nothing(open_study, monkeypatch):
    study = open_study()
    screen = study.join('ann')
    before = (study.folder / 'votes.jsonl').read_bytes()

    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('affekt.annotation.journal.os.fsync', full)
    with pytest.raises(RunError, match='No space left'):
        study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    monkeypatch.undo()
    assert (study.folder / 'votes.jsonl').read_bytes() == before
    assert study.screen('ann').shown == screen.shown
    assert study.vote('vote-0001', 'ann', screen.shown.id, 'left').answered == 1


def test_a_vote_sent_again_is_acknowledged_and_stored_once(open_study):
    study = open_study()
    screen = study.join('ann')
    first = study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    again = study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    assert again == first
    assert sum(event['kind'] == 'vote' for event in read_events(study.folder / 'votes.jsonl')) == 1


def test_a_vote_sent_again_after_a_restart_is_stored_once(open_study):
    study = open_study()
    screen = study.join('ann')
    first = study.vote('vote-0001', 'ann', screen.shown.id, 'tie')
    study = open_study(resume=True)
    assert study.vote('vote-0001', 'ann', screen.shown.id, 'tie') == first


def test_one_id_for_two_votes_is_refused(open_study):
    study = open_study()
    screen = study.join('ann')
    after = study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    with pytest.raises(VoteError, match='id of its own'):
        study.vote('vote-0001', 'ann', screen.shown.id, 'right')
    with pytest.raises(VoteError, match='id of its own'):
        study.vote('vote-0001', 'ann', after.shown.id, 'left')


def test_a_question_is_answered_once(open_study):
    study = open_study()
    screen = study.join('ann')
    study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    with pytest.raises(VoteError, match='another window'):
        study.vote('vote-0002', 'ann', screen.shown.id, 'left')


def test_what_was_shown_to_somebody_else_cannot_be_answered(open_study):
    study = open_study()
    shown = study.join('ann').shown
    study.join('ben')
    with pytest.raises(VoteError):
        study.vote('vote-0001', 'ben', shown.id, 'left')
    with pytest.raises(VoteError):
        study.vote('vote-0002', 'ben', 'f' * 16, 'left')


def test_undo_is_one_more_line_and_brings_the_question_back(open_study):
    study = open_study()
    first = study.join('ann')
    second = study.vote('vote-0001', 'ann', first.shown.id, 'left')
    back = study.undo('undo-0001', 'ann')
    assert back.shown == first.shown
    assert back.answered == 0
    assert study.undo('undo-0001', 'ann') == back
    kinds = Counter(event['kind'] for event in read_events(study.folder / 'votes.jsonl'))
    assert (kinds['vote'], kinds['undo']) == (1, 1)
    # Answered anew, the question that lay before the rater in between comes next.
    assert study.vote('vote-0002', 'ann', first.shown.id, 'right').shown == second.shown
    assert [vote.id for vote in study.state.votes()] == ['vote-0002']


def test_a_vote_taken_back_and_sent_again_stays_taken_back(open_study):
    study = open_study()
    shown = study.join('ann').shown
    study.vote('vote-0001', 'ann', shown.id, 'left')
    study.undo('undo-0001', 'ann')
    study.vote('vote-0001', 'ann', shown.id, 'left')
    assert study.state.votes() == []


def test_there_is_nothing_to_undo_at_the_start(open_study):
    study = open_study()
    assert not study.join('ann').can_undo
    with pytest.raises(VoteError, match='take back'):
        study.undo('undo-0001', 'ann')


def test_outcomes_name_describers_whatever_side_they_stood_on(open_study):
    study = open_study()

    # A rater who finds the describer that comes first by name better, wherever it stands.
    def choose(screen, number):
        return 'left' if screen.left_text < screen.right_text else 'right'

    assert _vote_through(study, 'ann', choose) == 36
    for vote in study.state.votes():
        task = study.state.tasks[vote.task]
        assert vote.outcome == ('left' if task.left < task.right else 'right')


def test_a_replayed_journal_gives_the_same_state(open_study):
    study = open_study(with_gold=True, test_items=4)

    def choose(screen, number):
        if 'true' in screen.left_text + screen.right_text:
            return 'left' if 'true' in screen.left_text else 'right'
        return CHOICES[number % 4]

    _vote_through(study, 'ann', choose)
    _vote_through(study, 'ben', choose, 20)
    study.undo('undo-0001', 'ben')
    held = (study.state.votes(), study.state.task_votes, study.state.pair_votes, study.screen('ben'))
    study = open_study(with_gold=True, test_items=4, resume=True)
    assert (study.state.votes(), study.state.task_votes, study.state.pair_votes, study.screen('ben')) == held
    state, _ = open_votes(study.folder)
    assert state.votes() == held[0]


def test_a_line_cut_by_a_kill_is_taken_away_and_the_next_one_is_whole(open_study):
    study = open_study()
    screen = study.join('ann')
    screen = study.vote('vote-0001', 'ann', screen.shown.id, 'left')
    study.close()
    path = study.folder / 'votes.jsonl'
    whole = path.read_bytes()
    line = json.dumps({'kind': 'vote', 'id': 'vote-0002', 'shown': screen.shown.id, 'choice': 'left'}).encode()
    for cut in range(1, len(line), 7):
        path.write_bytes(whole + line[:cut])
        study = open_study(resume=True)
        assert [vote.id for vote in study.state.votes()] == ['vote-0001']
        study.close()
        assert path.read_bytes() == whole
    study = open_study(resume=True)
    study.vote('vote-0002', 'ann', screen.shown.id, 'left')
    assert len(read_events(path)) == whole.count(b'\n') + 2


def test_damage_inside_the_journal_is_an_error_that_names_the_line(tmp_path):
    journal = Journal(tmp_path / 'a.jsonl')
    journal.append({'kind': 'join', 'id': '1'}, {'kind': 'join', 'id': '2'})
    journal.close()
    content = (tmp_path / 'a.jsonl').read_bytes()
    (tmp_path / 'a.jsonl').write_bytes(b'\0' + content)
    with pytest.raises(RunError, match='line 1'):
        Journal(tmp_path / 'a.jsonl')


def test_another_set_of_tasks_is_no_resumption(open_study, tasks):
    open_study()
    with pytest.raises(RunError, match='tasks'):
        open_study(resume=True, asked=tasks[1:])


def test_a_study_is_served_by_one_process(open_study, tasks):
    study = open_study()
    with pytest.raises(RunError, match='in use'):
        Study(study.folder, tasks, resume=True)


@pytest.mark.parametrize('name', ['', '   ', 'a' * 61, 'a\x00b', 'a\u202eb', '\x1b[31m'])
def test_names_are_visible_and_short(open_study, name):
    with pytest.raises(ValueRangeError):
        open_study().join(name)


def test_a_name_is_the_same_however_it_is_spaced(open_study):
    study = open_study()
    assert study.join('  Ann   Lee ').shown == study.join('Ann Lee').shown


@pytest.mark.parametrize('id', ['', 'short', 'a' * 65, 'with space 1', 'ümlaut-123', '../../etc'])
def test_ids_are_plain(open_study, id):
    study = open_study()
    shown = study.join('ann').shown
    with pytest.raises(ValueRangeError):
        study.vote(id, 'ann', shown.id, 'left')


def test_gold_is_not_asked_in_earnest_as_well(tmp_path, tasks, gold):
    with pytest.raises(ValueRangeError, match='both files'):
        Study(tmp_path / 'votes', (*tasks, gold[0]), gold)


def test_eight_threads_voting_at_once_lose_and_double_nothing(open_study):
    study = open_study()
    threads = [threading.Thread(target=_vote_through, args=(study, f'rater{number}')) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    votes = study.state.votes()
    assert len(votes) == 8 * 36
    assert len({(vote.rater, vote.task) for vote in votes}) == 8 * 36
    assert len({event['id'] for event in read_events(study.folder / 'votes.jsonl') if event['kind'] == 'vote'}) == 288


def test_names_that_are_shown_alike_are_one_rater_so_that_the_votes_can_be_ranked(open_study):
    study = open_study()
    names = ('Jürgen', 'ju\u0308rgen', 'JÜRGEN', ' Jürgen\u200b')
    for number, name in enumerate(names):
        screen = study.join(name)
        assert study.vote(f'vote-{number:04}', name, screen.shown.id, 'left').answered == number + 1
    imported = {'kind': 'import', 'id': 'import-1', 'rater': 'jürgen', 'task': screen.shown.task, 'outcome': 'right',
                'first': '', 'seconds': 0.0, 'time': 1.0}  # fmt: skip
    assert study.bring([imported]) == (1, 1)  # on the pair that was judged last
    assert {vote.rater for vote in study.state.votes()} == {'Jürgen'}
    assert len(study.state.votes()) == 4
