"""How a command ends before its end: by a signal, a full disk, a reader that goes away; and what is said meanwhile."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.cli.group import Affekt, signals_asking
from affekt.cli.help import Verb
from affekt.containers import Limits, Source, WatchedFile
from affekt.errors import missing_extra
from affekt.media import Recording, write_audio
from affekt.media.synthetic import tone
from affekt.runs import Run, write_atomically
from affekt.terminal import StageBars, say
from affekt.workers import workers


def _ran(action, *words: str, resume: bool = False):
    """The outcome of a verb that does `action`."""

    @click.group(cls=Affekt)
    def group() -> None: ...

    options = [click.Option(['--resume'], is_flag=True)] if resume else []
    group.add_command(Verb('work', callback=lambda **_: action(), params=options))
    return CliRunner().invoke(group, ['work', *words])


@pytest.mark.parametrize(('number', 'code', 'name'), [(signal.SIGTERM, 143, 'SIGTERM'), (signal.SIGINT, 130, 'Ctrl-C')])
@pytest.mark.parametrize('resume', [False, True])
def test_a_signal_says_what_is_kept_and_how_to_go_on(tmp_path, number, code, name, resume):
    def work() -> None:
        with Run(tmp_path / 'run', {}) as run:
            write_atomically(run.folder / 'a', b'x')
            run.note('a', 'a')
            signal.raise_signal(number)

    before = signal.getsignal(number)
    result = _ran(work, resume=resume)
    assert result.exit_code == code
    said = result.stderr.splitlines()
    assert said[0] == f'stopped by {name}'
    assert said[1] == f'1 finished result is kept in {tmp_path / "run"}'
    assert said[2] == f'to continue, run the same command again{" with --resume" if resume else ""}'
    assert len(said) == 3
    assert signal.getsignal(number) is before


def test_a_signal_to_a_run_says_so_where_no_result_is_finished(tmp_path):
    def work() -> None:
        with Run(tmp_path / 'run', {}):
            signal.raise_signal(signal.SIGINT)

    assert _ran(work, resume=True).stderr.splitlines()[1] == f'no result is finished yet in {tmp_path / "run"}'


def test_that_nothing_is_finished_is_said_once_where_a_run_lies_within_a_run(tmp_path):
    def work() -> None:
        with Run(tmp_path / 'run', {}), Run(tmp_path / 'run/clips', {}):
            raise OSError(errno.ENOSPC, 'No space left on device', 'a.csv')

    said = _ran(work, resume=True).stderr.splitlines()
    assert said[2:] == [
        f'no result is finished yet in {tmp_path / "run/clips"}',
        'to continue, run the same command again with --resume',
    ]


@pytest.mark.parametrize('has_advice', [False, True])
def test_a_signal_during_an_import_is_not_told_as_a_library_that_cannot_be_imported(tmp_path, has_advice):
    def work() -> None:
        with Run(tmp_path / 'run', {}):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as interrupt:  # so do extensions written with pybind11
                error = ImportError('initialization failed')
                raise (missing_extra('onnxruntime', 'voice') if has_advice else error) from interrupt

    result = _ran(work, resume=True)
    assert result.exit_code == 130
    assert result.stderr.splitlines() == [
        'stopped by Ctrl-C',
        f'no result is finished yet in {tmp_path / "run"}',
        'to continue, run the same command again with --resume',
    ]


def test_a_signal_where_nothing_is_kept_says_so():
    result = _ran(lambda: signal.raise_signal(signal.SIGINT))
    assert result.exit_code == 130
    assert 'no incomplete files were left' in result.stderr


def test_the_second_signal_ends_a_command_that_does_not_heed_the_first(tmp_path):
    code = (
        'import click, os, signal\nfrom affekt.cli.group import Affekt\n'
        '@click.group(cls=Affekt)\ndef group(): ...\n'
        '@group.command()\ndef work():\n'
        '    try:\n        os.kill(os.getpid(), signal.SIGINT); signal.pause()\n'
        '    except KeyboardInterrupt:\n        os.kill(os.getpid(), signal.SIGINT); signal.pause()\n'
        'group(["work"])'
    )
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == -signal.SIGINT


@pytest.mark.parametrize('is_asked', [False, True])
def test_a_signal_that_the_parent_process_ignores_stays_ignored_after_another(is_asked):
    seen = []

    def work() -> None:
        with signals_asking(lambda: None) if is_asked else contextlib.nullcontext():
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _ran(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIG_IGN]


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EPROTO])
def test_any_error_of_the_system_is_two_lines_with_the_path_and_exit_code_2(number):
    def fail() -> None:
        raise OSError(number, os.strerror(number), 'st[x]udy/a.csv')

    result = _ran(fail)
    assert result.exit_code == 2
    assert 'st[x]udy/a.csv' in result.stderr
    assert os.strerror(number) in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_a_link_to_itself_is_two_lines_with_its_path(tmp_path):
    (tmp_path / 'loop').symlink_to('loop')
    result = _ran(lambda: (tmp_path / 'loop').resolve())
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 2)
    assert str(tmp_path / 'loop') in result.stderr


def test_too_little_memory_is_two_lines():
    def fail() -> None:
        raise MemoryError

    result = _ran(fail)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ('error', 'advice'),
    [
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), 'ulimit -u'),  # of a new process
        (RuntimeError("can't start new thread"), 'ulimit -u'),
        (ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)), 'run the same command again'),
    ],
)
def test_an_error_of_the_system_without_a_path_advises_nothing_about_paths(error, advice):
    def fail() -> None:
        raise error

    result = _ran(fail)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 2)
    assert advice in result.stderr
    assert 'path' not in result.stderr


def test_what_was_finished_before_the_disk_was_full_is_named(tmp_path):
    def work() -> None:
        with Run(tmp_path / 'run', {}) as run:
            write_atomically(run.folder / 'a', b'x')
            run.note('a', 'a')
            write_atomically(Path('/dev/full/a'), b'x')

    result = _ran(work, resume=True)
    assert result.exit_code == 2
    assert '1 finished result is kept' in result.stderr
    assert '--resume' in result.stderr


@pytest.mark.parametrize('words', [['corpus', 'list'], ['corpus', 'list', '--json'], ['--help']])
def test_a_reader_that_goes_away_early_is_no_error(words):
    writing = subprocess.Popen(
        [sys.executable, '-m', 'affekt.cli', *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    writing.stdout.close()
    assert writing.stderr.read() == b''
    assert writing.wait() in (0, 1)
    writing.stderr.close()


def test_an_output_without_room_is_an_error():
    with Path('/dev/full').open('w') as full:
        ended = subprocess.run(
            [sys.executable, '-m', 'affekt.cli', 'corpus', 'list', '--json'],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 2
    assert 'No space left on device' in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_a_command_without_any_output_runs():
    ended = subprocess.run(f'{sys.executable} -m affekt.cli corpus list >&- 2>&-', shell=True)
    assert ended.returncode == 0


OUTPUTS = [
    ['corpus', 'import', 'folder', '{clips}', '--out', '{bad}/a.parquet'],
    ['rank', '{table}', '--html', '{bad}/a.html'],
    ['extract', '{texts}', '--out', '{bad}/a.csv'],
    ['judge', '{texts}', '{texts2}', '--reference', 'random', '--out', '{bad}/a.csv'],
    ['analyze', '{clips}', '--out', '{bad}/run', '--asr', 'none'],
    ['annotate', '{pairs}', '--without-media', '--out', '{bad}/votes'],
]


@pytest.fixture
def inputs(tmp_path):
    """Small inputs of several verbs, and places where nothing can be written."""
    import numpy as np

    from affekt.media.writing import write_audio

    (tmp_path / 'clips').mkdir()
    write_audio(tmp_path / 'clips' / 'a.wav', np.zeros(8000, np.float32), 16_000)
    (tmp_path / 'clips' / 'samples.csv').write_text('name,audio\na,a.wav\n')
    (tmp_path / 'table.csv').write_text('left,right,outcome\na,b,left\nb,a,left\na,b,right\n')
    for name in ('texts', 'texts2'):
        (tmp_path / f'{name}.csv').write_text(f'name,description\na,she is happy {name}\n')
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\na,happy,sad\n')
    (tmp_path / 'file').write_text('x')
    return {'clips': tmp_path / 'clips', 'file': tmp_path / 'file'} | {
        name: tmp_path / f'{name}.csv' for name in ('table', 'texts', 'texts2', 'pairs')
    }


@pytest.mark.parametrize('words', OUTPUTS, ids=lambda words: words[0])
@pytest.mark.parametrize('bad', ['{file}/below', '/proc/nowhere', '/dev/full', '{file}/' + 'a' * 300])
def test_every_verb_says_in_two_lines_that_a_place_cannot_be_written(inputs, words, bad):
    place = bad.format(**inputs)
    result = CliRunner().invoke(main, [word.format(bad=place, **inputs) for word in words])
    assert result.exit_code == 2, result.output
    said = [line for line in result.stderr.splitlines() if not line.endswith('loading …')]
    assert len(said) == 2
    assert said[0].startswith('error: expected')
    assert place[:40] in said[0]
    assert inputs['file'].read_text() == 'x'


def test_how_far_work_is_and_how_long_it_will_take_is_said_without_a_terminal(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr('affekt.terminal.time.monotonic', lambda: now[0])
    bars = StageBars()
    assert bars.standing() == 'at work for 0 seconds'
    bars('train', 2, 10)  # a resumed run begins at a fifth
    now[0] += 60
    assert bars.standing() == 'train 20%; time left not known yet, 60 seconds so far'
    bars('train', 4, 10)
    # a fifth a minute, three fifths to go
    assert bars.standing() == 'train 40%; about 3 minutes left, 60 seconds so far'
    bars('train', 10, 10)
    assert bars.standing() == 'at work for 60 seconds'


def test_lines_come_while_the_work_itself_is_silent(monkeypatch):
    said, lines = threading.Event(), []

    def hear(line: str, **_: object) -> None:
        lines.append(line)
        said.set()

    monkeypatch.setattr('affekt.terminal.say', hear)
    with StageBars(line_s=0.01):
        assert said.wait(30)
    assert lines[0].startswith('at work for')


def test_a_line_that_says_what_the_last_one_said_is_left_out(monkeypatch):
    lines, standing = [], iter(['3 minutes', '3 minutes', '4 minutes'])
    monkeypatch.setattr('affekt.terminal.say', lambda line, **_: lines.append(line))
    bars = StageBars()
    waits = iter([False, False, False, True])
    bars._stopped = SimpleNamespace(wait=lambda seconds: next(waits))
    bars.standing = lambda: next(standing)
    bars._say_regularly()
    assert lines == ['3 minutes', '4 minutes']


def test_a_verb_that_loads_for_long_says_so_first_on_standard_error_with_json_too():
    @click.group(cls=Affekt)
    def group() -> None: ...

    def work(as_json: bool) -> None:
        with StageBars() as bars:
            bars('judge', 1, 1)
        say('{}' if as_json else 'done')

    group.add_command(Verb('judge', callback=work, params=[click.Option(['--json', 'as_json'], is_flag=True)]))
    for words, printed in ((['judge'], 'done\n'), (['judge', '--json'], '{}\n')):
        result = CliRunner().invoke(group, words)
        assert result.stdout == printed
        assert re.fullmatch(r'judge: loading …\njudge done after \d\.\d s\n', result.stderr)


def _stopped_in_a_worker(number: int) -> int:
    if number:
        time.sleep(600)
    return number


def test_workers_are_not_waited_for_when_the_work_is_stopped():
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), workers(2, print, ('',), todo='') as pool:
        pool.submit(_stopped_in_a_worker, 1)
        assert pool.submit(_stopped_in_a_worker, 0).result() == 0
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 300


# raised between any two steps, the exception may come between opening a file and its `with`
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ffmpeg_reads_a_file_stops_the_verb_and_is_not_lost_in_a_traceback(
    tmp_path, monkeypatch, capfd, number
):
    write_audio(tmp_path / 'tone.wav', tone(0.5, 440.0), 16_000)
    check, sent = WatchedFile.check, []

    def checked(self) -> None:
        check(self)
        if not sent and sys._getframe(1).f_code.co_name == 'read':
            sent.append(number)
            signal.raise_signal(number)

    def work() -> None:
        recording = Recording.open(tmp_path / 'tone.wav')
        monkeypatch.setattr(WatchedFile, 'check', checked)
        end_s = time.monotonic() + 20.0
        while time.monotonic() < end_s:
            for _ in recording.samples():
                pass

    code = _ran(work).exit_code
    # the traceback holds the file: collected later, its warning would fail another test
    gc.collect()
    assert sent == [number]
    assert code == 128 + number
    assert 'Traceback' not in capfd.readouterr().err


def test_a_signal_in_a_finaliser_stops_the_verb_a_moment_later():
    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        Finalised()
        end_s = time.monotonic() + 20.0
        while time.monotonic() < end_s:
            pass

    before = sys.unraisablehook
    assert _ran(work).exit_code == 130
    assert sys.unraisablehook is before


def test_a_signal_while_a_file_is_hashed_stops_the_verb_at_once():
    class Long(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            if self.reads == 1:
                signal.raise_signal(signal.SIGINT)
            return b'x' if self.reads < 100_000 else b''

    long = Long(b'x')
    assert _ran(lambda: Source(long, Limits()).sha256()).exit_code == 130
    assert long.reads == 1


BUSY_THREAD = """
import os, signal, tempfile, threading, weakref
import click, torch
from affekt.cli.group import Affekt
from affekt.cli.help import Verb

def work():
    kept, square, begun = tempfile.mkdtemp(), torch.ones(300, 300), threading.Event()
    weakref.finalize(work, os.rmdir, kept)
    print(kept, flush=True)
    def compute():
        while True:
            begun.set()
            torch.mm(square, square)
    threading.Thread(target=compute, daemon=True).start()
    begun.wait()
    signal.raise_signal(signal.SIGTERM)

group = Affekt()
group.add_command(Verb('work', callback=work))
group(['work'])
"""


def test_a_thread_that_computes_in_a_library_does_not_abort_a_stopped_command():
    pytest.importorskip('torch')
    ended = subprocess.run([sys.executable, '-c', BUSY_THREAD], capture_output=True, text=True, check=False)
    assert ended.returncode == 143  # 134 where the thread is ended inside the library
    assert ended.stderr.startswith('stopped by SIGTERM')
    assert 'terminate called' not in ended.stderr
    assert not Path(ended.stdout.strip()).exists()  # what is due at exit was done
