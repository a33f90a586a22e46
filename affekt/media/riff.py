"""RIFF (wav, avi): a chain of chunks, each a name of four letters, a 32-bit size, its content, padded to even length.

Source: Microsoft, Multimedia Programming Interface and Data Specifications 1.0, 1991, chapter 2.
"""

from __future__ import annotations

import struct

from affekt.media.source import Source, short_by

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Left by writers that could not go back to the header, or whose file passed 4 GiB."""
MAX_CHUNKS = 100_000
HEADER_BYTES = 1 << 16


def missing_chunks(source: Source) -> tuple[str, ...]:
    """Sentences where the outer chunk passes the end of the file, or the chunks inside do not fill it."""
    stated = int.from_bytes(source.head(8)[4:], 'little')
    if stated in UNKNOWN_SIZES:
        return ()
    end = stated + 8
    if end > source.size:
        return short_by(end, source.size, 'the RIFF chunk')
    position = 12
    with source.open(60.0) as file:
        for _ in range(MAX_CHUNKS):
            if position + 8 > end:
                break
            file.touch()
            file.seek(position)
            header = file.read(8)
            name, size = header[:4], int.from_bytes(header[4:], 'little')
            if not all(32 <= letter < 127 for letter in name):
                return (f'damaged: no chunk begins at byte {position} of {source.size}',)
            if name == b'fmt ' and not _agrees_with_itself(file.read(16)):
                return ('damaged: rate, channels and bytes per second of the sound contradict each other',)
            if size in UNKNOWN_SIZES and name in {b'data', b'LIST'}:
                return ()
            position += 8 + size + size % 2
    # the last chunk's padding is often left out
    if position > end + 1:
        return (f'damaged: a chunk ends at byte {position}, behind the end of its parent at {end}',)
    return ()


def _agrees_with_itself(description: bytes) -> bool:
    """Whether a WAV format says the same length of a second twice; only plain samples (tags 1 and 3) must."""
    tag, channels, rate, bytes_per_s, unit, bits = struct.unpack('<HHIIHH', description.ljust(16, b'\0'))
    return tag not in (1, 3) or (bytes_per_s == rate * unit and unit == channels * ((bits + 7) // 8))


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(width, height) of every picture stream of an AVI file, as its stream format states it."""
    head = source.head(HEADER_BYTES)
    sizes = []
    at = head.find(b'strh')
    while at >= 0:
        form = head.find(b'strf', at)
        if head[at + 8 : at + 12] == b'vids' and form >= 0:
            # name 4, size 4, then BITMAPINFOHEADER: own size 4, width 4, height 4 (negative: top row first)
            width, height = (int.from_bytes(head[form + o : form + o + 4], 'little', signed=True) for o in (12, 16))
            sizes.append((abs(width), abs(height)))
        at = head.find(b'strh', at + 4)
    return sizes
