"""Matroska and WebM: nested EBML elements, each an id, a size and its content.

FFmpeg silently searches for the next cluster after a damaged one, and silently skips tracks that it cannot read.
Therefore the chain of elements down to the blocks, the checksums of clusters and the number of tracks are checked here.

Source: RFC 8794, sections 4 and 5; RFC 9559, section 5.1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator

from affekt.containers.joints import note_rest
from affekt.containers.losses import ContainerReport, anew_sentence, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

EBML, SEGMENT = 0x1A45DFA3, 0x18538067
INFO, DURATION, TIMESTAMP_SCALE = 0x1549A966, 0x4489, 0x2AD7B1
CLUSTER, TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
TRACKS = 0x1654AE6B
TRACK_ENTRY, TRACK_NUMBER = 0xAE, 0xD7
TAGS, TAG, SIMPLE_TAG = 0x1254C367, 0x7373, 0x67C8
VIDEO, PIXEL_WIDTH, PIXEL_HEIGHT = 0xE0, 0xB0, 0xBA
VOID, CHECKSUM = 0xEC, 0xBF
XIPH, EQUAL, EBML_SIZES = 1, 2, 3
"""How the sizes of several frames in one block are stated: the lacing bits of its flags."""
TOP_LEVEL = frozenset({0x114D9B74, INFO, TRACKS, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, TAGS, VOID, CHECKSUM})
"""SeekHead, Info, Tracks, Cluster, Cues, Attachments, Chapters, Tags, Void, CRC-32."""
IN_CLUSTER = frozenset({TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, 0xA7, 0xAB, 0x5854, 0xAF, VOID, CHECKSUM})
"""Timestamp, SimpleBlock, BlockGroup, Position, PrevSize, SilentTracks, EncryptedBlock, Void, CRC-32."""


def check_elements(source: Source, report: ContainerReport) -> None:
    """Note where the chain of elements breaks, within clusters too, and where it passes the end of the file.

    The checksum (CRC-32) that most writers put into each cluster is compared with the cluster's content.
    """
    with Window(source) as window:
        segment = _segment(window, source.size)
        if segment is None:
            report.add('chain', 'damaged: no segment where one should begin')
            return
        start, end = segment
        report.cut(end, source.size, 'the segment')
        is_endless = _is_endless(window, start)
        walk = _Walk(window, report, min(end, source.size))
        position = walk.through(start)
        report.states_length = not is_endless or walk.has_duration
        if end < source.size and not is_endless:
            _note_rest(window, end, report)
        if walk.end_of_first is not None:
            _note_rest(window, walk.end_of_first, report)
        elif window.is_exhausted:
            report.remarks.append(f'it has more than a million elements; from byte {position} on none was checked')
        elif position != walk.end and end <= source.size:
            report.add('end', f'damaged: the elements end at byte {position}, not at {walk.end}')


class _Walk:
    """Walks through the elements of a segment; clusters of unknown size end where the next one begins."""

    def __init__(self, window: Window, report: ContainerReport, end: int) -> None:
        self.window, self.report, self.end = window, report, end
        self.clock_s = 0.0
        self.has_duration = False
        self.end_of_first: int | None = None
        self.tick_s = 0.001
        self.tracks: set[int] = set()

    def through(self, position: int) -> int:
        """Position at which the walk ends: the end of the segment if it is intact."""
        while position < self.end and self.window.meets_another():
            identity, body, after = _element(self.window, position, self.end)
            if identity == EBML:
                self.end_of_first = position
                return position
            if identity not in TOP_LEVEL:
                position = self._resume(position, 'an unknown element begins')
                continue
            if identity == INFO and after is not None:
                self._read_info(body, after)
            if identity == TRACKS and after is not None:
                spans = _inside(self.window, [(body, after)], TRACK_ENTRY, TRACK_NUMBER)
                self.tracks |= {self.window.number(start, min(end - start, 8)) for start, end in spans}
            if identity == CLUSTER:
                position = self._cluster(body, after)
            elif after is None:
                return position
            else:
                position = after
        return position

    def _read_info(self, start: int, end: int) -> None:
        for identity, body, after in elements(self.window, start, end):
            if identity == DURATION and after is not None:
                self.has_duration = True
            if identity == TIMESTAMP_SCALE and after is not None and after - body <= 8:
                self.tick_s = (self.window.number(body, after - body) or 1_000_000) / 1e9

    def _cluster(self, start: int, after: int | None) -> int:
        """The end of a cluster, after checking each of its blocks."""
        end = self.end if after is None else min(after, self.end)
        position, cluster_s = start, 0.0
        is_first = True
        while position < end and self.window.meets_another():
            identity, body, stop = _element(self.window, position, end)
            if after is None and identity in TOP_LEVEL - {VOID, CHECKSUM} | {EBML}:
                return position
            if identity not in IN_CLUSTER or stop is None or stop > end:
                if stop is not None and stop > end and end == self.window.size:
                    return stop  # cut off within a block: the end is missing
                return self._resume(position, 'no block of a cluster begins', after)
            if (
                identity == CHECKSUM
                and is_first
                and stop - body == 4
                and after is not None
                and after <= self.window.size
            ):
                self._compare(start, body, stop, after)
            if identity == TIMESTAMP and stop - body <= 8:
                cluster_s = self.window.number(body, stop - body) * self.tick_s
                self.clock_s = cluster_s
            elif identity in (SIMPLE_BLOCK, BLOCK_GROUP):
                blocks = self._blocks(identity, body, stop)
                if blocks is None or not all(_has_whole_frames(self.window, *block) for block in blocks):
                    return self._resume(position, 'a block that cannot be read begins', after)
                if identity == BLOCK_GROUP and not blocks and not self.window.is_exhausted:
                    sentence = f'damaged: the group at byte {position} holds no block with content'
                    self.report.add('group', f'{sentence}; {stop - position:,} bytes are not read', stop - position)
                for block in blocks:
                    track, block_s = self._head(block[0])
                    if self.tracks and track not in self.tracks:
                        fault = f'a block of track {track}, which the file does not describe, begins'
                        return self._resume(position, fault, after)
                    self.clock_s = max(self.clock_s, cluster_s + block_s)
            is_first = False
            position = stop
        return position if after is None or self.window.is_exhausted else after

    def _blocks(self, identity: int, body: int, stop: int) -> list[tuple[int, int]] | None:
        """(First byte of the content, end) of each block of a group, or of one alone.

        None if a part of the group has no readable header or size, or passes the group's end.
        """
        if identity == SIMPLE_BLOCK:
            return [(body, stop)] if body < stop else []
        parts = list(elements(self.window, body, stop))
        if any(not inner or end is None or end > stop for inner, _, end in parts):
            return None
        return [(start, end) for inner, start, end in parts if inner == BLOCK and end is not None and start < end]

    def _head(self, body: int) -> tuple[int, float]:
        """A block's track number, and its time relative to the cluster in seconds: two bytes after that number."""
        track, width = _number(self.window.at(body, 8), keeps_marker=False)
        return track, int.from_bytes(self.window.at(body + width, 2), 'big', signed=True) * self.tick_s

    def _compare(self, start: int, body: int, stop: int, after: int) -> None:
        """Note a cluster whose content does not match its stated checksum (little-endian CRC-32)."""
        computed, position = 0, stop
        while position < after:
            computed = zlib.crc32(self.window.at(position, min(CHAIN, after - position)), computed)
            position += min(CHAIN, after - position)
        if computed != int.from_bytes(self.window.at(body, 4), 'little'):
            sentence = f'damaged: the checksum of the cluster at byte {start} is wrong ({after - start:,} bytes)'
            self.report.add('checksum', sentence, after - start)

    def _resume(self, position: int, fault: str, after: int | None = None) -> int:
        """Position of the next cluster, or of what follows this one; notes the bytes and seconds before it."""
        cluster = self._next_cluster(position)
        if cluster is None and self.window.is_exhausted:
            self.report.add('chain', f'damaged: {fault} at byte {position} of {self.window.size}')
            return position
        stop, lost_s = self.end if cluster is None else cluster, 0.0
        if after is not None:
            stop = min(stop, after)
        if cluster is not None:
            _, body, end = _element(self.window, cluster, self.end)
            for identity, inner, inner_end in elements(self.window, body, self.end if end is None else end):
                if identity == TIMESTAMP and inner_end is not None and inner_end - inner <= 8:
                    lost_s = max(0.0, self.window.number(inner, inner_end - inner) * self.tick_s - self.clock_s)
                if identity not in (VOID, CHECKSUM):
                    break
        sentence = f'damaged: {fault} at byte {position} of {self.window.size}; '
        sentence += f'{stop - position:,} bytes{seconds_of(lost_s)} cannot be read'
        self.report.add('chain', sentence, stop - position, lost_s)
        self.clock_s += lost_s
        return stop

    def _next_cluster(self, position: int) -> int | None:
        """Position of the next cluster whose size can be read; None for none."""
        marker = CLUSTER.to_bytes(4, 'big')
        while position < self.end:
            block = self.window.at(position, CHAIN)
            offset = block.find(marker)
            while 0 <= offset < self.end - position and self.window.meets_another():
                if _element(self.window, position + offset, self.end)[0] == CLUSTER:
                    return position + offset
                offset = block.find(marker, offset + 1)
            if len(block) < 4:
                return None
            position += len(block) - 3
        return None


