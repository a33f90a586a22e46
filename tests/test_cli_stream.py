"""`affekt stream`: what it shows, what ends it, and what is said at the end."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from affekt.cli import main
from affekt.cli.stream import Every
from affekt.cli.views import NAME, SPAN, Recent, live_line, live_screen, summary_lines
from affekt.errors import MediaError
from affekt.live import LatencyReport, LiveFace, LiveReading, LiveVoice
from affekt.weights import MODELS, state

NEEDED = ('face_landmarker.task', 'silero_vad.onnx', 'whisper-tiny.en', 'minilm-l6-int8.onnx')
LATENCY = LatencyReport(0.0351, 0.052, 0.07, 1072, 3, 1)
SHARES = {'happiness': 0.6, 'neutral': 0.25, 'sadness': 0.1, 'anger': 0.05}


def face(person: str = 'person 1', valence: float = 0.42, arousal: float = -0.1) -> LiveFace:
    return LiveFace(person, (10.0, 20.0, 30.0, 40.0), SHARES, valence, arousal, 0.9)


def reading(time_s: float = 65.0, *faces: LiveFace, words: str = '') -> LiveReading:
    voice = LiveVoice(True, 0.1, 0.2, {'happiness': 0.7, 'neutral': 0.3}, -20.0)
    return LiveReading(time_s, 0.035, 3, faces, voice, words)


class FakeSession:
    """A session without models: readings at 25 a second, as many as `times` says."""

    times = 10
    error: Exception | None = None
    made: list[FakeSession] = []  # noqa: RUF012
    signalled_at = -1
    frame_scale = 1.0
    notes: tuple[str, ...] = ()
    loss = ''

    def __init__(self, source, settings, *, out=None):
        self.source, self.settings, self.out = SimpleNamespace(notes=self.notes, loss=self.loss), settings, out
        self.is_stopped = self.is_saved = self.is_closed = False
        self.recovered: tuple[Path, ...] = ()
        self.read = 0
        self.callbacks: list = []
        FakeSession.made.append(self)

    @property
    def latency(self):
        return LatencyReport(0.01, 0.02, 0.03, self.read, 0)

    def subscribe(self, callback):
        self.callbacks.append(callback)

    def stop(self):
        self.is_stopped = True

    def save(self):
        self.is_saved = True
        return self.out / 'clip-1'

    def remove_empty_run(self):
        if self.out is not None:
            self.out.rmdir()

    def __enter__(self):
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *raised):
        self.is_closed = True

    def __iter__(self):
        while self.read < self.times and not self.is_stopped:
            self.read += 1
            if self.read == self.signalled_at:
                os.kill(os.getpid(), signal.SIGINT)
            each = reading(self.read / 25, face())
            for callback in self.callbacks:
                callback(each, np.zeros((36, 64, 3), np.uint8))
            yield each
        if self.error is not None:
            raise self.error


@pytest.fixture
def session(monkeypatch, tmp_path):
    """Sessions that are made without models; the class, whose attributes say what they do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('affekt.live.LiveSession', FakeSession)
    monkeypatch.setattr('affekt.cli.stream.fetch', lambda names, required=True: None)
    for name, value in {'times': 10, 'error': None, 'made': [], 'signalled_at': -1, 'notes': (), 'loss': ''}.items():
        monkeypatch.setattr(FakeSession, name, value)
    (tmp_path / 'clip.mp4').write_bytes(b'')
    return FakeSession


def _run(*words: object):
    return CliRunner().invoke(main, ['stream', *map(str, words)])


def _screen(each: LiveReading, recent: Recent) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=80).print(live_screen('clip.mp4', each, recent, LATENCY))
    return written.getvalue().splitlines()


