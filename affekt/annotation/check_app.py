"""The page on which captions are checked, and the requests that it makes.

GET / is the page without data. POST /api/enter exchanges the token for a cookie; join, open, mark and check are a
checker's requests. A mark is on disk before it is acknowledged.
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
    """A request to go to a clip."""

    at: int = Field(ge=0, le=10**9)


class Marking(Person):
    """A mark on a label or a sentence; the browser makes its id and repeats it until it is acknowledged."""

    id: str = Field(max_length=64)
    at: int = Field(ge=0, le=10**9)
    mark: str = Field(max_length=10)
    label: str = Field(default='', max_length=200)
    sentence: int = Field(default=-1, ge=-1, le=10**6)


class Checking(Person):
    """A verdict on a whole clip."""

    id: str = Field(max_length=64)
    at: int = Field(ge=0, le=10**9)
    verdict: str = Field(max_length=10)
    seconds: float = Field(default=0.0, ge=0.0, le=1e7, strict=False, allow_inf_nan=False)


def check_app(
    study: CheckStudy, clips: Mapping[str, Clip], windows: Mapping[str, tuple[float, float]], tokens: Tokens, *,
    cookie: str = 'affekt', hosts: frozenset[str] | None,
) -> App:  # fmt: skip
    """The server of a caption check as an ASGI app.

    Args:
        study: captions and marks.
        clips: clips by `clip_key`.
        windows: sample to the start and end of its window within its file, in seconds; samples that are whole files are
            not in it.
        tokens: of the checkers and of the host.
        cookie: name of the cookie; browsers share cookies among all ports of a machine.
        hosts: host names that are answered, as for `Guard`.
    """
    routes = APIRouter()
    allowed = needs(RATER, HOST, otherwise=OTHERWISE)

    def shown(screen: dict[str, Any]) -> dict[str, Any]:
        """A screen with the URL of its clip and without the clip's name, which may give a label away."""
        sample = screen.pop('sample', '')
        clip = clips.get(clip_key(sample)) if sample else None
        start, end = windows.get(sample, (0.0, 0.0))
        place = {'url': f'/clips/{clip_key(sample)}', 'start': start, 'end': end}
        return {**screen, 'clip': {**place, 'kind': clip.kind} if clip else None}

    @routes.post('/api/join', dependencies=[allowed])
    def join(person: Person) -> dict[str, Any]:
        """Register a checker, or let one continue."""
        return shown(study.join(person.rater))

    @routes.post('/api/open', dependencies=[allowed])
    def open_clip(opening: Opening) -> dict[str, Any]:
        """Go to another clip."""
        return shown(study.open(opening.rater, opening.at))

    @routes.post('/api/mark', dependencies=[allowed])
    def mark(marking: Marking) -> dict[str, Any]:
        """Store a mark; the answer acknowledges it."""
        screen = study.mark(
            marking.id, marking.rater, marking.at, mark=marking.mark, label=marking.label, sentence=marking.sentence
        )
        return {'stored': marking.id, **shown(screen)}

    @routes.post('/api/check', dependencies=[allowed])
    def check(checking: Checking) -> dict[str, Any]:
        """Store a verdict on a clip; the answer holds the next clip."""
        screen = study.check(checking.id, checking.rater, checking.at, checking.verdict, checking.seconds)
        return {'stored': checking.id, **shown(screen)}

    add_clips(routes, clips, allowed)
    return guarded_app(
        'affekt annotate --check', routes, page_files({'/': 'check.html'}, ASSETS), tokens, cookie=cookie, hosts=hosts,
        statuses={VoteError: 409},
    )  # fmt: skip
