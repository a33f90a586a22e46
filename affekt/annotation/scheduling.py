"""Chooses the next task of a rater and the description on the left of the screen.

First comes the test, if there is gold: a rater who answers enough of it correctly is admitted. Then come work tasks,
with an unseen gold item at intervals. Among work tasks, pairs of describers below the floor come first; at fixed
intervals a clip that another rater has judged (so that agreement can be measured) or the pair with the fewest votes;
otherwise the pair with the largest expected gain for the ranking. A task that another rater has open is avoided while
there are others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from affekt.annotation.state import GOLD, TEST, WORK, Rater, State
from affekt.errors import ValueRangeError
from affekt.preference import DescribedPair

Pair = tuple[str, str]
Gains = Callable[[], Mapping[Pair, float]]

TESTED, ADMITTED, REFUSED = 'in the test', 'admitted', 'not admitted'


@dataclass(frozen=True)
class StudySettings:
    """The test of raters and the choice of tasks."""

    seed: int = 0
    test_items: int = 12
    """Number of gold items before the first work task; all of them if there are fewer."""
    test_share: float = 0.75
    """Share of the test items to answer correctly; a skip counts as wrong unless the clip could not be played."""
    gold_every: int = 10
    """After admission, one task in this many is an unseen gold item; 0 for never."""
    floor: int = 2
    """Number of votes of every pair of describers before pairs are chosen by their expected gain."""
    overlap_every: int = 5
    """One task in this many was judged by another rater before; 0 for never."""
    spread_every: int = 5
    """One task in this many is one of the pair with the fewest votes; 0 for never."""
    lease_s: float = 600.0
    """Time in seconds for which a task that one rater has open is not shown to others."""

    def __post_init__(self) -> None:
        numbers = (self.test_items, self.gold_every, self.floor, self.overlap_every, self.spread_every, self.seed)
        if min(numbers) < 0 or self.lease_s < 0.0 or not 0.0 <= self.test_share <= 1.0:
            raise ValueRangeError(
                expected='numbers of 0 or more, and a share of the test in [0, 1]',
                came=f'{numbers}, {self.lease_s}, {self.test_share}',
                todo='give for example --test-items 12 --test-share 0.75',
            )


@dataclass(frozen=True)
class Standing:
    """A rater's status and results in the test."""

    status: str
    """in the test, admitted or not admitted."""
    answered: int
    right: int
    of: int
    unplayed: int = 0
    """Test items skipped because their clip could not be played: they do not count, and others replace them."""


def standing(state: State, rater: Rater, settings: StudySettings) -> Standing:
    """A rater's status in the test; without a test everybody is admitted."""
    votes = [vote for vote in rater.of_phase(TEST) if not vote.is_unplayed]
    unplayed = len(rater.of_phase(TEST)) - len(votes)
    of = min(settings.test_items, len(state.gold) - unplayed)
    right = sum(vote.outcome == state.tasks[vote.task].outcome for vote in votes)
    if len(votes) < of:
        return Standing(TESTED, len(votes), right, of, unplayed)
    passed = right >= settings.test_share * of - 1e-9 and (of > 0 or not unplayed)
    return Standing(ADMITTED if passed else REFUSED, len(votes), right, of, unplayed)


def choose(state: State, rater: Rater, settings: StudySettings, gains: Gains, now: float) -> tuple[str, str] | None:
    """The key and phase of the task that a rater sees next; None if no task is left.

    Args:
        state: all votes so far.
        rater: the rater who asks.
        settings: rater test and scheduling.
        gains: returns the expected gain of one more vote by pair of describers; called only where it decides.
        now: current time in seconds since 1970, the clock of the events.
    """
    test = standing(state, rater, settings)
    if test.status == REFUSED:
        return None
    asked_before = {*rater.votes, *(display.task for display in rater.open)}
    gold = [key for key in _mixed(state.gold, settings.seed, rater.name) if key not in asked_before]
    if test.status == TESTED:
        return (gold[0], TEST) if gold else None
    remaining = [key for key in state.asked if key not in asked_before]
    work_count = rater.shown - test.of - test.unplayed
    if gold and settings.gold_every and (work_count % settings.gold_every == settings.gold_every - 1 or not remaining):
        return (gold[0], GOLD) if remaining else None
    if not remaining:
        return None
    open_elsewhere = Counter(
        display.task
        for other in state.raters.values()
        if other is not rater and now - other.last_seen <= settings.lease_s
        for display in other.open
    )
    free = [key for key in remaining if key not in open_elsewhere] or remaining
    return _work(state, free, open_elsewhere, settings, work_count, gains, rater.name), WORK


