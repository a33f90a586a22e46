"""Plain sentences about a recording, each with the rows it rests on.

The sentence on a person follows the course, not the mean: somebody who is sad and then happy is not called content.

`PlainDescriber` writes them from numbers alone, deterministically. Anything that satisfies
`Describer` can replace it, such as a language model that rewrites `Findings`; it must give evidence for each
sentence too. The wording says how people come across; what they feel is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from affekt.analysis.course import steps_within
from affekt.analysis.obstacles import about_face, about_voice, about_words
from affekt.analysis.person_series import PersonSeries, Readings, column, fused_evidence, leading_sources
from affekt.analysis.phrases import (
    MOST_PEOPLE,
    SOURCE_WORDS,
    TONE_WORDS,
    UNSEEN,
    Interval,
    headline,
    told_people,
    tone,
    tone_turns,
    when,
)
from affekt.analysis.records import (
    UNCLEAR,
    Described,
    DescribedClue,
    Evidence,
    Moment,
    OpenLabel,
    Person,
    Sentence,
    Source,
)
from affekt.analysis.timeline import Span, Timeline, measure, union
from affekt.errors import AffektError, StorageError, missing_extra
from affekt.tables import storable
from affekt.wording import amount, length, listed, listed_clauses, number_word, opened, signed

MOST_MOMENTS = 3
MOST_EVIDENCE = 8
"""Maximum number of stretches, longest first, that a course's sentence names as evidence."""
MOST_OF_STEP = 0.5
"""Minimum coverage of an abstaining step that counts as time left open."""
LIMIT_SENTENCES = {
    'image': 'A single picture shows one instant, so nothing can be said about what came before or after.',
    'any': 'This describes expression; what a person feels cannot be seen or heard from outside.',
}


@dataclass(frozen=True)
class Findings:
    """The input of a describer."""

    source: Source
    timeline: Timeline
    people: tuple[Person, ...]
    labels: tuple[OpenLabel, ...]
    moments: tuple[Moment, ...]
    coverage: Mapping[str, float]
    has_words: bool
    """True if any speech is known as text."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Tables of measurements, as in an `Analysis`."""

    @cached_property
    def readings(self) -> Readings:
        """The tables by person and column."""
        return Readings(self.tables)


class Describer(Protocol):
    """Turns findings into sentences, each with its evidence."""

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]: ...


class PlainDescriber:
    """A few sentences from numbers alone.

    1. Who was seen and heard. 2. How each comes across, and what hindered reading it. 3. The strongest
    moments. 4. Contradictions. 5. What could not be read.
    """

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]:
        sentences = [_presence(findings)]
        for index, person in enumerate(told_people(findings.people)):
            sentences += _impression(findings, person, is_first=index == 0)
            sentences += about_face(findings.readings, person, is_picture=findings.source.kind == 'image')
            sentences += about_voice(findings.readings, person)
        sentences += _not_described(findings.people)
        sentences += about_words(findings.readings, findings.source.notes)
        sentences += _moments(findings)
        sentences += _unknown(findings)
        return tuple(sentences)


def _presence(findings: Findings) -> Sentence:
    """Who was seen or heard, for how long."""
    source, people = findings.source, findings.people
    what = {'video': 'video', 'audio': 'recording', 'image': 'picture'}[source.kind]
    visible = [person for person in people if person.seen_s > 0]
    evidence = tuple(_whole(findings, person) for person in people[:MOST_PEOPLE])
    if source.kind == 'image':
        count = len(visible)
        faces = 'no face' if not count else ('one face' if count == 1 else f'{number_word(count)} faces')
        return Sentence(f'The picture shows {faces}.', evidence)
    opening = f'In this {what} of {length(source.duration_s)}'
    if not people:
        nothing = 'nobody is seen or heard' if source.kind == 'video' else 'nobody is heard'
        return Sentence(f'{opening}, {nothing}.', ())
    if not visible:
        heard = sum(person.heard_s for person in people)
        if heard <= 0:
            return Sentence(f'{opening}, nobody is seen or heard.', ())
        named = [person for person in people if person.name != UNSEEN]
        if len(named) > 1:
            return Sentence(f'{opening}, {number_word(len(named))} speakers are heard for {length(heard)}.', evidence)
        voice = 'a loud voice' if _is_only_loud(findings) else 'speech'
        return Sentence(f'{opening}, {voice} is heard for {length(heard)}.', evidence)
    clauses = [_seen_and_heard(person, source.duration_s) for person in visible[:MOST_PEOPLE]]
    rest = len(visible) - len(clauses)
    if rest > 0:
        clauses.append(f'{number_word(rest)} more {"person is" if rest == 1 else "people are"} seen')
    unseen = next((person for person in people if person.name == UNSEEN and person.heard_s > 0), None)
    if unseen is not None:
        clauses.append(f'{length(unseen.heard_s)} of speech could not be tied to a visible face')
    return Sentence(f'{opening}, {listed_clauses(clauses)}.', evidence)


