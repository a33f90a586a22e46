"""Windows that leave out no frame, their answers averaged, and splits that nothing crosses."""

import numpy as np
import pytest

from affekt.errors import LeakError, ShapeError, UnknownNameError, ValueRangeError
from affekt.frames import Window, overlap_average, overlap_weights, recording_of, require_disjoint, windows_over


@pytest.mark.parametrize(('length', 'stride'), [(1000, 200), (1000, 1000), (7, 3), (1, 1)])
@pytest.mark.parametrize('count', [1, 2, 6, 7, 8, 999, 1000, 1001, 2345])
def test_every_frame_lies_in_a_window_and_only_short_videos_have_short_ones(count, length, stride):
    windows = windows_over({'v': count}, length, stride)
    covered = np.zeros(count, int)
    for window in windows:
        covered[window.frames] += 1
    assert covered.all()
    assert {len(window) for window in windows} == {min(length, count)}
    assert len({window.begin for window in windows}) == len(windows)


def test_published_windows_would_leave_out_what_ours_keep():
    # published: (1150 - 1000) // 200 + 1 = 1 window, 150 frames of the tail and the whole short video lost
    windows = windows_over({'long': 1150, 'short': 400, 'empty': 0}, 1000, 200)
    assert windows == (Window('long', 0, 1000), Window('long', 150, 1150), Window('short', 0, 400))


@pytest.mark.parametrize(('length', 'stride'), [(10, 11), (10, 0), (0, 0)])
def test_a_stride_that_would_skip_frames_is_refused(length, stride):
    with pytest.raises(ValueRangeError, match='stride from 1'):
        windows_over({'v': 30}, length, stride)


def test_flat_overlap_is_the_plain_mean_by_hand():
    # frames 0 1 2 of the first window, 2 3 4 of the second: at frame 2 (30 + 50) / 2
    average = overlap_average(5, [(0, np.array([[10], [20], [30]])), (2, np.array([[50], [60], [70]]))])
    assert average[:, 0].tolist() == [10, 20, 40, 60, 70]


def test_tapered_overlap_by_hand():
    # windows of 4 weigh .5 1 1 .5; frame 2: (1 * 3 + .5 * 30) / 1.5 = 12, frame 3: (.5 * 4 + 1 * 40) / 1.5 = 28
    windows = [(0, np.array([[1], [2], [3], [4.0]])), (2, np.array([[30], [40], [50], [60.0]]))]
    np.testing.assert_allclose(overlap_average(6, windows, 'tapered')[:, 0], [1, 2, 12, 28, 50, 60], rtol=1e-6)


@pytest.mark.parametrize('weights', ['flat', 'tapered'])
def test_windows_that_agree_give_what_they_say(weights):
    curve = np.random.default_rng(0).normal(size=(2345, 3)).astype(np.float32)
    windows = windows_over({'v': len(curve)}, 1000, 200)
    average = overlap_average(len(curve), [(each.begin, curve[each.frames]) for each in windows], weights)
    np.testing.assert_allclose(average, curve, atol=1e-6)


def test_a_frame_without_a_window_is_nan_and_a_window_beyond_the_video_is_refused():
    assert np.isnan(overlap_average(3, [(0, np.ones((2, 1)))])[2, 0])
    with pytest.raises(ShapeError, match='within 3 frames'):
        overlap_average(3, [(2, np.ones((2, 1)))])
    with pytest.raises(ShapeError, match=r'got \(2,\) from frame 0'):
        overlap_average(3, [(0, np.ones(2))])
    with pytest.raises(ShapeError, match='got none'):
        overlap_average(3, [])
    with pytest.raises(UnknownNameError, match='flat, tapered'):
        overlap_weights(3, 'round')


@pytest.mark.parametrize(
    ('video', 'recording'),
    [('video59', 'video59'), ('video59_left', 'video59'), ('video10_1_right', 'video10_1'), ('_left', '_left')],
)
def test_a_person_suffix_names_no_other_recording(video, recording):
    assert recording_of(video) == recording


def test_two_people_of_one_recording_on_two_sides_are_a_leak():
    require_disjoint({'train': ['video1', 'video1_left', 'video10'], 'val': ['video11_left']})
    with pytest.raises(LeakError, match=r'2 on two: .video59 / video59_left in train and val., .a in train and test.'):
        require_disjoint({'train': ['video59', 'a'], 'val': ['video59_left', 'b'], 'test': ['a']})


def test_windows_of_one_video_on_two_sides_are_a_leak_even_where_they_do_not_overlap():
    with pytest.raises(LeakError, match='v in train and val'):
        require_disjoint({'train': [Window('v', 0, 10)], 'val': [Window('v', 90, 100)]})
