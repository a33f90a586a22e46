"""The nouns of motion: what they refuse, and that a frame without a difference differs in nothing."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d import pose_matrix, turn
from affekt.reenactment import FaceState, Motion, MotionFrame, MouthPicture, blended
from affekt.reenactment.motion import rotation_vector


def test_a_frame_of_which_only_the_time_is_given_is_neutral():
    assert MotionFrame(1.5).is_neutral
    assert not MotionFrame(0, scale=1.01).is_neutral
    assert not MotionFrame(0, opening=np.array([1, 0.5])).is_neutral


@pytest.mark.parametrize(
    ('changed', 'error'),
    [
        ({'offsets': np.zeros((478, 3))}, ShapeError),
        ({'offsets': np.full((468, 3), np.nan)}, ValueRangeError),
        ({'opening': np.array([-0.1, 1])}, ValueRangeError),
        ({'gaze': np.zeros(2)}, ShapeError),
        ({'rotation': 2 * np.eye(3)}, ValueRangeError),
        ({'rotation': np.diag([1.0, 1.0, -1.0])}, ValueRangeError),
        ({'translation': np.zeros(3)}, ShapeError),
        ({'scale': 0.0}, ValueRangeError),
        ({'time_s': float('nan')}, ValueRangeError),
    ],
)
def test_a_frame_that_no_face_can_have_is_refused(changed, error):
    with pytest.raises(error):
        MotionFrame(**{'time_s': 0.0, **changed})


def test_a_mouth_needs_a_picture_in_colour_and_twenty_points():
    image = np.zeros((8, 12, 3), np.uint8)
    assert repr(MouthPicture(image, np.zeros((20, 2)), np.zeros(3))) == 'MouthPicture(12 x 8)'
    with pytest.raises(ShapeError):
        MouthPicture(image[..., 0], np.zeros((20, 2)), np.zeros(3))
    with pytest.raises(ShapeError):
        MouthPicture(image, np.zeros((19, 2)), np.zeros(3))


def test_a_motion_is_read_frame_by_frame():
    made = []

    def frames():
        for number in range(3):
            made.append(number)
            yield MotionFrame(number / 25)

    motion = Motion(frames(), 25.0)
    assert next(iter(motion)).time_s == 0
    assert made == [0]
    with pytest.raises(ValueRangeError):
        Motion((), 0.0)


def test_an_unknown_opening_is_allowed_of_a_still_face_alone():
    assert np.isnan(FaceState().opening).all()
    with pytest.raises(ValueRangeError):
        FaceState(gaze=np.full((2, 2), np.nan))


def test_half_way_between_two_frames_lies_half_of_everything():
    quarter = pose_matrix(yaw_deg=20)[:3, :3]
    end = MotionFrame(1, np.ones((468, 3)), [0.5, 0], np.ones((2, 2)), quarter, [2, 0], 4.0)
    half = blended(MotionFrame(0), end, 0.5, 0.5)
    assert half.offsets == pytest.approx(0.5)
    assert half.opening == pytest.approx([0.75, 0.5])
    assert half.rotation == pytest.approx(pose_matrix(yaw_deg=10)[:3, :3])
    assert half.translation == pytest.approx([1, 0])
    assert half.scale == pytest.approx(2.0)  # the geometric mean of 1 and 4


def test_a_rotation_comes_back_from_its_vector():
    rotation = pose_matrix(30, -20, 10)[:3, :3]
    assert turn(rotation_vector(rotation)) == pytest.approx(rotation)
    assert rotation_vector(pose_matrix(yaw_deg=90)[:3, :3]) == pytest.approx([0, np.pi / 2, 0])
