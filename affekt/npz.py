"""NumPy archives from strangers, read without running anything that they hold.

A corpus often keeps its labels in an .npz whose arrays hold Python objects; NumPy reads those with pickle, which runs
whatever the file asks for. `read_npz` walks the same bytes with an unpickler that knows two things only: arrays (built
here, by hand) and plain values (dict, list, tuple, set, str, bytes, int, float, bool, None). Anything else is refused
by name.

Only .npz and .npy are read; an array's dtype must be bool, int, float, complex, str, bytes or object.
"""

from __future__ import annotations

import ast
import io
import math
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from affekt.errors import ArchiveError
from affekt.runs import only_regular

LARGEST_BYTES = 1 << 29
"""What one archive may hold when decompressed."""
_DTYPE = re.compile(r'[<>|=]?[biufcUSO?]\d{0,6}')


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an archive by name; an array of no dimensions that holds one object is that object.

    Args:
        path: an .npz, or an .npy (then the one name is '').

    Returns:
        Name to array, or to the plain object that a 0-dimensional object array holds.

    Raises:
        ArchiveError: the file is missing, empty, truncated, too large, or asks for anything but arrays and plain
            values.
    """
    try:
        with open(path, 'rb', opener=only_regular) as file:
            magic = file.read(6)
            file.seek(0)
            if magic == b'\x93NUMPY':
                return {'': _read_array(_limited(file, path), path, path.name)}
            return _read_members(file, path)
    except OSError as error:
        raise ArchiveError(
            expected='an .npz file', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error


def _read_members(file: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith('.npy')]
            if (total := sum(info.file_size for info in members)) > LARGEST_BYTES:
                raise _refused(path, f'{total} bytes of arrays', f'at most {LARGEST_BYTES} bytes')
            found = {}
            for info in members:
                with archive.open(info) as stream:
                    content = io.BytesIO(stream.read(info.file_size + 1))
                found[info.filename.removesuffix('.npy')] = _read_array(content, path, info.filename)
            return found
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise _refused(path, f'a damaged archive ({error})', 'a whole .npz file') from error


def _limited(file: BinaryIO, path: Path) -> io.BytesIO:
    content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise _refused(path, 'a larger file', f'at most {LARGEST_BYTES} bytes')
    return io.BytesIO(content)


def _read_array(content: io.BytesIO, path: Path, name: str) -> Any:
    """One .npy: magic, version, header, then raw values or a pickle."""
    try:
        shape, dtype, fortran = _header(content)
        if dtype == 'O':
            value = _Unpickler(content, path).load()
            array = value.array if isinstance(value, _Array) else None
            if array is None:
                raise ValueError('an object array without an array in it')
            return array.item() if array.ndim == 0 else array
        kind = np.dtype(dtype)
        need, body = math.prod(shape) * kind.itemsize, content.read()
        if len(body) < need:
            raise ValueError(f'{len(body)} of {need} bytes')
        return np.frombuffer(body, kind, math.prod(shape)).reshape(shape, order='F' if fortran else 'C').copy()
    except ArchiveError:
        raise
    except _DAMAGE as error:
        raise _refused(path, f'{name} damaged ({error})', 'a whole .npy array') from error


_DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, SyntaxError, OverflowError, MemoryError,
    RecursionError, struct.error, pickle.UnpicklingError,
)  # fmt: skip
"""What reading damaged bytes can raise."""


def _header(content: io.BytesIO) -> tuple[tuple[int, ...], str, bool]:
    magic = content.read(8)
    if magic[:6] != b'\x93NUMPY' or magic[6] not in (1, 2, 3):
        raise ValueError('no .npy header')
    size = struct.unpack('<H', content.read(2))[0] if magic[6] == 1 else struct.unpack('<I', content.read(4))[0]
    if size > 1 << 16:
        raise ValueError('header too long')
    held = ast.literal_eval(content.read(size).decode('utf-8' if magic[6] == 3 else 'latin-1').strip())
    shape, dtype = tuple(held['shape']), str(held['descr'])
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(f'shape {shape}')
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f'dtype {dtype}')
    return shape, 'O' if dtype.endswith('O') else dtype, bool(held['fortran_order'])


class _DType:
    """Stands for numpy.dtype in a pickle: a checked name and a byte order."""

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            raise ValueError(f'dtype {name!r}')
        self.name, self.order = name, ''

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[3] is not None:
            raise ValueError('a dtype with fields')
        self.order = state[1] if state[1] in ('<', '>') else ''

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.name.lstrip('<>|='))


class _Array:
    """Stands for numpy.ndarray in a pickle: built from its state, never by NumPy's own reconstruction."""

    array: npt.NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, values = state
        size = math.prod(shape)
        if dtype.name.lstrip('<>|=')[0] == 'O':
            if not isinstance(values, list) or len(values) != size:
                raise ValueError('object array of another length')
            flat = np.empty(size, dtype=object)
            flat[:] = [_plain(value) for value in values]
        else:
            kind = dtype.numpy()
            content = values.encode('latin-1') if isinstance(values, str) else values
            if not isinstance(content, bytes) or len(content) != size * kind.itemsize:
                raise ValueError('array of another length')
            flat = np.frombuffer(content, kind).copy()
        self.array = flat.reshape(shape, order='F' if fortran else 'C')


def _plain(value: Any) -> Any:
    """A value with every stand-in replaced by its array."""
    if isinstance(value, _Array):
        if value.array is None:
            raise ValueError('an array without content')
        return value.array
    if isinstance(value, dict):
        return {_plain(key): _plain(held) for key, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_plain(held) for held in value)
    return value


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    return _Array()


def _scalar(dtype: _DType, content: bytes | str = b'') -> Any:
    raw = content.encode('latin-1') if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.numpy(), 1)[0].item()


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise ValueError('text in another encoding')
    return text.encode('latin-1')


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f'numpy.{core}.multiarray', '_reconstruct'): _reconstruct for core in ('core', '_core')},
    **{(f'numpy.{core}.multiarray', 'scalar'): _scalar for core in ('core', '_core')},
    ('numpy', 'ndarray'): _Array,
    ('numpy', 'dtype'): _DType,
    ('_codecs', 'encode'): _encode,
    ('builtins', 'set'): set,
    ('builtins', 'frozenset'): frozenset,
    ('collections', 'OrderedDict'): dict,
}
"""All that a pickle may name, and what stands for it here."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: io.BytesIO, path: Path) -> None:
        super().__init__(content, encoding='latin1')
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _refused(self._path, f'a file that asks for {module}.{name}', 'arrays of plain values') from None


def _refused(path: Path, came: str, expected: str) -> ArchiveError:
    return ArchiveError(expected=expected, came=f'{path}: {came}', todo='take the file from its maker again')
