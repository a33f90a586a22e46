"""A user's edits of people after an analysis, merges and names, as a list beside the results.

    {"format": 1, "changes": [{"merge": ["person 1", "person 3"]}, {"name": ["person 1", "A."]}]}

Each change refers to people by their names at that time. The results stay as analyzed; the list is
applied whenever they are read.
"""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import RunError, UnknownNameError, ValueRangeError, did_you_mean
from affekt.runs import read_regular_file, write_atomically
from affekt.wording import opened

CHANGES_FILE = 'people.json'
FORMAT = 1
"""Version of the list."""
LONGEST_NAME = 80
"""Maximum number of characters of a name."""
MOST_BYTES = 1 << 20
"""Maximum size of the list that is read."""
FORGET = 'forget the changes with `affekt people RUN --reset`, or remove the file'
JOINERS = '\u200c\u200d'
"""Invisible characters that the spelling of Persian, Hindi and other languages needs."""


@dataclass(frozen=True)
class Merge:
    """Two people are one; the second takes the first one's name."""

    into: str
    person: str


@dataclass(frozen=True)
class Rename:
    """A person gets another name."""

    person: str
    name: str


Change = Merge | Rename


def names_after(people: Iterable[str], changes: Sequence[Change], reserved: Iterable[str] = ()) -> dict[str, str]:
    """Everybody's name after the changes.

    Args:
        people: their names as analyzed.
        changes: in the order in which they were made; people may be given by number, 'person 1' as 1.
        reserved: names that are not allowed, ignoring case.

    Returns:
        Name as analyzed to name after all changes; merged people share a name.

    Raises:
        UnknownNameError: a change refers to an unknown name.
        ValueRangeError: a person is merged with itself, or a name is empty, too long, taken or reserved.

    >>> names_after(['person 1', 'person 2', 'person 3'], [Merge('1', '3'), Rename('1', 'A.')])
    {'person 1': 'A.', 'person 2': 'person 2', 'person 3': 'A.'}
    """
    names = {person: person for person in people}
    for change in changes:
        names = _changed(names, exact(change, names, reserved))
    return names


def exact_changes(people: Iterable[str], changes: Iterable[Change], reserved: Iterable[str] = ()) -> tuple[Change, ...]:
    """The changes with each person by the exact name at that time; renames to the same name are dropped.

    Raises:
        UnknownNameError, ValueRangeError: see `names_after`.
    """
    names, exact_list = {person: person for person in people}, list[Change]()
    for change in changes:
        exact_change = exact(change, names, reserved)
        names = _changed(names, exact_change)
        if isinstance(exact_change, Merge) or exact_change.person != exact_change.name:
            exact_list.append(exact_change)
    return tuple(exact_list)


def exact(change: Change, names: Mapping[str, str], reserved: Iterable[str] = ()) -> Change:
    """The change with each person by their present exact name.

    Args:
        change: as a user makes it.
        names: name as analyzed to present name.
        reserved: names that are not allowed.

    Raises:
        UnknownNameError, ValueRangeError: see `names_after`.
    """
    if isinstance(change, Merge):
        into, person = meant(change.into, names), meant(change.person, names)
        if into == person:
            raise ValueRangeError(
                expected='two people to merge', came=f'{change.into!r} and {change.person!r}, who are one person',
                todo='name another person',
            )  # fmt: skip
        return Merge(into, person)
    person, new_name = meant(change.person, names), checked_name(change.name, reserved)
    if new_name.casefold() in {name.casefold() for name in names.values() if name != person}:
        raise ValueRangeError(
            expected='a name of their own for each person', came=f'{new_name!r}, the name of somebody else',
            todo='choose another; to make the two one person, merge them',
        )  # fmt: skip
    return Rename(person, new_name)


def _changed(names: Mapping[str, str], change: Change) -> dict[str, str]:
    """The names after a change that is exact."""
    name = change.into if isinstance(change, Merge) else change.name
    return {analyzed: name if present == change.person else present for analyzed, present in names.items()}


