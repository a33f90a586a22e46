"""Windows Media (wmv, wma): a chain of objects, each a 16-byte name, a 64-bit size and content, with packets.

The data object of a file contains packets, which contain pieces of numbered media objects (video frames, audio). A
number that is skipped is a loss.

Source: Microsoft, Advanced Systems Format Specification 01.20.05, sections 2, 3 and 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import Window

WIDTHS = (0, 1, 2, 4)
"""Number of bytes of a field, by the two bits of its type."""
CORRECTION = b'\x82\0\0'
"""Error correction of two zeros, which all writers put at the start of a packet."""
HAS_MANY = 1


class Broken(ValueError):
    """The bytes are not a valid packet."""


@dataclass
class Stream:
    """The media object of a stream that is being assembled."""

    number: int | None = None
    bytes: int = 0
    due: int = 0


class Reader:
    """Reads consecutive little-endian numbers."""

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
    """Note invalid packets, skipped media objects, and media objects of another size than they state.

    Args:
        window: the file.
        start: position of the first packet.
        end: position after the last packet.
        packet_bytes: size of each packet in bytes.
        known: numbers of the streams in the header.
        report: report that gets the sentences.
    """
    streams = {number: Stream() for number in known}
    if window.at(start, 3) != CORRECTION:
        return
    for position in range(start, end - packet_bytes + 1, packet_bytes):
        try:
            _packet(window.at(position, packet_bytes), position, streams, report)
        except Broken:
            sentence = f'damaged: the packet at byte {position} cannot be read ({packet_bytes:,} bytes)'
            report.add('packets', sentence, packet_bytes)
    for number, stream in streams.items():
        _finish(number, stream, end, report)


def _packet(content: bytes, position: int, streams: dict[int, Stream], report: ContainerReport) -> None:
    if content[:3] != CORRECTION:
        raise Broken
    reader = Reader(content)
    reader.at = 3
    lengths, properties = reader.number(1), reader.number(1)
    stated = reader.number(WIDTHS[lengths >> 5 & 3])
    reader.number(WIDTHS[lengths >> 1 & 3])
    padding = reader.number(WIDTHS[lengths >> 3 & 3])
    reader.number(6)  # send time and duration
    end = (stated or len(content)) - padding
    flags = reader.number(1) if lengths & HAS_MANY else 1
    for _ in range(flags & 0x3F):
        width = WIDTHS[flags >> 6 & 3] if lengths & HAS_MANY else 0
        _payload(reader, properties, width, end, position, streams, report)
    if reader.at > len(content):
        raise Broken


def _payload(
    reader: Reader, properties: int, width: int, end: int, position: int, streams: dict[int, Stream],
    report: ContainerReport,
) -> None:  # fmt: skip
    """One piece of a media object; `width` bytes give its size, or it extends to `end` if that is 0."""
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
        _finish(number, stream, position, report)
        skipped = (object_number - stream.number) % (1 << 8 * object_width) - 1
        if skipped:
            report.add('objects', f'missing: media objects of stream {number} before byte {position}')
        stream.bytes = 0
    if offset != stream.bytes and (offset == 0 or stream.number is not None):
        sentence_end = f'begins at {offset:,} of its object, of which {stream.bytes:,} bytes are there'
        report.add(
            'objects', f'damaged: a piece of stream {number} in the packet at byte {position} {sentence_end}', length
        )
    stream.number, stream.due = object_number, size
    stream.bytes += length


def _finish(number: int, stream: Stream, position: int, report: ContainerReport) -> None:
    if stream.number is not None and stream.due and stream.bytes != stream.due:
        sentence = f'damaged: a media object of stream {number} before byte {position} states {stream.due:,} bytes, '
        report.add('objects', f'{sentence}{stream.bytes:,} are there', stream.due - stream.bytes)


HEADER = bytes.fromhex('3026b2758e66cf11a6d900aa0062ce6c')
DATA = bytes.fromhex('3626b2758e66cf11a6d900aa0062ce6c')
FILE_PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')
STREAM_PROPERTIES = bytes.fromhex('9107dcb7b7a9cf118ee600c00c205365')
OBJECT_HEADER = 24
DATA_HEADER = 50
IS_BROADCAST = 1
MAX_PROPERTIES = 1_000

LARGEST_PACKET = 1 << 20
"""Largest packet in bytes; writers stay below 64 KiB."""


def check_objects(source: Source, report: ContainerReport) -> None:
    """Note objects that pass the end of the file, and a second recording after the first."""
    with Window(source) as window:
        stated_bytes, length_s, is_live, packet_bytes = _properties(window, 0)
        report.states_length = not is_live
        position = 0
        while position + OBJECT_HEADER <= source.size and window.meets_another():
            name, size = window.at(position, 16), int.from_bytes(window.at(position + 16, 8), 'little')
            if position and name == HEADER:
                break
            if size < OBJECT_HEADER or (name == DATA and is_live):
                return
            if 0 < stated_bytes <= position and position + size > source.size:
                break  # it only looks like an object, as it is after the end
            if name == DATA:
                end = min(position + size, source.size)
                stream_numbers = _streams(window, 0)
                if packet_bytes:
                    first = position + DATA_HEADER
                    check_objects_in_packets(window, first, end, packet_bytes, stream_numbers, report)
            position += size
        missing_bytes = max(position, 0 if is_live else stated_bytes) - source.size
        if missing_bytes > 0:
            lost_s = length_s * missing_bytes / (source.size + missing_bytes)
            sentence = f'cut short: the file should have {source.size + missing_bytes} bytes, it has {source.size}'
            report.add('cut', f'{sentence} (about {lost_s:.2f} s)', missing_bytes, lost_s)
        remaining_bytes = source.size - position
        if remaining_bytes >= OBJECT_HEADER and window.at(position, 16) == HEADER:
            _, length_s, _, _ = _properties(window, position)
            sentence = f'not read: another recording begins at byte {position}, {remaining_bytes:,} bytes'
            report.add('unread', f'{sentence}{seconds_of(length_s)}', remaining_bytes, length_s)
        elif remaining_bytes > 0:
            sentence = f'not read: {remaining_bytes:,} bytes follow the last object at byte {position}'
            note_rest(window, position, sentence, report, 'unread')


def _streams(window: Window, start: int) -> frozenset[int]:
    """Numbers of the streams that the header at `start` describes."""
    return frozenset(
        int.from_bytes(window.at(position + OBJECT_HEADER + 48, 2), 'little') & 0x7F
        for position in _header_objects(window, start)
        if window.at(position, 16) == STREAM_PROPERTIES
    )


def _header_objects(window: Window, start: int) -> Iterator[int]:
    """Positions of the objects in the header at `start`."""
    end = min(start + int.from_bytes(window.at(start + 16, 8), 'little'), window.size)
    position = start + OBJECT_HEADER + 6
    for _ in range(MAX_PROPERTIES):
        if position >= end:
            break
        yield position
        position += max(OBJECT_HEADER, int.from_bytes(window.at(position + 16, 8), 'little'))


def _properties(window: Window, start: int) -> tuple[int, float, bool, int]:
    """Stated bytes and seconds, whether the stream was still being written, packet bytes (header at `start`)."""
    for position in _header_objects(window, start):
        if window.at(position, 16) == FILE_PROPERTIES:
            # file's name 16, bytes 8, date 8, packets 8, length 8 (100 ns), sending 8, lead-in 8 (ms), flags 4,
            # smallest packet 4, largest packet 4
            content = window.at(position + OBJECT_HEADER, 76).ljust(76, b'\0')
            length, lead_ms = (int.from_bytes(content[offset : offset + 8], 'little') for offset in (40, 56))
            is_live = bool(int.from_bytes(content[64:68], 'little') & IS_BROADCAST)
            smallest, largest = (int.from_bytes(content[offset : offset + 4], 'little') for offset in (68, 72))
            packet_bytes = largest if smallest == largest <= LARGEST_PACKET else 0
            length_s = max(0.0, length / 1e7 - lead_ms / 1000)
            return int.from_bytes(content[16:24], 'little'), length_s, is_live, packet_bytes
    return 0, 0.0, False, 0
