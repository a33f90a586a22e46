"""The course of a person: stretches with one label each, whatever flickers, however long the last step is."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from affekt.analysis.course import LEAST_OF_PART, course_of, least_stretch_s, runs_in_time, steps_within
from affekt.analysis.fuse import UNSURE_BELOW
from affekt.analysis.person_series import PersonSeries, time_mean
from affekt.labels import EKMAN


def path(*parts, step_s=1.0):
    """A fused series from (seconds, label or '' for unsure, '!' for contradiction, None for a gap, probability)."""
    starts, shares, abstained, time_s = [], [], [], 0.0
    for seconds, label, *top in parts:
        for _ in range(round(seconds / step_s)):
            if label is not None:
                starts.append(time_s)
                share = top[0] if top else 0.7
                row = [share if name == label else (1 - share) / 6 for name in EKMAN]
                shares.append(row if label in EKMAN else [np.nan] * 7)
                abstained.append({'': 'unsure', '!': 'contradiction'}.get(label, ''))
            time_s += step_s
    count = len(starts)
    begins, values = np.array(starts, dtype=float), np.full((count, 2), 0.1)
    return PersonSeries(
        'person 1', 'fused', begins, begins + step_s, np.array(shares).reshape(-1, 7), values, values, values,
        np.ones(count), np.ones(count), np.ones((count, 3)), np.array(abstained, dtype=object),
        np.full(count, '', dtype=object),
    )  # fmt: skip


def told(series):
    return [(part.label, part.start_s, part.end_s) for part in course_of(series)]


def test_a_course_that_turns_is_told_by_its_stretches():
    course = course_of(path((6, 'sadness', 0.54), (4, ''), (10, 'happiness', 0.8)))
    assert [(s.label, s.start_s, s.end_s, s.certainty) for s in course] == [
        ('sadness', 0, 6, 0.54), ('unclear', 6, 10, None), ('happiness', 10, 20, 0.8),
    ]  # fmt: skip
    assert [s.reason for s in course] == ['', 'unsure', '']


def test_a_blip_is_no_stretch_and_a_flicker_is_one():
    assert told(path((8, 'neutral'), (1, 'surprise'), (8, 'neutral'))) == [('neutral', 0, 17)]
    flicker = path(*[(1, 'sadness', 0.7), (1, 'neutral', 0.4)] * 8)
    assert told(flicker) == [('sadness', 0, 16)]
    # 0.5 and 0.4 by turns are 0.3 and 0.25 over time: below what is ever named
    assert [part.reason for part in course_of(path(*[(1, 'sadness', 0.5), (1, 'neutral', 0.4)] * 8))] == ['unsure']
    # clear step by step, and neither prevails
    assert [part.reason for part in course_of(path(*[(1, 'sadness', 0.6), (1, 'neutral', 0.6)] * 8))] == ['mixed']
    assert told(path(*[(1, 'sadness', 0.5), (1, 'neutral', 0.4)] * 8)) == [('unclear', 0, 16)]


def test_a_guess_is_no_part_of_a_course_and_may_be_all_of_it():
    course = path((6, 'sadness', 0.54), (4, 'fear', 0.42), (10, 'happiness', 0.76))
    assert told(course) == [('sadness', 0, 6), ('unclear', 6, 10), ('happiness', 10, 20)]
    assert told(path((10, 'fear', 0.42))) == [('fear', 0, 10)]
    # two guesses are no course; over all the time none prevails
    assert told(path((10, 'fear', 0.45), (10, 'anger', 0.45))) == [('unclear', 0, 20)]


def test_short_clear_stretches_are_not_lost_among_unclear_ones():
    course = path((2, 'surprise', 0.65), (1, 'happiness', 0.4), (2, 'surprise', 0.75), (4, 'happiness', 0.6),
                  (1, ''), (1, 'happiness', 0.42), (4, 'surprise', 0.42))  # fmt: skip
    assert [label for label, _, _ in told(course)] == ['surprise', 'happiness', 'unclear']


def test_a_named_stretch_leaves_abstaining_steps_at_its_ends_to_what_is_unclear():
    course = path((6, 'sadness', 0.6), (3, 'fear', 0.42), (1, ''), (10, 'happiness', 0.85))
    assert told(course) == [('sadness', 0, 6), ('unclear', 6, 10), ('happiness', 10, 20)]
    course = path((6, 'sadness', 0.6), (1, ''), (3, 'fear', 0.42), (10, 'happiness', 0.85))
    assert told(course) == [('sadness', 0, 6), ('unclear', 6, 10), ('happiness', 10, 20)]


def test_a_short_clip_has_one_stretch():
    assert len(course_of(path((1, 'sadness', 0.9), (2, 'happiness', 0.9)))) == 1


def test_a_contradiction_that_lasts_is_a_stretch_of_its_own():
    course = course_of(path((8, 'happiness'), (6, '!'), (8, 'happiness')))
    assert [(s.label, s.reason) for s in course] == [
        ('happiness', ''), ('unclear', 'contradiction'), ('happiness', ''),
    ]  # fmt: skip


def test_a_pause_lies_inside_a_stretch_and_a_long_absence_ends_it():
    assert told(path((4, 'anger'), (4, None), (4, 'anger'))) == [('anger', 0, 12)]
    assert told(path((4, 'anger'), (9, None), (4, 'anger'))) == [('anger', 0, 4), ('anger', 13, 17)]


def test_nothing_measured_has_no_course():
    assert course_of(path()) == ()


def test_one_step_is_a_course():
    assert told(path((1, 'happiness'))) == [('happiness', 0, 1)]


@pytest.mark.parametrize('seed', range(12))
def test_stretches_cover_the_steps_in_order_and_say_what_their_mean_says(seed):
    rng = np.random.default_rng(seed)
    labels = [*EKMAN, '', '!', None]
    parts = [
        (int(rng.integers(1, 14)), labels[rng.integers(len(labels))], float(rng.uniform(0.36, 0.95)))
        for _ in range(int(rng.integers(1, 40)))
    ]
    series = path(*parts, step_s=float(rng.choice([0.5, 1.0, 2.0])))
    course = course_of(series)
    taken = np.zeros(len(series), dtype=int)
    for part in course:
        inside = steps_within(series, part)
        taken += inside
        shares = time_mean(series.probabilities[inside], series.seconds[inside])
        if part.label == 'unclear':
            assert part.certainty is None
            stated = np.isfinite(series.probabilities[inside]).all(axis=1)
            assert stated.mean() < 0.5 or shares.max() < (LEAST_OF_PART if len(course) > 1 else UNSURE_BELOW)
        else:
            assert part.label == EKMAN[int(shares.argmax())]
            assert part.certainty == pytest.approx(shares.max(), abs=1e-4)
            assert part.certainty >= (LEAST_OF_PART if len({x.label for x in course}) > 1 else UNSURE_BELOW)
    assert (taken == 1).all()
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(course))
    whole_s = float(series.end_s[-1] - series.start_s[0]) if len(series) else 0.0
    for a, b in pairwise(course):
        touch = b.start_s - a.end_s < 1e-9
        assert not touch or (a.label, a.reason) != (b.label, b.reason)
        assert not touch or min(a.end_s - a.start_s, b.end_s - b.start_s) >= least_stretch_s(whole_s) - 1e-9


def test_a_last_step_of_a_frame_moves_no_boundary():
    series = path((6, 'sadness'), (10, 'happiness'), (1, 'anger', 0.95))
    ends = series.end_s.copy()
    ends[-1] = series.start_s[-1] + 0.04
    cut = dataclasses.replace(series, end_s=ends)
    assert [(s.label, s.start_s) for s in course_of(cut)] == [('sadness', 0.0), ('happiness', 6.0)]
    assert course_of(cut)[-1].end_s == pytest.approx(16.04)


def test_runs_end_at_gaps_and_short_ones_are_left_out():
    times = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 5.1, 9.0])
    flags = np.array([True, True, True, True, True, True, False])
    assert runs_in_time(times, flags, 0.25) == [(0.0, 0.3)]
    assert runs_in_time(times, flags, 0.0) == [(0.0, 0.3), (5.0, 5.1)]
    assert runs_in_time(np.arange(5.0), np.ones(5, dtype=bool), 1.0) == [(0.0, 4.0)]  # one frame a second
    assert runs_in_time(np.array([]), np.array([], dtype=bool), 0.0) == []
