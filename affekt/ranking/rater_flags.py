"""Flags of unreliable raters: one rule for the leaderboard, the tables and `affekt rank`.

A flag does not remove anybody. Votes of flagged raters count, and a ranking is also shown without them. The flags:

    fast        at least half of the votes within 1.5 s, too fast to read two descriptions; skips excluded
    one-sided   at least 80 % of the winners were on one side of the screen, which a rater who tosses a fair coin
                would do once in a thousand; each rater sees every pair equally often in both orders
    unwatched   less than half was played of at least half of the judged clips
    below gold  of at least 4 known questions after the test, a smaller share correct than the test requires

A skip is never held against a rater: it is the only choice if a clip does not play.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import bdtrc

from affekt.tables import number

FAST, ONE_SIDED, UNWATCHED, BELOW_GOLD = FLAGS = ('fast', 'one-sided', 'unwatched', 'below gold')
FASTEST_S = 1.5
"""Shortest time in which two descriptions can be read, in seconds."""
FEWEST_TIMED = 5
"""Minimum number of votes for flags on speed or watching."""
MOST_ON_ONE_SIDE = 0.8
CHANCE = 0.001
"""Probability under a fair coin below which a record with `MOST_ON_ONE_SIDE` on one side is flagged."""
LEAST_WATCHED = 0.5
FEWEST_GOLD = 4
"""Minimum number of known questions for the flag `below gold`."""
JOINED = ', '
"""Separator of the flags in a cell of a table."""


@dataclass(frozen=True)
class RaterRecord:
    """Statistics of one rater's votes, those of the test included, skips excluded."""

    seconds: Sequence[float] = ()
    """Time from showing to choosing of each vote, in seconds, if known."""
    on_left: int = 0
    """Number of winners on the left of the screen."""
    on_right: int = 0
    """Number of winners on the right of the screen."""
    watched: Sequence[float] = ()
    """Share played of each clip that could be played, from 0 to 1."""
    gold_right: int = 0
    """Number of known questions judged correctly after the test."""
    gold_of: int = 0
    """Number of known questions judged after the test."""
    gold_share: float = 0.0
    """Share of correct answers that the test requires."""


def rater_flags(record: RaterRecord) -> tuple[str, ...]:
    """The flags of a rater, in the order of `FLAGS`; () if too little is known.

    >>> rater_flags(RaterRecord(seconds=[0.2] * 40, on_left=38, on_right=2))
    ('fast', 'one-sided')
    """
    flags = []
    if len(record.seconds) >= FEWEST_TIMED and _are_half(seconds < FASTEST_S for seconds in record.seconds):
        flags.append(FAST)
    decided = record.on_left + record.on_right
    larger = max(record.on_left, record.on_right)
    probability = 2.0 * bdtrc(larger - 1, decided, 0.5)  # probability of this many on one side for a fair coin
    if decided and larger >= MOST_ON_ONE_SIDE * decided and probability < CHANCE:
        flags.append(ONE_SIDED)
    if len(record.watched) >= FEWEST_TIMED and _are_half(share < LEAST_WATCHED for share in record.watched):
        flags.append(UNWATCHED)
    if record.gold_of >= FEWEST_GOLD and record.gold_right < record.gold_share * record.gold_of - 1e-9:
        flags.append(BELOW_GOLD)
    return tuple(flags)


def _are_half(flags: Iterable[bool]) -> bool:
    """Whether at least half of the flags are True."""
    values = list(flags)
    return 2 * sum(values) >= len(values)


def flags_in_table(
    columns: Mapping[str, Sequence[object]],
    raters: Sequence[str],
    outcomes: Sequence[str],
    orders: Sequence[int] | None,
) -> dict[str, tuple[str, ...]]:
    """Flags of the raters in a table of votes.

    A column `flags` written by `affekt annotate` is used unchanged. Without one, or if it has other words, the rule is
    applied to `seconds`, the order and `watched`, if the table has the first two; a table of votes has no known
    questions.

    Args:
        columns: name of a column to its cells.
        raters: (N,) rater of each row.
        outcomes: (N,) left, right, tie or skip.
        orders: (N,) 1 if the left item was shown on the left, -1 if on the right, 0 if unknown; None without a
            column for it.

    Returns:
        Name of a flagged rater to its flags.
    """
    rows: dict[str, list[int]] = {}
    for row, rater in enumerate(raters):
        rows.setdefault(rater, []).append(row)
    by_rater: dict[str, tuple[str, ...]] = {}
    listed_flags = [_words(cell) for cell in columns.get('flags', ())]
    if listed_flags and set().union(*listed_flags) <= set(FLAGS):
        for rater, rater_rows in rows.items():
            by_rater[rater] = tuple(flag for flag in FLAGS if any(flag in listed_flags[row] for row in rater_rows))
    elif 'seconds' in columns and orders is not None:
        for rater, rater_rows in rows.items():
            judged = [row for row in rater_rows if outcomes[row] != 'skip']
            by_rater[rater] = rater_flags(_record(columns, judged, outcomes, orders))
    return {rater: flags for rater, flags in by_rater.items() if flags}


def _words(cell: object) -> set[str]:
    """Flags in a cell; empty where it is no text."""
    parts = cell.split(JOINED.strip()) if isinstance(cell, str) else ()
    return {word for part in parts if (word := part.strip())}


def _record(
    columns: Mapping[str, Sequence[object]], rows: Sequence[int], outcomes: Sequence[str], orders: Sequence[int]
) -> RaterRecord:
    seconds = [value for row in rows if (value := _number(columns['seconds'][row])) > 0.0]
    sides = [(outcomes[row] == 'left') == (orders[row] == 1) for row in rows if outcomes[row] != 'tie' and orders[row]]
    watched: list[float] = []
    if {'watched', 'seen'} <= set(columns):
        played = [row for row in rows if columns['seen'][row] not in ('', None, 'no clip', 'picture')]
        watched = [value for row in played if (value := _number(columns['watched'][row])) >= 0.0]
    return RaterRecord(seconds, sum(sides), len(sides) - sum(sides), watched)


def _number(cell: object) -> float:
    """A cell as a number; -1 where it is not one."""
    try:
        return number(cell)
    except ValueError:
        return -1.0
