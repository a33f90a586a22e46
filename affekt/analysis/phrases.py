"""Wording of people, categories, courses, tones and moments.

All sentences qualify a word by its certainty on one scale: below LEAST_TOLD nothing is named, below CLEAR it is
*perhaps*. A tone is named only where its interval allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affekt.analysis.records import UNCLEAR, Moment, OpenLabel, Person, Stretch
from affekt.labels import EKMAN
from affekt.wording import clock, listed, stretch

Interval = tuple[float, float, float]
"""Mean, low, high."""

UNSEEN = 'voice'
"""The lane of speech that could not be assigned to anybody visible."""

UNSEEN_TITLES = ('the voice', 'a voice', 'a voice, face unknown', 'unknown speaker')
"""Names of that lane in the report and in sentences."""

CATEGORY_WORDS = dict(
    zip(
        EKMAN,
        ('angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'),
        strict=True,
    )
)
SOURCE_WORDS = {'face': 'the face', 'voice': 'the tone of voice', 'words': 'the words'}
REASON_WORDS = {'unsure': UNCLEAR, 'unread': 'not read', 'contradiction': 'contradictory', 'mixed': 'mixed'}
"""Adjectives for the reasons why a stretch has no label."""

LEAST_TOLD = 0.35
"""Minimum certainty of a word; below it the fused categories abstain."""
CLEAR = 0.5
"""Words less certain than this get 'perhaps': something else is as likely."""
MOST_STRETCHES = 4
"""A course of more stretches is summarised: mostly one label, with stretches of others."""
MOST_OTHERS = 2
"""Maximum number of other labels in such a summary."""

TONE_WORDS = {'valence': ('negative', 'positive', 'neutral', 'even'), 'arousal': ('calm', 'lively', 'even')}
"""The words of a tone by the dimension that decides them."""
TONE_LEAST = {'valence': 0.12, 'arousal': 0.15}
"""Minimum distance of a mean from 0 to be a tone."""
SLIGHT = 0.25
"""Valence closer to 0 than this is slight."""
TURN_LEAST = 0.2
"""Minimum difference of valence or arousal between start and end for a change of tone."""
PROBABLE = 1.2816 / 1.9600
"""Share of the half-width of a 95 % interval beyond which a mean has its sign with 90 %: 'probably lively'."""
MIDDLE = 0.5
"""An interval within this distance from 0 is a neutral or even tone; with a wider one the tone is unknown."""
MOST_PEOPLE = 3
"""Maximum number of people with sentences of their own."""
LEAST_PERSON_S = 1.0
"""Minimum time, in seconds, a person must be seen or heard to get sentences, unless there is nobody else."""


def when(moment: Moment) -> str:
    """The time of a moment: 'from 0:12 to 0:18' or 'at 0:20'.

    A change has no length: its span is what it was measured over. For all others the span is given, not the strongest
    instant in it.
    """
    return f'at {clock(moment.time_s)}' if moment.kind == 'change' else stretch(moment.start_s, moment.end_s)


def called(person: str) -> str:
    """A person's name within a sentence."""
    return 'the voice' if person == UNSEEN else person


def told_people(people: Sequence[Person]) -> list[Person]:
    """The people with sentences of their own, in the same order.

    Args:
        people: sorted by time seen and heard.
    """
    long_enough = [person for person in people if person.seen_s + person.heard_s >= LEAST_PERSON_S]
    return (long_enough or list(people))[:MOST_PEOPLE]


def named(word: str, certainty: float) -> str:
    """A word qualified by its certainty: 'happy', 'perhaps happy', or 'unclear'.

    >>> named('happy', 0.8), named('happy', 0.4), named('happy', 0.2)
    ('happy', 'perhaps happy', 'unclear')
    """
    if not certainty >= LEAST_TOLD:
        return UNCLEAR
    return word if certainty >= CLEAR else f'perhaps {word}'


def sure(certainty: float) -> str:
    """A certainty in [0, 1] in words: '72 % sure'."""
    return f'{round(100 * certainty)} % sure'


@dataclass(frozen=True)
class ToldStretch:
    """One part of a course in words: 'perhaps sad', 'until 0:06', 0.42; the certainty is None where it is unclear."""

    word: str
    times: str
    certainty: float | None

    def __str__(self) -> str:
        text = f'{self.word} {self.times}'.rstrip()
        return text if self.certainty is None else f'{text} ({sure(self.certainty)})'


