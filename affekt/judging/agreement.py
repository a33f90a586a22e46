"""Agreement of a judge with people: the published scores, forms that treat both sides alike, and references.

`as published`: one order, the left text first, answers read by `official_verdict`; with 2 classes, pairs that people
tied are dropped and a predicted *same* counts as a1; with 3 classes all are kept. This favours a1. `both orders`: every
showing counts, with weight 1/2 where there are two; with 2 classes a tie or an abstention is half a vote for each side;
with 3 an abstention is wrong.

Axes: N pairs, R resamples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats
from affekt.errors import ShapeError
from affekt.judging.answers import FIRST, SECOND, official_verdict
from affekt.judging.judge import ABSTAIN, Judgements, Verdict, judge_pairs
from affekt.judging.plain_judges import TO_BEAT, reference_judge
from affekt.metrics import Interval
from affekt.metrics.resampling import intervals
from affekt.preference import LEFT, RIGHT, TIE

SIDES = (LEFT, RIGHT)
"""Classes of the 2-class scores."""
CLASSES = (LEFT, RIGHT, TIE)
"""Classes of the 3-class scores."""
FIGURES = ('waf2', 'acc2', 'waf3', 'acc3')
"""Weighted F1 and accuracy of two and of three classes."""


@dataclass(frozen=True)
class Agreement:
    """A judge's agreement with people; shares from 0 to 1, nan where no pair counts."""

    judge: str
    """Name of the judge."""
    published: Mapping[str, Interval]
    """`waf2`, `acc2`, `waf3`, `acc3` as computed by the released scripts."""
    both_orders: Mapping[str, Interval]
    """The same four, with both sides treated alike."""
    kappa: Interval
    """Cohen's kappa of the combined outcomes, three classes, abstentions left out."""


def agreement_with_people(
    judged: Judgements, preferences: Sequence[str], *, rng: np.random.Generator, resamples: int = 1000
) -> Agreement:
    """Agreement scores of one judge, each with a bootstrap interval over samples.

    Args:
        judged: verdicts on N pairs.
        preferences: (N,) left, right or tie, as people judged.
        rng: generator of the resamples.
        resamples: number of resamples.

    Raises:
        ShapeError: the number of preferences is not N.
    """
    if len(preferences) != len(judged.rows):
        raise ShapeError(
            expected=f'{len(judged.rows)} preferences', came=f'{len(preferences)}', todo='give one for each pair'
        )
    groups = [row.pair.sample for row in judged.rows]

    def intervals_of(columns: Floats, statistic: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Interval]:
        return intervals(
            columns, statistic, rng=rng, resamples=resamples, groups=np.asarray(groups),
            bounds={'kappa': (-1.0, 1.0)},
        )  # fmt: skip

    published = [_published(row.left_first) for row in judged.rows]
    outcomes = [[verdict.outcome for verdict in row.verdicts] for row in judged.rows]
    return Agreement(
        judged.judge,
        {
            **intervals_of(
                _table(preferences, [_whole(outcome, {TIE: LEFT}) for outcome in published], SIDES), _scores(2)
            ),
            **intervals_of(_table(preferences, [_whole(outcome, {}) for outcome in published], CLASSES), _scores(3)),
        },
        {
            **intervals_of(_table(preferences, [_halves(showings) for showings in outcomes], SIDES), _scores(2)),
            **intervals_of(_table(preferences, [_shares(showings) for showings in outcomes], CLASSES), _scores(3)),
        },
        intervals_of(_table(preferences, [_whole(row.outcome, {}) for row in judged.rows], CLASSES), _kappa)['kappa'],
    )


def reference_agreements(
    judged: Judgements, preferences: Sequence[str], *, rng: np.random.Generator, resamples: int = 1000
) -> tuple[Agreement, ...]:
    """Agreement scores, on the same pairs, of the judges of TO_BEAT, which do not read the texts.

    Args:
        judged, preferences, rng, resamples: see `agreement_with_people`.
    """
    pairs = [row.pair for row in judged.rows]
    return tuple(
        agreement_with_people(judge_pairs(pairs, reference_judge(name)), preferences, rng=rng, resamples=resamples)
        for name in TO_BEAT
    )


def _published(verdict: Verdict | None) -> str:
    """The verdict as the released scripts would read it; an abstention is their *same*."""
    if verdict is None:
        return TIE
    if verdict.raw is None:
        return TIE if verdict.outcome == ABSTAIN else verdict.outcome
    return {FIRST: LEFT, SECOND: RIGHT}.get(official_verdict(verdict.raw), TIE)


Shares = dict[str, float]
"""Outcome to its weight; weights sum to 1."""


def _whole(outcome: str, replacements: Mapping[str, str]) -> Shares:
    """The outcome, or its replacement, with the whole weight."""
    return {replacements.get(outcome, outcome): 1.0}


def _shares(outcomes: Sequence[str]) -> Shares:
    """Outcomes of all showings, with equal weights."""
    shares: Shares = {}
    for outcome in outcomes:
        shares[outcome] = shares.get(outcome, 0.0) + 1.0 / len(outcomes)
    return shares


def _halves(outcomes: Sequence[str]) -> Shares:
    """Outcomes of all showings, with equal weights; ties and abstentions give half to each side."""
    shares = _shares(outcomes) or {TIE: 1.0}
    undecided = shares.pop(TIE, 0.0) + shares.pop(ABSTAIN, 0.0)
    return {side: shares.get(side, 0.0) + undecided / 2.0 for side in SIDES}


def _table(truth: Sequence[str], predicted: Sequence[Shares], classes: Sequence[str]) -> Floats:
    """(N, C * (C + 1)) confusion table of each pair; the last column is for outcomes outside the classes."""
    size = len(classes)
    table = np.zeros((len(truth), size, size + 1))
    for index, (expected, shares) in enumerate(zip(truth, predicted, strict=True)):
        if expected in classes:
            row = table[index, classes.index(expected)]
            row[:size] = [shares.get(name, 0.0) for name in classes]
            row[size] = 1.0 - row[:size].sum()
    return table.reshape(len(truth), -1)


def _scores(size: int) -> Callable[[Floats], dict[str, Floats]]:
    """Weighted F1 and accuracy from (R, C * (C + 1)) sums."""

    def scores(sums: Floats) -> dict[str, Floats]:
        table = sums.reshape(-1, size, size + 1)  # (R, C, C + 1)
        hits, support = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2)
        total = support.sum(axis=1)
        total_counts = support + table[:, :, :size].sum(axis=1)
        f1 = np.divide(2.0 * hits, total_counts, out=np.zeros_like(hits), where=total_counts > 0)
        return {
            f'waf{size}': _ratio((f1 * support).sum(axis=1), total),
            f'acc{size}': _ratio(hits.sum(axis=1), total),
        }

    return scores


def _kappa(sums: Floats) -> dict[str, Floats]:
    """Cohen's kappa from (R, C * (C + 1)) sums, without the last column."""
    size = len(CLASSES)
    table = sums.reshape(-1, size, size + 1)[:, :, :size]
    total = table.sum(axis=(1, 2))
    observed = _ratio(np.trace(table, axis1=1, axis2=2), total)
    chance = _ratio((table.sum(axis=1) * table.sum(axis=2)).sum(axis=1), total**2)
    return {'kappa': _ratio(observed - chance, 1.0 - chance)}


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """(R,) quotients; nan where the denominator is not above 0."""
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
