"""The pages and what they ask of the server.

GET / and /board are pages without data. POST /api/enter turns the token into a cookie; join, screen, vote and undo are
a rater's; /api/board and /api/comparisons.csv the host's. Clips are served in parts where a browser asks for parts.
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
from affekt.annotation.study import Screen, Study, counted
from affekt.errors import VoteError
from affekt.serve import App, StaticFile, StrictBody, Tokens, guarded_app, needs, static_files

PAGES = {'/': 'annotate.html', '/board': 'board.html'}
ASSETS = {
    'annotate.js': 'text/javascript', 'player.js': 'text/javascript', 'sending.js': 'text/javascript',
    'board.js': 'text/javascript', 'annotate.css': 'text/css',
}  # fmt: skip
PAGE_ASSETS = {'page.css': 'text/css', 'page.js': 'text/javascript', 'entering.js': 'text/javascript'}
OTHERWISE = 'open the link that `affekt annotate` printed'


class Person(StrictBody):
    """A rater's name."""

    rater: str = Field(max_length=200)


class Voting(Person):
    """A vote; the browser makes the id, and sends the same id again until it is acknowledged."""

    id: str = Field(max_length=64)
    shown: str = Field(max_length=64)
    choice: str = Field(max_length=10)
    seconds: float = Field(default=0.0, ge=0.0, le=1e7, strict=False, allow_inf_nan=False)
    watched: float | None = Field(default=None, ge=0.0, le=1.0, strict=False, allow_inf_nan=False)
    seen: str = Field(default='', max_length=20)
    heard: str = Field(default='', max_length=20)


class Undoing(Person):
    """Takes back the last vote."""

    id: str = Field(max_length=64)


def annotation_app(
    study: Study, clips: Mapping[str, Clip], tokens: Tokens, *, cookie: str = 'affekt', hosts: frozenset[str] | None,
    raw_csv: bool = False,
) -> App:  # fmt: skip
    """The server as an ASGI app.

    Args:
        study: tasks and votes.
        clips: by `clip_key`.
        tokens: of raters and of the host.
        cookie: its name; browsers share cookies among the ports of a machine.
        hosts: as for `Guard`.
        raw_csv: as for `comparisons_csv`.
    """
    routes = APIRouter()
    board = Board(study)
    as_rater, as_host = (needs(*roles, otherwise=OTHERWISE) for roles in ((RATER, HOST), (HOST,)))

    @routes.post('/api/join', dependencies=[as_rater])
    def join(person: Person) -> dict[str, Any]:
        """A rater comes, or comes back."""
        return _plain(study.join(person.rater), clips)

    @routes.post('/api/vote', dependencies=[as_rater])
    def vote(voting: Voting) -> dict[str, Any]:
        """A vote; the answer is its acknowledgement, and holds the next question."""
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
        """The last vote is taken back."""
        return {'stored': undoing.id, **_plain(study.undo(undoing.id, undoing.rater), clips)}

    @routes.get('/api/board', dependencies=[as_host])
    def show_board(since: int = -1) -> dict[str, Any]:
        """The leaderboard, or nothing new since a change."""
        return board.show(since)

    @routes.get('/api/comparisons.csv', dependencies=[as_host])
    def take_home() -> PlainTextResponse:
        """All votes that count."""
        _, votes, statuses = study.snapshot()
        figures = rater_figures(votes, statuses, study.state.tasks, study.settings.test_share)
        text = comparisons_csv(counted(votes, statuses), study.state.tasks, flags_of(figures), raw=raw_csv)
        headers = {'content-disposition': 'attachment; filename="comparisons.csv"'}
        return PlainTextResponse(text, headers=headers, media_type='text/csv')

    add_clips(routes, clips, as_rater)

    pages = page_files(PAGES, ASSETS)
    return guarded_app('affekt annotate', routes, pages, tokens, cookie=cookie, hosts=hosts, statuses={VoteError: 409})


def add_clips(routes: APIRouter, clips: Mapping[str, Clip], allowed: Any) -> None:
    """The route by which clips are served, whole or in part.

    Args:
        routes: to which it is added.
        clips: by `clip_key`.
        allowed: the dependency that lets somebody in.
    """

    @routes.api_route('/clips/{key}', methods=['GET', 'HEAD'], dependencies=[allowed])
    def clip(key: str) -> FileResponse:
        """A clip, whole or in part."""
        if key not in clips:
            raise HTTPException(404, 'no such clip')
        if not clips[key].path.is_file():
            raise HTTPException(404, 'the file of this clip is no longer there')
        headers = {'cache-control': 'private, max-age=3600'}
        return FileResponse(clips[key].path, media_type=clips[key].content_type, headers=headers)


def _refuse_unplayed(voting: Voting, clip: Clip | None) -> None:
    """A clip of which the page says that nothing could be shown is skipped, not judged."""
    if voting.choice == 'skip' or clip is None or clip.kind == 'audio' or voting.seen != 'nothing':
        return
    raise VoteError(
        expected='a choice about a clip that was seen', came='a clip that this browser cannot show', todo='skip it'
    )


def _perceived(voting: Voting, clip: Clip | None) -> tuple[str, str]:
    """What was seen and heard of a clip: as the page says it, else what the clip alone tells."""
    if clip is None:
        return 'no clip', 'no clip'
    if voting.watched is None:
        return voting.seen, voting.heard
    return voting.seen or ('picture' if clip.kind == 'image' else 'unknown'), voting.heard or 'unknown'


def page_files(pages_at: Mapping[str, str], assets: Mapping[str, str]) -> dict[str, StaticFile]:
    """Pages by their paths, and the scripts and styles of this room and of every page."""
    own = static_files('affekt.annotation', {**dict.fromkeys(pages_at.values(), 'text/html'), **assets})
    pages = {path: own.pop(f'/{name}') for path, name in pages_at.items()}
    return pages | own | static_files('affekt.pages', PAGE_ASSETS)


def _plain(screen: Screen, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """A screen without anything that tells which describer wrote what, or what is gold."""
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
