"""FLAC: what follows the last frame, and a last frame that is not whole. The frames between are checked while decoding.

FFmpeg reads on behind the last frame for anything that looks like another one, and says nothing of what does not.

Source: RFC 9639, sections 8.2, 9.1 and 9.3.
"""

from __future__ import annotations

from affekt.media.frame_chain import END_TAGS, tag_length
from affekt.media.report import ContainerReport, seconds_of
from affekt.media.source import Source
from affekt.media.window import CHAIN, Window

MAGIC = b'fLaC'
LAST_BLOCK = 0x80
MAX_BLOCKS = 1_000
LONGEST_FRAME = 1 << 22
"""Bytes of a last frame that are looked at: two seconds of eight channels at the highest rate."""
HEADER_BYTES, SHORTEST_FRAME = 16, 8


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """The remainders of all bytes, most significant bit first."""
    remainders = []
    for octet in range(256):
        register = octet << bits - 8
        for _ in range(8):
            register = register << 1 ^ (polynomial if register >> bits - 1 & 1 else 0)
        remainders.append(register & (1 << bits) - 1)
    return tuple(remainders)


HEADER_TABLE = _table(0x07, 8)
FRAME_TABLE = _table(0x8005, 16)


def check_flac(source: Source, report: ContainerReport) -> None:
    """Notes another recording or other bytes behind the last frame, and a last frame that is cut."""
    with Window(source, CHAIN) as window:
        start = tag_length(source)
        frames, samples, _ = _metadata(window, start)
        report.states_length = samples > 0
        sync = window.at(frames, 2)
        if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFE != 0xF8:
            return
        last, following = _last_frame(window, frames, sync)
        if following is not None:
            _, samples, rate_hz = _metadata(window, following)
            size, length_s = source.size - following, samples / rate_hz if rate_hz else 0.0
            sentence = f'not read: another recording begins at byte {following}, {size:,} bytes{seconds_of(length_s)}'
            report.add('unread', sentence, size, length_s)
            return
        end = _frame_end(window, last)
        rest = window.at(end, CHAIN) if end else b''
        if end is None:
            report.add('end', f'damaged: the last frame, at byte {last} of {source.size}, is not whole')
        elif rest.strip(b'\0') and not rest.startswith(END_TAGS):
            size = source.size - end
            report.add('unread', f'not read: {size:,} bytes follow the last frame at byte {end}', size)


def _metadata(window: Window, start: int) -> tuple[int, int, int]:
    """The first byte behind the metadata of the recording at `start`, its samples and its rate."""
    position, samples, rate_hz = start + 4, 0, 0
    for _ in range(MAX_BLOCKS):
        header = window.at(position, 4)
        if len(header) < 4:
            break
        if header[0] & 0x7F == 0:
            # block sizes 4, frame sizes 6, then rate 20 bits, channels 3, width 5, samples 36
            numbers = window.number(position + 14, 8)
            rate_hz, samples = numbers >> 44, numbers & (1 << 36) - 1
        position += 4 + int.from_bytes(header[1:], 'big')
        if header[0] & LAST_BLOCK:
            break
    return position, samples, rate_hz


def _last_frame(window: Window, first: int, sync: bytes) -> tuple[int, int | None]:
    """Where the last frame of the recording begins, and where another recording does, if any."""
    last, number, position = first, -1, first
    while position < window.size:
        stretch = window.at(position, CHAIN)
        magic = stretch.find(MAGIC)
        is_new = magic >= 0 and stretch[magic + 4] & 0x7F == 0 if magic + 4 < len(stretch) else False
        stop = magic if is_new else len(stretch)
        at = stretch.find(sync, 0, stop)
        while at >= 0:
            this = _frame_number(window.at(position + at, HEADER_BYTES))
            if this is not None and this > number:
                last, number = position + at, this
            at = stretch.find(sync, at + 1, stop)
        if is_new:
            return last, position + magic
        if position + len(stretch) >= window.size:
            break
        position += len(stretch) - HEADER_BYTES
    return last, None


def _frame_number(header: bytes) -> int | None:
    """The number of the frame that begins with these bytes (of its first sample in some files); None for no frame."""
    if len(header) < 6 or header[2] >> 4 == 0 or header[2] & 15 == 15 or header[3] >> 4 > 10 or header[3] & 1:
        return None
    width = max(1, 8 - (~header[4] & 0xFF).bit_length())
    if width > 7 or header[4] == 0xFF:
        return None
    number = header[4] & (0x7F if width == 1 else (1 << 7 - width) - 1)
    for octet in header[5 : 4 + width]:
        number = number << 6 | octet & 0x3F
    end = 4 + width + {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    register = 0
    for octet in header[:end]:
        register = HEADER_TABLE[register ^ octet]
    return number if end < len(header) and register == header[end] else None


def _frame_end(window: Window, start: int) -> int | None:
    """The byte behind the frame at `start`: the first at which the checksum over all of it comes out as 0."""
    register = 0
    for at, octet in enumerate(window.at(start, LONGEST_FRAME)):
        register = (register << 8 & 0xFF00) ^ FRAME_TABLE[register >> 8 ^ octet]
        if register == 0 and at >= SHORTEST_FRAME:
            return start + at + 1
    return None
