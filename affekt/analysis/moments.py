"""Points worth looking at: peaks, changes, smiles, contradictions and silences, each with its evidence.

Thresholds are relative to the person's own course where that makes sense: a lively person's usual level is no peak.
Every finder yields candidates with a strength in [0, 1]; `find_moments` keeps the strongest, without
repetitions. Each sentence is written from its evidence alone: a finder first gathers the sources' readings
over the span, and states nothing that they do not support.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pyarrow as pa

from affekt.analysis.course import breaks_of, breaks_of_frames, local_maxima, runs_of, step_sizes
from affekt.analysis.person_series import DIMENSIONS, PersonSeries, Readings, column, fused_evidence, time_mean
from affekt.analysis.phrases import CATEGORY_WORDS, LEAST_TOLD, UNSEEN, called
from affekt.analysis.records import Evidence, Moment
from affekt.analysis.timeline import Timeline, complement, union
from affekt.arrays import Bools, Floats
from affekt.labels import EKMAN
from affekt.wording import length, opened, signed

MOMENT_KINDS: Mapping[str, str] = {
    'peak': 'valence or arousal far from what is usual for the person',
    'change': 'the level before and after differs for at least two seconds on each side',
    'disagreement': 'two sources are sure of different emotions, or of opposite valence',
    'smile': 'the mouth corners are raised for at least half a second in a face that looks happy',
    'silence': 'a pause between turns that is long for the recording',
    'liveliness': 'a turn that is livelier or calmer than is usual for the person who speaks',
}
"""Definition of each kind of moment."""

PEAK_DEVIATIONS = 2.5
"""Robust deviations (1.4826 times the median absolute deviation) from the person's median that make a peak."""
PEAK_LEAST = 0.15
"""Minimum distance from the median, in units of valence or arousal."""
LEAST_MEASURED_S = 0.5
"""Minimum measured time of a peak or a disagreement in seconds: a single frame is not enough."""
CHANGE_LEAST = 0.2
"""Minimum difference of the means before and after a change."""
CHANGE_SIDE_S = 2.0
"""Minimum time on each side over which a change is measured, in seconds."""
OPPOSITE_LEAST = 0.25
"""Minimum absolute valence of two sources that are called opposite: one above 0, the other below."""
SUPERLATIVE_LEAST = {'valence': OPPOSITE_LEAST, 'arousal': 0.15}
"""Minimum distance from 0 of an extreme that is called most positive, calmest and the like."""
SMILE_LEVEL, SMILE_GOES_ON = 0.35, 0.25
"""Value of the reading `smile` at which a smile begins, and the value down to which it continues."""
SMILE_LEAST_S = 0.5
"""Minimum length of a smile in seconds."""
SMILE_HAPPY = 1 / 7
"""Minimum probability of happiness in a smile: that of chance."""
SMILE_SQUINT = 0.3
"""Minimum of `squint` for raised mouth corners to count as a smile where no expression was read."""
UNREAD_S = 1.0
"""Maximum distance in seconds from which a frame without an expression takes that of the nearest frame with one."""
SILENCE_LEAST_S = 4.0
"""Minimum length of a silence in seconds."""
LIVELY_LEAST = 0.4
"""Minimum absolute liveliness of a reported turn; one in 24 normal turns reaches it
(`measurements/liveliness.py`)."""
LEAST_STRENGTH = 0.15
"""Minimum strength of a candidate."""
SAME_S = 2.0
"""Of moments of one person closer than this, in seconds, only the stronger one is kept."""

_FACE_EVIDENCE = (*EKMAN, 'valence', 'arousal', 'smile', 'brow_lower', 'brow_raise_inner', 'eyes_wide', 'jaw_open')
_TURN_EVIDENCE = (
    *EKMAN, 'valence', 'arousal', 'liveliness', 'loudness_lufs', 'f0_mean_hz', 'f0_sd_st', 'syllables_per_s',
)  # fmt: skip
_WORDS_EVIDENCE = (*EKMAN, 'valence', 'arousal')
EVIDENCE_COLUMNS = {'face': _FACE_EVIDENCE, 'voice': _TURN_EVIDENCE, 'words': _WORDS_EVIDENCE}
"""Source to the columns of its table that serve as evidence."""
_VERBS = {'face': 'the face looks', 'voice': 'the voice sounds', 'words': 'the words read as'}


