"""Number of samples in the tables of an mp4, compared with the file size before FFmpeg allocates memory for them.

FFmpeg uses about 40 bytes per sample. Twenty bytes of a table can list four billion samples, and each edit of a track
(elst) lists them again; a file of 98 kB could thus take gigabytes. A real sample has bytes of its own in the file.

Source: ISO/IEC 14496-12, sections 8.6.1.2, 8.6.6, 8.7.3, 8.7.4 and 8.8.8; FFmpeg libavformat/mov.c, mov_build_index.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from affekt.containers.boxes import MAX_DEPTH, Box, boxes, inside, versioned_number
from affekt.containers.limits import Limits
from affekt.containers.source import Source
from affekt.containers.window import Window
from affekt.errors import LimitError

Numbers = npt.NDArray[np.int64]

FEW_SAMPLES = 1_000_000
"""Number of samples that is always allowed: a truncated file lists more than it holds."""
BYTES_A_SAMPLE = 4
"""Least number of bytes of the file per listed sample."""
SAMPLES_TOGETHER = 1024
"""Number of samples of plain audio that FFmpeg counts as one."""
MAX_UNPACKED = 1 << 24
"""Largest size in bytes of an index that is stored compressed (cmov)."""
ENDLESS = 1 << 40
"""Number of samples that stands for a compressed index of more than `MAX_UNPACKED` bytes."""
TABLE_PATH = (b'mdia', b'minf', b'stbl')
PARENTS = frozenset(
    {b'moov', b'trak', b'mdia', b'minf', b'stbl', b'mvex', b'moof', b'traf', b'edts', b'udta', b'dinf', b'meta',
     b'mfra', b'tref', b'sinf', b'schi', b'wave', b'ilst', b'gmhd', b'strk'}
)  # fmt: skip
LAST_TRACK = 2**31 - 1
"""Largest number of a track of a fragmented file: with a larger one, FFmpeg counts for seconds while it opens."""
OTHER_FORMATS = (
    b'RIFF',
    b'RIFX',
    b'RF64',
    b'\x1aE\xdf\xa3',
    b'OggS',
    b'fLaC',
    b'FORM',
    b'caff',
    b'FLV',
    b'ID3',
    b'GIF8',
)


def check_sample_count(source: Source, limits: Limits) -> None:
    """Refuse a file whose tables list more samples than it can hold; files of other formats are accepted.

    Raises:
        LimitError: more than a million samples, and more than one per four bytes of the file or `limits.max_samples`;
            or a fragmented file with a track of a number above `LAST_TRACK`.
    """
    if source.head(4).startswith(OTHER_FORMATS):
        return
    with Window(source) as window:
        _check_track_numbers(window, source)
        listed = _listed(window, 0, source.size)
    limit = max(FEW_SAMPLES, min(source.size // BYTES_A_SAMPLE, limits.max_samples))
    if listed > limit:
        raise LimitError(
            expected=f'at most {limit:,} samples in the tables of {source.name} ({source.size:,} bytes)',
            came='a compressed index without end' if listed >= ENDLESS else f'{listed:,}',
            todo='the file is damaged or made to take memory; copy or export it again',
        )


def _check_track_numbers(window: Window, source: Source) -> None:
    movies = inside(window, [(0, source.size)], b'moov')
    if not inside(window, movies, b'mvex'):
        return
    for start, _ in inside(window, movies, b'trak', b'tkhd'):
        number = versioned_number(window, start, (20, 4), (12, 4))
        if number > LAST_TRACK:
            raise LimitError(
                expected=f'tracks with numbers up to {LAST_TRACK:,} in {source.name}', came=f'{number:,}',
                todo='the file is damaged or numbers its tracks unusually; copy or export it again',
            )  # fmt: skip


def _listed(window: Window, start: int, end: int, depth: int = 0, is_sound: bool = False, scale: int = 1) -> int:
    """Number of samples that FFmpeg would store for the boxes between two positions.

    Args:
        window: the file.
        start: position of the first byte.
        end: position after the last byte.
        depth: number of boxes around it.
        is_sound: whether it is within an audio track.
        scale: ticks per second of the movie.
    """
    if depth > MAX_DEPTH:
        return 0
    children = list(boxes(window, start, end))
    tables = {box.name: (box.body, box.end) for box in children}
    if b'hdlr' in tables:
        # QuickTime has a second one, of another type, beside the tables
        is_sound = {b'soun': True, b'vide': False}.get(window.at(tables[b'hdlr'][0] + 8, 4), is_sound)
    if b'mvhd' in tables:
        scale = max(1, versioned_number(window, tables[b'mvhd'][0], (20, 4), (12, 4)))
    total = _in_table(window, tables, is_sound) if b'stsz' in tables or b'stz2' in tables else 0
    for box in children:
        if box.name == b'trun':
            total += window.number(box.body + 4, 4)
        elif box.name == b'cmov':
            total += _listed_in_compressed(window, box)
        elif box.name in PARENTS:
            samples = _listed(window, box.body, box.end, depth + 1, is_sound, scale)
            total += _repeated(window, box, samples, scale) if box.name == b'trak' else samples
    return total


def _in_table(window: Window, tables: Mapping[bytes, tuple[int, int]], is_sound: bool) -> int:
    """Number of samples in one table (stbl); plain audio, of one tick per sample, counts by `SAMPLES_TOGETHER`."""
    start, _ = tables.get(b'stsz') or tables[b'stz2']
    count = window.number(start + 8, 4)
    times = tables.get(b'stts', (0, 0))[0]
    is_plain = is_sound and times and window.number(times + 4, 4) == 1 and window.number(times + 12, 4) == 1
    if not is_plain or b'stsc' not in tables:
        return count
    runs = _rows(window, tables[b'stsc'], 3)
    offsets = tables.get(b'stco') or tables.get(b'co64')
    chunks = window.number(offsets[0] + 4, 4) if offsets else 0
    lengths = np.diff(np.append(runs[:, 0], chunks + 1)).clip(0)
    return int(lengths @ -(-runs[:, 1] // SAMPLES_TOGETHER))


def _repeated(window: Window, track: Box, samples: int, scale: int) -> int:
    """Samples of a track after its edits, each of which lists its samples again, from the previous key frame on."""
    media = [(track.body, track.end)]
    edits = inside(window, media, b'edts', b'elst')
    if not edits:
        return samples
    is_wide = window.at(edits[0][0], 1) == b'\x01'
    # duration and start of 8 bytes each in version 1, of 4 in version 0, then the rate
    rows = _rows(window, edits[0], 5 if is_wide else 3)
    if samples * len(rows) <= FEW_SAMPLES:
        return samples * max(1, len(rows))
    shown_s = (rows[:, 0] * 2.0**32 + rows[:, 1] if is_wide else rows[:, 0] * 1.0) / scale
    ticks = [_rows(window, span, 2).prod(axis=1).sum() for span in inside(window, media, *TABLE_PATH, b'stts')]
    scales = [versioned_number(window, span[0], (20, 4), (12, 4)) for span in inside(window, media, b'mdia', b'mdhd')]
    length_s = float(sum(ticks)) / max(1, scales[0] if scales else 1)
    keys = [window.number(span[0] + 4, 4) for span in inside(window, media, *TABLE_PATH, b'stss')]
    preroll = samples / max(1, keys[0]) if keys else 0.0
    return int(np.minimum(samples, samples * shown_s / max(length_s, 1e-9) + preroll).sum())


def _rows(window: Window, span: tuple[int, int], columns: int) -> Numbers:
    """The entries of a table that begins with version, flags and a count; four bytes per column."""
    start, end = span
    count = min(window.number(start + 4, 4), max(0, end - start - 8) // (4 * columns), FEW_SAMPLES)
    content = window.at(start + 8, 4 * columns * count)
    used_bytes = len(content) // (4 * columns) * 4 * columns
    return np.frombuffer(content[:used_bytes], '>u4').reshape(-1, columns).astype(np.int64)


def _listed_in_compressed(window: Window, box: Box) -> int:
    """Samples of an index that is stored compressed, as by old QuickTime; ENDLESS if it is long."""
    content = window.at(box.body, min(box.end - box.body, MAX_UNPACKED))
    offset = content.find(b'cmvd')
    if offset < 0:
        return 0
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content[offset + 8 :], MAX_UNPACKED)
    except zlib.error:
        return 0
    if unpacker.unconsumed_tail or int.from_bytes(content[offset + 4 : offset + 8], 'big') > MAX_UNPACKED:
        return ENDLESS
    with Window(Source(unpacked, Limits())) as inner:
        return _listed(inner, 0, inner.size, depth=1) if inner.size else 0
