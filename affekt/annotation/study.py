"""A study: tasks, raters and votes in a folder; every vote is on disk before it is acknowledged.

`Study.vote` has these steps: 1. acknowledge a vote that is stored already, 2. refuse one that contradicts a stored one,
3. write the journal, 4. update the state, 5. answer. All methods are thread-safe.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affekt.annotation.journal import Event, Journal, read_events
from affekt.annotation.pairs import as_json, from_json
from affekt.annotation.scheduling import (
    ADMITTED,
    REFUSED,
    Pair,
    Standing,
    StudySettings,
    choose,
    first_side,
    gold_to_come,
    mixed,
    standing,
)
from affekt.annotation.state import CHOICES, HEARD, SEEN, TEST, WORK, Rater, Shown, State, Vote, left_out_sentences
from affekt.errors import RunError, ValueRangeError, VoteError
from affekt.preference import DescribedPair
from affekt.ranking import Comparisons, alike, count, fit, pair_gains, shown
from affekt.runs import SETTINGS, Run, read_regular_file, read_settings, write_atomically

JOURNAL = 'votes.jsonl'
TASKS_FILE, GOLD_FILE = 'tasks.jsonl', 'gold.jsonl'
LONGEST_NAME = 60
LONGEST_ID = 64
MANY_ITEMS = 40
"""From this number of describers on, pairs are chosen by a rule of quadratic cost instead of the fourth power."""


@dataclass(frozen=True)
class Screen:
    """The contents of a rater's page: a task, or the status that explains why there is none."""

    status: str
    """in the test, admitted, not admitted or finished."""
    shown: Shown | None
    sample: str
    left_text: str
    """The text on the left of the screen."""
    right_text: str
    answered: int
    """Votes of this rater so far, skips included; during the test, those of the test."""
    of: int
    """Number of questions in this phase."""
    right: int
    """Test items answered correctly; 0 until the test is over."""
    can_undo: bool
    message: str = ''
    """Further information about the test."""


