"""The server's answers: who may ask, what raters learn, clips in parts, the leaderboard, the table to take home."""

from __future__ import annotations

import itertools
import math

import pytest

from affekt.annotation.clips import clip_key, find_clips
from affekt.annotation.exports import COLUMNS, comparisons_csv
from affekt.annotation.links import HOST, RATER, study_tokens
from affekt.ranking import rank, read_comparisons

testclient = pytest.importorskip('starlette.testclient', reason='FastAPI is not installed')
from affekt.annotation.app import annotation_app  # noqa: E402

TOKENS = study_tokens('token-of-raters', 'token-of-host')
HOSTILE = '"><script>document.title=1</script>'
IDS = itertools.count()


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / 'clips'
    folder.mkdir()
    for name in ('clip0.mp4', 'clip1.webm', 'clip2.wav', 'clip3.jpg'):
        (folder / name).write_bytes(bytes(range(256)) * 4)
    return folder


@pytest.fixture
def client_of(open_study, media):
    """A browser without a token before a study."""
    clients = []

    def opening(hosts=frozenset({'testserver'}), **chosen):
        study = open_study(**chosen)
        clips = find_clips({task.sample for task in study.state.tasks.values()}, media, allow_missing=True)
        client = testclient.TestClient(annotation_app(study, clips, TOKENS, hosts=hosts))
        client.study = study
        clients.append(client)
        return client

    yield opening
    for client in clients:
        client.close()


@pytest.fixture
def client(client_of):
    """A rater's browser."""
    client = client_of()
    assert client.post('/api/enter', json={'token': TOKENS.secrets[RATER]}).json() == {'role': 'rater'}
    return client


@pytest.fixture
def host(client_of):
    client = client_of()
    assert client.post('/api/enter', json={'token': TOKENS.secrets[HOST]}).json() == {'role': 'host'}
    return client


def _id() -> str:
    return f'vote-{next(IDS):08}'


def _vote_through(client, name, choose=lambda screen: 'left', limit=1000):
    screen = client.post('/api/join', json={'rater': name}).json()
    while screen['shown'] and limit:
        limit -= 1
        body = {'id': _id(), 'rater': name, 'shown': screen['shown'], 'choice': choose(screen)}
        screen = client.post('/api/vote', json=body).json()
    return screen


# ---- who may ask


@pytest.mark.parametrize('token', ['', 'token-of-rater', 'token-of-raters ', 'TOKEN-OF-RATERS', 'ü' * 9])
def test_a_wrong_token_is_refused(client_of, token):
    client = client_of()
    assert client.post('/api/enter', json={'token': token}).status_code == 403
    assert client.post('/api/join', json={'rater': 'ann'}).status_code == 403


@pytest.mark.parametrize(
    ('method', 'path'),
    [('POST', '/api/join'), ('POST', '/api/vote'), ('POST', '/api/undo'), ('GET', '/api/board'),
     ('GET', '/api/comparisons.csv'), ('GET', f'/clips/{clip_key("clip0")}')],
)  # fmt: skip
def test_without_a_cookie_nothing_is_told(client_of, method, path):
    body = {'json': {'rater': 'ann', 'id': 'vote-0001', 'shown': 'x', 'choice': 'left'}} if method == 'POST' else {}
    if path in ('/api/join', '/api/undo'):
        body['json'] = {key: body['json'][key] for key in (('rater',) if path == '/api/join' else ('rater', 'id'))}
    client = client_of()
    for cookie in ('', 'affekt=0', f'affekt={TOKENS.secrets[RATER]}', 'affekt="\\"'):
        answer = client.request(method, path, headers={'cookie': cookie}, **body)
        assert answer.status_code == 403


def test_raters_do_not_see_the_leaderboard_and_the_host_may_vote(client):
    assert client.get('/api/board').status_code == 403
    assert client.get('/api/comparisons.csv').status_code == 403
    client.post('/api/enter', json={'token': TOKENS.secrets[HOST]})
    assert client.get('/api/board').status_code == 200
    assert client.post('/api/join', json={'rater': 'host'}).status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client_of):
    cookie = client_of().post('/api/enter', json={'token': TOKENS.secrets[RATER]}).headers['set-cookie'].lower()
    assert 'httponly' in cookie
    assert 'samesite=strict' in cookie
    assert TOKENS.secrets[RATER] not in cookie


