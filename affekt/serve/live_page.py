"""The page of a live stream: the newest frame and the last 30 seconds of readings, for several viewers at a time.

The session passes each reading with its frame to a `LiveFeed` and continues; all work for viewers, encoding included,
is done in the server's thread. At most every SEND_EVERY_S a viewer is sent all readings since its last message and, of
the frames, only the newest. A message consists of the size of its JSON in four bytes, little-endian, the JSON, and a
JPEG if there is a new frame.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.to_thread
import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from numpy.typing import NDArray
from PIL import Image

from affekt.purpose import NOTICE, NOTICE_LINE
from affekt.serve.app import StaticFile, guarded_app, needs, static_files
from affekt.serve.guard import App, Tokens
from affekt.serve.server import hosts_of, listen, name_of, served
from affekt.typed_json import plain

VIEWER = 'viewer'
OTHERWISE = 'open the link that `affekt stream --page` printed'
ADDRESS = '127.0.0.1'
"""Not served to other machines: the people shown may not know of the page."""
KEPT_S = 30.0
"""Length of the curves in seconds."""
MOST_KEPT = 2000
"""Maximum number of stored readings, whatever their rate."""
SEND_EVERY_S = 0.06
"""Shortest time in seconds between two messages to a viewer."""
STALLED_S = 20.0
"""Time in seconds for which a viewer may leave a message unread before it is disconnected."""
MOST_VIEWERS = 8
TRY_AGAIN_LATER = 1013
"""Code for closing a WebSocket if there are too many viewers: the IANA registry of RFC 6455."""
VIEW_SIDE = 800
"""Longest side of the displayed frames in pixels."""
QUALITY = 75
"""JPEG quality of the displayed frames."""
ENDS = ('ended', 'failed')
"""Final states of a stream."""

OWN_ASSETS = {'live.js': 'text/javascript', 'live_curves.js': 'text/javascript', 'live.css': 'text/css'}
PAGE_ASSETS = {'page.css': 'text/css', 'page.js': 'text/javascript', 'entering.js': 'text/javascript'}


class Showable(Protocol):
    """A reading, as far as the page needs it."""

    @property
    def time_s(self) -> float:
        """Seconds from the start of the stream."""

    def as_dict(self) -> Mapping[str, Any]:
        """Plain values by name."""


@dataclass(frozen=True)
class News:
    """Changes since a viewer's last message."""

    number: int
    """Number of the last change: `since` of the next request."""
    content: Mapping[str, Any]
    """State of the stream and new readings, of plain JSON types."""
    frame_number: int
    """Number of the newest frame; 0 before the first."""
    is_last: bool
    """Whether the stream has ended, so that nothing follows."""


