"""The preference model: exactly antisymmetric, indifferent to order, strict about files, and free of shortcuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_preferences import WordHashes, emoprefer_like
from scipy.optimize import minimize

from affekt.errors import AffektError, ComparisonError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.npz import read_npz
from affekt.preference.embedding import CachedEmbedder
from affekt.preference.evaluation import answers_of, evaluate_preferences
from affekt.preference.features import BLOCKS, raw_features, sameness
from affekt.preference.model import (
    PreferenceSettings,
    _newton,
    controls,
    fit_preferences,
    folds_of_samples,
    held_out_samples,
    load_preferences,
    shares,
    train_preferences,
)
from affekt.preference.pairs import Pairs

EMBEDDER = WordHashes()
FEW = [PreferenceSettings(('surface', 'embedding'), penalty=penalty) for penalty in (1.0, 10.0)]
EVERYTHING = PreferenceSettings(BLOCKS, directions=12, crossed=6, penalty=3.0)


def _with_everything(count: int = 60) -> tuple[Pairs, dict[str, np.ndarray]]:
    pairs = emoprefer_like(count, 3)
    prompts = [('what do hands show', 'what does the voice show', 'describe it')[at % 3] for at in range(count)]
    rng = np.random.default_rng(0)
    return replace(pairs, prompt=tuple(prompts)), {name: rng.normal(size=5) for name in pairs.names}


@pytest.fixture(scope='module')
def planted() -> tuple[Pairs, Pairs]:
    return emoprefer_like(600, 1), emoprefer_like(700, 2)


def test_a_swapped_pair_gets_the_exact_negative_score_and_the_same_chance_of_a_tie():
    pairs, samples = _with_everything()
    model = fit_preferences(pairs, raw_features(pairs, EMBEDDER, samples), EVERYTHING, EMBEDDER)
    forward, backward = model.predict_pairs(pairs, samples), model.predict_pairs(pairs.swapped(), samples)
    assert np.array_equal(backward.score, -forward.score)
    assert np.array_equal(backward.chances, forward.chances[:, ::-1])
    assert np.array_equal(backward.verdicts(ties=True), -forward.verdicts(ties=True))
    assert np.allclose(forward.chances.sum(axis=1), 1.0, atol=1e-12)


def test_a_pair_alone_scores_as_among_others():
    pairs, samples = _with_everything()
    model = fit_preferences(pairs, raw_features(pairs, EMBEDDER, samples), EVERYTHING, EMBEDDER)
    together = model.predict_pairs(pairs, samples).score
    alone = [model.predict_pairs(pairs.take([at]), samples).score[0] for at in range(8)]
    assert np.array_equal(alone, together[:8])


def test_equal_texts_score_zero_and_are_a_tie():
    pairs = emoprefer_like(40, 5)
    model = fit_preferences(pairs, raw_features(pairs, EMBEDDER), FEW[0], EMBEDDER)
    reading = model.predict_pairs([('he smiles', 'he smiles')])
    assert reading.score[0] == 0.0
    assert reading.verdicts()[0] == 0


def test_neither_the_order_of_pairs_nor_of_sides_changes_what_is_learned():
    pairs, samples = _with_everything()
    shuffled = pairs.take(np.random.default_rng(1).permutation(len(pairs)))
    models = [
        fit_preferences(one, raw_features(one, EMBEDDER, samples), EVERYTHING, EMBEDDER)
        for one in (pairs, shuffled, pairs.swapped())
    ]
    scores = [model.predict_pairs(pairs, samples).score for model in models]
    assert np.allclose(scores[1], scores[0], atol=1e-7)
    assert np.allclose(scores[2], scores[0], atol=1e-7)


def test_newton_finds_the_minimum_that_a_general_optimiser_finds(rng):
    features, ties = rng.normal(size=(80, 4)), np.stack([np.ones(80), rng.random(80)], axis=1)
    target = np.eye(3)[rng.integers(0, 3, 80)]
    penalties = np.array([1.0, 1.0, 2.0, 2.0, 0.1, 0.1])

    def loss(at):
        score, tie = features @ at[:4], ties @ at[4:]
        logits = np.stack([score / 2, tie, -score / 2], axis=1)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -(target * np.log(chances)).sum() + 0.5 * (penalties * at**2).sum()

    found = _newton(features, ties, target, penalties)
    other = minimize(loss, np.zeros(6), method='BFGS', options={'gtol': 1e-6}).x
    assert np.allclose(found, other, atol=1e-5)
    assert loss(found) <= loss(other) + 1e-12


def test_one_feature_without_penalty_gives_davidsons_strength_and_ties():
    # x = 1 on all pairs, 30 left, 10 ties, 10 right: two parameters fit three shares exactly:
    # P(left) / P(right) = e^s = 3, and P(tie) / sqrt(P(left) P(right)) = e^u = 10 / sqrt(300)
    target = np.eye(3)[[0] * 30 + [1] * 10 + [2] * 10]
    found = _newton(np.ones((50, 1)), np.ones((50, 1)), target, np.full(2, 1e-12))
    assert found == pytest.approx([np.log(3.0), np.log(10.0 / np.sqrt(300.0))], abs=1e-8)


def test_annotators_votes_are_learned_as_shares():
    pairs = Pairs.of(['a'], ['b'], votes=[[1, 1, -1]])
    assert pairs.truth.tolist() == [1]
    assert shares(pairs).tolist() == [[2 / 3, 0.0, 1 / 3]]


def test_a_controlled_score_is_uncorrelated_with_its_controls_over_the_training_pairs(planted):
    train, _ = planted
    seen = raw_features(train, EMBEDDER)
    free = fit_preferences(train, seen, FEW[0], EMBEDDER).read(seen).score
    held = fit_preferences(train, seen, replace(FEW[0], control=('length', 'source')), EMBEDDER).read(seen).score
    unwanted = controls(train, seen, ('length', 'source'))
    size = np.linalg.norm(unwanted, axis=0)
    assert np.abs(held @ unwanted / size / np.linalg.norm(held)).max() < 1e-10
    assert np.abs(free @ unwanted / size / np.linalg.norm(free)).max() > 0.4


def test_the_shortcut_wins_on_all_pairs_and_is_worth_nothing_when_balanced_while_control_keeps_the_signal(planted):
    train, test = planted
    evaluated = {}
    for control in ((), ('length', 'source')):
        model = train_preferences(train, embedder=EMBEDDER, control=control, grid=FEW)
        evaluated[control] = evaluate_preferences(
            test, answers_of(model, test), rng=np.random.default_rng(0), learned_from=train, resamples=200
        )
    free, held = evaluated.values()
    rule = held.shortcuts['source that wins']
    assert rule.views['all pairs']['even'].low > 0.6
    assert rule.views['source-balanced']['even'].value == pytest.approx(0.5, abs=1e-12)
    assert held.shortcuts['longer text'].views['length-balanced']['even'].value == pytest.approx(0.5, abs=1e-12)
    assert free.judge.longer > 0.6
    assert abs(held.judge.longer - 0.5) < 0.06
    # verbose wins with chance sigmoid(3.5) = 0.971 where it has the signal, sigmoid(0.5) = 0.622 where the other has:
    # the source alone is right in (0.971 + 0.622) / 2 = 0.796; where it counts for nothing, the signal alone is right
    # (0.971 / (0.971 + 0.622) + 0.378 / (0.378 + 0.029)) / 2 = 0.769
    assert rule.views['all pairs']['even'].value == pytest.approx(0.796, abs=0.03)
    assert held.judge.views['source-balanced']['even'].value == pytest.approx(0.769, abs=0.04)
    assert held.judge.views['balanced by both']['even'].low > 0.65
    assert free.judge.views['source-balanced']['even'].value < held.judge.views['source-balanced']['even'].value
    assert held.judge.lead == {}
    assert rule.lead['source-balanced'].low > 0.2


def test_training_is_repeatable_and_chooses_by_samples_not_by_pairs(planted):
    train, _ = planted
    twice = [train_preferences(train, embedder=EMBEDDER, grid=FEW) for _ in range(2)]
    assert np.array_equal(twice[0].weight, twice[1].weight)
    assert twice[0].facts == twice[1].facts
    shared = replace(train, prompt=tuple(f'p{at % 7}' for at in range(len(train))))
    for out in [held_out_samples(shared, 0.3), *folds_of_samples(shared)]:
        assert not set(shared.groups[out]) & set(shared.groups[~out])
    assert sum(out.astype(int) for out in folds_of_samples(shared)).tolist() == [1] * len(shared)


def test_a_saved_model_says_the_same(tmp_path):
    pairs, samples = _with_everything()
    model = fit_preferences(pairs, raw_features(pairs, EMBEDDER, samples), EVERYTHING, EMBEDDER)
    model.save(tmp_path / 'preference.npz')
    loaded = load_preferences(tmp_path, EMBEDDER)
    assert loaded.settings == model.settings
    assert np.array_equal(loaded.predict_pairs(pairs, samples).score, model.predict_pairs(pairs, samples).score)


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    pairs = emoprefer_like(30, 4)
    path = tmp_path / 'preference.npz'
    fit_preferences(pairs, raw_features(pairs, EMBEDDER), FEW[0], EMBEDDER).save(path)
    with pytest.raises(WeightsError, match='the embedder word hashes'):
        load_preferences(path)
    whole = read_npz(path)
    wrong = {
        'a missing array': {name: array for name, array in whole.items() if name != 'weight'},
        'an unknown array': {**whole, 'more': np.zeros(1)},
        'another format': {**whole, 'format': np.array([9])},
        'fewer weights': {**whole, 'weight': whole['weight'][:-1]},
        'nan': {**whole, 'weight': np.full_like(whole['weight'], np.nan)},
        'other settings': {**whole, 'settings': np.array(['{"blocks": ["surface"]}'])},
    }
    for arrays in wrong.values():
        np.savez(path, **arrays)
        with pytest.raises(WeightsError):
            load_preferences(path, EMBEDDER)
    path.write_bytes(b'PK nothing')
    with pytest.raises(WeightsError):
        load_preferences(path, EMBEDDER)
    with pytest.raises(WeightsError):
        load_preferences(tmp_path / 'absent.npz', EMBEDDER)


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (lambda: PreferenceSettings(('looks',)), UnknownNameError),
        (lambda: PreferenceSettings(control=('style',)), UnknownNameError),
        (lambda: PreferenceSettings(()), UnknownNameError),
        (lambda: PreferenceSettings(penalty=0.0), ValueRangeError),
        (lambda: train_preferences(Pairs.of(['a', 'c'], ['b', 'd']), embedder=EMBEDDER), ComparisonError),
        (lambda: train_preferences(Pairs.of(['a', 'c'], ['b', 'd'], [0, 0]), embedder=EMBEDDER), ComparisonError),
        (lambda: train_preferences(Pairs.of(['a'], ['b'], [1]), embedder=EMBEDDER), ComparisonError),
        (
            lambda: train_preferences(
                Pairs.of(list('abc'), list('def'), [1, -1, 1]), embedder=EMBEDDER, control=('source',), grid=FEW
            ),
            ComparisonError,
        ),
        (lambda: raw_features(Pairs.of(['a'], ['b']), EMBEDDER, {'2': np.ones(3)}), UnknownNameError),
        (lambda: raw_features(Pairs.of(['a'], ['b']), EMBEDDER, {'1': np.array([np.nan])}), ShapeError),
    ],
)
def test_wrong_input_is_one_clear_error(wrong, error):
    with pytest.raises(error) as caught:
        wrong()
    assert isinstance(caught.value, AffektError)


def test_a_model_trained_with_clips_refuses_pairs_without_them():
    pairs, samples = _with_everything()
    model = fit_preferences(pairs, raw_features(pairs, EMBEDDER, samples), EVERYTHING, EMBEDDER)
    with pytest.raises(ShapeError, match='sample vectors of 5'):
        model.predict_pairs(pairs)


def test_features_of_the_clip_are_used_where_they_decide():
    # the clip says which of two texts is true; the texts alone say nothing
    rng = np.random.default_rng(0)
    happy = rng.integers(2, size=400).astype(bool)
    is_left = rng.integers(2, size=400).astype(bool)
    texts = np.where(is_left, 'a happy smile', 'a sad frown'), np.where(is_left, 'a sad frown', 'a happy smile')
    outcome = np.where(happy == is_left, 1, -1)
    pairs = Pairs.of(texts[0].tolist(), texts[1].tolist(), outcome)
    samples = {name: np.array([1.0 if one else -1.0, 0.3]) for name, one in zip(pairs.names, happy, strict=True)}
    settings = PreferenceSettings(('embedding', 'sample'), penalty=1.0)
    seen = raw_features(pairs, EMBEDDER, samples)
    with_clips = fit_preferences(pairs, seen, settings, EMBEDDER).predict_pairs(pairs, samples)
    blind = fit_preferences(pairs, raw_features(pairs, EMBEDDER), settings, EMBEDDER).predict_pairs(pairs)
    assert np.mean(with_clips.verdicts() == outcome) == 1.0
    assert np.mean(blind.verdicts() == outcome) < 0.6


def test_what_makes_a_tie_likely_does_not_depend_on_sides():
    pairs = emoprefer_like(20, 6)
    assert np.array_equal(sameness(raw_features(pairs, EMBEDDER)), sameness(raw_features(pairs.swapped(), EMBEDDER)))


def test_vectors_are_kept_by_text_and_read_again(tmp_path):
    asked: list[str] = []

    class Counting(WordHashes):
        def embed(self, texts):
            asked.extend(texts)
            return super().embed(texts)

    path = tmp_path / 'kept.npz'
    first = CachedEmbedder(Counting(), path).embed(['joy', 'fear', 'joy'])
    again = CachedEmbedder(Counting(), path).embed(['fear', 'joy'])
    assert asked == ['joy', 'fear']
    assert np.array_equal(again, first[[1, 0]])


def test_the_folds_that_chose_are_as_many_as_there_were():
    pairs = emoprefer_like(60, 0)
    three = replace(pairs, names=tuple(f's{row % 3}' for row in range(len(pairs))), prompt=())
    assert train_preferences(three, embedder=EMBEDDER, grid=FEW[:1]).facts['chosen_by'] == '3 folds of samples'
