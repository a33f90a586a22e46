"""Checks of photographs for missing or damaged data, which decoders fill with black or grey.

Source: PNG third edition, 7.2, 8 and 9 (rows, interlacing, filters); ITU-T T.81, annex B (JPEG markers); WebP
container specification (RIFF chunks).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import av
import av.error

from affekt.containers import Source, WatchedFile
from affekt.containers.animations import walk_gif
from affekt.errors import LimitError

FREE_PIXELS = 9_000_000
PIXELS_PER_BYTE = 1000
"""A file of N bytes may have images of 9 million + 1000 N pixels: photographs have 1 to 50 pixels per byte."""
FREE_ANIMATED = 1_000_000_000
ANIMATED_PER_BYTE = 2000
"""A file of N bytes may have 1,000 million + 2000 N pixels in all its images together."""
ZEROED_BYTES = 256
"""Minimum length of a run of zeros that does not occur in coded images."""
CHUNK = 1 << 16
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG to its number of samples per pixel."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of the seven passes of an interlaced PNG."""
LARGEST_READ = 1 << 27
"""Bytes of a file that are examined at most; FFmpeg copies them."""
LEAST_CONTENT = 64
"""Bytes after an image from which a remark is made."""
MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')
"""Markers that end the coded data of a JPEG; zeros and restarts (D0 to D7) belong to them."""


def refuse_bomb(source: Source, pixels: int, pictures: int = 1) -> None:
    """Refuse a file whose few bytes declare implausibly many pixels, before anything is decoded.

    Args:
        source: the file.
        pixels: of one image, as declared.
        pictures: number of images of that size.

    Raises:
        LimitError: more than a file of this size can hold.
    """
    for unit, count, limit in (
        ('pixels in an image', pixels, FREE_PIXELS + PIXELS_PER_BYTE * source.size),
        ('pixels in all images', pixels * pictures, FREE_ANIMATED + ANIMATED_PER_BYTE * source.size),
    ):
        if count > limit:
            raise LimitError(
                expected=f'at most {limit:,} {unit} of a file of {source.size:,} bytes',
                came=f'{count:,} declared in {source.name}',
                todo='the file is blank or made to exhaust memory; if it is trusted, scale it down first',
            )


def refuse_animated_bomb(source: Source) -> None:
    """`refuse_bomb` for a GIF or PNG with several images, which FFmpeg decodes while it opens them.

    Raises:
        LimitError: it states more pixels than a file of this size can hold.
    """
    head = source.head(1 << 12)
    if head.startswith(b'GIF8'):
        gif = walk_gif(source)
        refuse_bomb(source, gif.width * gif.height, gif.pictures)
    elif head.startswith(b'\x89PNG') and (offset := head.find(b'acTL')) > 0:
        width, height = struct.unpack('>II', head[16:24])
        refuse_bomb(source, width * height, int.from_bytes(head[offset + 4 : offset + 8], 'big'))


