"""FLAC: the checksum of every frame, and data after the last one.

FFmpeg silently skips a frame whose checksum fails, and after the last frame continues with any bytes that look like
another one. N frames, W words of 16 bits.

Source: RFC 9639, sections 8.2, 9.1 and 9.3.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affekt.containers.frame_chain import tag_length, unread_behind
from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport, anew_sentence
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

Words = npt.NDArray[np.uint16]

MAGIC = b'fLaC'
LAST_BLOCK = 0x80
MAX_BLOCKS = 1_000
LONGEST_FRAME = 1 << 22
"""Largest size of the last frame in bytes: two seconds of eight channels at the highest rate."""
MOST_MISSING = 10_000_000
"""Largest gap between two frames, in frames (or in samples in files that count those)."""
MOST_TOGETHER = 256
"""Maximum number of frames whose checksums are computed together."""
HEADER_BYTES, SHORTEST_FRAME = 16, 8


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """CRC remainders of all byte values, most significant bit first."""
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
    """Note another recording or other bytes after the last frame, and a last frame that is cut off."""
    with Window(source, CHAIN) as window:
        start = tag_length(source)
        stream = _metadata(window, start)
        frames = stream.end
        report.states_length = stream.samples > 0
        sync = window.at(frames, 2)
        if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFE != 0xF8:
            return
        positions, following = _frames(window, frames, sync)
        _check_frames(window, positions, stream, report)
        last = positions[-1] if positions else frames
        if following is not None:
            size, length_s = source.size - following, _metadata(window, following).length_s
            report.add('unread', anew_sentence(following, size, length_s), size, length_s)
            return
        ends = _frame_ends(window, last)
        if not ends:
            report.add('end', f'damaged: the last frame, at byte {last} of {source.size}, is not whole')
        elif all(unread := [unread_behind(window, end) for end in ends]):
            size = unread[0]
            sentence = f'not read: {size:,} bytes follow the last frame at byte {ends[0]}'
            note_rest(window, ends[0], sentence, report, 'unread', size)


class Stream(NamedTuple):
    """The stream metadata; `end` is the position after them."""

    end: int
    samples: int
    rate_hz: int
    block: int
    """Samples per frame."""

    @property
    def length_s(self) -> float:
        """Duration of the recording in seconds; 0 where no sample rate is stated."""
        return self.samples / self.rate_hz if self.rate_hz else 0.0

    @property
    def frame_s(self) -> float:
        """Duration of a frame in seconds."""
        return self.block / self.rate_hz if self.rate_hz else 0.0


def _metadata(window: Window, start: int) -> Stream:
    """The metadata at the start of the recording at `start`."""
    position, samples, rate_hz, block = start + 4, 0, 0, 0
    for _ in range(MAX_BLOCKS):
        header = window.at(position, 4)
        if len(header) < 4:
            break
        if header[0] & 0x7F == 0:
            # block sizes 4, frame sizes 6, then rate 20 bits, channels 3, width 5, samples 36
            numbers = window.number(position + 14, 8)
            rate_hz, samples = numbers >> 44, numbers & (1 << 36) - 1
            block = window.number(position + 6, 2)
        position += 4 + int.from_bytes(header[1:], 'big')
        if header[0] & LAST_BLOCK:
            break
    return Stream(position, samples, rate_hz, block)


def _frames(window: Window, first: int, sync: bytes) -> tuple[list[int], int | None]:
    """Positions of the frames of the recording, and of another recording after it, if any."""
    positions: list[int] = []
    number, position, first_header = -1, first, window.at(first, 4)
    while position < window.size:
        block = window.at(position, CHAIN)
        magic = block.find(MAGIC)
        is_new = 0 <= magic < len(block) - 4 and block[magic + 4] & 0x7F == 0
        stop = magic if is_new else len(block)
        offset = block.find(sync, 0, stop)
        while offset >= 0:
            header = window.at(position + offset, HEADER_BYTES)
            frame_number = _frame_number(header)
            is_usual = (
                len(header) > 4 and header[2] & 15 == first_header[2] & 15 and header[3] & 14 == first_header[3] & 14
            )
            if frame_number is not None and is_usual and number < frame_number <= number + MOST_MISSING:
                positions.append(position + offset)
                number = frame_number
            offset = block.find(sync, offset + 1, stop)
        if is_new:
            return positions, position + magic
        if position + len(block) >= window.size:
            break
        position += len(block) - HEADER_BYTES
    return positions, None


def _check_frames(window: Window, positions: list[int], stream: Stream, report: ContainerReport) -> None:
    """Note every frame except the last whose checksum over all its bytes is not 0."""
    first = 0
    while first < len(positions) - 1:
        stop, longest = first, 0
        while stop < len(positions) - 1 and stop - first < MOST_TOGETHER:
            longest = max(longest, positions[stop + 1] - positions[stop])
            if stop > first and longest * (stop + 1 - first) > LONGEST_FRAME:
                break
            stop += 1
        starts, ends = positions[first:stop], positions[first + 1 : stop + 1]
        contents = [window.at(a, min(b - a, LONGEST_FRAME)) for a, b in zip(starts, ends, strict=True)]
        for start, end, remainder in zip(starts, ends, remainders(contents), strict=True):
            if remainder:
                sentence = f'damaged: the checksum of the frame at byte {start} is wrong ({end - start:,} bytes'
                report.add('checksum', f'{sentence}, {stream.frame_s:.2f} s)', end - start, stream.frame_s)
        first = stop


def remainders(contents: list[bytes]) -> Words:
    """(N,) CRC-16 of each content, with polynomial 0x8005, most significant bit first, initial value 0.

    All contents are processed together, two bytes at a time; zeros before a content do not change its CRC.
    """
    length = -(-max(map(len, contents)) // 2) * 2
    padded = b''.join(content.rjust(length, b'\0') for content in contents)
    words = np.frombuffer(padded, '>u2').reshape(len(contents), -1).astype(np.uint16)  # (N, W)
    table, register = _word_table(), np.zeros(len(contents), np.uint16)
    for column in np.ascontiguousarray(words.T):
        register = table[register ^ column]
    return register


@cache
def _word_table() -> Words:
    """CRC remainders of all words of two bytes."""
    octets = np.array(FRAME_TABLE, np.uint16)
    words = np.arange(1 << 16, dtype=np.uint32)
    register = octets[words >> 8]
    table: Words = (register << 8) ^ octets[(register >> 8) ^ (words & 0xFF).astype(np.uint16)]
    return table


def _frame_number(header: bytes) -> int | None:
    """Number of the frame with this header (in some files, of its first sample); None if it is not a frame."""
    if len(header) < 6 or header[2] >> 4 == 0 or header[2] & 15 == 15 or header[3] >> 4 > 10 or header[3] & 1:
        return None
    width = max(1, 8 - (~header[4] & 0xFF).bit_length())
    if width > 7 or header[4] == 0xFF:
        return None
    if any(octet & 0xC0 != 0x80 for octet in header[5 : 4 + width]):
        return None
    number = header[4] & (0x7F if width == 1 else (1 << 7 - width) - 1)
    for octet in header[5 : 4 + width]:
        number = number << 6 | octet & 0x3F
    end = 4 + width + {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    register = 0
    for octet in header[:end]:
        register = HEADER_TABLE[register ^ octet]
    return number if end < len(header) and register == header[end] else None


def _frame_ends(window: Window, start: int) -> list[int]:
    """Possible ends of the frame at `start`: positions up to which the checksum over all bytes is 0.

    This happens by chance at one in 65,536 bytes, so that a large frame has several.
    """
    register, ends = 0, []
    for offset, octet in enumerate(window.at(start, LONGEST_FRAME)):
        register = (register << 8 & 0xFF00) ^ FRAME_TABLE[register >> 8 ^ octet]
        if register == 0 and offset >= SHORTEST_FRAME:
            ends.append(start + offset + 1)
    return ends
