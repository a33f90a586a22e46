"""From observations to the analysis: speakers, timeline, people, labels, moments and sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affekt.analysis.analysis import Analysis
from affekt.analysis.course import course_of, steps_within
from affekt.analysis.description import Describer, Findings, PlainDescriber
from affekt.analysis.moments import EVIDENCE_COLUMNS, find_moments, with_stills
from affekt.analysis.observations import (
    GOEMOTION_COLUMNS,
    LASTS,
    MOUTH_COLUMNS,
    Observed,
    Trust,
    seconds_of_faces,
    with_people,
)
from affekt.analysis.open_labels import CUE_COLUMNS, Impression, cue_levels, describe_impression, segments
from affekt.analysis.person_series import (
    DIMENSIONS,
    WEIGHTED,
    PersonSeries,
    Readings,
    column,
    fused_evidence,
    rows_of,
    time_mean,
)
from affekt.analysis.phrases import UNSEEN
from affekt.analysis.records import OpenLabel, Person, Stretch
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.steps import fused_series, opinion_rows, opinions_of, steps_of
from affekt.analysis.timeline import Span, Timeline, measure, union
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.people import Mouth, Returned, attribute_turns, match_speakers, return_sentences
from affekt.tables import number_array, text_scalar

Z95 = 1.959964
QUALITY_COLUMNS = {
    'face_size_px': 'faces', 'sharpness': 'faces', 'brightness': 'faces', 'yaw_deg': 'faces',
    'pitch_deg': 'faces', 'loudness_lufs': 'turns', 'snr_db': 'turns', 'noise_db': 'turns',
}  # fmt: skip
"""Columns whose median over a person's rows measures the quality of the input."""


def assemble(observed: Observed, settings: AnalysisSettings, describer: Describer | None = None) -> Analysis:
    """The analysis of one recording: assigns speakers, then concludes."""
    observed = with_speakers(observed)
    notes = (*observed.source.notes, *return_sentences(observed.returned))
    observed = dataclasses.replace(observed, source=dataclasses.replace(observed.source, notes=notes))
    return concluded(observed, settings, describer)


def concluded(observed: Observed, settings: AnalysisSettings, describer: Describer | None = None) -> Analysis:
    """The analysis of observations whose turns and utterances have a person each.

    1. List the people. 2. Fuse the sources per step. 3. Summarise each person. 4. Find words and
    moments. 5. Describe.
    """
    # 1.
    names = people_of(observed)

    # 2.
    timeline = fused_timeline(observed, names, steps_of(observed.source.duration_s, settings.step_s))

    # 3.
    people = tuple(summed_up(observed, timeline, name) for name in names)
    people = tuple(sorted(people, key=lambda p: (p.name == UNSEEN, -(p.seen_s + p.heard_s), p.name)))

    # 4.
    readings = Readings(observed.tables)
    labels = tuple(label for person in people for label in labels_of(readings, timeline, person.name))
    moments = find_moments(timeline, readings, observed.source.duration_s)
    if settings.keep_frames:
        moments = with_stills(moments, observed.still_at)
    else:
        people = tuple(dataclasses.replace(person, thumbnail_jpeg=None) for person in people)

    # 5.
    covered = coverage_of(timeline, observed.source.duration_s)
    has_words = bool(observed.spoken)
    findings = Findings(observed.source, timeline, people, labels, moments, covered, has_words, observed.tables)
    return Analysis(
        source=observed.source,
        timeline=timeline,
        people=people,
        labels=labels,
        moments=moments,
        description=(describer or PlainDescriber())(findings),
        utterances=observed.spoken,
        tables=observed.tables,
        models=observed.models,
        settings=settings,
        coverage=covered,
    )


