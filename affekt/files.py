"""Atomic writing of files and folders, reading of regular files only, and errors of the system as one sentence.

While `clip.csv` is being written, its content is in `.clip.csv.affekt-part` beside it. A kill may leave this one file
behind, and nothing else: the next writing of the same file takes it over. Nothing is ever searched for and deleted by a
pattern, since a match may belong to another program.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from affekt.errors import AffektError, FileError, StorageError

LOG = logging.getLogger('affekt')
PART = '.affekt-part'
OLD = '.affekt-old'
LONGEST_NAME = 200
"""Bytes of a file name that leave room for what `part_of` adds; most systems allow 255."""
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
"""Error numbers that arise only in writing."""


def user_folder(variable: str, below_home: str) -> Path:
    """The user's folder that an XDG variable names, or the one below the home folder.

    Args:
        variable: such as XDG_CACHE_HOME. A relative path in it is ignored, as the XDG Base Directory Specification
            demands: it would depend on the current folder.
        below_home: such as .cache.

    Raises:
        RuntimeError: the path depends on the home folder, and the user has none.
    """
    value = os.environ.get(variable, '')
    return Path(value) if os.path.isabs(value) else Path.home() / below_home


def require_folder_possible(folder: Path) -> None:
    """Check that a folder can be written, or made: a temporary one is made in its nearest existing parent.

    Raises:
        StorageError: it cannot be.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    try:
        os.rmdir(tempfile.mkdtemp(prefix='.affekt-', dir=existing))
    except OSError as error:
        raise storage_error(error, folder) from error


def part_of(path: Path, ending: str = PART, *, keeps_suffix: bool = False) -> Path:
    """The temporary path of `path` while it is being written.

    Args:
        path: the final file or folder.
        ending: suffix that marks the name as affekt's.
        keeps_suffix: end the name with the suffix of `path`, for writers that choose a format by it.
    """
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32] + path.suffix[:16]
    return path.with_name(f'.{name}{ending}{path.suffix[:16] if keeps_suffix else ""}')


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it.

    Raises:
        StorageError: the file cannot be written; its old content is kept.
    """
    with file_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def file_atomically(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write that appears as `path` when complete, or not at all; an older file is replaced.

    Raises:
        StorageError: the file cannot be written.
    """
    with _published(Path(path), keeps_suffix=False) as (_, handle), os.fdopen(handle, 'wb', closefd=False) as file:
        yield file


@contextlib.contextmanager
def place_atomically(path: str | Path) -> Iterator[Path]:
    """As `file_atomically`, for writers that need a path with the right suffix instead of an open file."""
    with _published(Path(path), keeps_suffix=True) as (part, _):
        yield part


def require_writable(path: str | Path) -> None:
    """Check that a file can be written as `path`, before its content is computed.

    Raises:
        StorageError: it cannot, for example because the name is too long or belongs to a folder.
    """
    path = Path(path)
    with _explained(path):
        _require_no_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part, handle = _locked_part(part_of(path))
        os.close(handle)
        part.unlink(missing_ok=True)


def require_own_output(path: Path, made_from: Iterable[Path | None]) -> None:
    """Check that an output is none of the files from which it is to be made, under this name or another.

    Args:
        path: the output; it need not exist.
        made_from: the files; None for one that was not given.

    Raises:
        FileError: it is one of them.
    """
    for source in made_from:
        is_same = False
        with contextlib.suppress(OSError):  # a file that is missing is refused where it is read
            is_same = source is not None and path.samefile(source)
        if is_same:
            raise FileError(
                expected='an output of its own', came=f'{path}, from which it is to be made', todo='choose another name'
            )


def _require_no_folder(path: Path) -> None:
    """Check that a path to write is no folder; `.` and `/` have no name that a part could get."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))


@contextlib.contextmanager
def _published(path: Path, *, keeps_suffix: bool) -> Iterator[tuple[Path, int]]:
    """An empty, open file beside `path` that is renamed to it when the block succeeds."""
    with _explained(path):
        _require_no_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part, handle = _locked_part(part_of(path, keeps_suffix=keeps_suffix))
    try:
        try:
            with explained_where_full(path):
                yield part, handle
                os.fsync(handle)
            if os.name == 'nt':  # an open file cannot be renamed there
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


def _locked_part(part: Path) -> tuple[Path, int]:
    """The temporary file `part`, emptied and locked; one of another name if a process writes it or it is no file.

    The lock ends with its process, so that a file left by a kill is free.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0)
    try:
        import fcntl

        handle = os.open(part, flags | getattr(os, 'O_CLOEXEC', 0), 0o600)
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ELOOP, errno.EACCES, errno.EISDIR, errno.ENXIO):
            raise
        return _other_part(part)
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
    return _other_part(part)


