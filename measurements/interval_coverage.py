"""How often 95 % intervals over groups hold the truth, for 5 to 50 groups: Student's t beside percentiles.

    python measurements/interval_coverage.py [--draws 4000] [--only scenarios|held_back]

Every scenario draws groups (speakers) from a population whose score is known, computes the score and its interval as
`affekt.metrics.resampling.intervals` does (`student`), and counts how often the population's score lies within. Beside
it stand the percentiles of resamples, of the first quarter of the data sets. The rule was chosen among bootstrap,
jackknife and linearised errors, degrees of freedom, and logit, Wilson's and arcsine scales while looking at the first
scenarios; those held back have other populations, sizes, numbers of groups and another seed, were written down before
any of them was measured, and are reported apart.

Of 4,000 data sets a coverage is known to within 0.7 points (two standard errors), so each stands with its own 95 %
interval (Wilson's); where that meets 94 to 96 %, the coverage is not told from what it should be (`is_met`). Writes
measurements/results/interval_coverage.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from affekt.metrics import Measure, categorical_measure, dimensional_measure
from affekt.metrics.group_sizes import added_by
from affekt.metrics.intervals import spread_of, student_interval
from affekt.metrics.resampling import WEIGHT_STEP, resampled_sums, summed_by
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file

GROUPS = (5, 10, 24, 50)
MORE_GROUPS = (5, 7, 10, 16, 24, 50)
"""Of the scenarios that were held back."""
RESAMPLES = 500
TOGETHER = 16
"""Data sets that are drawn and scored at a time."""
PERCENTILES_ARE_OF = 4
"""One in so many data sets, the first ones."""
RIGHT = (0.94, 0.96)
"""What coverage should be between."""
RESULT = Path(__file__).with_name('results') / 'interval_coverage.json'
Draw = Callable[[int, np.random.Generator], tuple[Measure, npt.NDArray[np.int64]]]
"""From a number of groups to one system's answers and the group of each sample."""


@dataclass(frozen=True)
class Scenario:
    """A population of speakers that answers are drawn from."""

    name: str
    draw: Draw
    scores: tuple[str, ...]


def sizes_of_groups(rng: np.random.Generator, groups: int, clips: int, unequal: float) -> npt.NDArray[np.int64]:
    """(groups,) clips of each speaker: half to one and a half times the average, or lognormal where that is unequal."""
    if not unequal:
        return rng.integers(clips // 2, clips * 3 // 2 + 1, groups)
    drawn = clips * np.exp(unequal * rng.normal(size=groups) - unequal**2 / 2)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)


def categories(accuracy: float, deviation: float, clips: int, classes: int = 6, unequal: float = 0.0) -> Draw:
    """Speakers whose clips are recognised with an accuracy that varies by speaker and class on the logit scale.

    Args:
        accuracy: of the middle speaker.
        deviation: standard deviation over speakers, and half of it over a speaker's classes.
        clips: per speaker on average.
        classes: of shares that rise from 1 to 3.
        unequal: standard deviation of the logarithm of a speaker's clips; 0 for half to one and a half times as many.
    """
    shares = np.linspace(1.0, 3.0, classes) / np.linspace(1.0, 3.0, classes).sum()

    def draw(groups: int, rng: np.random.Generator) -> tuple[Measure, npt.NDArray[np.int64]]:
        speaker = np.repeat(np.arange(groups), sizes_of_groups(rng, groups, clips, unequal))
        truth = rng.choice(classes, len(speaker), p=shares)
        ability = expit(
            logit(accuracy)
            + deviation * rng.normal(size=(groups, 1))
            + 0.5 * deviation * rng.normal(size=(groups, classes))
        )
        is_right = rng.random(len(truth)) < ability[speaker, truth]
        wrong = (truth + rng.integers(1, classes, len(truth))) % classes
        return categorical_measure(truth, np.where(is_right, truth, wrong), classes), speaker

    return draw


