"""Windows of audio and selections of frames that a network reads at once, as published and without distortion.

Audio samples are at 16 kHz; frames are given by their index.
"""

from __future__ import annotations

import itertools

import numpy as np

from affekt.arrays import Ints

RATE_HZ = 16_000
CHUNK = 10 * RATE_HZ
"""Samples per chunk."""
SHORTEST = RATE_HZ
"""Number of samples below which a last chunk is merged with the previous one."""
PICTURES_AT_ONCE = 32
"""Images per forward pass, as published."""
TUBE, STRIDE = 16, 4
"""Frames that an exported VideoMAE reads, and the step between them."""


def chunks(length: int) -> list[tuple[int, int]]:
    """Starts and ends of the chunks of an audio, without padding.

    >>> chunks(25 * 16000), chunks(10 * 16000 + 5)
    ([(0, 160000), (160000, 320000), (320000, 400000)], [(0, 160005)])
    """
    starts = [start for start in range(0, length, CHUNK) if start == 0 or length - start >= SHORTEST]
    return list(itertools.pairwise([*starts, length]))


def uniform(count: int, target: int) -> Ints:
    """Indices of the frames that the published program selects from `count`.

        floor(i count / n) for i < n, the smaller of `count` and `target`; then the last of these up to `target`

    >>> uniform(5, 3).tolist(), uniform(3, 5).tolist()
    ([0, 1, 3], [0, 1, 2, 2, 2])
    """
    distinct = min(count, target)
    indices = np.arange(distinct, dtype=np.int64) * count // distinct
    return np.concatenate([indices, np.full(target - distinct, indices[-1])])


def evenly(count: int, target: int) -> Ints:
    """As `uniform`, but where there are fewer frames than `target` all are repeated evenly.

    >>> evenly(5, 3).tolist(), evenly(3, 5).tolist()
    ([0, 1, 3], [0, 0, 1, 1, 2])
    """
    return np.arange(target, dtype=np.int64) * count // target


def two_windows(count: int) -> list[Ints]:
    """Indices of the frames that an exported VideoMAE reads for one row per sample: two windows.

    >>> [window[[0, -1]].tolist() for window in two_windows(100)], two_windows(9)[0].tolist()[:5]
    ([[0, 60], [36, 96]], [0, 4, 8, 8, 8])
    """
    indices = np.arange(0, count, STRIDE)
    indices = np.concatenate([indices, np.full(max(TUBE - len(indices), 0), indices[-1])])
    return [indices[:TUBE], indices[-TUBE:]]


def around(count: int, frame: int) -> Ints:
    """Indices of the frames that an exported VideoMAE reads for one frame.

    The first 16 for the first ten frames, the 16 before the last for the last nine, else from 8 before the frame.

    >>> [around(40, frame)[[0, -1]].tolist() for frame in (3, 20, 35)], around(5, 4).tolist()[:7]
    ([[0, 15], [12, 27], [23, 38]], [0, 1, 2, 3, 4, 4, 4])
    """
    start = 0 if frame < 10 else count - TUBE - 1 if frame > count - 10 else frame - TUBE // 2
    return np.clip(np.arange(max(start, 0), max(start, 0) + TUBE), 0, count - 1)
