"""Captions checked by people, who accept, strike or add labels and strike sentences.

Every mark is on disk before it is acknowledged. A clip is done when its checker gives a verdict on it (`checked`);
labels without a mark then count as accepted. It can be reopened and changed at any time. Of several checkers the
majority decides; a tie leaves the caption unchanged.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affekt.annotation.journal import NUMBER, TEXT, Event, Journal, read_events
from affekt.annotation.study import rater_name
from affekt.errors import RunError, ValueRangeError, VoteError
from affekt.runs import Run, read_regular_file, write_atomically
from affekt.tables import csv_bytes

JOURNAL, TASKS = 'checks.jsonl', 'captions.jsonl'
CHECKED, CHECKERS = 'checked.csv', 'checkers.csv'
ACCEPT, STRIKE, ADD, CLEAR = MARKS = ('accept', 'strike', 'add', 'clear')
KEPT, STRUCK, SKIPPED = VERDICTS = ('kept', 'struck', 'skipped')
FIELDS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    'join': {'rater': TEXT, 'time': NUMBER},
    'label': {'rater': TEXT, 'clip': TEXT, 'label': TEXT, 'mark': MARKS, 'time': NUMBER},
    'sentence': {'rater': TEXT, 'clip': TEXT, 'sentence': NUMBER, 'mark': (STRIKE, CLEAR), 'time': NUMBER},
    'checked': {'rater': TEXT, 'clip': TEXT, 'verdict': VERDICTS, 'seconds': NUMBER, 'time': NUMBER},
}
"""Kind of event to its fields and their types or allowed words."""
LEAST_COLUMNS = ('name', 'description', 'openset')
"""Columns that the table of checked captions has even if the captions lack them."""
LONGEST_LABEL = 40
LONGEST_ID = 64
_ENDS = re.compile(r'(?<=[.!?])\s+(?=[^\sa-z])|(?<=[.!?]["”’)])\s+(?=[^\sa-z])|(?<=[。！？])(?=\S)')
"""Sentence boundaries; a sentence does not end before a lower-case letter."""


@dataclass(frozen=True)
class CheckTask:
    """A caption to be checked: sentences and labels of one clip."""

    name: str
    sentences: tuple[str, ...]
    labels: tuple[str, ...]
    subtitle: str = ''
    row: Mapping[str, str] = field(default_factory=dict)
    """The row of the caption's table, for the export."""


def sentences_of(text: str) -> tuple[str, ...]:
    """Split a description into its sentences, in order.

    >>> sentences_of('She smiles. Her voice is low!')
    ('She smiles.', 'Her voice is low!')
    """
    return tuple(part.strip() for part in _ENDS.split(text.strip()) if part.strip())


@dataclass
class Marks:
    """The marks of one checker on one clip."""

    labels: dict[str, str] = field(default_factory=dict)
    """Label to accept, strike or add."""
    struck: set[int] = field(default_factory=set)
    """Indices of struck sentences, from 0."""
    verdict: str = ''
    """kept, struck or skipped; '' before a verdict is given."""
    seconds: float = 0.0


class CheckState:
    """All checkers and their marks, built from events alone.

    Args:
        tasks: captions to check.
    """

    def __init__(self, tasks: Sequence[CheckTask]) -> None:
        self.tasks = {task.name: task for task in tasks}
        self.order = tuple(self.tasks)
        self.raters: dict[str, dict[str, Marks]] = {}
        self.events_by_id: dict[str, Event] = {}
        """Every mark and verdict by its id, so that repeated ones are recognised."""
        self.strangers = 0
        """Number of events about clips that are not among the tasks."""

    def apply(self, event: Event) -> None:
        """Apply one event; an event that was applied before changes nothing."""
        if event['id'] in self.events_by_id:
            return
        marks = self.raters.setdefault(event['rater'], {})
        if event['kind'] == 'join':
            return
        if event['clip'] not in self.tasks:
            self.strangers += 1
            return
        self.events_by_id[event['id']] = event
        on_clip = marks.setdefault(event['clip'], Marks())
        if event['kind'] == 'checked':
            on_clip.verdict, on_clip.seconds = event['verdict'], on_clip.seconds + event['seconds']
        elif event['kind'] == 'label':
            if event['mark'] == CLEAR:
                on_clip.labels.pop(event['label'], None)
            else:
                on_clip.labels[event['label']] = event['mark']
        elif event['mark'] == STRIKE:
            on_clip.struck.add(int(event['sentence']))
        else:
            on_clip.struck.discard(int(event['sentence']))

    def done_by(self, rater: str) -> int:
        """Number of clips on which a checker has given a verdict."""
        return sum(bool(marks.verdict) for marks in self.raters.get(rater, {}).values())

    def next_for(self, rater: str) -> int:
        """Index of the clip with fewest verdicts among those without one of this checker; -1 if there is none."""
        own = self.raters.get(rater, {})
        verdicts = Counter(
            name
            for by_clip in self.raters.values()
            for name, marks in by_clip.items()
            if marks.verdict in (KEPT, STRUCK)
        )
        open_clips = [clip for clip, name in enumerate(self.order) if not own.get(name, Marks()).verdict]
        return min(open_clips, key=lambda clip: (verdicts[self.order[clip]], clip), default=-1)