@pytest.mark.parametrize('path', ['/', '/board', '/annotate.js', '/annotate.css', '/page.css', '/page.js'])
def test_every_page_forbids_inline_script_and_sniffing(client_of, path):
    answer = client_of().get(path)
    assert answer.status_code == 200
    policy = answer.headers['content-security-policy']
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert 'unsafe' not in policy
    assert answer.headers['x-content-type-options'] == 'nosniff'
    assert '<script>' not in answer.text.lower()
    assert ' style=' not in answer.text
    assert 'http' not in answer.text.replace('http-equiv', '')


# ---- clips


def test_clips_have_their_types(client):
    found = {
        sample: client.get(f'/clips/{clip_key(sample)}').headers['content-type'].split(';')[0]
        for sample in ('clip0', 'clip1', 'clip2', 'clip3')
    }
    assert found == {'clip0': 'video/mp4', 'clip1': 'video/webm', 'clip2': 'audio/wav', 'clip3': 'image/jpeg'}


@pytest.mark.parametrize(
    ('asked', 'first', 'last'),
    [('bytes=0-9', 0, 9), ('bytes=100-', 100, 1023), ('bytes=-24', 1000, 1023), ('bytes=1000-9999', 1000, 1023)],
)
def test_a_part_of_a_clip_is_that_part(client, asked, first, last):
    answer = client.get(f'/clips/{clip_key("clip0")}', headers={'range': asked})
    assert answer.status_code == 206
    assert answer.headers['content-range'] == f'bytes {first}-{last}/1024'
    assert answer.content == (bytes(range(256)) * 4)[first : last + 1]


def test_a_part_beyond_the_end_is_416_and_the_whole_says_that_parts_may_be_asked(client):
    url = f'/clips/{clip_key("clip0")}'
    assert client.get(url, headers={'range': 'bytes=2000-'}).status_code == 416
    whole = client.get(url)
    assert (whole.status_code, len(whole.content), whole.headers['accept-ranges']) == (200, 1024, 'bytes')
    assert client.head(url).headers['content-length'] == '1024'


@pytest.mark.parametrize(
    'path',
    ['../votes/votes.jsonl', '..%2f..%2fvotes%2fvotes.jsonl', '%2e%2e/votes.jsonl', 'clip0', '%00', '/etc/passwd'],
)
def test_no_path_reaches_a_file(client, path):
    answer = client.get(f'/clips/{path}')
    assert answer.status_code == 404


# ---- voting


def test_a_rater_is_not_told_who_wrote_what_nor_the_name_of_the_clip(client):
    message = client.post('/api/join', json={'rater': 'ann'}).json()
    assert set(message) == {
        'status', 'shown', 'clip', 'left', 'right', 'answered', 'of', 'right_in_test', 'can_undo', 'message'
    }  # fmt: skip
    assert 'clip' not in (message['clip'] or {}).get('url', '').removeprefix('/clips/')


def test_gold_in_between_looks_like_any_question(client_of):
    client = client_of(with_gold=True, test_items=2, gold_every=2)
    client.post('/api/enter', json={'token': TOKENS.secrets[RATER]})
    keys = set()

    def choose(screen):
        keys.add(frozenset(set(screen) - {'stored'}))
        return 'left' if screen['left'].startswith('true') else 'right'

    assert _vote_through(client, 'ann', choose)['status'] == 'finished'
    # All 8 gold items were among what was seen, 2 of them in the test.
    assert sum(vote.phase == 'gold' for vote in client.study.state.votes()) == 6
    assert len(keys) == 1


@pytest.mark.parametrize(
    ('change', 'status'),
    [({'choice': 'up'}, 422), ({'id': 'x'}, 422), ({'shown': 'nothing'}, 409), ({'rater': 'nobody'}, 409),
     ({'seconds': -1}, 422), ({'watched': 2}, 422), ({'more': 1}, 422), ({'rater': 5}, 422), ({'id': None}, 422)],
)  # fmt: skip
def test_a_wrong_vote_is_refused_and_nothing_is_stored(client, change, status):
    shown = client.post('/api/join', json={'rater': 'ann'}).json()['shown']
    body = {'id': _id(), 'rater': 'ann', 'shown': shown, 'choice': 'left', **change}
    assert client.post('/api/vote', json=body).status_code == status
    assert client.study.state.votes() == []


@pytest.mark.parametrize('content', [b'', b'{', b'null', b'[]', b'\xff', b'{"rater": NaN}', b'[' * 5000])
def test_what_is_no_json_is_refused(client, content):
    assert client.post('/api/join', content=content, headers={'content-type': 'application/json'}).status_code in (
        400,
        422,
    )


