"""MPEG transport streams (ts, mts, m2ts): packets of 188 bytes, counted from 0 to 15 for each stream.

The counters are the only sign that packets are gone. FFmpeg marks some pictures for it and drops others unseen.

Source: ISO/IEC 13818-1, section 2.4.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.media.report import ContainerReport
from affekt.media.source import Source
from affekt.media.window import CHAIN, Window

SYNC, NULL_STREAM = 0x47, 0x1FFF
PACKET = 188
STRIDES = (188, 192, 204)
"""Bytes from packet to packet: alone, behind a time of four bytes (m2ts), before sixteen bytes of correction."""
FEW_PACKETS = 5

Octets = npt.NDArray[np.uint8]


def check_packets(source: Source, report: ContainerReport) -> None:
    """Notes counters that jump, and bytes where no packet begins."""
    report.states_length = False
    with Window(source, CHAIN) as window:
        position, stride = _first_packet(window, 0)
        if not stride:
            return
        counters: dict[int, int] = {}
        while position + PACKET <= source.size:
            stretch = window.at(position, CHAIN)
            count = max(1, (len(stretch) - PACKET) // stride + 1)
            rows = np.frombuffer(stretch.ljust(count * stride, b'\0')[: count * stride], np.uint8).reshape(-1, stride)
            wrong = np.flatnonzero(rows[:, 0] != SYNC)
            whole = int(wrong[0]) if len(wrong) else count
            _check_counters(rows[:whole], position, stride, counters, report)
            position += whole * stride
            if len(wrong):
                following, _ = _first_packet(window, position + 1)
                end = source.size if following < 0 else following
                lost = end - position
                sentence = (
                    f'damaged: no packet begins at byte {position} of {source.size}; {lost:,} bytes cannot be read'
                )
                report.add('chain', sentence, lost)
                position = end


def _first_packet(window: Window, position: int) -> tuple[int, int]:
    """Where a packet begins that others follow, and the bytes from each to the next; (-1, 0) where none does."""
    while position + PACKET <= window.size:
        stretch = window.at(position, CHAIN)
        at = stretch.find(SYNC)
        while at >= 0:
            for stride in STRIDES:
                following = [window.at(position + at + stride * n, 1) for n in range(1, FEW_PACKETS)]
                if all(octet in (bytes([SYNC]), b'') for octet in following):
                    return position + at, stride
            at = stretch.find(SYNC, at + 1)
        position += len(stretch)
    return -1, 0


def _check_counters(
    rows: Octets, position: int, stride: int, counters: dict[int, int], report: ContainerReport
) -> None:
    """Hold the counters of whole packets against the ones before; `counters` keeps the last of each stream."""
    streams = (rows[:, 1].astype(np.int64) & 0x1F) << 8 | rows[:, 2]
    has_content = rows[:, 3] & 0x10 > 0
    may_jump = (rows[:, 3] & 0x20 > 0) & (rows[:, 4] > 0) & (rows[:, 5] & 0x80 > 0)
    for stream in np.unique(streams[has_content]):
        if stream == NULL_STREAM:
            continue
        places = np.flatnonzero((streams == stream) & has_content)
        numbers = rows[places, 3].astype(np.int64) & 15
        before = np.concatenate([[counters.get(int(stream), int(numbers[0]))], numbers[:-1]])
        steps = (numbers - before) & 15
        for place in np.flatnonzero((steps > 1) & ~may_jump[places]):
            missing: Any = int(steps[place]) - 1
            at = position + int(places[place]) * stride
            sentence = f'missing: at least {missing} packets of stream {int(stream)} before byte {at}'
            report.add('counter', sentence, missing * stride)
        counters[int(stream)] = int(numbers[-1])
