from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from affekt.errors import ValueRangeError
from affekt.faces import FaceLandmarker, FaceTracker
from affekt.faces.lookout import Lookout, Searches
from affekt.faces.scenes import SceneCuts
from affekt.faces.tracking import assignment

RATE_HZ = 10.0
SIZE = (360, 640)


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')


@pytest.fixture(scope='module')
def cutouts(shared_data):
    """Ovals cut from photographs of four persons: (RGB, alpha) of 150 x 130, the face about 100 high."""
    group = np.asarray(Image.open(shared_data / 'test_media' / 'multi_face.jpg').convert('RGB'))
    alone = np.asarray(Image.open(shared_data / 'test_media' / 'single_face.jpg').convert('RGB'))
    boxes = [(group, 300, 225, 430, 375), (group, 672, 285, 802, 435), (alone, 152, 130, 412, 430)]
    boxes.append((group, 520, 300, 650, 450))
    y, x = np.mgrid[0:150, 0:130]
    alpha = np.clip(8 * (1 - ((x - 65) / 64) ** 2 - ((y - 75) / 74) ** 2), 0, 1)[..., None]
    cut = [image[top:bottom, left:right] for image, left, top, right, bottom in boxes]
    return [(np.asarray(Image.fromarray(face).resize((130, 150))), alpha) for face in cut]


def scene(placed, shade=90):
    """A frame with cut-outs pasted in order, later ones in front; each (cutout, centre x, centre y)."""
    frame = np.full((*SIZE, 3), shade, dtype=np.float64)
    frame += np.linspace(0, 40, SIZE[1])[None, :, None]
    for (face, alpha), x, y in placed:
        left, top = round(x) - 65, round(y) - 75
        rows, columns = slice(max(top, 0), min(top + 150, SIZE[0])), slice(max(left, 0), min(left + 130, SIZE[1]))
        part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        frame[rows, columns] = frame[rows, columns] * (1 - alpha[part]) + face[part] * alpha[part]
    return frame.astype(np.uint8)


def centers(observations):
    return {o.person: float(o.box[0] + o.box[2] / 2) for o in observations}


def test_one_moving_face_stays_one_person(landmarker, cutouts):
    tracker = FaceTracker(landmarker)
    for step in range(20):
        seen = tracker.update(step / RATE_HZ, scene([(cutouts[0], 150 + 15 * step, 180)]))
        assert [o.person for o in seen] == [0]
        assert centers(seen)[0] == pytest.approx(150 + 15 * step, abs=20)


@pytest.mark.parametrize(('front', 'back'), [(0, 1), (2, 3), (3, 0)])
def test_two_faces_crossing_keep_their_persons(landmarker, cutouts, front, back):
    # the left face walks right in front of the other, which walks left: full cover half-way
    tracker = FaceTracker(landmarker)
    for step in range(31):
        x = 110 + 14 * step
        seen = tracker.update(step / RATE_HZ, scene([(cutouts[back], 640 - x, 185), (cutouts[front], x, 175)]))
        if step == 2:
            first = centers(seen)
            assert sorted(first) == [0, 1]
            left = min(first, key=first.get)
    last = centers(seen)
    assert tracker.people == 2
    assert last[left] == pytest.approx(530, abs=25)
    assert last[1 - left] == pytest.approx(110, abs=25)


def test_two_faces_that_meet_and_turn_back_keep_their_persons(landmarker, cutouts):
    # a predictor of constant velocity alone would swap them
    tracker = FaceTracker(landmarker)
    for step in range(31):
        way = 14 * min(step, 30 - step)
        seen = tracker.update(step / RATE_HZ, scene([(cutouts[0], 150 + way, 185), (cutouts[2], 490 - way, 175)]))
        if step == 2:
            first = centers(seen)
    last = centers(seen)
    assert sorted(first) == [0, 1]
    assert tracker.people == 2
    assert np.sign(last[0] - last[1]) == np.sign(first[0] - first[1])


def test_a_face_gone_for_a_second_comes_back_as_the_same_person(landmarker, cutouts):
    tracker = FaceTracker(landmarker)
    people = []
    for step in range(40):
        gone = 12 <= step < 22
        seen = tracker.update(step / RATE_HZ, scene([] if gone else [(cutouts[1], 200 + 4 * step, 180)]))
        people.append([o.person for o in seen])
        assert gone == (not seen)
    assert set(map(tuple, people)) == {(0,), ()}


def test_another_face_in_the_same_place_is_another_person(landmarker, cutouts):
    tracker = FaceTracker(landmarker)
    for step in range(10):
        tracker.update(step / RATE_HZ, scene([(cutouts[0], 300, 180)]))
    for step in range(10, 16):
        tracker.update(step / RATE_HZ, scene([]))
    for step in range(16, 26):
        seen = tracker.update(step / RATE_HZ, scene([(cutouts[2], 300, 180)]))
    assert [o.person for o in seen] == [1]


def test_after_a_cut_to_someone_else_and_back_the_first_person_is_known_again(landmarker, cutouts):
    tracker = FaceTracker(landmarker)
    for step in range(30):
        shown, shade = (2, 215) if 10 <= step < 20 else (0, 20)
        seen = tracker.update(step / RATE_HZ, scene([(cutouts[shown], 250, 180)], shade))
        assert [o.person for o in seen] == [1 if 10 <= step < 20 else 0]


