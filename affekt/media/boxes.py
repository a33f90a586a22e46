"""ISO base media (mp4, mov, m4a): the chain of boxes, the parts of a track, and what its header says.

A box is its size (32 bits, or 64 where the size is 1), a name of four letters, and its content.

Source: ISO/IEC 14496-12, sections 4.2, 6.2.3, 8.2.2 and 8.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from affekt.media.source import Source, WatchedFile, short_by

NEEDED: dict[bytes, tuple[tuple[bytes, ...], ...]] = {
    b'moov': ((b'mvhd',), (b'trak',)),
    b'trak': ((b'tkhd',), (b'mdia',)),
    b'mdia': ((b'mdhd',), (b'hdlr',), (b'minf',)),
    b'minf': ((b'stbl',),),
    b'stbl': ((b'stsd',), (b'stts',), (b'stsc',), (b'stsz', b'stz2'), (b'stco', b'co64')),
}
"""Boxes without which their parent cannot be read; one of each group. FFmpeg leaves out such a track silently."""
FIRST_NAMES = frozenset({b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip', b'styp'})
MAX_BOXES = 1_000_000


def missing_boxes(source: Source) -> tuple[str, ...]:
    """Sentences where the chain of boxes breaks or passes the end of the file, or where a track lacks a part."""
    position = 0
    said: list[str] = []
    with source.open(60.0) as file:
        for name, body, end in _boxes(file, 0, source.size, is_clipped=False):
            file.touch()
            if not _is_name(name):
                return (*said, f'damaged: no box begins at byte {position} of {source.size}')
            if end > source.size:
                return (*said, *short_by(end, source.size, f'the box {name.decode("latin1")!r}'))
            if name == b'moov':
                said += _missing_parts(file, name, body, end)
            position = end
    if position < source.size:
        said.append(f'damaged: no box begins at byte {position} of {source.size}')
    return tuple(said)


def _missing_parts(file: WatchedFile, parent: bytes, start: int, end: int) -> list[str]:
    """Sentences about needed boxes that are absent below `parent`, and about tracks that lie where none belongs."""
    inside = list(_boxes(file, start, end))
    names = {name for name, _, _ in inside}
    where = parent.decode()
    said = [
        f'damaged: no {group[0].decode()} box in {where}' for group in NEEDED[parent] if not names.intersection(group)
    ]
    said += [
        f'damaged: a track in the box {name!r} of {where} cannot be read'
        for name, inner_start, inner_end in inside
        if (parent, name) != (b'moov', b'trak') and _is_track(file, inner_start, inner_end)
    ]
    said += [f'damaged: a box in {where} is called {name!r}' for name in sorted(names) if not _is_name(name)]
    for name, inner_start, inner_end in inside:
        if name in NEEDED:
            said += _missing_parts(file, name, inner_start, inner_end)
    return said


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(width, height) of every picture track, as its sample description states it."""
    sizes = []
    with source.open(60.0) as file:
        for media in _inside(file, [(0, source.size)], b'moov', b'trak', b'mdia', b'minf'):
            described = _inside(file, [media], b'stbl', b'stsd')
            if not described or not _inside(file, [media], b'vmhd'):
                continue
            file.seek(described[0][0])
            # version and flags 4, count 4, then the entry: size 4, name 4, 24 bytes, width 2, height 2
            description = file.read(44)
            sizes.append((int.from_bytes(description[40:42], 'big'), int.from_bytes(description[42:44], 'big')))
    return sizes


def _inside(file: WatchedFile, places: list[tuple[int, int]], *path: bytes) -> list[tuple[int, int]]:
    """(first byte of the content, end) of all boxes at the end of a path of names."""
    for wanted in path:
        places = [(a, b) for start, end in places for name, a, b in _boxes(file, start, end) if name == wanted]
    return places


def _is_name(name: bytes) -> bool:
    return all(32 <= letter < 127 or letter == 0xA9 for letter in name)


def _is_track(file: WatchedFile, start: int, end: int) -> bool:
    return any(name in {b'tkhd', b'mdia'} for name, _, _ in _boxes(file, start, end))


def track_ends(source: Source) -> dict[int, float]:
    """Track number to the second at which its header (tkhd) says that it ends; empty where the file does not say.

    The sample tables say the same thing a second time, and only they are used for decoding.
    """
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


def _boxes(file: WatchedFile, start: int, end: int, is_clipped: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte of the content, end) of each box between two positions; ends inside them where clipped."""
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
        yield header[4:8], body, min(end, start + size) if is_clipped else start + size
        start += size


def _box_numbers(file: WatchedFile, start: int, wide: tuple[int, int], narrow: tuple[int, int]) -> int:
    """The number at (offset, width) of a box whose first byte is its version: `wide` for version 1, else `narrow`."""
    file.seek(start)
    content = file.read(48)
    offset, width = wide if content[:1] == b'\x01' else narrow
    return int.from_bytes(content[offset : offset + width], 'big')
