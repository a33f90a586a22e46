"""A run folder: settings, seed, versions, input hashes, and a journal of finished results.

A run survives `kill -9` at any moment: a result is written under a temporary name, flushed, renamed, and only then
recorded in the journal with the sizes of its files. `Run.finished(key)` is true only for a result that is complete on
disk. A run deletes only what it recorded beforehand as its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any

from affekt.errors import AffektError, RunError
from affekt.files import (
    LOG,
    PART,
    file_atomically,
    file_sha256,
    files_below,
    folder_atomically,
    only_regular,
    part_of,
    place_atomically,
    read_regular_file,
    require_regular_file,
    storage_error,
    write_atomically,
)
from affekt.journals import JOURNAL, Entry, entry_at, placed_entries, read_journal, sampled
from affekt.moved_names import with_new_names

__all__ = [
    'JOURNAL', 'Entry', 'Run', 'entry_at', 'file_atomically', 'file_sha256', 'folder_atomically', 'hashes_of', 'locked',
    'only_regular', 'place_atomically', 'placed_entries', 'read_journal', 'read_regular_file', 'read_settings',
    'record_beside', 'remove_run', 'require_new_run', 'require_regular_file', 'sampled', 'versions', 'write_atomically',
]  # fmt: skip

SETTINGS = 'settings.json'
LOCK = '.lock'
RECORDED_PACKAGES = (
    'affekt', 'numpy', 'av', 'onnxruntime', 'ai-edge-litert', 'ctranslate2', 'pyarrow', 'torch', 'transformers',
)  # fmt: skip


def hashes_of(paths: Iterable[Path]) -> dict[str, str]:
    """Name of each file to its SHA-256; the path instead of the name where files in several folders share one."""
    unique_paths = list(dict.fromkeys(paths))
    counts = Counter(path.name for path in unique_paths)
    return {path.name if counts[path.name] == 1 else str(path): file_sha256(path) for path in unique_paths}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    installed = {'python': sys.version.split()[0]}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def require_new_run(folder: Path, *, resume: bool) -> None:
    """Refuse a folder whose content `Run` would refuse, before long work.

    Args:
        folder: folder of the run.
        resume: whether the run that it holds is to be continued.

    Raises:
        RunError: it holds other files, or a run although `resume` is False.
    """
    if not folder.exists():
        return
    try:
        _refuse_foreign_files(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    if (folder / SETTINGS).exists() and not resume:
        raise RunError(
            expected='a new folder', came=f'a run in {folder}',
            todo='add --resume to continue it, or choose another --out',
        )  # fmt: skip


def _refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder that holds no run and is not empty, except for the remains of a run killed while it began."""
    path = folder / SETTINGS
    if path.exists():
        if not isinstance(_read_json(path).get('settings'), dict):
            raise RunError(
                expected='an empty folder or a run', came=f'{folder} with a {SETTINGS} of another program',
                todo='choose another --out',
            )  # fmt: skip
        return
    own_names = {LOCK, part_of(path).name}
    foreign_names = sorted(entry.name for entry in folder.iterdir() if entry.name not in own_names)
    if LOCK not in foreign_names and (folder / LOCK).exists() and (folder / LOCK).stat().st_size:
        foreign_names.append(LOCK)
    if foreign_names:
        count_of_others = f'{len(foreign_names)} other {"entry" if len(foreign_names) == 1 else "entries"}'
        shown = ', '.join(foreign_names[:3])
        raise RunError(
            expected='an empty folder or a run',
            came=f'{folder} with {count_of_others} ({shown}{", …" if len(foreign_names) > 3 else ""})',
            todo='choose another --out',
        )


def _is_without_results(folder: Path) -> bool:
    """Whether a run was killed before it had any result: nothing depends on its settings yet."""
    others = {entry.name for entry in folder.iterdir()} - {SETTINGS, LOCK, JOURNAL}
    is_partial = all(name.startswith('.') and PART in name for name in others)
    return is_partial and next(read_journal(folder), None) is None


def _write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    text = json.dumps({'settings': settings, 'versions': versions()}, indent=2, sort_keys=True)
    write_atomically(path, text.encode())


