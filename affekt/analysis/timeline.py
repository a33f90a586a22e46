"""The timeline: readings of every source about every person, as rows over one clock, and operations on such rows.

Rows are in an Arrow table with the columns of `SCHEMA` (`rows.py`), always sorted by time; `Timeline.series` gives
them as arrays over steps. Times are seconds from the start of the recording, spans are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affekt.analysis import storage
from affekt.analysis.person_series import DIMENSIONS, WEIGHT_COLUMNS, PersonSeries, series_of
from affekt.analysis.phrases import UNSEEN, UNSEEN_TITLES
from affekt.analysis.rows import SCHEMA, SOURCES, check, conforming, packed, series_rows
from affekt.arrays import Floats
from affekt.errors import RunError, UnknownNameError, ValueRangeError, did_you_mean
from affekt.labels import EKMAN
from affekt.runs import file_atomically, require_regular_file
from affekt.tables import empty_table, flag_array, flags, floats, number_array, require_bounded, text_array
from affekt.wording import counted

_PACK = 4096
"""Number of rows held as dictionaries at once."""
_ROUNDING_S = 1e-9
"""Seconds that a span may share with a step by rounding alone: 0.3 / 0.1 is just below 3."""
_ORDER = ('start_s', 'end_s', 'person', 'source', 'name')
_KEYS = tuple(field.name for field in SCHEMA if field.name not in ('start_s', 'end_s'))

Span = tuple[float, float]
"""(start_s, end_s), seconds, half-open."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """Rows over one clock; immutable, sorted, checked.

    Args:
        table: columns of SCHEMA; columns from 'person' on may be absent where they have a default.

    Raises:
        ShapeError: a column is missing, unknown, or of a type that does not fit.
        ValueRangeError: a time is not finite, a span ends before it starts, or a confidence or coverage is outside
            [0, 1].
        UnknownNameError: a source is not one of SOURCES.
    """

    table: pa.Table
    _names: _Names = field(init=False, repr=False)
    _series: dict[tuple[str, str], PersonSeries] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        table = conforming(self.table)
        check(table)
        object.__setattr__(self, 'table', table.sort_by([(key, 'ascending') for key in _ORDER]))
        object.__setattr__(self, '_names', _Names(self.table))

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> Timeline:
        """A timeline of dictionaries, each with at least start_s, end_s, source, name and value.

        Raises:
            ShapeError: a row lacks one of these keys or has one outside SCHEMA.
        """
        remaining, tables = iter(rows), []
        while batch := list(islice(remaining, _PACK)):
            tables.append(packed(batch))
        return cls(pa.concat_tables(tables) if tables else empty_table(SCHEMA))

    @classmethod
    def of_series(cls, fused: Iterable[PersonSeries], others: Iterable[pa.Table]) -> Timeline:
        """A timeline with the rows of fused series and of other tables; it keeps the series."""
        kept = tuple(fused)
        tables = [*others, *map(series_rows, kept)]
        timeline = cls(pa.concat_tables(tables) if tables else empty_table(SCHEMA))
        timeline._series.update({(series.person, series.source): series for series in kept})
        return timeline.knowing(series.person for series in kept)

    @classmethod
    def empty(cls) -> Timeline:
        """A timeline without rows."""
        return cls(empty_table(SCHEMA))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        if not len(self):
            return 'Timeline(0 rows)'
        people = counted(len({*self.people} - {UNSEEN}), 'person', 'people')
        return f'Timeline({len(self)} rows, {self.start_s:.2f}-{self.end_s:.2f} s, {people})'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeline) and _same(self.table, other.table)

    __hash__ = None  # type: ignore[assignment]

    @property
    def start_s(self) -> float:
        """The first start; nan for an empty timeline."""
        return float(self.column('start_s').min()) if len(self) else float('nan')

    @property
    def end_s(self) -> float:
        """The last end; nan for an empty timeline."""
        return float(self.column('end_s').max()) if len(self) else float('nan')

    @property
    def people(self) -> tuple[str, ...]:
        """The names that occur, sorted."""
        return tuple(sorted(pc.unique(self.table['person']).to_pylist()))

    def series(self, person: str | int, source: str = 'fused') -> PersonSeries:
        """One source's readings of one person, as arrays over steps; empty if there are no rows.

        Args:
            person: as for `select`.
            source: one of SOURCES.

        Raises:
            UnknownNameError: unknown person or source.
        """
        key = self._known_as('person', person), self._known_as('source', source)
        if key not in self._series:
            self._series[key] = series_of(self.table, *key)
        return self._series[key]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One number column as (N,) float64."""
        return floats(self.table[name])

    def select(
        self,
        *,
        person: str | int | Sequence[str | int] | None = None,
        source: str | Sequence[str] | None = None,
        name: str | Sequence[str] | None = None,
        between: tuple[float, float] | None = None,
    ) -> Timeline:
        """The rows that match every given condition.

        Args:
            person: one or several, by name, by number, or as the report calls them; None takes all.
            source: one or several of SOURCES.
            name: one or several: EKMAN categories, 'valence', 'arousal', 'liveliness', 'speech'.
            between: (start, end) in seconds; rows that overlap it by more than a point, not clipped.

        Raises:
            UnknownNameError: the whole timeline has no such name.
        """
        keep = np.ones(len(self), dtype=bool)
        for key, condition in (('person', person), ('source', source), ('name', name)):
            if condition is not None:
                spellings = (
                    list(condition)
                    if isinstance(condition, Iterable) and not isinstance(condition, str)
                    else [condition]
                )
                values = text_array([self._known_as(key, spelling) for spelling in spellings])
                keep &= flags(pc.is_in(self.table[key], value_set=values))
        if between is not None:
            keep &= _meets(self.column('start_s'), self.column('end_s'), *between)
        return self._kept(self.table.filter(flag_array(keep)))

    def _kept(self, table: pa.Table) -> Timeline:
        """Rows of this timeline that keep its order and need no check again; they know the same names."""
        timeline = object.__new__(Timeline)
        object.__setattr__(timeline, 'table', table)
        object.__setattr__(timeline, '_names', self._names)
        object.__setattr__(timeline, '_series', {})
        return timeline

    def knowing(self, people: Iterable[str]) -> Timeline:
        """The same timeline, which also accepts these people's names, even without rows."""
        timeline = self._kept(self.table)
        object.__setattr__(timeline, '_names', _Names(self.table, (*self._names['person'], *people)))
        object.__setattr__(timeline, '_series', self._series)
        return timeline

    def _known_as(self, key: str, given: str | int) -> str:
        """The name in the table for a name, number or `Person`.

        Raises:
            UnknownNameError: there is none.
        """
        given = getattr(given, 'name', given)  # a Person
        names = self._names[key]
        if isinstance(given, str) and given in names:
            return given
        by_casefold = {name.casefold(): name for name in names}
        folded = str(given).strip().casefold()
        spellings = (
            [folded, f'person {folded}', f'speaker {folded}', *[UNSEEN] * (folded in UNSEEN_TITLES)]
            if key == 'person'
            else [folded]
        )
        for spelling in spellings:
            if spelling in by_casefold and not isinstance(given, bool):
                return by_casefold[spelling]
        raise UnknownNameError(
            expected=f'a {key} among {", ".join(map(repr, names)) or "nobody: there are no rows"}',
            came=repr(given),
            todo=did_you_mean(str(given), names),
        )

    def slice(self, start_s: float, end_s: float) -> Timeline:
        """The rows within [start_s, end_s), clipped to it; instants (zero-length rows) count at their start.

        Raises:
            ValueRangeError: end_s is before start_s.
        """
        if not end_s >= start_s:
            raise ValueRangeError(
                expected='end_s >= start_s', came=f'{start_s:g} to {end_s:g}', todo='give the earlier time first'
            )
        starts, ends = self.column('start_s'), self.column('end_s')
        keep = _meets(starts, ends, start_s, end_s)
        clipped = _with(self.table, start_s=np.clip(starts, start_s, end_s), end_s=np.clip(ends, start_s, end_s))
        return self._naming_all(Timeline(clipped.filter(flag_array(keep))))

    def _naming_all(self, part: Timeline) -> Timeline:
        """The part, which knows all names of the whole."""
        object.__setattr__(part, '_names', self._names)
        return part

    def shift(self, by_s: float) -> Timeline:
        """The same rows `by_s` seconds later (earlier if negative)."""
        later = _with(self.table, start_s=self.column('start_s') + by_s, end_s=self.column('end_s') + by_s)
        return self._naming_all(Timeline(later))

    def joined(self, tolerance_s: float = 1e-9) -> Timeline:
        """The rows, with touching rows that differ only in their span merged.

        Args:
            tolerance_s: gap up to which rows count as touching, seconds.
        """
        rows = self.table.to_pylist()
        open_rows: dict[tuple[object, ...], dict[str, object]] = {}
        merged: list[dict[str, object]] = []
        for row in rows:
            key = tuple('nan' if row[name] != row[name] else row[name] for name in _KEYS)
            open_row = open_rows.get(key)
            if open_row is not None and abs(row['start_s'] - float(str(open_row['end_s']))) <= tolerance_s:
                open_row['end_s'] = row['end_s']
                continue
            open_rows[key] = row
            merged.append(row)
        return self._naming_all(Timeline.from_rows(merged))

    def resample(self, step_s: float) -> Timeline:
        """One row per step for each person, source and name, with the mean of what it covers.

        Values are weighted by measured time, (end - start) times coverage, so the time-weighted mean over the whole
        timeline is unchanged. Abstaining rows (nan) are left out; steps without a value have no row. Intervals and
        confidences are averaged like values; evidence and weights are those of the longest part.

        Args:
            step_s: seconds, above 0; steps start at multiples of it.

        Raises:
            ValueRangeError: step_s is not above 0.
        """
        if not (np.isfinite(step_s) and step_s > 0):
            raise ValueRangeError(expected='step_s > 0', came=f'{step_s}', todo='give a step in seconds')
        cells: dict[tuple[str, str, str, int], list[tuple[float, dict[str, float | str]]]] = {}
        for row in self.table.to_pylist():
            if np.isnan(row['value']):
                continue
            for step, seconds in _steps(row['start_s'], row['end_s'], step_s):
                cell = (row['person'], row['source'], row['name'], step)
                cells.setdefault(cell, []).append((seconds * row['coverage'], row))
        return self._naming_all(Timeline.from_rows(_mean_row(key, parts, step_s) for key, parts in cells.items()))

    def mean(self) -> float:
        """The mean of the values weighted by measured time; nan if nothing was measured."""
        values = self.column('value')
        weights = (self.column('end_s') - self.column('start_s')) * self.column('coverage')
        measured = ~np.isnan(values)
        total = weights[measured].sum()
        return float((values[measured] * weights[measured]).sum() / total) if total > 0 else float('nan')

    def spans(self) -> tuple[Span, ...]:
        """The times that any row covers, as disjoint spans in order."""
        return union(zip(self.column('start_s').tolist(), self.column('end_s').tolist(), strict=True))

    def coverage(self) -> float:
        """Seconds that any row covers; overlaps count once."""
        return measure(self.spans())

    def gaps(self, start_s: float = 0.0, end_s: float | None = None) -> tuple[Span, ...]:
        """The spans within [start_s, end_s) that no row covers.

        Args:
            start_s: seconds.
            end_s: seconds; None takes the last end.
        """
        if end_s is None:
            end_s = self.end_s if len(self) else start_s
        return complement(self.spans(), start_s, end_s)

    def segmented(self, file: str) -> pa.Table:
        """The rows with audformat's segmented index in front: file (text), start and end (durations in ns).

        `.to_pandas().set_index(['file', 'start', 'end'])` is then an index that audformat accepts.
        """
        table = self.table
        for name, key in (('end', 'end_s'), ('start', 'start_s')):
            ticks = np.round(self.column(key) * 1e9).astype(np.int64)
            table = table.add_column(0, name, number_array(ticks).cast(pa.duration('ns')))
        return table.add_column(0, 'file', text_array([file] * len(self))).drop_columns(['start_s', 'end_s'])

    def to_arrow(self) -> pa.Table:
        """The table, sorted, with the columns of SCHEMA."""
        return self.table

    def write_parquet(self, path: str | Path) -> Path:
        """Writes the table atomically; returns the path."""
        with file_atomically(Path(path)) as file:
            pq.write_table(self.table, file, compression='zstd')
        return Path(path)

    @classmethod
    def read_parquet(cls, path: str | Path) -> Timeline:
        """A timeline that `write_parquet` or an export wrote; columns that identify the recording are left out.

        Raises:
            RunError: the file is missing, not Parquet, or not a timeline.
        """
        try:
            require_regular_file(path)
            require_bounded(Path(path))
            table = pq.read_table(path)
            return cls(storage.unnamed(table))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RunError(
                expected='a timeline in a Parquet file', came=f'{path}: {error}', todo='analyze the recording again'
            ) from error


