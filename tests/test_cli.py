"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.cli.recordings import run_folder
from affekt.weights import MODELS, state

NEEDED = ('face_landmarker.task', 'silero_vad.onnx', 'whisper-tiny.en', 'minilm-l6-int8.onnx')


@pytest.fixture
def models_present() -> None:
    missing = [name for name in NEEDED if state(MODELS[name]) != 'verified']
    if missing:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')


@pytest.fixture
def tone(tmp_path) -> Path:
    """One second of a quiet tone: sound without speech."""
    samples = (1000 * np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)).astype('<i2')
    with wave.open(str(tmp_path / 'tone.wav'), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    return tmp_path / 'tone.wav'


def _run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(
    'command', [[], ['analyze'], ['demo'], ['export'], ['doctor'], ['weights'], ['notice'], ['rank'], ['annotate']]
)
def test_every_command_explains_itself_within_80_columns(command):
    result = _run(*command, '--help')
    assert result.exit_code == 0
    assert max(len(line) for line in result.output.splitlines()) <= 80


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['analyze', 'nowhere.mp4'], 'nowhere.mp4'),
        (['export', 'nowhere', '--to', 'csv'], 'nowhere'),
        (['weights', 'get', 'nothing'], 'silero_vad.onnx'),
        (['rank', 'nowhere.csv'], 'nowhere.csv'),
    ],
)
def test_bad_input_is_two_lines_on_standard_error_and_exit_code_2(words, said):
    result = _run(*words)
    assert result.exit_code == 2
    assert result.stdout == ''
    assert said in result.stderr
    assert 'Traceback' not in result.stderr
    assert len([line for line in result.stderr.splitlines() if not line.endswith('loading …')]) == 2


def test_an_empty_and_a_garbage_file_are_refused_by_name(tmp_path, models_present):
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'garbage.mp4').write_bytes(bytes(range(256)) * 20)
    for name in ('empty.mp4', 'garbage.mp4'):
        result = _run('analyze', tmp_path / name, '--out', tmp_path / f'run-{name}')
        assert result.exit_code == 2
        assert name in result.stderr
        assert 'Traceback' not in result.output


def test_a_refused_purpose_leaves_nothing_behind(tmp_path, tone):
    result = _run('analyze', tone, '--out', tmp_path / 'run', '--purpose', 'workplace monitoring')
    assert result.exit_code == 2
    assert 'medical' in result.stderr
    assert not (tmp_path / 'run').exists()


def test_json_is_one_object_and_nothing_else_on_standard_output(tmp_path, tone, models_present):
    result = _run('analyze', tone, '--out', tmp_path / 'run', '--json')
    assert result.exit_code == 0
    held = json.loads(result.stdout)
    assert [Path(file['report']).exists() for file in held['files']] == [True]


def test_one_bad_file_does_not_stop_the_others_and_a_resume_repeats_only_it(tmp_path, tone, models_present):
    folder = tmp_path / 'clips'
    folder.mkdir()
    shutil.copy(tone, folder / 'good.wav')
    (folder / 'bad.wav').write_bytes(b'RIFF')
    first = _run('analyze', folder, '--out', tmp_path / 'run')
    assert first.exit_code == 2
    assert 'bad.wav' in first.stderr
    (folder / 'bad.wav').write_bytes(tone.read_bytes()[:-200])
    second = _run('analyze', folder, '--out', tmp_path / 'run', '--resume')
    assert second.exit_code == 0
    assert '2 files analyzed, 1 of them before, 0 failed' in second.output
    entries = [json.loads(line) for line in (tmp_path / 'run' / 'journal.jsonl').read_text().splitlines()]
    assert [(entry['file'], entry['state']) for entry in entries] == [
        ('bad.wav', 'failed'), ('good.wav', 'done'), ('bad.wav', 'superseded'), ('bad.wav', 'done'),
    ]  # fmt: skip


def test_resuming_takes_the_newest_run_of_this_title_and_of_no_longer_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ('talk-20261130-230000', 'talk-20261201-100000', 'talk-part2-20261201-110000', 'talk-20261201-120000-old')
    for name in names:
        (tmp_path / 'affekt_runs' / name).mkdir(parents=True)
        (tmp_path / 'affekt_runs' / name / 'settings.json').write_text('{}')
    assert run_folder('talk', resume=True).name == 'talk-20261201-100000'
    assert run_folder('talk-part2', resume=True).name == 'talk-part2-20261201-110000'
    assert run_folder('talk', resume=False).name not in names


def test_a_run_is_exported_in_every_format(tmp_path, tone, models_present):
    assert _run('analyze', tone, '--out', tmp_path / 'run').exit_code == 0
    for kind in ('parquet', 'csv', 'eaf', 'textgrid', 'vtt', 'json'):
        result = _run('export', tmp_path / 'run', '--to', kind, '--out', tmp_path / 'exported')
        assert result.exit_code == 0, result.output
        assert all(Path(line).exists() for line in result.stdout.splitlines())
        assert result.stdout.strip()


def test_an_unknown_format_lists_the_known_ones(tmp_path, tone, models_present):
    _run('analyze', tone, '--out', tmp_path / 'run')
    result = _run('export', tmp_path / 'run', '--to', 'docx')
    assert result.exit_code == 2
    assert 'textgrid' in result.stderr


def test_doctor_names_packages_models_and_extras():
    facts = json.loads(_run('doctor', '--json').stdout)
    assert {row['package'] for row in facts['packages']} >= {'av', 'onnxruntime'}
    assert {row['model'] for row in facts['models']} == set(MODELS)
    assert {row['extra'] for row in facts['extras']} == {
        'affekt[serve]',
        'affekt[torch]',
        'affekt[llm]',
        'affekt[encoders]',
        'affekt[ray]',
        'affekt[opensmile]',
        'affekt[reenact]',
        'affekt[test]',
    }


def test_weights_are_listed_with_licence_and_hash():
    rows = json.loads(_run('weights', 'list', '--json').stdout)
    assert all(row['licence'] and row['sha256'] for row in rows)


def test_the_notice_says_what_is_inferred_and_what_it_is_not():
    said = _run('notice').stdout.lower()
    assert 'face' in said
    assert 'voice' in said
