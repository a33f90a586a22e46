"""A server on the loopback that answers every connection by a script, as slowly and as wrongly as that says."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
DRIPS_S = 0.02
"""Between two pieces of an answer: shorter than any timeout, so that each one seems to be on time."""

Script = Callable[[bytes], Iterator[bytes]]


def answer(content: str, **more: object) -> bytes:
    """A good answer as bytes."""
    reply = {'model': 'tiny-1', 'choices': [{'message': {'content': content}, 'finish_reason': 'stop'}], **more}
    return json.dumps(reply).encode()


def whole(body: bytes, head: bytes = OK) -> bytes:
    """An answer with its length."""
    return head + b'Content-Length: %d\r\nConnection: close\r\n\r\n' % len(body) + body


def drips(first: bytes, piece: bytes) -> Script:
    """`first`, then `piece` for ever."""
    return lambda request: itertools.chain([first], itertools.repeat(piece))


class HostileServer:
    """Sends what `script(request)` yields, one piece each `DRIPS_S`, until the client leaves; silent where it ends."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.asked = threading.Event()
        self._ended = threading.Event()
        self._listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self._listener.getsockname()[1]}/v1'

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            request = b''
            while b'\r\n\r\n' not in request and (piece := line.recv(65536)):
                request += piece
            self.requests.append(request)
            self.asked.set()
            try:
                for piece in self.script(request):
                    line.sendall(piece)
                    if self._ended.wait(DRIPS_S):
                        return
            except OSError:
                return
            self._ended.wait()
