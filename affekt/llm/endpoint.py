"""An OpenAI-compatible server over plain HTTP: deadlines, retries, complete answers only.

There is no client library: one POST and its errors are all that is needed. Transient errors are retried with doubling
pauses: 408, 409, 425, 429, 5xx, a refused or reset connection, a timeout, a truncated answer, an answer that is not
JSON. Others (a wrong key, an unknown model) raise at once with the server's message. If the server refuses a question
(a damaged medium, a policy) but answers a plain text question, the refusal concerns only that question and is a
`QuestionRefusedError`. Some servers answer HTTP 500 to media that their model does not take, which is not retried six
times (`lasting.py`). The key is removed from all server messages, in whatever form it is repeated.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from affekt.errors import LLMError, QuestionRefusedError
from affekt.http_calls import Call, Calls
from affekt.llm.chat import Reply, Request
from affekt.llm.forms import DEFAULT_SERVER, MEDIA, form_of, media_of
from affekt.llm.lasting import INTERNAL, MediaFailures
from affekt.llm.secrets import Secrets, proxy_passwords
from affekt.wording import listed

LARGEST_ANSWER = 16 * 1024 * 1024
"""Maximum size of an answer in bytes; more is an error."""
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 529})
"""Transient HTTP status codes."""
OF_THE_SERVER = frozenset({401, 402, 404, 405, 407, 410})
"""HTTP status codes about key, address or model, whatever the question."""
FILTERED = 'content_filter'
"""Finish reason of an answer withheld by a server's policy."""
PLAIN_WORDS = 'Answer with the one word yes.'
"""Question that tests whether a server answers at all."""
LONGEST_PAUSE_S = 60.0
LONGEST_TIMEOUT_S = 86_400.0
_PERMANENT = re.compile(r'\bnot support|unsupported|\bmmproj\b', re.IGNORECASE)
"""Words of a permanent refusal, for example by llama.cpp, which returns 500 if its model takes no images."""
_WORDS_OF_SERVER = 200
"""Maximum characters of a server's message in an error."""