class Study:
    """Tasks and votes in a folder.

    Args:
        folder: folder of the run, used by one process at a time.
        tasks: tasks of the study.
        gold: tasks with known verdicts.
        settings: rater test and scheduling, by default `StudySettings()`; a resumed study must have the same settings
            and tasks.
        resume: continue the study that the folder holds.
        clock: returns the time in seconds since 1970.

    Raises:
        RunError: the folder cannot be used (see `Run`), or the journal is damaged.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[DescribedPair],
        gold: Sequence[DescribedPair] = (),
        settings: StudySettings | None = None,
        *,
        resume: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or StudySettings()
        self.folder, self.clock = folder, clock
        _refuse_shared(tasks, gold)
        saved_settings = {**asdict(self.settings), 'tasks': _digest(tasks), 'gold': _digest(gold)}
        self._run = Run(folder, saved_settings, resume=resume)
        try:
            for name, listed in ((TASKS_FILE, tasks), (GOLD_FILE, gold)):
                content = as_json(listed).encode()
                if not (folder / name).is_file() or read_regular_file(folder / name) != content:
                    write_atomically(folder / name, content)
            self.state = State(mixed(tasks, self.settings.seed), gold)
            self._journal = Journal(folder / JOURNAL)
        except BaseException:
            self._run.close()
            raise
        for event in self._journal.events:
            self.state.apply(event)
        cut = self._journal.cut
        self.notes = (
            *((f'the last line of {JOURNAL} was cut short by a kill and is removed: {cut} bytes, of an entry that was '
               'never acknowledged',) if cut else ()),
            *left_out_sentences(self.state),
        )  # fmt: skip
        """Journal entries that were lost or are not counted."""
        self._lock = threading.Lock()
        self._is_closed = False
        self.trouble = ''
        """Why the last event could not be written; '' if it could."""
        self._gains: tuple[int, Mapping[Pair, float]] = (-1, {})

    def close(self) -> None:
        """Close the journal, so that another process may use the folder."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._journal.close()
                self._run.close()

    def join(self, name: str) -> Screen:
        """Register a rater, or let one continue, and show the rater's task."""
        with self._lock:
            name = self._resolved(name)
            self._note({'kind': 'join', 'id': secrets.token_hex(8), 'rater': name, 'time': self.clock()})
            return self._screen(name)

    def screen(self, name: str) -> Screen:
        """The screen of a rater."""
        with self._lock:
            return self._screen(self._known(name).name)

    def vote(
        self, id: str, name: str, shown: str, choice: str, *, seconds: float = 0.0, watched: float | None = None,
        seen: str = '', heard: str = '',
    ) -> Screen:  # fmt: skip
        """Store a vote; it is on disk when this returns.

        Args:
            id: made by the browser; the same when the vote is sent again.
            name: name of the rater.
            shown: id of the `Shown` that is answered.
            choice: left or right as on the screen, tie or skip.
            seconds: time from display to choice, measured by the browser; 0 to use the server's measurement.
            watched: share of the clip that was played; None if it was not measured.
            seen, heard: what was shown and heard of the clip, as in `Vote`.

        Raises:
            VoteError: this rater was not shown a task of this id, the task is answered by another vote, or the id
                belongs to another vote.
            ValueRangeError: the choice is unknown, or the id has the wrong form.
            RunError: the vote could not be written; nothing changed.
        """
        _check_id(id)
        if choice not in CHOICES:
            raise ValueRangeError(expected=f'a choice among {", ".join(CHOICES)}', came=repr(choice), todo='send one')
        if seen not in SEEN or heard not in HEARD:
            raise ValueRangeError(
                expected=f'what was seen among {", ".join(filter(None, SEEN))}, and heard among '
                f'{", ".join(filter(None, HEARD))}',
                came=f'{seen[:20]!r} and {heard[:20]!r}',
                todo='send these, or nothing',
            )
        with self._lock:
            rater = self._known(name)
            asked = {'kind': 'vote', 'id': id, 'rater': rater.name, 'shown': shown, 'choice': choice}
            if not self._is_repeated(asked):
                if (showing := self.state.shown.get(shown)) is None or showing.rater != rater.name:
                    raise VoteError(
                        expected='an answer to what was shown to you', came=f'{shown[:40]!r}', todo='reload the page'
                    )
                if shown in self.state.answers:
                    raise VoteError(
                        expected='one answer to each question',
                        came='a second one, perhaps from another window',
                        todo='undo the first one to change it',
                    )
                now = self.clock()
                time_taken = seconds if seconds > 0.0 else max(0.0, now - showing.time)
                measured = {'seconds': float(time_taken), 'seen': seen, 'heard': heard}
                if watched is not None:
                    measured['watched'] = float(watched)
                self._note({**asked, **measured, 'time': now})
            return self._screen(rater.name)

    def undo(self, id: str, name: str) -> Screen:
        """Take back the rater's last vote; its task is shown again.

        Raises:
            VoteError: there is no vote to take back.
            ValueRangeError: the id has the wrong form.
            RunError: the undo could not be written; nothing changed.
        """
        _check_id(id)
        with self._lock:
            rater = self._known(name)
            if id not in self.state.events_by_id:
                if (last := self._undoable(rater)) is None:
                    raise VoteError(expected='a vote to take back', came='none', todo='answer the question shown')
                self._note({'kind': 'undo', 'id': id, 'rater': rater.name, 'vote': last.id, 'time': self.clock()})
            elif self.state.events_by_id[id]['kind'] != 'undo' or self.state.events_by_id[id]['rater'] != rater.name:
                raise VoteError(expected='an id of its own', came=f'{id!r}, used before', todo='reload the page')
            return self._screen(rater.name)

    def bring(self, votes: Sequence[Event]) -> tuple[int, int]:
        """Import votes (events of kind import), except those with an id that is in the journal.

        Returns:
            Number of new votes, and how many of them replace a vote by a rater of the same name on the same pair.
        """
        with self._lock:
            new_votes = list({vote['id']: vote for vote in votes if vote['id'] not in self.state.events_by_id}.values())
            names = {name: self._resolved(name) for name in dict.fromkeys(vote['rater'] for vote in new_votes)}
            new_votes = [{**vote, 'rater': names[vote['rater']]} for vote in new_votes]
            raters = self.state.raters
            replaced = sum(
                vote['rater'] in raters and vote['task'] in raters[vote['rater']].votes for vote in new_votes
            )
            if new_votes:
                self._note(*new_votes)
            return len(new_votes), replaced

    def snapshot(self) -> tuple[int, list[Vote], dict[str, str]]:
        """The number of the last change, all votes that count, and each rater's status in the test."""
        with self._lock:
            statuses = {
                name: standing(self.state, rater, self.settings).status for name, rater in self.state.raters.items()
            }
            return self.state.changes, self.state.votes(), statuses

    def _note(self, *events: Event) -> None:
        try:
            self._journal.append(*events)
        except RunError as error:
            self.trouble = error.came
            raise
        self.trouble = ''
        for event in events:
            self.state.apply(event)

    def _known(self, name: str) -> Rater:
        """The rater of a name; VoteError if none has joined under it."""
        rater = self.state.raters.get(self._resolved(name))
        if rater is None:
            raise VoteError(expected='a rater who has joined', came=repr(name), todo='give your name first')
        return rater

    def _resolved(self, name: str) -> str:
        """The name under which a rater is known; names that differ only in capitals or width are the same rater's."""
        name = rater_name(name)
        if name in self.state.raters:
            return name
        return next((known for known in self.state.raters if alike((known, name)) or rater_name(known) == name), name)

    def _is_repeated(self, asked: Event) -> bool:
        """Whether this vote is stored already; an id that belongs to another event is refused."""
        stored = self.state.events_by_id.get(asked['id'])
        if stored is None:
            return False
        if any(stored.get(key) != value for key, value in asked.items()):
            raise VoteError(
                expected='an id of its own for each vote',
                came=f'{asked["id"]!r}, used before',
                todo='reload the page',
            )
        return True

    def _undoable(self, rater: Rater) -> Vote | None:
        """The rater's last vote; None if it belongs to a finished test or was imported."""
        last = next(reversed(rater.votes.values()), None)
        if last is None or not last.shown:
            return None
        is_tested = standing(self.state, rater, self.settings).status in (ADMITTED, REFUSED)
        return None if last.phase == TEST and is_tested else last

    def _screen(self, name: str) -> Screen:
        rater = self.state.raters[name]
        shown = rater.open[-1] if rater.open else self._show_next(rater)
        test = standing(self.state, rater, self.settings)
        in_test = test.status not in (ADMITTED, REFUSED)
        answered, of = (test.answered, test.of) if in_test else self._progress(rater)
        status, message = test.status, _about_unplayed(test)
        if shown is None and status == ADMITTED:
            status = 'finished'
        return Screen(
            status=status,
            shown=shown,
            **self._texts(shown),
            answered=answered,
            of=of,
            right=0 if in_test else test.right,
            can_undo=self._undoable(rater) is not None,
            message=message,
        )

    def _progress(self, rater: Rater) -> tuple[int, int]:
        """Questions answered after the test, and their number at the end, with the gold items still to come."""
        answered = sum(vote.phase != TEST for vote in rater.votes.values())
        open_keys = {shown.task for shown in rater.open if shown.phase != TEST}
        unseen = sum(key not in rater.votes and key not in open_keys for key in self.state.asked)
        return answered, answered + len(open_keys) + unseen + gold_to_come(self.state, rater, self.settings, unseen)

    def _texts(self, shown: Shown | None) -> dict[str, str]:
        if shown is None:
            return {'sample': '', 'left_text': '', 'right_text': ''}
        task = self.state.tasks[shown.task]
        texts = (task.left_text, task.right_text) if shown.first == 'left' else (task.right_text, task.left_text)
        return {'sample': task.sample, 'left_text': texts[0], 'right_text': texts[1]}

    def _show_next(self, rater: Rater) -> Shown | None:
        choice = choose(self.state, rater, self.settings, self._current_gains, self.clock())
        if choice is None:
            return None
        key, phase = choice
        first = first_side(self.state, rater, self.state.tasks[key], self.settings.seed)
        self._note(
            {
                'kind': 'show', 'id': secrets.token_hex(8), 'rater': rater.name, 'task': key, 'first': first,
                'phase': phase, 'time': self.clock(),
            }
        )  # fmt: skip
        return rater.open[-1]

    def _current_gains(self) -> Mapping[Pair, float]:
        """The last expected gains; computed again after every 2 % of changes."""
        if self.state.changes - self._gains[0] > self.state.changes // 50 or self._gains[0] < 0:
            self._gains = (self.state.changes, self._gains_now())
        return self._gains[1]

    def _gains_now(self) -> Mapping[Pair, float]:
        """Expected gain of one more vote by pair; {} before the first vote."""
        votes = [vote for vote in self.state.votes() if vote.phase == WORK and vote.outcome != 'skip']
        items = self.state.items
        if not votes:
            return {}
        fitted = fit(count(comparisons_of(votes, self.state.tasks, items)), prior=1.0)
        return pair_gains(fitted, aim='order' if len(items) < MANY_ITEMS else 'strengths')


