"""Files and folders that appear whole or not at all, and what a person reads where they cannot be written."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import FileError, StorageError
from affekt.files import (
    OLD,
    file_atomically,
    folder_atomically,
    part_of,
    place_atomically,
    remove_folder,
    require_own_output,
    require_room_for_folder,
    require_writable,
    storage_error,
    write_atomically,
)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_kill_left_of_a_file_is_taken_over_by_the_next_writing(tmp_path):
    part_of(tmp_path / 'a.csv').write_text('half of someth')
    write_atomically(tmp_path / 'a.csv', b'whole')
    assert _names(tmp_path) == ['a.csv']
    assert (tmp_path / 'a.csv').read_bytes() == b'whole'


@pytest.mark.parametrize('kind', ['folder', 'link', 'second name'])
def test_what_is_no_part_of_ours_but_has_its_name_is_left_alone(tmp_path, kind):
    thesis, part = tmp_path / 'thesis.txt', part_of(tmp_path / 'a.csv')
    thesis.write_text('chapter 1')
    if kind == 'folder':
        part.mkdir()
    elif kind == 'link':
        part.symlink_to(thesis)
    else:
        part.hardlink_to(thesis)
    write_atomically(tmp_path / 'a.csv', b'whole')
    assert (tmp_path / 'a.csv').read_bytes() == b'whole'
    assert thesis.read_text() == 'chapter 1'
    assert _names(tmp_path) == sorted([part.name, 'a.csv', 'thesis.txt'])


def test_two_writers_at_once_leave_one_of_their_contents_whole(tmp_path):
    target, both = tmp_path / 'a.bin', threading.Barrier(2)

    def write(content: bytes) -> None:
        with file_atomically(target) as file:
            both.wait()
            file.write(content)
            both.wait()

    writers = [threading.Thread(target=write, args=(letter * 100_000,)) for letter in (b'a', b'b')]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert target.read_bytes() in (b'a' * 100_000, b'b' * 100_000)
    assert _names(tmp_path) == ['a.bin']


def test_a_writer_that_wants_a_path_gets_one_with_the_right_suffix(tmp_path):
    with place_atomically(tmp_path / 'a.wav') as part:
        assert part.suffix == '.wav'
        part.write_bytes(b'whole')
    assert _names(tmp_path) == ['a.wav']
    with pytest.raises(RuntimeError), place_atomically(tmp_path / 'b.wav') as part:
        raise RuntimeError
    assert _names(tmp_path) == ['a.wav']


def test_a_name_as_long_as_the_system_takes_is_written(tmp_path):
    write_atomically(tmp_path / ('ä' * 125 + '.txt'), b'whole')
    assert len(_names(tmp_path)) == 1


def test_a_folder_that_replaces_one_with_files_of_others_keeps_that_aside(tmp_path):
    for content in ('first', 'second'):
        with folder_atomically(tmp_path / 'result') as staging:
            (staging / 'scores.txt').write_text(content)
    assert _names(tmp_path) == ['result']
    for number in (1, 2):
        (tmp_path / 'result' / 'my notes.txt').write_text(f'seen {number}')
        with folder_atomically(tmp_path / 'result') as staging:
            (staging / 'scores.txt').write_text('third')
    assert _names(tmp_path) == ['result', 'result.old', 'result.old-2']
    assert (tmp_path / 'result.old' / 'my notes.txt').read_text() == 'seen 1'
    assert (tmp_path / 'result.old-2' / 'my notes.txt').read_text() == 'seen 2'


def test_a_kill_between_both_renames_of_a_folder_loses_nothing(tmp_path):
    for name in ('.result.affekt-part', '.result.affekt-old'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'scores.txt').write_text('earlier')
    with folder_atomically(tmp_path / 'result') as staging:
        (staging / 'scores.txt').write_text('now')
    assert _names(tmp_path) == ['result']
    assert (tmp_path / 'result' / 'scores.txt').read_text() == 'now'


@pytest.mark.parametrize(('older_files', 'kept'), [(('a',), []), (('a', 'foreign'), ['result.old'])])
def test_a_kill_after_a_folder_was_replaced_does_not_block_the_next_writing(tmp_path, older_files, kept):
    for folder, names in ((part_of(tmp_path / 'result', OLD), older_files), (tmp_path / 'result', ('a',))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text('older')
    with folder_atomically(tmp_path / 'result') as staging:
        (staging / 'a').write_text('new')
    assert (tmp_path / 'result' / 'a').read_text() == 'new'
    assert _names(tmp_path) == ['result', *kept]


@pytest.mark.parametrize(
    ('number', 'advice'),
    [
        (errno.ENOSPC, 'make room'),
        (errno.EDQUOT, 'quota'),
        (errno.EROFS, 'another disk'),
        (errno.EACCES, 'permissions'),
        (errno.ENOTDIR, 'a file stands where a folder should be'),
        (errno.ENAMETOOLONG, 'shorter'),
        (errno.EPROTO, 'check the path'),
    ],
)
def test_an_error_of_the_system_is_a_sentence_with_the_path_and_what_to_do(number, advice):
    explained = storage_error(OSError(number, os.strerror(number)), Path('out/a.csv'))
    assert 'out/a.csv' in str(explained)
    assert os.strerror(number) in str(explained)
    assert advice in str(explained)


def test_a_file_where_a_folder_should_be_and_a_path_too_long_are_named(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(StorageError, match='a file stands where a folder should be'):
        write_atomically(tmp_path / 'file' / 'below' / 'a.csv', b'x')
    with pytest.raises(StorageError, match='a shorter path'):
        write_atomically(tmp_path / ('a' * 5000), b'x')
    with pytest.raises(StorageError, match='/proc'):
        write_atomically(Path('/proc/nowhere/a.csv'), b'x')
    assert _names(tmp_path) == ['file']


def test_no_room_is_an_error_on_the_file_and_the_old_content_stays(tmp_path):
    target = tmp_path / 'a.csv'
    write_atomically(target, b'old')
    limits, answer = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r'a\.csv: File too large'):
            write_atomically(target, b'new' * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, answer)
    assert target.read_bytes() == b'old'
    assert _names(tmp_path) == ['a.csv']


def test_a_kill_within_a_writing_leaves_the_old_content_and_one_name_that_goes_with_the_next(tmp_path):
    target = tmp_path / 'a.csv'
    write_atomically(target, b'old')
    code = (
        'import os, sys, pathlib\nfrom affekt.files import file_atomically\n'
        'with file_atomically(pathlib.Path(sys.argv[1])) as file:\n'
        '    file.write(b"n" * 100000); file.flush(); os.kill(os.getpid(), 9)'
    )
    assert subprocess.run([sys.executable, '-c', code, target]).returncode == -9
    assert target.read_bytes() == b'old'
    assert _names(tmp_path) == [part_of(target).name, 'a.csv']
    write_atomically(target, b'new')
    assert _names(tmp_path) == ['a.csv']


@pytest.mark.parametrize('make', [Path.touch, os.mkfifo, lambda path: path.symlink_to('nowhere')])
def test_what_is_no_folder_is_refused_before_the_work_that_would_fill_it(tmp_path, make):
    make(tmp_path / 'out')
    with pytest.raises(StorageError, match='a file stands where a folder should be'):
        require_room_for_folder(tmp_path / 'out')
    require_room_for_folder(tmp_path)
    require_room_for_folder(tmp_path / 'new')


def test_a_folder_whose_removal_is_killed_is_not_found_in_part(tmp_path, monkeypatch):
    folder = tmp_path / 'run'

    def fill():
        folder.mkdir()
        (folder / 'log.jsonl').write_text('rows')
        (folder / 'settings.json').write_text('{}')

    def killed(path, **_):
        if Path(path).exists():
            (Path(path) / 'settings.json').unlink()
            raise KeyboardInterrupt

    fill()
    with monkeypatch.context() as patch:
        patch.setattr('affekt.files.shutil.rmtree', killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(folder)
    assert not folder.exists()
    fill()
    remove_folder(folder)
    assert _names(tmp_path) == []
    remove_folder(folder)  # none: no error


@pytest.mark.parametrize('name', ['.', '..', '/', 'a-folder'])
def test_a_folder_is_no_file_to_write_and_one_without_a_name_is_not_replaced(tmp_path, monkeypatch, name):
    (tmp_path / 'here' / 'a-folder').mkdir(parents=True)
    monkeypatch.chdir(tmp_path / 'here')
    for write in (require_writable, lambda path: write_atomically(path, b'')):
        with pytest.raises(StorageError, match='a folder'):
            write(Path(name))
    if name != 'a-folder':
        with pytest.raises(StorageError), folder_atomically(Path(name)):
            pass
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')] == ['here', 'here/a-folder']


def test_an_output_under_any_name_of_its_input_is_refused(tmp_path):
    table = tmp_path / 'table.csv'
    table.write_text('name\n')
    (tmp_path / 'link.csv').symlink_to(table)
    os.link(table, tmp_path / 'same.csv')
    for name in ('table.csv', 'link.csv', 'same.csv'):
        with pytest.raises(FileError, match='an output of its own'):
            require_own_output(tmp_path / name, (None, tmp_path / 'missing.csv', table))
    require_own_output(tmp_path / 'other.csv', (None, tmp_path / 'missing.csv', table))


@pytest.mark.parametrize(
    ('words', 'kept'),
    [
        (('extract', 'a.csv', '--out', './a.csv'), 'a.csv'),
        (('judge', 'a.csv', 'b.csv', '--reference', 'longer text', '--out', 'b.csv'), 'b.csv'),
        (('judge', 'pairs.csv', '--reference', 'longer text', '--out', 'pairs.csv'), 'pairs.csv'),
        (('judge', 'x.showings.csv', 'b.csv', '--reference', 'longer text', '--out', 'x.csv'), 'x.showings.csv'),
        (('prefer', 'predict', 'model', 'pairs.csv', '--out', 'pairs.csv'), 'pairs.csv'),
        (('track', 'write', 'mer2023-semi', 'a.csv', '--out', 'a.csv'), 'a.csv'),
        (('rank', 'pairs.csv', '--html', 'pairs.csv'), 'pairs.csv'),
        (('rank', 'study', '--html', 'study/journal.jsonl'), 'study/journal.jsonl'),
        (('caption', 'stats', 'a.csv', '--html', 'a.csv'), 'a.csv'),
        (('caption', 'stats', 'captions', '--html', 'captions/captions.csv'), 'captions/captions.csv'),
        (
            ('caption', 'stats', 'captions', '--html', 'captions/second_language.csv'),
            'captions/second_language.csv',
        ),
        (
            ('caption', 'stats', 'a.csv', '--filtered', 'captions', '--html', 'captions/left_out.csv'),
            'captions/left_out.csv',
        ),
        (('corpus', 'import', 'folder', 'mine', '--out', 'mine/samples.csv'), 'mine/samples.csv'),
    ],
)
def test_a_command_keeps_the_table_that_it_reads(words, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('captions', 'study'):
        (tmp_path / name).mkdir()
    (tmp_path / 'study' / 'journal.jsonl').write_text('')
    for name in ('a', 'b', 'x.showings', 'captions/captions', 'captions/second_language', 'captions/left_out'):
        (tmp_path / f'{name}.csv').write_text(f'name,description\nclip,Happy in {name}.\n')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'samples.csv').write_text('sample,category\na,anger\n')
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\nclip,Happy.,Sad.\n')
    before = (tmp_path / kept).read_bytes()
    ran = CliRunner().invoke(main, words)
    assert (ran.exit_code, 'an output of its own' in ran.output) == (2, True), ran.output
    assert (tmp_path / kept).read_bytes() == before


def test_a_manifest_in_the_folder_of_a_release_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'samples.csv').write_text('sample,category\na,anger\n')
    words = ('corpus', 'import', 'folder', 'mine', '--out', 'mine/manifest.parquet')
    for _ in range(2):
        ran = CliRunner().invoke(main, words)
        assert ran.exit_code == 0, ran.output
