"""Recipes for tests: plain functions at the top of a module, so that worker processes find them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.errors import WeightsError
from affekt.features import Features, Recipe, Unable

DIMENSION = 3


def _length_encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
    """A row a word: its place, its length, 1; nothing for neutral samples that end in t3."""
    found: list[Features | Unable] = []
    for row in samples:
        words = (row.text or '').split()
        if row.sample.endswith('_t3'):
            found.append(Unable(row.sample, 'ends in t3'))
        else:
            values = [[at, len(word), 1] for at, word in enumerate(words)]
            found.append(LENGTHS.features(row.sample, values, np.arange(len(words)) / 2))
    return found


def open_lengths(recipe):
    return _length_encoder


LENGTHS = Recipe(
    'lengths', 'text', DIMENSION, {'tool': 'test'}, open_lengths, columns=('place', 'length', 'one'), batch=10
)


def _dying_encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
    """Kills its process once, at the fifth pair of speakers."""
    marker = Path(manifest.facts.version)
    if any(row.sample.startswith('pair05') for row in samples) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), 9)
    return _length_encoder(manifest, samples)


def open_dying(recipe):
    return _dying_encoder


DYING = Recipe('lengths', 'text', DIMENSION, {'tool': 'test'}, open_dying, columns=('place', 'length', 'one'), batch=10)


def _nan_encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
    """Samples that end in t3 are not finite."""
    return [NAN.features(row.sample, [1.0, np.nan if row.sample.endswith('_t3') else 1.0, 1.0]) for row in samples]


def open_nan(recipe):
    return _nan_encoder


NAN = Recipe('nan', 'text', DIMENSION, {'tool': 'test'}, open_nan, columns=('place', 'length', 'one'))


def _deadly_encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
    """Kills its process at the fifth pair of speakers, every time."""
    if any(row.sample.startswith('pair05') for row in samples):
        os.kill(os.getpid(), 9)
    return _length_encoder(manifest, samples)


def open_deadly(recipe):
    return _deadly_encoder


DEADLY = Recipe('deadly', 'text', DIMENSION, {'tool': 'test'}, open_deadly, columns=('place', 'length', 'one'))


def open_nothing(recipe):
    raise WeightsError(expected='weights', came='none', todo='give some')


WEIGHTLESS = Recipe('weightless', 'text', DIMENSION, {'tool': 'test'}, open_nothing)


def open_killing(recipe):
    """Kills its process before the first batch."""
    os.kill(os.getpid(), 9)


KILLED_WHILE_OPENING = Recipe('lengths', 'text', DIMENSION, {'weights': 'others'}, open_killing)
