"""GIF: the chain of its blocks, counted without decoding a pixel.

Source: GIF89a specification, sections 17 to 27 (blocks), appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

from affekt.media.source import Source, WatchedFile

EXTENSION, PICTURE, TRAILER = 0x21, 0x2C, 0x3B
HAS_TABLE, TABLE_SIZE = 0x80, 0x07
GRAPHIC_CONTROL = 0xF9


@dataclass
class Gif:
    """What the blocks of a GIF say."""

    width: int = 0
    height: int = 0
    pictures: int = 0
    """Whole pictures: those that end within the file."""
    damage: str = ''
    """A sentence where the chain of blocks breaks."""


def walk_gif(source: Source, most_pictures: int | None = None) -> Gif:
    """Count the pictures, up to a number where only that is asked for."""
    gif = Gif()
    with source.open(60.0) as file:
        head = file.read(13)
        if len(head) < 13:
            gif.damage = f'cut short: the header of a GIF has 13 bytes, the file {len(head)}'
            return gif
        gif.width, gif.height = int.from_bytes(head[6:8], 'little'), int.from_bytes(head[8:10], 'little')
        _skip_table(file, head[10])
        while most_pictures is None or gif.pictures < most_pictures:
            block = file.read(1)
            file.touch()
            if block == bytes([TRAILER]):
                return gif
            if not block or not _skip_block(file, block[0], gif):
                gif.damage = _broken(block, file.tell(), source.size, gif.pictures)
                return gif
    return gif


def _broken(block: bytes, position: int, size: int, pictures: int) -> str:
    if position >= size or block[:1] in (b'', b'!', b','):
        return f'cut short: the file ends after {pictures} whole pictures, at byte {size}, without the mark of its end'
    return f'damaged: no block begins at byte {position - 1} of {size}, after {pictures} whole pictures'


def _skip_block(file: WatchedFile, block: int, gif: Gif) -> bool:
    """Go behind a block; False where it is none, or does not end within the file."""
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
    if flags & HAS_TABLE:
        file.seek(3 << ((flags & TABLE_SIZE) + 1), 1)


def _skip_sub_blocks(file: WatchedFile) -> bool:
    """Go behind a chain of sub-blocks; False where the file ends inside."""
    while size := file.read(1):
        if size == b'\0':
            return True
        if len(file.read(size[0])) < size[0]:
            return False
    return False
