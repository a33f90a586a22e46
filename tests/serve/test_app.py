"""An app of routes and pages: who may ask, what errors become, what a browser need not fetch again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from affekt.errors import AffektError, RunError, TableError, VoteError
from affekt.serve import Guard, Tokens
from affekt.serve.guard import LARGEST_BODY

testclient = pytest.importorskip('starlette.testclient', reason='FastAPI is not installed')
from fastapi import APIRouter  # noqa: E402

from affekt.serve import guarded_app, needs, static_files  # noqa: E402
from affekt.serve.app import StaticFile, StrictBody  # noqa: E402

TOKENS = Tokens({'owner': 'token-of-owner', 'guest': 'token-of-guest'})
ERRORS = {'vote': VoteError, 'run': RunError, 'table': TableError}
HERE = frozenset({'testserver'})


class Asking(StrictBody):
    count: int


def _routes() -> APIRouter:
    routes = APIRouter()
    guest, owner = needs('guest', 'owner', otherwise='ask for a link'), needs('owner', otherwise='ask the owner')

    @routes.post('/api/count', dependencies=[guest])
    def count(asking: Asking) -> int:
        return asking.count

    @routes.get('/api/secret', dependencies=[owner])
    def secret() -> str:
        return 'told'

    @routes.get('/api/wrong/{name}', dependencies=[guest])
    def wrong(name: str) -> str:
        raise ERRORS[name](expected='a cat', came='a dog', todo='look again')

    return routes


@pytest.fixture
def client_of():
    clients = []

    def opening(hosts=HERE, role=None, **chosen):
        script = static_files('affekt.pages', {'page.js': 'text/javascript'})
        pages = {'/': StaticFile(b'<p>hello</p>', 'text/html'), **script}
        app = guarded_app('a page', _routes(), pages, TOKENS, hosts=hosts, statuses={VoteError: 409}, **chosen)
        clients.append(testclient.TestClient(app))
        if role:
            assert clients[-1].post('/api/enter', json={'token': TOKENS.secrets[role]}).json() == {'role': role}
        return clients[-1]

    yield opening
    for client in clients:
        client.close()


@pytest.mark.parametrize('token', ['', 'token-of-gues', 'token-of-guest ', 'TOKEN-OF-GUEST', 'ü' * 9])
def test_a_wrong_token_opens_nothing(client_of, token):
    client = client_of()
    assert client.post('/api/enter', json={'token': token}).status_code == 403
    answer = client.post('/api/count', json={'count': 1})
    assert (answer.status_code, answer.json()) == (403, {'detail': 'ask for a link'})


def test_each_role_reaches_what_it_may(client_of):
    assert client_of(role='guest').post('/api/count', json={'count': 3}).json() == 3
    assert client_of(role='guest').get('/api/secret').json() == {'detail': 'ask the owner'}
    assert client_of(role='owner').get('/api/secret').json() == 'told'


def test_a_cookie_says_nothing_about_the_token_and_is_worth_nothing_for_another_role():
    assert TOKENS.role_of_cookie(TOKENS.cookie('guest')) == 'guest'
    assert TOKENS.secrets['guest'] not in TOKENS.cookie('guest')
    other = Tokens({'owner': 'token-of-guest', 'guest': 'token-of-owner'})
    assert other.role_of_cookie(TOKENS.cookie('guest')) is None


@pytest.mark.parametrize(
    'name', ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '', 'testserver.evil', '[::1']
)
def test_another_host_name_is_refused(client_of, name):
    answer = client_of().get('/', headers={'host': name})
    assert answer.status_code == 403
    assert 'content-security-policy' in answer.headers


@pytest.mark.parametrize('name', ['10.0.0.7:8000', '[fe80::1]:8000', 'localhost:1'])
def test_a_server_for_all_addresses_answers_to_addresses_and_not_to_names(client_of, name):
    client = client_of(hosts=None)
    assert client.get('/', headers={'host': name}).status_code == 200
    assert client.get('/', headers={'host': 'evil.example'}).status_code == 403


@pytest.mark.parametrize(
    'headers',
    [{'origin': 'http://evil.example'}, {'origin': 'null'}, {'origin': 'http://testserver:1'},
     {'sec-fetch-site': 'cross-site'}, {'sec-fetch-site': 'same-site'}],
)  # fmt: skip
def test_another_page_cannot_ask(client_of, headers):
    client = client_of(role='guest')
    assert client.post('/api/count', json={'count': 1}, headers=headers).status_code == 403
    assert client.post('/api/count', json={'count': 1}, headers={'origin': 'http://testserver'}).status_code == 200


def test_a_link_from_elsewhere_opens_the_page(client_of):
    headers = {'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate'}
    assert client_of().get('/', headers=headers).status_code == 200


def test_large_bodies_are_refused_where_the_app_does_not_ask_for_them(client_of):
    client = client_of(role='guest')
    assert client.post('/api/count', content=b' ' * (LARGEST_BODY + 1)).status_code == 413
    assert client.post('/api/count', content=iter([b'{}'])).status_code == 413
    patient = client_of(role='guest', largest_body=LARGEST_BODY + 100)
    body = {'content': b'{"count": 1}' + b' ' * LARGEST_BODY, 'headers': {'content-type': 'application/json'}}
    assert patient.post('/api/count', **body).status_code == 200


@pytest.mark.parametrize(
    ('scope', 'answers'),
    [
        ({'type': 'gopher', 'headers': []}, []),
        ({'type': 'websocket', 'headers': []}, [('websocket.close', 1008)]),
        ({'type': 'websocket', 'headers': [(b'host', b'evil.example')]}, [('websocket.close', 1008)]),
    ],
)
def test_another_protocol_is_dropped_and_a_websocket_of_a_stranger_never_opened(scope, answers):
    import anyio

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {}

    anyio.run(Guard(None, TOKENS, 'affekt', None), scope, receive, send)
    assert [(message['type'], message['code']) for message in sent] == answers


@pytest.mark.parametrize(('name', 'status'), [('vote', 409), ('run', 503), ('table', 422)])
def test_a_deliberate_error_is_json_with_its_own_sentence(client_of, name, status):
    answer = client_of(role='guest').get(f'/api/wrong/{name}')
    assert (answer.status_code, answer.json()) == (status, {'error': 'expected a cat; got a dog; look again'})


def test_the_app_says_the_status_of_an_error_and_of_those_that_refine_it():
    app = guarded_app('a page', _routes(), {}, TOKENS, hosts=HERE, statuses={RunError: 409, AffektError: 400})
    client = testclient.TestClient(app)
    client.post('/api/enter', json={'token': TOKENS.secrets['guest']})
    assert {name: client.get(f'/api/wrong/{name}').status_code for name in ERRORS} == {
        'vote': 400, 'run': 409, 'table': 400,
    }  # fmt: skip


@pytest.mark.parametrize('body', [{'count': '1'}, {'count': 1, 'more': 1}, {}])
def test_a_body_that_does_not_fit_is_said_without_repeating_it(client_of, body):
    answer = client_of(role='guest').post('/api/count', json=body)
    assert answer.status_code == 422
    assert answer.json()['error'].startswith('body')


def test_a_browser_that_has_a_page_is_told_so_by_the_hash_of_its_content(client_of):
    client = client_of()
    first = client.get('/page.js')
    assert (first.status_code, first.headers['cache-control']) == (200, 'no-cache')
    again = client.get('/page.js', headers={'if-none-match': f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b'')
    assert client.get('/', headers={'if-none-match': first.headers['etag']}).status_code == 200


def test_rooms_that_serve_are_imported_without_fastapi_and_uvicorn():
    code = (
        'import sys; sys.modules["fastapi"] = sys.modules["uvicorn"] = None\n'
        'import affekt.serve, affekt.annotation, affekt.annotation.exports\n'
        'from affekt.errors import MissingExtraError\n'
        'try: affekt.serve.require_serving_parts()\n'
        'except MissingExtraError as error: print(error)'
    )
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'affekt[serve]'" in shown
