"""Which stretches of a sound and which pictures of a clip a network sees at once: as published, and without distortion.

Samples of sound are at 16 kHz; pictures are told by their number.
"""

from __future__ import annotations

import itertools

import numpy as np

from affekt.arrays import Ints

RATE_HZ = 16_000
CHUNK = 10 * RATE_HZ
"""Samples of a chunk."""
SHORTEST = RATE_HZ
"""Samples below which a last chunk is run together with the one before."""
PICTURES_AT_ONCE = 32
"""Pictures in one run of a network, as published."""
TUBE, STRIDE = 16, 4
"""Pictures that an exported VideoMAE sees, and of how many one is taken."""


def chunks(length: int) -> list[tuple[int, int]]:
    """Where chunks of a sound begin and end, none padded.

    >>> chunks(25 * 16000), chunks(10 * 16000 + 5)
    ([(0, 160000), (160000, 320000), (320000, 400000)], [(0, 160005)])
    """
    begins = [begin for begin in range(0, length, CHUNK) if begin == 0 or length - begin >= SHORTEST]
    return list(itertools.pairwise([*begins, length]))


def uniform(count: int, wanted: int) -> Ints:
    """Which of `count` pictures the published program takes: floor(i T / n), n the smaller of both, the last one again
    where there are fewer than wanted.

    >>> uniform(5, 3).tolist(), uniform(3, 5).tolist()
    ([0, 1, 3], [0, 1, 2, 2, 2])
    """
    kept = min(count, wanted)
    taken = np.arange(kept, dtype=np.int64) * count // kept
    return np.concatenate([taken, np.full(wanted - kept, taken[-1])])


def evenly(count: int, wanted: int) -> Ints:
    """As `uniform`, but where there are fewer pictures than wanted all of them are repeated alike.

    >>> evenly(5, 3).tolist(), evenly(3, 5).tolist()
    ([0, 1, 3], [0, 0, 1, 1, 2])
    """
    return np.arange(wanted, dtype=np.int64) * count // wanted


def stretches(count: int) -> list[Ints]:
    """Which of `count` pictures an exported VideoMAE sees for one row a sample, twice.

    >>> [taken[[0, -1]].tolist() for taken in stretches(100)], stretches(9)[0].tolist()[:5]
    ([[0, 60], [36, 96]], [0, 4, 8, 8, 8])
    """
    taken = np.arange(0, count, STRIDE)
    taken = np.concatenate([taken, np.full(max(TUBE - len(taken), 0), taken[-1])])
    return [taken[:TUBE], taken[-TUBE:]]


def around(count: int, at: int) -> Ints:
    """Which of `count` pictures an exported VideoMAE sees for picture `at`.

    >>> [around(40, at)[[0, -1]].tolist() for at in (3, 20, 35)], around(5, 4).tolist()[:7]
    ([[0, 15], [12, 27], [23, 38]], [0, 1, 2, 3, 4, 4, 4])
    """
    begin = 0 if at < 10 else count - TUBE - 1 if at > count - 10 else at - TUBE // 2
    return np.clip(np.arange(max(begin, 0), max(begin, 0) + TUBE), 0, count - 1)