def with_speakers(observed: Observed) -> Observed:
    """The observations with a person in each turn and utterance, and transcript names assigned to faces."""
    faces, turns, utterances = observed.faces, observed.turns, observed.utterances
    if not turns.num_rows and not utterances.num_rows:
        return observed
    rate = observed.source.analyzed_rate_hz
    mouths = [
        mouth
        for name in _names(faces)
        if (mouth := _mouth(rows_of(faces, name, ('time_s', LASTS, *MOUTH_COLUMNS)), name, rate)) is not None
    ]
    sound = (column(observed.voice, 'time_s'), column(observed.voice, 'loudness_db'))
    turn_spans, utterance_spans = _spans(turns), _spans(utterances)
    heard = [speaker.person for speaker in attribute_turns(turn_spans, mouths, *sound)]
    if not mouths and observed.speakers:
        heard = list(observed.speakers)
    spoke = [speaker.person for speaker in attribute_turns(utterance_spans, mouths, *sound)]

    # A transcript's name overrides mouth movement; utterances without either take the person of their turn.
    given = utterances['speaker'].to_pylist()
    matched = match_speakers(given, utterance_spans, spoke)
    renamed = {person: name for name, person in matched.items()}
    spoke = [name or renamed.get(mouth, mouth) for name, mouth in zip(given, spoke, strict=True)]
    heard = [renamed.get(mouth, mouth) for mouth in heard]
    spoke = [who or _most_shared(span, turn_spans, heard) for who, span in zip(spoke, utterance_spans, strict=True)]
    named = [name and who for name, who in zip(given, spoke, strict=True)]
    heard = [_most_shared(span, utterance_spans, named) or who for span, who in zip(turn_spans, heard, strict=True)]
    spoke, heard = ([who or UNSEEN for who in people] for people in (spoke, heard))

    return dataclasses.replace(
        observed,
        faces=_renamed(faces, renamed),
        turns=with_liveliness(with_people(turns, heard)),
        utterances=with_people(utterances, spoke),
        spoken=tuple(dataclasses.replace(x, person=who) for x, who in zip(observed.spoken, spoke, strict=True)),
        thumbnails={renamed.get(name, name): jpeg for name, jpeg in observed.thumbnails.items()},
        returned={renamed.get(name, name): back for name, back in observed.returned.items()},
    )


def with_liveliness(turns: pa.Table) -> pa.Table:
    """The turns with their liveliness relative to the person; unchanged if acoustic columns are missing."""
    from affekt.voice import COLUMNS, liveliness

    if not turns.num_rows or not {*COLUMNS} <= {*turns.column_names}:
        return turns
    summaries = np.stack([column(turns, name) for name in COLUMNS], axis=1).astype(np.float32)
    lively = liveliness(summaries, turns['person'].to_pylist()).astype(np.float64)
    return turns.set_column(turns.column_names.index('liveliness'), 'liveliness', number_array(lively))


def people_of(observed: Observed) -> list[str]:
    """Names of everybody seen or heard, sorted, the unseen voice last."""
    names = {*_names(observed.faces), *_names(observed.turns), *_names(observed.utterances)} - {''}
    return sorted(names, key=lambda name: (name == UNSEEN, name))


def fused_timeline(observed: Observed, people: Sequence[str], steps: Sequence[Span]) -> Timeline:
    """The timeline of each source and of all fused, for each person."""
    fused, others = [], []
    for person in people:
        opinions = opinions_of(observed, person, steps)
        fused.append(fused_series(person, opinions, steps))
        others.append(opinion_rows(opinions, person))
    return Timeline.of_series(fused, others)


def summed_up(observed: Observed, timeline: Timeline, name: str) -> Person:
    """The summary of one person over the whole recording."""
    faces = rows_of(observed.faces, name, ('time_s', LASTS))
    rate, duration = observed.source.analyzed_rate_hz, observed.source.duration_s
    whole = float(faces.num_rows > 0) * duration
    seen = min(duration, float(seconds_of_faces(faces, rate).sum()) if rate > 0 else whole)
    heard = measure(union([*_spans(rows_of(observed.turns, name))]))
    if not observed.turns.num_rows:
        heard = measure(union(_spans(rows_of(observed.utterances, name))))
    path = timeline.series(name)
    shares = time_mean(path.probabilities, path.seconds)
    categories = {} if np.isnan(shares).any() else dict(zip(EKMAN, shares.tolist(), strict=True))
    valence, arousal = (mean_interval(path, axis, bias_of(path, axis, observed.trust)) for axis in DIMENSIONS)
    quality = {}
    for reading, where in QUALITY_COLUMNS.items():
        values = column(rows_of(observed.tables[where], name, (reading,)), reading)
        values = np.abs(values[~np.isnan(values)]) if reading.endswith('_deg') else values[~np.isnan(values)]
        if values.size:
            quality[reading] = round(float(np.median(values)), 3)
    back = observed.returned.get(name, Returned(1, None))
    course = _course(path, observed.trust)
    if _is_unread(observed, name):
        course = tuple(dataclasses.replace(x, reason='unread') if x.reason == 'unsure' else x for x in course)
    return Person(
        name, round(seen, 3), round(min(heard, duration), 3), observed.thumbnails.get(name), categories,
        valence, arousal, quality, course, back.stretches, back.certainty,
    )  # fmt: skip