@dataclass(frozen=True)
class Course:
    """Input of the finders: the series of each person and source, and the tables."""

    timeline: Timeline
    readings: Readings
    duration_s: float

    @cached_property
    def people(self) -> tuple[str, ...]:
        """All people in the timeline."""
        return self.timeline.people

    def evidence(
        self, person: str, *spans: tuple[float, float], sources: Sequence[str] = tuple(EVIDENCE_COLUMNS)
    ) -> tuple[Evidence, ...]:
        """The fused rows over each span, then each source's readings over all spans, where measured."""
        series = self.timeline.series(person)
        parts = [fused_evidence(series, *span) for span in spans if len(series)]
        for source in sources:
            columns = EVIDENCE_COLUMNS[source]
            source_evidence = self.readings.evidence(source, person, spans[0][0], spans[-1][1], columns)
            if source_evidence.readings or source_evidence.quote:
                parts.append(source_evidence)
        return tuple(parts)


def find_moments(timeline: Timeline, readings: Readings, duration_s: float, *, most: int = 9) -> tuple[Moment, ...]:
    """The strongest moments of a recording, sorted by time, without stills.

    Args:
        timeline: timeline with fused rows.
        readings: tables of an analysis.
        duration_s: length of the recording; no moment extends beyond it.
        most: maximum number of moments.
    """
    course = Course(timeline, readings, duration_s)
    candidates = [
        candidate for finder in FINDERS.values() for candidate in finder(course) if candidate.strength >= LEAST_STRENGTH
    ]
    ranked = sorted(
        candidates, key=lambda candidate: (-candidate.strength, candidate.time_s, candidate.kind, candidate.person)
    )
    kept: list[Moment] = []
    for moment in ranked:
        if len(kept) < most and not any(_is_duplicate(moment, other) for other in kept):
            kept.append(moment)
    kept.sort(key=lambda candidate: (candidate.time_s, candidate.kind))
    return tuple(kept)


def with_stills(moments: Sequence[Moment], still_at: Callable[[float], bytes | None]) -> tuple[Moment, ...]:
    """The moments, each with the JPEG that `still_at` returns for its time, if any."""
    return tuple(dataclasses.replace(moment, still_jpeg=still_at(moment.time_s)) for moment in moments)


def peaks(course: Course) -> Iterator[Moment]:
    """The extreme of each run of steps far from the person's median."""
    for person in course.people:
        series = course.timeline.series(person)
        for name in DIMENSIONS:
            values = series.dimension(name)
            measured = values[~np.isnan(values)]
            if measured.size < 5:
                continue
            median = float(np.median(measured))
            spread = max(1.4826 * float(np.median(np.abs(measured - median))), 0.04)
            deviations = np.nan_to_num(values - median)
            is_far = (np.abs(deviations) >= PEAK_DEVIATIONS * spread) & (np.abs(deviations) >= PEAK_LEAST)
            runs = _measured_runs(series, is_far, np.sign(deviations))
            spans = [(float(series.start_s[first]), float(series.end_s[last - 1])) for first, last in runs]
            evidence = [course.evidence(person, span) for span in spans]
            levels = [span_evidence[0].readings[name] for span_evidence in evidence]
            for (first, last), span, span_evidence, level in zip(runs, spans, evidence, levels, strict=True):
                peak = first + int(np.argmax(np.abs(deviations[first:last])))
                side = np.sign(level - median)
                is_extreme = side * values[peak] >= np.nanmax(side * values) and _is_farthest(level, levels, median)
                sentence = _peak_sentence(person, name, level, median, is_extreme=is_extreme)
                time_s = float(series.start_s[peak] + series.end_s[peak]) / 2
                strength = _strength(abs(deviations[peak]) / 0.8, series.confidence[peak])
                yield Moment('peak', time_s, *span, person, strength, sentence, span_evidence)


