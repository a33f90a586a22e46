"""Cache of answers: no stored answer is requested again, even after a kill.

A folder has `journal.jsonl`, one line per answer, on disk before the answer is used, and `index.sqlite` with the
position of each answer in the journal. The journal is authoritative: a lost, damaged or older index is rebuilt from it,
and a last line cut by a kill is ignored. A question in progress at a kill is asked again.

    chat = RememberingChat(Endpoint('http://localhost:8000/v1', 'qwen'), ReplayCache(Path('answers')))
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from affekt.errors import LLMError, StorageError
from affekt.files import only_regular, storage_error
from affekt.llm.chat import Chat, Reply, Request
from affekt.runs import LOCK, locked

JOURNAL = 'journal.jsonl'
INDEX = 'index.sqlite'
LONGEST_KEPT = 20_000
"""Maximum characters of a question's text in the journal; of longer ones (images) it has length and sha256."""


class ReplayCache:
    """A folder of answers; for one process at a time, with any number of threads.

    Args:
        folder: created if missing.

    Raises:
        LLMError: the index cannot be made, or another process is using the folder.
        StorageError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.Lock()
        in_use = LLMError(
            expected='a folder for answers that no other process is using',
            came=f'{folder} in use',
            todo='wait for it, or choose another --cache',
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _require_answers(folder)
            self._lock = locked(folder, in_use)
            self._journal = (folder / JOURNAL).open('a+b')
        except OSError as error:
            raise storage_error(error, folder) from error
        try:
            self._index = self._opened_index()
        except BaseException:
            self._journal.close()
            self._lock.close()
            raise

    def _opened_index(self) -> sqlite3.Connection:
        """The index, updated to the journal's end; rebuilt if it is damaged or of another journal."""
        path = self.folder / INDEX
        for is_last in (False, True):
            try:
                index = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                try:
                    index.execute('CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, start INTEGER NOT NULL)')
                    index.execute('CREATE TABLE IF NOT EXISTS read_to (size INTEGER NOT NULL)')
                    self._index = index
                    self._catch_up()
                    return index
                except BaseException:
                    index.close()
                    raise
            except (sqlite3.DatabaseError, _IndexOfAnotherJournal) as error:
                if getattr(error, 'sqlite_errorcode', None) == sqlite3.SQLITE_FULL:
                    no_room = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
                    raise storage_error(no_room) from error
                if is_last:
                    raise LLMError(
                        expected='an index that can be made',
                        came=f'{path}: {error}',
                        todo='choose another --cache',
                    ) from error
                for ending in ('', '-journal', '-wal', '-shm'):
                    (self.folder / f'{INDEX}{ending}').unlink(missing_ok=True)
        raise AssertionError('unreachable')

    def _catch_up(self) -> None:
        """Add the journal's new lines to the index."""
        (indexed,) = self._index.execute('SELECT COALESCE(MAX(size), 0) FROM read_to').fetchone()
        last = self._index.execute('SELECT key, start FROM answers ORDER BY start DESC LIMIT 1').fetchone()
        size = self._journal.seek(0, os.SEEK_END)
        if indexed > size or (last and (_parsed(self._line(last[1])) or {}).get('key') != last[0]):
            raise _IndexOfAnotherJournal('it is of another journal')
        with _transaction(self._index):
            start = indexed
            for line in _whole_lines(self._journal, indexed):
                entry = _parsed(line)
                if entry:
                    self._index.execute('INSERT OR IGNORE INTO answers VALUES (?, ?)', (entry['key'], start))
                start += len(line)
            self._index.execute('DELETE FROM read_to')
            self._index.execute('INSERT INTO read_to VALUES (?)', (start,))
        if start < size:  # a line cut by a kill: end it, so that the next one starts a new line
            self._journal.write(b'\n')
            self._journal.flush()

    def find(self, key: str) -> Reply | None:
        """The stored answer; None if there is none."""
        with self._guard:
            row = self._index.execute('SELECT start FROM answers WHERE key = ?', (key,)).fetchone()
            entry = _parsed(self._line(row[0])) if row else None
        return Reply(**entry['reply']) if entry and entry['key'] == key else None

    def keep(self, key: str, model: str, request: Request, reply: Reply) -> None:
        """Store an answer; on disk when this returns."""
        entry = {
            'key': key,
            'model': model,
            'prompt_version': request.prompt_version,
            'request': _shortened(request.body()),
            'reply': asdict(reply),
            'at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        }
        line = json.dumps(entry, sort_keys=True).encode() + b'\n'
        with self._guard:
            start = self._journal.seek(0, os.SEEK_END)
            try:
                _append(self._journal.fileno(), line, start)
            except OSError as error:
                raise storage_error(error, self.folder / JOURNAL) from error
            try:
                with _transaction(self._index):
                    self._index.execute('INSERT OR REPLACE INTO answers VALUES (?, ?)', (key, start))
                    self._index.execute('UPDATE read_to SET size = ?', (start + len(line),))
            except sqlite3.OperationalError as error:  # the journal has the answer for the next run
                raise StorageError(
                    expected='space for the index of answers', came=f'{self.folder / INDEX}: {error}',
                    todo='free some space, then run the same command again',
                ) from error  # fmt: skip

    def __len__(self) -> int:
        with self._guard:
            return int(self._index.execute('SELECT COUNT(*) FROM answers').fetchone()[0])

    def _line(self, start: int) -> bytes:
        self._journal.seek(start)
        return self._journal.readline()

    def close(self) -> None:
        """Release the folder; an answer being stored is completed."""
        with self._guard:
            self._index.close()
            self._journal.close()
            self._lock.close()

    def __enter__(self) -> ReplayCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            with contextlib.suppress(sqlite3.Error):
                count = len(self)
                error.add_note(f'{count:,} {"answer is" if count == 1 else "answers are"} kept in {self.folder}')
        self.close()


class RememberingChat:
    """A chat that asks each question once; equal concurrent questions wait for one answer.

    Args:
        chat: the model to ask.
        cache: the cache of answers.
        clock: clock in seconds, for timing answers.
    """

    def __init__(self, chat: Chat, cache: ReplayCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._chat, self._cache, self._clock = chat, cache, clock
        self.asked = 0
        """Number of questions that were asked, as opposed to found in the cache."""
        self._guard = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._chat.model

    def ask(self, request: Request) -> Reply:
        """The stored answer, or a new one, which is then stored.

        Raises:
            LLMError: there was no answer; nothing is stored.
        """
        key = request.key(self.model)
        with self._guard:
            turn = self._asking.setdefault(key, threading.Lock())
        try:
            with turn:
                reply = self._cache.find(key)
                if reply is None:
                    started = self._clock()
                    reply = self._chat.ask(request)
                    reply = replace(reply, seconds=round(self._clock() - started, 4))
                    self._cache.keep(key, self.model, request, reply)
                    self._count()
        finally:
            with self._guard:
                self._asking.pop(key, None)
        return reply

    def _count(self) -> None:
        with self._guard:
            self.asked += 1


class NobodyToAsk:
    """A chat without a model, for runs on stored answers only: every new question is an error.

    Args:
        model: the model name of the stored answers.
        folder: folder of answers, for the message.
    """

    def __init__(self, model: str, folder: Path) -> None:
        self.model = model
        """The name under which answers are cached."""
        self._folder = folder

    def ask(self, request: Request) -> Reply:
        """Always raises.

        Raises:
            LLMError: always.
        """
        question = str(request.messages[-1]['content'])
        raise LLMError(
            expected=f'all answers of {self.model} in {self._folder}',
            came=f'none to {request.prompt_version} {request.key(self.model)[:12]}, {len(question)} characters long',
            todo='ask the model (without --replay), or replay with the input and options of the earlier run',
        )


def _require_answers(folder: Path) -> None:
    """Check that existing files are a cache: a journal of answers, and its index.

    Raises:
        LLMError: another file has such a name and would be overwritten.
    """
    journal, index = folder / JOURNAL, folder / INDEX
    is_ours = False
    if journal.exists() and journal.stat().st_size:
        with open(journal, 'rb', opener=only_regular) as file:
            is_ours = any(_parsed(line) for line in _whole_lines(file, 0))
            file.seek(0)
            is_ours |= file.read(1) == b'{' and not next(_whole_lines(file, 0), None)  # cut by a kill in its first line
        if not is_ours:
            raise _of_another(journal)
    # if both exist, an unreadable index may come from a kill
    is_ours |= journal.exists() and (folder / LOCK).exists()
    if index.exists() and index.stat().st_size and not is_ours and not _is_index(index):
        raise _of_another(index)


def _is_index(path: Path) -> bool:
    """Whether a SQLite file holds the tables of an index, and no others."""
    try:
        with contextlib.closing(sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro', uri=True)) as opened:
            names = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return False
    return names <= {'answers', 'read_to'}


def _of_another(path: Path) -> LLMError:
    return LLMError(
        expected='a folder of answers, or an empty one', came=f'{path}, which is another file',
        todo='choose another --cache',
    )  # fmt: skip


class _IndexOfAnotherJournal(Exception):
    """The index does not belong to the journal beside it."""


@contextlib.contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    index.execute('BEGIN')
    try:
        yield
    except BaseException:
        index.execute('ROLLBACK')
        raise
    index.execute('COMMIT')


def _append(handle: int, line: bytes, size: int) -> None:
    """Append a line to a file of that size, on disk when this returns; after an error the file is unchanged."""
    try:
        written = 0
        while written < len(line):
            written += os.write(handle, line[written:])
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _whole_lines(journal: IO[bytes], start: int) -> Iterator[bytes]:
    """Yield the lines from an offset on, with their line ends; a last line without one is left out."""
    journal.seek(start)
    while (line := journal.readline()).endswith(b'\n'):
        yield line


def _parsed(line: bytes) -> dict[str, Any] | None:
    """An entry of the journal; None if the line is damaged."""
    try:
        entry = json.loads(line)
        Reply(**entry['reply'])
        return entry if isinstance(entry['key'], str) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _shortened(content: Any) -> Any:
    """The content of a request with long texts replaced by their length and sha256."""
    if isinstance(content, str):
        if len(content) <= LONGEST_KEPT:
            return content
        return (
            f'{len(content)} characters, sha256 {hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()}'
        )
    if isinstance(content, dict):
        return {key: _shortened(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_shortened(part) for part in content]
    return content
