"""The journal of a run: one line for each finished result, with the sizes and hashes of its files.

A journal may come from an untrusted source: before opening a path from an entry, check that it lies within the run.
`affekt.runs.Run` writes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from affekt.errors import RunError
from affekt.files import only_regular

JOURNAL = 'journal.jsonl'


@dataclass(frozen=True)
class Entry:
    """One line of the journal: a finished result, its location in the run and recorded facts (JSON values)."""

    key: str
    folder: str
    facts: Mapping[str, Any]
    files: Mapping[str, Sequence[Any]] | None = None
    """Path in the run to the size and hash of each file of the result; None in journals of older versions."""

    def damage(self, run: Path, main: str = '', without: Sequence[str] = ()) -> str:
        """How the result in the folder `run` differs from its journal entry; '' if it is complete.

        Args:
            run: folder of the run.
            main: file of the result that must exist where the entry lists no files.
            without: listed files, as paths in the run, that are not checked.
        """
        if self.files is None:
            main_path = run / self.folder / main if main else run / self.folder
            return (
                ''
                if main_path.exists() and (main_path.is_dir() or main_path.stat().st_size)
                else f'{main_path.name} is missing'
            )
        if not (run / self.folder).exists():
            return f'{self.folder} is missing'
        for name, recorded in self.files.items():
            if name in without:
                continue
            path = run / name
            if not path.is_file():
                return f'{name} is missing'
            if path.stat().st_size != recorded[0]:
                return f'{name} has {path.stat().st_size:,} bytes, not {recorded[0]:,}'
            if list(recorded) != sampled(path):
                return f'{name} has other content than was written'
        return ''


SAMPLED = 1 << 15
"""Bytes at each end of a file that are hashed when a run is resumed; whole files would take too long."""


def sampled(path: Path) -> list[Any]:
    """Size of a file in bytes, and 16 hexadecimal digits of the SHA-256 of its first and last SAMPLED bytes.

    A change in the middle of a longer file that leaves its size is not detected.
    """
    with path.open('rb') as file:
        digest = hashlib.sha256(file.read(SAMPLED))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(SAMPLED, size - SAMPLED))
        digest.update(file.read(SAMPLED))
    return [size, digest.hexdigest()[:16]]


def read_journal(folder: Path) -> Iterator[Entry]:
    """The entries of a run's journal, one at a time.

    Invalid lines are left out, such as a last line cut short by a kill. A run may come from an untrusted source: before
    opening a path from an entry, check that it lies within the run.
    """
    return (entry for _, entry in placed_entries(folder))


def placed_entries(folder: Path) -> Iterator[tuple[int, Entry]]:
    """The entries of a run's journal with the byte offset of each, for `entry_at`."""
    path = folder / JOURNAL
    if not path.exists():
        return
    with open(path, 'rb', opener=only_regular) as journal:
        offset = 0
        for line in journal:
            if (entry := _entry_of(line)) is not None:
                yield offset, entry
            offset += len(line)


def entry_at(journal: IO[bytes], offset: int) -> Entry:
    """The entry at a byte offset of an open journal.

    Raises:
        RunError: there is no entry, for example because the file has been changed.
    """
    journal.seek(offset)
    entry = _entry_of(journal.readline())
    if entry is None:
        raise RunError(
            expected=f'a line of the journal at byte {offset}', came='none', todo='run the same command again'
        )
    return entry


def _entry_of(line: bytes) -> Entry | None:
    """The entry in a line; None for a line that is invalid or cut short."""
    try:
        fields = json.loads(line.decode(errors='replace'))
        key, folder, files = fields.pop('key'), fields.pop('folder'), fields.pop('files', None)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    is_valid = isinstance(key, str) and isinstance(folder, str) and (files is None or _are_sizes(files))
    return Entry(key, folder, fields, files) if is_valid else None


def _are_sizes(files: object) -> bool:
    """Whether a value maps names to sizes and hashes in the form of `sampled`."""
    return isinstance(files, dict) and all(
        isinstance(recorded, list) and [type(part) for part in recorded] == [int, str] for recorded in files.values()
    )
