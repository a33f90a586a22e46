"""Views of pairs, weighted so that a shortcut is as often right as wrong.

If the longer text wins 80 % of the pairs, choosing the longer one scores 80 %. A balanced view weights the pairs so
that, among those of similar difference in length, the longer text wins as often as the shorter one; likewise for the
authors of the texts, combination by combination. The result is the mean over all balanced subsets, without drawing one:
the pairs of a cell of n whose mirror image has fewer, m, have weight m / n. Pairs that the shortcut does not decide
keep their weight. Ties are in no balanced view.

Axes: N pairs, G strata.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats, Ints
from affekt.errors import ComparisonError, UnknownNameError
from affekt.preference.pairs import Pairs
from affekt.ranking import text_lengths

LENGTH_BINS = 4
"""Number of quantile bins of pairs by their difference in length."""
SHORTCUTS = ('length', 'source')
"""Shortcuts for which a view can be balanced."""


@dataclass(frozen=True)
class Cells:
    """Cells of decided pairs that must have equal weights."""

    stratum: Ints
    """(N,) stratum within which both sides of a shortcut get equal weight; -1 for pairs outside the view."""
    favours: Ints
    """(N,) 1 where the shortcut's side won, -1 where it lost, 0 where it does not decide."""

    @property
    def number(self) -> Ints:
        """(N,) 3 * stratum + (0 lost, 1 undecided, 2 won), or -1."""
        return np.where(self.stratum < 0, -1, 3 * self.stratum + self.favours + 1)

    def weights(self) -> Floats:
        """(N,) weights in [0, 1]."""
        counts = np.bincount(self.number[self.stratum >= 0], minlength=3 * (int(self.stratum.max(initial=-1)) + 1))
        by_cell = cell_weights(counts.reshape(-1, 3).astype(np.float64)[None])[0].ravel()
        return np.where(self.stratum < 0, 0.0, by_cell[np.maximum(self.number, 0)] if len(by_cell) else 0.0)


def cell_weights(counts: Floats) -> Floats:
    """(R, G, 3) weights of a pair in each cell, from (R, G, 3) counts of pairs lost, undecided and won."""
    smaller = np.minimum(counts[..., 0], counts[..., 2])
    with np.errstate(invalid='ignore', divide='ignore'):
        weights = np.where(counts > 0.0, smaller[..., None] / counts, 0.0)
    weights[..., 1] = 1.0
    return weights


def cells(pairs: Pairs, by: Iterable[str]) -> Cells:
    """Cells of a view that is balanced for one shortcut, or for several together.

    For several, a pair's cell is the combination of all their outcomes, and its mirror image the opposite of all.

    Args:
        pairs: judged pairs.
        by: names among SHORTCUTS.

    Raises:
        UnknownNameError: unknown shortcut.
        ComparisonError: `source` is requested, and the pairs do not name the sources.
    """
    choices = [_choices(pairs, name) for name in by]
    truth = pairs.truth
    strata = np.stack([stratum for stratum, _ in choices], axis=1)
    sides = np.stack([side * truth for _, side in choices], axis=1)
    # A pattern such as (won, lost) is balanced against (lost, won): the first decided outcome determines the side.
    lead = np.zeros(len(pairs), np.int64)
    for column in sides.T:
        lead = np.where(lead == 0, column, lead)
    pattern = np.concatenate([strata, sides * lead[:, None]], axis=1)
    _, stratum = np.unique(pattern, axis=0, return_inverse=True)
    return Cells(np.where(truth == 0, -1, stratum.reshape(-1)), np.where(truth == 0, 0, lead))


def _choices(pairs: Pairs, name: str) -> tuple[Ints, Ints]:
    """(N,) stratum of each pair, and the side that the shortcut would choose."""
    if name == 'length':
        ratios = text_lengths(pairs.left, pairs.right)
        decided = np.abs(ratios[pairs.truth != 0])
        edges = np.quantile(decided, np.arange(1, LENGTH_BINS) / LENGTH_BINS) if len(decided) else np.zeros(0)
        return np.searchsorted(edges, np.abs(ratios)), np.sign(ratios).astype(np.int64)
    if name != 'source':
        raise UnknownNameError(
            expected=f'a shortcut among {", ".join(SHORTCUTS)}', came=repr(name), todo='name one of these'
        )
    if not pairs.left_source:
        raise ComparisonError(
            expected='pairs that say who wrote each text',
            came=f'{pairs.source} without',
            todo='add the columns model1, model2',
        )
    left_source, right_source = np.asarray(pairs.left_source), np.asarray(pairs.right_source)
    first = np.where(left_source < right_source, left_source, right_source)
    other = np.where(left_source < right_source, right_source, left_source)
    _, stratum = np.unique(np.stack([first, other], axis=1), axis=0, return_inverse=True)
    return stratum.reshape(-1).astype(np.int64), (left_source == first).astype(np.int64) - (right_source == first)
