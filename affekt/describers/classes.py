"""Scores of free labels beside the published ones: accuracy of the class that an answer names first, and F1 per clip.

HIT counts an answer as correct if any of its labels is; other papers report the accuracy of one class. Here the class
of an answer is that of its first label that has one: the label itself if it is an emotion of the set, or else the
emotion that shares its inner sector on most of the five wheels. An answer without such a label is wrong.
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
    """Mean recall over the classes that occur in the truth, in [0, 1]."""
    without_class: float
    """Share of answers whose labels are of no class of the set."""
    majority: float
    """Accuracy of the most frequent true class for every sample."""


@dataclass(frozen=True)
class Classes:
    """The mapping from labels to the classes of a set, by a word table.

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
        """The class of one label; None without a class, or if two classes have equally many wheels."""
        if label in self.emotions:
            return label
        votes = Counter(emotion for fold, owner in self._sectors if (emotion := owner.get(fold.get(label, ''))))
        best = votes.most_common(2)
        return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else None

    def of_answer(self, answer: Any) -> str | None:
        """The class of the first label of an answer that has one; None if no label has one."""
        classes = (self.of_label(label) for label in official_parse(answer))
        return next((label_class for label_class in classes if label_class is not None), None)


def accuracy_of(
    unibench_set: UniBenchSet, truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable
) -> Accuracy:
    """Accuracy and recall of the first class on a set of basic emotions.

    Args:
        unibench_set: the set.
        truth: sample to emotion, at least one.
        openset: sample to answer.
        table: a table with the published wheels.

    Returns:
        Shares in [0, 1]; samples without an answer count as wrong.
    """
    classes = Classes(unibench_set.emotions, table)
    predictions = {name: classes.of_answer(openset.get(name)) for name in truth}
    is_correct = {name: predictions[name] == truth[name] for name in truth}
    counts = Counter(truth.values())
    recalls = [float(np.mean([is_correct[name] for name in truth if truth[name] == emotion])) for emotion in counts]
    return Accuracy(
        float(np.mean(list(is_correct.values()))), float(np.mean(recalls)),
        float(np.mean([prediction is None for prediction in predictions.values()])),
        counts.most_common(1)[0][1] / len(truth),
    )  # fmt: skip


def sample_scores(
    unibench_set: UniBenchSet, truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable
) -> dict[str, float]:
    """Sample to the F1 of its folded labels, mean over the published wheels that know its truth.

        F1 = 2 |true and named| / (|true| + |named|)        with labels as inner sectors of a wheel

    Unlike HIT, each wrong label lowers it. A sample whose truth is on no wheel (*neutral*) has no score.

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
            named = {fold[label] for label in official_parse(openset.get(name)) if label in fold}
            if true:
                values.append(2 * len(true & named) / (len(true) + len(named)))
        if values:
            scores[name] = float(np.mean(values))
    return scores


def sign_scores(truth: Mapping[str, float], sentiment: Mapping[str, str]) -> dict[str, float]:
    """Sample to 1 if the predicted sentiment has the sign of the true one, else 0; a true 0 has no score."""
    return {
        name: float((value > 0) == (str(sentiment.get(name, '')).strip().lower() == 'positive'))
        for name, value in truth.items()
        if value != 0
    }


def columns_of(scores: Mapping[str, float], names: Sequence[str]) -> Floats:
    """(N, 2) ones and scores of N samples: the mean score is the ratio of the column sums."""
    return np.array([[1.0, scores[name]] for name in names]).reshape(len(names), 2)
