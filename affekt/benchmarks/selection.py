"""Selection of the checkpoint that a benchmark reports, by four protocols side by side, each stating how it chose.

Axes: S sets, C checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.metrics import Interval

Scores = Mapping[str, Mapping[str, float]]
"""Set to checkpoint to headline score."""


@dataclass(frozen=True)
class Row:
    """Scores by one protocol."""

    protocol: str
    """`fixed`, `mean`, `best single`, or `oracle per set`."""
    how: str
    """Sentence on how the checkpoint was chosen."""
    chosen_on_test: bool
    """Whether it was chosen by the reported scores themselves."""
    scores: Mapping[str, float]
    """Set to headline score."""
    mean: float
    """Mean over the counted sets; nan without any."""
    counted: tuple[str, ...]
    """Sets in the mean."""
    checkpoints: Mapping[str, str]
    """Set to checkpoint; empty for `mean`."""
    sds: Mapping[str, float]
    """Set to standard deviation over checkpoints (divisor C - 1), for `mean`."""
    mean_sd: float = float('nan')
    """Standard deviation over checkpoints of the mean over sets, for `mean`."""
    intervals: Mapping[str, Interval] | None = None
    """Set to bootstrap interval, for `fixed`; None otherwise."""
    mean_interval: Interval | None = None


def select(
    scores: Scores,
    counted: Sequence[str],
    checkpoints: Sequence[str],
    *,
    fixed: str | None = None,
    dev: str | None = None,
) -> list[Row]:
    """The rows of all protocols; only `fixed` if there is a single checkpoint.

    Args:
        scores: set to checkpoint to headline score.
        counted: sets in the mean.
        checkpoints: checkpoints that all sets have, in order.
        fixed: the checkpoint that was declared beforehand; None for the last.
        dev: a set for choosing the best single checkpoint, which the means of that row leave out; None for none.
    """
    chosen = fixed or checkpoints[-1]
    declared = 'declared beforehand' if fixed else f'the last of {len(checkpoints)}'
    rows = [_one('fixed', declared, False, scores, counted, dict.fromkeys(scores, chosen))]
    if len(checkpoints) == 1:
        return rows
    rows.append(_averaged(scores, counted, checkpoints))
    other_sets = [name for name in counted if name != dev]
    deciding_sets = [dev] if dev else list(counted) or list(scores)
    best = max(checkpoints, key=lambda name: np.mean([scores[key][name] for key in deciding_sets]))
    reason = f'the best on {dev}' if dev else 'the best mean over these test sets'
    rows.append(_one('best single', reason, dev is None, scores, other_sets, dict.fromkeys(scores, best)))
    oracle = {key: max(checkpoints, key=lambda name: by_checkpoint[name]) for key, by_checkpoint in scores.items()}
    reason = 'the best of each test set by itself, as the published figures were chosen'
    return [*rows, _one('oracle per set', reason, True, scores, counted, oracle)]


def _one(
    protocol: str, how: str, on_test: bool, scores: Scores, counted: Sequence[str], chosen: Mapping[str, str]
) -> Row:
    selected = {key: scores[key][checkpoint] for key, checkpoint in chosen.items()}
    return Row(protocol, how, on_test, selected, _mean([selected[key] for key in counted]), tuple(counted), chosen, {})


def _averaged(scores: Scores, counted: Sequence[str], checkpoints: Sequence[str]) -> Row:
    table = {key: np.array([by_checkpoint[name] for name in checkpoints]) for key, by_checkpoint in scores.items()}
    means = np.mean([table[key] for key in counted], axis=0) if counted else np.full(len(checkpoints), np.nan)
    return Row(
        'mean',
        f'mean and standard deviation over {len(checkpoints)} checkpoints',
        False,
        {key: float(values.mean()) for key, values in table.items()},
        float(means.mean()),
        tuple(counted),
        {},
        {key: float(values.std(ddof=1)) for key, values in table.items()},
        float(means.std(ddof=1)),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float('nan')