def test_a_full_disk_is_503_so_that_the_page_sends_again(client, monkeypatch):
    shown = client.post('/api/join', json={'rater': 'ann'}).json()['shown']
    body = {'id': _id(), 'rater': 'ann', 'shown': shown, 'choice': 'left'}

    def full(*lines):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr('affekt.annotation.journal.os.write', full)
        assert client.post('/api/vote', json=body).status_code == 503
    assert client.post('/api/vote', json=body).json()['stored'] == body['id']


def test_undo_over_the_wire(client):
    first = client.post('/api/join', json={'rater': 'ann'}).json()
    _vote_through(client, 'ann', limit=1)
    body = {'id': _id(), 'rater': 'ann'}
    assert client.post('/api/undo', json=body).json()['shown'] == first['shown']
    assert client.post('/api/undo', json=body).json()['stored'] == body['id']


# ---- leaderboard


def test_the_leaderboard_grows_with_votes_and_says_when_nothing_changed(host):
    empty = host.get('/api/board').json()
    assert 'No votes yet' in empty['html']
    _vote_through(host, 'ann', lambda screen: 'left' if screen['left'] < screen['right'] else 'right', 6)
    thin = host.get('/api/board').json()
    assert thin['votes'] == 6
    assert 'only the prior holds them' in thin['html'].lower()
    assert host.get('/api/board', params={'since': thin['change']}).json() == {'change': thin['change']}
    _vote_through(host, 'ann', lambda screen: 'tie', 3)
    assert host.get('/api/board', params={'since': thin['change']}).json()['votes'] == 9


def test_the_table_to_take_home_is_what_rank_reads(host, tmp_path):
    _vote_through(host, 'ann', lambda screen: 'left' if screen['left'] < screen['right'] else 'tie')
    _vote_through(host, 'b,e"n', lambda screen: 'skip', 5)
    (tmp_path / 'c.csv').write_text(host.get('/api/comparisons.csv').text)
    found = read_comparisons(tmp_path / 'c.csv')
    assert (len(found), found.facts['skipped'], found.raters) == (36, 5, ('ann',))
    assert 'length' in found.covariates
    # A rater who likes what comes first by name: ash before birch before cedar.
    assert [one.item for one in rank(found).standings] == ['ash', 'birch', 'cedar']
    # Each order was shown equally often.
    assert abs(found.first.sum()) <= 3


def test_votes_of_refused_raters_and_gold_are_not_ranked(client_of):
    host = client_of(with_gold=True, test_items=4)
    host.post('/api/enter', json={'token': TOKENS.secrets[HOST]})
    wrong = _vote_through(host, 'ben', lambda screen: 'right' if 'true' in screen['left'] else 'left')
    assert (wrong['status'], wrong['right_in_test']) == ('not admitted', 0)
    _vote_through(host, 'ann', lambda screen: 'left' if 'true' in screen['left'] else 'right', 10)
    board = host.get('/api/board').json()
    assert board['votes'] == 6
    assert 'known' not in host.get('/api/comparisons.csv').text
    assert '0 of 4' in board['html']
    assert '4 of 4' in board['html']


def test_hostile_names_are_text_on_the_leaderboard(host, tasks):
    name = '<img src=x onerror=alert(1)>'
    _vote_through(host, name, lambda screen: 'left' if screen['left'] < screen['right'] else 'tie')
    board = host.get('/api/board').json()['html']
    assert '<img' not in board
    assert '&lt;img src=x onerror=alert(1)&gt;' in board


# ---- malformed and hostile requests


@pytest.mark.parametrize(
    ('headers', 'status'),
    [
        ({'origin': 'http://['}, 400),
        ({'origin': 'http://[::1'}, 400),
        ({'origin': 'http://\xff'}, 403),
        ({'origin': ''}, 403),
        ({'origin': 'null'}, 403),
        ({'origin': 'http://testserver@evil'}, 403),
        ({'host': '['}, 403),
        ({'host': '[::1'}, 403),
        ({'host': 'testserver:port'}, 403),
        ({'host': 'testserver:1:2'}, 403),
        ({'host': 'test server'}, 403),
        ({'content-length': '9' * 20}, 413),
        ({'content-length': 'many'}, 413),
        ({'content-length': '-1'}, 413),
        ({'transfer-encoding': 'gzip'}, 413),
    ],
)
def test_a_malformed_header_is_refused_with_a_sentence(client, headers, status):
    encoded = {name: value.encode('latin-1') for name, value in headers.items()}
    answer = client.get('/', headers=encoded)
    assert (answer.status_code, bool(answer.json()['error'])) == (status, True)


