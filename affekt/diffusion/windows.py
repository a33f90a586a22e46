"""Windows of frames that a network sees at once, and how their predictions are combined."""

from __future__ import annotations

import math

from affekt.errors import ValueRangeError

FRAMES, OVERLAP = 12, 1
"""Frames of a window, and frames that neighbouring windows share, as published."""


def windows(
    frames: int, size: int = FRAMES, overlap: int = OVERLAP, *, is_closed: bool = False, spreads: int = 1
) -> list[list[int]]:
    """The frames of each window; every frame is in at least one.

    An open video's last window ends with its last frame. A closed one continues into the first frames, as in the
    published code, which mixes the end of a video with its start.

        windows(13, 12, 1) is [0 … 11], [1 … 12]; closed it is [0 … 11], [11, 12, 0 … 9]

    Args:
        frames: number of frames of the video.
        size: frames of a window.
        overlap: frames that neighbouring windows share, less than the size.
        is_closed: the video is a loop.
        spreads: in a closed video, also windows of every 2nd, 4th, … frame: this many spacings in total, as far as the
            video is long enough.

    Raises:
        ValueRangeError: no frames, or an overlap that leaves no step forward.
    """
    if frames < 1 or size < 1 or not 0 <= overlap < size:
        raise ValueRangeError(
            expected='frames, and an overlap from 0 to less than the window', todo='use 12 and 1',
            came=f'{frames} frames, windows of {size} with an overlap of {overlap}',
        )  # fmt: skip
    if frames <= size:
        return [list(range(frames))]
    if is_closed:
        count = min(spreads, math.ceil(math.log2(frames / size)) + 1)
        return [
            [frame % frames for frame in range(start, start + size * spacing, spacing)]
            for spacing in (1 << power for power in range(count))
            for start in range(0, frames, size * spacing - overlap)
        ]
    starts = [*range(0, frames - size, size - overlap), frames - size]
    return [list(range(start, start + size)) for start in starts]