class CheckStudy:
    """Captions and their marks in a folder; thread-safe.

    Args:
        folder: folder of the run, used by one process at a time.
        tasks: captions to check; a resumed study must have the same ones.
        resume: continue the checks that the folder holds.
        clock: returns the time in seconds since 1970.

    Raises:
        RunError: the folder cannot be used (see `Run`), or the journal is damaged.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[CheckTask],
        *,
        resume: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.clock = folder, clock
        content = _as_lines(tasks)
        self._run = Run(folder, {'captions': hashlib.sha256(content).hexdigest()}, resume=resume)
        try:
            if not (folder / TASKS).is_file() or read_regular_file(folder / TASKS) != content:
                write_atomically(folder / TASKS, content)
            self.state = CheckState(tasks)
            self._journal = Journal(folder / JOURNAL, FIELDS)
        except BaseException:
            self._run.close()
            raise
        for event in self._journal.events:
            self.state.apply(event)
        cut = self._journal.cut
        self.notes = (
            (f'the last line of {JOURNAL} was cut short by a kill and is removed; it was never acknowledged',)
            if cut
            else ()
        )
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Close the journal, so that another process may use the folder."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._journal.close()
                self._run.close()

    def join(self, name: str) -> dict[str, Any]:
        """Register a checker, or let one continue, and show the next clip."""
        with self._lock:
            name = rater_name(name)
            if name not in self.state.raters:
                self._note({'kind': 'join', 'id': secrets.token_hex(8), 'rater': name, 'time': self.clock()})
            return self._screen(name, self.state.next_for(name))

    def open(self, name: str, at: int) -> dict[str, Any]:
        """Show the clip at an index with the checker's marks.

        Raises:
            VoteError: the index is out of range, or no checker has this name.
        """
        with self._lock:
            rater = self._known(name)
            if not 0 <= at < len(self.state.order):
                raise VoteError(
                    expected=f'a clip from 0 to {len(self.state.order) - 1}', came=str(at), todo='choose another'
                )
            return self._screen(rater, at)

    def mark(self, id: str, name: str, clip: int, *, mark: str, label: str = '', sentence: int = -1) -> dict[str, Any]:
        """Store a mark on a label or a sentence; it is on disk when this returns.

        Args:
            id: made by the browser; the same when the mark is sent again.
            name: name of the checker.
            clip: index of the clip.
            mark: accept, strike, add or clear a label; strike or clear a sentence.
            label: label that is marked; '' to mark a sentence.
            sentence: index of the sentence that is marked, from 0.

        Raises:
            VoteError: the clip, label or sentence does not exist, or the id belongs to another mark.
            ValueRangeError: the label cannot be added, or the id has the wrong form.
            RunError: the mark could not be written; nothing changed.
        """
        with self._lock:
            rater, task = self._known(name), self._task(clip)
            marked = _label_mark(task, label, mark) if label else _sentence_mark(task, sentence, mark)
            kind = 'label' if label else 'sentence'
            self._once({'kind': kind, 'id': id, 'rater': rater, 'clip': task.name, **marked})
            return self._screen(rater, clip)

    def check(self, id: str, name: str, clip: int, verdict: str, seconds: float = 0.0) -> dict[str, Any]:
        """Store a checker's verdict on a whole clip; the answer holds the next clip.

        Args:
            id: as for `mark`.
            name: name of the checker.
            clip: index of the clip.
            verdict: kept, struck or skipped.
            seconds: time spent on the clip in seconds, measured by the browser.

        Raises:
            VoteError: the clip or verdict does not exist, or the id belongs to another mark.
            RunError: the verdict could not be written; nothing changed.
        """
        with self._lock:
            rater, task = self._known(name), self._task(clip)
            if verdict not in VERDICTS:
                raise VoteError(expected=f'one of {", ".join(VERDICTS)}', came=verdict[:20], todo='reload the page')
            event = {'kind': 'checked', 'id': id, 'rater': rater, 'clip': task.name, 'verdict': verdict}
            self._once(event, seconds=float(seconds))
            return self._screen(rater, self._after(rater, clip))

    def _after(self, rater: str, clip: int) -> int:
        """Index of the next clip without a verdict, searched from this one on, then from the start; -1 for none."""
        own = self.state.raters[rater]
        following = (*range(clip + 1, len(self.state.order)), *range(clip))
        return next((index for index in following if not own.get(self.state.order[index], Marks()).verdict), -1)

    def _once(self, event: Event, **more: Any) -> None:
        """Write an event unless it is stored already; an id that belongs to another event is refused."""
        id = str(event['id'])
        if not (8 <= len(id) <= LONGEST_ID and id.isascii() and id.replace('-', '').isalnum()):
            raise ValueRangeError(
                expected='an id of 8 to 64 letters, digits and hyphens', came=repr(id[:80]), todo='make one like a UUID'
            )
        stored = self.state.events_by_id.get(id)
        if stored is None:
            self._note({**event, **more, 'time': self.clock()})
        elif any(stored.get(key) != value for key, value in event.items()):
            raise VoteError(
                expected='an id of its own for each mark', came=f'{id!r}, used before', todo='reload the page'
            )

    def _note(self, event: Event) -> None:
        self._journal.append(event)
        self.state.apply(event)

    def _known(self, name: str) -> str:
        name = rater_name(name)
        if name not in self.state.raters:
            raise VoteError(expected='a checker who has joined', came=repr(name), todo='give your name first')
        return name

    def _task(self, clip: int) -> CheckTask:
        if not 0 <= clip < len(self.state.order):
            raise VoteError(expected='a clip of this study', came=str(clip), todo='reload the page')
        return self.state.tasks[self.state.order[clip]]

    def _screen(self, rater: str, at: int) -> dict[str, Any]:
        """The contents of a checker's page, as JSON values."""
        done, total = self.state.done_by(rater), len(self.state.order)
        if at < 0:
            return {'at': -1, 'done': done, 'of': total}
        task = self.state.tasks[self.state.order[at]]
        marks = self.state.raters[rater].get(task.name, Marks())
        added = [label for label, mark in marks.labels.items() if mark == ADD]
        return {
            'at': at, 'done': done, 'of': total,
            'sample': task.name, 'verdict': marks.verdict, 'subtitle': task.subtitle,
            'labels': [{'label': label, 'mark': marks.labels.get(label, '')} for label in task.labels]
            + [{'label': label, 'mark': ADD} for label in added],
            'sentences': [
                {'text': text, 'struck': number in marks.struck} for number, text in enumerate(task.sentences)
            ],
        }  # fmt: skip


