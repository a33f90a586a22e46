"""Label Studio's JSON both ways."""

from __future__ import annotations

import csv
import json

import pytest

from affekt.annotation import export_votes, label_studio_tasks, prepare, read_label_studio
from affekt.annotation.exports import comparisons_csv
from affekt.annotation.state import WORK, State, Vote
from affekt.errors import AffektError, TableError
from affekt.preference import DescribedPair
from affekt.ranking import read_comparisons

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
    assert found.tasks == (DescribedPair('happy.mp4', 'left', 'right', 'calm', 'tense'),)
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


def _row(result=None, *, data=None, **annotation):
    """A task with one annotation, as Label Studio writes it."""
    if result is None:
        result = [_selected('left')]
    held = {'video': 'x.mp4', 'text1': 'a', 'text2': 'b', **(data or {})}
    return {'id': 1, 'data': held, 'annotations': [{'id': 11, 'completed_by': 1, 'result': result, **annotation}]}


def _selected(side, question='preference'):
    return {'from_name': question, 'to_name': 'left,right', 'type': 'pairwise', 'value': {'selected': side}}


def _chosen(word, question):
    return {'from_name': question, 'to_name': 'clip', 'type': 'choices', 'value': {'choices': [word]}}


@pytest.mark.parametrize('rows', [[], {'tasks': []}, [{'data': {'text': 'one'}}], [None], 'text'])
def test_what_holds_no_task_is_refused(rows):
    with pytest.raises(TableError):
        read_label_studio(rows)


@pytest.mark.parametrize(
    ('result', 'outcome', 'said'),
    [
        ([_selected('left')], 'left', ''),
        ([_selected('right'), _chosen('very sure', 'sureness')], 'right', 'another question left out, sureness: 1'),
        ([_selected('right'), _chosen('left', 'which is longer')], 'right', 'which is longer'),
        ([_selected('right'), _selected('left', 'fluency')], 'right', 'fluency'),
        ([_selected('left', 'a'), _selected('right', 'b')], None, 'contradict'),
        ([_selected('left'), _chosen('tie', 'tie')], None, 'contradict'),
        ([_chosen('Equal', 'which')], 'tie', ''),
        ([_chosen('right', 'which'), _chosen('angry', 'emotion')], 'right', 'emotion'),
        ([_selected('left'), {'from_name': 'stars', 'type': 'rating', 'value': {'rating': 4}}], 'left', 'stars'),
        ([_selected(None)], None, 'no verdict'),
        ([_selected('up')], None, 'no verdict'),
        ([{'type': 'pairwise', 'value': None}], None, 'no verdict'),
        ([], None, 'no verdict'),
        ('text', None, 'no verdict'),
    ],
)
def test_an_annotation_is_a_verdict_or_is_left_out_with_a_note(result, outcome, said):
    read = read_label_studio([_row(result), _row(data={'text1': 'other'})])
    assert [vote['outcome'] for vote in read.votes] == ([outcome] if outcome else []) + ['left']
    assert len(read.tasks) == 2
    assert said in '; '.join(read.notes)
    assert bool(read.notes) == bool(said)


@pytest.mark.parametrize(
    ('lead_time', 'seconds', 'is_noted'),
    [(3.2, 3.2, False), ('3.2', 3.2, False), (None, 0.0, False), ('n/a', 0.0, True), (-1, 0.0, True),
     (float('nan'), 0.0, True), ({}, 0.0, True), (10**400, 0.0, True)],
)  # fmt: skip
def test_a_lead_time_that_is_no_number_is_noted_and_the_vote_counts(lead_time, seconds, is_noted):
    read = read_label_studio([_row(lead_time=lead_time)])
    assert [vote['seconds'] for vote in read.votes] == [seconds]
    assert any('lead_time' in note for note in read.notes) == is_noted


@pytest.mark.parametrize(
    ('place', 'name'),
    [
        ('/data/upload/1/ab12cd34-name%20x.mp4', 'name x.mp4'),
        ('/data/upload/1/ab12cd34-%D0%BA%26.mp4', 'к&.mp4'),
        ('/data/local-files/?d=clips/%D0%BA%D0%BB%D0%B8%D0%BF%2600.mp4', 'клип&00.mp4'),
        ('/data/local-files/?d=clips/a b&c#1+2.mp4', 'a b&c#1+2.mp4'),
        ('/data/local-files/?d=clips%5Cx.mp4', 'x.mp4'),
        ('https://host/clips/name%20x.mp4?token=1', 'name x.mp4'),
        ('s3://bucket/clips/100%25.mp4', '100%25.mp4'),
        ('clips/deadbeef-x.mp4', 'deadbeef-x.mp4'),
        ('x#1.mp4', 'x#1.mp4'),
    ],
)
def test_a_clip_is_called_as_its_file(place, name):
    read = read_label_studio([_row(data={'video': place})])
    assert read.tasks[0].sample == name
    assert read.places == {name: place}


