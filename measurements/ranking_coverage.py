"""How often intervals and places hold the truth, thin data included.

    python measurements/ranking_coverage.py [--repeats N] [--out FILE]

Each scenario draws verdicts from known strengths again and again, ranks them, and counts how often 95 % intervals of
strengths, differences and effects hold the truth, and how often the places of all items do at once. Where ties count as
half, or where samples or raters differ, the truth is what a very large number of such verdicts gives. Data without
finite strengths is refused, and left out of the shares.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from affekt.errors import UnrankableError
from affekt.ranking import (
    Comparisons,
    bootstrap,
    count,
    effect_contrasts,
    fit,
    intervals,
    pair_contrasts,
    percentile_intervals,
    places,
    simulate,
    spread,
    strength_contrasts,
)
from affekt.typed_json import json_file

RESULTS = Path(__file__).resolve().parent / 'results' / 'ranking_coverage.json'
LARGE = 400_000
"""Verdicts that define the truth where it has no formula."""


@dataclass(frozen=True)
class Scenario:
    """A population of verdicts, and how they are ranked."""

    name: str
    comparisons: int
    items: int = 8
    reach: float = 1.5
    """Strengths are evenly spaced from minus this to this."""
    drawn_ties: str = 'half'
    tau: float = 0.0
    ties: str = 'half'
    samples: int = 0
    raters: int = 0
    differing: float = 0.0
    """Standard deviation of each item's strength between samples, and between raters."""
    first: float = 0.0
    """Advantage of the side shown first."""
    order: bool = False
    cluster: tuple[str, ...] = ()
    prior: float | None = None
    """With one, strengths are drawn from it anew for each repeat, and nothing is refused."""
    given: tuple[float, ...] = ()

    def strengths(self) -> np.ndarray:
        """(K,) evenly spaced, or as drawn."""
        return np.asarray(self.given) if self.given else np.linspace(-self.reach, self.reach, self.items)

    def draw(self, rng: np.random.Generator, comparisons: int, samples: int, raters: int) -> Comparisons:
        """Verdicts on random pairs, in random samples, by random raters."""
        left = rng.integers(0, self.items, comparisons)
        right = (left + rng.integers(1, self.items, comparisons)) % self.items
        advantage = np.full(comparisons, self.first)
        labels: dict[str, np.ndarray] = {}
        for name, number in (('sample', samples), ('rater', raters)):
            if number:
                labels[name] = rng.integers(0, number, comparisons)
                own = rng.normal(0.0, self.differing, (number, self.items))
                advantage = advantage + own[labels[name], left] - own[labels[name], right]
        return simulate(
            self.strengths(), left, right, rng, ties=self.drawn_ties, tau=self.tau, advantage=advantage, **labels
        )

    def truth(self) -> np.ndarray:
        """(D,) strengths and effects that a very large number of verdicts gives, or the drawn ones where they must."""
        exact = not self.differing and (self.drawn_ties == self.ties or self.drawn_ties == 'half')
        if exact:
            return np.concatenate([self.strengths(), [self.first] * self.order])
        many = self.draw(np.random.default_rng(0), LARGE, LARGE * bool(self.samples), LARGE * bool(self.raters))
        fitted = fit(count(many, order=self.order), ties=self.ties)
        return fitted.parameters[: fitted.likelihood.slopes]


SCENARIOS = [
    Scenario('60 comparisons', 60),
    Scenario('90 comparisons', 90),
    Scenario('120 comparisons', 120),
    Scenario('300 comparisons', 300),
    Scenario('4 items, 30 comparisons', 30, items=4),
    Scenario('20 items, 200 comparisons', 200, items=20),
    Scenario('equal strengths, 60 comparisons', 60, reach=0.0),
    Scenario('60, 30 % ties as half', 60, drawn_ties='davidson', tau=-0.2),
    Scenario('120, 30 % ties as half', 120, drawn_ties='davidson', tau=-0.2),
    Scenario('60, 30 % ties, Davidson', 60, drawn_ties='davidson', tau=-0.2, ties='davidson'),
    Scenario('120, 30 % ties, Davidson', 120, drawn_ties='davidson', tau=-0.2, ties='davidson'),
    Scenario('60, 30 % ties, Rao–Kupper', 60, drawn_ties='rao-kupper', tau=0.7, ties='rao-kupper'),
    Scenario('120, 30 % ties, Rao–Kupper', 120, drawn_ties='rao-kupper', tau=0.7, ties='rao-kupper'),
    Scenario('120, order effect', 120, first=0.5, order=True),
    Scenario('40, strengths from the prior', 40, prior=1.0),
    Scenario('120 in 30 samples that differ', 120, samples=30, differing=1.0, cluster=('sample',)),
    Scenario('300 in 30 samples that differ', 300, samples=30, differing=1.0, cluster=('sample',)),
    Scenario('300 in 12 samples that differ', 300, samples=12, differing=1.0, cluster=('sample',)),
    Scenario('300 by 15 raters that differ', 300, raters=15, differing=1.0, cluster=('rater',)),
    Scenario('600 in 30 samples by 20 raters', 600, samples=30, raters=20, differing=0.7, cluster=('sample', 'rater')),
    Scenario('the same 600, clusters ignored', 600, samples=30, raters=20, differing=0.7),
]


