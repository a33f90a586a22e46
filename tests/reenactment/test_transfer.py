"""Motion made fit for a portrait: relative, absolute, scaled, limited."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from affekt.errors import ValueRangeError
from affekt.face3d import face_gains, face_model, pose_matrix
from affekt.faces import BLENDSHAPES, euler_angles_deg
from affekt.reenactment import (
    FaceState,
    Motion,
    MotionFrame,
    TransferSettings,
    apex_of_emotion,
    frame_of_amounts,
    motion_of_emotion,
    portrait_range,
    transfer,
)
from affekt.reenactment.transfer import scaled_opening, soft_limit
from tests.reenactment.made_up import face_points

NAMES = face_model().directions


def portrait(yaw_deg=0.0, **scores):
    given = np.zeros(52, np.float32)
    for name, score in scores.items():
        given[BLENDSHAPES.index(name)] = score
    shown = SimpleNamespace(face=face_points(), rotation=pose_matrix(yaw_deg)[:3, :3], blendshapes=given)
    return portrait_range(shown)


def amounts(**shown):
    return np.array([shown.get(name, 0.0) for name in NAMES])


def moved(frames, target=None, calm=None, **settings):
    motion = Motion(frames, 25.0, calm=calm or FaceState())
    made = transfer(motion, target or portrait(), TransferSettings(**settings))
    return list(made), made.notes


def yaw(frame):
    pose = np.eye(4)
    pose[:3, :3] = frame.rotation
    return float(euler_angles_deg(pose)[0])


def test_a_neutral_frame_stays_neutral_whatever_the_portrait_shows():
    frames, notes = moved([MotionFrame(0)], portrait(jawOpen=0.8, mouthSmileLeft=1), intensity=0.5)
    assert frames[0].is_neutral
    assert notes == []


def test_intensity_scales_the_expression_and_leaves_head_gaze_and_blinks():
    frame = MotionFrame(
        0, frame_of_amounts(0, amounts(jawOpen=0.4)).offsets, [0.0, 1.2], [[0.1, 0], [0.1, 0]],
        pose_matrix(yaw_deg=10)[:3, :3], [1, 2], 1.1,
    )  # fmt: skip
    (half,), _ = moved([frame], intensity=0.5)
    assert half.offsets == pytest.approx(frame.offsets / 2, abs=1e-6)
    assert half.opening == pytest.approx([0, 1.1])
    assert half.gaze == pytest.approx(frame.gaze)
    assert yaw(half) == pytest.approx(10)
    assert half.translation == pytest.approx([1, 2])
    assert half.scale == pytest.approx(1.1)
    (still,), _ = moved([frame], head=0)
    assert np.array_equal(still.rotation, np.eye(3))
    assert still.scale == 1


def test_a_blink_stays_a_blink_and_a_squint_is_scaled():
    # 0.8 is squinting: 1 - 0.2 / 2; 0.1 is a blink
    assert scaled_opening(np.array([0.8, 0.1], np.float32), 0.5) == pytest.approx([0.9, 0.1])
    assert scaled_opening(np.array([0.8, 1.3], np.float32), 0) == pytest.approx([1, 1])


def test_a_head_that_turns_far_is_limited_softly_and_it_is_said():
    turns = [MotionFrame(n / 25, rotation=pose_matrix(yaw_deg=10.0 * n)[:3, :3]) for n in range(6)]
    frames, notes = moved(turns)
    angles = [yaw(frame) for frame in frames]
    assert angles[:2] == pytest.approx([0, 10])
    assert np.all(np.diff(angles) > 0)
    assert max(angles) <= 22
    # 30, 40 and 50 degrees are beyond 22
    assert notes == [
        'The head turns by up to 50 degrees; in 3 of 6 frames it was limited to what the portrait can turn'
    ]


def test_a_portrait_that_is_turned_already_turns_little_further_and_not_far_back():
    away = [MotionFrame(0, rotation=pose_matrix(yaw_deg=angle)[:3, :3]) for angle in (20, -20)]
    (further, back), notes = moved(away, portrait(yaw_deg=25))
    assert yaw(further) <= 7
    assert -4.5 <= yaw(back) <= -4.4  # 22 - 0.7 * 25: its far cheek has few pixels
    assert 'in 2 of 2 frames' in notes[0]


def test_a_soft_limit_leaves_small_values_and_is_never_passed():
    assert soft_limit(-10, 25) == -10
    assert soft_limit(25, 25) < 25
    assert soft_limit(1e6, 25) == 25
    assert soft_limit(-40, 25) == -soft_limit(40, 25)


def test_a_face_that_smiles_already_adds_only_what_is_left():
    smile = frame_of_amounts(0, amounts(mouthSmileLeft=0.9, mouthSmileRight=0.9))
    corner = 291

    def widened(target, **settings):
        (frame,), notes = moved([smile], target, **settings)
        return float(np.linalg.norm(frame.offsets[corner]) / np.linalg.norm(smile.offsets[corner])), notes

    smiling = portrait(mouthSmileLeft=1, mouthSmileRight=1)
    assert widened(portrait()) == (pytest.approx(1, abs=0.01), [])
    # twice as much is more than a face can, and less is left where it smiles already
    calm, notes = widened(portrait(), intensity=2)
    happy, _ = widened(smiling, intensity=2)
    assert happy < calm < 1.7
    assert "end of the portrait's own range" in notes[0]
    assert widened(smiling, intensity=2, is_clamped=False) == (pytest.approx(2), [])


def test_landmarks_gone_wild_are_held_within_what_a_region_can_do():
    wild = MotionFrame(0, np.full((468, 3), 4.0, np.float32) * np.sign(np.random.default_rng(0).normal(size=(468, 3))))
    (held,), _ = moved([wild])
    # the jaw opens by 3.4 cm; brows move by less than a centimetre
    assert np.linalg.norm(held.offsets, axis=1).max() < 5
    assert np.linalg.norm(held.offsets[105]) < 2


def test_the_absolute_form_takes_the_drivers_own_expression_and_pose():
    smiling = FaceState(amounts(mouthSmileLeft=0.3, mouthSmileRight=0.3), pose_matrix(yaw_deg=8)[:3, :3])
    target = portrait(yaw_deg=3, jawOpen=0.2)
    (frame,), _ = moved([MotionFrame(0)], target, smiling, absolute=True)
    own = face_gains()['jawOpen'].gain * 0.2
    expected = frame_of_amounts(0, amounts(mouthSmileLeft=0.3, mouthSmileRight=0.3, jawOpen=-own)).offsets
    assert frame.offsets == pytest.approx(expected, abs=0.03)
    assert yaw(frame) == pytest.approx(5)
    (same,), _ = moved([MotionFrame(0)], target, smiling)
    assert same.is_neutral


def test_a_calm_driver_takes_all_of_the_portraits_own_expression_away_in_the_absolute_form():
    shown = portrait(browInnerUp=1, browOuterUpLeft=1, browOuterUpRight=1, jawOpen=1)
    (frame,), notes = moved([MotionFrame(0)], shown, absolute=True)
    assert shown.own.amounts.max() > 0.5
    assert frame.offsets == pytest.approx(frame_of_amounts(0, -shown.own.amounts).offsets, abs=1e-6)
    assert not notes


def test_what_an_emotion_shows_is_known_to_be_within_the_range_of_a_calm_face():
    (frame,), notes = moved([apex_of_emotion('surprise', 0.8)])
    assert frame.offsets == pytest.approx(apex_of_emotion('surprise', 0.8).offsets, abs=1e-6)
    assert not notes


def test_frames_are_made_as_they_are_taken_and_keep_their_mouth():
    taken = []

    def frames():
        for number in range(3):
            taken.append(number)
            yield MotionFrame(float(number))

    next(iter(transfer(Motion(frames(), 25.0), portrait())))
    assert taken == [0]
    made = transfer(motion_of_emotion('anger'), portrait())
    assert made.count == 75


@pytest.mark.parametrize('wrong', [{'intensity': -1}, {'head': 2}, {'yaw_deg': 45}, {'size': 0.5}, {'pitch_deg': 0}])
def test_settings_beyond_what_a_mesh_can_show_are_refused(wrong):
    with pytest.raises(ValueRangeError):
        TransferSettings(**wrong)
