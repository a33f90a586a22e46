"""Flash video: a chain of tags, each with its size before and after it. FFmpeg stops at the first invalid tag.

Source: Adobe Flash Video File Format Specification 10.1, annex E.
"""

from __future__ import annotations

import struct

from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import Window

TAG_TYPES = frozenset({8, 9, 18})
"""Audio, video, script data."""
RESERVED = 0xC0
"""Bits of the first byte of a tag that are 0; letters, such as those of RIFF, have one of them."""
TAG_HEADER = 11
SCRIPT_BYTES = 1 << 14
END_TOLERANCE_S = 0.25


def check_tags(source: Source, report: ContainerReport) -> None:
    """Note where the chain of tags breaks or is cut off, a stated size or length not reached, a second recording."""
    with Window(source) as window:
        stated = window.at(0, SCRIPT_BYTES)
        stated_s, stated_bytes = _stated(stated, b'duration'), int(_stated(stated, b'filesize'))
        report.states_length = stated_s > 0 or stated_bytes > 0
        position, last_s = _through(window, int.from_bytes(window.at(5, 4), 'big') + 4)
        left_bytes = source.size - position
        if window.at(position, 3) == b'FLV':
            _, length_s = _through(window, position + int.from_bytes(window.at(position + 5, 4), 'big') + 4)
            sentence = f'not read: another recording begins at byte {position}, {left_bytes:,} bytes'
            report.add('unread', f'{sentence}{seconds_of(length_s)}', left_bytes, length_s)
        elif left_bytes > 0:
            sentence = f'damaged: no tag begins at byte {position} of {source.size}, {left_bytes:,} bytes'
            note_rest(window, position, sentence, report)
        report.cut(position, source.size, 'the last tag')
        if not report.topics:
            report.cut(stated_bytes, source.size, 'the file')
        if stated_s > last_s + END_TOLERANCE_S:
            sentence = f'cut short: the header states {stated_s:.2f} s, the tags end at {last_s:.2f} s'
            report.add('length', sentence, 0, stated_s - last_s)


def _through(window: Window, position: int) -> tuple[int, float]:
    """Position after the last tag of a chain, and time of this tag in seconds."""
    last_s = 0.0
    while position + TAG_HEADER <= window.size and window.meets_another():
        header = window.at(position, TAG_HEADER)
        if header[0] & RESERVED or header[0] & 0x1F not in TAG_TYPES:
            break
        last_s = max(last_s, int.from_bytes(header[7:8] + header[4:7], 'big', signed=True) / 1000)
        position += TAG_HEADER + int.from_bytes(header[1:4], 'big') + 4
    return position, last_s


def _stated(script: bytes, name: bytes) -> float:
    """The number after a name in the script data (0, then eight bytes); 0 where there is none."""
    offset = script.find(name + b'\0')
    if offset < 0 or offset + len(name) + 9 > len(script):
        return 0.0
    number = struct.unpack('>d', script[offset + len(name) + 1 : offset + len(name) + 9])[0]
    return number if 0 < number < 1e15 else 0.0