def changes(course: Course) -> Iterator[Moment]:
    """Boundaries at which the level of valence or arousal changes."""
    for person in course.people:
        series = course.timeline.series(person)
        if len(series) < 4:
            continue
        breaks = breaks_of(series.end_s[:-1], series.start_s[1:], 1e-6)
        side = max(2, int(np.ceil(CHANGE_SIDE_S / float(np.median(series.end_s - series.start_s)))))
        for name in DIMENSIONS:
            sizes = step_sizes(series.dimension(name), side)
            for step in local_maxima(np.abs(sizes), side):
                low, high = max(0, step - side), min(len(series), step + side)
                if abs(sizes[step]) < CHANGE_LEAST or breaks[low + 1 : high].any():
                    continue
                start, time_s, end = (
                    float(series.start_s[low]),
                    float(series.start_s[step]),
                    float(series.end_s[high - 1]),
                )
                evidence = course.evidence(person, (start, time_s), (time_s, end))
                before, after = (part.readings[name] for part in evidence[:2])
                if abs(after - before) < CHANGE_LEAST or (after > before) != (sizes[step] > 0):
                    continue
                turn = f'{opened(called(person))} turns {_comparative(name, before, after)}'
                sentence = f'{turn}: {name} goes from {signed(before)} to {signed(after)}.'
                strength = _strength(abs(sizes[step]) / 0.8, series.confidence[step]) * 0.95
                yield Moment('change', time_s, start, end, person, strength, sentence, evidence)


def disagreements(course: Course) -> Iterator[Moment]:
    """Runs of steps that abstain as contradictions, and steps where sources have opposite valence."""
    for person in course.people:
        series = course.timeline.series(person)
        is_contradiction = np.array([reason == 'contradiction' for reason in series.abstained], dtype=bool)
        sources = {name: course.timeline.series(person, name) for name in _VERBS}
        is_opposite = np.array(
            [_opposes(sources, start_s, end_s) for start_s, end_s in zip(series.start_s, series.end_s, strict=True)],
            dtype=bool,
        )
        for first, last in _measured_runs(series, is_contradiction | is_opposite, np.zeros(len(series))):
            span = (float(series.start_s[first]), float(series.end_s[last - 1]))
            evidence = course.evidence(person, span)
            sentence = _disagreement_sentence(person, [part for part in evidence if part.source in _VERBS])
            if sentence:
                strength = min(1.0, 0.55 + 0.1 * (last - first) + (0.15 if is_contradiction[first:last].any() else 0.0))
                yield Moment('disagreement', (span[0] + span[1]) / 2, *span, person, strength, sentence, evidence)


def smiles(course: Course) -> Iterator[Moment]:
    """Spans in which the mouth corners stay raised and the face looks happy."""
    for person in course.people:
        times, levels = (course.readings.column('faces', person, name) for name in ('time_s', 'smile'))
        is_smiling = (np.nan_to_num(levels) >= SMILE_GOES_ON) & _looks_happy(course.readings, person)
        for first, last in runs_of(is_smiling, np.zeros(len(levels)), breaks_of_frames(times)):
            span = (float(times[first]), float(times[last - 1]))
            peak = first + int(np.nanargmax(levels[first:last]))
            if span[1] - span[0] < SMILE_LEAST_S or levels[peak] < SMILE_LEVEL:
                continue
            evidence = course.evidence(person, span, sources=('face',))
            if any(map(_speaks_against_smile, evidence)):
                continue
            sentence = f'{opened(called(person))} smiles for {length(span[1] - span[0])}.'
            strength = _strength(0.4 + 0.4 * float(levels[peak]), 1.0) * 0.8
            yield Moment('smile', float(times[peak]), *span, person, strength, sentence, evidence)


def silences(course: Course) -> Iterator[Moment]:
    """Pauses between turns or words that are long, also relative to others in this recording."""
    table = course.readings.tables.get('turns')
    if table is None or table.num_rows < 2:
        return
    utterances = course.readings.tables.get('utterances', table.slice(0, 0))
    spoken = union(span for rows in (table, utterances) for span in _spans_of(rows))
    pauses = complement(spoken, spoken[0][0], spoken[-1][1]) if spoken else ()
    median_s = float(np.median([end - start for start, end in pauses])) if pauses else 0.0
    for start, end in pauses:
        if end - start >= max(SILENCE_LEAST_S, 3 * median_s if len(pauses) > 2 else 0.0):
            seconds = end - start
            evidence = Evidence('voice', start, end, '', {'pause_s': round(seconds, 2)})
            strength = min(0.4, 0.15 + 0.01 * seconds)
            sentence = f'Nobody speaks for {length(seconds)}.'
            yield Moment('silence', (start + end) / 2, start, end, '', strength, sentence, (evidence,))


