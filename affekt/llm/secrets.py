"""Removal of secrets from messages of servers, in each form in which a server may repeat them.

Secrets(['sk-12345678']).hidden('bad key sk%2D12345678') == 'bad key [key]'
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

HIDDEN = '[key]'
SHORTEST = 8
"""Minimum number of characters of a secret that is removed from answers; shorter ones, such as EMPTY, may be words."""
MOST_SHOWN = 16
"""Maximum number of characters at an end of a secret that a server shows when it masks the rest."""


class Secrets:
    """Texts that are never shown.

    Args:
        texts: keys and passwords; empty ones are ignored.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        secrets = sorted({text for text in texts if text}, key=len, reverse=True)
        self._every = _pattern(secrets)
        self._long = _pattern([text for text in secrets if len(text) >= SHORTEST])

    def hidden(self, text: str) -> str:
        """A message with the secrets replaced."""
        return self._every.sub(HIDDEN, text) if self._every else text

    def hidden_in_answer(self, text: str) -> str:
        """An answer with the secrets replaced, except for those below `SHORTEST` characters, which may be words."""
        return self._long.sub(HIDDEN, text) if self._long else text


def proxy_passwords() -> list[str]:
    """Passwords in the proxy addresses of the environment."""
    return [unquote(password) for address in getproxies().values() if (password := _password(address))]


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None


def _pattern(texts: list[str]) -> re.Pattern[str] | None:
    """A pattern of each text: plain, masked, escaped as in addresses, JSON and HTML, in base64 or hexadecimal."""
    forms = [form for text in texts for form in (_spelled(text), *_encoded(text), *_masked(text))]
    return re.compile('|'.join(forms), re.IGNORECASE) if forms else None


def _spelled(text: str) -> str:
    """A pattern for a text whose characters are plain or escaped."""
    return ''.join(_character(letter) for letter in text)


def _character(letter: str) -> str:
    code = ord(letter)
    entity = html.escape(letter)
    forms = [
        re.escape(letter),
        rf'%(?:25)*{code:02x}',
        rf'\\+u0*{code:x}',
        rf'\\+x{code:02x}',
        rf'&\#0*{code};',
        rf'&\#x0*{code:x};',
    ]
    forms += [rf'\\+{re.escape(letter)}'] if not letter.isalnum() else []
    forms += [re.escape(entity)] if entity != letter else []
    return f'(?:{"|".join(forms)})'


def _encoded(text: str) -> list[str]:
    """A text in base64, at each of the three offsets within a longer text, and in hexadecimal."""
    raw = text.encode()
    if len(raw) < 4:
        return []
    forms = [re.escape(raw.hex())]
    for shift in range(3):
        shifted = base64.b64encode(b'\0' * shift + raw).decode().rstrip('=')
        stable = shifted[-(-shift * 8 // 6) : len(shifted) if (shift + len(raw)) % 3 == 0 else -1]
        forms.append(''.join('[+-]' if sign == '+' else '[/_]' if sign == '/' else re.escape(sign) for sign in stable))
    return forms


def _masked(text: str) -> list[str]:
    """Patterns for a text of which a server shows only the ends: `sk-12****89`, `sk-1...`, `****6789`."""
    if len(text) < SHORTEST:
        return []
    most = min(MOST_SHOWN, len(text) - 1)
    begin, end = ([re.escape(text[:n]) for n in range(most, 2, -1)], [re.escape(text[-n:]) for n in range(most, 2, -1)])
    mask = r'(?:[*•●]{2,}|\.{3,}|…)'
    return [rf'(?:{"|".join(begin)}){mask}(?:{"|".join(end)})?', rf'{mask}(?:{"|".join(end)})']
