"""Files of pairs, gold and clips: every usual shape, every fault named with its row."""

from __future__ import annotations

import csv
import json

import pytest

from affekt.annotation import find_clips, read_gold, read_tasks
from affekt.annotation.clips import clip_key
from affekt.errors import ComparisonError, MediaError, TableError
from affekt.tables import reading_notes


def _table(path, head, *rows):
    with path.open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([head.split(), *rows])
    return path


def test_pairs_of_emoprefer_with_and_without_models(tmp_path):
    named = _table(tmp_path / 'a.csv', 'name a1 a2 preference model1 model2', ['c1', 'x', 'y', 'a1', 'm', 'n'])
    (task,) = read_tasks([named])
    assert (task.sample, task.left, task.right, task.left_text, task.right_text) == ('c1', 'm', 'n', 'x', 'y')
    plain = _table(tmp_path / 'b.csv', 'name a1 a2', ['c1', 'x', 'y'])
    assert read_tasks([plain])[0].pair == ('a1', 'a2')


def test_plain_pairs_as_csv_tsv_and_jsonl(tmp_path):
    row = dict(zip(('name', 'left', 'right', 'left_text', 'right_text'), ('c1', 'b', 'a', 'x', 'y'), strict=True))
    _table(tmp_path / 'a.csv', ' '.join(row), list(row.values()))
    (tmp_path / 'a.tsv').write_text('\t'.join(row) + '\n' + '\t'.join(row.values()) + '\n')
    (tmp_path / 'a.jsonl').write_text(json.dumps(row) + '\n')
    found = {read_tasks([tmp_path / f'a.{kind}']) for kind in ('csv', 'tsv', 'jsonl')}
    assert len(found) == 1
    assert found.pop()[0].pair == ('a', 'b')


def test_files_of_describers_give_every_pair_on_every_common_clip(tmp_path):
    paths = [
        _table(tmp_path / 'ash.csv', 'name text', ['c1', 'ash 1'], ['c2', 'ash 2']),
        _table(tmp_path / 'birch.csv', 'name description', ['c1', 'birch 1'], ['c2', 'birch 2']),
        _table(tmp_path / 'cedar.csv', 'name reason', ['c2', 'cedar 2'], ['c3', 'cedar 3']),
    ]
    found = {(task.sample, task.left, task.right) for task in read_tasks(paths)}
    # c1: one pair; c2: three; c3: nobody else.
    assert found == {('c1', 'ash', 'birch'), ('c2', 'ash', 'birch'), ('c2', 'ash', 'cedar'), ('c2', 'birch', 'cedar')}


def test_describers_without_a_common_clip_are_refused(tmp_path):
    paths = [_table(tmp_path / f'{name}.csv', 'name text', [name, 'x']) for name in ('ash', 'birch')]
    with pytest.raises(TableError, match='no common name'):
        read_tasks(paths)


@pytest.mark.parametrize(
    ('head', 'rows', 'said'),
    [
        ('name left right', [['c', 'a', 'b']], 'left_text'),
        ('name a1 a2', [['c', 'x', '']], 'row 2'),
        ('name a1 a2', [['c', 'x', 'y' * 20_001]], '20001 characters'),
        ('name a1 a2', [['c', 'x', 'y'], ['c', 'x', 'y']], 'pair 2'),
        ('name left right left_text right_text', [['c', 'a', 'a', 'x', 'y']], 'twice in pair 1'),
    ],
)
def test_faults_name_the_row(tmp_path, head, rows, said):
    with pytest.raises(TableError, match=said):
        read_tasks([_table(tmp_path / 'a.csv', head, *rows)])


def test_no_pairs_and_no_file_are_errors(tmp_path):
    with pytest.raises(TableError, match='1 to'):
        read_tasks([_table(tmp_path / 'a.csv', 'name a1 a2')])
    with pytest.raises(ComparisonError):
        read_tasks([tmp_path / 'nowhere.csv'])


