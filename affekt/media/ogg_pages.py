"""Ogg: pages with numbers, checksums and an end mark. FFmpeg drops a damaged page without a word.

Source: RFC 3533, section 6.
"""

from __future__ import annotations

import zlib

from affekt.media.report import ContainerReport
from affekt.media.source import Source
from affekt.media.window import CHAIN, Window

MIRRORED = bytes(int(f'{octet:08b}'[::-1], 2) for octet in range(256))
"""Each byte with its bits in reverse order."""


def check_pages(source: Source, report: ContainerReport) -> None:
    """Notes where pages do not follow each other, are not numbered without holes, or no end is marked (flag 4).

    A page: 'OggS', version, flags, granule (8), serial (4), number (4), checksum (4), segment count, segment sizes.
    """
    position, last, has_end = 0, dict[bytes, int](), False
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
            serial, number = header[14:18], int.from_bytes(header[18:22], 'little')
            if serial in last and number != last[serial] + 1:
                report.add('number', f'damaged: page {number} follows page {last[serial]} at byte {position}')
            last[serial], has_end = number, bool(header[5] & 4)
            position += length
    report.cut(position, source.size, 'the last page')
    if not report.sentences and not has_end:
        report.add('end', 'cut short: the last page is not marked as the end of its stream')


def _checksum(page: bytes) -> bytes:
    """CRC-32 with polynomial 0x04c11db7, most significant bit first, start 0, over the page with its checksum as 0.

    zlib computes the same sum on mirrored bits, so bytes and result are mirrored around it.
    """
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, 'big').translate(MIRRORED)
