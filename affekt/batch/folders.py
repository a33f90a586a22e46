"""Search of files and folders for recordings, which are named by their relative paths; the rest is counted.

Nothing is skipped silently: a broken link, an unreadable folder, a pipe or a device is reported as a problem; files
with other extensions are counted by extension.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affekt.analysis import parts_of
from affekt.containers import is_media_name
from affekt.errors import AffektError, FileError, MediaError
from affekt.runs import JOURNAL, require_regular_file
from affekt.tables import storable

NO_ENDING = '(no ending)'
HIDDEN = '(hidden)'
MOST_REASONS = 5
"""Maximum number of entries that an error names where nothing can be read."""


@dataclass(frozen=True)
class Clip:
    """One file to analyze."""

    path: Path
    file: str
    """Path relative to the named folder, with '/' between its parts, which identifies the clip."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders below the named one: often the condition, the speaker, the session."""
        return parts_of(self.file)


@dataclass(frozen=True)
class Gathered:
    """The contents of the named files and folders."""

    clips: tuple[Clip, ...]
    """Sorted within each folder, without duplicates."""
    problems: tuple[tuple[Clip, AffektError], ...] = ()
    """Entries that cannot be read, each with the reason."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Extension to the number of files in the folders that are not media by their name."""
    remarks: tuple[str, ...] = ()
    """Sentences on folders that were not searched."""


def gather(paths: Sequence[str | Path]) -> Gathered:
    """The recordings in paths: files of any name, and media files in folders and their subfolders.

    Args:
        paths: files with any extension, and folders. With several, clips are named relative to their common folder.

    Raises:
        MediaError: there is nothing to analyze.
    """
    search = _Search()
    for path in map(Path, paths):
        search.add_path(path)
    if not search.files:
        if len(search.problems) == 1:
            raise search.problems[0][1]
        raise MediaError(
            expected='media files',
            came='; '.join(str(error.came) for _, error in search.problems[:MOST_REASONS]) or 'no path',
            todo='name a folder with video, audio or images',
        )
    base = _shared_folder([Path(path) for path in paths])
    return Gathered(
        tuple(Clip(path, _below(path, base)) for path in search.files.values()),
        tuple((Clip(path, _below(path, base)), error) for path, error in search.problems),
        dict(search.left_out.most_common()),
        tuple(search.remarks),
    )


class _Search:
    """The state of a search."""

    def __init__(self) -> None:
        self.files: dict[Path, Path] = {}
        """Absolute path to the path as it was reached."""
        self.problems: list[tuple[Path, AffektError]] = []
        self.left_out: Counter[str] = Counter()
        self.remarks: list[str] = []
        self._searched: set[tuple[int, int]] = set()

    def add_path(self, path: Path) -> None:
        """Adds one of the given paths."""
        try:
            is_folder = path.is_dir()
        except OSError as error:
            return self._problem(path, _unreadable(path, error))
        if is_folder:
            counts_before = (len(self.files), len(self.problems), self.left_out.copy())
            is_new = self._folder(path)
            if is_new and counts_before[:2] == (len(self.files), len(self.problems)):
                self._problem(path, _no_media(path, self.left_out - counts_before[2]))
        elif _exists(path):
            self._file(path)
        else:
            missing = MediaError(expected='an existing file or folder', came=f'{path}', todo='check the path')
            self._problem(path, missing)
        return None

    def _folder(self, top: Path) -> bool:
        """Searches a folder; links to other folders come last, so that files are named by their own location.

        Returns whether the folder itself had not been searched before.
        """
        is_new = True
        waiting: list[Path] = [top]
        linked: list[Path] = []
        while waiting or linked:
            folder = waiting.pop() if waiting else linked.pop(0)
            if not self._is_new(folder):
                is_new = is_new and folder is not top
                if folder.is_symlink():
                    self.remarks.append(f'{storable(str(folder))} leads to a folder that has been searched already')
                continue
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                self._problem(folder, _unreadable(folder, error))
                continue
            folders = [self._entry(entry) for entry in entries]
            linked += [path for path in folders if path is not None and path.is_symlink()]
            waiting += [path for path in reversed(folders) if path is not None and not path.is_symlink()]
        self._sort(top)
        return is_new

    def _entry(self, entry: os.DirEntry[str]) -> Path | None:
        """The path of an entry that is a folder to search; records others and returns None."""
        path = Path(entry.path)
        if entry.name.startswith('.'):
            self.left_out[HIDDEN] += 1
            return None
        try:
            is_folder = entry.is_dir()
            if is_folder and (path / JOURNAL).exists():
                self.remarks.append(f'{storable(entry.path)} is the folder of a run, so it is not searched')
                return None
            is_file = not is_folder and entry.is_file()
        except OSError as error:  # a link that refers to itself
            self._problem(path, _unreadable(path, error))
            return None
        if is_folder:
            return path
        if is_file and not is_media_name(path):
            self.left_out[storable(path.suffix.lower()) or NO_ENDING] += 1
        else:
            self._file(path)
        return None

    def _file(self, path: Path) -> None:
        try:
            require_regular_file(path)
        except FileError as error:
            self._problem(path, MediaError(expected=error.expected, came=error.came, todo=error.todo))
        except (OSError, ValueError) as error:
            self._problem(path, _unreadable(path, error))
        else:
            self.files.setdefault(Path(os.path.abspath(path)), path)

    def _problem(self, path: Path, error: AffektError) -> None:
        self.problems.append((path, error))

    def _is_new(self, folder: Path) -> bool:
        """Whether the folder has not been searched yet, on any path."""
        try:
            status = folder.stat()
        except OSError:
            return True
        identity = (status.st_dev, status.st_ino)
        is_new = identity not in self._searched
        self._searched.add(identity)
        return is_new

    def _sort(self, top: Path) -> None:
        """Sorts the files below a folder by path, after the files of earlier arguments."""
        folder = Path(os.path.abspath(top))
        contained = sorted(path for path in self.files if path.is_relative_to(folder))
        self.files.update({path: self.files.pop(path) for path in contained})


def _exists(path: Path) -> bool:
    """Whether an entry of this name exists, including a broken link."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode) != 0
    except (OSError, ValueError):
        return False


def _shared_folder(paths: Sequence[Path]) -> Path:
    """The folder that relative paths start from: the given one, or the common parent of all given paths."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    if len(absolute) == 1:
        return absolute[0] if absolute[0].is_dir() else absolute[0].parent
    try:
        return Path(os.path.commonpath([path.parent for path in absolute]))
    except ValueError:  # on different drives
        return Path(absolute[0].anchor)


def _below(path: Path, base: Path) -> str:
    absolute = Path(os.path.abspath(path))
    relative = absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else absolute.name
    return absolute.name if relative == '.' else relative


def _no_media(folder: Path, left_out: Mapping[str, int]) -> MediaError:
    counts = ', '.join(f'{number} {suffix}' for suffix, number in Counter(left_out).most_common(8))
    came = f'none among {counts}' if counts else 'none'
    return MediaError(expected=f'media files in {folder}', came=came, todo='name a folder with video, audio or images')


def _unreadable(path: Path, error: Exception) -> MediaError:
    reason = getattr(error, 'strerror', None) or str(error)
    if os.path.islink(path) and not _target_exists(path):
        return MediaError(
            expected='a link that leads to a file',
            came=f'{str(path)!r}: {reason}',
            todo='correct or remove the link, or restore its target',
        )
    return MediaError(
        expected='a file or folder that may be read', came=f'{str(path)!r}: {reason}', todo='check its permissions'
    )


def _target_exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