class _Names(Mapping[str, tuple[str, ...]]):
    """The names in a timeline by column, found on first use."""

    def __init__(self, table: pa.Table, people: tuple[str, ...] = ()) -> None:
        self._table = table
        self._defaults = {
            'person': tuple(dict.fromkeys(people)),
            'source': SOURCES,
            'name': (*EKMAN, *DIMENSIONS, 'liveliness', 'speech'),
        }
        self._cache: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, key: str) -> tuple[str, ...]:
        if key not in self._cache:
            defaults = self._defaults[key]
            others = sorted(set(pc.unique(self._table[key]).to_pylist()) - set(defaults))
            self._cache[key] = (*defaults, *others)
        return self._cache[key]

    def __iter__(self) -> Iterator[str]:
        return iter(('person', 'source', 'name'))

    def __len__(self) -> int:
        return 3


def concat(timelines: Iterable[Timeline]) -> Timeline:
    """All rows of several timelines, in time order; the empty timeline for none."""
    tables = [timeline.table for timeline in timelines]
    return Timeline(pa.concat_tables(tables)) if tables else Timeline.empty()


def _meets(starts: Floats, ends: Floats, start_s: float, end_s: float) -> npt.NDArray[np.bool_]:
    """(N,) rows that share time with [start_s, end_s); an instant belongs where it lies."""
    is_instant = (starts == ends) & (starts >= start_s) & (starts < end_s)
    return np.asarray(((starts < end_s) & (ends > start_s) & (ends > starts)) | is_instant)


