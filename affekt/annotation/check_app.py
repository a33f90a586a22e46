"""The page on which captions are checked, and what it asks of the server.

GET / is the page without data. POST /api/enter turns the token into a cookie; join, open, mark and check are a
checker's. What is marked is on disk before it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from affekt.annotation.app import OTHERWISE, Person, add_clips, page_files
from affekt.annotation.checking import CheckStudy
from affekt.annotation.clips import Clip, clip_key
from affekt.annotation.links import HOST, RATER
from affekt.errors import VoteError
from affekt.serve import App, Tokens, guarded_app, needs

ASSETS = {
    'check.js': 'text/javascript', 'player.js': 'text/javascript', 'sending.js': 'text/javascript',
    'annotate.css': 'text/css', 'check.css': 'text/css',
}  # fmt: skip


class Opening(Person):
    """Goes to a clip."""

    at: int = Field(ge=0, le=10**9)


class Marking(Person):
    """A mark on a label or a sentence; the browser makes the id, and sends it again until it is acknowledged."""

    id: str = Field(max_length=64)
    at: int = Field(ge=0, le=10**9)
    mark: str = Field(max_length=10)
    label: str = Field(default='', max_length=200)
    sentence: int = Field(default=-1, ge=-1, le=10**6)


class Checking(Person):
    """What is said of a whole clip."""

    id: str = Field(max_length=64)
    at: int = Field(ge=0, le=10**9)
    verdict: str = Field(max_length=10)
    seconds: float = Field(default=0.0, ge=0.0, le=1e7, strict=False, allow_inf_nan=False)


def check_app(
    study: CheckStudy, clips: Mapping[str, Clip], windows: Mapping[str, tuple[float, float]], tokens: Tokens, *,
    cookie: str = 'affekt', hosts: frozenset[str] | None,
) -> App:  # fmt: skip
    """The server as an ASGI app.

    Args:
        study: captions and marks.
        clips: by `clip_key`.
        windows: sample to the stretch of its file that it is, in seconds; not where it is the whole.
        tokens: of checkers and of the host.
        cookie: its name; browsers share cookies among the ports of a machine.
        hosts: as for `Guard`.
    """
    routes = APIRouter()
    allowed = needs(RATER, HOST, otherwise=OTHERWISE)

    def shown(screen: dict[str, Any]) -> dict[str, Any]:
        """A screen with its clip, and without the clip's name, which may tell a label."""
        sample = screen.pop('sample', '')
        clip = clips.get(clip_key(sample)) if sample else None
        start, end = windows.get(sample, (0.0, 0.0))
        place = {'url': f'/clips/{clip_key(sample)}', 'start': start, 'end': end}
        return {**screen, 'clip': {**place, 'kind': clip.kind} if clip else None}

    @routes.post('/api/join', dependencies=[allowed])
    def join(person: Person) -> dict[str, Any]:
        """A checker comes, or comes back."""
        return shown(study.join(person.rater))

    @routes.post('/api/open', dependencies=[allowed])
    def open_clip(opening: Opening) -> dict[str, Any]:
        """Another clip."""
        return shown(study.open(opening.rater, opening.at))

    @routes.post('/api/mark', dependencies=[allowed])
    def mark(marking: Marking) -> dict[str, Any]:
        """A mark; the answer is its acknowledgement."""
        screen = study.mark(
            marking.id, marking.rater, marking.at, mark=marking.mark, label=marking.label, sentence=marking.sentence
        )
        return {'stored': marking.id, **shown(screen)}

    @routes.post('/api/check', dependencies=[allowed])
    def check(checking: Checking) -> dict[str, Any]:
        """A verdict on a clip; the answer holds the next one."""
        screen = study.check(checking.id, checking.rater, checking.at, checking.verdict, checking.seconds)
        return {'stored': checking.id, **shown(screen)}

    add_clips(routes, clips, allowed)
    return guarded_app(
        'affekt annotate --check', routes, page_files({'/': 'check.html'}, ASSETS), tokens, cookie=cookie, hosts=hosts,
        statuses={VoteError: 409},
    )  # fmt: skip
