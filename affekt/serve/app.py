"""The guarded ASGI app that serves the routes and static files of every page of affekt.

An `AffektError` is answered by JSON with its message, an invalid request by the faulty fields and their errors. A token
is exchanged for a cookie at `/api/enter`. Static files are read once; a browser that has a file already is answered
304, by the hash of the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, WebSocketException
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from affekt.errors import AffektError, RunError
from affekt.serve.guard import LARGEST_BODY, POLICY_VIOLATION, App, Guard, Tokens

LONGEST_TOKEN = 200
STATUSES: Mapping[type[AffektError], int] = {RunError: 503}
"""Class of an error to the status of its response; 422 for all others."""


class StrictBody(BaseModel):
    """The body of a request: no unknown fields, and no values that would have to be converted."""

    model_config = ConfigDict(extra='forbid', strict=True)


class Entering(StrictBody):
    """The token from the fragment of the link."""

    token: str = Field(max_length=LONGEST_TOKEN)


@dataclass(frozen=True)
class StaticFile:
    """A page, script or style, which contains no data and needs no token."""

    content: bytes
    content_type: str

    @cached_property
    def etag(self) -> str:
        """Hash of the content, so that a browser downloads it again only if it has changed."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    def answer(self, known_etags: str) -> Response:
        """The file, or 304 if the browser has it.

        Args:
            known_etags: the header If-None-Match; '' without one.
        """
        headers = {'etag': self.etag, 'cache-control': 'no-cache'}
        if self.etag in [tag.strip().removeprefix('W/') for tag in known_etags.split(',')]:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.content_type, headers=headers)


def static_files(room: str, types: Mapping[str, str]) -> dict[str, StaticFile]:
    """Files of a package, each served at `/` and its name.

    Args:
        room: package of the files, such as affekt.pages.
        types: file name to content type.
    """
    return {
        f'/{name}': StaticFile((files(room) / name).read_bytes(), content_type) for name, content_type in types.items()
    }


def needs(*roles: str, otherwise: str) -> Any:
    """A dependency of a route, or of a WebSocket, that admits only these roles.

    Args:
        roles: admitted roles.
        otherwise: message to all others.
    """

    def check(connection: HTTPConnection) -> None:
        if connection.scope.get('affekt_role') in roles:
            return
        if connection.scope['type'] == 'websocket':
            raise WebSocketException(POLICY_VIOLATION, otherwise)
        raise HTTPException(403, otherwise)

    return Depends(check)


def guarded_app(
    title: str,
    routes: APIRouter,
    pages: Mapping[str, StaticFile],
    tokens: Tokens,
    *,
    cookie: str = 'affekt',
    hosts: frozenset[str] | None,
    statuses: Mapping[type[AffektError], int] | None = None,
    largest_body: int = LARGEST_BODY,
) -> App:
    """An ASGI app that serves routes and pages to those with a token.

    Args:
        title: title of the app.
        routes: routes that return data; each uses `needs` to require a role.
        pages: path to the file that is served there to everybody.
        tokens: tokens of the roles.
        cookie: name of the cookie; browsers share cookies among all ports of a machine.
        hosts: host names that are answered, as for `Guard`.
        statuses: class of an error to the status of its response, in addition to `STATUSES`; the nearest class counts.
        largest_body: largest size of a request in bytes.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    status_of = {**STATUSES, **(statuses or {})}

    @app.exception_handler(AffektError)
    def refused(request: Request, error: AffektError) -> JSONResponse:
        """Answer a deliberate error with its message."""
        status = next((status_of[error_type] for error_type in type(error).__mro__ if error_type in status_of), 422)
        return JSONResponse({'error': str(error)}, status)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        """Answer with the faulty fields and their errors, without repeating the input."""
        messages = {'.'.join(map(str, problem['loc'])): problem['msg'] for problem in error.errors()}
        sentence = '; '.join(f'{field}: {message}' for field, message in messages.items())
        return JSONResponse({'error': sentence[:500]}, 422)

    @app.post('/api/enter')
    def enter(entering: Entering, response: Response) -> dict[str, str]:
        """Set the cookie for the token."""
        role = tokens.role(entering.token)
        if role is None:
            raise HTTPException(403, 'this link is not valid; ask for a new one')
        response.set_cookie(cookie, tokens.cookie(role), httponly=True, samesite='strict', max_age=30 * 86400)
        return {'role': role}

    app.include_router(routes)
    for path, page in pages.items():
        app.add_api_route(path, _answering(page), methods=['GET'])
    return Guard(app, tokens, cookie, hosts, largest_body=largest_body)


def _answering(page: StaticFile) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return page.answer(request.headers.get('if-none-match', ''))

    return answer
