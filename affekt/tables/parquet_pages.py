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
"""Number of a codec to its name in pyarrow."""
INDEPENDENT = {0, 2, 3, 4, 8}
"""Encodings in which texts do not depend on previous ones: plain, run lengths, dictionary indices."""
LARGEST_HEADER = 1 << 14
"""Largest size of a page header in bytes."""
MOST_PAGES = 1 << 17
"""Maximum number of pages read in a column; a real page holds about a megabyte."""
DATA, DICTIONARY, DATA_2 = 0, 2, 3
"""Types of pages with values."""
_TYPE, _UNFOLDED, _SIZE = 1, 2, 3  # of PageHeader
_ENCODINGS = {DATA: (5, 2), DICTIONARY: (7, 2), DATA_2: (8, 4)}  # field of the header, and of the encoding within it


def unfolded_at_most(path: Path, chunks: Iterable[Chunk]) -> float:
    """Largest total size in bytes of the texts in these chunks; infinity where it cannot be determined."""
    with open(path, 'rb', opener=only_regular) as file:
        return sum(_largest_size(file, chunk) for chunk in chunks)


def _largest_size(file: BinaryIO, chunk: Chunk) -> float:
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
    longest, position, remaining = 0, chunk.begin, MOST_PAGES
    while position < chunk.begin + chunk.size:
        if not remaining:
            raise ValueError('too many pages')
        remaining -= 1
        file.seek(position)
        reader = Compact(file.read(LARGEST_HEADER))
        header = reader.structure()
        if header[_SIZE] < 0 or not 0 <= header[_UNFOLDED] <= chunk.unfolded:
            raise ValueError('a page that is larger than its column')
        page_header, encoding = _ENCODINGS.get(header[_TYPE], (0, 0))
        if page_header and header[page_header][encoding] not in INDEPENDENT:
            raise ValueError('an encoding in which texts depend on each other')
        position += reader.at
        if header[_TYPE] == DICTIONARY:
            file.seek(position)
            longest = max(longest, _longest_of(_unpacked(file.read(header[_SIZE]), chunk.codec, header[_UNFOLDED])))
        position += header[_SIZE]
    return longest


def _unpacked(content: bytes, codec: int, size: int) -> bytes:
    """Decompressed content, of a stated size."""
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
    longest, position, unpack_length = 0, 0, struct.Struct('<I').unpack_from
    while position < len(texts):
        (length,) = unpack_length(texts, position)
        position += 4 + length
        if length > longest:
            longest = length
    if position != len(texts):
        raise ValueError('a dictionary that ends within a text')
    return longest