class Endpoint:
    """A language model on a server.

    Args:
        url: address of the API, such as `http://localhost:8000/v1`; `/chat/completions` is added if missing.
        model: the server's name of the model.
        server: kind of server, one of `SERVERS`, which decides media formats.
        api_key: sent as a bearer token; None sends none. Never sent to another host: redirects are errors. If a
            server repeats it, it becomes `[key]`; in answers only a key of 8 characters or more, since a shorter one
            may be an ordinary word.
        timeout_s: longest time for one attempt, in seconds: connecting, sending, headers and the whole body together.
        attempts: maximum number of attempts per question.
        pause_s: pause before the second attempt, in seconds; doubled before each further one.
        longest_pause_s: upper bound of pauses, also of the server's Retry-After; by default the timeout, at most a
            minute.
        sleep: pausing function; None pauses until `close`.
        left_out_by: medium in `MEDIA` to the command-line option that does not send it, for messages.

    Raises:
        LLMError: the url is not http or https or contains a password or a query, the key cannot be sent, or
            the timeout is invalid.
        UnknownNameError: unknown server.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        server: str = DEFAULT_SERVER,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        attempts: int = 6,
        pause_s: float = 1.0,
        longest_pause_s: float | None = None,
        sleep: Callable[[float], None] | None = None,
        left_out_by: Mapping[str, str] | None = None,
    ) -> None:
        parts = _required_address(url)
        self.form = form_of(server)
        """Formats of images, audio and video for this server."""
        if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
            raise LLMError(
                expected='a timeout in seconds, above 0 and at most a day',
                came=f'{timeout_s:g}',
                todo='give for example 120',
            )
        if api_key and not (api_key.isascii() and api_key.isprintable() and ' ' not in api_key):
            raise LLMError(
                expected='a key of printable ASCII without spaces',
                came='other characters',
                todo='check AFFEKT_LLM_KEY',
            )
        url = url.rstrip('/')
        self._base = url.removesuffix('/chat/completions')
        self.url = f'{self._base}/chat/completions'
        self._model = model
        self._api_key = api_key
        self._timeout_s, self._attempts, self._pause_s = timeout_s, attempts, pause_s
        self._longest_pause_s = min(timeout_s, LONGEST_PAUSE_S) if longest_pause_s is None else longest_pause_s
        self._calls = Calls()
        self._failures = MediaFailures()
        self._sleep = sleep or self._calls.pause
        self._left_out_by = left_out_by or {}
        self._secrets = Secrets([api_key or '', *proxy_passwords()])
        is_here = parts.hostname in ('localhost', '127.0.0.1', '::1')
        self._handlers = [_NoRedirects(), *([urllib.request.ProxyHandler({})] if is_here else [])]

    @property
    def model(self) -> str:
        """The server's name of the model."""
        return self._model

    def ask(self, request: Request) -> Reply:
        """The model's answer.

        Raises:
            QuestionRefusedError: the server refuses this question, but answers a plain one with the same settings.
            LLMError: the server refuses, has no format for a part of the question, or gave no complete answer in all
                attempts.
        """
        self.form.require(request)
        try:
            return self._reply_to(request)
        except QuestionRefusedError as refused:
            try:
                self._require_answering(request)
            except LLMError:
                raise LLMError(expected=refused.expected, came=refused.came, todo=refused.todo) from refused
            raise

    def _require_answering(self, like: Request) -> None:
        """Check that a plain question with the same settings gets an answer.

        Raises:
            LLMError: it does not.
        """
        self._reply_to(_plain_question(like))

    def _reply_to(self, request: Request) -> Reply:
        """The answer of the first attempt that brings one.

        Raises:
            QuestionRefusedError: the server refuses the question.
            LLMError: no attempt brings one, or the server fails on media like those of the question for good.
        """
        media, failed = media_of(request), 0
        fault = _TransientError('no attempt')
        for attempt in range(self._attempts):
            if attempt:
                pause_s = max(self._pause_s * 2 ** (attempt - 1), fault.retry_after_s)
                self._sleep(min(pause_s, self._longest_pause_s))
            if self._calls.is_closed:
                raise LLMError(
                    expected=f'an answer from {self.url}', came='the end of the run', todo='run the same command again'
                )
            try:
                reply = self._attempt(request)
            except _TransientError as passing:
                fault = passing
            else:
                self._failures.note_answer(media)
                return reply
            failed = failed + 1 if fault.state == INTERNAL else 0
            if failed and self._failures.is_lasting(media, failed, lambda: self._is_answering(request)):
                raise self._lasting(media, fault)
        raise LLMError(
            expected=f'an answer from {self.url}',
            came=f'{self._shown(str(fault))} in the last of {self._attempts} attempts',
            todo='check that the server runs and has memory, then run the same command again: answers so far are kept',
        )

    def _attempt(self, request: Request) -> Reply:
        """The answer of one attempt."""
        body = json.dumps({'model': self._model, **request.body()}).encode()
        return _reply(self._post(body), self._model, self._secrets)

    def _is_answering(self, like: Request) -> bool:
        """Whether one attempt at a plain question with the same settings is answered."""
        try:
            self._attempt(_plain_question(like))
        except (_TransientError, LLMError):
            return False
        return True

    def _lasting(self, media: frozenset[str], fault: _TransientError) -> LLMError:
        named = listed([medium for medium in MEDIA if medium in media])
        return LLMError(
            expected=f'an answer from {self.url} to a question with {named}',
            came=f'{self._shown(str(fault))} each time, while plain words are answered',
            todo=f'serve a model that takes {named} and run the same again, or {self.how_to_leave_out(media)}',
        )

    def how_to_leave_out(self, media: Iterable[str]) -> str:
        """Advice to leave out these media, with the options for it if there are any."""
        optional = {*media} & {*self._left_out_by}
        options = dict.fromkeys(self._left_out_by[medium] for medium in MEDIA if medium in optional)
        return 'leave that out' + (f' ({" ".join(options)})' if options else '')

    def models(self) -> tuple[str, ...]:
        """The models that the server lists; () if it lists none.

        Raises:
            LLMError: it cannot be reached, or refuses the key.
        """
        try:
            content = json.loads(self._answered(urllib.request.Request(f'{self._base}/models')))
            return tuple(_on_one_line(str(entry['id'])) for entry in content['data'])
        except _TransientError as fault:
            raise LLMError(
                expected=f'an answer from {self._base}/models', came=self._shown(str(fault)),
                todo='check that the server runs, or name the model: URL#NAME',
            ) from fault  # fmt: skip
        except LLMError as error:
            if 'HTTP 404' in error.came or 'HTTP 405' in error.came:
                return ()
            raise
        except (ValueError, LookupError, TypeError, RecursionError):
            return ()

    def _post(self, body: bytes) -> bytes:
        """The bytes of one whole answer to a question."""
        post = urllib.request.Request(self.url, data=body, method='POST')
        post.add_header('Content-Type', 'application/json')
        return self._answered(post)

    def _answered(self, request: urllib.request.Request) -> bytes:
        """The bytes of one whole answer to a request, which is given the key."""
        if self._api_key:
            request.add_unredirected_header('Authorization', f'Bearer {self._api_key}')
        with Call(self._calls, self._timeout_s) as call:
            try:
                with call.opener(*self._handlers).open(request, timeout=self._timeout_s) as response:
                    answer = _whole(response)
                if call.is_late:  # a connection cut within headers looks like their end
                    raise TimeoutError
                return answer
            except urllib.error.HTTPError as error:
                with error:
                    raise self._refusal(error) from error
            except urllib.error.URLError as error:
                if call.is_late or isinstance(error.reason, TimeoutError):
                    raise _TransientError(f'no answer in {self._timeout_s:g} s') from error
                if isinstance(error.reason, ssl.SSLCertVerificationError):
                    raise LLMError(
                        expected=f'a trusted certificate of {self._base}', came=error.reason.verify_message,
                        todo='check its name and dates; to trust one of your own, name its file in SSL_CERT_FILE',
                    ) from error  # fmt: skip
                raise _TransientError(f'no connection ({error.reason})') from error
            except (http.client.HTTPException, OSError, ValueError, _TransientError) as error:
                if call.is_late or isinstance(error, TimeoutError):
                    raise _TransientError(f'no answer in {self._timeout_s:g} s') from error
                if isinstance(error, _TransientError):
                    raise
                raise _TransientError(f'an answer that was cut ({type(error).__name__})') from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        words = self._server_words(error)
        if error.code in PASSING and not _PERMANENT.search(words):
            return _TransientError(f'HTTP {error.code}{words}', _seconds(error.headers.get('Retry-After')), error.code)
        refused = LLMError if error.code in OF_THE_SERVER else QuestionRefusedError
        return refused(
            expected=f'an answer from {self.url}',
            came=f'HTTP {error.code}{words}',
            todo='check --endpoint and --model, and the key in AFFEKT_LLM_KEY',
        )

    def _server_words(self, error: urllib.error.HTTPError) -> str:
        """The server's message in parentheses, shortened; '' if there is none."""
        try:
            text = error.read(20_000).decode('utf-8', 'replace')
        except (OSError, http.client.HTTPException, ValueError):
            return ''
        try:
            content = json.loads(text)
            inner = content.get('error', content)
            text = inner.get('message', text) if isinstance(inner, dict) else str(inner)
        except (ValueError, AttributeError, RecursionError):
            pass
        text = self._shown(str(text))
        return f' ({text})' if text else ''

    def _shown(self, text: str) -> str:
        """A server's text on one line, shortened and without secrets."""
        return _on_one_line(self._secrets.hidden(text))[:_WORDS_OF_SERVER]

    def close(self) -> None:
        """Cut off all requests, from any thread; later ones are refused."""
        self._calls.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain_question(like: Request) -> Request:
    return replace(like, messages=({'role': 'user', 'content': PLAIN_WORDS},))


