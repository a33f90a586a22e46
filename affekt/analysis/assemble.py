"""From observations to the analysis: speakers, timeline, people, labels, moments and sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import chain, count

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
    seconds_seen,
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
"""Quantile of the normal distribution for a 95 % interval."""
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
    covered = coverage_of(observed, timeline)
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
    """The observations with a person in each turn and utterance, and faces named as in the transcript."""
    faces, turns, utterances = observed.faces, observed.turns, observed.utterances
    if not turns.num_rows and not utterances.num_rows:
        return observed
    rate = observed.source.analyzed_rate_hz
    mouths = [
        mouth
        for name in _names(faces)
        if (mouth := _mouth(rows_of(faces, name, ('time_s', LASTS, *MOUTH_COLUMNS)), name, rate)) is not None
    ]
    loudness = (column(observed.voice, 'time_s'), column(observed.voice, 'loudness_db'))
    turn_spans, utterance_spans = _spans(turns), _spans(utterances)
    turn_people = [speaker.person for speaker in attribute_turns(turn_spans, mouths, *loudness)]
    if not mouths and observed.speakers:
        turn_people = list(observed.speakers)
    utterance_people = [speaker.person for speaker in attribute_turns(utterance_spans, mouths, *loudness)]

    # A transcript's name overrides mouth movement; utterances without either take the person of their turn.
    transcript_names = utterances['speaker'].to_pylist()
    matched = match_speakers(transcript_names, utterance_spans, utterance_people)
    renamed = _without_namesakes({person: name for name, person in matched.items()}, _names(faces), transcript_names)
    utterance_people = [
        name or renamed.get(mouth, mouth) for name, mouth in zip(transcript_names, utterance_people, strict=True)
    ]
    turn_people = [renamed.get(mouth, mouth) for mouth in turn_people]
    utterance_people = [
        speaker or _most_shared(span, turn_spans, turn_people)
        for speaker, span in zip(utterance_people, utterance_spans, strict=True)
    ]
    named_people = [name and speaker for name, speaker in zip(transcript_names, utterance_people, strict=True)]
    turn_people = [
        _most_shared(span, utterance_spans, named_people) or speaker
        for span, speaker in zip(turn_spans, turn_people, strict=True)
    ]
    utterance_people, turn_people = (
        [speaker or UNSEEN for speaker in people] for people in (utterance_people, turn_people)
    )

    return dataclasses.replace(
        observed,
        faces=_renamed(faces, renamed),
        turns=with_liveliness(with_people(turns, turn_people)),
        utterances=with_people(utterances, utterance_people),
        spoken=tuple(
            dataclasses.replace(utterance, person=speaker)
            for utterance, speaker in zip(observed.spoken, utterance_people, strict=True)
        ),
        thumbnails={renamed.get(name, name): jpeg for name, jpeg in observed.thumbnails.items()},
        returned={renamed.get(name, name): tracks for name, tracks in observed.returned.items()},
    )


def with_liveliness(turns: pa.Table) -> pa.Table:
    """The turns with their liveliness relative to their person; unchanged if acoustic columns are missing."""
    from affekt.voice import COLUMNS, liveliness

    if not turns.num_rows or not {*COLUMNS} <= {*turns.column_names}:
        return turns
    summaries = np.stack([column(turns, name) for name in COLUMNS], axis=1).astype(np.float32)
    lively = liveliness(summaries, turns['person'].to_pylist()).astype(np.float64)
    return turns.set_column(turns.column_names.index('liveliness'), 'liveliness', number_array(lively))


def people_of(observed: Observed) -> list[str]:
    """Names of everybody seen or heard, sorted, UNSEEN last."""
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
    duration_s = observed.source.duration_s
    faces = rows_of(observed.faces, name, ('time_s', LASTS))
    seen_s = seconds_seen(faces, observed.source.analyzed_rate_hz, duration_s)
    heard_s = measure(union([*_spans(rows_of(observed.turns, name))]))
    if not observed.turns.num_rows:
        heard_s = measure(union(_spans(rows_of(observed.utterances, name))))
    series = timeline.series(name)
    shares = time_mean(series.probabilities, series.seconds)
    categories = {} if np.isnan(shares).any() else dict(zip(EKMAN, shares.tolist(), strict=True))
    valence, arousal = (mean_interval(series, axis, bias_of(series, axis, observed.trust)) for axis in DIMENSIONS)
    quality = {}
    for column_name, table_name in QUALITY_COLUMNS.items():
        values = column(rows_of(observed.tables[table_name], name, (column_name,)), column_name)
        values = np.abs(values[~np.isnan(values)]) if column_name.endswith('_deg') else values[~np.isnan(values)]
        if values.size:
            quality[column_name] = round(float(np.median(values)), 3)
    returned = observed.returned.get(name, Returned(1, None))
    course = _stretches_of(series, observed.trust)
    if _is_unread(observed, name):
        course = tuple(
            dataclasses.replace(stretch, reason='unread') if stretch.reason == 'unsure' else stretch
            for stretch in course
        )
    return Person(
        name, round(seen_s, 3), round(min(heard_s, duration_s), 3), observed.thumbnails.get(name), categories,
        valence, arousal, quality, course, returned.stretches, returned.certainty,
    )  # fmt: skip


def _is_unread(observed: Observed, name: str) -> bool:
    """True if a person is only heard, and no model of vocal emotion took part."""
    names = ('confidence', *EKMAN)
    turns = rows_of(observed.turns, name)
    is_seen = rows_of(observed.faces, name, ('time_s',)).num_rows > 0
    has_abstained = 'abstains_because' in turns.column_names and any(turns['abstains_because'].to_pylist())
    has_no_categories = all(np.isnan(column(turns, column_name)).all() for column_name in names)
    return turns.num_rows > 0 and has_no_categories and not is_seen and not has_abstained


def _stretches_of(series: PersonSeries, trust: Mapping[str, Trust]) -> tuple[Stretch, ...]:
    """The stretches of a person's course, each with valence and arousal."""
    stretches = []
    for stretch in course_of(series):
        steps = series.where(steps_within(series, stretch))
        valence, arousal = (mean_interval(steps, axis, bias_of(steps, axis, trust)) for axis in DIMENSIONS)
        stretches.append(dataclasses.replace(stretch, valence=valence, arousal=arousal))
    return tuple(stretches)


