"""Means over a recording are over time: what lasts 0.04 s weighs 0.04 s, wherever a headline is made of steps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.analysis.assemble import fused_timeline, mean_interval, summed_up
from affekt.analysis.observations import Observed, conform
from affekt.analysis.person_series import Readings, fused_evidence, time_mean
from affekt.analysis.records import Source
from affekt.analysis.steps import steps_of
from affekt.labels import EKMAN

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