def _stated_seconds(window: Window, start: int) -> float:
    """Duration in seconds stated by the recording that begins at `start`; 0 where it states none."""
    segments = [
        (body, after or window.size) for name, body, after in elements(window, start, window.size) if name == SEGMENT
    ]
    for segment in segments[:1]:
        for name, body, after in elements(window, *segment):
            if name == INFO and after is not None:
                tick_s, ticks = 0.001, 0.0
                for inner_id, value_start, stop in elements(window, body, after):
                    if stop is None or stop - value_start > 8:
                        continue
                    if inner_id == TIMESTAMP_SCALE:
                        tick_s = (window.number(value_start, stop - value_start) or 1_000_000) / 1e9
                    if inner_id == DURATION and stop - value_start in (4, 8):
                        ticks = struct.unpack(
                            '>f' if stop - value_start == 4 else '>d', window.at(value_start, stop - value_start)
                        )[0]
                return tick_s * ticks if 0 < ticks < math.inf else 0.0
            if name == CLUSTER:
                break
    return 0.0


def _is_endless(window: Window, start: int) -> bool:
    """Whether the segment whose content begins at `start` states no size: all bits of its size are 1."""
    return any(
        window.at(start - width, width) == ((1 << 7 * width) - 1 | 1 << 7 * width).to_bytes(width, 'big')
        for width in range(1, 9)
        if start - width >= 4 and window.at(start - width - 4, 4) == SEGMENT.to_bytes(4, 'big')
    )


