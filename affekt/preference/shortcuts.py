"""Baselines of preference scores: rules that ignore emotion, and agreement among people.

A rule gives verdicts on the pairs and on the swapped pairs. Rules that depend on who usually wins learn it from
training pairs; without any they use the judged pairs themselves, in hindsight, which is the most that such a rule could
reach there.

Axes: N pairs, J annotators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Ints
from affekt.metrics import mean_defined
from affekt.preference.pairs import Pairs, majority
from affekt.preference.scores import even_accuracy
from affekt.ranking import text_lengths

OPENING_WORDS = 3
"""Number of words of an opening."""
COMMON_OPENING = 0.05
"""Share of texts that must begin alike for an opening to be used."""


@dataclass(frozen=True)
class Answers:
    """Verdicts of a judge, rule or model."""

    forward: Ints
    """(N,) verdicts on the pairs as given."""
    swapped: Ints | None = None
    """(N,) answers on the swapped pairs, not mapped back: 1 for the text then on the left; None where unknown."""


def shortcuts(pairs: Pairs, learned_from: Pairs | None = None) -> dict[str, Answers]:
    """Verdicts of every rule that these pairs allow.

    Args:
        pairs: pairs to answer.
        learned_from: judged pairs from which rules learn who usually wins; None for `pairs`, in hindsight.

    Returns:
        Name of a rule to its verdicts: `longer text`, `source that wins` (where sources are known), `opening that wins`
        (where texts begin alike), `most frequent`, `always a1` and `always a2`.
    """
    training = learned_from if learned_from is not None else pairs
    side = np.sign(text_lengths(pairs.left, pairs.right)).astype(np.int64)
    answers = {'longer text': _antisymmetric(side)}
    if pairs.left_source and training.left_source:
        wins = _net_wins(training.left_source, training.right_source, training.truth)
        answers['source that wins'] = _antisymmetric(_side_of_winner(wins, pairs.left_source, pairs.right_source))
    openings = _common_openings(training)
    if openings:
        wins = _net_wins(_openings(training.left, openings), _openings(training.right, openings), training.truth)
        answers['opening that wins'] = _antisymmetric(
            _side_of_winner(wins, _openings(pairs.left, openings), _openings(pairs.right, openings))
        )
    counts = {value: int((training.truth == value).sum()) for value in (1, -1, 0)}
    for name, value in (
        ('most frequent', max(counts, key=lambda verdict: counts[verdict])),
        ('always a1', 1),
        ('always a2', -1),
    ):
        answer = np.full(len(pairs), value, np.int64)
        answers[name] = Answers(answer, answer)
    return answers


def annotator_agreement(pairs: Pairs) -> dict[str, float]:
    """Even accuracy of annotators against each other; empty without votes or with one annotator.

    Returns:
        `another annotator`: even accuracy of one annotator against each other one, over all ordered pairs of
            annotators; the first must have decided a pair, as everywhere here.
        `the majority`: against the majority of all, which includes the annotator's own vote, so it is too high.
        `majority of the others`: where the others agree on a side.
    """
    if pairs.votes is None or pairs.votes.shape[1] < 2:
        return {}
    votes = pairs.votes
    annotators = range(votes.shape[1])
    pairwise = [even_accuracy(votes[:, j], votes[:, k]) for j in annotators for k in annotators if j != k]
    against_others = [even_accuracy(majority(np.delete(votes, j, axis=1)), votes[:, j]) for j in annotators]
    return {
        'another annotator': mean_defined(np.array(pairwise)),
        'the majority': mean_defined(np.array([even_accuracy(majority(votes), votes[:, j]) for j in annotators])),
        'majority of the others': mean_defined(np.array(against_others)),
    }


def against_annotators(pairs: Pairs, forward: Ints) -> float:
    """Mean even accuracy of verdicts against each annotator, comparable with `another annotator`."""
    if pairs.votes is None:
        return float('nan')
    return mean_defined(np.array([even_accuracy(votes, forward) for votes in pairs.votes.T]))


def _antisymmetric(side: Ints) -> Answers:
    """Answers of a rule that treats both sides alike."""
    return Answers(side, -side)


def _side_of_winner(wins: Mapping[str, float], left: Sequence[str], right: Sequence[str]) -> Ints:
    """The side whose name usually wins; 0 if both have the same record."""
    differences = [wins.get(a, 0.0) - wins.get(b, 0.0) for a, b in zip(left, right, strict=True)]
    return np.sign(differences).astype(np.int64)


def _net_wins(left: Sequence[str], right: Sequence[str], truth: Ints) -> dict[str, float]:
    """Wins minus losses, divided by comparisons plus 2, so that rare names count little."""
    tallies: dict[str, list[float]] = {}
    for first, second, outcome in zip(left, right, truth, strict=True):
        if first != second:
            for name, gain in ((first, outcome), (second, -outcome)):
                tally = tallies.setdefault(name, [0.0, 2.0])
                tally[0] += gain
                tally[1] += 1.0
    return {name: gain / divisor for name, (gain, divisor) in tallies.items()}


def _openings(texts: Sequence[str], common: Collection[str]) -> list[str]:
    """The opening of each text, where it is common; '' otherwise."""
    openings = [' '.join(text.lower().split()[:OPENING_WORDS]) for text in texts]
    return [opening if opening in common else '' for opening in openings]


def _common_openings(pairs: Pairs) -> frozenset[str]:
    counts = Counter(' '.join(text.lower().split()[:OPENING_WORDS]) for text in (*pairs.left, *pairs.right))
    return frozenset(opening for opening, count in counts.items() if count >= COMMON_OPENING * 2 * len(pairs))
