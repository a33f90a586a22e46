"""Upper limit of the size of the texts in a Parquet column, from its pages, without decompressing the texts.

A page holds its texts one by one, or indices into the dictionary at the start of the column. The first kind
decompresses to its stated size; the second to at most the number of cells times the longest text of the dictionary.
Only page headers and dictionaries are read.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, PageHeader.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from affekt.runs import only_regular
from affekt.tables.parquet_footers import Chunk, Compact

CODECS = {1: 'snappy', 2: 'gzip', 4: 'brotli', 6: 'zstd', 7: 'lz4_raw'}
ALONE = {0, 2, 3, 4, 8}
"""Encodings in which texts do not depend on previous ones: plain, run lengths, dictionary indices."""
LONGEST_HEAD = 1 << 14
MOST_PAGES = 1 << 17
"""Maximum number of pages read in a column; a real page holds about a megabyte."""
DATA, DICTIONARY, DATA_2 = 0, 2, 3
"""Types of pages with values."""
_TYPE, _UNFOLDED, _SIZE = 1, 2, 3  # of PageHeader
_HEADS = {DATA: (5, 2), DICTIONARY: (7, 2), DATA_2: (8, 4)}  # field of the header, and of the encoding within it


def unfolded_at_most(path: Path, chunks: Iterable[Chunk]) -> float:
    """Largest total size in bytes of the texts in these chunks; infinity where it cannot be determined."""
    with open(path, 'rb', opener=only_regular) as file:
        return sum(_at_most(file, chunk) for chunk in chunks)


def _at_most(file: BinaryIO, chunk: Chunk) -> float:
    try:
        return chunk.unfolded + chunk.values * _longest(file, chunk)
    except (ValueError, LookupError, TypeError, struct.error, OSError):
        return math.inf


def _longest(file: BinaryIO, chunk: Chunk) -> int:
    """Size in bytes of the longest text in the dictionary of a chunk.

    Raises:
        ValueError: texts depend on previous ones, or the pages cannot be parsed.
        LookupError, TypeError: the pages cannot be parsed.
    """
    longest, at, left = 0, chunk.begin, MOST_PAGES
    while at < chunk.begin + chunk.size:
        if not left:
            raise ValueError('too many pages')
        left -= 1
        file.seek(at)
        reader = Compact(file.read(LONGEST_HEAD))
        head = reader.structure()
        if head[_SIZE] < 0 or not 0 <= head[_UNFOLDED] <= chunk.unfolded:
            raise ValueError('a page that is larger than its column')
        own, encoding = _HEADS.get(head[_TYPE], (0, 0))
        if own and head[own][encoding] not in ALONE:
            raise ValueError('an encoding in which texts lean on each other')
        at += reader.at
        if head[_TYPE] == DICTIONARY:
            file.seek(at)
            longest = max(longest, _longest_of(_unpacked(file.read(head[_SIZE]), chunk.codec, head[_UNFOLDED])))
        at += head[_SIZE]
    return longest


def _unpacked(content: bytes, codec: int, size: int) -> bytes:
    if not codec:
        return content
    import pyarrow as pa

    try:
        unpacked: bytes = pa.Codec(CODECS[codec]).decompress(content, size, asbytes=True)
    except pa.ArrowException as error:
        raise ValueError(f'a dictionary that cannot be unpacked: {error}') from error
    return unpacked


def _longest_of(texts: bytes) -> int:
    """Size of the longest of texts that are each preceded by their size in four bytes."""
    longest, at, length_of = 0, 0, struct.Struct('<I').unpack_from
    while at < len(texts):
        (length,) = length_of(texts, at)
        at += 4 + length
        if length > longest:
            longest = length
    if at != len(texts):
        raise ValueError('a dictionary that ends within a text')
    return longest
