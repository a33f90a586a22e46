"""`affekt annotate`: from files of pairs to a page on which raters vote, and from their votes to tables.

`prepare` reads and checks everything before any rater is invited; `annotate` serves until it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from affekt.annotation.clips import Clip, clip_key, find_clips
from affekt.annotation.exports import PLACES, PREDICTIONS, export_votes
from affekt.annotation.label_studio import local_place
from affekt.annotation.label_studio_reading import Imported, is_label_studio, read_label_studio
from affekt.annotation.links import Address, Links
from affekt.annotation.pairs import read_gold, read_tasks
from affekt.annotation.playable import playable_clips
from affekt.annotation.scheduling import StudySettings
from affekt.annotation.study import JOURNAL, Study
from affekt.errors import RunError, TableError, ValueRangeError
from affekt.ranking import comparison_table
from affekt.runs import read_regular_file, write_atomically
from affekt.serve import LOOPBACK, App, hosts_of, listen, require_serving_parts, serve_until_stopped
from affekt.tables import reading_notes
from affekt.text_encoding import decode_text

LABEL_STUDIO_COLUMNS = {'annotation_id', 'annotator'}
"""Columns that mark a table as Label Studio's CSV export."""


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to be served, with its clips."""

    study: Study
    clips: dict[str, Clip]
    without_clip: int
    """Number of samples without a clip."""
    notes: tuple[str, ...] = ()
    """Rows that were left out, journal entries that were lost or do not count, clips that a browser may not play."""


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
    """Read and check all that a study needs, and create or resume it.

    Args:
        pairs: files of pairs as for `read_tasks`, or one Label Studio export (JSON, JSON-MIN, CSV), whose annotations
            become votes.
        out: folder of the study.
        media: folder of clips; needed unless `without_media`.
        gold: a file of pairs with known verdicts; None for a study without a test.
        settings: rater test and scheduling; by default `StudySettings()`.
        resume: continue the study in `out`.
        without_media: allow missing clips; their texts are shown alone.

    Raises:
        AffektError: a file cannot be read, clips are missing (all of them are named), or the folder is in use.
    """
    with reading_notes() as table_notes:
        imported = _label_studio(pairs)
        tasks = imported.tasks if imported is not None else read_tasks(pairs)
        gold_tasks = read_gold(gold) if gold else ()
    samples = list(dict.fromkeys(task.sample for task in (*tasks, *gold_tasks)))
    clips: dict[str, Clip] = {}
    notes = (*table_notes, *(imported.notes if imported is not None else ()))
    if media is not None:
        # Label Studio puts a prefix before the name of an uploaded file in its own folder.
        places = imported.places if imported is not None else {}
        aliases = {sample: [unquote(place.split('/')[-1])] for sample, place in places.items()}
        clips, playing_notes = playable_clips(find_clips(samples, media, allow_missing=without_media, aliases=aliases))
        notes = (*notes, *playing_notes)
    elif not without_media:
        raise ValueRangeError(
            expected='--media DIR with the clips',
            came='nothing',
            todo='give it, or --without-media to show texts alone',
        )
    study = Study(out, tasks, gold_tasks, settings, resume=resume)
    path_of = {sample: clips[key].path for sample in samples if (key := clip_key(sample)) in clips}
    root = media.resolve() if media is not None else None
    kept_places = {
        sample: local_place(path.relative_to(root or path.parent).as_posix()) for sample, path in path_of.items()
    }
    try:
        if imported is not None:
            _, replaced = study.bring(imported.votes)
            if replaced:
                notes = (*notes, f'{replaced} imported votes replace votes by raters of the same name on the same pair')
            predictions = {key: list(of_task) for key, of_task in imported.predictions.items()}
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
    """Serve a study until SIGINT or SIGTERM, then write the votes as tables and return their paths.

    Args:
        prepared: the study, by `prepare`.
        host: address to listen on.
        port: 0 for the port used before in this folder if it is free, otherwise any free one.
        token: the raters' token; by default the one used before, or a new one.
        started: called with the links once the port is open.
        raw_csv: whether to omit the apostrophe before texts that a spreadsheet would run as formulas.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        RunError: the port is in use, or the tables cannot be written.
        ValueRangeError: the token is too short.
    """
    study = prepared.study

    def app_at(address: Address) -> App:
        from affekt.annotation.app import annotation_app

        cookie, hosts = f'affekt-{address.port}', hosts_of(host)
        return annotation_app(study, prepared.clips, address.tokens, cookie=cookie, hosts=hosts, raw_csv=raw_csv)

    try:
        serve_folder(
            study.folder, app_at, host=host, port=port, token=token,
            started=lambda address: started(_links(prepared, host, address)),
        )  # fmt: skip
    finally:
        study.close()
    try:
        return export_votes(study.folder, raw=raw_csv)
    except OSError as error:
        raise RunError(
            expected='space for the tables of votes',
            came=str(error),
            todo=f'all votes are in {study.folder / JOURNAL}: free some space, then add --export-only',
        ) from error


def serve_folder(
    folder: Path,
    app_at: Callable[[Address], App],
    *,
    host: str,
    port: int,
    token: str | None,
    started: Callable[[Address], None],
) -> None:
    """Serve the study or the checks of a folder until SIGINT or SIGTERM, with the port and tokens used before.

    Args:
        folder: the folder of the study or of the checks, in which port and tokens are kept.
        app_at: builds the app once the port is known.
        host, port, token: as for `annotate`.
        started: called with port and tokens once the port is open.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        RunError: the port is taken.
        ValueRangeError: the token is too short.
    """
    require_serving_parts()
    before = Address.kept(folder)
    address = before.completed(token)
    listening = listen(host, port, before.port)
    address = replace(address, port=listening.getsockname()[1])
    if address != before:
        address.keep(folder)
    serve_until_stopped(app_at(address), listening, started=lambda: started(address))


def _label_studio(pairs: Sequence[Path]) -> Imported | None:
    """The contents of a Label Studio export; None for any other file."""
    path = pairs[0]
    if len(pairs) != 1 or path.suffix.lower() not in ('.json', '.csv', '.tsv'):
        return None
    if path.suffix.lower() != '.json':
        table = comparison_table(path)
        if not set(table) >= LABEL_STUDIO_COLUMNS:
            return None
        rows: object = list(table.records())
    else:
        try:
            rows = _tasks(decode_text(read_regular_file(path), path.name).text)
        except RecursionError as error:
            raise TableError(
                expected='JSON of some hundred levels at most', came=path.name, todo='export it again'
            ) from error
        except (OSError, ValueError):
            return None  # read_tasks raises the error
    return read_label_studio(rows, path.name) if is_label_studio(rows) else None


def _tasks(text: str) -> object:
    """The tasks in JSON: a list, one task, an object with a list of tasks, or one task per line."""
    try:
        content = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split('\n') if line.strip()]
    return content['tasks'] if isinstance(content, dict) and isinstance(content.get('tasks'), list) else content


def _links(prepared: Prepared, host: str, address: Address) -> Links:
    study = prepared.study
    raters, board = address.links(host)
    return Links(
        raters=raters,
        board=board,
        out=study.folder,
        pairs=len(study.state.asked),
        gold=len(study.state.gold),
        test_items=min(study.settings.test_items, len(study.state.gold)),
        without_clip=prepared.without_clip,
        is_open=host not in LOOPBACK,
        notes=prepared.notes,
    )
