"""Reads an export of Label Studio as tasks and votes, from any pairwise project.

JSON, JSON-MIN and CSV exports are read. Unusable entries are left out and counted in `Imported.notes`, by task: an
annotation without a verdict does not prevent the import of the others.

Source: https://labelstud.io/guide/export, https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from affekt.annotation.journal import Event
from affekt.annotation.pairs import LONGEST_TEXT, MOST_TASKS
from affekt.annotation.study import LONGEST_NAME
from affekt.errors import TableError, short
from affekt.labels import without_thinking
from affekt.preference import DescribedPair
from affekt.ranking import SHAPES, shown
from affekt.tables import storable

PLACES = ('video', 'audio', 'image', 'clip', 'media', 'url', 'file')
"""Fields of the data that may hold the clip, in order; otherwise the first one that looks like a file name."""
TEXTS = tuple(dict.fromkeys(shape.texts for shape in SHAPES.values()))
"""Pairs of fields that may hold the two texts, including those of two templates of Label Studio."""
MINIMAL_FIELDS = ('annotation_id', 'annotator')
"""Fields of the annotation in rows of JSON-MIN and CSV exports, beside data and answers."""
TIE_WORDS = frozenset({'tie', 'same', 'none', 'equal', 'draw', 'both', 'neither', 'no difference'})
VERDICTS = {'left': 'left', 'right': 'right', **dict.fromkeys(TIE_WORDS, 'tie')}
QUESTION, TIE_QUESTION = 'preference', 'tie'
"""Names of the two questions in affekt's own configuration; they decide where several questions disagree."""
UPLOAD_PREFIX = re.compile(r'[0-9a-f]{8}-(?=.)')
"""Prefix that Label Studio puts before the name of an uploaded file."""
FILE_ENDING = re.compile(r'\.[A-Za-z0-9]{2,5}$')
MOST_NAMED = 5
MOST_REASONS = 20


@dataclass(frozen=True)
class Imported:
    """The contents of a Label Studio export."""

    tasks: tuple[DescribedPair, ...]
    votes: tuple[Event, ...]
    """Annotations as events of kind import."""
    predictions: Mapping[str, tuple[Mapping[str, Any], ...]]
    """Task key to predictions, unchanged; they do not count as votes."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Clip name to its location in Label Studio."""
    notes: tuple[str, ...] = ()
    """What was left out or changed, with counts and task numbers."""


class _Notes:
    """Collects the numbers of the tasks for which something was left out, by reason."""

    def __init__(self) -> None:
        self._tasks: dict[str, list[int]] = {}

    def add(self, reason: str, task: int) -> None:
        self._tasks.setdefault(reason, []).append(task)

    def sentences(self) -> tuple[str, ...]:
        sentences = [f'{reason}: {len(tasks)} ({_numbers(tasks)})' for reason, tasks in self._tasks.items()]
        more = len(sentences) - MOST_REASONS
        return (*sentences[:MOST_REASONS], *((f'more was left out, for {more} other reasons',) if more > 0 else ()))


def is_label_studio(rows: object) -> bool:
    """Whether parsed JSON, or the rows of a table, look like an export of Label Studio."""
    all_rows = rows if isinstance(rows, list) else [rows]
    return any(isinstance(row, dict) and (isinstance(row.get('data'), dict) or _is_minimal(row)) for row in all_rows)


