"""Deterministic figures on the released labels and transcripts: hashed words, simple models, every corpus at hand.

    python measurements/merbench_parity.py [--data DIR] [--out FILE]

Each row is trained on a published train part and scored through `affekt.corpora` and `affekt.metrics`; `stated` is what
an independent script printed from the same files with scikit-learn, and must be met to its last digit. Beside every
score stand its interval (over speakers, dialogues or recordings where the release tells them), the same of a constant
answer, and whether the two can be told apart (paired test, Holm over all rows).

Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge

from affekt.corpora import Manifest, import_corpus
from affekt.features.builtin_recipes import hashed_texts
from affekt.metrics import (
    Measure,
    categorical_measure,
    challenge_measure,
    compare,
    holm,
    measure_intervals,
    sentiment_measure,
)
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
RESAMPLES = 2000
NO_VALENCE = -10.0
"""What the released archive holds where there is no valence; scoring it is meaningless, and reproduced here."""
WAF, ACC = 'f1_negative_positive', 'accuracy_negative_positive'

STATED: Mapping[str, Mapping[str, float]] = {
    'mosi val': {WAF: 0.610704, ACC: 0.615741, 'mae': 1.302796, 'pearson': 0.314341, 'concordance': 0.236781},
    'mosi test': {WAF: 0.603062, ACC: 0.603659, 'mae': 1.330117, 'pearson': 0.324646, 'concordance': 0.232628},
    'sims val': {WAF: 0.624642, ACC: 0.627907, 'mae': 0.559273, 'pearson': 0.289570, 'concordance': 0.228812},
    'sims test': {WAF: 0.635313, ACC: 0.646907, 'mae': 0.566869, 'pearson': 0.275592, 'concordance': 0.223441},
    'simsv2 val': {WAF: 0.649043, ACC: 0.652252, 'mae': 0.536450, 'pearson': 0.345357, 'concordance': 0.271280},
    'simsv2 test': {WAF: 0.614993, ACC: 0.618002, 'mae': 0.511718, 'pearson': 0.299041, 'concordance': 0.246078},
    'mosi test, constant': {WAF: 0.250729, ACC: 0.422256, 'constant': 0.234489},
    'sims test, constant': {WAF: 0.498476, ACC: 0.639175, 'constant': -0.192836},
    'simsv2 test, constant': {WAF: 0.373709, ACC: 0.535675, 'constant': -0.081558},
    'meld val': {'weighted_f1': 0.372640, 'accuracy': 0.467087, 'macro_f1': 0.206540},
    'meld test': {'weighted_f1': 0.427241, 'accuracy': 0.511494, 'macro_f1': 0.225935},
    'iemocap4 mean of sessions': {'weighted_f1': 0.531598, 'accuracy': 0.530832},
    'iemocap4 pooled': {'weighted_f1': 0.529753, 'accuracy': 0.530284},
    'iemocap6 mean of sessions': {'weighted_f1': 0.410745, 'accuracy': 0.419747},
    'iemocap6 pooled': {'weighted_f1': 0.410137, 'accuracy': 0.419212},
    **{
        f'iemocap4 session {n}': {'weighted_f1': f1} for n, f1 in enumerate((0.5032, 0.5769, 0.5081, 0.5323, 0.5375), 1)
    },
    **{
        f'iemocap6 session {n}': {'weighted_f1': f1} for n, f1 in enumerate((0.4134, 0.4322, 0.3799, 0.4102, 0.4181), 1)
    },
    'mer2023 test1': {'weighted_f1': 0.372494, 'accuracy': 0.401460, 'mse': 2.626649, 'combined': -0.284169},
    'mer2023 test2': {'weighted_f1': 0.362940, 'accuracy': 0.385922, 'mse': 2.263148, 'combined': -0.202847},
    'mer2023 test3': {'weighted_f1': 0.292150, 'accuracy': 0.324940},
    'mer2023 test3 against -10': {'mse': 88.562353, 'combined': -21.848438},
}
"""Row to score to the published digits."""


@dataclass
class Row:
    """One trained model on one part."""

    name: str
    model: str
    measure: Measure
    constant: Measure
    groups: Any
    headline: str
    facts: dict[str, Any] = field(default_factory=dict)


def hashed(manifest: Manifest) -> np.ndarray:
    """(N, 512)"""
    return hashed_texts([row.text or '' for row in manifest.samples]).astype(np.float64)


def classifier() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=5000, tol=1e-10)


def regressor() -> Ridge:
    return Ridge(alpha=1.0, solver='cholesky')


def most_frequent(labels: np.ndarray, size: int) -> np.ndarray:
    return np.full(size, np.bincount(labels).argmax())


def sentiment_rows(manifest: Manifest, name: str) -> list[Row]:
    """Ridge regression on train; the constant answer is the mean of train."""
    train = manifest.where(split='train')
    truth = train.column('sentiment')
    model, rows = regressor().fit(hashed(train), truth), []
    for split in ('val', 'test'):
        part = manifest.where(split=split)
        values, prediction = part.column('sentiment'), model.predict(hashed(part))
        constant = sentiment_measure(values, np.full(len(part), truth.mean()))
        measure = sentiment_measure(values, prediction)
        counts = {'train': len(train), 'n': len(part), 'constant': float(truth.mean())}
        rows.append(Row(f'{name} {split}', 'Ridge(1.0)', measure, constant, part.groups(), WAF, counts))
    return rows


def meld_rows(manifest: Manifest) -> list[Row]:
    """Logistic regression on train; the constant answer is the most frequent category."""
    train, classes = manifest.where(split='train'), len(manifest.facts.categories)
    labels = train.labels()
    model, rows = classifier().fit(hashed(train), labels), []
    for split in ('val', 'test'):
        part = manifest.where(split=split)
        measure = categorical_measure(part.labels(), model.predict(hashed(part)), classes)
        constant = categorical_measure(part.labels(), most_frequent(labels, len(part)), classes)
        counts = {'train': len(train), 'n': len(part)}
        rows.append(Row(f'meld {split}', 'LogisticRegression', measure, constant, part.groups(), 'weighted_f1', counts))
    return rows


def iemocap_rows(manifest: Manifest, name: str) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """One session left out in turn: sessions, their mean, and all predictions pooled."""
    classes, vectors, labels = len(manifest.facts.categories), hashed(manifest), manifest.labels()
    folds = np.array([row.fold for row in manifest.samples])
    prediction, constant, each = np.zeros_like(labels), np.zeros_like(labels), []
    sessions = {}
    for fold in range(1, 6):
        tested = folds == fold
        prediction[tested] = classifier().fit(vectors[~tested], labels[~tested]).predict(vectors[tested])
        constant[tested] = most_frequent(labels[~tested], int(tested.sum()))
        scores = categorical_measure(labels[tested], prediction[tested], classes).scores()
        sessions[f'{name} session {fold}'] = scores
        each.append(scores)
    sessions[f'{name} mean of sessions'] = {key: float(np.mean([scores[key] for scores in each])) for key in each[0]}
    row = Row(
        f'{name} pooled', 'LogisticRegression, session left out',
        categorical_measure(labels, prediction, classes), categorical_measure(labels, constant, classes),
        manifest.groups(), 'weighted_f1', {'n': len(manifest)},
    )  # fmt: skip
    return [row], sessions


def mer2023_rows(manifest: Manifest) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Logistic regression for the category and Ridge for valence on all of train; the third test has no valence."""
    train, classes = manifest.where(split='train'), len(manifest.facts.categories)
    vectors, labels, valence = hashed(train), train.labels(), train.column('valence')
    emotions, values = classifier().fit(vectors, labels), regressor().fit(vectors, valence)
    rows, extra = [], {}
    for split in ('test1', 'test2', 'test3'):
        part = manifest.where(split=split)
        text_vectors = hashed(part)
        answers, rated = emotions.predict(text_vectors), values.predict(hashed_texts)
        constant, middle = most_frequent(labels, len(part)), np.full(len(part), valence.mean())
        if split == 'test3':
            measure = categorical_measure(part.labels(), answers, classes)
            beside = categorical_measure(part.labels(), constant, classes)
            placed = np.full(len(part), NO_VALENCE)
            extra['mer2023 test3 against -10'] = challenge_measure(
                part.labels(), answers, placed, rated, classes
            ).scores()
        else:
            measure = challenge_measure(part.labels(), answers, part.column('valence'), rated, classes)
            beside = challenge_measure(part.labels(), constant, part.column('valence'), middle, classes)
        counts = {'train': len(train), 'n': len(part)}
        headline = 'weighted_f1' if split == 'test3' else 'combined'
        model = 'LogisticRegression and Ridge(1.0)'
        rows.append(Row(f'mer2023 {split}', model, measure, beside, part.groups(), headline, counts))
    return rows, extra


