"""Files and folders that appear whole or not at all, regular files alone read, one sentence where neither can be done.

What is being written for `clip.csv` lies beside it as `.clip.csv.affekt-part`. A kill may leave that one name behind,
and nothing else: the next writing of the same file takes it over. Nothing is ever searched for and deleted by a
pattern, since what matches a pattern may belong to somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from affekt.errors import AffektError, FileError, StorageError

LOG = logging.getLogger('affekt')
PART = '.affekt-part'
OLD = '.affekt-old'
LONGEST_NAME = 200
"""Bytes of a file's name that leave room for what `part_of` adds; most systems allow 255."""
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
"""Errors that only a writer meets."""


def part_of(path: Path, ending: str = PART, *, keeps_suffix: bool = False) -> Path:
    """Where what is written for `path` lies until it is whole.

    Args:
        path: the file or folder.
        ending: what marks the name as ours.
        keeps_suffix: the name ends as that of `path` does, for writers that choose a format by it.
    """
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32] + path.suffix[:16]
    return path.with_name(f'.{name}{ending}{path.suffix[:16] if keeps_suffix else ""}')


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part.

    Raises:
        StorageError: it cannot be written there; the old content is still there.
    """
    with file_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def file_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears under `path` whole, or not at all; an older one is replaced.

    Raises:
        StorageError: it cannot be written there.
    """
    with _published(path, keeps_suffix=False) as (_, handle), os.fdopen(handle, 'wb', closefd=False) as file:
        yield file


@contextlib.contextmanager
def place_atomically(path: Path) -> Iterator[Path]:
    """The same for writers that want a path with the right suffix instead of an open file."""
    with _published(path, keeps_suffix=True) as (part, _):
        yield part


def require_writable(path: Path) -> None:
    """Make sure that a file can be written under `path`, before what it will hold is paid for.

    Raises:
        StorageError: it cannot, as where its name is too long or a folder has it.
    """
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        part, handle = _taken(part_of(path))
        os.close(handle)
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _published(path: Path, *, keeps_suffix: bool) -> Iterator[tuple[Path, int]]:
    """An empty file beside `path`, open; it gets its name when the block ends well."""
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part, handle = _taken(part_of(path, keeps_suffix=keeps_suffix))
    try:
        try:
            with explained_where_full(path):
                yield part, handle
                os.fsync(handle)
            if os.name == 'nt':  # where a file that is open cannot be renamed
                os.close(handle)
                handle = -1
            with _explained(path):
                os.chmod(part, 0o666 & ~_umask())
                os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    finally:
        if handle >= 0:
            os.close(handle)


def _taken(part: Path) -> tuple[Path, int]:
    """The part as an empty file that nobody else writes; another name where somebody does, or where it is no file.

    The lock goes with the process, so a part that a kill left is free.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0)
    try:
        import fcntl

        handle = os.open(part, flags | getattr(os, 'O_CLOEXEC', 0), 0o600)
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ELOOP, errno.EACCES, errno.EISDIR, errno.ENXIO):
            raise
        return _another(part)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(handle)
        is_ours = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if is_ours and os.stat(part, follow_symlinks=False).st_ino == status.st_ino:
            os.ftruncate(handle, 0)
            return part, handle
    except OSError:
        pass
    os.close(handle)
    return _another(part)


def _another(part: Path) -> tuple[Path, int]:
    """A new name beside a part that is taken."""
    handle, name = tempfile.mkstemp(dir=part.parent, prefix=f'{part.stem}-', suffix=part.suffix)
    return Path(name), handle


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A new folder that appears under `path` whole, or not at all; for one process at a time.

    An older folder is replaced; where it holds files that the new one does not, it is kept as `NAME.old`.

    Raises:
        StorageError: it cannot be written there.
    """
    staging, aside = part_of(path), part_of(path, OLD)
    if os.path.lexists(path) and not path.is_dir():
        raise StorageError(
            expected=f'room for a folder at {path}', came='a file of that name', todo='choose another name'
        )
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if staging.is_dir() and not staging.is_symlink():
            shutil.rmtree(staging)  # what a kill left
        staging.mkdir()
    try:
        with explained_where_full(path):
            yield staging
        with _explained(path):
            if os.path.lexists(path) and not os.path.lexists(aside):
                os.replace(path, aside)
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if os.path.lexists(aside):
        _retire(aside, path)


