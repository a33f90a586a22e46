"""Files of chunks: WAV and AVI (RIFF, RIFX, RF64), AIFF, Wave64, CAF. A chunk is a name, a size, and content.

Recorders leave a size of 0 or all ones if they could not return to the header; audio then extends to the end of the
file. If a size is stated, FFmpeg stops there, and what follows is silently lost unless it is noted here.

Sources: Microsoft, Multimedia Programming Interface and Data Specifications 1.0, 1991, chapter 2; EBU Tech 3306 (RF64);
Apple, Audio Interchange File Format 1.3 and Core Audio Format 1.0; Sony, Wave64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from affekt.containers.joints import begins_a_recording, next_recording
from affekt.containers.losses import ContainerReport, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import Window

UNKNOWN_SIZES = frozenset({0, *range(0xFFFFFF00, 0x100000000)})
"""Sizes by writers that could not return to the header, or whose file exceeds 4 GiB; some subtract their header."""
PIPED_SIZES = range(0x7FFFF000, 0x80000100)
"""Sizes that sox and arecord write to a pipe: the size is unknown if the file is shorter."""
ENDLESS = 0xFFFFFFFFFFFFFFFF
HEADER_BYTES = 1 << 16
"""Bytes of an AVI file in which its stream headers are sought."""
RATE_TOLERANCE = 0.02
"""Largest relative difference of two stated frame rates that are one; whole microseconds round fast ones."""
PADDING_BYTES = 4096
"""Maximum number of zeros after the stated end that count as padding: a disk sector."""
W64_TAIL = bytes.fromhex('f3acd3118cd100c04f8edb8a')
"""End of the 16-byte chunk names of Wave64, after four letters."""
INFORMATION = frozenset({b'LIST', b'bext', b'cue ', b'fact', b'id3 ', b'ID3 ', b'smpl', b'iXML', b'_PMX', b'afsp'})
SOUND_NAMES = frozenset({b'data', b'SSND'})


class Form(NamedTuple):
    """Layout of a family of chunked files."""

    order: Literal['big', 'little']
    first: int
    """Position of the first chunk."""
    name_bytes: int = 4
    size_bytes: int = 4
    counts_header: bool = False
    """Whether a size includes the header of the chunk."""
    multiple: int = 2
    """Chunks begin at multiples of this number of bytes."""


FORMS: dict[bytes, Form] = {
    b'RIFF': Form('little', 12),
    b'RIFX': Form('big', 12),
    b'RF64': Form('little', 12),
    b'BW64': Form('little', 12),
    b'FORM': Form('big', 12),
    b'caff': Form('big', 8, size_bytes=8, multiple=1),
    b'riff': Form('little', 40, 16, 8, counts_header=True, multiple=8),
}


@dataclass(frozen=True)
class Chunk:
    """Position of a chunk; `end` is None if its size is unknown."""

    name: bytes
    start: int
    body: int
    end: int | None


def check_chunks(source: Source, report: ContainerReport) -> None:
    """Note chunks that pass an end or do not reach it, and data after the audio that the header states."""
    with Window(source) as window:
        magic = window.at(0, 4)
        form = FORMS.get(magic)
        if form is None:
            return
        if window.at(8, 4) == b'AVI ':
            _note_rates(source.head(HEADER_BYTES), report)
        stated_end = _stated_end(window, magic, form)
        position, bytes_per_s = form.first, 0.0
        earlier: Chunk | None = None
        for chunk in _chunks(window, form, magic):
            if not all(32 <= letter < 127 for letter in chunk.name):
                break
            if begins_a_recording(window, chunk.start) or chunk.name in {b'RIFF', b'RIFX', b'RF64'}:
                break  # a separate file, such as an image
            is_behind = chunk.start >= (stated_end or 0) and (earlier is not None or stated_end is not None)
            if is_behind and (chunk.end or 0) > source.size + 1:
                break  # it only looks like a chunk, as it is after the end
            if chunk.name in {b'fmt ', b'COMM', b'desc'}:
                bytes_per_s = _bytes_per_second(window, chunk, form) or bytes_per_s
                if chunk.name == b'fmt ' and form.order == 'little' and not _is_consistent(window.at(chunk.body, 16)):
                    sentence = 'damaged: rate, channels and bytes per second of the audio contradict each other'
                    report.add('format', sentence)
            if chunk.name in SOUND_NAMES and earlier is not None:
                _note_earlier(earlier, chunk.start, bytes_per_s, report)
            if chunk.name in SOUND_NAMES:
                earlier = chunk
            if chunk.end is None:
                report.states_length = False
                if (following := next_recording(window, chunk.body)) is not None:
                    _note_rest(window, following, following, bytes_per_s, report)
                return
            if chunk.end > source.size + 1 and (chunk.name in SOUND_NAMES or chunk.end > (stated_end or 0) + 1):
                sentence = f'cut short: the chunk {chunk.name.decode()!r} should end at byte {chunk.end}, the file has '
                missing_bytes = chunk.end - source.size
                lost_s = missing_bytes / bytes_per_s if bytes_per_s and chunk.name in SOUND_NAMES else 0.0
                report.add('cut', f'{sentence}{source.size}{seconds_of(lost_s)}', missing_bytes, lost_s)
            elif stated_end is not None and chunk.start < stated_end < chunk.end - 1:  # padding is often left out
                sentence = f'damaged: a chunk ends at byte {chunk.end}, after the end of its parent at {stated_end}'
                report.add('parent', sentence)
            position = _behind(window, chunk.end, form)
        if 'cut' not in report.topics:
            report.cut(stated_end or 0, source.size, f'the {magic.decode()} chunk')
        _note_rest(window, min(position, stated_end or position), position, bytes_per_s, report)
        if window.is_exhausted:
            report.add('too many', 'damaged: more than a million chunks; the rest was not looked at')


def end_of_first(source: Source) -> int:
    """Position at which another recording follows the first one; the size of the file if none does.

    FFmpeg decodes it as audio if the first states no length, and counts its size as duration in CAF, Wave64 and AVI. An
    AVI after an AVI is read as its continuation.
    """
    with Window(source) as window:
        magic = window.at(0, 4)
        form = FORMS.get(magic)
        if form is None:
            return source.size
        following: int | None = form.first
        for chunk in _chunks(window, form, magic):
            if chunk.start > form.first and begins_a_recording(window, chunk.start):
                following = chunk.start
                break
            following = next_recording(window, chunk.body) if chunk.end is None else _behind(window, chunk.end, form)
            if following is None or following >= source.size:
                return source.size
        if following is None or not begins_a_recording(window, following):
            return source.size
        is_continued = window.at(8, 4) == window.at(following + 8, 4) == b'AVI '
        return source.size if is_continued else following


def _behind(window: Window, end: int, form: Form) -> int:
    """Position of the next chunk or recording, after padding if there is any."""
    is_unpadded = _is_unpadded(window, end, form) or begins_a_recording(window, end)
    return end if is_unpadded else _aligned(end, form)


def _note_earlier(chunk: Chunk, following: int, bytes_per_s: float, report: ContainerReport) -> None:
    """Note audio data followed by another data chunk, as FFmpeg reads only the last one."""
    size = (chunk.end or chunk.body) - chunk.body
    length_s = size / bytes_per_s if bytes_per_s else 0.0
    sentence = f'not read: {size:,} bytes of audio{seconds_of(length_s)} at byte {chunk.body}; only those at byte '
    report.add('earlier', f'{sentence}{following} are, for the file has two data chunks', size, length_s)


def _stated_end(window: Window, magic: bytes, form: Form) -> int | None:
    """Stated end of the outermost chunk; None if it states none."""
    if magic == b'caff':
        return None
    if magic in (b'RF64', b'BW64'):
        long_size = int.from_bytes(window.at(20, 8), 'little') if window.at(12, 4) == b'ds64' else 0
        return long_size + 8 if 0 < long_size < ENDLESS else None
    if magic == b'riff':
        return int.from_bytes(window.at(16, 8), 'little') or None
    size = int.from_bytes(window.at(4, 4), form.order)
    return None if _is_unknown(window, 8, size) else size + 8


def _chunks(window: Window, form: Form, magic: bytes) -> Iterator[Chunk]:
    """Every chunk up to the end of the file, or up to the first one of unknown size."""
    position, header = form.first, form.name_bytes + form.size_bytes
    long_sound = int.from_bytes(window.at(28, 8), 'little') if magic in (b'RF64', b'BW64') else 0
    while position + header <= window.size and window.meets_another():
        name = window.at(position, 4)
        size = int.from_bytes(window.at(position + form.name_bytes, form.size_bytes), form.order)
        if form.name_bytes == 16 and window.at(position + 4, 12) != W64_TAIL:
            name = b'guid'
        if name == b'data' and size == 0xFFFFFFFF and long_sound:
            size = long_sound
        body = position + header
        if _is_endless(window, name, body, size, form):
            yield Chunk(name, position, body, None)
            return
        if name == b'RIFF' and window.at(position + 8, 4) == b'AVIX':
            position += 12  # the next gigabyte of the same AVI
            continue
        end = position + max(header, size) if form.counts_header else body + size
        yield Chunk(name, position, body, end)
        position = _behind(window, end, form)


def _is_endless(window: Window, name: bytes, body: int, size: int, form: Form) -> bool:
    if form.size_bytes == 8:
        return name == b'data' and size in (0, ENDLESS)
    if name == b'SSND':
        return size == 0xFFFFFFFF
    return name in {b'data', b'LIST'} and _is_unknown(window, body, size)


def _is_unknown(window: Window, body: int, size: int) -> bool:
    return size in UNKNOWN_SIZES or (size in PIPED_SIZES and body + size > window.size + 1)


def _is_unpadded(window: Window, end: int, form: Form) -> bool:
    """Whether the next chunk follows an odd one directly, as some writers omit the zero between them."""
    return form.multiple == 2 and end % 2 == 1 and window.at(end, 4) in INFORMATION


def _aligned(position: int, form: Form) -> int:
    return -(-position // form.multiple) * form.multiple


def _note_rest(window: Window, stated_end: int, position: int, bytes_per_s: float, report: ContainerReport) -> None:
    """Note the bytes after the last chunk: another recording, or audio that the header does not include."""
    start = min(position, window.size)
    size = window.size - start
    if size <= 1 or (size <= PADDING_BYTES and not window.at(start, size).strip(b'\0')):
        return
    if begins_a_recording(window, start):
        sentence = f'another recording begins at byte {start}, {size:,} bytes'
        if window.at(start + 8, 4) == window.at(8, 4) == b'AVI ':
            report.add('unread', f'{sentence}; it is read as if it went on with the first')
            return
        length_s = _sound_seconds(window, start)
        report.add('unread', f'not read: {sentence}{seconds_of(length_s)}', size, length_s)
        return
    length_s = size / bytes_per_s if bytes_per_s else 0.0
    sentence = f'not read: {size:,} bytes{seconds_of(length_s)} follow the end that the header states, byte {start}'
    report.add('unread', sentence, size, length_s)


def _sound_seconds(window: Window, start: int) -> float:
    """Duration in seconds of the audio in a RIFF, FORM or CAF at a position; 0 where it is not stated."""
    form = FORMS.get(window.at(start, 4))
    if form is None:
        return 0.0
    position, bytes_per_s = start + form.first, 0.0
    for _ in range(100):
        name = window.at(position, 4)
        size = int.from_bytes(window.at(position + form.name_bytes, form.size_bytes), form.order)
        body = position + form.name_bytes + form.size_bytes
        if name in {b'fmt ', b'COMM', b'desc'}:
            bytes_per_s = _bytes_per_second(window, Chunk(name, position, body, body + size), form)
        if name in SOUND_NAMES:
            return min(size, window.size - body) / bytes_per_s if bytes_per_s else 0.0
        position = _aligned(position + size if form.counts_header else body + size, form)
    return 0.0


def _bytes_per_second(window: Window, chunk: Chunk, form: Form) -> float:
    """Bytes per second of audio, from the format chunk; 0 where it is not stated."""
    content = window.at(chunk.body, 32).ljust(32, b'\0')
    if chunk.name == b'fmt ':
        return float(int.from_bytes(content[8:12], form.order))
    if chunk.name == b'desc':
        rate, _, _, packet_bytes, packet_frames = struct.unpack('>dIIII', content[:24])
        return packet_bytes * rate / packet_frames if packet_frames and 0 < rate < 1e9 else 0.0
    channels, bits = int.from_bytes(content[:2], 'big'), int.from_bytes(content[6:8], 'big')
    exponent, mantissa = int.from_bytes(content[8:10], 'big') & 0x7FFF, int.from_bytes(content[10:18], 'big')
    rate = mantissa * 2.0 ** (exponent - 16383 - 63) if 16383 <= exponent < 16383 + 32 else 0.0
    return rate * channels * ((bits + 7) // 8)


def _is_consistent(description: bytes) -> bool:
    """Whether a WAV format is consistent in its bytes per second; required only of plain samples (tags 1 and 3)."""
    tag, channels, rate, bytes_per_s, unit, bits = struct.unpack('<HHIIHH', description.ljust(16, b'\0'))
    return tag not in (1, 3) or (bytes_per_s == rate * unit and unit == channels * ((bits + 7) // 8))


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(Width, height) of every video stream of an AVI file, as stated in its stream format."""
    head = source.head(HEADER_BYTES)
    sizes = []
    stream_header = head.find(b'strh')
    while stream_header >= 0:
        stream_format = head.find(b'strf', stream_header)
        if head[stream_header + 8 : stream_header + 12] == b'vids' and stream_format >= 0:
            # name 4, size 4, then BITMAPINFOHEADER: own size 4, width 4, height 4 (negative: top row first)
            width, height = (
                int.from_bytes(head[stream_format + offset : stream_format + offset + 4], 'little', signed=True)
                for offset in (12, 16)
            )
            sizes.append((abs(width), abs(height)))
        stream_header = head.find(b'strh', stream_header + 4)
    return sizes


def _note_rates(head: bytes, report: ContainerReport) -> None:
    """Note that an AVI file states another frame rate than its first video stream, which times follow."""
    stream_header = head.find(b'strh')
    while stream_header >= 0 and head[stream_header + 8 : stream_header + 12] != b'vids':
        stream_header = head.find(b'strh', stream_header + 4)
    file_header = head.find(b'avih')
    if min(file_header, stream_header) < 0:
        return
    frame_us, scale, rate = (
        int.from_bytes(head[start : start + 4], 'little')
        for start in (file_header + 8, stream_header + 28, stream_header + 32)
    )
    if frame_us and scale and rate and abs(frame_us * rate / scale / 1e6 - 1) > RATE_TOLERANCE:
        report.remarks.append(
            f'the file states {1e6 / frame_us:.2f} frames per second and its stream {rate / scale:.2f}, '
            'which times follow'
        )
