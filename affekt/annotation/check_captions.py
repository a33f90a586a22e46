"""`affekt annotate CAPTIONS --check`: from a folder of captions to a page on which people check them, and to tables.

`prepare_checks` reads everything before any checker is invited; `check_captions` serves until it is interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.annotation.annotate import serve_folder
from affekt.annotation.checking import CheckStudy, CheckTask, export_checks, sentences_of
from affekt.annotation.clips import TYPES, Clip, clip_key, find_clips
from affekt.annotation.links import Address
from affekt.annotation.playable import playable_clips
from affekt.captioning import read_captions
from affekt.errors import MediaError
from affekt.serve import LOOPBACK, App, hosts_of
from affekt.tables import read_table

CLIPS = 'clips.csv'
"""Table beside captions with the file, and the window within it, of each clip."""


@dataclass(frozen=True)
class PreparedChecks:
    """Captions that are ready to be checked, with their clips."""

    study: CheckStudy
    clips: Mapping[str, Clip]
    windows: Mapping[str, tuple[float, float]]
    """Sample to start and end of its window within its file, in seconds."""
    without_clip: int
    """Number of captions without a clip."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckLinks:
    """The link to open, whose token is in the fragment, and the size of the check."""

    checkers: str
    out: Path
    clips: int
    without_clip: int
    is_open: bool
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**self.__dict__, 'out': str(self.out)}


def prepare_checks(
    captions: Path, out: Path, *, media: Path | None = None, resume: bool = False, without_media: bool = False
) -> PreparedChecks:
    """Read all that checking needs, and create or resume the checks.

    Args:
        captions: a folder of captions, or a table of them, such as the output of a filter.
        out: folder of the checks.
        media: folder of clips; None to use the paths in the table beside the captions.
        resume: continue the checks in `out`.
        without_media: allow missing clips; their texts are checked alone.

    Raises:
        AffektError: a table cannot be read, clips are missing, or the folder is in use.
    """
    table = read_captions(captions)
    columns = table.columns
    tasks = [
        CheckTask(
            name, sentences_of(columns['description'][row]), table.labels[row], columns['subtitle'][row],
            {column: cells[row] for column, cells in columns.items()},
        )
        for row, name in enumerate(table.names)
    ]  # fmt: skip
    windows: dict[str, tuple[float, float]] = {}
    if media is not None:
        clips = dict(find_clips(table.names, media, allow_missing=without_media))
    else:
        clips, windows = _placed(captions if captions.is_dir() else captions.parent, table.names)
        missing = [name for name in table.names if clip_key(name) not in clips]
        if missing and not without_media:
            raise MediaError(
                expected=f'a file for each of {len(table)} clips', came=f'{len(missing)} without ({missing[0]}, …)',
                todo='give --media DIR, or --without-media to check these by their texts alone',
            )  # fmt: skip
    clips, notes = playable_clips(clips)
    study = CheckStudy(out, tasks, resume=resume)
    return PreparedChecks(study, clips, windows, len(tasks) - len(clips), (*notes, *study.notes))


def _placed(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, Clip], dict[str, tuple[float, float]]]:
    """Clips by `clip_key` and windows (start and end in seconds) by sample, from the table beside the captions."""
    clips: dict[str, Clip] = {}
    windows: dict[str, tuple[float, float]] = {}
    if not (folder / CLIPS).is_file():
        return clips, windows
    captioned = set(names)
    for row in read_table(folder / CLIPS).records():
        path = next((Path(str(row[kind])) for kind in ('video', 'audio') if row.get(kind)), None)
        if str(row['name']) not in captioned or path is None or path.suffix.lower() not in TYPES or not path.is_file():
            continue
        clips[clip_key(str(row['name']))] = Clip(path, TYPES[path.suffix.lower()])
        if row.get('end_s') not in (None, '') and math.isfinite(float(row['end_s'])):
            windows[str(row['name'])] = (float(row['start_s']), float(row['end_s']))
    return clips, windows


def check_captions(
    prepared: PreparedChecks,
    *,
    host: str = '127.0.0.1',
    port: int = 0,
    token: str | None = None,
    started: Callable[[CheckLinks], None] = lambda links: None,
    raw_csv: bool = False,
) -> tuple[Path, ...]:
    """Serve captions for checking until SIGINT or SIGTERM, then write the tables and return their paths.

    Args:
        prepared: the captions, by `prepare_checks`.
        host, port, token, started, raw_csv: as for `annotate`.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        RunError: the port is taken.
        ValueRangeError: the token is too short.
    """
    study = prepared.study

    def app_at(address: Address) -> App:
        from affekt.annotation.check_app import check_app

        cookie, hosts = f'affekt-{address.port}', hosts_of(host)
        return check_app(study, prepared.clips, prepared.windows, address.tokens, cookie=cookie, hosts=hosts)

    def links(address: Address) -> CheckLinks:
        return CheckLinks(
            address.links(host)[0], study.folder, len(study.state.order), prepared.without_clip, host not in LOOPBACK,
            prepared.notes,
        )  # fmt: skip

    try:
        serve_folder(
            study.folder, app_at, host=host, port=port, token=token, started=lambda address: started(links(address))
        )
    finally:
        study.close()
    return export_checks(study.folder, raw=raw_csv)
