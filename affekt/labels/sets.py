"""Closed sets of emotion words as published by corpora, and maps between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError

EKMAN = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise', 'neutral')
"""Six categories of Ekman 1992 (doi:10.1080/02699939208411068) and neutral; the order of every 7-vector in affekt."""

RAVDESS8 = ('neutral', 'calm', 'happy', 'sad', 'angry', 'fearful', 'disgust', 'surprised')
"""The eight acted emotions of RAVDESS, in the order of its file names (doi:10.1371/journal.pone.0196391)."""

GOEMOTIONS = (
    'admiration', 'amusement', 'anger', 'annoyance', 'approval', 'caring', 'confusion', 'curiosity', 'desire',
    'disappointment', 'disapproval', 'disgust', 'embarrassment', 'excitement', 'fear', 'gratitude', 'grief', 'joy',
    'love', 'nervousness', 'optimism', 'pride', 'realization', 'relief', 'remorse', 'sadness', 'surprise', 'neutral',
)  # fmt: skip
"""The 27 emotions and neutral of GoEmotions, in its official order (arXiv:2005.00547)."""

GOEMOTIONS_TO_EKMAN: Mapping[str, str] = {
    'anger': 'anger', 'annoyance': 'anger', 'disapproval': 'anger',
    'disgust': 'disgust',
    'fear': 'fear', 'nervousness': 'fear',
    'joy': 'happiness', 'amusement': 'happiness', 'approval': 'happiness', 'excitement': 'happiness',
    'gratitude': 'happiness', 'love': 'happiness', 'optimism': 'happiness', 'relief': 'happiness', 'pride': 'happiness',
    'admiration': 'happiness', 'desire': 'happiness', 'caring': 'happiness',
    'sadness': 'sadness', 'disappointment': 'sadness', 'embarrassment': 'sadness', 'grief': 'sadness',
    'remorse': 'sadness',
    'surprise': 'surprise', 'realization': 'surprise', 'confusion': 'surprise', 'curiosity': 'surprise',
    'neutral': 'neutral',
}  # fmt: skip
"""The grouping that GoEmotions publishes as its Ekman mapping (arXiv:2005.00547, appendix)."""

RAVDESS8_TO_EKMAN: Mapping[str, str] = {
    'neutral': 'neutral', 'calm': 'neutral', 'happy': 'happiness', 'sad': 'sadness', 'angry': 'anger',
    'fearful': 'fear', 'disgust': 'disgust', 'surprised': 'surprise',
}  # fmt: skip

FER2013_TO_EKMAN: Mapping[str, str] = {
    'angry': 'anger', 'disgust': 'disgust', 'fear': 'fear', 'happy': 'happiness', 'sad': 'sadness',
    'surprise': 'surprise', 'neutral': 'neutral',
}  # fmt: skip

MELD_TO_EKMAN: Mapping[str, str] = {
    'anger': 'anger', 'disgust': 'disgust', 'fear': 'fear', 'joy': 'happiness', 'sadness': 'sadness',
    'surprise': 'surprise', 'neutral': 'neutral',
}  # fmt: skip

LABEL_SETS: Mapping[str, tuple[str, ...]] = {'ekman': EKMAN, 'ravdess8': RAVDESS8, 'goemotions': GOEMOTIONS}
"""Name of a label set to its labels, in order."""


def fold(probabilities: npt.ArrayLike, labels: Sequence[str], mapping: Mapping[str, str]) -> npt.NDArray[np.float64]:
    """Probabilities over `labels` summed into the seven EKMAN categories.

    Args:
        probabilities: (..., K) one value per label in `labels`.
        labels: K names.
        mapping: each of the K names to one of EKMAN.

    Returns:
        (..., 7) sums in EKMAN order; the total is unchanged.

    Raises:
        ShapeError: the last axis is not K.
        UnknownNameError: a label has no entry in `mapping`.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] != len(labels):
        raise ShapeError(
            expected=f'a last axis of {len(labels)}',
            came=f'shape {values.shape}',
            todo='give one value per label',
        )
    missing = [label for label in labels if mapping.get(label) not in EKMAN]
    if missing:
        raise UnknownNameError(
            expected='a map for every label', came=f'none for {missing}', todo='add the missing labels to the map'
        )
    indicator = np.zeros((len(labels), len(EKMAN)))  # (K, 7)
    for row, label in enumerate(labels):
        indicator[row, EKMAN.index(mapping[label])] = 1.0
    return np.asarray(values @ indicator, dtype=np.float64)