def _is_only_loud(findings: Findings) -> bool:
    """True if all turns were found only by loud voicing, none by the speech detector."""
    turns = findings.tables.get('turns', pa.table({}))
    return turns.num_rows > 0 and bool((column(turns, 'is_loud_voice') == 1).all())


def _seen_and_heard(person: Person, duration_s: float) -> str:
    whole = person.seen_s >= 0.97 * duration_s
    seen = 'is seen throughout' if whole else f'is seen for {length(person.seen_s)}'
    return f'{person.name} {seen}' + (f' and heard for {length(person.heard_s)}' if person.heard_s > 0 else '')


def _impression(findings: Findings, person: Person, *, is_first: bool) -> list[Sentence]:
    """How one person comes across: the course, the tone, and the sources they rest on; [] if nothing was
    measured."""
    path = findings.timeline.series(person.name)
    how, category_sources = headline(person, findings.labels), _category_sources(path, person)
    tone_text = _tone(person, is_first=is_first)
    tone_sources = _tone_sources(path, tone_text)
    clauses = []
    if how:
        clauses.append(how + _judged_by(category_sources))
    if tone_text:
        is_new = {*tone_sources} != {*category_sources}
        clauses.append(tone_text + _judged_by(tone_sources if is_new else ()))
    if not clauses:
        return []
    return [Sentence(f'{opened("; ".join(clauses))}.', _course_evidence(findings, person))]


def _not_described(people: Sequence[Person]) -> list[Sentence]:
    """A sentence that counts the people without sentences of their own; [] if there are none."""
    rest = len([person for person in people if person.name != UNSEEN]) - len(
        [person for person in told_people(people) if person.name != UNSEEN]
    )
    if rest <= 0:
        return []
    verb = 'person is' if rest == 1 else 'people are'
    return [Sentence(f'{opened(number_word(rest))} more {verb} not described here.', ())]


def _judged_by(sources: Sequence[str]) -> str:
    return f', judged mainly by {listed([SOURCE_WORDS[source] for source in sources])}' if sources else ''


def _category_sources(path: PersonSeries, person: Person) -> tuple[str, ...]:
    """The sources that decided the categories of a course, in the order of its stretches; () if no category is
    named."""
    named = [path.where(steps_within(path, part)) for part in person.course if part.label != UNCLEAR]
    return tuple(dict.fromkeys(source for part in named for source in leading_sources(part, 'category')))


def _tone_sources(path: PersonSeries, tone_text: str) -> tuple[str, ...]:
    """The sources that decided the dimensions named in a text on the tone; () for none."""
    axes = [axis for axis, words in TONE_WORDS.items() if set(words) & set(re.findall(r'\w+', tone_text))]
    return tuple(dict.fromkeys(source for axis in axes for source in leading_sources(path, axis)))


