"""HTTP requests with one deadline for connecting, sending, headers, body and the body of an error together.

The timeout of a socket restarts with each byte, so that a server that sends one byte at a time never exceeds it. Here a
timer shuts the connection down at the deadline, whatever it waits for; `Calls.close` does so at once, from any thread,
for all requests in progress. A download, whose length is unknown, moves its deadline as it goes on.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Call:
    """One request in progress; a context manager that ends with it.

    Args:
        calls: collection that registers this request.
        timeout_s: time from now to the last byte, in seconds.
    """

    def __init__(self, calls: Calls, timeout_s: float) -> None:
        self._calls, self._until = calls, time.monotonic() + timeout_s
        self._sockets: list[socket.socket] = []
        self._guard = threading.Lock()
        self._is_cut = False
        self.is_late = False
        """Whether it was cut because its time was over."""
        self._timer = self._timer_until()

    def __enter__(self) -> Call:
        self._calls.begin(self)
        self._timer.start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._calls.end(self)

    def _timer_until(self) -> threading.Timer:
        timer = threading.Timer(max(0.0, self._until - time.monotonic()), self._end_late)
        timer.daemon = True
        return timer

    def extend(self, timeout_s: float) -> None:
        """Move the deadline to `timeout_s` seconds from now."""
        self._timer.cancel()
        self._until = time.monotonic() + timeout_s
        self._timer = self._timer_until()
        self._timer.start()

    def left_s(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: the deadline has passed.
        """
        remaining_s = self._until - time.monotonic()
        if remaining_s <= 0:
            self.is_late = True
            raise TimeoutError
        return remaining_s

    def connected(self, address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        """A connection to the first address of a host that accepts one before the deadline, name look-up included.

        Args:
            address: host name and port.

        Raises:
            OSError: no address accepts a connection; TimeoutError after the deadline.
        """
        last_error: OSError = OSError('no address')
        for family, socket_type, protocol, _, socket_address in self._addresses(address):
            connection = socket.socket(family, socket_type, protocol)
            self.watch(connection)
            try:
                connection.settimeout(self.left_s())
                connection.connect(socket_address)
                connection.settimeout(self.left_s())  # the TLS handshake has the remaining time
                return connection
            except OSError as error:
                connection.close()
                last_error = error
        raise last_error

    def _addresses(self, address: tuple[str, int]) -> list[Any]:
        """Addresses of the host name, looked up in a separate thread, since a look-up has no timeout."""
        outcome: list[list[Any] | OSError | UnicodeError] = []

        def look_up() -> None:
            try:
                outcome.append(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # the latter for a name of impossible length
                outcome.append(error)

        thread = threading.Thread(target=look_up, daemon=True, name='look-up')
        thread.start()
        thread.join(self.left_s())
        if not outcome:
            self.left_s()
            raise TimeoutError
        if isinstance(outcome[0], OSError | UnicodeError):
            raise outcome[0]
        return outcome[0]

    def watch(self, connection: socket.socket | None) -> None:
        """Shut this socket down too when the call is cut off; None is ignored.

        Raises:
            TimeoutError: the call has been cut off already.
        """
        if connection is None:
            return
        with self._guard:
            self._sockets.append(connection)
            if self._is_cut:
                connection.close()
                raise TimeoutError

    def cut(self) -> None:
        """End the request now: waiting reads see the end of the connection, and no new connection is opened."""
        with self._guard:
            self._is_cut = True
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _end_late(self) -> None:
        self.is_late = True
        self.cut()

    def opener(self, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
        """A urllib opener whose connections belong to this call and end with it."""
        return urllib.request.build_opener(_PlainHandler(self), _SecureHandler(self), *handlers)


class Calls:
    """All requests in progress."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: set[Call] = set()
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called; no more requests are sent then."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Wait for a time in seconds, or until closed."""
        self._closed.wait(seconds)

    def begin(self, call: Call) -> None:
        """Register a call; once closed, it is cut off at once."""
        with self._guard:
            self._running.add(call)
        if self.is_closed:
            call.cut()

    def end(self, call: Call) -> None:
        """Remove a call that has ended."""
        with self._guard:
            self._running.discard(call)

    def close(self) -> None:
        """Cut off all requests, and prevent new ones."""
        self._closed.set()
        with self._guard:
            running = list(self._running)
        for call in running:
            call.cut()


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, host: str, *, call: Call, **options: Any) -> None:
        super().__init__(host, **options)
        self._create_connection = call.connected


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, call: Call, **options: Any) -> None:
        super().__init__(host, **options)
        self._call = call
        self._create_connection = call.connected

    def connect(self) -> None:
        super().connect()
        self._call.watch(self.sock)


def _connection_factory(connection_class: type[http.client.HTTPConnection], call: Call) -> Callable[..., Any]:
    def connection(host: str, **options: Any) -> http.client.HTTPConnection:
        options['timeout'] = call.left_s()
        return connection_class(host, call=call, **options)  # type: ignore[call-arg]

    return connection


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connection_factory(_PlainConnection, self._call), request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(
            _connection_factory(_SecureConnection, self._call), request, context=getattr(self, '_context', None)
        )