def run(scenario: Scenario, repeats: int, resamples: int) -> dict[str, object]:
    """Coverage of every kind of interval in one scenario."""
    rng, truth = np.random.default_rng(20240417), scenario.truth()
    strength = truth[: scenario.items]
    first, second = np.triu_indices(scenario.items, 1)
    inside: dict[str, list[tuple[float, ...]]] = {'profile': [], 'sandwich': [], 'bootstrap': []}
    all_places, apart, refused, finite = [], [], 0, []
    for repeat in range(repeats):
        if scenario.prior is not None:
            own = rng.normal(0.0, scenario.prior, scenario.items)
            scenario = replace(scenario, given=tuple(own - own.mean()))
            truth = strength = scenario.strengths()
        drawn = scenario.draw(rng, scenario.comparisons, scenario.samples, scenario.raters)
        try:
            fitted = fit(count(drawn, order=scenario.order), ties=scenario.ties, prior=scenario.prior)
        except UnrankableError:
            refused += 1
            continue
        around = spread(fitted, drawn, scenario.cluster)
        parts = [strength_contrasts(fitted), pair_contrasts(fitted, first, second), effect_contrasts(fitted)]
        true = [part[:, : len(truth)] @ truth for part in parts]
        for method in ('profile', 'sandwich'):
            bounds = [intervals(fitted, around, part, method=method) for part in parts]
            inside[method].append(_shares(bounds, true))
        if resamples and repeat % 4 == 0 and len(scenario.cluster) < 2:
            draws = bootstrap(
                fitted, drawn, rng=rng, resamples=resamples, cluster=scenario.cluster[0] if scenario.cluster else None
            )
            bounds = [percentile_intervals(fitted, draws, part) for part in parts]
            if np.isfinite(bounds[0].low).all():
                inside['bootstrap'].append(_shares(bounds, true))
            finite.append(float(np.isfinite(bounds[0].low).all()))
        ranks = places(fitted, around, rng=rng)
        # Items of equal true strength must not be told apart, others not the wrong way round.
        wrong = ranks.beats & (strength[:, None] <= strength[None, :] + 1e-9)
        all_places.append(float(not wrong.any()))
        apart.append(float(ranks.beats[first, second].mean() + ranks.beats[second, first].mean()))
    return {
        'scenario': scenario.name,
        'repeats': repeats,
        'refused': refused,
        **{f'{method}': _summary(np.asarray(rows)) for method, rows in inside.items() if rows},
        'bootstraps_with_finite_bounds': float(np.mean(finite)) if finite else None,
        'places_all_right': float(np.mean(all_places)),
        'pairs_told_apart': float(np.mean(apart)),
    }


def _shares(bounds: list, true: list) -> tuple[float, ...]:
    inside = [(bound.low <= value) & (value <= bound.high) for bound, value in zip(bounds, true, strict=True)]
    return (
        float(inside[0].mean()),
        float(inside[1].mean()),
        float(inside[2].mean()) if len(inside[2]) else float('nan'),
        float(np.mean(bounds[0].high - bounds[0].low)),
    )


def _summary(rows: np.ndarray) -> dict[str, float | None]:
    error = rows.std(axis=0) / np.sqrt(len(rows))
    return {
        'strengths': round(float(rows[:, 0].mean()), 4),
        'strengths_error': round(float(error[0]), 4),
        'differences': round(float(rows[:, 1].mean()), 4),
        'effects': None if np.isnan(rows[0, 2]) else round(float(rows[:, 2].mean()), 4),
        'mean_width': round(float(rows[:, 3].mean()), 3),
        'runs': len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=1000)
    parser.add_argument('--resamples', type=int, default=400)
    parser.add_argument('--only', default='')
    parser.add_argument('--out', type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for scenario in SCENARIOS:
        if options.only in scenario.name:
            begun = time.monotonic()
            rows.append(run(scenario, options.repeats, options.resamples))
            print(f'{time.monotonic() - begun:.0f} s', json.dumps(rows[-1]), flush=True)
    if not options.only:
        options.out.write_bytes(json_file({'level': 0.95, 'scenarios': rows}))


if __name__ == '__main__':
    main()
