"""The links that a study is opened by: whose they are, and how they stay the same after a restart.

The port and both tokens are kept in `.serve.json` of the study's folder, which its owner alone may read.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.errors import ValueRangeError
from affekt.runs import read_regular_file
from affekt.serve import Tokens, name_of, write_private

RATER, HOST = 'rater', 'host'
"""Who a token makes one: raters vote; the host also sees the leaderboard and takes votes home."""
ADDRESS = '.serve.json'
SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Links:
    """What to open; the tokens stand in the fragments."""

    raters: str
    board: str
    out: Path
    pairs: int
    gold: int
    test_items: int
    without_clip: int
    is_open: bool
    """Whether other machines may reach it."""
    notes: tuple[str, ...] = ()
    """What the host should know before raters come."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**self.__dict__, 'out': str(self.out)}


@dataclass(frozen=True)
class Address:
    """The port that a study was served at, and its tokens; 0 and '' where there are none yet."""

    port: int = 0
    rater: str = ''
    host: str = ''

    @classmethod
    def kept(cls, folder: Path) -> Address:
        """The one used before, so that links and browsers stay right after a restart."""
        try:
            kept = json.loads(read_regular_file(folder / ADDRESS))
        except (OSError, ValueError, RecursionError):
            return cls()
        kept = kept if isinstance(kept, dict) else {}
        tokens = {name: text for name in (RATER, HOST) if isinstance(text := kept.get(name), str) and text.isascii()}
        number = kept.get('port')
        return cls(number if type(number) is int and 0 < number < 2**16 else 0, **tokens)

    def keep(self, folder: Path) -> None:
        """Write it where its owner alone can read it."""
        write_private(folder / ADDRESS, json.dumps({'port': self.port, RATER: self.rater, HOST: self.host}))

    def completed(self, token: str | None) -> Address:
        """With tokens that nobody guesses where there are none.

        Args:
            token: of raters; None for the one used before, or a new one.

        Raises:
            ValueRangeError: the token is too short.
        """
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
            raise ValueRangeError(
                expected=f'a token of {SHORTEST_TOKEN} or more plain characters',
                came=f'{len(token)} characters',
                todo='leave --token out for one that nobody guesses',
            )
        rater = token or self.rater or secrets.token_urlsafe(18)
        return Address(self.port, rater, self.host or secrets.token_urlsafe(18))

    @property
    def tokens(self) -> Tokens:
        """What a link must hold."""
        return study_tokens(self.rater, self.host)

    def links(self, listening_at: str) -> tuple[str, str]:
        """The links of raters and of the host."""
        start = f'http://{name_of(listening_at)}:{self.port}'
        return f'{start}/#token={self.rater}', f'{start}/board#token={self.host}'


def study_tokens(rater: str, host: str) -> Tokens:
    """The two secrets of a study."""
    return Tokens({HOST: host, RATER: rater})
