"""Comparisons counted by cell: a million comparisons become a few thousand counts, on which all fits work.

A cell is a pair of items with fixed values of the order and the covariates that the model uses. Sides are exchanged so
that the left item of a cell comes before the right one by name; a comparison and its mirror image are in one cell.

Axes: N comparisons, K items, C cells, E extra columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from affekt.arrays import Floats, Ints
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.covariates import controlled

LEFT, RIGHT, TIE = 0, 1, 2
"""Rows of the counts."""
ORDER = 'shown first'
"""Name of the order effect among the extra columns."""


@dataclass(frozen=True)
class Cells:
    """Counts of outcomes by pair of items and by extra columns."""

    items: tuple[str, ...]
    """Names of the K items, sorted."""
    left: Ints
    """(C,) index of the item that comes first by name."""
    right: Ints
    """(C,) index of the other item."""
    counts: Floats
    """(3, C) weighted left wins, right wins, ties."""
    extra: Floats
    """(C, E) order and covariates, left minus right."""
    extra_names: tuple[str, ...]
    cell_of: Ints
    """(N,) cell of each comparison."""
    outcome_of: Ints
    """(N,) row of `counts` that the comparison adds to: 0, 1 or 2."""

    @property
    def totals(self) -> Floats:
        """(C,) weighted comparisons."""
        return np.asarray(self.counts.sum(axis=0))

    def by_cluster(self, cluster: Ints, weight: Floats) -> tuple[Ints, sparse.csr_matrix]:
        """The G clusters that occur, sorted, and (G, 3 C) weighted counts of each, outcome by outcome."""
        clusters, group_of = np.unique(cluster, return_inverse=True)
        width = self.counts.shape[1]
        column_of = self.outcome_of * width + self.cell_of
        return clusters, sparse.csr_matrix((weight, (group_of, column_of)), shape=(len(clusters), 3 * width))


def count(comparisons: Comparisons, *, control: Sequence[str] = (), order: bool = False) -> Cells:
    """Counts of all cells, in one pass.

    Args:
        comparisons: N comparisons.
        control: covariates that distinguish cells; a category's name stands for all its levels.
        order: whether the side shown first distinguishes cells.

    Raises:
        UnknownNameError: unknown covariate.
    """
    control = controlled(comparisons, control)
    is_turned = comparisons.left > comparisons.right
    sign = np.where(is_turned, -1, 1)
    low = np.where(is_turned, comparisons.right, comparisons.left)
    high = np.where(is_turned, comparisons.left, comparisons.right)
    columns: list[npt.NDArray[np.generic]] = [comparisons.first * sign] if order else []
    columns += [comparisons.covariates[name] * sign for name in control]
    key, span = low * len(comparisons.items) + high, len(comparisons.items) ** 2
    for column in columns:
        _, code = np.unique(column, return_inverse=True)
        key, span = _shortened(key, span)
        key, span = key * (code.max() + 1) + code, span * int(code.max() + 1)
    cell_of, representative = _cells_of(key, span)
    outcome_of = np.where(comparisons.outcome == 0, TIE, np.where(comparisons.outcome * sign > 0, LEFT, RIGHT))
    size = len(representative)
    weights = comparisons.weight if not _are_one(comparisons.weight) else None
    counts = np.bincount(outcome_of * size + cell_of, weights=weights, minlength=3 * size).astype(np.float64)
    extra = [np.asarray(column, np.float64)[representative] for column in columns]
    return Cells(
        items=comparisons.items,
        left=low[representative],
        right=high[representative],
        counts=counts.reshape(3, size),
        extra=np.stack(extra, axis=1) if extra else np.zeros((size, 0)),
        extra_names=(*([ORDER] if order else []), *control),
        cell_of=cell_of,
        outcome_of=outcome_of.astype(np.int64),
    )


def win_matrix(cells: Cells) -> sparse.csr_matrix:
    """(K, K) weighted wins of the row item over the column item; a tie is half a win for each."""
    size = len(cells.items)
    won = [cells.counts[LEFT] + 0.5 * cells.counts[TIE], cells.counts[RIGHT] + 0.5 * cells.counts[TIE]]
    rows, columns = np.concatenate([cells.left, cells.right]), np.concatenate([cells.right, cells.left])
    wins = sparse.csr_matrix((np.concatenate(won), (rows, columns)), shape=(size, size))
    wins.eliminate_zeros()
    return wins


def _are_one(weight: Floats) -> bool:
    return bool((weight == 1.0).all())


def _shortened(key: Ints, span: int) -> tuple[Ints, int]:
    """Keys renumbered in the same order but a smaller range, where the product with another code could overflow."""
    if span < 2**31:
        return key, span
    _, code = np.unique(key, return_inverse=True)
    return code.astype(np.int64), int(code.max()) + 1


def _cells_of(key: Ints, span: int) -> tuple[Ints, Ints]:
    """(N,) index of each key among the sorted keys that occur, and (C,) a comparison that has each key."""
    if span <= max(4 * len(key), 2**22):
        comparison_of = np.full(span, -1, np.int64)
        comparison_of[key] = np.arange(len(key))
        keys = np.flatnonzero(comparison_of >= 0)
        cell_number = np.empty(span, np.int64)
        cell_number[keys] = np.arange(len(keys))
        return cell_number[key], comparison_of[keys]
    _, representative, cell_of = np.unique(key, return_index=True, return_inverse=True)
    return cell_of.astype(np.int64), representative.astype(np.int64)