def test_clips_called_alike_in_two_folders_stay_two_clips():
    rows = [_row(data={'video': f'/data/local-files/?d={folder}/p01.mp4'}) for folder in ('calm', 'angry')]
    assert [task.sample for task in read_label_studio(rows).tasks] == ['calm/p01.mp4', 'angry/p01.mp4']


def test_annotators_by_id_address_object_or_nobody_keep_apart():
    whos = [3, 'a@x.org', {'id': 4, 'email': 'b@x.org'}, {'id': 5, 'first_name': 'Ann'}, {'id': 6, 'first_name': 'Ann'},
            None, None, {'id': 7, 'first_name': 'x' * 99}, 'bad\nname\x1b[2J']  # fmt: skip
    row = _row()
    row['annotations'] = [{'id': n, 'completed_by': who, 'result': [_selected('left')]} for n, who in enumerate(whos)]
    raters = [vote['rater'] for vote in read_label_studio([row]).votes]
    assert raters == ['user 3', 'a@x.org', 'b@x.org', 'Ann', 'Ann (6)', 'unknown 6', 'unknown 7', 'x' * 60,
                      'bad name [2J']  # fmt: skip


def test_names_that_are_shown_alike_are_one_describer_and_two_annotators(tmp_path):
    row = _row(data={'left': 'GPT', 'right': 'qwen'})
    row['annotations'] = [{'id': n, 'completed_by': who, 'result': [_selected('left')]}
                          for n, who in enumerate(('a@x.org', 'A@x.org'))]  # fmt: skip
    read = read_label_studio([row, _row(data={'left': 'gpt', 'right': 'qwen', 'text1': 'c'})])
    assert [(task.left, task.right) for task in read.tasks] == [('GPT', 'qwen')] * 2
    assert read.notes == ('tasks with a describer in another spelling, read as GPT: 1 (task 2)',)
    assert [vote['rater'] for vote in read.votes] == ['a@x.org', 'A@x.org (A@x.org)', 'user 1']
    (tmp_path / 'ls.json').write_text(json.dumps([row]))
    prepare([tmp_path / 'ls.json'], tmp_path / 'votes', without_media=True).study.close()
    assert len(read_comparisons(export_votes(tmp_path / 'votes')[0])) == 2


def test_predictions_by_id_drafts_and_broken_rows_are_counted_and_the_rest_is_imported():
    rows = [
        {**_row(), 'predictions': [286, {'model_version': 'm'}], 'drafts': [{'result': []}]},
        _row(data={'text1': 'c'}) | {'annotations': [12]},
        _row(data={'text1': 'd'}) | {'annotations': 'none'},
        _row(data={'text2': ''}),
        _row(data={'left': 'same', 'right': 'same'}),
        None,
        _row(),
    ]
    read = read_label_studio(rows)
    assert (len(read.tasks), len(read.votes)) == (3, 1)
    assert read.predictions == {read.tasks[0].key: ({'model_version': 'm'},)}
    assert read.notes == (
        'predictions left out that are an id without content: 1 (task 1)',
        'drafts left out: 1 (task 1)',
        'annotations left out that are an id without content: 1 (task 2)',
        'annotations left out that are not a list: 1 (task 3)',
        'tasks left out without both texts: 1 (task 4)',
        'tasks left out whose two describers are the same: 1 (task 5)',
        'tasks left out that are not an object with data: 1 (task 6)',
        'repeated tasks, whose annotations are joined: 1 (task 7)',
        'repeated annotations: 1 (task 7)',
    )


def test_the_minimal_export_is_read_as_json_and_as_csv(tmp_path):
    shared = {'video': 'x.mp4', 'left_text': 'a', 'right_text': 'b', 'left': 'gpt', 'right': 'qwen', 'id': 1}
    rows = [
        {**shared, 'preference': {'selected': 'left'}, 'annotator': 1, 'annotation_id': 1, 'lead_time': 2.5},
        {**shared, 'preference': [{'selected': 'right'}], 'annotator': 'b@x.org', 'annotation_id': 2},
        {**shared, 'tie': 'tie', 'annotator': 3, 'annotation_id': 3, 'sureness': 'very sure'},
        {**shared, 'annotator': 4, 'annotation_id': 4},
    ]
    read = read_label_studio(rows)
    assert [(vote['rater'], vote['outcome']) for vote in read.votes] == [
        ('user 1', 'left'), ('b@x.org', 'right'), ('user 3', 'tie')]  # fmt: skip
    assert read.notes == ('annotations left out with no verdict left, right or tie: 1 (task 4)',)
    path = tmp_path / 'project-1.csv'
    names = list({name: None for row in rows for name in row})
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            plain = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
            writer.writerow(plain)
    prepared = prepare([path], tmp_path / 'out', without_media=True)
    prepared.study.close()
    assert [(v.rater, v.outcome) for v in prepared.study.state.votes()] == [
        (vote['rater'], vote['outcome']) for vote in read.votes]  # fmt: skip