def ratings(noise: float, deviation: float, clips: int, unequal: float = 0.0) -> Draw:
    """Speakers whose valence is predicted with noise and with an offset of their own, in standard deviations of it."""

    def draw(groups: int, rng: np.random.Generator) -> tuple[Measure, npt.NDArray[np.int64]]:
        speaker = np.repeat(np.arange(groups), sizes_of_groups(rng, groups, clips, unequal))
        truth = rng.normal(size=len(speaker)) + 0.5 * rng.normal(size=groups)[speaker]
        offset = deviation * rng.normal(size=groups)[speaker]
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
    Scenario('six categories, speakers of unequal size', categories(0.8, 0.7, 40, unequal=1.0), CATEGORICAL),
    Scenario('four categories, accuracy about 0.73', categories(0.75, 0.6, 25, classes=4), CATEGORICAL),
    Scenario('seven categories, unequal speakers', categories(0.7, 0.4, 30, classes=7, unequal=0.8), CATEGORICAL),
    Scenario('three categories, accuracy about 0.95', categories(0.96, 0.6, 60, classes=3), CATEGORICAL),
    Scenario('arousal, unequal speakers', ratings(0.8, 0.35, 30, unequal=0.6), DIMENSIONAL),
)
HELD_BACK = (
    Scenario('five categories, accuracy about 0.78', categories(0.82, 0.8, 30, classes=5), CATEGORICAL),
    Scenario('two categories, accuracy about 0.9', categories(0.91, 0.5, 20, classes=2), CATEGORICAL),
    Scenario('six categories, accuracy about 0.97', categories(0.975, 0.4, 60), CATEGORICAL),
    Scenario('eight categories, unequal speakers', categories(0.65, 0.6, 50, classes=8, unequal=1.2), CATEGORICAL),
    Scenario('dominance, concordance about 0.75', ratings(0.7, 0.25, 35), DIMENSIONAL),
    Scenario('valence, unequal speakers', ratings(0.9, 0.3, 45, unequal=0.9), DIMENSIONAL),
)
SETS = {'scenarios': (SCENARIOS, GROUPS, 0), 'held_back': (HELD_BACK, MORE_GROUPS, 20261130)}
"""Scenarios, numbers of groups, and what is added to the seed."""


def population(scenario: Scenario, groups: int = 20_000) -> dict[str, float]:
    """The scores of very many speakers."""
    measure, _ = scenario.draw(groups, np.random.default_rng(2026))
    return {name: measure.scores()[name] for name in scenario.scores}


def coverage(
    scenario: Scenario, groups: int, draws: int, truth: Mapping[str, float], seed: int = 0
) -> list[dict[str, object]]:
    """How often both intervals hold the population's scores, and how wide they are on average."""
    rng = np.random.default_rng(groups + seed)
    counted = {(name, way): np.zeros(3) for name in scenario.scores for way in ('student', 'percentile')}
    for begin in range(0, draws, TOGETHER):
        drawn = Drawn(*scenario.draw(groups * min(TOGETHER, draws - begin), rng), groups)
        for number in range(drawn.count):
            for name in scenario.scores:
                low, high = drawn.interval(name, number, rng)
                counted[name, 'student'] += low <= truth[name] <= high, high - low, 1
            if begin + number < draws // PERCENTILES_ARE_OF:
                resampled = drawn.resampled(number, rng)
                for name in scenario.scores:
                    low, high = np.quantile(resampled[name], [0.025, 0.975])
                    counted[name, 'percentile'] += low <= truth[name] <= high, high - low, 1
    return [
        {
            'scenario': scenario.name, 'score': name, 'truth': truth[name], 'groups': groups, 'interval': way,
            'draws': int(size), 'coverage': hits / size, 'coverage_interval': (ends := _wilson(hits / size, size)),
            'is_met': bool(ends[0] <= RIGHT[1] and ends[1] >= RIGHT[0]), 'width': width / size,
        }
        for (name, way), (hits, width, size) in counted.items()
    ]  # fmt: skip


