"""Plain sentences about a recording, each with the rows that it rests on.

The sentence on a person tells the course, not the mean: who is sad, then happy, is not called content on the whole.

`PlainDescriber` writes them from numbers alone, always the same for the same analysis. Anything that satisfies
`Describer` can take its place, such as a language model that rewrites `Findings`; it must give evidence for each
sentence too. The wording says how people come across; what they feel is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.analysis.course import runs_in_time, steps_within
from affekt.analysis.person_series import PersonSeries, Readings, column, fused_evidence, leading_sources, rows_of
from affekt.analysis.phrases import (
    FACE_CONDITIONS,
    MOST_PEOPLE,
    SOURCE_WORDS,
    UNSEEN,
    Interval,
    headline,
    told_people,
    tone,
    tone_turns,
    when,
)
from affekt.analysis.records import UNCLEAR, Evidence, Moment, OpenLabel, Person, Sentence, Source
from affekt.analysis.timeline import Span, Timeline, measure, union
from affekt.arrays import Bools
from affekt.wording import amount, length, listed, number_word, opened, signed, stretch

MOST_MOMENTS = 3
MOST_EVIDENCE = 8
"""Longest stretches of a course that its sentence names as evidence."""
EYES_CLOSED = 0.5
"""Least value of the reading `eyes_closed` of a face with closed eyes."""
LEAST_CONDITION_S = 1.0
"""A condition of face or voice that is shorter is not told: a blink is no closed eye."""
LEAST_CONDITION_SHARE = 0.1
"""Nor is one of a smaller share of the time that the face was seen."""
MOST_OF_STEP = 0.5
"""Least coverage of a step that counts as time that was left open."""
VOICE_EVIDENCE = ('loudness_lufs', 'f0_mean_hz', 'arousal', 'unfamiliarity')
UNREAD_WORDS = {
    'not understood': 'the words were not understood, so no emotion is read from them',
    'language': 'the words are of a language that no model here reads for emotion, so they are shown and not read',
}
"""Why words were not read, by the reason in `utterances`."""
OTHER_RECOGNISER = '`--asr base` recognizes languages other than English'
LIMIT_SENTENCES = {
    'image': 'A single picture shows one instant, so nothing can be said about what came before or after.',
    'any': 'This describes expression; what a person feels cannot be seen or heard from outside.',
}


@dataclass(frozen=True)
class Findings:
    """What a describer may use."""

    source: Source
    timeline: Timeline
    people: tuple[Person, ...]
    labels: tuple[OpenLabel, ...]
    moments: tuple[Moment, ...]
    coverage: Mapping[str, float]
    has_words: bool
    """Whether anything that was said is known as text."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """What was measured, as in an `Analysis`."""

    @cached_property
    def readings(self) -> Readings:
        """The tables by person and column."""
        return Readings(self.tables)


class Describer(Protocol):
    """Turns findings into sentences, each with its evidence."""

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]: ...


class PlainDescriber:
    """A few sentences from numbers alone.

    1. Who was seen and heard. 2. How each comes across, and what stood in the way of reading it. 3. The strongest
    moments. 4. Contradictions. 5. What could not be told.
    """

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]:
        sentences = [_presence(findings)]
        for index, person in enumerate(told_people(findings.people)):
            sentences += _impression(findings, person, is_first=index == 0)
            sentences += _faces(findings, person) + _voices(findings, person)
        sentences += _words(findings)
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
        voice = 'a loud voice' if _is_only_loud(findings) else 'speech'
        return Sentence(f'{opening}, {voice} is heard for {length(heard)}.', evidence)
    clauses = [_seen_and_heard(person, source.duration_s) for person in visible[:MOST_PEOPLE]]
    rest = len(visible) - len(clauses)
    if rest > 0:
        clauses.append(f'{number_word(rest)} more {"person is" if rest == 1 else "people are"} seen')
    unseen = next((person for person in people if person.name == UNSEEN and person.heard_s > 0), None)
    if unseen is not None:
        clauses.append(f'{length(unseen.heard_s)} of speech could not be tied to a visible face')
    return Sentence(f'{opening}, {listed(clauses)}.', evidence)


def _is_only_loud(findings: Findings) -> bool:
    """Whether all that is heard was found by being loud and voiced, and never by the detector of speech."""
    turns = findings.tables.get('turns', pa.table({}))
    return turns.num_rows > 0 and bool((column(turns, 'is_loud_voice') == 1).all())


def _seen_and_heard(person: Person, duration_s: float) -> str:
    whole = person.seen_s >= 0.97 * duration_s
    seen = 'is seen throughout' if whole else f'is seen for {length(person.seen_s)}'
    return f'{person.name} {seen}' + (f' and heard for {length(person.heard_s)}' if person.heard_s > 0 else '')


def _impression(findings: Findings, person: Person, *, is_first: bool) -> list[Sentence]:
    """How one person comes across: the course, the tone, and the sources that say so; none where nothing was
    measured."""
    path = findings.timeline.series(person.name)
    how, category_sources = headline(person, findings.labels), _category_sources(path, person)
    tone_text, tone_sources = _tone(person, is_first=is_first), _tone_sources(path, person)
    clauses = []
    if how:
        clauses.append(how + _judged_by(category_sources))
    if tone_text:
        clauses.append(tone_text + _judged_by(tone_sources if tone_sources != category_sources else ()))
    if not clauses:
        return []
    return [Sentence(f'{opened("; ".join(clauses))}.', _course_evidence(findings, person))]


def _judged_by(sources: Sequence[str]) -> str:
    return f', judged mainly by {listed([SOURCE_WORDS[source] for source in sources])}' if sources else ''


def _category_sources(path: PersonSeries, person: Person) -> tuple[str, ...]:
    """What decided the categories of a course, in the order of its stretches; none where no category is named."""
    named = [path.where(steps_within(path, part)) for part in person.course if part.label != UNCLEAR]
    return tuple(dict.fromkeys(source for part in named for source in leading_sources(part, 'category')))


def _tone_sources(path: PersonSeries, person: Person) -> tuple[str, ...]:
    """What decided the valence, or the arousal where there is no valence."""
    return leading_sources(path, 'valence' if person.valence is not None else 'arousal')


def _tone(person: Person, *, is_first: bool) -> str:
    """The tone in words with its numbers, as it is throughout or as it goes from the first stretch to the last."""
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
    """'valence +0.21, arousal −0.10', as far as known."""
    known = {'valence': valence, 'arousal': arousal}
    return ', '.join(f'{name} {signed(interval[0])}' for name, interval in known.items() if interval is not None)


def _course_evidence(findings: Findings, person: Person) -> tuple[Evidence, ...]:
    """The fused rows of each stretch that a person's sentence tells of; those of all the time where there is one."""
    path = findings.timeline.series(person.name)
    if len(person.course) < 2:
        words = [x for x in findings.labels if x.person == person.name and x.scope == 'whole']
        return words[0].evidence if words else (_whole(findings, person),)
    parts = sorted(person.course, key=lambda part: part.start_s - part.end_s)[:MOST_EVIDENCE]
    return tuple(fused_evidence(path, part.start_s, part.end_s) for part in sorted(parts, key=lambda x: x.start_s))


