"""Matching of sample names that differ in extension, folder, spaces, case or Unicode form only.

`a.mp4` in a manifest is `a` in features; `clips/a` may be `a`; an accented letter has two forms in Unicode.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from affekt.containers import AUDIO, PICTURES, VIDEO
from affekt.wording import counted

ENDINGS = (*AUDIO, *VIDEO, *PICTURES, '.npy', '.npz', '.csv', '.txt', '.pt', '.pkl')


def plain(name: str) -> str:
    """A name without surrounding spaces, folders, known extension and case, in one Unicode form.

    >>> plain(' clips/A.MP4 '), plain('dia1.utt2')
    ('a', 'dia1.utt2')
    """
    last = PurePosixPath(unicodedata.normalize('NFC', name).strip().replace('\\', '/')).name
    lower = last.casefold()
    ending = next((extension for extension in ENDINGS if lower.endswith(extension) and len(lower) > len(extension)), '')
    return lower.removesuffix(ending).strip()


def difference(wanted: str, given: str) -> str:
    """The kind of difference between two names that match in plain form."""
    if unicodedata.normalize('NFC', wanted) == unicodedata.normalize('NFC', given):
        return 'Unicode form'
    if wanted.strip() == given.strip():
        return 'spaces'
    if wanted.strip().casefold() == given.strip().casefold():
        return 'case'
    return 'folder or ending'


def matched(wanted: Sequence[str], given: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Each wanted name to the equal given one, else to the only one with the same plain form.

    Args:
        wanted: names, each once.
        given: names, each once.

    Returns:
        Wanted name to given name; and notes on names that matched in plain form only.
    """
    given_names = set(given)
    pairs = {name: name for name in wanted if name in given_names}
    by_plain = _unique_by_plain(name for name in given if name not in pairs)
    by_wanted = _unique_by_plain(name for name in wanted if name not in pairs)
    approximate = {by_wanted[key]: by_plain[key] for key in by_wanted if key in by_plain}
    differing: dict[str, list[str]] = {}
    for name, other in approximate.items():
        differing.setdefault(difference(name, other), []).append(f'{name!r} is {other!r}')
    notes = tuple(
        f'{counted(len(alike), "name")} matched in spite of {what_differs}: {alike[0]}{", …" * (len(alike) > 1)}'
        for what_differs, alike in differing.items()
    )
    return pairs | approximate, notes


def near_miss(wanted: Iterable[str], given: Iterable[str]) -> str:
    """Description of a pair with the same plain form but different spelling; '' if there is none."""
    others = _unique_by_plain(given)
    for name in wanted:
        other = others.get(plain(name))
        if other is not None and other != name:
            return f'{name!r} here is {other!r} there: names differ in {difference(name, other)}'
    return ''


def same_but_for_form(names: Iterable[str]) -> list[str]:
    """Names that differ from another one only in spaces or Unicode form, which is invisible."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(unicodedata.normalize('NFC', name).strip(), []).append(name)
    return [name for group in groups.values() if len(group) > 1 for name in group]


def _unique_by_plain(names: Iterable[str]) -> dict[str, str]:
    """Plain name to name, where it is unique."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain(name), []).append(name)
    return {key: group[0] for key, group in groups.items() if len(group) == 1}
