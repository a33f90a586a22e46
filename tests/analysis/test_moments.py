"""Moments on courses with known extremes, turns, smiles and silences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.analysis.moments import FINDERS, LIVELY_LEAST, MOMENT_KINDS, find_moments
from affekt.analysis.person_series import Readings
from affekt.analysis.timeline import Timeline
from affekt.labels import EKMAN


def course(valence, person='person 1', arousal=None, confidence=0.8):
    """Fused rows of one second each; None leaves a second out."""
    rows = []
    for second, value in enumerate(valence):
        if value is None:
            continue
        base = {
            'start_s': float(second),
            'end_s': second + 1.0,
            'person': person,
            'source': 'fused',
            'confidence': confidence,
        }
        rows.append({**base, 'name': 'valence', 'value': value})
        rows.append({**base, 'name': 'arousal', 'value': 0.1 if arousal is None else arousal[second]})
        rows += [{**base, 'name': k, 'value': 0.88 if k == 'neutral' else 0.02} for k in EKMAN]
    return Timeline.from_rows(rows)


def moments(timeline, tables=None, duration_s=60.0, most=9):
    return find_moments(timeline, Readings(tables or {}), duration_s, most=most)


def test_every_kind_has_a_finder_and_a_meaning():
    assert set(FINDERS) == set(MOMENT_KINDS)


def test_one_extreme_second_is_a_peak_with_its_numbers():
    values = [0.0] * 20
    values[7] = 0.6
    found = [m for m in moments(course(values)) if m.kind == 'peak']
    assert [m.time_s for m in found] == [7.5]
    assert found[0].sentence == 'Person 1 comes across as most positive: valence +0.60, usually 0.00.'
    assert found[0].evidence[0].readings['valence'] == pytest.approx(0.6)


def test_what_is_usual_for_a_lively_person_is_no_peak(rng):
    values = rng.normal(0, 0.3, 60).clip(-0.9, 0.9)
    calm = np.where(np.arange(60) == 30, 0.55, 0.0)
    lively_peaks = [
        m
        for m in moments(course(np.where(np.arange(60) == 30, 0.55, values).tolist()))
        if m.kind == 'peak' and m.time_s == 30.5
    ]
    assert lively_peaks == []
    assert [m.time_s for m in moments(course(calm.tolist())) if m.kind == 'peak'] == [30.5]


def test_a_step_that_lasts_is_a_change_at_its_second():
    found = [m for m in moments(course([0.4] * 10 + [-0.4] * 10)) if m.kind == 'change']
    assert [m.time_s for m in found] == [10.0]
    assert found[0].sentence == 'Person 1 turns less positive: valence goes from +0.40 to −0.40.'


def test_a_gap_is_no_change():
    found = moments(course([0.4] * 10 + [None] * 5 + [-0.4] * 10))
    assert [m for m in found if m.kind == 'change'] == []


def test_a_flat_course_has_no_moments():
    assert moments(course([0.1] * 30)) == ()
    assert moments(Timeline.empty()) == ()


def test_a_smile_is_a_moment_from_half_a_second(make):
    smiling = [(0, 5, 0.0), (5, 5.3, 0.8), (5.3, 10, 0.0), (10, 12, 0.8)]
    rows = [
        row for start, end, smile in smiling for row in make.face_rows('person 1', start, end, 'happiness', smile=smile)
    ]
    found = moments(course([0.0] * 12), {'faces': make.table(rows, 'faces')})
    assert [(m.kind, m.start_s) for m in found] == [('smile', 10.0)]
    assert found[0].evidence[1].readings['smile'] == pytest.approx(0.8)


@pytest.mark.parametrize('category', ['sadness', 'anger', 'disgust', 'fear', 'surprise'])
def test_raised_mouth_corners_are_no_smile_in_a_face_that_shows_something_else(make, category):
    # crying draws the corners up as well: sadness 0.67, happiness 0.08, and a reading `smile` of 0.8
    rows = make.face_rows('person 1', 0, 4, category, 0.67, smile=0.8)
    assert moments(course([0.0] * 4), {'faces': make.table(rows, 'faces')}) == ()


@pytest.mark.parametrize(('squint', 'kinds'), [(0.5, ['smile']), (0.05, [])])
def test_where_no_expression_was_read_the_eyes_must_take_part_in_a_smile(make, squint, kinds):
    unread = dict.fromkeys([*EKMAN, 'valence', 'arousal'], float('nan')) | {'squint': squint}
    rows = [row | unread for row in make.face_rows('person 1', 0, 4, 'neutral', smile=0.8)]
    found = moments(course([0.1] * 4), {'faces': make.table(rows, 'faces')})
    assert [m.kind for m in found] == kinds


def test_a_smile_ends_where_the_face_is_out_of_sight(make):
    rows = [
        row
        for start, end in [(0, 3), (8, 11)]
        for row in make.face_rows('person 1', start, end, 'happiness', smile=0.8)
    ]
    found = moments(course([0.5] * 3 + [None] * 5 + [0.5] * 3), {'faces': make.table(rows, 'faces')})
    assert [(m.start_s, round(m.end_s, 1)) for m in found] == [(0.0, 2.9), (8.0, 10.9)]


def test_of_two_peaks_the_superlative_goes_to_the_higher_and_of_equals_to_none():
    values = [0.0] * 30
    values[7], values[20] = 0.6, 0.7
    sentences = [m.sentence for m in moments(course(values)) if m.kind == 'peak']
    assert sentences == [
        'Person 1 comes across as more positive than usual: valence +0.60, usually 0.00.',
        'Person 1 comes across as most positive: valence +0.70, usually 0.00.',
    ]
    values[20] = 0.6
    assert all('more positive than usual' in m.sentence for m in moments(course(values)) if m.kind == 'peak')


def test_a_peak_is_told_by_the_mean_of_its_span_as_its_evidence_says():
    values = [0.0] * 30
    values[10:13] = [0.5, 0.9, 0.6]
    (peak,) = [m for m in moments(course(values)) if m.kind == 'peak']
    assert (peak.start_s, peak.end_s) == (10.0, 13.0)
    assert 'valence +0.67, usually 0.00' in peak.sentence
    assert peak.evidence[0].readings['valence'] == pytest.approx(2 / 3, abs=1e-4)


def test_a_last_frame_is_no_peak():
    rows = course([0.0] * 20 + [0.9]).table.to_pylist()
    rows = [row | {'end_s': 20.04} if row['start_s'] == 20.0 else row for row in rows]
    assert moments(Timeline.from_rows(rows), duration_s=20.04) == ()


def test_a_peak_does_not_reach_over_a_gap():
    values = [0.0] * 12 + [0.7, 0.7] + [None] * 10 + [0.7] + [0.0] * 12
    spans = [(m.start_s, m.end_s) for m in moments(course(values)) if m.kind == 'peak']
    assert spans == [(12.0, 14.0), (24.0, 25.0)]


def test_a_change_names_both_sides_and_the_levels_of_its_evidence():
    (change,) = [m for m in moments(course([-0.2] * 10 + [-0.6] * 10)) if m.kind == 'change']
    assert change.sentence == 'Person 1 turns more negative: valence goes from −0.20 to −0.60.'
    before, after = change.evidence[:2]
    assert (before.end_s, after.start_s) == (change.time_s, change.time_s) == (10.0, 10.0)
    assert (before.readings['valence'], after.readings['valence']) == (-0.2, -0.6)


def source_rows(source, *spans):
    """Rows of one source on person 1: (start, end, category, valence)."""
    for start, end, category, valence in spans:
        base = {'start_s': float(start), 'end_s': float(end), 'person': 'person 1', 'source': source}
        yield {**base, 'name': 'valence', 'value': valence}
        yield from ({**base, 'name': k, 'value': 0.7 if k == category else 0.05} for k in EKMAN)


def disagreeing(make, voice_category, voice_valences):
    """A face that is happy, then sad, beside a voice, for two seconds each."""
    faces = [('happiness', 0.6), ('sadness', -0.6)]
    rows = [*course([0.0] * 4).table.to_pylist()]
    rows += source_rows('face', *[(2 * k, 2 * k + 2, *face) for k, face in enumerate(faces)])
    rows += source_rows('voice', *[(2 * k, 2 * k + 2, voice_category, v) for k, v in enumerate(voice_valences)])
    seen = [
        row | {'valence': valence}
        for k, (category, valence) in enumerate(faces)
        for row in make.face_rows('person 1', 2 * k, 2 * k + 2, category, 0.7)
    ]
    heard = [
        make.turn_row(2 * k, 2 * k + 2, voice_category) | {'person': 'person 1', 'valence': valence}
        for k, valence in enumerate(voice_valences)
    ]
    tables = {'faces': make.table(seen, 'faces'), 'turns': make.table(heard, 'turns')}
    return [m for m in moments(Timeline.from_rows(rows), tables) if m.kind == 'disagreement']


def test_sources_that_agree_over_the_span_do_not_disagree(make):
    # step by step they are opposite, first one way, then the other: over the span both are in the middle
    assert disagreeing(make, 'neutral', [-0.6, 0.6]) == []


def test_a_disagreement_is_worded_by_what_the_sources_show_over_the_span(make):
    (torn,) = disagreeing(make, 'neutral', [-0.6, -0.6])
    assert (torn.start_s, torn.end_s) == (0.0, 2.0)
    assert torn.sentence == 'The face of person 1 looks positive while the voice sounds negative.'


def test_words_in_a_pause_of_the_detector_are_no_silence(make):
    turns = make.table([make.turn_row(0, 2, 'neutral'), make.turn_row(14, 16, 'neutral')], 'turns')
    said = make.table([make.utterance_row(5, 9, 'Wait.', 'neutral')], 'utterances')
    found = moments(Timeline.empty(), {'turns': turns, 'utterances': said})
    assert [(m.kind, m.start_s, m.end_s) for m in found] == [('silence', 9.0, 14.0)]


def test_a_turn_that_is_livelier_than_usual_is_told_apart_from_arousal(make):
    turns = make.table(
        [make.turn_row(0, 4, 'neutral') | {'person': 'person 1', 'liveliness': 0.05},
         make.turn_row(5, 8, 'neutral') | {'person': 'person 1', 'liveliness': 0.62}], 'turns',
    )  # fmt: skip
    (lively,) = moments(course([0.0] * 8), {'turns': turns})
    assert (lively.kind, lively.start_s, lively.end_s) == ('liveliness', 5.0, 8.0)
    assert lively.sentence == 'Person 1 sounds livelier than is usual for this person: liveliness +0.62.'
    assert lively.evidence[-1].readings['liveliness'] == pytest.approx(0.62)


def test_a_long_pause_between_turns_is_a_silence(make):
    turns = make.table([make.turn_row(0, 2, 'neutral'), make.turn_row(9, 12, 'neutral')], 'turns')
    found = moments(Timeline.empty(), {'turns': turns})
    assert [(m.kind, m.start_s, m.end_s, m.person) for m in found] == [('silence', 2.0, 9.0, '')]
    assert found[0].sentence == 'Nobody speaks for 7 seconds.'


def test_the_strongest_moments_stay_and_none_twice():
    values = [0.0] * 100
    for k in range(12):
        values[8 * k + 4] = 0.3 + 0.04 * k
    found = moments(course(values, arousal=values), duration_s=100.0, most=9)
    assert len(found) == 9
    times = [m.time_s for m in found]
    assert times == sorted(times)
    assert min(np.diff(times)) >= 2.0
    assert max(found, key=lambda m: m.strength).time_s == 8 * 11 + 4.5
    assert 4.5 not in times  # the three weakest went
    assert all(0 <= m.strength <= 1 for m in found)


def test_the_liveliness_that_is_told_is_the_measured_threshold():
    measured = json.loads((Path(affekt.__file__).parents[1] / 'measurements/results/liveliness.json').read_text())
    assert measured['threshold'] == LIVELY_LEAST
