"""An analysis on disk: one folder of JSON, Parquet and JPEG files that `Analysis.load` reads back.

    analysis.json        everything except tables and images
    timeline.parquet     the timeline
    <table>.parquet      measurements: faces, turns, voice, utterances; each row with the identity of the recording
    people/<n>.jpg       a thumbnail of each person
    moments/<n>.jpg      a still of each moment
    people.json          later edits of people by the user, if any

Files are written one by one, each atomically, `analysis.json` last: a folder without it is not an analysis.
"""

from __future__ import annotations

import contextlib
import json
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affekt.errors import RunError
from affekt.runs import file_atomically, read_regular_file, require_regular_file, write_atomically
from affekt.tables import require_bounded, storable, text_scalar
from affekt.typed_json import brief, typed

FORMAT = 1
"""Version of the folder's layout."""
ANALYZE_AGAIN = 'analyze the recording again'
MAX_ROWS = 20_000_000
"""Maximum rows of a table, more than the longest recording gives: 60 faces for three hours at 30 frames per second."""
_IDENTITY = re.compile(r'file|part\d+|sha256')
"""Names of the columns that identify the recording of a row."""
LARGEST = 1e12
"""Upper bound of the numbers in a table: seconds, pixels, hertz, decibels."""
MAIN_FILE = 'analysis.json'
TIMELINE_FILE = 'timeline.parquet'


def decoded(hint: Any, value: Any) -> Any:
    """The value of this type from which `typed_json.plain` made a plain one.

    Raises:
        RunError: the value does not fit the type.
    """
    try:
        return typed(hint, value)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RunError(
            expected=f'{_described(hint)} as affekt stores it', came=f'{str(error)[:200]}', todo=ANALYZE_AGAIN
        ) from error


def _described(hint: Any) -> str:
    """The type in words."""
    options = typing.get_args(hint)
    name = getattr(options[0] if options else hint, '__name__', str(hint))
    return f'each {name}' if typing.get_origin(hint) is tuple else f'the {name}'


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON atomically."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        RunError: the file is missing, not JSON, or of another layout.
    """
    try:
        content = json.loads(read_regular_file(_regular_file(path)).decode())
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise RunError(
            expected=f'{MAIN_FILE} of an analysis', came=f'{path}: {reason}', todo='name a folder that analyze wrote'
        ) from error
    if not isinstance(content, dict) or content.get('format') != FORMAT or isinstance(content['format'], bool):
        raise RunError(
            expected=f'an analysis of format {FORMAT}', came=f'{path} of another', todo='analyze the recording again'
        )
    return content


def write_table(path: Path, table: pa.Table) -> None:
    """Writes Parquet atomically."""
    with file_atomically(path) as file:
        pq.write_table(table, file, compression='zstd')


def read_table(path: Path) -> pa.Table:
    """The table in a Parquet file.

    Raises:
        RunError: the file is missing or not Parquet, or its rows or numbers exceed MAX_ROWS or LARGEST.
    """
    try:
        with pq.ParquetFile(_regular_file(path)) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise ValueError(f'{file.metadata.num_rows} rows, more than {MAX_ROWS}')
            require_bounded(path)
            table = file.read()
        _require_plausible(table)
        return table
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise RunError(
            expected='a Parquet table', came=f'{path}: {error}', todo='analyze the recording again'
        ) from error


def _require_plausible(table: pa.Table) -> None:
    """Raises ValueError where a number exceeds LARGEST."""
    for column in table.schema:
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            values = pc.abs(pc.cast(table[column.name], pa.float64(), safe=False))
            largest = pc.max(values.filter(pc.invert(pc.is_nan(values)))).as_py()
            if largest is not None and largest > LARGEST:
                raise ValueError(f'{largest:g} in the column {column.name!r}')


def people_and_moments(folder: Path) -> tuple[int, int]:
    """Number of people and of moments of the analysis in a folder; (0, 0) if there is no complete one."""
    try:
        content = read_json(folder / MAIN_FILE)
        return len(content['people']), len(content['moments'])
    except (RunError, KeyError, TypeError):
        return 0, 0


def named(table: pa.Table, identity: Mapping[str, str], least_parts: int = 0, times: int = 0) -> pa.Table:
    """The table with the columns that identify the recording: file first; part1, part2, … and sha256 later.

    Args:
        table: rows about one recording.
        identity: as `Source.identity`.
        least_parts: minimum number of columns part1, part2, ….
        times: number of the first columns that stay right after file.
    """
    parts = [f'part{number}' for number in range(1, least_parts + 1)]
    parts += [name for name in identity if name not in ('file', *parts, 'sha256')]
    for index, name in enumerate((*parts, 'sha256'), times):
        table = table.add_column(index, name, _repeated(identity.get(name, ''), table.num_rows))
    return table.add_column(0, 'file', _repeated(identity['file'], table.num_rows))


def unnamed(table: pa.Table) -> pa.Table:
    """The table without the columns that `named` adds."""
    return table.drop_columns([name for name in table.column_names if _IDENTITY.fullmatch(name)])


def _repeated(text: str, times: int) -> pa.Array:
    return pa.repeat(text_scalar(storable(text)), times)


def write_images(folder: Path, images: Mapping[int, bytes], earlier_count: int) -> None:
    """Writes JPEG files named by number, and removes those of `earlier_count` earlier ones that are not replaced."""
    for number in range(1, earlier_count + 1):
        if number not in images:
            (folder / f'{number}.jpg').unlink(missing_ok=True)
    for number, content in images.items():
        write_atomically(folder / f'{number}.jpg', content)


def read_image(folder: Path, number: int) -> bytes | None:
    """The bytes of one image; None if it was not kept."""
    path = folder / f'{number}.jpg'
    if not path.is_file():
        return None
    try:
        if folder.is_symlink():
            raise OSError('in a folder that is a link, which affekt never writes')
        content = read_regular_file(_regular_file(path))
    except OSError as error:
        raise RunError(expected='an image', came=f'{path}: {error.strerror or error}', todo=ANALYZE_AGAIN) from error
    return content if content.startswith(b'\xff\xd8') else None


def _regular_file(path: Path) -> Path:
    """The path, if it is a regular file inside the folder, which may come from anybody.

    Raises:
        OSError: it is a link, a pipe or a device, or is not there.
    """
    if path.is_symlink():
        raise OSError('a link, which affekt never writes')
    require_regular_file(path)
    return path


@contextlib.contextmanager
def holds_together(name: str) -> Iterator[None]:
    """Turns errors caused by the content of a damaged or invented analysis into a RunError.

    Args:
        name: of the analysis or its folder, for the message.

    Raises:
        RunError: in place of such an error.
    """
    try:
        yield
    except RunError:
        raise
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, StopIteration, TypeError,
        ValueError, pa.ArrowException,
    ) as error:  # fmt: skip
        raise RunError(
            expected='an analysis that holds together', came=f'{name}: {brief(str(error))}', todo=ANALYZE_AGAIN
        ) from error