def _retire(old: Path, new: Path) -> None:
    """Remove an older folder, unless something in it has no namesake in the new one."""
    if old.is_symlink() or not old.is_dir():
        old.unlink(missing_ok=True)
        return
    if set(files_below(old)) <= set(files_below(new)):
        shutil.rmtree(old, ignore_errors=True)
        return
    kept = new.with_name(f'{new.name}.old')
    number = 1
    while os.path.lexists(kept):
        number += 1
        kept = new.with_name(f'{new.name}.old-{number}')
    with _explained(kept):
        os.replace(old, kept)
    LOG.warning('%s was made anew; what was there is kept in %s', new, kept)


def files_below(folder: Path) -> list[str]:
    """The files in a folder and its folders, as paths from it, without parts of ours."""
    paths = []
    for top, _, names in os.walk(folder):
        paths += [os.path.relpath(os.path.join(top, name), folder) for name in names if PART not in name]
    return sorted(paths)


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


def require_room_for_folder(path: Path) -> None:
    """Refuse a place where something that is no folder stands, before long work whose results go there.

    Raises:
        StorageError: a file, a pipe, a device or a link to nothing stands there.
    """
    if not path.is_dir() and (path.exists() or path.is_symlink()):
        raise storage_error(FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)))


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


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Every error of the system within the block is one on writing `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


@contextlib.contextmanager
def explained_where_full(path: Path) -> Iterator[None]:
    """Within the block somebody else's code writes `path`: what only a writer meets is an error on writing it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, AffektError) or error.errno not in NO_ROOM:
            raise
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path | None = None) -> AffektError:
    """What a person can do about an error of the system, with the path that it is about.

    Args:
        error: as the system raised it; one of ours is returned as it is.
        path: that was written or read; None for the one that the error names.
    """
    if isinstance(error, AffektError):
        return error
    named = path if path is not None else error.filename
    where = f'{os.fsdecode(named)}: ' if isinstance(named, (str, bytes, os.PathLike)) else ''
    reason = error.strerror or str(error) or type(error).__name__
    expected, todo = _ADVICE.get(error.errno or 0, ('a place that can be used', 'check the path, or choose another'))
    if error.errno == errno.ENAMETOOLONG:
        where = f'{where[:60]}…: '
    return StorageError(expected=expected, came=f'{where}{reason}', todo=todo)


_GO_ON = 'then give the same command again; where it has --resume, with it'
_ADVICE = {
    errno.ENOSPC: ('room on the disk', f'make room, {_GO_ON}'),
    errno.EDQUOT: ('room within your quota', f'remove what you do not need, {_GO_ON}'),
    errno.EFBIG: ('files that may grow so large', f'raise the limit (`ulimit -f`) or choose another disk, {_GO_ON}'),
    errno.EROFS: ('a disk that can be written', 'choose a place on another disk'),
    errno.EACCES: ('a place that you may use', 'change its rights, or choose another place'),
    errno.EPERM: ('a place that you may use', 'change its rights, or choose another place'),
    errno.ENOENT: ('a path that exists or can be made', 'check the path, or choose another place'),
    errno.ENOTDIR: ('folders along the path', 'a file stands where a folder should be: choose another place'),
    errno.EEXIST: ('a folder', 'a file stands where a folder should be: choose another place'),
    errno.EISDIR: ('a file', 'a folder stands where a file should be: name a file'),
    errno.ENAMETOOLONG: ('a path that the system takes', 'choose a shorter path'),
    errno.EIO: ('a disk that works', f'check the disk, {_GO_ON}'),
    errno.EMFILE: ('few enough open files', 'raise the limit (`ulimit -n`)'),
    errno.ELOOP: ('a path of its own', 'a link stands there, perhaps to itself: choose another place'),
}