def read_label_studio(rows: object, source: str = 'the export') -> Imported:
    """Read tasks and votes of a Label Studio export: JSON, or the rows of JSON-MIN and CSV.

    Args:
        rows: the parsed JSON, or the rows of a table.
        source: name of the export in messages.

    Raises:
        TableError: the export is not a list of tasks, or no task has two texts; the message says what was found.
    """
    listed = [rows] if isinstance(rows, dict) and is_label_studio(rows) else rows
    if not isinstance(listed, list) or not listed:
        raise TableError(expected='a JSON list of tasks', came=source, todo='export as JSON from Label Studio')
    if len(listed) > MOST_TASKS:
        raise TableError(expected=f'at most {MOST_TASKS:,} tasks', came=f'{len(listed):,}', todo='export a part')
    notes = _Notes()
    is_minimal = any(isinstance(row, dict) and _is_minimal(row) for row in listed)
    complete = [
        _from_minimal(row) if is_minimal and isinstance(row, dict) and 'data' not in row else row for row in listed
    ]
    places = [_place(row['data']) if _has_data(row) else '' for row in complete]
    names = _sample_names(places, notes)
    reader = _Reader(notes, names)
    for number, (row, place) in enumerate(zip(complete, places, strict=True), 1):
        reader.take(row, place, number)
    if not reader.tasks:
        raise TableError(
            expected='tasks whose data hold left_text and right_text (or text1 and text2, answer1 and answer2)',
            came=f'{source}: {short("; ".join(notes.sentences()), 300)}',
            todo='rename the fields, or export as JSON from Label Studio',
        )
    return Imported(
        tuple(reader.tasks.values()), tuple(reader.votes), reader.predictions, reader.places, notes.sentences()
    )


def _describers(data: Mapping[str, Any], texts: tuple[str, str]) -> tuple[str, str]:
    """Describers of the texts in these fields; 'left' and 'right' where the task does not name them."""
    left, right = _string(data.get('left')), _string(data.get('right'))
    if left or right:
        return left or 'left', right or 'right'
    for shape in SHAPES.values():
        for fields in shape.describers if shape.texts == texts else ():
            cells = [_string(data.get(name)) for name in fields]
            names = cells if len(cells) == 2 else cells[0].split(shape.joined)
            if len(names) == 2 and all(names):
                return names[0], names[1]
    return 'left', 'right'


