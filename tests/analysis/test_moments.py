"""Moments on courses with known extremes, turns, smiles and silences."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.analysis.moments import FINDERS, MOMENT_KINDS, find_moments
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
        row for start, end, smile in smiling for row in make.face_rows('person 1', start, end, 'neutral', smile=smile)
    ]
    found = moments(course([0.0] * 12), {'faces': make.table(rows, 'faces')})
    assert [(m.kind, m.start_s) for m in found] == [('smile', 10.0)]
    assert found[0].evidence[1].readings['smile'] == pytest.approx(0.8)


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
