"""How the vocal heads learn from two corpora with different labels, and what is chosen and kept."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from affekt.labels import EKMAN, RAVDESS8

RECIPE = Path(__file__).parents[2] / 'recipes' / 'vocal_emotion'


@pytest.fixture(scope='module')
def recipe():
    """The recipe's files as modules, for these tests alone."""
    torch = pytest.importorskip('torch')
    torch.set_num_threads(1)
    names = ('augment', 'not_speech', 'features', 'heads', 'measure', 'card')
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


def made_up(recipe, labels, count, seed):
    """Clips of one corpus whose class k lies at +4 in dimension k."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(labels, count)
    features = rng.normal(0, 1, (truth.size, 12)).astype(np.float32)
    features[np.arange(truth.size), truth] += 4
    classes = np.tile(np.isin(np.arange(8), labels), (truth.size, 1))
    return recipe['heads'].Rows(features, truth, np.full(truth.size, 1 / truth.size), classes)


def test_a_corpus_teaches_nothing_about_labels_that_it_has_not(recipe):
    heads = recipe['heads']
    disgust = RAVDESS8.index('disgust')
    with_disgust = made_up(recipe, np.arange(8), 30, 0)
    without = made_up(recipe, np.array([0, 2, 3, 4, 5, 7]), 30, 1)
    # sounds like disgust, and the corpus that has no such label says it is one of its own: that must not matter
    without.features[:, disgust] += 4
    (head,) = heads.fit_heads(heads.together([with_disgust, without]), [0.01])
    unseen = made_up(recipe, np.arange(8), 40, 2)
    guess = head.logits(unseen.features).argmax(axis=1)
    assert (guess[unseen.truth == disgust] == disgust).mean() > 0.8


def test_labels_of_no_corpus_are_never_named(recipe):
    heads = recipe['heads']
    rows = made_up(recipe, np.array([0, 2, 3, 4, 5, 7]), 20, 3)
    (head,) = heads.fit_heads(rows, [0.1])
    probabilities = heads.seven(head.logits(made_up(recipe, np.arange(8), 10, 4).features))
    assert probabilities[:, EKMAN.index('disgust')].max() < 1e-6


def test_corpora_weigh_the_same_however_large(recipe):
    heads = recipe['heads']
    both = heads.together([made_up(recipe, np.arange(8), 40, 5), made_up(recipe, np.array([0, 4]), 5, 6)])
    assert both.weight.sum() == pytest.approx(1)
    assert both.weight[-10:].sum() == pytest.approx(0.5)


def test_a_stronger_penalty_gives_smaller_weights(recipe):
    heads = recipe['heads']
    strong, weak = heads.fit_heads(made_up(recipe, np.arange(8), 20, 7), [3.0, 0.1])
    assert np.linalg.norm(strong.weight) < np.linalg.norm(weak.weight)


def test_what_lies_elsewhere_is_further_from_speech(recipe):
    rows = made_up(recipe, np.arange(8), 30, 8)
    (head,) = recipe['heads'].fit_heads(rows, [1.0])
    near, away = head.strangeness(rows.features), head.strangeness(rows.features + 25)
    assert np.median(near) == pytest.approx(1.0, abs=0.2)
    assert away.min() > near.max()


def test_the_temperature_of_overconfident_scores_brings_them_to_what_is_true(recipe):
    measure = recipe['measure']
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 8, 4000)
    honest = rng.normal(0, 1, (4000, 8))
    honest[np.arange(4000), truth] += 1.5  # the log odds of this mixture are 1.5 times the scores
    temperature = measure.fitted_temperature(6 * honest, recipe['heads'].ONTO_EKMAN[truth])
    assert temperature == pytest.approx(4.0, rel=0.15)


def test_the_threshold_names_only_where_the_named_are_right_as_often_as_stated(recipe):
    measure = recipe['measure']
    # 60 clips of confidence 0.9 of which 58 are right, then 100 of 0.6 of which half are: these stay unnamed
    sure = np.tile([0.9, *[0.1 / 6] * 6], (60, 1))
    vague = np.tile([0.6, *[0.4 / 6] * 6], (100, 1))
    truth = np.concatenate([np.zeros(58, int), np.ones(2, int), np.zeros(40, int), np.ones(60, int)])
    threshold = measure.threshold_of(np.concatenate([sure, vague]), truth)
    assert 0.6 < threshold <= 0.9


def test_sounds_that_are_no_speech_are_audible_finite_and_differ_by_draw(recipe):
    others = [np.random.default_rng(k).normal(0, 0.1, 20000).astype(np.float32) for k in range(4)]
    for name, maker in recipe['not_speech'].NOT_SPEECH.items():
        one, two = (maker(np.random.default_rng(seed), others) for seed in (1, 2))
        assert one.shape == (48000,), name
        assert np.isfinite(one).all(), name
        assert one.std() > 0, name
        assert not np.array_equal(one, two), name


def test_the_polish_corpus_is_balanced_and_no_speaker_is_in_two_folds(recipe, shared_data):
    folder = shared_data / 'nemo'
    if not folder.is_dir():
        pytest.skip('nEMO is not in the shared data')
    clips = recipe['features'].read_nemo(folder)
    counts = np.zeros((9, 8), int)
    np.add.at(counts, (clips.speaker, clips.truth), 1)
    assert counts.max() == 40
    assert clips.classes.sum() == 6
    assert all(np.unique(clips.fold[clips.speaker == who]).size == 1 for who in range(9))
    assert all((folder / name).is_file() for name in clips.files[::97])


def test_features_that_are_there_are_not_made_again(recipe, tmp_path, monkeypatch):
    features = recipe['features']
    clips = features.Clips('made up', tmp_path, ['a'], *(np.zeros(1, np.int64) for _ in range(4)))
    store = features.Store(clips, tmp_path, {'tiny.en': 'tiny.en'})
    ready = np.arange(30, dtype=np.float16).reshape(1, 2, 5, 3)
    np.save(store.folder / 'train_0.tiny.en.npy', ready)
    monkeypatch.setattr(features, 'WhisperEncoder', None)
    np.testing.assert_array_equal(store.features('tiny.en', 'train 0'), ready)
