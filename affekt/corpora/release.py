"""The folder of an official release while it is read: its tables, its media by name, and notes on what is missing.

A file or folder is looked for where the release has it, then deeper: archives that were each unpacked into their own
folder, or a release below the given folder, are found all the same. Every label file that is read is recorded with its
sha256, and everything missing becomes a note of the manifest. A `Corpus` is an importer: the properties of a corpus
and, for each `Layout` in which it may be found, a function from `Release` to samples.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from affekt.containers import PICTURES, VIDEO
from affekt.corpora.sample import Sample
from affekt.errors import CorpusError, TableError, listed
from affekt.frames import FrameTable
from affekt.npz import read_npz
from affekt.runs import file_sha256
from affekt.tables import Columns, read_columns
from affekt.tables import number as to_number
from affekt.text_encoding import decode_text
from affekt.wording import counted, subject

DEEPEST = 8
"""Number of levels below a release that are searched for misplaced files."""
MOST_FOLDERS = 5000
"""Maximum number of folders that are searched; more are folders of images, one per sample, without named files."""


def tree_below(folder: Path) -> dict[str, list[str]]:
    """Lower-case last part of a path to the paths below a folder, the shallowest first.

    Links are not followed; unreadable folders are left out, and so are images: a corpus of face images has millions,
    and none is looked up by name.
    """
    tree: dict[str, list[str]] = {}
    level, count = [''], 0
    for _ in range(DEEPEST):
        deeper: list[str] = []
        for folder_path in level[: MOST_FOLDERS - count]:
            count += 1
            with contextlib.suppress(OSError), os.scandir(folder / folder_path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if _is_own(entry.name) and not _is_image(entry.name):
                        path = f'{folder_path}/{entry.name}' if folder_path else entry.name
                        tree.setdefault(entry.name.lower(), []).append(path)
                        if entry.is_dir(follow_symlinks=False):
                            deeper.append(path)
        level = deeper
    return tree


def _is_own(name: str) -> bool:
    """False for hidden files, including the files `._NAME` that macOS adds to archives."""
    return not name.startswith('.')


def _is_image(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _ends_in(path: str, ending: tuple[str, ...]) -> bool:
    return tuple(part.lower() for part in path.split('/'))[-len(ending) :] == ending


@dataclass
class Release:
    """A folder that contains a release, or a part of it."""

    folder: Path
    sources: dict[str, str] = field(default_factory=dict)
    """Label file that was read, relative to the folder, to its sha256."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what is missing or unusual, for the manifest."""
    frames: FrameTable | None = None
    """Labels of every frame; None if the release has none."""
    places: dict[str, None] = field(default_factory=dict)
    """Folders below the release in which media were looked for, in order."""

    def every(self, name: str) -> list[Path]:
        """All files and folders with this path below the release, or below a folder in it; the shallowest first.

        Args:
            name: path such as `train_splits` or `Session1/dialog`; '.' is the release itself.
        """
        exact = self.folder / name
        if name == '.':
            return [exact]
        ending = tuple(part.lower() for part in name.split('/'))
        matches = [path for path in self._below.get(ending[-1], ()) if _ends_in(path, ending)]
        existing = [exact] if os.path.exists(exact) else []  # also False for an invalid file name
        return existing + [self.folder / path for path in matches if self.folder / path not in existing]

    @cached_property
    def _below(self) -> Mapping[str, Sequence[str]]:
        """Lower-case last part of a path to the paths below the release, the shallowest first."""
        return tree_below(self.folder)

    def first(self, *names: str) -> Path | None:
        """The first of these files or folders that exists, else the first that exists deeper; None if none does."""
        exact = next((self.folder / name for name in names if (self.folder / name).exists()), None)
        return exact or next((place for name in names for place in self.every(name)), None)

    def source(self, path: Path) -> Path:
        """Record a label file that is read, and return it."""
        self.sources[path.relative_to(self.folder).as_posix()] = file_sha256(path)
        return path

    def table(self, *names: str) -> Columns | None:
        """The columns of the first of these tables that exists; None, with a note, if none does.

        Raises:
            TableError: the table is damaged.
        """
        path = self.first(*names)
        if path is None:
            self.notes.append(f'{" or ".join(names)} is missing')
            return None
        table = read_columns(self.source(path))
        self.notes += table.notes
        return table

    def archive(self, *names: str) -> dict[str, Any]:
        """The arrays of the first of these archives that exists.

        Raises:
            CorpusError: none exists.
            ArchiveError: the archive is damaged, or has other contents than arrays and plain values.
        """
        path = self.first(*names)
        if path is None:
            raise self.lacks(*names)
        return read_npz(self.source(path))

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """The two cells of each line of a file, separated by spaces; [] with a note where the file is missing.

        Raises:
            TableError: the file is not text, or a line does not have two cells.
        """
        path = self.first(name)
        if path is None or not path.is_file():
            self.notes.append(f'{name} is missing')
            return []
        pairs = []
        for number, line in enumerate(self.text(path).splitlines(), 1):
            cells = line.split()
            if len(cells) == 2:
                pairs.append((cells[0], cells[1]))
            elif cells:
                raise TableError(
                    expected='a clip and its label in every line',
                    came=f'{path}, line {number}: {line[:60]!r}',
                    todo='take the file of the release as it is',
                )
        return pairs

    def text(self, path: Path) -> str:
        """A label file as text.

        Raises:
            TableError: the encoding of the file is ambiguous.
        """
        decoded = decode_text(self.source(path).read_bytes(), str(path))
        self.notes += decoded.notes
        return decoded.text

    def readable_lines(self, path: Path) -> str:
        """An English label file as text, line by line where its encoding is ambiguous.

        A line is then read as UTF-8, or as Windows-1252 if only marks such as ’ and … make it differ from ASCII. Other
        lines are left out. Notes state both.
        """
        try:
            return self.text(path).replace('\r\n', '\n').replace('\r', '\n')
        except TableError:
            lines = path.read_bytes().splitlines()
            texts = [_decoded_line(line) for line in lines]
            if all(map(_is_utf_8, lines)):
                raise
        name = path.relative_to(self.folder).as_posix()
        of_windows = sum(text is not None and not _is_utf_8(line) for line, text in zip(lines, texts, strict=True))
        if of_windows:
            them = 'it' if of_windows == 1 else 'them'
            read = f'{subject(of_windows, "line")} not UTF-8 and read as Windows-1252 for the marks in {them}'
            self.notes.append(f'{name}: {read}')
        left_out = [number for number, text in enumerate(texts, 1) if text is None]
        if left_out:
            first = lines[left_out[0] - 1].decode('ascii', 'backslashreplace')
            verb = 'is' if len(left_out) == 1 else 'are'
            self.notes.append(
                f'{name}: {len(left_out)} of {counted(len(lines), "line")} {verb} not UTF-8 and of no encoding that '
                f'can be told, and left out; the first is line {left_out[0]}, {first[:80]!r}'
            )
        return '\n'.join(text for text in texts if text is not None)

    def media(self, *folders: str, kinds: Sequence[str] = VIDEO) -> Mapping[str, str]:
        """Name without extension to path below the release, of the media files in the first folder that has any.

        Deeper folders of these names are used where no folder at its own path has any; of duplicated names, the file in
        the shallowest folder.
        """
        self._note_searched(folders)
        exact = (self._files(self.folder / name, kinds) for name in folders if (self.folder / name).is_dir())
        if files := next((files for files in exact if files), None):
            return files
        for name in folders:
            deeper: dict[str, str] = {}
            for place in self.every(name) if name != '.' else ():
                deeper = {**self._files(place, kinds), **deeper}
            if deeper:
                return deeper
        return {}

    def _files(self, folder: Path, kinds: Sequence[str]) -> dict[str, str]:
        prefix = self._prefix(folder)
        try:
            with os.scandir(folder) as entries:
                names = sorted(
                    entry.name for entry in entries if entry.name.lower().endswith(tuple(kinds)) and _is_own(entry.name)
                )
        except NotADirectoryError:
            return {}
        return {name.rsplit('.', 1)[0]: f'{prefix}{name}' for name in names}

    def _prefix(self, folder: Path) -> str:
        relative = folder.relative_to(self.folder).as_posix()
        return '' if relative == '.' else f'{relative}/'

    def _note_searched(self, folders: Sequence[str]) -> None:
        self.places |= dict.fromkeys('the folder itself' if name == '.' else name for name in folders)

    def folders(self, *folders: str) -> Mapping[str, str]:
        """Name to path below the release, of the folders (of images) in the first folder that exists."""
        self._note_searched(folders)
        folder = self.first(*folders)
        if folder is None or not folder.is_dir():
            return {}
        prefix = self._prefix(folder)
        with os.scandir(folder) as entries:
            return {
                entry.name: f'{prefix}{entry.name}'
                for entry in sorted(entries, key=lambda entry: entry.name)
                if entry.is_dir()
            }

    def lacks(self, *names: str) -> CorpusError:
        """The error for a missing file that is required."""
        entries = sorted(path.name for path in self.folder.iterdir())
        return CorpusError(
            expected=' or '.join(names) + f' in {self.folder}',
            came=listed(entries) or 'an empty folder',
            todo='name the folder of the release itself',
        )


