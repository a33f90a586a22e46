"""The state of all raters and votes, built from events alone.

A running server and a restarted one use the same `State.apply`: replaying the journal restores the state. Events: join
(a rater joined), show (a task was shown, with its order), vote, undo, import (a vote from another tool).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from affekt.annotation.journal import CHOICES as CHOICES
from affekt.annotation.journal import GOLD as GOLD
from affekt.annotation.journal import HEARD as HEARD
from affekt.annotation.journal import SEEN as SEEN
from affekt.annotation.journal import TEST as TEST
from affekt.annotation.journal import WORK as WORK
from affekt.annotation.journal import Event
from affekt.preference import DescribedPair

TURNED = {'left': 'right', 'right': 'left', 'tie': 'tie', 'skip': 'skip'}


@dataclass(frozen=True)
class Shown:
    """A task as it was shown to a rater."""

    id: str
    rater: str
    task: str
    """Key of the task."""
    first: str
    """left or right: the describer of the task that was on the left of the screen."""
    phase: str
    """test, gold or work."""
    time: float


@dataclass(frozen=True)
class Vote:
    """A verdict of a rater, which counts until it is undone or replaced."""

    id: str
    rater: str
    task: str
    outcome: str
    """left, right or tie, in the task's order of describers; or skip."""
    first: str
    """The describer on the left of the screen: left, right, or '' if unknown."""
    phase: str
    seconds: float
    """Time from display to choice in seconds, measured by the browser."""
    watched: float
    """Share of the clip that was played, at most 1; nan where it was not measured."""
    time: float
    shown: str = ''
    """Id of the `Shown` that is answered; '' for an imported vote."""
    seen: str = ''
    """What was shown of the clip: video, picture, nothing, no clip, unknown; '' if it was not recorded."""
    heard: str = ''
    """What was heard: sound, muted, nothing, no clip, unknown; '' if it was not recorded."""

    @property
    def is_unplayed(self) -> bool:
        """Whether it is a skip because nothing of the clip could be played, which does not count against the rater."""
        return self.outcome == 'skip' and self.seen == 'nothing' and self.watched == 0.0


@dataclass(frozen=True)
class LeftOut:
    """A vote, or an undo of one, in the journal that cannot be counted, with the reason."""

    id: str
    rater: str
    why: str
    time: float


