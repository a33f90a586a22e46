"""Connections that send or read nothing end; whole ones are answered."""

from __future__ import annotations

import json
import queue
import socket
import threading

import pytest

uvicorn = pytest.importorskip('uvicorn', reason='uvicorn is not installed')
from affekt.serve.connections import PatientProtocol  # noqa: E402

LARGE = 32 * 2**20
GET = b'GET / HTTP/1.1\r\nhost: here\r\n\r\n'


class Hasty(PatientProtocol):
    head_s = body_s = stalled_s = 0.2
    most = 20
    lost: queue.Queue = queue.Queue()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.lost.put(self.client)


async def _app(scope, receive, send):
    """Answers with the length of the body, or with much where it is asked for."""
    size, more = 0, scope['method'] == 'POST'
    while more:
        message = await receive()
        if message['type'] == 'http.disconnect':
            return
        size, more = size + len(message['body']), message['more_body']
    body = b'x' * LARGE if scope['path'] == '/large' else json.dumps(size).encode()
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'%d' % len(body))]})
    for start in range(0, len(body), 2**16):
        part = body[start : start + 2**16]
        await send({'type': 'http.response.body', 'body': part, 'more_body': start + 2**16 < len(body)})


@pytest.fixture(scope='module')
def port():
    listening = socket.create_server(('127.0.0.1', 0))
    config = uvicorn.Config(_app, http=Hasty, ws='none', lifespan='off', log_level='error', timeout_keep_alive=30)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={'sockets': [listening]}, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(('127.0.0.1', port))
    connection.settimeout(10)
    return connection


def _until_closed(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(2**16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b''.join(parts)


@pytest.mark.parametrize(
    'sent',
    [
        b'',
        b'GET / HT',
        b'GET / HTTP/1.1\r\nhost: here\r\n',
        b'POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n',
        b'POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\nhalf',
    ],
)
def test_a_request_that_is_never_finished_is_ended_with_a_sentence(port, sent):
    with _connected(port) as connection:
        connection.sendall(sent)
        answer = _until_closed(connection)
    assert answer.startswith(b'HTTP/1.1 408 ')
    assert b'did not come within 0.2 s' in answer


def test_a_byte_now_and_then_does_not_move_the_deadline(port):
    with _connected(port) as connection:
        connection.settimeout(0.05)
        answer, sent = b'', 0
        while not answer and sent < 200:
            try:
                connection.sendall(b'G')
                sent += 1
                answer = connection.recv(2**16)
            except TimeoutError:
                continue
    assert answer.startswith(b'HTTP/1.1 40')
    assert sent < 200


def test_a_second_request_on_a_kept_connection_has_a_deadline_as_well(port):
    with _connected(port) as connection:
        connection.sendall(GET)
        assert connection.recv(2**16).startswith(b'HTTP/1.1 200')
        connection.sendall(b'GET')
        assert b' 408 ' in _until_closed(connection)


def test_a_reader_that_stops_is_let_go(port):
    with _connected(port) as connection:
        connection.sendall(GET.replace(b'/ ', b'/large '))
        head = connection.recv(1000)
        assert head.startswith(b'HTTP/1.1 200')
        while Hasty.lost.get(timeout=10) != connection.getsockname():
            pass
        assert len(_until_closed(connection)) < LARGE


def test_where_too_many_are_open_the_longest_idle_one_goes_and_a_new_one_is_answered(port):
    idle = [_connected(port) for _ in range(Hasty.most)]
    with _connected(port) as connection:
        connection.sendall(GET)
        assert connection.recv(2**16).startswith(b'HTTP/1.1 200')
    for connection in idle:
        _until_closed(connection)
        connection.close()


def test_a_whole_request_is_answered_in_parts_too(port):
    with _connected(port) as connection:
        connection.sendall(b'POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab')
        connection.sendall(b'cd')
        assert _until_closed(connection).endswith(b'\r\n\r\n4')
