"""Who stands on both sides: speakers, dialogues, recordings and overlapping windows of a manifest's parts.

A side is a split, or a fold. `find_leaks` reports, published splits included; `require_no_leaks` raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from affekt.corpora.manifest import Manifest, Sample
from affekt.errors import LeakError, ShapeError, UnknownNameError, listed

KINDS = ('speaker', 'dialogue', 'window', 'recording', 'session')
"""What can stand on both sides; a window is a stretch of a recording that two samples share."""
STRICT = ('speaker', 'dialogue', 'window')
"""What `require_no_leaks` looks for when nothing else is asked."""


@dataclass(frozen=True)
class Leak:
    """One speaker, dialogue, recording, session or pair of windows on more than one side."""

    kind: str
    what: str
    """Its name; for windows the two samples."""
    sides: tuple[str, ...]
    samples: int
    """How many samples of these sides it touches."""


def sides_of(manifest: Manifest) -> list[str]:
    """(N,) each sample's split, or its fold where there are no splits; '' where it has neither."""
    if any(row.split for row in manifest.samples):
        return [row.split or '' for row in manifest.samples]
    return ['' if row.fold is None else f'fold {row.fold}' for row in manifest.samples]


def find_leaks(manifest: Manifest, sides: Sequence[str] | None = None, kinds: Iterable[str] = KINDS) -> list[Leak]:
    """Everything that stands on more than one side, by kind, most samples first.

    Args:
        manifest: whose samples.
        sides: (N,) the side of each; '' is on none. None for the splits, or the folds where there are no splits.
        kinds: of `KINDS`. Samples for which the manifest does not say are not looked at.

    Raises:
        ShapeError: sides are not (N,).
        UnknownNameError: no such kind.
    """
    at = sides_of(manifest) if sides is None else [str(side) for side in sides]
    if len(at) != len(manifest):
        raise ShapeError(expected=f'{len(manifest)} sides', came=f'{len(at)}', todo='give one for each sample')
    found: list[Leak] = []
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError(expected=f'one of {", ".join(KINDS)}', came=repr(kind), todo='name one of these')
        each = _windows(manifest.samples, at) if kind == 'window' else _shared(manifest.samples, at, kind)
        found += sorted(each, key=lambda leak: (-leak.samples, leak.what))
    return found


def require_no_leaks(manifest: Manifest, sides: Sequence[str] | None = None, kinds: Iterable[str] = STRICT) -> None:
    """Nothing that belongs together stands on both sides.

    Args:
        manifest: whose samples.
        sides: as `find_leaks`.
        kinds: as `find_leaks`.

    Raises:
        LeakError: something does; names the first of each kind.
    """
    leaks = find_leaks(manifest, sides, kinds)
    if leaks:
        parts = []
        for kind in dict.fromkeys(leak.kind for leak in leaks):
            each = [leak for leak in leaks if leak.kind == kind]
            parts.append(f'{len(each)} {kind}s ({listed([leak.what for leak in each], 2)})')
        raise LeakError(
            expected='nobody and nothing on both sides',
            came=f'{manifest.facts.corpus} with {", ".join(parts)} on more than one',
            todo='divide it anew (`affekt corpus folds`), or say which leaks are known',
        )


def unchecked(manifest: Manifest, kinds: Iterable[str] = KINDS) -> tuple[str, ...]:
    """The kinds that cannot be checked, because no sample says its speaker, dialogue …"""
    held = {
        kind: any(_window(row) if kind == 'window' else getattr(row, kind) for row in manifest.samples)
        for kind in kinds
    }
    return tuple(kind for kind, known in held.items() if not known)


def _shared(rows: Sequence[Sample], at: Sequence[str], kind: str) -> Iterable[Leak]:
    sides: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row, side in zip(rows, at, strict=True):
        if side and (value := getattr(row, kind)) is not None:
            sides[value][side] += 1
    for value, counts in sides.items():
        if len(counts) > 1:
            yield Leak(kind, value, tuple(sorted(counts)), sum(counts.values()))


def _window(row: Sample) -> bool:
    return row.recording is not None and row.start_s is not None and row.end_s is not None


def _windows(rows: Sequence[Sample], at: Sequence[str]) -> Iterable[Leak]:
    """Pairs of samples of different sides whose windows of one recording overlap."""
    held: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    for row, side in zip(rows, at, strict=True):
        if side and _window(row):
            held[str(row.recording)].append((row.start_s or 0.0, row.end_s or 0.0, side, row.sample))
    for windows in held.values():
        open_ones: list[tuple[float, float, str, str]] = []
        for window in sorted(windows):
            open_ones = [one for one in open_ones if one[1] > window[0]]
            for one in open_ones:
                if one[2] != window[2]:
                    yield Leak('window', f'{one[3]} and {window[3]}', tuple(sorted((one[2], window[2]))), 2)
            open_ones.append(window)