def mean_interval(series: PersonSeries, name: str, bias_sd: float = 0.0) -> tuple[float, float, float] | None:
    """The mean of a fused dimension over time with its 95 % interval; None if nothing was measured.

        mean -/+ 1.96 sqrt(bias_sd**2 + (variance of the steps + (own_sd**2 - bias_sd**2)) / effective number)

    The variance of the steps is that around the mean plus that of their own intervals, which include the bias. Steps
    are not independent; their effective number is

        measured seconds / length of a step * (1 - r) / (1 + r),  at least 1

    with r the correlation of neighbouring steps, at most 0.8 and at least 0.3 ** (length of a step in seconds).
    `bias_sd` is the error that all steps share, `own_sd` the root mean square of their own standard deviations.
    A model's error about a person does not average out, so no length of recording makes the interval narrower than the
    bias.

    Args:
        series: the fused series of a person.
        name: 'valence' or 'arousal'.
        bias_sd: see `bias_of`.
    """
    values = series.dimension(name)
    measured = ~np.isnan(values)
    if not measured.any():
        return None
    values, seconds = values[measured], series.seconds[measured]
    mean = float(time_mean(values, seconds))
    centred = values - mean
    # An interval is cut at -1 and 1, so its half-width is that of the side which is not.
    half_widths = np.maximum(series.high - series.values, series.values - series.low)[measured, DIMENSIONS.index(name)]
    step_variance = float(np.nan_to_num(time_mean(np.square(half_widths / Z95), seconds)))
    variance = float(time_mean(np.square(centred), seconds))
    length_s = float(np.median((series.end_s - series.start_s)[measured]))
    sum_of_squares = float(centred @ centred)
    lag_correlation = float(centred[1:] @ centred[:-1]) / sum_of_squares if sum_of_squares > 1e-9 else 1.0
    correlation = min(max(lag_correlation, 0.3 ** max(length_s, 0.05)), 0.8)
    effective = max(1.0, float(seconds.sum()) / max(length_s, 1e-9) * (1 - correlation) / (1 + correlation))
    half_width = Z95 * float(np.sqrt(bias_sd**2 + (variance + max(0.0, step_variance - bias_sd**2)) / effective))
    return mean, max(-1.0, mean - half_width), min(1.0, mean + half_width)


def bias_of(series: PersonSeries, name: str, trust: Mapping[str, Trust]) -> float:
    """The standard deviation of the bias of a person's mean: the sources' biases, weighted by their shares in it.

    Errors of face, voice and words are taken as independent, so their squares add.
    """
    measured = np.isfinite(series.dimension(name))
    if not measured.any():
        return 0.0
    shares = time_mean(np.nan_to_num(series.weights_for(name)[measured]), series.seconds[measured])
    biases = [getattr(trust[source], f'{name}_bias_sd') if source in trust else 0.0 for source in WEIGHTED]
    return float(np.sqrt(np.sum((shares * np.array(biases)) ** 2)))


