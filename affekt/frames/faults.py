"""Errors of a label file, collected by line and raised together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from affekt.errors import SHOWN_FAULTS, FileError, TableError, short, shown_faults
from affekt.files import read_regular_file
from affekt.wording import counted

LONGEST_CELL = 40
"""Maximum number of characters of a cell that messages quote."""


@dataclass
class Faults:
    """Errors of one or more files: the first ones in full, and the total number."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, line: int, fault: str) -> None:
        """Adds an error.

        Args:
            file: name of the file.
            line: counted from 1, including the header; 0 for the whole file.
            fault: the error.
        """
        self.count += 1
        if len(self.shown) < SHOWN_FAULTS:
            self.shown.append(f'{file}, line {line:,}: {fault}' if line else f'{file}: {fault}')

    def refuse(self, expected: str, todo: str) -> None:
        """Raises the collected errors, if any.

        Args:
            expected: the valid content, for the message.
            todo: how to correct it, for the message.

        Raises:
            TableError: one line per error, up to `SHOWN_FAULTS`.
        """
        if not self.count:
            return
        faults = shown_faults(self.shown, self.count)
        raise TableError(expected=expected, came=counted(self.count, 'fault'), todo=todo, faults=faults)


def content_of(path: Path, file: str, faults: Faults) -> bytes | None:
    """The content of a file; None, with an error recorded under this name, if it cannot be read."""
    try:
        content = read_regular_file(path)
    except OSError as error:
        reason = error.came if isinstance(error, FileError) else error.strerror or error
        faults.add(file, 0, f'cannot be read: {reason}')
        return None
    is_wide = len(content) >= 4 and not all(any(content[start:8:2]) for start in (0, 1))
    if content[:2] in (b'\xff\xfe', b'\xfe\xff') or is_wide:
        faults.add(file, 0, 'is UTF-16 or no text: save it as UTF-8')
        return None
    return content


def quoted(cell: str) -> str:
    """A cell as shown in messages."""
    return repr(short(cell, LONGEST_CELL))
