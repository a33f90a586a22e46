"""The folder of an official release while it is read: its tables, its media by name, and what is missing.

Every label file that is opened is noted with its sha256, everything that should be there and is not becomes a note of
the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affekt.errors import CorpusError, TableError, listed
from affekt.labels.columns import Columns, read_columns
from affekt.media.endings import VIDEO
from affekt.npz import read_npz
from affekt.runs import file_sha256
from affekt.tables import number as to_number
from affekt.text_encoding import decode_text


@dataclass
class Release:
    """A folder that holds a release, or a part of it."""

    folder: Path
    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def first(self, *names: str) -> Path | None:
        """The first of these files or folders that is there; None where none is."""
        return next((self.folder / name for name in names if (self.folder / name).exists()), None)

    def source(self, path: Path) -> Path:
        """Note a label file that is read."""
        self.sources[path.relative_to(self.folder).as_posix()] = file_sha256(path)
        return path

    def table(self, *names: str) -> Columns | None:
        """The columns of the first of these tables that is there; None, and a note, where none is.

        Raises:
            TableError: the table is damaged.
        """
        path = self.first(*names)
        if path is None:
            self.notes.append(f'{" or ".join(names)} is missing')
            return None
        return read_columns(self.source(path))

    def archive(self, *names: str) -> dict[str, Any]:
        """The arrays of the first of these archives that is there.

        Raises:
            CorpusError: none is.
            ArchiveError: it is damaged, or holds more than arrays and plain values.
        """
        path = self.first(*names)
        if path is None:
            raise self.lacks(*names)
        return read_npz(self.source(path))

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """The two cells of each line of a file, separated by space; none, and a note, where the file is missing.

        Raises:
            TableError: the file is no text, or a line has not two cells.
        """
        path = self.folder / name
        if not path.is_file():
            self.notes.append(f'{name} is missing')
            return []
        found = []
        for number, line in enumerate(self.text(path).splitlines(), 1):
            cells = line.split()
            if len(cells) == 2:
                found.append((cells[0], cells[1]))
            elif cells:
                raise TableError(
                    expected='a clip and its label in every line',
                    came=f'{path}, line {number}: {line[:60]!r}',
                    todo='take the file of the release as it is',
                )
        return found

    def text(self, path: Path) -> str:
        """A label file as text.

        Raises:
            TableError: its encoding is not certain.
        """
        decoded = decode_text(self.source(path).read_bytes(), str(path))
        self.notes += decoded.notes
        return decoded.text

    def media(self, *folders: str, kinds: Sequence[str] = VIDEO) -> Mapping[str, str]:
        """Name without suffix to path below the release, of the media files in the first folder that is there."""
        folder = self.first(*folders)
        if folder is None:
            return {}
        at = folder.relative_to(self.folder).as_posix()
        below = '' if at == '.' else f'{at}/'
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith(tuple(kinds)))
        return {name.rsplit('.', 1)[0]: f'{below}{name}' for name in names}

    def folders(self, *folders: str) -> Mapping[str, str]:
        """Name to path below the release, of the folders (of pictures) in the first folder that is there."""
        folder = self.first(*folders)
        if folder is None:
            return {}
        at = folder.relative_to(self.folder).as_posix()
        with os.scandir(folder) as entries:
            return {
                entry.name: f'{at}/{entry.name}' for entry in sorted(entries, key=lambda e: e.name) if entry.is_dir()
            }

    def lacks(self, *names: str) -> CorpusError:
        """The error that a needed file is missing."""
        held = sorted(path.name for path in self.folder.iterdir())
        return CorpusError(
            expected=' or '.join(names) + f' in {self.folder}',
            came=listed(held) or 'an empty folder',
            todo='name the folder of the release itself',
        )


def need(columns: Columns, names: Sequence[str], file: str) -> list[list[Any]]:
    """These columns of a table, in order.

    Raises:
        TableError: one is missing.
    """
    absent = [name for name in names if name not in columns]
    if absent:
        raise TableError(
            expected=f'the columns {", ".join(names)}',
            came=f'{file} without {listed(absent)}, with {listed(columns, 12)}',
            todo='take the file of the release as it is',
        )
    return [list(columns[name]) for name in names]


def number(value: object, sample: str, file: str) -> float | None:
    """A cell as a float; None where it is empty or nan.

    Raises:
        TableError: it is no number.
    """
    if value is None or str(value).strip() in ('', 'nan', 'NaN'):
        return None
    try:
        return to_number(value)
    except ValueError as error:
        raise TableError(
            expected='a number', came=f'{value!r} for sample {sample!r} of {file}', todo='correct the label file'
        ) from error