def lost_in_png(source: Source) -> str:
    """Damage to the pixels of a PNG: missing rows, or a wrong checksum; '' if they are complete."""
    with source.open(60.0) as file:
        head = file.read(33)
        if len(head) < 33 or head[12:16] != b'IHDR':
            return 'no header'
        width, height, depth, colour, _, _, interlace = struct.unpack('>IIBBBBB', head[16:29])
        rows = _row_bytes(width, height, depth * CHANNELS.get(colour, 4), bool(interlace))
        expected = sum(count * size for count, size in rows)
        unpacked, failure = _inflated(file, expected)
    if unpacked >= expected:
        return failure
    complete_rows = 0
    for count, size in rows:
        complete_rows += min(count, unpacked // size)
        unpacked -= min(count * size, unpacked)
    if interlace:
        return f'{complete_rows} of {sum(count for count, _ in rows)} rows of its seven passes'
    return f'{complete_rows} of {height} rows'


def _row_bytes(width: int, height: int, bits: int, is_interlaced: bool) -> list[tuple[int, int]]:
    """(Rows, bytes per row with its filter byte) for each pass."""
    passes = ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    sizes = []
    for left, top, step_x, step_y in passes:
        columns, rows = max(0, -(-(width - left) // step_x)), max(0, -(-(height - top) // step_y))
        if columns and rows:
            sizes.append((rows, 1 + (columns * bits + 7) // 8))
    return sizes


def _inflated(file: WatchedFile, expected: int) -> tuple[int, str]:
    """Unpacked size of the pixel chunks, up to `expected`, and the error after it, if any."""
    unpacker = zlib.decompressobj()
    unpacked = 0
    try:
        for piece in _pixel_chunks(file):
            while piece and not unpacker.eof:
                unpacked += len(unpacker.decompress(piece, CHUNK))
                piece = unpacker.unconsumed_tail
                file.touch()
            if unpacker.eof:
                return unpacked, ''
            if unpacked > expected + CHUNK:
                return unpacked, ''
    except zlib.error as error:
        if 'data check' in str(error):  # all rows are there, and some are damaged
            return expected, 'a failing check sum of its pixels'
        return unpacked, 'damaged pixels'
    return unpacked + len(unpacker.flush()), ''


def _pixel_chunks(file: WatchedFile) -> Iterator[bytes]:
    """The content of the IDAT chunks, in blocks."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack('>I4s', head)
        if name == b'IEND':
            return
        if name != b'IDAT':
            file.seek(size + 4, 1)
            continue
        while size > 0 and (piece := file.read(min(size, CHUNK))):
            size -= len(piece)
            yield piece
        file.seek(4, 1)


def behind_png(source: Source) -> int:
    """Number of bytes after the last chunk of a PNG; 0 if no chunk is marked as the last."""
    with source.open(60.0) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            file.seek(int.from_bytes(head[:4], 'big') + 4, 1)
            if head[4:] == b'IEND':
                return _unlike_padding(file, source)
    return 0


def behind_jpeg(source: Source) -> int:
    """Number of bytes after the end of a JPEG, where phones store a video; 0 if its end is not marked."""
    with source.open(60.0) as file:
        data = file.read(LARGEST_READ)
        offset = 2
        while data[offset : offset + 1] == b'\xff' and offset + 4 <= len(data):
            marker = data[offset + 1]
            if marker == 0xD9:
                file.seek(offset + 2)
                return _unlike_padding(file, source)
            if marker == 0xFF:
                offset += 1
                continue
            offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], 'big')
            if marker == 0xDA:
                next_marker = MARKER.search(data, offset)
                offset = len(data) if next_marker is None else next_marker.start()
    return 0


def _unlike_padding(file: WatchedFile, source: Source) -> int:
    """Number of bytes from here to the end of the file; 0 if they are zeros or too few for content."""
    trailing = source.size - file.tell()
    if trailing < LEAST_CONTENT:
        return 0
    while piece := file.read(CHUNK):
        if piece.strip(b'\0'):
            return trailing
    return 0


def lost_in_jpeg(source: Source) -> str:
    """Damage to the coded data of a JPEG; '' if a strict decoder reads all of them.

    Pillow fills missing parts with grey. FFmpeg's decoder has an option to stop instead.
    """
    if source.size > LARGEST_READ:
        return ''
    decoder = av.CodecContext.create('mjpeg', 'r')
    decoder.thread_count = 1
    decoder.options = {'err_detect': 'explode'}
    try:
        with source.open(60.0) as file:
            decoder.decode(av.Packet(file.read()))
            decoder.decode(None)
    except av.error.InvalidDataError:
        return 'coded data that end before the last row, or are damaged'
    except (av.error.FFmpegError, ValueError):
        return ''  # FFmpeg does not read this variant: nothing is known
    return ''


def zeros_in_jpeg(source: Source) -> str:
    """A sentence if a JPEG's coded data have a run of zeros that its codes do not explain; otherwise ''.

    A table whose shortest code means "the rest of the block is empty" codes a blank area as zeros: then zeros show
    nothing. The standard tables have another shortest code.
    """
    with source.open(60.0) as file:
        data = file.read(LARGEST_READ)
    offset, shortest, is_baseline = 2, set(), False
    while data[offset : offset + 1] == b'\xff' and offset + 4 <= len(data):
        marker, size = data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4], 'big')
        if marker == 0xC4:
            shortest |= _shortest_codes(data[offset + 4 : offset + 2 + size])
        is_baseline = is_baseline or marker in (0xC0, 0xC1)
        offset += 2 + size
        if marker == 0xDA:
            break
    if not is_baseline or shortest <= {0}:
        return ''
    end = data.rfind(b'\xff\xd9')
    return _zeros(_longest_zeros(data[offset : end if end > offset else len(data)]))


def _shortest_codes(tables: bytes) -> set[int]:
    """The symbol with the shortest code in each AC table of a segment of Huffman tables."""
    symbols = set()
    while len(tables) > 17:
        if tables[0] >> 4:
            symbols.add(tables[17])
        tables = tables[17 + sum(tables[1:17]) :]
    return symbols


def zeros_in_webp(source: Source) -> str:
    """A sentence if the coded image of a WebP has a run of zeros, as in a damaged copy; otherwise ''."""
    with source.open(60.0) as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], 'little')
            if name in (b'VP8 ', b'VP8L'):
                data = file.read(min(size, LARGEST_READ))
                return _zeros(len(data) - len(data.rstrip(b'\0')) if name == b'VP8L' else _zeros_in_vp8(data))
            file.seek(size + size % 2, 1)
    return ''


def _zeros_in_vp8(data: bytes) -> int:
    """Longest run of zeros in a lossy image, if its flat areas do not explain it; otherwise 0."""
    longest = _longest_zeros(data)
    width, height = (int.from_bytes(data[offset : offset + 2], 'little') & 0x3FFF for offset in (6, 8))
    is_blank = longest > 0.9 * len(data)
    return 0 if is_blank or longest < width * height / 4000 else longest


def zeros_at_the_end(source: Source) -> str:
    """A sentence if the file ends in zeros, as a damaged copy does; otherwise ''."""
    tail = source.tail(1 << 22)
    return _zeros(len(tail) - len(tail.rstrip(b'\0')))


def _longest_zeros(data: bytes) -> int:
    """Length of the longest run of at least `ZEROED_BYTES` zeros; 0 for none."""
    longest, offset = 0, data.find(bytes(ZEROED_BYTES))
    while offset >= 0:
        end = offset + ZEROED_BYTES
        while end < len(data) and data[end] == 0:
            end += 1
        longest = max(longest, end - offset)
        offset = data.find(bytes(ZEROED_BYTES), end)
    return longest


def _zeros(count: int) -> str:
    if count < ZEROED_BYTES:
        return ''
    return f'{count} bytes of zeros inside the coded image: a damaged copy; the affected pixels are not real'
