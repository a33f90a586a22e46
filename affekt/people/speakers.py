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
"""Minimum mean cosine similarity of two groups that are joined."""
APART = 0.60
"""Maximum mean cosine similarity between the turns of two speakers."""
MARGIN = 0.06
"""Minimum lead in similarity of a turn's own speaker over the next."""
LEAST_TURNS = 3
"""Minimum number of turns of a speaker."""
LEAST_S = 5.0
"""Minimum total length of a speaker's turns in seconds."""
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
    order = {number: f'speaker {index}' for index, number in enumerate(dict.fromkeys(n for n in numbers if n >= 0), 1)}
    return [order.get(number, '') for number in numbers]


def grouped(
    vectors: Floats, seconds: Floats, join: float = JOIN, apart: float = APART, margin: float = MARGIN
) -> list[int]:
    """The index of each turn's speaker, -1 if uncertain; steps 1 to 4 above.

    Args:
        vectors: (N, D) unit vectors, zeros where there was no usable audio.
        seconds: (N,) length of each turn.
        join: see JOIN.
        apart: see APART.
        margin: see MARGIN.
    """
    unknown = [-1] * len(vectors)
    audible = np.linalg.norm(vectors, axis=1) > 0.5
    turn_indices = np.flatnonzero(audible & (seconds >= LEAST_TURN_S))
    turn_indices = np.sort(turn_indices[np.argsort(-seconds[turn_indices], kind='stable')[:MOST_TURNS]])
    if len(turn_indices) < LEAST_TOLD_APART:
        return unknown
    groups = _linked(vectors[turn_indices] @ vectors[turn_indices].T, 1 - join)
    speakers = [turn_indices[groups == number] for number in range(groups.max() + 1)]
    speakers = [turns for turns in speakers if len(turns) >= LEAST_TURNS and seconds[turns].sum() >= LEAST_S]
    if len(speakers) < 2:
        return unknown
    means = [vectors[turns].mean(axis=0) for turns in speakers]
    if any(float(first @ second) > apart for first, second in combinations(means, 2)):
        return unknown
    numbers = np.full(len(vectors), -1)
    for number, turns in enumerate(speakers):
        # Mean similarity of each turn to the others of its speaker, and to those of the most similar other speaker.
        inside = (vectors[turns] @ means[number] * len(turns) - 1) / (len(turns) - 1)
        outside = np.max([vectors[turns] @ mean for other, mean in enumerate(means) if other != number], axis=0)
        numbers[turns[inside - outside >= margin]] = number
    return [int(number) for number in numbers]


def _linked(similarity: Floats, distance: float) -> np.ndarray:
    """(N,) group of each turn, from 0, by average linkage of the (N, N) similarities, cut at a cosine distance."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distances = np.clip(1 - similarity, 0, 2)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform((distances + distances.T) / 2, checks=False), 'average')
    return np.asarray(fcluster(tree, distance, 'distance'), dtype=np.int64) - 1
