"""A server that speaks the chat API of OpenAI, over plain HTTP: timeouts, retries, whole answers only.

No client library: one POST and its faults are all that is needed, and each fault has a test against a real socket.
Asked again, with doubling pauses, is what may pass by itself: 408, 409, 425, 429, 5xx, a refused or reset connection, a
timeout, an answer cut in the middle, an answer that is no JSON. Anything else (a wrong key, an unknown model) raises
at once with the server's own words.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from affekt.errors import LLMError
from affekt.llm.chat import Reply, Request

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that are read; more is a fault."""
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 529})
"""HTTP states that may pass by themselves."""


class Endpoint:
    """A language model on a server.

    Args:
        url: of the API, such as `http://localhost:8000/v1`; `/chat/completions` is added where it is missing.
        model: the name that the server knows the model by.
        api_key: sent as a bearer token; None sends none. Never followed to another host: redirects are faults.
        timeout_s: longest time for one whole answer, in seconds.
        attempts: how often one question is sent at most.
        pause_s: before the second attempt, in seconds; doubled before each further one.
        longest_pause_s: no pause is longer, whatever the server's Retry-After says.
        sleep: how to pause.

    Raises:
        LLMError: the url is not an http or https address, or the key cannot be sent.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        attempts: int = 6,
        pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = _address(url)
        if parts is None:
            raise LLMError(
                expected='an http or https address such as http://localhost:8000/v1',
                came=repr(url),
                todo='give the address of a server with the chat API of OpenAI',
            )
        if api_key and not (api_key.isascii() and api_key.isprintable() and ' ' not in api_key):
            raise LLMError(
                expected='a key of printable ASCII without spaces',
                came='another kind of text',
                todo='check AFFEKT_LLM_KEY',
            )
        url = url.rstrip('/')
        self.url = url if url.endswith('/chat/completions') else f'{url}/chat/completions'
        self._model = model
        self._api_key = api_key
        self._timeout_s, self._attempts = timeout_s, attempts
        self._pause_s, self._longest_pause_s = pause_s, longest_pause_s
        self._sleep = sleep
        is_here = parts.hostname in ('localhost', '127.0.0.1', '::1')
        self._opener = urllib.request.build_opener(
            _NoRedirects(), *([urllib.request.ProxyHandler({})] if is_here else [])
        )

    @property
    def model(self) -> str:
        """The name that the server knows the model by."""
        return self._model

    def ask(self, request: Request) -> Reply:
        """The model's answer.

        Raises:
            LLMError: the server refuses, or gave no whole answer in all attempts.
        """
        body = json.dumps({'model': self._model, **request.body()}).encode()
        fault = _Passing('no attempt')
        for attempt in range(self._attempts):
            if attempt:
                pause_s = max(self._pause_s * 2 ** (attempt - 1), fault.retry_after_s)
                self._sleep(min(pause_s, self._longest_pause_s))
            try:
                return _reply(self._post(body), self._model)
            except _Passing as passing:
                fault = passing
        raise LLMError(
            expected=f'an answer from {self.url}',
            came=f'{fault} in the last of {self._attempts} attempts',
            todo='see that the server runs and has room, then run the same again: answers so far are kept',
        )

    def _post(self, body: bytes) -> bytes:
        """The bytes of one whole answer."""
        post = urllib.request.Request(self.url, data=body, method='POST')
        post.add_header('Content-Type', 'application/json')
        if self._api_key:
            post.add_unredirected_header('Authorization', f'Bearer {self._api_key}')
        until = time.monotonic() + self._timeout_s
        try:
            with self._opener.open(post, timeout=self._timeout_s) as response:
                return _whole(response, until)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except TimeoutError as error:
            raise _Passing(f'no answer in {self._timeout_s:g} s') from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _Passing(f'no connection in {self._timeout_s:g} s') from error
            raise _Passing(f'no connection ({error.reason})') from error
        except (http.client.HTTPException, ConnectionError) as error:
            raise _Passing(f'an answer that was cut ({type(error).__name__})') from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        said = _said(error)
        if error.code in PASSING:
            return _Passing(f'HTTP {error.code}{said}', _seconds(error.headers.get('Retry-After')))
        return LLMError(
            expected=f'an answer from {self.url}',
            came=f'HTTP {error.code}{said}',
            todo='check --endpoint and --model, and the key in AFFEKT_LLM_KEY',
        )


def _address(url: str) -> SplitResult | None:
    """The parts of an http or https address; None where it is none."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ('http', 'https') and parts.hostname and (parts.port or 1) > 0 and url.isascii()
    except ValueError:
        return None
    return parts if is_usable and url.isprintable() and ' ' not in url else None


class _Passing(Exception):
    """A fault that may pass by itself."""

    def __init__(self, what: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is a fault: a POST would arrive as a GET, and a key at another host."""

    def redirect_request(self, *_: Any) -> None:
        """No request follows."""
        return


def _whole(response: http.client.HTTPResponse, until: float) -> bytes:
    """All bytes of an answer, before a time of the monotonic clock."""
    pieces, size = [], 0
    while piece := response.read1(65536):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > until:
            raise TimeoutError
        if size > LARGEST_ANSWER:
            raise _Passing(f'an answer of more than {LARGEST_ANSWER} bytes')
    if response.length:
        raise _Passing(f'an answer that was cut, {response.length} bytes before its end')
    return b''.join(pieces)


def _reply(answer: bytes, model: str) -> Reply:
    """An answer's text and what the server says about it."""
    try:
        held = json.loads(answer)
        choice = held['choices'][0]
        content = choice['message']['content']
        if isinstance(content, list):
            content = ''.join(part.get('text', '') for part in content)
        if not isinstance(content, str):
            raise TypeError('no text in it')
        usage = held.get('usage')
        return Reply(
            content,
            str(held.get('model') or model),
            str(choice.get('finish_reason') or ''),
            usage if isinstance(usage, dict) else {},
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        start = answer[:80].decode('utf-8', 'replace')
        raise _Passing(f'an answer that cannot be read ({type(error).__name__}), beginning {start!r}') from error


def _said(error: urllib.error.HTTPError) -> str:
    """The server's own words, shortened; '' where there are none."""
    try:
        text = error.read(2000).decode('utf-8', 'replace')
    except (OSError, http.client.HTTPException):
        return ''
    try:
        held = json.loads(text)
        inner = held.get('error', held)
        text = inner.get('message', text) if isinstance(inner, dict) else str(inner)
    except (ValueError, AttributeError, RecursionError):
        pass
    text = ' '.join(str(text).split())[:200]
    return f' ({text})' if text else ''


def _seconds(header: str | None) -> float:
    """Retry-After in seconds; 0 where it is a date, missing or not a number."""
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if seconds >= 0 else 0.0  # nan too
