"""Who is back: stretches with like faces are one person, and never two that were on screen together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from affekt.faces import observe_faces
from affekt.faces.identity import MODEL, FaceIdentity
from affekt.faces.same_person import MIDDLE, SPREAD, SURE, certainty, joined, mean_distance
from affekt.faces.track import Track
from affekt.media import Recording
from affekt.weights import MODELS, state

FAR = 1.0


@dataclass(frozen=True)
class Frame:
    time_s: float
    image: np.ndarray


def at(*places: float) -> list[np.ndarray]:
    """Vectors on a line: distances are differences."""
    return [np.array([place], dtype=np.float32) for place in places]


def stretches_of(vectors, tracked=None, together=()):
    return [person.stretches for person in joined(vectors, tracked or list(range(len(vectors))), together)]


def test_certainty_by_hand():
    assert certainty(MIDDLE) == 0.5
    assert certainty(MIDDLE - SPREAD * math.log(49)) == pytest.approx(0.98)  # 1 / (1 + 1 / 49)
    assert certainty(float('nan')) == 0.0
    assert certainty(1e9) < 1e-300


def test_mean_distance_is_over_all_pairs():
    # |0 - 3|, |0 - 5|, |1 - 3|, |1 - 5|
    assert mean_distance(at(0, 1), at(3, 5)) == pytest.approx((3 + 5 + 2 + 4) / 4)
    assert math.isnan(mean_distance(at(0), []))


def test_who_is_back_is_one_person_with_the_certainty_of_the_distance():
    (first, second) = joined([at(0), at(FAR), at(0.3)], [0, 1, 2], [])
    assert first.stretches == (0, 2)
    assert first.certainty == pytest.approx(certainty(0.3))
    assert second.stretches == (1,)
    assert math.isnan(second.certainty)


def test_people_without_a_picture_stay_as_they_were_followed_however_many():
    # a table of the distances of all 30,000 would take 7 GB
    vectors = [at(0), *[[]] * 30_000, at(0.3)]
    people = joined(vectors, list(range(len(vectors))), [(0, 1), (1, 2)])
    assert [person.stretches for person in people[:3]] == [(0, 30_001), (1,), (2,)]
    assert len(people) == 30_001
    assert math.isnan(people[1].certainty)


def test_a_distance_that_is_not_sure_joins_nobody():
    unsure = MIDDLE - SPREAD * math.log(SURE / (1 - SURE)) + 0.005
    assert stretches_of([at(0), at(unsure)]) == [(0,), (1,)]


def test_two_on_screen_together_are_two_however_alike():
    assert stretches_of([at(0), at(0.01)], together=[(0, 1)]) == [(0,), (1,)]


def test_what_was_on_screen_with_a_part_was_on_screen_with_the_person():
    # 1 is joined with 0 first; 2 was on screen with 1, so it cannot be 0 either
    assert stretches_of([at(0), at(0.0), at(0.35)], together=[(1, 2)]) == [(0, 1), (2,)]


def test_twins_on_screen_together_leave_who_comes_back_unsettled():
    assert stretches_of([at(0), at(0.05), at(0.02)], together=[(0, 1)]) == [(0,), (1,), (2,)]


def test_a_clear_difference_settles_who_of_two_comes_back():
    assert stretches_of([at(0), at(FAR), at(0.1)], together=[(0, 1)]) == [(0, 2), (1,)]


def test_a_stretch_without_a_good_picture_stays_as_the_tracker_left_it():
    assert stretches_of([at(0), [], at(0.1)], tracked=[0, 0, 1]) == [(0, 1, 2)]
    assert stretches_of([[], []]) == [(0,), (1,)]


def test_a_return_that_is_surely_somebody_else_is_taken_from_the_person():
    people = joined([at(0), at(FAR), at(0.1)], [0, 0, 0], [])
    assert [person.stretches for person in people] == [(0, 2), (1,)]


def test_what_the_tracker_holds_for_one_is_kept_where_the_face_is_not_sure_and_its_certainty_told():
    (only,) = joined([at(0), at(MIDDLE)], [0, 0], [])
    assert only.certainty == pytest.approx(0.5)


def test_nobody_is_joined_with_whom_they_shared_a_frame_whatever_comes(rng):
    for _ in range(60):
        count = int(rng.integers(2, 12))
        vectors = [at(*rng.uniform(0, 1.2, rng.integers(0, 4))) for _ in range(count)]
        tracked = list(range(count))
        pairs = [(a, b) for a in range(count) for b in range(a + 1, count) if rng.random() < 0.3]
        people = joined(vectors, tracked, pairs)
        assert sorted(n for person in people for n in person.stretches) == tracked
        owner = {n: index for index, person in enumerate(people) for n in person.stretches}
        assert all(owner[a] != owner[b] for a, b in pairs)
        assert [person.stretches[0] for person in people] == sorted(person.stretches[0] for person in people)
        assert all(person.certainty >= SURE for person in people if not math.isnan(person.certainty))


@pytest.fixture(scope='module')
def network():
    if state(MODELS[MODEL]) != 'verified':
        pytest.skip(f'model files are absent: affekt weights get {MODEL}')
    return FaceIdentity()


def shown(shared_data, *names):
    """Three speakers in turn, 1.2 s each, as one film."""
    time_s = 0.0
    for name in names:
        frames = Recording.open(shared_data / 'clips' / f'grid_{name}.mpg').frames(rate_hz=8.0)
        for frame, _ in zip(frames, range(10), strict=False):
            yield Frame(time_s, frame.image)
            time_s += 0.12


ORDER = ('pwij3p', 'lbax4n', 'id2_vcd_swwp2s', 'lrwp9a', 'lbax4n')
"""Two films of one speaker with another between them; then two before one wall, without a cut that colours tell."""


def test_a_speaker_of_two_films_is_one_person_and_a_wall_in_common_makes_none(network, shared_data, tmp_path):
    seen = observe_faces(shown(shared_data, *ORDER), identity=network, spill=tmp_path / 'landmarks.parquet')
    spans = {person.name: (round(person.first_s, 2), round(person.last_s, 2)) for person in seen.people}
    assert spans == {'person 1': (0.0, 3.48), 'person 2': (1.2, 5.88), 'person 3': (3.6, 4.68)}
    assert [person.frames for person in seen.people] == [20, 20, 10]
    assert all(person.identity_certainty > 0.98 for person in seen.people[:2])
    assert set(seen.table['person'].to_pylist()) == set(spans)
    # landmarks on disk carry the same names
    assert [len(seen.track(name)) for name in spans] == [20, 20, 10]
    assert len(Track.read(tmp_path / 'landmarks.parquet', 'person 2')) == 20


def test_without_the_network_persons_are_as_the_tracker_follows_them(shared_data):
    seen = observe_faces(shown(shared_data, 'lrwp9a', 'lbax4n'))
    assert [person.frames for person in seen.people] == [20]  # the cut before one wall is not noticed
    assert all(person.stretches == 1 and math.isnan(person.identity_certainty) for person in seen.people)


def test_who_comes_back_smaller_and_in_other_light_is_one_person(network, shared_data):
    frames = [f.image for f in Recording.open(shared_data / 'clips' / 'driving_d20.mp4').frames(rate_hz=4.0)]
    blank = np.full_like(frames[0], 60)
    later = []
    for image in frames[len(frames) // 2 :]:
        half = (image[::2, ::2] * np.array([0.7, 0.6, 0.45])).astype(np.uint8)
        later.append(blank.copy())
        later[-1][40 : 40 + half.shape[0], 20 : 20 + half.shape[1]] = half
    shots = [*frames[: len(frames) // 2], *[blank] * 20, *later]
    film = [Frame(0.25 * number, image) for number, image in enumerate(shots)]
    assert len(observe_faces(film).people) == 2
    (person,) = observe_faces(film, identity=network).people
    assert person.stretches == 2
    assert person.identity_certainty > 0.98