def told_course(course: Sequence[Stretch]) -> tuple[ToldStretch, ...]:
    """The parts of a course in words, in order: at most MOST_STRETCHES; else the main label, then others.

    Args:
        course: of one person, sorted by time.
    """
    joined = _joined(course)
    if len(joined) > MOST_STRETCHES:
        return _summed_up(joined)
    return tuple(
        ToldStretch(_word_of(part), _times_of(joined, index), part.certainty) for index, part in enumerate(joined)
    )


def headline(person: Person, labels: Sequence[OpenLabel]) -> str:
    """How a person comes across, as a clause that follows the course: 'person 1 comes across as sad until 0:06 (54 %
    sure), unclear, happy from 0:10 (79 % sure)'; '' if nothing was measured.

    A course that stays the same is put into open words.

    Args:
        person: with a course.
        labels: of the analysis.
    """
    subject, verb = called(person.name), 'comes across as' if person.seen_s > 0 else 'sounds'
    parts = told_course(person.course)
    if len(parts) == 1 and person.course[0].label == UNCLEAR:
        return _unclear_throughout(person)
    if words := told_words(person, labels):
        return f'{subject} {verb} {_sure_words(words)}'
    if not parts:
        return ''
    first, *later = parts
    if first.word in REASON_WORDS.values() and first.times and later:
        clause = ', '.join(map(str, later))
        return f'{subject} is {first}, then {clause if later[0].word in REASON_WORDS.values() else f"{verb} {clause}"}'
    is_unclear = first.word.removeprefix('mostly ').removeprefix('most often ') in REASON_WORDS.values()
    return f'{subject} {"is" if is_unclear else verb} {", ".join(map(str, parts))}'


def _sure_words(words: Sequence[OpenLabel]) -> str:
    """'angry (91 % sure), furious and perhaps tense': one 'perhaps' holds for all words after it."""
    first, *others = words
    texts = [f'{named(first.word, first.certainty)} ({sure(first.certainty)})', *[label.word for label in others]]
    doubtful = next((index for index, label in enumerate(words) if label.certainty < CLEAR), 0)
    if doubtful:
        texts[doubtful] = named(words[doubtful].word, words[doubtful].certainty)
    return listed(texts)


def told_words(person: Person, labels: Sequence[OpenLabel]) -> list[OpenLabel]:
    """The sufficiently certain words for a person's whole time; [] if the course changes or is unclear."""
    course_labels = {part.label for part in person.course}
    if len(course_labels) > 1 or UNCLEAR in course_labels:
        return []
    own = [label for label in labels if label.person == person.name and label.scope == 'whole']
    return [label for label in own if label.certainty >= LEAST_TOLD]


def tone(valence: Interval | None, arousal: Interval | None) -> str:
    """Words for a point in the plane: 'positive and calm', 'negative', 'lively', 'even'; '' if none is certain enough.

    Args:
        valence: mean, low and high; None if unknown. A word is used if the interval has one sign, and
            with 'probably' if the 80 % interval has.
        arousal: the same.
    """
    valence_word = _side(valence, 'valence', ('negative', 'positive'))
    arousal_word = _side(arousal, 'arousal', ('calm', 'lively'))
    if valence_word == 'middle' and arousal_word == 'middle':
        return 'even'
    if valence_word == 'middle':
        return f'neutral and {arousal_word}' if arousal_word else 'neutral'
    return ' and '.join(part for part in (valence_word, arousal_word) if part not in ('', 'middle'))


def tone_turns(start: tuple[Interval | None, Interval | None], end: tuple[Interval | None, Interval | None]) -> bool:
    """Whether the tones at the start and end of a course differ clearly; each is (valence, arousal)."""
    both = [(before, after) for before, after in zip(start, end, strict=True) if before and after]
    return tone(*end) != tone(*start) and any(abs(after[0] - before[0]) >= TURN_LEAST for before, after in both)


def _side(interval: Interval | None, axis: str, words: tuple[str, str]) -> str:
    """The word for one axis, 'middle' if it is certainly near 0, '' if unknown."""
    if interval is None:
        return ''
    mean, low, high = interval
    low, high = (mean if end != end else end for end in (low, high))
    half_width = mean - low if mean > 0 else high - mean
    is_sure = abs(mean) >= TONE_LEAST[axis] and abs(mean) > half_width
    if is_sure or (abs(mean) >= SLIGHT and abs(mean) > PROBABLE * half_width):
        qualifier = '' if is_sure else 'probably '
        degree = 'slightly ' if axis == 'valence' and abs(mean) < SLIGHT else ''
        return qualifier + degree + words[mean > 0]
    return 'middle' if max(-low, high) <= MIDDLE and abs(mean) < SLIGHT else ''


