"""Servers that are slow on purpose, repeat the key, or never end: deadlines, Ctrl-C, and what is shown."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from hostile_server import OK, HostileServer, answer, drips, whole

from affekt import downloads
from affekt.errors import LLMError
from affekt.http_calls import Call, Calls
from affekt.llm import Endpoint, RememberingChat, ReplayCache, Request
from affekt.llm.secrets import Secrets
from affekt.llm.workers import in_order

QUESTION = Request(({'role': 'user', 'content': 'How?'},), 'test-1')
KEY = 'sk-proj-a/b+c=d"e&f-0123456789'
LATE = {
    'nothing at all': lambda request: iter(()),
    'a byte at a time': drips(OK + b'Content-Length: 100000\r\n\r\n', b'x'),
    'headers without end': drips(OK, b'X-More: 1\r\n'),
    'one header without end': drips(OK + b'X-More: ', b'1'),
    'a state line without end': drips(b'HTTP/1.1 200 ', b'O'),
    'continue without end': drips(b'', b'HTTP/1.1 100 Continue\r\n\r\n'),
    'chunks without end': drips(OK + b'Transfer-Encoding: chunked\r\n\r\n', b'1\r\nx\r\n'),
    'trailers without end': drips(OK + b'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n', b'X-More: 1\r\n'),
    'no length, no end': drips(OK + b'\r\n', b' '),
    'an error body without end': drips(b'HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n', b'x'),
}


@contextlib.contextmanager
def serving(script):
    server = HostileServer(script)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize('fault', LATE)
def test_one_deadline_holds_over_all_that_a_server_sends(fault):
    with serving(LATE[fault]) as server:
        begun = time.monotonic()
        with pytest.raises(LLMError, match=r'no answer in 0\.3 s|HTTP 503|cut \(') as raised:
            Endpoint(server.url, 'tiny', timeout_s=0.3, attempts=1).ask(QUESTION)
        # A server that drips holds a socket's own timeout off for ever; how long the machine takes is not the point.
        assert time.monotonic() - begun < 20
    assert 'in the last of 1 attempts' in str(raised.value)


@pytest.mark.parametrize('fault', sorted(LATE.keys() - {'an error body without end'}))
def test_a_download_ends_if_its_server_sends_too_slowly(fault, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, 'SLOW_S', 0.3)
    with serving(LATE[fault]) as server, pytest.raises(OSError, match=r'fewer than 65,536 bytes in 0\.3 s'):
        downloads.downloaded(server.url, tmp_path / 'file', 100_000)


def test_a_download_that_goes_on_may_take_longer_than_a_slow_server_may(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, 'SLOW_S', 2.0)
    monkeypatch.setattr(downloads, 'FEWEST_BYTES', 10)
    body = b'x' * 1000

    def pauses(request):
        for piece in (OK + b'Content-Length: 1000\r\n\r\n', *[body[:100]] * 10):
            time.sleep(0.3)
            yield piece

    with serving(pauses) as server:
        downloads.downloaded(server.url, tmp_path / 'file', 1000)
    assert (tmp_path / 'file').read_bytes() == body


@pytest.mark.parametrize(
    ('place', 'says'),
    [(b'ftp://127.0.0.1/a', 'not http or https'), (b'file:///etc/hostname', 'not allowed'), (b'', 'infinite loop')],
)
def test_a_download_follows_redirects_on_the_web_alone_and_not_for_ever(place, says, tmp_path):
    head = b'HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nConnection: close\r\nLocation: '
    moved = head + (place or b'/v1') + b'\r\n\r\n'
    with serving(lambda request: iter([moved])) as server, pytest.raises(OSError, match=says):
        downloads.downloaded(server.url, tmp_path / 'file', 100_000)
    assert not (tmp_path / 'file').exists()


@pytest.mark.parametrize(
    ('head', 'says'),
    [
        (b'HTTP/1.1 401 No\r\nContent-Length: 100000\r\n\r\n', 'HTTP 401'),
        (b'HTTP/1.1 307 Moved\r\nLocation: /v1\r\nX-More: ', 'HTTP 307'),
    ],
)
def test_a_lasting_refusal_that_never_ends_is_told_at_the_deadline(head, says):
    with serving(drips(head, b'x')) as server, pytest.raises(LLMError, match=says):
        Endpoint(server.url, 'tiny', timeout_s=0.3).ask(QUESTION)


def test_an_answer_above_the_ceiling_is_a_fault_that_says_so():
    with (
        serving(drips(OK + b'\r\n', b' ' * 4_000_000)) as server,
        pytest.raises(LLMError, match='more than 16777216 bytes'),
    ):
        Endpoint(server.url, 'tiny', timeout_s=30, attempts=1).ask(QUESTION)


@pytest.mark.parametrize(
    'body',
    [
        b'\xff\xfe\x00',
        '{"choices": "é"}'.encode('latin-1'),
        b'[' * 100_000,
        b'{"a":' * 50_000,
        b'',
        b'1',
        b'null',
        b'[]',
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'9' * 5000,
    ],
)
def test_what_is_no_answer_is_one_clear_fault(body):
    with serving(lambda request: iter([whole(body)])) as server, pytest.raises(LLMError, match='cannot be read'):
        Endpoint(server.url, 'tiny', timeout_s=10, attempts=1).ask(QUESTION)


def test_the_pause_that_a_server_asks_for_is_no_longer_than_the_timeout():
    pauses = []
    with (
        serving(lambda request: iter([whole(b'{}', b'HTTP/1.1 429 Busy\r\nRetry-After: 86400\r\n')])) as server,
        pytest.raises(LLMError, match='HTTP 429'),
    ):
        Endpoint(server.url, 'tiny', timeout_s=2, attempts=3, sleep=pauses.append).ask(QUESTION)
    assert pauses == [2, 2]


def test_closing_ends_a_question_at_once_and_refuses_later_ones():
    failed = []

    def ask(chat):
        try:
            chat.ask(QUESTION)
        except LLMError as error:
            failed.append(str(error))

    with serving(LATE['a byte at a time']) as server:
        chat = Endpoint(server.url, 'tiny', timeout_s=600)
        thread = threading.Thread(target=ask, args=(chat,))
        thread.start()
        assert server.asked.wait(30)
        chat.close()
        thread.join(30)
        assert not thread.is_alive()
        ask(chat)
    assert ['the end of the run' in error for error in failed] == [True, True]


REPEATED = {
    'plain': KEY,
    'in an address': quote(KEY, safe=''),
    'in an address twice': quote(quote(KEY, safe=''), safe=''),
    'as JSON': json.dumps(KEY)[1:-1],
    'as JSON with escaped slashes': json.dumps(KEY)[1:-1].replace('/', '\\/'),
    'as JSON of code points': ''.join(f'\\u{ord(letter):04X}' for letter in KEY),
    'as HTML': KEY.replace('&', '&amp;').replace('"', '&quot;'),
    'as HTML of code points': ''.join(f'&#{ord(letter)};' for letter in KEY),
    'in base64': base64.b64encode(KEY.encode()).decode(),
    'in base64 for addresses': base64.urlsafe_b64encode(KEY.encode()).decode(),
    'as Basic': base64.b64encode(f'me:{KEY}'.encode()).decode(),
    'as Basic without a name': base64.b64encode(f':{KEY}'.encode()).decode(),
    'as Basic with more behind': base64.b64encode(f'name:{KEY}:more'.encode()).decode(),
    'in hexadecimal': KEY.encode().hex(),
    'in capitals': KEY.upper(),
}


def _is_shown(text: str) -> bool:
    """Whether a telling part of the key, in any form, is in a text."""
    forms = [*REPEATED.values()]
    return any(form[at : at + 12] in text for form in forms for at in range(len(form) - 12) if form != KEY or at == 0)


@pytest.mark.parametrize('form', REPEATED)
@pytest.mark.parametrize('state', [b'401 No', b'503 Busy', b'307 Moved', b'200 OK'])
def test_a_key_that_a_server_repeats_in_an_error_is_never_shown(form, state):
    said = REPEATED[form]
    head = b'HTTP/1.1 ' + state + b'\r\nLocation: /' + quote(KEY).encode() + b'\r\nX-Key: ' + said.encode() + b'\r\n'
    bodies = [
        f'bad key {said}, sorry'.encode(),
        json.dumps({'error': {'message': f'bad key {said}, sorry'}}).encode(),
        json.dumps({'error': {'message': 'x' * 180 + said}}).encode(),
        b'x' * 70 + said.encode(),
    ]
    for body in bodies:
        with serving(lambda request, body=body: iter([whole(body, head)])) as server, pytest.raises(LLMError) as raised:
            Endpoint(server.url, 'tiny', api_key=KEY, timeout_s=10, attempts=1).ask(QUESTION)
        assert not _is_shown(str(raised.value)), raised.value


def test_a_key_in_a_state_line_or_a_broken_header_is_never_shown():
    for text in (
        KEY.encode() + b'\r\n\r\n',
        b'HTTP/1.1 ' + KEY.encode() + b'\r\n\r\n',
        b'HTTP/1.1 500 ' + KEY.encode() + b'\r\n\r\n',
    ):
        with serving(lambda request, text=text: iter([text])) as server, pytest.raises(LLMError) as raised:
            Endpoint(server.url, 'tiny', api_key=KEY, timeout_s=0.3, attempts=1).ask(QUESTION)
        assert KEY not in str(raised.value)


def test_a_key_that_a_model_repeats_is_in_no_answer_and_in_no_file(tmp_path):
    body = answer(
        f'happy {KEY} {quote(KEY, safe="")}', usage={'total_tokens': 3, KEY: 1, 'note': KEY, 'more': {KEY: 2}}
    )
    body = body.replace(b'tiny-1', json.dumps(KEY)[1:-1].encode()).replace(b'"stop"', json.dumps(KEY).encode())
    with serving(lambda request: iter([whole(body)])) as server, ReplayCache(tmp_path) as answers:
        chat = RememberingChat(Endpoint(server.url, 'tiny', api_key=KEY, timeout_s=10), answers)
        reply = chat.ask(QUESTION)
    assert reply.text == 'happy [key] [key]'
    assert KEY.encode() in base64.b64decode(b'') + server.requests[0]  # it was sent
    for path in (path for path in tmp_path.rglob('*') if path.is_file()):
        assert not _is_shown(path.read_bytes().decode('latin-1')), path


def test_a_short_word_that_serves_as_a_key_stays_in_answers():
    assert Secrets(['EMPTY']).hidden_in_answer('an empty room') == 'an empty room'
    assert Secrets(['EMPTY']).hidden('key EMPTY') == 'key [key]'
    assert Secrets(['']).hidden('') == ''


@pytest.mark.parametrize(
    'url',
    [
        'http://me:hunter2hunter2@h/v1',
        'https://hunter2hunter2@h:8000/v1',
        'http://h/v1?key=hunter2hunter2',
        'http://h/v1#hunter2hunter2',
        'http://me:hunter2/hunter2@h/v1',
        'http://me:hunter2?hunter2@h/v1',
        'ftp://me:hunter2hunter2@h/v1',
        'me:hunter2hunter2@h/v1',
        'http://me:hunter2 hunter2@h/v1',
        'http://me:hunter2\nhunter2@h/v1',
    ],
)
def test_an_address_that_holds_a_secret_is_refused_without_showing_it(url):
    with pytest.raises(LLMError) as raised:
        Endpoint(url, 'tiny')
    assert 'hunter2' not in str(raised.value)
    if (
        url.startswith('http')
        and ' ' not in url
        and '\n' not in url
        and '/hunter2@' not in url
        and '?hunter2@' not in url
    ):
        assert 'AFFEKT_LLM_KEY' in str(raised.value)


@pytest.mark.parametrize('timeout_s', [0, -1, float('nan'), float('inf'), 1e300])
def test_a_timeout_that_is_no_time_is_refused(timeout_s):
    with pytest.raises(LLMError, match='a timeout in seconds'):
        Endpoint('http://h/v1', 'tiny', timeout_s=timeout_s)


def _command(verb: str, folder: Path, url: str) -> list[str]:
    for name in ('one', 'two'):
        (folder / f'{name}.csv').write_text(
            'name,description\n' + ''.join(f'c{n},He frowns {n} {name}.\n' for n in range(9))
        )
    tables = ['one.csv', 'two.csv'] if verb == 'judge' else ['one.csv']
    return [
        sys.executable,
        '-m',
        'affekt.cli',
        verb,
        *tables,
        '--out',
        'out.csv',
        '--endpoint',
        url,
        '--model',
        'tiny',
        '--timeout',
        '600',
    ]


@pytest.mark.parametrize('verb', ['extract', 'judge'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('fault', ['nothing at all', 'a byte at a time'])
def test_a_signal_ends_the_command_while_a_server_keeps_it_waiting(tmp_path, verb, number, fault):
    with serving(LATE[fault]) as server:
        command = _command(verb, tmp_path, server.url)
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, 'AFFEKT_LLM_KEY': KEY},
        )
        assert server.asked.wait(120)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)  # the server would go on for ten minutes
        assert process.returncode != 0
        assert b'Traceback' not in said
        assert not (tmp_path / 'out.csv').exists()


def test_what_connects_after_its_call_was_cut_is_cut_too():
    calls = Calls()
    with Call(calls, 60) as early:
        calls.close()
        with pytest.raises(TimeoutError):
            early.connected(('127.0.0.1', 9))
    with Call(calls, 60) as late, pytest.raises(TimeoutError):
        late.connected(('127.0.0.1', 9))


def test_results_come_in_order_and_an_error_lets_what_is_in_work_finish():
    assert list(in_order(lambda number: number * number, range(50), at_once=7)) == [n * n for n in range(50)]
    finished, failed = [], threading.Event()

    def work(number):
        if number == 1:
            failed.set()
            raise ValueError('one')
        assert failed.wait(30)
        finished.append(number)
        return number

    with pytest.raises(ValueError, match='one'):
        list(in_order(work, range(100), at_once=2))
    assert finished == [0]


def test_leaving_the_loop_waits_for_nobody():
    released = threading.Event()
    loop = in_order(lambda number: number or released.wait(60), [1, 0, 2], at_once=2)
    assert next(loop) == 1
    loop.close()
    assert not released.is_set()
    released.set()


@pytest.mark.parametrize(
    ('message', 'shown'),
    [
        ('Incorrect API key provided: sk-abcde********WXYZ.', 'Incorrect API key provided: [key].'),
        ('key sk-a... is unknown', 'key [key] is unknown'),
        ('key ****WXYZ is unknown', 'key [key] is unknown'),
        ('wait... for **this** model', 'wait... for **this** model'),
    ],
)
def test_the_ends_of_a_key_that_a_server_masks_are_not_shown(message, shown):
    assert Secrets(['sk-abcdef1234567WXYZ']).hidden(message) == shown


def test_a_certificate_that_is_not_trusted_is_told_at_once(monkeypatch):
    attempts = []

    def refuse(*_, **__):
        attempts.append(1)
        error = ssl.SSLCertVerificationError(1, 'certificate verify failed')
        error.verify_message = 'self-signed certificate'
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request.OpenerDirector, 'open', refuse)
    with pytest.raises(LLMError, match=r'got self-signed certificate; .*SSL_CERT_FILE'):
        Endpoint('https://127.0.0.1:9/v1', 'tiny', pause_s=0.0).ask(QUESTION)
    assert attempts == [1]
