"""Windows media (wmv, wma): a chain of objects, each a name of 16 bytes, a 64-bit size and its content.

Source: Microsoft, Advanced Systems Format Specification 01.20.05, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from affekt.containers.asf_packets import check_objects_in_packets
from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import Window

HEADER = bytes.fromhex('3026b2758e66cf11a6d900aa0062ce6c')
DATA = bytes.fromhex('3626b2758e66cf11a6d900aa0062ce6c')
FILE_PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')
STREAM_PROPERTIES = bytes.fromhex('9107dcb7b7a9cf118ee600c00c205365')
OBJECT_HEADER = 24
DATA_HEADER = 50
IS_BROADCAST = 1
MAX_PROPERTIES = 1_000

LARGEST_PACKET = 1 << 20
"""Bytes; writers stay below 64 KiB."""


def check_objects(source: Source, report: ContainerReport) -> None:
    """Notes where objects pass the end of the file, and a second recording behind the first."""
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
                break  # what looks like an object behind the end is none
            if name == DATA:
                end = min(position + size, source.size)
                known = _streams(window, 0)
                if packet_bytes:
                    first = position + DATA_HEADER
                    check_objects_in_packets(window, first, end, packet_bytes, known, report)
            position += size
        missing = max(position, 0 if is_live else stated_bytes) - source.size
        if missing > 0:
            lost_s = length_s * missing / (source.size + missing)
            sentence = f'cut short: the file should have {source.size + missing} bytes, it has {source.size}'
            report.add('cut', f'{sentence} (about {lost_s:.2f} s)', missing, lost_s)
        rest = source.size - position
        if rest >= OBJECT_HEADER and window.at(position, 16) == HEADER:
            _, length_s, _, _ = _properties(window, position)
            sentence = f'not read: another recording begins at byte {position}, {rest:,} bytes{seconds_of(length_s)}'
            report.add('unread', sentence, rest, length_s)
        elif rest > 0:
            sentence = f'not read: {rest:,} bytes follow the last object at byte {position}'
            note_rest(window, position, sentence, report, 'unread')


def _streams(window: Window, start: int) -> frozenset[int]:
    """Numbers of the streams that the header at `start` describes."""
    return frozenset(
        int.from_bytes(window.at(position + OBJECT_HEADER + 48, 2), 'little') & 0x7F
        for position in _header_objects(window, start)
        if window.at(position, 16) == STREAM_PROPERTIES
    )


def _header_objects(window: Window, start: int) -> Iterator[int]:
    """First bytes of the objects in the header at `start`."""
    end = min(start + int.from_bytes(window.at(start + 16, 8), 'little'), window.size)
    position = start + OBJECT_HEADER + 6
    for _ in range(MAX_PROPERTIES):
        if position >= end:
            break
        yield position
        position += max(OBJECT_HEADER, int.from_bytes(window.at(position + 16, 8), 'little'))


def _properties(window: Window, start: int) -> tuple[int, float, bool, int]:
    """Bytes and seconds that the header at `start` states, whether the stream was still going on, bytes of a packet."""
    for position in _header_objects(window, start):
        if window.at(position, 16) == FILE_PROPERTIES:
            # file's name 16, bytes 8, date 8, packets 8, length 8 (100 ns), sending 8, lead-in 8 (ms), flags 4,
            # smallest packet 4, largest packet 4
            content = window.at(position + OBJECT_HEADER, 76).ljust(76, b'\0')
            length, lead_ms = (int.from_bytes(content[at : at + 8], 'little') for at in (40, 56))
            is_live = bool(int.from_bytes(content[64:68], 'little') & IS_BROADCAST)
            smallest, largest = (int.from_bytes(content[at : at + 4], 'little') for at in (68, 72))
            packet_bytes = largest if smallest == largest <= LARGEST_PACKET else 0
            length_s = max(0.0, length / 1e7 - lead_ms / 1000)
            return int.from_bytes(content[16:24], 'little'), length_s, is_live, packet_bytes
    return 0, 0.0, False, 0