def digits(stated: float, scores: Mapping[str, float], key: str) -> dict[str, float | bool]:
    """Whether a score equals a stated one to its digits."""
    places = 4 if round(stated, 4) == stated else 6
    value = scores[key]
    return {'stated': stated, 'found': round(value, 8), 'met': abs(round(value, places) - stated) < 0.5 * 10**-places}


def spread(interval: Any) -> list[float]:
    return [round(float(number), 6) for number in (interval.value, interval.low, interval.high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'merbench_parity.json')
    options = parser.parse_args()
    begun = time.process_time()
    rng = np.random.default_rng(20240103)
    folder = options.data / 'merbench'
    names = ('mosi', 'sims', 'simsv2', 'meld', 'iemocap4', 'iemocap6', 'mer2023')
    corpora = {name: import_corpus(name, folder) for name in names}

    rows: list[Row] = []
    plain: dict[str, dict[str, float]] = {}
    for name in ('mosi', 'sims', 'simsv2'):
        rows += sentiment_rows(corpora[name], name)
    rows += meld_rows(corpora['meld'])
    for name in ('iemocap4', 'iemocap6'):
        pooled, sessions = iemocap_rows(corpora[name], name)
        rows, plain = rows + pooled, plain | sessions
    challenge, extra = mer2023_rows(corpora['mer2023'])
    rows, plain = rows + challenge, plain | extra

    rows_by_name: dict[str, Any] = {}
    tests = {row.name: compare(row.measure, row.constant, rng=rng, groups=row.groups, resamples=RESAMPLES)[row.headline]
             for row in rows}  # fmt: skip
    corrected = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    for row in rows:
        intervals = measure_intervals(row.measure, rng=rng, groups=row.groups, resamples=RESAMPLES)
        beside = measure_intervals(row.constant, rng=rng, groups=row.groups, resamples=RESAMPLES)
        plain[row.name] = row.measure.scores()
        if 'constant' in row.facts:
            plain[f'{row.name}, constant'] = row.constant.scores() | {'constant': row.facts['constant']}
        rows_by_name[row.name] = {
            'model': row.model,
            **row.facts,
            'groups': len(set(row.groups)),
            'headline': row.headline,
            'scores': {key: spread(interval) for key, interval in intervals.items()},
            'constant': {row.headline: spread(beside[row.headline])},
            'gain': {
                'difference': spread(tests[row.name].difference),
                'p': tests[row.name].p,
                'p_holm': corrected[row.name],
            },
        }
    parity = {
        name: {key: digits(stated, plain[name], key) for key, stated in scores.items()}
        for name, scores in STATED.items()
    }
    missed = [f'{name} {key}' for name, scores in parity.items() for key, figure in scores.items() if not figure['met']]
    count = sum(len(scores) for scores in parity.values())
    result = {
        'features': 'hash512 of the text in the language of the corpus',
        'scikit_learn': sklearn.__version__,
        'resamples': RESAMPLES,
        'cpu_s': round(time.process_time() - begun, 1),
        'stated': count,
        'met': count - len(missed),
        'missed': missed,
        'sources': {name: dict(manifest.facts.sources) for name, manifest in corpora.items()},
        'rows': rows_by_name,
        'parity': parity,
    }
    options.out.write_bytes(json_file(result))
    print(f'{count - len(missed)} of {count} stated figures met', missed)
    for name, row_figures in rows_by_name.items():
        value, low, high = row_figures['scores'][row_figures['headline']]
        beside = row_figures['constant'][row_figures['headline']][0]
        print(f'{name:14} {row_figures["headline"]:22} {value:8.4f} [{low:.4f} {high:.4f}] constant {beside:8.4f} '
              f'p {row_figures["gain"]["p_holm"]:.4f}')  # fmt: skip


if __name__ == '__main__':
    main()