def _other_part(part: Path) -> tuple[Path, int]:
    """A new temporary file in the folder of one that is in use."""
    handle, name = tempfile.mkstemp(dir=part.parent, prefix=f'{part.stem}-', suffix=part.suffix)
    return Path(name), handle


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A new folder that appears as `path` when complete, or not at all; for one process at a time.

    An older folder is replaced; if it holds files that the new one lacks, it is kept as `NAME.old` (`NAME.old-2`, …).

    Raises:
        StorageError: the folder cannot be written.
    """
    if not path.name:  # `.` and `/`
        raise StorageError(expected='a folder with a name of its own', came=str(path), todo='choose another path')
    staging, previous = part_of(path), part_of(path, OLD)
    if os.path.lexists(path) and not path.is_dir():
        raise StorageError(
            expected=f'room for a folder at {path}', came='a file of that name', todo='choose another name'
        )
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if staging.is_dir() and not staging.is_symlink():
            shutil.rmtree(staging)  # left by a kill
        staging.mkdir()
    try:
        with explained_where_full(path):
            yield staging
        with _explained(path):
            if os.path.lexists(path):
                if os.path.lexists(previous):  # left by a kill after `path` was replaced
                    _retire(previous, path)
                os.replace(path, previous)
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if os.path.lexists(previous):
        _retire(previous, path)


def remove_folder(path: Path) -> None:
    """Remove a folder that a later run would take for its own: it is renamed first, so that a kill leaves no part of it
    under its name. What a kill leaves otherwise is removed by the next call for the same path."""
    renamed = part_of(path)
    shutil.rmtree(renamed, ignore_errors=True)
    try:
        os.replace(path, renamed)
    except OSError:  # it does not exist, or its parent cannot be written
        renamed = path
    shutil.rmtree(renamed, ignore_errors=True)


def _retire(old: Path, new: Path) -> None:
    """Remove an older folder, or rename it if it holds files that the new one lacks."""
    if old.is_symlink() or not old.is_dir():
        old.unlink(missing_ok=True)
        return
    if set(files_below(old)) <= set(files_below(new)):
        shutil.rmtree(old, ignore_errors=True)
        return
    kept_path = new.with_name(f'{new.name}.old')
    number = 1
    while os.path.lexists(kept_path):
        number += 1
        kept_path = new.with_name(f'{new.name}.old-{number}')
    with _explained(kept_path):
        os.replace(old, kept_path)
    LOG.warning('%s was replaced; the older folder is kept in %s', new, kept_path)


def files_below(folder: Path) -> list[str]:
    """The files in a folder and its subfolders, as paths relative to it, without temporary files of affekt."""
    paths = []
    for top, _, names in os.walk(folder):
        paths += [os.path.relpath(os.path.join(top, name), folder) for name in names if PART not in name]
    return sorted(paths)


def require_regular_file(path: str | os.PathLike[str]) -> os.stat_result:
    """The `stat` of a regular file, links followed; for libraries that open a path themselves.

    Opening a pipe waits for its writer, and opening a device may start it, so this is checked before opening.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: the path does not exist or may not be accessed.
    """
    return _regular(os.stat(path), path)


def only_regular(path: str, flags: int) -> int:
    """The `opener` of `open(path, 'rb', opener=only_regular)`, which opens regular files only.

    A path may be exchanged between check and opening: opening therefore never waits, and the open file is checked
    again.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: the path does not exist or may not be opened.
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
    """The status, after checking that it is that of a regular file."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return status
    came = next((name for is_of_type, name in _FILE_TYPES.items() if is_of_type(mode)), 'something else')
    todo = 'name a file in it' if stat.S_ISDIR(mode) else 'save what comes out of it to a file first'
    raise FileError(expected='a regular file', came=f'the {came} {os.fspath(path)!r}', todo=todo)


_FILE_TYPES: Mapping[Callable[[int], bool], str] = {
    stat.S_ISDIR: 'folder',
    stat.S_ISFIFO: 'pipe',
    stat.S_ISSOCK: 'socket',
    stat.S_ISCHR: 'device',
    stat.S_ISBLK: 'device',
}
"""Check of a file's mode to the name of the type that it checks."""


