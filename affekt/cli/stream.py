"""The verb for live analysis: stream."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import Named, licenses, recognisers, refuse_unused
from affekt.cli.group import main, signals_asking
from affekt.cli.installation import fetch
from affekt.cli.recordings import run_folder
from affekt.cli.views import Recent, live_line, live_screen, summary_lines
from affekt.errors import AffektError
from affekt.purpose import NOTICE_LINE
from affekt.terminal import Screen, facts_table, say, say_json

if TYPE_CHECKING:
    from affekt.live import LiveReading, LiveSession, StreamSettings
    from affekt.serve import LiveFeed

DRAWN_EVERY_S = 0.2
"""Interval in seconds of terminal redraws, long enough to cost the readings little."""
LINE_EVERY_S = 1.0
"""Interval in seconds of lines without a terminal, and of the page's numbers."""
LOOKED_EVERY_S = 0.05
"""Interval in seconds of checks for a stop request."""
LOST_CODE = 2
"""Exit code for a camera or network stream that did not come back, which scripts must detect."""
PATIENCE_S = 1.0
"""Seconds to wait after --seconds for a source that sends nothing."""


@main.command()
@click.argument('source', required=False)
@click.option('--camera', type=click.IntRange(0), metavar='N', help='Camera, counted from 0 (default without SOURCE).')
@click.option('--list-cameras', is_flag=True, help='List the cameras of this machine, and nothing else.')
@click.option(
    '--microphone', metavar='NAME', help='Audio device to use with the camera, such as default (default: none).'
)
@click.option(
    '--camera-size', metavar='WxH', help="Size requested from the camera, such as 640x360 (default: the camera's)."
)
@click.option('--out', type=click.Path(path_type=Path), help='Run folder (default: a new one under affekt_runs).')
@click.option('--no-save', is_flag=True, help='Keep nothing: no run folder.')
@click.option(
    '--seconds', type=click.FloatRange(0, min_open=True), metavar='S', help='Length in seconds after which it ends.'
)
@click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON object per reading on standard output, one per line.'
)
@click.option('--page', is_flag=True, help='Serve a page with video and curves, for a browser on this machine.')
@click.option('--port', type=click.IntRange(0, 65535), metavar='N', help='Port of the page (default: any).')
@click.option('--words', type=Named(recognisers, others='PATH'), help='Speech recognition (default: none).')
@click.option('--purpose', metavar='TEXT', help='Purpose of the readings; recorded with the results.')
@click.option('--fps', type=float, metavar='N', help='Maximum frames read per second (default: all in time).')
@click.option(
    '--latency-budget',
    'latency_budget_s',
    type=click.FloatRange(0, 60),
    metavar='S',
    help='Target of the latency in seconds (default 0.06): frames too old to meet it are dropped; 0 for no target.',
)
@click.option('--max-people', type=int, metavar='N', help='Faces tracked at once (default 5).')
@click.option('--no-faces', is_flag=True, help='Read audio only.')
@click.option('--no-voice', is_flag=True, help='Read faces only.')
@click.option('--no-frames', is_flag=True, help='Keep only numbers and words: no images.')
@click.option('--license', type=Named(licenses), help='Licence of the models: research (default), or commercial-ok.')
def stream(
    source: str | None, camera: int | None, list_cameras: bool, out: Path | None, no_save: bool,
    seconds: float | None, as_json: bool, page: bool, port: int | None, **options: Any,
) -> None:  # fmt: skip
    """Read faces and voices live: from a camera, an address, a
    file in real time, or standard input.

    \b
    SOURCE  rtsp://… http://… udp://…   a network stream
            clip.mp4                    a file, in real time
            -                           standard input

    Ctrl-C ends the stream; the readings are saved like an analysis.
    """
    from affekt.live import require_source

    if list_cameras:
        _say_cameras(as_json)
        return
    if source is not None and camera is not None:
        raise click.UsageError('give SOURCE or --camera, not both')
    if no_save and out is not None:
        raise click.UsageError('give --out or --no-save, not both')
    if port is not None and not page:
        raise click.UsageError('--port belongs to the page: give --page too')
    if options['words'] and options['no_voice']:
        raise click.UsageError('--words are read from audio: give --words or --no-voice, not both')
    if options['no_faces']:
        refuse_unused('faces', 'fps', 'latency_budget_s', 'max_people')
    if options['no_voice']:
        refuse_unused('audio', 'microphone')
    settings = _settings_of(options)
    if source is not None and not source.startswith('/dev/video') and (settings.microphone or settings.camera_size):
        raise click.UsageError('give --microphone and --camera-size with a camera, not with another SOURCE')
    opened_source = source if source is not None else camera or 0
    require_source(opened_source, settings)
    if page:
        from affekt.serve import require_serving_parts

        require_serving_parts(websockets=True)
    _fetch_models(settings)
    folder = None if no_save else out or run_folder(_title(opened_source), False)
    streaming = _Streaming(opened_source, settings, folder, as_json, seconds)
    with signals_asking(streaming.ask_to_end):
        if page:
            streaming.run_with_page(port or 0)
        else:
            streaming.run()
    if streaming.is_lost:
        raise click.exceptions.Exit(LOST_CODE)


