"""A driver's motion: what it measures of known faces, which frame is calm, what happens where no face is seen."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from affekt.errors import MediaError, ValueRangeError
from affekt.face3d import face_model, pose_matrix
from affekt.faces import FaceLandmarker
from affekt.reenactment import DriverSettings, Steadying, motion_of_video
from affekt.reenactment.canonical import laid_face
from affekt.reenactment.driver import Sighting, calm_place, motion_of_sightings, mouth_picture
from tests.reenactment.made_up import canonical, face_points, landmarks, sighting

RAW = DriverSettings(steadying=None)


def motion(sightings, settings=RAW):
    return motion_of_sightings(iter(sightings), canonical(), settings)


def test_a_face_is_laid_back_to_where_it_came_from():
    points = face_points()
    laid = laid_face(landmarks(points, 20, -10, 5, at=(200, 300), scale=1.5), canonical())
    assert laid.points == pytest.approx(points, abs=1e-4)
    assert laid.rotation == pytest.approx(pose_matrix(20, -10, 5)[:3, :3], abs=1e-5)
    assert laid.pixels_per_cm == pytest.approx(18, rel=1e-5)
    assert laid.center == pytest.approx([200, -300, 0], abs=1e-3)
    back = landmarks(points, 20, -10, 5, at=(200, 300), scale=1.5)
    assert laid.in_picture(laid.points) == pytest.approx(back, abs=1e-3)


def test_a_smile_under_a_turning_head_is_the_smile_and_the_turn():
    smile = {'mouthSmileLeft': 0.8, 'mouthSmileRight': 0.8}
    frames = list(motion([
        sighting(0, {'jawOpen': 1}), sighting(0.04), sighting(0.08, smile, yaw_deg=15, at=(262, 250), scale=1.1),
    ]))  # fmt: skip
    assert frames[1].is_neutral
    last = frames[2]
    assert last.offsets == pytest.approx(face_model().moved_by_expression(smile), abs=0.03)
    assert last.rotation == pytest.approx(pose_matrix(yaw_deg=15)[:3, :3], abs=0.01)
    # 6 pixels to the right and 6 up, of 12 to the centimetre
    assert last.translation == pytest.approx([0.5, 0.5], abs=0.04)
    assert last.scale == pytest.approx(1.1, abs=0.005)


def test_the_calm_frame_is_the_one_that_does_least_and_never_the_first():
    faces = [sighting(0), sighting(0.1, {'jawOpen': 0.5}), sighting(0.2, {'mouthSmileLeft': 0.1}), sighting(0.3)]
    assert calm_place(faces, None, '') == 3
    assert calm_place(faces[:1], None, '') == 0
    assert calm_place([faces[0], Sighting(0.05, None), faces[2]], None, '') == 2
    # two seconds in, as the user says
    assert calm_place(faces, 0.12, '') == 1


def test_a_head_that_is_turned_away_is_not_calm():
    turned = [
        sighting(0.1 * n, yaw_deg=25 if n == 2 else 0, scores={'jawOpen': 0.0 if n == 2 else 0.05}) for n in range(5)
    ]
    assert calm_place(turned, None, '') != 2
    # a head that is mostly held to the side is best seen where it is not
    aside = [
        sighting(0.1 * n, yaw_deg=8 if n == 3 else 35, scores={'jawOpen': 0.3 if n == 3 else 0.0}) for n in range(5)
    ]
    assert calm_place(aside, None, '') == 3


def test_an_eye_closes_and_the_iris_moves():
    shut = {'eyeBlinkLeft': 1.0}
    frames = list(
        motion([sighting(0), sighting(0.04), sighting(0.08, shut), sighting(0.12, gaze=((0.1, 0), (0.1, 0.05)))])
    )
    assert frames[2].opening[0] < 0.15
    assert frames[2].opening[1] == pytest.approx(1, abs=0.02)
    assert frames[3].gaze == pytest.approx(np.array([[0.1, 0], [0.1, 0.05]]), abs=1e-3)


def test_a_shut_eye_looks_where_it_looked_last():
    aside = ((0.1, 0), (0.1, 0))
    faces = [sighting(0), sighting(0.04), sighting(0.08, gaze=aside), sighting(0.12, {'eyeBlinkLeft': 1.0})]
    last = list(motion(faces))[3]
    assert last.gaze == pytest.approx(np.array([[0.1, 0], [0, 0]]), abs=0.01)


def test_a_short_gap_is_bridged_and_a_long_one_comes_to_rest():
    open_mouth = {'jawOpen': 0.6}
    seen = [sighting(0.1 * n, open_mouth if n >= 3 else None) for n in range(6)]
    short = [*seen, *(Sighting(0.6 + 0.1 * n, None) for n in range(3)), sighting(0.9, {'jawOpen': 0.3})]
    made = motion(short)
    frames = list(made)
    assert [frame.time_s for frame in frames] == pytest.approx([0.1 * n for n in range(10)])
    jaw = np.array([-frame.offsets[152, 1] for frame in frames])
    # from the full opening at 0.5 s to half of it at 0.9 s in a straight line
    assert jaw[5:] == pytest.approx(np.linspace(jaw[5], jaw[9], 5), abs=1e-5)
    assert '3 frames' in made.notes[-1]
    long = [
        *seen,
        *(Sighting(0.6 + 0.1 * n, None) for n in range(20)),
        sighting(2.6, open_mouth),
        sighting(3.1, open_mouth),
    ]
    frames = list(motion(long))
    assert len(frames) == len(long)
    assert frames[20].is_neutral
    assert frames[26].offsets.any() == 0
    assert -frames[27].offsets[152, 1] == pytest.approx(jaw[5], abs=1e-4)


def test_a_motion_without_a_face_in_its_first_seconds_is_refused():
    with pytest.raises(MediaError, match='no face in 3 frames'):
        motion([Sighting(0.1 * n, None) for n in range(3)])
    with pytest.raises(MediaError, match=r'frames that decode; got .* without any; copy the file again'):
        motion([])


def test_uneven_times_are_kept_and_frames_made_as_they_are_taken():
    times = np.cumsum([0, 0.03, 0.2, 0.01, 0.5])
    taken = []

    def watched():
        for time_s in times:
            taken.append(time_s)
            yield sighting(float(time_s))

    made = motion_of_sightings(watched(), canonical(), DriverSettings(calm_within_s=0.1))
    assert len(taken) == 3
    assert [frame.time_s for frame in islice(made, 5)] == pytest.approx(times)


def test_steadying_takes_the_trembling_out_and_lets_a_blink_through():
    rng = np.random.default_rng(0)
    still = []
    for number in range(60):
        seen = sighting(number / 25, {'eyeBlinkLeft': 1.0} if 40 <= number < 44 else None)
        trembling = seen.landmarks + rng.normal(0, 0.12, (478, 3)).astype(np.float32)
        still.append(Sighting(seen.time_s, trembling, seen.scores))
    raw = list(motion(still))
    steady = list(motion(still, DriverSettings(steadying=Steadying())))
    quiet = slice(5, 38)
    step = [np.std(np.diff([frame.offsets for frame in each[quiet]], axis=0)) for each in (raw, steady)]
    assert step[1] < 0.5 * step[0]
    assert min(frame.opening[0] for frame in steady) < 0.35
    assert list(motion(still, DriverSettings(steadying=Steadying(0))))[7].offsets == pytest.approx(raw[7].offsets)


def test_the_mouth_is_kept_where_it_is_open():
    image = np.full((512, 512, 3), 90, np.uint8)
    closed = landmarks(face_points())
    closed[14] = closed[13]
    assert mouth_picture(image, closed) is None
    mouth = mouth_picture(image, landmarks(face_points({'jawOpen': 0.7})))
    assert (mouth.inner_lips > 0).all()
    assert (mouth.inner_lips < mouth.image.shape[1::-1]).all()
    assert mouth.cheek == pytest.approx([90, 90, 90])


def test_a_calm_face_after_the_end_of_the_driver_is_refused():
    shown = [sighting(number / 25) for number in range(5)]
    assert calm_place(shown, 0.2, 'a.mp4') == 4
    with pytest.raises(ValueRangeError, match=r'within a\.mp4, which ends at 0\.16 s; got 99 s'):
        calm_place(shown, 99.0, 'a.mp4')


def test_settings_out_of_range_are_refused():
    for wrong in ({'calm_within_s': 0}, {'calm_at_s': -1}):
        with pytest.raises(ValueRangeError):
            DriverSettings(**wrong)
    with pytest.raises(ValueRangeError):
        Steadying(-1)


def test_a_real_video_gives_its_motion_and_its_sound_to_a_portrait(shared_data):
    networks = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    made = motion_of_video(
        shared_data / 'clips' / 'grid_bbaf2n.mpg', DriverSettings(calm_within_s=0.4), landmarker=networks
    )
    assert made.sound == shared_data / 'clips' / 'grid_bbaf2n.mpg'
    assert made.rate_hz == pytest.approx(25)
    frames = list(islice(made, 14))
    assert len(frames) == 14
    assert max(float(np.linalg.norm(frame.offsets, axis=1).max()) for frame in frames) < 3


def test_a_sound_file_drives_nothing(shared_data):
    with pytest.raises(MediaError, match='only audio'):
        motion_of_video(shared_data / 'test_media' / 'beckett.wav', landmarker=SimpleNamespace())
