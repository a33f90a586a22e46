"""Features of other clocks at the times of frames, by hand-worked values, and frames of which nothing is said."""

import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.frames import CLOCK_METHODS, frame_clock, neighbours, on_clock

FRAMES = frame_clock(6, 25.0)  # 0, .04, .08, .12, .16, .20


def column(*numbers):
    return np.array(numbers, np.float32)[:, None]


def test_linear_lies_on_the_line_between_rows_at_half_the_rate():
    aligned = on_clock(column(0, 2, 6), np.array([0, 0.08, 0.16]), FRAMES)
    # .20 is half a step of .08 behind the last row, which still speaks for it
    np.testing.assert_allclose(aligned.values[:, 0], [0, 1, 2, 4, 6, 6], atol=1e-6)
    assert aligned.keep_mask.tolist() == [True] * 6


def test_nearest_takes_the_earlier_of_two_that_are_as_near():
    aligned = on_clock(column(0, 2, 6), np.array([0, 0.08, 0.16]), FRAMES, 'nearest')
    assert aligned.values[:, 0].tolist() == [0, 0, 2, 2, 6, 6]


def test_previous_never_reads_a_later_row():
    aligned = on_clock(column(5, 2, 6), np.array([0.03, 0.08, 0.17]), FRAMES, 'previous')
    assert aligned.keep_mask.tolist() == [False, True, True, True, True, True]
    assert aligned.values[:, 0].tolist() == [0, 5, 2, 2, 2, 6]


@pytest.mark.parametrize(('method', 'wanted'), [('mean', [0.5, 2.5, 4.5]), ('max', [1, 3, 5])])
def test_pooling_takes_the_rows_that_are_nearer_to_a_frame_than_to_any_other(method, wanted):
    # 50 Hz rows in their middles, -.01 to .09, and 25 Hz frames: two rows each, their borders at -.02, .02, .06, .10
    aligned = on_clock(column(0, 1, 2, 3, 4, 5), -0.01 + 0.02 * np.arange(6), FRAMES[:3], method)
    assert aligned.values[:, 0].tolist() == wanted


def test_pooling_of_a_slower_feature_is_linear_where_a_frame_has_no_row():
    aligned = on_clock(column(0, 2, 6), np.array([0, 0.08, 0.16]), FRAMES, 'mean')
    np.testing.assert_allclose(aligned.values[:, 0], [0, 1, 2, 4, 6, 6], atol=1e-6)


@pytest.mark.parametrize('method', [each for each in CLOCK_METHODS if each != 'spread'])
def test_nothing_is_said_beyond_the_span_of_a_feature(method):
    times = np.arange(0.4, 0.8, 0.02)
    aligned = on_clock(np.ones((len(times), 2)), times, frame_clock(50, 25.0), method)
    # frames .40 to .80; the last row is at .78, and .80 is half a frame away from it
    assert np.flatnonzero(aligned.keep_mask).tolist()[0] == 10
    assert np.flatnonzero(aligned.keep_mask).tolist()[-1] in (20, 21 if method == 'previous' else 20)
    assert not aligned.values[~aligned.keep_mask].any()
    assert (aligned.values[aligned.keep_mask] == 1).all()


@pytest.mark.parametrize('method', ['linear', 'nearest', 'mean', 'max'])
def test_a_gap_without_a_face_is_not_bridged_but_one_lost_row_is(method):
    frame_times = frame_clock(12, 25.0)
    rows = np.array([0, 1, 3, 4, 9, 10, 11])  # frame 2 is lost, and 5 to 8 show no face
    aligned = on_clock(rows[:, None].astype(float), frame_times[rows], frame_times, method)
    assert np.flatnonzero(~aligned.keep_mask).tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(aligned.values[rows, 0], rows, atol=1e-6)
    assert on_clock(rows[:, None], frame_times[rows], frame_times, method, longest_gap_s=1.0).keep_mask.all()
    assert not on_clock(rows[:, None], frame_times[rows], frame_times, method, longest_gap_s=0.05).keep_mask[2:3].any()


