"""What real features give beside hashed words and a constant answer, with the simplest model: recipes from end to end.

    python measurements/real_features.py [--data DIR] [--out FILE]

Manifests are imported from the released labels, features extracted by `affekt.features` and read from its stores, and
a linear model is trained. Its strength, and whether columns are standardised, is chosen on the published validation
part (MELD, CMU-MOSI) or on the fold before the tested one (IEMOCAP by session, RAVDESS by actors), never on the test.
Intervals are over speakers, dialogues or recordings; p is a paired test against the same model on hashed words (text)
or against the constant answer (sound), by Holm over all rows. Only text or only sound is used: no figure here is
comparable to a multimodal one.

Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from merbench_parity import DATA, HERE, most_frequent, spread
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from affekt.corpora import Manifest, import_corpus
from affekt.features import Store, extract
from affekt.metrics import Measure, categorical_measure, compare_with, holm, measure_intervals, sentiment_measure
from affekt.typed_json import json_file

RESAMPLES = 2000
STRENGTHS = ((True, 1e-4), (True, 1e-3), (True, 1e-2), (True, 1e-1), (False, 1e-1), (False, 1.0), (False, 10.0))
"""Whether columns are standardised, and C of the classifier; Ridge takes 1 / C."""
Fit = Callable[[np.ndarray, np.ndarray, bool, float], Any]


def classifier(vectors: np.ndarray, labels: np.ndarray, scaled: bool, strength: float) -> Any:
    model = LogisticRegression(C=strength, max_iter=2000)
    return (make_pipeline(StandardScaler(), model) if scaled else model).fit(vectors, labels)


def regressor(vectors: np.ndarray, values: np.ndarray, scaled: bool, strength: float) -> Any:
    model = Ridge(alpha=1 / strength)
    return (make_pipeline(StandardScaler(), model) if scaled else model).fit(vectors, values)


def chosen(fit: Fit, train: tuple[Any, Any], held_out: tuple[Any, Any], score: Callable[..., float]) -> Any:
    """The model that does best on what is held out, trained on train alone."""
    models = [fit(*train, *choice) for choice in STRENGTHS]
    return max(models, key=lambda model: score(held_out[1], model.predict(held_out[0])))


def split_predictions(manifest: Manifest, vectors: np.ndarray, values: np.ndarray, fit: Fit, score: Any) -> np.ndarray:
    """Predictions for the test split."""
    split = manifest.column('split')
    parts = {name: (vectors[split == name], values[split == name]) for name in ('train', 'val', 'test')}
    return chosen(fit, parts['train'], parts['val'], score).predict(parts['test'][0])


def fold_predictions(manifest: Manifest, vectors: np.ndarray, labels: np.ndarray, fit: Fit, score: Any) -> np.ndarray:
    """Predictions for every sample, by a model that never saw its fold; the fold before it chooses the strength."""
    folds = np.array([row.fold for row in manifest.samples])
    count, answers = folds.max(), np.zeros_like(labels)
    for fold in range(1, count + 1):
        before = fold - 1 or count
        train, held_out, test = (folds != fold) & (folds != before), folds == before, folds == fold
        model = chosen(fit, (vectors[train], labels[train]), (vectors[held_out], labels[held_out]), score)
        answers[test] = model.predict(vectors[test])
    return answers


def constant_answers(manifest: Manifest, tested: Manifest, labels: np.ndarray) -> np.ndarray:
    """The most frequent category of what each tested sample's model learns from."""
    if len(tested) < len(manifest):
        return most_frequent(manifest.where(split='train').labels(), len(tested))
    folds = np.array([row.fold for row in manifest.samples])
    by_fold = {fold: np.bincount(labels[folds != fold]).argmax() for fold in set(folds.tolist())}
    return np.array([by_fold[fold] for fold in folds.tolist()])


def weighted(truth: np.ndarray, prediction: np.ndarray) -> float:
    return categorical_measure(truth, prediction).scores()['weighted_f1']


