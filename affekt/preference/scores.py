"""Scores of verdicts on pairs against people's verdicts: the published ones, and forms that treat both sides alike.

Verdicts are (N,) of 1 (a1, left), -1 (a2, right), 0 (same).

- *Official*: pairs whose truth is *same* are dropped from the 2-class scores, and a predicted *same* counts as a1, so
  the file's order of sides matters; the 3-class scores keep all three. WAF is F1 weighted by the truth's frequencies.
- *Even*: a predicted *same* is half correct on a decided pair, and both orders of sides count alike. In two classes the
  confusion is then symmetric, so that WAF equals accuracy.

Source: `func_preference_metric` in github.com/zeroQiaoba/MERTools, MER2026_Track3; arXiv:2507.04278, section 4.

Axes: N pairs, R resamples; confusions are (…, truth, prediction) in the order a1, same, a2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.errors import ShapeError, UnknownNameError, short
from affekt.metrics import accuracy, weighted_f1
from affekt.preference.pairs import VERDICTS


@dataclass(frozen=True)
class OfficialScores:
    """The published scores of one order of sides."""

    waf2: float
    """Weighted F1 of two classes, the challenge's primary score; nan without decided pairs."""
    acc2: float
    """Accuracy of two classes; nan without decided pairs."""
    waf3: float
    """Weighted F1 of three classes."""
    acc3: float
    """Accuracy of three classes."""


def verdicts(words: Sequence[object]) -> Ints:
    """(N,) verdicts from a1, a2, same (or left, right, tie), case-insensitive.

    Raises:
        UnknownNameError: there is another word; the message names the first one.

    >>> verdicts(['a1', 'Same', 'a2'])
    array([ 1,  0, -1])
    """
    codes = [VERDICTS.get(str(word).strip().lower(), 2) for word in words]
    if 2 in codes:
        raise UnknownNameError(
            expected=f'verdicts among {", ".join(VERDICTS)}',
            came=f'{short(str(words[codes.index(2)]))!r} as verdict {codes.index(2) + 1}',
            todo='write one of these',
        )
    return np.asarray(codes, np.int64)


def official_scores(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> OfficialScores:
    """The published scores, to the last digit.

    Args:
        truth, prediction: (N,) verdicts.

    Raises:
        ShapeError: the arrays are not both (N,) of 1, -1 and 0.
    """
    true, predicted = _pair(truth, prediction)
    decided = true != 0
    side = np.where(predicted[decided] == 0, 1, predicted[decided])
    return OfficialScores(
        waf2=weighted_f1(true[decided], side),
        acc2=accuracy(true[decided], side),
        waf3=weighted_f1(true, predicted),
        acc3=accuracy(true, predicted),
    )


def even_accuracy(truth: npt.ArrayLike, prediction: npt.ArrayLike, swapped: npt.ArrayLike | None = None) -> float:
    """Share of decided pairs that are correct, *same* as half; over both orders where `swapped` is given.

    Args:
        truth, prediction: (N,) verdicts.
        swapped: (N,) answers on the swapped pairs, not mapped back: 1 is the text that was shown as a1.

    Returns:
        A float in [0, 1]; nan without decided pairs.

    Raises:
        ShapeError: the arrays are not all (N,) of 1, -1 and 0.
    """
    true, predicted = _pair(truth, prediction)
    decided = true != 0
    if not decided.any():
        return float('nan')
    halves = [(1.0 + predicted * true)[decided] / 2.0]
    if swapped is not None:
        halves.append((1.0 - _pair(truth, swapped)[1] * true)[decided] / 2.0)
    return float(np.mean(halves))


def swap_consistency(forward: npt.ArrayLike, swapped: npt.ArrayLike) -> float:
    """Share of pairs with the same verdict in both orders, a1 and a2 mapped back.

    Args:
        forward, swapped: (N,) answers on the pairs and on the swapped pairs, not mapped back.

    Returns:
        A float in [0, 1]; nan without pairs.

    Raises:
        ShapeError: the arrays are not both (N,) of 1, -1 and 0.
    """
    first, second = _pair(forward, swapped)
    return accuracy(first, -second)


def _pair(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Ints, Ints]:
    true, predicted = np.asarray(truth), np.asarray(prediction)
    if (
        true.ndim != 1
        or true.shape != predicted.shape
        or not (np.isin(true, _CODES).all() and np.isin(predicted, _CODES).all())
    ):
        raise ShapeError(
            expected='verdicts 1, -1 and 0 of one shape (N,)',
            came=f'{true.shape} and {predicted.shape}' if true.shape != predicted.shape else 'other values',
            todo='read words with `verdicts`',
        )
    return true.astype(np.int64), predicted.astype(np.int64)


_CODES = (1, -1, 0)


def confusion_scores(confusions: Floats) -> tuple[Floats, Floats]:
    """(R,) weighted F1 and accuracy of (R, C, C) confusions, which may be fractional; nan where empty."""
    correct = np.einsum('rcc->rc', confusions)  # (R, C)
    support, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        f1 = np.where(support + predicted > 0.0, 2.0 * correct / (support + predicted), 0.0)
        total = support.sum(axis=1)
        return (f1 * support).sum(axis=1) / total, correct.sum(axis=1) / total
