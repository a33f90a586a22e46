"""The ways in which `media_fuzz.py` damages a file by its structure, so that the file itself shows what is wrong.

Joined recordings, sound behind the stated end, fragments and clusters that are gone or lie, tables and tags that ask
for gigabytes or minutes. Each fault is a function of a file's bytes and a random generator.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from measurements.media_damage import Damage
from measurements.media_seeds import with_exif

Change = Callable[[bytes, np.random.Generator], bytes]
BOX_PARENTS = (b'moov', b'trak', b'mdia', b'minf', b'stbl', b'edts', b'udta')
CLUSTER = b'\x1fC\xb6u'
OPEN_SIZES = (0, 0xFFFFFFFF)
MANY = 60_000_000


def box(name: bytes, *contents: bytes) -> bytes:
    """A box of an mp4."""
    content = b''.join(contents)
    return struct.pack('>I', len(content) + 8) + name + content


def top_boxes(content: bytes, name: bytes) -> list[tuple[int, int]]:
    """(start, end) of the outermost boxes of a name."""
    position, places = 0, []
    while position + 8 <= len(content):
        size = int.from_bytes(content[position : position + 4], 'big')
        if size < 8:
            break
        if content[position + 4 : position + 8] == name:
            places.append((position, position + size))
        position += size
    return places


def with_box(content: bytes, name: bytes, payload: bytes) -> bytes:
    """The content of one box replaced; the sizes around it follow."""
    start = content.find(name) - 4
    old = int.from_bytes(content[start : start + 4], 'big')
    new = box(name, payload)
    changed = bytearray(content[:start] + new + content[start + old :])
    for parent in BOX_PARENTS:
        at = content.rfind(parent, 0, start) - 4
        size = int.from_bytes(content[at : at + 4], 'big')
        if at >= 0 and at + size >= start + old:
            changed[at : at + 4] = (size + len(new) - old).to_bytes(4, 'big')
    return bytes(changed)


def _places(content: bytes, mark: bytes) -> list[int]:
    places, at = [], content.find(mark)
    while at >= 0:
        places.append(at)
        at = content.find(mark, at + 1)
    return places


def missing_fragment(content: bytes, rng: np.random.Generator) -> bytes:
    """One fragment, with its samples, is gone; the index still lists it."""
    fragments = top_boxes(content, b'moof')
    number = int(rng.integers(1, len(fragments)))
    ends = [*(start for start, _ in fragments[1:]), top_boxes(content, b'mfra')[0][0]]
    return content[: fragments[number][0]] + content[ends[number] :]


def lying_run(content: bytes, rng: np.random.Generator) -> bytes:
    """A run states fewer samples than it lists."""
    runs = _places(content, b'trun')
    at = runs[int(rng.integers(len(runs)))]
    count = int.from_bytes(content[at + 8 : at + 12], 'big')
    return content[: at + 8] + struct.pack('>I', int(rng.integers(0, count))) + content[at + 12 :]


def lying_time(content: bytes, rng: np.random.Generator) -> bytes:
    """A fragment states another time than the ones around it."""
    times = _places(content, b'tfdt')
    at = times[int(rng.integers(2, len(times)))]
    ticks = int.from_bytes(content[at + 8 : at + 16], 'big')
    return content[: at + 8] + struct.pack('>Q', int(ticks * float(rng.choice([0.3, 2.0, 5.0])))) + content[at + 16 :]


def zeroed_cluster(content: bytes, rng: np.random.Generator) -> bytes:
    """A cluster is zeros."""
    clusters = [*_places(content, CLUSTER), len(content)]
    number = int(rng.integers(1, len(clusters) - 1)) if len(clusters) > 2 else 0
    start, end = clusters[number], min(clusters[number + 1], clusters[number] + 20_000)
    return content[:start] + bytes(end - start) + content[end:]


def trailing_sound(content: bytes, rng: np.random.Generator) -> bytes:
    """Sound behind the end that the header states."""
    return content + content[-int(rng.integers(1, 16_000)) * 2 :]


def _with_size(content: bytes, at: int, rng: np.random.Generator) -> bytes:
    return content[:at] + struct.pack('<I', int(rng.choice(OPEN_SIZES))) + content[at + 4 :]


def open_riff_size(content: bytes, rng: np.random.Generator) -> bytes:
    """The outermost size is 0 or all ones, and there is more behind the sound."""
    return _with_size(trailing_sound(content, rng), 4, rng)


def open_sizes(content: bytes, rng: np.random.Generator) -> bytes:
    """No size is stated anywhere, as a recorder leaves them that was switched off."""
    return _with_size(_with_size(content, 4, rng), content.find(b'data') + 4, rng)


def short_data_size(content: bytes, rng: np.random.Generator) -> bytes:
    """The sound's size is smaller than the sound."""
    at = content.find(b'data') + 4
    size = int.from_bytes(content[at : at + 4], 'little')
    return content[:at] + struct.pack('<I', int(rng.integers(2, size * 3 // 4)) & ~1) + content[at + 4 :]


def two_data_chunks(content: bytes, rng: np.random.Generator) -> bytes:
    """A second stretch of sound in the same file."""
    at = content.find(b'data')
    length = int(rng.integers(2000, 40_000)) & ~1
    doubled = content + b'data' + struct.pack('<I', length) + content[at + 8 : at + 8 + length]
    return doubled[:4] + struct.pack('<I', len(doubled) - 8) + doubled[8:]


def flac_frame(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit inside a frame is wrong."""
    start = content.find(b'\xff\xf8', 42)
    at = int(rng.integers(start + 16, len(content)))
    return content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]


def fewer_rows(content: bytes, rng: np.random.Generator) -> bytes:
    """A PNG whose compressed rows end too early, its checksums right."""
    start = content.find(b'IDAT')
    length = int.from_bytes(content[start - 4 : start], 'big')
    rows = zlib.decompress(content[start + 4 : start + 4 + length])
    packed = zlib.compress(rows[: int(rng.integers(1, len(rows) * 9 // 10))])
    chunk = b'IDAT' + packed
    rest = content[start + 8 + length :]
    return content[: start - 4] + struct.pack('>I', len(packed)) + chunk + struct.pack('>I', zlib.crc32(chunk)) + rest


def nested_boxes(content: bytes, rng: np.random.Generator) -> bytes:
    """Boxes in boxes, a thousand deep, behind the film or inside its index."""
    name = bytes(rng.choice([b'moov', b'trak', b'udta', b'meta', b'moof', b'stbl']))
    nested = b''
    for _ in range(int(rng.integers(50, 3000))):
        nested = box(name, nested)
    if rng.random() < 0.5:
        return content + nested
    return with_box(content, b'udta', nested)


def nested_elements(content: bytes, rng: np.random.Generator) -> bytes:
    """Tags in tags of a Matroska file, a thousand deep, in front of its clusters."""
    nested = b''
    for _ in range(int(rng.integers(50, 2000))):
        nested = b'\x67\xc8' + (1 << 56 | len(nested)).to_bytes(8, 'big') + nested
    tags = b'\x12\x54\xc3\x67' + (1 << 56 | len(nested)).to_bytes(8, 'big') + nested
    cluster, segment = content.find(CLUSTER), content.find(b'\x18S\x80g')
    return content[: segment + 4] + b'\x01' + b'\xff' * 7 + content[segment + 12 : cluster] + tags + content[cluster:]


def sample_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """A table of one size for sixty million samples."""
    return with_box(content, b'stsz', struct.pack('>III', 0, int(rng.choice([1, 66_000])), MANY))


def edit_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """Thousands of edits, each of which shows the whole track."""
    count = int(rng.integers(2_000, 40_000))
    table = with_box(content, b'stsz', struct.pack('>III', 0, 1, int(rng.integers(100, 900_000))))
    return with_box(table, b'elst', struct.pack('>II', 0, count) + struct.pack('>IiI', 2000, 0, 0x10000) * count)


def run_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """A run of a fragment that states sixty million samples of one size and length."""
    at = content.find(b'trun', top_boxes(content, b'moof')[0][0]) - 4
    size = int.from_bytes(content[at : at + 4], 'big')
    run = struct.pack('>I', size) + b'trun' + struct.pack('>II', 0, MANY) + content[at + 16 : at + size]
    return content[:at] + run + content[at + size :]


def gif_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """A GIF of many pictures of many pixels in a few bytes: the first picture again and again."""
    side = int(rng.choice([3000, 5999]))
    count = int(rng.integers(20, 200))
    picture = b'\x2c' + struct.pack('<HHHHB', 0, 0, side, side, 0) + b'\x02\x02\x4c\x01\x00'
    return (
        content[:6]
        + struct.pack('<HH', side, side)
        + content[10:13]
        + content[13 : 13 + _table(content)]
        + picture * count
        + b';'
    )


def _table(content: bytes) -> int:
    return 3 * 2 ** ((content[10] & 7) + 1) if content[10] & 0x80 else 0


def empty_pages(content: bytes, rng: np.random.Generator) -> bytes:
    """Megabytes of Ogg pages that hold nothing, behind the recording or between its pages."""
    page = b'OggS\0\0' + bytes(8) + rng.bytes(4) + bytes(4) + b'\xff' * 4 + b'\0'
    pages = page * int(rng.integers(1_000, 60_000))
    at = int(rng.choice([0, len(_places(content, b'OggS')) - 1]))
    place = _places(content, b'OggS')[at] if rng.random() < 0.5 and at else len(content)
    return content[:place] + pages + content[place:]


def big_id3(content: bytes, rng: np.random.Generator) -> bytes:
    """Megabytes of ID3 tags in front of the sound."""
    count = int(rng.integers(5_000, 100_000))
    frames = b''.join(b'TXXX' + struct.pack('>I', 11) + bytes(3) + b'%08d\0v' % number for number in range(count))
    return b'ID3\x03\0\0' + bytes(len(frames) >> shift & 127 for shift in (21, 14, 7, 0)) + frames + content


def many_tags(content: bytes, rng: np.random.Generator) -> bytes:
    """Tens of thousands of tags in the way of the format."""
    count = int(rng.integers(6_000, 60_000))
    if content[:4] == b'fLaC':
        texts = [b'k%07d=v' % number for number in range(count)]
        block = struct.pack('<II', 0, count) + b''.join(struct.pack('<I', len(text)) + text for text in texts)
        return content[:4] + b'\0' + content[5:42] + b'\x04' + len(block).to_bytes(3, 'big') + block + content[42:]
    if content[:4] == b'RIFF':
        entries = b''.join(struct.pack('<II', 0x20202020 + number * 7919, 2) + b'v\0' for number in range(count))
        chunk = b'INFO' + entries
        return content[:12] + b'LIST' + struct.pack('<I', len(chunk)) + chunk + content[12:]
    return with_box(content, b'udta', b''.join(box(b'\xa9' + n.to_bytes(3, 'big'), b'\0\1\0\0v') for n in range(count)))


def lost_packets(content: bytes, rng: np.random.Generator) -> bytes:
    """Whole packets of a transport stream are gone."""
    first = int(rng.integers(5, len(content) // 188 - 60))  # nothing counts what is gone at the end
    return content[: 188 * first] + content[188 * (first + int(rng.integers(3, 12))) :]


def lost_page(content: bytes, rng: np.random.Generator) -> bytes:
    """A whole page of an Ogg file is gone."""
    pages = [*_places(content, b'OggS'), len(content)]
    number = int(rng.integers(2, len(pages) - 1))
    return content[: pages[number]] + content[pages[number + 1] :]


def exif_in_jpeg(content: bytes, rng: np.random.Generator) -> bytes:
    """An Exif segment, whole or of noise."""
    changed = bytearray(with_exif(content))
    if rng.random() < 0.5:
        changed[12:28] = rng.bytes(16)
    return bytes(changed)


FAULTS: dict[str, tuple[Change, tuple[str, ...], bool]] = {
    'missing fragment': (missing_fragment, ('fragments.mp4',), True),
    'lying run': (lying_run, ('fragments.mp4',), True),
    'lying fragment time': (lying_time, ('fragments.mp4',), True),
    'zeroed cluster': (zeroed_cluster, ('live.webm', 'clusters.webm', 'vp8_opus.webm', 'h264_flac.mkv'), True),
    'trailing sound': (trailing_sound, ('pcm.wav', 'float.wav', 'rf64.wav', 'pcm.aiff', 'pcm.w64'), True),
    'open riff size': (open_riff_size, ('pcm.wav', 'float.wav'), True),
    'open sizes': (open_sizes, ('pcm.wav', 'float.wav'), True),
    'short data size': (short_data_size, ('pcm.wav', 'float.wav'), True),
    'two data chunks': (two_data_chunks, ('pcm.wav', 'float.wav'), True),
    'flac frame': (flac_frame, ('plain.flac',), True),
    'fewer rows': (fewer_rows, ('photo.png',), True),
    'nested boxes': (nested_boxes, ('h264_aac.mp4', 'aac.m4a', 'mpeg4_pcm.mov', 'fragments.mp4'), False),
    'nested elements': (nested_elements, ('h264_flac.mkv', 'vp8_opus.webm'), False),
    'sample bomb': (sample_bomb, ('h264_aac.mp4', 'mpeg4_pcm.mov', 'aac.m4a'), False),
    'edit bomb': (edit_bomb, ('h264_aac.mp4', 'aac.m4a'), False),
    'run bomb': (run_bomb, ('fragments.mp4',), True),
    'gif bomb': (gif_bomb, ('moving.gif', 'photo.gif'), False),
    'empty pages': (empty_pages, ('opus.ogg',), True),
    'big id3': (big_id3, ('lame.mp3', 'plain.flac', 'adts.aac'), False),
    'many tags': (many_tags, ('plain.flac', 'pcm.wav', 'h264_aac.mp4', 'mpeg4_pcm.avi'), False),
    'lost packets': (lost_packets, ('broadcast.ts',), True),
    'lost page': (lost_page, ('opus.ogg',), True),
    'exif segment': (exif_in_jpeg, ('photo.jpg',), False),
}
"""Name of a fault to its function, the seeds that it fits, and whether silence about it is wrong."""
JOINED = 'cat'
"""Two recordings, one behind the other; photographs are left out, for phones put films behind them on purpose."""


def inject(origin: Path, fault: str, seeds: list[Path], rng: np.random.Generator) -> Damage:
    """`origin` with one of FAULTS, or joined with itself or another recording."""
    content = origin.read_bytes()
    if fault == JOINED:
        fitting = [seed for seed in seeds if seed.suffix == origin.suffix] if rng.random() < 0.7 else seeds
        other = fitting[int(rng.integers(len(fitting)))]
        return Damage(content + other.read_bytes(), origin.suffix, joined=other.name)
    change, _, must_say = FAULTS[fault]
    return Damage(change(content, rng), origin.suffix, must_say=must_say)