def _label_mark(task: CheckTask, label: str, mark: str) -> dict[str, Any]:
    """Fields of a mark on a label; adding a label that the caption has accepts it."""
    label = label if label in task.labels else plain_label(label)
    is_own = label in task.labels
    mark = ACCEPT if mark == ADD and is_own else mark
    if mark not in ((ACCEPT, STRIKE, CLEAR) if is_own else (ADD, CLEAR)):
        raise VoteError(
            expected='a mark on a label of this clip', came=f'{mark[:20]!r} on {label!r}', todo='reload the page'
        )
    return {'label': label, 'mark': mark}


def _sentence_mark(task: CheckTask, sentence: int, mark: str) -> dict[str, Any]:
    if not 0 <= sentence < len(task.sentences) or mark not in (STRIKE, CLEAR):
        raise VoteError(
            expected=f'strike or clear on a sentence from 0 to {len(task.sentences) - 1}',
            came=f'{mark[:20]!r} on {sentence}',
            todo='reload the page',
        )
    return {'sentence': sentence, 'mark': mark}


def plain_label(text: str) -> str:
    """A label as it is stored: lower-case, on one line.

    Raises:
        ValueRangeError: the label is empty, too long, or has characters that a list of labels cannot hold.
    """
    label = ' '.join(text.lower().split())
    if not label or len(label) > LONGEST_LABEL or not label.isprintable() or any(sign in label for sign in '[]{}",;'):
        raise ValueRangeError(
            expected=f'a label of 1 to {LONGEST_LABEL} characters, without commas, quotes and brackets',
            came=repr(text[:60]), todo='write one or two words',
        )  # fmt: skip
    return label


def _as_lines(tasks: Sequence[CheckTask]) -> bytes:
    return ''.join(json.dumps(asdict(task), ensure_ascii=True) + '\n' for task in tasks).encode()


