"""The packets of Windows media: pieces of numbered objects (pictures, sound). A number that is skipped is a loss.

Source: Microsoft, Advanced Systems Format Specification 01.20.05, section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from affekt.containers.losses import ContainerReport
from affekt.containers.window import Window

WIDTHS = (0, 1, 2, 4)
"""Bytes of a number, by the two bits that say its type."""
CORRECTION = b'\x82\0\0'
"""Error correction of two zeros, which every writer puts in front of a packet."""
HAS_MANY = 1


class Broken(ValueError):
    """The bytes are no packet."""


@dataclass
class Stream:
    """The object of a stream that is being put together."""

    number: int | None = None
    bytes: int = 0
    due: int = 0


class Reader:
    """Little-endian numbers, one behind the other."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def number(self, width: int) -> int:
        """The next number of this many bytes, little-endian."""
        if self.at + width > len(self.content):
            raise Broken
        self.at += width
        return int.from_bytes(self.content[self.at - width : self.at], 'little')


def check_objects_in_packets(
    window: Window, start: int, end: int, packet_bytes: int, known: frozenset[int], report: ContainerReport
) -> None:
    """Notes packets that are none, objects that are skipped, and objects of another size than they state.

    Args:
        window: the file.
        start: the first packet.
        end: the byte behind the last.
        packet_bytes: of each packet.
        known: numbers of the streams that the header describes.
        report: takes the sentences.
    """
    streams = {number: Stream() for number in known}
    if window.at(start, 3) != CORRECTION:
        return
    for at in range(start, end - packet_bytes + 1, packet_bytes):
        try:
            _packet(window.at(at, packet_bytes), at, streams, report)
        except Broken:
            sentence = f'damaged: the packet at byte {at} cannot be read ({packet_bytes:,} bytes)'
            report.add('packets', sentence, packet_bytes)
    for number, stream in streams.items():
        _finish(number, stream, end, report)


def _packet(content: bytes, place: int, streams: dict[int, Stream], report: ContainerReport) -> None:
    if content[:3] != CORRECTION:
        raise Broken
    reader = Reader(content)
    reader.at = 3
    lengths, properties = reader.number(1), reader.number(1)
    stated = reader.number(WIDTHS[lengths >> 5 & 3])
    reader.number(WIDTHS[lengths >> 1 & 3])
    padding = reader.number(WIDTHS[lengths >> 3 & 3])
    reader.number(6)  # when to send it, and how long that takes
    end = (stated or len(content)) - padding
    flags = reader.number(1) if lengths & HAS_MANY else 1
    for _ in range(flags & 0x3F):
        width = WIDTHS[flags >> 6 & 3] if lengths & HAS_MANY else 0
        _payload(reader, properties, width, end, place, streams, report)
    if reader.at > len(content):
        raise Broken


def _payload(
    reader: Reader, properties: int, width: int, end: int, place: int, streams: dict[int, Stream],
    report: ContainerReport,
) -> None:  # fmt: skip
    """One piece of an object; `width` bytes hold its length, or it goes on to `end` where that is 0."""
    number = reader.number(1) & 0x7F
    object_width = WIDTHS[properties >> 4 & 3]
    object_number = reader.number(object_width)
    offset = reader.number(WIDTHS[properties >> 2 & 3])
    copied = reader.number(WIDTHS[properties & 3])
    is_compressed = copied == 1
    size = reader.number(4) if copied >= 8 else 0
    reader.at += copied - 4 if copied >= 8 else copied
    length = reader.number(width) if width else end - reader.at
    if length < 0 or reader.at + length > len(reader.content) or number not in streams:
        raise Broken
    reader.at += length
    stream = streams[number]
    if is_compressed or not object_width:
        return
    if stream.number is not None and object_number != stream.number:
        _finish(number, stream, place, report)
        skipped = (object_number - stream.number) % (1 << 8 * object_width) - 1
        if skipped:
            report.add('objects', f'missing: pictures or sound of stream {number} before byte {place}')
        stream.bytes = 0
    if offset != stream.bytes and (offset == 0 or stream.number is not None):
        where = f'begins at {offset:,} of its object, of which {stream.bytes:,} bytes are there'
        report.add('objects', f'damaged: a piece of stream {number} in the packet at byte {place} {where}', length)
    stream.number, stream.due = object_number, size
    stream.bytes += length


def _finish(number: int, stream: Stream, place: int, report: ContainerReport) -> None:
    if stream.number is not None and stream.due and stream.bytes != stream.due:
        sentence = f'damaged: a picture or sound of stream {number} before byte {place} states {stream.due:,} bytes, '
        report.add('objects', f'{sentence}{stream.bytes:,} are there', stream.due - stream.bytes)