def labels_of(readings: Readings, timeline: Timeline, person: str) -> list[OpenLabel]:
    """Open labels for a person's whole time, then for its spans."""
    series = timeline.series(person)
    winners = [int(row.argmax()) if not np.isnan(row).any() else -1 for row in series.probabilities]
    if all(winner < 0 for winner in winners):
        return []
    whole = _impression(readings, series, 0, len(series), 'whole')
    labels = list(describe_impression(whole, most=3)) if whole is not None else []
    for first, last in segments(series.start_s.tolist(), series.end_s.tolist(), winners):
        impression = _impression(readings, series, first, last, 'span')
        if impression is not None:
            labels += describe_impression(impression, most=2)
    return labels


def coverage_of(observed: Observed, timeline: Timeline) -> dict[str, float]:
    """Shares of the recording, in [0, 1], that each source covers and in which fused rows abstain; {} for 0 s.

    Faces cover the frames in which there is one, fused rows whole steps.
    """
    duration_s = observed.source.duration_s
    if duration_s <= 0:
        return {}
    shares = {'face': round(seconds_seen(observed.faces, observed.source.analyzed_rate_hz, duration_s) / duration_s, 4)}
    for source in ('voice', 'words', 'fused'):
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


def _without_namesakes(
    renamed: Mapping[str, str], people: Sequence[str], transcript_names: Sequence[str]
) -> dict[str, str]:
    """The new names, and others for people whose own name somebody else gets, as 'person 1' from a transcript."""
    names = dict(renamed)
    for person in people:
        if person in renamed.values() and person not in renamed:
            taken = ({*people} - {*renamed}) | {*transcript_names, *names.values()}
            others = chain(renamed, (f'person {number}' for number in count(len(people) + 1)))
            names[person] = next(name for name in others if name not in taken)
    return names


def _share(timeline: Timeline, duration_s: float) -> float:
    return round(min(1.0, timeline.slice(0.0, max(duration_s, 1e-9)).coverage() / duration_s), 4)


def _impression(readings: Readings, series: PersonSeries, first: int, last: int, scope: str) -> Impression | None:
    """The mean of a person's fused steps [first, last); None if all abstain."""
    inside = slice(first, last)
    measured = ~np.isnan(series.probabilities[inside]).any(axis=1)
    if not measured.any():
        return None
    start, end = float(series.start_s[first]), float(series.end_s[last - 1])
    evidence = [fused_evidence(series, start, end)]
    for source, columns in EVIDENCE_COLUMNS.items():
        source_evidence = readings.evidence(source, series.person, start, end, columns)
        if source_evidence.readings or source_evidence.quote:
            evidence.append(source_evidence)
    seconds = series.seconds[inside]
    probabilities = time_mean(series.probabilities[inside], seconds)
    valence, arousal = (float(time_mean(series.dimension(name)[inside], seconds)) for name in DIMENSIONS)
    cues = tuple(name for columns, _, _ in CUE_COLUMNS.values() for name in columns)
    movements = readings.evidence('face', series.person, start, end, cues).readings
    words_weights = np.where(series.states_categories, np.nan_to_num(series.weights[:, WEIGHTED.index('words')]), 0.0)
    words_share = float(time_mean(words_weights[inside], seconds))
    emotions = readings.evidence('words', series.person, start, end, GOEMOTION_COLUMNS).readings
    spoken = {label: words_share * emotions.get(f'goemotions.{label}', 0.0) for label in GOEMOTIONS}
    return Impression(
        series.person, start, end, probabilities, valence, arousal,
        float(probabilities.max()), spoken if words_share > 0 else {}, cue_levels(movements), tuple(evidence), scope,
    )  # fmt: skip


def _names(table: pa.Table) -> list[str]:
    return sorted(pc.unique(table['person']).to_pylist()) if 'person' in table.column_names else []


def _spans(table: pa.Table) -> list[tuple[float, float]]:
    return list(zip(column(table, 'start_s').tolist(), column(table, 'end_s').tolist(), strict=True))


def _mouth(rows: pa.Table, person: str, rate_hz: float) -> Mouth | None:
    column_name = next((column_name for column_name in MOUTH_COLUMNS if column_name in rows.column_names), None)
    seconds = seconds_of_faces(rows, rate_hz)
    return None if column_name is None else Mouth(person, column(rows, 'time_s'), column(rows, column_name), seconds)


def _most_shared(span: tuple[float, float], spans: Sequence[tuple[float, float]], people: Sequence[str]) -> str:
    """The person whose spans overlap a span most; '' if nobody's do."""
    seconds: dict[str, float] = {}
    for other, person in zip(spans, people, strict=True):
        shared = min(span[1], other[1]) - max(span[0], other[0])
        if person and shared > 0:
            seconds[person] = seconds.get(person, 0.0) + shared
    return max(sorted(seconds), key=lambda name: seconds[name]) if seconds else ''
