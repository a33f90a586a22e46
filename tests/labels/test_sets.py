"""Label sets and the maps between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt import labels
from affekt.errors import ShapeError, UnknownNameError


@pytest.mark.parametrize(
    ('names', 'mapping'),
    [
        (labels.GOEMOTIONS, labels.GOEMOTIONS_TO_EKMAN),
        (labels.RAVDESS8, labels.RAVDESS8_TO_EKMAN),
        (tuple(labels.FER2013_TO_EKMAN), labels.FER2013_TO_EKMAN),
        (tuple(labels.MELD_TO_EKMAN), labels.MELD_TO_EKMAN),
    ],
)
def test_every_label_of_a_set_maps_to_one_category_and_every_category_is_reached(names, mapping):
    assert set(mapping) == set(names)
    assert set(mapping.values()) == set(labels.EKMAN)


def test_folding_adds_what_belongs_together():
    # calm joins neutral: 0.25 + 0.5; happy stays 0.25
    folded = labels.fold([0.25, 0.5, 0.25, 0, 0, 0, 0, 0], labels.RAVDESS8, labels.RAVDESS8_TO_EKMAN)
    assert dict(zip(labels.EKMAN, folded, strict=True))['neutral'] == 0.75
    assert dict(zip(labels.EKMAN, folded, strict=True))['happiness'] == 0.25


@given(st.lists(st.floats(0, 1), min_size=28, max_size=28))
def test_folding_keeps_the_total(values):
    folded = labels.fold(values, labels.GOEMOTIONS, labels.GOEMOTIONS_TO_EKMAN)
    assert folded.sum() == pytest.approx(sum(values))


def test_folding_refuses_a_wrong_length_and_an_unmapped_label():
    with pytest.raises(ShapeError):
        labels.fold([1.0], labels.EKMAN, {})
    with pytest.raises(UnknownNameError, match='fury'):
        labels.fold([1.0], ('fury',), {})


def test_coordinates_lie_on_the_plane_and_unknown_words_are_refused():
    plane = labels.coordinates(labels.EKMAN)
    assert plane.shape == (7, 2)
    assert np.abs(plane).max() <= 1
    with pytest.raises(UnknownNameError, match='fury'):
        labels.coordinates(['fury'])
