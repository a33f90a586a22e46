"""The two geometries: what was promised of the transfer, and that amounts become points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.face3d import Camera, face_model, head_model, pose_matrix
from affekt.faces import BLENDSHAPES, FaceLandmarker

CARD = json.loads((Path(affekt.__file__).parent / 'models' / 'face_units_468.json').read_text())
LIDS = ((386, 374), (159, 145))
LIPS = (13, 14)
"""Middle of the inner edge of the upper and the lower lip."""


def mirrored(model):
    """(V,) the point at the same place of the other side."""
    apart = np.abs(model.mean[:, None] * [-1, 1, 1] - model.mean[None]).sum(axis=2)
    assert apart.min(axis=1).max() < 1e-4
    return apart.argmin(axis=1)


def other(name):
    return name.replace('Left', '@').replace('Right', 'Left').replace('@', 'Right')


def test_expressions_are_the_blendshapes_in_their_order():
    assert face_model().directions == BLENDSHAPES[1:]
    assert head_model().directions == (*BLENDSHAPES[1:], 'tongueOut')
    assert face_model().shapes == head_model().shapes


def test_the_two_heads_lie_within_four_millimetres_on_average():
    assert CARD['metrics']['residual_mm']['mean'] <= 4.0
    apart = 10 * np.linalg.norm(head_model().landmarks(head_model().mean) - face_model().mean, axis=1)
    assert apart.mean() == pytest.approx(CARD['metrics']['residual_mm']['mean'], abs=0.01)


def test_lids_meet_when_the_eyes_blink():
    points = face_model().vertices(expression={'eyeBlinkLeft': 1, 'eyeBlinkRight': 1})
    for upper, lower in LIDS:
        assert abs(10 * (points[upper, 1] - points[lower, 1])) <= 0.3


def test_lips_nearly_close_over_an_open_jaw():
    # 'mouthClose' is defined by ARKit as what closes the lips while the jaw is open
    opened = face_model().vertices(expression={'jawOpen': 1})
    closed = face_model().vertices(expression={'jawOpen': 1, 'mouthClose': 1})
    upper, lower = LIPS
    assert 10 * np.linalg.norm(opened[upper] - opened[lower]) > 15
    assert 10 * np.linalg.norm(closed[upper] - closed[lower]) <= 3


@pytest.mark.parametrize('name', face_model().directions)
def test_left_and_right_are_exact_mirror_images(name):
    model = face_model()
    mirror = mirrored(model)
    back = model.direction(other(name) if other(name) in model.directions else name)[mirror] * [-1, 1, 1]
    assert np.array_equal(model.direction(name), back)


def test_what_moves_is_on_the_side_that_the_name_says():
    # x grows to the right of the picture, where the person's left is
    for name in face_model().directions:
        moved = np.linalg.norm(face_model().direction(name), axis=1)
        if name.endswith(('Left', 'Right')) and not name.startswith(('jaw', 'mouthLeft', 'mouthRight')):
            side = np.sign(moved @ face_model().mean[:, 0])
            assert side == (1 if name.endswith('Left') else -1), name


def test_every_direction_and_shape_moves_something_and_nothing_absurdly():
    for model in (face_model(), head_model()):
        for name in model.directions:
            assert 0.02 < np.linalg.norm(model.direction(name), axis=1).max() < 6, name
    largest = [np.abs(head_model().moved_by_identity({name: 1})).max() for name in head_model().shapes]
    assert min(largest) > 0.05
    assert max(largest) < 6


def test_the_mesh_is_the_landmarkers_own(shared_data):
    canonical = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task').canonical
    assert face_model().mean == pytest.approx(canonical.vertices, abs=1e-5)
    assert np.array_equal(face_model().triangles, canonical.triangles)


def test_the_basis_is_that_of_an_independent_run_of_the_same_steps(shared_data):
    with np.load(shared_data / 'reenactment' / 'expression_basis_468.npz') as theirs:
        apart = [
            np.abs(face_model().direction(name) - moved)
            for name, moved in zip(theirs['names'].tolist(), theirs['directions'].astype(float), strict=True)
        ]
    # a mark is the surface under one pixel of a render: where one falls to the next pixel, mouths differ a little
    assert np.mean(apart) <= 1e-3
    assert np.max(apart) <= 0.03


def test_amounts_by_name_and_in_order_are_the_same_and_add_up():
    model = head_model()
    amounts = np.zeros(52)
    amounts[model.directions.index('jawOpen')] = 0.5
    moved = model.moved_by_expression({'jawOpen': 0.5})
    assert np.array_equal(model.moved_by_expression(amounts), moved)
    assert model.vertices(expression={'jawOpen': 0.5}) == pytest.approx(model.mean + moved)
    assert moved == pytest.approx(model.direction('jawOpen') / 2)


def test_a_pose_turns_and_shifts_the_points():
    turned = face_model().vertices(pose=pose_matrix(yaw_deg=90, shift_cm=(1, 2, -50)))
    nose = face_model().mean[1]
    # a quarter turn to the right of the picture takes z to x and x to -z
    assert turned[1] == pytest.approx([nose[2] + 1, nose[1] + 2, -nose[0] - 50])


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({'expression': {'smile': 1}}, UnknownNameError),
        ({'identity': {'nobody': 1}}, UnknownNameError),
        ({'expression': np.zeros(50)}, ShapeError),
        ({'expression': np.full(51, np.nan)}, ValueRangeError),
        ({'pose': np.eye(3)}, ShapeError),
        ({'pose': np.full((4, 4), np.nan)}, ValueRangeError),
    ],
)
def test_amounts_that_mean_nothing_are_refused(arguments, error):
    with pytest.raises(error):
        face_model().vertices(**arguments)


def test_a_jaw_and_eyes_turn_by_the_degrees_that_are_asked_for():
    hinge = (face_model().mean[234] + face_model().mean[454]) / 2
    before = face_model().mean[152] - hinge
    after = face_model().vertices(jaw_deg=(10, 0))[152] - hinge
    turned = np.degrees(np.arccos(before @ after / np.linalg.norm(before) / np.linalg.norm(after)))
    assert turned == pytest.approx(10, abs=0.3)

    head = head_model()
    eye = np.unique(head.triangles[head.parts == head.part_names.index('left eye')])
    ball = head.mean[eye]
    middle, front = (ball.min(axis=0) + ball.max(axis=0)) / 2, eye[ball[:, 2].argmax()]
    looking = head.vertices(gaze_deg=(12, 0))[front] - middle
    ahead = head.mean[front] - middle
    angle = np.degrees(np.arctan2(looking[0], looking[2]) - np.arctan2(ahead[0], ahead[2]))
    assert angle == pytest.approx(12, abs=1)  # to the person's left, the right of the picture


def test_every_model_goes_through_one_camera():
    camera = Camera(100, 100)
    for model in (face_model(), head_model()):
        placed = camera.project(model.vertices(pose=pose_matrix()))
        nose = camera.project(model.landmarks(model.vertices(pose=pose_matrix())))[1]
        assert placed[:, :2].min() > 0
        assert nose == pytest.approx([50, 52, 42], abs=3)
