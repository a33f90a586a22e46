"""A run folder: settings, seed, versions, input hashes, a journal, and atomic writes.

A run survives `kill -9` at any moment: a result is written under a temporary name, flushed, renamed, and only then
noted in the journal. `Run.finished(key)` is true only for a result that is wholly on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from affekt.errors import AffektError, FileError, RunError

SETTINGS = 'settings.json'
JOURNAL = 'journal.jsonl'
RECORDED_PACKAGES = (
    'affekt', 'numpy', 'av', 'onnxruntime', 'ai-edge-litert', 'ctranslate2', 'pyarrow', 'torch', 'transformers',
)  # fmt: skip


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part."""
    with file_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def file_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears under `path` whole, or not at all; an older one is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}-')
    try:
        with os.fdopen(handle, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A new folder that appears under `path` whole, or not at all; an older one is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f'.{path.name}-'))
    try:
        yield staging
        os.chmod(staging, 0o777 & ~_umask())
        if path.exists():
            aside = path.with_name(f'.{path.name}-old-{os.getpid()}')
            os.replace(path, aside)
            os.replace(staging, path)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_regular_file(path: str | os.PathLike[str]) -> os.stat_result:
    """What the system says of a regular file, links followed; for readers that open a path by themselves.

    Opening a pipe waits for its writer, and opening a device may set it going, so this comes before the first byte.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: nothing is there, or it may not be looked at.
    """
    return _regular(os.stat(path), path)


def only_regular(path: str, flags: int) -> int:
    """The `opener` of `open(path, 'rb', opener=only_regular)`: opens regular files, and nothing else even for a moment.

    What is looked at before may be swapped before it is opened: so opening never waits, and what was opened is looked
    at again.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: nothing is there, or it may not be opened.
    """
    require_regular_file(path)
    handle = os.open(path, flags | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_NOCTTY', 0))
    try:
        _regular(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _regular(status: os.stat_result, path: str | os.PathLike[str]) -> os.stat_result:
    """The status, where it is that of a regular file."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return status
    came = next((what for is_it, what in _OTHERS.items() if is_it(mode)), 'something else')
    todo = 'name a file in it' if stat.S_ISDIR(mode) else 'save what comes out of it to a file first'
    raise FileError(expected='a regular file', came=f'the {came} {os.fspath(path)!r}', todo=todo)


_OTHERS: Mapping[Callable[[int], bool], str] = {
    stat.S_ISDIR: 'folder',
    stat.S_ISFIFO: 'pipe',
    stat.S_ISSOCK: 'socket',
    stat.S_ISCHR: 'device',
    stat.S_ISBLK: 'device',
}


def read_regular_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: nothing is there, or it may not be read.
    """
    with open(path, 'rb', opener=only_regular) as file:
        return file.read()


def file_sha256(path: Path) -> str:
    """The sha256 of a regular file, read in pieces.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
    """
    with open(path, 'rb', opener=only_regular) as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a result."""
    found = {'python': sys.version.split()[0]}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class Entry:
    """One line of the journal: what was finished, where it lies, and facts about it."""

    key: str
    folder: str
    facts: Mapping[str, Any]


class Run:
    """A folder of results that one process at a time may add to.

    Args:
        folder: created where missing.
        settings: what the results depend on; a resumed run must have the same.
        resume: go on in a folder that already holds a run.

    Raises:
        RunError: the folder holds something else, another run without `resume`, a run with other settings, or is in
            use by another process.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool = False) -> None:
        self.folder = folder
        self._lock: IO[str] | None = None
        wanted = json.loads(json.dumps(dict(settings)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                expected='a folder that can be written',
                came=f'{folder}: {error.strerror}',
                todo='choose another --out',
            ) from error
        in_use = RunError(
            expected='a run that no other process is writing',
            came=f'{folder} in use',
            todo='wait for it, or choose another --out',
        )
        self._lock = locked(folder, in_use)
        try:
            self._begin(wanted, resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, wanted: dict[str, Any], resume: bool) -> None:
        path = self.folder / SETTINGS
        if path.exists():
            if not resume:
                raise RunError(
                    expected='a new folder',
                    came=f'a run in {self.folder}',
                    todo='add --resume to go on with it, or choose another --out',
                )
            held = _read_json(path).get('settings')
            if held != wanted:
                differing = sorted(k for k in {*(held or {}), *wanted} if (held or {}).get(k) != wanted.get(k))
                raise RunError(
                    expected='the settings of the run that is resumed',
                    came=f'other values for {", ".join(differing)}',
                    todo='use the same options, or choose another --out',
                )
        else:
            strangers = [p.name for p in self.folder.iterdir() if not p.name.startswith('.')]
            if strangers:
                raise RunError(
                    expected='an empty folder or a run',
                    came=f'{self.folder} with {len(strangers)} other entries ({strangers[0]}, …)',
                    todo='choose another --out',
                )
            text = json.dumps({'settings': wanted, 'versions': versions()}, indent=2, sort_keys=True)
            write_atomically(path, text.encode())
        for leftover in self.folder.glob('.*-*'):  # results that a killed run did not finish
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        self._entries = {entry.key: entry for entry in read_journal(self.folder)}

    def finished(self, key: str) -> Entry | None:
        """The journal's entry for `key`, where its result is on disk."""
        entry = self._entries.get(key)
        return entry if entry and (self.folder / entry.folder).exists() else None

    def note(self, key: str, folder: str, **facts: Any) -> None:
        """Put a finished result in the journal; on disk when this returns."""
        line = json.dumps({'key': key, 'folder': folder, **facts}, sort_keys=True)
        with (self.folder / JOURNAL).open('ab') as journal:
            if journal.tell() and not _ends_with_newline(self.folder / JOURNAL):
                journal.write(b'\n')  # the line before was cut by a kill
            journal.write(line.encode() + b'\n')
            journal.flush()
            os.fsync(journal.fileno())
        self._entries[key] = Entry(key, folder, facts)

    def close(self) -> None:
        """Let other processes use the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_journal(folder: Path) -> Iterator[Entry]:
    """The entries of a run's journal; a last line cut by a kill is left out."""
    path = folder / JOURNAL
    if not path.exists():
        return
    for line in read_regular_file(path).decode(errors='replace').splitlines():
        try:
            facts = json.loads(line)
            key, place = facts.pop('key'), facts.pop('folder')
        except (json.JSONDecodeError, AttributeError, KeyError):
            continue
        yield Entry(key, place, facts)


def read_settings(folder: Path) -> dict[str, Any]:
    """What `settings.json` of a run holds.

    Raises:
        RunError: there is no run in the folder.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise RunError(
            expected='a run folder',
            came=f'{folder} without {SETTINGS}',
            todo='give the folder that analyze printed',
        )
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(read_regular_file(path).decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(
            expected=f'readable JSON in {path.name}', came=f'{error}', todo='choose another run folder'
        ) from error
    return held if isinstance(held, dict) else {}


def _ends_with_newline(path: Path) -> bool:
    with path.open('rb') as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b'\n'


def locked(folder: Path, in_use: AffektError) -> IO[str] | None:
    """An advisory lock on a folder, which the system drops when the process dies, however it dies.

    Args:
        folder: that exists.
        in_use: raised where another process holds the lock.

    Returns:
        A file to close when done; None on systems without such locks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    lock = (folder / '.lock').open('w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise in_use from error
    return lock
