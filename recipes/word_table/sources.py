"""The hand-written files of the word table, read and checked.

`groups.tsv`: sector, concept (the middle ring), group, its valence and arousal, and the wheel word that is
nearest to it in meaning on each of the five published wheels ('-' where a wheel has nothing for it).
`words.tsv`: group, intensity, and words: `base = form, form; base; …`.
`values.tsv`: valence and arousal that are not derived (norms, and words placed between norms).
`places.tsv`: words that a published wheel places elsewhere than the rest of their group, with a reason.
`excluded.tsv`: forms and synonyms that look right and are wrong, with a reason.
`wheels.tsv`: the trees of the five published wheels.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
WHEELS = ('wheel1', 'wheel2', 'wheel3', 'wheel4', 'wheel5')
SECTORS = (
    'surprise', 'interest', 'pride', 'joy', 'affection', 'calm', 'weariness', 'sadness', 'shame', 'disgust', 'anger',
    'doubt', 'fear',
)  # fmt: skip
"""Once round the plane, clockwise from high arousal; `neutral` is no part of the ring."""
NEIGHBOURS = (
    ('surprise', 'interest'), ('interest', 'pride'), ('pride', 'joy'), ('joy', 'affection'), ('affection', 'calm'),
    ('weariness', 'sadness'), ('sadness', 'shame'), ('shame', 'disgust'), ('disgust', 'anger'), ('anger', 'doubt'),
    ('doubt', 'fear'),
)  # fmt: skip
"""Adjacent in SECTORS and of one sign of valence: calm and weariness, fear and surprise meet but do not agree."""


@dataclass(frozen=True)
class Group:
    """Words that mean nearly the same."""

    name: str
    concept: str
    sector: str
    valence: float
    arousal: float
    places: tuple[str, ...]
    """A wheel word per published wheel, '' where there is none."""


@dataclass(frozen=True)
class Entry:
    """A base word as written by hand, or found in WordNet."""

    base: str
    group: str
    intensity: float
    written: tuple[str, ...] = ()
    origin: str = 'group'


@dataclass(frozen=True)
class Wheel:
    """A published wheel: each word's sector, and its word of the middle ring."""

    name: str
    inner: dict[str, str]
    middle: dict[str, str]
    twice: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Words that the wheel gives in several places, with their sectors in the order of the file."""


MIDDLE_OF_INNER = {
    'wheel1': {'mad': 'anger', 'disgusted': 'grossed out', 'sad': 'depressed', 'happy': 'joyful',
               'surprised': 'amazed', 'scared': 'fearful'},
    'wheel2': {'fearful': 'scared', 'angry': 'mad', 'disgusted': 'repelled', 'sad': 'depressed',
               'surprised': 'amazed', 'happy': 'content', 'bad': 'stressed'},
    'wheel3': {'mad': 'angry', 'scared': 'anxious', 'joyful': 'cheerful', 'powerful': 'important',
               'peaceful': 'content', 'sad': 'depressed'},
    'wheel4': {'joy': 'connected', 'genius': 'creative', 'anger': 'mad', 'sad': 'disappointed', 'fear': 'threatened',
               'disgust': 'pity'},
    'wheel5': {'mad': 'angry', 'scared': 'anxious', 'sad': 'depressed', 'peaceful': 'content',
               'powerful': 'important', 'joyful': 'playful'},
}  # fmt: skip
"""The middle word nearest in meaning to each inner word: the wheels themselves give none."""


def rows_of(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))


def read_groups() -> dict[str, Group]:
    groups = {}
    for row in rows_of('groups.tsv'):
        places = tuple('' if row[wheel] == '-' else row[wheel] for wheel in WHEELS)
        groups[row['group']] = Group(
            row['group'], row['concept'], row['sector'], float(row['valence']), float(row['arousal']), places
        )
    return groups


def read_entries() -> list[Entry]:
    entries = []
    for row in rows_of('words.tsv'):
        for text in row['words'].split(';'):
            base, _, forms = text.strip().partition(' = ')
            written = tuple(dict.fromkeys(form.strip() for form in forms.split(',') if form.strip()))
            entries.append(Entry(base, row['group'], float(row['intensity']), written))
    return entries


def read_values() -> dict[str, tuple[float, float, str]]:
    """Word to valence, arousal, origin."""
    return {row['word']: (float(row['valence']), float(row['arousal']), row['origin']) for row in rows_of('values.tsv')}


def read_places() -> dict[str, dict[str, str]]:
    """Word to wheel to wheel word, '' for unplaced."""
    places: dict[str, dict[str, str]] = {}
    for row in rows_of('places.tsv'):
        places.setdefault(row['word'], {})[row['wheel']] = '' if row['place'] == '-' else row['place']
    return places


def read_excluded() -> set[str]:
    return {row['word'] for row in rows_of('excluded.tsv')}


def read_wheels() -> list[Wheel]:
    """The five wheels; of a word in two places the last one holds, as in the code that the wheels were published with.

    The four such words of wheel 2 (disappointed, overwhelmed, inferior, embarrassed) lie there at hurt, stressed,
    depressed and hurt, which is nearest to what they mean when they stand alone.
    """
    wheels = []
    for name in WHEELS:
        inner: dict[str, str] = {}
        middle: dict[str, str] = {}
        seen: dict[str, list[str]] = {}
        for row in (row for row in rows_of('wheels.tsv') if row['wheel'] == name):
            outer = [word.strip() for word in row['outer'].split(';')]
            for word in dict.fromkeys([row['middle'], *outer]):
                seen.setdefault(word, []).append(row['inner'])
                inner[word], middle[word] = row['inner'], row['middle']
            inner[row['inner']] = row['inner']
        middle.update(MIDDLE_OF_INNER[name])
        inner['neutral'] = middle['neutral'] = 'neutral'
        wheels.append(Wheel(name, inner, middle, {w: tuple(s) for w, s in seen.items() if len(s) > 1}))
    return wheels