def test_gold_says_what_is_known(tmp_path):
    path = _table(tmp_path / 'g.csv', 'name a1 a2 preference', ['c', 'x', 'y', 'a2'], ['d', 'x', 'y', 'same'])
    assert [task.gold for task in read_gold(path)] == ['right', 'tie']
    with pytest.raises(TableError, match='row 2'):
        read_gold(_table(tmp_path / 'h.csv', 'name a1 a2 preference', ['c', 'x', 'y', 'maybe']))
    with pytest.raises(TableError, match='outcome'):
        read_gold(_table(tmp_path / 'i.csv', 'name a1 a2', ['c', 'x', 'y']))


def test_halves_of_surrogate_pairs_do_not_reach_a_file(tmp_path):
    (tmp_path / 'a.jsonl').write_text('{"name": "c", "a1": "x\\ud800", "a2": "y"}\n')
    left = read_tasks([tmp_path / 'a.jsonl'])[0].left_text
    assert left.startswith('x')
    assert left.encode().decode() == left


def test_clips_are_found_by_name_with_or_without_ending(tmp_path):
    for name in ('a.wav', 'a.mp4', 'b.JPG', 'c.txt'):
        (tmp_path / name).touch()
    found = find_clips(['a', 'b', 'a.wav'], tmp_path)
    assert found[clip_key('a')].kind == 'video'
    assert found[clip_key('b')].content_type == 'image/jpeg'
    assert found[clip_key('a.wav')].kind == 'audio'


def test_all_missing_clips_are_named(tmp_path):
    (tmp_path / 'a.mp4').touch()
    with pytest.raises(MediaError, match=r'2 without: b, c'):
        find_clips(['a', 'b', 'c'], tmp_path)
    assert set(find_clips(['a', 'b', 'c'], tmp_path, allow_missing=True)) == {clip_key('a')}


def test_names_with_paths_and_links_that_lead_out_find_nothing(tmp_path):
    (tmp_path / 'secret.mp4').write_bytes(b'secret')
    folder = tmp_path / 'clips'
    folder.mkdir()
    (folder / 'out.mp4').symlink_to(tmp_path / 'secret.mp4')
    names = ['../secret', str(tmp_path / 'secret'), 'out', '..', '']
    assert find_clips(names, folder, allow_missing=True) == {}


THOUGHT = '<think>He frowns. Sad?</think>'


def test_what_a_describer_thought_aloud_is_not_shown_and_is_noted(tmp_path):
    paths = [
        _table(tmp_path / 'ash.csv', 'name text', ['c1', f'{THOUGHT}Happy.'], ['c2', f'{THOUGHT}']),
        _table(tmp_path / 'birch.csv', 'name text', ['c1', 'Calm.'], ['c2', 'Calm.']),
        _table(tmp_path / 'cedar.csv', 'name text', ['c1', 'Tense.']),
    ]
    pairs = _table(tmp_path / 'p.csv', 'name a1 a2 preference', ['c1', f'{THOUGHT}Happy.', 'Calm.', 'a1'])
    plain = _table(tmp_path / 'q.csv', 'name left right left_text right_text', ['c1', 'a', 'b', 'x', f'{THOUGHT}y'])
    with reading_notes() as notes:
        described = read_tasks(paths)
        (gold,) = read_gold(pairs)
        (task,) = read_tasks([plain])
    # c2: of ash nothing is left, so that nobody else describes it
    assert {(each.sample, each.left_text, each.right_text) for each in described} == {
        ('c1', 'Happy.', 'Calm.'), ('c1', 'Happy.', 'Tense.'), ('c1', 'Calm.', 'Tense.')
    }  # fmt: skip
    assert (gold.left_text, task.right_text) == ('Happy.', 'y')
    assert notes == [
        '2 texts of ash.csv hold what the model thought aloud, which is left out',
        '1 text of p.csv holds what the model thought aloud, which is left out',
        '1 text of q.csv holds what the model thought aloud, which is left out',
    ]


def test_a_pair_of_which_only_thinking_is_there_is_refused_with_its_row(tmp_path):
    pairs = _table(tmp_path / 'p.csv', 'name a1 a2', ['c1', 'x', 'y'], ['c2', 'x', '<think>Sad, or'])
    with pytest.raises(TableError, match=r'nothing but what the model thought aloud as a2 in row 3 of p\.csv'):
        read_tasks([pairs])
