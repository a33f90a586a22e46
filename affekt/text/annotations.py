"""Praat TextGrid and ELAN (.eaf) to utterances: interval tiers are speakers, word tiers time the words.

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
_SOUNDS = re.compile(r'(?:.*[-_:/ ]\s*)?(?:phones?|phonemes?|segments?|syllables?|syll|ipa)', re.IGNORECASE)
_TOKENS = re.compile(r'"(?:[^"]|"")*"|(?<!\S)-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?!\S)|<exists>|(?<!\S)![^\n]*')

Interval = tuple[float, float, str]


@dataclasses.dataclass(frozen=True)
class _Tier:
    name: str
    speaker: str
    intervals: Sequence[Interval]


def read_textgrid(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The interval tiers of a TextGrid, in its long or its short form.

    As Praat does, only free-standing numbers, quoted strings and flags are read; all else is comment.

    Raises:
        TranscriptError: the file ends early, or has something else in place of a number or a name.
    """
    tokens = [token for token in _TOKENS.findall(text) if not token.startswith('!')]
    kinds = [at for at, token in enumerate(tokens) if token == '"TextGrid"']
    cursor = _Cursor(tokens, kinds[0] + 1 if kinds else 0)
    cursor.number(), cursor.number()  # start and end of the file
    if cursor.peek() == '<exists>':
        cursor.skip()
    tiers, points = [], 0
    for _ in range(int(cursor.number())):
        tier_class, name = cursor.words(), cursor.words()
        cursor.number(), cursor.number()
        count = int(cursor.number())
        if tier_class == 'IntervalTier':
            rows = [(cursor.number(), cursor.number(), cursor.words()) for _ in range(count)]
            tiers.append(_Tier(name, name, [row for row in rows if row[2].strip()]))
        else:
            points += 1
            for _ in range(count):
                cursor.number(), cursor.words()
    if points:
        notes.append(
            f'{points} tiers of points were left out: they have no duration'
            if points > 1
            else '1 tier of points was left out: points have no duration'
        )
    return _utterances(tiers, notes)


class _Cursor:
    """Iterates over the tokens of a TextGrid, and raises where one does not fit."""

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

    def _error(self, wanted: str, token: str) -> TranscriptError:
        return TranscriptError(
            expected=f'{wanted} at item {self.at} of the TextGrid',
            came=token[:40],
            todo='open it in Praat and save it again as text',
        )


def read_eaf(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The time-aligned tiers of an ELAN file.

    A time slot without a value is interpolated evenly between its neighbours, as in ELAN.

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
    order = root.findall('TIME_ORDER/TIME_SLOT')
    try:
        values = [None if (ms := slot.get('TIME_VALUE')) is None else int(ms) / 1000.0 for slot in order]
    except ValueError as error:
        raise TranscriptError(
            expected='time slots in whole milliseconds', came=str(error), todo='save it again in ELAN'
        ) from error
    known = [at for at, value in enumerate(values) if value is not None]
    if not known:
        return {}
    within = range(known[0], known[-1] + 1)
    seconds = np.interp(within, known, [value for value in values if value is not None])
    return {order[at].get('TIME_SLOT_ID', ''): float(value) for at, value in zip(within, seconds, strict=True)}


def _aligned(tier: ElementTree.Element, slots: dict[str, float]) -> list[Interval]:
    rows = []
    for note in tier.findall('ANNOTATION/ALIGNABLE_ANNOTATION'):
        begin, end = note.get('TIME_SLOT_REF1', ''), note.get('TIME_SLOT_REF2', '')
        if begin not in slots or end not in slots:
            raise TranscriptError(
                expected='annotations at time slots with a time',
                came=f'{begin or "nothing"} to {end or "nothing"}',
                todo='save it again in ELAN',
            )
        value = note.findtext('ANNOTATION_VALUE') or ''
        if value.strip():
            rows.append((slots[begin], slots[end], value))
    return rows


def _utterances(tiers: Sequence[_Tier], notes: list[str]) -> list[Utterance]:
    """Utterances of all tiers, with the words of word tiers merged in."""
    spoken: list[Utterance] = []
    words: dict[str, list[Word]] = {}
    sounds = 0
    for tier in tiers:
        if _SOUNDS.fullmatch(tier.name):
            sounds += 1
        elif match := _WORDS.fullmatch(tier.name):
            speaker = tier.speaker if tier.speaker != tier.name else match[1] or ''
            words.setdefault(speaker, []).extend(Word(*row) for row in tier.intervals)
        else:
            spoken += [Utterance(start_s, end_s, tier.speaker, text) for start_s, end_s, text in tier.intervals]
    if sounds:
        notes.append(f'{counted(sounds, "tier")} of single sounds {"was" if sounds == 1 else "were"} left out')
    speakers = {row.speaker for row in spoken}
    for speaker, timed in words.items():
        if speaker in speakers or (not speaker and len(speakers) == 1):
            spoken = [_with_words(row, timed) if speaker in ('', row.speaker) else row for row in spoken]
        else:
            spoken += _joined(speaker, sorted(timed, key=lambda word: word.start_s))
    return spoken


def _with_words(row: Utterance, timed: Sequence[Word]) -> Utterance:
    inside = [word for word in timed if row.start_s <= (word.start_s + word.end_s) / 2 < row.end_s]
    return dataclasses.replace(row, words=tuple(sorted(inside, key=lambda word: word.start_s)))


def _joined(speaker: str, words: Sequence[Word]) -> list[Utterance]:
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
