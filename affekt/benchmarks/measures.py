"""The headline scores of MER-UniBench's tasks as functions of sums over samples, for fast intervals.

Axes: N samples, K columns, R draws. The values equal those of `affekt.metrics.open_vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.errors import TableError, listed
from affekt.labels import WordTable, count_thinking, without_thinking
from affekt.metrics import LabelledAnswers, OfficialMeasure, Statistic, official_parse, require_names
from affekt.metrics.label_sets import bits, count

SIGNS = ('positive', 'negative', 'neutral')
"""Words that are read as a sentiment."""


@dataclass(frozen=True)
class Measured:
    """One system's answers on one set as columns whose sums give the scores."""

    columns: Floats = field(repr=False)
    """(N, K) columns to be summed over samples."""
    statistic: Statistic = field(repr=False)
    headline: str
    """Name of the headline score."""
    names: tuple[str, ...] = field(repr=False)
    """(N,) names of the samples."""
    facts: Mapping[str, float]
    """Statistics of the answers: labels per answer, empty answers, words outside all tables, unread sentiment words."""

    def scores(self) -> dict[str, float]:
        """All scores on all samples, by name."""
        values = self.statistic(self.columns.sum(axis=0, keepdims=True))
        return {name: float(value[0]) for name, value in values.items()}

    def value(self) -> float:
        """The headline score on all samples."""
        return self.scores()[self.headline]


def measure_fine_grained(truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable) -> Measured:
    """EW-L1 F as headline, with precision, recall and the other official scores."""
    answers = LabelledAnswers.of(truth, openset, official_parse)
    measure = OfficialMeasure(table, answers)
    return Measured(
        measure.columns, measure.statistic, 'EW-L1 f', answers.names, _answer_facts(answers, openset, table)
    )


def measure_basic(truth: Mapping[str, Any], openset: Mapping[str, Any], table: WordTable) -> Measured:
    """HIT as headline, with mscore and both on every wheel."""
    answers = LabelledAnswers.of(truth, openset, official_parse)
    rows, parts = [], []
    for index in table.published:
        name = f'{table.wheels[index].short}-L1'
        rows.append(name)
        groups, _ = answers.vocabulary.groups(table.fold(name), strangers_stand_alone=False)
        truths, predicted = bits(answers.truth, groups), bits(answers.prediction, groups)
        sizes = np.bitwise_count(predicted & np.bitwise_or.reduce(truths, axis=0)).sum(axis=1)
        # sizes (N,): predicted groups that occur in the truth of any sample, the divisor of mscore
        has_truth = (truths != 0).any(axis=1)
        hits = count(answers.truth, answers.prediction, groups).shared * has_truth
        parts += [
            has_truth,
            hits,
            np.divide(hits, sizes, out=np.zeros(len(sizes)), where=sizes > 0),
        ]

    def statistic(sums: Floats) -> dict[str, Floats]:
        scores: dict[str, Floats] = {}
        for index, row in enumerate(rows):
            n, hits, share = sums[:, 3 * index : 3 * index + 3].T
            scores[f'{row} n'] = n
            scores[f'{row} hit_rate'], scores[f'{row} mscore'] = _ratio(hits, n), _ratio(share, n)
        for part in ('n', 'hit_rate', 'mscore'):
            scores[f'HIT {part}'] = np.mean([scores[f'{row} {part}'] for row in rows], axis=0)
        return scores

    columns = np.stack(parts, axis=1).astype(np.float64)
    return Measured(columns, statistic, 'HIT hit_rate', answers.names, _answer_facts(answers, openset, table))


