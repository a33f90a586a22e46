"""The page of a live stream: who may watch, what a viewer is sent, and that nobody slows the session."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from PIL import Image

testclient = pytest.importorskip('starlette.testclient', reason='FastAPI is not installed')
pytest.importorskip('wsproto', reason='wsproto is not installed')
from starlette.websockets import WebSocketDisconnect  # noqa: E402

from affekt.serve import LiveFeed, PatientProtocol, Tokens, stream_page  # noqa: E402
from affekt.serve.live_page import KEPT_S, MOST_VIEWERS, VIEWER, live_app, packed  # noqa: E402

TOKENS = Tokens({VIEWER: 'token-of-viewer'})
OURS = {'origin': 'http://testserver'}


@dataclass
class Moment:
    """A reading as far as the page needs it."""

    time_s: float
    faces: tuple = ()

    def as_dict(self):
        return asdict(self)


def picture(shade: int, width: int = 64, height: int = 36) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def unpacked(message: bytes) -> tuple[dict, np.ndarray | None]:
    length = int.from_bytes(message[:4], 'little')
    content, jpeg = json.loads(message[4 : 4 + length]), message[4 + length :]
    return content, np.asarray(Image.open(io.BytesIO(jpeg))) if jpeg else None


@pytest.fixture
def feed():
    return LiveFeed('clip.mp4', 'film study')


@pytest.fixture
def client(feed):
    with testclient.TestClient(live_app(feed, TOKENS, hosts=frozenset({'testserver'}))) as opened:
        yield opened


@pytest.fixture
def viewer(client):
    assert client.post('/api/enter', json={'token': TOKENS.secrets[VIEWER]}).status_code == 200
    return client


def test_without_the_token_nothing_is_shown(client):
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect('/api/live', headers=OURS):
        pass
    assert refused.value.code == 1008
    assert client.post('/api/stop', json={}).status_code == 403


@pytest.mark.parametrize(
    'headers',
    [{'origin': 'http://evil.example'}, {'origin': 'null'}, {'origin': 'http://testserver:1'}, {'host': 'evil.example'},
     {'sec-fetch-site': 'cross-site'}, {'origin': 'http://[', 'host': 'testserver'}],
)  # fmt: skip
def test_another_page_cannot_watch_with_the_viewers_cookie(viewer, headers):
    with pytest.raises(WebSocketDisconnect) as refused, viewer.websocket_connect('/api/live', headers=headers):
        pass
    assert refused.value.code == 1008


def test_the_page_and_its_parts_need_no_token_and_load_nothing_from_elsewhere(client):
    page = client.get('/')
    assert page.status_code == 200
    assert '://' not in page.text
    for part in ('live.js', 'live_curves.js', 'live.css', 'page.css', 'page.js', 'entering.js'):
        assert client.get(f'/{part}').status_code == 200
    assert "default-src 'none'" in page.headers['content-security-policy']


def test_a_viewer_is_told_what_it_is_and_then_all_readings_and_the_newest_frame(viewer, feed):
    for number in range(3):
        feed.take(Moment(number / 25), picture(50 * number))
    feed.say(frames=3, dropped=1)
    with viewer.websocket_connect('/api/live', headers=OURS) as watching:
        content, frame = unpacked(watching.receive_bytes())
        assert content['about']['title'] == 'clip.mp4'
        assert 'affekt notice' in content['about']['notice_line']
        assert content['about']['purpose'] == 'film study'
        assert [reading['time_s'] for reading in content['readings']] == [0.0, 0.04, 0.08]
        assert (content['state'], content['frames'], content['dropped']) == ('live', 3, 1)
        assert content['size'] == [64, 36]
        assert abs(int(frame.mean()) - 100) <= 3
        feed.take(Moment(0.12), picture(200))
        content, frame = unpacked(watching.receive_bytes())
        assert [reading['time_s'] for reading in content['readings']] == [0.12]
        assert 'about' not in content
        assert abs(int(frame.mean()) - 200) <= 3


def test_a_frame_that_was_sent_is_not_sent_again(viewer, feed):
    feed.take(Moment(0.0), picture(9))
    with viewer.websocket_connect('/api/live', headers=OURS) as watching:
        assert unpacked(watching.receive_bytes())[1] is not None
        feed.take(Moment(0.1), None)
        content, frame = unpacked(watching.receive_bytes())
        assert len(content['readings']) == 1
        assert frame is None


def test_the_end_is_sent_and_closes(viewer, feed):
    with viewer.websocket_connect('/api/live', headers=OURS) as watching:
        watching.receive_bytes()
        feed.say('ended', 'saved in run')
        content, _ = unpacked(watching.receive_bytes())
        assert (content['state'], content['message']) == ('ended', 'saved in run')
        with pytest.raises(WebSocketDisconnect):
            watching.receive_bytes()


def test_numbers_that_json_lacks_are_null(viewer, feed):
    feed.take(Moment(0.0, ({'valence': float('nan'), 'arousal': float('inf')},)), None)
    with viewer.websocket_connect('/api/live', headers=OURS) as watching:
        content, _ = unpacked(watching.receive_bytes())
    assert content['readings'][0]['faces'] == [{'valence': None, 'arousal': None}]


def test_one_viewer_too_many_is_told_so(viewer, feed):
    with contextlib.ExitStack() as others:
        for _ in range(MOST_VIEWERS):
            assert others.enter_context(feed.watched())
        watching = others.enter_context(viewer.websocket_connect('/api/live', headers=OURS))
        with pytest.raises(WebSocketDisconnect) as full:
            watching.receive_bytes()
    assert full.value.code == 1013


def test_the_page_asks_to_stop_and_to_start_again(viewer, feed):
    assert not feed.asked_to_stop.is_set()
    assert viewer.post('/api/stop', json={}).json() == {'asked': True}
    assert feed.asked_to_stop.is_set()
    assert viewer.post('/api/start', json={}, headers={'origin': 'http://evil.example'}).status_code == 403
    assert not feed.asked_to_start.is_set()
    assert viewer.post('/api/start', json={}).json() == {'asked': True}
    assert feed.asked_to_start.is_set()


def test_only_the_last_thirty_seconds_are_kept_and_a_new_session_begins_empty(feed):
    for number in range(500):
        feed.take(Moment(number * 0.2), None)
    times = [reading['time_s'] for reading in feed.news(0).content['readings']]
    assert times[-1] - times[0] <= KEPT_S + 1e-9
    assert len(times) in (150, 151)
    before = feed.news(0)
    feed.begin()
    after = feed.news(before.number)
    assert after.content['readings'] == []
    assert after.content['session'] == before.content['session'] + 1


def test_what_is_wide_is_shown_smaller_but_boxes_are_in_pixels_of_the_source(feed):
    feed.take(Moment(0.0), picture(80, 1920, 1080))
    number, jpeg = feed.jpeg()
    assert Image.open(io.BytesIO(jpeg)).size == (800, 450)
    assert feed.jpeg() == (number, jpeg)
    assert feed.news(0).content['size'] == [1920, 1080]
    feed.take(Moment(0.1), picture(80, 1280, 720), 3.0)  # read at a third of 3840 x 2160
    assert feed.news(0).content['size'] == [3840, 2160]


def test_leaving_a_frame_encodes_nothing(feed, monkeypatch):
    monkeypatch.setattr('affekt.serve.live_page._jpeg', lambda frame: pytest.fail('encoded by the session'))
    for number in range(100):
        feed.take(Moment(number / 25), picture(0))


def test_a_message_is_its_json_and_its_picture():
    assert unpacked(packed({'state': 'live', 'readings': []}, b'')) == ({'state': 'live', 'readings': []}, None)


def _upgraded(link: str) -> tuple[socket.socket, bytes]:
    """A WebSocket by hand, opened with the cookie of a link."""
    start, _, token = link.partition('/#token=')
    host = start.removeprefix('http://')
    request = urllib.request.Request(
        f'{start}/api/enter', json.dumps({'token': token}).encode(), {'content-type': 'application/json'}
    )
    with urllib.request.urlopen(request) as answer:
        cookie = answer.headers['set-cookie'].split(';')[0]
    name, _, port = host.partition(':')
    opened = socket.create_connection((name, int(port)), timeout=5)
    lines = [
        'GET /api/live HTTP/1.1', f'Host: {host}', f'Origin: {start}', f'Cookie: {cookie}', 'Connection: Upgrade',
        'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]  # fmt: skip
    opened.sendall('\r\n'.join([*lines, '', '']).encode())
    return opened, opened.recv(20)


def test_a_silent_websocket_outlives_the_deadline_of_requests(feed, monkeypatch):
    monkeypatch.setattr(PatientProtocol, 'head_s', 0.05)
    with stream_page(feed) as link:
        watching, answer = _upgraded(link)
        with watching:
            assert answer.startswith(b'HTTP/1.1 101')
            until = time.monotonic() + 0.15
            while time.monotonic() < until:
                threading.Event().wait(0.02)
            feed.say('live', 'a sentence that comes late')
            received = b''
            while b'comes late' not in received:
                part = watching.recv(4096)
                assert part
                received += part
            feed.say('ended')


def test_the_page_waits_until_the_end_was_sent_and_then_frees_its_port(feed):
    with stream_page(feed) as link:
        watching, _ = _upgraded(link)
        feed.say('ended', 'saved in a folder')
    with watching:
        received = b''
        while part := watching.recv(4096):
            received += part
    assert b'saved in a folder' in received
    with pytest.raises(OSError):
        urllib.request.urlopen(link.partition('/#')[0], timeout=1)


@pytest.fixture
def deaf_viewer(feed, rng, monkeypatch):
    """A feed with a viewer who reads nothing, and what fills its buffers: pictures of half a megabyte."""
    monkeypatch.setattr('affekt.serve.live_page.SEND_EVERY_S', 0.001)
    noise = [rng.integers(0, 256, (800, 800, 3), np.uint8) for _ in range(2)]
    with stream_page(feed) as link:
        watching, _ = _upgraded(link)
        with watching:
            for _ in range(1000):
                if feed.viewers:
                    break
                threading.Event().wait(0.005)
            assert feed.viewers == 1
            yield noise


def test_a_viewer_who_reads_nothing_is_let_go(deaf_viewer, feed, monkeypatch):
    monkeypatch.setattr('affekt.serve.live_page.STALLED_S', 0.2)
    number = 0
    while number < 1000 and feed.viewers:
        feed.take(Moment(number / 25), deaf_viewer[number % 2])
        feed.wait_for_viewers(0.01)
        number += 1
    assert feed.viewers == 0


def test_a_viewer_who_reads_nothing_holds_up_nobody_else(deaf_viewer, feed):
    # with the 20 s that a message may wait, a session that waited would not get here before the test's end
    for number in range(100):
        feed.take(Moment(number / 25), deaf_viewer[number % 2])
        feed.wait_for_viewers(0.005)
    assert feed.viewers == 1
    assert feed.news(0).content['readings'][-1]['time_s'] == 99 / 25
