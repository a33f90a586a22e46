"""An analysis as the plain JSON that the report's script reads: numbers rounded, images as data URLs.

Start at `report_payload`. Everything here is data; text stays text, and the script never parses any of it as markup.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from affekt.analysis import (
    LEAST_TOLD,
    SOURCES,
    UNSEEN,
    WEIGHTED,
    Analysis,
    Described,
    Evidence,
    Moment,
    OpenLabel,
    Person,
    PersonSeries,
    Timeline,
    column,
    headline,
    rows_of,
    seconds_of_faces,
    time_mean,
    told_course,
    told_people,
    told_words,
    when,
)
from affekt.labels import EKMAN
from affekt.report.cards import model_entry
from affekt.report.series_grid import REASONS, drawn, frame_series
from affekt.runs import versions
from affekt.tables import flag_array
from affekt.wording import opened

CANNOT_KNOW = (
    'Expression is not feeling: this says how face, voice and words come across, not what a person feels or intends.',
    'Culture, context, acting, illness, disability and neurodivergence change expression; none of them is known here.',
    'The models learned from posed faces, acted voices and short comments, of some people and not of others. '
    'On anyone else they are wrong more often, and their certainty is less to be trusted.',
    'A gap means that nothing could be measured. It is never counted as neutral.',
    'Nothing here may be the only ground for a decision about a person.',
)
MAX_BOXES = 3000
"""Maximum number of face boxes kept per person."""
BOX_COLUMNS = ('box_x', 'box_y', 'box_width', 'box_height')
"""Columns of the table `faces`, pixels."""
BOX_GAP_S = 0.6
"""A face unseen for longer than this has no outline in between."""
LOUDNESS_DB = (-55.0, -10.0)
"""Loudness drawn as silence and as full height, in dB."""
LOUDNESS_STEP_S = 0.1
MAX_MOMENTS = 60
"""Maximum number of moments shown, the strongest of all."""
MAX_STILLS = 24
"""Maximum number of moments shown with a still image."""

Json = dict[str, Any]


def report_payload(analysis: Analysis, media: Mapping[str, Any], *, made: str | None = None) -> Json:
    """All data of the report, of plain JSON types without nan.

    Args:
        analysis: a whole analysis.
        media: 'kind' ('video', 'audio', 'image' or 'none'), 'mime', 'sound' and 'note' of the embedded recording.
        made: date and time of the report, as text; None takes the current minute in UTC.
    """
    duration_s = analysis.source.duration_s if analysis.source.kind != 'image' else 0.0
    people = [_person(analysis, person, duration_s) for person in analysis.lanes]
    return {
        'made': made if made is not None else datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC'),
        'source': _source(analysis, duration_s),
        'media': dict(media),
        'summary': summary(analysis),
        'cannot': list(CANNOT_KNOW),
        'empty': _why_empty(analysis),
        'categories': list(EKMAN),
        'reasons': list(REASONS),
        'heard': any(person['turns'] for person in people),
        'worded': any(person['utterances'] for person in people),
        'readFrom': [source for source in WEIGHTED if len(analysis.timeline.select(source=source))],
        'people': people,
        'loudness': _loudness(analysis, duration_s),
        'labels': [_label(label) for label in _labels_told(analysis)],
        'moments': _moments(analysis),
        'sentences': [
            {'text': sentence.text, 'evidence': _evidence(sentence.evidence)} for sentence in analysis.description
        ],
        'described': [_described(described) for described in analysis.described],
        'coverage': _coverage(analysis, {person['name']: person['title'] for person in people}, duration_s),
        'models': [model_entry(model) for model in analysis.models],
        'settings': {key.replace('_', ' '): _plain(value) for key, value in analysis.settings.to_dict().items()},
        'versions': versions(),
    }  # fmt: skip


def _described(described: Described) -> Json:
    """A describer's description and labels with its rows of details, shown apart from measurements."""
    rows = [('Labels', ', '.join(described.labels) or 'none')]
    rows += [('Form', described.form)] if described.form not in ('template', 'list', 'free') else []
    rows += [(opened(', '.join(clue.of)), clue.text) for clue in described.evidence]
    rows += [('Without', f'{part}: {reason}') for part, reason in described.lacking.items()]
    rows += [('Struck out', f'{clue.text} ({", ".join(clue.of)} not perceived)') for clue in described.invented]
    rows += [('Weights', described.weights_sha256[:12])] if described.weights_sha256 else []
    return {
        'by': described.describer, 'text': described.text, 'facts': [list(row) for row in rows],
        'failure': f'Not described: {described.failure}' if described.failure else '',
    }  # fmt: skip


