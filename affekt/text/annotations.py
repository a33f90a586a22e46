"""Praat TextGrid and ELAN (.eaf) as utterances: interval tiers are speakers, word tiers have the times of words.

Both formats have parallel tiers. A tier of words (its name or type is 'word' or 'words', possibly after a speaker:
'Anna - words') fills `Utterance.words` in the utterances of that speaker; without such utterances its words are joined
wherever they are less than `PAUSE_S` apart. Tiers of phones ('phones', 'phonemes', 'segments'), of points, and ELAN
tiers that depend on others (translations, glosses) are left out with a note. The speaker is ELAN's PARTICIPANT, else
the tier's name.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from affekt.errors import TranscriptError
from affekt.text.utterances import Utterance, Word
from affekt.wording import counted

PAUSE_S = 0.5
"""Pause in seconds below which consecutive words of a speaker belong to one utterance."""

_WORDS = re.compile(r'(?:(.*?)\s*[-_:/ ]\s*)?(?:words?|tokens?)', re.IGNORECASE)
_PHONES = re.compile(r'(?:.*[-_:/ ]\s*)?(?:phones?|phonemes?|segments?|syllables?|syll|ipa)', re.IGNORECASE)
_TOKENS = re.compile(r'"(?:[^"]|"")*"|(?<!\S)-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?!\S)|<exists>|(?<!\S)![^\n]*')

Interval = tuple[float, float, str]
"""Start and end in seconds, and text."""


@dataclasses.dataclass(frozen=True)
class _Tier:
    """An interval tier."""

    name: str
    speaker: str
    intervals: Sequence[Interval]


def read_textgrid(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The interval tiers of a TextGrid, in its long or its short form.

    As in Praat, only free-standing numbers, quoted strings and flags are read; all else is comment.

    Args:
        text: contents of the file.
        duration_s: not used; every reader of `READERS` has it.
        notes: list to which a sentence on tiers that are left out is appended.

    Raises:
        TranscriptError: the file ends early, or has something else in place of a number or a name.
    """
    tokens = [token for token in _TOKENS.findall(text) if not token.startswith('!')]
    type_tokens = [index for index, token in enumerate(tokens) if token == '"TextGrid"']
    cursor = _Cursor(tokens, type_tokens[0] + 1 if type_tokens else 0)
    cursor.number(), cursor.number()  # start and end of the file
    if cursor.peek() == '<exists>':
        cursor.skip()
    tiers, point_tiers = [], 0
    for _ in range(int(cursor.number())):
        tier_class, name = cursor.words(), cursor.words()
        cursor.number(), cursor.number()
        count = int(cursor.number())
        if tier_class == 'IntervalTier':
            intervals = [(cursor.number(), cursor.number(), cursor.words()) for _ in range(count)]
            tiers.append(_Tier(name, name, [interval for interval in intervals if interval[2].strip()]))
        else:
            point_tiers += 1
            for _ in range(count):
                cursor.number(), cursor.words()
    if point_tiers:
        notes.append(
            f'{point_tiers} tiers of points were left out: they have no duration'
            if point_tiers > 1
            else '1 tier of points was left out: points have no duration'
        )
    return _utterances(tiers, notes)


class _Cursor:
    """A position among the tokens of a TextGrid; a token of the wrong type is an error."""

    def __init__(self, tokens: list[str], at: int) -> None:
        self.tokens, self.at = tokens, at

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else 'the end of the file'

    def skip(self) -> None:
        self.at += 1

    def number(self) -> float:
        token = self.peek()
        self.skip()
        try:
            value = float(token)
        except ValueError:
            raise self._error('a number', token) from None
        if not math.isfinite(value):
            raise self._error('a finite number', token)
        return value

    def words(self) -> str:
        token = self.peek()
        self.skip()
        if not token.startswith('"'):
            raise self._error('a quoted text', token)
        return token[1:-1].replace('""', '"')

    def _error(self, expected: str, token: str) -> TranscriptError:
        return TranscriptError(
            expected=f'{expected} at item {self.at} of the TextGrid',
            came=token[:40],
            todo='open it in Praat and save it again as text',
        )


