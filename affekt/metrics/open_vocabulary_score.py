"""Scores of open labels with intervals, coverage by the word table, and the scores of trivial answers.

`score_open_vocabulary` takes the truth and one system's answers and gives, for one word table and one mode, every
metric with its interval, the n of each, the words outside the table, the number of labels per answer, and the scores of
trivial answers. `compare_open_vocabulary` tests two systems on the same samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from affekt.errors import TableError, UnknownNameError
from affekt.labels import WordTable, count_thinking
from affekt.labels.wheels import RULES
from affekt.metrics.answers import LabelledAnswers
from affekt.metrics.intervals import SHARE, Interval
from affekt.metrics.label_sets import LabelSets
from affekt.metrics.open_vocabulary import OfficialMeasure, hit_rates, official_parse
from affekt.metrics.open_vocabulary_consistent import ConsistentMeasure, consistent_parse
from affekt.metrics.resampling import intervals, paired_test
from affekt.metrics.trivial_answers import Ceiling, constant_ceiling, trivial_answers

Mode = Literal['official', 'consistent']


@dataclass(frozen=True)
class Coverage:
    """Coverage of one side's labels, truth or prediction, by the word table."""

    tokens: int
    """Number of labels, each once per sample."""
    unknown: Mapping[str, int]
    """Words outside the table to their counts, most frequent first."""
    labels_per_answer: float
    """Mean number of labels per answer; nan without answers."""
    empty_answers: int
    """Number of answers without a label."""
    with_thinking: int = 0
    """Number of answers that include a model's reasoning: consistent mode drops it, the published parser reads it as
    labels."""

    @property
    def share(self) -> float:
        """Share of the tokens that are in the table; nan without tokens."""
        return 1.0 - sum(self.unknown.values()) / self.tokens if self.tokens else float('nan')


