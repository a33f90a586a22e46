"""Number of tags (title, artist, comments, …) in a file, counted before FFmpeg reads them.

FFmpeg compares every tag with every other: a file of two megabytes with 200,000 tags takes minutes to open. Real files
have some dozens, and none of them is used here.

Sources: RFC 9639, section 8.6 (FLAC); RFC 9559, section 5.1.8 (Matroska); RFC 7845, section 5.2 (Opus); Microsoft,
Multimedia Programming Interface and Data Specifications 1.0 (LIST INFO); ISO/IEC 14496-12, section 8.10 (udta).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from affekt.containers import boxes, ebml
from affekt.containers.source import Source
from affekt.containers.window import Window
from affekt.errors import LimitError

MAX_TAGS = 5_000
"""Maximum number of tags of a file."""
MAX_CHUNKS = 1_000
"""Maximum number of chunks of a RIFF file, or of metadata blocks of a FLAC file, that are read."""
OGG_HEADER_BYTES = 1 << 24
COMMENT_HEADERS = (b'OpusTags', b'\x03vorbis', b'\x81theora')
BOX_PARENTS = frozenset({b'moov', b'trak', b'udta', b'meta', b'ilst', b'mdia', b'minf'})


def check_tag_count(source: Source) -> None:
    """Refuse a file with so many tags that opening it would take minutes.

    Raises:
        LimitError: the file has more than 5,000 tags.
    """
    count = _counter(source.head(12))
    if count is None:
        return
    with Window(source) as window:
        number = count(window)
    if number > MAX_TAGS:
        raise LimitError(
            expected=f'at most {MAX_TAGS:,} tags (title, artist, comments) in {source.name}',
            came=f'{number:,}',
            todo='export the file again without its tags',
        )


def _counter(head: bytes) -> Callable[[Window], int] | None:
    if head[:4] in (b'RIFF', b'RF64'):
        return lambda window: _in_chunks(window, 'little')
    if head[:4] in (b'FORM', b'RIFX'):
        return lambda window: _in_chunks(window, 'big')
    if head[:4] == b'fLaC':
        return _in_flac
    if head[:4] == b'\x1aE\xdf\xa3':
        return _in_matroska
    if head[:4] == b'OggS':
        return _in_ogg
    if head[4:8] in boxes.FIRST_NAMES:
        return lambda window: _in_boxes(window, 0, window.size, 0)
    return None


def _in_chunks(window: Window, order: Literal['big', 'little']) -> int:
    """Entries of all LIST INFO chunks (name 4, size 4, text, padded to even length), and of ID3 tags in a chunk."""
    position, number = 12, 0
    for _ in range(MAX_CHUNKS):
        header = window.at(position, 12)
        if len(header) < 8:
            break
        end = position + 8 + int.from_bytes(header[4:8], order)
        if header[:4].upper() == b'ID3 ':
            number += _id3_frames(window, position + 8, min(end, window.size))
        inner = position + 12
        while header[:4] == b'LIST' and header[8:12] == b'INFO' and inner + 8 <= min(end, window.size):
            number += 1
            size = int.from_bytes(window.at(inner + 4, 4), order)
            inner += 8 + size + size % 2
            if number > MAX_TAGS:
                return max(number, (end - position) // 10)
        position = end + end % 2
    return number


def _id3_frames(window: Window, start: int, end: int) -> int:
    """Frames of an ID3v2 tag: name 4, size 4 (four times seven bits from version 4 on), flags 2, content."""
    bits = 7 if window.at(start + 3, 1) >= b'\x04' else 8
    position, number = start + 10, 0
    while position + 10 <= end and number <= MAX_TAGS and window.at(position, 1).strip(b'\0'):
        size = window.at(position + 4, 4)
        position += 10 + sum(octet << bits * digit for digit, octet in enumerate(reversed(size)))
        number += 1
    return number


def _in_flac(window: Window) -> int:
    """Comments of all blocks of type 4; block header: last flag and type 1, size 3."""
    position, number = 4, 0
    for _ in range(MAX_CHUNKS):
        header = window.at(position, 4)
        if len(header) < 4:
            break
        size = int.from_bytes(header[1:], 'big')
        if header[0] & 0x7F == 4:
            number += min(_comments(window, position + 4), size // 4)
        position += 4 + size
        if header[0] & 0x80:
            break
    return number


def _comments(window: Window, start: int) -> int:
    """Number of comments in a Vorbis comment: vendor size 4, vendor, number 4, little-endian."""
    vendor = int.from_bytes(window.at(start, 4), 'little')
    return int.from_bytes(window.at(start + 4 + vendor, 4), 'little')


def _in_ogg(window: Window) -> int:
    """Number of comments in comment headers near the start, each at the beginning of a page's content."""
    number = 0
    position = 0
    while position < min(window.size, OGG_HEADER_BYTES) and window.meets_another():
        header = window.at(position, 27 + 255 + 16)
        if header[:4] != b'OggS':
            break
        body = 27 + header[26]
        for name in COMMENT_HEADERS:
            if header[body:].startswith(name):
                number += _comments(window, position + body + len(name))
        position += body + sum(header[27:body])
    return min(number, window.size)


def _in_matroska(window: Window) -> int:
    """Number of simple tags at any depth below the lists of tags; clusters are skipped."""
    segments = [
        (start, end or window.size)
        for name, start, end in ebml.elements(window, 0, window.size)
        if name == ebml.SEGMENT
    ]
    number = 0
    for segment in segments:
        for name, start, end in ebml.elements(window, *segment):
            if name == ebml.TAGS and end is not None:
                number += _simple_tags(window, start, min(end, window.size), 0)
    return number


def _simple_tags(window: Window, start: int, end: int, depth: int) -> int:
    number = 0
    for name, body, after in ebml.elements(window, start, end):
        number += name == ebml.SIMPLE_TAG
        if name in (ebml.TAG, ebml.SIMPLE_TAG) and after is not None and depth < boxes.MAX_DEPTH:
            number += _simple_tags(window, body, min(after, end), depth + 1)
    return number


def _in_boxes(window: Window, start: int, end: int, depth: int) -> int:
    """Number of boxes within udta, meta and ilst of a movie or track."""
    number = 0
    for box in boxes.boxes(window, start, end):
        if box.name not in BOX_PARENTS or depth > boxes.MAX_DEPTH:
            continue
        body = box.body + 4 if box.name == b'meta' and window.at(box.body + 4, 4) != b'hdlr' else box.body
        if box.name in (b'udta', b'ilst'):
            number += sum(1 for _ in boxes.boxes(window, body, box.end))
        number += _in_boxes(window, body, box.end, depth + 1)
    return number
