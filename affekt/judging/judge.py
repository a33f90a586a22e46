"""The interface of judges, which say which of two descriptions of a sample is better, asked in both orders.

The input is pairs of descriptions (`DescribedPair`, read by `described.py`) and a `Judge`, the output `Judgements`: one
outcome per pair, with the verdict in each order. A judge receives a pair with one side shown first and answers left,
right, tie, or that it cannot decide. `LanguageModelJudge` (`language_judge.py`) uses models; `plain_judges.py` has
people's verdicts from files, a trained preference model, and baselines that do not read. A judge of your own needs a
name and one method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from affekt.errors import ValueRangeError
from affekt.llm import Reply, in_order
from affekt.preference import LEFT, RIGHT, TIE, DescribedPair
from affekt.progress import Progress

ABSTAIN = 'abstain'
"""Outcome of a judge that cannot decide."""
OTHER_SIDE = {LEFT: RIGHT, RIGHT: LEFT, TIE: TIE, ABSTAIN: ABSTAIN}
"""Outcome to the outcome with the sides exchanged."""
ORDERS = (LEFT, RIGHT)
"""Side that is shown first; every pair is shown in both orders."""


@dataclass(frozen=True)
class Answer:
    """One answer of a language model on the way to a verdict."""

    step: str
    """Type of the question: `describe`, `judge`, `argue` or `extract`."""
    reply: Reply
    """The model's answer, unchanged."""
    key: str
    """Key of the question: equal questions have the same key, and are asked once."""


@dataclass(frozen=True)
class Verdict:
    """A judge's verdict on one pair in one order."""

    outcome: str
    """left, right, tie or abstain: sides of the pair, whichever was shown first."""
    order: str
    """The side that was shown first."""
    how: str = ''
    """How the verdict was found in the answer; '' if nothing had to be parsed."""
    answers: tuple[Answer, ...] = ()
    """Raw answers in the order in which they were given; the last one contains the verdict."""
    unanswered: str = ''
    """Reason why there is no answer: the clip cannot be read, or the server refuses the question; '' with an answer."""

    @property
    def raw(self) -> str | None:
        """The unchanged answer that contains the verdict; None if no model was asked."""
        return self.answers[-1].reply.text if self.answers else None


class Judge(Protocol):
    """Compares two descriptions of one sample."""

    @property
    def name(self) -> str:
        """The rater's name in the verdicts."""

    def verdict(self, pair: DescribedPair, order: str) -> Verdict | None:
        """The verdict when the side `order` is shown first; None if the judge has none for that order.

        Raises:
            LLMError: a language model gave no answer.
        """


@dataclass(frozen=True)
class Judgement:
    """One pair and its verdicts."""

    pair: DescribedPair
    left_first: Verdict | None
    """Verdict with the left side shown first; None if the judge has none."""
    right_first: Verdict | None
    """Verdict with the right side shown first; None if the judge has none."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts that exist, left first."""
        return tuple(verdict for verdict in (self.left_first, self.right_first) if verdict is not None)

    @property
    def is_consistent(self) -> bool | None:
        """Whether both orders have the same outcome; None if one order is missing, or is an abstention."""
        outcomes = [verdict.outcome for verdict in self.verdicts]
        return None if len(outcomes) < 2 or ABSTAIN in outcomes else outcomes[0] == outcomes[1]

    @property
    def outcome(self) -> str:
        """Outcome over both orders: the common one; a tie if they differ; abstain if either abstains."""
        outcomes = {verdict.outcome for verdict in self.verdicts}
        if ABSTAIN in outcomes or not outcomes:
            return ABSTAIN
        return outcomes.pop() if len(outcomes) == 1 else TIE


@dataclass(frozen=True)
class Judgements:
    """One judge's verdicts on many pairs."""

    judge: str
    """Name of the judge."""
    rows: tuple[Judgement, ...]
    """One judgement per pair."""


def judge_pairs(
    pairs: Sequence[DescribedPair], judge: Judge, *, at_once: int = 1, progress: Progress | None = None
) -> Judgements:
    """The verdicts of a judge on pairs, each in both orders.

    Args:
        pairs: pairs to judge, each combination of sample, left and right once.
        judge: the judge; called from several threads if `at_once` is above 1.
        at_once: number of pairs judged concurrently; more than 1 is useful for language models on a server.
        progress: called with 'judge', pairs done and total pairs.

    Returns:
        Judgements in the order of the pairs.

    Raises:
        ValueRangeError: at_once is below 1.
        LLMError: a language model gave no answer. Answers in a `RememberingChat` are kept: repeat the same call.
    """
    if at_once < 1:
        raise ValueRangeError(expected='at_once of 1 or more', came=str(at_once), todo='give for example 4')

    def in_both_orders(pair: DescribedPair) -> Judgement:
        return Judgement(pair, judge.verdict(pair, LEFT), judge.verdict(pair, RIGHT))

    rows: list[Judgement] = []
    for row in in_order(in_both_orders, pairs, at_once, 'judge'):
        rows.append(row)
        if progress:
            progress('judge', len(rows), len(pairs))
    return Judgements(judge.name, tuple(rows))