@pytest.mark.parametrize('headers', [{'referer': 'http://['}, {'cookie': '\xff=\xfe; a="'}, {'range': 'bytes=\xff'}])
def test_headers_that_decide_nothing_do_no_harm(client, headers):
    answer = client.get('/', headers={name: value.encode('latin-1') for name, value in headers.items()})
    assert answer.status_code == 200


@pytest.mark.parametrize('given', ['bytes=', 'bytes=9-1', 'bytes=a-b', 'lines=1-2', f'bytes={"9" * 5000}-'])
def test_a_malformed_range_is_the_whole_clip_or_refused(client, given):
    url = _clip_url(client)
    assert client.get(url, headers={'range': given}).status_code in (200, 206, 400, 416)


@pytest.mark.parametrize(
    'body',
    [b'{"rater":"\\ud800"}', b'{"rater":"a\\u0000b"}', b'{"rater":"\\u001b[2J"}', b'{"rater":"\\u202eevil"}',
     b'{"rater":"\xff"}', b'[' * 60_000, b'{"rater":' * 7_000, b'{"rater":NaN}', b'9' * 5_000, b'', b'null'],
)  # fmt: skip
def test_a_hostile_name_is_refused_with_a_sentence(client, body):
    answer = client.post('/api/join', content=body, headers={'content-type': 'application/json'})
    assert answer.status_code in (400, 422)
    message = answer.json()
    assert message.get('error') or message.get('detail')
    assert client.study.state.raters == {}


def test_a_clip_whose_file_is_gone_is_not_found(client):
    url = _clip_url(client)
    next(iter(client.study.folder.parent.glob('clips/clip0.mp4'))).unlink()
    assert client.get(url).status_code == 404


def _clip_url(client) -> str:
    return f'/clips/{clip_key("clip0")}'


# ---- what a vote says of its clip


@pytest.mark.parametrize(
    ('sent', 'stored'),
    [
        ({'watched': 0.4, 'seen': 'video', 'heard': 'sound'}, (0.4, 'video', 'sound')),
        ({'watched': 0.4}, (0.4, 'unknown', 'unknown')),
        ({}, (None, '', '')),
    ],
)
def test_a_vote_says_what_was_watched_seen_and_heard(client, sent, stored):
    screen = _with_clip(client, 'video')
    body = {'id': _id(), 'rater': 'ann', 'shown': screen['shown'], 'choice': 'left', **sent}
    assert client.post('/api/vote', json=body).status_code == 200
    vote = next(vote for vote in client.study.state.votes() if vote.shown == screen['shown'])
    assert (None if math.isnan(vote.watched) else vote.watched, vote.seen, vote.heard) == stored
    row = comparisons_csv([vote], client.study.state.tasks).splitlines()[1].split(',')
    assert row[COLUMNS.index('watched')] == ('' if stored[0] is None else '0.4')


def test_a_vote_without_a_clip_says_so_and_a_video_that_was_not_seen_is_only_skipped(client):
    screen = _with_clip(client, 'video')
    body = {'id': _id(), 'rater': 'ann', 'shown': screen['shown'], 'choice': 'left', 'watched': 0.0, 'seen': 'nothing'}
    refused = client.post('/api/vote', json=body)
    assert (refused.status_code, 'skip it' in refused.json()['error']) == (409, True)
    assert client.post('/api/vote', json={**body, 'choice': 'skip'}).status_code == 200
    screen = _with_clip(client, None)
    body = {'id': _id(), 'rater': 'ann', 'shown': screen['shown'], 'choice': 'left', 'watched': 0.0}
    assert client.post('/api/vote', json=body).status_code == 200
    assert {vote.seen for vote in client.study.state.votes() if vote.shown == screen['shown']} == {'no clip'}


def test_what_was_seen_is_one_of_a_few_words(client):
    screen = client.post('/api/join', json={'rater': 'ann'}).json()
    body = {'id': _id(), 'rater': 'ann', 'shown': screen['shown'], 'choice': 'skip', 'watched': 1.0, 'seen': '=cmd'}
    # Without a clip there is nothing to say of it, and what the page says is not looked at.
    assert client.post('/api/vote', json=body).status_code == (422 if screen['clip'] else 200)
    assert all(vote.seen != '=cmd' for vote in client.study.state.votes())


def _with_clip(client, wanted):
    """Skips until a clip of a kind is shown, or none."""
    screen = client.post('/api/join', json={'rater': 'ann'}).json()
    while (screen['clip'] or {'kind': None})['kind'] != wanted:
        body = {'id': _id(), 'rater': 'ann', 'shown': screen['shown'], 'choice': 'skip', 'watched': 1.0}
        screen = client.post('/api/vote', json=body).json()
    return screen
