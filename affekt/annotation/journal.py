"""An append-only file of events: an event is on disk, complete and once, when `append` returns.

One JSON object per line. A last line that was cut short by a kill was never acknowledged and is removed when the file
is opened again; a complete last line without its newline stays. Damage anywhere else, or an invalid event, is an error
that names the line: no vote is dropped silently. `FIELDS` gives the fields of each kind of event.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affekt.errors import RunError
from affekt.runs import read_regular_file, require_regular_file

Event = Mapping[str, Any]

CHOICES = ('left', 'right', 'tie', 'skip')
TEST, GOLD, WORK = PHASES = ('test', 'gold', 'work')
SEEN = ('', 'video', 'picture', 'nothing', 'no clip', 'unknown')
HEARD = ('', 'sound', 'muted', 'nothing', 'no clip', 'unknown')
TEXT, NUMBER = 'a text', 'a number of 0 or more'
SIDES = ('left', 'right')
FIELDS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    'join': {'rater': TEXT, 'time': NUMBER},
    'show': {'rater': TEXT, 'task': TEXT, 'first': SIDES, 'phase': PHASES, 'time': NUMBER},
    'vote': {
        'rater': TEXT, 'shown': TEXT, 'choice': CHOICES, 'seconds': NUMBER, 'watched': NUMBER, 'time': NUMBER,
        'seen': SEEN, 'heard': HEARD,
    },
    'undo': {'rater': TEXT, 'vote': TEXT, 'time': NUMBER},
    'import': {
        'rater': TEXT, 'task': TEXT, 'outcome': CHOICES, 'first': ('', *SIDES), 'seconds': NUMBER, 'time': NUMBER,
    },
}  # fmt: skip
"""Kind of event to its fields and their types: text, number, or one of these words; every event also has an id."""
Fields = Mapping[str, Mapping[str, str | tuple[str, ...]]]
OPTIONAL_FIELDS = frozenset({'watched', 'seen', 'heard'})
"""Fields that a vote lacks where its page did not send them, as in journals of older versions."""


class Journal:
    """The events of a file, open for appending.

    Args:
        path: file of the journal, created if missing; its folder must exist.
        fields: kinds of events and the fields of each.

    Raises:
        RunError: the file cannot be opened, is a link, or is damaged other than by a cut last line.
    """

    def __init__(self, path: Path, fields: Fields = FIELDS) -> None:
        self.path, self._fields = path, fields
        self.events: tuple[Event, ...]
        """The events that the file contained when it was opened."""
        self.cut: int
        """Bytes of a last line that a kill cut short; they were never acknowledged."""
        if path.exists() and not path.is_symlink():
            require_regular_file(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, 'O_NOFOLLOW', 0), 0o644)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self.events, self._size, self.cut = self._opened()
        except BaseException as error:
            os.close(self._file)
            if isinstance(error, OSError) and not isinstance(error, RunError):
                raise _unusable(path, error) from error
            raise

    def _opened(self) -> tuple[tuple[Event, ...], int, int]:
        """The events of the file, its size in bytes, and how many bytes of a cut last line were removed.

        Nothing is changed before every complete line has been parsed as an event: the file may not be a journal.
        """
        content = self.path.read_bytes()
        size = content.rfind(b'\n') + 1
        cut = len(content) - size
        if cut and _is_whole(content[size:], self._fields):
            events = _parsed(content, self.path, self._fields)
            os.write(self._file, b'\n')
            size, cut = len(content) + 1, 0
        else:
            events = _parsed(content[:size], self.path, self._fields)
            os.ftruncate(self._file, size)
        os.fsync(self._file)
        _sync_folder(self.path.parent)
        return events, size, cut

    def append(self, *events: Event) -> None:
        """Write events to disk, all or none; a failed write leaves the file unchanged.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        lines = ''.join(json.dumps(dict(event), sort_keys=True) + '\n' for event in events).encode()
        try:
            if os.fstat(self._file).st_size > self._size:  # bytes that an earlier failed write could not remove
                os.ftruncate(self._file, self._size)
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise RunError(
                expected='space for one more entry',
                came=f'{self.path.name}: {error.strerror}',
                todo='free some space on the disk of the server; the page sends the vote again',
            ) from error
        self._size += len(lines)

    def close(self) -> None:
        """Close the file and release its lock."""
        os.close(self._file)


def read_events(path: Path, fields: Fields = FIELDS) -> tuple[Event, ...]:
    """Read a journal that another process may be writing to; an incomplete last line is left out.

    Raises:
        RunError: the file does not exist, or a line is damaged.
    """
    try:
        content = read_regular_file(path)
    except OSError as error:
        raise RunError(
            expected='a folder of votes',
            came=f'{path}: {error.strerror or error}',
            todo='give the --out of `affekt annotate`',
        ) from error
    size = content.rfind(b'\n') + 1
    return _parsed(content if _is_whole(content[size:], fields) else content[:size], path, fields)


def _parsed(content: bytes, path: Path, fields: Fields) -> tuple[Event, ...]:
    events = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            events.append(_event(line, fields))
        except ValueError as error:
            raise RunError(
                expected='one event per line',
                came=f'damage in line {number} of {path}: {error}',
                todo='restore that line from a backup, or remove it knowing that a vote may be lost',
            ) from error
    return tuple(events)


def _is_whole(line: bytes, fields: Fields) -> bool:
    """Whether a line without its newline holds a complete event, as an editor may leave the last one."""
    try:
        _event(line, fields)
    except ValueError:
        return False
    return True


def _event(line: bytes, fields: Fields) -> Event:
    """Parse a line as an event.

    Raises:
        ValueError: the line is not an event; the message gives the reason.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError('not JSON') from None
    kind = event.get('kind') if isinstance(event, dict) else None
    if not isinstance(kind, str) or kind not in fields:
        raise ValueError(f'its kind is not one of {", ".join(fields)}')
    for name, wanted in {'id': TEXT, **fields[kind]}.items():
        if name in event or name not in OPTIONAL_FIELDS:
            _check(event.get(name), wanted, name)
    return dict(event)


def _check(value: object, wanted: str | tuple[str, ...], name: str) -> None:
    if wanted == TEXT:
        is_right = isinstance(value, str) and bool(value)
    elif wanted == NUMBER:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_right = is_number and 0.0 <= value < math.inf  # type: ignore[operator]
    else:
        is_right = isinstance(value, str) and value in wanted
    if not is_right:
        raise ValueError(f'{name} is not {wanted if isinstance(wanted, str) else "one of " + ", ".join(wanted)}')


def _unusable(path: Path, error: OSError) -> RunError:
    came = 'a link' if error.errno == errno.ELOOP else error.strerror or str(error)
    return RunError(
        expected='a journal that can be written',
        came=f'{path}: {came}',
        todo='replace it by the file itself' if error.errno == errno.ELOOP else 'check --out',
    )


def _sync_folder(folder: Path) -> None:
    """Sync a folder: the name of a new file is on disk only after this."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
