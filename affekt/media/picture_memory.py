"""The memory that a video's frames take at once, computed before the first of them is decoded.

A decoder keeps reference frames for later ones. H.264 and HEVC declare their number in sequence parameter sets:
1 to 16, which decides whether a video of 25 million pixels takes 350 or 950 MB. The sets are in the container's header
or among the packets, where a later one may declare more. The cost of each number of frames was measured.

Source: ITU-T H.264, 7.3.2.1.1 and 7.3.1 (sequence parameter sets, units in a byte stream); H.265, 7.3.2.2 and 7.3.3;
ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1 (avcC, hvcC).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av

from affekt.containers import Limits
from affekt.containers.limits import SMALLER

PICTURES_HELD = {
    'gif': 2, 'apng': 3, 'mjpeg': 2, 'png': 3, 'rawvideo': 3, 'bmp': 3, 'tiff': 3, 'qtrle': 3, 'ffv1': 3, 'prores': 2,
    'dnxhd': 2, 'cfhd': 2, 'v210': 2, 'jpeg2000': 2, 'huffyuv': 2, 'ffvhuff': 2, 'utvideo': 2, 'magicyuv': 2,
    'dvvideo': 2, 'mpeg1video': 4, 'mpeg2video': 4, 'mpeg4': 4, 'h263': 3, 'flv': 3, 'vp8': 5, 'hevc': 9,
    'vp9': 10, 'av1': 10, 'libdav1d': 10,
}  # fmt: skip
"""Decoded frames that a decoder and the reader hold at once; packets of raw video count.

VP9 and AV1 have eight slots for reference frames, whether used or not.
"""
USUALLY_HELD = 7
"""The number for unlisted decoders, and for H.264 before its parameter set is seen."""
UNREFERRED = 2
"""Frames in addition to reference frames: the one being decoded and the one being returned."""
MOST_REFERENCES = 16
"""Largest number of reference frames that the standards allow."""
RGB_BYTES = 3
"""Bytes per pixel of an RGB frame."""
MOST_THREADS = 16
"""Threads of a decoder on a machine with any number of cores."""
THREADS_BYTES = 192_000_000
"""Memory limit, in bytes, for the frames in a decoder's threads."""
PICTURES_PER_THREAD = {'av1': 8, 'libdav1d': 8}
USUAL_PER_THREAD = 3
"""Memory of each further thread, in frames; for AV1 it holds the coefficients of a whole frame."""
MOTION_BITS = {'hevc': 6}
"""Bits per pixel of motion data that a decoder keeps with each frame, where significant."""
SETS = {'h264': 7, 'hevc': 33}
"""Codec to the type of the unit that holds a sequence parameter set."""
SET_BYTES = 4096
"""Bytes read of a set: more than can precede size and references (in H.264, 12 scaling lists or 255 offsets)."""
MOST_ZEROS = 32
"""Maximum number of leading zeros in an Exp-Golomb code; decoders refuse a set with more."""
HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""Profiles of H.264 whose parameter set includes colour formats and scaling lists."""
START, START_BYTES = re.compile(rb'\x00\x00\x01'), 3
SAMPLE_BITS = {0: 8, 1: 12, 2: 16, 3: 24}
"""chroma_format_idc to bits per pixel with 8-bit samples: grey, 4:2:0, 4:2:2, 4:4:4."""


@dataclass(frozen=True)
class ParameterSet:
    """A sequence parameter set's declarations about the following frames."""

    width: int
    """Pixels per coded row, including padding."""
    height: int
    bits_a_pixel: int
    references: int
    """Maximum number of reference frames; for HEVC, of frames kept."""


def check_picture_memory(
    width: int,
    height: int,
    pixel_format: str | int | None,
    codec: str,
    name: str,
    limits: Limits,
    pictures: int = 0,
) -> None:
    """Check the memory of a video's frames against the limits: coded size times frames held at once, plus two as RGB.

    Args:
        width: pixels per coded row.
        height: rows.
        pixel_format: FFmpeg's name, or bits per pixel.
        codec: FFmpeg's name.
        name: name of the file or stream, for errors.
        limits: the limits.
        pictures: number of frames held at once, from `pictures_held`; 0 takes the usual number of the codec.

    Raises:
        LimitError: a side is too long, or they take too much memory.
    """
    limits.check('max_side', max(width, height), f'the longer side of {name}')
    pictures = pictures or PICTURES_HELD.get(codec, USUALLY_HELD)
    bits = pixel_format if isinstance(pixel_format, int) else bits_a_pixel(pixel_format)
    format_name = f'{bits} bits a pixel' if isinstance(pixel_format, int) else pixel_format
    description = f'the bytes of memory that {name} takes, {pictures} frames of {width}x{height} in {format_name}'
    limits.check('max_picture_bytes', _bytes_held(width * height, bits, codec, pictures), description, SMALLER)


