"""Names of items, raters and samples as displayed: names that look alike are merged, or refused.

White space at the ends, double spaces, zero-width spaces and other Unicode forms of a letter are invisible: they are
normalised, with a note. Items and raters whose names differ in capitals only are refused; names of samples may differ
so, as video identifiers of some sites do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from affekt.errors import ComparisonError, listed

_INVISIBLE = re.compile('[\u00ad\u200b\u200e\u200f\u2060\ufeff]')


def shown(name: str) -> str:
    """A name as displayed: composed Unicode, no invisible characters, single spaces.

    >>> shown(' beta\\u00a0'), shown('two  words')
    ('beta', 'two words')
    """
    return ' '.join(_INVISIBLE.sub('', unicodedata.normalize('NFC', name)).split())


def shown_names(names: Iterable[str], noun: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Each name as displayed, and a note where that differs.

    Args:
        names: names, each once.
        noun: 'item', 'rater' or 'sample', for the note.
    """
    plain = {name: shown(name) for name in names}
    changed = [name for name, display in plain.items() if name != display]
    if not changed:
        return plain, ()
    examples = ', '.join(f'{name[:40]!r} is {plain[name][:40]!r}' for name in changed[:3])
    remainder = f' and {len(changed) - 3} more' if len(changed) > 3 else ''
    return plain, (f'spaces and signs that do not show are left out of {noun} names: {examples}{remainder}',)


def alike(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different names that differ only in capitals or in the width of letters."""
    first: dict[str, str] = {}
    pairs = []
    for name in names:
        other = first.setdefault(unicodedata.normalize('NFKC', name).casefold(), name)
        if other != name:
            pairs.append((other, name))
    return pairs


def refuse_alike(names: Sequence[str], rows: Mapping[str, str], noun: str) -> None:
    """Refuse names that differ in capitals only.

    Args:
        names: displayed names, each once.
        rows: name to its first row, in words.
        noun: 'item' or 'rater', for the message.

    Raises:
        ComparisonError: two names differ only in capitals; the message names both, and their rows.
    """
    for first, second in alike(names):
        citation = ' and '.join(f'{name!r} in {rows[name]}' if name in rows else repr(name) for name in (first, second))
        raise ComparisonError(
            expected=f'{noun}s whose names differ in more than capitals',
            came=citation,
            todo='write the name one way, or rename one of the two',
        )


def refuse_lookalikes(names: Iterable[str], source: object, what: str) -> None:
    """Refuse different names that look alike or differ in capitals only, where no note could report a merge.

    Args:
        names: names, in any number of repetitions.
        source: origin of the names, for the message.
        what: kind of the names, such as 'describer', for the message.

    Raises:
        ComparisonError: two names look alike; the message names both.
    """
    first: dict[str, str] = {}
    for name in dict.fromkeys(names):
        other = first.setdefault(unicodedata.normalize('NFKC', shown(name)).casefold(), name)
        if other != name:
            raise ComparisonError(
                expected=f'{what}s whose names do not look alike',
                came=f'{other!r} and {name!r} in {source}',
                todo='write the name one way, or rename one of the two',
            )


def capitals_note(names: Sequence[str], noun: str) -> tuple[str, ...]:
    """A note where names differ in capitals only."""
    pairs = alike(names)
    if not pairs:
        return ()
    return (f'{noun}s that differ in capitals only are taken for different ones: {listed(pairs[0])}',)
