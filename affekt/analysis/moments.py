"""Points worth looking at: peaks, turns, smiles, contradictions and silences, each with what says so.

All thresholds are relative to the person's own course where that makes sense: a lively person's usual is no peak. Every
finder returns candidates with a strength in [0, 1]; `find_moments` keeps the strongest that do not tell the same thing
twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from affekt.analysis.person_series import DIMENSIONS, PersonSeries, Readings, column, fused_evidence
from affekt.analysis.phrases import CATEGORY_WORDS, UNSEEN, called
from affekt.analysis.records import Evidence, Moment
from affekt.analysis.timeline import Timeline, complement, union
from affekt.labels import EKMAN
from affekt.wording import length, opened, signed

MOMENT_KINDS: Mapping[str, str] = {
    'peak': 'valence or arousal far from what is usual for the person',
    'change': 'the level before and after differs for at least two seconds on each side',
    'disagreement': 'two sources are sure of different emotions, or of opposite valence',
    'smile': 'the mouth corners are raised for at least half a second',
    'silence': 'a pause between turns that is long for the recording',
}
"""What each kind of moment means."""

PEAK_DEVIATIONS = 2.5
"""Robust deviations (1.4826 times the median absolute deviation) from the person's median that make a peak."""
PEAK_LEAST = 0.15
"""Least distance from the median, in units of valence or arousal."""
CHANGE_LEAST = 0.2
"""Least difference of the means before and after a change."""
CHANGE_SIDE_S = 2.0
"""Seconds on each side that a change is measured over, at least."""
OPPOSITE_LEAST = 0.25
"""Least valence, on both sides of 0, for sources to be called opposite."""
SMILE_LEVEL = 0.35
"""Least value of the reading `smile`."""
SMILE_LEAST_S = 0.5
SILENCE_LEAST_S = 4.0
LEAST_STRENGTH = 0.15
"""Weaker candidates are left out."""
SAME_S = 2.0
"""Moments of one person closer than this tell the same thing; the stronger stays."""

_FACE_EVIDENCE = (*EKMAN, 'valence', 'arousal', 'smile', 'brow_lower', 'brow_raise_inner', 'eyes_wide', 'jaw_open')
_TURN_EVIDENCE = (*EKMAN, 'valence', 'arousal', 'loudness_lufs', 'f0_mean_hz', 'f0_sd_st', 'syllables_per_s')
_WORDS_EVIDENCE = (*EKMAN, 'valence', 'arousal')
EVIDENCE_COLUMNS = {'face': _FACE_EVIDENCE, 'voice': _TURN_EVIDENCE, 'words': _WORDS_EVIDENCE}
"""Which columns of a source's table are shown as evidence."""


@dataclass(frozen=True)
class Course:
    """What the finders look at: the series of each person and source, and the tables."""

    timeline: Timeline
    readings: Readings
    duration_s: float

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Whoever the timeline names."""
        return self.timeline.people


def find_moments(timeline: Timeline, readings: Readings, duration_s: float, *, most: int = 9) -> tuple[Moment, ...]:
    """The strongest moments of a recording, in order of time, without pictures.

    Args:
        timeline: with fused rows.
        readings: the tables of an analysis.
        duration_s: length of the recording.
        most: at most so many.
    """
    course = Course(timeline, readings, duration_s)
    candidates = [m for finder in FINDERS.values() for m in finder(course) if m.strength >= LEAST_STRENGTH]
    ranked = sorted(candidates, key=lambda m: (-m.strength, m.time_s, m.kind, m.person))
    kept: list[Moment] = []
    for moment in ranked:
        if len(kept) < most and not any(_tells_the_same(moment, other) for other in kept):
            kept.append(moment)
    kept.sort(key=lambda m: (m.time_s, m.kind))
    return tuple(_with_evidence(course, moment) for moment in kept)


def with_stills(moments: Sequence[Moment], still_at: Callable[[float], bytes | None]) -> tuple[Moment, ...]:
    """The moments with a JPEG each, where `still_at` has one for their time."""
    return tuple(dataclasses.replace(moment, still_jpeg=still_at(moment.time_s)) for moment in moments)


def peaks(course: Course) -> Iterator[Moment]:
    """The extreme of each run of steps that lies far from the person's median."""
    for person in course.people:
        path = course.timeline.series(person)
        for name in DIMENSIONS:
            values = path.dimension(name)
            known = values[~np.isnan(values)]
            if known.size < 5:
                continue
            usual = float(np.median(known))
            spread = max(1.4826 * float(np.median(np.abs(known - usual))), 0.04)
            away = np.nan_to_num(values - usual)
            far = (np.abs(away) >= PEAK_DEVIATIONS * spread) & (np.abs(away) >= PEAK_LEAST)
            for first, last in _runs(far, np.sign(away)):
                top = first + int(np.argmax(np.abs(away[first:last])))
                span = (float(path.start_s[first]), float(path.end_s[last - 1]))
                strength = _strength(abs(away[top]) / 0.8, path.confidence[top])
                sentence = _peak_sentence(person, name, float(values[top]), usual)
                yield _moment('peak', person, float(path.start_s[top] + path.end_s[top]) / 2, span, strength, sentence)


