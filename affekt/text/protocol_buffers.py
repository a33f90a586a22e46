"""Protocol buffers of model files: reading of their fields and encoding of new ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 63


class Field(NamedTuple):
    """A field that contains bytes or a four-byte number.

    Args:
        number: number of the field.
        content: bytes of its value.
        begin, end: position of the whole field in its message.
    """

    number: int
    content: memoryview
    begin: int
    end: int


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message that contain bytes or four-byte numbers, in order, without a copy.

    Raises:
        ValueError: the bytes are not a message.
        IndexError: the bytes end within a number.
    """
    message, position = memoryview(message), 0
    while position < len(message):
        begin = position
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _FIXED64:
            position += 8
        elif wire_type in (_BYTES, _FIXED32):
            size, position = _varint(message, position) if wire_type == _BYTES else (4, position)
            yield Field(number, message[position : position + size], begin, position + size)
            position += size
        else:
            raise ValueError(f'a field of type {wire_type}')


def bytes_field(number: int, content: bytes) -> bytes:
    """An encoded field that contains bytes."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """An encoded field that contains a whole number, at least 0."""
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def _encoded(value: int) -> bytes:
    """An encoded whole number: seven bits per byte, the lowest first."""
    groups = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The whole number at a position, seven bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        shift, position = shift + 7, position + 1
        if byte < 128:
            return value, position
        if shift > _LONGEST_VARINT:
            raise ValueError('a number of more than ten bytes')