def open_votes(folder: Path) -> tuple[State, StudySettings]:
    """Read the state and settings of a study's folder without changing it; a server may be running.

    Raises:
        RunError: the folder holds no study, or its journal is damaged.
    """
    stored = read_settings(folder).get('settings')
    try:
        if not isinstance(stored, dict):
            raise ValueRangeError(expected='settings', came='none', todo='restore them')
        settings = StudySettings(**{key: stored[key] for key in asdict(StudySettings()) if key in stored})
    except (TypeError, ValueRangeError) as error:
        raise RunError(
            expected='the settings of a study', came=f'{folder / SETTINGS}: {error}', todo='restore it from a backup'
        ) from error
    tasks, gold = (_stored_tasks(folder / name, stored.get(name.split('.')[0])) for name in (TASKS_FILE, GOLD_FILE))
    state = State(mixed(tasks, settings.seed), gold)
    for event in read_events(folder / JOURNAL):
        state.apply(event)
    return state, settings


def _stored_tasks(path: Path, digest: object) -> tuple[DescribedPair, ...]:
    """The tasks that a study stored when it began.

    Raises:
        RunError: the file is missing, or has been changed.
    """
    try:
        content = read_regular_file(path)
    except OSError as error:
        raise RunError(
            expected='the tasks of a study', came=f'{path}: {error}', todo='give the --out of `affekt annotate`'
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise RunError(
            expected='the tasks as they were when the study began',
            came=f'{path}, which has been changed or damaged since',
            todo='restore it from a backup, or start once with the same PAIRS and --resume, which writes it again',
        )
    try:
        return from_json(content.decode())
    except ValueError as error:
        raise RunError(
            expected='the tasks of a study', came=f'{path}: {error}', todo='restore it from a backup'
        ) from error


def votes_that_count(votes: Sequence[Vote], statuses: Mapping[str, str]) -> list[Vote]:
    """The work votes, skips included, of raters who did not fail the test."""
    return [vote for vote in votes if vote.phase == WORK and statuses.get(vote.rater) != REFUSED]


def comparisons_of(
    votes: Sequence[Vote],
    tasks: Mapping[str, DescribedPair],
    items: Sequence[str] | None = None,
    flags: Mapping[str, tuple[str, ...]] | None = None,
) -> Comparisons:
    """Votes as comparisons; skips are left out and counted.

    Args:
        votes: votes that count.
        tasks: task key to its pair.
        items: all describers; by default those of the votes.
        flags: rater to flags.

    Raises:
        ComparisonError: there are no votes other than skips.
    """
    verdicts = [vote for vote in votes if vote.outcome != 'skip']
    asked = [tasks[vote.task] for vote in verdicts]
    orders = {'left': 1, 'right': -1, '': 0}
    skipped = len(votes) - len(verdicts)
    return Comparisons.of(
        [task.left for task in asked],
        [task.right for task in asked],
        [vote.outcome for vote in verdicts],
        sample=[task.sample for task in asked],
        rater=[vote.rater for vote in verdicts],
        first=[orders[vote.first] for vote in verdicts],
        covariates=_lengths(asked),
        items=items,
        facts={'skipped': skipped} if skipped else None,
        rater_flags=flags,
        source='the votes',
    )


def rater_name(name: str) -> str:
    """A rater's name as it is stored: in one Unicode form, without white space at its ends or twice in a row.

    Raises:
        ValueRangeError: the name is empty, too long, or contains invisible characters.
    """
    cleaned = shown(name)
    if not cleaned or len(cleaned) > LONGEST_NAME or not cleaned.isprintable():
        raise ValueRangeError(
            expected=f'a name of 1 to {LONGEST_NAME} visible characters',
            came=f'{len(cleaned)} characters' if cleaned.isprintable() else 'invisible characters',
            todo='give another name',
        )
    return cleaned


def _about_unplayed(test: Standing) -> str:
    """Message to a rater whose browser could not play clips of the test; '' if it played them all."""
    if not test.unplayed:
        return ''
    if test.status == REFUSED and not test.of:
        return (
            'This browser could not play any clip of the test, so that your answers could not be checked. '
            'Please open the link in another browser and enter another name there.'
        )
    clips = '1 clip' if test.unplayed == 1 else f'{test.unplayed} clips'
    return f'This browser could not play {clips} of the test; that does not count against you.'


def _lengths(asked: Sequence[DescribedPair]) -> dict[str, Any]:
    from affekt.ranking import LENGTH, text_lengths

    return {LENGTH: text_lengths([task.left_text for task in asked], [task.right_text for task in asked])}


def _check_id(id: str) -> None:
    if not (8 <= len(id) <= LONGEST_ID and id.isascii() and id.replace('-', '').isalnum()):
        raise ValueRangeError(
            expected='an id of 8 to 64 letters, digits and hyphens', came=repr(id[:80]), todo='make one like a UUID'
        )


def _refuse_shared(tasks: Sequence[DescribedPair], gold: Sequence[DescribedPair]) -> None:
    keys = {task.key for task in tasks}
    if both := [task.sample for task in gold if task.key in keys]:
        raise ValueRangeError(
            expected='gold pairs that are not tasks as well',
            came=f'{len(both)} pairs in both files ({both[0]}, …)',
            todo='remove them from one of the files',
        )


def _digest(tasks: Sequence[DescribedPair]) -> str:
    return hashlib.sha256(as_json(tasks).encode()).hexdigest()