def _joined(course: Sequence[Stretch]) -> list[Stretch]:
    """The course with neighbours of equal label, separated only by a gap, joined."""
    joined: list[Stretch] = []
    for part in course:
        if joined and (joined[-1].label, joined[-1].reason) == (part.label, part.reason):
            before = joined.pop()
            certainty = _mean_certainty((before, part))
            part = Stretch(before.start_s, part.end_s, part.label, certainty, reason=part.reason)
        joined.append(part)
    return joined


def _word_of(part: Stretch) -> str:
    if part.label == UNCLEAR:
        return REASON_WORDS.get(part.reason, UNCLEAR)
    return named(CATEGORY_WORDS[part.label], part.certainty or 0.0)


def _mean_certainty(parts: Sequence[Stretch]) -> float | None:
    """The certainty of stretches of one label, weighted by time; None if they are unclear."""
    seconds = sum(part.end_s - part.start_s for part in parts)
    if any(part.certainty is None for part in parts):
        return None
    return sum((part.certainty or 0.0) * (part.end_s - part.start_s) for part in parts) / max(seconds, 1e-9)


def _times_of(course: Sequence[Stretch], index: int) -> str:
    """'until 0:06' for the first, 'from 0:10' for the last, '' in between if the neighbours imply it."""
    if len(course) == 1:
        return ''
    part = course[index]
    touches_before = index == 0 or _touch(course[index - 1], part)
    touches_after = index == len(course) - 1 or _touch(part, course[index + 1])
    if not (touches_before and touches_after):
        return stretch(part.start_s, part.end_s)
    if index == len(course) - 1:
        return f'from {clock(part.start_s)}'
    is_told_by_neighbours = index == len(course) - 2 and index > 0
    return '' if is_told_by_neighbours else f'until {clock(part.end_s)}'


def _touch(part: Stretch, later: Stretch) -> bool:
    return clock(part.end_s) == clock(later.start_s) or later.start_s - part.end_s < 1.0


def _summed_up(course: Sequence[Stretch]) -> tuple[ToldStretch, ...]:
    """'mostly neutral (60 % sure)', 'with a happy stretch from 1:02 to 1:20 (71 % sure)', 'and a sad stretch …'."""
    by_word: dict[str, list[Stretch]] = {}
    for part in course:
        by_word.setdefault(_plain_word(part), []).append(part)
    seconds = {word: sum(part.end_s - part.start_s for part in parts) for word, parts in by_word.items()}
    commonest, *others = sorted(seconds, key=lambda word: (-seconds[word], word))
    frequency = 'mostly' if seconds[commonest] >= sum(seconds.values()) / 2 else 'most often'
    parts = [ToldStretch(f'{frequency} {commonest}', '', _mean_certainty(by_word[commonest]))]
    for word in [word for word in others if word not in REASON_WORDS.values()][:MOST_OTHERS]:
        longest = max(by_word[word], key=lambda part: part.end_s - part.start_s)
        article = 'an' if word[0] in 'aeiou' else 'a'
        noun = f'{article} {word} stretch' if len(by_word[word]) == 1 else f'{word} stretches, the longest'
        parts.append(
            ToldStretch(
                f'{"with" if len(parts) == 1 else "and"} {noun}',
                stretch(longest.start_s, longest.end_s),
                longest.certainty,
            )
        )
    return tuple(parts)


def _plain_word(part: Stretch) -> str:
    return REASON_WORDS.get(part.reason, UNCLEAR) if part.label == UNCLEAR else CATEGORY_WORDS[part.label]


def _unclear_throughout(person: Person) -> str:
    """The clause for somebody for whom no category can be named."""
    if person.course[0].reason == 'contradiction':
        if person.name == UNSEEN:
            return 'the voice and its words contradict each other'
        if person.seen_s <= 0:
            return f'voice and words of {person.name} contradict each other'
        return f'face, voice and words of {person.name} contradict each other'
    if person.course[0].reason == 'mixed':
        return f'{called(person.name)} keeps changing, so that no one emotion prevails'
    if person.name == UNSEEN or person.seen_s <= 0:
        voice = 'the voice' if person.name == UNSEEN else f'the voice of {person.name}'
        if person.course[0].reason == 'unread':
            return f'{voice} is heard, and no model is loaded that reads emotion from it'
        return f'{voice} is too unclear to name an emotion'
    return f'the expression of {called(person.name)} is too unclear to name an emotion'
