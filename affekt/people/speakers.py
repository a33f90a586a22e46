"""Speaker diarisation by voice, where nobody is seen: turns grouped by similarity, or left unknown.

One person in several moods may sound less alike than two people in one mood. Therefore speakers
are named only if at least two are certain, and every uncertain turn stays unknown:
1. Turns are joined while the mean similarity of two groups is at least JOIN (average linkage).
2. A group with LEAST_TURNS turns and LEAST_S seconds is a speaker; turns outside speakers stay unknown.
3. If two speakers are more similar than APART, or there is only one, no speakers are named.
4. A turn is unknown unless it is more similar to its own speaker's other turns than to the next speaker's, by MARGIN.

The constants were chosen on Polish dialogues made of nEMO's clips and tested on English ones of RAVDESS's
(measurements/speakers.py).

Source: Han, Kumar & Garg 2021, arXiv:2102.10018, section 2 (agglomerative clustering of turns by speaker embeddings).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.wording import number_word, opened

JOIN = 0.69
APART = 0.60
MARGIN = 0.06
LEAST_TURNS = 3
LEAST_S = 5.0
LEAST_TURN_S = 0.7
"""Minimum length in seconds of a turn that is grouped."""
LEAST_TOLD_APART = 2 * LEAST_TURNS
"""Minimum number of turns for naming speakers."""
MOST_TURNS = 2000
"""Maximum number of turns that are grouped, the longest first."""


def speakers_heard(network: Any, blocks: Iterable[Any], spans: Sequence[tuple[float, float]]) -> list[str]:
    """The speaker of each turn of a recording; see `speakers_by_voice`.

    Args:
        network: a `SpeakerIdentity`.
        blocks: the recording's audio at 16 kHz, in order.
        spans: (start_s, end_s) of each turn, by start.
    """
    from affekt.voice import speaker_vectors

    return speakers_by_voice(speaker_vectors(network, blocks, spans), [end - start for start, end in spans])


def speakers_sentence(names: Sequence[str]) -> str:
    """A sentence with the number of speakers and of unknown turns; '' if no speakers were named.

    >>> speakers_sentence(['speaker 1', '', 'speaker 2', 'speaker 1'])
    'Two speakers were told apart by voice; 1 of 4 turns is of an unknown speaker.'
    """
    count, unknown = len({*names} - {''}), list(names).count('')
    if not count:
        return ''
    counted = f'{opened(number_word(count))} speakers were told apart by voice'
    are = 'is' if unknown == 1 else 'are'
    return f'{counted}; {unknown} of {len(names)} turns {are} of an unknown speaker.' if unknown else f'{counted}.'


def speakers_by_voice(vectors: Floats32, seconds: Sequence[float]) -> list[str]:
    """The speaker of each turn, as 'speaker 1', 'speaker 2', … in order of appearance; '' if uncertain.

    Args:
        vectors: (N, D) unit vectors, one per turn; zeros where there was no usable audio.
        seconds: (N,) length of each turn.

    Returns:
        N names; all '' if fewer than two speakers are certain.
    """
    numbers = grouped(np.asarray(vectors, dtype=np.float64), np.asarray(seconds, dtype=np.float64))
    order = {number: f'speaker {place}' for place, number in enumerate(dict.fromkeys(n for n in numbers if n >= 0), 1)}
    return [order.get(number, '') for number in numbers]


def grouped(
    vectors: Floats, seconds: Floats, join: float = JOIN, apart: float = APART, margin: float = MARGIN
) -> list[int]:
    """The index of each turn's speaker, -1 if uncertain; see the module docstring."""
    nobody = [-1] * len(vectors)
    audible = np.linalg.norm(vectors, axis=1) > 0.5
    long = np.flatnonzero(audible & (seconds >= LEAST_TURN_S))
    long = np.sort(long[np.argsort(-seconds[long], kind='stable')[:MOST_TURNS]])
    if len(long) < LEAST_TOLD_APART:
        return nobody
    groups = _linked(vectors[long] @ vectors[long].T, 1 - join)
    speakers = [long[groups == number] for number in range(groups.max() + 1)]
    speakers = [own for own in speakers if len(own) >= LEAST_TURNS and seconds[own].sum() >= LEAST_S]
    if len(speakers) < 2:
        return nobody
    means = [vectors[own].mean(axis=0) for own in speakers]
    if any(float(first @ second) > apart for first, second in combinations(means, 2)):
        return nobody
    numbers = np.full(len(vectors), -1)
    for number, own in enumerate(speakers):
        # Mean similarity of each turn to the others of its speaker, and to those of the most similar other speaker.
        inside = (vectors[own] @ means[number] * len(own) - 1) / (len(own) - 1)
        outside = np.max([vectors[own] @ mean for other, mean in enumerate(means) if other != number], axis=0)
        numbers[own[inside - outside >= margin]] = number
    return [int(number) for number in numbers]


def _linked(alike: Floats, distance: float) -> np.ndarray:
    """Group number of each turn, from 0: average linkage, cut at a distance."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    apart = np.clip(1 - alike, 0, 2)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), 'average')
    return np.asarray(fcluster(tree, distance, 'distance'), dtype=np.int64) - 1