def _note_rest(window: Window, start: int, report: ContainerReport) -> None:
    """Note what follows the segment: another recording, or stray bytes."""
    size = window.size - start
    if window.at(start, 4) == EBML.to_bytes(4, 'big'):
        length_s = _stated_seconds(window, start)
        report.add('unread', anew_sentence(start, size, length_s), size, length_s)
    elif _element(window, start, window.size)[0] != VOID and window.at(start, min(size, CHAIN)).strip(b'\0'):
        sentence = f'not read: {size:,} bytes follow the end of the segment at byte {start}'
        note_rest(window, start, sentence, report, 'unread')


def track_count(source: Source) -> int:
    """Number of tracks in the header; 0 without a list, or if the file is not Matroska."""
    with Window(source) as window:
        return len(_inside(window, _tracks(window, source.size), TRACK_ENTRY))


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(Width, height) of every video track, as stated in the list of tracks."""
    sizes = []
    with Window(source) as window:
        for video in _inside(window, _tracks(window, source.size), TRACK_ENTRY, VIDEO):
            side = {}
            for identity, start, end in elements(window, *video):
                if identity in (PIXEL_WIDTH, PIXEL_HEIGHT) and end is not None and end - start <= 8:
                    side[identity] = window.number(start, end - start)
            sizes.append((side.get(PIXEL_WIDTH, 0), side.get(PIXEL_HEIGHT, 0)))
    return sizes


def _tracks(window: Window, size: int) -> list[tuple[int, int]]:
    """Position of the list of tracks as [(first byte, end)]; [] if there is none."""
    segment = _segment(window, size)
    if segment is None:
        return []
    for identity, body, after in elements(window, *segment):
        if after is None:
            return []
        if identity == TRACKS:
            return [(body, after)]
    return []


def _inside(window: Window, spans: list[tuple[int, int]], *path: int) -> list[tuple[int, int]]:
    """(First byte of the content, end) of all elements of known size at the end of a path of ids."""
    for wanted_id in path:
        spans = [
            (a, b)
            for start, end in spans
            for identity, a, b in elements(window, start, end)
            if identity == wanted_id and b is not None
        ]
    return spans


def _segment(window: Window, size: int) -> tuple[int, int] | None:
    """(First byte of the segment's content, its end); the end of the file if the size is unknown."""
    for identity, body, after in elements(window, 0, size):
        if identity == SEGMENT:
            return body, size if after is None else after
        if after is None:
            return None
    return None


def elements(window: Window, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """(Id, first byte of the content, end of the content or None if unknown) of each element between two positions."""
    while start < end and window.meets_another():
        identity, body, after = _element(window, start, end)
        yield identity, body, after
        if after is None or identity == 0:
            return
        start = after


def _element(window: Window, start: int, end: int) -> tuple[int, int, int | None]:
    """The same for the element that begins at `start`; (0, start, end) if there is none."""
    header = window.at(start, 12)
    identity, id_width = _number(header, keeps_marker=True)
    size, size_width = _number(header[id_width:], keeps_marker=False)
    if id_width == 0 or id_width > 4 or size_width == 0:
        return 0, start, end
    body = start + id_width + size_width
    return identity, body, None if size == (1 << 7 * size_width) - 1 else body + size


def _has_whole_frames(window: Window, body: int, stop: int) -> bool:
    """Whether the frames of a block fit into it; behind another one FFmpeg skips the rest of the cluster.

    A track number, two bytes of time and one of flags come before the frames.
    """
    head = window.at(body, 12)
    _, width = _number(head, keeps_marker=False)
    frames = body + width + 3
    if width == 0 or frames > stop or len(head) < width + 3:
        return False
    lacing = head[width + 2] >> 1 & 3
    return not lacing or _has_fitting_sizes(lacing, window.at(frames, min(stop - frames, CHAIN)), stop - frames)


def _has_fitting_sizes(lacing: int, content: bytes, size: int) -> bool:
    """Whether the stated sizes of several frames in a block fit into its `size` bytes, which begin with `content`.

    The first byte is the number of frames less one; the size of the last frame is what remains.

    Args:
        lacing: XIPH, sizes in bytes of which 255 means that another follows; EQUAL, none; or EBML_SIZES, the first
            size and then signed differences.

    Source: RFC 9559, section 10.3.
    """
    if not content:
        return False
    others, position, total, frame_size = content[0], 1, 0, 0
    if lacing == EQUAL:
        return (size - 1) % (others + 1) == 0
    if lacing == XIPH:
        for _ in range(others):
            while position < len(content) and content[position] == 255:
                total, position = total + 255, position + 1
            if position >= len(content):
                return False
            total, position = total + content[position], position + 1
        return total <= size - position
    for number in range(max(1, others)):
        value, width = _number(content[position : position + 8], keeps_marker=False)
        frame_size += value - ((1 << 7 * width - 1) - 1 if number and width else 0)
        total, position = total + frame_size, position + width
        if width == 0 or frame_size < 0:
            return False
    return total <= size - position


def _number(content: bytes, keeps_marker: bool) -> tuple[int, int]:
    """An EBML number and its width in bytes; (0, 0) if there is none. Ids keep the bit that marks their width."""
    if not content or content[0] == 0:
        return 0, 0
    width = 9 - content[0].bit_length()
    if len(content) < width:
        return 0, 0
    value = int.from_bytes(content[:width], 'big')
    return (value if keeps_marker else value & ~(1 << 7 * width)), width
