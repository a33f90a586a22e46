"""Run folders: whole results or none, one writer, the same settings on resuming."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from affekt.errors import FileError, RunError
from affekt.runs import (
    Run,
    file_sha256,
    folder_atomically,
    read_journal,
    read_regular_file,
    read_settings,
    require_regular_file,
    write_atomically,
)


def test_a_failed_write_leaves_the_old_content(tmp_path):
    target = tmp_path / 'a.txt'
    write_atomically(target, b'old')
    with pytest.raises(TypeError):
        write_atomically(target, 'not bytes')
    assert target.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.txt']


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), folder_atomically(tmp_path / 'result') as staging:
        (staging / 'half').write_text('x')
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with folder_atomically(tmp_path / 'result') as staging:
        (staging / 'whole').write_text('x')
    with folder_atomically(tmp_path / 'result') as staging:
        (staging / 'newer').write_text('x')
    assert [p.name for p in (tmp_path / 'result').iterdir()] == ['newer']


def test_a_noted_result_is_finished_only_while_it_is_on_disk(tmp_path):
    with Run(tmp_path / 'run', {'fps': 5}) as run:
        (run.folder / 'one').mkdir()
        run.note('key', 'one', sha256='abc')
        assert run.finished('key').facts == {'sha256': 'abc'}
        (run.folder / 'one').rmdir()
        assert run.finished('key') is None


def test_a_line_cut_by_a_kill_costs_only_that_line(tmp_path):
    with Run(tmp_path / 'run', {}) as run:
        run.note('a', 'a')
    journal = tmp_path / 'run' / 'journal.jsonl'
    journal.write_bytes(journal.read_bytes() + b'{"key": "b", "fol')
    with Run(tmp_path / 'run', {}, resume=True) as run:
        run.note('c', 'c')
    assert [entry.key for entry in read_journal(tmp_path / 'run')] == ['a', 'c']


def test_an_existing_run_is_not_written_over(tmp_path):
    Run(tmp_path / 'run', {}).close()
    with pytest.raises(RunError, match='--resume'):
        Run(tmp_path / 'run', {})


def test_other_settings_are_named_when_resuming(tmp_path):
    Run(tmp_path / 'run', {'fps': 5, 'asr': 'base'}).close()
    with pytest.raises(RunError, match='fps'):
        Run(tmp_path / 'run', {'fps': 6, 'asr': 'base'}, resume=True)


def test_two_writers_do_not_share_a_run(tmp_path):
    with Run(tmp_path / 'run', {}), pytest.raises(RunError, match='in use'):
        Run(tmp_path / 'run', {}, resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('chapter 1')
    with pytest.raises(RunError, match=r'thesis\.txt'):
        Run(tmp_path, {})
    assert (tmp_path / 'thesis.txt').read_text() == 'chapter 1'


def test_settings_and_versions_are_recorded(tmp_path):
    Run(tmp_path / 'run', {'fps': 5}).close()
    assert read_settings(tmp_path / 'run')['settings'] == {'fps': 5}
    assert 'python' in json.loads((tmp_path / 'run' / 'settings.json').read_text())['versions']


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match='run folder'):
        read_settings(tmp_path)


def _pipe(folder):
    os.mkfifo(folder / 'pipe')
    return folder / 'pipe'


def _link_to_a_pipe(folder):
    (folder / 'link.wav').symlink_to(_pipe(folder))
    return folder / 'link.wav'


def _socket(folder):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / 's'))
    return folder / 's'


def _link_to_a_device(folder):
    (folder / 'zero.mp4').symlink_to('/dev/zero')
    return folder / 'zero.mp4'


@pytest.mark.parametrize(
    ('made', 'name'),
    [
        (_pipe, 'pipe'),
        (_link_to_a_pipe, 'pipe'),
        (_socket, 'socket'),
        (_link_to_a_device, 'device'),
        (lambda folder: Path('/dev/null'), 'device'),
        (lambda folder: folder, 'folder'),
    ],
)
def test_only_a_regular_file_is_opened_and_nothing_is_waited_for(tmp_path, made, name):
    path = made(tmp_path)
    for read in (file_sha256, read_regular_file, require_regular_file):
        with pytest.raises(FileError, match=f'the {name} '):
            read(path)


def test_a_pipe_that_takes_the_place_of_a_file_after_the_first_look_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr('affekt.runs.require_regular_file', lambda path: None)
    with pytest.raises(FileError, match='pipe'):
        file_sha256(_pipe(tmp_path))


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc')
    (tmp_path / 'link').symlink_to('a')
    # sha256('abc'), FIPS 180-4, appendix B.1
    assert file_sha256(tmp_path / 'link').startswith('ba7816bf8f01cfea')
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / 'none')
