"""Simulated verdicts from known strengths, and the number that a strategy needs to recover the strengths.

Axes: K items, N comparisons, T fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import kendall
from affekt.ranking.bradley_terry import fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import count
from affekt.ranking.schedule import AIMS, next_pairs
from affekt.ranking.ties import tie_model

RANDOM = 'random'
STRATEGIES = (RANDOM, *AIMS)
"""Ways to choose the next pairs: at random, or by an aim of `next_pairs`."""


def item_names(number: int) -> tuple[str, ...]:
    """Names whose alphabetical order is their numerical order.

    >>> item_names(3)
    ('item 0', 'item 1', 'item 2')
    """
    width = len(str(max(number - 1, 0)))
    return tuple(f'item {item:0{width}d}' for item in range(number))


def random_pairs(items: int, number: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Two (N,) arrays of different items, every ordered pair equally likely."""
    left = rng.integers(0, items, number)
    return left, (left + rng.integers(1, items, number)) % items


def simulate(
    strengths: npt.ArrayLike,
    left: Ints,
    right: Ints,
    rng: np.random.Generator,
    *,
    ties: str = 'half',
    tau: float = 0.0,
    advantage: npt.ArrayLike = 0.0,
    sample: Ints | None = None,
    rater: Ints | None = None,
) -> Comparisons:
    """Simulated verdicts on given pairs.

    Args:
        strengths: (K,) log-odds.
        left, right: (N,) indices of the items.
        rng: generator of the verdicts.
        ties: tie model that gives the probabilities; under 'half' nothing ties.
        tau: the tie parameter.
        advantage: (N,) or scalar additional log-odds of the left side.
        sample, rater: (N,) indices, passed on.

    Raises:
        ShapeError: strengths are not (K,).
        UnknownNameError: unknown tie model.
    """
    true = np.asarray(strengths, np.float64)
    if true.ndim != 1:
        raise ShapeError(expected='strengths of shape (K,)', came=f'shape {true.shape}', todo='give one per item')
    eta = (true[left] - true[right] + np.asarray(advantage))[None]
    probabilities = tie_model(ties).chances(eta, np.full((1, 1), tau))[:, 0]
    uniform = rng.random(len(left))
    outcome = np.where(uniform < probabilities[0], 1, np.where(uniform < probabilities[0] + probabilities[1], -1, 0))
    names = item_names(len(true))
    return Comparisons.of(
        [names[item] for item in left],
        [names[item] for item in right],
        outcome.tolist(),
        items=names,
        sample=None if sample is None else sample.tolist(),
        rater=None if rater is None else rater.tolist(),
    )


@dataclass(frozen=True)
class Recovery:
    """Agreement of a ranking with the truth after growing numbers of verdicts."""

    comparisons: Ints
    """(T,) number of verdicts so far."""
    tau: Floats
    """(T,) Kendall's tau-b between fitted and true strengths."""

    def cost(self, target: float) -> float:
        """Number of verdicts from which tau stays at or above `target`; infinity where it does not."""
        below = np.flatnonzero(~(self.tau >= target))
        start = int(below[-1]) + 1 if len(below) else 0
        return float(self.comparisons[start]) if start < len(self.tau) else float('inf')


def recover(
    strengths: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    strategy: str = 'order',
    budget: int = 500,
    batch: int = 5,
    prior: float = 1.0,
) -> Recovery:
    """Agreement with the truth of a ranking whose pairs are chosen and simulated batch by batch.

    Args:
        strengths: (K,) true log-odds.
        rng: generator of pairs, sides and verdicts.
        strategy: 'random', or an aim of `next_pairs`. Before the first fit every item is compared once, at random.
        budget: number of verdicts in all.
        batch: number of verdicts between two fits.
        prior: standard deviation of the prior of the fits, in log-odds.

    Raises:
        UnknownNameError: unknown strategy.
        ValueRangeError: batch or budget is below 1.
    """
    if strategy not in STRATEGIES:
        raise UnknownNameError(
            expected=f'a strategy among {", ".join(STRATEGIES)}', came=repr(strategy), todo='choose one of these'
        )
    if batch < 1 or budget < 1:
        raise ValueRangeError(
            expected='a batch and a budget of 1 or more',
            came=f'{batch} and {budget}',
            todo='give for example 5 and 500',
        )
    true = np.asarray(strengths, np.float64)
    order = rng.permutation(len(true))
    left, right = [order.astype(np.int64)], [np.roll(order, 1).astype(np.int64)]
    outcome = [simulate(true, left[0], right[0], rng).outcome]
    names = item_names(len(true))
    numbers, tau = [], []
    while True:
        so_far = [np.concatenate(parts) for parts in (left, right, outcome)]
        fitted = fit(count(_comparisons(names, *so_far)), prior=prior)
        numbers.append(len(so_far[0]))
        tau.append(kendall(fitted.strengths, true) if np.ptp(fitted.strengths) > 0.0 else 0.0)
        if numbers[-1] >= budget:
            return Recovery(np.asarray(numbers), np.asarray(tau))
        pairs = random_pairs(len(true), batch, rng)
        if strategy != RANDOM:
            pairs = _indices(
                names, [(pair.left, pair.right) for pair in next_pairs(fitted, aim=strategy, number=batch)]
            )
        left.append(pairs[0])
        right.append(pairs[1])
        outcome.append(simulate(true, *pairs, rng).outcome)


def _indices(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[Ints, Ints]:
    index_of = {name: index for index, name in enumerate(names)}
    indices = np.asarray([[index_of[left], index_of[right]] for left, right in pairs], np.int64)
    return indices[:, 0], indices[:, 1]


def _comparisons(names: tuple[str, ...], left: Ints, right: Ints, outcome: Ints) -> Comparisons:
    return Comparisons(names, left, right, outcome, np.ones(len(left)), np.ones(len(left), np.int64))
