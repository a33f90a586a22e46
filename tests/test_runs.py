"""Run folders: whole results or none, one writer, the same settings on resuming."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from affekt.errors import FileError, RunError, StorageError
from affekt.runs import (
    Run,
    file_sha256,
    folder_atomically,
    hashes_of,
    read_journal,
    read_regular_file,
    read_settings,
    remove_run,
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


def test_a_start_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr('affekt.runs.write_atomically', full)
    (tmp_path / 'there').mkdir()
    for name in ('new', 'there'):
        with pytest.raises(StorageError, match='No space left'):
            Run(tmp_path / name, {'fps': 5})
    assert [path.name for path in tmp_path.rglob('*')] == ['there']


def test_other_settings_are_named_when_resuming(tmp_path):
    with Run(tmp_path / 'run', {'fps': 5, 'asr': 'base'}) as run:
        _with_result(run)
    with pytest.raises(RunError, match='fps'):
        Run(tmp_path / 'run', {'fps': 6, 'asr': 'base'}, resume=True)


def _with_result(run):
    (run.folder / 'a').write_text('1')
    run.note('a', 'a')


def test_a_run_killed_before_its_first_result_begins_anew_with_other_settings(tmp_path):
    folder = tmp_path / 'run'
    Run(folder, {'weights': 'bad'}).close()
    (folder / '.a.affekt-part').write_text('half')
    with Run(folder, {'weights': 'good'}, resume=True) as run:
        assert read_settings(folder)['settings'] == {'weights': 'good'}
        _with_result(run)
    with pytest.raises(RunError, match='other values for weights'):
        Run(folder, {'weights': 'bad'}, resume=True)


@pytest.mark.parametrize('name', ['step-000010.safetensors', 'epoch-1/log.jsonl', '.hidden-state'])
def test_files_that_no_journal_lists_keep_a_run_from_beginning_with_other_settings(tmp_path, name):
    folder = tmp_path / 'run'
    Run(folder, {'fps': 5}).close()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text('1')
    with pytest.raises(RunError, match='other values for fps'):
        Run(folder, {'fps': 6}, resume=True)


def test_a_setting_within_another_is_named_by_its_path(tmp_path):
    saved = {'seed': 1, 'settings': {'epochs': 5, 'batch_size': 32, 'shape': {'hidden': 8}}, 'features': {'text': 'a'}}
    with Run(tmp_path / 'run', saved) as run:
        _with_result(run)
    wanted = saved | {'settings': {'epochs': 6, 'shape': {'hidden': 9}, 'batch_size': 32}, 'features': None}
    with pytest.raises(RunError, match=r'other values for features, settings\.epochs, settings\.shape\.hidden'):
        Run(tmp_path / 'run', wanted, resume=True)


def test_two_writers_do_not_share_a_run(tmp_path):
    with Run(tmp_path / 'run', {}), pytest.raises(RunError, match='in use'):
        Run(tmp_path / 'run', {}, resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('chapter 1')
    with pytest.raises(RunError, match=r'thesis\.txt'):
        Run(tmp_path, {})
    assert (tmp_path / 'thesis.txt').read_text() == 'chapter 1'


@pytest.mark.parametrize('text', ['{"editor.fontSize": 12}', '[1]', '{', '{}', '{"settings": 3}'])
@pytest.mark.parametrize('resume', [False, True])
def test_a_folder_with_the_settings_of_another_program_is_left_alone(tmp_path, text, resume):
    (tmp_path / 'settings.json').write_text(text)
    with pytest.raises(RunError, match=r'settings\.json'):
        Run(tmp_path, {}, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ['settings.json']
    assert (tmp_path / 'settings.json').read_text() == text


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
    monkeypatch.setattr('affekt.files.require_regular_file', lambda path: None)
    with pytest.raises(FileError, match='pipe'):
        file_sha256(_pipe(tmp_path))


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc')
    (tmp_path / 'link').symlink_to('a')
    # sha256('abc'), FIPS 180-4, appendix B.1
    assert file_sha256(tmp_path / 'link').startswith('ba7816bf8f01cfea')
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / 'none')


HIDDEN = ('.Trash-1000', '.pre-commit-config.yaml', '.git', '.DS_Store', '.clip-abc-x1', '.lock')


@pytest.mark.parametrize('name', HIDDEN)
def test_a_folder_with_a_hidden_entry_of_somebody_else_is_refused_and_left_as_it_is(tmp_path, name):
    (tmp_path / name).write_text('theirs')
    with pytest.raises(RunError, match='other entry') as refused:
        Run(tmp_path, {})
    assert name in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == 'theirs'


def test_hidden_entries_of_others_in_a_run_outlive_every_resume(tmp_path):
    Run(tmp_path / 'run', {}).close()
    for name in HIDDEN[:-1]:
        (tmp_path / 'run' / name).mkdir()
        (tmp_path / 'run' / name / 'theirs').touch()
    for _ in range(2):
        with Run(tmp_path / 'run', {}, resume=True) as run, run.building('a') as staging:
            (staging / 'b').touch()
    assert all((tmp_path / 'run' / name / 'theirs').exists() for name in HIDDEN[:-1])


def test_a_run_killed_while_it_built_a_result_is_rid_of_it_even_if_the_result_is_never_built_again(tmp_path):
    code = (
        'import os, sys, pathlib\nfrom affekt.runs import Run\n'
        'with Run(pathlib.Path(sys.argv[1]), {}) as run, run.building("clip-1") as staging:\n'
        '    (staging / "half").write_text("x"); os.kill(os.getpid(), 9)'
    )
    run = tmp_path / 'run'
    assert subprocess.run([sys.executable, '-c', code, run]).returncode == -9
    assert (run / '.clip-1.affekt-part' / 'half').exists()
    (run / '.clip-2.affekt-part').mkdir()  # of no name that this run wrote down
    Run(run, {}, resume=True).close()
    assert sorted(path.name for path in run.iterdir()) == ['.clip-2.affekt-part', '.lock', 'settings.json']


def test_what_a_run_wrote_down_cannot_name_a_place_outside_it(tmp_path):
    Run(tmp_path / 'run', {}).close()
    (tmp_path / '.x.affekt-part').mkdir()
    (tmp_path / 'run' / '.lock').write_text('../x\n')
    Run(tmp_path / 'run', {}, resume=True).close()
    assert (tmp_path / '.x.affekt-part').exists()


def test_links_in_the_place_of_what_a_run_writes_on_are_not_followed(tmp_path):
    (tmp_path / 'thesis.txt').write_text('chapter 1')
    for name in ('.lock', 'journal.jsonl'):
        Run(tmp_path / name / 'run', {}).close()
        (tmp_path / name / 'run' / name).unlink(missing_ok=True)
        (tmp_path / name / 'run' / name).symlink_to(tmp_path / 'thesis.txt')
        with pytest.raises(StorageError, match='link'), Run(tmp_path / name / 'run', {}, resume=True) as run:
            run.note('a', 'a')
    assert (tmp_path / 'thesis.txt').read_text() == 'chapter 1'


def _noted(folder):
    with Run(folder, {}) as run, run.building('clip') as staging:
        (staging / 'people').mkdir()
        (staging / 'people' / '1.jpg').write_bytes(bytes(range(256)) * 400)
        (staging / 'analysis.json').write_text('{"whole": true}')
    with Run(folder, {}, resume=True) as run:
        run.note('key', 'clip', sha256='abc')
    return folder / 'clip'


def _lose(path):
    path.unlink()


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _zero(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize('name', ['analysis.json', 'people/1.jpg'])
@pytest.mark.parametrize('damage', [_lose, _truncate, _zero])
def test_a_noted_result_that_is_not_whole_is_done_again_and_that_is_said(tmp_path, caplog, name, damage):
    result = _noted(tmp_path / 'run')
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key').facts == {'sha256': 'abc'}
    assert caplog.text == ''
    damage(result / name)
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key') is None
        assert f'clip/{name}' in caplog.text
        assert 'done again' in caplog.text
        run.note('key', 'clip', sha256='def')
        assert run.finished('key').facts == {'sha256': 'def'}


def test_entries_of_older_runs_count_while_their_main_file_is_there(tmp_path):
    result = _noted(tmp_path / 'run')
    (tmp_path / 'run' / 'journal.jsonl').write_text('{"folder": "clip", "key": "key"}\n')
    (result / 'people' / '1.jpg').unlink()
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key', main='analysis.json')
    (result / 'analysis.json').write_text('')
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key', main='analysis.json') is None


def test_a_run_that_an_older_version_was_killed_in_goes_on(tmp_path):
    _noted(tmp_path / 'run')
    (tmp_path / 'run' / '.lock').write_text('')
    (tmp_path / 'run' / '.other-clip-a1b2c3d4-x9').mkdir()
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key')


def test_lines_that_no_run_writes_are_left_out(tmp_path):
    Run(tmp_path / 'run', {}).close()
    lines = ['[' * 5000, 'null']
    lines += ['{"key": 3, "folder": "a"}', '{"key": "b", "folder": ["a"]}', '{"key": "c", "folder": "a"}']
    for files in ('5', '[]', '{"a": 5}', '{"a": []}', '{"a": null}', '{"a": ["1", "b"]}', '{"a": [1, "b", 2]}'):
        lines.append(f'{{"key": "d", "folder": "a", "files": {files}}}')
    (tmp_path / 'run' / 'journal.jsonl').write_text('\n'.join(lines))
    assert [entry.key for entry in read_journal(tmp_path / 'run')] == ['c']
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('d') is None


def test_facts_of_a_damaged_result_change_and_it_stays_damaged(tmp_path):
    result = _noted(tmp_path / 'run')
    (result / 'analysis.json').write_text('{}')
    with Run(tmp_path / 'run', {}, resume=True) as run:
        run.amend('key', state='vanished')
    with Run(tmp_path / 'run', {}, resume=True) as run:
        assert run.finished('key') is None
    assert [entry.facts for entry in read_journal(tmp_path / 'run')][-1] == {'sha256': 'abc', 'state': 'vanished'}


def test_a_run_that_is_removed_leaves_what_is_not_its_own(tmp_path):
    for name in ('a', 'b'):
        with Run(tmp_path / name, {}) as run:
            (run.folder / 'part-1').touch()
            run.note('1', 'part-1')
    (tmp_path / 'b' / 'theirs').touch()
    for name in ('a', 'b'):
        remove_run(tmp_path / name, ['part-1'])
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob('*'))] == ['b', 'b/theirs']


def test_every_file_has_a_hash_though_two_share_a_name(tmp_path):
    paths = [tmp_path / 'a' / 'x.csv', tmp_path / 'b' / 'x.csv', tmp_path / 'b' / 'y.csv']
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    assert hashes_of(paths[1:]) == {'x.csv': file_sha256(paths[1]), 'y.csv': file_sha256(paths[2])}
    assert hashes_of([*paths, paths[0]]) == {
        str(paths[0]): file_sha256(paths[0]), str(paths[1]): file_sha256(paths[1]), 'y.csv': file_sha256(paths[2]),
    }  # fmt: skip
