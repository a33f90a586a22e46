"""Open-vocabulary emotion: scores of predicted against true free-form labels, as published and in a form hard to game.

Task: truth and prediction give each of N samples a few words of any vocabulary. Words are compared after folding by a
word table (`affekt.labels.wheels`). Two modes:

- `official` reproduces published scores to the last digit. P and R are means over samples of shared / predicted and
  shared / true groups, F = 2PR / (P + R) of these means. Samples whose truth folds to nothing are skipped, so n
  differs by wheel; a word that is in no table is dropped, on both sides; *neutral* is in none.
  EW is the mean of F (of P, of R) over the five wheels, M-avg that of F over all twelve foldings.
- `consistent` (`open_vocabulary_consistent.py`): every word counts, near misses earn partial credit, and the ceiling
  of constant answers is stated.

`score_open_vocabulary` is the main path. Undefined scores are nan (the published code of 2025 divides by zero there,
that of 2026 returns 0).

Source: OV-MER arXiv:2410.01495 (M1, M2, M3, M-avg), AffectGPT arXiv:2501.16566 (EW, HIT), MER2024 arXiv:2404.17113.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ValueRangeError, listed
from affekt.labels import WordTable, official_groups, official_labels
from affekt.metrics.answers import LabelledAnswers, require_names
from affekt.metrics.label_sets import bits, count

RINGS = (1, 2)
"""Levels of a wheel: 1 inner sectors, 2 middle groups."""


@dataclass(frozen=True)
class SetScore:
    """Precision, recall and F of one folding, all in [0, 1]; nan where no sample was scored."""

    n: float
    """Number of scored samples; for a mean over foldings their mean number."""
    precision: float
    recall: float
    f: float


def official_parse(answer: object) -> list[str]:
    """The labels of an answer as the published code compares them: in lower case, without spaces at their ends."""
    return [label.lower().strip() for label in official_labels(answer)]


def set_scores(
    truth: Mapping[str, object],
    prediction: Mapping[str, object],
    table: WordTable,
    foldings: Sequence[str] | None = None,
) -> dict[str, SetScore]:
    """The official scores of each folding, and their means EW-L1, EW-L2 and M-avg.

    Args:
        truth: name of a sample to its answer (text such as "[happy, sad]", or a list of words).
        prediction: name of a sample to its answer; samples outside the truth are ignored.
        table: word table that folds the words.
        foldings: names of the foldings; None for all. A mean is given where all its foldings are.

    Returns:
        Name of a folding to its score: M1, M2, W1-L1 … W5-L2, EW-L1, EW-L2, M-avg; for the table `affekt` also
        affekt-L1 and affekt-L2, which are in no mean.

    Raises:
        TableError: a sample of the truth has no prediction.

    >>> from affekt.labels import load_table
    >>> both = {'a': '[happy, sad]'}
    >>> set_scores(both, both, load_table('affekt'))['EW-L1'].f
    1.0
    """
    measure = OfficialMeasure(table, LabelledAnswers.of(truth, prediction, official_parse), foldings)
    values = measure.statistic(measure.columns.sum(axis=0, keepdims=True))
    return {
        name: SetScore(*(float(values[f'{name} {part}'][0]) for part in ('n', 'precision', 'recall', 'f')))
        for name in measure.rows
    }


class OfficialMeasure:
    """The official scores of one system as functions of sums: three columns per folding (kept, precision, recall).

    Args:
        table: word table that folds the words.
        answers: answers parsed by `official_parse`.
        foldings: names of the foldings; None for all.
    """

    def __init__(self, table: WordTable, answers: LabelledAnswers, foldings: Sequence[str] | None = None) -> None:
        self.table, self.answers = table, answers
        self.foldings = tuple(table.foldings if foldings is None else foldings)
        wheels = [table.wheels[index].short for index in table.published]
        means = {f'EW-L{ring}': [f'{wheel}-L{ring}' for wheel in wheels] for ring in RINGS}
        means['M-avg'] = ['M1', 'M2', *(f'{wheel}-L{ring}' for wheel in wheels for ring in RINGS)]
        self.means = {name: rows for name, rows in means.items() if set(rows) <= set(self.foldings)}
        self.rows = (*self.foldings, *self.means)
        self.columns = self._columns()
        """(N, K) columns, three per folding: kept, precision, recall."""

    def _columns(self) -> Floats:
        columns = []
        for folding in self.foldings:
            groups, _ = self.answers.vocabulary.groups(self.table.fold(folding), strangers_stand_alone=False)
            counts = count(self.answers.truth, self.answers.prediction, groups)
            kept = counts.truth > 0
            columns += [kept, kept * counts.precision(), kept * counts.recall()]
        return np.stack(columns, axis=1).astype(np.float64)

    def statistic(self, sums: Floats) -> dict[str, Floats]:
        """(R,) scores from (R, K) sums, named 'W1-L1 f', 'EW-L1 precision', 'M1 n' …"""
        values: dict[str, Floats] = {}
        for index, folding in enumerate(self.foldings):
            n, precision, recall = sums[:, 3 * index : 3 * index + 3].T
            with np.errstate(invalid='ignore', divide='ignore'):
                values[f'{folding} n'] = n
                values[f'{folding} precision'] = precision / n
                values[f'{folding} recall'] = recall / n
            values[f'{folding} f'] = harmonic(values[f'{folding} precision'], values[f'{folding} recall'])
        for name, rows in self.means.items():
            for part in ('n', 'precision', 'recall', 'f'):
                values[f'{name} {part}'] = np.mean([values[f'{row} {part}'] for row in rows], axis=0)
        return values


def harmonic(precision: Floats, recall: Floats) -> Floats:
    """2PR / (P + R); 0 where both are 0, nan where one is nan."""
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.where(total == 0, 0.0, np.nan), where=total > 0)


@dataclass(frozen=True)
class HitScore:
    """Hit rate of single-label truth on one wheel, or the mean over the five, in [0, 1]."""

    n: float
    """Number of scored samples; for HIT the mean of the five wheels."""
    hit_rate: float
    """Share of samples whose label's sector is among the predicted ones; further sectors cost nothing."""
    mscore: float
    """Mean of the hit divided by the number of predicted sectors that occur in any sample's truth: a precision."""


