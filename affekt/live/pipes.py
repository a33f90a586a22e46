"""Reading of standard input and named pipes, in a way that can be stopped."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import threading
from pathlib import Path
from typing import Any

from affekt.errors import MediaError

WAKES_EVERY_S = 0.1
CHUNK = 1 << 16


def is_pipe(path: Path) -> bool:
    """Whether a path is a named pipe."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


class PipeBytes:
    """The content of a pipe, as a file without seeking.

    Reading waits for bytes as long as necessary; it ends when the writer closes the pipe or `stop` is set.

    Args:
        descriptor: descriptor of the pipe, opened for reading.
        name: name of the pipe in errors.
        stop: ends waiting when set.
        owns: whether `close` closes the descriptor.
    """

    def __init__(self, descriptor: int, name: str, stop: threading.Event, *, owns: bool) -> None:
        self._descriptor, self._name, self._stop, self._owns = descriptor, name, stop, owns
        self._buffer = b''

    @classmethod
    def standard_input(cls, stop: threading.Event) -> PipeBytes:
        """The standard input of this process.

        Raises:
            MediaError: it is a terminal, or closed.
        """
        try:
            descriptor = sys.stdin.fileno()
            is_terminal = os.isatty(descriptor)
        except (AttributeError, OSError, ValueError) as error:
            raise MediaError(
                expected='a stream on standard input', came='none', todo='pipe a video into the command'
            ) from error
        if is_terminal:
            raise MediaError(
                expected='a stream on standard input',
                came='a terminal',
                todo='pipe a video into the command, such as `cat clip.ts | affekt stream -`',
            )
        return cls(descriptor, 'standard input', stop, owns=False)

    @classmethod
    def named(cls, path: Path, stop: threading.Event) -> PipeBytes:
        """A named pipe; its writer may open it later."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise MediaError(
                expected='a pipe that can be read', came=f'{path}: {error.strerror}', todo='check its permissions'
            ) from error
        return cls(descriptor, str(path), stop, owns=True)

    def wait_for_bytes(self, patience_s: float | None = None) -> None:
        """Waits for the first bytes, which are kept for `read`.

        Raises:
            MediaError: the pipe ends without any, or none come in time.
        """
        waited_s = 0.0
        while not self._is_ready():
            waited_s += WAKES_EVERY_S
            if self._stop.is_set():
                return
            if patience_s is not None and waited_s > patience_s:
                raise MediaError(
                    expected=f'a stream on {self._name}', came=f'nothing for {patience_s:g} s', todo='start its writer'
                )
        self._buffer = self._read_available(CHUNK)
        if not self._buffer and not self._stop.is_set():
            raise MediaError(
                expected=f'a stream on {self._name}',
                came='nothing: it is empty',
                todo='check the program that should write it',
            )

    def read(self, size: int = CHUNK) -> bytes:
        """At most `size` bytes; b'' at the end."""
        if self._buffer:
            content, self._buffer = self._buffer[:size], self._buffer[size:]
            return content
        while not self._stop.is_set():  # after that, the descriptor may be closed
            if self._is_ready():
                return self._read_available(size)
        return b''

    def _is_ready(self) -> bool:
        if os.name == 'nt':  # pipes cannot be waited for there
            return True
        return bool(select.select([self._descriptor], [], [], WAKES_EVERY_S)[0])

    def _read_available(self, size: int) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, size)
            except BlockingIOError:
                if self._stop.wait(WAKES_EVERY_S):
                    return b''
            except OSError:
                return b''

    def close(self) -> None:
        """Closes the pipe if it was opened here."""
        if self._owns:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._owns = False

    def __enter__(self) -> PipeBytes:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()
