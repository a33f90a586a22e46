"""Figures that an independent script printed from the released labels and transcripts, met to their last digit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from affekt.corpora import import_corpus
from affekt.features import Store, extract
from affekt.metrics import sentiment_report

RESULTS = Path(__file__).resolve().parents[2] / 'measurements' / 'results'


@pytest.mark.parametrize(
    ('name', 'split', 'f1', 'accuracy', 'mae', 'pearson', 'concordance'),
    [
        ('mosi', 'val', 0.610704, 0.615741, 1.302796, 0.314341, 0.236781),
        ('mosi', 'test', 0.603062, 0.603659, 1.330117, 0.324646, 0.232628),
        ('sims', 'test', 0.635313, 0.646907, 0.566869, 0.275592, 0.223441),
    ],
)
def test_ridge_on_hashed_words_meets_the_stated_figures(
    shared_data, tmp_path, name, split, f1, accuracy, mae, pearson, concordance
):
    from sklearn.linear_model import Ridge  # takes seconds, in each process that collects tests

    manifest = import_corpus(name, shared_data / 'merbench')
    store = Store(extract(manifest, 'hash512', tmp_path).path)
    train, part = manifest.where(split='train'), manifest.where(split=split)
    vectors = [store.matrix(side.names).astype(np.float64) for side in (train, part)]
    model = Ridge(alpha=1.0, solver='cholesky').fit(vectors[0], train.column('sentiment'))
    report = sentiment_report(part.column('sentiment'), model.predict(vectors[1]))
    found = (report.f1_negative_positive, report.accuracy_negative_positive, report.mae, report.pearson)
    assert found == pytest.approx((f1, accuracy, mae, pearson), abs=5e-7)
    assert report.concordance == pytest.approx(concordance, abs=5e-7)


def test_every_stated_figure_of_the_benchmark_was_met():
    told = json.loads((RESULTS / 'merbench_parity.json').read_text())
    assert told['missed'] == []
    assert told['met'] == told['stated'] == 75


def test_the_page_says_what_the_results_say():
    told = json.loads((RESULTS / 'real_features.json').read_text())
    page = (RESULTS.parents[1] / 'docs' / 'corpora.md').read_text()
    for held in told.values():
        for name, scores in held['scores'].items():
            value, low, high = (100 * number for number in scores[held['headline']])
            assert (f'{value:.1f} |' if name == 'constant' else f'{value:.1f} [{low:.1f}, {high:.1f}]') in page
