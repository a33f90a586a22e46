"""ISO base media (mp4, mov, m4a): the chain of boxes, and what the track headers say.

A box is its size (32 bits, or 64 where the size is 1), a name of four letters, and its content.

Source: ISO/IEC 14496-12, sections 4.2, 8.2.2 and 8.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from affekt.media.source import Source, WatchedFile, short_by

BOX_NAMES = frozenset({b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip', b'styp'})
MAX_BOXES = 10_000


def missing_boxes(source: Source) -> tuple[str, ...]:
    """ISO base media: a chain of boxes (32-bit size, name), the last of which must end at the end of the file."""
    position, seen = 0, set[bytes]()
    with source.open(60.0) as file:
        while position + 8 <= source.size and len(seen) < MAX_BOXES:
            file.seek(position)
            header = file.read(16)
            size, name = int.from_bytes(header[:4], 'big'), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], 'big')
            if size == 0:
                return ()  # reaches to the end of the file, whatever that is
            if size < 8 or not all(32 <= letter < 127 or letter == 0xA9 for letter in name):
                return (f'damaged: no box begins at byte {position} of {source.size}',)
            seen.add(name)
            position += size
            if position > source.size:
                return short_by(position, source.size, f'the box {name.decode("latin1")!r}')
    return ()


def track_ends(source: Source) -> dict[int, float]:
    """Track number to the second at which its header (tkhd) says that it ends; empty where the file does not say.

    The sample tables say the same thing a second time, and only they are used for decoding.
    """
    if source.head(12)[4:8] not in BOX_NAMES:
        return {}
    ends: dict[int, int] = {}
    scale = 0
    with source.open(60.0) as file:
        for name, start, end in _boxes(file, 0, source.size):
            if name != b'moov':
                continue
            for inner, inner_start, inner_end in _boxes(file, start, end):
                if inner == b'mvhd':
                    scale = _box_numbers(file, inner_start, (20, 4), (12, 4))
                elif inner == b'trak':
                    for leaf, leaf_start, _ in _boxes(file, inner_start, inner_end):
                        if leaf == b'tkhd':
                            number = _box_numbers(file, leaf_start, (20, 4), (12, 4))
                            ends[number] = _box_numbers(file, leaf_start, (28, 8), (20, 4))
    if scale == 0:
        return {}
    return {number: length / scale for number, length in ends.items() if 0 < length < 0xFFFFFFFF}


def _boxes(file: WatchedFile, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte of the content, end) of each box between two positions."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        header = file.read(16)
        size, body = int.from_bytes(header[:4], 'big'), start + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16], 'big'), start + 16
        if size == 0:
            size = end - start
        if size < 8:
            return
        yield header[4:8], body, min(end, start + size)
        start += size


def _box_numbers(file: WatchedFile, start: int, wide: tuple[int, int], narrow: tuple[int, int]) -> int:
    """The number at (offset, width) of a box whose first byte is its version: `wide` for version 1, else `narrow`."""
    file.seek(start)
    content = file.read(48)
    offset, width = wide if content[:1] == b'\x01' else narrow
    return int.from_bytes(content[offset : offset + width], 'big')
