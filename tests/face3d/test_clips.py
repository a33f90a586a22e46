"""Made-up faces: the same for the same seed, as commanded, and faces to affekt's own landmarker."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.face3d import (
    EMOTIONS,
    FaceClip,
    Studio,
    face_model,
    made_up_background,
    made_up_curves,
    made_up_faces,
    made_up_light,
    made_up_person,
    pose_matrix,
)
from affekt.faces import BLENDSHAPES, FaceLandmarker, Region, euler_angles_deg


def test_a_seed_gives_the_same_clip_and_another_seed_another():
    clip, again, other = (made_up_faces(seed, 0.2, 25, 48) for seed in (5, 5, 6))
    assert clip.frames.shape == (5, 48, 48, 3)
    assert clip.frames.dtype == np.uint8
    assert np.array_equal(clip.frames, again.frames)
    assert np.array_equal(clip.curves, again.curves)
    assert not np.array_equal(clip.frames, other.frames)


def test_a_person_stays_the_same_whatever_they_do():
    person, again = (FaceClip.planned(seed, 0.1, person=3).person for seed in (1, 2))
    assert np.array_equal(person.points, again.points)
    assert np.array_equal(person.albedo, again.albedo)
    assert not np.array_equal(person.identity, FaceClip.planned(1, 0.1, person=4).person.identity)


@pytest.mark.parametrize('count', [50, 53])
def test_another_number_of_amounts_is_refused_and_not_filled_up(count):
    rng = np.random.default_rng(0)
    studio = Studio(made_up_person(rng), made_up_light(rng), made_up_background(rng, 32))
    with pytest.raises(ShapeError):
        studio.picture(np.zeros(count), pose_matrix())


def test_frames_drawn_one_by_one_are_those_of_the_whole_clip():
    clip = made_up_faces(7, 0.12, 25, 40)
    assert np.array_equal(np.stack(list(FaceClip.planned(7, 0.12, 25, 40))), clip.frames)


@pytest.mark.parametrize('emotion', EMOTIONS)
def test_curves_stay_in_range_and_move_no_faster_than_a_face(emotion):
    times = np.arange(0, 20, 0.01)
    curves = made_up_curves(np.random.default_rng(1), times, emotion, distance_cm=60)
    assert curves.expression.shape == (2000, 51)
    assert 0 <= curves.expression.min() <= curves.expression.max() <= 1
    assert np.abs(np.diff(curves.expression, axis=0)).max() < 0.35  # a blink closes in 80 ms
    assert np.abs(np.stack([curves.valence, curves.arousal])).max() <= 1
    assert (curves.intensity.max() > 0.4) == (emotion != 'neutral')


def test_valence_and_arousal_lie_on_the_line_from_neutral_to_the_emotion():
    curves = made_up_curves(np.random.default_rng(2), np.arange(0, 10, 0.04), 'happiness', distance_cm=60)
    # happiness is at (0.81, 0.51)
    assert curves.valence == pytest.approx(0.81 * curves.intensity)
    assert curves.arousal == pytest.approx(0.51 * curves.intensity)


def test_happiness_smiles_and_anger_lowers_the_brows():
    names = face_model().directions
    for emotion, moving in (('happiness', 'mouthSmileLeft'), ('anger', 'browDownLeft'), ('surprise', 'eyeWideLeft')):
        curves = made_up_curves(np.random.default_rng(3), np.arange(0, 20, 0.04), emotion, distance_cm=60)
        column = curves.expression[:, names.index(moving)]
        assert np.corrcoef(column, curves.intensity)[0, 1] > 0.8


def test_people_are_all_kinds_of_people():
    people = [made_up_person(np.random.default_rng(seed)) for seed in range(40)]
    skin = np.array([person.albedo[:100].mean() for person in people])
    assert skin.max() > 3 * skin.min()
    widths = np.array([np.ptp(person.points[:5000, 0]) for person in people])
    assert np.ptp(widths) > 0.5
    assert all(person.albedo.min() >= 0 and person.albedo.max() <= 1 for person in people)


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({'seconds': 0}, ValueRangeError),
        ({'seconds': np.inf}, ValueRangeError),
        ({'rate_hz': 0}, ValueRangeError),
        ({'size': 8}, ValueRangeError),
        ({'emotion': 'boredom'}, UnknownNameError),
        ({'seed': -1}, ValueRangeError),
        ({'person': -1}, ValueRangeError),
        ({'seconds': 1e9}, ValueRangeError),
        ({'seconds': np.nan}, ValueRangeError),
        ({'seconds': 3600, 'size': 1024}, ValueRangeError),
    ],
)
def test_clips_that_cannot_be_are_refused(arguments, error):
    with pytest.raises(error):
        made_up_faces(**{'seed': 0, **arguments})


def test_the_landmarker_finds_the_faces_and_reads_back_what_was_commanded(shared_data):
    landmarker = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    commanded, read, poses = [], [], []
    for seed, emotion in ((1, 'surprise'), (4, 'surprise'), (5, 'fear'), (7, 'happiness')):
        clip = made_up_faces(seed, 2.0, 10, 160, emotion=emotion)
        region = None
        for place, frame in enumerate(clip.frames):
            (face,) = landmarker.faces(frame, 1) if region is None else [landmarker.read(frame, region)]
            assert face.presence > 0.9
            region = Region.from_landmarks(face.landmarks)
            commanded.append(clip.curves[place])
            read.append(face.blendshapes[1:])
            poses.append((euler_angles_deg(clip.pose[place]), euler_angles_deg(face.pose)))
    for name in ('eyeBlinkLeft', 'eyeBlinkRight', 'jawOpen'):
        column = BLENDSHAPES.index(name) - 1
        assert np.corrcoef(np.array(commanded)[:, column], np.array(read)[:, column])[0, 1] > 0.8, name
    yaw_pitch_roll = np.abs(np.diff(np.array(poses), axis=1)).mean(axis=(0, 1))
    assert (yaw_pitch_roll < [4, 6, 2]).all()
