"""The transfer of the recipe of the face units: what it must leave alone, and lids that meet."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from affekt.face3d import face_model

PATH = Path(__file__).resolve().parents[2] / 'recipes' / 'face_units' / 'transferring.py'


@pytest.fixture(scope='module')
def transferring():
    spec = importlib.util.spec_from_file_location('transferring', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_between_two_faces_that_are_one_a_movement_stays_what_it_is(transferring):
    model = face_model()
    transfer = transferring.Transfer(model.mean, model.mean, model.triangles)
    for name in ('jawOpen', 'mouthSmileLeft'):
        assert transfer.of(model.direction(name)) == pytest.approx(model.direction(name), abs=1e-5)


def test_a_face_of_half_the_size_moves_half_as_far(transferring):
    # gradients have no unit; the weak hold on the marks' own movements pulls a little the other way
    model = face_model()
    transfer = transferring.Transfer(2 * model.mean, model.mean, model.triangles)
    moved, wanted = transfer.of(2 * model.direction('jawOpen')), model.direction('jawOpen')
    apart = np.linalg.norm((moved - moved.mean(axis=0)) - (wanted - wanted.mean(axis=0)), axis=1)
    assert apart.max() < 0.15 * np.linalg.norm(wanted, axis=1).max()


def test_a_blink_is_scaled_until_the_lids_meet(transferring):
    # the lids of the mean face are 6.3 mm apart; a blink that moves them by 12.6 mm is twice too much
    model = face_model()
    blink = np.zeros((468, 3))
    blink[386, 1] = -2 * (model.mean[386, 1] - model.mean[374, 1])
    assert transferring.closing(blink, model.mean, 'Left') == pytest.approx(0.5)


def test_both_sides_become_the_mean_of_themselves_and_the_others_mirror_image(transferring):
    mirror = np.array([1, 0])  # two points, each the other's image
    left, right = np.array([[1.0, 0, 0], [0, 0, 0]]), np.array([[0.0, 0, 0], [-3, 0, 0]])
    made = transferring.mirror_pairs({'blinkLeft': left, 'blinkRight': right}, mirror)
    assert made['blinkLeft'].tolist() == [[2, 0, 0], [0, 0, 0]]
    assert made['blinkRight'].tolist() == [[0, 0, 0], [-2, 0, 0]]