def test_each_reading_is_a_line_of_json_and_everything_else_goes_to_standard_error(session):
    result = _run('clip.mp4', '--json', '--out', 'run')
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line['time_s'] for line in lines] == [round(number / 25, 2) for number in range(1, 11)]
    assert lines[0]['faces'][0]['expression'] == SHARES
    assert 'affekt notice' in result.stderr
    assert 'p50 10 ms, p95 20 ms, p99 30 ms' in result.stderr
    assert '10, 0 frames dropped; 0 reconnects' in result.stderr
    assert 'saved    run' in result.stderr


def test_without_a_terminal_a_line_is_said_now_and_then_and_the_end_says_where_it_is_saved(session):
    result = _run('clip.mp4', '--out', 'run')
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith('0:00; person 1 happiness 60 %, V +0.42, A −0.10; speech, −20 dB; 35 ms')
    assert lines[-2:] == ['saved    run', f'report   {Path("run/clip-1/report.html")}']
    assert session.made[0].is_saved
    assert session.made[0].is_closed


def test_without_a_folder_one_is_named_by_the_source_and_with_no_save_there_is_none(session):
    _run('clip.mp4')
    assert session.made[0].out.parent == Path('affekt_runs')
    assert session.made[0].out.name.startswith('clip-')
    _run('rtsp://user:secret@door.local:554/a/b?token=1', '--seconds', '1')
    assert session.made[1].out.name.startswith('door.local-554-a-b-')
    result = _run('clip.mp4', '--no-save')
    assert session.made[2].out is None
    assert not session.made[2].is_saved
    assert 'saved' not in result.stdout


def test_seconds_end_the_stream_by_its_own_time(session):
    session.times = 1000
    result = _run('clip.mp4', '--seconds', '0.5', '--out', 'run')
    assert result.exit_code == 0
    # the first reading is at 0.04 s, so the last one is at 0.54 s: 13.5 / 25
    assert session.made[0].read == 14
    assert session.made[0].is_saved


def test_seconds_end_a_stream_too_that_sends_nothing(session, monkeypatch):
    class Silent(session):
        """A source that is there and shows nothing."""

        def __iter__(self):
            while not self.is_stopped:
                threading.Event().wait(0.01)
            yield from ()

    clock = itertools.count(0.0, 5.0)  # five seconds pass between two looks at it
    monkeypatch.setattr('affekt.live.LiveSession', Silent)
    monkeypatch.setattr('affekt.cli.stream.time', SimpleNamespace(monotonic=lambda: next(clock)))
    result = _run('clip.mp4', '--seconds', '1', '--no-save')
    assert result.exit_code == 0
    assert 'nothing was read' in result.stdout


def test_ctrl_c_is_a_clean_end_that_saves(session):
    session.times, session.signalled_at = 1000, 5
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    result = _run('clip.mp4', '--out', 'run')
    assert result.exit_code == 0
    assert session.made[0].read == 5
    assert session.made[0].is_saved
    assert 'if this is cut off, the next stream into run saves it' in result.stderr  # a second Ctrl-C says no more
    assert 'readings 5, ' in result.stdout
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_source_that_is_lost_is_saved_and_then_said(session):
    session.error = MediaError(expected='a camera', came='none any more', todo='connect it')
    result = _run('clip.mp4', '--out', 'run')
    assert result.exit_code == 2
    assert session.made[0].is_saved
    assert 'saved    run' in result.stdout
    assert 'expected a camera; got none any more' in result.stderr


def test_a_source_that_did_not_come_back_is_saved_and_said_and_no_success(session):
    session.loss = 'was lost after 3.1 s and did not come back: it ended'
    session.notes = (f'the source {session.loss}',)
    result = _run('clip.mp4', '--json', '--out', 'run')
    assert result.exit_code == 2
    assert session.made[0].is_saved
    assert 'lost after 3.1 s' in result.stderr
    assert 'saved    run' in result.stderr
    assert 'error' not in result.stderr


def test_where_nothing_was_read_no_folder_is_left(session):
    session.times = 0
    result = _run('clip.mp4', '--out', 'new/run')
    assert result.exit_code == 0
    assert 'nothing was read' in result.stdout
    assert not Path('new').exists()


