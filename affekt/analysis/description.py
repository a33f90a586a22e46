"""Plain sentences about a recording, each with the rows it rests on.

The sentence on a person follows the course, not the mean: somebody who is sad and then happy is not called content.

`PlainDescriber` writes them from numbers alone, deterministically. Anything that satisfies `Describer` can replace it,
such as a language model that puts `Findings` into words; it must give evidence for each sentence too. The wording says
how people come across; what they feel is not known.
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
    called,
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
"""Maximum number of moments with sentences of their own."""
MOST_EVIDENCE = 8
"""Maximum number of stretches, longest first, that a course's sentence names as evidence."""
MOST_OF_STEP = 0.5
"""Minimum coverage of an abstaining step that counts as time left open."""
LIMIT_SENTENCES = {
    'image': 'A single image shows one instant, so nothing can be said about what came before or after.',
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
            sentences += about_face(findings.readings, person, is_image=findings.source.kind == 'image')
            sentences += about_voice(findings.readings, person)
        sentences += _not_described(findings.people)
        sentences += about_words(findings.readings, findings.source.notes)
        sentences += _moments(findings)
        sentences += _unknown(findings)
        return tuple(sentences)


def _presence(findings: Findings) -> Sentence:
    """Who was seen or heard, for how long."""
    source, people = findings.source, findings.people
    noun = 'video' if source.kind == 'video' else 'recording'
    visible = [person for person in people if person.seen_s > 0]
    evidence = tuple(_whole(findings, person) for person in people[:MOST_PEOPLE])
    if source.kind == 'image':
        count = len(visible)
        faces = 'no face' if not count else ('one face' if count == 1 else f'{number_word(count)} faces')
        return Sentence(f'The image shows {faces}.', evidence)
    opening = f'In this {noun} of {length(source.duration_s)}'
    if not people:
        absence = 'nobody is seen or heard' if source.kind == 'video' else 'nobody is heard'
        return Sentence(f'{opening}, {absence}.', ())
    if not visible:
        heard_s = sum(person.heard_s for person in people)
        if heard_s <= 0:
            return Sentence(f'{opening}, nobody is seen or heard.', ())
        speakers = [person for person in people if person.name != UNSEEN]
        if len(speakers) > 1:
            return Sentence(
                f'{opening}, {number_word(len(speakers))} speakers are heard for {length(heard_s)}.', evidence
            )
        voice = 'a loud voice' if _is_only_loud(findings) else 'speech'
        return Sentence(f'{opening}, {voice} is heard for {length(heard_s)}.', evidence)
    clauses = [_seen_and_heard(person, source.duration_s) for person in visible[:MOST_PEOPLE]]
    remaining = len(visible) - len(clauses)
    if remaining > 0:
        clauses.append(f'{number_word(remaining)} more {"person is" if remaining == 1 else "people are"} seen')
    unseen = next((person for person in people if person.name == UNSEEN and person.heard_s > 0), None)
    if unseen is not None:
        clauses.append(f'{length(unseen.heard_s)} of speech could not be tied to a visible face')
    return Sentence(f'{opening}, {listed_clauses(clauses)}.', evidence)


def _is_only_loud(findings: Findings) -> bool:
    """True if all turns were found only by loud voicing, none by the speech detector."""
    turns = findings.tables.get('turns', pa.table({}))
    return turns.num_rows > 0 and bool((column(turns, 'is_loud_voice') == 1).all())


def _seen_and_heard(person: Person, duration_s: float) -> str:
    is_throughout = person.seen_s >= 0.97 * duration_s
    seen = 'is seen throughout' if is_throughout else f'is seen for {length(person.seen_s)}'
    return f'{person.name} {seen}' + (f' and heard for {length(person.heard_s)}' if person.heard_s > 0 else '')


def _impression(findings: Findings, person: Person, *, is_first: bool) -> list[Sentence]:
    """How one person comes across: the course, the tone, and the sources they rest on; [] if nothing was
    measured."""
    series = findings.timeline.series(person.name)
    appearance, category_sources = headline(person, findings.labels), _category_sources(series, person)
    tone_text = _tone(person, is_first=is_first)
    tone_sources = _tone_sources(series, tone_text)
    clauses = []
    if appearance:
        clauses.append(appearance + _judged_by(category_sources))
    if tone_text:
        is_new = {*tone_sources} != {*category_sources}
        clauses.append(tone_text + _judged_by(tone_sources if is_new else ()))
    if not clauses:
        return []
    return [Sentence(f'{opened("; ".join(clauses))}.', _course_evidence(findings, person))]


def _not_described(people: Sequence[Person]) -> list[Sentence]:
    """A sentence that counts the people without sentences of their own; [] if there are none."""
    remaining = len([person for person in people if person.name != UNSEEN]) - len(
        [person for person in told_people(people) if person.name != UNSEEN]
    )
    if remaining <= 0:
        return []
    verb = 'person is' if remaining == 1 else 'people are'
    return [Sentence(f'{opened(number_word(remaining))} more {verb} not described here.', ())]


def _judged_by(sources: Sequence[str]) -> str:
    return f', judged mainly by {listed([SOURCE_WORDS[source] for source in sources])}' if sources else ''


def _category_sources(series: PersonSeries, person: Person) -> tuple[str, ...]:
    """The sources that decided the categories of a course, in the order of its stretches; () if no category is
    named."""
    named_steps = [series.where(steps_within(series, steps)) for steps in person.course if steps.label != UNCLEAR]
    return tuple(dict.fromkeys(source for steps in named_steps for source in leading_sources(steps, 'category')))


def _tone_sources(series: PersonSeries, tone_text: str) -> tuple[str, ...]:
    """The sources that decided the dimensions named in a text on the tone; () for none."""
    axes = [axis for axis, words in TONE_WORDS.items() if set(words) & set(re.findall(r'\w+', tone_text))]
    return tuple(dict.fromkeys(source for axis in axes for source in leading_sources(series, axis)))


def _tone(person: Person, *, is_first: bool) -> str:
    """The tone in words and numbers: over the whole time, or from the first stretch to the last if it changes."""
    scale = ' on scales from −1 to +1' if is_first else ''
    ends = [(stretch.valence, stretch.arousal) for stretch in (*person.course[:1], *person.course[-1:])]
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
    intervals = {'valence': valence, 'arousal': arousal}
    return ', '.join(f'{name} {signed(interval[0])}' for name, interval in intervals.items() if interval is not None)


def _course_evidence(findings: Findings, person: Person) -> tuple[Evidence, ...]:
    """The fused rows of each stretch in a person's sentence; those of the whole time if there is one stretch."""
    series = findings.timeline.series(person.name)
    if len(person.course) < 2:
        labels = [item for item in findings.labels if item.person == person.name and item.scope == 'whole']
        return labels[0].evidence if labels else (_whole(findings, person),)
    longest = sorted(person.course, key=lambda stretch: stretch.start_s - stretch.end_s)[:MOST_EVIDENCE]
    return tuple(
        fused_evidence(series, stretch.start_s, stretch.end_s)
        for stretch in sorted(longest, key=lambda item: item.start_s)
    )


def _moments(findings: Findings) -> list[Sentence]:
    """The strongest moments sorted by time, and the number of contradictions between sources."""
    strongest = sorted(findings.moments, key=lambda moment: (-moment.strength, moment.time_s))[:MOST_MOMENTS]
    sentences = []
    for moment in sorted(strongest, key=lambda moment: moment.time_s):
        sentences.append(Sentence(f'{opened(when(moment))}, {_within_sentence(moment)}', moment.evidence))
    shown = {id(moment) for moment in strongest}
    contradictions = [
        moment for moment in findings.moments if moment.kind == 'disagreement' and id(moment) not in shown
    ]
    if contradictions:
        times = listed([when(moment) for moment in contradictions[:4]])
        evidence = tuple(item for moment in contradictions for item in moment.evidence)
        sentences.append(Sentence(f'What is seen, heard and said also disagrees {times}.', evidence))
    return sentences


def _within_sentence(moment: Moment) -> str:
    """The sentence of a moment without its capital; a name keeps its own."""
    name = called(moment.person)
    if moment.sentence.startswith(f'{opened(name)} '):
        return name + moment.sentence.removeprefix(opened(name))
    return moment.sentence[:1].lower() + moment.sentence[1:]


def _unknown(findings: Findings) -> list[Sentence]:
    """What could not be read, in at most two sentences."""
    source = findings.source
    has_faces, has_voices = (len(findings.timeline.select(source=name)) > 0 for name in ('face', 'voice'))
    sentences = []
    missing = []
    if source.kind == 'video' and not has_faces:
        missing.append('no face was found')
    if source.kind != 'image':
        if not has_voices:
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
    sources_by_reason = {
        'no face was found': ['faces'],
        'no speech was heard': ['voice', 'words'],
        'no voice was heard': ['the tone of voice'],
        'the words are not known': ['words'],
    }
    return listed([source for reason in missing for source in sources_by_reason[reason]], 'or')


def _gaps(findings: Findings) -> Sentence | None:
    """How much time has no reading, contradictory sources, or no likely category; None if little has."""
    duration_s = findings.source.duration_s
    if findings.source.kind == 'image' or not findings.people or duration_s <= 0:
        return None
    empty_share = max(0.0, 1.0 - findings.coverage.get('fused', 0.0))
    parts = []
    if empty_share * duration_s >= max(1.0, 0.05 * duration_s):
        parts.append(f'{amount(empty_share * duration_s, "holds", "hold")} nothing that could be read')
    contradicting_s, unsure_s = (_abstained_s(findings, reason) for reason in ('contradiction', 'unsure'))
    if contradicting_s >= 1:
        parts.append(f'{amount(contradicting_s)} left open because the sources contradict each other')
    if unsure_s >= 1:
        parts.append(f'{amount(unsure_s)} too unclear for a category')
    if not parts:
        return None
    gaps = findings.timeline.select(source='fused').gaps(0.0, duration_s)
    evidence = tuple(Evidence('fused', start, end, '') for start, end in gaps[:8])
    return Sentence(f'Of the whole, {listed(parts)}.', evidence)


def _abstained_s(findings: Findings, reason: str) -> float:
    """Seconds in which somebody's categories are withheld: abstaining steps that are mostly covered, within stretches
    reported as unclear; none for people who are reported as unclear throughout."""
    spans: list[Span] = []
    for person in findings.people:
        series = findings.timeline.series(person.name)
        if {stretch.label for stretch in person.course} == {UNCLEAR}:
            continue
        withheld = series.abstained == reason
        for stretch in person.course:
            withheld |= steps_within(series, stretch) & (stretch.reason == reason)
        steps = series.where(withheld & (series.coverage >= MOST_OF_STEP))
        spans += zip(steps.start_s.tolist(), steps.end_s.tolist(), strict=True)
    return measure(union(spans))


def _whole(findings: Findings, person: Person) -> Evidence:
    """The fused rows over all of a person's time."""
    series = findings.timeline.series(person.name)
    if not len(series):
        return Evidence('fused', 0.0, findings.source.duration_s, person.name)
    return fused_evidence(series, float(series.start_s[0]), float(series.end_s[-1]))


# Descriptions by a trained model


class WordsOfModel:
    """Descriptions of recordings by a trained describer, in addition to the sentences above.

    Args:
        clips: the opened describer, an `affekt.description.ClipDescriber`.
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
    """A describer's answer about a clip, and what it was given of it, as a record.

    Args:
        name: name of the describer.
        clip: its input, a `PerceivedClip`.
        description: its answer, a `Description`.
        weights_sha256: hash of its weights; '' for none.
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
