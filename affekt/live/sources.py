"""The source of a stream, and the thread that reads it.

`LiveSource` opens a camera, an address, a file, a pipe or the caller's own frames, and reads it in a thread:
frames go into a box with one slot, in which the newest wins, audio into a queue of blocks. Reading never waits for
the thread that reads faces. A lost source that can come back is reopened a few times, with growing pauses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError
from affekt.live.cameras import camera_input, microphone_input
from affekt.live.clocks import MachineClock, Pace, SteadyClock
from affekt.live.connections import LOW_DELAY, PIPED, PROBING, ConnectedFeed, Opening
from affekt.live.feeds import RATE_HZ, Feed, FileFeed, GivenFeed, StreamFrame, ends_at
from affekt.live.mailbox import Mailbox
from affekt.live.pipes import PipeBytes, is_pipe
from affekt.live.settings import StreamSettings
from affekt.media import Block

Unit = TypeVar('Unit')
STDIN = '-'
SOUND_DEPTH = 80
"""Maximum number of waiting audio blocks: 8 s, enough for a slow start to catch up."""
PIPE_SLACK_S = 1.0
"""Maximum lead in seconds over the timestamps of a pipe or finite address: live ones come in bursts, files at once."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Pauses in seconds before reopening a source: the first and the longest; each is twice the previous one."""
JOIN_S = 2.0
"""Maximum seconds that `stop` waits for the reading thread."""

SourceLike = int | str | os.PathLike[str] | Iterable[Any]


@dataclass(frozen=True)
class Arrived(Generic[Unit]):
    """A frame or block, and the machine's time when it was read."""

    unit: Unit
    read_s: float


