"""Overlap between parts: speakers, dialogues, recordings and overlapping windows on more than one side.

A side is a split, or a fold. `find_leaks` reports, also for published splits; `require_no_leaks` raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.corpora.manifest import Manifest
from affekt.errors import LeakError, ShapeError, UnknownNameError, listed

KINDS = ('speaker', 'dialogue', 'window', 'recording', 'session')
"""Kinds of leaks; a window is a part of a recording that two samples share."""
STRICT = ('speaker', 'dialogue', 'window')
"""Kinds that `require_no_leaks` checks by default."""


@dataclass(frozen=True)
class Leak:
    """One speaker, dialogue, recording, session or pair of windows on more than one side."""

    kind: str
    """One of `KINDS`."""
    what: str
    """Name of the speaker, dialogue, …; for windows the two samples."""
    sides: tuple[str, ...]
    samples: int
    """Number of samples of these sides that it affects."""


def sides_of(manifest: Manifest) -> list[str]:
    """(N,) split of each sample, or its fold where there are no splits; '' where it has neither."""
    splits = manifest.coded('split')
    if any(splits.values):
        names = [*splits.values, '']
        return [names[code] for code in splits.codes.tolist()]
    folds = manifest.coded('fold')
    names = [*(f'fold {fold}' for fold in folds.values), '']
    return [names[code] for code in folds.codes.tolist()]


def find_leaks(manifest: Manifest, sides: Sequence[str] | None = None, kinds: Iterable[str] = KINDS) -> list[Leak]:
    """Everything that is on more than one side, by kind, with most samples first.

    Args:
        manifest: manifest of the samples.
        sides: (N,) side of each sample, '' for none; None for the splits, or the folds where there are no splits.
        kinds: names in `KINDS`. Samples without the information are ignored.

    Raises:
        ShapeError: sides are not (N,).
        UnknownNameError: unknown kind.
    """
    side_names = sides_of(manifest) if sides is None else [str(side) for side in sides]
    if len(side_names) != len(manifest):
        raise ShapeError(expected=f'{len(manifest)} sides', came=f'{len(side_names)}', todo='give one for each sample')
    leaks: list[Leak] = []
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError(expected=f'one of {", ".join(KINDS)}', came=repr(kind), todo='name one of these')
        found = _windows(manifest, side_names) if kind == 'window' else _shared(manifest, side_names, kind)
        leaks += sorted(found, key=lambda leak: (-leak.samples, leak.what))
    return leaks


def require_no_leaks(manifest: Manifest, sides: Sequence[str] | None = None, kinds: Iterable[str] = STRICT) -> None:
    """Check that nothing that must stay together is on more than one side.

    Args:
        manifest: manifest of the samples.
        sides: see `find_leaks`.
        kinds: see `find_leaks`.

    Raises:
        LeakError: a speaker, dialogue, recording or other item is on several sides; the message names the first of each
            kind.
    """
    leaks = find_leaks(manifest, sides, kinds)
    if leaks:
        parts = []
        for kind in dict.fromkeys(leak.kind for leak in leaks):
            of_kind = [leak for leak in leaks if leak.kind == kind]
            parts.append(f'{len(of_kind)} {kind}s ({listed([leak.what for leak in of_kind], 2)})')
        raise LeakError(
            expected='nobody and nothing on both sides',
            came=f'{manifest.facts.corpus} with {", ".join(parts)} on more than one',
            todo='divide it anew (`affekt corpus folds`), or say which leaks are known',
        )


def unchecked(manifest: Manifest, kinds: Iterable[str] = KINDS) -> tuple[str, ...]:
    """Kinds that cannot be checked, because no sample has a speaker, dialogue …"""
    return tuple(
        kind for kind in kinds
        if not (_has_window(manifest).any() if kind == 'window' else any(manifest.coded(kind).values))
    )  # fmt: skip


def _shared(manifest: Manifest, side_names: Sequence[str], kind: str) -> Iterable[Leak]:
    """Values of a column that samples of more than one side have; see `find_leaks`."""
    names, sides = np.unique(np.array(side_names, dtype=object), return_inverse=True)
    coded = manifest.coded(kind)
    counted = (coded.codes >= 0) & (names != '')[sides]
    pairs, counts = np.unique(coded.codes[counted] * len(names) + sides[counted], return_counts=True)
    values, pair_sides = np.divmod(pairs, max(len(names), 1))
    row_ends = np.cumsum(np.bincount(values))  # pairs are sorted by value, then by side
    for index in np.flatnonzero(np.diff(row_ends, prepend=0) > 1):
        pair_rows = slice(row_ends[index - 1] if index else 0, row_ends[index])
        yield Leak(kind, coded.values[index], tuple(names[pair_sides[pair_rows]]), int(counts[pair_rows].sum()))


def _has_window(manifest: Manifest) -> npt.NDArray[np.bool_]:
    """(N,) True where a sample is a part of a recording."""
    recording, start_s, end_s = (manifest.samples.known(name) for name in ('recording', 'start_s', 'end_s'))
    return recording & start_s & end_s


def _windows(manifest: Manifest, side_names: Sequence[str]) -> Iterable[Leak]:
    """Pairs of samples on different sides whose windows in one recording overlap."""
    rows = np.flatnonzero(_has_window(manifest) & (np.array(side_names, dtype=object) != ''))
    by_recording: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    cells = manifest.samples.take(rows).cells(('recording', 'start_s', 'end_s', 'sample'))
    for row, (recording, start_s, end_s, name) in zip(rows.tolist(), cells, strict=True):
        by_recording[recording].append((start_s, end_s, side_names[row], name))
    for windows in by_recording.values():
        if len({side for _, _, side, _ in windows}) < 2:
            continue
        open_windows: list[tuple[float, float, str, str]] = []
        for window in sorted(windows):
            start_s, _, side, name = window
            open_windows = [other for other in open_windows if other[1] > start_s]
            for _, _, other_side, other_name in open_windows:
                if other_side != side:
                    yield Leak('window', f'{other_name} and {name}', tuple(sorted((other_side, side))), 2)
            open_windows.append(window)
