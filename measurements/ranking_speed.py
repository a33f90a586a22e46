"""Speed and memory of fitting and resampling, beside evalica and choix in the same run.

    python measurements/ranking_speed.py [--out FILE]

Each measurement is a process of its own with one thread, so that peaks of memory are its own; times are of the job
alone, imports and made-up data left out. Ratios are of CPU seconds, which other work on the machine hardly touches;
wall seconds and the load are recorded beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parent / 'results' / 'ranking_speed.json'
ONE_THREAD = {'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1', 'RAYON_NUM_THREADS': '1'}
PEER_RESAMPLES = 50
"""A peer's thousand resamples would take a minute or more: it makes fifty, and its time per resample counts."""


class Clock:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, name: str) -> dict[str, float]:
        """Both, under that name."""
        return {
            f'{name}_cpu_s': round(time.process_time() - self._cpu, 5),
            f'{name}_wall_s': round(time.perf_counter() - self._wall, 5),
        }


def made_up(items: int, comparisons: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left, right and outcome (1, -1, 0), a tenth of them ties."""
    rng = np.random.default_rng(20240417)
    strengths = rng.normal(size=items)
    left = rng.integers(0, items, comparisons)
    right = (left + rng.integers(1, items, comparisons)) % items
    chance = 1.0 / (1.0 + np.exp(strengths[right] - strengths[left]))
    outcome = np.where(rng.random(comparisons) < chance, 1, -1)
    return left, right, np.where(rng.random(comparisons) < 0.1, 0, outcome)


def ours(items: int, comparisons: int, resamples: int, ties: str = 'half') -> dict[str, float]:
    """Counting and fitting; resampling."""
    from affekt.ranking import Comparisons, bootstrap, count, fit

    left, right, outcome = made_up(items, comparisons)
    ones = np.ones(comparisons, np.int64)
    names = tuple(f'{item:05d}' for item in range(items))
    votes = Comparisons(names, left, right, outcome, ones.astype(float), ones)
    clock = Clock()
    fitted = fit(count(votes), ties=ties)
    fitting = clock.read('fit')
    clock = Clock()
    draws = bootstrap(fitted, votes, rng=np.random.default_rng(0), resamples=resamples)
    resampling = clock.read('bootstrap')
    assert not draws.unbounded
    return {**fitting, **resampling, 'strength_of_first': float(fitted.strengths[0])}


def _evalica_columns(items: int, comparisons: int) -> tuple[list[str], list[str], list[object]]:
    from evalica import Winner

    left, right, outcome = made_up(items, comparisons)
    words = {1: Winner.X, -1: Winner.Y, 0: Winner.Draw}
    return [f'{x:05d}' for x in left], [f'{x:05d}' for x in right], [words[x] for x in outcome.tolist()]


def ours_from_names(items: int, comparisons: int, resamples: int) -> dict[str, float]:
    """From names and words, as a peer takes them: checked, coded, counted, fitted."""
    from affekt.ranking import Comparisons, count, fit

    left, right, outcome = made_up(items, comparisons)
    words = {1: 'left', -1: 'right', 0: 'tie'}
    columns = [f'{x:05d}' for x in left], [f'{x:05d}' for x in right], [words[x] for x in outcome.tolist()]
    clock = Clock()
    fit(count(Comparisons.of(*columns)))
    return clock.read('fit')


def evalica_fit(items: int, comparisons: int, resamples: int) -> dict[str, float]:
    """evalica's Rust solver, until it is as exact as ours."""
    import evalica

    columns = _evalica_columns(items, comparisons)
    clock = Clock()
    result = evalica.bradley_terry(*columns, tolerance=1e-9, limit=10_000)
    taken = clock.read('fit')
    logs = np.log(result.scores.sort_index().to_numpy())
    return {**taken, 'strength_of_first': float((logs - logs.mean())[0])}


def evalica_bootstrap(items: int, comparisons: int, resamples: int) -> dict[str, float]:
    """evalica's percentile bootstrap with its own tolerance."""
    import evalica

    columns = _evalica_columns(items, comparisons)
    clock = Clock()
    evalica.bootstrap(
        evalica.bradley_terry, *columns, n_resamples=resamples, bootstrap_method='percentile', random_state=0
    )
    return clock.read('bootstrap')


def choix_fit(items: int, comparisons: int, resamples: int) -> dict[str, float]:
    """choix's I-LSR on the same wins; ties, which it does not know, are left out."""
    import choix

    left, right, outcome = made_up(items, comparisons)
    winner, loser = np.where(outcome > 0, left, right), np.where(outcome > 0, right, left)
    pairs = np.stack([winner, loser], axis=1)[outcome != 0].tolist()
    clock = Clock()
    choix.ilsr_pairwise(items, pairs)
    return clock.read('fit')


JOBS: dict[str, Callable[..., dict[str, float]]] = {
    'ours': ours,
    'ours_from_names': ours_from_names,
    'evalica_fit': evalica_fit,
    'evalica_bootstrap': evalica_bootstrap,
    'choix_fit': choix_fit,
}


def measured(job: str, *numbers: object) -> dict[str, float]:
    """One job in a process of its own."""
    words = [sys.executable, __file__, '--job', job, *map(str, numbers)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=RESULTS)
    parser.add_argument('--job', nargs='+')
    options = parser.parse_args()
    if options.job:
        warnings.simplefilter('ignore')
        name, *numbers = options.job
        result = JOBS[name](*(int(number) if number.isdigit() else number for number in numbers))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, 'peak_mb': peak}))
        return
    large = [measured('ours', 100, 1_000_000, 1000) for _ in range(5)]
    middle = sorted(large, key=lambda each: each['fit_cpu_s'] + each['bootstrap_cpu_s'])[2]
    ties = {name: measured('ours', 100, 1_000_000, 1000, name) for name in ('davidson', 'rao-kupper')}
    from_names = measured('ours_from_names', 100, 1_000_000, 0)
    peer_fit, other_fit = measured('evalica_fit', 100, 1_000_000, 0), measured('choix_fit', 100, 1_000_000, 0)
    smaller = measured('ours', 20, 100_000, 1000)
    peer = measured('evalica_bootstrap', 20, 100_000, PEER_RESAMPLES)
    per_resample = peer['bootstrap_cpu_s'] / PEER_RESAMPLES
    report = {
        'versions': {'numpy': np.__version__, 'evalica': version('evalica'), 'choix': version('choix')},
        'load_average': os.getloadavg()[0],
        'million': {
            'ours_median_of_five': middle,
            'ours_slowest': {key: max(each[key] for each in large) for key in middle if key != 'strength_of_first'},
            'ours_fastest': {key: min(each[key] for each in large) for key in middle if key != 'strength_of_first'},
            'ours_with_tie_models': ties,
            'ours_from_names': from_names,
            'evalica': peer_fit,
            'choix': other_fit,
            'evalica_over_ours': peer_fit['fit_cpu_s'] / middle['fit_cpu_s'],
            'evalica_over_ours_from_names': peer_fit['fit_cpu_s'] / from_names['fit_cpu_s'],
            'choix_over_ours': other_fit['fit_cpu_s'] / middle['fit_cpu_s'],
            'difference_to_evalica': abs(peer_fit['strength_of_first'] - middle['strength_of_first']),
        },
        'hundred_thousand': {
            'items': 20,
            'ours_1000_resamples': smaller,
            'evalica_resamples': PEER_RESAMPLES,
            'evalica': peer,
            'evalica_over_ours_per_resample': per_resample / (smaller['bootstrap_cpu_s'] / 1000),
        },
    }
    options.out.write_text(json.dumps(report, indent=1) + '\n')
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
