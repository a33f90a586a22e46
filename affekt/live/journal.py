"""What a stream has given so far, on disk: rows are written as they come, so that a kill costs a second at most.

A folder holds an Arrow stream a table (`faces`, `frames`, `turns`, `voice`), the words as JSON lines, and what is known
of the source. Streams that end in the middle of a batch are read up to it.
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
"""One row per frame that was read: when, how late, how many faces it shows, how many frames were dropped so far."""
TABLES = ('faces', 'frames', 'turns', 'voice')
SOURCE_FILE = 'source.json'
WORDS_FILE = 'words.jsonl'
UNFINISHED = '.live-'
"""How the folders of rows begin that are no result yet; the number of the process follows."""
_FOLDER = re.compile(rf'{re.escape(UNFINISHED)}\d+')
_FILES = re.compile(rf'({"|".join(TABLES)})(\.\d+)?\.arrows|{re.escape(SOURCE_FILE)}(\.new)?|{re.escape(WORDS_FILE)}')


@dataclass(frozen=True)
class Streamed:
    """What is known of a stream beside its rows.

    Attributes:
        name: of the source.
        started: date and time of the first reading, ISO 8601 with the offset from UTC.
        settings: of the stream, as JSON has them.
        path: of the file, where the source is one; '' else.
        kind: 'video', or 'audio' where no pictures come.
        width, height: of the pictures, pixels; 0 before the first.
        rate_hz: pictures a second that the source states; 0 where it does not.
        had_sound: whether sound was to be heard.
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
    """Writes what a stream gives; several threads may.

    Args:
        folder: made where missing.
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
        """Says what the rows are about; may be said again when more is known."""
        path = self.folder / SOURCE_FILE
        new = path.with_name(f'{SOURCE_FILE}.new')
        try:
            new.write_bytes(json.dumps(plain(asdict(streamed))).encode())
            new.replace(path)  # what the system has survives this process: waiting for the disk would hold up frames
        except OSError as error:
            raise storage_error(error, path) from error

    def write(self, name: str, rows: pa.Table) -> None:
        """Appends rows to one of TABLES; what is written survives this process.

        Raises:
            StorageError: there is no room.
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
            except BaseException as error:  # Ctrl-C too: what comes after half a batch goes to a file of its own
                self._parts[name] += 1
                self._writers.pop(name, None)
                if isinstance(error, OSError):
                    raise storage_error(error, path) from error
                raise

    def add_words(self, utterance: Utterance) -> None:
        """Appends what was said in a turn."""
        path = self.folder / WORDS_FILE
        with self._lock:
            try:
                with path.open('a', encoding='utf-8') as lines:
                    lines.write(json.dumps(plain(utterance)) + '\n')
            except OSError as error:
                raise storage_error(error, path) from error

    def close(self) -> None:
        """Ends the streams; nothing more is written."""
        with self._lock:
            self._is_closed = True
            for file, writer in self._writers.values():
                with contextlib.suppress(OSError, pa.ArrowException):  # on a full disk the rows so far are there
                    writer.close()
                    file.close()
            self._writers.clear()


def is_journal(folder: Path) -> bool:
    """Whether a folder is one that `Journal` fills, by its name and by all that lies in it: only such are removed.

    A stream's folder that holds something else as well is no such folder, which a warning says.
    """
    if not _FOLDER.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    strangers = sorted(path.name for path in folder.iterdir() if not (_FILES.fullmatch(path.name) and path.is_file()))
    if strangers and (folder / SOURCE_FILE).is_file():
        LOG.warning(
            'the stream that was cut off in %s is not finished: its folder also holds %s; move that elsewhere, and '
            'stream into the run again',
            folder,
            ', '.join(strangers[:3]),
        )
    return not strangers


def read_source(folder: Path) -> Streamed:
    """What a journal's rows are about.

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
    """The rows of one table, as far as they were written whole; none of `schema` where there are none."""
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
    """What was said, as far as it was written whole."""
    path = folder / WORDS_FILE
    utterances = []
    for line in path.read_text(encoding='utf-8').splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError, TypeError, LookupError):  # the line that a kill cut
            utterances.append(typed(Utterance, json.loads(line)))
    return utterances


def digest_of(folder: Path) -> str:
    """The sha256 of what a journal holds: what tells one stream from another."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b'\0')
        with open(path, 'rb', opener=only_regular) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
