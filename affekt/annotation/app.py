"""The pages and what they ask of the server.

GET / and /board are pages without data. POST /api/enter turns the token into a cookie; join, screen, vote and undo are
a rater's; /api/board and /api/comparisons.csv the host's. Clips are served in parts where a browser asks for parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from affekt.annotation.board import Board
from affekt.annotation.clips import Clip, clip_key
from affekt.annotation.exports import comparisons_csv
from affekt.annotation.raters import flags_of, rater_figures
from affekt.annotation.study import Screen, Study, counted
from affekt.errors import AffektError, RunError, VoteError
from affekt.serve.guard import HOST, RATER, App, Guard, Tokens

PAGES = {'/': 'annotate.html', '/board': 'board.html'}
ASSETS = {
    'annotate.js': 'text/javascript', 'player.js': 'text/javascript', 'sending.js': 'text/javascript',
    'entering.js': 'text/javascript', 'board.js': 'text/javascript', 'annotate.css': 'text/css',
}  # fmt: skip
PAGE_ASSETS = {'page.css': 'text/css', 'page.js': 'text/javascript'}


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', strict=True)


class Entering(_Strict):
    """The token, from the fragment of the link."""

    token: str = Field(max_length=200)


class Person(_Strict):
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
    app = FastAPI(title='affekt annotate', docs_url=None, redoc_url=None, openapi_url=None)
    board = Board(study)
    as_rater, as_host = Depends(_needs(RATER, HOST)), Depends(_needs(HOST))

    @app.exception_handler(AffektError)
    def refused(request: Request, error: AffektError) -> JSONResponse:
        """A deliberate error in its own words."""
        status = 409 if isinstance(error, VoteError) else 503 if isinstance(error, RunError) else 422
        return JSONResponse({'error': str(error)}, status)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        """What is wrong and where, without repeating what came."""
        places = {'.'.join(map(str, one['loc'])): one['msg'] for one in error.errors()}
        return JSONResponse({'error': '; '.join(f'{place}: {said}' for place, said in places.items())[:500]}, 422)

    @app.post('/api/enter')
    def enter(entering: Entering, response: Response) -> dict[str, str]:
        """A cookie for the token."""
        role = tokens.role(entering.token)
        if role is None:
            raise HTTPException(403, 'this link is not valid; ask for a new one')
        response.set_cookie(cookie, tokens.cookie(role), httponly=True, samesite='strict', max_age=30 * 86400)
        return {'role': role}

    @app.post('/api/join', dependencies=[as_rater])
    def join(person: Person) -> dict[str, Any]:
        """A rater comes, or comes back."""
        return _plain(study.join(person.rater), clips)

    @app.post('/api/vote', dependencies=[as_rater])
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

    @app.post('/api/undo', dependencies=[as_rater])
    def undo(undoing: Undoing) -> dict[str, Any]:
        """The last vote is taken back."""
        return {'stored': undoing.id, **_plain(study.undo(undoing.id, undoing.rater), clips)}

    @app.get('/api/board', dependencies=[as_host])
    def show_board(since: int = -1) -> dict[str, Any]:
        """The leaderboard, or nothing new since a change."""
        return board.show(since)

    @app.get('/api/comparisons.csv', dependencies=[as_host])
    def take_home() -> PlainTextResponse:
        """All votes that count."""
        _, votes, statuses = study.snapshot()
        figures = rater_figures(votes, statuses, study.state.tasks, study.settings.test_share)
        text = comparisons_csv(counted(votes, statuses), study.state.tasks, flags_of(figures), raw=raw_csv)
        headers = {'content-disposition': 'attachment; filename="comparisons.csv"'}
        return PlainTextResponse(text, headers=headers, media_type='text/csv')

    @app.api_route('/clips/{key}', methods=['GET', 'HEAD'], dependencies=[as_rater])
    def clip(key: str) -> FileResponse:
        """A clip, whole or in part."""
        if key not in clips:
            raise HTTPException(404, 'no such clip')
        if not clips[key].path.is_file():
            raise HTTPException(404, 'the file of this clip is no longer there')
        return FileResponse(clips[key].path, media_type=clips[key].content_type)

    _serve_pages(app)
    return Guard(app, tokens, cookie, hosts)


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


def _needs(*roles: str) -> Any:
    def check(request: Request) -> None:
        if request.scope.get('affekt_role') not in roles:
            raise HTTPException(403, 'open the link that `affekt annotate` printed')

    return check


def _serve_pages(app: FastAPI) -> None:
    """Pages, scripts and styles hold no data and need no token."""
    held = {path: ('affekt.annotation', name, 'text/html') for path, name in PAGES.items()}
    held |= {f'/{name}': ('affekt.annotation', name, kind) for name, kind in ASSETS.items()}
    held |= {f'/{name}': ('affekt.pages', name, kind) for name, kind in PAGE_ASSETS.items()}
    for path, (room, name, kind) in held.items():
        content = (files(room) / name).read_bytes()
        app.add_api_route(path, _static(content, kind), methods=['GET'])


def _static(content: bytes, kind: str) -> Any:
    def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _plain(screen: Screen, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """A screen without anything that tells which describer wrote what, or what is gold."""
    key = clip_key(screen.sample)
    found = clips.get(key) if screen.shown else None
    return {
        'status': screen.status,
        'shown': screen.shown.id if screen.shown else None,
        'clip': {'url': f'/clips/{key}', 'kind': found.kind} if found else None,
        'left': screen.left_text,
        'right': screen.right_text,
        'answered': screen.answered,
        'of': screen.of,
        'right_in_test': screen.right,
        'can_undo': screen.can_undo,
        'message': screen.message,
    }
