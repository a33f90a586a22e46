"""Connections with time limits: no client can keep one by sending or reading nothing.

uvicorn waits without limit for the rest of a request. `PatientProtocol` sets time limits for the headers of a request,
its body, and a client that has stopped reading, and closes the longest idle connection where there are too many.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD, BODY = 'the head of the request', 'the body of the request'


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with time limits and a maximum number of connections."""

    head_s = 10.0
    """Time limit from the first byte, or from the connection, to the end of the headers, in seconds."""
    body_s = 20.0
    """Time limit from the end of the headers to the end of the body, in seconds."""
    stalled_s = 120.0
    """Time limit in seconds for a client that does not read the response; a browser whose video was paused for longer
    requests the rest again."""
    most = 500
    """Maximum number of open connections of all clients together."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self._awaited: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._heard_at = self.loop.time()
        self._is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register a connection; if there are too many, the longest idle one is closed."""
        super().connection_made(transport)
        self._await(HEAD)
        if len(self.connections) > self.most:
            others = [other for other in self.connections if isinstance(other, PatientProtocol)]
            idle = [other for other in others if not other.is_answering]
            if idle:
                min(idle, key=lambda other: other._heard_at).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Process received data; the rest of the request keeps its deadline."""
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self._is_upgraded:
            self._await(None)
        elif not self.is_answering:
            self._await(HEAD)
        elif self.cycle.more_body:
            self._await(BODY)
        else:
            self._await(None)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Switch to a WebSocket, which has no deadline: pings detect a lost client."""
        self._is_upgraded = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove a closed connection."""
        self._await(None)
        self._cancel_stalled()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the time limit of a client that does not read."""
        super().pause_writing()
        self._cancel_stalled()
        self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the time limit: the client reads again."""
        self._cancel_stalled()
        super().resume_writing()

    @property
    def is_answering(self) -> bool:
        """Whether the headers of a request have been received and its response is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _await(self, part: str | None) -> None:
        """Set the deadline of a part, unless it is already set."""
        if part == self._awaited and part is not None:
            return
        self._awaited = part
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if part is not None:
            seconds = self.head_s if part == HEAD else self.body_s
            self._deadline = self.loop.call_later(seconds, self._give_up, part, seconds)

    def _give_up(self, part: str, seconds: float) -> None:
        """Close the connection, with status 408 unless a response has begun."""
        if self.transport.is_closing():
            return
        if not (self.is_answering and self.cycle.response_started):
            body = json.dumps({'error': f'{part} did not come within {seconds:g} s'}).encode()
            head = f'HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n'
            self.transport.write(f'{head}connection: close\r\n\r\n'.encode() + body)
        self.transport.close()

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
