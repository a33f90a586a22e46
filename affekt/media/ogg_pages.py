"""Ogg: pages with numbers, checksums and an end mark. FFmpeg drops a damaged page without a word.

Source: RFC 3533, section 6.
"""

from __future__ import annotations

import zlib

from affekt.media.source import Source, short_by

MAX_OGG_PAGE = 27 + 255 + 255 * 255
MIRRORED = bytes(int(f'{octet:08b}'[::-1], 2) for octet in range(256))
"""Each byte with its bits in reverse order."""


def missing_pages(source: Source) -> tuple[str, ...]:
    """Ogg: pages follow each other, are numbered per stream without holes, and the last one carries the flag 4.

    A page: 'OggS', version, flags, granule (8), serial (4), number (4), checksum (4), segment count, segment sizes.
    """
    position, last, has_end = 0, dict[bytes, int](), False
    said: list[str] = []
    with source.open(60.0) as file:
        while position < source.size:
            file.touch()
            file.seek(position)
            page = file.read(MAX_OGG_PAGE)
            if page[:4] != b'OggS' or len(page) < 27:
                said.append(f'damaged: no page begins at byte {position} of {source.size}')
                break
            page = page[: 27 + page[26] + sum(page[27 : 27 + page[26]])]
            if position + len(page) <= source.size and _checksum(page) != page[22:26]:
                said.append(f'damaged: the checksum of the page at byte {position} is wrong')
            serial, number = page[14:18], int.from_bytes(page[18:22], 'little')
            if serial in last and number != last[serial] + 1:
                said.append(f'damaged: page {number} follows page {last[serial]}')
                break
            last[serial], has_end = number, bool(page[5] & 4)
            position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    if position > source.size:
        return (*said, *short_by(position, source.size, 'the last page'))
    if not said and not has_end:
        said.append('cut short: the last page is not marked as the end of its stream')
    return tuple(said)


def _checksum(page: bytes) -> bytes:
    """CRC-32 with polynomial 0x04c11db7, most significant bit first, start 0, over the page with its checksum as 0.

    zlib computes the same sum on mirrored bits, so bytes and result are mirrored around it.
    """
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, 'big').translate(MIRRORED)