def _faces(findings: Findings, person: Person) -> list[Sentence]:
    """Why a face can be read less well: covered, upside down, drawn, blurred, eyes closed."""
    readings = findings.readings
    times = readings.column('faces', person.name, 'time_s')
    if not times.size:
        return []
    least_s = 0.0 if findings.source.kind == 'image' else LEAST_CONDITION_S
    conditions: dict[str, list[str]] = {'face': [], 'eyes': []}
    spans = []
    for name, words in {**FACE_CONDITIONS, 'eyes_closed': 'are closed'}.items():
        values = np.nan_to_num(readings.column('faces', person.name, name))
        runs = runs_in_time(times, values >= (EYES_CLOSED if name == 'eyes_closed' else 0.5), least_s)
        within = np.zeros(len(times), dtype=bool)
        for start, end in runs:
            within |= (times >= start) & (times <= end)
        share = float(within.mean())
        if share >= LEAST_CONDITION_SHARE:
            part = 'eyes' if name == 'eyes_closed' else 'face'
            conditions[part].append(f'{words}{_how_long(findings, person, share)}')
            spans += sorted(runs, key=lambda span: span[0] - span[1])[: MOST_EVIDENCE // 2]
    clauses = [f'the {part} of {person.name} {listed(words)}' for part, words in conditions.items() if words]
    if not clauses:
        return []
    columns = (*FACE_CONDITIONS, 'eyes_closed', 'quality')
    evidence = tuple(readings.evidence('face', person.name, *span, columns) for span in sorted(set(spans)))
    text = f'{listed(clauses)}, so the expression is read with less certainty'
    return [Sentence(f'{opened(text)}.', evidence)]


def _how_long(findings: Findings, person: Person, share: float) -> str:
    """' for 4 seconds', ' throughout', or nothing in a picture."""
    if findings.source.kind == 'image':
        return ''
    return ' throughout' if share >= 0.95 else f' for {length(share * person.seen_s)}'


def _voices(findings: Findings, person: Person) -> list[Sentence]:
    """What kept an emotion from being read from a voice: it is unclear, unfamiliar, or no more than loud."""
    turns = rows_of(findings.tables.get('turns', pa.table({})), person.name)
    if not turns.num_rows:
        return []
    spans = _spans_in(turns)
    because = _texts(turns, 'abstains_because', np.where(column(turns, 'abstained') == 1, 'unsure', ''))
    voice = 'the voice' if person.name == UNSEEN else f'the voice of {person.name}'
    is_said_already = person.seen_s <= 0 and headline(person, ()).endswith('too unclear to name an emotion')
    unsure_least_s = (
        np.inf if is_said_already else max(LEAST_CONDITION_S, measure(spans(np.ones(len(because), dtype=bool))) / 2)
    )
    sentences = []
    for rows, least_s, text in (
        (column(turns, 'is_loud_voice') == 1, 0.0, f'{voice} is loud, as in a shout or a cry'),
        (
            because == 'unfamiliar', LEAST_CONDITION_S,
            f'{voice} is unlike the speech that the model knows, so no emotion is read from it',
        ),
        (because == 'unsure', unsure_least_s, f'{voice} is too unclear to name an emotion'),
    ):  # fmt: skip
        where = spans(rows)
        if where and measure(where) >= least_s:
            evidence = [findings.readings.evidence('voice', person.name, *span, VOICE_EVIDENCE) for span in where[:8]]
            sentences.append(Sentence(f'{opened(_over(where))}, {text}.', tuple(evidence)))
    return sentences


def _words(findings: Findings) -> list[Sentence]:
    """What was said and not read, because it was not understood or is of a language that no model here reads."""
    table = findings.tables.get('utterances', pa.table({}))
    reasons = _texts(table, 'reason', np.full(table.num_rows, '', dtype=object))
    sentences = []
    for reason, text in UNREAD_WORDS.items():
        rows = reasons == reason
        if not rows.any():
            continue
        spans = _spans_in(table)(rows)
        text = text if rows.all() else f'{_over(spans)}, {text}'
        if reason == 'not understood' and _may_help(findings.source.notes):
            text += f'; {OTHER_RECOGNISER}'
        sentences.append(Sentence(f'{opened(text)}.', tuple(Evidence('words', *span, '') for span in spans[:8])))
    return sentences


def _may_help(notes: Sequence[str]) -> bool:
    """Whether a recogniser of more languages may understand more: not where the notes on words do not say so."""
    on_words = [note for note in notes if 'understood' in note]
    return not on_words or any('--asr base' in note for note in on_words)


def _over(spans: Sequence[tuple[float, float]]) -> str:
    """'from 0:03 to 0:08', or 'for 12 seconds' of several spans."""
    return stretch(*spans[0]) if len(spans) == 1 else f'for {length(measure(spans))}'


def _texts(table: pa.Table, name: str, otherwise: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N,) a column of texts; `otherwise` where the table lacks it."""
    if name not in table.column_names:
        return otherwise
    return np.array([text or '' for text in table[name].to_pylist()], dtype=object)


def _spans_in(table: pa.Table) -> Callable[[Bools], tuple[Span, ...]]:
    """What tells the times of some rows of turns or utterances, as disjoint spans."""
    starts, ends = column(table, 'start_s'), column(table, 'end_s')
    return lambda rows: union(zip(starts[rows].tolist(), ends[rows].tolist(), strict=True))


def _moments(findings: Findings) -> list[Sentence]:
    """The strongest moments in order of time, and how often sources contradict."""
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
    """What could not be told, in at most two sentences."""
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
        'no face was found': 'faces',
        'no speech was heard': 'voice or words',
        'no voice was heard': 'the tone of voice',
        'the words are not known': 'words',
    }
    return listed([lacks[reason] for reason in missing], 'or')


def _gaps(findings: Findings) -> Sentence | None:
    """How much time had no reading, contradicted itself, or stayed unsure; None where little did."""
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
    """Seconds in which somebody's categories are withheld; a step counts that was measured for the most part."""
    spans: list[Span] = []
    for person in findings.people:
        path = findings.timeline.series(person.name)
        steps = path.where((path.abstained == reason) & (path.coverage >= MOST_OF_STEP))
        spans += zip(steps.start_s.tolist(), steps.end_s.tolist(), strict=True)
    return measure(union(spans))


def _whole(findings: Findings, person: Person) -> Evidence:
    """The fused rows over all of a person's time."""
    path = findings.timeline.series(person.name)
    if not len(path):
        return Evidence('fused', 0.0, findings.source.duration_s, person.name)
    return fused_evidence(path, float(path.start_s[0]), float(path.end_s[-1]))