def changes(course: Course) -> Iterator[Moment]:
    """Boundaries where valence or arousal settles on another level."""
    for person in course.people:
        path = course.timeline.series(person)
        if len(path) < 4:
            continue
        side = max(2, int(np.ceil(CHANGE_SIDE_S / float(np.median(path.end_s - path.start_s)))))
        for name in DIMENSIONS:
            step = _step_sizes(path.dimension(name), side)
            for at in _local_maxima(np.abs(step), side):
                if abs(step[at]) < CHANGE_LEAST:
                    continue
                low, high = max(0, at - side), min(len(path), at + side)
                if not _is_contiguous(path, low, high):
                    continue
                span = (float(path.start_s[low]), float(path.end_s[high - 1]))
                way = {'valence': ('more positive', 'less positive'), 'arousal': ('livelier', 'calmer')}[name]
                before = float(np.nanmean(path.dimension(name)[low:at]))
                sentence = (
                    f'{opened(called(person))} turns {way[0 if step[at] > 0 else 1]}: {name} goes from '
                    f'{signed(before)} to {signed(before + float(step[at]))}.'
                )
                strength = _strength(abs(step[at]) / 0.8, path.confidence[at]) * 0.95
                yield _moment('change', person, float(path.start_s[at]), span, strength, sentence)


def disagreements(course: Course) -> Iterator[Moment]:
    """Runs of steps that abstain as contradictions, and steps where sources have opposite valence."""
    for person in course.people:
        path = course.timeline.series(person)
        torn = np.array([reason == 'contradiction' for reason in path.abstained], dtype=bool)
        sources = {name: course.timeline.series(person, name) for name in ('face', 'voice', 'words')}
        opposite = np.array(
            [_opposes(sources, s, e) for s, e in zip(path.start_s, path.end_s, strict=True)], dtype=bool
        )
        for first, last in _runs(torn | opposite, np.zeros(len(path))):
            span = (float(path.start_s[first]), float(path.end_s[last - 1]))
            claims = {name: _says(part, *span) for name, part in sources.items()}
            sentence = _disagreement_sentence(person, {k: v for k, v in claims.items() if v is not None})
            if sentence:
                strength = min(1.0, 0.55 + 0.1 * (last - first) + (0.15 if torn[first:last].any() else 0.0))
                yield _moment('disagreement', person, (span[0] + span[1]) / 2, span, strength, sentence)


def smiles(course: Course) -> Iterator[Moment]:
    """Stretches of a face table where the mouth corners stay up."""
    for person in course.people:
        times, level = (course.readings.column('faces', person, name) for name in ('time_s', 'smile'))
        for first, last in _runs(np.nan_to_num(level) >= SMILE_LEVEL, np.zeros(len(level))):
            span = (float(times[first]), float(times[last - 1]))
            if span[1] - span[0] < SMILE_LEAST_S:
                continue
            top = first + int(np.nanargmax(level[first:last]))
            sentence = f'{opened(called(person))} smiles for {length(span[1] - span[0])}.'
            strength = _strength(0.4 + 0.4 * float(level[top]), 1.0) * 0.8
            yield _moment('smile', person, float(times[top]), span, strength, sentence)


def silences(course: Course) -> Iterator[Moment]:
    """Pauses between turns that are long, and longer than most in this recording."""
    table = course.readings.tables.get('turns')
    if table is None or table.num_rows < 2:
        return
    spoken = union(zip(column(table, 'start_s').tolist(), column(table, 'end_s').tolist(), strict=True))
    pauses = complement(spoken, spoken[0][0], spoken[-1][1])
    usual = float(np.median([end - start for start, end in pauses])) if pauses else 0.0
    for start, end in pauses:
        if end - start >= max(SILENCE_LEAST_S, 3 * usual if len(pauses) > 2 else 0.0):
            seconds = end - start
            evidence = Evidence('voice', start, end, '', {'pause_s': round(seconds, 2)})
            strength = min(0.4, 0.15 + 0.01 * seconds)
            sentence = f'Nobody speaks for {length(seconds)}.'
            yield Moment('silence', (start + end) / 2, start, end, '', strength, sentence, (evidence,))


FINDERS: Mapping[str, Callable[[Course], Iterator[Moment]]] = {
    'peak': peaks,
    'change': changes,
    'disagreement': disagreements,
    'smile': smiles,
    'silence': silences,
}
"""Kind to the function that finds moments of it."""


def _with_evidence(course: Course, moment: Moment) -> Moment:
    """The moment with the fused rows and each source's readings as its evidence, where it has none yet."""
    if moment.evidence:
        return moment
    path, span = course.timeline.series(moment.person), (moment.start_s, moment.end_s)
    parts = [fused_evidence(path, *span)] if len(path) else []
    for source, columns in EVIDENCE_COLUMNS.items():
        part = course.readings.evidence(source, moment.person, *span, columns)
        if part.readings or part.quote:
            parts.append(part)
    return dataclasses.replace(moment, evidence=tuple(parts))