def checked_name(name: str, reserved: Iterable[str] = ()) -> str:
    """A valid person's name, stripped of surrounding spaces.

    Raises:
        ValueRangeError: it is empty, longer than LONGEST_NAME, has invisible characters, or is reserved.
    """
    tidy = ' '.join(name.split())
    fault = (
        'an empty one' if not tidy.strip(JOINERS)
        else f'one of {len(tidy)} characters' if len(tidy) > LONGEST_NAME
        else f'{tidy!r} with a control character' if any(map(_is_control, tidy))
        else f'{tidy!r}, a name that affekt gives itself' if tidy.casefold() in {word.casefold() for word in reserved}
        else ''
    )  # fmt: skip
    if fault:
        raise ValueRangeError(
            expected=f'a name of 1 to {LONGEST_NAME} characters', came=fault, todo='choose another name'
        )
    return tidy


def _is_control(letter: str) -> bool:
    """Whether a character is a control or format character, or half of a surrogate pair."""
    return unicodedata.category(letter) in ('Cc', 'Cf', 'Cs') and letter not in JOINERS


def told_changes(changes: Iterable[Change]) -> tuple[str, ...]:
    """One sentence per change.

    >>> told_changes([Merge('person 1', 'person 3'), Rename('person 1', 'A.')])
    ('Person 3 is counted as person 1, as edited by hand.', "Person 1 is called 'A.', as edited by hand.")
    """
    return tuple(
        f'{opened(change.person)} is counted as {change.into}, as edited by hand.'
        if isinstance(change, Merge)
        else f'{opened(change.person)} is called {change.name!r}, as edited by hand.'
        for change in changes
    )


def read_changes(folder: Path) -> tuple[Change, ...]:
    """The changes beside the results in a folder; () if there is no list.

    Raises:
        RunError: the list is damaged.
    """
    path = folder / CHANGES_FILE
    if not path.exists() and not path.is_symlink():
        return ()
    try:
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            raise ValueError('a link or far too large, which affekt never writes')
        content = json.loads(read_regular_file(path))
        if content.get('format') != FORMAT or isinstance(content['format'], bool):
            raise ValueError('of another format')
        return tuple(_change_of(row) for row in content['changes'])
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RunError(
            expected=f'a list of changes in {CHANGES_FILE}', came=f'{path}: {str(error)[:200]}',
            todo=FORGET,
        ) from error  # fmt: skip


@contextlib.contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """A context in which errors of applying changes name the list of changes in a folder.

    Raises:
        RunError: the changes do not fit the results.
    """
    try:
        yield
    except (UnknownNameError, ValueRangeError) as error:
        raise RunError(
            expected='changes that fit the people of the analysis',
            came=f'{folder / CHANGES_FILE}: {error}',
            todo=FORGET,
        ) from error


def write_changes(folder: Path, changes: Sequence[Change]) -> None:
    """Writes the list beside the results; removes it if there are no changes.

    Raises:
        StorageError: the disk is full, or the folder is not writable.
    """
    path = folder / CHANGES_FILE
    if not changes:
        path.unlink(missing_ok=True)
        return
    rows = [
        {'merge': [change.into, change.person]} if isinstance(change, Merge) else {'name': [change.person, change.name]}
        for change in changes
    ]
    text = json.dumps({'format': FORMAT, 'changes': rows}, ensure_ascii=False, indent=1)
    write_atomically(path, text.encode('utf-8'))


def _change_of(row: Mapping[str, Sequence[str]]) -> Change:
    ((kind, names),) = row.items()
    first, second = names
    if not (isinstance(first, str) and isinstance(second, str)) or kind not in ('merge', 'name'):
        raise ValueError(f'no change: {str(row)[:60]}')
    return Merge(first, second) if kind == 'merge' else Rename(first, second)


def meant(who: str, names: Mapping[str, str]) -> str:
    """The present name of a person given by present name, number, or name as analyzed, ignoring case.

    Args:
        who: name or number of a person, as a user gives it.
        names: name as analyzed to present name.

    Raises:
        UnknownNameError: unknown person.
    """
    present = list(dict.fromkeys(names.values()))
    folded = ' '.join(who.split()).casefold()
    for spelling in (folded, f'person {folded}', f'speaker {folded}'):
        for name in present:
            if name.casefold() == spelling:
                return name
        for analyzed, name in names.items():
            if analyzed.casefold() == spelling:
                return name
    raise UnknownNameError(
        expected=f'a person among {", ".join(map(repr, present)) or "nobody: no one was seen or heard"}',
        came=repr(who), todo=did_you_mean(who, present),
    )  # fmt: skip