class Run:
    """A folder of results, written by one process at a time.

    Args:
        folder: folder of the run, created if missing.
        settings: everything that the results depend on; a resumed run must have the same settings.
        resume: continue the run that the folder holds; one without any result may begin with other settings.
        renamed: old to new names of settings with which the run may have been saved.
        keeps_facts: whether the facts of results are kept in memory; otherwise only the journal has them.
        whose: whose settings differ, in the error where they do.
        otherwise: advice in that error.

    Raises:
        RunError: the folder holds other files (hidden ones included), a run although `resume` is False, or a run with
            results of other settings, or another process is using it.
        StorageError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        resume: bool = False,
        renamed: Mapping[str, str] = MappingProxyType({}),
        keeps_facts: bool = True,
        whose: str = 'of the run that is resumed',
        otherwise: str = 'use the same options, or choose another --out',
    ) -> None:
        self.folder, self._renamed, self._keeps_facts = folder, renamed, keeps_facts
        self._whose, self._otherwise = whose, otherwise
        self._damaged: set[str] = set()
        self._lock: IO[str] | None = None
        self.kept: Callable[[], str] = self._kept_results
        """Returns the sentence on what an interrupted run keeps; runs that keep more than results replace it."""
        json_settings = json.loads(json.dumps(dict(settings)))
        in_use = RunError(
            expected='a run that no other process is writing',
            came=f'{folder} in use',
            todo='wait for it, or choose another --out',
        )
        folder_existed, lock_existed = os.path.exists(folder), os.path.exists(folder / LOCK)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_foreign_files(folder)  # before anything is written
            self._lock = locked(folder, in_use)
            self._begin(json_settings, resume)
        except BaseException as error:
            if self._lock is not None and not lock_existed and not (folder / SETTINGS).exists():
                with contextlib.suppress(OSError):
                    (folder / LOCK).unlink()
            self.close()
            if not folder_existed:
                with contextlib.suppress(OSError):  # it is not empty
                    folder.rmdir()
            if isinstance(error, OSError):
                raise storage_error(error, folder) from error
            raise

    def _begin(self, settings: dict[str, Any], resume: bool) -> None:
        path = self.folder / SETTINGS
        if path.exists():
            require_new_run(self.folder, resume=resume)
            saved = with_new_names(_read_json(path).get('settings'), self._renamed)
            if saved != settings and _is_without_results(self.folder):
                _write_settings(path, settings)
            elif saved != settings:
                saved = saved if isinstance(saved, dict) else {}
                raise RunError(
                    expected=f'the settings {self._whose}',
                    came=f'other values for {", ".join(_differing(saved, settings))}',
                    todo=self._otherwise,
                )
        else:
            _write_settings(path, settings)
        self._remove_unfinished()
        self._entries = {entry.key: self._in_memory(entry) for entry in read_journal(self.folder)}

    def _in_memory(self, entry: Entry) -> Entry:
        return entry if self._keeps_facts else replace(entry, facts={})

    def _remove_unfinished(self) -> None:
        """Remove partial results that a killed run recorded."""
        if self._lock is None:
            return
        self._lock.seek(0)
        for name in self._lock.read(1 << 16).splitlines():
            if name and name == Path(name).name:
                shutil.rmtree(part_of(self.folder / name), ignore_errors=True)
        self._record_building('')

    def _record_building(self, name: str) -> None:
        """Record the name of the result being built, so that a later run can remove it; on disk when this returns."""
        if self._lock is None:
            return
        try:
            self._lock.seek(0)
            self._lock.truncate()
            self._lock.write(name)
            self._lock.flush()
            os.fsync(self._lock.fileno())
        except OSError as error:
            raise storage_error(error, self.folder / LOCK) from error

    @contextlib.contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """A folder to fill that appears in the run as `name` when complete, or not at all; `note` then records it.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._record_building(name)
        with folder_atomically(self.folder / name) as staging:
            yield staging
        self._record_building('')

    def finished(self, key: str, main: str = '', without: Sequence[str] = ()) -> Entry | None:
        """The journal entry of `key` if its result is complete on disk; None if it has to be computed (again).

        Args:
            key: key of the result, as given to `note`.
            main: file that the result must have where an older version recorded no files.
            without: files of the result, as paths in the run, that may be missing or damaged.
        """
        entry = self._entries.get(key)
        if entry is None or key in self._damaged:
            return None
        if damage := entry.damage(self.folder, main, without):
            LOG.warning('%s in %s is done again: %s', entry.folder, self.folder, damage)
            self._damaged.add(key)
            return None
        return entry

    def note(self, key: str, folder: str, *, files: Sequence[str] | None = None, **facts: Any) -> None:
        """Record a finished result in the journal; on disk when this returns.

        Args:
            key: key of the result for `finished`.
            folder: folder or file of the result, as a path in the run.
            files: files and folders of the result, as paths in the run; by default what `folder` names.
            facts: further JSON values to record.

        Raises:
            StorageError: the journal cannot be written, as on a full disk, or the result cannot be read.
        """
        try:
            written = {name: sampled(self.folder / name) for name in self._files_of(files or (folder,))}
        except OSError as error:
            raise storage_error(error, self.folder / folder) from error
        self._append(Entry(key, folder, facts, written))
        self._damaged.discard(key)

    def amend(self, key: str, **facts: Any) -> None:
        """Change recorded facts of a result; the record of its files stays, complete or not.

        Raises:
            StorageError: the journal cannot be written, as on a full disk.
        """
        entry = self._entries[key]
        self._append(replace(entry, facts={**entry.facts, **facts}))

    def _append(self, entry: Entry) -> None:
        """Append a line to the journal."""
        path = self.folder / JOURNAL
        line_fields = {**entry.facts, 'key': entry.key, 'folder': entry.folder}
        try:
            line = json.dumps(
                line_fields if entry.files is None else {**line_fields, 'files': entry.files}, sort_keys=True
            )
            with open(path, 'ab', opener=_no_link) as journal:
                if journal.tell() and not _ends_with_newline(path):
                    journal.write(b'\n')  # the previous line was cut short by a kill
                journal.write(line.encode() + b'\n')
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise storage_error(error, path) from error
        self._entries[entry.key] = self._in_memory(entry)

    def _files_of(self, names: Sequence[str]) -> Iterator[str]:
        """The files named by paths in the run, folders expanded; the path of the run itself gives none."""
        for name in names:
            path = self.folder / name
            if path.is_file():
                yield name
            elif path != self.folder:
                yield from (f'{name}/{inner_path}' for inner_path in files_below(path))

    def close(self) -> None:
        """Release the lock, so that other processes may use the folder."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # closing writes once more what a full disk refused
                self._lock.close()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and (self._entries or not hasattr(error, '__notes__')):
            error.add_note(self.kept())  # of nested runs without results, only the innermost adds its sentence
        self.close()

    def _kept_results(self) -> str:
        """The sentence on how many results an interrupted run keeps."""
        count = len(self._entries)
        if not count:
            return f'no result is finished yet in {self.folder}'
        return f'{count:,} finished {"result is" if count == 1 else "results are"} kept in {self.folder}'


def remove_run(folder: Path, files: Sequence[str]) -> None:
    """Remove a run whose results are stored elsewhere: the given files, its own, and the folder if it is empty then."""
    for name in (*files, SETTINGS, JOURNAL, LOCK):
        for path in (folder / name, part_of(folder / name)):
            with contextlib.suppress(OSError):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def read_settings(folder: Path) -> dict[str, Any]:
    """The contents of `settings.json` of a run.

    Raises:
        RunError: the folder holds no run.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise RunError(
            expected='a run folder',
            came=f'{folder} without {SETTINGS}',
            todo='name the folder that `affekt analyze` printed',
        )
    return _read_json(path)


