"""A stream's rows so far, on disk: they are written as they arrive, so that a kill costs at most a second.

A folder holds one Arrow stream per table (`faces`, `frames`, `turns`, `voice`), the words as JSON lines, and metadata
of the source. Arrow streams that end within a batch are read up to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from affekt.errors import RunError
from affekt.files import LOG, only_regular, read_regular_file, storage_error
from affekt.text import Utterance
from affekt.typed_json import plain, typed

FRAMES = pa.schema([
    ('time_s', pa.float64()), ('latency_s', pa.float32()), ('faces', pa.int16()), ('dropped', pa.int64()),
])  # fmt: skip
"""One row per frame read: time, latency, number of faces, frames dropped so far."""
TABLES = ('faces', 'frames', 'turns', 'voice')
SOURCE_FILE = 'source.json'
WORDS_FILE = 'words.jsonl'
UNFINISHED = '.live-'
"""Prefix of folders with unsaved rows; the process id, or the next free number, follows."""
_FOLDER = re.compile(rf'{re.escape(UNFINISHED)}\d+')
_FILES = re.compile(rf'({"|".join(TABLES)})(\.\d+)?\.arrows|{re.escape(SOURCE_FILE)}(\.new)?|{re.escape(WORDS_FILE)}')


@dataclass(frozen=True)
class Streamed:
    """Metadata of a stream.

    Attributes:
        name: name of the source.
        started: date and time of the first reading, ISO 8601 with the offset from UTC.
        settings: settings of the stream, as JSON values.
        path: path of the file, if the source is one; else ''.
        kind: 'video', or 'audio' without video.
        width, height: size of the frames in pixels; 0 before the first.
        rate_hz: declared frames per second; 0 if undeclared.
        had_sound: whether audio was requested.
    """

    name: str
    started: str
    settings: Mapping[str, Any]
    path: str = ''
    kind: str = 'video'
    width: int = 0
    height: int = 0
    rate_hz: float = 0.0
    had_sound: bool = False


class Journal:
    """Writes a stream's rows; safe for several threads.

    Args:
        folder: folder of the journal, created if missing.

    Raises:
        StorageError: the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._writers: dict[str, tuple[Any, Any]] = {}
        self._parts: dict[str, int] = {}
        self._is_closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, folder) from error

    def begin(self, streamed: Streamed) -> None:
        """Writes the metadata of the stream; may be called again when more is known."""
        path = self.folder / SOURCE_FILE
        temporary = path.with_name(f'{SOURCE_FILE}.new')
        try:
            temporary.write_bytes(json.dumps(plain(asdict(streamed))).encode())
            temporary.replace(
                path
            )  # no fsync: the system's cache survives this process, and waiting would delay frames
        except OSError as error:
            raise storage_error(error, path) from error

    def write(self, name: str, rows: pa.Table) -> None:
        """Appends rows to one of TABLES; they survive this process.

        Raises:
            StorageError: the folder cannot be written, as on a full disk.
        """
        if not rows.num_rows:
            return
        with self._lock:
            if self._is_closed:
                return
            path = _part(self.folder, name, self._parts.setdefault(name, 0))
            try:
                if name not in self._writers:
                    file = pa.OSFile(str(path), 'wb')
                    self._writers[name] = file, pa.ipc.new_stream(file, rows.schema)
                self._writers[name][1].write_table(rows.combine_chunks())
            except BaseException as error:  # Ctrl-C too: rows after half a batch go to a new file
                self._parts[name] += path.exists()
                self._writers.pop(name, None)
                if isinstance(error, OSError):
                    raise storage_error(error, path) from error
                raise

    def add_words(self, utterance: Utterance) -> None:
        """Appends the words of a turn."""
        path = self.folder / WORDS_FILE
        with self._lock:
            try:
                with path.open('a', encoding='utf-8') as lines:
                    lines.write(json.dumps(plain(utterance)) + '\n')
            except OSError as error:
                raise storage_error(error, path) from error

    def close(self) -> None:
        """Closes the streams; nothing more can be written."""
        with self._lock:
            self._is_closed = True
            for file, writer in self._writers.values():
                with contextlib.suppress(OSError, pa.ArrowException):  # on a full disk, earlier rows are kept
                    writer.close()
                    file.close()
            self._writers.clear()


def is_journal(folder: Path) -> bool:
    """Whether a folder was made by `Journal`, judged by its name and all its content; only such folders are removed.

    A folder with anything else in it does not qualify, which a warning says.
    """
    if not _FOLDER.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    foreign_names = sorted(
        path.name for path in folder.iterdir() if not (_FILES.fullmatch(path.name) and path.is_file())
    )
    if foreign_names and (folder / SOURCE_FILE).is_file():
        LOG.warning(
            'the stream that was cut off in %s is not finished: its folder also holds %s; move that elsewhere, and '
            'stream into the run again',
            folder,
            ', '.join(foreign_names[:3]),
        )
    return not foreign_names


def read_source(folder: Path) -> Streamed:
    """The metadata of a journal's stream.

    Raises:
        RunError: the folder holds no journal.
    """
    try:
        streamed: Streamed = typed(Streamed, json.loads(read_regular_file(folder / SOURCE_FILE)))
        return streamed
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise RunError(
            expected=f'the {SOURCE_FILE} of a stream', came=f'{folder}: {error}', todo='read the stream again'
        ) from error


def read_rows(folder: Path, name: str, schema: pa.Schema) -> pa.Table:
    """The completely written rows of one table; an empty table of `schema` if there are none."""
    batches: list[pa.RecordBatch] = []
    part = 0
    while (path := _part(folder, name, part)).is_file():
        part += 1
        try:
            with pa.OSFile(str(path), 'rb') as file, pa.ipc.open_stream(file) as stream:
                while True:
                    batches.append(stream.read_next_batch())
        except (StopIteration, pa.ArrowException, OSError):  # the end, or a batch that a kill cut
            pass
    return pa.Table.from_batches(batches) if batches else schema.empty_table()


def _part(folder: Path, name: str, number: int) -> Path:
    """The file of a table's rows; a second one only where writing to the first was broken off."""
    return folder / (f'{name}.{number}.arrows' if number else f'{name}.arrows')


def read_words(folder: Path) -> list[Utterance]:
    """The completely written utterances."""
    path = folder / WORDS_FILE
    utterances = []
    for line in path.read_text(encoding='utf-8').splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError, TypeError, LookupError):  # the line that a kill cut
            utterances.append(typed(Utterance, json.loads(line)))
    return utterances


def digest_of(folder: Path) -> str:
    """The sha256 of a journal's content, which identifies the stream."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b'\0')
        with open(path, 'rb', opener=only_regular) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
