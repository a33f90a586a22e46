"""The memory that reading each format of photographs takes, computed before it is allocated.

Every image is held once as decoded (Pillow keeps 4 bytes per colour pixel) and once as returned (3). A format's own
library needs memory at another moment, while it decodes, so the larger of both counts; files that are read as a whole
count in addition. Measured for images of 36 million pixels.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from affekt.containers import Limits, Source, Window
from affekt.containers.limits import SMALLER
from affekt.media.picture_memory import Bits, parameter_sets

DECODED, RETURNED = 4, 3
"""Bytes per pixel of Pillow's image and of the returned array."""
IN_WEBP = 16
"""Bytes per pixel: two RGBA canvases, their copy, and Pillow's image."""
COEFFICIENT = 2
"""Bytes of each coefficient of a progressive JPEG, which are all kept until the last scan."""
LARGEST_HEAD = 1 << 20
"""Bytes in which the configuration of a coded image is sought."""
LARGEST_CONFIGURATION = 1 << 12
"""Bytes read of one configuration."""
SEQUENCE_HEADER = re.compile(rb'(?:\x12\x00|mdat)\x0a.', re.DOTALL)
"""Bytes before the sequence header of an AV1 image: a delimiter or the start of the data, and its size."""
HIGH_DEPTH, NO_COLOUR, HALF_WIDTH = 0x40, 0x10, 0x08
"""Bits of the third byte of an AV1 configuration (av1C)."""
COMPRESSION, ROWS_PER_STRIP, BITS_PER_SAMPLE, TILE_WIDTH, TILE_LENGTH = 259, 278, 258, 322, 323
"""Numbers of TIFF tags."""
UNCOMPRESSED = 1
"""Value of COMPRESSION for pixels as they are."""


def check_memory(image: Any, source: Source, image_format: str, limits: Limits) -> None:
    """Check the memory for reading an image against `limits.max_picture_bytes`; `image` is opened but not decoded.

    Raises:
        LimitError: it takes more.
    """
    width, height = image.size
    description = f'the bytes of memory that {source.name} takes, a {image_format} image of {width}x{height}'
    limits.check('max_picture_bytes', bytes_while_reading(image, source, image_format), description, SMALLER)


def bytes_while_reading(image: Any, source: Source, image_format: str) -> int:
    """Peak memory of reading, in bytes, excluding the program itself."""
    pixels = int(image.size[0] * image.size[1])
    returned_bytes = pixels * (DECODED + RETURNED)
    if image_format == 'TIFF':
        return max(returned_bytes, _in_tiff(image, source, pixels))
    if image_format == 'BMP':
        return returned_bytes
    if image_format == 'PNG':
        return returned_bytes + _beside_pixels(source)
    decoder_bytes = {'WEBP': _in_webp, 'AVIF': _in_avif, 'HEIF': _in_heif, 'JPEG': _in_jpeg}.get(image_format)
    pixels = max([pixels, *(CODED_PIXELS[image_format](source) if image_format in CODED_PIXELS else ())])
    return source.size + max(returned_bytes, 0 if decoder_bytes is None else decoder_bytes(image, source, pixels))


def _beside_pixels(source: Source) -> int:
    """Bytes of the chunks of a PNG other than pixels, each of which Pillow reads as a whole."""
    other_bytes, position = 0, 8
    with Window(source) as window:
        while position < source.size and window.meets_another():
            size = min(window.number(position, 4), source.size - position)
            other_bytes += 0 if window.at(position + 4, 4) == b'IDAT' else size
            position += size + 12
    return other_bytes


def _in_webp(image: Any, source: Source, pixels: int) -> int:
    return IN_WEBP * pixels


def _in_jpeg(image: Any, source: Source, pixels: int) -> int:
    is_progressive = bool(image.info.get('progressive'))
    return pixels * (DECODED + is_progressive * COEFFICIENT * len(image.getbands()))


def _in_avif(image: Any, source: Source, pixels: int) -> int:
    """Planes as coded, then as RGB, then their copy or Pillow's image beside it."""
    channels = len(image.getbands())
    return pixels * (_plane_bytes(source, b'av1C', channels == 4)[0] + channels + max(channels, DECODED))