RECORD = 'record.json'
"""File with everything that answers depend on, in their folder or one above it."""
_RECORD_ABOVE = 4
"""Number of folders that are searched: that of the answers and its parents."""


def record_beside(path: Path) -> dict[str, Any] | None:
    """The record of everything that answers depend on (model with its hash, versions, prompt); None without one.

    Searched are `FILE.settings.json`, then in the folder and each of the three above it `record.json` and the settings
    of a run that applied a model.

    Args:
        path: file or folder of answers.
    """
    folder = path if path.is_dir() else path.parent
    paths = [] if path.is_dir() else [path.with_name(f'{path.name}.settings.json')]
    for ancestor in [folder, *folder.absolute().parents][:_RECORD_ABOVE]:
        paths += [ancestor / RECORD, ancestor / SETTINGS]
    for candidate in paths:
        try:
            content = _read_json(candidate) if candidate.is_file() else {}
        except (RunError, OSError):
            continue
        record = content.get('settings') if candidate.name == SETTINGS else content
        if not isinstance(record, dict) or not record:
            continue
        if candidate.name != SETTINGS:
            return record
        if isinstance(record.get('record'), dict) or 'weights_sha256' in record:
            return {**dict(record.get('record') or record), 'versions': content.get('versions')}
    return None


def _differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    """Sorted names of settings whose values differ; nested ones are written as `settings.epochs`."""
    for name in sorted({*left, *right}):
        left_value, right_value = left.get(name), right.get(name)
        if isinstance(left_value, dict) and isinstance(right_value, dict):
            yield from (f'{name}.{inner}' for inner in _differing(left_value, right_value))
        elif left_value != right_value:
            yield name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular_file(path).decode())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(
            expected=f'readable JSON in {path.name}', came=f'{error}', todo='choose another run folder'
        ) from error
    return content if isinstance(content, dict) else {}


def _ends_with_newline(path: Path) -> bool:
    with path.open('rb') as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b'\n'


def locked(folder: Path, in_use: AffektError) -> IO[str]:
    """An advisory lock on a folder, which the operating system releases when the process ends, however it ends.

    Args:
        folder: an existing folder.
        in_use: the error to raise where another process holds the lock.

    Returns:
        The open lock file, to be closed when done; on systems without such locks nothing is locked.
    """
    lock = open(folder / LOCK, 'a+', encoding='utf-8', errors='surrogateescape', opener=_no_link)  # noqa: SIM115
    try:
        import fcntl
    except ImportError:
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise in_use from error
    except OSError:  # the file system has no locks
        return lock
    return lock


def _no_link(path: str, flags: int) -> int:
    """The `opener` of files that are appended to; a symbolic link at the path raises OSError."""
    return os.open(path, flags | getattr(os, 'O_NOFOLLOW', 0), 0o666)
