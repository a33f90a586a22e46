"""MPEG transport streams (ts, mts, m2ts): packets of 188 bytes, with a counter from 0 to 15 in each stream.

The counters are the only sign of missing packets. FFmpeg marks some frames for it and silently drops others. Where
segments of a broadcast were joined, all counters restart at the program list that opens each segment: at 0, as
muxers write it, or anywhere. So a jump by one or two lists does not count as a joint, unless it is to 0.

Source: ISO/IEC 13818-1, section 2.4.3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window
from affekt.wording import counted

SYNC, PROGRAMS, NULL_STREAM = 0x47, 0, 0x1FFF
PACKET = 188
STRIDES = (188, 192, 204)
"""Bytes from packet to packet: 188 alone, 192 after a timestamp (m2ts), 204 before 16 bytes of error correction."""
FEW_PACKETS = 5
"""Number of consecutive packets by which a packet is recognised."""
MOST_LISTS_LOST = 2
"""Maximum number of program lists that may be lost with the packets around them; a longer jump, or one to counter 0, is
a joint."""
BEFORE_PROGRAMS = 2
"""Maximum number of packets of a segment before its program list, such as service names."""

Octets = npt.NDArray[np.uint8]


def check_packets(source: Source, report: ContainerReport) -> None:
    """Note jumps of counters, and bytes outside packets."""
    report.states_length = False
    with Window(source, CHAIN) as window:
        position, stride = _first_packet(window, 0)
        if not stride:
            return
        counters = Counters()
        while position + PACKET <= source.size:
            block = window.at(position, CHAIN)
            count = max(1, (len(block) - PACKET) // stride + 1)
            rows = np.frombuffer(block.ljust(count * stride, b'\0')[: count * stride], np.uint8).reshape(-1, stride)
            without_sync = np.flatnonzero(rows[:, 0] != SYNC)
            packet_count = int(without_sync[0]) if len(without_sync) else count
            counters.check(rows[:packet_count], position, stride, report)
            position += packet_count * stride
            if len(without_sync):
                following, _ = _first_packet(window, position + 1)
                end = source.size if following < 0 else following
                lost_bytes = end - position
                sentence = f'damaged: no packet begins at byte {position} of {source.size}; '
                report.add('chain', f'{sentence}{lost_bytes:,} bytes cannot be read', lost_bytes)
                position = end


def _first_packet(window: Window, position: int) -> tuple[int, int]:
    """Position of a packet that is followed by others, and their distance in bytes; (-1, 0) for none."""
    while position + PACKET <= window.size:
        block = window.at(position, CHAIN)
        offset = block.find(SYNC)
        while offset >= 0:
            for stride in STRIDES:
                following = [window.at(position + offset + stride * packet, 1) for packet in range(1, FEW_PACKETS)]
                if all(octet in (bytes([SYNC]), b'') for octet in following):
                    return position + offset, stride
            offset = block.find(SYNC, offset + 1)
        position += len(block)
    return -1, 0


class Counters:
    """The counters of all streams, checked packet by packet."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._seen_at: dict[int, int] = {}
        self._joined_at = -1
        self._packets = 0

    def check(self, rows: Octets, position: int, stride: int, report: ContainerReport) -> None:
        """Compare the counters of whole packets, the first of which is at `position`, with the previous ones."""
        streams = (rows[:, 1].astype(np.int64) & 0x1F) << 8 | rows[:, 2]
        has_content = rows[:, 3] & 0x10 > 0
        may_jump = (rows[:, 3] & 0x20 > 0) & (rows[:, 4] > 0) & (rows[:, 5] & 0x80 > 0)
        begins = rows[:, 1] & 0x40 > 0
        for row in np.flatnonzero(rows[:, 1] & 0x80):
            sentence = f'damaged: the packet at byte {position + int(row) * stride} was received with errors'
            report.add('error', sentence, PACKET)
        jumps = {}
        for stream in map(int, np.unique(streams[has_content])):
            if stream == NULL_STREAM:
                continue
            stream_rows = np.flatnonzero((streams == stream) & has_content)
            numbers = rows[stream_rows, 3].astype(np.int64) & 15
            steps = np.diff(numbers, prepend=self._last.get(stream, numbers[0])) & 15
            is_jump = (steps > 1) & ~may_jump[stream_rows]
            previous = np.concatenate([[self._seen_at.get(stream, -1)], stream_rows[:-1] + self._packets])
            jumps[stream] = list(
                zip(stream_rows[is_jump].tolist(), steps[is_jump].tolist(), previous[is_jump], strict=True)
            )
            self._last[stream] = int(numbers[-1])
            self._seen_at[stream] = self._packets + int(stream_rows[-1])
        joined = [
            self._packets + row
            for row, step, _ in jumps.get(PROGRAMS, [])
            if step > 1 + MOST_LISTS_LOST or not rows[row, 3] & 15
        ]
        joints = np.array([self._joined_at, *joined])
        for stream, of_stream in jumps.items():
            for row, step, previous in of_stream:
                joint = joints[np.searchsorted(joints, self._packets + row + BEFORE_PROGRAMS, 'right') - 1]
                if begins[row] and joint > previous:
                    continue
                byte = position + row * stride
                sentence = f'missing: at least {counted(step - 1, "packet")} of stream {stream} before byte {byte}'
                report.add('counter', sentence, (step - 1) * stride)
        self._joined_at = int(joints[-1])
        self._packets += len(rows)
