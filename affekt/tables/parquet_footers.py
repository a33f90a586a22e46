"""Column metadata from the footer of a Parquet file, read without the library that reads the file.

That library aborts the process where the metadata of a damaged footer is inconsistent, so that it must be checked
beforehand. The footer is in Thrift's compact protocol; only structures, lists, numbers and bytes occur.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md and
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.runs import only_regular

TEXT = 6
"""The physical type BYTE_ARRAY."""
DEEPEST = 24
"""Maximum depth of nested structures and lists."""
LARGEST_FOOTER = 1 << 26
"""Largest size of a footer in bytes."""
_ROWS, _GROUPS = 3, 4  # of FileMetaData
_CHUNKS, _CHUNK = 1, 3  # of RowGroup, of ColumnChunk
_TYPE, _PATH, _CODEC, _VALUES, _UNFOLDED, _SIZE, _FIRST, _DICTIONARY = 1, 3, 4, 5, 6, 7, 9, 11  # of ColumnMetaData


@dataclass(frozen=True)
class Chunk:
    """One column in one row group."""

    path: str
    """Name of the column, with those of the structures around it, joined by dots."""
    is_text: bool
    values: int
    """Number of cells; elements of lists count one by one."""
    unfolded: int
    """Decompressed size in bytes; texts in a dictionary count once."""
    codec: int = 0
    """Number of the compression codec; 0 for none."""
    begin: int = 0
    """Position of its first page in the file."""
    size: int = 0
    """Size in the file in bytes."""


def footer_of(path: Path) -> tuple[int, list[Chunk]]:
    """Number of rows and all column chunks of a Parquet file.

    Raises:
        TableError: the file is not Parquet, or damaged.
    """
    try:
        with open(path, 'rb', opener=only_regular) as file:
            size = file.seek(0, 2)
            file.seek(max(size - 8, 0))
            tail = file.read(8)
            length, magic = struct.unpack('<I4s', tail) if len(tail) == 8 else (0, b'')
            if magic != b'PAR1' or not 0 < length <= min(size - 8, LARGEST_FOOTER):
                raise ValueError('no footer at its end')
            file.seek(size - 8 - length)
            metadata = Compact(file.read(length)).structure()
        chunks = [chunk[_CHUNK] for group in metadata.get(_GROUPS, []) for chunk in group[_CHUNKS]]
        return int(metadata[_ROWS]), [
            Chunk(
                '.'.join(part.decode() for part in chunk[_PATH]),
                chunk[_TYPE] == TEXT,
                int(chunk[_VALUES]),
                int(chunk[_UNFOLDED]),
                int(chunk[_CODEC]),
                min(int(chunk[_FIRST]), int(chunk.get(_DICTIONARY) or chunk[_FIRST])),
                int(chunk[_SIZE]),
            )
            for chunk in chunks
        ]
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise TableError(
            expected='a Parquet file', came=f'{path}: a damaged footer ({error})', todo='write it again'
        ) from error


class Compact:
    """Values of the compact protocol, read in order; `at` is the position of the next one."""

    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def structure(self, depth: int = 0) -> dict[int, Any]:
        """A structure as field number to value."""
        if depth > DEEPEST:
            raise ValueError('nested too deeply')
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self._signed()
            fields[number] = header & 15 == 1 if header & 15 in (1, 2) else self._value(header & 15, depth)
        return fields

    def _value(self, value_type: int, depth: int) -> Any:
        if value_type in (4, 5, 6):
            return self._signed()
        if value_type in (1, 2, 3):
            return self._byte()
        if value_type == 7:
            return struct.unpack('<d', self._bytes(8))[0]
        if value_type == 8:
            return self._bytes(self._unsigned())
        if value_type in (9, 10):
            header = self._byte()
            count = header >> 4 if header >> 4 < 15 else self._unsigned()
            if count > len(self._content) or depth > DEEPEST:
                raise ValueError('a list without end')
            return [self._value(header & 15, depth + 1) for _ in range(count)]
        if value_type == 12:
            return self.structure(depth + 1)
        raise ValueError(f'a value of type {value_type}')

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        if size > len(self._content) - self.at:
            raise ValueError('cut short')
        self.at += size
        return self._content[self.at - size : self.at]

    def _unsigned(self) -> int:
        number = shift = 0
        while shift < 70:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise ValueError('a number without end')

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