@dataclass(frozen=True)
class OpenVocabularyScore:
    """Every metric of one system under one table and one mode."""

    mode: Mode
    table: str
    """Name, version and hash of the word table."""
    table_sha256: str
    samples: int
    """Number of samples in the truth."""
    skipped: int
    """Number of samples without any true label; official scores also skip those whose truth folds to nothing."""
    metrics: Mapping[str, Mapping[str, Interval]]
    """Row ('W1-L1', 'EW-L1', 'near', 'HIT' …) to part ('n', 'precision', 'recall', 'f', 'f1' …) to its interval."""
    headline: tuple[str, str]
    """Row and part of the headline score."""
    truth: Coverage
    prediction: Coverage
    trivial: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Name of a trivial answer to its scores, by 'row part'."""
    trivial_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a trivial answer to its words."""
    ceiling: Ceiling | None = None
    """Largest score of any constant answer; None in official mode."""

    def value(self, row: str, part: str) -> Interval:
        """One metric with its interval."""
        return self.metrics[row][part]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an interval is value, low, high."""
        sides = {
            name: {
                'tokens': side.tokens,
                'coverage': side.share,
                'labels_per_answer': side.labels_per_answer,
                'empty_answers': side.empty_answers,
                'with_thinking': side.with_thinking,
                'unknown': dict(side.unknown),
            }
            for name, side in (('truth', self.truth), ('prediction', self.prediction))
        }
        return {
            'mode': self.mode,
            'table': self.table,
            'table_sha256': self.table_sha256,
            'samples': self.samples,
            'skipped': self.skipped,
            'headline': ' '.join(self.headline),
            'metrics': {
                row: {
                    part: {'value': interval.value, 'low': interval.low, 'high': interval.high}
                    for part, interval in parts.items()
                }
                for row, parts in self.metrics.items()
            },
            **sides,
            'trivial': {
                name: {'words': list(self.trivial_words[name]), **values} for name, values in self.trivial.items()
            },
            'ceiling_of_constants': dict(self.ceiling.values) if self.ceiling else None,
            'nearest_constants': {score_name: list(words) for score_name, words in self.ceiling.words.items()}
            if self.ceiling
            else None,
        }


def score_open_vocabulary(
    truth: Mapping[str, object],
    prediction: Mapping[str, object],
    table: WordTable,
    mode: Mode = 'consistent',
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    trivial: bool = True,
) -> OpenVocabularyScore:
    """All metrics of one system, with intervals, coverage and the scores of trivial answers.

    Args:
        truth: name of a sample to its answer: text in any of the usual forms, or a list of words.
        prediction: name of a sample to its answer; samples outside the truth are ignored.
        table: word table that folds the words.
        mode: `official` for published scores, `consistent` for scores that count every word.
        rng: generator of the resamples.
        resamples: number of bootstrap resamples over samples; with 0 the intervals are nan.
        trivial: whether to score trivial answers too.

    Returns:
        An OpenVocabularyScore. Where every truth is a single label, official mode adds HIT by wheel.

    Raises:
        TableError: there are no samples, a sample has no prediction, or there is no true label at all.
        UnknownNameError: unknown mode.
    """
    # 1. Parse both sides once.
    answers = _parsed(truth, prediction, table, mode)
    has_truth = answers.truth.sizes > 0
    if not has_truth.any():
        raise TableError(
            expected='true labels', came=f'{len(truth)} empty answers', todo='check which column holds the labels'
        )
    # 2. Score, with intervals.
    measure = _measure(answers, table, mode)
    estimates = intervals(measure.columns, measure.statistic, rng=rng, resamples=resamples)
    metrics = _by_row(measure.rows, estimates)
    is_single = mode == 'official' and bool((answers.truth.sizes[has_truth] == 1).all())
    labels = {name: str(label) for name, label in _single_labels(answers).items()} if is_single else {}
    if is_single:
        metrics |= _hits(labels, prediction, table, metrics)
    # 3. Scores of trivial answers, and the ceiling of constants.
    constants = trivial_answers(answers.truth, answers.vocabulary.words) if trivial else {}
    trivial_scores = {name: _trivial(truth, labels, words, table, mode) for name, words in constants.items()}
    ceiling = constant_ceiling(measure) if trivial and isinstance(measure, ConsistentMeasure) else None
    # 4. Words outside the table.
    folded_words = table.fold('M1', mode)
    return OpenVocabularyScore(
        mode=mode,
        table=table.label,
        table_sha256=table.sha256,
        samples=len(answers.names),
        skipped=int((~has_truth).sum()),
        metrics=metrics,
        headline=_headline(measure, is_single),
        truth=_coverage(answers.truth, answers.vocabulary.words, folded_words, count_thinking(truth.values())),
        prediction=_coverage(
            answers.prediction,
            answers.vocabulary.words,
            folded_words,
            count_thinking(prediction[name] for name in truth),
        ),
        trivial=trivial_scores,
        trivial_words=constants,
        ceiling=ceiling,
    )


def compare_open_vocabulary(
    truth: Mapping[str, object],
    left: Mapping[str, object],
    right: Mapping[str, object],
    table: WordTable,
    mode: Mode = 'consistent',
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> dict[str, tuple[Interval, float]]:
    """Difference of two systems, left minus right, for each metric, with paired interval and p-value.

    Args:
        truth: name of a sample to its answer.
        left: answers of one system, by sample.
        right: answers of the other system, by sample.
        table: word table that folds the words.
        mode: `official` or `consistent`.
        rng: generator of resamples and exchanges.
        resamples: number of resamples, and of exchanges.

    Returns:
        'row part' to (difference with interval, two-sided p-value).

    Raises:
        TableError: a sample of the truth lacks a prediction on a side.
        UnknownNameError: unknown mode.
    """
    measures = [_measure(_parsed(truth, side, table, mode), table, mode) for side in (left, right)]
    ours, theirs = measures
    shares = dict.fromkeys(ours.statistic(ours.columns[:1]), SHARE)  # numbers of samples (' n') are left out below
    tests = paired_test(ours.columns, theirs.columns, ours.statistic, rng=rng, resamples=resamples, bounds=shares)
    return {name: result for name, result in tests.items() if not name.endswith(' n')}


def _parsed(
    truth: Mapping[str, object], prediction: Mapping[str, object], table: WordTable, mode: Mode
) -> LabelledAnswers:
    if mode not in RULES:
        raise UnknownNameError(expected='official or consistent', came=repr(mode), todo='choose one')
    if not truth:
        raise TableError(expected='at least one sample', came='none', todo='check the file of the truth')
    parse = official_parse if mode == 'official' else consistent_parse(table)
    return LabelledAnswers.of(truth, prediction, parse)


def _measure(answers: LabelledAnswers, table: WordTable, mode: Mode) -> OfficialMeasure | ConsistentMeasure:
    if mode == 'official':
        return OfficialMeasure(table, answers)
    return ConsistentMeasure(table, answers.where(answers.truth.sizes > 0))


def _by_row(rows: tuple[str, ...], estimates: Mapping[str, Interval]) -> dict[str, dict[str, Interval]]:
    table: dict[str, dict[str, Interval]] = {row: {} for row in rows}
    for name, interval in estimates.items():
        row, part = name.split(' ', 1)
        table[row][part] = interval
    return table


def _headline(measure: OfficialMeasure | ConsistentMeasure, is_single: bool) -> tuple[str, str]:
    if isinstance(measure, ConsistentMeasure):
        return (measure.near[-1], 'f1')
    return ('HIT', 'hit rate') if is_single else ('EW-L1', 'f')


def _single_labels(answers: LabelledAnswers) -> dict[str, str]:
    """The label of each sample that has exactly one."""
    words, truth = answers.vocabulary.words, answers.truth
    return {
        name: words[truth.ids[start]]
        for name, start, size in zip(answers.names, truth.starts[:-1], truth.sizes, strict=True)
        if size
    }


def _hits(
    labels: Mapping[str, str],
    prediction: Mapping[str, object],
    table: WordTable,
    metrics: Mapping[str, Mapping[str, Interval]],
) -> dict[str, dict[str, Interval]]:
    """HIT by wheel; for single-label truth the hit rate is the recall, so its interval is taken from there."""
    rates = {}
    for name, hit in hit_rates(labels, prediction, table).items():
        row, source = ('HIT', 'EW-L1') if name == 'HIT' else (f'{name.removesuffix("-L1")}-HIT', name)
        rates[row] = {
            'n': metrics[source]['n'],
            'hit rate': metrics[source]['recall'],
            'mscore': Interval(hit.mscore, float('nan'), float('nan')),
        }
    return rates


def _trivial(
    truth: Mapping[str, object], labels: Mapping[str, str], words: tuple[str, ...], table: WordTable, mode: Mode
) -> dict[str, float]:
    """Every score of one constant answer."""
    constant = dict.fromkeys(truth, words)
    measure = _measure(_parsed(truth, constant, table, mode), table, mode)
    values = measure.statistic(measure.columns.sum(axis=0, keepdims=True))
    scores = {name: float(value[0]) for name, value in values.items() if not name.endswith(' n')}
    if labels:
        scores['HIT hit rate'] = hit_rates(labels, constant, table)['HIT'].hit_rate
    return scores


def _coverage(sets: LabelSets, words: list[str], folded_words: Mapping[str, str], with_thinking: int) -> Coverage:
    counts = Counter(sets.ids.tolist())
    unknown = {words[label]: count for label, count in counts.most_common() if words[label] not in folded_words}
    size = len(sets)
    return Coverage(
        len(sets.ids),
        unknown,
        len(sets.ids) / size if size else float('nan'),
        int((sets.sizes == 0).sum()),
        with_thinking,
    )