def open_checks(folder: Path) -> CheckState:
    """Read the state of a folder of checks without changing it; a server may be running.

    Raises:
        RunError: the folder holds no checks, or they are damaged.
    """
    try:
        lines = read_regular_file(folder / TASKS).decode().splitlines()
        tasks = [
            CheckTask(
                line['name'], tuple(line['sentences']), tuple(line['labels']), line['subtitle'], dict(line['row'])
            )
            for line in map(json.loads, lines)
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            expected='a folder of checked captions', came=f'{folder / TASKS}: {error}',
            todo='give the --out of `affekt annotate --check`',
        ) from error  # fmt: skip
    state = CheckState(tasks)
    for event in read_events(folder / JOURNAL, FIELDS):
        state.apply(event)
    return state


@dataclass(frozen=True)
class Checked:
    """The outcome of all checkers of one clip."""

    task: CheckTask
    checkers: tuple[str, ...]
    verdict: str
    """kept or struck; '' if no checker has given a verdict."""
    labels: tuple[str, ...]
    struck: tuple[str, ...]
    added: tuple[str, ...]
    description: str
    struck_sentences: tuple[str, ...]


def outcome_of(task: CheckTask, state: CheckState) -> Checked:
    """The majority outcome of a clip; a tie leaves a label, a sentence and the clip unchanged."""
    marked = {
        rater: marks[task.name]
        for rater, marks in state.raters.items()
        if task.name in marks and marks[task.name].verdict in (KEPT, STRUCK)
    }
    count = len(marked)
    rejections = sum(marks.verdict == STRUCK for marks in marked.values())

    def most(condition: Callable[[Marks], bool]) -> bool:
        return 2 * sum(condition(marks) for marks in marked.values()) > count

    struck = tuple(label for label in task.labels if most(lambda marks: marks.labels.get(label) == STRIKE))  # noqa: B023
    additions = dict.fromkeys(label for marks in marked.values() for label, mark in marks.labels.items() if mark == ADD)
    added = tuple(label for label in additions if most(lambda marks: marks.labels.get(label) == ADD))  # noqa: B023
    unchanged = task.row.get('description') or ' '.join(task.sentences)
    removed = {number for number in range(len(task.sentences)) if most(lambda marks: number in marks.struck)}  # noqa: B023
    return Checked(
        task, tuple(marked), '' if not count else STRUCK if 2 * rejections > count else KEPT,
        (*(label for label in task.labels if label not in struck), *added), struck, added,
        ' '.join(text for number, text in enumerate(task.sentences) if number not in removed) if removed else unchanged,
        tuple(task.sentences[number] for number in sorted(removed)),
    )  # fmt: skip


def export_checks(folder: Path, *, raw: bool = False) -> tuple[Path, ...]:
    """Write `checked.csv`, one row per clip with the captions' columns, and `checkers.csv`; return their paths.

    Clips without a verdict are written unchanged, with 0 checkers.

    Raises:
        RunError: the folder holds no checks, or they are damaged.
    """
    state = open_checks(folder)
    outcomes = [outcome_of(task, state) for task in state.tasks.values()]
    columns = list(dict.fromkeys([*(name for task in state.tasks.values() for name in task.row), *LEAST_COLUMNS]))
    more = ('checkers', 'verdict', 'struck_labels', 'added_labels', 'struck_sentences')
    rows = [
        {
            **outcome.task.row, 'name': outcome.task.name, 'description': outcome.description,
            'openset': json.dumps(outcome.labels, ensure_ascii=False), 'checkers': len(outcome.checkers),
            'verdict': outcome.verdict, 'struck_labels': json.dumps(outcome.struck, ensure_ascii=False),
            'added_labels': json.dumps(outcome.added, ensure_ascii=False),
            'struck_sentences': json.dumps(outcome.struck_sentences, ensure_ascii=False),
        }
        for outcome in outcomes
    ]  # fmt: skip
    people = []
    for rater, marks in state.raters.items():
        done = [clip_marks for clip_marks in marks.values() if clip_marks.verdict]
        counts = Counter(mark for clip_marks in done for mark in clip_marks.labels.values())
        verdicts = Counter(clip_marks.verdict for clip_marks in done)
        people.append(
            [
                rater, len(done), *(verdicts[name] for name in VERDICTS), counts[ACCEPT], counts[STRIKE], counts[ADD],
                sum(len(clip_marks.struck) for clip_marks in done),
                round(sum(clip_marks.seconds for clip_marks in done), 1),
            ]
        )  # fmt: skip
    heads = ('checker', 'clips', *VERDICTS, 'accepted', 'struck_labels', 'added', 'struck_sentences', 'seconds')
    written = (folder / CHECKED, folder / CHECKERS)
    write_atomically(written[0], csv_bytes([*columns, *more], rows, raw=raw))
    write_atomically(written[1], csv_bytes(heads, people, raw=raw))
    return written