def test_a_folder_that_was_there_stays(session):
    Path('run').mkdir()
    session.times = 0
    _run('clip.mp4', '--out', 'run')
    assert Path('run').is_dir()


def test_when_nobody_reads_any_more_it_ends_quietly_and_saves(session, monkeypatch):
    def gone(answer, *, flush=False):
        raise BrokenPipeError

    monkeypatch.setattr('affekt.cli.stream.say_json', gone)
    monkeypatch.setattr('affekt.cli.group.without_readers', lambda: None)
    result = _run('clip.mp4', '--json', '--out', 'run')
    assert result.exit_code == 1
    assert session.made[0].is_saved
    assert [line for line in result.stderr.splitlines() if 'loading' not in line and 'notice' not in line] == []


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['nowhere.mp4'], 'nowhere.mp4: no such file'),
        (['--camera', '77'], 'expected camera 77'),
        (['clip.mp4', '--purpose', 'mood at work'], 'names workplace'),
        (['clip.mp4', '--camera', '0'], 'give SOURCE or --camera'),
        (['clip.mp4', '--no-save', '--out', 'run'], 'give --out or --no-save'),
        (['clip.mp4', '--no-faces', '--no-voice'], 'faces or voice'),
        (['clip.mp4', '--seconds', '0'], '--seconds'),
        (['clip.mp4', '--words', 'bas'], "'base'"),
        (['clip.mp4', '--camera-size', 'large'], "a size such as '640x360'"),
        (['clip.mp4', '--microphone', 'default'], 'with a camera, not with another SOURCE'),
        (['.'], 'the folder .'),
        (['-'], 'a stream on standard input'),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_made(session, words, sentence):
    result = _run(*words)
    assert result.exit_code == 2
    assert sentence in ' '.join(result.stderr.split())
    assert session.made == []
    assert [path.name for path in Path().iterdir()] == ['clip.mp4']


def test_options_become_settings(session):
    _run(
        'clip.mp4', '--purpose', ' film  study ', '--fps', '5', '--max-people', '2', '--words', 'tiny.en',
        '--no-frames', '--license', 'commercial-ok',
    )  # fmt: skip
    _run('clip.mp4', '--no-faces')
    settings, without_faces = (made.settings for made in session.made)
    assert (settings.purpose, settings.fps, settings.max_people, settings.words) == ('film study', 5.0, 2, 'tiny.en')
    assert (settings.faces, settings.voice, settings.keep_frames, settings.license) == (
        True, True, False, 'commercial-ok',
    )  # fmt: skip
    assert (without_faces.faces, without_faces.voice) == (False, True)


@pytest.mark.parametrize('page', ['README.md', 'docs/stream.md'])
def test_commands_of_the_pages_parse(page):
    text = (Path(__file__).resolve().parents[1] / page).read_text()
    commands = re.findall(r'^.*?\b(affekt stream.*)$', ''.join(re.findall(r'```sh\n(.*?)```', text, re.S)), re.M)
    assert len(commands) >= 4
    verb = main.commands['stream']
    for command in commands:
        with verb.make_context('affekt stream', shlex.split(command, comments=True)[2:]):
            pass


def test_cameras_are_listed(monkeypatch):
    from affekt.live import Camera

    monkeypatch.setattr('affekt.live.cameras', lambda: [Camera('/dev/video0', 'Front'), Camera('/dev/video2', '')])
    assert [line.split() for line in _run('--list-cameras').stdout.splitlines()] == [
        ['camera', 'name'],
        ['/dev/video0', 'Front'],
        ['/dev/video2', '–'],
    ]
    assert json.loads(_run('--list-cameras', '--json').stdout)[0] == {'camera': '/dev/video0', 'name': 'Front'}
    monkeypatch.setattr('affekt.live.cameras', list)
    assert 'No camera was found' in _run('--list-cameras').stdout


