"""Scores by frame: values derived by hand, against plain second implementations, and what they must not do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import (
    affect_ccc,
    affect_measure,
    compare,
    concordance,
    expression_f1,
    expression_measure,
    frame_intervals,
    macro_f1,
    mean_over_videos,
    mean_over_windows,
    multilabel_macro_f1,
    multitask_measure,
    multitask_score,
    unit_f1,
    unit_measure,
)


def two_dimensions(valence, arousal=None):
    """(T, 2) of lists; both dimensions alike where one is given."""
    return np.stack([valence, valence if arousal is None else arousal], axis=1).astype(np.float64)


def test_affect_is_scored_on_all_frames_together_and_not_video_by_video():
    # Video one: truth 0, .2; prediction 0, .1. Video two: truth .8, 1; prediction .9, 1.
    # Together, N = 4: both means .5; truth offsets -.5 -.3 .3 .5, prediction offsets -.5 -.4 .4 .5.
    # var t = .68/4, var p = .82/4, cov = (.25 + .12 + .12 + .25)/4 = .74/4; ccc = 1.48 / 1.50
    # Video one alone: means .1 and .05; var t .01, var p .0025, cov .005; ccc = .01 / (.0125 + .0025) = 2/3
    # Video two alone: means .9 and .95; the same moments: 2/3
    truth = [two_dimensions([0.0, 0.2]), two_dimensions([0.8, 1.0])]
    prediction = [two_dimensions([0.0, 0.1]), two_dimensions([0.9, 1.0])]
    assert affect_ccc(truth, prediction) == pytest.approx(1.48 / 1.50, abs=1e-12)
    assert mean_over_videos(affect_ccc, truth, prediction).mean == pytest.approx(2 / 3, abs=1e-12)


def test_the_score_of_affect_is_the_mean_of_both_dimensions():
    # Valence as a shift by one of 0 1 2 3 gives 5/7, arousal equals its truth: (5/7 + 1) / 2
    truth = two_dimensions([0, 1, 2, 3], [0, 1, 2, 3])
    scores = affect_measure(truth, two_dimensions([1, 2, 3, 4], [0, 1, 2, 3])).scores()
    assert scores['valence_ccc'] == pytest.approx(5 / 7, abs=1e-12)
    assert scores['arousal_ccc'] == pytest.approx(1.0, abs=1e-12)
    assert scores['affect_ccc'] == pytest.approx(6 / 7, abs=1e-12)


def test_moments_of_affect_divide_by_the_number_of_frames():
    # With N - 1 the shift of the means would weigh less: 2 (5/3) / (10/3 + 1) = 10/13
    shifted = affect_ccc(two_dimensions([0, 1, 2, 3]), two_dimensions([1, 2, 3, 4]))
    assert abs(shifted - 10 / 13) > 0.05


def test_a_frame_without_both_dimensions_is_left_out():
    truth = two_dimensions([0, 1, 2, 3, np.nan], [0, 1, 2, 3, 5])
    prediction = two_dimensions([1, 2, 3, 4, 99], [1, 2, 3, 4, np.nan])
    assert affect_ccc(truth, prediction) == pytest.approx(5 / 7, abs=1e-12)


def test_a_class_that_nothing_has_counts_as_zero_in_the_official_score_alone():
    # Classes 0 and 1 of 8 occur: F1 2/3 and 4/5; official (2/3 + 4/5) / 8, over the two that occur half of the sum.
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert expression_f1(truth, prediction) == pytest.approx((2 / 3 + 4 / 5) / 8, abs=1e-12)
    assert macro_f1(truth, prediction, 8) == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-12)


def test_a_class_that_is_only_predicted_counts_as_zero():
    # F1 of 0: 2/3 (one of two right, one predicted); of 1: 0, of 2: 0
    assert expression_f1(np.array([0, 0]), np.array([0, 2]), 3) == pytest.approx(2 / 9, abs=1e-12)


def test_expressions_are_counted_over_all_videos_before_f1_is_taken():
    # Each video has one class, wholly right: 1/2 by video of two classes (the other counts 0), 1 together.
    videos = [np.array([0, 0]), np.array([1, 1])]
    assert expression_f1(videos, videos, 2) == 1.0
    assert mean_over_videos(lambda t, p: expression_f1(t, p, 2), videos, videos).mean == 0.5


def test_action_units_are_scored_one_by_one_where_each_is_known():
    # Unit 1: known in frames 1 to 3, truth 1 1 0, prediction 1 0 0: F1 = 2/3. Unit 2: truth 0 1, prediction 1 1: 2/3.
    # Unit 3: nobody shows it: 0. Mean 4/9.
    truth = np.array([[1, 0, 0], [1, -1, 0], [0, 1, 0], [-1, -1, -1]])
    prediction = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    assert unit_f1(truth, prediction) == pytest.approx(4 / 9, abs=1e-12)


def test_the_score_of_all_tasks_is_their_sum_over_the_videos_that_each_has():
    # Expression 1 of 2 classes right throughout: 1; affect 5/7; units 1. The second video has no affect.
    expression = [np.array([0, 1, 0, 1]), np.array([1, -1])]
    affect = [two_dimensions([0, 1, 2, 3]), None]
    units = [np.array([[1], [0], [1], [0]]), np.array([[-1], [1]])]
    measured = multitask_measure(
        (expression, [expression[0], np.array([1, 0])]),
        (affect, [affect[0] + 1, np.zeros((2, 2))]),
        (units, [units[0], np.array([[0], [1]])]),
        classes=2,
    )
    assert measured.scores()['multitask'] == pytest.approx(2 + 5 / 7, abs=1e-12)
    assert list(measured.sizes) == [4, 1]


def test_all_tasks_together_give_what_each_gives_alone():
    rng = np.random.default_rng(0)
    expression = (rng.integers(-1, 8, 90), rng.integers(0, 8, 90))
    affect = tuple(rng.uniform(-1, 1, (2, 90, 2)))
    units = tuple(rng.integers(0, 2, (2, 90, 12)))
    total = expression_f1(*expression) + affect_ccc(*affect) + unit_f1(*units)
    assert multitask_score(expression, affect, units) == pytest.approx(total, abs=1e-12)


def test_a_window_keeps_the_tail_and_a_short_video():
    # Five frames in windows of two: 0 1 | 2 3 | 4; a video of one frame is a window. CCC of one frame is undefined.
    long, short = two_dimensions([0, 1, 2, 3, 4]), two_dimensions([1.0])
    windows = mean_over_windows(affect_ccc, [long, short], [long, short], length=2)
    assert len(windows.scores) == 4
    assert windows.undefined == 2
    assert windows.mean == 1.0


def test_windows_overlap_by_their_stride():
    # Begins 0, 1, 2 of length 3 hold five frames.
    video = two_dimensions([0, 1, 2, 3, 4])
    assert len(mean_over_windows(affect_ccc, video, video, length=3, stride=1).scores) == 3


def test_a_mean_over_windows_is_another_number_than_the_official_score():
    # People differ in their level, which a window does not see.
    rng = np.random.default_rng(1)
    levels = rng.normal(0, 1, 20)
    truth = [two_dimensions(level + rng.normal(0, 0.2, 100)) for level in levels]
    prediction = [two_dimensions(level + rng.normal(0, 0.2, 100)) for level in levels]
    assert affect_ccc(truth, prediction) > 0.85
    assert abs(mean_over_windows(affect_ccc, truth, prediction, 50).mean) < 0.2


@pytest.mark.parametrize('score', [expression_f1, affect_ccc, unit_f1])
def test_scores_without_a_labelled_frame_are_undefined(score):
    shape = {expression_f1: (3,), affect_ccc: (3, 2), unit_f1: (3, 12)}[score]
    truth = np.full(shape, np.nan if score is affect_ccc else -1)
    assert np.isnan(score(truth, np.zeros(shape)))
    assert np.isnan(score([], []))


def test_two_equal_constants_have_no_concordance():
    assert np.isnan(affect_ccc(np.full((5, 2), 0.1, np.float32), np.full((5, 2), 0.1, np.float32)))


def test_a_constant_prediction_scores_zero():
    assert affect_ccc(two_dimensions([0, 1, 2, 3]), np.full((4, 2), 0.1, np.float32)) == 0.0


def test_a_labelled_frame_without_a_prediction_is_refused():
    with pytest.raises(ValueRangeError, match='none for 1 of them'):
        expression_f1(np.array([0, 1, -1]), np.array([0, -1, -1]))
    with pytest.raises(ValueRangeError, match='none for 1 of them'):
        affect_ccc(two_dimensions([0, 1]), two_dimensions([0, np.nan]))
    with pytest.raises(ValueRangeError, match='none for 2 of them'):
        unit_f1(np.array([[0, 1]]), np.array([[-1, np.nan]]))


def test_answers_that_no_class_or_unit_has_are_refused():
    with pytest.raises(ValueRangeError, match='from 0 to 7'):
        expression_f1(np.array([0]), np.array([8]))
    with pytest.raises(ValueRangeError, match='0 or 1'):
        unit_f1(np.array([[1, 0]]), np.array([[0.7, 0.2]]))


def test_a_prediction_longer_or_shorter_than_its_video_is_refused():
    with pytest.raises(ShapeError, match='video 2'):
        expression_f1([np.array([0]), np.array([0, 1])], [np.array([0]), np.array([0])])
    with pytest.raises(ShapeError, match='as many videos'):
        affect_ccc([np.zeros((2, 2))], [])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 30))
def test_scores_are_those_of_the_concatenated_frames_however_they_are_cut(seed, videos, frames):
    rng = np.random.default_rng(seed)
    affect, answer = rng.uniform(-1, 1, (2, frames, 2))
    classes, guesses = rng.integers(-1, 8, frames), rng.integers(0, 8, frames)
    units, marks = rng.integers(0, 2, (2, frames, 12))
    ends = np.sort(rng.integers(0, frames + 1, videos - 1))
    cut = [np.split(array, ends) for array in (affect, answer, classes, guesses, units, marks)]
    plain = [concordance(affect[:, at], answer[:, at]) for at in range(2)]
    assert affect_ccc(cut[0], cut[1]) == pytest.approx(np.mean(plain), abs=1e-9)
    known = classes >= 0
    hits = [
        2 * np.sum((classes == k) & (guesses == k)) / max(np.sum(classes == k) + np.sum(guesses[known] == k), 1)
        for k in range(8)
    ]
    if known.any():
        assert expression_f1(cut[2], cut[3]) == pytest.approx(np.mean(hits), abs=1e-12)
    present = (units.sum(axis=0) + marks.sum(axis=0)) > 0
    ours = multilabel_macro_f1(units, marks) * present.mean() if present.any() else 0.0
    assert unit_f1(cut[4], cut[5]) == pytest.approx(ours, abs=1e-12)


def test_intervals_are_over_videos_and_not_over_frames():
    # A hundred frames of one video say what one says: repeating each frame must not narrow the interval.
    rng = np.random.default_rng(2)
    truth = list(rng.uniform(-1, 1, (12, 5, 2)))
    prediction = [video + rng.normal(0, 0.5, (5, 2)) for video in truth]
    once = frame_intervals(affect_measure(truth, prediction), rng=np.random.default_rng(0))['affect_ccc']
    often = frame_intervals(
        affect_measure([v.repeat(40, axis=0) for v in truth], [v.repeat(40, axis=0) for v in prediction]),
        rng=np.random.default_rng(0),
    )['affect_ccc']
    assert once.low < once.value < once.high
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-9)


def test_one_video_gives_no_interval():
    measured = expression_measure(np.array([0, 1]), np.array([0, 1]))
    assert np.isnan(frame_intervals(measured, rng=np.random.default_rng(0))['expression_f1'].low)


def test_two_people_of_one_recording_are_drawn_together():
    truth = [np.array([0, 1]), np.array([0, 1]), np.array([-1, -1]), np.array([1, 1])]
    measured = expression_measure(truth, [np.array([0, 0])] * 4, 2)
    names = ['film', 'film', 'unlabelled', 'other']
    together = frame_intervals(measured, rng=np.random.default_rng(0), recordings=names)['expression_f1']
    apart = frame_intervals(measured, rng=np.random.default_rng(0))['expression_f1']
    assert together.value == apart.value
    assert together.high - together.low > apart.high - apart.low


def test_two_systems_are_compared_video_by_video():
    rng = np.random.default_rng(3)
    truth = list(rng.integers(0, 2, (15, 20, 3)))
    worse = [np.where(rng.uniform(size=v.shape) < 0.4, 1 - v, v) for v in truth]
    better = [np.where(rng.uniform(size=v.shape) < 0.1, 1 - v, v) for v in truth]
    test = compare(unit_measure(truth, better), unit_measure(truth, worse), rng=np.random.default_rng(0))['unit_f1']
    assert test.difference.value > 0.1
    assert test.p < 0.01


def test_classes_and_units_are_scored_under_their_names():
    scores = expression_measure(np.array([0, 1]), np.array([0, 0]), 2, ('calm', 'glad')).scores()
    assert scores['expression_f1 calm'] == pytest.approx(2 / 3)
    assert unit_measure(np.array([[1]]), np.array([[1]]), ('AU12',)).scores()['unit_f1 AU12'] == 1.0


def test_two_systems_on_affect_differ_by_their_plain_scores(rng):
    truth = [rng.uniform(-1, 1, (40, 2)).astype(np.float32) for _ in range(6)]
    left, right = ([video + shift for video in truth] for shift in (0.1, 0.7))
    tested = compare(affect_measure(truth, left), affect_measure(truth, right), rng=rng, resamples=100)
    plain = affect_ccc(truth, left) - affect_ccc(truth, right)
    assert tested['affect_ccc'].difference.value == pytest.approx(plain, abs=1e-9)


def test_recordings_are_one_for_each_video_also_for_those_without_a_label():
    measure = expression_measure([np.array([0, 1]), np.array([-1, -1]), np.array([1, 0])], [np.array([0, 1])] * 3, 2)
    given = frame_intervals(measure, rng=np.random.default_rng(0), recordings=['a', 'b', 'c'])
    assert given['accuracy'].value == 0.5
    for recordings in (['a'], ['a', 'b'], ['a', 'b', 'c', 'd']):
        with pytest.raises(ShapeError, match='3 videos'):
            frame_intervals(measure, rng=np.random.default_rng(0), recordings=recordings)


def test_names_are_as_many_as_classes_or_units():
    pair = [np.array([0, 1])], [np.array([0, 1])]
    for names in ('a', 'abc'):
        with pytest.raises(ShapeError, match='2 classes'):
            expression_measure(*pair, 2, names=names)
        with pytest.raises(ShapeError, match='2 action units'):
            unit_measure(np.zeros((3, 2)), np.zeros((3, 2)), names=names)


def test_windows_further_apart_than_long_are_never_empty():
    # 10 frames, length 2, stride 5: windows at 0 and 5; one at 10 would have no frame
    parts = mean_over_windows(expression_f1, [np.array([0, 1] * 5)], [np.array([0, 1] * 5)], 2, 5)
    assert len(parts.scores) == 2
    assert parts.undefined == 0
