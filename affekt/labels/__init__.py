"""Closed label sets and maps between them, and the plane of valence and arousal.

A label set is a tuple of words in a fixed order; every probability array in affekt names its set. Read `sets.py` first,
then `circumplex.py`.
"""

from affekt.labels.circumplex import CIRCUMPLEX, coordinates
from affekt.labels.sets import (
    EKMAN,
    FER2013_TO_EKMAN,
    GOEMOTIONS,
    GOEMOTIONS_TO_EKMAN,
    LABEL_SETS,
    MELD_TO_EKMAN,
    RAVDESS8,
    RAVDESS8_TO_EKMAN,
    fold,
)

__all__ = [
    'CIRCUMPLEX',
    'EKMAN',
    'FER2013_TO_EKMAN',
    'GOEMOTIONS',
    'GOEMOTIONS_TO_EKMAN',
    'LABEL_SETS',
    'MELD_TO_EKMAN',
    'RAVDESS8',
    'RAVDESS8_TO_EKMAN',
    'coordinates',
    'fold',
]
