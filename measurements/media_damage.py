"""The ways in which `media_fuzz.py` damages a file without regard to its structure: bytes flipped, cut, moved, lost.

What needs to know the format, such as a fragment taken out whole, is in `media_faults.py`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affekt.media.writing import PictureStyle, write_audio, write_image, write_video
from measurements.media_seeds import RATE_HZ

BYTE_DAMAGES = (
    'flip bytes', 'flip in the head', 'flip in the tail', 'flip one bit', 'cut the end', 'cut the start',
    'zero a stretch', 'head of another', 'duplicate a stretch', 'remove a stretch', 'insert noise', 'huge size field',
    'declare 20000x20000', 'nan samples', 'no bytes', 'wrong extension', 'one pixel', 'noise', 'shuffle blocks',
    'magic only',
)  # fmt: skip


STILLS = frozenset({'.jpg', '.png', '.webp', '.bmp'})
SOUNDS = frozenset({'.wav', '.flac', '.mp3', '.m4a', '.ogg'})
FILMS = frozenset({'.mp4', '.mov', '.mkv', '.webm', '.avi'})


@dataclass(frozen=True)
class Damage:
    """A damaged file, and what it may or must be taken for."""

    content: bytes
    suffix: str
    contained: str = ''
    """Name of another seed that the file may hold whole."""
    joined: str = ''
    """Name of another seed that the file holds behind the first one."""
    must_say: bool = False
    """Something is lost or untrue in the file, and the file itself shows it: silence is wrong."""


def damage_bytes(origin: Path, damage_name: str, seeds: list[Path], rng: np.random.Generator) -> Damage:
    """`origin` damaged in one of BYTE_DAMAGES."""
    content = bytearray(origin.read_bytes())
    suffix, contained, size = origin.suffix, '', len(content)
    other = seeds[int(rng.integers(len(seeds)))]
    if damage_name in {'flip bytes', 'flip in the head', 'flip in the tail', 'flip one bit'}:
        low, high = {'flip in the head': (0, min(600, size)), 'flip in the tail': (max(0, size - 2000), size)}.get(
            damage_name, (0, size)
        )
        count = 1 if damage_name == 'flip one bit' else int(rng.integers(1, 33))
        for at in rng.integers(low, high, count):
            content[at] ^= 1 << int(rng.integers(8)) if damage_name == 'flip one bit' else int(rng.integers(1, 256))
    elif damage_name == 'cut the end':
        del content[int(rng.integers(1, size)) :]
    elif damage_name == 'cut the start':
        del content[: int(rng.integers(1, size))]
    elif damage_name == 'head of another':
        length = int(rng.integers(4, 2048))
        content[:length] = other.read_bytes()[:length]
        contained = other.name
    elif damage_name == 'huge size field':
        _put_huge_size(content, rng)
    elif damage_name == 'declare 20000x20000':
        _declare_huge(content, 20_000)
    elif damage_name == 'nan samples':
        _put_bad_floats(content, rng)
    elif damage_name == 'no bytes':
        content.clear()
    elif damage_name == 'wrong extension':
        suffix = other.suffix
    elif damage_name == 'one pixel':
        content = bytearray(_one_pixel(origin))
    elif damage_name == 'noise':
        content[:] = rng.bytes(size)
    elif damage_name == 'magic only':
        del content[int(rng.integers(4, 64)) :]
        content += rng.bytes(int(rng.integers(0, 5000)))
    else:
        _move_stretch(content, damage_name, rng)
    return Damage(bytes(content), suffix, contained)


def _move_stretch(content: bytearray, damage_name: str, rng: np.random.Generator) -> None:
    size = len(content)
    start = int(rng.integers(0, size))
    end = min(size, start + int(rng.integers(1, max(2, size // 4))))
    if damage_name == 'zero a stretch':
        content[start:end] = bytes(end - start)
    elif damage_name == 'duplicate a stretch':
        content[end:end] = content[start:end]
    elif damage_name == 'remove a stretch':
        del content[start:end]
    elif damage_name == 'insert noise':
        content[start:start] = rng.bytes(end - start)
    elif damage_name == 'shuffle blocks':
        block = max(16, size // 32)
        order = rng.permutation(np.arange(1, size // block))
        body = b''.join(bytes(content[i * block : (i + 1) * block]) for i in order)
        content[block : block + len(body)] = body
    else:
        raise ValueError(damage_name)


def _put_huge_size(content: bytearray, rng: np.random.Generator) -> None:
    """Set four bytes before or after a four-letter name (or anywhere) to an absurd size."""
    names = [b'moov', b'trak', b'stsz', b'stts', b'stsc', b'stco', b'mdat', b'data', b'fmt ', b'RIFF', b'LIST', b'idx1',
             b'strf', b'avih', b'IHDR', b'IDAT', b'VP8 ', b'OggS', b'stsd', b'elst', b'mvhd', b'mdhd']  # fmt: skip
    places = [at for name in names if (at := content.find(name)) >= 4]
    at = int(rng.choice(places)) if places and rng.random() < 0.8 else int(rng.integers(4, max(5, len(content) - 8)))
    value = struct.pack('>I', int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x00FFFFFF, 0, 1])))
    start = at + int(rng.choice([-4, 4, 8, 12]))
    content[max(0, start) : max(0, start) + 4] = value


def _declare_huge(content: bytearray, side: int) -> None:
    """Write `side` as width and height wherever the container or the picture states them."""
    if (at := content.find(b'IHDR')) >= 0:
        content[at + 4 : at + 12] = struct.pack('>II', side, side)
        content[at + 17 : at + 21] = struct.pack('>I', zlib.crc32(bytes(content[at : at + 17])))
    if content[:2] == b'BM':
        content[18:26] = struct.pack('<ii', side, side)
    if content[:2] == b'\xff\xd8' and (at := content.find(b'\xff\xc0')) >= 0:
        content[at + 5 : at + 9] = struct.pack('>HH', side, side)
    for name in (b'avc1', b'mp4v'):
        if (at := content.find(name)) >= 0 and content[at + 4 : at + 8] == bytes(4):
            content[at + 28 : at + 32] = struct.pack('>HH', side, side)
    if (at := content.find(b'strf')) >= 0:
        content[at + 12 : at + 20] = struct.pack('<ii', side, side)
    for element in (b'\xb0', b'\xba'):  # Matroska PixelWidth, PixelHeight in one byte
        for width in (b'\x81', b'\x82'):
            if (at := content.find(element + width)) >= 0:
                content[at + 2 : at + 2 + (width[0] & 0x7F)] = struct.pack('>H', side)[-(width[0] & 0x7F) :]


def _put_bad_floats(content: bytearray, rng: np.random.Generator) -> None:
    """Some samples become nan, infinite or absurd (in a float file), or the bytes of a nan (elsewhere)."""
    start = max(44, content.find(b'data') + 8)
    for _ in range(int(rng.integers(1, 400))):
        at = start + 4 * int(rng.integers(0, max(1, (len(content) - start) // 4)))
        content[at : at + 4] = struct.pack('<f', float(rng.choice([np.nan, np.inf, -np.inf, 1e30])))[
            : len(content) - at
        ]


def _one_pixel(origin: Path) -> bytes:
    """The same kind of file with pictures of 1x1; sound files keep one sample."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / origin.name
        image = np.full((1, 1, 3), 200, np.uint8)
        if origin.suffix in STILLS:
            write_image(path, image)
        elif origin.suffix in SOUNDS:
            write_audio(path, np.full(1, 0.5, np.float32), 16_000)
        else:
            codec = 'mpeg4' if origin.suffix in {'.mp4', '.mov', '.avi'} else 'ffv1'
            suffix = path if origin.suffix != '.webm' else path.with_suffix('.mkv')
            write_video(
                suffix, [image] * 3, RATE_HZ, picture=PictureStyle(codec, 'yuv444p' if codec == 'ffv1' else 'yuv420p')
            )
            path = suffix
        return path.read_bytes()