def test_the_doctor_says_which_cameras_there_are_and_what_the_page_needs(monkeypatch):
    from affekt.doctor import EXTRAS, examine
    from affekt.live import Camera

    monkeypatch.setattr('affekt.live.cameras', lambda: [Camera('/dev/video0', 'Front')])
    assert {'what': 'cameras', 'is': '/dev/video0 (Front)'} in examine()['machine']
    monkeypatch.setattr('affekt.live.cameras', list)
    assert 'affekt stream needs an address' in next(
        row['is'] for row in examine()['machine'] if row['what'] == 'cameras'
    )
    assert 'wsproto' in EXTRAS['serve'][0]


def test_the_screen_fits_eighty_columns_however_much_there_is():
    recent = Recent()
    crowd = [face(f'person {number}', math.sin(number)) for number in range(1, 13)]
    for second in range(90):
        recent.add(reading(float(second), *crowd, words='a word ' * 40))
    lines = _screen(reading(90.0, *crowd), recent)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 22
    assert 'and 8 more faces' in lines
    assert lines[2].split() == ['person', '1', 'happiness', '60', '%', 'neutral', '25', '%', 'sadness', '10', '%']
    assert any(line.startswith('words      a word') for line in lines)
    assert any('p50 35 ms, p95 52 ms, p99 70 ms; 1,072 read, 3 dropped' in line for line in lines)


def test_a_curve_has_a_character_a_second_and_a_blank_where_nobody_is_seen():
    recent = Recent()
    recent.add(reading(0.0, face(valence=-1.0)))
    recent.add(reading(0.5, face(valence=-1.0)))
    recent.add(reading(1.0, face(valence=1.0)))
    recent.add(reading(3.0, face(valence=float('nan'))))
    recent.add(reading(4.2, face(valence=0.0)))
    # seconds 0, 1, 2, 3, 4: lowest, highest, nothing came, not readable, the middle one of eight
    assert recent.curve('person 1', 0) == ' ' * (SPAN - 5) + '▁█  ▅'
    assert recent.curve('person 2', 0) == ' ' * SPAN
    recent.add(reading(100.0, face(valence=0.0)))
    assert recent.curve('person 1', 0) == ' ' * (SPAN - 1) + '▅'


def test_what_is_not_there_is_said():
    recent = Recent()
    lines = _screen(LiveReading(0.0, 0.01, 0), recent)
    assert 'face'.ljust(NAME) + 'none in view' in lines
    assert 'voice'.ljust(NAME) + 'no audio' in lines
    unreadable = LiveFace('person 1', (0, 0, 1, 1), {'neutral': float('nan')}, float('nan'), float('nan'), 0.1)
    assert unreadable.likeliest == 'unreadable'
    assert 'person 1   not readable' in _screen(LiveReading(0.0, 0.01, 0, (unreadable,)), recent)
    assert live_line(LiveReading(61.0, 0.0104, 0)) == '1:01; no face; 10 ms'
    assert summary_lines(LatencyReport(math.nan, math.nan, math.nan, 0, 0))[0] == 'latency  nothing was read'


def test_what_was_dropped_is_said_at_the_end_and_in_the_notes():
    latency = LatencyReport(0.03, 0.04, 0.05, 1072, 3, 1, 2.34)
    assert summary_lines(latency)[1:] == ['readings 1,072, 3 frames dropped; 1 reconnect', 'audio    2.3 s dropped']
    assert latency.sentence == (
        'latency p50 30, p95 40, p99 50 ms; 1,072 readings, 3 frames dropped, 1 reconnect, 2.3 s of audio dropped'
    )
    assert len(summary_lines(LATENCY)) == 2


def test_it_is_time_at_first_and_then_once_in_so_many_seconds():
    now = [0.0]
    pace = Every(1.0, lambda: now[0])
    came = []
    for tenth in range(25):
        now[0] = tenth / 10
        came.append(pace.has_come())
    assert [at for at, has_come in enumerate(came) if has_come] == [0, 10, 20]


