"""MPEG program streams (mpg, vob): consecutive packets that state their size, grouped in packs with a clock.

FFmpeg silently searches for the next packet after stray bytes, and reads no other container after the last packet.

Source: ISO/IEC 13818-1, section 2.5.3.
"""

from __future__ import annotations

from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

START, PACK, END = b'\0\0\1', 0xBA, 0xB9
FIRST_NAME = 0xBB
"""Least start code of a packet; lower ones occur within video."""
LEAST_BYTES = 64
"""Minimum number of bytes between packets that is reported."""


def check_packs(source: Source, report: ContainerReport) -> None:
    """Note bytes outside packets, and another recording after the last one; a stream never states its length."""
    report.states_length = False
    with Window(source, CHAIN) as window:
        position = 0
        while position < source.size and window.meets_another():
            length = _length(window, position)
            if length:
                position += length
                continue
            following = _next_pack(window, position)
            stop = source.size if following is None else following
            if stop - position >= LEAST_BYTES and not _is_blank(window, position, stop):
                lost_bytes = stop - position
                sentence = (
                    f'damaged: no packet begins at byte {position} of {source.size}; {lost_bytes:,} bytes are not read'
                )
                if following is None:
                    note_rest(window, position, sentence, report)
                else:
                    report.add('chain', sentence, lost_bytes)
            position = stop


def _length(window: Window, position: int) -> int:
    """Size of the pack header or packet at a position; 0 if there is none."""
    head = window.at(position, 14)
    if head[:3] != START or len(head) < 4:
        return 0
    if head[3] == END:
        return 4
    if head[3] == PACK:
        is_mpeg_2 = len(head) == 14 and head[4] >> 6 == 1
        return 14 + (head[13] & 7) if is_mpeg_2 else 12
    return 6 + int.from_bytes(head[4:6], 'big') if head[3] >= FIRST_NAME else 0


def _next_pack(window: Window, position: int) -> int | None:
    """The next position at which a pack begins; None for none."""
    while position < window.size:
        block = window.at(position, CHAIN)
        offset = block.find(START + bytes([PACK]))
        if offset >= 0:
            return position + offset
        if len(block) < 4:
            return None
        position += len(block) - 3
    return None


def _is_blank(window: Window, start: int, end: int) -> bool:
    """Whether all bytes between two positions are zero, as recorders write between packs."""
    return not any(
        window.at(position, min(CHAIN, end - position)).strip(b'\0') for position in range(start, end, CHAIN)
    )
