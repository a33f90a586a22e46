"""Paired comparisons: which items were compared and which one won. All files of this room work on them.

Items are named; everything else is an array with one entry per comparison. Sides are left and right. `first` says which
side was shown first (1 left, -1 right, 0 side by side or not known). Covariates are differences, left minus right, so
that exchanging the sides of a comparison turns the sign of its outcome, of `first` and of its covariates, and changes
nothing else.

Axes: N comparisons, K items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.errors import ComparisonError, short
from affekt.ranking.names import alike, capitals_note, refuse_alike, shown, shown_names
from affekt.tables import Source as Source

OUTCOMES = {'left': 1, 'right': -1, 'tie': 0}
"""Outcome in words to its code."""
LEAST_WEIGHT, MOST_WEIGHT = 1e-9, 1e9
"""Range of positive weights in which the likelihood keeps enough digits."""


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of named items; build them with `Comparisons.of` or `read_comparisons`."""

    items: tuple[str, ...]
    """Names, sorted; some may never be compared."""
    left: Ints
    """(N,) index of the left item in `items`."""
    right: Ints
    """(N,) index of the right item."""
    outcome: Ints
    """(N,) 1 where the left item won, -1 where the right one did, 0 for a tie."""
    weight: Floats
    """(N,) weight of each comparison; 1 unless given."""
    first: Ints
    """(N,) 1 where the left item was shown first, -1 where the right one was, 0 where neither or unknown."""
    sample: Ints | None = None
    """(N,) index of the sample (clip, prompt) that was judged, in `samples`."""
    rater: Ints | None = None
    """(N,) index of the rater, in `raters`."""
    raters: tuple[str, ...] = ()
    """Names of the raters, sorted."""
    samples: tuple[str, ...] = ()
    """Names of the samples, sorted."""
    covariates: Mapping[str, Floats] = field(default_factory=dict)
    """Name of a covariate to (N,) differences, left minus right."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Counts from reading the file: ties by kind, comparisons skipped."""
    notes: tuple[str, ...] = ()
    """Assumptions made in reading, in sentences."""
    rater_flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a rater to its flags (`rater_flags.py`); flagged votes count all the same."""

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        ties = int(np.sum(self.outcome == 0))
        return f'Comparisons({len(self)} of {len(self.items)} items, {ties} ties)'

    @classmethod
    def of(
        cls,
        left: Sequence[str],
        right: Sequence[str],
        outcome: Sequence[str] | Sequence[int],
        *,
        weight: npt.ArrayLike | None = None,
        sample: Sequence[object] | None = None,
        rater: Sequence[object] | None = None,
        first: npt.ArrayLike | None = None,
        covariates: Mapping[str, npt.ArrayLike] | None = None,
        items: Sequence[str] | None = None,
        facts: Mapping[str, int] | None = None,
        rater_flags: Mapping[str, tuple[str, ...]] | None = None,
        source: Source | str = 'the comparisons',
    ) -> Comparisons:
        """Comparisons from columns, checked row by row.

        Args:
            left, right: (N,) names of the items.
            outcome: (N,) 'left', 'right' or 'tie', or 1, -1, 0.
            weight: (N,) each 0, or from 1e-9 to 1e9; None for 1.
            sample, rater: (N,) any labels; None, or all of them empty, where they are not known.
            first: (N,) 1, -1 or 0; None for 1 throughout (left first).
            covariates: name to (N,) finite differences, left minus right.
            items: all names, where some items may never have been compared; None for those that occur.
            facts: counts from reading the file.
            rater_flags: name of a rater to its flags.
            source: name of the data in messages, with the number of each row where it is not 1, 2, 3.

        Raises:
            ComparisonError: there are no rows or only one item, an item meets itself, an outcome is unknown or a number
                is invalid; the message names the first bad row, counted from 1 unless the source says otherwise.
        """
        source = Source(source) if isinstance(source, str) else source
        size = len(left)
        columns = {'right': right, 'outcome': outcome, 'weight': weight, 'sample': sample, 'rater': rater}
        columns |= {'first': first, **(covariates or {})}
        _same_length(size, columns, source)
        if size == 0:
            raise ComparisonError(
                expected='at least one comparison', came=f'{source} without any', todo='give rows of who beat whom'
            )
        names, codes, notes = _coded_items(left, right, items, source)
        left_code, right_code = codes[:size], codes[size:]
        refuse_rows(
            left_code == right_code, source, 'two different items', lambda row: f'{short(left[row])!r} against itself'
        )
        if len(names) < 2:
            raise ComparisonError(
                expected='at least two items', came=f'{len(names)} in {source}', todo='nothing can be ranked alone'
            )
        sample_code, rater_code = _coded(sample, 'sample', source), _coded(rater, 'rater', source)
        for coded in (sample_code, rater_code):
            notes += coded[2] if coded else ()
        return cls(
            items=names,
            left=left_code,
            right=right_code,
            outcome=_outcomes(outcome, source),
            weight=np.ones(size) if weight is None else _weights(weight, left, right, source),
            first=np.ones(size, np.int64) if first is None else _firsts(first, source),
            sample=None if sample_code is None else sample_code[1],
            samples=() if sample_code is None else sample_code[0],
            rater=None if rater_code is None else rater_code[1],
            raters=() if rater_code is None else rater_code[0],
            covariates={name: _differences(name, values, source) for name, values in (covariates or {}).items()},
            facts=dict(facts or {}),
            notes=notes,
            rater_flags={shown(name): flags for name, flags in (rater_flags or {}).items()},
        )

    def take(self, chosen: npt.ArrayLike) -> Comparisons:
        """The comparisons at (M,) indices, or where a mask (N,) is True; items and raters stay the same."""
        index = np.asarray(chosen)
        return replace(
            self,
            left=self.left[index],
            right=self.right[index],
            outcome=self.outcome[index],
            weight=self.weight[index],
            first=self.first[index],
            sample=None if self.sample is None else self.sample[index],
            rater=None if self.rater is None else self.rater[index],
            covariates={name: values[index] for name, values in self.covariates.items()},
        )

    def swapped(self) -> Comparisons:
        """The same comparisons with left and right exchanged."""
        return replace(
            self,
            left=self.right,
            right=self.left,
            outcome=-self.outcome,
            first=-self.first,
            covariates={name: -values for name, values in self.covariates.items()},
        )


def _same_length(size: int, columns: Mapping[str, object], source: Source) -> None:
    lengths = {name: len(column) for name, column in columns.items() if column is not None}  # type: ignore[arg-type]
    wrong = {name: length for name, length in lengths.items() if length != size}
    if wrong:
        raise ComparisonError(
            expected=f'as many entries in every column as in left, {size}',
            came=f'{source} with ' + ', '.join(f'{length} in {name}' for name, length in wrong.items()),
            todo='give columns of one length',
        )


def refuse_rows(bad: npt.NDArray[np.bool_], source: Source, expected: str, came: object) -> None:
    """Raise for the first bad row.

    Args:
        bad: (N,) True where a row is bad.
        source: origin of the rows, for the message.
        expected: what a row should hold.
        came: description of a bad row, or a function that gives it from the row's index.

    Raises:
        ComparisonError: there is a bad row.
    """
    if bad.any():
        row = int(np.argmax(bad))
        description = came(row) if callable(came) else came
        raise ComparisonError(
            expected=expected, came=f'{description} in {source.row(row)}', todo='correct or remove that row'
        )


def _coded_items(
    left: Sequence[str], right: Sequence[str], items: Sequence[str] | None, source: Source
) -> tuple[tuple[str, ...], Ints, tuple[str, ...]]:
    """Names, (2 N,) index of the left items and then of the right ones, and notes."""
    size = len(left)
    if not set(map(type, left)) | set(map(type, right)) <= {str}:
        is_no_text = [not (isinstance(a, str) and isinstance(b, str)) for a, b in zip(left, right, strict=True)]
        refuse_rows(np.asarray(is_no_text, bool), source, 'a name for both items', 'one that is no text')
    code_of: dict[str, int] = {}
    raw = np.fromiter(
        (code_of.setdefault(name, len(code_of)) for side in (left, right) for name in side), np.int64, 2 * size
    )
    plain, notes = shown_names([*code_of, *(items or ())], 'item')
    if unnamed := [code for name, code in code_of.items() if not plain[name]]:
        bad = np.isin(raw, unnamed)
        refuse_rows(bad[:size] | bad[size:], source, 'a name for both items', 'an empty name')
    names = sorted({*plain.values()})
    if len(names) > 1:
        rows = {
            plain[name]: source.row(int(np.argmax(raw == code)) % size)
            for name, code in _lookalike_codes(code_of, plain)
        }
        refuse_alike(names, rows, 'item')
    if items is not None and (unknown := {plain[name] for name in code_of} - {plain[name] for name in items}):
        raise ComparisonError(
            expected='only the items that were listed',
            came=f'{min(unknown)!r} in {source}',
            todo='add it to items, or leave its rows out',
        )
    index_of = {name: index for index, name in enumerate(names)}
    return tuple(names), np.fromiter((index_of[plain[name]] for name in code_of), np.int64, len(code_of))[raw], notes


def _lookalike_codes(code_of: Mapping[str, int], plain: Mapping[str, str]) -> list[tuple[str, int]]:
    """Names that look alike, with their codes."""
    ambiguous = {name for pair in alike([*plain.values()]) for name in pair}
    return [(name, code) for name, code in code_of.items() if plain[name] in ambiguous]


def _is_missing(label: object) -> bool:
    """Whether a label is None, nan or pandas' NA, whose comparison with itself has no truth value."""
    if label is None:
        return True
    try:
        return bool(label != label)
    except (TypeError, ValueError):  # an array is a label as well
        return type(label).__name__ == 'NAType'