def _is_unread(observed: Observed, name: str) -> bool:
    """True if a person is only heard, and no model of vocal emotion took part."""
    stated = ('confidence', *EKMAN)
    turns = rows_of(observed.turns, name)
    is_seen = rows_of(observed.faces, name, ('time_s',)).num_rows > 0
    has_abstained = 'abstains_because' in turns.column_names and any(turns['abstains_because'].to_pylist())
    is_silent = all(np.isnan(column(turns, each)).all() for each in stated)
    return turns.num_rows > 0 and is_silent and not is_seen and not has_abstained


def _course(path: PersonSeries, trust: Mapping[str, Trust]) -> tuple[Stretch, ...]:
    """The stretches of a person's course, each with valence and arousal."""
    stretches = []
    for stretch in course_of(path):
        part = path.where(steps_within(path, stretch))
        valence, arousal = (mean_interval(part, axis, bias_of(part, axis, trust)) for axis in DIMENSIONS)
        stretches.append(dataclasses.replace(stretch, valence=valence, arousal=arousal))
    return tuple(stretches)


def mean_interval(path: PersonSeries, name: str, bias_sd: float = 0.0) -> tuple[float, float, float] | None:
    """The mean of a fused dimension over time with its 95 % interval; None if nothing was measured.

        mean -/+ 1.96 sqrt(bias_sd**2 + (variance of the steps + (own_sd**2 - bias_sd**2)) / effective number)

    The variance of the steps is that around the mean plus that of their own intervals, which include the bias. Steps
    are not independent; their effective number is

        measured seconds / length of a step * (1 - r) / (1 + r),  at least 1

    with r the correlation of neighbouring steps, at most 0.8 and at least 0.3 ** (length of a step in seconds).
    A model's error about a person does not average out, so no length of recording makes the interval narrower than the
    bias.

    Args:
        path: the fused series of a person.
        name: 'valence' or 'arousal'.
        bias_sd: see `bias_of`.
    """
    values = path.dimension(name)
    known = ~np.isnan(values)
    if not known.any():
        return None
    values, seconds = values[known], path.seconds[known]
    mean = float(time_mean(values, seconds))
    centred = values - mean
    halves = ((path.high - path.low) / 2)[known, DIMENSIONS.index(name)]
    own = float(np.nan_to_num(time_mean(np.square(halves / Z95), seconds)))
    variance = float(time_mean(np.square(centred), seconds))
    length_s = float(np.median((path.end_s - path.start_s)[known]))
    spread = float(centred @ centred)
    neighbours = float(centred[1:] @ centred[:-1]) / spread if spread > 1e-9 else 1.0
    correlation = min(max(neighbours, 0.3 ** max(length_s, 0.05)), 0.8)
    effective = max(1.0, float(seconds.sum()) / max(length_s, 1e-9) * (1 - correlation) / (1 + correlation))
    reach = Z95 * float(np.sqrt(bias_sd**2 + (variance + max(0.0, own - bias_sd**2)) / effective))
    return mean, max(-1.0, mean - reach), min(1.0, mean + reach)


def bias_of(path: PersonSeries, name: str, trust: Mapping[str, Trust]) -> float:
    """The standard deviation of the bias of a person's mean: the sources' biases, weighted by their shares in it.

    Errors of face, voice and words are taken as independent, so their squares add.
    """
    known = np.isfinite(path.dimension(name))
    if not known.any():
        return 0.0
    shares = time_mean(np.nan_to_num(path.weights_for(name)[known]), path.seconds[known])
    biases = [getattr(trust[source], f'{name}_bias_sd') if source in trust else 0.0 for source in WEIGHTED]
    return float(np.sqrt(np.sum((shares * np.array(biases)) ** 2)))