def _on_one_line(text: str) -> str:
    return ' '.join(''.join(letter if letter.isprintable() else ' ' for letter in text).split())


def _required_address(url: str) -> SplitResult:
    """The parts of an address without secrets.

    Raises:
        LLMError: the address is not http or https, or contains a user name, a password or a query.
    """
    parts = _address(url)
    if parts is None:
        raise LLMError(
            expected='an http or https address such as http://localhost:8000/v1',
            came=repr(_without_secrets(url)),
            todo='give the address of a server with the chat API of OpenAI',
        )
    if '@' in parts.netloc or '@' in url or any(sign in url for sign in '?#'):
        raise LLMError(
            expected='an address without a user name, a password, ? or #, since it is shown and saved',
            came=repr(_without_secrets(url)),
            todo='leave out the text before @ and after ? or #, and set a key in the environment as AFFEKT_LLM_KEY',
        )
    return parts


def _without_secrets(url: str) -> str:
    """An address without user name, password and query, of at most 200 characters, for messages."""
    cleaned = re.sub(
        r'[?#].*', '?…', re.sub(r'^([A-Za-z][\w+.-]*:/*)?.*@', r'\1…@', url, flags=re.DOTALL), flags=re.DOTALL
    )
    return cleaned[:200]


def _address(url: str) -> SplitResult | None:
    """The parts of an http or https address; None for any other text."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ('http', 'https') and parts.hostname and (parts.port or 1) > 0 and url.isascii()
    except ValueError:
        return None
    return parts if is_usable and url.isprintable() and ' ' not in url else None


class _TransientError(Exception):
    """A transient error."""

    def __init__(self, what: str, retry_after_s: float = 0.0, state: int = 0) -> None:
        super().__init__(what)
        self.retry_after_s, self.state = retry_after_s, state


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: a POST would become a GET, and the key would go to another host."""

    def redirect_request(self, *_: Any) -> None:
        """No request follows."""
        return


