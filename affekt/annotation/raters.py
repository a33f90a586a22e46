"""Figures about each rater: test, gold, agreement with others, side of the screen, response time."""

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
"""Values of `Vote.seen` for clips without playing time, or where it is unknown."""


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
    """Share of the other raters' votes on the same tasks that have the same outcome."""
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
        statuses: rater to the status of the test.
        tasks: task key to its pair.
        gold_share: share of gold items that must be right, as for the test; 0 for no such flag.
    """
    by_rater: dict[str, list[Vote]] = {name: [] for name in statuses}
    by_task: dict[str, list[Vote]] = {}
    for vote in votes:
        by_rater.setdefault(vote.rater, []).append(vote)
        if vote.phase == WORK and vote.outcome != 'skip':
            by_task.setdefault(vote.task, []).append(vote)
    figures = [_figures(name, given, statuses[name], tasks, by_task, gold_share) for name, given in by_rater.items()]
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
    given = [vote for vote in work if vote.outcome != 'skip']
    others = [
        other.outcome == vote.outcome for vote in given for other in by_task.get(vote.task, ()) if other.rater != name
    ]
    sides = [_side(vote) for vote in votes if vote.first and vote.outcome in ('left', 'right')]
    tested = [vote for vote in votes if vote.phase == TEST]
    test = [vote.outcome == tasks[vote.task].outcome for vote in tested if not vote.is_unplayed]
    judged = [vote for vote in votes if vote.outcome != 'skip']
    gold = [vote.outcome == tasks[vote.task].outcome for vote in judged if vote.phase == GOLD]
    seconds = [vote.seconds for vote in judged if vote.seconds > 0.0]
    watched = [vote.watched for vote in judged if vote.seen not in UNTIMED and not math.isnan(vote.watched)]
    record = RaterRecord(seconds, sides.count('left'), sides.count('right'), watched, sum(gold), len(gold), gold_share)
    return RaterFigures(
        name=name,
        status=status,
        votes=len(given),
        skips=len(work) - len(given),
        ties=sum(vote.outcome == 'tie' for vote in given),
        test_right=sum(test),
        test_of=len(test),
        test_unplayed=len(tested) - len(test),
        gold_right=sum(gold),
        gold_of=len(gold),
        agreement=float(np.mean(others)) if others else float('nan'),
        compared=len(others),
        left_share=float(np.mean([side == 'left' for side in sides])) if sides else float('nan'),
        seconds=median(seconds) if seconds else float('nan'),
        watched=median(watched) if watched else float('nan'),
        flags=JOINED.join(rater_flags(record)),
    )


def _side(vote: Vote) -> str:
    """The side of the screen that won."""
    return vote.outcome if vote.first == 'left' else TURNED[vote.outcome]
