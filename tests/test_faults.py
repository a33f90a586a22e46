"""One folder with one of every fault: every file is named, the good ones are analyzed, and the run can go on."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from affekt.analysis import AnalysisSettings
from affekt.batch.exports import export_run
from affekt.batch.running import analyze_many
from affekt.cli import main
from affekt.containers import is_media_name
from affekt.weights import MODELS, state

NEEDED = ('face_landmarker.task', 'silero_vad.onnx')
LINES = '1\n00:00:00,000 --> 00:00:01,000\nhalf \ud800 a pair\n'


@pytest.fixture(scope='module')
def faults(shared_data, tmp_path_factory):
    """The faults of the shared data, and entries that no archive can hold."""
    if not (shared_data / 'faults').is_dir():
        pytest.skip('the folder of faults is absent from the test data')
    if missing := [name for name in NEEDED if state(MODELS[name]) != 'verified']:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')
    folder = tmp_path_factory.mktemp('faults') / 'clips'
    shutil.copytree(shared_data / 'faults', folder, copy_function=shutil.copyfile)
    for inside in (folder, *folder.rglob('*')):
        inside.chmod(0o755)
    good = (shared_data / 'test_media' / 'single_face.jpg').read_bytes()
    (folder / 'good.jpg').write_bytes(good)
    (folder / 'folders' / 'the_same.jpg').write_bytes(good)
    (folder / b'caf\xe9.jpg'.decode('utf-8', 'surrogateescape')).write_bytes(good + b'\0')
    os.mkfifo(folder / 'pipe.mp4')
    (folder / 'dangling.mp4').symlink_to('gone.mp4')
    (folder / 'device.wav').symlink_to('/dev/zero')
    (folder / 'sound' / 'loop').symlink_to('..')
    (folder / 'empty.mp4').touch()
    (folder / 'unreadable').mkdir()
    shutil.copy(folder / 'media' / 'trailing.wav', folder / 'surrogate.wav')
    with (folder / 'surrogate.wav').open('ab') as file:
        file.write(b'\0')
    (folder / 'surrogate.srt').write_bytes(LINES.encode('utf-16', 'surrogatepass'))
    return folder


@pytest.fixture(autouse=True, scope='module')
def unreadable():
    """A folder that may not be listed, also by root."""
    scandir = os.scandir

    def refuse(folder='.'):
        if str(folder).endswith('unreadable'):
            raise PermissionError(13, 'Permission denied', str(folder))
        return scandir(folder)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, 'scandir', refuse)
        yield


@pytest.fixture(scope='module')
def worked_through(faults, unreadable):
    """The run that the command line made of the folder, and how the command ended."""
    run = faults.parent / 'run'
    words = ['analyze', faults, '--out', run, '--asr', 'none', '--fps', 1, '--subtitles', '--json']
    return run, CliRunner().invoke(main, [str(word) for word in words])


def _media_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if is_media_name(path)}


def test_the_command_line_names_every_file_and_ends_with_2(faults, worked_through):
    _, result = worked_through
    assert result.exit_code == 2
    assert 'Traceback' not in result.output
    content = json.loads(result.stdout)
    assert {os.path.relpath(file['input'], faults) for file in content['files']} == {
        path.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
        for path in _media_in(faults) | {'unreadable'}
    }
    assert content['left_out']['.npy'] > 0
    assert any('searched already' in remark for remark in content['remarks'])
    done = [file for file in content['files'] if 'source' in file]
    assert all(file['sha256'] == file['source']['sha256'] for file in done)
    lost = {file['file']: file['source']['lost'] for file in done}
    assert lost['media/trailing.wav']['bytes'] > 0
    assert not lost['media/trailing.wav']['is_complete']
    assert lost['folders/mixed_endings/a.jpg']['is_complete']


def test_a_folder_with_one_of_every_fault_is_worked_through_and_the_run_goes_on(faults, worked_through, tmp_path):
    run, result = worked_through
    failed = {file['file'] for file in json.loads(result.stdout)['files'] if 'error' in file}
    assert failed >= {'dangling.mp4', 'device.wav', 'pipe.mp4', 'empty.mp4', 'unreadable'}

    (faults / 'empty.mp4').write_bytes((faults / 'folders/mixed_endings/f.mts').read_bytes() + b'\0' * 188)
    resumed = analyze_many([faults], run, AnalysisSettings(asr='none', fps=1, subtitles=True), resume=True)
    assert {outcome.path.relative_to(faults).as_posix() for outcome in resumed} == _media_in(faults) | {'unreadable'}
    assert {outcome.file for outcome in resumed if not outcome.resumed} == failed
    assert {outcome.file for outcome in resumed.failed} == failed - {'empty.mp4'}
    assert all(outcome.error.todo for outcome in resumed.failed), resumed.failed
    assert {outcome.file for outcome in resumed.analyzed} >= {
        r'caf\xe9.jpg', 'folders/the_same.jpg', 'folders/mixed_endings/f.mts', 'media/trailing.wav', 'empty.mp4'
    }  # fmt: skip
    assert [(outcome.file, outcome.same_as) for outcome in resumed.copies] == [('good.jpg', 'folders/the_same.jpg')]
    assert not {'.npy', '.srt'} - set(resumed.left_out)
    assert all(outcome.report_page.stat().st_size > 10_000 for outcome in resumed.analyzed)
    for to in ('csv', 'eaf', 'vtt'):  # a table, tiers, and subtitles; every format has tests of its own
        assert len(export_run(run, to, tmp_path / to)) == len(resumed.analyzed)
