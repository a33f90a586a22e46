"""How sure the small describer is of its first label: a softmax over known words, at a temperature.

    p(word) = softmax over known words of (logit of the word as the first of the answer) / T

T is fitted where nothing is learnt from and nothing is tested: for voices on the actors who chose the step, for words
on comments of the development part. How far off it is, is measured on tested actors and comments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from evaluate import interval, share
from readers import KIND
from runs import KNOWN

from affekt.description import Describer, Example, beginning_logits
from affekt.metrics import calibrated, event_calibration_error, fit_temperature

WORDS = tuple(sorted(KNOWN))
Logits = Sequence[Sequence[float]]


def logits_of(describer: Describer, examples: Sequence[Example]) -> list[list[float]]:
    """(N, K) logits of known words, as they are kept."""
    rows: list[list[float]] = (
        beginning_logits(describer, examples, [f' {word}' for word in WORDS], KIND).astype(float).round(3).tolist()
    )
    return rows


def temperature(logits: Logits, truth: Sequence[Sequence[str]]) -> float:
    """T that makes what is true likeliest."""
    return round(fit_temperature(np.array(logits), _true_word(np.array(logits), truth)), 4)


def _true_word(logits: npt.NDArray[np.float64], truth: Sequence[Sequence[str]]) -> npt.NDArray[np.int64]:
    """(N,) the likeliest of the words that are true of each."""
    places = [[WORDS.index(word) for word in words] for words in truth]
    return np.array([max(own, key=row.__getitem__) for row, own in zip(logits, places, strict=True)])


def calibration(
    logits: Logits, temperatures: Sequence[float], truth: Sequence[Sequence[str]], groups: Any = None
) -> dict[str, Any]:
    """How far the stated certainty of the likeliest word is from how often it is true, without and with a temperature.

    Args:
        logits: (N, K).
        temperatures: (N,) of each, fitted elsewhere.
        truth: of each the words that are true.
        groups: (N,) speakers; None where clips are drawn.
    """
    rows = np.array(logits)
    hits = np.array([WORDS[at] in words for at, words in zip(rows.argmax(axis=1), truth, strict=True)])
    scores: dict[str, Any] = {'clips': len(hits), 'right': share(hits, groups)}
    for name, scaled in (('as it comes', rows), ('at its temperature', rows / np.array(temperatures)[:, None])):
        stated = calibrated(scaled, 1.0).max(axis=1)
        error = interval(event_calibration_error, stated, hits.astype(float), groups=groups)
        scores[name] = {'mean': round(float(stated.mean()), 4), 'error': error}
    return scores
