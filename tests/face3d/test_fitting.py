"""Amounts fitted to landmarks, and gains of the scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d import ExpressionFit, face_gains, face_model, shown_amounts
from affekt.faces import BLENDSHAPES

RESULT = Path(affekt.__file__).parents[1] / 'measurements' / 'results' / 'face_gains.json'


def test_commanded_amounts_are_found_again_under_a_turn_of_the_head():
    model = face_model()
    commanded = {'jawOpen': 0.5, 'browInnerUp': 0.7, 'mouthSmileLeft': 0.6, 'mouthSmileRight': 0.4}
    moved = model.moved_by_expression(commanded)
    # a turn of 0.02 rad about y, and a shift
    moved = moved + np.cross([0, 0.02, 0], model.mean) + [0.1, 0, -0.2]
    fit = ExpressionFit()
    amounts = fit.amounts(moved)
    for name, amount in commanded.items():
        assert amounts[model.directions.index(name)] == pytest.approx(amount, abs=0.12), name
    assert fit.left_mm(moved, amounts) < 0.15 < 1 < fit.left_mm(moved)


def test_bounds_hold_and_a_start_changes_nothing():
    rng = np.random.default_rng(0)
    fit = ExpressionFit()
    moved = fit.directions @ rng.uniform(-0.3, 0.8, 51)
    moved = moved.reshape(468, 3)
    amounts = fit.amounts(moved, lowest=-0.1, highest=0.5)
    assert amounts.min() >= -0.1
    assert amounts.max() <= 0.5
    assert fit.amounts(moved, -0.1, 0.5, start=rng.uniform(0, 1, 51)) == pytest.approx(amounts, abs=1e-6)


def test_the_minimum_is_that_of_a_general_solver():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(1)
    fit = ExpressionFit()
    moved = (fit.directions @ rng.uniform(-0.5, 1, 51) + rng.normal(0, 0.05, 1404)).reshape(468, 3)
    upper = np.linalg.cholesky(fit._hessian).T
    target = fit._weighted.T @ (fit._weights * fit._without_rigid(moved.ravel()))
    theirs = lsq_linear(upper, np.linalg.solve(upper.T, target), bounds=(0, 1), tol=1e-12)
    assert fit.amounts(moved, 0, 1) == pytest.approx(theirs.x, abs=1e-5)


def test_movements_of_no_face_are_refused():
    for wrong, error in ((np.zeros((478, 3)), ShapeError), (np.full((468, 3), np.nan), ValueRangeError)):
        with pytest.raises(error):
            ExpressionFit().amounts(wrong)
    with pytest.raises(ValueRangeError):
        ExpressionFit().amounts(np.zeros((468, 3)), lowest=1, highest=0)


def test_gains_are_those_of_the_measurement_and_alike_on_both_sides():
    gains = face_gains()
    assert tuple(gains) == face_model().directions
    measured = json.loads(RESULT.read_text())['gains']
    for name, gain in gains.items():
        assert gain.gain == measured[name]['gain']
        assert gain.gain == gains[name.replace('Left', '@').replace('Right', 'Left').replace('@', 'Right')].gain
        if name.startswith(('noseSneer', 'cheekSquint', 'mouthFrown')):
            assert not gain.is_measured
            assert gain.gain == 0


def test_real_faces_are_explained_as_well_as_promised():
    left = json.loads(RESULT.read_text())['left_mm']
    for clip in ('driving', 'single_face', 'carphone'):
        assert left[clip]['fitted'] <= left[clip]['target']
        assert left[clip]['fitted'] < left[clip]['scores'] < left[clip]['still']


def test_scores_become_amounts_by_their_gains():
    scores = np.zeros(52)
    scores[BLENDSHAPES.index('jawOpen')] = 0.3
    amounts = shown_amounts(scores)
    jaw = face_model().directions.index('jawOpen')
    assert amounts[jaw] == pytest.approx(0.3 * face_gains()['jawOpen'].gain)
    assert np.flatnonzero(amounts).tolist() == [jaw]
    assert shown_amounts(np.ones(52)).max() == 1
    with pytest.raises(ShapeError):
        shown_amounts(np.zeros(51))
