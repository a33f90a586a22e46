"""GIF and animated PNG: checks of the chain of blocks, and of the compressed pixels of a GIF without drawing them.

A damaged length joins the data of two images of a GIF; the decoder stops when the first is full and silently loses
the second. The codes are therefore followed to their end mark, after which nothing should follow.

Source: GIF89a specification, sections 17 to 27 (blocks), appendices A and F (LZW codes of growing width); PNG third
edition, 5.3 (chunks), 11.3.2 (acTL).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source, WatchedFile
from affekt.containers.window import CHAIN, Window
from affekt.wording import counted

EXTENSION, PICTURE, TRAILER = 0x21, 0x2C, 0x3B
HAS_TABLE, TABLE_SIZE = 0x80, 0x07
HEADER = 13
"""Bytes before the first colour table or block."""
MOST_BYTES = 1 << 20
"""Maximum size of a file whose codes are followed: about a second of work."""
WIDEST_CODE = 12
"""Maximum width of an LZW code in bits."""
SPARE_BYTES = 4
"""Bytes after the end mark of an image that count as padding."""
PIECE = 1 << 20
"""Bytes of a chunk that are read at a time."""


@dataclass
class Gif:
    """The blocks of a GIF."""

    width: int = 0
    height: int = 0
    pictures: int = 0
    """Number of complete images."""
    damage: str = ''
    """A sentence on where the chain of blocks breaks; '' if it does not."""
    end: int = 0
    """Position after the last block."""


def walk_gif(source: Source, most_pictures: int | None = None) -> Gif:
    """The blocks of a GIF up to its end, to the first damage, or to `most_pictures` images if given."""
    gif = Gif()
    with source.open(60.0) as file:
        head = file.read(HEADER)
        if len(head) < HEADER:
            gif.damage = f'cut short: the header of a GIF has {HEADER} bytes, the file {len(head)}'
            return gif
        gif.width, gif.height = int.from_bytes(head[6:8], 'little'), int.from_bytes(head[8:10], 'little')
        _skip_table(file, head[10])
        while most_pictures is None or gif.pictures < most_pictures:
            block = file.read(1)
            file.touch()
            if block == bytes([TRAILER]):
                gif.end = file.tell()
                return gif
            if not block or not _skip_block(file, block[0], gif):
                gif.damage = _broken(block, file.tell(), source.size, gif.pictures)
                return gif
    return gif


def check_gif(source: Source, report: ContainerReport) -> None:
    """Note where the chain of blocks breaks, and bytes after its end."""
    gif = walk_gif(source)
    if gif.damage:
        report.add('chain', gif.damage)
    else:
        _note_trailing(source, gif.end, 'GIF', report)


def check_apng(source: Source, report: ContainerReport) -> None:
    """Note where the chain of chunks breaks, a checksum fails, or there are fewer images than announced."""
    announced = pictures = 0
    position = 8
    with source.open(60.0) as file:
        file.seek(position)
        while len(head := file.read(8)) == 8:
            file.touch()
            size, name = struct.unpack('>I4s', head)
            if not name.isalpha():
                sentence = f'damaged: no chunk begins at byte {position} of {source.size}'
                report.add('chain', sentence, source.size - position)
                break
            report.cut(position + size + 12, source.size, f'the chunk {name.decode()!r}')
            if position + size + 12 > source.size:
                break
            content = file.read(min(size, PIECE))
            computed, remaining = zlib.crc32(content, zlib.crc32(name)), size - len(content)
            while remaining > 0 and (data := file.read(min(remaining, PIECE))):
                computed, remaining = zlib.crc32(data, computed), remaining - len(data)
            if computed != int.from_bytes(file.read(4), 'big'):
                report.add('checksum', f'damaged: the checksum of the chunk at byte {position} is wrong', size)
            if name == b'acTL':
                announced = int.from_bytes(content[:4], 'big')
            pictures += name == b'fcTL'
            position += size + 12
            if name == b'IEND':
                _note_trailing(source, position, 'PNG', report)
                break
        else:
            report.add('end', f'cut short: the file ends at byte {source.size} without the mark of its end')
    if pictures < announced:
        report.add('pictures', f'{announced - pictures} of {announced} announced images are missing')


def _note_trailing(source: Source, end: int, name: str, report: ContainerReport) -> None:
    if trailing_bytes := source.size - end:
        verb = 'is' if trailing_bytes == 1 else 'are'
        report.add(
            'behind', f'{counted(trailing_bytes, "byte")} after the end of the {name} {verb} not read', trailing_bytes
        )


def _broken(block: bytes, position: int, size: int, pictures: int) -> str:
    if position >= size or block[:1] in (b'', b'!', b','):
        return f'cut short: the file ends after {pictures} whole images, at byte {size}, without the mark of its end'
    return f'damaged: no block begins at byte {position - 1} of {size}, after {pictures} whole images'


def _skip_block(file: WatchedFile, block: int, gif: Gif) -> bool:
    """Skip a block; False if it is invalid or does not end within the file."""
    if block == EXTENSION:
        return len(file.read(1)) == 1 and _skip_sub_blocks(file)
    if block != PICTURE:
        return False
    head = file.read(9)
    if len(head) < 9:
        return False
    gif.width = max(gif.width, int.from_bytes(head[0:2], 'little') + int.from_bytes(head[4:6], 'little'))
    gif.height = max(gif.height, int.from_bytes(head[2:4], 'little') + int.from_bytes(head[6:8], 'little'))
    _skip_table(file, head[8])
    if len(file.read(1)) < 1 or not _skip_sub_blocks(file):
        return False
    gif.pictures += 1
    return True


def _skip_table(file: WatchedFile, flags: int) -> None:
    if size := _table_bytes(flags):
        file.seek(size, 1)


def _skip_sub_blocks(file: WatchedFile) -> bool:
    """Skip a chain of sub-blocks; False if the file ends within it."""
    while size := file.read(1):
        if size == b'\0':
            return True
        if len(file.read(size[0])) < size[0]:
            return False
    return False


def doubt_in_gif(source: Source) -> str:
    """Sentences on damage or further content of a GIF with one image, in one line; '' for none."""
    report = ContainerReport()
    check_gif(source, report)
    check_codes(source, report)
    return '; '.join(report.sentences)


def check_codes(source: Source, report: ContainerReport) -> None:
    """Note images whose compressed data continue after their end, or end before the image is full."""
    if not HEADER <= source.size <= MOST_BYTES:
        return
    with Window(source, CHAIN) as window:
        content = window.at(0, source.size)
    position, number = HEADER + _table_bytes(content[10]), 0
    while position < len(content) and content[position] in (PICTURE, EXTENSION):
        if content[position] == EXTENSION:
            _, position = _sub_blocks(content, position + 2)
            continue
        head = content[position : position + 11]
        if len(head) < 11:
            break
        pixels = int.from_bytes(head[5:7], 'little') * int.from_bytes(head[7:9], 'little')
        code_start = position + 10 + _table_bytes(head[9])
        width = content[code_start] if code_start < len(content) else 0
        data, position = _sub_blocks(content, code_start + 1)
        number += 1
        if 2 <= width < WIDEST_CODE:
            drawn, used = count_pixels(data, width, pixels)
            surplus = len(data) - used
            if drawn < pixels:
                report.add('pixels', f'damaged: image {number} holds {drawn:,} of {pixels:,} pixels')
            elif surplus > SPARE_BYTES:
                sentence = f'damaged: {surplus:,} bytes follow the end of image {number} inside its data'
                report.add('surplus', sentence, surplus)


def count_pixels(data: bytes, width: int, most: int) -> tuple[int, int]:
    """Number of pixels that the codes represent, up to `most`, and of bytes up to their end mark.

    Args:
        data: codes; the first one is in the lowest bits.
        width: bits per pixel.
        most: number of pixels of the image; further ones are not counted.
    """
    clear, end = 1 << width, (1 << width) + 1
    lengths = [1] * clear + [0] * (4096 - clear)
    next_code, bits, previous = end + 1, width + 1, -1
    pool = pool_bits = position = drawn = 0
    while True:
        while pool_bits < bits and position < len(data):
            pool |= data[position] << pool_bits
            pool_bits += 8
            position += 1
        if pool_bits < bits:
            return drawn, position
        code, pool, pool_bits = pool & (1 << bits) - 1, pool >> bits, pool_bits - bits
        if code == end:
            return drawn, position
        if code == clear:
            next_code, bits, previous = end + 1, width + 1, -1
            continue
        if code > next_code or (previous < 0 and code >= clear):
            return drawn, position
        length = lengths[code] if code < next_code else lengths[previous] + 1
        drawn = min(most, drawn + length)
        if previous >= 0 and next_code < 4096:
            lengths[next_code] = lengths[previous] + 1
            next_code += 1
            if next_code == 1 << bits and bits < WIDEST_CODE:
                bits += 1
        previous = code


def _table_bytes(flags: int) -> int:
    """Size in bytes of the colour table after these flags."""
    return 3 << ((flags & TABLE_SIZE) + 1) if flags & HAS_TABLE else 0


def _sub_blocks(content: bytes, position: int) -> tuple[bytes, int]:
    """The joined sub-blocks from a position on, each preceded by its length, and the position after the empty one."""
    pieces = []
    while position < len(content) and content[position]:
        pieces.append(content[position + 1 : position + 1 + content[position]])
        position += 1 + content[position]
    return b''.join(pieces), position + 1
