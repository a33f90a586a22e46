from __future__ import annotations

import numpy as np
import pytest

from affekt.description import Terciles, grounded, measured, noted_terciles, packaged_wordings
from affekt.errors import WeightsError
from affekt.features import RECIPES

TERCILES = Terciles({'pitch': (150.0, 200.0), 'loudness': (-40.0, -30.0), 'tempo': (3.0, 5.0), 'smile': (0.1, 0.3)})


def test_labels_are_those_given_and_clues_those_that_lie_farthest_out():
    # from the middles 175, -35 and 4: 125/50, 10/10 and 1/2
    made = grounded(['angry'], {'pitch': 300.0, 'loudness': -25.0, 'tempo': 5.0}, TERCILES)
    assert made.text == 'The person seems angry. The voice is high in pitch and loud.'
    assert (made.labels, dict(made.levels)) == (('angry',), {'pitch': 'high', 'loudness': 'high'})


def test_every_statement_agrees_with_the_terciles_whatever_was_measured():
    rng, wordings = np.random.default_rng(1), packaged_wordings()
    for _ in range(300):
        values = {'pitch': rng.uniform(80, 400), 'loudness': rng.uniform(-60, -10), 'smile': rng.uniform(0, 1)}
        readings = {name: value for name, value in values.items() if rng.random() < 0.7}
        made = grounded(['happy', 'amused'], readings, TERCILES)
        levels = TERCILES.levels(readings)
        assert wordings.claims(made.text) == {name: {levels[name]} for name in made.levels}
        assert set(made.levels) <= set(readings)


def test_what_was_not_measured_or_has_no_terciles_is_not_spoken_of():
    made = grounded(['sad'], {'tempo': float('nan'), 'melody': 3.0, 'height': 2.0}, TERCILES)
    assert made.text == 'The person seems sad.'
    assert grounded((), {}, TERCILES).text == ''
    assert grounded((), {'smile': 0.9}, TERCILES).text == 'The face shows a broad smile.'


def test_readings_are_found_by_the_columns_of_recipes():
    recipe = RECIPES['speech-acoustics-utt']
    row = np.arange(recipe.dimension, dtype=np.float32)
    features = {'prosody': np.stack([row, row + 2]), 'sentence': np.zeros(31, np.float32), 'own': np.zeros(3)}
    recipes = {'prosody': recipe.name, 'sentence': 'text-emotion-utt', 'own': 'a-recipe-of-others'}
    readings = measured(features, recipes)
    # the mean of both rows is one above the number of the column
    assert readings['pitch'] == recipe.columns.index('f0_mean_hz') + 1
    assert {'pitch', 'loudness', 'tempo', 'melody'} == set(readings)


def test_terciles_come_back_from_notes():
    assert noted_terciles({'terciles': {'pitch': [1, 2]}}).bounds == {'pitch': (1.0, 2.0)}
    assert noted_terciles({}).bounds == {}
    with pytest.raises(WeightsError, match='terciles'):
        noted_terciles({'terciles': {'pitch': [1]}})
