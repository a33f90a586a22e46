"""Estimate of a run's calls, tokens, cost and time from its finished clips.

The first clips are drawn from all parts of the list (`spread_first`), so that they represent the others. For a sum over
the m remaining clips, given n known ones with mean x and standard deviation s, the prediction interval is

    m x -+ t(n - 1) s sqrt(m m / n + m)

Where all known values are equal, s says nothing about the others, and there is no interval (as in `affekt.metrics`).
Time comes from clips that were in progress with as many others as in the rest of the run, divided by that number
(Little's law): the first clips of a process wait for decoders to load and servers to warm up, and are not
representative.

Source: prediction of a sum from a sample, for example Hahn and Meeker 1991, Statistical Intervals, section 4.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from affekt.captioning.captions import OK, Caption, Use
from affekt.judging import Price
from affekt.metrics import Interval

FIRST = 20
"""Default number of clips on which an estimate is based."""
MILLION = 1_000_000
PRICED = ('audio', 'visual', 'merge', 'labels')
"""Steps that may have prices of their own; translations cost as the merge, second labels as the labels."""
PAID_AS = {'translate': 'merge', 'second_labels': 'labels'}


@dataclass(frozen=True)
class Estimate:
    """Totals of the whole run, estimated from finished clips."""

    done: int
    clips: int
    calls: Interval
    """Calls of the whole run, finished clips included; likewise all totals below."""
    prompt_tokens: Interval
    answer_tokens: Interval
    money: Interval | None
    """Cost in the currency of the prices; None without prices."""
    seconds: Interval
    """Duration of the whole run at this concurrency."""
    at_once: int
    uncounted: int
    """Finished calls whose tokens the server did not count; they are missing above."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        values = dict(vars(self))
        for name, value in values.items():
            if isinstance(value, Interval):
                values[name] = {'value': value.value, 'low': value.low, 'high': value.high}
        return values


class Spent(NamedTuple):
    """Use and time of a clip; nothing else of it stays in memory until the tables are written."""

    status: str
    calls: int
    prompt_tokens: int
    answer_tokens: int
    uncounted: int
    money: float
    """Cost in the currency of the prices; nan without prices."""
    seconds: float
    """Seconds from the first byte read to the last answer, cached answers included."""
    lacking: tuple[str, ...] = ()
    """Steps without a clue, with the clue's status, such as `audio unreadable`."""
    at_once: int = 0
    """Clips in progress at the same time, itself included; 0 if unknown, or just after a start."""
    unreadable: str = ''
    """Why its files cannot be read; '' if they can."""


def spent_on(caption: Caption, prices: Mapping[str, Price] | None, at_once: int = 0) -> Spent:
    """Use and time of a clip.

    Args:
        caption: caption of the clip.
        prices: prices of a million tokens, by step of `PRICED`; None for none.
        at_once: clips in progress at the same time; see `Spent`.
    """
    total = caption.total
    money = float('nan') if prices is None else money_of(caption.use, prices)
    clues = {'audio': caption.audio_status, 'visual': caption.visual_status}
    lacking = tuple(f'{step} {status}' for step, status in clues.items() if status not in ('', OK))
    return Spent(
        caption.status, total.calls, total.prompt_tokens, total.answer_tokens, total.uncounted, money,
        max(caption.seconds, total.seconds), lacking, at_once, caption.unreadable,
    )  # fmt: skip


def money_of(use: Mapping[str, Use], prices: Mapping[str, Price]) -> float:
    """Cost of the answers of a clip; `prices` has a price for each of `PRICED`."""
    return sum(
        (
            prices[PAID_AS.get(step, step)].prompt * step_use.prompt_tokens
            + prices[PAID_AS.get(step, step)].answer * step_use.answer_tokens
        )
        / MILLION
        for step, step_use in use.items()
    )


def estimated(
    captions: Sequence[Caption], clips: int, *, at_once: int, prices: Mapping[str, Price] | None = None
) -> Estimate:
    """The estimate for a run.

    Args:
        captions: finished captions, at least one, a sample of all clips.
        clips: number of clips in all.
        at_once: clips in progress at the same time.
        prices: prices of a million tokens, by step of `PRICED`; None for none.
    """
    return estimate_from([spent_on(caption, prices) for caption in captions], clips, at_once=at_once)


def estimate_from(done: Sequence[Spent], clips: int, *, at_once: int) -> Estimate:
    """The estimate from finished clips; time from those with the same concurrency, if there are at least two.

    Args:
        done: a sample of all clips, at least one.
        clips: number of clips in all.
        at_once: clips in progress at the same time.
    """
    left = clips - len(done)
    steady = [spent.seconds / at_once for spent in done if spent.at_once == at_once]
    seconds = [spent.seconds / at_once for spent in done]

    def whole(name: str) -> Interval:
        return sum_to_come([getattr(spent, name) for spent in done], left)

    return Estimate(
        done=len(done),
        clips=clips,
        calls=whole('calls'),
        prompt_tokens=whole('prompt_tokens'),
        answer_tokens=whole('answer_tokens'),
        money=None if any(np.isnan(spent.money) for spent in done) else whole('money'),
        seconds=sum_to_come(seconds, left, steady if len(steady) > 1 else seconds),
        at_once=at_once,
        uncounted=sum(spent.uncounted for spent in done),
    )


def sum_to_come(
    known: Sequence[float], left: int, sample: Sequence[float] | None = None, level: float = 0.95
) -> Interval:
    """The predicted sum of the known values and the remaining ones, with its prediction interval.

    Args:
        known: known values of the sum.
        left: number of unknown values.
        sample: (n,) values that represent the unknown ones; None takes the known ones.
        level: coverage in (0, 1).

    Returns:
        low and high are nan for a single known value, and where all are equal; neither is below the sum of the known
        values.

    >>> print(sum_to_come([1.0, 2.0, 3.0], 7))
    20.000 [6.000, 40.784]
    >>> print(sum_to_come([2.0, 2.0, 2.0], 7))
    20.000 (no interval)
    """
    from scipy.special import stdtrit

    values = np.asarray(known if sample is None else sample, np.float64)
    count, total = len(values), float(np.sum(known))
    value = total + left * float(values.mean())
    if not left:
        return Interval(total, total, total)
    if count < 2 or float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max()):
        return Interval(value, float('nan'), float('nan'))
    reach = (
        float(stdtrit(count - 1, (1 + level) / 2))
        * float(values.std(ddof=1))
        * float(np.sqrt(left * left / count + left))
    )
    return Interval(value, max(total, value - reach), value + reach)
