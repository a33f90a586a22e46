"""Access control for requests, and restrictions on what a browser may do with the responses.

Every response has a content security policy without inline script. A request with a foreign Host is refused, so that no
other name for this machine works, and so is one whose Origin is another page. Data require a cookie that is set in
exchange for the token, once: the token is in the fragment of the link, which browsers do not send, log or pass on.
WebSockets begin as a request and are refused as one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import math
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
}
POLICY_VIOLATION = 1008
"""Code for closing a refused WebSocket: RFC 6455, section 7.4.1."""
LARGEST_BODY = 64 * 2**10
"""Largest size of a request in bytes, unless an app allows more."""


@dataclass(frozen=True)
class Tokens:
    """The secret tokens of a server, one per role."""

    secrets: Mapping[str, str]
    """Role to token, the role with most rights first."""

    def role(self, token: str) -> str | None:
        """The role of a token, compared in constant time; None for an unknown one."""
        encoded = token.encode('utf-8', 'surrogatepass')
        matching = [role for role, secret in self.secrets.items() if hmac.compare_digest(encoded, secret.encode())]
        return matching[0] if matching else None

    def cookie(self, role: str) -> str:
        """The cookie value for a role; it does not reveal the token."""
        return hmac.new(self.secrets[role].encode(), f'affekt cookie {role}'.encode(), hashlib.sha256).hexdigest()

    def role_of_cookie(self, value: str) -> str | None:
        """The role of a cookie value; None for an unknown one."""
        encoded = value.encode('utf-8', 'surrogatepass')
        matching = [role for role in self.secrets if hmac.compare_digest(encoded, self.cookie(role).encode())]
        return matching[0] if matching else None


class Guard:
    """ASGI middleware that refuses unauthorized requests and adds headers.

    Args:
        app: app that answers admitted requests; the role is in `scope['affekt_role']`, None without one.
        tokens: tokens of the roles.
        cookie: name of the cookie.
        hosts: accepted names in Host, without port; None for any literal address.
        largest_body: largest size of a request in bytes.
    """

    def __init__(
        self, app: App, tokens: Tokens, cookie: str, hosts: frozenset[str] | None, *, largest_body: int = LARGEST_BODY
    ) -> None:
        self._app, self._tokens, self._cookie, self._hosts = app, tokens, cookie, hosts
        self._largest_body = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400, 403 or 413; a refused WebSocket is never opened."""
        if scope['type'] == 'lifespan':
            await self._app(scope, receive, send)
        if scope['type'] not in ('http', 'websocket'):
            return
        headers = {name.decode('latin-1').lower(): value.decode('latin-1') for name, value in scope['headers']}
        is_socket = scope['type'] == 'websocket'
        if refusal := self._refusal(headers):
            await (_close(send, refusal[1]) if is_socket else _refuse(send, *refusal))
            return
        scope['affekt_role'] = self._role(headers.get('cookie', ''))
        await self._app(scope, receive, send if is_socket else _with_headers(send))

    def _refusal(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason for a refused request; None for an admitted one."""
        try:
            origin = _origin(headers)
        except ValueError:
            return 400, 'a malformed request: its Origin is no address'
        if not self._is_ours(_host(headers)):
            return 403, 'this server is asked by another name; use the link that it printed'
        if not _same_origin(headers, origin):
            return 403, 'another page asked'
        if _length(headers) > self._largest_body or 'transfer-encoding' in headers:
            return 413, f'more than {self._largest_body} bytes, or of unknown length'
        return None

    def _is_ours(self, name: str) -> bool:
        if self._hosts is not None:
            return name in self._hosts
        return name in ('localhost', socket.gethostname().lower()) or _is_address(name)

    def _role(self, cookies: str) -> str | None:
        try:
            morsel = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return None
        return self._tokens.role_of_cookie(morsel.value) if morsel else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host(headers: Mapping[str, str]) -> str:
    """The name in Host without its port; '' if Host is malformed."""
    try:
        parts = urlsplit(f'//{headers.get("host", "")}')
        return parts.hostname or '' if parts.port is None or parts.port else ''
    except ValueError:
        return ''


def _origin(headers: Mapping[str, str]) -> str | None:
    """Host and port in Origin; None without one.

    Raises:
        ValueError: Origin is not an address.
    """
    origin = headers.get('origin')
    return origin if origin in (None, 'null') else urlsplit(str(origin)).netloc


def _same_origin(headers: Mapping[str, str], origin: str | None) -> bool:
    """Whether the request comes from one of our pages, or from no page."""
    if origin is not None and origin != headers.get('host', ''):
        return False
    site = headers.get('sec-fetch-site', 'none')
    return site in ('same-origin', 'none') or headers.get('sec-fetch-mode') == 'navigate'


def _length(headers: Mapping[str, str]) -> float:
    """Size of the body in bytes; 0 without the header, infinite where it is not a number of at most nine digits."""
    text = headers.get('content-length', '0')
    return int(text) if text.isdecimal() and len(text) < 10 else math.inf


def _with_headers(send: Send) -> Send:
    """A sender that adds those of HEADERS, and `no-store`, that a response lacks."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message['type'] == 'http.response.start':
            present = {name.lower() for name, _ in message['headers']}
            defaults = {**HEADERS, 'cache-control': 'no-store'}
            message['headers'] = [
                *message['headers'],
                *((name.encode(), value.encode()) for name, value in defaults.items() if name.encode() not in present),
            ]
        await send(message)

    return sent


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({'error': reason}).encode()
    headers = [(b'content-type', b'application/json'), (b'content-length', str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({'type': 'http.response.start', 'status': status, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})


async def _close(send: Send, reason: str) -> None:
    """Refuse a WebSocket before it is opened: the browser sees status 403."""
    await send({'type': 'websocket.close', 'code': POLICY_VIOLATION, 'reason': reason})
