from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from affekt.errors import ShapeError
from affekt.faces import BLENDSHAPES, READINGS, Face, FaceLandmarker, eyes_are_closed, readable_share, readings
from affekt.faces.readings import ACTION_UNITS

NAMES = [reading.name for reading in READINGS]


def face(landmarks=None, blendshapes=None, pose=None, presence=1.0):
    points = np.zeros((478, 3), np.float32) if landmarks is None else landmarks.astype(np.float32)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return Face(
        box=np.concatenate([low, high - low]),
        landmarks=points,
        blendshapes=np.zeros(52, np.float32) if blendshapes is None else blendshapes.astype(np.float32),
        pose=np.eye(4, dtype=np.float32) if pose is None else pose.astype(np.float32),
        presence=presence,
    )


def value(name, *args):
    return float(readings(*args)[NAMES.index(name)])


def scores(**given_scores):
    found = np.zeros(52, np.float32)
    for name, score in given_scores.items():
        found[BLENDSHAPES.index(name)] = score
    return found


def test_column_names_are_unique_and_every_column_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES)
    for reading in READINGS:
        assert reading.low < reading.high
        assert all((reading.unit, reading.model, reading.definition, reading.source))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (478, 3), elements=st.floats(-3000, 3000, width=32)),
    arrays(np.float32, 52, elements=st.floats(0, 1, width=32)),
    arrays(np.uint8, (48, 48)),
)
def test_any_face_gives_values_within_the_ranges_or_nan(landmarks, blendshapes, crop):
    values = readings(face(landmarks, blendshapes), crop)
    for reading, number in zip(READINGS, values, strict=True):
        assert np.isnan(number) or reading.low - 1e-6 <= number <= reading.high + 1e-6, reading.name


def test_a_smile_of_both_sides_is_their_mean_and_its_asymmetry_their_difference():
    smiling = face(blendshapes=scores(mouthSmileLeft=0.8, mouthSmileRight=0.4))
    assert value('smile', smiling) == pytest.approx(0.6)
    assert value('AU12', smiling) == pytest.approx(0.6)
    assert value('smile_asymmetry', smiling) == pytest.approx(0.4)
    assert value('frown', smiling) == 0


def test_eyes_turned_to_the_persons_left_have_positive_yaw():
    # the left eye looks out, the right eye looks in: 30 * (1 + 1) / 2
    looking = face(blendshapes=scores(eyeLookOutLeft=1, eyeLookInRight=1))
    assert value('gaze_yaw_deg', looking) == pytest.approx(30)
    assert value('gaze_pitch_deg', looking) == 0


def test_eyes_that_look_ahead_lose_the_bias_of_the_network():
    ahead = face(blendshapes=scores(eyeLookOutLeft=0.12, eyeLookInRight=0.12))
    # 30 * 0.12 = 3.6, of which 3.6 (1 - 3.6 / 30) = 3.168 is bias
    assert value('gaze_yaw_deg', ahead) == pytest.approx(0.432, abs=1e-4)


def test_closed_eyes_look_nowhere_and_one_open_eye_speaks_for_itself():
    lids_down = {'eyeLookDownLeft': 0.8, 'eyeLookDownRight': 0.8}
    closed = face(blendshapes=scores(eyeBlinkLeft=0.7, eyeBlinkRight=0.6, **lids_down))
    assert np.isnan(value('gaze_yaw_deg', closed))
    assert np.isnan(value('gaze_pitch_deg', closed))
    winking = face(blendshapes=scores(eyeBlinkLeft=0.9, eyeLookDownLeft=0.9, eyeLookUpRight=0.2, eyeLookInRight=1))
    assert value('gaze_pitch_deg', winking) == pytest.approx(6)
    assert value('gaze_yaw_deg', winking) == pytest.approx(30)