class _Reader:
    """Collects tasks, votes and predictions row by row."""

    def __init__(self, notes: _Notes, names: Mapping[str, str]) -> None:
        self.tasks: dict[str, DescribedPair] = {}
        self.votes: list[Event] = []
        self.predictions: dict[str, tuple[Mapping[str, Any], ...]] = {}
        self.places: dict[str, str] = {}
        self._notes, self._names = notes, names
        self._raters = _RaterNames()
        self._describers: dict[str, str] = {}
        self._ids: dict[str, Event] = {}
        self._voted: set[tuple[str, str]] = set()
        self._annotations: Counter[str] = Counter()

    def take(self, row: object, place: str, number: int) -> None:
        """Read one task with its annotations."""
        if not isinstance(row, dict) or not _has_data(row):
            self._notes.add('tasks left out that are not an object with data', number)
            return
        task = self._task(row, place, number)
        if task is None:
            return
        if task.key in self.tasks and not row.get('is_minimal'):
            self._notes.add('repeated tasks, whose annotations are joined', number)
        task = self.tasks.setdefault(task.key, task)
        if place:
            self.places.setdefault(task.sample, place)
        column = 'annotations' if 'annotations' in row else 'completions'
        for annotation in self._dicts(row, column, 'annotations', number):
            self._vote(annotation, task, number)
        if predictions := self._dicts(row, 'predictions', 'predictions', number):
            self.predictions[task.key] = (*self.predictions.get(task.key, ()), *predictions)
        if drafts := row.get('drafts'):
            for _ in drafts if isinstance(drafts, list) else (drafts,):
                self._notes.add('drafts left out', number)

    def _task(self, row: Mapping[str, Any], place: str, number: int) -> DescribedPair | None:
        data = row['data']
        pairs = {names: (_string(data.get(names[0])), _string(data.get(names[1]))) for names in TEXTS}
        columns, shown_texts = next(((names, pair) for names, pair in pairs.items() if all(pair)), (TEXTS[0], ('', '')))
        finals = [without_thinking(text) for text in shown_texts]
        left_text, right_text = (final.text.strip() for final in finals)
        if any(final.has_thinking for final in finals):
            self._notes.add('tasks with what the model thought aloud, which is left out of the texts', number)
        if not (left_text and right_text) or max(len(left_text), len(right_text)) > LONGEST_TEXT:
            reason = f'of more than {LONGEST_TEXT:,} characters' if left_text and right_text else 'without both texts'
            self._notes.add(f'tasks left out {reason}', number)
            return None
        left, right = (self._describer(name, number) for name in _describers(data, columns))
        if left == right:
            self._notes.add('tasks left out whose two describers are the same', number)
            return None
        sample = _string(data.get('name')) or self._names.get(place, '') or f'task {row.get("id", number)}'
        thinking = tuple(final.has_thinking for final in finals)
        return DescribedPair(sample, left, right, left_text, right_text, has_thinking=thinking)

    def _describer(self, name: str, number: int) -> str:
        """Name of a describer, in the spelling that came first."""
        cleaned = shown(name) or name
        first = self._describers.setdefault(_alike_key(cleaned), cleaned)
        if first != cleaned:
            self._notes.add(f'tasks with a describer in another spelling, read as {short(first)}', number)
        return first

    def _dicts(self, row: Mapping[str, Any], column: str, noun: str, number: int) -> list[Mapping[str, Any]]:
        """The objects in a list of a task; [] if there is none."""
        entries = row.get(column) or []
        if not isinstance(entries, list):
            self._notes.add(f'{noun} left out that are not a list', number)
            return []
        for entry in entries:
            if not isinstance(entry, dict):
                self._notes.add(f'{noun} left out that are an id without content', number)
        return [entry for entry in entries if isinstance(entry, dict)]

    def _vote(self, annotation: Mapping[str, Any], task: DescribedPair, number: int) -> None:
        outcome, reason = 'skip', ''
        others: set[str] = set()
        position = self._annotations[task.key]
        self._annotations[task.key] += 1
        if not _is_true(annotation.get('was_cancelled')):
            outcome, reason, others = _verdict(annotation.get('result'))
        for question in sorted(others):
            self._notes.add(f'answers to another question left out, {short(question)}', number)
        if reason:
            self._notes.add(f'annotations left out with {reason}', number)
            return
        rater = self._raters.name(annotation.get('completed_by'), position)
        seconds, time = _lead_seconds(annotation.get('lead_time')), _time(annotation.get('created_at'))
        if seconds is None:
            self._notes.add('annotations whose lead_time is not a number of seconds', number)
        meta = annotation.get('meta')
        order = meta.get('order', '') if isinstance(meta, dict) else ''
        event: dict[str, Any] = {
            'kind': 'import',
            'id': '',
            'rater': rater,
            'task': task.key,
            'outcome': outcome,
            'first': order if order in ('left', 'right') else '',
            'seconds': seconds or 0.0,
            'time': time,
        }
        unique_id = _string(annotation.get('unique_id'))
        event['id'] = unique_id or f'label-studio-{_string(annotation.get("id")) or position}-{task.key}'
        if (stored := self._ids.get(event['id'])) is not None:
            if stored == event:
                self._notes.add('repeated annotations', number)
                return
            event['id'] = f'{event["id"]}-{task.key}-{rater}'
        if (rater, task.key) in self._voted:
            self._notes.add('annotations by a rater who judged that pair before; the last one counts', number)
        self._voted.add((rater, task.key))
        self._ids[event['id']] = event
        self.votes.append(event)