def summary(analysis: Analysis) -> str:
    """One sentence: how the people come across over the recording, or that nothing was found."""
    clauses = [clause for person in told_people(analysis.lanes) if (clause := headline(person, analysis.labels))]
    if clauses:
        return opened('; '.join(clauses)) + '.'
    return analysis.description[0].text if analysis.description else 'Nothing was found that could be read.'


def _labels_told(analysis: Analysis) -> list[OpenLabel]:
    """Words with a certainty of at least LEAST_TOLD; those for a person's whole time only if the headline has them."""
    headlined = [label for lane in analysis.lanes for label in told_words(lane, analysis.labels)]
    spans = [label for label in analysis.labels if label.scope != 'whole' and label.certainty >= LEAST_TOLD]
    return headlined + spans


def _course(person: Person) -> list[str]:
    """The parts of a course as text; none where one label holds throughout, which the headline says already."""
    holds_throughout = len(person.course) == 1 and person.course[0].certainty is not None
    return [] if holds_throughout else [str(part) for part in told_course(person.course)]


def _why_empty(analysis: Analysis) -> str:
    missing = {
        'image': 'No face was found in this image',
        'audio': 'No speech was heard in this recording',
    }.get(analysis.source.kind, 'No face was found and no speech was heard in this recording')
    return f'{missing}, so there is nothing to read. That is missing data, not “neutral”.'


def _source(analysis: Analysis, duration_s: float) -> Json:
    source = analysis.source
    return {
        'name': source.name, 'kind': source.kind, 'duration': _round(duration_s, 3), 'sha256': source.sha256,
        'width': source.width, 'height': source.height, 'rate': _round(source.rate_hz, 3), 'notes': list(source.notes),
        'lost': source.lost.amounts or ('' if source.lost.is_complete else 'see below'),
        'file': source.file or source.name,
    }  # fmt: skip


def _person(analysis: Analysis, person: Person, duration_s: float) -> Json:
    keeps_images = analysis.settings.keep_frames
    series = {
        'fused': drawn(analysis.timeline.series(person.name), duration_s),
        'face': drawn(_frames(analysis, person.name) or analysis.timeline.series(person.name, 'face'), duration_s),
    }
    return {
        'name': person.name,
        'title': title(person.name, analysis),
        'is_person': person.name != UNSEEN,
        'seen': _round(person.seen_s, 2),
        'heard': _round(person.heard_s, 2),
        'thumb': picture(person.thumbnail_jpeg) if keeps_images else None,
        'categories': {name: _round(share, 4) for name, share in person.categories.items() if _is_finite(share)},
        'valence': _triple(person.valence),
        'arousal': _triple(person.arousal),
        'course': _course(person),
        'quality': {name: _round(value, 3) for name, value in person.quality.items() if _is_finite(value)},
        'series': {source: content for source, content in series.items() if content is not None},
        'turns': _spans(rows_of(analysis.tables.get('turns', pa.table({})), person.name)),
        'utterances': _utterances(analysis, person.name),
        'boxes': _boxes(analysis, person.name),
    }  # fmt: skip


def title(person: str, analysis: Analysis) -> str:
    """A person's name as a heading; for speech that belongs to nobody known, a title that says so."""
    if person != UNSEEN:
        return opened(person)
    if analysis.people and not any(other.seen_s > 0 for other in analysis.people):
        return 'Unknown speaker'
    return 'The voice' if analysis.source.kind == 'audio' else 'A voice, face unknown'