def _tone(person: Person, *, is_first: bool) -> str:
    """The tone in words and numbers: over the whole time, or from the first stretch to the last if it changes."""
    scale = ' on scales from −1 to +1' if is_first else ''
    ends = [(part.valence, part.arousal) for part in (*person.course[:1], *person.course[-1:])]
    if len(person.course) > 1 and tone_turns(*ends):
        first, last = ((tone(*end), _numbers(*end)) for end in ends)
        return f'the tone goes from {first[0] or UNCLEAR} ({first[1]}{scale}) to {last[0] or UNCLEAR} ({last[1]})'
    numbers = _numbers(person.valence, person.arousal)
    if not numbers:
        return ''
    word = tone(person.valence, person.arousal)
    return f'the tone is {word or UNCLEAR} ({numbers}{scale})'


def _numbers(valence: Interval | None, arousal: Interval | None) -> str:
    """'valence +0.21, arousal −0.10', without unknown ones."""
    known = {'valence': valence, 'arousal': arousal}
    return ', '.join(f'{name} {signed(interval[0])}' for name, interval in known.items() if interval is not None)


def _course_evidence(findings: Findings, person: Person) -> tuple[Evidence, ...]:
    """The fused rows of each stretch in a person's sentence; those of the whole time if there is one stretch."""
    path = findings.timeline.series(person.name)
    if len(person.course) < 2:
        words = [x for x in findings.labels if x.person == person.name and x.scope == 'whole']
        return words[0].evidence if words else (_whole(findings, person),)
    parts = sorted(person.course, key=lambda part: part.start_s - part.end_s)[:MOST_EVIDENCE]
    return tuple(fused_evidence(path, part.start_s, part.end_s) for part in sorted(parts, key=lambda x: x.start_s))


def _moments(findings: Findings) -> list[Sentence]:
    """The strongest moments sorted by time, and the number of contradictions between sources."""
    strongest = sorted(findings.moments, key=lambda m: (-m.strength, m.time_s))[:MOST_MOMENTS]
    sentences = []
    for moment in sorted(strongest, key=lambda m: m.time_s):
        text = moment.sentence[:1].lower() + moment.sentence[1:]
        sentences.append(Sentence(f'{opened(when(moment))}, {text}', moment.evidence))
    shown = {id(m) for m in strongest}
    others = [m for m in findings.moments if m.kind == 'disagreement' and id(m) not in shown]
    if others:
        times = listed([when(m) for m in others[:4]])
        evidence = tuple(e for m in others for e in m.evidence)
        sentences.append(Sentence(f'What is seen, heard and said also disagrees {times}.', evidence))
    return sentences


def _unknown(findings: Findings) -> list[Sentence]:
    """What could not be read, in at most two sentences."""
    source, coverage = findings.source, findings.coverage
    sentences = []
    missing = []
    if source.kind == 'video' and coverage.get('face', 0.0) <= 0:
        missing.append('no face was found')
    if source.kind != 'image':
        if coverage.get('voice', 0.0) <= 0:
            missing.append('no voice was heard' if findings.has_words else 'no speech was heard')
        elif not findings.has_words:
            missing.append('the words are not known')
    gaps = _gaps(findings)
    if missing:
        sentences.append(Sentence(f'{opened(listed(missing))}, so nothing rests on {_lacking(missing)}.', ()))
    if gaps is not None:
        sentences.append(gaps)
    if source.kind == 'image' and findings.people:
        sentences.append(Sentence(LIMIT_SENTENCES['image'], ()))
    if findings.people or not sentences:
        sentences.append(Sentence(LIMIT_SENTENCES['any'], ()))
    return sentences


def _lacking(missing: Sequence[str]) -> str:
    lacks = {
        'no face was found': ['faces'],
        'no speech was heard': ['voice', 'words'],
        'no voice was heard': ['the tone of voice'],
        'the words are not known': ['words'],
    }
    return listed([lack for reason in missing for lack in lacks[reason]], 'or')


