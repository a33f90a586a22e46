"""The compressed pixels of a GIF, counted without being drawn: a picture that holds more or fewer than it should.

A damaged length joins the pieces of two pictures into one; the decoder stops where the first is full, and the second is
gone without a word. So the codes are followed to their end mark, which nothing should follow.

Source: GIF89a specification, appendix F (LZW codes of growing width).
"""

from __future__ import annotations

from affekt.containers.animations import check_gif
from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

MOST_BYTES = 1 << 20
"""Compressed bytes of a file that are followed: a second of work."""
PICTURE, EXTENSION = 0x2C, 0x21
WIDEST_CODE = 12
SPARE_BYTES = 4


def doubt_in_gif(source: Source) -> str:
    """What a GIF of one picture holds beside it, in one line; empty where nothing."""
    report = ContainerReport()
    check_gif(source, report)
    check_codes(source, report)
    return '; '.join(report.sentences)


def check_codes(source: Source, report: ContainerReport) -> None:
    """Notes pictures whose compressed data go on behind their end, or end before the picture is full."""
    if source.size > MOST_BYTES:
        return
    with Window(source, CHAIN) as window:
        content = window.at(0, source.size)
    position, number = 13 + _table_bytes(content[10:11]), 0
    while position < len(content) and content[position] in (PICTURE, EXTENSION):
        if content[position] == EXTENSION:
            _, position = _sub_blocks(content, position + 2)
            continue
        head = content[position : position + 11]
        if len(head) < 11:
            break
        pixels = int.from_bytes(head[5:7], 'little') * int.from_bytes(head[7:9], 'little')
        first = position + 10 + _table_bytes(head[9:10])
        width = content[first] if first < len(content) else 0
        data, position = _sub_blocks(content, first + 1)
        number += 1
        if 2 <= width < WIDEST_CODE:
            drawn, used = count_pixels(data, width, pixels)
            rest = len(data) - used
            if drawn < pixels:
                report.add('pixels', f'damaged: picture {number} holds {drawn:,} of {pixels:,} pixels')
            elif rest > SPARE_BYTES:
                sentence = f'damaged: {rest:,} bytes follow the end of picture {number} inside its data'
                report.add('surplus', sentence, rest)


def count_pixels(data: bytes, width: int, most: int) -> tuple[int, int]:
    """Pixels that the codes stand for, up to `most`, and the bytes up to their end mark.

    Args:
        data: codes, the first one in the lowest bits.
        width: bits of a pixel's colour.
        most: pixels of the picture; what goes beyond is not counted.
    """
    clear, end = 1 << width, (1 << width) + 1
    lengths = [1] * clear + [0] * (4096 - clear)
    following, bits, before = end + 1, width + 1, -1
    pool = pool_bits = at = drawn = 0
    while True:
        while pool_bits < bits and at < len(data):
            pool |= data[at] << pool_bits
            pool_bits += 8
            at += 1
        if pool_bits < bits:
            return drawn, at
        code, pool, pool_bits = pool & (1 << bits) - 1, pool >> bits, pool_bits - bits
        if code == end:
            return drawn, at
        if code == clear:
            following, bits, before = end + 1, width + 1, -1
            continue
        if code > following or (before < 0 and code >= clear):
            return drawn, at
        length = lengths[code] if code < following else lengths[before] + 1
        drawn = min(most, drawn + length)
        if before >= 0 and following < 4096:
            lengths[following] = lengths[before] + 1
            following += 1
            if following == 1 << bits and bits < WIDEST_CODE:
                bits += 1
        before = code


def _table_bytes(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _sub_blocks(content: bytes, position: int) -> tuple[bytes, int]:
    """The joined pieces that begin at a byte, each behind its length, and the byte behind the empty one."""
    pieces = []
    while position < len(content) and content[position]:
        pieces.append(content[position + 1 : position + 1 + content[position]])
        position += 1 + content[position]
    return b''.join(pieces), position + 1
