"""What hinders reading a person, as sentences with their evidence.

A face may be covered, upside down, drawn or blurred, or its eyes closed; a voice unclear, unfamiliar or merely loud;
words not understood, or in a language that no model reads. Nothing is said about columns that were not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.analysis.course import runs_in_time
from affekt.analysis.person_series import Readings, column, rows_of, time_mean
from affekt.analysis.phrases import UNSEEN, headline
from affekt.analysis.records import Evidence, Person, Sentence
from affekt.analysis.timeline import Span, measure, union
from affekt.arrays import Bools
from affekt.faces import eyes_are_closed
from affekt.wording import length, listed, listed_clauses, opened, stretch

FACE_CONDITIONS: Mapping[str, str] = {
    'is_upside_down': 'is upside down',
    'is_covered': 'is partly covered',
    'is_drawn': 'looks drawn or painted',
    'is_blurred': 'is blurred',
}
"""Columns of the table `faces` for conditions that impair reading, and their wording."""
MOST_SPANS = 8
"""Maximum number of spans that a sentence names as evidence."""
LEAST_CONDITION_S = 1.0
"""Minimum duration, in seconds, of a reported condition of face or voice: longer than a blink."""
LEAST_CONDITION_SHARE = 0.1
"""Minimum duration of such a condition as a share of the time the face was seen."""
VOICE_EVIDENCE = ('loudness_lufs', 'f0_mean_hz', 'arousal', 'unfamiliarity')
VOICE_CONDITIONS: Mapping[str, str] = {
    'loud': 'is loud, as in a shout or a cry',
    'unfamiliar': 'is unlike the speech that the model knows, so no emotion is read from it',
    'unsure': 'is too unclear to name an emotion',
}
"""Reasons why no emotion is read from a voice, and their wording."""
UNREAD_WORDS = {
    'not understood': 'the words were not understood, so no emotion is read from them',
    'language': 'the words are of a language that no loaded model reads for emotion, so they are shown and not read',
}
"""Reason in `utterances` why words were not read, to its wording."""
OTHER_RECOGNISER = '--asr base recognizes other languages than English'


def about_face(readings: Readings, person: Person, *, is_image: bool) -> list[Sentence]:
    """A sentence on conditions that impair reading a face: covered, upside down, drawn, blurred, eyes closed."""
    times = readings.column('faces', person.name, 'time_s')
    if not times.size:
        return []
    least_s = 0.0 if is_image else LEAST_CONDITION_S
    conditions: dict[str, list[str]] = {'face': [], 'eyes': []}
    spans = []
    for name, words in {**FACE_CONDITIONS, 'eyes_closed': 'are closed'}.items():
        values = readings.column('faces', person.name, name)
        is_affected = _closed_eyes(readings, person.name) if name == 'eyes_closed' else np.nan_to_num(values) >= 0.5
        runs = runs_in_time(times, is_affected, least_s)
        in_runs = np.zeros(len(times), dtype=bool)
        for start, end in runs:
            in_runs |= (times >= start) & (times <= end)
        share = float(time_mean(in_runs, readings.seconds('faces', person.name)))
        if share >= LEAST_CONDITION_SHARE:
            duration = '' if is_image else _duration_text(person, share)
            part = 'eyes' if name == 'eyes_closed' else 'face'
            conditions[part].append(f'{words}{duration}')
            spans += sorted(runs, key=lambda span: span[0] - span[1])[:MOST_SPANS]
    clauses = [f'the {part} of {person.name} {listed(words)}' for part, words in conditions.items() if words]
    if not clauses:
        return []
    columns = (*FACE_CONDITIONS, 'eyes_closed', 'quality')
    evidence = tuple(readings.evidence('face', person.name, *span, columns) for span in sorted(set(spans)))
    text = f'{listed_clauses(clauses)}, so the expression is read with less certainty'
    return [Sentence(f'{opened(text)}.', evidence)]


def _closed_eyes(readings: Readings, person: str) -> Bools:
    """(N,) the frames with closed eyes; if only the score was stored, it decides alone."""
    score, left, right = (
        readings.column('faces', person, name) for name in ('eyes_closed', 'eye_aspect_left', 'eye_aspect_right')
    )
    return eyes_are_closed(np.nan_to_num(score), np.nan_to_num((left + right) / 2))


def _duration_text(person: Person, share: float) -> str:
    return ' throughout' if share >= 0.95 else f' for {length(share * person.seen_s)}'


def about_voice(readings: Readings, person: Person) -> list[Sentence]:
    """Sentences on why no emotion was read from a voice: it is unclear, unfamiliar, or merely loud."""
    turns = rows_of(readings.tables.get('turns', pa.table({})), person.name)
    if not turns.num_rows:
        return []
    spans = _spans_in(turns)
    reasons = _texts(turns, 'abstains_because', np.where(column(turns, 'abstained') == 1, 'unsure', ''))
    voice = 'the voice' if person.name == UNSEEN else f'the voice of {person.name}'
    is_said_already = person.seen_s <= 0 and headline(person, ()).endswith('too unclear to name an emotion')
    unsure_least_s = (
        np.inf if is_said_already else max(LEAST_CONDITION_S, measure(spans(np.ones(len(reasons), dtype=bool))) / 2)
    )
    by_spans: dict[tuple[Span, ...], list[str]] = {}
    for reason, rows, least_s in (
        ('loud', column(turns, 'is_loud_voice') == 1, 0.0),
        ('unfamiliar', reasons == 'unfamiliar', LEAST_CONDITION_S),
        ('unsure', reasons == 'unsure', unsure_least_s),
    ):
        reason_spans = spans(rows)
        if reason_spans and measure(reason_spans) >= least_s:
            by_spans.setdefault(reason_spans, []).append(VOICE_CONDITIONS[reason])
    sentences = []
    for reason_spans, conditions in by_spans.items():
        evidence = [
            readings.evidence('voice', person.name, *span, VOICE_EVIDENCE) for span in reason_spans[:MOST_SPANS]
        ]
        text = f'{opened(_times_text(reason_spans))}, {voice} {", and ".join(conditions)}.'
        sentences.append(Sentence(text, tuple(evidence)))
    return sentences


def about_words(readings: Readings, notes: Sequence[str]) -> list[Sentence]:
    """Sentences on words that were not read: not understood, or in a language that no model reads."""
    table = readings.tables.get('utterances', pa.table({}))
    reasons = _texts(table, 'reason', np.full(table.num_rows, '', dtype=object))
    sentences = []
    for reason, text in UNREAD_WORDS.items():
        rows = reasons == reason
        if not rows.any():
            continue
        spans = _spans_in(table)(rows)
        text = text if rows.all() else f'{_times_text(spans)}, {text}'
        if reason == 'not understood' and _may_help(notes):
            text += f'; {OTHER_RECOGNISER}'
        sentences.append(
            Sentence(f'{opened(text)}.', tuple(Evidence('words', *span, '') for span in spans[:MOST_SPANS]))
        )
    return sentences


def _may_help(notes: Sequence[str]) -> bool:
    """True if a recogniser of more languages may understand more, according to the notes on words."""
    on_words = [note for note in notes if 'understood' in note]
    return not on_words or any('--asr base' in note for note in on_words)


def _times_text(spans: Sequence[tuple[float, float]]) -> str:
    """'from 0:03 to 0:08', or 'for 12 seconds' for several spans."""
    return stretch(*spans[0]) if len(spans) == 1 else f'for {length(measure(spans))}'


def _texts(table: pa.Table, name: str, default: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N,) a column of texts; `default` if the table lacks it."""
    if name not in table.column_names:
        return default
    return np.array([text or '' for text in table[name].to_pylist()], dtype=object)


def _spans_in(table: pa.Table) -> Callable[[Bools], tuple[Span, ...]]:
    """A function from a mask of rows of turns or utterances to their times, as disjoint spans."""
    starts, ends = column(table, 'start_s'), column(table, 'end_s')
    return lambda rows: union(zip(starts[rows].tolist(), ends[rows].tolist(), strict=True))
