"""What categories say about valence and arousal, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.errors import ShapeError
from affekt.labels import CIRCUMPLEX, EKMAN, affect_sd, certainty, expected_affect

UNIFORM = np.full(7, 1 / 7)
ONE_HOT = np.eye(7)

posteriors = st.lists(st.floats(1e-6, 1.0), min_size=7, max_size=7).map(lambda row: np.array(row) / sum(row))


def test_knowing_nothing_is_the_middle_of_the_plane():
    # the plain expectation would be the mean of the seven places: (-1.17 / 7, 2.45 / 7) = (-0.17, 0.35)
    assert expected_affect(UNIFORM) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.0, abs=1e-12))


@given(posteriors)
def test_whatever_the_model_says_without_evidence_is_the_middle_of_the_plane(reference):
    assert expected_affect(reference, reference) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.0, abs=1e-9))


@pytest.mark.parametrize('name', EKMAN)
def test_a_certain_category_is_at_its_place(name):
    valence, arousal = expected_affect(ONE_HOT[EKMAN.index(name)])
    assert (float(valence), float(arousal)) == pytest.approx(CIRCUMPLEX[name], abs=1e-12)


def test_neutral_with_an_even_remainder_is_not_unpleasant():
    # 0.7 neutral and 0.05 for each other is 0.65 certain neutral and 0.35 nothing: both are (0, 0)
    row = np.where(np.array(EKMAN) == 'neutral', 0.7, 0.05)
    assert float(certainty(row)) == pytest.approx(0.65)
    assert expected_affect(row) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.0, abs=1e-12))


def test_half_a_category_and_half_nothing_is_half_way_to_its_place():
    row = 0.5 * ONE_HOT[EKMAN.index('happiness')] + 0.5 * UNIFORM
    assert float(certainty(row)) == pytest.approx(0.5)
    assert expected_affect(row) == (pytest.approx(0.405), pytest.approx(0.255))


@given(posteriors, posteriors)
def test_certainty_and_affect_stay_in_their_ranges(row, reference):
    assert 0 <= float(certainty(row, reference)) <= 1
    assert np.abs(expected_affect(row, reference)).max() <= 1


def test_a_category_that_the_reference_takes_for_granted_carries_no_certainty():
    assert float(certainty(ONE_HOT[6], ONE_HOT[6])) == 0.0


def test_many_rows_are_read_as_each_alone_and_unknown_ones_stay_unknown():
    rows = np.stack([[UNIFORM, ONE_HOT[0]], [ONE_HOT[3], np.full(7, np.nan)]])  # (2, 2, 7)
    valence, arousal = expected_affect(rows)
    assert valence.shape == arousal.shape == (2, 2)
    assert valence[1, 0] == pytest.approx(float(expected_affect(ONE_HOT[3])[0]))
    assert np.isnan(valence[1, 1])
    assert np.isnan(affect_sd(rows)[0][1, 1])


def test_the_flatter_the_wider():
    # uniform: variances 0.2924 and 0.1079 of the seven places, plus 0.2**2 and 0.3**2
    assert affect_sd(UNIFORM) == (pytest.approx(0.57658, abs=1e-5), pytest.approx(0.44481, abs=1e-5))
    assert affect_sd(ONE_HOT[2]) == (pytest.approx(0.2), pytest.approx(0.3))


def test_another_number_of_categories_is_refused():
    with pytest.raises(ShapeError):
        expected_affect(np.ones(8) / 8)
    with pytest.raises(ShapeError):
        expected_affect(UNIFORM, np.ones(6) / 6)
