"""What named files and folders hold: clips with their paths, problems of single entries, and what is left out."""

from __future__ import annotations

import os
import socket

import pytest

from affekt.analysis.records import parts_of
from affekt.batch.folders import gather
from affekt.errors import MediaError


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / 'clips'
    for name in ('b.wav', 'a.MP4', 'happy/one/a.wav', 'sad/a.wav', 'sad/notes.txt', 'readme', '.hidden.wav'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def _files(gathered):
    return [clip.file for clip in gathered.clips]


def test_clips_are_named_by_their_path_below_the_named_folder(clips):
    gathered = gather([clips])
    assert _files(gathered) == ['a.MP4', 'b.wav', 'happy/one/a.wav', 'sad/a.wav']
    assert [clip.parts for clip in gathered.clips] == [(), (), ('happy', 'one'), ('sad',)]
    assert parts_of('happy/one/a.wav') == ('happy', 'one')


def test_what_is_left_out_is_counted_by_ending(clips):
    assert gather([clips]).left_out == {'.txt': 1, '(no ending)': 1, '(hidden)': 1}


def test_clips_of_several_named_paths_are_named_from_the_folder_that_all_share(clips):
    assert _files(gather([clips / 'sad', clips / 'happy'])) == ['sad/a.wav', 'happy/one/a.wav']
    assert _files(gather([clips / 'sad' / 'a.wav', clips / 'b.wav'])) == ['sad/a.wav', 'b.wav']
    assert _files(gather([clips / 'sad' / 'a.wav'])) == ['a.wav']
    assert _files(gather([clips, clips / 'b.wav'])) == [
        'clips/a.MP4', 'clips/b.wav', 'clips/happy/one/a.wav', 'clips/sad/a.wav',
    ]  # fmt: skip


def test_the_name_does_not_depend_on_where_one_stands(clips, monkeypatch):
    monkeypatch.chdir(clips / 'sad')
    assert _files(gather(['..'])) == _files(gather([clips]))
    assert _files(gather(['.'])) == ['a.wav']


def test_each_entry_that_cannot_be_read_is_a_problem_of_its_own(clips, monkeypatch):
    os.mkfifo(clips / 'pipe.mp4')
    (clips / 'dangling.mp4').symlink_to('nowhere.mp4')
    (clips / 'itself').symlink_to('itself')
    (clips / 'device.wav').symlink_to('/dev/zero')
    (clips / 'closed').mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(clips)  # a socket's path is at most 108 bytes
        server.bind('socket.wav')
        scandir = os.scandir

        def closed(folder):
            if str(folder).endswith('closed'):
                raise PermissionError(13, 'Permission denied')
            return scandir(folder)

        monkeypatch.setattr(os, 'scandir', closed)
        gathered = gather([clips])
    problems = {clip.file: str(error) for clip, error in gathered.problems}
    assert sorted(problems) == ['closed', 'dangling.mp4', 'device.wav', 'itself', 'pipe.mp4', 'socket.wav']
    assert 'pipe' in problems['pipe.mp4']
    assert 'device' in problems['device.wav']
    assert 'link' in problems['dangling.mp4']
    assert 'Permission denied' in problems['closed']
    assert len(gathered.clips) == 4


def test_what_is_named_twice_is_taken_once(clips, monkeypatch):
    once = gather([clips])
    for named in ([clips, clips], [clips, clips / 'sad'], [clips / 'sad', clips]):
        assert len(gather(named).clips) == len(once.clips)
        assert gather(named).problems == ()
    monkeypatch.chdir(clips)
    assert len(gather(['b.wav', clips / 'b.wav', '.']).clips) == len(once.clips)


def test_files_in_a_folder_that_lists_names_alone_are_problems(clips, monkeypatch):
    stat = os.stat

    def refuse(path, **more):
        if 'happy' in os.fspath(path):
            raise PermissionError(13, 'Permission denied')
        return stat(path, **more)

    monkeypatch.setattr(os, 'stat', refuse)
    monkeypatch.setattr(os, 'lstat', lambda path: refuse(path, follow_symlinks=False))
    gathered = gather([clips])
    assert len(gathered.clips) == 3
    assert 'Permission denied' in str(gathered.problems[0][1])


def test_links_to_folders_are_followed_once_and_loops_end(clips, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'c.wav').touch()
    (clips / 'A-link').symlink_to(tmp_path / 'elsewhere')
    (clips / 'sad' / 'loop').symlink_to('..')
    gathered = gather([clips])
    assert 'A-link/c.wav' in _files(gathered)
    assert len(gathered.clips) == 5
    assert ['searched already' in remark for remark in gathered.remarks] == [True]


def test_the_folders_of_runs_are_not_searched_and_that_is_said(clips):
    (clips / 'run').mkdir()
    (clips / 'run' / 'journal.jsonl').touch()
    (clips / 'run' / 'still.jpg').touch()
    gathered = gather([clips])
    assert len(gathered.clips) == 4
    assert 'run' in gathered.remarks[0]


def test_names_that_are_no_utf8_are_found(clips):
    name = b'caf\xe9.wav'.decode('utf-8', 'surrogateescape')
    (clips / name).touch()
    assert name in _files(gather([clips]))


def test_a_missing_path_beside_others_is_its_own_problem(clips):
    gathered = gather([clips / 'b.wav', clips / 'nowhere.wav'])
    assert _files(gathered) == ['b.wav']
    assert [clip.file for clip, _ in gathered.problems] == ['nowhere.wav']


def test_nothing_to_analyze_is_refused_with_what_was_there(clips, tmp_path):
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'a.txt').touch()
    with pytest.raises(MediaError, match=r'1 \.txt'):
        gather([tmp_path / 'texts'])
    with pytest.raises(MediaError, match='nowhere'):
        gather([tmp_path / 'nowhere'])
    with pytest.raises(MediaError, match=r'nowhere.*elsewhere'):
        gather([tmp_path / 'nowhere', tmp_path / 'elsewhere'])
