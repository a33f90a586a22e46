"""Ogg: pages with numbers, checksums and an end flag. FFmpeg silently drops a damaged page.

Source: RFC 3533, section 6.
"""

from __future__ import annotations

import zlib

from affekt.containers.losses import ContainerReport, anew_sentence
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

BEGINS, ENDS = 2, 4
"""Flags of a page: first page of its stream, last page of its stream."""
MIRRORED = bytes(int(f'{octet:08b}'[::-1], 2) for octet in range(256))
"""All byte values with their bits in reverse order."""


def check_pages(source: Source, report: ContainerReport) -> None:
    """Note gaps between pages or in their numbers, failed checksums, and a missing end flag (4).

    A page: 'OggS', version, flags, granule (8), serial (4), number (4), checksum (4), segment count, segment sizes.
    """
    position, last, has_end = 0, dict[bytes, int](), False
    has_data = False
    with Window(source, CHAIN) as window:
        while position < source.size:
            header = window.at(position, 27 + 255)
            if header[:4] != b'OggS' or len(header) < 27:
                sentence = f'damaged: no page begins at byte {position} of {source.size}'
                report.add('chain', sentence, source.size - position)
                break
            length = 27 + header[26] + sum(header[27 : 27 + header[26]])
            page = window.at(position, length)
            if len(page) == length and _checksum(page) != page[22:26]:
                sentence = f'damaged: the checksum of the page at byte {position} is wrong ({length:,} bytes)'
                report.add('checksum', sentence, length)
            if header[5] & BEGINS and has_data:
                _note_chained(window, position, report)
                has_data, last = False, {}
            has_data = has_data or not header[5] & BEGINS
            serial, number = header[14:18], int.from_bytes(header[18:22], 'little')
            if serial in last and number != last[serial] + 1:
                report.add('number', f'damaged: page {number} follows page {last[serial]} at byte {position}')
            last[serial], has_end = number, bool(header[5] & ENDS)
            position += length
    report.cut(position, source.size, 'the last page')
    if not report.topics - {'unread'} and not has_end:
        report.add('end', 'cut short: the last page is not marked as the end of its stream')


def _note_chained(window: Window, start: int, report: ContainerReport) -> None:
    """Note a recording after another one: its times start again, so that only what is later than the first is read."""
    rate_hz, granule, position = _rate(window, start), 0, start
    has_data = False
    while position < window.size and window.meets_another():
        header = window.at(position, 27 + 255)
        if header[:4] != b'OggS' or (header[5] & BEGINS and has_data):
            break
        has_data = has_data or not header[5] & BEGINS
        ticks = int.from_bytes(header[6:14], 'little', signed=True)
        granule = max(granule, ticks)
        position += 27 + header[26] + sum(header[27 : 27 + header[26]])
    length_s = granule / rate_hz if rate_hz else 0.0
    size = position - start
    report.add('unread', anew_sentence(start, size, length_s), size, length_s)


def _rate(window: Window, start: int) -> int:
    """Ticks per second of the stream whose first page is at `start`; 0 if it is not of a known audio format."""
    header = window.at(start, 27 + 255 + 64)
    content = header[27 + header[26] :]
    if content.startswith(b'OpusHead'):
        return 48_000
    if content.startswith(b'\x01vorbis'):
        return int.from_bytes(content[12:16], 'little')
    if content.startswith(b'\x7fFLAC'):
        return int.from_bytes(content[27:30], 'big') >> 4  # 13 bytes of Ogg, 4 of the block, 10 before the rate
    return 0


def _checksum(page: bytes) -> bytes:
    """CRC-32 with polynomial 0x04c11db7, most significant bit first, initial value 0, of a page with checksum 0.

    zlib computes the same CRC on reversed bits, so that bytes and result are reversed.
    """
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, 'big').translate(MIRRORED)