@dataclass
class Rater:
    """A rater, identified by name."""

    name: str
    open: list[Shown] = field(default_factory=list)
    """Tasks shown and not answered yet; the last one is on the screen."""
    votes: dict[str, Vote] = field(default_factory=dict)
    """Task key to the vote that counts, oldest first."""
    orders: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pair of describers to how often the first of them was shown on the left, minus how often on the right."""
    shown: int = 0
    last_seen: float = 0.0

    def of_phase(self, phase: str) -> list[Vote]:
        """The votes in a phase."""
        return [vote for vote in self.votes.values() if vote.phase == phase]


class State:
    """Raters, shown tasks and votes.

    Args:
        tasks: tasks of the study.
        gold: tasks with known verdicts.
    """

    def __init__(self, tasks: Sequence[DescribedPair], gold: Sequence[DescribedPair]) -> None:
        self.tasks = {task.key: task for task in (*tasks, *gold)}
        self.asked = tuple(task.key for task in tasks)
        self.gold = tuple(task.key for task in gold)
        self.items = tuple(sorted({name for task in tasks for name in task.describers}))
        """Names of the describers, sorted, without those that occur in gold only."""
        self.raters: dict[str, Rater] = {}
        self.shown: dict[str, Shown] = {}
        self.answers: dict[str, str] = {}
        """Id of a `Shown` to the id of the vote that answers it."""
        self.events_by_id: dict[str, Event] = {}
        """Every vote and undo by its id, undone votes included, so that repeated events are recognised."""
        self.task_votes: Counter[str] = Counter()
        """Task to its number of votes that count, without skips."""
        self.pair_votes: Counter[tuple[str, str]] = Counter()
        self.task_orders: Counter[str] = Counter()
        """Task to how often its left describer was shown on the left, minus how often on the right."""
        self.left_out: list[LeftOut] = []
        """Votes in the journal that are not counted."""
        self.changes = 0
        """Number that increases with every vote and undo."""

    def apply(self, event: Event) -> None:
        """Apply one event; a vote on a task that was not shown is added to `left_out`."""
        HANDLERS[event['kind']](self, event)

    def rater(self, name: str) -> Rater:
        """The rater of this name, created if new."""
        return self.raters.setdefault(name, Rater(name))

    def votes(self) -> list[Vote]:
        """All votes that count, by rater."""
        return [vote for rater in self.raters.values() for vote in rater.votes.values()]

    def _join(self, event: Event) -> None:
        self.rater(event['rater']).last_seen = event['time']

    def _show(self, event: Event) -> None:
        shown = Shown(event['id'], event['rater'], event['task'], event['first'], event['phase'], event['time'])
        if shown.task not in self.tasks:
            return
        rater, task = self.rater(shown.rater), self.tasks[shown.task]
        self.shown[shown.id] = shown
        rater.open.append(shown)
        rater.shown += 1
        rater.last_seen = shown.time
        is_first_left = (task.left == task.describers[0]) == (shown.first == 'left')
        rater.orders[task.describers] += 1 if is_first_left else -1
        self.task_orders[shown.task] += 1 if shown.first == 'left' else -1

    def _vote(self, event: Event) -> None:
        shown = self.shown.get(event['shown'])
        if (why := self._exclusion_reason(event, shown)) or shown is None:
            self._leave_out(event, why)
            return
        self.events_by_id[event['id']] = event
        rater = self.rater(shown.rater)
        rater.open = [other for other in rater.open if other.id != shown.id]
        rater.last_seen = event['time']
        outcome = event['choice'] if shown.first == 'left' else TURNED[event['choice']]
        self.answers[shown.id] = event['id']
        self._count(
            Vote(
                id=event['id'],
                rater=shown.rater,
                task=shown.task,
                outcome=outcome,
                first=shown.first,
                phase=shown.phase,
                seconds=event['seconds'],
                watched=event.get('watched', math.nan),
                time=event['time'],
                shown=shown.id,
                seen=event.get('seen', ''),
                heard=event.get('heard', ''),
            )
        )

    def _import(self, event: Event) -> None:
        why = 'its id belongs to another vote' if event['id'] in self.events_by_id else ''
        if event['task'] not in self.tasks:
            why = 'its pair is not a task of this study'
        if why:
            self._leave_out(event, why)
        else:
            self.events_by_id[event['id']] = event
            self._count(
                Vote(
                    id=event['id'],
                    rater=event['rater'],
                    task=event['task'],
                    outcome=event['outcome'],
                    first=event['first'],
                    phase=WORK,
                    seconds=event['seconds'],
                    watched=math.nan,
                    time=event['time'],
                )
            )

    def _undo(self, event: Event) -> None:
        if event == self.events_by_id.get(event['id']):
            return  # the same event repeated
        votes = self.rater(event['rater']).votes.values()
        vote = next((vote for vote in votes if vote.id == event['vote']), None)
        if vote is None:
            self._leave_out(event, 'it takes back a vote that does not exist')
            return
        self.events_by_id[event['id']] = event
        rater = self.rater(vote.rater)
        del rater.votes[vote.task]
        self._tally(vote, -1)
        if vote.shown:
            self.answers.pop(vote.shown)
            rater.open.append(self.shown[vote.shown])

    def _exclusion_reason(self, event: Event, shown: Shown | None) -> str:
        """Why a vote in the journal cannot be counted; '' if it can."""
        if event['id'] in self.events_by_id:
            return 'its id belongs to another vote'
        if shown is None:
            return 'the journal lacks the display of its question'
        if shown.rater != event['rater']:
            return 'its question was shown to another rater'
        return 'its question was answered before' if shown.id in self.answers else ''

    def _leave_out(self, event: Event, why: str) -> None:
        if event == self.events_by_id.get(event['id']):
            return
        self.events_by_id.setdefault(event['id'], event)
        self.left_out.append(LeftOut(event['id'], event['rater'], why, event['time']))
        self.changes += 1

    def _count(self, vote: Vote) -> None:
        votes = self.rater(vote.rater).votes
        if (older := votes.pop(vote.task, None)) is not None:
            self._tally(older, -1)
        votes[vote.task] = vote
        self._tally(vote, 1)

    def _tally(self, vote: Vote, by: int) -> None:
        self.changes += 1
        if vote.phase == WORK and vote.outcome != 'skip':
            self.task_votes[vote.task] += by
            self.pair_votes[self.tasks[vote.task].describers] += by


MOST_NAMED = 5


def left_out_sentences(state: State) -> tuple[str, ...]:
    """Notes on journal entries that are not counted: by reason, with the first ids and their raters."""
    by_reason: dict[str, list[LeftOut]] = {}
    for vote in state.left_out:
        by_reason.setdefault(vote.why, []).append(vote)
    return tuple(
        f'{len(votes)} {"entry" if len(votes) == 1 else "entries"} of the journal not counted, because {why}: '
        + ', '.join(f'{vote.id} of {vote.rater}' for vote in votes[:MOST_NAMED])
        + (', …' if len(votes) > MOST_NAMED else '')
        for why, votes in by_reason.items()
    )


HANDLERS = {
    'join': State._join,
    'show': State._show,
    'vote': State._vote,
    'undo': State._undo,
    'import': State._import,
}
