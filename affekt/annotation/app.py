"""The web pages of a study and the requests that they make.

GET / and /board are pages without data. POST /api/enter exchanges the token for a cookie; join, screen, vote and undo
are a rater's requests; /api/board and /api/comparisons.csv the host's. Clips are served in ranges where a browser asks
for ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import Field

from affekt.annotation.board import Board
from affekt.annotation.clips import Clip, clip_key
from affekt.annotation.exports import comparisons_csv
from affekt.annotation.links import HOST, RATER
from affekt.annotation.raters import flags_of, rater_figures
from affekt.annotation.study import Screen, Study, votes_that_count
from affekt.errors import VoteError
from affekt.serve import App, StaticFile, StrictBody, Tokens, guarded_app, needs, static_files

PAGES = {'/': 'annotate.html', '/board': 'board.html'}
ASSETS = {
    'annotate.js': 'text/javascript', 'player.js': 'text/javascript', 'sending.js': 'text/javascript',
    'board.js': 'text/javascript', 'annotate.css': 'text/css',
}  # fmt: skip
PAGE_ASSETS = {'page.css': 'text/css', 'page.js': 'text/javascript', 'entering.js': 'text/javascript'}
OTHERWISE = 'open the link that `affekt annotate` printed'
"""Advice to a visitor without a valid token."""


class Person(StrictBody):
    """The rater who sends a request, by name."""

    rater: str = Field(max_length=200)


class Voting(Person):
    """A vote; the browser makes its id and repeats the request with the same id until it is acknowledged."""

    id: str = Field(max_length=64)
    shown: str = Field(max_length=64)
    choice: str = Field(max_length=10)
    seconds: float = Field(default=0.0, ge=0.0, le=1e7, strict=False, allow_inf_nan=False)
    watched: float | None = Field(default=None, ge=0.0, le=1.0, strict=False, allow_inf_nan=False)
    seen: str = Field(default='', max_length=20)
    heard: str = Field(default='', max_length=20)


class Undoing(Person):
    """A request to take back the last vote."""

    id: str = Field(max_length=64)


def annotation_app(
    study: Study, clips: Mapping[str, Clip], tokens: Tokens, *, cookie: str = 'affekt', hosts: frozenset[str] | None,
    raw_csv: bool = False,
) -> App:  # fmt: skip
    """The server of a study as an ASGI app.

    Args:
        study: tasks and votes.
        clips: clips by `clip_key`.
        tokens: tokens of the raters and of the host.
        cookie: name of the cookie; browsers share cookies among all ports of a machine.
        hosts: host names that are answered, as for `Guard`.
        raw_csv: as for `comparisons_csv`.
    """
    routes = APIRouter()
    board = Board(study)
    as_rater, as_host = (needs(*roles, otherwise=OTHERWISE) for roles in ((RATER, HOST), (HOST,)))

    @routes.post('/api/join', dependencies=[as_rater])
    def join(person: Person) -> dict[str, Any]:
        """Register a rater, or let one continue."""
        return _plain(study.join(person.rater), clips)

    @routes.post('/api/vote', dependencies=[as_rater])
    def vote(voting: Voting) -> dict[str, Any]:
        """Store a vote; the answer acknowledges it and holds the next question."""
        asked = study.state.shown.get(voting.shown)
        clip = clips.get(clip_key(study.state.tasks[asked.task].sample)) if asked is not None else None
        _refuse_unplayed(voting, clip)
        seen, heard = _perceived(voting, clip)
        screen = study.vote(
            voting.id, voting.rater, voting.shown, voting.choice, seconds=voting.seconds, watched=voting.watched,
            seen=seen, heard=heard,
        )  # fmt: skip
        return {'stored': voting.id, **_plain(screen, clips)}

    @routes.post('/api/undo', dependencies=[as_rater])
    def undo(undoing: Undoing) -> dict[str, Any]:
        """Take back the last vote."""
        return {'stored': undoing.id, **_plain(study.undo(undoing.id, undoing.rater), clips)}

    @routes.get('/api/board', dependencies=[as_host])
    def show_board(since: int = -1) -> dict[str, Any]:
        """The leaderboard; see `Board.show`."""
        return board.show(since)

    @routes.get('/api/comparisons.csv', dependencies=[as_host])
    def download() -> PlainTextResponse:
        """The table of all votes that count."""
        _, votes, statuses = study.snapshot()
        figures = rater_figures(votes, statuses, study.state.tasks, study.settings.test_share)
        text = comparisons_csv(votes_that_count(votes, statuses), study.state.tasks, flags_of(figures), raw=raw_csv)
        headers = {'content-disposition': 'attachment; filename="comparisons.csv"'}
        return PlainTextResponse(text, headers=headers, media_type='text/csv')

    add_clips(routes, clips, as_rater)

    pages = page_files(PAGES, ASSETS)
    return guarded_app('affekt annotate', routes, pages, tokens, cookie=cookie, hosts=hosts, statuses={VoteError: 409})


def add_clips(routes: APIRouter, clips: Mapping[str, Clip], allowed: Any) -> None:
    """Add the route by which clips are served, whole or in ranges.

    Args:
        routes: the router to which it is added.
        clips: clips by `clip_key`.
        allowed: the dependency that checks the cookie.
    """

    @routes.api_route('/clips/{key}', methods=['GET', 'HEAD'], dependencies=[allowed])
    def clip(key: str) -> FileResponse:
        """A clip, whole or the requested range."""
        if key not in clips:
            raise HTTPException(404, 'no such clip')
        if not clips[key].path.is_file():
            raise HTTPException(404, 'the file of this clip was removed')
        headers = {'cache-control': 'private, max-age=3600'}
        return FileResponse(clips[key].path, media_type=clips[key].content_type, headers=headers)


def _refuse_unplayed(voting: Voting, clip: Clip | None) -> None:
    """Refuse a verdict on a clip of which the page reports that nothing could be shown; it can only be skipped."""
    if voting.choice == 'skip' or clip is None or clip.kind == 'audio' or voting.seen != 'nothing':
        return
    raise VoteError(
        expected='a choice about a clip that was seen', came='a clip that this browser cannot show', todo='skip it'
    )


def _perceived(voting: Voting, clip: Clip | None) -> tuple[str, str]:
    """What was seen and heard of a clip: as the page reports it, otherwise what the clip's type implies."""
    if clip is None:
        return 'no clip', 'no clip'
    if voting.watched is None:
        return voting.seen, voting.heard
    return voting.seen or ('picture' if clip.kind == 'image' else 'unknown'), voting.heard or 'unknown'


def page_files(pages_at: Mapping[str, str], assets: Mapping[str, str]) -> dict[str, StaticFile]:
    """Pages by their paths, with the scripts and styles of this package and of all pages."""
    own = static_files('affekt.annotation', {**dict.fromkeys(pages_at.values(), 'text/html'), **assets})
    pages = {path: own.pop(f'/{name}') for path, name in pages_at.items()}
    return pages | own | static_files('affekt.pages', PAGE_ASSETS)


def _plain(screen: Screen, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """A screen as JSON values, without anything that reveals the describers or which items are gold."""
    key = clip_key(screen.sample)
    shown_clip = clips.get(key) if screen.shown else None
    return {
        'status': screen.status,
        'shown': screen.shown.id if screen.shown else None,
        'clip': {'url': f'/clips/{key}', 'kind': shown_clip.kind} if shown_clip else None,
        'left': screen.left_text,
        'right': screen.right_text,
        'answered': screen.answered,
        'of': screen.of,
        'right_in_test': screen.right,
        'can_undo': screen.can_undo,
        'message': screen.message,
    }
