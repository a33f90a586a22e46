"""The links of a study: one for raters and one for the host, unchanged after a restart.

The port and both tokens are stored in `.serve.json` of the study's folder, readable by its owner alone.
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
"""Roles of a token: raters vote; the host also sees the leaderboard and downloads the votes."""
ADDRESS = '.serve.json'
SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Links:
    """The links to open, whose tokens are in the fragments, and the size of the study."""

    raters: str
    board: str
    out: Path
    pairs: int
    gold: int
    test_items: int
    without_clip: int
    is_open: bool
    """Whether other machines may reach the server."""
    notes: tuple[str, ...] = ()
    """What the host should know before inviting raters."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**self.__dict__, 'out': str(self.out)}


@dataclass(frozen=True)
class Address:
    """The port at which a study is served, and its tokens; 0 and '' before the first time."""

    port: int = 0
    rater: str = ''
    host: str = ''

    @classmethod
    def kept(cls, folder: Path) -> Address:
        """The address stored in the folder, so that links and cookies stay valid after a restart."""
        try:
            stored = json.loads(read_regular_file(folder / ADDRESS))
        except (OSError, ValueError, RecursionError):
            return cls()
        stored = stored if isinstance(stored, dict) else {}
        tokens = {name: text for name in (RATER, HOST) if isinstance(text := stored.get(name), str) and text.isascii()}
        port = stored.get('port')
        return cls(port if type(port) is int and 0 < port < 2**16 else 0, **tokens)

    def keep(self, folder: Path) -> None:
        """Store it in the folder, readable by its owner alone."""
        write_private(folder / ADDRESS, json.dumps({'port': self.port, RATER: self.rater, HOST: self.host}))

    def completed(self, token: str | None) -> Address:
        """A copy in which missing tokens are replaced by random ones.

        Args:
            token: the raters' token; None for the one used before, or a new one.

        Raises:
            ValueRangeError: the token is too short.
        """
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
            raise ValueRangeError(
                expected=f'a token of {SHORTEST_TOKEN} or more plain characters',
                came=f'{len(token)} characters',
                todo='give a longer one, or leave --token out for a random one',
            )
        rater = token or self.rater or secrets.token_urlsafe(18)
        return Address(self.port, rater, self.host or secrets.token_urlsafe(18))

    @property
    def tokens(self) -> Tokens:
        """The tokens of the study with their roles."""
        return study_tokens(self.rater, self.host)

    def links(self, listening_at: str) -> tuple[str, str]:
        """The links of the raters and of the host."""
        start = f'http://{name_of(listening_at)}:{self.port}'
        return f'{start}/#token={self.rater}', f'{start}/board#token={self.host}'


def study_tokens(rater: str, host: str) -> Tokens:
    """The two tokens of a study with their roles."""
    return Tokens({HOST: host, RATER: rater})