class Drawn:
    """Many data sets of one scenario, drawn as one and scored together; each has so many groups in a row."""

    def __init__(self, measure: Measure, speaker: npt.NDArray[np.int64], groups: int) -> None:
        self.measure, self.groups = measure, groups
        self.by_speaker = summed_by(measure.columns, speaker)
        self.count = len(self.by_speaker) // groups
        self.sizes = np.bincount(speaker).reshape(self.count, groups)
        self.ends = np.cumsum(self.sizes.sum(axis=1))
        totals = self.by_speaker.reshape(self.count, groups, -1).sum(axis=1)
        self.values = measure.statistic(totals)
        of_group, of_sample = np.repeat(np.arange(self.count), groups), speaker // groups
        without = measure.statistic(totals[of_group] - self.by_speaker)
        shares = (self.sizes / self.sizes.sum(axis=1, keepdims=True)).ravel()
        self.added = {
            name: added_by(derivatives, self.values[name][of_group] - without[name], shares)
            for name, derivatives in self._derivatives(totals[of_group], self.by_speaker).items()
        }
        of_samples = self._derivatives(totals[of_sample], measure.columns)
        self.variances = {
            name: np.bincount(of_sample, added**2, minlength=self.count) for name, added in of_samples.items()
        }

    def _derivatives(
        self, totals: npt.NDArray[np.float64], units: npt.NDArray[np.float64]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """(n,) what each unit adds to each score of its data set: as `influences_of`, of all data sets at once."""
        more = self.measure.statistic(totals + WEIGHT_STEP * units)
        less = self.measure.statistic(totals - WEIGHT_STEP * units)
        return {name: (more[name] - less[name]) / (2 * WEIGHT_STEP) for name in more}

    def interval(self, name: str, number: int, rng: np.random.Generator) -> tuple[float, float]:
        """A score's interval on one data set.

        Of resamples of groups, `spread_of` takes only whether all groups score alike: so the value with what the most
        and the least helpful group adds stands for them.
        """
        value = float(self.values[name][number])
        added = self.added[name].reshape(self.count, self.groups)[number]
        draws, known = spread_of(
            value + np.array([added.min(), added.max()]),
            self.sizes[number].tolist(),
            lambda count: self._of_samples(name, number, rng),
            lambda: float(self.variances[name][number]),
            added,
        )
        size, bounds = int(self.sizes[number].sum()), self.measure.bounds[name]
        interval = student_interval(value, draws, units=self.groups, samples=size, bounds=bounds, known=known)
        return interval.low, interval.high

    def _of_samples(self, name: str, number: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        rows = self.measure.columns[self.ends[number] - self.sizes[number].sum() : self.ends[number]]
        return self.measure.statistic(resampled_sums(rows, rng=rng, resamples=RESAMPLES))[name]

    def resampled(self, number: int, rng: np.random.Generator) -> Mapping[str, npt.NDArray[np.float64]]:
        """(R,) every score on resamples of groups of one data set."""
        own = self.by_speaker[number * self.groups : (number + 1) * self.groups]
        return self.measure.statistic(resampled_sums(own, rng=rng, resamples=RESAMPLES))


def _wilson(share: float, size: float) -> tuple[float, float]:
    """95 % interval of a share."""
    z = 1.959964
    middle, reach = share + z**2 / (2 * size), z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return float((middle - reach) / (1 + z**2 / size)), float((middle + reach) / (1 + z**2 / size))


def main() -> None:
    """Measure all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--draws', type=int, default=4000, help='data sets per scenario and number of groups')
    parser.add_argument('--only', choices=tuple(SETS), help='one of the two sets; the other keeps its figures')
    chosen = parser.parse_args()
    measured = {name: _rows(*SETS[name], chosen.draws) for name in ((chosen.only,) if chosen.only else SETS)}
    content = {'draws': chosen.draws, 'resamples': RESAMPLES, 'versions': versions()}
    if chosen.only and RESULT.exists():
        content |= {name: rows for name, rows in json.loads(RESULT.read_text()).items() if name in SETS}
    write_atomically(RESULT, json_file(content | measured))


def _rows(scenarios: Sequence[Scenario], numbers: Sequence[int], seed: int, draws: int) -> list[dict[str, object]]:
    rows = []
    for scenario in scenarios:
        truth = population(scenario)
        for groups in numbers:
            covered = coverage(scenario, groups, draws, truth, seed)
            rows += covered
            for row in covered:
                print(
                    f'{row["scenario"]:40} {row["score"]:18} {groups:3} {row["interval"]:10} {row["coverage"]:.3f}',
                    flush=True,
                )
    return rows


if __name__ == '__main__':
    main()