_MARKS_OF_WINDOWS = bytes((0x82, 0x84, 0x85, *range(0x91, 0x98)))
"""Quotation marks, apostrophe, ellipsis, bullet and dashes of Windows-1252."""


def _decoded_line(line: bytes) -> str | None:
    """A line in UTF-8, or in ASCII and marks of Windows-1252; None for any other."""
    if _is_utf_8(line):
        return line.decode()
    return line.decode('cp1252') if line.translate(None, _MARKS_OF_WINDOWS).isascii() else None


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return b'\0' not in line


def need(columns: Columns, names: Sequence[str], file: str) -> list[list[Any]]:
    """These columns of a table, in order.

    Raises:
        TableError: a column is missing.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        raise TableError(
            expected=f'the columns {", ".join(names)}',
            came=f'{file} without {listed(missing)}, with {listed(columns, 12)}',
            todo='take the file of the release as it is',
        )
    return [list(columns[name]) for name in names]


def number(value: object, sample: str, file: str) -> float | None:
    """A cell as a float; None if it is empty or nan.

    Raises:
        TableError: the cell is not a number.
    """
    if value is None or str(value).strip() in ('', 'nan', 'NaN'):
        return None
    try:
        return to_number(value)
    except ValueError as error:
        raise TableError(
            expected='a number', came=f'{value!r} for sample {sample!r} of {file}', todo='correct the label file'
        ) from error


@dataclass(frozen=True)
class Layout:
    """One layout of a release in its folder."""

    needs: tuple[str, ...]
    """Files or folders, any of which identifies the layout; missing ones are noted."""
    read: Callable[[Release], Iterable[Sample]]
    version: str
    """Version for the manifest."""
    says_missing: bool = False
    """Whether `read` itself notes what is missing."""


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be imported."""

    name: str
    """Name on the command line."""
    title: str
    """Name of the corpus in manifests and reports."""
    language: str
    """Code of the language such as `en`; '' if it has none or several."""
    layouts: tuple[Layout, ...]
    """Layouts; the first that matches a folder is read."""
    source: str
    """Where to get the corpus."""
    cite: str
    """arXiv number or DOI of the publication; '' for own data."""
    categories: tuple[str, ...] = ()
    """Categories in the order of the release's numbers; () for those that occur in the samples."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Name of a column to the lowest and highest value of its scale."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Split to its published number of samples; '' is the whole corpus."""
    by_frame: bool = False
    """Whether labels are per frame, in a separate table."""
    folders: tuple[str, ...] = ()
    """Folders below the given one in which the release may be."""
