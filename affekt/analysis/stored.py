"""An analysis on disk: one folder of JSON, Parquet and JPEG files that `Analysis.load` reads back.

    analysis.json        all but tables and pictures
    timeline.parquet     the timeline
    <table>.parquet      faces, turns, voice, utterances: what was measured
    people/<n>.jpg       a thumbnail of each person
    moments/<n>.jpg      a still of each moment

Files are written one by one, each whole or not at all, `analysis.json` last: a folder without it is no analysis.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from affekt.errors import RunError
from affekt.runs import file_atomically, read_regular_file, require_regular_file, write_atomically

FORMAT = 1
"""Version of the folder's layout."""
MAIN_FILE = 'analysis.json'
TIMELINE_FILE = 'timeline.parquet'


def encoded(value: Any) -> Any:
    """A dataclass as JSON-ready values: bytes left out, nan as null, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {
            f.name: encoded(getattr(value, f.name)) for f in fields if not isinstance(getattr(value, f.name), bytes)
        }
    if isinstance(value, Mapping):
        return {str(key): encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def decoded(kind: Any, value: Any) -> Any:
    """What `encoded` made of a value of this type, made back; null becomes nan where a float belongs.

    Raises:
        RunError: the value does not fit the type.
    """
    try:
        return _decoded(kind, value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            expected=f'a stored {kind}', came=f'{str(value)[:80]}: {error}', todo='analyze the recording again'
        ) from error


def _decoded(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = {f.name: _decoded(hints[f.name], value[f.name]) for f in dataclasses.fields(kind) if f.name in value}
        absent = {
            f.name: None for f in dataclasses.fields(kind) if f.name not in value and hints[f.name] == bytes | None
        }
        return kind(**given, **absent)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _decoded(next(option for option in typing.get_args(kind) if option is not type(None)), value)
    if origin is tuple:
        options = typing.get_args(kind)
        if len(options) == 2 and options[1] is Ellipsis:
            return tuple(_decoded(options[0], item) for item in value)
        return tuple(_decoded(option, item) for option, item in zip(options, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        of = typing.get_args(kind)[1]
        return {str(key): _decoded(of, item) for key, item in value.items()}
    if kind is float:
        return math.nan if value is None else float(value)
    return value


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON whole or not at all."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        RunError: the file is absent, no JSON, or of another layout.
    """
    try:
        content = json.loads(read_regular_file(path).decode())
    except (OSError, ValueError) as error:
        raise RunError(
            expected=f'{MAIN_FILE} of an analysis', came=f'{path}: {error}', todo='name a folder that analyze wrote'
        ) from error
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise RunError(
            expected=f'an analysis of format {FORMAT}', came=f'{path} of another', todo='analyze the recording again'
        )
    return content


def write_table(path: Path, table: pa.Table) -> None:
    """Writes Parquet whole or not at all."""
    with file_atomically(path) as file:
        pq.write_table(table, file, compression='zstd')


def read_table(path: Path) -> pa.Table:
    """The table in a Parquet file.

    Raises:
        RunError: the file is absent or no Parquet.
    """
    try:
        require_regular_file(path)
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            expected='a Parquet table', came=f'{path}: {error}', todo='analyze the recording again'
        ) from error


def counted(folder: Path) -> tuple[int, int]:
    """How many people and moments the analysis in a folder has; none where there is no whole one."""
    try:
        content = read_json(folder / MAIN_FILE)
        return len(content['people']), len(content['moments'])
    except (RunError, KeyError, TypeError):
        return 0, 0


def write_pictures(folder: Path, pictures: Mapping[int, bytes], earlier: int) -> None:
    """Writes JPEG files named by number, and removes the others of the `earlier` ones that stood there before."""
    for number in range(1, earlier + 1):
        if number not in pictures:
            (folder / f'{number}.jpg').unlink(missing_ok=True)
    for number, content in pictures.items():
        write_atomically(folder / f'{number}.jpg', content)


def read_picture(folder: Path, number: int) -> bytes | None:
    """The bytes of one picture; None where it was not kept."""
    path = folder / f'{number}.jpg'
    return path.read_bytes() if path.is_file() else None