def test_no_more_than_the_asked_number_of_people_is_followed(landmarker, shared_data):
    image = np.asarray(Image.open(shared_data / 'test_media' / 'multi_face.jpg').convert('RGB'))
    tracker = FaceTracker(landmarker, max_people=3)
    assert len(tracker.update(0.0, image)) == 3
    assert len(tracker.update(0.1, image)) == 3


def test_five_still_people_keep_their_numbers_without_duplicates(landmarker, shared_data):
    image = np.asarray(Image.open(shared_data / 'test_media' / 'multi_face.jpg').convert('RGB'))
    tracker = FaceTracker(landmarker, max_people=10)
    runs = [centers(tracker.update(step / RATE_HZ, np.roll(image, 2 * step, axis=1))) for step in range(8)]
    assert all(sorted(run) == [0, 1, 2, 3, 4] for run in runs)
    assert all(abs(runs[7][person] - runs[0][person] - 14) < 12 for person in range(5))


def test_a_clip_without_faces_gives_no_observation(landmarker, shared_data):
    tracker = FaceTracker(landmarker)
    with av.open(str(shared_data / 'test_media' / 'no_face.mp4')) as clip:
        for index, frame in enumerate(clip.decode(video=0)):
            if index % 4 == 0:
                assert tracker.update(frame.time, frame.to_ndarray(format='rgb24')) == []
    assert tracker.people == 0


def test_a_clip_of_one_face_gives_one_person_in_every_frame(landmarker, shared_data):
    tracker = FaceTracker(landmarker)
    with av.open(str(shared_data / 'test_media' / 'WolfgangLanger_Pexels.mp4')) as clip:
        for index, frame in enumerate(clip.decode(video=0)):
            if index % 12 == 0:
                seen = tracker.update(frame.time, frame.to_ndarray(format='rgb24'))
                assert [o.person for o in seen] == [0]


def test_a_still_face_is_taken_over_and_says_so(landmarker, cutouts):
    tracker = FaceTracker(landmarker, still_levels=1.0)
    measured = []
    for step in range(10):
        measured += [o.is_measured for o in tracker.update(step / 30, scene([(cutouts[0], 300, 180)]))]
    assert measured[0]
    assert measured.count(False) > 5


def test_a_moving_face_is_never_taken_over(landmarker, cutouts):
    tracker = FaceTracker(landmarker, still_levels=1.0)
    for step in range(8):
        seen = tracker.update(step / 30, scene([(cutouts[0], 300 + 6 * step, 180)]))
        assert all(o.is_measured for o in seen)


def test_frames_out_of_order_are_refused(landmarker):
    tracker = FaceTracker(landmarker)
    tracker.update(1.0, scene([]))
    with pytest.raises(ValueRangeError, match='order'):
        tracker.update(1.0, scene([]))


def test_a_change_of_all_colours_is_a_cut_and_a_small_change_is_none():
    cuts = SceneCuts()
    dark, light = np.full((90, 160, 3), 20, np.uint8), np.full((90, 160, 3), 220, np.uint8)
    nudged = dark.copy()
    nudged[:20, :20] = 220
    assert [cuts.is_cut(image) for image in (dark, dark, nudged, light, light)] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ('time_s', 'scales'), [(10.5, 0), (10.9, 0), (11.0, 2), (12.9, 2), (13.0, 4)], ids=lambda value: str(value)
)
def test_a_search_is_foreseen_every_second_and_a_deep_one_every_third(time_s, scales):
    assert Searches(10.0, 10.0, waits=True).scales_at(time_s, 4) == scales
    assert Searches(10.0, 10.0, waits=False).scales_at(time_s, 4) == 0


def test_what_a_lookout_saw_ahead_saves_searches_and_changes_nothing(landmarker, cutouts, monkeypatch):
    # a second face comes after 2 s, the first leaves after 3.6 s
    frames = [
        scene([(cutouts[0], 150, 180)] * (step < 36) + [(cutouts[2], 490 - step, 175)] * (step > 20))
        for step in range(45)
    ]
    detect, searched = landmarker.detect, []
    monkeypatch.setattr(landmarker, 'detect', lambda *given: searched.append(1) or detect(*given))

    def followed(is_ahead):
        tracker, lookout = FaceTracker(landmarker), Lookout(landmarker)
        glances = []
        for step, image in enumerate(frames):
            for near in range(len(glances), min(step + 4, len(frames)) if is_ahead else 0):
                glances.append(lookout.glance(near / RATE_HZ, frames[near], tracker.searches))
            for each in tracker.follow(step / RATE_HZ, image, glances[step] if is_ahead else None):
                yield each.time_s, each.person, each.scene, each.mesh.landmarks.tobytes()

    alone, alone_searched = list(followed(is_ahead=False)), len(searched)
    assert list(followed(is_ahead=True)) == alone
    assert len({person for _, person, *_ in alone}) == 2
    assert len(searched) - alone_searched < alone_searched


@pytest.mark.parametrize('rows', range(6))
@pytest.mark.parametrize('columns', range(1, 7))
def test_the_assignment_is_that_of_scipy_ties_included(rows, columns):
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng([rows, columns])
    for trial in range(20):
        cost = rng.random((rows, columns)) if trial % 2 else rng.integers(0, 3, (rows, columns)).astype(float)
        cost[rng.random(cost.shape) < 0.2] = 1e6
        pairs = np.transpose(linear_sum_assignment(cost)).tolist()
        assert [list(pair) for pair in assignment(cost)] == pairs
