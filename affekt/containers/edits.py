"""Edit lists of mp4 files: a track may store more than it plays.

Phones trim videos in this way, and encoders hide their delay; a damaged movie clock has the same effect by accident.
The parts left out are in the file but not read, which is reported.

Source: ISO/IEC 14496-12, sections 8.2.2, 8.4.2 and 8.6.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from affekt.containers.boxes import Box, inside, versioned_number
from affekt.containers.losses import ContainerReport
from affekt.containers.window import Window

LEAST_S = 0.5
"""Least duration left out, in seconds, that is reported; encoder delay is shorter."""
LEAST_SHARE = 0.05
"""Least share of a track left out that is reported."""
MOST_EDITS = 10_000
"""Maximum number of edits read."""
NOTHING = frozenset((0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))
"""Media times of an edit that plays nothing: a pause."""


def remark_edits(window: Window, chain: list[Box], report: ContainerReport) -> None:
    """Add a remark on each track whose edit list plays less than it stores."""
    movies = [(box.body, box.end) for box in chain if box.name == b'moov'][:1]
    clock = next((versioned_number(window, body, (20, 4), (12, 4)) for body, _ in inside(window, movies, b'mvhd')), 0)
    if not clock:
        return
    for number, track in enumerate(inside(window, movies, b'trak'), 1):
        stored_s = _stored(window, track)
        played = [length for span in inside(window, [track], b'edts', b'elst') for length in _played(window, *span)]
        left_out_s = stored_s - sum(played) / clock
        if played and all(played) and left_out_s > max(LEAST_S, LEAST_SHARE * stored_s):
            report.remarks.append(
                f'the edit list of track {number} plays {stored_s - left_out_s:.2f} of the {stored_s:.2f} s that the '
                'track stores; the rest is not read'
            )


def _stored(window: Window, track: tuple[int, int]) -> float:
    """Duration of the whole track in seconds; 0 where it is not stated."""
    for body, _ in inside(window, [track], b'mdia', b'mdhd'):
        scale = versioned_number(window, body, (20, 4), (12, 4))
        length = versioned_number(window, body, (24, 8), (16, 4))
        if scale and length not in NOTHING:
            return length / scale
    return 0.0


def _played(window: Window, start: int, end: int) -> Iterator[int]:
    """Duration of each edit that plays media, in ticks of the movie; 0 for one that plays to the end."""
    width = 8 if window.at(start, 1) == b'\x01' else 4
    row = 2 * width + 4
    count = min(window.number(start + 4, 4), max(0, end - start - 8) // row, MOST_EDITS)
    for position in range(start + 8, start + 8 + count * row, row):
        if window.number(position + width, width) in NOTHING:
            continue
        yield window.number(position, width)
