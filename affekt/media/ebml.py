"""Matroska and WebM: nested elements of EBML, each an id, a size and its content.

FFmpeg searches on for the next cluster when one is damaged, and leaves out tracks that it cannot read, both silently.
So the chain of top-level elements and the number of tracks are checked here.

Source: RFC 8794, sections 4 and 5; RFC 9559, section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from affekt.media.source import Source, WatchedFile, short_by

SEGMENT = 0x18538067
TRACKS = 0x1654AE6B
TRACK_ENTRY = 0xAE
VIDEO, PIXEL_WIDTH, PIXEL_HEIGHT = 0xE0, 0xB0, 0xBA
VOID, CHECKSUM = 0xEC, 0xBF
TOP_LEVEL = frozenset(
    {0x114D9B74, 0x1549A966, TRACKS, 0x1F43B675, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, VOID, CHECKSUM}
)
"""SeekHead, Info, Tracks, Cluster, Cues, Attachments, Chapters, Tags, Void, CRC-32."""
MAX_ELEMENTS = 1_000_000


def missing_elements(source: Source) -> tuple[str, ...]:
    """Sentences where the chain of top-level elements breaks, or passes the end of the file."""
    with source.open(60.0) as file:
        segment = _segment(file, source.size)
        if segment is None:
            return ('damaged: no segment where one should begin',)
        start, end = segment
        if end > source.size:
            return short_by(end, source.size, 'the segment')
        position = start
        for identity, body, after in _elements(file, start, end):
            file.touch()
            if after is None:
                return ()  # a live cluster of unknown size: it ends where the next begins
            if identity not in TOP_LEVEL:
                return (f'damaged: an unknown element begins at byte {body} of {source.size}',)
            position = after
        if position != end:
            return (f'damaged: the elements end at byte {position}, not at {end}',)
    return ()


def track_count(source: Source) -> int:
    """How many tracks the header lists; 0 where it has no list, or the file is not Matroska."""
    with source.open(60.0) as file:
        return len(_inside(file, _tracks(file, source.size), TRACK_ENTRY))


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(width, height) of every picture track, as the list of tracks states it."""
    sizes = []
    with source.open(60.0) as file:
        for video in _inside(file, _tracks(file, source.size), TRACK_ENTRY, VIDEO):
            side = {}
            for identity, start, end in _elements(file, *video):
                if identity in (PIXEL_WIDTH, PIXEL_HEIGHT) and end is not None and end - start <= 8:
                    file.seek(start)
                    side[identity] = int.from_bytes(file.read(end - start), 'big')
            sizes.append((side.get(PIXEL_WIDTH, 0), side.get(PIXEL_HEIGHT, 0)))
    return sizes


def _tracks(file: WatchedFile, size: int) -> list[tuple[int, int]]:
    """Where the list of tracks lies: none or one (first byte, end)."""
    segment = _segment(file, size)
    if segment is None:
        return []
    for identity, body, after in _elements(file, *segment):
        if after is None:
            return []
        if identity == TRACKS:
            return [(body, after)]
    return []


def _inside(file: WatchedFile, places: list[tuple[int, int]], *path: int) -> list[tuple[int, int]]:
    """(first byte of the content, end) of all elements of known size at the end of a path of ids."""
    for wanted in path:
        places = [
            (a, b)
            for start, end in places
            for identity, a, b in _elements(file, start, end)
            if identity == wanted and b is not None
        ]
    return places


def _segment(file: WatchedFile, size: int) -> tuple[int, int] | None:
    """(first byte of the segment's content, its end); the end is the file's where the size is unknown."""
    for identity, body, after in _elements(file, 0, size):
        if identity == SEGMENT:
            return body, size if after is None else after
        if after is None:
            return None
    return None


def _elements(file: WatchedFile, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """(id, first byte of the content, end of the content or None where unknown) of each element of a stretch."""
    for _ in range(MAX_ELEMENTS):
        if start >= end:
            return
        file.seek(start)
        header = file.read(12)
        identity, id_width = _number(header, keeps_marker=True)
        size, size_width = _number(header[id_width:], keeps_marker=False)
        if id_width == 0 or id_width > 4 or size_width == 0:
            yield 0, start, end
            return
        body = start + id_width + size_width
        if size == (1 << 7 * size_width) - 1:
            yield identity, body, None
            return
        yield identity, body, body + size
        start = body + size


def _number(octets: bytes, keeps_marker: bool) -> tuple[int, int]:
    """An EBML number and its width in bytes; (0, 0) where none begins. Ids keep the bit that marks their width."""
    if not octets or octets[0] == 0:
        return 0, 0
    width = 9 - octets[0].bit_length()
    if len(octets) < width:
        return 0, 0
    value = int.from_bytes(octets[:width], 'big')
    return (value if keeps_marker else value & ~(1 << 7 * width)), width
