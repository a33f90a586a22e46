"""How people, categories and moments are called in sentences."""

from __future__ import annotations

from affekt.analysis.records import Moment
from affekt.labels import EKMAN
from affekt.wording import clock, stretch

UNSEEN = 'voice'
"""The lane of speech that could be tied to nobody visible."""

UNSEEN_TITLES = ('the voice', 'a voice', 'a voice, face unknown')
"""What the report and sentences call it."""

CATEGORY_WORDS = dict(
    zip(
        EKMAN,
        ('angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'),
        strict=True,
    )
)
SOURCE_WORDS = {'face': 'the face', 'voice': 'the tone of voice', 'words': 'the words'}


def when(moment: Moment) -> str:
    """When a moment is, as 'from 0:12 to 0:18' or 'at 0:20'.

    A change has no length: its span is what it was measured over. All others are told by their span, never by the
    instant in it that is strongest.
    """
    return f'at {clock(moment.time_s)}' if moment.kind == 'change' else stretch(moment.start_s, moment.end_s)


def called(person: str) -> str:
    """A person's name inside a sentence."""
    return 'the voice' if person == UNSEEN else person


def tone(valence: float, arousal: float) -> str:
    """Words for a place on the plane: 'positive and calm', 'negative', 'lively', 'even'."""
    pleasant = '' if abs(valence) < 0.12 else ('positive' if valence > 0 else 'negative')
    degree = 'slightly ' if pleasant and abs(valence) < 0.25 else ''
    stirred = '' if abs(arousal) < 0.15 else ('lively' if arousal > 0 else 'calm')
    parts = [f'{degree}{pleasant}' if pleasant else '', stirred]
    return ' and '.join(part for part in parts if part) or 'even'
