"""Names of the seven EKMAN categories in corpora: nouns, adjectives and the short forms in file names.

Only names that unambiguously mean one of the seven are included; *boredom*, *contempt*, *frustration* and *amusement*
are not, and are not mapped to one.
"""

from __future__ import annotations

from collections.abc import Mapping

from affekt.labels.sets import EKMAN, FER2013_TO_EKMAN, MELD_TO_EKMAN, RAVDESS8_TO_EKMAN

EKMAN_NAMES: Mapping[str, str] = {
    **{category: category for category in EKMAN},
    **RAVDESS8_TO_EKMAN,
    **FER2013_TO_EKMAN,
    **MELD_TO_EKMAN,
    'ang': 'anger', 'rage': 'anger', 'furious': 'anger', 'hot anger': 'anger', 'cold anger': 'anger',
    'dis': 'disgust', 'disgusted': 'disgust',
    'fea': 'fear', 'afraid': 'fear', 'scared': 'fear', 'anxiety fear': 'fear', 'fear anxiety': 'fear',
    'hap': 'happiness', 'joyful': 'happiness', 'gladness': 'happiness',
    'sorrow': 'sadness',
    'sur': 'surprise', 'pleasant surprise': 'surprise', 'pleasant surprised': 'surprise', 'ps': 'surprise',
    'neu': 'neutral', 'neutral state': 'neutral', 'calmness': 'neutral',
}  # fmt: skip
"""Name in lower case, with single spaces in place of punctuation, to its category."""


def ekman_of(name: str) -> str | None:
    """The EKMAN category that a corpus's name means; None if it means none of them.

    >>> ekman_of('Angry'), ekman_of('calm'), ekman_of('pleasant_surprise'), ekman_of('boredom')
    ('anger', 'neutral', 'surprise', None)
    """
    words = name.strip().casefold().replace('_', ' ').replace('-', ' ').replace('/', ' ').split()
    return EKMAN_NAMES.get(' '.join(words))
