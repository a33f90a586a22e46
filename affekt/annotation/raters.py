"""Figures about each rater: results on test and gold items, agreement, chosen side of the screen, response time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from affekt.annotation.state import GOLD, TEST, TURNED, WORK, Vote
from affekt.annotation.study import comparisons_of
from affekt.errors import AffektError
from affekt.metrics import krippendorff_alpha
from affekt.preference import DescribedPair
from affekt.ranking import JOINED, RaterRecord, rater_flags, ratings_of

UNTIMED = ('', 'no clip', 'picture')
"""Values of `Vote.seen` for clips without a duration, or of unknown duration."""


@dataclass(frozen=True)
class RaterFigures:
    """Figures about one rater; shares and medians are nan where there are no votes to count."""

    name: str
    status: str
    votes: int
    """Work votes, without skips."""
    skips: int
    ties: int
    test_right: int
    test_of: int
    test_unplayed: int
    """Test items skipped because their clip could not be played; not in `test_of`."""
    gold_right: int
    gold_of: int
    """Gold items judged after the test, without skips."""
    agreement: float
    """Share of other raters' votes on the same tasks that have the same outcome."""
    compared: int
    """Number of the other raters' votes that were compared."""
    left_share: float
    """Share of left wins (on the screen) among votes with a winner and a known order."""
    seconds: float
    """Median time from display to choice in seconds, without skips."""
    watched: float
    """Median share played of the clips that could be played, without skips."""
    flags: str
    """Reasons to doubt the rater, as in `affekt.ranking.rater_flags`; '' for none."""


def rater_figures(
    votes: Sequence[Vote], statuses: Mapping[str, str], tasks: Mapping[str, DescribedPair], gold_share: float = 0.0
) -> tuple[RaterFigures, ...]:
    """Figures of every rater who joined or was imported, most votes first.

    Args:
        votes: votes that count.
        statuses: rater to status in the test.
        tasks: task key to its pair.
        gold_share: share of gold items that must be right, as for the test; 0 for no such flag.
    """
    by_rater: dict[str, list[Vote]] = {name: [] for name in statuses}
    by_task: dict[str, list[Vote]] = {}
    for vote in votes:
        by_rater.setdefault(vote.rater, []).append(vote)
        if vote.phase == WORK and vote.outcome != 'skip':
            by_task.setdefault(vote.task, []).append(vote)
    figures = [_figures(name, own, statuses[name], tasks, by_task, gold_share) for name, own in by_rater.items()]
    return tuple(sorted(figures, key=lambda rater: (-rater.votes, rater.name)))


def flags_of(figures: Sequence[RaterFigures]) -> dict[str, tuple[str, ...]]:
    """Rater to flags, for raters with flags."""
    return {rater.name: tuple(rater.flags.split(JOINED)) for rater in figures if rater.flags}


def shared_agreement(votes: Sequence[Vote], tasks: Mapping[str, DescribedPair]) -> float:
    """Krippendorff's alpha over the work votes; nan where no task has two."""
    kept = [vote for vote in votes if vote.phase == WORK and vote.outcome != 'skip']
    if len(kept) < 2:
        return float('nan')
    try:
        return krippendorff_alpha(ratings_of(comparisons_of(kept, tasks)))
    except AffektError:
        return float('nan')


def _figures(
    name: str, votes: Sequence[Vote], status: str, tasks: Mapping[str, DescribedPair],
    by_task: Mapping[str, Sequence[Vote]], gold_share: float,
) -> RaterFigures:  # fmt: skip
    work = [vote for vote in votes if vote.phase == WORK]
    verdicts = [vote for vote in work if vote.outcome != 'skip']
    matches = [
        other.outcome == vote.outcome
        for vote in verdicts
        for other in by_task.get(vote.task, ())
        if other.rater != name
    ]
    sides = [_side(vote) for vote in votes if vote.first and vote.outcome in ('left', 'right')]
    test_votes = [vote for vote in votes if vote.phase == TEST]
    test_results = [vote.outcome == tasks[vote.task].outcome for vote in test_votes if not vote.is_unplayed]
    without_skips = [vote for vote in votes if vote.outcome != 'skip']
    gold_results = [vote.outcome == tasks[vote.task].outcome for vote in without_skips if vote.phase == GOLD]
    seconds = [vote.seconds for vote in without_skips if vote.seconds > 0.0]
    watched = [vote.watched for vote in without_skips if vote.seen not in UNTIMED and not math.isnan(vote.watched)]
    record = RaterRecord(
        seconds, sides.count('left'), sides.count('right'), watched, sum(gold_results), len(gold_results), gold_share
    )
    return RaterFigures(
        name=name,
        status=status,
        votes=len(verdicts),
        skips=len(work) - len(verdicts),
        ties=sum(vote.outcome == 'tie' for vote in verdicts),
        test_right=sum(test_results),
        test_of=len(test_results),
        test_unplayed=len(test_votes) - len(test_results),
        gold_right=sum(gold_results),
        gold_of=len(gold_results),
        agreement=float(np.mean(matches)) if matches else float('nan'),
        compared=len(matches),
        left_share=float(np.mean([side == 'left' for side in sides])) if sides else float('nan'),
        seconds=median(seconds) if seconds else float('nan'),
        watched=median(watched) if watched else float('nan'),
        flags=JOINED.join(rater_flags(record)),
    )


def _side(vote: Vote) -> str:
    """The side of the screen that won."""
    return vote.outcome if vote.first == 'left' else TURNED[vote.outcome]