class LiveFeed:
    """Passes readings and frames from a session to viewers, for whom the session never waits.

    Args:
        title: name of the stream.
        purpose: stated purpose of the analysis; '' for none.
    """

    def __init__(self, title: str, purpose: str = '') -> None:
        self._about = {'title': title, 'purpose': purpose, 'notice': NOTICE, 'notice_line': NOTICE_LINE}
        self._changed = threading.Condition()
        self._number = 1  # viewers receive the title even before the first reading
        self._readings: deque[tuple[int, Showable]] = deque(maxlen=MOST_KEPT)
        self._state: dict[str, Any] = {'state': 'starting', 'message': '', 'session': 1}
        self._frame: tuple[int, NDArray[np.uint8]] | None = None
        self._size = [0.0, 0.0]
        self._encoded: tuple[int, bytes] = (0, b'')
        self._encoding = threading.Lock()
        self._viewers = 0
        self.asked_to_stop = threading.Event()
        self.asked_to_start = threading.Event()

    def begin(self) -> None:
        """Clear the readings of the previous session."""
        with self._changed:
            self._readings.clear()
        self.say('starting', session=self._state['session'] + 1)

    def take(self, reading: Showable, frame: NDArray[np.uint8] | None, scale: float = 1.0) -> None:
        """Add a reading and its frame; returns at once.

        Args:
            reading: reading with its time in the stream.
            frame: (H, W, 3) RGB that is not changed any more; None for a stream without video.
            scale: pixels of the source per pixel of the frame; boxes are in pixels of the source.
        """
        with self._changed:
            self._number += 1
            self._readings.append((self._number, reading))
            while self._readings[0][1].time_s < reading.time_s - KEPT_S:
                self._readings.popleft()
            if frame is not None:
                self._frame = (self._number, frame)
                self._size = [frame.shape[1] * scale, frame.shape[0] * scale]
            if self._state['state'] == 'starting':
                self._state = {**self._state, 'state': 'live'}

    def say(self, state: str | None = None, message: str = '', **figures: Any) -> None:
        """Set the state of the stream.

        Args:
            state: 'starting', 'live', 'saving', 'stopped', or one of ENDS; None to keep it.
            message: a sentence for viewers.
            figures: values for the whole stream to show, such as frames, dropped and reconnects.
        """
        with self._changed:
            self._number += 1
            changed = {} if state is None else {'state': state, 'message': message}
            self._state = {**self._state, **changed, **plain(figures)}

    def news(self, since: int) -> News | None:
        """Changes after the number `since`; None for none. A first request, with 0, also gets the title."""
        with self._changed:
            if self._number == since:
                return None
            last_number, state, frame, size = self._number, self._state, self._frame, self._size
            readings = [reading for number, reading in self._readings if number > since]
        content = {**state, 'readings': [plain(reading.as_dict()) for reading in readings]}
        if frame is not None:
            content['size'] = size
        if since == 0:
            content['about'] = self._about
        return News(last_number, content, frame[0] if frame else 0, state['state'] in ENDS)

    def jpeg(self) -> tuple[int, bytes]:
        """Number of the newest frame, and its JPEG, encoded once for all viewers."""
        with self._encoding:
            frame = self._frame
            if frame is not None and frame[0] != self._encoded[0]:
                self._encoded = (frame[0], _jpeg(frame[1]))
            return self._encoded

    @contextlib.contextmanager
    def watched(self) -> Iterator[bool]:
        """Count a viewer during the block; yields False, and counts nobody, if there are too many."""
        with self._changed:
            is_welcome = self._viewers < MOST_VIEWERS
            self._viewers += is_welcome
        try:
            yield is_welcome
        finally:
            with self._changed:
                self._viewers -= is_welcome
                self._changed.notify_all()

    @property
    def viewers(self) -> int:
        """Number of viewers."""
        with self._changed:
            return self._viewers

    def wait_for_viewers(self, seconds: float) -> None:
        """Wait until no viewer is left, at most for this time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._viewers, seconds)


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    """A frame (H, W, 3) as JPEG, at most VIEW_SIDE pixels on its longer side."""
    image = Image.fromarray(frame)
    if max(image.size) > VIEW_SIDE:
        image.thumbnail((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=QUALITY)
    return buffer.getvalue()


def live_app(feed: LiveFeed, tokens: Tokens, *, cookie: str = 'affekt', hosts: frozenset[str] | None) -> App:
    """The page as an ASGI app.

    Args:
        feed: source of readings and frames.
        tokens: tokens, one of them for VIEWER.
        cookie: name of the cookie; browsers share cookies among all ports of a machine.
        hosts: accepted host names, as for `Guard`.
    """
    routes = APIRouter(dependencies=[needs(VIEWER, otherwise=OTHERWISE)])

    @routes.post('/api/stop')
    def stop() -> dict[str, bool]:
        """End the session, which is saved; the page stays."""
        feed.asked_to_stop.set()
        return {'asked': True}

    @routes.post('/api/start')
    def start() -> dict[str, bool]:
        """Start another session of the same source."""
        feed.asked_to_start.set()
        return {'asked': True}

    @routes.websocket('/api/live')
    async def watch(socket: WebSocket) -> None:
        """Send all readings and the newest frames until either side ends."""
        await socket.accept()
        with feed.watched() as is_welcome:
            if not is_welcome:
                await socket.close(TRY_AGAIN_LATER, f'{MOST_VIEWERS} viewers are here already')
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, socket, tasks.cancel_scope)
                await _send_news(socket, feed)
                tasks.cancel_scope.cancel()

    return guarded_app('affekt stream', routes, _pages(), tokens, cookie=cookie, hosts=hosts)


async def _send_news(socket: WebSocket, feed: LiveFeed) -> None:
    """Send changes until the stream ends; return if the viewer has left or reads nothing for STALLED_S."""
    last_number = last_frame = 0
    with contextlib.suppress(WebSocketDisconnect, TimeoutError):
        while True:
            news = feed.news(last_number)
            if news is not None:
                jpeg = b''
                if news.frame_number != last_frame:
                    last_frame, jpeg = await anyio.to_thread.run_sync(feed.jpeg)
                with anyio.fail_after(STALLED_S):
                    await socket.send_bytes(packed(news.content, jpeg))
                last_number = news.number
                if news.is_last:
                    await socket.close()
                    return
            await anyio.sleep(SEND_EVERY_S)


async def _until_gone(socket: WebSocket, scope: anyio.CancelScope) -> None:
    """Cancel the scope when the viewer has left; messages of viewers are ignored."""
    while (await socket.receive())['type'] != 'websocket.disconnect':
        pass
    scope.cancel()


def packed(content: Mapping[str, Any], jpeg: bytes) -> bytes:
    """A message for viewers; an empty `jpeg` stands for no new frame.

    >>> packed({'a': 1}, b'JPEG')
    b'\\x07\\x00\\x00\\x00{"a":1}JPEG'
    """
    text = json.dumps(content, allow_nan=False, separators=(',', ':')).encode()
    return len(text).to_bytes(4, 'little') + text + jpeg


def _pages() -> dict[str, StaticFile]:
    own = static_files('affekt.serve', {'live.html': 'text/html', **OWN_ASSETS})
    return {'/': own.pop('/live.html'), **own, **static_files('affekt.pages', PAGE_ASSETS)}


@contextlib.contextmanager
def stream_page(feed: LiveFeed, *, port: int = 0) -> Iterator[str]:
    """Serve the page on the loopback address during the block; yields its link.

    Args:
        feed: source of readings and frames; at the end, viewers have a second to receive its last message.
        port: port to listen on; 0 for any free one.

    Raises:
        MissingExtraError: FastAPI, uvicorn or wsproto is not installed.
        RunError: the port is taken.
    """
    token = secrets.token_urlsafe(18)
    listening = listen(ADDRESS, port)
    port = listening.getsockname()[1]
    app = live_app(feed, Tokens({VIEWER: token}), cookie=f'affekt-{port}', hosts=hosts_of(ADDRESS))
    with served(app, listening):
        try:
            yield f'http://{name_of(ADDRESS)}:{port}/#token={token}'
        finally:
            feed.wait_for_viewers(1.0)
