"""MP3: a chain of frames without a container, in which a gap is the only sign of damage.

A frame may use bits of previous frames (`main_data_begin`). A file whose first frame does was cut at its start, even if
the cut is exactly between two frames.

Source: ISO/IEC 11172-3, sections 2.4.1.7 and 2.4.2.3; ISO/IEC 13818-3, section 2.4.2.3.
"""

from __future__ import annotations

from affekt.containers.frame_chain import check_chain, tag_length
from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

KBITS = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Version bits to bit rates 1 to 14 of layer III in kbit/s; MPEG 2.5 (bits 0) has those of MPEG 2 (bits 2)."""
SAMPLE_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
LENGTH_MARKS = (b'Xing', b'Info', b'VBRI')
"""Names in a first frame that states the total length and contains no audio."""


def check_frames(source: Source, report: ContainerReport) -> None:
    """Note where the chain of frames has a gap, is cut off, or begins within a recording."""
    position = tag_length(source)
    with Window(source, CHAIN) as window:
        opening = window.at(position, CHAIN)
        position += len(opening) - len(opening.lstrip(b'\0'))
        first = window.at(position, 4096)
        _check_start(first, report)
        report.states_length = any(mark in first for mark in LENGTH_MARKS)
        check_chain(window, position, 4, frame_length, report)


def states_length(source: Source) -> bool:
    """Whether the first frame states the number of frames; otherwise the stated duration is an estimate."""
    with source.open(60.0) as file:
        file.seek(tag_length(source))
        first = file.read(4096)
    return any(mark in first for mark in LENGTH_MARKS)


def frame_length(header: bytes) -> int:
    """Size in bytes of the layer III frame with this four-byte header; 0 if it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate in (0, 15) or sampling == 3:
        return 0
    kbits = KBITS[3 if version == 3 else 2][rate - 1]
    slots = 144 if version == 3 else 72
    return slots * kbits * 1000 // SAMPLE_RATES_HZ[version][sampling] + (header[2] >> 1 & 1)


def _check_start(first: bytes, report: ContainerReport) -> None:
    length = frame_length(first[:4])
    if length == 0:
        report.add('start', 'damaged: the file begins in the middle of a frame')
        return
    if any(mark in first[:length] for mark in LENGTH_MARKS):
        return
    # side information follows the header, and the checksum if the protection bit is 0
    side = first[4 if first[1] & 1 else 6 :][:2]
    bits = 9 if first[1] >> 3 & 3 == 3 else 8
    if len(side) == 2 and int.from_bytes(side, 'big') >> (16 - bits):
        report.add('start', 'cut at the start: the first frame needs bits of frames before it')