class _RaterNames:
    """Gives each annotator one name, different for different annotators."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def name(self, annotator: object, position: int) -> str:
        """Name of an annotator from `completed_by`: an id, an address, or an object with either and a name."""
        if isinstance(annotator, dict):
            full_name = ' '.join(_string(annotator.get(key)) for key in ('first_name', 'last_name')).strip()
            number, address, user = (_string(annotator.get(key)) for key in ('id', 'email', 'username'))
            name = full_name or address or user or number
            identity = number or address or user or full_name
        else:
            identity = _string(annotator)
            name = f'user {identity}' if identity.isdecimal() else identity
        if not identity:
            # possibly one person, possibly several: the annotations of one task get different names
            return 'unknown' if position == 0 else f'unknown {position + 1}'
        if identity not in self._names:
            self._names[identity] = self._free(_visible(name) or 'unnamed', _visible(identity))
        return self._names[identity]

    def _free(self, name: str, identity: str) -> str:
        free, number = name[:LONGEST_NAME], 1
        while _alike_key(free) in self._taken:
            suffix = f' ({identity[: LONGEST_NAME // 2]})' if number == 1 else f' ({number})'
            free, number = name[: LONGEST_NAME - len(suffix)] + suffix, number + 1
        self._taken.add(_alike_key(free))
        return free


def _verdict(result: object) -> tuple[str, str, set[str]]:
    """Left, right, tie or ''; the reason where there is no verdict; and other questions that were answered."""
    selected: dict[str, str] = {}
    chosen: dict[str, list[str]] = {}
    disagreeing: set[str] = set()
    others: set[str] = set()
    for part in result if isinstance(result, list) else ():
        value = part.get('value') if isinstance(part, dict) else None
        question = str(part.get('from_name', '')) if isinstance(part, dict) else ''
        if isinstance(value, dict) and part.get('type') == 'pairwise':
            side = _string(value.get('selected')).lower()
            if selected.setdefault(question, side) != side:
                disagreeing.add(question)
        elif isinstance(value, dict) and part.get('type') == 'choices':
            choices = value.get('choices')
            words = choices if isinstance(choices, list) else [choices]
            chosen.setdefault(question, []).extend(
                word for word in map(_lowered, words) if word not in chosen.get(question, ())
            )
        elif question:
            others.add(question)
    if disagreeing:
        return '', 'verdicts that contradict each other', others
    verdicts = {name: word for name, word in selected.items() if word in ('left', 'right')}
    for name, words in chosen.items():
        is_verdict = len(words) == 1 and words[0] in VERDICTS and (not selected or name == TIE_QUESTION)
        if is_verdict:
            verdicts[name] = VERDICTS[words[0]]
        else:
            others.add(name)
    if len(set(verdicts.values())) > 1 and QUESTION in verdicts and TIE_QUESTION not in verdicts:
        others |= set(verdicts) - {QUESTION}
        verdicts = {QUESTION: verdicts[QUESTION]}
    if not verdicts:
        return '', 'no verdict left, right or tie', others
    if len(set(verdicts.values())) > 1:
        return '', 'verdicts that contradict each other', others
    return next(iter(verdicts.values())), '', others


def _lowered(word: object) -> str:
    return _string(word).lower()


def _is_minimal(row: Mapping[str, Any]) -> bool:
    return 'data' not in row and ('annotation_id' in row or {'annotator', 'lead_time'} <= set(row))


def _from_minimal(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of JSON-MIN or CSV, in which data and answers are in the same row, as a task with one annotation."""
    data_fields = {'left', 'right', 'name', 'id', *PLACES, *MINIMAL_FIELDS, *(name for pair in TEXTS for name in pair)}
    result = []
    for name, value in row.items():
        if name not in data_fields:
            for entry in _answers(value):
                result.append({'from_name': name, **entry})
    annotation = {
        'id': row.get('annotation_id'),
        'completed_by': row.get('annotator'),
        'was_cancelled': row.get('was_cancelled'),
        'lead_time': row.get('lead_time'),
        'created_at': row.get('created_at'),
        'result': result,
    }
    data = {name: value for name, value in row.items() if name not in MINIMAL_FIELDS}
    is_judged = any(row.get(name) not in (None, '') for name in MINIMAL_FIELDS)
    return {'id': row.get('id'), 'data': data, 'annotations': [annotation] if is_judged else [], 'is_minimal': True}


