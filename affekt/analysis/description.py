"""Plain sentences about a recording, each with the rows that it rests on.

`PlainDescriber` writes them from numbers alone, always the same for the same analysis. Anything that satisfies
`Describer` can take its place, such as a language model that rewrites `Findings`; it must give evidence for each
sentence too. The wording says how people come across; what they feel is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from affekt.analysis.person_series import WEIGHTED, fused_evidence
from affekt.analysis.phrases import SOURCE_WORDS, UNSEEN, called, tone, when
from affekt.analysis.records import Evidence, Moment, OpenLabel, Person, Sentence, Source
from affekt.analysis.timeline import Timeline
from affekt.wording import is_single, length, listed, opened, signed

MOST_PEOPLE = 3
"""People with sentences of their own; further ones are counted."""
MOST_MOMENTS = 3
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


class Describer(Protocol):
    """Turns findings into sentences, each with its evidence."""

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]: ...


class PlainDescriber:
    """Three to ten sentences from numbers alone.

    1. Who was seen and heard. 2. How each comes across. 3. The strongest moments. 4. Contradictions. 5. What could not
    be told.
    """

    def __call__(self, findings: Findings) -> tuple[Sentence, ...]:
        sentences = [_presence(findings)]
        shown = findings.people[:MOST_PEOPLE]
        for index, person in enumerate(shown):
            sentences += _impression(findings, person, is_first=index == 0)
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
        faces = 'no face' if not count else ('one face' if count == 1 else f'{_number(count)} faces')
        return Sentence(f'The picture shows {faces}.', evidence)
    opening = f'In this {what} of {length(source.duration_s)}'
    if not people:
        nothing = 'nobody is seen or heard' if source.kind == 'video' else 'nobody is heard'
        return Sentence(f'{opening}, {nothing}.', ())
    if not visible:
        heard = sum(person.heard_s for person in people)
        if heard <= 0:
            return Sentence(f'{opening}, nobody is seen or heard.', ())
        return Sentence(f'{opening}, speech is heard for {length(heard)}.', evidence)
    clauses = [_seen_and_heard(person, source.duration_s) for person in visible[:MOST_PEOPLE]]
    rest = len(visible) - len(clauses)
    if rest > 0:
        clauses.append(f'{_number(rest)} more {"person is" if rest == 1 else "people are"} seen')
    unseen = next((person for person in people if person.name == UNSEEN and person.heard_s > 0), None)
    if unseen is not None:
        clauses.append(f'{length(unseen.heard_s)} of speech could not be tied to a visible face')
    return Sentence(f'{opening}, {listed(clauses)}.', evidence)


def _seen_and_heard(person: Person, duration_s: float) -> str:
    whole = person.seen_s >= 0.97 * duration_s
    seen = 'is seen throughout' if whole else f'is seen for {length(person.seen_s)}'
    return f'{person.name} {seen}' + (f' and heard for {length(person.heard_s)}' if person.heard_s > 0 else '')


def _impression(findings: Findings, person: Person, *, is_first: bool) -> list[Sentence]:
    """How one person comes across: words, tone, and the sources that say so; none where nothing was measured."""
    words = [x for x in findings.labels if x.person == person.name and x.scope == 'whole']
    if not words and person.valence is None:
        return []
    subject = called(person.name)
    if words:
        qualifier = 'mostly ' if words[0].certainty >= 0.5 else ('perhaps ' if words[0].certainty < 0.3 else '')
        sureness = f'{round(100 * words[0].certainty)} % sure' + (' of the first' if len(words) > 1 else '')
        text = f'{subject} comes across as {qualifier}{listed([x.word for x in words])} ({sureness})'
    else:
        text = f'no word fits {subject} surely enough'
    if is_first and findings.source.kind != 'image':
        text = f'overall, {text}'
    if person.valence is not None and person.arousal is not None:
        scale = ' on scales from −1 to +1' if is_first else ''
        numbers = f'valence {signed(person.valence[0])}, arousal {signed(person.arousal[0])}{scale}'
        text += f'; the tone is {tone(person.valence[0], person.arousal[0])} ({numbers})'
        sources = _leading_sources(findings, person.name)
        text += f', judged mainly by {listed(sources)}' if sources else ''
    evidence = tuple(x for word in words[:1] for x in word.evidence) or (_whole(findings, person),)
    return [Sentence(f'{opened(text)}.', evidence)]


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
            missing.append('no speech was heard')
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
    lacks = {'no face was found': 'faces', 'no speech was heard': 'voice or words', 'the words are not known': 'words'}
    return listed([lacks[reason] for reason in missing], 'or')


def _gaps(findings: Findings) -> Sentence | None:
    """How much time had no reading, contradicted itself, or stayed unsure; None where little did."""
    coverage, total = findings.coverage, findings.source.duration_s
    if findings.source.kind == 'image' or not findings.people or total <= 0:
        return None
    empty = max(0.0, 1.0 - coverage.get('fused', 0.0))
    parts = []
    if empty * total >= max(1.0, 0.05 * total):
        parts.append(f'{_amount(empty * total, "holds", "hold")} nothing that could be read')
    torn, unsure = coverage.get('contradiction', 0.0) * total, coverage.get('unsure', 0.0) * total
    if torn >= 1:
        parts.append(f'{_amount(torn)} left open because the sources contradict each other')
    if unsure >= 1:
        parts.append(f'{_amount(unsure)} too unclear for a category')
    if not parts:
        return None
    gaps = findings.timeline.select(source='fused').gaps(0.0, total)
    evidence = tuple(Evidence('fused', start, end, '') for start, end in gaps[:8])
    return Sentence(f'Of the whole, {listed(parts)}.', evidence)


def _amount(seconds: float, single: str = 'is', plural: str = 'are') -> str:
    """A length and the verb that goes with it: '1 second is', '3 seconds are'."""
    return f'{length(seconds)} {single if is_single(seconds) else plural}'


def _whole(findings: Findings, person: Person) -> Evidence:
    """The fused rows over all of a person's time."""
    path = findings.timeline.series(person.name)
    if not len(path):
        return Evidence('fused', 0.0, findings.source.duration_s, person.name)
    return fused_evidence(path, float(path.start_s[0]), float(path.end_s[-1]))


def _leading_sources(findings: Findings, person: str) -> list[str]:
    """The sources that carry at least a quarter of the weight, heaviest first."""
    path = findings.timeline.series(person)
    weights = path.weights[path.states_dimensions[:, 0]]  # (T, 3)
    totals = {
        source: sum(shares[~np.isnan(shares)].tolist()) for source, shares in zip(WEIGHTED, weights.T, strict=True)
    }
    whole = sum(totals.values())
    order = sorted(totals, key=lambda source: (-totals[source], source))
    return [SOURCE_WORDS[source] for source in order if whole and totals[source] / whole >= 0.25]


def _number(count: int) -> str:
    words = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
    return words[count] if count < len(words) else str(count)