def test_exports_by_label_studio_keep_their_places_and_ours_are_encoded(tmp_path):
    place = '/data/upload/1/ab12cd34-name%20x.mp4'
    (tmp_path / 'ls.json').write_text(json.dumps([_row(data={'video': place})]))
    (tmp_path / 'clips').mkdir()
    (tmp_path / 'clips' / 'name x.mp4').write_bytes(b'')
    prepare([tmp_path / 'ls.json'], tmp_path / 'ls', media=tmp_path / 'clips').study.close()
    exported = json.loads(export_votes(tmp_path / 'ls')[2].read_text())
    assert [row['data']['video'] for row in exported] == [place]
    assert exported[0]['data']['name'] == 'name x.mp4'

    (tmp_path / 'clips' / 'a&b#1 ü.mp4').write_bytes(b'')
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\na&b#1 ü,x,y\n')
    prepare([tmp_path / 'pairs.csv'], tmp_path / 'own', media=tmp_path / 'clips').study.close()
    exported = json.loads(export_votes(tmp_path / 'own')[2].read_text())
    assert exported[0]['data']['video'] == '/data/local-files/?d=a%26b%231%20%C3%BC.mp4'
    assert read_label_studio(exported).tasks[0].sample == 'a&b#1 ü'


@pytest.mark.parametrize(
    ('name', 'votes', 'samples'),
    [
        ('ls_plain', 10, ['clip1.mp4', 'clip2.mp4', 'clip3.mp4', 'clip4.mp4', 'clip5.mp4']),
        ('ls_lead_text', None, ['clip1.mp4']),
        ('ls_local_names', None, ['клип&00.mp4']),
        ('ls_min', 1, ['x.mp4']),
        ('ls_prediction_ids', None, ['clip1.mp4']),
        ('ls_second_question', None, ['clip1.mp4']),
    ],
)
def test_exports_that_were_refused_are_imported(name, votes, samples, shared_faults):
    rows = json.loads((shared_faults / f'{name}.json').read_text())
    read = read_label_studio(rows)
    annotated = sum(len(row.get('annotations', ())) for row in rows) or len(rows)
    assert len(read.votes) == annotated == (votes or annotated)
    assert [task.sample for task in read.tasks][: len(samples)] == samples


def test_clips_in_the_upload_folder_of_label_studio_are_found_by_their_prefix(tmp_path):
    (tmp_path / 'ls.json').write_text(json.dumps([_row(data={'video': '/data/upload/1/ab12cd34-name%20x.mp4'})]))
    (tmp_path / 'upload').mkdir()
    (tmp_path / 'upload' / 'ab12cd34-name x.mp4').write_bytes(b'')
    prepared = prepare([tmp_path / 'ls.json'], tmp_path / 'votes', media=tmp_path / 'upload')
    prepared.study.close()
    assert [clip.path.name for clip in prepared.clips.values()] == ['ab12cd34-name x.mp4']


def test_pairs_with_a_column_annotator_are_pairs(tmp_path):
    (tmp_path / 'pairs.json').write_text(json.dumps([{'name': 'c', 'a1': 'x', 'a2': 'y', 'annotator': 'me'}]))
    prepared = prepare([tmp_path / 'pairs.json'], tmp_path / 'votes', without_media=True)
    prepared.study.close()
    assert [(task.left, task.right) for task in prepared.study.state.tasks.values()] == [('a1', 'a2')]