def _coded(
    labels: Sequence[object] | None, noun: str, source: Source
) -> tuple[tuple[str, ...], Ints, tuple[str, ...]] | None:
    """Names, (N,) index of each label among them, and notes; None without labels, or where all are empty."""
    if labels is None:
        return None
    texts = ['' if _is_missing(label) else str(label) for label in labels]
    is_empty = np.asarray([not shown(text) for text in texts], bool)
    if is_empty.all():
        return None
    refuse_rows(is_empty, source, f'a {noun} in every row, or in none: empty ones would count as one {noun}', 'none')
    plain, notes = shown_names(dict.fromkeys(texts), noun)
    names = tuple(sorted(set(plain.values())))
    if noun == 'rater':
        pairs = {name for pair in alike(names) for name in pair}
        firsts = {plain[text]: source.row(texts.index(text)) for text in plain if plain[text] in pairs}
        refuse_alike(names, firsts, noun)
    else:
        notes += capitals_note(names, noun)
    index_of = {name: index for index, name in enumerate(names)}
    codes = {text: index_of[clean] for text, clean in plain.items()}
    return names, np.fromiter((codes[text] for text in texts), np.int64, len(texts)), notes


def _outcomes(outcome: Sequence[str] | Sequence[int], source: Source) -> Ints:
    codes_by_outcome: dict[object, int] = {1: 1, -1: -1, 0: 0}
    codes_by_outcome.update(OUTCOMES.items())
    codes = np.fromiter((codes_by_outcome.get(value, 2) for value in outcome), np.int64, len(outcome))
    refuse_rows(
        codes == 2, source, 'an outcome left, right or tie (or 1, -1, 0)', lambda row: repr(short(outcome[row]))
    )
    return codes


