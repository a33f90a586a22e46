"""A reward for reinforcement learning on open labels: one answer against one truth, computed in microseconds.

    reward = max(0, mean over wheels of F1 - weight * max(0, written - expected - slack))

F1 is that of the inner sectors of one sample. `written` is the number of distinct labels in the answer, synonyms
counted separately, `expected` that of the truth: without a length penalty, the published reward led to ever longer
lists (AffectGPT-R1, arXiv:2508.01318). In consistent mode unknown words cost precision as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from affekt.errors import ValueRangeError
from affekt.labels import load_table, official_labels, read_labels
from affekt.labels.wheels import RULES
from affekt.metrics.open_vocabulary_score import Mode


@dataclass(frozen=True)
class Reward:
    """A picklable, thread-safe function from (prediction, truth) to a reward in [0, 1].

    It stores names and numbers only; a process that unpickles it loads the table at the first call.

    Raises:
        ValueRangeError: the weight or the slack is below 0, or the mode is unknown.

    >>> reward = Reward()
    >>> reward('[happy]', '[happy]'), reward('[sad]', '[happy]')
    (1.0, 0.0)
    >>> reward('[happy, glad, joyful, cheerful, merry]', '[happy]') < 1
    True
    """

    table: str = 'affekt'
    """`affekt`, `2025`, `2026`, or a path; see `load_table`."""
    mode: Mode = 'consistent'
    """`consistent` or `official`, see `score_open_vocabulary`."""
    length_weight: float = 0.1
    """Penalty for each label too many."""
    length_slack: int = 2
    """Number of labels beyond those of the truth that cost nothing."""

    def __post_init__(self) -> None:
        if self.length_weight < 0 or self.length_slack < 0 or self.mode not in RULES:
            raise ValueRangeError(
                expected='length_weight >= 0, length_slack >= 0 and a mode among official, consistent',
                came=f'{self.length_weight}, {self.length_slack}, {self.mode!r}',
                todo='use for example 0.1, 2 and consistent',
            )

    def __call__(self, prediction: object, truth: object) -> float:
        """The reward of one answer.

        Args:
            prediction: text, or a list of words.
            truth: text, or a list of words.

        Returns:
            A float in [0, 1]; nan where the truth folds to nothing on every wheel.
        """
        wheels, lexicon = _compiled(self.table, self.mode)
        written, expected = (self._labels(side, lexicon) for side in (prediction, truth))
        scores = [_f1(wheel, written, expected, self.mode == 'consistent') for wheel in wheels]
        defined = [score for score in scores if score is not None]
        if not defined:
            return float('nan')
        excess = max(0, len(written) - len(expected) - self.length_slack)
        return max(0.0, sum(defined) / len(defined) - self.length_weight * excess)

    def _labels(self, answer: object, lexicon: dict[str, None]) -> list[str]:
        if self.mode == 'official':
            return list(dict.fromkeys(label.lower().strip() for label in official_labels(answer)))
        return list(read_labels(answer, lexicon).labels)


def _f1(fold: dict[str, str], written: Iterable[str], expected: Iterable[str], keeps_unknown: bool) -> float | None:
    """F1 of the groups of both sides; None if the truth has none."""
    if keeps_unknown:
        predicted_groups, true_groups = ({fold.get(label, label) for label in side} for side in (written, expected))
    else:
        predicted_groups, true_groups = (
            {fold[label] for label in side if label in fold} for side in (written, expected)
        )
    if not true_groups:
        return None
    return 2 * len(predicted_groups & true_groups) / (len(predicted_groups) + len(true_groups))


@cache
def _compiled(table: str, mode: Mode) -> tuple[tuple[dict[str, str], ...], dict[str, None]]:
    """The inner ring of each wheel as a dict, and the table's word forms.

    In consistent mode only the table's own wheel counts, where it has one.
    """
    word_table = load_table(table)
    own_wheels = [index for index in range(len(word_table.wheels)) if index not in word_table.published]
    wheels = own_wheels if own_wheels and mode == 'consistent' else list(word_table.published)
    folds = tuple(dict(word_table.fold(f'{word_table.wheels[index].short}-L1', mode)) for index in wheels)
    return folds, dict.fromkeys(word_table.bases)
