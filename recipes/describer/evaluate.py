"""Answers of the small describer on clips that it never heard, and how right they are, with intervals.

Everything is scored on *generated* labels. An answer is valid where it ends by itself and is a list of known words,
each once and with a comma behind it. At one label the first one counts. Intervals are of 95 %, speakers drawn (clips
where there are none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from readers import KIND

from affekt.description import Describer, Example, Generated, Limits, generated_answers
from affekt.metrics import bootstrap_interval, multilabel_macro_f1

LIMITS = Limits(tokens=16)
RESAMPLES = 1000


@dataclass(frozen=True)
class Answers:
    """Labels that were generated for some examples.

    Args:
        labels: of each, in the order of its answer.
        valid: (N,) whether the answer has the form that it should have.
        texts: as generated.
    """

    labels: tuple[tuple[str, ...], ...]
    valid: npt.NDArray[np.bool_]
    texts: tuple[str, ...]

    @property
    def first(self) -> list[str]:
        """The first label of each; '' for none."""
        return [labels[0] if labels else '' for labels in self.labels]


def answers(describer: Describer, examples: Sequence[Example], known: set[str], limits: Limits = LIMITS) -> Answers:
    """What the describer says to the questions of examples."""
    return read(generated_answers(describer, examples, KIND, limits, batch_size=64), known)


def read(generated: Sequence[Generated], known: set[str]) -> Answers:
    """Answers as lists of known words."""
    labels, valid = [], []
    for answer in generated:
        words = [word.strip() for word in answer.text.removesuffix(',').split(',')]
        is_whole = answer.finish != 'length' and answer.text.endswith(',')
        valid.append(is_whole and set(words) <= known and len(set(words)) == len(words))
        labels.append(tuple(dict.fromkeys(word for word in words if word in known)))
    return Answers(tuple(labels), np.array(valid), tuple(answer.text for answer in generated))


def interval(
    metric: Any, *arrays: Any, groups: Any = None, bounds: tuple[float, float] = (0.0, 1.0)
) -> dict[str, float]:
    """A metric with its interval."""
    estimate = bootstrap_interval(
        metric, *arrays, groups=groups, rng=np.random.default_rng(11), resamples=RESAMPLES, bounds=bounds
    )
    return {
        'value': round(float(estimate.value), 4),
        'low': round(float(estimate.low), 4),
        'high': round(float(estimate.high), 4),
    }


def share(hits: Any, groups: Any = None) -> dict[str, float]:
    """A mean of truths with its interval."""
    return interval(lambda each: float(np.mean(each)), np.asarray(hits, float), groups=groups)


def recall(truth: Sequence[str], named: Sequence[str], speaker: Any = None) -> dict[str, float]:
    """Mean recall over labels, UAR."""
    words = sorted(set(truth))
    numbers, given = _numbers(truth, words), _numbers(named, words)
    return interval(_recall, numbers, given, groups=speaker)


def difference(
    truth: Sequence[str], left: Sequence[str], right: Sequence[str], speaker: Any = None
) -> dict[str, float]:
    """UAR of one side less that of the other, on the same clips."""
    words = sorted(set(truth))
    arrays = [_numbers(each, words) for each in (truth, left, right)]
    return interval(lambda t, a, b: _recall(t, a) - _recall(t, b), *arrays, groups=speaker, bounds=(-1.0, 1.0))


def _recall(truth: npt.NDArray[np.int64], named: npt.NDArray[np.int64]) -> float:
    return float(np.mean([np.mean(named[truth == label] == label) for label in np.unique(truth)]))


def _numbers(words: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.int64]:
    """Places among known words; -1 for any other."""
    places = {word: at for at, word in enumerate(known)}
    return np.array([places.get(word, -1) for word in words])


def macro_f1(truth: Sequence[Sequence[str]], named: Sequence[Sequence[str]], words: Sequence[str]) -> dict[str, float]:
    """Of several labels at once, over all words; comments are drawn."""
    return interval(multilabel_macro_f1, table(truth, words), table(named, words))


def macro_difference(
    truth: Sequence[Sequence[str]], left: Sequence[Sequence[str]], right: Sequence[Sequence[str]], words: Sequence[str]
) -> dict[str, float]:
    """Macro-F1 of one side less that of the other."""
    arrays = [table(each, words) for each in (truth, left, right)]
    return interval(lambda t, a, b: multilabel_macro_f1(t, a) - multilabel_macro_f1(t, b), *arrays, bounds=(-1.0, 1.0))


def table(labels: Sequence[Sequence[str]], words: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(N, K) whether a word is among the labels."""
    return np.array([[word in each for word in words] for each in labels])


def majority(learnt: Sequence[str], count: int) -> list[str]:
    """The commonest word, for every clip."""
    words, counts = np.unique(np.array(learnt), return_counts=True)
    return [str(words[counts.argmax()])] * count
