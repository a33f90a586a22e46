"""Which checkpoint a benchmark's figures are of: four protocols side by side, each of which says how it chose.

Axes: S sets, C checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.metrics import Interval

Scores = Mapping[str, Mapping[str, float]]
"""Set to checkpoint to headline."""


@dataclass(frozen=True)
class Row:
    """One protocol's figures."""

    protocol: str
    """`fixed`, `mean`, `best single`, or `oracle per set`."""
    how: str
    """How the checkpoint was chosen, in a sentence."""
    chosen_on_test: bool
    """Whether the scores that are reported chose it."""
    scores: Mapping[str, float]
    """Set to headline."""
    mean: float
    """Over the counted sets; nan where none is."""
    counted: tuple[str, ...]
    """The sets in the mean."""
    checkpoints: Mapping[str, str]
    """Set to checkpoint; empty for `mean`."""
    sds: Mapping[str, float]
    """Set to standard deviation over checkpoints (C - 1), for `mean`."""
    mean_sd: float = float('nan')
    """The standard deviation over checkpoints of the mean over sets, for `mean`."""
    intervals: Mapping[str, Interval] | None = None
    """Set to bootstrap interval, for `fixed`."""
    mean_interval: Interval | None = None


def select(
    scores: Scores,
    counted: Sequence[str],
    checkpoints: Sequence[str],
    *,
    fixed: str | None = None,
    dev: str | None = None,
) -> list[Row]:
    """The rows of all protocols; `fixed` alone where there is one checkpoint.

    Args:
        scores: every set to every checkpoint to its headline.
        counted: the sets that the mean is over.
        checkpoints: those that all sets have, in their order.
        fixed: the checkpoint that was declared beforehand; the last without it.
        dev: a set that chooses the best single checkpoint; it is then in no mean of that row.
    """
    chosen = fixed or checkpoints[-1]
    declared = 'declared beforehand' if fixed else f'the last of {len(checkpoints)}'
    rows = [_one('fixed', declared, False, scores, counted, dict.fromkeys(scores, chosen))]
    if len(checkpoints) == 1:
        return rows
    rows.append(_averaged(scores, counted, checkpoints))
    rest = [name for name in counted if name != dev]
    judges = [dev] if dev else list(counted) or list(scores)
    best = max(checkpoints, key=lambda name: np.mean([scores[judge][name] for judge in judges]))
    how = f'the best on {dev}' if dev else 'the best mean over these test sets'
    rows.append(_one('best single', how, dev is None, scores, rest, dict.fromkeys(scores, best)))
    oracle = {each: max(checkpoints, key=lambda name: by_checkpoint[name]) for each, by_checkpoint in scores.items()}
    how = 'the best of each test set by itself, as the published figures were chosen'
    return [*rows, _one('oracle per set', how, True, scores, counted, oracle)]


def _one(
    protocol: str, how: str, on_test: bool, scores: Scores, counted: Sequence[str], chosen: Mapping[str, str]
) -> Row:
    own = {each: scores[each][checkpoint] for each, checkpoint in chosen.items()}
    return Row(protocol, how, on_test, own, _mean([own[each] for each in counted]), tuple(counted), chosen, {})


def _averaged(scores: Scores, counted: Sequence[str], checkpoints: Sequence[str]) -> Row:
    table = {each: np.array([by_checkpoint[name] for name in checkpoints]) for each, by_checkpoint in scores.items()}
    means = np.mean([table[each] for each in counted], axis=0) if counted else np.full(len(checkpoints), np.nan)
    return Row(
        'mean',
        f'mean and standard deviation over {len(checkpoints)} checkpoints',
        False,
        {each: float(values.mean()) for each, values in table.items()},
        float(means.mean()),
        tuple(counted),
        {},
        {each: float(values.std(ddof=1)) for each, values in table.items()},
        float(means.std(ddof=1)),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float('nan')
