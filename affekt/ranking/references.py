"""Reference measures beside the strengths: win rates and Elo.

A win rate depends on the opponents, and Elo on the order of the rows: neither is suited as the ranking.
"""

from __future__ import annotations

import numpy as np

from affekt.arrays import Floats
from affekt.errors import ValueRangeError
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import LEFT, RIGHT, TIE, Cells

FURTHEST_APART = 300.0
"""Largest difference of two items in powers of ten of the odds, beyond which floating point overflows."""


def tallies(cells: Cells) -> Floats:
    """(3, K) weighted wins, losses and ties of each item."""
    size = len(cells.items)

    def item_sums(of_left: Floats, of_right: Floats) -> Floats:
        sums = np.bincount(cells.left, of_left, minlength=size), np.bincount(cells.right, of_right, minlength=size)
        return np.asarray(sums[0] + sums[1], np.float64)

    left, right, tie = cells.counts[LEFT], cells.counts[RIGHT], cells.counts[TIE]
    return np.stack([item_sums(left, right), item_sums(right, left), item_sums(tie, tie)])


def win_rates(cells: Cells) -> Floats:
    """(K,) wins and half ties over comparisons; nan for an item never compared.

    >>> from affekt.ranking import Comparisons, count
    >>> win_rates(count(Comparisons.of(['a', 'a'], ['b', 'b'], ['left', 'tie'])))
    array([0.75, 0.25])
    """
    won, lost, tied = tallies(cells)
    played = won + lost + tied
    return np.where(played > 0.0, (won + 0.5 * tied) / np.where(played > 0.0, played, 1.0), np.nan)


def elo(comparisons: Comparisons, *, step: float = 4.0, start: float = 1000.0) -> Floats:
    """(K,) Elo ratings after all comparisons in the order of the rows.

    After each comparison both ratings move by step times the score (1, 1/2, 0) minus the expected score,
    1 / (1 + 10**((other - own) / 400)). A weight multiplies the step; rows that count for tens of thousands, as in
    tables of counts, drive the ratings so far apart that they lose their meaning: then all are nan.

    Args:
        comparisons: N comparisons.
        step: the K of chess; 4 as in arenas.
        start: initial rating, also that of an item never compared.

    Raises:
        ValueRangeError: the step is not a positive number.

    Source: Elo 1978.
    """
    if not (np.isfinite(step) and step > 0.0):
        raise ValueRangeError(expected='a step above 0', came=f'{step}', todo='give for example 4')
    rating = [start] * len(comparisons.items)
    columns = (comparisons.left, comparisons.right, 0.5 * (comparisons.outcome + 1), step * comparisons.weight)
    for left, right, score, weighted_step in zip(*(column.tolist() for column in columns), strict=True):
        gap = (rating[right] - rating[left]) / 400.0
        if not abs(gap) < FURTHEST_APART:
            return np.full(len(rating), np.nan)
        move = weighted_step * (score - 1.0 / (1.0 + 10.0**gap))
        rating[left] += move
        rating[right] -= move
    return np.asarray(rating)
