"""Pickles from untrusted sources, read without running any code in them.

An unpickler that supports only arrays (built here) and plain values (dict, list, tuple, set, str, bytes, int, float,
bool, None) parses the bytes; anything else is refused with its name. `read_pickle` reads a pickled dict of arrays, the
format of many body and face models; sparse matrices of SciPy and arrays of chumpy become a `StoredObject` of the
attributes they were stored with. `npz.py` reads the pickles within NumPy's files by `unpickled`.

An array's dtype must be bool, int, float, complex, str, bytes or object. A file of a few bytes may request gigabytes,
so every limit (`Ceilings`) grows with the size of the file and is checked before anything is allocated; the
instructions of a pickle are checked once (`_walk`) before any of them is executed.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import ArchiveError
from affekt.files import only_regular

LARGEST_BYTES = 1 << 29
"""Largest decompressed size of an archive in bytes, whatever the size of its file."""
FREE_BYTES, BYTES_PER_BYTE = 1 << 26, 256
"""A file of N bytes may hold 64 MiB + 256 N bytes: deflated text in fixed-width arrays reaches a factor of 200."""
FREE_VALUES, VALUES_PER_BYTE, MOST_VALUES = 1_000_000, 4, 8_000_000
"""A file of N bytes may hold 1,000,000 + 4 N plain values; a shared value counts each time it occurs."""
DEEPEST = 50
"""Maximum nesting of containers."""
LONGEST_EMPTY_AXIS = 1 << 20
"""Maximum product of the lengths, other than 0, of an empty array: it has no bytes that would limit them."""
LONGEST_NUMBER = 64
"""Largest size of an integer in a pickle, in bytes."""
DTYPE = re.compile(r'[<>|=]?[biufcUSO?]\d{0,6}')
DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, SyntaxError, OverflowError, MemoryError,
    RecursionError, struct.error, pickle.UnpicklingError,
)  # fmt: skip
"""Exceptions that reading damaged bytes can raise."""


@dataclass
class Ceilings:
    """What a file may still allocate; each grant is subtracted.

    Args:
        path: the file.
        file_bytes: its size.
        taken: bytes granted so far.
    """

    path: Path
    file_bytes: int
    taken: int = 0

    @property
    def bytes(self) -> int:
        """Limit in bytes for arrays and copies within a pickle together."""
        return min(FREE_BYTES + BYTES_PER_BYTE * self.file_bytes, LARGEST_BYTES)

    @property
    def values(self) -> int:
        """Limit of plain values; a shared value counts each time it occurs."""
        return min(FREE_VALUES + VALUES_PER_BYTE * self.file_bytes, MOST_VALUES)

    def take(self, size: int) -> None:
        """Grant `size` more bytes, >= 0.

        Raises:
            ArchiveError: the file asks for more than its size allows.
        """
        self.taken += size
        if self.taken > self.bytes:
            raise refused(
                self.path,
                f'{self.file_bytes:,} bytes that ask for more than {self.bytes:,}',
                'a file that holds about what it says',
            )


class StoredObject(dict[str, Any]):
    """The attributes with which an object was pickled; no code of its class was run."""

    type_name = ''
    """Module and name of the class, such as 'scipy.sparse.csc.csc_matrix'."""

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if part is not None and not isinstance(part, dict):
                raise ValueError(f'{self.type_name} with a state that is no dict')
            self.update(part or {})


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickled dict of arrays and plain values, read without running any code in it.

    Args:
        path: a pickle of any protocol, by Python 2 or 3.

    Returns:
        Name to array, plain value or `StoredObject`.

    Raises:
        ArchiveError: the file is missing, damaged, larger than its own size allows, not a dict, or holds anything but
            arrays, plain values, sparse matrices of SciPy and arrays of chumpy.
    """
    try:
        with open(path, 'rb', opener=only_regular) as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_BYTES:
                raise refused(path, f'{size:,} bytes', f'a pickle of at most {LARGEST_BYTES:,}')
            content = io.BytesIO(file.read(size))
        ceilings = Ceilings(path, size)
        _walk(content, ceilings)
        content.seek(0)
        value, _ = _StandInReplacer(ceilings).plain_and_size(_Unpickler(content, ceilings, _STORED).load())
        if type(value) is not dict or not all(isinstance(name, str) for name in value):
            raise ValueError('no dict of names')
        return value
    except OSError as error:
        raise ArchiveError(
            expected='a pickle', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise refused(path, f'a damaged pickle ({str(error)[:160]})', 'a whole pickle of a dict') from error


def checked_shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape, after checking that its lengths are whole numbers >= 0; those of an empty array are limited too.

    Raises:
        ValueError: they are not, or an empty array has axes of more than LONGEST_EMPTY_AXIS elements together.
    """
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(f'shape {shape}')
    if 0 in shape and math.prod(length or 1 for length in shape) > LONGEST_EMPTY_AXIS:
        raise ValueError('an empty array with an endless axis')
    return shape


class _DType:
    """Stand-in for numpy.dtype in a pickle: a checked name and a byte order."""

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not DTYPE.fullmatch(name):
            raise ValueError(f'dtype {name!r}')
        self.name, self.order = name, ''

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[3] is not None:
            raise ValueError('a dtype with fields')
        self.order = state[1] if state[1] in ('<', '>') else ''

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.name.lstrip('<>|='))


class _Array:
    """Stand-in for numpy.ndarray in a pickle: built from its state, not by NumPy's own reconstruction."""

    array: npt.NDArray[Any] | None = None
    flat: npt.NDArray[Any]
    """The same elements in one dimension; assigning one by one keeps a list a list."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, values = state
        size = math.prod(checked_shape(shape))
        if dtype.name.lstrip('<>|=')[0] == 'O':
            if not isinstance(values, list) or len(values) != size:
                raise ValueError('object array of another length')
            flat = np.empty(size, dtype=object)
            for index, value in enumerate(values):
                flat[index] = value
        else:
            element_type = dtype.numpy()
            content = values.encode('latin-1') if isinstance(values, str) else values
            if not isinstance(content, bytes) or len(content) != size * element_type.itemsize:
                raise ValueError('array of another length')
            flat = np.frombuffer(content, element_type).copy()
        self.flat, self.array = flat, flat.reshape(shape, order='F' if fortran else 'C')


class _StandInReplacer:
    """Replaces every stand-in by its array; shared values stay shared and are counted each time they occur."""

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceilings = ceilings
        self._finished: dict[int, tuple[Any, int]] = {}
        """Identity of a container to its plain form and the number of values in it, shared ones counted each time."""
        self._in_progress: set[int] = set()

    def plain_and_size(self, value: Any) -> tuple[Any, int]:
        """The plain value and the number of values in it.

        Raises:
            ValueError: it contains itself, is nested too deeply, or has too many values.
        """
        if not isinstance(value, (_Array, dict, list, tuple, set, frozenset)):
            return value, 1
        key = id(value)
        if key in self._finished:
            return self._finished[key]
        if key in self._in_progress or len(self._in_progress) > DEEPEST:
            raise ValueError('a value that holds itself, or is nested too deeply')
        self._in_progress.add(key)
        plain, size = self._array(value) if isinstance(value, _Array) else self._container(value)
        self._in_progress.discard(key)
        if size > self._ceilings.values:
            raise refused(
                self._ceilings.path,
                f'{self._ceilings.file_bytes:,} bytes that stand for more than {self._ceilings.values:,} values',
                'a file that holds about what it says',
            )
        self._finished[key] = plain, size
        return plain, size

    def _array(self, value: _Array) -> tuple[Any, int]:
        if value.array is None:
            raise ValueError('an array without content')
        if value.array.dtype != object:
            return value.array, 1 + value.array.size // 8
        parts = [self.plain_and_size(part) for part in value.flat]
        for index, (part, _) in enumerate(parts):
            value.flat[index] = part
        return value.array, 1 + sum(size for _, size in parts)

    def _container(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, dict):
            pairs = [(self.plain_and_size(key), self.plain_and_size(part)) for key, part in value.items()]
            size = sum(key_size + part_size for (_, key_size), (_, part_size) in pairs)
            plain = {key: part for (key, _), (part, _) in pairs}
            if isinstance(value, StoredObject):
                value.clear()
                value.update(plain)
                return value, 1 + size
            return plain, 1 + size
        parts = [self.plain_and_size(part) for part in value]
        return type(value)(part for part, _ in parts), 1 + sum(size for _, size in parts)


def _allowed(ceilings: Ceilings) -> dict[tuple[str, str], Callable[..., Any]]:
    """All names that a pickle may use, with their stand-ins; those that copy data request its bytes first.

    A pickle may set attributes of everything that it names, including the defaults of functions: each file gets
    functions of its own, so that changes do not reach the next file.
    """

    def scalar(dtype: _DType, content: bytes | str = b'') -> Any:
        element = content.encode('latin-1') if isinstance(content, str) else content
        return np.frombuffer(element, dtype.numpy(), 1)[0].item()

    def encode(text: str, encoding: str = 'latin1') -> bytes:
        if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
            raise ValueError('text in another encoding')
        ceilings.take(len(text))
        return text.encode('latin-1')

    def copied(container: type) -> Callable[..., Any]:
        def copy(values: Any = ()) -> Any:
            ceilings.take(64 * len(values))
            return container(values)

        return copy

    class Array(_Array):
        def __setstate__(self, state: tuple[Any, ...]) -> None:
            ceilings.take(8 * len(state[4]) if isinstance(state[4], list) else len(state[4]))
            super().__setstate__(state)

    def reconstruct(subtype: Any, shape: Any, code: Any) -> _Array:
        return Array()

    return {
        **{(f'numpy.{core}.multiarray', '_reconstruct'): reconstruct for core in ('core', '_core')},
        **{(f'numpy.{core}.multiarray', 'scalar'): scalar for core in ('core', '_core')},
        ('numpy', 'ndarray'): Array,
        ('numpy', 'dtype'): _DType,
        ('_codecs', 'encode'): encode,
        ('builtins', 'set'): copied(set),
        ('builtins', 'frozenset'): copied(frozenset),
        ('collections', 'OrderedDict'): copied(dict),
    }


_STORED = re.compile(r'scipy\.sparse\._?(csc|csr|coo)\.(csc|csr|coo)_(matrix|array)|chumpy\.[a-z_.]+\.[A-Za-z]+')
"""Classes of which only the attributes are read."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: io.BytesIO, ceilings: Ceilings, stored_classes: re.Pattern[str] | None = None) -> None:
        super().__init__(content, encoding='latin1')
        self._path, self._stand_ins, self._stored_classes = ceilings.path, dict(_allowed(ceilings)), stored_classes
        if stored_classes is None:
            return

        def old_object(stored_class: Any, base: Any, state: Any) -> Any:
            """An empty object, as Python 2 creates it before setting its attributes."""
            if not (isinstance(stored_class, type) and issubclass(stored_class, StoredObject)) or state is not None:
                raise ValueError('an object of another class')
            return stored_class()

        for module in ('copyreg', 'copy_reg'):
            self._stand_ins[module, '_reconstructor'] = old_object
        for module in ('builtins', '__builtin__'):
            self._stand_ins[module, 'object'] = StoredObject

    def find_class(self, module: str, name: str) -> Any:
        try:
            if self._stored_classes is not None and self._stored_classes.fullmatch(f'{module}.{name}'):
                stand_in = type('Stored', (StoredObject,), {'type_name': f'{module}.{name}'})
                return self._stand_ins.setdefault((module, name), stand_in)
            return self._stand_ins[module, name]
        except KeyError:
            raise refused(
                self._path, f'a file that asks for {module[:80]}.{name[:80]}', 'arrays of plain values'
            ) from None


def unpickled(content: io.BytesIO, ceilings: Ceilings) -> npt.NDArray[Any]:
    """The array in a pickle, from the position of `content` on.

    1. The instructions are checked. 2. They are executed, with stand-ins for arrays. 3. Arrays replace the stand-ins.

    Raises:
        ArchiveError: the pickle names anything but arrays and plain values, or asks for too many bytes.
        Exception: one of `DAMAGE`, where the pickle is damaged or holds no array.
    """
    start = content.tell()
    _walk(content, ceilings)
    content.seek(start)
    array, _ = _StandInReplacer(ceilings).plain_and_size(_Unpickler(content, ceilings).load())
    if not isinstance(array, np.ndarray):
        raise ValueError('an object array without an array in it')
    return array


def _walk(content: io.BytesIO, ceilings: Ceilings) -> None:
    """Refuse instructions for which the unpickler would allocate memory or stack before checking them.

    Its memo table is as long as the largest memo index; a `bytearray` is allocated before its content is read; hashing
    deeply nested tuples overflows the C stack, so that their depth is tracked here: `depths` is the stack of the pickle
    machine, with the nesting depth of tuples in place of each value and None for a mark.
    """
    depths: list[int | None] = []
    memo: dict[int, int] = {}
    for number, (code, argument, _) in enumerate(pickletools.genops(content)):
        if number > ceilings.values:
            raise ValueError(f'more than {ceilings.values:,} values in {ceilings.file_bytes:,} bytes')
        if code.name in ('BYTEARRAY8', 'NEXT_BUFFER', 'READONLY_BUFFER', 'PERSID', 'BINPERSID'):
            raise ValueError(f'{code.name} where plain values belong')
        if isinstance(argument, int) and argument.bit_length() > 8 * LONGEST_NUMBER:
            raise ValueError('a number without end')
        if code.name in ('PUT', 'BINPUT', 'LONG_BINPUT'):
            if not isinstance(argument, int) or not 0 <= argument <= number:
                raise ValueError(f'memo {argument} after {number} instructions')
            memo[argument] = depths[-1] or 0
        elif code.name == 'MEMOIZE':
            memo[len(memo)] = depths[-1] or 0
        elif code.name in ('GET', 'BINGET', 'LONG_BINGET'):
            depths.append(memo[int(argument or 0)])
        else:
            _step(code, depths)


def _step(code: pickletools.OpcodeInfo, depths: list[int | None]) -> None:
    """Apply an instruction to the stack of depths."""
    before, after = code.stack_before, code.stack_after
    if code.name == 'POP_MARK' or pickletools.markobject in before:
        popped: list[int | None] = []
        while (depth := depths.pop()) is not None:
            popped.append(depth)
        popped += [depths.pop() for item in before[: before.index(pickletools.markobject)]]
    else:
        popped = [depths.pop() for _ in before]
    if code.name in ('MARK', 'DUP'):
        depths.extend([None] if code.name == 'MARK' else [popped[0], popped[0]])
        return
    deepest = max((depth or 0 for depth in popped), default=0)
    depth = deepest + 1 if code.name.startswith('TUPLE') else deepest
    if depth > DEEPEST:
        raise ValueError('tuples nested too deeply')
    depths.extend([depth] * len(after))


def refused(path: Path, came: str, expected: str) -> ArchiveError:
    """The error for a file that is not read, with the advice to obtain it again."""
    return ArchiveError(expected=expected, came=f'{path}: {came}', todo='download the file from its publisher again')
