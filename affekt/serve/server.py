"""Sockets, start and orderly end of a server.

FastAPI and uvicorn are imported only when something is served.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from affekt.errors import RunError, missing_extra
from affekt.serve.guard import LARGEST_BODY, App

LOOPBACK = ('127.0.0.1', 'localhost', '::1')
ANY_ADDRESS = ('0.0.0.0', '::')
PATIENCE_S = 3
"""Time in seconds that responses in progress have to finish when the server stops."""


def require_serving_parts(*, websockets: bool = False) -> None:
    """Check that the packages for serving are installed.

    Args:
        websockets: whether the page needs WebSockets.

    Raises:
        MissingExtraError: FastAPI, uvicorn or wsproto is not installed.
    """
    try:
        for name in ('uvicorn', 'fastapi', *['wsproto'] * websockets):
            import_module(name)
    except ModuleNotFoundError as error:
        packages = 'FastAPI, uvicorn and wsproto' if websockets else 'FastAPI and uvicorn'
        raise missing_extra(packages, 'serve', came=f'no {error.name}') from error


def hosts_of(address: str) -> frozenset[str] | None:
    """Host names under which a server at an address is reached; None for any literal address of this machine."""
    if address in ANY_ADDRESS:
        return None
    return frozenset({*LOOPBACK} if address in LOOPBACK else {address.lower()})


def name_of(address: str) -> str:
    """The host in links to a server that listens on an address."""
    return socket.gethostname() if address in ANY_ADDRESS else f'[{address}]' if ':' in address else address


def listen(address: str, port: int, before: int = 0) -> socket.socket:
    """A listening socket.

    Args:
        address: an address of this machine, or one of ANY_ADDRESS.
        port: port to listen on; 0 for `before` if it is free, otherwise any free one.
        before: port of the previous run; 0 for none.

    Raises:
        RunError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for number in (port,) if port else (before, 0):
        # Only with an explicit protocol does asyncio set TCP_NODELAY; otherwise each answer waits 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, number))
            listening.listen(128)
        except (OSError, OverflowError, TypeError, ValueError) as error:  # TypeError, ValueError: not a host name
            listening.close()
            if number == 0 or port:
                raise RunError(
                    expected=f'an address to listen at, {address} port {number}',
                    came=str(error),
                    todo='choose another port or address',
                ) from error
        else:
            return listening
    raise AssertionError('port 0 is always tried')  # pragma: no cover


def serve_until_stopped(app: App, listening: socket.socket, started: Callable[[], None] = lambda: None) -> None:
    """Serve an app until SIGINT or SIGTERM.

    Args:
        app: app by `guarded_app`.
        listening: socket by `listen`.
        started: called when the server has started.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
    """
    server = _server(app)
    with _stopped_by_sigterm(server), contextlib.suppress(KeyboardInterrupt):
        started()
        server.run(sockets=[listening])


@contextlib.contextmanager
def served(app: App, listening: socket.socket) -> Iterator[None]:
    """Serve an app, including WebSockets, in a separate thread during the block.

    Args:
        app: app by `guarded_app`.
        listening: socket by `listen`; closed at the end.

    Raises:
        MissingExtraError: FastAPI, uvicorn or wsproto is not installed.
    """
    server = _server(app, websockets=True)
    thread = threading.Thread(target=server.run, kwargs={'sockets': [listening]}, name='affekt-page', daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S + 2)
        listening.close()


def _server(app: App, *, websockets: bool = False) -> Any:
    """The uvicorn server with the settings of all pages of affekt."""
    require_serving_parts(websockets=websockets)
    import uvicorn

    from affekt.serve.connections import PatientProtocol

    config = uvicorn.Config(
        app, http=PatientProtocol, ws='wsproto' if websockets else 'none', ws_max_size=LARGEST_BODY,
        ws_per_message_deflate=False, log_level='error', access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=PATIENCE_S, lifespan='off',
    )  # fmt: skip
    return uvicorn.Server(config)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; an existing one is replaced, so that no link is followed."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, 'w') as file:
        file.write(text)


@contextlib.contextmanager
def _stopped_by_sigterm(server: Any) -> Iterator[None]:
    """Let SIGTERM stop the server, not the process; only in the main thread, where signals can be handled.

    uvicorn handles signals only while it runs, and raises a handled one again at its end.
    """

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handler = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
