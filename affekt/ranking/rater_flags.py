"""Flags of unreliable raters: one rule for the leaderboard, the tables and `affekt rank`.

A flag removes nobody. Votes of flagged raters count, and a ranking is also shown without them. The flags:

    fast         half of the votes or more within 1.5 s, too soon to have read two descriptions; skips left out
    one-sided    at least 80 % of the winners stood on one side of the screen, which a rater who tosses a fair coin
                 would do once in a thousand; each rater sees every pair equally often either way round
    unwatched    of half of the judged clips or more less than half was played
    below gold   of at least 4 known questions judged after the test fewer right than the test asks for

A skip speaks against nobody: it is the only choice where a clip does not play.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import bdtrc

from affekt.tables import number

FAST, ONE_SIDED, UNWATCHED, BELOW_GOLD = FLAGS = ('fast', 'one-sided', 'unwatched', 'below gold')
FASTEST_S = 1.5
FEWEST_TIMED = 5
"""Least number of votes for flags on speed or watching."""
MOST_ON_ONE_SIDE = 0.8
CHANCE = 0.001
LEAST_WATCHED = 0.5
FEWEST_GOLD = 4
JOINED = ', '
"""Separator of the flags in a cell of a table."""


@dataclass(frozen=True)
class RaterRecord:
    """Statistics of one rater's votes, those of the test included; skips are left out."""

    seconds: Sequence[float] = ()
    """Time from showing to choosing of each vote, in seconds, where it is known."""
    on_left: int = 0
    """Number of winners that stood on the left of the screen."""
    on_right: int = 0
    watched: Sequence[float] = ()
    """Share played of each clip that could be played, from 0 to 1."""
    gold_right: int = 0
    gold_of: int = 0
    """Number of known questions judged after the test; `gold_right` of them correctly."""
    gold_share: float = 0.0
    """Share of correct answers that the test asks for."""


def rater_flags(record: RaterRecord) -> tuple[str, ...]:
    """The flags of a rater, in the order of `FLAGS`; () where too little is known.

    >>> rater_flags(RaterRecord(seconds=[0.2] * 40, on_left=38, on_right=2))
    ('fast', 'one-sided')
    """
    flags = []
    if len(record.seconds) >= FEWEST_TIMED and _are_half(seconds < FASTEST_S for seconds in record.seconds):
        flags.append(FAST)
    decided = record.on_left + record.on_right
    most = max(record.on_left, record.on_right)
    chance = 2.0 * bdtrc(most - 1, decided, 0.5)  # of as many on one of two sides, by a fair coin
    if decided and most >= MOST_ON_ONE_SIDE * decided and chance < CHANCE:
        flags.append(ONE_SIDED)
    if len(record.watched) >= FEWEST_TIMED and _are_half(share < LEAST_WATCHED for share in record.watched):
        flags.append(UNWATCHED)
    if record.gold_of >= FEWEST_GOLD and record.gold_right < record.gold_share * record.gold_of - 1e-9:
        flags.append(BELOW_GOLD)
    return tuple(flags)


def _are_half(claims: Iterable[bool]) -> bool:
    listed = list(claims)
    return 2 * sum(listed) >= len(listed)


def flags_in_table(
    columns: Mapping[str, Sequence[object]],
    raters: Sequence[str],
    outcomes: Sequence[str],
    orders: Sequence[int] | None,
) -> dict[str, tuple[str, ...]]:
    """Flags of the raters in a table of votes.

    A column `flags`, as `affekt annotate` writes it, is taken as it is. Without one, or where it holds other words,
    the rule is applied to `seconds`, the order and `watched`, where the table has the first two; gold is not in a table
    of votes.

    Args:
        columns: name of a column to its cells.
        raters: (N,) rater of each row.
        outcomes: (N,) left, right, tie or skip.
        orders: (N,) 1 where the left item was shown on the left, -1 where on the right, 0 where unknown; None without a
            column for it.

    Returns:
        Name of a flagged rater to its flags.
    """
    rows: dict[str, list[int]] = {}
    for row, rater in enumerate(raters):
        rows.setdefault(rater, []).append(row)
    by_rater: dict[str, tuple[str, ...]] = {}
    words = [_words(cell) for cell in columns.get('flags', ())]
    if words and set().union(*words) <= set(FLAGS):
        for rater, own in rows.items():
            by_rater[rater] = tuple(flag for flag in FLAGS if any(flag in words[row] for row in own))
    elif 'seconds' in columns and orders is not None:
        for rater, own in rows.items():
            judged = [row for row in own if outcomes[row] != 'skip']
            by_rater[rater] = rater_flags(_record(columns, judged, outcomes, orders))
    return {rater: flags for rater, flags in by_rater.items() if flags}


def _words(cell: object) -> set[str]:
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