def lively_turns(course: Course) -> Iterator[Moment]:
    """Turns that are clearly livelier or calmer than the speaker's usual, which differs from arousal."""
    for person in course.people:
        liveliness = course.readings.column('turns', person, 'liveliness')
        starts, ends = (course.readings.column('turns', person, name) for name in ('start_s', 'end_s'))
        for row in np.flatnonzero(np.abs(np.nan_to_num(liveliness)) >= LIVELY_LEAST).tolist():
            span = (float(starts[row]), float(min(ends[row], course.duration_s)))
            evidence = course.evidence(person, span) if span[1] > span[0] else ()
            level = next((part.readings.get('liveliness', 0.0) for part in evidence if part.source == 'voice'), 0.0)
            if abs(level) < LIVELY_LEAST:
                continue
            comparative = 'livelier' if level > 0 else 'calmer'
            norm = 'usual' if person == UNSEEN else 'is usual for this person'
            sentence = f'{opened(called(person))} sounds {comparative} than {norm}: liveliness {signed(level)}.'
            yield Moment(
                'liveliness', (span[0] + span[1]) / 2, *span, person, _strength(abs(level), 0.5), sentence, evidence
            )


FINDERS: Mapping[str, Callable[[Course], Iterator[Moment]]] = {
    'peak': peaks,
    'change': changes,
    'disagreement': disagreements,
    'smile': smiles,
    'silence': silences,
    'liveliness': lively_turns,
}
"""Kind of moment to its finder."""


def _measured_runs(series: PersonSeries, flags: Bools, sides: Floats) -> list[tuple[int, int]]:
    """Runs of flagged steps without a gap, as `runs_of`, that were measured for LEAST_MEASURED_S."""
    runs = runs_of(flags, sides, breaks_of(series.end_s[:-1], series.start_s[1:], 1e-6))
    return [(first, last) for first, last in runs if series.seconds[first:last].sum() >= LEAST_MEASURED_S]


def _looks_happy(readings: Readings, person: str) -> Bools:
    """(N,) the frames that support a smile: no emotion is likelier than happiness, which is at least at chance, and
    valence is above 0; or, where no expression was read nearby, the eyes are narrowed."""
    shares = np.stack([readings.column('faces', person, name) for name in EKMAN], axis=1)  # (N, 7)
    valence, squint, times = (readings.column('faces', person, name) for name in ('valence', 'squint', 'time_s'))
    has_expression = np.isfinite(shares).all(axis=1)
    happiness = shares[:, EKMAN.index('happiness')]
    others = np.nan_to_num(shares[:, :-1]).max(axis=1, initial=0.0)
    looks_happy = (happiness >= np.maximum(others, SMILE_HAPPY)) & (np.nan_to_num(valence) > 0)
    by_eyes = np.asarray(np.nan_to_num(squint) >= SMILE_SQUINT)
    if not has_expression.any():
        return by_eyes
    readable = np.flatnonzero(has_expression)
    later = np.clip(np.searchsorted(times[readable], times), 0, len(readable) - 1)
    earlier = np.maximum(later - 1, 0)
    is_earlier = np.abs(times - times[readable[earlier]]) <= np.abs(times[readable[later]] - times)
    nearest = readable[np.where(is_earlier, earlier, later)]
    nearest = np.where(has_expression, np.arange(len(times)), nearest)
    return np.where(np.abs(times - times[nearest]) <= UNREAD_S, looks_happy[nearest], by_eyes)


def _speaks_against_smile(part: Evidence) -> bool:
    """Whether in a piece of evidence another emotion is likelier than happiness, or valence is below 0."""
    others = [share for name, share in part.readings.items() if name in EKMAN[:-1] and name != 'happiness']
    return max(others, default=0.0) > part.readings.get('happiness', 0.0) or part.readings.get('valence', 0.0) < 0


def _spans_of(table: pa.Table) -> list[tuple[float, float]]:
    return list(zip(column(table, 'start_s').tolist(), column(table, 'end_s').tolist(), strict=True))