def _in_heif(image: Any, source: Source, pixels: int) -> int:
    """Planes as coded and twice as RGB; once more where they have more than 8 bits."""
    channels = len(image.mode)
    plane_bytes, is_deep = _plane_bytes(source, b'hvcC', channels == 4)
    return pixels * (plane_bytes + (3 if is_deep else 2) * channels)


def _plane_bytes(source: Source, name: bytes, has_alpha: bool) -> tuple[int, bool]:
    """Bytes per pixel in the planes of a coded image, and whether it has high bit depth, by the largest configuration.

    Without a configuration, the maximum.
    """
    head = source.head(LARGEST_HEAD)
    sample_sizes = [_samples(name, head[match.end() : match.end() + 18]) for match in re.finditer(name, head)]
    return max(((samples + has_alpha) * (1 + is_deep), is_deep) for samples, is_deep in sample_sizes or [(3, True)])


def _coded_in_heif(source: Source) -> list[int]:
    """Pixels of each coded image, for which the decoder allocates, as their parameter sets state them."""
    head = source.head(LARGEST_HEAD)
    return [
        declared.width * declared.height
        for match in re.finditer(b'hvcC', head)
        for declared in parameter_sets('hevc', head[match.end() : match.end() + LARGEST_CONFIGURATION])
    ]


def _coded_in_avif(source: Source) -> list[int]:
    """Pixels of each coded image, for which the decoder allocates, as their sequence headers state them."""
    head = source.head(LARGEST_HEAD)
    pixel_counts = []
    for match in SEQUENCE_HEADER.finditer(head):
        with suppress(EOFError):
            pixel_counts.append(_pixels_of_av1(Bits(head[match.end() : match.end() + 64], is_escaped=False)))
    return pixel_counts


def _pixels_of_av1(bits: Bits) -> int:
    """Pixels of the largest image of a sequence header of AV1.

    Raises:
        EOFError: the header is truncated, or has timing information, which photographs lack.
    """
    bits.number(4)
    if bits.number(1):  # the short form of a single image
        bits.number(5)
    else:
        if bits.number(1):
            raise EOFError
        has_delays = bits.number(1)
        for _ in range(bits.number(5) + 1):
            bits.number(12)
            if bits.number(5) > 7:
                bits.number(1)
            if has_delays and bits.number(1):
                bits.number(4)
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    return (bits.number(width_bits) + 1) * (bits.number(height_bits) + 1)


CODED_PIXELS = {'HEIF': _coded_in_heif, 'AVIF': _coded_in_avif}


def _samples(name: bytes, configuration: bytes) -> tuple[int, bool]:
    """Samples per pixel, halves rounded up, and whether they have more than 8 bits."""
    padded = configuration.ljust(18, b'\xff')
    if name == b'av1C':
        flags = padded[2]
        return 1 if flags & NO_COLOUR else 2 if flags & HALF_WIDTH else 3, bool(flags & HIGH_DEPTH)
    return (1, 2, 2, 3)[padded[16] & 3], bool(padded[17] & 7)  # grey, 4:2:0, 4:2:2, 4:4:4


def _in_tiff(image: Any, source: Source, pixels: int) -> int:
    """libtiff reads the file and unpacks a strip (at most the image) or a tile (of any size) at a time.

    A tile may come out as red, green, blue and alpha beside its samples.
    """
    tags = image.tag_v2
    if tags.get(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED:
        return 0
    width, height = (int(side) for side in image.size)
    bits = tags.get(BITS_PER_SAMPLE, (8,))
    sample_bytes = -(-int(sum(bits if isinstance(bits, tuple) else (bits,))) // 8)
    if TILE_WIDTH in tags or TILE_LENGTH in tags:
        tile = _stated(tags, TILE_WIDTH, width) * _stated(tags, TILE_LENGTH, height)
        unpacked = tile * (sample_bytes + DECODED)
    else:
        unpacked = width * min(_stated(tags, ROWS_PER_STRIP, height), height) * sample_bytes
    return source.size + pixels * DECODED + unpacked


def _stated(tags: Any, tag: int, default: int) -> int:
    """A number that a TIFF states; the default where it states none that is above 0, or something else."""
    value = tags.get(tag)
    return value if isinstance(value, int) and value > 0 else default
