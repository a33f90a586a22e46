"""Report on a judge's verdicts: wins, ties, abstentions, position bias, consistency, cost, agreement with people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.judging.agreement import Agreement, agreement_with_people, reference_agreements
from affekt.judging.answers import official_verdict
from affekt.judging.judge import ABSTAIN, Answer, Judgement, Judgements
from affekt.labels import count_thinking
from affekt.metrics import Interval
from affekt.metrics.resampling import intervals
from affekt.preference import LEFT, RIGHT, TIE, swap_consistency, verdicts
from affekt.typed_json import plain

PROMPT_TOKENS, ANSWER_TOKENS = 'prompt_tokens', 'completion_tokens'


@dataclass(frozen=True)
class ModelUse:
    """Number of questions and tokens of one model, including cached answers."""

    model: str
    """Name under which the model answers."""
    questions: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    """Waiting time in seconds, summed over questions, including concurrent ones."""
    cost: float = math.nan
    """Cost in the currency of the prices; nan without a price."""


@dataclass(frozen=True)
class Price:
    """Prices of a million tokens."""

    prompt: float
    """Price of a million tokens of prompts."""
    answer: float
    """Price of a million tokens of answers."""


@dataclass(frozen=True)
class JudgeReport:
    """Statistics of a judge's verdicts."""

    judge: str
    """Name of the judge."""
    pairs: int
    """Number of pairs."""
    outcomes: Mapping[str, int]
    """Combined outcome (left, right, tie, abstain) to number of pairs."""
    disagreeing_orders: int
    """Number of pairs that count as ties because the two orders differ."""
    read_as: Mapping[str, int]
    """Way of reading (see `Reading.how`) to number of answers."""
    wins: Mapping[str, tuple[int, int, int, int]]
    """Describer to numbers of pairs won, lost, tied, and without a verdict."""
    first_wins: Interval
    """Share of decided showings that the side shown first won; 1/2 means no position bias."""
    consistency: Interval
    """Share of pairs with the same outcome in both orders, among those with two verdicts."""
    official_consistency: float
    """The same as computed by the released scripts, with unreadable answers as *same*."""
    use: tuple[ModelUse, ...]
    """Questions and tokens by model; () if no model was asked."""
    agreement: tuple[Agreement, ...] = ()
    """Agreement of the judge, then of the references; () if there are no people's verdicts."""
    with_thinking: int = 0
    """Number of answers, each question once, that include a model's reasoning, which was dropped."""
    descriptions_with_thinking: int = 0
    """Number of descriptions, each once, that include a describer's reasoning, which was not judged."""
    left_out: int = 0
    """Number of pairs that could not be made because one describer has no description of the sample."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """Pairs without a verdict because the clip cannot be read or the server refuses the question, to the reason."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nan as None: ready for JSON."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def report_on(
    judged: Judgements,
    preferences: Sequence[str] | None = None,
    *,
    prices: Mapping[str, Price] | None = None,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> JudgeReport:
    """Statistics of a judge's verdicts.

    Args:
        judged: verdicts on N pairs.
        preferences: (N,) left, right or tie, as people judged; None if they did not.
        prices: name under which a model answers to its prices.
        rng: generator of the resamples of the intervals, over samples.
        resamples: number of resamples.
    """
    rows = judged.rows
    outcomes = Counter(row.outcome for row in rows)
    shares = intervals(
        np.asarray([_showing_sums(row) for row in rows]).reshape(len(rows), 4),
        _shares,
        rng=rng,
        resamples=resamples,
        groups=np.asarray([row.pair.sample for row in rows]),
    )
    return JudgeReport(
        judge=judged.judge,
        pairs=len(rows),
        outcomes={name: outcomes[name] for name in (LEFT, RIGHT, TIE, ABSTAIN)},
        disagreeing_orders=sum(row.is_consistent is False for row in rows),
        read_as=dict(sorted(Counter(verdict.how for row in rows for verdict in row.verdicts if verdict.how).items())),
        wins=_wins(rows),
        first_wins=shares['first'],
        consistency=shares['consistent'],
        official_consistency=_official_consistency(rows),
        use=_use(rows, prices or {}),
        with_thinking=count_thinking(answer.reply.text for answer in _distinct_answers(rows)),
        descriptions_with_thinking=_descriptions_with_thinking(rows),
        agreement=()
        if preferences is None
        else (
            agreement_with_people(judged, preferences, rng=rng, resamples=resamples),
            *reference_agreements(judged, preferences, rng=rng, resamples=resamples),
        ),
        unanswered={
            f'{row.pair.sample}, {row.pair.left} and {row.pair.right}': verdict.unanswered
            for row in rows
            for verdict in row.verdicts
            if verdict.unanswered
        },
    )


def _showing_sums(row: Judgement) -> tuple[float, float, float, float]:
    """Showings that the first side won, decided showings, pairs with equal verdicts, pairs with two verdicts."""
    decided = [verdict for verdict in row.verdicts if verdict.outcome in (LEFT, RIGHT)]
    first = sum(verdict.outcome == verdict.order for verdict in decided)
    return first, len(decided), float(row.is_consistent is True), float(row.is_consistent is not None)


def _shares(sums: Floats) -> dict[str, Floats]:
    with np.errstate(invalid='ignore', divide='ignore'):
        return {'first': sums[:, 0] / sums[:, 1], 'consistent': sums[:, 2] / sums[:, 3]}


def _wins(rows: Sequence[Judgement]) -> dict[str, tuple[int, int, int, int]]:
    tally: dict[str, list[int]] = {}
    for row in rows:
        columns = {LEFT: (0, 1), RIGHT: (1, 0), TIE: (2, 2), ABSTAIN: (3, 3)}[row.outcome]
        for name, column in zip((row.pair.left, row.pair.right), columns, strict=True):
            tally.setdefault(name, [0, 0, 0, 0])[column] += 1
    return {name: (wins, losses, ties, undecided) for name, (wins, losses, ties, undecided) in sorted(tally.items())}


def _official_consistency(rows: Sequence[Judgement]) -> float:
    answers = [(row.left_first.raw, row.right_first.raw) for row in rows if row.left_first and row.right_first]
    parsed = [
        (official_verdict(left_first), official_verdict(right_first))
        for left_first, right_first in answers
        if left_first is not None and right_first is not None
    ]
    return swap_consistency(
        verdicts([left_first for left_first, _ in parsed]), verdicts([right_first for _, right_first in parsed])
    )


def _distinct_answers(rows: Sequence[Judgement]) -> list[Answer]:
    """The answers of all models, each question once."""
    by_key = {answer.key: answer for row in rows for verdict in row.verdicts for answer in verdict.answers}
    return list(by_key.values())


def _descriptions_with_thinking(rows: Sequence[Judgement]) -> int:
    """Number of descriptions with reasoning, each sample and describer once."""
    return len(
        {
            (row.pair.sample, name)
            for row in rows
            for name, has_thinking in zip((row.pair.left, row.pair.right), row.pair.has_thinking, strict=True)
            if has_thinking
        }
    )


def _use(rows: Sequence[Judgement], prices: Mapping[str, Price]) -> tuple[ModelUse, ...]:
    """Number of questions and tokens of each model."""
    models: dict[str, list[Answer]] = {}
    for answer in _distinct_answers(rows):
        models.setdefault(answer.reply.model, []).append(answer)
    uses = []
    for model, answers in sorted(models.items()):
        prompt_tokens, answer_tokens = (
            sum(_tokens(answer, key) for answer in answers) for key in (PROMPT_TOKENS, ANSWER_TOKENS)
        )
        price = prices.get(model)
        cost = math.nan if price is None else (prompt_tokens * price.prompt + answer_tokens * price.answer) / 1e6
        seconds = sum(answer.reply.seconds for answer in answers)
        uses.append(ModelUse(model, len(answers), prompt_tokens, answer_tokens, round(seconds, 3), cost))
    return tuple(uses)


def _tokens(answer: Answer, key: str) -> int:
    """Number of tokens as counted by the server; 0 where it does not report it."""
    value = answer.reply.usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