def _is_farthest(level: float, levels: Sequence[float], median: float) -> bool:
    """Whether a level is farther out than all others on its side, by more than the printed precision."""
    distances = sorted((abs(other - median) for other in levels if (other > median) == (level > median)), reverse=True)
    return abs(level - median) == distances[0] and (len(distances) == 1 or distances[0] - distances[1] >= 0.01)


def _peak_sentence(person: str, name: str, value: float, median: float, *, is_extreme: bool) -> str:
    """A superlative where the value is the extreme of the course and clearly on its side of 0, else a comparative."""
    is_above = value > median
    has_its_side = (value > 0) == is_above and abs(value) >= SUPERLATIVE_LEAST[name]
    if name == 'arousal':
        words = ('liveliest' if is_above else 'calmest') if is_extreme and has_its_side else ''
        words = words or ('livelier than usual' if is_above else 'calmer than usual')
    elif is_extreme and has_its_side:
        words = 'most positive' if is_above else 'most negative'
    else:
        words = f'{_comparative(name, median, value)} than usual'
    numbers = f'{name} {signed(value)}, usually {signed(median)}'
    return f'{opened(called(person))} comes across as {words}: {numbers}.'


def _comparative(name: str, before: float, after: float) -> str:
    """The comparative for a level that differs from another: 'more positive', 'less negative', 'calmer'."""
    rises = after > before
    if name == 'arousal':
        return 'livelier' if rises else 'calmer'
    if rises:
        return 'more positive' if after > 0 else 'less negative'
    return 'less positive' if before > 0 else 'more negative'


def _opposes(sources: Mapping[str, PersonSeries], start_s: float, end_s: float) -> bool:
    """Whether two sources have clear valence of opposite sign over a step."""
    clear_means = []
    for series in sources.values():
        steps = series.between(start_s, end_s)
        mean = float(time_mean(series.valence[steps], series.seconds[steps]))
        if abs(mean) >= OPPOSITE_LEAST:
            clear_means.append(mean)
    return bool(clear_means) and min(clear_means) < 0 < max(clear_means)


def _disagreement_sentence(person: str, evidence: Sequence[Evidence]) -> str:
    """One sentence that sets the two most opposite sources side by side; '' if no two disagree over the span."""
    pairs = []
    for pair in combinations(evidence, 2):
        first, second = sorted(pair, key=lambda part: -part.readings.get('valence', 0.0))
        words = _opposed_words(first, second)
        if words is not None:
            distance = first.readings.get('valence', 0.0) - second.readings.get('valence', 0.0)
            pairs.append((distance, f'{_VERBS[first.source]} {words[0]} while {_VERBS[second.source]} {words[1]}'))
    if not pairs:
        return ''
    text = max(pairs)[1]
    owner = '' if person == UNSEEN else f' of {person}'
    return f'{opened(text.replace("the face", f"the face{owner}", 1))}.'


def _opposed_words(first: Evidence, second: Evidence) -> tuple[str, str] | None:
    """The differing words for two sources; None if they do not disagree."""
    emotions = [_emotion_of(part) for part in (first, second)]
    if all(emotions) and emotions[0] != emotions[1]:
        return CATEGORY_WORDS[emotions[0]], CATEGORY_WORDS[emotions[1]]
    high, low = (part.readings.get('valence', 0.0) for part in (first, second))
    return ('positive', 'negative') if high >= OPPOSITE_LEAST and low <= -OPPOSITE_LEAST else None


def _emotion_of(part: Evidence) -> str:
    """The likeliest category of a source, if it is an emotion and likely enough to be named; else ''."""
    best = max(EKMAN, key=lambda name: part.readings.get(name, 0.0))
    return best if best != 'neutral' and part.readings.get(best, 0.0) >= LEAST_TOLD else ''


def _strength(size: float, confidence: float) -> float:
    """Size in [0, 1], reduced where the fused confidence is low; an unknown confidence counts as one half."""
    certainty = 0.5 if np.isnan(confidence) else float(confidence)
    return float(np.clip(size, 0.0, 1.0) * (0.5 + 0.5 * certainty))


def _is_duplicate(moment: Moment, other: Moment) -> bool:
    """Whether two moments of one person are closer than SAME_S, or of one kind and overlapping."""
    if moment.person != other.person:
        return False
    if abs(moment.time_s - other.time_s) < SAME_S:
        return True
    return moment.kind == other.kind and moment.start_s < other.end_s and other.start_s < moment.end_s