def labels_of(readings: Readings, timeline: Timeline, person: str) -> list[OpenLabel]:
    """Open labels for a person's whole time, then for its spans."""
    path = timeline.series(person)
    winners = [int(row.argmax()) if not np.isnan(row).any() else -1 for row in path.probabilities]
    if all(winner < 0 for winner in winners):
        return []
    whole = _impression(readings, path, 0, len(path), 'whole')
    labels = list(describe_impression(whole, most=3)) if whole is not None else []
    for first, last in segments(path.start_s.tolist(), path.end_s.tolist(), winners):
        part = _impression(readings, path, first, last, 'span')
        if part is not None:
            labels += describe_impression(part, most=2)
    return labels


def coverage_of(timeline: Timeline, duration_s: float) -> dict[str, float]:
    """Share of the recording that each source covers, and in which fused rows abstain."""
    if duration_s <= 0:
        return {}
    shares = {}
    for source in ('face', 'voice', 'words', 'fused'):
        shares[source] = _share(timeline.select(source=source), duration_s)
    fused = timeline.select(source='fused', name=EKMAN)
    for reason in ('contradiction', 'unsure'):
        rows = fused.to_arrow().filter(pc.equal(fused.to_arrow()['abstained'], text_scalar(reason)))
        shares[reason] = _share(Timeline(rows), duration_s)
    return shares


def _renamed(faces: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """The table of faces with some people renamed."""
    if not renamed:
        return faces
    return with_people(faces, [renamed.get(name, name) for name in faces['person'].to_pylist()])


def _share(timeline: Timeline, duration_s: float) -> float:
    return round(min(1.0, timeline.slice(0.0, max(duration_s, 1e-9)).coverage() / duration_s), 4)


def _impression(readings: Readings, path: PersonSeries, first: int, last: int, scope: str) -> Impression | None:
    """The mean of a person's fused steps [first, last); None if all abstain."""
    inside = slice(first, last)
    known = ~np.isnan(path.probabilities[inside]).any(axis=1)
    if not known.any():
        return None
    start, end = float(path.start_s[first]), float(path.end_s[last - 1])
    evidence = [fused_evidence(path, start, end)]
    for source, columns in EVIDENCE_COLUMNS.items():
        part = readings.evidence(source, path.person, start, end, columns)
        if part.readings or part.quote:
            evidence.append(part)
    seconds = path.seconds[inside]
    valence, arousal = (float(time_mean(path.dimension(name)[inside], seconds)) for name in DIMENSIONS)
    cues = tuple(name for columns, _, _ in CUE_COLUMNS.values() for name in columns)
    movements = readings.evidence('face', path.person, start, end, cues).readings
    shares = np.where(path.states_categories, np.nan_to_num(path.weights[:, WEIGHTED.index('words')]), 0.0)
    share = float(time_mean(shares[inside], seconds))
    emotions = readings.evidence('words', path.person, start, end, GOEMOTION_COLUMNS).readings
    return Impression(
        path.person, start, end, time_mean(path.probabilities[inside], seconds), valence, arousal,
        float(time_mean(path.confidence[inside], seconds)),
        {label: share * emotions.get(f'goemotions.{label}', 0.0) for label in GOEMOTIONS} if share > 0 else {},
        cue_levels(movements), tuple(evidence), scope,
    )  # fmt: skip


def _names(table: pa.Table) -> list[str]:
    return sorted(pc.unique(table['person']).to_pylist()) if 'person' in table.column_names else []


def _spans(table: pa.Table) -> list[tuple[float, float]]:
    return list(zip(column(table, 'start_s').tolist(), column(table, 'end_s').tolist(), strict=True))


def _mouth(rows: pa.Table, person: str, rate_hz: float) -> Mouth | None:
    name = next((name for name in MOUTH_COLUMNS if name in rows.column_names), None)
    lasting = seconds_of_faces(rows, rate_hz)
    return None if name is None else Mouth(person, column(rows, 'time_s'), column(rows, name), lasting)


def _most_shared(span: tuple[float, float], spans: Sequence[tuple[float, float]], people: Sequence[str]) -> str:
    """The person whose spans overlap a span most; '' if nobody's do."""
    seconds: dict[str, float] = {}
    for other, person in zip(spans, people, strict=True):
        shared = min(span[1], other[1]) - max(span[0], other[0])
        if person and shared > 0:
            seconds[person] = seconds.get(person, 0.0) + shared
    return max(sorted(seconds), key=lambda name: seconds[name]) if seconds else ''