def _numbers(name: str, values: npt.ArrayLike, source: Source) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ComparisonError(
            expected=f'numbers in {name}', came=f'{error} in {source}', todo='give finite numbers'
        ) from error


def _weights(weight: npt.ArrayLike, left: Sequence[str], right: Sequence[str], source: Source) -> Floats:
    weights = _numbers('weight', weight, source)
    bad = ~((weights == 0.0) | (weights >= LEAST_WEIGHT) & (weights <= MOST_WEIGHT))
    refuse_rows(
        bad,
        source,
        f'a weight that is finite and not negative: 0, or from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}',
        lambda row: f'{short(left[row])!r} against {short(right[row])!r} with weight {weights[row]:g}',
    )
    if not weights.any():
        raise ComparisonError(expected='a weight above 0', came=f'{source} with weights of 0 only', todo='weigh some')
    return weights


def _firsts(first: npt.ArrayLike, source: Source) -> Ints:
    orders = _numbers('first', first, source)
    refuse_rows(~np.isin(orders, (-1.0, 0.0, 1.0)), source, 'order 1, -1 or 0', lambda row: f'{orders[row]}')
    return orders.astype(np.int64)


def _differences(name: str, values: npt.ArrayLike, source: Source) -> Floats:
    numbers = _numbers(name, values, source)
    refuse_rows(~np.isfinite(numbers), source, f'a finite number for {name}', lambda row: f'{numbers[row]}')
    return numbers
