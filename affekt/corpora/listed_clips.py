"""Lists of clips for training and testing in published code, one clip per line.

A list has no header and one space between its columns: `FRAMES WAV LABEL`, `FRAMES LABEL`, `VIDEO 0` (VoxCeleb2), or
ratings of the dimensions in place of the label. Paths are those of the machine that wrote them; a path with spaces is
quoted, unless its beginning, its name or existing files show where it ends.

Source: https://github.com/sunlicai/HiCMAE (cdd28d4) and https://github.com/sunlicai/SVFAP (8e386b9).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from affekt.containers import AUDIO, VIDEO
from affekt.errors import TableError

DEEPEST = 64
"""Maximum number of folders in a path."""


@dataclass(frozen=True)
class ListedClip:
    """One line of a list."""

    path: str
    """A folder of frames, or a video."""
    audio: str | None
    """Path of the audio file; None for a line with one path."""
    labels: tuple[float, ...]
    """One class number from 0, or ratings."""

    @property
    def name(self) -> str:
        """Last part of the path, without file extension."""
        return _stem(self.path)


def listed_clips(
    text: str, where: str, labels: int | None = None, is_there: Callable[[str], bool] = lambda path: False
) -> list[ListedClip]:
    """The lines of a list, with unchanged paths.

    Args:
        text: contents of the file.
        where: name of the file, for messages.
        labels: number of numbers at the end of a line; None for three where every line has them, else one.
        is_there: function that says whether a path exists, to separate two paths with spaces.

    Raises:
        TableError: a line has too few numbers, or its paths with spaces cannot be separated.

    >>> listed_clips('/d/face/a /d/wav/a.wav 3', 'test.csv')
    [ListedClip(path='/d/face/a', audio='/d/wav/a.wav', labels=(3.0,))]
    """
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=' ', skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise TableError(
            expected='columns with a space between', came=f'{where}: {error}', todo='correct it'
        ) from error
    rows = [(number, [cell for cell in line if cell]) for number, line in enumerate(lines, 1)]
    rows = [(number, cells) for number, cells in rows if cells]
    counts = [min(_numbers_at_end(cells), len(cells) - 1) for _, cells in rows]
    fewest, required = min(counts, default=0), labels or 1
    if rows and fewest < required:
        raise TableError(
            expected=f'{"a label" if required == 1 else f"{required} ratings"} at the end of every line',
            came=f'line {rows[counts.index(fewest)][0]} of {where} without', todo='give an official split list',
        )  # fmt: skip
    width = labels or (3 if fewest >= 3 else 1)
    return [_listed(cells, width, is_there, f'line {number} of {where}') for number, cells in rows]


def _numbers_at_end(cells: Sequence[str]) -> int:
    count = 0
    for cell in reversed(cells):
        try:
            if not math.isfinite(float(cell)):
                return count
        except ValueError:
            return count
        count += 1
    return count


def _listed(cells: Sequence[str], labels: int, is_there: Callable[[str], bool], where: str) -> ListedClip:
    paths, numbers = cells[:-labels], tuple(float(cell) for cell in cells[-labels:])
    if PurePosixPath(paths[-1]).suffix.lower() not in AUDIO or len(paths) == 1:
        return ListedClip(' '.join(paths), None, numbers)
    splits = [(' '.join(paths[:index]), ' '.join(paths[index:])) for index in range(1, len(paths))]
    if len(splits) > 1 and paths[0].startswith('/'):
        splits = [pair for pair in splits if pair[1].startswith('/')] or splits
    if len(splits) > 1:
        equal_names = [pair for pair in splits if _stem(pair[0]) == _stem(pair[1])]
        existing = [pair for pair in splits if is_there(pair[0]) and is_there(pair[1])]
        splits = existing if len(existing) == 1 else equal_names or splits
    if len(splits) > 1:
        raise TableError(
            expected='two paths and a label, with one space between', came=f'{where}, with more spaces',
            todo='put paths with spaces in quotes: "my frames/clip 1" "my sound/clip 1.wav" 0',
        )  # fmt: skip
    return ListedClip(*splits[0], numbers)


def _stem(path: str) -> str:
    name = PurePosixPath(path)
    return name.stem if name.suffix.lower() in (*AUDIO, *VIDEO) else name.name


class PathsBelow:
    """Finds paths of another machine below a folder: the longest trailing part of each that exists.

    A replacement of leading folders that led to a path is tried for the next path with the same extension. A longer
    trailing part always comes before a shorter one: where `1.wav` and `b/1.wav` exist, a path that ends in `b/1.wav` is
    the second, however many paths were found by name alone.

    Args:
        folder: your folder.
        place_of: function from a path to the existing one, which may have another name, or None; None for the path
            itself.
    """

    def __init__(self, folder: Path, place_of: Callable[[Path], Path | None] | None = None) -> None:
        self.folder, self._place_of = folder, place_of or _existing
        self._replacements: dict[str, list[tuple[str, int]]] = {}
        """Extension of a path, '' for folders, to (replacement of its first parts, number of these), latest first."""

    def find(self, path: str) -> str | None:
        """The path relative to the folder; None if nothing exists, and for a path with `..`."""
        parts = _parts(path)
        successes = self._replacements.get(_ending(parts), [])
        replacements = dict.fromkeys((*successes, *(('', skipped) for skipped in range(len(parts)))))
        for prefix, skipped in sorted(replacements, key=lambda pair: pair[1]):  # stable: latest success first
            if skipped >= len(parts):
                continue
            existing = self._place_of(self.folder.joinpath(prefix, *parts[skipped:]))
            if existing is not None:
                self._learn(parts, (prefix, skipped))
                return existing.relative_to(self.folder).as_posix()
        return None

    def learn(self, path: str, place: str) -> None:
        """Learn that a path was found at `place`, relative to the folder; their last two parts (or one) are equal."""
        parts = _parts(path)
        shared = min(len(parts), 2)
        self._learn(parts, ('/'.join(place.split('/')[:-shared]), len(parts) - shared))

    def knows(self, path: str) -> bool:
        """Whether a path with the same extension was found before."""
        return bool(self._replacements.get(_ending(_parts(path))))

    def _learn(self, parts: Sequence[str], replacement: tuple[str, int]) -> None:
        successes = self._replacements.setdefault(_ending(parts), [])
        if not successes or successes[0] != replacement:
            self._replacements[_ending(parts)] = list(dict.fromkeys((replacement, *successes)))


def _existing(path: Path) -> Path | None:
    try:
        return path if path.exists() else None
    except OSError:  # a name too long for a file
        return None


def _parts(path: str) -> list[str]:
    """Folders and name; empty where they leave the folder, or are too many."""
    parts = [part for part in re.split(r'[/\\]', path) if part not in ('', '.')]
    return [] if '..' in parts or len(parts) > DEEPEST else parts


def _ending(parts: Sequence[str]) -> str:
    return parts[-1].rpartition('.')[2] if parts and '.' in parts[-1] else ''
