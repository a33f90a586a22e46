"""A server that speaks the chat API on the loopback and does what a script says, faults included."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ScriptedServer:
    """Answers each question by the next step of a script, then by `answer`.

    A step is a text (a good reply), a number (an HTTP state), a number and the server's words, or the name of a fault:
    `hang`, `cut`, `cut chunk`, `no length`, `nonsense`, `no choices`, `redirect`, `close`.
    """

    def __init__(self) -> None:
        self.script: list[str | int | tuple[int, str] | dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], str | int | tuple[int, str]] = lambda question: '{"labels": ["happy"]}'
        self.questions: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.retry_after: str | None = None
        self.before_reply: Callable[[int], None] = lambda number: None
        self.after_reply: Callable[[int], None] = lambda number: None
        self.released = threading.Event()
        self._guard = threading.Lock()
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a client that was killed is no error of the server
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self._server.server_address[1]}/v1'

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                with server._guard:
                    server.questions.append(question)
                    server.headers.append(dict(self.headers))
                    number = len(server.questions)
                    step = server.script.pop(0) if server.script else server.answer(question)
                server.before_reply(number)
                self.close_connection = True
                self._do(step)
                server.after_reply(number)

            def _do(self, step: str | int | tuple[int, str] | dict[str, Any]) -> None:
                if step == 'hang':
                    server.released.wait(10)
                elif step == 'close':
                    pass
                elif step == 'nonsense':
                    self._send(b'<html>busy</html>')
                elif step == 'no choices':
                    self._send(b'{"object": "error"}')
                elif step == 'cut':
                    self._send(_reply('["happy"]')[:-5], length=len(_reply('["happy"]')))
                elif step == 'no length':
                    self._send(_reply('["happy"]')[:-5], length=None)
                elif step == 'cut chunk':
                    self._send(b'40\r\n{"choices": [', length=None, chunked=True)
                elif step == 'redirect':
                    self._send(b'', state=307, Location='http://127.0.0.1:9/v1')
                elif isinstance(step, int):
                    more = {'Retry-After': server.retry_after} if server.retry_after else {}
                    self._send(json.dumps({'error': {'message': f'state {step}'}}).encode(), state=step, **more)
                elif isinstance(step, tuple):
                    self._send(json.dumps({'error': {'message': step[1]}}).encode(), state=step[0])
                elif isinstance(step, dict):
                    self._send(json.dumps(step).encode())
                else:
                    self._send(_reply(step))

            def _send(
                self, body: bytes, state: int = 200, length: int | None = -1, chunked: bool = False, **headers: str
            ) -> None:
                self.send_response(state)
                if chunked:
                    self.send_header('Transfer-Encoding', 'chunked')
                elif length is not None:
                    self.send_header('Content-Length', str(len(body) if length == -1 else length))
                for name, value in headers.items():
                    self.send_header(name.replace('_', '-'), value)
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

        return Handler


def _reply(text: str) -> bytes:
    choice = {'index': 0, 'message': {'role': 'assistant', 'content': text}, 'finish_reason': 'stop'}
    return json.dumps({'model': 'tiny-1', 'choices': [choice], 'usage': {'total_tokens': 3}}).encode()