def hit_rates(truth: Mapping[str, str], prediction: Mapping[str, object], table: WordTable) -> dict[str, HitScore]:
    """Official hit rates of corpora of basic emotions (MER2023, MER2024, MELD, IEMOCAP): by wheel, and their mean HIT.

    Samples whose label folds to nothing are skipped: *neutral* always, *surprise* on wheel 5, *disgust* on wheels 3
    and 5.

    Args:
        truth: name of a sample to its single label.
        prediction: name of a sample to its answer.
        table: word table that folds the words.

    Raises:
        TableError: a sample of the truth has no prediction.
    """
    answers = LabelledAnswers.of(truth, prediction, official_parse)
    scores = {}
    for index in table.published:
        name = f'{table.wheels[index].short}-L1'
        groups, _ = answers.vocabulary.groups(table.fold(name), strangers_stand_alone=False)
        true, predicted = bits(answers.truth, groups), bits(answers.prediction, groups)
        candidates = np.bitwise_or.reduce(true, axis=0, keepdims=True)
        kept = (true != 0).any(axis=1)
        hits = count(answers.truth, answers.prediction, groups).where(kept)
        relevant = np.bitwise_count(predicted & candidates).sum(axis=1)[kept]
        precision = np.divide(hits.shared, relevant, out=np.zeros(len(relevant)), where=relevant > 0)
        n = int(kept.sum())
        scores[name] = HitScore(n, _mean(hits.shared), _mean(precision))
    rows = list(scores.values())
    scores['HIT'] = HitScore(
        *(float(np.mean([getattr(row, part) for row in rows])) for part in ('n', 'hit_rate', 'mscore'))
    )
    return scores