def _spans(rows: pa.Table) -> list[Json]:
    """Turns or utterances in order of their starts, with the categories read from their own source alone."""
    if not rows.num_rows:
        return []
    starts, ends = column(rows, 'start_s'), column(rows, 'end_s')
    shares = np.stack([column(rows, name) for name in EKMAN], axis=1)  # (N, 7)
    dimensions = {name: column(rows, name) for name in ('valence', 'arousal')}
    spans = []
    for i in np.argsort(starts, kind='stable'):
        is_read = bool(np.isfinite(shares[i]).all())
        best = int(shares[i].argmax()) if is_read else None
        spans.append({
            'start': _round(starts[i], 2), 'end': _round(ends[i], 2), 'category': best,
            'certainty': _round(shares[i].max(), 4) if is_read else 0.0,
            'p': [_round(share, 4) for share in shares[i]] if is_read else None,
            **{name: _round(values[i], 4) for name, values in dimensions.items()},
        })  # fmt: skip
    return spans


def _utterances(analysis: Analysis, person: str) -> list[Json]:
    """One person's utterances in order, with the times of the words and the categories read from them."""
    own = [utterance for utterance in analysis.utterances if utterance.person == person]
    read = {span['start']: span for span in _spans(rows_of(analysis.tables.get('utterances', pa.table({})), person))}
    unread: Json = {'category': None, 'certainty': 0.0, 'p': None, 'valence': None, 'arousal': None}
    return [
        {
            **read.get(_round(utterance.start_s, 2), unread),
            'start': _round(utterance.start_s, 2),
            'end': _round(utterance.end_s, 2),
            'text': utterance.shown,
            'reason': utterance.reason,
            'language': utterance.language,
            'words': [
                {'start': _round(word.start_s, 2), 'end': _round(word.end_s, 2), 'text': word.text.strip()}
                for word in utterance.words
            ],
        }
        for utterance in sorted(own, key=lambda utterance: utterance.start_s)
        if _is_finite(utterance.start_s) and _is_finite(utterance.end_s)
    ]


def _frames(analysis: Analysis, person: str) -> PersonSeries | None:
    """Categories of one face per frame, at a finer step than the timeline's; None if no frame has any."""
    table = rows_of(analysis.tables.get('faces', pa.table({})), person)
    if not table.num_rows:
        return None
    shares = np.stack([column(table, name) for name in EKMAN], axis=1)  # (N, 7)
    if not np.isfinite(shares).all(axis=1).any():
        return None
    rate_hz = analysis.source.analyzed_rate_hz
    lengths = seconds_of_faces(table, rate_hz) if rate_hz > 0 else np.ones(table.num_rows)
    return frame_series(person, column(table, 'time_s'), shares, lengths)


def _boxes(analysis: Analysis, person: str) -> Json | None:
    """Face boxes in thousandths of the frame's sides, at most MAX_BOXES, and times in milliseconds; None if unseen."""
    rows = rows_of(analysis.tables.get('faces', pa.table({})), person)
    width, height = analysis.source.width, analysis.source.height
    if not rows.num_rows or not width or not height:
        return None
    boxes = np.stack([column(rows, name) for name in BOX_COLUMNS], axis=1)  # (N, 4)
    boxes = boxes * (1000 / np.array([width, height] * 2))
    times = column(rows, 'time_s')
    kept = np.flatnonzero(np.isfinite(boxes).all(axis=1) & np.isfinite(times))
    kept = kept[np.argsort(times[kept], kind='stable')]
    kept = kept[:: max(1, math.ceil(len(kept) / MAX_BOXES))]
    if not len(kept):
        return None
    usual_gap_s = float(np.median(np.diff(times[kept]))) if len(kept) > 1 else 0.0
    return {
        't': np.round(times[kept] * 1000).astype(int).tolist(),
        'b': np.round(boxes[kept]).astype(int).ravel().tolist(),
        'gap': _round(max(BOX_GAP_S, 2.5 * usual_gap_s), 3),
    }


def _loudness(analysis: Analysis, duration_s: float) -> Json | None:
    """Loudness per LOUDNESS_STEP_S in per cent of the range LOUDNESS_DB, for recordings without video; else None."""
    table = analysis.tables.get('voice', pa.table({}))
    if analysis.source.kind != 'audio' or not table.num_rows:
        return None
    times, levels = column(table, 'time_s'), column(table, 'loudness_db')
    known = np.isfinite(times) & np.isfinite(levels)
    low, high = LOUDNESS_DB
    values = np.zeros(math.ceil(duration_s / LOUDNESS_STEP_S) + 1, dtype=int)
    bins = np.clip(np.floor(times[known] / LOUDNESS_STEP_S + 1e-6).astype(int), 0, len(values) - 1)
    np.maximum.at(values, bins, np.clip((levels[known] - low) / (high - low) * 100, 0, 100).astype(int))
    return {'step': LOUDNESS_STEP_S, 'values': values.tolist()}


