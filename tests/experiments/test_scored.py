"""Scores over seeds as one measure."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.experiments import mean_over_seeds
from affekt.metrics import compare, dimensional_measure, measure_intervals


def test_the_mean_over_seeds_stays_within_the_bounds_of_the_score(rng):
    groups, truth = np.repeat(np.arange(4), 5), np.random.default_rng(0).normal(size=20)
    noise = np.random.default_rng(1).normal(size=(2, 20)) * (1 + groups)
    measures = [dimensional_measure(truth, truth + side) for side in noise]
    mean, same = mean_over_seeds(measures), mean_over_seeds(measures[:1] * 2)
    scores = [measure.scores()['pearson'] for measure in measures]
    assert mean.scores()['pearson'] == pytest.approx(np.mean(scores), abs=1e-12)
    plain, doubled = (
        measure_intervals(measure, rng=np.random.default_rng(0), groups=groups) for measure in (measures[0], same)
    )
    for name in ('pearson', 'concordance', 'mae', 'mse'):
        expected = pytest.approx([plain[name].low, plain[name].high], abs=1e-9)
        assert [doubled[name].low, doubled[name].high] == expected
    assert -1.0 <= doubled['pearson'].low < doubled['pearson'].high <= 1.0
    gain = compare(mean, same, rng=rng, resamples=50)['pearson'].difference
    assert -2.0 <= gain.low <= gain.high <= 2.0