def gold_to_come(state: State, rater: Rater, settings: StudySettings, work: int) -> int:
    """Number of gold items an admitted rater will meet among `work` more work tasks, as `choose` spaces them."""
    unseen = len(state.gold) - sum(
        key in rater.votes or any(display.task == key for display in rater.open) for key in state.gold
    )
    every = settings.gold_every
    if not every or work <= 0:
        return 0
    if every == 1:
        return unseen
    test = standing(state, rater, settings)
    before = every - 1 - (rater.shown - test.of - test.unplayed) % every
    return min(unseen, 0 if work <= before else 1 + (work - before - 1) // (every - 1))


def first_side(state: State, rater: Rater, task: DescribedPair, seed: int) -> str:
    """The describer on the left of the screen: 'left' or 'right', as the task names them.

    A rater sees each pair of describers equally often in either order, up to one; where that leaves a choice, a task is
    shown equally often in either order to all raters; where that does too, a seeded coin decides.
    """
    low_first = 'left' if task.left == task.describers[0] else 'right'
    if seen := rater.orders[task.describers]:
        return low_first if seen < 0 else _other(low_first)
    if shown := state.task_orders[task.key]:
        return 'left' if shown < 0 else 'right'
    return 'left' if _draw(seed, rater.name, task.key, 'order') % 2 else 'right'


def _work(
    state: State,
    free: Sequence[str],
    open_elsewhere: Mapping[str, int],
    settings: StudySettings,
    work_count: int,
    gains: Gains,
    name: str,
) -> str:
    """Key of the next task by the first rule that applies.

    1. A pair below the floor. 2. A task that another rater judged. 3. The pair with fewest votes. 4. The pair with the
    largest expected gain.
    """
    open_pairs = Counter(state.tasks[key].describers for key in open_elsewhere)
    by_pair: dict[Pair, list[str]] = {}
    for key in free:
        by_pair.setdefault(state.tasks[key].describers, []).append(key)

    def votes(pair: Pair) -> int:
        return state.pair_votes[pair] + open_pairs[pair]

    def fewest(keys: Sequence[str]) -> str:
        return min(keys, key=lambda key: state.task_votes[key])

    least = min(by_pair, key=lambda pair: (votes(pair), _draw(settings.seed, name, *pair)))
    if votes(least) < settings.floor:
        return fewest(by_pair[least])
    if settings.overlap_every and work_count % settings.overlap_every == 1:
        judged = [key for key in free if state.task_votes[key]]
        if judged:
            return fewest(judged)
    if settings.spread_every and work_count % settings.spread_every == 3:
        return fewest(by_pair[least])
    if len(by_pair) > 1:
        gain = gains()
        # clips without votes come first, since overlap has its own turn above
        unjudged = [pair for pair, keys in by_pair.items() if any(not state.task_votes[key] for key in keys)]
        least = max(
            unjudged or by_pair,
            key=lambda pair: (gain.get(pair, 0.0) / (1 + open_pairs[pair]), -votes(pair), _draw(settings.seed, *pair)),
        )
    return fewest(by_pair[least])


def mixed(tasks: Sequence[DescribedPair], seed: int) -> list[DescribedPair]:
    """Tasks in a seeded order, which breaks ties."""
    return sorted(tasks, key=lambda task: _draw(seed, task.key))


def _mixed(keys: Sequence[str], seed: int, name: str) -> list[str]:
    return sorted(keys, key=lambda key: _draw(seed, name, key))


def _draw(*parts: object) -> int:
    """A pseudo-random number that is a function of the parts."""
    material = '\0'.join(map(str, parts)).encode('utf-8', 'surrogatepass')
    return int.from_bytes(hashlib.blake2b(material, digest_size=8).digest(), 'big')


def _other(side: str) -> str:
    return 'right' if side == 'left' else 'left'
