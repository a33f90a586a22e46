"""The bytes of a recording: a local file or bytes in memory, and nothing else.

FFmpeg gets a Python file object instead of a name. No part of a name ("http://", "concat:", "%03d") is therefore
interpreted, and a playlist cannot make FFmpeg open a second file. The object also contains a watchdog: if reading
continues for too long without a result, the next read raises an error.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import threading
import time
from pathlib import Path
from typing import BinaryIO, Protocol

from affekt.containers.limits import Limits
from affekt.errors import AffektError, FileError, LimitError, MediaError
from affekt.runs import only_regular, require_regular_file

SCHEME = re.compile(r'^[A-Za-z][A-Za-z0-9+.-]+:')


class Stalled(MediaError):
    """Reading continued for longer than `Limits.max_stall_s` without a result."""


class Readable(Protocol):
    """A file object that can be given instead of a path."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


class Source:
    """Bytes that can be opened repeatedly, each time from the start."""

    def __init__(self, origin: str | os.PathLike[str] | bytes | BinaryIO, limits: Limits) -> None:
        """Use a path, bytes, or a seekable binary file object (which stays open and belongs to the caller).

        Raises:
            MediaError: the file does not exist, is not a regular file, is unreadable or empty, or the path is a URL.
            LimitError: the file has more bytes than `limits.max_file_bytes`.
        """
        self.path: Path | None = None
        self._bytes: bytes | None = None
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        if isinstance(origin, (bytes, bytearray, memoryview)):
            self._bytes = bytes(origin)
            self.size = len(self._bytes)
            self.name = f'{self.size} bytes in memory'
        elif isinstance(origin, (str, os.PathLike)):
            self.path = Path(origin)
            self.name = self.path.name or str(self.path)
            self.size = _size_of_regular_file(self.path)
        else:
            self._file = origin
            self.name = str(getattr(origin, 'name', 'a file object'))
            self.size = _size_of_file_object(origin)
        if self.size == 0:
            raise MediaError(expected='a media file', came=f'no bytes in {self.name}', todo='copy it again')
        limits.check('max_file_bytes', self.size, f'the size of {self.name}')

    def open(self, stall_s: float) -> WatchedFile:
        """A new reader at byte 0, which raises `Stalled` after `stall_s` seconds without progress."""
        if self._bytes is not None:
            return WatchedFile(io.BytesIO(self._bytes), stall_s)
        if self._file is not None:
            return WatchedFile(_SharedView(self._file, self._lock), stall_s)
        if self.path is None:
            raise MediaError(expected='a path, bytes or a file', came='none of them', todo='pass one')
        try:
            return WatchedFile(open(self.path, 'rb', buffering=0, opener=only_regular), stall_s)
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or fewer."""
        with self.open(60.0) as file:
            return file.read(size)

    def tail(self, size: int) -> bytes:
        """The last `size` bytes, or fewer."""
        with self.open(60.0) as file:
            file.seek(max(0, self.size - size))
            return file.read(size)

    def sha256(self) -> str:
        """The SHA-256 of all bytes in hexadecimal; reads 1 MiB at a time."""
        digest = hashlib.sha256()
        with self.open(3600.0) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()


class WatchedFile:
    """A read-only file object that raises `Stalled` if `touch` has not been called for `stall_s` seconds."""

    def __init__(self, file: Readable, stall_s: float) -> None:
        self._file = file
        self._stall_s = stall_s
        self.failure: AffektError | None = None
        self._skipped = 0
        self._end: int | None = None
        self._last_work_s = math.inf
        self.touch()

    def skip(self, size: int) -> None:
        """Let the file begin `size` bytes later, for all further reads."""
        self._skipped = size
        self.seek(0)

    def end_at(self, position: int) -> None:
        """Let the file end at this position, for all further reads."""
        self._end = position

    def limit_work(self, seconds: float | None) -> None:
        """Raise LimitError after this processor time of the thread in seconds; None removes the limit."""
        self._last_work_s = math.inf if seconds is None else time.thread_time() + seconds

    def touch(self) -> None:
        """Restart the watchdog: something was produced, or the caller is about to continue."""
        self._deadline = time.monotonic() + self._stall_s

    def check(self) -> None:
        """Raise Stalled if the time is over, LimitError if the processor time is; later calls raise the same again."""
        if self.failure is not None:
            raise self.failure
        if self._last_work_s < math.inf and time.thread_time() > self._last_work_s:  # the clock is a system call
            self.failure = LimitError(
                expected='headers that open with a few seconds of work',
                came='more',
                todo='the file carries far too many tags or table entries; export it again without them',
            )
            raise self.failure
        if time.monotonic() > self._deadline:
            self.failure = Stalled(
                expected=f'a decoded unit within {self._stall_s:g} s (max_stall_s)',
                came='none',
                todo='the file is damaged or the machine is overloaded; raise Limits.max_stall_s to insist',
            )
            raise self.failure

    def read(self, size: int = -1) -> bytes:
        if self.failure is not None:
            return b''  # FFmpeg keeps reading after a failure, and PyAV prints every further one
        self.check()
        try:
            if self._end is not None:
                left = max(0, self._end - self._file.seek(0, 1))
                size = left if size < 0 else min(size, left)
            return self._file.read(size) or b''
        except OSError as error:
            self.failure = MediaError(
                expected='a file that can be read to its end',
                came=str(error),
                todo='check the disk or the network drive',
            )
            raise self.failure from error

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.failure is None:
            self.check()
        if whence == 2 and self._end is not None:
            offset, whence = self._end - self._skipped + offset, 0
        try:
            return self._file.seek(offset + (self._skipped if whence == 0 else 0), whence) - self._skipped
        except (OSError, ValueError, OverflowError):
            return -1  # a damaged header sends FFmpeg to impossible positions; it continues after a refusal

    def tell(self) -> int:
        return self._file.seek(0, 1) - self._skipped

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        close = getattr(self._file, 'close', None)
        if close is not None:
            close()

    def __enter__(self) -> WatchedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SharedView:
    """A separate position in a file object that is shared by several passes."""

    def __init__(self, file: BinaryIO, lock: threading.Lock) -> None:
        self._file, self._lock, self._position = file, lock, 0

    def read(self, size: int = -1) -> bytes:
        with self._lock:
            self._file.seek(self._position)
            chunk = self._file.read(size)
            self._position = self._file.tell()
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._lock:
            if whence == 1:
                offset, whence = self._position + offset, 0
            self._position = self._file.seek(offset, whence)
        return self._position


def _size_of_regular_file(path: Path) -> int:
    try:
        status = require_regular_file(path)
    except FileError as error:
        raise _unreadable(path, error) from error
    except (OSError, ValueError) as error:
        if SCHEME.match(os.fspath(path)):
            raise MediaError(
                expected='the path of a local file',
                came=f'{os.fspath(path)!r}, which looks like an address',
                todo='download it first; affekt opens no network and no protocol',
            ) from error
        raise _unreadable(path, error) from error
    if not os.access(path, os.R_OK):
        raise _unreadable(path, PermissionError(13, 'Permission denied'))
    return status.st_size


def _size_of_file_object(file: BinaryIO) -> int:
    try:
        file.seek(0, os.SEEK_END)
        size = file.tell()
        file.seek(0)
        first = file.read(1)
    except (AttributeError, OSError, ValueError) as error:
        raise MediaError(
            expected='a seekable file object opened for reading',
            came=f'{type(file).__name__} ({error})',
            todo='open it with mode "rb", or pass its bytes',
        ) from error
    if not isinstance(first, bytes):
        raise MediaError(expected='a binary file object', came='one that yields text', todo='open it with mode "rb"')
    return size


def _unreadable(path: Path, error: Exception) -> MediaError:
    if isinstance(error, AffektError):
        return MediaError(expected=error.expected, came=error.came, todo=error.todo)
    reason = getattr(error, 'strerror', None) or str(error)
    return MediaError(
        expected='a readable media file', came=f'{path.name!r}: {reason}', todo='check the path and its permissions'
    )