def _gaps(findings: Findings) -> Sentence | None:
    """How much time had no reading, contradicted itself, or stayed unsure; None if little did."""
    total = findings.source.duration_s
    if findings.source.kind == 'image' or not findings.people or total <= 0:
        return None
    empty = max(0.0, 1.0 - findings.coverage.get('fused', 0.0))
    parts = []
    if empty * total >= max(1.0, 0.05 * total):
        parts.append(f'{amount(empty * total, "holds", "hold")} nothing that could be read')
    torn, unsure = (_abstained_s(findings, reason) for reason in ('contradiction', 'unsure'))
    if torn >= 1:
        parts.append(f'{amount(torn)} left open because the sources contradict each other')
    if unsure >= 1:
        parts.append(f'{amount(unsure)} too unclear for a category')
    if not parts:
        return None
    gaps = findings.timeline.select(source='fused').gaps(0.0, total)
    evidence = tuple(Evidence('fused', start, end, '') for start, end in gaps[:8])
    return Sentence(f'Of the whole, {listed(parts)}.', evidence)


def _abstained_s(findings: Findings, reason: str) -> float:
    """Seconds in which somebody's categories are withheld: abstaining steps that are mostly covered, within stretches
    reported as unclear; none for people who are reported as unclear throughout."""
    spans: list[Span] = []
    for person in findings.people:
        path = findings.timeline.series(person.name)
        if {part.label for part in person.course} == {UNCLEAR}:
            continue
        withheld = path.abstained == reason
        for part in person.course:
            withheld |= steps_within(path, part) & (part.reason == reason)
        steps = path.where(withheld & (path.coverage >= MOST_OF_STEP))
        spans += zip(steps.start_s.tolist(), steps.end_s.tolist(), strict=True)
    return measure(union(spans))


def _whole(findings: Findings, person: Person) -> Evidence:
    """The fused rows over all of a person's time."""
    path = findings.timeline.series(person.name)
    if not len(path):
        return Evidence('fused', 0.0, findings.source.duration_s, person.name)
    return fused_evidence(path, float(path.start_s[0]), float(path.end_s[-1]))


# Descriptions by a trained model


class WordsOfModel:
    """Descriptions of recordings by a trained describer, in addition to the sentences above.

    Args:
        clips: an `affekt.description.ClipDescriber`.
    """

    def __init__(self, clips: Any) -> None:
        self._clips = clips
        self._sha256 = ''

    def __call__(self, path: Path, spoken: str) -> Described:
        """The describer's answer about a recording with known words; failures are stored in it, not raised.

        Args:
            path: of the recording.
            spoken: the spoken words; '' for none.
        """
        room = description_room()
        self._sha256 = self._sha256 or room.weights_sha256(self._clips.describer)
        try:
            manifest = room.clips_manifest([(path.name, path)], {path.name: spoken} if spoken else None)
            ((clip, description),) = self._clips.describe(manifest, manifest.samples)
        except StorageError:
            raise
        except AffektError as error:
            return Described(self._clips.name, '', form='empty', failure=storable(str(error)))
        return described_by(self._clips.name, clip, description, self._sha256)


def open_model_words(model: str) -> WordsOfModel:
    """Opens a trained describer.

    Args:
        model: its folder or checkpoint, or `small` for the one in affekt.

    Raises:
        WeightsError: it is missing or cannot be opened.
        LLMError: its language model cannot be opened.
        MissingExtraError: torch or transformers is not installed.
    """
    return WordsOfModel(description_room().open_clip_describer(model, asr='none'))


def description_room() -> Any:
    """The room `affekt.description`.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import_module('transformers')  # needed to open language models
        return import_module('affekt.description')
    except ImportError as error:
        raise missing_extra('torch and transformers, which describers need', 'torch,llm', came=str(error)) from error


def described_by(name: str, clip: Any, description: Any, weights_sha256: str = '') -> Described:
    """A describer's input from a clip and its answer, as a record.

    Args:
        name: name of the describer.
        clip: a `PerceivedClip`.
        description: a `Description`.
        weights_sha256: of the describer.
    """
    answer = description.answer
    evidence, invented = (
        tuple(DescribedClue(storable(clue.text), tuple(clue.of)) for clue in clues)
        for clues in (answer.evidence, answer.invented)
    )
    return Described(
        name, storable(answer.text), answer.labels, answer.form, evidence, invented,
        {part: storable(reason) for part, reason in clip.lacking.items()}, storable(clip.words),
        storable(description.failure), weights_sha256, getattr(description, 'certainty', None),
    )  # fmt: skip
