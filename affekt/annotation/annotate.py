"""`affekt annotate`: from files of pairs to a page that raters open, and back to files.

`prepare` reads and checks everything before anybody is asked to come; `annotate` serves until it is interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from affekt.annotation.clips import Clip, clip_key, find_clips
from affekt.annotation.exports import PLACES, PREDICTIONS, export_votes
from affekt.annotation.label_studio import local_place
from affekt.annotation.label_studio_reading import Imported, is_label_studio, read_label_studio
from affekt.annotation.pairs import read_gold, read_tasks
from affekt.annotation.playable import playable_clips
from affekt.annotation.scheduling import StudySettings
from affekt.annotation.study import JOURNAL, Study
from affekt.errors import MissingExtraError, RunError, TableError, ValueRangeError
from affekt.ranking.tables import read_table
from affekt.runs import read_regular_file, write_atomically
from affekt.serve.guard import Tokens
from affekt.tables import reading_notes

ADDRESS = '.serve.json'
LOOPBACK = ('127.0.0.1', 'localhost', '::1')
ANY_ADDRESS = ('0.0.0.0', '::')
SHORTEST_TOKEN = 8
LABEL_STUDIO_COLUMNS = {'annotation_id', 'annotator'}
"""By these a table is known for its CSV export."""


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
class Prepared:
    """A study that is ready to be served."""

    study: Study
    clips: dict[str, Clip]
    without_clip: int
    notes: tuple[str, ...] = ()
    """What was left out of the files, what the journal lost, which clips a browser may not play."""


def prepare(
    pairs: Sequence[Path],
    out: Path,
    *,
    media: Path | None = None,
    gold: Path | None = None,
    settings: StudySettings | None = None,
    resume: bool = False,
    without_media: bool = False,
) -> Prepared:
    """Read and check all that a study needs.

    Args:
        pairs: as for `read_tasks`, or one Label Studio export (JSON, JSON-MIN, CSV), whose annotations become votes.
        out: folder of the study.
        media: folder of clips.
        gold: a file of pairs with known verdicts.
        settings: see there.
        resume: go on in `out`.
        without_media: show texts alone where a clip is missing.

    Raises:
        AffektError: a file that cannot be read, missing clips (all of them are named), or a folder in use.
    """
    with reading_notes() as read:
        imported = _label_studio(pairs)
        tasks = imported.tasks if imported is not None else read_tasks(pairs)
        known = read_gold(gold) if gold else ()
    samples = list(dict.fromkeys(task.sample for task in (*tasks, *known)))
    clips: dict[str, Clip] = {}
    notes = (*read, *(imported.notes if imported is not None else ()))
    if media is not None:
        # In Label Studio's own folder an upload has a prefix before its name.
        places = imported.places if imported is not None else {}
        aliases = {sample: [unquote(place.split('/')[-1])] for sample, place in places.items()}
        clips, doubts = playable_clips(find_clips(samples, media, allow_missing=without_media, aliases=aliases))
        notes = (*notes, *doubts)
    elif not without_media:
        raise ValueRangeError(
            expected='--media DIR with the clips',
            came='nothing',
            todo='give it, or --without-media to show texts alone',
        )
    study = Study(out, tasks, known, settings, resume=resume)
    shown = {sample: clips[key].path for sample in samples if (key := clip_key(sample)) in clips}
    inside = media.resolve() if media is not None else None
    kept_places = {
        sample: local_place(path.relative_to(inside or path.parent).as_posix()) for sample, path in shown.items()
    }
    try:
        if imported is not None:
            _, replaced = study.bring(imported.votes)
            if replaced:
                notes = (*notes, f'{replaced} imported votes replace votes by raters of the same name on the same pair')
            predictions = {key: list(known) for key, known in imported.predictions.items()}
            write_atomically(out / PREDICTIONS, json.dumps(predictions).encode())
            kept_places |= imported.places
        write_atomically(out / PLACES, json.dumps(kept_places).encode())
    except BaseException:
        study.close()
        raise
    return Prepared(study, clips, len(samples) - len(clips), (*notes, *study.notes))


def annotate(
    prepared: Prepared,
    *,
    host: str = '127.0.0.1',
    port: int = 0,
    token: str | None = None,
    started: Callable[[Links], None] = lambda links: None,
    raw_csv: bool = False,
) -> tuple[Path, ...]:
    """Serve a study until SIGINT or SIGTERM; then write the votes as files, and return their paths.

    Args:
        prepared: by `prepare`.
        host: address to listen at.
        port: 0 for the one used before in this folder where it is free, else any.
        token: of raters; by default the one used before, else a new one.
        started: called with the links once the port is open.
        raw_csv: write texts that a spreadsheet would take for formulas without an apostrophe in front.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        RunError: the port is taken.
        ValueRangeError: the token is too short.
    """
    study = prepared.study
    try:
        uvicorn, annotation_app, protocol = _server_parts()
        held = _address(study.folder)
        tokens = _tokens(token, held)
        listening = _listen(host, port, held.get('port', 0))
        number = listening.getsockname()[1]
        kept = {'port': number, 'rater': tokens.rater, 'host': tokens.host}
        if kept != held:
            _write_secret(study.folder / ADDRESS, json.dumps(kept))
        hosts = None if host in ANY_ADDRESS else frozenset({*LOOPBACK, host.lower()} if host in LOOPBACK else {host})
        app = annotation_app(study, prepared.clips, tokens, cookie=f'affekt-{number}', hosts=hosts, raw_csv=raw_csv)
        config = uvicorn.Config(
            app, http=protocol, ws='none', log_level='error', access_log=False, server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=3, lifespan='off',
        )  # fmt: skip
        server = uvicorn.Server(config)
        with _stopped_by_sigterm(server), contextlib.suppress(KeyboardInterrupt):
            started(_links(prepared, host, number, tokens))
            server.run(sockets=[listening])
    finally:
        study.close()
    try:
        return export_votes(study.folder, raw=raw_csv)
    except OSError as error:
        raise RunError(
            expected='room for the tables of votes',
            came=str(error),
            todo=f'the votes are whole in {study.folder / JOURNAL}; make room, then add --export-only',
        ) from error


@contextlib.contextmanager
def _stopped_by_sigterm(server: Any) -> Iterator[None]:
    """SIGTERM stops the server, not the process: before it runs, and when uvicorn raises it once more at the end."""

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _server_parts() -> tuple[Any, Any, Any]:
    try:
        import uvicorn

        from affekt.annotation.app import annotation_app
        from affekt.serve.connections import PatientProtocol
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            expected='FastAPI and uvicorn', came=f'no {error.name}', todo="install them: pip install 'affekt[serve]'"
        ) from error
    return uvicorn, annotation_app, PatientProtocol


def _label_studio(pairs: Sequence[Path]) -> Imported | None:
    """What an export of Label Studio holds; None for any other file."""
    path = pairs[0]
    if len(pairs) != 1 or path.suffix.lower() not in ('.json', '.csv', '.tsv'):
        return None
    if path.suffix.lower() != '.json':
        columns = read_table(path).columns
        if not set(columns) >= LABEL_STUDIO_COLUMNS:
            return None
        rows: object = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    else:
        try:
            rows = json.loads(read_regular_file(path).decode('utf-8-sig'))
        except RecursionError as error:
            raise TableError(
                expected='JSON of some hundred levels at most', came=path.name, todo='export it again'
            ) from error
        except (OSError, ValueError):
            return None  # read_tasks says what is wrong
    return read_label_studio(rows, path.name) if is_label_studio(rows) else None


def _address(folder: Path) -> dict[str, Any]:
    """Port and tokens used before, so that links and browsers stay right after a restart."""
    try:
        kept = json.loads(read_regular_file(folder / ADDRESS))
    except (OSError, ValueError, RecursionError):
        return {}
    kept = kept if isinstance(kept, dict) else {}
    tokens = {name: text for name in ('rater', 'host') if isinstance(text := kept.get(name), str) and text.isascii()}
    number = kept.get('port')
    return {**tokens, 'port': number if type(number) is int and 0 < number < 2**16 else 0}


def _tokens(token: str | None, held: dict[str, Any]) -> Tokens:
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise ValueRangeError(
            expected=f'a token of {SHORTEST_TOKEN} or more plain characters',
            came=f'{len(token)} characters',
            todo='leave --token out for one that nobody guesses',
        )
    rater = token or str(held.get('rater') or secrets.token_urlsafe(18))
    host = str(held.get('host') or secrets.token_urlsafe(18))
    return Tokens(rater, host)


def _listen(host: str, port: int, before: int) -> socket.socket:
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    for number in (port,) if port else (before, 0):
        # Only with the protocol named does asyncio send answers at once; else each waits 40 ms for a receipt.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(128)
        except (OSError, OverflowError) as error:
            listening.close()
            if number == 0 or port:
                raise RunError(
                    expected=f'an address to listen at, {host} port {number}',
                    came=str(error),
                    todo='choose another --port or --host',
                ) from error
        else:
            return listening
    raise AssertionError('port 0 is always tried')  # pragma: no cover


def _write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone may read; what is there is replaced, so that no link is followed."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, 'w') as file:
        file.write(text)


def _links(prepared: Prepared, host: str, port: int, tokens: Tokens) -> Links:
    name = socket.gethostname() if host in ANY_ADDRESS else f'[{host}]' if ':' in host else host
    study = prepared.study
    return Links(
        raters=f'http://{name}:{port}/#token={tokens.rater}',
        board=f'http://{name}:{port}/board#token={tokens.host}',
        out=study.folder,
        pairs=len(study.state.asked),
        gold=len(study.state.gold),
        test_items=min(study.settings.test_items, len(study.state.gold)),
        without_clip=prepared.without_clip,
        is_open=host not in LOOPBACK,
        notes=prepared.notes,
    )