def _whole(response: http.client.HTTPResponse) -> bytes:
    """All bytes of an answer.

    Raises:
        _TransientError: the answer is too long, or was cut.
    """
    chunks, size = [], 0
    while chunk := response.read1(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise _TransientError(f'an answer of more than {LARGEST_ANSWER} bytes')
    if response.length:
        raise _TransientError(f'an answer that was cut, {response.length} bytes before its end')
    return b''.join(chunks)


def _reply(answer: bytes, model: str, secrets: Secrets) -> Reply:
    """The reply in the bytes of an answer.

    Raises:
        QuestionRefusedError: a filter of the server withheld the answer.
        _TransientError: the bytes have another form.
    """
    try:
        content = json.loads(answer)
        choice = content['choices'][0]
        if choice.get('finish_reason') == FILTERED and not choice['message'].get('content'):
            raise QuestionRefusedError(
                expected='an answer', came='none: a filter of the server withheld it', todo='leave this question out'
            )
        text = _text(choice['message'])
        usage = content.get('usage')
        return Reply(
            secrets.hidden_in_answer(text),
            secrets.hidden_in_answer(_on_one_line(str(content.get('model') or model)))[:200],
            secrets.hidden(_on_one_line(str(choice.get('finish_reason') or '')))[:40],
            _counts(usage, secrets),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        start = _on_one_line(secrets.hidden(answer[:20_000].decode('utf-8', 'replace')))[:80]
        raise _TransientError(f'an answer that cannot be read ({type(error).__name__}), beginning {start!r}') from error


def _text(message: dict[str, Any]) -> str:
    """The text of a message, or its refusal; of a message with reasoning alone, that reasoning, marked
    as unfinished thinking.

    Raises:
        TypeError: there is none.
    """
    content = message.get('content')
    if isinstance(content, list):
        content = ''.join(part.get('text') or '' for part in content)
    reasoning = message.get('reasoning_content') or message.get('reasoning')
    if content is None and isinstance(message.get('refusal'), str):
        return str(message['refusal'])
    if content is None and isinstance(reasoning, str):
        return f'<think>{reasoning}'
    if not isinstance(content, str):
        raise TypeError('no text in it')
    return content


def _counts(usage: Any, secrets: Secrets, depth: int = 0) -> dict[str, Any]:
    """Name to finite number in a server's token counts, nested at most once."""
    if not isinstance(usage, dict) or depth > 1:
        return {}
    counts: dict[str, Any] = {}
    for name, value in list(usage.items())[:50]:
        shown = secrets.hidden(_on_one_line(str(name)))[:80]
        if isinstance(value, int | float) and math.isfinite(value):
            counts[shown] = value
        elif isinstance(value, dict) and (inner := _counts(value, secrets, depth + 1)):
            counts[shown] = inner
    return counts


def _seconds(header: str | None) -> float:
    """Retry-After in seconds; 0 if it is a date, missing or not a number."""
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if seconds >= 0 else 0.0  # nan too
