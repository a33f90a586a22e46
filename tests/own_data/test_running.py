"""Clips into a run folder: once each, resumed, failures named; the verb on top."""

from __future__ import annotations

import csv
import errno
import json

import pytest
from click.testing import CliRunner

from affekt.analysis import AnalysisSettings
from affekt.cli import bench, main
from affekt.cli import installation as cli_installation
from affekt.errors import MediaError, RunError, StorageError
from affekt.own_data import labelled_clips, read_clips
from affekt.runs import read_journal

SETTINGS = AnalysisSettings(asr='none')
NAMES = ('anger.1.wav', 'fear.2.wav', 'anger.3.wav', 'quiet.4.wav')


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / 'clips'
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    lines = ['anger.1.wav,angry,s1', 'fear.2.wav,angry,s1', 'anger.3.wav,sad,s2', 'quiet.4.wav,boredom,s2']
    (folder / 'labels.csv').write_text('\n'.join(['file,emotion,speaker', *lines]) + '\n')
    return folder / 'labels.csv'


def _read(table, out, **more):
    return read_clips(labelled_clips(table).clips, out, SETTINGS, **more)


def test_every_clip_has_its_reading_and_a_resumed_run_analyzes_none_again(table, tmp_path, analyzer):
    first = _read(table, tmp_path / 'run')
    assert [reading.sources['fused'].category for reading in first.readings] == ['anger', 'fear', 'anger', '']
    assert sorted(analyzer.calls) == sorted(NAMES)
    again = _read(table, tmp_path / 'run', resume=True)
    assert str(again.readings) == str(first.readings)  # nan is not equal to itself
    assert again.resumed == 4
    assert len(analyzer.calls) == 4
    with pytest.raises(RunError, match='--resume'):
        _read(table, tmp_path / 'run')


def test_a_file_that_fails_is_named_and_tried_again(table, tmp_path, analyzer):
    refusal = MediaError(expected='sound', came='noise', todo='check')
    analyzer.wrong |= {'fear.2.wav': refusal, 'anger.3.wav': ZeroDivisionError('of nothing')}
    broken = _read(table, tmp_path / 'run')
    assert [reading is None for reading in broken.readings] == [False, True, True, False]
    assert broken.failed['fear.2.wav'] is refusal
    assert 'ZeroDivisionError of nothing' in str(broken.failed['anger.3.wav'])
    analyzer.wrong.clear()
    whole = _read(table, tmp_path / 'run', resume=True)
    assert whole.failed == {}
    assert whole.resumed == 2
    assert len(analyzer.calls) == 4 + 2


def test_no_room_ends_the_run_and_keeps_what_is_done(table, tmp_path, analyzer):
    analyzer.wrong['fear.2.wav'] = OSError(errno.ENOSPC, 'No space left on device')
    with pytest.raises(StorageError):
        _read(table, tmp_path / 'run')
    analyzer.wrong.clear()
    assert _read(table, tmp_path / 'run', resume=True).resumed == 1


def test_a_file_of_changed_content_is_analyzed_again(table, tmp_path, analyzer):
    _read(table, tmp_path / 'run')
    (table.parent / 'fear.2.wav').write_bytes(b'other')
    assert _read(table, tmp_path / 'run', resume=True).resumed == 3


def test_readings_that_are_cut_short_are_made_again(table, tmp_path, analyzer):
    _read(table, tmp_path / 'run')
    next(iter((tmp_path / 'run' / 'readings').glob('*.json'))).write_text('{')
    assert _read(table, tmp_path / 'run', resume=True).resumed == 3


def test_files_of_equal_content_are_analyzed_and_noted_once(table, tmp_path, analyzer):
    (table.parent / 'fear.2.wav').write_bytes((table.parent / 'anger.1.wav').read_bytes())
    read = _read(table, tmp_path / 'run')
    assert [reading.sources['fused'].category for reading in read.readings] == ['anger', 'anger', 'anger', '']
    assert sorted(analyzer.calls) == ['anger.1.wav', 'anger.3.wav', 'quiet.4.wav']
    keys = [entry.key for entry in read_journal(tmp_path / 'run')]
    assert len(keys) == len(set(keys)) == 3
    assert _read(table, tmp_path / 'run', resume=True).resumed == 4


def test_a_missing_clip_is_named(table, tmp_path, analyzer):
    (table.parent / 'anger.1.wav').unlink()
    read = _read(table, tmp_path / 'run')
    assert read.missing == ('anger.1.wav',)
    assert read.failed == {}


@pytest.fixture
def verb(monkeypatch, analyzer):
    monkeypatch.setattr(cli_installation, 'fetch', lambda names: None)
    assert 'analyze' in bench.bench.commands

    def run(*words):
        return CliRunner().invoke(main, ['bench', 'analyze', *map(str, words)])

    return run


def test_the_verb_prints_tables_of_80_columns_and_writes_results(verb, table, tmp_path):
    shown = verb('--manifest', table, '--out', tmp_path / 'run', '--resamples', 50)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 80
    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    fused = results['scores']['categories']['fused']
    assert fused['clips'] == 3
    assert fused['scores']['right']['value'] == pytest.approx(1 / 3)
    assert results['scores']['strangers']['boredom']['fused'] == {'': 1}
    assert results['grouped_by'] == 'speaker'
    assert results['conclusions'][0] in (tmp_path / 'run' / 'results.md').read_text()
    assert 'affekt&#x27;s fused category is right' in (tmp_path / 'run' / 'results.html').read_text()
    with (tmp_path / 'run' / 'clips.csv').open(newline='') as file:
        assert [row['fused_category'] for row in csv.DictReader(file)] == ['anger', 'fear', 'anger', '']


def test_the_verb_ends_with_2_and_keeps_the_results_where_a_clip_is_missing(verb, table, tmp_path):
    (table.parent / 'anger.1.wav').unlink()
    shown = verb('--manifest', table, '--out', tmp_path / 'run', '--resamples', 10)
    assert shown.exit_code == 2
    assert 'anger.1.wav' in shown.stdout
    assert json.loads((tmp_path / 'run' / 'results.json').read_text())['missing'] == ['anger.1.wav']


def test_the_verb_as_json_prints_one_object(verb, table, tmp_path):
    shown = verb('--manifest', table, '--out', tmp_path / 'run', '--resamples', 10, '--json')
    answer = json.loads(shown.stdout)
    assert answer['benchmark'] == 'analyze'
    assert answer['run'] == str(tmp_path / 'run')


def test_a_label_option_without_a_category_is_refused(verb, table, tmp_path):
    shown = verb('--manifest', table, '--label', 'boredom', '--out', tmp_path / 'run')
    assert shown.exit_code == 2
    assert 'such as Freude=happiness' in shown.stderr


def test_a_resumed_run_with_another_voice_is_refused(table, tmp_path, analyzer):
    (tmp_path / 'head').mkdir()
    (tmp_path / 'head' / 'vocal_emotion_tiny_en.npz').write_bytes(b'weights')
    _read(table, tmp_path / 'run')
    with pytest.raises(RunError, match='vocal_head'):
        _read(table, tmp_path / 'run', resume=True, vocal_head=tmp_path / 'head')


def test_a_table_of_which_no_file_is_there_is_refused_with_what_to_do(verb, table, tmp_path):
    for name in NAMES:
        (table.parent / name).unlink()
    shown = verb('--manifest', table, '--out', tmp_path / 'run')
    assert shown.exit_code == 2
    assert 'none of 4 clips' in shown.stderr
    assert '--media' in shown.stderr
