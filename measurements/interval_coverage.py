"""How often 95 % intervals over groups hold the truth, for 5, 10, 24 and 50 groups: Student's t beside percentiles.

    python measurements/interval_coverage.py [--draws 4000]

Every scenario draws groups (speakers) from a population whose score is known, computes the score and its interval as
`affekt.metrics.resampling.intervals` does, and counts how often the population's score lies within. The percentiles of
the same resamples stand beside it. Writes measurements/results/interval_coverage.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from affekt.metrics import Measure, categorical_measure, dimensional_measure
from affekt.metrics.intervals import student_interval
from affekt.metrics.resampling import resampled_sums, summed_by
from affekt.runs import versions, write_atomically

GROUPS = (5, 10, 24, 50)
RESAMPLES = 500
RESULT = Path(__file__).with_name('results') / 'interval_coverage.json'
Floats = npt.NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], tuple[Measure, npt.NDArray[np.int64]]]
"""From a number of groups to one system's answers and the group of each sample."""


@dataclass(frozen=True)
class Scenario:
    """A population of speakers that answers are drawn from."""

    name: str
    draw: Draw
    scores: tuple[str, ...]


def categories(accuracy: float, spread: float, clips: int, classes: int = 6) -> Draw:
    """Speakers whose clips are recognised with an accuracy that varies by speaker and class on the logit scale.

    Args:
        accuracy: of the middle speaker.
        spread: standard deviation over speakers, and half of it over a speaker's classes.
        clips: per speaker on average; speakers have half to one and a half times as many.
        classes: of shares that rise from 1 to 3.
    """
    shares = np.linspace(1.0, 3.0, classes) / np.linspace(1.0, 3.0, classes).sum()

    def draw(groups: int, rng: np.random.Generator) -> tuple[Measure, npt.NDArray[np.int64]]:
        sizes = rng.integers(clips // 2, clips * 3 // 2 + 1, groups)
        speaker = np.repeat(np.arange(groups), sizes)
        truth = rng.choice(classes, len(speaker), p=shares)
        ability = expit(
            logit(accuracy) + spread * rng.normal(size=(groups, 1)) + 0.5 * spread * rng.normal(size=(groups, classes))
        )
        is_right = rng.random(len(truth)) < ability[speaker, truth]
        wrong = (truth + rng.integers(1, classes, len(truth))) % classes
        return categorical_measure(truth, np.where(is_right, truth, wrong), classes), speaker

    return draw


def ratings(noise: float, spread: float, clips: int) -> Draw:
    """Speakers whose valence is predicted with noise and with an offset of their own, in standard deviations of it."""

    def draw(groups: int, rng: np.random.Generator) -> tuple[Measure, npt.NDArray[np.int64]]:
        sizes = rng.integers(clips // 2, clips * 3 // 2 + 1, groups)
        speaker = np.repeat(np.arange(groups), sizes)
        truth = rng.normal(size=len(speaker)) + 0.5 * rng.normal(size=groups)[speaker]
        offset = spread * rng.normal(size=groups)[speaker]
        return dimensional_measure(truth, 0.8 * truth + noise * rng.normal(size=len(truth)) + offset), speaker

    return draw


CATEGORICAL = ('accuracy', 'weighted_f1', 'macro_f1', 'balanced_accuracy')
DIMENSIONAL = ('concordance', 'pearson', 'mae')
SCENARIOS = (
    Scenario('six categories, accuracy about 0.6', categories(0.6, 0.5, 40), CATEGORICAL),
    Scenario('six categories, accuracy about 0.87', categories(0.9, 0.7, 40), CATEGORICAL),
    Scenario('six categories, accuracy about 0.98', categories(0.985, 0.5, 40), CATEGORICAL),
    Scenario('valence, concordance about 0.85', ratings(0.5, 0.2, 40), DIMENSIONAL),
    Scenario('valence, concordance about 0.55', ratings(1.2, 0.5, 40), DIMENSIONAL),
)


def population(scenario: Scenario, groups: int = 20_000) -> dict[str, float]:
    """The scores of very many speakers."""
    measure, _ = scenario.draw(groups, np.random.default_rng(2026))
    return {name: measure.scores()[name] for name in scenario.scores}


def coverage(scenario: Scenario, groups: int, draws: int, truth: Mapping[str, float]) -> list[dict[str, object]]:
    """How often both intervals hold the population's scores, and how wide they are on average."""
    rng = np.random.default_rng(groups)
    kept = {(name, way): np.zeros(2) for name in scenario.scores for way in ('student', 'percentile')}
    for _ in range(draws):
        measure, speaker = scenario.draw(groups, rng)
        by_speaker = summed_by(measure.columns, speaker)
        drawn = measure.statistic(resampled_sums(by_speaker, rng=rng, resamples=RESAMPLES))
        values = measure.scores()
        for name in scenario.scores:
            found = student_interval(
                values[name], drawn[name], units=groups, samples=len(speaker), bounds=measure.bounds[name]
            )
            percentiles = np.quantile(drawn[name], [0.025, 0.975])
            for way, (low, high) in (('student', (found.low, found.high)), ('percentile', percentiles)):
                kept[name, way] += low <= truth[name] <= high, high - low
    return [
        {
            'scenario': scenario.name, 'score': name, 'truth': truth[name], 'groups': groups, 'interval': way,
            'coverage': counted[0] / draws, 'width': counted[1] / draws,
        }
        for (name, way), counted in kept.items()
    ]  # fmt: skip


def main() -> None:
    """Measure all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--draws', type=int, default=4000, help='data sets per scenario and number of groups')
    draws = parser.parse_args().draws
    rows = []
    for scenario in SCENARIOS:
        truth = population(scenario)
        for groups in GROUPS:
            found = coverage(scenario, groups, draws, truth)
            rows += found
            for row in found:
                print(f'{row["scenario"]:36} {row["score"]:18} {groups:3} {row["interval"]:10} {row["coverage"]:.3f}')
    content = {'draws': draws, 'resamples': RESAMPLES, 'versions': versions(), 'rows': rows}
    write_atomically(RESULT, json.dumps(content, indent=1).encode())


if __name__ == '__main__':
    main()
