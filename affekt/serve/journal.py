"""A file of events that only grows: what `append` has returned from is on disk, whole and once.

One JSON object a line. A last line that a kill cut short was never acknowledged; it is taken away when the file is
opened again. Damage anywhere else is an error that names the line: a vote is never dropped in silence.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affekt.errors import RunError

Event = Mapping[str, Any]


class Journal:
    """The events of a file, open for more.

    Args:
        path: created where missing; its folder exists.

    Raises:
        RunError: the file cannot be opened, or a line other than a cut last one is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            content = path.read_bytes()
            whole = content.rfind(b'\n') + 1
            os.ftruncate(self._file, whole)
            os.fsync(self._file)
            _sync_folder(path.parent)
        except OSError as error:
            raise RunError(
                expected='a journal that can be written', came=f'{path}: {error.strerror}', todo='check --out'
            ) from error
        self._size = whole
        self.events: tuple[Event, ...] = _parsed(content[:whole], path)
        """What the file held when it was opened."""

    def append(self, *events: Event) -> None:
        """Put events on disk, all or none; a failed write leaves the file as it was.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        lines = ''.join(json.dumps(dict(event), sort_keys=True) + '\n' for event in events).encode()
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise RunError(
                expected='room for one more vote',
                came=f'{self.path}: {error.strerror}',
                todo='make room on the disk; the page sends the vote again',
            ) from error
        self._size += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read_events(path: Path) -> tuple[Event, ...]:
    """The events of a journal that another process may be writing; a line being written is left out.

    Raises:
        RunError: there is none, or a line is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(
            expected='a folder of votes', came=f'{path}: {error.strerror}', todo='give the --out of `affekt annotate`'
        ) from error
    return _parsed(content[: content.rfind(b'\n') + 1], path)


def _parsed(content: bytes, path: Path) -> tuple[Event, ...]:
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            event = json.loads(line)
            event['kind'], event['id']
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                expected='one event a line',
                came=f'damage in line {number} of {path}',
                todo='restore that line from a backup, or remove it knowing that a vote may be lost',
            ) from error
        found.append(event)
    return tuple(found)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
