"""Published prototypes over blendshapes: each reads as its own emotion, rest as neutral, absence as absence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from affekt.errors import ShapeError, ValueRangeError
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.prototypes import (
    ACTION_UNITS,
    PROTOTYPES,
    checked_blendshapes,
    intensity,
    prototype_probabilities,
)
from affekt.labels import EKMAN


def face(units: tuple[int, ...], strength: float = 1.0) -> np.ndarray:
    """One row with the blendshapes of the given action units at one strength."""
    row = np.zeros((1, len(BLENDSHAPES)))
    for unit in units:
        for name in ACTION_UNITS[unit]:
            row[0, BLENDSHAPES.index(name)] = strength
    return row


def test_every_prototype_reads_as_its_own_emotion():
    for emotion, units in PROTOTYPES.items():
        shares = prototype_probabilities(face(units, 0.9))[0]
        assert EKMAN[int(shares.argmax())] == emotion


def test_a_face_at_rest_is_neutral_by_a_known_margin():
    # Six scores of 0 and a neutral one of 0.2: e**1.6 / (e**1.6 + 6) = 4.953 / 10.953.
    shares = prototype_probabilities(face(()))[0]
    assert shares[EKMAN.index('neutral')] == pytest.approx(np.exp(1.6) / (np.exp(1.6) + 6), abs=1e-12)


def test_a_smile_without_eyes_counts_half():
    # AU12 at 0.8, AU6 at 0: happiness scores 0.4, so its odds against neutral are exp(8 (0.4 - 0.2)) = e**1.6.
    shares = prototype_probabilities(face((12,), 0.8))[0]
    odds = shares[EKMAN.index('happiness')] / shares[EKMAN.index('neutral')]
    assert odds == pytest.approx(np.exp(1.6), rel=1e-12)


def test_every_action_unit_is_made_of_known_blendshapes():
    names = {name for group in ACTION_UNITS.values() for name in group}
    assert names <= set(BLENDSHAPES)
    assert {unit for units in PROTOTYPES.values() for unit in units} <= set(ACTION_UNITS)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (4, 52), elements=st.floats(0, 1)))
def test_shares_are_a_distribution_for_any_reading(rows):
    shares = prototype_probabilities(rows)
    assert (shares > 0).all()
    assert shares.sum(axis=1) == pytest.approx(np.ones(4))


def test_missing_rows_stay_missing():
    rows = np.vstack([face((12,)), np.full((1, 52), np.nan)])
    shares = prototype_probabilities(rows)
    assert np.isfinite(shares[0]).all()
    assert np.isnan(shares[1]).all()


def test_intensity_is_the_mean_of_both_sides():
    row = np.zeros((1, 52))
    row[0, BLENDSHAPES.index('mouthSmileLeft')] = 0.6
    assert intensity(row, ACTION_UNITS[12])[0] == pytest.approx(0.3)


def test_checked_blendshapes_zero_what_is_missing_and_say_so():
    values, present = checked_blendshapes(np.vstack([np.full((1, 52), 0.5), np.full((1, 52), np.nan)]))
    assert present.tolist() == [True, False]
    assert values[1].tolist() == [0.0] * 52


def test_a_row_count_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match='one row per face'):
        checked_blendshapes(np.zeros((2, 52)), faces=3)


def test_a_partly_missing_row_is_refused():
    row = np.zeros((1, 52))
    row[0, 3] = np.nan
    with pytest.raises(ValueRangeError, match='nan'):
        prototype_probabilities(row)