def _label(label: OpenLabel) -> Json:
    return {
        'word': label.word, 'person': label.person, 'intensity': _round(label.intensity, 4),
        'certainty': _round(label.certainty, 4), 'whole': label.scope == 'whole',
        'start': _round(label.start_s, 2), 'end': _round(label.end_s, 2),
    }  # fmt: skip


def _moments(analysis: Analysis) -> list[Json]:
    """The MAX_MOMENTS strongest moments in order of time, the MAX_STILLS strongest of them with a still image."""
    strongest = sorted(analysis.moments, key=lambda moment: -moment.strength)[:MAX_MOMENTS]
    with_still = {id(moment) for moment in strongest[:MAX_STILLS]} if analysis.settings.keep_frames else set()

    def entry(moment: Moment) -> Json:
        return {
            'kind': moment.kind, 'time': _round(moment.time_s, 2), 'start': _round(moment.start_s, 2),
            'end': _round(moment.end_s, 2), 'when': opened(when(moment)),
            'person': moment.person, 'sentence': moment.sentence,
            'still': picture(moment.still_jpeg) if id(moment) in with_still else None,
            'evidence': _evidence(moment.evidence),
        }  # fmt: skip

    return [entry(moment) for moment in sorted(strongest, key=lambda moment: moment.time_s)]


def _evidence(parts: Sequence[Evidence]) -> list[Json]:
    return [
        {
            'source': part.source,
            'start': _round(part.start_s, 2),
            'end': _round(part.end_s, 2),
            'person': part.person,
            'readings': {name: _round(value, 4) for name, value in part.readings.items() if _is_finite(value)},
            'quote': part.quote,
        }
        for part in parts
    ]  # fmt: skip


def _coverage(analysis: Analysis, titles: Mapping[str, str], duration_s: float) -> list[Json]:
    """Per person and source: seconds measured, their share of the recording, the share that abstains, certainty.

    Of a face, the seconds are those of its frames; fused, those of whole steps.
    """
    table = []
    seen_s = {lane.name: lane.seen_s for lane in analysis.lanes}
    for person in titles:
        for source in SOURCES:
            rows = analysis.timeline.select(person=person, source=source)
            if not len(rows):
                continue
            categories = rows.select(name=EKMAN)
            is_named = np.isfinite(categories.column('value'))
            named_s = Timeline(categories.to_arrow().filter(flag_array(is_named))).coverage()
            confidence = np.where(np.isnan(categories.column('value')), np.nan, categories.column('confidence'))
            lengths = (categories.column('end_s') - categories.column('start_s')) * categories.column('coverage')
            stated_s = rows.coverage()
            seconds = seen_s[person] if source == 'face' else stated_s
            table.append({
                'person': titles[person], 'source': source, 'seconds': _round(seconds, 2),
                'share': _round(min(1.0, seconds / duration_s), 4) if duration_s else 1.0,
                'abstained': _round(max(0.0, 1.0 - named_s / stated_s), 4) if stated_s else 0.0,
                'certainty': _round(float(time_mean(confidence, lengths)), 4),
            })  # fmt: skip
    return table


def picture(jpeg: bytes | None) -> str | None:
    """A JPEG as a data URL; None for no image."""
    return None if not jpeg else 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode('ascii')


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _round(value: float, places: int) -> Any:
    """A rounded number; None for nan and infinity."""
    return round(float(value), places) if _is_finite(float(value)) else None


def _triple(value: Sequence[float] | None) -> list[float] | None:
    return None if value is None or not all(_is_finite(part) for part in value) else [_round(part, 4) for part in value]


def _plain(value: Any) -> Any:
    """A setting as the report prints it."""
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return 'not set' if value is None or value == '' else value