class LiveSource:
    """One source, read in a separate thread once started.

    Args:
        source: the number of a camera, an address ('rtsp://…', 'https://…'), the path of a file, a named pipe or a
            camera's device, '-' for standard input, or an iterable of frames and blocks.
        settings: the defaults if None.
        clock: the machine's clock; replaced in tests.
    """

    def __init__(
        self, source: SourceLike, settings: StreamSettings | None = None, clock: MachineClock | None = None
    ) -> None:
        self._source = source
        self._settings, self._clock = settings or StreamSettings(), clock or MachineClock()
        is_patient = self._settings.is_patient
        self.pictures: Mailbox[Arrived[StreamFrame]] = Mailbox(1, is_patient=is_patient)
        self.sound: Mailbox[Arrived[Block]] = Mailbox(SOUND_DEPTH, is_patient=is_patient)
        self.reconnects = 0
        self.sound_dropped_s = 0.0
        self.notes: list[str] = []
        self.error: BaseException | None = None
        self.loss = ''
        """How a camera or network stream was lost for good, as a predicate ('was lost after 3.0 s …'); else ''."""
        self._unit_count = 0  # number of units over all connections
        self._attempts = 0  # to reopen the source, since the last unit
        self._stop = threading.Event()
        self._times = SteadyClock()
        self._feed: Feed | None = None
        self._microphone: Feed | None = None
        self._pipe: PipeBytes | None = None
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Its name: the file name, or the address without a password."""
        return name_of(self._source)

    @property
    def path(self) -> Path | None:
        """The file's path, if it is a file."""
        return Path(self._source) if isinstance(self._feed, FileFeed) else None  # type: ignore[arg-type]

    @property
    def has_pictures(self) -> bool:
        """Whether video is expected."""
        return self._feed is not None and self._feed.has_pictures

    @property
    def has_sound(self) -> bool:
        """Whether audio is expected."""
        return self._microphone is not None or (self._feed is not None and self._feed.has_sound)

    def scale_of(self, picture: StreamFrame, image: npt.NDArray[np.uint8]) -> float:
        """Source pixels per pixel of the frame as read.

        Args:
            picture: the source's frame.
            image: (H, W, 3) the frame as read.
        """
        full_side = getattr(picture, 'full_side', 0) or getattr(self._feed, 'full_side', 0)
        return float(full_side) / max(image.shape[:2]) if full_side else 1.0

    @property
    def rate_hz(self) -> float:
        """Declared frames per second; 0 if undeclared."""
        return 0.0 if self._feed is None else self._feed.rate_hz

    def open(self) -> None:
        """Opens the source and finds its streams; nothing more is read before `start`.

        Raises:
            MediaError, LimitError: it cannot be opened.
        """
        if self._feed is not None:
            return
        feed = self._opened()
        try:
            if _is_camera(self._source) and self._settings.voice:
                self._microphone = self._opened_microphone()
        except BaseException:
            feed.close()
            raise
        self._feed = feed

    def start(self) -> None:
        """Starts to read the source; opens it first if needed.

        Raises:
            MediaError, LimitError: it cannot be opened.
        """
        self.open()
        self._thread = threading.Thread(target=self._run, name='affekt-reader', daemon=True)
        self._thread.start()
        if self._microphone is not None:
            threading.Thread(
                target=self._read_microphone, args=(self._microphone,), name='affekt-microphone', daemon=True
            ).start()

    def stop(self) -> None:
        """Ends reading; a waiting frame is discarded, waiting audio is not."""
        self._stop.set()
        self.pictures.close(drops=True)
        self.sound.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)  # an unresponsive device or network may block the thread, which is a daemon
        if self._pipe is not None:
            self._pipe.close()

    def _run(self) -> None:
        try:
            self._read_connections()
        except Exception as error:  # raised in the thread that reads the boxes
            self.error = error
        finally:
            if self._feed is not None:
                self._feed.close()
            self.pictures.close()
            self.sound.close()

    def _read_microphone(self, microphone: Feed) -> None:
        """Reads the microphone beside a camera, until it or the stream is over."""
        try:
            for unit in microphone:
                if self._stop.is_set():
                    break
                self._deliver(unit, False)
        except MediaError as error:
            self.notes.append(f'the microphone was lost: {lost_reason(error)}')
        finally:
            microphone.close()

    def _read_connections(self) -> None:
        """Reads one connection after the other until the source is over."""
        while self._feed is not None and not self._stop.is_set():
            count_before = self._unit_count
            error = self._read_feed(self._feed)
            self._attempts = 0 if self._unit_count > count_before else self._attempts
            if self._stop.is_set() or (error is None and self._feed.is_finite):
                return
            self._feed = self._reopened(error)

    def _read_feed(self, feed: Feed) -> MediaError | None:
        """Reads a connection to its end; returns the error that cut it off, or None."""
        pace = None
        if feed.slack_s is not None and not self._settings.is_patient:
            pace = Pace(self._clock, feed.slack_s)
        try:
            for unit in feed:
                if self._stop.is_set():
                    break
                self._unit_count += 1
                has_waited = pace is not None and pace.keep(ends_at(unit), self._stop)
                self._deliver(unit, has_waited)
        except MediaError as error:
            if feed.is_finite:
                raise
            return error
        finally:
            feed.close()
        return None

    def _deliver(self, unit: StreamFrame | Block, has_waited: bool) -> None:
        if self._stop.is_set():
            return
        read_s = (0.0 if has_waited else getattr(unit, 'read_s', 0.0)) or self._clock.now()
        if hasattr(unit, 'samples'):
            dropped = self.sound.put(Arrived(unit, read_s))  # type: ignore[arg-type]
            self.sound_dropped_s += len(dropped.unit.samples) / RATE_HZ if dropped is not None else 0.0
        else:
            self.pictures.put(Arrived(unit, read_s))

    def _reopened(self, last_error: MediaError | None) -> Feed | None:
        """Another connection after pauses; None if the source does not come back."""
        reason = 'it ended' if last_error is None else lost_reason(last_error)
        while self._attempts < self._settings.reconnects and not self._stop.is_set():
            self._clock.wait(self._stop, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._attempts))
            if self._stop.is_set():
                return None
            self._attempts += 1
            self._times.begin_again(self._clock.now())
            try:
                feed = self._opened()
            except MediaError as error:
                reason = lost_reason(error)
                continue
            self.reconnects += 1
            return feed
        if not self._stop.is_set():
            self.loss = f'was lost after {self._times.latest_s:.1f} s and did not come back: {reason}'
            self.notes.append(f'the source {self.loss}')
        return None

    def _opened(self) -> Feed:
        """A new connection to the source."""
        source, settings = self._source, self._settings
        if not isinstance(source, (int, str, os.PathLike)):
            return GivenFeed(cast(Iterable[Any], source), settings)
        text = os.fspath(source) if not isinstance(source, int) else str(source)
        if _is_camera(source):
            file, device, options = camera_input(source if isinstance(source, int) else text, settings)
            opening = Opening(f'camera {source}', file, device, {**LOW_DELAY, **options}, is_finite=False)
        elif text == STDIN or is_pipe(Path(text)):
            return self._piped(text)
        elif '://' in text:
            opening = _address(text)
        else:
            return FileFeed(Path(text), settings)
        return ConnectedFeed(opening, settings, self._times, self._clock.now)

    def _opened_microphone(self) -> Feed | None:
        """The microphone, where the system separates it from the camera; it has a clock of its own."""
        arguments = microphone_input(self._settings)
        if arguments is None:
            return None
        name, device, options = arguments
        opening = Opening(f'microphone {name}', name, device, options, is_finite=False)
        return ConnectedFeed(opening, replace(self._settings, faces=False), SteadyClock(), self._clock.now)

    def _piped(self, text: str) -> Feed:
        is_stdin = text == STDIN
        self._pipe = PipeBytes.standard_input(self._stop) if is_stdin else PipeBytes.named(Path(text), self._stop)
        self._pipe.wait_for_bytes(None if is_stdin else self._settings.patience_s)
        opening = Opening(
            'standard input' if is_stdin else text,
            self._pipe,
            None,
            {**PROBING, **LOW_DELAY, **PIPED},
            True,
            PIPE_SLACK_S,
        )
        return ConnectedFeed(opening, self._settings, self._times, self._clock.now)