def _bytes_held(pixels: int, bits: int, codec: str, pictures: int) -> int:
    """Memory of this number of decoded frames, and of two as RGB."""
    return pixels * (pictures * (bits + MOTION_BITS.get(codec, 0)) // 8 + 2 * RGB_BYTES)


def pictures_held(context: Any) -> int:
    """Decoded frames held at once while a stream is read, as far as its header declares it.

    Args:
        context: PyAV's codec context.
    """
    sets = parameter_sets(context.name, context.extradata or b'')
    if not sets:
        return PICTURES_HELD.get(context.name, USUALLY_HELD)
    return _held_with(context, max(declared.references for declared in sets))


def check_parameter_sets(context: Any, packet: bytes, name: str, limits: Limits) -> None:
    """Check sizes and references that a packet declares anew against the limits, before the decoder allocates memory.

    Args:
        context: PyAV's codec context, open.
        packet: its bytes.
        name: name of the file or stream, for errors.
        limits: the limits.

    Raises:
        LimitError: they take too much memory.
    """
    for declared in parameter_sets(context.name, packet, _length_bytes(context)):
        pictures = _held_with(context, declared.references)
        check_picture_memory(
            declared.width, declared.height, declared.bits_a_pixel, context.name, name, limits, pictures
        )


def parameter_sets(codec: str, data: bytes, length_bytes: int = 0) -> list[ParameterSet]:
    """The sequence parameter sets in some bytes; damaged ones are left out, as decoders do.

    Args:
        codec: FFmpeg's name.
        data: a stream's header in the container (avcC, hvcC or a byte stream), or a packet.
        length_bytes: size of the length field before each unit of a packet; 0 for a byte stream and for a container's
            header.
    """
    if codec not in SETS:
        return []
    units = _units_with_lengths(data, length_bytes) if length_bytes else _units(codec, data)
    sets = []
    for unit in units:
        if _type_of(codec, unit) == SETS[codec]:
            with suppress(EOFError):
                sets.append(_of_h264(Bits(unit[1:])) if codec == 'h264' else _of_hevc(Bits(unit[2:])))
    return sets


def _held_with(context: Any, references: int) -> int:
    """Frames held with this number of references; H.264 holds further ones back to reorder them."""
    reordered = int(context.reorder_depth or 0) if context.name == 'h264' else 0
    return min(references, MOST_REFERENCES) + reordered + UNREFERRED


def _length_bytes(context: Any) -> int:
    """Bytes of the length before each unit of a packet; 0 where packets are byte streams with start codes."""
    header = context.extradata or b''
    offset = 4 if context.name == 'h264' else 21
    return (header[offset] & 3) + 1 if header[:1] == b'\x01' and len(header) > offset else 0


def bits_a_pixel(pixel_format: str | None) -> int:
    """Bits per pixel of a pixel format, including padding; 32 if unknown."""
    try:
        return int(av.VideoFormat(pixel_format or '').padded_bits_per_pixel) or 32
    except ValueError:
        return 32


def decoder_threads(context: Any, limits: Limits) -> int:
    """Number of decoding threads, at least one: each holds frames of its own, so large frames get few."""
    pixels, bits = max(1, int(context.width * context.height)), bits_a_pixel(context.pix_fmt)
    thread_bytes = max(1, pixels * bits // 8) * PICTURES_PER_THREAD.get(context.name, USUAL_PER_THREAD)
    free_bytes = limits.max_picture_bytes - _bytes_held(pixels, bits, context.name, pictures_held(context))
    return max(1, min(os.cpu_count() or 1, MOST_THREADS, 1 + free_bytes // thread_bytes, THREADS_BYTES // thread_bytes))


def _units(codec: str, data: bytes) -> Iterator[bytes]:
    """Units of avcC, hvcC or a byte stream, each cut to what a parameter set needs."""
    if data[:1] != b'\x01':
        begins = [start.end() for start in START.finditer(data)]
        for begin, following in pairwise([*begins, len(data) + START_BYTES]):
            yield data[begin : min(following - START_BYTES, begin + SET_BYTES)]
    elif codec == 'h264':
        yield from _counted(data, 6, (data[5:6] or b'\0')[0] & 31)
    else:
        position, array_count = 23, (data[22:23] or b'\0')[0]
        for _ in range(array_count):
            count = int.from_bytes(data[position + 1 : position + 3], 'big')
            position += 3
            for unit in _counted(data, position, count):
                position += 2 + len(unit)
                yield unit


def _counted(data: bytes, position: int, count: int) -> Iterator[bytes]:
    """`count` units, each after its length in two bytes, as far as the data reach."""
    for _ in range(count):
        if position + 2 > len(data):
            return
        size = int.from_bytes(data[position : position + 2], 'big')
        yield data[position + 2 : position + 2 + size]
        position += 2 + size


def _units_with_lengths(data: bytes, length_bytes: int) -> Iterator[bytes]:
    position = 0
    while position + length_bytes < len(data):
        size = int.from_bytes(data[position : position + length_bytes], 'big')
        position += length_bytes
        yield data[position : position + min(size, SET_BYTES)]
        position += size


def _type_of(codec: str, unit: bytes) -> int:
    if not unit:
        return -1
    return unit[0] & 31 if codec == 'h264' else (unit[0] >> 1) & 63


def _of_h264(bits: Bits) -> ParameterSet:
    """Up to frame_mbs_only_flag; the size in whole blocks."""
    profile = bits.number(8)
    bits.number(16)
    bits.exponential()
    chroma_format, extra_bits = 1, 0
    if profile in HIGH_PROFILES:
        chroma_format = bits.exponential()
        if chroma_format == 3:
            bits.number(1)
        extra_bits = max(bits.exponential(), bits.exponential())
        bits.number(1)
        if bits.number(1):
            for index in range(12 if chroma_format == 3 else 8):
                if bits.number(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.exponential()
    order_count_type = bits.exponential()
    if order_count_type == 0:
        bits.exponential()
    elif order_count_type == 1:
        bits.number(1)
        bits.exponential()
        bits.exponential()
        for _ in range(min(bits.exponential(), 255)):
            bits.exponential()
    references = bits.exponential()
    bits.number(1)
    blocks_across, blocks_down = bits.exponential() + 1, bits.exponential() + 1
    is_interlaced = not bits.number(1)
    return ParameterSet(
        16 * blocks_across, 16 * blocks_down * (1 + is_interlaced), _bits_of(chroma_format, extra_bits), references
    )


def _bits_of(chroma_format: int, extra_bits: int) -> int:
    """Bits per pixel; `extra_bits` is the bit depth above 8, of luma or chroma, whichever is deeper."""
    return SAMPLE_BITS.get(chroma_format, 24) * (1 + (extra_bits > 0))


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.exponential()
            following = (last + (-(code // 2) if code % 2 == 0 else code // 2 + 1)) % 256
        last = following or last


def _of_hevc(bits: Bits) -> ParameterSet:
    """Up to sps_max_dec_pic_buffering, of which the largest of all layers counts; it includes the frame itself."""
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + 96)
    layer_flags = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    if layers:
        bits.number(2 * (8 - layers))
    for has_profile, has_level in layer_flags:
        bits.number(88 * has_profile + 8 * has_level)
    bits.exponential()
    chroma_format = bits.exponential()
    if chroma_format == 3:
        bits.number(1)
    width, height = bits.exponential(), bits.exponential()
    if bits.number(1):
        for _ in range(4):
            bits.exponential()
    extra_bits = max(bits.exponential(), bits.exponential())
    bits.exponential()
    frames_kept = 0
    for _ in range(layers + 1 if bits.number(1) else 1):
        frames_kept = max(frames_kept, bits.exponential() + 1)
        bits.exponential()
        bits.exponential()
    return ParameterSet(width, height, _bits_of(chroma_format, extra_bits), frames_kept)


class Bits:
    """A reader of numbers in a bit stream.

    Args:
        content: the bytes, of which the first SET_BYTES are read.
        is_escaped: whether emulation prevention bytes (3) are in them, as in H.264 and HEVC.
    """

    def __init__(self, content: bytes, *, is_escaped: bool = True) -> None:
        payload = content[:SET_BYTES]
        if is_escaped:
            payload = payload.replace(b'\x00\x00\x03', b'\x00\x00')
        self._digits = bin(int.from_bytes(b'\x01' + payload, 'big'))[3:]  # a leading 1 keeps leading zeros
        self._position = 0

    def number(self, count: int) -> int:
        """The next bits as a number; 0 for no bits.

        Raises:
            EOFError: fewer bits are left.
        """
        self._position += count
        if self._position > len(self._digits):
            raise EOFError
        return int(self._digits[self._position - count : self._position] or '0', 2)

    def exponential(self) -> int:
        """The next number in Exp-Golomb code.

        Raises:
            EOFError: there is none, or it is longer than the standards allow.
        """
        zeros = self._digits.find('1', self._position) - self._position
        if not 0 <= zeros <= MOST_ZEROS:
            raise EOFError
        self._position += zeros
        return self.number(zeros + 1) - 1