@pytest.mark.parametrize(
    ('name', 'content'), [('a.json', ''), ('a.json', '[]'), ('a.json', '{}'), ('a.csv', ''),
                          ('a.csv', 'id,annotator,annotation_id\n'), ('a.json', '[{"data": {}}]')]
)  # fmt: skip
def test_an_empty_export_is_refused_in_a_sentence(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(AffektError):
        prepare([tmp_path / name], tmp_path / 'votes', without_media=True)
    assert not (tmp_path / 'votes').exists()


@pytest.mark.parametrize('shape', ['a task a line', 'within an object', 'UTF-16'])
def test_tasks_saved_again_in_another_shape_are_imported(tmp_path, shape):
    rows = [_judged(1, 'left'), _judged(2, 'right')]
    text = {
        'a task a line': '\n'.join(map(json.dumps, rows)) + '\n', 'within an object': json.dumps({'tasks': rows}),
        'UTF-16': json.dumps(rows),
    }[shape]  # fmt: skip
    (tmp_path / 'tasks.json').write_text(text, encoding='utf-16' if shape == 'UTF-16' else 'utf-8')
    prepare([tmp_path / 'tasks.json'], tmp_path / 'out', without_media=True).study.close()
    export_votes(tmp_path / 'out')
    comparisons = read_comparisons(tmp_path / 'out' / 'comparisons.csv')
    assert len(comparisons) == 2


def test_json_too_deep_is_refused_in_a_sentence(tmp_path):
    (tmp_path / 'deep.json').write_text('[' * 100_000)
    with pytest.raises(TableError):
        prepare([tmp_path / 'deep.json'], tmp_path / 'out', without_media=True)


def _judged(number: int, *selected: str, video: str = 'clip.mp4') -> dict:
    parts = [{'from_name': 'p', 'type': 'pairwise', 'value': {'selected': side}} for side in selected]
    data = {'video': video, 'left_text': f'l{number}', 'right_text': f'r{number}', 'left': 'a', 'right': 'b'}
    return {'id': number, 'data': data, 'annotations': [{'id': number, 'completed_by': 1, 'result': parts}]}


def test_one_question_answered_both_ways_is_a_contradiction_and_twice_alike_is_not():
    export = read_label_studio([_judged(1, 'left', 'right'), _judged(2, 'left', 'left')])
    assert [vote['outcome'] for vote in export.votes] == ['left']
    assert 'annotations left out with verdicts that contradict each other: 1 (task 1)' in export.notes


def test_a_row_of_json_min_that_nobody_judged_is_a_task_without_votes():
    rows = [
        {'video': 'x.mp4', 'left_text': 'a', 'right_text': 'b', 'p': 'left', 'annotator': 1, 'annotation_id': 1},
        {'video': 'y.mp4', 'left_text': 'a', 'right_text': 'b', 'id': 2},
    ]
    export = read_label_studio(rows)
    assert ([task.sample for task in export.tasks], len(export.votes)) == (['x.mp4', 'y.mp4'], 1)


def test_seconds_and_time_that_nobody_knows_are_empty_cells():
    export = read_label_studio([_judged(1, 'left')])
    state = State(export.tasks, ())
    state.apply(export.votes[0])
    names, row = (line.split(',') for line in comparisons_csv(state.votes(), state.tasks).splitlines())
    assert [row[names.index(name)] for name in ('outcome', 'seconds', 'watched', 'time')] == ['left', '', '', '']


def test_what_a_describer_thought_aloud_is_left_out_of_imported_texts_and_noted():
    rows = [
        {'id': 1, 'data': {'left_text': '<think>Sad?</think> Happy.', 'right_text': 'Calm.'}},
        {'id': 2, 'data': {'left_text': 'Happy.', 'right_text': '<answer>Calm.</answer>'}},
    ]
    imported = read_label_studio(rows)
    assert [(task.left_text, task.right_text) for task in imported.tasks] == [('Happy.', 'Calm.')] * 2
    assert 'tasks with what the model thought aloud, which is left out of the texts: 1 (task 1)' in imported.notes


@pytest.mark.parametrize(
    ('data', 'describers'),
    [
        ({'a1': 'x', 'a2': 'y', 'model1': 'ash', 'model2': 'birch'}, ('ash', 'birch')),
        ({'response1': 'x', 'response2': 'y', 'cmp_key': 'ash_birch'}, ('ash', 'birch')),
        ({'text1': 'x', 'text2': 'y', 'name1': 'ash', 'name2': 'birch'}, ('ash', 'birch')),
        ({'a1': 'x', 'a2': 'y', 'model1': 'ash', 'left': 'elm', 'right': 'fir'}, ('elm', 'fir')),
        ({'answer1': 'x', 'answer2': 'y'}, ('left', 'right')),
        ({'response1': 'x', 'response2': 'y', 'cmp_key': 'ash'}, ('left', 'right')),
    ],
)
def test_who_wrote_the_texts_is_read_in_every_shape(data, describers):
    rows = [{'id': 1, 'data': {'name': 'c', **data}, 'annotations': []}]
    (task,) = read_label_studio(rows, 'export.json').tasks
    assert (task.left, task.right) == describers