def read_eaf(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The time-aligned tiers of an ELAN file.

    A time slot without a value is interpolated evenly between its neighbours, as in ELAN.

    Args:
        text: contents of the file.
        duration_s: not used; every reader of `READERS` has it.
        notes: list to which a sentence on tiers that are left out is appended.

    Raises:
        TranscriptError: the file is not a well-formed ELAN document, declares a document type or entities (which can
            expand a small file to gigabytes; ELAN writes none), or has an annotation with unknown slots.
    """
    if '<!DOCTYPE' in text.upper() or '<!ENTITY' in text.upper():
        raise TranscriptError(
            expected='an ELAN file without a document type or entities',
            came='one that declares them',
            todo='open it in ELAN and save it again',
        )
    try:
        root = ElementTree.fromstring(re.sub(r'^\s*<\?xml[^>]*\?>', '', text.lstrip('\ufeff'), count=1))
    except ElementTree.ParseError as error:
        raise TranscriptError(
            expected='a well-formed ELAN file', came=f'XML that breaks: {error}', todo='save it again in ELAN'
        ) from error
    if root.tag != 'ANNOTATION_DOCUMENT':
        raise TranscriptError(expected='an ELAN document', came=f'<{root.tag[:40]}>', todo='give an .eaf file')
    slots = _slots(root)
    tiers, dependent = [], 0
    for tier in root.findall('TIER'):  # not iter: tiers within tiers would be read once for each level
        name, parent = tier.get('TIER_ID', ''), tier.get('PARENT_REF')
        is_words = _WORDS.fullmatch(name) or _WORDS.fullmatch(tier.get('LINGUISTIC_TYPE_REF', ''))
        if parent and not is_words:
            dependent += 1
            continue
        speaker = tier.get('PARTICIPANT') or ((parent or name) if is_words else name)
        tiers.append(_Tier('words' if is_words else name, speaker, _aligned(tier, slots)))
    if dependent:
        were = 'was' if dependent == 1 else 'were'
        notes.append(f'{counted(dependent, "dependent ELAN tier")} (translations, glosses) {were} left out')
    return _utterances(tiers, notes)


def _slots(root: ElementTree.Element) -> dict[str, float]:
    """Time of each slot in seconds; slots without a value are spaced evenly between their neighbours."""
    elements = root.findall('TIME_ORDER/TIME_SLOT')
    try:
        values = [
            None if (milliseconds := slot.get('TIME_VALUE')) is None else int(milliseconds) / 1000.0
            for slot in elements
        ]
    except ValueError as error:
        raise TranscriptError(
            expected='time slots in whole milliseconds', came=str(error), todo='save it again in ELAN'
        ) from error
    with_value = [index for index, value in enumerate(values) if value is not None]
    if not with_value:
        return {}
    interpolated = range(with_value[0], with_value[-1] + 1)
    seconds = np.interp(interpolated, with_value, [value for value in values if value is not None])
    return {
        elements[index].get('TIME_SLOT_ID', ''): float(value)
        for index, value in zip(interpolated, seconds, strict=True)
    }


def _aligned(tier: ElementTree.Element, slots: dict[str, float]) -> list[Interval]:
    """The annotations of a tier that have times and text."""
    intervals = []
    for annotation in tier.findall('ANNOTATION/ALIGNABLE_ANNOTATION'):
        start, end = annotation.get('TIME_SLOT_REF1', ''), annotation.get('TIME_SLOT_REF2', '')
        if start not in slots or end not in slots:
            raise TranscriptError(
                expected='annotations at time slots with a time',
                came=f'{start or "nothing"} to {end or "nothing"}',
                todo='save it again in ELAN',
            )
        value = annotation.findtext('ANNOTATION_VALUE') or ''
        if value.strip():
            intervals.append((slots[start], slots[end], value))
    return intervals


def _utterances(tiers: Sequence[_Tier], notes: list[str]) -> list[Utterance]:
    """Utterances of all tiers, with the words of word tiers merged in."""
    utterances: list[Utterance] = []
    words: dict[str, list[Word]] = {}
    phone_tiers = 0
    for tier in tiers:
        if _PHONES.fullmatch(tier.name):
            phone_tiers += 1
        elif match := _WORDS.fullmatch(tier.name):
            speaker = tier.speaker if tier.speaker != tier.name else match[1] or ''
            words.setdefault(speaker, []).extend(Word(*interval) for interval in tier.intervals)
        else:
            utterances += [Utterance(start_s, end_s, tier.speaker, text) for start_s, end_s, text in tier.intervals]
    if phone_tiers:
        notes.append(f'{counted(phone_tiers, "tier")} of phones {"was" if phone_tiers == 1 else "were"} left out')
    speakers = {utterance.speaker for utterance in utterances}
    for speaker, timed_words in words.items():
        if speaker in speakers or (not speaker and len(speakers) == 1):
            utterances = [
                _with_words(utterance, timed_words) if speaker in ('', utterance.speaker) else utterance
                for utterance in utterances
            ]
        else:
            utterances += _joined(speaker, sorted(timed_words, key=lambda word: word.start_s))
    return utterances


def _with_words(utterance: Utterance, words: Sequence[Word]) -> Utterance:
    """The utterance with those words whose middle is within it."""
    inside = [word for word in words if utterance.start_s <= (word.start_s + word.end_s) / 2 < utterance.end_s]
    return dataclasses.replace(utterance, words=tuple(sorted(inside, key=lambda word: word.start_s)))


def _joined(speaker: str, words: Sequence[Word]) -> list[Utterance]:
    """Utterances of words that are separated by pauses of PAUSE_S or more."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start_s - groups[-1][-1].end_s < PAUSE_S:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        Utterance(group[0].start_s, group[-1].end_s, speaker, ' '.join(word.text for word in group), tuple(group))
        for group in groups
    ]
