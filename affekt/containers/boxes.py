"""ISO base media files (mp4, mov, m4a): the chain of boxes, the parts of a track, and the header.

A box is its size (32 bits, or 64 if the size is 1), a name of four letters, and its content. FFmpeg never opens what
follows a whole recording, as `cat` would leave it.

Source: ISO/IEC 14496-12, sections 4.2, 6.2.3, 8.2.2 and 8.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import Window

NEEDED: dict[bytes, tuple[tuple[bytes, ...], ...]] = {
    b'moov': ((b'mvhd',), (b'trak',)),
    b'trak': ((b'tkhd',), (b'mdia',)),
    b'mdia': ((b'mdhd',), (b'hdlr',), (b'minf',)),
    b'minf': ((b'stbl',),),
    b'stbl': ((b'stsd',), (b'stts',), (b'stsc',), (b'stsz', b'stz2'), (b'stco', b'co64')),
}
"""Boxes without which their parent cannot be read, one of each group. FFmpeg silently skips such a track."""
FIRST_NAMES = frozenset({b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip', b'styp', b'moof', b'sidx', b'pnot'})
MAX_DEPTH = 10
"""Depth of nested boxes that FFmpeg reads."""
MAX_HEADER_BOXES = 16
"""Number of boxes after an index within which the next media are sought."""


class Box(NamedTuple):
    """Position of a box: first byte of its header (`start`) and of its content (`body`), and byte after it (`end`)."""

    name: bytes
    start: int
    body: int
    end: int


def boxes(window: Window, start: int, end: int, is_clipped: bool = True) -> Iterator[Box]:
    """The boxes between two positions; their ends are clipped to `end` if requested. Stops where no box can begin."""
    while start + 8 <= end and window.meets_another():
        header = window.at(start, 16)
        size, body = int.from_bytes(header[:4], 'big'), start + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16], 'big'), start + 16
        if size == 0:
            size = end - start
        if size < body - start:
            return
        yield Box(header[4:8], start, body, min(end, start + size) if is_clipped else start + size)
        start += size


def inside(window: Window, spans: list[tuple[int, int]], *path: bytes) -> list[tuple[int, int]]:
    """(First byte of the content, end) of all boxes at the end of a path of names."""
    for name in path:
        spans = [(box.body, box.end) for span in spans for box in boxes(window, *span) if box.name == name]
    return spans


def versioned_number(window: Window, start: int, wide: tuple[int, int], narrow: tuple[int, int]) -> int:
    """The number at (offset, width) in a box that begins with its version: `wide` for version 1, otherwise `narrow`."""
    content = window.at(start, 48)
    offset, width = wide if content[:1] == b'\x01' else narrow
    return int.from_bytes(content[offset : offset + width], 'big')


def check_boxes(window: Window, report: ContainerReport) -> list[list[Box]]:
    """Note where the chain of boxes breaks or passes the end of the file, and where a track lacks a part.

    Returns:
        The outermost boxes of each recording in the file: one recording, except where files were joined by `cat`.
    """
    chain: list[Box] = []
    position = 0
    for box in boxes(window, 0, window.size, is_clipped=False):
        if not _is_name(box.name):
            break
        report.cut(box.end, window.size, f'the box {box.name.decode("latin1")!r}')
        chain.append(box._replace(end=min(box.end, window.size)))
        position = box.end
    if position < window.size:
        sentence = f'damaged: no box begins at byte {position} of {window.size}'
        note_rest(window, position, sentence, report)
    recordings = _recordings(window, chain)
    for box in recordings[0]:
        if box.name == b'moov':
            _check_parts(window, box, report, depth=0)
    if window.is_exhausted:
        report.add('too many', f'damaged: more than {window.parts - 1:,} boxes; the rest was not looked at')
    return recordings


def _recordings(window: Window, chain: list[Box]) -> list[list[Box]]:
    """The chain, split where another recording begins: at a second index (moov), or a file type after media.

    Fragments after a second index that continue in time belong to the first recording: some streams repeat the index.
    """
    parts: list[list[Box]] = [[]]
    names: set[bytes] = set()
    last: Box | None = None
    for number, box in enumerate(chain):
        is_index = box.name == b'moov' and b'moov' in names
        is_type = box.name == b'ftyp' and not names.isdisjoint({b'moov', b'mdat', b'moof'})
        if (is_index or is_type) and not (last is not None and _continues(window, last, chain, number)):
            parts.append([])
            names = set()
            last = None
        names.add(box.name)
        parts[-1].append(box)
        last = box if box.name == b'moof' else last
    return parts


def _continues(window: Window, last: Box, chain: list[Box], number: int) -> bool:
    """Whether the next media are a fragment that is later than the last one."""
    following = next((box for box in chain[number : number + MAX_HEADER_BOXES] if box.name in (b'moof', b'mdat')), None)
    if following is None or following.name == b'mdat':
        return False
    before, after = decode_times(window, last), decode_times(window, following)
    return any(after[track] > before[track] for track in before.keys() & after.keys())


def decode_times(window: Window, fragment: Box) -> dict[int, int]:
    """Track number to the decode time, in ticks, at which a fragment begins."""
    times = {}
    for part in inside(window, [(fragment.body, fragment.end)], b'traf'):
        for header, _ in inside(window, [part], b'tfhd'):
            for start, _ in inside(window, [part], b'tfdt'):
                times[window.number(header + 4, 4)] = versioned_number(window, start, (4, 8), (4, 4))
    return times


def movie_seconds(window: Window, moov: Box) -> float:
    """Duration in seconds stated by the index; 0 where there is none."""
    for start, _ in inside(window, [(moov.body, moov.end)], b'mvhd'):
        scale = versioned_number(window, start, (20, 4), (12, 4))
        length = versioned_number(window, start, (24, 8), (16, 4))
        if scale and length not in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
            return length / scale
    return 0.0


def _check_parts(window: Window, parent: Box, report: ContainerReport, depth: int) -> None:
    """Note required boxes that are missing below `parent`, and tracks in boxes that cannot hold one."""
    parent_name = parent.name.decode()
    if depth > MAX_DEPTH:
        report.add('depth', f'damaged: boxes lie in each other more than {MAX_DEPTH} deep at byte {parent.start}')
        return
    children = list(boxes(window, parent.body, parent.end))
    names = {child.name for child in children}
    for group in NEEDED[parent.name]:
        if not names.intersection(group):
            report.add('part', f'damaged: no {group[0].decode()} box in {parent_name}')
    for child in children:
        if (parent_name, child.name) != ('moov', b'trak') and _is_track(window, child):
            report.add('track', f'damaged: a track in the box {child.name!r} of {parent_name} cannot be read')
    for name in sorted(names):
        if not _is_name(name):
            report.add('name', f'damaged: a box in {parent_name} is called {name!r}')
    for child in children:
        if child.name in NEEDED:
            _check_parts(window, child, report, depth + 1)


def _is_name(name: bytes) -> bool:
    return all(32 <= letter < 127 or letter == 0xA9 for letter in name)


def _is_track(window: Window, box: Box) -> bool:
    return any(child.name in {b'tkhd', b'mdia'} for child in boxes(window, box.body, box.end))


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(Width, height) of every video track, as stated in its sample description."""
    sizes = []
    with Window(source) as window:
        for media in inside(window, [(0, source.size)], b'moov', b'trak', b'mdia', b'minf'):
            described = inside(window, [media], b'stbl', b'stsd')
            if not described or not inside(window, [media], b'vmhd'):
                continue
            # version and flags 4, count 4, then the entry: size 4, name 4, 24 bytes, width 2, height 2
            description = window.at(described[0][0], 44)
            sizes.append((int.from_bytes(description[40:42], 'big'), int.from_bytes(description[42:44], 'big')))
    return sizes


def track_ends(source: Source) -> dict[int, float]:
    """Track number to the end time in seconds stated by its header (tkhd); empty where the file states none.

    The sample tables state it a second time, and decoding uses only those.
    """
    ends: dict[int, int] = {}
    scale = 0
    with Window(source) as window:
        movies = inside(window, [(0, source.size)], b'moov')[:1]  # FFmpeg reads the first one
        for start, _ in inside(window, movies, b'mvhd'):
            scale = versioned_number(window, start, (20, 4), (12, 4))
        for start, _ in inside(window, movies, b'trak', b'tkhd'):
            number = versioned_number(window, start, (20, 4), (12, 4))
            ends[number] = versioned_number(window, start, (28, 8), (20, 4))
    if scale == 0:
        return {}
    return {number: length / scale for number, length in ends.items() if 0 < length < 0xFFFFFFFF}