def recall(truth: np.ndarray, prediction: np.ndarray) -> float:
    return categorical_measure(truth, prediction).scores()['balanced_accuracy']


def nearness(truth: np.ndarray, prediction: np.ndarray) -> float:
    return -sentiment_measure(truth, prediction).scores()['mae']


def measures(manifest: Manifest, stores: dict[str, np.ndarray]) -> tuple[dict[str, Measure], Manifest]:
    """Recipe, and 'constant', to what it scores on the tested samples; and these samples."""
    by_fold = any(row.fold for row in manifest.samples)
    tested = manifest if by_fold else manifest.where(split='test')
    scored: dict[str, Measure] = {}
    if manifest.facts.categories:
        labels, classes = manifest.labels(), len(manifest.facts.categories)
        predict = fold_predictions if by_fold else split_predictions
        score = recall if 'acoustics-utt' in stores else weighted
        for name, vectors in stores.items():
            answers = predict(manifest, vectors, labels, classifier, score)
            scored[name] = categorical_measure(tested.labels(), answers, classes)
        scored['constant'] = categorical_measure(tested.labels(), constant_answers(manifest, tested, labels), classes)
    else:
        values, truth = manifest.column('sentiment'), tested.column('sentiment')
        for name, vectors in stores.items():
            scored[name] = sentiment_measure(truth, split_predictions(manifest, vectors, values, regressor, nearness))
        middle = manifest.where(split='train').column('sentiment').mean()
        scored['constant'] = sentiment_measure(truth, np.full(len(tested), middle))
    return scored, tested


CASES = (
    ('meld', 'merbench', ('hash512', 'minilm-utt'), 'weighted_f1'),
    ('iemocap4', 'merbench', ('hash512', 'minilm-utt'), 'weighted_f1'),
    ('iemocap6', 'merbench', ('hash512', 'minilm-utt'), 'weighted_f1'),
    ('mosi', 'merbench', ('hash512', 'minilm-utt'), 'f1_negative_positive'),
    ('ravdess', 'ravdess_speech', ('acoustics-utt',), 'balanced_accuracy'),
)
"""Corpus, folder of its release, recipes with the floor first, and the score that counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'real_features.json')
    options = parser.parse_args()
    rng = np.random.default_rng(20240104)
    result: dict[str, Any] = {}
    tests = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, release, recipes, headline in CASES:
            manifest = import_corpus(name, options.data / release)
            stores, rates = {}, {}
            for recipe in recipes:
                begun = time.perf_counter()
                made = extract(manifest, recipe, Path(folder, name))
                rates[recipe] = round(made.samples / (time.perf_counter() - begun), 1)
                stores[recipe] = Store(made.path.parent).matrix(manifest.names)
            scored, tested = measures(manifest, stores)
            groups = tested.groups()
            floor = 'constant' if len(recipes) == 1 else recipes[0]
            against = {key: measure for key, measure in scored.items() if key in recipes and key != floor}
            tests |= {
                (name, key): test
                for key, test in compare_with(
                    scored[floor], against, headline, rng=rng, groups=groups, resamples=RESAMPLES
                ).items()
            }
            result[name] = {
                'tested': len(tested), 'groups': len(set(groups)), 'headline': headline, 'samples_per_s': rates,
                'scores': {
                    key: {
                        score: spread(interval)
                        for score, interval in measure_intervals(measure, rng=rng, groups=groups).items()
                    }
                    for key, measure in scored.items()
                },
            }  # fmt: skip
            print(
                name, {key: intervals[headline] for key, intervals in result[name]['scores'].items()}, rates, flush=True
            )
    corrected = holm([test.p for test in tests.values()])
    for ((name, key), test), adjusted in zip(tests.items(), corrected, strict=True):
        gain = {'difference': spread(test.difference), 'p': test.p, 'p_holm': adjusted}
        result[name].setdefault('gain', {})[key] = gain
        print(name, key, gain)
    options.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()
