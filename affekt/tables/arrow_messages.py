"""Decompressed size of an Arrow file from its messages, computed without the library that would decompress it.

A compressed buffer states its decompressed size in its first eight bytes, and the library allocates as much at once: a
file of a kilobyte may request gigabytes. A column of only nulls needs no buffers at all. Both are limited here relative
to the size of the file, before anything is decompressed.

Source: https://github.com/apache/arrow/tree/main/format, Message.fbs and File.fbs; the wire format of flatbuffers.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.runs import only_regular
from affekt.tables.parquet_files import CELLS_PER_BYTE, FREE_BYTES, FREE_CELLS

BYTES_PER_BYTE = 32
"""Allowed decompressed bytes per byte of the file: compressed features take a third of their size, padding a 30th."""
MAGIC = b'ARROW1'
CONTINUES = 0xFFFFFFFF
"""Mark before the length of a message."""
DICTIONARY, BATCH = 2, 3
"""Types of messages with values."""
OWN_HEADER = b'affekt'
"""Key of the metadata in which affekt states what a Parquet or Arrow file holds."""
PLAIN = -1
"""Stated size of a buffer that is stored uncompressed among compressed ones."""


@dataclass
class Extent:
    """Total size of the record batches of a file."""

    rows: int = 0
    columns: int = 0
    """Columns of the widest batch, including those within lists and structures."""
    cells: int = 0
    """Number of cells; elements of lists count one by one."""
    unfolded: int = 0
    """Decompressed size of all buffers in bytes."""


def require_bounded_messages(path: Path) -> None:
    """Refuse an Arrow file or stream that decompresses to far more than its size allows, or cannot be parsed.

    Raises:
        ValueError: the reason; the caller adds the file and the advice.
        FileError: the path is not a regular file.
        OSError: the file cannot be opened.
    """
    with open(path, 'rb', opener=only_regular) as file:
        size = file.seek(0, 2)
        if not size:
            raise ValueError('it is empty')
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                extent = _extent(_Reader(content))
            except (struct.error, OverflowError) as error:
                raise ValueError(f'damaged ({error})') from error
    limit = FREE_CELLS + CELLS_PER_BYTE * size
    if (
        extent.rows > limit
        or max(extent.cells, extent.rows * extent.columns) > limit + extent.unfolded
        or extent.unfolded > FREE_BYTES + BYTES_PER_BYTE * size
    ):
        raise ValueError(f'{size:,} bytes that stand for {extent.cells:,} cells of {extent.unfolded:,} bytes')


def own_header(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The header that affekt wrote into the metadata of a Parquet or Arrow file.

    Args:
        metadata: metadata of the file's schema; None if it has none.

    Raises:
        ValueError: another program wrote the file, or its header is damaged; the caller adds the file and the advice.
    """
    if not metadata or OWN_HEADER not in metadata:
        raise ValueError('a file that affekt did not write')
    try:
        header = json.loads(metadata[OWN_HEADER])
    except RecursionError as error:
        raise ValueError('a header that is nested too deeply') from error
    if not isinstance(header, dict) or not isinstance(header.get('format', 0), int):
        raise ValueError('a header of another program')
    return header


class _Reader:
    """Numbers and tables of a mapped file in the format of flatbuffers; positions outside it are refused."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self._unread_bytes = len(content)

    def number(self, code: str, position: int) -> int:
        """A little-endian number in a format of `struct`."""
        if position < 0:  # Python would count it from the end
            raise ValueError('damaged (a message that points outside)')
        (value,) = struct.unpack_from(f'<{code}', self.content, position)
        return int(value)

    def field(self, table: int, index: int) -> int:
        """Position of a field of a table; 0 where the table lacks it."""
        fields = table - self.number('i', table)
        if 4 + 2 * index >= self.number('H', fields):
            return 0
        offset = self.number('H', fields + 4 + 2 * index)
        return table + offset if offset else 0

    def pointed(self, position: int) -> int:
        """Position to which the offset at a position points."""
        return position + self.number('I', position)

    def vector(self, table: int, index: int, width: int) -> range:
        """Positions of the elements of a field, each `width` bytes long."""
        field = self.field(table, index)
        if not field:
            return range(0)
        start = self.pointed(field)
        count = self.number('I', start)
        self._unread_bytes -= count * width
        if self._unread_bytes < 0:  # lists that end outside the file or overlap
            raise ValueError(f'damaged (a list of {count:,} at byte {start})')
        return range(start + 4, start + 4 + count * width, width)


def _extent(reader: _Reader) -> Extent:
    """Total size of all messages."""
    extent = Extent()
    for message, body in _messages(reader):
        header_type, header = reader.field(message, 1), reader.field(message, 2)
        message_type = reader.number('B', header_type) if header_type else 0
        if not header or message_type not in (DICTIONARY, BATCH):
            continue
        batch = reader.pointed(header)
        if message_type == DICTIONARY:
            nested = reader.field(batch, 1)
            if not nested:
                continue
            batch = reader.pointed(nested)
        _add(reader, batch, body, extent, is_dictionary=message_type == DICTIONARY)
    return extent


def _add(reader: _Reader, batch: int, body: int, extent: Extent, *, is_dictionary: bool) -> None:
    """Add the size of one record batch."""
    nodes = reader.vector(batch, 1, 16)
    length = reader.field(batch, 0)
    rows = reader.number('q', length) if length else 0
    lengths = [reader.number('q', node) for node in nodes]
    if rows < 0 or any(count < 0 for count in lengths):
        raise ValueError('damaged (a negative number of rows)')
    if not is_dictionary:
        extent.rows += rows
        extent.columns = max(extent.columns, len(nodes))
    extent.cells += sum(lengths)
    is_compressed = bool(reader.field(batch, 3))
    for buffer in reader.vector(batch, 2, 16):
        start, size = reader.number('q', buffer), reader.number('q', buffer + 8)
        if start < 0 or size < 0:
            raise ValueError('damaged (a buffer that lies outside)')
        if is_compressed and size >= 8:
            stated = reader.number('q', body + start)
            size = size - 8 if stated == PLAIN else stated
            if size < 0:
                raise ValueError('damaged (a buffer of negative length)')
        extent.unfolded += size


def _messages(reader: _Reader) -> Iterator[tuple[int, int]]:
    """Positions of each message's table and of its body."""
    if reader.content[:6] == MAGIC:
        yield from _file_messages(reader)
        return
    position = 0
    while position < len(reader.content):
        message, body = _message(reader, position)
        if not message:
            return
        length = reader.field(message, 3)
        size = reader.number('q', length) if length else 0
        if size < 0:
            raise ValueError('damaged (a message of negative length)')
        yield message, body
        position = body + size


def _file_messages(reader: _Reader) -> Iterator[tuple[int, int]]:
    """The messages listed in the footer; others are never read."""
    size = len(reader.content)
    if reader.content[-6:] != MAGIC:
        raise ValueError('no footer at its end')
    start = size - 10 - reader.number('i', size - 10)
    footer = start + reader.number('I', start)
    for index in (2, 3):
        for block in reader.vector(footer, index, 24):
            message, body = _message(reader, reader.number('q', block))
            if message:
                yield message, body


def _message(reader: _Reader, position: int) -> tuple[int, int]:
    """Positions of a message's table and of its body; (0, 0) at the end of a stream."""
    length = reader.number('I', position)
    start = position + 4
    if length == CONTINUES:
        length = reader.number('I', start)
        start += 4
    if not length:
        return 0, 0
    return start + reader.number('I', start), start + length