def _moment(kind: str, person: str, time_s: float, span: tuple[float, float], strength: float, sentence: str) -> Moment:
    """A candidate, its evidence to follow."""
    return Moment(kind, time_s, span[0], span[1], person, float(strength), sentence, ())


def _peak_sentence(person: str, name: str, value: float, usual: float) -> str:
    """Superlatives where the value itself is clear and on its side of 0, comparatives elsewhere."""
    above = value > usual
    if name == 'arousal':
        words = 'liveliest' if above else 'calmest'
    elif abs(value) >= OPPOSITE_LEAST and (value > 0) == above:
        words = 'most positive' if above else 'most negative'
    elif (usual > 0) == above:
        words = 'more positive than usual' if above else 'more negative than usual'
    else:
        words = 'less negative than usual' if above else 'less positive than usual'
    numbers = f'{name} {signed(value)}, usually {signed(usual)}'
    return f'{opened(called(person))} comes across as {words}: {numbers}.'


def _opposes(sources: Mapping[str, PersonSeries], start_s: float, end_s: float) -> bool:
    """Whether two sources have clear valence of opposite sign over a step."""
    clear = []
    for part in sources.values():
        steps = part.between(start_s, end_s)
        values = part.valence[steps]
        if values.size and not np.isnan(values).all():
            mean = float(np.nanmean(values))
            if abs(mean) >= OPPOSITE_LEAST:
                clear.append(mean)
    return bool(clear) and min(clear) < 0 < max(clear)


def _says(part: PersonSeries, start_s: float, end_s: float) -> tuple[str, float] | None:
    """The likeliest category and the valence of a source over a span; None where it says nothing."""
    steps = part.between(start_s, end_s)
    shares = part.probabilities[steps]
    known = shares[~np.isnan(shares).any(axis=1)]
    if not len(known):
        return None
    valences = part.valence[steps]
    valence = float(np.nanmean(valences)) if not np.isnan(valences).all() else 0.0
    return EKMAN[int(known.mean(axis=0).argmax())], valence


def _disagreement_sentence(person: str, claims: Mapping[str, tuple[str, float]]) -> str:
    """One sentence that sets the two most opposite sources side by side; '' where there are not two."""
    if len(claims) < 2:
        return ''
    order = sorted(claims, key=lambda source: claims[source][1])
    first, second = order[-1], order[0]
    verbs = {'face': 'the face looks', 'voice': 'the voice sounds', 'words': 'the words read as'}

    def clause(source: str) -> str:
        category, valence = claims[source]
        word = CATEGORY_WORDS[category]
        if claims[first][0] == claims[second][0]:
            word = 'positive' if valence > 0 else 'negative'
        return f'{verbs[source]} {word}'

    who = '' if person == UNSEEN else f' of {person}'
    text = f'{clause(first)} while {clause(second)}'
    return f'{opened(text.replace("the face", f"the face{who}", 1) if who else text)}.'


def _step_sizes(values: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """(T,) mean of the `side` values from t on minus mean of those before t; 0 where either side lacks values."""
    sizes = np.zeros(len(values))
    for t in range(side, len(values) - side + 1):
        before, after = values[t - side : t], values[t : t + side]
        if not (np.isnan(before).any() or np.isnan(after).any()):
            noise = np.sqrt((before.var() + after.var()) / 2) + 0.02
            size = float(after.mean() - before.mean())
            sizes[t] = size if abs(size) >= 1.5 * noise else 0.0
    return sizes


def _local_maxima(values: npt.NDArray[np.float64], side: int) -> list[int]:
    """Places whose value is positive and the largest within `side` on either hand; the first of equals."""
    places = []
    for t in np.flatnonzero(values > 0).tolist():
        low = max(0, t - side)
        window = values[low : t + side + 1]
        if int(window.argmax()) + low == t:
            places.append(t)
    return places


def _is_contiguous(path: PersonSeries, low: int, high: int) -> bool:
    return bool(np.allclose(path.start_s[low + 1 : high], path.end_s[low : high - 1], atol=1e-6))


def _runs(flags: npt.NDArray[np.bool_], sides: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """[first, last) of each run of True within which `sides` stays the same."""
    runs, start = [], -1
    for t in range(len(flags) + 1):
        inside = t < len(flags) and bool(flags[t])
        if start >= 0 and (not inside or sides[t] != sides[start]):
            runs.append((start, t))
            start = -1
        if inside and start < 0:
            start = t
    return runs


def _strength(size: float, confidence: float) -> float:
    """Size in [0, 1] damped where the fused categories are not sure; an unknown confidence counts as one half."""
    sure = 0.5 if np.isnan(confidence) else float(confidence)
    return float(np.clip(size, 0.0, 1.0) * (0.5 + 0.5 * sure))


def _tells_the_same(moment: Moment, other: Moment) -> bool:
    """Whether two moments of one person lie closer than SAME_S, or a smile lies inside a stronger one."""
    if moment.person != other.person:
        return False
    if abs(moment.time_s - other.time_s) < SAME_S:
        return True
    return moment.kind == other.kind and moment.start_s < other.end_s and other.start_s < moment.end_s
