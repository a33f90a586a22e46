"""What raters are asked: pairs of descriptions of one clip, read from the files that the field uses.

A file of pairs has columns name, a1, a2 (EmoPrefer; with model1 and model2 the describers are known), or name, left,
right, left_text, right_text. Several files of descriptions (name and a text) give every pair of describers on every
clip that both describe; a describer is called as its file. Exports of Label Studio are read by
`label_studio_reading.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path

from affekt.errors import TableError
from affekt.labels import final_texts
from affekt.llm.descriptions import DESCRIPTION_COLUMNS, read_descriptions
from affekt.ranking.comparisons import short
from affekt.ranking.names import refuse_lookalikes
from affekt.ranking.reading import SHAPES, comparison_table
from affekt.tables import Table

LONGEST_TEXT = 20_000
MOST_TASKS = 200_000
EMOPREFER = {'name', 'a1', 'a2'}
PLAIN = {'name', 'left', 'right', 'left_text', 'right_text'}
KNOWN_OUTCOMES = {'left': 'left', 'right': 'right', 'tie': 'tie', **SHAPES['emoprefer'].words}
"""What gold files may say."""


@dataclass(frozen=True)
class Task:
    """One question: which of two descriptions of a clip is better."""

    sample: str
    """Name of the clip."""
    left: str
    """Name of the describer; raters never see it."""
    right: str
    left_text: str
    right_text: str
    gold: str = ''
    """The known verdict, left, right or tie; '' where it is asked in earnest."""

    @cached_property
    def key(self) -> str:
        """Says which task this is, whatever file it comes from: 16 hex digits."""
        held = json.dumps([self.sample, self.left, self.right, self.left_text, self.right_text], ensure_ascii=True)
        return hashlib.sha256(held.encode()).hexdigest()[:16]

    @cached_property
    def pair(self) -> tuple[str, str]:
        """The two describers by name."""
        return (self.left, self.right) if self.left <= self.right else (self.right, self.left)


def read_tasks(paths: Sequence[Path]) -> tuple[Task, ...]:
    """The tasks that files hold.

    Args:
        paths: one file of pairs, or two or more of descriptions.

    Raises:
        TableError: a file of another shape, a text that is missing or too long, a pair twice, or nothing to compare.
        ComparisonError: a file that cannot be read.
    """
    tasks = _of_table(comparison_table(paths[0]), gold=False) if len(paths) == 1 else _of_describers(paths)
    return checked(tasks, ', '.join(path.name for path in paths))


def read_gold(path: Path) -> tuple[Task, ...]:
    """Tasks with known verdicts, from a file of pairs with a column outcome or preference.

    Raises:
        TableError: as `read_tasks`, or a row without a verdict left, right or tie (a1, a2, same).
        ComparisonError: a file that cannot be read.
    """
    return checked(_of_table(comparison_table(path), gold=True), path.name)


def as_json(tasks: Sequence[Task]) -> str:
    """One JSON object a line."""
    names = [one.name for one in fields(Task)]
    return ''.join(json.dumps({name: getattr(task, name) for name in names}) + '\n' for task in tasks)


def from_json(text: str) -> tuple[Task, ...]:
    """Tasks that `as_json` wrote.

    Raises:
        ValueError: a line is no task; says which.
    """
    names = {part.name for part in fields(Task)}
    tasks = []
    for number, line in enumerate(text.split('\n')[:-1], 1):
        try:
            parts = json.loads(line)
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, dict) or set(parts) != names or not all(type(part) is str for part in parts.values()):
            raise ValueError(f'line {number} is no task')
        tasks.append(Task(**parts))
    return tuple(tasks)


def _of_table(table: Table, *, gold: bool) -> list[Task]:
    columns = table.columns
    if set(columns) >= PLAIN:
        names = ('left', 'right', 'left_text', 'right_text')
    elif set(columns) >= EMOPREFER:
        names = ('model1', 'model2', 'a1', 'a2')
        if not {'model1', 'model2'} <= set(columns):
            size = len(columns['name'])
            columns = {**columns, 'model1': ['a1'] * size, 'model2': ['a2'] * size}
    else:
        raise TableError(
            expected='columns name, a1, a2[, model1, model2] or name, left, right, left_text, right_text',
            came=f'{table.source} with {short(", ".join(columns) or "none", 200)}',
            todo='rename the columns; files of descriptions (name, text) are given two or more at a time',
        )
    whole = {name: columns[name] for name in ('name', *names[:2])} | _descriptions(columns, names[2:], table)
    sides = [[_text(value, table, row) for row, value in enumerate(column)] for column in whole.values()]
    verdicts = _verdicts(columns, table) if gold else [''] * len(sides[0])
    return [
        Task(sample, left, right, left_text, right_text, verdict)
        for sample, left, right, left_text, right_text, verdict in zip(*sides, verdicts, strict=True)
    ]


def _descriptions(
    columns: Mapping[str, Sequence[object]], names: Sequence[str], table: Table
) -> dict[str, Sequence[object]]:
    """The columns of texts without what their describers thought aloud.

    Raises:
        TableError: nothing else stands there.
    """
    cells = [cell if isinstance(cell, str) else '' for name in names for cell in columns[name]]
    finals = iter(final_texts(cells, table.source))
    whole: dict[str, Sequence[object]] = {}
    for name in names:
        texts: list[object] = [next(finals) if isinstance(cell, str) else cell for cell in columns[name]]
        for row, (cell, text) in enumerate(zip(columns[name], texts, strict=True)):
            if isinstance(text, str) and not text.strip() and str(cell).strip():
                raise TableError(
                    expected='a description',
                    came=f'nothing but what the model thought aloud as {name} in {table.source.row(row)}',
                    todo='correct or remove that row',
                )
        whole[name] = texts
    return whole


def _verdicts(columns: Mapping[str, Sequence[object]], table: Table) -> list[str]:
    name = next((one for one in ('outcome', 'preference') if one in columns), None)
    if name is None:
        raise TableError(
            expected='a column outcome (or preference) with the known verdicts',
            came=f'{table.source} without one',
            todo='say for each row left, right or tie (a1, a2 or same)',
        )
    found = [KNOWN_OUTCOMES.get(str(value).strip().lower(), '') for value in columns[name]]
    if '' in found:
        row = found.index('')
        raise TableError(
            expected='a known verdict left, right or tie (a1, a2, same)',
            came=f'{short(str(columns[name][row]))!r} in {table.source.row(row)}',
            todo='correct or remove that row',
        )
    return found


def _text(value: object, table: Table, row: int) -> str:
    """A cell as text; white space at its ends goes."""
    text = str(value).strip() if isinstance(value, (str, int, float)) else ''
    text = text.encode('utf-8', 'replace').decode()
    if not text or text == 'nan' or len(text) > LONGEST_TEXT:
        raise TableError(
            expected=f'names and texts of 1 to {LONGEST_TEXT:,} characters',
            came=f'{len(text)} characters in {table.source.row(row)}'
            if text
            else f'nothing in {table.source.row(row)}',
            todo='correct or remove that row',
        )
    return text


def _of_describers(paths: Sequence[Path]) -> list[Task]:
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise TableError(
            expected='files of different names, one for each describer',
            came=', '.join(path.name for path in paths),
            todo='rename the files',
        )
    said = {}
    for name, path in zip(names, paths, strict=True):
        texts = read_descriptions(path)
        said[name] = dict(zip(texts, final_texts(texts.values(), path.name), strict=True))
    found = []
    for left, right in combinations(names, 2):
        for sample, text in said[left].items():
            other = said[right].get(sample, '')
            if text.strip() and other.strip():
                found.append(Task(sample, left, right, text.strip(), other.strip()))
    if not found:
        raise TableError(
            expected=f'clips that two files describe (columns name and one of {", ".join(DESCRIPTION_COLUMNS)})',
            came=f'no common name in {", ".join(path.name for path in paths)}',
            todo='check the names',
        )
    return found


def checked(tasks: Sequence[Task], source: str) -> tuple[Task, ...]:
    """The tasks, each once, of two different describers.

    Raises:
        TableError: they are not; the message names the pair.
    """
    if not 0 < len(tasks) <= MOST_TASKS:
        raise TableError(
            expected=f'1 to {MOST_TASKS:,} pairs', came=f'{len(tasks):,} in {source}', todo='give other files'
        )
    refuse_lookalikes((name for task in tasks for name in task.pair), source, 'describer')
    seen: set[str] = set()
    for row, task in enumerate(tasks, 1):
        if task.left == task.right:
            raise TableError(
                expected='two different describers',
                came=f'{short(task.left)!r} twice in pair {row} of {source}',
                todo='correct or remove that row',
            )
        if task.key in seen:
            raise TableError(
                expected='each pair once',
                came=f'pair {row} of {source} ({short(task.sample)}) a second time',
                todo='remove one of them',
            )
        seen.add(task.key)
    return tuple(tasks)