def name_of(source: SourceLike) -> str:
    """The name of a source, for messages."""
    if isinstance(source, int):
        return f'camera {source}'
    if not isinstance(source, (str, os.PathLike)):
        return 'frames'
    text = os.fspath(source)
    if text == STDIN:
        return 'standard input'
    if '://' not in text:
        return Path(text).name
    scheme, _, remainder = text.partition('://')
    address = remainder if '?' in remainder.partition('/')[0] else remainder.partition('?')[0]
    user, _, host = address.rpartition('@')
    has_user = ':' in user or '/' not in user  # a password may hold /, ? and @ although it should not
    return f'{scheme}://{(host if has_user else address).partition("?")[0]}'


def _is_camera(source: SourceLike) -> bool:
    """Whether it is a camera's number or device."""
    return isinstance(source, int) or (isinstance(source, (str, os.PathLike)) and str(source).startswith('/dev/video'))


def lost_reason(error: MediaError) -> str:
    """Why a connection ended, without the address, which may contain a password."""
    return str(error.came).rpartition(': ')[2]


def _address(text: str) -> Opening:
    options = {**PROBING, **LOW_DELAY}
    if text.startswith('rtsp'):
        options['rtsp_transport'] = 'tcp'
    is_web = text.startswith('http')
    return Opening(name_of(text), text, None, options, None if is_web else False, PIPE_SLACK_S if is_web else None)


def require_source(source: SourceLike, settings: StreamSettings) -> None:
    """Raises immediately, before any model is loaded, if the source does not exist.

    Raises:
        MediaError: no such camera or file, nothing is connected to standard input, or it is not a source.
    """
    if not isinstance(source, (int, str, os.PathLike)):
        if not isinstance(source, Iterable):
            raise MediaError(
                expected='a camera number, an address, a path or an iterable of frames',
                came=f'{type(source).__name__}', todo='give one of these',
            )  # fmt: skip
        return
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    if _is_camera(source):
        camera_input(source if isinstance(source, int) else text, settings)
    elif text == STDIN:
        PipeBytes.standard_input(threading.Event())
    elif '://' not in text and (not text or not Path(text).exists() or Path(text).is_dir()):
        raise MediaError(
            expected='a file, an address such as rtsp://…, or - for standard input',
            came=f'the folder {text}' if text and Path(text).is_dir() else f'{text or "nothing"}: no such file',
            todo='check the path; a camera goes by its number: --camera N, in Python the number itself',
        )