def test_eyes_that_are_called_closed_look_nowhere_even_where_one_lid_scores_a_little_less():
    # mean lid score (0.48 + 0.56) / 2 = 0.52; lids that meet: an aspect of 0
    lids = scores(eyeBlinkLeft=0.48, eyeBlinkRight=0.56, eyeLookDownLeft=0.7, eyeLookDownRight=0.7)
    narrow = face(blendshapes=lids)
    assert eyes_are_closed(value('eyes_closed', narrow), value('eye_aspect_left', narrow))
    assert np.isnan(value('gaze_pitch_deg', narrow))
    points = np.zeros((478, 3))
    for right, left, upper, lower in ((33, 133, (160, 158), (153, 144)), (362, 263, (385, 387), (373, 380))):
        points[left, 0] = 10.0  # a width of 10 and lids 3 apart: an aspect of 0.3
        points[[*upper], 1], points[[*lower], 1], points[right, 0] = 3.0, 0.0, 0.0
    assert value('gaze_pitch_deg', face(points, lids)) == pytest.approx(-21)


def test_the_gaze_of_a_picture_and_of_its_mirror_image_are_opposite_on_average(shared_data):
    landmarker = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    sums = []
    for portrait in sorted((shared_data / 'clips').glob('portrait_*.jpg')):
        image = np.asarray(Image.open(portrait).convert('RGB'))
        yaws = [
            value('gaze_yaw_deg', landmarker.faces(np.ascontiguousarray(picture), 1, 1)[0])
            for picture in (image, image[:, ::-1])
        ]
        sums.append(sum(yaws) / 2)
    # ten pictures with a deviation of about 1.7 degrees each; without the correction the mean is near 3
    assert abs(float(np.nanmean(sums))) < 1.5


def test_the_eye_aspect_of_lids_a_third_as_far_apart_as_the_corners_is_a_third():
    points = np.zeros((478, 3))
    points[[33, 133], :2] = [[0, 0], [30, 0]]
    points[[160, 144], :2] = [[10, -5], [10, 5]]
    points[[158, 153], :2] = [[20, -5], [20, 5]]
    # (10 + 10) / (2 * 30) = 1/3
    assert value('eye_aspect_right', face(points)) == pytest.approx(1 / 3)


def test_an_iris_at_the_corner_on_the_persons_left_reads_one():
    points = np.zeros((478, 3))
    points[[362, 263], :2] = [[10, 0], [40, 0]]
    points[473, :2] = [40, 7]
    assert value('iris_left', face(points)) == pytest.approx(1.0)


def test_a_black_crop_has_no_light_and_no_quality_and_no_crop_is_missing():
    points = np.zeros((478, 3))
    points[0, :2] = 200
    dark = np.zeros((48, 48), np.uint8)
    assert value('brightness', face(points), dark) == 0
    assert value('quality', face(points), dark) == 0
    assert np.isnan(value('brightness', face(points)))
    assert value('quality', face(points)) == pytest.approx(1.0)


def test_blur_lowers_sharpness():
    sharp = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    soft = (sharp.astype(float) + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) / 4
    assert value('sharpness', face(), soft.astype(np.uint8)) < 0.5 * value('sharpness', face(), sharp)


def test_every_action_unit_rests_on_known_blendshapes_and_names_its_number():
    for unit, (_, shapes) in ACTION_UNITS.items():
        assert set(shapes) <= set(BLENDSHAPES)
        assert READINGS[NAMES.index(f'AU{unit:02d}')].action_unit == unit


def test_a_face_of_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match='blendshapes'):
        face(blendshapes=np.zeros(51))


def test_a_face_of_middling_quality_is_read_nearly_in_full_and_one_of_none_not_at_all() -> None:
    shares = readable_share([0.0, 0.1, 0.5, 1.0, float('nan')])
    assert shares[0] == 0
    assert shares[1] == pytest.approx(1 - np.exp(-1))
    assert shares[2] > 0.99
    assert shares[4] == shares[3] > 0.9999