@pytest.mark.parametrize('seen', [[0, 100], [0, 1, 100], [0, 1, 30, 60, 61, 90]])
def test_a_face_that_is_rarely_seen_is_not_spread_over_what_lies_between(seen):
    frame_times = frame_clock(120, 25.0)
    keep = on_clock(np.ones((len(seen), 2)), frame_times[seen], frame_times).keep_mask
    assert np.flatnonzero(keep).tolist() == seen


def test_rows_without_times_are_frames_and_must_be_as_many():
    assert on_clock(column(*range(6)), None, FRAMES).values[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ShapeError, match=r'voice of video1.*6 frames.*5 rows without times'):
        on_clock(column(*range(5)), None, FRAMES, source='voice of video1')


def test_spread_rows_are_interpolated_where_too_few_and_picked_where_too_many():
    assert on_clock(column(0, 10), None, FRAMES[:5], 'spread').values[:, 0].tolist() == [0, 2.5, 5, 7.5, 10]
    assert on_clock(column(*range(7)), None, FRAMES[:3], 'spread').values[:, 0].tolist() == [0, 3, 6]


def test_a_feature_without_a_row_keeps_no_frame():
    aligned = on_clock(np.zeros((0, 3)), np.zeros(0), FRAMES)
    assert aligned.values.shape == (6, 3)
    assert not aligned.keep_mask.any()


def test_a_single_row_speaks_for_its_own_frame_alone():
    assert np.flatnonzero(on_clock(column(7), np.array([0.09]), FRAMES).keep_mask).tolist() == [2]


def test_a_row_at_every_frame_is_taken_as_it_is_whatever_the_method_and_the_rate():
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 40))  # of a variable rate
    values = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    for method in CLOCK_METHODS:
        aligned = on_clock(values, times, times, method)
        np.testing.assert_array_equal(aligned.values, values)
        assert aligned.keep_mask.all()


def test_faults_name_the_feature_and_the_row():
    values = np.zeros((3, 2))
    values[1, 0] = np.nan
    with pytest.raises(ValueRangeError, match=r'wavlm of video7.*row 1'):
        on_clock(values, np.arange(3.0), FRAMES, source='wavlm of video7')
    with pytest.raises(ValueRangeError, match=r'times of the rows of video7.*0.100 s after 0.100 s'):
        on_clock(np.zeros((3, 2)), np.array([0, 0.1, 0.1]), FRAMES, source='video7')
    with pytest.raises(ShapeError, match='a time for each row'):
        on_clock(np.zeros((3, 2)), np.zeros(2), FRAMES)
    with pytest.raises(UnknownNameError, match='linear'):
        on_clock(np.zeros((3, 2)), np.arange(3.0), FRAMES, 'cubic')
    with pytest.raises(ValueRangeError, match='a longest gap above 0 s'):
        on_clock(np.zeros((3, 2)), np.arange(3.0), FRAMES, longest_gap_s=0.0)
    with pytest.raises(ValueRangeError, match='a rate above 0'):
        frame_clock(3, 0)


def test_neighbours_are_the_rows_around_a_frame_and_how_many_steps_they_lie_away():
    rows, distances = neighbours(np.array([0, 0.08, 0.16]), np.array([0.0, 0.1, 0.2]), 4)
    # frame .1: rows 0 and 1 are not later; .08 is .02 before it, which is .2 of the frames' step of .1
    assert rows.tolist() == [[0, 0, 1, 2], [0, 1, 2, 0], [1, 2, 0, 0]]
    np.testing.assert_allclose(distances[1, :3], [-1, -0.2, 0.6], atol=1e-6)
    assert np.isnan(distances).tolist() == [
        [True, False, False, False],
        [False, False, False, True],
        [False, False, True, True],
    ]