class Every:
    """A timer that fires at intervals.

    Args:
        seconds: the interval.
        now: a monotonic clock in seconds; replaced in tests.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now = seconds, now
        self._next = float('-inf')

    def has_come(self) -> bool:
        """True at first, and then once per interval."""
        if self._now() < self._next:
            return False
        self._next = self._now() + self._seconds
        return True


class _Streaming:
    """One source, read once or as often as the page requests; ends by signal, time, page or by itself."""

    def __init__(
        self, source: int | str, settings: StreamSettings, folder: Path | None, as_json: bool, seconds: float | None
    ) -> None:
        from affekt.live import name_of

        self.title = name_of(source)
        self._source, self._settings, self._folder = source, settings, folder
        self._as_json, self._seconds = as_json, seconds
        self._feed: LiveFeed | None = None
        self._is_over = False
        self.is_lost = False
        """Whether the last session ended because its source did not come back."""
        self._deadline = float('inf')
        self._page_pace = Every(LINE_EVERY_S)

    def ask_to_end(self) -> None:
        """Ends the stream soon; only sets a flag, since a signal handler calls it."""
        self._is_over = True

    def run(self) -> None:
        """Read the source to its end."""
        say(NOTICE_LINE, err=True, style='yellow')
        self._read()

    def run_with_page(self, port: int) -> None:
        """Read the source while a page shows it; Stop on the page ends a session, and Start begins another."""
        from affekt.serve import LiveFeed, stream_page

        feed = self._feed = LiveFeed(self.title, self._settings.purpose)
        with stream_page(feed, port=port) as link:
            say(f'page {link}', err=True)
            say(NOTICE_LINE, err=True, style='yellow')
            while True:
                try:
                    saved = self._read()
                except BaseException as error:
                    feed.say('failed', str(error) if isinstance(error, AffektError) else 'It was interrupted.')
                    raise
                if not feed.asked_to_stop.is_set() or self._is_over:
                    break
                feed.asked_to_start.clear()  # a request from a page that was late
                feed.say('stopped', f'Stopped. {saved}')
                say('stopped on the page: Start there begins again, Ctrl-C ends', err=True)
                if not self._is_started_again(feed):
                    break
            end = 'The source was lost and did not come back.' if self.is_lost else 'The stream has ended.'
            feed.say('failed' if self.is_lost else 'ended', f'{end} {saved}')

    def _is_started_again(self, feed: LiveFeed) -> bool:
        """Waits for Start on the page; returns False if the command should end."""
        while not feed.asked_to_start.wait(LOOKED_EVERY_S):
            if self._is_over:
                return False
        feed.asked_to_stop.clear()
        feed.begin()
        return True

    def _read(self) -> str:
        """Reads and saves one session and prints a summary; returns a sentence on where it was saved."""
        from affekt.live import LiveSession

        self._deadline = float('inf')
        session = LiveSession(self._source, self._settings, out=self._folder)
        stopped_by: Exception | None = None
        result = None
        with self._without_empty_folder(session), self._ending(session.stop), session:
            for path in session.recovered:
                say(f'a stream that was cut off before is saved now: {path}', err=True, style='yellow')
            try:
                self._show_all(session)
            except (AffektError, BrokenPipeError) as error:
                stopped_by = error
            is_unread = isinstance(stopped_by, BrokenPipeError)  # the reader of standard output has ended
            if self._folder is not None and session.latency.frames:
                if not is_unread:
                    then = f'if this is cut off, the next stream into {self._folder} saves it'
                    say(f'saving … ({then})', err=True, style='dim')
                if self._feed is not None:
                    self._feed.say('saving')
                result = session.save()
        self.is_lost = bool(session.source.loss)
        if not is_unread and (stopped_by is None or session.latency.frames):
            self._say_summary(session, result)
        if stopped_by is not None:
            raise stopped_by
        return f'It is saved in {self._folder}.' if result is not None else 'Nothing was saved.'

    def _show_all(self, session: LiveSession) -> None:
        """Shows every reading in the terminal and on the page, until the stream ends."""
        feed = self._feed
        if feed is not None:
            session.subscribe(lambda reading, frame: feed.take(reading, frame, session.frame_scale))
        first_s: float | None = None
        self._deadline = time.monotonic() + (self._seconds or float('inf')) + self._settings.patience_s
        with _shown(self.title, session, self._as_json) as show:
            for reading in session:
                if first_s is None:
                    first_s = reading.time_s
                    self._deadline = time.monotonic() + (self._seconds or float('inf')) + PATIENCE_S
                show(reading)
                if self._page_pace.has_come():
                    self._update_page(session)
                if self._seconds is not None and reading.time_s - first_s >= self._seconds:
                    self._is_over = True
                if self._is_over:
                    session.stop()
        self._update_page(session)

    def _update_page(self, session: LiveSession) -> None:
        """Sends the counts of the whole stream to the page."""
        if self._feed is not None:
            latency = session.latency
            self._feed.say(frames=latency.frames, dropped=latency.dropped, reconnects=latency.reconnects)

    @contextlib.contextmanager
    def _ending(self, stop: Callable[[], None]) -> Iterator[None]:
        """A context in which a thread stops the stream when it should end, even if no reading comes."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(LOOKED_EVERY_S):
                self._is_over |= time.monotonic() > self._deadline
                if self._is_over or (self._feed is not None and self._feed.asked_to_stop.is_set()):
                    stop()
                    return

        watcher = threading.Thread(target=watch, name='affekt-ending', daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    @contextlib.contextmanager
    def _without_empty_folder(self, session: LiveSession) -> Iterator[None]:
        """A context that removes folders created in it if nothing was read, by this process or another."""
        folder = self._folder
        created = [] if folder is None else [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            yield
        finally:
            if created and not session.latency.frames:
                session.remove_empty_run()
                with contextlib.suppress(OSError):  # another run is in it by now
                    for path in created:
                        if path.exists():
                            path.rmdir()

    def _say_summary(self, session: LiveSession, result: Path | None) -> None:
        for note in session.source.notes:
            say(note, err=True, style='yellow')
        for line in summary_lines(session.latency):
            say(line, err=self._as_json)
        if result is not None:
            say(f'saved    {self._folder}', err=self._as_json)
            say(f'report   {result / "report.html"}', err=self._as_json)


@contextlib.contextmanager
def _shown(title: str, session: LiveSession, as_json: bool) -> Iterator[Callable[[LiveReading], None]]:
    """A function that shows a reading: as a line of JSON, on a redrawn screen, or as one line per second."""
    if as_json:
        yield lambda reading: say_json(reading.as_dict(), flush=True)
        return
    with Screen() as screen:
        pace = Every(DRAWN_EVERY_S if screen.is_terminal else LINE_EVERY_S)
        recent = Recent()

        def show(reading: LiveReading) -> None:
            recent.add(reading)
            if not pace.has_come():
                return
            if screen.is_terminal:
                screen.show(live_screen(title, reading, recent, session.latency))
            else:
                say(live_line(reading))

        yield show


def _settings_of(options: dict[str, Any]) -> StreamSettings:
    """The settings that options name; those that are None keep their defaults."""
    from affekt.live import StreamSettings

    switches = {'faces': 'no_faces', 'voice': 'no_voice', 'keep_frames': 'no_frames'}
    switched: dict[str, Any] = {name: not options.pop(option) for name, option in switches.items()}
    return StreamSettings(**switched, **{name: value for name, value in options.items() if value is not None})


def _fetch_models(settings: StreamSettings) -> None:
    """Fetches the model files that reading and saving need, and optional ones if available."""
    from affekt.analysis import models_needed, models_wanted

    fetch(models_needed(settings.analysis()))
    fetch(models_wanted(settings.analysis()), required=False)


def _title(source: int | str) -> str:
    """The name of a new run folder, without its time."""
    from affekt.live import name_of

    is_file = isinstance(source, str) and '://' not in source and source != '-'
    name = Path(str(source)).stem if is_file else name_of(source).rpartition('://')[2]
    return re.sub(r'[^\w.-]+', '-', name).strip('-.')[:60] or 'stream'


def _say_cameras(as_json: bool) -> None:
    """Prints a row for each camera, in the order of --camera."""
    from affekt.live import cameras

    rows = [{'camera': camera.address, 'name': camera.name or '–'} for camera in cameras()]
    if as_json:
        say_json(rows)
    elif rows:
        say(facts_table(rows))
    else:
        say('No camera was found; a stream can also come from an address, a file, or standard input.')