def _answers(value: object) -> list[dict[str, Any]]:
    """The answers in a field of JSON-MIN: a selection, choices, or [] where it cannot hold a verdict."""
    if isinstance(value, str) and value.strip()[:1] in ('{', '['):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    entries = value if isinstance(value, list) else [value]
    answers: list[dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, dict) and 'selected' in entry:
            answers.append({'type': 'pairwise', 'value': entry})
        elif isinstance(entry, dict) and 'choices' in entry:
            answers.append({'type': 'choices', 'value': entry})
        elif isinstance(entry, str) and entry.strip().lower() in VERDICTS:
            answers.append({'type': 'choices', 'value': {'choices': [entry]}})
    return answers


def _place(data: Mapping[str, Any]) -> str:
    """Location of the clip, as the export has it; '' if there is none."""
    by_field = [data.get(name) for name in PLACES]
    likely = [value for value in data.values() if isinstance(value, str) and FILE_ENDING.search(value.strip())]
    return next((_string(value) for value in (*by_field, *likely) if isinstance(value, str) and value.strip()), '')


def _sample_names(places: Sequence[str], notes: _Notes) -> dict[str, str]:
    """Location to clip name: the file name, or with folders where two files have the same name."""
    paths = {place: _path(place) for place in dict.fromkeys(places) if place}
    by_name: dict[str, dict[str, int]] = {}
    for number, place in enumerate(places, 1):
        if place:
            by_name.setdefault(paths[place].split('/')[-1], {}).setdefault(place, number)
    names: dict[str, str] = {}
    for name, task_of in by_name.items():
        folders = {paths[place] for place in task_of}
        names |= {place: paths[place] if len(folders) > 1 else name for place in task_of}
        if len(folders) == 1 and len(task_of) > 1:
            for number in list(task_of.values())[1:]:
                notes.add('files uploaded again under the same name, read as the same clip', number)
    return {place: storable(name) for place, name in names.items()}


def _path(place: str) -> str:
    """Path of a file as on disk: percent-decoded, without the prefix of an upload."""
    if '?d=' in place:
        return unquote(place.split('?d=', 1)[1]).replace('\\', '/').strip('/')
    if place.startswith('data:'):
        return ''
    try:
        parts = urlsplit(place)
    except ValueError:
        return place.split('/')[-1]
    if parts.scheme in ('http', 'https') or place.startswith('/data/'):
        path = unquote(parts.path)
        *folders, name = path.strip('/').split('/')
        return UPLOAD_PREFIX.sub('', name, count=1) if 'upload' in folders else '/'.join((*folders, name))
    path = f'{parts.netloc}/{parts.path}' if parts.scheme and parts.netloc else place
    return path.replace('\\', '/').strip('/')


def _has_data(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get('data'), dict)


def _is_true(value: object) -> bool:
    return value.strip().lower() in ('true', '1', 'yes') if isinstance(value, str) else bool(value)


def _string(value: object) -> str:
    """A field as text that can be stored; '' for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # ids become floats in a table with empty cells
    return storable(str(value).strip()) if isinstance(value, (str, int)) and not isinstance(value, bool) else ''


def _alike_key(name: str) -> str:
    """A key that is equal for names that differ only in capitals or in the width of letters."""
    return unicodedata.normalize('NFKC', shown(name)).casefold()


def _visible(text: str) -> str:
    return ' '.join(''.join(mark if mark.isprintable() else ' ' for mark in text).split())


def _lead_seconds(value: object) -> float | None:
    """Duration in seconds; 0 where none is given, None if it is not a number."""
    if value is None or value == '':
        return 0.0
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0.0 <= seconds < math.inf else None


def _time(text: object) -> float:
    """Seconds since 1970; 0 where the text is not a time."""
    try:
        when = datetime.fromisoformat(str(text).replace('Z', '+00:00'))
        return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0.0


def _numbers(tasks: Sequence[int]) -> str:
    unique = list(dict.fromkeys(tasks))
    more = ', …' if len(unique) > MOST_NAMED else ''
    return f'task{"s" if len(unique) > 1 else ""} {", ".join(map(str, unique[:MOST_NAMED]))}{more}'