def test_a_page_shows_the_session_and_stop_and_start_make_another(session, monkeypatch):
    pytest.importorskip('wsproto', reason='wsproto is not installed')
    from affekt.serve import live_page

    heard = []

    class Feed(live_page.LiveFeed):
        """Somebody presses Stop at once, then Start, and the second session ends by itself."""

        def take(self, each, frame, scale=1.0):
            super().take(each, frame, scale)
            if len(session.made) == 1:
                self.asked_to_stop.set()

        def say(self, state=None, message='', **figures):
            super().say(state, message, **figures)
            heard.append((state, message) if state else tuple(figures))
            if state == 'stopped':
                session.times = 3
                self.asked_to_start.set()

    monkeypatch.setattr(live_page, 'LiveFeed', Feed)
    session.times = 10**9
    result = _run('clip.mp4', '--page', '--out', 'run', '--purpose', 'film study')
    assert result.exit_code == 0, result.stderr
    assert 'page http://127.0.0.1:' in result.stderr
    assert len(session.made) == 2
    assert all(each.is_saved for each in session.made)
    states = [state for state, *_ in heard if state in ('starting', 'saving', 'stopped', 'ended')]
    assert states == ['saving', 'stopped', 'starting', 'saving', 'ended']
    assert heard[-1] == ('ended', 'The stream has ended. It is saved in run.')


def test_a_page_says_that_its_source_was_lost(session, monkeypatch):
    pytest.importorskip('wsproto', reason='wsproto is not installed')
    from affekt.serve import live_page

    states = []
    say = live_page.LiveFeed.say
    monkeypatch.setattr(
        live_page.LiveFeed, 'say', lambda feed, *words, **figures: (states.append(words), say(feed, *words, **figures))
    )
    session.loss = 'was lost after 3.1 s and did not come back: it ended'
    assert _run('clip.mp4', '--page', '--out', 'run').exit_code == 2
    assert states[-1] == ('failed', 'The source was lost and did not come back. It is saved in run.')


def test_a_real_clip_is_streamed_and_saved_by_a_process_that_is_interrupted(shared_data, tmp_path):
    missing = [name for name in NEEDED if state(MODELS[name]) != 'verified']
    if missing:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')
    clip = shared_data / 'test_media' / 'single_face.mp4'
    command = [sys.executable, '-m', 'affekt.cli', 'stream', str(clip), '--json', '--out', str(tmp_path / 'run')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert [line['time_s'] for line in first] == sorted({line['time_s'] for line in first})
    result = next(path.parent for path in (tmp_path / 'run').glob('*/analysis.json'))
    assert (result / 'report.html').is_file()
    assert str(result / 'report.html') in stderr
    assert not list((tmp_path / 'run').glob('.live-*'))


def test_a_plain_line_that_nobody_reads_ends_it_as_well(tmp_path):
    """rich ends a process at a broken pipe by itself; then nothing would be saved."""
    code = (
        'import sys\nfrom affekt.terminal import say\n'
        'try:\n  [say("line " * 1000) for _ in range(100)]\n'
        'except BrokenPipeError: sys.stderr.write("seen"); sys.stderr.flush(); import os; os._exit(0)'
    )
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, '-c', code], stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        os.close(reader)
        assert process.communicate(timeout=60)[1] == 'seen'


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (('--port', '8000'), '--port belongs to the page'),
        (('--words', 'tiny.en', '--no-voice'), '--words are read from audio'),
        (('--no-faces', '--fps', '5', '--max-people', '2'), '--fps and --max-people go with faces'),
        (('--no-faces', '--latency-budget', '1'), '--latency-budget goes with faces'),
        (('--no-voice', '--microphone', 'default'), '--microphone goes with audio'),
    ],
)
def test_options_that_would_say_nothing_are_refused(options, sentence):
    result = CliRunner().invoke(main, ['stream', 'clip.mp4', *options])
    assert result.exit_code == 2
    assert sentence in result.output