def _with(table: pa.Table, **columns: Floats) -> pa.Table:
    for name, values in columns.items():
        numbers = number_array(np.asarray(values, dtype=np.float64))
        table = table.set_column(table.column_names.index(name), name, numbers)
    return table


def _same(left: pa.Table, right: pa.Table) -> bool:
    """Whether two conforming tables hold the same rows; nan equals nan."""
    if left.num_rows != right.num_rows:
        return False
    for column in SCHEMA:
        left_column, right_column = left[column.name], right[column.name]
        if column.type != pa.float64():
            if not left_column.equals(right_column):
                return False
        elif not np.array_equal(floats(left_column), floats(right_column), equal_nan=True):
            return False
    return True


def _steps(start_s: float, end_s: float, step_s: float) -> list[tuple[int, float]]:
    """The steps that a span meets, with the seconds in each; none for an instant."""
    first = int(np.floor(start_s / step_s))
    last = max(first, int(np.ceil(end_s / step_s)) - 1)
    shares = [(k, min(end_s, (k + 1) * step_s) - max(start_s, k * step_s)) for k in range(first, last + 1)]
    return [(k, seconds) for k, seconds in shares if seconds > min(_ROUNDING_S, (end_s - start_s) / 2)]


def _mean_row(
    key: tuple[str, str, str, int], parts: list[tuple[float, dict[str, float | str]]], step_s: float
) -> dict[str, object]:
    """The row of one step: means weighted by measured seconds."""
    person, source, name, step = key
    seconds = np.array([weight for weight, _ in parts])
    total = float(seconds.sum())
    shares = seconds / total if total > 0 else np.full(len(parts), 1 / len(parts))

    def mean(column: str) -> float:
        return float(shares @ np.array([float(row[column]) for _, row in parts]))

    longest = parts[int(np.argmax(seconds))][1]
    return {
        'start_s': step * step_s, 'end_s': (step + 1) * step_s, 'person': person, 'source': source, 'name': name,
        'value': mean('value'), 'confidence': min(max(mean('confidence'), 0.0), 1.0), 'low': mean('low'),
        'high': mean('high'), 'coverage': min(1.0, total / step_s), 'evidence': longest['evidence'],
        **{name: longest[name] for name in WEIGHT_COLUMNS}, 'abstained': '',
    }  # fmt: skip


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The union as disjoint spans in order; touching spans merge, empty ones vanish."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def measure(spans: Iterable[Span]) -> float:
    """Seconds in disjoint spans."""
    return float(sum(end - start for start, end in spans))


def complement(spans: Iterable[Span], start_s: float, end_s: float) -> tuple[Span, ...]:
    """The parts of [start_s, end_s) outside the spans."""
    gaps, cursor = [], start_s
    for start, end in union(spans):
        if start > cursor:
            gaps.append((cursor, min(start, end_s)))
        cursor = max(cursor, end)
        if cursor >= end_s:
            break
    if cursor < end_s:
        gaps.append((cursor, end_s))
    return tuple((start, end) for start, end in gaps if end > start)


def overlap(left: Span, right: Span) -> float:
    """Seconds that two spans share, at least 0."""
    return max(0.0, min(left[1], right[1]) - max(left[0], right[0]))
