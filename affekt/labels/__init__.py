"""Words for emotions: closed label sets and maps between them, open-vocabulary labels and the wheels that group them.

A label set is a tuple of words in a fixed order; every probability array in affekt states its set. `read_labels`
extracts open-vocabulary labels from a text, and a `WordTable` folds them: from form to base to wheel to sector. Read
`sets.py` first, then `circumplex.py`; for open-vocabulary labels `words.py`, then `wheels.py`.
"""

from affekt.labels.answer_files import read_answers
from affekt.labels.circumplex import CIRCUMPLEX, affect_sd, certainty, coordinates, expected_affect
from affekt.labels.ekman_names import EKMAN_NAMES, ekman_of
from affekt.labels.everyday_words import words_of
from affekt.labels.official_tables import TABLE_NAMES, load_table
from affekt.labels.prose import Lexicon, labels_in_prose
from affekt.labels.refusals import is_nonsense, is_refusal, without_refusals
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
from affekt.labels.thinking import FinalAnswer, count_thinking, final_texts, note_thinking, without_thinking
from affekt.labels.wheels import NEUTRAL, Sense, Wheel, Word, WordTable, read_table
from affekt.labels.words import Answer, official_clean, official_groups, official_labels, read_labels

__all__ = [
    'CIRCUMPLEX',
    'EKMAN',
    'EKMAN_NAMES',
    'FER2013_TO_EKMAN',
    'GOEMOTIONS',
    'GOEMOTIONS_TO_EKMAN',
    'LABEL_SETS',
    'MELD_TO_EKMAN',
    'NEUTRAL',
    'RAVDESS8',
    'RAVDESS8_TO_EKMAN',
    'TABLE_NAMES',
    'Answer',
    'FinalAnswer',
    'Lexicon',
    'Sense',
    'Wheel',
    'Word',
    'WordTable',
    'affect_sd',
    'certainty',
    'coordinates',
    'count_thinking',
    'ekman_of',
    'expected_affect',
    'final_texts',
    'fold',
    'is_nonsense',
    'is_refusal',
    'labels_in_prose',
    'load_table',
    'note_thinking',
    'official_clean',
    'official_groups',
    'official_labels',
    'read_answers',
    'read_labels',
    'read_table',
    'without_refusals',
    'without_thinking',
    'words_of',
]