def measure_sentiment(truth: Mapping[str, float], sentiment: Mapping[str, str]) -> Measured:
    """WAF as headline, with accuracy.

    Samples of exactly 0 are dropped; any word other than `positive` counts as negative.
    """
    require_names(truth, sentiment, 'the sentiment')
    names = tuple(name for name, value in truth.items() if value != 0)
    words = [str(sentiment[name]).strip().lower() for name in names]
    truths = np.array([truth[name] > 0 for name in names], dtype=bool)
    predicted = np.array([word == 'positive' for word in words], dtype=bool)
    cells = [truths & predicted, ~truths & predicted, truths & ~predicted, ~truths & ~predicted]
    facts = {
        'unread': float(sum(word not in SIGNS for word in words)),
        'neutral': float(sum(word == 'neutral' for word in words)),
    }
    return Measured(np.stack(cells, axis=1).astype(np.float64), _sentiment_statistic, 'WAF', names, facts)


def _sentiment_statistic(sums: Floats) -> dict[str, Floats]:
    """F1 of both signs weighted by their frequency in the truth, and accuracy."""
    hit, false_alarm, miss, correct_rejection = sums.T
    n = hit + false_alarm + miss + correct_rejection
    positive = _ratio(2 * hit, 2 * hit + false_alarm + miss, empty=0.0)
    negative = _ratio(2 * correct_rejection, 2 * correct_rejection + false_alarm + miss, empty=0.0)
    weighted = _ratio((hit + miss) * positive + (correct_rejection + false_alarm) * negative, n)
    return {'WAF': weighted, 'accuracy': _ratio(hit + correct_rejection, n), 'n': n}


def derived_sentiment(openset: Mapping[str, Any], table: WordTable) -> dict[str, str]:
    """A sentiment word for each answer: the sign of the mean valence of its labels, `neutral` if none is known.

    A label's valence is the mean over its bases; the words positive and negative are taken literally.

    Args:
        openset: name of a sample to its answer.
        table: word table with valence, such as `affekt`.

    Raises:
        TableError: the table has no valence.
    """
    if not table.senses:
        raise TableError(
            expected='a table with valence', came=f'{table.label} without', todo='use the table affekt for sentiment'
        )
    valence: dict[str, float | None] = {'positive': 1.0, 'negative': -1.0, 'neutral': None}
    words = {}
    for name, answer in openset.items():
        text = without_thinking(answer).text if isinstance(answer, str) else answer
        valences = []
        for label in official_parse(text):
            if label not in valence:
                valence[label] = _valence(label, table)
            if (label_valence := valence[label]) is not None:
                valences.append(label_valence)
        mean = float(np.mean(valences)) if valences else 0.0
        words[name] = 'positive' if mean > 0 else 'negative' if mean < 0 else 'neutral'
    return words


def _valence(label: str, table: WordTable) -> float | None:
    """Mean valence over the label's bases; None if the table has none of them."""
    valences = [table.senses[base].valence for base in table.bases.get(label, ()) if base in table.senses]
    return float(np.mean(valences)) if valences else None


def require_answers(truth: Mapping[str, Any], openset: Mapping[str, Any], what: str) -> None:
    """Check that at least one sample of the truth has an answer with a label.

    Raises:
        TableError: every answer is empty, most likely because of a wrong file.
    """
    if not any(official_parse(openset.get(name)) for name in truth):
        raise TableError(
            expected=f'labels in {what}',
            came=f'empty answers for {listed(truth)}',
            todo='check the column and the file',
        )


def _answer_facts(answers: LabelledAnswers, openset: Mapping[str, Any], table: WordTable) -> dict[str, float]:
    is_known = np.array([word in table.bases for word in answers.vocabulary.words], dtype=bool)
    is_known_prediction = is_known[answers.prediction.ids]
    return {
        'labels_per_answer': float(answers.prediction.sizes.mean()),
        'empty_answers': float((answers.prediction.sizes == 0).sum()),
        'with_thinking': float(count_thinking(openset[name] for name in answers.names)),
        'unknown_words': float(1 - is_known_prediction.mean()) if len(is_known_prediction) else float('nan'),
        'unknown_true_words': float(1 - is_known[answers.truth.ids].mean()) if len(answers.truth.ids) else float('nan'),
    }


def _ratio(numerator: Floats, denominator: Floats, empty: float = float('nan')) -> Floats:
    quotient: Floats = np.divide(numerator, denominator, out=np.full(len(numerator), empty), where=denominator > 0)
    return quotient
