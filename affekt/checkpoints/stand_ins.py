"""Stand-ins for each name that a torch pickle may use, and the unpickler that allows no others.

Nothing here builds a tensor or runs anything in the file: a tensor becomes the position of its values.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from affekt.checkpoints.sizes import SIZES

_STORAGES = {
    'DoubleStorage': 'float64', 'FloatStorage': 'float32', 'HalfStorage': 'float16', 'BFloat16Storage': 'bfloat16',
    'LongStorage': 'int64', 'IntStorage': 'int32', 'ShortStorage': 'int16', 'CharStorage': 'int8',
    'ByteStorage': 'uint8', 'BoolStorage': 'bool', 'ComplexFloatStorage': 'complex64',
    'ComplexDoubleStorage': 'complex128', 'UntypedStorage': 'uint8',
}  # fmt: skip


class Refused(Exception):
    """A file asks for something that is not allowed."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    offset: int = 0
    """Offset in values within its storage: the old format has views."""


@dataclass(frozen=True)
class Placed:
    """Stands for a tensor: the position of its values."""

    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Namespace:
    """Stands for `argparse.Namespace`."""


@dataclass(frozen=True)
class Dtype:
    """Stands for `torch.float32` and the like."""

    name: str


class _NumpyDtype:
    def __init__(self, name: Any = '', *rest: Any) -> None:
        self.name = str(name)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like; numbers are read as little-endian ones."""
        if isinstance(state, tuple) and '>' in state[:2]:
            raise Refused('a NumPy value of a machine with another byte order')


_NUMPY_FORMS = {
    'f8': '<d', 'f4': '<f', 'f2': '<e', 'i8': '<q', 'i4': '<i', 'i2': '<h', 'i1': '<b', 'u8': '<Q', 'u4': '<I',
    'u2': '<H', 'u1': '<B', 'b1': '<?',
}  # fmt: skip
"""NumPy's kind and item size to the format character of `struct`."""


def _numpy_scalar(dtype: Any, content: Any = b'') -> Any:
    """A NumPy number as Python's own."""
    raw = content.encode('latin-1') if isinstance(content, str) else content
    form = _NUMPY_FORMS.get(getattr(dtype, 'name', ''))
    if form is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(form):
        raise Refused('a NumPy value that is no plain number')
    return struct.unpack(form, raw)[0]


def _encoded(text: Any, encoding: str = 'latin1') -> bytes:
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise Refused('text in another encoding')
    return text.encode('latin-1')


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Placed:
    if not isinstance(storage, _Storage):
        raise Refused('a tensor without a storage')
    return Placed(storage, storage.dtype, _count(offset) + storage.offset, _counts(shape), _counts(stride))


def _tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, stride: Any, needs_gradient: Any, hooks: Any, dtype: Any, *rest: Any
) -> Placed:
    if not isinstance(storage, _Storage) or not isinstance(dtype, Dtype):
        raise Refused('a tensor without a storage')
    return Placed(storage, dtype.name, _count(offset) + storage.offset, _counts(shape), _counts(stride))


def _with_attributes(function: Any, tensor_class: Any, arguments: Any, state: Any) -> Placed:
    if function not in (_tensor, _tensor_of_dtype):
        raise Refused('a tensor of a class of its own')
    placed = function(*arguments)
    assert isinstance(placed, Placed)
    return placed


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _device(*parts: Any) -> str:
    return ':'.join(map(str, parts))


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise Refused(
            f'a size of {str(value)[:40]!r}' if not isinstance(value, int) else 'a size below 0 or without end'
        )
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64:
        raise Refused('a tensor without a shape')
    return tuple(_count(value) for value in values)


_STAND_INS: Mapping[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('collections', 'Counter'): dict,
    ('argparse', 'Namespace'): Namespace,
    ('torch', 'Size'): _size,
    ('torch', 'device'): _device,
    ('torch', 'Tensor'): Dtype('Tensor'),
    ('torch._utils', '_rebuild_tensor'): _tensor,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    ('torch._utils', '_rebuild_tensor_v3'): _tensor_of_dtype,
    ('torch._utils', '_rebuild_parameter'): _parameter,
    ('torch._utils', '_rebuild_parameter_with_state'): _parameter,
    ('torch._tensor', '_rebuild_from_type_v2'): _with_attributes,
    ('torch.nn.parameter', 'Parameter'): Dtype('Parameter'),
    ('torch.storage', 'UntypedStorage'): 'uint8',
    **{(module, name): dtype for module in ('torch', 'torch.cuda') for name, dtype in _STORAGES.items()},
    **{('torch', name): Dtype(name) for name in SIZES},
    ('numpy', 'dtype'): _NumpyDtype,
    ('numpy.core.multiarray', 'scalar'): _numpy_scalar,
    ('numpy._core.multiarray', 'scalar'): _numpy_scalar,
    ('_codecs', 'encode'): _encoded,
    ('builtins', 'set'): set,
    ('builtins', 'frozenset'): frozenset,
}
"""All allowed names, and their stand-ins."""


class Unpickler(pickle.Unpickler):
    """An unpickler that allows only the names in this file."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding='utf-8', errors='replace')
        self.storages: dict[str, tuple[str, int]] = {}
        """Key of a storage to its dtype and its number of values, as stated in the pickle."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name.

        Raises:
            Refused: the name is not allowed.
        """
        if (module, name) not in _STAND_INS:
            raise Refused(f'one that asks for {module[:80]}.{name[:80]}, which was not run')
        return _STAND_INS[module, name]

    def persistent_load(self, reference: Any) -> _Storage:
        """The storage of a persistent reference.

        Raises:
            Refused: it is not a storage.
        """
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != 'storage':
            raise Refused('a reference to something that is no storage')
        _, dtype, key, _, numbers, *view = reference
        if not isinstance(dtype, str) or dtype not in SIZES:
            raise Refused('a storage of unknown numbers')
        self.storages[str(key)] = dtype, _count(numbers)
        view_offset = view[0][1] if view and isinstance(view[0], tuple) and len(view[0]) == 3 else 0
        return _Storage(str(key), dtype, _count(view_offset))
