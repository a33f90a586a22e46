"""NumPy archives from untrusted sources, read without running any code in them.

Corpora often store their labels in an .npz whose arrays hold Python objects; NumPy reads those with pickle, which runs
any code that the file contains. Here `pickles.py` reads them. Only .npz and .npy are read; an array's dtype must be
bool, int, float, complex, str, bytes or object, and limits grow with the size of the file (`Ceilings`).
"""

from __future__ import annotations

import ast
import io
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from affekt.errors import ArchiveError
from affekt.files import only_regular
from affekt.pickles import DAMAGE, DTYPE, Ceilings, checked_shape, refused, unpickled

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods that NumPy writes; others may demand memory beyond the limits."""


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an archive by name.

    Args:
        path: an .npz file, or an .npy file, whose only name is ''.

    Returns:
        Name to array; an object array of no dimensions is replaced by the plain object in it.

    Raises:
        ArchiveError: the file is missing, empty, truncated, larger than its own size allows, or holds anything but
            arrays and plain values, or two of one name.
    """
    try:
        with open(path, 'rb', opener=only_regular) as file:
            ceilings = Ceilings(path, os.fstat(file.fileno()).st_size)
            magic = file.read(6)
            file.seek(0)
            if magic == b'\x93NUMPY':
                ceilings.take(ceilings.file_bytes)
                return {'': _read_array(io.BytesIO(file.read(ceilings.file_bytes)), ceilings, path.name)}
            return _read_members(file, ceilings)
    except OSError as error:
        raise ArchiveError(
            expected='an .npz file', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error


def read_array(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """The numeric array of one .npy file, after checking that the file has at least the size that its header states.

    Args:
        path: an .npy file.
        mapped: map the file into memory, so that values are read on access.

    Raises:
        ArchiveError: the file is missing, damaged, shorter than its shape requires, or holds objects or several arrays.
    """
    try:
        with path.open('rb') as file:
            shape, dtype, fortran = _header(file)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype == 'O':
            raise ValueError('Python objects where numbers belong')
        expected_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + expected_bytes > size:
            raise ValueError(f'{size - offset} of {expected_bytes} bytes')
        order: Any = 'F' if fortran else 'C'
        if expected_bytes and mapped:
            return np.memmap(path, dtype, 'r', offset, shape, order)
        with path.open('rb') as file:
            file.seek(offset)
            return np.fromfile(file, dtype, math.prod(shape)).reshape(shape, order=order)
    except OSError as error:
        raise ArchiveError(
            expected='an .npy file', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error
    except DAMAGE as error:
        raise refused(path, str(error)[:160], 'a whole .npy array of numbers') from error


def _read_members(file: BinaryIO, ceilings: Ceilings) -> dict[str, Any]:
    """The .npy members of an archive by name; other members are ignored."""
    path = ceilings.path
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith('.npy')]
            ceilings.take(sum(info.file_size for info in members))
            if unknown_methods := [info.filename for info in members if info.compress_type not in _METHODS]:
                raise refused(
                    path,
                    f'{unknown_methods[0][:160]!r} compressed in another way',
                    'arrays that are stored or deflated',
                )
            arrays: dict[str, Any] = {}
            for info in members:
                if (name := info.filename.removesuffix('.npy')) in arrays:
                    raise refused(path, f'two named {name[:160]!r}', 'arrays of different names')
                with archive.open(info) as stream:
                    content = io.BytesIO(stream.read(info.file_size + 1))
                arrays[name] = _read_array(content, ceilings, info.filename)
            return arrays
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise refused(path, f'a damaged archive ({str(error)[:160]})', 'a whole .npz file') from error


def _read_array(content: io.BytesIO, ceilings: Ceilings, name: str) -> Any:
    """The array in one .npy file: magic, version, header, then raw values or a pickle."""
    try:
        shape, dtype, fortran = _header(content)
        if dtype == 'O':
            array = unpickled(content, ceilings)
            return array.item() if array.ndim == 0 else array
        element_type = np.dtype(dtype)
        expected_bytes, body = math.prod(shape) * element_type.itemsize, content.read()
        if len(body) < expected_bytes:
            raise ValueError(f'{len(body)} of {expected_bytes} bytes')
        return np.frombuffer(body, element_type, math.prod(shape)).reshape(shape, order='F' if fortran else 'C').copy()
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise refused(ceilings.path, f'{name[:160]} damaged ({str(error)[:160]})', 'a whole .npy array') from error


def _header(content: BinaryIO) -> tuple[tuple[int, ...], str, bool]:
    """Shape, dtype and whether the order is Fortran's; `content` is then at the first value."""
    magic = content.read(8)
    if magic[:6] != b'\x93NUMPY' or len(magic) < 8 or magic[6] not in (1, 2, 3):
        raise ValueError('no .npy header')
    size = struct.unpack('<H', content.read(2))[0] if magic[6] == 1 else struct.unpack('<I', content.read(4))[0]
    if size > 1 << 16:
        raise ValueError('header too long')
    fields = ast.literal_eval(content.read(size).decode('utf-8' if magic[6] == 3 else 'latin-1').strip())
    shape, dtype = checked_shape(tuple(fields['shape'])), str(fields['descr'])
    if not DTYPE.fullmatch(dtype):
        raise ValueError(f'dtype {dtype}')
    return shape, 'O' if dtype.endswith('O') else dtype, bool(fields['fortran_order'])
