"""Heads compared across corpora: none sees the truth of what it reads, and their formulas are the known ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affekt.labels import EKMAN
from affekt.metrics import balanced_accuracy

RECIPE = Path(__file__).parents[2] / 'recipes' / 'vocal_emotion'


@pytest.fixture(scope='module')
def recipe():
    """The recipe's files as modules, for these tests alone."""
    pytest.importorskip('torch').set_num_threads(1)
    names = ('augment', 'features', 'heads', 'other_heads', 'other_norms', 'across_corpora')
    before = {name: sys.modules.pop(name, None) for name in names}
    sys.path.insert(0, str(RECIPE))
    try:
        yield {name: __import__(name) for name in names}
    finally:
        sys.path.remove(str(RECIPE))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def made_up(others, speakers, kinds, seed):
    """Two clips of each speaker and category: a mean of the category, an offset of the speaker, and noise."""
    means, rng = np.random.default_rng(0).normal(size=(7, 4, 3, 5)), np.random.default_rng(seed)
    truth, speaker = np.tile(np.repeat(kinds, 2), speakers), np.repeat(np.arange(speakers), 2 * len(kinds))
    layers = means[truth] + rng.normal(size=(speakers, 4, 3, 5))[speaker] + rng.normal(size=(truth.size, 4, 3, 5))
    return others.Corpus(
        layers=layers.astype(np.float32),
        acoustics=(layers.reshape(truth.size, -1)[:, :21]).astype(np.float32),
        truth=truth,
        speaker=speaker,
        sentence=np.arange(truth.size) % 3,
    )


@pytest.fixture(scope='module')
def corpora(recipe):
    """One with all categories, one without disgust."""
    others = recipe['other_heads']
    six = np.array([k for k in range(7) if EKMAN[k] != 'disgust'])
    return made_up(others, 5, np.arange(7), 1), made_up(others, 4, six, 2)


@pytest.fixture
def hasty(recipe, monkeypatch):
    """Fits that stop early: what is tested holds after any number of steps."""
    monkeypatch.setattr(recipe['other_heads'], 'ITERATIONS', 5)


def test_no_try_sees_the_truth_of_what_it_reads(recipe, corpora, hasty):
    learn, read = corpora
    blind = replace(read, truth=np.random.default_rng(3).permutation(read.truth))
    for name, each in recipe['other_norms'].TRIED.items():
        if each.uses != 'calibration':
            value = each.values[-1]
            assert np.allclose(each.method(learn, read, value), each.method(learn, blind, value)), name


def test_what_reads_a_turn_alone_does_not_depend_on_the_turns_beside_it(recipe, corpora, hasty):
    learn, read = corpora
    few = read.rows(np.arange(6))
    for name, each in recipe['other_norms'].TRIED.items():
        if each.uses == 'alone':
            value = each.values[0]
            whole = each.method(learn, read, value)[:6]
            assert np.allclose(whole, each.method(learn, few, value), atol=1e-3), name


def test_ledoit_wolf_is_that_of_scikit_learn(recipe):
    covariance = pytest.importorskip('sklearn.covariance')
    rows = np.random.default_rng(0).normal(size=(40, 12)) @ np.diag(np.arange(1.0, 13))
    rows -= rows.mean(axis=0)
    expected = covariance.ledoit_wolf(rows, assume_centered=True)[0]
    assert np.allclose(recipe['other_heads'].shrunk(rows.T @ rows / 40, rows), expected)


def test_the_direction_in_which_speakers_differ_is_found_beside_categories(recipe, corpora):
    learn, rng = corpora[0], np.random.default_rng(5)
    between_speakers, between_kinds = np.eye(8)[2], np.eye(8)[6]
    inputs = rng.normal(size=(learn.truth.size, 8)) + 20 * learn.truth[:, None] * between_kinds
    inputs += 20 * learn.speaker[:, None] * between_speakers
    axes = recipe['other_heads'].differing_axes(inputs, learn, 'speaker', 1)
    assert abs(axes[:, 0] @ between_speakers) > 0.999
    # categories are equally frequent for all speakers, so theirs is no direction of speakers
    assert abs(axes[:, 0] @ between_kinds) < 0.02


def test_recall_of_all_speakers_is_the_balanced_accuracy(recipe, corpora):
    read, rng = corpora[1], np.random.default_rng(0)
    guess = rng.choice(read.truth, read.truth.size)
    drawn = recipe['across_corpora'].drawn_uar(read, guess)
    assert drawn[0] == pytest.approx(balanced_accuracy(read.truth, guess))
    assert drawn[1:].std() > 0


def test_the_setting_of_a_try_comes_from_the_other_direction(recipe, corpora, monkeypatch):
    across, others = recipe['across_corpora'], recipe['other_heads']

    def planted(learn, read, value):
        # right about corpus one at 1, about corpus two at 2: each direction must take the other's
        right = (read.speaker.max() == 4) == (value == 1.0)
        return 5 * np.eye(7)[read.truth if right else np.roll(read.truth, 1)]

    monkeypatch.setattr(across, 'TRIED', {across.PRESENT: others.Try(planted, (1.0, 2.0))})
    (row,) = list(across.figures({'ravdess': corpora[0], 'nemo': corpora[1]}, [across.PRESENT]))
    assert [row[name]['chosen'] for name in ('nemo', 'ravdess')] == [1.0, 2.0]
    assert max(row[name]['uar']['value'] for name in ('nemo', 'ravdess')) < 0.6
