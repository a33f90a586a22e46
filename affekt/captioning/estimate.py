"""What a run will cost and how long it will take, from the clips that are done: calls, tokens, money, time.

The first clips are taken evenly from the whole list, so that they stand for the others. For a sum over the m clips that
are left, of which n are known with mean x and standard deviation s, the interval is that of a sum to come:

    m x -+ t(n - 1) s sqrt(m m / n + m)

Source: prediction of a sum from a sample, for example Hahn and Meeker 1991, Statistical Intervals, section 4.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affekt.captioning.captions import Caption, Use
from affekt.judging import Price
from affekt.metrics import Interval

FIRST = 20
"""Clips that an estimate is made from."""
MILLION = 1_000_000
PRICED = ('audio', 'visual', 'merge', 'labels')
"""Steps that may have prices of their own; translations are the merging model's, second labels those of the labels."""
PAID_AS = {'translate': 'merge', 'second_labels': 'labels'}


@dataclass(frozen=True)
class Estimate:
    """What is known from the clips done, and what the whole run comes to."""

    done: int
    clips: int
    calls: Interval
    """Of the whole run, what is done included; so are all below."""
    prompt_tokens: Interval
    answer_tokens: Interval
    money: Interval | None
    """In the currency of the prices; None without prices."""
    seconds: Interval
    """Of the whole run at this many clips at once."""
    at_once: int
    uncounted: int
    """Calls among those done whose tokens the server did not count; they are missing above."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        values = dict(vars(self))
        for name, value in values.items():
            if isinstance(value, Interval):
                values[name] = {'value': value.value, 'low': value.low, 'high': value.high}
        return values


def money_of(use: Mapping[str, Use], prices: Mapping[str, Price]) -> float:
    """What the answers of a clip cost; `prices` has a price for each of `PRICED`."""
    return sum(
        (
            prices[PAID_AS.get(step, step)].prompt * each.prompt_tokens
            + prices[PAID_AS.get(step, step)].answer * each.answer_tokens
        )
        / MILLION
        for step, each in use.items()
    )


def estimated(
    captions: Sequence[Caption], clips: int, *, at_once: int, prices: Mapping[str, Price] | None = None
) -> Estimate:
    """The estimate for a run of so many clips.

    Args:
        captions: those done, at least one, a sample of all clips.
        clips: how many there are in all.
        at_once: clips in work at one time.
        prices: of a million tokens, by step of `PRICED`.
    """
    totals = [caption.total for caption in captions]
    times = [max(caption.seconds, total.seconds) / at_once for caption, total in zip(captions, totals, strict=True)]

    def whole(values: Sequence[float]) -> Interval:
        return sum_to_come(values, clips - len(captions))

    return Estimate(
        done=len(captions),
        clips=clips,
        calls=whole([total.calls for total in totals]),
        prompt_tokens=whole([total.prompt_tokens for total in totals]),
        answer_tokens=whole([total.answer_tokens for total in totals]),
        money=None if prices is None else whole([money_of(caption.use, prices) for caption in captions]),
        seconds=whole(times),
        at_once=at_once,
        uncounted=sum(total.uncounted for total in totals),
    )


def sum_to_come(known: Sequence[float], left: int, level: float = 0.95) -> Interval:
    """The sum of the known values and of as many more as are left, with the interval that holds it.

    Args:
        known: (n,) values of a random or even sample.
        left: values not known yet.
        level: coverage in (0, 1).

    Returns:
        low and high are those of nothing known, nan, where one value is; no side is below what is known already.

    >>> sum_to_come([2.0, 2.0, 2.0], 7)
    Interval(value=20.0, low=20.0, high=20.0, undefined=0)
    """
    from scipy.special import stdtrit

    values = np.asarray(known, np.float64)
    count, total = len(values), float(values.sum())
    value = total + left * float(values.mean())
    if not left:
        return Interval(total, total, total)
    if count < 2:
        return Interval(value, float('nan'), float('nan'))
    reach = (
        float(stdtrit(count - 1, (1 + level) / 2))
        * float(values.std(ddof=1))
        * float(np.sqrt(left * left / count + left))
    )
    return Interval(value, max(total, value - reach), value + reach)
