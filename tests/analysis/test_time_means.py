"""Means over a recording are over time: what lasts 0.04 s weighs 0.04 s, wherever a headline is made of steps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.analysis.assemble import assemble, fused_timeline, mean_interval, summed_up, with_speakers
from affekt.analysis.observations import LASTS, Observed, conform
from affekt.analysis.person_series import Readings, fused_evidence, time_mean
from affekt.analysis.records import Source
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.steps import opinions_of, steps_of
from affekt.labels import EKMAN
from affekt.report.payload import report_payload

RATE = 25.0
PERSON = 'person 1'


def test_a_step_of_0_04_s_weighs_0_04_s():
    # (1 * 0.5 + 0.04 * (-1)) / 1.04
    assert float(time_mean([0.5, -1.0], [1.0, 0.04])) == pytest.approx((0.5 - 0.04) / 1.04)


def test_unknown_steps_take_no_part_and_none_known_is_nan():
    assert float(time_mean([0.5, np.nan, 0.1], [1.0, 5.0, 1.0])) == pytest.approx(0.3)
    assert np.isnan(time_mean([np.nan], [1.0]))
    assert np.isnan(time_mean(np.full((2, 7), np.nan), [1.0, 1.0])).all()
    assert float(time_mean([0.2, 0.4], [0.0, 0.0])) == pytest.approx(0.3)


def course_of(shares, duration_s, turns=()):
    """What is concluded from one face per frame, `shares` (N, 7), and from what is heard meanwhile."""
    rows = [
        {'time_s': k / RATE, 'person': PERSON, **dict(zip(EKMAN, row, strict=True)), 'quality': 0.9,
         'valence': float(row[3] - row[0]), 'arousal': float(row[0])}
        for k, row in enumerate(shares)
    ]  # fmt: skip
    source = Source('a.mp4', 'video', duration_s, 'ab' * 32, 64, 64, RATE, RATE)
    heard = [turn | {'end_s': min(turn['end_s'], duration_s)} for turn in turns]
    observed = Observed(
        source, conform(pa.Table.from_pylist(rows), 'faces'), conform(pa.Table.from_pylist(heard), 'turns')
    )
    timeline = fused_timeline(observed, [PERSON], steps_of(duration_s, 1.0))
    return observed, timeline, summed_up(observed, timeline, PERSON)


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(30, 90), seed=st.integers(0, 2**32 - 1), sharpness=st.sampled_from([0.05, 0.5, 5.0]),
    last=st.sampled_from(EKMAN),
)  # fmt: skip
def test_cutting_one_frame_off_moves_no_headline_by_more_than_that_frame(frames, seed, sharpness, last):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(7, sharpness), frames) * 0.98 + 0.02 / 7
    shares[-1] = 0.01  # the frame at stake is as unlike the others as can be
    shares[-1, EKMAN.index(last)] = 0.94
    whole = course_of(shares, frames / RATE)[2]
    cut = course_of(shares[:-1], (frames - 1) / RATE)[2]
    share = 1 / frames
    assert abs(whole.valence[0] - cut.valence[0]) <= 2 * share + 1e-9
    assert abs(whole.arousal[0] - cut.arousal[0]) <= 2 * share + 1e-9


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(30, 90), seed=st.integers(0, 2**32 - 1), sharpness=st.sampled_from([0.05, 0.5, 5.0]))
def test_nor_does_it_beside_a_voice(frames, seed, sharpness):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(7, sharpness), frames) * 0.98 + 0.02 / 7
    bounds = np.sort(rng.uniform(0, frames / RATE, 4))
    turns = [
        {'start_s': start, 'end_s': end, 'person': PERSON, **dict(zip(EKMAN, own, strict=True)), 'quality': 0.9,
         'valence': float(own[3] - own[0]), 'arousal': float(rng.uniform(-1, 1))}
        for (start, end), own in zip(bounds.reshape(2, 2), rng.dirichlet(np.full(7, sharpness), 2), strict=True)
    ]  # fmt: skip
    whole = course_of(shares, frames / RATE, turns)[2]
    end_s = (frames - 1) / RATE
    cut = course_of(shares[:-1], end_s, [turn for turn in turns if turn['start_s'] < end_s])[2]
    assert abs(whole.valence[0] - cut.valence[0]) <= 2 / frames + 1e-9
    assert abs(whole.arousal[0] - cut.arousal[0]) <= 2 / frames + 1e-9


def test_the_last_frame_alone_in_its_step_weighs_as_a_frame():
    shares = np.full((26, 7), 0.01)
    shares[:25, EKMAN.index('happiness')] = 0.94
    shares[25, EKMAN.index('anger')] = 0.94
    _, timeline, person = course_of(shares, 26 / RATE)
    # valence is p(happiness) - p(anger): 0.93 for 25 frames, -0.93 for one
    assert person.valence[0] == pytest.approx((25 * 0.93 - 0.93) / 26, abs=1e-3)
    path = timeline.series(PERSON)
    assert len(path) == 2
    assert person.categories['anger'] < 0.06
    proof = fused_evidence(path, 0.0, 1.04).readings
    assert proof['valence'] == pytest.approx(person.valence[0], abs=1e-3)
    assert mean_interval(path, 'valence')[0] == person.valence[0]


def test_evidence_of_turns_weighs_each_by_the_time_inside_the_span(make):
    # 9 s of happiness (0.9) and 1 s of it (0.1) inside [1, 11): (8 * 0.9 + 1 * 0.1) / 9
    table = make.table([make.turn_row(0, 9, 'happiness', 0.9), make.turn_row(10, 12, 'anger', 0.4)], 'turns')
    table = table.set_column(table.column_names.index('person'), 'person', [[PERSON, PERSON]])
    read = Readings({'turns': table}).evidence('voice', PERSON, 1.0, 11.0, ('happiness',)).readings['happiness']
    assert read == pytest.approx((8 * 0.9 + 1 * 0.1) / 9, abs=1e-4)


# ---- frames that last for different times, as in a stream that dropped some


def uneven(rows, lasting, rate_hz, duration_s, **tables):
    """One face, each frame with the seconds that it lasts."""
    rows = [row | {LASTS: seconds} for row, seconds in zip(rows, lasting, strict=True)]
    return Observed(
        source=Source('stream', 'video', duration_s, 'ab' * 32, 64, 64, RATE, rate_hz),
        faces=conform(pa.Table.from_pylist(rows), 'faces'),
        **tables,
    )


def test_frames_of_a_step_weigh_as_long_as_they_last(make):
    happy, sad = (next(make.face_rows(PERSON, 0, 0.1, name, 0.8)) for name in ('happiness', 'sadness'))
    rows = [happy | {'time_s': 0.0}, *[sad | {'time_s': 0.8 + 0.05 * k} for k in range(4)]]
    observed = uneven(rows, [0.8, *[0.05] * 4], 5.0, 1.0)
    (opinion,) = opinions_of(observed, PERSON, steps_of(1.0, 1.0))
    # happiness 0.8 for 0.8 s, and 0.2 / 6 for 0.2 s
    assert opinion.probabilities[EKMAN.index('happiness')] == pytest.approx(0.8 * 0.8 + 0.2 * 0.2 / 6)
    proof = Readings(observed.tables).evidence('face', PERSON, 0.0, 1.0, ('happiness',)).readings
    assert proof['happiness'] == pytest.approx(0.8 * 0.8 + 0.2 * 0.2 / 6, abs=1e-4)


def test_a_long_stall_of_a_stream_does_not_lower_the_coverage_of_other_seconds(make):
    # 2 s at 10 frames/s, 500 s without a frame, 1 s at 10 frames/s: a frame in 17 s on average
    rows = [
        row | {'time_s': row['time_s'] + (500.0 if row['time_s'] > 1.95 else 0.0)}
        for row in make.face_rows(PERSON, 0, 3, 'neutral')
    ]
    observed = uneven(rows, [*[0.1] * 19, 1.0, *[0.1] * 10], 29 / 502.9, 503.0)
    opinions = opinions_of(observed, PERSON, steps_of(503.0, 1.0))
    assert [(opinion.start_s, opinion.coverage) for opinion in opinions] == [
        (0.0, pytest.approx(1.0)), (1.0, pytest.approx(1.0)), (502.0, pytest.approx(1.0))
    ]  # fmt: skip


def test_a_face_covers_the_frames_in_which_it_is_seen(make):
    # every fourth frame of ten in a second: each second has a reading, and the face is seen for a quarter of the time
    rows = [row for row in make.face_rows(PERSON, 0, 10, 'neutral') if round(row['time_s'] * make.rate) % 4 == 0]
    both = [*rows, *(row | {'person': 'person 2'} for row in rows)]
    source = Source('a.mp4', 'video', 10.0, 'ab' * 32, 64, 64, make.rate, make.rate)
    analysis = assemble(Observed(source, conform(pa.Table.from_pylist(both), 'faces')), AnalysisSettings())
    assert [person.seen_s for person in analysis.people] == [pytest.approx(2.5)] * 2
    assert (analysis.coverage['face'], analysis.coverage['fused']) == (pytest.approx(0.25), 1.0)
    table = report_payload(analysis, {})['coverage']
    assert [(row['seconds'], row['share']) for row in table if row['source'] == 'face'] == [(2.5, 0.25)] * 2


def test_a_mouth_that_is_read_slowly_speaks_as_one_that_is_read_fast(make):
    """Five frames a second while the face is seen; 25 before, so that two thirds of those expected would be missing."""
    rows = list(make.face_rows(PERSON, 10, 20, 'neutral', talks=True))[::2]
    turns, voice = make.table([make.turn_row(12, 16, 'neutral')], 'turns'), make.table(make.voice_rows(10, 20), 'voice')
    observed = uneven(rows, [0.2] * len(rows), 15.1, 20.0, turns=turns, voice=voice)
    assert with_speakers(observed).turns['person'].to_pylist() == [PERSON]


def test_a_condition_lasts_as_long_as_its_frames(make):
    fast = [row | {'is_covered': False} for row in make.face_rows(PERSON, 0, 5, 'neutral')]
    slow = [row | {'is_covered': True} for row in make.face_rows(PERSON, 5, 10, 'neutral')][::5]
    observed = uneven([*fast, *slow], [*[0.1] * 50, *[0.5] * 10], 6.0, 10.0)
    described = ' '.join(sentence.text for sentence in assemble(observed, AnalysisSettings()).description)
    assert f'The face of {PERSON} is partly covered for 5 seconds' in described
