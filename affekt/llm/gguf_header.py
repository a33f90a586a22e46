"""The header of a GGUF file: settings by name, and the position of each tensor.

Every count, length, shape and offset is checked against the size of the file before it is used to read or allocate. The
reader of the package gguf does not check them: an array of 2^40 elements in a file of 80 bytes exhausts its memory.

Source: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.runs import only_regular

MAGIC, VERSIONS = b'GGUF', (2, 3)
TEXT, LIST = 8, 9
NUMBERS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
"""Types of single values to their formats of `struct`."""
FREE_VALUES, BYTES_PER_VALUE = 1_000_000, 64
"""Maximum number of elements of all lists together: the first value, and one more per this many bytes of the file."""
MOST_AXES = 4
ALIGNMENT = 32


@dataclass(frozen=True)
class PackedTensor:
    """A tensor in its packed form, mapped from the file."""

    name: str
    shape: tuple[int, ...]
    """In NumPy's order: the last axis varies fastest."""
    form: Any
    """Form of its packed values, a `gguf.GGMLQuantizationType`."""
    content: npt.NDArray[np.uint8]
    """(rows, bytes per row) mapped from the file, to be unpacked a few rows at a time."""

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)


class GGUFHeader:
    """Settings and tensors of a GGUF file."""

    def __init__(self, path: Path) -> None:
        """Read the header of a file.

        Raises:
            ValueError: the file is not a GGUF file, or is damaged; the message has the reason alone.
            FileError: the path is not a regular file.
            OSError: the file cannot be read.
        """
        self.values: dict[str, Any] = {}
        with open(path, 'rb', opener=only_regular) as file:
            size = file.seek(0, 2)
            if size < 24:
                raise ValueError(f'{size} bytes')
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at, self._values_left = 0, FREE_VALUES + size // BYTES_PER_VALUE
        if self._bytes(4) != MAGIC:
            raise ValueError('first bytes other than GGUF')
        version = self._number('I')
        if version not in VERSIONS:
            supported = ' or '.join(map(str, VERSIONS))
            raise ValueError(f'version {version:,}, not {supported} with the lowest byte first')
        tensors, settings = self._number('Q'), self._number('Q')
        for _ in range(self._bounded(settings, 13, 'settings')):
            name = self._text()
            if name in self.values:
                raise ValueError(f'the setting {name[:60]!r} twice')
            self.values[name] = self._value(self._number('I'))
        self.tensors = self._tensors(self._bounded(tensors, 24, 'tensors'))

    def _bytes(self, count: int) -> bytes:
        if count > len(self._content) - self._at:
            raise ValueError(f'{count:,} bytes announced at byte {self._at:,}, where {self._left():,} are left')
        self._at += count
        return self._content[self._at - count : self._at]

    def _left(self) -> int:
        return len(self._content) - self._at

    def _number(self, form: str) -> Any:
        return struct.unpack(f'<{form}', self._bytes(struct.calcsize(f'<{form}')))[0]

    def _text(self) -> str:
        return self._bytes(self._number('Q')).decode()

    def _bounded(self, count: int, width: int, noun: str) -> int:
        """A count of items of at least `width` bytes each, checked against the bytes left in the file."""
        if count * width > self._left():
            raise ValueError(f'{count:,} {noun} announced, where {self._left():,} bytes are left')
        return count

    def _value(self, type_code: int) -> Any:
        if type_code == TEXT:
            return self._text()
        if type_code in NUMBERS:
            return self._number(NUMBERS[type_code])
        if type_code != LIST:
            raise ValueError(f'a value of the unknown type {type_code:,}')
        type_code, count = self._number('I'), self._number('Q')
        if type_code != TEXT and type_code not in NUMBERS:
            raise ValueError(f'a list of the type {type_code:,}')
        width = 8 if type_code == TEXT else struct.calcsize(f'<{NUMBERS[type_code]}')
        self._values_left -= self._bounded(count, width, 'elements of a list')
        if self._values_left < 0:
            raise ValueError(f'lists of more elements than a file of {len(self._content):,} bytes may have')
        if type_code == TEXT:
            return [self._text() for _ in range(count)]
        return list(struct.unpack(f'<{count}{NUMBERS[type_code]}', self._bytes(count * width)))

    def _tensors(self, count: int) -> tuple[PackedTensor, ...]:
        from gguf import GGMLQuantizationType
        from gguf.constants import GGML_QUANT_SIZES

        rows = []
        for _ in range(count):
            name, axes = self._text(), self._number('I')
            if not 1 <= axes <= MOST_AXES:
                raise ValueError(f'{axes:,} sides of the tensor {name[:60]!r}')
            shape = tuple(reversed([self._number('Q') for _ in range(axes)]))
            rows.append((name, shape, self._number('I'), self._number('Q')))
        if len({name for name, *_ in rows}) < count:
            raise ValueError('two tensors of one name')
        alignment = self.values.get('general.alignment', ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= len(self._content) or alignment & (alignment - 1):
            raise ValueError(f'an alignment of {alignment!r:.20}')
        begin = self._at + -self._at % alignment
        content = np.frombuffer(self._content, np.uint8)
        tensors, spans = [], []
        for name, shape, type_code, offset in rows:
            form = next((form for form in GGML_QUANT_SIZES if form.value == type_code), None)
            if form is None:
                raise ValueError(f'the tensor {name[:60]!r} packed as the unknown type {type_code:,}')
            values, width = GGML_QUANT_SIZES[GGMLQuantizationType(form)]
            size = prod(shape) // values * width
            if not prod(shape) or shape[-1] % values or begin + offset + size > len(content):
                raise ValueError(f'a tensor {name[:60]!r} of shape {list(shape)} that does not lie in the file')
            packed = content[begin + offset : begin + offset + size].reshape(prod(shape[:-1]), -1)
            tensors.append(PackedTensor(name, shape, form, packed))
            spans.append((offset, offset + size, name))
        for (_, end, first), (start, _, second) in pairwise(sorted(spans)):
            if start < end:
                raise ValueError(f'the tensors {first[:60]!r} and {second[:60]!r} overlap')
        return tuple(tensors)
