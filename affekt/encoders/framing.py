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
    begins = [begin for begin in range(0, length, CHUNK) if begin == 0 or length - begin >= SHORTEST]
    return list(itertools.pairwise([*begins, length]))


def uniform(count: int, wanted: int) -> Ints:
    """Indices of the frames that the published program selects from `count`: floor(i T / n), n the smaller of both
    numbers; the last one is repeated where there are fewer than wanted.

    >>> uniform(5, 3).tolist(), uniform(3, 5).tolist()
    ([0, 1, 3], [0, 1, 2, 2, 2])
    """
    kept = min(count, wanted)
    taken = np.arange(kept, dtype=np.int64) * count // kept
    return np.concatenate([taken, np.full(wanted - kept, taken[-1])])


def evenly(count: int, wanted: int) -> Ints:
    """As `uniform`, but where there are fewer frames than wanted all are repeated evenly.

    >>> evenly(5, 3).tolist(), evenly(3, 5).tolist()
    ([0, 1, 3], [0, 0, 1, 1, 2])
    """
    return np.arange(wanted, dtype=np.int64) * count // wanted


def stretches(count: int) -> list[Ints]:
    """Indices of the frames that an exported VideoMAE reads for one row per sample: two windows.

    >>> [taken[[0, -1]].tolist() for taken in stretches(100)], stretches(9)[0].tolist()[:5]
    ([[0, 60], [36, 96]], [0, 4, 8, 8, 8])
    """
    taken = np.arange(0, count, STRIDE)
    taken = np.concatenate([taken, np.full(max(TUBE - len(taken), 0), taken[-1])])
    return [taken[:TUBE], taken[-TUBE:]]


def around(count: int, at: int) -> Ints:
    """Indices of the frames that an exported VideoMAE reads for frame `at`.

    >>> [around(40, at)[[0, -1]].tolist() for at in (3, 20, 35)], around(5, 4).tolist()[:7]
    ([[0, 15], [12, 27], [23, 38]], [0, 1, 2, 3, 4, 4, 4])
    """
    begin = 0 if at < 10 else count - TUBE - 1 if at > count - 10 else at - TUBE // 2
    return np.clip(np.arange(max(begin, 0), max(begin, 0) + TUBE), 0, count - 1)