def require_room_for_folder(path: Path) -> None:
    """Refuse an output path that exists and is not a folder, before long work.

    Raises:
        StorageError: the path is a file, a pipe, a device or a broken link.
    """
    if not path.is_dir() and (path.exists() or path.is_symlink()):
        raise storage_error(FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)))


def read_regular_file(path: str | os.PathLike[str]) -> bytes:
    """The content of a regular file.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
        OSError: the file does not exist or may not be read.
    """
    with open(path, 'rb', opener=only_regular) as file:
        return file.read()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a regular file in hexadecimal, read in blocks.

    Raises:
        FileError: the path names a folder, a pipe, a device or a socket.
    """
    with open(path, 'rb', opener=only_regular) as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn every error of the system within the block into a StorageError about writing `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


@contextlib.contextmanager
def explained_where_full(path: Path) -> Iterator[None]:
    """Turn errors that arise only in writing into a StorageError; for a block in which a library writes `path`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, AffektError) or error.errno not in NO_ROOM:
            raise
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path | None = None) -> AffektError:
    """An error of the system as an AffektError that names the path and says what to do.

    Args:
        error: the error of the system; an AffektError is returned unchanged.
        path: path that was written or read; by default the one in the error.
    """
    if isinstance(error, AffektError):
        return error
    shown = path if path is not None else error.filename
    prefix = f'{os.fsdecode(shown)}: ' if isinstance(shown, (str, bytes, os.PathLike)) else ''
    reason = error.strerror or str(error) or type(error).__name__
    expected, todo = _ADVICE.get(error.errno or 0, _OF_A_PATH if prefix else _WITHOUT_PATH)
    if error.errno == errno.ENAMETOOLONG:
        prefix = f'{prefix[:60]}…: '
    return StorageError(expected=expected, came=f'{prefix}{reason}', todo=todo)


_CONTINUE = 'then run the same command again, with --resume where it has that option'
_OF_A_PATH = ('a path that can be used', 'check the path, or choose another')
_WITHOUT_PATH = ('no error of the system', _CONTINUE.removeprefix('then '))
_ADVICE = {
    errno.ENOSPC: ('room on the disk', f'make room, {_CONTINUE}'),
    errno.EDQUOT: ('room within your quota', f'remove what you do not need, {_CONTINUE}'),
    errno.EFBIG: ('files that may grow so large', f'raise the limit (`ulimit -f`) or choose another disk, {_CONTINUE}'),
    errno.EROFS: ('a disk that can be written', 'choose a path on another disk'),
    errno.EACCES: ('a path that you may use', 'change its permissions, or choose another path'),
    errno.EPERM: ('a path that you may use', 'change its permissions, or choose another path'),
    errno.ENOENT: ('a path that exists or can be made', 'check the path, or choose another'),
    errno.ENOTDIR: ('folders along the path', 'a file stands where a folder should be: choose another path'),
    errno.EEXIST: ('a folder', 'a file stands where a folder should be: choose another path'),
    errno.EISDIR: ('a file', 'a folder stands where a file should be: name a file'),
    errno.ENAMETOOLONG: ('a path that the system accepts', 'choose a shorter path'),
    errno.EAGAIN: (
        'room for another process or thread',
        f'end other programs, use fewer --processes or raise the limit (`ulimit -u`), {_CONTINUE}',
    ),
    errno.ENOMEM: ('enough memory', 'give fewer or smaller files at once, or fewer --processes'),
    errno.EIO: ('a disk that works', f'check the disk, {_CONTINUE}'),
    errno.EMFILE: ('few enough open files', 'raise the limit (`ulimit -n`)'),
    errno.ELOOP: ('a path that is no symbolic link', 'a link is at this path, or leads to itself: choose another path'),
}
