"""How times, numbers and names read in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from affekt.labels import EKMAN

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


def clock(time_s: float) -> str:
    """Seconds as 0:07, 12:30 or 1:02:03; fractions are cut off."""
    whole = int(max(0.0, time_s) + 1e-6)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'


def stretch(start_s: float, end_s: float) -> str:
    """A span as 'from 0:07 to 0:12', or 'at 0:07' where both read the same."""
    first, last = clock(start_s), clock(end_s)
    return f'at {first}' if first == last else f'from {first} to {last}'


def length(seconds: float) -> str:
    """A length in words: '0.4 seconds', '12 seconds', '3 minutes', '1 hour and 5 minutes'."""
    if seconds < 9.95:
        text = f'{seconds:.1f}'.removesuffix('.0')
        return '1 second' if text == '1' else f'{text} seconds'
    if seconds < 119.5:
        return f'{round(seconds)} seconds'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} minutes'
    hours, rest = divmod(minutes, 60)
    text = '1 hour' if hours == 1 else f'{hours} hours'
    return text if not rest else f'{text} and {rest} minute{"s" if rest > 1 else ""}'


def signed(value: float) -> str:
    """A dimension with its sign and two digits: '+0.31', '−0.20', '0.00'."""
    rounded = round(value, 2)
    return '0.00' if rounded == 0 else f'{rounded:+.2f}'.replace('-', '−')


def listed(words: Sequence[str], last: str = 'and') -> str:
    """'a', 'a and b', 'a, b and c'."""
    if len(words) < 2:
        return ''.join(words)
    return f'{", ".join(words[:-1])} {last} {words[-1]}'


def called(person: str) -> str:
    """A person's name inside a sentence."""
    return 'the voice' if person == UNSEEN else person


def opened(text: str) -> str:
    """The text with its first letter in capitals."""
    return text[:1].upper() + text[1:]


def tone(valence: float, arousal: float) -> str:
    """Words for a place on the plane: 'positive and calm', 'negative', 'lively', 'even'."""
    pleasant = '' if abs(valence) < 0.12 else ('positive' if valence > 0 else 'negative')
    degree = 'slightly ' if pleasant and abs(valence) < 0.25 else ''
    stirred = '' if abs(arousal) < 0.15 else ('lively' if arousal > 0 else 'calm')
    parts = [f'{degree}{pleasant}' if pleasant else '', stirred]
    return ' and '.join(part for part in parts if part) or 'even'
