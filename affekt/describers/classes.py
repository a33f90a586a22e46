"""Further scores of free labels beside the published ones: the class that an answer names first, and F1 by sample.

HIT counts an answer as right where any of its labels is; other papers print the accuracy of one class. Here the class
of an answer is that of its first label that has one: the emotion itself, or the one of the set with which most of the
five wheels put it into one inner sector. An answer without such a label is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.benchmarks import UniBenchSet
from affekt.labels import WordTable
from affekt.metrics import official_parse


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the first class that an answer names."""

    accuracy: float
    unweighted_recall: float
    """Mean recall over the classes that are true of any sample."""
    without_class: float
    """Share of answers whose labels are of no class of the set."""
    majority: float
    """Accuracy of the most frequent true class for every sample."""


@dataclass(frozen=True)
class Classes:
    """The classes of a set as a word table sees them.

    Args:
        emotions: emotions of the set.
        table: a word table with the published wheels.
    """

    emotions: tuple[str, ...]
    table: WordTable

    @cached_property
    def _sectors(self) -> list[tuple[Mapping[str, str], dict[str, str]]]:
        """For each wheel, label to sector, and sector to the one emotion that lies in it alone."""
        wheels = []
        for index in self.table.published:
            fold = self.table.fold(f'{self.table.wheels[index].short}-L1')
            shared = Counter(fold[emotion] for emotion in self.emotions if emotion in fold)
            wheels.append((
                fold,
                {fold[emotion]: emotion for emotion in self.emotions if emotion in fold and shared[fold[emotion]] == 1},
            ))  # fmt: skip
        return wheels

    def of_label(self, label: str) -> str | None:
        """The class of one label; None if it has none, or two equally."""
        if label in self.emotions:
            return label
        votes = Counter(emotion for fold, owner in self._sectors if (emotion := owner.get(fold.get(label, ''))))
        best = votes.most_common(2)
        return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else None

    def of_answer(self, answer: Any) -> str | None:
        """The class of the first label that has one."""
        classes = (self.of_label(label) for label in official_parse(answer))
        return next((each for each in classes if each is not None), None)


def accuracy_of(each: UniBenchSet, truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable) -> Accuracy:
    """Accuracy and recall of the first class on a set of basic emotions.

    Args:
        each: the set.
        truth: sample to emotion.
        openset: sample to answer.
        table: a table with the published wheels.
    """
    classes = Classes(each.emotions, table)
    named = {name: classes.of_answer(openset.get(name)) for name in truth}
    right = {name: named[name] == truth[name] for name in truth}
    counts = Counter(truth.values())
    recalls = [float(np.mean([right[name] for name in truth if truth[name] == emotion])) for emotion in counts]
    return Accuracy(
        float(np.mean(list(right.values()))), float(np.mean(recalls)),
        float(np.mean([each is None for each in named.values()])), counts.most_common(1)[0][1] / len(truth),
    )  # fmt: skip


def sample_scores(
    each: UniBenchSet, truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable
) -> dict[str, float]:
    """Sample to the F1 of its folded labels, mean over the published wheels that know its truth.

    Unlike a hit, each further label costs. A sample whose truth no wheel knows (*neutral*) has no score.

    >>> from affekt.benchmarks import set_named
    >>> from affekt.labels import load_table
    >>> scores = sample_scores(set_named('meld'), {'a': 'joy'}, {'a': ['happy']}, load_table('affekt'))
    >>> scores['a']
    1.0
    """
    folds = [table.fold(f'{table.wheels[index].short}-L1') for index in table.published]
    scores: dict[str, float] = {}
    for name, answer in truth.items():
        values = []
        for fold in folds:
            true = {fold[label] for label in official_parse(answer) if label in fold}
            said = {fold[label] for label in official_parse(openset.get(name)) if label in fold}
            if true:
                values.append(2 * len(true & said) / (len(true) + len(said)))
        if values:
            scores[name] = float(np.mean(values))
    return scores


def sign_scores(truth: Mapping[str, float], sentiment: Mapping[str, str]) -> dict[str, float]:
    """Sample to 1 where the sign is right, else 0; samples of sentiment 0 have no score."""
    return {
        name: float((value > 0) == (str(sentiment.get(name, '')).strip().lower() == 'positive'))
        for name, value in truth.items()
        if value != 0
    }


def columns_of(scores: Mapping[str, float], names: Sequence[str]) -> Floats:
    """(N, 2) ones and scores of these samples, from whose sums a mean follows."""
    return np.array([[1.0, scores[name]] for name in names]).reshape(len(names), 2)