@dataclass(frozen=True)
class GroupedScore:
    """The set-level score of MER2024, which ranked by the `mean` of precision and recall, all in [0, 1]."""

    n: int
    """Number of samples; without any, the scores are nan."""
    precision: float
    recall: float
    mean: float


def grouped_scores(
    truth: Mapping[str, object], prediction: Mapping[str, object], groups: Mapping[str, str]
) -> GroupedScore:
    """The MER2024 score from synonym groups that a language model gave for each sample.

    A group's first word represents it; a word that repeats belongs to its last group; a word in no group represents
    itself. An empty prediction scores 0.

    Args:
        truth: name of a sample to its answer.
        prediction: name of a sample to its answer.
        groups: name of a sample to the model's raw answer, a list of lists; only these samples are scored.

    Raises:
        TableError: a sample with groups has no truth or no prediction.

    Source: arXiv:2404.17113; the published `main-ov.py`.
    """
    require_names(groups, truth, 'the truth')
    require_names(groups, prediction, 'the prediction')
    precision, recall = [], []
    for name, raw_groups in groups.items():
        representative = {word: group[0] for group in official_groups(raw_groups) for word in group}
        true, predicted = (
            {representative.get(label.lower(), label.lower()) for label in official_labels(side[name])}
            for side in (truth, prediction)
        )
        shared = len(true & predicted)
        precision.append(shared / len(predicted) if predicted else 0.0)
        recall.append(shared / len(true) if predicted and true else 0.0)
    mean_precision, mean_recall = _mean(precision), _mean(recall)
    return GroupedScore(len(groups), mean_precision, mean_recall, (mean_precision + mean_recall) / 2)


def shares_any_group(truth: object, prediction: object, table: WordTable) -> bool:
    """Whether two answers share an inner sector on any wheel: the published `hit_or_not`, the filter of MER-Caption+.

    An answer without labels, and *neutral*, count as neutral on both sides.
    """
    sides = [official_parse(side) or ['neutral'] for side in (truth, prediction)]
    if all('neutral' in side for side in sides):
        return True
    for index in table.published:
        fold = table.fold(f'{table.wheels[index].short}-L1')
        left, right = ({fold[label] for label in side if label in fold} for side in sides)
        if left & right:
            return True
    return False


@dataclass(frozen=True)
class SentimentScore:
    """Weighted F1 and accuracy of the sign of sentiment; nan without samples."""

    n: int
    """Number of samples whose sentiment is not 0."""
    weighted_f1: float
    accuracy: float
    unread: int
    """Number of words other than positive, negative and neutral; they count as not positive."""


def sentiment_scores(truth: Mapping[str, float], prediction: Mapping[str, str]) -> SentimentScore:
    """The official score of CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2 from sentiment words.

    Samples of exactly 0 are dropped; the truth is positive above 0. A prediction is positive where the word is
    `positive`: *neutral* and unreadable words count as negative.

    Args:
        truth: name of a sample to its sentiment, any range around 0.
        prediction: name of a sample to `positive`, `negative` or `neutral`.

    Raises:
        TableError: a sample of the truth has no prediction.
        ValueRangeError: the sentiment of a sample is nan, which would count as negative.
    """
    require_names(truth, prediction, 'the prediction')
    if missing := [name for name, value in truth.items() if value != value]:
        raise ValueRangeError(
            expected='the sentiment of every sample', came=f'nan for {listed(missing)}', todo='leave these samples out'
        )
    kept = [name for name, value in truth.items() if value != 0]
    true = np.array([truth[name] > 0 for name in kept], dtype=bool)
    words = [str(prediction[name]).strip().lower() for name in kept]
    predicted = np.array([word == 'positive' for word in words], dtype=bool)
    unread = sum(word not in ('positive', 'negative', 'neutral') for word in words)
    from affekt.metrics.categorical import accuracy, weighted_f1

    return SentimentScore(len(kept), weighted_f1(true, predicted), accuracy(true, predicted), unread)


def _mean(values: Sequence[float] | npt.NDArray[np.int64] | Floats) -> float:
    return float(np.mean(values)) if len(values) else float('nan')
