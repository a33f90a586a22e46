"""The tasks of a study: pairs of descriptions of one clip, checked before any rater comes.

A file of pairs has any of the shapes that `affekt.preference.read_pair_table` knows, including EmoPrefer's. Several
files of descriptions (name and text) give every pair of describers on every clip that both describe; a describer is
named after its file. `label_studio_reading.py` reads exports of Label Studio.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from affekt.errors import TableError, short
from affekt.llm import DESCRIPTION_COLUMNS
from affekt.preference import DescribedPair, PairTable, paired, read_describers, read_pair_table
from affekt.ranking import refuse_lookalikes

LONGEST_TEXT = 20_000
MOST_TASKS = 200_000
KEPT = ('sample', 'left', 'right', 'left_text', 'right_text', 'gold')
"""Fields of a pair that a study stores."""


class Task(DescribedPair):
    """Former name of `DescribedPair`, with `gold` for its outcome."""

    def __init__(self, sample: str, left: str, right: str, left_text: str, right_text: str, gold: str = '') -> None:
        super().__init__(sample, left, right, left_text, right_text, outcome=gold)


def read_tasks(paths: Sequence[Path]) -> tuple[DescribedPair, ...]:
    """Read the pairs of one or more files.

    Args:
        paths: one file of pairs, or two or more files of descriptions.

    Raises:
        TableError: a file cannot be read or has an unknown shape, a text is missing or too long, a pair occurs twice,
            or there is nothing to compare.
    """
    pairs = _of_table(read_pair_table(paths[0], outcomes=False)) if len(paths) == 1 else _of_describers(paths)
    return checked(pairs, ', '.join(path.name for path in paths))


def read_gold(path: Path) -> tuple[DescribedPair, ...]:
    """Read pairs with known verdicts, from a file of pairs with a column outcome or preference.

    Raises:
        TableError: as for `read_tasks`, or a row has no verdict left, right or tie (a1, a2, same).
    """
    table = read_pair_table(path)
    if not table.is_judged or table.votes:
        raise TableError(
            expected='a column outcome (or preference) with the known verdicts',
            came=f'{table.source} without one',
            todo='give left, right or tie (a1, a2 or same) in each row',
        )
    return checked(_of_table(table), path.name)


def as_json(pairs: Sequence[DescribedPair]) -> str:
    """Pairs as JSON, one object per line."""
    return ''.join(json.dumps({name: getattr(pair, name) for name in KEPT}) + '\n' for pair in pairs)


def from_json(text: str) -> tuple[DescribedPair, ...]:
    """Pairs written by `as_json`, with the texts as raters see them.

    Raises:
        ValueError: a line is not a pair; the message says which.
    """
    pairs = []
    for number, line in enumerate(text.split('\n')[:-1], 1):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if (
            not isinstance(fields, dict)
            or set(fields) != set(KEPT)
            or not all(type(value) is str for value in fields.values())
        ):
            raise ValueError(f'line {number} is not a task')
        outcome = fields.pop('gold')
        pairs.append(DescribedPair(**fields, outcome=outcome, has_thinking=(False, False)))
    return tuple(pairs)


def _of_table(table: PairTable) -> list[DescribedPair]:
    """The pairs of a table, after a check that their names and texts can be displayed."""
    if not table.names_samples:
        raise TableError(
            expected='a column name with the clip of each pair',
            came=f'{table.source} without one',
            todo='add it; files of descriptions (name, text) are given two or more at a time',
        )
    table.note_thinking()
    pairs = []
    for row, pair in enumerate(table.pairs):
        where = table.source.row(row)
        texts = pair.left_text, pair.right_text
        for text, has_thinking, column in zip(texts, pair.has_thinking, table.text_columns, strict=True):
            if has_thinking and not text.strip():
                raise TableError(
                    expected='a description',
                    came=f'nothing but what the model thought aloud as {column} in {where}',
                    todo='correct or remove that row',
                )
        sample, left, right, left_text, right_text = (
            _shown(text, where) for text in (pair.sample, pair.left, pair.right, *texts)
        )
        pairs.append(replace(pair, sample=sample, left=left, right=right, left_text=left_text, right_text=right_text))
    return pairs


def _shown(text: str, where: str) -> str:
    """A name or text without white space at its ends, after a check that it can be displayed."""
    text = text.strip().encode('utf-8', 'replace').decode()
    if not text or text == 'nan' or len(text) > LONGEST_TEXT:
        raise TableError(
            expected=f'names and texts of 1 to {LONGEST_TEXT:,} characters',
            came=f'{len(text)} characters in {where}' if text else f'nothing in {where}',
            todo='correct or remove that row',
        )
    return text


def _of_describers(paths: Sequence[Path]) -> list[DescribedPair]:
    answers = {
        name: {sample: replace(answer, text=answer.text.strip()) for sample, answer in by_sample.items()}
        for name, by_sample in read_describers(paths, notes=True).items()
    }
    pairs = [
        paired(sample, left, right, answers)
        for left, right in combinations(answers, 2)
        for sample, answer in answers[left].items()
        if answer.text and sample in answers[right] and answers[right][sample].text
    ]
    if not pairs:
        raise TableError(
            expected=f'clips that two files describe (columns name and one of {", ".join(DESCRIPTION_COLUMNS)})',
            came=f'no common name in {", ".join(path.name for path in paths)}',
            todo='check the names',
        )
    return pairs


def checked(pairs: Sequence[DescribedPair], source: str) -> tuple[DescribedPair, ...]:
    """The pairs, after a check that each occurs once and compares two different describers.

    Raises:
        TableError: a pair does not; the message names it.
    """
    if not 0 < len(pairs) <= MOST_TASKS:
        raise TableError(
            expected=f'1 to {MOST_TASKS:,} pairs', came=f'{len(pairs):,} in {source}', todo='give other files'
        )
    refuse_lookalikes((name for pair in pairs for name in pair.describers), source, 'describer')
    seen: set[str] = set()
    for row, pair in enumerate(pairs, 1):
        if pair.left == pair.right:
            raise TableError(
                expected='two different describers',
                came=f'{short(pair.left)!r} twice in pair {row} of {source}',
                todo='correct or remove that row',
            )
        if pair.key in seen:
            raise TableError(
                expected='each pair once',
                came=f'pair {row} of {source} ({short(pair.sample)}) a second time',
                todo='remove one of the two',
            )
        seen.add(pair.key)
    return tuple(pairs)
