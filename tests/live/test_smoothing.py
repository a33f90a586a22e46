"""Readings made steady by what came before alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from affekt.live.smoothing import OneEuro, SteadyFaces


def test_at_rest_a_step_is_followed_by_the_weight_of_its_cutoff():
    # slope 0: a = 1 / (1 + 1 / (2 pi 1 Hz 0.04 s)) = 0.2008
    smooth = OneEuro(least_hz=1.0, slope=0.0)
    smooth(0.0, np.array([0.0]))
    weight = 1 / (1 + 1 / (2 * math.pi * 0.04))
    assert weight == pytest.approx(0.2008, abs=1e-4)
    assert smooth(0.04, np.array([1.0])) == pytest.approx([weight])
    assert smooth(0.08, np.array([1.0])) == pytest.approx([weight + weight * (1 - weight)])


def test_the_speed_opens_the_cutoff():
    # speed 1 / 0.04 s = 25, low-passed once: 25 * 0.2008 = 5.021; cutoff 1 + 2 * 5.021 = 11.04 Hz
    smooth = OneEuro(least_hz=1.0, slope=2.0)
    smooth(0.0, np.array([0.0]))
    cutoff = 1 + 2 * 25 / (1 + 1 / (2 * math.pi * 0.04))
    assert smooth(0.04, np.array([1.0])) == pytest.approx([1 / (1 + 1 / (2 * math.pi * cutoff * 0.04))])


def test_a_constant_stays_and_a_long_absence_begins_anew():
    smooth = OneEuro()
    assert [smooth(0.04 * step, np.array([0.3]))[0] for step in range(5)] == pytest.approx([0.3] * 5)
    assert smooth(5.0, np.array([0.9])) == pytest.approx([0.9])


def test_nan_is_passed_on_and_forgets_what_was_before():
    smooth = OneEuro()
    smooth(0.0, np.array([0.2]))
    assert np.isnan(smooth(0.04, np.array([np.nan]))).all()
    assert smooth(0.08, np.array([0.8])) == pytest.approx([0.8])


def test_shares_of_a_person_still_sum_to_one_and_persons_do_not_mix():
    steady = SteadyFaces()
    first, second = np.eye(7)[0], np.eye(7)[3]
    steady.steadied(0.0, 'person 1', first, 0.5, 0.1)
    steady.steadied(0.0, 'person 2', second, -0.5, 0.2)
    moved = steady.steadied(0.04, 'person 1', second, 0.0, 0.1)
    assert moved[:7].sum() == pytest.approx(1.0)
    assert 0 < moved[3] < 1
    assert steady.steadied(0.04, 'person 2', second, -0.5, 0.2)[:7] == pytest.approx(second)


def test_without_smoothing_values_stay_as_they_are():
    steady = SteadyFaces('none')
    steady.steadied(0.0, 'person 1', np.eye(7)[0], 0.5, 0.1)
    assert steady.steadied(0.04, 'person 1', np.eye(7)[3], -0.5, 0.0) == pytest.approx([*np.eye(7)[3], -0.5, 0.0])
