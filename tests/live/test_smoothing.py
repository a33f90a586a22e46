"""Readings made steady by what came before alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from affekt.live.smoothing import LEAST_HZ, SLOPE, SPEED_HZ, SteadyFaces

CALM, HAPPY = np.eye(7)[0], np.eye(7)[3]


def _valences(stamps, values) -> list[float]:
    steady = SteadyFaces()
    return [
        float(steady.steadied(time_s, 'person 1', CALM, value, 0.0)[7])
        for time_s, value in zip(stamps, values, strict=True)
    ]


def test_the_speed_opens_the_cutoff():
    # Casiez's own form: speed 1 / 0.04 s = 25 a second, low-passed once; the cutoff opens by it
    speed = 25 / (1 + 1 / (2 * math.pi * SPEED_HZ * 0.04))
    cutoff = LEAST_HZ + SLOPE * speed
    assert _valences([0.0, 0.04], [0.0, 1.0])[1] == pytest.approx(1 / (1 + 1 / (2 * math.pi * cutoff * 0.04)))


def test_a_longer_step_follows_further():
    short, long = (_valences([0.0, step_s], [0.0, 1.0])[1] for step_s in (0.02, 0.2))
    assert 0 < short < long < 1


def test_a_constant_stays_and_a_long_absence_begins_anew():
    assert _valences([0.0, 0.04, 0.08, 5.0], [0.3, 0.3, 0.3, 0.9]) == pytest.approx([0.3, 0.3, 0.3, 0.9])


def test_a_frame_that_cannot_be_read_is_nan_and_the_next_goes_on_from_before():
    values = _valences([0.0, 0.04, 0.08], [0.0, math.nan, 1.0])
    assert math.isnan(values[1])
    assert values[2] == pytest.approx(_valences([0.0, 0.08], [0.0, 1.0])[1])


def test_shares_of_a_person_still_sum_to_one_and_persons_do_not_mix():
    steady = SteadyFaces()
    steady.steadied(0.0, 'person 1', CALM, 0.5, 0.1)
    steady.steadied(0.0, 'person 2', HAPPY, -0.5, 0.2)
    moved = steady.steadied(0.04, 'person 1', HAPPY, 0.0, 0.1)
    assert moved[:7].sum() == pytest.approx(1.0)
    assert 0 < moved[3] < 1
    assert steady.steadied(0.04, 'person 2', HAPPY, -0.5, 0.2)[:7] == pytest.approx(HAPPY)


def test_without_smoothing_values_stay_as_they_are():
    steady = SteadyFaces('none')
    steady.steadied(0.0, 'person 1', CALM, 0.5, 0.1)
    assert steady.steadied(0.04, 'person 1', HAPPY, -0.5, 0.0) == pytest.approx([*HAPPY, -0.5, 0.0])
