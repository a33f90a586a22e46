"""Label Studio's JSON both ways."""

from __future__ import annotations

import json

import pytest

from affekt.errors import TableError
from affekt.ranking import read_comparisons
from affekt.serve import export_votes, label_studio_tasks, prepare, read_label_studio
from affekt.serve.pairs import Task
from affekt.serve.state import WORK, Vote

# As its documentation shows a task and its pairwise template: an id of a user, other field names, a draft of a model.
FOREIGN = [
    {
        'id': 7,
        'data': {'video': '/data/local-files/?d=clips/happy.mp4', 'text1': 'calm', 'text2': 'tense'},
        'annotations': [
            {
                'id': 1001,
                'completed_by': 3,
                'was_cancelled': False,
                'lead_time': 4.288,
                'created_at': '2021-03-09T22:16:08.728353Z',
                'result': [
                    {
                        'id': 'Dx_aB91ISN', 'from_name': 'pw', 'to_name': 'pw', 'type': 'pairwise',
                        'value': {'selected': 'right'},
                    }
                ],
            },
            {'id': 1002, 'completed_by': {'id': 4, 'email': 'b@x.org'}, 'was_cancelled': True, 'result': []},
        ],
        'predictions': [{'model_version': 'judge 1', 'result': [{'type': 'pairwise', 'value': {'selected': 'left'}}]}],
    }
]  # fmt: skip


def _votes(tasks):
    outcomes = ('left', 'right', 'tie', 'skip')
    return [
        Vote(f'vote-{number:04}', f'rater {number % 3}', task.key, outcomes[number % 4], 'right', WORK, 1.5, 1.0, 1.7e9)
        for number, task in enumerate(tasks)
    ]


def test_what_is_exported_and_imported_again_is_the_same(tasks):
    votes = _votes(tasks)
    rows = json.loads(json.dumps(label_studio_tasks(tasks, votes, {tasks[0].key: [{'model_version': 'm'}]})))
    found = read_label_studio(rows)
    assert found.tasks == tasks
    assert found.predictions == {tasks[0].key: ({'model_version': 'm'},)}
    kept = [(one['id'], one['rater'], one['task'], one['outcome'], one['first'], one['seconds']) for one in found.votes]
    assert kept == [(one.id, one.rater, one.task, one.outcome, one.first, one.seconds) for one in votes]
    assert [one['time'] for one in found.votes] == [one.time for one in votes]


def test_annotations_of_label_studio_itself_are_read():
    found = read_label_studio(FOREIGN)
    assert found.tasks == (Task('happy.mp4', 'left', 'right', 'calm', 'tense'),)
    assert [(one['rater'], one['outcome'], one['seconds']) for one in found.votes] == [
        ('user 3', 'right', 4.288),
        ('b@x.org', 'skip', 0.0),
    ]
    assert found.predictions[found.tasks[0].key][0]['model_version'] == 'judge 1'


def test_an_export_becomes_a_study_and_comparisons_and_an_export_again(tmp_path, tasks):
    (tmp_path / 'tasks.json').write_text(json.dumps(label_studio_tasks(tasks, _votes(tasks))))
    for resume in (False, True):  # a second import stores nothing twice
        prepare([tmp_path / 'tasks.json'], tmp_path / 'out', without_media=True, resume=resume).study.close()
    table, _, again = export_votes(tmp_path / 'out')
    read = read_comparisons(table)
    # 36 votes, every fourth a skip.
    assert (len(read), read.facts['skipped'], len(read.raters)) == (27, 9, 3)
    first = read_label_studio(json.loads((tmp_path / 'tasks.json').read_text()))
    second = read_label_studio(json.loads(again.read_text()))
    assert sorted(one['id'] for one in second.votes) == sorted(one['id'] for one in first.votes)
    assert set(second.tasks) == set(first.tasks)


@pytest.mark.parametrize(
    'rows',
    [
        [],
        {'tasks': []},
        [{'data': {'text': 'one'}}],
        [{'data': {'text1': 'a', 'text2': 'b'}, 'annotations': 'none'}],
        [{'data': {'text1': 'a', 'text2': 'b'}, 'annotations': [{'id': 1, 'result': []}]}],
        [
            {
                'data': {'text1': 'a', 'text2': 'b'},
                'annotations': [{'id': 1, 'result': [{'type': 'pairwise', 'value': {'selected': 'up'}}]}],
            }
        ],
    ],
)
def test_what_is_no_pairwise_export_is_refused(rows):
    with pytest.raises(TableError):
        read_label_studio(rows)
